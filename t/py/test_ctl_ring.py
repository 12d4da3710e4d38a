# SPDX-License-Identifier: Apache-2.0
"""s3cachectl at a ring of three nodes."""

import re

import pytest

from ctl_lab import node
from lib import ctl as ctl_lib
from lib import wait
from lib.ctl import NO, OK, REFUSED, TIMEOUT, Ctl
from peer_reads import make_cluster
from redis_nodes import agree, ring, server

__all__ = ['make_cluster', 'node', 'ring']


def ctls(nodes):
    return [Ctl(node.url()) for node in nodes]


def test_a_ring_of_three(make_cluster, origin):
    cluster = make_cluster(origin, server=ctl_lib.server(),
                           block='    retry 300ms;\n', valid='200 206 1h')
    nodes, said = cluster.nodes, ctls(cluster.nodes)
    origin.put('bkt', 'k', b'body')

    # --- who is there
    wait.until(lambda: said[0]('ring', rc=None).rc == OK, 'all to be well')
    text = said[0]('ring').out
    assert re.search(r'^zone hot: 3 nodes, epoch 0, digest [0-9a-f]{16}$',
                     text, re.M), text
    assert text.endswith('healthy\n')
    for i, name in enumerate(cluster.names):
        row = re.search(rf'^{name} +ready +(\w+) +([\d.]+) % ', text, re.M)
        assert row, text
        assert row[1] == ('self' if i == 0 else 'up')
        assert 30 < float(row[2]) < 37
    assert {m['name'] for m in said[1]('--json', 'ring').json['members']} == (
        set(cluster.names))
    assert re.search('ring +3 nodes, 0 away', said[0]('status').out)

    # --- who has it: all say the same
    assert {ctl('explain', 's3://bkt/k', rc=NO).rc for ctl in said} == {NO}
    nodes[0].get('/bkt/k')
    for ctl in said:
        wait.until(lambda: ctl('explain', 's3://bkt/k', rc=None).rc == OK,
                   'it to be kept')
    found = said[0]('--json', 'explain', 's3://bkt/k').json['objects'][0]
    owner = found['owners'][0]
    assert re.search(rf'^  {owner} +ram ', said[1](
        'explain', 's3://bkt/k').out, re.M)

    # --- at all of them
    assert said[2]('purge', 'key', 's3://bkt/k').out == (
        'purged at 3 of 3 nodes\n')
    for ctl in said:
        ctl('explain', 's3://bkt/k', rc=NO)

    # --- one is gone
    nodes[2].kill_all()
    wait.until(lambda: said[0]('ring', rc=None).rc == NO, 'it to be missed')
    for i in range(40):
        # some of these are its: it is asked for them in vain
        origin.put('bkt', f'k{i}', b'body')
        assert nodes[0].get(f'/bkt/k{i}').status == 200
    wait.until(lambda: 'node2 does not answer' in said[0](
        'ring', rc=None).out, 'it to rest')
    gone = said[0]('purge', 'all', '--yes', rc=REFUSED)
    assert gone.out == 'purged at 2 of 3 nodes\nnot told: node2\n'
    assert 'repeat it' in gone.err
    gone = said[0]('--json', 'purge', 'all', '--yes', rc=REFUSED)
    assert gone.json['missed'] == ['node2'] and gone.json['nodes'] == 3


def test_a_node_is_drained_and_comes_back(ring, make_redis):
    nodes = ring.start('abc', server(make_redis()), server=ctl_lib.server())
    agree(nodes, 'a b c')
    said = ctls(nodes)
    text = said[0]('drain', '--wait', '--quiet', '500ms', '--wait-timeout',
                   '30s').out
    assert text.startswith('zone hot: ') and ', draining\n' in text
    assert text.endswith('no node asks it any more: it may be stopped\n')
    agree(nodes[1:], {'a': 'leaving', 'b': 'ready', 'c': 'ready'})
    # those that are not drained are ready at once, this one never
    late = said[1]('--json', 'drain', '--wait', '--quiet', '60s',
                   '--wait-timeout', '1s', rc=TIMEOUT)
    assert late.err
    said[1]('undrain', '--wait')
    assert said[0]('undrain', '--wait', '--wait-timeout', '30s').out.endswith(
        'it is back\n')
    agree(nodes, 'a b c')


@pytest.mark.parametrize('zone, rc', [('hot', OK), ('cold', REFUSED)])
def test_a_zone_is_named(ring, make_redis, zone, rc):
    nodes = ring.start('a', server(make_redis()), server=ctl_lib.server())
    agree(nodes, 'a')
    Ctl(nodes[0].url())('--zone', zone, 'drain', rc=rc)


def test_what_a_drain_waits_for(node):
    """Until the node has left, then until nobody has asked it for so long."""
    def at(state):
        return 200, {'zones': [{'zone': 'hot', 'state': state,
                                'draining': True}]}

    def served(n):
        return 200, {'zones': [{'name': 'hot', 'peers': {'served': n}}]}

    node.say(at('ready'), at('ready'), at('ready'), at('leaving'), served(5),
             served(6), served(7), served(7))
    Ctl(node.url)('drain', '--wait', '--quiet', '300ms')
    paths = [(a[0], a[1].rsplit('/', 1)[1]) for a in node.asked]
    assert paths[:7] == [('POST', 'admin')] + [('GET', 'admin')] * 3 + [
        ('GET', 'status')] * 3
    # and what did not change was looked at again
    assert paths[7:] and set(paths[7:]) == {('GET', 'status')}
    node.say(at('ready'), at('leaving'), at('joining'), at('ready'))
    Ctl(node.url)('undrain', '--wait')
    assert len(node.asked) == 4
    node.say(at('ready'))
    Ctl(node.url)('drain', '--wait', '--wait-timeout', '1ms', rc=TIMEOUT)
