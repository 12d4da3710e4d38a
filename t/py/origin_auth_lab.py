# SPDX-License-Identifier: Apache-2.0
"""What the test_auth_origin*.py files share: an origin that checks signatures
and says who may, a gateway with `s3_cache_auth origin` before it, clients."""

import calendar
import time

import pytest

import raw_http
from lib import wait
from origin.scripted_origin import ScriptedOrigin
from write_bodies import Signer

GATEWAY = ('GATEWAYKEY', 'gateway+secret')
ALICE = ('ALICEKEY', 'alice+secret')
BOB = ('BOBKEY', 'bob+secret')
PLAIN = 'UNSIGNED-PAYLOAD'
HOUR = '200 206 404 1h'

_test = {'began': 0}


@pytest.fixture
def origin():
    with ScriptedOrigin(secrets=dict((GATEWAY, ALICE, BOB))) as started:
        started.bucket('bkt')
        _test['began'] = int(time.time())
        yield started


@pytest.fixture
def make_asking(make_gateway):
    """make_asking(origin, location='', ...): one worker, so that what it
    remembers is what the gateway does."""

    def make(origin, location='', valid='1h', workers=1, **more):
        return make_gateway(
            origin, keys=GATEWAY, workers=workers, valid=HOUR,
            location=f's3_cache_auth origin; s3_cache_auth_valid {valid};'
                     f's3_cache_block_size 64k; {location}', **more)

    return make


@pytest.fixture
def gateway(make_asking, origin):
    return make_asking(origin)


def of(request):
    """Whose key a request names, or None."""
    text = (request.header('authorization') or '') + request.target
    for access_key, _ in (GATEWAY, ALICE, BOB):
        if access_key in text:
            return access_key
    return None


def by(keys):
    """A rule's `when`."""
    return lambda request: of(request) == keys[0]


def denied(keys):
    return {'when': by(keys), 'error': (403, 'AccessDenied', 'Not for you.')}


def signer(keys, seconds_ago=0, now=None):
    """Signatures as of a while before the test began: of another while another
    one, of the same one the same, however long the test takes."""
    made = Signer(keys)
    made.date = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(
        (now or _test['began']) - seconds_ago))
    made.scope = f'{made.date[:8]}/us-east-1/s3/aws4_request'
    return made


def head_of(gateway, keys, method, target, headers=(), ago=0, payload=PLAIN):
    return signer(keys, ago).head(method, target, list(headers),
                                  f'127.0.0.1:{gateway.port()}', payload)


def get(gateway, keys, target='/bkt/key', headers=(), method='GET', ago=0,
        loose=()):
    """Signed with all of `headers`, not with `loose`."""
    pairs = head_of(gateway, keys, method, target, headers, ago)
    return raw_http.ask(gateway.port(), method, target, pairs + list(loose))


def put(gateway, keys, target, body, headers=(), method='PUT', payload=PLAIN,
        loose=(), host=None):
    pairs = signer(keys).head(method, target, list(headers),
                              host or f'127.0.0.1:{gateway.port()}', payload)
    return raw_http.ask(gateway.port(), method, target, pairs + list(loose),
                        body, close=False)


def presigned(gateway, keys, target, method='GET', expires=600, ago=0):
    made = signer(keys, ago, time.time())
    return made.presigned(method, target, f'127.0.0.1:{gateway.port()}',
                          expires)


def presigned_end(target):
    """The second from which on it is not valid."""
    words = dict(word.partition('=')[::2]
                 for word in target.partition('?')[2].split('&'))
    return calendar.timegm(time.strptime(words['X-Amz-Date'],
                                         '%Y%m%dT%H%M%SZ')) \
        + int(words['X-Amz-Expires'])


def questions(origin, since=0):
    """[(method, whose, Range, body bytes)] since the request number."""
    wait.until(lambda: all(r.done for r in origin.requests[since:]
                           if of(r) != GATEWAY[0]),
               'the end of all answers')
    return [(r.method, of(r), r.header('range'), r.sent_bytes)
            for r in origin.requests[since:]]
