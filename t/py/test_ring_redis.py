# SPDX-License-Identifier: Apache-2.0
"""A ring whose members come by Redis, while it is read: joins, drains, ends and
deaths cost nobody an answer, and the origin hears little or nothing of them."""

import contextlib
import json
import re

import pytest

from flash_reads import Load, Objects
from lib import nginx as nginx_lib
from lib import tap, wait
from peer_reads import fetches
from redis_nodes import Ring, agree, ring, server

__all__ = ['ring']

RINGED = re.compile(
    r' (\d+)#\d+: s3_cache_peers "hot": ring of epoch \d+, digest (\w+)')
LOCATION = ('s3_cache_block_size 64k; '
            'add_header X-Tier $s3_cache_tier always;')
ADMIN = 'location = /admin { s3_cache_admin; }\n'


def make(ring: Ring, origin, redis, name, more='', at='', **pieces):
    node = ring.make(name, at or server(redis), more, server=nginx_lib.s3_location(
        origin.url, more=LOCATION) + ADMIN, **pieces)
    node.pieces['http'] = node.pieces['http'].replace(
        'secret "', 'stripe 256k; hedge 1m; secret "')
    return node


def digests(node):
    """The ring that each worker goes by."""
    said = dict(RINGED.findall(node.log()))
    return {said.get(str(pid)) for pid in node.worker_pids()}


def settled(nodes, before=None, vouch=True):
    """Waits until all workers of all nodes go by one ring, not `before`."""
    def same():
        found = set().union(*(digests(node) for node in nodes))
        return (len(found) == 1 and not found & {None, before}
                and found.copy().pop())

    found = wait.until(same, lambda: f'{[digests(node) for node in nodes]}')
    # else what they have is validated before it is used
    wait.until(lambda: not vouch or all(node.zone()['ring']['vouched']
                                        for node in nodes),
               'all to vouch for each other')
    return found


def started(ring, origin, redis, names, **pieces):
    nodes = [make(ring, origin, redis, name, **pieces).start()
             for name in names]
    agree(nodes, ' '.join(names))
    return nodes, settled(nodes)


def peers(node, name):
    return node.zone()['peers'][name]


def drain(node, state):
    answer = node.request('POST', f'/admin?drain={state}')
    assert answer.status == 200, answer.body
    return json.loads(answer.body)['zones'][0]


@pytest.fixture
def redis(make_redis):
    return make_redis()


def test_rings_are_the_same_everywhere(ring, origin, redis):
    nodes, _ = started(ring, origin, redis, 'abc')
    mine = Objects(origin, 60, (0, 600_000))
    for node in nodes:
        mine.fetch(node)
    blocks = sum(-(-len(b) // 65536) for b in mine.bodies.values())
    assert fetches(origin) <= blocks + 60
    assert all(peers(node, 'served') > 0 for node in nodes)


def test_who_joins_asks_who_owned_before(ring, origin, redis):
    """Not one more fetch from the origin, whatever is read through whom."""
    nodes, before = started(ring, origin, redis, 'ab')
    mine = Objects(origin, 60, (0, 600_000))
    mine.fetch(nodes[0])
    mine.fetch(nodes[1])
    fetched = fetches(origin)
    with Load(nodes[0], mine, clients=2) as load:
        nodes += [make(ring, origin, redis, 'c').start()]
        agree(nodes, 'a b c')
        settled(nodes, before)
        load.wait_answers(20)
    for node in reversed(nodes):
        mine.fetch(node)
    assert fetches(origin) == fetched
    assert peers(nodes[2], 'former_hits') > 0
    # and it has kept what is its own now
    asked = peers(nodes[2], 'former_asks')
    mine.fetch(nodes[0])
    assert peers(nodes[2], 'former_asks') == asked
    for node in nodes:
        node.check_accounting(timeout_s=20)


def test_without_a_handover_the_origin_is_asked(ring, origin, redis):
    nodes, before = [], None
    for names in ('ab', 'c'):
        for name in names:
            node = make(ring, origin, redis, name)
            node.pieces['http'] = node.pieces['http'].replace(
                'secret "', 'handover 0; secret "')
            nodes.append(node.start())
        agree(nodes, ' '.join('abc'[:len(nodes)]))
        settled(nodes, before)
        if names == 'ab':
            before = digests(nodes[0]).pop()
            mine = Objects(origin, 60, (0, 50_000))
            mine.fetch(nodes[0])
            fetched = fetches(origin)
    mine.fetch(nodes[2])
    moved = fetches(origin) - fetched
    assert 0 < moved < 45, moved
    assert peers(nodes[2], 'former_asks') == 0


def test_who_is_drained_hands_over_and_comes_back(ring, origin, redis):
    nodes, before = started(ring, origin, redis, 'abc')
    mine = Objects(origin, 60, (0, 600_000))
    for node in nodes:
        mine.fetch(node)
    fetched = fetches(origin)
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(Load(node, mine, clients=2))
                 for node in nodes]
        assert drain(nodes[0], 'on')['draining'] is True
        agree(nodes, {'a': 'leaving', 'b': 'ready', 'c': 'ready'})
        without = settled(nodes, before)
        for load in loads:
            load.wait_answers(20)
        for node in nodes[1:]:
            mine.fetch(node)
        served = peers(nodes[0], 'served')
        for node in nodes[1:]:
            mine.fetch(node)
        # nobody needs it any more
        assert peers(nodes[0], 'served') == served
        nodes[0].reload()
        assert drain(nodes[0], 'off') == {
            'zone': 'hot', 'state': 'ready', 'draining': False}
        agree(nodes, 'a b c')
        settled(nodes, without)
    for node in nodes:
        mine.fetch(node)
    assert fetches(origin) == fetched


def test_a_former_owner_forgets_after_the_handover(ring, origin, redis):
    """It has what is another's now, and nobody tells it of a new version."""
    nodes = []
    for names in ('ab', 'c'):
        for name in names:
            node = make(ring, origin, redis, name)
            node.pieces['http'] = node.pieces['http'].replace(
                'secret "', 'handover 1s; secret "')
            nodes.append(node.start())
        agree(nodes, ' '.join('abc'[:len(nodes)]))
        before = settled(nodes, None if names == 'ab' else before)
        if names == 'ab':
            mine = Objects(origin, 30, (1000, 50_000))
            mine.fetch(nodes[0])
            mine.fetch(nodes[1])
    for target, body in mine.bodies.copy().items():
        mine.put(target, body[::-1])

    def all_new(node):
        return all(node.request(target=target).body == body
                   for target, body in mine.bodies.items())

    # one who wants the truth tells the owners
    for target in mine.targets:
        nodes[2].request(target=target, headers={'Cache-Control': 'no-cache'})
    for node in nodes:
        wait.until(lambda n=node: all_new(n), 'an old version stays')


@pytest.mark.parametrize('how', ['quit', 'stop', 'kill_all'])
def test_who_goes_costs_no_answer_and_its_share_at_most(
        ring, origin, redis, how):
    nodes, before = started(ring, origin, redis, 'abc')
    mine = Objects(origin, 80, (0, 50_000))
    for node in nodes:
        mine.fetch(node)
    fetched = fetches(origin)
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(Load(node, mine, clients=2))
                 for node in nodes[:2]]
        getattr(nodes[2], how)()
        agree(nodes[:2], 'a b')
        settled(nodes[:2], before)
        for load in loads:
            load.wait_answers(40)
    for node in nodes[:2]:
        mine.fetch(node)
    # each object once while it was its second owner's, once as the new one's
    assert fetches(origin) - fetched <= 80
    nodes[2].start()
    agree(nodes, 'a b c')
    settled(nodes)
    for node in nodes:
        mine.fetch(node)


@pytest.mark.parametrize('fault', ['stopped', 'frozen', 'empty', 'garbage'])
def test_what_redis_does_is_nothing_to_readers(ring, origin, redis, fault):
    nodes, before = started(ring, origin, redis, 'abc')
    mine = Objects(origin, 60, (0, 300_000))
    for node in nodes:
        mine.fetch(node)
    fetched = fetches(origin)
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(Load(node, mine, clients=2))
                 for node in nodes]
        if fault == 'stopped':
            redis.kill()
        elif fault == 'frozen':
            redis.freeze()
            stack.callback(redis.thaw)
        elif fault == 'empty':
            redis.kill()
            redis.start()
        else:
            client = redis.client()
            for key in client('KEYS', '*'):
                client('DEL', key)
                client('SET', key, 'garbage')
        errors = [node.zone()['redis']['errors'] for node in nodes]
        for i, node in enumerate(nodes):
            if fault != 'empty':
                wait.until(lambda n=node, b=errors[i]:
                           sum_of(n.zone()['redis']['errors']) > sum_of(b),
                           'an error is seen')
        for load in loads:
            load.wait_answers(60)
        assert {d for node in nodes for d in digests(node)} == {before}
    assert fetches(origin) == fetched


def test_half_of_the_ring_goes_by_an_older_one(ring, origin, redis):
    """Two nodes do not hear of two that join: all answer, and are right."""
    late = tap.Tap(redis.port)
    lease = 15_000
    try:
        at = f'server 127.0.0.1:{late.port};'
        old = [make(ring, origin, redis, name, at=at, lease=lease).start()
               for name in 'ab']
        agree(old, 'a b', timeout_s=40)
        before = settled(old)
        mine = Objects(origin, 60, (0, 300_000))
        for node in old:
            mine.fetch(node)
        late.hold()
        new = [make(ring, origin, redis, name, lease=lease).start()
               for name in 'cd']
        agree(new, 'a b c d', timeout_s=40)
        newer = settled(new, vouch=False)
        assert newer != before
        with contextlib.ExitStack() as stack:
            loads = [stack.enter_context(Load(node, mine, clients=2))
                     for node in old + new]
            for load in loads:
                load.wait_answers(30)
        more = Objects(origin, 60, (0, 300_000), seed=2)
        for node in old + new:
            more.fetch(node)
            assert node.zone()['peers']['failures'] == {'away': 0, 'wrong': 0}
        assert digests(old[0]) | digests(old[1]) == {before}
    finally:
        late.go_on()
        late.close()


def sum_of(value):
    return sum(value.values()) if isinstance(value, dict) else value


# --- s3_cache_admin ---------------------------------------------------------------

def test_what_the_admin_says(ring, origin, redis):
    (node,), _ = started(ring, origin, redis, 'a')
    ready = {'zone': 'hot', 'state': 'ready', 'draining': False}
    for target in ('/admin', '/admin?zone=hot'):
        answer = node.request('GET', target)
        assert answer.status == 200
        assert answer.getheader('Content-Type') == 'application/json'
        assert json.loads(answer.body) == {'zones': [ready]}
    for method, target, status in (
            ('GET', '/admin?zone=cold', 404), ('PUT', '/admin', 405),
            ('POST', '/admin', 400), ('POST', '/admin?drain=yes', 400),
            ('POST', '/admin?drain=on&zone=cold', 404)):
        answer = node.request(method, target)
        assert answer.status == status, target
        assert set(json.loads(answer.body)) == {'error'}
    assert json.loads(node.request('GET', '/admin').body) == {'zones': [ready]}


def test_static_nodes_are_not_drained(origin, make_nginx):
    node = make_nginx(http=nginx_lib.s3_zone(), server=nginx_lib.s3_location(
        origin.url) + ADMIN).start()
    answer = node.request('POST', '/admin?drain=on')
    assert answer.status == 404
    assert 'by Redis' in json.loads(answer.body)['error']
