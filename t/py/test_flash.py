# SPDX-License-Identifier: Apache-2.0
"""The flash tier, when nothing fails: what leaves memory, or was there before
a restart, is answered from a store and not from the origin."""

import concurrent.futures
import signal
import time

import pytest

from flash_reads import (    # noqa: F401 (make_*: fixtures)
    KIB, MIB, SEGMENT, SMALL, TIER, Objects, cold, crowd_out, make_faulty,
    make_flash, store_path)
from lib import store, wait
from lib.blockdev import LoopDevice, Unavailable
from lib.nginx import Upgradable, s3_location
from lib.reader import LANES, Lanes, Reader
from origin.objects import pattern

BLOCKS = 's3_cache_block_size 256k;'
PIECE = 32 * KIB
ENDS = ['stop', 'quit', 'kill_all']


def strict_server(origin, more=''):
    """A second server, on port `strict`: validates every read."""
    return ('server { listen 127.0.0.1:@port:strict@; ' + s3_location(
        origin.url, more=f'{TIER} s3_cache_freshness strict; {more}') + '}\n')


# --- hits --------------------------------------------------------------------

def test_what_leaves_memory_is_read_from_flash_and_promoted(
        origin, make_flash):
    nginx = make_flash(origin, zone={'size': '8m'}, workers=1)
    mine = Objects(origin, 20, (10_000, 60_000))
    assert mine.fetch(nginx) == {'origin': 20}
    mine.wait_stored([store_path(nginx)])
    crowd_out(origin, nginx)
    asked = len(origin.requests)
    found = mine.fetch(nginx)
    assert set(found) <= {'flash', 'ram'} and found['flash'] >= 18
    assert mine.fetch(nginx) == {'ram': 20}
    assert len(origin.requests) == asked
    reads = store.one(nginx)['reads']
    assert reads['hits'] >= found['flash']
    assert reads['hit_bytes'] > 0
    assert reads['errors'] == reads['corrupt'] == reads['timeouts'] == 0
    assert nginx.zone()['sent_bytes']['flash'] > 0


@pytest.mark.parametrize('how', ENDS)
def test_a_restart_finds_what_was_there(origin, make_flash, how):
    nginx = make_flash(origin)
    mine = Objects(origin, 150, (64, 100_000))
    empty = Objects(origin, 1, (0, 0), seed=2)
    mine.fetch(nginx)
    empty.fetch(nginx)
    mine.wait_stored([store_path(nginx)])
    before = store.one(nginx)
    assert before['records'] >= 151
    asked = len(origin.requests)
    nginx.restart(how)
    after = store.wait_state(nginx)[0]
    assert after['recovery']['records'] >= 151
    assert after['live_bytes'] >= mine.bytes
    assert mine.fetch(nginx) == {'flash': 150}
    assert mine.fetch(nginx) == {'ram': 150}
    if how != 'kill_all':              # nobody waited for the empty one
        assert empty.fetch(nginx) == {'flash': 1}
        assert len(origin.requests) == asked


def test_restart_after_restart(origin, make_flash):
    """Records of many lives of the store lie side by side."""
    nginx = make_flash(origin)
    lives = []
    for life in range(5):
        lives.append(Objects(origin, 20, (64, 50_000), seed=life + 1))
        assert lives[-1].fetch(nginx) == {'origin': 20}
        lives[-1].wait_stored([store_path(nginx)])
        nginx.restart(ENDS[life % 3])
        store.wait_state(nginx)
        for objects in lives:
            assert objects.fetch(nginx) == {'flash': 20}


def test_head_and_headers_after_a_restart(origin, make_flash):
    body = pattern(5000)
    obj = origin.put('bkt', 'key', body, {
        'x-amz-meta-a': 'b', 'Content-Type': 'text/x', 'Cache-Control': 'y'})
    nginx = make_flash(origin)
    first = nginx.get('/bkt/key')
    store.wait_on_media([store_path(nginx)], [body])
    nginx.restart('kill_all')
    store.wait_state(nginx)
    changing = {'Date', 'X-Cache', 'X-Tier', 'Age', 'Connection',
                'x-amz-request-id'}
    for method in ('HEAD', 'GET', 'HEAD'):
        answer = nginx.request(method, '/bkt/key')
        assert [h for h in answer.headers.items() if h[0] not in changing] \
            == [h for h in first.headers.items() if h[0] not in changing]
        assert answer.getheader('X-Cache') == 'HIT'
        assert answer.body == (body if method == 'GET' else b'')
    answer = nginx.get('/bkt/key', If_None_Match=obj.etag)
    assert answer.status == 304
    assert len(origin.requests) == 1


@pytest.mark.parametrize('spans', [
    [(0, 0)], [(899_999, 899_999)], [(32_000, 33_000)], [(500_000, 500_100)],
    [(100_000, 300_000)], [(0, 899_999)], [(65_536, 131_071)],
    [(10, 20), (700_000, 700_010), (15, 70_000)]])
def test_ranges_after_a_restart(origin, make_flash, spans):
    mine = Objects(origin, 1, (900_000, 900_000))
    target, = mine.targets
    nginx = make_flash(origin)
    mine.fetch(nginx)
    mine.wait_stored([store_path(nginx)])
    nginx.restart('kill_all')
    store.wait_state(nginx)
    for span in spans:
        assert mine.get(nginx, target, span) in ('flash', 'ram')
    assert mine.get(nginx, target) in ('flash', 'ram')
    assert len(origin.requests) == 1


def test_an_object_of_many_blocks_after_a_restart(origin, make_flash):
    mine = Objects(origin, 1, (5 * MIB + 17, 5 * MIB + 17))
    target, = mine.targets
    nginx = make_flash(origin, location=BLOCKS)
    mine.fetch(nginx)
    body = mine.bodies[target]
    store.wait_on_media([store_path(nginx)],
                        [body[at:at + 256 * KIB]
                         for at in range(0, len(body), 256 * KIB)])
    asked = len(origin.requests)
    nginx.restart('kill_all')
    store.wait_state(nginx)
    assert nginx.request('HEAD', target).getheader('Content-Length') \
        == str(len(body))
    assert mine.get(nginx, target, (1_000_000, 2_000_000)) == 'flash'
    assert mine.get(nginx, target, (5 * MIB, 5 * MIB + 16))
    assert mine.get(nginx, target)
    assert len(origin.requests) == asked


# --- one I/O, and only what is needed ----------------------------------------

@pytest.mark.parametrize('size', [64, 5000, 31_000, 60_000])
def test_a_small_object_costs_one_read(disk, origin, make_faulty, size):
    nginx = make_faulty(origin)
    mine = Objects(origin, 8, (size, size))
    cold(disk, nginx, mine)
    for number, target in enumerate(mine.targets, 1):
        assert mine.get(nginx, target) == 'flash'
        reads = disk.seen('read')
        assert len(reads) == number
        assert reads[-1].size <= size + 4 * KIB + 2 * 4096


@pytest.mark.parametrize('first, last', [
    (500_000, 500_009), (0, 9), (65_500, 65_600), (899_990, 899_999),
    (100_000, 199_999)])
def test_a_range_costs_the_pieces_it_needs(
        disk, origin, make_faulty, first, last):
    """One read for the record's head, and one for each 32 KiB of the body
    that the range touches."""
    nginx = make_faulty(origin)
    mine = Objects(origin, 1, (900_000, 900_000))
    cold(disk, nginx, mine)
    assert mine.get(nginx, mine.targets[0], (first, last)) == 'flash'
    reads = disk.seen('read')
    pieces = last // PIECE - first // PIECE + 1
    assert 1 <= len(reads) <= 1 + pieces
    # the record's head shifts a piece of the body: it lies in two frames
    assert all(r.size <= 2 * (PIECE + 80) + 2 * 4096 for r in reads)
    disk.forget()
    assert mine.get(nginx, mine.targets[0], (first, last)) == 'ram'
    assert disk.seen('read') == []
    assert len(origin.requests) == 1


def test_readers_of_one_record_share_one_read(disk, origin, make_faulty):
    nginx = make_faulty(origin, server=LANES)
    mine = Objects(origin, 1, (40_000, 40_000))
    target, = mine.targets
    cold(disk, nginx, mine)
    rule = disk.on('read', hold=True)
    with Lanes(nginx, each=10) as lanes:
        readers = [lanes.reader(pid, target)
                   for pid in lanes.pids for _ in range(10)]
        disk.wait_held()
        wait.until(lambda: nginx.zone()['memory']['pins'] >= 20, 'all wait')
        assert disk.off(rule) == 1
        for reader in readers:
            assert reader.read_all() == mine.bodies[target]
            assert reader.headers['x-cache'] in ('HIT', 'SHARED')
            reader.close()
    assert len(disk.seen('read')) == 1
    assert len(origin.requests) == 1


def test_a_read_that_waits_keeps_no_other_waiting(disk, origin, make_faulty):
    nginx = make_faulty(origin, workers=1)
    mine = Objects(origin, 10, (20_000, 30_000))
    cold(disk, nginx, mine)
    rule = disk.on('read', hold=True, times=1)
    with Reader(nginx, mine.targets[0]) as reader:
        disk.wait_held()
        assert mine.fetch(nginx, mine.targets[1:]) == {'flash': 9}
        disk.off(rule)
        assert reader.read_all() == mine.bodies[mine.targets[0]]
    assert len(origin.requests) == 10


# --- freshness over restarts -------------------------------------------------

@pytest.mark.parametrize('size', [1000, 700_000])
def test_an_expired_record_is_revalidated_after_a_restart(
        origin, make_flash, size):
    mine = Objects(origin, 1, (size, size))
    target, = mine.targets
    nginx = make_flash(origin, valid='200 0s', location=BLOCKS)
    mine.fetch(nginx)
    mine.wait_stored([store_path(nginx)])
    asked = len(origin.requests)
    nginx.restart('kill_all')
    store.wait_state(nginx)
    answer = nginx.get(target)
    assert answer.body == mine.bodies[target]
    assert answer.getheader('X-Cache') == 'REVALIDATED'
    assert [r.method for r in origin.requests[asked:]] == ['HEAD']
    nginx.restart('kill_all')
    store.wait_state(nginx)
    mine.put(target, pattern(size, 1000))
    mine.get(nginx, target)            # what is there now, not what was


def test_times_outlive_a_restart(origin, make_flash):
    """Age goes on; a check that found it unchanged counts from then on."""
    origin.put('bkt', 'key', b'x' * 1000)
    nginx = make_flash(origin, valid='200 1h', http=strict_server(origin))
    begin = time.time()
    nginx.get('/bkt/key')

    def age():
        return int(nginx.get('/bkt/key').getheader('Age'))

    wait.until(lambda: age() >= 4, 'it ages')
    store.wait_on_media([store_path(nginx)], [b'x' * 1000])
    nginx.restart('quit')
    store.wait_state(nginx)
    assert 4 <= age() <= time.time() - begin + 2
    answer = nginx.request(target='/bkt/key', name='strict')
    assert answer.getheader('X-Cache') == 'REVALIDATED'
    checked = time.time()
    nginx.restart('quit')
    store.wait_state(nginx)
    # of seconds of the wall clock, as when it was written: never too young
    assert age() < time.time() - checked + 2
    assert [r.method for r in origin.requests] == ['GET', 'HEAD']


@pytest.mark.parametrize('gone', [False, True])
@pytest.mark.parametrize('how', ['quit', 'kill_all'])
def test_what_was_found_changed_never_comes_back(
        origin, make_flash, gone, how):
    mine = Objects(origin, 6, (1000, 50_000))
    nginx = make_flash(origin, valid='200 1h', http=strict_server(origin))
    path = store_path(nginx)
    mine.fetch(nginx)
    mine.wait_stored([path])
    nginx.restart('kill_all')
    store.wait_state(nginx)
    for number, target in enumerate(mine.targets):
        if number % 2:                  # half of it is in memory again
            assert mine.get(nginx, target) == 'flash'
        if gone:
            origin.delete('bkt', target.split('/')[2])
            assert nginx.request(target=target, name='strict').status == 404
        else:
            mine.put(target, pattern(3000 + number, 500 + number))
            assert mine.get(nginx, target, name='strict') == 'origin'
    if gone:
        store.wait_tombstones([path], 6)
    else:
        mine.wait_stored([path])
    for _ in range(2):
        nginx.restart(how)
        store.wait_state(nginx)
        for target in mine.targets:
            if gone:
                assert nginx.get(target).status == 404
            else:
                assert mine.get(nginx, target) == 'flash'


def test_immutable_answers_outlive_everything(origin, make_flash):
    mine = Objects(origin, 10, (64, 20_000))
    nginx = make_flash(origin, valid='200 0s',
                       location='s3_cache_freshness immutable;')
    mine.fetch(nginx)
    mine.wait_stored([store_path(nginx)])
    for how in ('quit', 'kill_all'):
        nginx.restart(how)
        store.wait_state(nginx)
        assert mine.fetch(nginx) == {'flash': 10}
    assert len(origin.requests) == 10


# --- several stores, devices -------------------------------------------------

def three(name='s'):
    return [dict(SMALL, path=f'@dir@/{name}{i}', size=f'{size}m')
            for i, size in enumerate((40, 64, 96))]


def test_several_stores_of_a_zone(origin, make_flash):
    mine = Objects(origin, 120, (64, 60_000))
    nginx = make_flash(origin, stores=three())
    paths = [store_path(nginx, f's{i}') for i in range(3)]
    mine.fetch(nginx)
    mine.wait_stored(paths)
    counts = [s['records'] for s in store.stores(nginx)]
    assert sum(counts) == 120 and all(counts)
    nginx.restart('kill_all')
    found = store.wait_state(nginx)
    assert [s['path'] for s in found] == paths
    assert [s['records'] for s in found] == counts
    assert mine.fetch(nginx) == {'flash': 120}
    text = nginx.metrics()
    for path in paths:
        assert f'store="{path}"' in text


def test_two_zones_keep_to_their_stores(origin, make_flash):
    one, two = (Objects(origin, 20, (64, 9000), seed=s) for s in (1, 2))
    nginx = make_flash(
        origin, stores=[dict(SMALL, path='@dir@/one', zone='hot'),
                        dict(SMALL, path='@dir@/two', zone='cold')],
        http='s3_cache_zone cold:8m;\n'
        'server { listen 127.0.0.1:@port:cold@; ' + s3_location(
            origin.url, zone='cold', more=TIER) + '}\n', serving=False)
    for zone in ('hot', 'cold'):
        store.wait_state(nginx, zone=zone)
    one.fetch(nginx)
    two.fetch(nginx, name='cold')
    one.wait_stored([store_path(nginx, 'one')])
    two.wait_stored([store_path(nginx, 'two')])
    nginx.restart('kill_all')
    for zone in ('hot', 'cold'):
        assert store.wait_state(nginx, zone=zone)[0]['records'] == 20
    assert one.fetch(nginx) == {'flash': 20}
    assert two.fetch(nginx, name='cold') == {'flash': 20}
    assert two.fetch(nginx) == {'origin': 20}


def test_a_block_device(tmp_path, origin, make_flash):
    try:
        device = LoopDevice(tmp_path / 'device', 64 * MIB)
    except Unavailable as e:
        pytest.skip(str(e))
    with device:
        mine = Objects(origin, 60, (64, 90_000))
        nginx = make_flash(origin, stores=[dict(SMALL, path=device.path)])
        mine.fetch(nginx)
        mine.wait_stored([device.path])
        for how in ('quit', 'kill_all'):
            nginx.restart(how)
            store.wait_state(nginx)
            assert mine.fetch(nginx) == {'flash': 60}
        assert len(origin.requests) == 60
        nginx.stop()


def test_threads_do_what_io_uring_does(origin, make_flash):
    mine = Objects(origin, 40, (64, 300_000))
    nginx = make_flash(origin, http='s3_cache_io threads;\n')
    assert nginx.zone()['flash']['io'] == 'threads'
    mine.fetch(nginx)
    mine.wait_stored([store_path(nginx)])
    nginx.restart('kill_all')
    store.wait_state(nginx)
    assert mine.fetch(nginx) == {'flash': 40}
    assert mine.get(nginx, mine.targets[0]) == 'ram'
    assert len(origin.requests) == 40


def test_old_segments_make_room_for_new_ones(origin, make_flash):
    """Many times what the store can hold goes through it."""
    nginx = make_flash(origin, zone={'size': '8m'}, stores=[
        dict(path='@dir@/store', size='18m', segment='1m')])
    for seed in range(1, 6):
        mine = Objects(origin, 60, (100_000, 300_000), seed=seed)
        mine.fetch(nginx)
        mine.fetch(nginx)
    wait.until(lambda: store.one(nginx)['reclaimed_segments'] >= 17,
               lambda: f'{store.one(nginx)}')
    now = store.one(nginx)
    assert now['live_bytes'] <= now['bytes']
    assert now['records'] > 0 and now['evicted'] > 0
    nginx.restart('kill_all')
    store.wait_state(nginx)
    for seed in range(1, 6):
        Objects(origin, 60, (100_000, 300_000), seed=seed).fetch(nginx)


def test_a_budget_is_kept_to(origin, make_flash):
    """Ten seconds of it may be written at once, and no more."""
    begin = time.monotonic()
    nginx = make_flash(origin, zone={'size': '8m'},
                       stores=[dict(SMALL, budget='300k/s')])
    mine = Objects(origin, 140, (100_000, 100_000))
    assert mine.fetch(nginx) == {'origin': 140}
    now = store.one(nginx)
    assert now['budget']['bytes_per_second'] == 300 * KIB
    assert now['writes']['denied'] > 0 and now['writes']['records'] > 0
    assert now['writes']['records'] + now['writes']['denied'] == 140
    assert mine.fetch(nginx).get('flash', 0) > 0
    written = store.one(nginx)['writes']['device_bytes']
    assert written <= 300 * KIB * (10 + time.monotonic() - begin) + MIB


# --- reload, upgrade, start-up -----------------------------------------------

def test_a_reload_keeps_the_tier(origin, make_flash):
    nginx = make_flash(origin, zone={'size': '8m'})
    mine = Objects(origin, 30, (20_000, 60_000))
    mine.fetch(nginx)
    for workers in (1, 3, 2):
        crowd_out(origin, nginx)
        nginx.reload(workers=workers)
        assert store.one(nginx)['state'] == 'serving'
        asked = len(origin.requests)
        found = mine.fetch(nginx)
        assert set(found) <= {'flash', 'ram'} and found['flash'] > 20
        assert len(origin.requests) == asked
    nginx.restart('kill_all')
    store.wait_state(nginx)
    assert mine.fetch(nginx) == {'flash': 30}


def test_reloads_under_load(origin, make_flash):
    nginx = make_flash(origin, zone={'size': '8m'})
    mine = Objects(origin, 60, (20_000, 300_000))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        def load():
            while not over:
                mine.fetch(nginx, lanes=4)
        over = []
        running = pool.submit(load)
        try:
            for workers in (1, 2, 3, 2):
                nginx.reload(workers=workers, wait_old=True)
        finally:
            over.append(True)
        running.result(60)
    # what a worker fills while it leaves is not written any more
    mine.fetch(nginx)
    asked = len(origin.requests)
    mine.fetch(nginx)
    assert len(origin.requests) == asked
    mine.wait_stored([store_path(nginx)])
    nginx.restart('quit')
    store.wait_state(nginx)
    assert mine.fetch(nginx).get('origin', 0) == 0


def test_a_zone_that_gets_other_stores_begins_with_them(origin, make_flash):
    """The new generation waits for the file until the old one is gone."""
    nginx = make_flash(origin)
    mine = Objects(origin, 30, (64, 50_000))
    mine.fetch(nginx)
    mine.wait_stored([store_path(nginx)])
    good = nginx.pieces['http']
    slow = Reader(nginx, mine.targets[0])
    nginx.reload(http=good.replace('size=32m', 'size=16m')
                 .replace('size=64m', 'size=64m timeout=2s'))
    assert set(mine.fetch(nginx)) <= {'flash', 'ram', 'origin'}
    slow.read_all()
    slow.close()
    store.wait_state(nginx)
    assert set(mine.fetch(nginx)) <= {'flash', 'ram'}


def test_a_binary_upgrade_keeps_the_tier(origin, make_flash):
    """Until the old generation has gone the new one does without flash, and
    writes nothing to it."""
    nginx = make_flash(origin, kind=Upgradable, server=LANES)
    mine = Objects(origin, 40, (64, 50_000))
    mine.fetch(nginx)
    mine.wait_stored([store_path(nginx)])
    body = pattern(60_000, 77)
    origin.put('bkt', 'slow', body)
    gate = origin.gate(at=30_000)
    origin.on('bkt', 'slow', gate=gate)
    with Lanes(nginx) as lanes:
        slow = lanes.reader(lanes.pids[0], '/bkt/slow')
        slow.read_to(30_000)           # keeps an old worker
        nginx.upgrade()
        nginx.old.send_signal(signal.SIGQUIT)
        store.wait_state(nginx, 'waiting')
        late = Objects(origin, 20, (64, 50_000), seed=2)
        assert late.fetch(nginx) == {'origin': 20}
        asked = mine.targets[:10]      # anew, so that it leaves the store
        assert mine.fetch(nginx, asked) == {'origin': 10}
        assert store.one(nginx)['writes']['device_bytes'] == 0
        gate.open()
        assert slow.read_all() == body
        slow.close()
    nginx.old.wait(20)
    store.wait_state(nginx)
    assert store.one(nginx)['records'] >= 30
    assert mine.fetch(nginx, mine.targets[10:]) == {'flash': 30}
    assert mine.fetch(nginx, asked) == {'ram': 10}
    nginx.restart('kill_all')
    store.wait_state(nginx)
    assert mine.fetch(nginx)['flash'] >= 30


def test_a_start_serves_before_it_has_recovered(disk, origin, make_faulty):
    """And what it learns meanwhile is newer than all that it then finds."""
    nginx = make_faulty(origin)
    mine = Objects(origin, 60, (64, 90_000))
    mine.fetch(nginx)
    mine.wait_stored([disk.behind('store')])
    nginx.kill_all()
    changed, same = mine.targets[:20], mine.targets[20:]
    for number, target in enumerate(changed):
        mine.put(target, pattern(1000 + number, 4000 + number))
    rule = disk.on('read', hold=True, at=(SEGMENT, 1 << 40))
    nginx.start()
    disk.wait_held()
    assert store.one(nginx)['state'] == 'recovering'
    assert mine.fetch(nginx, changed) == {'origin': 20}
    assert store.one(nginx)['state'] == 'recovering'
    disk.off(rule)
    store.wait_state(nginx)
    assert mine.fetch(nginx, same) == {'flash': 40}
    assert mine.fetch(nginx, changed) == {'ram': 20}
    # no segment was known to be free: no new record, and no old one either
    nginx.restart('quit')
    store.wait_state(nginx)
    assert mine.fetch(nginx)['flash'] >= 40
