# SPDX-License-Identifier: Apache-2.0
"""Bodies of signed writes: what a client has signed of its body is verified
here, and of a body that is not the one the origin never has the whole."""

import random
import re

import pytest

import raw_http
import raw_http2
from auth_lab import (FOREIGN, HOST, OWNER, STRANGER, TEAM, UNSIGNED, ask,
                      credentials, gateway, get, make_keys, origin, s3_server,
                      said, sha256, signed, signer)
from lib import wait
from origin.objects import pattern
from write_bodies import (SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER,
                          aws_chunked, checksum, http_chunked)

__all__ = ['credentials', 'gateway', 'make_keys', 'origin']

MIB = 1 << 20
MISMATCH = (400, 'XAmzContentSHA256Mismatch')
WRONG = (403, 'SignatureDoesNotMatch')
TARGET = '/bkt/team/k'


def never_written(origin, key='team/k', body=b'old'):
    """The origin has the object of before, and of no upload the whole."""
    for r in origin.requests_for(method='PUT') + origin.requests_for(
            method='POST'):
        length = int(r.header('content-length'))
        assert length > 0, 'there was nothing that could be held back'
        wait.until(lambda r=r: r.body_bytes < length and not r.done
                   and origin.open == 0, 'an upload that broke')
    assert origin.get('bkt', key).body == body


@pytest.fixture
def old(origin):
    return origin.put('bkt', 'team/k', b'old')


# --- the hash of the whole ---------------------------------------------------

@pytest.mark.parametrize('size', [0, 1, 8192, 300_000, 3 * MIB + 5])
def test_a_body_that_is_signed(gateway, origin, size):
    body = pattern(size, size)
    for payload in (sha256(body), UNSIGNED):
        assert said(ask(gateway, TEAM, 'PUT', TARGET, body=body,
                        payload=payload)) == (200, None)
        assert origin.get('bkt', 'team/k').body == body
        origin.delete('bkt', 'team/k')
    assert origin.requests[0].header('x-amz-content-sha256') == sha256(body)


def other_bodies(body):
    """The same length, since that is not signed as a rule."""
    half = len(body) // 2
    yield body[:-1] + bytes([body[-1] ^ 1])
    yield bytes([body[0] ^ 0x80]) + body[1:]
    yield body[:half] + bytes([body[half] ^ 4]) + body[half + 1:]
    if len(body) > 1:
        yield body[1:]
        yield body + b'x'


@pytest.mark.parametrize('size', [1, 8192, 300_000, 3 * MIB + 5])
def test_a_body_that_is_not_the_one_signed(gateway, origin, old, size):
    body = pattern(size, 3)
    for other in other_bodies(body):
        assert said(ask(gateway, TEAM, 'PUT', TARGET, body=body, sent=other)
                    ) == MISMATCH
    never_written(origin)
    assert len(origin.requests_for(method='PUT')) <= 5


@pytest.mark.parametrize('method,target', [
    ('PUT', TARGET), ('PUT', f'{TARGET}?partNumber=1&uploadId=u'),
    ('PUT', f'{TARGET}?tagging'), ('POST', f'{TARGET}?uploads'),
    ('POST', f'{TARGET}?uploadId=u'), ('DELETE', TARGET),
    ('POST', '/bkt?delete')])
def test_a_body_that_is_empty_but_was_not_signed_so(gateway, origin, old,
                                                    method, target):
    """Nothing can be held back of it: the origin is not asked at all."""
    for sent, body in ((b'', b'something'), (b'x', b'')):
        answer = ask(gateway, OWNER, method, target, body=body, sent=sent)
        assert said(answer) == MISMATCH, (sent, answer)
        if not sent:
            assert origin.requests == []
    never_written(origin)


def test_deletes_and_uploads_that_are_not_the_one_signed(gateway, origin, old):
    for target, text in (
            ('/bkt?delete', '<Delete><Object><Key>team/%s</Key></Object>'
             '</Delete>'),
            (f'{TARGET}?uploadId=u', '<CompleteMultipartUpload><Part>'
             '<PartNumber>1</PartNumber><ETag>%s</ETag></Part>'
             '</CompleteMultipartUpload>')):
        assert said(ask(gateway, TEAM, 'POST', target,
                        body=(text % 'x').encode(),
                        sent=(text % 'k').encode())) == MISMATCH
    never_written(origin)


def test_what_is_said_of_a_body_is_signed(gateway, origin, old):
    body = pattern(5000)
    for headers, other, wanted in (
            # said as it was signed, then changed
            ({}, sha256(b'other'), WRONG), ({}, UNSIGNED, WRONG),
            ({}, sha256(body).upper(), WRONG),
            ({}, 'STREAMING-UNSIGNED-PAYLOAD-TRAILER', WRONG),
            ({}, 'nonsense', (400, 'InvalidArgument')),
            ({}, '', (400, 'InvalidRequest')),
            ({}, None, (400, 'InvalidRequest'))):
        pairs = signed(TEAM, 'PUT', TARGET, headers, body)
        pairs = [(k, other if k == 'x-amz-content-sha256' else v)
                 for k, v in pairs]
        pairs = [(k, v) for k, v in pairs if v is not None]
        names = re.sub('x-amz-content-sha256;', '', pairs[-1][1])
        for auth in (pairs[-1][1], names):
            answer = raw_http.ask(
                gateway.port(), 'PUT', TARGET,
                pairs[:-1] + [('Authorization', auth)], body, close=False)
            assert answer.status in (400, 403), answer
            if auth == pairs[-1][1]:
                assert said(answer) == wanted, (other, answer)
    # upper case is the same hash, if it is what was signed
    assert said(ask(gateway, TEAM, 'PUT', f'{TARGET}2', body=body,
                    payload=sha256(body).upper())) == (200, None)
    assert origin.get('bkt', 'team/k').body == b'old'


def test_a_body_in_many_pieces(gateway, origin, old):
    body = pattern(2 * MIB + 11, 7)
    for sent, wanted in ((body, (200, None)),
                         (body[:-1] + b'!', MISMATCH)):
        rng = random.Random(len(origin.requests))
        pairs = signed(TEAM, 'PUT', TARGET, {}, body)
        with raw_http.Connection(gateway.port()) as c:
            c.request('PUT', TARGET, pairs + [
                ('Content-Length', str(len(body)))], sent[:1])
            at = 1
            while at < len(sent):
                size = rng.choice((1, 2, 100, 8191, 8192, 65_537))
                # the last byte comes alone
                size = max(1, min(size, len(sent) - 1 - at))
                c.send(sent[at:at + size])
                at += size
            assert said(c.answer('PUT')) == wanted
        assert origin.get('bkt', 'team/k').body == body


def test_a_body_that_stops(make_keys, origin, old):
    gateway = make_keys(server='client_body_timeout 300ms;')
    body = pattern(300_000)
    with raw_http.Connection(gateway.port()) as c:
        c.request('PUT', TARGET, signed(TEAM, 'PUT', TARGET, {}, body) + [
            ('Content-Length', str(len(body)))], body[:-1])
        c.to_end()
    never_written(origin)


@pytest.mark.parametrize('size', [0, 70_000])
def test_bodies_by_http2(make_keys, origin, credentials, old, size):
    gateway = make_keys(http=s3_server(origin, credentials,
                                       '127.0.0.1:@port:h2@ http2'))
    body = pattern(size, 1)
    pairs = {k.lower(): v for k, v in signed(
        TEAM, 'PUT', TARGET, {}, body, host='localhost') if k != 'Host'}
    with raw_http2.Connection(gateway.port('h2')) as c:
        other = body[:-1] + b'!' if body else b'!'
        answer = c.ask('PUT', TARGET, {
            **pairs, 'content-length': str(len(other))}, other)
        assert answer.status == 400, answer
        never_written(origin)
        answer = c.ask('PUT', TARGET, {
            **pairs, 'content-length': str(size)}, body)
        assert answer.status == 200
    assert origin.get('bkt', 'team/k').body == body


# --- signed chunks -----------------------------------------------------------

def chunked(body, mode=SIGNED, piece=8192, change=None, trailer=None,
            who=TEAM, length=None, sum_of=None):
    """(headers, body on the wire) of an upload in chunks; change(chunks,
    lines): what is done to [[signature, data]] and the trailer's lines."""
    pairs = [('x-amz-decoded-content-length',
              str(len(body) if length is None else length)),
             ('Content-Encoding', 'aws-chunked')]
    if mode == SIGNED_TRAILER:
        pairs.append(('x-amz-trailer', 'x-amz-checksum-crc32'))
    sign = signer(who)
    pairs = sign.head('PUT', TARGET, pairs, HOST, mode)
    chunks = [[sign.chunk(part), part] for part in
              [body[i:i + piece] for i in range(0, len(body), piece)] + [b'']]
    lines = []
    if mode == SIGNED_TRAILER:
        total = checksum('crc32', body if sum_of is None else sum_of)
        line = f'x-amz-checksum-crc32:{total}'.encode()
        lines = [line, b'x-amz-trailer-signature:'
                 + sign.trailer(line + b'\n')]
    if change:
        change(chunks, lines)
    return pairs, b''.join(
        b'%x;chunk-signature=%s\r\n' % (len(part), signature)
        + (part + b'\r\n' if part else b'') for signature, part in chunks
        ) + b''.join(line + b'\r\n' for line in lines) + b'\r\n'


def put_chunked(nginx, *args, framing='length', **more):
    pairs, raw = chunked(*args, **more)
    if framing == 'chunked':
        pairs, raw = pairs + [('Transfer-Encoding', 'chunked')], \
            http_chunked(raw)
    return raw_http.ask(nginx.port(), 'PUT', TARGET, pairs, raw, close=False)


@pytest.mark.parametrize('framing', ['length', 'chunked'])
@pytest.mark.parametrize('mode', [SIGNED, SIGNED_TRAILER])
def test_signed_chunks(gateway, origin, mode, framing):
    for size, piece in ((0, 1), (1, 1), (30, 1), (8192, 8192), (300_000, 8192),
                        (300_000, 65_536), (MIB, MIB)):
        body = pattern(size, piece)
        answer = put_chunked(gateway, body, mode, piece, framing=framing)
        assert said(answer) == (200, None), (size, piece, answer)
        assert origin.get('bkt', 'team/k').body == body


def _flip(data, at=0, bit=1):
    return data[:at] + bytes([data[at] ^ bit]) + data[at + 1:]


def _digit(text, at):
    return text[:at] + (b'1' if text[at] == ord('0') else b'0') + text[at:][1:]


def _data(n):
    def change(chunks, _):
        chunks[n][1] = _flip(chunks[n][1], 100)
    return change


def _signature(n):
    def change(chunks, _):
        chunks[n][0] = _digit(chunks[n][0], 63)
    return change


def _swap(chunks, _):
    chunks[0], chunks[1] = chunks[1], chunks[0]


def _swap_data(chunks, _):
    chunks[0][1], chunks[1][1] = chunks[1][1], chunks[0][1]


def _drop(n):
    def change(chunks, _):
        del chunks[n]
    return change


def _twice(chunks, _):
    chunks[2:3] = [chunks[1]]


def _upper(chunks, _):
    chunks[0][0] = chunks[0][0].upper()


def _joined(chunks, _):
    chunks[0:2] = [[chunks[0][0], chunks[0][1] + chunks[1][1]]]


def _cut(chunks, _):
    """One chunk as two, the second with a signature that it has not."""
    signature, data = chunks[0]
    chunks[0:1] = [[signature, data[:100]], [signature, data[100:]]]


def _end_early(chunks, _):
    chunks[1:2] = [chunks[-1]]


def _unsigned(chunks, _):
    for chunk in chunks:
        chunk[0] = b'0' * 64


CHANGES = {
    'data of the first': _data(0), 'data of one': _data(3),
    'data of the last': _data(-2), 'signature of the first': _signature(0),
    'signature of one': _signature(3), 'signature of the last': _signature(-2),
    'signature of the end': _signature(-1), 'swapped': _swap,
    'data swapped': _swap_data, 'the first is gone': _drop(0),
    'one is gone': _drop(3), 'the last is gone': _drop(-2),
    'the end is gone': _drop(-1), 'twice': _twice, 'upper case': _upper,
    'joined': _joined, 'cut': _cut, 'the end comes early': _end_early,
    'none is signed': _unsigned}


@pytest.mark.parametrize('mode', [SIGNED, SIGNED_TRAILER])
def test_chunks_that_are_not_those_signed(gateway, origin, old, mode):
    body = pattern(6 * 8192, 5)
    codes = {}
    for name, change in CHANGES.items():
        answer = put_chunked(gateway, body, mode, change=change)
        codes[name] = said(answer)
    wrong = {name: found for name, found in codes.items() if found not in (
        WRONG, (400, 'IncompleteBody'), (400, 'InvalidRequest'))}
    assert wrong == {}
    never_written(origin)
    for name in ('data of one', 'data of the last', 'signature of one',
                 'signature of the end', 'swapped', 'one is gone',
                 'none is signed'):
        assert codes[name] == WRONG, name


def test_a_chunk_that_is_empty_and_wrong(gateway, origin):
    for mode in (SIGNED, SIGNED_TRAILER):
        assert said(put_chunked(gateway, b'', mode, change=_signature(-1))
                    ) == WRONG
    assert origin.requests == []


def test_chunks_of_another_request(gateway, origin, old):
    """The first signature is bound to that of the head."""
    body, found = pattern(20_000), []

    def keep(chunks, _):
        found[:] = [list(chunk) for chunk in chunks]

    def replay(chunks, _):
        chunks[:] = found

    # another length, so that its head has another signature
    chunked(body, change=keep, length=len(body) + 1)
    assert said(put_chunked(gateway, body, change=replay)) == WRONG
    # and the key of whoever it is
    chunked(body, change=keep, who=FOREIGN)
    assert said(put_chunked(gateway, body, change=replay)) == WRONG
    never_written(origin)


def _line(n, back):
    def change(_, lines):
        lines[n] = _digit(lines[n], len(lines[n]) - back)
    return change


TRAILERS = {
    'the sum is another': dict(sum_of=b'other'),
    'its value is changed': dict(change=_line(0, 4)),
    'its signature is changed': dict(change=_line(1, 1)),
    'its signature is gone': dict(change=lambda c, lines: lines.pop()),
    'it is gone': dict(change=lambda c, lines: lines.pop(0)),
    'all is gone': dict(change=lambda c, lines: lines.clear()),
    'its signature comes first': dict(change=lambda c, lines:
                                      lines.reverse()),
    'there is one more': dict(change=lambda c, lines: lines.insert(
        1, b'x-amz-meta-a:b')),
    'its signature is there twice': dict(change=lambda c, lines: lines.append(
        lines[1])),
}


def test_trailers_that_are_not_those_signed(gateway, origin, old):
    body = pattern(20_000)
    codes = {name: said(put_chunked(gateway, body, SIGNED_TRAILER, **more))
             for name, more in TRAILERS.items()}
    wrong = {name: found for name, found in codes.items() if found not in (
        WRONG, (400, 'BadDigest'), (400, 'InvalidRequest'),
        (400, 'IncompleteBody'), (400, 'MalformedTrailerError'))}
    assert wrong == {}
    never_written(origin)
    assert codes['its signature is changed'] == WRONG
    assert codes['the sum is another'] == (400, 'BadDigest')


def test_a_body_and_its_sum_are_changed_together(gateway, origin, old):
    """All is right but the signatures."""
    body, other = pattern(20_000), pattern(20_000, 9)

    def change(chunks, lines):
        for n, i in enumerate(range(0, len(other), 8192)):
            chunks[n][1] = other[i:i + 8192]
        if lines:
            lines[0] = b'x-amz-checksum-crc32:' + checksum(
                'crc32', other).encode()

    for mode in (SIGNED, SIGNED_TRAILER):
        assert said(put_chunked(gateway, body, mode, change=change)) == WRONG
    never_written(origin)


def test_chunks_that_nobody_signs(gateway, origin, old):
    """STREAMING-UNSIGNED-PAYLOAD-TRAILER is what its client has chosen; other
    modes cannot be made into it."""
    body = pattern(20_000)
    trailer = ('x-amz-checksum-crc32', checksum('crc32', body))
    raw = aws_chunked(body, trailer=trailer)
    more = {'x-amz-decoded-content-length': str(len(body)),
            'x-amz-trailer': trailer[0], 'Content-Encoding': 'aws-chunked'}
    for mode in (SIGNED, SIGNED_TRAILER):
        assert ask(gateway, TEAM, 'PUT', TARGET, more, raw, payload=mode
                   ).status in (400, 403)
    never_written(origin)
    assert said(ask(gateway, TEAM, 'PUT', TARGET, more, raw,
                    payload=UNSIGNED_TRAILER)) == (200, None)
    assert origin.get('bkt', 'team/k').body == body
    # STREAMING is of PutObject and UploadPart
    for method, target in (('POST', '/bkt?delete'), ('DELETE', TARGET),
                           ('POST', f'{TARGET}?uploads'), ('GET', TARGET)):
        assert ask(gateway, OWNER, method, target, more, raw,
                   payload=UNSIGNED_TRAILER).status == 400, target


# --- Expect ------------------------------------------------------------------

def test_no_body_is_invited_that_is_refused(make_keys, origin):
    gateway = make_keys(server='lingering_timeout 50ms;')
    body = b'x' * 100_000
    more = {'Content-Length': str(len(body)), 'Expect': '100-continue'}
    bad = [('PUT', '/bkt/private/x', TEAM), ('PUT', TARGET, STRANGER),
           ('PUT', TARGET, OWNER._replace(secret_key='no')),
           ('PUT', TARGET, FOREIGN), ('PUT', TARGET, None),
           ('PUT', f'{TARGET}?acl', TEAM), ('PUT', '/bkt?policy', TEAM),
           ('POST', '/bkt?delete', STRANGER), ('POST', '/bkt?delete', FOREIGN)]
    for method, target, who in bad:
        pairs = [*signed(who, method, target, {}, body), *more.items()]
        with raw_http.Connection(gateway.port()) as c:
            c.request(method, target, pairs)
            answer = c.answer(method)
            assert answer.status == 403 and answer.interim == (), answer
            assert c.to_end() == b''
    # one whose day is over
    pairs = signed(OWNER, 'PUT', TARGET, {}, body, ahead_s=-1000)
    with raw_http.Connection(gateway.port()) as c:
        c.request('PUT', TARGET, [*pairs, *more.items()])
        answer = c.answer('PUT')
        assert said(answer) == (403, 'RequestTimeTooSkewed')
        assert answer.interim == ()
    assert origin.requests == []
    with raw_http.Connection(gateway.port()) as c:
        c.request('PUT', TARGET, [*signed(TEAM, 'PUT', TARGET, {}, body),
                                  *more.items()])
        assert c._until(b'\r\n\r\n') == b'HTTP/1.1 100 Continue'
        c.send(body)
        assert c.answer('PUT').status == 200
    assert get(gateway, TEAM, TARGET).body == body


def test_the_body_of_a_refused_request_is_not_the_next_one(gateway, origin):
    origin.put('pub', 'k', b'body')
    inner = b'GET /pub/k HTTP/1.1\r\nHost: x\r\n\r\n'
    for method, target in (('PUT', TARGET), ('POST', '/bkt?delete')):
        with raw_http.Connection(gateway.port()) as c:
            c.request(method, target, signed(STRANGER, method, target), inner)
            c.request('GET', '/pub/k')
            assert c.answer(method).status == 403
            assert c.answer().body == b'body'
            assert c.seen == b''
    assert len(origin.requests) == 1
