/* SPDX-License-Identifier: Apache-2.0
 *
 * Good signatures are taken, and the same requests with anything changed are
 * not: the examples of AWS's pages, and those of sigv4_signed.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <strings.h>

#include <cmocka.h>

#include "sigv4_request.h"

#define LEN(a)    (sizeof(a) / sizeof((a)[0]))
#define AWS_NOW   1369353600             /* 2013-05-24 */
#define AWS_DATE  "20130524T000000Z"
#define EMPTY     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7" \
                  "852b855"
#define STREAM    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"

#define AWS_AUTH(names, signature)                                            \
    { "Authorization",                                                        \
      "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/"  \
      "s3/aws4_request,SignedHeaders=" names ",Signature=" signature }

/* "Examples: Signature Calculations", the pages on chunks and on trailers, and
 * "Authenticating Requests: Using Query Parameters". */
static const signed_request_t  aws_examples[] = {

    { .name = "GET object", .method = "GET", .path = "/test.txt",
      .headers = {
          { "Host", "examplebucket.s3.amazonaws.com" },
          { "Range", "bytes=0-9" }, { "x-amz-content-sha256", EMPTY },
          { "x-amz-date", AWS_DATE },
          AWS_AUTH("host;range;x-amz-content-sha256;x-amz-date",
                   "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c60"
                   "36bdb41") } },

    { .name = "PUT object", .method = "PUT", .path = "/test$file.text",
      .headers = {
          { "Host", "examplebucket.s3.amazonaws.com" },
          { "Date", "Fri, 24 May 2013 00:00:00 GMT" },
          { "x-amz-date", AWS_DATE },
          { "x-amz-storage-class", "REDUCED_REDUNDANCY" },
          { "x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b"
                                    "4b4e99e42034a8b803f8b072" },
          AWS_AUTH("date;host;x-amz-content-sha256;x-amz-date;"
                   "x-amz-storage-class",
                   "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0e"
                   "ce108bd") } },

    { .name = "GET bucket lifecycle", .method = "GET", .path = "/",
      .query = "lifecycle",
      .headers = {
          { "Host", "examplebucket.s3.amazonaws.com" },
          { "x-amz-date", AWS_DATE }, { "x-amz-content-sha256", EMPTY },
          AWS_AUTH("host;x-amz-content-sha256;x-amz-date",
                   "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a013"
                   "6783543") } },

    { .name = "list objects", .method = "GET", .path = "/",
      .query = "max-keys=2&prefix=J",
      .headers = {
          { "Host", "examplebucket.s3.amazonaws.com" },
          { "x-amz-date", AWS_DATE }, { "x-amz-content-sha256", EMPTY },
          AWS_AUTH("host;x-amz-content-sha256;x-amz-date",
                   "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef"
                   "69dc6f7") } },

    { .name = "presigned", .method = "GET", .path = "/test.txt",
      .query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODN"
               "N7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Da"
               "te=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=h"
               "ost&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da"
               "4c265957d157751f604d404",
      .headers = { { "Host", "examplebucket.s3.amazonaws.com" } } },

    { .name = "chunks", .method = "PUT",
      .path = "/examplebucket/chunkObject.txt",
      .headers = {
          { "Host", "s3.amazonaws.com" }, { "x-amz-date", AWS_DATE },
          { "x-amz-storage-class", "REDUCED_REDUNDANCY" },
          { "x-amz-content-sha256", STREAM },
          { "Content-Encoding", "aws-chunked" },
          { "x-amz-decoded-content-length", "66560" },
          { "Content-Length", "66824" },
          AWS_AUTH("content-encoding;content-length;host;x-amz-content-sha256;"
                   "x-amz-date;x-amz-decoded-content-length;"
                   "x-amz-storage-class",
                   "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9f"
                   "a80a0a9") } },

    { .name = "chunks with a trailer", .method = "PUT",
      .path = "/examplebucket/chunkObject.txt",
      .headers = {
          { "Host", "s3.amazonaws.com" }, { "x-amz-date", AWS_DATE },
          { "x-amz-storage-class", "REDUCED_REDUNDANCY" },
          { "x-amz-content-sha256", STREAM "-TRAILER" },
          { "Content-Encoding", "aws-chunked" },
          { "x-amz-decoded-content-length", "66560" },
          { "x-amz-trailer", "x-amz-checksum-crc32c" },
          AWS_AUTH("content-encoding;host;x-amz-content-sha256;x-amz-date;"
                   "x-amz-decoded-content-length;x-amz-storage-class;"
                   "x-amz-trailer",
                   "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b7454"
                   "4bfeb8e") } },
};

static request_t  request, changed;


static void
the_examples_of_aws_are_good(void **state)
{
    (void) state;

    for (size_t i = 0; i < LEN(aws_examples); i++) {
        request_from(&request, &aws_examples[i]);
        request.now_sec = AWS_NOW;
        request_check(&request, aws_examples[i].name, S3C_ERR_NONE, NULL);
        assert_string_equal(request.host, aws_examples[i].headers[0].value);
    }
}


static void
what_others_sign_is_good(void **state)
{
    (void) state;

    assert_true(n_signed_requests > 50);

    for (size_t i = 0; i < n_signed_requests; i++) {
        request_from(&request, &signed_requests[i]);
        request_check(&request, signed_requests[i].name, S3C_ERR_NONE, NULL);
    }
}


static void
refused(const char *what, const char *detail)
{
    if (request_verify(&changed) == S3C_ERR_NONE) {
        fail_msg("%s: %s was changed, and nobody saw it", what, detail);
    }
}


/* Each byte of text, which lies in `changed`: bits 0, 3 and 6 of it. Bit 5
 * would be another case of an escape, which means the same. */
static void
each_byte_counts(const char *what, const char *detail, char *text)
{
    for (size_t i = 0; text[i] != '\0'; i++) {
        char  was = text[i];

        for (unsigned bit = 1; bit < 0x80; bit <<= 3) {
            text[i] = (char) (was ^ bit);

            if (text[i] != '\0') {
                refused(what, detail);
            }
        }

        text[i] = was;
    }
}


static void
no_byte_of_a_line_can_be_changed(void **state)
{
    static const char *const  methods[] = {
        "GET", "HEAD", "PUT", "POST", "DELETE", "get", "OPTIONS", ""
    };

    (void) state;

    for (size_t i = 0; i < n_signed_requests; i++) {
        const char  *name = signed_requests[i].name;

        request_from(&changed, &signed_requests[i]);
        each_byte_counts(name, "path", changed.path);
        each_byte_counts(name, "query", changed.query);

        for (size_t k = 0; k < LEN(methods); k++) {
            if (strcmp(methods[k], signed_requests[i].method) != 0) {
                strcpy(changed.method, methods[k]);
                refused(name, "method");
            }
        }
    }
}


/* By the request as it was: is that header a part of what is signed? */
static bool
is_signed(const signed_request_t *r, const char *name)
{
    char  list[512], *at;

    for (unsigned i = 0; i < SIGNED_HEADERS_MAX && r->headers[i].name; i++) {
        if (strcmp(r->headers[i].name, "Authorization") == 0) {
            snprintf(list, sizeof(list), ";%.400s",
                     strstr(r->headers[i].value, "SignedHeaders=") + 14);
            *strchr(list, ',') = ';';

            for (at = list; (at = strchr(at, ';')) != NULL; at++) {
                if (strncasecmp(at + 1, name, strlen(name)) == 0
                    && at[1 + strlen(name)] == ';')
                {
                    return true;
                }
            }

            return false;
        }
    }

    return strncasecmp(name, "x-amz-", 6) == 0
           || (!r->is_v2 && strcasecmp(name, "host") == 0);
}


static void
no_signed_header_can_be_changed_dropped_or_doubled(void **state)
{
    unsigned  count = 0;

    (void) state;

    for (size_t i = 0; i < n_signed_requests; i++) {
        const signed_request_t  *from = &signed_requests[i];

        for (unsigned k = 0; k < SIGNED_HEADERS_MAX && from->headers[k].name;
             k++)
        {
            const char  *name = from->headers[k].name;

            request_from(&changed, from);

            if (strcmp(name, "Authorization") != 0 && !is_signed(from, name)) {
                continue;
            }

            /* another Host is what that one is about */
            if (strcmp(name, "Host") != 0
                || strcmp(from->name, "a host that is allowed") != 0)
            {
                each_byte_counts(from->name, name, changed.headers[k].value);
            }

            request_add(&changed, name, from->headers[k].value);
            refused(from->name, name);

            request_from(&changed, from);
            request_drop(&changed, name);

            /* without it the request is anonymous, which is no error */
            if (strcmp(name, "Authorization") == 0) {
                assert_int_equal(request_verify(&changed),
                                 S3C_ERR_ACCESS_DENIED);
                assert_int_equal(changed.claim.kind, S3C_SIGNED_NOT);
            }

            refused(from->name, name);
            count++;
        }
    }

    assert_true(count > 150);
}


static void
nothing_can_be_added(void **state)
{
    static const char *const  headers[] = {
        "x-amz-acl", "X-AMZ-COPY-SOURCE", "x-amz-tagging", "x_amz_acl",
        "X-Amz_Meta-a", "x-amz-metadata-directive", "x-amz-security-token",
        "x-amz-storage-class", "x-amz-zzz", "Authorization",
        "x-amz-server-side-encryption-customer-key"
    };
    static const char *const  params[] = {
        "acl", "versionId=1", "partNumber=1", "attributes", "x=1", "x-id=a",
        "response-content-type=text/html", "%61cl", "X-Amz-Expires=604800",
        "X-Amz-Signature=a", "X-Amz-Date=20260115T101112Z", "Signature=a",
        "Expires=1999999999", "AWSAccessKeyId=a", "x-amz-acl=public-read",
        "X-Amz-Security-Token=a", "x%2Damz-copy-source=a",
    };

    (void) state;

    for (size_t i = 0; i < n_signed_requests; i++) {
        for (size_t k = 0; k < LEN(headers); k++) {
            request_from(&changed, &signed_requests[i]);
            request_add(&changed, headers[k], "a");
            refused(signed_requests[i].name, headers[k]);
        }

        for (size_t k = 0; k < LEN(params); k++) {
            request_from(&changed, &signed_requests[i]);

            if (changed.query[0] != '\0') {
                strcat(changed.query, "&");
            }

            strcat(changed.query, params[k]);
            refused(signed_requests[i].name, params[k]);
        }
    }
}


static void
another_secret_is_another_signature(void **state)
{
    (void) state;

    for (size_t i = 0; i < n_signed_requests; i++) {
        const char  *name = signed_requests[i].name;

        request_from(&changed, &signed_requests[i]);
        changed.secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEz";
        request_check(&changed, name, S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL);
        changed.secret = "";
        request_check(&changed, name, S3C_ERR_INVALID_ACCESS_KEY_ID, NULL);
    }
}


static void
only_a_host_that_is_allowed_may_have_been_signed(void **state)
{
    (void) state;

    request_named(&request, "a host that is allowed");
    request_check(&request, "allowed", S3C_ERR_NONE, NULL);
    assert_string_equal(request.host, SIGNED_OTHER_HOST);
    request.rules.n_hosts = 1;
    request_check(&request, "not allowed", S3C_ERR_SIGNATURE_DOES_NOT_MATCH,
                  NULL);

    /* the host that came goes first */
    request_named(&request, "get a b");
    request_check(&request, "came", S3C_ERR_NONE, NULL);
    assert_string_equal(request.host, "s3.example.com:8080");

    request_named(&request, "the port of a scheme");
    request_check(&request, "443", S3C_ERR_NONE, NULL);
    assert_string_equal(request.host, "s3.example.com");
    request_set(&request, "Host", "s3.example.com:80");
    request_check(&request, "80", S3C_ERR_NONE, NULL);
    request_set(&request, "Host", "s3.example.com:8080");
    request_check(&request, "8080", S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL);
}


static void
a_request_too_large_to_verify_is_refused(void **state)
{
    (void) state;

    request_named(&request, "get a b");
    request_set(&request, "X-Amz-Date", "20260115T101112Z");
    strcpy(request.path, "/bucket/%4");
    request_check(&request, "escape", S3C_ERR_INVALID_URI, NULL);
    request.path[0] = '\0';
    request_check(&request, "no path", S3C_ERR_INVALID_URI, NULL);
    strcpy(request.path, "/");
    request_add(&request, "x-amz-meta-a", "b\nc:d");
    request_set(&request, "Authorization",
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260115/"
                "us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date;"
                "x-amz-meta-a, Signature=" EMPTY);
    request_check(&request, "line", S3C_ERR_INVALID_REQUEST, NULL);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(the_examples_of_aws_are_good),
        cmocka_unit_test(what_others_sign_is_good),
        cmocka_unit_test(no_byte_of_a_line_can_be_changed),
        cmocka_unit_test(no_signed_header_can_be_changed_dropped_or_doubled),
        cmocka_unit_test(nothing_can_be_added),
        cmocka_unit_test(another_secret_is_another_signature),
        cmocka_unit_test(only_a_host_that_is_allowed_may_have_been_signed),
        cmocka_unit_test(a_request_too_large_to_verify_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
