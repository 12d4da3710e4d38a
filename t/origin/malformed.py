# SPDX-License-Identifier: Apache-2.0
"""Answers that no HTTP client may believe, by name.

{length} and {body} are those of the right answer; after one of these the
connection is closed.
"""

MALFORMED = {
    'two_status_lines': b'HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n'
                        b'HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n'
                        b'\r\n{body}',
    'bare_lf_in_value': b'HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n'
                        b'x-amz-meta-a: b\nc\r\n\r\n{body}',
    'bare_cr_in_value': b'HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n'
                        b'x-amz-meta-a: b\rc: d\r\n\r\n{body}',
    'nul_in_value': b'HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n'
                    b'x-amz-meta-a: b\0c\r\n\r\n{body}',
    'space_before_colon': b'HTTP/1.1 200 OK\r\nContent-Length : {length}\r\n'
                          b'\r\n{body}',
    'folded_header': b'HTTP/1.1 200 OK\r\nx-amz-meta-a: b\r\n c\r\n'
                     b'Content-Length: {length}\r\n\r\n{body}',
    'no_colon': b'HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nnonsense\r\n'
                b'\r\n{body}',
    'duplicate_length': b'HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n'
                        b'Content-Length: 3\r\n\r\n{body}',
    'length_and_chunked': b'HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n'
                          b'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'negative_length': b'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{body}',
    'length_overflow': b'HTTP/1.1 200 OK\r\n'
                       b'Content-Length: 18446744073709551617\r\n\r\n{body}',
    'length_not_number': b'HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n'
                         b'{body}',
    'unknown_coding': b'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n'
                      b'{body}',
    'bad_chunk_size': b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n'
                      b'\r\nzz\r\n{body}\r\n0\r\n\r\n',
    'chunk_overflow': b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n'
                      b'\r\nffffffffffffffffff\r\n{body}\r\n0\r\n\r\n',
    'chunk_without_crlf': b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked'
                          b'\r\n\r\n1\r\nab0\r\n\r\n',
    'http_0_9': b'{body}',
    'bad_version': b'HTTP/3.7 200 OK\r\nContent-Length: {length}\r\n\r\n'
                   b'{body}',
    'bad_status': b'HTTP/1.1 2000 OK\r\nContent-Length: {length}\r\n\r\n'
                  b'{body}',
    'other_protocol': b'SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n',
    'huge_header': b'HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n'
                   b'x-amz-meta-a: ' + b'a' * 300_000 + b'\r\n\r\n{body}',
    'many_headers': b'HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n'
                    + b''.join(b'x-amz-meta-%d: a\r\n' % i
                               for i in range(20_000)) + b'\r\n{body}',
    'endless_head': b'HTTP/1.1 200 OK\r\nContent-Le',
    'nothing': b'',
}
