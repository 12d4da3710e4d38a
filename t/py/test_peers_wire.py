# SPDX-License-Identifier: Apache-2.0
"""Nodes that know the secret and keep to no rules: they get nothing but their
link closed, and those who ask them are answered by somebody else."""

import contextlib
import socket
import time

import pytest

import raw_http
from lib.reader import Cut, Reader
from origin.objects import pattern
from peer_reads import BLOCK, STRIPE, get, make_cluster

pytest.importorskip('cryptography')

from lib import wire                                         # noqa: E402

__all__ = ['make_cluster']

SMALL, BIG = 50_000, 700_000
QUICK = '    retry 100ms;\n    timeout 1s;\n'
U64 = (1 << 64) - 1


@pytest.fixture
def ring(origin, make_cluster):
    """Two nodes, and the number of their location."""
    cluster = make_cluster(origin, nodes=2, block=QUICK, taps=True)
    origin.bucket('bkt')
    location = None
    for i in range(100):
        cluster.nodes[0].request(target=f'/bkt/none{i}')
        for w in cluster.taps[1].wires:
            for payload in wire.unrecord(w.body('up')):
                for kind, _, _, body in wire.frames(payload):
                    if kind != wire.ASK:
                        continue
                    asked = wire.parse_ask(body)
                    if asked['what'] <= wire.BLOCK:
                        location = asked['location']
        if location is not None:
            break
    assert location is not None
    cluster.location = location
    cluster.workers = cluster.nodes[1].worker_pids()
    yield cluster
    if cluster.nodes[1].child.poll() is None:
        assert cluster.nodes[1].worker_pids() == cluster.workers


def connect(ring):
    return wire.connect(ring.ports[1])


# --- who asks ----------------------------------------------------------------------

@pytest.mark.parametrize('size', [0, 1, SMALL, BLOCK, BIG])
def test_the_wire_is_as_it_is_described(origin, ring, size):
    body = pattern(size)
    origin.put('bkt', 'key', body)
    link = connect(ring)
    for _ in range(2):
        link.say(wire.ask(1 if _ == 0 else 3, ring.location))
        head, got, code = link.answer(1 if _ == 0 else 3)
        assert (got, code) == (body[:BLOCK], 0)
        assert head[:4] == b'S3CO'
    link.say(wire.ask(5, ring.location, what=wire.HEAD),
             wire.ask(7, ring.location, what=wire.OBJECT, block=1))
    assert link.answer(5)[1:] == (b'', 0)
    link.say(wire.ask(9, ring.location, b'none'))
    assert link.answer(9)[2] <= 0xff        # with its document, or without
    assert len(origin.requests_for(key='key')) <= 2
    link.sock.close()


ENDS = {
    'even': lambda l: wire.ask(2, l),
    'twice': lambda l: wire.ask(1, l) + wire.ask(1, l),
    'back': lambda l: wire.ask(5, l) + wire.ask(3, l),
    'no_stream': lambda l: wire.ask(0, l),
    'what0': lambda l: wire.ask(1, l, what=0),
    'what4': lambda l: wire.ask(1, l, what=4),
    'flags': lambda l: wire.ask(1, l, flags=32),
    'zero': lambda l: wire.ask(1, l, zero=1),
    'no_key': lambda l: wire.ask(1, l, b''),
    'no_bucket': lambda l: wire.ask(1, l, bucket=b''),
    'long_key': lambda l: wire.ask(1, l, b'k' * 1025),
    'long_bucket': lambda l: wire.ask(1, l, bucket=b'k' * 256),
    'head_block': lambda l: wire.ask(1, l, what=wire.HEAD, block=1),
    'object_etag': lambda l: wire.ask(1, l, etag=b'x'),
    'cut_ask': lambda l: wire.frame(wire.ASK, 1, bytes(20)),
    'meta': lambda l: wire.meta(1, b'x'),
    'meta_of_it': lambda l: wire.ask(1, l, window=0) + wire.meta(1, b'x'),
    'data': lambda l: wire.frame(wire.DATA, 1, b'x'),
    'end': lambda l: wire.frame(wire.END, 1),
    'empty_data': lambda l: wire.frame(wire.DATA, 1),
    'window_0': lambda l: wire.frame(wire.WINDOW, 1, bytes(4)),
    'window_short': lambda l: wire.frame(wire.WINDOW, 1, b'x'),
    'window_over': lambda l: wire.ask(1, l, BIG_KEY, window=0xffffffff)
    + wire.frame(wire.WINDOW, 1, b'\xff' * 4),
    'ping_stream': lambda l: wire.frame(wire.PING, 1, bytes(8)),
    'ping_short': lambda l: wire.frame(wire.PING, 0, bytes(4)),
    'type0': lambda l: wire.frame(0, 1),
    'type99': lambda l: wire.frame(99, 0, b'hello'),
    'flagged': lambda l: wire.frame(wire.PING, 0, bytes(8), flags=0x80),
    'code': lambda l: wire.frame(wire.PING, 0, bytes(8), code=1),
    'frame_zero': lambda l: wire.frame(wire.PING, 0, bytes(8), zero=1),
    'too_long': lambda l: wire.frame(wire.PING, 0, bytes(8), size=9),
    'huge': lambda l: wire.frame(99, 0, b'', size=0xffffffff, flags=0x80),
    'half_a_head': lambda l: bytes(15),
}
BIG_KEY = b'big'


@pytest.mark.parametrize('how', ENDS)
def test_a_node_that_breaks_the_rules_is_cut_off(origin, ring, how):
    origin.put('bkt', 'key', pattern(SMALL))
    origin.put('bkt', 'big', pattern(SMALL))
    gate = origin.gate()
    rule = origin.on('bkt', 'big', gate=gate)
    link = connect(ring)
    link.say(ENDS[how](ring.location))
    assert link.ended()
    gate.open()
    origin.off(rule)
    for node in ring.nodes:
        assert get(node, '/bkt/key').body == pattern(SMALL)


GOES_ON = {
    'unknown_optional': lambda l: wire.frame(99, 0, b'hello', flags=0x80),
    'cancel_nobody': lambda l: wire.frame(wire.CANCEL, 77),
    'window_nobody': lambda l: wire.frame(wire.WINDOW, 77, b'\xff' * 4),
    'pong': lambda l: wire.frame(wire.PONG, 0, bytes(8)),
    'pings': lambda l: wire.frame(wire.PING, 0, b'x' * 8) * 1000,
    'ping_zero': lambda l: wire.frame(wire.PING, 0, bytes(8)),
    'location': lambda l: wire.ask(1, l ^ 1),
    'far': lambda l: wire.ask(1, l, block=10 ** 6),
    'farther': lambda l: wire.ask(1, l, block=1 << 47),
    'farthest': lambda l: wire.ask(1, l, block=U64 - 1),
    'none': lambda l: wire.ask(1, l, block=U64),
    'block_of_0': lambda l: wire.ask(1, l, what=wire.BLOCK),
    'block_out': lambda l: wire.ask(1, l, what=wire.BLOCK, total=5, block=1),
    'block_far': lambda l: wire.ask(1, l, what=wire.BLOCK, total=U64,
                                    block=(U64 - 1) // BLOCK),
    'block_wrong': lambda l: wire.ask(1, l, what=wire.BLOCK, total=9 * BLOCK,
                                      block=3, generation=7, etag=b'"no"'),
    'block_etag': lambda l: wire.ask(1, l, what=wire.BLOCK, total=9 * BLOCK,
                                     etag=b'a"\r\nX: y'),
    'longest': lambda l: wire.ask(1, l, b'k' * 1024, bucket=b'b' * 255,
                                  version=b'v' * 1024),
    'longest_block': lambda l: wire.ask(
        1, l, b'k' * 1024, what=wire.BLOCK, total=100, etag=b'e' * 1024,
        bucket=b'b' * 255, version=b'v' * 1024),
    'odd_key': lambda l: wire.ask(1, l, bytes(range(256)) * 4),
    'odd_bucket': lambda l: wire.ask(1, l, bucket=b'../..?x=y\r\n\0#'),
    'odd_version': lambda l: wire.ask(1, l, version=b'\r\n\0&partNumber=1'),
    'slash': lambda l: wire.ask(1, l, b'/'),
    'truth': lambda l: wire.ask(1, l, flags=1),
    'warm': lambda l: wire.ask(1, l, flags=16),
    'warm_kept': lambda l: wire.ask(1, l, flags=18),
    'warm_block': lambda l: wire.ask(1, l, what=wire.BLOCK, total=9 * BLOCK,
                                     flags=16),
    'cancelled': lambda l: wire.ask(1, l) + wire.frame(wire.CANCEL, 1) * 3,
    'many': lambda l: b''.join(
        wire.ask(i, l, b'key%d' % (i % 7), block=i % 5)
        for i in range(1, 800, 2)),
    'many_cancelled': lambda l: b''.join(
        wire.ask(i, l) + wire.frame(wire.CANCEL, i)
        for i in range(1, 700, 2)),
}


@pytest.mark.parametrize('how', GOES_ON)
def test_what_may_be_said(origin, ring, how):
    """However odd the question, the link goes on."""
    body = pattern(BIG)
    origin.put('bkt', 'key', body)
    link = connect(ring)
    said = GOES_ON[how](ring.location)
    link.say(said)
    asked = {stream for kind, stream, _, _ in wire.frames(said)
             if kind == wire.ASK}
    asked -= {stream for kind, stream, _, _ in wire.frames(said)
              if kind == wire.CANCEL}
    while asked:
        kind, stream, _, _ = link.hear()
        if kind == wire.END:
            asked.discard(stream)
    link.say(wire.ask(10_001, ring.location))
    assert link.answer(10_001)[1:] == (body[:BLOCK], 0)
    for r in origin.requests:
        assert r.target.startswith('/')
        assert 'partNumber' not in r.query and r.header('x') is None
    link.sock.close()
    for node in ring.nodes:
        assert get(node, '/bkt/key').body == body


def test_windows_are_kept_to(origin, ring):
    body = pattern(SMALL)
    origin.put('bkt', 'key', body)
    link = connect(ring)
    link.say(wire.ask(1, ring.location, window=0))
    assert link.hear()[0] == wire.META
    got = b''
    for window in (1, 7, 1000, 40_000, 1 << 31):
        link.say(wire.frame(wire.WINDOW, 1, window.to_bytes(4, 'little')))
        before = len(got)
        while len(got) < min(before + window, SMALL):
            kind, _, _, data = link.hear()
            assert kind == wire.DATA
            got += data
        assert len(got) - before <= window
    assert link.hear()[:3] == (wire.END, 1, 0)
    assert got == body
    link.sock.close()


def test_too_many_streams(origin, ring):
    origin.put('bkt', 'key', pattern(SMALL))
    link = connect(ring)
    link.sock.settimeout(30)
    # who has to wait for the origin is soon sent elsewhere: it is there now
    link.say(wire.ask(1, ring.location))
    assert link.answer(1)[2] == 0
    # nobody reads, so that none of these can end
    asks = b''.join(link.seal(b''.join(
        wire.ask(i, ring.location) for i in range(first, first + 256, 2)))
        for first in range(3, 40_000, 256))
    with pytest.raises((EOFError, ConnectionError)):
        link.sock.sendall(asks)
        while True:
            link.hear()
    link.sock.close()
    ring.nodes[1].wait_log('a frame was refused')


def test_who_never_reads_is_left(origin, ring):
    """Much is asked for, nothing is taken, no PING is answered."""
    origin.put('bkt', 'key', pattern(SMALL))
    link = connect(ring)
    link.say(*(wire.ask(i, ring.location) for i in range(1, 1000, 2)))
    begun = time.monotonic()
    ring.nodes[1].check_accounting(timeout_s=15)
    assert time.monotonic() - begun < 15
    link.sock.close()
    for _ in range(20):
        link = connect(ring)
        link.say(*(wire.ask(i, ring.location) for i in range(1, 200, 2)))
        link.sock.close()


def test_a_goodbye_is_heard(origin, ring):
    body = pattern(SMALL)
    origin.put('bkt', 'key', body)
    gate = origin.gate(at=20_000)
    origin.on('bkt', 'key', gate=gate)
    link = connect(ring)
    link.say(wire.ask(1, ring.location), wire.frame(wire.GOODBYE))
    gate.wait_reached()
    gate.open()
    assert link.answer(1)[1:] == (body, 0)
    assert link.ended()
    link = connect(ring)
    link.say(wire.frame(wire.GOODBYE))
    assert link.ended()


# --- who is asked ----------------------------------------------------------------------

def _nothing(link, stream, ask):
    pass


def _close(link, stream, ask):
    link.sock.shutdown(socket.SHUT_RDWR)


def say(*make):
    """A talk that says those frames, each a function of stream and ask."""
    def talk(link, stream, ask):
        for each in make:
            if each is _close:
                _close(link, stream, ask)
            else:
                link.say(each(stream, ask))
    return talk


def end(code):
    return lambda s, a: wire.frame(wire.END, s, code=code)


def data(size, fill=b'x'):
    return lambda s, a: wire.frame(wire.DATA, s, fill * size)


def block(s, a):
    """A META that is right for a block, and nonsense for an object."""
    return wire.meta(s, first=a['block'] * BLOCK,
                     size=min(BLOCK, max(0, a['total'] - a['block'] * BLOCK)))


LIES = {
    'close': _close,
    **{f'end{code}': say(end(code)) for code in (
        0, 1, 2, 4, 5, 6, 7, 9, 10, 11, 255, 256, 257, 65535)},
    'no_head': say(lambda s, a: wire.meta(s, size=SMALL), data(100), end(0)),
    'short_head': say(lambda s, a: wire.meta(s, b'x' * 20)),
    'bad_head': say(lambda s, a: wire.meta(s, b'x' * 500, size=100),
                    data(100), end(0)),
    'half_head': say(lambda s, a: wire.meta(s, b'x' * 500, head_bytes=1000),
                     end(0)),
    'half_head_close': say(lambda s, a: wire.meta(s, b'x' * 500,
                                                  head_bytes=1000), _close),
    'long_head': say(lambda s, a: wire.meta(s, b'x' * 500,
                                            head_bytes=80 << 10)),
    'gap_in_head': say(lambda s, a: wire.meta(s, b'x' * 500, head_bytes=2000)
                       + wire.meta(s, b'x' * 500, head_bytes=2000,
                                   head_off=700)),
    'head_part_2': say(lambda s, a: wire.meta(s, b'x' * 500, head_bytes=2000,
                                              head_off=700)),
    'data_first': say(data(100)), 'empty_data': say(data(0)),
    'meta_twice': say(block, block),
    'block_meta_end': say(block, end(0)),
    'block_meta_pass': say(block, end(1)),
    'block_meta_close': say(block, _close),
    'block_elsewhere': say(lambda s, a: wire.meta(
        s, first=(a['block'] + 1) * BLOCK, size=BLOCK), data(100)),
    'block_short': say(lambda s, a: wire.meta(
        s, first=a['block'] * BLOCK, size=10), data(10), end(0)),
    'block_long': say(lambda s, a: wire.meta(
        s, first=a['block'] * BLOCK, size=1 << 62), data(100), end(0)),
    'ask_back': say(lambda s, a: wire.ask(s, a['location'])),
    'window': say(lambda s, a: wire.frame(wire.WINDOW, s, b'\1\0\0\0')),
    'cancel': say(lambda s, a: wire.frame(wire.CANCEL, s)),
    'never_asked': say(lambda s, a: wire.frame(wire.END, s + 1000)),
    'even': say(lambda s, a: wire.frame(wire.END, s + 1)),
    'goodbye_close': say(lambda s, a: wire.frame(wire.GOODBYE), _close),
    'goodbye_end': say(lambda s, a: wire.frame(wire.GOODBYE)
                       + wire.frame(wire.END, s, code=2)),
    'end_twice': say(lambda s, a: wire.frame(wire.END, s, code=2) * 2),
    'data_after_end': say(lambda s, a: wire.frame(wire.END, s, code=2)
                          + wire.frame(wire.DATA, s, b'x')),
    'garbage': lambda link, s, a: link.sock.sendall(b'\x55' * 100),
    'garbage_long': lambda link, s, a: link.sock.sendall(b'\xff' * 100_000),
}

SILENT = {
    'silence': _nothing, 'after_meta': say(block),
    'pings': say(lambda s, a: wire.frame(wire.PING, 0, b'x' * 8) * 500),
    'goodbye': say(lambda s, a: wire.frame(wire.GOODBYE)),
}

# what its origin did to it: that may be so
BELIEVED = {
    'changed': say(end(3)), 'broken': say(end(8)),
    'changed_block': say(block, end(3)), 'broken_block': say(block, end(8)),
}

GREETINGS = {
    'close': lambda h: b'', 'nonsense': lambda h: b'hello\r\n\r\n',
    '200': lambda h: b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    '403': lambda h: b'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n',
    'no_hello': lambda h: b'HTTP/1.1 101 Switching\r\n\r\n',
    'bad_hello': lambda h: wire.switching(b'x' * 80),
    'empty_hello': lambda h: wire.switching(b''),
    'another': lambda h: wire.switching(wire.server_hello(h, 'node2')),
    'secret': lambda h: wire.switching(
        wire.server_hello(h, 'node1', secret='x' * 20)),
    'version': lambda h: wire.switching(
        wire.server_hello(h, 'node1', version=2)),
    'replayed': lambda h: wire.switching(
        wire.server_hello(b'another hello', 'node1')),
    'mirror': lambda h: wire.switching(h),
    'long': lambda h: b'HTTP/1.1 101 x\r\n' + b'X: y\r\n' * 2000,
    'endless': lambda h: b'HTTP/1.1 101 x\r\n' + b'X' * 100_000,
    'slow': lambda h: b'HTTP/1.1 101 x\r\n',
    'with_garbage': lambda h: wire.switching(
        wire.server_hello(h, 'node1')) + b'\x55' * 100,
    'with_oversized': lambda h: wire.switching(
        wire.server_hello(h, 'node1')) + b'\xff' * 2000,
}


def liar(origin, make_cluster, location='', **words):
    """A node whose only fellow, node1, is none of ours."""
    cluster = make_cluster(origin, nodes=2, workers=1, location=location,
                           block=QUICK + '    connect_timeout 300ms;\n')
    cluster.lies = True
    cluster.nodes[1].stop()
    return cluster.nodes[0], wire.Node(cluster.ports[1], 'node1', **words)


def asks_rightly(origin, node, other):
    bodies = {f'{size}-{i}': pattern(size, i) for i in range(8)
              for size in (0, SMALL, BIG)}
    for key, body in bodies.items():
        origin.put('bkt', key, body)
    workers = node.worker_pids()
    begun = time.monotonic()
    for key, body in bodies.items():
        answer = get(node, f'/bkt/{key}')
        assert (answer.status, answer.body == body) == (200, True), (
            key, answer.status, len(answer.body))
        answer = get(node, f'/bkt/{key}', method='HEAD')
        assert (answer.status, answer['Content-Length']) == (200,
                                                             str(len(body)))
        answer = get(node, f'/bkt/{key}', {'Range': f'bytes={STRIPE}-'})
        if len(body) > STRIPE:
            assert answer.status == 206
            assert answer.body == body[STRIPE:]
    assert time.monotonic() - begun < 60
    assert node.worker_pids() == workers
    node.check_accounting()
    return other.asked


@pytest.mark.parametrize('how', LIES)
def test_a_node_that_lies_costs_no_answer(origin, make_cluster, how):
    node, other = liar(origin, make_cluster, talk=LIES[how])
    with other:
        assert asks_rightly(origin, node, other)


@pytest.mark.parametrize('how', LIES)
def test_a_node_that_lies_when_it_is_told_of_writes(origin, make_cluster, how):
    node, other = liar(origin, make_cluster, talk=LIES[how])
    workers = node.worker_pids()
    with other:
        for version in range(4):
            body = pattern(SMALL, version)
            answer = raw_http.ask(node.port(), 'PUT', '/bkt/key', (), body,
                                  close=False)
            # 503: it says that it has no room
            assert answer.status in (200, 503)
            if answer.status == 200:
                assert get(node, '/bkt/key').body == body
    assert node.worker_pids() == workers


@pytest.mark.parametrize('how', SILENT)
def test_a_node_that_lives_but_never_answers(origin, make_cluster, how):
    node, other = liar(origin, make_cluster, talk=SILENT[how],
                       location=' s3_cache_origin_read_timeout 1s;'
                       ' s3_cache_origin_connect_timeout 1s;'
                       ' s3_cache_origin_send_timeout 1s;')
    with other:
        readers = []
        for i in range(8):
            body = pattern(SMALL, i)
            origin.put('bkt', f'key{i}', body)
            readers.append((Reader(node, f'/bkt/key{i}'), body))
        for reader, body in readers:
            assert reader.read_all() == body
            reader.close()
        assert other.asked


@pytest.mark.parametrize('how', BELIEVED)
def test_a_node_that_tells_of_an_origins_failure(origin, make_cluster, how):
    """Whole, or visibly not."""
    node, other = liar(origin, make_cluster, talk=BELIEVED[how])
    with other:
        for i in range(8):
            for size in (SMALL, BIG):
                body = pattern(size, i)
                origin.put('bkt', f'{size}-{i}', body)
                with Reader(node, f'/bkt/{size}-{i}') as reader:
                    with contextlib.suppress(Cut):
                        reader.read_all()
                    assert reader.status in (None, 200, 502, 503)
                    if reader.status == 200:
                        assert body.startswith(reader.body)
                assert len(origin.requests_for(key=f'{size}-{i}')) <= 20
        assert other.asked
        node.check_accounting()


@pytest.mark.parametrize('how', GREETINGS)
def test_who_is_no_node_costs_no_answer(origin, make_cluster, how):
    node, other = liar(origin, make_cluster, greet=GREETINGS[how])
    with other:
        assert not asks_rightly(origin, node, other)
        assert other.links


def test_a_head_of_another_object(origin, make_cluster, ring):
    """What a real node says of one object, given for another."""
    origin.put('bkt', 'real', pattern(SMALL))
    link = connect(ring)
    link.say(wire.ask(1, ring.location, b'real'))
    head, body, _ = link.answer(1)
    link.sock.close()

    def talk(link, s, a):
        link.say(wire.meta(s, head, size=len(body)))
        link.say(wire.frame(wire.DATA, s, body[:30_000]),
                 wire.frame(wire.DATA, s, body[30_000:]),
                 wire.frame(wire.END, s))

    node, other = liar(origin, make_cluster, talk=talk)
    with other:
        assert asks_rightly(origin, node, other)
