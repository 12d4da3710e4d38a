# SPDX-License-Identifier: Apache-2.0
"""Programs of Debian packages that are better not installed: a service would
be started, or another package has a file of that name. What is in PATH is
taken; else the package is unpacked under $(BUILD), once."""

import glob
import os
import shutil
import subprocess

from lib import debian
from lib.debian import Unavailable
from lib.nginx import BUILD

__all__ = ['Unavailable', 'promtool', 'kubectl']


def _suite():
    with open('/etc/os-release', encoding='utf-8') as f:
        words = dict(line.rstrip('\n').split('=', 1) for line in f
                     if '=' in line)
    return words.get('VERSION_CODENAME', 'sid').strip('"')


def program(name, package):
    """The path of a program."""
    found = shutil.which(name)
    if found:
        return found
    folder = f'{BUILD}/debian/unpacked/{package}'
    path = f'{folder}/usr/bin/{name}'
    if not os.path.exists(path):
        suite = _suite()
        with debian._apt('deb', suite) as (apt, tmp):
            debian._run(apt + ['download', package], cwd=tmp)
            deb, = glob.glob(f'{tmp}/{package}_*.deb')
            subprocess.run(['dpkg-deb', '-x', deb, f'{tmp}/out'], check=True)
            debian._place(f'{tmp}/out', folder)
    return path


def promtool():
    return program('promtool', 'prometheus')


def kubectl():
    return program('kubectl', 'kubernetes-client')
