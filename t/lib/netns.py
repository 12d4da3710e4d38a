# SPDX-License-Identifier: Apache-2.0
"""Machines on one machine: network namespaces with addresses of their own,
joined by a bridge, with links that can be cut, slowed and made to lose.

    with Net(3) as net:
        with net.nodes[1].space.inside():
            ...                   # what is started here is on that machine
        net.cut(1)
        net.heal(1)

All of it, the bridge too, lies in namespaces that have no name: they live by
descriptors of this process and by what runs in them, so the kernel takes them
away, however this process ends, and what runs side by side may have the same
addresses. A namespace leads nowhere but to the others of its Net: who is to
reach the outside needs a socket that was made inside (Space.listen).
"""

import contextlib
import ctypes
import json
import os
import shutil
import socket
import subprocess

from lib import wait

CLONE_NEWNET = 0x40000000
STEP_S = 20
_libc = ctypes.CDLL(None, use_errno=True)
_PORT = {'disabled': '0', 'forwarding': '3'}     # of a bridge


class Unavailable(RuntimeError):
    """This machine, or who runs this, cannot have namespaces."""


def _check(answer, what):
    if answer != 0:
        number = ctypes.get_errno()
        raise OSError(number, f'{what}: {os.strerror(number)}')


def _here():
    """The namespace of this thread."""
    return os.open('/proc/thread-self/ns/net', os.O_RDONLY | os.O_CLOEXEC)


class Space:
    """One network namespace."""

    def __init__(self):
        before = _here()
        try:
            _check(_libc.unshare(CLONE_NEWNET), 'unshare')
            try:
                self.fd = _here()
            finally:
                _check(_libc.setns(before, CLONE_NEWNET), 'setns')
        finally:
            os.close(before)

    @property
    def path(self):
        """What `nsenter --net=` and `ip ... netns` understand."""
        return f'/proc/{os.getpid()}/fd/{self.fd}'

    @contextlib.contextmanager
    def inside(self):
        """This thread, no other, and what it starts are in the namespace. A
        socket or child stays where it was made."""
        before = _here()
        try:
            _check(_libc.setns(self.fd, CLONE_NEWNET), 'setns')
            try:
                yield
            finally:
                _check(_libc.setns(before, CLONE_NEWNET), 'setns')
        finally:
            os.close(before)

    def run(self, *args, stdin=''):
        """A command in the namespace: what it says."""
        with self.inside():
            done = subprocess.run(args, input=stdin, capture_output=True,
                                  text=True, timeout=STEP_S, check=False)
        if done.returncode:
            raise OSError(f'{" ".join(args)}: {done.stderr or done.stdout}')
        return done.stdout

    def connect(self, address, timeout_s=20):
        with self.inside():
            sock = socket.socket()
        sock.settimeout(timeout_s)
        try:
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def listen(self, address, backlog=1024):
        """A listening socket that anybody may use whose it becomes, wherever
        that one is."""
        with self.inside():
            return socket.create_server(address, backlog=backlog)

    def close(self):
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


class Machine:
    """A namespace at the end of a link; `port` is the bridge's end of it."""

    def __init__(self, space, address, port):
        self.space, self.address, self.port = space, address, port


class Net:
    """.nodes: machines with the addresses 10.77.0.1, .2...; .hub: where the
    bridge is, and who is everybody's neighbour, as 10.77.0.254."""

    address = '10.77.0.254'

    def __init__(self, nodes=3):
        for name in ('ip', 'tc', 'bridge'):
            if not shutil.which(name):
                raise Unavailable(f'there is no {name} (iproute2)')
        self.hub, self.nodes = None, []
        try:
            try:
                self.hub = Space()
            except OSError as e:
                raise Unavailable(f'no network namespaces: {e}') from e
            self._build(nodes)
        except BaseException:
            self.close()
            raise

    def _build(self, count):
        try:
            self.hub.run('ip', '-batch', '-', stdin='link set lo up\n'
                         'link add br0 type bridge\n'
                         f'addr add {self.address}/24 dev br0\n'
                         'link set br0 up\n')
        except OSError as e:
            raise Unavailable(f'no bridge: {e}') from e
        for i in range(count):
            node = Machine(Space(), f'10.77.0.{i + 1}', f'node{i}')
            self.nodes.append(node)
            self.hub.run('ip', '-batch', '-', stdin=
                         f'link add {node.port} type veth peer name eth0 '
                         f'netns {node.space.path}\n'
                         f'link set {node.port} master br0 up\n')
            node.space.run('ip', '-batch', '-', stdin='link set lo up\n'
                           f'addr add {node.address}/24 dev eth0\n'
                           'link set eth0 up\n')

    # --- links that fail --------------------------------------------------

    def cut(self, node):
        """What is sent either way is gone, and nobody is told."""
        self._state(node, 'disabled')

    def unplug(self, node):
        """As cut(), but both ends see that there is no link."""
        self.hub.run('ip', 'link', 'set', self.nodes[node].port, 'down')

    def heal(self, node):
        """After cut() or unplug(). It takes the kernel up to a second to see
        a link that has come back."""
        self.hub.run('ip', 'link', 'set', self.nodes[node].port, 'up')

        def forwards():
            with contextlib.suppress(OSError):     # Network is down
                self._state(node, 'forwarding')
                return True

        wait.until(forwards, f'a link of node {node}')

    def part(self, nodes):
        """These do not reach each other any more, nor are told so; the hub and
        the other nodes do reach them."""
        self._isolate(nodes, 'on')

    def join(self, nodes):
        """After part()."""
        self._isolate(nodes, 'off')

    def _isolate(self, nodes, state):
        for node in nodes:
            self.hub.run('bridge', 'link', 'set', 'dev', self.nodes[node].port,
                         'isolated', state)

    def _state(self, node, state):
        self.hub.run('bridge', 'link', 'set', 'dev', self.nodes[node].port,
                     'state', _PORT[state])

    def _ends(self, node):
        node = self.nodes[node]
        return (self.hub, node.port), (node.space, 'eth0')

    def _shape(self, node, *words):
        for space, device in self._ends(node):
            space.run('tc', 'qdisc', 'replace', 'dev', device, 'root', *words)

    def slow(self, node, rate='20mbit'):
        """No more than that goes through, in each direction; what is too much
        waits."""
        self._shape(node, 'tbf', 'rate', rate, 'burst', '32k', 'limit', '8m')

    def lose(self, node, percent=3, rate='400mbit'):
        """Packets get lost: `percent` of them by chance, or, where the kernel
        has no netem, those of bursts of more than 24 KiB at `rate`."""
        try:
            self._shape(node, 'netem', 'loss', f'{percent}%')
        except OSError:
            self._shape(node, 'tbf', 'rate', rate, 'burst', '8k',
                        'limit', '16k')

    def easy(self, node):
        """After slow() and lose()."""
        for space, device in self._ends(node):
            space.run('tc', 'qdisc', 'del', 'dev', device, 'root')

    def dropped(self, node):
        """Packets that slow() or lose() have not let through."""
        return sum(q.get('drops', 0) for space, device in self._ends(node)
                   for q in json.loads(space.run(
                       'tc', '-s', '-j', 'qdisc', 'show', 'dev', device)))

    # --- the end ----------------------------------------------------------

    def close(self):
        """The last process in a namespace takes it along."""
        for node in self.nodes:
            node.space.close()
        if self.hub:
            self.hub.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
