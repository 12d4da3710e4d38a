# SPDX-License-Identifier: Apache-2.0
"""s3cachectl at one node: what it asks, what it says, how it ends."""

import json
import os
import re
import subprocess

import pytest

from lib import ctl as ctl_lib
from lib import nginx as nginx_lib
from lib import wait
from lib.ctl import (DENIED, LOCAL, NO, OK, REFUSED, UNREACHABLE, USAGE,
                     WRONG, Ctl)
from lib.identities import Credentials, allow, identity, key_of
from purges import is_kept, read, warm

OPS, READER = key_of('ops'), key_of('reader')
AWKWARD = ['a b', 'a+b', 'a%20b', 'ä/ö', '日本語', '//a//', '\x01\x1b[2J\x7f',
           '"q\\', '?x=y#z', '.', '..', 'a/../b']


@pytest.fixture
def gateway(make_gateway, origin):
    return make_gateway(origin, valid='200 206 404 1h',
                        server=ctl_lib.server(), workers=2)


@pytest.fixture
def ctl(gateway):
    return Ctl(gateway.url())


def shown(text):
    """Nothing that a terminal would act upon."""
    return not re.search('[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-'
                         '\u202e\u2066-\u2069]', text)


# --- what it shows -----------------------------------------------------------

def test_status_is_that_of_the_node(gateway, origin, ctl):
    origin.put('bkt', 'k', b'x' * 100_000)
    for _ in range(5):
        read(gateway, 'bkt', 'k')
    text = ctl('status').out
    assert text.startswith('zone hot (s3fifo)\n')
    assert re.search(r'hit ratio +80\.0 % of 5 requests: hit 4, miss 1$', text,
                     re.M), text
    assert re.search(r'sent +488 KiB: ram 80\.0 %, origin 20\.0 %$', text,
                     re.M), text
    assert re.search(r'memory .* entries', text)
    assert re.search(r'origin +1 requests, 97\.7 KiB received, 0 errors', text)
    assert re.search(r'^  bkt +4 +1 +0 +488 KiB +80\.0 %$', text, re.M), text
    assert ctl('--json', 'status').json['zones'][0]['requests'] == (
        gateway.zone()['requests'])
    assert ctl('--zone', 'hot', 'status').out == text
    assert ctl('--zone', 'cold', 'status', rc=REFUSED).out == ''


def test_status_of_flash(make_gateway, origin, tmp_path):
    nginx = make_gateway(origin, server=ctl_lib.server(),
                         stores=[{'path': f'{tmp_path}/store',
                                  'size': '64m'}])
    wait.until(lambda: nginx.zone()['stores'][0]['state'] == 'serving',
               'flash')
    text = Ctl(nginx.url())('status').out
    assert re.search(rf'^  {tmp_path}/store +serving +0 B +64\.0 MiB', text,
                     re.M), text


def test_explain_says_whether_and_where(gateway, origin, ctl):
    for key in AWKWARD:
        origin.put('bkt', key, b'body')
        name = f's3://bkt/{key}'
        if key in ('.', '..', 'a/../b'):
            # no request for it can reach nginx as it is
            assert ctl('explain', name, rc=None).rc in (NO, REFUSED)
            continue
        said = ctl('explain', name, rc=NO)
        assert said.out.startswith('not cached, of http://127.0.0.1:')
        assert 'or it has to be validated first\n' in said.out
        assert shown(said.out)
        warm(gateway, [f'bkt/{key}'])
        said = ctl('explain', name)
        assert said.out.startswith('cached, of http://127.0.0.1:')
        assert re.search(r'\(this one\) +ram +200 +4 B +\d+s +\d+m \d\ds +'
                         r'"[0-9a-f]{32}"', said.out), said.out
        found = ctl('--json', 'explain', name).json
        assert (found['bucket'], found['key']) == ('bkt', key)
        assert found['objects'][0]['nodes'][0]['tier'] == 'ram'


def test_explain_of_blocks_versions_and_absence(make_gateway, origin):
    gateway = make_gateway(origin, valid='200 206 404 1h',
                           server=ctl_lib.server(),
                           location='s3_cache_block_size 64k;')
    ctl = Ctl(gateway.url())
    origin.put('bkt', 'k', b'x' * 200_000, version_id='v1')
    gateway.request('GET', '/bkt/k', {'Range': 'bytes=0-9'})
    wait.until(lambda: ctl('explain', 's3://bkt/k', '--offset', '0',
                           rc=None).rc == OK, 'the first block')
    ctl('explain', 's3://bkt/k', '--offset', '128k', rc=NO)
    ctl('explain', 's3://bkt/k', '--version-id', 'v1', rc=NO)
    assert gateway.get('/bkt/none').status == 404
    said = ctl('explain', 's3://bkt/none', rc=NO)
    assert 'the store said that there is no such object' in said.out
    ctl('--json', 'explain', 's3://bkt/none', rc=NO)


# --- what it does ------------------------------------------------------------

def test_purges(gateway, origin, ctl):
    names = ['bkt/a', 'bkt/a/1', 'bkt/ab', 'bkt/c', 'other/a', 'bkt/' + 'ä b+']
    for name in names:
        origin.put(*name.split('/', 1), name.encode())

    def goes(*args, gone):
        warm(gateway, names)
        assert ctl('purge', *args).out == 'purged at 1 of 1 node\n'
        assert is_kept(gateway, names) == [n for n in names if n not in gone]

    goes('key', 's3://bkt/a', gone=['bkt/a'])
    goes('key', 's3://bkt/ä b+', gone=['bkt/ä b+'])
    goes('prefix', 's3://bkt/a', gone=names[:3])
    goes('bucket', 's3://bkt', gone=[n for n in names if n[0] == 'b'])
    goes('prefix', 's3://bkt/', gone=[n for n in names if n[0] == 'b'])
    goes('all', '--yes', gone=names)
    assert ctl('--json', 'purge', 'key', 's3://bkt/a').json == {
        'purged': 'key', 'bucket': 'bkt', 'key': 'a', 'nodes': 1,
        'missed': []}
    said = ctl('purge', 'key', 's3://bkt/a', '--zone', 'cold', rc=REFUSED)
    assert 'no such zone' in said.err


def test_a_purge_does_what_is_said_or_nothing(gateway, origin, ctl):
    origin.put('bkt', 'a', b'x')
    warm(gateway, ['bkt/a'])
    for args in (('all',), ('key', 's3://bkt'), ('key', 's3://bkt/'),
                 ('bucket', 's3://bkt/a'), ('key',), ('bucket',), (),
                 ('all', 's3://bkt', '--yes'), ('everything', '--yes'),
                 ('prefix', 'bkt/a'), ('bucket', 's3://b*'[:5]),
                 ('bucket', 's3://bkt', '--version-id', 'v')):
        said = ctl('purge', *args, rc=USAGE)
        assert said.err.startswith('s3cachectl: ')
    assert is_kept(gateway, ['bkt/a']) == ['bkt/a']
    assert not any(gateway.zone()['purges'].values())


def test_a_node_without_redis_is_not_drained(ctl):
    for command in ('drain', 'undrain'):
        said = ctl(command, rc=REFUSED)
        assert 'no zone has members by Redis' in said.err
    said = ctl('ring', rc=REFUSED)
    assert 'this zone is in no ring' in said.err


# --- how it gets there -------------------------------------------------------

def test_by_tls(make_gateway, origin, authority, tmp_path):
    cert, key = authority.issue()
    gateway = make_gateway(
        origin, http=f'server {{ listen 127.0.0.1:@port:tls@ ssl; '
        f'ssl_certificate {cert}; ssl_certificate_key {key};'
        f'{ctl_lib.server()} }}\n')
    url = f'https://127.0.0.1:{gateway.port("tls")}'
    assert 'is not one to be trusted' in Ctl(url)(
        'status', rc=UNREACHABLE).err
    assert Ctl(url)('--cacert', authority.cert, 'status').out
    assert Ctl(url, S3CACHE_CACERT=authority.cert)('status').out
    assert Ctl(url)('--insecure', 'status').out
    other = f'https://127.0.0.2:{gateway.port("tls")}'
    Ctl(other)('--cacert', authority.cert, 'status', rc=UNREACHABLE)
    Ctl(url)('--cacert', f'{tmp_path}/none', 'status', rc=LOCAL)
    # plain HTTP at a port of TLS, and the other way round
    Ctl(f'http://127.0.0.1:{gateway.port("tls")}')('status', rc=REFUSED)
    Ctl(gateway.url().replace('http:', 'https:'))('status', rc=UNREACHABLE)


def test_by_a_socket(make_gateway, origin, tmp_path):
    Credentials(tmp_path / 'c', identity('ops', allow('*', '*')))
    gateway = make_gateway(
        origin, http='server { listen unix:@dir@/ctl.sock; '
        f's3_cache_credentials {tmp_path}/c; s3_cache_auth keys;'
        f'{ctl_lib.server()} }}\n')
    url = f'unix:{gateway.dir}/ctl.sock'
    Ctl(url)('status', rc=DENIED)
    # a proxy of the environment is none for a socket
    ctl = Ctl(url, keys=OPS, http_proxy='http://127.0.0.1:1')
    assert ctl('status').out.startswith('zone hot')
    assert ctl('purge', 'all', '--yes').out
    said = Ctl(f'unix:{gateway.dir}/none')('status', rc=UNREACHABLE)
    assert said.err == (f's3cachectl: {gateway.dir}/none does not answer: '
                        'No such file or directory\n')
    said = ctl('--admin', '/none', 'purge', 'all', '--yes', rc=None)
    assert f'{gateway.dir}/ctl.sock' in said.err
    assert 'localhost' not in said.err


def test_by_a_proxy(gateway):
    ctl = Ctl('http://node.test')
    ctl('status', '--proxy', gateway.url(), rc=OK)
    ctl('status', env={'http_proxy': gateway.url()})
    ctl('status', '--proxy', 'http://127.0.0.1:1', rc=UNREACHABLE)


@pytest.mark.parametrize('who', [OPS, key_of('temporary',
                                             session_token='to/k=en')])
def test_it_signs_as_the_node_verifies(make_gateway, origin, tmp_path, who):
    file = Credentials(tmp_path / 'c', identity('who', allow('*', '*'),
                                                keys=[who]))
    gateway = make_gateway(origin, server=ctl_lib.server(
        f's3_cache_credentials {file.path}; s3_cache_auth keys;'))
    ctl = Ctl(gateway.url(), keys=who)
    assert ctl('status').out
    for key in ['k', *AWKWARD[:8]] if who == OPS else ['k']:
        name = f's3://bkt/{key}'
        assert ctl('explain', name, rc=NO).out
        assert ctl('--json', 'purge', 'key', name).json['key'] == key
        assert ctl('--json', 'purge', 'prefix', name).json['prefix'] == key


def test_outsiders_are_refused(make_gateway, origin, tmp_path):
    file = Credentials(tmp_path / 'c', identity('ops', allow('*', '*')),
                       identity('reader', allow('read list', '*')))
    gateway = make_gateway(origin, server=ctl_lib.server(
        f's3_cache_credentials {file.path}; s3_cache_auth keys;'))
    origin.put('bkt', 'k', b'x')
    warm(gateway, ['bkt/k'])
    for keys, why in ((None, 'The request is not signed'),
                      (key_of('stranger'), 'InvalidAccessKeyId'),
                      ((OPS[0], 'wrong'), 'SignatureDoesNotMatch')):
        for args in (('status',), ('purge', 'all', '--yes'), ('drain',),
                     ('explain', 's3://bkt/k')):
            said = Ctl(gateway.url(), keys=keys)(*args, rc=DENIED)
            assert why in said.err and said.out == ''
    reader = Ctl(gateway.url(), keys=READER)
    assert reader('status').out
    assert 'AccessDenied' in reader('purge', 'all', '--yes', rc=DENIED).err
    assert is_kept(gateway, ['bkt/k']) == ['bkt/k']
    denied = Ctl(gateway.url())('--json', 'status', rc=DENIED)
    assert denied.json['exit'] == DENIED and denied.json['error']


# --- settings ----------------------------------------------------------------

def config(home, text, mode=0o600):
    os.makedirs(home / '.config', exist_ok=True)
    path = home / '.config/s3cachectl'
    path.write_text(text)
    path.chmod(mode)
    return path


def test_settings_come_from_three_places(gateway, tmp_path):
    wrong = 'http://127.0.0.1:1'
    config(tmp_path, f'# node\nurl = {gateway.url()}\n')
    ctl = Ctl(home=tmp_path)
    assert ctl('status').out
    ctl('status', env={'S3CACHE_URL': wrong}, rc=UNREACHABLE)
    assert ctl('--url', gateway.url(), 'status',
               env={'S3CACHE_URL': wrong}).out
    config(tmp_path, f'url = {wrong}\n')
    ctl('status', rc=UNREACHABLE)
    assert ctl('status', env={'S3CACHE_URL': gateway.url()}).out
    ctl('--config', f'{tmp_path}/none', 'status', rc=LOCAL)
    Ctl()('status', rc=USAGE)
    other = tmp_path / 'xdg'
    other.mkdir()
    (other / 's3cachectl').write_text(f'url = {gateway.url()}\n')
    assert ctl('status', env={'XDG_CONFIG_HOME': str(other)}).out


def test_secrets_are_kept(make_gateway, origin, tmp_path):
    file = Credentials(tmp_path / 'c', identity('ops', allow('*', '*')))
    gateway = make_gateway(origin, server=ctl_lib.server(
        f's3_cache_credentials {file.path}; s3_cache_auth keys;'))
    text = (f'url = {gateway.url()}\naccess-key = {OPS.access_key}\n'
            f'secret-key = {OPS.secret_key}\n')
    config(tmp_path, text)
    ctl = Ctl(home=tmp_path)
    assert ctl('status').out
    path = config(tmp_path, text, mode=0o640)
    said = ctl('status', rc=USAGE)
    assert 'chmod 600' in said.err and OPS.secret_key not in said.err
    path.unlink()
    said = ctl('--secret-key', OPS.secret_key, '--url', gateway.url(),
               'status', rc=USAGE)
    assert 'all users would see it' in said.err
    assert OPS.secret_key not in said.err
    said = Ctl(gateway.url(), AWS_ACCESS_KEY_ID='x')('status', rc=USAGE)
    assert 'belong together' in said.err


def test_a_file_that_is_wrong_is_refused(tmp_path):
    for text, line in (
            ('url', 1), ('\n# x\nurl =\n', 3), ('nonsense = 1', 1),
            ('timeout = soon', 1), ('status = no-slash', 1),
            ('insecure = maybe', 1), ('url = http://\x1b[2J', 1)):
        config(tmp_path, text)
        said = Ctl(home=tmp_path)('status', rc=USAGE)
        assert f'line {line}' in said.err and shown(said.err.rstrip('\n'))


@pytest.mark.parametrize('args', [
    (), ('nonsense',), ('status', 'more'), ('explain',), ('--nonsense',),
    ('status', '--offset', '1'), ('explain', 'k'), ('explain', 's3://b'),
    ('explain', 's3://b/k', '--offset', '-1'), ('--url', 'ftp://a', 'status'),
    ('--url', 'http://u:p@a', 'status'), ('--timeout', '0', 'status'),
    ('--url', 'http://a/b', 'status'), ('top', '--interval', 'x'),
    ('verify', 's3://b'), ('warmup',), ('--url',),
    ('warmup', 's3://b', '--list', 'x'),
    ('warmup', 's3://b', '--check', '--evict')])
def test_a_line_that_is_wrong_is_refused(args):
    said = Ctl('http://127.0.0.1:1')(*args, rc=USAGE)
    assert said.err.count('s3cachectl') >= 1


def test_help_and_version():
    ctl = Ctl()
    text = ctl('--help').out
    for command in ('status', 'top', 'ring', 'explain', 'purge', 'drain',
                    'undrain', 'warmup', 'verify'):
        assert re.search(rf'^  {command} ', text, re.M)
    assert re.fullmatch(r's3cachectl \d+\.\d+\n', ctl('--version').out)


def test_the_one_that_is_installed_works(gateway, tmp_path):
    """Not the one for tests; with all that it needs."""
    done = subprocess.run([f'{nginx_lib.BUILD}/s3cachectl', '--url',
                           gateway.url(), '--json', 'status'],
                          capture_output=True, timeout=30, check=True)
    assert json.loads(done.stdout)['zones'][0]['name'] == 'hot'
    with open('/dev/full', 'wb') as full:
        done = subprocess.run([f'{nginx_lib.BUILD}/s3cachectl', '--url',
                               gateway.url(), 'status'], stdout=full,
                              timeout=30, check=False)
    assert done.returncode == LOCAL


def test_who_reads_may_leave(gateway):
    child = Ctl(gateway.url()).start('status', stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE)
    child.stdout.close()
    assert child.wait(30) in (OK, LOCAL)
    assert b'Sanitizer' not in child.stderr.read()
    child.stderr.close()


# --- what is no node ---------------------------------------------------------

def test_other_places_than_a_node(make_gateway, origin):
    nginx = make_gateway(origin, server='''
        location = /html { return 200 "<html></html>"; }
        location = /away { return 302 http://127.0.0.1:1/; }
        location = /denied { deny all; }
        location = /broken { return 500; }
        location = /empty { return 200 ""; }
    ''')
    ctl = Ctl(nginx.url())
    for path, rc, why in (
            ('/html', WRONG, 'no JSON of a node'),
            ('/empty', WRONG, 'no JSON of a node'),
            ('/away', REFUSED, 'sends elsewhere (302)'),
            ('/denied', DENIED, 'may not be reached from here'),
            ('/broken', REFUSED, 'answers 500'),
            ('/none', REFUSED, 'has nothing at /none')):
        said = ctl('--status', path, 'status', rc=rc)
        assert why in said.err, said
