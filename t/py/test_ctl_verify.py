# SPDX-License-Identifier: Apache-2.0
"""s3cachectl verify: what the cache has, against what the store has."""

import re

import pytest

from lib import ctl as ctl_lib
from lib.ctl import DENIED, NO, OK, REFUSED, UNREACHABLE, WRONG, Ctl
from lib.nginx import s3_location, s3_zone
from origin.objects import pattern
from origin.scripted_origin import ScriptedOrigin
from purges import read, warm
from test_ctl_hostile import ACTS

NAMES = [f'bkt/d/{i:03}' for i in range(30)] + ['bkt/d/a b+ä', 'bkt/e/other']


@pytest.fixture
def gateway(make_gateway, origin):
    for i, name in enumerate(NAMES):
        origin.put(*name.split('/', 1), pattern(1000 + 7 * i, i))
    return make_gateway(origin, valid='200 206 404 1h', workers=1,
                        server=ctl_lib.server(),
                        location='s3_cache_block_size 64k;')


@pytest.fixture
def ctl(gateway, origin):
    return Ctl(gateway.url(), S3CACHE_ORIGIN=origin.url)


def test_what_is_the_same(gateway, origin, ctl):
    kept = NAMES[:10] + NAMES[30:]
    warm(gateway, kept)
    origin.put('bkt', 'd/large', pattern(300_000))
    warm(gateway, ['bkt/d/large'])
    found = ctl('--json', 'verify', '--all', 's3://bkt/d/').json
    assert found['listed'] == found['looked_at'] == 32
    assert found['compared'] == 12 and found['not_cached'] == 20
    assert found['different'] == found['failed'] == 0 == len(found['found'])
    assert found['bytes'] == 300_000 + sum(
        len(origin.get(*n.split('/', 1)).body) for n in kept[:-1])
    text = ctl('verify', '--all', 's3://bkt').out
    assert re.match(r'33 listed, 33 looked at, 20 not cached, 13 compared '
                    r'\(\d+ KiB\): 0 differ, 0 failed\n$', text), text
    # those that were looked at are not kept by that
    assert ctl('--json', 'verify', '--all',
               's3://bkt/d/').json['not_cached'] == 20
    assert ctl('verify', 's3://bkt/none/').out.startswith('0 listed')


def test_each_kind_of_difference(gateway, origin, ctl):
    warm(gateway, NAMES)
    body = origin.get('bkt', 'd/000').body
    etag = origin.get('bkt', 'd/000').etag
    changed = {
        'd/000': ('another version', b'new'),
        'd/001': ('other bytes of the same version', None),
        'd/002': ('another length of the same version', None),
    }
    origin.put('bkt', 'd/000', b'new')
    for key, new in (('d/001', lambda b: b[:-1] + bytes([b[-1] ^ 1])),
                     ('d/002', lambda b: b + b'x')):
        old = origin.get('bkt', key)
        origin.put('bkt', key, new(old.body),
                   etag=old.etag)
    found = ctl('--json', 'verify', '--all', 's3://bkt/d/', rc=NO).json
    assert {f['key']: f['differs'] for f in found['found']} == {
        key: why for key, (why, _) in changed.items()}
    first = next(f for f in found['found'] if f['key'] == 'd/000')
    assert first['cache']['size'] == len(body)
    assert first['cache']['etag'] == etag and first['store']['size'] == 3
    assert first['cache']['sha256'] != first['store']['sha256']
    assert found['different'] == 3 and found['compared'] == 31
    text = ctl('verify', '--all', 's3://bkt/d/', rc=NO).out
    assert 'differs: s3://bkt/d/001: other bytes of the same version\n' in text
    assert text.count('  cache: ') == text.count('  store: ') == 3
    # what is not cached any more is no difference
    ctl('purge', 'bucket', 's3://bkt')
    assert ctl('--json', 'verify', '--all', 's3://bkt').json['compared'] == 0


def test_what_only_one_side_has(gateway, origin, ctl):
    assert gateway.get('/bkt/f/new').status == 404
    origin.put('bkt', 'f/new', b'x')
    found = ctl('--json', 'verify', '--all', 's3://bkt/f/', rc=NO).json
    assert [f['differs'] for f in found['found']] == [
        'the cache knows no such object']
    # it goes between the list and the read
    origin.put('bkt', 'f/old', b'x')
    warm(gateway, ['bkt/f/old'])
    ctl('purge', 'key', 's3://bkt/f/new')
    origin.on('bkt', 'f/old', method='GET', error=(404, 'NoSuchKey'))
    found = ctl('--json', 'verify', '--all', 's3://bkt/f/', rc=NO).json
    assert [f['differs'] for f in found['found']] == [
        'the store has no such object']


def test_a_sample_is_by_chance_and_again_the_same(gateway, origin, ctl):
    warm(gateway, NAMES)

    def looked_at(seed):
        origin.requests.clear()
        found = ctl('--json', 'verify', '--sample', '5', '--seed', str(seed),
                    's3://bkt/d/').json
        assert (found['listed'], found['looked_at'], found['seed']) == (
            31, 5, seed)
        return [r.key for r in origin.requests if r.key]

    first = looked_at(1)
    assert len(set(first)) == 5 and looked_at(1) == first
    assert len({tuple(looked_at(seed)) for seed in range(1, 6)}) > 3
    assert ctl('--json', 'verify', 's3://bkt/d/').json['looked_at'] == 31


def test_a_list_has_many_pages(make_gateway):
    with ScriptedOrigin() as origin:
        for i in range(2345):
            origin.put('many', f'k{i:05}', b'x')
        gateway = make_gateway(origin, server=ctl_lib.server())
        found = Ctl(gateway.url(), S3CACHE_ORIGIN=origin.url)(
            '--json', 'verify', '--sample', '3', 's3://many/k').json
        assert found['listed'] == 2345 and found['looked_at'] == 3


def test_keys_of_both_sides(make_nginx):
    owner = ('STORE', 'secret+of/store=')
    with ScriptedOrigin(secrets={owner[0]: owner[1]}) as origin:
        origin.put('bkt', 'a b', b'x')
        nginx = make_nginx(http=s3_zone(), server=ctl_lib.server()
                           + s3_location(origin.url, *owner,
                                         valid='200 1h')).start()
        warm(nginx, ['bkt/a b'])
        env = {'S3CACHE_ORIGIN': origin.url,
               'S3CACHE_ORIGIN_ACCESS_KEY_ID': owner[0],
               'S3CACHE_ORIGIN_SECRET_ACCESS_KEY': owner[1]}
        ctl = Ctl(nginx.url(), **env)
        assert ctl('--json', 'verify', 's3://bkt').json['compared'] == 1
        Ctl(nginx.url(), keys=owner, S3CACHE_ORIGIN=origin.url)(
            'verify', 's3://bkt')
        denied = Ctl(nginx.url(), S3CACHE_ORIGIN=origin.url)(
            'verify', 's3://bkt', rc=DENIED)
        assert 'the store answers 403' in denied.err


def test_keys_with_dots_are_what_they_are(gateway, origin, ctl):
    names = ['bkt/h/../i', 'bkt/h/./i', 'bkt/h//i', 'bkt/h/%2e%2e/i']
    for name in names:
        origin.put(*name.split('/', 1), name.encode())
    warm(gateway, names)
    assert ctl('--json', 'verify', '--all',
               's3://bkt/h/').json['compared'] == 4


def test_a_store_that_fails(gateway, origin, ctl):
    warm(gateway, NAMES[:3])
    rule = origin.on('bkt', 'd/001', method='GET', error=(500, 'Internal'))
    found = ctl('--json', 'verify', '--all', 's3://bkt/d/', rc=REFUSED).json
    assert found['failed'] == 1 and found['compared'] == 2
    assert found['found'][0]['failed'] == 'the store answers 500'
    origin.off(rule)
    origin.on('bkt', 'd/001', method='GET', cut_at=10)
    found = ctl('--json', 'verify', '--all', 's3://bkt/d/', rc=REFUSED).json
    assert found['failed'] == 1 and found['compared'] == 2
    origin.off()
    origin.on('bkt', error=(503, 'SlowDown'))
    ctl('verify', 's3://bkt/d/', rc=REFUSED)
    ctl('verify', 's3://none/', rc=REFUSED)
    ctl('verify', '--origin', 'http://127.0.0.1:1', 's3://bkt',
        rc=UNREACHABLE)


def test_a_list_that_lies(gateway, origin, ctl):
    for body in (b'<html/>', b'<ListBucketResult><Contents><Key>%</Key>'
                 b'</Contents><EncodingType>url</EncodingType>'
                 b'</ListBucketResult>',
                 # for ever the same page
                 b'<ListBucketResult><IsTruncated>true</IsTruncated><Contents>'
                 b'<Key>d/000</Key></Contents></ListBucketResult>',
                 b'<ListBucketResult><IsTruncated>true</IsTruncated>'
                 b'</ListBucketResult>'):
        rule = origin.on(when=lambda r: not r.key, raw=(
            b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n' % len(body)
            + body))
        said = ctl('verify', '--all', 's3://bkt', rc=WRONG)
        assert 'list of the store' in said.err
        origin.off(rule)


@pytest.mark.parametrize('answer', [
    '404 x\r\nContent-Type: text/html\r\nContent-Length: 7\r\n\r\n<html/>',
    '404 x\r\nContent-Length: 0\r\n\r\n',
    '200 x\r\nContent-Length: 1\r\n\r\nx'])
def test_another_server_is_no_gateway(gateway, origin, ctl, answer):
    warm(gateway, NAMES[:3])
    with ScriptedOrigin() as other:
        other.on(raw=f'HTTP/1.1 {answer}'.encode())
        said = ctl('verify', '--gateway', other.url, 's3://bkt/d/', rc=WRONG)
        assert said.out == ''
        assert said.err == (f's3cachectl: {other.url[7:]} is no gateway: '
                            '--gateway\n')


def test_the_node_may_be_no_gateway(make_gateway, origin):
    """A socket that has its endpoints only."""
    gateway = make_gateway(
        origin, valid='200 1h', workers=1,
        http='server { listen unix:@dir@/ctl.sock; location / '
        '{ return 404; }' + ctl_lib.server() + ' }\n')
    origin.put('bkt', 'k', b'x')
    warm(gateway, ['bkt/k'])
    ctl = Ctl(f'unix:{gateway.dir}/ctl.sock', S3CACHE_ORIGIN=origin.url)
    said = ctl('--json', 'verify', 's3://bkt', rc=WRONG)
    assert said.json['error'] == (
        f'{gateway.dir}/ctl.sock is no gateway: --gateway')
    found = ctl('--json', 'verify', 's3://bkt',
                env={'S3CACHE_GATEWAY': gateway.url()}).json
    assert found['compared'] == 1 and found['different'] == 0


def test_names_are_shown_without_what_acts(gateway, origin, ctl):
    origin.put('bkt', 'g/\u202e\x7f\x9b2J', b'x')
    warm(gateway, ['bkt/g/\u202e\x7f\x9b2J'])
    origin.put('bkt', 'g/\u202e\x7f\x9b2J', b'yy')
    for more in ((), ('--json',)):
        said = ctl(*more, 'verify', 's3://bkt/g/', rc=NO)
        assert not ACTS.search(said.out), said
    assert OK == 0 and read(gateway, 'bkt', 'd/000')
