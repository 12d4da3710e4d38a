# SPDX-License-Identifier: Apache-2.0
"""Requests as the AWS SDK for JavaScript signs them. Debian has no package of
it: where S3C_JS_SDK names a folder in which `npm install @aws-sdk/client-s3
@aws-sdk/s3-request-presigner` was run, and only there, it is driven."""

import json
import os
import shutil
import subprocess

import pytest

from auth_lab import auth, credentials
from lib.identities import Credentials, Key, allow, identity
from test_auth_corpus import WHO, all_keys, climbs

__all__ = ['credentials']

SDK = os.environ.get('S3C_JS_SDK', '')
DRIVER = os.path.join(os.path.dirname(__file__), '..', 'lib', 'sdk.mjs')

pytestmark = pytest.mark.skipif(
    not SDK or not shutil.which('node'),
    reason='S3C_JS_SDK names no folder with the SDK, or there is no node')


def driven(url, bucket, keys, who=WHO):
    done = subprocess.run(
        ['node', DRIVER], capture_output=True, text=True, timeout=300,
        check=False, input=json.dumps({
            'sdk': os.path.abspath(SDK), 'endpoint': url, 'bucket': bucket,
            'accessKeyId': who.access_key, 'secretAccessKey': who.secret_key,
            'keys': keys}))
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.split('\n') if line]


def test_the_sdk_for_javascript(make_gateway, rgw, rgw_s3, bucket, tmp_path):
    known = Credentials(tmp_path / 'known', identity(
        'corpus', allow('*', bucket, f'{bucket}/*'), keys=[WHO]))
    gateway = make_gateway(rgw, location=auth(known), valid='200 206 1m')
    keys = [key for key in all_keys(300) if not climbs(f'/{bucket}/{key}')]
    found = driven(gateway.url(), bucket, keys)
    assert len(found) == len(keys)
    # the SDK spoils some links and Ceph does not know some keys
    direct = driven(rgw.url, bucket, keys, Key(rgw.access_key, rgw.secret_key))
    wrong = [(row['key'], name, said) for row, other in zip(found, direct)
             for name, said in row.items()
             if name != 'key' and said != 'ok' and other[name] == 'ok']
    assert not wrong, (len(wrong), wrong[:8])
    assert sum(row['get'] == 'ok' for row in found) > 250
    for row in driven(gateway.url(), bucket, keys[:60],
                      WHO._replace(secret_key='guess')):
        for name, said in row.items():
            assert (name == 'key' or '403' in said
                    or (name == 'link' and '400' in said)), row
