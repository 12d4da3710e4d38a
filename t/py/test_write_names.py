# SPDX-License-Identifier: Apache-2.0
"""Documents and names that the gateway and an RGW may read differently;
requests behind requests."""

import base64
import hashlib
import random

import pytest

import raw_http
from origin.scripted_origin import ScriptedOrigin
from write_lab import bucket, direct, lab, through    # noqa: F401 (fixtures)

KEYS = ['k', 'kk', ' k', 'k ', 'a&b', 'ab', 'é', 'K', '%6b', 'x:k', '0', '<']
PIECES = ['k', 'kk', ' k', 'k ', 'a&amp;b', 'a<!--x-->b', '&#xe9;', 'é', '&#75;',
          '&#x6B;', '%6b', '<![CDATA[k]]>', 'k\n', '\tk', '<Key>k</Key>', '&lt;',
          '&#48;', 'a&#38;b', '&#0;', '&foo;', '', 'k<x/>k', '&#x6b;&#107;']


@pytest.mark.deadline(300)
def test_documents_of_delete_objects(lab, direct, bucket):
    rng = random.Random(5)
    heads = ['', '', '<?xml version="1.0"?>',
             '<?xml version="1.0" encoding="UTF-8"?>\n',
             '<?xml version="1.0" encoding="ISO-8859-1"?>',
             '<!DOCTYPE x [<!ENTITY foo "k">]>', '\ufeff']
    taken = 0
    for turn in range(150):
        targets = {key: f'/{bucket}/' + ''.join(
            '%%%02X' % b for b in key.encode()) for key in KEYS}
        for key in KEYS:
            assert raw_http.ask(lab.port(), 'PUT', targets[key], {},
                                b'%d' % turn, close=False).status == 200
            assert raw_http.ask(lab.port(), 'GET',
                                targets[key]).body == b'%d' % turn
        objects = ''
        for _ in range(rng.randint(1, 3)):
            k = rng.choice(['Key', 'Key', 'Key', 'x:Key', 'KEY', 'Key a=">"'])
            text = rng.choice(PIECES)
            inner = f'<{k}>{text}</{k.split()[0]}>'
            o = rng.choice(['Object', 'Object', 'Object xmlns="y"', 'object'])
            extra = rng.choice(['', '', '<VersionId>null</VersionId>',
                                '<Other><Key>k</Key></Other>', '<Key>kk</Key>',
                                '<!-- <Key>k</Key> -->', '<?p <Key> ?>'])
            objects += f'<{o}>{extra}{inner}</{o.split()[0]}>'
        root = rng.choice(['Delete', 'Delete', 'Delete xmlns="http://x"',
                           'x:Delete', 'Foo'])
        doc = (rng.choice(heads) + f'<{root}>'
               + rng.choice(['', '<Quiet>true</Quiet>', '<Quiet/>'])
               + objects + f'</{root.split()[0]}>')
        coding = 'latin-1' if 'ISO' in doc else 'utf-8'
        body = doc.encode(coding, 'replace')
        md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
        answer = raw_http.ask(lab.port(), 'POST', f'/{bucket}?delete',
                              {'Content-MD5': md5}, body, close=False)
        taken += answer.status == 200
        for key in KEYS:
            mine = raw_http.ask(lab.port(), 'GET', targets[key])
            past = raw_http.ask(lab.port(), 'GET', targets[key],
                                {'Origin': 'http://x'})
            assert mine.status == past.status, (doc, key, answer)
    assert taken > 20


FORMS = ['a//b', '/a', 'a/./b', 'a/../b', 'a/', 'a', 'b', 'a%2Fb', 'a+b', 'a%20b',
         'a%2Bb', './a', '../a', '//a', 'a%252Fb', 'a/b', 'a;b', 'a%3Fb', 'a#b',
         'a%C3%A9', 'ae%CC%81', '%2Fa', '.', '..', 'a/.', 'a/..', 'A', 'null']


@pytest.mark.deadline(300)
def test_forms_of_names(lab, direct, bucket):
    """No write changes what is read by another name from the cache."""
    for form in FORMS:
        status = raw_http.ask(lab.port(), 'PUT', f'/{bucket}/{form}', {},
                              b'first', close=False).status
        assert status in (200, 400, 403, 404, 405), (form, status)
    n = 0
    for form in FORMS:
        for other in FORMS:
            raw_http.ask(lab.port(), 'GET', f'/{bucket}/{other}')
        n += 1
        raw_http.ask(lab.port(), 'PUT', f'/{bucket}/{form}', {}, b'%d' % n,
                     close=False)
        for other in FORMS:
            mine = raw_http.ask(lab.port(), 'GET', f'/{bucket}/{other}')
            past = raw_http.ask(lab.port(), 'GET', f'/{bucket}/{other}',
                                {'Origin': 'http://x'})
            if past.status == 200 or mine.status == 200:
                assert (mine.status, mine.body) == (past.status, past.body), (
                    form, other)


@pytest.fixture
def origin():
    with ScriptedOrigin() as started:
        started.bucket('bkt')
        yield started


INNER = b'PUT /bkt/smuggled HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx'


@pytest.mark.parametrize('headers,body', [
    ({}, INNER),
    ({'x-amz-decoded-content-length': '1'}, INNER),
    ({'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      'x-amz-decoded-content-length': '1'}, b'1\r\nx\r\n0\r\n\r\n' + INNER),
    ({'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      'x-amz-decoded-content-length': '0'}, b'0\r\n\r\n' + INNER),
    ({'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      'x-amz-decoded-content-length': '1'}, b'2\r\nxy\r\n0\r\n\r\n' + INNER),
    ({'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      'x-amz-decoded-content-length': '1'}, INNER)])
@pytest.mark.parametrize('how', ['plain', 'early', 'error', 'chunked',
                                 'refused'])
@pytest.mark.parametrize('split', [False, True])
def test_a_request_in_a_body(make_gateway, origin, headers, body, how, split):
    gateway = make_gateway(origin, workers=1)
    target, headers = '/bkt/key', dict(headers)
    if how == 'early':
        origin.on('bkt', 'key', method='PUT', early=True,
                  error=(403, 'AccessDenied'))
    if how == 'error':
        origin.on('bkt', 'key', method='PUT', error=(500, 'InternalError'))
    if how == 'refused':
        headers['x-amz-content-sha256'] = 'nonsense'
    if how == 'chunked':
        headers['Transfer-Encoding'] = 'chunked'
        half = len(body) // 2
        body = b''.join(b'%x\r\n%s\r\n' % (len(p), p) for p in (
            body[:half], body[half:])) + b'0\r\n\r\n'
    else:
        headers['Content-Length'] = str(len(body))
    with raw_http.Connection(gateway.port()) as c:
        if split:
            c.request('PUT', target, headers)
            c.send(body[:10])
            c.send(body[10:])
        else:
            c.request('PUT', target, headers, body)
        c.send(b'GET /bkt/behind HTTP/1.1\r\nHost: h\r\n'
               b'Connection: close\r\n\r\n')
        answers = []
        try:
            answers.append(c.answer('PUT'))
            answers.append(c.answer('GET'))
            rest = c.to_end()
        except (raw_http.Malformed, OSError):
            rest = b''
        assert rest == b''
    assert len(answers) <= 2
    assert not origin.requests_for('bkt', 'smuggled')
    if len(answers) == 2:
        assert answers[1].status == 404, answers
        assert answers[1].element('Key') in (None, 'behind')
