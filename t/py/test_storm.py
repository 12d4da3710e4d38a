# SPDX-License-Identifier: Apache-2.0
"""A thousand clients at once on one cold object, over two workers.

1,000 x 64 MiB are 62 GiB through the loopback, too much for two cores in CI:
so 1,000 clients read an object of 4 blocks, and 100 clients one of 64 MiB.
With STORM_FULL=1 in the environment 1,000 clients read 64 MiB.
"""

import hashlib
import os
import resource
import selectors
import socket
import time

import pytest

from lib import wait
from origin.objects import pattern

MIB = 1 << 20
FULL = os.environ.get('STORM_FULL') == '1'


@pytest.fixture(autouse=True)
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.fail(f'RLIMIT_NOFILE is {hard}, 4096 are needed')
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Client:
    """Hashes what it receives; keeps nothing."""

    def __init__(self, port, target):
        self.sock = socket.socket()
        self.sock.settimeout(20)
        self.sock.connect(('127.0.0.1', port))
        self.sock.sendall(f'GET {target} HTTP/1.1\r\nHost: x\r\n'
                          'Connection: close\r\n\r\n'.encode())
        self.sock.setblocking(False)
        self.head, self.status, self.length = b'', None, None
        self.hash, self.got, self.over = hashlib.sha1(), 0, False

    def feed(self, data):
        if self.status is None:
            self.head += data
            end = self.head.find(b'\r\n\r\n')
            if end < 0:
                return
            lines = self.head[:end].decode('latin-1').split('\r\n')
            self.status = int(lines[0].split()[1])
            self.length = next(int(line.split(':')[1]) for line in lines
                               if line.lower().startswith('content-length:'))
            data = self.head[end + 4:]
        self.hash.update(data)
        self.got += len(data)


class Crowd:
    def __init__(self, port, target, count):
        self.selector = selectors.EpollSelector()
        self.clients = [Client(port, target) for _ in range(count)]
        self.buffer = bytearray(256 * 1024)
        for client in self.clients:
            self.selector.register(client.sock, selectors.EVENT_READ, client)

    def run(self, is_done, what, timeout_s=800 if FULL else 50):
        """Reads until is_done(); `what` is said when that takes too long."""
        deadline = time.monotonic() + timeout_s
        view = memoryview(self.buffer)
        while not is_done():
            assert time.monotonic() < deadline, what()
            for key, _ in self.selector.select(0.1):
                client = key.data
                try:
                    n = client.sock.recv_into(self.buffer)
                except ConnectionResetError:
                    n = 0
                if n:
                    client.feed(view[:n] if client.status else bytes(view[:n]))
                else:
                    client.over = True
                    self.selector.unregister(client.sock)
                    client.sock.close()

    def until_all_have(self, count):
        self.run(lambda: all(c.got >= count for c in self.clients),
                 lambda: f'{sum(c.got >= count for c in self.clients)} of '
                         f'{len(self.clients)} have {count} bytes')

    def until_all_end(self):
        self.run(lambda: all(c.over for c in self.clients),
                 lambda: f'{sum(c.over for c in self.clients)} of '
                         f'{len(self.clients)} ended')

    def check(self, body):
        digest = hashlib.sha1(body).hexdigest()
        for client in self.clients:
            assert client.status == 200
            assert client.got == client.length == len(body)
            assert client.hash.hexdigest() == digest

    def close(self):
        for client in self.clients:
            client.sock.close()
        self.selector.close()


def spans(size):
    return [None] + [f'bytes={at}-{min(at + MIB, size) - 1}'
                     for at in range(MIB, size, MIB)]


@pytest.mark.deadline(900 if FULL else 120)
@pytest.mark.parametrize('count, size', [(1000, 64 * MIB)] if FULL else [
    (1000, 4 * MIB), (100, 64 * MIB)])
def test_a_crowd_on_a_cold_object_costs_one_transfer_of_each_block(
        origin, make_gateway, count, size):
    """The origin stands still after its first bytes until everybody has
    them: so nobody's first byte waited for anything but those."""
    body = pattern(size)
    origin.put('bkt', 'key', body)
    gate = origin.gate(at=10_000)
    origin.on('bkt', 'key', gate=gate, times=1)
    nginx = make_gateway(origin, workers=2, connections=4096,
                         zone={'size': '256m'})
    crowd = Crowd(nginx.port(), '/bkt/key', count)
    try:
        crowd.until_all_have(10_000)
        gate.wait_reached()
        assert origin.requests[0].sent_bytes == 10_000
        gate.open()
        crowd.until_all_end()
        crowd.check(body)
    finally:
        gate.open()
        crowd.close()
    asked = [r.header('range') for r in origin.requests]
    assert sorted(asked, key=spans(size).index) == spans(size)
    counted = nginx.zone()
    assert counted['requests']['miss'] + counted['requests']['shared'] \
        + counted['requests']['hit'] == count
    assert counted['requests']['bypass'] == 0
    assert counted['origin']['requests'] == len(asked)


def test_a_crowd_that_waits_for_the_head_costs_one_request(
        origin, make_gateway):
    body = pattern(30_000)
    origin.put('bkt', 'key', body)
    gate = origin.gate()
    origin.on('bkt', 'key', gate=gate)
    nginx = make_gateway(origin, workers=2, connections=4096)
    crowd = Crowd(nginx.port(), '/bkt/key', 1000)
    try:
        gate.wait_reached()
        wait.until(lambda: nginx.zone()['memory']['pins'] >= 1000,
                   'all wait', 30, 0.05)
        gate.open()
        crowd.until_all_end()
        crowd.check(body)
    finally:
        gate.open()
        crowd.close()
    assert len(origin.requests) == 1


def test_a_crowd_on_what_is_missing_costs_one_request(origin, make_gateway):
    origin.bucket('bkt')
    gate = origin.gate()
    origin.on('bkt', 'key', gate=gate)
    nginx = make_gateway(origin, workers=2, connections=4096)
    crowd = Crowd(nginx.port(), '/bkt/key', 500)
    try:
        wait.until(lambda: nginx.zone()['memory']['pins'] >= 500,
                   'all wait', 30, 0.05)
        gate.open()
        crowd.until_all_end()
    finally:
        gate.open()
        crowd.close()
    for client in crowd.clients:
        assert client.status == 404
        assert client.hash.hexdigest() == crowd.clients[0].hash.hexdigest()
    assert len(origin.requests) == 1


def test_a_crowd_that_leaves_leaves_nothing(origin, make_gateway):
    body = pattern(2 * MIB)
    origin.put('bkt', 'key', body)
    gate = origin.gate(at=10_000)
    origin.on('bkt', 'key', gate=gate, times=1)
    nginx = make_gateway(origin, workers=2, connections=4096)
    crowd = Crowd(nginx.port(), '/bkt/key', 1000)
    try:
        crowd.until_all_have(10_000)
    finally:
        crowd.close()
    wait.until(lambda: nginx.zone()['memory']['pins'] <= 4, 'all let go')
    gate.open()
    nginx.check_accounting()
    assert nginx.get('/bkt/key').body == body
