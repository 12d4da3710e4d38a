# SPDX-License-Identifier: Apache-2.0
"""s3_cache_write_through (test_write_through.py) while other things happen:
other writes, workers that die, a restart."""

import contextlib
import threading

import pytest

import raw_http
from flash_reads import make_flash, store_path     # noqa: F401 (a fixture)
from lib import store, wait
from origin.objects import Object, pattern
from test_write_through import (BLOCK, META, MIB, ON, gateway, get, gets,
                                kept_is, lost, lost_is, not_kept, origin, put,
                                through)

__all__ = ['gateway', 'origin']


# --- at the same time --------------------------------------------------------

def test_a_write_while_the_origin_is_asked_drops_what_was_written(gateway,
                                                                  origin):
    gate = origin.gate()
    rule = origin.on('bkt', 'key', method='HEAD', gate=gate, times=1,
                     object=Object(pattern(3 * BLOCK, 1)))
    assert put(gateway, pattern(3 * BLOCK, 1)).status == 200
    gate.wait_reached()
    second = pattern(3 * BLOCK, 2)
    assert put(gateway, second).status == 200
    assert get(gateway).body == second
    gate.open()
    for _ in range(8):
        assert get(gateway).body == second
    wait.until(lambda: through(gateway)['kept'] >= 1, 'the first HEAD')
    assert get(gateway).body == second
    origin.off(rule)


def test_a_write_under_way_holds_the_other_back(gateway, origin):
    """The second has begun before the first is over: nothing of either is
    kept until it is over, too."""
    gate = origin.gate()
    rule = origin.on('bkt', 'key', method='PUT', gate=gate,
                     when=lambda r: r.header('x-amz-meta-n') == '2')
    status = []
    second = threading.Thread(target=lambda: status.append(
        put(gateway, b'second', {'x-amz-meta-n': '2'}).status))
    second.start()
    gate.wait_reached()
    assert put(gateway, b'first').status == 200
    assert get(gateway)['X-Cache'] == 'BYPASS'
    gate.open()
    second.join()
    assert get(gateway).body == b'second'
    kept_is(gateway, 1)
    lost_is(gateway, {'overtaken': 1})
    origin.off(rule)


@pytest.mark.parametrize('size, writers', [(2 * BLOCK, 6), (9 * MIB, 3)])
def test_writers_of_one_key_never_leave_a_mixture(make_gateway, origin, size,
                                                  writers):
    """The larger ones are copied in several turns, under other writes."""
    gateway = make_gateway(origin, location=ON, zone={'size': '128m'})
    bodies, seen = [pattern(size + i, i) for i in range(writers)], []

    def write(i):
        for n in range(6):
            assert put(gateway, bodies[(i + n) % writers]).status == 200
            with contextlib.suppress(raw_http.Malformed):   # cut by a write
                seen.append(get(gateway).body)

    threads = [threading.Thread(target=write, args=(i,))
               for i in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen and all(body in bodies for body in seen)
    assert get(gateway).body == origin.get('bkt', 'key').body


def test_a_bucket_that_is_dropped_takes_it_along(gateway, origin):
    gate = origin.gate()
    rule = origin.on('bkt', 'key', method='HEAD', gate=gate, times=1)
    put(gateway, b'first')
    gate.wait_reached()
    put(gateway, b'<x/>', target='/bkt?versioning')
    gate.open()
    origin.put('bkt', 'key', b'second')
    wait.until(lambda: sum(lost(gateway).values())
               + through(gateway)['kept'] == 1, 'its end')
    assert get(gateway).body == b'second'
    origin.off(rule)


# --- a worker that dies ------------------------------------------------------

def test_a_worker_killed_in_mid_body_leaves_nothing_held(make_gateway,
                                                         origin):
    gateway = make_gateway(origin, location=ON, workers=1)
    c = raw_http.Connection(gateway.port())
    c.request('PUT', '/bkt/key', {'Content-Length': str(10 * BLOCK)})
    c.send(pattern(3 * BLOCK + 9))
    wait.until(lambda: gateway.zone()['memory']['entries'] >= 3, 'a capture')
    gateway.kill_worker()
    c.close()
    gateway.check_accounting()
    origin.put('bkt', 'key', b'old')
    assert get(gateway).body == b'old'


def test_a_worker_killed_while_it_asks_leaves_nothing_held(make_gateway,
                                                           origin):
    gateway = make_gateway(origin, location=ON, workers=1)
    gate = origin.gate()
    rule = origin.on('bkt', 'key', method='HEAD', gate=gate, times=1)
    body = pattern(10 * BLOCK)
    assert put(gateway, body).status == 200
    gate.wait_reached()
    gateway.kill_worker()
    gate.open()
    gateway.check_accounting()
    not_kept(gateway, origin, body)
    origin.off(rule)


@pytest.mark.deadline(240)
def test_workers_killed_at_any_moment(make_gateway, origin):
    """Among them the copying of a body that takes several turns."""
    gateway = make_gateway(origin, location=ON, workers=2,
                           zone={'size': '128m'})
    bodies = [pattern(12 * MIB + i, i) for i in range(2)]
    over = threading.Event()
    errors = []

    def write(i):
        while not over.is_set():
            try:
                put(gateway, bodies[i], target=f'/bkt/{i}')
                answer = get(gateway, f'/bkt/{i}')
                if answer.body != bodies[i]:
                    errors.append((i, answer.status, len(answer.body)))
            except (OSError, raw_http.Malformed):
                pass

    threads = [threading.Thread(target=write, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        kept = through(gateway)['captured']
        wait.until(lambda: through(gateway)['captured'] > kept,
                   'a body', 30)                      # noqa: B023
        gateway.kill_worker()
    over.set()
    for thread in threads:
        thread.join()
    assert [e for e in errors if e[1] == 200] == []
    gateway.check_accounting()
    for i in range(2):
        assert get(gateway, f'/bkt/{i}').body == bodies[i]


# --- flash -------------------------------------------------------------------

@pytest.mark.parametrize('size', [1000, 5 * BLOCK + 777])
def test_a_restart_with_flash_keeps_it(make_flash, origin, size):  # noqa: F811
    gateway = make_flash(origin, location=ON)
    body = pattern(size)
    assert put(gateway, body, META).status == 200
    assert get(gateway).body == body
    store.wait_on_media([store_path(gateway)],
                        [body[i:i + BLOCK] for i in range(0, size, BLOCK)])
    gateway.restart()
    store.wait_state(gateway)
    answer = get(gateway)
    assert (answer['X-Tier'], answer.body) == ('flash', body)
    assert answer['x-amz-meta-a'] == 'b c'
    assert gets(origin) == []
