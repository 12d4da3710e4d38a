# SPDX-License-Identifier: Apache-2.0
"""Rings of 3 and 5 nodes, each on a machine (network namespace) of its own,
before a real Ceph RGW: every byte right through every node, each byte fetched
from the origin once, each node its share; and machines and links that fail
under load, which costs nobody an answer who asks another node.

What the origin was asked is counted by the relay: a process outside that all
requests to the RGW go through, since a namespace leads nowhere else. It knows
nothing of the module's own counters, and writes a line for each request.
"""

import collections
import concurrent.futures
import contextlib
import os
import random
import re
import signal

import pytest

from flash_reads import Load, Objects
from lib import netns, store, wait
from lib.ring import Ring
from origin.objects import pattern
from redis_nodes import agree
from test_ring_redis import settled

KIB, MIB = 1 << 10, 1 << 20
BLOCK, STRIPE = 64 * KIB, MIB
LARGE = f's3_cache_block_size {BLOCK};'
SIZES = (0, 1, 100, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK, STRIPE - 1, STRIPE,
         STRIPE + 1, 5 * STRIPE + 12_345, 40 * MIB)
STORE = dict(size='256m', segment='4m')
PATIENT = '    hedge 0;\n'    # what is counted must not be asked for twice
TIMES = '    timeout 1s;\n    connect_timeout 300ms;\n    retry 300ms;\n'


class Bucket:
    """A bucket of the RGW in place of a scripted origin."""

    def __init__(self, s3):
        self.s3 = s3

    def put(self, bucket, key, body):
        self.s3.put_object(Bucket=bucket, Key=key, Body=body)


@pytest.fixture
def make_ring(make_nginx, tmp_path, rgw):
    """make_ring(nodes=3, ...): a started Ring before the RGW, of blocks of 64
    KiB and stripes of 1 MiB. At the end nothing may be held in any node that
    still runs, and no node may have got a wrong answer from another. origin:
    another one than the RGW."""
    made = []

    def make(nodes=3, block='', location='', stores=(), start=True,
             origin=None, **more):
        try:
            ring = Ring(make_nginx, tmp_path, origin or rgw, nodes=nodes,
                        stores=stores,
                        block=f'    stripe {STRIPE};\n{TIMES}{block}',
                        location=LARGE + location, **more)
        except netns.Unavailable as e:
            pytest.skip(str(e))
        made.append(ring)
        if not start:
            return ring
        ring.start()
        if stores:
            for node in ring.nodes:
                store.wait_state(node)
        return ring

    yield make
    try:
        for ring in made:
            for node in ring.nodes:
                if node.child and node.child.poll() is None:
                    node.check_accounting()
                    assert node.zone()['peers']['failures']['wrong'] == 0
    finally:
        for ring in made:
            ring.close()


@pytest.fixture
def bucket(request, rgw_s3):
    """A bucket of this test, with the same name each time: with names, secret
    and addresses of the nodes, which are the same too, it decides who owns
    what."""
    name = re.sub('[^a-z0-9]+', '-', request.node.name)[-63:].strip('-')
    rgw_s3.create_bucket(Bucket=name)
    return name


def put_sizes(s3, bucket, sizes=SIZES):
    mine = Objects(Bucket(s3), 0, bucket=bucket)
    for size in sizes:
        mine.put(f'/{bucket}/s{size}', pattern(size, size))
    return mine


def spans(size, count=6):
    """Ranges of an object: at its ends, over the edges of blocks and stripes,
    and anywhere."""
    rng = random.Random(size)
    found = [(0, 0), (size - 1, size - 1), (size // 2, size - 1)]
    for edge in (BLOCK, STRIPE, 2 * STRIPE, size // BLOCK * BLOCK):
        if 0 < edge < size:
            found.append((edge - 1, edge))
    for _ in range(count):
        first = rng.randrange(size)
        found.append((first, min(size - 1,
                                 first + rng.randrange(3 * STRIPE))))
    return found


# --- every byte -----------------------------------------------------------

@pytest.mark.parametrize('nodes, stores', [(3, ()), (3, (STORE,)), (5, ())])
def test_every_byte_through_every_node(
        make_ring, rgw_s3, bucket, nodes, stores):
    ring = make_ring(nodes, stores=stores, block=PATIENT)
    mine = put_sizes(rgw_s3, bucket)
    tiers = set()
    for node in ring.nodes:
        tiers |= set(mine.fetch(node))
    assert tiers == {'origin', 'peer', 'ram'}, tiers
    for i, target in enumerate(mine.targets):
        size = len(mine.bodies[target])
        for j, span in enumerate(spans(size) if size else ()):
            mine.get(ring.nodes[(i + j) % nodes], target, span)
    ring.check_once(mine.bodies, BLOCK)
    for i in range(nodes):
        assert ring.stat(i, 'served') > 0 and ring.stat(i, 'asked') > 0


@pytest.mark.parametrize('nodes', [3, 5])
def test_ranges_of_what_nobody_has_yet(make_ring, rgw_s3, bucket, nodes):
    """Whoever is asked, for whatever part: only the blocks that are needed
    are fetched, each once."""
    ring = make_ring(nodes, block=PATIENT)
    sizes = (BLOCK + 1, STRIPE + 1, 5 * STRIPE + 12_345)
    mine = put_sizes(rgw_s3, bucket, sizes)
    wanted = [(t, span) for t in mine.targets
              for span in spans(len(mine.bodies[t]))]
    random.Random(nodes).shuffle(wanted)
    for i, (target, span) in enumerate(wanted):
        mine.get(ring.nodes[i % nodes], target, span)
    ring.check_once(mine.bodies, BLOCK, all_of_it=False)


def test_flash_of_the_owners_outlives_all_of_them(make_ring, rgw_s3, bucket):
    """All nodes are killed at once. What had reached flash is read from there,
    whoever is asked; the origin gives the rest."""
    ring = make_ring(3, stores=(STORE,), block=PATIENT)
    mine = Objects(Bucket(rgw_s3), 40, (1000, 300_000), bucket=bucket)
    for node in ring.nodes:
        mine.fetch(node)
    ring.check_once(mine.bodies, BLOCK)
    wait.until(lambda: sum(store.total(store.stores(n), 'records')
                           for n in ring.nodes) >= len(mine.targets),
               'all of it is on flash')
    ring.cold()
    for node in ring.nodes:
        store.wait_state(node)
    tiers = mine.fetch(ring.nodes[0])
    assert tiers.get('flash') and tiers.get('peer')
    for node in ring.nodes:
        mine.fetch(node)
    assert sum(store.total(store.stores(n), 'reads', 'hits')
               for n in ring.nodes) > 0
    assert max(count for t, body in mine.bodies.items() for count in
               collections.Counter(ring.fetched(t, len(body), BLOCK)).values()
               ) <= 2


# --- a storm --------------------------------------------------------------

def storm(ring, mine, clients=3):
    """All nodes are asked for all objects by `clients` at once, and the origin
    stands still until they are all waiting."""
    wanted = [(node, target) for target in mine.targets
              for node in ring.nodes for _ in range(clients)]
    random.Random(1).shuffle(wanted)
    before = [(node.sent, node.busy()) for node in ring.nodes]
    held = ring.relay.worker_pids()
    each = len(wanted) // len(ring.nodes)
    with concurrent.futures.ThreadPoolExecutor(len(wanted)) as pool:
        for pid in held:
            ring.relay.hold(pid)
        try:
            reads = [pool.submit(mine.get, *one) for one in wanted]
            for node, (sent, busy) in zip(ring.nodes, before):
                wait.until(lambda: (node.sent - sent == each
                                    and node.busy() - busy >= each)
                           or any(r.done() and r.exception() for r in reads),
                           f'{each} clients are waiting', 30)
        finally:
            for pid in held:
                ring.relay.go_on(pid)
        return [read.result() for read in reads]


@pytest.mark.parametrize('nodes, stores', [(3, (STORE,)), (5, ())])
def test_a_storm_fetches_each_block_once(
        make_ring, rgw_s3, bucket, nodes, stores):
    ring = make_ring(nodes, stores=stores, block=PATIENT)
    mine = Objects(Bucket(rgw_s3), 10, (0, 2 * BLOCK), bucket=bucket)
    more = put_sizes(rgw_s3, bucket, (STRIPE + 1, 4 * STRIPE + 99))
    mine.bodies.update(more.bodies)
    storm(ring, mine)
    ring.check_once(mine.bodies, BLOCK)
    # by the nodes' own account, too
    assert sum(node.zone()['peers']['served'] for node in ring.nodes) > 0
    for node in ring.nodes:
        mine.fetch(node)
    ring.check_once(mine.bodies, BLOCK)


# --- shares ---------------------------------------------------------------

SHARES = {
    'alike': [1, 1, 1, 0], '1:2:1': [1, 2, 1, 0],
    'five': [1, 2, 3, 4, 5, 0],
}


@pytest.mark.parametrize('weights', SHARES.values(), ids=SHARES)
def test_each_node_has_its_share(make_ring, weights):
    """The last one owns nothing, so it must ask, and who answers is the owner.
    Names, secret, origin and keys are always the same: so are the shares."""
    count = 900
    ring = make_ring([{'weight': w} for w in weights])
    asker = ring.nodes[-1]

    def head(i):
        assert asker.request('HEAD', f'/no-such-bucket/{i}').status == 404

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(head, range(count)))
    found = [ring.stat(i, 'served') for i in range(len(weights))]
    assert sum(found) == count
    for served, weight in zip(found, weights):
        share = weight / sum(weights)
        sigma = (count * share * (1 - share)) ** 0.5
        assert abs(served - count * share) <= 3 * sigma, found


@pytest.mark.parametrize('nodes', [3, 5])
def test_all_nodes_agree_on_the_owner(make_ring, rgw_s3, bucket, nodes):
    ring = make_ring(nodes)
    for i in range(12):
        target = f'/no-such-bucket/agree{i}'
        owner = ring.owner(target)
        for j, node in enumerate(ring.nodes):
            asked = ring.stat(j, 'asked')
            served = ring.stat(owner, 'served')
            assert node.request('HEAD', target).status == 404
            assert ring.stat(j, 'asked') - asked == (j != owner)
            assert ring.stat(owner, 'served') - served == (j != owner)


# --- machines and links that fail, under load -----------------------------

VICTIM = 1
# One answer may wait for a node that has fallen silent, once for the object
# and once for each further stripe, and for the next owner in the same way.
# Anything that is not bounded by these times would last for as long as the
# client does (Node.request: 30 s).
BOUND_S = 3 * 2 * (1.0 + 0.3) + 5


class Fault:
    """What is done to the victim, and undone."""

    def __init__(self, ring):
        self.ring, self.net = ring, ring.net
        self.node = ring.nodes[VICTIM]

    def kill(self):
        self.node.kill_all()

    def start(self):
        self.node.start()

    def stop(self):
        """Master and workers stand still, their connections do not."""
        self.stopped = [self.node.pid] + self.node.worker_pids(leaving=True)
        for pid in self.stopped:
            os.kill(pid, signal.SIGSTOP)

    def go_on(self):
        for pid in self.stopped:
            os.kill(pid, signal.SIGCONT)

    def cut(self):
        self.net.cut(VICTIM)

    def unplug(self):
        self.net.unplug(VICTIM)

    def heal(self):
        self.net.heal(VICTIM)


FAULTS = {
    'kill': ('kill', 'start'), 'stop': ('stop', 'go_on'),
    'cut': ('cut', 'heal'), 'unplug': ('unplug', 'heal'),
}


@contextlib.contextmanager
def loads(ring, mine, clients=3, nodes=None):
    """Clients at all nodes but the victim (or at these)."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Load(ring.nodes[i], mine, clients))
               for i in nodes or range(len(ring.nodes))
               if nodes or i != VICTIM]


def answers(running, count):
    for load in running:
        load.wait_answers(count)


def others(ring):
    return [n for i, n in enumerate(ring.nodes) if i != VICTIM]


def is_asked_again(ring, running):
    """The others have noticed that the victim is well."""
    was = ring.stat(VICTIM, 'served')

    def asked():
        answers(running, 1)
        return ring.stat(VICTIM, 'served') >= was + 3

    wait.until(asked, 'it is asked again', 30)


def told(ring, record_property, what, bound_s=BOUND_S):
    """The longest that a client has waited, which is bounded."""
    longest = max(node.longest for node in others(ring))
    record_property(f'longest_s {what}', round(longest, 3))
    print(f'{what}: the longest answer took {longest:.3f} s')
    assert longest < bound_s
    for node in others(ring):
        node.longest = 0.0


def loaded(make_ring, rgw_s3, bucket, nodes=3, **more):
    """A ring, and objects of one block to a few stripes of which it has some
    already."""
    ring = make_ring(nodes, **more)
    mine = Objects(Bucket(rgw_s3), 30, (0, 200_000), bucket=bucket)
    large = Objects(Bucket(rgw_s3), 4, (STRIPE, 3 * STRIPE), seed=2,
                    bucket=bucket)
    mine.bodies.update(large.bodies)
    mine.fetch(ring.nodes[0], mine.targets[::2])
    return ring, mine


@pytest.mark.parametrize('nodes, fault', [(3, f) for f in FAULTS]
                         + [(5, 'kill'), (5, 'cut')])
def test_a_node_fails_and_returns_under_load(
        make_ring, rgw_s3, bucket, record_property, nodes, fault):
    ring, mine = loaded(make_ring, rgw_s3, bucket, nodes)
    does, undoes = FAULTS[fault]
    with loads(ring, mine) as running:
        answers(running, 10)
        told(ring, record_property, 'before')
        for _ in range(2):
            it = Fault(ring)
            getattr(it, does)()
            answers(running, 40)
            getattr(it, undoes)()
            is_asked_again(ring, running)
    told(ring, record_property, fault)
    for node in ring.nodes:
        mine.fetch(node)


def test_flash_owner_fails_and_returns_under_load(
        make_ring, rgw_s3, bucket, record_property):
    ring, mine = loaded(make_ring, rgw_s3, bucket, stores=(STORE,),
                        zone={'size': '8m'})
    with loads(ring, mine) as running:
        for does, undoes in FAULTS.values():
            it = Fault(ring)
            getattr(it, does)()
            answers(running, 15)
            getattr(it, undoes)()
            is_asked_again(ring, running)
    told(ring, record_property, 'with flash')


def test_two_of_five_fail_at_once(make_ring, rgw_s3, bucket, record_property):
    """One is killed, one is cut off: three are left."""
    ring, mine = loaded(make_ring, rgw_s3, bucket, 5)
    with loads(ring, mine, nodes=[0, 3, 4]) as running:
        answers(running, 10)
        ring.nodes[1].kill_all()
        ring.net.cut(2)
        answers(running, 40)
        ring.nodes[1].start()
        ring.net.heal(2)
        is_asked_again(ring, running)
    told(ring, record_property, 'two of five')
    for node in ring.nodes:
        mine.fetch(node)


def test_a_slow_link_under_load(make_ring, rgw_s3, bucket, record_property):
    """Its own clients wait for their bytes, too, but all get them. How long
    is for the link to say: 6 clients share it."""
    ring, mine = loaded(make_ring, rgw_s3, bucket)
    with loads(ring, mine) as running:
        for rate in (200, 30):
            ring.net.slow(VICTIM, f'{rate}mbit')
            answers(running, 10)
            for target in mine.targets[:4]:
                mine.get(ring.nodes[VICTIM], target)
            told(ring, record_property, f'{rate} Mbit/s', BOUND_S + 6 * max(
                map(len, mine.bodies.values())) * 8 / (rate * 1e6))
        ring.net.easy(VICTIM)
        is_asked_again(ring, running)


def test_packets_get_lost_under_load(
        make_ring, rgw_s3, bucket, record_property):
    ring, mine = loaded(make_ring, rgw_s3, bucket)
    with loads(ring, mine, nodes=[0, 1, 2]) as running:
        ring.net.lose(VICTIM)
        answers(running, 30)
        assert ring.net.dropped(VICTIM) > 0
        told(ring, record_property, 'loss')
        ring.net.easy(VICTIM)
        is_asked_again(ring, running)


def test_a_link_that_flaps_under_load(
        make_ring, rgw_s3, bucket, record_property):
    """It is there for three answers, gone for three, again and again."""
    ring, mine = loaded(make_ring, rgw_s3, bucket)
    with loads(ring, mine) as running:
        for _ in range(12):
            ring.net.cut(VICTIM)
            answers(running[:1], 3)
            ring.net.heal(VICTIM)
            answers(running[1:], 3)
        is_asked_again(ring, running)
    told(ring, record_property, 'flaps')
    for node in ring.nodes:
        mine.fetch(node)


# --- members by Redis -----------------------------------------------------------

def by_redis(make_ring, redis, nodes, first):
    """A ring of so many nodes of which the first ones are started."""
    ring = make_ring(nodes, block=PATIENT, redis=redis, start=False)
    for node in ring.nodes[:first]:
        node.start()
    agree(ring.nodes[:first], ' '.join(ring.names[:first]))
    return ring, settled(ring.nodes[:first])


def test_nodes_join_and_go_and_nothing_is_fetched_twice(
        make_ring, rgw_s3, bucket, make_redis):
    """Four nodes, then five, one of them drained and one dead: who owned it
    before is asked, so the origin is not."""
    ring, before = by_redis(make_ring, make_redis(), 5, 4)
    mine = put_sizes(rgw_s3, bucket, SIZES[:-1])
    for node in ring.nodes[:4]:
        mine.fetch(node)
    ring.check_once(mine.bodies, BLOCK)
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(Load(node, mine, clients=1))
                 for node in ring.nodes[:4]]
        ring.nodes[4].start()
        agree(ring.nodes, ' '.join(ring.names))
        settled(ring.nodes, before)
        for load in loads:
            load.wait_answers(10)
    for node in ring.nodes:
        mine.fetch(node)
    ring.check_once(mine.bodies, BLOCK)
    served = [ring.stat(i, 'served') for i in range(5)]
    assert min(served) > 0, served
