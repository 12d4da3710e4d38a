# SPDX-License-Identifier: Apache-2.0
"""Redis goes, comes back, forgets and lies: whatever happens to it, the last
ring stays."""

import re
import socket
import threading

import pytest

from lib import ports, wait
from lib import redis as redis_lib
from redis_nodes import SAID, agree, beats_on, redis_stat, roster, server
from redis_nodes import ring    # noqa: F401 (a fixture)


# --- Redis goes and comes -----------------------------------------------------

def test_while_redis_is_down_the_ring_stays(ring, make_redis):
    redis = make_redis()
    nodes = ring.start('abc', server(redis))
    agree(nodes, 'a b c')
    redis.kill()
    for node in nodes:
        node.wait_log(r'\[error\].*(closed the connection|cannot be '
                      r'connected); the ring stays')
    # as often as it takes more than any lease: 50 ms, then twice as long
    for node in nodes:
        tried = redis_stat(node, 'errors', 'away')
        wait.until(lambda n=node, t=tried:
                   redis_stat(n, 'errors', 'away') >= t + 6, 'attempts', 30)
    for node in nodes:
        assert set(roster(node)[1]) == set('abc')
        assert len(re.findall('cannot be connected', node.log())) <= 1
    redis.start()
    agree(nodes, 'a b c')
    for node in nodes:
        node.wait_log('answers again')


def test_a_redis_that_begins_empty_empties_no_ring(ring, make_redis):
    redis = make_redis()
    nodes = ring.start('abc', server(redis))
    epoch = agree(nodes, 'a b c')
    redis.restart()
    wait.until(lambda: set(redis.members()) == set('abc'), redis.members)
    assert agree(nodes, 'a b c') > epoch
    for node in nodes:
        assert all(len(m.split()) >= 3 for e, m in SAID.findall(node.log())
                   if int(e) >= epoch)


def test_a_redis_that_is_emptied_empties_no_ring(ring, make_redis):
    # a long lease: nothing here may wait for one to end by itself
    redis = make_redis()
    nodes = ring.start('abc', server(redis), lease=6000)
    epoch = agree(nodes, 'a b c', timeout_s=20)
    beats_on(nodes[0], 1)
    redis('FLUSHALL')
    wait.until(lambda: redis.epoch() > epoch
               and set(redis.members()) == set('abc'), redis.members)
    agree(nodes, 'a b c', timeout_s=20)
    for node in nodes:
        assert all(len(m.split()) >= 3 for e, m in SAID.findall(node.log())
                   if int(e) >= epoch)


def test_who_dies_while_redis_is_down_is_dropped_after_it(ring, make_redis):
    redis = make_redis()
    a, b, c = ring.start('abc', server(redis))
    agree([a, b, c], 'a b c')
    redis.kill()
    a.wait_log('closed the connection')
    c.kill_all()
    redis.start()
    agree([a, b], 'a b')


@pytest.mark.parametrize('how', ['freeze', 'kill'])
def test_the_next_server_is_asked(ring, make_redis, how):
    one, two = make_redis(), make_redis()
    a, b = ring.start('ab', server(one) + ' ' + server(two))
    wait.until(lambda: len(one.members()) + len(two.members()) >= 2, 'both')
    first, second = (one, two) if one.members().get('a') else (two, one)
    getattr(first, how)()
    wait.until(lambda: 'a' in second.members(), second.members)


def test_a_replica_is_not_taken(ring, make_redis):
    main = make_redis()
    replica = make_redis(f'replicaof 127.0.0.1 {main.port}')
    a, b = ring.start('ab', server(replica) + ' ' + server(main))
    agree([a, b], 'a b')
    assert set(main.members()) == {'a', 'b'}
    main('REPLICAOF', '127.0.0.1', 1)    # and it becomes one
    a.wait_log(r'is a replica that cannot be written \("')
    main('REPLICAOF', 'NO', 'ONE')
    beats_on(a)


def test_a_sentinel_says_who_the_master_is(ring, make_redis):
    main = make_redis()
    replica = make_redis(f'replicaof 127.0.0.1 {main.port}')
    sentinel = make_redis(
        f'sentinel monitor mine 127.0.0.1 {main.port} 1\n'
        'sentinel down-after-milliseconds mine 500\n'
        'sentinel failover-timeout mine 2000', kind=redis_lib.Sentinel)
    dead = ports.reserve()
    nodes = ring.start('ab', f'sentinel 127.0.0.1:{dead}; '
                             f'sentinel 127.0.0.1:{sentinel.port}; '
                             'master mine;')
    agree(nodes, 'a b')
    assert set(main.members()) == {'a', 'b'}
    wait.until(lambda: b'slave0' in replica_info(main), 'replica')
    wait.until(lambda: sentinel('SENTINEL', 'slaves', 'mine'), 'replica known')
    main.kill()
    wait.until(lambda: 'master' == replica('ROLE')[0].decode(), 'failover', 30)
    wait.until(lambda: set(replica.members()) == {'a', 'b'}, 'members', 20)
    agree(nodes, 'a b')
    for node in nodes:
        assert all(len(m.split()) >= 2 for _, m in
                   SAID.findall(node.log())[2:])
    ports.release(dead)


def replica_info(redis):
    return redis('INFO', 'replication')


def test_a_sentinel_that_knows_no_such_master(ring, make_redis):
    sentinel = make_redis(kind=redis_lib.Sentinel)
    node, = ring.start('a', f'sentinel 127.0.0.1:{sentinel.port}; master x;')
    node.wait_log('does not know the "master"')
    assert redis_stat(node, 'errors', 'denied') > 0


def test_a_server_of_a_cluster_says_where_the_keys_are(ring, make_redis):
    options = ('cluster-enabled yes\ncluster-config-file @dir@/nodes.conf\n'
               'cluster-port @bus@\n'
               'cluster-node-timeout 2000\nappendonly no')
    redis = make_redis(options)
    node, = ring.start('a', server(redis))
    node.wait_log('CLUSTERDOWN|is of a cluster that is down')
    redis('CLUSTER', 'ADDSLOTSRANGE', 0, 16383)
    agree([node], 'a')


# --- Redis lies ---------------------------------------------------------------

GARBAGE = [b'', b'x', b's3c1', b's3c1 127.0.0.1:1', b's3c1 name:1 ready',
           b's3c1 127.0.0.1:1 ready weight=1001', b'\xff' * 40, b'y' * 100000,
           b's3c1 127.0.0.1:1 ready\nb s3c1 127.0.0.1:2 ready']


def test_damaged_values_are_refused_and_counted(ring, make_redis):
    redis = make_redis()
    a, b = ring.start('ab', server(redis))
    agree([a, b], 'a b')
    for i, value in enumerate(GARBAGE):
        redis('HSET', '{s3_cache:hot}:members', f'x{i}', value)
        redis('ZADD', '{s3_cache:hot}:leases', 10 ** 13, f'x{i}')
    redis('ZADD', '{s3_cache:hot}:leases', 10 ** 13, b'z' * 100000)
    seconds = int(redis('TIME')[0])
    for i, value in enumerate(GARBAGE):
        redis('HSET', '{s3_cache:hot}:members', f'y {i}', value)
        redis('HSET', '{s3_cache:hot}:members', f'v{i}', value)
        redis('ZADD', '{s3_cache:hot}:leases', seconds * 1000 + 600000,
              f'y {i}')
        redis('ZADD', '{s3_cache:hot}:leases', seconds * 1000 + 600000,
              f'v{i}')
    redis('INCR', '{s3_cache:hot}:epoch')
    for node in (a, b):
        wait.until(lambda: redis_stat(node, 'refused_values')
                   >= 2 * len(GARBAGE), lambda: node.zone()['redis'])
        assert roster(node)[1] == {'a': 'ready', 'b': 'ready'}
    # what lies far ahead is nobody's lease
    assert not [n for n in redis.members() if n.startswith(('x', 'z'))]


def test_a_damaged_value_of_a_node_is_mended(ring, make_redis):
    redis = make_redis()
    a, b = ring.start('ab', server(redis))
    agree([a, b], 'a b')
    beats_on(a, 5)
    redis('HSET', '{s3_cache:hot}:members', 'b', 'garbage')
    redis('INCR', '{s3_cache:hot}:epoch')
    beats_on(b, 3)
    agree([a, b], 'a b')
    assert redis.members()['b'].startswith('s3c1 ')
    assert all(len(m.split()) >= 2 for m in redis_lines(a)[2:])


def redis_lines(node):
    return [m for _, m in SAID.findall(node.log())]


@pytest.mark.parametrize('key', ['leases', 'members', 'epoch'])
def test_keys_of_another_type(ring, make_redis, key):
    redis = make_redis()
    a, b = ring.start('ab', server(redis))
    agree([a, b], 'a b')
    redis('DEL', f'{{s3_cache:hot}}:{key}')
    redis('RPUSH', f'{{s3_cache:hot}}:{key}', 'x')
    a.wait_log('has something else under the names of our keys')
    assert set(roster(a)[1]) == {'a', 'b'}
    redis('DEL', f'{{s3_cache:hot}}:{key}')
    agree([a, b], 'a b')


def test_an_epoch_that_is_none(ring, make_redis):
    redis = make_redis()
    a, b = ring.start('ab', server(redis))
    epoch = agree([a, b], 'a b')
    for lie in ('garbage', '-5', '1e300', 'nan', '0.5', '99999999999999999999',
                '0'):
        redis('SET', '{s3_cache:hot}:epoch', lie)
        wait.until(lambda: redis('GET', '{s3_cache:hot}:epoch').isdigit()
                   and epoch < redis.epoch() < epoch + 100,
                   lambda: redis('GET', '{s3_cache:hot}:epoch'))
        assert agree([a, b], 'a b') > epoch
    redis('SET', '{s3_cache:hot}:epoch', 10 ** 12)
    wait.until(lambda: roster(a)[0] == roster(b)[0] == 10 ** 12, 'followed')


def test_too_many_members(ring, make_redis):
    redis = make_redis()
    a, b = ring.start('ab', server(redis))
    agree([a, b], 'a b')
    words = []
    end = int(redis('TIME')[0]) * 1000 + 600000
    for i in range(1100):
        words += [end, f'n{i}']
    redis('ZADD', '{s3_cache:hot}:leases', *words)
    a.wait_log('has more than 1024 members')
    assert set(roster(a)[1]) == {'a', 'b'}


def test_a_thousand_members(ring, make_redis):
    redis = make_redis()
    a, = ring.start('a', server(redis), lease=3000)
    agree([a], 'a')
    end = int(redis('TIME')[0]) * 1000 + 600000
    leases, values = [], []
    for i in range(1023):
        leases += [end, f'n{i}']
        values += [f'n{i}', f's3c1 10.1.{i // 250}.{i % 250}:9100 ready']
    client = redis.client()
    client('MULTI')
    client('HSET', '{s3_cache:hot}:members', *values)
    client('ZADD', '{s3_cache:hot}:leases', *leases)
    client('INCR', '{s3_cache:hot}:epoch')
    client('EXEC')
    client.close()
    a.wait_log(r'members 1024: 0 joining, 1024 ready, 0 leaving')


class Liar(threading.Thread):
    """Says what it likes to whoever connects."""

    def __init__(self, answer, unasked=False):
        super().__init__(daemon=True)
        self.answer, self.unasked = answer, unasked
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        held = []
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            s.settimeout(2)
            held = held[-20:] + [s]
            try:
                if not self.unasked:
                    s.recv(65536)
                s.sendall(self.answer)
            except OSError:
                pass

    def close(self):
        self.listener.close()


@pytest.mark.parametrize('answer, said', [
    (b'HTTP/1.1 400 Bad Request\r\n\r\n', 'does not answer as Redis would'),
    (b'*1000000000\r\n', 'does not answer as Redis would'),
    (b'*-7\r\n', 'does not answer as Redis would'),
    pytest.param(b'$2000000000\r\n' + b'x' * 3000000,
                 'has an answer that is too long', id='a bulk without end'),
    (b'$99999999999999999999999\r\n', 'does not answer as Redis would'),
    (b'*1\r\n' * 40, 'does not answer as Redis would'),
    (b'+OK\r\n', 'does not answer as Redis would'),
    (b':1\r\n', 'does not answer as Redis would'),
    (b'$-1\r\n', 'does not answer as Redis would'),
    (b'*-1\r\n', 'does not answer as Redis would'),
    (b'*0\r\n', 'does not answer as Redis would'),
    (b'*7\r\n' + b'$-1\r\n' * 7, 'does not answer as Redis would'),
    (b'*7\r\n' + b'*0\r\n' * 7, 'does not answer as Redis would'),
    (b'+OK\r\n+OK\r\n', 'says what nobody asked for'),
    (b'*7\r\n$4\r\ns3c1\r\n', 'does not answer in time'),
    (b'', 'does not answer in time'),
    (b'-\r\n', r'answers with an error \(""\)'),
    (b'-ERR \x1b[31m\0\n\r\n', r'answers with an error'),
    (b'-NOSCRIPT x\r\n', 'does not answer in time'),
    (b'-MOVED 1 127.0.0.1:1\r\n', 'says that another server of its cluster'),
    (b'-MOVED\r\n', 'says that another server of its cluster'),
    (b'-MOVED 1 :\r\n', 'says that another server of its cluster'),
])
def test_a_server_that_is_no_redis(ring, answer, said):
    liar = Liar(answer)
    node, = ring.start('a', f'server 127.0.0.1:{liar.port};')
    node.wait_log(rf's3_cache_redis "hot": 127.0.0.1:{liar.port} {said}')
    assert not SAID.search(node.log())
    node.quit()
    liar.close()


def test_a_server_that_speaks_first(ring):
    liar = Liar(b'+OK\r\n+OK\r\n', unasked=True)
    node, = ring.start('a', f'server 127.0.0.1:{liar.port};')
    node.wait_log('says what nobody asked for|does not answer as Redis would')
    liar.close()


def test_many_clients(ring, make_redis):
    redis = make_redis('maxclients 1')
    client = redis.client()
    node, = ring.start('a', server(redis))
    node.wait_log('has too many clients|closed the connection')
    client.close()
    agree([node], 'a')
