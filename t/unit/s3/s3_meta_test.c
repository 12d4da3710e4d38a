/* SPDX-License-Identifier: Apache-2.0
 *
 * What is kept of an origin's answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "s3/s3_meta.h"

#define LEN(a)   (sizeof(a) / sizeof((a)[0]))
#define OK_200   "HTTP/1.1 200 OK\r\n"
#define OK_206   "HTTP/1.1 206 Partial Content\r\n"
#define LM       "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
#define ETAG     "ETag: \"abc\"\r\n"

static char             head_text[2048];
static s3c_http_head_t  head;
static s3c_s3_meta_t    meta;


static s3c_slice_t
text(const char *s)
{
    return s3c_slice(s, strlen(s));
}


static void
read_head(const char *lines)
{
    int  n = snprintf(head_text, sizeof(head_text), "%s\r\n", lines);

    assert_true(n > 0 && (size_t) n < sizeof(head_text));
    assert_int_equal(s3c_http_head_parse(s3c_slice(head_text, (size_t) n),
                                         &head), S3C_OK);
}


static s3c_status_t
parse(const char *lines)
{
    read_head(lines);
    return s3c_s3_meta_parse(&head, false, &meta);
}


static void
a_whole_object_is_read(void **state)
{
    (void) state;

    assert_int_equal(parse(OK_200 LM ETAG "Content-Length: 100\r\n"
                           "x-amz-version-id: v1\r\n"), S3C_OK);
    assert_int_equal(meta.total, 100);
    assert_int_equal(meta.first, 0);
    assert_int_equal(meta.last, 99);
    assert_int_equal(meta.last_modified, 784111777);
    assert_true(s3c_slice_eq(meta.etag, S3C_SLICE("\"abc\"")));
    assert_true(s3c_slice_eq(meta.last_modified_text,
                             S3C_SLICE("Sun, 06 Nov 1994 08:49:37 GMT")));
    assert_true(s3c_slice_eq(meta.version_id, S3C_SLICE("v1")));
    assert_false(meta.sse_customer);
    assert_false(meta.parts_count);
}


static void
a_part_tells_the_whole(void **state)
{
    (void) state;

    assert_int_equal(parse(OK_206 ETAG "Content-Length: 4\r\n"
                           "Content-Range: bytes 96-99/100\r\n"
                           "x-amz-mp-parts-count: 3\r\n"), S3C_OK);
    assert_int_equal(meta.total, 100);
    assert_int_equal(meta.first, 96);
    assert_int_equal(meta.last, 99);
    assert_int_equal(meta.last_modified, -1);
    assert_true(meta.parts_count);

    assert_int_equal(s3c_s3_meta_parse(&head, true, &meta), S3C_OK);
    assert_int_equal(meta.total, 100);
}


static void
an_empty_object_is_one_too(void **state)
{
    (void) state;

    assert_int_equal(parse(OK_200 "Content-Length: 0\r\n"), S3C_OK);
    assert_int_equal(meta.total, 0);
    assert_int_equal(meta.first, 0);
    assert_int_equal(meta.last, 0);
    assert_int_equal(meta.etag.len, 0);
    assert_true(meta.generation != 0);
}


static void
answers_that_cannot_be_stored_under_their_length_are_invalid(void **state)
{
    static const char *const  rows[] = {
        OK_200,
        OK_200 "Transfer-Encoding: chunked\r\n",
        OK_206 "Content-Length: 4\r\n",
        OK_206 "Content-Range: bytes 0-3/100\r\n",
        OK_206 "Transfer-Encoding: chunked\r\n"
            "Content-Range: bytes 0-3/100\r\n",
        OK_206 "Content-Length: 5\r\nContent-Range: bytes 0-3/100\r\n",
        OK_206 "Content-Length: 3\r\nContent-Range: bytes 0-3/100\r\n",
        OK_206 "Content-Length: 4\r\nContent-Range: bytes 0-3/*\r\n",
        OK_206 "Content-Length: 4\r\nContent-Range: bytes 0-3/3\r\n",
        OK_206 "Content-Length: 0\r\nContent-Range: bytes */100\r\n",
        OK_206 "Content-Length: 4\r\nContent-Range: 0-3/100\r\n",
        OK_206 "Content-Length: 4\r\nContent-Range: bytes 0-3/100\r\n"
            "Content-Range: bytes 0-3/100\r\n",
        OK_206 "Content-Length: 4\r\n"
            "Content-Range: bytes 0-3/18446744073709551615\r\n",
        OK_206 "Content-Length: 4\r\n"
            "Content-Type: multipart/byteranges; boundary=x\r\n",
        /* RGW, to a malformed Range */
        OK_200 "Content-Length: 4\r\nContent-Range: bytes 0-3/100\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n",
        "HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n",
        /* which of them is it? */
        OK_200 "Content-Length: 1\r\n" ETAG ETAG,
        OK_200 "Content-Length: 1\r\n" ETAG "etag: \"xyz\"\r\n",
        OK_200 "Content-Length: 1\r\n" LM LM,
        OK_200 "Content-Length: 1\r\nx-amz-version-id: a\r\n"
            "x-amz-version-id: b\r\n",
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        if (parse(rows[i]) != S3C_INVALID) {
            fail_msg("row %zu: %s", i, rows[i]);
        }

        if (s3c_s3_meta_parse(&head, true, &meta) != S3C_INVALID) {
            fail_msg("row %zu, HEAD: %s", i, rows[i]);
        }
    }
}


static void
an_etag_must_be_one_entity_tag(void **state)
{
    static const struct {
        const char    *etag;
        s3c_status_t   st;
    } rows[] = {
        { "\"d41d8cd98f00b204e9800998ecf8427e-3\"", S3C_OK },
        { "W/\"abc\"", S3C_OK },
        { "\"a,b\"", S3C_OK },
        { "\"\"", S3C_OK },
        { "abc", S3C_OK },
        { "", S3C_OK },                  /* none */
        { "W/abc", S3C_INVALID },
        { "\"abc", S3C_INVALID },
        { "abc\"", S3C_INVALID },
        { "\"", S3C_INVALID },
        { "\"a\", \"b\"", S3C_INVALID },
        { "\"a b\"", S3C_INVALID },
        { "a,b", S3C_INVALID },
        { "a b", S3C_INVALID },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        char  lines[256];

        snprintf(lines, sizeof(lines), OK_200 "Content-Length: 1\r\n"
                 "ETag: %s\r\n", rows[i].etag);

        if (parse(lines) != rows[i].st) {
            fail_msg("%s", rows[i].etag);
        }
    }
}


static uint64_t
generation(const char *lines)
{
    assert_int_equal(parse(lines), S3C_OK);
    assert_true(meta.generation != 0);

    return meta.generation;
}


static void
the_generation_is_that_of_the_version(void **state)
{
    uint64_t  g = generation(OK_200 LM ETAG "Content-Length: 100\r\n");

    (void) state;

    /* the same version, seen through a part and with other headers */
    assert_true(g == generation(OK_206 "Content-Length: 1\r\n" ETAG
                                "x-amz-meta-a: b\r\n" LM
                                "Content-Range: bytes 0-0/100\r\n"));

    assert_true(g != generation(OK_200 LM "ETag: \"abd\"\r\n"
                                "Content-Length: 100\r\n"));
    assert_true(g != generation(OK_200 LM "ETag: abc\r\n"
                                "Content-Length: 100\r\n"));
    assert_true(g != generation(OK_200 LM ETAG "Content-Length: 101\r\n"));
    assert_true(g != generation(OK_200 ETAG "Content-Length: 100\r\n"));
    assert_true(g != generation(OK_200 LM "Content-Length: 100\r\n"));
    assert_true(g != generation(OK_200 LM ETAG "Content-Length: 100\r\n"
                                "x-amz-version-id: 1\r\n"));
    assert_true(g != generation(OK_200 ETAG "Content-Length: 100\r\n"
                                "Last-Modified: Sun, 06 Nov 1994 08:49:38 "
                                "GMT\r\n"));
}


static void
sse_c_is_seen(void **state)
{
    (void) state;

    assert_int_equal(parse(OK_200 "Content-Length: 1\r\n"
                           "X-Amz-Server-Side-Encryption-Customer-Algorithm:"
                           " AES256\r\n"), S3C_OK);
    assert_true(meta.sse_customer);

    assert_int_equal(parse(OK_200 "Content-Length: 1\r\n"
                           "x-amz-server-side-encryption: aws:kms\r\n"),
                     S3C_OK);
    assert_false(meta.sse_customer);
}


static s3c_slice_t
render(const char *lines, bool error, uint8_t *buf, size_t size)
{
    s3c_writer_t  w;

    read_head(lines);
    s3c_writer_init(&w, buf, size);

    if (error) {
        s3c_s3_meta_render_error(&w, &head);

    } else {
        s3c_s3_meta_render(&w, &head);
    }

    assert_true(s3c_writer_ok(&w));

    return s3c_writer_slice(&w);
}


static void
headers_are_kept_in_order_and_spelling(void **state)
{
    static const char  lines[] =
        OK_200
        "x-amz-id-2: i\r\n"
        "X-Amz-Request-Id: r\r\n"
        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        "Last-Modified: L\r\n"
        "ETag:\"abc\"\r\n"
        "x-amz-checksum-crc32: AAAAAA==\r\n"
        "x-amz-checksum-type: FULL_OBJECT\r\n"
        "X-AMZ-Meta-Note:  a  b \r\n"
        "x-amz-meta-empty:\r\n"
        "Accept-Ranges: bytes\r\n"
        "Content-Type: text/plain\r\n"
        "Content-Length: 6\r\n"
        "Server: AmazonS3\r\n"
        "x-amz-cf-id: c\r\n"
        "x-amz-cf-pop: c\r\n"
        "X-Cache: Hit\r\n"
        "X-Cache-Lookup: Hit\r\n"
        "Age: 1\r\n"
        "Via: x\r\n"
        "Set-Cookie: a=b\r\n"
        "Access-Control-Allow-Origin: *\r\n"
        "Vary: Origin\r\n"
        "Connection: keep-alive, X-Hop\r\n"
        "Keep-Alive: timeout=5\r\n"
        "X-Hop: 1\r\n"
        "x-amz-request-charged: requester\r\n"
        "x-amz-mp-parts-count: 2\r\n"
        "Alt-Svc: h3\r\n"
        "Strict-Transport-Security: max-age=1\r\n"
        "x-rgw-object-type: Normal\r\n"
        "X-Minio-Deployment-Id: d\r\n"
        "Expires: never\r\n"
        "x-amz-server-side-encryption: AES256\r\n";
    static const char  kept[] =
        "Last-Modified: L\r\n"
        "ETag: \"abc\"\r\n"
        "x-amz-checksum-crc32: AAAAAA==\r\n"
        "x-amz-checksum-type: FULL_OBJECT\r\n"
        "X-AMZ-Meta-Note: a  b\r\n"
        "x-amz-meta-empty: \r\n"
        "Accept-Ranges: bytes\r\n"
        "Content-Type: text/plain\r\n"
        "x-rgw-object-type: Normal\r\n"
        "X-Minio-Deployment-Id: d\r\n"
        "Expires: never\r\n"
        "x-amz-server-side-encryption: AES256\r\n";
    uint8_t            buf[2048];
    s3c_slice_t        block;

    (void) state;

    block = render(lines, false, buf, sizeof(buf));

    if (!s3c_slice_eq(block, s3c_slice(kept, sizeof(kept) - 1))) {
        fail_msg("%.*s", (int) block.len, (char *) block.data);
    }
}


static void
an_error_keeps_the_ids_its_body_names(void **state)
{
    uint8_t      buf[1024];
    s3c_slice_t  block;

    (void) state;

    block = render("HTTP/1.1 404 Not Found\r\n"
                   "x-amz-request-id: r\r\n"
                   "x-amz-id-2: i\r\n"
                   "x-amz-delete-marker: true\r\n"
                   "Content-Type: application/xml\r\n"
                   "Transfer-Encoding: chunked\r\n"
                   "Date: d\r\n", true, buf, sizeof(buf));
    assert_true(s3c_slice_eq(block,
                             S3C_SLICE("x-amz-request-id: r\r\n"
                                       "x-amz-id-2: i\r\n"
                                       "x-amz-delete-marker: true\r\n"
                                       "Content-Type: application/xml\r\n")));
}


static void
the_checksum_of_a_part_is_not_the_objects(void **state)
{
    uint8_t      buf[1024];
    s3c_slice_t  block;

    (void) state;

    block = render(OK_206 "x-amz-checksum-sha256: x\r\n"
                   "x-amz-checksum-type: COMPOSITE\r\n"
                   "x-amz-checksummer: y\r\n" ETAG, false, buf, sizeof(buf));
    assert_true(s3c_slice_eq(block, S3C_SLICE("x-amz-checksummer: y\r\n"
                                              ETAG)));
}


static void
what_is_rendered_is_walked_again(void **state)
{
    uint8_t            buf[1024];
    size_t             pos = 0;
    s3c_slice_t        block;
    s3c_http_header_t  h;

    (void) state;

    block = render(OK_200 "A: 1\r\nx-amz-meta-b:\r\nC: a: b\tc\xe9\r\n",
                   false, buf, sizeof(buf));

    assert_true(s3c_s3_meta_next(block, &pos, &h));
    assert_true(s3c_slice_eq(h.name, S3C_SLICE("A")));
    assert_true(s3c_slice_eq(h.value, S3C_SLICE("1")));
    assert_true(s3c_s3_meta_next(block, &pos, &h));
    assert_true(s3c_slice_eq(h.name, S3C_SLICE("x-amz-meta-b")));
    assert_int_equal(h.value.len, 0);
    assert_true(s3c_s3_meta_next(block, &pos, &h));
    assert_true(s3c_slice_eq(h.value, S3C_SLICE("a: b\tc\xe9")));
    assert_int_equal(pos, block.len);
    assert_false(s3c_s3_meta_next(block, &pos, &h));
}


static void
a_corrupt_block_ends_early(void **state)
{
    static const s3c_slice_t  rows[] = {
        S3C_SLICE(""), S3C_SLICE("A"), S3C_SLICE("A:"), S3C_SLICE("A: "),
        S3C_SLICE("A: b"), S3C_SLICE("A: b\r"), S3C_SLICE("A: b\n"),
        S3C_SLICE("A:b\r\n"), S3C_SLICE("A b: c\r\n"), S3C_SLICE(": c\r\n"),
        S3C_SLICE("\r\n"), S3C_SLICE("A: b\rc\r\n"), S3C_SLICE("A: \0\r\n"),
        S3C_SLICE("A: b\nC: d\r\n"), S3C_SLICE("A\0: b\r\n"),
        S3C_SLICE("A\r\n"), S3C_SLICE("A:\r\n"),
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        size_t             pos = 0;
        uint8_t           *copy = malloc(rows[i].len + 1);
        s3c_http_header_t  h;

        assert_non_null(copy);
        memcpy(copy + 1, rows[i].data, rows[i].len);

        if (s3c_s3_meta_next(s3c_slice(copy + 1, rows[i].len), &pos, &h)
            || pos != 0)
        {
            fail_msg("row %zu", i);
        }

        free(copy);
    }

    {
        size_t             pos = SIZE_MAX;
        s3c_http_header_t  h;

        assert_false(s3c_s3_meta_next(S3C_SLICE("A: b\r\n"), &pos, &h));
    }
}


static void
a_304_shows_its_own_headers(void **state)
{
    static const struct {
        const char  *name;
        bool         in_304, checksum;
    } rows[] = {
        { "ETag", true, false },
        { "last-modified", true, false },
        { "Cache-Control", true, false },
        { "expires", true, false },
        { "X-Amz-Version-Id", true, false },
        { "Content-Type", false, false },
        { "Content-Length", false, false },
        { "x-amz-meta-a", false, false },
        { "x-amz-checksum-crc32", false, true },
        { "X-Amz-Checksum-Type", false, true },
        { "x-amz-checksum", false, false },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        assert_int_equal(s3c_s3_meta_in_304(text(rows[i].name)),
                         rows[i].in_304);
        assert_int_equal(s3c_s3_meta_is_checksum(text(rows[i].name)),
                         rows[i].checksum);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_whole_object_is_read),
        cmocka_unit_test(a_part_tells_the_whole),
        cmocka_unit_test(an_empty_object_is_one_too),
        cmocka_unit_test(
            answers_that_cannot_be_stored_under_their_length_are_invalid),
        cmocka_unit_test(an_etag_must_be_one_entity_tag),
        cmocka_unit_test(the_generation_is_that_of_the_version),
        cmocka_unit_test(sse_c_is_seen),
        cmocka_unit_test(headers_are_kept_in_order_and_spelling),
        cmocka_unit_test(an_error_keeps_the_ids_its_body_names),
        cmocka_unit_test(the_checksum_of_a_part_is_not_the_objects),
        cmocka_unit_test(what_is_rendered_is_walked_again),
        cmocka_unit_test(a_corrupt_block_ends_early),
        cmocka_unit_test(a_304_shows_its_own_headers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
