/* SPDX-License-Identifier: Apache-2.0
 *
 * The canonical request of SigV4, S3 variant.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auth/sigv4.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))
#define EMPTY   "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852" \
                "b855"


static s3c_slice_t
text(const char *s)
{
    return s3c_slice(s, strlen(s));
}


static void
the_example_of_aws_is_reproduced(void **state)
{
    static const char          want[] =
        "GET\n"
        "/test.txt\n"
        "\n"
        "host:examplebucket.s3.amazonaws.com\n"
        "range:bytes=0-9\n"
        "x-amz-content-sha256:" EMPTY "\n"
        "x-amz-date:20130524T000000Z\n"
        "\n"
        "host;range;x-amz-content-sha256;x-amz-date\n"
        EMPTY;
    const s3c_http_header_t  headers[] = {
        { S3C_SLICE("X-Amz-Date"), S3C_SLICE("20130524T000000Z") },
        { S3C_SLICE("Range"), S3C_SLICE("bytes=0-9") },
        { S3C_SLICE("x-amz-content-sha256"), S3C_SLICE(EMPTY) },
        { S3C_SLICE("Host"), S3C_SLICE("examplebucket.s3.amazonaws.com") },
    };
    const s3c_sigv4_request_t  req = {
        .method = S3C_SLICE("GET"),
        .path = S3C_SLICE("/test.txt"),
        .headers = headers,
        .n_headers = LEN(headers),
        .payload_hash = S3C_SLICE(EMPTY),
    };
    uint8_t                    buf[sizeof(want)];
    s3c_writer_t               w;

    (void) state;

    s3c_writer_init(&w, buf, sizeof(want) - 1);
    assert_int_equal(s3c_sigv4_canonical(&req, &w), S3C_OK);
    assert_memory_equal(buf, want, sizeof(want) - 1);

    for (size_t n = 0; n < sizeof(want) - 1; n++) {
        s3c_writer_init(&w, buf, n);
        assert_int_equal(s3c_sigv4_canonical(&req, &w), S3C_FULL);
    }
}


/* The lines of a request with that path and query. */
static s3c_status_t
canonical(const char *path, const char *query, uint8_t *buf, size_t size,
    s3c_slice_t *out)
{
    s3c_status_t               st;
    s3c_writer_t               w;
    const s3c_sigv4_request_t  req = {
        .method = S3C_SLICE("GET"),
        .path = text(path),
        .query = text(query),
        .payload_hash = S3C_SLICE("UNSIGNED-PAYLOAD"),
    };

    s3c_writer_init(&w, buf, size);
    st = s3c_sigv4_canonical(&req, &w);
    *out = s3c_writer_slice(&w);

    return st;
}


static void
paths_and_queries_are_encoded_and_sorted(void **state)
{
    static const struct {
        const char  *path, *query, *want;
    } rows[] = {
        { "/", "", "/\n\n" },
        { "/a b/c+d/~e", "", "/a%20b/c%2Bd/~e\n\n" },
        { "/b//../k/.", "", "/b//../k/.\n\n" },
        { "/test$file.text", "", "/test%24file.text\n\n" },
        { "/\xc3\xa9%", "", "/%C3%A9%25\n\n" },
        { "/", "lifecycle", "/\nlifecycle=\n" },
        { "/", "lifecycle=", "/\nlifecycle=\n" },
        { "/", "prefix=J&max-keys=2", "/\nmax-keys=2&prefix=J\n" },
        { "/", "&&b=1&&a=2&", "/\na=2&b=1\n" },
        { "/", "a=x+y&b=x%2By&c=x%20y", "/\na=x%20y&b=x%2By&c=x%20y\n" },
        { "/", "prefix=a/b%2fc", "/\nprefix=a%2Fb%2Fc\n" },
        { "/", "a=%7e%2d%41", "/\na=~-A\n" },
        { "/", "a=b=c", "/\na=b%3Dc\n" },
        { "/", "=v", "/\n=v\n" },
        { "/", "a%3Db", "/\na%3Db=\n" },
        /* duplicates are kept, and ordered by value */
        { "/", "a=2&a=10&a=1&a=", "/\na=&a=1&a=10&a=2\n" },
        { "/", "a=b&a=b", "/\na=b&a=b\n" },
        /* names first, then values; '=' takes no part in the order */
        { "/", "a-b=1&a=2", "/\na=2&a-b=1\n" },
        { "/", "ab=1&a=z", "/\na=z&ab=1\n" },
        /* it is the encoded form that is ordered: %7C < A < a < ~ */
        { "/", "~=1&a=1&A=1&%7c=1&%e9=1&0=1&-=1",
          "/\n%7C=1&%E9=1&-=1&0=1&A=1&a=1&~=1\n" },
        { "/", "a=~&a=%20&a=%21&a=0", "/\na=%20&a=%21&a=0&a=~\n" },
        { "/", "X-Amz-Signature=1&X-Amz-Date=2&X%2dAmz-Signature=3",
          "/\nX-Amz-Date=2\n" },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        uint8_t       buf[512];
        s3c_slice_t   out, want = text(rows[i].want);

        assert_int_equal(canonical(rows[i].path, rows[i].query, buf,
                                   sizeof(buf), &out), S3C_OK);

        /* "GET\n" before, an empty list of headers behind */
        if (out.len < 4 + want.len
            || memcmp(out.data + 4, want.data, want.len) != 0)
        {
            fail_msg("%s?%s: %.*s", rows[i].path, rows[i].query,
                     (int) out.len, (char *) out.data);
        }
    }
}


static void
a_path_that_is_coded_goes_in_as_it_is(void **state)
{
    static const char          want[] = "GET\n/a%2fb+%61\n\n\n\n\nh";
    uint8_t                    buf[64];
    s3c_writer_t               w;
    const s3c_sigv4_request_t  req = {
        .method = S3C_SLICE("GET"),
        .path = S3C_SLICE("/a%2fb+%61"),
        .path_is_coded = true,
        .payload_hash = S3C_SLICE("h"),
    };

    (void) state;

    s3c_writer_init(&w, buf, sizeof(buf));
    assert_int_equal(s3c_sigv4_canonical(&req, &w), S3C_OK);
    assert_true(s3c_slice_eq(s3c_writer_slice(&w),
                             s3c_slice(want, sizeof(want) - 1)));
}


static void
a_query_that_cannot_be_read_is_invalid(void **state)
{
    static const char *const  rows[] = {
        "%", "a=%", "a=%4", "a=%zz", "%4=1", "a%=41", "a=%4&b=1",
    };
    uint8_t                   buf[512];
    s3c_slice_t               out;

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        assert_int_equal(canonical("/", rows[i], buf, sizeof(buf), &out),
                         S3C_INVALID);
    }
}


static void
a_query_has_a_largest_number_of_parameters(void **state)
{
    char         query[2 * 129];
    uint8_t      buf[1024];
    s3c_slice_t  out;

    (void) state;

    for (size_t i = 0; i < sizeof(query); i += 2) {
        memcpy(query + i, "a&", 2);
    }

    query[2 * 128] = '\0';
    assert_int_equal(canonical("/", query, buf, sizeof(buf), &out), S3C_OK);
    query[2 * 128] = 'a';
    query[2 * 128 + 1] = '\0';
    assert_int_equal(canonical("/", query, buf, sizeof(buf), &out),
                     S3C_INVALID);
}


static void
headers_are_joined_trimmed_and_collapsed(void **state)
{
    static const char          want[] =
        "PUT\n/\n\n"
        "a:1\n"
        "host:h\n"
        "x-amz-meta-a:b c d\n"
        "x-amz-meta-b:z,a ,,b\n"
        "x-amz-meta-b-c:q\n"
        "\n"
        "a;host;x-amz-meta-a;x-amz-meta-b;x-amz-meta-b-c\n"
        "UNSIGNED-PAYLOAD";
    const s3c_http_header_t  headers[] = {
        { S3C_SLICE("X-Amz-Meta-B"), S3C_SLICE("z") },
        { S3C_SLICE("x-amz-meta-b-c"), S3C_SLICE("q") },
        { S3C_SLICE("x-amz-meta-b"), S3C_SLICE(" a \t ,") },
        { S3C_SLICE("x-amz-meta-A"), S3C_SLICE("\t b  c \t d ") },
        { S3C_SLICE("X-AMZ-META-B"), S3C_SLICE("b") },
        { S3C_SLICE("Host"), S3C_SLICE("h") },
        { S3C_SLICE("a"), S3C_SLICE("1") },
    };
    const s3c_sigv4_request_t  req = {
        .method = S3C_SLICE("PUT"),
        .path = S3C_SLICE("/"),
        .headers = headers,
        .n_headers = LEN(headers),
        .payload_hash = S3C_SLICE("UNSIGNED-PAYLOAD"),
    };
    uint8_t                    buf[512];
    s3c_slice_t                out;
    s3c_writer_t               w;

    (void) state;

    s3c_writer_init(&w, buf, sizeof(buf));
    assert_int_equal(s3c_sigv4_canonical(&req, &w), S3C_OK);
    out = s3c_writer_slice(&w);

    if (!s3c_slice_eq(out, s3c_slice(want, sizeof(want) - 1))) {
        fail_msg("%.*s", (int) out.len, (char *) out.data);
    }
}


static void
headers_that_would_forge_lines_or_are_too_many_are_invalid(void **state)
{
    uint8_t              buf[8192];
    s3c_writer_t         w;
    s3c_http_header_t    headers[S3C_SIGV4_HEADERS_MAX + 1];
    s3c_sigv4_request_t  req = {
        .method = S3C_SLICE("GET"),
        .path = S3C_SLICE("/"),
        .headers = headers,
    };

    (void) state;

    for (unsigned i = 0; i <= S3C_SIGV4_HEADERS_MAX; i++) {
        headers[i].name = S3C_SLICE("a");
        headers[i].value = S3C_SLICE_NONE;
    }

    s3c_writer_init(&w, buf, sizeof(buf));
    req.n_headers = S3C_SIGV4_HEADERS_MAX;
    assert_int_equal(s3c_sigv4_canonical(&req, &w), S3C_OK);
    req.n_headers = S3C_SIGV4_HEADERS_MAX + 1;
    assert_int_equal(s3c_sigv4_canonical(&req, &w), S3C_INVALID);

    req.n_headers = 1;
    headers[0].value = S3C_SLICE("b\nc:d");
    assert_int_equal(s3c_sigv4_canonical(&req, &w), S3C_INVALID);
    headers[0].value = S3C_SLICE_NONE;
    headers[0].name = S3C_SLICE("a\nb");
    assert_int_equal(s3c_sigv4_canonical(&req, &w), S3C_INVALID);
    headers[0].name = S3C_SLICE_NONE;
    assert_int_equal(s3c_sigv4_canonical(&req, &w), S3C_INVALID);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(the_example_of_aws_is_reproduced),
        cmocka_unit_test(paths_and_queries_are_encoded_and_sorted),
        cmocka_unit_test(a_path_that_is_coded_goes_in_as_it_is),
        cmocka_unit_test(a_query_that_cannot_be_read_is_invalid),
        cmocka_unit_test(a_query_has_a_largest_number_of_parameters),
        cmocka_unit_test(headers_are_joined_trimmed_and_collapsed),
        cmocka_unit_test(
            headers_that_would_forge_lines_or_are_too_many_are_invalid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
