# SPDX-License-Identifier: Apache-2.0
"""What every test may ask for: nginx, a scripted origin, a real origin."""

import json
import os
import shutil
import signal
import sys
import tempfile
import uuid

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))

from lib import nginx as nginx_lib            # noqa: E402
from lib import redis as redis_lib            # noqa: E402
from lib import rgw as rgw_lib                # noqa: E402
from lib import faultfs, s3client, tls, wait  # noqa: E402
from origin.scripted_origin import ScriptedOrigin     # noqa: E402

DEADLINE_S = 120
RUN_DIR, RUN_PID = 'S3C_RUN_DIR', 'S3C_RUN_PID'


# --- one run, however many processes it has (pytest-xdist) -------------------

def pytest_configure(config):
    if not hasattr(config, 'workerinput'):
        os.environ[RUN_DIR] = tempfile.mkdtemp(prefix='s3c-run-')
        os.environ[RUN_PID] = str(os.getpid())


def pytest_unconfigure(config):
    if hasattr(config, 'workerinput') or RUN_DIR not in os.environ:
        return
    folder = os.environ.pop(RUN_DIR)
    try:
        with open(f'{folder}/rgw/rgw.json', encoding='utf-8') as f:
            pid = json.load(f)['pid']
        os.kill(pid, signal.SIGTERM)
        wait.until(lambda: not rgw_lib.process.is_alive(pid), 'end of RGW')
    except (OSError, wait.TimedOut):
        pass
    shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """A test that hangs fails, and the others go on."""
    mark = item.get_closest_marker('deadline')
    seconds = mark.args[0] if mark else DEADLINE_S

    def over(*_):
        raise TimeoutError(f'the test took more than {seconds} s')

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """What a test that passed has left (stores, logs) is removed at once: all
    of them together are many gigabytes."""
    report = (yield).get_result()
    item.all_passed = getattr(item, 'all_passed', True) and report.passed
    if call.when == 'teardown' and item.all_passed:
        folder = (getattr(item, 'funcargs', None) or {}).get('tmp_path')
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


# --- nginx --------------------------------------------------------------------

@pytest.fixture
def make_nginx(tmp_path):
    """make_nginx(server=..., http=..., ...): an Nginx, not yet started, that
    is stopped and whose error log is checked at the end of the test."""
    made = []

    def make(kind=nginx_lib.Nginx, **pieces):
        folder = tmp_path / f'nginx{len(made)}'
        made.append(kind(folder, **pieces))
        return made[-1]

    yield make
    for nginx in reversed(made):
        nginx.close()


@pytest.fixture
def make_gateway(make_nginx):
    """make_gateway(origin, location='', zone={}, http='', server='', ...):
    a started Nginx that serves `origin` (what has .url and maybe keys)
    through a zone, with stores=[{...}] for its flash tier. At the end nothing
    may be held in the zone."""
    made = []

    def make(origin, location='', zone=None, http='', server='', keys=None,
             valid='200 206 1m', region='us-east-1', stores=(), **pieces):
        if keys is None and hasattr(origin, 'access_key'):
            keys = (origin.access_key, origin.secret_key)
        nginx = make_nginx(
            http=nginx_lib.s3_zone(**(zone or {})) + ''.join(
                nginx_lib.s3_store(**store) for store in stores) + http,
            server=server + nginx_lib.s3_location(
                origin.url, *(keys or ()), region=region, valid=valid,
                more=location),
            **pieces)
        made.append(nginx.start())
        return nginx

    yield make
    for nginx in made:
        if nginx.child.poll() is None:
            nginx.check_accounting()


@pytest.fixture
def disk(tmp_path):
    """A file system that fails when told to. At the end of the test it goes
    last, when nginx is gone."""
    made = faultfs.FaultFs(tmp_path / 'disk')
    try:
        made.start()
    except faultfs.Unavailable as e:
        pytest.skip(str(e))
    yield made
    made.stop()
    assert not os.path.ismount(made.mount)


# --- origins ------------------------------------------------------------------

@pytest.fixture
def origin():
    with ScriptedOrigin() as started:
        yield started


@pytest.fixture(scope='session')
def rgw():
    """The Ceph RGW that all tests of this run share."""
    if not rgw_lib.is_installed():
        pytest.fail('Ceph RGW is not installed: make deps')
    return rgw_lib.shared(f'{os.environ[RUN_DIR]}/rgw',
                          int(os.environ[RUN_PID]))


@pytest.fixture(scope='session')
def rgw_s3(rgw):
    """boto3 straight at the RGW."""
    return s3client.of(rgw)


@pytest.fixture
def bucket(rgw_s3):
    """A new bucket in the RGW."""
    name = f't-{uuid.uuid4().hex[:12]}'
    rgw_s3.create_bucket(Bucket=name)
    return name


@pytest.fixture(scope='session')
def authority(tmp_path_factory):
    """A certificate authority for https origins."""
    return tls.Authority(tmp_path_factory.mktemp('ca'))


# --- Redis --------------------------------------------------------------------

@pytest.fixture
def make_redis(tmp_path):
    """make_redis(options='', ...): a started redis-server of the test's own;
    kind=redis.Sentinel makes one of those."""
    made = []

    def make(options='', kind=redis_lib.Redis, **more):
        folder = tmp_path / f'redis{len(made)}'
        made.append(kind(folder, options, **more))
        return made[-1].start()

    yield make
    for each in reversed(made):
        each.close()
