# SPDX-License-Identifier: Apache-2.0
"""Unmodified S3 clients read through the gateway, from a Ceph RGW."""

import hashlib
import os
import shutil
import socket
import subprocess
import uuid

import boto3.s3.transfer
import botocore.exceptions
import pytest

import raw_http
from lib import s3client
from origin.objects import pattern

DOMAIN = 'cache.test'
KEYS = ['top', 'dir/a b', 'dir/a+b', 'dir/ü', 'dir/sub/c%d', "dir/q'q&<x>",
        'dir/empty']


@pytest.fixture
def filled(rgw_s3, bucket):
    """A bucket with KEYS: {key: body}."""
    bodies = {key: pattern(1000 * number + 1, number)
              for number, key in enumerate(KEYS)}
    bodies['dir/empty'] = b''
    for key, body in bodies.items():
        rgw_s3.put_object(Bucket=bucket, Key=key, Body=body,
                          ContentType='text/x-test', Metadata={'key': 'v'})
    return bodies


@pytest.fixture
def gateway(make_gateway, rgw):
    return make_gateway(rgw, location=f's3_cache_domain {DOMAIN};',
                        server='client_max_body_size 0;'
                               'lingering_timeout 50ms;')


@pytest.fixture
def s3(rgw, gateway):
    """boto3 at the gateway."""
    return s3client.of(rgw, gateway.url())


def result_of(answer):
    result = answer['ResponseMetadata']['HTTPHeaders']['x-cache']
    # the reader has the last byte, its fill is not closed yet
    return 'HIT' if result == 'SHARED' else result


def asked(gateway):
    """How many requests the origin has had."""
    return gateway.zone()['origin']['requests']


@pytest.fixture
def run(rgw, tmp_path):
    """run(program, argument...): what it printed; it has to succeed."""
    env = {'PATH': os.environ['PATH'], 'HOME': str(tmp_path),
           'LC_ALL': 'C.UTF-8', 'AWS_ACCESS_KEY_ID': rgw.access_key,
           'AWS_SECRET_ACCESS_KEY': rgw.secret_key,
           'AWS_DEFAULT_REGION': 'us-east-1', 'AWS_PAGER': '',
           'AWS_EC2_METADATA_DISABLED': 'true', 'AWS_MAX_ATTEMPTS': '1',
           'PYENV_VERSION': os.environ.get('PYENV_VERSION', '')}

    def run(*args, status=0):
        done = subprocess.run(args, env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60, check=False,
                              cwd=tmp_path)
        assert done.returncode == status, (args, done.stdout, done.stderr)
        return done.stdout.decode()
    return run


# --- boto3 -------------------------------------------------------------------

def test_boto3_gets_and_heads_objects(s3, bucket, filled):
    for result in ('MISS', 'HIT'):
        for key, body in filled.items():
            answer = s3.get_object(Bucket=bucket, Key=key)
            assert answer['Body'].read() == body
            assert answer['ETag'] == f'"{hashlib.md5(body).hexdigest()}"'
            assert answer['ContentType'] == 'text/x-test'
            assert answer['Metadata'] == {'key': 'v'}
            assert result_of(answer) == result
            head = s3.head_object(Bucket=bucket, Key=key)
            assert head['ContentLength'] == len(body)
            assert head['LastModified'] == answer['LastModified']
            assert head['Metadata'] == {'key': 'v'}
            assert result_of(head) == 'HIT'


def test_boto3_gets_ranges_and_conditions(s3, bucket, filled):
    body = filled['dir/a b']
    for _ in range(2):
        answer = s3.get_object(Bucket=bucket, Key='dir/a b',
                               Range='bytes=10-19')
        assert answer['Body'].read() == body[10:20]
        assert answer['ContentRange'] == f'bytes 10-19/{len(body)}'
        with pytest.raises(botocore.exceptions.ClientError) as e:
            s3.get_object(Bucket=bucket, Key='dir/a b',
                          IfNoneMatch=answer['ETag'])
        assert e.value.response['Error']['Code'] == '304'
        with pytest.raises(botocore.exceptions.ClientError) as e:
            s3.get_object(Bucket=bucket, Key='dir/a b', IfMatch='"no"')
        assert e.value.response['Error']['Code'] == 'PreconditionFailed'
        with pytest.raises(botocore.exceptions.ClientError) as e:
            s3.get_object(Bucket=bucket, Key='dir/a b', Range='bytes=5000-')
        assert e.value.response['Error']['Code'] == 'InvalidRange'


def test_boto3_names_what_is_missing_as_s3_does(s3, bucket):
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=bucket, Key='none')
    with pytest.raises(botocore.exceptions.ClientError) as e:
        s3.head_object(Bucket=bucket, Key='none')
    assert e.value.response['Error']['Code'] == '404'
    with pytest.raises(s3.exceptions.NoSuchBucket):
        s3.list_objects_v2(Bucket=bucket + '-none')


def test_boto3_overrides_response_headers(s3, bucket, filled):
    answer = s3.get_object(Bucket=bucket, Key='top',
                           ResponseContentType='a/b; c="ü"',
                           ResponseContentDisposition='attachment')
    headers = answer['ResponseMetadata']['HTTPHeaders']
    assert headers['content-type'].encode('latin-1').decode() == 'a/b; c="ü"'
    assert headers['content-disposition'] == 'attachment'
    plain = s3.get_object(Bucket=bucket, Key='top')
    assert plain['ContentType'] == 'text/x-test'
    assert 'ContentDisposition' not in plain


def test_boto3_downloads_a_large_object_by_many_threads(
        make_gateway, rgw, rgw_s3, bucket, tmp_path):
    # room for all of it to be on its way at one time
    gateway = make_gateway(rgw, zone={'size': '256m'})
    s3 = s3client.of(rgw, gateway.url())
    body = pattern(40 << 20, 7)
    rgw_s3.put_object(Bucket=bucket, Key='large', Body=body)
    config = boto3.s3.transfer.TransferConfig(
        multipart_threshold=1 << 20, multipart_chunksize=3 << 20,
        max_concurrency=10)
    path = tmp_path / 'large'
    seen = []
    for _ in range(2):
        s3.download_file(bucket, 'large', str(path), Config=config)
        assert path.read_bytes() == body
        seen.append(asked(gateway))
    # 1 MiB blocks, each from the origin once
    assert seen[0] <= 40 + 2
    assert seen[1] == seen[0]


def test_boto3_pages_through_a_listing(s3, rgw_s3, bucket, filled):
    def names(client, **more):
        pages = client.get_paginator('list_objects_v2').paginate(
            Bucket=bucket, PaginationConfig={'PageSize': 2}, **more)
        found = []
        for page in pages:
            found += [row['Key'] for row in page.get('Contents', [])]
            found += [row['Prefix'] for row in page.get('CommonPrefixes', [])]
        return found

    assert names(s3) == names(rgw_s3) == sorted(filled)
    for more in ({'Prefix': 'dir/'}, {'Prefix': 'dir/', 'Delimiter': '/'},
                 {'Delimiter': '/'}, {'StartAfter': 'dir/a b'}):
        assert names(s3, **more) == names(rgw_s3, **more)
    assert bucket in [b['Name'] for b in s3.list_buckets()['Buckets']]


@pytest.mark.parametrize('signature', ['s3v4', 's3'])
def test_urls_that_boto3_presigned_are_read_by_curl(
        rgw, gateway, bucket, filled, run, tmp_path, signature):
    s3 = s3client.of(rgw, gateway.url(), signature=signature)
    for key in ('dir/a b', 'dir/a+b', 'dir/ü', "dir/q'q&<x>", 'top'):
        url = s3.generate_presigned_url(
            'get_object', {'Bucket': bucket, 'Key': key,
                           'ResponseContentType': 'image/png'})
        for result in ('MISS', 'HIT'):
            head = run('curl', '-sS', '--fail', '-o', 'body', '-D', '-', url)
            assert (tmp_path / 'body').read_bytes() == filled[key]
            assert f'\r\nX-Cache: {result}\r\n' in head.replace(
                'SHARED', 'HIT')
            assert '\r\nContent-Type: image/png\r\n' in head
        url = s3.generate_presigned_url(
            'head_object', {'Bucket': bucket, 'Key': key})
        head = run('curl', '-sS', '--fail', '--head', url)
        assert f'\r\nContent-Length: {len(filled[key])}\r\n' in head


def test_boto3_asks_for_checksums_and_gets_the_object(s3, rgw_s3, bucket):
    body = pattern(3 << 20, 1)
    rgw_s3.put_object(Bucket=bucket, Key='k', Body=body)
    for _ in range(2):
        answer = s3.get_object(Bucket=bucket, Key='k', ChecksumMode='ENABLED')
        assert answer['Body'].read() == body
        answer = s3.get_object(Bucket=bucket, Key='k', Range='bytes=5-9',
                               ChecksumMode='ENABLED')
        assert answer['Body'].read() == body[5:10]


# --- virtual-host style ------------------------------------------------------

@pytest.fixture
def resolved(monkeypatch):
    """All names under DOMAIN are this machine, for Python."""
    original = socket.getaddrinfo

    def lookup(host, *args, **more):
        text = host.decode() if isinstance(host, bytes) else host
        if text and (text == DOMAIN or text.endswith(f'.{DOMAIN}')):
            host = '127.0.0.1'
        return original(host, *args, **more)

    monkeypatch.setattr(socket, 'getaddrinfo', lookup)


@pytest.mark.parametrize('signature', ['s3v4', 's3'])
def test_boto3_reads_by_virtual_hosts(rgw, gateway, bucket, filled, resolved,
                                      signature):
    port = gateway.port()
    by_host = s3client.of(rgw, f'http://{DOMAIN}:{port}', style='virtual',
                          signature=signature)
    by_path = s3client.of(rgw, f'http://{DOMAIN}:{port}', style='path',
                          signature=signature)
    for key, body in filled.items():
        answer = by_host.get_object(Bucket=bucket, Key=key)
        assert answer['Body'].read() == body and result_of(answer) == 'MISS'
        # one object, however it is addressed
        answer = by_path.get_object(Bucket=bucket, Key=key)
        assert answer['Body'].read() == body and result_of(answer) == 'HIT'
    pages = by_host.list_objects_v2(Bucket=bucket)
    assert [row['Key'] for row in pages['Contents']] == sorted(filled)
    url = by_host.generate_presigned_url(
        'get_object', {'Bucket': bucket, 'Key': 'dir/a b'})
    assert url.startswith(f'http://{bucket}.{DOMAIN}:{port}/dir/a%20b?')


def test_curl_reads_by_virtual_hosts(gateway, bucket, filled, run, tmp_path):
    port = gateway.port()
    for host in (f'{bucket}.{DOMAIN}', f'{bucket.upper()}.{DOMAIN.upper()}',
                 f'{bucket}.{DOMAIN}.'):
        for key in ('top', 'dir/sub/c%25d'):
            head = run('curl', '-sS', '--fail', '-o', 'body', '-D', '-',
                       '-H', f'Host: {host}:{port}',
                       f'http://127.0.0.1:{port}/{key}')
            assert (tmp_path / 'body').read_bytes() == filled[
                key.replace('%25', '%')], head
    listing = run('curl', '-sS', '--fail', '-H', f'Host: {bucket}.{DOMAIN}',
                  f'http://127.0.0.1:{port}/?list-type=2')
    assert f'<Name>{bucket}</Name>' in listing


# --- aws, s3cmd, curl --------------------------------------------------------

@pytest.mark.parametrize('aws', s3client.found_aws())
def test_aws_cli_copies_lists_and_syncs(run, gateway, rgw_s3, bucket, filled,
                                        tmp_path, aws):
    base = [aws, '--endpoint-url', gateway.url(), 's3']
    large = pattern(20 << 20, 3)
    rgw_s3.put_object(Bucket=bucket, Key='large', Body=large)
    for _ in range(2):
        run(*base, 'cp', f's3://{bucket}/large', 'large')
        assert (tmp_path / 'large').read_bytes() == large
    assert run(*base, 'cp', f's3://{bucket}/dir/empty', '-') == ''
    listed = run(*base, 'ls', f's3://{bucket}/dir/')
    assert 'PRE sub/' in listed and ' 1001 a b' in listed
    for _ in range(2):
        shutil.rmtree(tmp_path / 'down', ignore_errors=True)
        run(*base, 'sync', f's3://{bucket}', 'down')
        for key, body in filled.items():
            assert (tmp_path / 'down' / key).read_bytes() == body
    run(aws, '--endpoint-url', gateway.url(), 's3api', 'head-object',
        '--bucket', bucket, '--key', 'dir/ü')
    run(*base, 'cp', f's3://{bucket}/none', 'none', status=1)


def test_s3cmd_gets_and_lists(run, gateway, rgw, bucket, filled, tmp_path):
    host = f'127.0.0.1:{gateway.port()}'
    base = ['s3cmd', '--config=/dev/null', '--no-ssl', f'--host={host}',
            f'--host-bucket={host}', f'--access_key={rgw.access_key}',
            f'--secret_key={rgw.secret_key}', '--no-progress']
    for _ in range(2):
        for key in ('top', 'dir/a b', 'dir/ü', 'dir/empty'):
            run(*base, 'get', '--force', f's3://{bucket}/{key}', 'got')
            assert (tmp_path / 'got').read_bytes() == filled[key]
    listed = run(*base, 'ls', f's3://{bucket}/dir/')
    assert f's3://{bucket}/dir/a b' in listed and 'DIR' in listed
    assert 'text/x-test' in run(*base, 'info', f's3://{bucket}/top')


def test_curl_signs_and_resumes(run, gateway, rgw, bucket, filled, tmp_path):
    url = gateway.url(f'/{bucket}/dir/sub/c%25d')
    body = filled['dir/sub/c%d']
    sign = ['--aws-sigv4', 'aws:amz:us-east-1:s3', '--user',
            f'{rgw.access_key}:{rgw.secret_key}']
    run('curl', '-sS', '--fail', *sign, '-o', 'whole', url)
    assert (tmp_path / 'whole').read_bytes() == body
    (tmp_path / 'part').write_bytes(body[:1234])
    run('curl', '-sS', '--fail', '-C', '-', '-o', 'part', url)
    assert (tmp_path / 'part').read_bytes() == body
    run('curl', '-sS', '--fail', '--compressed', '-r', '-5', '-o', 'end', url)
    assert (tmp_path / 'end').read_bytes() == body[-5:]


# --- writes ------------------------------------------------------------------

def test_boto3_writes_and_reads_what_it_wrote(rgw, gateway, rgw_s3):
    s3 = s3client.of(rgw, gateway.url(), pool=1, read_timeout=10)
    bucket = f'written-{uuid.uuid4().hex[:10]}'
    s3.create_bucket(Bucket=bucket)
    for body in (b'x' * 300_000, b'', b'y'):
        s3.put_object(Bucket=bucket, Key='new', Body=body)
        for client in (s3, s3, rgw_s3):
            assert client.get_object(Bucket=bucket, Key='new'
                                     )['Body'].read() == body
    s3.delete_objects(Bucket=bucket, Delete={'Objects': [{'Key': 'new'}]})
    assert 'Contents' not in rgw_s3.list_objects_v2(Bucket=bucket)
    s3.delete_bucket(Bucket=bucket)


def test_a_refused_upload_leaves_boto3_a_connection_that_works(
        rgw, gateway, bucket, filled, tmp_path):
    """botocore waits for "100 Continue", is told 404, keeps its body and
    takes the same connection for what it does next."""
    s3 = s3client.of(rgw, gateway.url(), pool=1, read_timeout=10)
    path = tmp_path / 'body'
    path.write_bytes(b'x' * 300_000)
    for _ in range(3):
        with open(path, 'rb') as body:
            with pytest.raises(botocore.exceptions.ClientError) as e:
                s3.put_object(Bucket=f'none-{bucket}', Key='new', Body=body)
        assert e.value.response['Error']['Code'] == 'NoSuchBucket'
        assert s3.get_object(Bucket=bucket,
                             Key='top')['Body'].read() == filled['top']


@pytest.mark.parametrize('framing', ['length', 'chunked'])
@pytest.mark.parametrize('size', [0, 10, 100_000, 3_000_000])
def test_a_refused_body_is_read_and_the_connection_goes_on_or_ends(
        gateway, bucket, filled, framing, size):
    headers = {'Content-Length': str(size)}
    body = b'x' * size
    if framing == 'chunked':
        headers = {'Transfer-Encoding': 'chunked'}
        body = (b'%x\r\n%s\r\n' % (size, body) if size else b'') + b'0\r\n\r\n'
    with raw_http.Connection(gateway.port()) as c:
        c.request('PUT', f'/none-{bucket}/new', headers, body)
        answer = c.answer('PUT')
        assert answer.status == (404 if framing == 'length' else 411)
        if answer['Connection'] == 'close':
            assert c.to_end() == b''
            return
        c.request('GET', f'/{bucket}/top')
        assert c.answer().body == filled['top']


def test_a_write_of_http_1_0(gateway, rgw_s3):
    bucket = f'http10-{uuid.uuid4().hex[:10]}'
    rgw_s3.create_bucket(Bucket=bucket)
    with raw_http.Connection(gateway.port()) as c:
        c.request('PUT', f'/{bucket}/new', {'Content-Length': '3'}, b'abc',
                  version='1.0')
        assert c.answer('PUT').status == 200
        assert c.to_end() == b''
    assert rgw_s3.get_object(Bucket=bucket, Key='new')['Body'].read() == b'abc'


@pytest.mark.parametrize('aws', s3client.found_aws())
def test_aws_cli_writes(run, gateway, rgw_s3, tmp_path, aws):
    bucket = f'tools-{uuid.uuid4().hex[:10]}'
    rgw_s3.create_bucket(Bucket=bucket)
    (tmp_path / 'tree').mkdir()
    bodies = {f'f{i}': pattern(size, i) for i, size in enumerate(
        (0, 1, 100_000, 9 << 20))}
    for name, body in bodies.items():
        (tmp_path / 'tree' / name).write_bytes(body)
    base = [aws, '--endpoint-url', gateway.url(), 's3']
    run(*base, 'sync', 'tree', f's3://{bucket}/cli')
    for name, body in bodies.items():
        assert rgw_s3.get_object(Bucket=bucket, Key=f'cli/{name}'
                                 )['Body'].read() == body
    run(*base, 'rm', '--recursive', f's3://{bucket}/cli')
    assert 'Contents' not in rgw_s3.list_objects_v2(Bucket=bucket)


def test_s3cmd_writes(run, gateway, rgw, rgw_s3, tmp_path):
    bucket = f's3cmd-{uuid.uuid4().hex[:10]}'
    host = f'127.0.0.1:{gateway.port()}'
    base = ['s3cmd', '--config=/dev/null', '--no-ssl', f'--host={host}',
            f'--host-bucket={host}', f'--access_key={rgw.access_key}',
            f'--secret_key={rgw.secret_key}', '--no-progress']
    run(*base, 'mb', f's3://{bucket}')
    for body in (pattern(20 << 20, 3), b'short'):
        (tmp_path / 'body').write_bytes(body)
        run(*base, 'put', 'body', f's3://{bucket}/dir/b c')
        run(*base, 'get', '--force', f's3://{bucket}/dir/b c', 'got')
        assert (tmp_path / 'got').read_bytes() == body
    run(*base, 'mv', f's3://{bucket}/dir/b c', f's3://{bucket}/moved')
    assert [row['Key'] for row in rgw_s3.list_objects_v2(
        Bucket=bucket)['Contents']] == ['moved']
    run(*base, 'rb', '--recursive', '--force', f's3://{bucket}')


@pytest.mark.parametrize('method', ['TRACE', 'PROPFIND', 'LOCK', 'FROB'])
def test_methods_that_s3_does_not_know_are_refused(gateway, bucket, method):
    answer = raw_http.ask(gateway.port(), method, f'/{bucket}/top')
    # nginx itself answers TRACE
    assert answer.status == 405 and answer.rest == b''
