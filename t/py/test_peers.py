# SPDX-License-Identifier: Apache-2.0
"""A ring of nodes: any of them answers for all, and each object is fetched
from the origin once."""

import random

import pytest

from flash_reads import Objects
from lib import tls
from peer_reads import make_cluster    # noqa: F401 (a fixture)


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

    cluster = make_cluster(origin, secret=None, tls=shown)
    mine = Objects(origin, 40, (0, 10_000))
    for node in (cluster.nodes[0], cluster.nodes[2]):
        mine.fetch(node)
    assert cluster.stat(1, 'served') == 0
    assert cluster.stat(2, 'served') > 0
