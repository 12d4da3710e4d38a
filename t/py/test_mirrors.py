# SPDX-License-Identifier: Apache-2.0
"""Mirrors: what is read often through nodes that do not own it is kept by them
for a while, so that all nodes have the same work; and it is never older, nor
more, than was said."""

import random

import pytest

from lib import nginx as nginx_lib
from lib import wait
from lib.reader import Reader
from origin.objects import pattern
from peer_reads import (BLOCK, MIB, STRIPE, asked_twice, check, get,
                        make_cluster)

__all__ = ['make_cluster']

LONG = '    mirror 20% 1h;\n'
OFF = '    mirror off;\n'


def mirrors(node, name='kept'):
    return node.zone()['mirrors'][name]


def tier(answer):
    return answer['X-Tier']


def ring(make_cluster, origin, block=LONG, zone=None, **more):
    """Three nodes of two workers."""
    return make_cluster(origin, block=block, zone=zone or {'size': '64m'},
                        workers=2, **more)


def heat(node, target, headers=(), method='GET', times=60):
    """Reads it until it is mirrored; answers the tiers."""
    tiers = []
    for _ in range(times):
        answer = get(node, target, headers, method)
        assert answer.status in (200, 206, 404)
        tiers.append(tier(answer))
        if tiers[-1] == 'mirror':
            return tiers
    raise AssertionError(f'{target} is not mirrored: {tiers}')


def ready(make_cluster, origin, size=1000, block=LONG, version=0, **more):
    """A cluster, the node that owns bkt/key, another one, and the object."""
    cluster = ring(make_cluster, origin, block, **more)
    origin.bucket('bkt')
    owner = cluster.owner('/bkt/key')
    obj = origin.put('bkt', 'key', pattern(size, version))
    origin.requests.clear()
    return cluster, cluster.nodes[owner], cluster.others(owner)[0], obj


# --- the point of it ---------------------------------------------------------

def loads(make_cluster, origin, block):
    """Zipf 1.0 over 200 keys, of which node 0 owns the four hottest and a
    third of the others, read at all nodes alike: what each node has done."""
    cluster = ring(make_cluster, origin, block)
    origin.bucket('bkt')
    keys = [cluster.key_of(0) for _ in range(4)]
    keys += [cluster.key_of(i % 3) for i in range(196)]
    bodies = {}
    for i, key in enumerate(keys):
        bodies[key] = pattern(200 + i, i)
        origin.put('bkt', key, bodies[key])
    start = [(sum(n.zone()['requests'].values()), n.zone()['peers']['served'])
             for n in cluster.nodes]
    rng = random.Random(11)
    rank = [1 / (i + 1) for i in range(len(keys))]
    for i, key in enumerate(rng.choices(keys, rank, k=6000)):
        answer = get(cluster.nodes[i % 3], f'/bkt/{key}')
        assert (answer.status, answer.body) == (200, bodies[key])
    work = []
    for node, (requests, served) in zip(cluster.nodes, start):
        zone = node.zone()
        work.append(sum(zone['requests'].values()) - requests
                    + zone['peers']['served'] - served)
    assert asked_twice(origin) == [] and sum(work) >= 6000
    for key in keys:
        origin.delete('bkt', key)
    origin.requests.clear()
    return max(work) * 3 / sum(work)


def test_hot_keys_of_one_node_are_the_work_of_all(
        origin, make_cluster, record_property):
    on = loads(make_cluster, origin, LONG)
    off = loads(make_cluster, origin, OFF)
    record_property('max/mean', f'{on:.3f} with mirrors, {off:.3f} without')
    print(f'max/mean {on:.3f} with mirrors, {off:.3f} without')
    assert on <= 1.1, (on, off)
    assert off > 1.2 and on < off - 0.1, (on, off)


SIZES = [0, 1, 100, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3, STRIPE,
         2 * STRIPE + 5]


def test_mirrors_of_all_sizes_are_exact(origin, make_cluster):
    """Read at all nodes until none asks another: then all have everything, and
    a large object's stripes are each owner's own."""
    cluster = ring(make_cluster, origin)
    mine = {f'/bkt/s{size}': origin.put('bkt', f's{size}', pattern(size, size),
                                        last_modified=1_700_000_000)
            for size in SIZES}
    whole = [{}]
    parts = [{'Range': 'bytes=0-9'}, {'Range': f'bytes={BLOCK - 5}-'},
             {'Range': '-17'}, {'If-None-Match': '"x"'}]

    def turn(words):
        for node in cluster.nodes:
            for target, obj in mine.items():
                for word in words:
                    check(node, obj, target, word)
                check(node, obj, target, method='HEAD')
        return sum(cluster.stat(i, 'asked') for i in range(3))

    def served():
        return min(node.zone()['sent_bytes']['mirror']
                   for node in cluster.nodes)

    asked = [-1, turn(whole)]
    while asked[-1] != asked[-2] or served() <= 2 * STRIPE:
        assert len(asked) < 30, (asked, served())
        asked.append(turn(whole))
    assert turn(whole + parts) == asked[-1]
    assert asked_twice(origin) == []
    for node in cluster.nodes:
        assert mirrors(node) >= len(SIZES) / 2
        assert node.zone()['sent_bytes']['mirror'] > 2 * STRIPE


def test_an_answer_from_a_mirror_is_a_hit(origin, make_cluster):
    cluster, owner, other, obj = ready(make_cluster, origin)
    tiers = heat(other, '/bkt/key')
    assert set(tiers[:-1]) == {'peer'} and len(tiers) <= 5, tiers
    answer = get(other, '/bkt/key')
    assert (answer['X-Cache'], tier(answer)) == ('HIT', 'mirror')
    assert answer.body == obj.body
    assert get(other, '/bkt/key', method='HEAD')['X-Tier'] == 'mirror'
    assert get(other, '/bkt/key',
               {'If-None-Match': obj.etag}).status == 304
    assert mirrors(other) == 1 and mirrors(other, 'hit') == 4
    assert mirrors(other, 'kept_bytes') > 1000
    assert tier(get(owner, '/bkt/key')) == 'ram' and mirrors(owner) == 0
    assert len(origin.requests_for(key='key', method='GET')) == 1


def test_off_is_off(origin, make_cluster):
    cluster, owner, other, obj = ready(make_cluster, origin, block=OFF)
    for _ in range(20):
        assert tier(check(other, obj, '/bkt/key')) == 'peer'
    assert mirrors(other) == 0 and other.zone()['memory']['entries'] == 0


def test_a_reload_may_turn_mirrors_off(origin, make_cluster):
    cluster, owner, other, obj = ready(make_cluster, origin)
    heat(other, '/bkt/key')
    text = other.pieces['http']
    assert LONG in text
    other.reload(wait_old=True, http=text.replace(LONG, OFF))
    for _ in range(6):
        assert tier(check(other, obj, '/bkt/key')) == 'peer'
    other.reload(wait_old=True, http=text)
    heat(other, '/bkt/key')


# --- how old it may be -------------------------------------------------------

@pytest.mark.parametrize('size', [1000, 3 * BLOCK])
@pytest.mark.parametrize('mode', ['ttl', 'immutable'])
def test_a_mirror_is_over_after_its_time(origin, make_cluster, size, mode):
    """The owner learns of the new version, nobody tells the others."""
    cluster, owner, other, old = ready(
        make_cluster, origin, size, '    mirror 20% 600ms;\n', valid='1h',
        location=f's3_cache_freshness {mode};')
    heat(other, '/bkt/key')
    new = origin.put('bkt', 'key', pattern(size, 1))
    check(owner, new, '/bkt/key', {'Cache-Control': 'no-cache'})
    seen = []

    def is_new():
        answer = get(other, '/bkt/key')
        assert answer.body in (old.body, new.body)
        seen.append(answer.body == new.body)
        return len(seen) > 3 and all(seen[-3:])

    wait.until(is_new, 'the new version', every_s=0.02)
    assert seen == sorted(seen), 'it went back to the old one'
    # whoever did not own it has never asked the origin
    assert other.zone()['origin']['requests'] == 0


def test_a_mirror_does_not_outlive_what_its_owner_has(origin, make_cluster):
    cluster, owner, other, old = ready(make_cluster, origin, valid='200 1s')
    heat(other, '/bkt/key')
    new = origin.put('bkt', 'key', pattern(1000, 1))
    wait.until(lambda: get(other, '/bkt/key').body == new.body,
               'the new version', timeout_s=5)
    assert other.zone()['origin']['requests'] == 0


def test_nothing_is_kept_of_what_is_never_fresh(origin, make_cluster):
    cluster, owner, other, obj = ready(make_cluster, origin, valid='200 0')
    for version in range(10):
        obj = origin.put('bkt', 'key', pattern(1000, version))
        check(other, obj, '/bkt/key')
    assert mirrors(other) == 0


def test_mirrors_that_nobody_reads_leave(origin, make_cluster):
    cluster, owner, other, obj = ready(make_cluster, origin, 3 * BLOCK,
                                       '    mirror 20% 300ms;\n')
    heat(other, '/bkt/key')
    for _ in range(6):
        check(other, obj, '/bkt/key')
    kept = cluster.stat(cluster.nodes.index(other), 'asked')
    wait.until(lambda: other.zone()['memory']['payload_bytes'] == 0,
               lambda: f'empty: {other.zone()["memory"]}')
    check(other, obj, '/bkt/key')
    assert cluster.stat(cluster.nodes.index(other), 'asked') > kept


def test_a_404_is_mirrored_as_long_as_it_is_valid(origin, make_cluster):
    cluster = ring(make_cluster, origin, '    mirror 20% 400ms;\n',
                   valid='200 404 1h')
    origin.bucket('bkt')
    cluster.nodes[0].get('/bkt/key')
    owner = [cluster.stat(i, 'served') for i in range(3)].index(1) \
        if cluster.stat(0, 'asked') else 0
    other = cluster.others(owner)[0]
    for method in ('HEAD', 'GET'):
        for _ in range(8):
            answer = get(other, '/bkt/key', method=method)
            assert answer.status == 404
            assert method == 'HEAD' or answer.element('Key') == 'key'
    assert mirrors(other) >= 2 and mirrors(other, 'hit') >= 4
    obj = origin.put('bkt', 'key', b'here')
    check(cluster.nodes[owner], obj, '/bkt/key', {'Cache-Control': 'no-cache'})
    wait.until(lambda: get(other, '/bkt/key').status == 200, 'it is there')
    check(other, obj, '/bkt/key')


# --- who must not use it -----------------------------------------------------

@pytest.mark.parametrize('size', [1000, 3 * BLOCK])
def test_who_wants_the_truth_gets_it_from_the_owner(
        origin, make_cluster, size):
    cluster, owner, other, old = ready(make_cluster, origin, size, valid='1h')
    for version in range(1, 4):
        heat(other, '/bkt/key')
        new = origin.put('bkt', 'key', pattern(size, version))
        answer = check(other, new, '/bkt/key', {'Cache-Control': 'no-cache'})
        assert tier(answer) == 'peer'
        check(other, new, '/bkt/key')
        check(owner, new, '/bkt/key')
    assert other.zone()['origin']['requests'] == 0


def test_strict_has_no_mirrors(origin, make_cluster):
    cluster, owner, other, obj = ready(
        make_cluster, origin, location='s3_cache_freshness strict;')
    for version in range(10):
        obj = origin.put('bkt', 'key', pattern(1000, version))
        assert tier(check(other, obj, '/bkt/key')) == 'peer'
    assert mirrors(other) == 0 and mirrors(other, 'hit') == 0


def test_checksums_are_not_invented(origin, make_cluster):
    """A mirror made of a ranged read does not know them."""
    sums = {'x-amz-checksum-sha256': 'abc/+=-7'}
    cluster = ring(make_cluster, origin)
    origin.bucket('bkt')
    owner = cluster.owner('/bkt/key')
    other = cluster.others(owner)[0]
    obj = origin.put('bkt', 'key', pattern(3 * BLOCK), sums)
    heat(other, '/bkt/key', {'Range': 'bytes=5-9'})
    for _ in range(3):
        answer = get(other, '/bkt/key', {'x-amz-checksum-mode': 'ENABLED'})
        assert (answer.status, answer.body) == (200, obj.body)
        assert answer['x-amz-checksum-sha256'] == 'abc/+=-7'
        check(other, obj, '/bkt/key', {'Range': 'bytes=5-9'})
    other.check_accounting()


@pytest.mark.parametrize('size', [0, 1000, 3 * BLOCK])
def test_what_head_brought_is_for_head(origin, make_cluster, size):
    cluster, owner, other, obj = ready(make_cluster, origin, size)
    check(owner, obj, '/bkt/key')
    heat(other, '/bkt/key', method='HEAD')
    for _ in range(8):
        check(other, obj, '/bkt/key', method='HEAD')
        check(other, obj, '/bkt/key')
        check(other, obj, '/bkt/key', {'Range': 'bytes=0-99'} if size else {})
    assert tier(get(other, '/bkt/key')) == 'mirror'
    assert tier(get(other, '/bkt/key', method='HEAD')) == 'mirror'
    assert asked_twice(origin) == []
    assert len(origin.requests_for(key='key', method='GET')) == max(
        1, -(-size // BLOCK))


def test_a_node_that_stands_in_for_an_owner_does_not_use_its_mirror(
        origin, make_cluster):
    """The first owner is dead; who is asked instead of it asks the origin."""
    cluster = ring(make_cluster, origin, valid='1h')
    origin.bucket('bkt')
    keys = [cluster.key_of(0) for _ in range(16)]
    for key in keys:
        origin.put('bkt', key, pattern(1000, 1))
        heat(cluster.nodes[1], f'/bkt/{key}')
    cluster.nodes[0].kill_all()
    new = {key: origin.put('bkt', key, pattern(1000, 2)) for key in keys}
    stood_in = []
    for key in keys:
        served = cluster.stat(1, 'served')
        check(cluster.nodes[2], new[key], f'/bkt/{key}')
        if cluster.stat(1, 'served') > served:
            stood_in.append(key)
    assert stood_in, 'another secret, other owners: no key was asked of node 1'
    for key in stood_in:
        check(cluster.nodes[1], new[key], f'/bkt/{key}')


# --- how much it may be, and where -------------------------------------------

def test_the_share_of_the_zone_is_kept(origin, make_cluster):
    share = 64 * MIB // 100
    cluster = ring(make_cluster, origin, '    mirror 1% 1h;\n')
    bodies = {f'k{i}': pattern(50_000, i) for i in range(40)}
    for key, body in bodies.items():
        origin.put('bkt', key, body)
    node = cluster.nodes[0]
    for _ in range(12):
        for key, body in bodies.items():
            assert get(node, f'/bkt/{key}').body == body
    assert mirrors(node, 'refused') > 0
    assert share / 2 - 60_000 < mirrors(node, 'kept_bytes') <= share
    node.check_accounting()


def test_mirrors_are_not_written_to_flash(origin, make_cluster):
    cluster, owner, other, obj = ready(
        make_cluster, origin, 3 * BLOCK, http=nginx_lib.s3_store(
            size='128m', segment='4m'))
    for node in cluster.nodes:
        wait.until(lambda node=node: node.zone()['stores'][0]['state']
                   == 'serving', 'the store serves')
    heat(other, '/bkt/key')
    for _ in range(8):
        check(other, obj, '/bkt/key')
    wait.until(lambda: owner.zone()['stores'][0]['records'] >= 1,
               'the owner has written it')
    assert other.zone()['stores'][0]['writes']['records'] == 0


# --- while things happen -----------------------------------------------------

@pytest.mark.parametrize('size', [1000, 3 * STRIPE])
def test_storms_of_readers_and_workers_that_die(origin, make_cluster, size):
    cluster, owner, other, obj = ready(make_cluster, origin, size,
                                       '    mirror 20% 50ms;\n')
    for turn in range(8):
        readers = [Reader(node, '/bkt/key')
                   for _ in range(10) for node in cluster.nodes]
        for reader in readers:
            assert reader.read_all() == obj.body
            assert reader.status == 200
            reader.close()
        if turn % 4 == 3:
            other.kill_worker()
            other.allow('exited on signal 9|dead workers cleared')
    for node in cluster.nodes:
        node.check_accounting()


def test_an_object_that_changes_all_the_time_is_never_mixed(
        origin, make_cluster):
    cluster, owner, other, obj = ready(
        make_cluster, origin, 3 * BLOCK, '    mirror 20% 30ms;\n',
        valid='200 206 1s')
    versions = {obj.etag: obj.body}
    for version in range(1, 12):
        obj = origin.put('bkt', 'key', pattern(3 * BLOCK, version))
        versions[obj.etag] = obj.body
        check(owner, obj, '/bkt/key', {'Cache-Control': 'no-cache'})
        for _ in range(6):
            for node in cluster.nodes:
                answer = get(node, '/bkt/key')
                assert answer.status == 200
                assert answer.body == versions[answer['ETag']]
    wait.until(lambda: all(get(node, '/bkt/key').body == obj.body
                           for node in cluster.nodes), 'the last version')
