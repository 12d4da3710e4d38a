# SPDX-License-Identifier: Apache-2.0
"""What the test_auth_*.py files share: a gateway that verifies signatures,
those who may use it, and requests that they sign."""

import hashlib
import re
import time

import pytest

import raw_http
from lib import nginx as nginx_lib
from lib import wait
from lib.identities import (Credentials, allow, anonymous, deny, identity,
                            key_of)
from origin.scripted_origin import ScriptedOrigin
from write_bodies import Signer

HOST = '127.0.0.1'
DOMAIN = 's3.test'
UNSIGNED = 'UNSIGNED-PAYLOAD'

OWNER, FOREIGN = key_of('owner'), key_of('foreign')
GUARDED, TEAM = key_of('guarded'), key_of('team')
STRANGER = key_of('stranger')            # nobody has it

PEOPLE = [
    identity('owner', allow('*', '*')),
    identity('foreign', allow('*', 'other', 'other/*')),
    identity('guarded', allow('*', '*'), deny('*', 'bkt/private/*')),
    identity('team', allow('read list write', 'bkt/team/*')),
    anonymous(allow('read', 'pub/*')),
]


@pytest.fixture
def credentials(tmp_path):
    return Credentials(tmp_path / 'credentials.json', *PEOPLE)


@pytest.fixture
def origin():
    with ScriptedOrigin() as started:
        for name in ('bkt', 'pub', 'other'):
            started.bucket(name)
        yield started


def auth(credentials, interval='100ms', more=''):
    """For a location."""
    return (f's3_cache_credentials {credentials.path} interval={interval};'
            f's3_cache_auth keys;{more}')


@pytest.fixture
def make_keys(make_gateway, origin, credentials):
    """make_keys(location='', ...): make_gateway with `s3_cache_auth keys`."""
    def make(location='', origin=origin, **more):
        more.setdefault('valid', '200 206 404 1h')
        return make_gateway(origin, location=auth(credentials) + location,
                            keys=('gateway', 'secret'), **more)
    return make


@pytest.fixture
def gateway(make_keys):
    return make_keys()


# --- requests ----------------------------------------------------------------

def sha256(body):
    return hashlib.sha256(body).hexdigest()


def signer(who, ahead_s=0, region='us-east-1', service='s3'):
    """A Signer of now, or of so many seconds later."""
    made = Signer(who[:2], region)
    made.date = time.strftime('%Y%m%dT%H%M%SZ',
                              time.gmtime(time.time() + ahead_s))
    made.scope = f'{made.date[:8]}/{region}/{service}/aws4_request'
    return made


def signed(who, method, target, headers=(), body=b'', payload=None, host=HOST,
           **more):
    """The headers of a signed request; with who=None of an unsigned one."""
    pairs = list(headers.items() if isinstance(headers, dict) else headers)
    if who is None:
        return [('Host', host), *pairs]
    if who.session_token:
        pairs.append(('x-amz-security-token', who.session_token))
    return signer(who, **more).head(method, target, pairs, host,
                                    payload or sha256(body))


def ask(nginx, who, method, target, headers=(), body=b'', name='', sent=None,
        **more):
    """Signs (unless who is None) and sends; `sent`: another body than the one
    that is signed."""
    pairs = signed(who, method, target, headers, body, **more)
    return raw_http.ask(nginx.port(name), method, target, pairs,
                        body if sent is None else sent, close=False)


def get(nginx, who, target, headers=(), **more):
    return ask(nginx, who, 'GET', target, headers, **more)


def code(answer):
    """What it was refused by; None if it was not."""
    return answer.element('Code') if answer.status >= 400 else None


def said(answer):
    return answer.status, code(answer)


def document(answer):
    """All that a refusal shows, without what differs each time."""
    hidden = ('date', 'x-amz-request-id', 'content-length')
    body = re.sub(rb'<(RequestId|HostId|ServerTime)>[^<]*', rb'<\1>',
                  answer.body)
    return (answer.status, body, sorted(
        (k.lower(), v) for k, v in answer.headers if k.lower() not in hidden))


def lines(nginx, name, count):
    """Of a log, when it has so many."""
    def read():
        with open(f'{nginx.dir}/{name}', encoding='utf-8') as f:
            found = f.read().splitlines()
        return found if len(found) >= count else None
    found = wait.until(read, f'{count} lines of {name}')
    assert len(found) == count, found
    return found


# --- what is sent together ---------------------------------------------------

def batch(port, requests, most=40):
    """Sends [(method, target, pairs, body)] on one connection, some at a time
    before their answers are read: the answers."""
    found = []
    with raw_http.Connection(port) as c:
        for at in range(0, len(requests), most):
            some = requests[at:at + most]
            for method, target, pairs, body in some:
                c.request(method, target, pairs, body)
            for method, *_ in some:
                found.append(c.answer(method))
                assert found[-1]['Connection'] != 'close', found[-1]
    return found


# --- all workers -------------------------------------------------------------

EVERY = ('} server { listen 127.0.0.1:@port:all@ reuseport;'
         'add_header X-Pid $pid always;')


def all_workers(nginx, wanted, what, **more):
    """Waits until all workers of a gateway (with server=EVERY) answer so:
    wanted is {(who, method, target): (status, code)}."""
    good = set()

    def agreed():
        answers = {request: ask(nginx, *request, name='all', **more)
                   for request in wanted}
        for request, answer in answers.items():
            one = request, answer['X-Pid']
            good.discard(one)
            if said(answer) == wanted[request]:
                good.add(one)
        return good == {(request, str(pid)) for request in wanted
                        for pid in nginx.worker_pids()}

    wait.until(agreed, lambda: f'{what}: {good}', 10)


def s3_server(origin, credentials, listen, more='', location=''):
    """One more server, for the http part."""
    return (f'server {{ listen {listen}; {more} ' + nginx_lib.s3_location(
        origin.url, 'gateway', 'secret', valid='200 206 404 1h',
        more=auth(credentials) + location) + '}\n')
