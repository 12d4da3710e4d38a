# SPDX-License-Identifier: Apache-2.0
"""The Containerfile: what it copies is there. With DEB_SUITES (`make deb-test`)
it is built by buildah, without a registry: a fresh Debian takes the place of the
image that it begins with. Then it runs as an ordinary user, and serves."""

import http.client
import os
import re
import shutil
import subprocess

import pytest

from lib import ports, process, roots, wait
from lib.nginx import REPO
from origin.objects import pattern

CONTAINERFILE = f'{REPO}/conf-examples/container/Containerfile'
SUITES = os.environ.get('DEB_SUITES', '').split()
BASE, IMAGE = 'localhost/s3c-debian', 'localhost/s3-cache'
CONF = '''
s3_cache_zone hot:64m;
server {{
    listen 127.0.0.1:{port};
    s3_cache hot;
    s3_cache_origin {url};
    s3_cache_origin_credentials access_key={access} secret_key={secret};
}}
'''


def text_of(path):
    with open(path, encoding='utf-8') as f:
        return f.read()


def test_all_that_a_package_is_made_of_is_copied():
    copied = [word.rstrip('/') for line in re.findall(
        r'(?m)^COPY (?!--from)(.*) \S+$', text_of(CONTAINERFILE))
        for word in line.split()]
    for path in copied:
        assert os.path.exists(f'{REPO}/{path}'), path
    tree = re.search(r'(?m)^DEB_TREE +:= ((?:.*\\\n)*.*)$',
                     text_of(f'{REPO}/Makefile')).group(1)
    assert set(tree.replace('\\', ' ').split()) <= set(copied)


class Buildah:
    """With images and containers of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.args = ['buildah', f'--root={folder}/root',
                     f'--runroot={folder}/run']

    def __call__(self, *args, timeout_s=1800):
        done = subprocess.run(self.args + list(args), cwd=REPO, text=True,
                              stdin=subprocess.DEVNULL, check=False,
                              stdout=subprocess.PIPE, timeout=timeout_s,
                              stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout[-8000:]
        return done.stdout

    def close(self):
        self('rm', '--all')
        subprocess.run(['umount', f'{self.folder}/root/overlay'],
                       stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.folder)


@pytest.fixture
def buildah(tmp_path):
    if not shutil.which('buildah'):
        pytest.skip('buildah is not installed: make deb-test')
    made = Buildah(tmp_path / 'buildah')
    yield made
    made.close()


def make_base(buildah, suite, folder):
    """An image of a fresh Debian, whose apt takes the mirror as it is."""
    extra = folder / '99s3c'
    extra.write_text('Acquire::Check-Valid-Until "false";\n'
                     'APT::Sandbox::User "";\n', encoding='ascii')
    name = buildah('from', 'scratch').strip()
    buildah('add', name, roots.fresh(suite), '/')
    buildah('copy', name, str(extra), '/etc/apt/apt.conf.d/99s3c')
    buildah('commit', '--rm', name, BASE)


@pytest.mark.deadline(2400)
@pytest.mark.xdist_group('deb')
@pytest.mark.parametrize('suite', SUITES[:1] or [pytest.param(
    'none', marks=pytest.mark.skip('DEB_SUITES is not set: make deb-test'))])
def test_it_builds_and_serves(suite, buildah, tmp_path, rgw, rgw_s3, bucket):
    make_base(buildah, suite, tmp_path)
    buildah('bud', '--isolation=chroot', f'--build-arg=DEBIAN={BASE}',
            '--pull-never', '-f', CONTAINERFILE, '-t', IMAGE, REPO)
    name = buildah('from', '--pull-never', IMAGE).strip()
    config = buildah('inspect', '--format', '{{.Docker.Config}}', IMAGE)
    assert '33:33' in config and 'SIGQUIT' in config

    conf = tmp_path / 'conf.d'
    conf.mkdir()
    conf.chmod(0o755)
    port, status = ports.reserve(), ports.reserve()
    main = tmp_path / 'nginx.conf'
    # runc and crun give /dev/stdout to the user of the container, this does not
    main.write_text(text_of(f'{REPO}/conf-examples/container/nginx.conf')
                    .replace('listen 9145', f'listen {status}')
                    .replace('/dev/stdout', '/run/nginx/access.log'),
                    encoding='ascii')
    (conf / 's3-cache.conf').write_text(CONF.format(
        port=port, url=rgw.url, access=rgw.access_key,
        secret=rgw.secret_key), encoding='ascii')
    body = pattern(300_000)
    rgw_s3.put_object(Bucket=bucket, Key='k', Body=body)
    run = ['run', '--isolation=chroot', f'--volume={conf}:/etc/nginx/conf.d',
           f'--volume={main}:/etc/nginx/nginx.conf', name, '--']
    assert buildah(*run, 'id', '-u').strip() == '33'
    buildah(*run, 'sh', '-c', 'test ! -w /etc/nginx && nginx -t')
    with open(tmp_path / 'said', 'wb') as out:
        child = process.start(
            buildah.args + run + ['nginx', '-g',
                                  'daemon off; worker_processes 2;'],
            stdout=out, stderr=out)
        try:
            get = wait.until(lambda: reached(port, f'/{bucket}/k'),
                             lambda: text_of(tmp_path / 'said'), 30, 0.05)
            assert get == (200, 'MISS', body)
            assert reached(port, f'/{bucket}/k') == (200, 'HIT', body)
            assert reached(status, '/alive')[0] == 204
            assert b's3_cache_requests_total' in reached(status, '/metrics')[2]
        finally:
            # it would not pass a signal on
            buildah(*run, 'sh', '-c',
                    'kill -QUIT "$(cat /run/nginx/nginx.pid)" || :')
            child.wait(60)


def reached(port, path):
    """(status, X-Cache, body), None while nobody listens."""
    conn = http.client.HTTPConnection('127.0.0.1', port, timeout=20)
    try:
        conn.request('GET', path)
        answer = conn.getresponse()
        return answer.status, answer.getheader('X-Cache'), answer.read()
    except ConnectionRefusedError:
        return None
    finally:
        conn.close()
