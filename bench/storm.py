# SPDX-License-Identifier: Apache-2.0
"""A crowd asks for one object that the origin has hardly begun to send: how
long after the first of them do the others get their first byte?"""

import selectors
import socket
import statistics
import time

OBJECT = 256 << 10
RATE = 128 << 10          # bytes a second: the whole takes two seconds


def first_bytes(port, path, followers, leader_ahead_s=0.1):
    """Seconds from the first one's first body byte to each other's."""
    selector = selectors.DefaultSelector()

    def ask():
        sock = socket.create_connection(('127.0.0.1', port), 60)
        sock.sendall(f'GET {path} HTTP/1.1\r\nHost: a\r\n\r\n'.encode())
        sock.setblocking(False)
        state = {'head': b'', 'first': None}
        selector.register(sock, selectors.EVENT_READ, state)
        return state

    leader = ask()
    time.sleep(leader_ahead_s)
    crowd = [ask() for _ in range(followers)]
    waiting = followers + 1
    while waiting:
        ready = selector.select(60)
        now = time.monotonic()
        if not ready:
            raise RuntimeError(f'{waiting} clients got nothing')
        for key, _ in ready:
            state = key.data
            state['head'] += key.fileobj.recv(1 << 16)
            _, end, body = state['head'].partition(b'\r\n\r\n')
            if end and body:
                state['first'] = now
                waiting -= 1
                selector.unregister(key.fileobj)
                key.fileobj.close()
    return [s['first'] - leader['first'] for s in crowd]


def measure(srv, origin, subjects, followers, rounds):
    """{subject: {'median_ms', 'max_ms'}}: of all followers of all rounds."""
    lags = {subject: [] for subject in subjects}
    number = 0
    for _ in range(rounds):
        for subject in subjects:
            number += 1
            key = f'storm-{number}'
            origin.put('bench', key, bytes(OBJECT))
            origin.on('bench', key, rate=RATE, piece=8 << 10,
                      head_delay_s=0.5)
            lags[subject] += first_bytes(srv.port(subject), f'/bench/{key}',
                                         followers)
    return {subject: {'median_ms': statistics.median(lag) * 1e3,
                      'max_ms': max(lag) * 1e3}
            for subject, lag in lags.items()}
