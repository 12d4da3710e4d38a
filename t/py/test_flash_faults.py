# SPDX-License-Identifier: Apache-2.0
"""A store that fails: a miss, a counter and a line in the log; never a wrong
byte, and never a client that the origin could have served."""

import os
import random
import re
import signal

import pytest

from flash_reads import (    # noqa: F401 (make_*: fixtures)
    KIB, MIB, SEGMENT, SMALL, Load, Objects, cold, make_faulty, make_flash,
    store_path)
from lib import store, wait
from origin.objects import pattern

FAULT = r's3_cache_store "[^"]*": '
RUN = '100ms'                         # s3_cache_store timeout=, where it hangs


def lines(nginx, what):
    return len(re.findall(FAULT + what, nginx.log()))


def count(nginx, *path):
    return store.total(store.stores(nginx), *path)


# --- reads -------------------------------------------------------------------

READ = {
    # name: (rule, counter, line)
    'an I/O error': ({'error': 'EIO'}, 'errors', 'read failed'),
    'no permission': ({'error': 'EACCES'}, 'errors', 'read failed'),
    'a device that has gone': ({'error': 'ENODEV'}, 'errors', 'read failed'),
    'an end of the file': ({'short': 0}, 'errors', 'read failed'),
    'a part': ({'short': 512}, 'errors', 'read failed'),
    'a device that hangs': ({'hold': True}, 'timeouts', ''),
    'a wrong bit at its end': ({'flip': 'last'}, 'corrupt',
                               'a checksum failed'),
    'a wrong bit in its body': ({'flip': 'first'}, 'corrupt',
                                'a checksum failed'),
    'a wrong bit in its head': ({'flip': 'head'}, 'corrupt',
                                'a checksum failed'),
}


def rule_for(disk, rule, body):
    """`flip` as the offset of a byte of this body's record."""
    if 'flip' not in rule:
        return disk.on('read', **rule)
    frame = store.Media(disk.behind('store')).find(body)
    off, size = frame.pieces()[-1]
    return disk.on('read', flip={'last': off + size - 1,
                                 'first': frame.off + store.HEAD.size,
                                 'head': frame.off + 9}[rule['flip']])


@pytest.mark.parametrize('size', [3000, 300_000])
@pytest.mark.parametrize('fault', READ)
def test_a_read_that_fails_is_a_miss(disk, origin, make_faulty, fault, size):
    rule, counter, line = READ[fault]
    nginx = make_faulty(origin, timeout=RUN)
    mine = Objects(origin, 5, (size, size))
    cold(disk, nginx, mine)
    bad, *good = mine.targets
    number = rule_for(disk, rule, mine.bodies[bad])
    assert mine.get(nginx, bad) == 'origin' or fault == 'a part'
    disk.off(number)
    if fault != 'a part':              # which may be asked for in parts
        assert count(nginx, 'reads', counter) == 1
        assert nginx.zone()['fills']['flash_fallbacks'] == 1
        assert lines(nginx, line) >= 1
        assert len(origin.requests) == 6
    # it is in memory, and on flash anew; the others were not touched
    assert mine.get(nginx, bad) == 'ram'
    assert mine.fetch(nginx, good) == {'flash': 4}
    mine.wait_stored([disk.behind('store')])
    nginx.restart('quit')
    assert store.wait_state(nginx)[0]['records'] == 5
    assert mine.fetch(nginx) == {'flash': 5}


@pytest.mark.parametrize('fault', READ)
def test_a_block_that_fails_in_mid_read_is_not_seen(
        disk, origin, make_faulty, fault):
    rule, _, _ = READ[fault]
    nginx = make_faulty(origin, timeout=RUN,
                        location='s3_cache_block_size 256k;')
    size = 1_300_000
    mine = Objects(origin, 1, (size, size))
    target, = mine.targets
    body = mine.bodies[target]
    mine.fetch(nginx)
    blocks = [body[at:at + 256 * KIB] for at in range(0, size, 256 * KIB)]
    store.wait_on_media([disk.behind('store')], blocks)
    nginx.restart('kill_all')
    store.wait_state(nginx)
    if 'flip' in rule:
        rule_for(disk, rule, blocks[3])
    else:
        frame = store.Media(disk.behind('store')).find(blocks[3])
        # its neighbours lie in the same blocks as its ends
        disk.on('read', at=(frame.off + 4096, frame.off + frame.bytes - 4096),
                **rule)
    asked = len(origin.requests)
    mine.get(nginx, target)
    disk.off()
    spans = [r.header('range') for r in origin.requests[asked:]
             if r.method == 'GET']
    # this read does without flash from then on; the next one does not
    assert f'bytes={768 * KIB}-{1024 * KIB - 1}' in spans
    assert 'bytes=0-262143' not in spans
    mine.get(nginx, target, (800_000, 900_000))


@pytest.mark.parametrize('size', [3000, 300_000])
def test_many_wrong_bits(disk, origin, make_faulty, size):
    """One bit in each record, anywhere in it."""
    nginx = make_faulty(origin)
    mine = Objects(origin, 30, (size, size))
    cold(disk, nginx, mine)
    rng = random.Random(size)
    path = disk.behind('store')
    for frame in list(store.Media(path).frames()):
        store.flip(path, frame.off + rng.randrange(frame.bytes),
                   rng.randrange(8))
    mine.fetch(nginx)
    reads = store.one(nginx)['reads']
    assert reads['corrupt'] >= 25      # a bit may be one that nobody reads
    assert 1 <= lines(nginx, 'a checksum failed') <= reads['corrupt']
    assert mine.fetch(nginx) == {'ram': 30}


def test_bits_flip_while_it_serves(origin, make_flash):
    nginx = make_flash(origin, zone={'size': '8m'},
                       stores=[dict(size='40m', segment='4m')])
    mine = Objects(origin, 100, (10_000, 250_000))
    mine.fetch(nginx)
    rng = random.Random(1)
    path = store_path(nginx)
    with Load(nginx, mine) as load:
        for _ in range(40):
            for _ in range(20):
                store.flip(path, rng.randrange(SEGMENT, 40 * MIB))
            load.wait_answers(10)
    nginx.restart('kill_all')
    store.wait_state(nginx)
    mine.fetch(nginx)


def test_reads_that_hang_hold_nobody(disk, origin, make_faulty):
    """Each is given up, and answered by the origin; in the end the store is
    out of service, and nobody waits for it any more."""
    nginx = make_faulty(origin, timeout=RUN)
    mine = Objects(origin, 40, (1000, 60_000))
    cold(disk, nginx, mine)
    disk.on('read', hold=True)
    assert mine.fetch(nginx) == {'origin': 40}
    store.wait_state(nginx, 'failed')
    assert count(nginx, 'reads', 'timeouts') >= 8
    assert mine.fetch(nginx) == {'ram': 40}
    disk.off()
    wait.until(lambda: count(nginx, 'reads', 'in_flight') == 0, 'all end')


# --- writes ------------------------------------------------------------------

WRITE = {
    'an I/O error': {'error': 'EIO'},
    'no space': {'error': 'ENOSPC'},
    'read only': {'error': 'EROFS'},
    'nothing written': {'short': 0},
    'a part': {'short': 4096},
}


@pytest.mark.parametrize('fault', WRITE)
def test_a_write_that_fails_is_not_kept(disk, origin, make_faulty, fault):
    nginx = make_faulty(origin, workers=1)
    early, late = Objects(origin, 10, seed=1), Objects(origin, 10, seed=2)
    early.fetch(nginx)
    early.wait_stored([disk.behind('store')])
    rule = disk.on('write', times=3, **WRITE[fault])
    number, torn = 0, []
    while disk.met(rule) < 3:
        torn.append(Objects(origin, 1, (300_000, 300_000), seed=10 + number))
        assert torn[-1].fetch(nginx) == {'origin': 1}
        wait.until(lambda: count(nginx, 'writes', 'in_flight') == 0, 'rest')
        number += 1
    disk.off()
    if fault != 'a part':
        assert count(nginx, 'writes', 'errors') >= 1
        assert lines(nginx, 'write failed') >= 1
    late.fetch(nginx)
    late.wait_stored([disk.behind('store')])
    for how in ('kill_all', 'quit'):
        nginx.restart(how)
        assert store.wait_state(nginx)[0]['out_of_service'] == 0
        assert early.fetch(nginx) == late.fetch(nginx) == {'flash': 10}
        for objects in torn:           # as it is now: right, from anywhere
            objects.fetch(nginx)


@pytest.mark.parametrize('flip', [-1, -50, -3000, -4090, -30_000])
def test_what_is_written_wrongly_is_not_believed(
        disk, origin, make_faulty, flip):
    """Of every write one bit: of records, footers, trailers, headers."""
    nginx = make_faulty(origin)
    rule = disk.on('write', at=(SEGMENT, 1 << 40), flip=flip)
    mine = Objects(origin, 30, (64, 100_000))
    mine.fetch(nginx)
    nginx.quit()
    disk.off(rule)
    nginx.start()
    store.wait_state(nginx)
    mine.fetch(nginx)
    assert mine.fetch(nginx) == {'ram': 30}


def test_writes_that_hang_hold_no_client(disk, origin, make_faulty):
    nginx = make_faulty(origin)
    disk.on('write', hold=True, at=(SEGMENT, 1 << 40))
    mine = Objects(origin, 120, (50_000, 100_000))
    assert mine.fetch(nginx) == {'origin': 120}
    disk.wait_held()
    assert mine.fetch(nginx) == {'ram': 120}
    seeds = iter(range(10, 1000))

    def shed():
        more = Objects(origin, 30, (100_000, 100_000), seed=next(seeds))
        assert more.fetch(nginx) == {'origin': 30}
        return count(nginx, 'writes', 'shed') > 0

    wait.until(shed, lambda: f'some are shed: {store.one(nginx)}')
    disk.off()
    wait.until(lambda: count(nginx, 'writes', 'in_flight') == 0, 'all end')
    late = Objects(origin, 20, seed=3)
    late.fetch(nginx)
    late.wait_stored([disk.behind('store')])
    nginx.restart('kill_all')
    store.wait_state(nginx)
    assert late.fetch(nginx) == {'flash': 20}


# --- out of service ----------------------------------------------------------

@pytest.mark.parametrize('kind', ['read', 'write'])
def test_a_store_that_keeps_failing_is_taken_out_and_tried_again(
        disk, origin, make_faulty, kind):
    nginx = make_faulty(origin, zone={'size': '8m'})
    mine = Objects(origin, 60, (5_000, 50_000))
    cold(disk, nginx, mine)
    rule = disk.on(kind, error='EIO')
    with Load(nginx, mine) as load:
        seeds = iter(range(100, 1000))

        def failed():
            Objects(origin, 4, (100_000, 200_000), seed=next(seeds)) \
                .fetch(nginx)
            return store.one(nginx)['state'] == 'failed'

        wait.until(failed, lambda: f'it fails: {store.one(nginx)}', 15)
        load.wait_answers(50)
        assert lines(nginx, f'{kind} failed') >= 1
        assert lines(nginx, 'taken out of service') == 1
        assert count(nginx, 'out_of_service') == 1
        if kind == 'read':             # tried again, in vain
            met = disk.met(rule)
            disk.wait_met(rule, met + 1, 20)
            load.wait_answers(20)
            assert store.one(nginx)['state'] == 'failed'
        disk.off(rule)
        store.wait_state(nginx, timeout_s=25)
        nginx.wait_log(FAULT + 'in service again')
        load.wait_answers(50)
    late = Objects(origin, 10, seed=7)
    late.fetch(nginx)
    late.wait_stored([disk.behind('store')])
    nginx.restart('quit')
    store.wait_state(nginx)
    assert late.fetch(nginx) == {'flash': 10}
    mine.fetch(nginx)


def test_what_changed_while_a_store_was_out_never_comes_back(
        disk, origin, make_faulty):
    nginx = make_faulty(origin, valid='200 0s')
    mine = Objects(origin, 30, (5_000, 50_000))
    cold(disk, nginx, mine)
    disk.on('read', 'write', error='EIO')
    mine.fetch(nginx)
    store.wait_state(nginx, 'failed')
    for number, target in enumerate(mine.targets):
        mine.put(target, pattern(2000 + number, 900 + number))
    mine.fetch(nginx)
    disk.off()
    store.wait_state(nginx, timeout_s=25)
    mine.fetch(nginx)
    nginx.restart('quit', server=nginx.pieces['server'].replace(
        's3_cache_valid 200 0s', 's3_cache_valid 200 1h'))
    store.wait_state(nginx)
    # were an older version there, it would be fresh enough for the new TTL
    mine.fetch(nginx)


@pytest.mark.parametrize('alone', [False, True])
def test_a_drop_that_the_kernel_throws_away(disk, origin, make_faulty, alone):
    """The worker is killed while its drops are on their way. Another one writes
    them, without loss of anything else; if none is left, the master sees that
    all is lost."""
    nginx = make_faulty(origin, workers=1)
    mine = Objects(origin, 10, (5_000, 50_000))
    cold(disk, nginx, mine)
    changed = mine.targets[:3]
    rule = disk.on('write', hold=True, error='EIO', times=100)
    for number, target in enumerate(changed):
        mine.bodies[target] = pattern(3000 + number, 900 + number)
        assert nginx.request('PUT', target,
                             body=mine.bodies[target]).status == 200
    disk.wait_held()
    worker, = nginx.worker_pids()
    nginx.killed.add(worker)
    if alone:
        nginx.send_signal(signal.SIGSTOP)
    os.kill(worker, signal.SIGKILL)
    if alone:
        nginx.send_signal(signal.SIGQUIT)
    disk.off(rule)
    if alone:
        nginx.send_signal(signal.SIGCONT)
        nginx.child.wait(20)
        assert 'holds what was dropped' in nginx.log()
        nginx.start()
    else:
        wait.until(lambda: nginx.worker_pids() not in ([], [worker]),
                   'another worker')
        wait.until(lambda: count(nginx, 'writes', 'in_flight') == 0, 'rest')
        nginx.restart('quit')
        assert 'holds what was dropped' not in nginx.log()
    records = store.wait_state(nginx)[0]['records']
    assert records == (0 if alone else 7)
    assert mine.fetch(nginx, changed) == {'origin': 3}
    assert mine.fetch(nginx, mine.targets[3:]) == {
        'origin' if alone else 'flash': 7}


def test_one_store_of_two_fails_alone(disk, origin, make_flash):
    nginx = make_flash(origin, zone={'size': '8m'}, stores=[
        dict(SMALL, path=disk.path('store'), timeout='10s'),
        dict(SMALL, path='@dir@/store')])
    mine = Objects(origin, 80, (64, 20_000))
    mine.fetch(nginx)
    mine.wait_stored([disk.behind('store'), store_path(nginx)])
    nginx.restart('kill_all')
    store.wait_state(nginx)
    disk.on('read', error='EIO')
    before = len(origin.requests)
    found = mine.fetch(nginx)
    on_bad = found['origin']
    assert found['flash'] == 80 - on_bad and 20 < on_bad < 60
    assert len(origin.requests) - before == on_bad
    states = [s['state'] for s in store.stores(nginx)]
    assert states == ['failed', 'serving']


def test_a_disk_that_fails_from_the_start_is_no_reason_to_serve_nobody(
        disk, origin, make_faulty):
    """Its first reads succeed (the master's), its mount does not."""
    nginx = make_faulty(origin)
    mine = Objects(origin, 20)
    mine.fetch(nginx)
    mine.wait_stored([disk.behind('store')])
    nginx.kill_all()
    rule = disk.on('write', error='EIO')
    nginx.start()
    store.wait_state(nginx, 'failed')
    assert mine.fetch(nginx) == {'origin': 20}
    disk.off(rule)
    store.wait_state(nginx, timeout_s=25)
    late = Objects(origin, 10, seed=3)
    late.fetch(nginx)
    late.wait_stored([disk.behind('store')])


def test_a_mount_that_hangs_holds_nobody(disk, origin, make_faulty):
    nginx = make_faulty(origin)
    mine = Objects(origin, 20)
    cold(disk, nginx, mine)
    nginx.stop()
    rule = disk.on('write', hold=True)
    nginx.start()
    disk.wait_held()
    assert store.one(nginx)['state'] == 'waiting'
    late = Objects(origin, 20, seed=2)
    assert late.fetch(nginx) == {'origin': 20}
    disk.off(rule)
    store.wait_state(nginx)
    assert mine.fetch(nginx) == {'flash': 20}
    assert late.fetch(nginx) == {'ram': 20}


@pytest.mark.parametrize('kind', ['read', 'write'])
def test_a_reload_while_the_disk_hangs(disk, origin, make_faulty, kind):
    """Old workers wait for their I/O; the new ones serve."""
    nginx = make_faulty(origin, timeout=RUN)
    mine = Objects(origin, 20)
    cold(disk, nginx, mine)
    rule = disk.on(kind, hold=True, times=2, at=(SEGMENT, 1 << 40))
    late = Objects(origin, 20, seed=2)
    assert late.fetch(nginx) == {'origin': 20}
    found = mine.fetch(nginx)
    assert set(found) <= {'flash', 'origin', 'ram'}
    disk.wait_held()
    nginx.reload()
    assert late.fetch(nginx) == mine.fetch(nginx) == {'ram': 20}
    disk.off(rule)
    nginx.reload(wait_old=True)
    assert late.fetch(nginx) == mine.fetch(nginx) == {'ram': 20}
    nginx.restart('quit')
    store.wait_state(nginx)
    late.fetch(nginx)
    mine.fetch(nginx)


def test_a_store_that_may_not_be_opened_refuses_a_reload_only(
        disk, origin, make_faulty):
    nginx = make_faulty(origin, zone={'size': '8m'})
    mine = Objects(origin, 30)
    cold(disk, nginx, mine)
    disk.on('open', error='EACCES')
    workers = nginx.worker_pids()
    nginx.send_signal(1)
    nginx.allow('store" cannot be')
    nginx.wait_log(r'\[emerg\].*store" cannot be')
    assert nginx.worker_pids() == workers
    assert mine.fetch(nginx) == {'flash': 30}
    code, said = nginx.test_conf()
    assert code != 0 and 'Permission denied' in said
    disk.off()
    nginx.reload()
    assert mine.fetch(nginx).get('origin', 0) == 0
