/* SPDX-License-Identifier: Apache-2.0
 *
 * The chunked coding, in pieces of every size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/http_chunked.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))


/* Feeds the text in pieces of `piece` bytes; payload goes to out, the number
 * of bytes used to *used. */
static s3c_status_t
decode(const char *text, size_t len, size_t piece, char *out,
    size_t *out_len, size_t *used)
{
    size_t              pos = 0, n;
    s3c_slice_t         data;
    s3c_status_t        st = S3C_AGAIN;
    s3c_http_chunked_t  c = { 0 };

    *out_len = 0;

    while (pos < len && st == S3C_AGAIN) {
        size_t    left = len - pos < piece ? len - pos : piece;
        uint8_t  *copy = malloc(left);

        assert_non_null(copy);
        memcpy(copy, text + pos, left);
        st = s3c_http_chunked_step(&c, s3c_slice(copy, left), &data, &n);
        assert_true(n <= left);
        assert_true(n > 0);
        assert_true(data.len == 0
                    || (data.data >= copy && data.data + data.len
                                             <= copy + n));
        memcpy(out + *out_len, data.len ? data.data : copy, data.len);
        *out_len += data.len;
        pos += n;
        free(copy);
    }

    *used = pos;
    return st;
}


static void
a_body_is_the_same_in_pieces_of_every_size(void **state)
{
    static const char  text[] =
        "5\r\nhello\r\n"
        "00001 \t;name=\"v;\"\r\n \r\n"
        "A;x\r\n0123\r\n6789\r\n"
        "0;last\r\n"
        "x-amz-checksum-crc32: AAAAAA==\r\n"
        "Empty:\r\n"
        "\r\n"
        "HTTP/1.1 200 OK";
    static const char  body[] = "hello 0123\r\n6789";

    (void) state;

    for (size_t piece = 1; piece <= sizeof(text); piece++) {
        char    out[128];
        size_t  out_len, used;

        assert_int_equal(decode(text, sizeof(text) - 1, piece, out, &out_len,
                                &used), S3C_OK);
        assert_int_equal(out_len, sizeof(body) - 1);
        assert_memory_equal(out, body, out_len);
        assert_int_equal(used, sizeof(text) - 1 - strlen("HTTP/1.1 200 OK"));
    }
}


static void
an_unfinished_body_needs_more(void **state)
{
    static const char  text[] = "3;a\r\nabc\r\n0\r\nT: v\r\n\r\n";

    (void) state;

    for (size_t n = 1; n < sizeof(text) - 1; n++) {
        char    out[64];
        size_t  out_len, used;

        assert_int_equal(decode(text, n, 64, out, &out_len, &used),
                         S3C_AGAIN);
    }
}


static void
malformed_bodies_are_invalid(void **state)
{
    static const char *const  rows[] = {
        "\r\n", " 5\r\n", "x\r\n", "-5\r\n", "+5\r\n", "0x5\r\n", ";a\r\n",
        "5\n", "5\rx", "5 \r\n", "5 5\r\n", "5,5\r\n", "5;a\n", "5;a\x01",
        "5;a\rb", "5;a\x7f",
        "1\r\nab", "1\r\na\n", "1\r\na\rb", "1\r\na0\r\n",
        "0\r\nA b: c", "0\r\n: c", "0\r\n c", "0\r\nA: b\n", "0\r\nA: b\rc",
        "0\r\nA: \x01", "0\r\nA: b\r\n c", "0\r\nA: b\r\n\r\r", "0\r\n\rx",
        "0\r\nA\r\n", "0\r\nA : b",
        /* sizes that a signed 64-bit offset cannot hold */
        "8000000000000000\r\n",
        "ffffffffffffffff\r\n",
        "10000000000000005\r\n",
        "100000000000000000000000000000005\r\n",
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        for (size_t piece = 1; piece <= 64; piece += 63) {
            char          out[64];
            size_t        out_len, used;
            s3c_status_t  st;

            st = decode(rows[i], strlen(rows[i]), piece, out, &out_len,
                        &used);

            if (st != S3C_INVALID) {
                fail_msg("row %zu: %s", i, s3c_status_name(st));
            }
        }
    }
}


static void
a_broken_body_stays_broken_and_a_done_one_done(void **state)
{
    size_t              used;
    s3c_slice_t         data;
    s3c_http_chunked_t  c = { 0 };

    (void) state;

    assert_int_equal(s3c_http_chunked_step(&c, S3C_SLICE("x"), &data, &used),
                     S3C_INVALID);
    assert_int_equal(s3c_http_chunked_step(&c, S3C_SLICE("0\r\n\r\n"), &data,
                                           &used), S3C_INVALID);
    assert_int_equal(used, 0);

    c = (s3c_http_chunked_t) { 0 };
    assert_int_equal(s3c_http_chunked_step(&c, S3C_SLICE_NONE, &data, &used),
                     S3C_AGAIN);
    assert_int_equal(s3c_http_chunked_step(&c, S3C_SLICE("0\r\n\r\n"), &data,
                                           &used), S3C_OK);
    assert_int_equal(used, 5);
    assert_int_equal(s3c_http_chunked_step(&c, S3C_SLICE("0\r\n\r\n"), &data,
                                           &used), S3C_OK);
    assert_int_equal(used, 0);
}


static void
the_largest_chunk_is_a_signed_offset(void **state)
{
    size_t              used;
    s3c_slice_t         data;
    s3c_http_chunked_t  c = { 0 };

    (void) state;

    assert_int_equal(s3c_http_chunked_step(&c,
                         S3C_SLICE("7fffffffffffffff\r\nabc"), &data, &used),
                     S3C_AGAIN);
    assert_int_equal(data.len, 3);
    assert_true(c.chunk_left == (uint64_t) INT64_MAX - 3);
}


static s3c_status_t
decode_filled(const char *start, size_t fill, const char *end)
{
    char         *text, out[8];
    size_t        n = strlen(start), m = strlen(end), out_len, used;
    s3c_status_t  st;

    text = malloc(n + fill + m);
    assert_non_null(text);
    memcpy(text, start, n);
    memset(text + n, 'x', fill);
    memcpy(text + n + fill, end, m);
    st = decode(text, n + fill + m, SIZE_MAX, out, &out_len, &used);
    free(text);

    return st;
}


static void
extensions_and_trailers_are_bounded(void **state)
{
    (void) state;

    /* "0;" "\r\n" and "A:" "\r\n" "\r\n" count too */
    assert_int_equal(decode_filled("0;", S3C_HTTP_CHUNK_LINE_MAX - 4,
                                   "\r\n\r\n"), S3C_OK);
    assert_int_equal(decode_filled("0;", S3C_HTTP_CHUNK_LINE_MAX - 3,
                                   "\r\n\r\n"), S3C_INVALID);
    assert_int_equal(decode_filled("0\r\nA:", S3C_HTTP_CHUNK_TRAILER_MAX - 6,
                                   "\r\n\r\n"), S3C_OK);
    assert_int_equal(decode_filled("0\r\nA:", S3C_HTTP_CHUNK_TRAILER_MAX - 5,
                                   "\r\n\r\n"), S3C_INVALID);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_body_is_the_same_in_pieces_of_every_size),
        cmocka_unit_test(an_unfinished_body_needs_more),
        cmocka_unit_test(malformed_bodies_are_invalid),
        cmocka_unit_test(a_broken_body_stays_broken_and_a_done_one_done),
        cmocka_unit_test(the_largest_chunk_is_a_signed_offset),
        cmocka_unit_test(extensions_and_trailers_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
