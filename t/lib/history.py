# SPDX-License-Identifier: Apache-2.0
"""What clients of an S3 have done, when, and what came of it.

    history = History()
    value = history.new_value('key', 70_000)
    op = history.begin('c1', 'node0', 'PUT', 'key', value)
    ... value.body() is sent with value.headers(), the answer has come ...
    op.finish(OK)
    op = history.begin('c1', 'node0', 'GET', 'key')
    ... head and body have come ...
    history.saw(op, answer)

Every value is told by a number in its metadata, and its bytes by a seed of that
number: no byte that another value has in its place goes unseen for long. What
is wrong with one answer by itself (bytes, ETag, length of another value, or of
none) is found here, in .wrong; what is wrong with the order of answers is found
by lib.linear.
"""

import dataclasses
import functools
import hashlib
import itertools
import math
import random
import threading
import time

from origin import objects

OK, FAILED, UNKNOWN = 'ok', 'failed', 'unknown'
ABSENT = None
MARK = 'x-amz-meta-value'
NEVER = math.inf


@functools.lru_cache(maxsize=128)
def _bytes(seed, size):
    return random.Random(seed).randbytes(size)


def _md5(data):
    return hashlib.md5(data)


@dataclasses.dataclass(eq=False)
class Value:
    """What one write puts under a key. A copy has the bytes of its `source`
    (a Value; None until somebody has seen which)."""

    number: int
    key: str
    size: int = 0
    part_sizes: tuple = ()
    copy_of: str = None                # a key
    source: object = None
    seen_etag: str = None              # of a copy
    op: object = None                  # the write

    def headers(self):
        return {MARK: str(self.number)}

    def body(self):
        if self.copy_of:
            return self.source.body()
        return _bytes(self.number, self.size)

    def parts(self):
        at = 0
        for size in self.part_sizes:
            yield self.body()[at:at + size]
            at += size

    @functools.cached_property
    def etag(self):
        if self.copy_of:
            return self.seen_etag
        if self.part_sizes:
            sums = b''.join(_md5(part).digest() for part in self.parts())
            return f'"{_md5(sums).hexdigest()}-{len(self.part_sizes)}"'
        return self.plain_etag()

    def plain_etag(self):
        """Of a copy of it, whatever parts it has been put in."""
        return f'"{_md5(self.body()).hexdigest()}"'


@dataclasses.dataclass(eq=False)
class Op:
    """One operation on one key. For a read, end_s is when its head had come:
    then the client knew which value it was given."""

    client: str
    node: str
    kind: str
    key: str
    start_s: float
    writes: bool
    value: int = ABSENT                # the number of a Value
    span: str = None
    end_s: float = NEVER
    outcome: str = UNKNOWN
    note: str = ''

    def finish(self, outcome, note='', end_s=None):
        self.end_s = time.monotonic() if end_s is None else end_s
        self.outcome = outcome
        self.note = str(note)

    def text(self, since_s=0.0):
        end = ('        ...' if self.end_s == NEVER
               else f'{self.end_s - since_s:11.4f}')
        value = 'absent' if self.value is ABSENT else f'value {self.value}'
        if not self.writes and self.outcome != OK:
            value = '-'
        return (f'{self.start_s - since_s:11.4f} {end}  {self.client:<5} '
                f'{self.node:<8} {self.kind:<14} {value:<12} '
                f'{self.outcome:<8} {self.span or ""} {self.note}').rstrip()


@dataclasses.dataclass
class Seen:
    """An answer to a read. `whole`: no byte is missing."""

    status: int
    headers: dict                      # names in lower case
    body: bytes = b''
    whole: bool = True
    known_s: float = 0.0               # when its head had come


class Wrong(AssertionError):
    """An answer that cannot be right, whatever else has happened."""


class History:
    """May be used by many threads."""

    def __init__(self):
        self.ops, self.values, self.wrong = [], {}, []
        self.began_s = time.monotonic()
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._by_etag = {}             # (key, etag): [Value]

    # --- writes -----------------------------------------------------------

    def new_value(self, key, size=0, **more):
        with self._lock:
            value = Value(next(self._numbers), key, size, **more)
            self.values[value.number] = value
            if not value.copy_of:
                for etag in {value.etag, value.plain_etag()}:
                    self._by_etag.setdefault((key, etag), []).append(value)
        return value

    def begin(self, client, node, kind, key, value=ABSENT, span=None,
              writes=None):
        """Kinds that begin with PUT, COPY, DELETE or COMPLETE write."""
        if writes is None:
            writes = kind.startswith(('PUT', 'COPY', 'DELETE', 'COMPLETE'))
        op = Op(client, node, kind, key, time.monotonic(), writes,
                value.number if value else ABSENT, span)
        if value:
            value.op = op
        with self._lock:
            self.ops.append(op)
        return op

    def copied(self, value, etag, end_s):
        """A copy has this ETag: so its source was that value at some time
        before. A key that is copied from must not be copied to."""
        with self._lock:
            if value.source:
                return
            found = self._by_etag.get((value.copy_of, etag), [])
            if len(found) != 1:
                raise Wrong(f'ETag {etag} of a copy of {value.copy_of}: '
                            f'{len(found)} values have it')
            value.source, value.size = found[0], found[0].size
            value.seen_etag = etag
            self.read_source(value, found[0].number, end_s)

    def read_source(self, value, number, end_s):
        """What a copy that began once had read by then."""
        op = value.op
        with self._lock:
            self.ops.append(Op(op.client, op.node, 'source', value.copy_of,
                               op.start_s, False, number, end_s=end_s,
                               outcome=OK, note=f'of value {value.number}'))

    def is_wrong(self, op, why):
        with self._lock:
            self.wrong.append((op, str(why)))

    def only(self, key, etag):
        """The value of a key that nothing is copied to, by its ETag."""
        with self._lock:
            found = self._by_etag.get((key, etag), [])
        return found[0] if len(found) == 1 else None

    # --- reads ------------------------------------------------------------

    def saw(self, op, seen, unless=None):
        """What a GET or HEAD was answered. Errors tell nothing. `unless`: the
        ETag of its If-None-Match."""
        op.note = ' '.join([str(seen.status)] + [
            seen.headers[name] for name in ('x-cache', 'x-tier')
            if name in seen.headers])
        if not seen.whole:
            op.note += f', cut after {len(seen.body)}'
        try:
            if seen.status == 404:
                op.finish(OK, op.note, seen.known_s)
            elif seen.status in (200, 206, 304):
                value = self._value(op, seen, unless)
                if seen.status != 304:
                    self._check(op, seen, value)
                op.value = value.number
                op.finish(OK, op.note, seen.known_s)
            elif seen.status < 500 and seen.status != 416:
                raise Wrong(f'status {seen.status}')
            else:
                op.finish(FAILED, op.note)
        except Wrong as e:
            op.finish(FAILED, op.note)
            self.is_wrong(op, e)

    def _value(self, op, seen, unless):
        etag = seen.headers.get('etag')
        if seen.status == 304:
            value = self.only(op.key, unless)
            # an RGW tells no ETag here
            if not value or etag not in (None, unless):
                raise Wrong(f'304 with ETag {etag} to {unless}')
            return value
        mark = seen.headers.get(MARK, '')
        value = self.values.get(int(mark)) if mark.isdigit() else None
        if not value or value.key != op.key:
            raise Wrong(f'{MARK}: {mark!r} was never written to {op.key}')
        if value.copy_of:
            self.copied(value, etag, seen.known_s)
        if etag != value.etag:
            raise Wrong(f'ETag {etag} with the metadata of value '
                        f'{value.number}, whose ETag is {value.etag}')
        return value

    def _check(self, op, seen, value):
        first, last, status = 0, value.size - 1, 200
        if op.span:
            try:
                found = objects.parse_range(op.span, value.size)
            except objects.S3Error:
                raise Wrong(f'{op.span} of {value.size} bytes') from None
            if found:
                (first, last), status = found, 206
        if seen.status != status:
            raise Wrong(f'{seen.status} where {status} was due')
        length = seen.headers.get('content-length')
        if length != str(last - first + 1):
            raise Wrong(f'Content-Length {length} for {first}-{last} of value '
                        f'{value.number}')
        if status == 206 and seen.headers.get('content-range') != (
                f'bytes {first}-{last}/{value.size}'):
            raise Wrong(f'Content-Range {seen.headers.get("content-range")} '
                        f'for {first}-{last}/{value.size}')
        if op.kind.startswith('HEAD'):
            return
        due = value.body()[first:last + 1]
        if seen.whole and len(seen.body) != len(due):
            raise Wrong(f'{len(seen.body)} bytes for {first}-{last}')
        if seen.body != due[:len(seen.body)]:
            raise Wrong(self._mix(op.key, value, first, seen.body))

    def _mix(self, key, value, first, body):
        """Whose bytes are those that are wrong?"""
        due = value.body()[first:]
        at = next((i for i, (a, b) in enumerate(zip(body, due)) if a != b),
                  min(len(body), len(due)))
        alien = bytes(body[at:at + 64])
        with self._lock:
            others = list(self.values.values())
        for other in others:
            if other.copy_of and not other.source:
                continue
            for where in (first + at, None):
                found = (other.body().startswith(alien, where)
                         if where is not None else alien in other.body())
                if found and len(alien) > 7:
                    return (f'from byte {first + at} on value {value.number} '
                            f'of {key} has bytes of value {other.number} of '
                            f'{other.key}')
        return (f'from byte {first + at} on value {value.number} of {key} has '
                f'bytes of nobody: {alien[:16].hex()}')
