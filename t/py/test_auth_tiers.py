# SPDX-License-Identifier: Apache-2.0
"""Whoever may not read is told the same by every tier and every node, whether
an object is there, is cached, or was never heard of; and the other doors of a
node lead nowhere."""

import pytest

import raw_http
from auth_lab import (FOREIGN, OWNER, PEOPLE, STRANGER, ask, auth,
                      credentials, document, gateway, get, make_keys, origin,
                      said, signed, signer)
from flash_reads import SMALL, TIER
from lib import store, wait
from lib.identities import allow, anonymous, identity
from lib.nginx import s3_location
from origin.objects import pattern
from peer_reads import STRIPE, make_cluster

__all__ = ['credentials', 'gateway', 'make_cluster', 'make_keys', 'origin']

WRONG_KEY = OWNER._replace(secret_key='guess')
NOBODIES = {'unsigned': None, 'foreign': FOREIGN, 'stranger': STRANGER,
            'guess': WRONG_KEY}
ASKED = [('GET', {}), ('HEAD', {}), ('GET', {'Range': 'bytes=0-3'}),
         ('GET', {'If-None-Match': 'TAG'}), ('GET', {'If-Match': '"x"'}),
         ('GET', {'If-Modified-Since': 'Fri, 01 Jan 2100 00:00:00 GMT'}),
         ('GET', {'Range': 'bytes=99999999-'}),
         ('GET', {'Origin': 'http://x'}),
         ('GET', {'Cache-Control': 'no-cache'}),
         ('GET', {'Cache-Control': 'only-if-cached'})]
QUERIES = ['', '?versionId=null', '?partNumber=1', '?acl', '?tagging']


def shown(nginx, who, target, method, headers, tag):
    """All that one is told; of a name only its length is the same."""
    headers = {k: v.replace('TAG', tag) for k, v in headers.items()}
    answer = ask(nginx, who, method, target, headers)
    # 400: what can be seen of the request alone
    assert answer.status in (400, 403), (target, method, headers, answer)
    status, body, words = document(answer)
    name = target.replace('&', '&amp;').encode()
    return status, body.replace(name, b'NAME'), words, len(answer.body)


def check_blind(nginx, cached, uncached, missing, tag='"x"', queries=('',)):
    """Of three names of the same length none differs from another."""
    assert len({len(cached), len(uncached), len(missing)}) == 1
    for who in NOBODIES.values():
        for method, headers in ASKED:
            for query in queries:
                found = [shown(nginx, who, name + query, method, headers, tag)
                         for name in (cached, uncached, missing)]
                assert found[0] == found[1] == found[2], (method, headers)
                names = {k for k, _ in found[0][2]}
                assert not names & {'etag', 'last-modified', 'age',
                                    'content-range', 'accept-ranges',
                                    'x-amz-meta-a', 'location'}, names


def put(origin, key, size=2000):
    return origin.put('bkt', key, pattern(size, size), {'x-amz-meta-a': 'b'})


def test_memory(make_keys, origin):
    gateway = make_keys(location=TIER)
    obj = put(origin, 'cached')
    put(origin, 'uncach')
    for tier in ('origin', 'ram'):
        answer = get(gateway, OWNER, '/bkt/cached')
        assert (answer.body, answer['X-Tier']) == (obj.body, tier)
    assert get(gateway, OWNER, '/bkt/gone-i').status == 404     # kept, too
    origin.requests.clear()
    check_blind(gateway, '/bkt/cached', '/bkt/uncach', '/bkt/missin', obj.etag,
                QUERIES)
    check_blind(gateway, '/bkt/cached', '/bkt/gone-i', '/bkt/missin', obj.etag)
    # nor is a bucket that is not there
    check_blind(gateway, '/bkt/cached', '/none/cache', '/none/cachd', obj.etag)
    # and nobody has been asked for any of it
    assert origin.requests == []
    assert get(gateway, OWNER, '/bkt/cached')['X-Tier'] == 'ram'


def test_while_it_is_fetched(make_keys, origin):
    """A fill that is under way is joined by those who may only."""
    gateway = make_keys(location=TIER)
    obj = put(origin, 'cached')
    gate = origin.gate(at=100)
    origin.on('bkt', 'cached', gate=gate)
    with raw_http.Connection(gateway.port()) as c:
        c.request('GET', '/bkt/cached', signed(OWNER, 'GET', '/bkt/cached'))
        gate.wait_reached()
        check_blind(gateway, '/bkt/cached', '/bkt/uncach', '/bkt/missin',
                    obj.etag)
        gate.open()
        assert c.answer().body == obj.body


def test_lists_that_are_cached(make_keys, origin):
    gateway = make_keys(location='s3_cache_list 1h;' + TIER)
    put(origin, 'cached')
    for tier in ('origin', 'ram'):
        answer = get(gateway, OWNER, '/bkt?list-type=2&prefix=c')
        assert answer['X-Tier'] == tier and b'cached' in answer.body
    origin.requests.clear()
    for who in NOBODIES.values():
        found = [shown(gateway, who, target, 'GET', {}, '') for target in (
            '/bkt?list-type=2&prefix=c', '/bkt?list-type=2&prefix=d')]
        assert found[0] == found[1]
    assert origin.requests == []


@pytest.mark.parametrize('through', ['off', '1h'])
def test_what_was_written_is_kept_for_those_who_may(make_keys, origin,
                                                    through):
    gateway = make_keys(location=f's3_cache_write_through {through};' + TIER)
    body = pattern(3000)
    assert ask(gateway, OWNER, 'PUT', '/bkt/cached', body=body).status == 200
    check_blind(gateway, '/bkt/cached', '/bkt/uncach', '/bkt/missin')
    assert get(gateway, OWNER, '/bkt/cached').body == body
    check_blind(gateway, '/bkt/cached', '/bkt/uncach', '/bkt/missin')


def test_flash(make_keys, origin):
    gateway = make_keys(location=TIER + 's3_cache_block_size 64k;',
                        stores=[SMALL], zone={'size': '32m'})
    store.wait_state(gateway)
    small, large = put(origin, 'small-'), put(origin, 'large-', 300_000)
    for obj, name in ((small, 'small-'), (large, 'large-')):
        assert get(gateway, OWNER, f'/bkt/{name}').body == obj.body
    store.wait_on_media([f'{gateway.dir}/store'],
                        [small.body, large.body[-4096:]])
    gateway.restart('quit')
    store.wait_state(gateway)
    origin.requests.clear()
    for name, obj in (('small-', small), ('large-', large)):
        check_blind(gateway, f'/bkt/{name}', '/bkt/uncach', '/bkt/missin',
                    obj.etag)
    # it was there all the time, and nothing of it has been read
    answer = get(gateway, OWNER, '/bkt/small-')
    assert (answer.body, answer['X-Tier']) == (small.body, 'flash')
    check_blind(gateway, '/bkt/small-', '/bkt/large-', '/bkt/missin')
    assert get(gateway, OWNER, '/bkt/large-')['X-Tier'] == 'flash'
    assert not origin.requests_for(method='GET')


def test_each_node_of_a_ring(make_cluster, origin, credentials):
    """Owner, mirror, and who would ask a peer."""
    cluster = make_cluster(origin, block='    mirror 20% 1h;\n',
                           location=auth(credentials), workers=2,
                           valid='200 1h')
    keys = [cluster.key_of(n % 3, head=lambda node, target:
                           ask(node, OWNER, 'HEAD', target))
            for n in range(6)]
    objects = {f'/bkt/{key}': put(origin, key, size) for key, size in
               zip(keys, [100] * 5 + [2 * STRIPE + 5])}
    hot, tiers = f'/bkt/{keys[0]}', set()
    for target, obj in objects.items():
        for node in cluster.nodes:
            answer = get(node, OWNER, target)
            assert (answer.status, answer.body) == (200, obj.body)
            tiers.add(answer['X-Tier'])
    for _ in range(60):
        tiers |= {get(node, OWNER, hot)['X-Tier'] for node in cluster.nodes}
        if 'mirror' in tiers:
            break
    assert {'origin', 'peer', 'ram', 'mirror'} <= tiers
    origin.requests.clear()
    asked = [cluster.stat(i, 'asked') for i in range(3)]
    for node in cluster.nodes:
        for target in objects:
            uncached, missing = target.replace('/k', '/x'), target[:-1] + 'y'
            check_blind(node, target, uncached, missing, objects[hot].etag)
    # no node has asked another, nor the origin
    assert [cluster.stat(i, 'asked') for i in range(3)] == asked
    assert origin.requests_for(method='GET') == []
    # a write at one node is for those who may, and all know of it
    for who in NOBODIES.values():
        for node in cluster.nodes:
            assert ask(node, who, 'PUT', hot, body=b'evil').status == 403
            assert ask(node, who, 'DELETE', hot).status == 403
    assert origin.requests_for(method='PUT') == []
    assert ask(cluster.nodes[0], OWNER, 'PUT', hot, body=b'new').status == 200
    for node in cluster.nodes:
        assert get(node, OWNER, hot).body == b'new'


def test_a_node_with_keys_beside_one_without(make_cluster, origin,
                                             credentials):
    """Each node is its own door: what another has is no way in."""
    cluster = make_cluster(origin, nodes=2, valid='200 1h', workers=1)
    node = cluster.nodes[1]
    obj = put(origin, 'k0')
    assert get(cluster.nodes[0], None, '/bkt/k0').body == obj.body
    node.reload(server=s3_location(origin.url, valid='200 1h', more='add_'
                                   'header X-Tier $s3_cache_tier always;'
                                   's3_cache_block_size 64k;'
                                   + auth(credentials)), wait_old=True)
    check_blind(node, '/bkt/k0', '/bkt/k1', '/bkt/k2', obj.etag)
    assert get(node, OWNER, '/bkt/k0').body == obj.body


def test_a_policy_that_is_taken_back_holds_for_what_is_cached(
        make_keys, origin, credentials):
    gateway = make_keys()
    obj = put(origin, 'k')
    credentials.write(*PEOPLE[:-1], anonymous(allow('read', 'bkt/*')))
    wait.until(lambda: get(gateway, None, '/bkt/k').body == obj.body, 'it')
    credentials.write(identity('foreign', allow('*', 'other/*')))
    wait.until(lambda: get(gateway, None, '/bkt/k').status == 403, 'no more')
    wait.until(lambda: said(get(gateway, OWNER, '/bkt/k')) == (
        403, 'InvalidAccessKeyId'), 'nor by its owner')


# --- other doors -------------------------------------------------------------

def test_other_endpoints_lead_to_no_object(make_keys, make_cluster, origin,
                                           credentials):
    gateway = make_keys(server='''
        location = /status { s3_cache_status; allow 127.0.0.2; deny all; }
        location = /admin { s3_cache_admin; allow 127.0.0.2; deny all; }
        ''' + s3_location(origin.url, path='= /events', more=auth(credentials)
                          + 's3_cache_events token=0123456789abcdef0123;'))
    obj = put(origin, 'k')
    assert get(gateway, OWNER, '/bkt/k').body == obj.body
    for who in (None, OWNER):
        for target in ('/status', '/admin', '/admin?purge=all',
                       '/status/../bkt/k'):
            assert get(gateway, who, target).status in (403, 404)
        assert ask(gateway, who, 'POST', '/admin?purge=all').status == 403
        for headers in ({}, {'Authorization': 'Bearer x'}):
            if who is None or not headers:
                answer = ask(gateway, who, 'POST', '/events', headers,
                             b'{"Records": []}')
                assert answer.status in (401, 403), answer
        assert get(gateway, who, '/events').status in (401, 403, 405)
    # an event is no key
    answer = get(gateway, None, '/bkt/k', {
        'Authorization': 'Bearer 0123456789abcdef0123'})
    assert answer.status in (400, 403)
    assert get(gateway, OWNER, '/bkt/k')['X-Cache'] == 'HIT'


def test_the_endpoint_of_peers_knows_no_clients(make_cluster, origin,
                                                credentials):
    cluster = make_cluster(origin, nodes=2, location=auth(credentials))
    obj = put(origin, 'k')
    assert get(cluster.nodes[0], OWNER, '/bkt/k').body == obj.body
    link = signer(OWNER).presigned('GET', '/bkt/k', '127.0.0.1')
    for port in cluster.ports:
        for target, who in (('/bkt/k', None), ('/bkt/k', OWNER), (link, None),
                            ('/s3-cache-peer', OWNER)):
            answer = raw_http.ask(port, 'GET', target,
                                  signed(who, 'GET', target), close=False)
            assert answer.status >= 400 and obj.body not in answer.body
