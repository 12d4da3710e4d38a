# SPDX-License-Identifier: Apache-2.0
"""Stores: what `nginx -t` says of them, what a start makes of them, and what
reloads, upgrades and kernels without io_uring do to them."""

import os
import re
import shutil
import signal
import stat
import struct
import subprocess
import tempfile

import pytest

from lib import nginx as nginx_lib
from lib import process, wait
from lib.nginx import s3_location, s3_zone
from origin.objects import pattern

MB = 1 << 20
ORIGIN = 's3_cache_origin http://127.0.0.1:9;'


def store(words='', path='@dir@/a.store', size='16m'):
    return f's3_cache_store {path} size={size} {words};\n'.replace(' ;', ';')


def check(make_nginx, http, zone=s3_zone(), location=''):
    """(exit status, what nginx -t says, the Nginx)"""
    nginx = make_nginx(http=zone + http, status=False,
                       server=f'location / {{ {location} }}'
                       if location else '')
    return *nginx.test_conf(), nginx


def refused(said, complaint, line_has='s3_cache_store'):
    """The complaint, with file and line: that line holds `line_has`."""
    code, text, _ = said
    assert code == 1, text
    found = re.search(rf'\[emerg\] .*{complaint}.* in (\S+):(\d+)', text)
    assert found, text
    with open(found.group(1), encoding='utf-8') as f:
        assert line_has in f.readlines()[int(found.group(2)) - 1]


def states(nginx, name=None):
    return [one['state'] for one in nginx.zone(name)['stores']]


def wait_serving(nginx, timeout_s=20):
    wait.until(lambda: set(states(nginx)) == {'serving'},
               lambda: f'stores: {states(nginx)}\n{nginx._tail()}', timeout_s)


def wait_records(nginx, n=1):
    wait.until(lambda: nginx.zone()['stores'][0]['records'] >= n,
               lambda: f'{nginx.zone()["stores"]}')
    return nginx.zone()['stores'][0]['records']


# --- mistakes ----------------------------------------------------------------

@pytest.mark.parametrize('line, complaint', [
    ('s3_cache_store;', 'number of arguments'),
    ('s3_cache_store "" size=16m;', 'needs a path'),
    ('s3_cache_store @dir@/a;', 'needs "size="'),
    (store(size=''), 'invalid parameter "size="'),
    (store(size='x'), 'invalid parameter "size=x"'),
    (store(size='0'), 'invalid parameter "size=0"'),
    (store(size='-1g'), 'invalid parameter "size=-1g"'),
    (store(size='99999999999999999999g'), 'invalid parameter "size=9'),
    (store(size='16385g'), 'too large: at most 16384g'),
    (store(size='8m'), 'is too small: 8 segments of 1m and one more need 9m'),
    (store('segment=4m', size='35m'), 'of 4m and one more need 36m'),
    (store('segment=1m', size='65537m'), 'are too small for its size: '
                                         '"segment=2m" is needed'),
    (store('segment=1m', size='16384g'), '"segment=64m" is needed'),
    (store('segment=512k'), 'invalid "segment=512k": a power of two between '
                            '1m and 64m'),
    (store('segment=512m'), 'invalid "segment=512m"'),
    (store('segment=3m'), 'invalid "segment=3m"'),
    (store('segment=x'), 'invalid "segment=x"'),
    (store('budget=10m'), 'invalid "budget=10m": bytes a second'),
    (store('budget=/s'), 'invalid "budget=/s"'),
    (store('budget=x/s'), 'invalid parameter "budget=x/s"'),
    (store('budget=0/s'), 'invalid parameter "budget=0/s"'),
    (store('objects=0'), 'invalid parameter "objects=0"'),
    (store('objects=x'), 'invalid parameter "objects=x"'),
    (store('objects=32769'), 'it has room for 32768 at most'),
    (store('timeout=0'), 'invalid parameter "timeout=0"'),
    (store('timeout=x'), 'invalid parameter "timeout=x"'),
    (store('timeout=2h'), 'invalid parameter "timeout=2h"'),
    (store('zone='), 'invalid parameter "zone="'),
    (store('taken'), 'invalid parameter "taken"'),
    (store('take=1'), 'invalid parameter "take=1"'),
    (store('wrong=1'), 'invalid parameter "wrong=1"'),
    (store('zone=cold'), 'is for an unknown zone "cold"'),
    (store(path='@dir@/none/a'), 'the folder of .*No such file'),
    (store(path='@dir@/nginx.conf/a'), 'cannot be used .*Not a directory'),
    (store(path='@dir@'), 'neither a regular file nor a block device'),
    (store(path='@dir@/'), 'neither a regular file nor a block device'),
    (store(path='@dir@/new/'), 'neither a regular file nor a block device'),
    (store(path='/dev/null'), 'neither a regular file nor a block device'),
    (store(path='@dir@/nginx.conf'), 'holds something else; add "take"'),
    (store(size='16000g'), 'no space for .* bytes are needed'),
    (store() + store(), 'is given twice'),
    (store() + store(path='@dir@/../nginx0/a.store'), 'is given twice'),
])
def test_a_store_that_is_wrong(make_nginx, line, complaint):
    pattern_ = complaint if '.*' in complaint else re.escape(complaint)
    refused(check(make_nginx, '\n' + line), pattern_)


@pytest.mark.parametrize('line, complaint', [
    ('s3_cache_io fast;\n', 'invalid value "fast"'),
    ('s3_cache_io auto;\ns3_cache_io threads;\n', 'is duplicate'),
])
def test_an_io_that_is_wrong(make_nginx, line, complaint):
    refused(check(make_nginx, line), complaint, 's3_cache_io')


def test_stores_belong_into_http(make_nginx):
    refused(check(make_nginx, '', location=f's3_cache hot; {ORIGIN}\n'
                  + store()), 'not allowed here')


def test_a_store_names_its_zone_where_there_is_not_just_one(make_nginx):
    refused(check(make_nginx, store(), zone=s3_zone() + s3_zone('cold')),
            'is for one of several zones')
    refused(check(make_nginx, store(), zone=''), 'needs an "s3_cache_zone"')


def test_a_zone_may_be_defined_below_its_store(make_nginx):
    code, text, _ = check(make_nginx, s3_zone() + s3_zone('cold'),
                          zone=store('zone=cold'))
    assert code == 0, text


def test_a_zone_has_sixteen_stores_and_no_more(make_nginx):
    stores = [store(path=f'@dir@/{i}.store', size='9m') for i in range(17)]
    code, text, _ = check(make_nginx, ''.join(stores[:16]))
    assert code == 0, text
    refused(check(make_nginx, ''.join(stores)), 'is one too many',
            '/16.store')


def test_all_parameters_are_taken(make_nginx):
    code, text, nginx = check(
        make_nginx, 's3_cache_io io_uring;\n' + store(
            'zone=hot segment=1m budget=10m/s objects=1000 timeout=500ms take')
        + store(path='relative.store'))
    assert code == 0, text
    assert not [name for name in os.listdir(nginx.dir) if 'store' in name]


def test_one_file_by_two_names_is_found(make_nginx, tmp_path):
    real, link = tmp_path / 'real', tmp_path / 'link'
    folder, more = tmp_path / 'folder', tmp_path / 'more'
    folder.mkdir()
    os.symlink(folder, more)
    refused(check(make_nginx, store(path=folder / 'x')
                  + store(path=more / 'x')), 'is given twice')
    real.write_bytes(b'')
    os.symlink(real, link)
    refused(check(make_nginx, store(path=real) + store(path=link)),
            'is given twice')
    link.unlink()
    os.link(real, link)
    refused(check(make_nginx, store('zone=hot', path=real)
                  + store('zone=cold', path=link),
                  zone=s3_zone() + s3_zone('cold')), 'is given twice')


def test_a_link_that_leads_nowhere_is_no_place_for_a_store(
        make_nginx, tmp_path):
    os.symlink(tmp_path / 'none', tmp_path / 'link')
    refused(check(make_nginx, store(path=tmp_path / 'link')), 'leads nowhere')
    assert not (tmp_path / 'none').exists()


def test_all_stores_of_a_file_system_need_their_space_together(
        make_nginx, tmp_path):
    fs = os.statvfs(tmp_path)
    size = fs.f_bfree * fs.f_frsize * 6 // 10 // MB
    code, text, _ = check(make_nginx, store(size=f'{size}m'))
    assert code == 0, text
    refused(check(make_nginx, store(size=f'{size}m')
                  + store(path='@dir@/b.store', size=f'{size}m')), 'no space')


@pytest.mark.skipif(os.getuid() != 0, reason='needs another user')
def test_files_and_folders_without_permission():
    """nginx -t by a user to whom they do not belong."""
    folder = tempfile.mkdtemp(prefix='s3c-perm-')
    try:
        os.chmod(folder, 0o777)
        os.mkdir(f'{folder}/sub', 0o755)
        with open(f'{folder}/file', 'wb') as f:
            os.fchmod(f.fileno(), 0o600)
        for path, complaint in (('sub/new', 'cannot be created'),
                                ('file', 'cannot be read and written')):
            nginx = nginx_lib.Nginx(
                folder, http=s3_zone() + store(path=f'@dir@/{path}'),
                status=False, log_level='warn')
            os.chmod(folder, 0o777)
            nginx.pieces['user'] = ''
            nginx.write_conf()
            args = nginx._args()
            args[args.index('-e') + 1] = 'stderr'
            copy = f'{folder}/module.so'
            shutil.copy(nginx_lib.module(), copy)
            text = nginx.write_conf(module=f'load_module {copy};')
            text = re.sub(r'(?m)^error_log .*$', 'error_log stderr;', text)
            text = re.sub(r'access_log .*;', 'access_log off;', text)
            with open(nginx.conf_path, 'w', encoding='utf-8') as f:
                f.write(text)
            done = subprocess.run(args + ['-t'], capture_output=True,
                                  text=True, user=65534, group=65534,
                                  extra_groups=[], env=nginx.env,
                                  cwd=folder, timeout=30, check=False)
            assert re.search(rf'{complaint} \(13: .* in .*nginx.conf:\d+',
                             done.stderr), done.stderr
    finally:
        shutil.rmtree(folder)


def test_blocks_that_no_segment_takes_are_a_warning(make_nginx):
    location = f's3_cache hot; {ORIGIN}'
    code, text, _ = check(make_nginx, store(), location=location)
    assert code == 0 and 'too small for blocks of 1024k' in text, text
    code, text, _ = check(make_nginx, store('segment=4m', size='64m'),
                          location=location)
    assert code == 0 and '[warn]' not in text, text


# --- files -------------------------------------------------------------------

def test_nginx_t_makes_and_changes_nothing(make_nginx, tmp_path):
    foreign = tmp_path / 'foreign'
    foreign.write_bytes(b'foreign')
    code, text, nginx = check(make_nginx, store()
                              + store('take', path=foreign))
    assert code == 0, text
    assert not os.path.exists(f'{nginx.dir}/a.store')
    assert foreign.read_bytes() == b'foreign'


def test_a_file_is_made_for_the_owner_alone_with_all_its_bytes(
        origin, make_gateway):
    nginx = make_gateway(origin, 's3_cache_block_size 64k;',
                         http=store(size='20000k'))
    wait_serving(nginx)
    made = os.stat(f'{nginx.dir}/a.store')
    assert stat.S_IMODE(made.st_mode) == 0o600
    assert made.st_size == 19 * MB
    assert made.st_blocks * 512 >= 19 * MB
    zone = nginx.zone()
    one, = zone['stores']
    assert one['path'] == f'{nginx.dir}/a.store'
    assert one['bytes'] == 19 * MB and one['segments'] == 18
    assert zone['flash']['io'] in ('io_uring', 'threads')
    assert 0 < zone['flash']['index_bytes'] < zone['flash']['memory_bytes']
    assert one['budget']['bytes_per_second'] == 0


def test_a_zone_without_stores_says_so(origin, make_gateway):
    zone = make_gateway(origin).zone()
    assert zone['stores'] == []
    assert zone['flash'] == {'io': 'none', 'index_bytes': 0,
                             'memory_bytes': 0}


def test_stores_have_rows_in_prometheus(origin, make_gateway):
    nginx = make_gateway(origin, 's3_cache_block_size 64k;',
                         http=store('budget=1m/s'))
    wait_serving(nginx)
    text = nginx.metrics()
    labels = f'{{zone="hot",store="{nginx.dir}/a.store"'
    for line in (f's3_cache_store_up{labels}}} 1',
                 f's3_cache_store_state{labels},state="serving"}} 1',
                 f's3_cache_store_state{labels},state="failed"}} 0',
                 f's3_cache_store_bytes{labels},kind="size"}} {16 * MB}',
                 f's3_cache_store_budget_bytes_per_second{labels}}} {MB}'):
        assert line in text.splitlines()


def test_sixteen_stores_are_mounted_and_shown(origin, make_gateway):
    nginx = make_gateway(
        origin, 's3_cache_block_size 64k;',
        http=''.join(store(path=f'@dir@/{i}.store', size='9m')
                     for i in range(16)))
    wait_serving(nginx)
    assert len(states(nginx)) == 16
    up = re.findall(r'(?m)^s3_cache_store_up\{.*\} 1$', nginx.metrics())
    assert len(up) == 16


def test_a_smaller_file_grows_and_a_larger_one_is_used_in_part(
        origin, make_gateway, tmp_path):
    small, large = tmp_path / 'small', tmp_path / 'large'
    small.write_bytes(bytes(MB))
    with open(large, 'wb') as f:
        f.truncate(32 * MB)
    nginx = make_gateway(origin, 's3_cache_block_size 64k;',
                         http=store(path=small) + store(path=large))
    wait_serving(nginx)
    assert small.stat().st_size == 16 * MB
    assert large.stat().st_size == 32 * MB
    assert [one['bytes'] for one in nginx.zone()['stores']] == [16 * MB] * 2


def test_take_overwrites_what_is_there(origin, make_gateway, tmp_path):
    path = tmp_path / 'a'
    path.write_bytes(b'foreign' * 5000)
    nginx = make_gateway(origin, 's3_cache_block_size 64k;',
                         http=store('take', path=path))
    wait_serving(nginx)
    assert path.read_bytes()[:7] != b'foreign'
    assert 'held something else' in nginx.log()
    nginx.stop()
    # a store now: the word is not needed any more
    code, text = nginx.test_conf()
    assert code == 0, text
    nginx.pieces['http'] = nginx.pieces['http'].replace(' take', '')
    code, text = nginx.test_conf()
    assert code == 0, text


def crc32c(data):
    """Castagnoli, bit by bit."""
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def test_a_store_of_another_version_is_not_overwritten(
        origin, make_gateway, tmp_path):
    path = tmp_path / 'a'
    nginx = make_gateway(origin, 's3_cache_block_size 64k;',
                         http=store(path=path))
    wait_serving(nginx)
    nginx.stop()
    # magic, version and checksum stand at one place in all versions
    with open(path, 'r+b') as f:
        for at in (0, 4096):
            f.seek(at)
            block = bytearray(f.read(4096))
            if not any(block):
                continue
            version, crc = struct.unpack_from('<II', block, 8)
            struct.pack_into('<I', block, 12, 0)
            assert crc == crc32c(block)
            struct.pack_into('<I', block, 8, version + 1)
            struct.pack_into('<I', block, 12, crc32c(block))
            f.seek(at)
            f.write(block)
    code, text = nginx.test_conf()
    assert code == 1 and 'was written by another version' in text, text
    nginx.pieces['http'] = nginx.pieces['http'].replace(
        'size=16m', 'size=16m take')
    code, text = nginx.test_conf()
    assert code == 0, text


@pytest.fixture
def loop_device(tmp_path):
    """A block device of 20 MiB."""
    file = tmp_path / 'disk'
    with open(file, 'wb') as f:
        f.truncate(20 * MB)
    done = subprocess.run(['losetup', '-f', '--show', file], check=False,
                          capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f'no loop device: {done.stderr}')
    yield done.stdout.strip()
    subprocess.run(['losetup', '-d', done.stdout.strip()], check=True)


def test_a_block_device_is_a_store(origin, make_gateway, make_nginx,
                                   loop_device):
    refused(check(make_nginx, store(path=loop_device, size='21m')),
            'the device has 20971520 bytes')
    nginx = make_gateway(origin, 's3_cache_block_size 64k;',
                         http=store(path=loop_device, size='20m'))
    wait_serving(nginx)
    assert nginx.zone()['stores'][0]['bytes'] == 20 * MB
    nginx.stop()


# --- reloads, upgrades -------------------------------------------------------

def fill(origin, nginx, n=8, size=50_000):
    """Objects that were read through the gateway, so that flash has them."""
    bodies = {f'/bkt/k{i}': pattern(size + i) for i in range(n)}
    for path, body in bodies.items():
        origin.put('bkt', path[5:], body)
        assert nginx.get(path).body == body
    return bodies


def test_a_reload_keeps_the_stores(origin, make_gateway):
    nginx = make_gateway(origin, 's3_cache_block_size 64k;', http=store())
    wait_serving(nginx)
    bodies = fill(origin, nginx)
    records = wait_records(nginx, len(bodies))
    inode = os.stat(f'{nginx.dir}/a.store').st_ino
    mounts = nginx.log().count(': mounted,')
    nginx.reload(wait_old=True)
    assert states(nginx) == ['serving']
    assert os.stat(f'{nginx.dir}/a.store').st_ino == inode
    assert nginx.zone()['stores'][0]['records'] == records
    assert nginx.log().count(': mounted,') == mounts
    for path, body in bodies.items():
        answer = nginx.get(path)
        assert (answer.body, answer.getheader('X-Cache')) == (body, 'HIT')


def test_a_reload_that_changes_a_budget_mounts_what_is_there(
        origin, make_gateway):
    nginx = make_gateway(origin, 's3_cache_block_size 64k;', http=store())
    wait_serving(nginx)
    wait_records(nginx, len(fill(origin, nginx)))
    nginx.reload(wait_old=True, http=s3_zone() + store('budget=9m/s'))
    wait_serving(nginx)
    one, = nginx.zone()['stores']
    assert one['budget']['bytes_per_second'] == 9 * MB
    assert one['records'] >= 8


def test_a_changed_size_empties_the_store(origin, make_gateway):
    nginx = make_gateway(origin, 's3_cache_block_size 64k;', http=store())
    wait_serving(nginx)
    wait_records(nginx, len(fill(origin, nginx)))
    inode = os.stat(f'{nginx.dir}/a.store').st_ino
    nginx.reload(wait_old=True, http=s3_zone() + store(size='20m'))
    wait_serving(nginx)
    one, = nginx.zone()['stores']
    assert (one['bytes'], one['records']) == (20 * MB, 0)
    assert os.stat(f'{nginx.dir}/a.store').st_ino == inode
    assert ': formatted: ' in nginx.log()


def test_a_store_may_come_and_go(origin, make_gateway):
    nginx = make_gateway(origin, 's3_cache_block_size 64k;')
    nginx.reload(wait_old=True, http=s3_zone() + store())
    wait_serving(nginx)
    nginx.reload(wait_old=True, http=s3_zone())
    assert nginx.zone()['stores'] == []
    # nobody holds it any more
    with open(f'{nginx.dir}/a.store', 'rb') as f:
        subprocess.run(['flock', '-n', str(f.fileno())], check=True,
                       pass_fds=[f.fileno()])


def test_a_file_that_was_replaced_is_taken_up_by_a_reload(
        origin, make_gateway):
    nginx = make_gateway(origin, 's3_cache_block_size 64k;', http=store())
    wait_serving(nginx)
    os.unlink(f'{nginx.dir}/a.store')
    nginx.reload(wait_old=True)
    wait_serving(nginx)
    assert os.stat(f'{nginx.dir}/a.store').st_blocks * 512 >= 16 * MB


def test_a_restart_keeps_what_is_on_flash(origin, make_gateway):
    nginx = make_gateway(origin, 's3_cache_block_size 64k;', http=store())
    wait_serving(nginx)
    bodies = fill(origin, nginx)
    wait_records(nginx, len(bodies))
    nginx.quit()
    nginx.start()
    wait_serving(nginx)
    assert nginx.zone()['stores'][0]['records'] >= len(bodies)
    assert nginx.zone()['memory']['entries'] == 0


def test_another_nginx_that_has_the_store_is_waited_for(
        origin, make_gateway, tmp_path):
    path = tmp_path / 'a'
    first = make_gateway(origin, 's3_cache_block_size 64k;',
                         http=store(path=path))
    wait_serving(first)
    origin.put('bkt', 'key', b'body')
    second = make_gateway(origin, 's3_cache_block_size 64k;',
                          http=store(path=path))
    second.wait_log('waits for another process')
    assert states(second) == ['waiting']
    assert second.get('/bkt/key').body == b'body'
    first.stop()
    wait_serving(second)


def test_a_binary_upgrade_hands_the_store_over(origin, make_nginx):
    """USR2, QUIT: the new master waits for the old one's workers. It needs a
    master whose parent has gone, so it is no child of ours."""
    nginx = make_nginx(
        conf=nginx_lib.CONF.replace('daemon off;', 'daemon on;'),
        # nginx gives a new binary only what is named
        main='env ASAN_OPTIONS; env LSAN_OPTIONS; env UBSAN_OPTIONS;',
        http=s3_zone() + store(),
        server=s3_location(origin.url, more='s3_cache_block_size 64k;'))
    nginx.write_conf()
    subprocess.run(nginx._args(), check=True, env=nginx.env, timeout=30)

    def master():
        try:
            with open(f'{nginx.dir}/nginx.pid', encoding='ascii') as f:
                return int(f.read())
        except (OSError, ValueError):
            return None

    pids = [wait.until(master, 'the first master')]
    try:
        wait_serving(nginx)
        wait_records(nginx, len(fill(origin, nginx)))
        os.kill(pids[0], signal.SIGUSR2)
        pids.append(wait.until(
            lambda: master() not in (None, pids[0]) and master(),
            'the second master'))
        nginx.wait_log('waits for another process')
        os.kill(pids[0], signal.SIGQUIT)
        wait.until(lambda: not process.is_alive(pids[0]), nginx._tail, 20)
        wait_serving(nginx)
        assert nginx.zone()['stores'][0]['records'] >= 8
    finally:
        for pid in pids:
            if process.is_alive(pid):
                os.kill(pid, signal.SIGTERM)
        for pid in pids:
            wait.until(lambda pid=pid: not process.is_alive(pid),
                       'the masters end')
