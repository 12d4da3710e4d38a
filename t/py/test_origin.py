# SPDX-License-Identifier: Apache-2.0
"""The way to the origin: names and addresses, kept connections, and whose
bytes are whose. TLS is in test_origin_tls.py, signatures and credentials are
in test_origin_auth.py. How origins fail otherwise is in test_faults.py."""

import contextlib
import re
import socket
import threading

import pytest

from lib import wait
from lib.nginx import s3_location, s3_zone
from origin.objects import pattern
from origin.scripted_origin import ScriptedOrigin
from origin_reads import (At, NOT_KEPT, SHORT, SMALL_BLOCKS, how, is_s3_error,
                          reads)
from origin_reads import dns, port    # noqa: F401 (fixtures)


# --- names and addresses ------------------------------------------------------

@pytest.fixture
def two(port):
    """Two origins that differ by their bucket `who`."""
    with ScriptedOrigin('127.0.0.1', port) as first, \
            ScriptedOrigin('127.0.0.2', port) as second:
        first.put('who', 'key', b'first')
        second.put('who', 'key', b'second')
        yield first, second


def who(nginx):
    """Which of the two answers just now: what is asked is never cached."""
    answer = nginx.get('/who/key?partNumber=1')
    assert answer.status == 206, answer.body
    return answer.body.decode()


def named(make_gateway, dns, port, more='', **pieces):
    return make_gateway(At(f'http://store.test:{port}'),
                        dns.directive + more, **pieces)


def test_a_name_is_looked_up_again_after_its_ttl(make_gateway, dns, two,
                                                 port):
    dns.ttl = 1
    nginx = named(make_gateway, dns, port, NOT_KEPT)
    assert who(nginx) == 'first'
    dns.addresses = ['127.0.0.2']
    wait.until(lambda: who(nginx) == 'second', 'the new address')
    dns.addresses = ['127.0.0.1']
    wait.until(lambda: who(nginx) == 'first', 'the old address again')
    assert set(dns.asked) == {'store.test'}
    assert two[0].requests[0].header('host') == f'store.test:{port}'


def test_a_name_is_not_looked_up_within_its_ttl(make_gateway, dns, two, port):
    """Neither for each connection, nor for each of those who wait for it."""
    nginx = named(make_gateway, dns, port, NOT_KEPT, workers=1)
    dns.hold()
    seen = []
    threads = [threading.Thread(target=lambda: seen.append(who(nginx)))
               for _ in range(8)]
    for thread in threads:
        thread.start()
    wait.until(lambda: dns.asked, 'a query')
    dns.release()
    for thread in threads:
        thread.join(20)
    assert seen == ['first'] * 8
    assert [who(nginx) for _ in range(8)] == ['first'] * 8
    assert two[0].accepted == 16
    assert dns.asked == ['store.test']


def test_addresses_take_turns(make_gateway, dns, two, port):
    dns.addresses = ['127.0.0.1', '127.0.0.2']
    nginx = named(make_gateway, dns, port, NOT_KEPT, workers=1)
    seen = [who(nginx) for _ in range(8)]
    assert seen.count('first') == seen.count('second') == 4


@contextlib.contextmanager
def deaf(address):
    """A listener whose queue is full: a SYN gets no answer."""
    queue = []
    with socket.create_server(address, backlog=0) as listener:
        def is_full():
            queue.append(socket.socket())
            queue[-1].settimeout(0.3)
            try:
                queue[-1].connect(listener.getsockname())
            except TimeoutError:
                return True
            return False
        try:
            wait.until(is_full, 'a full queue')
            yield
        finally:
            for sock in queue:
                sock.close()


@pytest.mark.parametrize('how', ['refuses', 'closes', 'resets', 'is deaf',
                                 'hangs', 'speaks no TLS'])
def test_the_next_address_is_tried_when_one(make_gateway, dns, authority,
                                            port, how):
    dns.addresses = ['127.0.0.1', '127.0.0.2']
    secure = how == 'speaks no TLS'
    context = authority.server_context('store.test') if secure else None
    more = NOT_KEPT
    if how in ('is deaf', 'hangs', 'speaks no TLS'):
        more += SHORT
    if secure:
        more += f's3_cache_origin_ssl_trusted_certificate {authority.cert};'

    with contextlib.ExitStack() as stack:
        good = stack.enter_context(
            ScriptedOrigin('127.0.0.2', port, tls=context))
        if how == 'is deaf':
            stack.enter_context(deaf(('127.0.0.1', port)))
        elif how != 'refuses':
            bad = stack.enter_context(ScriptedOrigin('127.0.0.1', port))
            bad.on(drop=how in ('closes', 'resets'), reset=how == 'resets',
                   hang=how == 'hangs')
        nginx = make_gateway(
            At(f'http{"s" if secure else ""}://store.test:{port}'),
            dns.directive + more, workers=1)
        for i in range(4):
            good.put('bkt', f'key{i}', b'%d' % i)
            assert reads(nginx, f'/bkt/key{i}', b'%d' % i)
        assert ', trying again' in nginx.log()
        # the bad one rests, so that it does not cost every other request
        assert nginx.log().count(', trying again') == 1
        assert len(good.requests) == 4
        errors = nginx.zone()['origin']['errors']
        assert not any(errors.values()), errors


@pytest.mark.parametrize('how, status', [('refuse', 502), ('hang', 504)])
def test_all_addresses(make_gateway, dns, port, how, status):
    dns.addresses = ['127.0.0.1', '127.0.0.2']
    with contextlib.ExitStack() as stack:
        origins = []
        if how == 'hang':
            origins = [stack.enter_context(ScriptedOrigin(host, port))
                       for host in dns.addresses]
            for one in origins:
                one.on(hang=True)
        nginx = named(make_gateway, dns, port, SHORT * (how == 'hang'))
        assert is_s3_error(nginx.get('/bkt/key'), status)
        assert [one.accepted for one in origins] in ([], [1, 1])


def test_the_number_of_tries(make_gateway, dns, port, two):
    dns.addresses = ['127.0.0.1', '127.0.0.2']
    for one in two:
        one.on(drop=True)
    nginx = named(make_gateway, dns, port, 's3_cache_origin_tries 1;')
    assert is_s3_error(nginx.get('/bkt/key'))
    assert two[0].accepted + two[1].accepted == 1


@pytest.mark.parametrize('how', ['nxdomain', 'drop'])
def test_addresses_outlive_their_name_server(make_gateway, dns, two, port,
                                             how):
    dns.ttl = 1
    nginx = named(make_gateway, dns, port,
                  NOT_KEPT + 'resolver_timeout 1s;', workers=1)
    assert who(nginx) == 'first'
    dns.how = how
    wait.until(lambda: who(nginx) == 'first'
               and 'its last addresses stay in use' in nginx.log(),
               'a look-up that fails')
    for i in range(3):
        two[0].put('bkt', f'key{i}', b'%d' % i)
        assert reads(nginx, f'/bkt/key{i}', b'%d' % i)
    assert two[1].accepted == 0
    # and it is asked on, until it answers again
    dns.addresses, dns.how = ['127.0.0.2'], 'answer'
    wait.until(lambda: who(nginx) == 'second', 'the new address')


@pytest.mark.parametrize('how', ['nxdomain', 'servfail', 'drop', 'empty'])
def test_a_name_without_an_address_is_a_502(make_gateway, dns, two, port,
                                            how):
    dns.how = 'answer' if how == 'empty' else how
    if how == 'empty':
        dns.addresses = []
    nginx = named(make_gateway, dns, port, 'resolver_timeout 1s;'
                  's3_cache_valid any 1h;', valid='')
    assert is_s3_error(nginx.get('/who/key'))
    assert is_s3_error(nginx.get('/who/key?uploads'))
    assert 'origin host could not be resolved' in nginx.log()
    # it was not kept: no negative answer, and the name is asked for again
    dns.addresses, dns.how = ['127.0.0.1'], 'answer'
    wait.until(lambda: nginx.get('/who/key').body == b'first', 'the name')


# --- kept connections ---------------------------------------------------------

@pytest.fixture(params=['http', 'https'])
def kept(request, authority):
    """(an origin, what a gateway must be told about it)"""
    if request.param == 'http':
        with ScriptedOrigin() as origin:
            yield origin, ''
    else:
        with ScriptedOrigin(tls=authority.server_context()) as origin:
            yield origin, ('s3_cache_origin_ssl_trusted_certificate '
                           f'{authority.cert};')


def fill(nginx, origin, numbers, bucket='bkt'):
    for i in numbers:
        origin.put(bucket, f'key{i}', b'%d' % i)
        assert reads(nginx, f'/{bucket}/key{i}', b'%d' % i)


def test_connections_are_kept_and_replaced_unseen(kept, make_gateway):
    origin, more = kept
    nginx = make_gateway(origin, more + 's3_cache_origin_tries 1;', workers=1)
    fill(nginx, origin, range(20))
    assert (origin.accepted, len(origin.requests)) == (1, 20)

    # closed while it lies idle
    origin.close_connections()
    fill(nginx, origin, range(20, 30))
    assert (origin.accepted, len(origin.requests)) == (2, 30)

    # closed by the origin on the very request: it is asked anew
    old = origin.requests[-1].connection
    origin.on('once', drop=True, when=lambda r: r.connection == old)
    fill(nginx, origin, [1], 'once')
    assert (origin.accepted, len(origin.requests)) == (3, 32)
    zone = nginx.zone()['origin']
    assert not any(zone['errors'].values()), zone
    assert zone['connects'] == 3
    # one more, if the first close met a request
    assert zone['reused'] in (29, 30)
    assert not re.search(r'\[(warn|error)\]', nginx.log())


def test_a_connection_that_is_not_to_be_kept(kept, make_gateway):
    origin, more = kept
    nginx = make_gateway(origin, more, workers=1)
    origin.on('closed', close=True)
    for i in range(3):
        fill(nginx, origin, [i], 'closed')
        fill(nginx, origin, [i], 'open')
    assert origin.accepted == 4           # the first, and one after each


def test_the_number_and_the_age_of_kept_connections(origin, make_gateway):
    nginx = make_gateway(origin, 's3_cache_origin_keepalive 2;', workers=1)
    gate = origin.gate()
    origin.on(gate=gate)
    for i in range(6):
        origin.put('bkt', f'key{i}', b'x')
    threads = [threading.Thread(target=nginx.get, args=(f'/bkt/key{i}',))
               for i in range(6)]
    for thread in threads:
        thread.start()
    gate.wait_reached(6)
    gate.open()
    for thread in threads:
        thread.join(20)
    wait.until(lambda: origin.open == 2, 'two connections that are kept')
    # idle ones do not hold a worker that leaves
    nginx.reload(wait_old=True)
    wait.until(lambda: origin.open == 0, 'those of the old worker closed')

    quick = make_gateway(origin, 's3_cache_origin_keepalive_timeout 100ms;')
    fill(quick, origin, range(6, 9))
    wait.until(lambda: origin.open == 0, 'idle connections closed')


# --- whose bytes --------------------------------------------------------------

def test_two_origins_never_share_bytes(make_nginx):
    """The same names, lengths, ETags and dates; by server and by location."""
    same = {'etag': '"same"', 'last_modified': 1_700_000_000}
    with ScriptedOrigin() as first, ScriptedOrigin() as second:
        bodies = {}
        for name, origin in (('first', first), ('second', second)):
            for bucket in ('bkt', 'loc'):
                for key, size in (('small', 1000), ('large', 300_000)):
                    body = pattern(size, f'{name}{bucket}{key}')
                    bodies[name, bucket, key] = body
                    origin.put(bucket, key, body, **same)
        second.put('bkt', 'late', b'there')
        valid = '200 206 404 1h'
        nginx = make_nginx(
            server=s3_location(first.url, more=SMALL_BLOCKS, valid=valid)
            + s3_location(second.url, path='/loc/', more=SMALL_BLOCKS,
                          valid=valid),
            http=s3_zone() + 'server { listen 127.0.0.1:@port:other@;'
            + s3_location(second.url, more=SMALL_BLOCKS, valid=valid)
            + s3_location(first.url, path='/loc/', more=SMALL_BLOCKS,
                          valid=valid) + '}').start()
        served = {('', 'bkt'): 'first', ('', 'loc'): 'second',
                  ('other', 'bkt'): 'second', ('other', 'loc'): 'first'}
        for cache in ('MISS', 'HIT'):
            for (name, bucket), origin in served.items():
                for key in ('small', 'large'):
                    body = bodies[origin, bucket, key]
                    for span in ((10, 500), (0, len(body) - 1)):
                        answer = nginx.request(
                            'GET', f'/{bucket}/{key}', name=name, headers={
                                'Range': f'bytes={span[0]}-{span[1]}'})
                        assert answer.status == 206
                        assert answer.body == body[span[0]:span[1] + 1], \
                            (name, bucket, key)
                    if cache == 'HIT':
                        assert how(answer.getheader('X-Cache')) == 'HIT'
        for _ in range(2):
            assert nginx.request(target='/bkt/late').status == 404
            assert nginx.request(target='/bkt/late',
                                 name='other').body == b'there'


def test_two_credentials_never_share_entries(make_nginx, origin):
    """What one may read, another may not; and whoever may, shares."""
    valid = '200 206 404 1h'

    def server(name, *keys):
        return (f'server {{ listen 127.0.0.1:@port:{name}@; '
                f'{s3_location(origin.url, *keys, valid=valid)} }}\n')

    nginx = make_nginx(
        server='return 404;', http=s3_zone() + server('may', 'AKMAY', 's1')
        + server('too', 'AKMAY', 's1') + server('not', 'AKNOT', 's2')
        + server('nobody')).start()
    origin.put('bkt', 'key', b'private')
    origin.put('bkt', 'hidden', b'hidden')

    def by_another(request):
        return 'AKMAY' not in (request.header('authorization') or '')

    origin.on('bkt', 'key', error=(403, 'AccessDenied'), when=by_another)
    origin.on('bkt', 'hidden', error=(404, 'NoSuchKey'), when=by_another)

    def ask(key, name):
        answer = nginx.request(target=f'/bkt/{key}', name=name)
        return answer.status, how(answer.getheader('X-Cache'))

    for name in ('not', 'nobody'):
        assert ask('hidden', name) == (404, 'MISS')
        assert ask('hidden', name) == (404, 'HIT')
    assert ask('hidden', 'may') == (200, 'MISS')
    assert ask('key', 'may') == (200, 'MISS')
    assert ask('key', 'too') == (200, 'HIT')
    for name in ('not', 'nobody', 'not', 'nobody'):
        assert ask('key', name)[0] == 403
    assert ask('key', 'may') == (200, 'HIT')
