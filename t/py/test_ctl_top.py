# SPDX-License-Identifier: Apache-2.0
"""s3cachectl top: on a terminal, which is as it was before when it ends, and
without one."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

import pytest

from lib import ctl as ctl_lib
from lib import wait
from lib.ctl import REFUSED, UNREACHABLE, Ctl
from purges import read

ENTER, LEAVE = '\x1b[?1049h\x1b[?25l', '\x1b[?25h\x1b[?1049l'


@pytest.fixture
def gateway(make_gateway, origin):
    origin.put('bkt', 'k', b'x' * 1000)
    return make_gateway(origin, valid='200 1h', server=ctl_lib.server())


class Terminal:
    """A program on a terminal of its own: what it has drawn, as text."""

    def __init__(self, ctl, *args, rows=24, columns=80):
        self.text = ''
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(ctl.line()[0], ctl.line(*args), ctl.env)
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.fd)
        self.status = None

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ,
                    struct.pack('HHHH', rows, columns, 0, 0))

    def pump(self, wait_s=0.05):
        if select.select([self.fd], [], [], wait_s)[0]:
            try:
                self.text += os.read(self.fd, 65536).decode()
            except OSError:              # nobody is there any more
                return False
        return True

    def until(self, pattern, timeout_s=15):
        end = time.monotonic() + timeout_s
        while not re.search(pattern, self.text, re.S):
            assert self.pump() and time.monotonic() < end, (pattern,
                                                            self.text)
        return self

    def ended(self, timeout_s=15):
        """How it ended; what it has written is read until then."""
        end = time.monotonic() + timeout_s
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            assert time.monotonic() < end, self.text
            self.pump()
        self.after = termios.tcgetattr(self.fd)
        while select.select([self.fd], [], [], 0)[0] and self.pump(0):
            pass
        os.close(self.fd)
        self.pid = None
        assert 'Sanitizer' not in self.text
        return status

    def key(self, text):
        os.write(self.fd, text.encode())

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.fd)


@pytest.fixture
def terminal():
    made = []

    def make(*args, **more):
        made.append(Terminal(*args, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()


def frames(text):
    return text.split('\x1b[H')[1:]


@pytest.mark.parametrize('how', ['q', signal.SIGINT, signal.SIGTERM,
                                 signal.SIGHUP])
def test_the_terminal_is_as_it_was(gateway, terminal, how):
    screen = terminal(Ctl(gateway.url()), 'top', '--interval', '100ms')
    screen.until('ZONE.*hot')
    assert termios.tcgetattr(screen.fd)[3] & (
        termios.ICANON | termios.ECHO) == 0
    if how == 'q':
        screen.key('q')
        assert os.waitstatus_to_exitcode(screen.ended()) == 0
    else:
        os.kill(screen.pid, how)
        assert os.waitstatus_to_exitcode(screen.ended()) == -how
    assert screen.after == screen.before
    assert screen.text.startswith(ENTER)
    assert screen.text.endswith(LEAVE)
    assert screen.text.count(ENTER) == screen.text.count(LEAVE) == 1


def test_it_shows_what_is_done_now(gateway, terminal):
    screen = terminal(Ctl(gateway.url()), 'top', '--interval', '300ms',
                      columns=200)
    screen.until('hot +-')                 # nothing to compare with yet
    for _ in range(20):
        read(gateway, 'bkt', 'k')
        screen.pump(0.02)
    screen.until(r'hot +[\d.]+ +(9\d|100)\.\d % +[\d.]+ KiB/s')
    screen.until(r'BUCKET.*bkt')
    screen.key('q')
    screen.ended()


def test_its_latency_is_that_of_now(gateway):
    """Not of the zone's whole time: it is known while there are hits, and not
    known ten seconds later."""
    ctl = Ctl(gateway.url())

    def p99():
        line = ctl('--json', 'top', '--interval', '100ms', '--count', '1').out
        return ctl_lib.json.loads(line)['zones'][0]['hit_p99_s']

    def p99_of_hits():
        for _ in range(32):               # one in 16 is timed
            read(gateway, 'bkt', 'k')
        return p99()

    assert p99() is None
    assert 0 < wait.until(p99_of_hits, 'a latency', 20) < 10
    assert gateway.zone()['latency']['first_byte_hit']['count'] > 0
    wait.until(lambda: p99() is None, 'the end of it', 30)
    said = ctl('top', '--interval', '10ms', '--count', '1').out
    assert re.search(r'P99 HIT\n *hot .* -$', said, re.M), said


def test_it_fits_the_screen(gateway, terminal):
    """Also when that becomes another, and too small for anything."""
    screen = terminal(Ctl(gateway.url()), 'top', '--interval', '1h',
                      columns=200)
    screen.until('P99 HIT')
    for rows, columns in ((3, 20), (1, 1), (50, 120), (24, 80)):
        mark = len(screen.text)
        screen.resize(rows, columns)
        end = time.monotonic() + 15
        while not frames(screen.text[mark:]):
            assert screen.pump() and time.monotonic() < end
        screen.until(r'\x1b\[J$')
        last = frames(screen.text)[-1]
        # the terminal adds a return of its own
        lines = re.sub(r'\x1b\[[KJ]', '', last).split('\r\r\n')
        assert len(lines) <= rows
        assert max(map(len, lines)) <= columns
    screen.key('q')
    assert os.waitstatus_to_exitcode(screen.ended()) == 0


def test_it_waits_for_a_node_that_is_away(make_gateway, origin, terminal):
    gateway = make_gateway(origin, server=ctl_lib.server(), workers=1)
    screen = terminal(Ctl(gateway.url()), 'top', '--interval', '100ms',
                      columns=200)
    screen.until('ZONE.*hot')
    gateway.stop()
    screen.until('does not answer')
    gateway.start()
    mark = len(screen.text)
    end = time.monotonic() + 15
    while not any('hot' in f and 'does not' not in f
                  for f in frames(screen.text[mark:])):
        assert screen.pump() and time.monotonic() < end
    screen.key('q')
    screen.ended()


def test_it_stops_and_goes_on(gateway, terminal):
    screen = terminal(Ctl(gateway.url()), 'top', '--interval', '100ms')
    screen.until('ZONE.*hot')
    os.kill(screen.pid, signal.SIGTSTP)
    screen.until(re.escape(LEAVE))
    _, status = os.waitpid(screen.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    assert termios.tcgetattr(screen.fd) == screen.before
    mark = len(screen.text)
    os.kill(screen.pid, signal.SIGCONT)
    end = time.monotonic() + 15
    while 'ZONE' not in screen.text[mark:]:
        assert screen.pump() and time.monotonic() < end
    assert screen.text[mark:].startswith(ENTER)
    screen.key('q')
    assert os.waitstatus_to_exitcode(screen.ended()) == 0


def test_without_a_terminal(gateway):
    ctl = Ctl(gateway.url())
    said = ctl('top', '--interval', '50ms', '--count', '3')
    assert said.out.count('ZONE') == 3 and '\x1b' not in said.out
    lines = ctl('--json', 'top', '--interval', '50ms', '--count',
                '2').out.splitlines()
    assert len(lines) == 2
    for line in lines:
        zone = ctl_lib.json.loads(line)['zones'][0]
        assert zone['name'] == 'hot' and zone['requests_per_s'] == 0
    ctl('top', '--count', '1', '--zone', 'cold', '--interval', '1ms')
    ctl('--status', '/none', 'top', rc=REFUSED)
    Ctl('http://127.0.0.1:1')('top', rc=UNREACHABLE)
