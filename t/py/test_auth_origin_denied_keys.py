# SPDX-License-Identifier: Apache-2.0
"""DeleteObjects with s3_cache_auth origin: answered 200 whatever becomes of its
keys, it drops them only if one may have been deleted."""

import contextlib

import pytest

import raw_http
from lib import wait
from origin_auth_lab import (  # noqa: F401 (fixtures)
    ALICE, BOB, by, gateway, get, head_of, make_asking, origin, put)
from test_auth_origin_refused import (
    BODY, DELETE_DOC, WHEN, ends, is_kept, warm)

DENIED = b'<Error><Key>%s</Key><Code>AccessDenied</Code>' \
         b'<Message>Access Denied</Message></Error>'
DONE = b'<Deleted><Key>%s</Key></Deleted>'
FAILED = b'<Error><Key>%s</Key><Code>InternalError</Code></Error>'


def delete_doc(*keys, quiet=False):
    return (b'<Delete>' + (b'<Quiet>true</Quiet>' if quiet else b'')
            + b''.join(b'<Object><Key>%s</Key></Object>' % k for k in keys)
            + b'</Delete>')


def back(origin):
    """The scripted origin does what it says that it does not: the same version
    is there again."""
    for key in ('key', 'k2'):
        origin.put('bkt', key, BODY, last_modified=WHEN)


def result(origin, *parts, chunked=False, cut=0):
    doc = (b'<?xml version="1.0" encoding="UTF-8"?>\n<DeleteResult>'
           + b''.join(parts) + b'</DeleteResult>')
    if chunked:
        body = b''.join(b'%x\r\n%s\r\n' % (len(doc[i:i + 7]), doc[i:i + 7])
                        for i in range(0, len(doc), 7)) + b'0\r\n\r\n'
        framing = b'Transfer-Encoding: chunked'
    else:
        body, framing = doc, b'Content-Length: %d' % len(doc)
    origin.on('bkt', when=by(BOB), raw=(
        b'HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n' + framing
        + b'\r\n\r\n' + body[:len(body) - cut]))


@pytest.mark.parametrize('chunked', [False, True])
@pytest.mark.parametrize('quiet', [False, True])
def test_none_of_many_may_be_deleted(origin, gateway, chunked, quiet):
    for key in ('key', 'k2'):
        warm(origin, gateway, key=key)
    result(origin, DENIED % b'key', DENIED % b'k2', chunked=chunked)
    for _ in range(3):
        answer = put(gateway, BOB, '/bkt?delete',
                     delete_doc(b'key', b'k2', quiet=quiet), method='POST')
        assert answer.status == 200 and b'AccessDenied' in answer.body
    back(origin)
    for key in ('key', 'k2'):
        assert is_kept(origin, gateway, key)


@pytest.mark.parametrize('parts, quiet, chunked, cut', [
    ([DENIED % b'key', DONE % b'k2'], False, False, 0),
    ([DONE % b'k2', DENIED % b'key'], False, True, 0),
    ([DENIED % b'key'], True, False, 0),        # so k2 is deleted
    ([], True, False, 0),
    ([DENIED % b'key', FAILED % b'k2'], False, False, 0),
    ([DENIED % b'key', DENIED % b'k2'], False, False, 20),
    ([DENIED % b'key', DENIED % b'k2'], False, True, 20),
])
def test_some_of_many_may_have_been_deleted(origin, gateway, parts, quiet,
                                            chunked, cut):
    for key in ('key', 'k2'):
        warm(origin, gateway, key=key)
    result(origin, *parts, chunked=chunked, cut=cut)
    with pytest.raises(raw_http.Malformed) if cut else \
            contextlib.nullcontext():
        put(gateway, BOB, '/bkt?delete',
            delete_doc(b'key', b'k2', quiet=quiet), method='POST')
    back(origin)
    for key in ('key', 'k2'):
        assert not is_kept(origin, gateway, key)


def test_a_client_that_leaves_does_not_drop_what_was_denied(origin, gateway):
    warm(origin, gateway)
    gate = origin.gate()
    doc = b'<DeleteResult>' + DENIED % b'key' + b'</DeleteResult>'
    origin.on('bkt', when=by(BOB), gate=gate, raw=(
        b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n' % len(doc) + doc))
    with raw_http.Connection(gateway.port()) as client:
        client.request('POST', '/bkt?delete', head_of(
            gateway, BOB, 'POST', '/bkt?delete')
            + [('Content-Length', str(len(DELETE_DOC)))], DELETE_DOC)
        gate.wait_reached()
    assert get(gateway, ALICE, '/bkt/none').status == 404
    gate.open()
    wait.until(lambda: ends(gateway) == 1, 'its end')
    back(origin)
    assert is_kept(origin, gateway)
