# SPDX-License-Identifier: Apache-2.0
"""s3cachectl warmup: what it asks of the admin endpoint, and what it makes of
the answers; by a node that is played."""

import hashlib
import signal
import subprocess

import pytest

from ctl_lab import node
from lib import ctl as ctl_lib
from lib import wait
from lib.ctl import DENIED, LOCAL, NO, OK, REFUSED, USAGE, WRONG, Ctl
from lib.nginx import s3_location, s3_zone
from purges import is_kept

__all__ = ['node']

JOB = {'id': '0123456789abcdef', 'mode': 'warm', 'source': 'prefix',
       'zone': 'hot', 'bucket': 'b', 'prefix': 'p/', 'state': 'running',
       'objects': 0, 'bytes': 0, 'cached': 0, 'cached_bytes': 0, 'fetched': 0,
       'missing': 0, 'denied': 0, 'no_room': 0, 'failed': 0, 'evicted': 0,
       'bad_lines': 0, 'nodes': [], 'unreachable': []}


def job(**more):
    return dict(JOB, **more)


@pytest.fixture
def ctl(node):
    return Ctl(node.url)


def test_a_prefix(node, ctl):
    done = job(state='done', objects=12, bytes=4096, cached=2, fetched=10)
    node.say((202, JOB), (200, job(nodes=[{'percent': 40}])), (200, done))
    said = ctl('warmup', 's3://b/p ä/', '--concurrency', '7', '--rate', '5m',
               '--zone', 'hot')
    assert said.out == ('done: 12 objects, 4.00 KiB, 2 there already, '
                        '10 fetched\n')
    method, path, query, body, _ = node.asked[0]
    assert (method, path, body) == ('POST', '/s3-cache/admin', b'')
    assert query == {'warmup': 'prefix', 'bucket': 'b', 'prefix': 'p ä/',
                     'concurrency': '7', 'rate': str(5 << 20), 'zone': 'hot'}
    assert [a[:3] for a in node.asked[1:]] == [
        ('GET', '/s3-cache/admin', {'warmup': JOB['id'], 'zone': 'hot'})] * 2
    node.say((202, JOB), (200, done))
    assert ctl('--json', 'warmup', 's3://b').json == done
    assert node.asked[0][2] == {'warmup': 'prefix', 'bucket': 'b'}


@pytest.mark.parametrize('more, rc', [
    ({'failed': 1}, NO), ({'missing': 1}, NO), ({'denied': 1}, NO),
    ({'no_room': 1}, NO), ({'bad_lines': 1}, NO),
    ({'unreachable': ['c']}, NO), ({'state': 'failed'}, REFUSED),
    ({'state': 'stopped'}, REFUSED), ({'evicted': 5}, OK)])
def test_how_it_ended(node, ctl, more, rc):
    node.say((202, JOB), (200, job(**{'state': 'done', **more})))
    ctl('warmup', 's3://b', rc=rc)


@pytest.mark.parametrize('value', ['0', '257', '-1', 'x', ''])
def test_how_many_at_once(node, ctl, value):
    said = ctl('warmup', 's3://b', f'--concurrency={value}', rc=USAGE)
    assert '--concurrency: an invalid value: 1 to 256' in said.err
    assert not node.asked
    for good in ('1', '256'):
        node.say((202, JOB), (200, job(state='done')))
        ctl('warmup', 's3://b', '--concurrency', good)
        assert node.asked[0][2]['concurrency'] == good


def test_modes(node, ctl):
    node.say((202, JOB), (200, job(
        state='done', mode='check', objects=10, cached=9, missing=1,
        bytes=1000, cached_bytes=500)))
    said = ctl('warmup', '--check', 's3://b', rc=NO)
    assert 'cached: 90.0 % of the objects, 50.0 % of the bytes that' in said.out
    assert node.asked[0][2]['mode'] == 'check'
    node.say((202, JOB), (200, job(state='done', evicted=3)))
    assert '3 evicted' in ctl('warmup', '--evict', 's3://b').out
    assert node.asked[0][2]['mode'] == 'evict'


def test_a_list_goes_as_it_is_and_signed(node, tmp_path):
    ctl = Ctl(node.url, keys=('AK', 'secret'))
    text = b'b/k\n# x\nb/a%20b\t0-9\n' + b'b/more\n' * 50_000
    path = tmp_path / 'list'
    path.write_bytes(text)
    for args, stdin in ((('--list', path), ''),
                        (('--list', '-'), text.decode())):
        node.say((202, JOB), (200, job(state='done')))
        ctl('warmup', *args, stdin=stdin)
        _, _, query, body, headers = node.asked[0]
        assert query == {'warmup': 'list'} and body == text
        assert headers['x-amz-content-sha256'] == (
            hashlib.sha256(text).hexdigest())
        assert headers['Authorization'].startswith('AWS4-HMAC-SHA256 ')
    path.write_bytes(b'')
    ctl('warmup', '--list', path, rc=USAGE)
    ctl('warmup', '--list', tmp_path / 'none', rc=LOCAL)


def test_an_inventory(node, ctl, tmp_path):
    path = tmp_path / 'inventory.csv'
    path.write_text('"bkt","a+b%2Fc","12","2026-01-01"\r\n'
                    'bkt,plain,1\n\n"bkt","%E4%2B"\n"bkt"\n'
                    '"b\x1b[2J","k"\n"bkt","%zz"\n')
    node.say((202, JOB), (200, job(state='done')))
    said = ctl('warmup', '--inventory', path, rc=NO)
    assert node.asked[0][3] == b'bkt/a%20b/c\nbkt/plain\nbkt/%E4%2B\n'
    assert 'line 5 is none of an inventory' in said.err
    assert '3 of 7 lines were passed over' in said.err
    # who does not wait for the end is not told of it
    node.say((202, JOB))
    ctl('warmup', '--inventory', path, '--detach')
    path.write_text('bkt,plain,1\n\n')
    node.say((202, JOB), (200, job(state='done')))
    ctl('warmup', '--inventory', path)
    path.write_bytes(b'\x1f\x8b\x08\x00 compressed')
    node.say((202, JOB))
    said = ctl('warmup', '--inventory', path, rc=USAGE)
    assert 'not compressed' in said.err and not node.asked


def test_who_watches_may_leave_and_come_back(node, ctl):
    node.say((202, JOB), (200, job(nodes=[{'percent': 41}], objects=5)))
    child = ctl.start('warmup', 's3://b', stdout=subprocess.PIPE,
                      stderr=subprocess.PIPE)
    wait.until(lambda: len(node.asked) >= 2, 'it to watch')
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert child.returncode == -signal.SIGINT and out == b''
    assert err.decode().endswith(
        f'it goes on: s3cachectl warmup --resume {JOB["id"]}\n')
    node.say((200, job(state='done', objects=5)))
    assert ctl('warmup', '--resume', JOB['id']).out == 'done: 5 objects, 0 B\n'
    assert [a[0] for a in node.asked] == ['GET']
    node.say((202, JOB))
    assert ctl('warmup', '--detach', 's3://b').out == JOB['id'] + '\n'


def test_jobs_and_an_end(node, ctl):
    node.say((200, {'jobs': [job(state='done', objects=7), job()]}))
    lines = ctl('warmup', '--jobs').out.splitlines()
    assert lines[0].split() == ['ID', 'STATE', 'MODE', 'WHAT', 'OBJECTS',
                                'BYTES', 'FAILED']
    assert lines[1].split() == [JOB['id'], 'done', 'warm', 's3://b/p/', '7',
                                '0', 'B', '0']
    assert node.asked[0][:3] == ('GET', '/s3-cache/admin', {'warmup': ''})
    node.say((200, job(state='stopped')))
    assert ctl('warmup', '--stop', JOB['id']).out.startswith('stopped: ')
    assert node.asked[0][:3] == ('POST', '/s3-cache/admin', {
        'warmup': 'stop', 'id': JOB['id']})


@pytest.mark.parametrize('status, rc', [
    (400, REFUSED), (403, DENIED), (404, REFUSED), (409, REFUSED),
    (413, REFUSED), (501, REFUSED), (503, REFUSED)])
def test_what_a_node_refuses(node, ctl, status, rc):
    node.say((status, {'error': 'why \x1b[2J not'}))
    said = ctl('warmup', 's3://b', rc=rc)
    assert 'why \\x1b[2J not' in said.err
    node.say((202, JOB), (status, {'error': 'why not'}))
    assert 'why not' in ctl('warmup', 's3://b', rc=rc).err


@pytest.mark.parametrize('answer', [
    {}, {'id': 7}, {'id': ''}, {'id': 'x' * 65}, {'jobs': 7}])
def test_what_is_no_job(node, ctl, answer):
    node.say((200, answer))
    ctl('warmup', 's3://b', rc=WRONG)
    ctl('warmup', '--jobs', rc=WRONG)
    ctl('warmup', '--resume', 'x', rc=WRONG)


def test_with_a_real_node(make_nginx, origin):
    """All of it through nginx."""
    nginx = make_nginx(
        http=s3_zone() + 's3_cache_warmup @dir@/warmup;\n',
        server=ctl_lib.server() + s3_location(origin.url, valid='200 1h'))
    if 'unknown directive "s3_cache_warmup"' in nginx.test_conf()[1]:
        pytest.skip('this module has no s3_cache_warmup')
    nginx.start()
    for i in range(50):
        origin.put('bkt', f'p/k{i}', b'x' * 1000)
    ctl = Ctl(nginx.url())
    assert '50 fetched' in ctl('warmup', 's3://bkt/p/').out
    assert is_kept(nginx, [f'bkt/p/k{i}' for i in range(50)])
    assert '100.0 % of the objects' in ctl('warmup', '--check',
                                           's3://bkt/p/').out
    said = ctl('warmup', '--list', '-', stdin='bkt/p/k1\nbkt/none\n', rc=NO)
    assert '1 there already, 1 missing' in said.out
    assert '11 evicted' in ctl('warmup', '--evict', 's3://bkt/p/k4').out
    ctl('explain', 's3://bkt/p/k40', rc=NO)
    jobs = ctl('--json', 'warmup', '--jobs').json['jobs']
    assert [job['mode'] for job in jobs] == ['evict', 'warm', 'check', 'warm']
    assert 'no such job' in ctl('warmup', '--resume', JOB['id'],
                                rc=REFUSED).err
