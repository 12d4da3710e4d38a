# SPDX-License-Identifier: Apache-2.0
"""s3_cache_profile: what was read, as a list for the next warm-up."""

import os
import signal

import pytest

import raw_http
from lib import wait
from lib.nginx import s3_location
from origin.objects import pattern
from warmups import HOUR, HTTP, SERVER, all_hit, gets, numbers, target, warm

KIB = 1 << 10


def lines(nginx, count=None, name='profile'):
    def read():
        with open(f'{nginx.dir}/{name}', encoding='utf-8') as f:
            found = f.read()
        assert found == '' or found.endswith('\n')
        found = found.splitlines()
        return found if count is None or len(found) >= count else None
    found = wait.until(read, f'{count} lines')
    assert count is None or len(found) == count, found
    return found


def get(nginx, key, span=None, method='GET'):
    return raw_http.ask(nginx.port(), method, target(key),
                        [('Range', f'bytes={span}')] if span else [])


def test_what_is_read_anew_after_a_purge_is_one_line(make_gateway, origin):
    gateway = make_gateway(origin, valid=HOUR, http=HTTP, server=SERVER,
                           workers=1,
                           location='s3_cache_profile @dir@/profile;')
    for key in ('once', 'k', 'last'):
        origin.put('bkt', key, b'x' * 1000)
    get(gateway, 'once')
    for what in ('key&bucket=bkt&key=k', 'bucket&bucket=bkt', 'all'):
        get(gateway, 'k')
        get(gateway, 'k')
        # read past the cache, it is the same
        raw_http.ask(gateway.port(), 'GET', '/bkt/k?partNumber=1')
        assert raw_http.ask(gateway.port(), 'POST',
                            f'/-/admin?purge={what}').status == 200
    get(gateway, 'last')
    assert lines(gateway, 3) == ['bkt/once', 'bkt/k', 'bkt/last']


@pytest.mark.parametrize('more', ['', 's3_cache_direct_send on;'])
def test_what_was_read_is_warmed(make_gateway, origin, more):
    gateway = make_gateway(
        origin, valid=HOUR, http=HTTP, server=SERVER, workers=1,
        location='s3_cache_block_size 64k; s3_cache_profile @dir@/profile;'
        + more)
    made = {key: pattern(300 * KIB, i)
            for i, key in enumerate(['large', 'other', 'a b/\u00e4'])}
    made['small'] = pattern(1000, 7)
    for key, body in made.items():
        origin.put('bkt', key, body)
    for _ in range(3):
        get(gateway, 'small')
        get(gateway, 'small', '5-9')
        get(gateway, 'large', '70000-70009')
        get(gateway, 'large', '70500-140000')
        get(gateway, 'a b/\u00e4')
        # none of an object is read by these
        get(gateway, 'other', method='HEAD')
        assert get(gateway, 'none').status == 404
        assert raw_http.ask(gateway.port(), 'GET', '/bkt').status == 200
    assert sorted(lines(gateway, 4)) == [
        'bkt/a%20b/%C3%A4', 'bkt/large\t65536-131071',
        'bkt/large\t65536-196607', 'bkt/small']
    with open(f'{gateway.dir}/profile', 'rb') as f:
        profile = f.read()
    warm(gateway, bucket='bkt', mode='evict')
    origin.requests.clear()
    said = warm(gateway, 'list', profile)
    assert numbers(said)['objects'] == 4 and not said['failed']
    count = len(gets(origin))
    all_hit(gateway, {k: made[k] for k in ('small', 'a b/\u00e4')})
    answer = get(gateway, 'large', '65536-196607')
    assert answer.body == made['large'][65536:196608]
    assert answer['X-Cache'] == 'HIT' and len(gets(origin)) == count


def test_workers_do_not_mix_lines(make_gateway, origin):
    gateway = make_gateway(
        origin, valid=HOUR, workers=4,
        location='s3_cache_profile @dir@/profile;')
    keys = [f'{i:04}/' + 'k' * (i % 90) for i in range(400)]
    for key in keys:
        origin.put('bkt', key, b'x')
        for _ in range(2):
            get(gateway, key)
    wait.until(lambda: set(lines(gateway)) >= {f'bkt/{k}' for k in keys},
               'all of them')
    assert set(lines(gateway)) == {f'bkt/{k}' for k in keys}


def test_it_is_bounded_and_opened_again(make_gateway, origin):
    gateway = make_gateway(
        origin, valid=HOUR, workers=1,
        location='s3_cache_profile @dir@/profile max=300;')
    gateway.allow('s3_cache_profile: ".*" is full')
    for i in range(10):
        origin.put('bkt', f'k{i}', b'x')
        get(gateway, f'k{i}')
    lines(gateway, 10)
    for i in range(100):
        origin.put('bkt', f'm{i}', b'x')
        get(gateway, f'm{i}')
    gateway.wait_log('s3_cache_profile: ".*" is full')
    assert os.path.getsize(f'{gateway.dir}/profile') <= 300
    os.rename(f'{gateway.dir}/profile', f'{gateway.dir}/old')
    gateway.send_signal(signal.SIGUSR1)
    wait.until(lambda: os.path.exists(f'{gateway.dir}/profile'), 'the file')

    def again():
        get(gateway, 'k1')
        return lines(gateway)
    assert wait.until(again, 'a line', every_s=0.1) == ['bkt/k1']


def test_nothing_is_lost_when_it_is_opened_again(make_gateway, origin):
    gateway = make_gateway(origin, valid=HOUR, workers=2,
                           location='s3_cache_profile @dir@/profile;')
    origin.put('bkt', 'each', b'x')
    for part in range(4):
        for i in range(50):
            origin.put('bkt', f'{part}/{i}', b'x')
            get(gateway, f'{part}/{i}')
        # in each of the files, as a job of its own
        get(gateway, 'each')
        os.rename(f'{gateway.dir}/profile', f'{gateway.dir}/old.{part}')
        gateway.send_signal(signal.SIGUSR1)
        wait.until(lambda: os.path.exists(f'{gateway.dir}/profile'),
                   'the file')

    def said():
        found = []
        for name in [f'old.{part}' for part in range(4)] + ['profile']:
            with open(f'{gateway.dir}/{name}', encoding='ascii') as f:
                found.append(set(f.read().split('\n')[:-1]))
        return found
    wait.until(lambda: set.union(*said()) == {'bkt/each'} | {
        f'bkt/{part}/{i}' for part in range(4) for i in range(50)},
        'all of them')
    assert all('bkt/each' in one for one in said()[:3])


@pytest.mark.parametrize('words, why', [
    ('', 'invalid number of arguments'), ('a b c', 'invalid number of'),
    ('@dir@/p min=1', 'invalid parameter "min=1"'),
    ('@dir@/p max=0', 'invalid size in "max=0"'),
    ('@dir@/p; s3_cache_profile @dir@/q', 'is duplicate'),
    ('@dir@/none/p', 'No such file')])
def test_configuration(make_nginx, origin, words, why):
    nginx = make_nginx(http=f's3_cache_profile {words};\n')
    rc, text = nginx.test_conf()
    assert rc != 0 and why in text, text


def test_off_is_off(make_gateway, origin):
    gateway = make_gateway(
        origin, valid=HOUR, http='s3_cache_profile @dir@/profile;',
        location='s3_cache_profile off;',
        server=s3_location(origin.url, path='/open/', valid=HOUR))
    origin.put('bkt', 'k', b'x')
    get(gateway, 'k')
    gateway.stop()
    assert os.path.getsize(f'{gateway.dir}/profile') == 0
