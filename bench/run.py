#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make bench: the cache against what could stand in its place.

Prints the tables of docs/benchmarks.md and leaves them, with every number,
in $BUILD/bench. BENCH_QUICK=1: less than a minute, only to see that it works.
BENCH_ONLY=hits,cold,put,auth,storm,instructions,flash,ring: some parts. BENCH_DISK:
a folder on the disk that flash is measured on ($BUILD).
"""

import json
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), 't')]

import auth                                              # noqa: E402
import client                                            # noqa: E402
import flash                                             # noqa: E402
import instructions                                      # noqa: E402
import put                                               # noqa: E402
import ring                                              # noqa: E402
import servers                                           # noqa: E402
import storm                                             # noqa: E402
from origin.scripted_origin import ScriptedOrigin        # noqa: E402

QUICK = os.environ.get('BENCH_QUICK', '') not in ('', '0')
ONLY = os.environ.get(
    'BENCH_ONLY', 'instructions,hits,cold,put,auth,storm,flash,ring').split(',')
ROUNDS = int(os.environ.get('BENCH_ROUNDS') or (1 if QUICK else 7))
SECONDS = int(os.environ.get('BENCH_SECONDS') or 1)
OUT = os.path.join(os.environ.get('BUILD') or 'build', 'bench')
SERVER_CORE, CLIENT_CORE = 0, max(os.sched_getaffinity(0))

KIB, MIB = 1 << 10, 1 << 20

NAMES = {
    'direct': 's3_cache, s3_cache_direct_send on (direct)',
    'normal': 's3_cache (normal)',
    'return': 'nginx return 200',
    'return_headers': 'nginx return 200 with 4 headers',
    'static': 'nginx static, open_file_cache, sendfile',
    'proxy_cache_ofc': 'nginx proxy_cache on tmpfs, open_file_cache',
    'proxy_cache': 'nginx proxy_cache on tmpfs',
    'varnish': 'Varnish',
    'origin': 'the origin itself (nginx static)',
    'cold': 's3_cache, every key new',
    'proxy': 'nginx proxy_pass, keepalive',
    'storm': 's3_cache',
    'flash': 's3_cache, zone of 64 MiB, s3_cache_store',
    'proxy_disk': 'nginx proxy_cache on the same disk',
    'proxy_disk_direct': 'the same, aio threads, directio',
    'storm_lock': 'nginx proxy_cache_lock',
}

OURS = ('direct', 'normal')
CACHES = OURS + ('static', 'proxy_cache_ofc', 'proxy_cache', 'varnish')

# size: who, with which headers, on how many connections
HITS = [
    (4000, OURS + ('return', 'return_headers'), ('tiny', 'sdk'), 64),
    (4 * KIB, CACHES + ('origin',), ('tiny', 'sdk'), 64),
    (64 * KIB, CACHES + ('origin',), ('tiny',), 64),
    (MIB, CACHES + ('origin',), ('tiny',), 16),
    (64 * MIB, CACHES + ('origin',), ('tiny',), 2),
]
COUNTED = [(4000, OURS + ('return', 'return_headers')),
           (4 * KIB, CACHES[:-1])]
COLD = [(4 * KIB, 1), (4 * KIB, 16), (MIB, 1), (MIB, 8), (64 * MIB, 2)]


def size_name(size):
    for unit, name in ((MIB, 'MiB'), (KIB, 'KiB')):
        if size % unit == 0:
            return f'{size // unit} {name}'
    return f'{size} B'


def table(head, rows):
    lines = ['| ' + ' | '.join(head) + ' |',
             '|' + '|'.join('---' if i == 0 else '---:'
                            for i in range(len(head))) + '|']
    lines += ['| ' + ' | '.join(row) + ' |' for row in rows]
    return '\n'.join(lines) + '\n'


def words(headers):
    path = client.HEADERS[headers]
    return [f'headers={path}'] if path else []


# --- parts -------------------------------------------------------------------

def hits(srv):
    def once(subject, size, headers, connections):
        return client.measure(srv, CLIENT_CORE, subject,
                              servers.path_of(size), connections, SECONDS,
                              *words(headers))

    text, found = '', {}
    for size, subjects, sets, connections in HITS:
        if QUICK and size > 4 * KIB:
            continue
        for headers in sets[:1] if QUICK else sets:
            cells = [(s, size, headers, connections) for s in subjects
                     if srv.has(s)]
            for subject, *_ in cells:                # the first fills caches
                client.wrk(CLIENT_CORE,
                           srv.url(subject, servers.path_of(size)), 4, 1,
                           *words(headers))
            medians = client.interleaved(cells, ROUNDS, once)
            found.update(medians)
            more = hits_table(size, headers, connections, medians)
            print(more, end='', flush=True)
            text += more
    return text, found


def hits_table(size, headers, connections, medians):
    """Rate and CPU of each, and how many times the CPU of the first two."""
    large = size >= MIB
    unit, client_unit = (('cpu_s_gib', 'client_s_gib') if large
                         else ('cpu_us', 'client_us'))
    ours = [m for (subject, *_), m in medians.items() if subject in OURS]
    rows = []
    for (subject, *_), m in medians.items():
        rows.append([
            NAMES[subject],
            f'{m["gib_s"]:.2f}' if large else f'{m["req_s"]:,.0f}',
            f'{m[unit]:.3f}' if large else f'{m[unit]:.2f}',
            f'{m[client_unit]:.3f}' if large else f'{m[client_unit]:.2f}']
            + [f'{m[unit] / o[unit]:.2f}' for o in ours])
    what = 's/GiB' if large else 'µs/request'
    return (f'\n### {size_name(size)}, {headers} headers, '
            f'{connections} connections\n\n' + table(
                ['', 'GiB/s' if large else 'req/s', f'server CPU {what}',
                 f'client CPU {what}', '/ direct', '/ normal'], rows))


def counted():
    cells = [(s, size, headers) for size, subjects in COUNTED
             for headers in ('tiny', 'sdk') for s in subjects]
    if QUICK:
        cells = [c for c in cells if c[1] == 4000]
    found = instructions.count(cells, SERVER_CORE, 50 if QUICK else 200,
                               keep=os.path.join(OUT, 'callgrind'))
    if not found:
        return '\n(no valgrind, no instructions)\n', found
    rows = [[NAMES[s], size_name(size)]
            + [f'{found[s, size, h]:,.0f}' for h in ('tiny', 'sdk')]
            for size, subjects in COUNTED for s in subjects
            if (s, size, 'tiny') in found]
    return ('\n### Instructions of a hit in user space\n\n' + table(
        ['', 'body', 'tiny headers', 'SDK headers'], rows)), found


def cold(srv):
    """The origin shares the client's core: the worker has its own."""
    srv.pin('origin', CLIENT_CORE)
    number = 0

    def once(subject, size, connections):
        nonlocal number
        number += 1
        return client.measure(
            srv, CLIENT_CORE, subject, '/', connections, SECONDS,
            f'cold=/bench/cold/{size}/{number}-')

    sizes = COLD[:1] if QUICK else COLD
    cells = [(s, *cell) for cell in sizes for s in ('cold', 'proxy')]
    medians = client.interleaved(cells, ROUNDS, once)
    srv.pin('origin', SERVER_CORE)
    rows = []
    for size, connections in sizes:
        ours = medians['cold', size, connections]
        bare = medians['proxy', size, connections]
        unit, digits = (('cpu_s_gib', 3) if size >= MIB else ('cpu_us', 1))
        rate = 'gib_s' if size >= MIB else 'req_s'
        rows.append([
            f'{size_name(size)}, {connections} connections',
            f'{ours[rate]:,.2f}' if size >= MIB else f'{ours[rate]:,.0f}',
            f'{bare[rate]:,.2f}' if size >= MIB else f'{bare[rate]:,.0f}',
            f'{ours["p50_us"]:,.0f}', f'{bare["p50_us"]:,.0f}',
            f'{ours[unit]:.{digits}f}', f'{bare[unit]:.{digits}f}',
            f'{ours[unit] / bare[unit]:.2f}'])
    return ('\n### Misses: every key new, against nginx proxy_pass\n\n'
            'Rate in req/s, CPU in µs a request; from 1 MiB on in GiB/s and '
            'CPU seconds a GiB.\n\n'
            + table(['', 'rate', 'proxy', 'median µs', 'proxy', 'CPU',
                     'proxy', 'CPU ratio'], rows)), medians


def puts(srv):
    """The origin shares the client's core, as with misses."""
    srv.pin('origin', CLIENT_CORE)
    found = put.measure(srv, CLIENT_CORE, ROUNDS, SECONDS, QUICK)
    srv.pin('origin', SERVER_CORE)
    text, cells = '', dict.fromkeys(cell[:2] for cell in found)
    for size, connections in cells:
        ours = found[size, connections, 'put']
        large = size >= MIB
        unit, rate = ('cpu_s_gib', 'gib_s') if large else ('cpu_us', 'req_s')
        rows = []
        for subject, name in put.SUBJECTS.items():
            m = found[size, connections, subject]
            rows.append([
                name, f'{m[rate]:,.2f}' if large else f'{m[rate]:,.0f}',
                f'{m[rate] / ours[rate]:.2f}',
                f'{m["p50_us"]:,.0f}' if connections else '',
                f'{m[unit]:.3f}' if large else f'{m[unit]:.1f}',
                f'{m[unit] / ours[unit]:.2f}' if subject != 'origin' else ''])
        what = (f'{connections} connection{"s" * (connections > 1)}'
                if connections else 'one body')
        text += (f'\n### Writes: PUT of {size_name(size)}, {what}\n\n'
                 + table(['', 'GiB/s' if large else 'req/s', '/ ours',
                          'median µs', 'server CPU '
                          + ('s/GiB' if large else 'µs'), '/ ours'], rows))
    return text, found


def auths(srv):
    found = auth.measure(srv, CLIENT_CORE, ROUNDS, SECONDS)
    counts = auth.count(SERVER_CORE, 50 if QUICK else 200)
    rows = []
    for off, keys in auth.PAIRS:
        a, b = found[off], found[keys]
        row = [NAMES[off], f'{a["req_s"]:,.0f}', f'{b["req_s"]:,.0f}',
               f'{b["req_s"] / a["req_s"]:.2f}', f'{a["cpu_us"]:.2f}',
               f'{b["cpu_us"]:.2f}', f'{b["cpu_us"] - a["cpu_us"]:.2f}']
        row += [f'{counts[off]:,.0f}', f'{counts[keys]:,.0f}'] if counts else []
        rows.append(row)
    head = ['', 'req/s off', 'req/s keys', 'ratio', 'CPU µs off',
            'CPU µs keys', 'a verification, µs']
    head += ['instructions off', 'keys'] if counts else []
    return ('\n### Who asks: s3_cache_auth off and keys, 4 KiB, signed headers, '
            f'{auth.CONNECTIONS} connections\n\n' + table(head, rows)), {
                **found, **{('instructions', s): n for s, n in counts.items()}}


def storms(srv, origin):
    found = storm.measure(srv, origin, ('storm', 'storm_lock'),
                          10 if QUICK else 100, 1 if QUICK else 5)
    rows = [[NAMES[s], f'{m["median_ms"]:.1f}', f'{m["max_ms"]:.1f}']
            for s, m in found.items()]
    return ('\n### Storm: a follower\'s first byte after the leader\'s\n\n'
            + table(['', 'median ms', 'greatest ms'], rows)), found


def on_flash(srv):
    srv.pin('origin', CLIENT_CORE)
    program = os.path.join(OUT, '../opt/bench/micro/ssd/tier_bench')
    text, found = '', {}
    if shutil.which('fio'):
        alone = flash.alone(program, srv.disk, 1 if QUICK else 5, SECONDS,
                            QUICK)
        rows = [[f'{size_name(size)}, depth {depth}',
                 f'{m["tier"]["reads_s"]:,.0f}', f'{m["fio"]["reads_s"]:,.0f}',
                 f'{m["tier"]["reads_s"] / m["fio"]["reads_s"]:.2f}',
                 f'{m["tier"]["reads_s"] / m["fio_same"]["reads_s"]:.2f}',
                 f'{m["tier"]["cpu_us"]:.1f}', f'{m["fio"]["cpu_us"]:.1f}']
                for (size, depth), m in alone.items()]
        text += ('\n### Flash: the tier alone against fio (io_uring, O_DIRECT, '
                 'same file)\n\n' + table(
                     ['', 'tier reads/s', 'fio reads/s', 'tier / fio',
                      'tier / fio, same bytes', 'tier CPU µs', 'fio CPU µs'],
                     rows))
        found.update({('alone', *cell): m for cell, m in alone.items()})
    reads, dropped = flash.reads(srv, CLIENT_CORE, ROUNDS, SECONDS, QUICK)
    rows = [[NAMES[subject], size_name(size), f'{m["req_s"]:,.0f}',
             f'{m["req_s"] / reads["flash", size]["req_s"]:.2f}',
             f'{m["p50_us"]:,.0f}', f'{m["p99_us"]:,.0f}',
             f'{m["cpu_us"]:.1f}'] for (subject, size), m in reads.items()]
    text += ('\n### Flash through HTTP, random reads\n\n'
             + ('' if dropped else 'The page cache could not be dropped.\n\n')
             + table(['', 'body', 'req/s', '/ ours', 'median µs', 'p99 µs',
                      'server CPU µs'], rows))
    found.update({('http', *cell): m for cell, m in reads.items()})
    writes = flash.writes(srv, CLIENT_CORE, ROUNDS, SECONDS)
    rows = []
    for size, connections in flash.WRITES:
        bare = writes['cold', size, connections]
        ours = writes['cold_flash', size, connections]
        rows.append([f'{size_name(size)}, {connections} connections',
                     f'{bare["req_s"]:,.0f}', f'{ours["req_s"]:,.0f}',
                     f'{ours["req_s"] / bare["req_s"]:.2f}',
                     f'{bare["cpu_us"]:.1f}', f'{ours["cpu_us"]:.1f}',
                     f'{ours["cpu_us"] / bare["cpu_us"]:.2f}'])
    srv.pin('origin', SERVER_CORE)
    text += ('\n### Misses with and without writing through\n\n' + table(
        ['', 'req/s without', 'with', 'ratio', 'CPU µs without', 'with',
         'ratio'], rows))
    found.update({('write', *cell): m for cell, m in writes.items()})
    return text, found


# --- all ---------------------------------------------------------------------

def plain(found):
    return [{'cell': cell if isinstance(cell, str) else list(cell),
             'value': value} for cell, value in found.items()]


def main():
    os.makedirs(OUT, exist_ok=True)
    results = {'machine': servers.machine(), 'rounds': ROUNDS,
               'seconds': SECONDS}
    text = ''.join(f'- {k}: {v}\n' for k, v in results['machine'].items())
    text += (f'- {ROUNDS} rounds of {SECONDS} s, in turn, medians; server on '
             f'core {SERVER_CORE}, client on core {CLIENT_CORE}\n')
    print(text, end='', flush=True)

    def part(name, function, *args):
        nonlocal text
        if name not in ONLY:
            return
        more, found = function(*args)
        if function is not hits:             # which prints as it goes
            print(more, end='', flush=True)
        text += more
        results[name] = plain(found)

    part('instructions', counted)
    with ScriptedOrigin() as trickle, \
            servers.Servers(SERVER_CORE, trickle=trickle.port) as srv:
        part('hits', hits, srv)
        part('cold', cold, srv)
        part('put', puts, srv)
        part('auth', auths, srv)
        part('storm', storms, srv, trickle)
        part('flash', on_flash, srv)
    part('ring', ring.run, min(ROUNDS, 5), SECONDS)

    with open(os.path.join(OUT, 'benchmarks.md'), 'w', encoding='utf-8') as f:
        f.write(text)
    with open(os.path.join(OUT, 'results.json'), 'w', encoding='utf-8') as f:
        json.dump(results, f, indent=1)
    print(f'\nalso in {OUT}/benchmarks.md and {OUT}/results.json')


if __name__ == '__main__':
    main()
