# SPDX-License-Identifier: Apache-2.0
"""Reads through a ring: whichever node is asked, the answer is the origin's,
byte for byte, and the origin is asked once for it."""

import random
from urllib.parse import unquote_to_bytes

import pytest

from flash_reads import Objects
from lib import nginx as nginx_lib
from lib import store, wait
from lib.reader import Cut, Reader
from origin.objects import pattern
from peer_reads import (BLOCK, KIB, MIB, STRIPE, asked_twice, blocks, check,
                        fetches, get, make_cluster, shown)

__all__ = ['make_cluster']

SIZES = [0, 1, 100, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, STRIPE - 1, STRIPE,
         STRIPE + 1, 5 * STRIPE, 3_000_000]
META = {'x-amz-meta-color': 'blue', 'x-amz-meta-Other': 'a  b',
        'Content-Type': 'text/x-test', 'Cache-Control': 'max-age=100',
        'Content-Encoding': 'zorp', 'Content-Disposition': 'inline; x="y"'}


def put_all(origin, sizes, **more):
    return {f'/bkt/s{size}': origin.put('bkt', f's{size}', pattern(size, size),
                                        **more) for size in sizes}


# --- whole objects --------------------------------------------------------------

@pytest.mark.parametrize('first', [0, 1, 2])
def test_every_size_is_exact_everywhere(origin, make_cluster, first):
    cluster = make_cluster(origin)
    mine = put_all(origin, SIZES)
    order = cluster.nodes[first:] + cluster.nodes[:first]
    for _ in range(2):
        for node in order:
            for target, obj in mine.items():
                check(node, obj, target)
    assert asked_twice(origin) == []
    assert len(origin.requests) == sum(map(blocks, SIZES))


@pytest.mark.parametrize('size', [0, 100, BLOCK, 700_000])
def test_answers_of_all_nodes_are_alike(origin, make_cluster, size):
    cluster = make_cluster(origin)
    obj = origin.put('bkt', 'key', pattern(size), META,
                     last_modified=1_700_000_000)
    for words in ([], [('Range', 'bytes=10-70')], [('Range', 'bytes=-30')],
                  [('If-None-Match', obj.etag)]):
        for method in ('GET', 'HEAD'):
            answers = [get(node, '/bkt/key', words, method)
                       for node in cluster.nodes * 2]
            for answer in answers:
                assert shown(answer) == shown(answers[0])
                assert answer.status == answers[0].status
                if answer.status < 400:        # errors name the request
                    assert answer.body == answers[0].body
            if answers[0].status in (200, 206):
                for name, value in META.items():
                    assert answers[0][name] == value
                assert answers[0]['Last-Modified'] == obj.date


def test_two_workers_links_and_nodes_of_all_weights(origin, make_cluster):
    cluster = make_cluster(origin, nodes=[
        {'weight': 1, 'zone': 'a'}, {'weight': 5, 'zone': 'a'},
        {'weight': 2, 'zone': 'b'}, {'weight': 3, 'zone': 'b'}, {'weight': 0}],
        workers=1)
    mine = Objects(origin, 40, (0, 200_000))
    for node in cluster.nodes:
        mine.fetch(node)
    assert asked_twice(origin) == []


def test_a_ring_of_one_is_a_cache(origin, make_cluster):
    cluster = make_cluster(origin, nodes=1)
    mine = Objects(origin, 20, (0, 200_000))
    for _ in range(2):
        mine.fetch(cluster.nodes[0])
    assert cluster.stat(0, 'asked') == 0
    assert asked_twice(origin) == []


# --- ranges ---------------------------------------------------------------------

def ranges(size):
    rng = random.Random(size)
    fixed = ['0-0', '0-', '-1', f'-{size}', f'-{size + 1000}', '1-', '10-20',
             f'{max(0, size - 1)}-', f'0-{max(0, size - 1)}',
             f'0-{size + 100}', f'{size // 2}-{size * 2}', f'{size}-',
             f'{size + 1}-{size + 5}', '20-10', '-0', 'x', '5-9,11-12',
             f'{BLOCK - 1}-{BLOCK}', f'{BLOCK}-{2 * BLOCK - 1}',
             f'{STRIPE - 5}-{STRIPE + 5}', f'{STRIPE}-',
             f'{10 * MIB}-{11 * MIB}']
    for _ in range(8):
        first = rng.randrange(size + 1)
        fixed.append(f'{first}-{first + rng.randrange(size + 1)}')
    return [f for f in fixed if ',' not in f and f not in ('-0',)]


@pytest.mark.parametrize('size', [0, 1, 100, BLOCK, BLOCK + 1, 3 * STRIPE + 7])
@pytest.mark.parametrize('warm', [False, True])
def test_ranges(origin, make_cluster, size, warm):
    """Warm: of an object that all may have; else each is the first to ask."""
    cluster = make_cluster(origin)
    for i, span in enumerate(ranges(size)):
        key = 'key' if warm else f'key{i}'
        obj = origin.put('bkt', key, pattern(size, 7), etag=f'"v{key}"',
                         last_modified=1_700_000_000)
        if warm and i == 0:
            for node in cluster.nodes:
                check(node, obj, '/bkt/key')
        for node in cluster.nodes[i % 3:] + cluster.nodes[:i % 3]:
            check(node, obj, f'/bkt/{key}', {'Range': f'bytes={span}'})
    if size > 0:
        assert [s for s in asked_twice(origin) if s[0] == 'GET'] == []


def test_ranges_of_large_objects_ask_for_each_block_once(origin, make_cluster):
    cluster = make_cluster(origin)
    body = pattern(3_000_000)
    obj = origin.put('bkt', 'key', body)
    rng = random.Random(3)
    for _ in range(80):
        first = rng.randrange(len(body))
        last = first + rng.randrange(300_000)
        check(rng.choice(cluster.nodes), obj, '/bkt/key',
              {'Range': f'bytes={first}-{last}'})
    assert asked_twice(origin) == []
    assert len(origin.requests) <= blocks(len(body))


# --- HEAD, 404, conditions, versions, keys ----------------------------------------

@pytest.mark.parametrize('size', [0, 100, BLOCK, 700_000])
def test_head_then_get(origin, make_cluster, size):
    cluster = make_cluster(origin)
    for i in range(6):
        key = f'key{i}'
        obj = origin.put('bkt', key, pattern(size, i), META)
        order = cluster.nodes[i % 3:] + cluster.nodes[:i % 3]
        if i >= 3:
            order.reverse()
        for node in order:
            check(node, obj, f'/bkt/{key}', method='HEAD')
        assert len(origin.requests_for(key=key)) == 1
        for node in order:
            check(node, obj, f'/bkt/{key}')
            check(node, obj, f'/bkt/{key}', method='HEAD')
        assert len(origin.requests_for(key=key, method='HEAD')) == 1
        assert len(origin.requests_for(key=key)) <= 1 + blocks(size)


@pytest.mark.parametrize('size', [0, 100, BLOCK, 700_000])
def test_head_of_what_its_owner_has(origin, make_cluster, size):
    cluster = make_cluster(origin)
    obj = origin.put('bkt', 'key', pattern(size), META)
    for node in cluster.nodes:
        check(node, obj, '/bkt/key')
        for _ in range(2):
            for other in cluster.nodes:
                check(other, obj, '/bkt/key', method='HEAD')
    assert origin.requests_for(method='HEAD') == []
    assert len(origin.requests) == blocks(size)


@pytest.mark.parametrize('valid', ['200 206 1m', '200 206 404 1m'])
def test_what_is_not_there(origin, make_cluster, valid):
    cluster = make_cluster(origin, valid=valid)
    origin.put('bkt', 'other', b'x')
    for key, methods in (('a', ('GET', 'HEAD')), ('b', ('HEAD', 'GET'))):
        for _ in range(2):
            for node in cluster.nodes:
                for method in methods:
                    answer = get(node, f'/bkt/{key}', method=method)
                    assert answer.status == 404
                    if method == 'GET':
                        assert answer.element('Code') == 'NoSuchKey'
                        assert answer.element('Key') == key
                    else:
                        assert answer.body == b''
    for key in 'ab':
        if '404' in valid:
            assert len(origin.requests_for(key=key, method='HEAD')) <= 1
            assert len(origin.requests_for(key=key, method='GET')) == 1
        else:
            obj = origin.put('bkt', key, pattern(1000))
            for node in cluster.nodes:
                check(node, obj, f'/bkt/{key}')
    for node in cluster.nodes:
        answer = get(node, '/none/key')
        assert (answer.status, answer.element('Code')) == (404, 'NoSuchBucket')


@pytest.mark.parametrize('size', [0, 1000, 700_000])
@pytest.mark.parametrize('warm', [False, True])
def test_conditions(origin, make_cluster, size, warm):
    cluster = make_cluster(origin)
    when = 1_700_000_000
    late, early = ('Wed, 15 Nov 2023 00:00:00 GMT',
                   'Mon, 13 Nov 2023 00:00:00 GMT')
    cases = [[('If-None-Match', '"etag"')], [('If-None-Match', '"other"')],
             [('If-None-Match', '*')], [('If-None-Match', 'W/"etag"')],
             [('If-None-Match', '"a", "etag"')], [('If-Match', '"etag"')],
             [('If-Match', '"other"')], [('If-Match', '*')],
             [('If-Modified-Since', late)], [('If-Modified-Since', early)],
             [('If-Unmodified-Since', late)],
             [('If-Unmodified-Since', early)],
             [('If-None-Match', '"etag"'), ('If-Modified-Since', early)],
             [('If-Match', '"etag"'), ('Range', 'bytes=5-9')],
             [('If-None-Match', '"other"'), ('Range', 'bytes=-9')],
             [('If-Match', '"other"'), ('Range', 'bytes=0-')]]
    for i, words in enumerate(cases):
        key = 'key' if warm else f'key{i}'
        obj = origin.put('bkt', key, pattern(size), etag='"etag"',
                         last_modified=when)
        if warm and i == 0:
            for node in cluster.nodes:
                check(node, obj, '/bkt/key')
        for node in cluster.nodes[i % 3:] + cluster.nodes[:i % 3]:
            for method in ('GET', 'HEAD'):
                if method == 'HEAD' and len(words) == 2:
                    continue
                answer = get(node, f'/bkt/{key}', words, method)
                alone = get(node, f'/bkt/{key}', words, method)
                assert shown(answer) == shown(alone)
            check(node, obj, f'/bkt/{key}', words)
    if warm:
        assert asked_twice(origin) == []


def test_versions(origin, make_cluster):
    cluster = make_cluster(origin)
    stored = {}
    for size in (100, 500_000):
        for v in range(3):
            version = f'v{v}/+&=%{size}'
            stored[size, v] = origin.put(
                'bkt', f'key{size}', pattern(size, v), version_id=version)
    quoted = {(size, v): f'v{v}%2F%2B%26%3D%25{size}' for size, v in stored}
    for node in cluster.nodes * 2:
        for (size, v), obj in stored.items():
            target = f'/bkt/key{size}?versionId={quoted[size, v]}'
            answer = get(node, target)
            assert (answer.status, answer.body) == (200, obj.body)
            assert answer['x-amz-version-id'] == obj.version_id
            answer = get(node, target, {'Range': 'bytes=50-'})
            assert (answer.status, answer.body) == (206, obj.body[50:])
            answer = get(node, target, method='HEAD')
            assert (answer.status, answer['ETag']) == (200, obj.etag)
            answer = get(node, f'/bkt/key{size}')
            assert answer.body == stored[size, 2].body
        answer = get(node, '/bkt/key100?versionId=none')
        assert (answer.status, answer.element('Code')) == (404,
                                                           'NoSuchVersion')
    # a range that came first asks for a block: no body is asked for twice
    assert [s for s in asked_twice(origin) if s[2] != 'none'] == []


ODD = ['%0A%0D', 'a%2Fb', 'a//b', '/a', '%2F', 'a%20b', 'a+b',
       '%C3%A4%E2%82%AC', '%25%2525', 'a%3Fb', 'a%23b', '.', '..', 'a/../b',
       'a/./b', '%2e%2e/x', '~!*\'();:@&=$,', 'a' * 1024,
       '%C3%A4' * 512, 'dir/', 'dir//']


@pytest.mark.parametrize('size', [1000, 300_000])
def test_odd_and_long_keys(origin, make_cluster, size):
    cluster = make_cluster(origin)
    origin.bucket('bkt')
    for i, text in enumerate(ODD):
        key = unquote_to_bytes(text).decode('utf-8', 'surrogateescape')
        obj = origin.put('bkt', key, pattern(size, i))
        seen = []
        for node in cluster.nodes[i % 3:] + cluster.nodes[:i % 3]:
            answer = get(node, f'/bkt/{text}')
            seen.append((answer.status, answer.body == obj.body))
            answer = get(node, f'/bkt/{text}', {'Range': 'bytes=500-'})
            seen.append((answer.status - 6, answer.body == obj.body[500:]))
        assert set(seen) == {(200, True)}, (text[:40], seen)
        assert len(origin.requests_for(key=key)) == blocks(size), text[:40]


# --- one request over the whole cluster --------------------------------------------

@pytest.mark.parametrize('size, at', [
    (0, None), (50_000, None), (50_000, 0), (50_000, 20_000),
    (1_000_000, None), (1_000_000, 0), (1_000_000, 20_000)])
def test_a_storm_on_a_cold_object_is_one_request(
        origin, make_cluster, size, at):
    cluster = make_cluster(origin)
    body = pattern(size)
    origin.put('bkt', 'key', body)
    gate = origin.gate(at=at)
    origin.on('bkt', 'key', gate=gate, times=1)
    readers = [Reader(cluster.nodes[i % 3], '/bkt/key') for i in range(60)]
    gate.wait_reached()
    wait.until(lambda: sum(node.zone()['memory']['pins']
                           for node in cluster.nodes) >= 60, 'all wait')
    if at:
        for reader in readers:
            assert reader.read_to(at) == body[:at]
    assert len(origin.requests) == 1 or at is not None
    gate.open()
    for reader in readers:
        assert reader.read_all() == body
        assert reader.status == 200
        reader.close()
    assert asked_twice(origin) == []
    assert len(origin.requests) == blocks(size)


def test_a_storm_on_many_objects(origin, make_cluster):
    """200 requests at once, of links that carry them all."""
    cluster = make_cluster(origin)
    mine = Objects(origin, 50, (0, 300_000))
    gate = origin.gate()
    origin.on('bkt', gate=gate)
    readers = [(t, Reader(node, t)) for t in mine.targets
               for node in cluster.nodes + cluster.nodes[:1]]
    gate.wait_reached(50)
    gate.open()
    for target, reader in readers:
        assert reader.read_all() == mine.bodies[target]
        assert reader.status == 200
        reader.close()
    assert asked_twice(origin) == []


@pytest.mark.parametrize('links', [1, 8])
def test_two_hundred_at_once_over_few_links(origin, make_cluster, links):
    cluster = make_cluster(origin, nodes=2, workers=1,
                           block=f'    links {links};\n')
    mine = Objects(origin, 200, (0, 400_000))
    mine.fetch(cluster.nodes[0], lanes=32)
    for node in cluster.nodes:
        readers = [(t, Reader(node, t)) for t in mine.targets]
        for target, reader in readers:
            assert reader.read_all() == mine.bodies[target]
            reader.close()
    assert asked_twice(origin) == []
    assert len(origin.requests) == sum(blocks(len(b))
                                       for b in mine.bodies.values())


# --- objects that change --------------------------------------------------------------

@pytest.mark.parametrize('size', [1000, 700_000])
def test_a_change_is_seen_at_once_where_that_is_wanted(
        origin, make_cluster, size):
    cluster = make_cluster(origin, location='s3_cache_freshness strict;')
    for version in range(6):
        obj = origin.put('bkt', 'key', pattern(size + version, version))
        order = cluster.nodes[version % 3:] + cluster.nodes[:version % 3]
        for node in order * 2:
            check(node, obj, '/bkt/key')
            check(node, obj, '/bkt/key', {'Range': 'bytes=100-'})
            check(node, obj, '/bkt/key', method='HEAD')
        origin.delete('bkt', 'key')
        for node in order:
            assert get(node, '/bkt/key').status == 404
            assert get(node, '/bkt/key', method='HEAD').status == 404


@pytest.mark.parametrize('size', [1000, 700_000])
def test_nodes_never_go_back_in_time(origin, make_cluster, size):
    """valid 1s: an old version may be seen for a while, but whole."""
    cluster = make_cluster(origin, valid='200 206 1s')
    versions = {}
    for v in range(3):
        obj = origin.put('bkt', 'key', pattern(size, v))
        versions[obj.etag] = obj

        def all_new():
            fresh = True
            for node in cluster.nodes:
                answer = get(node, '/bkt/key')
                assert answer.status == 200
                assert answer.body == versions[answer['ETag']].body
                fresh = fresh and answer['ETag'] == obj.etag
            return fresh

        wait.until(all_new, 'all nodes have the new version', every_s=0.05)


@pytest.mark.parametrize('span', [None, f'bytes={2 * STRIPE}-'])
def test_a_cold_block_of_an_object_that_has_changed(
        origin, make_cluster, span):
    """The record is of the old version, the block is not to be had: what has
    not begun is answered anew, of the new version alone."""
    cluster = make_cluster(origin)
    for i in range(6):
        key = f'key{i}'
        old = origin.put('bkt', key, pattern(4 * STRIPE, 1 + i))
        first = {'Range': f'bytes=0-{BLOCK - 1}'}
        for node in cluster.nodes:
            check(node, old, f'/bkt/{key}', first)
        new = origin.put('bkt', key, pattern(4 * STRIPE, 100 + i))
        words = {'Range': span or f'bytes={STRIPE}-'}
        order = cluster.nodes[i % 3:] + cluster.nodes[:i % 3]
        for node in order:
            check(node, new, f'/bkt/{key}', words)
        for node in order:
            check(node, new, f'/bkt/{key}')


@pytest.mark.parametrize('asking', [0, 1, 2])
def test_a_change_in_mid_body_never_mixes(origin, make_cluster, asking):
    cluster = make_cluster(origin)
    old, new = pattern(4 * STRIPE, 1), pattern(4 * STRIPE, 2)
    origin.put('bkt', 'key', old)
    gate = origin.gate()
    at = 2 * STRIPE
    origin.on('bkt', 'key', gate=gate, when=lambda r: r.header('range')
              and int(r.header('range')[6:].split('-')[0]) >= at)
    reader = Reader(cluster.nodes[asking], '/bkt/key')
    reader.read_to(at)
    gate.wait_reached()
    obj = origin.put('bkt', 'key', new)
    gate.open()
    with pytest.raises(Cut):
        reader.read_all()
    assert old.startswith(bytes(reader.body))
    reader.close()
    for node in cluster.nodes:
        check(node, obj, '/bkt/key', {'Range': f'bytes={at}-'})
        check(node, obj, '/bkt/key')


# --- flash, consumers -----------------------------------------------------------------

def test_flash_stores_behind(origin, make_cluster):
    cluster = make_cluster(origin, zone={'size': '16m'},
                           http=nginx_lib.s3_store(size='128m', segment='4m'))
    for node in cluster.nodes:
        store.wait_state(node)
    mine = Objects(origin, 60, (0, 1_500_000))
    assert mine.bytes > 16 * MIB
    for node in cluster.nodes:
        mine.fetch(node)
    folders = [f'{node.dir}/store' for node in cluster.nodes]
    store.wait_on_media(folders, list(mine.bodies.values()))
    cluster.cold()
    for node in cluster.nodes:
        store.wait_state(node)
    asked = fetches(origin)
    for node in cluster.nodes:
        mine.fetch(node)
    assert fetches(origin) == asked
    rng = random.Random(1)
    for _ in range(60):
        target = rng.choice(mine.targets)
        size = len(mine.bodies[target])
        first = rng.randrange(size)
        mine.get(rng.choice(cluster.nodes), target,
                 (first, min(size - 1, first + rng.randrange(200_000))))
    assert fetches(origin) == asked


def test_consumers_own_nothing(origin, make_cluster):
    cluster = make_cluster(origin, nodes=[{}, {}, {'weight': 0},
                                          {'weight': 0}])
    mine = Objects(origin, 60, (0, 300_000))
    for node in (2, 3):
        assert set(mine.fetch(cluster.nodes[node])) == {'peer'}
    for node in (0, 1):
        assert cluster.stat(node, 'served') > 0
        mine.fetch(cluster.nodes[node])
    for node in (2, 3):
        assert cluster.stat(node, 'served') == 0
    assert asked_twice(origin) == []


def test_what_a_peer_brought_is_not_kept_twice(origin, make_cluster):
    cluster = make_cluster(origin, block='    mirror off;\n')
    mine = Objects(origin, 60, (1000, 300_000))
    for _ in range(2):
        for node in cluster.nodes:
            mine.fetch(node)
    for node in cluster.nodes:
        node.check_accounting()
    kept = sum(node.zone()['memory']['payload_bytes']
               for node in cluster.nodes)
    assert mine.bytes <= kept < mine.bytes * 1.1 + 60 * 16 * KIB
