# SPDX-License-Identifier: Apache-2.0
"""`s3_cache_auth off` where strangers come is warned of, with the line of its
location, once; nowhere else.

Most of the addresses are not this machine's: nginx has read and checked all of
its configuration before it learns that.
"""

import re

import pytest

from lib.nginx import REPO, s3_zone

S3 = 's3_cache hot; s3_cache_origin http://127.0.0.1:9;'
PUBLIC = 'listen 203.0.113.1:@port:a@;'
WARNING = re.compile(r'\[warn\] (?:\d+#\d+: )?"s3_cache_auth" is off and '
                     r'nothing else restricts who may reach (\S+): '
                     r'.*, in (\S+):(\d+)')


def warnings(make_nginx, http):
    """[(address without its port, line of the configuration)]"""
    nginx = make_nginx(http=s3_zone() + http, status=False)
    nginx.allow(r'bind\(\) to .* failed')
    _, said = nginx.test_conf()
    assert 'syntax is ok' in said, said
    found = []
    for address, path, number in WARNING.findall(said):
        with open(path, encoding='utf-8') as f:
            found.append((address.rpartition(':')[0],
                          f.readlines()[int(number) - 1].strip()))
    assert said.count('"s3_cache_auth"') == len(found)
    return found


def at(make_nginx, address, location=S3):
    return warnings(make_nginx, f'''server {{
        listen {address};
        location / {{
            {location}
        }}
    }}''')


@pytest.mark.parametrize('address', [
    '127.0.0.1', '127.255.255.255', 'localhost', '10.0.0.0', '10.255.255.255',
    '172.16.0.0', '172.31.255.255', '192.168.0.0', '192.168.255.255',
    '169.254.0.0', '169.254.255.255', '100.64.0.0', '100.127.255.255',
    '[::1]', '[fc00::]', '[fdff:ffff::1]', '[fe80::1]', '[febf:ffff::1]',
    '[::ffff:10.0.0.1]', '[::ffff:127.0.0.1]'])
def test_a_private_address_is_not_warned_of(make_nginx, address):
    assert not at(make_nginx, f'{address}:@port:a@')


def test_a_unix_socket_is_not_warned_of(make_nginx):
    assert not at(make_nginx, 'unix:@dir@/socket')


@pytest.mark.parametrize('address', [
    '0.0.0.0', '9.255.255.255', '11.0.0.0', '126.255.255.255', '128.0.0.0',
    '172.15.255.255', '172.32.0.0', '192.167.255.255', '192.169.0.0',
    '169.253.255.255', '169.255.0.0', '100.63.255.255', '100.128.0.0',
    '203.0.113.1', '[::]', '[::2]', '[2001:db8::1]', '[fbff:ffff::1]',
    '[fe00::1]', '[fe7f::1]', '[fec0::1]'])
def test_a_public_address_is_warned_of(make_nginx, address):
    assert at(make_nginx, f'{address}:@port:a@') == [(address, 'location / {')]


@pytest.mark.parametrize('listen, address', [
    ('*:@port:a@', '0.0.0.0'), ('@port:a@', '0.0.0.0'),
    ('[::ffff:203.0.113.1]:@port:a@', '[::ffff:203.0.113.1]')])
def test_other_ways_to_write_it(make_nginx, listen, address):
    assert at(make_nginx, listen) == [(address, 'location / {')]


def test_no_listen_is_every_address(make_nginx):
    assert [address for address, _ in warnings(
        make_nginx, f'server {{ {S3} }}')] == ['0.0.0.0']


def test_where_clients_sign_nothing_is_warned_of(make_nginx):
    assert warnings(make_nginx, f'''server {{
        {PUBLIC} {S3}
        s3_cache_auth keys;
        s3_cache_credentials {REPO}/conf-examples/credentials.json;
        location / {{
        }}
        location /off/ {{
            s3_cache_auth off;
        }}
    }}''') == [('203.0.113.1', 'location /off/ {')]


CONTROLS = [
    'allow 10.0.0.0/8; deny all;', 'deny 10.0.0.1;', 'allow all;',
    'allow 2001:db8::/32;', 'allow unix:;',
    'auth_basic who; auth_basic_user_file users;',
    'auth_basic $host; auth_basic_user_file users;',
    'auth_request /may;']


@pytest.mark.parametrize('control', CONTROLS + ['internal;'])
def test_another_control_is_enough(make_nginx, control):
    assert not at(make_nginx, '203.0.113.1:@port:a@', f'{S3} {control}')


@pytest.mark.parametrize('control', CONTROLS)
def test_it_is_enough_where_it_is_inherited(make_nginx, control):
    def server(outer, inner=''):
        return f'server {{ {PUBLIC} {outer} location / {{ {inner} }} }}'

    assert not warnings(make_nginx, control + server(S3))
    assert not warnings(make_nginx, server(S3 + control))
    assert not warnings(make_nginx, S3 + server(control))
    assert not warnings(make_nginx, server(
        '', f'{S3} {control} location /in/ {{ }}'))


@pytest.mark.parametrize('none', [
    's3_cache_auth off;', 'auth_basic off; auth_basic_user_file users;',
    'auth_basic who;', 'auth_request off;', 'satisfy any;',
    'limit_except GET { deny all; }', 'if ($arg_x) { return 403; }'])
def test_what_is_none(make_nginx, none):
    assert at(make_nginx, '203.0.113.1:@port:a@', f'{S3} {none}') == [
        ('203.0.113.1', 'location / {')]


def test_a_control_that_is_taken_back_is_none(make_nginx):
    assert warnings(make_nginx, f'''server {{
        {PUBLIC} {S3}
        auth_basic who; auth_basic_user_file users; auth_request /may;
        location / {{
            location /off/ {{
                auth_basic off;
                auth_request off;
            }}
            location /half/ {{
                auth_basic off;
            }}
        }}
    }}''') == [('203.0.113.1', 'location /off/ {')]


@pytest.mark.parametrize('verify, warned', [
    ('on', []), ('off', ['203.0.113.1']), ('optional', ['203.0.113.1'])])
def test_a_certificate_of_the_client(make_nginx, authority, verify, warned):
    cert, key = authority.issue(('localhost',))
    got = warnings(make_nginx, f'''server {{
        listen 203.0.113.1:@port:a@ ssl; {S3}
        ssl_certificate {cert}; ssl_certificate_key {key};
        ssl_client_certificate {authority.cert}; ssl_verify_client {verify};
    }}''')
    assert [address for address, _ in got] == warned


def test_without_tls_nobody_is_asked_for_a_certificate(make_nginx, authority):
    cert, key = authority.issue(('localhost',))
    got = warnings(make_nginx, f'''server {{
        listen 203.0.113.1:@port:a@ ssl; listen 203.0.113.2:@port:b@; {S3}
        ssl_certificate {cert}; ssl_certificate_key {key};
        ssl_client_certificate {authority.cert}; ssl_verify_client on;
    }}''')
    assert [address for address, _ in got] == ['203.0.113.2']


def test_each_location_is_warned_of_once(make_nginx):
    assert warnings(make_nginx, f'''
    server {{
        listen 127.0.0.1:@port:a@; listen 203.0.113.1:@port:a@;
        listen 203.0.113.2:@port:b@;
        {S3}
        location /one/ {{
            location /one/more/ {{
            }}
        }}
        location ~ two {{
        }}
        location = /three {{
        }}
        location @four {{
        }}
        location /open/ {{
            allow all;
        }}
        location / {{
            s3_cache off;
        }}
    }}''') == [('203.0.113.1', line) for line in (
        'location /one/ {', 'location /one/more/ {', 'location ~ two {',
        'location = /three {', 'location @four {')]


@pytest.mark.parametrize('location, warned', [
    ('', True), ('location /a/ { s3_cache off; }', True),
    ('location ~ ^/ { s3_cache off; }', True),
    ('location = / { s3_cache off; }', True),
    ('location a { s3_cache off; } location b { s3_cache off; }', True),
    ('location / { s3_cache off; }', False),
    ('location ^~ / { s3_cache off; }', False),
    ('location / { allow 10.0.0.1; deny all; }', False),
    ('location / { s3_cache off; } location /a/ { s3_cache off; } '
     'location = / { s3_cache off; } location a { s3_cache off; } '
     'location b { s3_cache off; }', False)])
def test_a_server_answers_what_is_in_no_location(make_nginx, location, warned):
    got = warnings(make_nginx, f'''
    server {{ # this line
        {PUBLIC} {S3}
        {location}
    }}''')
    assert got == ([('203.0.113.1', 'server { # this line')] if warned else [])


def test_each_server_has_its_own_addresses(make_nginx):
    assert warnings(make_nginx, f'''
    {S3}
    server {{ # private
        listen 127.0.0.1:@port:a@;
    }}
    server {{ # public
        {PUBLIC}
    }}
    server {{ # public, too
        {PUBLIC} server_name other;
    }}
    server {{ # guarded
        {PUBLIC} server_name more; deny all;
    }}
    server {{ # none of ours
        {PUBLIC} server_name off; s3_cache off;
    }}''') == [('203.0.113.1', 'server { # public'),
              ('203.0.113.1', 'server { # public, too')]


def test_what_others_answer_is_not_warned_of(make_nginx):
    assert not warnings(make_nginx, f'''server {{
        {PUBLIC} {S3}
        location / {{ proxy_pass http://127.0.0.1:9; }}
        location = /status {{ s3_cache_status; }}
        location = /admin {{ s3_cache_admin; }}
    }}''')


def test_a_file_that_is_included_is_named(make_nginx, tmp_path):
    (tmp_path / 'more.conf').write_text(
        f'server {{\n{PUBLIC.replace("@port:a@", "9")}\nlocation / {{\n{S3}\n'
        '}\n}\n', encoding='ascii')
    nginx = make_nginx(http=f'{s3_zone()} include {tmp_path}/more.conf;',
                       status=False)
    nginx.allow(r'bind\(\) to .* failed')
    _, said = nginx.test_conf()
    assert WARNING.findall(said) == [('203.0.113.1:9',
                                      f'{tmp_path}/more.conf', '3')]


def test_it_is_said_at_each_start_and_reload(make_nginx):
    def said():
        return len(WARNING.findall(nginx.log()))

    http = s3_zone() + f'server {{ listen *:@port:a@; {S3} }}'
    nginx = make_nginx(http=http, log_level='warn').start()
    assert said() == 1
    nginx.reload()
    assert said() == 2
    nginx.reload(http=http.replace('*:@port:a@', '127.0.0.1:@port:b@'))
    assert said() == 2
