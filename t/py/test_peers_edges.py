# SPDX-License-Identifier: Apache-2.0
"""Where two nodes could wait for each other, fetch what one of them has, tell
what is over, or hold what nobody takes: one test for each such edge that was
there once."""

import contextlib
import re
import select
import signal
import ssl
import time

import pytest

import raw_http
from flash_reads import Objects
from lib import nginx as nginx_lib
from lib import store, wait
from lib import tap as tap_lib
from lib.cluster import Cluster
from lib.reader import Cut, Reader
from origin.objects import pattern
from peer_reads import BLOCK, STRIPE, asked_twice, get, make_cluster
from test_redis import agree, ring, server
from test_ring_redis import LOCATION, digests, peers, settled

pytest.importorskip('cryptography')

from lib import wire                                         # noqa: E402

__all__ = ['make_cluster', 'ring']

SMALL, BIG = 20_000, 3 * STRIPE + 5
OFF = '    mirror off;\n'
# no clock helps: what is not answered is waited for
PATIENT = '    timeout 1h;\n    hedge 0;\n'
MODE = {'x-amz-checksum-mode': 'ENABLED'}
ROOM, UNREACHABLE, TIMEOUT, ELSEWHERE = 2, 6, 7, 11


def asked_of(origin, since=0):
    """[(method, range)] that the origin was asked for."""
    return [(r.method, r.header('range'))
            for r in list(origin.requests)[since:]]


def connected(cluster):
    """There is a link between any two nodes, in both directions."""
    for i, node in enumerate(cluster.nodes):
        for other in range(len(cluster.nodes)):
            if other != i:
                key = cluster.key_of(other, prefix='link')
                assert get(node, f'/bkt/{key}').status == 404


def await_stat(cluster, i, name, value):
    wait.until(lambda: cluster.stat(i, name) >= value,
               lambda: f'{name} {value}: {cluster.stat(i, name)}')


def location_of(origin, cluster):
    """The number of the location, as node 0 says it to node 1 (with taps)."""
    origin.bucket('bkt')

    def said():
        get(cluster.nodes[0], f'/bkt/{cluster.key_of(1, prefix="number")}')
        for w in cluster.taps[1].wires:
            for payload in wire.unrecord(w.body(tap_lib.UP)):
                for kind, _, _, body in wire.frames(payload):
                    if kind == wire.ASK:
                        return wire.parse_ask(body)
        return None

    return wait.until(said, 'node 0 asks node 1')['location']


def is_closed(sock):
    """Waits for the end of a connection on which nothing comes."""
    sock.settimeout(15)
    with contextlib.suppress(ConnectionError):
        assert sock.recv(1) == b''
    sock.close()
    return True


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
    fetched = len(origin.requests)
    for key in first:
        assert get(joined, f'/bkt/{key}').body == old[key]
    assert len(origin.requests) == fetched
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
    assert asked_of(origin, since) == []
    assert cluster.stat(1, 'served') > 0
    for each in cluster.nodes:
        each.check_accounting()
    cluster.close()


# --- links that end -----------------------------------------------------------

def test_an_owner_that_reloads_goes_on_to_be_asked(origin, make_cluster):
    """Its old worker still answers by the only link that there may be."""
    cluster = make_cluster(origin, nodes=2, workers=1, taps=True,
                           block=OFF + PATIENT + '    links 1;\n')
    node, owner = cluster.nodes
    body = pattern(SMALL)
    slow = cluster.key_of(1)
    origin.put('bkt', slow, body)
    gate = origin.gate(at=0)
    origin.on('bkt', slow, gate=gate)
    with Reader(node, f'/bkt/{slow}') as reader:
        gate.wait_reached()
        owner.reload()
        keys = [cluster.key_of(1) for _ in range(20)]
        for key in keys:
            origin.put('bkt', key, body)
        since, asked = len(origin.requests), cluster.stat(0, 'asked')
        for _ in range(2):
            for key in keys:
                answer = get(node, f'/bkt/{key}')
                assert (answer.body, answer['X-Tier']) == (body, 'peer')
        assert len(owner.worker_pids(leaving=True)) == 2
        assert cluster.stat(0, 'asked') - asked == 40
        assert len(origin.requests) - since == 20
        gate.open()
        assert reader.read_all() == body


def test_a_lost_link_is_made_anew_though_there_may_be_only_one(
        origin, make_cluster):
    cluster = make_cluster(origin, nodes=2, workers=1, taps=True,
                           block=OFF + PATIENT + '    links 1;\n')
    node, owner = cluster.nodes
    connected(cluster)
    body = pattern(SMALL)
    key = cluster.key_of(1)
    origin.put('bkt', key, body)
    gate = origin.gate()
    origin.on('bkt', key, gate=gate)
    asked = cluster.stat(0, 'asked')
    with Reader(node, f'/bkt/{key}') as reader:
        gate.wait_reached()
        cluster.taps[1].drop_all()
        wait.until(lambda: cluster.stat(0, 'asked') == asked + 2
                   or gate.reached > 1, 'somebody else is asked')
        gate.open()
        assert reader.read_all() == body
    assert cluster.stat(0, 'asked') == asked + 2
    assert len(origin.requests_for(key=key, method='GET')) == 1


@pytest.mark.parametrize('at', [None, 0, SMALL // 2])
@pytest.mark.parametrize('signal_', [signal.SIGTERM, signal.SIGINT],
                         ids=['TERM', 'INT'])
def test_a_worker_that_ends_asks_nobody_any_more(
        origin, make_cluster, signal_, at):
    """Its questions end with it, and none of them goes to the next node."""
    cluster = make_cluster(origin, workers=1, block=OFF + PATIENT)
    node = cluster.nodes[2]
    body = pattern(SMALL)
    gate = origin.gate(at=at)
    readers = []
    for i in range(12):
        key = cluster.key_of(i % 2)
        origin.put('bkt', key, body)
        origin.on('bkt', key, gate=gate)
        readers.append(Reader(node, f'/bkt/{key}'))
    gate.wait_reached(12)
    since = len(origin.requests)
    served = [cluster.stat(i, 'served') for i in (0, 1)]
    node.send_signal(signal_)
    node.child.wait(20)
    assert [cluster.stat(i, 'served') for i in (0, 1)] == served
    gate.open()
    for reader in readers:
        with pytest.raises((Cut, ConnectionError)):
            reader.read_all()
        reader.close()
    assert len(origin.requests) == since
    for other in cluster.nodes[:2]:
        other.check_accounting()


def test_downloads_of_a_node_that_reloads_stay_the_owners(
        origin, make_cluster):
    """They go on for long in the old worker, which asks as before."""
    cluster = make_cluster(origin, nodes=[{'weight': 0}, {'weight': 1}],
                           workers=1, location=' s3_cache_read_ahead 1;',
                           block=OFF)
    node, owner = cluster.nodes
    body = pattern(40 * STRIPE)
    origin.put('bkt', 'key', body)
    assert get(owner, '/bkt/key').body == body
    since = len(origin.requests)
    with Reader(node, '/bkt/key', rcvbuf=8192) as reader:
        reader.read_to(100_000)
        node.reload()
        asked = cluster.stat(0, 'asked')
        assert asked < 120, 'most of it is to come'
        assert reader.read_all() == body
        assert cluster.stat(0, 'asked') >= len(body) // BLOCK > asked
    assert asked_of(origin, since) == []


def test_the_last_record_of_a_worker_that_ends_arrives(origin, make_cluster):
    """All is said, and the kernel takes no more of it: who asked stands
    still while the worker is told to go."""
    cluster = make_cluster(origin, nodes=2, workers=1, taps=True,
                           block=OFF + '    timeout 20s;\n')
    number = location_of(origin, cluster)
    body = pattern(50_000)                      # all of it in one record
    origin.put('bkt', 'key', body)
    owner = cluster.nodes[1]
    assert get(owner, '/bkt/key').body == body
    link = wire.connect(cluster.ports[1])
    sent, stream = cluster.stat(1, 'sent_bytes'), 1
    with contextlib.suppress(wait.TimedOut):
        while stream < 4000:
            link.say(wire.ask(stream, number))
            wait.until(lambda n=sent + len(body):
                       cluster.stat(1, 'sent_bytes') >= n, 'more', 1)
            sent += len(body)
            stream += 2
    # it waits for the one before, which is not all gone
    link.say(wire.frame(wire.CANCEL, stream))
    last = stream - 2
    served = cluster.stat(1, 'served')
    wait.until(lambda: cluster.stat(1, 'served') == served, 'it is heard')
    owner.reload()
    owner.wait_log('gracefully shutting down')
    for number in range(1, last + 1, 2):
        assert link.answer(number)[1:] == (body, 0)
    assert link.ended()
    link.sock.close()


# --- links that hold what nobody takes ----------------------------------------

def test_a_hello_that_is_said_again_holds_no_connection(origin, make_cluster):
    """Nobody who cannot seal a record has one for longer than `timeout`; who
    can keeps it."""
    cluster = make_cluster(origin, nodes=2, workers=1, taps=True,
                           block='    timeout 300ms;\n    retry 50ms;\n')
    location_of(origin, cluster)
    said = [w.head(tap_lib.UP) for w in cluster.taps[1].wires
            if w.body(tap_lib.UP)]
    known = wire.connect(cluster.ports[1])
    known.say(wire.frame(wire.PING, 0, b'x' * 8))
    assert known.hear()[0] == wire.PONG
    strangers = []
    for _ in range(20):
        c = raw_http.Connection(cluster.ports[1])
        c.send(said[0])
        assert b' 101 ' in c._until(b'\r\n\r\n')
        strangers.append(c.sock)
    silent = wire.connect(cluster.ports[1])     # it could, and does not
    for sock in strangers + [silent.sock]:
        assert is_closed(sock)
    known.say(wire.frame(wire.PING, 0, b'y' * 8))
    assert known.hear()[3] == b'y' * 8
    known.sock.close()


@pytest.mark.parametrize('window', [0, 1, 30_000])
@pytest.mark.parametrize('size', [SMALL + 30_000, BIG])
def test_an_answer_that_is_not_taken_is_ended(
        origin, make_cluster, window, size):
    """PINGs are answered, so the link stays; what it would hold does not."""
    cluster = make_cluster(origin, nodes=2, workers=1, taps=True,
                           block='    timeout 1s;\n    retry 50ms;\n')
    number = location_of(origin, cluster)
    body = pattern(size)
    origin.put('bkt', 'key', body)
    link = wire.connect(cluster.ports[1])
    streams = range(1, 101, 2)
    link.say(*(wire.ask(i, number, window=window) for i in streams))
    got = dict.fromkeys(streams, b'')
    ends = {}
    while len(ends) < len(got):
        kind, stream, code, data = link.hear()
        if kind == wire.DATA:
            got[stream] += data
        elif kind == wire.END:
            ends[stream] = code
    assert 0 not in ends.values()
    assert all(data == body[:window] for data in got.values())
    cluster.nodes[1].check_accounting()
    link.say(wire.ask(10_001, number))
    assert link.answer(10_001)[1:] == (body[:BLOCK], 0)
    link.sock.close()


def test_a_link_is_given_up_after_all_of_its_time(origin, make_cluster):
    """Whatever came just before the clock was looked at."""
    timeout_s = 2
    cluster = make_cluster(origin, nodes=2, workers=1, taps=True,
                           block=f'    timeout {timeout_s}s;\n')
    number = location_of(origin, cluster)
    origin.put('bkt', 'key', pattern(SMALL))
    gate = origin.gate()
    origin.on('bkt', 'key', gate=gate)
    link = wire.connect(cluster.ports[1])
    link.say(wire.ask(1, number))
    gate.wait_reached()
    begun = time.monotonic()
    while time.monotonic() - begun < 0.9 * timeout_s:
        link.say(wire.frame(wire.PONG, 0, b'x' * 8))
        last = time.monotonic()
        select.select([], [], [], 0.01)
    link.sock.settimeout(15)
    with contextlib.suppress(ConnectionError):
        while link.sock.recv(4096):             # PINGs, not answered
            pass
    assert time.monotonic() - last > 0.95 * timeout_s
    link.sock.close()
    gate.open()


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
    fetched = len(origin.requests)
    nodes.append(make('b'))
    by_epoch(nodes, agree(nodes, 'a b'))
    both = digests(nodes[1])
    mine.fetch(nodes[1])
    hits = peers(nodes[1], 'former_hits')
    assert hits > 0 and len(origin.requests) == fetched
    path = f'{nodes[1].dir}/store'
    wait.until(lambda: len(list(store.Media(path).frames())) == hits,
               lambda: f'{hits} records: {store.one(nodes[1])}', every_s=0.05)
    nodes[1].restart()
    store.wait_state(nodes[1])
    wait.until(lambda: digests(nodes[1]) == both, 'the ring is the same')
    assert mine.fetch(nodes[1]).get('flash') == hits
    assert peers(nodes[1], 'former_asks') == 0
    assert len(origin.requests) == fetched
