# SPDX-License-Identifier: Apache-2.0
"""Jobs of warm-ups, for test_warmup*.py."""

import json
import urllib.parse

import raw_http
from lib import wait
from purges import ADMIN

HTTP = 's3_cache_warmup @dir@/warmup;\n'
SERVER = 'client_max_body_size 100m;\n' + ADMIN
HOUR = '200 206 1h'


def ask(nginx, method='GET', body=None, headers=(), **args):
    query = urllib.parse.urlencode(args, quote_via=urllib.parse.quote,
                                   safe='')
    answer = nginx.request(method, f'/-/admin?{query}', dict(headers), body)
    assert answer.getheader('Content-Type') == 'application/json', answer.body
    return answer.status, json.loads(answer.body)


def post(nginx, source='prefix', body=None, **args):
    """The id of a new job."""
    status, job = ask(nginx, 'POST', body, warmup=source, **args)
    assert (status, job['state']) == (202, 'running'), job
    return job['id']


def job(nginx, number):
    status, said = ask(nginx, warmup=number)
    assert status == 200, said
    return said


def ended(nginx, number, state='done', timeout_s=60):
    """The job, when it is over."""
    def is_over():
        said = job(nginx, number)
        return said if said['state'] != 'running' else None
    said = wait.until(is_over, 'the end of a job', timeout_s, 0.05)
    assert said['state'] == state, said
    return said


def warm(nginx, source='prefix', body=None, **args):
    return ended(nginx, post(nginx, source, body, **args))


def numbers(said):
    """What is not nothing of it."""
    return {k: said[k] for k in (
        'objects', 'cached', 'fetched', 'evicted', 'missing', 'denied',
        'no_room', 'failed', 'bad_lines') if said[k]}


def target(key, bucket='bkt'):
    return f'/{bucket}/{urllib.parse.quote(key)}'


def all_hit(nginx, objects, bucket='bkt', headers=()):
    """Each is there, with all of its bytes."""
    for key, body in objects.items():
        answer = raw_http.ask(nginx.port(), 'GET', target(key, bucket),
                              headers)
        assert answer.status == 200, (key, answer.status)
        assert answer.body == body, key
        assert answer['X-Cache'] == 'HIT', (key, answer['X-Cache'])


def gets(origin):
    """Of objects, not of lists."""
    return [r for r in list(origin.requests) if r.key and r.method == 'GET']
