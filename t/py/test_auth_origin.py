# SPDX-License-Identifier: Apache-2.0
"""s3_cache_auth origin before a real RGW: two users, boto3 with each of its
signatures, aws, and the RGW's own word about who may."""

import json
import subprocess
import time
import urllib.error
import urllib.request

import pytest

import raw_http
from lib import s3client, wait
from origin.objects import pattern
from origin_auth_lab import presigned_end
from write_bodies import SIGNED, Signer, aws_chunked, target_of

MIB = 1 << 20
BODY = pattern(300_000, 3)
AUTH = 's3_cache_auth origin; s3_cache_block_size 64k; '


@pytest.fixture
def make_lab(make_gateway, rgw):
    def make(more='', workers=2, **pieces):
        return make_gateway(rgw, location=AUTH + more, workers=workers,
                            valid='200 206 404 10m', **pieces)
    return make


@pytest.fixture
def lab(make_lab):
    return make_lab('s3_cache_auth_valid 1h;')


@pytest.fixture
def shared(rgw_s3, bucket):
    """A bucket of which `alt` may read what begins with "for-alt/"."""
    for key in ('for-alt/a', 'mine/a'):
        rgw_s3.put_object(Bucket=bucket, Key=key, Body=BODY)
    grant(rgw_s3, bucket)
    return bucket


def grant(s3, bucket, who='arn:aws:iam:::user/alt', what='for-alt/*',
          actions=('s3:GetObject',)):
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({
        'Version': '2012-10-17', 'Statement': [{
            'Effect': 'Allow', 'Principal': {'AWS': [who]},
            'Action': list(actions),
            'Resource': [f'arn:aws:s3:::{bucket}/{what}']}]}))


def alt(rgw, lab, **more):
    return s3client.client(lab.url(), rgw.alt_access_key, rgw.alt_secret_key,
                           **more)


def read(s3, bucket, key, **more):
    answer = s3.get_object(Bucket=bucket, Key=key, **more)
    cache = answer['ResponseMetadata']['HTTPHeaders']['x-cache']
    return cache.split()[0], answer['Body'].read()


def refusal(function, *args, **more):
    with pytest.raises(Exception) as raised:
        function(*args, **more)
    found = raised.value.response
    return found['ResponseMetadata']['HTTPStatusCode'], found['Error']['Code']


def fetch(url, headers=()):
    """(status, X-Cache, body)"""
    try:
        with urllib.request.urlopen(urllib.request.Request(
                url, headers=dict(headers)), timeout=30) as answer:
            return answer.status, answer.headers['X-Cache'], answer.read()
    except urllib.error.HTTPError as e:
        with e:
            return e.code, e.headers['X-Cache'], e.read()


@pytest.mark.parametrize('signature', ['s3v4', 's3'])
def test_signed_headers(rgw, lab, shared, signature):
    """What is fetched once is not fetched again; who asks is asked for."""
    main = s3client.of(rgw, lab.url(), signature=signature)
    second = alt(rgw, lab, signature=signature)
    assert read(main, shared, 'for-alt/a')[1] == BODY
    before = lab.zone()['origin']['received_bytes']
    for _ in range(3):
        for s3 in (main, second):
            assert read(s3, shared, 'for-alt/a') == ('HIT', BODY)
            assert read(s3, shared, 'for-alt/a', Range='bytes=70000-70009'
                        ) == ('HIT', BODY[70000:70010])
            head = s3.head_object(Bucket=shared, Key='for-alt/a')
            assert head['ContentLength'] == len(BODY)
            assert head['ResponseMetadata']['HTTPHeaders']['x-cache'
                                                           ] == 'HIT'
    # (what boto3 signs of a Range comes, all the rest is single bytes)
    assert lab.zone()['origin']['received_bytes'] - before < 1000
    assert read(main, shared, 'mine/a')[1] == BODY
    for _ in range(3):
        assert refusal(second.get_object, Bucket=shared, Key='mine/a'
                       ) == (403, 'AccessDenied')
        assert refusal(second.head_object, Bucket=shared, Key='mine/a'
                       ) == (403, '403')
        assert read(main, shared, 'mine/a') == ('HIT', BODY)


@pytest.mark.parametrize('signature', ['s3v4', 's3'])
def test_presigned(rgw, lab, shared, signature):
    main = s3client.of(rgw, lab.url(), signature=signature)
    second = alt(rgw, lab, signature=signature)
    params = {'Bucket': shared, 'Key': 'for-alt/a'}
    urls = [s3.generate_presigned_url('get_object', params, 600)
            for s3 in (main, second)]
    if signature == 's3':
        assert 'AWSAccessKeyId' in urls[0]
    assert fetch(urls[0])[::2] == (200, BODY)
    before = lab.zone()['origin']['received_bytes']
    for _ in range(4):
        for url in urls:
            assert fetch(url) == (200, 'HIT', BODY)
            assert fetch(url, {'Range': 'bytes=-7'}) == (206, 'HIT',
                                                         BODY[-7:])
    # of each worker one byte for each
    assert lab.zone()['origin']['received_bytes'] - before <= 4
    url = second.generate_presigned_url('get_object', {
        'Bucket': shared, 'Key': 'mine/a'}, 600)
    status, _, body = fetch(url)
    assert status == 403 and b'<Code>AccessDenied</Code>' in body
    # of one good URL no other can be made
    for old, new in (('for-alt/a', 'mine/a'), ('Signature=', 'Signature=0'),
                     (rgw.access_key, rgw.alt_access_key)):
        status, _, body = fetch(urls[0].replace(old, new))
        assert status in (400, 403), body
        assert BODY[:100] not in body
    assert fetch(urls[0].partition('?')[0])[0] == 403
    assert fetch(urls[0]) == (200, 'HIT', BODY)


def test_a_link_to_a_range_is_for_that_range(rgw, lab, shared):
    main = s3client.of(rgw, lab.url())
    assert read(main, shared, 'mine/a')[1] == BODY
    for first, last in ((0, 0), (70_000, 70_009)):
        wanted = f'bytes={first}-{last}'
        url = main.generate_presigned_url('get_object', {
            'Bucket': shared, 'Key': 'mine/a', 'Range': wanted}, 600)
        assert 'range' in url
        for _ in range(3):
            assert fetch(url, {'Range': wanted})[::2] == (
                206, BODY[first:last + 1])
            assert fetch(url, {'Range': wanted, 'If-Range': '"no"'})[::2] == (
                206, BODY[first:last + 1])
            for headers in ({}, {'Range': 'bytes=0-99999'}):
                assert fetch(url, headers)[0] == 403, headers


def test_a_presigned_url_ends_to_the_second(rgw, lab, shared):
    made = Signer((rgw.access_key, rgw.secret_key))
    made.date = time.strftime('%Y%m%dT%H%M%SZ',
                              time.gmtime(time.time() - 54))
    made.scope = f'{made.date[:8]}/us-east-1/s3/aws4_request'
    host = f'127.0.0.1:{lab.port()}'
    target = made.presigned('GET', f'/{shared}/mine/a', host, 60)
    end = presigned_end(target)
    answer = raw_http.ask(lab.port(), 'GET', target, {'Host': host})
    assert answer.status == 200 and time.time() < end
    good = 0
    while True:
        begun = time.time()
        answer = raw_http.ask(lab.port(), 'GET', target, {'Host': host})
        if begun >= end:
            break
        if answer.status == 200:
            good += 1
            assert answer.body == BODY
        else:
            assert time.time() >= end
    assert good > 0
    assert (answer.status, answer.element('Code')) == (403, 'AccessDenied')
    main = s3client.of(rgw, lab.url())
    assert read(main, shared, 'mine/a') == ('HIT', BODY)


def test_what_was_revoked_ends_in_time(rgw, rgw_s3, make_lab, shared):
    lab = make_lab('s3_cache_auth_valid 2s;', workers=1)
    main, second = s3client.of(rgw, lab.url()), alt(rgw, lab)
    params = {'Bucket': shared, 'Key': 'for-alt/a'}
    url = second.generate_presigned_url('get_object', params, 600)
    kept = main.generate_presigned_url('get_object', params, 600)
    assert fetch(url)[::2] == (200, BODY)
    rgw_s3.delete_bucket_policy(Bucket=shared)
    wait.until(lambda: fetch(url)[0] == 403, 'the end of a permission')
    assert fetch(kept) == (200, 'HIT', BODY)
    grant(rgw_s3, shared)
    assert fetch(url) == (200, 'HIT', BODY)


def test_anybody_may_read_what_is_public(rgw, rgw_s3, lab, shared):
    url = lab.url(f'/{shared}/for-alt/a')
    assert fetch(url)[0] == 403
    grant(rgw_s3, shared, who='*')
    assert fetch(url)[::2] == (200, BODY)
    assert fetch(url) == (200, 'HIT', BODY)
    assert fetch(url.replace('for-alt', 'mine'))[0] == 403


def test_the_errors_of_keys_are_shown(rgw, lab, shared):
    for keys, code in ((('NOSUCHKEY', 'x'), 'InvalidAccessKeyId'),
                       ((rgw.access_key, 'wrong'), 'SignatureDoesNotMatch')):
        s3 = s3client.client(lab.url(), *keys)
        for call in (lambda: s3.get_object(Bucket=shared, Key='mine/a'),
                     lambda: s3.list_objects_v2(Bucket=shared),
                     lambda: s3.put_object(Bucket=shared, Key='mine/a',
                                           Body=b'x')):
            assert refusal(call) == (403, code)


# --- writes ------------------------------------------------------------------

def test_writes_are_judged_by_the_origin(rgw, rgw_s3, lab, shared):
    main, second = s3client.of(rgw, lab.url()), alt(rgw, lab)
    assert read(main, shared, 'for-alt/a')[1] == BODY
    for call, more in (('put_object', {'Body': b'no'}),
                       ('delete_object', {})):
        assert refusal(getattr(second, call), Bucket=shared,
                       Key='for-alt/a', **more) == (403, 'AccessDenied')
        assert read(main, shared, 'for-alt/a')[1] == BODY
    grant(rgw_s3, shared, actions=('s3:GetObject', 's3:PutObject'))
    second.put_object(Bucket=shared, Key='for-alt/a', Body=b'alt',
                      Metadata={'of': 'alt'}, ContentType='text/x')
    for _ in range(2):
        answer = second.get_object(Bucket=shared, Key='for-alt/a')
        assert answer['Body'].read() == b'alt'
        assert (answer['ContentType'], answer['Metadata']) == (
            'text/x', {'of': 'alt'})
    # now it is alt's own: the keys of the bucket and of the gateway see it
    # no more, and what they saw before is not brought out again
    for s3 in (rgw_s3, main, main):
        assert refusal(s3.get_object, Bucket=shared, Key='for-alt/a'
                       ) == (403, 'AccessDenied')


def writers(rgw, url):
    """boto3 in all the ways in which it signs a body that an RGW takes."""
    for signature in ('s3v4', 's3'):
        for sums in ('when_required', 'when_supported'):
            more = {}
            if sums == 'when_supported':
                try:
                    s3client.client(url, 'A', 'B', signature=signature,
                                    request_checksum_calculation=sums)
                except TypeError:
                    continue       # a botocore of before checksums
                more['request_checksum_calculation'] = sums
            yield f'{signature} {sums}', s3client.of(
                rgw, url, signature=signature, **more)


def test_all_writes_of_boto3_are_read_anew(rgw, rgw_s3, lab, bucket):
    reader = s3client.of(rgw, lab.url())
    for number, (what, s3) in enumerate(writers(rgw, lab.url())):
        at = {'Bucket': bucket, 'Key': 'k ey+ü'}
        for size in (0, 1, 70_000, 300_000):
            body = pattern(size, number)
            try:
                s3.put_object(Body=body, **at)
            except Exception as e:       # noqa: B902 as the RGW says
                assert 'checksum' in what or 'supported' in what, (what, e)
                break
            assert read(reader, bucket, at['Key'])[1] == body, what
        s3.copy_object(CopySource=at, Bucket=bucket, Key='copy')
        wanted = rgw_s3.get_object(**at)['Body'].read()
        assert read(reader, bucket, 'copy')[1] == wanted, what
        s3.delete_object(**at)
        assert refusal(reader.get_object, **at) == (404, 'NoSuchKey')


def test_uploads_in_parts(rgw, lab, bucket):
    main = s3client.of(rgw, lab.url())
    at = {'Bucket': bucket, 'Key': 'parts'}
    main.put_object(Body=b'old', **at)
    assert read(main, bucket, 'parts')[1] == b'old'
    parts = [pattern(5 * MIB, 1), pattern(100_000, 2)]
    upload = main.create_multipart_upload(**at)['UploadId']
    done = [{'PartNumber': n, 'ETag': main.upload_part(
        UploadId=upload, PartNumber=n, Body=part, **at)['ETag']}
        for n, part in enumerate(parts, 1)]
    main.complete_multipart_upload(
        UploadId=upload, MultipartUpload={'Parts': done}, **at)
    assert read(main, bucket, 'parts')[1] == b''.join(parts)
    # an answer of 200 that has an error in it, and one that goes away
    upload = main.create_multipart_upload(**at)['UploadId']
    main.abort_multipart_upload(UploadId=upload, **at)


def test_many_keys_and_copies(rgw, lab, bucket):
    main = s3client.of(rgw, lab.url())
    keys = [f'd/{n}' for n in range(40)]
    for key in keys:
        main.put_object(Bucket=bucket, Key=key, Body=key.encode())
        assert read(main, bucket, key)[1] == key.encode()
    main.copy_object(Bucket=bucket, Key='d/0', MetadataDirective='REPLACE',
                     CopySource={'Bucket': bucket, 'Key': 'd/1'})
    assert read(main, bucket, 'd/0')[1] == b'd/1'
    main.delete_objects(Bucket=bucket, Delete={
        'Objects': [{'Key': key} for key in keys[:-1]]})
    for key in keys[:-1]:
        assert refusal(main.get_object, Bucket=bucket, Key=key
                       ) == (404, 'NoSuchKey')
    assert read(main, bucket, keys[-1])[1] == keys[-1].encode()
    listed = main.list_objects_v2(Bucket=bucket)
    assert [row['Key'] for row in listed['Contents']] == keys[-1:]


@pytest.mark.parametrize('expect', [False, True])
@pytest.mark.parametrize('size', [0, 10, 65536, 300_001])
def test_signed_chunks_go_on_as_they_are(rgw, rgw_s3, lab, bucket, size,
                                         expect):
    """Of which the RGW verifies each; one that is wrong it refuses."""
    main = s3client.of(rgw, lab.url())
    main.put_object(Bucket=bucket, Key='chunks', Body=b'old')
    assert read(main, bucket, 'chunks')[1] == b'old'
    body = pattern(size, 9)
    target = target_of(bucket, 'chunks')
    at_rgw = int(rgw.url.rpartition(':')[2])

    def send(spoil=False, port=lab.port()):
        host = f'127.0.0.1:{port}'
        made = Signer((rgw.access_key, rgw.secret_key))
        pairs = made.head('PUT', target, [
            ('x-amz-decoded-content-length', str(size)),
            ('Content-Encoding', 'aws-chunked')], host, SIGNED)
        raw = aws_chunked(body, 65536, True, signer=made)
        if spoil:
            raw = raw.replace(body[:10], bytes(10), 1)
        if expect:
            pairs.append(('Expect', '100-continue'))
        return raw_http.ask(port, 'PUT', target, pairs, raw, close=False)

    answer = send()
    if size == 0:
        # (which this RGW takes for one with a wrong hash)
        assert answer.status == send(port=at_rgw).status
        return
    assert answer.status == 200, answer.body
    assert read(main, bucket, 'chunks')[1] == body
    assert send(spoil=True).status == send(True, at_rgw).status >= 400
    assert read(main, bucket, 'chunks')[1] == body


def test_a_refused_upload_is_not_invited(rgw, lab, shared):
    """100 Continue comes from the origin, after its own look."""
    made = Signer((rgw.alt_access_key, rgw.alt_secret_key))
    target, host = f'/{shared}/for-alt/a', f'127.0.0.1:{lab.port()}'
    pairs = made.head('PUT', target, [], host, 'UNSIGNED-PAYLOAD') + [
        ('Expect', '100-continue'), ('Content-Length', '1000000')]
    with raw_http.Connection(lab.port()) as client:
        client.request('PUT', target, pairs)
        answer = client.answer()
    assert (answer.status, answer.interim) == (403, ())


def test_aws_writes_and_reads(rgw, lab, bucket, tmp_path):
    programs = s3client.found_aws()
    assert programs
    for program in programs:
        def aws(*words, program=program):
            env = {'PATH': '/usr/bin:/bin', 'HOME': str(tmp_path),
                   'AWS_ACCESS_KEY_ID': rgw.access_key,
                   'AWS_SECRET_ACCESS_KEY': rgw.secret_key,
                   'AWS_DEFAULT_REGION': 'us-east-1', 'AWS_MAX_ATTEMPTS': '1',
                   'AWS_EC2_METADATA_DISABLED': 'true', 'AWS_PAGER': '',
                   'AWS_REQUEST_CHECKSUM_CALCULATION': 'when_required'}
            done = subprocess.run(
                [program, '--endpoint-url', lab.url(), 's3', *words],
                env=env, capture_output=True, timeout=60, check=False)
            assert done.returncode == 0, done.stderr
            return done.stdout

        for number, size in enumerate((10, 9 * MIB)):
            path = tmp_path / 'file'
            for turn in range(2):
                path.write_bytes(pattern(size, number * 2 + turn))
                aws('cp', str(path), f's3://{bucket}/dir/f{number}')
                aws('cp', f's3://{bucket}/dir/f{number}',
                    str(tmp_path / 'back'))
                assert (tmp_path / 'back').read_bytes() == path.read_bytes()
        assert b'f1' in aws('ls', f's3://{bucket}/dir/')
        aws('mv', f's3://{bucket}/dir/f0', f's3://{bucket}/dir/g')
        aws('rm', '--recursive', f's3://{bucket}/dir/')
        assert aws('ls', f's3://{bucket}') == b''


def test_versions(rgw, rgw_s3, lab, bucket):
    main = s3client.of(rgw, lab.url())
    rgw_s3.put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration={'Status': 'Enabled'})
    ids = [main.put_object(Bucket=bucket, Key='v', Body=b'%d' % n)['VersionId']
           for n in range(3)]
    for _ in range(2):
        for n, version in enumerate(ids):
            assert read(main, bucket, 'v', VersionId=version)[1] == b'%d' % n
        assert read(main, bucket, 'v')[1] == b'2'
    assert read(main, bucket, 'v', VersionId=ids[0])[0] == 'HIT'
    main.delete_object(Bucket=bucket, Key='v', VersionId=ids[2])
    assert read(main, bucket, 'v')[1] == b'1'
