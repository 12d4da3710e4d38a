# SPDX-License-Identifier: Apache-2.0
"""What is measured: one nginx with a port for each subject, Varnish, and the
origin that all of them read from. Everything lies in one folder of a tmpfs
and ends with the process that started it."""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

from lib import nginx as test_nginx
from lib import ports, process, wait

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(os.environ.get('BUILD') or 'build')

SIZES = (4000, 4 << 10, 64 << 10, 1 << 20, 64 << 20)


def path_of(size):
    """As long as the keys of a data lake are."""
    return f'/bench/warehouse/events/date=2026-08-01/part-00017-{size}.parquet'


IDENTITY = 'BENCHACCESSKEY', 'bench-secret-key'

# What a S3 answer carries besides the headers that any server sends.
S3_HEADERS = {
    'x-amz-request-id': 'tx00000a1b2c3d4e5f60718-0068ac1f2e-1234-default',
    'x-amz-version-id': '3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxf3vjVBH40Nr8X',
    'x-amz-meta-owner': 'bench',
    'x-amz-meta-mtime': '1722513600.123456789',
}

VARNISHD = '/usr/sbin/varnishd'


def cpu_seconds(pid):
    """Of all its threads, to the nanosecond (the clock of another process:
    clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


class Servers:
    def __init__(self, server_core, varnish=True, wrapper=(), trickle=None):
        """`wrapper`: a command under which nginx runs, in one process (@dir@
        is the folder); `trickle`: the port of the storm's origin."""
        shm = '/dev/shm' if os.path.isdir('/dev/shm') else None
        self._folder = tempfile.TemporaryDirectory(prefix='s3c-bench-',
                                                   dir=shm)
        self.dir = self._folder.name
        os.chmod(self.dir, 0o755)
        self._disk = tempfile.TemporaryDirectory(
            prefix='disk-', dir=os.environ.get('BENCH_DISK') or BUILD)
        self.disk = self._disk.name
        self.core = server_core
        self.ports = {'trickle': trickle} if trickle else {}
        self._wrapper = [w.replace('@dir@', self.dir) for w in wrapper]
        self._with_varnish = varnish and os.path.exists(VARNISHD)
        self._children = []
        self.pids = {}               # who burns the CPU: nginx, varnish...

    # --- files --------------------------------------------------------------

    def _files(self):
        data = os.path.join(self.dir, 'data')
        for size in SIZES:
            path = data + path_of(size)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'wb') as f:
                f.write(os.urandom(size))
        return data

    def _identities(self):
        path = os.path.join(self.dir, 'identities.json')
        with open(path, 'w', encoding='ascii') as f:
            json.dump({'identities': [{
                'name': 'bench',
                'keys': [dict(zip(('access_key', 'secret_key'), IDENTITY))],
                'policy': [{'effect': 'allow', 'actions': ['read'],
                            'resources': ['bench/*']}]}]}, f)
        os.chmod(path, 0o640)
        return path

    def _configure(self, name, data):
        """A file of conf/ with its @NAME@s put in; what is not known is the
        name of a port."""
        words = {
            'dir': self.dir, 'disk': self.disk, 'data': data, 'module': test_nginx.module(),
            'user': 'user root;' if os.getuid() == 0 else '',
            'master': 'off' if self._wrapper else 'on',
            'identities': self._identities(), 'body4000': 'x' * 4000, 'path': path_of('$1'),
            's3_headers': ' '.join(f'add_header {k} "{v}";'
                                   for k, v in S3_HEADERS.items()),
        }
        with open(os.path.join(HERE, 'conf', name), encoding='ascii') as f:
            text = f.read()
        text = re.sub(r'@(\w+)@', lambda m: str(
            words[m[1]] if m[1] in words else self.port(m[1])), text)
        path = os.path.join(self.dir, name)
        with open(path, 'w', encoding='ascii') as f:
            f.write(text)
        return path

    # --- life ---------------------------------------------------------------

    def port(self, name):
        if name not in self.ports:
            self.ports[name] = ports.reserve()
        return self.ports[name]

    def _start(self, name, args):
        log = os.path.join(self.dir, f'{name}.out')
        with open(log, 'wb') as out:
            child = process.start(args, stdout=out, stderr=out,
                                  death_signal=signal.SIGTERM)
        os.sched_setaffinity(child.pid, {self.core})
        self._children.append(child)
        self.pids[name] = child.pid
        return child

    def _await(self, name, port, timeout_s=60):
        def answers():
            with socket.socket() as s:
                s.settimeout(1)
                return s.connect_ex(('127.0.0.1', port)) == 0
        wait.until(answers, lambda: process.tail(
            os.path.join(self.dir, f'{name}.out')), timeout_s, 0.05)

    def _nginx(self, name, conf, port, wrapper=()):
        child = self._start(name, list(wrapper) + [
            test_nginx.binary(), '-p', self.dir, '-e', 'stderr', '-c', conf])
        self._await(name, port)
        if not wrapper:
            self.pids[name] = wait.until(
                lambda: [p for p in process.children(child.pid)
                         if 'worker process' in process.title(p)],
                f'{name} has no worker')[0]

    def start(self):
        data = self._files()
        confs = {n: self._configure(n, data)
                 for n in ('nginx.conf', 'origin.conf', 'varnish.vcl')}
        self._nginx('origin', confs['origin.conf'], self.port('origin'))
        self._nginx('nginx', confs['nginx.conf'], self.port('direct'),
                    self._wrapper)
        if self._with_varnish:
            port = self.port('varnish')
            child = self._start('varnish', [
                VARNISHD, '-F', '-j', 'none', '-f', confs['varnish.vcl'],
                '-a', f'127.0.0.1:{port}', '-s', 'malloc,512m', '-T', 'none',
                '-n', os.path.join(self.dir, 'varnish'),
                '-p', 'thread_pools=1', '-p', 'timeout_idle=600'])
            self._await('varnish', port)
            self.pids['varnish'] = wait.until(
                lambda: process.children(child.pid), 'varnish has no child',
                20)[0]
        return self

    def pin(self, name, core):
        for thread in os.listdir(f'/proc/{self.pids[name]}/task'):
            os.sched_setaffinity(int(thread), {core})

    def has(self, subject):
        return subject != 'varnish' or self._with_varnish

    def pid(self, subject):
        """Of the process that serves this subject."""
        return self.pids[subject if subject in self.pids else 'nginx']

    def url(self, subject, path):
        return f'http://127.0.0.1:{self.port(subject)}{path}'

    def stop(self):
        for child in reversed(self._children):
            process.stop(child)
        for name, port in self.ports.items():
            if name != 'trickle':
                ports.release(port)
        self._folder.cleanup()
        self._disk.cleanup()

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()


def version(args, pattern):
    done = subprocess.run(args, capture_output=True, text=True, check=False)
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1] if found else '?'


def machine():
    """Lines that say where and with what this was measured."""
    with open('/proc/cpuinfo', encoding='ascii') as f:
        cpu = re.search(r'model name\s*: (.*)', f.read())
    return {
        'cpu': f'{os.cpu_count()} x {cpu[1] if cpu else "?"}',
        'kernel': os.uname().release,
        'nginx': version([test_nginx.binary(), '-v'], r'nginx/(\S+)'),
        'varnish': version([VARNISHD, '-V'], r'varnish-(\S+)')
                   if os.path.exists(VARNISHD) else 'not there',
        'wrk': version(['wrk', '-v'], r'wrk \S*?([\d.]+)'),
    }
