# SPDX-License-Identifier: Apache-2.0
"""Bodies of writes, before a real RGW: they arrive as they were sent however
they were signed, or not at all."""

import base64
import hashlib

import pytest

import raw_http
from origin.objects import pattern
from write_bodies import (SIGNED, SIGNED_TRAILER, SUMS, UNSIGNED_TRAILER,
                          aws_chunked, checksum, form, http_chunked)
from write_lab import bucket, direct, lab, through    # noqa: F401 (fixtures)

MODES = [SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER]


def put(lab, bucket, body, headers=(), key='k', method='PUT', **more):
    return raw_http.ask(lab.port(), method, f'/{bucket}/{key}', headers, body,
                        close=False, **more)


def put_chunked(lab, bucket, body, mode, sum_name='crc32', framing='length',
                announced=None, value=None, length=None, **more):
    headers = [('x-amz-content-sha256', mode),
               ('x-amz-decoded-content-length',
                str(len(body) if length is None else length)),
               ('Content-Encoding', 'aws-chunked,gzip')]
    trailer = None
    if 'TRAILER' in mode:
        name = f'x-amz-checksum-{sum_name}'
        trailer = (name, value or checksum(sum_name, body))
        headers += [('x-amz-trailer', announced or name),
                    ('x-amz-sdk-checksum-algorithm', sum_name.upper())]
    raw = aws_chunked(body, signed='HMAC' in mode, trailer=trailer, **more)
    if framing == 'chunked':
        headers.append(('Transfer-Encoding', 'chunked'))
        raw = http_chunked(raw)
    return put(lab, bucket, raw, headers)


@pytest.mark.parametrize('framing', ['length', 'chunked'])
@pytest.mark.parametrize('size', [0, 1, 8192, 300_000])
@pytest.mark.parametrize('mode', MODES)
def test_aws_chunked_bodies_arrive_plain(lab, direct, bucket, mode, size,
                                         framing):
    body = pattern(size, size)
    answer = put_chunked(lab, bucket, body, mode, framing=framing)
    assert answer.status == 200, answer
    assert answer['Connection'] == 'keep-alive'
    found = direct.get_object(Bucket=bucket, Key='k')
    assert found['Body'].read() == body
    assert found['ContentEncoding'] == 'gzip'


@pytest.mark.parametrize('sum_name', sorted(SUMS))
def test_checksums_in_trailers_are_verified(lab, direct, bucket, sum_name):
    mode, body = MODES[2], pattern(20_000, 7)
    assert put_chunked(lab, bucket, body, mode, sum_name).status == 200
    wrong = checksum(sum_name, b'other')
    answer = put_chunked(lab, bucket, b'new' + body, mode, sum_name,
                         value=wrong)
    assert (answer.status, answer.element('Code')) == (400, 'BadDigest')
    assert direct.get_object(Bucket=bucket, Key='k')['Body'].read() == body
    answer = put_chunked(lab, bucket, b'', mode, sum_name, value=wrong)
    assert (answer.status, answer.element('Code')) == (400, 'BadDigest')
    assert direct.get_object(Bucket=bucket, Key='k')['Body'].read() == body


def test_bodies_that_are_not_as_announced_are_never_written(
        lab, direct, bucket):
    body = pattern(20_000, 7)
    for answer, code in [
            (put_chunked(lab, bucket, body, MODES[2], length=20_001),
             'IncompleteBody'),
            (put_chunked(lab, bucket, body, MODES[2], length=19_999),
             'IncompleteBody'),
            (put_chunked(lab, bucket, body, MODES[0], length=0),
             'IncompleteBody'),
            (put_chunked(lab, bucket, body, MODES[2], value='AAAA'),
             'InvalidRequest'),
            (put_chunked(lab, bucket, body, MODES[2],
                         announced='x-amz-checksum-sha1'), 'InvalidRequest'),
            (put_chunked(lab, bucket, body, MODES[2],
                         announced='x-amz-checksum-md99'), 'InvalidRequest'),
            (put(lab, bucket, aws_chunked(body), [
                ('x-amz-content-sha256', MODES[0]),
                ('x-amz-decoded-content-length', '20000')]),
             'InvalidRequest'),
            (put(lab, bucket, aws_chunked(body)[:-9], [
                ('x-amz-content-sha256', MODES[2]),
                ('x-amz-decoded-content-length', '20000')]),
             'IncompleteBody'),
            (put(lab, bucket, aws_chunked(body), [
                ('x-amz-content-sha256', MODES[2])]),
             'MissingContentLength'),
            (put(lab, bucket, body, [
                ('x-amz-content-sha256', 'STREAMING-nonsense')]),
             'InvalidArgument'),
            (put(lab, bucket, body, [
                ('x-amz-content-sha256',
                 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD')]),
             'NotImplemented'),
            (put(lab, bucket, b'5\r\nhello\r\n0\r\n\r\n', [
                ('Transfer-Encoding', 'chunked')]), 'MissingContentLength')]:
        assert answer.element('Code') == code, answer
        assert answer.status in (400, 411, 501)
    assert 'Contents' not in direct.list_objects_v2(Bucket=bucket)


def test_a_signed_hash_is_checked_by_the_origin(lab, direct, bucket):
    body = pattern(100_000, 5)
    right = hashlib.sha256(body).hexdigest()
    assert put(lab, bucket, body, {'x-amz-content-sha256': right}
               ).status == 200
    answer = put(lab, bucket, b'x' + body, {'x-amz-content-sha256': right})
    assert (answer.status, answer.element('Code')) == (
        400, 'XAmzContentSHA256Mismatch')
    assert direct.get_object(Bucket=bucket, Key='k')['Body'].read() == body
    assert put(lab, bucket, body[1:],
               {'x-amz-content-sha256': 'UNSIGNED-PAYLOAD'}).status == 200
    assert direct.get_object(Bucket=bucket,
                             Key='k')['Body'].read() == body[1:]
    assert put(lab, bucket, body[2:]).status == 200
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    assert put(lab, bucket, body, {'Content-MD5': md5}).status == 200
    answer = put(lab, bucket, b'y' + body, {'Content-MD5': md5})
    assert (answer.status, answer.element('Code')) == (400, 'BadDigest')


@pytest.mark.parametrize('source', [
    'nobucket', '/', '//', '/b/', 'bucket%', 'bucket/%zz', 'a/b',
    'bucket/key?versionId=', 'bucket/key?x=y', 'bucket/a b', 'buc%00ket/k'])
def test_a_copy_source_that_is_none_is_refused(lab, bucket, source):
    answer = put(lab, bucket, b'', {'x-amz-copy-source': source})
    assert (answer.status, answer.element('Code')) == (400, 'InvalidArgument')


def test_expect_is_answered_when_the_origin_has_decided(lab, bucket):
    body = b'x' * 100_000
    head = {'Content-Length': str(len(body)), 'Expect': '100-continue'}
    with raw_http.Connection(lab.port()) as c:
        c.request('PUT', f'/{bucket}/k', head)
        assert c._until(b'\r\n\r\n') == b'HTTP/1.1 100 Continue'
        c.send(body)
        assert c.answer('PUT').status == 200
        c.request('GET', f'/{bucket}/k')
        assert c.answer().body == body
    with raw_http.Connection(lab.port()) as c:
        c.request('PUT', f'/none-{bucket}/k', head)
        answer = c.answer('PUT')
        assert answer.status == 404 and answer.interim == ()
        assert c.to_end() == b''


def test_a_form_of_a_browser_drops_its_bucket(lab, rgw, direct, through,
                                              bucket):
    through.put_object(Bucket=bucket, Key='form', Body=b'old')
    assert through.get_object(Bucket=bucket, Key='form')['Body'].read() \
        == b'old'
    fields = direct.generate_presigned_post(bucket, 'form')['fields']
    kind, body = form(fields, b'new')
    answer = raw_http.ask(lab.port(), 'POST', f'/{bucket}',
                          {'Content-Type': kind}, body, close=False)
    assert answer.status == 204, answer
    assert through.get_object(Bucket=bucket, Key='form')['Body'].read() \
        == b'new'
