# SPDX-License-Identifier: Apache-2.0
"""s3_cache_write_through, uploads of parts: the object is made of the parts
that went by, whichever worker they went through; what of it did not is read."""

import random
import threading

import pytest

import raw_http
from lib import s3client, wait
from origin.objects import pattern
from origin.scripted_origin import ScriptedOrigin
from test_write_through import (BLOCK, KIB, META, MIB, ON, QUICK, get, gets,
                                is_empty, kept_is, lost_is, put, seen,
                                through)
from write_bodies import UNSIGNED_TRAILER, aws_chunked, checksum


@pytest.fixture
def origin():
    with ScriptedOrigin() as started:
        started.bucket('bkt')
        yield started


@pytest.fixture
def gateway(make_gateway, origin):
    return make_gateway(origin, location=ON, workers=2)


class Upload:
    def __init__(self, gateway, target='/bkt/key', headers=()):
        self.gateway, self.target = gateway, target
        answer = self.ask('POST', 'uploads', headers=headers)
        assert answer.status == 200
        self.name = answer.element('UploadId')
        self.etags = {}

    def ask(self, method, query, body=b'', headers=()):
        return raw_http.ask(self.gateway.port(), method,
                            f'{self.target}?{query}', headers, body,
                            close=False)

    def part(self, number, body, headers=(), raw=None):
        answer = self.ask('PUT', f'partNumber={number}&uploadId={self.name}',
                          body if raw is None else raw, headers)
        assert answer.status == 200, answer.body
        self.etags[number] = answer['ETag']

    def document(self, numbers=None, quote='"'):
        return ('<?xml version="1.0" encoding="UTF-8"?>\n'
                '<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/'
                '2006-03-01/">' + ''.join(
                    '<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>'
                    % (n, self.etags[n].replace('"', quote))
                    for n in numbers or sorted(self.etags))
                + '</CompleteMultipartUpload>').encode()

    def complete(self, numbers=None, **how):
        return self.ask('POST', f'uploadId={self.name}',
                        self.document(numbers, **how))

    def abort(self):
        return self.ask('DELETE', f'uploadId={self.name}')


def split(body, size):
    return [body[i:i + size] for i in range(0, len(body), size)]


def upload(gateway, body, size, order=None, **more):
    """All of it; `order`: of the parts, by index."""
    made = Upload(gateway, **more)
    parts = split(body, size)
    for i in order or range(len(parts)):
        made.part(i + 1, parts[i])
    return made


# --- what is kept ------------------------------------------------------------

@pytest.mark.parametrize('total, size', [
    (1000, 1000), (1000, 10), (BLOCK, BLOCK), (5 * BLOCK, BLOCK),
    (5 * BLOCK + 9, 2 * BLOCK), (7 * BLOCK + 1, 100_001), (3 * MIB, 333_333),
    (6 * MIB + 5, 5 * MIB), (BLOCK + 1, BLOCK)])
def test_an_upload_is_read_without_the_origin(gateway, origin, total, size):
    body = pattern(total, size)
    made = upload(gateway, body, size, headers=META)
    assert through(gateway)['kept'] == 0
    assert made.complete().status == 200
    assert get(gateway).body == body
    assert get(gateway)['X-Cache'] == 'HIT'
    assert gets(origin) == []
    kept_is(gateway, 1, total)
    assert through(gateway)['captured'] == -(-total // size)


def test_answers_are_those_of_the_origin(gateway, origin):
    body = pattern(5 * BLOCK + 9)
    made = upload(gateway, body, 100_001, headers=META)
    assert made.complete().status == 200
    get(gateway)
    for method, headers in (
            ('GET', {}), ('HEAD', {}),
            ('GET', {'Range': 'bytes=100000-200002'}),
            ('GET', {'x-amz-checksum-mode': 'ENABLED'}),
            ('GET', {'Range': 'bytes=-7'}), ('GET', {'If-Match': '"x"'})):
        ours = get(gateway, headers=headers, method=method)
        assert ours['X-Cache'] == 'HIT'
        theirs = raw_http.ask(origin.port, method, '/bkt/key', headers)
        assert ours.status == theirs.status
        if ours.status < 400:
            assert seen(ours) == seen(theirs)


@pytest.mark.parametrize('seed', range(4))
def test_parts_out_of_order(gateway, origin, seed):
    body = pattern(11 * 70_001 + 5, seed)
    order = list(range(12))
    random.Random(seed).shuffle(order)
    assert upload(gateway, body, 70_001, order).complete().status == 200
    assert get(gateway).body == body
    assert gets(origin) == []


def test_parts_at_the_same_time_through_all_workers(make_gateway, origin):
    gateway = make_gateway(origin, location=ON, workers=4,
                           zone={'size': '128m'})
    body = pattern(12 * MIB + 7)
    parts = split(body, MIB)
    made = Upload(gateway)

    def send(mine):
        for i in mine:
            made.part(i + 1, parts[i])

    threads = [threading.Thread(target=send, args=(range(i, len(parts), 6),))
               for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.complete().status == 200
    assert get(gateway).body == body
    assert gets(origin) == []


def test_quotes_of_etags_that_are_entities(gateway, origin):
    body = pattern(3 * BLOCK)
    made = upload(gateway, body, BLOCK)
    assert made.complete(quote='&quot;').status == 200
    assert get(gateway).body == body
    assert gets(origin) == []


def test_an_aws_chunked_part(gateway, origin):
    body = pattern(3 * BLOCK + 3)
    made = Upload(gateway)
    for i, part in enumerate(split(body, 2 * BLOCK)):
        trailer = ('x-amz-checksum-crc32', checksum('crc32', part))
        made.part(i + 1, part, raw=aws_chunked(part, trailer=trailer),
                  headers={'x-amz-content-sha256': UNSIGNED_TRAILER,
                           'x-amz-trailer': trailer[0],
                           'Content-Encoding': 'aws-chunked',
                           'x-amz-decoded-content-length': str(len(part))})
    assert made.complete().status == 200
    assert get(gateway).body == body
    assert gets(origin) == []


def test_a_part_that_is_sent_again_replaces_it(gateway, origin):
    made = Upload(gateway)
    for n in (1, 2, 3):
        made.part(n, pattern(2 * BLOCK + 5, n))
    before = gateway.zone()['memory']['entries']
    made.part(2, pattern(2 * BLOCK + 5, 9))
    made.part(2, pattern(BLOCK, 7))
    assert gateway.zone()['memory']['entries'] < before
    body = (pattern(2 * BLOCK + 5, 1) + pattern(BLOCK, 7)
            + pattern(2 * BLOCK + 5, 3))
    assert made.complete().status == 200
    assert get(gateway).body == body
    assert gets(origin) == []


def test_parts_that_are_not_named_are_no_part_of_it(gateway, origin):
    made = Upload(gateway)
    for n in (1, 2, 3, 4):
        made.part(n, pattern(BLOCK + n, n))
    assert made.complete([1, 3]).status == 200
    assert get(gateway).body == pattern(BLOCK + 1, 1) + pattern(BLOCK + 3, 3)
    assert gets(origin) == []


def test_what_is_over_leaves_nothing_but_the_object(gateway, origin):
    body = pattern(5 * BLOCK)
    made = upload(gateway, body, 100_001)
    assert made.complete().status == 200
    assert get(gateway).body == body
    # the record and its blocks
    wait.until(lambda: gateway.zone()['memory']['entries'] == 6,
               lambda: f'{gateway.zone()["memory"]}')


def test_an_upload_that_is_aborted_leaves_nothing(gateway):
    made = Upload(gateway)
    for n in (1, 2, 5, 40):
        made.part(n, pattern(2 * BLOCK + 5, n))
    assert gateway.zone()['memory']['entries'] == 4 * 4
    assert made.abort().status == 204
    is_empty(gateway)


# --- parts that did not go by ------------------------------------------------

def past(origin, made, number, body):
    """Sent to the origin by somebody else."""
    answer = raw_http.ask(
        origin.port, 'PUT',
        f'{made.target}?partNumber={number}&uploadId={made.name}', (), body,
        close=False)
    made.etags[number] = answer['ETag']


@pytest.mark.parametrize('missing', [{1}, {4}, {7}, {1, 7}, {3, 5}, {2, 3, 4},
                                     {1, 2, 3, 4, 5, 6, 7}])
def test_what_did_not_go_by_is_read_from_the_origin(gateway, origin, missing):
    """...and no more than the blocks that have a byte of it."""
    size = 3 * BLOCK + 100
    body = pattern(7 * size, 1)
    made = Upload(gateway)
    for n, part in enumerate(split(body, size), 1):
        if n in missing:
            past(origin, made, n, part)
        else:
            made.part(n, part)
    assert made.complete().status == 200
    for _ in range(2):
        assert get(gateway).body == body
    for first, last in ((0, 9), (size - 5, size + 5), (4 * size, 5 * size)):
        assert get(gateway, headers={'Range': f'bytes={first}-{last}'}).body \
            == body[first:last + 1]
    asked = {r.header('range') for r in gets(origin)}
    if len(missing) == 1:
        n = missing.pop()
        first, last = ((n - 1) * size) // BLOCK, (n * size - 1) // BLOCK
        assert asked == {
            f'bytes={i * BLOCK}-{min((i + 1) * BLOCK, len(body)) - 1}'
            for i in range(first, last + 1)}


def test_parts_that_were_evicted_are_read_from_the_origin(make_gateway,
                                                          origin):
    gateway = make_gateway(origin, location='s3_cache_block_size 64k;'
                           's3_cache_write_through 10m max=12m;',
                           zone={'size': '16m'})
    body = pattern(4 * MIB + 5)
    made = upload(gateway, body, MIB)
    for n in range(20):
        origin.put('bkt', f'other{n}', pattern(MIB, n))
        for _ in range(3):
            get(gateway, f'/bkt/other{n}')
    assert made.complete().status == 200
    assert get(gateway).body == body
    assert get(gateway).body == body


@pytest.mark.parametrize('how', [
    {'error': (500, 'InternalError')}, {'drop': True},
    {'headers': [('ETag', '"opaque"')]},
    {'headers': [('ETag', '"0123456789abcdef0123456789abcdef"')]},
    {'headers': [('ETag', None)]}])
def test_a_part_that_is_not_what_the_origin_has_is_not_captured(
        make_gateway, origin, how):
    gateway = make_gateway(origin, location=ON + QUICK)
    made = Upload(gateway)
    origin.on('bkt', 'key', method='PUT', **how)
    made.ask('PUT', f'partNumber=1&uploadId={made.name}', pattern(3 * BLOCK))
    is_empty(gateway)


# --- completions -------------------------------------------------------------

@pytest.mark.parametrize('how', [
    {'error': (400, 'InvalidPart')}, {'error': (500, 'InternalError')},
    {'error': (200, 'InternalError')}, {'drop': True}])
def test_a_completion_that_failed_keeps_nothing_and_may_be_repeated(
        make_gateway, origin, how):
    gateway = make_gateway(origin, location=ON + QUICK)
    body = pattern(5 * BLOCK)
    made = upload(gateway, body, 2 * BLOCK)
    rule = origin.on('bkt', 'key', method='POST', **how)
    made.complete()
    origin.off(rule)
    origin.put('bkt', 'key', b'before')
    assert get(gateway).body == b'before'
    assert made.complete().status == 200
    assert get(gateway).body == body
    assert through(gateway)['kept'] <= 1


def test_an_object_that_is_not_made_of_these_parts(gateway, origin):
    """Somebody else was quicker, before the HEAD was answered."""
    made = upload(gateway, pattern(3 * BLOCK, 1), BLOCK)
    other = pattern(3 * BLOCK, 2)
    origin.on('bkt', 'key', method='HEAD', times=1,
              before=lambda _: origin.put('bkt', 'key', other,
                                          part_sizes=(BLOCK,) * 3))
    assert made.complete().status == 200
    assert get(gateway).body == other
    assert gets(origin) != []
    lost_is(gateway, {'changed': 1})


@pytest.mark.parametrize('mangle', [
    lambda d: d.replace(b'<Part>', b'<!-- --><Part>', 1),
    lambda d: d.replace(b'<Part>', b'<x/><Part>', 1),
    lambda d: d.replace(b'</CompleteMultipartUpload>', b'')])
def test_a_body_in_doubt_keeps_nothing(gateway, origin, mangle):
    body = pattern(3 * BLOCK)
    made = upload(gateway, body, BLOCK)
    answer = made.ask('POST', f'uploadId={made.name}', mangle(made.document()))
    assert answer.status == 200
    assert get(gateway).body == body
    assert len(gets(origin)) > 0
    assert through(gateway)['kept'] == 0


@pytest.mark.parametrize('parts, kept', [(2, True), (3, False)])
def test_an_upload_above_the_maximum_is_not_kept(make_gateway, origin, parts,
                                                 kept):
    gateway = make_gateway(
        origin, location='s3_cache_write_through 10m max=1m;'
        's3_cache_block_size 64k;')
    body = pattern(parts * 512 * KIB)
    assert upload(gateway, body, 512 * KIB).complete().status == 200
    assert get(gateway).body == body
    assert (gets(origin) == []) is kept
    lost_is(gateway, {} if kept else {'large': 2})


def test_a_write_while_it_is_being_kept(gateway, origin):
    gate = origin.gate()
    made = upload(gateway, pattern(3 * BLOCK), BLOCK)
    rule = origin.on('bkt', 'key', method='HEAD', gate=gate, times=1)
    assert made.complete().status == 200
    gate.wait_reached()
    assert put(gateway, b'second').status == 200
    gate.open()
    for _ in range(4):
        assert get(gateway).body == b'second'
    origin.off(rule)


def test_a_worker_killed_between_the_parts(make_gateway, origin):
    """What it has captured is still found: no worker owns it."""
    gateway = make_gateway(origin, location=ON, workers=1)
    body = pattern(5 * BLOCK + 9)
    parts = split(body, 2 * BLOCK)
    made = Upload(gateway)
    made.part(1, parts[0])
    made.part(2, parts[1])
    gateway.kill_worker()
    made.part(3, parts[2])
    gateway.reload(wait_old=True)
    assert made.complete().status == 200
    assert get(gateway).body == body
    assert gets(origin) == []


# --- a real origin, a real client --------------------------------------------

@pytest.mark.parametrize('size', [0, 1000, 3 * MIB, 12 * MIB + 345,
                                  20 * MIB])
def test_boto3_uploads_and_reads_it_back_through_a_real_rgw(
        rgw, rgw_s3, bucket, make_gateway, tmp_path, size):
    gateway = make_gateway(rgw, location='s3_cache_write_through 10m;',
                           workers=2, zone={'size': '256m'})
    s3 = s3client.of(rgw, gateway.url())
    body = pattern(size, 1)
    (tmp_path / 'up').write_bytes(body)
    s3.upload_file(str(tmp_path / 'up'), bucket, 'key', ExtraArgs={
        'Metadata': {'a': 'b'}, 'ContentType': 'text/x-test'})
    before = gateway.zone()['origin']['received_bytes']
    s3.download_file(bucket, 'key', str(tmp_path / 'down'))
    assert (tmp_path / 'down').read_bytes() == body
    ours, theirs = (c.get_object(Bucket=bucket, Key='key')
                    for c in (s3, rgw_s3))
    assert ours.pop('Body').read() == theirs.pop('Body').read()
    for one in (ours, theirs):
        one.pop('ResponseMetadata')
    assert ours == theirs
    assert gateway.zone()['origin']['received_bytes'] == before
    kept_is(gateway, 1)
