# SPDX-License-Identifier: Apache-2.0
"""s3_cache_auth keys where an operator speaks: s3_cache_admin wants `admin` of
everything, s3_cache_status `list` of everything, and nobody else learns or does
anything."""

import json
import socket

import pytest

import raw_http
from auth_lab import ask, credentials, make_keys, origin, signed
from lib import nginx as nginx_lib
from lib import wait
from lib.identities import (Key, allow, anonymous, deny, identity, key_of)
from purges import is_kept, warm

__all__ = ['credentials', 'make_keys', 'origin']

OPS, VIEWER, READER = key_of('ops'), key_of('viewer'), key_of('reader')
PARTLY, BUCKETS = key_of('partly'), key_of('buckets')
TEMPORARY = key_of('temporary', session_token='token/of=it')
STRANGER = key_of('stranger')

PEOPLE = [
    identity('ops', allow('admin list', '*')),
    identity('viewer', allow('list', '*')),
    identity('reader', allow('read', '*')),
    identity('partly', allow('*', '*'), deny('admin', 'bkt/private/*')),
    identity('buckets', allow('*', 'bkt', 'bkt/*')),
    identity('temporary', allow('*', '*'), keys=[TEMPORARY]),
    anonymous(allow('*', '*')),
]

ENDPOINTS = '''
    location = /admin { s3_cache_admin; }
    location = /status { s3_cache_status; }
    location = /metrics { s3_cache_status prometheus; }
    location = /open { s3_cache_auth off; s3_cache_status; }
    location = /board { s3_cache_dashboard; }
    location = /seen { s3_cache_auth off; s3_cache_dashboard; }
    location = /inner { s3_cache_status; if ($arg_if) { set $x 1; } }
'''


@pytest.fixture
def gateway(make_nginx, origin, credentials):
    """The keys are the server's; its endpoints inherit them."""
    credentials.write(*PEOPLE)
    nginx = make_nginx(
        http=nginx_lib.s3_zone(),
        server=f's3_cache_credentials {credentials.path} interval=100ms;'
               f's3_cache_auth keys; {ENDPOINTS}'
               + nginx_lib.s3_location(origin.url, 'gateway', 'secret',
                                       valid='200 1h',
                                       more='s3_cache_auth off;'))
    return nginx.start()


def said(answer):
    document = json.loads(answer.body)
    return answer.status, document.get('code')


DENIED = (403, 'AccessDenied')


@pytest.mark.parametrize('who, status, admin', [
    (OPS, 200, True), (VIEWER, 200, False), (READER, DENIED, False),
    (BUCKETS, DENIED, False), (PARTLY, 200, False), (TEMPORARY, 200, True),
    (None, DENIED, False), (STRANGER, (403, 'InvalidAccessKeyId'), False),
    (Key(OPS.access_key, VIEWER.secret_key),
     (403, 'SignatureDoesNotMatch'), False),
    (Key(*TEMPORARY[:2], 'token/of=IT'), (400, 'InvalidToken'), False),
    (Key(*TEMPORARY[:2]), (400, 'InvalidToken'), False)],
    ids=['ops', 'viewer', 'reader', 'one-bucket', 'a-deny', 'temporary',
         'nobody', 'stranger', 'wrong-secret', 'wrong-token', 'no-token'])
def test_who_may_what(gateway, origin, who, status, admin):
    origin.put('bkt', 'k', b'x')
    warm(gateway, ['bkt/k'])
    for target in ('/status', '/status?format=prometheus', '/metrics',
                   '/status?explain=/bkt/k', '/inner', '/inner?if=1'):
        answer = ask(gateway, who, 'GET', target)
        if status == 200:
            assert answer.status == 200, (target, answer.body)
        else:
            assert said(answer) == status, target
            assert b'bkt' not in answer.body and b'zone' not in answer.body
    answer = ask(gateway, who, 'POST', '/admin?purge=all')
    if admin:
        assert answer.status == 200, answer.body
        assert json.loads(answer.body)['purged'] == 'all'
        assert is_kept(gateway, ['bkt/k']) == []
        assert 's3_cache_auth: an operator, identity' in gateway.log()
    else:
        assert said(answer) == (DENIED if status == 200 else status)
        assert is_kept(gateway, ['bkt/k']) == ['bkt/k']
        assert 's3_cache_auth: an operator, identity' not in gateway.log()
    # what is wrong with a request is for those to know who may ask
    for method, target in (('DELETE', '/admin'), ('POST', '/admin?drain=x'),
                           ('GET', '/admin?zone=none'), ('HEAD', '/admin')):
        answer = ask(gateway, who, method, target)
        if admin:
            assert answer.status in (400, 404, 405), (method, target)
        else:
            assert answer.status in (400, 403)
            if method != 'HEAD':
                assert said(answer) == (DENIED if status == 200 else status)


def test_what_was_signed_is_what_is_done(gateway):
    """A signature is for its method, path and query."""
    pairs = signed(OPS, 'POST', '/admin?purge=key&bucket=bkt&key=k')
    for method, target in (('POST', '/admin?purge=all'), ('POST', '/admin'),
                           ('GET', '/admin?purge=key&bucket=bkt&key=k'),
                           ('POST', '/Admin?purge=key&bucket=bkt&key=k'),
                           ('POST', '/admin?purge=key&bucket=bkt&key=K')):
        answer = raw_http.ask(gateway.port(), method, target, pairs)
        assert answer.status in (403, 404), (method, target, answer.body)
        assert b'purged' not in answer.body
    answer = raw_http.ask(gateway.port(), 'POST',
                          '/admin?purge=key&bucket=bkt&key=k', pairs)
    assert answer.status == 200
    late = signed(OPS, 'POST', '/admin?purge=all', ahead_s=-1000)
    answer = raw_http.ask(gateway.port(), 'POST', '/admin?purge=all', late)
    assert said(answer) == (403, 'RequestTimeTooSkewed')


def test_keys_that_go_are_refused(gateway, credentials):
    assert ask(gateway, OPS, 'GET', '/status').status == 200
    credentials.write(identity('other', allow('*', '*')))
    gateway.wait_log('identities')
    wait.until(lambda: [ask(gateway, OPS, 'GET', '/status').status
                        for _ in range(8)] == [403] * 8, 'all workers to know')


def test_off_says_nothing(gateway):
    for who in (None, STRANGER):
        assert ask(gateway, who, 'GET', '/open').status == 200


def test_the_numbers_of_the_dashboard(gateway):
    """Whoever may load the page has no number by it."""
    assert ask(gateway, None, 'GET', '/board').status == 200
    for args in ('format=json', 'history=seconds', 'history=hot',
                 'explain=/bkt/k'):
        answer = ask(gateway, None, 'GET', f'/board?{args}')
        assert said(answer) == (403, 'AccessDenied'), args
        assert ask(gateway, VIEWER, 'GET', f'/board?{args}').status == 200
        assert ask(gateway, None, 'GET', f'/seen?{args}').status == 200


def test_a_page_of_somebody_else_asks_for_nothing(gateway, make_nginx, origin,
                                                 credentials):
    """A subrequest has the signature of its client, and no say here."""
    nginx = make_nginx(
        http=nginx_lib.s3_zone(),
        server=f's3_cache_credentials {credentials.path};'
               f's3_cache_auth keys; {ENDPOINTS}'
               'location = /page { ssi on; ssi_types *; root @dir@; }'
               + nginx_lib.s3_location(origin.url, 'gateway', 'secret'))
    nginx.start()
    with open(f'{nginx.dir}/page', 'w', encoding='ascii') as f:
        f.write('<!--# include virtual="/status" -->')
    answer = ask(nginx, OPS, 'GET', '/page')
    assert answer.status == 200
    assert b'requests' not in answer.body and b'hot' not in answer.body
    assert ask(nginx, OPS, 'GET', '/status').status == 200


@pytest.mark.parametrize('what', ['s3_cache_admin', 's3_cache_status',
                                  's3_cache_dashboard'])
def test_keys_need_a_file(make_nginx, what):
    nginx = make_nginx(
        http=nginx_lib.s3_zone(),
        server=f'location = /a {{\n s3_cache_auth keys;\n {what};\n }}')
    status, text = nginx.test_conf()
    assert status != 0
    assert '"s3_cache_auth keys" needs "s3_cache_credentials"' in text
    assert 'nginx.conf:' in text


def test_a_body_that_nobody_wants_is_not_invited(gateway):
    with socket.create_connection(('127.0.0.1', gateway.port())) as sock:
        sock.settimeout(10)
        sock.sendall(b'POST /admin?purge=all HTTP/1.1\r\nHost: x\r\n'
                     b'Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n')
        answer = b''
        while b'}\n' not in answer:
            part = sock.recv(65536)
            assert part, answer
            answer += part
    assert answer.startswith(b'HTTP/1.1 403 ') and b'AccessDenied' in answer
