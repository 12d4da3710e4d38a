# SPDX-License-Identifier: Apache-2.0
"""Peers: what `nginx -t` says of them, and which node a machine takes itself
for."""

import os
import re
import shutil
import socket
import subprocess

import pytest

from lib.nginx import s3_zone

SECRET = 'Sup3rS3cretDoNotPrint'
ORIGIN = 's3_cache_origin http://127.0.0.1:9;'

# Addresses for documentation: no machine has one.
A, B, C = '203.0.113.1:9100', '203.0.113.2:9100', '203.0.113.3:9100'
NODES = f'node a {A};\n    node b {B};'


def peers(*lines, nodes=NODES, self='self a;', secret=f'secret {SECRET};',
          zone='hot'):
    """A block with a parameter a line; None leaves one out."""
    body = '\n    '.join(filter(None, (nodes, self, secret) + lines))
    return f's3_cache_peers {zone} {{\n    {body}\n}}\n'


def check(make_nginx, http, location='s3_cache_peer_endpoint hot;',
          zone=s3_zone(), **more):
    """(exit status, what nginx -t says)"""
    nginx = make_nginx(http=zone + http, status=False,
                       server=f'location / {{ {location} }}', **more)
    return nginx.test_conf()


def refused(said, complaint, line_has='s3_cache_peers hot {'):
    """The complaint, with file and line: that line holds `line_has`."""
    code, text = said
    assert code == 1, text
    found = re.search(rf'\[emerg\] .*{complaint}.* in (\S+):(\d+)', text)
    assert found, text
    assert SECRET not in text
    with open(found.group(1), encoding='utf-8') as f:
        assert line_has in f.readlines()[int(found.group(2)) - 1]


def accepted(said, warning=None):
    """... and the notice of each zone: which node this is, and why."""
    code, text = said
    assert code == 0, text
    assert SECRET not in text
    if warning:
        assert re.search(rf'\[warn\] .*{warning}', text), text
    else:
        assert '[warn]' not in text, text
    return re.findall(r'\[notice\] .*this is node "(\S+)", (.*)', text)


# --- what is right ------------------------------------------------------------

def test_all_parameters_are_taken(make_nginx):
    block = peers(
        f'node [c] {C} weight=0;', f'node d [2001:db8::1]:9100 weight=1000;',
        f'node {"e" * 255} localhost:9100 zone={"r" * 63} weight=2;',
        'stripe 32m;', 'connect_timeout 1ms;', 'timeout 1h;', 'retry 1m;',
        'hedge 50ms;', 'handover 0;', 'mirror 50% 1h;',
        'links 16;', 'ssl off;')
    assert accepted(check(make_nginx, block)) == [('a', 'as "self" says')]


@pytest.mark.parametrize('line', [
    'mirror off;', 'mirror 1%;', 'mirror 5% 1ms;', 'mirror 50% 1h;'])
def test_mirrors(make_nginx, line):
    assert accepted(check(make_nginx, peers(line)))


def test_the_least_is_enough(make_nginx):
    assert accepted(check(make_nginx, peers())) == [('a', 'as "self" says')]
    assert accepted(check(make_nginx, peers(nodes=f'node a {A};')))


def test_a_zone_may_be_defined_below_its_peers_and_they_below_the_endpoint(
        make_nginx):
    assert accepted(check(make_nginx, s3_zone(), zone=peers()))
    assert accepted(check(make_nginx, '', zone='''
        server { listen 127.0.0.1:@port:one@;
                 location / { s3_cache_peer_endpoint hot; } }
        ''' + peers() + s3_zone(), location='return 200;'))


def test_two_zones_have_peers_of_their_own(make_nginx):
    said = check(make_nginx, s3_zone('cold') + peers()
                 + peers(self='self b;', zone='cold'),
                 location='s3_cache_peer_endpoint hot; } '
                          'location /cold { s3_cache_peer_endpoint cold;')
    assert [name for name, _ in accepted(said)] == ['a', 'b']


def test_one_file_may_list_the_nodes_of_all(make_nginx, tmp_path):
    path = tmp_path / 'nodes.conf'
    path.write_text(f'node a {A};\nnode b {B};\n')
    assert accepted(check(make_nginx, peers(nodes=f'include {path};')))
    path.write_text(f'node a {A};\n\nnode a {B};\n')
    refused(check(make_nginx, peers(nodes=f'include {path};')),
            'node "a" is given twice', f'node a {B}')
    refused(check(make_nginx, peers(nodes=f'include {tmp_path}/none;')),
            'No such file', 'include')


def test_a_thousand_nodes_and_no_more(make_nginx):
    nodes = [f'node n{i} 203.0.{i // 250}.{i % 250}:9100 weight={i % 1001};'
             for i in range(1024)]
    nginx = make_nginx(http=s3_zone() + peers(*nodes, nodes='',
                                              self='self n1;'),
                       server='location / { s3_cache_peer_endpoint hot; }')
    assert accepted(nginx.test_conf())
    nginx.start()
    assert nginx.get('/').status == 403
    refused(check(make_nginx, peers(*nodes, f'node z {A};', nodes='')),
            'node "z" is one too many: .* 1024 at most', 'node z')


# --- mistakes -----------------------------------------------------------------

@pytest.mark.parametrize('line, complaint', [
    ('node;', '"node" of s3_cache_peers needs a name and an address'),
    ('node c;', '"node" of s3_cache_peers needs a name and an address'),
    (f'node "" {C};', 'invalid name of a node: 1 to 255 printable'),
    (f'node "c d" {C};', 'invalid name of a node'),
    (f'node "c\td" {C};', 'invalid name of a node'),
    (f'node c\x7f {C};', 'invalid name of a node'),
    (f'node \xe9 {C};', 'invalid name of a node'),
    (f'node {"c" * 256} {C};', 'invalid name of a node'),
    (f'node a {C};', 'node "a" is given twice'),
    (f'node c {A};', 'nodes "a" and "c" have the same address '
                     '203.0.113.1:9100'),
    ('node c 203.0.113.3;', 'invalid address "203.0.113.3" of node "c": no '
                            'port; "host:port" is needed'),
    ('node c 203.0.113.3:;', 'invalid port'),
    ('node c 203.0.113.3:0;', 'invalid port'),
    ('node c 203.0.113.3:65536;', 'invalid port'),
    ('node c 203.0.113.3:9100/x;', 'invalid host'),
    ('node c :9100;', 'no host'),
    ('node c [::1:9100;', 'invalid host'),
    ('node c [::1];', 'no port'),
    ('node c [::x]:9100;', 'invalid IPv6 address'),
    ('node c 0.0.0.0:9100;', 'it is every address'),
    ('node c [::]:9100;', 'it is every address'),
    ('node c no.such.host.invalid:9100;', 'host not found'),
    ('node c unix:/tmp/x;', 'it must be reached by other machines'),
    (f'node c {C} weight=-1;', 'invalid "weight=-1" of node "c": 0 to 1000'),
    (f'node c {C} weight=1001;', 'invalid "weight=1001" of node "c": 0 to'),
    (f'node c {C} weight=;', 'invalid "weight=" of node "c": 0 to 1000'),
    (f'node c {C} weight=1.5;', 'invalid "weight=1.5" of node "c"'),
    (f'node c {C} weight=1 weight=1;', 'is the second of its kind'),
    (f'node c {C} zone=;', 'invalid "zone=" of node "c": 1 to 63 printable'),
    (f'node c {C} "zone=a b";', 'invalid "zone=" of node "c": 1 to 63'),
    (f'node c {C} zone={"z" * 64};', 'invalid "zone=" of node "c": 1 to 63'),
    (f'node c {C} zone=a zone=b;', 'is the second of its kind'),
    (f'node c {C} rack=a;', 'invalid parameter "rack=a" of node "c": it takes '
                            '"weight=number" and "zone=label"'),
    (f'node c {C} down;', 'invalid parameter "down" of node "c"'),
    ('self b;', '"self" of s3_cache_peers is duplicate'),
    ('self;', '"self" of s3_cache_peers takes one value'),
    ('self a b;', '"self" of s3_cache_peers takes one value'),
    (f'secret {SECRET};', '"secret" of s3_cache_peers is duplicate'),
    (f'secret {SECRET} {SECRET};', '"secret" of s3_cache_peers takes one'),
    (f'secret={SECRET};', 'unknown parameter "secret" of s3_cache_peers: it '
                          'knows node, member, self'),
    ('weight 1;', 'unknown parameter "weight"'),
    ('node { a; }', 'unexpected "{"'),
    ('stripe 0;', 'invalid "stripe 0" of s3_cache_peers: a multiple of 64k'),
    ('stripe 100k;', 'invalid "stripe 100k"'),
    ('stripe 1025g;', 'invalid "stripe 1025g"'),
    ('stripe x;', 'invalid "stripe x"'),
    ('stripe 1m; stripe 1m;', '"stripe" of s3_cache_peers is duplicate'),
    ('timeout 0;', 'invalid "timeout 0" of s3_cache_peers: a time from 1ms '
                   'to 1h is needed'),
    ('timeout x;', 'invalid "timeout x"'),
    ('timeout 61m;', 'invalid "timeout 61m"'),
    ('connect_timeout 0;', 'invalid "connect_timeout 0"'),
    ('retry 2h;', 'invalid "retry 2h"'),
    ('retry 1s; retry 1s;', '"retry" of s3_cache_peers is duplicate'),
    ('hedge no;', 'invalid "hedge no"'),
    ('handover 2h;', 'invalid "handover 2h"'),
    ('links 0;', 'invalid "links 0" of s3_cache_peers: 1 to 16 is needed'),
    ('links 17;', 'invalid "links 17"'),
    ('links x;', 'invalid "links x"'),
    ('links 1; links 1;', '"links" of s3_cache_peers is duplicate'),
    ('mirror;', '"mirror" of s3_cache_peers takes a share and a time, or '
                '"off"'),
    ('mirror 5% 10s x;', '"mirror" of s3_cache_peers takes a share'),
    ('mirror 5;', 'invalid "mirror 5" of s3_cache_peers: 1% to 50% of the '
                  'zone, or "off", is needed'),
    ('mirror %;', 'invalid "mirror %"'),
    ('mirror 0%;', 'invalid "mirror 0%"'),
    ('mirror 51%;', 'invalid "mirror 51%"'),
    ('mirror 1.5%;', 'invalid "mirror 1.5%"'),
    ('mirror on;', 'invalid "mirror on"'),
    ('mirror off 10s;', 'invalid "mirror off"'),
    ('mirror 5% 0;', 'invalid "mirror 5% 0" of s3_cache_peers: a time from '
                     '1ms to 1h is needed'),
    ('mirror 5% x;', 'invalid "mirror 5% x"'),
    ('mirror 5% 61m;', 'invalid "mirror 5% 61m"'),
    ('mirror off; mirror 5%;', '"mirror" of s3_cache_peers is duplicate'),
    ('ssl yes;', 'it must be "on" or "off"'),
    ('ssl off; ssl off;', '"ssl" of s3_cache_peers is duplicate'),
    ('ssl_certificate a; ssl_certificate a;', '"ssl_certificate" of '
                                              's3_cache_peers is duplicate'),
])
def test_a_line_that_is_wrong(make_nginx, line, complaint):
    refused(check(make_nginx, peers(line)), re.escape(complaint), line)


@pytest.mark.parametrize('text, complaint', [
    (peers(nodes=''), 'has no "node"'),
    (peers(nodes=f'node a {A} weight=0;'), 'has only nodes of weight 0'),
    (peers(secret=None), 'needs a "secret" of 16 characters, or "ssl on"'),
    (peers('ssl off;', secret=None), 'needs a "secret"'),
    (peers('ssl on;'), 'has "ssl on": it needs "ssl_certificate", '
                       '"ssl_certificate_key" and "ssl_trusted_certificate"'),
    (peers('ssl on;', 'ssl_certificate a;', 'ssl_certificate_key b;'),
     'has "ssl on": it needs'),
    (peers('ssl on;', 'ssl_certificate a;', 'ssl_trusted_certificate "";',
           'ssl_certificate_key b;'), 'has "ssl on": it needs'),
    (peers('ssl_certificate a;'), 'has a certificate, but no "ssl on"'),
])
def test_a_block_that_is_not_complete(make_nginx, text, complaint):
    refused(check(make_nginx, text), re.escape(complaint))


def test_a_self_that_is_no_node(make_nginx):
    for name in ('c', 'A', '""'):
        refused(check(make_nginx, peers(self=f'self {name};')),
                'has a "self" that is no "node"', f'self {name};')


def test_a_zone_that_is_unknown_or_given_twice(make_nginx):
    refused(check(make_nginx, peers(zone='cold'), location='return 200;'),
            's3_cache_peers "cold" is for an unknown zone',
            's3_cache_peers cold')
    block = peers()
    again = block.replace('hot {', 'hot { # again')
    refused(check(make_nginx, block + again),
            r's3_cache_peers "hot" is given twice, see \S+:\d+', '# again')


def test_peers_belong_into_http(make_nginx):
    refused(check(make_nginx, '', location='\n' + peers() + '\n'),
            'not allowed here')
    refused(check(make_nginx, peers() + 's3_cache_peer_endpoint hot;\n'),
            'not allowed here', 's3_cache_peer_endpoint hot')
    refused(check(make_nginx, 's3_cache_peers { }\n'),
            'number of arguments', 's3_cache_peers {')


@pytest.mark.parametrize('secret', ['""', 'short', 'x' * 15, 'x' * 1025])
def test_a_secret_that_is_too_short_or_too_long(make_nginx, secret):
    said = check(make_nginx, peers(secret=f'secret {secret};'))
    refused(said, r'"secret" of s3_cache_peers has \d+ characters: 16 to '
                  '1024 are needed', 'secret ')
    assert 'short' not in said[1]


def test_a_secret_may_be_the_first_line_of_a_file(make_nginx, tmp_path):
    path = tmp_path / 'secret'
    for text in (SECRET, f'{SECRET}\n', f'{SECRET}\r\nmore\n', 'x' * 16):
        path.write_text(text)
        path.chmod(0o640)
        assert accepted(check(make_nginx,
                              peers(secret=f'secret file={path};')))
    for text in ('', '\n', f'short\n{SECRET}\n', 'x' * 15 + '\r\n',
                 'x' * 15 + '\n'):
        path.write_text(text)
        refused(check(make_nginx, peers(secret=f'secret file={path};')),
                r'"secret" of s3_cache_peers has \d+ characters', 'secret ')


def test_a_file_of_a_secret_is_relative_to_the_configuration(make_nginx):
    nginx = make_nginx(http=s3_zone() + peers(secret='secret file=word;'),
                       server='location / { s3_cache_peer_endpoint hot; }',
                       status=False)
    with open(f'{nginx.dir}/word', 'w', encoding='ascii') as f:
        f.write(SECRET)
        os.fchmod(f.fileno(), 0o600)
    assert accepted(nginx.test_conf())


def test_a_file_of_a_secret_that_all_may_read_is_a_warning(
        make_nginx, tmp_path):
    path = tmp_path / 'secret'
    path.write_text(SECRET)
    path.chmod(0o644)
    accepted(check(make_nginx, peers(secret=f'secret file={path};')),
             'accessible to every user')


def test_a_file_of_a_secret_that_cannot_be_read(make_nginx, tmp_path):
    for path, complaint in ((f'{tmp_path}/none', 'No such file'),
                            (tmp_path, 'is no regular file'),
                            ('', 'needs a path behind "file="')):
        refused(check(make_nginx, peers(secret=f'secret file={path};')),
                complaint, 'secret file=')


# --- the endpoint -------------------------------------------------------------

@pytest.mark.parametrize('location, complaint', [
    ('s3_cache_peer_endpoint;', 'number of arguments'),
    ('s3_cache_peer_endpoint hot; s3_cache_peer_endpoint hot;',
     'is duplicate'),
    (f's3_cache hot; {ORIGIN} s3_cache_peer_endpoint hot;',
     'cannot stand beside "s3_cache"'),
    (f's3_cache_peer_endpoint hot; s3_cache hot; {ORIGIN}',
     'cannot stand beside "s3_cache_peer_endpoint"'),
    ('proxy_pass http://127.0.0.1:9; s3_cache_peer_endpoint hot;',
     'cannot stand beside what else answers'),
])
def test_an_endpoint_that_is_wrong(make_nginx, location, complaint):
    refused(check(make_nginx, peers(), location=location),
            re.escape(complaint), location)


def test_an_endpoint_does_not_give_its_location_away(make_nginx):
    refused(check(make_nginx, peers(), location='s3_cache_peer_endpoint hot; '
                  'proxy_pass http://127.0.0.1:9;'),
            'in location "/" cannot stand beside what else answers there')


@pytest.mark.parametrize('zone', ['hot', 'cold'])
def test_an_endpoint_of_a_zone_without_peers(make_nginx, zone):
    line = f's3_cache_peer_endpoint {zone};'
    refused(check(make_nginx, '', location=f'\n{line}\n'),
            f's3_cache_peers "{zone}" is not defined', line)


def test_a_node_that_owns_something_wants_an_endpoint(make_nginx):
    accepted(check(make_nginx, peers(), location='return 200;'),
             'no location has "s3_cache_peer_endpoint hot", .*weight 1')
    accepted(check(make_nginx, peers(f'node c {C} weight=0;', self='self c;'),
                   location='return 200;'))


def test_an_endpoint_answers_nobody(make_nginx):
    nginx = make_nginx(
        http=s3_zone() + peers(f'node c {C} weight=3 zone=r;'),
        server='''root @dir@;
        location / {
            s3_cache_peer_endpoint hot;
            limit_except GET { allow all; }
            if ($arg_x) { set $y 1; }
        }''').start()
    with open(f'{nginx.dir}/file', 'w', encoding='ascii') as f:
        f.write('not to be had')
    for method in ('GET', 'HEAD', 'POST', 'PUT', 'OPTIONS'):
        for target in ('/', '/file', '/file?x=1', '/s3-cache-peer'):
            body = b'body' if method in ('POST', 'PUT') else None
            answer = nginx.request(method, target, body=body)
            assert answer.status == 403, (method, target)
    assert 'this is node "a", as "self" says' in nginx.log()
    nginx.reload(http=s3_zone() + peers(self='self b;'))
    assert nginx.get('/').status == 403
    nginx.wait_log('this is node "b", as "self" says')


# --- blocks and stripes -------------------------------------------------------

def test_a_stripe_is_made_of_whole_blocks(make_nginx):
    def said(stripe, block):
        return check(make_nginx, peers(stripe),
                     location='s3_cache_peer_endpoint hot; } location /b { '
                     f's3_cache hot; {ORIGIN} {block}')

    assert accepted(said('', 's3_cache_block_size 16m;'))
    assert accepted(said('stripe 64k;', 's3_cache_block_size 64k;'))
    assert accepted(said('stripe 3m;', ''))
    refused(said('stripe 512k;', ''),
            'has a "stripe" of 512k that is no multiple of '
            '"s3_cache_block_size 1024k"')
    refused(said('stripe 3m;', 's3_cache_block_size 2m;'), 'no multiple of')


# --- who am I -----------------------------------------------------------------

def local_address():
    """An address of this machine that is not one of the loopback, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(('203.0.113.1', 9))       # sends nothing
        except OSError:
            return None
        return s.getsockname()[0]


HOST = socket.gethostname()


@pytest.mark.parametrize('name', [HOST, HOST.upper(), HOST.split('.')[0]])
def test_self_by_the_name_of_the_host(make_nginx, name):
    block = peers(f'node {name} {C};', 'node local 127.0.0.1:9100;',
                  self=None)
    assert accepted(check(make_nginx, block)) == [
        (name, 'by the name of the host')]


def by_host(nginx, host):
    """nginx -t on a machine of this name."""
    unshare = shutil.which('unshare')
    if not unshare or subprocess.run(
            [unshare, '-u', 'hostname', host], capture_output=True,
            timeout=30, check=False).returncode:
        pytest.skip('the host cannot be given another name')
    nginx.write_conf()
    args = nginx._args()
    args[args.index('-e') + 1] = 'stderr'
    env = dict(nginx.env, ASAN_OPTIONS=nginx.env['ASAN_OPTIONS']
               + ':detect_leaks=0')
    done = subprocess.run(
        [unshare, '-u', 'sh', '-c', f'hostname {host} && exec "$@"', '-']
        + args + ['-t'], capture_output=True, text=True, env=env,
        timeout=30, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize('host, node', [
    ('web7.dc.example', 'web7'), ('Web8.dc.example', 'web8'),
    ('web9.dc.example', 'web9.dc.example'), ('web9', 'web9'),
    ('web6.dc.example', None), ('xweb7', None), ('web', None)])
def test_self_by_the_first_label_or_all_of_the_name(make_nginx, host, node):
    names = ('web7', 'web8', 'web9', 'web9.dc.example', 'Web6', 'web6')
    nginx = make_nginx(
        http=s3_zone() + peers(*(f'node {name} 203.0.113.{i + 10}:9100;'
                                 for i, name in enumerate(names)), self=None),
        server='location / { s3_cache_peer_endpoint hot; }', status=False)
    said = by_host(nginx, host)
    if node:
        assert accepted(said) == [(node, 'by the name of the host')]
    else:
        refused(said, f'its host name "{host}" is the name of none')


@pytest.mark.parametrize('address', ['127.0.0.1', 'localhost', '[::1]',
                                     local_address()])
def test_self_by_an_address_of_an_interface(make_nginx, address):
    if address is None:
        pytest.skip('nothing but the loopback')
    said = check(make_nginx, peers(f'node c {address}:9100;', self=None))
    if address == '[::1]' and said[0] != 0:
        pytest.skip('no IPv6')
    (name, why), = accepted(said)
    assert name == 'c' and why.startswith('by its address ')
    assert why.endswith(':9100')


def test_self_that_cannot_be_told(make_nginx):
    refused(check(make_nginx, peers(self=None)),
            re.escape(f'this machine could be none of its nodes: its host '
                      f'name "{HOST.lower()}" is the name of none, and 0 have '
                      'an address of it; add "self name;"'))
    refused(check(make_nginx, peers('node c 127.0.0.1:9100;',
                                    'node d 127.0.0.1:9101;', self=None)),
            'this machine could be several of its nodes: .* and 2 have an '
            'address of it; add "self name;"')


# --- TLS ----------------------------------------------------------------------

def tls(certificate, key, trusted, secret=None):
    return peers('ssl on;', f'ssl_certificate {certificate};',
                 f'ssl_certificate_key {key};',
                 f'ssl_trusted_certificate {trusted};', secret=secret)


def test_with_tls_no_secret_is_needed(make_nginx, authority):
    pair = authority.issue(('203.0.113.1',))
    assert accepted(check(make_nginx, tls(*pair, authority.cert)))
    assert accepted(check(make_nginx, tls(*pair, authority.cert,
                                          secret=f'secret {SECRET};')))


def test_files_of_tls_are_relative_to_the_configuration(
        make_nginx, authority):
    pair = authority.issue(('203.0.113.1',))
    nginx = make_nginx(
        http=s3_zone() + tls('node.pem', 'node.key', 'ca.pem'),
        server='location / { s3_cache_peer_endpoint hot; }', status=False)
    for source, name in zip((*pair, authority.cert),
                            ('node.pem', 'node.key', 'ca.pem')):
        shutil.copy(source, f'{nginx.dir}/{name}')
    assert accepted(nginx.test_conf())


def test_files_of_tls_that_are_wrong(make_nginx, authority, tmp_path):
    certificate, key = authority.issue(('203.0.113.1',))
    _, other_key = authority.issue(('203.0.113.2',))
    none, junk = f'{tmp_path}/none.pem', tmp_path / 'junk.pem'
    junk.write_text('no certificate\n')
    for files, complaint in (
            ((none, key, authority.cert), 'certificate or key'),
            ((junk, key, authority.cert), 'certificate or key'),
            ((certificate, none, authority.cert), 'certificate or key'),
            ((certificate, junk, authority.cert), 'certificate or key'),
            ((certificate, other_key, authority.cert), 'certificate or key'),
            ((certificate, key, none), 'trusted certificates'),
            ((certificate, key, junk), 'trusted certificates')):
        said = check(make_nginx, tls(*files))
        refused(said, f'has .*{complaint}.* that cannot be loaded')
        for path in files:
            if str(path) in (none, str(junk)):
                assert str(path) in said[1]


def test_certificates_are_not_read_where_tls_is_off(make_nginx):
    assert accepted(check(make_nginx, peers('ssl off;',
                                            'ssl_certificate none.pem;')))
