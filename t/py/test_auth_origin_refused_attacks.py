# SPDX-License-Identifier: Apache-2.0
"""Attacks on "a write that the origin refuses drops nothing": who has no right
to write tries to have the cache forget."""

import socket
import struct

import pytest

import raw_http
from lib import wait
from origin_auth_lab import (  # noqa: F401 (fixtures)
    ALICE, BOB, by, gateway, head_of, make_asking, origin, put)
from test_auth_origin_refused import (
    BODY, DELETE_DOC, ends, same_again, send, warm)

STREAM = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'
FORGED = (ALICE[0], 'forged')


def leave(client, how):
    if how == 'reset':
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                               struct.pack('ii', 1, 0))
    elif how == 'half':
        client.sock.shutdown(socket.SHUT_WR)
        client.to_end()
    client.close()


# (method, target, headers, payload, announced, sent)
PARTIAL = {
    'delete': ('DELETE', '/bkt/key', [], 'UNSIGNED-PAYLOAD', 10, b''),
    'delete some': ('DELETE', '/bkt/key', [], 'UNSIGNED-PAYLOAD', 10, b'x'),
    'bucket': ('DELETE', '/bkt?policy', [], 'UNSIGNED-PAYLOAD', 10, b''),
    'copy': ('PUT', '/bkt/key', [('x-amz-copy-source', '/bkt/from')],
             'UNSIGNED-PAYLOAD', 10, b''),
    'coded': ('PUT', '/bkt/key', [('x-amz-decoded-content-length', '3')],
              STREAM, 100, b'3;chunk'),
    'coded many': ('POST', '/bkt?delete',
                   [('x-amz-decoded-content-length', '3')],
                   STREAM, 100, b'3;chunk'),
    'not a hash': ('PUT', '/bkt/key', [], 'rubbish', 100, b'x'),
    'plain': ('PUT', '/bkt/key', [], 'UNSIGNED-PAYLOAD', 100, b'x'),
    'tags': ('PUT', '/bkt/key?tagging', [], 'UNSIGNED-PAYLOAD', 100, b'x'),
    'many': ('POST', '/bkt?delete', [], 'UNSIGNED-PAYLOAD',
             len(DELETE_DOC), DELETE_DOC[:-1]),
    'policy': ('PUT', '/bkt?policy', [], 'UNSIGNED-PAYLOAD', 100, b'x'),
}


@pytest.mark.parametrize('how', ['close', 'half', 'reset'])
@pytest.mark.parametrize('what', PARTIAL)
def test_a_body_that_never_comes(origin, gateway, what, how):
    """Forged; its client leaves in mid-body."""
    warm(origin, gateway)
    read = same_again(gateway)
    read()
    assert read() == (BODY, 'HIT')
    method, target, headers, payload, size, body = PARTIAL[what]
    seen = len(origin.requests)
    client = raw_http.Connection(gateway.port())
    client.request(method, target, head_of(
        gateway, FORGED, method, target, headers, payload=payload)
        + [('Content-Length', str(size))], body)
    if 'DELETE' == method or what == 'copy':
        # the origin could do it without: it does not hear of it
        assert client.answer().status == 400
        leave(client, how)
        assert len(origin.requests) == seen
    else:
        wait.until(lambda: len(origin.requests) > seen
                   and any(r.method == method for r in origin.requests[seen:]),
                   'it to be there')
        leave(client, how)
        wait.until(lambda: ends(gateway) == 1, 'its end')
    assert read() == (BODY, 'HIT')
    assert gateway.zone()['writes']['unknown'] == 0


@pytest.mark.parametrize('what', ['put', 'delete', 'copy', 'many', 'policy',
                                  'bucket'])
def test_an_origin_that_is_down(origin, gateway, what):
    """It has heard nothing of the write."""
    warm(origin, gateway)
    read = same_again(gateway)
    read()
    assert read() == (BODY, 'HIT')
    origin.stop()
    assert send(gateway, FORGED, what).status in (502, 503, 504)
    assert read() == (BODY, 'HIT')


@pytest.mark.parametrize('rule', ['early', 'reset'])
def test_an_early_no(origin, gateway, rule):
    warm(origin, gateway)
    read = same_again(gateway)
    read()
    seen = ends(gateway)
    origin.on('bkt', when=by(BOB), early=True,
              error=(403, 'AccessDenied', 'No.'))
    body = b'x' * 3_000_000
    with raw_http.Connection(gateway.port()) as client:
        try:
            client.request('PUT', '/bkt/key', head_of(
                gateway, BOB, 'PUT', '/bkt/key')
                + [('Content-Length', str(len(body)))], body)
        except OSError:
            pass
    wait.until(lambda: ends(gateway) == seen + 1, 'its end')
    assert read() == (BODY, 'HIT')


def test_a_bucket_of_another_one(origin, gateway):
    """BucketAlreadyExists is for everybody who has any key."""
    warm(origin, gateway)
    read = same_again(gateway)
    read()
    assert read() == (BODY, 'HIT')
    rule = origin.on('bkt', when=by(BOB), method='PUT',
                     error=(409, 'BucketAlreadyExists', 'No.'))
    assert put(gateway, BOB, '/bkt', b'').status == 409
    origin.off(rule)
    assert read() == (BODY, 'HIT')


def test_buckets_that_there_are_not(origin, gateway):
    """S3 answers 404 to anybody; buckets share 4096 places."""
    warm(origin, gateway)
    read = same_again(gateway)
    read()
    assert read() == (BODY, 'HIT')
    origin.on(when=lambda r: (r.bucket or '').startswith('no-'),
              error=(404, 'NoSuchBucket', 'No.'))
    for n in range(0, 8_000, 500):
        with raw_http.Connection(gateway.port()) as client:
            for m in range(n, n + 500):
                client.request('DELETE', f'/no-{m}?policy', head_of(
                    gateway, BOB, 'DELETE', f'/no-{m}?policy'))
                assert client.answer('DELETE').status == 404
        assert read() == (BODY, 'HIT'), f'gone after {n + 500}'
