# SPDX-License-Identifier: Apache-2.0
"""Purges of one node: what is dropped, what stays, and what was under way."""

import json
import threading

import pytest

import raw_http
from flash_reads import make_flash, store_path        # noqa: F401 (fixture)
from lib import store, wait
from lib.nginx import s3_location, s3_zone
from origin.objects import pattern
from origin.scripted_origin import ScriptedOrigin
from purges import ADMIN, ask, is_kept, purged, read, warm

HOUR = '200 206 404 1h'
NAMES = ['bkt/a', 'bkt/a/1', 'bkt/a/b/2', 'bkt/ab', 'bkt/c', 'other/a/1']


@pytest.fixture
def gateway(make_gateway, origin):
    return make_gateway(origin, valid=HOUR, server=ADMIN, workers=3)


def fill(origin, names=NAMES, seed=0):
    for i, name in enumerate(names):
        origin.put(*name.split('/', 1), pattern(1000 + i, seed + i))


# --- each kind ---------------------------------------------------------------

@pytest.mark.parametrize('kind, args, gone', [
    ('key', {'bucket': 'bkt', 'key': 'a'}, ['bkt/a']),
    ('key', {'bucket': 'bkt', 'key': 'a/b/2'}, ['bkt/a/b/2']),
    ('key', {'bucket': 'bkt', 'key': 'none'}, []),
    ('prefix', {'bucket': 'bkt', 'prefix': 'a/'}, ['bkt/a/1', 'bkt/a/b/2']),
    ('prefix', {'bucket': 'bkt', 'prefix': 'a'},
     ['bkt/a', 'bkt/a/1', 'bkt/a/b/2', 'bkt/ab']),
    ('prefix', {'bucket': 'bkt', 'prefix': 'a/b/2'}, ['bkt/a/b/2']),
    ('prefix', {'bucket': 'bkt', 'prefix': 'a/b/2/'}, []),
    ('prefix', {'bucket': 'bkt', 'prefix': ''}, NAMES[:5]),
    ('prefix', {'bucket': 'none', 'prefix': 'a'}, []),
    ('bucket', {'bucket': 'bkt'}, NAMES[:5]),
    ('bucket', {'bucket': 'bkt', 'zone': 'hot'}, NAMES[:5]),
    ('all', {}, NAMES)])
def test_what_is_named_goes_and_the_rest_stays(gateway, origin, kind, args,
                                               gone):
    fill(origin)
    warm(gateway, NAMES)
    purged(gateway, kind, **args)
    assert is_kept(gateway, NAMES) == [n for n in NAMES if n not in gone]
    # and is kept again from then on, as it is now
    assert is_kept(gateway, NAMES) == NAMES
    fill(origin, seed=10)
    purged(gateway, kind, **args)
    for i, name in enumerate(NAMES):
        result, body = read(gateway, *name.split('/', 1))
        assert result == ('MISS' if name in gone else 'HIT')
        assert body == pattern(1000 + i, i + (10 if name in gone else 0))
    counters = gateway.zone()['purges']
    assert counters.pop(kind) == 2
    assert not any(counters.values())
    assert f's3_cache_purges_total{{zone="hot",kind="{kind}"}} 2' in (
        gateway.metrics())
    assert len([line for line in gateway.log().splitlines()
                if '[notice]' in line and 's3_cache_admin: "purge=' in line
                and 'client: 127.0.0.1' in line]) == 2


@pytest.mark.parametrize('key', [
    'a b', 'a+b', 'ä/ö', '日本語', 'a%20b', '%', 'a&b=c', '//a//', '\x01\x7f',
    '"quoted\\', 'x' * 1024])
@pytest.mark.parametrize('kind', ['key', 'prefix'])
def test_keys_of_all_kinds(gateway, origin, kind, key):
    for name in ('b', key):
        origin.put('bkt', name, b'old')
        read(gateway, 'bkt', name)
        assert read(gateway, 'bkt', name)[0] == 'HIT'
    purged(gateway, kind, bucket='bkt',
           **{'key' if kind == 'key' else 'prefix': key})
    assert read(gateway, 'bkt', key)[0] == 'MISS'
    assert read(gateway, 'bkt', 'b')[0] == 'HIT'
    # what such a key begins with: any bytes, half a character, too
    raw = key.encode()
    for cut in {1, len(raw) // 2, len(raw) - 1} - {0}:
        assert read(gateway, 'bkt', key)[0] == 'HIT'
        coded = ''.join(f'%{c:02x}' for c in raw[:cut])
        answer = ask(gateway, raw=f'purge=prefix&bucket=bkt&prefix={coded}')
        assert answer.status == 200
        assert json.loads(answer.body)['purged'] == 'prefix'
        assert read(gateway, 'bkt', key)[0] == 'MISS'
        assert read(gateway, 'bkt', 'b')[0] == 'HIT'


def test_what_was_absent_is_asked_for_again(gateway, origin):
    origin.bucket('bkt')
    for what in ({'purge': 'key', 'bucket': 'bkt', 'key': 'k/1'},
                 {'purge': 'prefix', 'bucket': 'bkt', 'prefix': 'k/'},
                 {'purge': 'bucket', 'bucket': 'bkt'}, {'purge': 'all'}):
        asked = len(origin.requests)
        for _ in range(3):
            assert gateway.get('/bkt/k/1').status == 404
        assert len(origin.requests) == asked + (asked == 0)
        assert ask(gateway, query=what).status == 200
        assert gateway.get('/bkt/k/1').status == 404
        assert len(origin.requests) == asked + 1 + (asked == 0)


@pytest.mark.parametrize('args', [
    {'key': 'k'}, {'key': 'k', 'versionId': 'v1'}, {'prefix': 'k'}, {}])
def test_versions_go_with_their_object(gateway, origin, args):
    kind = next(iter(args), 'bucket')
    for version in ('v1', 'v2', 'v3'):
        origin.put('bkt', 'k', version.encode(), version_id=version)
    origin.put('bkt', 'other', b'x', version_id='v9')
    every = [('k', None), ('k', 'v1'), ('k', 'v2'), ('k', 'v3')]
    for name in every + [('other', 'v9')]:
        read(gateway, 'bkt', *name)
        assert read(gateway, 'bkt', *name)[0] == 'HIT'
    purged(gateway, kind, bucket='bkt', **args)
    for name in every:
        assert read(gateway, 'bkt', *name) == (
            'MISS', (name[1] or 'v3').encode()), name
        assert read(gateway, 'bkt', *name)[0] == 'HIT'
    assert (read(gateway, 'bkt', 'other', 'v9')[0] == 'HIT') == (
        kind != 'bucket')


@pytest.mark.parametrize('kind, args', [
    ('key', {'bucket': 'bkt', 'key': 'k/1'}),
    ('prefix', {'bucket': 'bkt', 'prefix': 'k/'}),
    ('bucket', {'bucket': 'bkt'}), ('all', {})])
def test_a_large_object_goes_with_its_blocks(make_gateway, origin, kind,
                                             args):
    nginx = make_gateway(origin, valid=HOUR, server=ADMIN, workers=2,
                         location='s3_cache_block_size 64k;')
    body = pattern(700_000)
    origin.put('bkt', 'k/1', body)
    for _ in range(2):
        assert read(nginx, 'bkt', 'k/1')[1] == body
    origin.requests.clear()
    assert read(nginx, 'bkt', 'k/1') == ('HIT', body)
    assert not origin.requests
    # the same version, so that blocks of before would fit
    purged(nginx, kind, **args)
    assert read(nginx, 'bkt', 'k/1') == ('MISS', body)
    assert len(origin.requests) == 11
    new = pattern(700_000, 1)
    origin.put('bkt', 'k/1', new)
    purged(nginx, kind, **args)
    assert read(nginx, 'bkt', 'k/1')[1] == new
    answer = nginx.get('/bkt/k/1', Range='bytes=600000-699999')
    assert answer.body == new[600_000:]


# --- under way ---------------------------------------------------------------

KINDS = [('key', {'bucket': 'bkt', 'key': 'k/1'}),
         ('prefix', {'bucket': 'bkt', 'prefix': 'k/'}),
         ('bucket', {'bucket': 'bkt'}), ('all', {})]


class Reads(threading.Thread):
    """One read, in the background."""

    def __init__(self, nginx, key='k/1'):
        super().__init__()
        self.nginx, self.key, self.found = nginx, key, None
        self.start()

    def run(self):
        try:
            self.found = read(self.nginx, 'bkt', self.key)
        except raw_http.Malformed:
            self.found = 'cut', None

    def body(self):
        self.join()
        return self.found[1]


@pytest.mark.parametrize('size', [1000, 700_000])
@pytest.mark.parametrize('kind, args', KINDS)
def test_a_fill_of_before_is_not_found_after_it(make_gateway, origin, kind,
                                                args, size):
    nginx = make_gateway(origin, valid=HOUR, server=ADMIN, workers=2,
                         location='s3_cache_block_size 64k;')
    old, new = pattern(size, 1), pattern(size, 2)
    origin.put('bkt', 'k/1', old)
    gate = origin.gate(at=500)
    rule = origin.on('bkt', 'k/1', method='GET', gate=gate)
    first = Reads(nginx)
    gate.wait_reached()
    purged(nginx, kind, **args)
    origin.off(rule)
    origin.put('bkt', 'k/1', new)
    for _ in range(4):
        assert read(nginx, 'bkt', 'k/1')[1] == new
    gate.open()
    # a large one has changed under its reader
    assert first.body() == (old if size == 1000 else None)
    for _ in range(4):
        assert read(nginx, 'bkt', 'k/1') == ('HIT', new)


@pytest.mark.parametrize('kind, args', KINDS)
def test_what_is_being_validated_does_not_come_back(make_gateway, origin,
                                                    kind, args):
    nginx = make_gateway(origin, valid='200 1s', server=ADMIN, workers=2)
    origin.put('bkt', 'k/1', b'old')
    read(nginx, 'bkt', 'k/1')
    gate = origin.gate()
    rule = origin.on('bkt', 'k/1', method='HEAD', gate=gate)
    found = []

    def expired():                   # its time is over: HEAD is asked
        if not found or not found[-1].is_alive():
            found.append(Reads(nginx))
        return origin.requests_for(method='HEAD')

    wait.until(expired, 'a revalidation', 10, 0.05)
    gate.wait_reached()
    purged(nginx, kind, **args)
    asked = len(origin.requests_for(method='GET'))
    assert read(nginx, 'bkt', 'k/1') == ('MISS', b'old')
    assert len(origin.requests_for(method='GET')) == asked + 1
    gate.open()
    for each in found:
        assert each.body() == b'old'
    origin.off(rule)


@pytest.mark.parametrize('kind, args', KINDS)
def test_who_comes_while_many_purge(make_gateway, origin, kind, args):
    """Readers and an operator at once: after each purge the version of then."""
    nginx = make_gateway(origin, valid=HOUR, server=ADMIN, workers=3)
    origin.put('bkt', 'k/1', b'%06d' % 0)
    over = threading.Event()
    least, wrong = [0], []

    def reader():
        while not over.is_set():
            want = least[0]
            body = read(nginx, 'bkt', 'k/1')[1]
            if int(body) < want:
                wrong.append((int(body), want))

    readers = [threading.Thread(target=reader) for _ in range(3)]
    for each in readers:
        each.start()
    try:
        for n in range(1, 60):
            origin.put('bkt', 'k/1', b'%06d' % n)
            purged(nginx, kind, **args)
            least[0] = n
    finally:
        over.set()
        for each in readers:
            each.join()
    assert not wrong
    assert read(nginx, 'bkt', 'k/1')[1] == b'000059'


# --- what outlives it --------------------------------------------------------

def test_a_reload_and_dead_workers_bring_nothing_back(gateway, origin):
    fill(origin)
    warm(gateway, NAMES)
    purged(gateway, 'prefix', bucket='bkt', prefix='a/')
    gateway.reload()
    for pid in gateway.worker_pids():
        gateway.kill_worker(pid)
    assert is_kept(gateway, NAMES) == [
        n for n in NAMES if not n.startswith('bkt/a/')]
    purged(gateway, 'all')
    gateway.kill_worker()
    assert not is_kept(gateway, NAMES)


@pytest.mark.parametrize('end', ['quit', 'kill_all'])
@pytest.mark.parametrize('kind, args, gone, cold', [
    ('key', {'bucket': 'bkt', 'key': 'a'}, ['bkt/a'], ['bkt/a']),
    ('prefix', {'bucket': 'bkt', 'prefix': 'a/'}, ['bkt/a/1', 'bkt/a/b/2'],
     NAMES[:5]),
    ('bucket', {'bucket': 'bkt'}, NAMES[:5], NAMES[:5]),
    ('all', {}, NAMES, NAMES)])
def test_flash_forgets_it_over_a_restart(origin, make_flash, kind, args, gone,
                                         cold, end):
    nginx = make_flash(origin, valid=HOUR, server=ADMIN)
    fill(origin)
    warm(nginx, NAMES)
    bodies = [pattern(1000 + i, i) for i in range(len(NAMES))]
    store.wait_on_media([store_path(nginx)], bodies)
    purged(nginx, kind, **args)
    assert is_kept(nginx, NAMES) == [n for n in NAMES if n not in gone]
    store.wait_on_media([store_path(nginx)], [bytes(16)])
    fill(origin, seed=20)
    for _ in range(2):
        nginx.restart(end)
        store.wait_state(nginx)
        for i, name in enumerate(NAMES):
            result, body = read(nginx, *name.split('/', 1))
            if name not in cold:
                assert (result, body) == ('HIT', bodies[i]), name
            elif name in gone:
                assert body == pattern(1000 + i, 20 + i), name
    nginx.quit()                     # when all is written


@pytest.mark.parametrize('end', ['quit', 'kill_all'])
@pytest.mark.parametrize('kind, args', KINDS)
def test_what_a_fill_of_before_writes_is_not_found_after_a_restart(
        origin, make_flash, kind, args, end):
    nginx = make_flash(origin, valid=HOUR, server=ADMIN)
    old, new = pattern(5000, 1), pattern(5000, 2)
    origin.put('bkt', 'k/1', old)
    gate = origin.gate(at=500)
    rule = origin.on('bkt', 'k/1', method='GET', gate=gate)
    first = Reads(nginx)
    gate.wait_reached()
    purged(nginx, kind, **args)
    store.wait_on_media([store_path(nginx)], [bytes(16)])
    gate.open()
    assert first.body() == old
    origin.off(rule)
    if kind != 'key':        # it is written, under a name that nobody asks for
        store.wait_on_media([store_path(nginx)], [old])
    origin.put('bkt', 'k/1', new)
    nginx.restart(end)
    store.wait_state(nginx)
    for _ in range(2):
        assert read(nginx, 'bkt', 'k/1')[1] == new
    nginx.quit()                     # when all is written


def test_more_prefixes_than_there_is_room_for(gateway, origin):
    fill(origin)
    warm(gateway, NAMES)
    for n in range(256):
        purged(gateway, 'prefix', bucket='bkt', prefix=f'none{n}/')
    assert is_kept(gateway, NAMES) == NAMES
    purged(gateway, 'prefix', bucket='bkt', prefix='none7/')
    assert is_kept(gateway, NAMES) == NAMES
    assert gateway.zone()['purges']['overflows'] == 0
    purged(gateway, 'prefix', bucket='other', prefix='none/')
    assert gateway.zone()['purges']['overflows'] == 1
    assert 's3_cache_purge_overflows_total{zone="hot"} 1' in gateway.metrics()
    # the buckets whose rules went, and no other
    assert is_kept(gateway, NAMES) == ['other/a/1']
    purged(gateway, 'prefix', bucket='bkt', prefix='a/')
    assert 'bkt/a/1' not in is_kept(gateway, NAMES)


# --- zones and origins -------------------------------------------------------

def test_zones_and_origins(make_nginx, origin):
    """`one` keeps both origins, `two` the first; `bare` has no location."""
    with ScriptedOrigin() as second:
        nginx = make_nginx(
            workers=2, http=s3_zone('one') + s3_zone('two') + s3_zone('bare')
            + 'server { listen 127.0.0.1:@port:second@; ' + s3_location(
                second.url, zone='one', valid=HOUR) + '}'
            'server { listen 127.0.0.1:@port:two@; ' + s3_location(
                origin.url, zone='two', valid=HOUR) + '}'
            'server { listen 127.0.0.1:@port:keys@; ' + s3_location(
                origin.url, 'akey', 'secret', zone='one', valid=HOUR) + '}',
            server=ADMIN + s3_location(origin.url, zone='one', valid=HOUR)
        ).start()
        names = ['', 'second', 'two', 'keys']
        for each in (origin, second):
            each.put('bkt', 'k', b'x')

        def kept():
            return [name for name in names
                    if nginx.request(target='/bkt/k', name=name)
                    .getheader('X-Cache') == 'HIT']

        kept()
        assert kept() == names
        for kind, args in (('key', {'bucket': 'bkt', 'key': 'k'}),
                           ('prefix', {'bucket': 'bkt', 'prefix': 'k'}),
                           ('bucket', {'bucket': 'bkt'}), ('all', {})):
            purged(nginx, kind, zone='bare', **args)
            assert kept() == names
            purged(nginx, kind, zone='two', **args)
            assert kept() == ['', 'second', 'keys']
            purged(nginx, kind, zone='one', **args)
            assert kept() == ['two']
            assert kept() == names
            purged(nginx, kind, **args)
            assert kept() == []
            assert kept() == names
        assert nginx.zone('one')['purges']['all'] == 2
        assert nginx.zone('bare')['purges']['all'] == 0


# --- what is refused ---------------------------------------------------------

@pytest.mark.parametrize('method, query, status, why', [
    ('POST', 'purge', 400, 'a purge is needed'),
    ('POST', 'purge=', 400, 'purge is empty'),
    ('POST', 'purge=some', 400, 'is needed'),
    ('POST', 'purge=all&purge=all', 400, 'twice'),
    ('POST', 'purge=all&drain=on', 400, 'not known'),
    ('POST', 'purge=all&bucket=bkt', 400, 'does not go'),
    ('POST', 'purge=bucket', 400, 'bucket is missing'),
    ('POST', 'purge=bucket&bucket=', 400, 'bucket is empty'),
    ('POST', 'purge=bucket&bucket=' + 'b' * 256, 400, 'too long'),
    ('POST', 'purge=key&bucket=bkt', 400, 'key is missing'),
    ('POST', 'purge=key&bucket=bkt&key=', 400, 'key is empty'),
    ('POST', 'purge=key&bucket=bkt&key=' + 'k' * 1025, 400, 'too long'),
    ('POST', 'purge=key&bucket=bkt&key=k&versionId=', 400, 'is empty'),
    ('POST', 'purge=key&bucket=bkt&key=a%2', 400, 'percent'),
    ('POST', 'purge=key&bucket=bkt&key=a+b', 400, 'plus'),
    ('POST', 'purge=key&bucket=bkt&key=k&prefix=a', 400, 'does not go'),
    ('POST', 'purge=prefix&bucket=bkt', 400, 'prefix is missing'),
    ('POST', 'purge=prefix&bucket=bkt&prefix=' + 'k' * 1025, 400, 'too long'),
    ('POST', 'purge=all&zone=', 400, 'zone is empty'),
    ('POST', 'purge=all&zone=cold', 404, 'no such zone'),
    ('POST', 'purge=key&bucket=bkt&key=k&zone=ho', 404, 'no such zone'),
    ('GET', 'purge=all', 405, 'POST'),
    ('PUT', 'purge=all', 405, 'POST'),
    ('DELETE', 'purge=all', 405, 'POST'),
    ('POST', '', 400, 'drain=on'),
    ('POST', 'bucket=bkt', 400, 'drain=on'),
    ('POST', 'drain=on', 404, 'Redis')])
def test_what_is_refused_drops_nothing(gateway, origin, method, query, status,
                                       why):
    origin.put('bkt', 'k', b'x')
    read(gateway, 'bkt', 'k')
    answer = ask(gateway, method, raw=query)
    assert answer.status == status
    assert answer.getheader('Content-Type') == 'application/json'
    assert why in json.loads(answer.body)['error']
    assert read(gateway, 'bkt', 'k')[0] == 'HIT'
    assert not any(gateway.zone()['purges'].values())


def test_head_says_no_more_than_get(gateway):
    assert ask(gateway, 'HEAD', raw='purge=all').status == 405


def test_a_body_is_not_read(gateway, origin):
    origin.put('bkt', 'k', b'x')
    read(gateway, 'bkt', 'k')
    answer = raw_http.ask(gateway.port(), 'POST', '/-/admin', (),
                          b'purge=all')
    assert answer.status == 400
    assert read(gateway, 'bkt', 'k')[0] == 'HIT'
    answer = raw_http.ask(gateway.port(), 'POST', '/-/admin?purge=all', (),
                          b'x' * 100_000)
    assert answer.status == 200
    assert read(gateway, 'bkt', 'k')[0] == 'MISS'
