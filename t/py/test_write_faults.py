# SPDX-License-Identifier: Apache-2.0
"""Writes that meet an origin or a client that fails: the answer is right, no
connection is used for what it is not fit for, and nothing that may be older
than the write is read from the cache."""

import threading

import pytest

import raw_http
from flash_reads import make_flash, store_path     # noqa: F401 (a fixture)
from lib import store, wait
from lib.nginx import s3_location, s3_zone
from lib.reader import Reader
from origin.objects import pattern
from origin.scripted_origin import ScriptedOrigin

MIB = 1 << 20
QUICK = ('s3_cache_origin_connect_timeout 500ms;'
         ' s3_cache_origin_send_timeout 500ms;'
         ' s3_cache_origin_read_timeout 500ms;')


@pytest.fixture
def origin():
    with ScriptedOrigin() as started:
        started.bucket('bkt')
        yield started


@pytest.fixture
def gateway(make_gateway, origin):
    return make_gateway(origin, location='s3_cache_block_size 64k;')


@pytest.fixture
def quick(make_gateway, origin):
    return make_gateway(origin, location=QUICK)


def put(gateway, body, headers=(), target='/bkt/key', method='PUT'):
    return raw_http.ask(gateway.port(), method, target, headers, body,
                        close=False)


def get(gateway, target='/bkt/key'):
    return raw_http.ask(gateway.port(), 'GET', target)


def cached(gateway, origin, body=b'old'):
    origin.put('bkt', 'key', body)
    for result in ('MISS', 'HIT'):
        answer = get(gateway)
        assert (answer.body, answer['X-Cache']) == (body, result)


def writes(gateway):
    return gateway.zone()['writes']


# --- the origin --------------------------------------------------------------

def test_an_origin_that_reads_slowly_holds_the_client_back(
        make_gateway, origin):
    gateway = make_gateway(origin, workers=1)
    gate = origin.gate(at=100_000)
    origin.on('bkt', 'key', method='PUT', body_gate=gate)
    body = pattern(64 * MIB)
    sent = []

    def send():
        with raw_http.Connection(gateway.port()) as c:
            c.request('PUT', '/bkt/key', {'Content-Length': str(len(body))})
            view = memoryview(body)
            for at in range(0, len(body), MIB):
                c.send(view[at:at + MIB])
                sent.append(at + MIB)
            sent.append(c.answer('PUT').status)

    before = gateway.rss_bytes()
    thread = threading.Thread(target=send)
    thread.start()
    gate.wait_reached()
    # the sockets' buffers are full before all of it is on its way
    count = -1

    def stands():
        nonlocal count
        before_now, count = count, len(sent)
        return before_now == count

    wait.until(stands, 'the client to be held back', 20, 0.3)
    assert len(sent) < 60
    assert gateway.rss_bytes() - before < 600_000
    gate.open()
    thread.join()
    assert sent[-1] == 200
    assert origin.get('bkt', 'key').body == body


@pytest.mark.parametrize('how', [
    {'body_cut_at': 70_000}, {'body_cut_at': 70_000, 'reset': True}])
def test_what_the_origin_never_had_whole_it_did_not_take(quick, origin, how):
    cached(quick, origin)
    origin.on('bkt', 'key', method='PUT', **how)
    assert put(quick, b'x' * 30_000_000).status == 502
    assert (writes(quick)['failed'], writes(quick)['unknown']) == (1, 0)
    answer = get(quick)
    assert (answer.body, answer['X-Cache']) == (b'old', 'HIT')


@pytest.mark.parametrize('how', [
    {'drop': True}, {'hang': True}, {'malformed': 'duplicate_length'},
    {'error': (500, 'InternalError')}])
def test_an_outcome_that_nobody_knows_counts_as_written(quick, origin, how):
    cached(quick, origin)
    rule = origin.on('bkt', 'key', method='PUT', **how)
    answer = put(quick, b'x' * 3_000_000)
    assert answer.status == {'hang': 504, 'error': 500}.get(
        next(iter(how)), 502)
    origin.off(rule)
    assert writes(quick)['unknown'] == 1
    # it may still come true: nothing is kept until that cannot be any more
    for body in (b'old', b'new'):
        origin.put('bkt', 'key', body)
        answer = get(quick)
        assert (answer.body, answer['X-Cache']) == (body, 'BYPASS')
    assert len(origin.requests_for('bkt', 'key', 'PUT')) == 1


def test_a_write_that_never_reached_the_origin_leaves_no_fence(
        make_gateway, origin):
    gateway = make_gateway(origin, location=QUICK)
    cached(gateway, origin)
    port = origin.port
    origin.stop()
    assert put(gateway, b'x' * 1000).status == 502
    assert writes(gateway)['failed'] == 1
    with ScriptedOrigin(port=port) as again:
        again.put('bkt', 'key', b'old')
        wait.until(lambda: get(gateway).status == 200, 'the origin again')
        assert get(gateway)['X-Cache'] == 'HIT'


@pytest.mark.parametrize('status, code', [
    (403, 'AccessDenied'), (412, 'PreconditionFailed'),
    (404, 'NoSuchBucket'), (503, 'SlowDown'), (501, 'NotImplemented')])
def test_errors_of_the_origin_are_relayed(gateway, origin, status, code):
    cached(gateway, origin)
    origin.on('bkt', 'key', method='PUT', error=(status, code))
    answer = put(gateway, b'x' * 200_000)
    assert (answer.status, answer.element('Code')) == (status, code)
    if status in (403, 404, 412, 503):
        assert get(gateway)['X-Cache'] == 'MISS'
        assert get(gateway)['X-Cache'] == 'HIT'


@pytest.mark.parametrize('expect', [False, True])
@pytest.mark.parametrize('size', [10, 50_000_000])
def test_an_answer_before_the_body_was_read_is_relayed(
        gateway, origin, size, expect):
    cached(gateway, origin)
    origin.on('bkt', 'key', method='PUT', early=True,
              error=(403, 'AccessDenied'))
    headers = {'Content-Length': str(size)}
    if expect:
        headers['Expect'] = '100-continue'
    with raw_http.Connection(gateway.port()) as c:
        c.request('PUT', '/bkt/key', headers)
        if not expect:
            try:
                c.send(b'x' * min(size, 200_000))
            except ConnectionError:
                pass
        answer = c.answer('PUT')
    assert (answer.status, answer.element('Code')) == (403, 'AccessDenied')
    assert answer.interim == ()
    if not expect and size <= 200_000:
        return
    assert answer['Connection'] == 'close'
    # its connection to the origin, on which the body may be, is not used again
    connection = origin.requests_for('bkt', 'key', 'PUT')[0].connection
    for number in range(3):
        assert get(gateway, f'/bkt/none{number}').status == 404
    assert connection not in {
        r.connection for r in origin.requests if r.method == 'GET'
        and r.key.startswith('none')}


def test_an_origin_that_knows_no_expect_gets_the_body_all_the_same(
        gateway, origin):
    origin.on('bkt', 'key', no_continue=True)
    body = b'x' * 10_000
    with raw_http.Connection(gateway.port()) as c:
        c.request('PUT', '/bkt/key', {'Content-Length': str(len(body)),
                                      'Expect': '100-continue'})
        assert c._until(b'\r\n\r\n') == b'HTTP/1.1 100 Continue'
        c.send(body)
        assert c.answer('PUT').status == 200
    request = origin.requests_for('bkt', 'key', 'PUT')[0]
    assert request.body == body
    assert request.header('expect') == '100-continue'


@pytest.mark.parametrize('expect', [False, True])
@pytest.mark.parametrize('refusal', [
    {'error': (417, 'ExpectationFailed')}, {'error': (503, 'SlowDown')},
    {'redirect': 'http://other.test/bkt/key'}])
def test_a_body_that_the_origin_does_not_want_is_not_asked_for(
        gateway, origin, refusal, expect):
    cached(gateway, origin)
    origin.on('bkt', 'key', method='PUT', early=True, **refusal)
    headers = {'Content-Length': '1000000'}
    if expect:
        headers['Expect'] = '100-continue'
    with raw_http.Connection(gateway.port()) as c:
        c.request('PUT', '/bkt/key', headers)
        answer = c.answer('PUT')
        assert answer.interim == ()
        assert answer.status == refusal.get('error', (307,))[0]
        assert answer['Connection'] == 'close'
    assert origin.get('bkt', 'key').body == b'old'
    origin.off()
    # it never had the whole of it
    assert get(gateway)['X-Cache'] == 'HIT'


def test_interim_answers_of_the_origin_are_not_the_answer(gateway, origin):
    origin.on('bkt', 'key', method='PUT', interim=103)
    body = b'x' * 100_000
    with raw_http.Connection(gateway.port()) as c:
        for expect in ({}, {'Expect': '100-continue'}):
            c.request('PUT', '/bkt/key',
                      {'Content-Length': str(len(body)), **expect})
            if expect:
                assert c._until(b'\r\n\r\n') == b'HTTP/1.1 100 Continue'
            c.send(body)
            answer = c.answer('PUT')
            assert answer.status == 200 and answer.interim == ()
            assert origin.get('bkt', 'key').body == body
            origin.delete('bkt', 'key')


@pytest.mark.parametrize('etag', ['"another"', '"0-1"', None, 'unquoted'])
def test_an_etag_that_is_not_the_md5_is_relayed_and_not_kept(
        gateway, origin, etag):
    cached(gateway, origin)
    origin.on('bkt', 'key', method='PUT', headers=[('ETag', etag)])
    body = pattern(200_000, 5)
    answer = put(gateway, body)
    assert (answer.status, answer['ETag']) == (200, etag)
    right = origin.get('bkt', 'key').etag
    for result in ('MISS', 'HIT'):
        answer = get(gateway)
        assert (answer.body, answer['ETag']) == (body, right)
        assert answer['X-Cache'] == result
    # nor does it say what a reader has
    answer = raw_http.ask(gateway.port(), 'GET', '/bkt/key',
                          {'If-None-Match': etag or '"none"'})
    assert (answer.status, answer.body) == (200, body)


MADE = {'complete': ('POST', '/bkt/key?uploadId=u', {},
                     b'<CompleteMultipartUpload/>'),
        'copy': ('PUT', '/bkt/key', {'x-amz-copy-source': 'bkt/other'}, b''),
        'copy of a part': ('PUT', '/bkt/key?uploadId=u&partNumber=1',
                           {'x-amz-copy-source': 'bkt/other'}, b'')}


@pytest.mark.parametrize('framing', ['length', 'chunked', 'close'])
@pytest.mark.parametrize('name', MADE)
def test_an_error_in_a_200_is_relayed_and_counts_as_written(
        gateway, origin, name, framing):
    cached(gateway, origin)
    method, target, headers, body = MADE[name]
    # white space while it takes its time, as S3 does
    document = (b'<?xml version="1.0"?>\n   \n   \n<Error><Code>InternalError'
                b'</Code><Message>x</Message></Error>')
    head = {'length': b'Content-Length: %d\r\n' % len(document),
            'chunked': b'Transfer-Encoding: chunked\r\n', 'close': b''}
    raw = document if framing != 'chunked' else b''.join(
        b'%x\r\n%s\r\n' % (len(part), part)
        for part in (document[:25], document[25:])) + b'0\r\n\r\n'
    origin.on('bkt', 'key', method=method, raw=(
        b'HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n'
        + head[framing] + b'\r\n' + raw))
    answer = put(gateway, body, headers, target, method)
    assert (answer.status, answer.body) == (200, document)
    origin.put('bkt', 'key', b'new')
    # (a part is not yet an object)
    assert get(gateway).body == (b'old' if 'part' in name else b'new')


def test_a_copy_is_over_when_its_document_is(gateway, origin):
    """What comes before that keeps the connection alive, no more."""
    cached(gateway, origin)
    gate = origin.gate(at=30)
    origin.on('bkt', 'key', method='PUT', gate=gate, error=(200, 'Late'))
    with raw_http.Connection(gateway.port()) as c:
        c.request('PUT', '/bkt/key', {'x-amz-copy-source': 'bkt/other'})
        assert c._until(b'\r\n\r\n').startswith(b'HTTP/1.1 200 ')
        gate.wait_reached()
        origin.put('bkt', 'key', b'new')
        assert [get(gateway)['X-Cache'] for _ in range(2)] == ['BYPASS'] * 2
        gate.open()
        while b'</Error>' not in c.seen:
            c.seen += c._more()
    for result in ('MISS', 'HIT'):
        answer = get(gateway)
        assert (answer.body, answer['X-Cache']) == (b'new', result)


def test_what_is_asked_of_the_origin_is_what_the_client_meant(
        make_gateway, origin):
    gateway = make_gateway(origin)
    headers = [
        ('Content-Type', 'a/b'), ('Content-Disposition', 'inline'),
        ('Cache-Control', 'no-store'), ('x-amz-meta-a_b', 'C d'),
        ('x-amz-acl', 'private'), ('x-amz-tagging', 'a=b'), ('Expires', '0'),
        ('x-amz-storage-class', 'X'), ('If-None-Match', '*'),
        ('x-amz-checksum-crc32', 'AAAAAA=='), ('x-amz-unheard-of', 'y'),
        ('x-amz-server-side-encryption', 'AES256')]
    taken_off = [
        ('Authorization', 'AWS4-HMAC-SHA256 x'), ('x-amz-date', 'x'),
        ('x-amz-security-token', 't'), ('x-rgw-auth', 'yes'),
        ('Cookie', 'c'), ('X-Forwarded-For', '1.2.3.4'), ('Referer', 'r'),
        ('X-HTTP-Method-Override', 'DELETE'), ('Connection', 'x-amz-acl'),
        ('x-amz-decoded-content-length', '7')]
    answer = put(gateway, b'body', headers + taken_off,
                 target='/bkt/a%2Fb//c?x=%20y&unheard-of&partNumber')
    assert answer.status == 200
    request, = origin.requests
    assert request.target == '/bkt/a/b//c?x=%20y&unheard-of&partNumber'
    for name, value in headers:
        assert request.header(name) == value
    for name, _ in taken_off:
        if name != 'Connection':
            assert request.header(name) is None, name
    assert request.header('content-length') == '4'


def test_requests_are_signed_anew_with_all_they_hold(make_gateway):
    with ScriptedOrigin(secrets={'AK': 'SK'}) as origin:
        origin.bucket('bkt')
        gateway = make_gateway(origin, keys=('AK', 'SK'))
        for headers in ((), [(f'x-amz-meta-{i}', f'v  {i}')
                             for i in range(60)]):
            assert put(gateway, b'body', headers).status == 200
        assert put(gateway, b'', target='/bkt/key?tagging&b=c%2Fd&a'
                   ).status == 200
        too_many = [(f'x-amz-meta-{i}', 'v') for i in range(130)]
        assert put(gateway, b'body', too_many).status in (400, 414)
        assert all(r.refused is None for r in origin.requests)


@pytest.mark.parametrize('slow', [False, True])
def test_uploads_to_an_origin_of_https(make_gateway, authority, slow):
    body = pattern(8 * MIB, 3)
    with ScriptedOrigin(tls=authority.server_context()) as origin:
        origin.bucket('bkt')
        gateway = make_gateway(
            origin, location='s3_cache_origin_ssl_trusted_certificate '
            f'{authority.cert};')
        gate = origin.gate(at=1_000_000)
        if slow:
            origin.on('bkt', 'key', method='PUT', body_gate=gate)
        with raw_http.Connection(gateway.port()) as c:
            c.request('PUT', '/bkt/key', {'Content-Length': str(len(body))})
            thread = threading.Thread(target=c.send, args=(body,))
            thread.start()
            if slow:
                gate.wait_reached()
                gate.open(to=5_000_000)
                gate.wait_reached(2)
                gate.open()
            thread.join()
            assert c.answer('PUT').status == 200
        assert origin.get('bkt', 'key').body == body
        assert get(gateway).body == body


# --- the client --------------------------------------------------------------

def test_a_client_that_leaves_in_mid_upload_has_not_written(gateway, origin):
    cached(gateway, origin)
    with raw_http.Connection(gateway.port()) as c:
        c.request('PUT', '/bkt/key', {'Content-Length': '10000000'},
                  b'x' * 300_000)
        origin.wait_requests(1, method='PUT')
        wait.until(lambda: origin.requests_for('bkt', 'key', 'PUT')[0]
                   .body_bytes > 100_000, 'some of the body')
        # as long as it goes on, its readers have what there is
        assert get(gateway)['X-Cache'] == 'HIT'
    wait.until(lambda: writes(gateway)['failed'] == 1, 'the end of it')
    assert writes(gateway)['unknown'] == 0
    answer = get(gateway)
    assert (answer.body, answer['X-Cache']) == (b'old', 'HIT')
    gateway.check_accounting()


def test_a_client_that_leaves_before_the_answer_may_have_written(
        gateway, origin):
    cached(gateway, origin)
    gate = origin.gate(at=299_000)
    origin.on('bkt', 'key', method='PUT', body_gate=gate)
    with raw_http.Connection(gateway.port()) as c:
        c.request('PUT', '/bkt/key', {'Content-Length': '300000'},
                  b'x' * 300_000)
        gate.wait_reached()
        assert get(gateway)['X-Cache'] == 'BYPASS'
    wait.until(lambda: writes(gateway)['unknown'] == 1, 'the end of it')
    assert get(gateway)['X-Cache'] == 'BYPASS'
    assert origin.get('bkt', 'key').body == b'old'
    gate.open()
    gateway.check_accounting()


@pytest.mark.parametrize('whole', [False, True])
def test_a_worker_that_dies_under_an_upload(make_gateway, origin, whole):
    gateway = make_gateway(origin, workers=2)
    cached(gateway, origin)
    gate = origin.gate(at=299_000)
    origin.on('bkt', 'key', method='PUT', body_gate=gate)
    with raw_http.Connection(gateway.port()) as c:
        c.request('PUT', '/bkt/key', {
            'Content-Length': '300000' if whole else '10000000'},
            b'x' * 300_000)
        gate.wait_reached()
        for pid in gateway.worker_pids():
            gateway.kill_worker(pid)
        assert c.to_end() == b''
    if whole:
        # it may have written
        assert get(gateway)['X-Cache'] == 'BYPASS'
        wait.until(lambda: writes(gateway)['unknown'] == 1, 'the sweep of it')
        assert get(gateway)['X-Cache'] == 'BYPASS'
    else:
        assert get(gateway)['X-Cache'] == 'HIT'
    gate.open()


# --- fills -------------------------------------------------------------------

@pytest.mark.parametrize('size', [100, 300_000])
def test_a_fill_that_began_before_the_write_is_not_shared_after_it(
        gateway, origin, size):
    old, new = pattern(size, 1), pattern(size, 2)
    origin.put('bkt', 'key', old)
    gate = origin.gate(at=50)
    rule = origin.on('bkt', 'key', method='GET', gate=gate, times=1,
                     object=origin.get('bkt', 'key'))
    with Reader(gateway, '/bkt/key') as early:
        gate.wait_reached()
        assert put(gateway, new).status == 200
        origin.off(rule)
        for result in ('MISS', 'HIT'):
            answer = get(gateway)
            assert (answer.body, answer['X-Cache']) == (new, result)
        gate.open()
        if size == 100:
            assert early.read_all() == old
    answer = get(gateway)
    assert (answer.body, answer['X-Cache']) == (new, 'HIT')


def test_readers_ask_the_origin_while_it_is_written(gateway, origin):
    cached(gateway, origin)
    gate = origin.gate()
    origin.on('bkt', 'key', method='PUT', gate=gate)
    with raw_http.Connection(gateway.port()) as c:
        c.request('PUT', '/bkt/key', {}, b'new')
        gate.wait_reached()
        for _ in range(3):
            answer = get(gateway)
            assert (answer.body, answer['X-Cache']) == (b'old', 'BYPASS')
        other = get(gateway, '/bkt/none')
        assert (other.status, other['X-Cache']) == (404, 'MISS')
        gate.open()
        assert c.answer('PUT').status == 200
    for result in ('MISS', 'HIT'):
        answer = get(gateway)
        assert (answer.body, answer['X-Cache']) == (b'new', result)
    assert writes(gateway)['fenced_reads'] == 3


@pytest.mark.parametrize('end', ['quit', 'kill_all'])
def test_flash_forgets_what_is_written(origin, make_flash, end):
    nginx = make_flash(origin, workers=1)
    old = {'key': pattern(100, 1), 'other': pattern(100, 2)}
    for key, body in old.items():
        origin.put('bkt', key, body)
        assert get(nginx, f'/bkt/{key}').body == body
    store.wait_on_media([store_path(nginx)], list(old.values()))
    assert put(nginx, b'new').status == 200
    assert get(nginx).body == b'new'
    gate = origin.gate()
    origin.on('bkt', 'key', method='PUT', gate=gate)
    with raw_http.Connection(nginx.port()) as c:
        c.request('PUT', '/bkt/key', {}, b'newer')
        gate.wait_reached()
        assert get(nginx).body == b'new'
        gate.open()
        assert c.answer('PUT').status == 200
    nginx.restart(end)
    store.wait_state(nginx)
    assert get(nginx).body == b'newer'
    asked = len(origin.requests)
    assert get(nginx, '/bkt/other').body == old['other']
    assert len(origin.requests) == asked


@pytest.mark.parametrize('end', ['quit', 'kill_all'])
def test_a_dropped_bucket_does_not_come_back_from_flash(
        origin, make_flash, end):
    nginx = make_flash(origin, workers=1)
    old = {'bkt': pattern(100, 1), 'calm': pattern(100, 2)}
    for bucket, body in old.items():
        origin.put(bucket, 'key', body)
        assert get(nginx, f'/{bucket}/key').body == body
    assert put(nginx, b'', target='/bkt?policy').status == 200
    store.wait_on_media([store_path(nginx)], [*old.values(), bytes(16)])
    origin.put('bkt', 'key', b'new')
    for _ in range(2):
        nginx.restart(end)
        store.wait_state(nginx)
        assert get(nginx).body == b'new'
        asked = len(origin.requests)
        assert get(nginx, '/calm/key').body == old['calm']
        assert len(origin.requests) == asked


@pytest.mark.parametrize('end', ['quit', 'kill_all'])
def test_a_version_that_was_deleted_does_not_come_back_from_flash(
        origin, make_flash, end):
    """It was kept before its key was ever written."""
    nginx = make_flash(origin, workers=1)
    body = pattern(100, 1)
    origin.put('bkt', 'key', body, version_id='v1')
    origin.put('bkt', 'key', b'two', version_id='v2')
    assert get(nginx, '/bkt/key?versionId=v1').body == body
    store.wait_on_media([store_path(nginx)], [body])
    assert put(nginx, b'three').status == 200
    rule = origin.on('bkt', 'key', method='DELETE', status=204)
    assert put(nginx, b'', target='/bkt/key?versionId=v1',
               method='DELETE').status == 204
    origin.off(rule)
    origin.delete('bkt', 'key')
    nginx.restart(end)
    store.wait_state(nginx)
    assert get(nginx, '/bkt/key?versionId=v1').status == 404


@pytest.mark.parametrize('where', ['header', 'query'])
@pytest.mark.parametrize('name', ['x-amz-rename-source',
                                  'X-Amz-Meta-Snowball-Auto-Extract'])
def test_a_write_of_more_keys_than_its_own(gateway, origin, name, where):
    """Of the key that is moved away, of those in an archive."""
    cached(gateway, origin)
    origin.put('bkt', 'key', b'new')
    target, headers = '/bkt/archive', {}
    if where == 'header':
        headers = {name: 'true'}
    else:
        target += f'?{name}=true'
    assert put(gateway, b'x', headers, target).status == 200
    assert get(gateway).body == b'new'


@pytest.mark.parametrize('how', ['keys', 'zone'])
def test_a_reload_under_an_upload(make_nginx, origin, how):
    """New workers keep it by other names, or elsewhere."""
    def pieces(key, size):
        return {'server': s3_location(origin.url, key, 'secret',
                                      valid='200 1h'),
                'http': s3_zone(size=size)}
    nginx = make_nginx(**pieces('one', '32m')).start()
    cached(nginx, origin)
    body = b'x' * 300_000
    with raw_http.Connection(nginx.port()) as c:
        c.request('PUT', '/bkt/key', {'Content-Length': str(len(body))},
                  body[:200_000])
        origin.wait_requests(1, method='PUT')
        nginx.pieces.update(pieces(*(('two', '32m') if how == 'keys'
                                     else ('one', '64m'))))
        nginx.reload()
        wait.until(lambda: get(nginx).body == b'old'
                   and get(nginx)['X-Cache'] == 'HIT', 'it to be kept')
        c.send(body[200_000:])
        answer = c.answer('PUT')
    if answer.status == 503:
        assert get(nginx).body == b'old'
    else:
        assert answer.status == 200
        assert get(nginx).body == body
    assert (answer.status == 503) == (how == 'zone')
