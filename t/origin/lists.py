# SPDX-License-Identifier: Apache-2.0
"""Pages of ListObjectsV2."""

import time
import urllib.parse
from xml.sax.saxutils import escape

ISO_DATE = '%Y-%m-%dT%H:%M:%S.000Z'


def page(bucket, rows, query):
    """The document that answers `query`, of (key, object) in their order."""
    prefix = query.get('prefix', '')
    limit = int(query.get('max-keys', '1000'))
    after = query.get('continuation-token') or query.get('start-after') or ''
    coded = query.get('encoding-type') == 'url'

    def name(text):
        return escape(urllib.parse.quote(text, '/') if coded else text)

    rows = [row for row in rows
            if row[0].startswith(prefix) and row[0] > after]
    token = ''
    if len(rows) > limit:
        token = ('<NextContinuationToken>'
                 f'{escape(rows[limit - 1][0])}</NextContinuationToken>')
    shown = rows[:limit]
    text = ''.join(
        f'<Contents><Key>{name(key)}</Key><LastModified>'
        f'{time.strftime(ISO_DATE, time.gmtime(o.last_modified))}'
        f'</LastModified><ETag>{escape(o.etag)}</ETag>'
        f'<Size>{len(o.body)}</Size>'
        '<StorageClass>STANDARD</StorageClass></Contents>'
        for key, o in shown)
    return (
        f'<ListBucketResult><Name>{escape(bucket)}</Name>'
        f'<Prefix>{name(prefix)}</Prefix><KeyCount>{len(shown)}'
        f'</KeyCount><MaxKeys>{limit}</MaxKeys>'
        + ('<EncodingType>url</EncodingType>' if coded else '')
        + f'<IsTruncated>{"true" if token else "false"}</IsTruncated>'
        f'{token}{text}</ListBucketResult>')
