# SPDX-License-Identifier: Apache-2.0
"""Attacks on `s3_cache_auth keys`, each of them a test: a request that is not
quite the one that was signed, or that is more than one."""

import re
from urllib.parse import quote

import pytest

import raw_http
from auth_lab import (DOMAIN, GUARDED, HOST, OWNER, STRANGER, TEAM, UNSIGNED,
                      ask, code, credentials, gateway, get, make_keys, origin,
                      said, sha256, signed, signer)
from lib import wait
from lib.identities import allow, deny, identity, key_of
from origin import sigv4
from origin.objects import pattern
from write_bodies import EMPTY_SHA

__all__ = ['credentials', 'gateway', 'make_keys', 'origin']

WRONG = (403, 'SignatureDoesNotMatch')
DENIED = (403, 'AccessDenied')
SECRET = b'nobody else may read this'


@pytest.fixture
def private(origin):
    """Objects that most may not read."""
    origin.put('bkt', 'open', b'open')
    origin.put('bkt', 'private/k', SECRET)
    origin.put('bkt', 'team/k', b'team')
    origin.put('pub', 'k', b'public')
    return origin


def send(nginx, method, target, pairs, body=b'', name=''):
    return raw_http.ask(nginx.port(name), method, target, pairs, body,
                        close=False)


def raw(nginx, data, name=''):
    """All that comes of these bytes."""
    with raw_http.Connection(nginx.port(name)) as c:
        c.send(data.encode('latin-1') if isinstance(data, str) else data)
        return c.to_end()


def head_of(pairs):
    return ''.join(f'{k}: {v}\r\n' for k, v in pairs)


# --- a signature for something else ------------------------------------------

def test_a_signature_is_for_one_request(gateway, private):
    """Method, path, query, and headers that are signed."""
    target = '/bkt/private/k'
    get(gateway, OWNER, target)
    before = len(private.requests)
    pairs = signed(OWNER, 'GET', '/bkt/open', {'x-amz-meta-a': 'b'})
    for method, other, change in [
            ('GET', target, {}), ('HEAD', '/bkt/open', {}),
            ('PUT', '/bkt/open', {}), ('DELETE', '/bkt/open', {}),
            ('POST', '/bkt/open?uploads', {}), ('get', '/bkt/open', {}),
            ('GET', '/bkt/Open', {}), ('GET', '/bkt/open/', {}),
            ('GET', '/other/open', {}), ('GET', '/bkt/open?acl', {}),
            ('GET', '/bkt/open?versionId=1', {}), ('GET', '/bkt', {}),
            ('GET', '/', {}), ('GET', '//bkt/open', {}),
            ('GET', '/bkt/open', {'Host': '127.0.0.2'}),
            ('GET', '/bkt/open', {'Host': '127.0.0.1:81'}),
            ('GET', '/bkt/open', {'x-amz-meta-a': 'c'}),
            ('GET', '/bkt/open', {'x-amz-meta-a': 'b,b'})]:
        answer = send(gateway, method, other,
                      [(k, change.get(k, v)) for k, v in pairs])
        assert answer.status in (400, 403, 405), (method, other, change)
        if method not in ('HEAD', 'get'):
            assert code(answer) in ('SignatureDoesNotMatch',
                                    'InvalidBucketName'), (method, other)
    assert len(private.requests) == before
    # blanks that do not count, and a port that is the scheme's own
    for change in ({'x-amz-meta-a': '  b '}, {'Host': '127.0.0.1:80'}):
        answer = send(gateway, 'GET', '/bkt/open',
                      [(k, change.get(k, v)) for k, v in pairs])
        assert answer.body == b'open', change


@pytest.mark.parametrize('change,wanted', [
    (dict(service='iam'), (400, 'AuthorizationHeaderMalformed')),
    (dict(ahead_s=-1000), (403, 'RequestTimeTooSkewed')),
    (dict(ahead_s=1000), (403, 'RequestTimeTooSkewed')),
    (dict(region='eu-west-1'), (200, None)),
    (dict(region=''), (200, None)),
    (dict(ahead_s=-800), (200, None)), (dict(ahead_s=800), (200, None))])
def test_days_regions_and_services(gateway, private, change, wanted):
    answer = get(gateway, OWNER, '/bkt/open', **change)
    if change != {'region': ''}:
        assert said(answer) == wanted
    # and none of it can be changed afterwards
    pairs = signed(OWNER, 'GET', '/bkt/open', **change)
    for old, new in (('/us-east-1/', '/us-west-1/'), ('/s3/', '/s4/'),
                     ('/eu-west-1/', '/us-east-1/'), ('/iam/', '/s3/'),
                     ('aws4_request', 'aws4_reques')):
        if old in pairs[-1][1]:
            again = send(gateway, 'GET', '/bkt/open', pairs[:-1] + [
                ('Authorization', pairs[-1][1].replace(old, new, 1))])
            assert again.status in (400, 403), (old, new)


def test_a_location_may_know_one_region_and_less_time(make_keys, private):
    gateway = make_keys('s3_cache_auth_regions eu-west-1 eu-central-1;'
                        's3_cache_auth_skew 60s;'
                        's3_cache_auth_presigned_max 5m;')
    for region in ('eu-west-1', 'eu-central-1'):
        assert get(gateway, OWNER, '/bkt/open', region=region).body == b'open'
    answer = get(gateway, OWNER, '/bkt/open')
    assert said(answer) == (400, 'AuthorizationHeaderMalformed')
    assert answer.element('Region') == 'eu-west-1'
    for ahead_s in (-70, 70):
        assert said(get(gateway, OWNER, '/bkt/open', region='eu-west-1',
                        ahead_s=ahead_s)) == (403, 'RequestTimeTooSkewed')
    for seconds, status in ((300, 200), (301, 400)):
        assert send(gateway, 'GET', presign(
            OWNER, '/bkt/open', seconds, region='eu-west-1'),
            [('Host', HOST)]).status == status


def test_hosts_that_may_have_been_signed(make_keys, private):
    """A balancer before it sends another Host. What was signed is what is
    meant: the bucket is that of the host that was signed."""
    private.put('bkt', 'other/k', b'of bkt')
    private.put('other', 'k', b'of other')
    gateway = make_keys(f's3_cache_domain {DOMAIN};'
                        f's3_cache_auth_hosts {DOMAIN} bkt.{DOMAIN};')

    def of(host, came, target='/other/k', who=OWNER):
        pairs = signed(who, 'GET', target, host=host)
        return send(gateway, 'GET', target, [
            (k, came if k == 'Host' else v) for k, v in pairs])

    assert of(DOMAIN, DOMAIN).body == b'of other'
    assert of(f'bkt.{DOMAIN}', f'bkt.{DOMAIN}').body == b'of bkt'
    assert of(DOMAIN, '10.0.0.1').body == b'of other'
    assert of(f'bkt.{DOMAIN}', '10.0.0.1').body == b'of bkt'
    assert of(f'bkt.{DOMAIN}', DOMAIN).body == b'of bkt'
    assert of(DOMAIN, f'bkt.{DOMAIN}').body == b'of other'
    assert said(of(f'pub.{DOMAIN}', f'bkt.{DOMAIN}')) == WRONG
    assert said(of('evil', DOMAIN)) == WRONG
    # the policy is asked about what is accessed
    private.put('bkt', 'bkt/private/k', b'x')
    assert said(of(DOMAIN, f'bkt.{DOMAIN}', '/bkt/private/k', GUARDED)
                ) == DENIED
    assert said(of(f'bkt.{DOMAIN}', DOMAIN, '/private/k', GUARDED)) == DENIED
    assert of(f'bkt.{DOMAIN}', DOMAIN, '/bkt/private/k', GUARDED).body == b'x'


# --- replays -----------------------------------------------------------------

def presign(who, target, seconds=600, method='GET', **more):
    """A link; other words are as of signer()."""
    made = signer(who, **more)
    text = made.presigned(method, target, HOST)
    if seconds == 600:
        return text
    # signed anew with another X-Amz-Expires
    text = text.partition('&X-Amz-Signature=')[0].replace(
        'X-Amz-Expires=600', f'X-Amz-Expires={seconds}')
    return f'{text}&X-Amz-Signature=' + sigv4.signature(
        made.secret_key, made.scope, made.date, sigv4.canonical_request(
            method, text, [('Host', HOST)], ['host'], UNSIGNED))


def test_links_end(gateway, private):
    def said_of(target):
        return said(send(gateway, 'GET', target, [('Host', HOST)]))

    assert said_of(presign(OWNER, '/bkt/private/k')) == (200, None)
    assert said_of(presign(OWNER, '/bkt/private/k', ahead_s=-601)) == DENIED
    assert said_of(presign(OWNER, '/bkt/open', 60, ahead_s=-50))[0] == 200
    assert said_of(presign(OWNER, '/bkt/open', 60, ahead_s=-61)) == DENIED
    assert said_of(presign(OWNER, '/bkt/open', 60, ahead_s=1000)) == DENIED
    assert said_of(presign(OWNER, '/bkt/open', 604_800))[0] == 200
    for seconds in (604_801, 0, -1, '1e3', '', '600 ', '٣'):
        assert said_of(presign(OWNER, '/bkt/open', quote(str(seconds)))) == (
            400, 'AuthorizationQueryParametersError'), seconds
    # while it is being used, and then not any more
    link = presign(OWNER, '/bkt/private/k', 3)
    assert said_of(link) == (200, None)
    wait.until(lambda: said_of(link) == DENIED, 'the end of a link', 10, 0.1)
    # of which nothing can be changed
    link = presign(OWNER, '/bkt/open', 60, ahead_s=-61)
    for old, new in (('Expires=60', 'Expires=6000'),
                     ('Date=', 'Date=2'), ('&X-Amz-Expires=60', ''),
                     ('&X-Amz-Expires=60', '&X-Amz-Expires=60'
                      '&X-Amz-Expires=6000'),
                     ('X-Amz-Expires', 'x-amz-expires')):
        assert said_of(link.replace(old, new))[0] in (400, 403), new


def test_a_signature_ends(make_keys, private):
    gateway = make_keys('s3_cache_auth_skew 2s;')
    pairs = signed(OWNER, 'GET', '/bkt/private/k')
    assert send(gateway, 'GET', '/bkt/private/k', pairs).body == SECRET
    wait.until(lambda: said(send(gateway, 'GET', '/bkt/private/k', pairs)) == (
        403, 'RequestTimeTooSkewed'), 'its end', 10, 0.1)


def test_links_and_headers_are_not_mixed(gateway, private):
    link = presign(OWNER, '/bkt/private/k')
    good = signed(OWNER, 'GET', '/bkt/private/k')
    bad = signed(STRANGER, 'GET', '/bkt/private/k')
    for target, pairs in (
            (link, good), (link, bad), (link.replace('=2', '=3'), good),
            ('/bkt/private/k?AWSAccessKeyId=x&Signature=y&Expires=9999999999',
             good), ('/bkt/private/k?X-Amz-Signature=x', good),
            ('/bkt/private/k?x-amz-algorithm=x', good),
            (link + '&AWSAccessKeyId=x&Signature=y&Expires=9999999999',
             good[:1])):
        answer = send(gateway, 'GET', target, pairs)
        assert answer.status in (400, 403), target
        assert SECRET not in answer.body
    # two of one
    for name in ('Authorization', 'x-amz-date', 'Host',
                 'x-amz-content-sha256'):
        value = dict(good)[name]
        for pairs in (good + [(name, value)], [(name, 'x')] + good,
                      good + [(name, 'x')], good + [(name.lower(), 'x')]):
            assert send(gateway, 'GET', '/bkt/private/k', pairs
                        ).status in (400, 403), pairs


@pytest.mark.parametrize('authorization', [
    '', ' ', 'AWS4-HMAC-SHA256', 'AWS4-HMAC-SHA256 Credential=', 'Basic Og==',
    'Bearer x', 'AWS AKOWNER1:xxx=', 'AWS4-ECDSA-P256-SHA256 Credential=x',
    'AWS4-HMAC-SHA256 Credential=AKOWNER1/20260101/us-east-1/s3/aws4_request,'
    'SignedHeaders=host,Signature=', 'aws4-hmac-sha256 Credential=x',
    'AWS4-HMAC-SHA256 ' + 'x' * 6000, '\xff\xfe', 'AWS4-HMAC-SHA256 ,,,',
    'AWS4-HMAC-SHA256 Credential=' + '/' * 6000,
    'AWS4-HMAC-SHA256 Credential=a/b/c/s3/aws4_request, SignedHeaders='
    + ';'.join(['host'] * 1000) + ', Signature=' + '0' * 64])
def test_what_is_no_authorization(gateway, private, authorization):
    """Who says anything of himself is not the public."""
    for target in ('/bkt/private/k', '/pub/k'):
        answer = send(gateway, 'GET', target, [
            ('Host', HOST), ('x-amz-date', signer(OWNER).date),
            ('x-amz-content-sha256', EMPTY_SHA),
            ('Authorization', authorization)])
        assert answer.status in (400, 403, 501), answer
    assert private.requests == []


def test_lists_of_signed_headers(gateway, private):
    """Host is signed, and what is x-amz-*; what is signed is there."""
    made = signer(OWNER)
    pairs = signed(OWNER, 'GET', '/bkt/open', {'x-amz-meta-a': 'b'})
    for names in ('x-amz-date', 'host', 'host;x-amz-date',
                  'host;x-amz-content-sha256;x-amz-date', '',
                  'Host;x-amz-content-sha256;x-amz-date;x-amz-meta-a',
                  'host;host;x-amz-content-sha256;x-amz-date;x-amz-meta-a',
                  'host;none;x-amz-content-sha256;x-amz-date;x-amz-meta-a'):
        signature = sigv4.signature(
            OWNER.secret_key, made.scope, dict(pairs)['x-amz-date'],
            sigv4.canonical_request('GET', '/bkt/open', pairs[:-1],
                                    names.split(';'), EMPTY_SHA))
        answer = send(gateway, 'GET', '/bkt/open', pairs[:-1] + [
            ('Authorization', f'AWS4-HMAC-SHA256 Credential=AKOWNER1/'
             f'{made.scope}, SignedHeaders={names}, Signature={signature}')])
        assert answer.status in (400, 403), (names, answer)
    assert private.requests == []


# --- names -------------------------------------------------------------------

ALIASES = [
    '/bkt/private/k', '/bkt/%70rivate/k', '/bkt/private%2Fk',
    '/bkt/private%2fk', '/%62kt/private/k', '/bkt%2Fprivate%2Fk',
    '/bkt%2Fprivate/k', '//bkt/private/k', '/./bkt/private/k',
    '/bkt//private/k', '/bkt/./private/k', '/bkt/open/../private/k',
    '/bkt/%2e%2e/bkt/private/k', '/bkt/..%2Fbkt/private/k',
    '/pub/../bkt/private/k', '/pub/..%2Fbkt%2Fprivate%2Fk',
    '/bkt/private/k/', '/bkt/private//k', '/bkt/private/./k',
    '/bkt/PRIVATE/k', '/bkt/private\\k', '/bkt\\private\\k',
    '/bkt/private/k%00', '/bkt/private/k%00.txt', '/bkt/private/k%20',
    '/bkt/private/k?', '/bkt/private/k?x-id=GetObject', '/bkt/private/k#x',
    '/bkt/private/k;x', '/bkt/%2570rivate/k', '/bkt/private%252Fk',
    '/bkt/%c0%afprivate/k', '/bkt/private/%c0%afk', '/BKT/private/k',
    '/bkt/pri%76ate/k', '/bkt/private/%6B', '/bkt/+private/k',
    '/bkt/private/k%', '/bkt/private/k%0', '/bkt/private/k%zz']


@pytest.mark.parametrize('who', [GUARDED, TEAM, None, STRANGER],
                         ids=['guarded', 'team', 'unsigned', 'stranger'])
def test_no_other_name_of_an_object_helps(gateway, private, who):
    """He signs each of them himself. A dot is a dot to S3."""
    assert get(gateway, OWNER, '/bkt/private/k').body == SECRET
    assert get(gateway, OWNER, '/%62kt/%70rivate%2Fk')['X-Cache'] == 'HIT'
    private.requests.clear()
    for method in ('GET', 'HEAD', 'PUT'):
        for target in ALIASES:
            try:
                answer = ask(gateway, who, method, target)
            except ValueError:          # no such thing can be signed
                answer = ask(gateway, None, method, target)
            assert answer.status >= 400 or who is GUARDED, (method, target)
            assert SECRET not in answer.body
            assert answer['Content-Length'] != str(len(SECRET)), target
    for request in private.requests:
        assert not (request.bucket == 'bkt' and request.key.lstrip('/')
                    .startswith('private/')), request.target
    assert private.get('bkt', 'private/k').body == SECRET


def test_a_deny_of_one_spelling_is_of_all(make_keys, origin, credentials):
    credentials.write(identity('guarded', allow('*', '*'), deny(
        '*', 'bkt/a b', 'bkt/c+d', 'bkt/\u00fc', 'bkt/%41')))
    gateway = make_keys()
    for key in ('a b', 'c+d', '\u00fc', '%41'):
        origin.put('bkt', key, SECRET)
    for target in ('a%20b', 'c+d', 'c%2Bd', 'c%2bd', '%C3%BC', '%c3%bc',
                   '%2541'):
        assert said(get(gateway, GUARDED, f'/bkt/{target}')) == DENIED, target
    # other keys
    for target in ('a+b', 'c%20d', 'u%CC%88', 'A', '%C3%9C'):
        assert said(get(gateway, GUARDED, f'/bkt/{target}')
                    ) == (404, 'NoSuchKey'), target


# --- requests in requests ----------------------------------------------------

SMUGGLED = 'GET /bkt/private/k HTTP/1.1\r\nHost: x\r\n\r\n'


def smuggled(pairs):
    """Bytes of two requests, or of one, as one takes it; after the head of a
    rightly signed PUT of /bkt/team/k."""
    head = 'PUT /bkt/team/k HTTP/1.1\r\n' + head_of(pairs)
    n = len(SMUGGLED)
    chunked = 'Transfer-Encoding: chunked\r\n'
    yield head + chunked + f'Content-Length: {n}\r\n\r\n0\r\n\r\n' + SMUGGLED
    yield head + f'Content-Length: 5\r\nContent-Length: {n}\r\n\r\n' + SMUGGLED
    yield head + f'Content-Length: {n}, 5\r\n\r\n' + SMUGGLED
    yield head + f'Content-Length: +{n}\r\n\r\n' + SMUGGLED
    yield head + f'Content-Length : 0\r\n\r\n{SMUGGLED}'
    yield head + f'Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{SMUGGLED}'
    yield head + 'Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n' + SMUGGLED
    yield head + chunked + chunked + '\r\n0\r\n\r\n' + SMUGGLED
    yield head + 'Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n' + SMUGGLED
    yield head + 'X: y\rContent-Length: 0\r\n\r\n' + SMUGGLED
    yield head.replace('\r\n', '\n') + 'Content-Length: 0\n\n' + SMUGGLED
    yield head + f'\r\nContent-Length: {n}\r\n\r\n' + SMUGGLED
    yield head.replace('HTTP/1.1', 'HTTP/1.0') + chunked + (
        '\r\n0\r\n\r\n' + SMUGGLED)
    yield head + ' folded: x\r\nContent-Length: 0\r\n\r\n' + SMUGGLED


def test_nothing_is_smuggled_behind_a_signature(gateway, private):
    """Whatever it is taken for: the second one is not signed."""
    get(gateway, OWNER, '/bkt/private/k')
    private.requests.clear()
    for payload in (EMPTY_SHA, UNSIGNED):
        pairs = signed(TEAM, 'PUT', '/bkt/team/k', payload=payload)
        for data in smuggled(pairs):
            text = raw(gateway, data.replace('Host: x', 'Host: x\r\n'
                                             'Connection: close'))
            assert SECRET not in text, data
            assert text.count(b'HTTP/1.1 ') <= 2, data
            for status in re.findall(rb'HTTP/1.1 (\d+)', text)[1:]:
                assert status in (b'400', b'403'), (data, text)
    for request in private.requests:
        assert request.key == 'team/k' and request.method == 'PUT'
        assert request.header('content-length') is not None
        assert len(request.header('content-length').split(',')) == 1
        assert request.header('transfer-encoding') is None


def test_each_request_of_a_connection_is_its_own(gateway, private):
    """Signed, unsigned, of another: whoever came before is forgotten."""
    get(gateway, OWNER, '/bkt/private/k')
    order = [OWNER, None, TEAM, OWNER, STRANGER, GUARDED, None, OWNER]
    data = ''.join('GET /bkt/private/k HTTP/1.1\r\n' + head_of(
        signed(who, 'GET', '/bkt/private/k')) + '\r\n' for who in order)
    with raw_http.Connection(gateway.port()) as c:
        for _ in range(3):
            c.send(data.encode())
            found = [c.answer() for _ in order]
            assert [a.status == 200 for a in found] == [
                who is OWNER for who in order]
            assert [a.body == SECRET for a in found] == [
                who is OWNER for who in order]
    # a body that a refused one brings is not read as a request
    inner = ('GET /bkt/private/k HTTP/1.1\r\n' + head_of(
        signed(OWNER, 'GET', '/bkt/private/k')) + '\r\n')
    text = raw(gateway, f'GET /bkt/private/k HTTP/1.1\r\nHost: x\r\n'
               f'Content-Length: {len(inner)}\r\nConnection: close\r\n\r\n'
               f'{inner}')
    assert text.startswith(b'HTTP/1.1 403') and SECRET not in text


# --- headers -----------------------------------------------------------------

def test_overrides_are_for_who_signs(make_keys, origin, private):
    gateway = make_keys()
    for name, value in (('response-content-type', 'text/html'),
                        ('response-content-disposition', 'attachment'),
                        ('response-cache-control', 'public'),
                        ('response-content-encoding', 'gzip'),
                        ('response-content-language', 'de'),
                        ('response-expires', 'Thu, 01 Dec 2050 16:00:00 GMT'),
                        ('re%73ponse-content-type', 'text/html')):
        header = name.replace('%73', 's').partition('-')[2]
        query = f'{name}={quote(value)}'
        answer = get(gateway, None, f'/pub/k?{query}')
        assert answer.status in (400, 403), (query, answer)
        assert answer[header] != value
        answer = get(gateway, OWNER, f'/pub/k?{query}')
        assert (answer.status, answer[header]) == (200, value)
        link = presign(OWNER, f'/pub/k?{query}')
        assert send(gateway, 'GET', link, [('Host', HOST)])[header] == value
        # one that is put behind a link
        link = presign(OWNER, '/pub/k') + f'&{query}'
        assert said(send(gateway, 'GET', link, [('Host', HOST)])) == WRONG
    assert get(gateway, None, '/pub/k')['Content-Type'] != 'text/html'


def test_no_header_is_injected(gateway, private):
    for code_of in ('%0d%0a', '%0D%0A', '%0a', '%0d', '%00', '%c4%8d%c4%8a'):
        query = f'response-content-disposition=a{code_of}X-Evil:%20yes'
        answer = get(gateway, OWNER, f'/bkt/open?{query}')
        assert answer['X-Evil'] is None, code_of
        if 'c4' not in code_of:
            assert answer.status == 400 or '\n' not in str(answer.headers)
    # in what an upload says, bare as it is
    for value in ('a\rX-Evil: yes', 'a\nX-Evil: yes', 'a\0X-Evil: yes'):
        pairs = signed(OWNER, 'PUT', '/bkt/new', {'x-amz-meta-a': value},
                       b'x')
        try:
            send(gateway, 'PUT', '/bkt/new', pairs, b'x')
        except raw_http.Malformed:
            pass
    for request in private.requests_for(method='PUT'):
        assert request.header('x-evil') is None
        assert b'\rX-Evil' not in request.head


POISON = [
    ('x-rgw-auth', 'admin'), ('x-rgw-effective-uid', 'admin'),
    ('x-amz-unknown', 'x'), ('x-amz-acl', 'public-read'),
    ('x-minio-source', 'x'), ('X-Forwarded-Host', 'evil'),
    ('X-Original-URL', '/bkt/private/k'), ('X-Rewrite-URL', '/bkt/private/k'),
    ('X-HTTP-Method-Override', 'DELETE'), ('Connection', 'x-amz-date, host'),
    ('Te', 'trailers'), ('Upgrade', 'h2c'), ('Proxy-Authorization', 'x'),
    ('X-Amz-Security-Token', 'x'), ('Forwarded', 'host=evil'),
    ('x_amz_date', 'x'), ('Cookie', 'a=b')]


@pytest.mark.parametrize('server', [
    '', 'underscores_in_headers on; ignore_invalid_headers off;'])
def test_nothing_that_is_said_poisons_what_others_read(make_keys, private,
                                                       server):
    """Whoever reads first, however: the next one gets the plain object."""
    gateway = make_keys(server=server)
    for number, (name, value) in enumerate(POISON):
        key = f'poison{number}'
        origin_object = private.put('pub', key, pattern(1000, number))
        get(gateway, None, f'/pub/{key}', [(name, value)])
        get(gateway, None, f'/pub/{key}', {'Range': 'bytes=1-2'})
        answer = get(gateway, None, f'/pub/{key}')
        assert (answer.status, answer.body) == (200, origin_object.body), name
        for request in private.requests_for('pub', key):
            assert value not in (request.header(name) or ''), (name, value)
            assert request.method in ('GET', 'HEAD')
            assert '?' not in request.target


def test_what_clients_sign_with_stays_here(make_keys, origin, credentials):
    """The origin is asked by the gateway's own keys, and told of no other."""
    held = key_of('held', session_token='token-of-held')
    credentials.write(identity('held', allow('*', '*'), keys=[held]))
    gateway = make_keys(location='s3_cache_list 1h;')
    link = signer(held).presigned(
        'GET', '/bkt/b?X-Amz-Security-Token=token-of-held', HOST)
    assert send(gateway, 'GET', link, [('Host', HOST)]).status == 404
    for method, target in (('GET', '/bkt/a'), ('GET', '/bkt?list-type=2'),
                           ('GET', '/bkt/a?acl'), ('PUT', '/bkt/a'),
                           ('DELETE', '/bkt/a'), ('OPTIONS', '/bkt/a')):
        assert ask(gateway, held, method, target).status != 403
    assert len(origin.requests) == 7
    for request in origin.requests:
        head = request.head.decode('latin-1').lower()
        assert 'token-of-held' not in head and 'akheld' not in head, head
        assert 'credential=gateway/' in head, head


def test_no_query_poisons_what_others_read(gateway, private):
    for number, query in enumerate((
            'acl', 'versionId=', 'torrent', 'x=y', 'partNumber=1',
            'response-content-type=text%2Fhtml', 'uploadId=', 'X-Amz-Date=x',
            'x-amz-acl=public-read', 'prefix=x', '%00', '&&&', '=', '=x',
            'AWSAccessKeyId=x', 'select&select-type=2')):
        key = f'query{number}'
        private.put('pub', key, b'right')
        answer = get(gateway, None, f'/pub/{key}?{query}')
        assert answer.status in (200, 206, 400, 403), query
        answer = get(gateway, None, f'/pub/{key}')
        assert (answer.status, answer.body, answer['Content-Type']) == (
            200, b'right', private.get('pub', key).headers.get(
                'Content-Type', answer['Content-Type'])), query


def test_an_error_for_one_is_none_for_another(make_keys, private):
    """What the origin refused once, and errors in the dress of a 200."""
    gateway = make_keys(valid='200 206 404 1h')
    for number, rule in enumerate((
            dict(error=(403, 'AccessDenied')), dict(error=(500, 'Internal')),
            dict(error=(503, 'SlowDown')), dict(status=206),
            dict(cut_at=3), dict(length_by=5, cut_at=5))):
        key = f'error{number}'
        private.put('pub', key, b'right')
        private.on('pub', key, times=1, **rule)
        try:
            get(gateway, None, f'/pub/{key}')
        except raw_http.Malformed:
            pass
        answer = get(gateway, OWNER, f'/pub/{key}')
        assert (answer.status, answer.body) == (200, b'right'), rule


# --- too much of it ----------------------------------------------------------

def test_bombs(gateway, private):
    """Each is refused, or harmless; and the next request works."""
    before = len(private.requests)
    made = [
        [(f'x-amz-meta-{i}', 'x') for i in range(200)],
        [(f'x-{i}', 'x') for i in range(500)],
        [('x-amz-meta-a', 'x' * 7000)], [('x-amz-meta-a', 'x' * 100_000)],
        [('x-amz-security-token', 'x' * 7900)],
        [('x' * 5000, 'y')], [('Cookie', 'a=b; ' * 1000)]]
    for headers in made:
        for who in (OWNER, None):
            answer = get(gateway, who, '/bkt/private/k', headers)
            assert answer.status in (200, 400, 403, 494), (headers[0], answer)
            if who is None:
                assert answer.status in (400, 403, 494)
    for query in ('&' * 7000, 'a=b&' * 129, 'a=b&' * 1500, 'a' * 7000,
                  'prefix=' + '%41' * 2000, 'x-amz-meta-a=b&' * 100,
                  '&'.join(f'x-amz-meta-{i}=b' for i in range(120)),
                  'X-Amz-Security-Token=' + 'x' * 7000):
        for who in (OWNER, None):
            answer = get(gateway, who, f'/bkt/private/k?{query}')
            assert answer.status in (200, 400, 403, 414), (query[:20], answer)
            if who is None:
                assert answer.status != 200, query[:20]
    assert said(get(gateway, OWNER, '/bkt/' + 'x' * 1025)) == (
        400, 'KeyTooLongError')
    assert send(gateway, 'GET', '/bkt/' + 'x' * 50_000, []).status == 414
    assert len(private.requests) - before < 20
    assert get(gateway, OWNER, '/bkt/private/k').body == SECRET


def test_ranges_that_are_too_many(gateway, private):
    body = pattern(100_000)
    private.put('bkt', 'team/large', body)
    bomb = 'bytes=' + ','.join(f'{i}-' for i in range(1000))
    for spans in (bomb, 'bytes=0-,0-,0-', 'bytes=-1,-2,-3',
                  'bytes=0-18446744073709551615', f'bytes={"9" * 400}-',
                  'bytes=99999-9'):
        for who, statuses in ((TEAM, (200, 206, 400, 416)), (None, (403,))):
            answer = get(gateway, who, '/bkt/team/large', {'Range': spans})
            assert answer.status in statuses, (spans[:30], answer.status)
            assert len(answer.body) <= len(body)


def test_slow_clients_are_refused_at_once(make_keys, private):
    """No body is waited for that nobody wants; a head is not waited for for
    ever."""
    gateway = make_keys(server='client_header_timeout 300ms;')
    for who in (None, STRANGER, TEAM):
        pairs = signed(who, 'PUT', '/bkt/private/k', payload=sha256(b'x')
                       if who else None)
        with raw_http.Connection(gateway.port()) as c:
            c.request('PUT', '/bkt/private/k',
                      pairs + [('Content-Length', '1000000000')], b'slow')
            # within its 30 seconds: nginx waits for a body for 60
            assert c.answer('PUT').status == 403
    with raw_http.Connection(gateway.port()) as c:
        c.send(b'GET /bkt/private/k HTTP/1.1\r\nHost: x\r\nX: ')
        assert SECRET not in c.to_end()
    assert private.requests == []
