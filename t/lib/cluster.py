# SPDX-License-Identifier: Apache-2.0
"""Several nodes on this machine that share a ring, each with its own zone,
workers and endpoint, before one origin."""

import time

from lib import nginx as nginx_lib
from lib import ports, tap, wait

TICK_S = 0.01                 # of the kernel's coarse clock, at most
SECRET = 'a secret of the ring, for tests'


class Cluster:
    """nodes: how many, or [{'weight': 2, 'zone': 'r1', ...}]. `block` is added
    to every s3_cache_peers; other words go to every nginx. With `taps` all that
    a node says to another goes through .taps[of the other]. tls: a function
    that gives (certificate, key, authority) to a name; secret: None without."""

    vouch = True                       # start() waits for that

    def __init__(self, make_nginx, origin, nodes=3, zone=None, block='',
                 location='', valid='200 206 1m', http='', server='',
                 taps=False, tls=None, secret=SECRET, vouch=True, **more):
        if isinstance(nodes, int):
            nodes = [{} for _ in range(nodes)]
        self.names = [f'node{i}' for i in range(len(nodes))]
        self.ports = [ports.reserve() for _ in nodes]
        self.taps = [tap.Tap(port) for port in self.ports] if taps else []
        lines = ''
        for name, port, node in zip(
                self.names, [t.port for t in self.taps] or self.ports, nodes):
            words = ' '.join(f'{k}={v}' for k, v in node.items())
            lines += f'    node {name} 127.0.0.1:{port} {words};\n'
        self.nodes = []
        self._keys = 0
        if not vouch:
            self.vouch = False
        self.lies = False              # a test that makes nodes lie
        for name, port in zip(self.names, self.ports):
            inside, listen, outside = '', '', ''
            if secret:
                inside += f'    secret "{secret}";\n'
            if tls:
                cert, key, authority = tls(name)
                listen = ' ssl'
                outside = (f'ssl_certificate {cert}; '
                           f'ssl_certificate_key {key}; '
                           f'ssl_client_certificate {authority}; '
                           'ssl_verify_client on; ')
                inside += (f'    ssl on;\n    ssl_certificate {cert};\n'
                           f'    ssl_certificate_key {key};\n'
                           f'    ssl_trusted_certificate {authority};\n')
            self.nodes.append(make_nginx(
                http=nginx_lib.s3_zone(**(zone or {}))
                + f's3_cache_peers hot {{\n{lines}    self {name};\n'
                  f'{inside}{block}}}\n'
                + f'server {{ listen 127.0.0.1:{port}{listen}; {outside}'
                  f'location / {{ s3_cache_peer_endpoint hot; }} }}\n' + http,
                server=server + nginx_lib.s3_location(
                    origin.url, valid=valid,
                    more='add_header X-Tier $s3_cache_tier always;'
                         + location),
                **more))

    def start(self):
        for node in self.nodes:
            node.start()
        if not self.vouch:
            return self
        self.wait_vouched()
        return self

    def wait_vouched(self):
        """Until they answer for each other nothing is believed without asking,
        nor what was asked before; and nginx asks by a clock that is late by a
        tick, of which nodes count from each other's questions."""
        wait.until(lambda: all((node.zone()['ring'] or {}).get('vouched')
                               for node in self.nodes), 'all to vouch')
        since = time.monotonic()
        wait.until(lambda: time.monotonic() > since + 2 * TICK_S, 'a tick')

    # --- who has what -----------------------------------------------------

    def stat(self, node, name):
        return self.nodes[node].zone()['peers'][name]

    def owner(self, target):
        """The node that owns an object which is not there yet: it is the one
        that asks nobody. (Absence must not be kept: no `valid 404`.)"""
        for i, node in enumerate(self.nodes):
            before = self.stat(i, 'asked')
            answer = node.request('HEAD', target)
            assert answer.status == 404, answer.status
            if self.stat(i, 'asked') == before:
                return i
        raise AssertionError(f'{target} belongs to nobody')

    def key_of(self, owner, bucket='bkt', prefix='k', head=None):
        """A key, not used before, whose object this node owns.

        head(node, target) asks where not everybody may.
        """
        head = head or (lambda node, target: node.request('HEAD', target))
        while True:
            self._keys += 1
            key = f'{prefix}{self._keys}'
            before = self.stat(owner, 'asked')
            answer = head(self.nodes[owner], f'/{bucket}/{key}')
            assert answer.status == 404, answer.status
            if self.stat(owner, 'asked') == before:
                return key

    def others(self, owner):
        return [node for i, node in enumerate(self.nodes) if i != owner]

    def cold(self):
        """All nodes begin anew, with nothing in memory."""
        for node in self.nodes:
            node.kill_all()
        return self.start()

    def close(self):
        for each in self.taps:
            each.close()
        for port in self.ports:
            ports.release(port)
