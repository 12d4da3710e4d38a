# SPDX-License-Identifier: Apache-2.0
"""What it costs to know who asks: hits of 4 KiB with s3_cache_auth keys and
with off, of clients that send the same signed headers to both."""

import os
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials

import client
import instructions
import servers

SIZE = 4 << 10
CONNECTIONS = 32
PATH = urllib.parse.quote(servers.path_of(SIZE))       # as an SDK sends it
PAIRS = (('direct', 'direct_keys'), ('normal', 'normal_keys'))


def signed(srv, subject):
    """A file of headers as an SDK signs a GET with them."""
    url = srv.url(subject, PATH)
    request = botocore.awsrequest.AWSRequest(
        'GET', url, headers={'x-amz-checksum-mode': 'ENABLED'})
    botocore.auth.S3SigV4Auth(
        botocore.credentials.Credentials(*servers.IDENTITY), 's3',
        'us-east-1').add_auth(request)
    path = os.path.join(srv.dir, f'signed.{subject}')
    with open(client.HEADERS['sdk'], encoding='ascii') as f:
        lines = [line for line in f if not line.lower().startswith(
            ('x-amz-', 'authorization'))]
    with open(path, 'w', encoding='ascii') as f:
        f.writelines(lines)
        f.writelines(f'{name}: {value}\n'
                     for name, value in request.headers.items())
    return path


def measure(srv, core, rounds, seconds):
    """{subject: medians}"""
    files = {s: signed(srv, s) for pair in PAIRS for s in pair}

    def once(subject):
        return client.measure(srv, core, subject, PATH, CONNECTIONS, seconds,
                              f'headers={files[subject]}')

    for subject in files:                            # fills the cache
        client.wrk(core, srv.url(subject, PATH), 4, 1,
                   f'headers={files[subject]}')
    found = client.interleaved([(s,) for s in files], rounds, once)
    return {subject: m for (subject,), m in found.items()}


def count(core, n):
    """{subject: instructions}; nothing without valgrind. The first counts
    twice: the file of identities is read again while it is new."""
    subjects = [s for pair in PAIRS for s in pair]
    found = instructions.count(
        [(s, SIZE, signed) for s in subjects[:1] + subjects], core, n)
    return {subject: many for (subject, *_), many in found.items()}
