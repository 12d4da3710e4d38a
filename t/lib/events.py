# SPDX-License-Identifier: Apache-2.0
"""Bucket notifications as the stores write them, and who sends them."""

import json
import urllib.parse

TOPIC = 'arn:aws:sns:us-west-2:123456789012:MyTopic'


def _record(source, name, bucket, key, version=None, sequencer='0055AED6DC',
            **more):
    obj = {'key': key, 'size': 1024, 'eTag': 'd41d8cd98f00b204e9800998ecf8427e',
           'sequencer': sequencer}
    if version is not None:
        obj['versionId'] = version
    return {
        'eventVersion': '2.1', 'eventSource': source,
        'awsRegion': 'us-west-2', 'eventTime': '2026-01-01T00:00:00.000Z',
        'eventName': name, 'userIdentity': {'principalId': 'AIDAEXAMPLE'},
        'requestParameters': {'sourceIPAddress': '127.0.0.1'},
        'responseElements': {'x-amz-request-id': 'C3D13FE58DE4C810'},
        's3': {'s3SchemaVersion': '1.0', 'configurationId': 'rule',
               'bucket': {'name': bucket, 'ownerIdentity': {
                   'principalId': 'A3NL1KOZZKExample'},
                   'arn': f'arn:aws:s3:::{bucket}'},
               'object': dict(obj, **more)}}


def s3(bucket, *keys, name='ObjectCreated:Put', **more):
    return {'Records': [
        _record('aws:s3', name, bucket, urllib.parse.quote_plus(key, '/'),
                **more) for key in keys]}


def minio(bucket, *keys, name='ObjectCreated:Put', source='minio:s3', **more):
    more.setdefault('contentType', 'binary/octet-stream')
    return {'EventName': f's3:{name}', 'Key': f'{bucket}/{keys[0]}',
            'Records': [dict(
                _record(source, f's3:{name}', bucket,
                        urllib.parse.quote_plus(key, ''), **more),
                source={'host': '127.0.0.1', 'port': '', 'userAgent': 'x'})
                for key in keys]}


def rustfs(bucket, *keys, **more):
    return minio(bucket, *keys, source='rustfs:s3', **more)


def ceph(bucket, *keys, name='ObjectCreated:Put', version='', **more):
    return {'Records': [dict(
        _record('ceph:s3', name, bucket, key, version, metadata=[
            {'key': 'x-amz-meta-a', 'val': 'b'}], tags=[], **more),
        eventVersion='2.2', eventId='1.2.3', opaqueData='')
        for key in keys]}


def eventbridge(bucket, *keys, name='Object Created', version=None, **more):
    key, = keys
    obj = {'key': key, 'size': 5, 'etag': 'b1946ac92492d2347c6235b4d2611184',
           'sequencer': '617f08299329d189'}
    if version is not None:
        obj['version-id'] = version
    return {'version': '0', 'id': '17793124-05d4-b198-2fde-7ededc63b103',
            'detail-type': name, 'source': 'aws.s3',
            'account': '111122223333', 'time': '2026-01-01T00:00:00Z',
            'region': 'us-west-2', 'resources': [f'arn:aws:s3:::{bucket}'],
            'detail': {'version': '0', 'bucket': {'name': bucket},
                       'object': dict(obj, **more),
                       'request-id': 'N4N7GDK58NMKJ12R',
                       'requester': '123456789012', 'reason': 'PutObject'}}


def sns(document, kind='Notification', topic=TOPIC, **more):
    """What SNS makes of it without raw delivery."""
    return dict({
        'Type': kind, 'MessageId': '22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324',
        'TopicArn': topic, 'Subject': 'Amazon S3 Notification',
        'Message': document if isinstance(document, str)
        else json.dumps(document), 'Timestamp': '2026-01-01T00:00:00.000Z',
        'SignatureVersion': '1', 'Signature': 'EXAMPLEw6JRN',
        'SigningCertURL': 'https://sns.us-west-2.amazonaws.com/x.pem'}, **more)


def sns_subscribe(token='2336412f37', topic=TOPIC):
    return sns('You have chosen to subscribe to the topic.\nTo confirm ...',
               'SubscriptionConfirmation', topic, Token=token,
               SubscribeURL='https://sns.us-west-2.amazonaws.com/?Action='
               f'ConfirmSubscription&TopicArn={topic}&Token={token}')


def sns_unsubscribe(topic=TOPIC):
    return sns('You have chosen to deactivate subscription.',
               'UnsubscribeConfirmation', topic, Token='2336412f37',
               SubscribeURL='https://sns.us-west-2.amazonaws.com/?x')


FORMS = {
    's3': s3, 'minio': minio, 'rustfs': rustfs, 'ceph': ceph,
    'eventbridge': eventbridge,
    'sns': lambda *a, **more: sns(s3(*a, **more)),
    'sns of eventbridge': lambda *a, **more: sns(eventbridge(*a, **more)),
}
