# SPDX-License-Identifier: Apache-2.0
"""Lists in a ring, where each node keeps its own pages, and before a real store:
no node shows an older one than what a client has written through another."""

import concurrent.futures
import os
import signal
import threading

import pytest

import raw_http
from event_tells import TOKEN, told
from lib import events, s3client, wait
from list_reads import (ABOVE, DIRS, HOUR, Later, all_but, fill, keys_of, page,
                        put, results, target)
from origin.scripted_origin import ScriptedOrigin
from peer_reads import get, make_cluster, stopped
from test_coherence import QUICK, all_vouched, ring, vouched

__all__ = ['make_cluster']


@pytest.fixture
def origin():
    with ScriptedOrigin() as started:
        for key in ('a/b/c', 'a/z/1', 'x/y/1', 'ax1'):
            started.put('bkt', key, b'x')
        yield started


@pytest.fixture
def cluster(make_cluster, origin):
    return ring(make_cluster, origin, location=HOUR)


def kept(cluster):
    wait.until(lambda: all(set(results(node).values()) == {'HIT'}
                           for node in cluster.nodes), 'all to be kept')


def dropped_everywhere(cluster, gone):
    """That the write is over its other nodes learn a moment after its client:
    until then they ask the origin."""
    for node in cluster.nodes:
        found = results(node)
        assert {p for p, result in found.items() if result != 'HIT'} \
            == set(gone), found


def lists(origin):
    return [r for r in origin.requests if not r.key and r.method == 'GET']


# --- a ring ------------------------------------------------------------------

def test_a_write_through_one_node_drops_the_pages_of_all(cluster, origin):
    for n, writer in enumerate(cluster.nodes):
        for node in cluster.nodes:
            fill(node)
        assert put(writer, f'a/b/k{n}').status == 200
        dropped_everywhere(cluster, ABOVE)
        for node in cluster.nodes:
            assert f'a/b/k{n}' in page(node, 'a/b/')[1]
        assert put(writer, f'a/b/k{n}', method='DELETE').status == 204
        for node in cluster.nodes:
            assert page(node, 'a/b/')[1] == ['a/b/c']
        kept(cluster)
    # and that stays so: nothing comes later
    asked = len(lists(origin))
    for _ in range(3):
        for node in cluster.nodes:
            assert results(node) == all_but(())
    assert len(lists(origin)) == asked
    assert sum(n.zone()['writes']['unsure_reads'] for n in cluster.nodes) == 0


def test_while_it_is_written_all_nodes_ask_the_origin(cluster, origin):
    for node in cluster.nodes:
        fill(node)
    gate = origin.gate()
    rule = origin.on('bkt', 'a/b/k', method='PUT', gate=gate)
    write = Later(put, cluster.nodes[0], 'a/b/k')
    gate.wait_reached()
    for _ in range(2):
        for node in cluster.nodes:
            assert results(node) == all_but(ABOVE, instead='BYPASS')
    gate.open()
    assert write.get().status == 200
    origin.off(rule)
    for node in cluster.nodes:
        assert 'a/b/k' in page(node, 'a/b/')[1]
    kept(cluster)


def test_an_outcome_that_nobody_knows_is_so_at_all_nodes(cluster, origin):
    for node in cluster.nodes:
        fill(node)
    rule = origin.on('bkt', 'a/b/k', method='PUT', drop=True)
    assert put(cluster.nodes[1], 'a/b/k').status == 502
    origin.off(rule)
    for _ in range(2):
        for node in cluster.nodes:
            assert results(node) == all_but(ABOVE, instead='BYPASS')


def test_many_keys_of_one_request(cluster, origin):
    keys = [f'{n}/{n}/{n}/{n}/k' for n in range(300)] + ['a/b/k', 'a/b/l']
    for key in keys:
        origin.put('bkt', key, b'x')
    dirs = [*DIRS, '0/', '299/299/', '150/150/150/']
    for node in cluster.nodes:
        fill(node, dirs)
    document = '<Delete>%s</Delete>' % ''.join(
        f'<Object><Key>{key}</Key></Object>' for key in keys)
    assert put(cluster.nodes[2], '', document.encode(), 'POST',
               query='?delete').status == 200
    for node in cluster.nodes:
        for prefix in ('0/', '299/299/', '150/150/150/'):
            assert page(node, prefix)[1] == []
        assert page(node, 'a/b/')[1] == ['a/b/c']
    wait.until(lambda: all(set(results(node, dirs).values()) == {'HIT'}
                           for node in cluster.nodes), 'all to be kept again')


def test_a_crowd_of_fences_holds_all_lists_back(cluster, origin):
    """So many directories that a node which is told of them fences the bucket's
    lists as a whole."""
    def many(turn):
        document = '<Delete>%s</Delete>' % ''.join(
            f'<Object><Key>{turn}{n}/2/3/4/5/6/7/8/k</Key></Object>'
            for n in range(1000))
        return put(cluster.nodes[0], '', document.encode(), 'POST',
                   query='?delete')

    fill(cluster.nodes[1])
    gate = origin.gate()
    rule = origin.on('bkt', '', method='POST', gate=gate)
    crowd = [Later(many, turn) for turn in range(5)]
    gate.wait_reached(5, 60)
    assert page(cluster.nodes[1], 'x/')[0] == 'BYPASS'
    assert put(cluster.nodes[2], 'a/b/k').status == 200
    gate.open()
    assert [each.get().status for each in crowd] == [200] * 5
    origin.off(rule)
    for node in cluster.nodes:
        assert 'a/b/k' in page(node, 'a/b/')[1]
    kept(cluster)
    assert sum(n.zone()['writes']['refused'] for n in cluster.nodes) == 0


def test_an_event_for_one_node_is_one_for_all(make_cluster, origin):
    cluster = ring(make_cluster, origin, location=HOUR, server=(
        'location = /-/events { s3_cache hot; s3_cache_block_size 64k;'
        f' s3_cache_origin {origin.url}; s3_cache_events token={TOKEN}; }}\n'))
    for n, teller in enumerate(cluster.nodes):
        for node in cluster.nodes:
            fill(node)
        origin.put('bkt', f'a/b/k{n}', b'x')
        told(teller, events.s3('bkt', f'a/b/k{n}'))
        dropped_everywhere(cluster, ABOVE)
        for node in cluster.nodes:
            assert f'a/b/k{n}' in page(node, 'a/b/')[1]


def test_a_node_that_hangs_learns_of_the_write_when_it_returns(
        make_cluster, origin):
    cluster = ring(make_cluster, origin, location=HOUR,
                   block=QUICK + '    staleness 1s;\n')
    away = cluster.nodes[2]
    for node in cluster.nodes:
        fill(node)
    with stopped(away):
        assert put(cluster.nodes[0], 'a/b/k').status == 200
        for node in cluster.nodes[:2]:
            assert 'a/b/k' in page(node, 'a/b/')[1]
    # within the time of `staleness` it may have the older ones still
    wait.until(lambda: 'a/b/k' in page(away, 'a/b/')[1], 'the new one')
    all_vouched(cluster)
    for node in cluster.nodes:
        for prefix in ABOVE[:-1]:
            assert ('a/b/k' in page(node, prefix)[1]) == (prefix != 'ax')


@pytest.mark.parametrize('freshness', ['ttl', 'immutable'])
def test_while_a_node_is_away_lists_are_asked_for_again(
        make_cluster, origin, freshness):
    """It may write what it cannot tell. Objects may be such that never change:
    a list shows those that come."""
    cluster = ring(make_cluster, origin, block=QUICK
                   + '    staleness 500ms;\n',
                   location=f'{HOUR} s3_cache_freshness {freshness};')
    here = [cluster.nodes[0], cluster.nodes[2]]
    for node in here:
        fill(node)
    cluster.nodes[1].kill_all()
    wait.until(lambda: not any(vouched(node) for node in here),
               'the others to notice')
    origin.put('bkt', 'a/b/k', b'x')
    wait.until(lambda: all('a/b/k' in page(node, 'a/b/')[1] for node in here),
               'the newer list')
    assert sum(n.zone()['writes']['unsure_reads'] for n in here) > 0
    cluster.nodes[1].start()
    all_vouched(cluster)
    for node in cluster.nodes:
        assert 'a/b/k' in page(node, 'a/b/')[1]
    kept(cluster)


@pytest.mark.parametrize('how', ['worker', 'reload'])
def test_workers_come_and_go(cluster, how):
    for turn in range(6):
        node = cluster.nodes[turn % 3]
        if how == 'reload':
            node.reload()
        else:
            node.kill_worker(node.worker_pids()[turn % 2])
        assert put(cluster.nodes[(turn + 1) % 3], f'a/b/k{turn}').status == 200
        for node in cluster.nodes:
            seen = wait.until(lambda n=node: page(n, 'a/b/'), 'an answer')
            assert f'a/b/k{turn}' in seen[1]


@pytest.mark.parametrize('how', ['', 'HOUR'])
def test_a_node_that_begins_to_keep_lists_under_a_write(
        make_cluster, origin, how):
    """It was told of the write when it kept none (or those of other workers)."""
    cluster = ring(make_cluster, origin, location=HOUR if how else '')
    for node in cluster.nodes:
        page(node, 'a/b/')
    gate = origin.gate()
    rule = origin.on('bkt', 'a/b/k', method='PUT', gate=gate)
    write = Later(put, cluster.nodes[0], 'a/b/k')
    gate.wait_reached()
    for node in cluster.nodes[1:]:
        if not how:
            node.pieces['server'] = node.pieces['server'].replace(
                's3_cache hot;', f's3_cache hot; {HOUR}', 1)
        node.reload()
        assert page(node, 'a/b/') == ('BYPASS', ['a/b/c'])
    gate.open()
    assert write.get().status == 200
    origin.off(rule)
    for node in cluster.nodes[1:]:
        assert 'a/b/k' in page(node, 'a/b/')[1]
        wait.until(lambda n=node: page(n, 'a/b/')[0] == 'HIT',
                   'it to be kept')


def test_an_old_worker_is_told_of_a_write(make_cluster, origin):
    """It stood still while nginx was reloaded; a link that is in use is still
    its own. What it does not know of, the new one keeps."""
    cluster = make_cluster(origin, workers=1, valid='200 206 1h',
                           block='    timeout 30s;\n')
    all_vouched(cluster)
    writer, told_one = cluster.nodes[:2]
    key = cluster.key_of(1)
    origin.put('bkt', key, b'x' * 3_000_000)
    gate = origin.gate(at=10_000)
    rule = origin.on('bkt', key, gate=gate)
    reader = Later(get, writer, f'/bkt/{key}')
    gate.wait_reached()
    old, = told_one.worker_pids()
    told_one.pieces['server'] = told_one.pieces['server'].replace(
        's3_cache hot;', f's3_cache hot; {HOUR}', 1)
    told_one.write_conf()
    os.kill(old, signal.SIGSTOP)
    try:
        told_one.send_signal(signal.SIGHUP)
        wait.until(lambda: len(told_one.worker_pids()) == 2, 'a new worker')
        new = raw_http.Connection(told_one.port())

        def shown():
            new.request('GET', target('a/b/'))
            answer = new.answer()
            return answer['X-Cache'], keys_of(answer.body)

        assert shown() == ('MISS', ['a/b/c'])
        write = Later(put, writer, 'a/b/k')
        origin.wait_requests(1, method='PUT')
        assert shown() == ('HIT', ['a/b/c'])
    finally:
        os.kill(old, signal.SIGCONT)
    assert write.get().status == 200
    assert shown()[1] == ['a/b/c', 'a/b/k']
    gate.open()
    assert len(reader.get().body) == 3_000_000
    origin.off(rule)
    wait.until(lambda: shown()[0] == 'HIT', 'it to be kept')
    new.close()


@pytest.mark.deadline(180)
def test_whoever_has_written_sees_it_at_every_node(cluster, origin):
    stop, wrong = threading.Event(), []

    def client(n):
        for turn in range(40):
            prefix = ('', 'a/', 'a/b/')[turn % 3]
            key = f'{prefix}mine{n}'
            for method in ('PUT', 'DELETE'):
                writer = cluster.nodes[(n + turn) % 3]
                assert put(writer, key, method=method).status in (200, 204)
                for at, node in enumerate(cluster.nodes):
                    seen = key in page(node, prefix)[1]
                    if seen != (method == 'PUT'):
                        wrong.append((n, turn, method, at))

    def reader():
        while not stop.is_set():
            for node in cluster.nodes:
                for look in ('', 'a/', 'a/b/', 'x/'):
                    page(node, look)

    readers = [Later(reader) for _ in range(2)]
    for each in [Later(client, n) for n in range(3)]:
        each.get(150)
    stop.set()
    for each in readers:
        each.get()
    assert not wrong
    assert sum(n.zone()['lists']['hit'] for n in cluster.nodes) > 100


# --- a real store ------------------------------------------------------------

@pytest.fixture
def filled(rgw_s3, bucket):
    """More keys than a page has, some of them odd."""
    keys = [f'many/{n:04}' for n in range(1010)] + [
        'a b/c+d', 'a b/é', 'dir/', 'dir/x', 'dir/y/z', 'top', 'x&y<z>"\'']
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: rgw_s3.put_object(
            Bucket=bucket, Key=key, Body=b'x'), keys))
    return sorted(keys)


def pages(s3, operation, **more):
    """What a client sees of all pages."""
    found = []
    for each in s3.get_paginator(operation).paginate(**more):
        each.pop('ResponseMetadata')
        found.append(each)
    return found


@pytest.mark.parametrize('operation', ['list_objects', 'list_objects_v2'])
def test_pages_of_a_real_store(make_gateway, rgw, rgw_s3, bucket, filled,
                               operation):
    gateway = make_gateway(rgw, location=HOUR)
    s3 = s3client.of(rgw, gateway.url())
    asked = [{}, {'PaginationConfig': {'PageSize': 100}}, {'Prefix': 'many/'},
             {'Delimiter': '/'}, {'Prefix': 'a b/', 'Delimiter': '/'},
             {'Prefix': 'dir/'}, {'Prefix': 'none'},
             {'Prefix': 'x&y<z>"\''}]
    if operation == 'list_objects_v2':
        asked += [{'StartAfter': 'many/0500'}, {'FetchOwner': True}]
    else:
        asked += [{'Marker': 'many/0500'}]
    for more in asked:
        direct = pages(rgw_s3, operation, Bucket=bucket, **more)
        for _ in range(2):
            assert pages(s3, operation, Bucket=bucket, **more) == direct
    found = gateway.zone()['lists']
    assert found['kept'] == found['hit'] > 20
    assert found['refused'] == 0

    keys = [row['Key'] for each in pages(s3, operation, Bucket=bucket)
            for row in each['Contents']]
    assert keys == filled
    s3.put_object(Bucket=bucket, Key='many/1', Body=b'x')
    s3.delete_object(Bucket=bucket, Key='dir/x')
    for more in asked:
        direct = pages(rgw_s3, operation, Bucket=bucket, **more)
        assert pages(s3, operation, Bucket=bucket, **more) == direct
    assert gateway.zone()['requests']['bypass'] == 2         # the writes


def test_a_bucket_of_a_real_store_comes_and_goes(make_gateway, rgw, bucket):
    gateway = make_gateway(rgw, location=HOUR)
    s3 = s3client.of(rgw, gateway.url())
    for turn in range(2):
        s3.put_object(Bucket=bucket, Key='k', Body=b'x')
        for _ in range(2):
            assert s3.list_objects_v2(Bucket=bucket)['KeyCount'] == 1
        s3.delete_objects(Bucket=bucket, Delete={'Objects': [{'Key': 'k'}]})
        for _ in range(2):
            assert s3.list_objects_v2(Bucket=bucket)['KeyCount'] == 0
        s3.delete_bucket(Bucket=bucket)
        for _ in range(2):
            answer = raw_http.ask(gateway.port(), 'GET', f'/{bucket}')
            assert answer.element('Code') == 'NoSuchBucket'
        s3.create_bucket(Bucket=bucket)
        assert s3.list_objects_v2(Bucket=bucket)['KeyCount'] == 0
