# SPDX-License-Identifier: Apache-2.0
"""Writes with s3_cache_auth origin: they go on as the client has signed them,
byte for byte, and all that is promised of writes holds for them."""

import threading

import pytest

import raw_http
import raw_http2
from lib import wait
from lib.nginx import s3_location, s3_zone
from origin.objects import pattern
from origin_auth_lab import (  # noqa: F401 (fixtures)
    ALICE, BOB, GATEWAY, HOUR, denied, gateway, get, head_of,
    make_asking, of, origin, put, signer)
from peer_reads import make_cluster    # noqa: F401 (a fixture)
from write_bodies import (SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER,
                          aws_chunked, form, http_chunked)

BODY = pattern(200_000)
V4A = 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD'


def last(origin):
    return origin.requests[-1]


# --- byte for byte -----------------------------------------------------------

@pytest.mark.parametrize('size', [0, 1, 70_000, 3_000_000])
def test_a_plain_body(origin, gateway, size):
    body, target = pattern(size, 5), '/bkt/a%20b?x-id=PutObject'
    pairs = signer(ALICE).head('PUT', target, [
        ('Content-Type', 'text/x'), ('x-amz-meta-a_b', 'c  d'),
        ('Cache-Control', 'no-cache'), ('X-Signed-Too', 'yes')],
        f'127.0.0.1:{gateway.port()}', 'UNSIGNED-PAYLOAD')
    loose = [('User-Agent', 'tester'), ('X-Forwarded-For', '1.2.3.4'),
             ('x_amz_copy_source', '/bkt/other'), ('Proxy-Authorization', 'x'),
             ('Accept-Encoding', 'gzip')]
    answer = raw_http.ask(gateway.port(), 'PUT', target, pairs + loose, body,
                          close=False)
    assert answer.status == 200
    request = last(origin)
    assert (request.method, request.target, request.body) == (
        'PUT', target, body)
    assert request.signer == ALICE[0]
    assert dict(request.headers) == {
        **dict(pairs), 'User-Agent': 'tester', 'Accept-Encoding': 'identity',
        'Content-Length': str(size)}
    assert get(gateway, BOB, '/bkt/a%20b').body == body


@pytest.mark.parametrize('payload', [SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER,
                                     V4A])
@pytest.mark.parametrize('expect', [False, True])
def test_chunks_are_not_decoded(origin, gateway, payload, expect):
    """Not even those that are none: it is the origin that says so."""
    for raw in (aws_chunked(BODY, 8192, True), b'no chunks at all', BODY):
        headers = [('x-amz-decoded-content-length', str(len(BODY))),
                   ('Content-Encoding', 'aws-chunked,gzip'),
                   ('x-amz-trailer', 'x-amz-checksum-crc32'),
                   ('x-amz-sdk-checksum-algorithm', 'CRC32')]
        answer = put(gateway, ALICE, '/bkt/key', raw, headers,
                     payload=payload,
                     loose=[('Expect', '100-continue')] * expect)
        assert answer.status == 200
        assert answer.interim == ((100,) if expect else ())
        request = last(origin)
        assert request.body == raw
        for name, value in headers:
            assert request.header(name) == value
        assert request.header('expect') == ('100-continue' if expect
                                            else None)
        # (this origin keeps what came)
        assert get(gateway, BOB, '/bkt/key').body == raw


def test_a_length_is_needed(origin, gateway):
    for payload in (SIGNED, 'UNSIGNED-PAYLOAD'):
        pairs = head_of(gateway, ALICE, 'PUT', '/bkt/key', [
            ('x-amz-decoded-content-length', '5'),
            ('Transfer-Encoding', 'chunked')], payload=payload)
        answer = raw_http.ask(
            gateway.port(), 'PUT', '/bkt/key', pairs,
            http_chunked(aws_chunked(b'12345')), close=False)
        assert (answer.status, answer.element('Code')) == (
            411, 'MissingContentLength')
    assert not origin.requests


def test_other_writes(origin, gateway):
    origin.put('bkt', 'from', BODY)
    origin.put('bkt', 'key', b'old')
    for keys in (ALICE, BOB):
        assert get(gateway, keys).body == b'old'
    answer = put(gateway, ALICE, '/bkt/key', b'', [
        ('x-amz-copy-source', '/bkt/from')])
    assert answer.status == 200
    for keys in (ALICE, BOB):
        assert get(gateway, keys).body == BODY
    pairs = head_of(gateway, ALICE, 'DELETE', '/bkt/key', [
        ('Content-Length', '0')])
    assert raw_http.ask(gateway.port(), 'DELETE', '/bkt/key', pairs,
                        close=False).status == 204
    assert last(origin).header('content-length') == '0'
    assert get(gateway, BOB).status == 404


@pytest.mark.parametrize('chunked', [False, True])
def test_many_keys(origin, gateway, chunked):
    """In chunks nobody here reads the names: all of the bucket is dropped."""
    for key in ('a', 'b', 'c'):
        origin.put('bkt', key, BODY)
        assert get(gateway, ALICE, f'/bkt/{key}').body == BODY
    doc = b'<Delete><Object><Key>a</Key></Object><Object><Key>b</Key>' \
          b'</Object></Delete>'
    if chunked:
        origin.on('bkt', '', method='POST', before=lambda _: [
            origin.delete('bkt', key) for key in ('a', 'b')], status=200,
            error=None)
    drops = gateway.zone()['writes']['bucket_drops']
    answer = put(gateway, ALICE, '/bkt?delete',
                 aws_chunked(doc, 20, True) if chunked else doc,
                 [('x-amz-decoded-content-length', str(len(doc)))] * chunked,
                 method='POST',
                 payload=SIGNED if chunked else 'UNSIGNED-PAYLOAD')
    assert answer.status == 200
    for key, status in (('a', 404), ('b', 404), ('c', 200)):
        assert get(gateway, BOB, f'/bkt/{key}').status == status
    assert gateway.zone()['writes']['bucket_drops'] - drops == (
        1 if chunked else 0)


def test_a_form_is_judged_by_its_own_policy(origin, gateway):
    kind, body = form({'key': 'key', 'policy': 'x'}, b'file')
    answer = raw_http.ask(gateway.port(), 'POST', '/bkt', [
        ('Host', f'127.0.0.1:{gateway.port()}'), ('Content-Type', kind)],
        body, close=False)
    assert answer.status == 403
    assert last(origin).body == body
    assert last(origin).header('authorization') is None


# --- what it names -----------------------------------------------------------

@pytest.mark.parametrize('host', ['attacker', 'attacker.s3.test',
                                  'localhost', '127.0.0.1.', 'x.127.0.0.1'])
def test_a_host_that_may_be_a_bucket_is_not_written_to(origin, gateway, host):
    answer = put(gateway, ALICE, '/bkt/key', b'x', host=host)
    assert (answer.status, answer.element('Code')) == (400, 'InvalidRequest')
    answer = put(gateway, ALICE, f'http://127.0.0.1:{gateway.port()}/bkt/key',
                 b'x', host=host)
    assert answer.status == 400
    for pair in ((host, f'127.0.0.1:{gateway.port()}'),
                 (f'127.0.0.1:{gateway.port()}', host)):
        answer = raw_http.ask(
            gateway.port(), 'PUT', '/bkt/key',
            [('Host', pair[0]), ('Host', pair[1])], b'x', close=False)
        assert answer.status == 400
    assert not origin.requests


def test_hosts_that_are_known(origin, make_asking):
    gateway = make_asking(origin, 's3_cache_domain s3.test gw.example;')
    for host, target in (
            ('gw.example', '/bkt/key'), ('GW.example:8080', '/bkt/key'),
            ('bkt.s3.test', '/key'), ('127.0.0.1', '/bkt/key'),
            ('[::1]:99', '/bkt/key')):
        body = host.encode()
        answer = put(gateway, ALICE, target, body, host=host)
        assert answer.status == 200, host
        assert last(origin).header('host') == host
        assert get(gateway, BOB).body == body


def test_a_read_by_any_host_is_of_what_the_origin_means(origin, gateway):
    """The origin takes it for a bucket's name, the gateway does not."""
    origin.put('bkt', 'key', BODY)
    origin.put('attacker', 'bkt/key', b'of the attacker')
    assert get(gateway, ALICE, ago=9).body == BODY
    host = [('Host', 'attacker.s3.test')]
    for n in range(3):
        pairs = signer(BOB, n).head('GET', '/bkt/key', [], 'attacker.s3.test',
                                    'UNSIGNED-PAYLOAD')
        answer = raw_http.ask(gateway.port(), 'GET', '/bkt/key', pairs)
        assert (answer.status, answer.body) == (200, b'of the attacker')
        assert get(gateway, ALICE, ago=n).body == BODY
    origin.secrets = None
    answer = raw_http.ask(gateway.port(), 'GET', '/bkt/key', host)
    assert answer.body == b'of the attacker'


@pytest.mark.parametrize('path', ['/bkt/a+b', '/bkt/a;b', '/bkt/a\\b'])
def test_a_key_in_doubt_drops_the_bucket(origin, gateway, path):
    origin.put('bkt', 'a b', b'old')
    target = '/bkt/a%20b'
    pairs = head_of(gateway, ALICE, 'GET', target)
    for _ in range(2):
        assert raw_http.ask(gateway.port(), 'GET', target, pairs
                            ).body == b'old'
    # an origin that takes a plus for a space; of the yes nobody asks again
    origin.on('bkt', method='PUT', before=lambda _: origin.put(
        'bkt', 'a b', b'new'))
    assert put(gateway, ALICE, path, b'x').status == 200
    assert raw_http.ask(gateway.port(), 'GET', target, pairs).body == b'new'


# --- the contract ------------------------------------------------------------

def test_the_end_of_a_body_in_chunks_is_not_sent_in_parts(origin, gateway):
    """The last of it may be no more than a line that the origin does not need:
    it gets none of the end before all of it is here, and readers do not care
    until then."""
    origin.put('bkt', 'key', b'old')
    assert get(gateway, BOB, ago=1).body == b'old'
    raw = aws_chunked(BODY, 65536, True)
    pairs = head_of(gateway, ALICE, 'PUT', '/bkt/key', [
        ('x-amz-decoded-content-length', str(len(BODY)))], payload=SIGNED)
    with raw_http.Connection(gateway.port()) as client:
        client.request('PUT', '/bkt/key', pairs + [
            ('Content-Length', str(len(raw)))], raw[:-2])
        wait.until(lambda: origin.requests_for(method='PUT'), 'it to come')
        for n in range(2, 10):
            answer = get(gateway, BOB, ago=n)
            assert (answer.body, answer['X-Cache']) == (b'old', 'HIT')
        client.send(raw[-2:])
        assert client.answer().status == 200
    assert get(gateway, BOB).body == raw
    assert get(gateway, BOB, ago=10)['X-Cache'] == 'HIT'


def test_an_answer_that_is_lost_counts_as_written(origin, gateway):
    origin.put('bkt', 'key', b'old')
    assert get(gateway, BOB, ago=1).body == b'old'
    origin.on('bkt', 'key', method='PUT', before=lambda _: origin.put(
        'bkt', 'key', b'new'), drop=True)
    assert put(gateway, ALICE, '/bkt/key', b'new').status == 502
    for n in range(3):
        answer = get(gateway, BOB, ago=n)
        assert (answer.body, answer['X-Cache']) == (b'new', 'BYPASS')
    assert gateway.zone()['writes']['unknown'] == 1


def test_a_refused_write_drops_nothing(origin, gateway):
    origin.put('bkt', 'key', b'old')
    assert get(gateway, ALICE, ago=1).body == b'old'
    origin.on('bkt', 'key', **denied(BOB))
    answer = put(gateway, BOB, '/bkt/key', b'new')
    assert (answer.status, answer.element('Message')) == (403, 'Not for you.')
    assert get(gateway, ALICE, ago=2).body == b'old'
    assert get(gateway, ALICE, ago=3)['X-Cache'] == 'HIT'


def test_nothing_is_kept_of_what_is_written(origin, make_asking):
    gateway = make_asking(origin, 's3_cache_write_through 1h;')
    assert put(gateway, ALICE, '/bkt/key', BODY).status == 200
    assert get(gateway, ALICE)['X-Cache'] == 'MISS'
    assert gateway.zone()['write_through']['captured'] == 0


def test_writers_and_readers_at_once(origin, make_asking):
    """Whoever saw a write end never reads what was before it."""
    gateway = make_asking(origin, workers=2)
    origin.put('bkt', 'key', b'0')
    written, wrong, over = [0], [], threading.Event()

    def reads(keys):
        while not over.is_set():
            least = written[0]
            answer = get(gateway, keys)
            if answer.status != 200 or int(answer.body) < least:
                wrong.append((least, answer))

    readers = [threading.Thread(target=reads, args=(keys,))
               for keys in (ALICE, BOB) for _ in range(2)]
    for reader in readers:
        reader.start()
    for n in range(1, 150):
        assert put(gateway, ALICE, '/bkt/key', b'%d' % n).status == 200
        written[0] = n
    over.set()
    for reader in readers:
        reader.join()
    assert not wrong, wrong[:3]


# --- a ring ------------------------------------------------------------------

def test_in_a_ring_the_node_of_the_client_asks(make_cluster, origin):
    cluster = make_cluster(
        origin, location='s3_cache_auth origin; s3_cache_auth_valid 1h;'
        f's3_cache_origin_credentials access_key={GATEWAY[0]} '
        f'secret_key={GATEWAY[1]};', valid=HOUR, workers=1)
    wait.until(lambda: all(n.zone()['ring']['vouched']
                           for n in cluster.nodes), 'a ring')
    origin.put('bkt', 'key', BODY)
    for turn in range(2):
        for node in cluster.nodes:
            assert get(node, ALICE, ago=turn).body == BODY
    asked = [of(r) for r in origin.requests]
    assert asked.count(ALICE[0]) == 6
    origin.on('bkt', 'key', **denied(BOB))
    for node in cluster.nodes:
        assert get(node, BOB).status == 403
        assert get(node, ALICE, ago=5).body == BODY
    for n, node in enumerate(cluster.nodes):
        assert put(node, ALICE, '/bkt/key', b'%d' % n).status == 200
        for other in cluster.nodes:
            assert get(other, ALICE, ago=n).body == b'%d' % n
            assert get(other, BOB, ago=n).status == 403


# --- HTTP/2 ------------------------------------------------------------------

def test_http2_is_signed_by_its_authority(origin, make_nginx):
    nginx = make_nginx(workers=1, http=s3_zone() + (
        'server { listen 127.0.0.1:@port:h2@ http2; %s }' % s3_location(
            origin.url, *GATEWAY, valid=HOUR,
            more='s3_cache_auth origin; s3_cache_domain localhost;'))).start()
    with raw_http2.Connection(nginx.port('h2')) as client:
        def ask(method, target, body=None):
            pairs = signer(ALICE).head(method, target, [], 'localhost',
                                       'UNSIGNED-PAYLOAD')
            return client.ask(method, target, [
                (k.lower(), v) for k, v in pairs if k != 'Host'] + (
                    [('content-length', str(len(body)))] if body else []),
                body)

        assert ask('PUT', '/bkt/key', BODY).status == 200
        assert last(origin).signer == ALICE[0]
        assert last(origin).body == BODY
        found = ask('GET', '/bkt/key')
        assert (found.status, found.body) == (200, BODY)
        assert ask('GET', '/bkt?list-type=2').status == 200
    nginx.check_accounting()
