# SPDX-License-Identifier: Apache-2.0
"""A file system that fails as a test tells it to.

    with FaultFs(tmp_path / 'disk') as disk:
        disk.path('store')             # a file on it, for whoever uses it
        disk.behind('store')           # the same file, without faults
        rule = disk.on('read', error='EIO', at=(0, 4095), times=3)
        disk.off(rule)
        disk.seen('read')              # what the kernel was asked

Reads and writes come to it as they were asked (up to 1 MiB in one piece): a
file on it is always read and written directly. It is a process of its own,
which unmounts and ends with this one, however that ends.

A rule holds for kinds of requests ('read', 'write', 'open', 'fallocate',
'fsync', ...), one file (`name`), what touches bytes [first, last] of it
(`at`), from the `nth` such request on for `times` requests, or a random
`share` of them (the same for a `seed`). What it does:

  error    the name of an errno
  hold     no answer until the rule is taken away (then as its rest says)
  delay_s  an answer that is late
  short    no more than so many bytes are read or written
  flip     one bit of the byte at this offset of the file is wrong, in what is
           read or in what is written; -1: the last byte of every piece, ...
"""

import collections
import errno
import json
import os
import signal
import socket
import subprocess
import sys

from lib import faultfs_server, process, wait

SERVER = faultfs_server.__file__
Seen = collections.namedtuple('Seen', 'kind name off size outcome')


class Unavailable(Exception):
    """This machine, or this user, cannot mount it."""


class FaultFs:
    def __init__(self, folder):
        self.dir = os.path.abspath(str(folder))
        self.mount = os.path.join(self.dir, 'mount')
        self.files = os.path.join(self.dir, 'files')
        self.child = self._pipe = None

    def start(self):
        if os.getuid() != 0:
            raise Unavailable('mounting faultfs needs root')
        if not os.access('/dev/fuse', os.R_OK | os.W_OK):
            raise Unavailable('/dev/fuse cannot be used')
        os.makedirs(self.mount)
        os.makedirs(self.files)
        os.chmod(self.dir, 0o755)
        ours, theirs = socket.socketpair()
        with theirs:
            self.child = process.start(
                [sys.executable, SERVER, self.files, self.mount,
                 str(theirs.fileno())], pass_fds=[theirs.fileno()])
        ours.settimeout(20)
        self._pipe = ours.makefile('rw', encoding='utf-8')
        ours.close()
        answer = json.loads(self._pipe.readline() or
                            '{"failed": "its process ended"}')
        if 'failed' in answer:
            self.stop()
            raise Unavailable(answer['failed'])
        return self

    def stop(self):
        """Whatever uses it: from now on all of it fails."""
        if self.child is None:
            return
        try:
            self._pipe.close()
        except OSError:
            pass
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            process.stop(self.child, signal.SIGKILL)
        faultfs_server.unmount(self.mount)     # if it was killed
        self.child = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def _say(self, do, **words):
        self._pipe.write(json.dumps(dict(words, do=do)) + '\n')
        self._pipe.flush()
        return json.loads(self._pipe.readline())

    def path(self, name):
        return os.path.join(self.mount, name)

    def behind(self, name):
        return os.path.join(self.files, name)

    # --- faults -------------------------------------------------------------

    def on(self, *kinds, error=None, **what):
        """Adds a rule: its number. Of several that hold, the newest."""
        if error:
            what['error'] = getattr(errno, error)
        return self._say('on', kinds=kinds, **what)

    def off(self, rule=None):
        """Takes a rule away, or all; answers how many requests it held."""
        return self._say('off', number=rule)

    def held(self):
        return self._say('held')

    def wait_held(self, count=1, timeout_s=20):
        wait.until(lambda: self.held() >= count,
                   lambda: f'{self.held()} of {count} requests are held',
                   timeout_s)

    def met(self, rule):
        """For how many requests the rule has held, its `nth` included."""
        return self._say('met', number=rule)

    def wait_met(self, rule, count=1, timeout_s=20):
        wait.until(lambda: self.met(rule) >= count,
                   lambda: f'{self.met(rule)} of {count} requests', timeout_s)

    # --- what was asked -----------------------------------------------------

    def seen(self, *kinds, name=None):
        """[Seen], in the order in which they came. outcome: bytes moved,
        -errno, or None as long as there is no answer."""
        return [s for s in map(Seen._make, self._say('seen'))
                if (not kinds or s.kind in kinds)
                and name in (None, s.name)]

    def forget(self):
        """Nothing has been seen."""
        self._say('seen', clear=True)
