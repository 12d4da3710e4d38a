/* SPDX-License-Identifier: Apache-2.0
 *
 * The presigned form, and which error each flaw is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "sigv4_request.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))
#define QUERY   S3C_ERR_AUTH_QUERY_PARAMETERS
#define EMPTY   "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852" \
                "b855"

static request_t  request;


static void
a_flaw_of_a_parameter_has_its_error(void **state)
{
    static const struct {
        const char      *from, *to;
        s3c_s3_error_t   err;
        const char      *message;
    } rows[] = {
        { "=AWS4-HMAC-SHA256", "=AWS4-ECDSA-P256-SHA256",
          S3C_ERR_NOT_IMPLEMENTED, "SigV4A" },
        { "=AWS4-HMAC-SHA256", "=aws4-hmac-sha256", QUERY, "only supports" },
        { "=AWS4-HMAC-SHA256", "=", QUERY, "only supports" },
        { "X-Amz-Algorithm=AWS4-HMAC-SHA256&", "", QUERY, "requires the" },
        { "&X-Amz-SignedHeaders=host", "", QUERY, "requires the" },
        { "&X-Amz-Expires=600", "", QUERY, "requires the" },
        { "X-Amz-Expires", "x-amz-expires", QUERY, "requires the" },
        { "X-Amz-Expires", "x-amz-expires=600&X-Amz-Expires", QUERY,
          "requires the" },
        { "X-Amz-Signature", "X-Amz-signature", QUERY, "requires the" },
        { "X-Amz-Expires=600", "X-Amz-Expires=600&X-Amz-Expires=600", QUERY,
          "twice" },
        { "X-Amz-Expires=600", "X-Amz-Expires=600&X%2DAmz-Expires=600", QUERY,
          "twice" },
        { "X-Amz-Signature=", "X-Amz-Signature=a&X-Amz-Signature=", QUERY,
          "twice" },
        { "&X-Amz-Date", "&x-amz-acl=a&X-Amz-Acl=b&X-Amz-Date", QUERY,
          "twice" },
        { "&X-Amz-Date", "&x-amz-security-token=a&X-Amz-Security-Token=b"
          "&X-Amz-Date", QUERY, "twice" },
        { "Expires=600", "Expires=", QUERY, "greater than 0" },
        { "Expires=600", "Expires=0", QUERY, "greater than 0" },
        { "Expires=600", "Expires=000", QUERY, "greater than 0" },
        { "Expires=600", "Expires=-1", QUERY, "non-negative" },
        { "Expires=600", "Expires=abc", QUERY, "a number" },
        { "Expires=600", "Expires=60+", QUERY, "a number" },
        { "Expires=600", "Expires=%2B60", QUERY, "a number" },
        { "Expires=600", "Expires=60.0", QUERY, "a number" },
        { "Expires=600", "Expires=604801", QUERY, "less than a week" },
        { "Expires=600", "Expires=18446744073709551617", QUERY, "a week" },
        { "Expires=600", "Expires=604800", S3C_ERR_SIGNATURE_DOES_NOT_MATCH,
          NULL },
        { "Expires=600", "Expires=1", S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL },
        { "Date=20260115T101112Z", "Date=20260115", QUERY, "ISO8601" },
        { "Date=20260115T101112Z", "Date=1768471872", QUERY, "ISO8601" },
        { "Date=20260115T101112Z", "Date=20260114T101112Z",
          S3C_ERR_ACCESS_DENIED, "expired" },
        { "Date=20260115T101112Z", "Date=20260115T102613Z",
          S3C_ERR_ACCESS_DENIED, "not valid yet" },
        { "Date=20260115T101112Z", "Date=20260116T101112Z",
          S3C_ERR_ACCESS_DENIED, "not valid yet" },
        { "Date=20260115T101112Z", "Date=20260115T102612Z",
          S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL },
        { "%2F20260115%2F", "%2F20260116%2F", QUERY, "date" },
        { "%2Fs3%2F", "%2Fsts%2F", QUERY, "incorrect service" },
        { "%2Faws4_request", "%2Faws4_reques", QUERY, "incorrect terminal" },
        { "%2Faws4_request", "", QUERY, "mal-formed" },
        { "%2Fus-east-1%2F", "%2Fus%0Aeast-1%2F", QUERY, "mal-formed" },
        { "AKIAIOSFODNN7EXAMPLE", "AKIA%00", QUERY, "mal-formed" },
        { "AKIAIOSFODNN7EXAMPLE", "AKIA", S3C_ERR_INVALID_ACCESS_KEY_ID,
          NULL },
        { "Headers=host", "Headers=", S3C_ERR_ACCESS_DENIED, "not signed" },
        { "Headers=host", "Headers=range", S3C_ERR_ACCESS_DENIED,
          "not signed" },
        { "Headers=host", "Headers=host%3Brange", QUERY, "lower case" },
        { "Headers=host", "Headers=host%0A", S3C_ERR_ACCESS_DENIED, NULL },
        { "Headers=host", "Headers=host%3Ba%0Ab", QUERY, "lower case" },
        { "Signature=", "Signature=0", S3C_ERR_SIGNATURE_DOES_NOT_MATCH,
          NULL },
        { "&X-Amz-Date", "&a=%4&X-Amz-Date", S3C_ERR_INVALID_URI, NULL },
        { "&X-Amz-Date", "&%zz=1&X-Amz-Date", S3C_ERR_INVALID_URI, NULL },
        { "&X-Amz-Date", "&X-Amz-Content-Sha256=&X-Amz-Date",
          S3C_ERR_INVALID_ARGUMENT, "empty" },
        { "&X-Amz-Date", "&X-Amz-Content-Sha256=a&X-Amz-Date",
          S3C_ERR_INVALID_ARGUMENT, "must be UNSIGNED" },
        { "&X-Amz-Date", "&X-Amz-Security-Token=&X-Amz-Date",
          S3C_ERR_INVALID_TOKEN, NULL },
        { "&X-Amz-Date", "&X-Amz-Content-Sha256=STREAMING-AWS4-ECDSA-P256-"
          "SHA256-PAYLOAD&X-Amz-Date", S3C_ERR_NOT_IMPLEMENTED, NULL },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        request_named(&request, "presigned");
        request_edit_query(&request, rows[i].from, rows[i].to);
        request_check(&request, rows[i].to, rows[i].err, rows[i].message);
    }
}


static void
a_link_ends_to_the_second(void **state)
{
    (void) state;

    for (int k = 0; k < 2; k++) {
        request_named(&request, k == 0 ? "presigned" : "v2");
        request.now_sec = SIGNED_NOW + SIGNED_LIVES_SEC - 1;
        request_check(&request, "last second", S3C_ERR_NONE, NULL);
        assert_int_equal(request.claim.end_sec,
                         SIGNED_NOW + SIGNED_LIVES_SEC);
        request.now_sec++;
        request_check(&request, "end", S3C_ERR_ACCESS_DENIED,
                      "Request has expired");
        assert_string_equal(request.claim.refusal.extra[0].name, "Expires");
        assert_true(s3c_slice_eq(request.claim.refusal.extra[0].value,
                                 S3C_SLICE("2026-01-15T10:21:12Z")));
        assert_string_equal(request.claim.refusal.extra[1].name, "ServerTime");
    }

    request_named(&request, "presigned");
    request.now_sec = SIGNED_NOW - 900;
    request_check(&request, "ahead", S3C_ERR_NONE, NULL);
    request.now_sec--;
    request_check(&request, "too far", S3C_ERR_ACCESS_DENIED, "not valid yet");
}


static void
a_link_may_be_allowed_less_than_a_week(void **state)
{
    (void) state;

    request_named(&request, "presigned");
    request.rules.presigned_max_sec = SIGNED_LIVES_SEC;
    request_check(&request, "just", S3C_ERR_NONE, NULL);
    request.rules.presigned_max_sec--;
    request_check(&request, "more", QUERY, "than this endpoint allows");

    /* but never more */
    request.rules.presigned_max_sec = 1 << 30;
    request_edit_query(&request, "=600", "=604801");
    request_check(&request, "more", QUERY, "less than a week");
}


static void
the_payload_of_a_link_is_what_is_said_of_it(void **state)
{
    (void) state;

    request_named(&request, "presigned put");
    request_check(&request, "nothing", S3C_ERR_NONE, NULL);
    assert_int_equal(request.claim.payload, S3C_PAYLOAD_UNSIGNED);
    assert_int_equal(request.claim.kind, S3C_SIGNED_QUERY);
    request_add(&request, "x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    request_check(&request, "the same", S3C_ERR_NONE, NULL);
    request_set(&request, "x-amz-content-sha256", EMPTY);
    request_check(&request, "a hash", S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL);
    request_set(&request, "x-amz-content-sha256", "");
    request_check(&request, "empty", S3C_ERR_INVALID_ARGUMENT, "is empty");

    request_named(&request, "presigned with a hash");
    request_check(&request, "hash", S3C_ERR_NONE, NULL);
    assert_int_equal(request.claim.payload, S3C_PAYLOAD_HASH);

    request_named(&request, "presigned by JavaScript");
    request_check(&request, "query", S3C_ERR_NONE, NULL);
    request_add(&request, "x-amz-content-sha256", EMPTY);
    request_check(&request, "two", S3C_ERR_INVALID_ARGUMENT, "two values");

    request_named(&request, "presigned");
    request_edit_query(&request, "&X-Amz-Date",
        "&X-Amz-Content-Sha256=STREAMING-UNSIGNED-PAYLOAD-TRAILER&X-Amz-Date");
    request.may_stream = false;
    request_check(&request, "chunks", S3C_ERR_INVALID_REQUEST, "STREAMING");
}


static void
a_query_has_limits(void **state)
{
    char  name[700];

    (void) state;

    request_named(&request, "get plain.txt");
    strcpy(request.query, "a");

    for (unsigned i = 1; i < S3C_SIGV4_PARAMS_MAX; i++) {
        strcat(request.query, "&a");
    }

    request_check(&request, "128", S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL);
    strcat(request.query, "&a");
    request_check(&request, "129", S3C_ERR_INVALID_REQUEST, "too many");

    /* a long name is compared to its end, one too long is refused */
    memset(name, 'm', sizeof(name));
    memcpy(name, "x-amz-", 6);
    name[500] = '\0';
    request_named(&request, "get plain.txt");
    sprintf(request.query, "%s1&%s2", name, name);
    request_check(&request, "two", S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL);
    sprintf(request.query, "%s1&%s1", name, name);
    request_check(&request, "twice", QUERY, "twice");
    name[500] = 'm';
    name[600] = '\0';
    sprintf(request.query, "%s", name);
    request_check(&request, "long", S3C_ERR_INVALID_URI, NULL);

    /* one claim has room for so much text */
    request_named(&request, "presigned");
    memset(name, 'h', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    request_edit_query(&request, "Headers=host", "Headers=host%3B");
    request_edit_query(&request, "%3B", name);
    request_check(&request, "headers", S3C_ERR_ACCESS_DENIED, "not signed");
}


static void
a_token_too_long_is_refused(void **state)
{
    static char               path[] = "/bucket/k";
    static char               query[S3C_SIGV4_TEXT_MAX + 600];
    static s3c_sigv4_claim_t  claim;
    const s3c_sigv4_rules_t   rules = S3C_SIGV4_RULES_DEFAULT;
    s3c_http_header_t         host = { S3C_SLICE("Host"), S3C_SLICE("h") };
    s3c_sigv4_wire_t          wire = {
        .method = S3C_SLICE("GET"), .path = s3c_slice(path, sizeof(path) - 1),
        .headers = &host, .n_headers = 1, .now_sec = SIGNED_NOW
    };

    (void) state;

    request_named(&request, "presigned");
    sprintf(query, "%s&X-Amz-Security-Token=", request.query);
    memset(query + strlen(query), 't', S3C_SIGV4_TEXT_MAX);
    wire.query = s3c_slice(query, strlen(query));
    assert_int_equal(s3c_sigv4_parse(&wire, &rules, &claim), S3C_DENIED);
    assert_int_equal(claim.refusal.err, S3C_ERR_INVALID_TOKEN);

    wire.query.len -= 1024;
    assert_int_equal(s3c_sigv4_parse(&wire, &rules, &claim), S3C_OK);
    assert_true(claim.session_token.len > S3C_SIGV4_TEXT_MAX - 1100);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_flaw_of_a_parameter_has_its_error),
        cmocka_unit_test(a_link_ends_to_the_second),
        cmocka_unit_test(a_link_may_be_allowed_less_than_a_week),
        cmocka_unit_test(the_payload_of_a_link_is_what_is_said_of_it),
        cmocka_unit_test(a_query_has_limits),
        cmocka_unit_test(a_token_too_long_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
