# SPDX-License-Identifier: Apache-2.0
"""Writes through the gateway, before a real RGW: whoever saw a write succeed
never reads what was there before it. Answers are in test_write_calls.py,
bodies in test_write_bodies.py."""

import base64
import hashlib
import itertools
import random
import threading

import botocore.exceptions
import pytest

import raw_http
from flash_reads import make_flash    # noqa: F401 (a fixture)
from lib import s3client
from lib.nginx import s3_location, s3_zone
from write_lab import MIB
from write_lab import bucket, direct, lab, through    # noqa: F401 (fixtures)


def test_delete_objects_drops_what_it_names(lab, through, bucket):
    for key in ('one', 'two & <3>', 'ü', 'stays'):
        through.put_object(Bucket=bucket, Key=key, Body=key.encode())
        through.get_object(Bucket=bucket, Key=key)
    before = lab.zone()['writes']['bucket_drops']
    through.delete_objects(Bucket=bucket, Delete={'Objects': [
        {'Key': 'one'}, {'Key': 'two & <3>'}, {'Key': 'ü'}]})
    for key in ('one', 'two & <3>', 'ü'):
        with pytest.raises(botocore.exceptions.ClientError):
            through.get_object(Bucket=bucket, Key=key)
    found = through.get_object(Bucket=bucket, Key='stays')
    assert found['ResponseMetadata']['HTTPHeaders']['x-cache'] == 'HIT'
    assert lab.zone()['writes']['bucket_drops'] == before


@pytest.mark.parametrize('body', [
    '<Delete><Object><Key><![CDATA[k]]></Key></Object></Delete>',
    '<!--x--><Delete><Object><Key>k</Key></Object></Delete>',
    '<Delete xmlns="x"><Object><Key>k</Key></Object></Delete>'])
def test_delete_objects_that_is_not_understood_drops_all(
        lab, through, bucket, body):
    through.put_object(Bucket=bucket, Key='k', Body=b'x')
    through.get_object(Bucket=bucket, Key='k')
    md5 = base64.b64encode(hashlib.md5(body.encode()).digest()).decode()
    answer = raw_http.ask(lab.port(), 'POST', f'/{bucket}?delete',
                          {'Content-MD5': md5}, body.encode(), close=False)
    assert answer.status == 200, answer
    with pytest.raises(botocore.exceptions.ClientError):
        through.get_object(Bucket=bucket, Key='k')


def test_what_is_done_to_a_bucket_drops_all_of_it(through, bucket):
    def result():
        found = through.get_object(Bucket=bucket, Key='k')
        return found['ResponseMetadata']['HTTPHeaders']['x-cache']

    through.put_object(Bucket=bucket, Key='k', Body=b'x')
    assert [result(), result()] == ['MISS', 'HIT']
    through.put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration={'Status': 'Enabled'})
    assert [result(), result()] == ['MISS', 'HIT']
    through.put_bucket_policy(Bucket=bucket, Policy=(
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", '
        '"Principal": "*", "Action": "s3:GetObject", "Resource": '
        f'"arn:aws:s3:::{bucket}/*"}}]}}'))
    assert [result(), result()] == ['MISS', 'HIT']
    through.delete_bucket_policy(Bucket=bucket)
    assert [result(), result()] == ['MISS', 'HIT']


def test_versions_of_a_key_go_with_it(through, bucket):
    through.put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration={'Status': 'Enabled'})
    versions = [through.put_object(Bucket=bucket, Key='k',
                                   Body=b'%d' % i)['VersionId']
                for i in range(3)]
    for _ in range(2):
        for i, version in enumerate(versions):
            assert through.get_object(Bucket=bucket, Key='k', VersionId=version
                                      )['Body'].read() == b'%d' % i
    assert through.get_object(Bucket=bucket, Key='k')['Body'].read() == b'2'
    through.delete_object(Bucket=bucket, Key='k', VersionId=versions[2])
    assert through.get_object(Bucket=bucket, Key='k')['Body'].read() == b'1'
    with pytest.raises(botocore.exceptions.ClientError):
        through.get_object(Bucket=bucket, Key='k', VersionId=versions[2])
    through.delete_object(Bucket=bucket, Key='k')
    with pytest.raises(botocore.exceptions.ClientError):
        through.get_object(Bucket=bucket, Key='k')


def test_all_locations_of_an_origin_forget_it(make_gateway, rgw, direct,
                                              bucket):
    keys = (rgw.access_key, rgw.secret_key)
    nginx = make_gateway(
        rgw, http=s3_zone('other') + 'server { listen 127.0.0.1:@port:b@; %s }'
        % s3_location(rgw.url, rgw.alt_access_key, rgw.alt_secret_key,
                      zone='other'))
    direct.put_object(Bucket=bucket, Key='k', Body=b'old', ACL='public-read')
    readers = [s3client.client(nginx.url(name=name), *keys)
               for name in ('', 'b')]
    for s3 in readers * 2:
        assert s3.get_object(Bucket=bucket, Key='k')['Body'].read() == b'old'
    readers[0].put_object(Bucket=bucket, Key='k', Body=b'new',
                          ACL='public-read')
    for s3 in readers:
        assert s3.get_object(Bucket=bucket, Key='k')['Body'].read() == b'new'


@pytest.mark.parametrize('flash', [False, True])
@pytest.mark.parametrize('size', [10, 200_000])
def test_nobody_reads_what_was_before_a_write_that_succeeded(
        make_gateway, make_flash, rgw, bucket, flash, size):
    nginx = (make_flash if flash else make_gateway)(
        rgw, workers=3, location='s3_cache_block_size 64k;')
    keys = ['a', 'b']
    acked = {key: 0 for key in keys}
    over = threading.Event()
    wrong, reads = [], itertools.count()

    def body(number):
        return b'%08d' % number * (size // 8 or 1)

    writer = s3client.of(rgw, nginx.url(), pool=8)
    for key in keys:
        writer.put_object(Bucket=bucket, Key=key, Body=body(0))

    def read(key):
        try:
            while not over.is_set():
                with raw_http.Connection(nginx.port()) as c:
                    for _ in range(8):
                        least = acked[key]
                        c.request('GET', f'/{bucket}/{key}')
                        found = c.answer()
                        number = int(found.body[:8])
                        next(reads)
                        if number < least or found.body != body(number):
                            wrong.append((key, least, number, found.head))
        except raw_http.Malformed as e:
            # cut, as a reader of a version that is gone may be
            if 'body bytes' not in str(e):
                wrong.append((key, str(e)))

    def keep_reading(key):
        while not over.is_set():
            read(key)

    readers = [threading.Thread(target=keep_reading, args=(key,))
               for key in keys * 3]
    for thread in readers:
        thread.start()
    try:
        for number in range(1, 60):
            for key in keys:
                writer.put_object(Bucket=bucket, Key=key, Body=body(number))
                acked[key] = number
    finally:
        over.set()
        for thread in readers:
            thread.join()
    assert not wrong, wrong[:3]
    assert next(reads) > 100
    zone = nginx.zone()
    assert zone['writes']['done'] >= 120
    assert zone['requests']['hit'] > 0


def test_memory_of_a_worker_is_flat_during_an_upload(make_gateway, rgw,
                                                     bucket):
    nginx = make_gateway(rgw, workers=1)
    size, piece = 96 * MIB, 1 * MIB
    with raw_http.Connection(nginx.port()) as c:
        c.request('PUT', f'/{bucket}/warm', {}, b'x' * 100_000)
        assert c.answer('PUT').status == 200
        before = nginx.rss_bytes()
        c.request('PUT', f'/{bucket}/large', {'Content-Length': str(size)})
        seen = 0
        for _ in range(size // piece):
            c.send(b'x' * piece)
            seen = max(seen, nginx.rss_bytes())
        assert c.answer('PUT').status == 200
    assert seen - before < 600_000, (before, seen)


def test_limit_except_makes_a_gateway_that_only_reads(
        make_gateway, rgw, direct, bucket):
    nginx = make_gateway(rgw, location='limit_except GET { deny all; }')
    direct.put_object(Bucket=bucket, Key='k', Body=b'x')
    for method in ('PUT', 'DELETE', 'POST'):
        assert raw_http.ask(nginx.port(), method, f'/{bucket}/k'
                            ).status == 403
    assert raw_http.ask(nginx.port(), 'GET', f'/{bucket}/k').body == b'x'


class Writer:
    """Writes one key in all ways there are, each with a number in it."""

    def __init__(self, s3, bucket, key, seed):
        self.s3, self.bucket, self.key = s3, bucket, key
        self.choice = random.Random(seed)
        self.begun, self.acked = 0, 0
        self.deleted = {0}              # it is not there at first

    def body(self, number, size=None):
        size = size or self.choice.choice([10, 3000, 150_000])
        return (b'%08d' % number) * (size // 8 + 1)

    def step(self):
        number = self.begun + 1
        how = self.choice.choice([self.put, self.put, self.copy, self.delete,
                                  self.delete_many, self.multipart])
        if how in (self.delete, self.delete_many):
            self.deleted.add(number)
        self.begun = number
        how(number)
        self.acked = number

    def put(self, number):
        self.s3.put_object(Bucket=self.bucket, Key=self.key,
                           Body=self.body(number))

    def copy(self, number):
        source = f'{self.key}-source'
        self.s3.put_object(Bucket=self.bucket, Key=source,
                           Body=self.body(number))
        self.s3.copy_object(Bucket=self.bucket, Key=self.key, CopySource={
            'Bucket': self.bucket, 'Key': source})

    def delete(self, _):
        self.s3.delete_object(Bucket=self.bucket, Key=self.key)

    def delete_many(self, _):
        self.s3.delete_objects(Bucket=self.bucket, Delete={
            'Objects': [{'Key': self.key}, {'Key': 'none'}]})

    def multipart(self, number):
        of = {'Bucket': self.bucket, 'Key': self.key}
        of['UploadId'] = self.s3.create_multipart_upload(**of)['UploadId']
        part = self.s3.upload_part(PartNumber=1, Body=self.body(number), **of)
        self.s3.complete_multipart_upload(MultipartUpload={'Parts': [
            {'PartNumber': 1, 'ETag': part['ETag']}]}, **of)

    def read(self, connection, method, headers):
        """None, or what is wrong with the answer."""
        least = self.acked
        connection.request(method, f'/{self.bucket}/{self.key}', headers)
        found = connection.answer(method)
        most = self.begun
        if found.status == 404:
            return (None if any(least <= n <= most for n in self.deleted)
                    else (least, most, found))
        if found.status == 500:
            # the RGW's own, when an object goes while it is read there
            return None
        if found.status not in (200, 206):
            return least, most, found
        if method == 'HEAD':
            return None
        number = int(found.body[:8])
        whole = (b'%08d' % number) * (len(found.body) // 8 + 1)
        if not least <= number <= most or not whole.startswith(found.body):
            return least, most, number, found.head
        return None


@pytest.mark.parametrize('flash', [False, True])
def test_writes_of_all_kinds_are_seen_by_all_readers_after_them(
        make_gateway, make_flash, rgw, bucket, flash):
    nginx = (make_flash if flash else make_gateway)(
        rgw, workers=2, location='s3_cache_block_size 64k;',
        valid='200 206 404 10m')
    writers = [Writer(s3client.of(rgw, nginx.url()), bucket, f'k{n}', n)
               for n in range(3)]
    over = threading.Event()
    wrong, reads = [], itertools.count()

    def keep_reading(writer, seed):
        choice = random.Random(seed)
        while not over.is_set():
            try:
                with raw_http.Connection(nginx.port()) as c:
                    for _ in range(10):
                        method, headers = choice.choice([
                            ('GET', {}), ('GET', {'Range': 'bytes=0-79'}),
                            ('HEAD', {}), ('GET', {})])
                        bad = writer.read(c, method, headers)
                        next(reads)
                        if bad:
                            wrong.append(bad)
            except raw_http.Malformed as e:
                # cut: of a version that is gone
                if 'body bytes' not in str(e):
                    wrong.append(str(e))

    def keep_writing(writer):
        try:
            for _ in range(40):
                writer.step()
        except Exception as e:               # noqa: shown below
            wrong.append(repr(e))

    readers = [threading.Thread(target=keep_reading, args=(w, n))
               for n, w in enumerate(writers * 2)]
    threads = [threading.Thread(target=keep_writing, args=(w,))
               for w in writers]
    for thread in readers + threads:
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    for thread in readers:
        thread.join()
    assert not wrong, wrong[:3]
    assert next(reads) > 100
