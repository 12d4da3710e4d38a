# SPDX-License-Identifier: Apache-2.0
"""A ring whose parts fail: workers, nodes, links, the origin. Who asks a node
that lives is answered, and never with wrong bytes. Strangers are in
test_peers_strangers.py."""

import collections
import contextlib
import os
import signal
import time

import pytest

from flash_reads import Load, Objects
from lib import tap as tap_lib
from lib import wait
from lib.reader import Cut, Reader
from origin.objects import pattern
from peer_reads import (BLOCK, QUICK, STRIPE, asked_twice, blocks, check, get,
                        stopped)
from peer_reads import make_cluster    # noqa: F401 (a fixture)

SMALL, BIG = 50_000, 700_000
GATES = [None, 0, 20_000]


def in_mid_fill(origin, cluster, size, at, key=None):
    """An object whose owner, which is told, has asked the origin for it and
    stands at body byte `at`; others read it: (owner, readers, gate, body)."""
    owner = 1
    key = key or cluster.key_of(owner)
    body = pattern(size, 5)
    origin.put('bkt', key, body)
    gate = origin.gate(at=at)
    origin.on('bkt', key, gate=gate, times=1)
    readers = [Reader(node, f'/bkt/{key}') for node in cluster.others(owner)
               for _ in range(4)]
    gate.wait_reached()
    if at:
        for reader in readers:
            assert reader.read_to(at) == body[:at]
    return owner, readers, gate, body


def finish(readers, body):
    for reader in readers:
        assert reader.read_all() == body
        assert reader.status == 200
        reader.close()


# --- clients ---------------------------------------------------------------------

@pytest.mark.parametrize('size', [SMALL, BIG])
@pytest.mark.parametrize('at', GATES)
def test_clients_that_go_in_mid_body(origin, make_cluster, size, at):
    cluster = make_cluster(origin)
    _, readers, gate, body = in_mid_fill(origin, cluster, size, at)
    for i, reader in enumerate(readers[:-1]):
        reader.close(reset=i % 2 == 0)
    gate.open()
    finish(readers[-1:], body)
    assert asked_twice(origin) == [('HEAD', 'k1', None, None)] \
        or asked_twice(origin) == []


@pytest.mark.parametrize('size', [SMALL, BIG])
@pytest.mark.parametrize('at', GATES)
def test_all_clients_go_in_mid_body(origin, make_cluster, size, at):
    cluster = make_cluster(origin)
    _, readers, gate, body = in_mid_fill(origin, cluster, size, at)
    for i, reader in enumerate(readers):
        reader.close(reset=i % 2 == 0)
    gate.open()
    key = origin.requests[-1].key
    for node in cluster.nodes:
        assert get(node, f'/bkt/{key}').body == body
    assert [s for s in asked_twice(origin) if s[0] == 'GET'] == []


def test_many_clients_that_come_and_go(origin, make_cluster):
    cluster = make_cluster(origin)
    mine = Objects(origin, 30, (1000, 900_000))
    for turn in range(6):
        readers = [Reader(node, t, rcvbuf=8192) for t in mine.targets
                   for node in cluster.nodes]
        for i, reader in enumerate(readers):
            if (i + turn) % 3 == 0:
                reader.close(reset=i % 2 == 0)
            elif (i + turn) % 3 == 1:
                reader.read_to(1)
                reader.close(reset=i % 2 == 0)
        for i, reader in enumerate(readers):
            if reader.sock:
                target = mine.targets[i // len(cluster.nodes)]
                assert reader.read_all() == mine.bodies[target]
                reader.close()


# --- the origin --------------------------------------------------------------------

FAULTS = {
    '503': dict(error=(503, 'SlowDown')), '500': dict(error=(500, 'Oops')),
    '403': dict(error=(403, 'AccessDenied')), 'drop': dict(drop=True),
    'reset': dict(drop=True, reset=True), 'hang': dict(hang=True),
    'cut': dict(cut_at=20_000), 'cut0': dict(cut_at=0),
    'status_line': dict(raw=b'HTTP/9.9 nonsense\r\n\r\n'),
}


def outcome(node, target, headers=None):
    """(status, bytes that came, whether all of them came)."""
    with Reader(node, target, headers=headers) as reader:
        try:
            reader.read_all()
            return reader.status, bytes(reader.body), True
        except Cut:
            return reader.status, bytes(reader.body), False


@pytest.mark.parametrize('span', [None, (STRIPE, STRIPE + 2 * BLOCK - 1)])
@pytest.mark.parametrize('size', [SMALL, BIG])
@pytest.mark.parametrize('fault', FAULTS)
def test_what_the_origin_does_wrong_is_as_without_a_ring(
        origin, make_cluster, fault, size, span):
    if span and size == SMALL:
        pytest.skip('no such range')
    quick = 's3_cache_origin_read_timeout 500ms;'
    body = pattern(size, 3)
    words = {'Range': f'bytes={span[0]}-{span[1]}'} if span else None
    wanted = body[span[0]:span[1] + 1] if span else body
    ring = make_cluster(origin, location=quick)
    alone = make_cluster(origin, location=quick, nodes=1)
    found, asked = {}, {}
    for name, cluster in (('ring', ring), ('alone', alone)):
        for i in range(3 if name == 'ring' else 1):
            for times in (1, None):
                key = f'{name}{i}{times}'
                origin.put('bkt', key, body)
                rule = origin.on('bkt', key, times=times, **FAULTS[fault])
                got = outcome(cluster.nodes[i], f'/bkt/{key}', words)
                assert got[0] in (200, 206, 403, 500, 502, 503, 504), (
                    name, i, times, got)
                if got[0] in (200, 206):
                    assert wanted.startswith(got[1])
                found[name, i, times] = got
                # of what is cut, how many blocks ahead were asked for as well is
                # by chance; how often the same was is not
                seen = collections.Counter(
                    r.header('range') if fault.startswith('cut') else None
                    for r in origin.requests_for(key=key))
                asked[name, i, times] = max(seen.values())
                origin.off(rule)
                for node in cluster.nodes:
                    again = outcome(node, f'/bkt/{key}', words)
                    assert again == (206 if span else 200, wanted, True)
    for (name, i, times), got in found.items():
        plain = found['alone', 0, times]
        if got[2] and got[0] in (200, 206):
            continue                               # better
        assert asked[name, i, times] <= 3 * asked['alone', 0, times] + 3
        what = {k: (v[0], len(v[1]), v[2]) for k, v in found.items()}
        if fault.startswith('cut'):                # how far it came: by chance
            assert not got[2] or got[0] == 502, what
        else:
            assert (got[0], got[2]) == (plain[0], plain[2]), what


@pytest.mark.parametrize('fault', ['503', 'drop', 'hang', 'cut0'])
def test_a_later_stripe_that_fails_once_costs_nothing(
        origin, make_cluster, fault):
    cluster = make_cluster(origin,
                           location='s3_cache_origin_read_timeout 500ms;')
    for i in range(6):
        obj = origin.put('bkt', f'key{i}', pattern(4 * STRIPE, i))
        rule = origin.on('bkt', f'key{i}', times=1, **FAULTS[fault],
                         when=lambda r: r.header('range')
                         == f'bytes={2 * STRIPE}-{2 * STRIPE + BLOCK - 1}')
        check(cluster.nodes[i % 3], obj, f'/bkt/key{i}')
        origin.off(rule)


# --- workers and nodes that die ------------------------------------------------------

@pytest.mark.parametrize('size', [SMALL, BIG])
@pytest.mark.parametrize('at', GATES)
@pytest.mark.parametrize('which', [0, 1])
def test_a_worker_of_the_owner_dies_in_mid_fill(
        origin, make_cluster, size, at, which):
    cluster = make_cluster(origin, block=QUICK)
    owner, readers, gate, body = in_mid_fill(origin, cluster, size, at)
    node = cluster.nodes[owner]
    node.kill_worker(sorted(node.worker_pids())[which])
    gate.open()
    finish(readers, body)
    for node in cluster.nodes:
        node.check_accounting(timeout_s=20)


@pytest.mark.parametrize('size', [SMALL, BIG])
@pytest.mark.parametrize('at', GATES)
def test_the_owners_only_worker_dies_in_mid_fill(
        origin, make_cluster, size, at):
    cluster = make_cluster(origin, block=QUICK, workers=1)
    owner, readers, gate, body = in_mid_fill(origin, cluster, size, at)
    cluster.nodes[owner].kill_worker()
    gate.open()
    finish(readers, body)
    for node in cluster.nodes:
        node.check_accounting(timeout_s=20)


@pytest.mark.parametrize('size', [SMALL, BIG])
@pytest.mark.parametrize('at', GATES)
@pytest.mark.parametrize('how', ['kill_all', 'stop'])
def test_the_owner_goes_in_mid_fill_and_returns(
        origin, make_cluster, size, at, how):
    cluster = make_cluster(origin, block=QUICK)
    owner, readers, gate, body = in_mid_fill(origin, cluster, size, at)
    node = cluster.nodes[owner]
    getattr(node, how)()
    finish(readers, body)
    gate.open()
    node.start()

    def is_asked_again():
        for other in cluster.others(owner):
            key = cluster.key_of(owner, prefix='again')
            origin.put('bkt', key, b'x')
            assert get(other, f'/bkt/{key}').body == b'x'
        return cluster.stat(owner, 'served') >= 2

    wait.until(is_asked_again, 'it is asked again', every_s=0.1)


@pytest.mark.parametrize('size', [SMALL, BIG])
@pytest.mark.parametrize('at', GATES)
def test_the_owner_leaves_gracefully_in_mid_fill(
        origin, make_cluster, size, at):
    cluster = make_cluster(origin, block=QUICK)
    owner, readers, gate, body = in_mid_fill(origin, cluster, size, at)
    cluster.nodes[owner].send_signal(signal.SIGQUIT)
    cluster.nodes[owner].wait_log('gracefully shutting down')
    gate.open()
    finish(readers, body)
    cluster.nodes[owner].child.wait(10)
    mine = Objects(origin, 20, (0, 200_000))
    for node in cluster.others(owner):
        mine.fetch(node)


@pytest.mark.parametrize('size', [SMALL, BIG])
@pytest.mark.parametrize('at', GATES)
def test_who_asks_dies(origin, make_cluster, size, at):
    cluster = make_cluster(origin)
    owner, readers, gate, body = in_mid_fill(origin, cluster, size, at)
    cluster.nodes[0].kill_all()
    pids = list(cluster.nodes[2].worker_pids())
    for pid in pids:                    # or the last one could ask anew
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        cluster.nodes[2].kill_worker(pid)
    for reader in readers:
        with pytest.raises(Cut):
            reader.read_all()
        reader.close()
    gate.open()
    key = origin.requests[-1].key
    cluster.nodes[0].start()
    for node in cluster.nodes:
        assert get(node, f'/bkt/{key}').body == body
        node.check_accounting(timeout_s=20)


def test_all_other_nodes_are_dead(origin, make_cluster):
    cluster = make_cluster(origin, block=QUICK)
    mine = Objects(origin, 40, (0, 400_000))
    mine.fetch(cluster.nodes[1])
    cluster.nodes[1].kill_all()
    cluster.nodes[2].kill_all()
    last = cluster.nodes[0]
    for _ in range(2):
        mine.fetch(last)
    for target in mine.targets:
        size = len(mine.bodies[target])
        answer = get(last, target, {'Range': 'bytes=-100'})
        assert answer.status == (206 if size else 200)
        assert answer.body == mine.bodies[target][-100:]
    asked = len(origin.requests)
    mine.fetch(last)                    # it has become everybody's owner
    assert len(origin.requests) == asked
    more = Objects(origin, 20, (0, 400_000), seed=2)
    for target in more.targets:         # one that was not read before
        obj = origin.get('bkt', target.split('/')[2])
        check(last, obj, target, method='HEAD')
        check(last, obj, target, {'Range': 'bytes=-10'})


def test_a_node_dies_and_returns_under_load(origin, make_cluster):
    cluster = make_cluster(origin, block=QUICK)
    mine = Objects(origin, 60, (0, 500_000))
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(Load(cluster.nodes[i], mine))
                 for i in (0, 2)]
        for _ in range(3):
            cluster.nodes[1].kill_all()
            for load in loads:
                load.wait_answers(60)
            cluster.nodes[1].start()
            for load in loads:
                load.wait_answers(60)


@pytest.mark.parametrize('how', ['stop', 'quit'])
def test_a_node_is_stopped_and_started_under_load(origin, make_cluster, how):
    cluster = make_cluster(origin, block=QUICK)
    mine = Objects(origin, 60, (0, 500_000))
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(Load(cluster.nodes[i], mine))
                 for i in (0, 2)]
        for _ in range(4):
            getattr(cluster.nodes[1], how)(timeout_s=10)
            for load in loads:
                load.wait_answers(60)
            cluster.nodes[1].start()
            for load in loads:
                load.wait_answers(60)


@pytest.mark.parametrize('sizes', [(0, 50_000), (500_000, 2_000_000)])
def test_a_node_is_reloaded_under_load(origin, make_cluster, sizes):
    """Old workers leave though other nodes never stop asking."""
    cluster = make_cluster(origin, block=QUICK)
    mine = Objects(origin, 40, sizes)
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(Load(node, mine))
                 for node in cluster.nodes]
        for _ in range(4):
            cluster.nodes[1].reload(wait_old=True, timeout_s=12)
            for load in loads:
                load.wait_answers(40)
    assert len(asked_twice(origin)) < len(origin.requests) / 4


def test_workers_of_all_nodes_die_under_load(origin, make_cluster):
    cluster = make_cluster(origin, block=QUICK)
    mine = Objects(origin, 40, (0, 500_000))
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(Load(node, mine, may_fail=True))
                 for node in cluster.nodes]
        for turn in range(9):
            cluster.nodes[turn % 3].kill_worker()
            for load in loads:
                load.wait_answers(20)
    for node in cluster.nodes:
        node.check_accounting(timeout_s=20)
        mine.fetch(node)


# --- nodes and links that hang --------------------------------------------------------

HANG = '    timeout 1s;\n    connect_timeout 500ms;\n'


@pytest.mark.parametrize('linked', [False, True])
def test_a_node_that_hangs(origin, make_cluster, linked):
    cluster = make_cluster(origin, block=HANG)
    mine = Objects(origin, 40, (0, 400_000))
    if linked:
        for i in (0, 2):
            Objects(origin, 40, (0, 400_000), seed=9).fetch(cluster.nodes[i])
    with stopped(cluster.nodes[1]):
        for i in (0, 2):
            begun = time.monotonic()
            mine.fetch(cluster.nodes[i], lanes=40)
            assert time.monotonic() - begun < 15
            begun = time.monotonic()
            mine.fetch(cluster.nodes[i], lanes=40)
            assert time.monotonic() - begun < 15
    for node in cluster.nodes:
        mine.fetch(node)


@pytest.mark.parametrize('size', [SMALL, BIG])
@pytest.mark.parametrize('at', GATES)
def test_an_owner_that_hangs_in_mid_fill(origin, make_cluster, size, at):
    cluster = make_cluster(origin, block=HANG)
    owner, readers, gate, body = in_mid_fill(origin, cluster, size, at)
    with stopped(cluster.nodes[owner]):
        gate.open()
        finish(readers, body)
    for node in cluster.nodes:
        node.check_accounting(timeout_s=20)


def test_an_owner_that_waits_for_its_origin_does_not_hang(
        origin, make_cluster):
    """Silence is no sign of that: PING is answered. For long enough."""
    cluster = make_cluster(origin, block='    timeout 300ms;\n')
    key = cluster.key_of(1)
    for size in (SMALL, BIG):
        body = pattern(size)
        origin.put('bkt', key + str(size), body)
        origin.on('bkt', key + str(size), head_delay_s=1.5, times=1)
        readers = [Reader(node, f'/bkt/{key}{size}') for node in cluster.nodes]
        finish(readers, body)
        assert len(origin.requests_for(key=key + str(size))) == blocks(size)
    for i in range(3):
        assert cluster.stat(i, 'failures')['away'] == 0


@pytest.mark.parametrize('mid', [False, True])
def test_a_network_that_swallows(origin, make_cluster, mid):
    cluster = make_cluster(origin, block=HANG + QUICK, taps=True)
    mine = Objects(origin, 30, (0, 400_000))
    if mid:
        mine.fetch(cluster.nodes[0])
    for tap in cluster.taps:
        tap.hold()
    begun = time.monotonic()
    mine.fetch(cluster.nodes[0], lanes=30)
    mine.fetch(cluster.nodes[2], lanes=30)
    assert time.monotonic() - begun < 40
    for tap in cluster.taps:
        tap.go_on()
        tap.drop_all()
    for node in cluster.nodes:
        mine.fetch(node)


# --- links that are cut, damaged, slow ---------------------------------------------------

OFFSETS = [0, 1, 3, 4, 19, 20, 21, 60, 75, 76, 100, 400, 5000, 40_000, 66_000,
           70_000, 200_000]


@pytest.mark.parametrize('way', [tap_lib.UP, tap_lib.DOWN])
@pytest.mark.parametrize('what', ['cut', 'flip'])
def test_damage_at_any_byte_costs_no_answer(origin, make_cluster, way, what):
    cluster = make_cluster(origin, block=QUICK, taps=True, workers=1)
    mine = Objects(origin, 12, (0, 400_000))
    for offset in OFFSETS:
        for tap in cluster.taps:
            setattr(tap, what, (way, offset))
            tap.times = 2
            tap.drop_all()
        for node in cluster.nodes:
            mine.fetch(node)
    assert sum(tap.damaged for tap in cluster.taps) >= len(OFFSETS) // 2


def test_a_link_that_is_cut_now_and_then_under_load(origin, make_cluster):
    cluster = make_cluster(origin, block=QUICK, taps=True)
    mine = Objects(origin, 40, (0, 900_000))
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(Load(node, mine))
                 for node in cluster.nodes]
        for turn in range(30):
            cluster.taps[turn % 3].drop_all()
            loads[turn % 2].wait_answers(15)


@pytest.mark.parametrize('piece', [1, 7, 1000])
def test_a_link_in_small_pieces(origin, make_cluster, piece):
    cluster = make_cluster(origin, taps=True, nodes=2)
    for tap in cluster.taps:
        tap.piece = piece
    mine = Objects(origin, 8, (0, 3000 * min(piece, 100)))
    for node in cluster.nodes:
        mine.fetch(node)
    assert asked_twice(origin) == []
