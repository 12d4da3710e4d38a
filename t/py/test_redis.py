# SPDX-License-Identifier: Apache-2.0
"""Membership by Redis: nodes join, leave and die without a reload, all come to
the same epoch, and whatever happens to Redis the last ring stays."""

import os
import re
import signal
import socket
import threading

import pytest

from lib import nginx as nginx_lib
from lib import ports, process, redis as redis_lib, wait

SECRET = 'a secret of the ring, for tests'
LEASE_MS = 1000
SAID = re.compile(r's3_cache_redis "hot": epoch (\d+), members(.*)')


class Ring:
    """Nodes whose members come from a redis-server: a, b, c.."""

    times = 'connect_timeout 500ms; timeout 500ms;'

    def __init__(self, make_nginx):
        self.make_nginx = make_nginx
        self.nodes = {}
        self.ports = {}

    def block(self, at, more='', lease=LEASE_MS):
        return (f's3_cache_redis hot {{\n    {at}\n    lease {lease}ms;\n'
                f'    {self.times}\n    {more}\n}}\n')

    def make(self, name, at, more='', member='', port=None, lease=LEASE_MS,
             **pieces):
        self.ports[name] = port = port or ports.reserve()
        node = self.make_nginx(
            http=nginx_lib.s3_zone()
            + f's3_cache_peers hot {{\n    member 127.0.0.1:{port} {member};\n'
              f'    self {name};\n    secret "{SECRET}";\n}}\n'
            + '@redis@'
            + f'server {{ listen 127.0.0.1:{port}; '
              'location / { s3_cache_peer_endpoint hot; } }\n',
            **pieces)
        node.pieces['redis'] = self.block(at, more, lease)
        self.nodes[name] = node
        return node

    def start(self, names, at, more='', **pieces):
        for name in names:
            self.make(name, at, more, **pieces).start()
        return [self.nodes[name] for name in names]

    def close(self):
        for port in self.ports.values():
            ports.release(port)


@pytest.fixture
def ring(make_nginx):
    made = Ring(make_nginx)
    yield made
    made.close()


def server(redis):
    return f'server 127.0.0.1:{redis.port};'


def roster(node):
    """(epoch, {name: state}, what else the line says), as published last."""
    said = SAID.findall(node.log())
    if not said:
        return 0, {}, ''
    epoch, text = said[-1]
    words, _, rest = text.partition(',')
    return int(epoch), dict(w.split('=') for w in words.split()), rest


def agree(nodes, members, timeout_s=10):
    """Waits until all nodes publish these members, with one epoch."""
    if isinstance(members, str):
        members = {name: 'ready' for name in members.split()}

    def all_do():
        said = [roster(node) for node in nodes]
        return (all(m == members for _, m, _ in said)
                and len({epoch for epoch, _, _ in said}) == 1)

    wait.until(all_do, lambda: f'{members}: '
               f'{[roster(node) for node in nodes]}', timeout_s)
    return roster(nodes[0])[0]


def redis_stat(node, *path):
    value = node.zone()['redis']
    for word in path:
        value = value[word]
    return value


def beats_on(node, n=3):
    """Waits for more beats: what is going on has gone on for a while."""
    before = redis_stat(node, 'beats')
    wait.until(lambda: redis_stat(node, 'beats') >= before + n, 'beats')


# --- joining and leaving ------------------------------------------------------

def test_three_nodes_come_to_one_epoch(ring, make_redis):
    redis = make_redis()
    nodes = ring.start('abc', server(redis), member='weight=2 zone=r1')
    epoch = agree(nodes, 'a b c')
    assert epoch == redis.epoch()
    for name, value in redis.members().items():
        assert re.fullmatch(rf's3c1 127\.0\.0\.1:{ring.ports[name]} ready '
                            r'weight=2 zone=r1 id=[0-9a-f]{32}', value)
    beats_on(nodes[0])
    assert roster(nodes[0])[0] == redis.epoch() == epoch
    assert redis_stat(nodes[0], 'errors', 'away') == 0


def test_the_address_is_the_one_by_which_redis_is_reached(ring, make_redis,
                                                          make_nginx):
    redis = make_redis()
    node = make_nginx(
        http=nginx_lib.s3_zone() + 's3_cache_peers hot { member 9100; self a; '
        f'secret "{SECRET}"; }}' + ring.block(server(redis))
        + 'server { listen 127.0.0.1:@port:p@; '
          'location / { s3_cache_peer_endpoint hot; } }').start()
    agree([node], 'a')
    assert redis.members()['a'].startswith('s3c1 127.0.0.1:9100 ready ')
    node.wait_log(r'\[warn\].*no other machine finds it')


def test_a_node_that_quits_is_gone_at_once(ring, make_redis):
    redis = make_redis()
    a, b, c = ring.start('abc', server(redis), lease=20000)
    agree([a, b, c], 'a b c')
    for node in (b, c):
        wait.until(lambda: len(redis.members()) >= 2, 'members')
        node.quit()
    wait.until(lambda: set(redis.members()) == {'a'}, redis.members, 3)


def test_a_node_that_is_stopped_is_gone_at_once(ring, make_redis):
    redis = make_redis()
    a, b = ring.start('ab', server(redis), lease=20000)
    agree([a, b], 'a b')
    b.stop()
    wait.until(lambda: set(redis.members()) == {'a'}, redis.members, 3)


def test_a_node_says_that_it_leaves_while_it_answers_its_last(
        ring, make_redis, origin):
    redis = make_redis()
    a, = ring.start('a', server(redis))
    # with others, the keeper's worker may have nothing left to answer
    b = ring.make('b', server(redis), workers=1,
                  server=nginx_lib.s3_location(origin.url)).start()
    agree([a, b], 'a b')
    with socket.create_connection(('127.0.0.1', b.port())) as s:
        # a request that has begun keeps its worker
        s.sendall(b'PUT /bkt/key HTTP/1.1\r\nHost: x\r\n'
                  b'Content-Length: 10\r\n\r\n12345')
        b.send_signal(signal.SIGQUIT)
        agree([a], {'a': 'ready', 'b': 'leaving'})
    b.quit()
    agree([a], 'a')


def test_a_node_that_is_killed_is_gone_when_its_lease_ends(ring, make_redis):
    redis = make_redis()
    a, b, c = ring.start('abc', server(redis))
    agree([a, b, c], 'a b c')
    beats_on(a, 4)
    c.kill_all()
    beats = redis_stat(a, 'beats')
    agree([a, b], 'a b')
    # three of them make a lease: it took two leases at most
    assert redis_stat(a, 'beats') <= beats + 7


def test_a_node_that_comes_back_takes_its_lease_over(ring, make_redis):
    redis = make_redis()
    a, b = ring.start('ab', server(redis), lease=20000)
    agree([a, b], 'a b')
    before = redis.members()['b']
    b.kill_all()
    b.start()
    wait.until(lambda: redis.members()['b'] > before, redis.members)
    assert redis_stat(b, 'errors', 'name') == 0


def test_a_worker_that_is_killed_is_not_noticed(ring, make_redis):
    redis = make_redis()
    a, b = ring.start('ab', server(redis))
    epoch = agree([a, b], 'a b')
    worker = next(pid for pid in b.worker_pids()
                  if redis_port_of(pid, redis))
    b.kill_worker(worker)
    beats_on(b, 4)
    assert agree([a, b], 'a b') == epoch == redis.epoch()


def redis_port_of(pid, redis):
    """Does this process have a connection to Redis?"""
    inodes = set()
    with open('/proc/net/tcp', encoding='ascii') as f:
        for line in list(f)[1:]:
            words = line.split()
            if int(words[2].rpartition(':')[2], 16) == redis.port:
                inodes.add(words[9])
    for fd in os.listdir(f'/proc/{pid}/fd'):
        try:
            link = os.readlink(f'/proc/{pid}/fd/{fd}')
        except OSError:
            continue
        if link.startswith('socket:[') and link[8:-1] in inodes:
            return True
    return False


def test_a_reload_is_not_noticed(ring, make_redis):
    redis = make_redis()
    a, b = ring.start('ab', server(redis))
    epoch = agree([a, b], 'a b')
    for _ in range(3):
        b.reload(wait_old=True)
        beats_on(b)
    assert agree([a, b], 'a b') == epoch == redis.epoch()
    assert not re.search('leaving', a.log())


def test_a_reload_while_redis_is_away_keeps_the_ring(ring, make_redis):
    redis = make_redis()
    a, b = ring.start('ab', server(redis))
    epoch = agree([a, b], 'a b')
    redis.freeze()
    b.wait_log('does not answer in time')
    b.reload(wait_old=True)
    redis.thaw()
    agree([a, b], 'a b')
    assert redis.epoch() >= epoch
    assert "b=" in redis_line(b) and "a=" in redis_line(b)


def redis_line(node):
    return SAID.findall(node.log())[-1][1]


def test_what_a_reload_changes_is_said(ring, make_redis):
    redis = make_redis()
    a, b = ring.start('ab', server(redis))
    agree([a, b], 'a b')
    b.reload(http=b.pieces['http'].replace(
        f'member 127.0.0.1:{ring.ports["b"]} ;',
        f'member 127.0.0.1:{ring.ports["b"]} weight=7;'))
    wait.until(lambda: 'weight=7' in redis.members()['b'], redis.members)
    agree([a, b], 'a b')


def test_a_reload_without_redis_leaves(ring, make_redis):
    redis = make_redis()
    a, b = ring.start('ab', server(redis), lease=20000)
    agree([a, b], 'a b')
    b.reload(redis='', http=re.sub(
        r'member (\S+) ;', r'node b \1;', b.pieces['http']), wait_old=True)
    wait.until(lambda: set(redis.members()) == {'a'}, redis.members, 5)


def test_a_later_nginx_of_this_node_takes_over(ring, make_redis):
    """As in an upgrade of the binary: both run for a while."""
    redis = make_redis()
    a, = ring.start('a', server(redis))
    port = ring.ports['a']
    agree([a], 'a')
    before = redis.members()['a']
    # the same node, but that both listen
    again = ring.make('a', server(redis), port=port)
    again.pieces['http'] = again.pieces['http'].replace(
        f'listen 127.0.0.1:{port};', 'listen 127.0.0.1:@port:other@;')
    again.start()
    a.wait_log('a later nginx has this node\'s lease now')
    assert redis.members()['a'] > before
    beats_on(again)
    epoch = redis.epoch()
    a.quit()
    beats_on(again)
    assert redis.epoch() == epoch
    assert set(redis.members()) == {'a'}


def test_two_nodes_of_one_name(ring, make_redis):
    redis = make_redis()
    a, = ring.start('a', server(redis))
    first = ring.ports['a']
    agree([a], 'a')
    thief = ring.make('a', server(redis)).start()
    thief.wait_log(r'\[error\].*has a lease of this node\'s name at another '
                   r'address \("s3c1 127.0.0.1:%d' % first)
    assert redis_stat(thief, 'errors', 'name') > 0
    assert f':{first} ' in redis.members()['a']
    assert not SAID.search(thief.log())
    ring.ports['first'] = first
    a.stop()                            # then it is free
    agree([thief], 'a')


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
               'cluster-node-timeout 2000\nappendonly no')
    redis = make_redis(options)
    node, = ring.start('a', server(redis))
    node.wait_log('CLUSTERDOWN|is of a cluster that is down')
    redis('CLUSTER', 'ADDSLOTSRANGE', 0, 16383)
    agree([node], 'a')


# --- who may ------------------------------------------------------------------

def test_a_password(ring, make_redis, tmp_path):
    redis = make_redis('requirepass topsecretword', password='topsecretword')
    path = tmp_path / 'password'
    path.write_text('topsecretword\nmore\n')
    path.chmod(0o600)
    a, = ring.start('a', server(redis), f'password file={path};')
    agree([a], 'a')
    b, = ring.start('b', server(redis), 'password wrongword;')
    b.wait_log(r'does not accept the "username" and "password"|'
               r'does not accept the "password"')
    c, = ring.start('c', server(redis))
    c.wait_log(r'wants a "password"')
    for node in (a, b, c):
        assert 'word"' not in node.log().replace('"password"', '')
        assert 'topsecretword' not in node.log()


def test_a_user_with_no_more_than_is_needed(ring, make_redis):
    """The rights are those that docs/directives.md gives."""
    with open(os.path.join(nginx_lib.REPO, 'docs', 'directives.md'),
              encoding='utf-8') as f:
        rights = re.search(r'ACL SETUSER s3cache on >secret (.*)',
                           f.read()).group(1)
    redis = make_redis(f'user s3cache on >secret {rights}')
    node, = ring.start('a', server(redis),
                       'username s3cache; password secret;')
    agree([node], 'a')
    redis('ACL', 'SETUSER', 's3cache', '-eval', '-evalsha')
    node.wait_log(r'does not permit its user what is needed')


def test_a_database_and_a_prefix(ring, make_redis):
    redis = make_redis()
    node, = ring.start('a', server(redis), 'database 3; prefix other;')
    agree([node], 'a')
    assert redis('DBSIZE') == 0
    client = redis.client()
    client('SELECT', 3)
    assert sorted(client('KEYS', '*')) == [
        b'{other:hot}:epoch', b'{other:hot}:leases', b'{other:hot}:members']
    client.close()
    b, = ring.start('b', server(redis), 'database 99;')
    b.wait_log('has no such "database"')


def test_a_unix_socket(ring, make_redis):
    redis = make_redis()
    node, = ring.start('a', f'server unix:{redis.path};')
    agree([node], 'a')
    redis.kill()
    node.wait_log('closed the connection|cannot be connected')
    redis.start()
    beats_on(node)


@pytest.mark.parametrize('name', ['127.0.0.1', 'localhost', 'redis.test'])
def test_tls(ring, make_redis, authority, name):
    cert, key = authority.issue((name,))
    port = ports.reserve()
    redis = make_redis(f'tls-port {port}\ntls-cert-file {cert}\n'
                       f'tls-key-file {key}\n'
                       f'tls-ca-cert-file {authority.cert}\n'
                       'tls-auth-clients no')
    trusted = (f'ssl on; ssl_trusted_certificate {authority.cert}; '
               f'ssl_name {name};')
    a, = ring.start('a', f'server 127.0.0.1:{port};', trusted)
    agree([a], 'a')
    a.reload(wait_old=True)
    beats_on(a)
    b, = ring.start('b', f'server 127.0.0.1:{port};',
                    trusted.replace(name, 'another.test'))
    b.wait_log('does not get through the handshake of TLS')
    c, = ring.start('c', f'server 127.0.0.1:{port};', 'ssl on; ssl_verify off;')
    wait.until(lambda: set(redis.members()) == {'a', 'c'}, redis.members)
    ports.release(port)


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


# --- the end of a worker ------------------------------------------------------

@pytest.mark.parametrize('how', ['frozen', 'no route', 'refused'])
def test_no_worker_stays_for_redis(ring, make_redis, how):
    """With times that would never be over in this test."""
    redis = make_redis()
    at = {'frozen': server(redis), 'refused': 'server 127.0.0.1:1;',
          'no route': 'server 203.0.113.1:6379;'}[how]
    ring.times = 'connect_timeout 1h; timeout 1h;'
    node, = ring.start('a', at)
    if how == 'frozen':
        agree([node], 'a')
        redis.freeze()
    node.reload(wait_old=True)
    node.quit()


def test_a_node_of_weight_0_only_asks(ring, make_redis):
    redis = make_redis()
    a, b = ring.start('ab', server(redis), member='weight=0')
    agree([a, b], 'a b')
    assert process.is_alive(a.pid)
