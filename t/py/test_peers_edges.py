# SPDX-License-Identifier: Apache-2.0
"""Where two nodes could wait for each other, fetch what one of them has, or
tell what is over: one test for each such edge that was there once. Those of
links are in test_peers_links.py."""

import re
import ssl

import pytest

import raw_http
from flash_reads import Objects
from lib import nginx as nginx_lib
from lib import store, wait
from lib.cluster import Cluster
from lib.reader import Reader
from origin.objects import pattern
from peer_edges import BIG, OFF, PATIENT, SMALL, asked_of, connected
from peer_reads import BLOCK, STRIPE, asked_twice, fetches, get
from peer_reads import make_cluster    # noqa: F401 (a fixture)
from redis_nodes import agree, server
from redis_nodes import ring    # noqa: F401 (a fixture)
from test_ring_redis import LOCATION, digests, peers, settled

pytest.importorskip('cryptography')

from lib import wire                                         # noqa: E402

MODE = {'x-amz-checksum-mode': 'ENABLED'}
ROOM, UNREACHABLE, TIMEOUT, ELSEWHERE = 2, 6, 7, 11


def await_stat(cluster, i, name, value):
    wait.until(lambda: cluster.stat(i, name) >= value,
               lambda: f'{name} {value}: {cluster.stat(i, name)}')


# --- rings that differ --------------------------------------------------------

@pytest.mark.parametrize('size', [0, SMALL, BIG])
@pytest.mark.parametrize('nodes', [2, 3])
def test_nodes_whose_rings_differ_do_not_wait_for_each_other(
        origin, make_cluster, nodes, size):
    """Each is sure that the next one owns everything, and all are asked at
    once."""
    cluster = make_cluster(origin, nodes=[{'weight': 1}] * nodes, workers=1,
                           taps=True, block=OFF + PATIENT)
    for i, node in enumerate(cluster.nodes):
        owner = f'node node{(i + 1) % nodes} '
        node.reload(wait_old=True, http='\n'.join(
            line if owner in line else line.replace('weight=1', 'weight=0')
            for line in node.pieces['http'].split('\n')))
    origin.bucket('bkt')
    for node in cluster.nodes:                         # links
        assert get(node, '/bkt/none').status == 404
    body = pattern(size)
    origin.put('bkt', 'key', body)
    asked = [cluster.stat(i, 'asked') for i in range(nodes)]
    for tap in cluster.taps:
        tap.hold()
    readers = [Reader(node, '/bkt/key') for node in cluster.nodes]
    for i in range(nodes):
        await_stat(cluster, i, 'asked', asked[i] + 1)
    for tap in cluster.taps:
        tap.go_on()
    for reader in readers:
        assert reader.read_all() == body
        assert reader.status == 200
        reader.close()


# --- freshness ----------------------------------------------------------------

@pytest.mark.parametrize('nodes', [1, 2])
@pytest.mark.parametrize('first', [
    {'valid': '200 206 1d'}, {'valid': '404 1m'},
    {'valid': '200 206 1s', 'more': 's3_cache_freshness immutable;'}],
    ids=['longer', 'default', 'immutable'])
def test_two_locations_of_one_origin_keep_their_own_times(
        origin, make_cluster, nodes, first):
    """The first of them, which is not asked, keeps it for longer."""
    more = first.get('more', '') + ('s3_cache_block_size 64k;'
                                    'rewrite ^/forever/(.*)$ /$1 break;')
    cluster = make_cluster(
        origin, nodes=nodes, valid='200 206 1s', block=OFF,
        server=nginx_lib.s3_location(origin.url, path='/forever/',
                                     **dict(first, more=more)))
    for size in (SMALL, BIG):
        key = cluster.key_of(nodes - 1)
        for version in range(3):
            body = pattern(size, version)
            origin.put('bkt', key, body)
            wait.until(lambda k=key, b=body:
                       get(cluster.nodes[0], f'/bkt/{k}').body == b,
                       f'version {version} of {size} bytes', every_s=0.05)


def test_a_deleted_object_does_not_come_back_during_a_handover(
        ring, origin, make_redis):
    """Somebody has learnt by no-cache that objects are gone, or new; who owned
    them before has the old ones for a day. It may give its own clients what it
    has itself, but nobody asks it any more."""
    redis = make_redis()

    def make(name):
        node = ring.make(name, server(redis), server=nginx_lib.s3_location(
            origin.url, valid='200 206 1d',
            more=LOCATION + 's3_cache_client_no_cache on;'))
        node.pieces['http'] = node.pieces['http'].replace(
            'secret "', 'stripe 256k; hedge 1m; mirror off; handover 1h; '
            'secret "')
        return node.start()

    nodes = [make(name) for name in 'ab']
    agree(nodes, 'a b')
    before = settled(nodes)
    old, former = {}, {}
    for i in range(64):
        key, size = f'{i}', (SMALL, 2 * BLOCK)[i // 2 % 2]
        old[key] = pattern(size, i)
        origin.put('bkt', key, old[key])
        asked = peers(nodes[0], 'asked')
        assert get(nodes[0], f'/bkt/{key}').body == old[key]
        former[key] = nodes[peers(nodes[0], 'asked') > asked]
    nodes.append(make('c'))
    agree(nodes, 'a b c')
    settled(nodes, before)
    joined = nodes[2]
    first, others = list(old)[:16], list(old)[16:]
    fetched = fetches(origin)
    for key in first:
        assert get(joined, f'/bkt/{key}').body == old[key]
    assert fetches(origin) == fetched
    assert peers(joined, 'former_hits') > 0
    moved = 0
    for i, key in enumerate(others):
        new = None if i % 2 else pattern(len(old[key]) - i % 3, 1000 + i)
        if new is None:
            origin.delete('bkt', key)
        else:
            origin.put('bkt', key, new)
        right = (200, new) if new else (404, None)
        through = nodes[i % 3]
        for node, headers in [(through, {'Cache-Control': 'no-cache'})] + [
                (node, {}) for node in nodes[::-1] * 2
                if node in (joined, through) or node is not former[key]]:
            answer = get(node, f'/bkt/{key}', headers)
            assert (answer.status, answer.body if new else None) == right, (
                i, nodes.index(through), nodes.index(node), answer['X-Tier'])
        asked = peers(joined, 'asked')
        get(joined, f'/bkt/{key}')
        moved += peers(joined, 'asked') == asked
    assert moved > 0


# --- bytes and headers --------------------------------------------------------

@pytest.mark.parametrize('size', [BLOCK, STRIPE, 4 * STRIPE + 5])
def test_what_another_node_has_is_transferred_once(
        origin, make_cluster, size):
    cluster = make_cluster(origin, nodes=[{'weight': 0}, {'weight': 1}],
                           block=OFF)
    body = pattern(size)
    origin.put('bkt', 'key', body)
    node, owner = cluster.nodes
    assert get(owner, '/bkt/key').body == body
    blocks = -(-size // BLOCK)
    for turn in range(1, 7):
        with Reader(node, '/bkt/key', rcvbuf=8192) as reader:
            if turn % 2:
                reader.read_to(1)
                reader.read_to(size // 2)
            assert reader.read_all() == body
        assert cluster.stat(0, 'received_bytes') == turn * size
        assert cluster.stat(0, 'asked') == turn * blocks
    assert asked_twice(origin) == []


def test_checksums_are_the_same_through_all_nodes(origin, make_cluster):
    """The owner knows the object from a ranged read."""
    found = []
    for nodes in (1, 2):
        cluster = make_cluster(origin, nodes=nodes, block=OFF)
        for size in (SMALL, BIG):
            key = cluster.key_of(nodes - 1, prefix=f'sum{nodes}-')
            obj = origin.put('bkt', key, pattern(size))
            assert get(cluster.nodes[-1], f'/bkt/{key}',
                       {'Range': 'bytes=0-9'}).status == 206
            since = len(origin.requests)
            for _ in range(3):
                for node in cluster.nodes:
                    answer = get(node, f'/bkt/{key}', MODE)
                    assert (answer.status, answer.body) == (200, obj.body)
                    assert answer['x-amz-checksum-crc32'] == obj.checksum()
            found.append(sorted(asked_of(origin, since), key=str))
    assert found[:2] == found[2:]
    assert ('HEAD', None) in found[0]


def test_a_get_that_joins_a_head_costs_the_origin_nothing(
        origin, make_cluster):
    cluster = make_cluster(origin, nodes=2, workers=1, taps=True,
                           block=OFF + PATIENT)
    node, owner = cluster.nodes
    connected(cluster)
    for size in (0, 1, SMALL, BLOCK):
        body = pattern(size)
        key = cluster.key_of(1)
        origin.put('bkt', key, body)
        assert get(owner, f'/bkt/{key}').body == body
        since = len(origin.requests)
        asked = cluster.stat(0, 'asked')
        followed = node.zone()['fills']['followed']
        cluster.taps[1].hold()
        head = Reader(node, f'/bkt/{key}', method='HEAD')
        await_stat(cluster, 0, 'asked', asked + 1)
        reader = Reader(node, f'/bkt/{key}')
        wait.until(lambda f=followed:
                   node.zone()['fills']['followed'] > f, 'it joins')
        cluster.taps[1].go_on()
        assert head.head() == 200 and head.headers['content-length'] == str(
            size)
        assert reader.read_all() == body
        assert asked_of(origin, since) == []
        head.close()
        reader.close()


@pytest.mark.parametrize('range_', ['bytes=-100', 'bytes=0-9'])
@pytest.mark.parametrize('method', ['GET', 'HEAD'])
def test_what_the_owner_has_on_flash_is_found_by_any_range(
        origin, make_nginx, range_, method):
    """Not all of the object is read from flash with its record."""
    cluster = Cluster(make_nginx, origin, nodes=2, workers=1, block=OFF,
                      location='s3_cache_block_size 1m;',
                      http=nginx_lib.s3_store()).start()
    node, owner = cluster.nodes
    for each in cluster.nodes:
        store.wait_state(each)
    mine = Objects(origin, 0)
    for i in range(4):
        mine.put(f'/bkt/{cluster.key_of(1)}', pattern(900_000, i))
    mine.fetch(owner)
    mine.wait_stored([f'{owner.dir}/store'])
    for each in cluster.nodes[::-1]:
        each.restart()
        store.wait_state(each)
    since = len(origin.requests)
    first, last = {'bytes=-100': (899_900, 900_000),
                   'bytes=0-9': (0, 10)}[range_]
    for target, body in mine.bodies.items():
        if method == 'HEAD':
            assert get(node, target, method='HEAD').status == 200
        answer = get(node, target, {'Range': range_})
        assert (answer.status, answer.body) == (206, body[first:last])
        assert answer['X-Tier'] == 'peer'
        assert get(node, target).body == body
    assert all(asked[0] == 'HEAD' for asked in asked_of(origin, since))
    assert cluster.stat(1, 'served') > 0
    for each in cluster.nodes:
        each.check_accounting()
    cluster.close()


# --- who is asked, and who may ask --------------------------------------------

def storm(origin, node, key, body, count=20):
    """So many readers of one key, that all wait for the same fill."""
    gate = origin.gate()
    rule = origin.on('bkt', key, gate=gate)
    followed = node.zone()['fills']['followed']
    readers = [Reader(node, f'/bkt/{key}') for _ in range(count)]
    gate.wait_reached()
    wait.until(lambda: node.zone()['fills']['followed'] - followed
               >= count - 1 or gate.reached > 1, 'all wait')
    gate.open()
    for reader in readers:
        assert reader.read_all() == body
        reader.close()
    origin.off(rule)
    for _ in range(5):
        assert get(node, f'/bkt/{key}').body == body
    return len(origin.requests_for(key=key, method='GET'))


def test_an_owner_with_other_settings_does_not_cost_a_fetch_for_each_reader(
        origin, make_cluster):
    cluster = make_cluster(origin, nodes=2, block=OFF + PATIENT)
    node, owner = cluster.nodes
    keys = {cluster.key_of(1): pattern(SMALL, i) for i in range(4)}
    owner.reload(wait_old=True, server=owner.pieces['server'].replace(
        's3_cache_block_size 64k', 's3_cache_block_size 128k'))
    for key, body in keys.items():
        origin.put('bkt', key, body)
        assert storm(origin, node, key, body) == 1
    assert cluster.stat(0, 'asked') > 0


@pytest.mark.parametrize('code', [ROOM, UNREACHABLE, TIMEOUT, ELSEWHERE])
@pytest.mark.parametrize('size', [SMALL, BIG])
def test_an_owner_that_cannot_does_not_cost_a_fetch_for_each_reader(
        origin, make_cluster, code, size):
    cluster = make_cluster(origin, nodes=[{'weight': 0}, {'weight': 1}],
                           block=OFF + PATIENT)
    node, owner = cluster.nodes
    owner.stop()
    origin.put('bkt', 'key', pattern(size))
    with wire.Node(cluster.ports[1], 'node1', lambda link, stream, ask:
                   link.say(wire.frame(wire.END, stream, code=code))) as other:
        assert storm(origin, node, 'key', pattern(size)) == -(-size // BLOCK)
        assert other.asked


def test_the_name_of_the_node_itself_is_refused(origin, make_cluster):
    cluster = make_cluster(origin, nodes=2)
    for name, right in (('node0', True), ('node1', False)):
        said = wire.client_hello(name, 'node1').hex()
        with raw_http.Connection(cluster.ports[1]) as c:
            c.request('GET', '/s3-cache-peer', {
                'Connection': 'Upgrade', 'Upgrade': 's3-cache-peer',
                wire.HEADER: said})
            assert (b' 101 ' if right else b' 403 ') in c._until(b'\r\n\r\n')


@pytest.mark.parametrize('names, right', [
    (('node0',), True), (('a-web-server.example',), False),
    (('node2',), False), (('node0.example',), False),
    (('a.example', 'node0'), True)], ids=lambda v: str(v))
def test_without_a_secret_a_certificate_is_for_the_name_of_its_node(
        origin, make_cluster, authority, names, right):
    """It is by that authority in any case, and says that it is node0."""
    cluster = make_cluster(origin, nodes=3, secret=None, tls=lambda name: (
        *authority.issue((name,)), authority.cert))
    context = ssl.create_default_context(cafile=str(authority.cert))
    context.load_cert_chain(*authority.issue(names))
    said = wire.client_hello('node0', 'node1', '').hex()
    strangers = cluster.stat(1, 'strangers')
    with raw_http.Connection(cluster.ports[1], tls=context,
                             name='node1') as c:
        c.request('GET', '/s3-cache-peer', {
            'Connection': 'Upgrade', 'Upgrade': 's3-cache-peer',
            wire.HEADER: said})
        head = c._until(b'\r\n\r\n')
    assert (b' 101 ' if right else b' 403 ') in head, head
    assert cluster.stat(1, 'strangers') - strangers == (0 if right else 1)


# --- what a handover brings ---------------------------------------------------

def by_epoch(nodes, epoch):
    """Waits until all workers go by the ring of this epoch: who has stores is
    first a member without a share."""
    def all_do():
        for node in nodes:
            said = dict(re.findall(r' (\d+)#\d+: s3_cache_peers "hot": ring '
                                   r'of epoch (\d+),', node.log()))
            if {said.get(str(pid)) for pid in node.worker_pids()} != {
                    f'{epoch}'}:
                return False
        return True

    wait.until(all_do, f'the ring of epoch {epoch}')


def test_what_the_former_owner_gave_is_on_flash_of_the_new_one(
        ring, origin, make_redis):
    redis = make_redis()

    def make(name):
        node = ring.make(name, server(redis), server=nginx_lib.s3_location(
            origin.url, more=LOCATION))
        node.pieces['http'] = node.pieces['http'].replace(
            'secret "', 'stripe 256k; hedge 1m; mirror off; secret "'
        ) + nginx_lib.s3_store()
        node.start()
        store.wait_state(node)
        return node

    nodes = [make('a')]
    by_epoch(nodes, agree(nodes, 'a'))
    mine = Objects(origin, 40, (1000, 50_000))
    mine.fetch(nodes[0])
    fetched = fetches(origin)
    nodes.append(make('b'))
    by_epoch(nodes, agree(nodes, 'a b'))
    both = digests(nodes[1])
    mine.fetch(nodes[1])
    hits = peers(nodes[1], 'former_hits')
    assert hits > 0 and fetches(origin) == fetched
    path = f'{nodes[1].dir}/store'
    wait.until(lambda: len(list(store.Media(path).frames())) == hits,
               lambda: f'{hits} records: {store.one(nodes[1])}', every_s=0.05)
    nodes[1].restart()
    store.wait_state(nodes[1])
    wait.until(lambda: digests(nodes[1]) == both, 'the ring is the same')
    assert mine.fetch(nodes[1]).get('flash') == hits
    assert peers(nodes[1], 'former_asks') == 0
    assert fetches(origin) == fetched
