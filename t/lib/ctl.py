# SPDX-License-Identifier: Apache-2.0
"""s3cachectl as a program: what it says and how it ends. The one with ASan and
UBSan, unless S3CACHECTL names another."""

import json
import os
import subprocess

from lib.nginx import BUILD

OK, NO, USAGE, UNREACHABLE, DENIED, REFUSED, WRONG, TIMEOUT, LOCAL = range(9)

SERVER = '''
    location = /s3-cache/status { s3_cache_status; @more@ }
    location = /s3-cache/admin { s3_cache_admin; @more@ }
'''


def binary():
    return os.environ.get('S3CACHECTL') or f'{BUILD}/unit/s3cachectl'


def server(more=''):
    """The two endpoints, for a server."""
    return SERVER.replace('@more@', more)


class Ended:
    def __init__(self, done):
        self.rc, self.out, self.err = done.returncode, done.stdout, done.stderr
        # a sanitizer ends it by 1, and says why
        assert 'Sanitizer' not in self.err and 'runtime error' not in (
            self.err), self.err

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f'rc {self.rc}\n{self.out}\n--- stderr\n{self.err}'


class Ctl:
    """ctl('purge', 'all', yes=True, ...): an Ended. Arguments may be bytes.
    `home` is a folder for its file of settings."""

    def __init__(self, url=None, keys=None, home='/nonexistent', **env):
        self.env = {'PATH': os.environ['PATH'], 'HOME': str(home),
                    'LC_ALL': 'C.UTF-8', 'TERM': 'xterm',
                    'ASAN_OPTIONS': 'detect_leaks=1',
                    'UBSAN_OPTIONS': 'print_stacktrace=1'}
        if url:
            self.env['S3CACHE_URL'] = url
        if keys:
            self.env['AWS_ACCESS_KEY_ID'] = keys[0]
            self.env['AWS_SECRET_ACCESS_KEY'] = keys[1]
            if len(keys) > 2 and keys[2]:
                self.env['AWS_SESSION_TOKEN'] = keys[2]
        self.env.update(env)

    @staticmethod
    def line(*args):
        return [binary(), *(a if isinstance(a, bytes) else str(a)
                            for a in args)]

    def __call__(self, *args, rc=OK, stdin='', timeout_s=60, env=None,
                 binary_out=False):
        done = subprocess.run(self.line(*args), input=stdin.encode(),
                              capture_output=True, timeout=timeout_s,
                              env=dict(self.env, **(env or {})), check=False)
        if not binary_out:
            done.stdout = done.stdout.decode()
        done.stderr = done.stderr.decode(errors='backslashreplace')
        ended = Ended(done)
        assert rc is None or ended.rc == rc, ended
        return ended

    def start(self, *args, **popen):
        return subprocess.Popen(self.line(*args), env=self.env, **popen)
