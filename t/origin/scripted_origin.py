#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An S3 server for tests: correct by itself, wrong on demand.

    with ScriptedOrigin() as origin:
        origin.put('bucket', 'key', pattern(100_000))
        gate = origin.gate(at=4096)
        rule = origin.on('bucket', 'key', gate=gate)
        ... a client asks ...
        gate.wait_reached()            # the answer stands at byte 4096
        gate.open()
        origin.wait_requests(1)[0].header('range')

A Rule says for which requests it holds (bucket, key, method, from the `nth`
on, for `times` requests) and what is then done; see Rule. All requests are
recorded, see Request. It runs in a thread of its own; every method may be
called from any thread. As a program it is driven over HTTP, see Control.
"""

import argparse
import asyncio
import collections
import email.utils
import itertools
import json
import os
import socket
import struct
import sys
import threading
import time
from urllib.parse import unquote, unquote_to_bytes
from xml.sax.saxutils import escape

if __name__ == '__main__':
    sys.path.insert(0, os.path.dirname(os.path.dirname(
        os.path.abspath(__file__))))

from lib import wait                                     # noqa: E402
from origin import lists, objects, sigv4                 # noqa: E402
from origin.control import Control                       # noqa: E402
from origin.malformed import MALFORMED                   # noqa: E402
from origin.objects import Object, S3Error               # noqa: E402
from origin.rule import PIECE, Gate, Request, Rule       # noqa: E402
from origin.writes import Writes                         # noqa: E402

REASONS = {200: 'OK', 204: 'No Content', 206: 'Partial Content',
           301: 'Moved Permanently', 304: 'Not Modified',
           307: 'Temporary Redirect', 400: 'Bad Request', 403: 'Forbidden',
           404: 'Not Found', 405: 'Method Not Allowed',
           412: 'Precondition Failed', 416: 'Range Not Satisfiable',
           500: 'Internal Server Error', 501: 'Not Implemented',
           503: 'Service Unavailable'}


class _Closed(Exception):
    """This connection is over, as a rule wants it."""


class ScriptedOrigin:
    def __init__(self, host='127.0.0.1', port=0, secrets=None, tls=None,
                 backlog=4096, domain='s3.test'):
        """`secrets` ({access key: secret key}) makes it refuse what is not
        signed rightly; `tls` is an ssl.SSLContext."""
        self.host, self.port, self.domain = host, port, domain
        self.secrets, self._tls = secrets, tls
        self._backlog = backlog
        self._loop = self._thread = self._listener = None
        self._accepting = None
        self._tasks = set()
        self._numbers = itertools.count()
        self._connection_numbers = itertools.count()
        self.buckets = collections.defaultdict(dict)  # [bucket][key]: [Object]
        self.writes = Writes(self)
        self.rules = []
        self.requests = []
        self.accepted = 0              # connections, ever
        self.open = 0                  # connections, now
        self.max_open = 0

    # --- life ----------------------------------------------------------------

    def start(self):
        listener = socket.create_server((self.host, self.port),
                                        backlog=self._backlog)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True,
                                        name='scripted-origin')
        self._thread.start()
        return self

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._accepting = asyncio.Event()
        self._accepting.set()
        try:
            self._loop.run_until_complete(self._accept())
        except asyncio.CancelledError:
            pass
        finally:
            if self._tasks:
                self._loop.run_until_complete(
                    asyncio.wait(self._tasks, timeout=5))
            self._loop.close()

    def stop(self):
        if self._thread is None:
            return

        def cancel():
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
        self._loop.call_soon_threadsafe(cancel)
        self._thread.join(10)
        self._listener.close()
        self._thread = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def url(self):
        return f'http{"s" if self._tls else ""}://{self.host}:{self.port}'

    def call(self, function):
        """Runs a function in the thread of the server, and waits for it."""
        if threading.current_thread() is self._thread:
            return function()
        done = threading.Event()
        result = []

        def run():
            try:
                result.append(function())
            finally:
                done.set()
        self._loop.call_soon_threadsafe(run)
        done.wait(10)
        return result[0] if result else None

    def pause_accept(self):
        """Connections from now on wait in the backlog."""
        self.call(lambda: self._accepting.clear())

    def resume_accept(self):
        self.call(lambda: self._accepting.set())

    def close_connections(self):
        """Closes all that are open, as a server that restarts does."""
        def cancel():
            for task in self._tasks:
                task.cancel()
        self.call(cancel)
        wait.until(lambda: self.open == 0, 'connections closed')

    # --- what lies here and how it is answered -------------------------------

    def bucket(self, name):
        return self.buckets[name]

    def put(self, bucket, key, body=b'', headers=None, **more):
        """Stores an object (a new version if it has a version_id); `more`
        are fields of Object."""
        obj = Object(bytes(body), dict(headers or {}), **more)
        versions = self.buckets[bucket].setdefault(key, [])
        if obj.version_id:
            self.buckets[bucket][key] = [
                v for v in versions
                if v.version_id and v.version_id != obj.version_id] + [obj]
        else:
            self.buckets[bucket][key] = [obj]
        return obj

    def delete(self, bucket, key):
        self.buckets[bucket].pop(key, None)

    def get(self, bucket, key):
        return self.buckets[bucket][key][-1]

    def on(self, bucket=None, key=None, **what):
        """Adds a Rule; of several that hold, the newest is taken."""
        rule = Rule(bucket=bucket, key=key, **what)
        if rule.malformed and rule.malformed not in MALFORMED:
            raise KeyError(rule.malformed)
        self.rules.append(rule)
        return rule

    def off(self, rule=None):
        """Takes away one rule, or all."""
        if rule is None:
            self.rules.clear()
        else:
            self.rules.remove(rule)

    def gate(self, at=None):
        return Gate(self, at)

    def reset(self):
        self.off()
        self.requests.clear()
        self.buckets.clear()

    # --- what was asked ------------------------------------------------------

    def requests_for(self, bucket=None, key=None, method=None):
        return [r for r in list(self.requests)
                if bucket in (None, r.bucket) and key in (None, r.key)
                and method in (None, r.method)]

    def wait_requests(self, count, timeout_s=20, done=False, **which):
        """The requests for (bucket=, key=, method=) as soon as there are at
        least so many of them (that are answered, with `done`)."""
        def enough():
            found = [r for r in self.requests_for(**which)
                     if r.done or not done]
            return found if len(found) >= count else None
        return wait.until(
            enough, lambda: f'{count} requests of {which}: '
            f'{[(r.method, r.target, r.done) for r in self.requests]}',
            timeout_s)

    # --- connections ---------------------------------------------------------

    async def _accept(self):
        loop = asyncio.get_running_loop()
        while True:
            await self._accepting.wait()
            sock, _ = await loop.sock_accept(self._listener)
            if not self._accepting.is_set():
                # It was accepted by the call that waited already: the best
                # that can be done is to leave it alone until then.
                await self._accepting.wait()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.accepted += 1
            task = loop.create_task(self._connection(sock))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connection(self, sock):
        number = next(self._connection_numbers)
        self.open += 1
        self.max_open = max(self.max_open, self.open)
        writer = None
        try:
            # What a socket of a listener accepts is connected already, hence
            # no open_connection() but its parts.
            loop = asyncio.get_running_loop()
            reader = asyncio.StreamReader(limit=1 << 20, loop=loop)
            protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, sock, ssl=self._tls)
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            while True:
                request = await self._read_request(reader, writer, number)
                if request is None:
                    break
                await self._answer(request, writer)
                if request.header('content-length') and any(
                        r.early and r.means(request) for r in self.rules):
                    left = int(request.header('content-length'))
                    while left > 0:
                        left -= len(await reader.readexactly(
                            min(left, PIECE)))
        except (_Closed, ConnectionError, asyncio.IncompleteReadError,
                asyncio.LimitOverrunError, asyncio.CancelledError, OSError):
            pass
        finally:
            self.open -= 1
            if writer is not None:
                writer.close()
            else:
                sock.close()

    async def _read_request(self, reader, writer, connection):
        try:
            head = await reader.readuntil(b'\r\n\r\n')
        except asyncio.IncompleteReadError:
            return None
        came_s = time.monotonic()
        lines = head.decode('latin-1').split('\r\n')
        method, target, _ = lines[0].split(' ', 2)
        headers = []
        for line in lines[1:-2]:
            name, _, value = line.partition(':')
            headers.append((name, value.strip(' \t')))
        request = Request(next(self._numbers), connection, method, target,
                          headers, head, came_s=came_s)
        self._address(request)
        self.requests.append(request)
        rule = Rule()
        for candidate in list(self.rules):
            if candidate.uploads and candidate.means(request):
                rule = candidate
        if rule.early:
            return request
        if ((request.header('expect') or '').lower() == '100-continue'
                and not rule.no_continue):
            writer.write(b'HTTP/1.1 100 Continue\r\n\r\n')
        if (request.header('transfer-encoding') or '').lower() == 'chunked':
            body = b''
            while True:
                size = int((await reader.readline()).split(b';')[0], 16)
                body += (await reader.readexactly(size + 2))[:-2]
                if size == 0:
                    break
            request.body = body
        elif request.header('content-length'):
            await self._read_body(request, rule, reader, writer)
        return request

    async def _read_body(self, request, rule, reader, writer):
        left, pieces = int(request.header('content-length')), []
        while left > 0:
            piece = min(left, PIECE)
            if rule.body_cut_at is not None:
                piece = min(piece, rule.body_cut_at - request.body_bytes)
                if piece == 0:
                    self._close(rule, writer)
            if rule.body_gate:
                await rule.body_gate.passed(request.body_bytes)
                room = rule.body_gate.room(request.body_bytes)
                piece = piece if room is None else min(piece, room)
            pieces.append(await reader.readexactly(piece))
            request.body_bytes += piece
            left -= piece
        request.body = b''.join(pieces)

    def _address(self, request):
        path, _, query = request.target.partition('?')
        host = (request.header('host') or '').split(':')[0]
        path = path.lstrip('/') if not path.startswith('//') else path[1:]
        if host.endswith('.' + self.domain):
            request.bucket, key = host[:-len(self.domain) - 1], path
        else:
            bucket, _, key = path.partition('/')
            request.bucket = unquote(bucket)
        request.key = unquote_to_bytes(key).decode('utf-8', 'surrogateescape')
        request.query = {n.decode('latin-1'): v.decode('utf-8', 'replace')
                         for n, v in sigv4.split_query(query)}

    # --- answers -------------------------------------------------------------

    async def _answer(self, request, writer):
        rule = Rule()
        for candidate in list(self.rules):
            if candidate.holds(request):
                rule = candidate
        if rule.before:
            rule.before(request)
        if rule.drop:
            self._close(rule, writer)
        if rule.hang:
            await asyncio.get_running_loop().create_future()
        if rule.head_delay_s:
            await asyncio.sleep(rule.head_delay_s)
        if rule.gate:
            await rule.gate.passed(-1)

        reply = self._reply(request, rule)
        if rule.reply_delay_s:
            await asyncio.sleep(rule.reply_delay_s)
        if rule.malformed or rule.raw is not None:
            raw = rule.raw
            if rule.malformed:
                raw = MALFORMED[rule.malformed]
                raw = raw.replace(b'{length}', b'%d' % len(reply.body))
                raw = raw.replace(b'{body}', bytes(reply.body))
            writer.write(raw)
            await writer.drain()
            request.done = True
            self._close(rule, writer)
        await self._send(request, rule, reply, writer)

    @staticmethod
    def _close(rule, writer):
        if rule.reset:
            sock = writer.get_extra_info('socket')
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack('ii', 1, 0))
            writer.transport.abort()
        raise _Closed

    def _reply(self, request, rule):
        try:
            self._check_signature(request)
            if rule.error:
                raise S3Error(*rule.error)
            if rule.redirect:
                raise S3Error(307, 'TemporaryRedirect',
                              headers=[('Location', rule.redirect)])
            return self._s3(request, rule)
        except S3Error as e:
            more = ''.join(f'<{k}>{escape(str(v))}</{k}>'
                           for k, v in e.more.items())
            text = ('<?xml version="1.0" encoding="UTF-8"?>\n<Error>'
                    f'<Code>{e.code}</Code><Message>{escape(e.message)}'
                    f'</Message>{more}<RequestId>{request.number:016X}'
                    '</RequestId><HostId>origin</HostId></Error>')
            body = b'' if e.status == 304 else text.encode()
            return objects.Reply(e.status, e.headers + [
                ('Content-Type', 'application/xml')], body)

    def _check_signature(self, request):
        if self.secrets is None:
            return
        try:
            request.signer = sigv4.check(
                request.method, request.target, request.headers,
                request.body, self.secrets)
        except sigv4.Refused as e:
            request.refused = str(e)
            raise S3Error(403, e.code, e.message) from e
        if request.signer is None:
            request.refused = 'anonymous'
            raise S3Error(403, 'AccessDenied', 'Access Denied')

    def _s3(self, request, rule):
        method, query = request.method, request.query
        done = self.writes.answer(request)
        if done:
            return done
        if not request.bucket:
            names = ''.join(f'<Bucket><Name>{escape(n)}</Name></Bucket>'
                            for n in sorted(self.buckets))
            return self._xml('<ListAllMyBucketsResult><Buckets>'
                             f'{names}</Buckets></ListAllMyBucketsResult>')
        if not request.key:
            if method == 'PUT':
                self.buckets[request.bucket]        # made by being named
                return objects.Reply(200, [])
            if request.bucket not in self.buckets:
                raise S3Error(404, 'NoSuchBucket',
                              'The specified bucket does not exist',
                              BucketName=request.bucket)
            return self._list(request)
        if method not in ('GET', 'HEAD'):
            raise S3Error(405, 'MethodNotAllowed')
        obj = rule.object or self.find(request.bucket, request.key,
                                       query.get('versionId'))
        return objects.read(obj, request.header, query, rule.ignore_range,
                            rule.ignore_if_match)

    def find(self, bucket, key, version_id=None):
        """The Object, or S3Error."""
        if bucket not in self.buckets:
            raise S3Error(404, 'NoSuchBucket',
                          'The specified bucket does not exist',
                          BucketName=bucket)
        versions = self.buckets[bucket].get(key)
        if not versions:
            raise S3Error(404, 'NoSuchKey',
                          'The specified key does not exist.',
                          Key=key.encode(
                              'utf-8', 'surrogateescape').decode('latin-1'))
        obj = versions[-1]
        if version_id is not None:
            obj = next((v for v in versions
                        if (v.version_id or 'null') == version_id), None)
            if obj is None:
                raise S3Error(404, 'NoSuchVersion',
                              'The specified version does not exist.')
        if obj.delete_marker:
            marks = [('x-amz-delete-marker', 'true'),
                     ('x-amz-version-id', obj.version_id)]
            if version_id is None:
                raise S3Error(404, 'NoSuchKey', headers=marks)
            raise S3Error(405, 'MethodNotAllowed', headers=marks)
        return obj

    def _list(self, request):
        rows = [(key, versions[-1]) for key, versions
                in sorted(self.buckets[request.bucket].items())]
        return self._xml(lists.page(request.bucket, rows, request.query))

    @staticmethod
    def _xml(text):
        body = ('<?xml version="1.0" encoding="UTF-8"?>\n'
                + text.replace('>', ' xmlns="http://s3.amazonaws.com/doc/'
                               '2006-03-01/">', 1)).encode()
        return objects.Reply(200, [('Content-Type', 'application/xml')], body)

    async def _send(self, request, rule, reply, writer):
        status = request.status = rule.status or reply.status
        body = memoryview(bytes(reply.body) if rule.flip_at is not None
                          else reply.body)
        if rule.flip_at is not None and rule.flip_at < len(body):
            wrong = bytearray(body)
            wrong[rule.flip_at] ^= 1
            body = memoryview(bytes(wrong))
        headers = [('x-amz-request-id', f'{request.number:016X}'),
                   ('Date', email.utils.formatdate(usegmt=True)),
                   ('Server', 'scripted')] + reply.headers
        empty = status in (204, 304)
        if rule.framing == 'length' and not empty:
            headers.append(('Content-Length', str(len(body)
                                                  + rule.length_by)))
        elif rule.framing == 'chunked' and not empty:
            headers.append(('Transfer-Encoding', 'chunked'))
        closing = (rule.close or rule.framing == 'close'
                   or (request.header('connection') or '').lower() == 'close')
        headers.append(('Connection', 'close' if closing else 'keep-alive'))
        for name, value in rule.headers:
            headers = [h for h in headers if h[0].lower() != name.lower()]
            if value is not None:
                headers.append((name, value))
        head = f'HTTP/1.1 {status} {REASONS.get(status, "Unknown")}\r\n'
        head += ''.join(f'{k}: {v}\r\n' for k, v in headers) + '\r\n'
        if rule.interim:
            head = f'HTTP/1.1 {rule.interim} Interim\r\n\r\n' + head
        request.head_s = time.monotonic()
        writer.write(head.encode('utf-8', 'surrogateescape'))
        if not empty and (request.method != 'HEAD' or rule.head_body):
            await self._send_body(request, rule, body, writer)
        await writer.drain()
        request.done = True
        request.done_s = time.monotonic()
        if closing or rule.close_silently:
            self._close(rule, writer)

    async def _send_body(self, request, rule, body, writer):
        at, size = 0, len(body)
        end = size if rule.cut_at is None else min(size, rule.cut_at)
        while at < end:
            piece = min(rule.piece, end - at)
            if rule.rate:
                piece = min(piece, max(1, rule.rate // 50))
            if rule.gate:
                await writer.drain()
                await rule.gate.passed(at)
                room = rule.gate.room(at)
                piece = piece if room is None else min(piece, room)
            part = body[at:at + piece]
            if rule.framing == 'chunked':
                writer.write(b'%x\r\n' % piece + bytes(part) + b'\r\n')
            else:
                writer.write(part)
            await writer.drain()
            at += piece
            request.sent_bytes = at
            if rule.rate:
                await asyncio.sleep(piece / rule.rate)
        if rule.cut_at is not None and rule.cut_at <= size:
            await writer.drain()
            self._close(rule, writer)
        if rule.framing == 'chunked':
            writer.write(b'0\r\n\r\n')
        writer.write(rule.extra)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--host', default='127.0.0.1')
    parser.add_argument('--port', type=int, default=0)
    parser.add_argument('--control-port', type=int, default=0)
    args = parser.parse_args()
    with ScriptedOrigin(args.host, args.port) as origin:
        control = Control(origin, args.control_port).start()
        print(json.dumps({'url': origin.url, 'control':
                          f'http://127.0.0.1:{control.port}'}), flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass


if __name__ == '__main__':
    main()
