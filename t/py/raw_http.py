# SPDX-License-Identifier: Apache-2.0
"""An HTTP/1 client that changes nothing and forgives nothing.

Texts are latin-1: a character is a byte on the wire. Requests are sent as
they are given; answers are read strictly, with everything that is in them.
"""

import dataclasses
import re
import socket
import time

from origin import sigv4

TIMEOUT_S = 30
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Malformed(AssertionError):
    """An answer that HTTP does not allow."""


@dataclasses.dataclass
class Answer:
    status: int
    headers: list                # (name, value), as they came
    body: bytes = b''
    head: bytes = b''
    interim: tuple = ()          # statuses of 1xx answers before it
    rest: bytes = b''            # what came after it

    def all(self, name):
        return [v for k, v in self.headers if k.lower() == name.lower()]

    def __getitem__(self, name):
        """The one header of that name, or None."""
        values = self.all(name)
        if len(values) > 1:
            raise Malformed(f'{name}: {values}')
        return values[0] if values else None

    def names(self):
        return [k.lower() for k, _ in self.headers]

    def element(self, name):
        """The text of an XML element of the body, or None."""
        match = re.search(f'<{name}>(.*?)</{name}>'.encode(), self.body,
                          re.DOTALL)
        return match.group(1).decode() if match else None


def _parse_head(head):
    lines = head.decode('latin-1').split('\r\n')
    match = re.fullmatch(r'HTTP/1\.[01] (\d{3}) [^\r\n]*', lines[0])
    if not match:
        raise Malformed(f'status line {lines[0]!r}')
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(':')
        if not colon or not TOKEN.fullmatch(name) or '\n' in value:
            raise Malformed(f'header line {line!r}')
        headers.append((name, value[1:] if value[:1] == ' ' else value))
    return int(match.group(1)), headers


class Connection:
    """One connection; answers may be asked for one after the other."""

    def __init__(self, port, host='127.0.0.1', tls=None, name='localhost'):
        self.sock = socket.create_connection((host, port), TIMEOUT_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.sock = tls.wrap_socket(self.sock, server_hostname=name)
        self.seen = b''
        self.ended = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)
        return self

    def request(self, method, target, headers=(), body=b'', version='1.1'):
        """Sends one; headers are pairs or a dict; Host and Content-Length
        are added when they are missing and needed."""
        pairs = list(headers.items() if isinstance(headers, dict)
                     else headers)
        names = {k.lower() for k, _ in pairs}
        if 'host' not in names and version == '1.1':
            pairs.insert(0, ('Host', '127.0.0.1'))
        if (body or method in ('PUT', 'POST')) and not names & {
                'content-length', 'transfer-encoding'}:
            pairs.append(('Content-Length', str(len(body))))
        head = f'{method} {target} HTTP/{version}\r\n' + ''.join(
            f'{k}: {v}\r\n' for k, v in pairs) + '\r\n'
        return self.send(head.encode('latin-1') + body)

    def _more(self):
        try:
            data = self.sock.recv(1 << 18)
        except ConnectionResetError:
            data = b''
        self.ended = self.ended or not data
        return data

    def _until(self, mark):
        while mark not in self.seen:
            data = self._more()
            if not data:
                raise Malformed(f'ended before {mark!r}: {self.seen!r}')
            self.seen += data
        part, _, self.seen = self.seen.partition(mark)
        return part

    def _exactly(self, size):
        pieces, got = [self.seen], len(self.seen)
        while got < size:
            pieces.append(self._more())
            if not pieces[-1]:
                raise Malformed(f'{got} of {size} body bytes')
            got += len(pieces[-1])
        data = b''.join(pieces)
        self.seen = data[size:]
        return data[:size]

    def _chunked(self):
        body = b''
        while True:
            line = self._until(b'\r\n')
            if not re.fullmatch(b'[0-9a-fA-F]+', line):
                raise Malformed(f'chunk {line!r}')
            size = int(line, 16)
            if size == 0:
                if self._until(b'\r\n'):
                    raise Malformed('trailers')
                return body
            body += self._exactly(size)
            if self._exactly(2) != b'\r\n':
                raise Malformed('no CR LF after a chunk')

    def answer(self, method='GET'):
        """The next answer; `method` is what it answers to."""
        interim = []
        while True:
            head = self._until(b'\r\n\r\n')
            status, headers = _parse_head(head)
            if status >= 200:
                break
            interim.append(status)
        found = Answer(status, headers, head=head, interim=tuple(interim))
        length, coding = found['Content-Length'], found['Transfer-Encoding']
        if length is not None and not re.fullmatch(r'\d+', length):
            raise Malformed(f'Content-Length: {length}')
        if length is not None and coding is not None:
            raise Malformed('Content-Length and Transfer-Encoding')
        if method == 'HEAD' or status in (204, 304):
            pass
        elif coding is not None:
            if coding != 'chunked':
                raise Malformed(f'Transfer-Encoding: {coding}')
            found.body = self._chunked()
        elif length is not None:
            found.body = self._exactly(int(length))
        else:
            found.body = self.to_end()
        return found

    def to_end(self):
        """All that comes until the peer closes."""
        pieces = [self.seen]
        self.seen = b''
        while True:
            pieces.append(self._more())
            if not pieces[-1]:
                return b''.join(pieces)


def ask(port, method, target, headers=(), body=b'', close=True, **more):
    """One request on a connection of its own. With `close` it is read to
    the end of the connection, and Answer.rest is what should not be."""
    pairs = list(headers.items() if isinstance(headers, dict) else headers)
    if close:
        pairs.append(('Connection', 'close'))
    with Connection(port, **more) as connection:
        connection.request(method, target, pairs, body)
        found = connection.answer(method)
        found.rest = connection.to_end() if close else connection.seen
        return found


def signed(method, target, headers, host, access_key, secret_key,
           region='us-east-1', session_token=None):
    """The headers with Host and a SigV4 signature of S3, the body unsigned."""
    date = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())
    scope = f'{date[:8]}/{region}/s3/aws4_request'
    pairs = [('Host', host)] + list(
        headers.items() if isinstance(headers, dict) else headers)
    pairs += [('x-amz-date', date),
              ('x-amz-content-sha256', 'UNSIGNED-PAYLOAD')]
    if session_token:
        pairs.append(('x-amz-security-token', session_token))
    names = sorted({k.lower() for k, _ in pairs
                    if k.lower() == 'host' or k.lower().startswith('x-amz-')})
    request = sigv4.canonical_request(method, target, pairs, names,
                                      'UNSIGNED-PAYLOAD')
    signature = sigv4.signature(secret_key, scope, date, request)
    pairs.append(('Authorization',
                  f'AWS4-HMAC-SHA256 Credential={access_key}/{scope}, '
                  f'SignedHeaders={";".join(names)}, Signature={signature}'))
    return pairs
