# SPDX-License-Identifier: Apache-2.0
"""The file system that fails does so as it is told, and only then."""

import concurrent.futures
import errno
import fcntl
import mmap
import os
import signal
import subprocess
import sys

import pytest

from lib import faultfs, process, wait
from origin.objects import pattern

KIB, MIB = 1 << 10, 1 << 20
SIZE = 4 * MIB


@pytest.fixture
def opened(disk):
    """A file of SIZE pattern bytes, opened for direct I/O."""
    with open(disk.behind('f'), 'wb') as f:
        f.write(pattern(SIZE))
    fd = os.open(disk.path('f'), os.O_RDWR | os.O_DIRECT)
    disk.forget()
    yield fd
    try:
        if process.is_alive(disk.child.pid):
            disk.off()
    finally:
        try:
            os.close(fd)
        except OSError:
            pass                       # its file system is gone


def read(fd, off, size):
    """By direct I/O, into aligned memory."""
    with mmap.mmap(-1, size) as room:
        return room[:os.preadv(fd, [room], off)]


def write(fd, off, data, flags=0):
    with mmap.mmap(-1, len(data)) as room:
        room[:] = data
        return os.pwritev(fd, [room], off, flags)


def test_what_is_written_is_read(disk, opened):
    data = pattern(256 * KIB, 1)
    assert write(opened, 64 * KIB, data) == len(data)
    assert write(opened, 512 * KIB, data[:4096], os.RWF_DSYNC) == 4096
    assert read(opened, 64 * KIB, len(data)) == data
    with open(disk.behind('f'), 'rb') as f:
        assert f.read()[64 * KIB:320 * KIB] == data
    assert [tuple(s) for s in disk.seen()] == [
        ('write', 'f', 64 * KIB, 256 * KIB, 256 * KIB),
        ('write', 'f', 512 * KIB, 4096, 4096),
        ('read', 'f', 64 * KIB, 256 * KIB, 256 * KIB)]


@pytest.mark.parametrize('off, size', [
    (0, 512), (512, 4096), (0, 4096), (4096, 36 * KIB), (0, MIB)])
def test_one_direct_read_is_seen_as_one(disk, opened, off, size):
    assert read(opened, off, size) == pattern(SIZE)[off:off + size]
    assert [(s.off, s.size) for s in disk.seen('read')] == [(off, size)]


def test_files_live_as_elsewhere(disk):
    path = disk.path('new')
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.posix_fallocate(fd, 0, MIB)
    assert os.fstat(fd).st_size == MIB
    assert os.fstat(fd).st_mode & 0o777 == 0o600
    os.ftruncate(fd, 2 * MIB)
    assert os.stat(disk.behind('new')).st_size == 2 * MIB
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    other = os.open(path, os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)
    assert os.listdir(disk.mount) == ['new']
    os.chmod(path, 0)
    assert os.stat(disk.behind('new')).st_mode & 0o777 == 0
    assert os.statvfs(disk.mount).f_bavail > 0
    os.unlink(path)
    assert os.listdir(disk.mount) == []
    with pytest.raises(FileNotFoundError):
        os.stat(path)


@pytest.mark.parametrize('name', ['EIO', 'ENOSPC'])
def test_errors(disk, opened, name):
    rule = disk.on('write', error=name)
    with pytest.raises(OSError) as caught:
        write(opened, 0, bytes(4096))
    assert caught.value.errno == getattr(errno, name)
    assert read(opened, 0, 4096) == pattern(SIZE)[:4096]
    disk.off(rule)
    assert write(opened, 0, bytes(4096)) == 4096
    assert [s.outcome for s in disk.seen('write')] == [
        -getattr(errno, name), 4096]


def test_a_rule_holds_where_and_when_it_says(disk, opened):
    disk.on('read', error='EIO', at=(8192, 8199), nth=2, times=2)
    fates = []
    for off in (0, 8192, 12288, 8192, 4096, 8192, 8192):
        try:
            fates.append(len(read(opened, off, 4096)))
        except OSError as e:
            fates.append(-e.errno)
    assert fates == [4096, 4096, 4096, -errno.EIO, 4096, -errno.EIO, 4096]
    disk.on('read', error='EIO', name='other')
    assert len(read(opened, 0, 4096)) == 4096


def test_a_share_is_the_same_for_a_seed(disk, opened):
    def fates():
        rule = disk.on('read', error='EIO', share=0.5, seed=7)
        disk.forget()
        for i in range(40):
            try:
                read(opened, i * 4096, 4096)
            except OSError:
                pass
        disk.off(rule)
        return [s.outcome for s in disk.seen('read')]

    assert fates() == fates()
    assert {-errno.EIO, 4096} == set(fates())


def test_short_and_flipped(disk, opened):
    body = pattern(SIZE)
    rule = disk.on('read', short=4096)
    assert read(opened, 0, 8192) == body[:4096]
    disk.off(rule)
    rule = disk.on('read', flip=5000)
    wrong = read(opened, 4096, 4096)
    assert [i for i in range(4096) if wrong[i] != body[4096 + i]] == [904]
    assert read(opened, 8192, 4096) == body[8192:12288]
    disk.off(rule)
    assert read(opened, 4096, 4096) == body[4096:8192]
    disk.on('write', flip=-1)
    write(opened, 0, bytes(4096))
    assert read(opened, 0, 4096) == bytes(4095) + b'\1'


def test_open_fails(disk, opened):
    disk.on('open', error='EACCES', name='f')
    with pytest.raises(PermissionError):
        os.open(disk.path('f'), os.O_RDONLY)
    disk.off()
    os.close(os.open(disk.path('f'), os.O_RDONLY))


@pytest.mark.parametrize('then', [None, 'EIO'])
def test_what_is_held_goes_on_when_it_may(disk, opened, then):
    rule = disk.on('read', hold=True, at=(0, 4095), error=then)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        stuck = [pool.submit(read, opened, 0, 4096) for _ in range(2)]
        disk.wait_held(2)
        # the others are not in its way
        assert len(read(opened, 4096, 4096)) == 4096
        assert write(opened, 8192, bytes(4096)) == 4096
        assert not any(f.done() for f in stuck)
        assert disk.off(rule) == 2
        for future in stuck:
            if then:
                assert future.exception(10).errno == errno.EIO
            else:
                assert future.result(10) == pattern(SIZE)[:4096]


def test_a_held_write_holds_no_other(disk, opened):
    rule = disk.on('write', hold=True, times=1)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(write, opened, 0, bytes(4096))
        disk.wait_held()
        assert write(opened, 4096, bytes(4096)) == 4096
        assert read(opened, 0, 4096) == pattern(SIZE)[:4096]
        disk.off(rule)
        assert stuck.result(10) == 4096


def test_a_late_answer(disk, opened):
    disk.on('read', delay_s=0.05)
    assert read(opened, 0, 4096) == pattern(SIZE)[:4096]


def test_a_file_that_was_cut_is_read_short(disk, opened):
    os.truncate(disk.behind('f'), 6000)
    assert read(opened, 4096, 4096) == pattern(SIZE)[4096:6000]
    assert read(opened, 8192, 4096) == b''


def test_the_end_fails_what_is_held(disk, opened):
    disk.on('read', hold=True)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(read, opened, 0, 4096)
        disk.wait_held()
        disk.child.kill()
        assert stuck.exception(10).errno in (errno.ECONNABORTED, errno.EIO,
                                             errno.ENOTCONN)


def test_it_goes_with_whoever_started_it(tmp_path, disk):
    """Even by SIGKILL, and with a request held."""
    program = (
        'import os, sys, threading, time\n'
        'from lib import faultfs\n'
        f'disk = faultfs.FaultFs({str(tmp_path / "other")!r}).start()\n'
        'open(disk.behind("f"), "wb").write(bytes(4096))\n'
        'disk.on("read", hold=True)\n'
        'fd = os.open(disk.path("f"), os.O_RDONLY)\n'
        'threading.Thread(target=os.pread, args=(fd, 1, 0)).start()\n'
        'disk.wait_held()\n'
        'print(disk.child.pid, flush=True)\n'
        'time.sleep(60)\n')
    folder = os.path.dirname(os.path.dirname(faultfs.SERVER))
    child = process.start([sys.executable, '-c', program], cwd=folder,
                          stdout=subprocess.PIPE, text=True)
    with child.stdout:
        server = int(child.stdout.readline())
    mount = tmp_path / 'other' / 'mount'
    assert os.path.ismount(mount)
    child.send_signal(signal.SIGKILL)
    child.wait(10)
    wait.until(lambda: not process.is_alive(server), 'its process ends')
    assert not os.path.ismount(mount)
