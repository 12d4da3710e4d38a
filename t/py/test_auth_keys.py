# SPDX-License-Identifier: Apache-2.0
"""s3_cache_auth keys: who may do what, by the file of identities as it is
now."""

import os
import re
import signal
import tempfile
from urllib.parse import quote

import pytest

import raw_http
from auth_lab import (EVERY, FOREIGN, GUARDED, HOST, OWNER, PEOPLE, STRANGER,
                      TEAM, all_workers, ask, auth, code, credentials, get,
                      make_keys, gateway, lines, origin, s3_server, said,
                      signed, signer)
from lib import wait
from lib.identities import (Credentials, Key, allow, anonymous, deny, identity,
                            key_of)
from lib.nginx import s3_location, s3_zone
from write_bodies import form

__all__ = ['credentials', 'gateway', 'make_keys', 'origin']

DENIED = (403, 'AccessDenied')
UNKNOWN = (403, 'InvalidAccessKeyId')
WRONG = (403, 'SignatureDoesNotMatch')
DELETES = ('<Delete>' + '<Object><Key>%s</Key></Object>' * 2
           + '<Quiet>true</Quiet></Delete>')


# --- what is what ------------------------------------------------------------

# (method, target, headers, body, what it needs); KEY is a new one each time
READ, LIST, WRITE, ADMIN = {'read'}, {'list'}, {'write'}, {'admin'}
OPERATIONS = [
    ('GET', '/bkt/KEY', {}, b'', READ),
    ('HEAD', '/bkt/KEY', {}, b'', READ),
    ('GET', '/bkt/KEY?versionId=null', {}, b'', READ),
    ('GET', '/bkt/KEY?partNumber=1', {}, b'', READ),
    ('GET', '/bkt/KEY?response-content-type=a%2Fb&x-id=GetObject', {}, b'',
     READ),
    ('GET', '/bkt/KEY?tagging', {}, b'', READ),
    ('GET', '/bkt/KEY?attributes', {}, b'', READ),
    ('POST', '/bkt/KEY?select&select-type=2', {}, b'<x/>', READ),
    ('GET', '/bkt?list-type=2&prefix=KEY', {}, b'', LIST),
    ('GET', '/bkt/?delimiter=%2F&marker=KEY', {}, b'', LIST),
    ('GET', '/bkt?versions&prefix=KEY', {}, b'', LIST),
    ('GET', '/bkt?uploads', {}, b'', LIST),
    ('GET', '/bkt?location', {}, b'', LIST),
    ('HEAD', '/bkt', {}, b'', LIST),
    ('GET', '/', {}, b'', LIST),
    ('PUT', '/bkt/KEY', {}, b'new', WRITE),
    ('PUT', '/bkt/KEY', {'x-amz-acl': 'private'}, b'new', WRITE),
    ('DELETE', '/bkt/KEY', {}, b'', WRITE),
    ('DELETE', '/bkt/KEY?versionId=1', {}, b'', WRITE),
    ('PUT', '/bkt/KEY?tagging', {}, b'<x/>', WRITE),
    ('POST', '/bkt/KEY?uploads', {}, b'', WRITE),
    ('PUT', '/bkt/KEY?partNumber=1&uploadId=u', {}, b'part', WRITE),
    ('GET', '/bkt/KEY?uploadId=u&max-parts=5', {}, b'', WRITE),
    ('POST', '/bkt/KEY?uploadId=u', {}, b'<x/>', WRITE),
    ('DELETE', '/bkt/KEY?uploadId=u', {}, b'', WRITE),
    ('POST', '/bkt?delete', {}, (DELETES % ('KEY', 'b')).encode(), WRITE),
    ('GET', '/bkt/KEY?acl', {}, b'', ADMIN),
    ('PUT', '/bkt/KEY?acl', {}, b'<x/>', ADMIN),
    ('POST', '/bkt/KEY?restore', {}, b'<x/>', ADMIN),
    ('PUT', '/bkt/KEY?retention', {}, b'<x/>', ADMIN),
    ('GET', '/bkt/KEY?nobody-knows=it', {}, b'', ADMIN),
    ('GET', '/bkt/KEY?tagging&attributes', {}, b'', ADMIN),
    ('GET', '/bkt/KEY?uploadId=', {}, b'', ADMIN),
    ('GET', '/bkt?policy', {}, b'', ADMIN),
    ('PUT', '/bkt?policy', {}, b'{}', ADMIN),
    ('GET', '/bkt?acl', {}, b'', ADMIN),
    ('PUT', '/bkt', {}, b'', ADMIN),
    ('DELETE', '/bkt', {}, b'', ADMIN),
    ('PUT', '/bkt/KEY', {'x-amz-acl': 'public-read'}, b'new', WRITE | ADMIN),
    ('PUT', '/bkt/KEY?x-amz-acl=public-read', {}, b'new', WRITE | ADMIN),
    ('PUT', '/bkt/KEY', {'x-amz-grant-read': 'id=x'}, b'new', WRITE | ADMIN),
    ('PUT', '/bkt/KEY', {'x-amz-object-lock-mode': 'COMPLIANCE'}, b'new',
     WRITE | ADMIN),
    ('DELETE', '/bkt/KEY', {'x-amz-bypass-governance-retention': 'true'}, b'',
     WRITE | ADMIN),
    ('PUT', '/bkt/KEY', {'x-amz-copy-source': '/bkt/from'}, b'',
     WRITE | READ),
    ('PUT', '/bkt/KEY?x-amz-copy-source=bkt%2Ffrom', {}, b'', WRITE | READ),
    ('PUT', '/bkt/KEY?partNumber=1&uploadId=u',
     {'x-amz-copy-source': 'bkt/from'}, b'', WRITE | READ),
    ('POST', '/bkt', {'Content-Type': form({'key': 'KEY'}, b'x')[0]},
     form({'key': 'KEY'}, b'x')[1], WRITE | ADMIN),
]


def do(nginx, origin, who, operation, key):
    """(the answer, how many requests the origin has had for it)"""
    method, target, headers, body, _ = operation
    before = len(origin.requests)
    answer = ask(nginx, who, method, target.replace('KEY', key), headers,
                 body.replace(b'KEY', key.encode()))
    return answer, len(origin.requests) - before


@pytest.mark.parametrize('has', [
    {'read'}, {'list'}, {'write'}, {'admin'}, {'write', 'admin'},
    {'read', 'write'}, {'read', 'list', 'write', 'admin'}],
    ids=lambda has: '-'.join(sorted(has)))
def test_an_operation_needs_what_it_does(make_keys, origin, credentials, has):
    credentials.write(identity('who', allow(' '.join(has), '*')))
    gateway, wrong = make_keys(), []
    for number, operation in enumerate(OPERATIONS):
        answer, asked = do(gateway, origin, key_of('who'), operation,
                           f'k{number}')
        if operation[4] <= has:
            good = answer.status not in (401, 403) and asked == 1
        else:
            good = answer.status == 403 and asked == 0 and (
                operation[0] == 'HEAD' or code(answer) == 'AccessDenied')
        if not good:
            wrong.append((operation, answer.status, answer.body, asked))
    assert wrong == []


# --- policies ----------------------------------------------------------------

def test_keys_below_a_prefix(make_keys, origin):
    gateway = make_keys(valid='200 1h')
    rows = {
        'team/x': True, 'team/': True, 'team/../private': True,
        'team//': True, 'team/%E2%82%AC': True, '%74eam/x': True,
        'team%2Fx': True, 'team': False, 'teamx': False, 'Team/x': False,
        '/team/x': False, './team/x': False, 'x/../team/x': False,
        'private/x': False, 'team%252Fx': False, 'team%5Cx': False}
    wrong = []
    for path, may in rows.items():
        for method in ('GET', 'HEAD', 'PUT', 'DELETE'):
            answer = ask(gateway, TEAM, method, f'/bkt/{path}')
            if (answer.status != 403) != may:
                wrong.append((method, path, answer.status))
        # another bucket of the same keys
        assert said(get(gateway, TEAM, f'/other/{path}')) == DENIED
    assert wrong == []
    assert not [r.key for r in origin.requests if r.bucket != 'bkt'
                or not r.key.startswith('team/')]


def test_lists_of_a_prefix(make_keys):
    gateway = make_keys()
    rows = {
        'prefix=team/': True, 'prefix=team%2Fx': True,
        'prefix=team%2F..': True,
        'list-type=2&prefix=team/&delimiter=/': True,
        'versions&prefix=team/': True, 'uploads&prefix=team/x': True,
        'location': True,
        '': False, 'prefix=': False, 'prefix': False, 'prefix=team': False,
        'prefix=t': False, 'prefix=Team/': False, 'prefix=/team/': False,
        'prefix=team/&prefix=': False, 'prefix=&prefix=team/': False,
        'prefix=team/&prefix=team/': False, 'prefix=team/&pref%69x=x': False,
        'Prefix=team/': False, 'prefix=team%252F': False,
        'versions': False, 'uploads&prefix=x': False, 'acl': False,
        'prefix=team/&policy': False}
    wrong = []
    for query, may in rows.items():
        answer = get(gateway, TEAM, f'/bkt?{query}')
        if (answer.status != 403) != may:
            wrong.append((query, answer.status, answer.body))
    assert wrong == []
    assert ask(gateway, TEAM, 'HEAD', '/bkt').status == 200
    assert ask(gateway, TEAM, 'HEAD', '/other').status == 403
    assert said(get(gateway, TEAM, '/')) == DENIED
    assert get(gateway, OWNER, '/').status == 200


def test_a_deny_wins(gateway, origin):
    origin.put('bkt', 'open', b'open')
    origin.put('bkt', 'private/k', b'private')
    assert get(gateway, OWNER, '/bkt/private/k').body == b'private'
    assert get(gateway, GUARDED, '/bkt/open').body == b'open'
    for target in ('/bkt/private/k', '/bkt/private/', '/bkt/%70rivate/k',
                   '/bkt/private%2Fk', '/bkt//private/k', '/bkt?prefix=',
                   '/bkt?prefix=priv', '/bkt?prefix=private/x', '/bkt?acl'):
        assert said(get(gateway, GUARDED, target)) == DENIED, target
    for target in ('/bkt/private', '/bkt/privatex', '/bkt?prefix=open'):
        assert get(gateway, GUARDED, target).status in (200, 404), target


def test_the_interface_of_a_store_is_no_bucket(make_keys, origin, credentials):
    """MinIO, RustFS and Ceph RGW take the gateway's own signature there."""
    credentials.write(
        identity('owner', allow('*', '*')),
        identity('team', allow('read list write', '*', '*/*')),
        identity('foreign', allow('read', 'admin/*')),
        anonymous(allow('read', '*/*')))
    gateway = make_keys()
    for who in (TEAM, FOREIGN, None):
        for method, target in (
                ('GET', '/minio/admin/v3/export-iam'),
                ('PUT', '/minio/admin/v3/import-iam'),
                ('GET', '/%6dinio/admin/v3/export-iam'), ('HEAD', '/minio/x'),
                ('GET', '/rustfs/admin/v3/list-users'), ('GET', '/minio'),
                ('POST', '/minio/admin/v3/x?delete')):
            answer = ask(gateway, who, method, target)
            assert answer.status == 403, (who, method, target)
    for who in (TEAM, None):
        assert said(get(gateway, who, '/admin/metadata/user')) == DENIED
    assert not origin.requests
    origin.put('admin', 'k', b'body')
    origin.put('minions', 'k', b'body')
    for who, target in ((FOREIGN, '/admin/k'), (OWNER, '/admin/k'),
                        (TEAM, '/minions/k'), (None, '/minions/k')):
        assert get(gateway, who, target).body == b'body', target


def test_who_does_not_sign(make_keys, origin, credentials):
    gateway = make_keys(location='s3_cache_list 1h;')
    for bucket in ('pub', 'bkt'):
        origin.put(bucket, 'k', b'body')
        assert get(gateway, OWNER, f'/{bucket}/k').body == b'body'
    before = len(origin.requests)
    assert get(gateway, None, '/pub/k').body == b'body'
    assert ask(gateway, None, 'HEAD', '/pub/k').status == 200
    assert get(gateway, None, '/bkt/k').status == 403
    for method, target, body in [
            ('GET', '/bkt/k', b''), ('GET', '/bkt/none', b''),
            ('GET', '/pub', b''), ('GET', '/pub/k?acl', b''),
            ('GET', '/', b''), ('PUT', '/pub/k', b'x'),
            ('DELETE', '/pub/k', b''), ('POST', '/pub?delete', b'<x/>')]:
        answer = ask(gateway, None, method, target, body=body)
        assert said(answer) == DENIED, (method, target, answer)
    # half of credentials is a mistake, and nobody who is anonymous
    for target in ('/pub/k', '/bkt/k'):
        answer = ask(gateway, None, 'GET', target,
                     [('X-Amz-Security-Token', 'a')])
        assert said(answer) == DENIED, target
    # who signs is who he says, not the public as well
    for who, wanted in ((FOREIGN, DENIED), (STRANGER, UNKNOWN),
                        (OWNER._replace(secret_key='no'), WRONG)):
        assert said(get(gateway, who, '/pub/k')) == wanted
    assert len(origin.requests) == before
    # without one who is anonymous they may nothing
    credentials.write(*PEOPLE[:-1])
    wait.until(lambda: said(get(gateway, None, '/pub/k')) == DENIED, 'reload')


def test_a_copy_reads_its_source(make_keys, origin):
    gateway = make_keys()
    origin.put('bkt', 'open', b'open')
    origin.put('bkt', 'private/k', b'private')

    def copy(source, more=(), query=''):
        return said(ask(gateway, GUARDED, 'PUT', f'/bkt/to{query}',
                        [('x-amz-copy-source', s) for s in source] + [*more]))

    for source in ('bkt/open', '/bkt/open'):
        assert copy([source]) == (200, None), source
    # (this origin does not decode)
    assert copy(['/bkt/%6fpen'])[1] == 'NoSuchKey'
    before = len(origin.requests)
    for source in ('bkt/private/k', '/bkt/private/k', 'bkt/private%2Fk',
                   'bkt%2Fprivate%2Fk', '/bkt/%70rivate/k',
                   'bkt/private/k?versionId=null', '/bkt//private/k',
                   # what MinIO and other readers of URLs take for that
                   '/bkt//x/../private/k', 'bkt/private#', 'bkt/open#',
                   'bkt/private\\k',
                   'arn:aws:s3:us-east-1:1:accesspoint/ap/object/open'):
        assert copy([source])[0] in (400, 403), source
    assert copy(['bkt/private/k']) == DENIED
    for sources in (['bkt/open', 'bkt/private/k'], ['bkt/open', 'bkt/open'],
                    ['']):
        assert copy(sources)[0] in (400, 403), sources
    assert copy([], query='?x-amz-copy-source=bkt/private/k') == DENIED
    assert copy(['bkt/open'], query='?x-amz-copy-source=bkt/private/k')[0] \
        in (400, 403)
    assert copy(['bkt/open'], query='?X-Amz-Copy-Source=bkt/private/k')[0] \
        in (400, 403)
    assert len(origin.requests) == before
    # the target needs no less
    assert said(ask(gateway, GUARDED, 'PUT', '/bkt/private/to',
                    {'x-amz-copy-source': 'bkt/open'})) == DENIED


# --- DeleteObjects -----------------------------------------------------------

def delete(gateway, who, text, query='?delete', **more):
    body = text if isinstance(text, bytes) else text.encode()
    return ask(gateway, who, 'POST', f'/bkt{query}', body=body, **more)


def test_each_key_of_a_delete_must_be_allowed(gateway, origin):
    for key in ('team/a', 'team/b&', 'private'):
        origin.put('bkt', key, b'body')
    for keys in (('team/a', 'private'), ('private', 'team/a'),
                 ('team/a', '&#x70;rivate'), ('team/a', 'priv&#97;te')):
        assert said(delete(gateway, TEAM, DELETES % keys)) == DENIED, keys
    # the last of many, when most of it could have been sent on
    many = '<Delete>' + ''.join(
        f'<Object><Key>team/{"x" * 500}{i}</Key></Object>' for i in range(900))
    assert said(delete(
        gateway, TEAM, many + '<Object><Key>private</Key></Object></Delete>'
    )) == DENIED
    # MinIO takes it for private/k
    assert said(delete(gateway, GUARDED, DELETES % ('a', '/x/../private/k'))
                ) == DENIED
    assert set(origin.buckets['bkt']) == {'team/a', 'team/b&', 'private'}
    assert delete(gateway, TEAM, many + '</Delete>').status == 200
    assert delete(gateway, TEAM, DELETES % ('team/a', 'team/b&amp;')
                  ).status == 200
    assert set(origin.buckets['bkt']) == {'private'}
    assert said(delete(gateway, None, DELETES % ('a', 'b'))) == DENIED
    assert delete(gateway, OWNER, DELETES % ('a', 'private')).status == 200
    assert set(origin.buckets['bkt']) == set()


@pytest.mark.parametrize('text', [
    '<Delete><Object><Key>team/a</Key></Object><!-- --><Object><Key>private'
    '</Key></Object></Delete>',
    '<Delete><Object><Key><![CDATA[private]]></Key></Object></Delete>',
    '<!DOCTYPE x [<!ENTITY k "private">]><Delete><Object><Key>&k;</Key>'
    '</Object></Delete>',
    '<Delete xmlns:a="b"><a:Object><a:Key>private</a:Key></a:Object></Delete>',
    '<Delete><Object><Key>team/a</Key><Key>private</Key></Object></Delete>',
    '<Delete><x><Object><Key>private</Key></Object></x></Delete>',
    '<Delete><Object><Key><b>private</b></Key></Object></Delete>',
    '<Delete><Object><Key> private</Key></Object></Delete>',
    '<x><Object><Key>private</Key></Object></x>',
    '<Delete><Object><Key>team/a</Key></Object></Delete><Delete><Object><Key>'
    'private</Key></Object></Delete>',
    '<Delete><Object><Key>private',
    '<Delete><Object><Key>private</Key></Object></Delete>'.encode('utf-16'),
    '{"Objects": [{"Key": "private"}]}', ' ',
], ids=range(14))
def test_a_delete_that_is_not_understood(gateway, origin, text):
    """Who may write all keys may send it; who may not, not."""
    assert said(delete(gateway, TEAM, text))[0] in (400, 403)
    for r in origin.requests_for(method='POST'):
        wait.until(lambda r=r: r.body_bytes < int(r.header('content-length'))
                   and origin.open == 0, 'an upload that broke')
        assert not r.done
    before = len(origin.requests)
    delete(gateway, OWNER, text)
    assert len(origin.requests) > before


# --- keys --------------------------------------------------------------------

def test_session_tokens(make_keys, origin, credentials):
    held = key_of('held', session_token='token/+=of-held')
    credentials.write(identity('held', allow('*', '*'), keys=[held]),
                      identity('owner', allow('*', '*')))
    gateway = make_keys()
    origin.put('bkt', 'k', b'body')
    assert get(gateway, held, '/bkt/k').body == b'body'
    for token in (None, 'token/+=of-helD', 'token', held.session_token + 'x'):
        answer = get(gateway, held._replace(session_token=token), '/bkt/k')
        assert answer.status in (400, 403), answer
        assert b'token/+=' not in answer.body
    assert get(gateway, OWNER._replace(session_token='x'), '/bkt/k').status \
        in (400, 403)

    def presigned(who, token):
        query = '' if token is None else \
            '?X-Amz-Security-Token=' + quote(token, safe='')
        target = signer(who).presigned('GET', f'/bkt/k{query}', HOST)
        return raw_http.ask(gateway.port(), 'GET', target, [('Host', HOST)])

    assert presigned(held, held.session_token).body == b'body'
    for token in (None, '', 'token', held.session_token.lower() + 'X'):
        assert presigned(held, token).status in (400, 403), token
    assert presigned(OWNER, held.session_token).status in (400, 403)


def test_an_identity_may_have_several_keys(make_keys, origin, credentials):
    keys = [key_of('who', n) for n in (1, 2, 3)]
    credentials.write(identity('who', allow('read', 'bkt/*'), keys=keys))
    gateway = make_keys(
        http='log_format who $s3_cache_identity/$s3_cache_access_key;'
             'access_log off;', server='access_log @dir@/who.log who;')
    origin.put('bkt', 'k', b'body')
    for key in keys:
        assert get(gateway, key, '/bkt/k').body == b'body'
    # the secret of one is none of another
    assert said(get(gateway, Key(keys[0][0], keys[1][1]), '/bkt/k')) == WRONG
    assert said(get(gateway, key_of('who', 4), '/bkt/k')) == UNKNOWN
    assert sorted(lines(gateway, 'who.log', 5)) == ['-/-', '-/-'] + [
        f'who/{key.access_key}' for key in keys]


# --- the file ----------------------------------------------------------------

def test_the_file_is_read_anew(make_keys, origin, credentials):
    gateway = make_keys(server=EVERY)
    origin.put('bkt', 'k', b'body')
    late = key_of('late')
    row = late, 'GET', '/bkt/k'
    all_workers(gateway, {row: UNKNOWN}, 'not yet')
    pids = gateway.worker_pids()
    credentials.write(*PEOPLE, identity('late', allow('read', 'bkt/*')))
    all_workers(gateway, {row: (200, None)}, 'a new identity')
    with raw_http.Connection(gateway.port('all')) as c:
        def again():
            c.request('GET', '/bkt/k', signed(late, 'GET', '/bkt/k'))
            return said(c.answer())
        assert again() == (200, None)
        credentials.write(*PEOPLE, identity('late', deny('*', 'bkt/k')))
        all_workers(gateway, {row: DENIED}, 'another policy')
        assert again() == DENIED
        credentials.write(*PEOPLE)
        all_workers(gateway, {row: UNKNOWN}, 'revoked')
        assert again() == UNKNOWN
        credentials.write(*PEOPLE, identity(
            'late', allow('*', '*'), keys=[Key(late.access_key, 'new')]))
        all_workers(gateway, {row: WRONG}, 'another secret')
        assert again() == WRONG
    assert get(gateway, OWNER, '/bkt/k', name='all').body == b'body'
    assert gateway.worker_pids() == pids


@pytest.mark.parametrize('text,line', [
    ('{ "identities": [\n { "name": "x",\n "polici": [] } ] }', 3),
    ('{ "identities": [\n\n', 3),
    ('{"identities": [{"name": "x", "policy": [\n{"effect": "allow", '
     '"actions": ["s3:GetObject"], "resources": ["*"]}]}]}', 2),
    ('', 1), ('\0' * 5000, 1), (b'\xff\xfe{', 1), ('[' * 100_000, 1),
    (' ' * (1 << 20) + '{"identities": []}', 0),
    ('{"identities": [' + '{},' * 5000 + '{}]}', 1), (None, 0)],
    ids=range(10))
def test_a_broken_file_changes_nothing(make_keys, origin, credentials, text,
                                       line):
    gateway = make_keys(server=EVERY)
    origin.put('bkt', 'k', b'body')
    row = OWNER, 'GET', '/bkt/k'
    all_workers(gateway, {row: (200, None)}, 'before')
    mark = len(gateway.log())
    if text is None:
        credentials.remove()
    else:
        credentials.write_text(text)
    where = re.escape(credentials.path) + '"' + (
        f', line {line}:' if line else '')
    for pid in gateway.worker_pids():
        gateway.wait_log(rf'\[(error|crit|warn)\] {pid}#.*{where}', start=mark)
    all_workers(gateway, {row: (200, None),
                          (STRANGER, 'GET', '/bkt/k'): UNKNOWN}, 'as before')
    assert 'secret+of' not in gateway.log()
    credentials.write(identity('stranger', allow('*', '*')))
    all_workers(gateway, {row: UNKNOWN,
                          (STRANGER, 'GET', '/bkt/k'): (200, None)}, 'good')


def test_a_key_that_was_taken_back_never_comes_again(make_keys, credentials):
    """Neither by a worker that begins anew, nor by a reload, while the file
    is broken."""
    gateway = make_keys(server=EVERY)
    row = OWNER, 'GET', '/bkt/k'
    all_workers(gateway, {row: (404, 'NoSuchKey')}, 'before')
    credentials.write(*[p for p in PEOPLE if p['name'] != 'owner'])
    all_workers(gateway, {row: UNKNOWN}, 'taken back')
    credentials.write_text('{')
    gateway.wait_log('this is not JSON')
    gateway.kill_worker()
    for _ in range(20):
        answer = get(gateway, OWNER, '/bkt/k', name='all')
        assert answer.status in (403, 503), answer
    # of a configuration that cannot be read nginx keeps the old one
    mark = len(gateway.log())
    gateway.allow(r'\[emerg\].*credentials.json')
    gateway.send_signal(signal.SIGHUP)
    gateway.wait_log(r'\[emerg\].*credentials.json', start=mark)
    for _ in range(20):
        assert get(gateway, OWNER, '/bkt/k', name='all').status in (403, 503)
    credentials.write(*PEOPLE)
    all_workers(gateway, {row: (404, 'NoSuchKey')}, 'given again')


@pytest.mark.skipif(os.getuid() != 0, reason='needs two users')
def test_a_file_that_workers_can_read_no_more(make_nginx, origin):
    """One that begins then has what the master read: that is good as long as
    nobody has had another one."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        file = Credentials(f'{folder}/credentials.json', *PEOPLE)
        gateway = make_nginx(http=s3_zone(), server=EVERY + s3_location(
            origin.url, 'gateway', 'secret', more=auth(file)))
        gateway.pieces['user'] = 'user nobody nogroup;'
        gateway.start()
        row = OWNER, 'GET', '/bkt/k'
        all_workers(gateway, {row: (404, 'NoSuchKey')}, 'before')
        os.chmod(file.path, 0o600)
        gateway.wait_log(r'open\(\) failed; what was read before stays')
        gateway.kill_worker()
        all_workers(gateway, {row: (404, 'NoSuchKey')}, 'as the master read')
        os.chmod(file.path, 0o644)
        file.write(*[p for p in PEOPLE if p['name'] != 'owner'])
        all_workers(gateway, {row: UNKNOWN}, 'taken back')
        mark = len(gateway.log())
        os.chmod(file.path, 0o600)
        gateway.wait_log(r'open\(\) failed; what was read before', start=mark)
        gateway.kill_worker()
        gateway.wait_log('this worker has begun since it was changed')
        for _ in range(20):
            answer = get(gateway, OWNER, '/bkt/k', name='all')
            assert answer.status in (403, 503), answer
        file.write(*PEOPLE)
        all_workers(gateway, {row: (404, 'NoSuchKey')}, 'given again')


@pytest.mark.parametrize('conf,said_of_it', [
    ('s3_cache_auth keys;', 's3_cache_credentials'),
    ('s3_cache_auth key;', 'invalid value'),
    ('s3_cache_credentials @dir@/none; s3_cache_auth keys;', 'none'),
    ('s3_cache_credentials @dir@/broken; s3_cache_auth keys;',
     'broken", line 2:'),
    ('s3_cache_credentials @dir@/good interval=x; s3_cache_auth keys;',
     'interval'),
    ('s3_cache_credentials @dir@/good interva=5s; s3_cache_auth keys;',
     'interva'),
    ('s3_cache_credentials;', 'number of arguments'),
    ('s3_cache_credentials @dir@/good; s3_cache_credentials @dir@/good;',
     'duplicate'),
    ('s3_cache_auth_skew x;', 'invalid'),
    ('s3_cache_auth_presigned_max 8d;', 's3_cache_auth_presigned_max'),
    ('s3_cache_auth_v2 yes;', 'invalid value'),
    ('s3_cache_credentials @dir@/good; s3_cache_auth keys;', None)])
def test_a_configuration_that_is_refused(make_nginx, credentials, conf,
                                         said_of_it):
    nginx = make_nginx(http=s3_zone(), server=s3_location(
        'http://127.0.0.1:1', more=conf))
    for name, text in (('broken', '{ "identities":\n 5 }'),
                       ('good', open(credentials.path,
                                     encoding='utf-8').read())):
        with open(f'{nginx.dir}/{name}', 'w', encoding='utf-8') as f:
            f.write(text)
    status, text = nginx.test_conf()
    assert (status == 0) == (said_of_it is None), text
    if said_of_it:
        assert re.search(rf'\[emerg\].*{said_of_it}', text), text
        assert re.search(r'nginx.conf:\d+', text), text
    assert 'secret+of' not in text


def test_two_locations_may_have_two_files(make_nginx, origin, tmp_path):
    one = Credentials(tmp_path / 'one', identity('one', allow('*', '*')))
    two = Credentials(tmp_path / 'two', identity('two', allow('*', '*')))
    nginx = make_nginx(http=s3_zone() + s3_server(
        origin, one, '127.0.0.1:@port:one@') + s3_server(
            origin, two, '127.0.0.1:@port:two@')).start()
    origin.put('bkt', 'k', b'body')
    for name, other in (('one', 'two'), ('two', 'one')):
        assert get(nginx, key_of(name), '/bkt/k', name=name).body == b'body'
        assert said(get(nginx, key_of(name), '/bkt/k', name=other)) == UNKNOWN
