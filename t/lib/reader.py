# SPDX-License-Identifier: Apache-2.0
"""Clients that read as slowly, as far and as long as a test wants.

    with Reader(nginx, '/bucket/key') as reader:
        reader.read_to(4096)       # so many body bytes have come
        reader.read_all()          # the whole body, or Cut

What http.client hides is to be seen here: a body that ends early is a Cut,
never a short answer. Lanes knows which worker a connection belongs to.
"""

import re
import socket
import struct

LANES = '''
        listen 127.0.0.1:@port:lanes@ reuseport backlog=4096;
        location = /.pid { return 200 $pid; }
'''


class Cut(AssertionError):
    """The answer ended before it was complete."""


class Reader:
    """One request, sent at once, on a connection of its own (or `sock`)."""

    def __init__(self, nginx, target, headers=None, method='GET', sock=None,
                 timeout_s=20, rcvbuf=None, name=''):
        self.sock = sock or connect(nginx.port(name), rcvbuf)
        self.sock.settimeout(timeout_s)
        self.method = method
        self.body = bytearray()
        self._head = b''
        self.status = self.headers = self.length = None
        words = dict({'Host': 'localhost'}, **(headers or {}))
        self.sock.sendall((f'{method} {target} HTTP/1.1\r\n' + ''.join(
            f'{k}: {v}\r\n' for k, v in words.items()) + '\r\n').encode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _recv(self):
        try:
            piece = self.sock.recv(256 * 1024)
        except ConnectionResetError:
            piece = b''
        if not piece:
            raise Cut(f'after {len(self.body)} of {self.length} body bytes, '
                      f'status {self.status}')
        return piece

    def head(self):
        """Waits for the head: the status."""
        while self.status is None:
            self._head += self._recv()
            end = self._head.find(b'\r\n\r\n')
            if end < 0:
                continue
            lines = self._head[:end].decode('latin-1').split('\r\n')
            self.body += self._head[end + 4:]
            self.headers = {}
            for line in lines[1:]:
                key, _, value = line.partition(':')
                self.headers[key.lower()] = value.strip()
            length = self.headers.get('content-length')
            self.length = int(length) if length is not None else None
            self.status = int(lines[0].split()[1])
            if self.method == 'HEAD' or self.status in (204, 304):
                self.length = 0
        return self.status

    def read_to(self, count):
        """Waits until at least so many body bytes are there: those."""
        self.head()
        while len(self.body) < count:
            self.body += self._recv()
        return bytes(self.body[:count])

    def read_all(self):
        """The body, exactly as long as was declared."""
        self.head()
        if self.length is None:
            self._read_unframed()
        else:
            self.read_to(self.length)
            if len(self.body) > self.length:
                raise Cut(f'{len(self.body)} bytes of {self.length}')
        return bytes(self.body)

    def _read_unframed(self):
        assert 'chunked' in self.headers.get('transfer-encoding', ''), \
            'a body whose end nobody can tell'
        raw = bytes(self.body)
        self.body = bytearray()
        while True:
            match = re.match(rb'([0-9a-fA-F]+)[^\r\n]*\r\n', raw)
            size = int(match.group(1), 16) if match else None
            if size is None or len(raw) < match.end() + size + 2:
                raw += self._recv()
                continue
            self.body += raw[match.end():match.end() + size]
            raw = raw[match.end() + size + 2:]
            if size == 0:
                return

    def close(self, reset=False):
        if self.sock is None:
            return
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                 struct.pack('ii', 1, 0))
        self.sock.close()
        self.sock = None


def connect(port, rcvbuf=None):
    sock = socket.socket()
    if rcvbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    sock.settimeout(20)
    sock.connect(('127.0.0.1', port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Lanes:
    """Kept connections by the worker that accepted them; needs LANES in the
    server piece."""

    def __init__(self, nginx, each=1):
        self._nginx = nginx
        self._lanes = {pid: [] for pid in nginx.worker_pids()}
        self.want(each)

    def want(self, each):
        """At least so many connections to each worker."""
        while min(len(lane) for lane in self._lanes.values()) < each:
            reader = Reader(self._nginx, '/.pid', name='lanes')
            pid = int(reader.read_all())
            if pid in self._lanes:
                self._lanes[pid].append(reader.sock)
            else:
                reader.close()

    @property
    def pids(self):
        return list(self._lanes)

    def take(self, pid):
        self.want(1)
        return self._lanes[pid].pop()

    def reader(self, pid, target, **more):
        """A Reader that this worker serves."""
        return Reader(self._nginx, target, sock=self.take(pid), **more)

    def close(self):
        for lane in self._lanes.values():
            for sock in lane:
                sock.close()
            lane.clear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
