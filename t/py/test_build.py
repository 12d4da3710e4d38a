# SPDX-License-Identifier: Apache-2.0
"""The module builds without warnings, and loads, wherever it should."""

import os
import re
import shutil
import subprocess

import pytest

from lib import debian
from lib.nginx import BUILD, MODULE_NAME, REPO, module

CONF = '''
load_module {module};
{user}
pid {dir}/pid;
error_log {dir}/error.log;
events {{ }}
http {{
    access_log off;
    s3_cache_zone hot:16m;
    server {{
        listen unix:{dir}/socket;
        location / {{
            s3_cache hot;
            s3_cache_origin http://127.0.0.1:9;
        }}
    }}
}}
'''


def run(*args, timeout_s=600, **env):
    done = subprocess.run(args, cwd=REPO, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=timeout_s, check=False,
                          env=dict(os.environ, MAKEFLAGS='', **env))
    return done.returncode, done.stdout


def make(*args):
    """Runs make as somebody would who just cloned this; nothing may be said
    by a compiler (V=1 shows what it says)."""
    status, said = run('make', 'V=1', *args)
    assert status == 0, said[-8000:]
    assert 'warning:' not in said, said[-8000:]


def check_loads(nginx, so, folder):
    conf = folder / 'nginx.conf'
    conf.write_text(CONF.format(
        module=so, dir=folder,
        user='user root;' if os.getuid() == 0 else ''))
    for sub in ('body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'):
        (folder / sub).mkdir(exist_ok=True)
    status, said = run(nginx, '-t', '-p', str(folder), '-e', 'stderr',
                       '-c', str(conf), timeout_s=60)
    assert status == 0 and 'test is successful' in said, said


def exported(so):
    _, said = run('nm', '-D', '--defined-only', so)
    return sorted(line.split()[-1] for line in said.splitlines())


def test_only_what_nginx_wants_is_exported():
    if 'asan' in module():
        pytest.skip('a sanitizer exports names of its own')
    assert exported(module()) == [
        'ngx_module_names', 'ngx_module_order', 'ngx_modules']


def test_no_symbol_is_missing():
    """Every name that the module asks for is one of nginx or of a library:
    dlopen() with all bindings at once, as nginx loads it."""
    so = module()
    _, said = run('nm', '-D', '--undefined-only', so)
    ours = [line.split()[-1] for line in said.splitlines()
            if re.search(r' (s3c_|ngx_http_s3_)', line)]
    assert not ours


@pytest.mark.deadline(600)
@pytest.mark.xdist_group('build')
def test_debian_of_this_machine(tmp_path):
    make('build', f'BUILD={BUILD}')
    check_loads('/usr/sbin/nginx', f'{BUILD}/{MODULE_NAME}', tmp_path)


@pytest.mark.deadline(600)
@pytest.mark.xdist_group('build')
@pytest.mark.parametrize('suite', ['trixie', 'sid'])
def test_other_debians(suite, tmp_path):
    """Against the nginx-dev of another Debian, loaded by its own nginx with
    its own libraries."""
    folder = f'{BUILD}/debian/{suite}'
    if not debian.has_binary(folder):
        try:
            debian.binary(suite, folder)
        except debian.Unavailable as e:
            pytest.skip(f'nginx of Debian {suite} cannot be had: {e}')
    with open(f'{folder}/tree/src/core/nginx.h', encoding='ascii') as f:
        version = re.search(r'NGINX_VERSION\s+"(\S+)"', f.read()).group(1)
    # its libraries are of a later libc than that of this machine
    make('build', f'BUILD={BUILD}', f'NGINX_SRC={folder}/tree',
         f'NGINX_CFLAGS=-O2 -g -fPIC -I{folder}/include',
         f'NGINX_LDFLAGS=-L{folder}/lib -Wl,--allow-shlib-undefined')
    so = f'{BUILD}/nginx-{version}/{MODULE_NAME}'
    assert exported(so) == exported(f'{BUILD}/{MODULE_NAME}')
    check_loads(f'{folder}/nginx', so, tmp_path)


@pytest.mark.deadline(600)
@pytest.mark.xdist_group('build')
def test_clang():
    if not shutil.which('clang'):
        pytest.fail('clang is not installed: make deps')
    make('build', f'BUILD={BUILD}/clang', 'CC=clang')


HEADER = 'int s3c_one(void);\n'
SOURCE = '#include "base/one.h"\nint s3c_one(void) { return %d; }\n'
MODULE = '''
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "base/one.h"

static ngx_int_t
init(ngx_conf_t *cf)
{
    return s3c_one() ? NGX_OK : NGX_ERROR;
}

static ngx_http_module_t  ctx = {
    NULL, init, NULL, NULL, NULL, NULL, NULL, NULL
};

ngx_module_t  ngx_http_s3_cache_module = {
    NGX_MODULE_V1, &ctx, NULL, NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NGX_MODULE_V1_PADDING
};
'''


def test_a_build_does_what_it_must_and_no_more(tmp_path):
    """With a small module in place of ours, so that it is quick."""
    for name in ('Makefile', 'config', 'ngx_module/exports.map'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(f'{REPO}/{name}', tmp_path / name)
    header, source = tmp_path / 'src/base/one.h', tmp_path / 'src/base/one.c'
    header.parent.mkdir(parents=True)
    header.write_text(HEADER)
    source.write_text(SOURCE % 1)
    (tmp_path / 'ngx_module' / f'{MODULE_NAME[:-3]}.c').write_text(MODULE)
    built = tmp_path / 'build' / MODULE_NAME

    def steps():
        status, said = run('make', '--no-print-directory', '-C',
                           str(tmp_path), 'build', 'BUILD=build')
        assert status == 0, said
        return [line.split()[0] for line in said.splitlines()
                if line.startswith('  ')]

    def change(path, text=None):
        path.write_text(path.read_text() if text is None else text)
        later = built.stat().st_mtime_ns + 10 ** 7
        os.utime(path, ns=(later, later))

    assert steps() == ['configure', 'build']
    assert steps() == []
    before = built.read_bytes()
    change(source, SOURCE % 2)
    assert steps() == ['build'] and built.read_bytes() != before
    before = built.read_bytes()
    change(header, HEADER + 'enum { A = 1 };\n')
    assert steps() == ['build'] and built.read_bytes() != before
    change(tmp_path / 'ngx_module' / 'exports.map')
    assert steps() == ['build']
    (source.parent / 'two.c').write_text('int s3c_two = 2;\n')
    assert steps() == ['configure', 'build']
    assert steps() == []
    assert exported(built) == ['ngx_module_names', 'ngx_module_order',
                               'ngx_modules']

    source.write_text('int s3c_one(void) { int unused; return 1; }\n')
    change(source)
    status, said = run('make', '-C', str(tmp_path), 'build', 'BUILD=build')
    assert status != 0 and 'unused' in said      # a warning is an error


def test_install(tmp_path):
    status, said = run('make', 'install', f'BUILD={BUILD}',
                       f'DESTDIR={tmp_path}')
    assert status == 0, said
    for name in (f'lib/nginx/modules/{MODULE_NAME}', 'bin/s3cachectl',
                 'share/man/man1/s3cachectl.1',
                 'share/bash-completion/completions/s3cachectl'):
        assert (tmp_path / 'usr' / name).exists(), name


def test_make_alone_builds(tmp_path):
    status, said = run('make', '-n', f'BUILD={tmp_path}')
    assert status == 0
    assert f'{tmp_path}/ngx_http_s3_cache_module.so' in said


def test_help_names_the_targets():
    status, said = run('make', 'help')
    assert status == 0
    for target in ('deps', 'build', 'install', 'test', 'demo', 'bench'):
        assert re.search(rf'^  {target} ', said, re.M), target
