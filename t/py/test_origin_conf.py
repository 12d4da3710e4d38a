# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the configuration of an origin is found, and no secret is
shown then."""

import os

import pytest

from lib.nginx import s3_zone

HIDDEN = 'SECRETxyz'
GIVE = 's3_cache_origin_credentials'
URLS = [
    ('127.0.0.1:80', 'must begin'), (f'ftp://{HIDDEN}', 'must begin'),
    ('http://', 'has no host'), ('http://127.0.0.1/', 'path'),
    ('http://127.0.0.1:80/b', 'path'), ('http://$host', 'variables'),
    (f'http://u:{HIDDEN}@127.0.0.1', 'user or password'),
    (f'http://127.0.0.1?{HIDDEN}', 'query'),
    ('"http://127.0.0.1 "', 'invalid character'),
    ('http://127.0.0.1:99999', 'invalid port'),
    ('http://127.0.0.1:0', 'invalid port'), ('http://127.0.0.1:', 'port'),
    ('http://127.0.0.1:80:90', 'port'), ('http://[::1', 'invalid host'),
    ('http://[::1]x', ''), ('http://:80', 'no host'),
    ('http://' + 'x' * 256, 'too long'),
    ('http://no-such-host.invalid', 'host not found'),
]
CREDENTIALS = [
    ('access_key=AK', 'a secret key'),
    (f'secret_key={HIDDEN}', 'an access key'),
    (f'access_key=AK secret={HIDDEN}', 'parameter number 2'),
    (HIDDEN, 'parameter number 1'), (f'env {HIDDEN}', 'parameter number 1'),
    (f'access_key=A/K secret_key={HIDDEN}', 'without "/"'),
    (f'"access_key=A K" secret_key={HIDDEN}', 'without blanks'),
    (f'access_key=AK "secret_key={HIDDEN}\\n"', 'without blanks'),
    ('file=/nonexistent/x', 'No such file'),
    ('file=@dir@', 'no regular file'),
    (f'file=@dir@/good {HIDDEN}=x', 'takes "file=PATH'),
    ('file=@dir@/good profile=none', 'no profile "none"'),
    ('file=@dir@/bad', 'line 3'), ('file=@dir@/empty', 'no profile'),
    ('env', '"AWS_ACCESS_KEY_ID" is not set'),
    (f'access_key=A secret_key={HIDDEN}; {GIVE} none', 'duplicate'),
]
OTHERS = [
    ('s3_cache_origin https://127.0.0.1; '
     's3_cache_origin_ssl_trusted_certificate /nonexistent.pem;',
     'cannot be loaded'),
    ('s3_cache_origin https://127.0.0.1; '
     's3_cache_origin_ssl_trusted_certificate @dir@/bad;',
     'cannot be loaded'),
    ('s3_cache_origin http://127.0.0.1; s3_cache_origin http://127.0.0.2;',
     'duplicate'),
    ('s3_cache_origin http://127.0.0.1; s3_cache_origin_tries 0;',
     'between 1 and 16'),
    ('s3_cache_origin http://127.0.0.1; s3_cache_origin_tries 17;',
     'between 1 and 16'),
    ('s3_cache_origin http://127.0.0.1; s3_cache_origin_region;',
     'invalid number of arguments'),
    ('s3_cache_origin http://127.0.0.1; '
     's3_cache_origin_connect_timeout x;', 'invalid value'),
    ('s3_cache_origin http://127.0.0.1; s3_cache_origin_ssl_verify maybe;',
     'invalid value'),
]
WRONG = ([(f's3_cache_origin {url};', why) for url, why in URLS]
         + [(f's3_cache_origin http://127.0.0.1; {GIVE} {words};', why)
            for words, why in CREDENTIALS] + OTHERS)


def _configured(make_nginx, text, **env):
    nginx = make_nginx(
        http=s3_zone(), env=dict({'AWS_ACCESS_KEY_ID': ''}, **env),
        server=f'location / {{\n    s3_cache hot;\n    {text}\n}}')
    for name, content in (
            ('good', f'[default]\naws_access_key_id=AK\n'
             f'aws_secret_access_key={HIDDEN}\n'),
            ('bad', f'[default]\naws_access_key_id=AK\n{HIDDEN}\n'),
            ('empty', '')):
        path = os.path.join(nginx.dir, name)
        with open(path, 'w', encoding='ascii') as f:
            f.write(content)
        os.chmod(path, 0o600)
    return nginx


@pytest.mark.parametrize('text, why', WRONG,
                         ids=[text[16:70] for text, _ in WRONG])
def test_a_wrong_configuration_is_found(make_nginx, text, why):
    nginx = _configured(make_nginx, text)
    status, said = nginx.test_conf()
    assert status != 0 and why in said, said
    assert HIDDEN not in said, said
    line = nginx.write_conf().split('    s3_cache hot;\n')[0].count('\n') + 2
    assert f' {nginx.conf_path}:{line}' in said, said


@pytest.mark.parametrize('text', [
    's3_cache_origin http://localhost;', 's3_cache_origin https://[::1]:90;',
    's3_cache_origin HTTP://127.0.0.1:65535;',
    'resolver 127.0.0.1; s3_cache_origin https://later.test;',
    f's3_cache_origin http://127.0.0.1; {GIVE} file=good;',
    f's3_cache_origin http://127.0.0.1; {GIVE} file=@dir@/good '
    'profile=default;'])
def test_a_right_configuration_is_taken(make_nginx, text):
    status, said = _configured(make_nginx, text).test_conf()
    assert status == 0 and 'warn' not in said, said


def test_credentials_that_all_may_read_are_warned_of(make_nginx):
    nginx = _configured(make_nginx, 's3_cache_origin http://127.0.0.1; '
                        f'{GIVE} file=good;')
    os.chmod(os.path.join(nginx.dir, 'good'), 0o644)
    status, said = nginx.test_conf()
    assert status == 0 and 'accessible to every user' in said, said
    assert HIDDEN not in said
