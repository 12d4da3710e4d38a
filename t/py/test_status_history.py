# SPDX-License-Identifier: Apache-2.0
"""The history that a node keeps of itself: samples by whichever worker is
there, over reloads and deaths, what is read most, and how the other nodes
are."""

import json
import os
import signal
import struct
import threading
import time
from urllib.parse import quote

import pytest

from lib import wait
from lib.nginx import s3_zone
from origin.objects import pattern
from peer_reads import make_cluster

pytest.importorskip('cryptography')

from lib import wire                                         # noqa: E402

__all__ = ['make_cluster']

SUMMARY, ELSEWHERE = 8, 11
TIERS = ['ram', 'flash', 'mirror', 'peer', 'joined', 'origin', 'pass']


def ask(nginx, query, status=200):
    answer = nginx.request(target=f'/status?{query}', name='status')
    assert answer.status == status, (answer.status, answer.body)
    assert answer.headers['Content-Type'] == 'application/json'
    return json.loads(answer.body)


def history(nginx, series='seconds', at=0, **args):
    query = f'history={series}' + ''.join(
        f'&{name}={quote(str(value))}' for name, value in args.items())
    return ask(nginx, query)['zones'][at]


def total(shown, group, name):
    return sum(shown[group][name])


def wait_samples(nginx, count, series='seconds', **args):
    """As soon as there are so many."""
    found = []

    def enough():
        found[:] = [history(nginx, series, **args)]
        return len(found[0]['time_ms']) >= count
    wait.until(enough, lambda: f'{count} samples: {found}', 20, 0.05)
    return found[0]


def wait_total(nginx, group, name, least):
    found = []

    def enough():
        found[:] = [history(nginx)]
        return total(found[0], group, name) >= least
    wait.until(enough, lambda: f'{name} {least}: {found}', 10, 0.05)
    return found[0]


def begun(nginx):
    """What comes from now on is in samples: there is one to reckon from."""
    wait.until(lambda: history(nginx)['last'] > 0, 'the first sample')


def test_what_is_counted_is_in_the_samples(origin, make_gateway):
    nginx = make_gateway(origin)
    begun(nginx)
    body = pattern(50_000)
    origin.put('bkt', 'key', body)
    for _ in range(41):
        assert nginx.get('/bkt/key').body == body
    nginx.get('/bkt?list-type=2')
    shown = wait_total(nginx, 'counts', 'from_pass', 1)
    status = nginx.zone()
    for result in ('hit', 'miss', 'shared', 'bypass', 'refused', 'error'):
        assert total(shown, 'counts', result) == status['requests'][result]
    assert total(shown, 'counts', 'from_ram') == 40
    assert total(shown, 'counts', 'from_origin') == 1
    assert total(shown, 'bytes', 'sent_ram') == 40 * len(body)
    assert total(shown, 'counts', 'origin_requests') == \
        status['origin']['requests']
    assert shown['gauges']['entries'][-1] == status['memory']['entries']
    assert status['answers'] == {**dict.fromkeys(TIERS, 0), 'ram': 40,
                                 'origin': 1, 'pass': 1}
    # of what waits all is timed, of the rest one in 16 of each worker
    timed = {tier: sum(sum(cell[1:]) for cell in cells if cell)
             for tier, cells in shown['first_byte'].items()}
    assert timed['origin'] == 1 and timed['pass'] == 1
    assert 1 <= timed['ram'] <= 4
    assert {tier: status['latency']['tier'][tier]['count']
            for tier in TIERS} == timed
    # each sample says when it was and how long it is
    assert all(800 <= took < 5000 for took in shown['took_ms'])
    assert abs(shown['time_ms'][-1] / 1000 - time.time()) < 10
    gaps = [b - a for a, b in zip(shown['time_ms'], shown['time_ms'][1:])]
    assert gaps == shown['took_ms'][1:]


def test_who_joins_a_fill_did_not_have_it_from_memory(origin, make_gateway):
    nginx = make_gateway(origin)
    begun(nginx)
    origin.put('bkt', 'key', pattern(50_000))
    gate = origin.gate()
    origin.on('bkt', 'key', gate=gate)
    clients = [threading.Thread(target=nginx.get, args=('/bkt/key',))
               for _ in range(4)]
    clients[0].start()
    gate.wait_reached()
    for client in clients[1:]:
        client.start()

    def waiting():
        gauges = history(nginx)['gauges']
        return [3, 1] <= [max(gauges['waiting'], default=0),
                          max(gauges['fills'], default=0)]
    wait.until(waiting, lambda: history(nginx)['gauges'], 10, 0.05)
    gate.open()
    for client in clients:
        client.join()
    assert nginx.zone()['answers'] == {**dict.fromkeys(TIERS, 0),
                                       'joined': 3, 'origin': 1}
    wait.until(lambda: history(nginx)['gauges']['waiting'][-1] == 0,
               'nobody waits')


def test_it_lives_over_a_reload_and_the_death_of_a_worker(origin,
                                                          make_gateway):
    nginx = make_gateway(origin)
    origin.put('bkt', 'key', pattern(1000))
    begun(nginx)
    nginx.get('/bkt/key')
    before = wait_total(nginx, 'counts', 'miss', 1)
    nginx.kill_worker()
    nginx.reload(wait_old=True)
    nginx.get('/bkt/key')
    after = wait_total(nginx, 'counts', 'hit', 1)
    assert total(after, 'counts', 'miss') == 1
    assert after['last'] > before['last']
    assert after['took_ms'][:len(before['took_ms'])] == before['took_ms']


def test_any_worker_will_do_and_a_pause_is_one_long_sample(origin,
                                                           make_gateway):
    nginx = make_gateway(origin, workers=2)
    begun(nginx)
    one, two = nginx.worker_pids()
    try:
        os.kill(one, signal.SIGSTOP)
        # the kernel may hand a connection to who stands still: nothing is
        # asked now, and the other one goes on
        since = time.monotonic()
        wait.until(lambda: time.monotonic() > since + 3.2, 'samples of one')
        os.kill(two, signal.SIGSTOP)
        since = time.monotonic()
        wait.until(lambda: time.monotonic() > since + 2.5, 'no samples')
    finally:
        for pid in (one, two):
            os.kill(pid, signal.SIGCONT)

    def found():
        took = history(nginx)['took_ms']
        return took if took and max(took) >= 2400 else None
    took = wait.until(found, lambda: history(nginx)['took_ms'], 10, 0.05)
    assert len([t for t in took if t >= 2400]) == 1, took
    at = took.index(max(took))
    assert at >= 2 and all(t < 2400 for t in took[:at]), took


def test_only_what_is_new_is_told(origin, make_nginx):
    nginx = make_nginx(http=s3_zone('one') + s3_zone('two')).start()
    shown = wait_samples(nginx, 2, zone='two')
    assert shown['name'] == 'two'
    more = wait.until(lambda: (history(nginx, zone='two', since=shown['last'])
                               ['time_ms'] or None), 'a new sample', 10, 0.05)
    assert len(more) <= 2
    newest = history(nginx, zone='two')['last']
    later = history(nginx, zone='two', since=newest)
    assert len(later['time_ms']) <= 1 and later['last'] >= newest
    assert [z['name'] for z in ask(nginx, 'history=minutes')['zones']] == [
        'one', 'two']
    assert ask(nginx, 'history=minutes')['period_ms'] == 60000
    # a number of another life, or of nobody
    assert len(history(nginx, zone='two', since=10 ** 15)['time_ms']) >= 2


@pytest.mark.parametrize('query, why', [
    ('history=hours', 'seconds, minutes, hot or ring'),
    ('history=', 'seconds, minutes, hot or ring'),
    ('history=seconds&since=x', 'since'),
    ('history=seconds&since=-1', 'since'),
    ('history=seconds&since=99999999999999999999', 'since'),
    ('history=seconds&zone=cold', 'none of this name'),
    ('history=seconds&zone=%zz', 'none of this name'),
    ('history=seconds&zone=' + 'a' * 300, 'none of this name'),
    ('history=ring&zone=hot', 'no peers'),
    ('history=ring', 'where there is not just one'),
])
def test_what_is_not_understood_is_refused(make_nginx, query, why):
    nginx = make_nginx(http=s3_zone() + s3_zone('warm')).start()
    assert why in ask(nginx, query, 400)['error']


def test_the_hottest_keys_have_names(origin, make_gateway):
    nginx = make_gateway(origin, workers=1)
    hostile = '<img src=x onerror="x()">\u2028\x01'
    origin.put('bkt', hostile, b'x')
    for number in range(20):
        origin.put('bkt', f'key{number}', b'x')
    for number in range(20):
        nginx.get(f'/bkt/key{number}')
        for _ in range(16):
            nginx.get('/bkt/' + quote(hostile))
    shown = ask(nginx, 'history=hot')
    keys = shown['zones'][0]['keys']
    assert keys[0]['name'] == 'bkt/' + hostile
    # one in 16 is noted, and stands for as many
    assert 15 * 16 <= keys[0]['reads'] <= 22 * 16
    assert all(key['reads'] <= 3 * 16 for key in keys[1:])


def test_each_node_tells_how_it_is(origin, make_cluster):
    cluster = make_cluster(origin, block='retry 100ms; timeout 2s;')
    for key in range(12):
        origin.put('bkt', f'key{key}', pattern(10_000))
    for node in cluster.nodes:
        begun(node)
    for key in range(12):
        cluster.nodes[1].get(f'/bkt/key{key}')

    def nodes():
        shown = ask(cluster.nodes[0], 'history=ring')
        assert shown['zone'] == 'hot'
        return {n['name']: n for n in shown['nodes']}
    wait.until(lambda: nodes()['node1'].get('requests') == 12,
               nodes, 10, 0.05)
    shown = nodes()
    assert sorted(shown) == ['node0', 'node1', 'node2']
    assert [shown[n]['self'] for n in sorted(shown)] == [True, False, False]
    assert {n['error'] for n in shown.values()} == {None}
    assert shown['node1']['sent_bytes'] == 120_000
    assert shown['node0']['requests'] == 0
    assert shown['node1']['took_ms'] > 0
    memory = cluster.nodes[1].zone()['memory']
    assert shown['node1']['arena_bytes'] == memory['arena_bytes']
    # it is not counted as a question
    before = cluster.stat(0, 'asked')
    nodes()
    assert cluster.stat(0, 'asked') == before

    cluster.nodes[2].kill_all()
    wait.until(lambda: nodes()['node2']['error'] == 'unreachable', nodes, 10,
               0.05)
    assert nodes()['node1']['error'] is None


def summary(*numbers, version=1, count=None):
    return struct.pack(f'<II{len(numbers)}Q', version,
                       len(numbers) if count is None else count, *numbers)


def test_what_a_node_says_of_itself_on_the_wire(origin, make_cluster):
    cluster = make_cluster(origin, nodes=2)
    link = wire.connect(cluster.ports[1])
    link.say(wire.ask(1, 0, b'', SUMMARY, b'', window=0))
    head, body, code = link.answer(1)
    count = struct.unpack_from('<II', head)
    assert count == (1, 15) and len(head) == 8 + 8 * 15
    assert (body, code) == (b'', 0)
    memory = cluster.nodes[1].zone()['memory']
    assert struct.unpack('<15Q', head[8:])[8] == memory['arena_bytes']
    # nobody who keeps to the rules names an object in it
    link.say(wire.ask(3, 0, b'key', SUMMARY, b'bkt'))
    assert link.ended()


LIES = {
    'right': (summary(1000, 7, *range(13)), None),
    'more': (summary(1000, 7, *range(40)), None),
    'less': (summary(1000, 7), None),
    'short': (b'\1\0\0\0', 'wrong'),
    'version': (summary(1000, 7, version=2), 'wrong'),
    'count': (summary(1000, 7, count=3), 'wrong'),
    'huge_count': (summary(1000, 7, count=0x20000002), 'wrong'),
    'long': (summary(*range(300)), 'wrong'),
    'none': (b'', 'wrong'),
}


def test_a_node_that_lies_is_shown_without_numbers(origin, make_cluster):
    cluster = make_cluster(origin, nodes=2, workers=1,
                           block='retry 100ms; connect_timeout 300ms;')
    cluster.lies = True
    cluster.nodes[1].stop()
    lie = []

    def talk(link, stream, asked):
        if asked['what'] == SUMMARY:
            link.say(wire.meta(stream, lie[0]), wire.frame(wire.END, stream))
        else:
            link.say(wire.frame(wire.END, stream, code=ELSEWHERE))

    def other():
        return ask(cluster.nodes[0], 'history=ring')['nodes'][1]
    worker = cluster.nodes[0].worker_pids()
    with wire.Node(cluster.ports[1], 'node1', talk):
        for head, error in LIES.values():
            lie[:] = [head]
            wait.until(lambda: other()['error'] != 'unreachable', other)
            shown = other()
            assert shown['error'] == error, shown
            assert shown.get('requests') == (None if error else 7), shown
    assert cluster.nodes[0].worker_pids() == worker
