#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""nginx as a Debian suite has it, by the mirror that this machine uses.

  debian.py source SUITE FOLDER   the patched source, to build a whole nginx
  debian.py binary SUITE FOLDER   FOLDER/tree: its nginx-dev, to build the
                                  module against; FOLDER/nginx: its nginx,
                                  run with that suite's own libc and libssl

apt is given a sources.list, state and cache of its own, so that the system's
are neither used nor changed; only the address of the mirror is taken from
what the machine is configured with.
"""

import contextlib
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
TIMEOUT_S = 180
# what the module needs and nginx does not bring
LIBRARIES = ['libxxhash0', 'liburing2', 'libhiredis-dev']
# whose headers, and name for the linker, must be that suite's: its interface
# is another one than here
BUILT_WITH = 'hiredis'

NGINX = '''#!/bin/sh
# nginx of Debian {suite}, with the loader and the libraries of that suite
root={root}
exec "$root"/{loader} --library-path {libs} "$root/usr/sbin/nginx" "$@"
'''


class Unavailable(Exception):
    """No mirror, no network, or the suite does not have it."""


def _run(args, **more):
    try:
        done = subprocess.run(args, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True,
                              timeout=TIMEOUT_S, check=False, **more)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise Unavailable(f'{args[0]}: {e}') from e
    if done.returncode:
        errors = [line for line in done.stdout.splitlines()
                  if line.startswith(('E:', 'Err:', 'dpkg'))]
        raise Unavailable(f'{args[0]} failed: '
                          + '; '.join(errors or [done.stdout[-1000:]]))
    return done.stdout


def mirror():
    """The address of the Debian archive that this machine uses."""
    uris = _run(['apt-get', 'update', '--print-uris'])
    for uri in re.findall(r"'(\S+?)/*/dists/[^/']+/InRelease'", uris):
        if uri.endswith('/debian'):
            return uri
    raise Unavailable('no Debian archive among the sources of apt')


@contextlib.contextmanager
def _apt(kind, suite):
    """apt-get, as a list of words, that knows only this suite."""
    with tempfile.TemporaryDirectory(prefix='s3c-apt-') as tmp:
        for sub in ('state/lists/partial', 'cache/archives/partial'):
            os.makedirs(os.path.join(tmp, sub))
        sources = os.path.join(tmp, 'sources.list')
        with open(sources, 'w', encoding='ascii') as f:
            f.write(f'{kind} [signed-by={KEYRING}] {mirror()} {suite} main\n')
        apt = ['apt-get', '-q', '-y']
        for option in (f'Dir::Etc::SourceList={sources}',
                       'Dir::Etc::SourceParts=/dev/null',
                       f'Dir::State={tmp}/state',
                       'Dir::State::status=/dev/null',
                       f'Dir::Cache={tmp}/cache',
                       'APT::Sandbox::User=',
                       'APT::Update::Error-Mode=any',
                       'APT::Keep-Downloaded-Packages=true',
                       'Acquire::Languages=none',
                       # a mirror may lag, a clock may be ahead; what is
                       # signed is signed
                       'Acquire::Check-Valid-Until=false',
                       f'Acquire::IndexTargets::{kind}::DEP-11::'
                       'DefaultEnabled=false',
                       'Acquire::Retries=1',
                       'Acquire::http::Timeout=15'):
            apt += ['-o', option]
        _run(apt + ['update'])
        yield apt, tmp


def _place(made, folder):
    """Moves what was made to its place, whoever else does so too."""
    folder = os.path.abspath(folder)
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    new = f'{folder}.new.{os.getpid()}'
    shutil.move(made, new)
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(new, folder)


def source(suite, folder):
    with _apt('deb-src', suite) as (apt, tmp):
        _run(apt + ['source', '--download-only', 'nginx'], cwd=tmp)
        dsc = glob.glob(f'{tmp}/nginx_*.dsc')[0]
        _run(['dpkg-source', '--no-check', '-x', dsc, f'{tmp}/tree'])
        _place(f'{tmp}/tree', folder)


def has_binary(folder):
    """Was it made, and with all the libraries that are needed today?"""
    try:
        with open(f'{folder}/libraries', encoding='ascii') as f:
            return f.read().split() == LIBRARIES
    except FileNotFoundError:
        return False


def binary(suite, folder):
    with _apt('deb', suite) as (apt, tmp):
        _run(apt + ['download', 'nginx-dev'], cwd=tmp)
        _run(apt + ['install', '--download-only', '--no-install-recommends',
                    'nginx'] + LIBRARIES)
        out = f'{tmp}/out'
        os.makedirs(f'{out}/root')
        for deb in glob.glob(f'{tmp}/cache/archives/*.deb'):
            _run(['dpkg-deb', '-x', deb, f'{out}/root'])
        dev, = glob.glob(f'{tmp}/nginx-dev_*.deb')
        _run(['dpkg-deb', '-x', dev, f'{tmp}/dev'])
        shutil.move(f'{tmp}/dev/usr/share/nginx/src', f'{out}/tree')

        def inside(pattern):
            return [os.path.relpath(path, f'{out}/root')
                    for path in glob.glob(f'{out}/root/{pattern}')]

        root = os.path.join(os.path.abspath(folder), 'root')
        loader = (inside('usr/lib/*/ld-linux*.so.*')
                  or inside('lib/*/ld-linux*.so.*'))[0]
        libs = ':'.join(f'"$root"/{lib}' for lib
                        in inside('usr/lib/*-linux-gnu*')
                        + inside('lib/*-linux-gnu*'))
        for name, path in (
                (f'include/{BUILT_WITH}',
                 inside(f'usr/include/{BUILT_WITH}')[0]),
                (f'lib/lib{BUILT_WITH}.so',
                 inside(f'usr/lib/*/lib{BUILT_WITH}.so')[0])):
            os.makedirs(os.path.dirname(f'{out}/{name}'), exist_ok=True)
            os.symlink(f'../root/{path}', f'{out}/{name}')
        with open(f'{out}/nginx', 'w', encoding='ascii') as f:
            f.write(NGINX.format(suite=suite, root=f"'{root}'",
                                 loader=loader, libs=libs))
            os.chmod(f.fileno(), 0o755)
        with open(f'{out}/libraries', 'w', encoding='ascii') as f:
            f.write(' '.join(LIBRARIES))
        _place(out, folder)


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ('source', 'binary'):
        sys.exit(__doc__)
    try:
        globals()[sys.argv[1]](sys.argv[2], sys.argv[3])
    except Unavailable as e:
        sys.exit(f'cannot get nginx of Debian {sys.argv[2]}: {e}')


if __name__ == '__main__':
    main()
