# SPDX-License-Identifier: Apache-2.0
"""Instructions of a hit in user space, by valgrind's callgrind: no kernel and
no cache misses, but the same number every time, on any machine."""

import glob
import os
import re
import shutil
import subprocess
import urllib.parse

import client
import servers

WARM = 20          # what is done once is done by then


def _dump(srv, tag):
    """Instructions since the last dump, and the file that tells them."""
    before = set(glob.glob(f'{srv.dir}/callgrind.*'))
    subprocess.run(['callgrind_control', f'--dump={tag}',
                    str(srv.pid('nginx'))], check=True, capture_output=True)
    path = (set(glob.glob(f'{srv.dir}/callgrind.*')) - before).pop()
    with open(path, encoding='utf-8', errors='replace') as f:
        return int(re.findall(r'^(?:totals|summary): (\d+)', f.read(),
                              re.M)[-1]), path


def count(cells, core, n=200, keep=None):
    """{(subject, size, header set): instructions of one request}. A header
    set may be a function(srv, subject) that answers a file of them. `keep`: a
    folder for the profiles. Nothing without valgrind."""
    if shutil.which('callgrind_control') is None:
        return {}
    found = {}
    with servers.Servers(core, varnish=False, wrapper=[
            'valgrind', '--tool=callgrind',
            '--callgrind-out-file=@dir@/callgrind']) as srv:
        for subject, size, headers in cells:
            conn = client.Connection(
                srv.port(subject),
                headers(srv, subject) if callable(headers)
                else client.HEADERS[headers])
            path = servers.path_of(size)
            if callable(headers):                    # signed as SDKs send it
                path = urllib.parse.quote(path)
            for _ in range(WARM):
                conn.get(path)
            _dump(srv, 'warm')
            for _ in range(n):
                conn.get(path)
            total, path = _dump(srv, subject)
            conn.close()
            found[subject, size, headers] = total / n
            if keep:
                os.makedirs(keep, exist_ok=True)
                shutil.copy(path, f'{keep}/callgrind.{subject}.{size}'
                                  f'.{headers}')
    return found
