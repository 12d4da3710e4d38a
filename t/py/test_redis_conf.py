# SPDX-License-Identifier: Apache-2.0
"""Membership by Redis: what `nginx -t` says of it."""

import re

import pytest

from lib.nginx import s3_zone

SECRET = 'Sup3rS3cretDoNotPrint'
PASSWORD = 'An0therW0rdNotToPrint'
SERVER = 'server 203.0.113.1;'


def peers(member='member 9100;', self='self a;', zone='hot'):
    lines = '\n    '.join(filter(None, (member, self, f'secret {SECRET};')))
    return f's3_cache_peers {zone} {{\n    {lines}\n}}\n'


def redis(*lines, server=SERVER, zone='hot'):
    lines = '\n    '.join(filter(None, (server,) + lines))
    return f's3_cache_redis {zone} {{\n    {lines}\n}}\n'


def check(make_nginx, http, zone=s3_zone(), **more):
    """(exit status, what nginx -t says)"""
    nginx = make_nginx(http=zone + http, status=False, server='location / '
                       '{ s3_cache_peer_endpoint hot; }', **more)
    return nginx.test_conf()


def refused(said, complaint, line_has):
    """The complaint, with file and line: that line holds `line_has`."""
    code, text = said
    assert code == 1, text
    found = re.search(rf'\[emerg\] .*{complaint}.* in (\S+):(\d+)', text)
    assert found, text
    assert SECRET not in text and PASSWORD not in text
    with open(found.group(1), encoding='utf-8') as f:
        assert line_has in f.readlines()[int(found.group(2)) - 1]


def accepted(said):
    code, text = said
    assert code == 0, text
    assert SECRET not in text and PASSWORD not in text
    assert '[warn]' not in text, text
    return re.findall(r'\[notice\] .*this is node "(\S+)", (.*)', text)


# --- what is right ------------------------------------------------------------

def test_the_least_is_enough(make_nginx):
    assert (accepted(check(make_nginx, peers() + redis()))
            == [('a', 'as "self" says')])
    said = accepted(check(make_nginx, peers(self=None) + redis()))
    assert said[0][1] == 'by the name of the host'


def test_all_parameters_are_taken(make_nginx, tmp_path):
    path = tmp_path / 'password'
    path.write_text(f'{PASSWORD}\r\nmore')
    path.chmod(0o600)
    more = tmp_path / 'more.conf'
    more.write_text('prefix x:y; lease 300ms;\n')
    accepted(check(make_nginx, redis(
        'server localhost:1;', 'server [2001:db8::1];',
        'server unix:/run/redis.sock;', 'username me;',
        f'password file={path};', 'database 15;', 'connect_timeout 1ms;',
        'timeout 1h;', 'ssl off;', f'include {more};')
        + peers('member 127.0.0.1:9100 weight=1000 zone=r1;')))


def test_sentinels(make_nginx):
    accepted(check(make_nginx, peers() + redis(
        'sentinel localhost;', 'sentinel 127.0.0.1:1;', 'master mine;',
        f'sentinel_password {PASSWORD};', f'password {PASSWORD};',
        server=None)))


def test_tls(make_nginx, authority):
    cert, key = authority.issue(('a',))
    accepted(check(make_nginx, peers() + redis(
        'ssl on;', f'ssl_trusted_certificate {authority.cert};',
        f'ssl_certificate {cert};', f'ssl_certificate_key {key};',
        'ssl_name b;', 'ssl_verify on;')))
    accepted(check(make_nginx, peers() + redis('ssl on;', 'ssl_verify off;')))


def test_a_name_of_many_addresses_may_be_given(make_nginx):
    accepted(check(make_nginx, peers() + redis(server='server localhost;')))


@pytest.mark.parametrize('member', [
    'member 1;', 'member 65535 weight=0;', 'member localhost:1;',
    'member [::1]:9100 zone=z;'])
def test_members(make_nginx, member):
    accepted(check(make_nginx, peers(member) + redis()))


# --- mistakes -----------------------------------------------------------------

@pytest.mark.parametrize('line, complaint', [
    ('server;', '"server" of s3_cache_redis takes one value'),
    ('server a b;', '"server" of s3_cache_redis takes one value'),
    ('server no.such.host.invalid;', 'host not found'),
    ('server 203.0.113.1:0;', 'invalid port'),
    ('server 203.0.113.1:65536;', 'invalid port'),
    ('server 0.0.0.0;', 'it is every address'),
    ('server unix:;', 'no path'),
    ('server 203.0.113.1/x;', 'invalid host'),
    ('username "";', 'invalid "username"'),
    ('username "a b";', 'invalid "username"'),
    ('username a; username b;', '"username" of s3_cache_redis is duplicate'),
    ('password "";', '"password" of s3_cache_redis has 0 characters'),
    (f'password {"x" * 1025};', '"password" of s3_cache_redis has 1025'),
    (f'password {PASSWORD}; password {PASSWORD};', 'is duplicate'),
    (f'password={PASSWORD};', 'unknown parameter "password" of s3_cache_redis'
                              ': it knows server, sentinel, master'),
    (f'password {PASSWORD} b;', 'takes one value'),
    ('password file=;', 'a path is needed behind "file="'),
    ('password file=/no/such/file;', 'No such file'),
    ('database -1;', 'invalid "database -1"'),
    ('database 65536;', 'invalid "database 65536"'),
    ('database 1; database 1;', 'is duplicate'),
    ('prefix "";', 'invalid "prefix"'),
    ('prefix "a{b";', 'invalid "prefix" .* without spaces and braces'),
    (f'prefix {"p" * 65};', 'invalid "prefix" .* 1 to 64'),
    ('lease 299ms;', 'invalid "lease 299ms" .* from 300ms to 1h'),
    ('lease 61m;', 'invalid "lease 61m"'),
    ('lease 3s; lease 3s;', '"lease" of s3_cache_redis is duplicate'),
    ('timeout 0;', 'invalid "timeout 0" .* from 1ms to 1h'),
    ('connect_timeout x;', 'invalid "connect_timeout x"'),
    ('ssl maybe;', 'ssl" of s3_cache_redis|invalid value "maybe"'),
    ('nothing 1;', 'unknown parameter "nothing"'),
])
def test_a_wrong_line(make_nginx, line, complaint):
    refused(check(make_nginx, peers() + redis(line)), complaint,
            line.split(';')[0].split(' ')[0])


@pytest.mark.parametrize('lines, complaint', [
    ((), 'has no "server" and no "sentinel"'),
    ((SERVER, 'sentinel 203.0.113.1;', 'master a;'),
     'has both "server" and "sentinel"'),
    (('sentinel 203.0.113.1;',), 'has a "sentinel": it needs "master"'),
    ((SERVER, 'master a;'), 'but no "sentinel"'),
    ((SERVER, f'sentinel_password {PASSWORD};'), 'but no "sentinel"'),
    ((SERVER, 'username a;'), 'has a "username", but no "password"'),
    ((SERVER, 'ssl_name a;'), 'has parameters of TLS, but no "ssl on"'),
    ((SERVER, 'ssl on;', 'ssl_certificate a;'), 'needs both'),
    ((SERVER, 'ssl on;', 'ssl_trusted_certificate /no/file;'),
     'has trusted certificates that cannot be loaded'),
])
def test_what_does_not_fit_together(make_nginx, lines, complaint):
    refused(check(make_nginx, peers() + redis(*lines, server=None)),
            complaint, 's3_cache_redis hot {')


def test_a_block_is_given_once(make_nginx):
    refused(check(make_nginx, peers() + redis() + redis()),
            's3_cache_redis "hot" is given twice', 's3_cache_redis hot {')


def test_redis_needs_a_member_and_a_member_redis(make_nginx):
    refused(check(make_nginx, peers()), 'has a "member", but there is no '
            '"s3_cache_redis" of this zone', 'member 9100')
    refused(check(make_nginx, peers('node a 203.0.113.1:9100;') + redis()),
            'is of no use: no "s3_cache_peers" of this zone has a "member"',
            's3_cache_redis hot {')
    refused(check(make_nginx, peers() + redis() + redis(zone='cold')),
            's3_cache_redis "cold" is of no use', 's3_cache_redis cold {')


def test_a_socket_of_this_machine_tells_no_address(make_nginx):
    unix = redis(server='server unix:/run/redis.sock;')
    refused(check(make_nginx, peers() + unix),
            '"member" of s3_cache_peers needs an address',
            's3_cache_redis hot {')
    accepted(check(make_nginx, peers('member 127.0.0.1:9100;') + unix))


@pytest.mark.parametrize('member, complaint', [
    ('member;', '"member" of s3_cache_peers needs a port'),
    ('member 0;', 'invalid port "0" of "member"'),
    ('member 65536;', 'invalid port "65536" of "member"'),
    ('member host;', 'no port|host not found'),
    ('member 0.0.0.0:1;', 'it is every address'),
    ('member unix:/x;', 'it must be reached by other machines'),
    ('member 1 weight=1001;', 'invalid "weight=1001"'),
    ('member 1 zone=;', 'invalid "zone="'),
    ('member 1 name=x;', 'it takes "weight=number" and "zone=label"'),
    ('member 1; member 2;', '"member" of s3_cache_peers is duplicate'),
    ('member 1; node b 203.0.113.1:1;', 'cannot stand beside the other'),
    ('node b 203.0.113.1:1; member 1;', 'cannot stand beside the other'),
])
def test_a_wrong_member(make_nginx, member, complaint):
    refused(check(make_nginx, peers(member) + redis()), complaint, 'member')


@pytest.mark.parametrize('name', ['""', '"a b"', 'x' * 256])
def test_a_name_that_is_none(make_nginx, name):
    refused(check(make_nginx, peers(self=f'self {name};') + redis()),
            'cannot name this node', 'self')
