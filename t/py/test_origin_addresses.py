# SPDX-License-Identifier: Apache-2.0
"""An origin of several addresses, or of another one than before."""

import pytest

from lib import wait
from lib.dns import Dns
from origin.objects import pattern
from origin.scripted_origin import ScriptedOrigin


class Named:
    def __init__(self, port):
        self.url = f'http://origin.test:{port}'


@pytest.mark.parametrize('living', ['127.0.0.2', '127.0.0.3', '127.0.0.4'])
def test_one_of_several_addresses_is_enough(make_gateway, living):
    addresses = ['127.0.0.2', '127.0.0.3', '127.0.0.4']
    with ScriptedOrigin(host=living) as origin, Dns(addresses, 1) as dns:
        nginx = make_gateway(Named(origin.port), dns.directive)
        for i in range(12):
            body = pattern(5000, i)
            origin.put('bkt', f'key{i}', body)
            assert nginx.get(f'/bkt/key{i}').body == body


def test_an_origin_that_moves_is_followed(make_gateway):
    with ScriptedOrigin(host='127.0.0.2') as first, \
            ScriptedOrigin(host='127.0.0.3', port=first.port) as second, \
            Dns(['127.0.0.2'], 1) as dns:
        nginx = make_gateway(
            Named(first.port),
            f'resolver 127.0.0.1:{dns.port} ipv6=off valid=1s;')
        first.put('bkt', 'key', b'first')
        second.put('bkt', 'new', b'second')
        assert nginx.get('/bkt/key').body == b'first'
        dns.addresses[:] = ['127.0.0.3']
        first.stop()
        wait.until(lambda: nginx.get('/bkt/new').status == 200,
                   'the new address')
        assert nginx.get('/bkt/new').body == b'second'


def test_a_name_that_cannot_be_resolved_is_a_502(make_gateway):
    with Dns([], 1) as dns:
        nginx = make_gateway(
            Named(80), dns.directive)
        answer = nginx.get('/bkt/key')
        assert answer.status == 502 and b'<Code>' in answer.body
