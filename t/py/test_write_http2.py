# SPDX-License-Identifier: Apache-2.0
"""Writes by HTTP/2: bodies that end in frames of their own, that nobody wants
any more, that are held back, that are cut.

An answer may come before the body has been sent. The stream is then reset with
NO_ERROR, as RFC 9113, 8.1 has it, and the answer is whole: that is what nginx
does itself. (curl 7.88 takes such a reset for an error, also of a plain
"return 411", so that it cannot be asked here.)"""

import shutil
import subprocess

import pytest

import raw_http2
from lib import wait
from lib.nginx import s3_location, s3_zone
from origin.objects import pattern
from origin.scripted_origin import ScriptedOrigin

MIB = 1 << 20
PROTOCOL_ERROR, CANCEL = 1, 8


@pytest.fixture
def origin():
    with ScriptedOrigin() as started:
        started.bucket('bkt')
        yield started


@pytest.fixture
def gateway(make_nginx, origin):
    nginx = make_nginx(workers=1, http=s3_zone() + ''.join(
        'server { listen 127.0.0.1:@port:%s@ http2; %s %s }' % (
            name, more, s3_location(origin.url)) for name, more in (
                ('h2', ''), ('impatient', 'client_body_timeout 300ms;')))
        ).start()
    yield nginx
    nginx.check_accounting()


@pytest.fixture
def c(gateway):
    with raw_http2.Connection(gateway.port('h2')) as connection:
        yield connection


def still_works(c, origin):
    """Streams that came to no good end leave the others alone."""
    origin.put('bkt', 'other', b'body')
    found = c.ask('GET', '/bkt/other')
    assert (found.status, found.body) == (200, b'body')


@pytest.mark.skipif(not shutil.which('curl'), reason='no curl')
def test_curl_uploads_a_file(gateway, origin, tmp_path):
    body = pattern(5 * MIB)
    (tmp_path / 'body').write_bytes(body)
    done = subprocess.run(
        ['curl', '-sS', '--http2-prior-knowledge', '-w', '%{http_code}',
         '-T', str(tmp_path / 'body'), gateway.url('/bkt/key', name='h2')],
        check=True, stdout=subprocess.PIPE, timeout=60).stdout
    assert done.endswith(b'200')
    assert origin.get('bkt', 'key').body == body


@pytest.mark.parametrize('end', ['with the last byte', 'in its own frame'])
@pytest.mark.parametrize('size', [0, 1, 65535, 65536, 3 * MIB + 1])
def test_a_body_with_a_length_arrives(c, origin, size, end):
    body = pattern(size, 5)
    for _ in range(2):
        stream = c.request('PUT', '/bkt/key', {'content-length': str(size)},
                           end=False)
        if end == 'with the last byte':
            c.send(stream, body, end=True)
        else:
            c.send(stream, body)
            c.send(stream, end=True)
        found = c.answer(stream)
        assert found.status == 200 and found.ended, found.body
        assert found.reset in (None, raw_http2.NO_ERROR)
        assert origin.get('bkt', 'key').body == body
        origin.delete('bkt', 'key')
    still_works(c, origin)


def test_a_body_that_is_whole_but_has_not_ended_is_a_write(c, origin):
    stream = c.request('PUT', '/bkt/key', {'content-length': '5'}, end=False)
    c.send(stream, b'hello')
    found = c.answer(stream)
    assert found.status == 200 and found.ended
    assert c.wait_reset(stream) == raw_http2.NO_ERROR
    assert origin.get('bkt', 'key').body == b'hello'
    still_works(c, origin)


@pytest.mark.parametrize('size', [0, 1, 16384, 16385, 65535])
def test_a_body_that_is_here_before_it_is_asked_for_arrives(c, origin, size):
    """nginx reads head and body at once, the origin is asked after that."""
    body = pattern(size, 7)
    found = c.answer(c.request('PUT', '/bkt/key',
                               {'content-length': str(size)}, body=body))
    assert (found.status, found.ended, found.reset) == (200, True, None), (
        found.body)
    assert origin.get('bkt', 'key').body == body
    still_works(c, origin)


@pytest.mark.parametrize('sent', ['all', 'some', 'nothing'])
def test_a_body_without_a_length_is_refused(gateway, c, origin, sent):
    stream = c.request('PUT', '/bkt/key', end=False)
    if sent != 'nothing':
        c.send(stream, b'x' * 100, end=sent == 'all')
    found = c.answer(stream)
    assert (found.status, found.ended) == (411, True)
    assert b'<Code>MissingContentLength</Code>' in found.body
    if sent != 'all':
        assert c.wait_reset(stream) == raw_http2.NO_ERROR
    still_works(c, origin)
    assert not origin.requests_for('bkt', 'key')


def test_an_answer_before_the_body_was_sent_is_whole(c, origin):
    origin.on('bkt', 'key', method='PUT', early=True,
              error=(403, 'AccessDenied'))
    for piece in (b'', b'x' * 30_000):
        stream = c.request('PUT', '/bkt/key',
                           {'content-length': '10000000'}, end=False)
        if piece:
            c.send(stream, piece)
        found = c.answer(stream)
        assert (found.status, found.ended) == (403, True)
        assert b'<Code>AccessDenied</Code>' in found.body
        assert c.wait_reset(stream) == raw_http2.NO_ERROR
    still_works(c, origin)


def test_a_chunked_body_says_its_length_itself(c, origin):
    head = {'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
            'x-amz-decoded-content-length': '5',
            'x-amz-trailer': 'x-amz-checksum-crc32',
            'content-encoding': 'aws-chunked'}
    for value, status in ((b'NhCmhg==', 200), (b'AAAAAA==', 400)):
        found = c.ask('PUT', '/bkt/key', head,
                      b'5\r\nhello\r\n0\r\nx-amz-checksum-crc32:' + value
                      + b'\r\n\r\n')
        assert found.status == status, found
    assert origin.get('bkt', 'key').body == b'hello'
    head['x-amz-decoded-content-length'] = '0'
    found = c.ask('PUT', '/bkt/key', head,
                  b'0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n')
    assert found.status == 200
    assert origin.get('bkt', 'key').body == b''
    still_works(c, origin)


@pytest.mark.parametrize('size', [99, 101])
def test_a_body_of_another_length_is_never_written(gateway, c, origin, size):
    origin.put('bkt', 'key', b'old')
    found = c.ask('PUT', '/bkt/key', {'content-length': '100'}, b'x' * size)
    assert found.status == 400
    assert origin.get('bkt', 'key').body == b'old'
    still_works(c, origin)


def test_an_origin_that_reads_slowly_holds_the_stream_back(
        gateway, c, origin):
    gate = origin.gate(at=100_000)
    origin.on('bkt', 'key', method='PUT', body_gate=gate)
    body = pattern(40 * MIB, 2)
    stream = c.request('PUT', '/bkt/key',
                       {'content-length': str(len(body))}, end=False)
    before = gateway.rss_bytes()
    c.send(stream, body[:200_000])
    gate.wait_reached()
    # another stream does not wait for it
    still_works(c, origin)
    left = memoryview(body)[200_000:]
    with c.patience(1):
        while c.has_room(stream):
            left = left[c.send_some(stream, left):]
    # what is in sockets, and in the one buffer
    assert len(left) > 10 * MIB
    assert gateway.rss_bytes() - before < 600_000
    assert c.answers[stream].status == 0
    gate.open()
    c.send(stream, left, end=True)
    assert c.answer(stream).status == 200
    assert origin.get('bkt', 'key').body == body


def test_a_stream_that_is_reset_in_mid_upload_has_not_written(
        gateway, c, origin):
    origin.put('bkt', 'key', b'old')
    stream = c.request('PUT', '/bkt/key', {'content-length': '10000000'},
                       end=False)
    c.send(stream, b'x' * 300_000)
    wait.until(lambda: origin.requests_for('bkt', 'key', 'PUT')
               and origin.requests_for('bkt', 'key', 'PUT')[0].body_bytes
               > 100_000, 'some of the body')
    c.reset(stream, CANCEL)
    wait.until(lambda: gateway.zone()['writes']['failed'] == 1,
               'the end of it')
    assert gateway.zone()['writes']['unknown'] == 0
    for result in ('MISS', 'HIT'):
        found = c.ask('GET', '/bkt/key')
        assert (found.body, found.headers['x-cache']) == (b'old', result)
    assert origin.get('bkt', 'key').body == b'old'
    still_works(c, origin)


def test_a_stream_that_says_no_more_is_given_up(gateway, origin):
    """As nginx does it after client_body_timeout."""
    origin.put('bkt', 'key', b'old')
    with raw_http2.Connection(gateway.port('impatient')) as c:
        silent = [c.request('PUT', '/bkt/key', {'content-length': '1000000'},
                            end=False) for _ in range(2)]
        c.send(silent[1], b'x' * 10_000)
        for stream in silent:
            found = c.answer(stream)
            assert (found.status, found.reset) == (0, PROTOCOL_ERROR), found
        assert origin.get('bkt', 'key').body == b'old'
        still_works(c, origin)
    assert gateway.zone()['writes']['failed'] == 2


def test_many_uploads_share_a_connection(c, origin):
    bodies = {n: pattern(n * 37_001, n) for n in range(24)}
    streams, left = {}, {}
    for n, body in bodies.items():
        streams[n] = c.request('PUT', f'/bkt/k{n}',
                               {'content-length': str(len(body))}, end=False)
        left[n] = body
    while left:
        for n in list(left):
            piece, left[n] = left[n][:9001], left[n][9001:]
            c.send(streams[n], piece, end=not left[n])
            if not left[n]:
                del left[n]
    for n, stream in streams.items():
        assert c.answer(stream).status == 200
        assert origin.get('bkt', f'k{n}').body == bodies[n]
