# SPDX-License-Identifier: Apache-2.0
"""What test_semantics.py and test_front.py share: a gateway before an origin
that tells what it was asked."""

import pytest

import raw_http
from lib import nginx as nginx_lib

KIB = 1024
BLOCK = 64 * KIB
LARGE = 10 * 1024 * KIB
MODE = {'x-amz-checksum-mode': 'ENABLED'}
CACHED = ('HIT', 'SHARED')       # SHARED: its fill is not closed yet
SIGNED = {'Authorization': 'AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/'
          's3/aws4_request, SignedHeaders=host, Signature=' + '0' * 64}
GENERATED = {'date', 'server', 'connection', 'x-cache', 'age',
             'x-amz-request-id'}


@pytest.fixture
def gateway(make_gateway, origin):
    """Blocks of 64 KiB; the same with s3_cache_direct_send on port(direct)
    from a zone of its own."""
    return make_gateway(
        origin, location='s3_cache_block_size 64k;',
        http=nginx_lib.s3_zone('direct') +
        'server { listen 127.0.0.1:@port:direct@; lingering_timeout 50ms; '
        + nginx_lib.s3_location(
            origin.url, zone='direct',
            more='s3_cache_direct_send on; s3_cache_block_size 64k;') + '}',
        server='lingering_timeout 50ms;')


def get(gateway, target, headers=(), method='GET', name='', **more):
    return raw_http.ask(gateway.port(name), method, target, headers, **more)


def asked(origin, **which):
    """[(method, target, range)] that the origin was asked for."""
    return [(r.method, r.target, r.header('range'))
            for r in origin.requests_for(**which)]


def shown(answer):
    return sorted((k.lower(), v) for k, v in answer.headers
                  if k.lower() not in GENERATED)
