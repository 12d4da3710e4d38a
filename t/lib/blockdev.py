# SPDX-License-Identifier: Apache-2.0
"""Block devices and small file systems out of plain files. For root only."""

import os
import subprocess

MIB = 1 << 20


class Unavailable(Exception):
    """This machine, or this user, cannot make them."""


def _run(*args):
    if os.getuid() != 0:
        raise Unavailable(f'{args[0]} needs root')
    try:
        done = subprocess.run(args, stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, timeout=30, check=False)
    except OSError as e:
        raise Unavailable(str(e)) from e
    if done.returncode:
        raise Unavailable(f'{args[0]}: {done.stderr.strip()}')
    return done.stdout.strip()


def _file(path, size):
    with open(path, 'wb') as f:
        os.posix_fallocate(f.fileno(), 0, size)
    return str(path)


class LoopDevice:
    """A block device of `size` bytes: .path. It is gone when nobody uses it
    any more, also when this process dies."""

    def __init__(self, file, size):
        self.file = _file(file, size)
        self.path = _run('losetup', '--find', '--show', self.file)
        self._fd = os.open(self.path, os.O_RDONLY)
        # as it is in use, this only says what is to happen at the end
        _run('losetup', '--detach', self.path)

    def close(self):
        os.close(self._fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class SmallFileSystem:
    """An ext4 of `size` bytes under the folder .path."""

    def __init__(self, folder, size):
        self.path = os.path.join(str(folder), 'mount')
        os.makedirs(self.path)
        image = _file(os.path.join(str(folder), 'image'), size)
        _run('mkfs.ext4', '-q', '-F', '-m', '0', '-O', '^has_journal',
             '-E', 'nodiscard,lazy_itable_init=1', image)
        _run('mount', '-o', 'loop', image, self.path)

    def fill(self, name='filler'):
        """To the brim."""
        with open(os.path.join(self.path, name), 'ab', buffering=0) as f:
            for piece in (MIB, 4096, 1):
                try:
                    while True:
                        f.write(bytes(piece))
                except OSError:
                    pass
            os.fsync(f.fileno())

    def close(self):
        subprocess.run(['umount', '--lazy', self.path], check=False,
                       timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
