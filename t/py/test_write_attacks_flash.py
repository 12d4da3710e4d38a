# SPDX-License-Identifier: Apache-2.0
"""What a restart must not forget of writes that succeeded, with flash."""

import pytest

import raw_http
from flash_reads import make_flash, store_path     # noqa: F401 (a fixture)
from lib import s3client, store
from lib.nginx import s3_location, s3_store, s3_zone
from origin.objects import pattern
from origin.scripted_origin import ScriptedOrigin
from write_lab import bucket, direct    # noqa: F401 (fixtures)


@pytest.fixture
def origin():
    with ScriptedOrigin() as started:
        started.bucket('bkt')
        yield started


def get(nginx, target='/bkt/key'):
    return raw_http.ask(nginx.port(), 'GET', target)


@pytest.mark.parametrize('end', ['quit', 'kill_all'])
def test_a_version_that_delete_objects_named(make_flash, rgw, direct, bucket,
                                             end):
    nginx = make_flash(rgw, workers=1, valid='200 1h')
    direct.put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration={'Status': 'Enabled'})
    body = pattern(100, 7)
    v1 = direct.put_object(Bucket=bucket, Key='key', Body=body)['VersionId']
    direct.put_object(Bucket=bucket, Key='key', Body=b'later')
    t = f'/{bucket}/key?versionId={v1}'
    assert get(nginx, t).body == body
    store.wait_on_media([store_path(nginx)], [body])
    s3client.of(rgw, nginx.url()).delete_objects(
        Bucket=bucket, Delete={'Objects': [{'Key': 'key', 'VersionId': v1}]})
    assert get(nginx, t).status == 404
    nginx.restart(end)
    store.wait_state(nginx)
    assert get(nginx, t).status == 404


def test_tags_of_a_version_that_is_not_named(make_flash, rgw, direct, bucket):
    nginx = make_flash(rgw, workers=1, valid='200 1h')
    direct.put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration={'Status': 'Enabled'})
    body = pattern(100, 8)
    v1 = direct.put_object(Bucket=bucket, Key='key', Body=body)['VersionId']
    t = f'/{bucket}/key?versionId={v1}'
    assert get(nginx, t)['x-amz-tagging-count'] is None
    store.wait_on_media([store_path(nginx)], [body])
    s3client.of(rgw, nginx.url()).put_object_tagging(
        Bucket=bucket, Key='key', Tagging={'TagSet': [
            {'Key': 'a', 'Value': 'b'}]})
    there = get(nginx, t)['x-amz-tagging-count']
    assert there == '1'
    nginx.restart('quit')
    store.wait_state(nginx)
    assert get(nginx, t)['x-amz-tagging-count'] == there
