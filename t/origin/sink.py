# SPDX-License-Identifier: Apache-2.0
"""An origin for bodies of any length: those of PUTs are read into the void,
those of GETs are zeros. It holds nothing, and does nothing else."""

import re
import socket
import threading

PIECE = 1 << 20
ETAG = '"00000000000000000000000000000000"'


class Sink:
    """`size`: of every object."""

    def __init__(self, size):
        self.size = size
        self.received = 0             # bytes of bodies, ever
        self._zeros = memoryview(bytes(PIECE))
        self._listener = socket.create_server(('127.0.0.1', 0), backlog=128)
        self.url = f'http://127.0.0.1:{self._listener.getsockname()[1]}'
        self._open = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        for sock in [self._listener, *self._open]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()
        self._thread.join(10)

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(sock)
            threading.Thread(target=self._serve, args=(sock,),
                             daemon=True).start()

    def _serve(self, sock):
        buffer = bytearray(PIECE)
        try:
            while self._one(sock, buffer):
                pass
        except OSError:
            pass
        self._open.discard(sock)
        sock.close()

    def _one(self, sock, buffer):
        head = b''
        while b'\r\n\r\n' not in head:
            data = sock.recv(1 << 16)
            if not data:
                return False
            head += data
        head, _, rest = head.partition(b'\r\n\r\n')
        length = re.search(rb'(?i)\r\ncontent-length: (\d+)', head)
        left = int(length[1]) - len(rest) if length else 0
        while left > 0:
            count = sock.recv_into(buffer, min(PIECE, left))
            if not count:
                return False
            left -= count
        self.received += int(length[1]) if length else 0
        method = head.split()[0]
        if method not in (b'GET', b'HEAD'):
            sock.sendall(f'HTTP/1.1 200 OK\r\nETag: {ETAG}\r\n'
                         'Content-Length: 0\r\n\r\n'.encode())
            return True
        part = re.search(rb'(?i)\r\nrange: bytes=(\d+)-(\d+)', head)
        first, last = ((int(part[1]), min(int(part[2]), self.size - 1))
                       if part else (0, self.size - 1))
        status = '206 Partial Content' if part else '200 OK'
        more = (f'Content-Range: bytes {first}-{last}/{self.size}\r\n'
                if part else '')
        sock.sendall(
            f'HTTP/1.1 {status}\r\nETag: {ETAG}\r\n{more}'
            'Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n'
            f'Content-Length: {last - first + 1}\r\n\r\n'.encode())
        left = last - first + 1 if method == b'GET' else 0
        while left > 0:
            left -= sock.send(self._zeros[:min(PIECE, left)])
        return True
