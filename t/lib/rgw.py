#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A real S3 origin: Ceph RGW with one monitor and one OSD, data in memory.

  eval "$(t/lib/rgw.py --print-env --owner-pid $$)"
      starts one that lives as long as this shell does, and sets RGW_URL,
      RGW_ACCESS_KEY, RGW_SECRET_KEY (of a second user: RGW_ALT_...),
      RGW_REGION and RGW_PID (SIGTERM ends it)
  rgw.py --serve FOLDER [--owner-pid PID] [--remove]
      stays in the foreground; FOLDER/rgw.json appears when it answers

From Python: `with Rgw(folder) as rgw`, or shared() for one that several
processes use. All daemons stay children of one Python process and are ended
by the kernel if that is killed. Everything lies in the folder given.
"""

import argparse
import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import uuid
import urllib.error
import urllib.request

if __name__ == '__main__':
    sys.path.insert(0, os.path.dirname(os.path.dirname(
        os.path.abspath(__file__))))

from lib import ports, process, wait     # noqa: E402

MEMORY_BYTES = 8 << 30          # of the OSD: taken when used
STEP_S = 60                     # the longest that one command may take

USERS = {
    'main': ('main', 'MAINACCESSKEY0000001',
             'main+secret/key0000000000000000000000001'),
    'alt': ('alt', 'ALTACCESSKEY00000002',
            'alt+secret/key00000000000000000000000002'),
}

CONF = '''\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon_port}]
mon initial members = a
keyring = {dir}/keyring
run dir = {dir}
admin socket = {dir}/$name.asok
pid file = {dir}/$name.pid
log file = {dir}/$name.log
mon cluster log file = {dir}/cluster.log
log to stderr = false
err to stderr = true
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = {memory}
mon allow pool size one = true
mon allow pool delete = true
mon max pg per osd = 1000
mon data avail crit = 1
mon data avail warn = 1
debug default = 0
[mon.a]
mon data = {dir}/mon
[osd.0]
osd data = {dir}/osd
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw thread pool size = 128
rgw dns name = {domain}
rgw print continue = true
rgw enable usage log = false
rgw enable gc threads = false
rgw enable lc threads = false
rgw lifecycle work time = 00:00-00:00
'''


class Failed(RuntimeError):
    pass


def is_installed():
    return all(shutil.which(name) for name in (
        'ceph-mon', 'ceph-osd', 'ceph', 'radosgw', 'radosgw-admin',
        'monmaptool'))


def _secret():
    """A cephx key, as ceph-authtool would make it."""
    key = os.urandom(16)
    now = time.time()
    head = struct.pack('<HIIH', 1, int(now), int(now % 1 * 1e9), len(key))
    return base64.b64encode(head + key).decode()


class Rgw:
    """Attributes once started: url, host, port, region, access_key,
    secret_key, alt_access_key, alt_secret_key, domain."""

    region = 'us-east-1'      # RGW takes any
    domain = 's3.test'

    def __init__(self, folder):
        self.dir = os.path.abspath(str(folder))
        self.port = None
        self.daemons = []
        _, self.access_key, self.secret_key = USERS['main']
        _, self.alt_access_key, self.alt_secret_key = USERS['alt']

    def start(self):
        if not is_installed():
            raise Failed('Ceph is not installed (make deps)')
        os.makedirs(self.dir, exist_ok=True)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self):
        mon_port = ports.reserve()
        self.port = ports.reserve()
        fsid, osd_id = str(uuid.uuid4()), str(uuid.uuid4())
        osd_secret = _secret()
        self._write('ceph.conf', CONF.format(
            fsid=fsid, mon_port=mon_port, port=self.port, dir=self.dir,
            memory=MEMORY_BYTES, domain=self.domain))
        everything = 'caps mon = "allow *"\n caps osd = "allow *"\n'
        self._write('keyring', ''.join(
            f'[{name}]\n key = {_secret()}\n {caps}' for name, caps in (
                ('mon.', 'caps mon = "allow *"\n'),
                ('client.admin', everything + ' caps mgr = "allow *"\n'),
                ('client.rgw',
                 'caps mon = "allow rwx"\n caps osd = "allow rwx"\n'))))
        os.makedirs(f'{self.dir}/mon')
        os.makedirs(f'{self.dir}/osd')
        # The OSD reads its key, as it has no other place for it.
        self._write('osd/keyring', f'[osd.0]\n key = {osd_secret}\n')

        self._run('monmaptool', '--create', '--fsid', fsid, '--addv', 'a',
                  f'[v2:127.0.0.1:{mon_port}]', f'{self.dir}/monmap',
                  conf=False)
        self._run('ceph-mon', '-i', 'a', '--mkfs', '--monmap',
                  f'{self.dir}/monmap', '--keyring', f'{self.dir}/keyring')
        self._daemon('ceph-mon', '-i', 'a')
        self._run('ceph', '--connect-timeout', '30', 'osd', 'new', osd_id,
                  '-i', '-', stdin=json.dumps({'cephx_secret': osd_secret}))
        self._run('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', osd_id,
                  '--keyring', f'{self.dir}/osd/keyring')
        self._daemon('ceph-osd', '-i', '0', '--keyring',
                     f'{self.dir}/osd/keyring')
        for uid, access_key, secret_key in USERS.values():
            self._run('radosgw-admin', 'user', 'create', f'--uid={uid}',
                      f'--display-name={uid}', f'--access-key={access_key}',
                      f'--secret-key={secret_key}')
        self._daemon('radosgw', '-n', 'client.rgw')
        wait.until(self._answers, self._why, STEP_S, 0.05)

    def _write(self, name, text):
        with open(os.path.join(self.dir, name), 'w', encoding='utf-8') as f:
            f.write(text)
            os.chmod(f.fileno(), 0o600)

    def _run(self, *args, conf=True, stdin=''):
        if conf:
            args = args[:1] + ('-c', f'{self.dir}/ceph.conf') + args[1:]
        env = dict(os.environ, CEPH_ARGS='')
        # Such a command waits for minutes if a daemon that it needs is gone.
        with tempfile.TemporaryFile(mode='w+') as out, \
                tempfile.TemporaryFile(mode='w+') as given:
            given.write(stdin)
            given.seek(0)
            child = process.start(args, signal.SIGKILL, stdin=given,
                                  stdout=out, stderr=subprocess.STDOUT,
                                  env=env)
            try:
                wait.until(lambda: child.poll() is not None
                           or self._dead(), '', STEP_S, 0.01)
            except wait.TimedOut:
                pass
            if child.poll() is None:
                child.kill()
                child.wait()
            if child.returncode:
                out.seek(0)
                raise Failed(f'{" ".join(args)}\n{out.read()}{self._why()}')

    def _daemon(self, *args):
        with open(f'{self.dir}/{args[0]}.out', 'wb') as out:
            self.daemons.append(process.start(
                args[:1] + ('-c', f'{self.dir}/ceph.conf', '-f') + args[1:],
                signal.SIGKILL, stdout=out, stderr=out,
                env=dict(os.environ, CEPH_ARGS='')))

    def _dead(self):
        return [d for d in self.daemons if d.poll() is not None]

    def _why(self):
        text = f'in {self.dir}:\n'
        for daemon in self.daemons:
            name = daemon.args[0]
            text += f'--- {name}: exit status {daemon.poll()}\n'
            text += process.tail(f'{self.dir}/{name}.out', 15)
        for name in ('mon.a.log', 'osd.0.log', 'client.rgw.log'):
            text += f'--- {name}\n{process.tail(f"{self.dir}/{name}", 15)}'
        return text

    def _answers(self):
        if self._dead():
            raise Failed(f'a daemon died\n{self._why()}')
        try:
            with urllib.request.urlopen(self.url, timeout=5) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False

    @property
    def url(self):
        return f'http://127.0.0.1:{self.port}'

    def env(self):
        return {name: getattr(self, name) for name in (
            'url', 'region', 'domain', 'access_key', 'secret_key',
            'alt_access_key', 'alt_secret_key')}

    def stop(self):
        # It is all in memory and thrown away: nothing is lost by SIGKILL.
        for daemon in reversed(self.daemons):
            process.stop(daemon, signal.SIGKILL)
        self.daemons.clear()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


class Shared:
    """An RGW that another process runs: the same attributes as Rgw.env()."""

    def __init__(self, found, folder):
        self.__dict__.update(found)
        self.lock = f'{folder}/topics.lock'

    @contextlib.contextmanager
    def topics_locked(self):
        """An RGW keeps all topics of a user in one object, and refuses the
        later of two that change it at once."""
        with open(self.lock, 'w', encoding='ascii') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def serve(folder, owner_pid, remove=False):
    """Runs one until SIGTERM, SIGINT or the end of the owner."""
    def leave(*_):
        sys.exit(0)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    owner = os.pidfd_open(owner_pid)
    try:
        with Rgw(folder) as rgw:
            state = dict(rgw.env(), pid=os.getpid())
            with open(f'{folder}/rgw.json.new', 'w', encoding='utf-8') as f:
                json.dump(state, f)
            os.rename(f'{folder}/rgw.json.new', f'{folder}/rgw.json')
            select.select([owner], [], [])
    finally:
        if remove:
            shutil.rmtree(folder, ignore_errors=True)


def shared(folder, owner_pid, remove=False):
    """The one RGW of `folder`, started by whoever asks first, and ended with
    the process `owner_pid`. A start that failed fails for all."""
    folder = os.path.abspath(str(folder))
    os.makedirs(folder, exist_ok=True)
    state, failed = f'{folder}/rgw.json', f'{folder}/failed'
    with open(f'{folder}/lock', 'w', encoding='ascii') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(failed):
            with open(failed, encoding='utf-8') as f:
                raise Failed(f.read())
        if not os.path.exists(state):
            log = f'{folder}/serve.log'
            with open(log, 'wb') as out:
                child = subprocess.Popen(
                    [sys.executable, os.path.abspath(__file__), '--serve',
                     folder, '--owner-pid', str(owner_pid)]
                    + ['--remove'] * remove,
                    stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                    start_new_session=True)
            try:
                wait.until(lambda: os.path.exists(state)
                           or child.poll() is not None,
                           f'Ceph RGW in {folder}', 4 * STEP_S, 0.02)
            except wait.TimedOut:
                process.stop(child)
            if not os.path.exists(state):
                why = process.tail(log, 80)
                with open(failed, 'w', encoding='utf-8') as f:
                    f.write(f'Ceph RGW did not start:\n{why}')
                raise Failed(f'Ceph RGW did not start:\n{why}')
        with open(state, encoding='utf-8') as f:
            return Shared(json.load(f), folder)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--print-env', action='store_true')
    parser.add_argument('--serve', metavar='FOLDER')
    parser.add_argument('--owner-pid', type=int, default=os.getppid())
    parser.add_argument('--remove', action='store_true')
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args.owner_pid, args.remove)
    elif args.print_env:
        found = shared(tempfile.mkdtemp(prefix='s3c-rgw-'), args.owner_pid,
                       remove=True)
        for name, value in vars(found).items():
            print(f"export RGW_{name.upper()}='{value}'")
    else:
        parser.print_help()


if __name__ == '__main__':
    main()
