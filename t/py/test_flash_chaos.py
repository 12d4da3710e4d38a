# SPDX-License-Identifier: Apache-2.0
"""A small memory before two small stores, objects that change, and everything
that can happen to it: every answer is some version that the origin had.

CHAOS_SECONDS (16) is how long it runs; CHAOS_SEED chooses what happens.
"""

import collections
import concurrent.futures
import random
import time

import pytest

from chaos import SECONDS, SEED, VALID_S, Clients, Versions
from flash_reads import TIER, Objects
from lib import store
from lib.nginx import s3_location, s3_store, s3_zone
from origin.scripted_origin import ScriptedOrigin


class Tiered(Clients):
    """Clients that count which tier their right answers came from."""

    def __init__(self, *args):
        super().__init__(*args)
        self.tiers = collections.Counter()

    def check(self, key, reader, *more):
        super().check(key, reader, *more)
        if reader.status in (200, 206):
            self.tiers[reader.headers['x-tier']] += 1


@pytest.mark.deadline(int(SECONDS) + 100)
@pytest.mark.parametrize('medium', ['a good disk', 'a bad disk'])
def test_every_answer_is_some_version_with_flash(
        request, make_nginx, medium):
    print(f'CHAOS_SEED={SEED}')
    disk = request.getfixturevalue('disk') if 'bad' in medium else None
    rng = random.Random(SEED)
    keys = [f'key{i}' for i in range(60)]
    with ScriptedOrigin() as origin:
        versions = Versions(origin, SEED)
        for key in keys:
            versions.put(key)
        nginx = gateway(make_nginx, origin, disk).start()
        spoil(disk)
        clients = Tiered(nginx, versions, keys)
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            running = [pool.submit(clients.run, SEED + i) for i in range(6)]
            try:
                did = torment(nginx, versions, keys, rng, running, [
                    f'{nginx.dir}/one', disk.behind('two') if disk
                    else f'{nginx.dir}/two'])
            finally:
                clients.over.set()
            for future in running:
                future.result(60)
        print(clients.count, clients.tiers, did)
        if disk:
            disk.off()
            nginx.restart('quit')      # rather than wait until it is tried
        store.wait_state(nginx)
        # the end: what is there now is what is answered, from either tier
        for how in (None, 'kill_all', 'quit'):
            if how:
                nginx.restart(how)
                store.wait_state(nginx)
            for key in keys:
                etag = versions.history[key][-1][0]
                answer = nginx.request(target=f'/bkt/{key}', name='strict')
                assert answer.status == (200 if etag else 404)
                if etag:
                    assert answer.body == versions.bodies[etag]
        nginx.check_accounting(timeout_s=20)
        assert clients.count['right'] > 100
        assert clients.tiers['flash'] > 10
        assert clients.count['error'] == 0


def spoil(disk):
    """Now and then whatever is asked of it fails, but for the superblock."""
    faults = {('read', 'write'): [{'error': 'EIO'}, {'short': 4096},
                                  {'flip': -1000}, {'delay_s': 0.4}],
              ('write',): [{'error': 'ENOSPC'}]}
    for kinds, rules in faults.items():
        for number, rule in enumerate(rules if disk else ()):
            disk.on(*kinds, at=(1 << 20, 1 << 40), share=0.01,
                    seed=SEED + number, **rule)


def gateway(make_nginx, origin, disk):
    more = TIER + 's3_cache_block_size 64k; '
    valid = f'200 404 {VALID_S:g}s'
    return make_nginx(
        http=s3_zone(size='8m') + ''.join(
            s3_store(path, '20m', segment='1m', timeout='200ms')
            for path in ('@dir@/one', disk.path('two') if disk
                         else '@dir@/two'))
        + 'server { listen 127.0.0.1:@port:strict@; ' + s3_location(
            origin.url, more=more + 's3_cache_freshness strict;',
            valid=valid) + '}\n',
        server=s3_location(origin.url, more=more, valid=valid)
        # so that memory is always short of room
        + s3_location(origin.url, more=more, valid='200 1h', path='/crowd/'),
        workers=2)


def torment(nginx, versions, keys, rng, running, paths):
    """Overwrites all the time; now and then something worse: how often what."""
    did = {}
    until = time.monotonic() + SECONDS / 2
    worse = time.monotonic()
    crowd = Objects(versions.origin, 20, (300_000, 600_000), bucket='crowd')
    while time.monotonic() < until:
        for future in running:
            if future.done():
                future.result()
        versions.put(rng.choice(keys))
        if rng.random() < 0.2:
            crowd.fetch(nginx, [rng.choice(crowd.targets)])
        if time.monotonic() < worse:
            continue
        what = rng.choice(('kill_worker', 'kill_worker', 'reload', 'kill_all',
                           'stop', 'quit', 'flip', 'flip', 'flip'))
        did[what] = did.get(what, 0) + 1
        if what == 'kill_worker':
            nginx.kill_worker(rng.choice(nginx.worker_pids()))
        elif what == 'reload':
            nginx.reload(workers=rng.choice((1, 2, 3)))
        elif what == 'flip':
            path = rng.choice(paths)
            for _ in range(50):
                store.flip(path, rng.randrange(1 << 20, 20 << 20),
                           rng.randrange(8))
        else:
            nginx.restart(what)
        worse = time.monotonic() + rng.uniform(0.2, 1.2)
    return did
