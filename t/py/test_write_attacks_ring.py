# SPDX-License-Identifier: Apache-2.0
"""Answers that are older than what is vouched for, and rings that begin under
a write."""

import threading
import time

import pytest

import raw_http
from lib import wait
from lib.nginx import s3_zone
from origin.scripted_origin import ScriptedOrigin
from peer_reads import get, make_cluster
from test_coherence import QUICK, put, vouched

__all__ = ['make_cluster']


@pytest.fixture
def origin():
    with ScriptedOrigin() as started:
        started.bucket('bkt')
        yield started


def test_a_reader_does_not_take_the_answer_of_an_older_check(
        make_cluster, origin):
    """Node 1 cannot be told; a HEAD of before the write is still under way."""
    cluster = make_cluster(origin, nodes=2, workers=1, taps=True,
                           valid='200 1h',
                           block=QUICK + '    staleness 500ms;\n')
    wait.until(lambda: all(map(vouched, cluster.nodes)), 'vouched')
    a, b = cluster.nodes
    key = cluster.key_of(1)
    origin.put('bkt', key, b'old')
    t = f'/bkt/{key}'
    assert get(b, t).body == b'old'
    tap = cluster.taps[1]
    tap.hold()
    tap.drop_all()                       # what goes to b is lost; b asks a
    gate = origin.gate()
    rule = origin.on('bkt', key, method='HEAD', gate=gate, times=1,
                     object=origin.get('bkt', key))
    assert put(a, b'x', '/bkt/another').status == 200      # b missed one
    answers = []

    def read():
        answers.append(get(b, t).body)

    def first():
        # until the record has to be validated
        if not gate.reached:
            thread = threading.Thread(target=read)
            thread.start()
            thread.join(0.2)
        return gate.reached

    wait.until(first, 'a check')
    assert put(a, b'new', t).status == 200
    assert origin.get('bkt', key).body == b'new'
    missed = a.zone()['writes']['untold_nodes']
    assert missed >= 2
    end = time.monotonic() + 3           # six times `staleness`
    wait.until(lambda: time.monotonic() > end, 'b to know of it')
    answers.clear()
    late = []
    thread = threading.Thread(target=lambda: late.append(get(b, t).body))
    thread.start()
    thread.join(1)
    gate.open()
    thread.join()
    tap.go_on()
    assert late == [b'new']


@pytest.mark.parametrize('when', ['body', 'answer'])
def test_a_reload_that_makes_it_a_node(make_cluster, origin, when):
    """Under an upload, one gateway becomes a member of a ring."""
    cluster = make_cluster(origin, nodes=2, workers=1, valid='200 1h')
    wait.until(lambda: all(map(vouched, cluster.nodes)), 'vouched')
    a, b = cluster.nodes
    key = cluster.key_of(1)
    t = f'/bkt/{key}'
    origin.put('bkt', key, b'old')
    peers = a.pieces['http']
    a.reload(wait_old=True, http=s3_zone())
    gate = origin.gate()
    if when == 'answer':
        origin.on('bkt', key, method='PUT', gate=gate)
    body = b'x' * 300_000
    with raw_http.Connection(a.port()) as c:
        c.request('PUT', t, {'Content-Length': str(len(body))},
                  body[:200_000])
        origin.wait_requests(1, method='PUT')
        if when == 'answer':
            c.send(body[200_000:])
            gate.wait_reached()
        a.reload(http=peers)
        wait.until(lambda: vouched(b) and vouched(a), 'the ring')
        for node in (a, b):
            get(node, t)
        if when == 'body':
            c.send(body[200_000:])
        gate.open()
        answer = c.answer('PUT')
    # whoever is told that it is done reads it, so this one is not told
    assert answer.status == 502
    wait.until(lambda: all(get(node, t).body == body for node in (a, b)),
               'the others to validate: `staleness`')


def test_what_is_late_is_not_mirrored(make_cluster, origin):
    """Node 1 owns it, cannot be told, and does not know that yet. Who knows of
    the write may get what is older from it, but does not keep that."""
    cluster = make_cluster(origin, nodes=2, workers=1, taps=True,
                           valid='200 1h', block=QUICK
                           + '    staleness 20s; mirror 20% 1h;\n')
    wait.until(lambda: all(map(vouched, cluster.nodes)), 'vouched')
    a, b = cluster.nodes
    key = cluster.key_of(1)
    origin.put('bkt', key, b'old')
    t = f'/bkt/{key}'
    wait.until(lambda: get(a, t)['X-Tier'] == 'mirror', 'a mirror')
    for tap in cluster.taps:
        tap.hold()
        tap.drop_all()
    assert put(a, b'new', t).status == 200
    wait.until(lambda: a.zone()['writes']['untold_nodes'] == 2,
               'neither its begin nor its end to be told')
    cluster.taps[1].drop_all()
    cluster.taps[1].go_on()
    assert get(b, t).body == b'old'
    wait.until(lambda: [m['reach'] for m in a.zone()['ring']['members']]
               == ['self', 'up'], 'the owner to be reached again')

    def late():
        answer = get(a, t)
        return answer.body == b'old' and answer['X-Tier'] == 'peer'

    wait.until(late, 'an answer of the owner')
    for _ in range(60):
        assert get(a, t)['X-Tier'] != 'mirror'
    cluster.taps[0].go_on()
    wait.until(lambda: get(b, t).body == b'new', 'it to learn of it', 40)
    for _ in range(60):
        assert get(a, t).body == b'new'
