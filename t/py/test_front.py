# SPDX-License-Identifier: Apache-2.0
"""Connections, versions of HTTP, TLS and nginx's own modules at the front."""

import fcntl
import gzip
import re
import socket
import ssl
import subprocess
import sys
import termios

import pytest

import raw_http
from lib import nginx as nginx_lib
from lib import s3client, wait
from origin.objects import pattern
from reads import (    # noqa: F401 (gateway: a fixture)
    BLOCK, KIB, LARGE, MODE, asked, gateway, get, shown)

# --- the front: connections, versions of HTTP, TLS ---------------------------

SMUGGLED = 'GET /bucket/smuggled HTTP/1.1\r\nHost: x\r\n\r\n'
LENGTH = len(SMUGGLED)


@pytest.mark.parametrize('head, statuses', [
    # refused by nginx
    (f'Host: x\r\nContent-Length: {LENGTH}\r\nTransfer-Encoding: chunked\r\n',
     {400}),
    (f'Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: {LENGTH}\r\n',
     {400}),
    (f'Host: x\r\nContent-Length: 0\r\nContent-Length: {LENGTH}\r\n', {400}),
    (f'Host: x\r\nContent-Length: {LENGTH}\r\nContent-Length: {LENGTH}\r\n',
     {400}),
    ('Host: x\r\nContent-Length: +5\r\n', {400}),
    ('Host: x\r\nContent-Length: 5, 5\r\n', {400}),
    ('Host: x\r\nTransfer-Encoding: chunked, identity\r\n', {400, 501}),
    ('Host: x\r\nTransfer-Encoding: xchunked\r\n', {400, 501}),
    ('Host: x\r\nTransfer-Encoding: identity\r\n', {400, 501}),
    ('Host: x\r\nTransfer-Encoding: chunked\r\n'
     'Transfer-Encoding: chunked\r\n', {400}),
    ('Host: x\r\nHost: y\r\n', {400}),
    ('', {400}),
    # a body where none is expected is a body
    (f'Host: x\r\nContent-Length: {LENGTH}\r\n', {200}),
])
@pytest.mark.parametrize('target', ['/bucket/key', '/bucket/key?acl'])
def test_a_body_never_becomes_a_request(gateway, origin, head, statuses,
                                        target):
    origin.put('bucket', 'key', b'body')
    origin.put('bucket', 'smuggled', b'smuggled')
    with raw_http.Connection(gateway.port()) as c:
        c.send((f'GET {target} HTTP/1.1\r\n{head}\r\n{SMUGGLED}').encode())
        assert c.answer().status in statuses
        c.sock.shutdown(socket.SHUT_WR)
        assert c.to_end() == b''
    assert origin.requests_for(key='smuggled') == []


def test_a_chunked_body_of_a_get_is_read_over(gateway, origin):
    origin.put('bucket', 'key', b'body')
    chunked = b'%x;a=b\r\n%s\r\n0\r\nA: b\r\n\r\n' % (LENGTH,
                                                     SMUGGLED.encode())
    with raw_http.Connection(gateway.port()) as c:
        for _ in range(3):
            c.request('GET', '/bucket/key', {'Transfer-Encoding': 'chunked'},
                      chunked)
            answer = c.answer()
            assert (answer.status, answer.body) == (200, b'body')
            assert answer['Connection'] == 'keep-alive'
    assert origin.requests_for(key='smuggled') == []


@pytest.mark.parametrize('request_text', [
    'GET /bucket/key HTTP/1.1\r\nHost: x\r\nX-A: b\r\n Range: bytes=0-0\r\n',
    'GET /bucket/key HTTP/1.1\r\nHost: x\r\nRange : bytes=0-0\r\n',
    'GET /bucket/key HTTP/1.1\r\nHost: x\r\nRange\r\n',
    'GET /bucket/key HTTP/1.1\r\nHost: x\r\nx_amz_meta: a\r\n',
    'GET /bucket/key HTTP/1.1\r\nHost: x\r\nX-A: b\rRange: bytes=0-0\r\n'])
def test_odd_header_lines_mean_nothing(gateway, origin, request_text):
    origin.put('bucket', 'key', b'body')
    with raw_http.Connection(gateway.port()) as c:
        c.send((request_text + 'Connection: close\r\n\r\n').encode())
        answer = c.answer()
        assert answer.status in (200, 400)
        assert answer.status == 400 or answer.body == b'body'
        assert c.to_end() == b''


def test_the_absolute_form_names_host_and_path(make_gateway, origin):
    gateway = make_gateway(origin, location='s3_cache_domain s3.test;')
    origin.put('bucket', 'key', b'body')
    origin.put('other', 'key', b'other')
    answer = get(gateway, 'http://bucket.s3.test/key',
                 {'Host': 'other.s3.test'})
    assert answer.body == b'body'
    assert get(gateway, 'http://x/bucket/key').body == b'body'


def test_http_1_0_clients_get_a_length_or_the_end(gateway, origin):
    body = pattern(200 * KIB)
    origin.put('bucket', 'key', body)
    origin.put('bucket', 'stream', body)
    origin.on('bucket', 'stream', framing='chunked')
    for _ in range(2):
        for name in ('', 'direct'):
            with raw_http.Connection(gateway.port(name)) as c:
                c.request('GET', '/bucket/key', version='1.0')
                answer = c.answer()
                assert answer.body == body and c.to_end() == b''
                assert answer['Content-Length'] == str(len(body))
    with raw_http.Connection(gateway.port()) as c:
        c.request('GET', '/bucket/stream?acl', version='1.0')
        answer = c.answer()
        assert answer.body == body
        assert answer['Transfer-Encoding'] is None
    with raw_http.Connection(gateway.port()) as c:
        for _ in range(2):
            c.request('GET', '/bucket/key', {'Connection': 'keep-alive'},
                      version='1.0')
            assert c.answer().body == body


def test_an_answer_of_unknown_length_is_passed_on_whole(gateway, origin):
    body = pattern(300 * KIB)
    origin.put('bucket', 'key', body)
    for framing in ('chunked', 'close'):
        origin.off()
        origin.on('bucket', 'key', framing=framing, piece=10_000)
        for target in ('/bucket/key', '/bucket/key?acl'):
            for _ in range(2):
                answer = get(gateway, target)
                assert (answer.status, answer.body) == (200, body)
                assert answer['Transfer-Encoding'] == 'chunked'


MIXED = [('GET', '/bucket/key', {}, 200), ('HEAD', '/bucket/key', {}, 200),
         ('GET', '/bucket/key', {'Range': 'bytes=5-9'}, 206),
         ('HEAD', '/bucket/key', {'Range': 'bytes=5-9'}, 206),
         ('GET', '/bucket/key', {'If-None-Match': '*'}, 304),
         ('GET', '/bucket/key', {'If-Match': '"x"'}, 412),
         ('HEAD', '/bucket/key', {'If-Match': '"x"'}, 412),
         ('GET', '/bucket/key', {'Range': 'bytes=999-'}, 416),
         ('GET', '/bucket/none', {}, 404), ('HEAD', '/bucket/none', {}, 404),
         ('GET', '/bucket/key?acl', {}, 200),
         ('HEAD', '/bucket/key?acl', {}, 200),
         ('GET', '/bucket?list-type=2', {}, 200),
         ('GET', '/bucket/large', {}, 200), ('GET', '/bucket/empty', {}, 200),
         ('HEAD', '/bucket/empty', {}, 200),
         ('PUT', '/bucket/new', {}, 200), ('GET', '/b/key', {}, 400)]


@pytest.mark.parametrize('name', ['', 'direct'])
def test_one_connection_serves_all_kinds_of_answers(gateway, origin, name):
    bodies = {'/bucket/key': pattern(100), '/bucket/large': pattern(LARGE),
              '/bucket/empty': b''}
    for path, body in bodies.items():
        origin.put('bucket', path[8:], body)

    def check(answer, method, target, status):
        assert answer.status == status, (method, target)
        if status == 200 and method == 'GET' and target in bodies:
            assert answer.body == bodies[target]
        if status == 206 and method == 'GET':
            assert answer.body == bodies[target][5:10]
        assert answer['Connection'] == 'keep-alive'

    with raw_http.Connection(gateway.port(name)) as c:
        for method, target, headers, status in MIXED * 2:
            c.request(method, target, headers)
            check(c.answer(method), method, target, status)
        # and when they are asked all at once
        for method, target, headers, _ in MIXED:
            c.request(method, target, headers)
        for method, target, _, status in MIXED:
            check(c.answer(method), method, target, status)
        assert c.seen == b''


def curl(*args):
    done = subprocess.run(('curl', '-sS', '--max-time', '30') + args,
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def fronts(make_gateway, origin, authority, tmp_path):
    """A gateway with ports for h2c, TLS and h2 over TLS, each with and
    without direct_send: {name: curl's arguments}."""
    cert, key = authority.issue()
    servers, found = '', {}
    tls = f'ssl_certificate {cert}; ssl_certificate_key {key};'
    for front, listen, more, args in (
            ('h2c', 'http2', '', ['--http2-prior-knowledge']),
            ('tls', 'ssl', tls, ['--http1.1', '--cacert', authority.cert]),
            ('h2', 'ssl http2', tls, ['--http2', '--cacert',
                                      authority.cert])):
        for direct in ('off', 'on'):
            name = f'{front}_{direct}'
            servers += (
                'server { listen 127.0.0.1:@port:%s@ %s; %s %s }' % (
                    name, listen, more, nginx_lib.s3_location(
                        origin.url, more=f's3_cache_direct_send {direct}; '
                        's3_cache_block_size 64k;')))
            found[name] = args
    gateway = make_gateway(origin, http=servers)
    gateway.fronts = {
        name: (args, ('http' if 'h2c' in name else 'https')
               + f'://127.0.0.1:{gateway.port(name)}')
        for name, args in found.items()}
    return gateway


@pytest.mark.parametrize('name', [f'{front}_{direct}' for front in (
    'h2c', 'tls', 'h2') for direct in ('off', 'on')])
def test_fronts_of_http_2_and_tls_answer_the_same(fronts, origin, name,
                                                  tmp_path):
    args, url = fronts.fronts[name]
    version = '1.1' if 'tls' in name else '2'
    for size in (0, 1, 100, BLOCK, BLOCK + 1, 5_000_000):
        body = pattern(size, size)
        key = f'k{size}'
        origin.put('bucket', key, body, {'x-amz-meta-a': 'gr\udcfcn',
                                         'Content-Type': 'text/a'})
        for _ in range(3):
            said = curl(*args, '-o', str(tmp_path / 'out'), '-w',
                        '%{http_version} %{http_code} %{content_type}',
                        f'{url}/bucket/{key}')
            assert said.decode() == f'{version} 200 text/a'
            assert (tmp_path / 'out').read_bytes() == body
        head = curl(*args, '--head', f'{url}/bucket/{key}')
        assert b'gr\xfcn' in head
        assert f'content-length: {size}\r\n'.encode() in head.lower()
    whole = pattern(5_000_000, 5_000_000)
    assert curl(*args, '-r', '65530-65545', f'{url}/bucket/k5000000'
                ) == whole[65530:65546]
    assert curl(*args, '-w', '%{http_code}', '-H', 'If-None-Match: *',
                f'{url}/bucket/k1') == b'304'
    assert curl(*args, '-o', '/dev/null', '-w', '%{http_code}',
                f'{url}/bucket/none') == b'404'
    assert b'<Key>k100</Key>' in curl(*args, f'{url}/bucket?list-type=2')
    refused = curl(*args, '-w', '%{http_code}', '-X', 'PUT',
                   f'{url}/bucket/new')
    assert refused.endswith(b'411') and b'MissingContentLength' in refused


def test_streams_of_one_http_2_connection_do_not_mix(fronts, origin,
                                                     tmp_path):
    # curl 7.88 cannot share a connection of prior knowledge
    args, url = fronts.fronts['h2_off']
    targets = []
    for number in range(20):
        body = pattern(50_000 * (number % 7) + number, number)
        origin.put('bucket', f'k{number}', body)
        targets += ['-o', str(tmp_path / f'o{number}'),
                    f'{url}/bucket/k{number}']
    for _ in range(2):
        curl(*args, '--parallel', *targets)
        for number in range(20):
            assert (tmp_path / f'o{number}').read_bytes() == origin.get(
                'bucket', f'k{number}').body


def test_boto3_reads_over_tls(fronts, origin, authority):
    _, url = fronts.fronts['tls_on']
    s3 = s3client.client(url, 'A', 'S', verify=authority.cert)
    body = pattern(300_000)
    origin.put('bucket', 'key', body)
    for _ in range(2):
        assert s3.get_object(Bucket='bucket', Key='key')['Body'].read() == body


def test_tls_connections_are_kept(fronts, origin, authority):
    body = pattern(100_000)
    origin.put('bucket', 'key', body)
    context = ssl.create_default_context(cafile=authority.cert)
    for name in ('tls_off', 'tls_on'):
        with raw_http.Connection(fronts.port(name), tls=context) as c:
            for _ in range(5):
                assert c.request('GET', '/bucket/key').answer().body == body


# --- nginx's own modules, and the short way past them ------------------------

def test_nginxs_own_directives_work(make_gateway, origin):
    body = b'0123456789' * 5000
    etag = origin.put('bucket', 'key', body, {'Content-Type': 'text/a'}).etag
    gateway = make_gateway(origin, location='''
        gzip on; gzip_types text/a; gzip_min_length 1; gzip_proxied any;
        add_header X-Added "by $s3_cache_bucket/$s3_cache_key" always;
        limit_rate 500k; s3_cache_direct_send off;''')
    for _ in range(2):
        answer = get(gateway, '/bucket/key', {'Accept-Encoding': 'gzip'})
        assert answer['Content-Encoding'] == 'gzip'
        assert answer['ETag'] == f'W/{etag}'
        assert gzip.decompress(answer.body) == body
        assert answer['X-Added'] == 'by bucket/key'
        answer = get(gateway, '/bucket/key')
        assert answer['Content-Encoding'] is None and answer.body == body
        assert answer['X-Added'] == 'by bucket/key'
        assert get(gateway, '/bucket/none')['X-Added'] == 'by bucket/none'
    # what is stored is not what gzip made of it
    assert len(origin.requests_for(key='key')) == 1


def test_expires_and_sub_filter_work(make_gateway, origin):
    origin.put('bucket', 'key', b'a cat', {'Content-Type': 'text/html'})
    gateway = make_gateway(origin, location='''
        expires 1h; sub_filter cat dog; sub_filter_last_modified on;''')
    for _ in range(2):
        answer = get(gateway, '/bucket/key')
        assert answer.body == b'a dog'
        assert answer['Cache-Control'] == 'max-age=3600'


def test_a_rate_limit_is_kept_to_with_direct_send(make_gateway, origin):
    body = pattern(60_000)
    origin.put('bucket', 'key', body)
    gateway = make_gateway(origin, location='s3_cache_direct_send on; '
                           'limit_rate 200k; add_header X-Added yes;')
    for _ in range(2):
        answer = get(gateway, '/bucket/key')
        # nginx's filters are those who limit
        assert answer.body == body and answer['X-Added'] == 'yes'


@pytest.mark.parametrize('size', [0, 1, 4096, BLOCK - 1, BLOCK, BLOCK + 1,
                                  LARGE])
def test_direct_send_gives_the_same_bytes(gateway, origin, size):
    body = pattern(size)
    origin.put('bucket', 'key', body, {
        'x-amz-meta-a': 'b', 'Content-Type': 'text/a', 'Expires': '0',
        'Content-Encoding': 'gzip', 'x-amz-checksum-sha256': 'a=='})
    for headers in ({}, MODE, {'Range': 'bytes=0-5'}, {'Range': 'bytes=-3'},
                    {'If-None-Match': '*'}, {'If-Match': '"x"'},
                    {'Accept-Encoding': 'gzip'}):
        for method in ('GET', 'HEAD'):
            plain = get(gateway, '/bucket/key', headers, method)
            for _ in range(2):
                direct = get(gateway, '/bucket/key', headers, method,
                             name='direct')
                assert direct.status == plain.status
                assert re.sub(b'<RequestId>.*</RequestId>', b'',
                              direct.body) == re.sub(
                                  b'<RequestId>.*</RequestId>', b'',
                                  plain.body)
                assert shown(direct) == shown(plain)


def test_server_tokens_are_those_of_nginx(make_gateway, origin):
    origin.put('bucket', 'key', b'body')
    for direct in ('off', 'on'):
        gateway = make_gateway(
            origin, location=f's3_cache_direct_send {direct};',
            server='server_tokens off; keepalive_timeout 60 55;')
        with raw_http.Connection(gateway.port()) as c:
            for _ in range(2):
                answer = c.request('GET', '/bucket/key').answer()
                assert answer['Server'] == 'nginx'
                assert answer['Keep-Alive'] == 'timeout=55'


def test_a_slow_reader_gets_all_of_its_direct_answers(gateway, origin):
    """More than sockets hold, read when the gateway can send no more."""
    body = pattern(BLOCK)
    origin.put('bucket', 'key', body)
    get(gateway, '/bucket/key', name='direct')
    count = 400
    with raw_http.Connection(gateway.port('direct')) as c:
        for _ in range(count):
            c.request('GET', '/bucket/key')

        def waiting():
            size = fcntl.ioctl(c.sock, termios.FIONREAD, b'    ')
            return int.from_bytes(size, sys.byteorder)

        wait.until(lambda: waiting() >= BLOCK // 2, 'answers in the socket')
        for _ in range(count):
            assert c.answer().body == body
