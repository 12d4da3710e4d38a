# SPDX-License-Identifier: Apache-2.0
"""Bodies of uploads as clients of S3 put them on the wire: in chunks, with
signatures that are right, with checksums behind them."""

import base64
import hashlib
import hmac
import time
import zlib
from urllib.parse import quote

from origin import sigv4

EMPTY_SHA = hashlib.sha256(b'').hexdigest()

SIGNED = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'
SIGNED_TRAILER = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER'
UNSIGNED_TRAILER = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER'


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 & -(crc & 1))
    return crc ^ 0xffffffff


def crc64nvme(data):
    crc = (1 << 64) - 1
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x9a6c9329ac4bc9b5 & -(crc & 1))
    return crc ^ ((1 << 64) - 1)


SUMS = {
    'crc32': lambda data: zlib.crc32(data).to_bytes(4, 'big'),
    'crc32c': lambda data: crc32c(data).to_bytes(4, 'big'),
    'crc64nvme': lambda data: crc64nvme(data).to_bytes(8, 'big'),
    'sha1': lambda data: hashlib.sha1(data).digest(),
    'sha256': lambda data: hashlib.sha256(data).digest(),
}


def checksum(name, body):
    return base64.b64encode(SUMS[name](body)).decode()


def target_of(bucket, key, query=''):
    path = f'/{bucket}/{quote(key, safe="/-_.~")}'
    return f'{path}?{query}' if query else path


class Signer:
    """The signatures of one request by SigV4."""

    def __init__(self, keys, region='us-east-1'):
        self.access_key, self.secret_key = keys
        self.date = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())
        self.scope = f'{self.date[:8]}/{region}/s3/aws4_request'
        self.last = ''

    def head(self, method, target, pairs, host, payload):
        """The headers with Host and a signature over all of them."""
        pairs = [('Host', host), *pairs, ('x-amz-date', self.date),
                 ('x-amz-content-sha256', payload)]
        names = sorted({k.lower() for k, _ in pairs} - {
            'content-length', 'transfer-encoding', 'expect', 'user-agent'})
        self.last = sigv4.signature(
            self.secret_key, self.scope, self.date,
            sigv4.canonical_request(method, target, pairs, names, payload))
        return pairs + [(
            'Authorization', f'{sigv4.ALGORITHM} Credential='
            f'{self.access_key}/{self.scope}, SignedHeaders='
            f'{";".join(names)}, Signature={self.last}')]

    def presigned(self, method, target, host, expires=600):
        """The target with a signature in its query."""
        target += ('&' if '?' in target else '?') + '&'.join((
            f'X-Amz-Algorithm={sigv4.ALGORITHM}',
            'X-Amz-Credential=' + quote(f'{self.access_key}/{self.scope}',
                                        safe=''),
            f'X-Amz-Date={self.date}', f'X-Amz-Expires={expires}',
            'X-Amz-SignedHeaders=host'))
        return f'{target}&X-Amz-Signature=' + sigv4.signature(
            self.secret_key, self.scope, self.date, sigv4.canonical_request(
                method, target, [('Host', host)], ['host'],
                'UNSIGNED-PAYLOAD'))

    def of_text(self, text):
        """As that of a form's policy."""
        key = b'AWS4' + self.secret_key.encode()
        for part in self.scope.split('/'):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    def _next(self, kind, *hashes):
        self.last = self.of_text('\n'.join([
            f'{sigv4.ALGORITHM}-{kind}', self.date, self.scope, self.last,
            *hashes]))
        return self.last.encode()

    def chunk(self, part):
        return self._next('PAYLOAD', EMPTY_SHA,
                          hashlib.sha256(part).hexdigest())

    def trailer(self, line):
        return self._next('TRAILER', hashlib.sha256(line).hexdigest())


class NoSigner:
    """Signatures that nobody made."""

    @staticmethod
    def chunk(_):
        return b'0f' * 32

    trailer = chunk


def aws_chunked(body, piece=8192, signed=False, trailer=None, extra=b'',
                signer=NoSigner):
    """The body in chunks; trailer: (name, value)."""
    out = []
    pieces = [body[i:i + piece] for i in range(0, len(body), piece)] + [b'']
    for part in pieces:
        line = b'%x' % len(part)
        if signed:
            line += b';chunk-signature=' + signer.chunk(part)
        out.append(line + b'\r\n' + (part + b'\r\n' if part else b''))
    if trailer:
        line = f'{trailer[0]}:{trailer[1]}'.encode()
        out.append(line + b'\r\n')
        if signed:
            out.append(b'x-amz-trailer-signature:'
                       + signer.trailer(line + b'\n') + b'\r\n')
    return b''.join(out) + b'\r\n' + extra


def http_chunked(raw, piece=5000):
    """As Transfer-Encoding has it."""
    return b''.join(b'%x\r\n%s\r\n' % (len(raw[i:i + piece]),
                                       raw[i:i + piece])
                    for i in range(0, len(raw), piece)) + b'0\r\n\r\n'


def form(fields, body, mark='boundary12345'):
    """multipart/form-data as a browser makes it: (content type, body)."""
    out = b''.join(
        f'--{mark}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}'
        '\r\n'.encode() for k, v in fields.items())
    return f'multipart/form-data; boundary={mark}', out + (
        f'--{mark}\r\nContent-Disposition: form-data; name="file"; '
        'filename="f"\r\nContent-Type: text/plain\r\n\r\n').encode() \
        + body + f'\r\n--{mark}--\r\n'.encode()
