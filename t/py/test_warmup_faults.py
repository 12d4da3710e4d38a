# SPDX-License-Identifier: Apache-2.0
"""What happens to jobs of warm-ups: workers that die, reloads, a node that
ends, files that are none, and an origin that is ill."""

import os
import shutil
import socket
import tempfile
import time

import pytest

import raw_http
from auth_lab import signed
from lib import wait
from lib.identities import Credentials, Key, allow, identity, key_of
from origin.objects import pattern
from warmups import (HOUR, HTTP, SERVER, all_hit, ask, ended, gets, job,
                     numbers, post, target, warm)

KIB = 1 << 10
COUNT = int(os.environ.get('S3C_WARMUP_OBJECTS', '20000'))
OPS, READER = key_of('ops'), key_of('reader')


@pytest.fixture
def gateway(make_gateway, origin):
    return make_gateway(origin, valid=HOUR, http=HTTP, server=SERVER,
                        location='s3_cache_block_size 64k;', workers=2)


def fill(origin, count, size=1000):
    made = {}
    for i in range(count):
        made[f'k{i:06}'] = pattern(size, i)
        origin.put('bkt', f'k{i:06}', made[f'k{i:06}'])
    return made


def holder(nginx):
    """The worker that runs the jobs: it holds the lock."""
    inode = os.stat(f'{nginx.dir}/warmup/lock').st_ino
    with open('/proc/locks', encoding='ascii') as f:
        for line in f:
            words = line.split()
            if words[1] == 'FLOCK' and words[5].endswith(f':{inode}'):
                return int(words[4])
    return None


class Half:
    """The job stands still where half of the objects have been asked for."""

    def __init__(self, origin, count):
        self.origin, self.count, self.gate = origin, count, origin.gate()
        self.rule = origin.on(when=lambda r: bool(r.key), nth=count // 2,
                              times=1, gate=self.gate)

    def wait(self, nginx, number):
        self.gate.wait_reached(1, 60)
        wait.until(lambda: self.count // 4 < job(nginx, number)['objects']
                   < self.count, 'a part of it', 60)

    def go_on(self):
        self.gate.open()
        self.origin.off(self.rule)


# --- it goes on --------------------------------------------------------------

@pytest.mark.parametrize('source', ['prefix', 'list'])
@pytest.mark.parametrize('how', ['worker', 'reload', 'kill', 'stop'])
def test_it_goes_on(gateway, origin, how, source):
    made = fill(origin, 4000, 100)
    middle = Half(origin, 4000)
    body = ''.join(f'bkt/{key}\n' for key in made).encode()
    number = (post(gateway, bucket='bkt') if source == 'prefix'
              else post(gateway, 'list', body))
    middle.wait(gateway, number)
    if how == 'worker':
        gateway.kill_worker(holder(gateway))
    elif how == 'reload':
        gateway.reload()
    else:
        gateway.restart({'kill': 'kill_all', 'stop': 'stop'}[how])
    middle.go_on()
    said = ended(gateway, number)
    assert said['objects'] == 4000, said
    assert numbers(said) == {'objects': 4000, 'fetched': said['fetched'],
                             **({'cached': said['cached']}
                                if said['cached'] else {})}
    assert said['fetched'] + said['cached'] == 4000
    assert said['bytes'] == 400_000
    if how in ('worker', 'reload'):
        # memory stayed: what was fetched was not fetched again, but for what
        # was under way
        assert len(gets(origin)) < 4200
        all_hit(gateway, made)
    assert gateway.zone()['warmup']['failed'] == 0


@pytest.mark.skipif(os.getuid() != 0, reason='only root may become another')
def test_workers_of_another_user_go_on(make_gateway, origin):
    """nginx gives the folder to its "user"; what is in it stays that of the
    one before."""
    made = fill(origin, 20)
    with tempfile.TemporaryDirectory(prefix='warmup.') as folder:
        os.chmod(folder, 0o755)
        nginx = make_gateway(
            origin, valid=HOUR, server=SERVER,
            http=HTTP.replace('@dir@/warmup', f'{folder}/jobs'))
        assert ended(nginx, post(nginx, bucket='bkt'))['fetched'] == 20
        nginx.stop()
        assert os.stat(f'{folder}/jobs/lock').st_uid == 0
        nginx.write_conf(user='user nobody nogroup;')
        nginx.start()
        assert ended(nginx, post(nginx, bucket='bkt'))['objects'] == 20
        assert os.stat(f'{folder}/jobs/lock').st_uid != 0
        all_hit(nginx, made)
        nginx.stop()


def test_the_client_need_not_stay(gateway, origin):
    made = fill(origin, 50)
    with socket.create_connection(('127.0.0.1', gateway.port())) as sock:
        sock.sendall(b'POST /-/admin?warmup=prefix&bucket=bkt HTTP/1.1\r\n'
                     b'Host: x\r\n\r\n')
    jobs = wait.until(lambda: ask(gateway, warmup='')[1]['jobs'], 'a job')
    ended(gateway, jobs[0]['id'])
    all_hit(gateway, made)


@pytest.mark.deadline(900)
def test_many_objects(make_gateway, origin):
    """Killed and resumed in the middle; every byte is right."""
    gateway = make_gateway(origin, valid=HOUR, http=HTTP, server=SERVER,
                           zone={'size': '512m'}, workers=2)
    made = fill(origin, COUNT, 100)
    begun = time.monotonic()
    middle = Half(origin, COUNT)
    number = post(gateway, bucket='bkt', concurrency='32')
    middle.wait(gateway, number)
    gateway.kill_worker(holder(gateway))
    middle.go_on()
    said = ended(gateway, number, timeout_s=600)
    spent = time.monotonic() - begun
    print(f'{COUNT} objects in {spent:.1f} s: {COUNT / spent:.0f}/s')
    assert said['objects'] == COUNT
    assert said['fetched'] + said['cached'] == COUNT
    assert len(gets(origin)) < COUNT + 200
    count = len(origin.requests)
    all_hit(gateway, made)
    assert len(origin.requests) == count


# --- files that are none -----------------------------------------------------

def test_hostile_files(gateway, origin):
    origin.put('bkt', 'k', b'x')
    number = warm(gateway, bucket='bkt')['id']
    folder = f'{gateway.dir}/warmup'
    with open(f'{folder}/{number}.job', 'rb') as f:
        good = f.read()
    texts = {'1': b'', '2': good[:-1], '3': good[:100], '4': good * 2,
             '5': os.urandom(500), '6': good.replace(b'done', b'gone'),
             '7': b'x' * 200_000, '8': good}
    for name, text in texts.items():
        with open(f'{folder}/{name * 16}.job', 'wb') as f:
            f.write(text)
    os.mkdir(f'{folder}/{"9" * 16}.job')
    os.symlink('/etc/passwd', f'{folder}/{"a" * 16}.job')
    os.mkfifo(f'{folder}/{"b" * 16}.job')
    gateway.allow('s3_cache_warmup: ".*" is no job')
    gateway.reload(wait_old=True)
    gateway.wait_log(f'"{folder}/{"6" * 16}.job" is no job: sum')
    for name in [*texts, '9', 'a', 'b']:
        assert ask(gateway, warmup=name * 16)[0] == 404
    assert [j['id'] for j in ask(gateway, warmup='')[1]['jobs']] == [number]
    assert numbers(warm(gateway, bucket='bkt')) == {'objects': 1, 'cached': 1}


def test_a_list_that_is_gone(gateway, origin):
    fill(origin, 50)
    gate = origin.gate()
    origin.on(when=lambda r: bool(r.key), gate=gate)
    number = post(gateway, 'list', ''.join(
        f'bkt/k{i:06}\n' for i in range(50)).encode())
    gate.wait_reached(5)
    os.truncate(f'{gateway.dir}/warmup/{number}.list', 3)
    gateway.allow('s3_cache_warmup: .* failed')
    gateway.kill_worker(holder(gateway))
    gate.open()
    said = ended(gateway, number, 'failed')
    assert said['nodes'][0]['error'] == 'its list cannot be read'


def test_a_folder_that_is_gone(gateway, origin):
    """Nobody can keep a job: that is said, and nothing else suffers."""
    origin.put('bkt', 'k', b'x')
    warm(gateway, bucket='bkt')
    shutil.rmtree(f'{gateway.dir}/warmup')
    gateway.allow('s3_cache_warmup: ')
    status, _ = gateway.request('POST', '/-/admin?warmup=prefix&bucket=bkt'
                                ).status, None
    assert status == 500
    assert raw_http.ask(gateway.port(), 'GET', '/bkt/k').status == 200


# --- an origin that is ill ---------------------------------------------------

def test_an_origin_that_fails_for_a_while(gateway, origin):
    made = fill(origin, 40, 200 * KIB)
    gateway.allow('origin')
    origin.on(when=lambda r: bool(r.key), times=20, error=(503, 'SlowDown'))
    origin.on(when=lambda r: bool(r.key), nth=30, times=10, cut_at=5000)
    origin.on(when=lambda r: not r.key, times=2, error=(503, 'SlowDown'))
    said = warm(gateway, bucket='bkt')
    assert numbers(said) == {'objects': 40, 'fetched': 40}
    all_hit(gateway, made)


def test_an_origin_that_fails(gateway, origin):
    fill(origin, 5)
    gateway.allow('origin')
    origin.on(key='k000000', error=(500, 'InternalError'))
    origin.on(key='k000001', error=(403, 'AccessDenied'))
    origin.on(key='k000002', error=(404, 'NoSuchKey'))
    origin.on(key='k000003', drop=True)
    said = warm(gateway, bucket='bkt')
    assert numbers(said) == {'objects': 5, 'fetched': 1, 'failed': 2,
                             'denied': 1, 'missing': 1}


@pytest.mark.parametrize('what, why', [
    ({'error': (404, 'NoSuchBucket')}, 'no such bucket'),
    ({'error': (403, 'AccessDenied')}, 'does not let it list')])
def test_a_list_that_is_refused(gateway, origin, what, why):
    gateway.allow('s3_cache_warmup: .* failed')
    origin.on(when=lambda r: not r.key, **what)
    said = ended(gateway, post(gateway, bucket='bkt'), 'failed')
    assert why in said['nodes'][0]['error']


@pytest.mark.parametrize('keys, why', [
    (['p/b', 'p/a'], 'out of order'), (['q'], 'out of order'),
    (['p/a', 'p/a'], 'out of order')])
def test_a_list_that_is_wrong(gateway, origin, keys, why):
    """No circles, and nothing but what was asked for."""
    gateway.allow('s3_cache_warmup: .* failed')
    text = ('<ListBucketResult><IsTruncated>true</IsTruncated>' + ''.join(
        f'<Contents><Key>{k}</Key></Contents>' for k in keys)
        + '</ListBucketResult>').encode()
    origin.on(when=lambda r: not r.key, raw=b'HTTP/1.1 200 OK\r\n'
              b'Content-Length: %d\r\n\r\n%s' % (len(text), text))
    said = ended(gateway, post(gateway, bucket='bkt', prefix='p/'), 'failed')
    assert why in said['nodes'][0]['error']


def test_an_object_that_changes(gateway, origin):
    """Under the job: nothing is mixed."""
    old, new = pattern(900 * KIB, 1), pattern(700 * KIB, 2)
    origin.put('bkt', 'k', old)
    gate = origin.gate()
    origin.on(key='k', when=lambda r: 'bytes=196608-' in (
        r.header('range') or ''), times=1, gate=gate)
    number = post(gateway, bucket='bkt', concurrency='1')
    gate.wait_reached(1)
    origin.put('bkt', 'k', new)
    gate.open()
    said = ended(gateway, number)
    assert said['objects'] == said['fetched'] == 1
    all_hit(gateway, {'k': new})


# --- who may -----------------------------------------------------------------

def test_outsiders_are_refused(make_gateway, origin, tmp_path):
    file = Credentials(tmp_path / 'c', identity('ops', allow('*', '*')),
                       identity('reader', allow('read list', '*')))
    gateway = make_gateway(
        origin, http=HTTP, server=SERVER.replace(
            's3_cache_admin;', f's3_cache_credentials {file.path}; '
            's3_cache_auth keys; s3_cache_admin;'))
    origin.put('bkt', 'k', b'x')
    body = b'bkt/k\n'
    targets = [('POST', '/-/admin?warmup=prefix&bucket=bkt'),
               ('POST', '/-/admin?warmup=list'),
               ('GET', '/-/admin?warmup='), ('GET', '/-/admin?warmup=x'),
               ('POST', '/-/admin?warmup=stop&id=0123456789abcdef')]
    for method, where in targets:
        for key in (None, READER, key_of('stranger'),
                    Key(OPS.access_key, 'wrong')):
            pairs = sign(key, method, where, body) if key else []
            answer = raw_http.ask(gateway.port(), method, where, pairs,
                                  body if method == 'POST' else b'')
            assert answer.status == 403, (method, where, answer.body)
    assert os.listdir(f'{gateway.dir}/warmup') in ([], ['lock'])
    assert not origin.requests
    where = '/-/admin?warmup=list'
    # signed for another list, for none, for any
    for signed_body, status in ((b'bkt/other\n', 400), (b'', 400),
                                (body, 202)):
        answer = raw_http.ask(gateway.port(), 'POST', where,
                              sign(OPS, 'POST', where, signed_body), body)
        assert answer.status == status, answer.body
    jobs = [n for n in os.listdir(f'{gateway.dir}/warmup')
            if n.endswith('.job')]
    assert len(jobs) == 1
    wait.until(lambda: len(gets(origin)) == 1, 'the job')


def sign(key, method, where, body):
    return signed(key, method, where, body=body if method == 'POST' else b'')


def test_a_list_that_does_not_go_on(gateway, origin):
    """More to come, it says, and names nothing."""
    gateway.allow('s3_cache_warmup: .* failed')
    text = (b'<ListBucketResult><IsTruncated>true</IsTruncated>'
            b'</ListBucketResult>')
    origin.on(when=lambda r: not r.key, raw=b'HTTP/1.1 200 OK\r\n'
              b'Content-Length: %d\r\n\r\n%s' % (len(text), text))
    said = ended(gateway, post(gateway, bucket='bkt'), 'failed', 10)
    assert 'does not go on' in said['nodes'][0]['error']
    assert len(origin.requests) < 10


def test_evict_takes_nobody_with_it(make_gateway, origin):
    gateway = make_gateway(origin, valid=HOUR, http=HTTP, server=SERVER,
                           zone={'size': '256m'}, workers=2)
    made = {}
    for i in range(300):
        made[f'o/{i}'] = pattern(100, i)
        origin.put('bkt', f'o/{i}', made[f'o/{i}'])
    warm(gateway, bucket='bkt', prefix='o/')
    body = ''.join(f'bkt/e/{i}\n' for i in range(20000)).encode()
    said = warm(gateway, 'list', body, mode='evict')
    assert said['evicted'] == 20000
    said = warm(gateway, bucket='bkt', prefix='o/', mode='check')
    assert numbers(said) == {'objects': 300, 'cached': 300}, said


def test_a_list_of_nothing(gateway, origin):
    """It is read in turns with all else."""
    origin.put('bkt', 'k', b'x')
    number = post(gateway, 'list', b'\n' * (4 << 20))
    assert raw_http.ask(gateway.port(), 'GET', '/bkt/k').body == b'x'
    assert ended(gateway, number)['objects'] == 0
