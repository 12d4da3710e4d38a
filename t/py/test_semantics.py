# SPDX-License-Identifier: Apache-2.0
"""What a read means, before an origin that tells what it was asked."""

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
from origin.scripted_origin import ScriptedOrigin

KIB = 1024
CACHED = ('HIT', 'SHARED')       # SHARED: its fill is not closed yet
SIGNED = {'Authorization': 'AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/'
          's3/aws4_request, SignedHeaders=host, Signature=' + '0' * 64}
GENERATED = {'date', 'server', 'connection', 'x-cache', 'age',
             'x-amz-request-id'}


@pytest.fixture
def gateway(make_gateway, origin):
    """Blocks of 64 KiB; the same with s3_cache_direct_send on port(direct)
    from a zone of its own."""
    return make_gateway(
        origin, location='s3_cache_block_size 64k;',
        http=nginx_lib.s3_zone('direct') +
        'server { listen 127.0.0.1:@port:direct@; lingering_timeout 50ms; '
        + nginx_lib.s3_location(
            origin.url, zone='direct',
            more='s3_cache_direct_send on; s3_cache_block_size 64k;') + '}',
        server='lingering_timeout 50ms;')


def get(gateway, target, headers=(), method='GET', name='', **more):
    return raw_http.ask(gateway.port(name), method, target, headers, **more)


def asked(origin, **which):
    """[(method, target, range)] that the origin was asked for."""
    return [(r.method, r.target, r.header('range'))
            for r in origin.requests_for(**which)]


def shown(answer):
    return sorted((k.lower(), v) for k, v in answer.headers
                  if k.lower() not in GENERATED)


# --- checksums ---------------------------------------------------------------

MODE = {'x-amz-checksum-mode': 'ENABLED'}
SUMS = {'x-amz-checksum-sha256': 'abc/+=-7', 'x-amz-checksum-type':
        'COMPOSITE', 'x-amz-checksum-xxhash128': 'a=='}


@pytest.mark.parametrize('name', ['', 'direct'])
@pytest.mark.parametrize('size', [100, 200 * KIB])
def test_checksums_are_shown_to_who_asks_for_them(gateway, origin, name,
                                                   size):
    # an origin that sends them always
    origin.put('bucket', 'key', pattern(size), SUMS)

    def sums(**more):
        found = get(gateway, '/bucket/key', name=name, **more)
        assert found.status in (200, 206)
        return {k.lower(): v for k, v in found.headers
                if k.lower().startswith('x-amz-checksum-')}

    for _ in range(2):
        assert sums() == {}
        for method in ('GET', 'HEAD'):
            # byte by byte, the suffix of a composite one, too
            assert SUMS.items() <= sums(method=method, headers=MODE).items()
        assert sums(headers={'X-AMZ-CHECKSUM-MODE': 'enabled'})
        assert sums(headers={'x-amz-checksum-mode': 'DISABLED'}) == {}


@pytest.mark.parametrize('method', ['GET', 'HEAD'])
def test_a_ranged_answer_shows_no_checksum(gateway, origin, method):
    origin.put('bucket', 'key', pattern(200 * KIB), SUMS)
    ranged = dict(MODE, Range='bytes=0-9')
    for _ in range(2):
        answer = get(gateway, '/bucket/key', ranged, method)
        assert answer.status == 206
        assert 'x-amz-checksum' not in str(answer.names())
    # nor does what it brought stand for the whole
    answer = get(gateway, '/bucket/key', MODE, method)
    assert answer.status == 200
    assert answer['x-amz-checksum-sha256'] == SUMS['x-amz-checksum-sha256']
    answer = get(gateway, '/bucket/key', ranged, method)
    assert 'x-amz-checksum' not in str(answer.names())


def test_a_presigner_may_ask_for_checksums_in_the_query(gateway, origin):
    obj = origin.put('bucket', 'key', b'body')
    answer = get(gateway, '/bucket/key?x-amz-checksum-mode=ENABLED')
    assert answer['x-amz-checksum-crc32'] == obj.checksum()
    assert get(gateway, '/bucket/key')['x-amz-checksum-crc32'] is None
    assert len(origin.requests) == 1
    assert '?' not in origin.requests[0].target


# --- response-* --------------------------------------------------------------

def test_overrides_of_anonymous_clients_are_refused(gateway, origin):
    origin.put('bucket', 'key', b'body')
    for name in ('cache-control', 'content-disposition', 'content-encoding',
                 'content-language', 'content-type', 'expires'):
        answer = get(gateway, f'/bucket/key?response-{name}=x')
        assert answer.status == 400
        assert answer.element('Code') == 'InvalidRequest'
        assert answer.element('Message') == (
            'Request specific response headers cannot be used for anonymous '
            'GET requests.')
    assert origin.requests == []


@pytest.mark.parametrize('signed', [
    ('', SIGNED),
    ('&X-Amz-Credential=A&X-Amz-Signature=0', {}),
    ('&AWSAccessKeyId=A&Signature=0&Expires=9', {})])
def test_overrides_are_neither_stored_nor_sent_on(gateway, origin, signed):
    origin.put('bucket', 'key', b'body', {'Content-Type': 'text/a',
                                          'Cache-Control': 'no-cache'})
    query, headers = signed
    target = ('/bucket/key?response-content-type=text%2Fb'
              '&response-cache-control=a%2Cb%3D%22c%22+d' + query)
    for _ in range(2):
        answer = get(gateway, target, headers)
        assert answer.body == b'body'
        assert answer['Content-Type'] == 'text/b'
        assert answer['Cache-Control'] == 'a,b="c" d'
        answer = get(gateway, '/bucket/key')
        assert answer['Content-Type'] == 'text/a'
        assert answer['Cache-Control'] == 'no-cache'
        assert answer['X-Cache'] in CACHED
    assert asked(origin) == [('GET', '/bucket/key', None)]


def test_overrides_do_not_reach_the_origin_of_a_pass(gateway, origin):
    origin.put('bucket', 'key', b'body')
    answer = get(gateway, '/bucket/key?partNumber=1&response-content-type='
                 'text%2Fb', SIGNED)
    assert answer['Content-Type'] == 'text/b'
    assert [r.target for r in origin.requests] == [
        '/bucket/key?partNumber=1']


# --- what is passed on -------------------------------------------------------

SSE_C = {'x-amz-server-side-encryption-customer-algorithm': 'AES256',
         'x-amz-server-side-encryption-customer-key': 'a2V5',
         'x-amz-server-side-encryption-customer-key-MD5': 'bWQ1'}
PASSED = {
    'sse-c': ('', SSE_C),
    'sse': ('', {'x-amz-server-side-encryption': 'AES256'}),
    'request-payer': ('', {'x-amz-request-payer': 'requester'}),
    'expected-owner': ('', {'x-amz-expected-bucket-owner': '123'}),
    'origin': ('', {'Origin': 'http://a'}),
    'unknown-query': ('unknown=1', {}), 'unknown-bare': ('unknown', {}),
    'acl': ('acl', {}), 'acl-with-value': ('acl=x', {}),
    'tagging': ('tagging', {}), 'torrent': ('torrent', {}),
    'attributes': ('attributes', {'x-amz-object-attributes': 'ETag'}),
    'upload-id': ('uploadId=a%2Fb', {}), 'part': ('partNumber=1', {}),
    'other-case': ('VersionId=1', {}), 'escaped-name': ('%61cl', {}),
    'known-and-unknown': ('x-id=GetObject&foo', {}),
}


@pytest.mark.parametrize('what', PASSED)
@pytest.mark.parametrize('method', ['GET', 'HEAD'])
def test_what_must_not_be_cached_goes_to_the_origin_each_time(
        gateway, origin, what, method):
    query, headers = PASSED[what]
    body = pattern(1000)
    origin.put('bucket', 'key', body)
    assert get(gateway, '/bucket/key')['X-Cache'] == 'MISS'
    target = '/bucket/key' + ('?' + query if query else '')
    origin.requests.clear()
    for count in (1, 2):
        answer = get(gateway, target, headers, method)
        assert answer['X-Cache'] == 'BYPASS' and answer['Age'] is None
        assert answer.body == (body if method == 'GET' else b'')
        assert len(origin.requests) == count
    for request in origin.requests:
        assert request.method == method
        wanted = target.replace('x-id=GetObject&', '')
        assert request.target == wanted
        for name, value in headers.items():
            assert request.header(name) == value
    # and what it brought was not kept
    other = get(gateway, '/bucket/other' + target[len('/bucket/key'):],
                headers, method)
    assert other.status == 404
    origin.put('bucket', 'other', body)
    assert get(gateway, '/bucket/other')['X-Cache'] == 'MISS'


def test_an_answer_with_a_customers_key_is_not_stored(gateway, origin):
    origin.put('bucket', 'key', b'body', {
        'x-amz-server-side-encryption-customer-algorithm': 'AES256'})
    for _ in range(2):
        answer = get(gateway, '/bucket/key')
        assert (answer.status, answer.body) == (200, b'body')
        assert answer['X-Cache'] == 'BYPASS'


def test_a_hoisted_header_is_a_header_again(gateway, origin):
    origin.put('bucket', 'key', b'body')
    answer = get(gateway, '/bucket/key?x-amz-request-payer=requester'
                 '&x-amz-meta-a=b&x-rgw-auth=yes&X-Amz-Signature=0'
                 '&X-Amz-Credential=A')
    assert answer.body == b'body'
    request, = origin.requests
    assert request.header('x-amz-request-payer') == 'requester'
    assert request.header('x-amz-meta-a') is None
    assert 'X-Amz' not in request.target and 'x-amz' not in request.target


HOSTILE = {
    'Authorization': 'AWS client:secret', 'Cookie': 'session=secret',
    'x-rgw-auth': 'yes', 'x-minio-source': 'x', 'x-amz-cache': 'x',
    'x-amz-copy-source': '/b/k', 'x-amz-acl': 'public-read',
    'x-amz-meta-a': 'b', 'x-amz-tagging': 'a=b', 'x-amz-date': '20260101',
    'x-amz-content-sha256': 'x', 'x-amz-security-token': 'secret',
    'X-Forwarded-For': '1.2.3.4', 'X-Forwarded-Host': 'evil',
    'Forwarded': 'for=x', 'X-HTTP-Method-Override': 'DELETE',
    'x-container-read': 'x', 'Accept-Encoding': 'gzip', 'Accept': 'x',
    'User-Agent': 'client', 'Referer': 'http://secret', 'TE': 'trailers',
    'Via': '1.1 x', 'amz-sdk-invocation-id': 'x', 'If-Range': '"x"',
    'x-amz-user-agent': 'x', 'Proxy-Authorization': 'x', 'X-Real-IP': 'x',
    'Cache-Control': 'max-age=3', 'Content-Type': 'x', 'Upgrade': 'h2c',
}
OURS = {'host', 'user-agent', 'accept-encoding', 'connection', 'range',
        'if-match', 'x-amz-checksum-mode', 'x-amz-date',
        'x-amz-content-sha256', 'authorization'}


@pytest.mark.parametrize('target', [
    '/bucket/key', '/bucket/key?acl', '/bucket?list-type=2',
    '/bucket/key?partNumber=1'])
@pytest.mark.parametrize('method', ['GET', 'HEAD'])
def test_no_other_header_of_a_client_reaches_the_origin(
        make_gateway, target, method):
    with ScriptedOrigin(secrets={'OURS': 'our-secret'}) as origin:
        origin.put('bucket', 'key', pattern(200 * KIB))
        gateway = make_gateway(origin, keys=('OURS', 'our-secret'),
                               location='s3_cache_block_size 64k;')
        for extra in ({}, {'Range': 'bytes=70000-'},
                      {'If-None-Match': '"x"'}):
            if extra and 'partNumber' in target:
                continue
            answer = get(gateway, target, dict(HOSTILE, **extra), method)
            assert answer.status in (200, 206)
        for request in origin.requests:
            assert request.signer == 'OURS'
            names = {k.lower() for k, _ in request.headers}
            passed = {'if-none-match'} if '?' in target else set()
            assert names <= OURS | passed
            assert b'secret' not in request.head.replace(
                b'our-secret', b'') and b'client' not in request.head
            assert len(names) == len(request.headers)


# --- HEAD --------------------------------------------------------------------

@pytest.mark.parametrize('size', [0, 100, 64 * KIB, 200 * KIB])
def test_head_asks_for_a_head_and_get_for_the_body(gateway, origin, size):
    body = pattern(size)
    origin.put('bucket', 'key', body, {'x-amz-meta-a': 'b'})
    heads = [get(gateway, '/bucket/key', method='HEAD') for _ in range(2)]
    assert asked(origin) == [('HEAD', '/bucket/key', None)]
    assert heads[0]['X-Cache'] == 'MISS' and heads[1]['X-Cache'] in CACHED
    answer = get(gateway, '/bucket/key')
    assert answer.body == body
    assert shown(heads[0]) == shown(heads[1]) == shown(answer)
    assert answer['Content-Length'] == str(size)
    # now it is all there
    origin.requests.clear()
    assert get(gateway, '/bucket/key').body == body
    assert shown(get(gateway, '/bucket/key', method='HEAD')) == shown(answer)
    assert origin.requests == []


def test_head_of_what_a_get_brought_asks_nothing(gateway, origin):
    origin.put('bucket', 'key', pattern(200 * KIB))
    answer = get(gateway, '/bucket/key')
    origin.wait_requests(1, done=True)
    count = len(origin.requests)
    head = get(gateway, '/bucket/key', method='HEAD')
    assert head['X-Cache'] in CACHED and shown(head) == shown(answer)
    assert len(origin.requests) == count


def test_an_origin_that_answers_head_with_a_body_poisons_nobody(
        gateway, origin):
    origin.put('bucket', 'key', b'0123456789')
    origin.put('bucket', 'other', b'other')
    origin.on('bucket', 'key', method='HEAD', head_body=True)
    for target in ('/bucket/key?acl', '/bucket/key', '/bucket/key?acl'):
        answer = get(gateway, target, method='HEAD')
        assert (answer.status, answer.body, answer.rest) == (200, b'', b'')
        # a kept connection on which something comes unasked is closed
        wait.until(lambda: origin.open == 0, 'the end of the connection')
        for _ in range(4):
            answer = get(gateway, '/bucket/other?acl')
            assert (answer.status, answer.body) == (200, b'other')
        origin.close_connections()


@pytest.mark.parametrize('target', [
    '/bucket/key?acl', '/bucket/key?tagging=1',
    '/bucket?acl', '/bucket/?policy'])
def test_a_head_that_may_bring_a_body_keeps_no_connection(gateway, origin,
                                                          target):
    """An RGW answers HEAD of a sub-resource with its document: who is next
    on that connection would read it as the answer to his own request."""
    origin.put('bucket', 'key', b'body')
    assert get(gateway, target, method='HEAD').status == 200
    assert get(gateway, '/bucket/key?acl').body == b'body'
    first, second = origin.requests
    assert first.header('connection') == 'close'
    assert first.connection != second.connection


# --- headers as they are -----------------------------------------------------

RAW_HEADERS = [
    (b'x-amz-meta-UPPER-Case', b'Value'), (b'ETag', b'"e-1"'),
    (b'x-amz-meta-rfc2047', b'=?UTF-8?Q?gr=C3=BCn?='),
    (b'x-amz-meta-obs-text', b'gr\xfcn \x80\xff'),
    (b'x-amz-meta-utf8', 'grün €'.encode()),
    (b'Last-Modified', b'Tue, 14 Nov 2023 22:13:20 GMT'),
    (b'x-amz-meta-inner', b'a  b\t c'), (b'x-amz-meta-empty', b''),
    (b'Content-Type', b'Text/X; A="b;c"'), (b'Expires', b'not a date'),
    (b'x-amz-meta-twice', b'1'), (b'Content-Disposition', b'inline;a=\xe4'),
    (b'x-amz-meta-twice', b'2'), (b'x-amz-version-id', b'v.1_-'),
    (b'Cache-Control', b'private, no-store, max-age=0'),
    (b'X-Amz-Storage-Class', b'STANDARD_IA'),
    (b'x-amz-restore', b'ongoing-request="false"'),
    (b'x-amz-a-header-of-2030', b'yes'), (b'x-amz-tagging-count', b'3'),
    (b'Accept-Ranges', b'bytes'),
]
NOT_KEPT = [
    (b'x-amz-id-2', b'theirs'), (b'x-amz-request-id', b'THEIRS'),
    (b'Set-Cookie', b'a=b'), (b'Vary', b'Origin'), (b'Age', b'77'),
    (b'Access-Control-Allow-Origin', b'*'), (b'Via', b'1.1 them'),
    (b'X-Cache', b'Hit from them'), (b'Keep-Alive', b'timeout=5'),
    (b'x-amz-request-charged', b'requester'), (b'Server', b'theirs'),
]


def raw_answer(headers, body=b'0123456789', status=b'200 OK'):
    return (b'HTTP/1.1 ' + status + b'\r\n'
            + b''.join(b'%s: %s\r\n' % h for h in headers)
            + b'Content-Length: %d\r\n\r\n' % len(body) + body)


@pytest.mark.parametrize('name', ['', 'direct'])
def test_stored_headers_are_those_of_the_origin_byte_by_byte(
        gateway, origin, name):
    mixed = [h for pair in zip(RAW_HEADERS, NOT_KEPT) for h in pair]
    mixed += RAW_HEADERS[len(NOT_KEPT):]
    origin.on('bucket', 'key', raw=raw_answer(mixed))
    wanted = [(k.decode(), v.decode('latin-1')) for k, v in RAW_HEADERS]
    for number in range(3):
        answer = get(gateway, '/bucket/key', name=name)
        assert answer.body == b'0123456789'
        found = [h for h in answer.headers
                 if h[0].lower() not in GENERATED | {'content-length'}]
        if number == 0 or not name:
            # nginx puts its own first
            assert found[0][0] == 'Content-Type'
            assert sorted(found) == sorted(wanted)
            assert found[1:] == [h for h in wanted if h[0] != 'Content-Type']
        else:
            assert found == wanted
        assert answer['Server'].startswith('nginx')
        assert answer['x-amz-request-id'] != 'THEIRS'
        assert answer['Age'] == '0' or number
    assert len(origin.requests) == 1


def test_each_answer_has_a_request_id_of_its_own(gateway, origin):
    origin.put('bucket', 'key', b'body')
    ids = [get(gateway, '/bucket/key')['x-amz-request-id'] for _ in range(20)]
    assert len(set(ids)) == 20


def test_large_header_sets_are_stored_and_sent(gateway, origin):
    many = {f'x-amz-meta-n{i:03}': 'v' * 100 for i in range(100)}
    origin.put('bucket', 'many', b'body', many)
    long = {'x-amz-meta-long': 'v' * 20_000}
    origin.put('bucket', 'long', b'body', long)
    for key, headers in (('many', many), ('long', long)):
        for name in ('', 'direct'):
            for result in (('MISS',), CACHED):
                answer = get(gateway, f'/bucket/{key}', name=name)
                assert answer['X-Cache'] in result
                assert answer.body == b'body'
                assert headers.items() <= dict(answer.headers).items()


def test_requests_of_many_headers_are_read_or_refused(gateway, origin):
    origin.put('bucket', 'key', b'body')
    many = [(f'x-a-{i}', 'v' * 50) for i in range(90)]
    assert get(gateway, '/bucket/key', many).body == b'body'
    # the last of them counts
    assert get(gateway, '/bucket/key', many
               + [('Range', 'bytes=1-2')]).body == b'od'
    answer = get(gateway, '/bucket/key', many * 2)
    assert answer.status == 400
    assert answer.element('Code') == 'InvalidRequest'


def test_the_caches_own_headers_can_be_turned_off(make_gateway, origin):
    origin.put('bucket', 'key', b'body')
    for direct in ('off', 'on'):
        gateway = make_gateway(origin, location='s3_cache_headers off; '
                               f's3_cache_direct_send {direct};')
        for target in ('/bucket/key', '/bucket/key', '/bucket/key?acl',
                       '/bucket/none', '/bucket/key?versionId='):
            names = get(gateway, target).names()
            assert 'x-cache' not in names and 'age' not in names


# --- errors ------------------------------------------------------------------

@pytest.mark.parametrize('target, headers, status, code', [
    ('/bucket/none', {}, 404, 'NoSuchKey'),
    ('/none/key', {}, 404, 'NoSuchBucket'),
    ('/bucket/none?acl', {}, 404, 'NoSuchKey'),
    ('/bucket/key', {'If-Match': '"x"'}, 412, 'PreconditionFailed'),
    ('/bucket/key', {'Range': 'bytes=99-'}, 416, 'InvalidRange'),
    ('/bucket/key?partNumber=0', {}, 400, 'InvalidArgument'),
    ('/b/key', {}, 400, 'InvalidBucketName'),
    ('/bucket/%FF', {}, 400, 'InvalidURI'),
    ('/bucket/forbidden', {}, 403, 'AccessDenied')])
def test_an_error_names_its_request_twice(gateway, origin, target, headers,
                                          status, code):
    origin.put('bucket', 'key', b'body')
    origin.on('bucket', 'forbidden', error=(403, 'AccessDenied'))
    for _ in range(2):
        answer = get(gateway, target, headers)
        assert answer.status == status
        assert answer['Content-Type'] == 'application/xml'
        assert answer.element('Code') == code
        assert answer.element('RequestId') == answer['x-amz-request-id']
        head = get(gateway, target, headers, 'HEAD')
        assert (head.status, head.body, head.rest) == (status, b'', b'')
        assert head['Content-Type'] == 'application/xml'
        assert head['x-amz-request-id']


def test_errors_escape_what_a_client_said(gateway, origin):
    origin.put('bucket', "<a&'b>", b'x')
    answer = get(gateway, "/bucket/%3Ca%26'b%3E?partNumber=%3Cx%3E&a=<b>\"'")
    body = answer.body.decode()
    assert answer.status == 400
    assert '<b>' not in body and '&lt;b&gt;' in body and '&amp;a=' in body


@pytest.mark.parametrize('valid, requests', [
    ('200 206 404 1m', 1), ('200 206 1m', 3), ('any 1m', 1), ('1m', 3)])
def test_a_404_is_kept_as_long_as_s3_cache_valid_says(
        make_gateway, origin, valid, requests):
    origin.bucket('bucket')
    gateway = make_gateway(origin, valid=valid)
    answers = [get(gateway, '/bucket/none') for _ in range(3)]
    assert {a.status for a in answers} == {404}
    assert {a.element('Code') for a in answers} == {'NoSuchKey'}
    assert len(origin.requests) == requests
    results = [a['X-Cache'] for a in answers]
    assert results[0] == 'MISS'
    assert (results[1] in CACHED) == (requests == 1)


def test_a_kept_404_is_asked_again_by_no_cache_and_gives_way(
        make_gateway, origin):
    origin.bucket('bucket')
    gateway = make_gateway(origin, valid='200 404 1h')
    assert get(gateway, '/bucket/key').status == 404
    origin.put('bucket', 'key', b'body')
    assert get(gateway, '/bucket/key').status == 404
    answer = get(gateway, '/bucket/key', {'Cache-Control': 'no-cache'})
    assert (answer.status, answer.body) == (200, b'body')
    answer = get(gateway, '/bucket/key')
    assert answer.body == b'body' and answer['X-Cache'] in CACHED


@pytest.mark.parametrize('status, code', [
    (403, 'AccessDenied'), (400, 'InvalidArgument'), (405, 'MethodNotAllowed'),
    (501, 'NotImplemented')])
def test_other_errors_are_never_kept(make_gateway, origin, status, code):
    gateway = make_gateway(origin, valid='any 1h')
    origin.on('bucket', 'key', error=(status, code))
    for count in (1, 2, 3):
        answer = get(gateway, '/bucket/key')
        assert (answer.status, answer.element('Code')) == (status, code)
        assert len(origin.requests) == count
    origin.off()
    origin.put('bucket', 'key', b'body')
    assert get(gateway, '/bucket/key').body == b'body'


def test_the_end_of_a_missing_object_is_asked_for_twice_at_most(
        gateway, origin):
    origin.bucket('bucket')
    answer = get(gateway, '/bucket/none', {'Range': 'bytes=-5'})
    assert answer.element('Code') == 'NoSuchKey'
    assert len(origin.requests) <= 2


# --- keys --------------------------------------------------------------------

@pytest.mark.parametrize('key, targets', [
    ('a//b', ['a//b', 'a%2F/b', 'a/%2fb']),
    ('/a', ['/a', '%2Fa']), ('a/', ['a/', 'a%2F']),
    ('a+b', ['a+b', 'a%2Bb', 'a%2bb']), ('a b', ['a%20b']),
    ('a%2Fb', ['a%252Fb']), ('a%00b', ['a%2500b']), ('a%b', ['a%25b']),
    ('a/./b', ['a/./b', 'a/%2e/b']), ('a/../b', ['a/../b', 'a/%2E%2e/b']),
    ('a?b', ['a%3Fb', 'a%3fb']), ('a#b', ['a%23b']), ('~', ['~', '%7E']),
    ('ü', ['%C3%BC', '%c3%bc']), ('\r\n', ['%0D%0A', '%0d%0a']),
    ("!$&'()*,;=:@", ["!$&'()*,;=:@",
                      '%21%24%26%27%28%29%2A%2C%3B%3D%3A%40']),
    ('abc', ['abc', '%61bc', 'abc?', 'abc?&', 'abc?x-id=GetObject'])])
def test_a_key_is_its_decoded_bytes_and_nothing_else(make_gateway, key,
                                                     targets):
    with ScriptedOrigin(secrets={'AK': 'secret'}) as origin:
        gateway = make_gateway(origin, keys=('AK', 'secret'))
        origin.put('bucket', key, b'right')
        for near in ('a/b', 'b', 'a', 'abd', 'ABC', 'a%2fb'):
            if near != key:
                origin.put('bucket', near, b'wrong')
        for number, target in enumerate(targets):
            answer = get(gateway, f'/bucket/{target}')
            assert (answer.status, answer.body) == (200, b'right'), target
            assert (answer['X-Cache'] in CACHED) == (number > 0)
        request, = origin.requests
        assert request.key == key and request.signer == 'AK'
        # and by a request that is passed on
        answer = get(gateway, f'/bucket/{targets[0]}?acl')
        assert answer.body == b'right'
        assert origin.requests[-1].signer == 'AK'


@pytest.mark.parametrize('target', [
    '/bucket/%00', '/bucket/a%00b', '/bucket/%FF', '/bucket/%C0%AF',
    '/bucket/%ED%A0%80', '/bucket/%F4%90%80%80', '/bucket/%', '/bucket/%2',
    '/bucket/%zz', '/bucket/' + 'k' * 1025, '/bucket/' + '%C3%BC' * 513,
    '/b%2Fkey', '/bu%2Fcket/key', '/bu%00cket/key', '/ab/key',
    '/' + 'b' * 256 + '/key', '/te:nant/key', '/bücket/key',
    # nginx itself refuses to climb above the root
    '/bucket/../../key', '/bucket/%2e%2e/%2e%2e/key'])
def test_names_that_cannot_be_are_refused_here(gateway, origin, target):
    for method in ('GET', 'HEAD'):
        target = target.encode().decode('latin-1')
        assert get(gateway, target, method=method).status == 400
    assert origin.requests == []


def test_versions_are_objects_of_their_own(gateway, origin):
    for number in (1, 2):
        origin.put('bucket', 'key', b'%d' % number, version_id=f'v{number}/ä')
    for result in (('MISS',), CACHED):
        for query, body in (('', b'2'), ('?versionId=v1%2F%C3%A4', b'1'),
                            ('?versionId=v2%2F%C3%A4', b'2')):
            answer = get(gateway, f'/bucket/key{query}')
            assert answer.body == body and answer['X-Cache'] in result
    assert [r.query.get('versionId') for r in origin.requests] == [
        None, 'v1/ä', 'v2/ä']


# --- ranges: what is fetched -------------------------------------------------

BLOCK = 64 * KIB
LARGE = 10 * 1024 * KIB


@pytest.mark.parametrize('text, span, fetched', [
    ('bytes=5000000-5000099', (5000000, 5000099), [76]),
    ('bytes=0-0', (0, 0), [0]),
    ('bytes=65535-65536', (65535, 65536), [0, 1]),
    ('bytes=65536-131071', (65536, 131071), [1]),
    ('bytes=131072-393215', (131072, 393215), [2, 3, 4, 5]),
    (f'bytes={LARGE - 1}-', (LARGE - 1, LARGE - 1), [159]),
    (f'bytes={LARGE - 1}-{LARGE + 500}', (LARGE - 1, LARGE - 1), [159]),
    ('bytes=-10', (LARGE - 10, LARGE - 1), [159]),
    ('bytes=-65537', (LARGE - 65537, LARGE - 1), [158, 159])])
def test_a_range_fetches_its_blocks_and_no_others(gateway, origin, text, span,
                                                  fetched):
    body = pattern(LARGE)
    origin.put('bucket', 'key', body)
    first, last = span
    for _ in range(2):
        answer = get(gateway, '/bucket/key', {'Range': text})
        assert answer.status == 206
        assert answer['Content-Range'] == f'bytes {first}-{last}/{LARGE}'
        assert answer.body == body[first:last + 1]
    gets = origin.requests_for(method='GET')
    assert sorted(r.header('range') for r in gets) == sorted(
        f'bytes={n * BLOCK}-{(n + 1) * BLOCK - 1}' for n in fetched)
    # of an end its beginning is not known before its length is
    heads = origin.requests_for(method='HEAD')
    assert len(heads) == (1 if '=-' in text else 0)
    etag = origin.get('bucket', 'key').etag
    assert [r.header('if-match') for r in origin.requests[1:]] == [
        etag] * (len(origin.requests) - 1)
    assert sum(r.sent_bytes for r in origin.requests) <= BLOCK * len(fetched)


def test_a_range_of_a_small_object_brings_all_of_it(gateway, origin):
    body = pattern(1000)
    origin.put('bucket', 'key', body)
    assert get(gateway, '/bucket/key', {'Range': 'bytes=500-509'}
               ).body == body[500:510]
    assert get(gateway, '/bucket/key', {'Range': 'bytes=0-9'}
               ).body == body[:10]
    assert get(gateway, '/bucket/key').body == body
    assert len(origin.requests) == 1


def test_a_whole_read_fetches_each_block_once(gateway, origin):
    body = pattern(LARGE)
    origin.put('bucket', 'key', body)
    assert get(gateway, '/bucket/key', {'Range': 'bytes=700000-700001'}
               ).body == body[700000:700002]
    assert get(gateway, '/bucket/key').body == body
    assert get(gateway, '/bucket/key').body == body
    ranges = [r.header('range') for r in origin.requests_for(method='GET')]
    assert len(ranges) == len(set(ranges)) == LARGE // BLOCK


def test_if_range_is_answered_here(gateway, origin):
    obj = origin.put('bucket', 'key', b'0123456789',
                     last_modified=1_700_000_000)
    for _ in range(2):
        for value, status in ((obj.etag, 206), ('"other"', 200),
                              ('W/' + obj.etag, 200), (obj.date, 206),
                              ('Wed, 15 Nov 2023 22:13:20 GMT', 200)):
            answer = get(gateway, '/bucket/key', {'Range': 'bytes=1-2',
                                                  'If-Range': value})
            assert answer.status == status, value
            assert answer.body == (b'12' if status == 206 else b'0123456789')
    assert len(origin.requests) == 1
    assert origin.requests[0].header('if-range') is None


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
         ('PUT', '/bucket/new', {}, 501), ('GET', '/b/key', {}, 400)]


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
    assert refused.endswith(b'501') and b'NotImplemented' in refused


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
