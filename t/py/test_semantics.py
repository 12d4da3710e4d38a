# SPDX-License-Identifier: Apache-2.0
"""What a read means, before an origin that tells what it was asked."""

import pytest

from lib import wait
from origin.objects import pattern
from origin.scripted_origin import ScriptedOrigin
from reads import (    # noqa: F401 (gateway: a fixture)
    CACHED, GENERATED, KIB, MODE, SIGNED, asked, gateway, get, shown)

# --- checksums ---------------------------------------------------------------

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
