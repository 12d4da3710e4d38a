# SPDX-License-Identifier: Apache-2.0
"""A redis-server, or a redis-sentinel, of a test's own, and a client of it.
Nothing of the system's service is used."""

import os
import shutil
import signal
import socket
import subprocess

from lib import ports, process, wait


class Error(Exception):
    """What Redis answers behind a '-'."""


class Client:
    """One connection; answers are bytes, int, None, lists of them."""

    def __init__(self, port, timeout_s=10, path=None):
        if path:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout_s)
            self.sock.connect(path)
        else:
            self.sock = socket.create_connection(('127.0.0.1', port),
                                                 timeout_s)
        self.file = self.sock.makefile('rb')

    def __call__(self, *words):
        said = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.sock.sendall(b'*%d\r\n' % len(said) + b''.join(
            b'$%d\r\n%s\r\n' % (len(w), w) for w in said))
        return self._read()

    def _read(self):
        line = self.file.readline()
        if not line.endswith(b'\r\n'):
            raise ConnectionError('Redis closed the connection')
        kind, rest = line[:1], line[1:-2]
        if kind == b'+':
            return rest
        if kind == b'-':
            raise Error(rest.decode())
        if kind == b':':
            return int(rest)
        if kind == b'$':
            n = int(rest)
            return None if n < 0 else self.file.read(n + 2)[:-2]
        n = int(rest)
        return None if n < 0 else [self._read() for _ in range(n)]

    def close(self):
        self.file.close()
        self.sock.close()


class Redis:
    """options: lines of its configuration file. @port@, @bus@ (of a cluster) and
    @dir@ in them are its own."""

    binary = 'redis-server'

    def __init__(self, folder, options='', password=None, user=None, plain=True,
                 keep=False):
        self.dir = str(folder)
        os.makedirs(self.dir, exist_ok=True)
        self.port = ports.reserve()
        self.bus = ports.reserve() if '@bus@' in options else 0
        self.path = os.path.join(self.dir, 'redis.sock')
        self.options = options
        self.password = password
        self.user = user
        self.plain = plain
        self.keep = keep
        self.child = None

    def _conf(self):
        text = (f'daemonize no\ndir {self.dir}\nbind 127.0.0.1\n'
                f'port {self.port if self.plain else 0}\n'
                f'logfile {self.dir}/redis.log\n' + self.options + '\n')
        if self.binary == 'redis-server':
            text += (f'save ""\nappendonly {"yes" if self.keep else "no"}\n'
                     f'unixsocket {self.path}\nunixsocketperm 777\n')
        for name in ('port', 'bus', 'dir'):
            text = text.replace(f'@{name}@', str(getattr(self, name)))
        return text

    def start(self, timeout_s=20):
        conf = os.path.join(self.dir, 'redis.conf')
        with open(conf, 'w', encoding='utf-8') as f:
            f.write(self._conf())
        args = [shutil.which(self.binary) or self.binary, conf]
        if self.binary == 'redis-sentinel':
            args.append('--sentinel')
        self.child = process.start(args, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        wait.until(self._answers, self._tail, timeout_s)
        return self

    def _answers(self):
        assert self.child.poll() is None, self._tail()
        try:
            client = self.client()
        except (OSError, Error):
            return False
        try:
            client('PING')
        except OSError:
            return False
        except Error as e:
            return not str(e).startswith('LOADING')
        finally:
            client.close()
        return True

    def _tail(self):
        return process.tail(os.path.join(self.dir, 'redis.log'))

    def client(self):
        client = Client(self.port, path=None if self.plain else self.path)
        if self.password:
            client('AUTH', *([self.user] if self.user else []), self.password)
        return client

    def __call__(self, *words):
        client = self.client()
        try:
            return client(*words)
        finally:
            client.close()

    # --- what becomes of it ----------------------------------------------

    def kill(self):
        if self.child:
            self.thaw()
            process.stop(self.child, signal.SIGKILL)

    def restart(self):
        """Begins empty, unless it keeps what it has."""
        self.kill()
        return self.start()

    def freeze(self):
        self.child.send_signal(signal.SIGSTOP)

    def thaw(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGCONT)

    def close(self):
        self.kill()
        ports.release(self.port)
        ports.release(self.bus)

    # --- what the module keeps in it -------------------------------------

    def members(self, zone='hot', prefix='s3_cache'):
        """{name: its value} of those whose lease has not ended."""
        seconds, usec = self('TIME')
        now = int(seconds) * 1000 + int(usec) // 1000
        keys = f'{{{prefix}:{zone}}}'
        names = self('ZRANGEBYSCORE', f'{keys}:leases', f'({now}', '+inf')
        return {name.decode('latin-1'):
                self('HGET', f'{keys}:members', name).decode('latin-1')
                for name in names}

    def epoch(self, zone='hot', prefix='s3_cache'):
        return int(self('GET', f'{{{prefix}:{zone}}}:epoch') or 0)


class Sentinel(Redis):
    """options must have `sentinel monitor` and what else it needs."""

    binary = 'redis-sentinel'
