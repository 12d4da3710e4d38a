# SPDX-License-Identifier: Apache-2.0
"""Attacks on s3_cache_auth origin: what one yes must not be good for."""

import email.utils
import json
import threading
import time

import pytest

import raw_http
from auth_lab import lines
from lib import wait
from origin import sigv4
from origin.objects import pattern
from origin_auth_lab import (  # noqa: F401 (fixtures)
    ALICE, BOB, GATEWAY, by, denied, gateway, get, head_of, make_asking, of,
    origin, presigned, presigned_end, put, questions, signer)

BODY = pattern(200_000)
LOG = "log_format who escape=json '{\"auth\": \"$s3_cache_auth\"}';"


def link(gateway, keys, headers, target='/bkt/key', method='GET',
         expires=600):
    """A presigned target that is good with these headers only."""
    made = signer(keys)
    host = ('Host', f'127.0.0.1:{gateway.port()}')
    names = sorted(['host'] + [name.lower() for name, _ in headers])
    target += '?' + '&'.join((
        f'X-Amz-Algorithm={sigv4.ALGORITHM}',
        f'X-Amz-Credential={keys[0]}%2F' + made.scope.replace('/', '%2F'),
        f'X-Amz-Date={made.date}', f'X-Amz-Expires={expires}',
        'X-Amz-SignedHeaders=' + '%3B'.join(names)))
    return f'{target}&X-Amz-Signature=' + sigv4.signature(
        keys[1], made.scope, made.date, sigv4.canonical_request(
            method, target, [host, *headers], names, 'UNSIGNED-PAYLOAD'))


def use(gateway, target, headers=(), method='GET'):
    return raw_http.ask(
        gateway.port(), method, target,
        [('Host', f'127.0.0.1:{gateway.port()}'), *headers], close=False)


# --- a Range that is signed --------------------------------------------------

@pytest.mark.parametrize('first, last', [(0, 0), (100, 199)])
def test_a_link_to_a_range_gives_no_more_than_that(origin, gateway, first,
                                                   last):
    """The gateway's own "bytes=0-0" must not be what makes it good, nor may
    what is not signed beside it widen it; remembered or not."""
    origin.put('bkt', 'key', BODY)
    signed = ('Range', f'bytes={first}-{last}')
    target = link(gateway, ALICE, [signed])
    wide = ('Range', 'bytes=0-99999')
    refused = [[], [wide], [signed, wide], [wide, signed],
               [wide, ('Connection', 'range')],
               [signed, ('Connection', 'range')],
               [('If-Range', '"no"')], [wide, ('If-Range', '"no"')]]
    bounded = [[signed], [signed, ('If-Range', '"no"')],
               [('If-Range', 'Thu, 01 Jan 1970 00:00:00 GMT'), signed],
               [signed, ('If-Range', '"no"'), ('Connection', 'if-range')]]
    assert get(gateway, BOB).body == BODY          # so that it is here
    for turn in range(2):
        for headers in refused:
            answer = use(gateway, target, headers)
            assert answer.status == 403, (turn, headers)
        for headers in bounded:
            answer = use(gateway, target, headers)
            assert (answer.status, answer.body) == (
                206, BODY[first:last + 1]), (turn, headers)
    # remembered, too
    asked = len(origin.requests)
    assert use(gateway, target, [signed])['X-Cache'] == 'HIT'
    assert len(origin.requests) == asked


def test_a_range_that_two_sides_read_differently(origin, gateway):
    """As an RGW, of two ranges this origin takes the first."""
    origin.put('bkt', 'key', BODY)
    signed = ('Range', 'bytes=0-9,20-29')
    origin.on('bkt', 'key', when=lambda r: r.header('range') == signed[1],
              raw=b'HTTP/1.1 206 Partial Content\r\nETag: ' + origin.get(
                  'bkt', 'key').etag.encode() + b'\r\nLast-Modified: '
              + email.utils.formatdate(origin.get(
                  'bkt', 'key').last_modified, usegmt=True).encode()
              + b'\r\nContent-Range: bytes 0-9/200000\r\n'
                b'Content-Length: 10\r\n\r\n' + BODY[:10])
    assert get(gateway, BOB).body == BODY
    target = link(gateway, ALICE, [signed])
    for _ in range(2):
        answer = use(gateway, target, [signed])
        assert (answer.status, answer.body) == (206, BODY[:10])


def test_what_nobody_here_can_read_is_asked_as_it_is(origin, gateway):
    """Of SigV4A it is not known what is signed: nothing is put in."""
    origin.put('bkt', 'key', pattern(8_000_000))
    origin.secrets = None
    pairs = [('Authorization', 'AWS4-ECDSA-P256-SHA256 Credential=A/20260101/'
              's3/aws4_request, SignedHeaders=host;range, Signature=00')]
    for _ in range(2):
        assert use(gateway, '/bkt/key', pairs).body == pattern(8_000_000)
    for request in origin.requests:
        if of(request) is None:
            assert request.header('range') is None
            assert request.header('accept-encoding') is None
            assert request.sent_bytes < 8_000_000
    # nor is it remembered
    assert len([r for r in origin.requests if of(r) is None]) == 2


def test_what_was_signed_and_left_away_is_not_put_in(origin, gateway):
    origin.put('bkt', 'key', BODY)
    signed = ('Accept-Encoding', 'identity')
    target = link(gateway, ALICE, [signed])
    for headers, status in (([], 403), ([('Accept-Encoding', 'gzip')], 403),
                            ([signed], 200), ([], 403)):
        assert use(gateway, target, headers).status == status, headers


# --- time --------------------------------------------------------------------

def test_a_signature_ends_by_the_origins_clock_too(origin, gateway):
    """Which is an hour ahead of the gateway's: of a link that is good for 2
    seconds more there, the yes is remembered no longer."""
    origin.put('bkt', 'key', BODY)
    ahead = 3600
    origin.on('bkt', 'key', when=by(ALICE), headers=(
        ('Date', email.utils.formatdate(time.time() + ahead, usegmt=True)),))
    target = presigned(gateway, ALICE, '/bkt/key', expires=ahead + 3)
    end = presigned_end(target)
    assert use(gateway, target).body == BODY
    asked = len(origin.requests)
    assert use(gateway, target)['X-Cache'] == 'HIT'
    if time.time() + ahead < end - 2:
        assert len(origin.requests) == asked
    origin.on('bkt', 'key', **denied(ALICE))
    begun = [time.time()]

    def is_over():
        begun.append(time.time())
        return use(gateway, target).status == 403

    wait.until(is_over, 'the end of a link')
    assert begun[-2] + ahead < end + 1       # the last one that was answered


# --- others' -----------------------------------------------------------------

def test_a_fill_under_way_is_not_for_who_may_not(origin, gateway):
    origin.put('bkt', 'key', BODY)
    origin.on('bkt', 'key', **denied(ALICE))
    gate = origin.gate(at=70_000)
    origin.on('bkt', 'key', when=by(GATEWAY), gate=gate)
    pairs = head_of(gateway, BOB, 'GET', '/bkt/key')
    with raw_http.Connection(gateway.port()) as client:
        client.request('GET', '/bkt/key', pairs)
        gate.wait_reached()
        for n in range(2):
            answer = get(gateway, ALICE, ago=n)
            assert (answer.status, answer['X-Cache']) == (403, 'BYPASS')
        gate.open()
        assert client.answer().body == BODY


def test_what_is_stale_is_not_for_who_may_not(origin, make_gateway):
    gateway = make_gateway(
        origin, 's3_cache_auth origin; s3_cache_stale_while_revalidate 1h;'
        's3_cache_stale_if_error 1h;', keys=GATEWAY, workers=1,
        valid='200 206 1s')
    origin.put('bkt', 'key', BODY)
    origin.on('bkt', 'key', **denied(ALICE))
    assert get(gateway, BOB).body == BODY
    rule = origin.on('bkt', 'key', when=by(GATEWAY), error=(503, 'SlowDown'))
    wait.until(lambda: get(gateway, BOB)['X-Cache'] == 'STALE', 'stale')
    for n in range(3):
        assert get(gateway, ALICE, ago=n).status == 403
        assert get(gateway, BOB, ago=n).body == BODY
    origin.off(rule)
    origin.stop()
    assert get(gateway, ALICE, ago=4).status == 502


def test_a_yes_is_for_the_host_that_the_request_line_names(origin,
                                                           make_asking):
    """Another bucket of the same key and version, at least by its looks."""
    gateway = make_asking(origin, 's3_cache_domain s3.test;')
    when = int(time.time()) - 100
    for bucket in ('bkt', 'other'):
        origin.put(bucket, 'key', BODY, last_modified=when)
        assert get(gateway, BOB, f'/{bucket}/key').body == BODY
    origin.on('other', **denied(ALICE))
    pairs = signer(ALICE).head('GET', '/key', [], 'bkt.s3.test',
                               'UNSIGNED-PAYLOAD')
    for n in range(4):
        target = '/key' if n % 2 == 0 else 'http://other.s3.test/key'
        asked = len(questions(origin))
        answer = raw_http.ask(gateway.port(), 'GET', target, pairs,
                              close=False)
        assert answer.body == BODY
        assert len(questions(origin)) - asked == (1 if n < 2 else 0), n


def test_a_reload_forgets(origin, gateway):
    origin.put('bkt', 'key', BODY)
    target = presigned(gateway, ALICE, '/bkt/key')
    assert use(gateway, target).body == BODY
    origin.on('bkt', 'key', **denied(ALICE))
    assert use(gateway, target).body == BODY
    gateway.reload()
    assert use(gateway, target).status == 403


def test_answers_that_were_cut_are_nobody_elses(origin, gateway):
    """Of questions that end at their heads, on connections that others
    use at the same time."""
    bodies = {f'/bkt/{n}': pattern(300_000 + n, n) for n in range(4)}
    for target, body in bodies.items():
        origin.put('bkt', target[5:], body)
    wrong = []

    def reads(keys, signed):
        for n in range(24):
            target = f'/bkt/{n % 4}'
            answer = get(gateway, keys, target, ago=n, headers=[
                ('Range', 'bytes=1-299999')] if signed else [])
            if answer.body != (bodies[target][1:300_000] if signed
                               else bodies[target]):
                wrong.append((target, answer.status))

    readers = [threading.Thread(target=reads, args=(keys, signed))
               for keys in (ALICE, BOB) for signed in (True, False)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert not wrong


# --- writes ------------------------------------------------------------------

@pytest.mark.parametrize('query', ['x-id=#&partNumber=1&uploadId=u',
                                   'x-id=;&partNumber=1&uploadId=u'])
def test_a_query_that_ends_earlier_for_the_origin(origin, gateway, query):
    """What is a part of an upload here is the object itself there."""
    origin.put('bkt', 'key', BODY)
    pairs = head_of(gateway, BOB, 'GET', '/bkt/key')

    def read():
        return raw_http.ask(gateway.port(), 'GET', '/bkt/key', pairs,
                            close=False)

    for _ in range(2):
        assert read().body == BODY
    origin.on('bkt', 'key', method='PUT', status=200, before=lambda _:
              origin.put('bkt', 'key', b'new'))
    assert put(gateway, ALICE, f'/bkt/key?{query}', b'x').status == 200
    assert read().body == b'new'


# --- what a log says ---------------------------------------------------------

def test_only_a_yes_is_logged_as_one(origin, make_asking):
    gateway = make_asking(origin, http=LOG,
                          server='access_log @dir@/who.log who;')
    origin.put('bkt', 'key', BODY)
    rows = [(get, '/bkt/key', 'allowed'), (get, '/bkt/absent', 'origin'),
            (get, '/bkt?list-type=2', 'origin')]
    for ask, target, _ in rows:
        ask(gateway, ALICE, target)
    rule = origin.on('bkt', 'key', error=(400, 'ExpiredToken'))
    assert get(gateway, ALICE, ago=1).status == 400
    origin.off(rule)
    rule = origin.on('bkt', 'key', error=(503, 'SlowDown'))
    assert get(gateway, ALICE, ago=2).status == 503
    origin.off(rule)
    origin.on('bkt', 'key', **denied(ALICE))
    assert get(gateway, ALICE, ago=3).status == 403
    assert [json.loads(line)['auth'] for line in lines(
        gateway, 'who.log', 6)] == [wanted for _, _, wanted in rows] + [
            'origin', 'origin', 'AccessDenied']
