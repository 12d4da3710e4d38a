# SPDX-License-Identifier: Apache-2.0
"""Uploads in all ways in which clients sign and code a body, generated: the
same ones to a real RGW and through the gateway are answered alike and leave
the same object. Signatures are right, so that the RGW takes those that it
knows; what it does not know (trailers) is compared with a plain upload.

There is no Debian package of the AWS SDK for JavaScript. What its version 3
sends is sent here by a raw client: header by header as it is in its sources
(middleware-flexible-checksums, middleware-expect-continue)."""

import base64
import hashlib
import json
import random
import socket
import time
import uuid
import zlib

import pytest

import raw_http
from lib.nginx import Nginx, s3_location, s3_zone
from origin.objects import pattern
from write_bodies import (SIGNED, SIGNED_TRAILER, SUMS, UNSIGNED_TRAILER,
                          Signer, aws_chunked, checksum, form, http_chunked,
                          target_of)

MIB = 1 << 20
PLAIN = 'UNSIGNED-PAYLOAD'

VOLATILE = {'date', 'server', 'connection', 'keep-alive', 'x-amz-request-id',
            'x-cache', 'age', 'transfer-encoding', 'last-modified'}

KEYS = [
    'a', ' ', 'a b', ' lead', 'trail ', 'a+b', 'a%b', 'a%2Fb', 'a%20b', 'ü',
    '日本/語', '\U0001f389', "q'q", 'd"q', '&amp;', 'a&b=c', '?q', '#h', 'a:b',
    's;t', '@', ',', '$', '!*()', '[x]', '{y}', '|', '~', '^', '`', 'b\\s',
    '<x>', 'a//b', '//a', 'a/', '.hidden', 'a/./b', 'a/../b', '..a', '-', '_',
    'tab\there', 'x' * 900, 'ü' * 400, 'a.' * 100, '%', '%%', '+', '++ +']

HEADERS = [
    [], [('Content-Type', 'text/x; charset=utf-8'), ('x-amz-meta-a', 'b')],
    [('Content-Language', 'de, en'), ('Cache-Control', 'max-age=60, public'),
     ('Content-Disposition', 'attachment; filename="a b;c.txt"'),
     ('Expires', 'Wed, 21 Oct 2037 07:28:00 GMT')],
    [('Content-Encoding', 'gzip')], [('x-amz-acl', 'public-read')],
    [('x-amz-tagging', 'a=b&c=d%20e')], [('x-amz-storage-class', 'STANDARD')],
    [('x-amz-meta-spaces', 'a   b'), ('x-amz-meta-Upper', 'U')],
    [('x-amz-meta-long', 'x' * 1500)],
    [(f'x-amz-meta-n{i}', f'v{i}') for i in range(30)],
    [('x-amz-website-redirect-location', '/other')],
    [('x-amz-acl', 'no-such-acl')]]

SIZES = [0, 1, 17, 1000, 8192, 65535, 65536, 65537, 300_000]


@pytest.fixture(scope='module')
def lab(rgw, tmp_path_factory):
    keys = (rgw.access_key, rgw.secret_key)
    nginx = Nginx(
        tmp_path_factory.mktemp('modes'), http=s3_zone(), workers=2,
        server=s3_location(rgw.url, *keys, valid='200 206 404 10m',
                           more='s3_cache_block_size 64k;')).start()
    yield nginx
    nginx.check_accounting()
    nginx.close()


class Side:
    """One of the two: its port, a bucket, a connection that is kept."""

    def __init__(self, rgw, s3, port, is_gateway):
        self.keys = (rgw.access_key, rgw.secret_key)
        self.port, self.is_gateway = port, is_gateway
        self.host = f'127.0.0.1:{port}'
        self.bucket = f'm-{uuid.uuid4().hex[:12]}'
        s3.create_bucket(Bucket=self.bucket)
        self.connection = None

    def ask(self, method, target, pairs, body=b''):
        if self.connection is None:
            self.connection = raw_http.Connection(self.port)
        self.connection.request(method, target, pairs, body)
        found = self.connection.answer(method)
        if found['Connection'] == 'close':
            self.close()
        return found

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def signed(self, method, target, pairs, body=b'', payload=PLAIN):
        return self.ask(method, target, Signer(self.keys).head(
            method, target, pairs, self.host, payload), body)

    def comparable(self, answer):
        # (the Location that the RGW gives for a long key has any length)
        text = answer.body.decode('latin-1')
        for tag in ('RequestId', 'HostId', 'Location'):
            head, mark, rest = text.partition(f'<{tag}>')
            if mark:
                text = head + rest.partition(f'</{tag}>')[2]
        for name in (self.bucket, self.host):
            text = text.replace(name, 'NAME')
        headers = sorted((k.lower(), v) for k, v in answer.headers
                         if k.lower() not in VOLATILE
                         and not (k.lower() == 'content-length'
                                  and answer.status > 200))
        return answer.status, headers, text


@pytest.fixture
def sides(rgw, rgw_s3, lab):
    both = [Side(rgw, rgw_s3, int(rgw.url.rpartition(':')[2]), False),
            Side(rgw, rgw_s3, lab.port(), True)]
    yield both
    for side in both:
        side.close()


# --- the ways ----------------------------------------------------------------
#
# way(side, key, body, headers): the answer.

def unsigned(side, key, body, headers):
    return side.signed('PUT', target_of(side.bucket, key), headers, body)


def signed_hash(side, key, body, headers):
    return side.signed('PUT', target_of(side.bucket, key), headers, body,
                       hashlib.sha256(body).hexdigest())


def wrong_hash(side, key, body, headers):
    return side.signed('PUT', target_of(side.bucket, key), headers, body,
                       hashlib.sha256(body + b'x').hexdigest())


def md5(side, key, body, headers):
    return unsigned(side, key, body, headers + [
        ('Content-MD5',
         base64.b64encode(hashlib.md5(body).digest()).decode())])


def wrong_md5(side, key, body, headers):
    return unsigned(side, key, body, headers + [
        ('Content-MD5', base64.b64encode(bytes(16)).decode())])


def presigned(side, key, body, headers):
    headers = [h for h in headers if not h[0].startswith('x-amz-')]
    return side.ask('PUT', Signer(side.keys).presigned(
        'PUT', target_of(side.bucket, key), side.host), headers, body)


def expecting(side, key, body, headers):
    target = target_of(side.bucket, key)
    pairs = Signer(side.keys).head('PUT', target, headers, side.host, PLAIN)
    if not body:
        return side.ask('PUT', target, pairs)
    with raw_http.Connection(side.port) as c:
        c.request('PUT', target, pairs + [
            ('Content-Length', str(len(body))), ('Expect', '100-continue')])
        if not c.sock.recv(12, socket.MSG_PEEK | socket.MSG_WAITALL
                           ).endswith(b'100'):
            return c.answer('PUT')
        c.send(body)
        answer = c.answer('PUT')
        assert answer.interim == (100,)
        return answer


def browsers_form(side, key, body, headers):
    fields = {'key': key, **{k: v for k, v in headers if k in (
        'Content-Type', 'Cache-Control', 'x-amz-meta-a', 'x-amz-meta-long')}}
    signer = Signer(side.keys)
    fields.update({
        'success_action_status': '201',
        'x-amz-algorithm': 'AWS4-HMAC-SHA256', 'x-amz-date': signer.date,
        'x-amz-credential': f'{signer.access_key}/{signer.scope}'})
    policy = base64.b64encode(json.dumps({
        'expiration': time.strftime('%Y-%m-%dT%H:%M:%SZ',
                                    time.gmtime(time.time() + 600)),
        'conditions': [{'bucket': side.bucket}] + [
            {k: v} for k, v in fields.items()]}).encode()).decode()
    fields['policy'] = policy
    fields['x-amz-signature'] = signer.of_text(policy)
    kind, raw = form(fields, body)
    return side.ask('POST', f'/{side.bucket}', [('Content-Type', kind)], raw)


def coded(headers):
    """aws-chunked is the last coding of those that there are."""
    had = [v for k, v in headers if k == 'Content-Encoding']
    return [h for h in headers if h[0] != 'Content-Encoding'] + [
        ('Content-Encoding', ','.join(had + ['aws-chunked']))]


def signed_chunks(side, key, body, headers):
    target, signer = target_of(side.bucket, key), Signer(side.keys)
    if side.is_gateway:
        headers = coded(headers)         # (the RGW would keep it)
    elif not body:                       # (that it refuses)
        return unsigned(side, key, body, headers)
    pairs = signer.head('PUT', target, headers + [
        ('x-amz-decoded-content-length', str(len(body)))], side.host, SIGNED)
    return side.ask('PUT', target, pairs, aws_chunked(
        body, 65536, signed=True, signer=signer))


def chunks_with_trailer(payload, framing):
    def way(side, key, body, headers):
        if not side.is_gateway:
            return unsigned(side, key, body, headers)
        name = sorted(SUMS)[len(key) % len(SUMS)]
        if len(body) > 10_000:
            name = 'crc32'               # (the others are slow in Python)
        target, signer = target_of(side.bucket, key), Signer(side.keys)
        pairs = signer.head('PUT', target, coded(headers) + [
            ('x-amz-decoded-content-length', str(len(body))),
            ('x-amz-trailer', f'x-amz-checksum-{name}')], side.host, payload)
        raw = aws_chunked(body, 8192, 'HMAC' in payload,
                          (f'x-amz-checksum-{name}', checksum(name, body)),
                          signer=signer)
        if framing == 'chunked':
            pairs.append(('Transfer-Encoding', 'chunked'))
            raw = http_chunked(raw)
        return side.ask('PUT', target, pairs, raw)
    return way


SDK_JS = [('x-amz-user-agent', 'aws-sdk-js/3.750.0'),
          ('amz-sdk-invocation-id', '5d1f5fb4-2f4f-4d3e-b1c5-5f8b1d9c2f11'),
          ('amz-sdk-request', 'attempt=1; max=3')]


def sdk_js_buffer(side, key, body, headers):
    """PutObject of a Buffer: a checksum among the headers, a signed hash."""
    if not side.is_gateway:
        return unsigned(side, key, body, headers)
    return side.signed(
        'PUT', target_of(side.bucket, key, 'x-id=PutObject'),
        headers + SDK_JS + [
            ('x-amz-sdk-checksum-algorithm', 'CRC32'),
            ('x-amz-checksum-crc32', checksum('crc32', body))],
        body, hashlib.sha256(body).hexdigest())


def sdk_js_stream(side, key, body, headers):
    """PutObject of a Readable: pieces as the stream has them, in chunks of
    aws-chunked, in those of HTTP, with the checksum behind them."""
    if not side.is_gateway:
        return unsigned(side, key, body, headers)
    target = target_of(side.bucket, key, 'x-id=PutObject')
    pairs = Signer(side.keys).head('PUT', target, coded(headers) + SDK_JS + [
        ('x-amz-sdk-checksum-algorithm', 'CRC32'),
        ('x-amz-trailer', 'x-amz-checksum-crc32'),
        ('x-amz-decoded-content-length', str(len(body)))],
        side.host, UNSIGNED_TRAILER)
    raw = aws_chunked(body, 16384, trailer=(
        'x-amz-checksum-crc32', checksum('crc32', body)))
    return side.ask('PUT', target, pairs + [('Transfer-Encoding', 'chunked')],
                    http_chunked(raw, 16391))


WAYS = {
    'unsigned': unsigned, 'hash': signed_hash, 'wrong hash': wrong_hash,
    'md5': md5, 'wrong md5': wrong_md5, 'presigned': presigned,
    'expect': expecting, 'form': browsers_form, 'chunks': signed_chunks,
    'trailer': chunks_with_trailer(UNSIGNED_TRAILER, 'length'),
    'trailer, chunked': chunks_with_trailer(UNSIGNED_TRAILER, 'chunked'),
    'signed trailer': chunks_with_trailer(SIGNED_TRAILER, 'length'),
    'js buffer': sdk_js_buffer, 'js stream': sdk_js_stream,
}


@pytest.mark.parametrize('name', WAYS)
def test_generated_uploads_are_as_those_to_the_origin(sides, name):
    choice = random.Random(name)
    keys = choice.sample(KEYS, len(KEYS))
    done = 0
    for number, key in enumerate(keys):
        # (the RGW does not look at the hash of an empty body)
        body = pattern(choice.choice(SIZES[name == 'wrong hash':]), number)
        headers = choice.choice(HEADERS)
        case = (name, key, len(body), headers)
        puts = [side.comparable(WAYS[name](side, key, body, headers))
                for side in sides]
        assert puts[0] == puts[1], case
        done += puts[0][0] in (200, 201)
        for _ in range(2):               # from the origin, from the cache
            gets = [side.signed('GET', target_of(side.bucket, key), [])
                    for side in sides]
            if gets[0].status == 200:
                assert sides[0].comparable(gets[0]) \
                    == sides[1].comparable(gets[1]), case
            else:
                assert gets[0].status == gets[1].status, case
            if puts[0][0] in (200, 201):
                assert gets[1].body == body, case
    assert (done == 0) if 'wrong' in name else (done > len(KEYS) // 2)


def test_uploads_in_parts_of_the_sdk_for_javascript(sides):
    """lib-storage: checksums at each part and again in Complete; DeleteObjects
    with a checksum in place of Content-MD5."""
    side = sides[1]

    def ask(method, key, query, body=b'', more=()):
        answer = side.signed(
            method, target_of(side.bucket, key, query) if key
            else f'/{side.bucket}?{query}', SDK_JS + [*more] + (
                [('x-amz-sdk-checksum-algorithm', 'CRC32'),
                 ('x-amz-checksum-crc32', checksum('crc32', body))]
                if body else []), body, hashlib.sha256(body).hexdigest())
        assert answer.status == 200, (method, query, answer)
        return answer

    for key in ('plain', 'ü b+c', "q'q/%41"):
        upload = ask('POST', key, 'uploads=&x-id=CreateMultipartUpload',
                     more=[('x-amz-checksum-algorithm', 'CRC32')]
                     ).element('UploadId')
        bodies = [pattern(5 * MIB, 1), pattern(77_777, 2)]
        parts = ''
        for number, body in enumerate(bodies, 1):
            answer = ask('PUT', key, f'partNumber={number}&uploadId={upload}'
                         '&x-id=UploadPart', body)
            parts += (f'<Part><ChecksumCRC32>{checksum("crc32", body)}'
                      f'</ChecksumCRC32><ETag>{answer["ETag"]}</ETag>'
                      f'<PartNumber>{number}</PartNumber></Part>')
        ask('POST', key, f'uploadId={upload}', (
            '<?xml version="1.0" encoding="UTF-8"?><CompleteMultipartUpload '
            'xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' + parts
            + '</CompleteMultipartUpload>').encode(),
            [('Content-Type', 'application/xml')])
        for _ in range(2):
            assert ask('GET', key, 'x-id=GetObject').body == b''.join(bodies)
    ask('POST', '', 'delete=', (
        '<?xml version="1.0" encoding="UTF-8"?><Delete xmlns="http://s3.'
        'amazonaws.com/doc/2006-03-01/"><Object><Key>plain</Key></Object>'
        "<Object><Key>q'q/%41</Key></Object></Delete>").encode(),
        [('Content-Type', 'application/xml')])
    for key, status in (('plain', 404), ('ü b+c', 200), ("q'q/%41", 404)):
        assert side.signed('GET', target_of(side.bucket, key), []
                           ).status == status


@pytest.mark.deadline(300)
def test_a_gibibyte_streams_in_and_out(lab, rgw, rgw_s3, bucket):
    """As the SDK for JavaScript sends a stream of that length; generated
    while it is sent, summed up while it is read."""
    size, piece = 1 << 30, 1 << 18
    block = pattern(piece, 1)
    keys = (rgw.access_key, rgw.secret_key)
    target = target_of(bucket, 'large', 'x-id=PutObject')
    pairs = Signer(keys).head('PUT', target, coded([]) + SDK_JS + [
        ('x-amz-sdk-checksum-algorithm', 'CRC32'),
        ('x-amz-trailer', 'x-amz-checksum-crc32'),
        ('x-amz-decoded-content-length', str(size))],
        f'127.0.0.1:{lab.port()}', UNSIGNED_TRAILER)
    crc, sums = 0, [hashlib.md5(), hashlib.md5()]
    with raw_http.Connection(lab.port()) as c:
        c.request('PUT', target, pairs + [('Transfer-Encoding', 'chunked'),
                                          ('Expect', '100-continue')])
        assert c._until(b'\r\n\r\n') == b'HTTP/1.1 100 Continue'
        for number in range(size // piece):
            part = number.to_bytes(8, 'big') + block[8:]
            crc = zlib.crc32(part, crc)
            sums[0].update(part)
            raw = b'%x\r\n%s\r\n' % (piece, part)
            c.send(b'%x\r\n%s\r\n' % (len(raw), raw))
        c.send(http_chunked(
            b'0\r\nx-amz-checksum-crc32:'
            + base64.b64encode(crc.to_bytes(4, 'big')) + b'\r\n\r\n'))
        answer = c.answer('PUT')
        assert answer.status == 200, answer
        assert answer['ETag'] == f'"{sums[0].hexdigest()}"'
    with raw_http.Connection(lab.port()) as c:
        c.request('GET', f'/{bucket}/large')
        assert f'Content-Length: {size}\r\n'.encode() in c._until(
            b'\r\n\r\n') + b'\r\n'
        left = size
        while left:
            part = c._exactly(min(left, MIB))
            sums[1].update(part)
            left -= len(part)
    assert sums[0].digest() == sums[1].digest()
    rgw_s3.delete_object(Bucket=bucket, Key='large')
