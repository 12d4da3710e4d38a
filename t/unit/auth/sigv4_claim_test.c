/* SPDX-License-Identifier: Apache-2.0
 *
 * Date, credential, signature and list of signed headers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "sigv4_request.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))
#define SIG     "87f1ce6e61115b8bb4ae7022dcb565d1745100fc22029ee575ae529837d2" \
                "54e8"
#define KEY     "AKIAIOSFODNN7EXAMPLE"
#define TEXT(s) s3c_slice(s, strlen(s))

static request_t  request;


static void
dates_are_read_as_they_are_printed(void **state)
{
    static const char *const  bad[] = {
        "20130230T000000Z", "20130431T000000Z", "20130001T000000Z",
        "20131301T000000Z", "20130100T000000Z", "20130101T240000Z",
        "20130101T006000Z", "20130101T000060Z", "20130101 000000Z",
        "20130101T000000z", "19691231T235959Z", "2013010 T000000Z",
        "20130101T0000-1Z", "20130101T000000",
    };
    int64_t                   sec, step = 86399 * 7 + 3;
    uint8_t                   text[S3C_SIGV4_DATE_BYTES];

    (void) state;

    for (int64_t want = 0; want < 253402300799LL; want += step * 97) {
        s3c_sigv4_date_print(want, text);
        assert_int_equal(s3c_sigv4_date_parse(s3c_slice(text, sizeof(text)),
                                              &sec), S3C_OK);
        assert_int_equal(sec, want);
    }

    assert_int_equal(s3c_sigv4_date_parse(S3C_SLICE("20240229T235959Z"), &sec),
                     S3C_OK);
    assert_int_equal(sec, 1709251199);

    for (size_t i = 0; i < LEN(bad); i++) {
        assert_int_equal(s3c_sigv4_date_parse(TEXT(bad[i]), &sec),
                         S3C_INVALID);
    }
}


/* A good request but for its credential. */
static void
with_credential(const char *credential)
{
    char  value[1024];

    snprintf(value, sizeof(value), "AWS4-HMAC-SHA256 Credential=%s, "
             "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
             "Signature=" SIG, credential);
    request_named(&request, "get plain.txt");
    request_set(&request, "Authorization", value);
}


static void
a_scope_has_five_parts_of_this_service(void **state)
{
    static const struct {
        const char      *credential;
        s3c_s3_error_t   err;
        const char      *message;
    } rows[] = {
        { KEY "/20260115/us-east-1/s3/aws4_request", S3C_ERR_NONE, NULL },
        { "", S3C_ERR_AUTH_HEADER_MALFORMED, "mal-formed; expecting" },
        { KEY, S3C_ERR_AUTH_HEADER_MALFORMED, "mal-formed" },
        { KEY "/20260115/us-east-1/s3", S3C_ERR_AUTH_HEADER_MALFORMED,
          "mal-formed" },
        { KEY "/20260115/us-east-1/s3/aws4_request/",
          S3C_ERR_AUTH_HEADER_MALFORMED, "mal-formed" },
        { KEY "/a/20260115/us-east-1/s3/aws4_request",
          S3C_ERR_AUTH_HEADER_MALFORMED, "mal-formed" },
        { "/20260115/us-east-1/s3/aws4_request",
          S3C_ERR_AUTH_HEADER_MALFORMED, "mal-formed" },
        { "a b/20260115/us-east-1/s3/aws4_request",
          S3C_ERR_AUTH_HEADER_MALFORMED, "mal-formed" },
        { "a\xc3\xa9/20260115/us-east-1/s3/aws4_request",
          S3C_ERR_AUTH_HEADER_MALFORMED, "mal-formed" },
        { KEY "/20260115/us east/s3/aws4_request",
          S3C_ERR_AUTH_HEADER_MALFORMED, "mal-formed" },
        { KEY "/20260114/us-east-1/s3/aws4_request",
          S3C_ERR_AUTH_HEADER_MALFORMED, "Invalid credential date" },
        { KEY "/2026011/us-east-1/s3/aws4_request",
          S3C_ERR_AUTH_HEADER_MALFORMED, "Invalid credential date" },
        { KEY "/20260115/us-east-1/s3express/aws4_request",
          S3C_ERR_AUTH_HEADER_MALFORMED, "incorrect service" },
        { KEY "/20260115/us-east-1/S3/aws4_request",
          S3C_ERR_AUTH_HEADER_MALFORMED, "incorrect service" },
        { KEY "/20260115/us-east-1/s3/aws4", S3C_ERR_AUTH_HEADER_MALFORMED,
          "incorrect terminal" },
        { KEY "/20260115/us-east-1/s3/aws4_request ",
          S3C_ERR_NONE, NULL },          /* a blank before the comma */
        { KEY "/20260115/us-west-1/s3/aws4_request",
          S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL },
        { "AKIAIOSFODNN7EXAMPLF/20260115/us-east-1/s3/aws4_request",
          S3C_ERR_INVALID_ACCESS_KEY_ID, NULL },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        with_credential(rows[i].credential);
        request_check(&request, rows[i].credential, rows[i].err,
                      rows[i].message);
    }
}


static void
access_keys_and_regions_have_a_largest_length(void **state)
{
    char  key[S3C_SIGV4_ACCESS_KEY_MAX + 2], region[S3C_SIGV4_REGION_MAX + 2];
    char  text[512];

    (void) state;

    for (unsigned more = 0; more < 2; more++) {
        memset(key, 'k', sizeof(key));
        key[S3C_SIGV4_ACCESS_KEY_MAX + more] = '\0';
        snprintf(text, sizeof(text), "%s/20260115/us-east-1/s3/aws4_request",
                 key);
        with_credential(text);
        request_check(&request, "key",
                      more ? S3C_ERR_AUTH_HEADER_MALFORMED
                           : S3C_ERR_INVALID_ACCESS_KEY_ID, NULL);

        memset(region, 'r', sizeof(region));
        region[S3C_SIGV4_REGION_MAX + more] = '\0';
        snprintf(text, sizeof(text), KEY "/20260115/%s/s3/aws4_request",
                 region);
        with_credential(text);
        request_check(&request, "region",
                      more ? S3C_ERR_AUTH_HEADER_MALFORMED
                           : S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL);
    }
}


static void
a_region_is_one_of_those_allowed(void **state)
{
    static const s3c_slice_t  regions[] = {
        S3C_SLICE("eu-west-3"), S3C_SLICE("us-east-1"), S3C_SLICE("")
    };

    (void) state;

    request_named(&request, "get plain.txt");
    request.rules.regions = regions;
    request.rules.n_regions = 2;
    request_check(&request, "second", S3C_ERR_NONE, NULL);
    request.rules.n_regions = 1;
    request_check(&request, "wrong", S3C_ERR_AUTH_HEADER_MALFORMED,
                  "the region is wrong");
    assert_int_equal(request.claim.refusal.n_extra, 1);
    assert_string_equal(request.claim.refusal.extra[0].name, "Region");
    assert_true(s3c_slice_eq(request.claim.refusal.extra[0].value,
                             S3C_SLICE("eu-west-3")));

    request_named(&request, "a region without a name");
    request.rules.regions = regions;
    request.rules.n_regions = 3;
    request_check(&request, "empty", S3C_ERR_NONE, NULL);
    request.rules.n_regions = 2;
    request_check(&request, "empty", S3C_ERR_AUTH_HEADER_MALFORMED, "region");
    request_named(&request, "presigned");
    request.rules.regions = regions;
    request.rules.n_regions = 1;
    request_check(&request, "query", S3C_ERR_AUTH_QUERY_PARAMETERS, "region");
}


static void
with_names(const char *names)
{
    char  value[1024];

    snprintf(value, sizeof(value), "AWS4-HMAC-SHA256 Credential=" KEY
             "/20260115/us-east-1/s3/aws4_request, SignedHeaders=%s, "
             "Signature=" SIG, names);
    request_named(&request, "get plain.txt");
    request_set(&request, "Authorization", value);
}


static void
signed_headers_are_a_list_of_what_is_there(void **state)
{
    static const struct {
        const char      *names;
        s3c_s3_error_t   err;
        const char      *unsigned_names;
    } rows[] = {
        { "host;x-amz-date;x-amz-content-sha256", S3C_ERR_NONE, NULL },
        { "host;x-amz-date", S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL },
        { "x-amz-content-sha256;x-amz-date", S3C_ERR_ACCESS_DENIED, "host" },
        { "host", S3C_ERR_ACCESS_DENIED, "x-amz-date" },
        { "hosts;amz-sdk-request", S3C_ERR_ACCESS_DENIED,
          "host, x-amz-date" },
        { "", S3C_ERR_ACCESS_DENIED, "host, x-amz-date" },
        { "host;x-amz-date;", S3C_ERR_AUTH_HEADER_MALFORMED, NULL },
        { ";host;x-amz-date", S3C_ERR_AUTH_HEADER_MALFORMED, NULL },
        { "host;;x-amz-date", S3C_ERR_AUTH_HEADER_MALFORMED, NULL },
        { "host;x-amz-date;host", S3C_ERR_AUTH_HEADER_MALFORMED, NULL },
        { "Host;x-amz-date", S3C_ERR_AUTH_HEADER_MALFORMED, NULL },
        { "host;x-amz-date;range", S3C_ERR_AUTH_HEADER_MALFORMED, NULL },
        { "host;x-amz-date;a b", S3C_ERR_AUTH_HEADER_MALFORMED, NULL },
        { "host x-amz-date", S3C_ERR_ACCESS_DENIED, "host, x-amz-date" },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        with_names(rows[i].names);
        request_check(&request, rows[i].names, rows[i].err, NULL);

        if (rows[i].unsigned_names != NULL) {
            assert_int_equal(request.claim.refusal.n_extra, 1);
            assert_string_equal(request.claim.refusal.extra[0].name,
                                "HeadersNotSigned");
            assert_true(s3c_slice_eq(request.claim.refusal.extra[0].value,
                                     TEXT(rows[i].unsigned_names)));
        }
    }
}


static void
a_list_of_signed_headers_has_an_end(void **state)
{
    char  names[1024] = "host;x-amz-date;x-amz-content-sha256", name[8];

    (void) state;

    with_names(names);

    for (unsigned n = 3; n <= S3C_SIGV4_HEADERS_MAX; n++) {
        request_check(&request, names, n == 3 ? S3C_ERR_NONE
                                              : S3C_ERR_AUTH_HEADER_MALFORMED,
                      NULL);
        (void) snprintf(name, sizeof(name), ";h%u", n);
        (void) strcat(names, name);
        with_names(names);
    }

    request_check(&request, "one more than there may be",
                  S3C_ERR_AUTH_HEADER_MALFORMED, NULL);
}


/* The hole of 2026: a good signature, and a header beside it. */
static void
each_amz_header_is_signed(void **state)
{
    char                      name[64];
    static const char *const  names[] = {
        "x-amz-acl", "X-Amz-Copy-Source", "x_amz_acl", "X-AMZ_meta-a",
        "x-amz-decoded-content-length", "x-amz-trailer",
        "x-amz-checksum-algorithm", "x-amz-", "x_amz_content_sha256"
    };

    (void) state;

    for (size_t i = 0; i < LEN(names); i++) {
        request_named(&request, "put");
        request_sign(&request);
        request_check(&request, "before", S3C_ERR_NONE, NULL);
        request_add(&request, names[i], "a");
        request_check(&request, names[i],
                      i == 0 ? S3C_ERR_SIGNATURE_DOES_NOT_MATCH
                             : S3C_ERR_ACCESS_DENIED, NULL);
        request_sign(&request);
        request_check(&request, names[i], S3C_ERR_NONE, NULL);
    }

    /* those without it may be added */
    request_named(&request, "put");
    request_add(&request, "Range", "bytes=0-1");
    request_add(&request, "x-amzn-trace-id", "a");
    request_add(&request, "x-amz", "a");
    request_check(&request, "others", S3C_ERR_NONE, NULL);

    /* more names than an answer holds */
    request_named(&request, "get plain.txt");

    for (unsigned i = 0; i < 12; i++) {
        snprintf(name, sizeof(name), "X-Amz-Meta-%050u", i);
        request_add(&request, name, "a");
    }

    request_check(&request, "many", S3C_ERR_ACCESS_DENIED, "not signed");
    assert_in_range(request.claim.refusal.extra[0].value.len, 100,
                    S3C_SIGV4_REFUSAL_MAX);
    assert_memory_equal(request.claim.refusal.extra[0].value.data,
                        "x-amz-meta-0000", 15);
}


static void
a_signature_is_64_lower_case_digits(void **state)
{
    static const char *const  bad[] = {
        "", "a", SIG "0",
        "87F1ce6e61115b8bb4ae7022dcb565d1745100fc22029ee575ae529837d254e8",
        "g7f1ce6e61115b8bb4ae7022dcb565d1745100fc22029ee575ae529837d254e8",
    };
    char                      value[1024];

    (void) state;

    for (size_t i = 0; i < LEN(bad); i++) {
        snprintf(value, sizeof(value), "AWS4-HMAC-SHA256 Credential=" KEY
                 "/20260115/us-east-1/s3/aws4_request, SignedHeaders=host;"
                 "x-amz-content-sha256;x-amz-date, Signature=%s", bad[i]);
        request_named(&request, "get plain.txt");
        request_set(&request, "Authorization", value);
        request_check(&request, bad[i], S3C_ERR_SIGNATURE_DOES_NOT_MATCH,
                      NULL);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(dates_are_read_as_they_are_printed),
        cmocka_unit_test(a_scope_has_five_parts_of_this_service),
        cmocka_unit_test(access_keys_and_regions_have_a_largest_length),
        cmocka_unit_test(a_region_is_one_of_those_allowed),
        cmocka_unit_test(signed_headers_are_a_list_of_what_is_there),
        cmocka_unit_test(a_list_of_signed_headers_has_an_end),
        cmocka_unit_test(each_amz_header_is_signed),
        cmocka_unit_test(a_signature_is_64_lower_case_digits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
