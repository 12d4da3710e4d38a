# SPDX-License-Identifier: Apache-2.0
"""What two nodes say to each other, written anew from src/cluster/wire.h: both
ends of a link, for tests that say what no node would."""

import contextlib
import hashlib
import hmac
import os
import socket
import struct
import threading
import time

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lib.cluster import SECRET

ASK, META, DATA, END, CANCEL, WINDOW, PING, PONG, GOODBYE = range(1, 10)
OBJECT, HEAD, BLOCK, FENCE, LIFT, VOUCH = range(1, 7)
HEADER = 'X-S3-Cache-Hello'
_FRAME = struct.Struct('<IBBHII')
_ASK = struct.Struct('<QQQQqIBBHHHHH')
_META = struct.Struct('<QQQQIIII')
assert (_FRAME.size, _ASK.size, _META.size) == (16, 56, 48)


def _mac(label, data, secret=SECRET):
    return hmac.new(secret.encode(), label.ljust(16, b'\0') + data,
                    hashlib.sha256).digest()


def client_hello(name='node0', peer='node1', secret=SECRET, skew_s=0,
                 version=1, zero=0, more=b''):
    data = struct.pack('<IBBHQ', version, len(name), len(peer), zero,
                       int((time.time() + skew_s) * 1000)) + os.urandom(16)
    data += name.encode() + peer.encode() + more
    return data + _mac(b's3c client', data, secret)


def server_hello(client, name, secret=SECRET, version=1):
    data = struct.pack('<IBBBB', version, len(name), 0, 0, 0) + os.urandom(16)
    data += name.encode()
    return data + _mac(b's3c server', client + data, secret)


def frame(kind, stream=0, body=b'', code=0, flags=0, size=None, zero=0):
    return _FRAME.pack(len(body) if size is None else size, kind, flags, code,
                       stream, zero) + body


def ask(stream, location, key=b'key', what=OBJECT, bucket=b'bkt', block=0,
        generation=0, total=0, modified=0, window=1 << 30, flags=0, etag=b'',
        version=b'', zero=0):
    return frame(ASK, stream, _ASK.pack(
        location, block, generation, total, modified, window, what, flags,
        len(etag), len(bucket), len(key), len(version), zero)
        + etag + bucket + key + version)


def meta(stream, head=b'', first=0, size=0, head_bytes=None, head_off=0,
         age=0, left=60_000):
    return frame(META, stream, _META.pack(
        age, left, first, size,
        len(head) if head_bytes is None else head_bytes, head_off, 0, 0)
        + head)


def frames(payload):
    """[(kind, stream, code, body)] of a payload."""
    found = []
    while payload:
        size, kind, _, code, stream, _ = _FRAME.unpack_from(payload)
        found.append((kind, stream, code, payload[16:16 + size]))
        payload = payload[16 + size:]
    return found


def parse_ask(body):
    names = ('location', 'block', 'generation', 'total', 'modified', 'window',
             'what', 'flags', 'etag', 'bucket', 'key', 'version')
    found = dict(zip(names, _ASK.unpack_from(body)))
    at = _ASK.size
    for name in names[8:]:
        size, found[name] = found[name], body[at:at + found[name]]
        at += size
    return found


def parse_meta(body):
    names = ('age', 'left', 'first', 'size', 'head_bytes', 'head_off',
             'flags')
    return dict(zip(names, _META.unpack_from(body)), head=body[_META.size:])


def unrecord(data):
    """The payloads of what came on a link."""
    while len(data) >= 4:
        size, = struct.unpack_from('<I', data)
        if len(data) < size + 20:
            return
        yield data[4:4 + size]
        data = data[size + 20:]


class Link:
    """An end of a link, over a socket whose handshake is over."""

    def __init__(self, sock, hellos, is_client, rest=b''):
        keys = [AESGCM(_mac(label, hellos)[:16])
                for label in (b's3c client key', b's3c server key')]
        self.sock = sock
        self._mine, self._theirs = keys if is_client else reversed(keys)
        self._sent = self._got = 0
        self._rest = rest
        self._frames = []

    def seal(self, payload):
        head = struct.pack('<I', len(payload))
        nonce = struct.pack('<QI', self._sent, 0)
        self._sent += 1
        return head + payload + self._mine.encrypt(nonce, b'', head + payload)

    def say(self, *frames_):
        self.sock.sendall(self.seal(b''.join(frames_)))
        return self

    def _exactly(self, size):
        while len(self._rest) < size:
            piece = self.sock.recv(1 << 18)
            if not piece:
                raise EOFError
            self._rest += piece
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def hear(self):
        """The next frame that is no PING, which is answered; EOFError."""
        while True:
            while not self._frames:
                head = self._exactly(4)
                payload = self._exactly(struct.unpack('<I', head)[0])
                nonce = struct.pack('<QI', self._got, 0)
                self._got += 1
                tag = self._theirs.encrypt(nonce, b'', head + payload)
                assert tag == self._exactly(16), 'a wrong tag'
                self._frames = frames(payload)
            found = self._frames.pop(0)
            if found[0] != PING:
                return found
            self.say(frame(PONG, 0, found[3]))

    def answer(self, stream):
        """All of a stream: (head, body, END's code)."""
        head = body = b''
        while True:
            kind, number, code, data = self.hear()
            if number != stream:
                continue
            if kind == META:
                head += parse_meta(data)['head']
            elif kind == DATA:
                body += data
            elif kind == END:
                return head, body, code

    def ended(self):
        """The other end closes; what it said before is thrown away."""
        try:
            while True:
                self.hear()
        except (EOFError, ConnectionError):
            return True


def connect(port, name='node0', peer='node1', secret=SECRET):
    sock = socket.create_connection(('127.0.0.1', port), 20)
    mine = client_hello(name, peer, secret)
    sock.sendall((f'GET /s3-cache-peer HTTP/1.1\r\nHost: {peer}\r\n'
                  'Connection: Upgrade\r\nUpgrade: s3-cache-peer\r\n'
                  f'{HEADER}: {mine.hex()}\r\n\r\n').encode())
    got = b''
    while b'\r\n\r\n' not in got:
        piece = sock.recv(4096)
        assert piece, got
        got += piece
    head, _, rest = got.partition(b'\r\n\r\n')
    assert head.startswith(b'HTTP/1.1 101 '), head
    theirs = next(line.split(b': ')[1] for line in head.split(b'\r\n')
                  if line.lower().startswith(HEADER.lower().encode()))
    theirs = bytes.fromhex(theirs.decode())
    assert theirs[-32:] == _mac(b's3c server', mine + theirs[:-32], secret)
    return Link(sock, mine + theirs, True, rest)


class Node:
    """A node that says what it is told: talk(link, stream, ask) is called for
    every question, in the thread of its link; those for objects are in .asked. `greet(client_hello)`, if given,
    answers the Upgrade with bytes of its own, and closes."""

    def __init__(self, port, name, talk=None, greet=None):
        self.name, self.talk, self.greet = name, talk, greet
        self.asked = []
        self.links = []
        self._listener = socket.create_server(('127.0.0.1', port), backlog=99)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_all()

    def drop_all(self):
        for sock in self.links:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self.links.clear()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.links.append(sock)
            threading.Thread(target=self._run, args=(sock,),
                             daemon=True).start()

    def _run(self, sock):
        with contextlib.suppress(OSError, EOFError), sock:
            got = b''
            while b'\r\n\r\n' not in got:
                piece = sock.recv(4096)
                if not piece:
                    return
                got += piece
            theirs = bytes.fromhex(next(
                line.split(': ')[1] for line in got.decode().split('\r\n')
                if line.startswith(HEADER)))
            if self.greet:
                sock.sendall(self.greet(theirs))
                sock.recv(1)
                return
            mine = server_hello(theirs, self.name)
            sock.sendall(switching(mine))
            link = Link(sock, theirs + mine, False)
            while True:
                kind, stream, _, body = link.hear()
                if kind == ASK:
                    found = parse_ask(body)
                    if found['what'] <= BLOCK:
                        self.asked.append(found)
                    self.talk(link, stream, found)


def switching(hello):
    return ('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n'
            f'Upgrade: s3-cache-peer\r\n{HEADER}: {hello.hex()}\r\n\r\n'
            ).encode()
