# SPDX-License-Identifier: Apache-2.0
"""Copies, uploads of parts and deletes of many at the scripted origin."""

import concurrent.futures
import hashlib

import botocore.exceptions
import pytest

from lib import s3client, wait
from origin.objects import pattern

BODY = pattern(1000)


@pytest.fixture
def s3(origin):
    origin.put('bkt', 'a', BODY, {'x-amz-meta-x': 'old'})
    return s3client.client(origin.url)


def code(call, **args):
    with pytest.raises(botocore.exceptions.ClientError) as e:
        call(Bucket='bkt', **args)
    return e.value.response['Error']['Code']


@pytest.mark.parametrize('directive', ['COPY', 'REPLACE'])
def test_a_copy(s3, origin, directive):
    more = {'Metadata': {'x': 'new'}} if directive == 'REPLACE' else {}
    answer = s3.copy_object(Bucket='bkt', Key='b', MetadataDirective=directive,
                            CopySource={'Bucket': 'bkt', 'Key': 'a'}, **more)
    found = origin.get('bkt', 'b')
    assert found.body == BODY
    assert found.headers['x-amz-meta-x'] == ('new' if more else 'old')
    assert answer['CopyObjectResult']['ETag'] == found.etag
    assert code(s3.copy_object, Key='c', CopySource={
        'Bucket': 'bkt', 'Key': 'none'}) == 'NoSuchKey'


def test_an_upload_of_parts(s3, origin):
    of = {'Key': 'a', 'UploadId': s3.create_multipart_upload(
        Bucket='bkt', Key='a', Metadata={'x': 'new'})['UploadId']}
    parts = [{'PartNumber': n, 'ETag': s3.upload_part(
        Bucket='bkt', PartNumber=n, Body=pattern(n * 100, n), **of)['ETag']}
        for n in (2, 1)]
    assert origin.get('bkt', 'a').body == BODY
    assert code(s3.complete_multipart_upload, MultipartUpload={'Parts': [
        dict(parts[0], ETag='"x"')]}, **of) == 'InvalidPart'
    parts.reverse()
    answer = s3.complete_multipart_upload(
        Bucket='bkt', MultipartUpload={'Parts': parts}, **of)
    found = origin.get('bkt', 'a')
    assert found.body == pattern(100, 1) + pattern(200, 2)
    assert found.headers['x-amz-meta-x'] == 'new'
    sums = b''.join(bytes.fromhex(p['ETag'].strip('"')) for p in parts)
    assert found.etag == answer['ETag'] == (
        f'"{hashlib.md5(sums).hexdigest()}-2"')
    assert code(s3.abort_multipart_upload, **of) == 'NoSuchUpload'


def test_an_upload_that_is_given_up(s3, origin):
    of = {'Key': 'a', 'UploadId': s3.create_multipart_upload(
        Bucket='bkt', Key='a')['UploadId']}
    s3.upload_part(Bucket='bkt', PartNumber=1, Body=b'x', **of)
    s3.abort_multipart_upload(Bucket='bkt', **of)
    assert code(s3.upload_part, PartNumber=2, Body=b'x', **of) \
        == 'NoSuchUpload'
    assert origin.get('bkt', 'a').body == BODY


def test_a_delete_of_many(s3, origin):
    origin.put('bkt', 'b & <c>', b'')
    origin.put('bkt', 'stays', b'')
    answer = s3.delete_objects(Bucket='bkt', Delete={'Objects': [
        {'Key': key} for key in ('a', 'b & <c>', 'none')]})
    assert [row['Key'] for row in answer['Deleted']] == [
        'a', 'b & <c>', 'none']
    assert list(origin.bucket('bkt')) == ['stays']


def test_what_is_done_before_it_is_said(s3, origin):
    """A rule that delays the reply: a write has been done, a read has what was
    there before."""
    origin.on('bkt', 'a', reply_delay_s=0.5)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        wrote = pool.submit(s3.put_object, Bucket='bkt', Key='a', Body=b'new')
        wait.until(lambda: origin.get('bkt', 'a').body == b'new', 'it is done')
        assert not wrote.done()
        read = pool.submit(s3.get_object, Bucket='bkt', Key='a')
        origin.wait_requests(1, method='GET')
        origin.call(lambda: origin.put('bkt', 'a', b'newer'))
        assert not read.done()
        assert read.result()['Body'].read() == b'new'
        wrote.result()
