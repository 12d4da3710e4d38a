# SPDX-License-Identifier: Apache-2.0
"""The scrub (s3_cache_zone ... scrub=): what has changed in memory or on flash
without anybody writing it is found and dropped."""

import re

import pytest

from flash_reads import ROOMY, Objects, make_flash    # noqa: F401 (fixture)
from lib import store, wait
from lib.nginx import s3_location, s3_store, s3_zone
from origin.objects import pattern
from peer_reads import make_cluster                   # noqa: F401 (fixture)
from reads import get

KIB, MIB = 1 << 10, 1 << 20
ON = {'size': '32m', 'scrub': '10m'}
BAD = '[crit]'


def scrub(nginx):
    return nginx.zone()['scrub']


def passes(nginx, n=2):
    """So many whole passes have begun and ended after this."""
    want = scrub(nginx)['passes'] + n
    wait.until(lambda: scrub(nginx)['passes'] >= want,
               lambda: f'{n} passes: {scrub(nginx)}', 30)


def kept(nginx, target, headers=()):
    get(nginx, target, headers)
    wait.until(lambda: nginx.zone()['memory']['fills'] == 0, 'the fill')


def shared(pid):
    """[(from, to)] of what a worker shares with others of its kind."""
    with open(f'/proc/{pid}/maps', encoding='ascii') as f:
        for line in f:
            found = re.match(r'(\w+)-(\w+) rw-s .*(/dev/zero|anon_hugepage)',
                             line)
            if found:
                yield int(found[1], 16), int(found[2], 16)


def flip(nginx, needle, at=0):
    """One bit behind the one place in the zone where these bytes are."""
    pid = nginx.worker_pids()[0]
    places = []
    with open(f'/proc/{pid}/mem', 'r+b', buffering=0) as mem:
        for first, last in shared(pid):
            for off in range(first, last, MIB):
                mem.seek(off)
                # and what lies over the edge to the next piece
                piece = mem.read(min(MIB + len(needle) - 1, last - off))
                hit = piece.find(needle)
                if hit >= 0 and off + hit not in places:
                    places.append(off + hit)
        assert len(places) == 1, places
        mem.seek(places[0] + at)
        byte = mem.read(1)[0]
        mem.seek(places[0] + at)
        mem.write(bytes([byte ^ 1]))


# --- memory ------------------------------------------------------------------

@pytest.mark.parametrize('size, at', [(100, 0), (5000, 4000),
                                      (300 * KIB, 200 * KIB)])
@pytest.mark.parametrize('policy', ['s3fifo', 'lru'])
def test_a_flipped_bit_in_memory(make_gateway, origin, policy, size, at):
    nginx = make_gateway(origin, zone=dict(ON, policy=policy), valid='200 1h',
                         location='s3_cache_block_size 64k;')
    body = pattern(size)
    for key in ('key', 'other'):
        origin.put('bkt', key, body if key == 'key' else pattern(5000, 9))
        kept(nginx, f'/bkt/{key}')
    passes(nginx)
    assert scrub(nginx)['failures'] == 0
    flip(nginx, body[at:at + 64])
    wait.until(lambda: scrub(nginx)['failures'] == 1, 'a failure', 30)
    line = next(x for x in nginx.log().splitlines() if BAD in x)
    assert ('bkt/key' if size <= 64 * KIB else 'a block') in line
    asked = len(origin.requests)
    answer = get(nginx, '/bkt/key')
    assert answer.body == body
    assert len(origin.requests) == asked + 1       # only what was wrong
    assert get(nginx, '/bkt/other')['X-Cache'] == 'HIT'
    passes(nginx)
    assert scrub(nginx)['failures'] == 1
    assert 's3_cache_scrub_failures_total{zone="hot"} 1' in nginx.metrics()


def test_many_failures_are_few_lines(make_gateway, origin):
    """Ten a minute: that a minute ends meanwhile makes it twenty at most."""
    nginx = make_gateway(origin, zone=ON, valid='200 1h')
    bodies = {f'key{i}': pattern(2000 + i, i + 1) for i in range(24)}
    for key, body in bodies.items():
        origin.put('bkt', key, body)
        kept(nginx, f'/bkt/{key}')
    for body in bodies.values():
        flip(nginx, body[:64])
    wait.until(lambda: scrub(nginx)['failures'] == 24, 'all failures', 30)
    lines = [x for x in nginx.log().splitlines() if BAD in x]
    assert 10 <= len(lines) <= 20
    assert 1 <= sum('are only counted' in x for x in lines) <= 2
    for key, body in bodies.items():
        assert get(nginx, f'/bkt/{key}').body == body


def test_equal_bytes_are_quiet(make_gateway, origin):
    """Also of records that are revalidated, and of what comes and goes."""
    nginx = make_gateway(origin, zone=dict(ON, size='8m', scrub='200m'),
                         valid='200 1s', location='s3_cache_block_size 64k;')
    objects = Objects(origin, 60, (1, 400 * KIB))
    for _ in range(4):
        objects_read(nginx, objects)
        passes(nginx)
    found = scrub(nginx)
    assert found['failures'] == 0 and found['sealed'] == 0
    assert found['entries'] > 60 and found['bytes'] > MIB
    assert BAD not in nginx.log()


def objects_read(nginx, objects):
    for target, body in objects.bodies.items():
        assert get(nginx, target).body == body


def test_it_is_off_by_default(make_gateway, origin):
    nginx = make_gateway(origin)
    body = pattern(5000)
    origin.put('bkt', 'key', body)
    kept(nginx, '/bkt/key')
    flip(nginx, body[4000:4064])
    assert get(nginx, '/bkt/key').body != body     # nobody looks
    assert set(scrub(nginx).values()) == {0}


def test_a_reload_turns_it_on_and_off(make_gateway, origin):
    nginx = make_gateway(origin, zone={'size': '32m'}, valid='200 1h')
    bodies = [pattern(5000, n) for n in range(3)]
    for n, body in enumerate(bodies):
        origin.put('bkt', str(n), body)
    kept(nginx, '/bkt/0')
    off = nginx.pieces['http']
    nginx.reload(http=s3_zone(**ON))
    kept(nginx, '/bkt/1')
    passes(nginx)
    assert scrub(nginx)['sealed'] == 1             # of before the reload
    flip(nginx, bodies[0][4000:4064])
    flip(nginx, bodies[1][4000:4064])
    wait.until(lambda: scrub(nginx)['failures'] == 2, 'both', 30)
    nginx.reload(http=off, wait_old=True)
    kept(nginx, '/bkt/2')
    flip(nginx, bodies[2][4000:4064])
    was = scrub(nginx)
    assert get(nginx, '/bkt/2').body != bodies[2]
    assert scrub(nginx) == was


def test_the_worker_that_scrubs_is_killed(make_gateway, origin):
    nginx = make_gateway(origin, zone=ON, valid='200 1h')
    body = pattern(MIB)
    origin.put('bkt', 'key', body)
    kept(nginx, '/bkt/key')
    for _ in range(3):
        passes(nginx, 1)
        for pid in nginx.worker_pids():            # it is one of them
            nginx.kill_worker(pid)
    nginx.reload()
    passes(nginx)
    flip(nginx, body[5000:5064])
    wait.until(lambda: scrub(nginx)['failures'] == 1, 'a failure', 30)
    assert get(nginx, '/bkt/key').body == body


def test_no_faster_than_it_may(make_gateway, origin):
    nginx = make_gateway(origin, zone={'size': '32m', 'scrub': '64k'},
                         valid='200 1h')
    objects_read(nginx, Objects(origin, 200, (5000, 6000)))
    wait.until(lambda: scrub(nginx)['bytes'] > 0, 'the first', 30)
    assert scrub(nginx)['bytes'] <= 256 * KIB
    assert scrub(nginx)['passes'] == 0


@pytest.mark.parametrize('value', ['', '1k', '63k', '257m', 'x', '-1', '10m '])
def test_what_nginx_t_refuses(make_nginx, value):
    nginx = make_nginx(http=f's3_cache_zone hot:32m "scrub={value}";',
                       server=s3_location('http://127.0.0.1:1'))
    status, said = nginx.test_conf()
    assert status != 0
    assert 'bytes a second' in said and 'nginx.conf:' in said


@pytest.mark.parametrize('value', ['64k', '256m', '10M', 'off'])
def test_what_nginx_t_takes(make_nginx, value):
    nginx = make_nginx(http=s3_zone(scrub=value) + s3_store(),
                       server=s3_location('http://127.0.0.1:1'))
    status, said = nginx.test_conf()
    assert status == 0, said


# --- flash -------------------------------------------------------------------

def flash(nginx):
    return store.one(nginx)['scrub']


def flash_passes(nginx, n=2):
    want = flash(nginx)['passes'] + n
    wait.until(lambda: flash(nginx)['passes'] >= want,
               lambda: f'{n} passes: {flash(nginx)}', 30)


@pytest.mark.parametrize('io', ['auto', 'threads'])
def test_a_flipped_bit_on_flash(make_flash, origin, io):
    nginx = make_flash(origin, stores=[ROOMY], zone=ON, valid='200 1h',
                       http=f's3_cache_io {io};\n' if io != 'auto' else '')
    objects = Objects(origin, 100, (50_000, 200_000))
    objects.fetch(nginx)
    objects.wait_stored([f'{nginx.dir}/store'])
    flash_passes(nginx)
    assert flash(nginx)['failures'] == 0
    assert flash(nginx)['records'] > 10

    # in a segment that is sealed: the first ones are
    path = f'{nginx.dir}/store'
    media = store.Media(path)
    sealed = media.sealed()
    frame = next(f for f in media.frames()
                 if f.kind == store.RECORD
                 and any(o <= f.off < o + media.segment_bytes
                         for o in sealed))
    store.flip(path, frame.off + store.HEAD.size + frame.size // 3)
    wait.until(lambda: flash(nginx)['failures'] == 1, 'a failure', 30)
    records = store.one(nginx)['records']
    flash_passes(nginx)
    assert flash(nginx)['failures'] == 1
    assert store.one(nginx)['records'] == records
    assert store.one(nginx)['reads']['corrupt'] == 1

    # whoever reads gets the right bytes, from the origin where it was wrong
    nginx.restart('quit')
    store.wait_state(nginx)
    tiers = objects.fetch(nginx)
    assert tiers.get('origin', 0) <= 1


def test_flash_is_not_read_when_it_is_off(make_flash, origin):
    nginx = make_flash(origin, stores=[ROOMY], valid='200 1h')
    objects = Objects(origin, 60, (100_000, 200_000))
    objects.fetch(nginx)
    objects.wait_stored([f'{nginx.dir}/store'])
    assert set(flash(nginx).values()) == {0}
    assert store.one(nginx)['reads']['hits'] == 0


def test_the_worker_that_scrubs_flash_is_killed(make_flash, origin):
    nginx = make_flash(origin, stores=[ROOMY], zone=ON, valid='200 1h')
    objects = Objects(origin, 100, (50_000, 200_000))
    objects.fetch(nginx)
    objects.wait_stored([f'{nginx.dir}/store'])
    for _ in range(2):
        flash_passes(nginx, 1)
        for pid in nginx.worker_pids():
            nginx.kill_worker(pid)
    store.wait_state(nginx)
    nginx.reload()
    flash_passes(nginx)
    assert flash(nginx)['failures'] == 0
    objects.fetch(nginx)


# --- a ring ------------------------------------------------------------------

def test_each_node_of_a_ring_scrubs_what_it_has(make_cluster, origin):
    cluster = make_cluster(origin, zone=ON, valid='200 206 1h')
    cluster.wait_vouched()
    body = pattern(300 * KIB)
    origin.put('bkt', 'key', body)
    for node in cluster.nodes:
        kept(node, '/bkt/key')
    for node in cluster.nodes:
        passes(node)
        assert scrub(node)['failures'] == 0
    assert sum(scrub(node)['entries'] for node in cluster.nodes) >= 6
    for node in cluster.nodes:
        assert get(node, '/bkt/key').body == body
