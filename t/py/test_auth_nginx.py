# SPDX-License-Identifier: Apache-2.0
"""Where nginx comes between a signature and what is accessed: rewrites,
subrequests, internal redirects, absolute URIs, HTTP/2. What was signed is what
the client sent; what it may is asked of what is accessed."""

import base64
import hashlib
import hmac
import os
import time
from urllib.parse import quote

import pytest

import raw_http
import raw_http2
from auth_lab import (DOMAIN, FOREIGN, GUARDED, HOST, OWNER, STRANGER, TEAM,
                      ask, code, credentials, gateway, get, make_keys, origin,
                      s3_server, said, signed)
from lib import wait
from lib.identities import allow, identity
from lib.nginx import s3_location
from test_auth_attacks import SECRET, private, send
from write_bodies import form

__all__ = ['credentials', 'gateway', 'make_keys', 'origin', 'private']

WRONG = (403, 'SignatureDoesNotMatch')
DENIED = (403, 'AccessDenied')


@pytest.fixture
def site(make_keys, private):
    """Files beside the cache: page.html includes two objects."""
    def make(server='', page='', **more):
        gateway = make_keys(
            server='root @dir@/html; location = /page.html { ssi on; }'
                   'location = /file.txt { }' + server, **more)
        os.makedirs(f'{gateway.dir}/html', 0o755)
        os.chmod(f'{gateway.dir}/html', 0o755)
        for name, text in (('page.html', page), ('file.txt', 'a file')):
            with open(f'{gateway.dir}/html/{name}', 'w',
                      encoding='ascii') as f:
                f.write(text)
        return gateway
    return make


def test_a_rewrite_is_no_way_round(site, private):
    gateway = site('''
        location /alias/ { rewrite ^/alias(/.*)$ $1 last; }
        location /break/ { rewrite ^/break(/.*)$ $1 break; %s }
        rewrite ^/server(/.*)$ $1;
        location /try/ { try_files $uri @none; }
        location @none { rewrite ^/try(/.*)$ $1 last; }
        location /args/ { rewrite ^/args(/.*)$ $1?acl last; }
        ''' % 'return 404;')
    for alias in ('/alias', '/server', '/try'):
        # what was signed is what was sent
        assert get(gateway, OWNER, f'{alias}/bkt/open').body == b'open', alias
        assert get(gateway, OWNER, f'{alias}/bkt/private/k').body == SECRET
        for target in (f'{alias}/bkt/private/k', f'{alias}/%62kt/private%2Fk',
                       f'{alias}/pub/../bkt/private/k',
                       f'{alias}/x/..%2F../bkt/private/k'):
            for who in (GUARDED, FOREIGN, None):
                answer = get(gateway, who, target)
                assert answer.status in (400, 403, 404), (target, who)
                assert SECRET not in answer.body
        assert said(get(gateway, GUARDED, f'{alias}/bkt/private/k')) == DENIED
        # signed for what is accessed, but not for what was sent
        assert said(send(gateway, 'GET', f'{alias}/bkt/open', signed(
            OWNER, 'GET', '/bkt/open'))) == WRONG
        assert said(send(gateway, 'GET', '/bkt/open', signed(
            OWNER, 'GET', f'{alias}/bkt/open'))) == WRONG
        assert get(gateway, None, f'{alias}/pub/k').body == b'public'
        assert said(get(gateway, None, f'{alias}/bkt/open')) == DENIED
    # a query that the configuration has made is asked about, too
    assert said(get(gateway, TEAM, '/args/bkt/team/k')) == DENIED
    assert ask(gateway, OWNER, 'PUT', '/alias/bkt/new', body=b'new'
               ).status == 200
    assert private.get('bkt', 'new').body == b'new'
    assert said(ask(gateway, GUARDED, 'PUT', '/alias/bkt/private/k',
                    body=b'new')) == DENIED


def test_pages_include_what_their_reader_may(site):
    page = ('1<!--# include virtual="/pub/k" -->2'
            '<!--# include virtual="/bkt/private/k" -->3')
    gateway = site(page=page)
    for _ in range(2):
        assert get(gateway, OWNER, '/page.html').body == \
            b'1public2' + SECRET + b'3'
        for who in (GUARDED, FOREIGN, STRANGER, None):
            answer = get(gateway, who, '/page.html')
            assert SECRET not in answer.body, who
            assert (b'1public2' in answer.body) == (who in (None, GUARDED))
        # signed for the object, not for the page
        answer = send(gateway, 'GET', '/page.html',
                      signed(OWNER, 'GET', '/bkt/private/k'))
        assert SECRET not in answer.body


def test_a_subrequest_says_who_may(site, private):
    gateway = site('location = /asked.txt { auth_request /bkt/private/k;'
                   ' try_files /file.txt =404; }'
                   'location = /told.txt { mirror /bkt/private/k;'
                   ' try_files /file.txt =404; }')
    for _ in range(2):
        assert get(gateway, OWNER, '/asked.txt').body == b'a file'
        for who in (GUARDED, FOREIGN, STRANGER, None):
            answer = get(gateway, who, '/asked.txt')
            assert answer.status in (401, 403, 500), (who, answer)
    private.requests.clear()
    assert get(gateway, FOREIGN, '/told.txt').body == b'a file'
    assert ask(gateway, FOREIGN, 'PUT', '/told.txt', body=b'x').status == 405
    assert get(gateway, OWNER, '/told.txt').body == b'a file'
    assert private.requests_for(method='PUT') == []
    assert private.get('bkt', 'private/k').body == SECRET


def test_an_error_page_is_no_way_round(site, private):
    private.put('pub', 'sorry', b'sorry')
    gateway = site('''
        error_page 403 /bkt/private/k;
        error_page 404 /pub/sorry;
        error_page 418 /bkt/private/k;
        location = /tea { return 418; }
        location = /gone { return 404; }''')
    assert get(gateway, None, '/gone').body == b'sorry'
    assert get(gateway, OWNER, '/tea').body == SECRET
    for who in (None, GUARDED, FOREIGN, STRANGER):
        for method in ('GET', 'POST', 'HEAD'):
            answer = ask(gateway, who, method, '/tea')
            assert SECRET not in answer.body, (who, method)
            assert answer.status in (403, 405, 418), (who, method, answer)
        answer = get(gateway, who, '/bkt/private/k')
        assert answer.status == 403 and SECRET not in answer.body


def test_an_absolute_uri_is_one_host(make_keys, private):
    """nginx takes the host of the request line; what was signed is Host."""
    private.put('bkt', 'other/k', SECRET)
    private.put('other', 'k', b'of other')
    gateway = make_keys(f's3_cache_domain {DOMAIN};',
                        server=f'server_name {DOMAIN} *.{DOMAIN};')
    for host, line, body in (
            (DOMAIN, DOMAIN, b'of other'),
            (f'bkt.{DOMAIN}', f'bkt.{DOMAIN}', SECRET),
            # whatever it does: not what was not signed
            (DOMAIN, f'bkt.{DOMAIN}', b'of other'),
            (f'bkt.{DOMAIN}', DOMAIN, SECRET),
            (DOMAIN, 'evil', b'of other')):
        for who in (OWNER, FOREIGN):
            answer = send(gateway, 'GET', f'http://{line}/other/k',
                          signed(who, 'GET', '/other/k', host=host))
            if who is FOREIGN and body == SECRET:
                assert answer.status == 403, (host, line, answer)
            else:
                assert answer.status in (400, 403) or answer.body == body, (
                    host, line, answer)
    # unsigned: some one host
    for host, line in ((DOMAIN, f'pub.{DOMAIN}'), (f'pub.{DOMAIN}', DOMAIN)):
        for target in ('/other/k', '/bkt/other/k'):
            answer = send(gateway, 'GET', f'http://{line}{target}',
                          [('Host', host)])
            assert answer.status in (400, 403, 404)
            assert SECRET not in answer.body and b'other' != answer.body


def presign_v2(who, resource):
    """The query of a link by SigV2 to /bucket/key."""
    expires = int(time.time()) + 600
    mac = hmac.new(who.secret_key.encode(), (
        f'GET\n\n\n{expires}\n{resource}').encode(), hashlib.sha1).digest()
    return (f'AWSAccessKeyId={who.access_key}&Expires={expires}&Signature='
            + quote(base64.b64encode(mac), safe=''))


def test_links_by_sigv2_are_for_one_object(make_keys, private):
    """SigV2 signs a bucket and a key, whichever way the host names them."""
    private.put('bkt', 'other/k', b'of bkt')
    private.put('other', 'k', b'of other')
    gateway = make_keys(f's3_cache_domain {DOMAIN}; s3_cache_auth_v2 on;',
                        server=f'server_name {DOMAIN} *.{DOMAIN};')

    def of(resource, target, host, line=''):
        target = f'{line and "http://"}{line}{target}'
        return send(gateway, 'GET', f'{target}?{presign_v2(OWNER, resource)}',
                    [('Host', host)])

    good = {'/other/k': b'of other', '/bkt/other/k': b'of bkt'}
    assert of('/other/k', '/other/k', DOMAIN).body == b'of other'
    assert of('/bkt/other/k', '/bkt/other/k', DOMAIN).body == b'of bkt'
    assert of('/bkt/other/k', '/other/k', f'bkt.{DOMAIN}').body == b'of bkt'
    for resource, body in good.items():
        for target in good:
            for host in (DOMAIN, f'bkt.{DOMAIN}', 'evil'):
                for line in ('', DOMAIN, f'bkt.{DOMAIN}', 'evil'):
                    answer = of(resource, target, host, line)
                    assert answer.body == body or answer.status in (
                        400, 403, 404), (resource, target, host, line, answer)
    # of the query only what is on a list is signed
    for more in ('acl', 'versionId=x', 'x=y', 'response-content-type=x',
                 'x-amz-meta-a=b', 'list-type=2', 'partNumber=1'):
        query = presign_v2(OWNER, '/bkt/open')
        assert send(gateway, 'GET', f'/bkt/open?{query}&{more}',
                    [('Host', HOST)]).status in (400, 403), more
    for method in ('HEAD', 'PUT', 'DELETE', 'POST', 'OPTIONS'):
        answer = send(gateway, method,
                      f'/bkt/open?{presign_v2(OWNER, "/bkt/open")}',
                      [('Host', HOST)])
        assert answer.status in (400, 403), method
    assert private.get('bkt', 'open').body == b'open'


@pytest.mark.parametrize('host', [
    '', ' ', '127.0.0.1, evil', '127.0.0.1/', 'bkt.s3.test\t',
    '127.0.0.1:80:80', 'BKT.S3.TEST', 'bkt.s3.test.', '.s3.test',
    'bkt..s3.test', '@s3.test',
    '[::1]', 'bkt%2es3.test'])
def test_hosts_that_are_odd(make_keys, private, host):
    gateway = make_keys(f's3_cache_domain {DOMAIN};')
    for who in (FOREIGN, None):
        for target in ('/private/k', '/bkt/private/k'):
            answer = send(gateway, 'GET', target,
                          signed(who, 'GET', target, host=host))
            assert answer.status in (400, 403, 404), (host, answer)
            assert SECRET not in answer.body


def test_http_2(make_keys, private, credentials):
    gateway = make_keys(http=s3_server(
        private, credentials, '127.0.0.1:@port:h2@ http2',
        location=f's3_cache_domain {DOMAIN};'))

    def pairs_of(who, method='GET', target='/bkt/private/k', host='localhost'):
        return {k.lower(): v for k, v in signed(
            who, method, target, host=host) if k != 'Host'}

    with raw_http2.Connection(gateway.port('h2')) as c:
        assert c.ask('GET', '/bkt/private/k', pairs_of(OWNER)).body == SECRET
        for who in (GUARDED, FOREIGN, STRANGER, None):
            answer = c.ask('GET', '/bkt/private/k', pairs_of(who))
            assert answer.status == 403 and SECRET not in answer.body
        # streams that overlap are each its own
        streams = [(who, c.request('GET', '/bkt/private/k', pairs_of(who)))
                   for who in (OWNER, None, GUARDED, OWNER, STRANGER) * 5]
        for who, stream in streams:
            assert (c.answer(stream).status == 200) == (who is OWNER)
        for target, method in (('/bkt/open', 'GET'),
                               ('/bkt/private/k', 'HEAD')):
            assert c.ask(method, target, pairs_of(OWNER)).status == 403
        private.put('bkt', 'other/k', SECRET)
        private.put('other', 'k', b'of other')
    for authority, host, signs in (
            (DOMAIN, f'bkt.{DOMAIN}', DOMAIN),
            (f'bkt.{DOMAIN}', DOMAIN, DOMAIN),
            (f'bkt.{DOMAIN}', DOMAIN, f'bkt.{DOMAIN}'),
            (DOMAIN, f'bkt.{DOMAIN}', f'bkt.{DOMAIN}')):
        with raw_http2.Connection(gateway.port('h2')) as c:
            assert two_hosts(c, authority, host, pairs_of(
                FOREIGN, target='/other/k', host=signs)) != SECRET


def two_hosts(c, authority, host, pairs):
    """The body of /other/k, of a request with two hosts."""
    c.h2.config.validate_outbound_headers = False
    c.h2.config.normalize_outbound_headers = False
    stream = c.h2.get_next_available_stream_id()
    c.answers[stream] = raw_http2.Answer()
    c.h2.send_headers(stream, [
        (':method', 'GET'), (':scheme', 'http'), (':path', '/other/k'),
        (':authority', authority), ('host', host), *pairs.items()],
        end_stream=True)
    c._flush()
    return c.answer(stream).body


def test_methods_that_nobody_signs(gateway, private):
    """A preflight needs no key, and gets no object."""
    get(gateway, OWNER, '/bkt/private/k')
    for method in ('OPTIONS', 'TRACE', 'CONNECT', 'PROPFIND', 'COPY', 'MOVE',
                   'PATCH', 'GETT', 'LINK'):
        for headers in ({}, {'Origin': 'http://x',
                             'Access-Control-Request-Method': 'GET'}):
            try:
                answer = ask(gateway, None, method, '/bkt/private/k', headers)
            except raw_http.Malformed:
                continue
            assert SECRET not in answer.body, method
            if method != 'OPTIONS':
                assert answer.status >= 400, method
    assert {r.method for r in private.requests} <= {'GET', 'OPTIONS'}
    assert private.get('bkt', 'private/k').body == SECRET


def test_a_reload_of_nginx_in_mid_request(make_keys, private, credentials):
    """Who has been let in stays so; the new workers know the new file."""
    gateway = make_keys()
    body = b'x' * 300_000
    pairs = signed(TEAM, 'PUT', '/bkt/team/k', {}, body)
    text = b'<Delete>' + b''.join(
        b'<Object><Key>team/%d</Key></Object>' % i for i in range(5000)
    ) + b'</Delete>'
    with raw_http.Connection(gateway.port()) as c, \
            raw_http.Connection(gateway.port()) as d:
        c.request('PUT', '/bkt/team/k',
                  pairs + [('Content-Length', str(len(body)))], body[:100_000])
        d.request('POST', '/bkt?delete', signed(
            TEAM, 'POST', '/bkt?delete', {}, text) + [
                ('Content-Length', str(len(text)))], text[:100_000])
        private.wait_requests(1, method='PUT')
        private.wait_requests(1, method='POST')
        credentials.write(identity('owner', allow('read', '*')))
        wait.until(lambda: code(get(gateway, TEAM, '/bkt/team/k'))
                   == 'InvalidAccessKeyId', 'the file')
        gateway.reload()
        assert code(get(gateway, TEAM, '/bkt/team/k')) == 'InvalidAccessKeyId'
        c.send(body[100_000:])
        d.send(text[100_000:])
        for each, method in ((c, 'PUT'), (d, 'POST')):
            answer = each.answer(method)
            assert answer.status in (200, 403), answer
    found = private.get('bkt', 'team/k').body
    assert found in (body, b'team')
    assert get(gateway, OWNER, '/bkt/team/k').body == found


def test_forms_of_browsers(gateway, private):
    kind, body = form({'key': 'team/evil'}, b'evil')
    for who in (None, TEAM, FOREIGN):
        for target in ('/bkt', '/bkt/', '/bkt/team/k', '/pub/k', '/bkt?delete',
                       '/bkt/team/k?select&select-type=2'):
            answer = ask(gateway, who, 'POST', target, {'Content-Type': kind},
                         body)
            assert answer.status in (400, 403, 405), (who, target, answer)
    for r in private.requests:
        assert not r.done or r.method == 'GET', r.target
    assert 'team/evil' not in private.buckets['bkt']


def test_two_levels_of_one_server(make_keys, private, credentials):
    """A location may be open beside one that is not, of the same zone."""
    gateway = make_keys(server=s3_location(
        private.url, 'gateway', 'secret', path='/pub/', valid='200 1h'))
    assert get(gateway, None, '/pub/k').body == b'public'
    assert get(gateway, OWNER, '/bkt/private/k').body == SECRET
    for target in ('/bkt/private/k', '/pub/../bkt/private/k',
                   '/pub/..%2Fbkt/private/k', '/%70ub/../bkt/private/k'):
        answer = get(gateway, None, target)
        assert answer.status >= 400 and SECRET not in answer.body, target
    assert said(get(gateway, None, '/bkt/private/k')) == DENIED


def test_conditions_of_a_configuration(make_keys, private):
    """What "if" makes is a location of its own: it asks no less."""
    gateway = make_keys('if ($s3_cache_identity = "") { add_header X-Who '
                        'nobody always; }'
                        'if ($s3_cache_identity = team) { add_header X-Who '
                        'team always; }'
                        'if ($s3_cache_action = admin) { return 405; }')
    for _ in range(2):
        assert get(gateway, OWNER, '/bkt/private/k').body == SECRET
        for who in (STRANGER, TEAM, None):
            answer = get(gateway, who, '/bkt/private/k')
            assert answer.status == 403 and SECRET not in answer.body, who
            assert answer['X-Who'] == {TEAM: 'team', STRANGER: 'nobody'}.get(
                who), who
        answer = get(gateway, TEAM, '/bkt/team/k')
        assert (answer.body, answer['X-Who']) == (b'team', 'team')
        assert get(gateway, OWNER, '/bkt/open?acl').status == 405
        assert ask(gateway, TEAM, 'PUT', '/bkt/team/k', body=b'team'
                   ).status == 200
