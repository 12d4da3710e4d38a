# SPDX-License-Identifier: Apache-2.0
"""What variables, logs and limits know of who asks."""

import json
import re
import time

import pytest

import raw_http
from auth_lab import (GUARDED, HOST, OWNER, PEOPLE, STRANGER, TEAM, ask,
                      credentials, get, lines, make_keys, origin, signed,
                      signer)
from lib import wait
from lib.identities import allow, identity, key_of

__all__ = ['credentials', 'make_keys', 'origin']

LOG = ("log_format auth escape=json '{"
       '"who": "$s3_cache_identity", "key": "$s3_cache_access_key", '
       '"auth": "$s3_cache_auth", "action": "$s3_cache_action", '
       '"uri": "$s3_cache_uri", "status": $status'
       "}';")
TO_LOG = 'access_log @dir@/auth.log auth;'


def test_what_a_log_knows(make_keys, origin, credentials):
    held = key_of('held', session_token='token-of-held')
    credentials.write(*PEOPLE, identity('held', allow('*', '*'), keys=[held]))
    gateway = make_keys(http=LOG, server=TO_LOG, workers=1)
    origin.put('bkt', 'k v', b'body')
    origin.put('pub', 'k', b'body')
    url = signer(held).presigned(
        'GET', f'/bkt/k%20v?X-Amz-Security-Token={held.session_token}', HOST)
    late = signer(OWNER, -700).presigned('GET', '/bkt/k?x-id=GetObject', HOST)
    rows = [
        (OWNER, 'GET', '/bkt/k%20v', 'owner', 'allowed', 'read'),
        (TEAM, 'PUT', '/bkt/team/k', 'team', 'allowed', 'write'),
        (TEAM, 'GET', '/bkt/k', 'team', 'AccessDenied', 'read'),
        (GUARDED, 'GET', '/bkt?acl', 'guarded', 'AccessDenied', 'admin'),
        (None, 'GET', '/pub/k', 'public', 'allowed', 'read'),
        (None, 'GET', '/bkt?prefix=x', 'public', 'AccessDenied', 'list'),
        (STRANGER, 'GET', '/bkt/k', '', 'InvalidAccessKeyId', ''),
        (OWNER._replace(secret_key='no'), 'GET', '/bkt/k', '',
         'SignatureDoesNotMatch', ''),
        (None, 'GET', url, 'held', 'allowed', 'read'),
        (None, 'GET', late, '', 'AccessDenied', ''),
        (None, 'GET', url.replace('Signature=', 'Signature=0'), '',
         'SignatureDoesNotMatch', ''),
        (None, 'GET', '/bkt/k?AWSAccessKeyId=AKX&Expires=1&Signature=abc%2F',
         '', 'InvalidRequest', '')]
    for who, method, target, *_ in rows:
        ask(gateway, who, method, target)
    found = [json.loads(line) for line in lines(gateway, 'auth.log',
                                                len(rows))]
    for (who, _, target, name, auth_of_it, action), line in zip(rows, found):
        assert (line['who'], line['auth'], line['action']) == (
            name, auth_of_it, action), (target, line)
        key = who.access_key if who else held.access_key
        assert line['key'] == (key if name not in ('', 'public') else '')
    assert [line['uri'] for line in found[:8]] == [r[2] for r in rows[:8]]
    for line in found[8:11]:
        assert 'X-Amz-Signature=***' in line['uri'], line
        assert 'X-Amz-Credential=AK' in line['uri'], line
    assert 'X-Amz-Security-Token=***' in found[8]['uri']
    assert 'x-id=GetObject' in found[9]['uri']
    assert found[11]['uri'] == ('/bkt/k?AWSAccessKeyId=AKX&Expires=1&'
                                'Signature=***')
    with open(f'{gateway.dir}/auth.log', encoding='utf-8') as f:
        text = f.read() + gateway.log()
    for secret in (held.session_token, 'secret+of', url[-64:], late[-64:]):
        assert secret not in text, secret


def test_names_in_a_query_are_masked_however_they_are_spelt(make_keys):
    gateway = make_keys(http=LOG, server=TO_LOG, workers=1)
    words = ['X-Amz-Signature', 'x-amz-signature', 'X%2DAmz-Signature',
             'X-Amz-Security-Token', 'x-amz-security-%54oken', 'Signature',
             'Signatur%65']
    for word in words:
        raw_http.ask(gateway.port(), 'GET', f'/bkt/k?a=b&{word}=hush&c=d')
    for word, line in zip(words, lines(gateway, 'auth.log', len(words))):
        assert 'hush' not in line
        assert json.loads(line)['uri'] == f'/bkt/k?a=b&{word}=***&c=d'


def test_off_has_no_identity(make_gateway, origin):
    gateway = make_gateway(origin, http=LOG, server=TO_LOG,
                           workers=1)
    origin.put('bkt', 'k', b'body')
    get(gateway, OWNER, '/bkt/k')
    line = json.loads(lines(gateway, 'auth.log', 1)[0])
    assert (line['who'], line['key'], line['auth'], line['uri']) == (
        '', '', 'off', '/bkt/k')


def test_a_server_that_asks_early_changes_nothing(make_keys, origin):
    """At the level of the server no location is known yet."""
    gateway = make_keys(
        http='map $s3_cache_identity $known { "" no; default yes; }'
             + LOG, workers=1,
        server=TO_LOG
               + 'set $early "$s3_cache_identity$s3_cache_auth$s3_cache_action'
               '$s3_cache_access_key$s3_cache_uri";'
               'add_header X-Known $known always;'
               'if ($s3_cache_bucket = other) { return 402; }')
    origin.put('bkt', 'k', b'body')
    for who, name, status in ((OWNER, 'owner', 200), (STRANGER, '', 403)):
        answer = get(gateway, who, '/bkt/k')
        assert (answer.status, answer['X-Known']) == (
            status, 'yes' if name else 'no')
    assert [json.loads(line)['who'] for line in lines(
        gateway, 'auth.log', 2)] == ['owner', '']


@pytest.mark.parametrize('variable', ['identity', 'access_key'])
def test_requests_are_limited_by_who_asks(make_keys, origin, variable):
    gateway = make_keys(
        http=f'limit_req_zone $s3_cache_{variable} zone=who:1m rate=1r/m;',
        location='limit_req zone=who burst=2 nodelay; limit_req_status 429;')
    origin.put('bkt', 'k', b'body')
    # who only says that he is the owner, and who is unknown, uses up nothing
    for who in [OWNER._replace(secret_key='no'), STRANGER] * 4:
        assert get(gateway, who, '/bkt/k').status == 403
    assert [get(gateway, OWNER, '/bkt/k').status for _ in range(5)] == [
        200, 200, 200, 429, 429]
    assert get(gateway, GUARDED, '/bkt/k').status == 200


def test_requests_are_limited_by_bucket(make_keys, origin):
    gateway = make_keys(
        http='limit_req_zone $s3_cache_bucket zone=b:1m rate=1r/m;',
        location='limit_req zone=b burst=1 nodelay; limit_req_status 429;')
    for bucket in ('bkt', 'other'):
        origin.put(bucket, 'k', b'body')
        assert [get(gateway, OWNER, f'/{bucket}/{k}').status
                for k in 'kxk'] == [200, 404, 429]


def test_connections_are_limited_by_who_asks(make_keys, origin):
    gateway = make_keys(
        http='limit_conn_zone $s3_cache_identity zone=who:1m;',
        location='limit_conn who 1; limit_conn_status 429;')
    origin.put('bkt', 'k', b'body')
    origin.put('bkt', 'slow', b'slow')
    gate = origin.gate()
    origin.on('bkt', 'slow', gate=gate)
    with raw_http.Connection(gateway.port()) as c:
        c.request('GET', '/bkt/slow', signed(OWNER, 'GET', '/bkt/slow'))
        gate.wait_reached()
        assert get(gateway, OWNER, '/bkt/k').status == 429
        assert get(gateway, GUARDED, '/bkt/k').status == 200
        gate.open()
        assert c.answer().body == b'slow'
    wait.until(lambda: get(gateway, OWNER, '/bkt/k').status == 200, 'room')


def test_a_rate_is_limited_by_who_asks(make_keys, origin):
    gateway = make_keys(
        http='map $s3_cache_identity $rate { owner 64k; default 0; }',
        location='limit_rate $rate;')
    body = b'x' * 100_000
    origin.put('bkt', 'k', body)
    took = {}
    for who in (GUARDED, OWNER):
        began = time.monotonic()
        assert get(gateway, who, '/bkt/k').body == body
        took[who] = time.monotonic() - began
    assert took[OWNER] > 0.4 and took[GUARDED] < took[OWNER]


def test_what_is_counted(make_keys, origin):
    gateway = make_keys()
    origin.put('bkt', 'k', b'body')
    for who, times in ((OWNER, 5), (TEAM, 3), (STRANGER, 2), (None, 1)):
        for _ in range(times):
            get(gateway, who, '/bkt/k')
    assert gateway.zone()['auth'] == {'allowed': 5, 'denied': 4, 'refused': 2}
    for name, count in (('allowed', 5), ('denied', 4), ('refused', 2)):
        assert re.search(rf's3_cache_auth_total{{[^}}]*outcome="{name}"[^}}]*'
                         rf'}} {count}\b', gateway.metrics()), name
