/* SPDX-License-Identifier: Apache-2.0
 *
 * Signatures against the published examples of AWS ("Signature Calculations
 * for the Authorization Header").
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auth/sigv4.h"

#define LEN(a)   (sizeof(a) / sizeof((a)[0]))
#define HOST     S3C_SLICE("examplebucket.s3.amazonaws.com")
#define DATE     "20130524T000000Z"
#define EMPTY    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b785" \
                 "2b855"
#define WELCOME  "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f" \
                 "8b072"

static s3c_sigv4_key_cache_t  cache;

static const s3c_sigv4_identity_t  example = {
    .access_key = S3C_SLICE("AKIAIOSFODNN7EXAMPLE"),
    .secret_key = S3C_SLICE("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    .region = S3C_SLICE("us-east-1"),
    .cache = &cache,
};

#define EXTRA_MAX  2

static const struct {
    const char          *method, *path, *query, *hash;
    s3c_http_header_t    extra[EXTRA_MAX];
    const char          *signed_headers, *signature;
} examples[] = {
    { "GET", "/test.txt", "", EMPTY,
      { { S3C_SLICE("Range"), S3C_SLICE("bytes=0-9") } },
      "host;range;x-amz-content-sha256;x-amz-date",
      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41" },

    { "PUT", "/test$file.text", "", WELCOME,
      { { S3C_SLICE("Date"), S3C_SLICE("Fri, 24 May 2013 00:00:00 GMT") },
        { S3C_SLICE("x-amz-storage-class"),
          S3C_SLICE("REDUCED_REDUNDANCY") } },
      "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
      "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" },

    { "GET", "/", "lifecycle", EMPTY, { { .name = { NULL, 0 } } },
      "host;x-amz-content-sha256;x-amz-date",
      "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },

    { "GET", "/", "max-keys=2&prefix=J", EMPTY, { { .name = { NULL, 0 } } },
      "host;x-amz-content-sha256;x-amz-date",
      "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },
};


static s3c_slice_t
text(const char *s)
{
    return s3c_slice(s, strlen(s));
}


static s3c_status_t
sign_example(size_t i, const s3c_sigv4_identity_t *id, s3c_writer_t *w)
{
    s3c_http_header_t  headers[3 + EXTRA_MAX] = {
        { S3C_SLICE("Host"), HOST },
        { S3C_SLICE("x-amz-content-sha256"), text(examples[i].hash) },
        { S3C_SLICE("x-amz-date"), S3C_SLICE(DATE) },
    };
    s3c_sigv4_request_t  req = {
        .method = text(examples[i].method),
        .path = text(examples[i].path),
        .query = text(examples[i].query),
        .headers = headers,
        .n_headers = 3,
        .payload_hash = text(examples[i].hash),
    };

    for (unsigned n = 0; n < EXTRA_MAX; n++) {
        if (examples[i].extra[n].name.len > 0) {
            headers[req.n_headers++] = examples[i].extra[n];
        }
    }

    return s3c_sigv4_sign(id, &req, (const uint8_t *) DATE, w);
}


static void
check_examples(const s3c_sigv4_identity_t *id)
{
    for (size_t i = 0; i < LEN(examples); i++) {
        uint8_t       buf[512], want[512];
        s3c_writer_t  w, v;

        s3c_writer_init(&w, buf, sizeof(buf));
        assert_int_equal(sign_example(i, id, &w), S3C_OK);

        s3c_writer_init(&v, want, sizeof(want));
        s3c_write_lit(&v, "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/"
                      "20130524/us-east-1/s3/aws4_request, SignedHeaders=");
        s3c_write_str(&v, examples[i].signed_headers);
        s3c_write_lit(&v, ", Signature=");
        s3c_write_str(&v, examples[i].signature);

        if (!s3c_slice_eq(s3c_writer_slice(&w), s3c_writer_slice(&v))) {
            fail_msg("%s %s: %.*s", examples[i].method, examples[i].path,
                     (int) s3c_writer_slice(&w).len, (char *) buf);
        }
    }
}


static void
the_examples_of_aws_are_reproduced(void **state)
{
    s3c_sigv4_identity_t  uncached = example;

    (void) state;

    uncached.cache = NULL;
    check_examples(&uncached);
}


static void
the_key_cache_changes_nothing_but_time(void **state)
{
    uint8_t  key[S3C_SHA256_BYTES];

    (void) state;

    memset(&cache, 0, sizeof(cache));
    check_examples(&example);
    assert_true(cache.valid);
    assert_memory_equal(cache.date8, "20130524", 8);
    assert_int_equal(s3c_sigv4_key(example.secret_key, S3C_SLICE("20130524"),
                                   example.region, key), S3C_OK);
    assert_memory_equal(cache.key, key, sizeof(key));
    check_examples(&example);

    /* the key of another day is made anew */
    memcpy(cache.date8, "20130523", 8);
    memset(cache.key, 0, sizeof(cache.key));
    check_examples(&example);
    assert_memory_equal(cache.key, key, sizeof(key));
}


static void
an_answer_that_does_not_fit_is_full(void **state)
{
    uint8_t       buf[512];
    size_t        len;
    s3c_writer_t  w;

    (void) state;

    s3c_writer_init(&w, buf, sizeof(buf));
    assert_int_equal(sign_example(0, &example, &w), S3C_OK);
    len = s3c_writer_slice(&w).len;
    s3c_writer_init(&w, buf, len);
    assert_int_equal(sign_example(0, &example, &w), S3C_OK);
    s3c_writer_init(&w, buf, len - 1);
    assert_int_equal(sign_example(0, &example, &w), S3C_FULL);
}


static void
dates_are_printed_in_the_basic_form(void **state)
{
    static const struct {
        int64_t      sec;
        const char  *date;
    } rows[] = {
        { 1369353600, "20130524T000000Z" },
        { 0, "19700101T000000Z" },
        { 951782399, "20000228T235959Z" },
        { 951782400, "20000229T000000Z" },
        { 1735689599, "20241231T235959Z" },
        { 253402300799, "99991231T235959Z" },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        uint8_t  out[S3C_SIGV4_DATE_BYTES];

        s3c_sigv4_date_print(rows[i].sec, out);
        assert_memory_equal(out, rows[i].date, sizeof(out));
    }

    for (int64_t month = 0; month < 12; month++) {
        uint8_t  out[S3C_SIGV4_DATE_BYTES];

        s3c_sigv4_date_print(month * 2629800 + 86400, out);
        assert_int_equal((out[4] - '0') * 10 + out[5] - '0', month + 1);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(the_examples_of_aws_are_reproduced),
        cmocka_unit_test(the_key_cache_changes_nothing_but_time),
        cmocka_unit_test(an_answer_that_does_not_fit_is_full),
        cmocka_unit_test(dates_are_printed_in_the_basic_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
