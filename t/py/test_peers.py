# SPDX-License-Identifier: Apache-2.0
"""A ring of nodes: any of them answers for all, and each object is fetched
from the origin once."""

import random

import pytest

from flash_reads import Objects
from lib import tls
from peer_reads import make_cluster, stopped

__all__ = ['make_cluster']


def test_any_node_answers_for_all(origin, make_cluster):
    cluster = make_cluster(origin)
    mine = Objects(origin, 60, (0, 65_536))
    for node in cluster.nodes:
        found = mine.fetch(node)
        assert set(found) <= {'origin', 'peer', 'ram'}
    assert len(origin.requests) == 60


def test_large_objects_are_spread_and_exact(origin, make_cluster):
    cluster = make_cluster(origin)
    mine = Objects(origin, 6, (300_000, 3_000_000))
    for node in cluster.nodes:
        mine.fetch(node)
    blocks = sum(-(-len(b) // 65536) for b in mine.bodies.values())
    assert len(origin.requests) <= blocks + 6
    rng = random.Random(5)
    for _ in range(60):
        target = rng.choice(mine.targets)
        size = len(mine.bodies[target])
        first = rng.randrange(size)
        mine.get(rng.choice(cluster.nodes), target,
                 (first, min(size - 1, first + rng.randrange(400_000))))
    assert len(origin.requests) <= blocks + 6


def test_a_dead_node_costs_nobody_an_answer(origin, make_cluster):
    cluster = make_cluster(origin)
    mine = Objects(origin, 60, (0, 100_000))
    mine.fetch(cluster.nodes[0])
    cluster.nodes[1].kill_all()
    more = Objects(origin, 60, (0, 100_000), seed=2)
    for _ in range(2):
        mine.fetch(cluster.nodes[0])
        more.fetch(cluster.nodes[2])
    cluster.nodes[1].start()
    mine.fetch(cluster.nodes[1])


def test_what_the_owner_has_is_a_hit(origin, make_cluster):
    cluster = make_cluster(origin)
    for size in (5_000, 0):
        key = cluster.key_of(0)
        origin.put('bkt', key, b'x' * size)
        for node, seen in ((cluster.nodes[1], 'MISS'),
                           (cluster.nodes[2], 'HIT'),
                           (cluster.nodes[2], 'HIT')):
            answer = node.request(target=f'/bkt/{key}')
            assert (answer.status, len(answer.body)) == (200, size)
            assert answer.headers['X-Cache'] == seen
            assert answer.headers['X-Tier'] == 'peer'


def test_the_next_owner_is_asked_while_the_first_is_silent(
        origin, make_cluster):
    """With a time-out that would never come in this test."""
    cluster = make_cluster(
        origin, block='timeout 1h; connect_timeout 1h; hedge 100ms;')
    mine = Objects(origin, 30, (0, 100_000))
    for node in cluster.nodes:
        mine.fetch(node)                # links are there now, and RAM is warm
    with stopped(cluster.nodes[1]):
        mine.fetch(cluster.nodes[0])
        more = Objects(origin, 30, (0, 100_000), seed=2)
        more.fetch(cluster.nodes[2])
        hedges = [cluster.stat(i, 'hedges') for i in (0, 2)]
        assert min(hedges) > 0, hedges
        assert [cluster.stat(i, 'failures')['away'] for i in (0, 2)] == [0, 0]
    mine.fetch(cluster.nodes[1])


# --- TLS -------------------------------------------------------------------------

@pytest.mark.parametrize('secret', [None, 'a secret beside certificates'])
def test_links_by_mutual_tls(origin, make_cluster, authority, secret):
    cluster = make_cluster(origin, secret=secret, tls=lambda name: (
        *authority.issue((name,)), authority.cert))
    mine = Objects(origin, 40, (0, 65_536))
    for node in cluster.nodes:
        mine.fetch(node)
    assert len(origin.requests) == 40
    assert sum(cluster.stat(i, 'failures')['away'] for i in range(3)) == 0


@pytest.mark.parametrize('wrong', ['name', 'authority'])
def test_a_certificate_that_is_not_the_nodes(
        origin, make_cluster, authority, tmp_path, wrong):
    """node1 is not who it should be: the others do without it."""
    (tmp_path / 'other').mkdir()
    other = tls.Authority(tmp_path / 'other', 'other')

    def shown(name):
        if name != 'node1':
            return *authority.issue((name,)), authority.cert
        if wrong == 'name':
            return *authority.issue(('node9',)), authority.cert
        return *other.issue((name,)), other.cert

    cluster = make_cluster(origin, secret=None, tls=shown, vouch=False)
    mine = Objects(origin, 40, (0, 10_000))
    for node in (cluster.nodes[0], cluster.nodes[2]):
        mine.fetch(node)
    assert cluster.stat(1, 'served') == 0
    assert cluster.stat(2, 'served') > 0
