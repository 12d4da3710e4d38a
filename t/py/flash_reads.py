# SPDX-License-Identifier: Apache-2.0
"""What the test_flash*.py files share: a gateway with stores, objects to put
before it, and reads that tell which tier answered."""

import concurrent.futures
import http.client
import random
import threading

import pytest

from lib import store, wait
from origin.objects import pattern

KIB, MIB = 1 << 10, 1 << 20
SEGMENT = 4 * MIB
TIER = 'add_header X-Tier $s3_cache_tier always;'
SMALL = dict(size='64m', segment='4m')      # 15 segments
ROOMY = dict(size='256m', segment='4m')     # nothing is reclaimed


@pytest.fixture
def make_flash(make_gateway):
    """make_flash(origin, stores=[{...}], ...): as make_gateway, with a store
    of 64 MiB, answers that tell their tier, and all stores in service."""
    def make(origin, stores=(SMALL,), location='', zone=None, serving=True,
             **more):
        nginx = make_gateway(
            origin, location=TIER + location, stores=stores,
            zone=zone or {'size': '32m'}, **more)
        if serving:
            store.wait_state(nginx)
        return nginx

    return make


@pytest.fixture
def make_faulty(disk, make_flash):
    """make_faulty(origin, ...): one whose store lies on `disk`. What the disk
    holds back is let go before nginx ends."""
    def make(origin, timeout='10s', **more):
        return make_flash(origin, stores=[
            dict(SMALL, path=disk.path('store'), timeout=timeout)], **more)

    yield make
    disk.off()


class Objects:
    """`count` objects at an origin, of sizes that a seed tells. They are known
    again by their last 32 bytes."""

    def __init__(self, origin, count, sizes=(64, 200_000), seed=1, bucket='bkt',
                 **more):
        rng = random.Random(seed)
        low, high = sizes
        self.origin, self.more = origin, more
        self.bodies = {f'/{bucket}/{seed}-{i}': pattern(
            rng.randint(low, high), seed * 100_000 + i) for i in range(count)}
        for target, body in self.bodies.items():
            self._put(target, body)

    def _put(self, target, body):
        _, bucket, key = target.split('/', 2)
        self.origin.put(bucket, key, body, **self.more)

    def put(self, target, body):
        """Another version."""
        self.bodies[target] = body
        self._put(target, body)

    @property
    def targets(self):
        return list(self.bodies)

    @property
    def bytes(self):
        return sum(map(len, self.bodies.values()))

    def fetch(self, nginx, targets=None, lanes=8, **more):
        """Reads them all, at once: {tier: how many}; every body is right."""
        targets = targets or self.targets
        with concurrent.futures.ThreadPoolExecutor(lanes) as pool:
            tiers = list(pool.map(
                lambda target: self.get(nginx, target, **more), targets))
        return {tier: tiers.count(tier) for tier in set(tiers)}

    def get(self, nginx, target, span=None, **more):
        """Reads one, or the bytes [first, last] of it, and says where the
        answer came from."""
        body, status = self.bodies[target], 200
        if span:
            more['headers'] = {'Range': f'bytes={span[0]}-{span[1]}'}
            body, status = body[span[0]:span[1] + 1], 206
        answer = nginx.request(target=target, **more)
        assert answer.status == status, (target, answer.status, answer.body)
        assert answer.body == body, f'{target}: wrong bytes'
        tier = answer.getheader('X-Tier')
        if tier == 'flash':
            assert answer.getheader('X-Cache') in ('HIT', 'REVALIDATED')
        return tier

    def wait_stored(self, paths, targets=None):
        """All of them have reached the files of the stores."""
        store.wait_on_media(paths, [self.bodies[t]
                                    for t in targets or self.targets])


def store_path(nginx, name='store'):
    return f'{nginx.dir}/{name}'


def crowd_out(origin, nginx, seed=99, count=14, size=900_000):
    """Other objects take the place of all others in a zone of 8 MiB."""
    for _ in range(2):
        Objects(origin, count, (size, size), seed, bucket='crowd').fetch(nginx)


def cold(disk, nginx, objects):
    """The objects are on flash, and nothing is in memory."""
    objects.fetch(nginx)
    objects.wait_stored([disk.behind('store')])
    nginx.restart('kill_all')
    store.wait_state(nginx)
    disk.forget()


class Load:
    """Clients that read objects at random until the end of the block; what
    they get is right, or (where `may_fail`) visibly nothing."""

    def __init__(self, nginx, objects, clients=4, may_fail=False):
        self.nginx, self.objects, self.may_fail = nginx, objects, may_fail
        self.over = threading.Event()
        self.answers = 0
        self.failures = 0
        self.pool = concurrent.futures.ThreadPoolExecutor(clients)
        self.running = [self.pool.submit(self._run, seed)
                        for seed in range(clients)]

    def _run(self, seed):
        rng = random.Random(seed)
        targets = self.objects.targets
        while not self.over.is_set():
            try:
                self.objects.get(self.nginx, rng.choice(targets))
                self.answers += 1
            except (OSError, http.client.HTTPException):
                if not self.may_fail:
                    raise
                self.failures += 1
                self.over.wait(0.01)

    def wait_answers(self, count):
        """So many more answers have been given."""
        until = self.answers + count

        def enough():
            for future in self.running:
                if future.done():
                    future.result()
            return self.answers >= until

        wait.until(enough, f'{count} more answers', 30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        for future in self.running:
            future.result(60)
        self.pool.shutdown()
