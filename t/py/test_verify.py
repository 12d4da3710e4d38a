# SPDX-License-Identifier: Apache-2.0
"""s3_cache_verify: answers from the cache are compared with the origin after
they were sent; what differs though the version does not is dropped."""

import pytest

from flash_reads import ROOMY, Objects, make_flash    # noqa: F401 (fixture)
from lib import store, wait
from lib.nginx import s3_location, s3_zone
from origin.objects import pattern
from origin.scripted_origin import ScriptedOrigin
from peer_reads import make_cluster                   # noqa: F401 (fixture)
from reads import get

KIB, MIB = 1 << 10, 1 << 20
ALL = 's3_cache_verify 100%; s3_cache_block_size 64k;'
WORDS = ('same', 'changed', 'mismatch', 'gone', 'error', 'shed')
SAID = '[crit]'


def counts(nginx):
    found = nginx.zone()['verify']
    return {word: found[word] for word in WORDS if found[word]}


def verified(nginx, total=1):
    """What became of so many answers."""
    def enough():
        found = counts(nginx)
        return sum(found.values()) >= total and found
    return wait.until(enough, lambda: f'{total} verified: {counts(nginx)}')


def hit(nginx, target, headers=()):
    answer = get(nginx, target, headers)
    assert answer['X-Cache'] == 'HIT', answer['X-Cache']
    return answer.body


def kept(nginx, target, headers=()):
    """It is in memory, and no answer of it has been verified."""
    get(nginx, target, headers)
    wait.until(lambda: nginx.zone()['memory']['fills'] == 0, 'the fill')


def swap(origin, body, bucket='bkt', key='key'):
    """Other bytes behind the same version."""
    old = origin.get(bucket, key)
    origin.put(bucket, key, body, etag=old.etag,
               last_modified=old.last_modified, version_id=old.version_id)


# --- one node ----------------------------------------------------------------

@pytest.mark.parametrize('direct', ['on', 'off'])
@pytest.mark.parametrize('size', [0, 1, 5000, 64 * KIB, 300 * KIB])
def test_equal_bytes_are_quiet(make_gateway, origin, size, direct):
    nginx = make_gateway(origin, location=ALL
                         + f's3_cache_direct_send {direct};')
    body = pattern(size)
    origin.put('bkt', 'key', body)
    kept(nginx, '/bkt/key')
    for turn in range(1, 4):
        assert hit(nginx, '/bkt/key') == body
        assert verified(nginx, turn) == {'same': turn}
    assert SAID not in nginx.log()


@pytest.mark.parametrize('size, span', [
    (5000, None), (5000, (10, 4000)), (300 * KIB, None),
    (300 * KIB, (64 * KIB, 128 * KIB - 1)), (300 * KIB, (299 * KIB,
                                                         300 * KIB - 1))])
def test_other_bytes_of_the_same_version_are_dropped(make_gateway, origin,
                                                     size, span):
    nginx = make_gateway(origin, location=ALL)
    first, last = span or (0, size - 1)
    headers = [('Range', f'bytes={first}-{last}')] if span else []
    origin.put('bkt', 'key', pattern(size, 1))
    kept(nginx, '/bkt/key', headers)
    swap(origin, pattern(size, 2))
    assert hit(nginx, '/bkt/key', headers) == pattern(size, 1)[first:last + 1]
    assert verified(nginx) == {'mismatch': 1}
    line = next(x for x in nginx.log().splitlines() if SAID in x)
    assert 'bkt/key' in line and 'tier ram' in line
    # all of it is gone, blocks that were right or not looked at as well
    answer = get(nginx, '/bkt/key')
    assert answer['X-Cache'] == 'MISS'
    assert answer.body == pattern(size, 2)
    assert 's3_cache_verifies_total{zone="hot",outcome="mismatch"} 1' in (
        nginx.metrics())


def test_one_byte_is_enough(make_gateway, origin):
    nginx = make_gateway(origin, location=ALL)
    body = bytearray(pattern(300 * KIB))
    origin.put('bkt', 'key', body)
    kept(nginx, '/bkt/key')
    body[290 * KIB] ^= 1
    swap(origin, body)
    span = [('Range', f'bytes={290 * KIB}-{290 * KIB}')]
    assert len(hit(nginx, '/bkt/key', span)) == 1
    assert verified(nginx) == {'mismatch': 1}


def test_another_version_is_no_mismatch(make_gateway, origin):
    nginx = make_gateway(origin, location=ALL, valid='200 1h')
    origin.put('bkt', 'key', pattern(5000, 1))
    origin.put('bkt', 'gone', pattern(5000, 1))
    kept(nginx, '/bkt/key')
    kept(nginx, '/bkt/gone')
    origin.put('bkt', 'key', pattern(5000, 2))
    origin.delete('bkt', 'gone')
    assert hit(nginx, '/bkt/key') == pattern(5000, 1)
    assert verified(nginx, 1) == {'changed': 1}
    assert hit(nginx, '/bkt/gone') == pattern(5000, 1)
    assert verified(nginx, 2) == {'changed': 2}
    # this is for its freshness to find out
    assert hit(nginx, '/bkt/key') == pattern(5000, 1)
    assert verified(nginx, 3) == {'changed': 3}
    assert SAID not in nginx.log()


@pytest.mark.parametrize('what', [
    {'error': (503, 'SlowDown')}, {'error': (403, 'AccessDenied')},
    {'drop': True}, {'cut_at': 100}, {'ignore_range': True},
    {'raw': b'HTTP/1.1 200 \r\nContent-Length : x\r\n\r\n'}])
def test_errors_of_the_origin_harm_nothing(make_gateway, origin, what):
    nginx = make_gateway(origin, location=ALL)
    body = pattern(300 * KIB)
    origin.put('bkt', 'key', body)
    kept(nginx, '/bkt/key')
    origin.on('bkt', 'key', **what)
    for turn in range(1, 4):
        assert hit(nginx, '/bkt/key') == body
        assert verified(nginx, turn) == {'error': turn}
    assert SAID not in nginx.log()


def test_an_origin_that_is_silent_holds_up_nobody(make_gateway, origin):
    nginx = make_gateway(origin, location=ALL, workers=1)
    body = pattern(5000)
    origin.put('bkt', 'key', body)
    kept(nginx, '/bkt/key')
    gate = origin.gate(at=100)
    rule = origin.on('bkt', 'key', gate=gate)
    for _ in range(100):
        assert hit(nginx, '/bkt/key') == body
    # one is asked about at a time, some wait, the rest is shed
    assert counts(nginx) == {'shed': 68}
    assert rule.seen == 1
    gate.open()
    wait.until(lambda: counts(nginx) == {'shed': 68, 'same': 32},
               'those that waited')


def test_versions_are_asked_for_by_their_name(make_gateway, origin):
    nginx = make_gateway(origin, location=ALL)
    for n in (1, 2):
        origin.put('bkt', 'a b', pattern(5000, n), version_id=f'v+{n}')
    target = '/bkt/a%20b?versionId=v%2B1'
    kept(nginx, target)
    assert hit(nginx, target) == pattern(5000, 1)
    assert verified(nginx) == {'same': 1}


def test_the_gateways_own_keys_sign_for_it(make_gateway):
    with ScriptedOrigin(secrets={'GATE': 'secret'}) as origin:
        nginx = make_gateway(origin, location=ALL, keys=('GATE', 'secret'))
        origin.put('bkt', 'key', pattern(5000))
        kept(nginx, '/bkt/key')
        assert hit(nginx, '/bkt/key') == pattern(5000)
        assert verified(nginx) == {'same': 1}


def test_off_asks_nothing(make_gateway, origin):
    nginx = make_gateway(origin)
    origin.put('bkt', 'key', pattern(5000, 1))
    kept(nginx, '/bkt/key')
    swap(origin, pattern(5000, 2))
    asked = len(origin.requests)
    for _ in range(200):
        assert hit(nginx, '/bkt/key') == pattern(5000, 1)
    assert len(origin.requests) == asked
    assert counts(nginx) == {}


def test_misses_heads_and_304_are_not_verified(make_gateway, origin):
    nginx = make_gateway(origin, location=ALL)
    obj = origin.put('bkt', 'key', pattern(5000, 1))
    kept(nginx, '/bkt/key')
    asked = len(origin.requests)
    get(nginx, '/bkt/key', method='HEAD')
    get(nginx, '/bkt/key', [('If-None-Match', obj.etag)])
    get(nginx, '/bkt/key', [('Range', 'bytes=9999-')])
    get(nginx, '/bkt/none')
    assert hit(nginx, '/bkt/key') == pattern(5000, 1)
    assert verified(nginx) == {'same': 1}
    assert len(origin.requests) == asked + 2


def test_a_share_of_them(make_gateway, origin):
    nginx = make_gateway(origin, location='s3_cache_verify 10%;', workers=1)
    origin.put('bkt', 'key', pattern(100))
    kept(nginx, '/bkt/key')
    for _ in range(600):
        hit(nginx, '/bkt/key')
    # 60 of 600: outside of 20..120 one run in more than a million
    assert 20 <= sum(verified(nginx, 20).values()) <= 120
    asked = len(origin.requests) - 1
    wait.until(lambda: sum(counts(nginx).values()) >= asked, 'the last one')


def test_the_worker_that_verifies_is_killed(make_gateway, origin):
    nginx = make_gateway(origin, location=ALL, workers=1)
    origin.put('bkt', 'key', pattern(5000))
    kept(nginx, '/bkt/key')
    rule = origin.on('bkt', 'key', hang=True, times=1)
    hit(nginx, '/bkt/key')
    wait.until(lambda: rule.seen == 1, 'the question')
    nginx.kill_worker()
    hit(nginx, '/bkt/key')
    assert verified(nginx) == {'same': 1}


def test_a_reload_meanwhile(make_gateway, origin):
    nginx = make_gateway(origin, location=ALL)
    body = pattern(5000)
    origin.put('bkt', 'key', body)
    kept(nginx, '/bkt/key')
    for _ in range(3):
        for _ in range(20):
            hit(nginx, '/bkt/key')
        nginx.reload()
    found = verified(nginx, 60)
    assert set(found) <= {'same', 'shed'}


@pytest.mark.parametrize('value', ['', '1', '0%', '101%', '-1%', 'x%', '%',
                                   '1%%', '0.00001%', '1 %'])
def test_what_nginx_t_refuses(make_nginx, value):
    nginx = make_nginx(http=s3_zone(), server=s3_location(
        'http://127.0.0.1:1', more=f's3_cache_verify "{value}";'))
    status, said = nginx.test_conf()
    assert status != 0
    assert 'invalid share' in said and 'nginx.conf:' in said


@pytest.mark.parametrize('value', ['100%', '0.1%', '0.0001%', '99.9999%',
                                   'off'])
def test_what_nginx_t_takes(make_nginx, value):
    nginx = make_nginx(
        http=f's3_cache_verify {value};' + s3_zone(),
        server=f's3_cache_verify {value};' + s3_location(
            'http://127.0.0.1:1', more=f's3_cache_verify {value};'))
    status, said = nginx.test_conf()
    assert status == 0, said


# --- flash -------------------------------------------------------------------

@pytest.mark.parametrize('size, span', [
    (5000, None), (MIB - 4000, (500 * KIB, 501 * KIB)),
    (3 * MIB, (2 * MIB + 5, 2 * MIB + 500))])
@pytest.mark.parametrize('equal', [True, False])
def test_what_flash_answers(make_flash, origin, size, span, equal):
    nginx = make_flash(origin, stores=[ROOMY],
                       location='s3_cache_verify 100%;')
    objects = Objects(origin, 1, (size, size))
    target = objects.targets[0]
    assert objects.fetch(nginx) == {'origin': 1}
    objects.wait_stored([f'{nginx.dir}/store'])
    nginx.restart('kill_all')
    store.wait_state(nginx)
    if not equal:
        _, bucket, key = target.split('/', 2)
        swap(origin, pattern(size, 77), bucket, key)
    assert objects.get(nginx, target, span) == 'flash'
    assert verified(nginx) == ({'same': 1} if equal else {'mismatch': 1})
    if equal:
        return
    assert 'tier flash' in nginx.log()
    objects.bodies[target] = pattern(size, 77)
    assert objects.get(nginx, target, span) == 'origin'
    # and after a restart, of what was on the device by then
    nginx.restart('kill_all')
    store.wait_state(nginx)
    objects.get(nginx, target, span)
    wait.until(lambda: store.one(nginx)['writes']['in_flight'] == 0
               and store.one(nginx)['reads']['in_flight'] == 0, 'the device')


# --- a ring ------------------------------------------------------------------

def node_counts(cluster):
    found = [counts(node) for node in cluster.nodes]
    return {word: sum(f.get(word, 0) for f in found) for word in WORDS
            if any(word in f for f in found)}


@pytest.mark.parametrize('size', [5000, 300 * KIB])
def test_in_a_ring_who_has_the_copy_verifies_it(make_cluster, origin, size):
    cluster = make_cluster(origin, location='s3_cache_verify 100%;',
                           valid='200 206 1h')
    cluster.wait_vouched()
    # gone: the stripe of another node, which verifies it
    quiet = {'same', 'shed'} if size < MIB / 4 else {'same', 'shed', 'gone'}
    origin.put('bkt', 'key', pattern(size, 1))
    for node in cluster.nodes:
        kept(node, '/bkt/key')
    wait.until(lambda: node_counts(cluster), 'some of them')
    assert set(node_counts(cluster)) <= quiet
    for node in cluster.nodes:
        assert get(node, '/bkt/key').body == pattern(size, 1)
    assert set(node_counts(cluster)) <= quiet

    swap(origin, pattern(size, 2))
    # what was drawn before may find it, or what is read now
    wait.until(lambda: get(cluster.nodes[0], '/bkt/key').status == 200
               and node_counts(cluster).get('mismatch'), 'a mismatch')
    # all nodes drop all of it
    for node in cluster.nodes:
        wait.until(lambda: get(node, '/bkt/key').body == pattern(size, 2),
                   'the other bytes')
