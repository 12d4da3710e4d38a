# SPDX-License-Identifier: Apache-2.0
"""Changes behind our back: what a store tells by its notifications is not
served any more, in whatever form it tells it."""

import json
import subprocess
import threading
import urllib.parse

import boto3
import botocore.config
import pytest

import raw_http
from event_tells import (BEARER, KEY, LIMIT, TOKEN, change, conf_of, counters,
                         read, target, told, warm)
from event_tells import gateway, make          # noqa: F401 (fixtures)
from lib import events, s3client, store, wait
from lib.nginx import s3_location, s3_store, s3_zone
from origin.objects import pattern
from origin.scripted_origin import ScriptedOrigin

QUOTED = urllib.parse.quote(TOKEN, '')


# --- each form ---------------------------------------------------------------

@pytest.mark.parametrize('form', sorted(events.FORMS))
@pytest.mark.parametrize('key', ['k', KEY, '/a//b/', 'a&b=c;d#e?f"\\'])
def test_a_changed_object_is_read_anew(gateway, origin, form, key):
    origin.put('bkt', key, b'old')
    origin.put('bkt', 'other', b'old')
    warm(gateway, 'bkt', key, b'old')
    warm(gateway, 'bkt', 'other', b'old')
    change(origin, gateway, 'bkt', key)
    told(gateway, events.FORMS[form]('bkt', key))
    assert read(gateway, 'bkt', key) == ('MISS', b'new')
    assert read(gateway, 'bkt', 'other') == ('HIT', b'old')
    assert counters(gateway)['received'] == 1


@pytest.mark.parametrize('form, name', [
    ('s3', 'ObjectRemoved:Delete'), ('s3', 'LifecycleExpiration:Delete'),
    ('minio', 'ObjectRemoved:DeleteMarkerCreated'),
    ('rustfs', 'ObjectRemoved:Delete'), ('ceph', 'ObjectRemoved:Delete'),
    ('eventbridge', 'Object Deleted'), ('sns', 'ObjectRemoved:Delete')])
def test_a_deleted_object_is_gone(gateway, origin, form, name):
    origin.put('bkt', 'k', b'old')
    warm(gateway, 'bkt', 'k', b'old')
    origin.delete('bkt', 'k')
    told(gateway, events.FORMS[form]('bkt', 'k', name=name))
    assert read(gateway, 'bkt', 'k')[1] is None


def test_an_object_that_was_not_there_appears(gateway, origin):
    origin.put('bkt', 'other', b'')
    assert read(gateway, 'bkt', 'k')[1] is None
    assert read(gateway, 'bkt', 'k') == ('HIT', None)
    origin.put('bkt', 'k', b'new')
    told(gateway, events.s3('bkt', 'k'))
    assert read(gateway, 'bkt', 'k') == ('MISS', b'new')


@pytest.mark.parametrize('name', [
    'ObjectTagging:Put', 'ObjectAcl:Put', 'ObjectRestore:Completed',
    'LifecycleTransition', 'ObjectCreated:PutRetention', 'What:Comes:Later'])
def test_what_changes_headers_drops_too(gateway, origin, name):
    origin.put('bkt', 'k', b'x')
    warm(gateway, 'bkt', 'k', b'x')
    told(gateway, events.s3('bkt', 'k', name=name))
    assert read(gateway, 'bkt', 'k')[0] == 'MISS'


def test_a_read_drops_nothing(gateway, origin):
    origin.put('bkt', 'k', b'x')
    warm(gateway, 'bkt', 'k', b'x')
    told(gateway, events.minio('bkt', 'k', name='ObjectAccessed:Get'))
    assert read(gateway, 'bkt', 'k')[0] == 'HIT'
    assert counters(gateway) == {'received': 1, 'dropped': 0, 'refreshed': 0,
                                 'refused': 0}


@pytest.mark.parametrize('form', ['s3', 'ceph', 'eventbridge'])
def test_versions_are_dropped_with_their_object(gateway, origin, form):
    origin.put('bkt', 'k', b'one', version_id='v1')
    origin.put('bkt', 'k', b'two', version_id='v2')
    for version, body in (('v1', b'one'), ('v2', b'two'), (None, b'two')):
        warm(gateway, 'bkt', 'k', body, version)
    told(gateway, events.FORMS[form]('bkt', 'k', version='v1'))
    for version, body in (('v1', b'one'), ('v2', b'two'), (None, b'two')):
        assert read(gateway, 'bkt', 'k', version) == ('MISS', body)


@pytest.mark.parametrize('document', [
    {'Records': [{'s3': {'bucket': {'name': 'bkt'}}}]},
    events.minio('bkt', '', name='BucketRemoved:*'),
    {'detail-type': 'Object Created', 'detail': {'bucket': {'name': 'bkt'}}}])
def test_an_event_without_a_key_drops_the_bucket(gateway, origin, document):
    for bucket in ('bkt', 'other'):
        for i in range(5):
            origin.put(bucket, f'k{i}', b'x')
            warm(gateway, bucket, f'k{i}', b'x')
    told(gateway, document)
    for i in range(5):
        assert read(gateway, 'bkt', f'k{i}')[0] == 'MISS'
        assert read(gateway, 'other', f'k{i}')[0] == 'HIT'


def test_a_large_object_is_dropped_with_its_blocks(make, origin):
    nginx = make(origin, more='s3_cache_block_size 64k;')
    old, new = pattern(500_000), pattern(500_000, 1)
    origin.put('bkt', 'k', old)
    warm(nginx, 'bkt', 'k', old)
    change(origin, nginx, 'bkt', 'k', new)
    told(nginx, events.s3('bkt', 'k'))
    assert read(nginx, 'bkt', 'k') == ('MISS', new)


def test_a_test_event_and_an_empty_list_are_taken(gateway):
    for document in ({'Service': 'Amazon S3', 'Event': 's3:TestEvent',
                      'Time': '2026-01-01T00:00:00.000Z', 'Bucket': 'bkt'},
                     {'Records': []}):
        told(gateway, document)
        told(gateway, events.sns(document))
    assert counters(gateway)['refused'] == 0


# --- late, twice, in any order -----------------------------------------------

def test_events_late_and_twice_and_in_any_order_do_no_harm(gateway, origin):
    story = [events.s3('bkt', 'k', name=name, sequencer=f'0055AED6D{i}')
             for i, name in enumerate(('ObjectCreated:Put',
                                       'ObjectRemoved:Delete',
                                       'ObjectCreated:Copy'))]
    origin.put('bkt', 'k', b'old')
    warm(gateway, 'bkt', 'k', b'old')
    change(origin, gateway, 'bkt', 'k')
    for document in (story[2], story[2], story[0], story[1], story[1]):
        told(gateway, document)
        assert read(gateway, 'bkt', 'k') == ('MISS', b'new')
        assert read(gateway, 'bkt', 'k') == ('HIT', b'new')


def test_a_fetch_that_began_before_the_change_is_not_kept(gateway, origin):
    """The origin has begun to answer with the old version when the event
    comes; who asked before it may have that, nobody after it."""
    origin.put('bkt', 'k', b'old' * 10_000)
    gate = origin.gate(at=1000)
    origin.on('bkt', 'k', gate=gate, times=1)
    got = []
    reader = threading.Thread(target=lambda: got.append(
        read(gateway, 'bkt', 'k')))
    reader.start()
    gate.wait_reached()
    origin.put('bkt', 'k', b'new')
    told(gateway, events.s3('bkt', 'k'))
    assert read(gateway, 'bkt', 'k') == ('MISS', b'new')
    gate.open()
    reader.join()
    assert got == [('MISS', b'old' * 10_000)]
    assert read(gateway, 'bkt', 'k') == ('HIT', b'new')


# --- many --------------------------------------------------------------------

def test_a_document_of_many_records(gateway, origin):
    """As many as fit; others are answered meanwhile."""
    small = [{'s3': {'bucket': {'name': 'bkt'}, 'object': {'key': f'k{i}'}}}
             for i in range(15_000)]
    body = json.dumps({'Records': small}).encode()
    assert 0.8 * LIMIT < len(body) <= LIMIT
    for i in (0, 63, 64, 65, 7000, 14_999):
        origin.put('bkt', f'k{i}', b'old')
        warm(gateway, 'bkt', f'k{i}', b'old')
        change(origin, gateway, 'bkt', f'k{i}')
    told(gateway, body)
    for i in (0, 63, 64, 65, 7000, 14_999):
        assert read(gateway, 'bkt', f'k{i}') == ('MISS', b'new')
    assert counters(gateway) == {'received': 15_000, 'dropped': 15_000,
                                 'refreshed': 0, 'refused': 0}


def test_a_client_that_leaves_does_not_end_it(make, origin):
    nginx = make(origin, workers=1)
    origin.put('bkt', 'last', b'old')
    warm(nginx, 'bkt', 'last', b'old')
    change(origin, nginx, 'bkt', 'last')
    keys = [f'k{i}' for i in range(1000)] + ['last']
    body = json.dumps(events.ceph('bkt', *keys)).encode()
    assert len(body) <= LIMIT
    with raw_http.Connection(nginx.port()) as connection:
        connection.request('POST', '/-/events', BEARER, body)
    wait.until(lambda: counters(nginx)['dropped'] == len(keys),
               lambda: str(counters(nginx)))
    assert read(nginx, 'bkt', 'last') == ('MISS', b'new')


@pytest.mark.parametrize('length', [[], ['-H', 'Content-Length:']])
def test_events_by_http_2(make, origin, length):
    nginx = make(origin, http='server { listen 127.0.0.1:@port:h2@ http2; '
                 + conf_of(origin) + '}')
    origin.put('bkt', 'last', b'old')
    warm(nginx, 'bkt', 'last', b'old')
    body = json.dumps(events.s3('bkt', *map(str, range(1000)), 'last'))
    done = subprocess.run(
        ['curl', '-sS', '--http2-prior-knowledge', '-w', '%{http_code}',
         '-H', f'Authorization: Bearer {TOKEN}', *length, '--data-binary',
         '@-', nginx.url('/-/events', 'h2')], input=body.encode(),
        capture_output=True, timeout=30, check=True)
    assert done.stdout == b'200'
    assert read(nginx, 'bkt', 'last')[0] == 'MISS'
    assert counters(nginx)['received'] == 1001


def test_a_body_in_pieces_and_one_in_a_file(make, origin):
    nginx = make(origin, inside='client_body_in_file_only clean;')
    body = json.dumps(events.s3('bkt', 'k', 'l')).encode()
    origin.put('bkt', 'l', b'old')
    warm(nginx, 'bkt', 'l', b'old')
    for headers in (BEARER, dict(BEARER, **{'Transfer-Encoding': 'chunked'})):
        change(origin, nginx, 'bkt', 'l', b'new' + bytes(str(headers), 'ascii'))
        chunked = 'Transfer-Encoding' in headers
        sent = (b''.join(b'%x\r\n%s\r\n' % (len(p), p)
                         for p in (body[:7], body[7:])) + b'0\r\n\r\n'
                if chunked else body)
        with raw_http.Connection(nginx.port()) as connection:
            connection.request('POST', '/-/events', headers if chunked else
                               dict(headers, **{'Content-Length':
                                                str(len(body))}), sent[:50])
            for i in range(50, len(sent), 400):
                connection.send(sent[i:i + 400])
            assert connection.answer('POST').status == 200
        assert read(nginx, 'bkt', 'l')[0] == 'MISS'
        assert read(nginx, 'bkt', 'l')[0] == 'HIT'


# --- all that holds the object -----------------------------------------------

def hits(nginx, path, *names):
    return [nginx.request('GET', path, name=name).headers['X-Cache']
            for name in names]


def test_all_zones_and_credentials_forget(make, origin):
    nginx = make(
        origin, keys=('A', 'a'), http=s3_zone('two') + 'server { '
        'listen 127.0.0.1:@port:b@;' + s3_location(
            origin.url, 'B', 'b', zone='two', valid='1h') + '}\nserver { '
        'listen 127.0.0.1:@port:c@; ' + conf_of(origin, keys=('C', 'c'))
        + '}')
    origin.put('bkt', 'k', b'old')
    names = ('', 'b', 'c')
    assert hits(nginx, '/bkt/k', *names) == ['MISS'] * 3
    assert hits(nginx, '/bkt/k', *names) == ['HIT'] * 3
    told(nginx, events.s3('bkt', 'k'))
    assert hits(nginx, '/bkt/k', *names) == ['MISS'] * 3


def test_other_origins_are_not_concerned(make, origin):
    with ScriptedOrigin() as second:
        nginx = make(origin, http='server { listen 127.0.0.1:@port:b@; '
                     + conf_of(second) + '}')
        for each in (origin, second):
            each.put('bkt', 'k', b'x')
        assert hits(nginx, '/bkt/k', '', 'b', '', 'b') == ['MISS'] * 2 + [
            'HIT'] * 2
        told(nginx, events.s3('bkt', 'k'))
        assert hits(nginx, '/bkt/k', '', 'b') == ['MISS', 'HIT']


def test_it_does_not_come_back_from_flash(make, origin):
    nginx = make(origin, http=s3_store(size='64m'))
    store.wait_state(nginx)
    origin.put('bkt', 'k', b'old' * 1000)
    warm(nginx, 'bkt', 'k', b'old' * 1000)
    store.wait_count(nginx, lambda found: found[0]['writes']['bytes'], 3000,
                     'bytes taken')
    origin.put('bkt', 'k', b'new')
    told(nginx, events.s3('bkt', 'k'))
    nginx.restart('quit')
    store.wait_state(nginx)
    assert read(nginx, 'bkt', 'k') == ('MISS', b'new')


# --- refresh -----------------------------------------------------------------

def test_what_was_in_use_is_read_anew_at_once(make, origin):
    nginx = make(origin, f'token={TOKEN} refresh')
    for key in ('hot', 'cold', 'gone'):
        origin.put('bkt', key, b'old')
    warm(nginx, 'bkt', 'hot', b'old')
    warm(nginx, 'bkt', 'gone', b'old')
    change(origin, nginx, 'bkt', 'hot')
    before = len(origin.requests)
    told(nginx, events.s3('bkt', 'cold', 'hot'))
    told(nginx, events.s3('bkt', 'gone', name='ObjectRemoved:Delete'))
    origin.wait_requests(2, bucket='bkt', key='hot', done=True)
    wait.until(lambda: nginx.zone()['memory']['fills'] == 0, 'the fill')
    assert read(nginx, 'bkt', 'hot') == ('HIT', b'new')
    assert [r.key for r in origin.requests[before:]] == ['hot']
    assert counters(nginx)['refreshed'] == 1
    assert read(nginx, 'bkt', 'cold')[0] == 'MISS'
    assert read(nginx, 'bkt', 'gone')[0] == 'MISS'


def test_an_origin_that_fails_a_refresh_costs_nothing(make, origin):
    nginx = make(origin, f'token={TOKEN} refresh')
    origin.put('bkt', 'k', b'old')
    warm(nginx, 'bkt', 'k', b'old')
    change(origin, nginx, 'bkt', 'k')
    rule = origin.on('bkt', 'k', error=(503, 'SlowDown'))
    told(nginx, events.s3('bkt', 'k'))
    origin.wait_requests(2, bucket='bkt', key='k', done=True)
    wait.until(lambda: nginx.zone()['memory']['fills'] == 0, 'the fill')
    origin.off(rule)
    assert read(nginx, 'bkt', 'k') == ('MISS', b'new')


# --- a real store ------------------------------------------------------------

@pytest.fixture
def notify(rgw, rgw_s3):
    """notify(bucket, endpoint): its notifications go there."""
    sns = boto3.session.Session().client(
        'sns', endpoint_url=rgw.url, region_name='default',
        aws_access_key_id=rgw.access_key,
        aws_secret_access_key=rgw.secret_key,
        config=botocore.config.Config(signature_version='s3v4'))
    made = []

    def make_topic(bucket, endpoint):
        with rgw.topics_locked():
            arn = sns.create_topic(Name=f't-{bucket}', Attributes={
                'push-endpoint': endpoint})['TopicArn']
            made.append(arn)
            rgw_s3.put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration={
                    'TopicConfigurations': [{
                        'Id': 'n', 'TopicArn': arn, 'Events': [
                            's3:ObjectCreated:*', 's3:ObjectRemoved:*']}]})

    yield make_topic
    with rgw.topics_locked():
        for arn in made:
            sns.delete_topic(TopicArn=arn)


def test_a_change_at_a_real_rgw_is_seen_at_once(make, rgw, rgw_s3, bucket,
                                                notify):
    nginx = make(rgw)
    notify(bucket, f'{nginx.url("/-/events")}?token={QUOTED}')
    for key in ('k', KEY):
        rgw_s3.put_object(Bucket=bucket, Key=key, Body=b'one')
        warm(nginx, bucket, key, b'one')

        # an RGW answers a write when the notification has been taken
        rgw_s3.put_object(Bucket=bucket, Key=key, Body=b'two')
        assert read(nginx, bucket, key) == ('MISS', b'two')
        warm(nginx, bucket, key, b'two')

        rgw_s3.copy_object(Bucket=bucket, Key=key, CopySource={
            'Bucket': bucket, 'Key': key}, MetadataDirective='REPLACE',
            Metadata={'new': 'header'})
        answer = nginx.get(target(bucket, key))
        assert answer.headers['x-amz-meta-new'] == 'header'

        upload = rgw_s3.create_multipart_upload(Bucket=bucket, Key=key)
        part = rgw_s3.upload_part(Bucket=bucket, Key=key, PartNumber=1,
                                  UploadId=upload['UploadId'], Body=b'three')
        rgw_s3.complete_multipart_upload(
            Bucket=bucket, Key=key, UploadId=upload['UploadId'],
            MultipartUpload={'Parts': [{'PartNumber': 1,
                                        'ETag': part['ETag']}]})
        warm(nginx, bucket, key, b'three')

        rgw_s3.delete_object(Bucket=bucket, Key=key)
        assert read(nginx, bucket, key)[1] is None
    assert counters(nginx)['refused'] == 0
    assert counters(nginx)['received'] >= 10


def test_versions_at_a_real_rgw(make, rgw, rgw_s3, bucket, notify):
    nginx = make(rgw)
    rgw_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={
        'Status': 'Enabled'})
    notify(bucket, f'{nginx.url("/-/events")}?token={QUOTED}')
    one = rgw_s3.put_object(Bucket=bucket, Key='k', Body=b'one')['VersionId']
    warm(nginx, bucket, 'k', b'one')
    warm(nginx, bucket, 'k', b'one', one)
    two = rgw_s3.put_object(Bucket=bucket, Key='k', Body=b'two')['VersionId']
    warm(nginx, bucket, 'k', b'two')
    mark = rgw_s3.delete_object(Bucket=bucket, Key='k')['VersionId']
    assert read(nginx, bucket, 'k')[1] is None
    rgw_s3.delete_object(Bucket=bucket, Key='k', VersionId=mark)
    warm(nginx, bucket, 'k', b'two')
    rgw_s3.delete_object(Bucket=bucket, Key='k', VersionId=two)
    warm(nginx, bucket, 'k', b'one')
    rgw_s3.delete_object(Bucket=bucket, Key='k', VersionId=one)
    assert read(nginx, bucket, 'k', one)[1] is None


def test_writes_through_the_gateway_are_events_as_well(make, rgw, bucket,
                                                       notify):
    """The RGW tells the gateway of the write before it answers it."""
    nginx = make(rgw, workers=1)
    notify(bucket, f'{nginx.url("/-/events")}?token={QUOTED}')
    through = s3client.of(rgw, nginx.url())
    for i in range(5):
        body = b'%d' % i
        through.put_object(Bucket=bucket, Key='k', Body=body)
        warm(nginx, bucket, 'k', body)
    assert counters(nginx)['received'] == 5
