# SPDX-License-Identifier: Apache-2.0
"""Purges in a ring: asked at one node, done at all; and who was not told."""

import json
import threading

import pytest

import raw_http
from lib import wait
from lib.nginx import s3_location, s3_zone
from origin.objects import pattern
from origin.scripted_origin import ScriptedOrigin
from peer_reads import MIB, make_cluster, stopped      # noqa: F401 (fixture)
from purges import ADMIN, ask, purge, purged, read, warm
from redis_nodes import Ring as redis_ring
from test_coherence import HOUR, QUICK, all_vouched, ring, vouched
from test_redis import agree, server

NAMES = ['bkt/a/1', 'bkt/a/b/2', 'bkt/b', 'other/a/1']
KINDS = [('key', {'bucket': 'bkt', 'key': 'a/1'}, NAMES[:1]),
         ('prefix', {'bucket': 'bkt', 'prefix': 'a/'}, NAMES[:2]),
         ('bucket', {'bucket': 'bkt'}, NAMES[:3]), ('all', {}, NAMES)]


@pytest.fixture
def origin():
    with ScriptedOrigin() as started:
        started.bucket('bkt')
        yield started


def fill(origin, seed=0, size=1000):
    for i, name in enumerate(NAMES):
        origin.put(*name.split('/', 1), pattern(size + i, seed + i))


def body_of(name, seed=0, size=1000):
    i = NAMES.index(name)
    return pattern(size + i, seed + i)


def fetched(origin):
    return {f'{r.bucket}/{r.key}' for r in origin.requests
            if r.method == 'GET'}


# --- all nodes ---------------------------------------------------------------

@pytest.mark.parametrize('size', [1000, MIB])
@pytest.mark.parametrize('kind, args, gone', KINDS)
def test_all_nodes_drop_it(make_cluster, origin, kind, args, gone, size):
    cluster = ring(make_cluster, origin, server=ADMIN)
    fill(origin, size=size)
    for turn, asked in enumerate(cluster.nodes):
        for node in cluster.nodes:
            warm(node, NAMES)
        origin.requests.clear()
        for node in cluster.nodes:
            for name in NAMES:
                read(node, *name.split('/', 1))
        assert not origin.requests
        purged(asked, kind, nodes=3, **args)
        fill(origin, seed=10 * turn + 10, size=size)
        for node in cluster.nodes:
            # that it is over they learn after the operator
            wait.until(lambda: read(node, 'bkt', 'a/1')[0] != 'BYPASS',
                       'its end')
            for name in NAMES:
                if name in gone:
                    assert read(node, *name.split('/', 1))[1] == body_of(
                        name, 10 * turn + 10, size)
        assert fetched(origin) == set(gone)
        for name in NAMES:                # the rest is as it was
            if name not in gone:
                for node in cluster.nodes:
                    assert read(node, *name.split('/', 1))[1] == body_of(
                        name, 0, size)
        assert fetched(origin) == set(gone)
    assert cluster.nodes[0].zone()['purges'][kind] == 1


@pytest.mark.parametrize('kind, args, gone', KINDS)
def test_mirrors_go_too(make_cluster, origin, kind, args, gone):
    cluster = ring(make_cluster, origin, block='    mirror 20% 1h;\n',
                   server=ADMIN)
    fill(origin)
    for node in cluster.nodes:
        for _ in range(60):
            read(node, 'bkt', 'a/1')
    assert sum(n.zone()['mirrors']['hit'] for n in cluster.nodes) > 0
    for turn, asked in enumerate(cluster.nodes, 1):
        purged(asked, kind, nodes=3, **args)
        fill(origin, seed=turn * 10)
        for node in cluster.nodes:
            for _ in range(60):
                assert read(node, 'bkt', 'a/1')[1] == body_of(
                    'bkt/a/1', turn * 10)


@pytest.mark.parametrize('kind, args, gone', KINDS)
def test_who_reads_while_many_purge(make_cluster, origin, kind, args, gone):
    """At any node, after any purge: what was at the origin then, or newer."""
    cluster = ring(make_cluster, origin, server=ADMIN,
                   block='    mirror 20% 1h;\n')
    origin.put('bkt', 'a/1', b'%06d' % 0)
    over = threading.Event()
    least, wrong = [0], []

    def reader(node):
        while not over.is_set():
            want = least[0]
            body = read(node, 'bkt', 'a/1')[1]
            if int(body) < want:
                wrong.append((node, int(body), want))

    readers = [threading.Thread(target=reader, args=(node,))
               for node in cluster.nodes]
    for each in readers:
        each.start()
    try:
        for n in range(1, 40):
            origin.put('bkt', 'a/1', b'%06d' % n)
            purged(cluster.nodes[n % 3], kind, nodes=3, **args)
            least[0] = n
    finally:
        over.set()
        for each in readers:
            each.join()
    assert not wrong


@pytest.mark.parametrize('kind, args, gone', KINDS)
def test_a_fill_between_nodes_that_began_before(make_cluster, origin, kind,
                                                args, gone):
    cluster = ring(make_cluster, origin, server=ADMIN)
    old, new = pattern(MIB, 1), pattern(MIB, 2)
    origin.put('bkt', 'a/1', old)
    gate = origin.gate(at=10_000)
    rule = origin.on('bkt', 'a/1', method='GET', gate=gate)

    def first(node):
        try:
            read(node, 'bkt', 'a/1')
        except raw_http.Malformed:
            pass                         # it has changed under its reader

    readers = [threading.Thread(target=first, args=(node,))
               for node in cluster.nodes]
    for each in readers:
        each.start()
    gate.wait_reached()
    # one of them may come only now: what it gets is as old as the purge, no more
    origin.off(rule)
    origin.put('bkt', 'a/1', new)
    purged(cluster.nodes[0], kind, nodes=3, **args)
    for _ in range(2):
        for node in cluster.nodes:
            assert read(node, 'bkt', 'a/1')[1] == new
    gate.open()
    for each in readers:
        each.join()
    for node in cluster.nodes:
        assert read(node, 'bkt', 'a/1')[1] == new


def test_a_zone_with_and_one_without_a_ring(make_cluster, origin):
    """The second zone of each node is its own, and of the same origin."""
    cluster = ring(make_cluster, origin, server=ADMIN, http=s3_zone('own')
                   + 'server { listen 127.0.0.1:@port:own@; ' + s3_location(
                       origin.url, zone='own', valid=HOUR) + '}')
    origin.put('bkt', 'k', b'x')

    def kept():
        """[is it in the ring's zone, in the other] of each node."""
        origin.requests.clear()
        for node in cluster.nodes:
            read(node, 'bkt', 'k')
        found = [len(origin.requests) == 0]
        for node in cluster.nodes:
            answer = node.request(target='/bkt/k', name='own')
            found.append(answer.getheader('X-Cache') == 'HIT')
        return found

    kept()
    assert kept() == [True, True, True, True]
    for kind, args in (('key', {'bucket': 'bkt', 'key': 'k'}),
                       ('prefix', {'bucket': 'bkt', 'prefix': 'k'}),
                       ('bucket', {'bucket': 'bkt'}), ('all', {})):
        purged(cluster.nodes[1], kind, nodes=1, zone='own', **args)
        assert kept() == [True, True, False, True]
        assert all(kept())
        purged(cluster.nodes[1], kind, nodes=3, zone='hot', **args)
        assert kept() == [False, True, True, True]
        assert all(kept())
        # without a zone: all that keep this origin, at all nodes
        purged(cluster.nodes[1], kind, nodes=3, **args)
        assert kept() == [False, False, False, False]
        assert all(kept())


# --- who cannot be told ------------------------------------------------------

@pytest.mark.parametrize('kind, args, gone', KINDS)
def test_a_node_that_hangs_is_named(make_cluster, origin, kind, args, gone):
    cluster = ring(make_cluster, origin, server=ADMIN,
                   block=QUICK + '    staleness 1s;\n')
    fill(origin)
    for node in cluster.nodes:
        warm(node, NAMES)
    here, away = cluster.nodes[:2], cluster.nodes[2]
    with stopped(away):
        told = purge(here[0], kind, status=503, **args)
        assert (told['nodes'], told['missed']) == (3, ['node2'])
        assert told['purged'] == kind and 'repeat' in told['error']
        fill(origin, seed=10)
        for node in here:
            for name in gone:
                assert read(node, *name.split('/', 1))[1] == body_of(name, 10)
    assert here[0].zone()['purges'][kind] == 1
    assert '[warn]' in here[0].wait_log('.*s3_cache_admin: "purge=.*')[0]
    # it validates what it has, and so finds what has changed
    for name in gone:
        wait.until(lambda: read(away, *name.split('/', 1))[1]
                   == body_of(name, 10), 'the new one')
    # the operator says it again
    all_vouched(cluster)
    purged(here[0], kind, nodes=3, **args)
    fill(origin, seed=20)
    for node in cluster.nodes:
        for name in gone:
            assert read(node, *name.split('/', 1))[1] == body_of(name, 20)


def owner_of(node, bucket, key):
    said = node.request(target=f'/status?explain=/{bucket}/{key}',
                        name='status')
    return json.loads(said.body)['objects'][0]['record_owners'][0]


@pytest.mark.parametrize('kind, args', [
    ('key', ['bucket', 'key']), ('prefix', ['bucket', 'prefix']),
    ('bucket', ['bucket']), ('all', [])])
def test_while_nodes_are_told_nothing_of_it_is_kept(make_cluster, origin, kind,
                                                    args):
    """Else a node that has dropped it could read it from one that has not."""
    cluster = ring(make_cluster, origin, server=ADMIN,
                   block='    connect_timeout 2s; timeout 2s;\n')
    here, away = cluster.nodes[:2], cluster.nodes[2]
    mine, others = (next(
        key for key in (f'{start}{n}' for n in range(1000))
        if owner_of(here[0], bucket, key) != 'node2')
        for bucket, start in (('bkt', 'a/'), ('other', 'b/')))
    named = {'bucket': 'bkt', 'key': mine, 'prefix': 'a/'}
    for bucket, key in (('bkt', mine), ('other', others)):
        origin.put(bucket, key, b'x')
        for node in cluster.nodes:
            warm(node, [f'{bucket}/{key}'])
    told = []
    with stopped(away):
        operator = threading.Thread(target=lambda: told.append(purge(
            here[0], kind, status=503, **{a: named[a] for a in args})))
        operator.start()
        # the other one may have been told after this one
        for node in here:
            wait.until(lambda: read(node, 'bkt', mine)[0] == 'BYPASS',
                       'the purge to begin')
        for node in here:
            assert read(node, 'bkt', mine)[0] == 'BYPASS'
            assert read(node, 'other', others)[0] == (
                'BYPASS' if kind == 'all' else 'HIT')
        assert not told
        operator.join()
        assert told[0]['missed'] == ['node2']
        for node in here:
            wait.until(lambda: read(node, 'bkt', mine)[0] in ('HIT', 'SHARED'),
                       'its end')


def test_a_dead_node_is_named_and_begins_empty(make_cluster, origin):
    cluster = ring(make_cluster, origin, server=ADMIN,
                   block=QUICK + '    staleness 1s;\n')
    fill(origin)
    for node in cluster.nodes:
        warm(node, NAMES)
    cluster.nodes[1].kill_all()
    told = purge(cluster.nodes[0], 'all', status=503)
    assert (told['nodes'], told['missed']) == (3, ['node1'])
    fill(origin, seed=10)
    cluster.nodes[1].start()
    for node in cluster.nodes:
        for name in NAMES:
            assert read(node, *name.split('/', 1))[1] == body_of(name, 10)


def test_a_client_that_leaves_ends_nothing(make_cluster, origin):
    cluster = ring(make_cluster, origin, server=ADMIN,
                   block='    connect_timeout 3s; timeout 3s;\n')
    fill(origin)
    for node in cluster.nodes:
        warm(node, NAMES)
    here, away = cluster.nodes[:2], cluster.nodes[2]
    with stopped(away):
        with raw_http.Connection(here[0].port()) as client:
            client.request('POST', '/-/admin?purge=all')
            wait.until(lambda: read(here[0], 'bkt', 'a/1')[0] != 'HIT',
                       'the purge to begin')
        fill(origin, seed=10)
        for node in here:
            for name in NAMES:
                wait.until(lambda: read(node, *name.split('/', 1))[1]
                           == body_of(name, 10), 'it to be told')
    for name in NAMES:
        wait.until(lambda: read(away, *name.split('/', 1))[1]
                   == body_of(name, 10), 'it to be told, too')


def test_members_by_redis(make_nginx, make_redis, origin):
    rings = redis_ring(make_nginx)
    try:
        nodes = rings.start(
            'abc', server(make_redis()), workers=2,
            server=ADMIN + s3_location(origin.url, valid=HOUR))
        agree(nodes, 'a b c')
        wait.until(lambda: all(map(vouched, nodes)), 'all to vouch')
        fill(origin)
        for kind, args, gone in KINDS:
            for node in nodes:
                warm(node, NAMES)
            purged(nodes[1], kind, nodes=3, **args)
            fill(origin, seed=10)
            for node in nodes:
                for name in gone:
                    assert read(node, *name.split('/', 1))[1] == body_of(
                        name, 10)
            fill(origin)
            purged(nodes[0], 'all', nodes=3)
        # a node that left is nobody to be told
        nodes[2].quit()

        def told():
            return json.loads(ask(nodes[0], query={'purge': 'all'}).body)

        wait.until(lambda: told() == {'purged': 'all', 'nodes': 2,
                                      'missed': []}, 'it to be gone')
    finally:
        rings.close()
