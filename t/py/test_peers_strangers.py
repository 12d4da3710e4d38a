# SPDX-License-Identifier: Apache-2.0
"""Who connects to the endpoint of a node and is not of its ring is told
nothing, and costs nobody an answer."""

import contextlib
import hashlib
import hmac
import os
import socket
import struct
import time

import pytest

import raw_http
from flash_reads import Objects
from lib import tap as tap_lib
from lib.cluster import SECRET
from origin.objects import pattern
from peer_reads import MIB, QUICK, asked_twice
from peer_reads import make_cluster    # noqa: F401 (a fixture)


def hello(name='node0', peer='node1', secret=SECRET, skew_s=0, version=1,
          zero=0, more=b''):
    head = struct.pack('<IBBHQ', version, len(name), len(peer), zero,
                       int((time.time() + skew_s) * 1000)) + os.urandom(16)
    text = head + name.encode() + peer.encode() + more
    mac = hmac.new(secret.encode(), b's3c client'.ljust(16, b'\0') + text,
                   hashlib.sha256).digest()
    return (text + mac).hex()


def upgrade(words, method='GET', version='1.1'):
    pairs = [('Host', 'node1'), ('Connection', 'Upgrade'),
             ('Upgrade', 's3-cache-peer')]
    pairs = [(k, v) for k, v in pairs if k not in words] + [
        (k, v) for k, v in words.items() if v is not None]
    return (f'{method} /s3-cache-peer HTTP/{version}\r\n' + ''.join(
        f'{k}: {v}\r\n' for k, v in pairs) + '\r\n').encode()


HELLO = 'X-S3-Cache-Hello'
STRANGERS = {
    'plain': lambda: b'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    'post': lambda: upgrade({HELLO: hello(), 'Content-Length': '0'}, 'POST'),
    'head': lambda: upgrade({HELLO: hello()}, 'HEAD'),
    'http10': lambda: upgrade({HELLO: hello()}, version='1.0'),
    'no_hello': lambda: upgrade({}),
    'empty': lambda: upgrade({HELLO: ''}),
    'no_upgrade': lambda: upgrade({HELLO: hello(), 'Upgrade': None}),
    'websocket': lambda: upgrade({HELLO: hello(), 'Upgrade': 'websocket'}),
    'secret': lambda: upgrade({HELLO: hello(secret='guess')}),
    'no_secret': lambda: upgrade({HELLO: hello(secret='')}),
    'another': lambda: upgrade({HELLO: hello(peer='node2')}),
    'late': lambda: upgrade({HELLO: hello(skew_s=-120)}),
    'early': lambda: upgrade({HELLO: hello(skew_s=120)}),
    'version': lambda: upgrade({HELLO: hello(version=2)}),
    'zero': lambda: upgrade({HELLO: hello(zero=1)}),
    'longer': lambda: upgrade({HELLO: hello(more=b'x')}),
    'nameless': lambda: upgrade({HELLO: hello(name='')}),
    'case': lambda: upgrade({HELLO: hello().upper()}),
    'hex': lambda: upgrade({HELLO: 'zz' + hello()[2:]}),
    'odd': lambda: upgrade({HELLO: hello()[:-1]}),
    'short': lambda: upgrade({HELLO: hello()[:60]}),
    'mac': lambda: upgrade({HELLO: hello()[:-64] + '00' * 32}),
    'huge': lambda: upgrade({HELLO: 'ab' * 3000}),
}


def strangers(cluster):
    return cluster.stat(1, 'strangers')


def still_well(origin, cluster, seed):
    mine = Objects(origin, 10, (0, 200_000), seed=seed)
    for node in cluster.nodes:
        mine.fetch(node)
    assert [s for s in asked_twice(origin) if s[0] == 'GET'] == []


def test_strangers_are_refused_and_told_nothing(origin, make_cluster):
    cluster = make_cluster(origin)
    for i, (name, make) in enumerate(STRANGERS.items()):
        with raw_http.Connection(cluster.ports[1]) as c:
            answer = c.send(make()).answer('HEAD' if name == 'head' else 'GET')
            assert answer.status == 403, name
            assert answer[HELLO] is None
            for secret in (b'node1', SECRET.encode(), b'hot'):
                assert secret not in answer.head + answer.body
            assert c.to_end() == b'', name
        assert strangers(cluster) == i + 1, name
    still_well(origin, cluster, 1)


def test_a_good_hello_is_answered(origin, make_cluster):
    cluster = make_cluster(origin)
    for name in ('node0', 'x', 'y' * 255):
        with raw_http.Connection(cluster.ports[1]) as c:
            c.send(upgrade({HELLO: hello(name=name)}))
            head = c._until(b'\r\n\r\n')
            assert head.startswith(b'HTTP/1.1 101 ')
    assert strangers(cluster) == 0
    still_well(origin, cluster, 1)


GARBAGE = {
    'text': b'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    'zeros': bytes(1000), 'ones': b'\xff' * 1000,
    'no_payload': struct.pack('<I', 0) + bytes(16),
    'oversized': struct.pack('<I', 0xffffffff) + bytes(100_000),
    'just_too_big': struct.pack('<I', (64 << 10) + 64 * 16 + 1)
    + bytes(70_000),
    'largest': struct.pack('<I', (64 << 10) + 64 * 16) + bytes(70_000),
    'ping': struct.pack('<I', 24) + struct.pack('<IBBHIIQ', 8, 7, 0, 0, 0, 0, 1)
    + bytes(16),
    'megabyte': pattern(MIB),
}


def _ends(c):
    """The peer closes; what came before that."""
    c.sock.settimeout(10)
    try:
        return c.to_end()
    except OSError as e:
        assert not isinstance(e, socket.timeout), 'it is not closed'
        return b''


@pytest.mark.parametrize('with_hello', [False, True])
def test_garbage_after_the_hello(origin, make_cluster, with_hello):
    """Whoever cannot seal a record is cut off, with the hello or after."""
    cluster = make_cluster(origin)
    for name, data in GARBAGE.items():
        with raw_http.Connection(cluster.ports[1]) as c:
            head = upgrade({HELLO: hello()})
            if not with_hello:
                c.send(head)
                assert b' 101 ' in c._until(b'\r\n\r\n')
                head = b''
            with contextlib.suppress(ConnectionError):
                c.send(head + data)
            rest = _ends(c)
            if not with_hello:
                assert rest == b'', name
    still_well(origin, cluster, 1)


def test_records_that_never_end(origin, make_cluster):
    """Half a record, and the connection closed or reset."""
    cluster = make_cluster(origin)
    for reset in (False, True):
        for size in (1, 3, 4, 5, 50, 5000, 60_000):
            with raw_http.Connection(cluster.ports[1]) as c:
                c.send(upgrade({HELLO: hello()}))
                assert b' 101 ' in c._until(b'\r\n\r\n')
                c.send((struct.pack('<I', 65_000) + bytes(60_000))[:size])
                if reset:
                    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                      struct.pack('ii', 1, 0))
    still_well(origin, cluster, 1)


def test_a_replay_gets_nowhere(origin, make_cluster):
    """All that a node said on a link, said again by somebody else."""
    cluster = make_cluster(origin, taps=True)
    mine = Objects(origin, 10, (1000, 100_000))
    for node in cluster.nodes:
        mine.fetch(node)
    wires = [w for w in cluster.taps[1].wires if w.body(tap_lib.UP)]
    assert wires
    served = cluster.stat(1, 'served')
    for wire in wires:
        with raw_http.Connection(cluster.ports[1]) as c:
            c.send(wire.head(tap_lib.UP))
            head = c._until(b'\r\n\r\n') + b'\r\n\r\n'
            assert head != wire.head(tap_lib.DOWN)
            c.send(wire.body(tap_lib.UP))
            assert _ends(c) == b''
        with raw_http.Connection(cluster.ports[2]) as c:
            c.send(wire.head(tap_lib.UP))
            assert c.answer().status == 403     # it was meant for node1
    assert cluster.stat(1, 'served') == served
    still_well(origin, cluster, 2)


def test_many_idle_strangers_links(origin, make_cluster):
    cluster = make_cluster(origin)
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            c = stack.enter_context(raw_http.Connection(cluster.ports[1]))
            c.send(upgrade({HELLO: hello()}))
            assert b' 101 ' in c._until(b'\r\n\r\n')
        still_well(origin, cluster, 1)
        cluster.nodes[1].reload(wait_old=True, timeout_s=12)
        still_well(origin, cluster, 2)


def test_another_secret_is_a_ring_of_its_own(origin, make_cluster):
    """Nodes that do not trust each other all answer, from the origin."""
    cluster = make_cluster(origin, block=QUICK)
    node = cluster.nodes[2]
    node.reload(wait_old=True, http=node.pieces['http'].replace(
        SECRET, 'quite another secret'))
    mine = Objects(origin, 30, (0, 200_000))
    for each in cluster.nodes * 2:
        mine.fetch(each)
    node.wait_log('no link to node')
    assert sum(cluster.stat(i, 'strangers') for i in range(3)) > 0
