# SPDX-License-Identifier: Apache-2.0
"""Who asks: wrk for what takes time, a plain socket where only the server's
instructions are counted."""

import json
import math
import os
import re
import resource
import socket
import statistics
import subprocess

import servers

HERE = os.path.dirname(os.path.abspath(__file__))

# Sets of request headers: what wrk sends by itself, and what an SDK does.
HEADERS = {'tiny': None, 'sdk': os.path.join(HERE, 'sdk_headers.txt')}


def wrk(core, url, connections, seconds, *words):
    done = subprocess.run(
        ['taskset', '-c', str(core), 'wrk', '-t1', f'-c{connections}',
         f'-d{seconds}s', '--timeout', '30s',
         '-s', os.path.join(HERE, 'client.lua'), url, '--', *words],
        capture_output=True, text=True, check=True)
    return json.loads(re.search(r'^JSON (.*)$', done.stdout, re.M)[1])


def _children_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(srv, core, subject, path, connections, seconds, *words):
    """One round: req/s, and what the server's process and wrk burnt."""
    pid = srv.pid(subject)
    before, own = servers.cpu_seconds(pid), _children_seconds()
    got = wrk(core, srv.url(subject, path), connections, seconds, *words)
    burnt = servers.cpu_seconds(pid) - before
    own = _children_seconds() - own
    if got['bad'] or not got['bytes']:
        raise RuntimeError(f'{subject} {path}: {got}')
    requests = got['requests'] or math.nan     # large: perhaps none ended
    return {
        'req_s': requests / got['us'] * 1e6,
        'cpu_us': burnt / requests * 1e6,
        'cpu_s_gib': burnt / got['bytes'] * (1 << 30),
        'client_s_gib': own / got['bytes'] * (1 << 30),
        'client_us': own / requests * 1e6,
        'gib_s': got['bytes'] / got['us'] * 1e6 / (1 << 30),
        'p50_us': got['p50_us'],
        'p99_us': got['p99_us'],
    }


def interleaved(cells, rounds, once):
    """once(*cell) for all cells in turn, again and again: {cell: {what:
    median}}. What disturbs the machine disturbs all alike."""
    found = {cell: [] for cell in cells}
    for _ in range(rounds):
        for cell in cells:
            found[cell].append(once(*cell))
    return {cell: {what: statistics.median(r[what] for r in results)
                   for what in results[0]}
            for cell, results in found.items()}


class Connection:
    """Requests one after another on one connection, headers as given."""

    def __init__(self, port, headers=None):
        self._sock = socket.create_connection(('127.0.0.1', port), 120)
        self._lines = f'Host: 127.0.0.1:{port}\r\n'
        if headers:
            with open(headers, encoding='ascii') as f:
                self._lines += f.read().replace('\n', '\r\n')

    def get(self, path):
        """The body's size; the connection stays."""
        self._sock.sendall(f'GET {path} HTTP/1.1\r\n{self._lines}\r\n'
                           .encode())
        got = b''
        while b'\r\n\r\n' not in got:
            more = self._sock.recv(1 << 16)
            if not more:
                raise RuntimeError(f'{path}: cut')
            got += more
        head, _, body = got.partition(b'\r\n\r\n')
        if not head.startswith(b'HTTP/1.1 200'):
            raise RuntimeError(f'{path}: {head[:200]!r}')
        size = int(re.search(rb'(?i)content-length: (\d+)', head)[1])
        left = size - len(body)
        while left > 0:
            left -= len(self._sock.recv(min(left, 1 << 20)))
        return size

    def close(self):
        self._sock.close()
