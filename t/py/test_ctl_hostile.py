# SPDX-License-Identifier: Apache-2.0
"""s3cachectl before a node that is broken or lies: it ends, by its own words,
and nothing that a terminal would act upon gets there."""

import json
import re
import socket
import threading

import pytest

from lib.ctl import NO, OK, REFUSED, UNREACHABLE, WRONG, Ctl

ESCAPE = '\x1b]0;evil\x07\x1b[2J\r\x7f\x9b31m\u202e\u200b'
ACTS = re.compile('[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e'
                  '\u2066-\u2069]')


class Node:
    """Answers each connection's one request by `answer`, raw bytes or a
    function of the request's first line."""

    def __init__(self):
        self.answer, self.asked = b'', []
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.url = f'http://127.0.0.1:{self._listener.getsockname()[1]}'
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with sock:
                sock.settimeout(10)
                try:
                    head = b''
                    while b'\r\n\r\n' not in head:
                        part = sock.recv(65536)
                        if not part:
                            break
                        head += part
                    line = head.split(b'\r\n', 1)[0].decode()
                    self.asked.append(line)
                    answer = (self.answer(line) if callable(self.answer)
                              else self.answer)
                    sock.sendall(answer)
                except OSError:
                    pass

    def say(self, document, status='200 OK'):
        body = document if isinstance(document, bytes) else (
            json.dumps(document, ensure_ascii=False).encode())
        self.answer = (f'HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n'
                       'Connection: close\r\n\r\n').encode() + body

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


@pytest.fixture
def node():
    made = Node()
    yield made
    made.close()


@pytest.fixture
def ctl(node):
    return Ctl(node.url)


def member(**more):
    return {'name': ESCAPE, 'state': ESCAPE, 'reach': ESCAPE, 'zone': ESCAPE,
            'address': ESCAPE, 'share': 1, **more}


STATUS = {'zones': [{
    'name': 'hot', 'policy': ESCAPE, 'hit_ratio': 0.5,
    'requests': {'hit': 1, 'miss': 1}, 'sent_bytes': {'ram': 1},
    'stores': [{'path': ESCAPE, 'state': ESCAPE}],
    'buckets': [{'name': ESCAPE, 'requests': {'hit': 1}}],
    'ring': {'digest': ESCAPE, 'vouched': True, 'members': [
        member(), member(self=True)]}}]}
EXPLAINED = {'objects': [{'origin': ESCAPE, 'owners': [ESCAPE], 'nodes': [
    {'name': ESCAPE, 'tier': ESCAPE, 'status': 200, 'etag': ESCAPE,
     'error': ESCAPE, 'fresh_s': ESCAPE}]}]}
PURGED = {'purged': ESCAPE, 'nodes': 2, 'missed': [ESCAPE], 'error': ESCAPE}
DRAINED = {'zones': [{'zone': ESCAPE, 'state': ESCAPE, 'draining': True}]}
ERROR = {'error': ESCAPE, 'code': ESCAPE}


@pytest.mark.parametrize('locale', ['C.UTF-8', 'C'])
def test_nothing_acts_upon_the_terminal(node, locale):
    ctl = Ctl(node.url, LC_ALL=locale)
    for document, status, args, rc in (
            (STATUS, '200 OK', ('status',), OK),
            (STATUS, '200 OK', ('ring',), NO),
            (STATUS, '200 OK', ('top', '--count', '1', '--interval',
                                '10ms'), OK),
            (EXPLAINED, '200 OK', ('explain', 's3://b/k'), OK),
            (PURGED, '503 x', ('purge', 'all', '--yes'), REFUSED),
            (DRAINED, '200 OK', ('drain',), OK),
            (ERROR, '403 x', ('status',), 4),
            (ERROR, '400 x', ('drain',), REFUSED),
            (b'HTTP' + ESCAPE.encode(), '200 ' + ESCAPE, ('status',), None)):
        node.say(document, status)
        for more in ((), ('--json',)):
            said = ctl(*more, *args, rc=rc)
            assert not ACTS.search(said.out + said.err), (args, said)
            if locale == 'C':
                assert (said.out + said.err).isascii()
            if more and said.out:
                json.loads(said.out)
            if document is not ERROR and not more and rc == OK:
                assert '\\x1b[2J' in said.out, args


def test_a_key_of_the_command_line_is_escaped_too(node, ctl):
    said = ctl('explain', b's3://b\x1b[2J/\x1b[2J', rc=2)
    assert not ACTS.search(said.err)
    node.say({'error': 'no', 'x': 1}, '400 x')
    said = ctl('explain', b's3://b/\x1b[2J\xff', rc=REFUSED)
    assert not ACTS.search(said.err)
    assert 'explain=%2Fb%2F%1B%5B2J%FF' in node.asked[-1]


WRONG_JSON = [
    b'', b'[]', b'null', b'7', b'"x"', b'{', b'{}', b'{"zones":', b'\xff',
    b'{"zones":7}', b'{"zones":{}}', b'{"zones":[],"zones":[]}',
    b'{"zones":[{"name":"\\ud800"}]}', b'{"zones":"\\u0000"}',
    b'{"zones":[' + b'[' * 100_000, b'{"zones":1e999}',
    b'{"zones":[{"requests":{"hit":99999999999999999999999}}]}',
    b'{"zones":[]}{}', b'\x00' * 1000, b'<html>']


def test_json_that_is_none_of_a_node(node, ctl):
    for document in WRONG_JSON:
        node.say(document)
        for args in (('status',), ('ring',), ('top', '--count', '1',
                                              '--interval', '1ms'),
                     ('explain', 's3://b/k'), ('purge', 'all', '--yes'),
                     ('drain',)):
            if document == b'{"zones":[]}{}' or args[0] == 'status':
                assert ctl(*args, rc=WRONG).err, (document, args)
                continue
            assert ctl(*args, rc=None).rc in (WRONG, REFUSED), (document, args)
            break


def test_numbers_and_kinds_that_no_node_has(node, ctl):
    """Each value of a status is replaced by one of another kind: it ends."""
    kinds = [None, -1, 2 ** 63 - 1, 1.5e308, True, 'x' * 5000, [], {}, [[]]]

    def replaced(value, kind):
        """All that differ from it in one place."""
        if isinstance(value, dict):
            for k, v in value.items():
                for other in replaced(v, kind):
                    yield dict(value, **{k: other})
        elif isinstance(value, list):
            for i, v in enumerate(value):
                for other in replaced(v, kind):
                    yield value[:i] + [other] + value[i + 1:]
        yield kind

    documents = [d for kind in kinds for d in replaced(STATUS, kind)]
    assert len(documents) > 200
    for document in documents[::37]:
        node.say(document)
        for args in (('status',), ('ring',)):
            said = ctl(*args, rc=None)
            assert said.rc in (OK, NO, REFUSED, WRONG), (document, said)


BROKEN = [
    (b'', UNREACHABLE), (b'\x00\xff' * 50, WRONG), (b'SSH-2.0-x\r\n', WRONG),
    (b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}', UNREACHABLE),
    (b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', None),
    (b'HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n', None),
    (b'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n'
     b'{}', WRONG),
    (b'HTTP/1.1 200 OK\r\n' + b'A: b\r\n' * 100_000, None),
    (b'HTTP/1.1 200 OK\r\nX: ' + b'y' * 500_000, None),
    (b'HTTP/1.1 999 x\r\n\r\n', REFUSED), (b'HTTP/1.1 100 x\r\n\r\n', None),
    (b'HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n', 4)]


def test_what_is_no_http(node, ctl):
    for raw, rc in BROKEN:
        node.answer = raw
        said = ctl('--timeout', '5', 'status', rc=rc)
        assert said.rc in (UNREACHABLE, REFUSED, WRONG, 4), (raw, said)
        assert said.err.startswith('s3cachectl: ')


def test_one_that_says_nothing(node, ctl):
    silent = threading.Event()
    node.answer = lambda line: (silent.wait(20), b'')[1]
    said = ctl('--timeout', '1', 'status', rc=UNREACHABLE)
    silent.set()
    assert 'does not answer' in said.err
