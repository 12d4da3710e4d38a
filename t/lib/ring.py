# SPDX-License-Identifier: Apache-2.0
"""Several nodes of a ring, each on a machine of its own (lib.netns), before
one real origin, which they reach through a relay that writes down what it is
asked."""

import collections
import http.client
import os
import re
import signal
import threading
import time

from lib import netns, process, wait
from lib import nginx as nginx_lib
from lib.cluster import SECRET, Cluster

PORTS = {'': 80, 'status': 81, 'peers': 9100}
RELAY_PORT = 80

Asked = collections.namedtuple('Asked', 'who method uri span status bytes')

# One worker: what it has written down is in the order in which it ended.
RELAY_CONF = '''\
user root;
daemon off;
worker_processes 1;
error_log @dir@/error.log info;
pid @dir@/nginx.pid;
events {
    worker_connections 4096;
}
http {
    log_format asked '$remote_addr $request_method $request_uri '
                     '"$http_range" $status $body_bytes_sent';
    access_log @dir@/asked.log asked;
    client_body_temp_path @dir@/client_body;
    proxy_temp_path @dir@/proxy;
    fastcgi_temp_path @dir@/fastcgi;
    uwsgi_temp_path @dir@/uwsgi;
    scgi_temp_path @dir@/scgi;
    keepalive_requests 1000000;
    upstream origin {
        server @origin@;
        keepalive 64;
        keepalive_requests 1000000;
    }
    server {
        listen @address@ backlog=1024;
        location / {
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
            proxy_pass_header Server;
            proxy_pass_header Date;
            proxy_buffering off;
            proxy_next_upstream off;
        }
    }
    server {
        listen 127.0.0.1:@port@;
        access_log off;
        location / { stub_status; }
    }
}
'''


class Relay(nginx_lib.Nginx):
    """The only way from the machines of a Net to the origin: it listens at the
    hub (by a socket that was made there), but runs outside."""

    def __init__(self, folder, net, origin):
        super().__init__(folder, conf=RELAY_CONF, workers=1, status=False,
                         with_module=False)
        self.net = net
        self.pieces.update(
            origin=re.sub('^http://', '', origin.url),
            address=f'{net.address}:{RELAY_PORT}')
        self.url_inside = f'http://{net.address}'
        self._socket = net.hub.listen((net.address, RELAY_PORT))

    def _spawn(self, out):
        fd = self._socket.fileno()
        return process.start(self._args(), stdout=out, stderr=out,
                             env=dict(self.env, NGINX=f'{fd};'),
                             pass_fds=(fd,))

    def hold(self, pid):
        """A worker stands still: what it has been asked it answers later."""
        os.kill(pid, signal.SIGSTOP)

    def go_on(self, pid):
        os.kill(pid, signal.SIGCONT)

    def close(self, check=True):
        super().close(check)
        self._socket.close()

    def busy(self):
        """Requests that have come and are not yet answered in full."""
        text = self.request().body.decode()
        return int(re.search(r'Writing: (\d+)', text)[1]) - 1

    def asked(self):
        """All that the origin was asked, as soon as it is at rest."""
        wait.until(lambda: self.busy() == 0, 'the origin is asked no more')
        found = []
        with open(f'{self.dir}/asked.log', encoding='ascii') as f:
            for line in f:
                who, method, uri, span, status, size = line.split()
                found.append(Asked(who, method, uri, span.strip('"'),
                                   int(status), int(size)))
        return found


class Node(nginx_lib.Nginx):
    """An nginx on a machine of a Net; clients are at the hub. `sent`: how many
    requests they have sent; `longest`: what took longest of its answers, in
    seconds."""

    def __init__(self, folder, net, number, **more):
        self.net, self.machine = net, net.nodes[number]
        self.sent, self.longest = 0, 0.0
        self._lock = threading.Lock()
        super().__init__(folder, conf=nginx_lib.CONF.replace(
            '127.0.0.1:', f'{self.machine.address}:'), **more)
        self.pieces['status'] = nginx_lib.STATUS.replace(
            '127.0.0.1:', f'{self.machine.address}:').replace(
                'location =', 'location = /basic { stub_status; }\n'
                '        location =', 1)

    def port(self, name=''):
        return PORTS[name]

    def url(self, path='', name=''):
        return f'http://{self.machine.address}:{self.port(name)}{path}'

    def _spawn(self, out):
        with self.machine.space.inside():
            return super()._spawn(out)

    def connect(self, name='', timeout_s=30):
        return self.net.hub.connect(
            (self.machine.address, self.port(name)), timeout_s)

    def request(self, method='GET', target='/', headers=None, body=None,
                name='', timeout_s=30):
        began = time.monotonic()
        conn = http.client.HTTPConnection(self.machine.address,
                                          self.port(name), timeout=timeout_s)
        try:
            conn.sock = self.connect(name, timeout_s)
            conn.request(method, target, body, dict(headers or {}))
            with self._lock:
                self.sent += not name
            answer = conn.getresponse()
            answer.body = answer.read()
            return answer
        finally:
            conn.close()
            if not name:
                with self._lock:
                    self.longest = max(self.longest, time.monotonic() - began)

    def busy(self):
        """Requests and links that are being served."""
        text = self.request(target='/basic', name='status').body.decode()
        return int(re.search(r'Writing: (\d+)', text)[1]) - 1


class Ring(Cluster):
    """nodes: how many, or [{'weight': 2, 'zone': 'r1', ...}]; `block` is added
    to every s3_cache_peers, `location` to the location that reads through the
    cache; stores: as in make_gateway. No `self`: each knows its address.
    redis: a Redis by which they find each other; they reach it by a socket of
    the file system, since no network leads to it."""

    # pylint: disable-next=super-init-not-called
    def __init__(self, make_nginx, folder, origin, nodes=3, zone=None,
                 stores=(), block='', location='', valid='200 206 1h',
                 http='', redis=None, **more):
        if isinstance(nodes, int):
            nodes = [{} for _ in range(nodes)]
        self.net = netns.Net(len(nodes))
        self.nodes, self.taps, self.ports = [], [], []
        self.relay, self._keys, self.lies = None, 0, False
        try:
            self.relay = Relay(f'{folder}/relay', self.net, origin).start()
            self.names = [f'node{i}' for i in range(len(nodes))]
            lines = ''.join(
                f'    node {name} {machine.address}:{PORTS["peers"]} '
                + ' '.join(f'{k}={v}' for k, v in node.items()) + ';\n'
                for name, machine, node in zip(self.names, self.net.nodes,
                                               nodes))
            keys = ((origin.access_key, origin.secret_key)
                    if hasattr(origin, 'access_key') else ())
            for i, machine in enumerate(self.net.nodes):
                block_of_it, leases = lines, ''
                if redis:
                    words = ' '.join(f'{k}={v}' for k, v in nodes[i].items())
                    block_of_it = (
                        f'    member {machine.address}:{PORTS["peers"]} '
                        f'{words};\n    self {self.names[i]};\n')
                    leases = (f's3_cache_redis hot {{ server unix:{redis.path};'
                              ' lease 2s; }\n')
                self.nodes.append(make_nginx(
                    Node, net=self.net, number=i,
                    http=nginx_lib.s3_zone(**(zone or {}))
                    + ''.join(nginx_lib.s3_store(**s) for s in stores)
                    + leases
                    + f's3_cache_peers hot {{\n{block_of_it}'
                      f'    secret "{SECRET}";\n{block}}}\n'
                    + f'server {{ listen {machine.address}:{PORTS["peers"]}; '
                      f'location / {{ s3_cache_peer_endpoint hot; }} }}\n'
                    + http,
                    server=nginx_lib.s3_location(
                        self.relay.url_inside, *keys, valid=valid,
                        more='add_header X-Tier $s3_cache_tier always;'
                             + location),
                    **more))
        except BaseException:
            self.close()
            raise

    # --- what the origin was asked ------------------------------------------

    def reads(self, prefix=''):
        """GETs of objects whose uri begins so."""
        return [a for a in self.relay.asked()
                if a.method == 'GET' and a.uri.startswith(prefix)]

    def fetched(self, target, size, block):
        """The numbers of the blocks of an object that the origin was asked
        for, in order, as often as it was. An object that nobody knows is asked
        for without a range, and left after the first block."""
        found = []
        for a in self.reads(target):
            if a.uri != target:
                continue
            assert a.status in (200, 206), a
            number = 0
            if a.span != '-':
                number = int(re.match(r'bytes=(\d+)-', a.span)[1]) // block
                last = min(number * block + block, size) - 1
                assert a.span == f'bytes={number * block}-{last}', a
            found.append(number)
        return sorted(found)

    def check_once(self, bodies, block, all_of_it=True):
        """Each block of these objects ({target: body}) has been asked for
        once, by whichever node; without `all_of_it` at most once."""
        for target, body in bodies.items():
            found = self.fetched(target, len(body), block)
            every = list(range(max(1, -(-len(body) // block))))
            assert found == (every if all_of_it else sorted(set(found))), (
                target, found)

    def close(self):
        """The nodes are make_nginx's."""
        if self.relay:
            self.relay.close()
        self.net.close()
