# SPDX-License-Identifier: Apache-2.0
"""An origin that fails: the client gets a right answer, an S3 error or a
body that is visibly cut, and nothing wrong is ever kept."""

import hashlib
import itertools
import socket

import pytest

from lib import ports, wait
from lib.nginx import Nginx, s3_location, s3_zone
from lib.reader import LANES, Cut, Lanes, Reader
from origin.objects import pattern
from origin.malformed import MALFORMED
from origin.scripted_origin import Object, ScriptedOrigin

MIB = 1 << 20
QUICK = ('s3_cache_origin_connect_timeout 300ms;'
         ' s3_cache_origin_send_timeout 300ms;'
         ' s3_cache_origin_read_timeout 300ms;')

# what follows an answer and looks like the next one
FORGED = (b'HTTP/1.1 200 OK\r\nContent-Length: 6\r\nETag: "forged"\r\n\r\n'
          b'forged')

SMALL, LARGE = 100_000, 3 * MIB + 17
RIGHT, CUT = 'right', 'cut'


def outcome(reader, body, first=0, last=None):
    """What a client of an object got: 'right', 'cut' or an error's status.
    Anything else is what must never be."""
    last = len(body) - 1 if last is None else last
    wanted = body[first:last + 1]
    try:
        got = reader.read_all()
    except Cut:
        assert reader.status in (200, 206), 'no answer at all'
        start = 0 if reader.status == 200 else first
        assert reader.body == body[start:start + len(reader.body)]
        return CUT
    finally:
        reader.close()
    if reader.status == 206:
        assert got == wanted
        assert reader.headers['content-range'] == \
            f'bytes {first}-{last}/{len(body)}'
        return RIGHT
    if reader.status == 200:
        assert got == body
        return RIGHT
    if reader.status == 304:
        return 304                      # no body that could be wrong
    assert reader.headers['content-type'] == 'application/xml'
    assert b'<Error>' in got and b'<Code>' in got, got
    return reader.status


class Case:
    """One object at an origin that fails, behind a gateway that tests share;
    `rules` of the origin hold for this object alone."""

    numbers = itertools.count()

    def __init__(self, origin, nginx):
        self.origin, self.nginx = origin, nginx
        self.key = f'key{next(self.numbers)}'
        self.target = f'/bkt/{self.key}'
        self.name = ''                  # of a port
        self.body = b''

    def put(self, body):
        self.body = body
        return self.origin.put('bkt', self.key, body)

    def on(self, **rule):
        return self.origin.on('bkt', self.key, **rule)

    def requests(self):
        return self.origin.requests_for('bkt', self.key)

    def reader(self, first=None, last=None):
        headers = {} if first is None else {'Range': f'bytes={first}-{last}'}
        return Reader(self.nginx, self.target, headers, name=self.name)

    def ask(self, first=None, last=None):
        return outcome(self.reader(first, last), self.body, first or 0, last)

    def head(self):
        return self.nginx.request('HEAD', self.target, name=self.name).status

    def heal(self):
        """The fault is over: the very next answer is right, and kept."""
        self.origin.off()
        etag = f'"{hashlib.md5(self.body).hexdigest()}"'

        def get():
            answer = self.nginx.request(target=self.target, name=self.name)
            assert (answer.status, answer.body) == (200, self.body)
            assert answer.getheader('ETag') == etag
            return answer.getheader('X-Cache')

        get()
        # its last block may still be on its way into the index
        wait.until(lambda: get() == 'HIT', 'it is kept')
        answer = self.nginx.request(target=self.target, name=self.name,
                                    headers={'Range': 'bytes=-10'})
        assert (answer.status, answer.body) == (206, self.body[-10:])


@pytest.fixture(scope='module')
def shared(tmp_path_factory):
    """(origin, nginx); port `quick` gives up soon, `step` reads one block
    after the other."""
    with ScriptedOrigin() as origin:
        more = ''.join(
            f'server {{ listen 127.0.0.1:@port:{name}@;'
            f' {s3_location(origin.url, more=what)} }}\n'
            for name, what in (('quick', QUICK),
                               ('step', 's3_cache_read_ahead 1;')))
        with Nginx(tmp_path_factory.mktemp('faults'), workers=2,
                   http=s3_zone(size='256m') + more,
                   server=LANES + s3_location(origin.url)) as nginx:
            yield origin, nginx


@pytest.fixture
def case(shared):
    origin, nginx = shared
    origin.reset()
    yield Case(origin, nginx)
    origin.off()
    nginx.check_accounting()
    nginx.check_log()


@pytest.fixture
def quick(case):
    case.name = 'quick'
    return case


@pytest.fixture
def step(case):
    case.name = 'step'
    return case


# --- faults of the first answer ------------------------------------------------

FIRST = {
    # name: (rule, what a client may get of it)
    'slow': ({'rate': 8 * MIB, 'head_delay_s': 0.05}, {RIGHT}),
    'in small pieces': ({'piece': 777}, {RIGHT}),
    'after an interim answer': ({'interim': 103}, {RIGHT}),
    'cut in its head': ({'malformed': 'endless_head'}, {502}),
    'closed before its head': ({'drop': True}, {502}),
    'reset before its head': ({'drop': True, 'reset': True}, {502}),
    'cut before its body': ({'cut_at': 0}, {502}),
    'cut in its body': ({'cut_at': 20_000}, {CUT, 502}),
    'cut before its last byte': ({'cut_at': SMALL - 1}, {CUT, RIGHT, 502}),
    'reset in its body': ({'cut_at': 20_000, 'reset': True}, {CUT, 502}),
    'shorter than declared': ({'length_by': 10, 'close': True}, {CUT, 502}),
    'longer than declared': ({'object': Object(pattern(SMALL) + FORGED, etag=
                              f'"{hashlib.md5(pattern(SMALL)).hexdigest()}"'),
                              'length_by': -len(FORGED)}, {RIGHT}),
    'chunked': ({'framing': 'chunked', 'piece': 9999}, {RIGHT}),
    'chunked and cut': ({'framing': 'chunked', 'cut_at': 20_000}, {CUT, 502}),
    'ended by closing': ({'framing': 'close'}, {RIGHT}),
    'a 404': ({'error': (404, 'NoSuchKey')}, {404}),
    'a 403': ({'error': (403, 'AccessDenied')}, {403}),
    'a 429': ({'error': (429, 'SlowDown')}, {429}),
    'a 500': ({'error': (500, 'InternalError')}, {500}),
    'a 503': ({'error': (503, 'SlowDown')}, {503}),
    'a 301': ({'error': (301, 'PermanentRedirect')}, {301}),
    'a 307': ({'redirect': 'http://127.0.0.1:1/bkt/key'}, {307}),
    'a 304 that nobody asked for': ({'error': (304, 'x')}, {304, 502}),
    'a 412 that nobody asked for': ({'error': (412, 'PreconditionFailed')},
                                    {412, 502}),
    'a 206 that nobody asked for':
        ({'status': 206,
          'headers': (('Content-Range', f'bytes 0-{SMALL - 1}/{SMALL}'),)},
         {RIGHT}),
    'a status that nobody knows': ({'error': (599, 'What')}, {599, 502}),
}


@pytest.mark.parametrize('fault', FIRST)
def test_an_answer_to_the_whole_that_is(case, fault):
    rule, allowed = FIRST[fault]
    case.put(pattern(SMALL))
    case.on(**rule)
    assert case.ask() in allowed
    with Lanes(case.nginx, each=4) as lanes:
        readers = [lanes.reader(pid, case.target)
                   for pid in lanes.pids for _ in range(4)]
        for reader in readers:
            assert outcome(reader, case.body) in allowed
    case.heal()


BLOCK = {
    name: FIRST[name] for name in (
        'slow', 'in small pieces', 'closed before its head',
        'reset before its head', 'cut before its body', 'cut in its body',
        'reset in its body')
} | {
    'shorter than its range': ({'length_by': -10}, {502}),
    'longer than its range': ({'length_by': 10, 'extra': b'0123456789'},
                              {502}),
    'another range': ({'headers': (('Content-Range',
                                    f'bytes 1-{MIB}/{LARGE}'),)}, {502}),
    'a range of unknown length':
        ({'headers': (('Content-Range', f'bytes {MIB}-{2 * MIB - 1}/*'),)},
         {502}),
    'no range': ({'headers': (('Content-Range', None),)}, {502}),
    'two ranges in one': ({'headers': (('Content-Range',
                                        'bytes 0-0,5-5/9'),)}, {502}),
    'the whole': ({'ignore_range': True}, {RIGHT}),
    'chunked': ({'framing': 'chunked'}, {RIGHT, 502}),
    'chunked and cut': ({'framing': 'chunked', 'cut_at': 5_000}, {CUT, 502}),
    'ended by closing': ({'framing': 'close'}, {RIGHT, 502}),
    'a 403': ({'error': (403, 'AccessDenied')}, {403, 502}),
    'a 500': ({'error': (500, 'InternalError')}, {500, 502}),
    'a 503': ({'error': (503, 'SlowDown')}, {503, 502}),
    'a 307': ({'redirect': 'http://127.0.0.1:1/bkt/key'}, {307, 502}),
    'a 304': ({'error': (304, 'x')}, {304, 502}),
}


@pytest.mark.parametrize('known', [False, True])
@pytest.mark.parametrize('fault', BLOCK)
def test_an_answer_to_a_range_that_is(case, fault, known):
    """known: the record is there, only the block is missing."""
    rule, allowed = BLOCK[fault]
    case.put(pattern(LARGE))
    if known:
        assert case.head() == 200
    case.on(method='GET', when=lambda r: r.header('range'), **rule)
    for _ in range(2):
        assert case.ask(MIB + 5, 2 * MIB - 1) in allowed
    case.heal()


def test_a_range_of_an_object_of_another_length_restarts(case):
    """As if it had changed: the record is dropped, the client sees nothing."""
    case.put(pattern(LARGE))
    assert case.head() == 200
    case.on(method='GET', times=1, headers=(
        ('Content-Range', f'bytes {MIB}-{2 * MIB - 1}/{LARGE + 1}'),))
    assert case.ask(MIB + 5, 2 * MIB - 1) == RIGHT
    case.heal()


@pytest.mark.parametrize('fault', BLOCK)
def test_one_fault_in_mid_read_is_not_seen(step, fault):
    """The first answer for block 2 is wrong, the next one right."""
    rule, _ = BLOCK[fault]
    step.put(pattern(LARGE))
    step.on(times=1, **rule,
            when=lambda r: r.header('range') == f'bytes={2 * MIB}-'
                                                f'{3 * MIB - 1}')
    assert step.ask() == RIGHT
    step.heal()


@pytest.mark.parametrize('fault', [
    'cut in its body', 'reset in its body', 'cut before its last byte'])
def test_one_cut_of_a_small_object_is_not_seen(case, fault):
    rule, _ = FIRST[fault]
    obj = case.put(pattern(SMALL))
    gate = case.origin.gate(at=10_000)
    case.on(times=1, gate=gate, **rule)
    reader = case.reader()
    assert reader.read_to(10_000) == case.body[:10_000]
    gate.open()
    assert outcome(reader, case.body) == RIGHT
    # what went on is of the same version
    assert case.requests()[1].header('if-match') == obj.etag
    case.heal()


def test_an_object_that_changes_after_a_cut_is_never_mixed(case):
    old, new = pattern(SMALL, 1), pattern(SMALL, 2)
    case.put(old)
    gate = case.origin.gate(at=10_000)
    case.on(times=1, gate=gate, cut_at=50_000)
    case.on(nth=2, ignore_if_match=True)
    reader = case.reader()
    assert reader.read_to(10_000) == old[:10_000]
    case.put(new)
    gate.open()
    assert outcome(reader, old) == CUT
    case.heal()


# --- heads that no client may believe --------------------------------------------

CHUNKS = ('bad_chunk_size', 'chunk_overflow', 'chunk_without_crlf')


@pytest.mark.parametrize('name', [n for n in MALFORMED if n not in CHUNKS])
def test_malformed_head(case, name):
    case.put(pattern(5000))
    case.on(malformed=name)
    assert case.ask() == 502
    assert case.ask(10, 99) == 502
    assert case.head() == 502
    case.heal()


@pytest.mark.parametrize('name', CHUNKS)
def test_malformed_chunks(case, name):
    """Their head is right, so that what follows can only be cut."""
    case.put(pattern(5000))
    case.on(malformed=name)
    for _ in range(3):
        reader = case.reader()
        with pytest.raises(Cut):
            reader.read_all()
            assert reader.status == 502
            raise Cut
        reader.close()
    case.heal()


@pytest.mark.parametrize('name', ['duplicate_length', 'length_and_chunked',
                                  'two_status_lines', 'nul_in_value'])
def test_malformed_head_of_what_is_passed_through(case, name):
    case.put(b'body')
    case.origin.on('bkt', malformed=name)
    answer = case.nginx.get('/bkt/?list-type=2')
    assert answer.status == 502 and b'<Code>' in answer.body
    case.origin.off()
    assert case.nginx.get('/bkt/?list-type=2').status == 200


def test_an_origin_that_fails_counts_once(origin, make_gateway):
    nginx = make_gateway(origin)
    origin.on('bkt', error=(503, 'SlowDown'))
    for i in range(3):
        assert nginx.get(f'/bkt/key{i}').status == 503
    assert nginx.get('/bkt/?list-type=2').status == 503
    assert nginx.request('HEAD', '/bkt/key').status == 503
    counted = nginx.zone()['origin']
    assert counted['requests'] == len(origin.requests) == 5
    assert counted['errors']['5xx'] == 5


# --- time ---------------------------------------------------------------------------

def test_an_origin_that_hangs_before_its_head_is_a_504(quick):
    quick.put(pattern(SMALL))
    quick.origin.on('bkt', hang=True)
    assert quick.ask() == 504
    assert quick.ask(5, 9) == 504
    assert quick.head() == 504
    assert quick.nginx.request(target='/bkt/?list-type=2',
                               name='quick').status == 504
    quick.heal()


@pytest.mark.parametrize('at, expected', [(0, 504), (40_000, CUT)])
@pytest.mark.parametrize('size', [SMALL, LARGE])
def test_an_origin_that_hangs_in_its_body(quick, at, expected, size):
    quick.put(pattern(size))
    gate = quick.origin.gate(at=at)
    quick.on(gate=gate)
    assert quick.ask() == expected
    gate.open()
    quick.heal()


def test_an_origin_that_hangs_once_in_mid_read_is_not_seen(quick):
    quick.put(pattern(LARGE))
    gate = quick.origin.gate(at=40_000)
    quick.on(gate=gate, times=1, when=lambda r: r.header('range')
             == f'bytes={MIB}-{2 * MIB - 1}')
    assert quick.ask() == RIGHT
    gate.open()
    quick.heal()


def test_an_origin_that_never_accepts_is_a_504(make_gateway):
    """Its queue of connections is full: a SYN gets no answer."""
    listener = socket.create_server(('127.0.0.1', 0), backlog=0)
    queue = []

    class Full:
        url = f'http://127.0.0.1:{listener.getsockname()[1]}'

    def is_full():
        sock = socket.socket()
        queue.append(sock)
        sock.settimeout(0.3)
        try:
            sock.connect(listener.getsockname())
        except TimeoutError:
            return True
        return False

    try:
        wait.until(is_full, 'a full queue')
        nginx = make_gateway(Full, QUICK)
        answer = nginx.get('/bkt/key')
        assert answer.status == 504 and b'<Code>' in answer.body
    finally:
        for sock in queue + [listener]:
            sock.close()


# --- connections ------------------------------------------------------------------------

def test_a_body_in_answer_to_head_is_nobody_elses(origin, make_gateway):
    bodies = {f'key{i}': pattern(3000, i) for i in range(30)}
    nginx = make_gateway(origin, workers=1)
    for key, body in bodies.items():
        origin.put('bkt', key, body)
    origin.on('bkt', method='HEAD', head_body=True)
    for key, body in bodies.items():
        answer = nginx.request('HEAD', f'/bkt/{key}')
        assert answer.status == 200
        assert answer.getheader('Content-Length') == '3000'
        assert nginx.get(f'/bkt/{key}').body == body


def test_bytes_after_an_answer_are_nobody_elses(origin, make_gateway):
    """A whole forged answer follows each right one in the same packet."""
    nginx = make_gateway(origin, workers=1)
    for i in range(30):
        body = pattern(3000, i)
        origin.on('bkt', f'key{i}', object=Object(body + FORGED),
                  length_by=-len(FORGED))
        origin.put('bkt', f'next{i}', body)
        for key in (f'key{i}', f'next{i}'):
            answer = nginx.get(f'/bkt/{key}')
            assert (answer.status, answer.body) == (200, body)
            assert answer.getheader('ETag') != '"forged"'


def test_kept_connections_are_reused(origin, make_gateway):
    nginx = make_gateway(origin, workers=1)
    for i in range(20):
        origin.put('bkt', f'key{i}', b'%d' % i)
        assert nginx.get(f'/bkt/key{i}').body == b'%d' % i
    assert origin.accepted == 1
    assert nginx.zone()['origin']['reused'] == 19


@pytest.mark.parametrize('how', ['silently', 'all at once', 'by a reset'])
def test_kept_connections_that_the_origin_closes_cost_no_error(
        origin, make_gateway, how):
    nginx = make_gateway(origin)
    if how == 'silently':
        origin.on('bkt', close_silently=True)
    elif how == 'by a reset':
        origin.on('bkt', close_silently=True, reset=True)
    for i in range(40):
        body = pattern(2000, i)
        origin.put('bkt', f'key{i}', body)
        answer = nginx.get(f'/bkt/key{i}')
        assert (answer.status, answer.body) == (200, body), i
        if how == 'all at once':
            origin.close_connections()


def test_a_kept_connection_that_closes_on_the_next_request_is_not_seen(
        origin, make_gateway):
    """The close meets the request: it is sent again on a new one."""
    nginx = make_gateway(origin, workers=1)
    seen = set()

    def is_old(request):
        if request.connection in seen:
            return True
        seen.add(request.connection)
        return False

    origin.on('bkt', drop=True, when=is_old)
    for i in range(10):
        origin.put('bkt', f'key{i}', b'%d' % i)
        assert nginx.get(f'/bkt/key{i}').body == b'%d' % i
    assert nginx.zone()['origin']['errors']['cut'] == 0


def test_an_origin_that_was_down_is_found_again(make_gateway):
    port = ports.reserve()
    body, other = pattern(SMALL, 1), pattern(SMALL, 2)

    def origin_up():
        up = ScriptedOrigin(port=port)
        up.put('bkt', 'key', body)
        up.put('bkt', 'other', other)
        return up

    class At:
        url = f'http://127.0.0.1:{port}'

    nginx = make_gateway(At)
    try:
        assert nginx.get('/bkt/key').status == 502
        with origin_up():
            wait.until(lambda: nginx.get('/bkt/key').body == body,
                       'the origin is back')
        # down once more: what is known is served on
        for _ in range(3):
            answer = nginx.get('/bkt/key')
            assert (answer.status, answer.body) == (200, body)
            assert nginx.get('/bkt/other').status == 502
        with origin_up():
            wait.until(lambda: nginx.get('/bkt/other').body == other,
                       'the origin is back again')
    finally:
        ports.release(port)


@pytest.mark.parametrize('first, last', [(None, None), (0, LARGE - 2),
                                         (MIB + 5, 3 * MIB)])
def test_an_origin_without_ranges_still_serves_large_objects(case, first,
                                                             last):
    case.put(pattern(LARGE))
    case.on(ignore_range=True)
    for _ in range(2):
        answer = case.ask() if first is None else case.ask(first, last)
        assert answer == RIGHT
    case.heal()
