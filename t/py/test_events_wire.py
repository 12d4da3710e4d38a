# SPDX-License-Identifier: Apache-2.0
"""Who may tell events, what is no notification, the handshake of SNS, and
what nginx -t says of s3_cache_events."""

import base64
import gzip
import http.server
import json
import re
import threading
import urllib.parse

import pytest

import raw_http
from event_tells import (BEARER, LIMIT, OTHER, TOKEN, conf_of, counters, read,
                         tell, told, warm)
from event_tells import gateway, make          # noqa: F401 (fixtures)
from lib import events
from lib.nginx import s3_zone


# --- who may -----------------------------------------------------------------

def basic(password, user='events'):
    return 'Basic ' + base64.b64encode(
        f'{user}:{password}'.encode()).decode()


QUOTED = urllib.parse.quote(TOKEN, '')


@pytest.mark.parametrize('authorization, query', [
    (f'Bearer {TOKEN}', ''), (f'bearer  {TOKEN}', ''), (TOKEN, ''),
    (f'Bearer {OTHER}', ''), (basic(TOKEN), ''), (basic(TOKEN, 'x'), ''),
    (None, f'?token={QUOTED}'), (None, f'?a=b&token={TOKEN}'),
    ('Bearer wrong', f'?token={QUOTED}'), (basic('x'), f'?token={QUOTED}')])
def test_a_token_is_shown_in_many_ways(make, origin, tmp_path, authorization,
                                       query):
    secret = tmp_path / 'token'
    secret.write_text(f'{OTHER}\nnot this line\n', encoding='ascii')
    secret.chmod(0o600)
    nginx = make(origin, f'token={TOKEN} token_file={secret}')
    origin.put('bkt', 'k', b'old')
    warm(nginx, 'bkt', 'k', b'old')
    told(nginx, events.s3('bkt', 'k'), path=f'/-/events{query}',
         headers={'Authorization': authorization} if authorization else {})
    assert read(nginx, 'bkt', 'k')[0] == 'MISS'


@pytest.mark.parametrize('authorization, query, status', [
    (None, '', 401), (None, '?tokens=x', 401), ('', '', 403),
    ('Bearer', '', 403), ('Bearer ', '', 403), ('Basic x', '', 403),
    (f'Bearer {TOKEN}x', '', 403), (f'Bearer {TOKEN[:-1]}', '', 403),
    (f'Token {TOKEN}', '', 403), (basic(TOKEN.upper()), '', 403),
    (basic('x', TOKEN), '', 403), (None, '?token=', 403),
    (None, f'?token={QUOTED[:-1]}', 403), (None, f'?token=%zz{QUOTED}', 403),
    (None, f'?token={TOKEN[:3]}', 403)])
def test_without_a_token_nothing_is_dropped(gateway, origin, authorization,
                                            query, status):
    origin.put('bkt', 'k', b'x')
    warm(gateway, 'bkt', 'k', b'x')
    answer = tell(gateway, events.s3('bkt', 'k'), path=f'/-/events{query}',
                  headers={} if authorization is None
                  else {'Authorization': authorization})
    assert answer.status == status
    code = {401: b'Unauthorized', 403: b'AccessDenied'}[status]
    assert f'<Code>{code.decode()}</Code>'.encode() in answer.body
    assert answer.headers['Content-Type'] == 'application/xml'
    assert b'token=' not in answer.body
    assert (answer.headers['WWW-Authenticate'] is not None) == (status == 401)
    assert read(gateway, 'bkt', 'k')[0] == 'HIT'
    assert counters(gateway) == {'received': 0, 'dropped': 0, 'refreshed': 0,
                                 'refused': 1}


@pytest.mark.parametrize('method', ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'])
def test_only_post_is_taken(gateway, method):
    answer = tell(gateway, events.s3('bkt', 'k'), method=method)
    assert answer.status == 405
    assert method == 'HEAD' or b'<Code>MethodNotAllowed</Code>' in answer.body


def test_other_blocks_of_the_location_are_no_way_around(make, origin):
    origin.put('bkt', 'k', b'x')
    nginx = make(origin, inside='limit_except POST { deny all; } '
                 'if ($arg_a) { set $b 1; }')
    warm(nginx, 'bkt', 'k', b'x')
    assert tell(nginx, b'', path='/-/events?a=1', headers={}).status == 401
    assert tell(nginx, b'', method='GET').status == 403
    told(nginx, events.s3('bkt', 'k'), path='/-/events?a=1')
    assert read(nginx, 'bkt', 'k')[0] == 'MISS'


# --- wrong input -------------------------------------------------------------

GOOD = json.dumps(events.s3('bkt', 'k')).encode()


@pytest.mark.parametrize('body', [
    b'', b'{}', b'x', GOOD[:-1], GOOD + b'x', b'[' + GOOD + b']',
    b'\xef\xbb\xbf' + GOOD, GOOD.decode().encode('utf-16'),
    gzip.compress(GOOD, mtime=0), b'[' * 100_000,
    b'{"Records":[' + b'{"s3":' * 10_000,
    GOOD.replace(b'"name": "bkt"', b'"name": ""'),
    GOOD.replace(b'"key": "k"', b'"key": "\xff"'),
    GOOD.replace(b'"key": "k"', b'"key": "k", "key": "l"'),
    json.dumps({'Records': [events.s3('bkt', 'k')['Records'][0],
                            {}]}).encode(),
    json.dumps(events.sns('k')).encode(),
    json.dumps(events.sns(events.sns(events.s3('bkt', 'k')))).encode(),
    b'Action=Publish&Message=x'])
def test_what_is_no_notification_is_400_and_drops_nothing(gateway, origin,
                                                          body):
    origin.put('bkt', 'k', b'x')
    warm(gateway, 'bkt', 'k', b'x')
    answer = tell(gateway, body)
    assert answer.status == 400
    assert b'<Code>InvalidRequest</Code>' in answer.body
    assert read(gateway, 'bkt', 'k')[0] == 'HIT'
    assert counters(gateway)['refused'] == 1


@pytest.mark.parametrize('more', ['', 'client_max_body_size 0;',
                                  'client_max_body_size 1g;'])
def test_a_body_that_is_too_large_is_413(make, origin, more):
    nginx = make(origin, more=more)
    fits = GOOD + b' ' * (LIMIT - len(GOOD))
    told(nginx, fits)
    with raw_http.Connection(nginx.port()) as connection:
        connection.request('POST', '/-/events', dict(
            BEARER, **{'Content-Length': str(LIMIT + 1)}))
        assert connection.answer('POST').status == 413
    with raw_http.Connection(nginx.port()) as connection:
        connection.request('POST', '/-/events', dict(
            BEARER, **{'Transfer-Encoding': 'chunked'}),
            b'%x\r\n{' % (LIMIT + 1))
        assert connection.answer('POST').status == 413


def test_a_smaller_limit_of_the_user_holds(make, origin):
    nginx = make(origin, inside='client_max_body_size 1k;')
    told(nginx, GOOD)
    assert tell(nginx, GOOD + b' ' * 1024).status == 413


def test_keys_that_no_object_can_have_are_passed_over(gateway, origin):
    origin.put('bkt', 'k', b'x')
    warm(gateway, 'bkt', 'k', b'x')
    told(gateway, events.ceph('bkt', 'x' * 1025, 'y' * 5000))
    told(gateway, events.s3('b' * 300, 'k'))
    assert read(gateway, 'bkt', 'k')[0] == 'HIT'
    assert counters(gateway)['dropped'] == 0


# --- SNS ---------------------------------------------------------------------

class Sns:
    """As much of SNS as confirms a subscription."""

    def __init__(self, status=200):
        asked = self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append((self.path, dict(self.headers)))
                self.send_response(status)
                self.send_header('Content-Length', '5')
                self.end_headers()
                self.wfile.write(b'<xml>')

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self.server.server_address[1]}'
        self.thread = threading.Thread(target=self.server.serve_forever,
                                       args=(0.01,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.mark.parametrize('status, said', [
    (200, r'\[notice\].*the subscription to ".*MyTopic" is confirmed'),
    (403, r'\[error\].*MyTopic" could not be confirmed: \w+, status 403')])
def test_a_subscription_is_confirmed(make, origin, status, said):
    with Sns(status) as sns:
        nginx = make(origin, f'token={TOKEN} topic={events.TOPIC} '
                     f'confirm={sns.url}', keys=('A', 'a'))
        told(nginx, events.sns_subscribe())
        nginx.wait_log(said)
        (path, headers), = sns.asked
        assert urllib.parse.parse_qs(path[2:]) == {
            'Action': ['ConfirmSubscription'], 'Token': ['2336412f37'],
            'TopicArn': [events.TOPIC]}
        assert 'Authorization' not in headers and TOKEN not in str(headers)


@pytest.mark.parametrize('document', [
    events.sns_subscribe(topic=events.TOPIC + '2'),
    events.sns(events.s3('bkt', 'k'), topic=events.TOPIC + '2'),
    events.sns_unsubscribe(topic='x')])
def test_another_topic_is_refused(make, origin, document):
    origin.put('bkt', 'k', b'x')
    with Sns() as sns:
        nginx = make(origin, f'token={TOKEN} topic={events.TOPIC} '
                     f'confirm={sns.url}')
        warm(nginx, 'bkt', 'k', b'x')
        assert tell(nginx, document).status == 403
        assert tell(nginx, events.s3('bkt', 'k'), dict(BEARER, **{
            'x-amz-sns-topic-arn': events.TOPIC + '2'})).status == 403
        assert read(nginx, 'bkt', 'k')[0] == 'HIT'
        assert sns.asked == []
        # the right one, by raw delivery
        told(nginx, events.s3('bkt', 'k'), headers=dict(BEARER, **{
            'x-amz-sns-rawdelivery': 'true',
            'x-amz-sns-topic-arn': events.TOPIC}))
        assert read(nginx, 'bkt', 'k')[0] == 'MISS'


@pytest.mark.parametrize('params', ['', f' topic={events.TOPIC} confirm=off'])
def test_what_is_not_confirmed_is_logged_for_the_operator(make, origin,
                                                          params):
    nginx = make(origin, f'token={TOKEN}{params}')
    told(nginx, events.sns_subscribe())
    nginx.wait_log(r'\[notice\].*to confirm the subscription to ".*MyTopic" '
                   r'open https://sns\.us-west-2\.amazonaws\.com/\?Action=\S+')
    told(nginx, events.sns_unsubscribe())
    nginx.wait_log(r'\[warn\].*subscription to ".*MyTopic" has been deleted')


@pytest.mark.parametrize('token', ['a b', 'a&Action=x', '', 'a\nb', 'x' * 2000])
def test_a_forged_subscription_confirms_nothing(make, origin, token):
    with Sns() as sns:
        nginx = make(origin, f'token={TOKEN} topic={events.TOPIC} '
                     f'confirm={sns.url}')
        assert tell(nginx, events.sns_subscribe(token)).status == 400
        assert tell(nginx, events.sns_subscribe(), {}).status == 401
        assert sns.asked == []
        document = events.sns_subscribe()
        document['SubscribeURL'] = 'https://x/\n[alert] forged'
        assert tell(nginx, document).status == 400
        assert 'forged' not in nginx.log()


# --- configuration -----------------------------------------------------------

@pytest.mark.parametrize('params, said', [
    ('topic=x', 'needs "token=" or "token_file="'),
    ('token=short', 'at least 16 visible characters'),
    ('"token=one with some spaces"', 'at least 16 visible characters'),
    (f'token={TOKEN} tok={OTHER}', 'invalid parameter number 2'),
    (f'token={TOKEN} refresh refresh', 'invalid parameter number 3'),
    (f'token={TOKEN} topic=', 'invalid parameter number 2'),
    (f'token={TOKEN} confirm=off', 'needs "topic=" for "confirm="'),
    (f'token={TOKEN} topic=arn:aws:sqs:a:1:b', 'is not of a region'),
    (f'token={TOKEN} topic=arn:aws:sns:a.b/c:1:b', 'is not of a region'),
    (f'token={TOKEN} topic=arn:aws:sns:a', 'is not of a region'),
    (f'token={TOKEN} topic=t confirm=ftp://x', 'must begin with'),
    (f'token={TOKEN} topic=t confirm=http://x/y', 'must not have a path'),
    ('token_file=/does/not/exist', 'No such file'),
    ('token_file=/dev/null', 'is no regular file'),
    (f'token={TOKEN}; s3_cache_events token={TOKEN}', 'is duplicate'),
    (f'token={TOKEN}; s3_cache_status', 'cannot stand beside')])
def test_mistakes_are_found_with_file_and_line(make_nginx, origin, params,
                                               said):
    nginx = make_nginx(http=s3_zone(), server=conf_of(origin, params),
                       status=False)
    code, text = nginx.test_conf()
    assert code == 1 and TOKEN not in text and OTHER not in text
    match = re.search(r'\[emerg\] (.*) in (\S+nginx\.conf):(\d+)', text)
    assert match and said in match.group(1), text
    with open(match.group(2), encoding='utf-8') as f:
        assert 's3_cache_events' in f.readlines()[int(match.group(3)) - 1]


@pytest.mark.parametrize('server', [
    'location /e {{ s3_cache_events token={0}; }}',
    's3_cache hot; location /e {{ s3_cache_events token={0}; }}',
    's3_cache_origin {1}; location /e {{ s3_cache_events token={0}; }}'])
def test_events_are_of_an_origin_that_is_cached(make_nginx, origin, server):
    nginx = make_nginx(http=s3_zone(), status=False,
                       server=server.format(TOKEN, origin.url))
    code, text = nginx.test_conf()
    assert code == 1
    assert re.search(r'needs "s3_cache" and "s3_cache_origin".* in '
                     r'\S+nginx\.conf:\d+', text), text


@pytest.mark.parametrize('topic, host', [
    ('arn:aws:sns:eu-west-1:123456789012:t', 'sns.eu-west-1.amazonaws.com'),
    ('arn:aws-cn:sns:cn-north-1:1:t', 'sns.cn-north-1.amazonaws.com.cn'),
    ('arn:aws-us-gov:sns:us-gov-west-1:1:t',
     'sns.us-gov-west-1.amazonaws.com')])
def test_sns_is_that_of_the_region_of_the_topic(make, origin, topic, host):
    """Its name is asked for when it is needed; here nobody answers."""
    nginx = make(origin, f'token={TOKEN} topic={topic}',
                 more='resolver 127.0.0.1:1 ipv6=off; resolver_timeout 1s;')
    told(nginx, events.sns_subscribe(topic=topic))
    nginx.wait_log(rf'{re.escape(host)}')
    nginx.wait_log(r'could not be confirmed: unreachable, status 0')
