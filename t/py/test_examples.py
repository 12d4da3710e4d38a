# SPDX-License-Identifier: Apache-2.0
"""The documentation is true: examples load and serve, docs/directives.md
names the directives that there are with their real defaults, and the README
begins with an example that works.

An example is run as it is, save for what belongs to a machine: the module's
path, ports and addresses to listen on ("all" stays that where it is only
loaded), files under /etc/nginx, /var/log and /run, and the user. To read
through it, its origins become the scripted one and its zones and limits small.
"""

import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import urllib.parse

import pytest

from lib import nginx as nginx_lib
from lib import s3client
from origin.objects import pattern

ROOT = nginx_lib.REPO
FOLDER = os.path.join(ROOT, 'conf-examples')
EXAMPLES = sorted(name for name in os.listdir(FOLDER)
                  if name.endswith('.conf'))

CREDENTIALS = ''.join(f'[{profile}]\naws_access_key_id = A\n'
                      'aws_secret_access_key = S\n'
                      for profile in ('default', 'ceph', 'minio'))
EVENTS_TOKEN = 'what-the-store-shows'
BUCKET = {'virtual-host.conf': 'datasets', 'public-bucket.conf':
          'my-public-bucket', 'identities.conf': 'datasets',
          'audit.conf': 'datasets'}
IDENTITIES = 'credentials.json'


def text_of(*path):
    with open(os.path.join(ROOT, *path), encoding='utf-8') as f:
        return f.read()


def glue(name):
    return text_of('ngx_module', f'ngx_http_s3_cache_{name}.c')


# --- examples -----------------------------------------------------------------

class Example:
    """One example, moved to this machine; .listeners are (name, is TLS)."""

    def __init__(self, name, folder, origin=None):
        self.listeners = []
        self.everywhere = '127.0.0.1' if origin else '*'
        text = text_of('conf-examples', name)
        text, n = re.subn(r'(?m)^load_module modules/\S+;$',
                          f'load_module {nginx_lib.module()};', text)
        assert n == 1, f'{name} must load the module as Debian does'
        text = re.sub(r'(?m)^user .*;\n|^pid .*;\n|^error_log .*;\n'
                      r'|^worker_processes .*;\n', '', text)
        text = re.sub(r'\blisten +([\d.]+:)?(\d+)', self._listen, text)
        text = re.sub(r'(?<=[ =])/(etc/nginx|var/log/nginx|var/cache/s3/\w)/',
                      rf'{folder}/\1/', text)
        # a store must fit the disk, also for nginx -t
        text = re.sub(r'(s3_cache_store \S+ size=)\w+', r'\g<1>128m', text)
        head = ('daemon off;\nworker_processes 2;\npid @dir@/nginx.pid;\n'
                'error_log @dir@/error.log notice;\n@user@\n')
        more = [f'{what}_temp_path @dir@/{what};' for what in (
            'client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi')]
        if 'access_log' not in text:
            more.append('access_log @dir@/access.log;')
        text = text.replace('http {', ' '.join(['http {'] + more), 1)
        if origin is not None:
            text = re.sub(r's3_cache_origin +\S+;',
                          f's3_cache_origin {origin.url};', text)
            text = re.sub(r'(s3_cache_zone \w+):\w+', r'\1:64m', text)
            text = re.sub(r' fill_memory=\w+', '', text)
            # the other nodes are down
            text = re.sub(r'10\.0\.0\.(1\d:9100)', r'127.0.0.\1', text)
            text = re.sub(r'10\.0\.0\.2\d;', '127.0.0.1:1;', text)
            text = re.sub(r'(?m)^worker_rlimit_nofile .*;\n', '', text)
            text = re.sub(r'worker_connections \d+', 'worker_connections 512',
                          text)
        self.text = head + text

    def _listen(self, match):
        port = match.group(2)
        if port not in (p for p, _ in self.listeners):
            after = match.string[match.end():match.string.index(';',
                                                                match.end())]
            self.listeners.append((port, ' ssl' in after))
        address = '127.0.0.1' if match.group(1) else self.everywhere
        return f'listen {address}:@port:p{port}@'


@pytest.fixture
def make_example(tmp_path, make_nginx, authority):
    def make(name, origin=None):
        for sub in ('etc/nginx', 'var/log/nginx', 'var/cache/s3/a',
                    'var/cache/s3/b'):
            os.makedirs(tmp_path / sub)
        secret = tmp_path / 'etc/nginx/s3-credentials'
        secret.write_text(CREDENTIALS, encoding='ascii')
        secret.chmod(0o600)
        secret = tmp_path / 'etc/nginx/s3-peers-secret'
        secret.write_text('what the nodes know each other by\n',
                          encoding='ascii')
        secret.chmod(0o600)
        secret = tmp_path / 'etc/nginx/s3-redis-password'
        secret.write_text('secret\n', encoding='ascii')
        secret.chmod(0o600)
        secret = tmp_path / 'etc/nginx/s3-events-token'
        secret.write_text(f'{EVENTS_TOKEN}\n', encoding='ascii')
        secret.chmod(0o600)
        shutil.copy(os.path.join(FOLDER, IDENTITIES), tmp_path / 'etc/nginx')
        (tmp_path / 'etc/nginx' / IDENTITIES).chmod(0o600)
        example = Example(name, tmp_path, origin)
        if 'ssl_certificate ' in example.text:
            cert, key = authority.issue(('s3.example.com',
                                         '*.s3.example.com'))
            os.symlink(cert, tmp_path / 'etc/nginx/s3.example.com.pem')
            os.symlink(key, tmp_path / 'etc/nginx/s3.example.com.key')
        nginx = make_nginx(conf=example.text, status=False)
        nginx.listeners = example.listeners
        return nginx
    return make


def curl(nginx, port, tls, path, host=None):
    """(status, X-Cache, body)"""
    host = host or '127.0.0.1'
    number = nginx.port(f'p{port}')
    url = f'{"https" if tls else "http"}://{host}:{number}{path}'
    done = subprocess.run(
        ['curl', '-sS', '--insecure', '--noproxy', '*', '--max-time', '20',
         '--resolve', f'{host}:{number}:127.0.0.1', '-o', '-', '-w',
         '\n%{http_code}', '-D', f'{nginx.dir}/head', url],
        capture_output=True, timeout=30, check=True)
    body, _, status = done.stdout.rpartition(b'\n')
    with open(f'{nginx.dir}/head', encoding='latin-1') as f:
        cache = re.search(r'(?im)^x-cache: (\w+)', f.read())
    return int(status), cache and cache.group(1), body


def keys_of(name):
    """(access key, secret key) of an identity."""
    for identity in json.loads(text_of('conf-examples', IDENTITIES))[
            'identities']:
        if identity['name'] == name:
            key, = identity['keys']
            return key['access_key'], key['secret_key']
    raise KeyError(name)


def presigned(nginx, name, bucket, key, operation='get_object', secret=None):
    """Path and query."""
    port, tls = nginx.listeners[0]
    access_key, secret_key = keys_of(name)
    url = s3client.client(
        f'{"https" if tls else "http"}://127.0.0.1:{nginx.port(f"p{port}")}',
        access_key, secret or secret_key).generate_presigned_url(
            operation, {'Bucket': bucket, 'Key': key}, 60)
    parts = urllib.parse.urlsplit(url)
    return f'{parts.path}?{parts.query}'


@pytest.mark.parametrize('name', EXAMPLES)
def test_an_example_loads_as_it_is(name, make_example):
    status, said = make_example(name).test_conf()
    assert status == 0 and '[warn]' not in said, said


@pytest.mark.parametrize('name', EXAMPLES)
def test_an_example_reads_and_then_hits(name, make_example, origin):
    bucket = BUCKET.get(name, 'bucket')
    body = pattern(100_000)
    origin.put(bucket, 'a key', body)
    nginx = make_example(name, origin).start()
    port, tls = nginx.listeners[0]
    path = f'/{bucket}/a%20key'
    if 's3_cache_auth        keys' in text_of('conf-examples', name):
        path = presigned(nginx, 'trainer', bucket, 'a key')
    assert curl(nginx, port, tls, path) == (200, 'MISS', body)
    # of a ring the others are not there, and do not vouch for it
    assert curl(nginx, port, tls, path) == (
        200, 'REVALIDATED' if name.startswith('ring') else 'HIT', body)


def test_virtual_host_and_path_style_are_one_object(make_example, origin):
    body = pattern(1000)
    origin.put('datasets', 'k', body)
    nginx = make_example('virtual-host.conf', origin).start()
    (port, tls), = nginx.listeners
    answers = [curl(nginx, port, tls, *more) for more in (
        ('/k', 'datasets.s3.example.com'),
        ('/datasets/k', 's3.example.com'))]
    assert answers == [(200, 'MISS', body), (200, 'HIT', body)]


def test_two_origins_do_not_meet(make_example, origin):
    origin.put('bucket', 'k', b'x')
    nginx = make_example('two-origins.conf', origin).start()
    # here both are one origin, but the profiles hold the same key, too
    assert len(nginx.listeners) == 2
    for port, tls in nginx.listeners:
        assert curl(nginx, port, tls, '/bucket/k')[::2] == (200, b'x')


def test_a_public_bucket_is_asked_without_a_signature(make_example, origin):
    origin.put('my-public-bucket', 'k', b'x')
    nginx = make_example('public-bucket.conf', origin).start()
    (port, tls), = nginx.listeners
    assert curl(nginx, port, tls, '/my-public-bucket/k')[0] == 200
    assert origin.requests[0].header('authorization') is None
    assert curl(nginx, port, tls, '/other/k')[0] == 403


def test_metrics_answer_and_the_log_tells_what_was_done(make_example, origin,
                                                        tmp_path):
    origin.put('bucket', 'k', b'x')
    nginx = make_example('metrics.conf', origin).start()
    (port, tls), (status_port, _) = nginx.listeners
    curl(nginx, port, tls, '/bucket/k')
    answer = curl(nginx, status_port, False, '/metrics')
    assert answer[0] == 200
    assert b's3_cache_requests_total{' in answer[2]
    assert curl(nginx, status_port, False, '/status')[2].startswith(b'{')
    nginx.stop()                    # the log is buffered
    log = (tmp_path / 'var/log/nginx/s3.log').read_text(encoding='utf-8')
    assert '"bucket":"bucket","key":"k"' in log and '"cache":"MISS"' in log


def test_the_identities_are_those_that_the_reader_is_fuzzed_with():
    assert (text_of('conf-examples', IDENTITIES)
            == text_of('t', 'fuzz', 'seeds', 'identity_fuzz', 'example'))


@pytest.mark.parametrize('who, bucket, key, status', [
    ('trainer', 'datasets', 'k', 200),
    ('trainer', 'datasets', 'private/k', 403),
    ('trainer', 'other', 'k', 403),
    ('operator', 'datasets', 'private/k', 200),
    (None, 'models', 'public/k', 200),
    (None, 'models', 'k', 403),
    (None, 'datasets', 'k', 403)])
def test_identities_may_what_the_file_says(make_example, origin, who, bucket,
                                           key, status):
    origin.put(bucket, key, b'x')
    nginx = make_example('identities.conf', origin).start()
    (port, tls), = nginx.listeners
    path = (presigned(nginx, who, bucket, key) if who
            else f'/{bucket}/{key}')
    for _ in range(2):
        assert curl(nginx, port, tls, path)[0] == status
    assert len(origin.requests) == (1 if status == 200 else 0)


def test_limits_are_of_identities_and_of_nobody_by_address(make_example,
                                                           origin):
    origin.put('datasets', 'k', b'x')
    origin.put('models', 'public/k', b'x')
    nginx = make_example('identities.conf', origin)
    nginx.template = re.sub(r'rate=\w+/s', 'rate=1r/m', re.sub(
        r'burst=\w+', 'burst=1', nginx.template))
    nginx.start()
    (port, tls), = nginx.listeners
    paths = {
        'stranger': presigned(nginx, 'trainer', 'datasets', 'k', secret='x'),
        'trainer': presigned(nginx, 'trainer', 'datasets', 'k'),
        'operator': presigned(nginx, 'operator', 'datasets', 'k'),
        'anonymous': '/models/public/k'}
    answers = {who: [curl(nginx, port, tls, path)[0] for _ in range(3)]
               for who, path in paths.items()}
    # one, and a burst of one; who claims to be another takes nothing of his
    assert answers.pop('stranger') == [403, 403, 503]
    assert set(map(tuple, answers.values())) == {(200, 200, 503)}


def test_limits_are_of_buckets_too(make_example, origin):
    origin.put('datasets', 'long', pattern(1_000_000))
    origin.put('datasets', 'k', b'x')
    origin.put('models', 'k', b'x')
    nginx = make_example('identities.conf', origin)
    nginx.template = re.sub(r'limit_conn buckets \d+', 'limit_conn buckets 1',
                            nginx.template)
    nginx.template = re.sub(r'(?m)^( +default +)0;', r'\g<1>1k;',
                            nginx.template)
    nginx.start()
    (port, tls), = nginx.listeners
    client = http.client.HTTPSConnection(
        '127.0.0.1', nginx.port(f'p{port}'), timeout=20,
        context=ssl._create_unverified_context())
    client.request('GET', presigned(nginx, 'operator', 'datasets', 'long'))
    answer = client.getresponse()                    # at 1k a second
    assert answer.status == 200
    assert [curl(nginx, port, tls, presigned(nginx, 'operator', bucket,
                                             'k'))[0]
            for bucket in ('datasets', 'models')] == [503, 200]
    answer.close()
    client.close()


def test_the_audit_log_says_who_did_what_and_no_secret(make_example, origin,
                                                       tmp_path):
    origin.put('datasets', 'k', b'xyz')
    nginx = make_example('audit.conf', origin)
    # of two, each writes its lines when it has enough of them
    nginx.template = nginx.template.replace('worker_processes 2',
                                            'worker_processes 1')
    nginx.workers_wanted = 1
    nginx.start()
    (port, tls), = nginx.listeners
    good = presigned(nginx, 'trainer', 'datasets', 'k')
    denied = presigned(nginx, 'trainer', 'datasets', 'private/k')
    forged = presigned(nginx, 'trainer', 'datasets', 'k', secret='x')
    for path in (good, good, denied, forged, '/datasets/k'):
        curl(nginx, port, tls, path)
    nginx.stop()                    # the log is buffered
    text = (tmp_path / 'var/log/nginx/s3-audit.log').read_text('utf-8')
    lines = [json.loads(line) for line in text.splitlines()]
    assert [[line[name] for name in ('identity', 'auth', 'status', 'action',
                                     'cache', 'tier', 'sent')]
            for line in lines[:2]] == [
        ['trainer', 'allowed', 200, 'read', 'MISS', 'origin', 3],
        ['trainer', 'allowed', 200, 'read', 'HIT', 'ram', 3]]
    assert [[line[name] for name in ('identity', 'access_key', 'auth',
                                     'status', 'action', 'cache')]
            for line in lines[2:]] == [
        ['trainer', keys_of('trainer')[0], 'AccessDenied', 403, 'read',
         'REFUSED'],
        ['', '', 'SignatureDoesNotMatch', 403, '', 'REFUSED'],
        ['anonymous', '', 'AccessDenied', 403, 'read', 'REFUSED']]
    refused = (tmp_path / 'var/log/nginx/s3-refused.log').read_text('utf-8')
    assert refused.splitlines() == text.splitlines()[2:]
    for path in (good, denied, forged):
        query = dict(urllib.parse.parse_qsl(path.partition('?')[2]))
        assert query['X-Amz-Signature'] not in text
    assert text.count('X-Amz-Signature=***') == 4
    assert 'X-Amz-Date=' in text    # the rest of it is there
    assert keys_of('trainer')[1] not in text + nginx.log()


# --- README --------------------------------------------------------------------

def test_the_readme_begins_with_the_minimal_example():
    first = re.search(r'```nginx\n(.*?)```', text_of('README.md'), re.S)
    assert first.group(1) == text_of('conf-examples', 'minimal.conf')


def anchors(text):
    """Those of the headings, as they are made of them where it is shown."""
    return {re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-')
            for heading in re.findall(r'(?m)^#+ (.*)$', text)}


@pytest.mark.parametrize('name', [
    'README.md', 'CHANGES', 'conf-examples/README.md',
    'conf-examples/kubernetes/README.md'] + sorted(
        os.path.relpath(os.path.join(folder, name), ROOT)
        for folder, _, names in os.walk(os.path.join(ROOT, 'docs'))
        for name in names if name.endswith('.md')))
def test_links_lead_somewhere(name):
    for target, anchor in re.findall(r'\]\(([^)#\s]*)(?:#([\w-]*))?\)',
                                     text_of(name)):
        if re.match(r'\w+:', target):
            continue
        there = os.path.join(ROOT, os.path.dirname(name), target)
        there = there if target else os.path.join(ROOT, name)
        assert os.path.exists(there), f'{name}: {target}'
        assert not anchor or anchor in anchors(text_of(there)), (
            f'{name}: {target}#{anchor}')


def test_all_examples_are_listed():
    listed = re.findall(r'\]\(([\w-]+\.conf)\)',
                        text_of('conf-examples/README.md'))
    assert sorted(listed) == EXAMPLES


# --- directives ----------------------------------------------------------------

def commands():
    """{directive: its flags} of the command table."""
    table = glue('module').split('ngx_http_s3_cache_commands[]', 1)[1]
    table = table.split('ngx_null_command', 1)[0]
    return dict(re.findall(r'ngx_string\("(\w+)"\),\s*([\w|]+),', table))


def contexts(flags):
    if 'ANYWHERE' in flags:
        return 'http, server, location'
    if 'NGX_HTTP_MAIN_CONF' in flags:
        return 'http'
    assert 'NGX_HTTP_LOC_CONF' in flags
    return 'location'


def sections():
    """{directive: its section} of docs/directives.md."""
    parts = re.split(r'(?m)^### (s3_cache\w*)$', text_of('docs/directives.md'))
    return {name: re.split(r'(?m)^## ', body)[0]
            for name, body in zip(parts[1::2], parts[2::2])}


def row(section, what):
    match = re.search(rf'(?m)^\| {what} \| (.*) \|$', section)
    return match.group(1) if match else None


def defaults():
    """{field: default} of the functions that merge, in nginx's words."""
    found = {}
    text = glue('conf_merge') + glue('origin_conf') + glue('auth_conf')
    limits = dict(re.findall(r'(?m)^#define (S3C_SIGV4_\w+_SEC) +(\d+)$',
                             text_of('src', 'auth', 'sigv4_verify.h')))
    for kind, field, value in re.findall(
            r'ngx_conf_merge_(\w+?)?_?value\(\s*conf->(\w+),\s*'
            r'prev->\w+,\s*([^;]+)\);', text):
        if kind == 'msec':
            value = f'{int(value) // 1000}s'
        elif kind == 'size':
            size = 1
            for factor in value.split('*'):
                size *= int(factor)
            value = f'{size >> 20}m'
        elif kind == 'str':
            value = value.strip('"')
        elif value in limits:
            value = {'900': '15m', '604800': '7d'}[limits[value]]
        elif value.startswith(('S3C_FRESHNESS_', 'NGX_HTTP_S3_CACHE_AUTH_')):
            value = value.rsplit('_', 1)[1].lower()
        found[field] = value
    return found


def test_each_directive_is_documented_once_and_no_other():
    headings = re.findall(r'(?m)^### (s3_cache\w*)$',
                          text_of('docs/directives.md'))
    assert sorted(headings) == sorted(commands())


@pytest.mark.parametrize('name', sorted(commands()))
def test_a_directive_says_syntax_default_context_and_an_example(name):
    section = sections()[name]
    assert row(section, 'Syntax').startswith(f'`{name}')
    assert row(section, 'Context') == contexts(commands()[name])
    assert row(section, 'Default') is not None
    assert re.search(rf'```nginx\n[^`]*\b{name}\b[^`]*```', section)


def test_the_defaults_are_those_of_the_merge():
    conf = defaults()
    flags = {name for name, said in commands().items()
             if 'NGX_CONF_FLAG' in said}
    checked = set()
    for name, section in sections().items():
        field = re.sub(r'^s3_cache_(origin_)?', '', name)
        if name == 's3_cache_write_through':
            conf[field] = 'off'
        if field not in conf or conf[field] == 'NULL':
            continue                 # NULL: a list, see below
        value = conf[field]
        if name in flags or name in ('s3_cache_list',      # 0: off
                                     's3_cache_verify'):
            value = {'0': 'off', '1': 'on'}[value]
        if (name.startswith('s3_cache_stale') or '_valid' in name) \
                and value.isdigit():
            value += 's'
        expected = f'`{name} {value};`' if value != '' else '-'
        assert row(section, 'Default') == expected
        checked.add(field)
    # what has a default of its own and no row in a merge, or none at all
    assert (set(conf) - checked
            == {'enable', 'domains', 'valid', 'keyring', 'auth_hosts',
                'auth_regions'}), 'defaults without a directive'
    rest = {re.sub(r'^s3_cache_(origin_)?', '', name)
            for name in commands()} - checked
    assert rest == {'s3_cache', 'zone', 'store', 'io', 'origin',
                    'credentials', 'domain', 'valid', 'status', 'admin', 'peers',
                    'redis', 'peer_endpoint', 'events', 'dashboard', 'auth_hosts',
                     'auth_regions', 'alerts', 'warmup', 'profile'}


def test_the_default_of_valid_is_that_of_the_code():
    assert re.search(r'valid = \(status == 200\) \? 60 : 0;', glue('conf'))
    assert row(sections()['s3_cache_valid'],
               'Default') == '`s3_cache_valid 200 206 60s;`'


def test_each_variable_is_documented_and_no_other():
    table = glue('variables').split('ngx_http_s3_cache_vars[]', 1)[1]
    table = table.split('ngx_http_null_variable', 1)[0]
    said = text_of('docs/directives.md').split('## Variables', 1)[1]
    assert (sorted(re.findall(r'ngx_string\("(\w+)"\)', table))
            == sorted(re.findall(r'(?m)^\| `\$(\w+)` \|', said)))


def test_each_value_of_x_cache_is_documented():
    names = glue('reply').split('_result_names[]', 1)[1].split('};', 1)[0]
    said = text_of('docs/directives.md').split('## X-Cache', 1)[1]
    said = said.split('\n## ', 1)[0]
    assert (re.findall(r'ngx_string\("(\w+)"\)', names)
            == re.findall(r'(?m)^\| `(\w+)` \|', said))


def test_each_word_of_bypass_is_documented():
    names = text_of('src/s3/s3_operation.c').split('s3c_s3_pass_name(', 1)[1]
    words = re.findall(r'case S3C_PASS_\w+: *return "(\w+)";', names)
    for name in ('request', 'lookup', 'send', 'pass', 'reply', 'direct',
                 'write', 'auth_origin'):
        words += re.findall(r'(?:ngx_http_s3_cache_|ctx->front->)pass\(ctx, '
                            r'"(\w+)"\)', glue(name))
    said = text_of('docs/directives.md').split('### Words of s3_cache_bypass',
                                               1)[1]
    said = said.split('\n## ', 1)[0]
    assert sorted(set(words)) == sorted(re.findall(r'(?m)^\| `(\w+)` \|',
                                                   said))


def test_the_lines_of_the_error_log_are_those_of_the_code():
    code = ''
    folder = os.path.join(ROOT, 'ngx_module')
    for name in os.listdir(folder):
        if name.endswith(('.c', '.h')):
            code += text_of('ngx_module', name)
    code = re.sub(r'"\s*"', '', code).replace('\\"', '"')
    rows = text_of('docs/operations.md').split('| line | level | means |',
                                               1)[1].split('\n\n', 1)[0]
    lines = [line for row in rows.splitlines()[2:]
             for line in re.findall(r'`([^`]+)`', row.split(' | ')[0])]
    assert len(lines) > 10
    for line in lines:
        for piece in re.split(r'\.\.\.|\b[NPS]\b', line):
            # nginx puts "while" before what a connection does
            assert re.sub(r'^while ', '', piece.strip(' "')) in code, line


# --- what the way of a request names --------------------------------------------

@pytest.mark.parametrize('name', ['request-path.md', 'architecture.md'])
def test_functions_that_are_named_exist(name):
    code = ''
    for folder in ['ngx_module'] + [os.path.join('src', room) for room
                                    in os.listdir(os.path.join(ROOT, 'src'))]:
        for file in os.listdir(os.path.join(ROOT, folder)):
            if file.endswith(('.c', '.h')):
                code += text_of(folder, file)
    missing = [f for f in re.findall(r'`(\w+)\(\)`',
                                     text_of('docs', name))
               if not re.search(rf'\b(?:ngx_http_s3_cache_)?{f}\(', code)]
    assert not missing
