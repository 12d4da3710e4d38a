# SPDX-License-Identifier: Apache-2.0
"""Writes through any node of a ring: no node reads the older version after the
client was told that its write succeeded."""

import threading

import pytest

import raw_http
from event_tells import TOKEN, told
from lib import events, wait
from lib.nginx import s3_location
from origin.objects import pattern
from origin.scripted_origin import ScriptedOrigin
from peer_reads import LARGE, MIB, get, make_cluster, stopped
from redis_nodes import Ring as redis_ring
from redis_nodes import agree, server

__all__ = ['make_cluster']

HOUR = '200 206 404 1h'
QUICK = '    connect_timeout 300ms; timeout 300ms; retry 200ms;\n'


@pytest.fixture
def origin():
    with ScriptedOrigin() as started:
        started.bucket('bkt')
        yield started


def put(node, body, target='/bkt/key', method='PUT', headers=()):
    return raw_http.ask(node.port(), method, target, headers, body,
                        close=False)


def vouched(node):
    return node.zone()['ring']['vouched']


def all_vouched(cluster):
    cluster.wait_vouched()


def ring(make_cluster, origin, block='', valid=HOUR, **more):
    """Three nodes that keep what they read for an hour."""
    cluster = make_cluster(origin, block=block, valid=valid, workers=2,
                           **more)
    all_vouched(cluster)
    return cluster


def lifted(cluster, target):
    """All nodes have learnt that a write is over, which its client is not kept
    waiting for: until then they ask the origin, and keep nothing."""
    for node in cluster.nodes:
        wait.until(lambda: get(node, target)['X-Cache'] != 'BYPASS',
                   'the end of a write')


def unsure(cluster):
    return sum(n.zone()['writes']['unsure_reads'] for n in cluster.nodes)


# --- who reads after a write -------------------------------------------------

@pytest.mark.parametrize('size', [0, 1000, 3 * MIB])
def test_every_node_reads_what_was_written_last(make_cluster, origin, size):
    cluster = ring(make_cluster, origin)
    version = 0
    for turn in range(3):
        for writer in cluster.nodes:
            version += 1
            body = pattern(size, version) + b'%d' % version
            assert put(writer, body).status == 200
            for _ in range(2):
                for node in cluster.nodes:
                    assert get(node, '/bkt/key').body == body
    # and it is kept: nothing more is asked
    lifted(cluster, '/bkt/key')
    origin.requests.clear()
    for node in cluster.nodes:
        assert get(node, '/bkt/key').body == body
    assert not origin.requests
    assert unsure(cluster) == 0


def test_a_delete_is_seen_by_all(make_cluster, origin):
    cluster = ring(make_cluster, origin)
    for writer in cluster.nodes:
        assert put(writer, b'here').status == 200
        for node in cluster.nodes:
            assert get(node, '/bkt/key').body == b'here'
        assert put(writer, b'', method='DELETE').status == 204
        for node in cluster.nodes:
            assert get(node, '/bkt/key').status == 404


def test_what_was_absent_is_found_when_it_was_written(make_cluster, origin):
    cluster = ring(make_cluster, origin)
    for node in cluster.nodes:
        assert get(node, '/bkt/key').status == 404
    assert put(cluster.nodes[0], b'here').status == 200
    for node in cluster.nodes:
        assert get(node, '/bkt/key').body == b'here'


def test_many_keys_of_one_request(make_cluster, origin):
    cluster = ring(make_cluster, origin)
    keys = [f'k{n}' for n in range(300)]
    for key in keys:
        origin.put('bkt', key, b'x')
    for n, key in enumerate(keys):
        assert get(cluster.nodes[n % 3], f'/bkt/{key}').status == 200
    doc = '<Delete>%s</Delete>' % ''.join(
        f'<Object><Key>{key}</Key></Object>' for key in keys)
    gate = origin.gate()
    origin.on('bkt', '', method='POST', gate=gate)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(
        put(cluster.nodes[1], doc.encode(), '/bkt?delete', 'POST')))
    thread.start()
    gate.wait_reached()
    for key in keys:
        origin.delete('bkt', key)
    gate.open()
    thread.join()
    assert answers
    for n, key in enumerate(keys):
        assert get(cluster.nodes[(n + 1) % 3], f'/bkt/{key}').status == 404


def test_a_bucket_is_dropped_at_all_nodes(make_cluster, origin):
    cluster = ring(make_cluster, origin)
    for turn in range(3):
        for n in range(10):
            origin.put('bkt', f'k{n}', b'%d' % turn)
        assert put(cluster.nodes[turn], b'<Tagging/>',
                   '/bkt?tagging').status in (200, 204, 501)
        for node in cluster.nodes:
            for n in range(10):
                assert get(node, f'/bkt/k{n}').body == b'%d' % turn
    # the nodes have counted differently by now, and still have one ring
    assert put(cluster.nodes[0], b'', '/bkt?tagging', 'DELETE').status < 600
    lifted(cluster, '/bkt/another')
    origin.requests.clear()
    for n in range(10):
        for node in cluster.nodes:
            assert get(node, f'/bkt/k{n}').status == 200
    assert len(origin.requests) == 10


def test_a_mirror_is_dropped(make_cluster, origin):
    cluster = ring(make_cluster, origin, block='    mirror 20% 1h;\n')
    # not by a write: who learns late that it is over keeps no mirror for a while
    origin.put('bkt', 'key', pattern(1000, 1))
    for node in cluster.nodes:
        for _ in range(60):
            get(node, '/bkt/key')
    assert sum(n.zone()['mirrors']['hit'] for n in cluster.nodes) > 0
    for version, writer in enumerate(cluster.nodes, 2):
        body = pattern(1000, version)
        assert put(writer, body).status == 200
        for node in cluster.nodes:
            for _ in range(60):
                assert get(node, '/bkt/key').body == body


# --- while it is written -----------------------------------------------------

def test_while_it_is_written_all_nodes_ask_the_origin(make_cluster, origin):
    cluster = ring(make_cluster, origin)
    assert put(cluster.nodes[0], b'old').status == 200
    for node in cluster.nodes:
        assert get(node, '/bkt/key').body == b'old'
    gate = origin.gate(at=299_000)
    rule = origin.on('bkt', 'key', method='PUT', body_gate=gate)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(
        put(cluster.nodes[0], b'x' * 300_000)))
    thread.start()
    gate.wait_reached()
    for _ in range(2):
        for node in cluster.nodes:
            answer = get(node, '/bkt/key')
            assert (answer.body, answer['X-Cache']) == (b'old', 'BYPASS')
    gate.open()
    thread.join()
    origin.off(rule)
    assert answers[0].status == 200
    for node in cluster.nodes:
        assert get(node, '/bkt/key').body == b'x' * 300_000
    wait.until(lambda: all(get(n, '/bkt/key')['X-Cache'] == 'HIT'
                           for n in cluster.nodes), 'it to be kept again')


def test_a_fill_of_before_is_not_shared_after_the_write(make_cluster, origin):
    """One that streams from its owner to another node goes on, alone."""
    cluster = ring(make_cluster, origin)
    old, new = pattern(3 * MIB, 1), pattern(3 * MIB, 2)
    origin.put('bkt', 'key', old)
    gates = [origin.gate(at=10_000)]
    rule = origin.on('bkt', 'key', method='GET', gate=gates[0])
    answers = {}

    def read(i):
        try:
            answers[i] = get(cluster.nodes[i], '/bkt/key').body
        except raw_http.Malformed:
            answers[i] = None          # the rest of it is no more

    threads = [threading.Thread(target=read, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    gates[0].wait_reached()
    origin.off(rule)
    assert put(cluster.nodes[2], new).status == 200
    for node in cluster.nodes:
        assert get(node, '/bkt/key').body == new
    gates[0].open()
    for thread in threads:
        thread.join()
    assert all(body in (old, new, None) for body in answers.values())
    for node in cluster.nodes:
        assert get(node, '/bkt/key').body == new


def test_an_outcome_that_nobody_knows_is_so_at_all_nodes(make_cluster, origin):
    cluster = ring(make_cluster, origin)
    origin.put('bkt', 'key', b'old')
    for node in cluster.nodes:
        assert get(node, '/bkt/key').body == b'old'
    rule = origin.on('bkt', 'key', method='PUT', drop=True)
    assert put(cluster.nodes[0], b'new').status == 502
    origin.off(rule)
    for body in (b'old', b'new'):
        origin.put('bkt', 'key', body)
        for node in cluster.nodes:
            answer = get(node, '/bkt/key')
            assert (answer.body, answer['X-Cache']) == (body, 'BYPASS')


# --- a node that cannot be told ----------------------------------------------

def test_a_node_that_hangs_learns_of_the_write_when_it_returns(
        make_cluster, origin):
    cluster = ring(make_cluster, origin,
                   block=QUICK + '    staleness 1s;\n')
    away = cluster.nodes[2]
    assert put(cluster.nodes[0], b'old').status == 200
    for node in cluster.nodes:
        assert get(node, '/bkt/key').body == b'old'
    with stopped(away):
        assert put(cluster.nodes[0], b'new').status == 200
        assert cluster.nodes[0].zone()['writes']['untold_nodes'] > 0
        for node in cluster.nodes[:2]:
            assert get(node, '/bkt/key').body == b'new'
    # within the time of `staleness` it may have the older one still
    wait.until(lambda: get(away, '/bkt/key').body == b'new', 'the new one')
    all_vouched(cluster)
    for _ in range(3):
        for node in cluster.nodes:
            assert get(node, '/bkt/key').body == b'new'


def test_while_a_node_is_away_what_is_kept_is_validated(make_cluster, origin):
    cluster = ring(make_cluster, origin,
                   block=QUICK + '    staleness 500ms;\n')
    keys = [f'/bkt/k{n}' for n in range(6)]
    for key in keys:
        assert put(cluster.nodes[0], b'old', key).status == 200
        for node in cluster.nodes:
            assert get(node, key).body == b'old'
    cluster.nodes[1].kill_all()
    here = [cluster.nodes[0], cluster.nodes[2]]
    wait.until(lambda: not any(vouched(node) for node in here),
               'the others to notice')

    # a node that is not heard may have written: so it may behind their backs
    def seen(body):
        return all(get(node, key).body == body for node in here
                   for key in keys)

    for key in keys:
        origin.put('bkt', key[5:], b'new')
    wait.until(lambda: seen(b'new'), 'the new version')
    assert unsure(Away(here)) > 0

    # it is back: all is as before; a busy machine may be silent for so long
    # that they doubt each other once more
    cluster.nodes[1].start()
    all_vouched(cluster)

    def all_hit():
        origin.requests.clear()
        answers = [get(node, key) for key in keys for node in cluster.nodes]
        assert all(answer.body == b'new' for answer in answers)
        return not origin.requests and all(answer['X-Cache'] == 'HIT'
                                           for answer in answers)

    wait.until(all_hit, 'hits of all at all nodes')


class Away:
    def __init__(self, nodes):
        self.nodes = nodes


def test_a_write_goes_on_without_a_dead_node(make_cluster, origin):
    cluster = ring(make_cluster, origin, block=QUICK)
    cluster.nodes[1].kill_all()
    for version in range(5):
        body = b'%d' % version
        assert put(cluster.nodes[version % 2 * 2], body).status == 200
        for node in (cluster.nodes[0], cluster.nodes[2]):
            assert get(node, '/bkt/key').body == body


@pytest.mark.parametrize('how', ['worker', 'reload'])
def test_workers_come_and_go(make_cluster, origin, how):
    cluster = ring(make_cluster, origin)
    for version in range(6):
        body = b'%d' % version
        node = cluster.nodes[version % 3]
        if how == 'reload':
            node.reload()
        else:
            node.kill_worker(node.worker_pids()[version % 2])
        writer = cluster.nodes[(version + 1) % 3]
        assert put(writer, body).status == 200
        for node in cluster.nodes:
            assert wait.until(lambda n=node: get(n, '/bkt/key'),
                              'an answer').body == body


# --- with Redis --------------------------------------------------------------

def test_who_may_have_been_forgotten_does_not_write_past_a_node(
        make_nginx, make_redis, origin):
    """Others may have dropped a node whose lease is over, and do not ask it what
    it could not tell them."""
    redis = make_redis()
    rings = redis_ring(make_nginx)
    a, b = rings.start('ab', server(redis),
                       server=s3_location(origin.url, valid='200 1h'))
    agree([a, b], 'a b')
    wait.until(lambda: vouched(a) and vouched(b), 'both to vouch')
    assert put(a, b'1').status == 200
    for node in (a, b):
        assert get(node, '/bkt/key').body == b'1'
    # a node alone may die: the other has its lease
    b.kill_all()
    assert put(a, b'2').status == 200
    agree([a], 'a')
    b.start()
    agree([a, b], 'a b')
    wait.until(lambda: vouched(a) and vouched(b), 'both to vouch')
    # and Redis alone: the other can be told
    redis.kill()
    assert put(a, b'3').status == 200
    assert get(b, '/bkt/key').body == b'3'
    b.kill_all()
    wait.until(lambda: put(a, b'4').status == 503, 'the lease to be over')
    redis.start()
    wait.until(lambda: put(a, b'5').status == 200, 'a lease again')
    b.start()
    agree([a, b], 'a b')
    for node in (a, b):
        assert get(node, '/bkt/key').body == b'5'
    rings.close()


def test_who_is_not_known_to_the_others_reads_nothing_old(
        make_nginx, make_redis, origin):
    """A node that stood still was dropped by the others, and Redis dies before
    they see it again. It reaches them, and is told of nothing."""
    redis = make_redis()
    rings = redis_ring(make_nginx)
    a, b = rings.start('ab', server(redis), peers='staleness 2s;',
                       server=s3_location(origin.url, valid='200 1h'))
    agree([a, b], 'a b')
    wait.until(lambda: vouched(a) and vouched(b), 'both to vouch')
    with stopped(a):
        agree([b], 'b')
        redis.kill()
    wait.until(lambda: not vouched(a), 'its word to be over')
    for version in range(30):
        body = b'%d' % version
        assert put(b, body).status == 200
        for _ in range(2):
            assert get(a, '/bkt/key').body == body
    # and all is as before when they see it
    redis.start()
    agree([a, b], 'a b')
    wait.until(lambda: vouched(a) and vouched(b), 'both to vouch')
    assert put(b, b'last').status == 200
    wait.until(lambda: get(a, '/bkt/key')['X-Cache'] == 'HIT', 'a hit')
    assert get(a, '/bkt/key').body == b'last'
    rings.close()


# --- what was written past the ring ------------------------------------------

def listens(origin, more=''):
    return (f'location = /-/events {{ s3_cache hot; {LARGE}'
            f' s3_cache_origin {origin.url};'
            f' s3_cache_events token={TOKEN} {more}; }}\n')


@pytest.mark.parametrize('size', [1000, 3 * MIB])
def test_an_event_for_one_node_is_one_for_all(make_cluster, origin, size):
    cluster = ring(make_cluster, origin, server=listens(origin))
    for version, teller in enumerate(cluster.nodes * 2):
        body = pattern(size, version)
        origin.put('bkt', 'key', body)
        told(teller, events.s3('bkt', 'key'))
        for node in cluster.nodes:
            assert get(node, '/bkt/key').body == body
    lifted(cluster, '/bkt/key')
    origin.requests.clear()
    for node in cluster.nodes:
        assert get(node, '/bkt/key').body == body
    assert not origin.requests


@pytest.mark.parametrize('teller', [1, 2], ids=['its owner', 'another'])
@pytest.mark.parametrize('size', [1000, 3 * MIB])
def test_what_was_in_use_is_read_anew_by_its_owner(
        make_cluster, origin, size, teller):
    cluster = make_cluster(origin, valid='200 206 1h',
                           server=listens(origin, 'refresh'))
    hot, cold, gone = (cluster.key_of(1) for _ in range(3))
    for key in (hot, cold, gone):
        origin.put('bkt', key, pattern(size, 1))
    for node in cluster.nodes:
        for key in (hot, gone):
            assert get(node, f'/bkt/{key}').body == pattern(size, 1)
    origin.put('bkt', hot, pattern(size, 2))
    origin.requests.clear()
    told(cluster.nodes[teller], events.s3('bkt', cold, hot))
    told(cluster.nodes[teller],
         events.s3('bkt', gone, name='ObjectRemoved:Delete'))
    origin.wait_requests(1, bucket='bkt', key=hot)
    wait.until(lambda: all(node.zone()['memory']['fills'] == 0
                           for node in cluster.nodes), 'the fill')
    assert [n.zone()['events']['refreshed'] for n in cluster.nodes] == [0, 1, 0]
    assert {r.key for r in origin.requests} == {hot}
    asked = len(origin.requests)
    for node in cluster.nodes:
        answer = get(node, f'/bkt/{hot}', {'Range': 'bytes=0-999'})
        assert answer.body == pattern(size, 2)[:1000]
    assert len(origin.requests) == asked


def test_many_events_of_one_notification(make_cluster, origin):
    cluster = ring(make_cluster, origin, server=listens(origin))
    keys = [f'k{n}' for n in range(200)]
    for body in (b'old', b'new'):
        for key in keys:
            origin.put('bkt', key, body)
        document = {'Records': [record for key in keys for record
                                in events.s3('bkt', key)['Records']]}
        told(cluster.nodes[0], document)
        for n, key in enumerate(keys):
            assert get(cluster.nodes[n % 3], f'/bkt/{key}').body == body
