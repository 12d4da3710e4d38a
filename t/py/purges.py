# SPDX-License-Identifier: Apache-2.0
"""What test_purge*.py share: an operator, and reads that tell what is kept."""

import json
import urllib.parse

import raw_http
from lib import wait

ADMIN = 'location = /-/admin { s3_cache_admin; }\n'


def ask(nginx, method='POST', query=None, raw=None, **args):
    """The answer of s3_cache_admin; args are encoded, raw is sent as it is."""
    if raw is None:
        raw = urllib.parse.urlencode(query or args,
                                     quote_via=urllib.parse.quote, safe='')
    return nginx.request(method, f'/-/admin?{raw}')


def purge(nginx, what, status=200, **args):
    """The JSON of a purge."""
    answer = ask(nginx, query={'purge': what, **args})
    assert answer.status == status, answer.body
    assert answer.getheader('Content-Type') == 'application/json'
    return json.loads(answer.body)


def purged(nginx, what, nodes=1, **args):
    """All nodes have done it."""
    assert purge(nginx, what, **args) == {
        'purged': what, 'nodes': nodes, 'missed': [], **args}


def target(bucket, key, version=None):
    query = f'?versionId={version}' if version else ''
    return f'/{bucket}/{urllib.parse.quote(key)}{query}'


def read(nginx, bucket, key, version=None):
    """(X-Cache, body), on a connection of its own."""
    answer = raw_http.ask(nginx.port(), 'GET', target(bucket, key, version))
    assert answer.status == 200, answer.body[:300]
    return answer['X-Cache'], answer.body


def warm(nginx, names):
    """These ("bucket/key") are kept by now."""
    for name in names:
        read(nginx, *name.split('/', 1))
        wait.until(lambda: read(nginx, *name.split('/', 1))[0]
                   in ('HIT', 'SHARED'), f'{name} to be kept')


def is_kept(nginx, names):
    """Those of them that are answered without the origin."""
    return [name for name in names
            if read(nginx, *name.split('/', 1))[0] == 'HIT']
