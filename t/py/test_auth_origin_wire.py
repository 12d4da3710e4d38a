# SPDX-License-Identifier: Apache-2.0
"""s3_cache_auth origin, seen from an origin that tells what it was asked: the
client's own signed request is the question, a byte the answer, and nobody is
sent what the origin has not shown him."""

import time

import pytest

import raw_http
from lib import wait
from lib.nginx import s3_location, s3_zone
from origin.objects import Object, pattern
from origin_auth_lab import (  # noqa: F401 (fixtures)
    ALICE, BOB, GATEWAY, denied, gateway, get, head_of, make_asking, of,
    origin, presigned, put, questions, by)

BODY = pattern(200_000)


def x_cache(answer):
    return answer['X-Cache'].split()[0]


def same_request(gateway, pairs, target='/bkt/key', method='GET'):
    return raw_http.ask(gateway.port(), method, target, pairs)


def access_log(gateway):
    with open(gateway.access_log, encoding='ascii') as f:
        return f.read()


# --- the question ------------------------------------------------------------

def test_the_clients_own_request_is_asked_for_one_byte(origin, gateway):
    origin.put('bkt', 'a key', BODY)
    target = '/bkt/a%20key?response-content-type=text%2Fx&x-id=GetObject'
    pairs = head_of(gateway, ALICE, 'GET', target, [
        ('x-amz-meta-like', 'a   b'), ('Referer', 'http://a.test/')])
    loose = [('User-Agent', 'tester/1'), ('If-None-Match', '"x"'),
             ('Accept-Encoding', 'gzip'), ('Range', 'bytes=1000-1999'),
             ('X-Forwarded-For', '10.1.1.1'), ('x_amz_acl', 'private'),
             ('X-Gone', 'hop'), ('TE', 'trailers'), ('X-Kept', 'end')]
    answer = raw_http.ask(
        gateway.port(), 'GET', target,
        pairs + loose + [('Connection', 'close, x-gone')], close=False)
    assert (answer.status, answer.body) == (206, BODY[1000:2000])
    assert answer['Content-Type'] == 'text/x'
    asked = origin.requests[0]
    assert (asked.method, asked.target) == ('GET', target)
    assert asked.signer == ALICE[0]
    assert dict(asked.headers) == {
        **dict(pairs), 'User-Agent': 'tester/1', 'X-Kept': 'end',
        'Accept-Encoding': 'identity', 'Range': 'bytes=0-0'}
    assert asked.sent_bytes == 1
    # and then the gateway, by its own keys and name
    fill = origin.requests[1]
    assert fill.signer == GATEWAY[0]
    assert fill.header('host') == f'127.0.0.1:{origin.port}'
    assert fill.header('x-amz-meta-like') is None
    assert 'x-amz-date' not in fill.target


def test_a_yes_is_remembered_for_that_very_request(origin, gateway):
    origin.put('bkt', 'key', BODY)
    pairs = head_of(gateway, ALICE, 'GET', '/bkt/key')
    assert x_cache(same_request(gateway, pairs)) == 'MISS'
    asked = len(origin.requests)
    for more in ([], [('Range', 'bytes=5-9')], [('If-None-Match', '"x"')],
                 [('Cache-Control', 'max-age=0')], [('Accept', '*/*')]):
        answer = same_request(gateway, pairs + more)
        if more[:1] == [('Cache-Control', 'max-age=0')]:
            assert x_cache(answer) == 'REVALIDATED'
        else:
            assert x_cache(answer) == 'HIT'
    assert [of(r) for r in origin.requests[asked:]] == [GATEWAY[0]]
    # what is signed, or may weigh, is another request
    asked = len(origin.requests)
    for n, more in enumerate((
            [('User-Agent', 'other')], [('Referer', 'http://b.test')],
            [('Cookie', 'a=b')])):
        assert x_cache(same_request(gateway, pairs + more)) == 'HIT'
        assert questions(origin, asked) == [
            ('GET', ALICE[0], 'bytes=0-0', 1)] * (n + 1)
    # and so is one of another second
    assert x_cache(get(gateway, ALICE, ago=5)) == 'HIT'
    assert questions(origin, asked + 3) == [
        ('GET', ALICE[0], 'bytes=0-0', 1)]


def test_nothing_is_remembered_for_no_time(origin, make_asking):
    gateway = make_asking(origin, valid='0')
    origin.put('bkt', 'key', BODY)
    pairs = head_of(gateway, ALICE, 'GET', '/bkt/key')
    for n in range(4):
        assert same_request(gateway, pairs).body == BODY
        assert len([q for q in questions(origin)
                    if q == ('GET', ALICE[0], 'bytes=0-0', 1)]) == n + 1


@pytest.mark.parametrize('headers, status', [
    ([('Range', 'bytes=100-299')], 206), ([('If-None-Match', '"no"')], 200)])
def test_what_is_signed_is_asked_as_it_is(origin, gateway, headers, status):
    origin.put('bkt', 'key', BODY)
    for cache in ('MISS', 'HIT'):
        answer = get(gateway, ALICE, headers=headers, ago=len(cache))
        assert (answer.status, x_cache(answer)) == (status, cache)
        assert answer.body == (BODY[100:300] if status == 206 else BODY)
    for request in origin.requests:
        if of(request) == ALICE[0]:
            name, value = headers[0]
            assert request.header(name) == value
            assert request.signer == ALICE[0]


def test_a_large_answer_to_a_question_is_not_read(origin, gateway):
    large = pattern(8_000_000)
    origin.put('bkt', 'key', large)
    assert get(gateway, ALICE, ago=1).body == large
    asked = len(origin.requests)
    answer = get(gateway, ALICE, headers=[('Range', 'bytes=0-7999999')])
    assert answer.body == large and x_cache(answer) == 'HIT'
    # it is cut when its head is here: what the sockets hold is all
    origin.wait_requests(asked + 1)
    assert len(origin.requests) == asked + 1
    assert origin.requests[asked].sent_bytes < len(large)


def test_an_origin_without_ranges_is_cut_short(origin, gateway):
    large = pattern(8_000_000)
    origin.put('bkt', 'key', large)
    origin.on('bkt', 'key', when=by(ALICE), ignore_range=True)
    assert get(gateway, ALICE, ago=1).body == large
    assert get(gateway, ALICE).body == large
    for request in origin.requests:
        if of(request) == ALICE[0]:
            assert request.sent_bytes < len(large)


@pytest.mark.parametrize('headers, status', [
    ([('If-None-Match', '"etag"')], 304), ([('If-Match', '"no"')], 412),
    ([('Range', 'bytes=900000-')], 416)])
def test_conditions_that_are_signed_are_the_origins(origin, gateway, headers,
                                                   status):
    origin.put('bkt', 'key', BODY, etag='"etag"')
    assert get(gateway, ALICE).status == 200
    asked = len(origin.requests)
    answer = get(gateway, ALICE, headers=headers)
    assert (answer.status, x_cache(answer)) == (status, 'BYPASS')
    assert len(origin.requests) == asked + 1


def test_an_empty_object_has_no_first_byte(origin, gateway):
    origin.put('bkt', 'key', b'')
    for n in range(2):
        answer = get(gateway, ALICE, ago=n)
        assert (answer.status, answer.body) == (200, b'')
    assert get(gateway, ALICE, method='HEAD').status == 200


def test_head_is_asked_by_head(origin, gateway):
    origin.put('bkt', 'key', BODY)
    assert get(gateway, ALICE).body == BODY
    asked = len(origin.requests)
    answer = get(gateway, ALICE, method='HEAD')
    assert (answer.status, x_cache(answer)) == (200, 'HIT')
    assert answer['Content-Length'] == str(len(BODY))
    assert questions(origin, asked) == [('HEAD', ALICE[0], None, 0)]
    # and a HEAD is not a GET
    pairs = head_of(gateway, ALICE, 'HEAD', '/bkt/key')
    assert same_request(gateway, pairs, method='HEAD').status == 200
    assert same_request(gateway, pairs).status == 403


def test_presigned_and_anonymous(origin, gateway):
    origin.put('bkt', 'key', BODY)
    target = presigned(gateway, ALICE, '/bkt/key')
    host = [('Host', f'127.0.0.1:{gateway.port()}')]
    for cache in ('MISS', 'HIT', 'HIT'):
        answer = raw_http.ask(gateway.port(), 'GET', target, host)
        assert (answer.body, x_cache(answer)) == (BODY, cache)
    assert [q[1] for q in questions(origin)].count(ALICE[0]) == 1
    assert origin.requests[0].target == target
    origin.secrets = None            # a public one
    asked = len(origin.requests)
    for cache in ('HIT', 'HIT'):
        answer = raw_http.ask(gateway.port(), 'GET', '/bkt/key', host)
        assert (answer.body, x_cache(answer)) == (BODY, cache)
    assert questions(origin, asked) == [('GET', None, 'bytes=0-0', 1)]


# --- a no --------------------------------------------------------------------

def test_a_no_is_the_origins_own_and_nobody_elses(origin, gateway):
    origin.put('bkt', 'key', BODY)
    pairs = head_of(gateway, ALICE, 'GET', '/bkt/key')
    assert same_request(gateway, pairs).body == BODY
    origin.on('bkt', 'key', **denied(BOB))
    asked = len(origin.requests)
    for n in range(3):
        answer = get(gateway, BOB, ago=n)
        assert (answer.status, answer.element('Code'),
                answer.element('Message')) == (403, 'AccessDenied',
                                               'Not for you.')
        assert answer.element('RequestId') == f'{asked + n:016X}'
        assert x_cache(answer) == 'BYPASS'
    assert get(gateway, BOB, method='HEAD').status == 403
    assert [q[:3] for q in questions(origin, asked)] == [
        ('GET', BOB[0], 'bytes=0-0')] * 3 + [('HEAD', BOB[0], None)]
    asked = len(origin.requests)
    assert x_cache(same_request(gateway, pairs)) == 'HIT'
    assert len(origin.requests) == asked


def test_what_is_not_allowed_looks_alike_cached_or_not(origin, gateway):
    for key in ('cached', 'not'):
        origin.put('bkt', key, BODY)
    assert get(gateway, ALICE, '/bkt/cached').body == BODY
    origin.on('bkt', **denied(BOB))
    seen = []
    for key in ('cached', 'not'):
        answer = get(gateway, BOB, f'/bkt/{key}')
        seen.append([(k, v) for k, v in answer.headers 
                     if k not in ('Date', 'x-amz-request-id')])
    assert seen[0] == seen[1]


def tampered(pairs, target):
    """[(what, pairs, target)]: each a good request with one thing wrong."""
    found = dict(pairs)
    sig = found['Authorization']
    flipped = sig[:-1] + ('0' if sig[-1] != '0' else '1')

    def with_(**changed):
        new = {**found, **changed}
        return [(k, v) for k, v in new.items() if v is not None]

    yield 'signature', with_(Authorization=flipped), target
    yield 'no signature', with_(Authorization=sig.partition(',')[0]), target
    yield 'unsigned', with_(Authorization=None), target
    yield 'another key', with_(Authorization=sig.replace(
        ALICE[0], BOB[0])), target
    yield 'path', pairs, '/bkt/other'
    yield 'query', pairs, target + '?versionId=a'
    yield 'override', pairs, target + '?response-content-type=text/html'
    yield 'header', with_(**{'x-amz-meta-a': 'c'}), target
    yield 'one more', pairs + [('x-amz-meta-b', 'b')], target
    yield 'date', with_(**{'x-amz-date': '20200101T000000Z'}), target
    yield 'hash', with_(**{'x-amz-content-sha256': '0' * 64}), target
    yield 'two', pairs + [('Authorization', flipped)], target


def test_a_remembered_yes_is_of_no_use_to_a_forger(origin, gateway):
    for key in ('key', 'other'):
        origin.put('bkt', key, BODY)
        assert get(gateway, ALICE, f'/bkt/{key}', ago=9).body == BODY
    pairs = head_of(gateway, ALICE, 'GET', '/bkt/key',
                    [('x-amz-meta-a', 'b')])
    assert x_cache(same_request(gateway, pairs)) == 'HIT'
    for what, wrong, target in tampered(pairs, '/bkt/key'):
        asked = len(origin.requests)
        answer = same_request(gateway, wrong, target)
        assert answer.status in (400, 403), what
        assert BODY[:100] not in answer.body, what
        assert all(of(r) != GATEWAY[0] for r in origin.requests[asked:]), what
        # nothing of it is left for those who may
        asked = len(origin.requests)
        assert x_cache(same_request(gateway, pairs)) == 'HIT', what
        assert len(origin.requests) == asked, what


def test_what_was_revoked_ends_in_time(origin, make_asking):
    gateway = make_asking(origin, valid='1s')
    origin.put('bkt', 'key', BODY)
    pairs = head_of(gateway, ALICE, 'GET', '/bkt/key')
    others = head_of(gateway, BOB, 'GET', '/bkt/key')
    assert same_request(gateway, pairs).body == BODY
    origin.on('bkt', 'key', **denied(ALICE))
    wait.until(lambda: same_request(gateway, pairs).status == 403,
               'the end of a permission')
    assert same_request(gateway, pairs).status == 403
    assert x_cache(same_request(gateway, others)) == 'HIT'


def test_a_no_ends_a_yes_at_once(origin, gateway):
    """Of the same request, asked anew because another version came; then the
    one that it had been shown comes back."""
    when = int(time.time()) - 100
    origin.put('bkt', 'key', BODY, last_modified=when)
    pairs = head_of(gateway, ALICE, 'GET', '/bkt/key')
    assert same_request(gateway, pairs).body == BODY
    rule = origin.on('bkt', 'key', **denied(ALICE))
    assert put(gateway, BOB, '/bkt/key', b'new').status == 200
    assert same_request(gateway, pairs).status == 403
    assert put(gateway, BOB, '/bkt/key', b'newer').status == 200
    origin.put('bkt', 'key', BODY, last_modified=when)
    assert same_request(gateway, pairs).status == 403
    origin.off(rule)
    assert same_request(gateway, pairs).body == BODY


# --- which version -----------------------------------------------------------

def test_two_worlds_under_one_name_stay_two(origin, gateway):
    """As of two tenants of an RGW: the same name is another object for each,
    and the gateway's own keys see only one of them."""
    origin.put('bkt', 'key', BODY)
    mine = Object(pattern(5000, 7))
    origin.on('bkt', 'key', when=by(BOB), object=mine)
    assert get(gateway, ALICE).body == BODY
    for n in range(3):
        answer = get(gateway, BOB, ago=n)
        assert (answer.status, answer.body) == (200, mine.body)
        assert x_cache(answer) == 'BYPASS'
        assert x_cache(get(gateway, ALICE, ago=n)) == 'HIT'
    pairs = head_of(gateway, BOB, 'GET', '/bkt/key')
    for _ in range(3):
        assert same_request(gateway, pairs).body == mine.body


def test_a_question_shows_what_is_new(origin, gateway):
    """Written past the gateway, long before the cached one expires."""
    origin.put('bkt', 'key', BODY)
    pairs = head_of(gateway, ALICE, 'GET', '/bkt/key')
    assert same_request(gateway, pairs).body == BODY
    origin.put('bkt', 'key', b'new')
    assert get(gateway, BOB).body == b'new'
    # who had been shown the old one asks again
    assert same_request(gateway, pairs).body == b'new'
    asked = len(origin.requests)
    assert x_cache(same_request(gateway, pairs)) == 'HIT'
    assert len(origin.requests) == asked
    origin.delete('bkt', 'key')
    assert get(gateway, BOB, ago=1).status == 404


def test_what_the_gateway_may_not_read_the_client_still_may(origin, gateway):
    origin.put('bkt', 'key', BODY)
    origin.on('bkt', 'key', **denied(GATEWAY))
    for n in range(2):
        answer = get(gateway, ALICE, ago=n)
        assert (answer.status, answer.body) == (200, BODY)
        assert x_cache(answer) == 'BYPASS'


def test_an_absent_one_that_came_is_seen(origin, gateway):
    assert get(gateway, ALICE).status == 404
    origin.put('bkt', 'key', BODY)
    assert get(gateway, ALICE, ago=1).body == BODY


# --- failures ----------------------------------------------------------------

def test_without_an_origin_only_what_is_remembered(origin, gateway):
    origin.put('bkt', 'key', BODY)
    pairs = head_of(gateway, ALICE, 'GET', '/bkt/key')
    assert same_request(gateway, pairs).body == BODY
    origin.stop()
    assert x_cache(same_request(gateway, pairs)) == 'HIT'
    for keys in (ALICE, BOB):
        answer = get(gateway, keys, ago=3)
        assert (answer.status, x_cache(answer)) == (502, 'ERROR')
        assert BODY[:100] not in answer.body
    assert x_cache(same_request(gateway, pairs)) == 'HIT'


def test_a_silent_origin_is_no_yes(origin, make_asking):
    gateway = make_asking(origin, 's3_cache_origin_read_timeout 300ms;'
                          's3_cache_stale_if_error 1h;')
    origin.put('bkt', 'key', BODY)
    assert get(gateway, ALICE, ago=1).body == BODY
    origin.on('bkt', 'key', when=by(ALICE), hang=True)
    answer = get(gateway, ALICE)
    assert (answer.status, x_cache(answer)) == (504, 'ERROR')


@pytest.mark.parametrize('status', [500, 503])
def test_an_error_of_the_origin_is_no_yes(origin, gateway, status):
    origin.put('bkt', 'key', BODY)
    assert get(gateway, ALICE, ago=1).body == BODY
    origin.on('bkt', 'key', when=by(ALICE), error=(status, 'Failed'))
    answer = get(gateway, ALICE)
    assert (answer.status, answer.element('Code')) == (status, 'Failed')


def test_a_client_that_leaves_ends_its_question(origin, gateway):
    origin.put('bkt', 'key', BODY)
    gate = origin.gate()
    rule = origin.on('bkt', 'key', when=by(ALICE), gate=gate)
    pairs = head_of(gateway, ALICE, 'GET', '/bkt/key')
    with raw_http.Connection(gateway.port()) as client:
        client.request('GET', '/bkt/key', pairs)
        gate.wait_reached()
    wait.until(lambda: ' 499 ' in access_log(gateway), 'the client to be gone')
    gate.open()
    origin.off(rule)
    assert get(gateway, ALICE).body == BODY


def test_a_worker_that_dies_takes_only_its_own(origin, make_asking):
    gateway = make_asking(origin, workers=2)
    origin.put('bkt', 'key', BODY)
    gate = origin.gate()
    rule = origin.on('bkt', 'key', when=by(BOB), gate=gate)
    pairs = head_of(gateway, BOB, 'GET', '/bkt/key')
    with raw_http.Connection(gateway.port()) as client:
        client.request('GET', '/bkt/key', pairs)
        gate.wait_reached()
        for pid in gateway.worker_pids():
            gateway.kill_worker(pid)
        assert client.to_end() == b''
    gate.open()
    origin.off(rule)
    origin.on('bkt', 'key', **denied(BOB))
    for n in range(4):
        assert get(gateway, BOB, ago=n).status == 403
        assert get(gateway, ALICE, ago=n).body == BODY


def test_another_worker_asks_for_itself(origin, make_asking):
    gateway = make_asking(origin, workers=2)
    origin.put('bkt', 'key', BODY)
    pairs = head_of(gateway, ALICE, 'GET', '/bkt/key')
    for _ in range(20):
        assert same_request(gateway, pairs).body == BODY
    asked = [q for q in questions(origin) if q[1] == ALICE[0]]
    assert 1 <= len(asked) <= 2
    assert all(q[3] == 1 for q in asked)


# --- what passes -------------------------------------------------------------

def test_lists_and_sub_resources_pass_as_they_are(origin, make_asking):
    gateway = make_asking(origin, 's3_cache_list 1h;')
    origin.put('bkt', 'key', BODY)
    for target in ('/bkt?list-type=2&prefix=k&encoding-type=url', '/bkt/?',
                   '/', '/bkt/key?partNumber=1', '/bkt/key?tagging'):
        asked = len(origin.requests)
        for n in range(2):
            pairs = head_of(gateway, ALICE, 'GET', target, ago=n)
            answer = raw_http.ask(gateway.port(), 'GET', target, pairs)
            assert answer.status in (200, 206), target
            assert x_cache(answer) == 'BYPASS'
            request = origin.requests[-1]
            assert (request.target, request.signer) == (target, ALICE[0])
            assert dict(request.headers) == {**dict(pairs),
                                             'Accept-Encoding': 'identity'}
        assert len(origin.requests) == asked + 2
    origin.on('bkt', '', **denied(BOB))
    answer = get(gateway, BOB, '/bkt?list-type=2')
    assert (answer.status, answer.element('Message')) == (403, 'Not for you.')
    # its own keys or signature are the client's own matter
    answer = get(gateway, ('NOBODY', 'x'), '/bkt?list-type=2')
    assert (answer.status, answer.element('Code')) == (403,
                                                       'InvalidAccessKeyId')


def test_what_nginx_made_is_not_taken(origin, make_asking):
    gateway = make_asking(
        origin, 'rewrite ^/old/(.*)$ /bkt/$1 break;',
        server='location = /ssi { ssi on; ssi_types *; alias @dir@/page; }')
    origin.put('bkt', 'key', BODY)
    assert get(gateway, ALICE).status == 200
    assert get(gateway, ALICE, '/old/key').status == 501
    with open(f'{gateway.dir}/page', 'w', encoding='ascii') as f:
        f.write('<!--# include virtual="/bkt/key" -->')
    answer = get(gateway, ALICE, '/ssi')
    assert BODY[:100] not in answer.body
    assert b'NotImplemented' in answer.body
    gateway.allow('subrequest|Requests are only')


# --- configuration -----------------------------------------------------------

@pytest.mark.parametrize('outer, inner, complaint', [
    ('', 's3_cache_auth origin;', 'needs "s3_cache_origin_credentials"'),
    ('s3_cache_auth origin;', '', 'needs "s3_cache_origin_credentials"'),
    ('', 's3_cache_auth origin; s3_cache_auth_valid x;', 'invalid value'),
    ('', 's3_cache_auth any;', 'invalid value "any"'),
    ('', 's3_cache_auth origin; s3_cache_origin_credentials none;', None),
    ('s3_cache_origin_credentials none;', 's3_cache_auth origin;', None),
    ('s3_cache_origin_credentials access_key=A secret_key=B;'
     's3_cache_auth origin; s3_cache_auth_valid 1m;', '', None),
])
def test_configurations(make_nginx, outer, inner, complaint):
    nginx = make_nginx(http=s3_zone() + outer, server=s3_location(
        'http://127.0.0.1:1', more=inner))
    code, text = nginx.test_conf()
    if complaint is None:
        assert code == 0, text
        return
    assert code != 0
    assert complaint in text
    assert f'{nginx.conf_path}:' in text
