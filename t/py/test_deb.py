# SPDX-License-Identifier: Apache-2.0
"""The Debian package: what is in it, and that it installs, serves and goes
away. On a copy of this machine; on a fresh Debian each of DEB_SUITES (`make
deb-test`), where it is built from nothing but the tree, too."""

import filecmp
import glob
import http.client
import os
import re
import shutil
import subprocess

import pytest

from lib import ports, roots, wait
from lib.nginx import BUILD, MODULE_NAME, REPO
from origin.objects import pattern

PACKAGE = 'libnginx-mod-http-s3-cache'
DOC = f'/usr/share/doc/{PACKAGE}'
ENABLED = '/etc/nginx/modules-enabled/50-mod-http-s3-cache.conf'
DROP_IN = '/usr/lib/systemd/system/nginx.service.d/s3-cache.conf'
SUITES = os.environ.get('DEB_SUITES', '').split()
TREE = ('Makefile', 'config', 'src', 'ngx_module', 'conf-examples', 'docs',
        'README.md', 'LICENSE', 'CHANGES')
NOT_OURS = ('/var/lib/dpkg/', '/var/lib/apt/', '/var/log/', '/var/cache/',
            '/var/lib/systemd/', '/etc/ld.so.cache', '/etc/nginx/nginx.conf')

pytestmark = [pytest.mark.deadline(600), pytest.mark.xdist_group('deb')]


def run(*args, timeout_s=600, **env):
    done = subprocess.run(args, cwd=REPO, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=timeout_s, check=False,
                          env=dict(os.environ, MAKEFLAGS='', **env))
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout


def only_deb(folder):
    deb, = glob.glob(f'{folder}/{PACKAGE}_*.deb')
    return deb


@pytest.fixture(scope='module')
def deb():
    if 'asan' in os.environ.get('MODULE_SO', ''):
        pytest.skip('a package has no sanitizer')
    run('make', 'deb', f'BUILD={BUILD}')
    return only_deb(f'{BUILD}/deb')


@pytest.fixture
def root(tmp_path):
    """root(base): a Root."""
    made = []

    def make(base):
        made.append(roots.Root(base, tmp_path / f'root{len(made)}'))
        return made[-1].__enter__()

    try:
        yield make
    finally:
        for one in made:
            if one.child:
                one.__exit__()


# --- what it is ---------------------------------------------------------------

def field(deb, name):
    return run('dpkg-deb', '-f', deb, name).strip()


def test_a_package_has_what_it_should(deb):
    files = {line.split()[-1][1:]: line for line
             in run('dpkg-deb', '-c', deb).splitlines()
             if not line.startswith('d') and ' -> ' not in line}
    for path in (f'/usr/lib/nginx/modules/{MODULE_NAME}', DROP_IN,
                 '/usr/share/nginx/modules-available/mod-http-s3-cache.conf',
                 f'{DOC}/examples/ring.conf', f'{DOC}/docs/operations.md',
                 f'{DOC}/README.md', f'{DOC}/copyright',
                 f'{DOC}/changelog.gz', f'{DOC}/changelog.Debian.gz'):
        assert files[path].startswith('-rw-r--r-- root/root'), path
    # nothing else has any right to be here
    strange = [path for path in files if not path.startswith(
        (DOC, '/usr/lib/nginx/modules/', '/usr/share/nginx/', DROP_IN,
         '/usr/bin/s3cachectl', '/usr/share/man/',
         '/usr/share/bash-completion/', '/usr/share/zsh/', '/usr/share/fish/',
         '/usr/share/lintian/'))]
    assert not strange


def test_a_package_wants_the_nginx_it_was_built_with(deb):
    depends = field(deb, 'Depends')
    with open('/usr/share/nginx/src/debian/libnginx-mod.abisubstvars',
              encoding='ascii') as f:
        abi = re.search(r'nginx-abi-\S+', f.read()).group()
    names = re.split(r'[ ,]+', depends)
    assert abi in names
    for library in ('libxxhash0', 'liburing2', 'libhiredis', 'libssl3'):
        assert any(n.startswith(library) for n in names), depends


def test_lintian_has_nothing_to_say(deb):
    changes, = glob.glob(f'{BUILD}/deb/*.changes')
    assert deb
    run('lintian', '--fail-on=error,warning', '--allow-root', changes)


UNRELEASED = '''Changes
=======

Unreleased: more

  Part.

    *) Feature: one,
       in two lines.
    *) Bugfix: two.

1.2.0 2026-12-01

    *) Feature: three.
'''


@pytest.mark.parametrize('text, version, date', [
    (UNRELEASED, r'1\.2\.0\+2-1~deb\d+u1', 'Fri, 13 Feb 2009 23:31:30'),
    (UNRELEASED.split('\n\n1.2')[0], r'0\+2-1~deb\d+u1',
     'Fri, 13 Feb 2009 23:31:30'),
    ('Changes\n\n' + UNRELEASED[UNRELEASED.index('1.2.0'):],
     r'1\.2\.0-1~deb\d+u1', 'Tue, 01 Dec 2026 00:00:00'),
    ('Changes\n', None, None)])
def test_the_version_is_that_of_changes(tmp_path, text, version, date):
    (tmp_path / 'CHANGES').write_text(text, encoding='ascii')
    done = subprocess.run(
        ['sh', f'{REPO}/conf-examples/debian/changelog.sh',
         str(tmp_path / 'CHANGES')], capture_output=True, text=True,
        env=dict(os.environ, SOURCE_DATE_EPOCH='1234567890'), check=False)
    if version is None:
        assert done.returncode and 'no version' in done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert re.match(rf'{PACKAGE} \({version}\) ', done.stdout)
    assert f'>  {date} +0000\n' in done.stdout


def test_logs_of_the_examples_are_rotated_by_nginx_of_debian():
    with open('/etc/logrotate.d/nginx', encoding='ascii') as f:
        assert f.read().startswith('/var/log/nginx/*.log {')
    for path in glob.glob(f'{REPO}/conf-examples/**/*.conf', recursive=True):
        with open(path, encoding='utf-8') as f:
            for log in re.findall(r'(?m)^\s*(?:access|error)_log +(\S+?)[ ;]',
                                  f.read()):
                assert re.fullmatch(
                    r'off|stderr|/dev/std(out|err)|/var/log/nginx/[\w-]+\.log',
                    log), path


# --- that it works --------------------------------------------------------------

class Life:
    """A package in a root that has what it depends on."""

    def __init__(self, root, deb, rgw):
        self.root, self.deb, self.rgw = root, deb, rgw
        self.port = ports.reserve()
        self.before = root.changed()

    def left(self):
        return sorted(path for path in self.root.changed() - self.before
                      if not path.startswith(NOT_OURS))

    def install(self):
        self.root.copy(self.deb, '/tmp/package.deb')
        self.root.run('dpkg', '-i', '/tmp/package.deb')
        assert 'load_module modules/' + MODULE_NAME in self.root.read(ENABLED)
        self.root.run('sh', '-c', 'cp /etc/nginx/nginx.conf /tmp/; nginx -t')

    def configure(self):
        """By the example as it was installed."""
        text = self.root.read(f'{DOC}/examples/minimal.conf')
        for old, new in (('127.0.0.1:8080', f'127.0.0.1:{self.port}'),
                         (' hot:1g', ' hot:64m'),
                         ('http://127.0.0.1:9000', self.rgw.url),
                         ('EXAMPLEKEY', self.rgw.access_key),
                         ('EXAMPLESECRET', self.rgw.secret_key)):
            assert old in text
            text = text.replace(old, new)
        self.root.write('/etc/nginx/nginx.conf', text)
        self.root.run('nginx', '-t')

    def get(self, path):
        conn = http.client.HTTPConnection('127.0.0.1', self.port, timeout=20)
        try:
            conn.request('GET', path)
            answer = conn.getresponse()
            return answer.status, answer.getheader('X-Cache'), answer.read()
        finally:
            conn.close()

    def serve(self, bucket, body):
        # a daemon keeps what it would say to
        self.root.run('sh', '-c', 'nginx >/tmp/said 2>&1 || ! cat /tmp/said')
        assert self.get(f'/{bucket}/k') == (200, 'MISS', body)
        assert self.get(f'/{bucket}/k') == (200, 'HIT', body)
        assert self.get(f'/{bucket}/none')[0] == 404

    def workers(self):
        return set(self.root.run(
            'sh', '-c', 'p=$(cat /run/nginx.pid); cat /proc/$p/task/$p/children'
        ).split())

    def upgrade(self, bucket, body):
        """Another file of the module under a nginx that runs: reloaded, it goes
        on with the code, and with what is in memory."""
        old = self.workers()
        self.root.run('dpkg', '-i', '/tmp/package.deb')
        self.root.run('nginx', '-s', 'reload')
        wait.until(lambda: self.workers() and not self.workers() & old,
                   'a reload', 30, 0.05)
        assert self.get(f'/{bucket}/k') == (200, 'HIT', body)

    def remove(self):
        """Removed while nginx runs: it serves on; then all is as it was."""
        self.root.run('dpkg', '-r', PACKAGE)
        assert self.left() == [f'{ENABLED}.removed']
        assert self.get('/')[0] == 200
        self.quit()
        self.root.run('sh', '-c',
                      'cp /tmp/nginx.conf /etc/nginx/; nginx -t')
        self.root.run('dpkg', '-P', PACKAGE)
        assert self.left() == []

    def quit(self):
        self.root.run('sh', '-c', 'kill -QUIT "$(cat /run/nginx.pid)"')
        wait.until(lambda: self.root.call(
            'test', '-e', '/run/nginx.pid')[0], 'end of nginx', 30, 0.05)


def live(root, deb, rgw, rgw_s3, bucket):
    body = pattern(300_000)
    rgw_s3.put_object(Bucket=bucket, Key='k', Body=body)
    life = Life(root, deb, rgw)
    life.install()
    life.configure()
    life.serve(bucket, body)
    life.upgrade(bucket, body)
    life.remove()
    # who turned the module off still has it off after the next one
    life.install()
    root.run('rm', ENABLED)
    root.run('dpkg', '-i', '/tmp/package.deb')
    assert root.call('test', '-e', ENABLED)[0]
    root.run('dpkg', '-P', PACKAGE)
    assert life.left() == []


def test_it_installs_serves_and_goes(root, deb, rgw, rgw_s3, bucket):
    try:
        copy = root('/')
    except roots.Unavailable as e:
        pytest.skip(str(e))
    live(copy, deb, rgw, rgw_s3, bucket)


def test_systemd_understands_the_limits(tmp_path):
    if not shutil.which('systemd-analyze'):
        pytest.skip('systemd is not installed')
    folder = tmp_path / 'nginx.service.d'
    folder.mkdir()
    shutil.copy('/lib/systemd/system/nginx.service', tmp_path)
    shutil.copy(f'{REPO}/conf-examples/systemd/s3-cache.conf', folder)
    assert run('systemd-analyze', '--man=no', 'verify',
               str(tmp_path / 'nginx.service'),
               SYSTEMD_UNIT_PATH=f'{tmp_path}:') == ''


# --- on a fresh Debian ------------------------------------------------------------

def apt(root, *packages):
    root.write('/etc/apt/apt.conf.d/99s3c', '''
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
APT::Sandbox::User "";
APT::Install-Recommends "false";
''')
    root.run('apt-get', '-q', 'update')
    root.run('apt-get', '-q', '-y', 'install', *packages, timeout_s=900)


@pytest.mark.deadline(2400)
@pytest.mark.parametrize('suite', SUITES or [pytest.param(
    'none', marks=pytest.mark.skip('DEB_SUITES is not set: make deb-test'))])
def test_on_a_fresh_debian(suite, root, tmp_path, rgw, rgw_s3, bucket):
    base = roots.fresh(suite)
    built = build_inside(root(base), tmp_path / 'built')
    clean = root(base)
    # what it needs, by what it says, and the editor of the archive: apt
    clean.copy(built, '/tmp/package.deb')
    apt(clean, '/tmp/package.deb', 'nginx')
    clean.run('nginx', '-t')
    clean.run('dpkg', '-P', PACKAGE)
    live(clean, built, rgw, rgw_s3, bucket)


def build_inside(root, folder):
    """`make deb` where nothing is installed, as the README says: the package."""
    apt(root, 'make', 'lintian')
    tar = f'{folder}.tar'
    run('tar', '-cf', tar, '--exclude=__pycache__', *TREE)
    root.run('mkdir', '/tree')
    root.copy(tar, '/tree.tar')
    root.run('tar', '-xf', '/tree.tar', '-C', '/tree')
    root.run('make', '-C', '/tree', 'deb', timeout_s=1500)
    root.run('sh', '-c', 'lintian --fail-on=error,warning --allow-root '
             '/tree/build/deb/*.changes')
    folder.mkdir()
    path = root.run('sh', '-c', f'ls /tree/build/deb/{PACKAGE}_*.deb').strip()
    root.take(path, folder / os.path.basename(path))
    return str(folder / os.path.basename(path))


@pytest.mark.deadline(1200)
def test_who_builds_it_again_gets_the_same(deb, tmp_path):
    if not SUITES:
        pytest.skip('DEB_SUITES is not set: make deb-test')
    run('make', 'deb', f'BUILD={tmp_path}/build', timeout_s=1100)
    assert filecmp.cmp(deb, only_deb(f'{tmp_path}/build/deb'), shallow=False)
