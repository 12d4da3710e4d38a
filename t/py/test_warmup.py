# SPDX-License-Identifier: Apache-2.0
"""Warm-ups of a node alone: jobs of prefixes and lists, modes, what is
refused, what is kept of them."""

import collections
import json
import os

import pytest

import raw_http
from lib import wait
from lib.nginx import s3_location, s3_zone
from lib.wait import until
from origin.objects import pattern
from warmups import (HOUR, HTTP, SERVER, all_hit, ask, ended, gets, job,
                     numbers, post, target, warm)

KIB, MIB = 1 << 10, 1 << 20
AWKWARD = ['a b', 'a+b', 'a%20b', 'ä/ö', '日本語', '//a//', '\x01\x1b[2J\x7f',
           '"q\\', '?x=y#z', '&amp;', '<k>', 'x' * 300, '😀', "it's"]


@pytest.fixture
def gateway(make_gateway, origin):
    return make_gateway(origin, valid=HOUR, http=HTTP, server=SERVER,
                        location='s3_cache_block_size 64k;', workers=2)


def fill(origin, keys, size=1000):
    """{key: its body}"""
    made = {}
    for i, key in enumerate(keys):
        made[key] = pattern(size(i) if callable(size) else size, i)
        origin.put('bkt', key, made[key])
    return made


# --- what it does ------------------------------------------------------------

def test_a_prefix(gateway, origin):
    made = fill(origin, [f'p/{i}' for i in range(1200)])
    fill(origin, ['o/1', 'q/1'])
    said = warm(gateway, bucket='bkt', prefix='p/')
    assert numbers(said) == {'objects': 1200, 'fetched': 1200}
    assert said['bytes'] == said['fetched_bytes'] == 1_200_000
    assert len(gets(origin)) == 1200
    all_hit(gateway, made)
    assert len(gets(origin)) == 1200
    said = warm(gateway, bucket='bkt', prefix='p/')
    assert numbers(said) == {'objects': 1200, 'cached': 1200}
    assert said['cached_bytes'] == said['bytes'] == 1_200_000
    assert len(gets(origin)) == 1200
    assert gateway.zone()['warmup'] == {
        'cached': 1200, 'fetched': 1200, 'evicted': 0, 'missing': 0,
        'no_room': 0, 'failed': 0, 'fetched_bytes': 1_200_000}
    assert numbers(warm(gateway, bucket='bkt')) == {
        'objects': 1202, 'cached': 1200, 'fetched': 2}
    assert numbers(warm(gateway, bucket='bkt', prefix='none/')) == {}


def test_what_is_only_validated_was_there(make_gateway, origin):
    gateway = make_gateway(origin, valid=HOUR, http=HTTP, server=SERVER,
                           location='s3_cache_freshness strict;')
    fill(origin, [f'p/{i}' for i in range(50)])
    origin.put('bkt', 'large', pattern(2 * MIB, 1))
    for _ in range(2):
        said = warm(gateway, bucket='bkt')
    assert numbers(said) == {'objects': 51, 'cached': 51}
    assert said['fetched_bytes'] == 0
    origin.put('bkt', 'p/7', pattern(1000, 70))
    said = warm(gateway, bucket='bkt')
    assert numbers(said) == {'objects': 51, 'cached': 50, 'fetched': 1}
    assert said['fetched_bytes'] == 1000


def test_all_sizes(gateway, origin):
    sizes = [0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 128 * KIB, MIB + 5]
    made = fill(origin, [f's/{n}' for n in range(len(sizes))],
                lambda i: sizes[i])
    said = warm(gateway, bucket='bkt', prefix='s/')
    assert numbers(said) == {'objects': 7, 'fetched': 7}
    assert said['fetched_bytes'] == sum(sizes)
    count = len(origin.requests)
    all_hit(gateway, made)
    assert len(origin.requests) == count
    # every byte was asked for once
    asked = collections.Counter(
        (r.key, r.header('range')) for r in gets(origin))
    assert set(asked.values()) == {1}


def test_awkward_names(gateway, origin):
    made = fill(origin, AWKWARD)
    assert numbers(warm(gateway, bucket='bkt')) == {
        'objects': len(AWKWARD), 'fetched': len(AWKWARD)}
    all_hit(gateway, {k: v for k, v in made.items() if k[0] not in '/'})
    for key in AWKWARD:
        assert numbers(warm(gateway, bucket='bkt', prefix=key,
                            mode='check'))['cached'] >= 1


def test_a_list(gateway, origin):
    made = fill(origin, [f'k{i}' for i in range(5)], 300 * KIB)
    fill(origin, ['a b'])
    text = (b'# what it is\n\nbkt/k0\r\nbkt/k1\t0-9\nbkt/k2\t65536-200000\n'
            b'bkt/a%20b\nbkt/none\nno-slash\nbkt/\nbkt/%zz\n/k\n'
            b'bkt/k3\t9-1\nbkt/k3\tx\nbkt/k3\t1-2\t3-4\n' + b'x' * 20_000
            + b'\nbkt/k4\t0-0')
    said = warm(gateway, 'list', text)
    assert numbers(said) == {'objects': 6, 'fetched': 5, 'missing': 1,
                             'bad_lines': said['bad_lines']}
    assert said['bad_lines'] >= 8
    asked = {(r.key, r.header('range')) for r in gets(origin)}
    assert {k for k, _ in asked} == {'k0', 'k1', 'k2', 'k4', 'a b', 'none'}
    assert len([1 for k, _ in asked if k == 'k1']) == 1
    assert len([1 for k, _ in asked if k == 'k2']) == 3
    count = len(origin.requests)
    for key, span in (('k0', '0-307199'), ('k1', '0-9'),
                      ('k2', '65536-200000'), ('k4', '0-0')):
        first, last = map(int, span.split('-'))
        answer = raw_http.ask(gateway.port(), 'GET', target(key),
                              [('Range', f'bytes={span}')])
        assert answer.body == made[key][first:last + 1]
        assert answer['X-Cache'] == 'HIT', key
    assert len(origin.requests) == count
    assert said['nodes'][0]['percent'] == 100


def test_versions(gateway, origin):
    origin.put('bkt', 'k', b'old', version_id='v1')
    origin.put('bkt', 'k', b'new', version_id='v2')
    assert numbers(warm(gateway, 'list', b'bkt/k\tversionId=v1\n')) == {
        'objects': 1, 'fetched': 1}
    answer = raw_http.ask(gateway.port(), 'GET', '/bkt/k?versionId=v1')
    assert (answer.body, answer['X-Cache']) == (b'old', 'HIT')
    assert raw_http.ask(gateway.port(), 'GET', '/bkt/k').body == b'new'


def test_check_fetches_nothing(gateway, origin):
    made = fill(origin, [f'k{i}' for i in range(10)], 200 * KIB)
    warm(gateway, 'list', b'bkt/k0\nbkt/k1\t0-9\n')
    count = len(gets(origin))
    said = warm(gateway, bucket='bkt', mode='check')
    assert numbers(said) == {'objects': 10, 'cached': 1, 'missing': 9}
    assert said['cached_bytes'] == 200 * KIB + 64 * KIB
    assert said['bytes'] == 400 * KIB
    assert len(gets(origin)) == count
    assert not [r for r in origin.requests if r.method == 'HEAD']
    all_hit(gateway, {'k0': made['k0']})


def test_evict(gateway, origin):
    made = fill(origin, [f'k{i}' for i in range(20)], 100 * KIB)
    warm(gateway, bucket='bkt')
    said = warm(gateway, bucket='bkt', prefix='k1', mode='evict')
    assert numbers(said) == {'objects': 11, 'evicted': 11}
    gone = [k for k in made if k.startswith('k1')]
    all_hit(gateway, {k: v for k, v in made.items() if k not in gone})
    for key in gone:
        answer = raw_http.ask(gateway.port(), 'GET', target(key))
        assert (answer.body, answer['X-Cache']) == (made[key], 'MISS')


def test_a_zone_is_not_turned_over(make_gateway, origin):
    """What was asked for stays; the job says what had no room."""
    gateway = make_gateway(origin, valid=HOUR, http=HTTP, server=SERVER,
                           zone={'size': '16m'}, workers=2)
    hot = fill(origin, [f'h/{i}' for i in range(60)], 100 * KIB)
    fill(origin, [f'w/{i}' for i in range(200)], 100 * KIB)
    for _ in range(3):
        for key in hot:
            raw_http.ask(gateway.port(), 'GET', target(key))
    all_hit(gateway, hot)
    said = warm(gateway, bucket='bkt', prefix='w/')
    assert said['objects'] == 200 and said['no_room'] > 50
    assert said['fetched'] > 10
    assert said['fetched'] + said['no_room'] == 200
    # no request was served uncached for it
    assert gateway.zone()['fills']['refused'] == 0
    all_hit(gateway, hot)
    said = warm(gateway, bucket='bkt', prefix='w/', mode='check')
    assert said['cached'] > 10


def test_what_was_warmed_leaves_first(make_gateway, origin):
    for policy in ('s3fifo', 'lru'):
        gateway = make_gateway(origin, valid=HOUR, http=HTTP, server=SERVER,
                               zone={'size': '16m', 'policy': policy})
        hot = fill(origin, [f'h/{i}' for i in range(60)], 100 * KIB)
        fill(origin, [f'w/{i}' for i in range(60)], 100 * KIB)
        for _ in range(3):
            for key in hot:
                raw_http.ask(gateway.port(), 'GET', target(key))
        warm(gateway, bucket='bkt', prefix='w/')
        fill(origin, [f'n/{i}' for i in range(30)], 100 * KIB)
        for i in range(30):
            raw_http.ask(gateway.port(), 'GET', target(f'n/{i}'))
        all_hit(gateway, hot)


def test_rate_and_concurrency(make_gateway, origin):
    gateway = make_gateway(origin, valid=HOUR, http=HTTP, server=SERVER)
    fill(origin, [f'k{i}' for i in range(40)])
    gate = origin.gate()
    origin.on(key=None, when=lambda r: bool(r.key), gate=gate)
    number = post(gateway, bucket='bkt', concurrency='3')
    gate.wait_reached(3)
    assert len(gets(origin)) == 3
    gate.open()
    assert numbers(ended(gateway, number)) == {'objects': 40, 'fetched': 40}
    warm(gateway, bucket='bkt', mode='evict')
    said = warm(gateway, bucket='bkt', rate='20000')
    assert numbers(said) == {'objects': 40, 'fetched': 40}


def test_flash(make_gateway, origin):
    """More than memory has goes through to flash, and is found there."""
    gateway = make_gateway(origin, valid=HOUR, http=HTTP, server=SERVER,
                           zone={'size': '16m'}, workers=2,
                           location='s3_cache_block_size 64k;',
                           stores=[{'size': '256m'}])
    until(lambda: gateway.zone()['stores'][0]['state'] == 'serving', 'flash')
    made = fill(origin, [f'k{i}' for i in range(300)],
                lambda i: 40 * KIB if i % 2 else 150 * KIB)
    said = warm(gateway, bucket='bkt')
    assert said['objects'] == 300
    assert said['fetched'] + said['no_room'] == 300
    assert said['fetched'] > 200, said
    said = warm(gateway, bucket='bkt', mode='check')
    assert said['cached'] > 150, said
    for key, body in made.items():
        assert raw_http.ask(gateway.port(), 'GET', target(key)).body == body


# --- jobs --------------------------------------------------------------------

def test_jobs_are_listed_and_stopped(gateway, origin):
    fill(origin, [f'k{i}' for i in range(3000)], 10)
    done = warm(gateway, bucket='bkt', prefix='k1')
    rule = origin.on(when=lambda r: bool(r.key), hang=True)
    number = post(gateway, bucket='bkt')
    until(lambda: len(gets(origin)) > done['objects'], 'it to begin')
    assert [j['id'] for j in gateway.zone()['warmup_jobs']] == [number]
    status, said = ask(gateway, 'POST', warmup='stop', id=number)
    assert (status, said['id'], said['state']) == (200, number, 'stopped')
    said = ended(gateway, number, 'stopped')
    assert said['objects'] < 3000
    origin.off(rule)
    jobs = ask(gateway, warmup='')[1]['jobs']
    assert [j['id'] for j in jobs] == [number, done['id']]
    assert gateway.zone()['warmup_jobs'] == []
    assert jobs[1] == done and jobs[0]['state'] == 'stopped'
    assert ask(gateway, 'POST', warmup='stop', id=number)[0] == 200
    assert os.listdir(f'{gateway.dir}/warmup').count(f'{number}.list') == 0


def test_too_many_jobs(gateway, origin):
    fill(origin, ['k'])
    origin.on(when=lambda r: bool(r.key), hang=True)
    running = [post(gateway, bucket='bkt') for _ in range(8)]
    status, said = ask(gateway, 'POST', warmup='prefix', bucket='bkt')
    assert status == 409 and 'too many' in said['error']
    for number in running:
        ask(gateway, 'POST', warmup='stop', id=number)
        ended(gateway, number, 'stopped')


def test_old_jobs_go(gateway, origin):
    fill(origin, ['k'])
    for _ in range(70):
        warm(gateway, bucket='bkt')
    assert len(ask(gateway, warmup='')[1]['jobs']) <= 65


# --- what is refused ---------------------------------------------------------

@pytest.mark.parametrize('method, query, status, why', [
    ('GET', 'warmup=prefix&bucket=b', 405, 'POST'),
    ('POST', 'warmup=', 405, 'GET'), ('POST', 'warmup=prefix', 400, 'bucket'),
    ('POST', 'warmup=prefix&bucket=', 400, 'bucket'),
    ('POST', 'warmup=prefix&bucket=b&x=y', 400, 'not known'),
    ('POST', 'warmup=prefix&bucket=b&bucket=b', 400, 'twice'),
    ('POST', 'warmup=prefix&bucket=b&mode=hot', 400, 'mode'),
    ('POST', 'warmup=prefix&bucket=b&concurrency=0', 400, 'concurrency'),
    ('POST', 'warmup=prefix&bucket=b&concurrency=257', 400, 'concurrency'),
    ('POST', 'warmup=prefix&bucket=b&rate=-1', 400, 'rate'),
    ('POST', 'warmup=prefix&bucket=b&prefix=a+b', 400, 'plus'),
    ('POST', 'warmup=prefix&bucket=b&prefix=%zz', 400, 'prefix'),
    ('POST', 'warmup=prefix&bucket=b&zone=cold', 404, 'zone'),
    ('POST', 'warmup=prefix&bucket=b&origin=http://x', 404, 'origin'),
    ('POST', 'warmup=prefix&bucket=b&id=0123456789abcdef', 400, 'go with'),
    ('POST', 'warmup=all', 400, 'prefix, list'),
    ('POST', 'warmup=stop', 400, 'id'),
    ('POST', 'warmup=stop&id=../../../../etc/x', 400, 'id'),
    ('POST', 'warmup=stop&id=0123456789abcdef', 404, 'no such job'),
    ('GET', 'warmup=0123456789abcdef', 404, 'no such job'),
    ('GET', 'warmup=0123456789ABCDEF', 400, 'prefix, list'),
    ('POST', 'warmup=list', 400, 'empty')])
def test_what_is_asked_wrongly(gateway, method, query, status, why):
    answer = gateway.request(method, f'/-/admin?{query}')
    assert answer.status == status, answer.body
    assert why in json.loads(answer.body)['error']
    assert ask(gateway, warmup='')[1] == {'jobs': []}


def test_a_list_may_be_too_large(make_gateway, origin):
    gateway = make_gateway(origin, server=SERVER,
                           http='s3_cache_warmup @dir@/warmup list=1k;\n')
    status, said = ask(gateway, 'POST', b'bkt/k\n' * 200, warmup='list')
    assert status == 413 and 'larger' in said['error']
    answer = raw_http.ask(gateway.port(), 'POST', '/-/admin?warmup=list',
                          [('Transfer-Encoding', 'chunked')],
                          b'7d0\r\n' + b'bkt/k\r\n' * 250 + b'x' * 250
                          + b'\r\n0\r\n\r\n')
    assert answer.status == 413, answer.body
    assert not [n for n in os.listdir(f'{gateway.dir}/warmup')
                if n != 'lock']


def test_without_the_directive(make_gateway, origin):
    gateway = make_gateway(origin, server=SERVER)
    for method, args in (('GET', {'warmup': ''}),
                         ('POST', {'warmup': 'prefix', 'bucket': 'b'}),
                         ('POST', {'warmup': 'list'})):
        assert ask(gateway, method, b'x', **args)[0] == 501


@pytest.mark.parametrize('words, why', [
    ('', 'invalid number of arguments'),
    ('a b c', 'invalid number of arguments'),
    ('@dir@/w size=1', 'invalid parameter "size=1"'),
    ('@dir@/w list=0', 'invalid size in "list=0"'),
    ('@dir@/w list=x', 'invalid size in "list=x"'),
    ('/', 'invalid folder "/"'),
    ('@dir@/w; s3_cache_warmup @dir@/v', 'is duplicate')])
def test_configuration(make_nginx, words, why):
    nginx = make_nginx(http=f's3_cache_warmup {words};\n')
    rc, text = nginx.test_conf()
    assert rc != 0 and why in text and 'nginx.conf:' in text, text


def test_which_zone_and_origin(make_nginx, origin):
    nginx = make_nginx(
        http=s3_zone() + s3_zone('cold') + HTTP, server=SERVER
        + s3_location(origin.url, path='/a/', valid=HOUR)
        + s3_location(origin.url.replace('127.0.0.1', 'localhost'),
                      path='/b/', valid=HOUR)
        + s3_location(origin.url, zone='cold', path='/c/', valid=HOUR))
    nginx.start()
    origin.put('bkt', 'k', b'x')
    args = {'warmup': 'prefix', 'bucket': 'bkt'}
    for more, why in (({}, 'zone='), ({'zone': 'hot'}, 'origin=')):
        status, said = ask(nginx, 'POST', **args, **more)
        assert status == 404 and why in said['error']
    assert numbers(warm(nginx, bucket='bkt', zone='cold')) == {
        'objects': 1, 'fetched': 1}
    assert numbers(warm(nginx, bucket='bkt', zone='hot',
                        origin=origin.url)) == {'objects': 1, 'fetched': 1}
    wait.until(lambda: nginx.zone('hot')['warmup']['fetched'] == 1, 'a count')
