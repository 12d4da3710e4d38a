/* SPDX-License-Identifier: Apache-2.0
 *
 * What the Authorization header claims, and which error each flaw is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sigv4_request.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))
#define SIG     "87f1ce6e61115b8bb4ae7022dcb565d1745100fc22029ee575ae529837d2" \
                "54e8"
#define CRED    "Credential=AKIAIOSFODNN7EXAMPLE/20260115/us-east-1/s3/aws4_" \
                "request"
#define NAMES   "SignedHeaders=host;x-amz-content-sha256;x-amz-date"
#define V4      "AWS4-HMAC-SHA256 "

static request_t  request;


/* A good request, with that Authorization. */
static void
authorized(const char *value)
{
    request_named(&request, "get plain.txt");
    request_set(&request, "Authorization", value);
}


static void
components_come_once_each_in_any_order(void **state)
{
    static const char *const  good[] = {
        V4 CRED ", " NAMES ", Signature=" SIG,
        V4 "Signature=" SIG "," NAMES "\t ,\t" CRED,
        V4 "   " NAMES ",  Signature=" SIG " , " CRED,
        V4 CRED ", SignedHeaders=x-amz-date;host;x-amz-content-sha256, "
        "Signature=" SIG,
    };
    static const char *const  bad[] = {
        V4 CRED ", " NAMES,
        V4 CRED ", Signature=" SIG,
        V4 NAMES ", Signature=" SIG,
        V4 CRED ", " CRED ", " NAMES ", Signature=" SIG,
        V4 CRED ", " NAMES ", Signature=" SIG ", Signature=" SIG,
        V4 CRED ", " NAMES ", Signature=" SIG ", Other=a",
        V4 CRED ",, " NAMES ", Signature=" SIG,
        V4 CRED " " NAMES " Signature=" SIG,
        V4 "credential=a, " NAMES ", Signature=" SIG,
        "AWS4-HMAC-SHA256", V4, V4 ",", V4 "Credential",
    };

    (void) state;

    for (size_t i = 0; i < LEN(good); i++) {
        authorized(good[i]);
        request_check(&request, good[i], S3C_ERR_NONE, NULL);
        assert_int_equal(request.claim.kind, S3C_SIGNED_HEADER);
    }

    for (size_t i = 0; i < LEN(bad); i++) {
        authorized(bad[i]);
        request_check(&request, bad[i], S3C_ERR_AUTH_HEADER_MALFORMED, NULL);
    }
}


static void
another_scheme_is_an_error_and_never_anonymous(void **state)
{
    static const struct {
        const char      *value;
        s3c_s3_error_t   err;
        const char      *message;
    } rows[] = {
        { "", S3C_ERR_INVALID_ARGUMENT, "Unsupported Authorization Type" },
        { " ", S3C_ERR_INVALID_ARGUMENT, "Unsupported Authorization Type" },
        { "Basic YTpi", S3C_ERR_INVALID_ARGUMENT, "Unsupported" },
        { "Bearer a", S3C_ERR_INVALID_ARGUMENT, "Unsupported" },
        { "aws4-hmac-sha256 " CRED, S3C_ERR_INVALID_ARGUMENT, "Unsupported" },
        { "AWS4-HMAC-SHA256," CRED, S3C_ERR_INVALID_ARGUMENT, "Unsupported" },
        { "AWS AKIAIOSFODNN7EXAMPLE:qgk2+6Sv9/oM7G3qLEjTH1a1l1g=",
          S3C_ERR_INVALID_REQUEST, "Please use AWS4-HMAC-SHA256" },
        { "AWS4-ECDSA-P256-SHA256 " CRED ", " NAMES ", Signature=" SIG,
          S3C_ERR_NOT_IMPLEMENTED, "SigV4A" },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        authorized(rows[i].value);
        request_check(&request, rows[i].value, rows[i].err, rows[i].message);
    }
}


static void
a_request_without_credentials_is_anonymous_and_not_signed(void **state)
{
    static const char *const  queries[] = {
        "", "versionId=1&acl", "Expires=1", "expires=1&signature=2",
        "x-amz-acl=a&x-amz-checksum-mode=ENABLED",
    };

    (void) state;

    for (size_t i = 0; i < LEN(queries); i++) {
        request_named(&request, "get plain.txt");
        request_drop(&request, "Authorization");
        strcpy(request.query, queries[i]);
        request_check(&request, queries[i], S3C_ERR_ACCESS_DENIED, NULL);
        assert_int_equal(request.claim.kind, S3C_SIGNED_NOT);
    }
}


static void
two_ways_at_once_are_refused(void **state)
{
    static const char *const  queries[] = {
        "X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Signature=a",
        "X-Amz-Date=a", "X-Amz-Security-Token=a", "x-amz-security-token=a",
        "X-Amz-Content-Sha256=a", "x-amz-credential=a", "Signature=a",
        "AWSAccessKeyId=a", "awsaccesskeyid=a", "X%2damz-Expires=1",
    };

    (void) state;

    for (size_t i = 0; i < LEN(queries); i++) {
        request_named(&request, "get plain.txt");
        strcpy(request.query, queries[i]);
        request_check(&request, queries[i], S3C_ERR_INVALID_ARGUMENT,
                      "Only one auth mechanism allowed");
    }

    request_named(&request, "presigned");
    strcat(request.query, "&Signature=a");
    request_check(&request, "V2", S3C_ERR_INVALID_ARGUMENT, "Only one");
}


static void
what_may_be_there_once_may_not_be_there_twice(void **state)
{
    static const char *const  names[] = {
        "authorization", "HOST", "x-amz-date", "x-amz-content-sha256"
    };

    (void) state;

    for (size_t i = 0; i < LEN(names); i++) {
        request_named(&request, "get plain.txt");
        request_add(&request, names[i], request_value(&request, names[i]));
        request_check(&request, names[i], S3C_ERR_INVALID_REQUEST, "twice");
    }

    request_named(&request, "session token");
    request_add(&request, "x-amz-security-token", "a");
    request_check(&request, "token", S3C_ERR_INVALID_REQUEST, "twice");
    request_named(&request, "a Date");
    request_add(&request, "date", "a");
    request_check(&request, "date", S3C_ERR_INVALID_REQUEST, "twice");
}


static void
there_is_a_valid_date(void **state)
{
    static const char *const  bad[] = {
        "", "20260115T101112", "20260115T101112Z0", "2026-01-15T10:11:12Z",
        "Thu, 15 Jan 2026 10:11:12 GMT", "20260231T000000Z",
    };
    char                      next[] = "20260115T101113Z";

    (void) state;

    for (size_t i = 0; i < LEN(bad); i++) {
        request_named(&request, "get plain.txt");
        request_set(&request, "X-Amz-Date", bad[i]);
        request_check(&request, bad[i], S3C_ERR_ACCESS_DENIED, "valid Date");
    }

    request_named(&request, "get plain.txt");
    request_drop(&request, "X-Amz-Date");
    request_check(&request, "none", S3C_ERR_ACCESS_DENIED, "valid Date");

    request_named(&request, "a Date");
    request_set(&request, "Date", "yesterday");
    request_check(&request, "word", S3C_ERR_ACCESS_DENIED, "valid Date");
    request_set(&request, "Date", "Thu, 15 Jan 1926 10:11:12 GMT");
    request_check(&request, "1926", S3C_ERR_ACCESS_DENIED, "valid Date");

    /* the day of the scope is that of the date */
    request_named(&request, "get plain.txt");
    request_set(&request, "X-Amz-Date", "20260116T101112Z");
    request_check(&request, "day", S3C_ERR_AUTH_HEADER_MALFORMED,
                  "Invalid credential date");
    request_set(&request, "X-Amz-Date", next);
    request_check(&request, "second", S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL);
}


static void
clocks_may_differ_by_so_much(void **state)
{
    (void) state;

    for (int sign = -1; sign <= 1; sign += 2) {
        request_named(&request, "get plain.txt");
        request.now_sec = SIGNED_NOW + sign * 900;
        request_check(&request, "900", S3C_ERR_NONE, NULL);
        assert_int_equal(request.claim.date_sec, SIGNED_NOW);
        assert_int_equal(request.claim.end_sec, SIGNED_NOW + 901);
        request.now_sec += sign;
        request_check(&request, "901", S3C_ERR_REQUEST_TIME_TOO_SKEWED, NULL);
        assert_int_equal(request.claim.refusal.n_extra, 2);
        assert_string_equal(request.claim.refusal.extra[0].name,
                            "RequestTime");
        assert_true(s3c_slice_eq(request.claim.refusal.extra[0].value,
                                 S3C_SLICE("2026-01-15T10:11:12Z")));
        assert_true(s3c_slice_eq(request.claim.refusal.extra[1].value,
                                 sign < 0
                                 ? S3C_SLICE("2026-01-15T09:56:11Z")
                                 : S3C_SLICE("2026-01-15T10:26:13Z")));

        request.rules.skew_sec = 901;
        request_check(&request, "rule", S3C_ERR_NONE, NULL);
    }
}


static void
the_body_is_accounted_for(void **state)
{
    static const struct {
        const char      *value;
        s3c_s3_error_t   err;
        const char      *message;
    } rows[] = {
        { "", S3C_ERR_INVALID_REQUEST, "Missing required header" },
        { "abc", S3C_ERR_INVALID_ARGUMENT, "must be UNSIGNED-PAYLOAD" },
        { "unsigned-payload", S3C_ERR_INVALID_ARGUMENT, NULL },
        { "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", S3C_ERR_NOT_IMPLEMENTED,
          NULL },
        { "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
          S3C_ERR_NOT_IMPLEMENTED, NULL },
        { "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
          S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL },
        { "UNSIGNED-PAYLOAD", S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        request_named(&request, "get plain.txt");
        request_set(&request, "x-amz-content-sha256", rows[i].value);
        request_check(&request, rows[i].value, rows[i].err, rows[i].message);
    }

    request_named(&request, "get plain.txt");
    request_drop(&request, "x-amz-content-sha256");
    request_check(&request, "none", S3C_ERR_INVALID_REQUEST, "Missing");

    /* signed, though not listed */
    request_named(&request, "signed chunks");
    request_check(&request, "chunks", S3C_ERR_NONE, NULL);
    assert_int_equal(request.claim.payload, S3C_PAYLOAD_SIGNED_CHUNKS);
    request.may_stream = false;
    request_check(&request, "chunks", S3C_ERR_INVALID_REQUEST, "STREAMING");
    request_named(&request, "an unsigned trailer");
    request_check(&request, "trailer", S3C_ERR_NONE, NULL);
    request.may_stream = false;
    request_check(&request, "trailer", S3C_ERR_INVALID_REQUEST, "STREAMING");

    request_named(&request, "put");
    request_check(&request, "put", S3C_ERR_NONE, NULL);
    assert_int_equal(request.claim.payload, S3C_PAYLOAD_HASH);
    assert_memory_equal(request.claim.body_sha256, "\x2c\xf2\x4d\xba", 4);
    assert_memory_equal(request.claim.body_sha256 + 28, "\x93\x8b\x98\x24", 4);
}


static void
a_payload_hash_in_capitals_is_the_same_hash(void **state)
{
    (void) state;

    request_named(&request, "put");
    request_set(&request, "x-amz-content-sha256",
                "2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B"
                "9824");
    request_sign(&request);
    request_check(&request, "put", S3C_ERR_NONE, NULL);
    assert_memory_equal(request.claim.body_sha256, "\x2c\xf2\x4d\xba", 4);
    assert_memory_equal(request.claim.body_sha256 + 28, "\x93\x8b\x98\x24", 4);
}


static void
a_token_is_signed_and_there_once(void **state)
{
    (void) state;

    request_named(&request, "session token");
    request_check(&request, "good", S3C_ERR_NONE, NULL);
    assert_int_equal(request.claim.session_token.len,
                     strlen("FwoGZXIvYXdzEBYaDEXAMPLE//token+with/all=="));

    request_named(&request, "get plain.txt");
    request_add(&request, "X-Amz-Security-Token", "t");
    request_check(&request, "unsigned", S3C_ERR_ACCESS_DENIED, "not signed");

    request_set(&request, "X-Amz-Security-Token", "");
    request_sign(&request);
    request_check(&request, "empty", S3C_ERR_INVALID_TOKEN, NULL);

    request_named(&request, "presigned with a token");
    request_check(&request, "query", S3C_ERR_NONE, NULL);
    assert_true(s3c_slice_eq(request.claim.session_token,
        S3C_SLICE("FwoGZXIvYXdzEBYaDEXAMPLE//token+with/all==")));
    request_edit_query(&request, "host&", "host%3Bx-amz-security-token&");
    request_add(&request, "X-Amz-Security-Token", "t");
    request_check(&request, "two", S3C_ERR_INVALID_TOKEN, NULL);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(components_come_once_each_in_any_order),
        cmocka_unit_test(another_scheme_is_an_error_and_never_anonymous),
        cmocka_unit_test(
            a_request_without_credentials_is_anonymous_and_not_signed),
        cmocka_unit_test(two_ways_at_once_are_refused),
        cmocka_unit_test(what_may_be_there_once_may_not_be_there_twice),
        cmocka_unit_test(there_is_a_valid_date),
        cmocka_unit_test(clocks_may_differ_by_so_much),
        cmocka_unit_test(the_body_is_accounted_for),
        cmocka_unit_test(a_payload_hash_in_capitals_is_the_same_hash),
        cmocka_unit_test(a_token_is_signed_and_there_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
