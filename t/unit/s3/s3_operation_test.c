/* SPDX-License-Identifier: Apache-2.0
 *
 * What a request is, and whether the cache may answer it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "s3/s3_operation.h"

#define LEN(a)     (sizeof(a) / sizeof((a)[0]))
#define V4         "X-Amz-Credential=AK%2F20130524%2Fus-east-1%2Fs3%2F"        \
                   "aws4_request&X-Amz-Signature=abc"
#define V2         "AWSAccessKeyId=AK&Signature=abc&Expires=1"

#define LOOK_UP    S3C_OP_GET_OBJECT
#define READ       S3C_OP_PASS_READ


/* The last request's parts. */
static s3c_s3_operation_t   op;
static s3c_s3_error_t       err;
static const char          *message;


static s3c_slice_t
text(const char *s)
{
    return s3c_slice(s, strlen(s));
}


/* header: "Name: value" or NULL. */
static s3c_status_t
parse(const char *method, const char *bucket, const char *key,
    const char *query, const char *header)
{
    s3c_http_header_t headers[2] = {
        { S3C_SLICE("Host"), S3C_SLICE("s3.example.com") }
    };
    s3c_s3_address_t  addr = { .bucket = text(bucket), .key = text(key) };

    if (header != NULL) {
        const char  *colon = strchr(header, ':');

        headers[1].name = s3c_slice(header, (size_t) (colon - header));
        headers[1].value = text(colon + 1);
    }

    return s3c_s3_operation_parse(&op, text(method), text(query), &addr,
                                  headers, header ? 2 : 1, &err, &message);
}


static void
methods_tell_the_kind(void **state)
{
    static const struct {
        const char        *method;
        s3c_s3_op_kind_t   kind;
    } rows[] = {
        { "GET", LOOK_UP }, { "HEAD", LOOK_UP },
        { "PUT", S3C_OP_WRITE }, { "POST", S3C_OP_WRITE },
        { "DELETE", S3C_OP_WRITE }, { "PATCH", S3C_OP_WRITE },
        { "OPTIONS", S3C_OP_OPTIONS },
        { "TRACE", S3C_OP_UNKNOWN_METHOD },
        { "CONNECT", S3C_OP_UNKNOWN_METHOD },
        { "PROPFIND", S3C_OP_UNKNOWN_METHOD },
        { "get", S3C_OP_UNKNOWN_METHOD },
        { "", S3C_OP_UNKNOWN_METHOD },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        assert_int_equal(parse(rows[i].method, "bucket", "key", "", NULL),
                         S3C_OK);
        assert_int_equal(op.kind, rows[i].kind);
        assert_int_equal(op.head, strcmp(rows[i].method, "HEAD") == 0);
        assert_int_equal(err, S3C_ERR_NONE);
    }
}


static void
only_known_parameters_are_looked_up(void **state)
{
    static const struct {
        const char        *query;
        s3c_s3_op_kind_t   kind;
        s3c_s3_pass_t      pass;
    } rows[] = {
        { "", LOOK_UP, S3C_PASS_NOT },
        { "&", LOOK_UP, S3C_PASS_NOT },
        { "&&&", LOOK_UP, S3C_PASS_NOT },
        { "x-id=GetObject", LOOK_UP, S3C_PASS_NOT },
        { "&x-id=GetObject&", LOOK_UP, S3C_PASS_NOT },
        { "versionId=null", LOOK_UP, S3C_PASS_NOT },
        { "partNumber=1", LOOK_UP, S3C_PASS_NOT },
        { "x-amz-checksum-mode=ENABLED", LOOK_UP, S3C_PASS_NOT },
        { V4, LOOK_UP, S3C_PASS_NOT },
        { V4 "&X-Amz-Algorithm=a&X-Amz-Date=b&X-Amz-Expires=1&"
          "X-Amz-SignedHeaders=host&X-Amz-Security-Token=t&"
          "X-Amz-Content-Sha256=UNSIGNED-PAYLOAD", LOOK_UP, S3C_PASS_NOT },
        { V2, LOOK_UP, S3C_PASS_NOT },
        { V2 "&x-amz-security-token=t", LOOK_UP, S3C_PASS_NOT },
        { V2 "&response-content-type=a%2Fb", LOOK_UP, S3C_PASS_NOT },
        { "version%49d=1", LOOK_UP, S3C_PASS_NOT },
        /* sub-resources, with and without '=' */
        { "acl", READ, S3C_PASS_SUBRESOURCE },
        { "acl=", READ, S3C_PASS_SUBRESOURCE },
        { "acl=x", READ, S3C_PASS_SUBRESOURCE },
        { "%61cl", READ, S3C_PASS_SUBRESOURCE },
        { "tagging", READ, S3C_PASS_SUBRESOURCE },
        { "attributes", READ, S3C_PASS_SUBRESOURCE },
        { "uploadId=1", READ, S3C_PASS_SUBRESOURCE },
        { "torrent", READ, S3C_PASS_SUBRESOURCE },
        { "legal-hold", READ, S3C_PASS_SUBRESOURCE },
        { "versionId=1&retention", READ, S3C_PASS_SUBRESOURCE },
        { "session", READ, S3C_PASS_SUBRESOURCE },
        { V4 "&acl", READ, S3C_PASS_SUBRESOURCE },
        /* unknown ones, and other spellings of known ones */
        { "foo=bar", READ, S3C_PASS_SUBRESOURCE },
        { "=", READ, S3C_PASS_SUBRESOURCE },
        { "=x", READ, S3C_PASS_SUBRESOURCE },
        { "versionid=1", READ, S3C_PASS_SUBRESOURCE },
        { "partnumber=1", READ, S3C_PASS_SUBRESOURCE },
        { "X-ID=GetObject", READ, S3C_PASS_SUBRESOURCE },
        { "versionId=1;acl", LOOK_UP, S3C_PASS_NOT },
        { "versionId%3D1", READ, S3C_PASS_SUBRESOURCE },
        { "versionId%00=1", READ, S3C_PASS_SUBRESOURCE },
        { "x-amz-signature=1", READ, S3C_PASS_SUBRESOURCE },
        { "X-AMZ-Signature=1", READ, S3C_PASS_SUBRESOURCE },
        { V4 "&X-Amz-Meta-A=1", READ, S3C_PASS_SUBRESOURCE },
        { "X-Amz-Checksum-Mode=ENABLED", READ, S3C_PASS_SUBRESOURCE },
        { "response-content-typo=x", READ, S3C_PASS_SUBRESOURCE },
        { "a23456789012345678901234567890123456789012345678901234567890"
          "12345678901234567890", READ, S3C_PASS_SUBRESOURCE },
        /* headers hoisted into the query */
        { V4 "&x-amz-request-payer=requester", READ, S3C_PASS_REQUEST_PAYER },
        { V4 "&x-amz-expected-bucket-owner=1", READ,
          S3C_PASS_EXPECTED_OWNER },
        { V4 "&x-amz-server-side-encryption-customer-key=a", READ,
          S3C_PASS_SSE },
        /* half a signature is not "anonymous" */
        { "X-Amz-Signature=abc", READ, S3C_PASS_OTHER },
        { "X-Amz-Date=20130524T000000Z", READ, S3C_PASS_OTHER },
        { "Expires=1", READ, S3C_PASS_OTHER },
        { "Signature=abc&Expires=1", READ, S3C_PASS_OTHER },
        { "Signature=abc&X-Amz-Credential=x", READ, S3C_PASS_OTHER },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        for (unsigned head = 0; head <= 1; head++) {
            if (parse(head ? "HEAD" : "GET", "bucket", "key", rows[i].query,
                      NULL) != S3C_OK
                || op.kind != rows[i].kind || op.pass != rows[i].pass)
            {
                fail_msg("%s: kind %d, pass %d, %s", rows[i].query, op.kind,
                         op.pass, s3c_s3_error_code(err));
            }
        }
    }
}


static void
headers_that_change_the_meaning_pass(void **state)
{
    static const struct {
        const char     *header;
        s3c_s3_pass_t   pass;
    } rows[] = {
        { "Range: bytes=0-1", S3C_PASS_NOT },
        { "If-None-Match: *", S3C_PASS_NOT },
        { "x-amz-date: 20130524T000000Z", S3C_PASS_NOT },
        { "x-amz-content-sha256: UNSIGNED-PAYLOAD", S3C_PASS_NOT },
        { "X-Amz-Checksum-Mode: ENABLED", S3C_PASS_NOT },
        { "X-Amz-Server-Side-Encryption: AES256", S3C_PASS_SSE },
        { "x-amz-server-side-encryption-customer-key: a", S3C_PASS_SSE },
        { "X-Amz-Server-Side-Encryption-Customer-Algorithm:", S3C_PASS_SSE },
        { "x-amz-request-payer: requester", S3C_PASS_REQUEST_PAYER },
        { "X-AMZ-Expected-Bucket-Owner: 111122223333",
          S3C_PASS_EXPECTED_OWNER },
        { "x-amz-s3session-token: t", S3C_PASS_SESSION },
        { "origin: https://example.com", S3C_PASS_ORIGIN_HEADER },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        if (parse("GET", "bucket", "key", "", rows[i].header) != S3C_OK
            || op.pass != rows[i].pass
            || op.kind != (rows[i].pass ? READ : LOOK_UP))
        {
            fail_msg("%s: %d", rows[i].header, op.pass);
        }
    }
}


static void
requests_without_a_key_pass_as_lists(void **state)
{
    static const struct {
        const char     *bucket, *query;
        s3c_s3_pass_t   pass;
    } rows[] = {
        { "", "", S3C_PASS_LIST },
        { "bucket", "", S3C_PASS_LIST },
        { "bucket", "list-type=2&prefix=%zz", S3C_PASS_LIST },
        { "bucket", "location", S3C_PASS_LIST },
        { "bucket", "versionId=&versionId=", S3C_PASS_LIST },
        { "bucket", "session", S3C_PASS_SESSION },
        { "bucket--use1-az5--x-s3", "", S3C_PASS_SESSION },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        assert_int_equal(parse("GET", rows[i].bucket, "", rows[i].query,
                               NULL), S3C_OK);
        assert_int_equal(op.kind, READ);
        assert_int_equal(op.pass, rows[i].pass);
    }

    assert_int_equal(parse("GET", "bucket--use1-az5--x-s3", "key", "", NULL),
                     S3C_OK);
    assert_int_equal(op.pass, S3C_PASS_SESSION);
}


static void
credentials_are_seen_wherever_they_are(void **state)
{
    static const struct {
        const char  *method, *key, *query, *header;
        bool         has;
    } rows[] = {
        { "GET", "key", "", NULL, false },
        { "GET", "key", "", "Authorization: AWS4-HMAC-SHA256 x", true },
        { "GET", "key", "", "authorization: Basic Zm9v", true },
        { "GET", "key", "", "Authorization:", false },
        { "GET", "key", "", "Authorization:  \t", false },
        { "GET", "key", V4, NULL, true },
        { "GET", "key", V2, NULL, true },
        { "GET", "key", "X-Amz-Signature=a", NULL, false },
        { "GET", "", V4, NULL, true },
        { "GET", "", V2 "&list-type=2", NULL, true },
        { "PUT", "key", V4, NULL, true },
        { "PUT", "key", V4 "&%zz", NULL, true },
        { "PUT", "key", "", NULL, false },
        { "DELETE", "key", "", "Authorization: AWS a:b", true },
        { "OPTIONS", "key", "", NULL, false },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        if (parse(rows[i].method, "bucket", rows[i].key, rows[i].query,
                  rows[i].header) != S3C_OK
            || op.has_credentials != rows[i].has)
        {
            fail_msg("row %zu", i);
        }
    }
}


static void
values_are_decoded(void **state)
{
    (void) state;

    assert_int_equal(parse("GET", "bucket", "key",
                           V4 "&versionId=a%2Bb+c&partNumber=10000"
                           "&response-content-disposition="
                           "attachment%3B+filename%3D%22x.txt%22"
                           "&response-content-type=text%2Fplain"
                           "&response-expires=", NULL), S3C_OK);
    assert_int_equal(op.kind, LOOK_UP);
    assert_true(s3c_slice_eq(op.version_id, S3C_SLICE("a+b c")));
    assert_int_equal(op.part_number, 10000);
    assert_true(op.has_overrides);
    assert_true(s3c_slice_eq(op.overrides[S3C_OVERRIDE_CONTENT_DISPOSITION],
                             S3C_SLICE("attachment; filename=\"x.txt\"")));
    assert_true(s3c_slice_eq(op.overrides[S3C_OVERRIDE_CONTENT_TYPE],
                             S3C_SLICE("text/plain")));
    assert_non_null(op.overrides[S3C_OVERRIDE_EXPIRES].data);
    assert_int_equal(op.overrides[S3C_OVERRIDE_EXPIRES].len, 0);
    assert_null(op.overrides[S3C_OVERRIDE_CACHE_CONTROL].data);
    assert_null(op.overrides[S3C_OVERRIDE_CONTENT_ENCODING].data);
    assert_null(op.overrides[S3C_OVERRIDE_CONTENT_LANGUAGE].data);

    for (unsigned i = 0; i < S3C_S3_OVERRIDES; i++) {
        assert_true(s3c_s3_override_header((s3c_s3_override_t) i).len > 0);
    }
}


static void
checksum_mode_comes_by_header_or_query(void **state)
{
    static const struct {
        const char  *query, *header;
        bool         mode;
    } rows[] = {
        { "", NULL, false },
        { "", "x-amz-checksum-mode: ENABLED", true },
        { "", "X-Amz-Checksum-Mode:enabled", true },
        { "", "x-amz-checksum-mode: DISABLED", false },
        { "x-amz-checksum-mode=ENABLED", NULL, true },
        { "x-amz-checksum-mode=", NULL, false },
        { "x-amz-checksum-mode=no", "x-amz-checksum-mode: ENABLED", true },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        assert_int_equal(parse("GET", "bucket", "key", rows[i].query,
                               rows[i].header), S3C_OK);
        assert_int_equal(op.checksum_mode, rows[i].mode);
    }
}


static void
bad_requests_have_the_error_of_aws(void **state)
{
    static const struct {
        const char      *query, *header;
        s3c_s3_error_t   err;
        const char      *message;
    } rows[] = {
        { "partNumber=0", NULL, S3C_ERR_INVALID_ARGUMENT, "Part number" },
        { "partNumber=10001", NULL, S3C_ERR_INVALID_ARGUMENT, "Part number" },
        { "partNumber=", NULL, S3C_ERR_INVALID_ARGUMENT, "Part number" },
        { "partNumber", NULL, S3C_ERR_INVALID_ARGUMENT, "Part number" },
        { "partNumber=-1", NULL, S3C_ERR_INVALID_ARGUMENT, "Part number" },
        { "partNumber=1a", NULL, S3C_ERR_INVALID_ARGUMENT, "Part number" },
        { "partNumber=+1", NULL, S3C_ERR_INVALID_ARGUMENT, "Part number" },
        { "partNumber=4294967297", NULL, S3C_ERR_INVALID_ARGUMENT,
          "Part number" },
        { "partNumber=1", "Range: bytes=0-1", S3C_ERR_INVALID_REQUEST,
          "Cannot specify both Range header and partNumber query parameter" },
        { "versionId=", NULL, S3C_ERR_INVALID_ARGUMENT,
          "Version id cannot be the empty string" },
        { "versionId", NULL, S3C_ERR_INVALID_ARGUMENT,
          "Version id cannot be the empty string" },
        { "versionId=1&versionId=1", NULL, S3C_ERR_INVALID_ARGUMENT,
          "A query parameter" },
        { V4 "&X-Amz-Signature=b", NULL, S3C_ERR_INVALID_ARGUMENT,
          "A query parameter" },
        { V4 "&response-expires=1&response%2Dexpires=2", NULL,
          S3C_ERR_INVALID_ARGUMENT, "A query parameter" },
        { "versionId=a%0ab", NULL, S3C_ERR_INVALID_ARGUMENT, "" },
        { V4 "&response-content-type=a%0d%0ab", NULL,
          S3C_ERR_INVALID_ARGUMENT, "" },
        { V4 "&response-content-type=a%00b", NULL, S3C_ERR_INVALID_ARGUMENT,
          "" },
        { V4 "&response-content-type=%7F", NULL, S3C_ERR_INVALID_ARGUMENT,
          "" },
        { "response-content-type=text/html", NULL, S3C_ERR_INVALID_REQUEST,
          "Request specific response headers cannot be used for anonymous "
          "GET requests." },
        { "response-expires", "Authorization: ", S3C_ERR_INVALID_REQUEST,
          "Request specific response headers cannot be used for anonymous "
          "GET requests." },
        { "response-expires=1", "Origin: https://a", S3C_ERR_INVALID_REQUEST,
          "Request specific" },
        { "acl&response-expires=1", NULL, S3C_ERR_INVALID_REQUEST,
          "Request specific" },
        { "X-Amz-Signature=a&response-expires=1", NULL,
          S3C_ERR_INVALID_REQUEST, "Request specific" },
        { "%", NULL, S3C_ERR_INVALID_URI, NULL },
        { "%zz=1", NULL, S3C_ERR_INVALID_URI, NULL },
        { "a=%4", NULL, S3C_ERR_INVALID_URI, NULL },
        { "acl=%4", NULL, S3C_ERR_INVALID_URI, NULL },
        { "x-id=%", NULL, S3C_ERR_INVALID_URI, NULL },
        { V4 "&X-Amz-Date=%", NULL, S3C_ERR_INVALID_URI, NULL },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        if (parse("GET", "bucket", "key", rows[i].query, rows[i].header)
            != S3C_INVALID
            || err != rows[i].err
            || (rows[i].message == NULL) != (message == NULL)
            || (message != NULL
                && strncmp(message, rows[i].message,
                           strlen(rows[i].message)) != 0))
        {
            fail_msg("%s: %d, %s", rows[i].query, err, message);
        }
    }
}


static void
an_authorized_override_is_let_through(void **state)
{
    (void) state;

    assert_int_equal(parse("GET", "bucket", "key",
                           "response-content-type=text/html",
                           "Authorization: AWS4-HMAC-SHA256 x"), S3C_OK);
    assert_int_equal(op.kind, LOOK_UP);
    assert_true(op.has_overrides);
}


static void
a_plain_list_passes_and_may_be_kept(void **state)
{
    static const struct {
        const char  *method, *bucket, *key, *query, *header;
        bool         is_list;
    } rows[] = {
        { "GET", "bucket", "", "", NULL, true },
        { "GET", "bucket", "", "prefix=a/b&list-type=2", NULL, true },
        { "GET", "bucket", "", "list-type=2&" V4, NULL, true },
        { "GET", "bucket", "", "", "Authorization: AWS4-HMAC-SHA256 x", true },
        { "GET", "bucket", "", "", "X-Amz-Date: x", true },
        { "GET", "bucket", "", "", "Range: bytes=0-1", true },
        { "HEAD", "bucket", "", "", NULL, false },
        { "PUT", "bucket", "", "", NULL, false },
        { "GET", "", "", "", NULL, false },
        { "GET", "bucket", "key", "prefix=a", NULL, false },
        { "GET", "b--x-s3", "", "", NULL, false },
        { "GET", "bucket", "", "versions", NULL, false },
        { "GET", "bucket", "", "X-Amz-Date=x", NULL, false },
        { "GET", "bucket", "", "", "Origin: https://a", false },
        { "GET", "bucket", "", "", "x-amz-request-payer: requester", false },
        { "GET", "bucket", "", "", "x-amz-expected-bucket-owner: 1", false },
        { "GET", "bucket", "",
          "", "X-Amz-Optional-Object-Attributes: RestoreStatus", false },
        { "GET", "bucket", "", "", "x-amz-unheard-of: 1", false },
        { "GET", "bucket", "", "", "Access-Control-Request-Method: a", false },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        assert_int_equal(parse(rows[i].method, rows[i].bucket, rows[i].key,
                               rows[i].query, rows[i].header), S3C_OK);
        assert_int_equal(op.is_list, rows[i].is_list);

        if (rows[i].is_list) {
            assert_int_equal(op.kind, READ);
            assert_int_equal(op.pass, S3C_PASS_LIST);
        }
    }

    assert_int_equal(parse("GET", "bucket", "", rows[1].query, NULL), S3C_OK);
    assert_true(s3c_slice_eq(op.prefix, S3C_SLICE("a/b")));
    assert_true(s3c_slice_eq(op.page,
                             S3C_SLICE("list-type=2&prefix=a%2Fb")));
}


static void
values_that_do_not_fit_are_refused(void **state)
{
    char  *query;

    (void) state;

    for (unsigned extra = 0; extra <= 1; extra++) {
        query = calloc(1, sizeof(op.buf) + 64);
        assert_non_null(query);
        memcpy(query, "versionId=", 10);
        memset(query + 10, 'v', sizeof(op.buf) + extra);
        assert_int_equal(parse("GET", "bucket", "key", query, NULL),
                         extra ? S3C_INVALID : S3C_OK);
        assert_int_equal(op.version_id.len, extra ? 0 : sizeof(op.buf));
        free(query);
    }
}


static void
every_reason_has_a_name(void **state)
{
    (void) state;

    for (unsigned i = S3C_PASS_LIST; i <= S3C_PASS_OTHER; i++) {
        const char  *name = s3c_s3_pass_name((s3c_s3_pass_t) i);

        assert_true(strlen(name) > 0);
        assert_string_not_equal(name, "unknown");
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(methods_tell_the_kind),
        cmocka_unit_test(only_known_parameters_are_looked_up),
        cmocka_unit_test(headers_that_change_the_meaning_pass),
        cmocka_unit_test(requests_without_a_key_pass_as_lists),
        cmocka_unit_test(credentials_are_seen_wherever_they_are),
        cmocka_unit_test(values_are_decoded),
        cmocka_unit_test(checksum_mode_comes_by_header_or_query),
        cmocka_unit_test(bad_requests_have_the_error_of_aws),
        cmocka_unit_test(an_authorized_override_is_let_through),
        cmocka_unit_test(a_plain_list_passes_and_may_be_kept),
        cmocka_unit_test(values_that_do_not_fit_are_refused),
        cmocka_unit_test(every_reason_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
