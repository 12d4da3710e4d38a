# SPDX-License-Identifier: Apache-2.0
"""What the test_redis*.py files share: a ring whose members come from Redis,
and what its nodes say of it."""

import re

import pytest

from lib import nginx as nginx_lib
from lib import ports, wait

SECRET = 'a secret of the ring, for tests'
LEASE_MS = 1000
SAID = re.compile(r's3_cache_redis "hot": epoch (\d+), members(.*)')


class Ring:
    """Nodes whose members come from a redis-server: a, b, c.."""

    times = 'connect_timeout 500ms; timeout 500ms;'

    def __init__(self, make_nginx):
        self.make_nginx = make_nginx
        self.nodes = {}
        self.ports = {}

    def block(self, at, more='', lease=LEASE_MS):
        return (f's3_cache_redis hot {{\n    {at}\n    lease {lease}ms;\n'
                f'    {self.times}\n    {more}\n}}\n')

    def make(self, name, at, more='', member='', port=None, lease=LEASE_MS,
             peers='', **pieces):
        self.ports[name] = port = port or ports.reserve()
        node = self.make_nginx(
            http=nginx_lib.s3_zone()
            + f's3_cache_peers hot {{\n    member 127.0.0.1:{port} {member};\n'
              f'    self {name};\n    secret "{SECRET}";\n    {peers}\n}}\n'
            + '@redis@'
            + f'server {{ listen 127.0.0.1:{port}; '
              'location / { s3_cache_peer_endpoint hot; } }\n',
            **pieces)
        node.pieces['redis'] = self.block(at, more, lease)
        self.nodes[name] = node
        return node

    def start(self, names, at, more='', **pieces):
        for name in names:
            self.make(name, at, more, **pieces).start()
        return [self.nodes[name] for name in names]

    def close(self):
        for port in self.ports.values():
            ports.release(port)


@pytest.fixture
def ring(make_nginx):
    made = Ring(make_nginx)
    yield made
    made.close()


def server(redis):
    return f'server 127.0.0.1:{redis.port};'


def roster(node):
    """(epoch, {name: state}, what else the line says), as published last."""
    said = SAID.findall(node.log())
    if not said:
        return 0, {}, ''
    epoch, text = said[-1]
    words, _, rest = text.partition(',')
    return int(epoch), dict(w.split('=') for w in words.split()), rest


def agree(nodes, members, timeout_s=20):
    """Waits until all nodes publish these members, with one epoch."""
    if isinstance(members, str):
        members = {name: 'ready' for name in members.split()}

    def all_do():
        said = [roster(node) for node in nodes]
        return (all(m == members for _, m, _ in said)
                and len({epoch for epoch, _, _ in said}) == 1)

    wait.until(all_do, lambda: f'{members}: '
               f'{[roster(node) for node in nodes]}', timeout_s)
    return roster(nodes[0])[0]


def redis_stat(node, *path):
    value = node.zone()['redis']
    for word in path:
        value = value[word]
    return value


def beats_on(node, n=3):
    """Waits for more beats: what is going on has gone on for a while."""
    before = redis_stat(node, 'beats')
    wait.until(lambda: redis_stat(node, 'beats') >= before + n, 'beats')
