#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The ring: what it costs to ask the node that owns an object, on both sides,
against the same hop over HTTP, where a connection carries one request at a
time. BENCH_QUICK, BENCH_ROUNDS, BENCH_SECONDS and BENCH_DISK as for run.py."""

import json
import os
import re
import sys
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
if __name__ == '__main__':
    sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), 't')]

import client                                            # noqa: E402
import servers                                           # noqa: E402
from lib import nginx as test_nginx                      # noqa: E402
from lib import wait                                     # noqa: E402

KIB, MIB = 1 << 10, 1 << 20

# size: how many objects; how many connections. Many times more than the small
# memory before the HTTP hop, or the one before flash, holds
SETS = {4 * KIB: (60000, (1, 64)), MIB: (600, (1, 8))}

HOT = 32

# (name, which server of which node, how keys are chosen, what it is)
RAM, FLASH, NEW = 'ram', 'flash', 'new'
SUBJECTS = {
    'hit': ('owner_port', RAM, 'local hit'),
    'mirror': ('asker_mirror_port_{size}', RAM, 'mirror hit'),
    'hop': ('asker_port', RAM, "the owner's memory, by a link"),
    'http': ('asker_http_{size}', RAM, 'the same by HTTP keep-alive'),
    'proxy': ('asker_proxy', RAM, 'the same by proxy_pass, keep-alive'),
    'flash': ('owner_flash_port', FLASH, 'local flash'),
    'hop_flash': ('asker_flash_port', FLASH, "the owner's flash, by a link"),
    'origin': ('owner_port', NEW, 'origin'),
    'hop_origin': ('asker_port', NEW, 'origin, by a link and the owner'),
}


class Nodes(servers.Servers):
    """The origin, `owner` and `asker`, each a process of one worker. Whom the
    clients ask has a core for itself, they have another, with the origin. The
    owner, when it is asked by asker, has a third if there is one, else it
    shares that of the clients."""

    def __init__(self, cores):
        super().__init__(cores[0], varnish=False)
        self.cores = cores

    def _configure_node(self, name):
        with open(os.path.join(HERE, 'conf', 'ring.conf'),
                  encoding='ascii') as f:
            text = f.read()
        store = (f's3_cache_store {self.disk}/ring size=2g zone=flash;'
                 if name == 'owner' else '')
        words = {
            'dir': self.dir, 'self': name, 'module': test_nginx.module(),
            'user': 'user root;' if os.getuid() == 0 else '',
            'hot': '1g' if name == 'owner' else '64m', 'stores': store,
        }

        def word(match):
            key = match[1]
            if key in words:
                return words[key]
            return str(self.port(re.sub('^self_', f'{name}_', key)))

        path = os.path.join(self.dir, f'{name}.conf')
        with open(path, 'w', encoding='ascii') as f:
            f.write(re.sub(r'@(\w+)@', word, text))
        return path

    def start(self):
        conf = self._configure('origin.conf', self._files())
        self._nginx('origin', conf, self.port('origin'))
        for name in ('owner', 'asker'):
            self._nginx(name, self._configure_node(name),
                        self.port(f'{name}_port'))
        self.pin('asker', self.cores[0])
        self.pin('origin', self.cores[-1])
        wait.until(lambda: all(
            s['state'] == 'serving' for s in self.zone('owner', 'flash')[
                'stores']), 'the store serves', 30)
        return self

    def ask(self, server):
        """Clients will ask this server of a node."""
        self.pin('owner', self.cores[
            0 if server.startswith('owner')
            else 1 if len(self.cores) > 2 else -1])

    def flash_reads(self):
        """So far, of the owner."""
        return self.zone('owner', 'flash')['stores'][0]['reads']['hits']

    def zone(self, node, name):
        with urllib.request.urlopen(
                self.url(f'{node}_status', '/'), timeout=10) as answer:
            return next(z for z in json.load(answer)['zones']
                        if z['name'] == name)


def prefix(kind, size):
    return f'/bench/cold/{size}/ring-{kind}-'


def fill(srv, core, kind, size, count):
    """Every object once, through its owner. What flash could not take at that
    pace is offered to it again."""
    url = srv.url('owner_port' if kind == RAM else 'owner_flash_port', '/')
    for _ in range(1 if kind == RAM else 3):
        done = 0
        while done < count:
            got = client.wrk(core, url, 8, 1, f'cold={prefix(kind, size)}',
                             f'from={done}')
            if got['bad'] or not got['requests']:
                raise RuntimeError(f'{kind} {size}: {got}')
            done += max(got['requests'] - 8, 1)


def measure(srv, cores, rounds, seconds):
    """{(subject, size, connections): {what: median}}, and how many of the
    reads by HTTP keep-alive were hits at the asker all the same."""
    for size in SETS:
        for kind in (RAM, FLASH):
            fill(srv, cores[-1], kind, size, SETS[size][0])
    number = 0

    def once(subject, size, connections):
        nonlocal number
        number += 1
        server, kind, _ = SUBJECTS[subject]
        # of what is mirrored there is little, and it is read again and again
        count = HOT if subject == 'mirror' else SETS[size][0]
        words = [f'random={prefix(kind, size)}', f'of={count}']
        if kind == NEW:
            words = [f'cold={prefix(kind, size)}{number}-']
        srv.ask(server)
        pids = [srv.pids[name] for name in ('asker', 'owner')]
        reads = srv.flash_reads()
        before = [servers.cpu_seconds(pid) for pid in pids]
        got = client.wrk(cores[-1], srv.url(server.format(size=size), '/'),
                         connections, seconds, *words)
        burnt = [servers.cpu_seconds(pid) - was
                 for pid, was in zip(pids, before)]
        if got['bad'] or not got['requests']:
            raise RuntimeError(f'{subject} {size}: {got}')
        return {
            'req_s': got['requests'] / got['us'] * 1e6,
            'gib_s': got['bytes'] / got['us'] * 1e6 / (1 << 30),
            'p50_us': got['p50_us'], 'p99_us': got['p99_us'],
            'asker_us': burnt[0] / got['requests'] * 1e6,
            'owner_us': burnt[1] / got['requests'] * 1e6,
            'flash': (srv.flash_reads() - reads) / got['requests'],
        }

    cells = [(subject, size, connections) for size in SETS
             for connections in SETS[size][1] for subject in SUBJECTS]
    for size in SETS:
        while (srv.zone('asker', f'mirrored{size}')['mirrors']['kept'] < HOT
               and number < 100):
            once('mirror', size, SETS[size][1][-1])
    found = client.interleaved(cells, rounds, once)
    hits = {}
    for size in SETS:
        counts = srv.zone('asker', f'front{size}')['requests']
        hits[size] = counts['hit'] / max(1, counts['hit'] + counts['miss'])
    return found, hits


def table(head, rows):
    lines = ['| ' + ' | '.join(head) + ' |',
             '|' + '|'.join('---' if i == 0 else '---:'
                            for i in range(len(head))) + '|']
    return '\n'.join(lines + ['| ' + ' | '.join(r) + ' |' for r in rows]) \
        + '\n'


def report(found, hits):
    text = ''
    for size, (_, depths) in SETS.items():
        for connections in depths:
            base = found['http', size, connections]
            rows = []
            for subject, (_, _, what) in SUBJECTS.items():
                m = found[subject, size, connections]
                cpu = m['asker_us'] + m['owner_us']
                rows.append([
                    what, f'{m["req_s"]:,.0f}',
                    f'{m["req_s"] / base["req_s"]:.2f}',
                    f'{m["p50_us"]:,.0f}', f'{m["p99_us"]:,.0f}',
                    f'{m["asker_us"]:.1f}', f'{m["owner_us"]:.1f}',
                    f'{cpu:.1f}',
                    f'{cpu / (base["asker_us"] + base["owner_us"]):.2f}'])
            name = '4 KiB' if size == 4 * KIB else '1 MiB'
            text += (f'\n### Ring: {name}, {connections} connection'
                     f'{"s" if connections > 1 else ""}\n\n' + table(
                         ['', 'req/s', '/ HTTP', 'median µs', 'p99 µs',
                          'CPU µs asker', 'owner', 'both', '/ HTTP'], rows))
    return text + '\nOf the reads by HTTP keep-alive ' + ', '.join(
        f'{100 * share:.1f} % ({size} B)' for size, share in hits.items()) \
        + ' were hits in the small memory before them. From flash came ' \
        + ', '.join(f'{100 * m["flash"]:.0f} %'
                    for (subject, *_), m in found.items()
                    if SUBJECTS[subject][1] == FLASH) \
        + ' of what should (in the order of the tables).\n'


def run(rounds, seconds):
    """(tables, {cell: medians})"""
    cores = sorted(os.sched_getaffinity(0))
    with Nodes(cores) as srv:
        found, hits = measure(srv, cores, rounds, seconds)
    return report(found, hits), found


def main():
    quick = os.environ.get('BENCH_QUICK', '') not in ('', '0')
    text, _ = run(int(os.environ.get('BENCH_ROUNDS') or (1 if quick else 7)),
                  int(os.environ.get('BENCH_SECONDS') or 1))
    print(text)


if __name__ == '__main__':
    main()
