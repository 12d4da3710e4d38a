# SPDX-License-Identifier: Apache-2.0
"""Membership by Redis: nodes join, leave and die without a reload, and all
come to the same epoch. How Redis fails is in test_redis_faults.py."""

import os
import re
import signal
import socket

import pytest

from lib import nginx as nginx_lib
from lib import ports, process, wait
from redis_nodes import (SAID, SECRET, agree, beats_on, redis_stat, roster,
                         server)
from redis_nodes import ring    # noqa: F401 (a fixture)


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
