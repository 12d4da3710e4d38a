# SPDX-License-Identifier: Apache-2.0
"""`nginx -t`: every directive that is misused is an error that names its file
and line, and never a secret."""

import os
import re

import pytest

from lib import process
from lib.nginx import s3_location, s3_zone
from origin.objects import pattern

SECRET = 'Sup3rS3cretDoNotPrint'
ORIGIN = 's3_cache_origin http://127.0.0.1:9;'


def check(make_nginx, http='', location='', server='', **more):
    """(exit status, what nginx -t says) with a zone and a location."""
    nginx = make_nginx(http=http, server=server + (
        f'location / {{ {location} }}' if location else ''),
        status=False, **more)
    return nginx.test_conf()


def refused(said, pattern_, line_has=None):
    """The complaint, with file and line: that line holds `line_has`."""
    code, text = said
    assert code == 1, text
    found = re.search(rf'\[emerg\] (.*{pattern_}.*) in (\S+):(\d+)', text)
    assert found, text
    assert SECRET not in text
    if line_has:
        with open(found.group(2), encoding='utf-8') as f:
            assert line_has in f.readlines()[int(found.group(3)) - 1]
    return found.group(1)


def test_a_right_configuration_is_accepted(make_nginx):
    code, text = check(
        make_nginx,
        http='s3_cache_zone a:8m;'
             's3_cache_zone b:64m policy=lru fills=128 fill_memory=8m;'
             's3_cache_store @dir@/a.store size=64m zone=b segment=1m'
             '   budget=100m/s objects=10000 timeout=100ms take;'
             's3_cache_store b.store size=9m zone=a;'
             's3_cache_io threads;'
             's3_cache_domain s3.test Cdn.Example;',
        location=f'''s3_cache b; {ORIGIN}
            s3_cache_origin_credentials access_key=A secret_key={SECRET};
            s3_cache_origin_region eu-west-1; s3_cache_origin_tries 2;
            s3_cache_origin_keepalive 10; s3_cache_origin_connect_timeout 1s;
            s3_cache_origin_ssl_verify off; s3_cache_block_size 64k;
            s3_cache_valid 200 206 1h; s3_cache_valid 404 1m;
            s3_cache_valid any forever; s3_cache_freshness strict;
            s3_cache_stale_while_revalidate 1m; s3_cache_stale_if_error 1d;
            s3_cache_client_no_cache off; s3_cache_read_ahead 32;
            s3_cache_list 90s;
            s3_cache_headers off; s3_cache_direct_send on;
            s3_cache_write_through 10m max=1g; s3_cache_auth origin;
            s3_cache_auth_valid 1m;''')
    assert code == 0, text
    assert SECRET not in text


@pytest.mark.parametrize('words, complaint', [
    ('hot', 'needs "name:size"'),
    (':64m', 'needs "name:size"'),
    ('hot:', 'invalid size'),
    ('hot:x', 'invalid size'),
    ('hot:64mm', 'invalid size'),
    ('hot:-64m', 'invalid size'),
    ('hot:99999999999999999999g', 'invalid size'),
    ('hot:0', 'too small'),
    ('hot:7m', 'too small'),
    ('hot:64m policy=fifo', 'invalid parameter "policy=fifo"'),
    ('hot:64m policy', 'invalid parameter "policy"'),
    ('hot:64m wrong', 'invalid parameter "wrong"'),
    ('hot:64m fills=0', 'invalid "fills=0"'),
    ('hot:64m fills=100', 'power of two'),
    ('hot:64m fills=x', 'invalid "fills=x"'),
    ('hot:64m fills=131072', 'invalid "fills=131072"'),
    ('hot:64m fill_memory=1k', 'invalid "fill_memory=1k"'),
    ('hot:64m fill_memory=x', 'invalid "fill_memory=x"'),
    ('hot:64m fill_memory=65m', 'invalid "fill_memory=65m"'),
])
def test_a_zone_that_is(make_nginx, words, complaint):
    refused(check(make_nginx, f's3_cache_zone {words};\n'),
            re.escape(complaint), f's3_cache_zone {words}')


def test_a_zone_defined_twice(make_nginx):
    refused(check(make_nginx, 's3_cache_zone hot:8m;\ns3_cache_zone hot:9m;\n'),
            '"hot" is already defined', 'hot:9m')


def test_a_zone_that_is_unknown(make_nginx):
    refused(check(make_nginx, 's3_cache_zone hot:8m;',
                  f's3_cache cold; {ORIGIN}'),
            'unknown zone "cold"', 's3_cache cold')


@pytest.mark.parametrize('directive, complaint', [
    ('s3_cache hot; s3_cache hot;', 'is duplicate'),
    ('s3_cache_origin 127.0.0.1:80;', 'must begin with "http://"'),
    ('s3_cache_origin ftp://a;', 'must begin with "http://"'),
    ('s3_cache_origin http://;', 'has no host'),
    ('s3_cache_origin http://a/;', 'must not have a path'),
    ('s3_cache_origin http://a/b;', 'must not have a path'),
    ('s3_cache_origin http://a?b;', 'query or fragment'),
    (f's3_cache_origin http://u:{SECRET}@a;', 'user or password'),
    ('s3_cache_origin http://$host;', 'must not have variables'),
    ('s3_cache_origin http://a:0;', 'port'),
    ('s3_cache_origin http://a:65536;', 'port'),
    ('s3_cache_origin http://a:b;', 'port'),
    ('s3_cache_origin http://a s3_cache_origin;', 'number of arguments'),
    (f'{ORIGIN} {ORIGIN}', 'is duplicate'),
    ('s3_cache_origin_credentials wrong;', 's3_cache_origin_credentials'),
    ('s3_cache_origin_credentials access_key=A;',
     'an access key and a secret key'),
    (f's3_cache_origin_credentials secret_key={SECRET};',
     'an access key and a secret key'),
    (f's3_cache_origin_credentials access_key=A secret={SECRET};',
     'invalid parameter'),
    (f's3_cache_origin_credentials {SECRET};', 's3_cache_origin_credentials'),
    ('s3_cache_origin_credentials file=/does/not/exist;', 'does/not/exist'),
    ('s3_cache_origin_tries 0;', 'must be'),
    ('s3_cache_origin_tries 17;', 'must be'),
    ('s3_cache_origin_connect_timeout x;', 'invalid value'),
    ('s3_cache_origin_read_timeout -1s;', 'invalid value'),
    ('s3_cache_origin_keepalive x;', 'invalid number'),
    ('s3_cache_origin_ssl_verify maybe;', 'invalid value "maybe"'),
    ('s3_cache_domain .a;', 'invalid domain'),
    ('s3_cache_domain a:80;', 'invalid domain'),
    ('s3_cache_domain a/b;', 'invalid domain'),
    ('s3_cache_domain a; s3_cache_domain b;', 'is duplicate'),
    ('s3_cache_block_size 63k;', 'power of two'),
    ('s3_cache_block_size 32k;', 'power of two'),
    ('s3_cache_block_size 32m;', 'power of two'),
    ('s3_cache_block_size 3m;', 'power of two'),
    ('s3_cache_block_size x;', 'invalid value'),
    ('s3_cache_valid x;', 'invalid time value "x"'),
    ('s3_cache_valid 200 x;', 'invalid time value "x"'),
    ('s3_cache_valid 500 1m;', 'invalid status "500"'),
    ('s3_cache_valid x 1m;', 'invalid status "x"'),
    ('s3_cache_list x;', 'invalid time value "x" of "s3_cache_list"'),
    ('s3_cache_list 0;', 'invalid time value "0" of "s3_cache_list"'),
    ('s3_cache_list 1m off;', 'invalid number of arguments'),
    ('s3_cache_list 1m; s3_cache_list off;', 'is duplicate'),
    ('s3_cache_freshness soon;', 'invalid value "soon"'),
    ('s3_cache_stale_while_revalidate x;', 'invalid value'),
    ('s3_cache_stale_if_error x;', 'invalid value'),
    ('s3_cache_client_no_cache 1;', 'invalid value "1"'),
    ('s3_cache_read_ahead 0;', 'must be'),
    ('s3_cache_read_ahead 33;', 'must be'),
    ('s3_cache_headers x;', 'invalid value "x"'),
    ('s3_cache_direct_send x;', 'invalid value "x"'),
    ('s3_cache_write_through x;', 'invalid time value "x"'),
    ('s3_cache_write_through 0;', 'invalid time value "0"'),
    ('s3_cache_write_through -1m;', 'invalid time value "-1m"'),
    ('s3_cache_write_through on;', 'invalid time value "on"'),
    ('s3_cache_write_through 1m max=x;', 'invalid size "x"'),
    ('s3_cache_write_through 1m max=0;', 'invalid size "0"'),
    ('s3_cache_write_through 1m max=;', 'invalid size ""'),
    ('s3_cache_write_through 1m min=1m;', 'invalid parameter "min=1m"'),
    ('s3_cache_write_through off max=1m;', 'invalid parameter "max=1m"'),
    ('s3_cache_write_through 1m max=1m x;', 'number of arguments'),
    ('s3_cache_write_through 1m; s3_cache_write_through off;',
     'is duplicate'),
    ('s3_cache_auth on;', 'invalid value "on"'),
    ('s3_cache_auth keys;', 'needs "s3_cache_credentials"'),
    ('s3_cache_credentials;', 'number of arguments'),
    ('s3_cache_credentials /does/not/exist;', 'No such file'),
    ('s3_cache_credentials /dev/null;', 'no regular file'),
    ('s3_cache_credentials / interval=1s;', 'no regular file'),
    ('s3_cache_credentials a interval=0;', 'invalid interval "0"'),
    ('s3_cache_credentials a interval=x;', 'invalid interval "x"'),
    ('s3_cache_credentials a every=1s;', 'invalid parameter "every=1s"'),
    ('s3_cache_auth_hosts a/b;', 'invalid host "a/b"'),
    ('s3_cache_auth_hosts "a b";', 'invalid host "a b"'),
    ('s3_cache_auth_hosts "";', 'invalid host ""'),
    (f's3_cache_auth_hosts {"h " * 17};', 'at most 16 hosts'),
    ('s3_cache_auth_hosts a; s3_cache_auth_hosts b;', 'is duplicate'),
    ('s3_cache_auth_regions "a/b";', 'invalid region "a/b"'),
    (f's3_cache_auth_regions {"r" * 65};', 'invalid region'),
    ('s3_cache_auth_skew x;', 'invalid value'),
    ('s3_cache_auth_presigned_max 8d;', 'at most 7 days'),
    ('s3_cache_auth_v2 x;', 'invalid value "x"'),
    ('s3_cache_auth_valid x;', 'invalid value'),
    ('s3_cache_auth_valid -1;', 'invalid value'),
    ('s3_cache_auth_valid;', 'number of arguments'),
    ('s3_cache_auth origin;', 'needs "s3_cache_origin_credentials"'),
    ('s3_cache_status xml;', 'invalid format "xml"'),
    ('s3_cache_status; s3_cache_status;', 'is duplicate'),
    ('s3_cache_zone cold:8m;', 'not allowed here'),
    ('s3_cache_store a size=16m;', 'not allowed here'),
    ('s3_cache_io auto;', 'not allowed here'),
])
def test_refused_is(make_nginx, directive, complaint):
    more = '' if 's3_cache hot' in directive else 's3_cache hot;'
    if 's3_cache_origin http' not in directive and ORIGIN not in directive \
            and '127.0.0.1:80' not in directive and 'ftp' not in directive:
        more += ORIGIN
    if 's3_cache_status' in directive:
        more = ''
    refused(check(make_nginx, s3_zone(), f'{more}\n{directive}\n'),
            re.escape(complaint))


@pytest.mark.parametrize('content, complaint', [
    ('', 'default'),
    ('[other]\naws_access_key_id = A\n'
     f'aws_secret_access_key = {SECRET}\n', 'default'),
    (f'[default]\naws_secret_access_key = {SECRET}\n', 'invalid credentials'),
    ('[default]\naws_access_key_id = A\n', 'invalid credentials'),
    (f'nonsense {SECRET}\n', 'invalid credentials'),
    (f'[default]\naws_access_key_id = A\0B\n'
     f'aws_secret_access_key = {SECRET}\n', 'invalid credentials'),
])
def test_a_credentials_file_that_is_wrong(
        make_nginx, tmp_path, content, complaint):
    path = tmp_path / 'credentials'
    path.write_text(content)
    refused(check(make_nginx, s3_zone(),
                  f's3_cache hot; {ORIGIN}\n'
                  f's3_cache_origin_credentials file={path};\n'),
            complaint, 's3_cache_origin_credentials')


def test_a_credentials_file_that_is_right(make_nginx, tmp_path):
    path = tmp_path / 'credentials'
    path.write_text('[default]\naws_access_key_id = A\n'
                    f'aws_secret_access_key = {SECRET}\n'
                    '[p]\naws_access_key_id = P\n'
                    f'aws_secret_access_key = {SECRET}\n')
    for profile in ('', ' profile=p'):
        code, text = check(
            make_nginx, s3_zone(), f's3_cache hot; {ORIGIN}'
            f's3_cache_origin_credentials file={path}{profile};')
        assert code == 0 and SECRET not in text, text
    refused(check(make_nginx, s3_zone(), f's3_cache hot; {ORIGIN}'
                  f's3_cache_origin_credentials file={path} profile=q;'),
            'q')


def test_credentials_of_the_environment_that_are_missing(
        make_nginx, monkeypatch):
    for name in list(os.environ):
        if name.startswith('AWS_'):
            monkeypatch.delenv(name)
    refused(check(make_nginx, s3_zone(), f's3_cache hot; {ORIGIN}\n'
                  's3_cache_origin_credentials env;\n'),
            'AWS_', 's3_cache_origin_credentials env')


def test_a_certificate_that_is_missing(make_nginx):
    code, text = check(
        make_nginx, s3_zone(), 's3_cache hot; s3_cache_origin https://127.0.0.1;'
        's3_cache_origin_ssl_trusted_certificate /does/not/exist.pem;')
    assert code == 1 and '/does/not/exist.pem' in text


def test_a_cache_without_an_origin(make_nginx):
    """A location that would never answer from S3 is a mistake."""
    refused(check(make_nginx, s3_zone(), 's3_cache hot;'), 's3_cache_origin')


def test_an_origin_may_come_from_an_outer_or_inner_level(make_nginx):
    for http, server, location in (
            (f's3_cache hot; {ORIGIN}', '', 's3_cache_headers on;'),
            ('s3_cache hot;', ORIGIN, 's3_cache_headers on;'),
            ('s3_cache hot;', '', ORIGIN),
            (ORIGIN, 's3_cache hot;', 's3_cache_headers on;'),
            (f's3_cache hot; {ORIGIN}', '', 's3_cache off;')):
        code, text = check(make_nginx, s3_zone() + http, location, server)
        assert code == 0, (http, server, location, text)


def test_no_secret_is_ever_printed(origin, make_gateway):
    """Not in the log of a running gateway either, however it fails."""
    origin.put('bkt', 'key', b'body')
    nginx = make_gateway(origin, keys=('AccessKeyId', SECRET),
                         log_level='debug')
    nginx.get('/bkt/key')
    origin.on('bkt', drop=True)
    nginx.get('/bkt/other')
    origin.stop()
    nginx.get('/bkt/another')
    log = nginx.log() + open(nginx.access_log, encoding='utf-8').read()
    assert 'http request line' in log        # the debug log is on
    assert SECRET not in log
    signature = re.search(r'Signature=(\w+)',
                          origin.requests[0].header('authorization'))
    assert signature.group(1) not in log
    with open(f'/proc/{nginx.worker_pids()[0]}/cmdline', 'rb') as f:
        assert SECRET.encode() not in f.read()


@pytest.mark.parametrize('right', [True, False])
def test_a_test_of_the_configuration_does_not_touch_the_live_zone(
        origin, make_gateway, right):
    body = pattern(100_000)
    origin.put('bkt', 'key', body)
    nginx = make_gateway(origin)
    nginx.get('/bkt/key')
    before = nginx.zone()['memory']
    workers = nginx.worker_pids()
    if right:
        nginx.pieces['http'] = s3_zone(size='128m')
    else:
        nginx.pieces['server'] += 'wrong;'
    code, text = nginx.test_conf()
    assert code == (0 if right else 1), text
    assert nginx.worker_pids() == workers
    assert all(map(process.is_alive, workers))
    after = nginx.zone()['memory']
    assert {k: v for k, v in after.items() if k != 'pins'} == \
        {k: v for k, v in before.items() if k != 'pins'}
    answer = nginx.get('/bkt/key')
    assert (answer.body, answer.getheader('X-Cache')) == (body, 'HIT')
    assert len(origin.requests) == 1


def test_a_test_of_a_huge_zone_takes_no_memory(make_nginx):
    """It maps nothing: a machine that is smaller accepts it."""
    code, text = check(make_nginx, s3_zone(size='8000g'), f's3_cache hot; '
                       f'{ORIGIN}')
    assert code == 0, text


def test_two_zones_are_apart(origin, make_nginx):
    origin.put('bkt', 'key', b'body')
    nginx = make_nginx(
        http=s3_zone('one', '16m') + s3_zone('two', '16m'),
        server=s3_location(origin.url, zone='one')
        + s3_location(origin.url, zone='two', path='/bkt/k')).start()
    origin.put('bkt', 'other', b'other')
    nginx.get('/bkt/key')
    nginx.get('/bkt/other')
    assert nginx.zone('one')['memory']['entries'] == 1
    assert nginx.zone('two')['memory']['entries'] == 1
