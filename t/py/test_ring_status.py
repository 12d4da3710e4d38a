# SPDX-License-Identifier: Apache-2.0
"""What a node shows of the ring and of the other nodes, and where it says that
an object is."""

import json
import re
import socket
from urllib.parse import quote

import raw_http
from flash_reads import Objects
from lib import wait
from peer_reads import BLOCK, MIB, STRIPE, make_cluster, stopped

__all__ = ['make_cluster']

OWNER = 'add_header X-Owner $s3_cache_owner always;'


def ring(node):
    return node.zone()['ring']


def member(node, name):
    return next(m for m in ring(node)['members'] if m['name'] == name)


def counted(node, name):
    """What a node has counted of another one."""
    return member(node, name)


def explain(node, target, **args):
    query = f'explain={quote(target)}' + ''.join(
        f'&{k}={quote(str(v))}' for k, v in args.items())
    answer = node.request(target=f'/status?{query}', name='status')
    assert answer.status == 200, (answer.status, answer.body)
    assert answer.headers['Content-Type'] == 'application/json'
    assert answer.headers['Cache-Control'] == 'no-store'
    return json.loads(answer.body)


def the_object(node, target, **args):
    objects = explain(node, target, **args)['objects']
    assert len(objects) == 1, objects
    return objects[0]


def has(found, name):
    return next(n for n in found['nodes'] if n['name'] == name)


# --- the ring ------------------------------------------------------------

def test_all_nodes_show_one_ring(origin, make_cluster):
    cluster = make_cluster(origin, nodes=[
        {'zone': 'r1'}, {'zone': 'r2', 'weight': 3}, {'weight': 0}])
    rings = [ring(node) for node in cluster.nodes]
    for i, shown in enumerate(rings):
        assert re.fullmatch('[0-9a-f]{16}', shown['digest'])
        assert shown['digest'] == rings[0]['digest']
        assert [m['name'] for m in shown['members']] == cluster.names
        assert [m['self'] for m in shown['members']] == [
            k == i for k in range(3)]
        assert [m['weight'] for m in shown['members']] == [1, 3, 0]
        assert [m['zone'] for m in shown['members']] == ['r1', 'r2', '']
        assert [m['address'] for m in shown['members']] == [
            f'127.0.0.1:{port}' for port in cluster.ports]
        assert {m['state'] for m in shown['members']} == {'ready'}
        shares = [m['share'] for m in shown['members']]
        assert abs(sum(shares) - 1) < 1e-5
        assert abs(shares[0] - 0.25) < 0.02 and shares[2] == 0
        assert shares == [m['share'] for m in rings[0]['members']]
        assert 'asks' not in shown['members'][i]
    # nobody reads anything yet, but all vouch for each other
    wait.until(lambda: all(
        m['reach'] == 'up' for node in cluster.nodes
        for m in ring(node)['members'] if not m['self']), 'all to be up')
    wait.until(lambda: all(ring(node)['vouched'] for node in cluster.nodes),
               'all to be vouched for')


def test_a_node_alone_has_no_ring(origin, make_gateway):
    nginx = make_gateway(origin)
    assert ring(nginx) is None
    assert 's3_cache_ring_epoch{' not in nginx.metrics()


def test_each_node_is_counted_by_itself(origin, make_cluster):
    cluster = make_cluster(origin)
    keys = [cluster.key_of(1) for _ in range(5)]
    size = 10_000
    for key in keys:
        origin.put('bkt', key, b'x' * size)
    before = {name: counted(cluster.nodes[0], name)
              for name in cluster.names[1:]}
    served = counted(cluster.nodes[1], 'node0')
    for key in keys:
        assert cluster.nodes[0].request(target=f'/bkt/{key}').status == 200
    after = {name: counted(cluster.nodes[0], name)
             for name in cluster.names[1:]}
    grown = {name: {what: after[name][what] - before[name][what] for what in
                    ('asks', 'answers', 'received_bytes', 'served', 'hedges')}
             for name in after}
    assert grown['node1'] == {'asks': 5, 'answers': 5, 'served': 0,
                              'received_bytes': 5 * size, 'hedges': 0}
    assert set(grown['node2'].values()) == {0}
    assert after['node1']['reach'] == 'up' and after['node1']['links'] >= 1
    for name in after:
        assert after[name]['first_byte']['count'] == after[name]['answers']
        assert after[name]['failures'] == {'away': 0, 'wrong': 0}
    there = counted(cluster.nodes[1], 'node0')
    assert there['served'] - served['served'] == 5
    assert there['sent_bytes'] - served['sent_bytes'] == 5 * size
    # what is counted for all of them is the sum
    peers = cluster.nodes[0].zone()['peers']
    assert peers['asked'] == sum(m['asks'] for m in after.values())
    assert peers['received_bytes'] == sum(
        m['received_bytes'] for m in after.values())


def test_counters_survive_workers_and_reloads(origin, make_cluster):
    cluster = make_cluster(origin)
    mine = Objects(origin, 30, (0, 20_000))
    mine.fetch(cluster.nodes[0])
    before = counted(cluster.nodes[0], 'node1')
    assert before['asks'] > 0 and before['links'] > 0
    for _ in range(2):
        cluster.nodes[0].kill_worker()
    cluster.nodes[0].reload(wait_old=True)
    after = counted(cluster.nodes[0], 'node1')
    assert (after['asks'], after['received_bytes']) == (
        before['asks'], before['received_bytes'])
    # the one that is left is for the vouching
    wait.until(lambda: counted(cluster.nodes[0], 'node1')['links'] == 1,
               'links of workers that are gone')


def test_a_dead_node_rests_until_it_answers(origin, make_cluster):
    cluster = make_cluster(origin, block='retry 100ms; connect_timeout 2s;')
    mine = Objects(origin, 40, (0, 20_000))
    mine.fetch(cluster.nodes[0])
    assert counted(cluster.nodes[0], 'node1')['reach'] == 'up'
    cluster.nodes[1].kill_all()
    more = Objects(origin, 40, (0, 20_000), seed=2)
    more.fetch(cluster.nodes[0])
    seen = counted(cluster.nodes[0], 'node1')
    assert seen['reach'] == 'resting' and seen['failures']['away'] > 0
    assert seen['links'] == 0
    assert counted(cluster.nodes[0], 'node2')['reach'] == 'up'
    cluster.nodes[1].start()

    def again():
        more.fetch(cluster.nodes[0])
        return counted(cluster.nodes[0], 'node1')['reach'] == 'up'

    wait.until(again, 'an answer of node1')


def test_prometheus_has_each_node(origin, make_cluster):
    cluster = make_cluster(origin)
    Objects(origin, 20, (0, 20_000)).fetch(cluster.nodes[0])
    text = cluster.nodes[0].metrics()
    series, typed = {}, set()
    for line in text.splitlines():
        if line.startswith('# TYPE '):
            family = line.split()[2]
            assert family not in typed
            typed.add(family)
            continue
        if line.startswith('# HELP '):
            continue
        name, labels, value = re.fullmatch(
            r'([a-z0-9_]+)\{(.*)\} ([0-9.]+)', line).groups()
        family = re.sub('_(bucket|sum|count)$', '', name)
        assert family in typed or name in typed, line
        series[f'{name}{{{labels}}}'] = float(value)
    shares = [v for k, v in series.items()
              if k.startswith('s3_cache_ring_share{')]
    assert len(shares) == 3 and abs(sum(shares) - 1) < 1e-5
    assert series['s3_cache_ring_members{zone="hot"}'] == 3
    for name in ('node1', 'node2'):
        labels = f'zone="hot",node="{name}"'
        seen = counted(cluster.nodes[0], name)
        assert series[f's3_cache_node_asks_total{{{labels}}}'] == seen['asks']
        assert series[f's3_cache_node_first_byte_seconds_count{{{labels}}}'] \
            == seen['answers'] > 0
        assert series[f's3_cache_node_reach{{{labels},reach="up"}}'] == 1
        assert series[f's3_cache_node_state{{{labels},state="ready"}}'] == 1
    assert 's3_cache_node_asks_total{zone="hot",node="node0"}' not in series


def test_a_thousand_nodes_are_shown(origin, make_nginx):
    """Names of full length: the text is as long as it can be."""
    names = [f'{"n" * 248}{i:04}' for i in range(1024)]
    lines = '\n'.join(f'node {name} 127.1.{i // 250}.{i % 250 + 1}:9;'
                      for i, name in enumerate(names))
    nginx = make_nginx(http=(
        's3_cache_zone hot:64m;\n'
        f's3_cache_peers hot {{ {lines} self {names[500]};'
        'secret "a secret of the ring, for tests"; }\n'))
    nginx.start()
    shown = ring(nginx)['members']
    assert [m['name'] for m in shown] == sorted(names)
    assert abs(sum(m['share'] for m in shown) - 1) < 1e-3
    text = nginx.metrics()
    assert text.count('\ns3_cache_node_asks_total{') == 1023
    assert text.count('\ns3_cache_node_first_byte_seconds_count{') == 1023


# --- whose it is ---------------------------------------------------------

def test_the_owner_is_who_fetches(origin, make_cluster):
    cluster = make_cluster(
        origin, location=OWNER,
        http="log_format owner '$request_uri $s3_cache_owner';",
        server='access_log @dir@/owner.log owner;')
    for owner, name in enumerate(cluster.names):
        key = cluster.key_of(owner)
        origin.put('bkt', key, b'body')
        for node in cluster.nodes:
            for _ in range(2):                      # a miss, then a hit
                answer = node.request(target=f'/bkt/{key}')
                assert answer.headers['X-Owner'] == name
            assert the_object(node, f'/bkt/{key}')['owners'][0] == name
            with open(f'{node.dir}/owner.log', encoding='ascii') as f:
                assert f'/bkt/{key} {name}' in f.read().splitlines()
        # lists belong to nobody
        assert 'X-Owner' not in cluster.nodes[0].request(
            target='/bkt/?list-type=2').headers


def test_a_node_alone_owns_without_a_name(origin, make_gateway):
    nginx = make_gateway(origin, location=OWNER)
    origin.put('bkt', 'key', b'body')
    answer = nginx.request(target='/bkt/key')
    assert answer.status == 200 and 'X-Owner' not in answer.headers
    found = the_object(nginx, '/bkt/key')
    assert found['owners'] == [] and found['former'] is None
    assert [(n['name'], n['self'], n['tier'], n['size'])
            for n in found['nodes']] == [(None, True, 'ram', 4)]


# --- explain -------------------------------------------------------------

def test_explain_before_and_after_a_read(origin, make_cluster):
    cluster = make_cluster(origin, valid='200 206 1h')
    key = cluster.key_of(1)
    origin.put('bkt', key, b'x' * 5000)
    asked = len(origin.requests)
    for node in cluster.nodes:
        found = the_object(node, f'/bkt/{key}')
        assert found['owners'][0] == 'node1' and found['stripe'] == 0
        assert sorted(found['owners']) == cluster.names
        assert found['record_owners'] == found['owners']
        assert sorted(n['name'] for n in found['nodes']) == cluster.names
        for n in found['nodes']:
            assert (n['tier'], n['etag'], n['size'], n['error']) == (
                None, None, None, None)
    assert len(origin.requests) == asked
    etag = cluster.nodes[0].request(target=f'/bkt/{key}').headers['ETag']
    hits = [node.zone()['requests'] for node in cluster.nodes]
    for node in cluster.nodes:
        found = the_object(node, f'/bkt/{key}')
        n = has(found, 'node1')
        assert (n['tier'], n['status'], n['etag'], n['size'], n['error']) == (
            'ram', 200, etag, 5000, None)
        assert 0 <= n['age_s'] < 60 and 3500 < n['fresh_s'] <= 3600
        for other in ('node0', 'node2'):
            assert has(found, other)['tier'] is None
    assert [node.zone()['requests'] for node in cluster.nodes] == hits
    assert len(origin.requests) == asked + 1


def test_explain_of_what_is_fresh_for_ever(origin, make_cluster):
    cluster = make_cluster(origin, valid='200 forever')
    key = cluster.key_of(0)
    origin.put('bkt', key, b'x')
    cluster.nodes[0].request(target=f'/bkt/{key}')
    for node in cluster.nodes:
        assert has(the_object(node, f'/bkt/{key}'), 'node0')[
            'fresh_s'] == 'forever'


def test_explain_of_a_block(origin, make_cluster):
    """Stripes of a large object have other owners; who has the block of an
    offset is found by the version that the record's owner tells."""
    cluster = make_cluster(origin)
    key = cluster.key_of(0)
    origin.put('bkt', key, b'x' * MIB)
    target = f'/bkt/{key}'
    offsets = range(0, MIB, STRIPE)
    for off in offsets:
        found = the_object(cluster.nodes[2], target, offset=off + BLOCK)
        assert found['stripe'] == off // STRIPE
        assert {n['block'] for n in found['nodes']} == {None}
    answer = cluster.nodes[0].request(
        target=target, headers={'Range': f'bytes=0-{MIB - BLOCK - 1}'})
    assert answer.status == 206
    for node in cluster.nodes:
        for off in offsets:
            found = the_object(node, target, offset=off + BLOCK)
            owner = found['owners'][0]
            assert found['record_owners'][0] == 'node0'
            for n in found['nodes']:
                assert n['error'] is None
                assert n['block'] == ('ram' if n['name'] == owner else None)
        last = the_object(node, target, offset=MIB - 1)
        assert {n['block'] for n in last['nodes']} == {None}
        beyond = the_object(node, target, offset=MIB)
        assert {n['block'] for n in beyond['nodes']} == {None}


def test_explain_of_what_is_on_flash(origin, make_cluster):
    cluster = make_cluster(origin, zone={'size': '16m'}, valid='200 206 1h',
                           location=' s3_cache_freshness immutable;',
                           http='s3_cache_store @dir@/store size=64m;')
    key = cluster.key_of(1)
    origin.put('bkt', key, b'x' * 30_000)
    assert cluster.nodes[1].request(target=f'/bkt/{key}').status == 200
    store = lambda: cluster.nodes[1].zone()['stores'][0]
    wait.until(lambda: store()['records'] > 0, 'a record on flash')
    cluster.nodes[1].restart('quit')
    wait.until(lambda: store()['state'] == 'serving' and store()['records'],
               'the store')
    hits = store()['reads']['hits']
    own = has(the_object(cluster.nodes[1], f'/bkt/{key}'), 'node1')
    assert (own['tier'], own['error']) == ('flash', None)
    assert store()['reads']['hits'] == hits
    found = has(the_object(cluster.nodes[0], f'/bkt/{key}'), 'node1')
    assert (found['tier'], found['size'], found['status']) == (
        'flash', 30_000, 200)


def test_explain_with_a_node_that_is_away(origin, make_cluster):
    cluster = make_cluster(origin, block='timeout 300ms; hedge 0;')
    key = cluster.key_of(2)
    origin.put('bkt', key, b'x' * 100)
    assert cluster.nodes[2].request(target=f'/bkt/{key}').status == 200
    assert has(the_object(cluster.nodes[0], f'/bkt/{key}'), 'node2')[
        'tier'] == 'ram'
    with stopped(cluster.nodes[1]):
        found = the_object(cluster.nodes[0], f'/bkt/{key}')
        assert has(found, 'node1')['error'] == 'unreachable'
        assert has(found, 'node2')['tier'] == 'ram'
    cluster.nodes[2].kill_all()
    for _ in range(2):
        found = the_object(cluster.nodes[0], f'/bkt/{key}')
        n = has(found, 'node2')
        assert (n['error'], n['tier']) == ('unreachable', None)
        assert found['owners'][0] == 'node2'


def test_explain_of_keys_with_odd_bytes(origin, make_cluster):
    cluster = make_cluster(origin)
    for key in ('a b+c%2F"\\', 'ü/ö', '//x', 'k' * 1024, '?&=#'):
        origin.put('bkt', key, b'x')
        answer = cluster.nodes[0].request(
            target='/bkt/' + quote(key, safe='/'))
        assert answer.status == 200, key
        seen = explain(cluster.nodes[1], f'/bkt/{key}')
        assert (seen['bucket'], seen['key']) == ('bkt', key)
        found = seen['objects'][0]
        assert has(found, found['owners'][0])['tier'] == 'ram', key


def test_explain_of_a_version(origin, make_cluster):
    cluster = make_cluster(origin)
    key = cluster.key_of(0)
    origin.put('bkt', key, b'x')
    seen = explain(cluster.nodes[1], f'/bkt/{key}', versionId='null')
    assert seen['version_id'] == 'null'
    assert explain(cluster.nodes[1], f'/bkt/{key}')['version_id'] is None


WRONG = [
    'explain=', 'explain=/', 'explain=/bkt', 'explain=/bkt/', 'explain=bkt/k',
    'explain=//k', 'explain=/b/k', 'explain=/bkt/%', 'explain=/bkt/%zz',
    'explain=/bkt/%00', 'explain=/bkt/%ff', 'explain=/bkt%2F',
    f'explain=/bkt/{"k" * 1025}', f'explain=/bkt/{"k" * 5000}',
    'explain=/bkt/k&zone=', 'explain=/bkt/k&zone=cold',
    'explain=/bkt/k&zone=%', 'explain=/bkt/k&offset=',
    'explain=/bkt/k&offset=-1', 'explain=/bkt/k&offset=1k',
    'explain=/bkt/k&offset=99999999999999999999',
    'explain=/bkt/k&versionId=%', f'explain=/bkt/k&versionId={"v" * 1025}']


def test_arguments_that_are_wrong(origin, make_gateway):
    nginx = make_gateway(origin)
    for query in WRONG:
        for path in ('/status', '/metrics'):
            answer = nginx.request(target=f'{path}?{query}', name='status')
            assert answer.status == 400, (query, answer.body)
            assert answer.headers['Content-Type'] == 'application/json'
            assert json.loads(answer.body)['error'], query


def test_zones_and_origins_are_told_apart(origin, make_nginx):
    nginx = make_nginx(
        http='s3_cache_zone hot:16m; s3_cache_zone cold:16m;'
             's3_cache_zone none:8m;',
        server=f'''
            s3_cache_valid 200 1h;
            location / {{ s3_cache hot; s3_cache_origin {origin.url}; }}
            location /other {{ s3_cache hot;
                               s3_cache_origin http://127.0.0.1:9; }}
            location /cold {{ s3_cache cold; s3_cache_origin {origin.url};
                              location /cold/x {{
                                  s3_cache_headers off; }} }}''')
    nginx.start()
    origin.put('bkt', 'k', b'x')
    assert nginx.request(target='/bkt/k').status == 200
    assert nginx.request(target='/status?explain=/bkt/k',
                         name='status').status == 400
    assert nginx.request(target='/status?explain=/bkt/k&zone=none',
                         name='status').status == 400
    hot = explain(nginx, '/bkt/k', zone='hot')['objects']
    assert {o['origin']: o['nodes'][0]['tier'] for o in hot} == {
        origin.url: 'ram', 'http://127.0.0.1:9': None}
    cold = explain(nginx, '/bkt/k', zone='cold')['objects']
    assert [o['nodes'][0]['tier'] for o in cold] == [None]


def test_head_and_other_methods(origin, make_cluster):
    cluster = make_cluster(origin)
    target = '/status?explain=/bkt/k'
    answer = raw_http.ask(cluster.nodes[0].port('status'), 'HEAD', target)
    assert answer.status == 200 and answer.body == b''
    answer = cluster.nodes[0].request('POST', target, name='status')
    assert answer.status == 405


def test_a_client_that_leaves_ends_the_questions(origin, make_cluster):
    """While a node is silent; and a worker that has to end does end."""
    cluster = make_cluster(origin, block='timeout 1h; hedge 0;', workers=1)
    cluster.key_of(1)
    cluster.nodes[0].request('HEAD', f'/bkt/{cluster.key_of(1)}')
    assert counted(cluster.nodes[0], 'node1')['links'] == 1
    port = cluster.nodes[0].port('status')
    before = counted(cluster.nodes[0], 'node1')['asks']
    with stopped(cluster.nodes[1]):
        clients = []
        for i in range(20):
            client = socket.create_connection(('127.0.0.1', port))
            client.sendall(f'GET /status?explain=/bkt/gone{i} HTTP/1.1\r\n'
                           'Host: x\r\n\r\n'.encode())
            clients.append(client)
        wait.until(lambda: counted(cluster.nodes[0], 'node1')['asks']
                   >= before + 20, 'questions')
        for client in clients:
            client.close()
        # nothing waits any more, or this would take an hour
        cluster.nodes[0].reload(wait_old=True)
    assert the_object(cluster.nodes[0], '/bkt/k')['nodes']


def test_many_questions_at_one_time(origin, make_cluster):
    """With reloads of the node that is asked and of the one that asks."""
    cluster = make_cluster(origin)
    mine = Objects(origin, 30, (0, 200_000))
    mine.fetch(cluster.nodes[0])
    for turn in range(3):
        for target in mine.targets:
            found = the_object(cluster.nodes[turn], target)
            first = has(found, found['owners'][0])
            assert first['tier'] == 'ram' and first['error'] is None
        cluster.nodes[turn].reload(wait_old=True)
