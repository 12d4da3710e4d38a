# SPDX-License-Identifier: Apache-2.0
"""What lies in the scripted origin, and what S3 says to a read of it.

Pure: a request and an object in, status, headers and a slice of the body out.
Expectations are those of AWS (ranges, order of conditions, part numbers).
"""

import base64
import binascii
import dataclasses
import email.utils
import hashlib
import random
import re
import time

OVERRIDES = {f'response-{name.lower()}': name for name in (
    'Cache-Control', 'Content-Disposition', 'Content-Encoding',
    'Content-Language', 'Content-Type', 'Expires')}


def pattern(size, seed=0):
    """Bytes that are the same for the same seed."""
    return random.Random(seed).randbytes(size)


@dataclasses.dataclass
class Object:
    """`part_sizes` makes it a multipart object."""

    body: bytes = b''
    headers: dict = dataclasses.field(default_factory=dict)
    etag: str = ''
    last_modified: int = 0
    version_id: str = ''
    part_sizes: tuple = ()
    delete_marker: bool = False

    def __post_init__(self):
        if not self.etag:
            if self.part_sizes:
                at, sums = 0, b''
                for size in self.part_sizes:
                    sums += hashlib.md5(self.body[at:at + size]).digest()
                    at += size
                self.etag = (f'"{hashlib.md5(sums).hexdigest()}'
                             f'-{len(self.part_sizes)}"')
            else:
                self.etag = f'"{hashlib.md5(self.body).hexdigest()}"'
        if not self.last_modified:
            self.last_modified = int(time.time())

    @property
    def date(self):
        return email.utils.formatdate(self.last_modified, usegmt=True)

    def checksum(self):
        return base64.b64encode(
            binascii.crc32(self.body).to_bytes(4, 'big')).decode()


class S3Error(Exception):
    def __init__(self, status, code, message='', headers=(), **more):
        super().__init__(code)
        self.status, self.code, self.message = status, code, message
        self.headers, self.more = list(headers), more


@dataclasses.dataclass
class Reply:
    status: int
    headers: list
    body: bytes = b''           # what a GET would send


def parse_range(text, size):
    """(first, last), None for "the whole", or S3Error 416."""
    match = re.fullmatch(r'bytes=(\d*)-(\d*)', text.strip())
    if not match or match.group(0) == 'bytes=-':
        return None
    first, last = match.groups()
    if not first:
        if size == 0 and int(last) > 0:
            return None
        first, last = max(0, size - int(last)), size - 1
    else:
        first = int(first)
        last = int(last) if last else size - 1
        if last < first and match.group(2):
            return None
        last = min(last, size - 1)
    if first >= size:
        raise S3Error(416, 'InvalidRange',
                      'The requested range is not satisfiable',
                      [('Content-Range', f'bytes */{size}')],
                      RangeRequested=text, ActualObjectSize=size)
    return first, last


def _matches(condition, etag, weak):
    if condition.strip() == '*':
        return True
    for word in condition.split(','):
        word = word.strip()
        if word.startswith('W/'):
            if not weak:
                continue
            word = word[2:]
        if word.strip('"') == etag.strip('"'):
            return True
    return False


def _date(text):
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError):
        return None


def check_conditions(obj, header, skip_if_match=False):
    """S3Error 412, or True when the answer is 304."""
    def failed(name):
        return S3Error(412, 'PreconditionFailed', 'At least one of the '
                       'pre-conditions you specified did not hold',
                       Condition=name)

    if header('if-match') is not None:
        if not skip_if_match and \
                not _matches(header('if-match'), obj.etag, False):
            raise failed('If-Match')
    elif header('if-unmodified-since') is not None:
        when = _date(header('if-unmodified-since'))
        if when is not None and obj.last_modified > when:
            raise failed('If-Unmodified-Since')
    if header('if-none-match') is not None:
        return _matches(header('if-none-match'), obj.etag, True)
    if header('if-modified-since') is not None:
        when = _date(header('if-modified-since'))
        return when is not None and obj.last_modified <= when
    return False


def read(obj, header, query, ignore_range=False, ignore_if_match=False):
    """The Reply to a GET or HEAD. `header(name)` and the dict `query` give
    the request's words or None."""
    headers = [('Last-Modified', obj.date), ('ETag', obj.etag)]
    if obj.version_id:
        headers.append(('x-amz-version-id', obj.version_id))
    if check_conditions(obj, header, ignore_if_match):
        kept = [(k, v) for k, v in obj.headers.items()
                if k.lower() in ('cache-control', 'expires')]
        return Reply(304, headers + kept)

    headers += [('Accept-Ranges', 'bytes')]
    mine = {k.lower(): (k, v) for k, v in obj.headers.items()}
    mine.setdefault('content-type',
                    ('Content-Type', 'binary/octet-stream'))
    for word, name in OVERRIDES.items():
        if query.get(word) is not None:
            mine[name.lower()] = (name, query[word])
    headers += mine.values()

    size, span = len(obj.body), None
    if query.get('partNumber') is not None:
        if header('range') is not None:
            raise S3Error(400, 'InvalidRequest', 'Cannot specify both Range '
                          'header and partNumber query parameter')
        sizes = obj.part_sizes or (size,)
        number = int(query['partNumber'])
        if not 1 <= number <= len(sizes):
            raise S3Error(416, 'InvalidPartNumber',
                          'The requested partnumber is not satisfiable')
        first = sum(sizes[:number - 1])
        span = (first, first + sizes[number - 1] - 1) if size else None
        if obj.part_sizes:
            headers.append(('x-amz-mp-parts-count', str(len(sizes))))
    elif header('range') is not None and not ignore_range:
        span = parse_range(header('range'), size)
    if span is None:
        if header('x-amz-checksum-mode') == 'ENABLED':
            headers.append(('x-amz-checksum-crc32', obj.checksum()))
        return Reply(200, headers, obj.body)
    first, last = span
    headers.append(('Content-Range', f'bytes {first}-{last}/{size}'))
    return Reply(206, headers, memoryview(obj.body)[first:last + 1])
