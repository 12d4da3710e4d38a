# SPDX-License-Identifier: Apache-2.0
"""Where nginx itself comes between a client and the cache: subrequests,
internal redirects, limits, slow sockets, other requests on the same worker."""

import os
import socket
import subprocess

import pytest

import raw_http
from lib import nginx as nginx_lib
from lib import wait
from origin.objects import pattern

MIB = 1 << 20
A, B = pattern(MIB + 7), pattern(2 * MIB + 3)[::-1]


@pytest.fixture
def site(make_nginx, origin):
    """A site of files (on the main port) beside the cache; `page` is
    /page.html, in which SSI works, `server` more of the server."""
    def make(page='', server='', location='', **more):
        nginx = make_nginx(
            http=nginx_lib.s3_zone(),
            server='root @dir@/html;'
            'location = /page.html { ssi on; }' + server
            + nginx_lib.s3_location(
                origin.url, more='s3_cache_block_size 64k;' + location),
            **more)
        os.makedirs(f'{nginx.dir}/html', 0o755)
        for name, text in (('page.html', page), ('auth.txt', 'allowed')):
            with open(f'{nginx.dir}/html/{name}', 'w',
                      encoding='ascii') as f:
                f.write(text)
        os.chmod(f'{nginx.dir}/html', 0o755)
        origin.put('bucket', 'a', A)
        origin.put('bucket', 'b', B)
        return nginx.start()
    return make


def get(nginx, target, headers=(), name=''):
    return raw_http.ask(nginx.port(name), 'GET', target, headers)


INCLUDES = ('x<!--# include virtual="/bucket/a" -->y'
            '<!--# include virtual="/bucket/b" -->z')
PAGE = b'x' + A + b'y' + B + b'z'


@pytest.mark.parametrize('passed', [False, True])
def test_included_objects_wait_for_their_turn(site, passed):
    # the second is read while the first is being sent: nginx keeps the
    # buffers of who has to wait, and says NGX_OK
    nginx = site(INCLUDES)
    headers = {'Origin': 'http://x'} if passed else {}
    for _ in range(3):
        answer = get(nginx, '/page.html', headers)
        assert answer.status == 200
        assert answer.body == PAGE
    nginx.check_accounting()


def test_a_slow_reader_of_a_page_gets_all_of_it(site):
    nginx = site(INCLUDES)
    assert get(nginx, '/page.html').body == PAGE
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(30)
        sock.connect(('127.0.0.1', nginx.port()))
        sock.sendall(b'GET /page.html HTTP/1.0\r\n\r\n')
        got = b''.join(iter(lambda: sock.recv(1 << 16), b''))
    assert got.partition(b'\r\n\r\n')[2] == PAGE
    nginx.check_accounting()


def test_a_client_that_leaves_a_page_leaves_nothing(site, origin):
    nginx = site(INCLUDES)
    gate = origin.gate(at=100_000)
    origin.on('bucket', 'b', gate=gate)
    with raw_http.Connection(nginx.port()) as client:
        client.request('GET', '/page.html')
        gate.wait_reached()
    gate.open()
    nginx.check_accounting()
    assert get(nginx, '/bucket/b').body == B


@pytest.mark.parametrize('passed', [False, True])
def test_conditions_of_a_page_are_not_those_of_its_parts(site, passed):
    nginx = site(INCLUDES)
    tag = get(nginx, '/bucket/a')['ETag']
    headers = {'Range': 'bytes=5-9', 'If-None-Match': tag}
    if passed:
        headers['Origin'] = 'http://x'
    for _ in range(2):
        answer = get(nginx, '/page.html', headers)
        assert (answer.status, answer.body) == (200, PAGE)


def test_a_subrequest_may_decide_who_is_allowed(site, origin):
    nginx = site(server='location = /auth.txt { auth_request /bucket/a; }'
                 'location = /no { auth_request /bucket/missing; }')
    for _ in range(2):
        assert get(nginx, '/auth.txt').body == b'allowed'
    assert get(nginx, '/no').status == 500      # a 404 is no yes
    assert {r.target for r in origin.requests} == {'/bucket/a',
                                                   '/bucket/missing'}
    nginx.check_accounting()


def test_a_mirrored_request_asks_for_its_own_uri(site, origin):
    nginx = site(server='location = /auth.txt { mirror /bucket/b; }')
    with raw_http.Connection(nginx.port()) as client:
        for _ in range(2):
            client.request('GET', '/auth.txt')
            assert client.answer().body == b'allowed'
    assert origin.wait_requests(1)[0].target == '/bucket/b'
    nginx.check_accounting()


@pytest.mark.parametrize('direct', ['off', 'on'])
def test_an_error_page_may_be_an_object(site, origin, direct):
    nginx = site(server='location = /gone { error_page 404 /bucket/sorry;'
                 ' return 404; }',
                 location=f's3_cache_direct_send {direct};')
    origin.put('bucket', 'sorry', b'sorry')
    for _ in range(3):
        answer = get(nginx, '/gone?acl')
        assert (answer.status, answer.body) == (404, b'sorry')


def test_what_a_rewrite_made_is_what_is_read(site, origin):
    nginx = site(server=r'location /rw/ { rewrite ^/rw(/.*)$ $1 last; }')
    origin.put('bucket', 'a +%b?', b'rewritten')
    answer = get(nginx, '/rw/bucket/a%20+%25b%3f')
    assert (answer.status, answer.body) == (200, b'rewritten')
    assert get(nginx, '/bucket/a%20+%25b%3f')['X-Cache'] == 'HIT'
    # the query goes with it
    get(nginx, '/rw/bucket/a?acl')
    assert origin.requests[-1].target == '/bucket/a?acl'


def test_an_absolute_uri_without_a_path_is_the_root(site, origin):
    nginx = site()
    with raw_http.Connection(nginx.port()) as client:
        client.request('GET', 'http://127.0.0.1?list-type=2')
        assert client.answer().status == 200
    assert origin.requests[-1].target == '/?list-type=2'


def test_a_part_is_never_passed_without_its_if_range(site):
    nginx = site()
    for more in ({}, {'Origin': 'http://x'}):
        answer = get(nginx, '/bucket/a', {'Range': 'bytes=5-9',
                                          'If-Range': '"other"', **more})
        assert (answer.status, answer.body) == (200, A)
        answer = get(nginx, '/bucket/a', {'Range': 'bytes=5-9', **more})
        assert (answer.status, answer.body) == (206, A[5:10])


@pytest.mark.parametrize('passed', [False, True])
@pytest.mark.parametrize('http', [[], ['--http2-prior-knowledge']])
def test_a_limited_rate_is_no_standstill(make_nginx, origin, http, passed):
    # all is taken and a delay is on: its timer is all that goes on from there
    origin.put('bucket', 'b', B)
    more = 'limit_rate 40m;'
    nginx = make_nginx(
        http=nginx_lib.s3_zone(),
        server=nginx_lib.s3_location(origin.url, more=more)
        + '} server { listen 127.0.0.1:@port:h2@ http2; '
        + nginx_lib.s3_location(origin.url, more=more)).start()
    headers = ['-H', 'Origin: http://x'] if passed else []
    for _ in range(2):
        got = subprocess.run(
            ['curl', '-sS', *http, *headers,
             nginx.url('/bucket/b', 'h2' if http else '')],
            stdout=subprocess.PIPE, timeout=30, check=True).stdout
        assert got == B


def test_variables_are_those_of_their_own_request(make_nginx, origin):
    """A value that was asked for early (add_header) is kept until the log,
    while other requests come and go."""
    body = pattern(500_000)       # one window, more than the socket takes
    origin.put('bucket', 'first', body)
    origin.put('another-bucket', '2nd', b'2')
    nginx = make_nginx(
        workers=1,
        http=nginx_lib.s3_zone()
        + "log_format k '$s3_cache_bucket/$s3_cache_key';"
        'add_header X-Name $s3_cache_bucket/$s3_cache_key;'
        'access_log @dir@/k.log k;',
        server='} server { listen 127.0.0.1:@port:slow@ sndbuf=8k;'
        + nginx_lib.s3_location(origin.url)
        + '} server { listen 127.0.0.1:@port:fast@;'
        + nginx_lib.s3_location(origin.url)).start()

    for _ in range(2):
        assert get(nginx, '/bucket/first', name='fast').body == body
        assert get(nginx, '/another-bucket/2nd', name='fast').body == b'2'
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(30)
        sock.connect(('127.0.0.1', nginx.port('slow')))
        sock.sendall(b'GET /bucket/first HTTP/1.0\r\n\r\n')
        got = sock.recv(1)
        assert get(nginx, '/another-bucket/2nd', name='fast').body == b'2'
        got += b''.join(iter(lambda: sock.recv(1 << 16), b''))
    assert got.endswith(body)

    def lines():
        with open(f'{nginx.dir}/k.log', encoding='utf-8') as f:
            found = f.read().split()
        return found if len(found) == 6 else None

    assert wait.until(lines, 'log') == [
        'bucket/first', 'another-bucket/2nd'] * 2 + [
        'another-bucket/2nd', 'bucket/first']
