# SPDX-License-Identifier: Apache-2.0
"""Pages of lists, and writes under them: for test_lists*.py."""

import re
import threading
import urllib.parse

import raw_http

HOUR = 's3_cache_list 1h;'
DIRS = ('', 'ax', 'a/', 'a/b/', 'a/b/c', 'a/b/c/', 'a/z/', 'x/', 'x/y/')
# of these, where a write of a/b/k shows, or would
ABOVE = ('', 'ax', 'a/', 'a/b/', 'a/b/c')


def target(prefix='', more='list-type=2', bucket='bkt'):
    query = [more] if more else []
    if prefix:
        query.append('prefix=' + urllib.parse.quote(prefix, ''))
    return f'/{bucket}?' + '&'.join(query)


def page(node, prefix='', headers=(), **more):
    """(X-Cache, the keys that it shows)"""
    answer = raw_http.ask(node.port(), 'GET', target(prefix, **more), headers)
    assert answer.status == 200, (answer.status, answer.body[:500])
    assert answer.body.endswith(b'</ListBucketResult>')
    return answer['X-Cache'], keys_of(answer.body)


def keys_of(document):
    return re.findall('<Key>(.*?)</Key>', document.decode())


def put(node, key, body=b'x', method='PUT', headers=(), query='',
        bucket='bkt'):
    return raw_http.ask(node.port(), method,
                        f'/{bucket}/{urllib.parse.quote(key)}{query}',
                        headers, body, close=False)


def fill(node, dirs=DIRS, bucket='bkt'):
    """All these pages are kept, and would be for an hour."""
    for prefix in dirs:
        page(node, prefix, bucket=bucket)
        assert page(node, prefix, bucket=bucket)[0] == 'HIT', prefix


def results(node, dirs=DIRS, **more):
    """Each page's X-Cache, by its prefix."""
    return {prefix: page(node, prefix, **more)[0] for prefix in dirs}


def all_but(gone, dirs=DIRS, instead='MISS'):
    """What results() gives when these were dropped."""
    return {prefix: instead if prefix in gone else 'HIT' for prefix in dirs}


class Later:
    """What a thread answers: Later(function, ...).get()."""

    def __init__(self, call, *args, **more):
        def run():
            try:
                self._answer = call(*args, **more)
            except BaseException as e:
                self._error = e

        self._answer = self._error = None
        self._thread = threading.Thread(target=run)
        self._thread.start()

    def get(self, timeout_s=60):
        self._thread.join(timeout_s)
        assert not self._thread.is_alive()
        if self._error:
            raise self._error
        return self._answer
