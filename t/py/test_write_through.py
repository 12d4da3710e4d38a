# SPDX-License-Identifier: Apache-2.0
"""s3_cache_write_through: what was written is read without asking the origin
for a byte of it, exactly as the origin would answer; and whatever is not
proved to be what the origin has is not kept."""

import os
import signal
import threading

import pytest

import raw_http
import raw_http2
from lib import wait
from lib.nginx import s3_location, s3_zone
from origin.objects import pattern
from origin.scripted_origin import ScriptedOrigin
from write_bodies import (SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER,
                          aws_chunked, checksum)

KIB, MIB = 1 << 10, 1 << 20
BLOCK = 64 * KIB
ON = 's3_cache_write_through 10m; s3_cache_block_size 64k;'
QUICK = ('s3_cache_origin_connect_timeout 500ms;'
         ' s3_cache_origin_send_timeout 500ms;'
         ' s3_cache_origin_read_timeout 500ms;')
SIZES = [0, 1, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 5 * BLOCK + 777,
         3 * MIB + 1]
META = {'Content-Type': 'text/x-test', 'x-amz-meta-a': 'b c',
        'Cache-Control': 'max-age=7', 'Content-Language': 'de'}
VOLATILE = {'date', 'server', 'connection', 'x-cache', 'age',
            'x-amz-request-id', 'keep-alive'}


@pytest.fixture
def origin():
    with ScriptedOrigin() as started:
        started.bucket('bkt')
        yield started


@pytest.fixture
def gateway(make_gateway, origin):
    return make_gateway(origin, location=ON, workers=2)


def put(gateway, body, headers=(), target='/bkt/key', **more):
    return raw_http.ask(gateway.port(), 'PUT', target, headers, body,
                        close=False, **more)


def get(gateway, target='/bkt/key', headers=(), method='GET'):
    return raw_http.ask(gateway.port(), method, target, headers)


def gets(origin):
    return origin.requests_for(method='GET')


def through(gateway):
    return gateway.zone()['write_through']


def lost(gateway):
    return {k: v for k, v in through(gateway)['lost'].items() if v}


def lost_is(gateway, what):
    wait.until(lambda: lost(gateway) == what,
               lambda: f'{lost(gateway)} to be {what}')


def kept_is(gateway, count, size=None):
    wait.until(lambda: through(gateway)['kept'] == count
               and size in (None, through(gateway)['kept_bytes']),
               lambda: f'{through(gateway)}: {count} kept')


def seen(answer):
    return (answer.status, sorted((k.lower(), v) for k, v in answer.headers
                                  if k.lower() not in VOLATILE), answer.body)


def is_empty(gateway):
    """Nothing of what was captured is left."""
    wait.until(lambda: gateway.zone()['memory']['entries'] == 0,
               lambda: f'{gateway.zone()["memory"]}')


def not_kept(gateway, origin, body, key='key'):
    """Read next, it comes from the origin."""
    before = len(gets(origin))
    answer = get(gateway, f'/bkt/{key}')
    assert (answer.status, answer.body) == (200, body)
    assert len(gets(origin)) > before


# --- what is kept ------------------------------------------------------------

@pytest.mark.parametrize('size', SIZES)
def test_what_was_written_is_read_without_the_origin(gateway, origin, size):
    body = pattern(size, size)
    assert put(gateway, body, META).status == 200
    answer = get(gateway)
    assert answer.body == body
    assert gets(origin) == []
    assert get(gateway)['X-Cache'] == 'HIT'
    kept_is(gateway, 1, size)
    assert through(gateway)['captured'] == 1
    assert [r.method for r in origin.requests] == ['PUT', 'HEAD']


def coded(body, how):
    if how == SIGNED:
        return aws_chunked(body, signed=True), {}
    trailer = ('x-amz-checksum-crc32', checksum('crc32', body))
    return (aws_chunked(body, trailer=trailer, signed=how == SIGNED_TRAILER),
            {'x-amz-trailer': trailer[0],
             'x-amz-sdk-checksum-algorithm': 'CRC32'})


@pytest.mark.parametrize('how', [SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER])
@pytest.mark.parametrize('size', [0, 1, 1000, BLOCK, 3 * BLOCK + 5])
def test_an_aws_chunked_body_is_kept_as_the_object(gateway, origin, how, size):
    body = pattern(size, 3)
    raw, more = coded(body, how)
    answer = put(gateway, raw, {
        'x-amz-content-sha256': how, 'Content-Encoding': 'aws-chunked',
        'x-amz-decoded-content-length': str(size), **more})
    assert answer.status == 200
    assert get(gateway).body == body
    assert gets(origin) == []


@pytest.mark.parametrize('size', [0, 1000, 5 * BLOCK + 777])
def test_answers_are_those_of_the_origin(gateway, origin, size):
    body = pattern(size, 1)
    assert put(gateway, body, META).status == 200
    get(gateway)
    asked = len(origin.requests)
    obj = origin.get('bkt', 'key')
    asks = [('GET', {}), ('HEAD', {}),
            ('GET', {'x-amz-checksum-mode': 'ENABLED'}),
            ('HEAD', {'x-amz-checksum-mode': 'ENABLED'})]
    for method in ('GET', 'HEAD'):
        asks += [(method, {'If-None-Match': obj.etag}),
                 (method, {'If-Match': obj.etag}),
                 (method, {'If-Match': '"other"'}),
                 (method, {'If-Modified-Since': obj.date}),
                 (method, {'If-Unmodified-Since': obj.date})]
    if size:
        asks += [('GET', {'Range': f'bytes={span}'})
                 for span in ('0-0', '1-', '-1', f'{size // 2}-{size - 2}',
                              f'{size - 1}-', f'{size}-')]
    for method, headers in asks:
        ours = get(gateway, headers=headers, method=method)
        assert ours['X-Cache'] == 'HIT', (method, headers)
        theirs = raw_http.ask(origin.port, method, '/bkt/key', headers)
        if ours.status >= 400:
            assert ours.status == theirs.status
        elif ours.status == 304:
            assert seen(ours)[0] == seen(theirs)[0]
        else:
            assert seen(ours) == seen(theirs), (method, headers)
    asked_by_us = [r for r in origin.requests[asked:]
                   if r.header('host') != '127.0.0.1']
    assert asked_by_us == []


def test_every_worker_has_it(make_gateway, origin):
    gateway = make_gateway(origin, location=ON, workers=4)
    for i in range(8):
        assert put(gateway, b'%d' % i * 1000, target=f'/bkt/{i}').status == 200
    for i in range(8):
        for _ in range(6):
            assert get(gateway, f'/bkt/{i}').body == b'%d' % i * 1000
    assert gets(origin) == []


def test_the_last_of_several_writes_is_kept(gateway, origin):
    for i in range(5):
        body = pattern(3 * BLOCK + i, i)
        assert put(gateway, body).status == 200
        assert get(gateway).body == body
    assert gets(origin) == []
    kept_is(gateway, 5)


def test_a_body_by_http2(make_nginx, origin):
    gateway = make_nginx(http=s3_zone() + (
        'server { listen 127.0.0.1:@port:h2@ http2; %s }'
        % s3_location(origin.url, more=ON)), workers=1).start()
    body = pattern(5 * BLOCK + 7)
    with raw_http2.Connection(gateway.port('h2')) as c:
        assert c.ask('PUT', '/bkt/key', {'content-length': str(len(body))},
                     body).status == 200
        assert c.ask('GET', '/bkt/key').body == body
    assert gets(origin) == []
    gateway.check_accounting()


def test_the_same_body_again(gateway, origin):
    origin.on('bkt', 'key', method='HEAD', headers=[
        ('Last-Modified', 'Sat, 21 Nov 2026 23:27:22 GMT')])
    body = pattern(3 * BLOCK)
    for i in range(3):
        assert put(gateway, body).status == 200
        assert get(gateway).body == body
        kept_is(gateway, i + 1)
    assert gets(origin) == []


def test_it_is_off_unless_it_is_asked_for(make_gateway, origin):
    gateway = make_gateway(origin)
    assert put(gateway, b'x').status == 200
    assert get(gateway).body == b'x'
    assert [r.method for r in origin.requests] == ['PUT', 'GET']
    assert through(gateway)['captured'] == 0


def test_its_lifetime_is_its_own(make_gateway, origin):
    gateway = make_gateway(origin, valid='200 0s',
                           location='s3_cache_write_through 10m;')
    put(gateway, b'written')
    assert get(gateway)['X-Cache'] in ('HIT', 'SHARED')
    assert get(gateway)['X-Cache'] == 'HIT'
    assert [r.method for r in origin.requests] == ['PUT', 'HEAD']


def test_when_it_is_over_it_is_revalidated(make_gateway, origin):
    gateway = make_gateway(origin, valid='200 10m',
                           location='s3_cache_write_through 1s;')
    put(gateway, b'written')
    wait.until(lambda: get(gateway)['X-Cache'] == 'REVALIDATED',
               'the end of its lifetime')
    assert get(gateway)['X-Cache'] == 'HIT'
    assert gets(origin) == []


def test_what_is_strict_is_validated_but_not_read(make_gateway, origin):
    gateway = make_gateway(origin, location=ON
                           + 's3_cache_freshness strict;')
    body = pattern(3 * BLOCK)
    put(gateway, body)
    answer = get(gateway)
    assert (answer.body, gets(origin)) == (body, [])


def test_who_reads_while_it_is_being_kept_waits_for_it(gateway, origin):
    gate = origin.gate()
    rule = origin.on('bkt', 'key', method='HEAD', gate=gate)
    body = pattern(3 * BLOCK)
    assert put(gateway, body).status == 200
    gate.wait_reached()
    got = []
    readers = [threading.Thread(target=lambda: got.append(get(gateway).body))
               for _ in range(4)]
    for reader in readers:
        reader.start()
    wait.until(lambda: gateway.zone()['fills']['followed'] == 4, 'followers')
    gate.open()
    for reader in readers:
        reader.join()
    assert got == [body] * 4
    assert gets(origin) == []
    origin.off(rule)


def test_what_was_kept_stays_over_a_reload(gateway, origin):
    put(gateway, b'written')
    assert get(gateway).body == b'written'
    gateway.reload(wait_old=True)
    assert get(gateway)['X-Cache'] == 'HIT'
    assert gets(origin) == []


def test_an_upload_under_a_reload_is_kept(gateway, origin):
    gate = origin.gate(at=100_000)
    rule = origin.on('bkt', 'key', method='PUT', body_gate=gate)
    body = pattern(3 * MIB)
    status = []
    thread = threading.Thread(
        target=lambda: status.append(put(gateway, body).status))
    thread.start()
    gate.wait_reached()
    gateway.reload()
    gate.open()
    thread.join()
    assert status == [200]
    assert get(gateway).body == body
    assert gets(origin) == []
    origin.off(rule)


# --- what is not -------------------------------------------------------------

@pytest.mark.parametrize('how', [
    {'error': (403, 'AccessDenied')}, {'error': (500, 'InternalError')},
    {'error': (503, 'SlowDown')}, {'drop': True},
    {'malformed': 'duplicate_length'}])
def test_a_write_that_failed_leaves_nothing(make_gateway, origin, how):
    gateway = make_gateway(origin, location=ON + QUICK)
    origin.on('bkt', 'key', method='PUT', **how)
    assert put(gateway, pattern(3 * BLOCK + 1)).status >= 400
    is_empty(gateway)
    assert through(gateway)['captured'] == 0
    lost_is(gateway, {'failed': 1})
    assert origin.requests_for(method='HEAD') == []


def test_a_200_that_names_no_object_leaves_nothing(gateway, origin):
    origin.on('bkt', 'key', method='PUT', headers=[('ETag', None)])
    assert put(gateway, b'x' * 1000).status == 200
    is_empty(gateway)
    lost_is(gateway, {'failed': 1})


@pytest.mark.parametrize('whole', [False, True])
def test_a_client_that_leaves_in_the_body_leaves_nothing(gateway, origin,
                                                         whole):
    rule = origin.on('bkt', 'key', method='PUT', hang=True)
    with raw_http.Connection(gateway.port()) as c:
        c.request('PUT', '/bkt/key', {'Content-Length': str(10 * BLOCK)})
        c.send(pattern(10 * BLOCK if whole else 3 * BLOCK + 9))
        wait.until(lambda: gateway.zone()['memory']['entries'] >= 3,
                   'a capture')
        if whole:
            origin.wait_requests(1, method='PUT')
    is_empty(gateway)
    lost_is(gateway, {'failed': 1})
    origin.off(rule)


def test_a_client_that_leaves_with_its_last_byte_leaves_nothing(gateway,
                                                                origin):
    """nginx hears of the end of the body and of the connection at once."""
    rule = origin.on('bkt', 'key', method='PUT', hang=True)
    body = pattern(4 * BLOCK)
    with raw_http.Connection(gateway.port()) as c:
        c.request('PUT', '/bkt/key', {'Content-Length': str(len(body))})
        c.send(body[:-100])
        wait.until(lambda: gateway.zone()['memory']['entries'] >= 3,
                   'a capture')
        workers = gateway.worker_pids()
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        c.send(body[-100:])
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    is_empty(gateway)
    lost_is(gateway, {'failed': 1})
    origin.off(rule)


def test_a_body_that_breaks_its_promise_leaves_nothing(gateway, origin):
    body = pattern(3 * BLOCK)
    trailer = ('x-amz-checksum-crc32', checksum('crc32', body + b'x'))
    answer = put(gateway, aws_chunked(body, trailer=trailer), {
        'x-amz-content-sha256': UNSIGNED_TRAILER,
        'x-amz-trailer': trailer[0], 'Content-Encoding': 'aws-chunked',
        'x-amz-decoded-content-length': str(len(body))})
    assert answer.status == 400
    is_empty(gateway)
    lost_is(gateway, {'failed': 1})


def test_a_write_that_the_origin_never_hears_of(gateway, origin):
    answer = put(gateway, b'nonsense', {
        'x-amz-content-sha256': UNSIGNED_TRAILER,
        'x-amz-decoded-content-length': '0'})
    assert answer.status == 400
    lost_is(gateway, {'failed': 1})
    assert origin.requests == []


def change(origin, **what):
    """Somebody writes past the gateway, before the HEAD is answered."""
    def before(_):
        origin.put('bkt', 'key', **what)
    origin.on('bkt', 'key', method='HEAD', before=before, times=1)


@pytest.mark.parametrize('size', [1000, 3 * BLOCK])
def test_what_was_overwritten_meanwhile_is_not_kept(gateway, origin, size):
    other = pattern(size, 9)
    change(origin, body=other)
    assert put(gateway, pattern(size, 1)).status == 200
    not_kept(gateway, origin, other)
    lost_is(gateway, {'changed': 1})


def test_an_etag_is_not_believed_where_it_is_no_md5_of_the_bytes(gateway,
                                                                 origin):
    """The origin stores something else, and says so of what it was sent."""
    other, etag = pattern(1000, 9), '"0123456789abcdef0123456789abcdef"'
    origin.on('bkt', 'key', method='PUT', headers=[('ETag', etag)])
    change(origin, body=other, etag=etag)
    assert put(gateway, pattern(1000, 1)).status == 200
    not_kept(gateway, origin, other)
    lost_is(gateway, {'changed': 1})


@pytest.mark.parametrize('etag, more, kept', [
    ('"opaque"', {}, True), ('W/"opaque"', {}, False),
    ('"0123456789abcdef0123456789abcdef"',
     {'x-amz-server-side-encryption': 'aws:kms'}, True),
    ('"0123456789abcdef0123456789abcdef"',
     {'x-amz-server-side-encryption': 'AES256'}, False)])
def test_an_opaque_etag_is_as_good_as_the_origins_word(gateway, origin, etag,
                                                       more, kept):
    body = pattern(1000)
    origin.on('bkt', 'key', method='PUT', headers=[('ETag', etag)])
    change(origin, body=body, etag=etag, headers=more)
    assert put(gateway, body).status == 200
    assert get(gateway).body == body
    assert (gets(origin) == []) is kept


def test_another_length_under_the_same_etag_is_not_kept(gateway, origin):
    origin.on('bkt', 'key', method='PUT', headers=[('ETag', '"opaque"')])
    change(origin, body=b'x' * 999, etag='"opaque"')
    put(gateway, b'x' * 1000)
    not_kept(gateway, origin, b'x' * 999)


@pytest.mark.parametrize('found, kept', [('v1', True), ('v2', False)])
def test_a_version_that_was_answered_must_be_the_one(gateway, origin, found,
                                                     kept):
    body = b'x' * 1000
    origin.on('bkt', 'key', method='PUT',
              headers=[('x-amz-version-id', 'v1')])
    change(origin, body=body, version_id=found)
    put(gateway, body)
    assert get(gateway).body == body
    assert (gets(origin) == []) is kept


@pytest.mark.parametrize('how', [
    {'error': (404, 'NoSuchKey')}, {'error': (503, 'SlowDown')},
    {'error': (403, 'AccessDenied')}, {'drop': True}, {'hang': True},
    {'headers': [('Content-Length', 'x')]}, {'malformed': 'no_colon'}])
def test_an_origin_that_does_not_say_what_it_has(make_gateway, origin, how):
    gateway = make_gateway(origin, location=ON + QUICK)
    rule = origin.on('bkt', 'key', method='HEAD', **how)
    body = pattern(3 * BLOCK)
    assert put(gateway, body).status == 200
    not_kept(gateway, origin, body)
    lost_is(gateway, {'origin': 1})
    origin.off(rule)


@pytest.mark.parametrize('name, value, kept', [
    ('x-amz-storage-class', 'GLACIER', False),
    ('x-amz-storage-class', 'DEEP_ARCHIVE', False),
    ('x-amz-archive-status', 'ARCHIVE_ACCESS', False),
    ('x-amz-storage-class', 'GLACIER_IR', True),
    ('x-amz-storage-class', 'STANDARD_IA', True)])
def test_what_a_get_would_be_refused_is_not_kept(gateway, origin, name, value,
                                                 kept):
    origin.on('bkt', 'key', method='HEAD', headers=[(name, value)])
    origin.on('bkt', 'key', method='GET', error=(403, 'InvalidObjectState'))
    assert put(gateway, b'x' * 1000).status == 200
    assert get(gateway).status == (200 if kept else 403)


@pytest.mark.parametrize('headers', [
    {'x-amz-copy-source': '/bkt/source'}, {'x-amz-rename-source': '/bkt/a'},
    {'x-amz-meta-snowball-auto-extract': 'true'}])
def test_what_is_no_body_of_an_object_is_not_captured(gateway, origin,
                                                      headers):
    origin.put('bkt', 'source', b'there')
    put(gateway, b'', headers)
    assert through(gateway)['captured'] == 0


@pytest.mark.parametrize('query', ['acl', 'tagging', 'versionId=v', 'append',
                                   'retention', 'x-unknown'])
def test_what_is_written_beside_an_object_is_not_captured(gateway, origin,
                                                          query):
    put(gateway, b'<x/>', target=f'/bkt/key?{query}')
    assert through(gateway)['captured'] == 0


@pytest.mark.parametrize('query', ['x-id=PutObject', 'x-amz-acl=private'])
def test_what_an_sdk_adds_does_not_matter(gateway, origin, query):
    put(gateway, b'body', target=f'/bkt/key?{query}')
    assert get(gateway).body == b'body'
    assert gets(origin) == []


# --- how much ----------------------------------------------------------------

@pytest.mark.parametrize('size, kept', [(MIB, True), (MIB + 1, False)])
def test_a_body_above_the_maximum_is_not_kept(make_gateway, origin, size,
                                              kept):
    gateway = make_gateway(
        origin, location='s3_cache_write_through 10m max=1m;')
    body = pattern(size)
    assert put(gateway, body).status == 200
    assert get(gateway).body == body
    assert (gets(origin) == []) is kept
    lost_is(gateway, {} if kept else {'large': 1})


@pytest.mark.parametrize('size, kept', [(8 * MIB, True), (8 * MIB + 1, False)])
def test_the_maximum_is_an_eighth_of_the_zone(gateway, origin, size, kept):
    body = pattern(size)
    assert put(gateway, body).status == 200
    assert get(gateway).body == body
    assert (gets(origin) == []) is kept


def test_captures_leave_half_of_the_budget_to_reads(make_gateway, origin):
    gateway = make_gateway(origin, workers=1,
                           zone={'size': '64m', 'fill_memory': '4m'},
                           location='s3_cache_write_through 10m;')
    held, size = [], 2 * MIB
    for i in range(4):
        c = raw_http.Connection(gateway.port())
        c.request('PUT', f'/bkt/{i}', {'Content-Length': str(size)})
        c.send(b'x' * 1000)
        held.append(c)
        origin.wait_requests(i + 1, method='PUT')
        wait.until(lambda: gateway.zone()['memory']['fills']
                   + gateway.zone()['write_through']['lost']['room']
                   == i + 1, 'capture or not')        # noqa: B023
    lost_is(gateway, {'room': 2})
    origin.put('bkt', 'other', b'y' * 1000)
    assert get(gateway, '/bkt/other')['X-Cache'] == 'MISS'
    for i, c in enumerate(held):
        c.send(b'x' * (size - 1000))
        assert c.answer('PUT').status == 200
        c.close()
    for i in range(4):
        assert get(gateway, f'/bkt/{i}').body == b'x' * size
    kept_is(gateway, 2)


def test_uploads_larger_than_memory_do_not_leave_it_full(make_gateway,
                                                         origin):
    """Many at a time, more than the zone holds: each is right, whatever of it
    was kept, and no worker grows by it."""
    gateway = make_gateway(
        origin, zone={'size': '16m'}, workers=2,
        location='s3_cache_write_through 10m max=8m; s3_cache_block_size 64k;')
    bodies = {f'/bkt/{i}': pattern(2 * MIB + i, i) for i in range(24)}
    put(gateway, b'warm', target='/bkt/warm')
    before = gateway.rss_bytes()

    def send(mine):
        for target in mine:
            assert put(gateway, bodies[target], target=target).status == 200

    targets = list(bodies)
    threads = [threading.Thread(target=send, args=(targets[i::6],))
               for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gateway.rss_bytes() - before < 4 * MIB
    for target, body in bodies.items():
        assert get(gateway, target).body == body
    wait.until(lambda: through(gateway)['kept']
               + lost(gateway).get('room', 0) == 25,
               lambda: f'{through(gateway)}')
