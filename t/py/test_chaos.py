# SPDX-License-Identifier: Apache-2.0
"""Workers that die, reloads, evictions and overwrites: every answer is some
version that the origin had, and the zone is whole afterwards.

CHAOS_SECONDS (16) is how long the random part runs; CHAOS_SEED chooses it.
"""

import concurrent.futures
import random
import signal
import time

import pytest

from chaos import SECONDS, SEED, VALID_S, Clients, Versions
from lib import process, wait
from lib.nginx import s3_location, s3_zone
from lib.reader import LANES, Cut, Lanes, Reader
from origin.objects import pattern
from origin.scripted_origin import ScriptedOrigin

MIB = 1 << 20
NARROW = LANES + 'listen 127.0.0.1:@port:narrow@ sndbuf=16k;\n'


def memory(nginx):
    return nginx.zone()['memory']


def wait_pins(nginx, count):
    wait.until(lambda: memory(nginx)['pins'] >= count,
               lambda: f'{count} pins in {memory(nginx)}', every_s=0.02)


def is_gone(pid):
    return not process.is_alive(pid)


def rest(nginx, dead):
    """So many workers were swept, nothing is held, and the end. The memory of
    their fills stays in quarantine for 10 s: not awaited here."""
    wait.until(lambda: memory(nginx)['dead_workers'] == dead
               and memory(nginx)['pins'] == memory(nginx)['fills'] == 0,
               lambda: f'{dead} workers swept: {memory(nginx)}')
    assert memory(nginx)['fill_bytes'] == 0
    nginx.stop()


# --- kill -9 -------------------------------------------------------------------

@pytest.mark.parametrize('size', [100_000, 4 * MIB])
@pytest.mark.parametrize('at', [None, 0, 40_000])
def test_followers_go_on_when_the_leaders_worker_dies(
        origin, make_gateway, size, at):
    body = pattern(size)
    origin.put('bkt', 'key', body)
    gate = origin.gate(at=at)
    origin.on('bkt', 'key', gate=gate, times=1)
    nginx = make_gateway(origin, server=LANES)
    with Lanes(nginx, each=8) as lanes:
        doomed, living = lanes.pids
        leader = lanes.reader(doomed, '/bkt/key')
        gate.wait_reached()
        followers = [lanes.reader(living, '/bkt/key') for _ in range(6)]
        wait_pins(nginx, 7)
        if at:
            for reader in followers + [leader]:
                assert reader.read_to(at) == body[:at]
        nginx.kill_worker(doomed)
        with pytest.raises(Cut):
            leader.read_all()
        for reader in followers:
            assert reader.read_all() == body
            assert reader.status == 200
            reader.close()
        leader.close()
    gate.open()
    assert nginx.get('/bkt/key').body == body
    rest(nginx, 1)


def test_followers_of_a_later_block_go_on_when_its_worker_dies(
        origin, make_gateway):
    body = pattern(6 * MIB)
    origin.put('bkt', 'key', body)
    gate = origin.gate(at=300_000)
    origin.on('bkt', 'key', gate=gate, times=1,
              when=lambda r: r.header('range') == f'bytes={3 * MIB}-'
                                                  f'{4 * MIB - 1}')
    nginx = make_gateway(origin, server=LANES)
    with Lanes(nginx, each=8) as lanes:
        doomed, living = lanes.pids
        leader = lanes.reader(doomed, '/bkt/key',
                              headers={'Range': f'bytes={3 * MIB}-'})
        gate.wait_reached()
        leader.read_to(300_000)
        followers = [lanes.reader(living, '/bkt/key') for _ in range(5)]
        for reader in followers:
            assert reader.read_to(3 * MIB + 300_000)
        nginx.kill_worker(doomed)
        for reader in followers:
            assert reader.read_all() == body
            reader.close()
        leader.close()
    gate.open()
    rest(nginx, 1)


def test_a_fill_goes_on_when_a_followers_worker_dies(origin, make_gateway):
    body = pattern(100_000)
    origin.put('bkt', 'key', body)
    gate = origin.gate(at=40_000)
    origin.on('bkt', 'key', gate=gate)
    nginx = make_gateway(origin, server=LANES)
    with Lanes(nginx, each=4) as lanes:
        living, doomed = lanes.pids
        leader = lanes.reader(living, '/bkt/key')
        gate.wait_reached()
        follower = lanes.reader(doomed, '/bkt/key')
        follower.read_to(40_000)
        nginx.kill_worker(doomed)
        wait.until(lambda: memory(nginx)['dead_workers'] == 1, 'it is swept')
        gate.open()
        assert leader.read_all() == body
        leader.close()
        follower.close()
    assert nginx.get('/bkt/key').getheader('X-Cache') == 'HIT'
    assert len(origin.requests) == 1


def test_all_workers_die_in_mid_fill(origin, make_gateway):
    bodies = {f'key{i}': pattern(200_000 + i, i) for i in range(20)}
    for key, body in bodies.items():
        origin.put('bkt', key, body)
    gate = origin.gate(at=100_000)
    origin.on('bkt', gate=gate, times=20)
    nginx = make_gateway(origin, workers=3)
    readers = [Reader(nginx, f'/bkt/{key}') for key in bodies]
    gate.wait_reached(20)
    for pid in nginx.worker_pids():
        nginx.kill_worker(pid)
    for reader in readers:
        with pytest.raises(Cut):
            reader.read_all()
        reader.close()
    gate.open()
    for key, body in bodies.items():
        assert nginx.get(f'/bkt/{key}').body == body
    wait.until(lambda: memory(nginx)['dead_workers'] == 3, 'all are swept')
    # what they were filling comes back, after its quarantine
    nginx.check_accounting(timeout_s=20)
    assert memory(nginx)['payload_bytes'] < sum(map(len, bodies.values())) \
        + 20 * 1024


def test_pins_of_a_dead_worker_are_let_go(origin, make_gateway):
    """A zone that was full of what it was sending is of use again."""
    nginx = make_gateway(origin, server=NARROW, zone={'size': '8m'},
                         workers=1)
    readers = []
    for i in range(16):
        body = pattern(900_000, i)
        origin.put('bkt', f'key{i}', body)
        reader = Reader(nginx, f'/bkt/key{i}', name='narrow', rcvbuf=4096)
        assert reader.read_to(100) == body[:100]
        readers.append(reader)
    more = pattern(900_000, 99)
    origin.put('bkt', 'more', more)
    assert nginx.get('/bkt/more').getheader('X-Cache') == 'BYPASS'
    nginx.kill_worker()
    for reader in readers:
        reader.close()
    wait.until(lambda: memory(nginx)['pins'] == 0, 'pins are swept')
    for _ in range(2):
        answer = nginx.get('/bkt/more')
        assert answer.body == more
    assert answer.getheader('X-Cache') == 'HIT'


@pytest.mark.parametrize('policy', ['s3fifo', 'lru'])
def test_what_was_kept_outlives_its_worker(origin, make_gateway, policy):
    nginx = make_gateway(origin, zone={'policy': policy}, workers=1)
    for i in range(50):
        origin.put('bkt', f'key{i}', pattern(10_000 + i, i))
        assert nginx.get(f'/bkt/key{i}').status == 200
    for _ in range(3):
        nginx.kill_worker()
        for i in range(50):
            answer = nginx.get(f'/bkt/key{i}')
            assert answer.body == pattern(10_000 + i, i)
            assert answer.getheader('X-Cache') == 'HIT'
    assert len(origin.requests) == 50


# --- reload and the end ----------------------------------------------------------

@pytest.mark.parametrize('at', [None, 40_000])
@pytest.mark.parametrize('size', [100_000, 3 * MIB])
def test_old_workers_finish_what_they_began(origin, make_gateway, at, size):
    body = pattern(size)
    origin.put('bkt', 'key', body)
    gate = origin.gate(at=at)
    origin.on('bkt', 'key', gate=gate)
    nginx = make_gateway(origin, server=LANES)
    with Lanes(nginx, each=4) as lanes:
        leading, following = lanes.pids
        readers = [lanes.reader(leading, '/bkt/key')]
        gate.wait_reached()
        readers += [lanes.reader(pid, '/bkt/key')
                    for pid in (leading, following, following)]
        wait_pins(nginx, 5)
        if at:
            for reader in readers:
                assert reader.read_to(at) == body[:at]
        nginx.reload()
        # who comes now is served by a new worker, and joins the old fill
        late = Reader(nginx, '/bkt/key')
        wait_pins(nginx, 6)
        gate.open()
        for reader in readers + [late]:
            assert reader.read_all() == body
            reader.close()
        wait.until(lambda: is_gone(leading) and is_gone(following),
                   'the old workers leave')
    asked = len(origin.requests)
    assert asked == (size + MIB - 1) // MIB
    answer = nginx.get('/bkt/key')
    assert (answer.body, answer.getheader('X-Cache')) == (body, 'HIT')
    assert len(origin.requests) == asked


def test_a_follower_alone_in_its_worker_outlives_a_reload(
        origin, make_gateway):
    """Nothing but the wait for another worker's fill keeps its worker."""
    body = pattern(100_000)
    origin.put('bkt', 'key', body)
    gate = origin.gate()
    origin.on('bkt', 'key', gate=gate)
    nginx = make_gateway(origin, server=LANES)
    with Lanes(nginx) as lanes:
        leading, following = lanes.pids
        leader = lanes.reader(leading, '/bkt/key')
        gate.wait_reached()
        follower = lanes.reader(following, '/bkt/key')
        wait_pins(nginx, 3)
        nginx.reload()
        nginx.wait_log('gracefully shutting down')
        wait.until(lambda: 'shutting down' in process.title(following)
                   or is_gone(following), 'it is to leave')
        gate.open()
        assert leader.read_all() == body
        assert follower.read_all() == body
        leader.close()
        follower.close()
    assert len(origin.requests) == 1


def test_a_zone_stays_warm_over_reloads(origin, make_gateway):
    nginx = make_gateway(origin, zone={'size': '32m'})
    for i in range(20):
        origin.put('bkt', f'key{i}', pattern(100_000, i))
        nginx.get(f'/bkt/key{i}')
    for workers in (1, 3, 2, 2, 4, 2):
        nginx.reload(workers=workers)
        for i in range(20):
            answer = nginx.get(f'/bkt/key{i}')
            assert answer.body == pattern(100_000, i)
            assert answer.getheader('X-Cache') == 'HIT'
    assert len(origin.requests) == 20


@pytest.mark.parametrize('change', [
    {'size': '48m'}, {'policy': 'lru'}, {'fills': 256},
    {'fill_memory': '4m'}])
def test_a_zone_with_other_settings_begins_empty(
        origin, make_gateway, change):
    body = pattern(100_000)
    origin.put('bkt', 'key', body)
    nginx = make_gateway(origin, zone={'size': '32m'})
    assert nginx.get('/bkt/key').body == body
    slow = Reader(nginx, '/bkt/key')
    slow.read_to(10)
    nginx.reload(http=s3_zone(**dict({'size': '32m'}, **change)))
    answer = nginx.get('/bkt/key')
    assert (answer.body, answer.getheader('X-Cache')) == (body, 'MISS')
    assert nginx.get('/bkt/key').getheader('X-Cache') == 'HIT'
    assert slow.read_all() == body
    slow.close()
    assert 'begins empty' in nginx.log()


def test_a_reload_that_is_refused_changes_nothing(origin, make_gateway):
    body = pattern(100_000)
    origin.put('bkt', 'key', body)
    nginx = make_gateway(origin)
    good = nginx.pieces['http']
    nginx.get('/bkt/key')
    workers = nginx.worker_pids()
    nginx.write_conf(http=s3_zone(size='128m') + 's3_cache_domain a/b;')
    nginx.send_signal(signal.SIGHUP)
    nginx.wait_log(r'\[emerg\].*invalid domain')
    nginx.allow('invalid domain')
    assert nginx.worker_pids() == workers
    assert nginx.get('/bkt/key').getheader('X-Cache') == 'HIT'
    nginx.reload(http=good)
    assert nginx.get('/bkt/key').getheader('X-Cache') == 'HIT'
    assert len(origin.requests) == 1


def test_many_reloads_while_a_client_is_slow(origin, make_gateway):
    """Generations of workers that wait for their clients share the slots."""
    body = pattern(3 * MIB)
    origin.put('bkt', 'key', body)
    nginx = make_gateway(origin, server=NARROW)
    readers = []
    for _ in range(12):
        reader = Reader(nginx, '/bkt/key', name='narrow', rcvbuf=4096)
        reader.read_to(1)
        readers.append(reader)
        nginx.reload()
        answer = nginx.get('/bkt/key')
        assert answer.body == body
    for reader in readers:
        assert reader.read_all() == body
        reader.close()
    wait.until(lambda: len(nginx.worker_pids(leaving=True)) == 2,
               'the old workers leave')
    nginx.reload()
    assert nginx.get('/bkt/key').getheader('X-Cache') == 'HIT'


@pytest.mark.parametrize('how', ['stop', 'quit'])
def test_an_end_in_mid_fill_leaves_nothing(origin, make_nginx, how):
    body = pattern(100_000)
    origin.put('bkt', 'key', body)
    gate = origin.gate(at=40_000)
    origin.on('bkt', 'key', gate=gate)
    nginx = make_nginx(http=s3_zone(), server=LANES + s3_location(
        origin.url)).start()
    reader = Reader(nginx, '/bkt/key')
    reader.read_to(40_000)
    everybody = [nginx.pid] + nginx.worker_pids()
    if how == 'stop':
        nginx.stop()
        with pytest.raises(Cut):
            reader.read_all()
        assert reader.body == body[:40_000]
        gate.open()
    else:
        nginx.send_signal(signal.SIGQUIT)
        nginx.wait_log('gracefully shutting down')
        gate.open()
        assert reader.read_all() == body
        nginx.child.wait(20)
    reader.close()
    wait.until(lambda: all(map(is_gone, everybody)), 'nobody is left')
    wait.until(lambda: origin.open == 0, 'connections to the origin end')


# --- all of it together -------------------------------------------------------------

@pytest.mark.deadline(int(SECONDS) + 100)
@pytest.mark.parametrize('policy', ['s3fifo', 'lru'])
def test_every_answer_is_some_version_in_chaos(make_nginx, policy):
    print(f'CHAOS_SEED={SEED}')
    rng = random.Random(SEED)
    keys = [f'key{i}' for i in range(40)]
    with ScriptedOrigin() as origin:
        versions = Versions(origin, SEED)
        for key in keys:
            versions.put(key)
        faults = random.Random(SEED + 1)
        unlucky = (lambda _: faults.random() < 0.02)
        origin.on('bkt', cut_at=30_000, when=unlucky)
        origin.on('bkt', drop=True, when=unlucky)
        origin.on('bkt', error=(503, 'SlowDown'), when=unlucky)
        more, valid = 's3_cache_block_size 64k; ', f'200 404 {VALID_S:g}s'
        nginx = make_nginx(
            http=s3_zone(size='16m', policy=policy),
            server=s3_location(origin.url, more=more, valid=valid),
            workers=2)
        nginx.pieces['http'] += (
            'server { listen 127.0.0.1:@port:strict@; ' + s3_location(
                origin.url, more=more + 's3_cache_freshness strict;',
                valid=valid) + '}\n')
        nginx.start()
        clients = Clients(nginx, versions, keys)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            running = [pool.submit(clients.run, SEED + i) for i in range(8)]
            try:
                torment(nginx, versions, keys, rng, running)
            finally:
                clients.over.set()
            for future in running:
                future.result(60)
        print(clients.count)
        origin.off()
        for _ in range(2):
            for key in keys:
                etag = versions.history[key][-1][0]
                answer = nginx.request(target=f'/bkt/{key}', name='strict')
                assert answer.status == (200 if etag else 404)
                if etag:
                    assert answer.body == versions.bodies[etag]
        nginx.check_accounting(timeout_s=20)
        held = memory(nginx)
        assert held['corrupt'] == 0
        assert held['fill_bytes'] == 0
        assert held['evictions'] > 0
        assert held['payload_bytes'] <= held['allocated_bytes'] \
            <= held['arena_bytes']
        assert clients.count['right'] > 20 * clients.count['cut']


def torment(nginx, versions, keys, rng, running):
    """Overwrites all the time; now and then a kill or a reload."""
    until = time.monotonic() + SECONDS / 2
    worse = time.monotonic()
    while time.monotonic() < until:
        for future in running:
            if future.done():
                future.result()
        versions.put(rng.choice(keys))
        if time.monotonic() >= worse:
            if rng.random() < 0.5:
                nginx.reload(workers=rng.choice((1, 2, 3)))
            else:
                nginx.kill_worker(rng.choice(nginx.worker_pids()))
            worse = time.monotonic() + rng.uniform(0.2, 1.5)
