# SPDX-License-Identifier: Apache-2.0
"""boto3 as the tests want it: no retries, path style, long pools; and which
aws there are."""

import os
import shutil

import boto3
import botocore
from botocore.config import Config


def client(url, access_key=None, secret_key=None, region='us-east-1',
           style='path', signature='s3v4', pool=64, verify=True, **config):
    """An S3 client; anonymous without keys."""
    if access_key is None:
        signature = botocore.UNSIGNED
    return boto3.session.Session().client(
        's3', endpoint_url=url, region_name=region, verify=verify,
        aws_access_key_id=access_key, aws_secret_access_key=secret_key,
        config=Config(signature_version=signature,
                      s3={'addressing_style': style},
                      retries={'total_max_attempts': 1},
                      max_pool_connections=pool, **config))


def of(rgw, url=None, **more):
    """A client with the first user of an Rgw, at it or at another url."""
    return client(url or rgw.url, rgw.access_key, rgw.secret_key, **more)


def found_aws():
    """Debian's aws, and another one that comes first in PATH."""
    found = {}
    for path in ('/usr/bin/aws', shutil.which('aws')):
        if path and os.path.exists(path):
            found.setdefault(os.path.realpath(path), path)
    return sorted(found.values())
