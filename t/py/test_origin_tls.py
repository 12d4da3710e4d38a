# SPDX-License-Identifier: Apache-2.0
"""TLS to the origin: no request is sent before it has been verified."""

import ssl
import warnings

import pytest

from lib import tls
from lib.nginx import s3_location, s3_zone
from origin.scripted_origin import ScriptedOrigin
from origin_reads import At, SHORT, is_s3_error, reads
from origin_reads import dns    # noqa: F401 (a fixture)


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
