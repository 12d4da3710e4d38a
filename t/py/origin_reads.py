# SPDX-License-Identifier: Apache-2.0
"""What the test_origin*.py files share: an origin by its address, a name
server, and answers that are as they should be."""

import pytest

from lib import ports
from lib.dns import Dns

# where it must run out; all else must come in time on a busy machine, too
SHORT = ('s3_cache_origin_connect_timeout 1s;'
         ' s3_cache_origin_read_timeout 1s;')
NOT_KEPT = 's3_cache_origin_keepalive 0;'
SMALL_BLOCKS = 's3_cache_block_size 64k;'


class At:
    """What has a url, for make_gateway()."""

    def __init__(self, url):
        self.url = url


def is_s3_error(answer, status=502):
    """Is it an error of the gateway's own, as S3 prints them?"""
    assert (answer.status, answer.getheader('X-Cache')) == (status, 'ERROR')
    assert answer.getheader('Content-Type') == 'application/xml'
    code = 'BadGateway' if status == 502 else 'GatewayTimeout'
    assert f'<Code>{code}</Code>'.encode() in answer.body
    return True


def reads(nginx, target, body, cache='MISS'):
    """Is that the body, and did it come that way?"""
    answer = nginx.get(target)
    assert answer.status == 200, \
        (target, answer.body[:500], nginx.log()[-2000:])
    assert how(answer.getheader('X-Cache')) == cache, target
    assert answer.body == body
    return True


def how(cache):
    """X-Cache; who asks again at once may meet the end of the fetch."""
    return 'HIT' if cache == 'SHARED' else cache


@pytest.fixture
def dns():
    with Dns() as started:
        yield started


@pytest.fixture
def port():
    """One port, of 127.0.0.1 as well as of 127.0.0.2."""
    found = ports.reserve()
    yield found
    ports.release(found)
