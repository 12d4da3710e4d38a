# SPDX-License-Identifier: Apache-2.0
"""The contract of writes, tried by chance: who saw its write succeed never
reads the older version afterwards, through any worker, node or tier, whatever
fails meanwhile. What clients did is judged as the history of one register for
each key (lib.linear). What is cached is fresh for an hour: nothing but
coherence keeps it right.

LINEAR_SECONDS (10) is how long each load runs, LINEAR_SEED chooses it.
"""

import random

import pytest

from flash_reads import TIER, Objects, make_flash   # noqa: F401 (fixture)
from lib import store
from lib.history import UNKNOWN
from linear_load import SECONDS, SEED, Load, Node
from origin.scripted_origin import ScriptedOrigin
from test_ring import Bucket

# what a dead worker was writing to rests for a minute: there must be more
STORE = dict(size='64m', segment='1m')
BLOCKS = 's3_cache_block_size 64k; s3_cache_list 1h;'
TIMES = (' s3_cache_origin_connect_timeout 1s;'
         ' s3_cache_origin_send_timeout 1s;'
         ' s3_cache_origin_read_timeout 1s;')
VALID = '200 206 404 1h'
DEADLINE = int(SECONDS) + 110
MIB = 1 << 20
# The RGW refuses parts of less than 5 MiB but for the last one; and it never
# frees what parts have taken (100 MB a minute of load).
PARTS = ((70_000,), (1000,), (100_000,)) * 12 + ((5 * MIB, 70_000),)


@pytest.fixture
def origin():
    with ScriptedOrigin() as started:
        started.bucket('bkt')
        yield started


@pytest.fixture(params=['memory', 'flash'])
def make(request, make_gateway, make_flash):    # noqa: F811
    """A gateway of two workers with a small memory."""
    flash = request.param == 'flash'

    def made(origin, location=''):
        if flash:
            return make_flash(origin, [STORE], BLOCKS + location,
                              {'size': '8m'}, workers=2, valid=VALID)
        return make_gateway(
            origin, workers=2, valid=VALID, zone={'size': '8m'},
            location=BLOCKS + location + TIER)

    made.flash = flash
    return made


def crowd(origin, nginx, bucket='crowd'):
    """One more thing that happens: other objects take the place of all."""
    others = Objects(origin, 14, (900_000, 900_000), 99, bucket=bucket)

    def come():
        for _ in range(2):
            others.fetch(nginx, lanes=2)

    return {'crowd': come}


def check(make, nginx, load):
    load.read_all()
    if make.flash:
        nginx.restart('quit')
        store.wait_state(nginx)
        load.read_all()
    load.must_be_linear()
    assert not make.flash or load.count('flash') > 0


def some_fail(origin, seed):
    """Now and then the origin does what it likes. Of a write that it never
    answers nobody knows what became of it, or will."""
    rng = random.Random(seed)

    def on(share, methods='GET HEAD', **what):
        origin.on('bkt', when=lambda r: r.method in methods.split()
                  and rng.random() < share, **what)

    writes = 'PUT POST DELETE'
    on(0.02, reply_delay_s=0.3)                  # what was there a while ago
    on(0.02, rate=400_000)
    on(0.01, cut_at=30_000)
    on(0.01, drop=True)
    on(0.01, error=(503, 'SlowDown'))
    on(0.01, error=(500, 'InternalError'))
    on(0.05, writes, reply_delay_s=0.2)          # done, and said later
    on(0.05, writes, head_delay_s=0.2)           # done later
    on(0.02, writes, error=(503, 'SlowDown'))    # not done
    on(0.01, writes, error=(500, 'InternalError'))
    on(0.01, writes, drop=True)
    on(0.01, writes, raw=b'')                    # done, and not said
    on(0.04, writes, head_delay_s=2.5)           # done when nobody waits
    on(0.005, 'PUT', body_cut_at=500)


def faults_of(nginx, seed):
    rng = random.Random(seed)
    return {
        'kill a worker': lambda: nginx.kill_worker(
            rng.choice(nginx.worker_pids())),
        'kill all workers': lambda: [nginx.kill_worker(pid)
                                     for pid in nginx.worker_pids()],
        'reload': lambda: nginx.reload(workers=rng.choice((2, 3))),
    }


# --- one node -------------------------------------------------------------------

@pytest.mark.deadline(DEADLINE)
def test_before_a_real_origin(make, rgw, rgw_s3, bucket):
    nginx = make(rgw)
    with Load([Node('node0', nginx)], bucket, part_sizes=PARTS) as load:
        load.torment(SECONDS, crowd(Bucket(rgw_s3), nginx, bucket))
    check(make, nginx, load)


@pytest.mark.deadline(DEADLINE)
def test_workers_that_die_before_a_real_origin(make, rgw, rgw_s3, bucket):
    nginx = make(rgw)
    with Load([Node('node0', nginx)], bucket, SEED + 1,
              part_sizes=PARTS) as load:
        load.torment(SECONDS, {**faults_of(nginx, SEED),
                               **crowd(Bucket(rgw_s3), nginx, bucket)})
    check(make, nginx, load)


@pytest.mark.deadline(DEADLINE)
def test_an_origin_that_fails_and_workers_that_die(make, origin):
    nginx = make(origin, location=TIMES)
    some_fail(origin, SEED)
    with Load([Node('node0', nginx)], 'bkt', SEED + 2, lists=True) as load:
        load.torment(SECONDS, {**faults_of(nginx, SEED),
                               **crowd(origin, nginx)})
    origin.off()
    check(make, nginx, load)
    assert any(op.outcome == UNKNOWN for op in load.history.ops if op.writes)


@pytest.mark.deadline(DEADLINE)
def test_an_nginx_that_is_restarted(make, origin):
    """What is on flash outlives it, and what was overwritten does not come
    back from there. (A restart forgets of which writes nobody knows: so the
    origin is a good one.)"""
    nginx = make(origin, location=TIMES)

    def restart(how):
        nginx.restart(how)
        if make.flash:
            store.wait_state(nginx)

    with Load([Node('node0', nginx)], 'bkt', SEED + 3, lists=True) as load:
        load.torment(SECONDS, {**crowd(origin, nginx), **{
            how: lambda how=how: restart(how)
            for how in ('kill_all', 'stop', 'quit')}})
    check(make, nginx, load)


# --- the checker finds what is wrong ----------------------------------------------

class Behind:
    """The origin itself, as an nginx would be asked."""

    def __init__(self, origin):
        self.port = lambda: origin.port


def test_writes_behind_the_back_of_the_cache_are_found(make, origin):
    """A bug put in on purpose: some writes that succeed go past the fence."""
    nginx = make(origin)
    with Load([Node('node0', nginx)], 'bkt', SEED + 4, lists=True,
              behind=Node('origin', Behind(origin)),
              behind_share=0.2) as load:
        load.run(3)
    found = load.judge()
    assert found.violations, 'not found'
    for violation in found.violations:
        text = str(violation)
        assert 'cannot be: possible was' in text
        assert sum(line.startswith('>') for line in text.splitlines()) == 1
        assert len(text.splitlines()) >= 4
    assert 'overwritten by' in found.report() and 'HIT' in found.report()
    with pytest.raises(AssertionError, match='cannot be: possible was'):
        load.must_be_linear()
