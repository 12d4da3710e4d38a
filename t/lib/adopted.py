# SPDX-License-Identifier: Apache-2.0
"""Programs that are no child of ours, as nginx must be to upgrade itself: it
ignores USR2 while the parent it was started by is still there.

A shell starts the program, we inherit it from the shell. A program that it
starts and leaves behind becomes ours in the same way.
"""

import ctypes
import os
import signal
import subprocess

from lib import process, wait

PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


class Adopted:
    """As much of Popen as the harness uses."""

    def __init__(self, pid):
        self.pid, self.returncode = pid, None

    def poll(self):
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
            except ChildProcessError:          # not ours yet, or not any more
                if not process.is_alive(self.pid):
                    self.returncode = 0
        return self.returncode

    def wait(self, timeout_s=20):
        try:
            wait.until(lambda: self.poll() is not None, 'its end', timeout_s)
        except wait.TimedOut as e:
            raise subprocess.TimeoutExpired(str(self.pid), timeout_s) from e
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


class Started(Adopted):
    """`args`, running. let_go() when it has seen its first parent."""

    def __init__(self, args, **more):
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
        self._shell = process.start(
            ['/bin/sh', '-c', '"$@" >&2 & echo $!; read -r _', 'sh', *args],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, **more)
        super().__init__(int(self._shell.stdout.readline()))

    def let_go(self):
        if self._shell is not None:
            self._shell.stdin.close()
            self._shell.stdout.close()
            self._shell.wait(10)
            self._shell = None

    def poll(self):
        if super().poll() is not None:
            self.let_go()
        return self.returncode

