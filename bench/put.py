# SPDX-License-Identifier: Apache-2.0
"""Writes: objects that wrk puts again and again, and one long body that comes
from a single buffer. The origin stores them on its tmpfs."""

import os
import socket
import statistics
import time

import client
import servers

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

SUBJECTS = {
    'put': 's3_cache',
    'put_signed': 's3_cache, signed for the origin',
    'put_proxy': 'nginx proxy_pass, a new connection each',
    'put_proxy_kept': 'nginx proxy_pass, keepalive',
    'origin': 'the origin itself (nginx, WebDAV)',
}
CELLS = [(4 * KIB, 1), (4 * KIB, 16), (MIB, 4)]
KEYS = 64                       # of each size: what the tmpfs has to hold
STREAM = 512 * MIB


def small(srv, core, size, connections, subject, seconds):
    """One round of wrk: rate, latency, CPU of the server."""
    pid = srv.pid(subject)
    before = servers.cpu_seconds(pid)
    got = client.wrk(core, srv.url(subject, '/'), connections, seconds,
                     f'put=/bench/put/{size}/', f'size={size}', f'of={KEYS}')
    burnt = servers.cpu_seconds(pid) - before
    if got['bad'] or not got['requests']:
        raise RuntimeError(f'{subject}, {size}: {got}')
    return {'req_s': got['requests'] / got['us'] * 1e6,
            'gib_s': got['requests'] * size / got['us'] * 1e6 / GIB,
            'cpu_us': burnt / got['requests'] * 1e6,
            'cpu_s_gib': burnt / (got['requests'] * size) * GIB,
            'p50_us': got['p50_us'], 'p99_us': got['p99_us']}


def stream(srv, subject, size):
    """One body, by this process, which has to be on the client's core."""
    pid = srv.pid(subject)
    piece = memoryview(bytes(MIB))
    with socket.create_connection(('127.0.0.1', srv.port(subject)), 120) as s:
        before, began = servers.cpu_seconds(pid), time.monotonic()
        s.sendall(f'PUT /bench/put/stream HTTP/1.1\r\nHost: bench\r\n'
                  f'Content-Length: {size}\r\n\r\n'.encode())
        for _ in range(size // MIB):
            s.sendall(piece)
        head = s.recv(1 << 16)
        took = time.monotonic() - began
        burnt = servers.cpu_seconds(pid) - before
    if not head.startswith(b'HTTP/1.1 20'):
        raise RuntimeError(f'{subject}: {head[:200]!r}')
    return {'gib_s': size / took / GIB, 'cpu_s_gib': burnt / size * GIB}


def measure(srv, core, rounds, seconds, quick):
    """{(size, connections, subject): medians}; of one connection with a size
    of STREAM the long body."""
    cells = CELLS[:1] if quick else CELLS
    size = STREAM // 16 if quick else STREAM
    found = {}
    for cell in cells:
        found.update(client.interleaved(
            [(*cell, s) for s in SUBJECTS], rounds,
            lambda size, connections, subject: small(
                srv, core, size, connections, subject, seconds)))
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        results = {s: [] for s in SUBJECTS}
        for _ in range(rounds):
            for subject, rows in results.items():
                rows.append(stream(srv, subject, size))
    finally:
        os.sched_setaffinity(0, before)
    found.update({(size, 0, s): {
        what: statistics.median(row[what] for row in rows)
        for what in rows[0]} for s, rows in results.items()})
    return found
