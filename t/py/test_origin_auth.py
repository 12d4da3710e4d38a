# SPDX-License-Identifier: Apache-2.0
"""How requests to the origin are signed, by whose credentials, and that none
of them is shown."""

import itertools
import os
import re
from urllib.parse import quote

import pytest

import raw_http
from lib.nginx import Nginx, s3_location, s3_zone
from origin import sigv4
from origin.objects import pattern
from origin.scripted_origin import ScriptedOrigin
from origin_reads import SMALL_BLOCKS, how, reads
from origin_reads import port    # noqa: F401 (a fixture)


# --- signatures ---------------------------------------------------------------

ACCESS, SECRET, TOKEN = 'AKEXAMPLE', 'sEcReT/+xyz=', 'tOkEn//+abc=='
KEYS = ['plain', 'with space', ' led and followed ', 'a+b', '100%', '%41',
        '%2F', 'ünï/cødé ☃', '😀', 'a//b', '/led', 'followed/', '//', 'a/./b',
        'a/../b', 'quo"te\'s', 'semi;colon&amp=1', 'que?ry', 'ha#sh',
        '~tilde.-_', '(par)*!', '[b]{c}|^`\\<>', '$@:,=', 'tab\there',
        'key=a&X-Amz-Date=1', 'x' * 1024]


def signer(request, secrets):
    """Who signed it; fails if it is not signed rightly."""
    return sigv4.check(request.method, request.target, request.headers,
                       request.body, secrets)


def scope(request):
    return re.search('Credential=[^/]+/[0-9]{8}/([^,]+),',
                     request.header('authorization')).group(1)


@pytest.fixture(scope='module')
def signed(tmp_path_factory):
    """(origin, nginx): an origin that refuses what is not signed rightly."""
    with ScriptedOrigin(secrets={ACCESS: SECRET}) as origin:
        with Nginx(tmp_path_factory.mktemp('signed'), http=s3_zone(),
                   server=s3_location(
                       origin.url, ACCESS, SECRET,
                       more=SMALL_BLOCKS)) as nginx:
            yield origin, nginx


@pytest.fixture
def strict(signed):
    """The same, without what the last test left at the origin."""
    signed[0].reset()
    yield signed
    assert signed[0].requests
    for request in signed[0].requests:
        assert request.signer == ACCESS, (request.head, request.refused)


SPELLINGS = {
    'all that may be': lambda key: quote(key, safe=''),
    'as browsers do': lambda key: quote(key, safe="/~!$&'()*+,;=:@[]"),
    'bytes as they are': lambda key: re.sub(
        '[\0-\x20%?#\x7f]', lambda m: f'%{ord(m.group()):02x}',
        key).encode().decode('latin-1'),
}


@pytest.mark.parametrize('spelling', SPELLINGS)
def test_keys_are_signed_as_they_are(strict, spelling):
    origin, nginx = strict
    bucket = f'bkt{list(SPELLINGS).index(spelling)}'
    for number, key in enumerate(KEYS):
        body = b'%d' % number
        origin.put(bucket, key, body)
        target = f'/{bucket}/{SPELLINGS[spelling](key)}'
        for cache in ('MISS', 'HIT'):
            answer = raw_http.ask(nginx.port(), 'GET', target)
            assert (answer.status, how(answer['X-Cache']), answer.body
                    ) == (200, cache, body), (key, target, answer.body)
        assert origin.requests[-1].key == key
    assert len(origin.requests) == len(KEYS)


def test_reads_of_all_kinds_are_signed(strict):
    origin, nginx = strict
    body = pattern(300_000)
    origin.put('kinds', 'dir/la rge', body)
    origin.put('kinds', 'v', b'of a version', version_id='a+b/c=%20')
    spaced = {'x-amz-expected-bucket-owner': 'a  b   c'}
    wanted = [
        ('HEAD', '/kinds/dir/la%20rge', {}, 200),
        ('GET', '/kinds/dir/la%20rge', {'Range': 'bytes=70000-199999'}, 206),
        ('GET', '/kinds/dir/la%20rge', {}, 200),
        ('GET', '/kinds/v?versionId=a%2Bb%2Fc%3D%2520', {}, 200),
        ('HEAD', '/kinds/v?versionId=a%2Bb/c=%2520', {}, 200),
        ('GET', '/kinds/v?partNumber=1', {}, 200),
        ('GET', '/kinds/v?partNumber=1', {'If-None-Match': '"no"'}, 200),
        ('GET', '/kinds/v', spaced, 200),
        ('GET', '/kinds/v', {'x-amz-request-payer': 'requester'}, 200),
        ('GET', '/kinds/v?x-amz-request-payer=requester', {}, 200),
        ('GET', '/kinds/v?tagging', {}, 200),
        ('GET', '/kinds/v?tagging=&versionId=a%2Bb%2Fc%3D%2520', {}, 200),
        ('GET', '/kinds/v', {'Origin': 'http://a.test'}, 200),
        ('GET', '/', {}, 200),
        ('GET', '/kinds', {}, 200),
        ('GET', '/kinds/', {}, 200),
        ('HEAD', '/kinds', {}, 200),
        ('GET', '/kinds?prefix=dir%2Fla%20r&list-type=2&delimiter=%2F', {},
         200),
        ('GET', '/kinds?list-type=2&prefix=dir/%C3%BC&delimiter=/'
         '&encoding-type=url&fetch-owner', {}, 200),
        ('GET', '/kinds?list-type=2&max-keys=1&continuation-token='
         '1%2Ba%2Fb%3D%3D&start-after=a%26b%3Dc', {}, 200),
        ('GET', '/kinds?delimiter=%3B&prefix=%27%22%2A%28%29!~&b=2&a=1&a=0'
         '&B=3', {}, 200),
        ('GET', '/kinds?versions&key-marker=%F0%9F%98%80&&', {}, 200),
    ]
    for method, target, headers, status in wanted:
        answer = raw_http.ask(nginx.port(), method, target, headers)
        assert answer.status in (status, 206 if 'part' in target else status
                                 ), (target, answer.body)
    got = raw_http.ask(nginx.port(), 'GET', '/kinds/dir/la%20rge')
    assert (how(got['X-Cache']), got.body) == ('HIT', body)
    # what has several blocks was asked for by several requests
    assert len(origin.requests_for('kinds', 'dir/la rge')) > 4
    assert {r.header('if-match') for r in origin.requests_for(
        'kinds', 'dir/la rge')} - {None}
    query = [r.query for r in origin.requests if 'continuation-token'
             in r.query][0]
    assert query == {'list-type': '2', 'max-keys': '1', 'continuation-token':
                     '1+a/b==', 'start-after': 'a&b=c'}


def test_how_a_client_signed_never_reaches_the_origin(strict):
    origin, nginx = strict
    origin.put('bkt', 'key', b'body')
    headers = raw_http.signed('GET', '/bkt/key', {}, 'gateway.test',
                              'AKCLIENT', 'client-secret',
                              session_token='client-token')
    presigned = ('X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKCLIENT'
                 '%2F20260101%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Date='
                 '20260101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host'
                 '&X-Amz-Signature=' + 64 * 'e' + '&X-Amz-Security-Token='
                 'client-token')
    for target in ('/bkt/key', '/bkt/key?partNumber=1', '/bkt?list-type=2'):
        for given, query in ((headers, ''), ({}, presigned)):
            if query:
                query = ('&' if '?' in target else '?') + query
            answer = raw_http.ask(nginx.port(), 'GET', target + query, given)
            assert answer.status in (200, 206), answer.body
    assert len(origin.requests) == 5              # one was a hit
    for request in origin.requests:
        for word in (b'AKCLIENT', b'client', b'eeee', b'gateway.test',
                     b'20260101', b'X-Amz-Expires'):
            assert word not in request.head, request.head
        assert request.head.lower().count(b'\r\nauthorization:') == 1


# --- credentials --------------------------------------------------------------

@pytest.fixture
def credentials(tmp_path):
    """A file of credentials: [default] and [prod], which has a token."""
    path = tmp_path / 'credentials'
    path.write_text(
        '# of a test\n[default]\naws_access_key_id = AKFILE\n'
        f'aws_secret_access_key = {SECRET}file\n\n[prod]\n'
        f'aws_access_key_id=AKPROD\naws_secret_access_key={SECRET}prod\n'
        f'aws_session_token={TOKEN}prod\n', encoding='ascii')
    path.chmod(0o600)
    return path


def sources(path):
    """bucket: (what is configured, access key, session token)"""
    give = 's3_cache_origin_credentials'
    return {
        'args': (f'{give} access_key=AKARGS secret_key={SECRET}args;',
                 'AKARGS', None),
        'token': (f'{give} access_key=AKTOKEN secret_key={SECRET}token '
                  f'session_token={TOKEN}token;', 'AKTOKEN', TOKEN + 'token'),
        'file': (f'{give} file={path};', 'AKFILE', None),
        'relative': (f'{give} file=../{path.name};', 'AKFILE', None),
        'profile': (f'{give} file={path} profile=prod;', 'AKPROD',
                    TOKEN + 'prod'),
        'environ': (f'{give} env;', 'AKENV', TOKEN + 'env'),
        'nobody': (f'{give} none;', None, None),
        'inherits': ('', 'AKOUTER', None),
    }


SECRETS = {f'AK{word.upper()}': SECRET + word for word in (
    'args', 'token', 'file', 'prod', 'env', 'outer', 'new')}


def serve_sources(make_nginx, origin, path, **pieces):
    locations = ''.join(
        s3_location(origin.url, path=f'/{bucket}/', more=text)
        for bucket, (text, _, _) in sources(path).items())
    for bucket in sources(path):
        origin.put(bucket, 'key', bucket.encode())
    return make_nginx(
        http=s3_zone() + 's3_cache_origin_credentials access_key=AKOUTER '
        f'secret_key={SECRET}outer;', server=locations,
        env={'AWS_ACCESS_KEY_ID': 'AKENV', 'AWS_SECRET_ACCESS_KEY':
             SECRET + 'env', 'AWS_SESSION_TOKEN': TOKEN + 'env'}, **pieces)


def test_where_credentials_come_from(make_nginx, origin, credentials):
    nginx = serve_sources(make_nginx, origin, credentials).start()
    for mark in (1, 2):
        for bucket, (_, access_key, token) in sources(credentials).items():
            assert reads(nginx, f'/{bucket}/key', bucket.encode())
            request, = origin.requests_for(bucket)
            assert signer(request, SECRETS) == access_key
            assert request.header('x-amz-security-token') == token
            if access_key:
                assert scope(request) == 'us-east-1/s3/aws4_request'
            else:
                assert b'x-amz-date' not in request.head
                assert b'x-amz-content' not in request.head
        if mark == 1:                     # the same after a reload...
            origin.requests.clear()
            nginx.reload(http=nginx.pieces['http'].replace(':64m', ':65m'))

    # ...which reads the file again
    credentials.write_text('[default]\naws_access_key_id=AKNEW\n'
                           f'aws_secret_access_key={SECRET}new\n[prod]\n'
                           'aws_access_key_id=AKPROD\n'
                           f'aws_secret_access_key={SECRET}prod\n')
    nginx.reload()
    origin.requests.clear()
    assert reads(nginx, '/file/key', b'file', 'HIT')   # of the same file
    origin.put('file', 'new', b'new')
    assert reads(nginx, '/file/new', b'new')
    assert signer(origin.requests[0], SECRETS) == 'AKNEW'
    assert reads(nginx, '/args/key', b'args', 'HIT')


def test_environment_without_a_session_token(make_nginx, origin):
    env = {'AWS_ACCESS_KEY_ID': 'AKENV',
           'AWS_SECRET_ACCESS_KEY': SECRET + 'env', 'AWS_SESSION_TOKEN': ''}
    nginx = make_nginx(http=s3_zone(), env=env, server=s3_location(
        origin.url, more='s3_cache_origin_credentials env;')).start()
    origin.put('bkt', 'key', b'body')
    assert reads(nginx, '/bkt/key', b'body')
    assert signer(origin.requests[0], SECRETS) == 'AKENV'
    assert origin.requests[0].header('x-amz-security-token') is None


def test_the_region_is_signed_for(origin, make_gateway):
    nginx = make_gateway(origin, keys=(ACCESS, SECRET), region='eu-west-3')
    origin.put('bkt', 'key', b'body')
    assert reads(nginx, '/bkt/key', b'body')
    assert signer(origin.requests[0], {ACCESS: SECRET}) == ACCESS
    assert scope(origin.requests[0]) == 'eu-west-3/s3/aws4_request'


def test_nothing_shows_a_secret(make_nginx, origin, credentials, port):
    """Logs of the highest level, answers, metrics, and what it prints."""
    refused = s3_location(f'http://127.0.0.1:{port}', 'AKARGS',
                          f'{SECRET}args', path='/down/')
    nginx = serve_sources(
        make_nginx, origin, credentials, log_level='debug')
    nginx.pieces['server'] += refused
    nginx.pieces['http'] += (
        'log_format all escape=json "$request $s3_cache_status '
        '$s3_cache_tier $s3_cache_bucket $s3_cache_key $s3_cache_bypass";\n'
        'access_log @dir@/all.log all;')
    status, said = nginx.test_conf()
    assert status == 0, said
    nginx.start()
    shown = [said]

    def ask(target, method='GET'):
        answer = nginx.request(method, target)
        shown.append(f'{answer.status} {answer.headers} {answer.body}')
        return answer.status

    origin.on(key='denied', error=(403, 'AccessDenied'))
    origin.on(key='broken', malformed='duplicate_length')
    origin.on(key='dropped', drop=True)
    statuses = set()
    for bucket in sources(credentials):
        for key in ('key', 'key', 'missing', 'denied', 'broken', 'dropped',
                    'key?partNumber=1', 'key?tagging', '?list-type=2'):
            statuses.add(ask(f'/{bucket}/{key}'))
        statuses.add(ask(f'/{bucket}/other', 'HEAD'))
        statuses.add(ask(f'/{bucket}/key', 'PUT'))
    statuses.add(ask('/down/key'))
    assert statuses == {200, 206, 403, 404, 411, 502}
    shown += [str(nginx.status()), nginx.metrics()]
    nginx.reload()
    nginx.stop()
    for name in ('error.log', 'access.log', 'all.log', 'stdio.log'):
        with open(os.path.join(nginx.dir, name), encoding='latin-1') as f:
            shown.append(f.read())
            assert shown[-1] or name == 'stdio.log'
    signatures = [re.search('Signature=(.+)', r.header('authorization'))
                  .group(1) for r in origin.requests
                  if r.header('authorization')]
    assert signatures
    for word in itertools.chain([SECRET, TOKEN], SECRETS, signatures,
                                ['Credential=', 'security-token']):
        for text in shown:
            assert word not in text, (word, text[
                max(0, text.find(word) - 300):text.find(word) + 100])


@pytest.mark.parametrize('target', ['/bkt/key', '/bkt/key?tagging'])
def test_an_error_of_the_origin_shows_no_token(make_gateway, target):
    """S3 tells who signs wrongly what should have been signed, the token
    included (CanonicalRequest; Token-0 of an expired one)."""
    with ScriptedOrigin(secrets={ACCESS: 'another'}) as origin:
        nginx = make_gateway(
            origin, 's3_cache_origin_credentials '
            f'access_key={ACCESS} secret_key={SECRET} session_token={TOKEN};')
        answer = nginx.get(target)
        assert origin.requests[0].refused.startswith('SignatureDoesNotMatch')
        assert 400 <= answer.status < 600
        assert TOKEN.encode() not in answer.body
