# SPDX-License-Identifier: Apache-2.0
"""The contract of writes (test_linear.py, test_linear_ring.py) where what is
written is kept: bytes that no origin was asked for are never older, nor another
object's, whatever fails meanwhile."""

import pytest

from flash_reads import make_flash                 # noqa: F401 (fixture)
from linear_load import SECONDS, SEED, Load, Node
from test_linear import (DEADLINE, PARTS, TIMES, check, crowd, faults_of, make,
                         origin, some_fail)
from test_linear_ring import DEADLINE as RING_DEADLINE
from test_linear_ring import (LENGTH_S, LINGER_S, SLACK_S, STORE, Faults,
                              ready)
from test_linear_ring import make as make_nodes
from test_ring import Bucket, make_ring

__all__ = ['make', 'origin', 'make_ring', 'ready']

# far longer than any load takes; PARTS has some that are too large
ON = ' s3_cache_write_through 1h max=4m;'


@pytest.fixture
def ready_through(make_ring, make_redis, bucket):   # noqa: F811
    """As `ready` of test_linear_ring.py."""
    making = make_nodes.__wrapped__(make_ring, make_redis)
    return ready.__wrapped__(making, bucket)


def kept(nodes):
    return sum(n.zone()['write_through']['kept'] for n in nodes)


@pytest.mark.deadline(DEADLINE)
def test_before_a_real_origin(make, rgw, rgw_s3, bucket):     # noqa: F811
    nginx = make(rgw, location=ON)
    with Load([Node('node0', nginx)], bucket, SEED + 20,
              part_sizes=PARTS) as load:
        load.torment(SECONDS, crowd(Bucket(rgw_s3), nginx, bucket))
    assert kept([nginx]) > 50
    check(make, nginx, load)


@pytest.mark.deadline(DEADLINE)
def test_an_origin_that_fails_and_workers_that_die(make, origin):  # noqa: F811
    nginx = make(origin, location=TIMES + ON)
    some_fail(origin, SEED)
    with Load([Node('node0', nginx)], 'bkt', SEED + 21) as load:
        load.torment(SECONDS, {**faults_of(nginx, SEED),
                               **crowd(origin, nginx)})
    origin.off()
    assert kept([nginx]) > 20
    check(make, nginx, load)


@pytest.mark.deadline(RING_DEADLINE)
@pytest.mark.parametrize('by_redis, stores', [
    (False, ()), (True, (STORE,))], ids=['listed', 'by Redis, with flash'])
def test_three_nodes(ready_through, bucket, by_redis, stores):
    ring, nodes = ready_through(by_redis, stores, location=ON)
    with Load(nodes, bucket, SEED + 22, part_sizes=PARTS) as load:
        load.run(SECONDS)
    load.read_all()
    load.must_be_linear()
    assert kept(ring.nodes) > 50
    assert sum(n.zone()['peers']['former_hits'] for n in ring.nodes) > 0


@pytest.mark.deadline(RING_DEADLINE)
@pytest.mark.parametrize('by_redis, stores', [
    (False, ()), (True, ())], ids=['listed', 'by Redis'])
def test_three_nodes_that_fail(ready_through, bucket, by_redis, stores):
    ring, nodes = ready_through(by_redis, stores, location=ON)
    with Load(nodes, bucket, SEED + 23, part_sizes=PARTS,
              timeout_s=4 * SLACK_S, clients=8) as load:
        load.torment(LENGTH_S, Faults(load, ring, nodes, SEED).named())
    load.read_all()
    load.must_be_linear(hits=0.03, slack_s=SLACK_S, linger_s=LINGER_S)


@pytest.mark.deadline(RING_DEADLINE)
def test_three_nodes_that_die_and_return(ready_through, bucket):
    """All of them reach each other, or are not there: nobody is ever late."""
    ring, nodes = ready_through(True, (), location=ON)
    with Load(nodes, bucket, SEED + 24, part_sizes=PARTS,
              timeout_s=4 * SLACK_S, clients=8) as load:
        load.torment(LENGTH_S,
                     Faults(load, ring, nodes, SEED + 3).named(parts=False))
    load.read_all()
    load.must_be_linear(hits=0.03)
