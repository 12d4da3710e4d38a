# SPDX-License-Identifier: Apache-2.0
"""Checks SigV4 of a request as S3 does, written from AWS's description and
independent of both the module and botocore."""

import hashlib
import hmac
import re
from urllib.parse import quote, unquote_to_bytes

ALGORITHM = 'AWS4-HMAC-SHA256'


class Refused(Exception):
    def __init__(self, code, message):
        super().__init__(f'{code}: {message}')
        self.code, self.message = code, message


def _encode(raw, safe=''):
    return quote(raw, safe=safe + '-_.~')


def split_query(query):
    """[(name, value)] as decoded bytes; a plus is a plus."""
    pairs = []
    for word in query.split('&') if query else []:
        name, _, value = word.partition('=')
        pairs.append((unquote_to_bytes(name), unquote_to_bytes(value)))
    return pairs


def canonical_request(method, target, headers, signed, payload_hash,
                      without=()):
    """`headers` is [(name, value)]; `signed` the names in their order."""
    path, _, query = target.partition('?')
    pairs = sorted((_encode(name), _encode(value))
                   for name, value in split_query(query)
                   if name.decode('latin-1') not in without)
    lines = [method, _encode(unquote_to_bytes(path), '/'),
             '&'.join(f'{name}={value}' for name, value in pairs)]
    for name in signed:
        values = [re.sub(r' +', ' ', value.strip())
                  for key, value in headers if key.lower() == name]
        lines.append(f'{name}:{",".join(values)}')
    return '\n'.join(lines + ['', ';'.join(signed), payload_hash])


def signature(secret_key, scope, date, request):
    key = b'AWS4' + secret_key.encode()
    for part in scope.split('/'):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = '\n'.join([ALGORITHM, date, scope,
                      hashlib.sha256(request.encode('latin-1')).hexdigest()])
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def check(method, target, headers, body, secrets):
    """The access key of a rightly signed request, None of an anonymous one;
    Refused otherwise. `secrets` is {access key: secret key}."""
    found = {name.lower(): value for name, value in headers}
    query = {name.decode('latin-1'): value.decode('latin-1')
             for name, value in split_query(target.partition('?')[2])}

    if 'authorization' in found:
        words = re.fullmatch(
            ALGORITHM + r' Credential=([^/,]+)/(\S+?), ?SignedHeaders=(\S+?),'
            r' ?Signature=([0-9a-f]{64})', found['authorization'])
        if not words:
            raise Refused('AuthorizationHeaderMalformed',
                          found['authorization'])
        access_key, scope, names, given = words.groups()
        date = found.get('x-amz-date', '')
        payload = found.get('x-amz-content-sha256')
        if payload is None:
            raise Refused('InvalidRequest', 'no x-amz-content-sha256')
        if re.fullmatch('[0-9a-f]{64}', payload) and \
                payload != hashlib.sha256(body).hexdigest():
            raise Refused('XAmzContentSHA256Mismatch', payload)
        without = ()
    elif 'X-Amz-Signature' in query:
        access_key, _, scope = query['X-Amz-Credential'].partition('/')
        names, given = query['X-Amz-SignedHeaders'], query['X-Amz-Signature']
        date, payload = query['X-Amz-Date'], 'UNSIGNED-PAYLOAD'
        without = ('X-Amz-Signature',)
    else:
        return None

    signed = names.split(';')
    if signed != sorted(signed) or 'host' not in signed:
        raise Refused('AccessDenied', f'SignedHeaders={names}')
    loose = [name for name in found if name.startswith('x-amz-')
             and name not in signed and name != 'x-amz-content-sha256']
    if loose:
        raise Refused('AccessDenied', f'not signed: {loose}')
    if not re.fullmatch(r'\d{8}/[\w-]+/s3/aws4_request', scope) \
            or date[:8] != scope[:8]:
        raise Refused('AuthorizationHeaderMalformed', f'{scope} {date}')
    if access_key not in secrets:
        raise Refused('InvalidAccessKeyId', access_key)
    request = canonical_request(method, target, headers, signed, payload,
                                without)
    if signature(secrets[access_key], scope, date, request) != given:
        raise Refused('SignatureDoesNotMatch', request)
    return access_key
