# SPDX-License-Identifier: Apache-2.0
"""`make demo`, small, before the RGW of the tests."""

import os
import re
import signal
import subprocess
import sys

from lib import process
from lib.nginx import REPO


def start(rgw, folder, **env):
    return process.start(
        [sys.executable, f'{REPO}/t/demo.py'], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
        env=dict(os.environ, TMPDIR=str(folder), ORIGIN=rgw.url,
                 ACCESS_KEY=rgw.access_key, SECRET_KEY=rgw.secret_key,
                 DEMO_SMALL='60', DEMO_LARGE='1', **env))


def check_nothing_is_left(said, rgw_s3, folder):
    bucket = re.search(r'into (\S+) ', said).group(1)
    names = [b['Name'] for b in rgw_s3.list_buckets()['Buckets']]
    assert bucket not in names
    assert not [name for name in os.listdir(folder)
                if name.startswith('s3c-demo')]
    assert not [pid for pid in os.listdir('/proc') if pid.isdigit()
                and str(folder) in process.title(pid)]


def test_once(rgw, rgw_s3, tmp_path):
    child = start(rgw, tmp_path, DEMO_ONCE='1')
    said, _ = child.communicate(timeout=100)
    assert child.returncode == 0, said
    assert re.search(r'^through nginx, second time .* 100\.0%$', said, re.M)
    assert re.search(r'^after a restart, from flash .* 100\.0%$', said, re.M)
    check_nothing_is_left(said, rgw_s3, tmp_path)


def test_until_interrupted_in_a_bucket_of_somebody(rgw, rgw_s3, bucket,
                                                   tmp_path):
    rgw_s3.put_object(Bucket=bucket, Key='mine', Body=b'x')
    child = start(rgw, tmp_path, BUCKET=bucket)
    said = ''
    for line in child.stdout:
        said += line
        if 'Ctrl-C' in line:
            break
    assert child.poll() is None, said
    child.send_signal(signal.SIGINT)
    rest, _ = child.communicate(timeout=60)
    assert child.returncode == 0, said + rest
    keys = rgw_s3.list_objects_v2(Bucket=bucket)['Contents']
    assert [row['Key'] for row in keys] == ['mine']


def test_an_origin_that_is_not_there(tmp_path):
    done = subprocess.run(
        [sys.executable, f'{REPO}/t/demo.py'], timeout=60, check=False,
        capture_output=True, text=True,
        env=dict(os.environ, TMPDIR=str(tmp_path), DEMO_ONCE='1',
                 ORIGIN='http://127.0.0.1:1', ACCESS_KEY='a',
                 SECRET_KEY='secret-word'))
    assert done.returncode == 1
    assert 'demo failed' in done.stderr and 'Traceback' not in done.stderr
    assert 'secret-word' not in done.stderr + done.stdout
