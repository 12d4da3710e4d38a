# SPDX-License-Identifier: Apache-2.0
"""Roots of Debian systems to try things in: what is done there is gone
afterwards, and nothing of this machine is changed.

    with Root('/', folder) as root:                this machine, as a copy
        root.run('dpkg', '-i', '/tmp/x.deb')
    with Root(fresh('trixie'), folder) as root:    a fresh Debian

An overlay in a mount namespace of its own; a process namespace ends whatever
was started inside. The network is that of this machine. Root only.
"""

import os
import shutil
import subprocess

from lib import debian, process
from lib.nginx import BUILD

STEP_S = 600

# As the first process of the namespaces: it ends, and all with it, when who
# started it closes the pipe.
HOLD = '''
set -e
base=$1 layer=$2
[ "$base" != / ] || mount -t tmpfs -o mode=755 layer "$layer"
mkdir -p "$layer/upper" "$layer/work" "$layer/root"
mount -t overlay root -o "lowerdir=$base,upperdir=$layer/upper,\
workdir=$layer/work" "$layer/root"
mount -t proc proc "$layer/root/proc"
mount -t tmpfs -o mode=1777 tmp "$layer/root/tmp"
for node in null zero full random urandom; do
    [ -e "$layer/root/dev/$node" ] || : >"$layer/root/dev/$node"
    mount --bind "/dev/$node" "$layer/root/dev/$node"
done
[ "$base" != / ] || mount -t tmpfs -o mode=755 run "$layer/root/run"
echo ready
read -r _ || :
'''

ENV = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': '/root',
       'LC_ALL': 'C.UTF-8', 'DEBIAN_FRONTEND': 'noninteractive'}


class Unavailable(RuntimeError):
    """This machine, or who runs this, cannot have such roots."""


class Failed(AssertionError):
    pass


class Root:
    def __init__(self, base, folder):
        self.base = base
        self.layer = os.path.join(str(folder), 'layer')
        self.path = f'{self.layer}/root'
        self.child = None

    def __enter__(self):
        if os.getuid():
            raise Unavailable('roots need to be made by root')
        os.makedirs(self.layer, exist_ok=True)
        self.child = process.start(
            ['unshare', '--mount', '--pid', '--fork', '--kill-child',
             'sh', '-c', HOLD, 'hold', self.base, self.layer],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        if self.child.stdout.readline() != 'ready\n':
            _, said = self.child.communicate(timeout=30)
            raise Unavailable(f'no overlay of {self.base} here: {said}')
        # nothing is started because a package is installed
        self.write('/usr/sbin/policy-rc.d', '#!/bin/sh\nexit 101\n', 0o755)
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.wait(30)
        self.child.stdout.close()
        self.child.stderr.close()
        shutil.rmtree(self.layer)

    def _enter(self):
        inner, = process.children(self.child.pid)
        return ['nsenter', f'--target={inner}', '--mount', '--pid', '--']

    def call(self, *args, timeout_s=STEP_S, **more):
        """(exit status, what it said)"""
        done = subprocess.run(
            self._enter() + ['chroot', self.path] + list(args),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=timeout_s, check=False, env=dict(ENV),
            **dict({'stdin': subprocess.DEVNULL}, **more))
        return done.returncode, done.stdout

    def run(self, *args, **more):
        """What it said; it must succeed."""
        status, said = self.call(*args, **more)
        if status:
            raise Failed(f'{" ".join(args)}: {status}\n{said[-6000:]}')
        return said

    def write(self, path, text, mode=0o644):
        self.run('sh', '-c', 'mkdir -p "${1%/*}"; cat >"$1"; chmod "$2" "$1"',
                 'write', path, f'{mode:o}', stdin=None, input=text)

    def copy(self, file, path):
        """A file of this machine, to a path inside."""
        with open(file, 'rb') as f:
            self.run('sh', '-c', 'cat >"$1"', 'copy', path, stdin=f)

    def take(self, path, file):
        """A file from inside, to this machine."""
        with open(file, 'wb') as f:
            subprocess.run(self._enter() + ['cat', self.path + path],
                           stdin=subprocess.DEVNULL, stdout=f, timeout=60,
                           check=True)

    def read(self, path):
        return self.run('cat', path)

    def changed(self):
        """Paths of what is another file than in the base, or was none."""
        done = subprocess.run(
            self._enter() + ['find', f'{self.layer}/upper', '-not', '-type',
                             'd', '-printf', '/%P\n'],
            stdout=subprocess.PIPE, text=True, timeout=60, check=True)
        return set(done.stdout.splitlines())


def fresh(suite):
    """The folder of a fresh Debian: made once by debootstrap."""
    folder = f'{BUILD}/debian/root/{suite}'
    if os.path.exists(f'{folder}/etc/debian_version'):
        return folder
    if not shutil.which('debootstrap'):
        raise Unavailable('debootstrap is not installed: make deps-deb')
    new = f'{folder}.new.{os.getpid()}'
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    done = subprocess.run(
        ['debootstrap', '--variant=minbase', f'--keyring={debian.KEYRING}',
         suite, new, debian.mirror()],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=STEP_S, check=False)
    if done.returncode:
        shutil.rmtree(new, ignore_errors=True)
        raise Unavailable(f'no Debian {suite}: {done.stdout[-2000:]}')
    os.rename(new, folder)
    return folder
