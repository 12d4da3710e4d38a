#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the ghost of a small zone promises, and what a larger one keeps of it.

    bench/ghost_curve.py 12m 16m 24m 32m 48m 64m

Objects of one size are read at random (Zipf 0.8, a fixed seed) through one zone
after the other; a line of JSON for each has what its counters grew by in the
second half of the reads. The table in docs/operations.md is of this.
"""

import bisect
import http.client
import itertools
import json
import os
import random
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), 't'))

from lib import nginx as nginx_lib                          # noqa: E402
from origin.objects import pattern                          # noqa: E402
from origin.scripted_origin import ScriptedOrigin           # noqa: E402

OBJECTS, SIZE, READS, ZIPF = 4000, 16_000, 24_000, 0.8
COUNTERS = ('inserts', 'evictions', 'evicted_bytes', 'ghost_hits')


def read(port, rng, weights):
    client = http.client.HTTPConnection('127.0.0.1', port)
    for _ in range(READS):
        rank = bisect.bisect(weights, rng.random() * weights[-1])
        client.request('GET', f'/bkt/{rank}')
        client.getresponse().read()
    client.close()


def counted(nginx):
    zone = nginx.zone()
    return {'misses': zone['requests']['miss'],
            **{name: zone['memory'][name] for name in COUNTERS}}


def main():
    weights = list(itertools.accumulate(
        1 / (rank + 1) ** ZIPF for rank in range(OBJECTS)))
    with ScriptedOrigin() as origin, tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        body = pattern(SIZE)
        for rank in range(OBJECTS):
            origin.put('bkt', str(rank), body)
        for size in sys.argv[1:]:
            with nginx_lib.Nginx(
                    os.path.join(folder, size),
                    http=nginx_lib.s3_zone(size=size),
                    server='keepalive_requests 1000000;'
                    + nginx_lib.s3_location(origin.url,
                                            valid='200 1d')) as nginx:
                rng = random.Random(1)
                read(nginx.port(), rng, weights)
                before = counted(nginx)
                read(nginx.port(), rng, weights)
                after = counted(nginx)
                grown = {name: after[name] - before[name] for name in after}
                print(json.dumps({'zone': size, 'reads': READS, **grown}),
                      flush=True)


if __name__ == '__main__':
    main()
