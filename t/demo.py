#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`make demo`: the module between a real client and a real object store.

Without ORIGIN a Ceph RGW is started for it. Sample data is made and put into
a bucket, everything is read straight from the origin and then twice through
nginx with boto3, and what that took is printed. It stays up until Ctrl-C, or
ends by itself with DEMO_ONCE=1; either way nothing is left running, and in a
foreign S3 nothing is left lying.

Environment: ORIGIN, ACCESS_KEY, SECRET_KEY, REGION, BUCKET (a new one by
default; in a given one a prefix of its own is used), DEMO_PORT, DEMO_ONCE,
DEMO_SMALL (4000 objects of 1-64 KiB), DEMO_LARGE (3 of 64 MiB).
"""

import concurrent.futures
import hashlib
import http.client
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
import urllib.parse
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

try:
    import botocore.exceptions
    from lib import nginx as nginx_lib
    from lib import rgw as rgw_lib
    from lib import s3client, wait
except ImportError as error:
    sys.exit(f'{error}: run "make deps"')

THREADS = 8
LARGE_BYTES = 64 << 20
ZONE_SPARE = 128 << 20


class Origin:
    def __init__(self, url, access_key, secret_key, region):
        self.url, self.region = url.rstrip('/'), region or 'us-east-1'
        self.access_key, self.secret_key = access_key, secret_key

    def client(self, url=None):
        return s3client.client(url or self.url, self.access_key,
                               self.secret_key, region=self.region)


def say(text=''):
    print(text, flush=True)


def every(function, items):
    """Calls function(item) from several threads; the first error ends it."""
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        calls = [pool.submit(function, item) for item in items]
        try:
            return [call.result() for call in calls]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


class Samples:
    """The objects of the demo: {key: size}, their bytes from their names."""

    def __init__(self, bucket, prefix):
        rng = random.Random(1)
        self.bucket = bucket
        self.sizes = {
            f'{prefix}small/{i % 100:02}/{i:05}.bin':
                int(2 ** rng.uniform(10, 16))
            for i in range(int(os.environ.get('DEMO_SMALL') or 4000))}
        self.small = list(self.sizes)
        self.large = [f'{prefix}large/{i}.bin' for i in range(
            int(os.environ.get('DEMO_LARGE') or 3))]
        self.sizes.update(dict.fromkeys(self.large, LARGE_BYTES))
        self.bytes = sum(self.sizes.values())

    def body(self, key):
        return random.Random(key).randbytes(self.sizes[key])

    def upload(self, s3):
        self.sums = {}

        def put(key):
            body = self.body(key)
            self.sums[key] = hashlib.md5(body).hexdigest()
            s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        every(put, self.sizes)

    def read(self, s3):
        """Reads all, checks all; answers the seconds that it took, and how
        much of them this very process worked."""
        def get(key):
            body = s3.get_object(Bucket=self.bucket, Key=key)['Body'].read()
            if hashlib.md5(body).hexdigest() != self.sums[key]:
                raise RuntimeError(f'{key}: wrong bytes')
        start, worked = time.monotonic(), time.process_time()
        every(get, self.sizes)
        return time.monotonic() - start, time.process_time() - worked

    def delete(self, s3):
        every(lambda key: s3.delete_object(Bucket=self.bucket, Key=key),
              self.sizes)


def plain(url, s3, bucket, keys):
    """Seconds of each GET, one after the other over one kept connection,
    without the weight of an SDK."""
    parts = urllib.parse.urlsplit(url)
    kind = (http.client.HTTPSConnection if parts.scheme == 'https'
            else http.client.HTTPConnection)
    conn = kind(parts.hostname, parts.port, timeout=60)
    took = []
    buffer = memoryview(bytearray(1 << 20))
    for key in keys:
        target = urllib.parse.urlsplit(s3.generate_presigned_url(
            'get_object', {'Bucket': bucket, 'Key': key}))
        start = time.perf_counter()
        conn.request('GET', f'{target.path}?{target.query}')
        answer = conn.getresponse()
        while answer.readinto(buffer):
            pass
        took.append(time.perf_counter() - start)
        if answer.status != 200:
            raise RuntimeError(f'{key}: {answer.status}')
    conn.close()
    return sorted(took)


def hit_ratio(before, after):
    counts = {name: after['requests'][name] - before['requests'][name]
              for name in after['requests']}
    answered = sum(counts.values()) or 1
    return counts['hit'] / answered


def show(origin, nginx, samples):
    straight, cached = origin.client(), origin.client(nginx.url())
    megabytes = samples.bytes / 1e6
    say(f'\n{len(samples.sizes)} objects, {megabytes:.0f} MB, boto3 with '
        f'{THREADS} threads:\n')
    say(f'{"":30}{"seconds":>9}{"GET/s":>8}{"MB/s":>8}{"client CPU":>12}'
        f'{"hits":>8}')

    def row(title, took, hits=''):
        seconds, worked = took
        say(f'{title:30}{seconds:9.2f}{len(samples.sizes) / seconds:8.0f}'
            f'{megabytes / seconds:8.0f}{worked / seconds:12.0%}{hits:>8}')

    row('origin', samples.read(straight))
    for title in ('through nginx, first time', 'through nginx, second time',
                  'after a restart, from flash'):
        if 'flash' in title:
            # memory is empty then; what was written is there
            nginx.quit()
            nginx.start()
            wait.until(lambda: nginx.zone()['stores'][0]['state'] == 'serving',
                       'the store is not in service', 60)
        before = nginx.zone()
        took = samples.read(cached)
        row(title, took, f'{hit_ratio(before, nginx.zone()):.1%}')

    say('\nplain HTTP, one GET after the other over one connection:\n')
    say(f'{"":30}{"small: median":>15}{"p99":>10}{"large: MB/s":>14}')
    for title, url, s3 in (('origin', origin.url, straight),
                           ('through nginx', nginx.url(), cached)):
        small = plain(url, s3, samples.bucket, samples.small[:1000])
        large = plain(url, s3, samples.bucket, samples.large)
        large_mbs = (f'{LARGE_BYTES / 1e6 / statistics.median(large):14.0f}'
                     if large else '-'.rjust(14))
        say(f'{title:30}{statistics.median(small) * 1000:12.2f} ms'
            f'{small[int(len(small) * 0.99)] * 1000:7.2f} ms'
            + large_mbs)

    memory = nginx.zone()['memory']
    say(f'\nzone: {memory["entries"]} entries, '
        f'{memory["payload_bytes"] / 1e6:.0f} MB payload of '
        f'{memory["region_bytes"] / 1e6:.0f} MB, '
        f'{memory["evictions"]} evictions')
    flash = nginx.zone()['stores'][0]
    say(f'flash: {flash["records"]} records, '
        f'{flash["live_bytes"] / 1e6:.0f} MB of {flash["bytes"] / 1e6:.0f} MB')
    key = samples.small[0]
    say(f'''
S3 endpoint   {nginx.url()}
bucket        {samples.bucket}
status        {nginx.url("/status", "status")}  ({nginx.url("/metrics", "status")})
try           curl -s -D - -o /dev/null {nginx.url()}/{samples.bucket}/{key}
              AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any \\
                  aws --endpoint-url {nginx.url()} s3 cp s3://{samples.bucket}/{key} -
configuration {nginx.conf_path}
''')


def run(origin, folder, stop):
    s3 = origin.client()
    own = not os.environ.get('BUCKET')
    bucket = os.environ.get('BUCKET') or f's3-cache-demo-{uuid.uuid4().hex[:8]}'
    samples = Samples(bucket, '' if own
                      else f's3-cache-demo-{uuid.uuid4().hex[:8]}/')
    if own:
        s3.create_bucket(Bucket=bucket, **(
            {} if origin.region == 'us-east-1' else
            {'CreateBucketConfiguration':
             {'LocationConstraint': origin.region}}))
    try:
        start = time.monotonic()
        say(f'putting {len(samples.sizes)} objects, '
            f'{samples.bytes / 1e6:.0f} MB, into {bucket} ...')
        samples.upload(s3)
        say(f'  {time.monotonic() - start:.1f} s')
        nginx = nginx_lib.Nginx(
            folder, workers=min(4, os.cpu_count()),
            http=nginx_lib.s3_zone(
                size=f'{(samples.bytes * 11 // 10 + ZONE_SPARE) >> 20}m')
            + nginx_lib.s3_store(
                size=f'{(samples.bytes * 3 // 2 + ZONE_SPARE) >> 20}m'),
            server=nginx_lib.s3_location(
                origin.url, origin.access_key, origin.secret_key,
                origin.region, valid='200 206 1h'))
        if os.environ.get('DEMO_PORT'):
            nginx.ports[''] = int(os.environ['DEMO_PORT'])
        with nginx:
            show(origin, nginx, samples)
            if not os.environ.get('DEMO_ONCE'):
                say('Ctrl-C ends it.')
                stop.wait()
    finally:
        if os.environ.get('ORIGIN'):
            say('removing the sample data ...')
            samples.delete(s3)
            if own:
                s3.delete_bucket(Bucket=bucket)


def main():
    stop = threading.Event()

    def end(*_):
        stop.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    folder = tempfile.mkdtemp(prefix='s3c-demo-')
    try:
        if os.environ.get('ORIGIN'):
            run(Origin(os.environ['ORIGIN'], os.environ.get('ACCESS_KEY'),
                       os.environ.get('SECRET_KEY'),
                       os.environ.get('REGION')), f'{folder}/nginx', stop)
        else:
            say('starting Ceph RGW ...')
            start = time.monotonic()
            with rgw_lib.Rgw(f'{folder}/rgw') as rgw:
                say(f'  {rgw.url}, {time.monotonic() - start:.1f} s')
                run(Origin(rgw.url, rgw.access_key, rgw.secret_key,
                           rgw.region), f'{folder}/nginx', stop)
    except KeyboardInterrupt:
        say('\nended')
        return 0 if stop.is_set() and not os.environ.get('DEMO_ONCE') else 130
    except (botocore.exceptions.BotoCoreError,
            botocore.exceptions.ClientError, rgw_lib.Failed,
            AssertionError, RuntimeError, OSError) as e:
        print(f'demo failed: {e}', file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
