# SPDX-License-Identifier: Apache-2.0
"""The contract of writes (test_linear.py) in a ring of three nodes, each on a
machine (network namespace) of its own, before a real origin: who saw a write
succeed through any node does not read the older version through any other,
from memory, flash or a mirror, while nodes die, hang, and lose each other.

Nodes that do not reach each other may be late, by a time that is documented:
SLACK_S. Everybody else is held to the contract.

LINEAR_SECONDS (10) is how long each load runs, here twice as long; LINEAR_SEED
chooses it. LINEAR_TIGHT=1: nobody may be late because of a Redis that was
emptied; for long runs by hand.
"""

import contextlib
import os
import random
import signal

import pytest

from lib import store
from linear_load import SECONDS, SEED, Load, Node
from redis_nodes import agree
from test_linear import PARTS, TIMES, VALID, Behind, some_fail
from test_ring import STORE, make_ring

__all__ = ['make_ring']

LENGTH_S = 2 * SECONDS
DEADLINE = int(LENGTH_S) + 150
# How much older than right a node may answer that the others do not reach, and
# how long after it is back it may still be told so.
SLACK_S = LINGER_S = 5.0
HOLD_S = (0.3, SLACK_S + 1.5)          # how long a fault lasts
TIGHT = os.environ.get('LINEAR_TIGHT', '') not in ('', '0')
MIRRORS = '    mirror 20% 1h;\n'
LISTS = ' s3_cache_list 1h;'


def refuses_writes(ring, bucket):
    with ring.nodes[0].connect() as sock:
        sock.sendall(f'PUT /{bucket}/probe HTTP/1.1\r\nHost: x\r\n'
                     'Connection: close\r\nContent-Length: 0\r\n\r\n'.encode())
        head = sock.makefile('rb').readline()
    return b' 501 ' in head


@pytest.fixture
def make(make_ring, make_redis):
    """make(by_redis, ...): a ring of three, and its ways in."""
    def made(by_redis, location='', **more):
        redis = make_redis() if by_redis else None
        ring = make_ring(3, block=MIRRORS, redis=redis, valid=VALID,
                         workers=2, location=LISTS + location, **more)
        ring.redis = redis
        if redis:
            agree(ring.nodes, ' '.join(ring.names))
        return ring, [Node(name, nginx) for name, nginx
                      in zip(ring.names, ring.nodes)]

    return made


@pytest.fixture
def ready(make, bucket):
    """ready(by_redis, stores, ...): one that takes writes."""
    def made(by_redis, stores, **more):
        ring, nodes = make(by_redis, stores=stores, **more)
        if refuses_writes(ring, bucket):
            pytest.skip('nodes of a ring do not write yet')
        return ring, nodes

    return made


class Faults:
    """What may happen to a ring while it is under load. Each is over when its
    function returns.

    A node that cannot be told of writes is late, and so may be what the others
    read from it. One that was killed and is back is not."""

    def __init__(self, load, ring, nodes, seed):
        self.load, self.ring, self.nodes = load, ring, nodes
        self.rng = random.Random(f'{seed} ring')

    def named(self, parts=True):
        names = ['kill', 'kill_worker', 'reload']
        if parts:
            names += ['stop', 'cut', 'part', 'part_all']
        if self.ring.redis:
            names += ['restart_redis', 'freeze_redis']
        return {name: getattr(self, name) for name in names}

    @contextlib.contextmanager
    def apart(self, away=()):
        with contextlib.ExitStack() as stack:
            for node in self.nodes:
                stack.enter_context(node.fault(away=node in away))
            yield

    def hold(self):
        self.load.run(self.rng.uniform(*HOLD_S))

    def one(self):
        number = self.rng.randrange(len(self.nodes))
        return number, self.nodes[number]

    def kill(self):
        """kill -9 of all that a node is, and a start."""
        _, node = self.one()
        with node.fault(away=True):
            node.nginx.kill_all()
            self.hold()
            node.nginx.start()
            if node.nginx.zone()['stores']:
                store.wait_state(node.nginx)

    def stop(self):
        """A machine that stands still for a while and knows nothing of it."""
        _, node = self.one()
        pids = [node.nginx.pid] + node.nginx.worker_pids(leaving=True)
        with self.apart([node]):
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            try:
                self.hold()
            finally:
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)

    def cut(self):
        """Its only link: clients and origin are as far away as the others."""
        number, node = self.one()
        with self.apart([node]):
            self.ring.net.cut(number)
            try:
                self.hold()
            finally:
                self.ring.net.heal(number)

    def _part(self, numbers):
        with self.apart():
            self.ring.net.part(numbers)
            try:
                self.hold()
            finally:
                self.ring.net.join(numbers)

    def part(self):
        """Two that reach the third, the origin and clients, but not each
        other."""
        self._part(self.rng.sample(range(len(self.nodes)), 2))

    def part_all(self):
        self._part(range(len(self.nodes)))

    def kill_worker(self):
        nginx = self.one()[1].nginx
        nginx.kill_worker(self.rng.choice(nginx.worker_pids()))

    def reload(self):
        self.one()[1].nginx.reload()

    def restart_redis(self):
        # (a node that begins while Redis is empty does not know of the others)
        with contextlib.nullcontext() if TIGHT else self.apart():
            self.ring.redis.kill()
            self.hold()
            beats = self.beats()
            self.ring.redis.start()
            # who is back there first does not see the others
            while not all(map(int.__lt__, beats, self.beats())):
                self.load.run(0.1)
            while not all(len(node.nginx.zone()['ring']['members'])
                          == len(self.nodes) for node in self.nodes):
                self.load.run(0.1)
            self.load.run(1.0)              # and each worker of each node

    def beats(self):
        return [node.nginx.zone()['redis']['beats'] for node in self.nodes]

    def freeze_redis(self):
        self.ring.redis.freeze()
        try:
            self.hold()
        finally:
            self.ring.redis.thaw()


WAYS = pytest.mark.parametrize('by_redis, stores', [
    (False, ()), (True, ()), (True, (STORE,))],
    ids=['listed', 'by Redis', 'by Redis, with flash'])


@pytest.mark.deadline(DEADLINE)
@WAYS
def test_three_nodes(ready, bucket, by_redis, stores):
    ring, nodes = ready(by_redis, stores)
    with Load(nodes, bucket, SEED + 10, part_sizes=PARTS) as load:
        load.run(SECONDS)
    load.read_all()
    load.must_be_linear()
    assert load.count('peer') > 0
    if not stores:
        assert load.count('mirror') > 0


@pytest.mark.deadline(DEADLINE)
@WAYS
def test_three_nodes_that_fail(ready, bucket, by_redis, stores):
    ring, nodes = ready(by_redis, stores)
    with Load(nodes, bucket, SEED + 11, part_sizes=PARTS,
              timeout_s=4 * SLACK_S, clients=8) as load:
        load.torment(LENGTH_S, Faults(load, ring, nodes, SEED).named())
    load.read_all()
    load.must_be_linear(hits=0.03, slack_s=SLACK_S, linger_s=LINGER_S)


@pytest.mark.deadline(DEADLINE)
@WAYS
def test_three_nodes_that_die_and_return(ready, bucket, by_redis, stores):
    """All of them reach each other, or are not there: nobody is ever late."""
    ring, nodes = ready(by_redis, stores)
    with Load(nodes, bucket, SEED + 14, part_sizes=PARTS,
              timeout_s=4 * SLACK_S, clients=8) as load:
        load.torment(LENGTH_S,
                     Faults(load, ring, nodes, SEED + 3).named(parts=False))
    load.read_all()
    load.must_be_linear(hits=0.03)


@pytest.mark.deadline(DEADLINE)
@pytest.mark.parametrize('stores', [(), (STORE,)], ids=['memory', 'flash'])
def test_three_nodes_and_an_origin_that_fail(ready, origin, stores):
    """Nobody knows what becomes of some writes, and the node that could is
    gone. A node that is restarted has forgotten which those were: none is."""
    ring, nodes = ready(True, stores, origin=origin, location=TIMES)
    some_fail(origin, SEED)
    with Load(nodes, 'bkt', SEED + 13, timeout_s=4 * SLACK_S,
              clients=8, lists=True) as load:
        faults = Faults(load, ring, nodes, SEED + 2).named()
        del faults['kill']
        load.torment(LENGTH_S, faults)
    origin.off()
    load.read_all()
    load.must_be_linear(hits=0.03, slack_s=SLACK_S, linger_s=LINGER_S)


@pytest.mark.deadline(DEADLINE)
def test_strict_readers_of_what_is_written_past_the_ring(make, origin):
    """They are told the truth whatever fails, with no slack."""
    ring, nodes = make(True, origin=origin,
                       location=' s3_cache_freshness strict;')
    with Load(nodes, 'bkt', SEED + 12, timeout_s=4 * SLACK_S, clients=8,
              lists=True, behind=Node('origin', Behind(origin)),
              behind_share=1) as load:
        load.torment(LENGTH_S, Faults(load, ring, nodes, SEED + 1).named())
    load.read_all()
    load.must_be_linear(hits=0)
    assert load.count('REVALIDATED') > 100
