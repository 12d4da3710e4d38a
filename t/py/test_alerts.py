# SPDX-License-Identifier: Apache-2.0
"""Alerts: raised when something is wrong for a while, told in the log, the JSON
and the metrics, kept over reloads and deaths, and over when it is well again."""

import contextlib
import itertools
import json
import re
import threading
import time

import pytest

from flash_reads import SEGMENT, Objects, make_faulty, make_flash
from lib import store, wait
from lib.ctl import Ctl
from lib.nginx import s3_zone
from origin.objects import pattern
from peer_reads import QUICK, make_cluster

__all__ = ['make_cluster', 'make_faulty', 'make_flash']

NAMES = {'hit_ratio', 'origin_errors', 'origin_latency', 'peer_down',
         'flash_failing', 'zone_small', 'recovery_slow'}
ON = 's3_cache_alerts on window=1s'


class Traffic:
    """Calls `.do()` from one client again and again until the end of the
    block; it may be changed meanwhile."""

    def __init__(self, do):
        self.do = do
        self.failed = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.over.is_set():
            try:
                self.do()
            except Exception as e:           # told by the test's thread
                self.failed = e
                return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        if self.failed:
            raise self.failed


def alerts(nginx):
    return {a['name']: a for a in nginx.zone()['alerts']}


def gauges(nginx, zone='hot'):
    return {name: int(value) for name, value in re.findall(
        rf'^s3_cache_alert{{zone="{zone}",alert="(\w+)"}} (\d)$',
        nginx.metrics(), re.M)}


def wait_raised(nginx, name, timeout_s=30):
    return wait.until(lambda: alerts(nginx).get(name),
                      lambda: f'{name}: {nginx.zone()}', timeout_s, 0.1)


def wait_over(nginx, name, timeout_s=40):
    wait.until(lambda: name not in alerts(nginx),
               lambda: f'{name} to be over: {alerts(nginx)}', timeout_s, 0.1)


def wait_seconds(nginx, count, requests=60):
    """So many samples with so many requests each: what is usual."""
    def enough():
        shown = nginx.request(target='/status?history=seconds', name='status')
        zone, = json.loads(shown.body)['zones']
        counts = zone['counts']
        return sum(sum(of) >= requests for of in zip(
            counts['hit'], counts['miss'])) >= count
    wait.until(enough, f'{count} seconds of traffic', 40, 0.2)


def status(nginx):
    """What s3cachectl makes of it."""
    return Ctl(nginx.url(name='status'), S3CACHE_STATUS='/status')('status').out


def line(nginx, level, text):
    return re.findall(rf'\[{level}\] .*s3_cache_zone "hot": alert {text}.*',
                      nginx.log())


def misses(nginx):
    numbers = itertools.count()
    return lambda: nginx.get(f'/bkt/none-{next(numbers)}')


def test_errors_of_the_origin_over_a_reload_and_a_death(origin, make_gateway):
    nginx = make_gateway(origin,
                         http=f'{ON} hit_ratio=off origin_latency=off;')
    for i in range(5000):
        origin.put('bkt', f'k{i}', b'x')
    numbers = itertools.count()
    rule = origin.on(error=(503, 'SlowDown'))

    def read():
        # of a worker that is killed a client has no answer
        with contextlib.suppress(ConnectionError):
            nginx.get(f'/bkt/k{next(numbers) % 5000}')
    with Traffic(read) as load:
        alert = wait_raised(nginx, 'origin_errors')
        assert alert['severity'] == 'critical'
        assert alert['threshold'] == 0.05 and alert['value'] > 0.5
        assert re.fullmatch(r'\d+ of \d+ requests to the origin failed in the '
                            r'last 1 s, most of them: 5xx', alert['text'])
        assert 'stale_if_error' in alert['advice']
        assert abs(alert['since'] / 1000 - time.time()) < 30
        assert gauges(nginx) == {
            **dict.fromkeys(NAMES - {'hit_ratio', 'origin_latency'}, 0),
            'origin_errors': 1}
        assert re.search(r'^  ALERT +origin_errors: \d+ of .*stale_if_error',
                         status(nginx), re.M)
        said, = line(nginx, 'error', 'origin_errors: ')
        assert alert['advice'] in said

        # whoever judges next finds it raised, and does not say so again
        nginx.kill_worker()
        nginx.reload(wait_old=True)
        after = alerts(nginx)['origin_errors']
        assert abs(after['since'] - alert['since']) < 1000

        origin.off(rule)
        load.do = lambda: nginx.get('/bkt/k1')
        wait_over(nginx, 'origin_errors')
    assert gauges(nginx)['origin_errors'] == 0
    assert len(line(nginx, 'error', 'origin_errors: ')) == 1
    assert len(line(nginx, 'notice',
                    r'origin_errors is over after \d+ s; last: ')) == 1


def test_a_hit_ratio_that_falls(origin, make_gateway):
    nginx = make_gateway(origin, http=f'{ON} origin_latency=off;')
    origin.put('bkt', 'key', pattern(1000))
    with Traffic(lambda: nginx.get('/bkt/key')) as load:
        wait_seconds(nginx, 8)
        assert not alerts(nginx)
        load.do = misses(nginx)
        alert = wait_raised(nginx, 'hit_ratio')
        assert alert['severity'] == 'warning' and alert['value'] > 0.3
        assert re.search(r'reads were hits in the last 1 s, usually '
                         r'\d\d\.\d %', alert['text'])
        assert set(alerts(nginx)) == {'hit_ratio'}
        assert len(line(nginx, 'warn', 'hit_ratio: ')) == 1
        load.do = lambda: nginx.get('/bkt/key')
        wait_over(nginx, 'hit_ratio')
    assert len(line(nginx, 'notice', 'hit_ratio is over ')) == 1


def test_an_origin_that_gets_slow(origin, make_gateway):
    nginx = make_gateway(origin, http='s3_cache_alerts on window=2s '
                                      'origin_latency=2;')
    get = misses(nginx)
    with Traffic(get), Traffic(get), Traffic(get):
        wait_seconds(nginx, 11)
        origin.on(head_delay_s=0.15)
        alert = wait_raised(nginx, 'origin_latency', 60)
        assert re.search(r'took over \d+ ms to begin in the last 2 s, usually '
                         r'\d+ ms', alert['text'])
        assert alert['value'] > 2 and alert['threshold'] == 2
        assert set(alerts(nginx)) == {'origin_latency'}
        origin.reset()
        wait_over(nginx, 'origin_latency', 60)


def test_a_node_that_is_down(origin, make_cluster):
    cluster = make_cluster(origin, nodes=3, block=QUICK, http=f'{ON};')
    assert not any(alerts(node) for node in cluster.nodes)
    cluster.nodes[2].kill_all()
    for node in cluster.nodes[:2]:
        alert = wait_raised(node, 'peer_down')
        assert alert['text'] == '1 of 2 other nodes do not answer: node2'
        assert alert['value'] == alert['threshold'] == 1
        assert gauges(node)['peer_down'] == 1
    cluster.nodes[2].start()
    for node in cluster.nodes[:2]:
        wait_over(node, 'peer_down')
        assert len(line(node, 'warn', 'peer_down: ')) == 1
        assert len(line(node, 'notice', 'peer_down is over ')) == 1


def test_a_store_that_fails(disk, origin, make_faulty):
    nginx = make_faulty(origin, zone={'size': '8m'}, http=f'{ON};')
    rule = disk.on('write', error='EIO')
    seeds = itertools.count(100)

    def fill():
        Objects(origin, 4, (100_000, 200_000), seed=next(seeds)).fetch(nginx)

    with Traffic(fill):
        alert = wait_raised(nginx, 'flash_failing', 60)
    assert 'store' in alert['text'] and alert['value'] >= 1
    assert 'smartctl' in alert['advice']
    assert len(line(nginx, 'warn', 'flash_failing: ')) == 1
    disk.off(rule)
    store.wait_state(nginx, timeout_s=60)
    wait_over(nginx, 'flash_failing')


def test_a_store_that_takes_long_to_recover(disk, origin, make_faulty):
    nginx = make_faulty(origin, timeout='1m', http=f'{ON} recovery_slow=2;')
    mine = Objects(origin, 40, (100_000, 200_000))
    mine.fetch(nginx)
    mine.wait_stored([disk.behind('store')])
    nginx.kill_all()
    disk.on('read', hold=True, at=(SEGMENT, 1 << 40))
    nginx.start()
    alert = wait_raised(nginx, 'recovery_slow')
    assert re.match(r'1 stores are not in service yet, for \d+ s: /.*store',
                    alert['text'])
    disk.off()
    store.wait_state(nginx, timeout_s=60)
    wait_over(nginx, 'recovery_slow')


def test_a_zone_that_is_too_small(origin, make_gateway):
    nginx = make_gateway(origin, zone={'size': '8m'}, http=f'{ON};')
    body = pattern(8000)
    for i in range(20000):
        origin.put('bkt', f'k{i}', body)
    numbers = itertools.count()

    def again():
        """Each is asked for again when it has been evicted a moment ago: the
        small queue has a fifth of the zone, 190 of them."""
        i = next(numbers)
        nginx.get(f'/bkt/k{i % 20000}')
        nginx.get(f'/bkt/k{max(i - 400, 0) % 20000}')

    with Traffic(again) as load:
        alert = wait_raised(nginx, 'zone_small', 60)
        more = re.search(r'shortly before; up to ([\d.]+) MiB more than the '
                         r'([\d.]+) MiB', alert['text'])
        assert 0 < float(more[1]) <= float(more[2]) <= 8
        assert alert['value'] >= 0.3
        load.do = lambda: nginx.get('/bkt/k1')
        wait_over(nginx, 'zone_small')


def test_each_zone_has_its_own_and_off_is_off(origin, make_gateway):
    nginx = make_gateway(origin, http=s3_zone('cold') + f'{ON};')
    assert gauges(nginx) == gauges(nginx, 'cold') == dict.fromkeys(NAMES, 0)
    assert alerts(nginx) == {}
    nginx.reload(http=nginx.pieces['http'].replace(f'{ON};',
                                                   's3_cache_alerts off;'))
    assert gauges(nginx) == {} and nginx.zone()['alerts'] == []
    # without a word they are on
    nginx.reload(http=nginx.pieces['http'].replace('s3_cache_alerts off;', ''))
    assert set(gauges(nginx)) == NAMES


def test_a_node_that_nobody_asks_raises_nothing(origin, make_gateway):
    nginx = make_gateway(origin, http=f'{ON};')
    wait_seconds(nginx, 12, requests=0)
    assert not alerts(nginx) and 'alert ' not in nginx.log()


@pytest.mark.parametrize('directive, complaint', [
    ('s3_cache_alerts;', 'invalid number of arguments'),
    ('s3_cache_alerts yes;', 'invalid value "yes"'),
    ('s3_cache_alerts off window=1m;', 'invalid value "off"'),
    ('s3_cache_alerts on; s3_cache_alerts off;', 'is duplicate'),
    ('s3_cache_alerts on disk=1;', 'unknown parameter "disk=1"'),
    ('s3_cache_alerts on hit_ratio;', 'unknown parameter "hit_ratio"'),
    ('s3_cache_alerts on hit_rati=1;', 'unknown parameter "hit_rati=1"'),
    ('s3_cache_alerts on hit_ratio=0;', 'a number above 0'),
    ('s3_cache_alerts on hit_ratio=0.0001;', 'a number above 0'),
    ('s3_cache_alerts on hit_ratio=;', 'a number above 0'),
    ('s3_cache_alerts on hit_ratio=-1;', 'a number above 0'),
    ('s3_cache_alerts on hit_ratio=30%;', 'a number above 0'),
    ('s3_cache_alerts on hit_ratio=0.1 hit_ratio=0.2;', 'given before'),
    ('s3_cache_alerts on origin_latency=1;', 'a number above 1'),
    ('s3_cache_alerts on window=10m;', 'a time from 1s to 5m'),
    ('s3_cache_alerts on window=500ms;', 'a time from 1s to 5m'),
    ('s3_cache_alerts on window=off;', 'a time from 1s to 5m'),
    ('s3_cache_alerts on window=1s window=2s;', 'given before'),
])
def test_what_it_refuses(make_nginx, directive, complaint):
    status, said = make_nginx(http=s3_zone() + directive,
                              status=False).test_conf()
    assert status == 1
    assert re.search(rf'\[emerg\] .*{re.escape(complaint)}', said), said


def test_what_it_takes(make_nginx):
    status, said = make_nginx(
        http=s3_zone() + 's3_cache_alerts on window=5m hit_ratio=0.25 '
        'origin_latency=1.5 recovery_slow=1800 zone_small=off;').test_conf()
    assert status == 0, said
