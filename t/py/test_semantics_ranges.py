# SPDX-License-Identifier: Apache-2.0
"""Ranges: what is fetched of an object for them, and what is answered."""

import pytest

from origin.objects import pattern
from reads import BLOCK, LARGE, gateway, get    # noqa: F401 (a fixture)


@pytest.mark.parametrize('text, span, fetched', [
    ('bytes=5000000-5000099', (5000000, 5000099), [76]),
    ('bytes=0-0', (0, 0), [0]),
    ('bytes=65535-65536', (65535, 65536), [0, 1]),
    ('bytes=65536-131071', (65536, 131071), [1]),
    ('bytes=131072-393215', (131072, 393215), [2, 3, 4, 5]),
    (f'bytes={LARGE - 1}-', (LARGE - 1, LARGE - 1), [159]),
    (f'bytes={LARGE - 1}-{LARGE + 500}', (LARGE - 1, LARGE - 1), [159]),
    ('bytes=-10', (LARGE - 10, LARGE - 1), [159]),
    ('bytes=-65537', (LARGE - 65537, LARGE - 1), [158, 159])])
def test_a_range_fetches_its_blocks_and_no_others(gateway, origin, text, span,
                                                  fetched):
    body = pattern(LARGE)
    origin.put('bucket', 'key', body)
    first, last = span
    for _ in range(2):
        answer = get(gateway, '/bucket/key', {'Range': text})
        assert answer.status == 206
        assert answer['Content-Range'] == f'bytes {first}-{last}/{LARGE}'
        assert answer.body == body[first:last + 1]
    gets = origin.requests_for(method='GET')
    assert sorted(r.header('range') for r in gets) == sorted(
        f'bytes={n * BLOCK}-{(n + 1) * BLOCK - 1}' for n in fetched)
    # of an end its beginning is not known before its length is
    heads = origin.requests_for(method='HEAD')
    assert len(heads) == (1 if '=-' in text else 0)
    etag = origin.get('bucket', 'key').etag
    assert [r.header('if-match') for r in origin.requests[1:]] == [
        etag] * (len(origin.requests) - 1)
    assert sum(r.sent_bytes for r in origin.requests) <= BLOCK * len(fetched)


def test_a_range_of_a_small_object_brings_all_of_it(gateway, origin):
    body = pattern(1000)
    origin.put('bucket', 'key', body)
    assert get(gateway, '/bucket/key', {'Range': 'bytes=500-509'}
               ).body == body[500:510]
    assert get(gateway, '/bucket/key', {'Range': 'bytes=0-9'}
               ).body == body[:10]
    assert get(gateway, '/bucket/key').body == body
    assert len(origin.requests) == 1


def test_a_whole_read_fetches_each_block_once(gateway, origin):
    body = pattern(LARGE)
    origin.put('bucket', 'key', body)
    assert get(gateway, '/bucket/key', {'Range': 'bytes=700000-700001'}
               ).body == body[700000:700002]
    assert get(gateway, '/bucket/key').body == body
    assert get(gateway, '/bucket/key').body == body
    ranges = [r.header('range') for r in origin.requests_for(method='GET')]
    assert len(ranges) == len(set(ranges)) == LARGE // BLOCK


def test_if_range_is_answered_here(gateway, origin):
    obj = origin.put('bucket', 'key', b'0123456789',
                     last_modified=1_700_000_000)
    for _ in range(2):
        for value, status in ((obj.etag, 206), ('"other"', 200),
                              ('W/' + obj.etag, 200), (obj.date, 206),
                              ('Wed, 15 Nov 2023 22:13:20 GMT', 200)):
            answer = get(gateway, '/bucket/key', {'Range': 'bytes=1-2',
                                                  'If-Range': value})
            assert answer.status == status, value
            assert answer.body == (b'12' if status == 206 else b'0123456789')
    assert len(origin.requests) == 1
    assert origin.requests[0].header('if-range') is None
