/* SPDX-License-Identifier: Apache-2.0
 *
 * aws-chunked bodies of all modes, in pieces of every size; the signatures and
 * the trailer are those of AWS's published examples in form, not in value.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "s3/s3_chunked.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))
#define SIG  "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"
#define S(text)  s3c_slice(text, strlen(text))


/* Status at the end; the payload goes to out. */
static s3c_status_t
decode(s3c_payload_t payload, uint64_t length, const char *trailer,
    const char *text, size_t piece, char *out)
{
    size_t            len = strlen(text), n, used, got = 0;
    s3c_slice_t       data;
    s3c_status_t      st = S3C_AGAIN;
    s3c_s3_chunked_t  c;

    assert_int_equal(s3c_s3_chunked_init(&c, payload, length, S(trailer)),
                     S3C_OK);

    while (len > 0 && (st == S3C_AGAIN || st == S3C_OK)) {
        n = len < piece ? len : piece;
        st = s3c_s3_chunked_step(&c, s3c_slice(text, n), &data, &used);
        assert_true(used <= n);
        assert_true(used > 0 || st != S3C_AGAIN);
        if (data.len > 0) {
            memcpy(out + got, data.data, data.len);
            got += data.len;
        }

        text += used;
        len -= used;
    }

    out[got] = '\0';
    s3c_s3_chunked_fini(&c);

    return st;
}


static void
bodies_of_all_modes_are_decoded(void **state)
{
    static const struct {
        s3c_payload_t  payload;
        uint64_t       length;
        const char    *trailer;
        const char    *text;
        const char    *body;
    } rows[] = {
        { S3C_PAYLOAD_SIGNED_CHUNKS, 9, "",
          "4;chunk-signature=" SIG "\r\n1234\r\n"
          "5;chunk-signature=" SIG "\r\n56789\r\n"
          "0;chunk-signature=" SIG "\r\n\r\n", "123456789" },
        { S3C_PAYLOAD_SIGNED_CHUNKS, 0, "",
          "0;chunk-signature=" SIG "\r\n\r\n", "" },
        { S3C_PAYLOAD_UNSIGNED_TRAILER, 9, "x-amz-checksum-crc32",
          "9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n",
          "123456789" },
        { S3C_PAYLOAD_UNSIGNED_TRAILER, 9, "X-Amz-Checksum-CRC32C",
          "0009\r\n123456789\r\n000\r\nx-amz-checksum-crc32c: 4waSgw== "
          "\r\n\r\n", "123456789" },
        { S3C_PAYLOAD_UNSIGNED_TRAILER, 9, "x-amz-checksum-crc64nvme",
          "9\r\n123456789\r\n0\r\nx-amz-checksum-crc64nvme:rosUhgp5mIg="
          "\r\n\r\n", "123456789" },
        { S3C_PAYLOAD_UNSIGNED_TRAILER, 9, "x-amz-checksum-sha1",
          "9\r\n123456789\r\n0\r\nx-amz-checksum-sha1:"
          "98O8HYCOBHMq32eZZczDTKeuNEE=\r\n\r\n", "123456789" },
        { S3C_PAYLOAD_SIGNED_TRAILER, 9, "x-amz-checksum-sha256",
          "9;chunk-signature=" SIG "\r\n123456789\r\n"
          "0;chunk-signature=" SIG "\r\nx-amz-checksum-sha256:"
          "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=\r\n"
          "x-amz-trailer-signature:" SIG "\r\n\r\n", "123456789" },
        { S3C_PAYLOAD_UNSIGNED_TRAILER, 3, "", "3\r\nabc\r\n0\r\n\r\n",
          "abc" },
    };
    char  out[64];

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        for (size_t piece = 1; piece <= strlen(rows[i].text); piece++) {
            assert_int_equal(decode(rows[i].payload, rows[i].length,
                                    rows[i].trailer, rows[i].text, piece,
                                    out), S3C_OK);
            assert_string_equal(out, rows[i].body);
        }
    }
}


static void
what_was_not_announced_is_refused(void **state)
{
    static const struct {
        s3c_payload_t  payload;
        uint64_t       length;
        const char    *trailer;
        const char    *text;
        s3c_status_t   st;
    } rows[] = {
#define SIGNED   S3C_PAYLOAD_SIGNED_CHUNKS
#define TRAILER  S3C_PAYLOAD_UNSIGNED_TRAILER
#define CRC      "x-amz-checksum-crc32"
        { SIGNED, 3, "", "3\r\nabc\r\n0\r\n\r\n", S3C_INVALID },
        { SIGNED, 3, "", "3;chunk-signature=abc\r\n", S3C_INVALID },
        { SIGNED, 3, "", "3;chunk-signature=g" SIG "\r\n", S3C_INVALID },
        { SIGNED, 3, "", "3;chunk-Signature=" SIG "\r\n", S3C_INVALID },
        { SIGNED, 0, "", "0;chunk-signature=" SIG "\r\n" CRC ":AAAAAA=="
          "\r\n\r\n", S3C_INVALID },
        { TRAILER, 3, "", "3;chunk-signature=" SIG "\r\n", S3C_INVALID },
        { TRAILER, 3, "", "4\r\n", S3C_CHANGED },
        { TRAILER, 3, "", "2\r\nab\r\n0\r\n", S3C_CHANGED },
        { TRAILER, 3, "", "2\r\nab\r\n2\r\n", S3C_CHANGED },
        { TRAILER, 3, "", "3\nabc", S3C_INVALID },
        { TRAILER, 3, "", "3\r\nabcd\r\n", S3C_INVALID },
        { TRAILER, 3, "", "3\r\nabc\r\n0\r\n\r\nx", S3C_INVALID },
        { TRAILER, 3, "", "\r\n", S3C_INVALID },
        { TRAILER, 3, "", " 3\r\n", S3C_INVALID },
        { TRAILER, 3, "", "+3\r\n", S3C_INVALID },
        { TRAILER, 3, "", "0x3\r\n", S3C_INVALID },
        { TRAILER, UINT64_MAX, "", "10000000000000003\r\n", S3C_INVALID },
        { TRAILER, 3, "", "3\r\nabc\r\n0\r\n" CRC ":NSRBwg==\r\n\r\n",
          S3C_INVALID },
        { TRAILER, 3, CRC, "3\r\nabc\r\n0\r\n\r\n", S3C_INVALID },
        { TRAILER, 3, CRC, "3\r\nabc\r\n0\r\n" CRC ":NSRBwg==\r\n" CRC
          ":NSRBwg==\r\n\r\n", S3C_INVALID },
        { TRAILER, 3, CRC, "3\r\nabc\r\n0\r\n" CRC "c:NSRBwg==\r\n\r\n",
          S3C_INVALID },
        { TRAILER, 3, CRC, "3\r\nabc\r\n0\r\n" CRC ":NSRBwQ==\r\n\r\n",
          S3C_CORRUPT },
        { TRAILER, 3, CRC, "3\r\nabc\r\n0\r\n" CRC ":NSRBw===\r\n\r\n",
          S3C_INVALID },
        { TRAILER, 3, CRC, "3\r\nabc\r\n0\r\n" CRC ":352441c2\r\n\r\n",
          S3C_INVALID },
        { TRAILER, 3, CRC, "3\r\nabc\r\n0\r\n" CRC "\r\n\r\n", S3C_INVALID },
        { TRAILER, 3, CRC, "3\r\nabc\r\n0\r\n:\r\n", S3C_INVALID },
        { TRAILER, 3, CRC, "3\r\nabc\r\n0\r\nx-amz-trailer-signature:" SIG
          "\r\n", S3C_INVALID },
    };
    char  out[64];

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        for (size_t piece = 1; piece < 100; piece++) {
            s3c_status_t  st = decode(rows[i].payload, rows[i].length,
                                      rows[i].trailer, rows[i].text, piece,
                                      out);
            if (st != rows[i].st) {
                fail_msg("row %zu, pieces of %zu: %s", i, piece,
                         s3c_status_name(st));
            }
        }
    }
}


static void
only_announcements_that_can_be_kept_are_taken(void **state)
{
    s3c_s3_chunked_t  c;

    (void) state;

    assert_int_equal(s3c_s3_chunked_init(&c, S3C_PAYLOAD_UNSIGNED, 1,
                                         S3C_SLICE_NONE), S3C_INVALID);
    s3c_s3_chunked_fini(&c);
    assert_int_equal(s3c_s3_chunked_init(&c, SIGNED, 1,
                                         S3C_SLICE(CRC)), S3C_INVALID);
    s3c_s3_chunked_fini(&c);
    assert_int_equal(s3c_s3_chunked_init(&c, TRAILER, 1,
                                         S3C_SLICE("x-amz-checksum-md9")),
                     S3C_UNSUPPORTED);
    s3c_s3_chunked_fini(&c);
    assert_int_equal(s3c_s3_chunked_init(&c, TRAILER, 1,
                                         S3C_SLICE(CRC ", " CRC "c")),
                     S3C_UNSUPPORTED);
    s3c_s3_chunked_fini(&c);
}


static void
lines_are_bounded(void **state)
{
    char  text[S3C_S3_CHUNK_LINE_MAX + 100], out[8];

    (void) state;

    memset(text, '0', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(decode(TRAILER, 3, "", text, 7, out), S3C_INVALID);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(bodies_of_all_modes_are_decoded),
        cmocka_unit_test(what_was_not_announced_is_refused),
        cmocka_unit_test(only_announcements_that_can_be_kept_are_taken),
        cmocka_unit_test(lines_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
