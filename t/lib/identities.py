# SPDX-License-Identifier: Apache-2.0
"""The file of s3_cache_credentials, and those who are in it."""

import collections
import json
import os

Key = collections.namedtuple('Key', 'access_key secret_key session_token',
                             defaults=(None,))


def key_of(name, number=1, session_token=None):
    """Keys that tell whose they are. The secret has what is awkward in it."""
    return Key(f'AK{name.upper().replace("-", "")}{number}',
               f'secret+of/{name}={number}%2F"\\', session_token)


def allow(actions, *resources):
    return {'effect': 'allow', 'actions': actions.split(),
            'resources': list(resources)}


def deny(actions, *resources):
    return dict(allow(actions, *resources), effect='deny')


def identity(name, *policy, keys=None):
    """One who signs."""
    return {'name': name, 'policy': list(policy), 'keys': [
        {k: v for k, v in key._asdict().items() if v}
        for key in keys or [key_of(name)]]}


def anonymous(*policy, name='public'):
    """Who does not sign."""
    return {'name': name, 'anonymous': True, 'policy': list(policy)}


class Credentials:
    """The file: what it holds is exchanged at once, never in part."""

    def __init__(self, path, *identities):
        self.path = str(path)
        if identities:
            self.write(*identities)

    def write(self, *identities):
        self.write_text(json.dumps({'identities': identities}, indent=1))

    def write_text(self, text):
        mode = 'wb' if isinstance(text, bytes) else 'w'
        with open(f'{self.path}.new', mode) as f:
            f.write(text)
        os.chmod(f'{self.path}.new', 0o644)
        os.replace(f'{self.path}.new', self.path)

    def remove(self):
        os.unlink(self.path)
