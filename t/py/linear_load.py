# SPDX-License-Identifier: Apache-2.0
"""Clients that write and read the same few keys in all ways there are, through
one or several nodes, and note what they did (lib.history).

    with Load([Node('node0', nginx)], 'bucket', seed) as load:
        load.torment(10, {'kill': nginx.kill_worker})
    load.must_be_linear()

A node that is at fault may give answers that are too old by `slack_s`, as long
as it is (Node.fault()) and `linger_s` after; nothing else may be.
"""

import collections
import contextlib
import dataclasses
import os
import random
import re
import threading
import time
from urllib.parse import quote
from xml.sax.saxutils import escape, unescape

from lib import linear, wait
from lib.history import FAILED, NEVER, OK, UNKNOWN, History, Seen, Wrong
from lib.reader import Cut, Reader, connect

SECONDS = float(os.environ.get('LINEAR_SECONDS', '10'))
SEED = int(os.environ.get('LINEAR_SEED') or random.randrange(1 << 32))
BLOCK = 64 << 10
SIZES = (100, 1000, 4096, BLOCK - 1, BLOCK, BLOCK + 1, 150_000, 300_000)
# A key of which nobody knows what it holds is read from the origin for a
# minute: another takes its place. So it is at last with any key. For some time
# it is still revisited, since what nobody knows of may come true late.
WORN, OLD_S = 600, 5.0
STORM_S = 0.5            # of each second


class Node:
    """One way in. `nginx` has .port(), or .connect() if it is elsewhere."""

    def __init__(self, name, nginx):
        self.name, self.nginx = name, nginx
        self.faults = []               # [since, until]
        self.away = False              # hardly worth trying

    def connect(self):
        if hasattr(self.nginx, 'connect'):
            return self.nginx.connect(timeout_s=2)
        return connect(self.nginx.port())

    @contextlib.contextmanager
    def fault(self, away=False):
        """While it is, what it answers may be late. `away`: nor do clients
        reach it, and few wait for it."""
        self.faults.append([time.monotonic(), float('inf')])
        self.away = away
        try:
            yield
        finally:
            self.away = False
            self.faults[-1][1] = time.monotonic()

    def is_at_fault(self, op, linger_s):
        return any(since <= op.end_s and op.start_s <= until + linger_s
                   for since, until in self.faults)


class Keys:
    """The keys in use: the first are those that are copied from."""

    def __init__(self, count, sources):
        self._lock = threading.Lock()
        self._made = 0
        self.sources = sources
        self.worn, self.old = collections.Counter(), collections.deque()
        self.slots = [self._new(i) for i in range(count)]

    def _new(self, slot):
        self._made += 1
        # each in a directory of its own
        return f'{"source" if slot < self.sources else "key"}{self._made}/o'

    def _retire(self, slot):
        self.old.append((time.monotonic() + OLD_S, self.slots[slot]))
        self.slots[slot] = self._new(slot)

    def pick_old(self, rng):
        """One that was in use until lately, or is."""
        with self._lock:
            while self.old and self.old[0][0] < time.monotonic():
                self.old.popleft()
            if self.old:
                return rng.choice(self.old)[1]
        return self.pick(rng)

    def pick(self, rng, kind=''):
        """A key, perhaps of this kind: 'source' or 'key'."""
        with self._lock:
            slot = rng.choice([i for i, key in enumerate(self.slots)
                               if key.startswith(kind)])
            key = self.slots[slot]
            self.worn[key] += 1
            if self.worn[key] == WORN:
                self._retire(slot)
            return key

    def spoil(self, key):
        with self._lock:
            if key in self.slots:
                self._retire(self.slots.index(key))


class Unsent(OSError):
    """Nobody has heard of it."""


def outcome_of(seen):
    """What is known of a write by its answer."""
    if seen.status < 300:
        return OK if seen.whole and b'<Error>' not in seen.body else UNKNOWN
    # 503: the origin or the gateway is not willing
    return (FAILED if seen.status < 500 or seen.status in (501, 503)
            else UNKNOWN)


class Client:
    """One thread. Its moves are methods, chosen by their weight."""

    MOVES = {'get': 40, 'head': 12, 'span': 16, 'condition': 4, 'revisit': 8,
             'list': 10, 'put': 14, 'delete': 3, 'delete_many': 2, 'copy': 4,
             'multipart': 4}
    WRITES = ('put', 'delete', 'delete_many', 'copy', 'multipart')

    def __init__(self, load, number):
        self.load, self.name = load, f'c{number}'
        self.rng = random.Random(f'{load.seed} {number}')
        self.history, self.keys = load.history, load.keys
        self.socks = {}

    def move(self):
        name, = self.rng.choices(list(self.MOVES), self.MOVES.values())
        # writes come in storms, between which there is time to cache
        if (name in self.WRITES and time.monotonic() % 1 > STORM_S
                and self.rng.random() < 0.8):
            name = 'get'
        getattr(self, name)()

    def run(self):
        try:
            while not self.load.over.is_set():
                self.move()
                self.load.over.wait(self.rng.random() * self.load.pause_s)
        finally:
            self.close()

    def close(self):
        for sock in self.socks.values():
            sock.close()

    # --- one request --------------------------------------------------------

    def ask(self, node, method, target, headers=None, body=b''):
        """Seen; Unsent, or another OSError or Cut if there was no head."""
        sock = self.socks.pop(node, None)
        try:
            sock = sock or node.connect()
        except OSError as e:
            raise Unsent(str(e)) from e
        kept = False
        try:
            headers = dict(headers or {})
            if method in ('PUT', 'POST'):
                headers['Content-Length'] = str(len(body))
            reader = Reader(None, target, headers, method, sock=sock,
                            timeout_s=self.load.timeout_s)
            with contextlib.suppress(ConnectionError):   # answered early
                sock.sendall(body)
            status, whole = reader.head(), True
            known_s = time.monotonic()
            try:
                reader.read_all()
            except (Cut, OSError):
                whole = False
            kept = whole and reader.headers.get('connection') != 'close'
            return Seen(status, reader.headers, bytes(reader.body), whole,
                        known_s)
        finally:
            if kept:
                self.socks[node] = sock
            else:
                sock.close()

    def node(self):
        near = [node for node in self.load.nodes if not node.away]
        if not near or self.rng.random() < 0.02:
            near = self.load.nodes
        return self.rng.choice(near)

    def target(self, key, query=''):
        return f'/{self.load.bucket}/{key}{query}'

    # --- reads ----------------------------------------------------------------

    def get(self, key=None, method='GET', span=None, node=None):
        key = key or self.keys.pick(self.rng)
        node = node or self.node()
        self._read(node, method, key, span and {'Range': span}, span)

    def _read(self, node, kind, key, headers, span=None, unless=None):
        op = self.history.begin(self.name, node.name, kind, key, span=span)
        try:
            seen = self.ask(node, kind.split()[0], self.target(key), headers)
        except (Cut, OSError) as e:
            op.finish(FAILED, type(e).__name__)
            return
        self.history.saw(op, seen, unless)

    def head(self):
        self.get(method='HEAD')

    def span(self):
        size = self.rng.choice(SIZES)
        first = self.rng.randrange(size)
        self.get(span=self.rng.choice((
            f'bytes={first}-{first + self.rng.randrange(2 * BLOCK)}',
            f'bytes={first}-', f'bytes=-{first + 1}')))

    def revisit(self):
        """As browsers ask: such are never answered from the cache. What they
        have seen nobody may see undone."""
        key = self.keys.pick_old(self.rng)
        self._read(self.node(), 'GET passed', key,
                   {'Origin': 'http://page.test'})
        self.get(key)

    def condition(self):
        """If-None-Match with what was written last."""
        key = self.keys.pick(self.rng, 'source')
        etag = self.load.etags.get(key)
        self._read(self.node(), 'GET', key,
                   etag and {'If-None-Match': etag}, unless=etag)

    def list(self):
        """Of all keys, or of one's own directory: what it shows of one of them
        (of what is copied to, only that it is not there). An RGW's own lists may
        be wrong for good after a PUT and a DELETE at the same time."""
        key = self.keys.pick(self.rng)
        prefix = self.rng.choice(('', key.rpartition('/')[0] + '/'))
        node = self.node()
        op = self.history.begin(self.name, node.name, 'LIST', key)
        try:
            seen = self.ask(node, 'GET', f'/{self.load.bucket}?list-type=2'
                            f'&prefix={quote(prefix, "")}')
        except (Cut, OSError) as e:
            op.finish(FAILED, type(e).__name__)
            return
        note = f'{seen.status} {seen.headers.get("x-cache")} of {prefix!r}'
        if seen.status != 200 or not seen.whole:
            op.finish(FAILED, note)
            return
        shown = re.search(f'<Key>{key}</Key>.*?<ETag>(.*?)</ETag>',
                          seen.body.decode(), re.S)
        value = shown and self.history.only(
            key, '"' + unescape(shown[1], {'&quot;': '"'}).strip('"') + '"')
        if value:
            op.value = value.number
        if self.load.lists and (value or not shown):
            op.finish(OK, note, seen.known_s)
        else:
            op.finish(FAILED, note)

    # --- writes ---------------------------------------------------------------

    def write(self, op, node, method, target, headers=None, body=b''):
        """Asks for it and notes what came of it: Seen, if anything was."""
        if self.load.behind and self.rng.random() < self.load.behind_share:
            node = self.load.behind
        seen, outcome = None, UNKNOWN
        try:
            seen = self.ask(node, method, target, headers, body)
            outcome, note = outcome_of(seen), seen.status
        except Unsent as e:
            outcome, note = FAILED, e
        except (Cut, OSError) as e:
            note = type(e).__name__
        op.finish(outcome, note, NEVER if outcome == UNKNOWN else None)
        if outcome == UNKNOWN:
            self.keys.spoil(op.key)
        return seen

    def _check_etag(self, op, value, etag):
        if etag and etag != value.etag:
            self.history.is_wrong(op, f'ETag {etag} of a write of '
                                      f'{value.etag}')
        self.load.etags[value.key] = value.etag

    def put(self, key=None):
        key = key or self.keys.pick(self.rng)
        node = self.node()
        value = self.history.new_value(key, self.rng.choice(SIZES))
        op = self.history.begin(self.name, node.name, 'PUT', key, value)
        seen = self.write(op, node, 'PUT', self.target(key), value.headers(),
                          value.body())
        if op.outcome == OK:
            self._check_etag(op, value, seen.headers.get('etag'))

    def delete(self):
        key = self.keys.pick(self.rng)
        node = self.node()
        op = self.history.begin(self.name, node.name, 'DELETE', key)
        self.write(op, node, 'DELETE', self.target(key))

    def delete_many(self):
        keys = sorted({self.keys.pick(self.rng) for _ in range(2)})
        node = self.node()
        ops = [self.history.begin(self.name, node.name, 'DELETE many', key)
               for key in keys]
        body = ''.join(f'<Object><Key>{escape(key)}</Key></Object>'
                       for key in keys)
        seen = self.write(ops[0], node, 'POST',
                          f'/{self.load.bucket}?delete', {
                              'Content-Type': 'application/xml'},
                          f'<Delete>{body}</Delete>'.encode())
        first = dataclasses.replace(ops[0])
        for op in ops:
            op.finish(first.outcome, first.note, first.end_s)
            if first.outcome == OK and (
                    f'<Key>{op.key}</Key>' not in seen.body.decode()):
                op.finish(UNKNOWN, 'not in the result', NEVER)
            if op.outcome == UNKNOWN:
                self.keys.spoil(op.key)

    def copy(self):
        source = self.keys.pick(self.rng, 'source')
        key = self.keys.pick(self.rng, 'key')
        node = self.node()
        value = self.history.new_value(key, copy_of=source)
        op = self.history.begin(self.name, node.name, 'COPY', key, value)
        seen = self.write(op, node, 'PUT', self.target(key), {
            **value.headers(), 'x-amz-metadata-directive': 'REPLACE',
            'x-amz-copy-source': self.target(source)})
        if op.outcome == OK:
            etag = re.search(rb'<ETag>(?:&quot;|"|&#34;)?([\w-]+)', seen.body)
            try:
                self.history.copied(value, etag and f'"{etag[1].decode()}"',
                                    op.end_s)
            except Wrong as e:
                self.history.is_wrong(op, e)
        elif seen and seen.status == 404:
            self.history.read_source(value, None, op.end_s)

    def multipart(self):
        key = self.keys.pick(self.rng)
        node = self.node()
        sizes = self.rng.choice(self.load.part_sizes)
        value = self.history.new_value(key, sum(sizes), part_sizes=sizes)
        try:
            upload, listed = self._parts(node, value)
        except (Cut, OSError):
            upload = None
        if not upload:
            return                     # it never begins
        op = self.history.begin(self.name, node.name, 'COMPLETE', key, value)
        self.write(op, node, 'POST', self.target(key, f'?uploadId={upload}'),
                   None, f'<CompleteMultipartUpload>{listed}'
                         '</CompleteMultipartUpload>'.encode())
        if op.outcome == OK:
            self.load.etags[key] = value.etag

    def _parts(self, node, value):
        """(upload, what Complete is told), (None, None) if that failed."""
        seen = self.ask(node, 'POST', self.target(value.key, '?uploads'),
                        value.headers())
        found = re.search(rb'<UploadId>([^<]+)', seen.body)
        if not found:
            return None, None
        upload, listed = found[1].decode(), ''
        for number, part in enumerate(value.parts(), 1):
            seen = self.ask(node, 'PUT', self.target(
                value.key, f'?partNumber={number}&uploadId={upload}'),
                None, part)
            if seen.status != 200:
                return None, None
            listed += (f'<Part><PartNumber>{number}</PartNumber>'
                       f'<ETag>{escape(seen.headers["etag"])}</ETag></Part>')
        return upload, listed


class Load:
    """behind: a Node past the cache, through which that share of writes goes
    as if it had gone through the cache: a fault of the test's own making.
    lists: the origin's are right, so what they show is judged, too."""

    def __init__(self, nodes, bucket, seed=SEED, clients=6, keys=5, sources=2,
                 part_sizes=((70_000, 1000), (5000,)), timeout_s=10,
                 pause_s=0.01, behind=None, behind_share=0.0, lists=False):
        print(f'LINEAR_SEED={seed}')
        self.nodes, self.bucket, self.seed = nodes, bucket, seed
        self.part_sizes, self.timeout_s = part_sizes, timeout_s
        self.pause_s, self.lists = pause_s, lists
        self.behind, self.behind_share = behind, behind_share
        self.history, self.etags = History(), {}
        self.keys = Keys(keys, sources)
        self.over = threading.Event()
        self.failed, self.did = [], collections.Counter()
        self.clients = [Client(self, i) for i in range(clients)]
        self.threads = [threading.Thread(target=self._run, args=(client,))
                        for client in self.clients]

    def _run(self, client):
        try:
            client.run()
        except BaseException as e:     # shown by whoever waits
            self.failed.append(e)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(60)
        assert not any(t.is_alive() for t in self.threads), 'no end'
        self.check()

    def check(self):
        if self.failed:
            raise self.failed[0]

    def run(self, seconds):
        """Lets them do so for some time."""
        until = time.monotonic() + seconds
        wait.until(lambda: self.check() or time.monotonic() >= until,
                   'the end of the load', seconds + 30, 0.02)

    def torment(self, seconds, faults, each_s=(0.2, 1.0)):
        """faults: {name: function}, one after the other, by chance."""
        rng = random.Random(f'{self.seed} faults')
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.run(rng.uniform(*each_s))
            name = rng.choice(sorted(faults))
            self.did[name] += 1
            faults[name]()

    # --- what came of it ----------------------------------------------------

    def read_all(self):
        """All keys, the old ones too, through all nodes: by the last client,
        when the others have ended."""
        last = Client(self, 'last')
        for key in sorted({op.key for op in self.history.ops}):
            for node in self.nodes:
                last.get(key, node=node)
                last.get(key, node=node)
        last.close()

    def judge(self, slack_s=0.0, linger_s=0.0):
        nodes = {node.name: node for node in self.nodes}

        def early_s(op):
            return (slack_s if nodes[op.node].is_at_fault(op, linger_s)
                    else 0.0)

        return linear.check(self.history, early_s)

    def count(self, what):
        """Reads that were answered with this X-Cache or X-Tier."""
        return sum(what in op.note.split() for op in self.history.ops
                   if not op.writes)

    def must_be_linear(self, hits=0.1, least=200, **more):
        """And something has been tried: so many operations, and so large a
        share of the reads from the cache."""
        began_s = time.monotonic()
        found = self.judge(**more)
        outcomes = collections.Counter(op.outcome for op in self.history.ops
                                       if op.writes)
        hit = self.count('HIT')
        tiers = {name: self.count(name) for name in (
            'origin', 'pass', 'ram', 'flash', 'peer', 'mirror')}
        print(f'{found.keys} keys, {found.writes} writes {dict(outcomes)}, '
              f'{found.reads} reads, {hit} hits, at most {found.states} '
              f'states, judged in {time.monotonic() - began_s:.2f} s; '
              f'{tiers}; {dict(self.did)}')
        assert found, f'LINEAR_SEED={self.seed}\n{found.report()}'
        assert found.writes > least / 5 and found.reads > least
        assert hit >= hits * found.reads, (hit, found.reads)
        return found
