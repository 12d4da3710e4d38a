# SPDX-License-Identifier: Apache-2.0
"""A gateway that takes events, and what tells it some: for test_events*."""

import json
import urllib.parse

import pytest

from lib.nginx import s3_zone

TOKEN = 'a-token-that-nobody-guesses+/='
OTHER = 'the-one-that-comes-after-it'
BEARER = {'Authorization': f'Bearer {TOKEN}'}
KEY = 'a dir/x+y é%41%.bin'
LIMIT = 1024 * 1024


def conf_of(origin, params=f'token={TOKEN}', keys=None, more='', inside=''):
    """A server: objects, and events at /-/events."""
    if keys is None and hasattr(origin, 'access_key'):
        keys = (origin.access_key, origin.secret_key)
    lines = [f's3_cache hot; s3_cache_origin {origin.url};',
             's3_cache_valid 200 404 1h;']
    if keys:
        lines.append('s3_cache_origin_credentials access_key=%s '
                     'secret_key=%s;' % keys)
    return '\n'.join(lines + [
        more, 'location / { }',
        f'location = /-/events {{ s3_cache_events {params}; {inside} }}'])


@pytest.fixture
def make(make_nginx):
    """make(origin, params, ...): a gateway before it that takes events."""
    made = []

    def start(origin, *args, http='', workers=2, **more):
        nginx = make_nginx(http=s3_zone() + http, workers=workers,
                           server=conf_of(origin, *args, **more)).start()
        made.append(nginx)
        return nginx

    yield start
    for nginx in made:
        if nginx.child.poll() is None:
            nginx.check_accounting()


@pytest.fixture
def gateway(make, origin):
    return make(origin)


def target(bucket, key, version=None):
    query = f'?versionId={version}' if version else ''
    return f'/{bucket}/{urllib.parse.quote(key)}{query}'


def read(nginx, bucket, key, version=None):
    """(X-Cache, body)"""
    answer = nginx.get(target(bucket, key, version))
    assert answer.status in (200, 404), answer.body
    return (answer.headers['X-Cache'],
            answer.body if answer.status == 200 else None)


def tell(nginx, document, headers=None, path='/-/events', method='POST'):
    """The answer to a notification; bytes are sent as they are."""
    body = (document if isinstance(document, bytes)
            else json.dumps(document, ensure_ascii=False).encode())
    return nginx.request(method, path,
                         BEARER if headers is None else headers, body)


def told(nginx, document, **more):
    answer = tell(nginx, document, **more)
    assert (answer.status, answer.body) == (200, b''), answer.body


def warm(nginx, bucket, key, body, version=None):
    """It is kept, and would be for an hour."""
    assert read(nginx, bucket, key, version)[1] == body
    assert read(nginx, bucket, key, version) == ('HIT', body)


def change(origin, nginx, bucket, key, new=b'new', **more):
    """The origin has it otherwise; nobody has said so."""
    origin.put(bucket, key, new, **more)
    assert read(nginx, bucket, key)[0] == 'HIT'


def counters(nginx):
    return nginx.zone()['events']
