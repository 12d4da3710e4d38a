# SPDX-License-Identifier: Apache-2.0
"""Each read of parity_cases.py through the gateway, when nothing is cached
and when all is, against the same read of the RGW behind it.

Every case has an object of its own, so that its first read is a miss
whatever ran before it. It is read four times by blocks of 64 KiB: missing,
cached, and cached past nginx's filters (s3_cache_direct_send) on a connection
that is kept; and twice by blocks of 1 MiB from a zone of its own.
"""

import dataclasses
import email.utils
import itertools
import re
import time
import uuid
from urllib.parse import quote

import pytest

import parity_cases as cases
import raw_http
from lib import nginx as nginx_lib
from lib import s3client
from origin.objects import pattern

# what belongs to one answer or one connection, not to the object
OF_THE_ANSWER = {'date', 'server', 'connection', 'keep-alive',
                 'x-amz-request-id', 'x-cache', 'age', 'transfer-encoding'}
IN_304 = {'etag', 'last-modified', 'cache-control', 'expires',
          'x-amz-version-id'}
ERRORS_OF_OURS = (400, 412, 416)

RESULTS = {'cached': ('MISS', 'HIT'), 'uncached': ('MISS', 'MISS'),
           'passed': ('BYPASS', 'BYPASS'), 'refused': ('REFUSED', 'REFUSED')}


@dataclasses.dataclass
class Expected:
    status: int
    headers: list = None         # sorted; None: an error of ours
    body: bytes = b''
    code: str = ''
    elements: tuple = ()


class Lab:
    """The RGW, its buckets, and the gateways before it."""

    def __init__(self, rgw, folder):
        self.rgw = rgw
        self.s3 = s3client.of(rgw)
        self.port = int(rgw.url.rpartition(':')[2])
        self.prefix = f'p-{uuid.uuid4().hex[:10]}'
        self.made = {}
        keys = (rgw.access_key, rgw.secret_key)
        valid = '200 206 404 1m'
        small = 's3_cache_block_size 64k;'
        location = nginx_lib.s3_location
        self.nginx = nginx_lib.Nginx(
            folder,
            http=nginx_lib.s3_zone('small', '128m')
            + nginx_lib.s3_zone('big', '128m')
            + '''server { listen 127.0.0.1:@port:direct@; %s }
                 server { listen 127.0.0.1:@port:big@; %s }''' % (
                     location(rgw.url, *keys, zone='small', valid=valid,
                              more=small + ' s3_cache_direct_send on;'),
                     location(rgw.url, *keys, zone='big', valid=valid,
                              more='s3_cache_block_size 1m;')),
            server=location(rgw.url, *keys, zone='small', valid=valid,
                            more=small)).start()

    # --- what lies in the RGW ----------------------------------------------

    def bucket(self, name):
        """The name in the RGW of a bucket of the cases; made when needed."""
        if name not in self.made:
            real = self.made[name] = (
                f'{self.prefix}-{len(self.made)}-'
                + re.sub('[^a-z0-9]+', '-', name.lower())).strip('-')
            if not name.startswith('!'):
                self.s3.create_bucket(Bucket=real)
            if name == 'listed':
                for key in cases.LISTED:
                    self.put(f'/{real}/{quote(key)}', b'x' * len(key))
            elif name == 'cors':
                self.s3.put_bucket_cors(
                    Bucket=real, CORSConfiguration={'CORSRules': [{
                        'AllowedOrigins': ['http://good'],
                        'AllowedMethods': ['GET', 'HEAD'],
                        'AllowedHeaders': ['*'], 'ExposeHeaders': ['x-a'],
                        'MaxAgeSeconds': 33}]})
            elif name in ('versioned', 'deleted'):
                self.s3.put_bucket_versioning(
                    Bucket=real,
                    VersioningConfiguration={'Status': 'Enabled'})
        return self.made[name]

    def put(self, target, body, headers=()):
        answer = self.direct('PUT', target, headers, body)
        assert answer.status == 200, answer
        return answer

    def put_case(self, case, target):
        """Its object (or its versions); what its texts may name."""
        body = pattern(cases.SIZES[case.size], case.name) if case.size else b''
        if case.size == 'multipart':
            self.put_parts(target, body, cases.HEADERS[case.meta])
        elif case.size:
            self.put(target, body, cases.HEADERS[case.meta])
        elif case.bucket in ('versioned', 'deleted'):
            return self.put_versions(case, target)
        return {}

    def put_parts(self, target, body, headers):
        upload = self.direct('POST', f'{target}?uploads',
                             headers).element('UploadId')
        done = ''
        for number in itertools.count(1):
            part = body[(number - 1) * cases.PART:number * cases.PART]
            if not part:
                break
            answer = self.put(
                f'{target}?partNumber={number}&uploadId={upload}', part)
            done += (f'<Part><PartNumber>{number}</PartNumber>'
                     f'<ETag>{answer["ETag"]}</ETag></Part>')
        answer = self.direct(
            'POST', f'{target}?uploadId={upload}', (),
            ('<CompleteMultipartUpload>' + done
             + '</CompleteMultipartUpload>').encode())
        assert answer.status == 200, answer

    def put_versions(self, case, target):
        names = {}
        for number in (1, 2):
            headers = (('x-amz-meta-number', str(number)),)
            names[f'v{number}'] = self.put(
                target, b'%d of ' % number + case.name.encode(),
                headers)['x-amz-version-id']
        if case.bucket == 'deleted':
            gone = self.direct('DELETE', target)
            names['marker'] = gone['x-amz-version-id']
        return names

    # --- asking --------------------------------------------------------------

    def direct(self, method, target, headers=(), body=b'', is_signed=True):
        return self.ask(self.port, method, target, headers, body, is_signed)

    def ask(self, port, method, target, headers=(), body=b'',
            is_signed=True, close=True):
        if is_signed:
            headers = raw_http.signed(
                method, target, headers, f'127.0.0.1:{port}',
                self.rgw.access_key, self.rgw.secret_key)
        return raw_http.ask(port, method, target, headers, body, close)

    def gateways(self):
        """(which, port, is the connection closed, is all cached)"""
        nginx = self.nginx
        return (('missing', nginx.port(), True, False),
                ('cached', nginx.port(), True, True),
                ('direct', nginx.port('direct'), False, True),
                ('big missing', nginx.port('big'), False, False),
                ('big cached', nginx.port('big'), True, True))


@pytest.fixture(scope='module')
def lab(rgw, tmp_path_factory):
    lab = Lab(rgw, tmp_path_factory.mktemp('parity'))
    try:
        yield lab
        lab.nginx.check_accounting()
    finally:
        lab.nginx.close()


# --- comparing ---------------------------------------------------------------

def kept(headers, ignored=OF_THE_ANSWER):
    return sorted((k, v) for k, v in headers if k.lower() not in ignored)


def changed(headers, **values):
    """Headers with some set; their names have '_' for '-'."""
    values = {k.replace('_', '-'): v for k, v in values.items()}
    return [(k, v) for k, v in headers if k not in values] + list(
        values.items())


def without_ids(body):
    return re.sub(rb'<(RequestId|HostId)>[^<]*</\1>', rb'<\1/>', body)


def texts(case, plain):
    """What may stand between braces in a case's headers and query."""
    if plain.status != 200 or plain['Last-Modified'] is None:
        day = 86400
        now = time.time()
        return {'before': email.utils.formatdate(now - day, usegmt=True),
                'after': email.utils.formatdate(now + day, usegmt=True)}
    modified = email.utils.parsedate_to_datetime(plain['Last-Modified'])

    def date(seconds, form='%a, %d %b %Y %H:%M:%S GMT'):
        return time.strftime(form, time.gmtime(modified.timestamp()
                                               + seconds))
    return {'etag': plain['ETag'], 'bare': plain['ETag'].strip('"'),
            'upper': plain['ETag'].upper(), 'modified': date(0),
            'before': date(-1), 'after': date(1),
            'future': date(366 * 86400), 'asctime': date(0, '%a %b %e %T %Y'),
            'rfc850': date(0, '%A, %d-%b-%y %T GMT')}


def filled(text, names):
    for name, value in names.items():
        text = text.replace('{%s}' % name, value)
    return text


def expected(case, direct, plain):
    """What the gateway must answer, given the RGW's answers to the same
    request and to the bare one."""
    if case.way == 'passed':
        return Expected(direct.status, kept(direct.headers), direct.body)
    status = case.aws.status if case.aws else direct.status
    headers = plain.headers

    if status == 304:
        return Expected(304, kept(h for h in headers
                                  if h[0].lower() in IN_304))
    if status in ERRORS_OF_OURS:
        code = case.aws.code if case.aws else direct.element('Code')
        elements = ()
        if status == 412 and case.condition:
            elements = (('Condition', case.condition),)
        elif status == 416:
            elements = (('RangeRequested', dict(case.headers)['Range']),
                        ('ActualObjectSize', str(len(plain.body))))
        return Expected(status, code=code, elements=elements)
    if case.aws and status == 206:
        first, last = case.aws.span
        return Expected(206, kept(changed(
            headers, Content_Length=str(last - first + 1),
            Content_Range=f'bytes {first}-{last}/{len(plain.body)}')),
            plain.body[first:last + 1])
    if case.aws:
        assert status == 200, case
        return Expected(200, kept(headers), plain.body)
    return Expected(direct.status, kept(direct.headers), direct.body)


def check(case, want, got):
    if case.method == 'HEAD':
        want = dataclasses.replace(want, body=b'')
    assert got.status == want.status, (got.head, got.body[:500])
    assert got.rest == b'' and got.interim == ()
    names = got.names()
    for name in names:
        assert names.count(name) == 1, got.head

    if want.headers is None:
        assert got['Content-Type'] == 'application/xml'
        if case.method == 'HEAD':
            assert got.body == b''
            return
        assert got.body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n'
                                   b'<Error><Code>')
        assert got.element('Code') == want.code
        assert got.element('RequestId') == got['x-amz-request-id']
        for name, value in want.elements:
            assert got.element(name) == value, got.body
        return

    missing = [h for h in want.headers if h not in got.headers]
    added = [h for h in kept(got.headers) if h not in want.headers]
    assert (missing, added) == ([], [])
    if got.body != want.body:
        assert got.status >= 400 and without_ids(got.body) == without_ids(
            want.body), (len(got.body), len(want.body), got.body[:300])
    if got.status >= 400 and got.body:
        assert got.element('RequestId') == got['x-amz-request-id']
    else:
        assert got['x-amz-request-id']


def params():
    return [pytest.param(case, id=case.name) for case in cases.every()]


@pytest.mark.parametrize('case', params())
def test_the_gateway_answers_as_s3(lab, case):
    bucket = lab.bucket(case.bucket)
    place = f'/{bucket}{case.sent_path}'
    source = place if not case.size else f'/{bucket}{case.true_path}'
    names = lab.put_case(case, source)

    version = case.query if case.query.startswith('versionId={') else ''
    plain = lab.direct('GET', filled(
        source + (f'?{version}' if version else ''), names))
    names.update(texts(case, plain))
    query = filled(case.query, names)
    target = place + ('?' + query if query or case.name == (
        'alias-question-mark-alone') else '')
    headers = [(k, filled(v, names)) for k, v in case.headers]
    direct = plain
    if not (case.aws and case.aws.status == 400):
        # a plus in a query is a blank, and signed as one
        direct = lab.direct(case.method, f'{place}?{query.replace("+", "%20")}'
                            if '+' in query else target, headers,
                            is_signed=case.is_signed)
    want = expected(case, direct, plain)

    for which, port, close, is_cached in lab.gateways():
        got = lab.ask(port, case.method, target, headers,
                      is_signed=case.is_signed, close=close)
        try:
            check(case, want, got)
            result = RESULTS[case.way][is_cached]
            # the reader has the last byte, its fill is not closed yet
            assert got['X-Cache'] == result or (
                result == 'HIT' and got['X-Cache'] == 'SHARED')
        except AssertionError as e:
            raise AssertionError(f'{which}: {e}\n{case}\n{target}') from e
