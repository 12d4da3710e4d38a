# SPDX-License-Identifier: Apache-2.0
"""Where a link that ends could cost an answer, or hold what nobody takes: one
test for each such edge that was there once."""

import contextlib
import select
import signal
import time

import pytest

import raw_http
from lib import tap as tap_lib
from lib import wait
from lib.reader import Cut, Reader
from origin.objects import pattern
from peer_edges import BIG, OFF, PATIENT, SMALL, asked_of, connected
from peer_reads import BLOCK, STRIPE, get
from peer_reads import make_cluster    # noqa: F401 (a fixture)

pytest.importorskip('cryptography')

from lib import wire                                         # noqa: E402


def location_of(origin, cluster):
    """The number of the location, as node 0 says it to node 1 (with taps)."""
    origin.bucket('bkt')

    def said():
        get(cluster.nodes[0], f'/bkt/{cluster.key_of(1, prefix="number")}')
        for w in cluster.taps[1].wires:
            for payload in wire.unrecord(w.body(tap_lib.UP)):
                for kind, _, _, body in wire.frames(payload):
                    if kind != wire.ASK:
                        continue
                    asked = wire.parse_ask(body)
                    if asked['what'] <= wire.BLOCK:
                        return asked
        return None

    return wait.until(said, 'node 0 asks node 1')['location']


def is_closed(sock):
    """Waits for the end of a connection on which nothing comes."""
    sock.settimeout(15)
    with contextlib.suppress(ConnectionError):
        assert sock.recv(1) == b''
    sock.close()
    return True


# --- links that end -----------------------------------------------------------

def test_an_owner_that_reloads_goes_on_to_be_asked(origin, make_cluster):
    """Its old worker still answers by the only link that there may be."""
    cluster = make_cluster(origin, nodes=2, workers=1, taps=True,
                           block=OFF + PATIENT + '    links 1;\n')
    node, owner = cluster.nodes
    body = pattern(SMALL)
    slow = cluster.key_of(1)
    origin.put('bkt', slow, body)
    gate = origin.gate(at=0)
    origin.on('bkt', slow, gate=gate)
    with Reader(node, f'/bkt/{slow}') as reader:
        gate.wait_reached()
        owner.reload()
        keys = [cluster.key_of(1) for _ in range(20)]
        for key in keys:
            origin.put('bkt', key, body)
        since, asked = len(origin.requests), cluster.stat(0, 'asked')
        for _ in range(2):
            for key in keys:
                answer = get(node, f'/bkt/{key}')
                assert (answer.body, answer['X-Tier']) == (body, 'peer')
        assert len(owner.worker_pids(leaving=True)) == 2
        assert cluster.stat(0, 'asked') - asked == 40
        assert len(origin.requests) - since == 20
        gate.open()
        assert reader.read_all() == body


def test_a_lost_link_is_made_anew_though_there_may_be_only_one(
        origin, make_cluster):
    cluster = make_cluster(origin, nodes=2, workers=1, taps=True,
                           block=OFF + PATIENT + '    links 1;\n')
    node, owner = cluster.nodes
    connected(cluster)
    body = pattern(SMALL)
    key = cluster.key_of(1)
    origin.put('bkt', key, body)
    gate = origin.gate()
    origin.on('bkt', key, gate=gate)
    asked = cluster.stat(0, 'asked')
    with Reader(node, f'/bkt/{key}') as reader:
        gate.wait_reached()
        cluster.taps[1].drop_all()
        wait.until(lambda: cluster.stat(0, 'asked') == asked + 2
                   or gate.reached > 1, 'somebody else is asked')
        gate.open()
        assert reader.read_all() == body
    assert cluster.stat(0, 'asked') == asked + 2
    assert len(origin.requests_for(key=key, method='GET')) == 1


@pytest.mark.parametrize('at', [None, 0, SMALL // 2])
@pytest.mark.parametrize('signal_', [signal.SIGTERM, signal.SIGINT],
                         ids=['TERM', 'INT'])
def test_a_worker_that_ends_asks_nobody_any_more(
        origin, make_cluster, signal_, at):
    """Its questions end with it, and none of them goes to the next node."""
    cluster = make_cluster(origin, workers=1, block=OFF + PATIENT)
    node = cluster.nodes[2]
    body = pattern(SMALL)
    gate = origin.gate(at=at)
    readers = []
    for i in range(12):
        key = cluster.key_of(i % 2)
        origin.put('bkt', key, body)
        origin.on('bkt', key, gate=gate)
        readers.append(Reader(node, f'/bkt/{key}'))
    gate.wait_reached(12)
    since = len(origin.requests)
    served = [cluster.stat(i, 'served') for i in (0, 1)]
    node.send_signal(signal_)
    node.child.wait(20)
    assert [cluster.stat(i, 'served') for i in (0, 1)] == served
    gate.open()
    for reader in readers:
        with pytest.raises((Cut, ConnectionError)):
            reader.read_all()
        reader.close()
    assert len(origin.requests) == since
    for other in cluster.nodes[:2]:
        other.check_accounting()


def test_downloads_of_a_node_that_reloads_stay_the_owners(
        origin, make_cluster):
    """They go on for long in the old worker, which asks as before."""
    cluster = make_cluster(origin, nodes=[{'weight': 0}, {'weight': 1}],
                           workers=1, location=' s3_cache_read_ahead 1;',
                           block=OFF)
    node, owner = cluster.nodes
    body = pattern(40 * STRIPE)
    origin.put('bkt', 'key', body)
    assert get(owner, '/bkt/key').body == body
    since = len(origin.requests)
    with Reader(node, '/bkt/key', rcvbuf=8192) as reader:
        reader.read_to(100_000)
        node.reload()
        asked = cluster.stat(0, 'asked')
        assert asked < 120, 'most of it is to come'
        assert reader.read_all() == body
        assert cluster.stat(0, 'asked') >= len(body) // BLOCK > asked
    assert asked_of(origin, since) == []


def test_the_last_record_of_a_worker_that_ends_arrives(origin, make_cluster):
    """All is said, and the kernel takes no more of it: who asked stands
    still while the worker is told to go."""
    cluster = make_cluster(origin, nodes=2, workers=1, taps=True,
                           block=OFF + '    timeout 20s;\n')
    number = location_of(origin, cluster)
    body = pattern(50_000)                      # all of it in one record
    origin.put('bkt', 'key', body)
    owner = cluster.nodes[1]
    assert get(owner, '/bkt/key').body == body
    link = wire.connect(cluster.ports[1])
    sent, stream = cluster.stat(1, 'sent_bytes'), 1
    with contextlib.suppress(wait.TimedOut):
        while stream < 4000:
            link.say(wire.ask(stream, number))
            wait.until(lambda n=sent + len(body):
                       cluster.stat(1, 'sent_bytes') >= n, 'more', 1)
            sent += len(body)
            stream += 2
    # it waits for the one before, which is not all gone
    link.say(wire.frame(wire.CANCEL, stream))
    last = stream - 2
    served = cluster.stat(1, 'served')
    wait.until(lambda: cluster.stat(1, 'served') == served, 'it is heard')
    owner.reload()
    owner.wait_log('gracefully shutting down')
    for number in range(1, last + 1, 2):
        assert link.answer(number)[1:] == (body, 0)
    assert link.ended()
    link.sock.close()


# --- links that hold what nobody takes ----------------------------------------

def test_a_hello_that_is_said_again_holds_no_connection(origin, make_cluster):
    """Nobody who cannot seal a record has one for longer than `timeout`; who
    can keeps it."""
    cluster = make_cluster(origin, nodes=2, workers=1, taps=True,
                           block='    timeout 300ms;\n    retry 50ms;\n')
    location_of(origin, cluster)
    said = [w.head(tap_lib.UP) for w in cluster.taps[1].wires
            if w.body(tap_lib.UP)]
    known = wire.connect(cluster.ports[1])
    known.say(wire.frame(wire.PING, 0, b'x' * 8))
    assert known.hear()[0] == wire.PONG
    strangers = []
    for _ in range(20):
        c = raw_http.Connection(cluster.ports[1])
        c.send(said[0])
        assert b' 101 ' in c._until(b'\r\n\r\n')
        strangers.append(c.sock)
    silent = wire.connect(cluster.ports[1])     # it could, and does not
    for sock in strangers + [silent.sock]:
        assert is_closed(sock)
    known.say(wire.frame(wire.PING, 0, b'y' * 8))
    assert known.hear()[3] == b'y' * 8
    known.sock.close()


@pytest.mark.parametrize('window', [0, 1, 30_000])
@pytest.mark.parametrize('size', [SMALL + 30_000, BIG])
def test_an_answer_that_is_not_taken_is_ended(
        origin, make_cluster, window, size):
    """PINGs are answered, so the link stays; what it would hold does not."""
    cluster = make_cluster(origin, nodes=2, workers=1, taps=True,
                           block='    timeout 1s;\n    retry 50ms;\n')
    number = location_of(origin, cluster)
    body = pattern(size)
    origin.put('bkt', 'key', body)
    link = wire.connect(cluster.ports[1])
    streams = range(1, 101, 2)
    link.say(*(wire.ask(i, number, window=window) for i in streams))
    got = dict.fromkeys(streams, b'')
    ends = {}
    while len(ends) < len(got):
        kind, stream, code, data = link.hear()
        if kind == wire.DATA:
            got[stream] += data
        elif kind == wire.END:
            ends[stream] = code
    assert 0 not in ends.values()
    assert all(data == body[:window] for data in got.values())
    cluster.nodes[1].check_accounting()
    link.say(wire.ask(10_001, number))
    assert link.answer(10_001)[1:] == (body[:BLOCK], 0)
    link.sock.close()


def test_a_link_is_given_up_after_all_of_its_time(origin, make_cluster):
    """Whatever came just before the clock was looked at."""
    timeout_s = 2
    cluster = make_cluster(origin, nodes=2, workers=1, taps=True,
                           block=f'    timeout {timeout_s}s;\n')
    number = location_of(origin, cluster)
    origin.put('bkt', 'key', pattern(SMALL))
    gate = origin.gate()
    origin.on('bkt', 'key', gate=gate)
    link = wire.connect(cluster.ports[1])
    link.say(wire.ask(1, number))
    gate.wait_reached()
    begun = time.monotonic()
    while time.monotonic() - begun < 0.9 * timeout_s:
        link.say(wire.frame(wire.PONG, 0, b'x' * 8))
        last = time.monotonic()
        select.select([], [], [], 0.01)
    link.sock.settimeout(15)
    with contextlib.suppress(ConnectionError):
        while link.sock.recv(4096):             # PINGs, not answered
            pass
    assert time.monotonic() - last > 0.95 * timeout_s
    link.sock.close()
    gate.open()
