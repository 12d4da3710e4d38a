# SPDX-License-Identifier: Apache-2.0
"""Child processes that never outlive the one that started them."""

import ctypes
import os
import signal
import subprocess

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def start(args, death_signal=signal.SIGTERM, **more):
    """Popen whose child gets `death_signal` when its starter goes away."""
    parent = os.getpid()

    def before_exec():
        _libc.prctl(PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    more.setdefault('stdin', subprocess.DEVNULL)
    return subprocess.Popen(args, preexec_fn=before_exec, **more)


def stop(child, first=signal.SIGTERM, timeout_s=10):
    """Ends a child: by `first`, and by SIGKILL if that takes too long."""
    if child.poll() is None:
        child.send_signal(first)
        try:
            child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    return child.returncode


def children(pid):
    try:
        with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


def title(pid):
    """The command line as one string; empty for a zombie or nobody."""
    try:
        with open(f'/proc/{pid}/cmdline', 'rb') as f:
            return f.read().replace(b'\0', b' ').decode('latin-1').strip()
    except OSError:
        return ''


def is_alive(pid):
    """Does it run (a zombie does not)?"""
    try:
        with open(f'/proc/{pid}/stat', encoding='latin-1') as f:
            return f.read().rpartition(')')[2].split()[0] not in 'ZX'
    except OSError:
        return False


def tail(path, lines=30):
    try:
        with open(path, encoding='utf-8', errors='replace') as f:
            return ''.join(f.readlines()[-lines:])
    except OSError as e:
        return f'({e})\n'
