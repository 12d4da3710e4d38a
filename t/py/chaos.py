# SPDX-License-Identifier: Apache-2.0
"""What the random tests share: an origin whose objects change, and clients
that know which versions they may be given."""

import hashlib
import os
import random
import threading
import time

from lib.reader import Cut, Reader

SECONDS = float(os.environ.get('CHAOS_SECONDS', '16'))
SEED = int(os.environ.get('CHAOS_SEED') or random.randrange(1 << 32))
VALID_S = 1.0
# An answer is as old as its way: the origin may have been asked well before
# its head came and the validity began.
SLACK_S = 2.0


class Versions:
    """What the origin has had, when."""

    def __init__(self, origin, seed):
        self.origin, self.random = origin, random.Random(seed)
        self.lock = threading.Lock()
        self.history = {}          # key: [(etag or None, from, until)]
        self.bodies = {}           # etag: bytes

    def put(self, key):
        """A new version, or (at times) none."""
        with self.lock:
            gone = key in self.history and self.random.random() < 0.1
            size = self.random.choice((
                0, 1, 1000, 20_000, 65_535, 65_536, 65_537, 200_000,
                500_000, 2_000_000))
            body = self.random.randbytes(size)
            etag = None if gone else f'"{hashlib.md5(body).hexdigest()}"'
            if etag:
                self.bodies[etag] = body
            began = time.monotonic()
            if gone:
                self.origin.call(lambda: self.origin.delete('bkt', key))
            else:
                self.origin.call(lambda: self.origin.put('bkt', key, body))
            ended = time.monotonic()
            versions = self.history.setdefault(key, [])
            if versions:
                versions[-1][2] = ended
            versions.append([etag, began, float('inf')])

    def was_there(self, key, etag, begin, end):
        """Had the origin this version at a moment in [begin, end]?"""
        with self.lock:
            return any(e == etag and since <= end and until >= begin
                       for e, since, until in self.history[key])


class Clients:
    def __init__(self, nginx, versions, keys):
        self.nginx, self.versions, self.keys = nginx, versions, keys
        self.over = threading.Event()
        self.count = {'right': 0, 'cut': 0, 'refused': 0, 'error': 0}
        self.lock = threading.Lock()

    def note(self, what):
        with self.lock:
            self.count[what] += 1

    def run(self, seed):
        rng = random.Random(seed)
        while not self.over.is_set():
            self.ask(rng)

    def ask(self, rng):
        key = rng.choice(self.keys)
        strict = rng.random() < 0.3
        method = 'HEAD' if rng.random() < 0.2 else 'GET'
        headers = {}
        if rng.random() < 0.4:
            first = rng.randrange(0, 600_000)
            headers['Range'] = rng.choice((
                f'bytes={first}-{first + rng.randrange(200_000)}',
                f'bytes=-{first + 1}', f'bytes={first}-'))
        begin = time.monotonic()
        try:
            reader = Reader(self.nginx, f'/bkt/{key}', headers, method,
                            name='strict' if strict else '')
        except OSError:
            self.note('refused')       # a worker that has just died
            self.over.wait(0.005)
            return
        try:
            if rng.random() < 0.05:
                reader.head()
                return                 # leaves without its body
            got = reader.read_all()
        except (Cut, OSError):
            got = None
        finally:
            reader.close()
        end = time.monotonic()
        self.check(key, reader, got, headers.get('Range'),
                   begin - (0 if strict else VALID_S + SLACK_S), end)

    def check(self, key, reader, got, asked, begin, end):
        told = (key, reader.status, reader.headers, asked)
        if reader.status is None:
            self.note('refused')
            return
        if reader.status in (500, 502, 503, 504):
            self.note('error')         # as the origin wants it, now and then
            return
        if reader.status == 404:
            assert self.versions.was_there(key, None, begin, end), told
            self.note('right')
            return
        if reader.status == 416:
            self.note('right')
            return
        assert reader.status in (200, 206), told
        etag = reader.headers['etag']
        body = self.versions.bodies[etag]
        first, last = 0, len(body) - 1
        if reader.status == 206:
            words = reader.headers['content-range'].split()[1]
            span, _, total = words.partition('/')
            first, last = map(int, span.split('-'))
            assert int(total) == len(body), told
        wanted = body[first:last + 1]
        assert reader.body == wanted[:len(reader.body)], told
        assert self.versions.was_there(key, etag, begin, end), (
            told, begin, end, self.versions.history[key][-4:])
        if got is None:
            self.note('cut')
        elif reader.method == 'HEAD':
            assert reader.body == b'', told
            assert int(reader.headers['content-length']) == len(wanted), told
            self.note('right')
        else:
            assert got == wanted, told
            self.note('right')
