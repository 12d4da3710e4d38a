# SPDX-License-Identifier: Apache-2.0
"""How the files of stores are read and written: by io_uring, or by threads."""

import errno
import re
import sys

import pytest

from lib.nginx import s3_location, s3_zone
from test_flash_conf import fill, states, store, wait_records, wait_serving


def test_threads_where_they_are_asked_for(origin, make_gateway):
    nginx = make_gateway(origin, 's3_cache_block_size 64k;',
                         http='s3_cache_io threads;' + store())
    wait_serving(nginx)
    assert nginx.zone()['flash']['io'] == 'threads'
    wait_records(nginx, len(fill(origin, nginx)))
    assert 'by 32 threads' in nginx.log()


NO_URING = '''
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
# load the number; io_uring_setup(): this errno; else: allowed
code = b''.join(struct.pack('<HBBI', *line) for line in (
    (0x20, 0, 0, 0), (0x15, 0, 1, 425),
    (0x06, 0, 0, 0x00050000 | int(sys.argv[1])),
    (0x06, 0, 0, 0x7fff0000)))
text = ctypes.create_string_buffer(code, len(code))
prog = ctypes.create_string_buffer(
    struct.pack('@HP', len(code) // 8, ctypes.addressof(text)))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(prog), 0, 0) == 0
os.execv(sys.argv[2], sys.argv[2:])
'''


@pytest.fixture
def without_uring(make_nginx, tmp_path):
    """make_nginx() of an nginx whose kernel denies io_uring, error=EPERM."""
    script = tmp_path / 'no_uring.py'
    script.write_text(NO_URING, encoding='ascii')

    def make(error=errno.EPERM, **pieces):
        nginx = make_nginx(**pieces)
        args = nginx._args
        nginx._args = lambda: [sys.executable, str(script), str(error)] + args()
        return nginx
    return make


def test_threads_take_over_where_io_uring_is_denied(origin, without_uring):
    nginx = without_uring(
        http=s3_zone() + store(), server=s3_location(
            origin.url, more='s3_cache_block_size 64k;')).start()
    wait_serving(nginx)
    assert nginx.zone()['flash']['io'] == 'threads'
    assert re.search(r'\[warn\].* no io_uring here, threads are used '
                     r'\(1: Operation not permitted\)', nginx.log())
    assert len(re.findall(r'\[warn\].*io_uring', nginx.log())) == 1
    wait_records(nginx, len(fill(origin, nginx)))


def test_stores_rest_where_io_uring_is_a_must_and_denied(
        origin, without_uring):
    nginx = without_uring(
        http=s3_zone() + 's3_cache_io io_uring;' + store(),
        server=s3_location(origin.url)).start()
    nginx.wait_log(r'\[error\].* no io_uring here, stores are not used')
    origin.put('bkt', 'key', b'body')
    assert nginx.get('/bkt/key').body == b'body'
    assert nginx.zone()['flash']['io'] == 'none'
    assert states(nginx) == ['failed']


def test_a_worker_that_cannot_reach_the_stores_keeps_nothing(
        origin, without_uring):
    """Others may: what it dropped from memory would come back from flash."""
    nginx = without_uring(
        error=errno.ENOMEM,
        http=s3_zone() + 's3_cache_io io_uring;' + store(),
        server=s3_location(origin.url)).start()
    origin.put('bkt', 'key', b'body')
    for _ in range(2):
        answer = nginx.get('/bkt/key')
        assert (answer.body, answer.getheader('X-Cache')) == (b'body', 'BYPASS')
    assert nginx.zone()['memory']['entries'] == 0
