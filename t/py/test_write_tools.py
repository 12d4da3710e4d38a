# SPDX-License-Identifier: Apache-2.0
"""Tools that write (aws, s3cmd, rclone, boto3) do the same work straight at a
real RGW and through the gateway: they say the same, they end alike, and what
then lies in the two buckets is the same. What they read while they work comes
from the cache."""

import concurrent.futures
import hashlib
import os
import re
import shutil
import subprocess
import uuid

import pytest

from lib import s3client
from lib.nginx import s3_location
from origin.objects import pattern

MIB = 1 << 20

NAMES = ['plain.txt', 'with space', 'plus+plus', 'per%cent', 'per%2Fcent',
         'ü/日本', "quo'te", 'amp&<x>', 'a=b;c,d', '~tilde!', 'q?ue#ry',
         'deep/er/and/deeper', '$dollar', '(paren)', '[brack]', '@at', 'co:lon',
         '.hidden', 'trailing.', '-dash']
SIZES = [0, 1, 4096, 100_000, 65_536, 300_000]


def fill(folder):
    """A tree of files, one of them long enough for several parts."""
    for number, name in enumerate(NAMES):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pattern(SIZES[number % len(SIZES)], number))
        os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
    (folder / 'large.bin').write_bytes(pattern(17 * MIB + 5, 99))
    os.utime(folder / 'large.bin', (1_700_000_000, 1_700_000_000))
    os.utime(folder, (1_700_000_000, 1_700_000_000))


class Side:
    """One of the two, and the programs as they are told of it."""

    def __init__(self, rgw, s3, url, folder, more_env=None):
        self.s3, self.url, self.dir = s3, url, folder
        self.bucket = f'x-{uuid.uuid4().hex[:12]}'
        self.host = url.partition('//')[2]
        s3.create_bucket(Bucket=self.bucket)
        folder.mkdir()
        fill(folder / 'tree')
        self.env = {
            'PATH': os.environ['PATH'], 'HOME': str(folder), 'TZ': 'UTC',
            'LC_ALL': 'C.UTF-8', 'AWS_ACCESS_KEY_ID': rgw.access_key,
            'AWS_SECRET_ACCESS_KEY': rgw.secret_key,
            'AWS_DEFAULT_REGION': 'us-east-1', 'AWS_PAGER': '',
            'AWS_EC2_METADATA_DISABLED': 'true', 'AWS_MAX_ATTEMPTS': '1',
            'PYENV_VERSION': os.environ.get('PYENV_VERSION', ''),
            'RCLONE_CONFIG': str(folder / 'rclone.conf'),
            'RCLONE_CONFIG_R_TYPE': 's3', 'RCLONE_CONFIG_R_PROVIDER': 'Ceph',
            'RCLONE_CONFIG_R_ENDPOINT': url,
            'RCLONE_CONFIG_R_ACCESS_KEY_ID': rgw.access_key,
            'RCLONE_CONFIG_R_SECRET_ACCESS_KEY': rgw.secret_key,
            **(more_env or {})}
        (folder / 'rclone.conf').write_text('')
        self.programs = {
            's3cmd': ['s3cmd', '--config=/dev/null', '--no-ssl',
                      f'--host={self.host}', f'--host-bucket={self.host}',
                      f'--access_key={rgw.access_key}',
                      f'--secret_key={rgw.secret_key}', '--no-progress'],
            'rclone': ['rclone', '--retries', '1', '--low-level-retries',
                       '1', '--s3-upload-cutoff', '5M', '--s3-chunk-size',
                       '5M']}

    def run(self, words, stdin=b''):
        """(exit status, what it printed, in any order) as both should."""
        words = [w.replace('BUCKET', self.bucket) for w in words]
        words = self.programs.get(words[0], words[:1]) + words[1:]
        if 'aws' in words[0]:
            words[1:1] = ['--endpoint-url', self.url]
        done = subprocess.run(words, env=self.env, cwd=self.dir, input=stdin,
                              capture_output=True, timeout=60, check=False)
        text = done.stdout.decode('utf-8', 'surrogateescape')
        for found, name in ((self.bucket, 'BUCKET'), (self.host, 'HOST')):
            text = text.replace(found, name)
        for volatile in (r'\d{4}-\d\d-\d\d[T ]+\d\d:\d\d(:\d\d)?(\.\d+)?',
                         r'\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT',
                         r'in [\d.]+ seconds.*|, [\d.]+ .?B/s.*',
                         r'2~[\w-]+|Signature=\S+|Expires=\S+|atime:\d+'):
            text = re.sub(volatile, '*', text)
        # (aws pads a line to hide the longer one before it)
        lines = sorted(line.rstrip() for line in re.split(r'[\r\n]', text)
                       if line.strip() and not line.startswith('Completed '))
        return done.returncode, lines, done.stderr.decode(errors='replace')

    def state(self):
        """All that lies in the bucket, as the RGW itself says."""
        found = {}
        for row in self.s3.list_objects_v2(Bucket=self.bucket
                                           ).get('Contents', []):
            at = {'Bucket': self.bucket, 'Key': row['Key']}
            answer = self.s3.get_object(**at)
            body = answer['Body'].read()
            # (rclone gives what it reads from stdin the time of now)
            meta = {k: re.sub(r'[ac]time:\d+|^\d{10}\.\d+$', '', v)
                    for k, v in answer['Metadata'].items()}
            acl = self.s3.get_object_acl(**at)['Grants']
            tags = self.s3.get_object_tagging(**at)['TagSet']
            found[row['Key']] = (
                hashlib.md5(body).hexdigest(), answer['ETag'], meta,
                [answer.get(name) for name in (
                    'ContentType', 'ContentEncoding', 'CacheControl',
                    'ContentDisposition')], acl, tags)
        uploads = self.s3.list_multipart_uploads(Bucket=self.bucket)
        return found, len(uploads.get('Uploads', []))


@pytest.fixture
def gateway(make_gateway, rgw):
    return make_gateway(rgw, valid='200 206 404 10m')


@pytest.fixture
def play(rgw, rgw_s3, gateway, tmp_path):
    """play(script): each line of it by both sides, and then their buckets. A
    line is (program, argument...), stdin as bytes at its end; one that begins
    with '!' has to fail; (function,) is called for each side."""
    if not shutil.which('rclone'):
        pytest.fail('rclone is not installed: make deps')
    # what a RGW 16 refuses of today's aws is what the gateway takes off
    sides = [Side(rgw, rgw_s3, rgw.url, tmp_path / 'direct', {
                 'AWS_REQUEST_CHECKSUM_CALCULATION': 'when_required'}),
             Side(rgw, rgw_s3, gateway.url(), tmp_path / 'through')]
    reader = s3client.of(rgw, gateway.url())

    def play(script):
        for words in script:
            if callable(words[0]):
                for side in sides:
                    words[0](side)
                continue
            line, stdin = list(words), b''
            if isinstance(line[-1], bytes):
                stdin = line.pop()
            fails = line[0] == '!'
            wanted, found = both.map(
                lambda side: side.run(line[fails:], stdin), sides)
            assert wanted[:2] == found[:2], (words, wanted, found)
            assert (wanted[0] != 0) == fails, (words, wanted)
        wanted, found = [side.state() for side in sides]
        assert sorted(wanted[0]) == sorted(found[0])
        for key, state in wanted[0].items():
            assert state == found[0][key], key
        assert wanted[1] == found[1]
        for key, (md5, *_) in found[0].items():
            for _ in range(2):
                body = reader.get_object(Bucket=sides[1].bucket, Key=key
                                         )['Body'].read()
                assert hashlib.md5(body).hexdigest() == md5, key
        return wanted[0]
    with concurrent.futures.ThreadPoolExecutor(2) as both:
        yield play
    for side in sides:
        shutil.rmtree(side.dir, ignore_errors=True)


def changed(side):
    """The tree, some of it another and some of it gone."""
    tree = side.dir / 'tree'
    for number, name in enumerate(NAMES[:6]):
        (tree / name).write_bytes(pattern(200_000 + number, number + 50))
        os.utime(tree / name, (1_800_000_000, 1_800_000_000))
    for name in NAMES[6:9]:
        (tree / name).unlink()


def came_back(name):
    """What was fetched to `name` is the tree."""
    def check(side):
        tree, got = side.dir / 'tree', side.dir / name
        files = [p.relative_to(tree) for p in tree.rglob('*') if p.is_file()]
        assert len(files) > 10
        for path in files:
            assert (got / path).read_bytes() == (tree / path).read_bytes()
        shutil.rmtree(got)
    return check


# --- rclone ------------------------------------------------------------------

def test_rclone(play):
    rclone = ('rclone',)
    left = play([
        rclone + ('copy', 'tree', 'r:BUCKET/tree'),
        rclone + ('check', 'tree', 'r:BUCKET/tree'),
        rclone + ('lsf', '-R', '--format', 'psh', 'r:BUCKET'),
        rclone + ('copy', 'r:BUCKET/tree', 'down'), (came_back('down'),),
        (changed,),
        rclone + ('sync', 'tree', 'r:BUCKET/tree'),
        rclone + ('check', '--download', 'tree', 'r:BUCKET/tree'),
        rclone + ('copy', 'r:BUCKET/tree', 'down'), (came_back('down'),),
        rclone + ('copyto', 'r:BUCKET/tree/with space', 'r:BUCKET/co py'),
        rclone + ('moveto', 'r:BUCKET/co py', 'r:BUCKET/mo+ved'),
        rclone + ('copyto', 'r:BUCKET/tree/large.bin', 'r:BUCKET/big'),
        rclone + ('cat', '--offset', '10', '--count', '20',
                  'r:BUCKET/tree/a=b;c,d'),
        rclone + ('rcat', 'r:BUCKET/piped', b'some\nlines\n' * 1000),
        rclone + ('rcat', '--streaming-upload-cutoff', '0', 'r:BUCKET/pi ped',
                  b'more\nlines\n' * 600_000),
        rclone + ('cat', '--count', '22', 'r:BUCKET/piped'),
        rclone + ('touch', '-C', '-t', '2020-01-02T03:04:05',
                  'r:BUCKET/tree/~tilde!'),
        rclone + ('copyto', '--header-upload', 'Cache-Control: max-age=5',
                  '--s3-acl', 'public-read', 'tree/plain.txt',
                  'r:BUCKET/headed'),
        rclone + ('copyto', '--s3-disable-checksum', '--s3-no-head',
                  '--ignore-times', 'tree/large.bin', 'r:BUCKET/headed'),
        rclone + ('size', '--json', 'r:BUCKET'),
        rclone + ('deletefile', 'r:BUCKET/tree/@at'),
        rclone + ('delete', '--include', '*paren*', 'r:BUCKET/tree'),
        rclone + ('lsf', '-R', '--format', 'psh', 'r:BUCKET'),
        ('!',) + rclone + ('deletefile', 'r:BUCKET/tree/none'),
        rclone + ('move', 'r:BUCKET/tree/deep', 'r:BUCKET/moved'),
        rclone + ('purge', 'r:BUCKET/tree'),
        rclone + ('lsf', '-R', 'r:BUCKET'),
    ])
    assert sorted(left) == ['big', 'headed', 'mo+ved', 'moved/er/and/deeper',
                            'pi ped', 'piped']


# --- s3cmd -------------------------------------------------------------------

def test_s3cmd(play):
    s3cmd = ('s3cmd',)
    left = play([
        s3cmd + ('put', '--recursive', '--multipart-chunk-size-mb=5',
                 'tree/', 's3://BUCKET/tree/'),
        s3cmd + ('ls', '--recursive', 's3://BUCKET'),
        s3cmd + ('sync', '--no-preserve', 's3://BUCKET/tree/', 'down/'),
        (came_back('down'),), (changed,),
        s3cmd + ('sync', '--delete-removed', 'tree/', 's3://BUCKET/tree/'),
        s3cmd + ('sync', 's3://BUCKET/tree/', 'down/'), (came_back('down'),),
        s3cmd + ('du', 's3://BUCKET'),
        s3cmd + ('put', '--add-header=Cache-Control: max-age=5',
                 '--mime-type=text/x', '--acl-public', 'tree/plain.txt',
                 's3://BUCKET/he aded'),
        s3cmd + ('cp', 's3://BUCKET/he aded', 's3://BUCKET/copied'),
        s3cmd + ('mv', 's3://BUCKET/copied', 's3://BUCKET/mo+ved'),
        s3cmd + ('modify', '--add-header=x-amz-meta-new: value',
                 's3://BUCKET/mo+ved'),
        s3cmd + ('info', 's3://BUCKET/mo+ved'),
        s3cmd + ('setacl', '--acl-private', 's3://BUCKET/he aded'),
        s3cmd + ('put', '-', 's3://BUCKET/piped', b'piped\n' * 5000),
        s3cmd + ('get', 's3://BUCKET/piped', '-'),
        s3cmd + ('get', '--force', 's3://BUCKET/tree/large.bin', 'got'),
        s3cmd + ('del', 's3://BUCKET/tree/@at'),
        ('!',) + s3cmd + ('get', 's3://BUCKET/tree/@at', '-'),
        s3cmd + ('del', '--recursive', '--force', 's3://BUCKET/tree/'),
        s3cmd + ('multipart', 's3://BUCKET'),
        s3cmd + ('ls', 's3://BUCKET'),
    ])
    assert sorted(left) == ['he aded', 'mo+ved', 'piped']


# --- aws ---------------------------------------------------------------------

@pytest.mark.deadline(300)
@pytest.mark.parametrize('aws', s3client.found_aws())
def test_aws(play, aws):
    s3, api = (aws, 's3'), (aws, 's3api')
    key = ('--bucket', 'BUCKET', '--key')
    left = play([
        s3 + ('cp', '--recursive', 'tree', 's3://BUCKET/tree'),
        s3 + ('sync', 's3://BUCKET/tree', 'down'), (came_back('down'),),
        (changed,),
        s3 + ('sync', '--delete', 'tree', 's3://BUCKET/tree'),
        s3 + ('cp', '--recursive', 's3://BUCKET/tree', 'down'),
        (came_back('down'),),
        s3 + ('cp', '--metadata', 'a=b,c=d e', '--content-type', 'text/x',
              '--acl', 'public-read', '--cache-control', 'max-age=5',
              'tree/plain.txt', 's3://BUCKET/he aded'),
        s3 + ('cp', '-', 's3://BUCKET/piped', b'some\n' * 2_000_000),
        s3 + ('cp', 's3://BUCKET/he aded', 's3://BUCKET/co+py'),
        s3 + ('mv', 's3://BUCKET/tree/large.bin', 's3://BUCKET/big'),
        s3 + ('mv', 'tree/with space', 's3://BUCKET/moved'),
        s3 + ('cp', 's3://BUCKET/moved', '-'),
        api + ('put-object', *key, 'ü/api', '--body', 'tree/~tilde!',
               '--tagging', 'a=b', '--metadata', 'k=v'),
        api + ('head-object', *key, 'ü/api'),
        api + ('put-object-tagging', *key, 'ü/api', '--tagging',
               'TagSet=[{Key=x,Value=y z}]'),
        api + ('get-object-tagging', *key, 'ü/api'),
        api + ('copy-object', *key, 'replaced', '--copy-source',
               'BUCKET/ü/api', '--metadata-directive', 'REPLACE',
               '--content-type', 'a/b'),
        api + ('get-object', *key, 'replaced', '--range', 'bytes=5-99', 'got'),
        api + ('put-object-acl', *key, 'replaced', '--acl', 'public-read'),
        api + ('delete-objects', '--bucket', 'BUCKET', '--delete',
               'Objects=[{Key=co+py},{Key=none}]'),
        ('!',) + api + ('head-object', *key, 'co+py'),
        ('!',) + api + ('put-object', *key, 'wrong', '--body', 'tree/~tilde!',
                        '--content-md5', 'AAAAAAAAAAAAAAAAAAAAAA=='),
        s3 + ('rm', '--recursive', '--exclude', '*brack*', 's3://BUCKET/tree'),
        s3 + ('ls', '--recursive', 's3://BUCKET'),
    ])
    assert sorted(left) == ['big', 'he aded', 'moved', 'piped', 'replaced',
                            'tree/[brack]', 'ü/api']


# --- boto3 over TLS, where it puts its checksums behind the body -------------

@pytest.mark.parametrize('name', ['CRC32', 'SHA1', 'SHA256'])
def test_boto3_with_checksums_over_tls(make_gateway, rgw, rgw_s3, bucket,
                                       authority, tmp_path, name):
    cert, key = authority.issue()
    gateway = make_gateway(rgw, http=f"""server {{
        listen 127.0.0.1:@port:tls@ ssl;
        ssl_certificate {cert}; ssl_certificate_key {key};
        {s3_location(rgw.url, rgw.access_key, rgw.secret_key)} }}""")
    s3 = s3client.of(rgw, f'https://127.0.0.1:{gateway.port("tls")}',
                     verify=authority.cert)
    for size in (0, 1, 70_000, 3 * MIB):
        body = pattern(size, size)
        (tmp_path / 'body').write_bytes(body)
        with open(tmp_path / 'body', 'rb') as f:
            for given in (body, f):
                s3.put_object(Bucket=bucket, Key='k ü', Body=given,
                              ChecksumAlgorithm=name)
                found = rgw_s3.get_object(Bucket=bucket, Key='k ü')
                assert found['Body'].read() == body
                assert 'ContentEncoding' not in found
    upload = {'Bucket': bucket, 'Key': 'parts'}
    upload['UploadId'] = s3.create_multipart_upload(
        ChecksumAlgorithm=name, **upload)['UploadId']
    body = pattern(5 * MIB, 1)
    part = s3.upload_part(PartNumber=1, Body=body, ChecksumAlgorithm=name,
                          **upload)
    s3.complete_multipart_upload(MultipartUpload={'Parts': [
        {'PartNumber': 1, 'ETag': part['ETag']}]}, **upload)
    assert s3.get_object(Bucket=bucket, Key='parts')['Body'].read() == body
    s3.delete_objects(Bucket=bucket, ChecksumAlgorithm=name, Delete={
        'Objects': [{'Key': 'parts'}, {'Key': 'k ü'}]})
    assert 'Contents' not in rgw_s3.list_objects_v2(Bucket=bucket)
