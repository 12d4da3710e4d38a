# SPDX-License-Identifier: Apache-2.0
"""What the test_write*.py files before a real RGW share: a gateway, and
clients through it and past it."""

import uuid

import pytest

from lib import s3client
from lib.nginx import s3_location, s3_zone

MIB = 1 << 20


@pytest.fixture(scope='module')
def lab(rgw, tmp_path_factory):
    from lib.nginx import Nginx
    keys = (rgw.access_key, rgw.secret_key)
    nginx = Nginx(
        tmp_path_factory.mktemp('writes'),
        http=s3_zone(), workers=2,
        server=s3_location(rgw.url, *keys, valid='200 206 404 10m',
                           more='s3_cache_block_size 64k;')).start()
    yield nginx
    nginx.check_accounting()
    nginx.close()


@pytest.fixture(scope='module')
def direct(rgw):
    return s3client.of(rgw)


@pytest.fixture(scope='module')
def through(rgw, lab):
    return s3client.of(rgw, lab.url())


@pytest.fixture
def bucket(direct):
    name = f'w-{uuid.uuid4().hex[:12]}'
    direct.create_bucket(Bucket=name)
    return name
