# SPDX-License-Identifier: Apache-2.0
"""Fills: one origin request for each block, shared by all who wait, owned by
nobody's connection, bounded in memory."""

import hashlib

import pytest

from lib import wait
from lib.reader import LANES, Cut, Lanes, Reader
from origin.objects import pattern

KIB, MIB = 1 << 10, 1 << 20

# a socket that takes little of what nobody reads
NARROW = LANES + 'listen 127.0.0.1:@port:narrow@ sndbuf=16k;\n'


def span(block, size=None, block_size=MIB):
    """The Range of a block, as the gateway asks for it."""
    last = (block + 1) * block_size
    return f'bytes={block * block_size}-{min(last, size or last) - 1}'


def asked(origin, key='key'):
    """Ranges of the GETs for an object, sorted; None is the whole."""
    return sorted((r.header('range') for r in
                   origin.requests_for('bkt', key, 'GET')),
                  key=lambda text: (text is not None, len(text or ''), text))


def memory(nginx):
    return nginx.zone()['memory']


def wait_pins(nginx, count):
    wait.until(lambda: memory(nginx)['pins'] >= count,
               lambda: f'{count} pins in {memory(nginx)}', every_s=0.02)


def wait_no_fills(nginx):
    wait.until(lambda: memory(nginx)['fills'] == 0,
               lambda: f'no fills in {memory(nginx)}', every_s=0.02)


def many(nginx, lanes, count, target='/bkt/key', **more):
    """Readers, as many in each worker."""
    pids = lanes.pids
    lanes.want((count + len(pids) - 1) // len(pids))
    return [lanes.reader(pids[i % len(pids)], target, **more)
            for i in range(count)]


# --- one request for each block ------------------------------------------------

@pytest.mark.parametrize('workers', [2, 4])
@pytest.mark.parametrize('size', [1, 10_000, MIB, MIB + 1, 3 * MIB + 123])
def test_fifty_clients_cost_one_origin_request_for_each_block(
        origin, make_gateway, workers, size):
    body = pattern(size)
    origin.put('bkt', 'key', body)
    gate = origin.gate()
    origin.on('bkt', 'key', gate=gate)
    nginx = make_gateway(origin, workers=workers, server=LANES)
    with Lanes(nginx) as lanes:
        readers = many(nginx, lanes, 50)
        gate.wait_reached()
        wait_pins(nginx, 50)
        assert len(origin.requests) == 1
        gate.open()
        for reader in readers:
            assert reader.read_all() == body
            reader.close()
    blocks = (size + MIB - 1) // MIB
    assert asked(origin) == [None] + [span(i, size)
                                      for i in range(1, blocks)]
    assert nginx.get('/bkt/key').getheader('X-Cache') == 'HIT'


def test_ranges_of_one_block_asked_at_once_cost_one_request(
        origin, make_gateway):
    body = pattern(8 * MIB)
    origin.put('bkt', 'key', body)
    gate = origin.gate()
    origin.on('bkt', 'key', gate=gate)
    nginx = make_gateway(origin, server=LANES)
    with Lanes(nginx) as lanes:
        pids = lanes.pids
        readers = []
        for i in range(20):
            first = 5 * MIB + i * 1000
            readers.append((first, lanes.reader(
                pids[i % 2], '/bkt/key',
                headers={'Range': f'bytes={first}-{first + 99}'})))
        gate.wait_reached()
        wait_pins(nginx, 20)
        gate.open()
        for first, reader in readers:
            assert reader.read_all() == body[first:first + 100]
            assert reader.status == 206
            reader.close()
    assert asked(origin) == [span(5)]


def test_a_hundred_bytes_of_a_large_object_cost_one_block(
        origin, make_gateway):
    body = pattern(20 * MIB)
    origin.put('bkt', 'key', body)
    nginx = make_gateway(origin)
    answer = nginx.get('/bkt/key', Range='bytes=10000000-10000099')
    assert (answer.status, answer.body) == (206, body[10000000:10000100])
    assert answer.getheader('Content-Range') == \
        f'bytes 10000000-10000099/{len(body)}'
    assert asked(origin) == [span(9)]
    wait_no_fills(nginx)
    answer = nginx.get('/bkt/key', Range=f'bytes={9 * MIB}-{9 * MIB + 5}')
    assert answer.body == body[9 * MIB:9 * MIB + 6]
    assert answer.getheader('X-Cache') == 'HIT'
    assert len(origin.requests) == 1
    # over a border: what is known of the two blocks is not asked again
    answer = nginx.get('/bkt/key', Range=f'bytes={10 * MIB - 3}-{10 * MIB}')
    assert answer.body == body[10 * MIB - 3:10 * MIB + 1]
    assert asked(origin) == [span(9), span(10)]


@pytest.mark.parametrize('block', ['64k', '128k', '1m', '4m', '16m'])
def test_blocks_of_every_size_give_the_same_bytes(
        origin, make_gateway, block):
    unit = int(block[:-1]) * (KIB if block.endswith('k') else MIB)
    nginx = make_gateway(origin, f's3_cache_block_size {block};',
                         zone={'size': '128m'})
    for size in (unit - 1, unit, unit + 1, 2 * unit, 2 * unit + 77):
        key = f'key{size}'
        body = pattern(size, size)
        origin.put('bkt', key, body)
        ranges = [(0, 0), (size - 1, size - 1), (size // 2, size // 2 + 9),
                  (max(0, unit - 5), min(size - 1, unit + 5))]
        for first, last in ranges:
            answer = nginx.get(f'/bkt/{key}', Range=f'bytes={first}-{last}')
            assert (answer.status, answer.body) == (
                206, body[first:last + 1]), (first, last, size)
        assert nginx.get(f'/bkt/{key}').body == body
        blocks = (size + unit - 1) // unit
        gets = asked(origin, key)
        assert len(gets) == blocks and len(set(gets)) == blocks, gets
        answer = nginx.get(f'/bkt/{key}')
        assert answer.body == body
        assert answer.getheader('X-Cache') == 'HIT'
        assert len(asked(origin, key)) == blocks


# --- followers stream ------------------------------------------------------------

@pytest.mark.parametrize('size, at', [(200_000, 1), (200_000, 123_456),
                                      (4 * MIB, 700_001)])
def test_followers_in_all_workers_get_bytes_as_they_arrive(
        origin, make_gateway, size, at):
    body = pattern(size)
    origin.put('bkt', 'key', body)
    gate = origin.gate(at=at)
    origin.on('bkt', 'key', gate=gate, times=1)
    nginx = make_gateway(origin, server=LANES)
    with Lanes(nginx) as lanes:
        readers = many(nginx, lanes, 20)
        for reader in readers:
            assert reader.read_to(at) == body[:at]
        # the origin still stands at the gate, so it was not the whole
        gate.wait_reached()
        assert origin.requests[0].sent_bytes == at
        gate.open(to=at + 1000)
        for reader in readers:
            assert reader.read_to(at + 1000) == body[:at + 1000]
        late = many(nginx, lanes, 4)
        for reader in late:
            assert reader.read_to(at + 1000) == body[:at + 1000]
        gate.open()
        for reader in readers + late:
            assert reader.read_all() == body
            reader.close()


def test_followers_of_a_later_block_get_bytes_as_they_arrive(
        origin, make_gateway):
    body = pattern(5 * MIB)
    origin.put('bkt', 'key', body)
    gate = origin.gate(at=500_000)
    origin.on('bkt', 'key', gate=gate,
              when=lambda r: r.header('range') == span(2))
    nginx = make_gateway(origin, server=LANES)
    with Lanes(nginx) as lanes:
        readers = many(nginx, lanes, 10)
        for reader in readers:
            assert reader.read_to(2 * MIB + 500_000) == \
                body[:2 * MIB + 500_000]
        middle = many(nginx, lanes, 4, headers={
            'Range': f'bytes={2 * MIB + 100}-{3 * MIB + 100}'})
        for reader in middle:
            assert reader.read_to(1000) == body[2 * MIB + 100:][:1000]
            assert reader.status == 206
        gate.open()
        for reader in readers:
            assert reader.read_all() == body
            reader.close()
        for reader in middle:
            assert reader.read_all() == body[2 * MIB + 100:3 * MIB + 101]
            reader.close()
    assert asked(origin) == [None] + [span(i) for i in range(1, 5)]


# --- a fill belongs to nobody ------------------------------------------------------

@pytest.mark.parametrize('reset', [False, True])
@pytest.mark.parametrize('at', [None, 4000])
def test_a_fill_goes_on_when_its_first_client_leaves(
        origin, make_gateway, at, reset):
    body = pattern(100_000)
    origin.put('bkt', 'key', body)
    gate = origin.gate(at=at)
    origin.on('bkt', 'key', gate=gate)
    nginx = make_gateway(origin, server=LANES)
    with Lanes(nginx) as lanes:
        first, second = lanes.pids
        leader = lanes.reader(first, '/bkt/key')
        gate.wait_reached()
        held = memory(nginx)['pins']
        others = [lanes.reader(pid, '/bkt/key') for pid in (first, second)]
        wait_pins(nginx, held + 2)
        if at:
            for reader in [leader] + others:
                reader.read_to(at)
        leader.close(reset)
        wait.until(lambda: memory(nginx)['pins'] < held + 2,
                   'the client that left lets go')
        gate.open()
        for reader in others:
            assert reader.read_all() == body
            reader.close()
    assert asked(origin) == [None]


@pytest.mark.parametrize('at', [None, 4000])
def test_a_fill_is_finished_and_kept_when_everybody_leaves(
        origin, make_gateway, at):
    body = pattern(100_000)
    origin.put('bkt', 'key', body)
    gate = origin.gate(at=at)
    origin.on('bkt', 'key', gate=gate)
    nginx = make_gateway(origin, server=LANES)
    with Lanes(nginx) as lanes:
        readers = many(nginx, lanes, 6)
        gate.wait_reached()
        wait_pins(nginx, 6)
        for reader in readers:
            reader.close(reset=True)
        wait.until(lambda: memory(nginx)['pins'] == 1,
                   'only the fill holds its entry')
        gate.open()
        wait_no_fills(nginx)
        answer = nginx.get('/bkt/key')
    assert (answer.body, answer.getheader('X-Cache')) == (body, 'HIT')
    assert asked(origin) == [None]


def test_blocks_ahead_are_kept_when_their_reader_leaves(
        origin, make_gateway):
    body = pattern(4 * MIB)
    origin.put('bkt', 'key', body)
    gate = origin.gate(at=1000)
    origin.on('bkt', 'key', gate=gate, when=lambda r: r.header('range'))
    nginx = make_gateway(origin)
    reader = Reader(nginx, '/bkt/key')
    gate.wait_reached(3)
    reader.close(reset=True)
    wait.until(lambda: nginx.zone()['memory']['fills'] == 3, 'three fills')
    gate.open()
    wait_no_fills(nginx)
    answer = nginx.get('/bkt/key')
    assert (answer.body, answer.getheader('X-Cache')) == (body, 'HIT')
    assert asked(origin) == [None] + [span(i) for i in range(1, 4)]


# --- slow clients --------------------------------------------------------------------

def test_a_slow_client_slows_nobody_and_holds_a_window(
        origin, make_gateway):
    body = pattern(24 * MIB)
    origin.put('bkt', 'key', body)
    nginx = make_gateway(origin, server=NARROW, zone={'size': '128m'})
    slow = [Reader(nginx, '/bkt/key', name='narrow', rcvbuf=4096)
            for _ in range(8)]
    for reader in slow:
        assert reader.read_to(1) == body[:1]
    wait_no_fills(nginx)
    # what they did not read was not fetched for them
    assert len(asked(origin)) <= 1 + 4
    fast = Reader(nginx, '/bkt/key')
    assert fast.read_all() == body
    fast.close()
    wait_no_fills(nginx)
    assert memory(nginx)['pins'] <= 2 * len(slow)
    for reader in slow:
        assert reader.read_all() == body
        reader.close()
    assert asked(origin) == [None] + [span(i) for i in range(1, 24)]


def test_a_slow_follower_does_not_slow_the_others_of_a_fill(
        origin, make_gateway):
    body = pattern(MIB)
    origin.put('bkt', 'key', body)
    gate = origin.gate(at=200_000)
    origin.on('bkt', 'key', gate=gate)
    nginx = make_gateway(origin, server=NARROW)
    slow = Reader(nginx, '/bkt/key', name='narrow', rcvbuf=4096)
    gate.wait_reached()
    fast = Reader(nginx, '/bkt/key')
    assert fast.read_to(200_000) == body[:200_000]
    gate.open()
    assert fast.read_all() == body
    wait_no_fills(nginx)
    assert origin.requests[0].sent_bytes == len(body)
    assert slow.read_all() == body
    fast.close()
    slow.close()
    assert asked(origin) == [None]


def test_what_slow_clients_are_sent_is_not_evicted(origin, make_gateway):
    """The zone is written over several times while they stand still."""
    body = pattern(900_000)
    origin.put('bkt', 'key', body)
    nginx = make_gateway(origin, server=NARROW, zone={'size': '8m'})
    slow = [Reader(nginx, '/bkt/key', name='narrow', rcvbuf=4096)
            for _ in range(3)]
    for reader in slow:
        assert reader.read_to(1000) == body[:1000]
    for i in range(40):
        other = pattern(800_000, i + 1)
        origin.put('bkt', f'other{i}', other)
        assert nginx.get(f'/bkt/other{i}').body == other
    assert memory(nginx)['evictions'] > 0
    for reader in slow:
        assert reader.read_all() == body
        reader.close()
    assert asked(origin) == [None]


# --- parallel, and of one version ------------------------------------------------------

@pytest.mark.parametrize('ahead', [1, 2, 4, 8])
def test_read_ahead_fetches_blocks_in_parallel(origin, make_gateway, ahead):
    body = pattern(12 * MIB)
    obj = origin.put('bkt', 'key', body)
    gate = origin.gate()
    origin.on('bkt', 'key', gate=gate, when=lambda r: r.header('range'))
    nginx = make_gateway(origin, f's3_cache_read_ahead {ahead};')
    reader = Reader(nginx, '/bkt/key')
    assert reader.read_to(MIB) == body[:MIB]
    # ahead counts the block that is read; block 0 came with the whole
    gate.wait_reached(max(1, ahead - 1))
    inflight = memory(nginx)['fills']
    assert inflight in (ahead, max(1, ahead - 1))
    gate.open()
    assert reader.read_all() == body
    reader.close()
    assert asked(origin) == [None] + [span(i) for i in range(1, 12)]
    assert {r.header('if-match') for r in origin.requests[1:]} == {obj.etag}


def test_every_block_after_the_first_names_the_version(origin, make_gateway):
    body = pattern(5 * MIB + 1)
    obj = origin.put('bkt', 'key', body)
    nginx = make_gateway(origin)
    assert nginx.get('/bkt/key', Range=f'bytes={MIB}-').body == body[MIB:]
    assert origin.requests[0].header('if-match') is None
    assert [r.header('if-match') for r in origin.requests[1:]] == \
        [obj.etag] * 4
    assert nginx.get('/bkt/key').body == body
    assert origin.requests[-1].header('if-match') == obj.etag


@pytest.mark.parametrize('honest', [True, False])
@pytest.mark.parametrize('same_size', [True, False])
def test_an_object_that_changes_in_mid_read_is_cut_and_never_mixed(
        origin, make_gateway, same_size, honest):
    """honest: the origin heeds If-Match; otherwise only the new ETag tells."""
    old = pattern(6 * MIB, 1)
    new = pattern(len(old) if same_size else 5 * MIB + 5, 2)
    origin.put('bkt', 'key', old)
    nginx = make_gateway(origin, 's3_cache_read_ahead 2;', server=LANES)

    def change(_):
        origin.put('bkt', 'key', new)

    origin.on('bkt', 'key', times=1, before=change, ignore_if_match=True,
              when=lambda r: r.header('range') == span(3))
    if not honest:
        origin.on('bkt', 'key', ignore_if_match=True,
                  when=lambda r: r.header('range') not in (None, span(3)))
    with Lanes(nginx) as lanes:
        readers = many(nginx, lanes, 6)
        for reader in readers:
            with pytest.raises(Cut):
                reader.read_all()
            assert len(reader.body) <= 3 * MIB
            assert reader.body == old[:len(reader.body)]
            assert reader.length == len(old)
            reader.close()
    answer = nginx.get('/bkt/key')
    assert answer.body == new
    assert answer.getheader('ETag') == \
        f'"{hashlib.md5(new).hexdigest()}"'


@pytest.mark.parametrize('honest', [True, False])
def test_a_change_before_the_first_byte_is_not_seen(
        origin, make_gateway, honest):
    old, new = pattern(6 * MIB, 1), pattern(6 * MIB, 2)
    origin.put('bkt', 'key', old)
    nginx = make_gateway(origin)
    assert nginx.get('/bkt/key', Range='bytes=0-9').body == old[:10]
    obj = origin.put('bkt', 'key', new)
    if not honest:
        origin.on('bkt', 'key', ignore_if_match=True)
    answer = nginx.get('/bkt/key', Range=f'bytes={4 * MIB}-{4 * MIB + 9}')
    assert (answer.status, answer.body) == (206, new[4 * MIB:4 * MIB + 10])
    assert answer.getheader('ETag') == obj.etag
    answer = nginx.get('/bkt/key')
    assert (answer.status, answer.body) == (200, new)


def test_a_deletion_before_the_first_byte_is_a_404(origin, make_gateway):
    body = pattern(3 * MIB)
    origin.put('bkt', 'key', body)
    nginx = make_gateway(origin)
    assert nginx.get('/bkt/key', Range='bytes=0-9').body == body[:10]
    origin.delete('bkt', 'key')
    answer = nginx.get('/bkt/key', Range=f'bytes={2 * MIB}-')
    assert answer.status == 404 and b'<Code>NoSuchKey<' in answer.body


# --- bounds ------------------------------------------------------------------------------

def test_what_exceeds_the_budget_of_fills_is_served_uncached(
        origin, make_gateway):
    nginx = make_gateway(origin, zone={'size': '64m', 'fill_memory': '1m'})
    bodies = {f'key{i}': pattern(700_000, i) for i in range(4)}
    for key, body in bodies.items():
        origin.put('bkt', key, body)
    gate = origin.gate(at=1000)
    origin.on('bkt', 'key0', gate=gate)
    holder = Reader(nginx, '/bkt/key0')
    assert holder.read_to(1000) == bodies['key0'][:1000]
    for key in ('key1', 'key2', 'key3'):
        answer = nginx.get(f'/bkt/{key}')
        assert answer.body == bodies[key]
        assert answer.getheader('X-Cache') == 'BYPASS'
    assert memory(nginx)['fill_bytes'] <= MIB
    gate.open()
    assert holder.read_all() == bodies['key0']
    holder.close()
    assert nginx.get('/bkt/key1').getheader('X-Cache') == 'MISS'
    assert nginx.get('/bkt/key1').getheader('X-Cache') == 'HIT'


def test_a_large_read_in_a_small_budget_is_right(origin, make_gateway):
    nginx = make_gateway(origin, 's3_cache_read_ahead 16;', server=LANES,
                         zone={'size': '64m', 'fill_memory': '2m'})
    body = pattern(24 * MIB)
    origin.put('bkt', 'key', body)
    with Lanes(nginx) as lanes:
        for reader in many(nginx, lanes, 8):
            assert reader.read_all() == body
            reader.close()


def test_more_fills_than_there_may_be_are_served_uncached(
        origin, make_gateway):
    nginx = make_gateway(origin, zone={'fills': 64})
    gate = origin.gate()
    origin.on('bkt', gate=gate, when=lambda r: r.key.startswith('held'))
    readers = []
    for i in range(64):
        origin.put('bkt', f'held{i}', b'%d' % i)
        readers.append(Reader(nginx, f'/bkt/held{i}'))
    gate.wait_reached(64)
    origin.put('bkt', 'key', b'body')
    answer = nginx.get('/bkt/key')
    assert (answer.body, answer.getheader('X-Cache')) == (b'body', 'BYPASS')
    gate.open()
    for i, reader in enumerate(readers):
        assert reader.read_all() == b'%d' % i
        reader.close()
    assert nginx.get('/bkt/key').getheader('X-Cache') == 'MISS'
    assert nginx.get('/bkt/key').getheader('X-Cache') == 'HIT'


@pytest.mark.parametrize('policy', ['s3fifo', 'lru'])
def test_an_object_larger_than_the_zone_is_served(
        origin, make_gateway, policy):
    nginx = make_gateway(origin, zone={'size': '8m', 'policy': policy},
                         server=LANES)
    body = pattern(20 * MIB)
    origin.put('bkt', 'key', body)
    with Lanes(nginx) as lanes:
        for _ in range(2):
            for reader in many(nginx, lanes, 4):
                assert reader.read_all() == body
                reader.close()
    answer = nginx.get('/bkt/key', Range='bytes=-7')
    assert answer.body == body[-7:]
    assert memory(nginx)['payload_bytes'] < 8 * MIB


@pytest.mark.parametrize('policy', ['s3fifo', 'lru'])
def test_a_zone_full_of_pinned_data_serves_on(origin, make_gateway, policy):
    nginx = make_gateway(origin, server=NARROW,
                         zone={'size': '8m', 'policy': policy})
    readers = []
    for i in range(16):
        body = pattern(900_000, i)
        origin.put('bkt', f'key{i}', body)
        reader = Reader(nginx, f'/bkt/key{i}', name='narrow', rcvbuf=4096)
        assert reader.read_to(100) == body[:100]
        readers.append((reader, body))
    origin.put('bkt', 'more', pattern(900_000, 99))
    for _ in range(3):
        answer = nginx.get('/bkt/more')
        assert (answer.status, answer.body) == (200, pattern(900_000, 99))
        assert answer.getheader('X-Cache') == 'BYPASS'
    assert memory(nginx)['full'] > 0
    for reader, body in readers:
        assert reader.read_all() == body
        reader.close()
    wait.until(lambda: memory(nginx)['pins'] == 0, 'all let go')
    assert nginx.get('/bkt/more').body == pattern(900_000, 99)
    assert nginx.get('/bkt/more').getheader('X-Cache') == 'HIT'
