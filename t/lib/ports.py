# SPDX-License-Identifier: Apache-2.0
"""TCP ports of the loopback that nobody else will take.

A port is locked by a file while its owner lives, so that tests that run side
by side never get the same one, and it lies outside the range from which the
kernel takes the ports of outgoing connections.
"""

import fcntl
import os
import random
import socket

_held = {}


def _range():
    try:
        with open('/proc/sys/net/ipv4/ip_local_port_range',
                  encoding='ascii') as f:
            low = int(f.read().split()[0])
    except OSError:
        low = 32768
    return (10240, low) if low > 14000 else (20000, 30000)


def _is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(('127.0.0.1', port))
            s.listen(1)
        except OSError:
            return False
    return True


def reserve():
    """A free port, ours until release() or the end of this process."""
    folder = f'/tmp/s3c-ports-{os.getuid()}'   # whatever TMPDIR is
    os.makedirs(folder, mode=0o700, exist_ok=True)
    low, high = _range()
    for _ in range(1000):
        port = random.randrange(low, high)
        fd = os.open(os.path.join(folder, str(port)),
                     os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            continue
        if not _is_free(port):
            os.close(fd)
            continue
        _held[port] = fd
        return port
    raise OSError('no free port')


def release(port):
    fd = _held.pop(port, None)          # None: a port that was given to us
    if fd is not None:
        os.close(fd)
