# SPDX-License-Identifier: Apache-2.0
"""The way to the origin: TLS and its verification, names and addresses, kept
connections, signatures and credentials, and what is wrong with a
configuration. How origins fail otherwise is in test_faults.py."""

import contextlib
import itertools
import os
import re
import socket
import ssl
import threading
import warnings
from urllib.parse import quote

import pytest
import raw_http

from lib import ports, tls, wait
from lib.dns import Dns
from lib.nginx import Nginx, s3_location, s3_zone
from origin import sigv4
from origin.objects import pattern
from origin.scripted_origin import ScriptedOrigin

# where it must run out; all else must come in time on a busy machine, too
SHORT = ('s3_cache_origin_connect_timeout 1s;'
         ' s3_cache_origin_read_timeout 1s;')
NOT_KEPT = 's3_cache_origin_keepalive 0;'
SMALL_BLOCKS = 's3_cache_block_size 64k;'


class At:
    """What has a url, for make_gateway()."""

    def __init__(self, url):
        self.url = url


def is_s3_error(answer, status=502):
    """Is it an error of the gateway's own, as S3 prints them?"""
    assert (answer.status, answer.getheader('X-Cache')) == (status, 'ERROR')
    assert answer.getheader('Content-Type') == 'application/xml'
    code = 'BadGateway' if status == 502 else 'GatewayTimeout'
    assert f'<Code>{code}</Code>'.encode() in answer.body
    return True


def reads(nginx, target, body, cache='MISS'):
    """Is that the body, and did it come that way?"""
    answer = nginx.get(target)
    assert answer.status == 200, \
        (target, answer.body[:500], nginx.log()[-2000:])
    assert how(answer.getheader('X-Cache')) == cache, target
    assert answer.body == body
    return True


def how(cache):
    """X-Cache; who asks again at once may meet the end of the fetch."""
    return 'HIT' if cache == 'SHARED' else cache


# --- TLS ----------------------------------------------------------------------

class Tls:
    """A scripted origin by https, that remembers the names of SNI."""

    def __init__(self, context):
        self.sni = []
        self.context = context
        self.instead = None           # another context, for the next ones
        context.sni_callback = self._named
        self.origin = ScriptedOrigin(tls=context)
        self.origin.put('bkt', 'key', b'secured')

    def _named(self, connection, name, _):
        self.sni.append(name)
        if self.instead:
            connection.context = self.instead

    def at(self, host):
        return At(f'https://{host}:{self.origin.port}')

    def __enter__(self):
        self.origin.start()
        return self

    def __exit__(self, *_):
        self.origin.stop()


@pytest.fixture
def dns():
    with Dns() as started:
        yield started


@pytest.fixture
def tls_gateway(make_gateway, authority, dns):
    """tls_gateway(tls, host, directives): trusts the authority of the run
    if it is not told to trust another, or `ca=''` the system's."""
    def make(server, host, more='', ca=None, **pieces):
        ca = authority.cert if ca is None else ca
        if ca:
            more += f's3_cache_origin_ssl_trusted_certificate {ca};'
        return make_gateway(server.at(host), dns.directive + more, **pieces)
    return make


@pytest.fixture(scope='session')
def stranger(tmp_path_factory):
    """An authority that nobody trusts."""
    return tls.Authority(tmp_path_factory.mktemp('stranger'), 'stranger')


@pytest.mark.parametrize('names, host, more, sni', [
    (('store.test',), 'store.test', '', 'store.test'),
    (('store.test',), 'STORE.test', '', 'store.test'),
    (('*.store.test',), 'eu.store.test', '', 'eu.store.test'),
    (('127.0.0.1',), '127.0.0.1', '', None),
    (('other.test',), 'store.test', 's3_cache_origin_ssl_name other.test;',
     'other.test'),
    (('other.test',), '127.0.0.1', 's3_cache_origin_ssl_name other.test;',
     'other.test'),
    (('127.0.0.1',), 'store.test', 's3_cache_origin_ssl_name 127.0.0.1;',
     None),
    (('other.test',), 'store.test', 's3_cache_origin_ssl_verify off;',
     'store.test'),
], ids=['name', 'case', 'wildcard', 'address', 'ssl_name', 'ssl_name for an '
        'address', 'an address as ssl_name', 'not verified'])
def test_https_origin(tls_gateway, authority, names, host, more, sni):
    with Tls(authority.server_context(*names)) as server:
        nginx = tls_gateway(server, host, more)
        assert reads(nginx, '/bkt/key', b'secured')
        assert reads(nginx, '/bkt/key', b'secured', 'HIT')
        assert server.sni == [sni]
        request, = server.origin.requests
        assert request.header('host') == \
            f'{host.lower()}:{server.origin.port}'


def _self_signed(stranger):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(stranger.cert, stranger.key)
    return context


@pytest.mark.parametrize('what, why', [
    ('wrong name', 'certificate does not match: store.test'),
    ('no such address', 'certificate does not match: 127.0.0.1'),
    ('wrong ssl_name', 'certificate does not match: third.test'),
    ('wildcard too wide', 'certificate does not match: a.b.store.test'),
    ('untrusted', 'certificate verify error'),
    ('self-signed', 'certificate verify error'),
    ('system authorities', 'certificate verify error'),
    ('old TLS', 'TLS handshake failed'),
])
def test_an_origin_that_is_not_verified_gets_no_request(
        tls_gateway, authority, stranger, what, why):
    host, more, ca, names = 'store.test', '', None, ('store.test',)
    issuer = stranger if what == 'untrusted' else authority
    if what == 'wrong name':
        names = ('other.test', 'store.test.other.test')
    elif what == 'no such address':
        host = '127.0.0.1'
    elif what == 'wrong ssl_name':
        more = 's3_cache_origin_ssl_name third.test;'
    elif what == 'wildcard too wide':
        host, names = 'a.b.store.test', ('*.store.test',)
    elif what == 'system authorities':
        ca = ''
    context = (_self_signed(stranger) if what == 'self-signed'
               else issuer.server_context(*names))
    if what == 'old TLS':
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            context.set_ciphers('ALL:@SECLEVEL=0')
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1

    with Tls(context) as server:
        nginx = tls_gateway(server, host, more, ca)
        for method in ('GET', 'HEAD', 'GET'):
            answer = nginx.request(method, '/bkt/key')
            assert method == 'HEAD' or is_s3_error(answer)
            assert answer.status == 502
        assert is_s3_error(nginx.get('/bkt/key?uploads'))      # passed
        assert why in nginx.log()
        assert server.origin.requests == []
        assert b'certificate' not in nginx.get('/bkt/key').body

        if what == 'wrong name':
            # and as soon as it is right, it is read
            server.instead = authority.server_context('store.test')
            assert reads(nginx, '/bkt/key', b'secured')


def test_verification_is_of_a_location(tls_gateway, authority, make_nginx):
    """A session that was begun without verification is not resumed where
    there is verification."""
    with Tls(authority.server_context('other.test')) as server:
        origin = server.at('127.0.0.1').url
        trust = f's3_cache_origin_ssl_trusted_certificate {authority.cert};'
        off = 's3_cache_origin_ssl_verify off;'
        nginx = make_nginx(
            http=s3_zone(), workers=1,
            server=s3_location(origin, path='/lax/', more=trust + off)
            + s3_location(origin, path='/', more=trust)).start()
        server.origin.put('lax', 'key', b'lax')
        for _ in range(2):
            assert nginx.get('/lax/key').body == b'lax'
            assert is_s3_error(nginx.get('/bkt/key'))


def test_plain_http_where_tls_is_expected(tls_gateway, origin):
    class Plain:
        @staticmethod
        def at(host):
            return At(f'https://{host}:{origin.port}')

    nginx = tls_gateway(Plain, '127.0.0.1', SHORT)
    assert is_s3_error(nginx.get('/bkt/key'), 504)
    assert origin.requests == []


def test_tls_where_plain_http_is_expected(make_gateway, authority):
    with Tls(authority.server_context()) as server:
        nginx = make_gateway(At(f'http://127.0.0.1:{server.origin.port}'))
        assert is_s3_error(nginx.get('/bkt/key'))


@pytest.mark.parametrize('version', ['TLSv1_2', 'TLSv1_3'])
def test_tls_sessions_are_resumed(tls_gateway, authority, version):
    context = authority.server_context('store.test')
    context.minimum_version = getattr(ssl.TLSVersion, version)
    context.maximum_version = getattr(ssl.TLSVersion, version)
    with Tls(context) as server:
        nginx = tls_gateway(server, 'store.test', workers=1)
        server.origin.on(close=True)
        for i in range(5):
            server.origin.put('bkt', f'key{i}', b'%d' % i)
            assert reads(nginx, f'/bkt/key{i}', b'%d' % i)
        assert server.origin.accepted == 5
        assert context.session_stats()['hits'] == 4


# --- names and addresses ------------------------------------------------------

@pytest.fixture
def port():
    """One port, of 127.0.0.1 as well as of 127.0.0.2."""
    found = ports.reserve()
    yield found
    ports.release(found)


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


# --- signatures ---------------------------------------------------------------

ACCESS, SECRET, TOKEN = 'AKEXAMPLE', 'sEcReT/+xyz=', 'tOkEn//+abc=='
KEYS = ['plain', 'with space', ' led and followed ', 'a+b', '100%', '%41',
        '%2F', 'ünï/cødé ☃', '😀', 'a//b', '/led', 'followed/', '//', 'a/./b',
        'a/../b', 'quo"te\'s', 'semi;colon&amp=1', 'que?ry', 'ha#sh',
        '~tilde.-_', '(par)*!', '[b]{c}|^`\\<>', '$@:,=', 'tab\there',
        'key=a&X-Amz-Date=1', 'x' * 1024]


def signer(request, secrets):
    """Who signed it; fails if it is not signed rightly."""
    return sigv4.check(request.method, request.target, request.headers,
                       request.body, secrets)


def scope(request):
    return re.search('Credential=[^/]+/[0-9]{8}/([^,]+),',
                     request.header('authorization')).group(1)


@pytest.fixture(scope='module')
def signed(tmp_path_factory):
    """(origin, nginx): an origin that refuses what is not signed rightly."""
    with ScriptedOrigin(secrets={ACCESS: SECRET}) as origin:
        with Nginx(tmp_path_factory.mktemp('signed'), http=s3_zone(),
                   server=s3_location(
                       origin.url, ACCESS, SECRET,
                       more=SMALL_BLOCKS)) as nginx:
            yield origin, nginx


@pytest.fixture
def strict(signed):
    """The same, without what the last test left at the origin."""
    signed[0].reset()
    yield signed
    assert signed[0].requests
    for request in signed[0].requests:
        assert request.signer == ACCESS, (request.head, request.refused)


SPELLINGS = {
    'all that may be': lambda key: quote(key, safe=''),
    'as browsers do': lambda key: quote(key, safe="/~!$&'()*+,;=:@[]"),
    'bytes as they are': lambda key: re.sub(
        '[\0-\x20%?#\x7f]', lambda m: f'%{ord(m.group()):02x}',
        key).encode().decode('latin-1'),
}


@pytest.mark.parametrize('spelling', SPELLINGS)
def test_keys_are_signed_as_they_are(strict, spelling):
    origin, nginx = strict
    bucket = f'bkt{list(SPELLINGS).index(spelling)}'
    for number, key in enumerate(KEYS):
        body = b'%d' % number
        origin.put(bucket, key, body)
        target = f'/{bucket}/{SPELLINGS[spelling](key)}'
        for cache in ('MISS', 'HIT'):
            answer = raw_http.ask(nginx.port(), 'GET', target)
            assert (answer.status, how(answer['X-Cache']), answer.body
                    ) == (200, cache, body), (key, target, answer.body)
        assert origin.requests[-1].key == key
    assert len(origin.requests) == len(KEYS)


def test_reads_of_all_kinds_are_signed(strict):
    origin, nginx = strict
    body = pattern(300_000)
    origin.put('kinds', 'dir/la rge', body)
    origin.put('kinds', 'v', b'of a version', version_id='a+b/c=%20')
    spaced = {'x-amz-expected-bucket-owner': 'a  b   c'}
    wanted = [
        ('HEAD', '/kinds/dir/la%20rge', {}, 200),
        ('GET', '/kinds/dir/la%20rge', {'Range': 'bytes=70000-199999'}, 206),
        ('GET', '/kinds/dir/la%20rge', {}, 200),
        ('GET', '/kinds/v?versionId=a%2Bb%2Fc%3D%2520', {}, 200),
        ('HEAD', '/kinds/v?versionId=a%2Bb/c=%2520', {}, 200),
        ('GET', '/kinds/v?partNumber=1', {}, 200),
        ('GET', '/kinds/v?partNumber=1', {'If-None-Match': '"no"'}, 200),
        ('GET', '/kinds/v', spaced, 200),
        ('GET', '/kinds/v', {'x-amz-request-payer': 'requester'}, 200),
        ('GET', '/kinds/v?x-amz-request-payer=requester', {}, 200),
        ('GET', '/kinds/v?tagging', {}, 200),
        ('GET', '/kinds/v?tagging=&versionId=a%2Bb%2Fc%3D%2520', {}, 200),
        ('GET', '/kinds/v', {'Origin': 'http://a.test'}, 200),
        ('GET', '/', {}, 200),
        ('GET', '/kinds', {}, 200),
        ('GET', '/kinds/', {}, 200),
        ('HEAD', '/kinds', {}, 200),
        ('GET', '/kinds?prefix=dir%2Fla%20r&list-type=2&delimiter=%2F', {},
         200),
        ('GET', '/kinds?list-type=2&prefix=dir/%C3%BC&delimiter=/'
         '&encoding-type=url&fetch-owner', {}, 200),
        ('GET', '/kinds?list-type=2&max-keys=1&continuation-token='
         '1%2Ba%2Fb%3D%3D&start-after=a%26b%3Dc', {}, 200),
        ('GET', '/kinds?delimiter=%3B&prefix=%27%22%2A%28%29!~&b=2&a=1&a=0'
         '&B=3', {}, 200),
        ('GET', '/kinds?versions&key-marker=%F0%9F%98%80&&', {}, 200),
    ]
    for method, target, headers, status in wanted:
        answer = raw_http.ask(nginx.port(), method, target, headers)
        assert answer.status in (status, 206 if 'part' in target else status
                                 ), (target, answer.body)
    got = raw_http.ask(nginx.port(), 'GET', '/kinds/dir/la%20rge')
    assert (how(got['X-Cache']), got.body) == ('HIT', body)
    # what has several blocks was asked for by several requests
    assert len(origin.requests_for('kinds', 'dir/la rge')) > 4
    assert {r.header('if-match') for r in origin.requests_for(
        'kinds', 'dir/la rge')} - {None}
    query = [r.query for r in origin.requests if 'continuation-token'
             in r.query][0]
    assert query == {'list-type': '2', 'max-keys': '1', 'continuation-token':
                     '1+a/b==', 'start-after': 'a&b=c'}


def test_how_a_client_signed_never_reaches_the_origin(strict):
    origin, nginx = strict
    origin.put('bkt', 'key', b'body')
    headers = raw_http.signed('GET', '/bkt/key', {}, 'gateway.test',
                              'AKCLIENT', 'client-secret',
                              session_token='client-token')
    presigned = ('X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKCLIENT'
                 '%2F20260101%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Date='
                 '20260101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host'
                 '&X-Amz-Signature=' + 64 * 'e' + '&X-Amz-Security-Token='
                 'client-token')
    for target in ('/bkt/key', '/bkt/key?partNumber=1', '/bkt?list-type=2'):
        for given, query in ((headers, ''), ({}, presigned)):
            if query:
                query = ('&' if '?' in target else '?') + query
            answer = raw_http.ask(nginx.port(), 'GET', target + query, given)
            assert answer.status in (200, 206), answer.body
    assert len(origin.requests) == 5              # one was a hit
    for request in origin.requests:
        for word in (b'AKCLIENT', b'client', b'eeee', b'gateway.test',
                     b'20260101', b'X-Amz-Expires'):
            assert word not in request.head, request.head
        assert request.head.lower().count(b'\r\nauthorization:') == 1


# --- credentials --------------------------------------------------------------

@pytest.fixture
def credentials(tmp_path):
    """A file of credentials: [default] and [prod], which has a token."""
    path = tmp_path / 'credentials'
    path.write_text(
        '# of a test\n[default]\naws_access_key_id = AKFILE\n'
        f'aws_secret_access_key = {SECRET}file\n\n[prod]\n'
        f'aws_access_key_id=AKPROD\naws_secret_access_key={SECRET}prod\n'
        f'aws_session_token={TOKEN}prod\n', encoding='ascii')
    path.chmod(0o600)
    return path


def sources(path):
    """bucket: (what is configured, access key, session token)"""
    give = 's3_cache_origin_credentials'
    return {
        'args': (f'{give} access_key=AKARGS secret_key={SECRET}args;',
                 'AKARGS', None),
        'token': (f'{give} access_key=AKTOKEN secret_key={SECRET}token '
                  f'session_token={TOKEN}token;', 'AKTOKEN', TOKEN + 'token'),
        'file': (f'{give} file={path};', 'AKFILE', None),
        'relative': (f'{give} file=../{path.name};', 'AKFILE', None),
        'profile': (f'{give} file={path} profile=prod;', 'AKPROD',
                    TOKEN + 'prod'),
        'environ': (f'{give} env;', 'AKENV', TOKEN + 'env'),
        'nobody': (f'{give} none;', None, None),
        'inherits': ('', 'AKOUTER', None),
    }


SECRETS = {f'AK{word.upper()}': SECRET + word for word in (
    'args', 'token', 'file', 'prod', 'env', 'outer', 'new')}


def serve_sources(make_nginx, origin, path, **pieces):
    locations = ''.join(
        s3_location(origin.url, path=f'/{bucket}/', more=text)
        for bucket, (text, _, _) in sources(path).items())
    for bucket in sources(path):
        origin.put(bucket, 'key', bucket.encode())
    return make_nginx(
        http=s3_zone() + 's3_cache_origin_credentials access_key=AKOUTER '
        f'secret_key={SECRET}outer;', server=locations,
        env={'AWS_ACCESS_KEY_ID': 'AKENV', 'AWS_SECRET_ACCESS_KEY':
             SECRET + 'env', 'AWS_SESSION_TOKEN': TOKEN + 'env'}, **pieces)


def test_where_credentials_come_from(make_nginx, origin, credentials):
    nginx = serve_sources(make_nginx, origin, credentials).start()
    for mark in (1, 2):
        for bucket, (_, access_key, token) in sources(credentials).items():
            assert reads(nginx, f'/{bucket}/key', bucket.encode())
            request, = origin.requests_for(bucket)
            assert signer(request, SECRETS) == access_key
            assert request.header('x-amz-security-token') == token
            if access_key:
                assert scope(request) == 'us-east-1/s3/aws4_request'
            else:
                assert b'x-amz-date' not in request.head
                assert b'x-amz-content' not in request.head
        if mark == 1:                     # the same after a reload...
            origin.requests.clear()
            nginx.reload(http=nginx.pieces['http'].replace(':64m', ':65m'))

    # ...which reads the file again
    credentials.write_text('[default]\naws_access_key_id=AKNEW\n'
                           f'aws_secret_access_key={SECRET}new\n[prod]\n'
                           'aws_access_key_id=AKPROD\n'
                           f'aws_secret_access_key={SECRET}prod\n')
    nginx.reload()
    origin.requests.clear()
    assert reads(nginx, '/file/key', b'file')     # other keys: not shared
    assert signer(origin.requests[0], SECRETS) == 'AKNEW'
    assert reads(nginx, '/args/key', b'args', 'HIT')


def test_environment_without_a_session_token(make_nginx, origin):
    env = {'AWS_ACCESS_KEY_ID': 'AKENV',
           'AWS_SECRET_ACCESS_KEY': SECRET + 'env', 'AWS_SESSION_TOKEN': ''}
    nginx = make_nginx(http=s3_zone(), env=env, server=s3_location(
        origin.url, more='s3_cache_origin_credentials env;')).start()
    origin.put('bkt', 'key', b'body')
    assert reads(nginx, '/bkt/key', b'body')
    assert signer(origin.requests[0], SECRETS) == 'AKENV'
    assert origin.requests[0].header('x-amz-security-token') is None


def test_the_region_is_signed_for(origin, make_gateway):
    nginx = make_gateway(origin, keys=(ACCESS, SECRET), region='eu-west-3')
    origin.put('bkt', 'key', b'body')
    assert reads(nginx, '/bkt/key', b'body')
    assert signer(origin.requests[0], {ACCESS: SECRET}) == ACCESS
    assert scope(origin.requests[0]) == 'eu-west-3/s3/aws4_request'


def test_nothing_shows_a_secret(make_nginx, origin, credentials, port):
    """Logs of the highest level, answers, metrics, and what it prints."""
    refused = s3_location(f'http://127.0.0.1:{port}', 'AKARGS',
                          f'{SECRET}args', path='/down/')
    nginx = serve_sources(
        make_nginx, origin, credentials, log_level='debug')
    nginx.pieces['server'] += refused
    nginx.pieces['http'] += (
        'log_format all escape=json "$request $s3_cache_status '
        '$s3_cache_tier $s3_cache_bucket $s3_cache_key $s3_cache_bypass";\n'
        'access_log @dir@/all.log all;')
    status, said = nginx.test_conf()
    assert status == 0, said
    nginx.start()
    shown = [said]

    def ask(target, method='GET'):
        answer = nginx.request(method, target)
        shown.append(f'{answer.status} {answer.headers} {answer.body}')
        return answer.status

    origin.on(key='denied', error=(403, 'AccessDenied'))
    origin.on(key='broken', malformed='duplicate_length')
    origin.on(key='dropped', drop=True)
    statuses = set()
    for bucket in sources(credentials):
        for key in ('key', 'key', 'missing', 'denied', 'broken', 'dropped',
                    'key?partNumber=1', 'key?tagging', '?list-type=2'):
            statuses.add(ask(f'/{bucket}/{key}'))
        statuses.add(ask(f'/{bucket}/other', 'HEAD'))
        statuses.add(ask(f'/{bucket}/key', 'PUT'))
    statuses.add(ask('/down/key'))
    assert statuses == {200, 206, 403, 404, 501, 502}
    shown += [str(nginx.status()), nginx.metrics()]
    nginx.reload()
    nginx.stop()
    for name in ('error.log', 'access.log', 'all.log', 'stdio.log'):
        with open(os.path.join(nginx.dir, name), encoding='latin-1') as f:
            shown.append(f.read())
            assert shown[-1] or name == 'stdio.log'
    signatures = [re.search('Signature=(.+)', r.header('authorization'))
                  .group(1) for r in origin.requests
                  if r.header('authorization')]
    assert signatures
    for word in itertools.chain([SECRET, TOKEN], SECRETS, signatures,
                                ['Credential=', 'security-token']):
        for text in shown:
            assert word not in text, (word, text[
                max(0, text.find(word) - 300):text.find(word) + 100])


@pytest.mark.parametrize('target', ['/bkt/key', '/bkt/key?tagging'])
def test_an_error_of_the_origin_shows_no_token(make_gateway, target):
    """S3 tells who signs wrongly what should have been signed, the token
    included (CanonicalRequest; Token-0 of an expired one)."""
    with ScriptedOrigin(secrets={ACCESS: 'another'}) as origin:
        nginx = make_gateway(
            origin, 's3_cache_origin_credentials '
            f'access_key={ACCESS} secret_key={SECRET} session_token={TOKEN};')
        answer = nginx.get(target)
        assert origin.requests[0].refused.startswith('SignatureDoesNotMatch')
        assert 400 <= answer.status < 600
        assert TOKEN.encode() not in answer.body


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


# --- configurations that are wrong --------------------------------------------

HIDDEN = 'SECRETxyz'
GIVE = 's3_cache_origin_credentials'
URLS = [
    ('127.0.0.1:80', 'must begin'), (f'ftp://{HIDDEN}', 'must begin'),
    ('http://', 'has no host'), ('http://127.0.0.1/', 'path'),
    ('http://127.0.0.1:80/b', 'path'), ('http://$host', 'variables'),
    (f'http://u:{HIDDEN}@127.0.0.1', 'user or password'),
    (f'http://127.0.0.1?{HIDDEN}', 'query'),
    ('"http://127.0.0.1 "', 'invalid character'),
    ('http://127.0.0.1:99999', 'invalid port'),
    ('http://127.0.0.1:0', 'invalid port'), ('http://127.0.0.1:', 'port'),
    ('http://127.0.0.1:80:90', 'port'), ('http://[::1', 'invalid host'),
    ('http://[::1]x', ''), ('http://:80', 'no host'),
    ('http://' + 'x' * 256, 'too long'),
    ('http://no-such-host.invalid', 'host not found'),
]
CREDENTIALS = [
    ('access_key=AK', 'a secret key'),
    (f'secret_key={HIDDEN}', 'an access key'),
    (f'access_key=AK secret={HIDDEN}', 'parameter number 2'),
    (HIDDEN, 'parameter number 1'), (f'env {HIDDEN}', 'parameter number 1'),
    (f'access_key=A/K secret_key={HIDDEN}', 'without "/"'),
    (f'"access_key=A K" secret_key={HIDDEN}', 'without blanks'),
    (f'access_key=AK "secret_key={HIDDEN}\\n"', 'without blanks'),
    ('file=/nonexistent/x', 'No such file'),
    ('file=@dir@', 'no regular file'),
    (f'file=@dir@/good {HIDDEN}=x', 'takes "file=PATH'),
    ('file=@dir@/good profile=none', 'no profile "none"'),
    ('file=@dir@/bad', 'line 3'), ('file=@dir@/empty', 'no profile'),
    ('env', '"AWS_ACCESS_KEY_ID" is not set'),
    (f'access_key=A secret_key={HIDDEN}; {GIVE} none', 'duplicate'),
]
OTHERS = [
    ('s3_cache_origin https://127.0.0.1; '
     's3_cache_origin_ssl_trusted_certificate /nonexistent.pem;',
     'cannot be loaded'),
    ('s3_cache_origin https://127.0.0.1; '
     's3_cache_origin_ssl_trusted_certificate @dir@/bad;',
     'cannot be loaded'),
    ('s3_cache_origin http://127.0.0.1; s3_cache_origin http://127.0.0.2;',
     'duplicate'),
    ('s3_cache_origin http://127.0.0.1; s3_cache_origin_tries 0;',
     'between 1 and 16'),
    ('s3_cache_origin http://127.0.0.1; s3_cache_origin_tries 17;',
     'between 1 and 16'),
    ('s3_cache_origin http://127.0.0.1; s3_cache_origin_region;',
     'invalid number of arguments'),
    ('s3_cache_origin http://127.0.0.1; '
     's3_cache_origin_connect_timeout x;', 'invalid value'),
    ('s3_cache_origin http://127.0.0.1; s3_cache_origin_ssl_verify maybe;',
     'invalid value'),
]
WRONG = ([(f's3_cache_origin {url};', why) for url, why in URLS]
         + [(f's3_cache_origin http://127.0.0.1; {GIVE} {words};', why)
            for words, why in CREDENTIALS] + OTHERS)


def _configured(make_nginx, text, **env):
    nginx = make_nginx(
        http=s3_zone(), env=dict({'AWS_ACCESS_KEY_ID': ''}, **env),
        server=f'location / {{\n    s3_cache hot;\n    {text}\n}}')
    for name, content in (
            ('good', f'[default]\naws_access_key_id=AK\n'
             f'aws_secret_access_key={HIDDEN}\n'),
            ('bad', f'[default]\naws_access_key_id=AK\n{HIDDEN}\n'),
            ('empty', '')):
        path = os.path.join(nginx.dir, name)
        with open(path, 'w', encoding='ascii') as f:
            f.write(content)
        os.chmod(path, 0o600)
    return nginx


@pytest.mark.parametrize('text, why', WRONG,
                         ids=[text[16:70] for text, _ in WRONG])
def test_a_wrong_configuration_is_found(make_nginx, text, why):
    nginx = _configured(make_nginx, text)
    status, said = nginx.test_conf()
    assert status != 0 and why in said, said
    assert HIDDEN not in said, said
    line = nginx.write_conf().split('    s3_cache hot;\n')[0].count('\n') + 2
    assert f' {nginx.conf_path}:{line}' in said, said


@pytest.mark.parametrize('text', [
    's3_cache_origin http://localhost;', 's3_cache_origin https://[::1]:90;',
    's3_cache_origin HTTP://127.0.0.1:65535;',
    'resolver 127.0.0.1; s3_cache_origin https://later.test;',
    f's3_cache_origin http://127.0.0.1; {GIVE} file=good;',
    f's3_cache_origin http://127.0.0.1; {GIVE} file=@dir@/good '
    'profile=default;'])
def test_a_right_configuration_is_taken(make_nginx, text):
    status, said = _configured(make_nginx, text).test_conf()
    assert status == 0 and 'warn' not in said, said


def test_credentials_that_all_may_read_are_warned_of(make_nginx):
    nginx = _configured(make_nginx, 's3_cache_origin http://127.0.0.1; '
                        f'{GIVE} file=good;')
    os.chmod(os.path.join(nginx.dir, 'good'), 0o644)
    status, said = nginx.test_conf()
    assert status == 0 and 'accessible to every user' in said, said
    assert HIDDEN not in said
