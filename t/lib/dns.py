# SPDX-License-Identifier: Apache-2.0
"""A name server that knows one answer, which may change while it runs.

    with Dns(['127.0.0.1', '127.0.0.2'], ttl=1) as dns:
        nginx ... resolver 127.0.0.1:{dns.port} ipv6=off;
        dns.addresses = ['127.0.0.3']     # what every name has from now on
        dns.how = 'nxdomain'              # or servfail, drop, answer
        dns.hold()                        # queries wait until release()

Only UDP and A records; other types are answered as empty.
"""

import socket
import struct
import threading

A, NO_ERROR, SERVFAIL, NXDOMAIN = 1, 0, 2, 3
ANSWERS = ('answer', 'nxdomain', 'servfail', 'drop')


class Dns:
    def __init__(self, addresses=('127.0.0.1',), ttl=3600):
        self.addresses, self.ttl = list(addresses), ttl
        self.how = 'answer'
        self.asked = []                   # names of queries for A, ever
        self._go = threading.Event()
        self._go.set()
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(('127.0.0.1', 0))
        self.port = self._sock.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True,
                                        name='dns')

    @property
    def directive(self):
        """For nginx.conf."""
        return f'resolver 127.0.0.1:{self.port} ipv6=off;'

    def hold(self):
        self._go.clear()

    def release(self):
        self._go.set()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.release()
        self._sock.sendto(b'', ('127.0.0.1', self.port))
        self._thread.join(10)
        self._sock.close()

    def _serve(self):
        while True:
            query, peer = self._sock.recvfrom(4096)
            if not query:
                return
            name, end = self._name(query)
            kind, = struct.unpack('>H', query[end:end + 2])
            if kind == A:
                self.asked.append(name)
            self._go.wait()
            reply = self._reply(query, kind, end + 4)
            if reply:
                self._sock.sendto(reply, peer)

    @staticmethod
    def _name(query):
        """(the name in question, where its type stands)"""
        words, at = [], 12
        while query[at]:
            words.append(query[at + 1:at + 1 + query[at]].decode('latin-1'))
            at += query[at] + 1
        return '.'.join(words), at + 1

    def _reply(self, query, kind, end):
        how = self.how
        assert how in ANSWERS, how
        if how == 'drop':
            return None
        code = {'nxdomain': NXDOMAIN, 'servfail': SERVFAIL}.get(how, NO_ERROR)
        found = self.addresses if kind == A and code == NO_ERROR else []
        reply = query[:2] + struct.pack('>HHHHH', 0x8180 | code, 1,
                                        len(found), 0, 0) + query[12:end]
        for address in found:
            reply += struct.pack('>HHHIH', 0xc00c, A, 1, self.ttl, 4)
            reply += socket.inet_aton(address)
        return reply
