# SPDX-License-Identifier: Apache-2.0
"""s3_cache_list: pages of lists are kept, and no client that saw its write
succeed reads one of before."""

import threading

import pytest

import raw_http
from event_tells import TOKEN, make, told      # noqa: F401 (make: a fixture)
from lib import events, wait
from lib.nginx import s3_location, s3_zone
from list_reads import (ABOVE, DIRS, HOUR, Later, all_but, fill, keys_of, page,
                        put, results, target)
from origin.scripted_origin import ScriptedOrigin
from purges import ADMIN, purged

QUICK = (HOUR + ' s3_cache_origin_connect_timeout 500ms;'
         ' s3_cache_origin_send_timeout 500ms;'
         ' s3_cache_origin_read_timeout 500ms;')


@pytest.fixture
def origin():
    with ScriptedOrigin() as started:
        for key in ('a/b/c', 'a/z/1', 'x/y/1', 'ax1'):
            started.put('bkt', key, b'x')
        started.bucket('other')
        yield started


@pytest.fixture
def gateway(make_gateway, origin):
    return make_gateway(origin, location=HOUR)


def lists(origin):
    return [r for r in origin.requests if not r.key and r.method == 'GET']


def counts(gateway):
    return gateway.zone()['lists']


# --- kept --------------------------------------------------------------------

def test_one_request_to_the_origin_for_all_who_ask(gateway, origin):
    gate = origin.gate(at=10)
    rule = origin.on('bkt', '', gate=gate)
    readers = [Later(page, gateway, 'a/') for _ in range(8)]
    gate.wait_reached()
    wait.until(lambda: gateway.zone()['fills']['followed'] == 7,
               'all to wait')
    gate.open()
    answers = [reader.get() for reader in readers]
    origin.off(rule)
    assert sorted(a[0] for a in answers) == ['MISS'] + ['SHARED'] * 7
    assert all(a[1] == ['a/b/c', 'a/z/1'] for a in answers)
    assert page(gateway, 'a/') == ('HIT', ['a/b/c', 'a/z/1'])
    assert len(lists(origin)) == 1
    assert counts(gateway) == {'kept': 1, 'hit': 8, 'refused': 0, 'drops': 0}


@pytest.mark.parametrize('spelling', [
    '/bkt/?prefix=a%2Fb&list-type=2', '/bkt?list-type=2&&prefix=a/b&',
    '/bkt?x-id=ListObjectsV2&prefix=%61/b&%6cist-type=2',
    '/bkt?list-type=2&prefix=a%2fb&X-Amz-Signature=x&X-Amz-Credential=y'])
def test_a_page_is_the_same_however_it_is_asked_for(gateway, origin, spelling):
    page(gateway, 'a/b')
    answer = raw_http.ask(gateway.port(), 'GET', spelling)
    assert (answer['X-Cache'], keys_of(answer.body)) == ('HIT', ['a/b/c'])
    # and what the origin is asked for is the same, too
    put(gateway, 'a/b/d')
    answer = raw_http.ask(gateway.port(), 'GET', spelling)
    assert (answer['X-Cache'], keys_of(answer.body)) == (
        'MISS', ['a/b/c', 'a/b/d'])
    assert [r.target for r in lists(origin)] == [
        '/bkt/?list-type=2&prefix=a%2Fb'] * 2


def test_each_page_is_one_of_its_own(gateway, origin):
    shown = {more: page(gateway, 'a/', more=more)[1] for more in (
        'list-type=2', 'list-type=2&max-keys=1', 'max-keys=1',
        'list-type=2&start-after=a/b/c', '')}
    assert len(lists(origin)) == len(shown)
    for more, keys in shown.items():
        assert page(gateway, 'a/', more=more) == ('HIT', keys)
    assert page(gateway, 'a/', bucket='other') == ('MISS', [])


def test_a_hit_has_the_headers_of_the_origin(gateway, origin):
    origin.on('bkt', '', headers=[('x-amz-bucket-region', 'eu-west-1'),
                                  ('Content-Type', 'application/xml; a=b')])
    seen = []
    for result in ('MISS', 'HIT'):
        answer = raw_http.ask(gateway.port(), 'GET', target())
        assert answer['X-Cache'] == result
        assert answer['x-amz-bucket-region'] == 'eu-west-1'
        assert answer['Content-Type'] == 'application/xml; a=b'
        seen.append(answer['x-amz-request-id'])
    assert len(set(seen)) == 2
    # of a list S3 knows neither
    answer = raw_http.ask(gateway.port(), 'GET', target(), {
        'Range': 'bytes=0-9', 'If-None-Match': '*'})
    assert (answer.status, answer['X-Cache']) == (200, 'HIT')
    assert answer.body.endswith(b'</ListBucketResult>')


@pytest.mark.parametrize('method, query, headers', [
    ('GET', 'versions', {}), ('GET', 'uploads', {}), ('GET', 'location', {}),
    ('GET', 'list-type=2&prefix=a&prefix=a', {}),
    ('GET', 'list-type=2&unheard-of=1', {}), ('GET', 'list-type=3', {}),
    ('GET', 'list-type=2', {'Origin': 'https://a'}),
    ('GET', 'list-type=2', {'x-amz-request-payer': 'requester'}),
    ('GET', 'list-type=2', {'x-amz-expected-bucket-owner': '1'}),
    ('GET', 'list-type=2',
     {'x-amz-optional-object-attributes': 'RestoreStatus'}),
    ('HEAD', '', {})])
def test_what_passes(gateway, origin, method, query, headers):
    for _ in range(2):
        answer = raw_http.ask(gateway.port(), method, f'/bkt?{query}', headers)
        assert answer['X-Cache'] == 'BYPASS'
    assert len([r for r in origin.requests if r.bucket == 'bkt']) == 2


def test_without_it_lists_pass(make_gateway, origin):
    gateway = make_gateway(origin, http=HOUR, location='s3_cache_list off;')
    for _ in range(2):
        assert page(gateway)[0] == 'BYPASS'
    put(gateway, 'a/b/k')
    assert counts(gateway) == {'kept': 0, 'hit': 0, 'refused': 0, 'drops': 0}


def test_a_page_is_kept_for_its_time(make_gateway, origin):
    """Also where objects are immutable, and stale ones welcome."""
    gateway = make_gateway(
        origin, valid='200 1h', location='s3_cache_list 1s;'
        's3_cache_freshness immutable; s3_cache_stale_if_error 1h;'
        's3_cache_stale_while_revalidate 1h;')
    page(gateway, 'a/')
    origin.put('bkt', 'a/past', b'x')
    wait.until(lambda: 'a/past' in page(gateway, 'a/')[1], 'its end')
    assert page(gateway, 'a/')[0] in ('HIT', 'MISS')
    origin.on('bkt', '', error=(500, 'InternalError'))
    wait.until(lambda: raw_http.ask(gateway.port(), 'GET', target('a/')).status
               == 500, 'its end')


def test_who_wants_the_truth_asks_the_origin(make_gateway, origin):
    gateway = make_gateway(origin, location=HOUR)
    fill(gateway, ['a/'])
    origin.put('bkt', 'a/past', b'x')
    assert page(gateway, 'a/')[0] == 'HIT'
    assert page(gateway, 'a/', {'Cache-Control': 'no-cache'}) == (
        'MISS', ['a/b/c', 'a/past', 'a/z/1'])
    assert page(gateway, 'a/') == ('HIT', ['a/b/c', 'a/past', 'a/z/1'])


def test_strict_lists_are_asked_for_each_time(make_gateway, origin):
    gateway = make_gateway(origin,
                           location=HOUR + 's3_cache_freshness strict;')
    for n in range(3):
        origin.put('bkt', f'a/{n}', b'x')
        result, keys = page(gateway, 'a/')
        assert (result, f'a/{n}' in keys) == ('MISS', True)


# --- what is not kept --------------------------------------------------------

DOCUMENT = b'<ListBucketResult><Key>k</Key></ListBucketResult>'


@pytest.mark.parametrize('document', [
    DOCUMENT[:-3], b'', b'<Error><Code>InternalError</Code></Error>',
    DOCUMENT + b'x', b'{}'])
def test_a_document_that_is_no_whole_list_is_relayed(
        gateway, origin, document):
    rule = origin.on('bkt', '', raw=(
        b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s'
        % (len(document), document)))
    for n in range(2):
        answer = raw_http.ask(gateway.port(), 'GET', target())
        assert (answer.status, answer.body) == (200, document)
        assert answer['X-Cache'] == 'BYPASS'
    origin.off(rule)
    assert page(gateway)[0] == 'MISS'
    assert counts(gateway) == {'kept': 1, 'hit': 0, 'refused': 2, 'drops': 0}


@pytest.mark.parametrize('framing', ['length', 'chunked', 'close'])
@pytest.mark.parametrize('size', [60_000, 200_000, 1_100_000])
def test_however_it_comes_it_is_whole(gateway, origin, framing, size):
    """One that is larger than a block is not kept."""
    for n in range(size // 1000):
        origin.put('bkt', f'{n:06}' + 'k' * 870, b'')
    origin.on('bkt', '', framing=framing, piece=4000)
    keys = sorted(origin.bucket('bkt'))
    more = f'list-type=2&max-keys={len(keys)}'
    for n in range(3):
        answer = raw_http.ask(gateway.port(), 'GET', target(more=more))
        assert keys_of(answer.body) == keys
        assert answer['X-Cache'] == ('BYPASS' if size > 1_000_000
                                     else 'HIT' if n else 'MISS')


@pytest.mark.parametrize('error', [
    (404, 'NoSuchBucket'), (403, 'AccessDenied'), (500, 'InternalError'),
    (503, 'SlowDown')])
def test_an_error_is_not_kept(make_gateway, origin, error):
    gateway = make_gateway(origin, valid='404 1h', location=HOUR)
    rule = origin.on('bkt', '', error=error)
    for n in range(2):
        answer = raw_http.ask(gateway.port(), 'GET', target())
        assert (answer.status, answer.element('Code')) == error
        assert len(lists(origin)) == n + 1
    origin.off(rule)
    assert page(gateway)[0] == 'MISS'


@pytest.mark.parametrize('how, status', [
    ({'drop': True}, 502), ({'hang': True}, 504), ({'cut_at': 50}, 502)])
def test_an_origin_that_fails(make_gateway, origin, how, status):
    gateway = make_gateway(origin, location=QUICK)
    rule = origin.on('bkt', '', **how)
    assert raw_http.ask(gateway.port(), 'GET', target()).status == status
    origin.off(rule)
    assert [page(gateway)[0] for _ in range(2)] == ['MISS', 'HIT']


# --- writes ------------------------------------------------------------------

COPY = {'x-amz-copy-source': 'bkt/x/y/1'}
WRITES = {'put': ('PUT', '', {}), 'delete': ('DELETE', '', {}),
          'version': ('DELETE', '?versionId=v', {}),
          'copy': ('PUT', '', COPY), 'acl': ('PUT', '?acl', {}),
          'tags': ('DELETE', '?tagging', {}), 'append': ('POST', '?append', {}),
          'unheard of': ('PATCH', '?unheard-of', {})}


@pytest.mark.parametrize('how', WRITES)
def test_a_write_drops_the_directories_above_it(gateway, how):
    method, query, headers = WRITES[how]
    fill(gateway)
    fill(gateway, bucket='other')
    put(gateway, 'a/b/k', method=method, query=query, headers=headers)
    assert results(gateway) == all_but(ABOVE)
    assert results(gateway, bucket='other') == all_but(())
    assert results(gateway) == all_but(())
    assert counts(gateway)['drops'] == 3


def test_what_was_written_is_seen_and_what_was_deleted_is_not(gateway):
    fill(gateway)
    for prefix in ABOVE:
        put(gateway, f'{prefix}new')
        assert f'{prefix}new' in page(gateway, prefix)[1]
        put(gateway, f'{prefix}new', method='DELETE')
        assert f'{prefix}new' not in page(gateway, prefix)[1]


@pytest.mark.parametrize('key, gone', [
    ('k', ['']), ('1/2/3/4/5/6/7/8/9/k', ['', '1/2/3/4/5/6/7/8/9/', '1/']),
    ('1/2/3/4/5/6/7/8/k', ['', '1/2/3/4/5/6/7/8/9/', '1/']),
    ('/', ['', '/', '/k']), ('//k', ['', '/', '//', '/k']),
    ('q', ['']), ('é ü/k', ['', 'é ü/'])])
def test_directories_of_odd_keys(gateway, key, gone):
    dirs = ['', '1/', '1/2/3/4/5/6/7/8/9/', '1/2/x/', '/', '//', '/k',
            'é ü/']
    fill(gateway, dirs)
    assert put(gateway, key).status == 200
    assert results(gateway, dirs) == all_but(gone, dirs)


def test_uploads_of_parts_are_written_when_they_are_complete(gateway, origin):
    fill(gateway)
    answer = put(gateway, 'a/b/k', b'', 'POST', query='?uploads')
    name = answer.element('UploadId')
    etag = put(gateway, 'a/b/k', b'part',
               query=f'?uploadId={name}&partNumber=1')['ETag']
    assert results(gateway) == all_but(())
    document = ('<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>'
                f'<ETag>{etag}</ETag></Part></CompleteMultipartUpload>')
    assert put(gateway, 'a/b/k', document.encode(), 'POST',
               query=f'?uploadId={name}').status == 200
    assert results(gateway) == all_but(ABOVE)
    assert 'a/b/k' in page(gateway, 'a/b/')[1]


def delete_many(gateway, keys):
    document = '<Delete>%s</Delete>' % ''.join(
        f'<Object><Key>{key}</Key></Object>' for key in keys)
    return raw_http.ask(gateway.port(), 'POST', '/bkt?delete', (),
                        document.encode(), close=False)


def test_many_keys_of_one_request(gateway):
    fill(gateway)
    assert delete_many(gateway, ['a/b/k', 'a/b/c', 'a/b/l']).status == 200
    assert results(gateway) == all_but(ABOVE)
    # each directory once
    assert counts(gateway)['drops'] == 3
    assert delete_many(gateway, ['a/b/k', 'x/k']).status == 200
    assert results(gateway) == all_but((*ABOVE, 'x/'))


def test_many_directories_of_one_request_are_the_bucket(gateway, origin):
    keys = [f'{n}/{n}/{n}/{n}/{n}/{n}/k' for n in range(900)]
    for key in keys:
        origin.put('bkt', key, b'x')
    fill(gateway)
    fill(gateway, [f'{n}/' for n in (1, 500, 899)])
    fill(gateway, bucket='other')
    gate = origin.gate()
    rule = origin.on('bkt', '', method='POST', gate=gate)
    answer = Later(delete_many, gateway, keys)
    gate.wait_reached()
    assert page(gateway, '899/')[0] == 'BYPASS'
    gate.open()
    assert answer.get().status == 200
    origin.off(rule)
    assert counts(gateway)['drops'] == 65
    assert results(gateway) == all_but(DIRS)
    for n in (1, 500, 899):
        assert page(gateway, f'{n}/') == ('MISS', [])
    assert results(gateway, bucket='other') == all_but(())
    assert results(gateway) == all_but(())


@pytest.mark.parametrize('method, query, body', [
    ('PUT', '', b''), ('PUT', '?policy', b'{}'),
    ('POST', '', b'--x\r\nContent-Disposition: form-data; name="key"\r\n\r\n'
     b'a/b/k\r\n--x--\r\n'), ('POST', '?delete', b'<What/>')])
def test_what_is_of_the_bucket_drops_all_its_lists(
        gateway, method, query, body):
    fill(gateway)
    fill(gateway, bucket='other')
    raw_http.ask(gateway.port(), method, f'/bkt{query}', {
        'Content-Type': 'multipart/form-data; boundary=x'}, body, close=False)
    assert results(gateway) == all_but(DIRS)
    assert results(gateway, bucket='other') == all_but(())


def test_an_event_drops_as_a_write_does(make, origin):      # noqa: F811
    gateway = make(origin, f'token={TOKEN}', more=HOUR)
    fill(gateway)
    origin.put('bkt', 'a/b/k', b'x')
    assert results(gateway) == all_but(())
    told(gateway, events.s3('bkt', 'a/b/k'))
    assert results(gateway) == all_but(ABOVE)
    assert 'a/b/k' in page(gateway, 'a/b/')[1]
    told(gateway, {'Records': [{'s3': {'bucket': {'name': 'bkt'}}}]})
    assert results(gateway) == all_but(DIRS)


def test_a_write_by_other_credentials_drops_it_too(make_nginx, origin):
    location = s3_location(origin.url, 'one', 'secret', more=HOUR)
    nginx = make_nginx(http=s3_zone(), server=location + location.replace(
        'location /', 'location /bkt/a/b/k').replace('=one', '=two').replace(
            HOUR, '')).start()
    fill(nginx)
    assert put(nginx, 'a/b/k').status == 200
    assert origin.requests[-1].header('authorization').count('=two/')
    assert results(nginx) == all_but(ABOVE)


def test_a_write_through_a_location_that_keeps_none(make_nginx, origin):
    keeps = s3_location(origin.url, 'one', 'secret', more=HOUR)
    keeps_not = keeps.replace('location /', 'location /bkt/a/b/k').replace(
        HOUR, '')
    nginx = make_nginx(http=s3_zone(), server=keeps_not + keeps).start()
    fill(nginx)
    assert put(nginx, 'a/b/k').status == 200
    assert results(nginx) == all_but(ABOVE)


# --- while it is written -----------------------------------------------------

def test_while_it_is_written_the_origin_is_asked(gateway, origin):
    fill(gateway)
    gate = origin.gate()
    rule = origin.on('bkt', 'a/b/k', method='PUT', gate=gate)
    write = Later(put, gateway, 'a/b/k')
    gate.wait_reached()
    for _ in range(2):
        assert results(gateway) == all_but(ABOVE, instead='BYPASS')
    origin.put('bkt', 'a/b/k', b'x')
    assert 'a/b/k' in page(gateway, 'a/b/')[1]
    gate.open()
    assert write.get().status == 200
    origin.off(rule)
    assert results(gateway) == all_but(ABOVE)
    assert results(gateway) == all_but(())
    assert gateway.zone()['writes']['fenced_reads'] == 2 * len(ABOVE) + 1


@pytest.mark.parametrize('query, headers', [
    ('?policy', {}), ('/x/k', {'x-amz-rename-source': 'bkt/a/b/c'}),
    ('/x/k', {'x-amz-meta-snowball-auto-extract': 'true'})])
def test_while_a_bucket_is_written_no_list_of_it_is_kept(
        gateway, origin, query, headers):
    fill(gateway)
    fill(gateway, bucket='other')
    gate = origin.gate()
    rule = origin.on('bkt', method='PUT', gate=gate)
    write = Later(raw_http.ask, gateway.port(), 'PUT', f'/bkt{query}', headers,
                  b'{}', close=False)
    gate.wait_reached()
    for _ in range(2):
        assert results(gateway) == all_but(DIRS, instead='BYPASS')
        assert results(gateway, bucket='other') == all_but(())
    gate.open()
    assert write.get().status == 200
    origin.off(rule)
    assert results(gateway) == all_but(DIRS)


def test_a_list_under_way_is_not_kept_when_a_write_has_ended(gateway, origin):
    gate = origin.gate(at=10)
    rule = origin.on('bkt', '', gate=gate)
    before = Later(page, gateway, 'a/')
    gate.wait_reached()
    origin.off(rule)
    assert put(gateway, 'a/b/k').status == 200
    assert page(gateway, 'a/') == ('MISS', ['a/b/c', 'a/b/k', 'a/z/1'])
    gate.open()
    assert before.get() == ('MISS', ['a/b/c', 'a/z/1'])
    assert page(gateway, 'a/') == ('HIT', ['a/b/c', 'a/b/k', 'a/z/1'])


@pytest.mark.parametrize('how', [{'drop': True}, {'hang': True},
                                 {'error': (500, 'InternalError')}])
def test_an_outcome_that_nobody_knows(make_gateway, origin, how):
    gateway = make_gateway(origin, location=QUICK)
    fill(gateway)
    rule = origin.on('bkt', 'a/b/k', method='PUT', **how)
    assert put(gateway, 'a/b/k').status >= 500
    origin.off(rule)
    # it may still come true
    assert results(gateway) == all_but(ABOVE, instead='BYPASS')
    origin.put('bkt', 'a/b/k', b'x')
    assert page(gateway, 'a/b/') == ('BYPASS', ['a/b/c', 'a/b/k'])


def test_a_worker_that_is_killed_in_the_midst_of_a_write(make_gateway, origin):
    gateway = make_gateway(origin, location=HOUR, workers=2)
    fill(gateway)
    gate = origin.gate()
    origin.on('bkt', 'a/b/k', method='PUT', gate=gate)
    write = Later(put, gateway, 'a/b/k')
    gate.wait_reached()
    for pid in gateway.worker_pids():
        gateway.kill_worker(pid)
    with pytest.raises((AssertionError, ConnectionError, raw_http.Malformed)):
        assert write.get().status == 200
    for _ in range(2):
        assert results(gateway) == all_but(ABOVE, instead='BYPASS')
    origin.put('bkt', 'a/b/k', b'x')        # it comes true
    assert page(gateway, 'a/b/') == ('BYPASS', ['a/b/c', 'a/b/k'])
    gate.open()


# --- reloads -----------------------------------------------------------------

def pieces(origin, location):
    return {'http': s3_zone(), 'server': s3_location(origin.url,
                                                     more=location)}


def test_a_reload_that_begins_to_keep_lists_under_a_write(make_nginx, origin):
    nginx = make_nginx(**pieces(origin, '')).start()
    gate = origin.gate()
    rule = origin.on('bkt', 'a/b/k', method='PUT', gate=gate)
    write = Later(put, nginx, 'a/b/k')
    gate.wait_reached()
    nginx.pieces.update(pieces(origin, HOUR))
    nginx.reload()
    # whoever began it knew of no lists
    for _ in range(2):
        assert page(nginx, 'a/b/') == ('BYPASS', ['a/b/c'])
    gate.open()
    assert write.get().status == 200
    origin.off(rule)
    assert page(nginx, 'a/b/') == ('MISS', ['a/b/c', 'a/b/k'])
    assert page(nginx, 'a/b/')[0] == 'HIT'


def test_an_old_worker_drops_what_the_new_ones_keep(make_nginx, origin):
    """Its client has yet to send the end of the body."""
    nginx = make_nginx(**pieces(origin, '')).start()
    with raw_http.Connection(nginx.port()) as c:
        c.request('PUT', '/bkt/a/b/k', {'Content-Length': '300000'},
                  b'x' * 200_000)
        origin.wait_requests(1, method='PUT')
        nginx.pieces.update(pieces(origin, HOUR))
        nginx.reload()
        fill(nginx)
        c.send(b'x' * 100_000)
        assert c.answer('PUT').status == 200
    assert results(nginx) == all_but(DIRS)
    assert 'a/b/k' in page(nginx, 'a/b/')[1]


def test_an_old_worker_keeps_no_lists_when_the_new_ones_fence_none(
        make_nginx, origin):
    """Its client was about to ask: it has been accepted, as those were that came
    after it."""
    nginx = make_nginx(workers=1, **pieces(origin, HOUR)).start()
    with raw_http.Connection(nginx.port()) as c:
        c.send(b'GET /bkt?list-type=2&prefix=a/b/ HTTP/1.1\r\n')
        fill(nginx)
        nginx.pieces.update(pieces(origin, ''))
        nginx.reload()
        assert put(nginx, 'a/b/k').status == 200
        c.send(b'Host: x\r\n\r\n')
        answer = c.answer()
    assert (answer['X-Cache'], keys_of(answer.body)) == (
        'BYPASS', ['a/b/c', 'a/b/k'])


def test_what_was_kept_before_a_reload_that_kept_none(make_nginx, origin):
    nginx = make_nginx(**pieces(origin, HOUR)).start()
    fill(nginx)
    nginx.reload()
    assert results(nginx) == all_but(())
    nginx.pieces.update(pieces(origin, ''))
    nginx.reload(wait_old=True)
    assert put(nginx, 'a/b/k').status == 200
    nginx.pieces.update(pieces(origin, HOUR))
    nginx.reload(wait_old=True)
    assert page(nginx, 'a/b/') == ('MISS', ['a/b/c', 'a/b/k'])
    assert page(nginx, 'a/b/')[0] == 'HIT'


# --- many at a time ----------------------------------------------------------

def test_whoever_has_written_sees_it_in_every_list(make_gateway, origin):
    """Each client has keys of its own, in directories that all share, and looks
    for them after each of its writes."""
    gateway = make_gateway(origin, location=HOUR, workers=3)
    stop, wrong, done = threading.Event(), [], []

    def client(n):
        for turn in range(60):
            prefix = ('', 'a/', 'a/b/')[turn % 3]
            key = f'{prefix}mine{n}'
            for method in ('PUT', 'DELETE'):
                assert put(gateway, key, method=method).status in (200, 204)
                for look in ('', 'a/', 'a/b/'):
                    if not key.startswith(look):
                        continue
                    seen = key in page(gateway, look)[1]
                    if seen != (method == 'PUT'):
                        wrong.append((n, turn, method, look))
        done.append(n)

    def reader():
        while not stop.is_set():
            for look in ('', 'a/', 'a/b/', 'x/'):
                page(gateway, look)

    readers = [Later(reader) for _ in range(2)]
    for each in [Later(client, n) for n in range(4)]:
        each.get(100)
    stop.set()
    for each in readers:
        each.get()
    assert not wrong
    assert len(done) == 4
    found = counts(gateway)
    assert found['hit'] > 100 and found['kept'] > 100


# --- purged ------------------------------------------------------------------

@pytest.mark.parametrize('what, args, gone', [
    ('key', {'bucket': 'bkt', 'key': 'a/b/k'}, ABOVE),
    ('prefix', {'bucket': 'bkt', 'prefix': 'a/b'},
     ('', 'a/', 'a/b/', 'a/b/c', 'a/b/c/')),
    ('bucket', {'bucket': 'bkt'}, DIRS),
    ('all', {}, DIRS)])
def test_a_purge_drops_what_shows_it(make_gateway, origin, what, args, gone):
    nginx = make_gateway(origin, location=HOUR, server=ADMIN)
    fill(nginx)
    fill(nginx, [''], bucket='other')
    purged(nginx, what, **args)
    assert results(nginx) == all_but(gone)
    assert page(nginx, '', bucket='other')[0] == (
        'MISS' if what == 'all' else 'HIT')
