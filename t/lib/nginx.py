# SPDX-License-Identifier: Apache-2.0
"""One nginx with the module, in a folder of its own.

    with Nginx(tmp_path, server=GATEWAY_CONF, http=ZONE_CONF) as nginx:
        nginx.url('/bucket/key') ...

Leaving the block stops it and fails if its error log holds an [alert] or
[emerg], a worker died that no test killed, or a sanitizer had something to
say. NGINX_BIN and MODULE_SO (environment) choose what is run.
"""

import http.client
import json
import os
import re
import signal
import subprocess

from lib import adopted, ports, process, wait

MODULE_NAME = 'ngx_http_s3_cache_module.so'
REPO = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.environ.get('BUILD') or os.path.join(REPO, 'build')

BAD_LINES = re.compile(r'\[(alert|emerg)\]|Sanitizer|runtime error:'
                       r'|exited on signal')

CONF = '''\
@module@
@user@
daemon off;
worker_processes @workers@;
worker_shutdown_timeout 20s;
error_log @dir@/error.log @log_level@;
pid @dir@/nginx.pid;
@main@
events {
    worker_connections @connections@;
    @events@
}
http {
    access_log @dir@/access.log;
    client_body_temp_path @dir@/client_body;
    proxy_temp_path @dir@/proxy;
    fastcgi_temp_path @dir@/fastcgi;
    uwsgi_temp_path @dir@/uwsgi;
    scgi_temp_path @dir@/scgi;
    @http@
    server {
        listen 127.0.0.1:@port@ backlog=4096;
        @server@
    }
    @status@
}
'''

STATUS = '''
    server {
        listen 127.0.0.1:@port:status@;
        access_log off;
        location = /status { s3_cache_status; }
        location = /metrics { s3_cache_status prometheus; }
    }
'''


def binary():
    return os.environ.get('NGINX_BIN') or '/usr/sbin/nginx'


def module():
    """The module that belongs to binary()."""
    if os.environ.get('MODULE_SO'):
        return os.path.abspath(os.environ['MODULE_SO'])
    if os.environ.get('NGINX_BIN'):
        beside = os.path.join(os.path.dirname(os.path.abspath(binary())),
                              MODULE_NAME)
        if os.path.exists(beside):
            return beside
    return os.path.join(BUILD, MODULE_NAME)


class Nginx:
    """Pieces of configuration may hold @dir@, @port@ (the main server's),
    @port:NAME@ (one more port, the same wherever NAME is the same)."""

    def __init__(self, folder, server='', http='', main='', events='',
                 workers=2, connections=4096, log_level='info', status=True,
                 conf=None, env=None, with_module=True):
        self.dir = str(folder)
        os.makedirs(self.dir, exist_ok=True)
        os.chmod(self.dir, 0o755)
        self.workers_wanted = workers
        self.template = conf or CONF
        self.pieces = {
            'module': f'load_module {module()};' if with_module else '',
            'user': 'user root;' if os.getuid() == 0 else '',
            'workers': str(workers), 'connections': str(connections),
            'log_level': log_level, 'main': main, 'events': events,
            'http': http, 'server': server,
            'status': STATUS if status and with_module else '',
        }
        self.env = dict(os.environ, **(env or {}))
        self.env.pop('NGINX', None)
        # abort_on_error=0: no core; log_path: workers have no stderr of ours
        san = f'log_path={self.dir}/sanitizer'
        self.env['ASAN_OPTIONS'] = (
            f'{san}:detect_odr_violation=0:detect_leaks=1:'
            f'halt_on_error=1:{os.environ.get("ASAN_OPTIONS", "")}')
        self.env['UBSAN_OPTIONS'] = (
            f'{san}:print_stacktrace=1:{os.environ.get("UBSAN_OPTIONS", "")}')
        self.env['LSAN_OPTIONS'] = (
            f'{san}:print_suppressions=0:suppressions='
            f'{REPO}/t/lib/lsan.supp')
        self.ports = {}
        self.child = None
        self.killed = set()
        self.allowed = []
        self.conf_path = os.path.join(self.dir, 'nginx.conf')
        self.error_log = os.path.join(self.dir, 'error.log')
        self.access_log = os.path.join(self.dir, 'access.log')

    # --- configuration ----------------------------------------------------

    def port(self, name=''):
        if name not in self.ports:
            self.ports[name] = ports.reserve()
        return self.ports[name]

    def write_conf(self, **changed):
        """Writes nginx.conf; `changed` replaces pieces (reload() uses it)."""
        self.pieces.update(changed)
        if 'workers' in changed:
            self.workers_wanted = int(changed['workers'])
        text = self.template
        for _ in range(2):           # pieces may name pieces
            for name, value in self.pieces.items():
                text = text.replace(f'@{name}@', str(value))
        text = text.replace('@dir@', self.dir)
        text = re.sub(r'@port(?::(\w+))?@',
                      lambda m: str(self.port(m.group(1) or '')), text)
        with open(self.conf_path, 'w', encoding='utf-8') as f:
            f.write(text)
        return text

    def _args(self):
        return [binary(), '-p', self.dir, '-e', self.error_log,
                '-c', self.conf_path]

    def test_conf(self, timeout_s=30):
        """`nginx -t`: (exit status, what it said)."""
        self.write_conf()
        args = self._args()
        args[args.index('-e') + 1] = 'stderr'
        env = dict(self.env, ASAN_OPTIONS=self.env['ASAN_OPTIONS']
                   + ':detect_leaks=0')      # see _forget_leaks
        done = subprocess.run(args + ['-t'], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, env=env,
                              timeout=timeout_s, check=False)
        return done.returncode, done.stderr

    # --- life -------------------------------------------------------------

    def start(self, timeout_s=20):
        for attempt in range(5):
            self.write_conf()
            with open(os.path.join(self.dir, 'stdio.log'), 'wb') as out:
                self.child = self._spawn(out)
            try:
                wait.until(self._is_up_or_dead, self._tail, timeout_s)
            except wait.TimedOut:
                self._kill_all(process.children(self.pid))
                raise
            if self.child.poll() is None:
                return self
            self._forget_leaks()
            if 'Address already in use' not in self.log() or attempt == 4:
                raise AssertionError(f'nginx did not start:\n{self._tail()}')
            os.unlink(self.error_log)
            for port in self.ports.values():
                ports.release(port)
            self.ports.clear()
        return self

    def _spawn(self, out):
        return process.start(self._args(), stdout=out, stderr=out,
                             env=self.env)

    def _forget_leaks(self):
        """nginx frees nothing when it refuses its configuration."""
        path = os.path.join(self.dir, f'sanitizer.{self.pid}')
        if 'LeakSanitizer' in process.tail(path, 10 ** 6):
            os.unlink(path)

    def _is_up_or_dead(self):
        return (self.child.poll() is not None
                or len(self.worker_pids()) >= self.workers_wanted)

    def _tail(self):
        return (f'{process.tail(os.path.join(self.dir, "stdio.log"))}'
                f'{process.tail(self.error_log)}{self._sanitizer()}')

    @property
    def pid(self):
        return self.child.pid

    def worker_pids(self, leaving=False):
        """Workers that accept; with `leaving` those that shut down too."""
        found = []
        for pid in process.children(self.pid):
            text = process.title(pid)
            if 'nginx: worker process' in text and (
                    leaving or 'shutting down' not in text):
                found.append(pid)
        return found

    def send_signal(self, number):
        self.child.send_signal(number)

    def reload(self, timeout_s=30, wait_old=False, **changed):
        """SIGHUP with changed pieces; answers when only new workers accept,
        with `wait_old` when the old ones are gone, too."""
        self.write_conf(**changed)
        old = set(self.worker_pids(leaving=True))
        mark = len(self.log())
        self.send_signal(signal.SIGHUP)

        def renewed():
            if '[emerg]' in self.log()[mark:]:
                return True
            now = self.worker_pids()
            alive = self.worker_pids(leaving=True)
            return (len(now) == self.workers_wanted
                    and not old.intersection(alive if wait_old else now))

        wait.until(renewed, self._tail, timeout_s)
        assert '[emerg]' not in self.log()[mark:], self._tail()

    def kill_worker(self, pid=None, number=signal.SIGKILL, timeout_s=20):
        """Kills a worker as a crash would; answers when it is replaced."""
        before = self.worker_pids()
        pid = pid or before[0]
        self.killed.add(pid)
        os.kill(pid, number)
        wait.until(lambda: not process.is_alive(pid)
                   and len(set(self.worker_pids()) - {pid})
                   >= self.workers_wanted,
                   f'no worker took the place of {pid}', timeout_s)
        return pid

    def kill_all(self, timeout_s=20):
        """SIGKILL to the master and all workers: nobody cleans up. start()
        may follow."""
        workers = self.worker_pids(leaving=True)
        self.killed.update(workers)
        self._kill_all(workers)
        wait.until(lambda: not any(map(process.is_alive, workers)),
                   'workers outlive SIGKILL', timeout_s)

    def restart(self, how='stop', **changed):
        """An end by stop, quit or kill_all, and a start from nothing."""
        getattr(self, how)()
        self.pieces.update(changed)
        return self.start()

    def _kill_all(self, workers):
        for pid in [self.pid] + workers:
            if process.is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.child.wait()

    def _end(self, number, timeout_s):
        if self.child is None:
            return
        workers = self.worker_pids(leaving=True)
        if self.child.poll() is None:
            self.send_signal(number)
        try:
            self.child.wait(timeout_s)
            wait.until(lambda: not any(map(process.is_alive, workers)),
                       'workers outlive their master', timeout_s)
        except (subprocess.TimeoutExpired, wait.TimedOut) as e:
            self._kill_all(workers)
            raise AssertionError(
                f'nginx did not end by {number!r}: {e}\n{self._tail()}') from e

    def stop(self, timeout_s=20):
        """SIGTERM: at once."""
        self._end(signal.SIGTERM, timeout_s)

    def quit(self, timeout_s=30):
        """SIGQUIT: when the last request is answered."""
        self._end(signal.SIGQUIT, timeout_s)

    def close(self, check=True):
        try:
            self.stop()
        finally:
            for port in self.ports.values():
                ports.release(port)
            self.ports.clear()
        if check:
            self.check_log()

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        self.close(check=kind is None)

    # --- logs -------------------------------------------------------------

    def log(self):
        try:
            with open(self.error_log, encoding='utf-8',
                      errors='replace') as f:
                return f.read()
        except FileNotFoundError:
            return ''

    def wait_log(self, pattern, timeout_s=20, start=0):
        """The first match of a pattern in the error log from `start`."""
        return wait.until(lambda: re.search(pattern, self.log()[start:]),
                          lambda: f'{pattern!r} in\n{self._tail()}',
                          timeout_s, 0.01)

    def allow(self, pattern):
        """A line of the error log that this test expects."""
        self.allowed.append(re.compile(pattern))

    def _sanitizer(self):
        text = ''
        for name in sorted(os.listdir(self.dir)):
            if name.startswith('sanitizer.'):
                text += f'--- {name}\n'
                text += process.tail(os.path.join(self.dir, name), 200)
        return text

    def bad_lines(self):
        bad = []
        for line in self.log().splitlines():
            if not BAD_LINES.search(line):
                continue
            died = re.search(r'worker process (\d+) exited on signal', line)
            if died and int(died.group(1)) in self.killed:
                continue
            if any(p.search(line) for p in self.allowed):
                continue
            bad.append(line)
        return bad

    def check_log(self):
        bad = self.bad_lines()
        report = self._sanitizer()
        assert not bad and not report, '\n'.join(
            [f'error log of nginx in {self.dir}:'] + bad + [report])

    # --- talking to it ----------------------------------------------------

    def url(self, path='', name=''):
        return f'http://127.0.0.1:{self.port(name)}{path}'

    def request(self, method='GET', target='/', headers=None, body=None,
                name='', timeout_s=30):
        """One request on a connection of its own: the answer, read whole,
        with .status, .headers, .body; the target is sent as it is."""
        conn = http.client.HTTPConnection('127.0.0.1', self.port(name),
                                          timeout=timeout_s)
        try:
            conn.putrequest(method, target, skip_accept_encoding=True)
            for key, value in dict(headers or {}).items():
                conn.putheader(key, value)
            if body is not None:
                conn.putheader('Content-Length', str(len(body)))
            conn.endheaders(body)
            answer = conn.getresponse()
            answer.body = answer.read()
            return answer
        finally:
            conn.close()

    def get(self, target, **headers):
        return self.request('GET', target,
                            {k.replace('_', '-'): v
                             for k, v in headers.items()})

    def status(self):
        """The JSON of s3_cache_status."""
        answer = self.request(target='/status', name='status')
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def metrics(self):
        """The Prometheus text of s3_cache_status."""
        answer = self.request(target='/metrics', name='status')
        assert answer.status == 200, answer.body
        return answer.body.decode()

    def zone(self, name=None):
        """One zone of status(); the first when it is not named."""
        zones = self.status()['zones']
        if name is None:
            return zones[0]
        return next(z for z in zones if z['name'] == name)

    def check_accounting(self, timeout_s=20):
        """Nothing is held any more: no pin, fill or removed entry."""
        last = []

        def at_rest():
            last[:] = [f'{zone["name"]}.{what}={zone["memory"][what]}'
                       for zone in self.status()['zones']
                       for what in ('pins', 'fills', 'limbo')
                       if zone['memory'][what] != 0]
            return not last

        wait.until(at_rest, lambda: 'zones at rest: ' + ', '.join(last),
                   timeout_s, 0.02)

    def rss_bytes(self):
        """Memory of the workers that is not shared."""
        total = 0
        for pid in self.worker_pids(leaving=True):
            with open(f'/proc/{pid}/status', encoding='ascii') as f:
                total += sum(int(line.split()[1]) * 1024 for line in f
                             if line.startswith('RssAnon:'))
        return total


class Upgradable(Nginx):
    """An Nginx that can be exchanged for another binary while it runs."""

    old = None                         # a master that is being replaced

    def _spawn(self, out):
        return adopted.Started(self._args(), stderr=out, env=self.env)

    def start(self, timeout_s=20):
        super().start(timeout_s)
        self.child.let_go()
        return self

    def upgrade(self, timeout_s=20, **changed):
        """USR2: answers when the workers of the new master accept, beside
        those of the old one (.old), whom a QUIT would end."""
        self.write_conf(**changed)
        self.old = self.child
        self.send_signal(signal.SIGUSR2)

        def new_master():
            try:
                with open(f'{self.dir}/nginx.pid', encoding='ascii') as f:
                    pid = int(f.read() or 0)
            except FileNotFoundError:
                return None
            return pid if pid != self.old.pid else None

        self.child = adopted.Adopted(
            wait.until(new_master, self._tail, timeout_s))
        wait.until(self._is_up_or_dead, self._tail, timeout_s)
        assert self.child.poll() is None, self._tail()

    def close(self, check=True):
        if self.old:
            process.stop(self.old)
        super().close(check)


def s3_zone(name='hot', size='64m', policy='s3fifo', **more):
    """A zone, for the http part."""
    words = [f'{key}={value}' for key, value in more.items()]
    return (f's3_cache_zone {name}:{size} policy={policy} '
            f'{" ".join(words)};\n').replace(' ;', ';')


def s3_store(path='@dir@/store', size='64m', zone='hot', **more):
    """A store of a zone, for the http part. Its reads may take long: disks are
    shared, and the default of one second is for those that are not."""
    words = [f'{key}={value}' if value is not True else key
             for key, value in {'timeout': '30s', **more}.items()]
    return (f's3_cache_store {path} size={size} zone={zone} '
            f'{" ".join(words)};\n').replace(' ;', ';')


def s3_location(origin, access_key=None, secret_key=None, region='us-east-1',
                zone='hot', valid='200 206 1m', more='', path='/'):
    """A location that reads through the cache, for the server part."""
    lines = [f's3_cache {zone};', f's3_cache_origin {origin};',
             f's3_cache_origin_region {region};']
    if access_key:
        lines.append(f's3_cache_origin_credentials access_key={access_key} '
                     f'secret_key={secret_key};')
    if valid:
        lines.append(f's3_cache_valid {valid};')
    body = '\n            '.join(lines + [more])
    return f'location {path} {{\n            {body}\n        }}\n'

