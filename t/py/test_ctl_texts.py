# SPDX-License-Identifier: Apache-2.0
"""The manual and the completion of s3cachectl, held against the program."""

import os
import re
import subprocess

from lib.ctl import USAGE, Ctl
from lib.nginx import REPO

MANUAL = f'{REPO}/docs/s3cachectl.1'
COMPLETION = f'{REPO}/src/ctl/s3cachectl.bash'


def commands():
    return re.findall(r'^  (\w+) ', Ctl()('--help').out, re.M)


def options():
    """All that the program knows, by its sources."""
    found = set()
    for name in ('main.c', 'ctl_conf.c'):
        with open(f'{REPO}/src/ctl/{name}', encoding='ascii') as f:
            text = f.read()
        found.update(re.findall(r'^    \{ "([a-z-]+)", (?:OPTION_|\{)', text,
                                re.M))
    return found | {'config', 'help', 'version'}


def manual():
    done = subprocess.run(['mandoc', '-Tascii', MANUAL], capture_output=True,
                          text=True, timeout=30, check=True)
    return re.sub('.\x08', '', done.stdout)


def test_the_manual_is_well_formed():
    done = subprocess.run(['mandoc', '-Wwarning', '-Tlint', MANUAL],
                          capture_output=True, text=True, timeout=30,
                          check=False)
    assert done.returncode == 0, done.stdout


def test_the_manual_has_all_of_it():
    text = manual()
    secret = {'secret-key', 'session-token', 'origin-secret-key',
              'origin-session-token'}
    assert len(options()) > 40
    for name in options():
        assert re.search(rf'(?<![\w-])(--)?{name}(?![\w-])' if name in secret
                         else rf'--{name}(?![\w-])', text), name
    for name in commands():
        assert re.search(rf'^     (\w+, )?{name}\b', text, re.M), name
    for code in range(9):
        assert re.search(rf'^     {code}  ', text, re.M), code
    with open(f'{REPO}/src/ctl/ctl_conf.c', encoding='ascii') as f:
        for name in re.findall(r'"((?:S3CACHE|AWS)_[A-Z0-9_]+)"', f.read()):
            assert name in text, name


def test_its_help_has_the_options_of_a_warm_up():
    text = Ctl()('--help').out
    for name in ('list', 'inventory', 'check', 'evict', 'concurrency', 'rate',
                 'detach', 'jobs', 'resume', 'stop'):
        assert f'--{name}' in text, name
    assert all(len(line) < 80 for line in text.splitlines())


def test_usage_is_told():
    for name in commands():
        said = Ctl()(name, 'a', 'b', 'c', rc=USAGE)
        assert said.err.startswith(f's3cachectl: usage: s3cachectl {name}')
        assert '\\' not in said.err and not said.err.endswith(' \n')


def complete(*words):
    """What bash would offer for the last word."""
    line = ' '.join(f"'{w}'" for w in words)
    done = subprocess.run(
        ['bash', '-c', f'. {COMPLETION}; COMP_WORDS=(s3cachectl {line}); '
         f'COMP_CWORD={len(words)}; _s3cachectl; '
         'printf "%s\\n" "${COMPREPLY[@]}"'],
        capture_output=True, text=True, timeout=30, check=True,
        env={'PATH': os.environ['PATH']})
    assert done.stderr == ''
    return set(done.stdout.split())


def test_what_is_completed():
    assert {w for w in complete('') if w[0] != '-'} == set(commands())
    assert complete('st') == {'status'}
    assert complete('purge', 'pre') == {'prefix'}
    assert complete('purge', 'key', 's3') == {'s3://'}
    assert complete('--json', 'drain', '--wa') == {'--wait', '--wait-timeout'}
    assert complete('--zone', 'x') == set()
    assert complete('--origin-s') == complete('--secret') == set()
    every = set()
    for name in ['', *commands()]:
        every |= complete(*([name] if name else []), '--')
    assert every == {f'--{name}' for name in options() if not name.endswith(
        ('secret-key', 'session-token'))}


def test_the_completion_is_plain_bash():
    done = subprocess.run(['bash', '-n', COMPLETION], capture_output=True,
                          timeout=30, check=True)
    assert done.stderr == b''
