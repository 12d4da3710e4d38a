/* SPDX-License-Identifier: Apache-2.0
 *
 * Response heads: what is read, and what no origin may get past us.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/http_head.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))


/* Parses a copy that ends where the text ends, so that ASan sees a byte read
 * too many. */
static s3c_status_t
parse_n(const char *text, size_t len, s3c_http_head_t *head, uint8_t **copy)
{
    *copy = malloc(len > 0 ? len : 1);
    assert_non_null(*copy);
    memcpy(*copy, text, len);

    return s3c_http_head_parse(s3c_slice(*copy, len), head);
}


static s3c_status_t
parse_status(const char *text, size_t len, s3c_http_head_t *head)
{
    uint8_t       *copy;
    s3c_status_t   st;

    st = parse_n(text, len, head, &copy);
    free(copy);

    return st;
}


static void
a_head_is_read_with_its_fields_in_order(void **state)
{
    static const char  text[] =
        "HTTP/1.1 200 OK\r\n"
        "ETag: \"abc\"\r\n"
        "content-LENGTH:6\r\n"
        "x-amz-meta-a: \t b  c \t\r\n"
        "X-Empty:\r\n"
        "X-Latin: caf\xe9\r\n"
        "\r\n"
        "foobar";
    uint8_t                  *copy;
    s3c_http_head_t           head;
    const s3c_http_header_t  *h;

    (void) state;

    assert_int_equal(parse_n(text, sizeof(text) - 1, &head, &copy), S3C_OK);
    assert_int_equal(head.status, 200);
    assert_int_equal(head.minor_version, 1);
    assert_true(head.has_length);
    assert_int_equal(head.length, 6);
    assert_false(head.chunked);
    assert_true(head.keepalive);
    assert_int_equal(head.head_bytes, sizeof(text) - 1 - 6);
    assert_int_equal(head.n_headers, 5);

    assert_true(s3c_slice_eq(head.headers[0].name, S3C_SLICE("ETag")));
    assert_true(s3c_slice_eq(head.headers[2].value, S3C_SLICE("b  c")));
    assert_int_equal(head.headers[3].value.len, 0);
    assert_true(s3c_slice_eq(head.headers[4].value, S3C_SLICE("caf\xe9")));

    h = s3c_http_head_find(&head, S3C_SLICE("etag"));
    assert_non_null(h);
    assert_true(s3c_slice_eq(h->value, S3C_SLICE("\"abc\"")));
    assert_null(s3c_http_head_find(&head, S3C_SLICE("etagx")));
    free(copy);
}


static void
every_beginning_of_a_head_needs_more(void **state)
{
    static const char  text[] =
        "HTTP/1.1 206 Partial Content\r\n"
        "Content-Range: bytes 0-3/100\r\n"
        "Content-Length: 4\r\n"
        "\r\n";
    s3c_http_head_t    head;

    (void) state;

    for (size_t n = 0; n < sizeof(text) - 1; n++) {
        assert_int_equal(parse_status(text, n, &head), S3C_AGAIN);
    }

    assert_int_equal(parse_status(text, sizeof(text) - 1, &head), S3C_OK);
}


static void
what_can_be_no_head_is_refused_early(void **state)
{
    static const char *const  rows[] = {
        "\r\n", "\n", "X", "HTTP/2", "http/1.1 200 OK", "<html>",
        " HTTP/1.1 200 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\n",
        "HTTP/1.1 200 OK\r\nA: b\n",
        "HTTP/1.1 200 OK\n\nbody with \r\n\r\n",
    };
    s3c_http_head_t           head;

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        if (parse_status(rows[i], strlen(rows[i]), &head) != S3C_INVALID) {
            fail_msg("row %zu: %s", i, rows[i]);
        }
    }
}


static void
status_lines_are_strict(void **state)
{
    static const struct {
        const char    *line;
        s3c_status_t   st;
        unsigned       status;
    } rows[] = {
        { "HTTP/1.1 200 OK", S3C_OK, 200 },
        { "HTTP/1.1 200 ", S3C_OK, 200 },
        { "HTTP/1.1 200", S3C_OK, 200 },
        { "HTTP/1.0 404 Not Found", S3C_OK, 404 },
        { "HTTP/1.1 100 Continue", S3C_OK, 100 },
        { "HTTP/1.1 103 Early Hints", S3C_OK, 103 },
        { "HTTP/1.1 304 Not\tModified \xe9", S3C_OK, 304 },
        { "HTTP/1.1 599 X", S3C_OK, 599 },
        { "HTTP/1.1 101 Switching Protocols", S3C_INVALID, 0 },
        { "HTTP/1.1 600 X", S3C_INVALID, 0 },
        { "HTTP/1.1 099 X", S3C_INVALID, 0 },
        { "HTTP/1.1 2000 X", S3C_INVALID, 0 },
        { "HTTP/1.1 20 X", S3C_INVALID, 0 },
        { "HTTP/1.1  200 X", S3C_INVALID, 0 },
        { "HTTP/1.1 200\tX", S3C_INVALID, 0 },
        { "HTTP/1.1 +20 X", S3C_INVALID, 0 },
        { "HTTP/1.1\t200 OK", S3C_INVALID, 0 },
        { "HTTP/1.2 200 OK", S3C_INVALID, 0 },
        { "HTTP/1. 200 OK", S3C_INVALID, 0 },
        { "HTTP/1.11 200 OK", S3C_INVALID, 0 },
        { "HTTP/2.0 200 OK", S3C_INVALID, 0 },
        { "HTTP/1.1", S3C_INVALID, 0 },
        { "HTTP/1.1 ", S3C_INVALID, 0 },
        { "HTTP/1.1 200 O\rK", S3C_INVALID, 0 },
        { "HTTP/1.1 200 O\x01K", S3C_INVALID, 0 },
        { "HTTP/1.1 200 O\x7fK", S3C_INVALID, 0 },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        char             text[128];
        int              n;
        s3c_status_t     st;
        s3c_http_head_t  head;

        n = snprintf(text, sizeof(text), "%s\r\n\r\n", rows[i].line);
        st = parse_status(text, (size_t) n, &head);

        if (st != rows[i].st || (st == S3C_OK
                                 && head.status != rows[i].status))
        {
            fail_msg("%s: %s", rows[i].line, s3c_status_name(st));
        }
    }
}


static void
fields_that_could_hide_something_are_refused(void **state)
{
    static const char *const  rows[] = {
        /* RGW's answer to a CR LF in response-content-type */
        "Content-Length: 6\r\nHTTP/1.1 400 Bad Request\r\n"
            "Content-Length: 237\r\n",
        /* names */
        "A b: c\r\n",
        "A : c\r\n",
        "A\t: c\r\n",
        ": c\r\n",
        "A\r\n",
        "A/b: c\r\n",
        "A\xe9: c\r\n",
        "\"A\": c\r\n",
        "(A): c\r\n",
        /* obs-fold */
        "A: b\r\n c\r\n",
        "A: b\r\n\tc: d\r\n",
        " A: b\r\n",
        /* control bytes */
        "A: b\rc\r\n",
        "A: b\r\r\n",
        "A: b\x01\r\n",
        "A: \x7f\r\n",
        "A: \x1b[2J\r\n",
        "A: b\rContent-Length: 1\r\n",
        /* framing */
        "Content-Length: 6\r\nContent-Length: 7\r\n",
        "Content-Length: 6\r\nContent-Length: 6\r\n",
        "Content-Length: 6, 6\r\n",
        "Content-Length:\r\n",
        "Content-Length: +6\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x6\r\n",
        "Content-Length: 6 6\r\n",
        "Content-Length: 6.0\r\n",
        "Content-Length: 9223372036854775808\r\n",
        "Content-Length: 18446744073709551622\r\n",
        "Content-Length: 99999999999999999999999999\r\n",
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: \x0b" "chunked\r\n",
        "Content-Length : 6\r\n",
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        char             text[256];
        int              n;
        s3c_http_head_t  head;

        n = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%s\r\n",
                     rows[i]);

        if (parse_status(text, (size_t) n, &head) != S3C_INVALID) {
            fail_msg("row %zu: %s", i, rows[i]);
        }
    }
}


static void
a_nul_is_refused_in_every_part(void **state)
{
    static const char  value[] = "HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n";
    static const char  name[] = "HTTP/1.1 200 OK\r\nA\0: b\r\n\r\n";
    static const char  reason[] = "HTTP/1.1 200 O\0K\r\n\r\n";
    s3c_http_head_t    head;

    (void) state;

    assert_int_equal(parse_status(value, sizeof(value) - 1, &head),
                     S3C_INVALID);
    assert_int_equal(parse_status(name, sizeof(name) - 1, &head),
                     S3C_INVALID);
    assert_int_equal(parse_status(reason, sizeof(reason) - 1, &head),
                     S3C_INVALID);
}


static void
framing_and_connection_are_told(void **state)
{
    static const struct {
        const char  *head;
        bool         has_length;
        bool         chunked;
        bool         keepalive;
        uint64_t     length;
    } rows[] = {
        { "HTTP/1.1 200 OK\r\n", false, false, true, 0 },
        { "HTTP/1.0 200 OK\r\n", false, false, false, 0 },
        { "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n",
          false, false, true, 0 },
        { "HTTP/1.0 200 OK\r\nConnection: Keep-Alive, close\r\n",
          false, false, false, 0 },
        { "HTTP/1.1 200 OK\r\nConnection: close\r\n",
          false, false, false, 0 },
        { "HTTP/1.1 200 OK\r\nConnection: foo ,\tCLOSE\r\n",
          false, false, false, 0 },
        { "HTTP/1.1 200 OK\r\nConnection: a\r\nConnection: close\r\n",
          false, false, false, 0 },
        { "HTTP/1.1 200 OK\r\nConnection: closed\r\n",
          false, false, true, 0 },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n",
          false, true, true, 0 },
        { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", true, false, true, 0 },
        { "HTTP/1.1 200 OK\r\nContent-Length: 007\r\n",
          true, false, true, 7 },
        { "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n",
          true, false, true, INT64_MAX },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        char             text[256];
        int              n;
        s3c_http_head_t  head;

        n = snprintf(text, sizeof(text), "%s\r\n", rows[i].head);

        if (parse_status(text, (size_t) n, &head) != S3C_OK
            || head.has_length != rows[i].has_length
            || head.chunked != rows[i].chunked
            || head.keepalive != rows[i].keepalive
            || head.length != rows[i].length)
        {
            fail_msg("row %zu: %s", i, rows[i].head);
        }
    }
}


static void
chunked_from_http_1_0_is_refused(void **state)
{
    static const char  text[] =
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    s3c_http_head_t    head;

    (void) state;
    assert_int_equal(parse_status(text, sizeof(text) - 1, &head),
                     S3C_INVALID);
}


static void
the_limits_hold(void **state)
{
    char            *text;
    size_t           n;
    s3c_http_head_t  head;

    (void) state;

    text = malloc(S3C_HTTP_HEAD_BYTES_MAX + 64);
    assert_non_null(text);

    for (unsigned extra = 0; extra <= 1; extra++) {
        n = (size_t) sprintf(text, "HTTP/1.1 200 OK\r\n");

        for (unsigned i = 0; i < S3C_HTTP_HEADERS_MAX + extra; i++) {
            n += (size_t) sprintf(text + n, "A%u: b\r\n", i);
        }

        n += (size_t) sprintf(text + n, "\r\n");
        assert_int_equal(parse_status(text, n, &head),
                         extra ? S3C_INVALID : S3C_OK);
    }

    /* a head of exactly the limit, then of one byte more */
    for (unsigned extra = 0; extra <= 1; extra++) {
        n = (size_t) sprintf(text, "HTTP/1.1 200 OK\r\nA: ");
        memset(text + n, 'x', S3C_HTTP_HEAD_BYTES_MAX);
        memcpy(text + S3C_HTTP_HEAD_BYTES_MAX - 4 + extra, "\r\n\r\n", 4);
        assert_int_equal(parse_status(text, S3C_HTTP_HEAD_BYTES_MAX + extra,
                                      &head),
                         extra ? S3C_INVALID : S3C_OK);
    }

    /* no end in sight: more is asked for up to the limit, not past it */
    memset(text + 20, 'x', S3C_HTTP_HEAD_BYTES_MAX);
    assert_int_equal(parse_status(text, S3C_HTTP_HEAD_BYTES_MAX - 1, &head),
                     S3C_AGAIN);
    assert_int_equal(parse_status(text, S3C_HTTP_HEAD_BYTES_MAX, &head),
                     S3C_INVALID);
    free(text);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_head_is_read_with_its_fields_in_order),
        cmocka_unit_test(every_beginning_of_a_head_needs_more),
        cmocka_unit_test(what_can_be_no_head_is_refused_early),
        cmocka_unit_test(status_lines_are_strict),
        cmocka_unit_test(fields_that_could_hide_something_are_refused),
        cmocka_unit_test(a_nul_is_refused_in_every_part),
        cmocka_unit_test(framing_and_connection_are_told),
        cmocka_unit_test(chunked_from_http_1_0_is_refused),
        cmocka_unit_test(the_limits_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
