# SPDX-License-Identifier: Apache-2.0
"""A metadata service for tests: of an instance (IMDSv2), of a container (ECS,
EKS Pod Identity), and an STS (AssumeRoleWithWebIdentity), all at one address.

    with Metadata(secrets=origin.secrets, lifetime_s=6) as metadata:
        metadata.fail('500', times=2)       # the next two answers with keys
        ...
        metadata.heal()

Each answer has new keys, which an origin then knows by `secrets`.
"""

import collections
import http.server
import json
import os
import threading
import time
from urllib.parse import parse_qs, urlsplit

from lib import wait

ROLE = 'gateway-role'
ROLES = '/latest/meta-data/iam/security-credentials/'
TIME = '%Y-%m-%dT%H:%M:%SZ'

Asked = collections.namedtuple('Asked', 'step method path headers body port '
                               'at_s')
Keys = collections.namedtuple('Keys', 'access_key secret_key token expires '
                              'at_s')

STS = '''<?xml version="1.0" encoding="UTF-8"?>
<AssumeRoleWithWebIdentityResponse
    xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>subject</SubjectFromWebIdentityToken>
    <Credentials>
      <SessionToken>{token}</SessionToken>
      <SecretAccessKey>{secret}</SecretAccessKey>
      <Expiration>{expires}</Expiration>
      <AccessKeyId>{access}</AccessKeyId>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>'''


class Metadata:
    def __init__(self, secrets=None, lifetime_s=3600, fixed=None):
        """`fixed`: (access key, secret key), always these, without a token."""
        self.secrets = {} if secrets is None else secrets
        self.lifetime_s, self.fixed = lifetime_s, fixed
        self.authorization = None          # what a container must say
        self.asked, self.issued = [], []
        self._faults = []                  # [step, what, times]
        self._healed = threading.Condition()
        self._tokens = set()
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                service._serve(self)

            do_PUT = do_POST = do_GET

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(('127.0.0.1', 0),
                                                       Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f'http://127.0.0.1:{self.port}'
        self._thread = threading.Thread(target=self._server.serve_forever,
                                        daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.heal()
        self._server.shutdown()
        self._server.server_close()

    # --- what a test says ----------------------------------------------------

    def fail(self, what, step='keys', times=None):
        """what: a status, 'malformed', 'expired', 'denied', 'endless', 'drop'
        'hang' (until healed, then dropped), 'drip' (a byte now and then until
        healed, then dropped)
        or 'slow' (until healed); step: 'token', 'role' or 'keys'."""
        self._faults.append([step, what, times])

    def heal(self):
        with self._healed:
            self._faults.clear()
            self._healed.notify_all()

    def wait_asked(self, count, step='keys', timeout_s=20):
        """The first `count` questions of that kind."""
        def enough():
            found = [a for a in list(self.asked) if a.step == step]
            return found if len(found) >= count else None
        return wait.until(enough, lambda: f'{count} questions {step}: '
                          f'{[(a.step, a.path) for a in self.asked]}',
                          timeout_s)

    def owner(self, asked, pids):
        """Which of these processes has asked, and waits for the answer."""
        def found():
            inode = self._inode(asked.port)
            return next((pid for pid in pids if inode in _links(pid)), None)
        return wait.until(found, lambda: f'owner of {asked} in {pids}')

    def _inode(self, port):
        with open('/proc/net/tcp', encoding='ascii') as f:
            for line in list(f)[1:]:
                words = line.split()
                local, peer = (int(w.split(':')[1], 16) for w in words[1:3])
                if (local, peer, words[3]) == (port, self.port, '01'):
                    return f'socket:[{words[9]}]'
        return None

    # --- how it is answered --------------------------------------------------

    def _fault(self, step):
        for fault in list(self._faults):
            if fault[0] == step and fault[2] != 0:
                if fault[2] is not None:
                    fault[2] -= 1
                return fault[1]
        return None

    def _serve(self, h):
        size = int(h.headers.get('Content-Length') or 0)
        body = h.rfile.read(size)
        step = self._step(h)
        self.asked.append(Asked(step, h.command, h.path, dict(h.headers),
                                body, h.client_address[1], time.monotonic()))
        what = self._fault(step)
        if what in ('hang', 'slow'):
            with self._healed:
                self._healed.wait_for(lambda: not self._faults, 60)
            what = 'drop' if what == 'hang' else None
        if what == 'drip':
            self._drip(h)
            what = 'drop'
        if what == 'drop':
            h.close_connection = True
            return
        if what == 'endless':
            h.send_response(200)
            h.send_header('Content-Length', str(1 << 20))
            h.end_headers()
            try:
                h.wfile.write(b'{' + b' ' * (1 << 20))
            except OSError:
                pass
            return
        if what and what.isdigit():
            self._reply(h, int(what), b'no')
            return
        status, text = self._answer(h, step, body, what)
        self._reply(h, status, text.encode())

    def _drip(self, h):
        h.send_response(200)
        h.send_header('Content-Length', '10000')
        h.end_headers()
        with self._healed:
            while self._faults:
                try:
                    h.wfile.write(b' ')
                except OSError:
                    return
                self._healed.wait(0.5)

    @staticmethod
    def _reply(h, status, text):
        try:
            h.send_response(status)
            h.send_header('Content-Type', 'text/plain')
            h.send_header('Content-Length', str(len(text)))
            h.end_headers()
            h.wfile.write(text)
        except OSError:
            pass

    @staticmethod
    def _step(h):
        if h.path == '/latest/api/token':
            return 'token'
        return 'role' if h.path == ROLES else 'keys'

    def _answer(self, h, step, body, what):
        if step == 'token':
            ttl = h.headers.get('X-aws-ec2-metadata-token-ttl-seconds')
            if h.command != 'PUT' or not 1 <= int(ttl or 0) <= 21600:
                return 400, 'no'
            token = f'imds-{len(self.asked)}=='
            self._tokens.add(token)
            return 200, 'to ken' if what == 'malformed' else token
        if h.path.startswith(ROLES):
            if h.headers.get('X-aws-ec2-metadata-token') not in self._tokens:
                return 401, 'v1 is off'
            if step == 'role':
                return 200, '\x01' if what == 'malformed' else f'{ROLE}\n'
            if h.path != ROLES + ROLE:
                return 404, 'no such role'
        if h.command == 'POST':
            form = parse_qs(body.decode(), strict_parsing=True)
            if (form.get('Action') != ['AssumeRoleWithWebIdentity']
                    or form.get('Version') != ['2011-06-15']
                    or h.headers.get('Authorization')):
                return 400, 'no'
        elif (self.authorization
              and h.headers.get('Authorization') != self.authorization):
            return 403, 'not authorized'
        return 200, self._keys(h, what)

    def _keys(self, h, what):
        number = len(self.issued) + 1
        expires = int(time.time()) + (-10 if what == 'expired'
                                      else self.lifetime_s)
        access, secret = self.fixed or (f'ASIA{number:04}',
                                        f'sEcReT/+{number}xyz=')
        token = None if self.fixed else f'tOkEn//+{number}abc=='
        keys = Keys(access, secret, token, expires, time.monotonic())
        when = time.strftime(TIME, time.gmtime(expires))
        if what not in ('malformed', 'denied', 'expired'):
            self.secrets[access] = secret
            self.issued.append(keys)
        if h.command == 'POST':
            text = STS.format(token=token, secret=secret, expires=when,
                              access=access)
        else:
            found = {'AccessKeyId': access, 'SecretAccessKey': secret,
                     'Expiration': when}
            if token:
                found['Token'] = token
            if urlsplit(h.path).path.startswith(ROLES):
                found['Code'] = 'Failed' if what == 'denied' else 'Success'
                found['Type'] = 'AWS-HMAC'
                found['LastUpdated'] = when
            # as some write it
            text = json.dumps(found, indent=2).replace('/', '\\/')
        return text[:-5] if what == 'malformed' else text


def _links(pid):
    found = set()
    try:
        for name in os.listdir(f'/proc/{pid}/fd'):
            try:
                found.add(os.readlink(f'/proc/{pid}/fd/{name}'))
            except OSError:
                pass
    except OSError:
        pass
    return found
