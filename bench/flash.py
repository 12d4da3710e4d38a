# SPDX-License-Identifier: Apache-2.0
"""Flash: the tier by itself against fio on the same file, through HTTP against
nginx's proxy_cache on the same disk, and what writing through costs a miss."""

import json
import os
import statistics
import subprocess

import client

KIB, MIB = 1 << 10, 1 << 20

# size: how many objects; connections. Too many for the zone of 64 MiB, and for
# the page cache to learn much of them between two rounds
SETS = {4 * KIB: (240000, 32), 64 * KIB: (20000, 32), MIB: (2000, 8)}
SUBJECTS = ('flash', 'proxy_disk', 'proxy_disk_direct')
WRITES = [(4 * KIB, 16), (MIB, 8)]


def drop_page_cache():
    """False: this is not root, and what lies in the page cache stays."""
    os.sync()
    try:
        with open('/proc/sys/vm/drop_caches', 'w', encoding='ascii') as f:
            f.write('3\n')
    except OSError:
        return False
    return True


# --- the tier by itself ------------------------------------------------------

def on_disk(size):
    """What the tier reads for an object: frames of 32 KiB with heads of 64
    bytes, in units of 512."""
    return -(-(size + 64 * -(-size // (32 * KIB))) // 512) * 512


def fio(path, size, count, depth, seconds):
    done = subprocess.run(
        # behind the superblock's segment, of which little was ever written
        ['fio', '--name=x', f'--filename={path}', '--offset=16m',
         f'--size={size * count}',
         '--rw=randread', f'--bs={size}', '--ioengine=io_uring', '--direct=1',
         f'--iodepth={depth}', '--time_based', f'--runtime={seconds}',
         '--norandommap', '--randrepeat=0', '--fixedbufs', '--registerfiles',
         '--output-format=json'],
        capture_output=True, text=True, check=True)
    job = json.loads(done.stdout)['jobs'][0]
    assert job['error'] == 0, job
    return {'reads_s': job['read']['iops'],
            'cpu_us': (job['usr_cpu'] + job['sys_cpu']) / 100
            * job['job_runtime'] * 1000 / job['read']['total_ios']}


class Tier:
    """bench/micro/ssd/tier_bench, with a store full of objects."""

    def __init__(self, program, path, size, count):
        self.process = subprocess.Popen(
            [program, path, str(3 * size * count // 2 + (256 << 20)),
             str(size), str(count)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == 'filled\n'
        os.sync()

    def read(self, depth, seconds):
        self.process.stdin.write(f'{depth} {seconds}\n')
        self.process.stdin.flush()
        found = json.loads(self.process.stdout.readline())
        assert found['failed'] == 0, found
        return found

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def alone(program, folder, rounds, seconds, quick):
    """{(size, depth): {who: {what: median}}}. fio reads blocks as long as the
    objects, fio_same as long as what the tier reads for one. The file is
    written once; a round before those that count lets the disk settle."""
    path = os.path.join(folder, 'tier')
    found = {}
    for size, (count, _) in SETS.items():
        count //= 10 if quick else 1
        tier = Tier(program, path, size, count)
        try:
            for depth in (1, 32) if size < MIB else (1, 8):
                taken = {'tier': [], 'fio': [], 'fio_same': []}
                for number in range(rounds + 1):
                    turns = [('tier', lambda: tier.read(depth, seconds)),
                             ('fio', lambda: fio(path, size, count, depth,
                                                 seconds)),
                             ('fio_same', lambda: fio(
                                 path, on_disk(size), count, depth, seconds))]
                    for who, run in turns[::-1 if number % 2 else 1]:
                        taken[who].append(run())
                found[size, depth] = {
                    who: {what: statistics.median(r[what] for r in rows[1:])
                          for what in ('reads_s', 'cpu_us')}
                    for who, rows in taken.items()}
        finally:
            tier.end()
            os.unlink(path)
    return found


# --- through HTTP ------------------------------------------------------------

def prefix(size):
    return f'/bench/cold/{size}/flash-'


def fill(srv, core, subject, size, count):
    """Every object once."""
    done = 0
    while done < count:
        got = client.wrk(core, srv.url(subject, '/'), 8, 1,
                         f'cold={prefix(size)}', f'from={done}')
        if got['bad'] or not got['requests']:
            raise RuntimeError(f'{subject}: {got}')
        done += max(got['requests'] - 8, 1)


def reads(srv, core, rounds, seconds, quick):
    """{(subject, size): {what: median}}, and whether the page cache could be
    dropped before each round."""
    sets = {s: (n // (20 if quick else 1), c) for s, (n, c) in SETS.items()}
    for subject in SUBJECTS:
        for size, (count, _) in sets.items():
            fill(srv, core, subject, size, count)
    dropped = True

    def once(subject, size):
        nonlocal dropped
        count, connections = sets[size]
        dropped = drop_page_cache() and dropped
        return client.measure(srv, core, subject, '/', connections, seconds,
                              f'random={prefix(size)}', f'of={count}')

    cells = [(s, size) for size in sets for s in SUBJECTS]
    return client.interleaved(cells, rounds, once), dropped


def writes(srv, core, rounds, seconds):
    """Misses with and without a store behind the zone."""
    number = 0

    def once(subject, size, connections):
        nonlocal number
        number += 1
        return client.measure(srv, core, subject, '/', connections, seconds,
                              f'cold=/bench/cold/{size}/w{number}-')

    cells = [(s, *cell) for cell in WRITES for s in ('cold', 'cold_flash')]
    return client.interleaved(cells, rounds, once)
