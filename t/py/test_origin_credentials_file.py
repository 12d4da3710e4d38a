# SPDX-License-Identifier: Apache-2.0
"""Keys for the origin in a file that changes; and all sources of them in a
configuration."""

import itertools
import os
import re

import pytest

from credentials_lab import ARN, CLEAN, GIVE, source, wait_valid
from credentials_lab import metadata, origin, serve      # noqa: F401 (fixtures)
from lib import wait
from lib.dns import Dns
from lib.nginx import s3_location, s3_zone
from origin.metadata import Metadata
from origin_reads import reads


# --- files --------------------------------------------------------------------

def write_keys(path, access, secret, token=None, profile='default', swap=True):
    origin_text = (f'[{profile}]\naws_access_key_id = {access}\n'
                   f'aws_secret_access_key = {secret}\n')
    if token:
        origin_text += f'aws_session_token = {token}\n'
    to = path.with_suffix('.new') if swap else path
    to.write_text(origin_text, encoding='ascii')
    to.chmod(0o600)
    if swap:
        os.replace(to, path)


def signed_by(nginx, origin, access, number=itertools.count()):
    """Does a new request have this signer?"""
    key = f'by{next(number)}'
    origin.put('bkt', key, b'body')
    if nginx.get(f'/bkt/{key}').status != 200:
        return False
    return origin.requests_for('bkt', key)[-1].signer == access


@pytest.mark.parametrize('swap', [True, False], ids=['renamed', 'in place'])
def test_a_file_that_changes(serve, origin, tmp_path, swap):
    path = tmp_path / 'keys'
    origin.secrets.update(ONE='secret-1', TWO='secret-2', TEN='secret-3')
    write_keys(path, 'ONE', 'secret-1')
    nginx = serve(f'file={path}')
    assert reads(nginx, '/bkt/key', b'body')
    assert signed_by(nginx, origin, 'ONE')
    for access, secret, token in (('TWO', 'secret-2', 'its-token'),
                                  ('TEN', 'secret-3', None),
                                  ('TEN', 'secret-4', None)):
        origin.secrets[access] = secret
        write_keys(path, access, secret, token, swap=swap)
        wait.until(lambda: signed_by(nginx, origin, access),
                   lambda: f'signed by {access}: {nginx._tail()}')
        assert origin.requests[-1].header('x-amz-security-token') == token
    # what was cached is whose it was: it is the same one under new keys
    assert reads(nginx, '/bkt/key', b'body', 'HIT')
    assert source(nginx)['source'] == f'file={path} profile=default'
    assert source(nginx)['expiry_seconds'] is None
    nginx.reload()
    assert reads(nginx, '/bkt/key', b'body', 'HIT')
    assert signed_by(nginx, origin, 'TEN')


@pytest.mark.parametrize('broken, why', [
    ('[default]\naws_access_key_id=TWO\nsecret-2\n', 'line 3'),
    ('[other]\naws_access_key_id=TWO\naws_secret_access_key=secret-2\n',
     'no such profile'),
    ('[default]\naws_access_key_id=T/O\naws_secret_access_key=secret-2\n',
     'line 0'), ('', 'no such profile'), (None, 'cannot be read')])
def test_a_broken_file_leaves_the_former_keys(serve, origin, tmp_path, broken,
                                              why):
    path = tmp_path / 'keys'
    origin.secrets.update(ONE='secret-1', TWO='secret-2')
    write_keys(path, 'ONE', 'secret-1')
    nginx = serve(f'file={path}')
    if broken is None:
        path.unlink()
    else:
        path.write_text(broken, encoding='ascii')
    nginx.wait_log(f'{why}.*; the former ones stay')
    assert signed_by(nginx, origin, 'ONE') and source(nginx)['valid']
    assert source(nginx)['refreshes']['failed'] == 1
    write_keys(path, 'TWO', 'secret-2')
    wait.until(lambda: signed_by(nginx, origin, 'TWO'), 'signed by TWO')
    # told once, though it was looked at many times
    assert len(re.findall('the former ones stay', nginx.log())) == 1
    assert 'secret-' not in nginx.log()


def test_all_workers_take_a_change_whole(serve, origin, tmp_path):
    """Keys and tokens change all the time while requests are signed: each
    is signed by one of them, and has its token."""
    path = tmp_path / 'keys'
    pairs = {f'AK{i}': f'secret-{i}' for i in range(8)}
    origin.secrets.update(pairs)
    write_keys(path, 'AK0', 'secret-0', 'token-AK0' + 'x' * 4000)
    nginx = serve(f'file={path}', workers=4)
    numbers = itertools.count()
    signers = set()

    def all_seen():
        access = f'AK{next(numbers) % 8}'
        write_keys(path, access, pairs[access], f'token-{access}' + 'x' * 4000)
        for _ in range(5):
            key = f'k{len(origin.requests)}'
            origin.put('bkt', key, b'body')
            assert reads(nginx, f'/bkt/{key}', b'body')
            signers.add(origin.requests[-1].signer)
        return len(signers) >= 5

    wait.until(all_seen, lambda: f'five signers: {signers}', 60)
    for request in origin.requests:
        assert request.header('x-amz-security-token') == (
            f'token-{request.signer}' + 'x' * 4000)


@pytest.mark.skipif(os.getuid() != 0, reason='needs two users')
def test_a_file_that_workers_cannot_read(serve, origin, tmp_path):
    path = tmp_path / 'keys'
    origin.secrets.update(ONE='secret-1', TWO='secret-2')
    write_keys(path, 'ONE', 'secret-1')
    nginx = serve(f'file={path}', start=False)
    nginx.pieces['user'] = 'user nobody nogroup;'
    status, said = nginx.test_conf()
    assert status == 0 and re.search(
        r'\[warn\].*keys" cannot be read by the workers.*nginx.conf:[0-9]+',
        said), said
    nginx.start()
    assert signed_by(nginx, origin, 'ONE')
    write_keys(path, 'TWO', 'secret-2')
    nginx.wait_log('the file cannot be read.*the former ones stay')
    assert signed_by(nginx, origin, 'ONE')
    nginx.reload()
    assert signed_by(nginx, origin, 'TWO')


# --- configuration ------------------------------------------------------------

WRONG = [
    ('container x', {}, 'parameter number 2'),
    ('container', {}, 'needs AWS_CONTAINER_CREDENTIALS_RELATIVE_URI'),
    ('container', {'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI': 'x'},
     'needs a path'),
    ('container', {'AWS_CONTAINER_CREDENTIALS_FULL_URI': 'ftp://HIDDEN/'},
     'invalid URL'),
    ('container', {'AWS_CONTAINER_CREDENTIALS_FULL_URI': '/HIDDEN'},
     'invalid URL'),
    ('container', {'AWS_CONTAINER_CREDENTIALS_FULL_URI':
                   'http://[::1].example/HIDDEN'}, 'invalid host'),
    ('container', {'AWS_CONTAINER_CREDENTIALS_FULL_URI':
                   'http://[::ffff:10.0.0.1]/HIDDEN'}, 'this machine or link'),
    ('container', {'AWS_CONTAINER_CREDENTIALS_FULL_URI':
                   'http://10.0.0.1/HIDDEN'}, 'this machine or link only'),
    ('container', {'AWS_CONTAINER_CREDENTIALS_FULL_URI':
                   'http://[2001:db8::1]/HIDDEN'}, 'this machine or link'),
    ('container', {'AWS_CONTAINER_CREDENTIALS_FULL_URI':
                   'http://127.0.0.1/%HIDDEN'}, 'invalid path'),
    ('instance role_arn=x', {}, 'parameter number 2'),
    ('instance role=a role=b', {}, 'parameter number 3'),
    ('instance role=a/b', {}, 'invalid name'),
    ('instance endpoint=http://u:HIDDEN@h', {}, 'in "endpoint" must not'),
    ('instance', {'AWS_EC2_METADATA_SERVICE_ENDPOINT': '169.254.169.254'},
     'in AWS_EC2_METADATA_SERVICE_ENDPOINT must begin'),
    ('web_identity', {}, 'needs "role_arn"'),
    ('web_identity role_arn=x token_file=x', {}, 'needs an ARN'),
    (f'web_identity role_arn={ARN}', {}, 'needs "token_file"'),
    (f'web_identity role_arn={ARN} token_file=x session_name=a/b', {},
     'invalid "session_name"'),
    (f'web_identity role_arn={ARN} token_file=x endpoint=HIDDEN', {},
     'in "endpoint" must begin'),
    (f'web_identity role_arn={ARN} token_file=x endpoint=http://h.invalid', {},
     'host not found'),
    ('instance endpoint=http://127.0.0.1; ' + GIVE + ' none', {},
     'duplicate'),
    (f'web_identity role_arn={ARN} token_file=x endpoint=http://127.0.0.1; }} '
     'location /b/ { s3_cache hot; s3_cache_origin http://127.0.0.1; '
     f'{GIVE} web_identity role_arn={ARN} token_file=y '
     'endpoint=http://127.0.0.1', {}, 'another token or session'),
]


@pytest.mark.parametrize('words, env, why', WRONG,
                         ids=[f'{w[0][:40]} {w[2]}' for w in WRONG])
def test_what_is_wrong_is_found(serve, words, env, why):
    nginx = serve(words, start=False, env=env)
    status, said = nginx.test_conf()
    assert status != 0 and why in said, said
    assert 'HIDDEN' not in said
    text = nginx.write_conf()
    line = text.split(f'{GIVE} {words}')[0].count('\n') + 1
    assert f'{nginx.conf_path}:{line}' in said, said


@pytest.mark.parametrize('uri', [
    'http://127.0.0.1:1/x', 'http://169.254.170.23/v1/credentials',
    'http://[::1]/x', 'http://[fd00:ec2::23]/v1/credentials',
    'http://localhost:1', 'https://127.0.0.1/x?y=z'])
def test_addresses_of_a_container(serve, uri):
    nginx = serve('container', start=False,
                  env={'AWS_CONTAINER_CREDENTIALS_FULL_URI': uri})
    status, said = nginx.test_conf()
    assert status == 0, said


def test_localhost_is_this_machine(serve, origin, metadata):
    """...whatever a name server says: the token goes there without TLS."""
    with Dns(['127.0.0.9']) as dns:
        nginx = serve('container', more=dns.directive, env={
            'AWS_CONTAINER_CREDENTIALS_FULL_URI':
            f'http://localhost:{metadata.port}/v1/credentials'})
        wait_valid(nginx)
        assert reads(nginx, '/bkt/key', b'body')
        assert not dns.asked


def test_nobody_uses_it(make_nginx, origin):
    """A source that no location has is asked by nobody."""
    with Metadata() as metadata:
        nginx = make_nginx(
            http=f'{s3_zone()} {GIVE} instance endpoint={metadata.url};',
            env=CLEAN, server=s3_location(
                origin.url, more=f'{GIVE} access_key=A secret_key=S;')).start()
        origin.secrets['A'] = 'S'
        assert reads(nginx, '/bkt/key', b'body')
        assert nginx.zone()['origin_keys'] == []
        nginx.stop()
        assert not metadata.asked
