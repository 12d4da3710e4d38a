# SPDX-License-Identifier: Apache-2.0
"""What the test_peers_*.py files share: a ring before an origin, the node that
owns an object, and what S3 would answer."""

import contextlib
import os
import signal

import pytest

import raw_http
from lib.cluster import Cluster
from origin import objects

KIB, MIB = 1 << 10, 1 << 20
BLOCK, STRIPE = 64 * KIB, 256 * KIB
LARGE = 's3_cache_block_size 64k;'
STRIPES = '    stripe 256k;\n'
QUICK = '    retry 300ms;\n'
GENERATED = {'date', 'server', 'connection', 'x-cache', 'x-tier', 'age',
             'x-amz-request-id'}


@pytest.fixture
def make_cluster(make_nginx):
    """make_cluster(origin, nodes=3, ...): a started Cluster of blocks of 64
    KiB and stripes of 256 KiB. At the end nothing may be held in any node
    that still runs."""
    made = []

    def make(origin, location='', block='', **more):
        if 'hedge' not in block:
            # a busy machine is no silent node
            block += '    hedge 1m;\n'
        made.append(Cluster(make_nginx, origin, location=LARGE + location,
                            block=STRIPES + block, **more))
        return made[-1].start()

    yield make
    for cluster in made:
        for node in cluster.nodes:
            if node.child and node.child.poll() is None:
                node.check_accounting()
                if not cluster.lies:
                    assert node.zone()['peers']['failures']['wrong'] == 0
        cluster.close()


def get(node, target, headers=(), method='GET'):
    return raw_http.ask(node.port(), method, target, headers)


def shown(answer):
    """The headers that must not tell which node answered."""
    return sorted((k.lower(), v) for k, v in answer.headers
                  if k.lower() not in GENERATED)


def right(obj, headers=(), method='GET', query=()):
    """(status, body, Content-Range) that S3 would answer."""
    words = {k.lower(): v for k, v in dict(headers).items()}
    try:
        reply = objects.read(obj, words.get, dict(query))
    except objects.S3Error as e:
        return e.status, None, dict(e.headers).get('Content-Range')
    body = b'' if method == 'HEAD' or reply.status == 304 else reply.body
    return (reply.status, bytes(body),
            dict(reply.headers).get('Content-Range'))


def check(node, obj, target, headers=(), method='GET'):
    """Asks a node: its answer, which is what S3 would say."""
    status, body, span = right(obj, headers, method)
    answer = get(node, target, headers, method)
    what = (target, method, dict(headers))
    assert answer.status == status, (what, answer.status, answer.body[:500])
    if body is None:
        assert answer.element('Code'), what
    else:
        assert answer.body == body, (
            what, f'{len(answer.body)} of {len(body)} bytes, or wrong ones')
        assert answer['ETag'] == obj.etag, what
        assert answer['Last-Modified'] == obj.date, what
    if status == 206:
        assert answer['Content-Range'] == span, what
    if method == 'HEAD' and status == 200:
        assert answer['Content-Length'] == str(len(obj.body)), what
    assert answer.rest == b''
    return answer


def asked_twice(origin):
    """(method, key, range) that the origin was asked for more than once."""
    seen = [(r.method, r.key, r.query.get('versionId'), r.header('range'))
            for r in origin.requests]
    return sorted({s for s in seen if seen.count(s) > 1}, key=str)


def fetches(origin):
    """How often it was asked for bytes. (What a node kept from before it could
    be told of writes it validates once, by a HEAD.)"""
    return sum(r.method == 'GET' for r in origin.requests)


def blocks(size):
    return max(1, -(-size // BLOCK))


@contextlib.contextmanager
def stopped(node):
    """Its workers stand still."""
    pids = node.worker_pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
