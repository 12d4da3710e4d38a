# SPDX-License-Identifier: Apache-2.0
"""What a worker holds does not grow with the bodies that go through it."""

import os
import socket

import pytest

import raw_http
from origin.sink import Sink

MIB = 1 << 20
SIZE = 2 << 30
BOUND = 16 * MIB


@pytest.fixture
def sink():
    with Sink(SIZE) as started:
        yield started


@pytest.fixture
def gateway(make_gateway, sink, monkeypatch):
    """Of one worker, whose zone is full: what grows from here on is not the
    zone's; nor is it what ASan keeps of what was freed."""
    monkeypatch.setenv('ASAN_OPTIONS', 'quarantine_size_mb=1:'
                       + os.environ.get('ASAN_OPTIONS', ''))
    nginx = make_gateway(sink, workers=1, zone={'size': '32m'})
    download(nginx.port(), '/bkt/first', 64 * MIB)
    upload(nginx.port(), '/bkt/first', MIB)
    return nginx


def memory(nginx):
    """What the worker has, and the most it ever had, with all of its zone."""
    pid, = nginx.worker_pids()
    with open(f'/proc/{pid}/status', encoding='ascii') as f:
        words = dict(line.split(':', 1) for line in f)
    return {name: int(words[name].split()[0]) * 1024
            for name in ('VmHWM', 'VmRSS', 'RssAnon', 'RssShmem')}


def check_growth(nginx, before, what):
    after = memory(nginx)
    grown = {name: after[name] - before[name] for name in after}
    print(f'{what} of {SIZE >> 20} MiB: ' + ', '.join(
        f'{name} {before[name] / MIB:.1f} {grown[name] / MIB:+.2f} MiB'
        for name in after))
    assert grown['VmHWM'] < BOUND and grown['VmRSS'] < BOUND
    assert grown['RssAnon'] < 2 * MIB


def upload(port, target, size):
    piece = memoryview(bytes(MIB))
    with raw_http.Connection(port) as c:
        c.request('PUT', target, {'Content-Length': str(size)})
        for _ in range(size // MIB):
            c.send(piece)
        assert c.answer('PUT').status == 200


def download(port, target, size):
    """As much of an object as is wanted."""
    buffer = bytearray(MIB)
    with raw_http.Connection(port) as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * MIB)
        c.request('GET', target)
        head = c._until(b'\r\n\r\n')
        assert head.startswith(b'HTTP/1.1 200 '), head
        assert f'\r\nContent-Length: {SIZE}\r\n'.encode() in head
        left = size - len(c.seen)
        while left > 0:
            count = c.sock.recv_into(buffer, min(left, MIB))
            assert count, f'cut {left} bytes before the end'
            left -= count


def test_an_upload(gateway, sink):
    before, received = memory(gateway), sink.received
    upload(gateway.port(), '/bkt/key', SIZE)
    assert sink.received - received == SIZE
    check_growth(gateway, before, 'an upload')


def test_a_download(gateway):
    before = memory(gateway)
    download(gateway.port(), '/bkt/key', SIZE)
    check_growth(gateway, before, 'a download')
