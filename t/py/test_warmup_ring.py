# SPDX-License-Identifier: Apache-2.0
"""Warm-ups of a ring: every node fetches what it owns."""

import collections

import pytest

import raw_http
from lib import wait
from origin.objects import pattern
from peer_reads import KIB, make_cluster                # noqa: F401 (fixture)
from test_coherence import ring
from warmups import HTTP, SERVER, ended, gets, numbers, post, target, warm


def fill(origin, count, size):
    made = {}
    for i in range(count):
        made[f'k{i}'] = pattern(size + i, i)
        origin.put('bkt', f'k{i}', made[f'k{i}'])
    return made


@pytest.fixture
def cluster(make_cluster, origin):
    return ring(make_cluster, origin, http=HTTP, server=SERVER)


def sent(cluster):
    """Bytes of bodies over links."""
    return sum(cluster.stat(i, 'sent_bytes') for i in range(3))


@pytest.mark.parametrize('count, size', [(300, 1000), (12, 700 * KIB)])
def test_owners_fetch_their_own(cluster, origin, count, size):
    made = fill(origin, count, size)
    before = sent(cluster)
    said = warm(cluster.nodes[1], bucket='bkt')
    assert numbers(said) == {'objects': count, 'fetched': count}
    assert said['fetched_bytes'] == sum(map(len, made.values()))
    assert sorted(n['node'] for n in said['nodes']) == cluster.names
    assert said['nodes'][0]['node'] == 'node1'
    assert said['unreachable'] == []
    assert all(n['fetched'] > 0 for n in said['nodes'])
    assert sum(n['fetched_bytes'] for n in said['nodes']) == (
        said['fetched_bytes'])
    # no byte went from node to node, none was asked for twice
    assert sent(cluster) == before
    asked = collections.Counter((r.key, r.header('range'))
                                for r in gets(origin) if r.status == 200
                                or r.header('range'))
    assert set(asked.values()) == {1}
    count = len(origin.requests)
    for node in cluster.nodes:
        for key, body in made.items():
            answer = raw_http.ask(node.port(), 'GET', target(key))
            assert answer.body == body
            assert answer['X-Tier'] in ('ram', 'peer', 'mirror'), (
                key, answer['X-Tier'])
    assert len(gets(origin)) == len([
        r for r in origin.requests[:count] if r.key and r.method == 'GET'])
    said = warm(cluster.nodes[0], bucket='bkt', mode='check')
    assert numbers(said) == {'objects': len(made), 'cached': len(made)}
    assert said['cached_bytes'] == sum(map(len, made.values()))


def test_check_and_evict_mean_all_nodes(cluster, origin):
    fill(origin, 30, 100 * KIB)
    said = warm(cluster.nodes[0], bucket='bkt', mode='check')
    assert numbers(said) == {'objects': 30, 'missing': 30}
    assert not gets(origin)
    warm(cluster.nodes[0], bucket='bkt')
    said = warm(cluster.nodes[2], bucket='bkt', prefix='k1', mode='evict')
    assert numbers(said) == {'objects': 11, 'evicted': 11}
    said = warm(cluster.nodes[1], bucket='bkt', mode='check')
    assert numbers(said) == {'objects': 30, 'cached': 19, 'missing': 11}


def test_a_node_that_is_away_is_named(cluster, origin):
    fill(origin, 60, 1000)
    cluster.nodes[2].kill_all()
    said = warm(cluster.nodes[0], bucket='bkt')
    assert said['objects'] == 60
    assert said['unreachable'] == ['node2']
    assert said['fetched'] + said['failed'] == 60 and said['fetched'] > 20


def test_a_node_dies_meanwhile(cluster, origin):
    made = fill(origin, 600, 1000)
    rule = origin.on(when=lambda r: bool(r.key), head_delay_s=0.01)
    number = post(cluster.nodes[0], bucket='bkt', concurrency='4')
    wait.until(lambda: len(gets(origin)) > 50, 'it to begin')
    cluster.nodes[1].kill_worker()
    cluster.nodes[2].kill_worker()
    origin.off(rule)
    said = ended(cluster.nodes[0], number)
    assert said['objects'] == 600
    assert said['fetched'] + said['cached'] == 600, said
    for key, body in made.items():
        assert raw_http.ask(cluster.nodes[0].port(), 'GET',
                            target(key)).body == body
