# SPDX-License-Identifier: Apache-2.0
"""Stores that are found damaged, and processes that die: what is left of them
is served, what is not is a miss, and nothing is wrong."""

import os
import random
import shutil

import pytest

from flash_reads import (    # noqa: F401 (make_*: fixtures)
    KIB, MIB, ROOMY, SEGMENT, SMALL, Load, Objects, make_faulty, make_flash,
    store_path)
from lib import store, wait
from lib.blockdev import SmallFileSystem, Unavailable
from lib.nginx import s3_location, s3_store, s3_zone
from lib.reader import LANES, Lanes
from origin.objects import pattern

BLOCK = 4 * KIB


# --- damage, done while nobody looks -----------------------------------------

def no_trailers(path):
    media = store.Media(path)
    for off, _ in media.segments:
        store.patch(path, off + SEGMENT - BLOCK, bytes(BLOCK))


def a_wrong_trailer(path):
    for off in store.Media(path).sealed():
        store.flip(path, off + SEGMENT - BLOCK + 40)


def a_wrong_footer(path):
    media = store.Media(path)
    for off in media.sealed():
        words = store.TRAILER.unpack_from(media.data, off + SEGMENT - BLOCK)
        store.flip(path, off + words[7] + 8)


def a_wrong_count(path):
    """A trailer that promises more than there is, with a right checksum it
    cannot have: any of its bits."""
    for off in store.Media(path).sealed():
        store.flip(path, off + SEGMENT - BLOCK + 32, 7)


def one_segment_without_header(path):
    off, _ = store.Media(path).segments[0]
    store.patch(path, off, bytes(BLOCK))


def no_headers(path):
    for off, _ in store.Media(path).segments:
        store.patch(path, off, bytes(40))


def one_superblock(path):
    store.flip(path, 20)


def the_other_superblock(path):
    store.flip(path, BLOCK + 20)


def both_superblocks(path):
    store.flip(path, 20)
    store.flip(path, BLOCK + 20)


def zeros(path):
    size = os.path.getsize(path)
    with open(path, 'r+b') as f:
        f.write(bytes(size))


def noise_behind_the_superblock(path):
    size = os.path.getsize(path)
    with open(path, 'r+b') as f:
        f.seek(SEGMENT)
        f.write(random.Random(1).randbytes(size - SEGMENT))


def many_bits(path):
    rng = random.Random(2)
    for _ in range(3000):
        store.flip(path, rng.randrange(SEGMENT, os.path.getsize(path)),
                   rng.randrange(8))


def bits_of_all_heads(path):
    rng = random.Random(3)
    for frame in list(store.Media(path).frames()):
        store.flip(path, frame.off + rng.randrange(80), rng.randrange(8))


def a_half_of_it(path):
    os.truncate(path, os.path.getsize(path) // 2)


def a_bit_of_it(path):
    os.truncate(path, 5000)


def nothing_of_it(path):
    os.truncate(path, 0)


def no_file(path):
    os.unlink(path)


def segments_in_each_others_place(path):
    media = store.Media(path)
    (one, _), (two, _) = media.segments[:2]
    store.patch(path, one, media.data[two:two + SEGMENT])
    store.patch(path, two, media.data[one:one + SEGMENT])


def a_segment_twice(path):
    media = store.Media(path)
    free = next(off for off in range(SEGMENT, len(media.data), SEGMENT)
                if off not in dict(media.segments))
    one, _ = media.segments[0]
    store.patch(path, free, media.data[one:one + SEGMENT])


def the_middle_of_it_is_lost(path):
    """As a torn write of the last batch: zeros where records were."""
    media = store.Media(path)
    for off, _ in media.segments:
        used = [f for f in media.frames() if off < f.off < off + SEGMENT]
        if used:
            last = max(used, key=lambda f: f.off)
            at = (last.off + last.bytes // 2) // 512 * 512
            store.patch(path, at, bytes(off + SEGMENT - at))


# after which end, and how much of 100 objects must be hit afterwards
DAMAGE = [
    ('quit', no_trailers, 100), ('quit', a_wrong_trailer, 100),
    ('quit', a_wrong_footer, 100), ('quit', a_wrong_count, 100),
    ('quit', one_segment_without_header, 0), ('kill_all', no_headers, 0),
    ('quit', one_superblock, 0), ('kill_all', the_other_superblock, 0),
    ('quit', both_superblocks, 0), ('quit', zeros, 0),
    ('kill_all', noise_behind_the_superblock, 0), ('quit', many_bits, 0),
    ('kill_all', many_bits, 0), ('quit', bits_of_all_heads, 0),
    ('kill_all', bits_of_all_heads, 0), ('quit', a_half_of_it, 0),
    ('quit', a_bit_of_it, 0), ('kill_all', nothing_of_it, 0),
    ('quit', no_file, 0), ('quit', segments_in_each_others_place, 0),
    ('quit', a_segment_twice, 100), ('kill_all', a_segment_twice, 100),
    ('quit', the_middle_of_it_is_lost, 90),
    ('kill_all', the_middle_of_it_is_lost, 90)]


@pytest.mark.parametrize('end, damage, hits', DAMAGE, ids=[
    f'{damage.__name__}-{end}' for end, damage, _ in DAMAGE])
def test_a_store_that_was_damaged(origin, make_flash, end, damage, hits):
    nginx = make_flash(origin)
    path = store_path(nginx)
    mine = Objects(origin, 100, (64, 90_000))
    mine.fetch(nginx)
    mine.wait_stored([path])
    getattr(nginx, end)()
    damage(path)
    nginx.start()
    store.wait_state(nginx)
    found = mine.fetch(nginx)
    assert set(found) <= {'flash', 'origin'}
    assert found.get('flash', 0) >= hits, found
    # all of it is there again
    nginx.restart('quit')
    store.wait_state(nginx)
    assert mine.fetch(nginx) == {'flash': 100}


@pytest.mark.parametrize('copy', [0, 1])
def test_a_superblock_is_lost_and_nothing_gets_older(
        origin, make_flash, copy):
    """Its epoch tells which record is the newer: it must not be given out
    twice, nor too low."""
    nginx = make_flash(origin, valid='200 0s')
    path = store_path(nginx)
    mine = Objects(origin, 40, (64, 20_000))
    for life in range(4):
        mine.fetch(nginx)
        mine.wait_stored([path])
        nginx.quit()
        if life == 2:
            store.flip(path, copy * BLOCK + 20)
        nginx.start()
        store.wait_state(nginx)
        for target in mine.targets:
            mine.put(target, mine.bodies[target] + b'%08d' % life * 4)
        mine.fetch(nginx)
    mine.wait_stored([path])
    nginx.pieces['server'] = nginx.pieces['server'].replace('200 0s',
                                                            '200 1h')
    for _ in range(2):
        nginx.restart('kill_all')
        store.wait_state(nginx)
        mine.fetch(nginx)


def test_an_old_copy_of_one_store_of_two(origin, make_flash):
    """Put back from a backup: it would bring back what has been dropped."""
    nginx = make_flash(origin, valid='200 0s', stores=[
        dict(SMALL, path='@dir@/a'), dict(SMALL, path='@dir@/b')])
    paths = [store_path(nginx, name) for name in 'ab']
    mine = Objects(origin, 60, (64, 20_000))
    mine.fetch(nginx)
    mine.wait_stored(paths)
    nginx.quit()
    shutil.copyfile(paths[0], paths[0] + '.old')
    nginx.start()
    store.wait_state(nginx)
    for target in mine.targets:
        mine.put(target, mine.bodies[target] + b'new')
    mine.fetch(nginx)
    mine.wait_stored(paths)
    nginx.quit()
    with open(paths[0] + '.old', 'rb') as old, open(paths[0], 'r+b') as f:
        shutil.copyfileobj(old, f)
    nginx.pieces['server'] = nginx.pieces['server'].replace('200 0s',
                                                            '200 1h')
    nginx.start()
    store.wait_state(nginx)
    mine.fetch(nginx)
    assert 'formatted' in nginx.log()


@pytest.mark.parametrize('what', ['cut', 'removed', 'replaced'])
def test_a_file_that_goes_while_it_is_served(origin, make_flash, what):
    nginx = make_flash(origin, zone={'size': '8m'})
    path = store_path(nginx)
    mine = Objects(origin, 80, (10_000, 150_000))
    mine.fetch(nginx)
    mine.wait_stored([path])
    with Load(nginx, mine) as load:
        load.wait_answers(50)
        if what == 'cut':
            os.truncate(path, SEGMENT + 100_000)
        else:
            os.unlink(path)
        if what == 'replaced':
            with open(path, 'wb') as f:
                f.truncate(64 * MIB)
        load.wait_answers(200)
        nginx.reload()
        load.wait_answers(200)
    nginx.restart('quit')
    store.wait_state(nginx)
    mine.fetch(nginx)


def test_a_store_that_another_nginx_has(tmp_path, origin, make_flash):
    """It is left alone, until that one has gone."""
    stores = [dict(SMALL, path=f'{tmp_path}/store')]
    mine = Objects(origin, 30, (64, 50_000))
    first = make_flash(origin, stores=stores)
    mine.fetch(first)
    mine.wait_stored([f'{tmp_path}/store'])
    second = make_flash(origin, stores=stores, serving=False)
    late = Objects(origin, 20, (64, 50_000), seed=2)
    assert late.fetch(second) == {'origin': 20}
    now = store.one(second)
    assert now['state'] == 'waiting' and now['writes']['device_bytes'] == 0
    first.restart('kill_all')          # whoever is first has it now
    states = {nginx: store.one(nginx)['state'] for nginx in (first, second)}
    wait.until(lambda: 'serving' in [store.one(n)['state'] for n in states],
               lambda: f'{states}')
    first.kill_all()
    store.wait_state(second)
    mine.fetch(second)
    late.fetch(second)


# --- full --------------------------------------------------------------------

@pytest.fixture
def small_fs(tmp_path):
    try:
        made = SmallFileSystem(tmp_path / 'small', 48 * MIB)
    except Unavailable as e:
        pytest.skip(str(e))
    yield made
    made.close()


def test_a_file_system_that_is_full_to_the_brim(small_fs, origin, make_flash):
    """The store's space is its own from the start."""
    nginx = make_flash(origin, zone={'size': '8m'}, stores=[
        dict(path=f'{small_fs.path}/store', size='24m', segment='2m')])
    small_fs.fill()
    with pytest.raises(OSError), open(f'{small_fs.path}/more', 'wb') as f:
        f.write(bytes(4096))
    for seed in (1, 2):
        mine = Objects(origin, 100, (100_000, 200_000), seed=seed)
        with Load(nginx, mine) as load:
            load.wait_answers(100)
    found = store.one(nginx)
    assert found['writes']['errors'] == 0 and found['records'] > 0
    nginx.restart('kill_all')
    found = store.wait_state(nginx)[0]
    assert found['records'] > 0
    mine.fetch(nginx)
    nginx.stop()


def test_a_store_without_room_is_refused(small_fs, origin, make_nginx):
    nginx = make_nginx(
        http=s3_zone() + s3_store(f'{small_fs.path}/store', '40m'),
        server=s3_location(origin.url))
    small_fs.fill()
    code, said = nginx.test_conf()
    assert code != 0 and f'{small_fs.path}/store' in said
    assert not os.path.exists(f'{small_fs.path}/store')


def test_a_disk_that_gets_full_while_it_is_written(
        small_fs, disk, origin, make_faulty):
    """Of a file system that cannot preallocate, and has promised more than
    it has."""
    path = f'{small_fs.path}/store'
    with open(path, 'wb') as f:
        f.truncate(64 * MIB)
    os.symlink(path, disk.behind('store'))
    disk.on('fallocate', error='EOPNOTSUPP')
    nginx = make_faulty(origin, zone={'size': '8m'})
    small_fs.fill('half')
    os.truncate(f'{small_fs.path}/half',
                os.path.getsize(f'{small_fs.path}/half') - 12 * MIB)
    first = Objects(origin, 30, (10_000, 60_000))
    first.fetch(nginx)
    first.wait_stored([disk.behind('store')])
    more = Objects(origin, 60, (300_000, 400_000), seed=2)
    with Load(nginx, more) as load:
        wait.until(lambda: store.one(nginx)['writes']['errors'] > 0,
                   lambda: f'{store.one(nginx)}', 20)
        load.wait_answers(100)
    os.unlink(f'{small_fs.path}/half')
    store.wait_state(nginx, timeout_s=25)
    nginx.restart('kill_all')
    store.wait_state(nginx)
    first.fetch(nginx)
    more.fetch(nginx)
    nginx.stop()


# --- kill -9 -----------------------------------------------------------------

@pytest.mark.parametrize('io', ['auto', 'threads'])
def test_kill_9_of_all_under_load(origin, make_flash, io):
    """Byte-exact afterwards, and at least 95 % of what was there before is
    hit without the origin. Three times in a row."""
    nginx = make_flash(origin, zone={'size': '8m'}, workers=3,
                       stores=[ROOMY], http=f's3_cache_io {io};\n')
    path = store_path(nginx)
    mine = Objects(origin, 200, (64, 120_000))
    mine.fetch(nginx)
    mine.wait_stored([path])
    for life in range(3):
        new = Objects(origin, 40, (64, 250_000), seed=10 + life)
        with Load(nginx, mine, may_fail=True), \
                Load(nginx, new, may_fail=True) as load:
            load.wait_answers(20)
            nginx.kill_all()
        nginx.start()
        store.wait_state(nginx)
        asked = len(origin.requests)
        mine.fetch(nginx)
        assert len(origin.requests) - asked <= 200 * 5 // 100
        new.fetch(nginx)
        mine.wait_stored([path])


def test_kill_9_of_workers_under_load(origin, make_flash):
    """Nobody but the clients of the dead sees it, and all that was there
    stays."""
    nginx = make_flash(origin, zone={'size': '8m'}, workers=2)
    mine = Objects(origin, 100, (64, 120_000))
    mine.fetch(nginx)
    mine.wait_stored([store_path(nginx)])
    asked = len(origin.requests)
    with Load(nginx, mine, may_fail=True) as load:
        for _ in range(8):
            load.wait_answers(20)
            nginx.kill_worker()
        load.wait_answers(100)
    assert load.failures <= 8 * 8
    assert len(origin.requests) - asked <= 100 * 5 // 100
    wait.until(lambda: nginx.zone()['memory']['pins'] == 0, 'rest', 20)
    store.wait_state(nginx)
    nginx.restart('kill_all')
    store.wait_state(nginx)
    found = mine.fetch(nginx)
    assert found['flash'] >= 95


def test_the_keeper_dies_while_it_recovers(disk, origin, make_faulty):
    nginx = make_faulty(origin)
    mine = Objects(origin, 60, (64, 90_000))
    mine.fetch(nginx)
    mine.wait_stored([disk.behind('store')])
    nginx.kill_all()
    rule = disk.on('read', delay_s=0.2, at=(SEGMENT, 1 << 40))
    nginx.start()
    for _ in range(2):
        store.wait_state(nginx, 'recovering')
        for pid in nginx.worker_pids():
            nginx.kill_worker(pid)
    disk.off(rule)
    store.wait_state(nginx, timeout_s=25)
    assert mine.fetch(nginx)['flash'] >= 57


def test_workers_die_with_what_they_could_not_note_yet(
        disk, origin, make_faulty):
    """New versions came while the store was still being read, and the workers
    that should have noted it there are dead: the older ones stay away."""
    nginx = make_faulty(origin)
    mine = Objects(origin, 60, (64, 90_000))
    mine.fetch(nginx)
    mine.wait_stored([disk.behind('store')])
    nginx.kill_all()
    rule = disk.on('read', delay_s=0.2, at=(SEGMENT, 1 << 40))
    nginx.start()
    store.wait_state(nginx, 'recovering')
    for i, target in enumerate(mine.targets):
        mine.put(target, pattern(5000 + i, i))
    mine.fetch(nginx)
    for pid in nginx.worker_pids():
        nginx.kill_worker(pid)
    disk.off(rule)
    store.wait_state(nginx, timeout_s=25)
    mine.fetch(nginx)
    nginx.restart('kill_all')
    store.wait_state(nginx)
    mine.fetch(nginx)


def test_a_worker_that_dies_with_writes_under_way(disk, origin, make_faulty):
    """What the kernel still writes for it harms nobody."""
    nginx = make_faulty(origin, server=LANES)
    before = Objects(origin, 20, (64, 90_000))
    before.fetch(nginx)
    before.wait_stored([disk.behind('store')])
    rule = disk.on('write', hold=True, at=(SEGMENT, 1 << 40))
    lost = Objects(origin, 20, (64, 90_000), seed=2)
    lost.fetch(nginx)
    disk.wait_held()
    pids = nginx.worker_pids()
    for pid in pids:
        os.kill(pid, 9)
        nginx.killed.add(pid)
    disk.off(rule)
    wait.until(lambda: len(set(nginx.worker_pids()) - set(pids)) == 2,
               'new workers')
    with Lanes(nginx) as lanes:
        assert not set(lanes.pids) & set(pids)
    for objects in (before, lost):
        objects.fetch(nginx)
    after = Objects(origin, 20, (64, 90_000), seed=3)
    after.fetch(nginx)
    after.wait_stored([disk.behind('store')])
    nginx.restart('kill_all')
    store.wait_state(nginx)
    assert before.fetch(nginx) == {'flash': 20}
    assert after.fetch(nginx) == {'flash': 20}
    lost.fetch(nginx)
