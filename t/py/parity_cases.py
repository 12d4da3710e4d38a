# SPDX-License-Identifier: Apache-2.0
"""The reads that test_parity.py asks both of an RGW and of the gateway.

Pure and the same on every run. A case names the object that it wants, what
is asked of it, and what the answer must be:

- nothing said: the RGW's own answer, header by header and byte by byte;
- `aws`: RGW 16 answers otherwise than AWS does, and the gateway follows AWS.
  These are the only rows whose expectation is not the RGW, and each of them
  says `why`.
"""

import dataclasses
import itertools
import random
from urllib.parse import quote

KIB, MIB = 1024, 1024 * 1024

SIZES = {'empty': 0, 'one': 1, 'hundred': 100,
         '64k-1': 64 * KIB - 1, '64k': 64 * KIB, '64k+1': 64 * KIB + 1,
         '1m-1': MIB - 1, '1m': MIB, '1m+1': MIB + 1, '3m+17': 3 * MIB + 17,
         'multipart': 11 * MIB}
PART = 5 * MIB

RICH = (('Cache-Control', 'max-age=60, private, no-store'),
        ('Content-Disposition', 'attachment; filename="a b;\'.txt"; '
         "filename*=UTF-8''%e2%82%ac%20rates.txt"),
        ('Content-Encoding', 'gzip'),
        ('Content-Language', 'de, en;q=0.5'),
        ('Content-Type', 'Text/Plain;charset=utf-8'),
        ('Expires', 'Thu, 01 Dec 2044 16:00:00 GMT'),
        ('x-amz-meta-plain', 'a value'),
        ('x-amz-meta-with-dash_and_low', '1'))

# what an upload may say about an object
HEADERS = {
    'none': (),
    'rich': RICH,
    'no-cache': (('Cache-Control', 'no-cache'), ('Pragma', 'no-cache')),
    'cache-no-store': (('Cache-Control', 'no-store'),),
    'expires-0': (('Expires', '0'),),
    'expires-words': (('Expires', 'never, ever'),),
    'expires-past': (('Expires', 'Thu, 01 Jan 1970 00:00:00 GMT'),),
    'type-empty': (('Content-Type', ''),),
    'type-odd': (('Content-Type', 'x'),),
    'type-quoted': (('Content-Type', 'multipart/mixed; boundary="a=b;c"'),),
    'type-html': (('Content-Type', 'text/html'),),
    'type-directory': (('Content-Type', 'application/x-directory'),),
    'encoding-chunked': (('Content-Encoding', 'aws-chunked'),),
    'encoding-list': (('Content-Encoding', 'gzip, br'),),
    'encoding-identity': (('Content-Encoding', 'identity'),),
    'disposition': (('Content-Disposition', 'inline'),),
    'meta-empty': (('x-amz-meta-empty', ''),),
    'meta-utf8': (('x-amz-meta-name', 'grün €'.encode().decode('latin-1')),),
    'meta-latin1': (('x-amz-meta-name', 'gr\xfcn'),),
    'meta-rfc2047': (('x-amz-meta-name', '=?UTF-8?B?Z3LDvG4=?='),),
    'meta-blanks': (('x-amz-meta-name', 'a  b\tc,  d'),),
    'meta-quotes': (('x-amz-meta-name', '"<a&b>\';=\\'),),
    'meta-long': (('x-amz-meta-name', 'x' * 1900),),
    'meta-many': tuple((f'x-amz-meta-n{i:02}', 'v' * i) for i in range(40)),
    'class': (('x-amz-storage-class', 'STANDARD'),),
    'redirect': (('x-amz-website-redirect-location', '/elsewhere'),),
}

# keys as bytes on the wire, decoded
KEYS = {
    'plain': 'plain', 'folder': 'a/b/c', 'dot': 'a.b', 'space': 'a b c',
    'spaces-around': ' a ', 'plus': 'a+b', 'percent': 'a%b',
    'percent-escape': 'a%20b', 'percent-2F': 'a%2Fb', 'percent-00': 'a%00b',
    'double-slash': 'a//b', 'leading-slash': '/a', 'leading-slashes': '//a',
    'only-slash': '/', 'only-slashes': '//', 'trailing-slash': 'a/',
    'trailing-slashes': 'a//', 'one-dot': './a', 'dots-inside': 'a/./b',
    'up-inside': 'a/b/../c', 'up-at-end': 'a/b/..', 'up-first': '../a',
    'dot-only': '.', 'dots-three': '...', 'quote': "a'b", 'quotes': 'a"b',
    'angle': '<a>&amp;</a>', 'question': 'a?b', 'question-acl': 'a?acl',
    'hash': 'a#b', 'colon': 'a:b', 'semicolon': 'a;b', 'comma': 'a,b',
    'equals': 'a=b&c=d', 'at': 'user@host', 'tilde': '~a', 'star': 'a*b',
    'parens': 'a(b)[c]{d}', 'bang': 'a!b$c', 'backslash': 'a\\b',
    'caret': 'a^b`c|d', 'umlaut': 'grün', 'cjk': '日本/語', 'emoji': '🎉',
    'nfd': 'u\u0308', 'nbsp': 'a\u00a0b', 'newline': 'a\nb', 'crlf': 'a\r\nb',
    'tab': 'a\tb', 'del': 'a\x7fb', 'esc': 'a\x1bb',
    'long': 'k' * 1024, 'long-folders': 'abc/' * 255 + 'abcd',
    'long-utf8': 'ü' * 512, 'like-bucket': 'bucket/bucket',
    'dash-underscore': '-_-_', 'upper': 'A/B', 'query-in-key': 'a?versionId=1',
}

# how else a key may be written in a request
ALIASES = {
    'slash-escaped': ('a/b', 'a%2Fb'), 'slash-escaped-low': ('a/b', 'a%2fb'),
    'hex-low': ('grün', 'gr%c3%bcn'), 'hex-mixed': ('a b', 'a%20b'),
    'letter-escaped': ('abc', '%61%62%63'), 'tilde-escaped': ('~a', '%7Ea'),
    'dot-escaped': ('a/b.c', 'a/b%2Ec'),
    'plus-raw': ('a+b', 'a+b'), 'plus-escaped': ('a+b', 'a%2Bb'),
    'marks-raw': ("a!$&'()*,;=:@b", "a!$&'()*,;=:@b"),
    'utf8-raw': ('grün', 'grün'.encode().decode('latin-1')),
    'quote-raw': ('a"<>b', 'a"<>b'),
    'pipe-raw': ('a|b^c`d{e}', 'a|b^c`d{e}'),
    'backslash-raw': ('a\\b', 'a\\b'),
    'double-slash-escaped': ('a//b', 'a%2F/b'),
    'up-escaped': ('a/b/../c', 'a/b/%2e%2e/c'),
    'question-mark-alone': ('a', 'a?'), 'ampersands': ('a', 'a?&&'),
}


@dataclasses.dataclass(frozen=True)
class Aws:
    """What AWS answers where RGW 16 does not."""
    status: int
    why: str
    code: str = ''              # of an error
    span: tuple = ()            # (first, last) of a 206


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    method: str = 'GET'
    size: str = 'hundred'       # in SIZES; '' when no object is made
    meta: str = 'none'          # in HEADERS
    key: str = ''               # as it is; the case's name when empty
    path: str = None            # what is sent after the bucket
    query: str = ''
    headers: tuple = ()         # values may hold {etag}, {modified}, ...
    bucket: str = 'plain'       # which of the laboratory's
    is_signed: bool = True
    way: str = 'cached'         # or 'passed', 'refused', 'uncached'
    condition: str = ''         # which one fails, in the body of a 412
    aws: Aws = None

    @property
    def true_path(self):
        """Of its object, after the bucket."""
        return '/' + quote(self.key or self.name, safe='/-_.~')

    @property
    def sent_path(self):
        return self.true_path if self.path is None else self.path


def _get_and_head(**what):
    name = what.pop('name')
    yield Case(name=f'{name}-get', **what)
    yield Case(name=f'{name}-head', method='HEAD', bucket='heads', **what)


# --- whole objects -----------------------------------------------------------

def wholes():
    for size in SIZES:
        yield from _get_and_head(name=f'whole-{size}', size=size)
    for meta in HEADERS:
        if meta != 'none':
            yield from _get_and_head(name=f'meta-{meta}', meta=meta)
    yield Case('meta-rich-empty', size='empty', meta='rich')
    yield Case('meta-rich-large', size='1m+1', meta='rich')
    yield Case('meta-rich-range', size='1m+1', meta='rich',
               headers=(('Range', 'bytes=65530-65545'),))
    # headers that do not change what an S3 object is
    for name, value in (('Accept-Encoding', 'gzip, zstd'),
                        ('Accept', 'text/html'), ('Accept-Language', 'de'),
                        ('User-Agent', 'aws-sdk-x'), ('Cookie', 'a=b'),
                        ('x-amz-user-agent', 'aws-sdk-js/3'),
                        ('TE', 'trailers')):
        yield Case(f'with-{name.lower()}', headers=((name, value),))


def keys():
    for name, key in KEYS.items():
        yield from _get_and_head(name=f'key-{name}', key=key)
    for name, key in KEYS.items():
        if name in ('space', 'plus', 'double-slash', 'crlf', 'umlaut',
                    'long-utf8', 'question', 'up-inside'):
            yield Case(f'key-{name}-range', key=key, bucket='ranges',
                       headers=(('Range', 'bytes=10-19'),))
    for name, (key, path) in ALIASES.items():
        path, _, query = path.partition('?')
        aws = None
        if name in ('utf8-raw', 'ampersands'):
            aws = Aws(200, 'a client may sign it so; RGW 16 finds another '
                      'canonical request')
        yield Case(f'alias-{name}', key=key, path='/' + path, query=query,
                   bucket=f'alias-{name}', aws=aws)
    for name, path, code in (
            ('not-utf8', 'a%FFb', 'InvalidURI'),
            ('utf8-overlong', '%C0%AF', 'InvalidURI'),
            ('surrogate', '%ED%A0%80', 'InvalidURI'),
            ('too-long', 'k' * 1025, 'KeyTooLongError')):
        yield Case(f'key-{name}', size='', path='/' + path, way='refused',
                   aws=Aws(400, 'RGW 16 calls it InvalidObjectName', code))


# --- ranges ------------------------------------------------------------------

# of an object of 100 bytes; the RGW agrees with AWS
RANGES_PLAIN = (
    'bytes=0-3', 'bytes=0-0', 'bytes=99-99', 'bytes=50-', 'bytes=99-',
    'bytes=0-', 'bytes=0-99', 'bytes=0-100', 'bytes=0-999999', 'bytes=-5',
    'bytes=-1', 'bytes=-100', 'bytes=-101', 'bytes=-1000', 'bytes=00-01',
    'bytes=10-0019', 'bytes=100-', 'bytes=100-110', 'bytes=200-',
    'bytes=9223372036854775806-', 'bytes=98-9223372036854775806')

WHOLE = 'AWS ignores a Range that it cannot read'
MULTI = 'AWS answers several ranges with the whole object'
RANGES_AWS = {
    'bytes=5-2': Aws(200, WHOLE), 'bytes=abc': Aws(200, WHOLE),
    'bytes=,': Aws(200, WHOLE), 'bytes=--1': Aws(200, WHOLE),
    'bytes=-': Aws(200, WHOLE), 'bytes=': Aws(200, WHOLE),
    'bytes= -1': Aws(200, WHOLE), 'bytes=1 -2': Aws(200, WHOLE),
    'bytes=0x0-0x9': Aws(200, WHOLE), 'bytes=1.0-2': Aws(200, WHOLE),
    'bytes=+1-2': Aws(200, WHOLE), 'bytes 0-3': Aws(200, WHOLE),
    'bytes': Aws(200, WHOLE), 'items=0-3': Aws(200, WHOLE),
    '0-3': Aws(200, WHOLE), '': Aws(200, WHOLE),
    'bytes=0-0,5-6': Aws(200, MULTI), 'bytes=0-0,': Aws(200, MULTI),
    'bytes=0-3, 5-6': Aws(200, MULTI), 'bytes=-1,-2': Aws(200, MULTI),
    'bytes=0-0,200-300': Aws(200, MULTI),
    'bytes=-0': Aws(416, 'RGW 16 sends the whole object for a suffix of '
                    'nothing', 'InvalidRange'),
    'bytes=0-18446744073709551616':
        Aws(206, 'numbers are clamped; RGW 16 overflows', span=(0, 99)),
    'bytes=18446744073709551616-':
        Aws(416, 'numbers are clamped; RGW 16 overflows', 'InvalidRange'),
    'bytes=-18446744073709551616':
        Aws(206, 'numbers are clamped; RGW 16 overflows', span=(0, 99)),
    'BYTES=0-3': Aws(206, 'range units have no case (RFC 9110 14.1)',
                     span=(0, 3)),
}

EMPTY = 'AWS: nothing of an object of no bytes'
RANGES_EMPTY = {
    'bytes=0-': Aws(416, EMPTY, 'InvalidRange'),
    'bytes=0-0': Aws(416, EMPTY, 'InvalidRange'),
    'bytes=00-01': Aws(416, EMPTY, 'InvalidRange'),
    'bytes=-0': Aws(416, EMPTY, 'InvalidRange'),
    'bytes=-1': Aws(200, 'AWS: the last byte of nothing is nothing, 200'),
    'bytes=5-2': Aws(200, WHOLE), 'bytes=0-0,5-6': Aws(200, MULTI),
}


def ranges():
    for text in RANGES_PLAIN:
        yield Case(f'range-{text}', headers=(('Range', text),))
    for text in RANGES_PLAIN[::3]:
        yield Case(f'range-head-{text}', method='HEAD',
                   headers=(('Range', text),))
    for text, aws in RANGES_AWS.items():
        yield Case(f'range-aws-{text}', headers=(('Range', text),), aws=aws)
    for text in ('bytes=5-2', 'bytes=0-0,5-6', 'bytes=-0'):
        yield Case(f'range-aws-head-{text}', method='HEAD',
                   headers=(('Range', text),), aws=RANGES_AWS[text])
    for text, aws in RANGES_EMPTY.items():
        yield Case(f'range-empty-{text}', size='empty',
                   headers=(('Range', text),), aws=aws)
    yield Case('range-rich', meta='rich', headers=(('Range', 'bytes=1-1'),))

    rng = random.Random(20261121)
    for size, total in SIZES.items():
        if total < 64 * KIB - 1:
            continue
        edges = [64 * KIB, MIB] if total > MIB else [64 * KIB - 2]
        texts = []
        for edge in edges:
            at = min(edge, total - 1)
            texts.append(f'bytes={at - 1}-{at}')
        first = rng.randrange(total)
        texts += [f'bytes={first}-{rng.randrange(first, total)}',
                  f'bytes={rng.randrange(total)}-',
                  f'bytes=-{rng.randrange(1, total)}',
                  f'bytes={total - 1}-{total + 5}', f'bytes={total}-']
        for text in texts:
            yield Case(f'range-{size}-{text}', size=size,
                       headers=(('Range', text),),
                       method='HEAD' if rng.random() < 0.15 else 'GET')


# --- conditions --------------------------------------------------------------

# as RFC 9110 13.2.2 orders them, which AWS follows
BEFORE, AFTER = '{before}', '{after}'
MATCH = {None: None, True: '{etag}', False: '"no"'}
NONE_MATCH = {None: None, True: '"no"', False: '{etag}'}
MODIFIED = {None: None, True: BEFORE, False: AFTER}
UNMODIFIED = {None: None, True: AFTER, False: BEFORE}


def _by_rfc(match, unmodified, none_match, modified):
    """(status, the condition that failed); None: absent, True: it holds."""
    if match is False:
        return 412, 'If-Match'
    if match is None and unmodified is False:
        return 412, 'If-Unmodified-Since'
    if none_match is False:
        return 304, ''
    if none_match is None and modified is False:
        return 304, ''
    return 200, ''


def _by_rgw16(match, unmodified, none_match, modified):
    """RGW 16 looks at If-Modified-Since first of all."""
    if none_match is None and modified is False:
        return 304
    if match is None and unmodified is False:
        return 412
    if match is False:
        return 412
    return 304 if none_match is False else 200


def conditions():
    states = (None, True, False)
    for number, given in enumerate(itertools.product(states, repeat=4)):
        match, unmodified, none_match, modified = given
        headers = tuple((name, value) for name, value in (
            ('If-Match', MATCH[match]),
            ('If-Unmodified-Since', UNMODIFIED[unmodified]),
            ('If-None-Match', NONE_MATCH[none_match]),
            ('If-Modified-Since', MODIFIED[modified])) if value)
        if not headers:
            continue
        status, failed = _by_rfc(*given)
        aws = None
        if status != _by_rgw16(*given):
            aws = Aws(status, 'RGW 16 answers 304 by If-Modified-Since before '
                      'it looks at what must fail', 'PreconditionFailed')
        name = ''.join({None: '-', True: 't', False: 'f'}[g] for g in given)
        yield Case(f'cond-{name}', headers=headers, aws=aws, meta='rich',
                   condition=failed,
                   method='HEAD' if number % 5 == 2 else 'GET')

    def row(name, *headers, status=None, why='', **more):
        aws = status and Aws(status, why, 'PreconditionFailed')
        return Case(f'cond-{name}', headers=headers, aws=aws, **more)

    lists = 'RFC 9110 13.1: "*", lists and weak tags, unknown to RGW 16'
    dates = 'a date that cannot be read is ignored; RGW 16 answers 400'
    yield row('match-bare', ('If-Match', '{bare}'))
    yield row('none-match-bare', ('If-None-Match', '{bare}'))
    yield row('match-star', ('If-Match', '*'), status=200, why=lists)
    yield row('none-match-star', ('If-None-Match', '*'), status=304,
              why=lists)
    yield row('match-list', ('If-Match', '"a", {etag}, "b"'), status=200,
              why=lists)
    yield row('match-list-without', ('If-Match', '"a", "b"'))
    yield row('none-match-list', ('If-None-Match', '"a",{etag}'), status=304,
              why=lists)
    yield row('none-match-list-without', ('If-None-Match', '"a", "b"'))
    yield row('match-weak', ('If-Match', 'W/{etag}'), status=412, why=lists)
    yield row('none-match-weak', ('If-None-Match', 'W/{etag}'), status=304,
              why=lists)
    yield row('match-comma-in-tag', ('If-Match', '"a,{bare}"'))
    yield row('match-other-case', ('If-Match', '{upper}'))
    yield row('match-empty', ('If-Match', ''), status=200,
              why='an empty field counts as absent')
    yield row('none-match-empty', ('If-None-Match', ''), status=200,
              why='an empty field counts as absent')
    yield row('modified-equal', ('If-Modified-Since', '{modified}'))
    yield row('unmodified-equal', ('If-Unmodified-Since', '{modified}'))
    yield row('modified-future', ('If-Modified-Since', '{future}'))
    yield row('unmodified-future', ('If-Unmodified-Since', '{future}'))
    yield row('modified-rfc850', ('If-Modified-Since', '{rfc850}'))
    yield row('modified-asctime', ('If-Modified-Since', '{asctime}'))
    yield row('unmodified-1970', ('If-Unmodified-Since',
                                  'Thu, 01 Jan 1970 00:00:00 GMT'))
    for name in ('If-Modified-Since', 'If-Unmodified-Since'):
        for number, text in enumerate(('yesterday', '1700000000', '',
                                       'Sat, 31 Feb 2026 00:00:00 GMT')):
            yield row(f'{name}-unreadable-{number}', (name, text),
                      status=200, why=dates)

    # conditions come before the range
    part = ('Range', 'bytes=1-5')
    yield row('range-match', part, ('If-Match', '{etag}'))
    yield row('range-match-fails', part, ('If-Match', '"no"'))
    yield row('range-none-match-fails', part, ('If-None-Match', '{etag}'))
    yield row('range-none-match', part, ('If-None-Match', '"no"'))
    yield row('range-beyond-none-match-fails', ('Range', 'bytes=100-'),
              ('If-None-Match', '{etag}'), status=304,
              why='RFC 9110 13.2.2: a condition comes before the range')
    yield row('range-beyond-match-fails', ('Range', 'bytes=100-'),
              ('If-Match', '"no"'), status=412,
              why='RFC 9110 13.2.2: a condition comes before the range')
    yield row('empty-none-match', ('If-None-Match', '{etag}'), size='empty')
    yield row('large-none-match', ('If-None-Match', '{etag}'), size='1m+1')
    yield row('large-match-fails', ('If-Match', '"no"'), size='1m+1')
    yield row('multipart-none-match', ('If-None-Match', '{etag}'),
              size='multipart')

    # of what is not there only that can be said
    for name, value in (('If-Match', '*'), ('If-Match', '"a"'),
                        ('If-None-Match', '*'), ('If-None-Match', '"a"'),
                        ('If-Modified-Since', '{after}'),
                        ('If-Unmodified-Since', '{before}')):
        yield Case(f'cond-missing-{name}-{value}', size='', path='/nothing',
                   headers=((name, value),), bucket=f'no-{name}{value[:2]}')


# --- versions, parts, overrides, what is missing -----------------------------

def versions():
    # the laboratory's 'versioned' bucket: see Lab.versions in test_parity.py
    for name, query in (('current', ''), ('first', 'versionId={v1}'),
                        ('second', 'versionId={v2}'),
                        ('unknown', 'versionId=' + 'a' * 32),
                        ('odd', 'versionId=%20%2F%3C')):
        for method in ('GET', 'HEAD'):
            yield Case(f'version-{name}-{method}', method, size='',
                       query=query, bucket='versioned')
    for name, query in (('gone', ''), ('before-it', 'versionId={v1}'),
                        ('marker', 'versionId={marker}')):
        yield Case(f'version-deleted-{name}', size='',
                   query=query, bucket='deleted')
    yield Case('version-null', query='versionId=null')
    yield Case('version-null-of-versioned', size='',
               query='versionId=null', bucket='versioned')
    yield Case('version-range', size='',
               query='versionId={v1}', bucket='versioned',
               headers=(('Range', 'bytes=1-2'),))
    yield Case('version-condition', size='',
               query='versionId={v2}', bucket='versioned',
               headers=(('If-None-Match', '{etag}'),))
    yield Case('version-id-empty', query='versionId=', way='refused',
               aws=Aws(400, 'AWS wants an id', 'InvalidArgument'))


def parts():
    for number in (1, 2, 3):
        yield Case(f'part-{number}', size='multipart' if number == 2 else
                   'hundred', query=f'partNumber={number}', way='passed')
    yield Case('part-head', method='HEAD', query='partNumber=1', way='passed')
    bad = 'AWS: 1 to 10000; RGW 16 does not look at it'
    for text in ('0', '10001', '-1', 'a', '1.5', '', '99999999999999999999'):
        yield Case(f'part-bad-{text}', query=f'partNumber={text}',
                   way='refused', aws=Aws(400, bad, 'InvalidArgument'))
    yield Case('part-and-range', query='partNumber=1', way='refused',
               headers=(('Range', 'bytes=0-1'),),
               aws=Aws(400, 'AWS: either of them', 'InvalidRequest'))


OVERRIDES = (('response-cache-control', 'no-cache, max-age=0'),
             ('response-content-disposition', 'attachment; filename="ü b"'),
             ('response-content-encoding', 'br'),
             ('response-content-language', 'fr'),
             ('response-content-type', 'text/html; charset="utf-8"'),
             ('response-expires', 'Thu, 01 Dec 1994 16:00:00 GMT'))


def overrides():
    every = '&'.join(f'{n}={quote(v, safe="")}' for n, v in OVERRIDES)
    for name, value in OVERRIDES:
        query = f'{name}={quote(value, safe="")}'
        yield Case(f'{name}', query=query)
        yield Case(f'{name}-over-stored', query=query, meta='rich',
                   method='HEAD' if 'type' in name else 'GET')
    yield Case('response-all', query=every, meta='rich')
    yield Case('response-all-head', 'HEAD', query=every, meta='rich')
    yield Case('response-all-range', query=every, meta='rich',
               headers=(('Range', 'bytes=5-9'),))
    yield Case('response-all-large', query=every, size='1m+1')
    yield Case('response-all-of-missing', query=every, size='',
               path='/nothing', bucket='no-response')
    yield Case('response-all-not-modified', query=every, meta='rich',
               headers=(('If-None-Match', '{etag}'),))
    yield Case('response-all-out-of-range', query=every, meta='rich',
               headers=(('Range', 'bytes=100-'),))
    anonymous = ('AWS: "Request specific response headers cannot be used for '
                 'anonymous GET requests."; RGW 16 sends two status lines')
    for name, value in OVERRIDES:
        yield Case(f'{name}-anonymous', query=f'{name}={quote(value)}',
                   is_signed=False, way='refused',
                   aws=Aws(400, anonymous, 'InvalidRequest'))
    for text in ('a%0d%0ab', 'a%0ab', 'a%00b', 'a%01b', 'a%7fb'):
        yield Case(f'response-control-{text}', way='refused',
                   query=f'response-content-type={text}',
                   aws=Aws(400, 'no line of our answer is a client\'s; RGW 16 '
                           'sends two status lines', 'InvalidArgument'))


def missing():
    yield Case('missing-key', size='', path='/nothing', bucket='missing')
    yield Case('missing-key-head', 'HEAD', size='', path='/nothing',
               bucket='missing-head')
    yield Case('missing-key-range', size='', path='/nothing',
               bucket='missing-range', headers=(('Range', 'bytes=0-1'),))
    yield Case('missing-key-suffix', size='', path='/nothing',
               bucket='missing-suffix', headers=(('Range', 'bytes=-1'),))
    yield Case('missing-key-odd', size='', path='/%3C%26%27%22a%0D%0A',
               bucket='missing')
    yield Case('missing-bucket', size='', path='/key', bucket='!no-such')
    yield Case('missing-bucket-head', 'HEAD', size='', path='/key',
               bucket='!no-such-2')
    yield Case('missing-bucket-list', size='', path='', bucket='!no-such-3',
               way='passed')
    yield Case('missing-bucket-list-head', 'HEAD', size='', path='',
               bucket='!no-such-4', way='passed')
    mode = (('x-amz-checksum-mode', 'ENABLED'),)
    yield Case('checksum-mode', headers=mode)
    yield Case('checksum-mode-head', 'HEAD', headers=mode)
    yield Case('checksum-mode-range', headers=mode
               + (('Range', 'bytes=0-9'),))
    yield Case('checksum-mode-large', size='1m+1', headers=mode)
    yield Case('checksum-mode-query', query='x-amz-checksum-mode=ENABLED')
    yield Case('x-id', query='x-id=GetObject')


# --- what the cache has no part in -------------------------------------------

def passed():
    # the laboratory's 'listed' bucket holds LISTED
    for number, query in enumerate((
            '', 'prefix=a%2F', 'delimiter=%2F', 'prefix=a%2F&delimiter=%2F',
            'max-keys=2', 'max-keys=0', 'marker=a%2F1', 'max-keys=2&marker=b',
            'encoding-type=url', 'prefix=none', 'delimiter=b',
            'list-type=2', 'list-type=2&max-keys=3', 'list-type=2&prefix=a%2F',
            'list-type=2&delimiter=%2F', 'list-type=2&start-after=a%2F2',
            'list-type=2&fetch-owner=true', 'list-type=2&encoding-type=url',
            'list-type=2&prefix=%C3%BC', 'list-type=2&prefix=a+b',
            'list-type=2&prefix=a%20b', 'list-type=2&prefix=a%2Bb',
            'list-type=2&delimiter=%2F&max-keys=1', 'max-keys=abc',
            'versions', 'versions&prefix=a')):
        yield Case(f'list-{number}', size='', path='', bucket='listed',
                   query=query, way='passed')
    for query in ('acl', 'location', 'versioning', 'uploads', 'cors',
                  'policy', 'lifecycle', 'tagging', 'website', 'logging',
                  'requestPayment', 'notification', 'encryption',
                  'publicAccessBlock', 'object-lock', 'replication',
                  'policyStatus'):
        yield Case(f'bucket-{query}', size='', path='', bucket='listed',
                   query=query, way='passed')
    for query in ('acl', 'acl=', 'acl=x', 'tagging', 'torrent', 'legal-hold',
                  'retention', 'uploadId=none', 'attributes', 'unknown=1',
                  'ACL', 'versionid=1', 'a=b&c', 'response-x=y'):
        yield Case(f'object-{query}', query=query, way='passed')
    for query in ('acl', 'tagging', 'unknown'):
        yield Case(f'object-head-{query}', 'HEAD', query=query, way='passed')
    yield Case('object-acl-missing', size='', path='/nothing', query='acl',
               bucket='no-acl', way='passed')
    yield Case('bucket-head', 'HEAD', size='', path='', bucket='listed',
               way='passed')
    # HEAD of a bucket's sub-resource: see test_semantics.py,
    # test_a_head_that_may_bring_a_body_keeps_no_connection
    yield Case('bucket-slash', size='', path='/', bucket='listed',
               way='passed')

    # the laboratory's 'cors' bucket allows http://good
    for origin in ('http://good', 'http://bad'):
        asked = (('Origin', origin),)
        yield Case(f'cors-get-{origin}', headers=asked, bucket='cors',
                   way='passed')
        yield Case(f'cors-head-{origin}', 'HEAD', headers=asked,
                   bucket='cors', way='passed')
        yield Case(f'cors-range-{origin}', bucket='cors', way='passed',
                   headers=asked + (('Range', 'bytes=1-2'),))
        for method in ('GET', 'PUT'):
            yield Case(f'cors-preflight-{method}-{origin}', 'OPTIONS',
                       bucket='cors', way='passed', is_signed=False,
                       headers=asked
                       + (('Access-Control-Request-Method', method),))
    yield Case('cors-preflight-headers', 'OPTIONS', bucket='cors',
               way='passed', is_signed=False,
               headers=(('Origin', 'http://good'),
                        ('Access-Control-Request-Method', 'GET'),
                        ('Access-Control-Request-Headers', 'x-a, range')))
    yield Case('cors-preflight-bare', 'OPTIONS', bucket='cors', way='passed')
    for name in ('x-amz-request-payer', 'x-amz-expected-bucket-owner',
                 'x-amz-server-side-encryption'):
        yield Case(f'header-{name}', headers=((name, 'requester'),),
                   way='passed')


LISTED = ['a/1', 'a/2', 'a/b/3', 'a b', 'a+b', 'b', 'c/', 'c/d', 'ü', "q'q",
          '<&>', 'z']


def every():
    """All of them; the names are theirs alone."""
    found = [case for family in (wholes, keys, ranges, conditions, versions,
                                 parts, overrides, missing, passed)
             for case in family()]
    assert len({case.name for case in found}) == len(found)
    return found
