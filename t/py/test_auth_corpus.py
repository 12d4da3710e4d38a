# SPDX-License-Identifier: Apache-2.0
"""Thousands of requests as real clients sign them, with awkward keys and
queries: all are taken, and of each one that differs a little none is."""

import collections
import contextlib
import os
import random
import re
import shutil
import socket
import string
import subprocess
from urllib.parse import unquote_to_bytes, urlsplit

import pytest

import raw_http
from auth_lab import (DOMAIN, auth, batch, code, credentials, make_keys,
                      origin)
from lib import s3client
from lib.identities import Credentials, Key, allow, identity
from origin import sigv4
from origin.objects import pattern

__all__ = ['credentials', 'make_keys', 'origin']

SEED = 20261122
WHO = Key('AKCORPUS', 'corpus/secret+1')

Wire = collections.namedtuple('Wire', 'method target pairs body kind')


# --- keys --------------------------------------------------------------------

AWKWARD = [
    ' ', '+', '%', '/', '//', '.', '..', './x', '../x', 'a/../b', 'a/./b',
    'a//b', '/a', 'a/', ' a', 'a ', 'a b', 'a+b', 'a%20b', 'a%2Fb', '%00',
    '%', '%%', '%zz', 'a%', '%c3%bc', 'ü', 'u\u0308', '\u20ac', '\U0001f600',
    '\U0010fffd', '\ue000', '\uffee', '\u2028', '\u202e', '\x7f', '\x01',
    'a\tb', 'a\nb', 'a\rb', '~', '!', '*', "'", '(', ')', ';', ':', '@', '&',
    '=', '$', ',', '?', '#', '[', ']', '"', '<', '>', '\\', '^', '`', '{',
    '|', '}', '?acl', 'a?b=c&d', '#x', 'a&b=c', 'X-Amz-Signature=x',
    'x' * 1024, 'ü' * 512, '\u20ac' * 341, '\U0001f600' * 256, '%' * 341,
    ' ' * 1024, '/' * 1024, '+' * 1024, '..' * 512]
PLANES = [range(0x21, 0x7f), range(0xa0, 0x800), range(0x800, 0xd800),
          range(0xe000, 0xfff0), range(0x10000, 0x20000),
          range(0x20000, 0x30000), range(0x30000, 0x40000),
          range(0xe0000, 0xf0000), range(0xf0000, 0x100000),
          range(0x100000, 0x10fffe)]


def random_key(rng):
    size = rng.choice((1, 3, 10, 40, 200, 1024))
    words, used = [], 0
    while True:
        word = rng.choice(AWKWARD[:60]) if rng.random() < 0.4 else ''.join(
            chr(rng.choice(rng.choice(PLANES)))
            for _ in range(rng.randint(1, 6)))
        used += len(word.encode())
        if used > size:
            break
        words.append(word)
    return ''.join(words) or 'k'


def climbs(path):
    """Above the root: nginx itself says 400 to such."""
    depth = 0
    for word in path.partition('?')[0].split('/')[1:]:
        depth += (word == '..') * -2 + (word not in ('', '.'))
        if depth < 0:
            return True
    return False


def all_keys(count):
    rng = random.Random(SEED)
    made = dict.fromkeys(AWKWARD)
    while len(made) < count:
        made[random_key(rng)] = None
    return list(made)


# --- what botocore makes of them ---------------------------------------------

class Kept(Exception):
    """Nothing is sent."""


class Sdk:
    """boto3, of which nothing goes out: what it would have sent."""

    def __init__(self, url, kind):
        self.kind, self.made = kind, []
        style = 'virtual' if 'virtual' in kind else 'path'
        self.s3 = s3client.client(
            url, *WHO[:2], style=style,
            signature='s3' if kind == 'presigned v2' else 's3v4')
        self.s3.meta.events.register('before-send.s3', self._keep)

    def _keep(self, request, **_):
        self._add(request.method, request.url, request.headers.items(),
                  request.body or b'')
        raise Kept

    def _add(self, method, url, headers, body=b''):
        parts = urlsplit(url, allow_fragments=False)
        pairs = []
        for name, value in [('Host', parts.netloc), *headers]:
            value = value.decode('latin-1') if isinstance(value, bytes) \
                else str(value).encode().decode('latin-1')
            if name.lower() not in ('expect', 'user-agent') + tuple(
                    k.lower() for k, _ in pairs):
                pairs.append((name, value))
        if hasattr(body, 'read'):
            body = body.read()
        body = body.encode() if isinstance(body, str) else bytes(body)
        target = parts.path + (f'?{parts.query}' if parts.query else '')
        self.made.append(Wire(method, target, pairs, body, self.kind))

    def ask(self, name, **words):
        """The request of one operation."""
        if self.kind.startswith('presigned'):
            self._add('HEAD' if name.startswith('head') else 'GET',
                      self.s3.generate_presigned_url(name, words, 600), [])
        else:
            with contextlib.suppress(Kept):
                getattr(self.s3, name)(**words)
        return self.made[-1]


def reads(sdk, rng, keys, bucket='bkt'):
    """[(wire, key or None of what is not an object)]"""
    found = []
    for key in keys:
        more = rng.choice((
            {}, {}, {'Range': 'bytes=0-99'}, {'VersionId': 'null'},
            {'ResponseContentType': 'a/b; c=' + ''.join(
                c for c in rng.choice(keys)[:50] if c >= ' ' and c != '\x7f')},
            {'ResponseContentDisposition': 'attachment; filename="a +%&=ü"',
             'ResponseExpires': 1_700_000_000},
            {'ChecksumMode': 'ENABLED'}))
        name = rng.choice(('get_object', 'get_object', 'head_object'))
        if name == 'head_object' or (
                'presigned' in sdk.kind
                and more.keys() & {'Range', 'ChecksumMode'}):
            more = {}
        found.append((sdk.ask(name, Bucket=bucket, Key=key, **more), key))
    return found


def lists(sdk, rng, keys, bucket='bkt'):
    found = []
    for key in keys[::4]:
        words = {'Bucket': bucket, 'Prefix': key, 'Delimiter': '/',
                 'MaxKeys': rng.randint(1, 1000)}
        if rng.random() < 0.5:
            words['StartAfter'] = rng.choice(keys)
        if rng.random() < 0.3:
            words['EncodingType'] = 'url'
        found.append((sdk.ask('list_objects_v2', **words), None))
    return found


def writes(sdk, rng, keys, bucket='bkt'):
    found = []
    for n, key in enumerate(keys):
        at = {'Bucket': bucket, 'Key': key}
        name, words = rng.choice((
            ('put_object', dict(at, Body=b'body%d' % n, ContentType='a/b',
                                Metadata={'a': 'b  c', 'n': str(n)})),
            ('put_object', dict(at, Body=b'', Tagging='a=b%20c&d=%C3%BC')),
            ('delete_object', at),
            ('create_multipart_upload', dict(at, CacheControl='no-cache')),
            ('upload_part', dict(at, PartNumber=n % 10_000 + 1,
                                 UploadId=f'u/+ {n}', Body=b'part')),
            ('list_parts', dict(at, UploadId=f'u/+ {n}', MaxParts=7)),
            ('put_object_tagging', dict(at, Tagging={'TagSet': [
                {'Key': 'k', 'Value': key[:20].strip() or 'x'}]})),
            ('delete_objects', {'Bucket': bucket, 'Delete': {'Objects': [
                {'Key': 'gone' + k} for k in ('a&b', 'ü', str(n))]}})))
        found.append((sdk.ask(name, **words), None))
    return found


# --- what is changed in them -------------------------------------------------

def other(text, at):
    return text[:at] + ('a' if text[at] != 'a' else 'b') + text[at + 1:]


def letters(text, start=0):
    return [i for i, c in enumerate(text) if i >= start
            and c in string.ascii_letters + string.digits
            and '%' not in text[max(0, i - 2):i]]


class Changer:
    """Each is a function of a Wire: (another, the codes it is refused by), or
    None where there is nothing to change."""

    def __init__(self, rng):
        self.rng = rng

    def change(self, wire):
        names = [n for n in dir(self) if n.startswith('by_')]
        while True:
            name = self.rng.choice(names)
            found = getattr(self, name)(wire)
            if found and found[0] != wire:
                return name, *found

    def by_path(self, wire):
        path, mark, query = wire.target.partition('?')
        # (of the bucket, too)
        places = letters(path, 1)
        if not places or wire.target.startswith('/?'):
            return None
        path = other(path, self.rng.choice(places))
        return wire._replace(target=path + mark + query), (
            'SignatureDoesNotMatch',)

    def by_longer_path(self, wire):
        path, mark, query = wire.target.partition('?')
        path = path + self.rng.choice(('x', '/', '%2F', '.', '%20', '+'))
        return wire._replace(target=path + mark + query), (
            'SignatureDoesNotMatch', 'KeyTooLongError', 'InvalidBucketName')

    def by_query(self, wire):
        path, _, query = wire.target.partition('?')
        query += ('&' if query else '') + self.rng.choice((
            'x=y', 'acl', 'versionId=x', 'prefix=', 'x-id=GetObject',
            'response-content-type=text/html'))
        return wire._replace(target=f'{path}?{query}'), (
            'SignatureDoesNotMatch', 'InvalidArgument') + (
                ('AccessDenied',) if wire.kind == 'presigned v2' else ())

    def by_signature(self, wire):
        return self._in_auth(wire, 'Signature=', self._digit, (
            'SignatureDoesNotMatch',))

    def by_access_key(self, wire):
        word = 'AWSAccessKeyId=' if wire.kind == 'presigned v2' \
            else 'Credential='
        return self._in_auth(wire, word, lambda t: 'B' + t[1:], (
            'InvalidAccessKeyId',))

    def by_day(self, wire):
        if wire.kind == 'presigned v2':
            return None
        return self._scope(wire, 1, '20200101', (
            'AuthorizationHeaderMalformed',
            'AuthorizationQueryParametersError'))

    def by_region(self, wire):
        if wire.kind == 'presigned v2':
            return None
        return self._scope(wire, 2, 'us-west-1', ('SignatureDoesNotMatch',))

    def by_service(self, wire):
        if wire.kind == 'presigned v2':
            return None
        return self._scope(wire, 3, 'sts', (
            'AuthorizationHeaderMalformed',
            'AuthorizationQueryParametersError'))

    def by_host(self, wire):
        if wire.kind == 'presigned v2':
            return None
        pairs = [(k, v[:-1] + ('1' if v[-1] != '1' else '2'))
                 if k.lower() == 'host' and ':' in v else (k, v)
                 for k, v in wire.pairs]
        return wire._replace(pairs=pairs), ('SignatureDoesNotMatch',)

    def by_method(self, wire):
        if wire.method not in ('GET', 'HEAD'):
            return None
        method = {'GET': 'HEAD', 'HEAD': 'GET'}[wire.method]
        return wire._replace(method=method), ('SignatureDoesNotMatch',)

    def by_signed_header(self, wire):
        names = dict(wire.pairs).get('Authorization', '').partition(
            'SignedHeaders=')[2].partition(',')[0].split(';')
        places = [i for i, (k, v) in enumerate(wire.pairs)
                  if k.lower() in names and k.lower() not in (
                      'host', 'x-amz-date', 'x-amz-content-sha256',
                      'content-length') and letters(v)]
        if not places:
            return None
        at, pairs = self.rng.choice(places), list(wire.pairs)
        name, value = pairs[at]
        pairs[at] = name, other(value, self.rng.choice(letters(value)))
        return wire._replace(pairs=pairs), ('SignatureDoesNotMatch',)

    def by_new_header(self, wire):
        return wire._replace(pairs=wire.pairs + [(self.rng.choice((
            'x-amz-meta-evil', 'x-amz-acl', 'X-Amz-Copy-Source',
            'x-amz-security-token', 'x-amz-server-side-encryption')),
            'bkt/x')]), ('SignatureDoesNotMatch', 'AccessDenied',
                         'InvalidToken')

    def by_body(self, wire):
        hashed = dict(wire.pairs).get('x-amz-content-sha256', '')
        if not wire.body or len(hashed) != 64:
            return None
        return wire._replace(body=wire.body[:-1] + bytes(
            [wire.body[-1] ^ 1])), ('XAmzContentSHA256Mismatch',)

    def _digit(self, text):
        return other(text, self.rng.choice(letters(text[:20])))

    @staticmethod
    def _in_auth(wire, word, change, codes):
        def edit(text):
            at = text.rindex(word) + len(word)
            return text[:at] + change(text[at:])
        if wire.kind.startswith('presigned'):
            return wire._replace(target=edit(wire.target)), codes
        return wire._replace(pairs=[
            (k, edit(v) if k == 'Authorization' else v)
            for k, v in wire.pairs]), codes

    def _scope(self, wire, at, value, codes):
        slash = '%2F' if wire.kind.startswith('presigned') else '/'

        def edit(text):
            parts = text.split(slash, 4)
            parts[at] = value
            return slash.join(parts)
        return self._in_auth(wire, 'Credential=', edit, codes)


def refused(port, wires, rng):
    """Each is changed a little, and refused: {change: how many}."""
    changer = Changer(rng)
    rows = [changer.change(wire) for wire in wires]
    answers = batch(port, [row[1][:4] for row in rows])
    wrong = []
    for (name, wire, codes), answer in zip(rows, answers):
        head = wire.method == 'HEAD'
        if answer.status not in (400, 403) or (
                not head and code(answer) not in codes):
            wrong.append((name, answer.status, answer.body[:300], wire))
    assert not wrong, f'{len(wrong)} of {len(rows)}: {wrong[:3]}'
    return collections.Counter(row[0] for row in rows)


# --- botocore ----------------------------------------------------------------

@pytest.fixture
def corpus(make_keys, credentials):
    credentials.write(identity('corpus', allow('*', '*'), keys=[WHO]))
    return make_keys(
        location=f's3_cache_domain {DOMAIN}; s3_cache_auth_v2 on;',
        server='keepalive_requests 10000;')


KINDS = ['header', 'header virtual', 'presigned v4', 'presigned v4 virtual',
         'presigned v2']


@pytest.mark.parametrize('kind', KINDS)
def test_reads_by_botocore(corpus, origin, kind):
    rng, keys = random.Random(SEED + len(kind)), all_keys(400)
    for n, key in enumerate(keys):
        origin.put('bkt', key, b'body of %d' % n)
    virtual = 'virtual' in kind
    sdk = Sdk(f'http://{DOMAIN}' if virtual else corpus.url(), kind)
    rows = reads(sdk, rng, keys)
    if kind != 'presigned v2':
        rows += lists(sdk, rng, keys)
    rows = [row for row in rows if not climbs(row[0].target)]
    assert len(rows) > 380
    answers = batch(corpus.port(), [wire[:4] for wire, _ in rows])
    wrong = []
    for (wire, key), answer in zip(rows, answers):
        good = answer.status in (200, 206)
        if key is not None and wire.method == 'GET':
            good = good and answer.body == b'body of %d' % keys.index(key)
        if not good:
            wrong.append((wire, key, answer.status, answer.body[:300]))
    assert not wrong, f'{len(wrong)} of {len(rows)}: {wrong[:3]}'
    before = len(origin.requests)
    changes = refused(corpus.port(), [wire for wire, _ in rows * 2], rng)
    assert len(origin.requests) == before
    assert len(changes) >= 5 and min(changes.values()) > 5, changes


def test_writes_by_botocore(corpus, origin):
    rng, keys = random.Random(SEED), all_keys(400)
    sdk = Sdk(corpus.url(), 'header')
    rows = [row for row in writes(sdk, rng, keys)
            if not climbs(row[0].target)]
    answers = batch(corpus.port(), [wire[:4] for wire, _ in rows])
    wrong = [(wire, answer.status, answer.body[:300])
             for (wire, _), answer in zip(rows, answers)
             if answer.status in (400, 401, 403, 411)]
    assert not wrong, f'{len(wrong)} of {len(rows)}: {wrong[:3]}'
    assert len(origin.requests) == len(rows)
    # what it was asked for is what was meant
    for (wire, _), request in zip(rows, sorted(
            origin.requests, key=lambda r: r.number)):
        assert request.method in wire.method
    before = {k: v[-1].body for k, v in origin.buckets['bkt'].items()}
    changes = refused(corpus.port(), [wire for wire, _ in rows], rng)
    assert changes['by_body'] > 5 and len(changes) >= 12, changes
    assert {k: v[-1].body for k, v in origin.buckets['bkt'].items()} == before


def meaning(head):
    """What S3 takes the head of a request for. (nginx needs no CR.)"""
    line, *lines = re.split('\r?\n', head.decode('latin-1'))
    method, target, _ = line.split(' ')
    path, _, query = target.partition('?')
    pairs = [(k, v.strip(' \t')) for k, _, v in
             (each.partition(':') for each in lines if each)]
    return (method, unquote_to_bytes(path), sorted(sigv4.split_query(query))
            ), pairs, target


@pytest.mark.parametrize('kind', ['header', 'presigned v4', 'presigned v2'])
def test_one_bit(corpus, origin, kind):
    """Each of a head: what is still taken is what was signed."""
    key = 'a +%/\u00fc/../\u20ac'
    origin.put('bkt', key, b'secret')
    wire = Sdk(corpus.url(), kind).ask('get_object', Bucket='bkt', Key=key,
                                       ResponseContentType='a/b c')
    head = f'{wire.method} {wire.target} HTTP/1.1\r\n'.encode() + ''.join(
        f'{k}: {v}\r\n' for k, v in wire.pairs).encode() + b'\r\n'
    taken = 0
    for bit in range(8 * len(head)):
        changed = bytearray(head)
        changed[bit // 8] ^= 1 << bit % 8
        with raw_http.Connection(corpus.port()) as c:
            c.send(bytes(changed))
            c.sock.shutdown(socket.SHUT_WR)
            answer = c.to_end()
        if b'secret' not in answer and not answer.startswith(b'HTTP/1.1 2'):
            continue
        taken += 1
        is_now, pairs, target = meaning(bytes(changed))
        assert is_now == meaning(head)[0], bytes(changed)
        if kind != 'presigned v2':
            assert sigv4.check(wire.method, target, pairs, b'', {
                WHO.access_key: WHO.secret_key}) == WHO.access_key
    assert taken > 5                # case of names, what is not signed
    assert {r.key for r in origin.requests} == {key}


# --- programs ----------------------------------------------------------------

CURL = ['curl', '-sS', '--fail', '--path-as-is', '--aws-sigv4',
        'aws:amz:us-east-1:s3']


class Tools:
    """Programs before a gateway, with keys that are its own."""

    def __init__(self, nginx, rgw, bucket, folder, secret):
        self.url, self.bucket, self.dir = nginx.url(), bucket, folder
        host = self.url.partition('//')[2]
        self.env = {
            'PATH': os.environ['PATH'], 'HOME': str(folder), 'TZ': 'UTC',
            'LC_ALL': 'C.UTF-8', 'AWS_ACCESS_KEY_ID': WHO.access_key,
            'AWS_SECRET_ACCESS_KEY': secret, 'AWS_PAGER': '',
            'AWS_DEFAULT_REGION': 'us-east-1', 'AWS_MAX_ATTEMPTS': '1',
            'AWS_EC2_METADATA_DISABLED': 'true',
            'PYENV_VERSION': os.environ.get('PYENV_VERSION', ''),
            'RCLONE_CONFIG_R_TYPE': 's3', 'RCLONE_CONFIG_R_PROVIDER': 'Ceph',
            'RCLONE_CONFIG_R_ENDPOINT': self.url,
            'RCLONE_CONFIG_R_ACCESS_KEY_ID': WHO.access_key,
            'RCLONE_CONFIG_R_SECRET_ACCESS_KEY': secret,
            'RCLONE_CONFIG': '/dev/null'}
        self.user = f'{WHO.access_key}:{secret}'
        self.programs = {
            's3cmd': ['s3cmd', '--config=/dev/null', '--no-ssl',
                      f'--host={host}', f'--host-bucket={host}',
                      f'--access_key={WHO.access_key}',
                      f'--secret_key={secret}', '--no-progress'],
            'rclone': ['rclone', '--retries', '1', '--low-level-retries', '1',
                       '--s3-no-check-bucket'],
            'curl': [*CURL, '--user', self.user]}

    def run(self, *words):
        """Whether it succeeded, and what it printed."""
        words = self.programs.get(words[0], [words[0]]) + [
            w.replace('BUCKET', self.bucket).replace('URL', self.url)
            for w in words[1:]]
        if 'aws' in words[0]:
            words[1:1] = ['--endpoint-url', self.url]
        done = subprocess.run(words, env=self.env, cwd=self.dir,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=60, check=False)
        return done.returncode == 0, done.stdout + done.stderr


NAMES = ['plain', "with space+plus'%20~", 'ü/\u65e5\u672c/\U0001f600']

WORK = {
    's3cmd': [['put', 'IN', 's3://BUCKET/NAME'],
              ['get', '--force', 's3://BUCKET/NAME', 'OUT'],
              ['ls', '--recursive', 's3://BUCKET'],
              ['del', 's3://BUCKET/NAME']],
    'rclone': [['copyto', 'IN', 'r:BUCKET/NAME'],
               ['copyto', 'r:BUCKET/NAME', 'OUT'],
               ['lsf', '-R', 'r:BUCKET'], ['deletefile', 'r:BUCKET/NAME']],
    'aws': [['s3', 'cp', 'IN', 's3://BUCKET/NAME'],
            ['s3', 'cp', 's3://BUCKET/NAME', 'OUT'],
            ['s3api', 'list-objects-v2', '--bucket', 'BUCKET'],
            ['s3', 'rm', 's3://BUCKET/NAME']],
    'curl': [['-T', 'IN', '-H', 'x-amz-content-sha256: UNSIGNED-PAYLOAD',
              'URL/BUCKET/plain'],
             ['-o', 'OUT', '-H', 'x-amz-content-sha256: UNSIGNED-PAYLOAD',
              'URL/BUCKET/plain'],
             ['-H', 'x-amz-content-sha256: UNSIGNED-PAYLOAD',
              'URL/BUCKET?list-type=2'],
             ['-X', 'DELETE', '-H', 'x-amz-content-sha256: UNSIGNED-PAYLOAD',
              'URL/BUCKET/plain']],
}
PROGRAMS = ['s3cmd', 'rclone', 'curl'] + s3client.found_aws()


@pytest.mark.parametrize('program', PROGRAMS)
def test_programs(make_gateway, rgw, rgw_s3, bucket, tmp_path, program):
    if not shutil.which(program):
        pytest.skip(f'no {program}')
    known = Credentials(tmp_path / 'known', identity(
        'corpus', allow('*', bucket, f'{bucket}/*'), keys=[WHO]))
    gateway = make_gateway(rgw, location=auth(known) + 'client_max_body_size '
                           '0;', valid='200 206 1m')
    kind = 'aws' if 'aws' in program else program
    put, get, names, remove = WORK[kind]
    body = pattern(300_000, 3)
    (tmp_path / 'in').write_bytes(body)
    good = Tools(gateway, rgw, bucket, tmp_path, WHO.secret_key)
    bad = Tools(gateway, rgw, bucket, tmp_path, WHO.secret_key + 'x')
    for name in NAMES[:1] if kind in ('curl', 'aws') else NAMES:
        def words(row, name=name):
            return [program] + [w.replace('NAME', name).replace(
                'IN', str(tmp_path / 'in')).replace(
                    'OUT', str(tmp_path / 'out')) for w in row]

        assert not bad.run(*words(put))[0]
        assert 'Contents' not in rgw_s3.list_objects_v2(Bucket=bucket)
        for row in (put, names, get):
            done, text = good.run(*words(row))
            assert done, (row, text)
        assert (tmp_path / 'out').read_bytes() == body
        for row in (get, names, remove):
            assert not bad.run(*words(row))[0], row
        assert good.run(*words(remove))[0]
        assert 'Contents' not in rgw_s3.list_objects_v2(Bucket=bucket)
