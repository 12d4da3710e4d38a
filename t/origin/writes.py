# SPDX-License-Identifier: Apache-2.0
"""Writes of the scripted origin: of one object, copies, uploads of parts, deletes
of many. As far as tests need them."""

import itertools
import re
from xml.sax.saxutils import escape, unescape

from origin import objects
from origin.objects import S3Error

KEPT = ('content-type', 'cache-control', 'content-encoding', 'expires',
        'content-disposition', 'content-language')
QUOTES = {'&quot;': '"', '&apos;': "'"}


def kept_headers(request):
    """What is stored with an object."""
    return {k: v for k, v in request.headers
            if k.lower().startswith('x-amz-meta-') or k.lower() in KEPT}


def _texts(name, text):
    return [unescape(found, QUOTES)
            for found in re.findall(f'<{name}>(.*?)</{name}>', text, re.S)]


class Writes:
    def __init__(self, origin):
        self.origin = origin
        self.uploads = {}              # id: (bucket, key, headers, parts)
        self._ids = itertools.count(1)

    def answer(self, request):
        """The Reply, None if it is none of these."""
        method, query = request.method, request.query
        if method == 'POST' and 'delete' in query:
            return self._delete_many(request)
        if not request.key:
            return None
        if method == 'POST' and 'uploads' in query:
            return self._create(request)
        if method == 'POST' and 'uploadId' in query:
            return self._complete(request)
        if method == 'PUT':
            if 'uploadId' in query:
                return self._part(request)
            if request.header('x-amz-copy-source'):
                return self._copy(request)
            return self._put(request)
        if method == 'DELETE':
            return self._delete(request)
        return None

    def _put(self, request):
        obj = self.origin.put(request.bucket, request.key, request.body,
                              kept_headers(request))
        return objects.Reply(200, [('ETag', obj.etag)])

    def _delete(self, request):
        if 'uploadId' in request.query:
            self._upload(request)
            del self.uploads[request.query['uploadId']]
        else:
            self.origin.delete(request.bucket, request.key)
        return objects.Reply(204, [])

    def _xml(self, name, text):
        return objects.Reply(
            200, [('Content-Type', 'application/xml')],
            f'<?xml version="1.0" encoding="UTF-8"?>\n<{name}>{text}</{name}>'
            .encode())

    def _delete_many(self, request):
        text = ''
        for key in _texts('Key', request.body.decode()):
            self.origin.delete(request.bucket, key)
            text += f'<Deleted><Key>{escape(key)}</Key></Deleted>'
        return self._xml('DeleteResult', text)

    def _copy(self, request):
        source = request.header('x-amz-copy-source').lstrip('/')
        bucket, _, key = source.partition('/')
        found = self.origin.find(bucket, key)
        headers = found.headers
        if request.header('x-amz-metadata-directive') == 'REPLACE':
            headers = kept_headers(request)
        obj = self.origin.put(request.bucket, request.key, found.body, headers)
        return self._xml('CopyObjectResult',
                         f'<ETag>{escape(obj.etag)}</ETag>')

    # --- uploads of parts -----------------------------------------------------

    def _create(self, request):
        name = f'upload{next(self._ids)}'
        self.uploads[name] = (request.bucket, request.key,
                              kept_headers(request), {})
        return self._xml('InitiateMultipartUploadResult',
                         f'<UploadId>{name}</UploadId>')

    def _upload(self, request):
        found = self.uploads.get(request.query['uploadId'])
        if not found or found[:2] != (request.bucket, request.key):
            raise S3Error(404, 'NoSuchUpload')
        return found

    def _part(self, request):
        parts = self._upload(request)[3]
        obj = objects.Object(request.body)
        parts[int(request.query['partNumber'])] = obj
        return objects.Reply(200, [('ETag', obj.etag)])

    def _complete(self, request):
        bucket, key, headers, parts = self._upload(request)
        text = request.body.decode()
        named = list(zip(map(int, _texts('PartNumber', text)),
                         _texts('ETag', text)))
        if not named or any(number not in parts or parts[number].etag != etag
                            for number, etag in named):
            raise S3Error(400, 'InvalidPart')
        bodies = [parts[number].body for number, _ in named]
        obj = self.origin.put(bucket, key, b''.join(bodies), headers,
                              part_sizes=tuple(map(len, bodies)))
        del self.uploads[request.query['uploadId']]
        return self._xml('CompleteMultipartUploadResult',
                         f'<ETag>{escape(obj.etag)}</ETag>')
