# SPDX-License-Identifier: Apache-2.0
"""Keys for the origin that services hand out: metadata services of containers
and instances, an STS."""

import http.client
import itertools
import re
import threading
import time

import pytest

from credentials_lab import (ARN, CLEAN, GIVE, JWT, source, tokens,
                             wait_refreshed, wait_valid)
from credentials_lab import metadata, origin, serve      # noqa: F401 (fixtures)
from lib import wait
from lib.cluster import Cluster
from lib.nginx import s3_location, s3_zone
from origin.metadata import ROLE, ROLES, Metadata
from origin_reads import reads


# --- every source signs -------------------------------------------------------

def test_an_instance(serve, origin, metadata):
    nginx = serve(f'instance endpoint={metadata.url}/')
    assert wait_valid(nginx)['source'] == (
        f'instance endpoint={metadata.url}/')
    assert reads(nginx, '/bkt/key', b'body')
    keys = metadata.issued[0]
    assert origin.requests[0].signer == keys.access_key
    assert tokens(origin) == [keys.token]
    assert [(a.method, a.path) for a in metadata.asked] == [
        ('PUT', '/latest/api/token'), ('GET', ROLES), ('GET', ROLES + ROLE)]
    assert 3500 < source(nginx)['expiry_seconds'] <= 3600


def test_an_instance_whose_role_is_known(serve, origin, metadata):
    nginx = serve(f'instance role={ROLE}',
                  env={'AWS_EC2_METADATA_SERVICE_ENDPOINT': metadata.url})
    assert wait_valid(nginx)['source'] == f'instance role={ROLE}'
    assert reads(nginx, '/bkt/key', b'body')
    assert [a.step for a in metadata.asked] == ['token', 'keys']


@pytest.mark.parametrize('how', ['FULL_URI', 'token', 'token file'])
def test_a_container(serve, origin, metadata, tmp_path, how):
    env = {'AWS_CONTAINER_CREDENTIALS_FULL_URI':
           f'{metadata.url}/v1/cr%65dentials?id=a%2Fb'}
    if how == 'token':
        env['AWS_CONTAINER_AUTHORIZATION_TOKEN'] = 'Basic of=environment'
        metadata.authorization = 'Basic of=environment'
    if how == 'token file':
        (tmp_path / 'auth').write_text('of-a-file\n', encoding='ascii')
        env['AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE'] = '@/auth'
        env['AWS_CONTAINER_AUTHORIZATION_TOKEN'] = 'not this'
        metadata.authorization = 'of-a-file'
    nginx = serve('container', env=env)
    assert wait_valid(nginx)['source'] == 'container'
    assert reads(nginx, '/bkt/key', b'body')
    assert tokens(origin) == [metadata.issued[0].token]
    assert [a.path for a in metadata.asked] == [
        '/v1/credentials?id=a%2Fb']
    assert ('Authorization' in metadata.asked[0].headers) == (
        how != 'FULL_URI')


@pytest.mark.parametrize('how', ['parameters', 'environment'])
def test_a_web_identity(serve, origin, metadata, tmp_path, how):
    (tmp_path / 'jwt').write_text(JWT + '\n', encoding='ascii')
    words, env = 'web_identity', {}
    if how == 'parameters':
        words += (f' role_arn={ARN} token_file={tmp_path}/jwt '
                  f'session_name=a@b endpoint={metadata.url}')
    else:
        env = {'AWS_ROLE_ARN': ARN, 'AWS_WEB_IDENTITY_TOKEN_FILE': '@/jwt',
               'AWS_ENDPOINT_URL_STS': metadata.url}
    nginx = serve(words, env=env)
    wait_valid(nginx)
    assert reads(nginx, '/bkt/key', b'body')
    assert tokens(origin) == [metadata.issued[0].token]
    form = metadata.asked[0].body.decode()
    assert 'RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fgateway&' in form
    assert 'WebIdentityToken=eyJhbGciOi.eyJzdWIi%2F%2B%3D.' in form
    assert ('RoleSessionName=a%40b&' if how == 'parameters' else
            'RoleSessionName=nginx-s3-cache&') in form


def test_an_rgw_takes_it(make_nginx, rgw, rgw_s3, bucket):
    rgw_s3.put_object(Bucket=bucket, Key='key', Body=b'body')
    with Metadata(fixed=(rgw.access_key, rgw.secret_key)) as metadata:
        nginx = make_nginx(http=s3_zone(), env=CLEAN, server=s3_location(
            rgw.url, more=f'{GIVE} instance endpoint={metadata.url};')).start()
        wait_valid(nginx)
        assert reads(nginx, f'/{bucket}/key', b'body')
        done = nginx.request('PUT', f'/{bucket}/new', body=b'written')
        assert done.status == 200, done.body
    assert rgw_s3.get_object(Bucket=bucket, Key='new')['Body'].read() == (
        b'written')


def test_sources_of_several_locations(make_nginx, origin, metadata):
    """Who asks the same of the same is one; another role is another."""
    def at(path, words):
        return s3_location(origin.url, path=path,
                           more=f'{GIVE} instance {words};')
    one = f'endpoint={metadata.url}'
    nginx = make_nginx(http=s3_zone(), env=CLEAN, server=at(
        '/one/', one) + at('/two/', one)
        + at('/three/', f'{one} role={ROLE}')).start()
    buckets = 'one', 'two', 'three'
    for bucket in buckets:
        origin.put(bucket, 'key', bucket.encode())
    wait.until(lambda: [s['valid'] for s in nginx.zone()['origin_keys']]
               == [True, True], lambda: str(nginx.zone()['origin_keys']))
    assert len(metadata.issued) == 2
    for bucket in buckets:
        assert reads(nginx, f'/{bucket}/key', bucket.encode())
    signers = [r.signer for r in origin.requests]
    assert signers[0] == signers[1] != signers[2]


def test_nodes_of_a_ring_know_the_source_of_each_other(make_nginx, origin,
                                                       metadata):
    """Each task of a container service has a URL and keys of its own."""
    ring = Cluster(make_nginx, origin, location=f'{GIVE} container;', env=CLEAN,
                   block='    hedge 1m;\n')
    for number, node in enumerate(ring.nodes):
        node.env['AWS_CONTAINER_CREDENTIALS_FULL_URI'] = (
            f'{metadata.url}/v2/task-{number}')
    ring.start()
    for node in ring.nodes:
        wait_valid(node)
    assert len(metadata.issued) == 3
    for number in range(8):
        target, body = f'/bkt/ring{number}', b'%d' % number
        origin.put('bkt', f'ring{number}', body)
        for node in ring.nodes:
            answer = node.get(target)
            assert (answer.status, answer.body) == (200, body)
        assert len(origin.requests_for('bkt', f'ring{number}')) == 1
        done = ring.nodes[number % 3].request('PUT', target, body=b'new')
        assert done.status == 200, done.body
        for node in ring.nodes:
            assert node.get(target).body == b'new'
    assert len({r.signer for r in origin.requests}) == 3
    ring.close()


# --- refreshes ----------------------------------------------------------------

def test_keys_are_refreshed_ahead_and_by_one_worker(serve, origin, metadata):
    metadata.lifetime_s = 8
    nginx = serve(f'instance endpoint={metadata.url}', workers=4)
    wait_valid(nginx)
    seen = set()

    def all_seen():
        """A request that is no hit, by whatever worker takes it."""
        number = next(numbers)
        origin.put('bkt', f'key{number}', b'body')
        assert reads(nginx, f'/bkt/key{number}', b'body')
        seen.add(origin.requests[-1].signer)
        assert source(nginx)['valid']
        return len(seen) >= 3

    numbers = itertools.count()
    wait.until(all_seen, lambda: f'three signers: {seen}', 30, 0.05)
    expires = {k.access_key: k.at_s + 8 for k in metadata.issued}
    for request in origin.requests:
        assert request.came_s < expires[request.signer], request.signer
    # four workers that asked each for itself would do it at once
    times = [k.at_s for k in metadata.issued]
    assert min(b - a for a, b in zip(times, times[1:])) > 2, times
    assert source(nginx)['refreshes'] == {'ok': len(times), 'failed': 0}
    assert len(metadata.wait_asked(1, 'token')) == len(times)


def test_a_refresh_that_fails_leaves_what_there_is(serve, origin, metadata):
    """...until it has expired; and what is cached is served all the same."""
    metadata.lifetime_s = 6
    nginx = serve(f'instance endpoint={metadata.url}')
    wait_valid(nginx)
    metadata.fail('500')
    assert reads(nginx, '/bkt/key', b'body')
    wait_refreshed(nginx, 1, what='failed')
    assert source(nginx)['valid']
    origin.put('bkt', 'other', b'other')
    assert reads(nginx, '/bkt/other', b'other')
    assert re.search(r'the service refuses, status 500; the former ones stay',
                     nginx.log())
    gone = wait_valid(nginx, False)
    assert gone['expiry_seconds'] is None
    origin.requests.clear()
    answer = nginx.get('/bkt/third')
    assert answer.status == 503 and b'>ServiceUnavailable<' in answer.body
    assert nginx.get('/bkt/third?tagging').status == 503
    assert nginx.request('PUT', '/bkt/third', body=b'x').status == 503
    assert 'they have expired' in nginx.log()
    assert reads(nginx, '/bkt/key', b'body', 'HIT')
    assert not origin.requests                   # nothing went out unsigned
    assert re.search('origin_keys_valid{.*} 0\n', nginx.metrics())
    metadata.heal()
    wait_valid(nginx)
    origin.put('bkt', 'third', b'third')
    assert reads(nginx, '/bkt/third', b'third')


def test_stale_while_there_are_no_keys(serve, metadata):
    metadata.lifetime_s = 4
    nginx = serve(f'instance endpoint={metadata.url}', valid='200 1s',
                  more='s3_cache_stale_if_error 1h;')
    wait_valid(nginx)
    metadata.fail('500')
    assert reads(nginx, '/bkt/key', b'body')
    wait_valid(nginx, False)
    wait.until(lambda: nginx.get('/bkt/key').getheader('X-Cache') == 'STALE',
               lambda: nginx._tail())
    answer = nginx.get('/bkt/key')
    assert (answer.status, answer.body) == (200, b'body')


FAULTS = [('keys', '500', 'status 500'), ('keys', 'malformed', 'malformed'),
          ('keys', 'expired', 'has expired'), ('keys', 'drop', 'no answer'),
          ('keys', 'denied', 'has none'), ('keys', 'endless', 'too long'),
          ('role', '404', 'status 404'), ('role', 'malformed', 'of a role'),
          ('token', '403', 'status 403'), ('token', 'malformed', 'token')]


@pytest.mark.parametrize('step, what, why', FAULTS)
def test_before_there_are_keys(serve, origin, metadata, step, what, why):
    metadata.fail(what, step)
    nginx = serve(f'instance endpoint={metadata.url}')
    assert nginx.get('/bkt/key').status == 503
    nginx.wait_log(f'{why}.*; there are none')
    wait_refreshed(nginx, 2, what='failed')
    state = source(nginx)
    assert not state['valid'] and state['refreshes']['ok'] == 0
    assert 'there are none yet' in nginx.log()
    metadata.heal()
    wait_valid(nginx)
    assert reads(nginx, '/bkt/key', b'body')
    assert len(origin.requests) == 1


@pytest.mark.parametrize('method', ['GET', 'PUT'])
def test_the_first_requests_wait_for_the_first_keys(serve, origin, metadata,
                                                    method):
    metadata.fail('slow')
    nginx = serve(f'instance endpoint={metadata.url}', log_level='debug')
    metadata.wait_asked(1)
    answers = []
    body = b'new' if method == 'PUT' else None
    asker = threading.Thread(target=lambda: answers.append(
        nginx.request(method, '/bkt/key', body=body)))
    asker.start()
    nginx.wait_log('call waits for credentials')
    assert not answers and not origin.requests
    metadata.heal()
    asker.join()
    assert answers[0].status == 200, answers[0].body
    assert origin.requests[0].signer == metadata.issued[0].access_key


def test_they_do_not_wait_for_long(serve, origin, metadata):
    metadata.fail('slow')
    nginx = serve(f'instance endpoint={metadata.url}')
    metadata.wait_asked(1)
    begun = time.monotonic()
    assert nginx.get('/bkt/key').status == 503
    assert 1.5 < time.monotonic() - begun < 8
    assert not origin.requests
    # a client that leaves takes its call with it
    gone = http.client.HTTPConnection('127.0.0.1', nginx.port())
    gone.request('GET', '/bkt/key?tagging')
    gone.close()
    metadata.heal()
    wait_valid(nginx)
    assert reads(nginx, '/bkt/key', b'body')


@pytest.mark.parametrize('what', ['malformed', '403', 'expired'])
def test_an_sts_that_fails(serve, metadata, tmp_path, what):
    (tmp_path / 'jwt').write_text(JWT, encoding='ascii')
    metadata.fail(what)
    nginx = serve(f'web_identity role_arn={ARN} token_file={tmp_path}/jwt '
                  f'endpoint={metadata.url}')
    wait_refreshed(nginx, 1, what='failed')
    (tmp_path / 'jwt').unlink()
    metadata.heal()
    nginx.wait_log('there is no token')
    (tmp_path / 'jwt').write_text('another', encoding='ascii')
    wait_valid(nginx)
    assert b'WebIdentityToken=another' in metadata.asked[-1].body
    assert reads(nginx, '/bkt/key', b'body')


def test_a_service_that_never_ends(serve, metadata):
    """...is given up, for all that it sends a byte now and then."""
    metadata.fail('drip')
    nginx = serve(f'instance endpoint={metadata.url}')
    nginx.wait_log('no answer in time; there are none', 40)
    metadata.heal()
    wait_valid(nginx)
    assert reads(nginx, '/bkt/key', b'body')


def test_the_worker_that_asks_dies(serve, origin, metadata):
    metadata.fail('hang')
    nginx = serve(f'instance endpoint={metadata.url}', workers=3)
    asked = metadata.wait_asked(1)
    pid = metadata.owner(asked[0], nginx.worker_pids())
    nginx.kill_worker(pid)
    metadata.heal()
    wait_valid(nginx)
    nginx.wait_log('the worker that kept them died, this one goes on')
    assert reads(nginx, '/bkt/key', b'body')
    # and the next one, too
    metadata.fail('hang')
    origin.secrets.clear()
    count = len([a for a in metadata.asked if a.step == 'keys'])
    assert nginx.get('/bkt/other').status == 502
    asked = metadata.wait_asked(count + 1, timeout_s=60)
    second = metadata.owner(asked[-1], nginx.worker_pids())
    assert second != pid
    nginx.kill_worker(second)
    metadata.heal()
    wait_refreshed(nginx, 2, timeout_s=60)
    origin.put('bkt', 'other', b'other')
    assert reads(nginx, '/bkt/other', b'other')


def test_keys_that_the_origin_refuses_are_replaced_early(serve, origin,
                                                         metadata):
    nginx = serve(f'instance endpoint={metadata.url}')
    wait_valid(nginx)
    origin.secrets.clear()
    for _ in range(3):
        assert nginx.get('/bkt/key').status == 502
    wait_refreshed(nginx, 2)
    assert reads(nginx, '/bkt/key', b'body')
    # at most one in half a minute, whoever says so
    origin.secrets.clear()
    origin.put('bkt', 'other', b'other')
    assert nginx.get('/bkt/other').status == 502
    assert len(metadata.issued) == 2


def test_a_reload_asks_nobody(serve, origin, metadata):
    nginx = serve(f'instance endpoint={metadata.url}')
    wait_valid(nginx)
    nginx.reload(wait_old=True)
    assert source(nginx)['valid']
    origin.put('bkt', 'other', b'other')
    assert reads(nginx, '/bkt/other', b'other')
    assert len(metadata.issued) == 1
    # one of the new workers keeps them now
    origin.secrets.clear()
    assert nginx.get('/bkt/third').status == 502
    wait_refreshed(nginx, 2)
    assert 'died' not in nginx.log()


def test_a_reload_while_old_workers_stay(serve, origin, metadata):
    """A worker that leaves, but has to wait for a client, is not the one that
    keeps them: the new ones refresh, and it signs by what they got."""
    metadata.lifetime_s = 8
    nginx = serve(f'instance endpoint={metadata.url}', workers=1)
    wait_valid(nginx)
    gate = origin.gate()
    origin.on('bkt', 'slow', gate=gate)
    thread = threading.Thread(target=nginx.get, args=('/bkt/slow',))
    thread.start()
    gate.wait_reached()
    old = nginx.worker_pids()[0]
    nginx.reload()
    metadata.fail('hang')
    asked = metadata.wait_asked(2)
    found = metadata.owner(asked[1], nginx.worker_pids(leaving=True))
    metadata.heal()
    gate.open()
    thread.join()
    assert found != old


def test_nothing_shows_a_secret(serve, origin, metadata, tmp_path):
    (tmp_path / 'jwt').write_text(JWT, encoding='ascii')
    metadata.lifetime_s = 4
    nginx = serve(f'web_identity role_arn={ARN} token_file={tmp_path}/jwt '
                  f'endpoint={metadata.url}', log_level='debug')
    wait_valid(nginx)
    shown = [str(nginx.get('/bkt/key').headers)]
    metadata.fail('malformed', times=1)
    wait_refreshed(nginx, 1, what='failed')
    wait_refreshed(nginx, 2)
    shown += [str(nginx.status()), nginx.metrics(), nginx.log()]
    for word in [JWT, JWT.split('.', maxsplit=1)[0]] + [
            w for k in metadata.issued for w in (k.secret_key, k.token)]:
        for text in shown:
            assert word not in text


def test_the_path_of_a_container_is_in_no_log(serve, metadata):
    """On its host whoever knows it is given the keys."""
    metadata.fail('drop')
    nginx = serve('container', env={'AWS_CONTAINER_CREDENTIALS_FULL_URI':
                                    f'{metadata.url}/v2/HIDDEN?x=HIDDEN'})
    wait_refreshed(nginx, 2, what='failed')
    assert metadata.asked[0].path == '/v2/HIDDEN?x=HIDDEN'
    assert 'HIDDEN' not in nginx.log()


def test_metrics(serve, metadata):
    nginx = serve(f'instance endpoint={metadata.url}')
    wait_valid(nginx)
    text = nginx.metrics()
    labels = f'{{zone="hot",source="instance endpoint={metadata.url}"'
    name = 's3_cache_origin_keys'
    assert f'\n{name}_refreshes_total{labels},result="ok"}} 1\n' in text
    assert f'\n{name}_refreshes_total{labels},result="failed"}} 0\n' in text
    assert f'\n{name}_valid{labels}}} 1\n' in text
    left = int(re.search(re.escape(f'\n{name}_expiry_seconds{labels}}} ')
                         + '([0-9]+)', text).group(1))
    assert 3500 < left <= 3600
