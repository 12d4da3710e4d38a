# SPDX-License-Identifier: Apache-2.0
"""Keys for the origin that others take the place of, and an origin that refuses
all others: for test_origin_credentials*.py."""

import pytest

from lib import wait
from lib.nginx import s3_location, s3_zone
from origin.metadata import Metadata
from origin.scripted_origin import ScriptedOrigin

GIVE = 's3_cache_origin_credentials'
ARN = 'arn:aws:iam::123456789012:role/gateway'
JWT = 'eyJhbGciOi.eyJzdWIi/+=.c2lnbmF0dXJl'
CLEAN = {name: '' for name in (
    'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI', 'AWS_ROLE_SESSION_NAME',
    'AWS_CONTAINER_CREDENTIALS_FULL_URI', 'AWS_CONTAINER_AUTHORIZATION_TOKEN',
    'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE', 'AWS_ROLE_ARN', 'AWS_REGION',
    'AWS_WEB_IDENTITY_TOKEN_FILE', 'AWS_EC2_METADATA_SERVICE_ENDPOINT',
    'AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE', 'AWS_DEFAULT_REGION',
    'AWS_ENDPOINT_URL_STS', 'AWS_ACCESS_KEY_ID')}


@pytest.fixture
def origin():
    """It refuses what is not signed by keys that the services gave."""
    with ScriptedOrigin(secrets={}) as started:
        started.put('bkt', 'key', b'body')
        yield started


@pytest.fixture
def metadata(origin):
    with Metadata(origin.secrets) as started:
        yield started


@pytest.fixture
def serve(make_nginx, origin, tmp_path):
    """serve(words): a started nginx that signs as they say."""
    def make(words, start=True, more='', env=None, valid='200 206 1m',
             **pieces):
        env = {k: v.replace('@', str(tmp_path)) for k, v in
               dict(CLEAN, **(env or {})).items()}
        nginx = make_nginx(
            http=s3_zone(), env=env, server=s3_location(
                origin.url, valid=valid, more=f'{GIVE} {words};\n{more}'),
            **pieces)
        return nginx.start() if start else nginx
    return make


def source(nginx, index=0):
    return nginx.zone()['origin_keys'][index]


def wait_valid(nginx, valid=True, timeout_s=20):
    return wait.until(
        lambda: source(nginx)['valid'] == valid and source(nginx),
        lambda: f'{valid}: {source(nginx)}\n{nginx._tail()}', timeout_s, 0.02)


def wait_refreshed(nginx, count, timeout_s=20, what='ok'):
    wait.until(lambda: source(nginx)['refreshes'][what] >= count,
               lambda: f'{count} {what}: {source(nginx)}\n{nginx._tail()}',
               timeout_s, 0.02)


def tokens(origin):
    return [r.header('x-amz-security-token') for r in origin.requests]
