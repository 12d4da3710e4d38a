# SPDX-License-Identifier: Apache-2.0
"""The machines that other tests run on (lib.netns)."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from lib import netns, process, wait

PORT = 80


@pytest.fixture
def make_net():
    with contextlib.ExitStack() as stack:
        def make(nodes=2):
            try:
                return stack.enter_context(netns.Net(nodes))
            except netns.Unavailable as e:
                pytest.skip(str(e))

        yield make


def listen(net, node):
    return net.nodes[node].space.listen((net.nodes[node].address, PORT))


def say(net, node, text, timeout_s=5):
    """From the first machine to this one, on a connection of its own."""
    with net.nodes[0].space.connect((net.nodes[node].address, PORT),
                                    timeout_s) as sock:
        sock.sendall(text)


def heard(listener):
    listener.settimeout(5)
    sock, who = listener.accept()
    with sock:
        return sock.recv(100), who[0]


def test_machines_have_addresses_of_their_own(make_net):
    net = make_net(3)
    with listen(net, 1) as one, listen(net, 2) as two:
        say(net, 1, b'one')
        say(net, 2, b'two')
        assert heard(one) == (b'one', '10.77.0.1')
        assert heard(two) == (b'two', '10.77.0.1')


def test_the_same_addresses_side_by_side(make_net):
    """Of two nets, none hears the other, nor does this machine."""
    here, there = make_net(), make_net()
    with listen(here, 1) as one, listen(there, 1) as two:
        say(there, 1, b'there')
        say(here, 1, b'here')
        assert heard(one)[0] == b'here'
        assert heard(two)[0] == b'there'
    assert '10.77.0.' not in subprocess.check_output(['ip', 'addr'], text=True)


@pytest.mark.parametrize('how', ['cut', 'unplug'])
def test_a_link_that_is_cut_and_healed(make_net, how):
    net = make_net(3)
    with listen(net, 1) as one, listen(net, 2) as two:
        for _ in range(2):
            say(net, 1, b'x')
            assert heard(one)[0] == b'x'
            getattr(net, how)(1)
            with pytest.raises(TimeoutError):      # nobody refuses it
                say(net, 1, b'lost', 0.3)
            say(net, 2, b'y')                      # all others are well
            assert heard(two)[0] == b'y'
            net.heal(1)


def test_machines_that_do_not_reach_each_other(make_net):
    net = make_net(3)
    with listen(net, 1) as one, listen(net, 2) as two:
        for _ in range(2):
            say(net, 1, b'x')
            assert heard(one)[0] == b'x'
            net.part((0, 1))
            with pytest.raises(TimeoutError):      # nobody refuses it
                say(net, 1, b'lost', 0.3)
            say(net, 2, b'y')
            assert heard(two)[0] == b'y'
            with net.hub.connect((net.nodes[1].address, PORT), 5) as sock:
                sock.sendall(b'z')
            assert heard(one)[0] == b'z'
            net.join((0, 1))


def test_links_that_are_slow_or_lose(make_net):
    net = make_net()
    with listen(net, 1) as one:
        for change in (lambda: net.slow(1, '1mbit'), lambda: net.lose(1)):
            change()
            say(net, 1, b'x')
            assert heard(one)[0] == b'x'
        assert net.dropped(1) >= 0
        net.easy(1)
        say(net, 1, b'x')
        assert heard(one)[0] == b'x'


OWNER = '''\
import signal, sys
sys.path[:0] = sys.argv[1:2]
from lib import netns, process
net = netns.Net(2)
with net.nodes[1].space.inside():
    child = process.start([sys.executable, '-c', 'import time\\n'
                           'time.sleep(600)'])
print(child.pid, flush=True)
signal.pause()
'''


def test_an_owner_that_is_killed_leaves_nothing(make_net):
    make_net()                       # or there is nothing to see
    here = os.path.dirname(os.path.dirname(os.path.abspath(netns.__file__)))
    owner = process.start([sys.executable, '-c', OWNER, here],
                          stdout=subprocess.PIPE, text=True)
    with owner.stdout:
        child = int(owner.stdout.readline())
    space = os.readlink(f'/proc/{child}/ns/net')
    assert space != os.readlink('/proc/self/ns/net')
    owner.send_signal(signal.SIGKILL)
    owner.wait()

    def anybody_inside():
        for pid in filter(str.isdigit, os.listdir('/proc')):
            with contextlib.suppress(OSError):
                if os.readlink(f'/proc/{pid}/ns/net') == space:
                    return pid
        return None

    wait.until(lambda: not anybody_inside(), f'{space} is empty')
    assert '10.77.0.' not in subprocess.check_output(['ip', 'addr'], text=True)
