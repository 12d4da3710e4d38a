/* SPDX-License-Identifier: Apache-2.0
 *
 * Presigned reads by SigV2.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/digest.h"
#include "sigv4_request.h"

#define LEN(a)    (sizeof(a) / sizeof((a)[0]))
#define PUPPY     "/johnsmith/photos/puppy.jpg"
#define UNSIGNED  "parameters present in the request which were not signed"

static request_t  request;


/* The example of AWS's page. */
static const signed_request_t  puppy = {
    .method = "GET", .path = "/photos/puppy.jpg", .is_v2 = true,
    .query = "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Expires=1175139620&"
             "Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D",
    .vhost_bucket = "johnsmith",
    .headers = { { "Host", "johnsmith.s3.amazonaws.com" } },
};


static void
the_example_of_aws_is_good(void **state)
{
    (void) state;

    request_from(&request, &puppy);
    request.now_sec = 1175139000;
    request_check(&request, "virtual host", S3C_ERR_NONE, NULL);
    assert_int_equal(request.claim.kind, S3C_SIGNED_QUERY_V2);
    assert_string_equal(request.host, "johnsmith.s3.amazonaws.com");

    /* the same object */
    strcpy(request.path, PUPPY);
    request.vhost_bucket[0] = '\0';
    request_check(&request, "path style", S3C_ERR_NONE, NULL);

    /* another one */
    strcpy(request.vhost_bucket, "johnsmith");
    request_check(&request, "both", S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL);
}


/* A good link of what `text` is the string to sign of. */
static void
sign(const char *query, const char *text)
{
    static const char  digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t            mac[21] = { 0 };
    char              *at;

    request_from(&request, &puppy);
    request.now_sec = 1175139000;
    strcpy(request.query, query);
    strcat(request.query, "&AWSAccessKeyId=" SIGNED_ACCESS_KEY
                          "&Expires=1175139620&Signature=");
    assert_int_equal(s3c_hmac_sha1(S3C_SLICE(SIGNED_SECRET),
                                   s3c_slice(text, strlen(text)), mac),
                     S3C_OK);
    at = request.query + strlen(request.query);

    for (unsigned bit = 0; bit < 27 * 6; bit += 6) {
        unsigned  v = (unsigned) mac[bit / 8] << 8 | mac[bit / 8 + 1];
        char      c = digits[v >> (10 - bit % 8) & 63];

        at += sprintf(at, c == '+' ? "%%2B" : c == '/' ? "%%2F" : "%c", c);
    }

    strcpy(at, "%3D");
}


static void
sub_resources_are_signed_in_order_and_decoded(void **state)
{
    static const struct {
        const char  *query, *resource;
    } rows[] = {
        { "versionId=3%2FL4%2B&acl", "?acl&versionId=3/L4+" },
        { "response-content-type=a+b&partNumber=2&",
          "?partNumber=2&response-content-type=a b" },
        { "response-content-disposition=a%20%26%20b=c",
          "?response-content-disposition=a & b=c" },
        { "response-expires=a%26b%3Dc%26", "?response-expires=a&b=c&" },
        { "torrent=", "?torrent" },
    };
    char  text[512];

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        snprintf(text, sizeof(text), "GET\n\n\n1175139620\n" PUPPY "%s",
                 rows[i].resource);
        sign(rows[i].query, text);
        request_check(&request, rows[i].query, S3C_ERR_NONE, NULL);
    }
}


static void
what_is_not_signed_is_refused(void **state)
{
    static const struct {
        const char  *query, *resource;
    } rows[] = {
        { "attributes", "" },
        { "attributes", "?attributes" },
        { "x-id=GetObject", "" },
        { "VersionId=1", "" },
        { "prefix=a", "" },
        { "content-type=text/html", "" },
        { "versionId=1&versionId=2", "?versionId=1&versionId=2" },
        /* what would be the same text as two parameters */
        { "response-expires=a%26versionId%3D1",
          "?response-expires=a&versionId=1" },
        { "response-expires=a%26acl", "?response-expires=a&acl" },
        { "response-expires=a%26acl%26b", "?response-expires=a&acl&b" },
        { "response-expires=a%0Ab", "?response-expires=a\nb" },
        { "response-expires=%7F", "?response-expires=\x7f" },
        { "x-amz-a%0Ab=1", "" },
        { "x-amz-a%3Ab=1", "" },
    };
    char  text[512];

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        snprintf(text, sizeof(text), "GET\n\n\n1175139620\n" PUPPY "%s",
                 rows[i].resource);
        sign(rows[i].query, text);
        request_check(&request, rows[i].query, S3C_ERR_ACCESS_DENIED,
                      UNSIGNED);
    }

    sign("acl", "GET\n\n\n1175139620\n" PUPPY);
    request_check(&request, "acl", S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL);
}


static void
amz_headers_are_signed_wherever_they_are(void **state)
{
    (void) state;

    sign("x-amz-b=2%20&X-Amz-Meta=1",
         "GET\nmd5\ntext/plain\n1175139620\nx-amz-a:1,3\nx-amz-b:2 \n"
         "x-amz-meta:1\n" PUPPY);
    request_add(&request, "Content-Type", " text/plain ");
    request_add(&request, "content-md5", "md5");
    request_add(&request, "X-AMZ-A", " 1 ");
    request_add(&request, "x-amz-a", "3");
    request_check(&request, "signed", S3C_ERR_NONE, NULL);

    request_add(&request, "X-Amz-B", "2");
    request_check(&request, "both", S3C_ERR_ACCESS_DENIED, UNSIGNED);

    sign("", "GET\n\n\n1175139620\n" PUPPY);
    request_check(&request, "none", S3C_ERR_NONE, NULL);
    request_add(&request, "x-amz-meta-a", "1");
    request_check(&request, "header", S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL);
    request_named(&request, "v2");
    strcat(request.query, "&x-amz-security-token=");
    request_check(&request, "token", S3C_ERR_INVALID_TOKEN, NULL);
}


static void
only_reads_and_only_when_allowed(void **state)
{
    static const char *const  methods[] = { "PUT", "POST", "DELETE", "get" };

    (void) state;

    for (size_t i = 0; i < LEN(methods); i++) {
        request_named(&request, "v2");
        strcpy(request.method, methods[i]);
        request_check(&request, methods[i], S3C_ERR_INVALID_REQUEST,
                      "not supported");
    }

    request_named(&request, "v2");
    request.rules.allow_v2_presigned = false;
    request_check(&request, "rule", S3C_ERR_INVALID_REQUEST, "not supported");
}


static void
a_flaw_of_a_parameter_has_its_error(void **state)
{
    static const struct {
        const char      *from, *to;
        s3c_s3_error_t   err;
        const char      *message;
    } rows[] = {
        { "Signature", "signature", S3C_ERR_ACCESS_DENIED, "requires the" },
        { "Expires=", "expires=", S3C_ERR_ACCESS_DENIED, "requires the" },
        { "AWSAccessKeyId", "AWSAccessKeyid", S3C_ERR_INVALID_ARGUMENT,
          "Only one" },
        { "=AKIAIOSFODNN7EXAMPLE", "=", S3C_ERR_ACCESS_DENIED,
          "requires the" },
        { "=AKIAIOSFODNN7EXAMPLE", "=a%0A", S3C_ERR_ACCESS_DENIED,
          "requires the" },
        { "=AKIAIOSFODNN7EXAMPLE", "=b", S3C_ERR_INVALID_ACCESS_KEY_ID,
          NULL },
        { "Expires=", "Expires=1&Expires=", S3C_ERR_AUTH_QUERY_PARAMETERS,
          "twice" },
        { "Signature=", "Signature=a&Signature=",
          S3C_ERR_AUTH_QUERY_PARAMETERS, "twice" },
        { "Expires=1", "Expires=a1", S3C_ERR_ACCESS_DENIED, "Invalid date" },
        { "Expires=1", "Expires=-1", S3C_ERR_ACCESS_DENIED, "Invalid date" },
        { "Expires=1768472472", "Expires=", S3C_ERR_ACCESS_DENIED,
          "Invalid date" },
        { "Expires=1", "Expires=000000000001", S3C_ERR_ACCESS_DENIED,
          "Invalid date" },
        { "Expires=1768472472", "Expires=1768471872", S3C_ERR_ACCESS_DENIED,
          "Request has expired" },
        { "Expires=1768472472", "Expires=1768471873",
          S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL },
        { "Expires=1768472472", "Expires=1769076672",
          S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL },
        { "Expires=1768472472", "Expires=1769076673", S3C_ERR_ACCESS_DENIED,
          "further ahead" },
        { "Signature=", "Signature=A", S3C_ERR_SIGNATURE_DOES_NOT_MATCH,
          NULL },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        request_named(&request, "v2");
        request_edit_query(&request, rows[i].from, rows[i].to);
        request_check(&request, rows[i].to, rows[i].err, rows[i].message);
    }
}


static void
more_headers_than_are_counted_are_refused(void **state)
{
    char  name[32];

    (void) state;

    request_named(&request, "v2");

    for (unsigned i = 0; i < 65; i++) {
        snprintf(name, sizeof(name), "&x-amz-meta-%u=1", i);
        strcat(request.query, name);
    }

    request_check(&request, "many", S3C_ERR_ACCESS_DENIED, UNSIGNED);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(the_example_of_aws_is_good),
        cmocka_unit_test(sub_resources_are_signed_in_order_and_decoded),
        cmocka_unit_test(what_is_not_signed_is_refused),
        cmocka_unit_test(amz_headers_are_signed_wherever_they_are),
        cmocka_unit_test(only_reads_and_only_when_allowed),
        cmocka_unit_test(a_flaw_of_a_parameter_has_its_error),
        cmocka_unit_test(more_headers_than_are_counted_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
