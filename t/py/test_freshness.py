# SPDX-License-Identifier: Apache-2.0
"""How long an answer is believed, and what happens when it is not.

Where time must pass, a condition is awaited; where an answer must be stale,
its validity is 0, so that no clock decides.
"""

import pytest

from lib import wait
from lib.reader import LANES, Lanes, Reader
from origin.objects import pattern

TARGET = '/bkt/key'
CHECKSUM = 'x-amz-checksum-crc32'


def methods(origin):
    """What the origin was asked, in order."""
    return ''.join({'GET': 'G', 'HEAD': 'H'}[r.method]
                   for r in origin.requests_for('bkt', 'key'))


def get(nginx, cache=None, body=None, status=200, **headers):
    answer = nginx.get(TARGET, **headers)
    assert answer.status == status
    if answer.getheader('X-Cache') == 'MISS':
        # the last byte is told before its fill is closed, and until then the
        # next reader shares it
        wait.until(lambda: nginx.zone()['memory']['fills'] == 0, 'no fills')
    if cache is not None:
        assert answer.getheader('X-Cache') == cache
    if body is not None:
        assert answer.body == body
    return answer


# --- ttl ------------------------------------------------------------------------

def test_a_fresh_answer_is_never_asked_about(origin, make_gateway):
    origin.put('bkt', 'key', b'old')
    nginx = make_gateway(origin, valid='200 1h')
    get(nginx, 'MISS', b'old')
    origin.put('bkt', 'key', b'new')
    for _ in range(5):
        get(nginx, 'HIT', b'old')
    assert nginx.request('HEAD', TARGET).getheader('X-Cache') == 'HIT'
    assert methods(origin) == 'G'


@pytest.mark.parametrize('size', [0, 1000, 3 << 20])
def test_an_expired_answer_is_revalidated_and_not_fetched_again(
        origin, make_gateway, size):
    body = pattern(size)
    origin.put('bkt', 'key', body)
    nginx = make_gateway(origin, valid='200 0s')
    get(nginx, 'MISS', body)
    fetched = len(origin.requests)
    for n in range(1, 4):
        get(nginx, 'REVALIDATED', body)
        assert methods(origin)[fetched:] == 'H' * n


def test_what_a_ranged_read_brought_is_completed_by_its_check(
        origin, make_gateway):
    """A HEAD tells the checksums that a 206 does not."""
    body = pattern(1000)
    obj = origin.put('bkt', 'key', body)
    nginx = make_gateway(origin, valid='200 1h')
    assert get(nginx, 'MISS', body[:10], 206, Range='bytes=0-9')
    answer = get(nginx, body=body, x_amz_checksum_mode='ENABLED')
    assert answer.getheader(CHECKSUM) == obj.checksum()
    assert answer.getheader('ETag') == obj.etag
    assert methods(origin) == 'GH'
    answer = get(nginx, 'HIT', body, x_amz_checksum_mode='ENABLED')
    assert answer.getheader(CHECKSUM) == obj.checksum()


def test_an_answer_expires(origin, make_gateway):
    origin.put('bkt', 'key', b'old')
    nginx = make_gateway(origin, valid='200 1s')
    get(nginx, 'MISS', b'old')
    origin.put('bkt', 'key', b'new')
    wait.until(lambda: get(nginx).body == b'new', 'the new version')
    assert methods(origin) == 'GHG'
    # and is fresh again
    get(nginx, body=b'new')


def test_a_revalidated_answer_is_fresh_again(origin, make_gateway):
    origin.put('bkt', 'key', b'body')
    nginx = make_gateway(origin, valid='200 1s')
    get(nginx, 'MISS')
    wait.until(lambda: get(nginx).getheader('X-Cache') == 'REVALIDATED',
               'it expires')
    get(nginx, 'HIT', b'body')
    assert methods(origin) == 'GH'


@pytest.mark.parametrize('size', [5, 3 << 20])
@pytest.mark.parametrize('ranged', [False, True])
def test_a_change_is_seen_after_expiry(origin, make_gateway, size, ranged):
    old, new = pattern(size, 1), pattern(size, 2)
    origin.put('bkt', 'key', old)
    nginx = make_gateway(origin, valid='200 0s')
    get(nginx, 'MISS', old)
    obj = origin.put('bkt', 'key', new)
    if ranged:
        answer = get(nginx, None, new[1:4], 206, Range='bytes=1-3')
    else:
        answer = get(nginx, None, new)
    assert answer.getheader('ETag') == obj.etag
    get(nginx, 'REVALIDATED', new)


@pytest.mark.parametrize('size', [5, 3 << 20])
def test_new_metadata_of_the_same_bytes_is_seen_without_a_fetch(
        origin, make_gateway, size):
    """As after a copy of an object onto itself: the ETag stays."""
    body = pattern(size)
    origin.put('bkt', 'key', body, {'x-amz-meta-a': 'one'},
               last_modified=1_700_000_000)
    nginx = make_gateway(origin, valid='200 0s')
    assert get(nginx, 'MISS', body).getheader('x-amz-meta-a') == 'one'
    fetched = methods(origin)
    origin.put('bkt', 'key', body, {'x-amz-meta-a': 'two',
                                    'Cache-Control': 'no-store'},
               last_modified=1_700_000_000)
    answer = get(nginx, None, body)
    assert answer.getheader('x-amz-meta-a') == 'two'
    assert answer.getheader('Cache-Control') == 'no-store'
    assert methods(origin) == fetched + 'H'
    answer = nginx.request('HEAD', TARGET)
    assert answer.getheader('x-amz-meta-a') == 'two'
    assert methods(origin) == fetched + 'HH'


def test_a_new_date_of_the_same_etag_is_another_version(
        origin, make_gateway):
    body = pattern(3 << 20)
    origin.put('bkt', 'key', body, last_modified=1_700_000_000)
    nginx = make_gateway(origin, valid='200 0s')
    first = get(nginx, 'MISS', body).getheader('Last-Modified')
    origin.put('bkt', 'key', body, last_modified=1_700_000_100)
    answer = get(nginx, None, body)
    assert answer.getheader('Last-Modified') != first


def test_a_deletion_is_seen_after_expiry(origin, make_gateway):
    origin.put('bkt', 'key', b'body')
    nginx = make_gateway(origin, valid='200 0s')
    get(nginx, 'MISS', b'body')
    origin.delete('bkt', 'key')
    assert b'<Code>NoSuchKey<' in get(nginx, status=404).body
    assert nginx.request('HEAD', TARGET).status == 404
    assert get(nginx, status=404, Range='bytes=0-1').body


def test_an_object_forbidden_later_is_not_served(origin, make_gateway):
    origin.put('bkt', 'key', b'body')
    nginx = make_gateway(origin, 's3_cache_stale_if_error 1h;',
                         valid='200 0s')
    get(nginx, 'MISS', b'body')
    origin.on('bkt', 'key', error=(403, 'AccessDenied'))
    for _ in range(2):
        assert b'AccessDenied' in get(nginx, status=403).body
    origin.off()
    get(nginx, 'MISS', b'body')


def test_many_who_find_it_expired_cost_one_question(origin, make_gateway):
    body = pattern(1000)
    origin.put('bkt', 'key', body)
    nginx = make_gateway(origin, server=LANES, valid='200 0s')
    get(nginx, 'MISS', body)
    gate = origin.gate()
    origin.on('bkt', 'key', gate=gate)
    with Lanes(nginx, each=10) as lanes:
        readers = [lanes.reader(pid, TARGET)
                   for pid in lanes.pids for _ in range(10)]
        gate.wait_reached()
        wait.until(lambda: nginx.zone()['memory']['pins'] >= 40,
                   'all wait for the answer')
        gate.open()
        for reader in readers:
            assert reader.read_all() == body
            reader.close()
    assert methods(origin) == 'GH'


# --- by status --------------------------------------------------------------------

@pytest.mark.parametrize('valid, kept', [
    ('200 1h', False), ('404 1h', True), ('any 1h', True), ('1h', False)])
def test_a_404_is_kept_only_where_it_is_said(
        origin, make_gateway, valid, kept):
    origin.bucket('bkt')
    nginx = make_gateway(origin, valid=valid)
    for _ in range(3):
        assert b'<Code>NoSuchKey<' in get(nginx, status=404).body
    assert methods(origin) == ('G' if kept else 'GGG')
    origin.put('bkt', 'key', b'body')
    if kept:
        get(nginx, 'HIT', status=404)
    else:
        get(nginx, 'MISS', b'body')


def test_an_object_that_comes_to_exist_is_found(origin, make_gateway):
    origin.bucket('bkt')
    nginx = make_gateway(origin, valid='404 1s')
    get(nginx, 'MISS', status=404)
    get(nginx, 'HIT', status=404)
    origin.put('bkt', 'key', b'body')
    wait.until(lambda: nginx.get(TARGET).status == 200, 'it is found')
    get(nginx, 'HIT', b'body')
    assert methods(origin) == 'GG'


def test_a_404_answers_every_kind_of_read(origin, make_gateway):
    origin.bucket('bkt')
    nginx = make_gateway(origin, valid='404 1h')
    body = get(nginx, 'MISS', status=404).body
    assert get(nginx, 'HIT', status=404, Range='bytes=5-').body == body
    assert get(nginx, 'HIT', status=404, If_None_Match='"x"').body == body
    answer = nginx.request('HEAD', TARGET)
    assert (answer.status, answer.body) == (404, b'')
    assert methods(origin) == 'G'


@pytest.mark.parametrize('status, code', [
    (403, 'AccessDenied'), (500, 'InternalError'), (503, 'SlowDown')])
def test_other_errors_are_never_kept(origin, make_gateway, status, code):
    origin.put('bkt', 'key', b'body')
    nginx = make_gateway(origin, valid='any 1h')
    origin.on('bkt', 'key', error=(status, code))
    for _ in range(2):
        assert code.encode() in get(nginx, status=status).body
    assert methods(origin) == 'GG'
    origin.off()
    get(nginx, 'MISS', b'body')


def test_forever(origin, make_gateway):
    origin.put('bkt', 'key', b'old')
    nginx = make_gateway(origin, valid='200 forever')
    get(nginx, 'MISS', b'old')
    origin.put('bkt', 'key', b'new')
    get(nginx, 'HIT', b'old')
    assert methods(origin) == 'G'


# --- modes ----------------------------------------------------------------------------

def test_immutable_never_asks_again(origin, make_gateway):
    origin.put('bkt', 'key', b'old')
    nginx = make_gateway(origin, 's3_cache_freshness immutable;',
                         valid='200 0s')
    get(nginx, 'MISS', b'old')
    origin.put('bkt', 'key', b'new')
    for _ in range(3):
        get(nginx, 'HIT', b'old')
    assert methods(origin) == 'G'


def test_strict_asks_every_time(origin, make_gateway):
    origin.put('bkt', 'key', b'old')
    nginx = make_gateway(origin, 's3_cache_freshness strict;',
                         valid='200 1h')
    get(nginx, 'MISS', b'old')
    for n in range(1, 4):
        get(nginx, 'REVALIDATED', b'old')
        assert methods(origin) == 'G' + n * 'H'
    for i in range(5):
        origin.put('bkt', 'key', b'new%d' % i)
        get(nginx, None, b'new%d' % i)
    origin.delete('bkt', 'key')
    get(nginx, status=404)


def test_strict_does_not_take_the_answer_to_an_earlier_question(
        origin, make_gateway):
    """A change between another's question and mine must be seen by me."""
    origin.put('bkt', 'key', b'old')
    nginx = make_gateway(origin, 's3_cache_freshness strict;', server=LANES)
    get(nginx, 'MISS', b'old')

    gate = origin.gate()
    # the first answer, about the old version, is long on its way
    origin.on('bkt', 'key', times=1, gate=gate, method='HEAD',
              object=origin.get('bkt', 'key'))
    with Lanes(nginx) as lanes:
        first = lanes.reader(lanes.pids[0], TARGET)
        gate.wait_reached()
        origin.put('bkt', 'key', b'new')
        for pid in lanes.pids:
            reader = lanes.reader(pid, TARGET)
            assert reader.read_all() == b'new'
            reader.close()
        gate.open()
        assert first.read_all() in (b'old', b'new')
        first.close()


@pytest.mark.parametrize('at', [0, 500, 40_000])
@pytest.mark.parametrize('how', ['strict', 'no-cache'])
def test_who_wants_the_truth_does_not_take_an_older_fill(
        origin, make_gateway, how, at):
    """It was begun before the change, the question came after it."""
    old, new = pattern(50_000, 1), pattern(50_000, 2)
    origin.put('bkt', 'key', old)
    nginx = make_gateway(
        origin, 's3_cache_freshness strict;' if how == 'strict' else '',
        server=LANES, valid='200 1h')
    gate = origin.gate(at=at)
    origin.on('bkt', 'key', gate=gate, times=1)
    with Lanes(nginx) as lanes:
        first = lanes.reader(lanes.pids[0], TARGET)
        gate.wait_reached()
        origin.put('bkt', 'key', new)
        held = nginx.zone()['memory']['pins']
        late = [lanes.reader(pid, TARGET, headers={
            'Cache-Control': 'no-cache'} if how == 'no-cache' else {})
            for pid in lanes.pids]
        wait.until(lambda: nginx.zone()['memory']['pins'] >= held + 2
                   or len(origin.requests) >= 3, 'they were heard')
        gate.open()
        for reader in late:
            assert reader.read_all() == new
            reader.close()
        assert first.read_all() == old
        first.close()
    get(nginx, None, new)


# --- the client's Cache-Control -----------------------------------------------------------

@pytest.mark.parametrize('header', [
    {'Cache_Control': 'no-cache'}, {'Cache_Control': 'max-age=0'},
    {'Pragma': 'no-cache'}, {'Cache_Control': 'foo, No-Cache'}])
def test_a_client_may_ask_for_the_truth(origin, make_gateway, header):
    origin.put('bkt', 'key', b'old')
    nginx = make_gateway(origin, valid='200 404 1h')
    get(nginx, 'MISS', b'old')
    get(nginx, 'HIT', b'old')
    get(nginx, 'REVALIDATED', b'old', **header)
    origin.put('bkt', 'key', b'new')
    get(nginx, 'HIT', b'old')
    get(nginx, None, b'new', **header)
    get(nginx, 'HIT', b'new')
    origin.delete('bkt', 'key')
    get(nginx, None, status=404, **header)
    get(nginx, 'HIT', status=404)
    origin.put('bkt', 'key', b'again')
    get(nginx, None, b'again', **header)


def test_a_client_may_be_refused_the_truth(origin, make_gateway):
    origin.put('bkt', 'key', b'old')
    origin.bucket('bkt')
    nginx = make_gateway(origin, 's3_cache_client_no_cache off;',
                         valid='200 404 1h')
    get(nginx, 'MISS', b'old')
    origin.put('bkt', 'key', b'new')
    get(nginx, 'HIT', b'old', Cache_Control='no-cache')
    assert methods(origin) == 'G'
    assert nginx.get('/bkt/none').status == 404
    origin.put('bkt', 'none', b'body')
    answer = nginx.get('/bkt/none', Cache_Control='no-cache')
    assert answer.status == 404
    assert len(origin.requests_for('bkt', 'none')) == 1


def test_clients_that_are_refused_the_truth_share_a_question(
        origin, make_gateway):
    origin.put('bkt', 'key', b'body')
    nginx = make_gateway(origin, 's3_cache_client_no_cache off;',
                         server=LANES, valid='200 0s')
    get(nginx, 'MISS', b'body')
    gate = origin.gate()
    origin.on('bkt', 'key', gate=gate)
    readers = [Reader(nginx, TARGET, {'Cache-Control': 'no-cache'})
               for _ in range(10)]
    gate.wait_reached()
    wait.until(lambda: nginx.zone()['memory']['pins'] >= 20, 'all wait')
    gate.open()
    for reader in readers:
        assert reader.read_all() == b'body'
        reader.close()
    assert methods(origin) == 'GH'


# --- stale ----------------------------------------------------------------------------------

def test_stale_is_served_while_one_question_is_asked(origin, make_gateway):
    old, new = pattern(100_000, 1), pattern(100_000, 2)
    origin.put('bkt', 'key', old)
    nginx = make_gateway(origin, 's3_cache_stale_while_revalidate 1h;',
                         server=LANES, valid='200 0s')
    get(nginx, 'MISS', old)
    gate = origin.gate()
    origin.on('bkt', 'key', method='HEAD', gate=gate)
    with Lanes(nginx, each=5) as lanes:
        for pid in lanes.pids * 5:
            reader = lanes.reader(pid, TARGET)
            assert reader.read_all() == old
            assert reader.headers['x-cache'] == 'STALE'
            reader.close()
    gate.wait_reached()
    assert methods(origin) == 'GH'
    origin.put('bkt', 'key', new)
    gate.open()
    wait.until(lambda: get(nginx).body == new, 'the new version')
    assert 'GHG' in methods(origin)


def test_stale_that_is_found_unchanged_is_fresh(origin, make_gateway):
    origin.put('bkt', 'key', b'body')
    nginx = make_gateway(origin, 's3_cache_stale_while_revalidate 1h;',
                         valid='200 1s')
    get(nginx, 'MISS')
    wait.until(lambda: get(nginx).getheader('X-Cache') == 'STALE', 'stale')
    wait.until(lambda: get(nginx).getheader('X-Cache') == 'HIT', 'fresh')
    assert methods(origin) == 'GH'


def test_stale_beyond_its_time_is_asked_about_first(origin, make_gateway):
    origin.put('bkt', 'key', b'old')
    nginx = make_gateway(origin, 's3_cache_stale_while_revalidate 1s;',
                         valid='200 0s')
    get(nginx, 'MISS', b'old')
    origin.on('bkt', 'key', error=(503, 'SlowDown'))
    seen = []

    def over():
        seen.append(nginx.get(TARGET).status)
        return seen[-1] != 200

    wait.until(over, 'its time passes')
    assert seen[0] == 200 and seen[-1] in (502, 503)
    origin.off()
    get(nginx, 'REVALIDATED', b'old')


FAILURES = {'a 500': {'error': (500, 'InternalError')},
            'a 503': {'error': (503, 'SlowDown')},
            'a cut': {'drop': True},
            'nonsense': {'malformed': 'two_status_lines'},
            'silence': {'hang': True}}
QUICK = 's3_cache_origin_read_timeout 200ms;'


@pytest.mark.parametrize('failure', FAILURES)
def test_stale_is_served_when_the_origin_fails(
        origin, make_gateway, failure):
    origin.put('bkt', 'key', b'old')
    nginx = make_gateway(origin, 's3_cache_stale_if_error 1h;' + QUICK,
                         valid='200 0s')
    get(nginx, 'MISS', b'old')
    origin.on('bkt', 'key', **FAILURES[failure])
    for _ in range(2):
        get(nginx, 'STALE', b'old')
    get(nginx, 'STALE', b'ld', 206, Range='bytes=1-2')
    origin.off()
    origin.put('bkt', 'key', b'new')
    get(nginx, None, b'new')


def test_stale_is_served_when_the_origin_is_gone(origin, make_gateway):
    origin.put('bkt', 'key', b'old')
    nginx = make_gateway(origin, 's3_cache_stale_if_error 1h;',
                         valid='200 0s')
    get(nginx, 'MISS', b'old')
    origin.stop()
    get(nginx, 'STALE', b'old')


@pytest.mark.parametrize('failure', FAILURES)
def test_stale_is_an_error_where_it_is_not_allowed(
        origin, make_gateway, failure):
    origin.put('bkt', 'key', b'old')
    nginx = make_gateway(origin, QUICK, valid='200 0s')
    get(nginx, 'MISS', b'old')
    origin.on('bkt', 'key', **FAILURES[failure])
    answer = nginx.get(TARGET)
    assert answer.status in (500, 502, 503, 504)
    assert b'<Code>' in answer.body
    # it was not forgotten for that
    origin.off()
    get(nginx, 'REVALIDATED', b'old')


def test_stale_on_error_ends(origin, make_gateway):
    origin.put('bkt', 'key', b'old')
    nginx = make_gateway(origin, 's3_cache_stale_if_error 1s;',
                         valid='200 0s')
    get(nginx, 'MISS', b'old')
    origin.on('bkt', 'key', drop=True)
    seen = []

    def over():
        seen.append(nginx.get(TARGET).status)
        return seen[-1] != 200

    wait.until(over, 'its time passes')
    assert seen[0] == 200 and seen[-1] == 502


# --- Age ---------------------------------------------------------------------------------------

def test_age_grows_and_begins_anew(origin, make_gateway):
    origin.put('bkt', 'key', b'body')
    nginx = make_gateway(origin, valid='200 1h')

    def age(**headers):
        return int(get(nginx, **headers).getheader('Age'))

    assert age() == 0
    wait.until(lambda: age() >= 1, 'it grows')
    assert age(Cache_Control='no-cache') == 0
    assert methods(origin) == 'GH'
    answer = get(nginx, 'HIT', status=304,
                 If_None_Match=origin.get('bkt', 'key').etag)
    assert answer.getheader('Age') is not None


def test_the_headers_of_the_cache_can_be_turned_off(origin, make_gateway):
    origin.put('bkt', 'key', b'body')
    nginx = make_gateway(origin, 's3_cache_headers off;')
    for _ in range(2):
        answer = nginx.get(TARGET)
        assert answer.getheader('Age') is None
        assert answer.getheader('X-Cache') is None
