# SPDX-License-Identifier: Apache-2.0
"""Writes that the origin refuses, with s3_cache_auth origin: nobody here can
tell a forged one, and none of them makes the cache forget anything."""

import os
import pathlib

import pytest

import raw_http
import raw_http2
from lib import wait
from lib.nginx import s3_location, s3_zone
from origin.objects import pattern
from origin_auth_lab import (  # noqa: F401 (fixtures)
    ALICE, BOB, GATEWAY, HOUR, by, denied, gateway, get, head_of, make_asking,
    of, origin, put, signer)
from peer_reads import make_cluster    # noqa: F401 (a fixture)
from write_bodies import form

BODY = pattern(200_000)
WHEN = 1_700_000_000

DELETE_DOC = b'<Delete><Object><Key>key</Key></Object></Delete>'
PARTS = b'<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>' \
        b'<ETag>"x"</ETag></Part></CompleteMultipartUpload>'

# (method, target, headers, body): all of them name bkt/key, or its bucket
WRITES = {
    'put': ('PUT', '/bkt/key', [], b'new'),
    'delete': ('DELETE', '/bkt/key', [], None),
    'version': ('DELETE', '/bkt/key?versionId=abc', [], None),
    'copy': ('PUT', '/bkt/key', [('x-amz-copy-source', '/bkt/from')], b''),
    'tags': ('PUT', '/bkt/key?tagging', [], b'<Tagging/>'),
    'acl': ('PUT', '/bkt/key?acl', [('x-amz-acl', 'public-read')], b''),
    'complete': ('POST', '/bkt/key?uploadId=u', [], PARTS),
    'many': ('POST', '/bkt?delete', [], DELETE_DOC),
    'rubbish': ('POST', '/bkt?delete', [], b'<no such document'),
    'policy': ('PUT', '/bkt?policy', [], b'{}'),
    'bucket': ('DELETE', '/bkt', [], None),
    'unknown': ('POST', '/bkt/key?what-is-this', [], b''),
    'plus': ('PUT', '/bkt/k+y', [], b'new'),
}


def send(node, keys, what, **more):
    method, target, headers, body = WRITES[what]
    return put(node, keys, target, body or b'', headers, method=method, **more)


def fetches(origin):
    """How often the gateway has asked for itself."""
    return sum(of(r) == GATEWAY[0] for r in origin.requests)


def warm(origin, *nodes, key='key', body=BODY):
    origin.put('bkt', key, body, last_modified=WHEN)
    for ago, node in enumerate(nodes * 2):
        assert get(node, ALICE, f'/bkt/{key}', ago=20 + ago).body == body


def done_by(origin, what, keys=BOB, **more):
    """From here on the origin does it, by these keys: a rule, and what it has
    of bkt/key then (None: nothing)."""
    before = None
    if what in ('delete', 'many'):
        body = None
    else:
        body = b'new'
        if what != 'put':
            before = lambda _: origin.put('bkt', 'key', b'new')  # noqa: E731
    return origin.on('bkt', when=by(keys), before=before, **more), body


def ends(node):
    writes = node.zone()['writes']
    return writes['done'] + writes['failed'] + writes['unknown']


def same_again(node):
    """A reader that sends one request again and again, of whose yes nobody asks
    again: what is older in the cache would be sent. (body or None, X-Cache)"""
    pairs = head_of(node, ALICE, 'GET', '/bkt/key')

    def read():
        answer = raw_http.ask(node.port(), 'GET', '/bkt/key', pairs)
        return (answer.body if answer.status == 200 else None,
                answer['X-Cache'])

    return read


def worker_of(node, client):
    """The worker that has this connection."""
    peer = '%04X' % client.sock.getsockname()[1]
    with open('/proc/net/tcp', encoding='ascii') as f:
        rows = [line.split() for line in f][1:]
    inode = next(row[9] for row in rows if row[2].endswith(':' + peer)
                 and row[1].endswith(':%04X' % node.port()))
    for pid in node.worker_pids():
        for fd in pathlib.Path(f'/proc/{pid}/fd').iterdir():
            if os.readlink(fd) == f'socket:[{inode}]':
                return pid
    raise AssertionError('no worker has it')


def is_kept(origin, node, key='key', body=BODY, ago=0):
    before = fetches(origin)
    answer = get(node, ALICE, f'/bkt/{key}', ago=ago)
    assert answer.body == body
    return answer['X-Cache'] == 'HIT' and fetches(origin) == before


# --- refused -----------------------------------------------------------------

@pytest.mark.parametrize('what', WRITES)
def test_a_refused_write_drops_nothing(origin, gateway, what):
    warm(origin, gateway)
    origin.on('bkt', **denied(BOB))
    for keys in (BOB, ('NOBODYKEY', 'x'), (ALICE[0], 'forged')):
        assert send(gateway, keys, what).status == 403
        assert is_kept(origin, gateway)
    writes = gateway.zone()['writes']
    assert (writes['failed'], writes['unknown'],
            writes['bucket_drops']) == (3, 0, 0)


def test_a_form_that_is_refused(origin, gateway):
    warm(origin, gateway)
    kind, body = form({'key': 'key', 'policy': 'x'}, b'file')
    answer = raw_http.ask(gateway.port(), 'POST', '/bkt', [
        ('Host', f'127.0.0.1:{gateway.port()}'), ('Content-Type', kind)],
        body, close=False)
    assert answer.status == 403
    assert is_kept(origin, gateway)


@pytest.mark.parametrize('status, stays', [
    (400, True), (401, True), (403, True), (405, True), (411, True),
    (413, True), (414, True), (431, True), (501, True),
    (404, False), (408, False), (409, False), (412, False), (429, False),
    (503, False)])
@pytest.mark.parametrize('what', ['put', 'delete', 'many', 'policy'])
def test_what_counts_as_refused(origin, gateway, status, stays, what):
    """Of a key 404, 409 and 412 may be of a second try, by who is in
    between."""
    warm(origin, gateway)
    rule = origin.on('bkt', when=by(BOB), error=(status, 'Any', 'No.'))
    assert send(gateway, BOB, what).status == status
    origin.off(rule)
    if status in (404, 409) and '/key' not in WRITES[what][1]:
        stays = True               # there is no such bucket, or it is another's
    assert is_kept(origin, gateway) == stays


@pytest.mark.parametrize('what', ['put', 'delete', 'many', 'policy'])
def test_a_write_that_is_done_drops(origin, gateway, what):
    warm(origin, gateway)
    read = same_again(gateway)
    assert [read()[0] for _ in range(2)] == [BODY] * 2
    rule, now = done_by(origin, what)
    assert send(gateway, BOB, what).status in (200, 204)
    assert read()[0] == now


# --- while it lasts ----------------------------------------------------------

@pytest.mark.parametrize('what', ['put', 'delete', 'many', 'policy'])
@pytest.mark.parametrize('done', [False, True])
def test_until_it_is_judged_readers_ask_the_origin(origin, gateway, what,
                                                   done):
    warm(origin, gateway)
    read = same_again(gateway)
    read()
    assert read() == (BODY, 'HIT')
    gate = origin.gate()
    if done:
        rule, now = done_by(origin, what, gate=gate)
    else:
        rule, now = origin.on('bkt', gate=gate, **denied(BOB)), BODY
    method, target, headers, body = WRITES[what]
    with raw_http.Connection(gateway.port()) as client:
        client.request(method, target, head_of(
            gateway, BOB, method, target, headers)
            + [('Content-Length', str(len(body or b'')))], body or b'')
        gate.wait_reached()
        # by now it may have been done, or not
        seen = read()
        assert seen in ((BODY, 'BYPASS'), (now, 'BYPASS'))
        gate.open()
        assert client.answer(method).status in ((200, 204) if done else (403,))
    origin.off(rule)
    body, found = read()
    assert body == now
    assert (found == 'HIT') == (not done)


def test_a_fill_of_before_is_kept(origin, gateway):
    """It was asked for before a write that never was."""
    origin.put('bkt', 'key', BODY)
    fill = origin.gate(at=100_000)
    origin.on('bkt', 'key', method='GET', when=by(GATEWAY), gate=fill)
    with raw_http.Connection(gateway.port()) as first:
        first.request('GET', '/bkt/key', head_of(gateway, ALICE, 'GET',
                                                 '/bkt/key'))
        fill.wait_reached()
        rule = origin.on('bkt', **denied(BOB))
        assert send(gateway, BOB, 'delete').status == 403
        origin.off(rule)
        fill.open()
        assert first.answer().body == BODY
    wait.until(lambda: is_kept(origin, gateway, ago=3), 'it to be kept')


# --- who does not wait -------------------------------------------------------

@pytest.mark.parametrize('what', WRITES)
def test_a_client_that_leaves_after_its_last_byte(origin, gateway, what):
    warm(origin, gateway)
    gate = origin.gate()
    rule = origin.on('bkt', gate=gate, **denied(BOB))
    method, target, headers, body = WRITES[what]
    with raw_http.Connection(gateway.port()) as client:
        client.request(method, target, head_of(
            gateway, BOB, method, target, headers)
            + [('Content-Length', str(len(body or b'')))], body or b'')
        gate.wait_reached()
    # one worker: that it has gone has been seen before this
    assert get(gateway, ALICE, '/bkt/none').status == 404
    gate.open()
    wait.until(lambda: ends(gateway) == 1, 'its end')
    origin.off(rule)
    assert gateway.zone()['writes']['failed'] == 1
    assert is_kept(origin, gateway)


@pytest.mark.parametrize('what', ['put', 'delete', 'many', 'policy'])
def test_a_client_that_leaves_what_is_done(origin, gateway, what):
    warm(origin, gateway)
    read = same_again(gateway)
    read()
    gate = origin.gate()
    rule, now = done_by(origin, what, gate=gate)
    method, target, headers, body = WRITES[what]
    with raw_http.Connection(gateway.port()) as client:
        client.request(method, target, head_of(
            gateway, BOB, method, target, headers)
            + [('Content-Length', str(len(body or b'')))], body or b'')
        gate.wait_reached()
    assert get(gateway, ALICE, '/bkt/none').status == 404
    gate.open()
    wait.until(lambda: ends(gateway) == 1, 'its end')
    origin.off(rule)
    assert gateway.zone()['writes']['done'] == 1
    assert read()[0] == now


def test_a_client_that_leaves_before(origin, gateway):
    warm(origin, gateway)
    with raw_http.Connection(gateway.port()) as client:
        client.request('PUT', '/bkt/key', head_of(
            gateway, BOB, 'PUT', '/bkt/key') + [('Content-Length', '100000')],
            b'x' * 50_000)
        wait.until(lambda: origin.requests_for(method='PUT'), 'it to come')
    wait.until(lambda: gateway.zone()['writes']['failed'] == 1, 'its end')
    assert is_kept(origin, gateway)


def test_http2_that_leaves(origin, make_nginx):
    nginx = make_nginx(workers=1, http=s3_zone() + (
        'server { listen 127.0.0.1:@port:h2@ http2; %s }' % s3_location(
            origin.url, *GATEWAY, valid=HOUR,
            more='s3_cache_auth origin; s3_cache_auth_valid 1h;'
                 's3_cache_domain localhost;')),
        server=s3_location(origin.url, *GATEWAY, valid=HOUR,
                           more='s3_cache_auth origin;')).start()
    warm(origin, nginx)
    gate = origin.gate()
    origin.on('bkt', when=by(BOB), gate=gate,
              error=(403, 'AccessDenied', 'No.'))
    for method, body in (('DELETE', b''), ('PUT', b'new')):
        reached = gate.reached
        with raw_http2.Connection(nginx.port('h2')) as client:
            pairs = signer(BOB).head(method, '/bkt/key', [], 'localhost',
                                     'UNSIGNED-PAYLOAD')
            client.request(method, '/bkt/key', [
                (k.lower(), v) for k, v in pairs if k != 'Host']
                + [('content-length', str(len(body)))], not body, body)
            gate.wait_reached(reached + 1)
    assert get(nginx, ALICE, '/bkt/none').status == 404
    gate.open()
    wait.until(lambda: ends(nginx) == 2, 'their end')
    assert nginx.zone()['writes']['failed'] == 2
    origin.off()
    assert is_kept(origin, nginx)
    nginx.check_accounting()


def test_a_worker_that_dies_under_it(origin, make_asking):
    """Then nobody knows, and it counts as written."""
    gateway = make_asking(origin, workers=2)
    warm(origin, gateway)
    read = same_again(gateway)
    gate = origin.gate()
    for _ in range(40):                # both workers remember the yes
        assert read()[0] == BODY
    rule, now = done_by(origin, 'put', gate=gate)
    pids = gateway.worker_pids()
    with raw_http.Connection(gateway.port()) as client:
        client.request('PUT', '/bkt/key', head_of(
            gateway, BOB, 'PUT', '/bkt/key') + [('Content-Length', '3')],
            b'new')
        gate.wait_reached()
        gateway.kill_worker(worker_of(gateway, client))
        assert set(gateway.worker_pids()) & set(pids)
    origin.off(rule)
    gate.open()
    wait.until(lambda: gateway.zone()['writes']['unknown'] == 1,
               'the dead to be found')
    for _ in range(40):
        assert read()[0] in (BODY, now)
    wait.until(lambda: read()[0] == now, 'the write')
    for _ in range(40):
        assert read()[0] == now


# --- lists -------------------------------------------------------------------

@pytest.mark.parametrize('what', ['put', 'delete', 'many'])
def test_pages_of_lists_stay(origin, make_asking, what):
    """Of those of the same origin who are not asked who they are."""
    gateway = make_asking(origin, http=(
        'server { listen 127.0.0.1:@port:lists@; %s }' % s3_location(
            origin.url, *GATEWAY, valid=HOUR, more='s3_cache_list 1h;')))
    warm(origin, gateway)

    def page():
        answer = gateway.request(target='/bkt?list-type=2', name='lists')
        assert answer.status == 200
        return answer.getheader('X-Cache')

    page()
    wait.until(lambda: page() == 'HIT', 'the page to be kept')
    rule = origin.on('bkt', **denied(BOB))
    assert send(gateway, BOB, what).status == 403
    origin.off(rule)
    assert page() == 'HIT'
    assert send(gateway, ALICE, what).status in (200, 204)
    assert page() == 'MISS'


# --- a ring ------------------------------------------------------------------

@pytest.fixture
def cluster(make_cluster, origin):
    made = make_cluster(
        origin, location='s3_cache_auth origin; s3_cache_auth_valid 1h;'
        f's3_cache_origin_credentials access_key={GATEWAY[0]} '
        f'secret_key={GATEWAY[1]};', valid=HOUR, workers=2)
    wait.until(lambda: all(n.zone()['ring']['vouched'] for n in made.nodes),
               'a ring')
    return made


@pytest.mark.parametrize('what', ['put', 'delete', 'many', 'policy'])
def test_no_node_forgets_what_was_refused(origin, cluster, what):
    warm(origin, *cluster.nodes)
    rule = origin.on('bkt', **denied(BOB))
    before = fetches(origin)
    for node in cluster.nodes:
        assert send(node, BOB, what).status == 403
    origin.off(rule)
    for n, node in enumerate(cluster.nodes):
        # until it has been told the end, the origin answers
        wait.until(lambda: get(node, ALICE, ago=3)['X-Cache'] != 'BYPASS',
                   'it to be told')
        assert get(node, ALICE, ago=4).body == BODY
    assert fetches(origin) == before


@pytest.mark.parametrize('what', ['put', 'delete', 'many', 'policy'])
def test_all_nodes_forget_what_was_written(origin, cluster, what):
    readers = [same_again(node) for node in cluster.nodes]
    for node in cluster.nodes:
        warm(origin, *cluster.nodes)
        for read in readers:
            for _ in range(20):
                assert read()[0] == BODY
        rule, now = done_by(origin, what)
        assert send(node, BOB, what).status in (200, 204)
        for read in readers:
            for _ in range(5):
                assert read()[0] == now
        origin.off(rule)


def test_nodes_that_are_never_told_the_end(origin, cluster):
    """The one that passed it dies: they read nothing of what there was."""
    warm(origin, *cluster.nodes)
    readers = [same_again(node) for node in cluster.nodes[1:]]
    for read in readers:
        for _ in range(20):
            assert read()[0] == BODY
    gate = origin.gate()
    rule, now = done_by(origin, 'put', gate=gate)
    first = cluster.nodes[0]
    with raw_http.Connection(first.port()) as client:
        client.request('PUT', '/bkt/key', head_of(
            first, BOB, 'PUT', '/bkt/key') + [('Content-Length', '3')], b'new')
        gate.wait_reached()
        first.kill_all()
    gate.open()
    origin.off(rule)
    origin.put('bkt', 'key', now)
    for read in readers:
        for _ in range(20):
            assert read()[0] == now
