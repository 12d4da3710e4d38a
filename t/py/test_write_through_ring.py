# SPDX-License-Identifier: Apache-2.0
"""s3_cache_write_through in a ring: what was written through one node is read
through all of them without asking the origin for a byte of it; who owns it asks
the node that has it."""

import threading

import pytest

import raw_http
from lib import wait
from lib.nginx import s3_location
from origin.objects import pattern
from origin.scripted_origin import ScriptedOrigin
from peer_reads import BLOCK, MIB, fetches, get, make_cluster
from redis_nodes import Ring as redis_ring
from test_coherence import all_vouched, put, vouched
from test_redis import agree, server

__all__ = ['make_cluster']

ON = 's3_cache_write_through 10m;'


@pytest.fixture
def origin():
    with ScriptedOrigin() as started:
        started.bucket('bkt')
        yield started


@pytest.fixture
def cluster(make_cluster, origin):               # noqa: F811
    made = make_cluster(origin, location=ON, valid='200 206 1h',
                        workers=2, zone={'size': '128m'})
    all_vouched(made)
    return made


def through(node):
    return node.zone()['write_through']


def total(nodes, *path):
    def one(node):
        found = node.zone()
        for name in path:
            found = found[name]
        return found
    return sum(one(node) for node in nodes)


def write(nodes, writer, body, key='key', told=True):
    """...until all have heard that it is kept, which not all need to."""
    kept = through(writer)['kept']
    heard = total(nodes, 'write_through', 'heard')
    lifted = [n for n in nodes if n is not writer]
    assert put(writer, body, f'/bkt/{key}').status == 200
    wait.until(lambda: through(writer)['kept'] > kept,
               lambda: f'{through(writer)}')
    if told:
        wait.until(lambda: total(nodes, 'write_through', 'heard')
                   == heard + len(lifted),
                   lambda: f'{[through(n) for n in nodes]}')


def foreign(cluster, writer):
    """A key that the writer does not own."""
    return cluster.key_of((cluster.nodes.index(writer) + 1) % 3)


@pytest.mark.parametrize('size', [0, 1000, BLOCK, 5 * BLOCK + 7, 3 * MIB + 1])
def test_all_nodes_read_it_without_the_origin(cluster, origin, size):
    for writer in cluster.nodes:
        key = foreign(cluster, writer)
        body = pattern(size, 1)
        write(cluster.nodes, writer, body, key)
        origin.requests.clear()
        for node in cluster.nodes * 2:
            assert get(node, f'/bkt/{key}').body == body
        for node in cluster.nodes:
            if size > 10:
                answer = get(node, f'/bkt/{key}', {'Range': 'bytes=5-9'})
                assert answer.body == body[5:10]
            assert get(node, f'/bkt/{key}', method='HEAD').status == 200
        assert origin.requests == []


def test_stripes_are_read_from_who_wrote_them(cluster, origin):
    """A large object's stripes are owned by all nodes."""
    writer = cluster.nodes[0]
    body = pattern(6 * MIB + 11, 2)
    write(cluster.nodes, writer, body)
    origin.requests.clear()
    for node in reversed(cluster.nodes):
        assert get(node, '/bkt/key').body == body
    assert origin.requests == []
    assert total(cluster.nodes, 'peers', 'former_hits') > 0


def test_its_lifetime_is_that_of_the_writer(make_cluster,     # noqa: F811
                                            origin):
    cluster = make_cluster(origin, location='s3_cache_write_through 2s;',
                           valid='200 1h', workers=1)
    all_vouched(cluster)
    writer = cluster.nodes[0]
    key = foreign(cluster, writer)
    write(cluster.nodes, writer, b'written', key)
    for node in cluster.nodes:
        assert get(node, f'/bkt/{key}').body == b'written'
    origin.requests.clear()
    wait.until(lambda: [get(n, f'/bkt/{key}') for n in cluster.nodes]
               and any(r.method == 'HEAD' for r in origin.requests),
               'a revalidation')
    assert fetches(origin) == 0


@pytest.mark.parametrize('by', [0, 1, 2])
def test_the_next_write_is_read_by_all(cluster, origin, by):
    writer, other = cluster.nodes[0], cluster.nodes[by]
    key = foreign(cluster, writer)
    for n in range(4):
        write(cluster.nodes, writer, b'%d first' % n, key)
        for node in cluster.nodes:
            assert get(node, f'/bkt/{key}').body == b'%d first' % n
        assert put(other, b'%d second' % n, f'/bkt/{key}').status == 200
        for node in cluster.nodes * 2:
            assert get(node, f'/bkt/{key}').body == b'%d second' % n
        assert raw_http.ask(other.port(), 'DELETE', f'/bkt/{key}').status \
            == 204
        for node in cluster.nodes * 2:
            assert get(node, f'/bkt/{key}').status == 404


def test_a_write_elsewhere_while_it_is_being_kept(cluster, origin):
    writer, other = cluster.nodes[0], cluster.nodes[1]
    gate = origin.gate()
    rule = origin.on('bkt', 'key', method='HEAD', gate=gate, times=1,
                     object=origin.put('bkt', 'key', b'first'))
    assert put(writer, b'first').status == 200
    gate.wait_reached()
    assert put(other, b'second').status == 200
    gate.open()
    wait.until(lambda: through(writer)['kept'] == 1, 'the first')
    for node in cluster.nodes * 2:
        assert get(node, '/bkt/key').body == b'second'
    origin.off(rule)


def test_a_holder_that_has_lost_it_costs_a_read_from_the_origin(cluster,
                                                                origin):
    writer = cluster.nodes[0]
    key = foreign(cluster, writer)
    write(cluster.nodes, writer, b'written', key)
    writer.restart()
    all_vouched(cluster)
    origin.requests.clear()
    for node in cluster.nodes:
        assert get(node, f'/bkt/{key}').body == b'written'
    assert fetches(origin) == 1


def test_a_holder_that_is_gone_costs_a_read_from_the_origin(cluster, origin):
    writer = cluster.nodes[0]
    key = foreign(cluster, writer)
    write(cluster.nodes, writer, b'written', key)
    writer.kill_all()
    origin.requests.clear()
    for node in cluster.nodes[1:]:
        assert get(node, f'/bkt/{key}').body == b'written'
    assert 1 <= fetches(origin) <= 2


def test_writers_at_all_nodes(cluster, origin):
    """Whatever was kept where: who saw the last write reads it."""
    bodies = {}
    lock = threading.Lock()

    def run(i):
        node = cluster.nodes[i % 3]
        for n in range(12):
            body = pattern((n % 4) * BLOCK + 100, 100 * i + n)
            key = f'own{i}'
            assert put(node, body, f'/bkt/{key}').status == 200
            for reader in cluster.nodes:
                assert get(reader, f'/bkt/{key}').body == body
            with lock:
                bodies[key] = body

    threads = [threading.Thread(target=run, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(bodies) == 6


def test_with_redis_the_writer_does_not_throw_it_away(make_nginx, make_redis,
                                                      origin):
    """What another node owns is not kept there but for what it has written."""
    redis = make_redis()
    rings = redis_ring(make_nginx)
    nodes = []
    for name, member in (('a', 'weight=0'), ('b', '')):
        nodes.append(rings.make(
            name, server(redis), member=member,
            server=s3_location(origin.url, valid='200 1h', more=ON)))
        nodes[-1].pieces['http'] = nodes[-1].pieces['http'].replace(
            'secret "', 'handover 0; secret "')
        nodes[-1].start()
    a, b = nodes
    agree([a, b], 'a b')
    wait.until(lambda: vouched(a) and vouched(b), 'vouched')
    key = 'key'
    write([a, b], a, b'written', key)
    origin.requests.clear()
    asked = a.zone()['peers']['asked']
    for _ in range(4):
        assert get(a, f'/bkt/{key}')['X-Cache'] == 'HIT'
    assert a.zone()['peers']['asked'] == asked
    assert get(b, f'/bkt/{key}').body == b'written'
    assert origin.requests == []
    assert put(b, b'second', f'/bkt/{key}').status == 200
    for node in (a, b, a, b):
        assert get(node, f'/bkt/{key}').body == b'second'
    rings.close()
