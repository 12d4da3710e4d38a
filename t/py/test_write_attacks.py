# SPDX-License-Identifier: Apache-2.0
"""Writes that once were done without their names being fenced: bodies that an
origin does not need, sub-resources that are empty, forms, reloads."""

import pytest

import raw_http
from lib import wait
from lib.nginx import s3_location, s3_zone
from origin.scripted_origin import ScriptedOrigin
from peer_reads import get as peer_get, make_cluster
from test_coherence import put, ring
from test_write_bodies import form
from write_lab import bucket, direct, lab, through    # noqa: F401 (fixtures)

__all__ = ['make_cluster']


@pytest.fixture
def origin():
    with ScriptedOrigin() as started:
        started.bucket('bkt')
        yield started


def get(nginx, target='/bkt/key', name=''):
    return raw_http.ask(nginx.port(name), 'GET', target)


# --- 1. a body that the origin does not need ---------------------------------

def test_a_delete_with_a_body_that_comes_late(make_gateway, origin):
    gateway = make_gateway(origin, valid='200 404 1h')
    origin.put('bkt', 'key', b'old')
    assert [get(gateway).body, get(gateway)['X-Cache']] == [b'old', 'HIT']
    origin.on('bkt', 'key', method='DELETE', early=True)
    with raw_http.Connection(gateway.port()) as c:
        c.request('DELETE', '/bkt/key', {'Content-Length': '5'})
        assert c.answer('DELETE').status == 204
    assert get(gateway).status == 404


def test_a_delete_with_a_body_and_expect(make_gateway, origin):
    gateway = make_gateway(origin, valid='200 404 1h')
    origin.put('bkt', 'key', b'old')
    assert [get(gateway).body, get(gateway)['X-Cache']] == [b'old', 'HIT']
    origin.on('bkt', 'key', method='DELETE', early=True, no_continue=True)
    with raw_http.Connection(gateway.port()) as c:
        c.request('DELETE', '/bkt/key', {'Content-Length': '5',
                                         'Expect': '100-continue'})
        assert c.answer('DELETE').status == 204
    assert get(gateway).status == 404


def test_a_delete_with_a_body_that_comes_late_rgw(lab, direct, bucket):
    direct.put_object(Bucket=bucket, Key='key', Body=b'old')
    t = f'/{bucket}/key'
    assert [get(lab, t).body, get(lab, t)['X-Cache']] == [b'old', 'HIT']
    with raw_http.Connection(lab.port()) as c:
        c.request('DELETE', t, {'Content-Length': '5'})
        assert c.answer('DELETE').status == 204
    assert get(lab, t).status == 404


def test_a_delete_with_a_body_that_is_here_rgw(lab, direct, bucket):
    direct.put_object(Bucket=bucket, Key='key', Body=b'old')
    t = f'/{bucket}/key'
    assert [get(lab, t).body, get(lab, t)['X-Cache']] == [b'old', 'HIT']
    with raw_http.Connection(lab.port()) as c:
        c.request('DELETE', t, {'Content-Length': '5'}, b'hello')
        assert c.answer('DELETE').status == 204
    assert get(lab, t).status == 404


def test_a_copy_with_a_body_that_comes_late_rgw(lab, direct, bucket):
    direct.put_object(Bucket=bucket, Key='key', Body=b'old')
    direct.put_object(Bucket=bucket, Key='from', Body=b'new')
    t = f'/{bucket}/key'
    assert [get(lab, t).body, get(lab, t)['X-Cache']] == [b'old', 'HIT']
    with raw_http.Connection(lab.port()) as c:
        c.request('PUT', t, {'Content-Length': '5',
                             'x-amz-copy-source': f'/{bucket}/from'})
        assert c.answer('PUT').status == 200
    assert get(lab, t).body == b'new'


# --- 2. empty sub-resources at an RGW ----------------------------------------

@pytest.mark.parametrize('method,query', [
    ('DELETE', 'uploadId='), ('DELETE', 'uploadId'),
    ('DELETE', 'uploadId=x&uploadId='), ('PUT', 'uploadId=&partNumber=1'),
    ('PUT', 'uploadId=&partNumber='), ('PUT', 'uploadId&partNumber'),
    ('PUT', 'uploadId=x&partNumber=1&uploadId=')])
def test_an_upload_id_that_is_empty_rgw(lab, direct, bucket, method, query):
    direct.put_object(Bucket=bucket, Key='key', Body=b'old')
    t = f'/{bucket}/key'
    assert [get(lab, t).body, get(lab, t)['X-Cache']] == [b'old', 'HIT']
    answer = raw_http.ask(lab.port(), method, f'{t}?{query}', {},
                          b'new' if method == 'PUT' else b'', close=False)
    there = raw_http.ask(lab.port(), 'GET', t, {'Origin': 'http://x'})
    after = get(lab, t)
    assert after.status == there.status
    assert after.status == 404 or after.body == there.body
    if query in ('uploadId=', 'uploadId'):
        assert (answer.status, after.status) == (204, 404)


# --- 3. a browser's form to a key at an RGW ----------------------------------

@pytest.mark.parametrize('path', ['', '/other', '/other?select',
                                  '/other?uploadId2'])
def test_a_form_to_a_key_rgw(lab, direct, bucket, path):
    direct.put_object(Bucket=bucket, Key='key', Body=b'old')
    t = f'/{bucket}/key'
    assert [get(lab, t).body, get(lab, t)['X-Cache']] == [b'old', 'HIT']
    fields = direct.generate_presigned_post(bucket, 'key')['fields']
    kind, body = form(fields, b'new')
    answer = raw_http.ask(lab.port(), 'POST', f'/{bucket}{path}',
                          {'Content-Type': kind}, body, close=False)
    there = direct.get_object(Bucket=bucket, Key='key')['Body'].read()
    assert answer.status == (405 if path else 204)
    assert there == (b'old' if path else b'new')
    assert get(lab, t).body == there


@pytest.mark.parametrize('path', ['', '/other', '/other?select'])
def test_a_form_without_a_policy_rgw(lab, direct, bucket, path):
    direct.put_object(Bucket=bucket, Key='key', Body=b'old')
    t = f'/{bucket}/key'
    assert [get(lab, t).body, get(lab, t)['X-Cache']] == [b'old', 'HIT']
    kind, body = form({'key': 'key'}, b'new')
    answer = raw_http.ask(lab.port(), 'POST', f'/{bucket}{path}',
                          {'Content-Type': kind}, body, close=False)
    assert answer.status == (405 if path else 403)
    assert direct.get_object(Bucket=bucket, Key='key')['Body'].read() == b'old'
    assert get(lab, t).body == b'old'


# --- 4. reloads --------------------------------------------------------------

def more_zone(origin):
    return (s3_zone('other') + 'server { listen 127.0.0.1:@port:b@; %s }'
            % s3_location(origin.url, 'one', 'secret', zone='other',
                          valid='200 1h'))


@pytest.mark.parametrize('other', ['zone'])
def test_a_reload_under_an_upload_that_adds_a_zone(make_nginx, origin, other):
    server = s3_location(origin.url, 'one', 'secret', valid='200 1h')
    nginx = make_nginx(server=server, http=s3_zone()).start()
    nginx.port('b')
    origin.put('bkt', 'key', b'old')
    assert get(nginx).body == b'old'
    body = b'x' * 300_000
    with raw_http.Connection(nginx.port()) as c:
        c.request('PUT', '/bkt/key', {'Content-Length': str(len(body))},
                  body[:200_000])
        origin.wait_requests(1, method='PUT')
        nginx.reload(http=s3_zone() + more_zone(origin))
        wait.until(lambda: get(nginx, name='b').body == b'old'
                   and get(nginx, name='b')['X-Cache'] == 'HIT', 'kept')
        c.send(body[200_000:])
        answer = c.answer('PUT')
    assert answer.status == 200
    assert get(nginx).body == body
    assert get(nginx, name='b').body == body


@pytest.mark.parametrize('how', ['zone', 'size', 'keys'])
def test_a_reload_while_the_origin_takes_it(make_nginx, origin, how):
    """The fence was set before the reload."""
    def server(key):
        return s3_location(origin.url, key, 'secret', valid='200 1h')
    nginx = make_nginx(server=server('one'), http=s3_zone(size='32m')).start()
    nginx.port('b')
    origin.put('bkt', 'key', b'old')
    assert get(nginx).body == b'old'
    gate = origin.gate()
    origin.on('bkt', 'key', method='PUT', gate=gate)
    with raw_http.Connection(nginx.port()) as c:
        c.request('PUT', '/bkt/key', {}, b'new')
        gate.wait_reached()
        nginx.reload(**{'zone': {'http': s3_zone(size='32m')
                                 + more_zone(origin)},
                        'size': {'http': s3_zone(size='64m')},
                        'keys': {'server': server('two')}}[how])
        name = 'b' if how == 'zone' else ''
        for _ in range(3):
            get(nginx, name=name)
        gate.open()
        answer = c.answer('PUT')
    assert origin.get('bkt', 'key').body == b'new'
    assert answer.status == 200
    assert get(nginx, name=name).body == b'new'


def test_a_view_that_is_away_for_a_while(make_nginx, origin):
    """one -> two (writes) -> one."""
    def server(key):
        return s3_location(origin.url, key, 'secret', valid='200 1h')
    nginx = make_nginx(server=server('one'), http=s3_zone()).start()
    origin.put('bkt', 'key', b'old')
    assert [get(nginx).body, get(nginx)['X-Cache']] == [b'old', 'HIT']
    nginx.reload(wait_old=True, server=server('two'))
    assert put(nginx, b'new').status == 200
    assert get(nginx).body == b'new'
    nginx.reload(wait_old=True, server=server('one'))
    assert get(nginx).body == b'new'


# --- 5. in a ring ------------------------------------------------------------

def test_a_delete_with_a_body_in_a_ring(make_cluster, origin):
    """The origin answers while the others are being told."""
    cluster = ring(make_cluster, origin)
    assert put(cluster.nodes[0], b'old').status == 200
    for node in cluster.nodes:
        assert peer_get(node, '/bkt/key').body == b'old'
    origin.on('bkt', 'key', method='DELETE', early=True)
    with raw_http.Connection(cluster.nodes[0].port()) as c:
        c.request('DELETE', '/bkt/key', {'Content-Length': '5'})
        assert c.answer('DELETE').status == 204
    for node in cluster.nodes:
        assert peer_get(node, '/bkt/key').status == 404
