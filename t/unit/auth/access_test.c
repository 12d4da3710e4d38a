/* SPDX-License-Identifier: Apache-2.0
 *
 * What requests need to be allowed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "auth/access.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))

/* the value of a header that is not there */
#define NONE  NULL, NULL


static s3c_slice_t
text(const char *s)
{
    return s3c_slice(s, strlen(s));
}


static s3c_status_t
plan(s3c_needs_t *needs, s3c_s3_address_t *addr, const char *method,
    const char *path, const char *query, const char *name, const char *value)
{
    unsigned           n = 0;
    s3c_s3_error_t     err;
    s3c_http_header_t  headers[2];

    headers[n++] = (s3c_http_header_t) { S3C_SLICE("Host"), S3C_SLICE("h") };

    if (name != NULL) {
        headers[n++] = (s3c_http_header_t) { text(name), text(value) };
    }

    assert_int_equal(s3c_s3_address_parse(addr, S3C_SLICE_NONE, text(path),
                                          NULL, 0, &err), S3C_OK);
    memset(needs, 0xa5, sizeof(*needs));

    return s3c_access_plan(needs, text(method), addr, text(query), headers, n);
}


/* "write key bkt/k, read key src/k" */
static void
print(const s3c_needs_t *needs, char *out, size_t size)
{
    static const char *const  scopes[] = { "key", "prefix", "bucket",
                                              "unknown" };
    size_t                    used = 0;

    out[0] = '\0';

    for (unsigned i = 0; i < needs->n; i++) {
        const s3c_access_t  *a = &needs->all[i];
        s3c_slice_t          name = s3c_action_name(a->action);

        used += (size_t) snprintf(out + used, size - used,
                         "%s%.*s %s %.*s/%.*s",
                         i ? ", " : "", (int) name.len, name.data,
                         scopes[a->scope], (int) a->bucket.len,
                         a->bucket.data ? (const char *) a->bucket.data : "",
                         (int) a->key.len,
                         a->key.data ? (const char *) a->key.data : "");
        assert_true(used < size);
    }
}


typedef struct {
    const char  *method, *path, *query;
    const char  *name, *value;           /* of a header */
    const char  *needs;
} row_t;


static void
check(const row_t *rows, size_t n)
{
    char              out[4096];
    s3c_needs_t       needs;
    s3c_s3_address_t  addr;

    for (size_t i = 0; i < n; i++) {
        const row_t  *r = &rows[i];

        if (plan(&needs, &addr, r->method, r->path, r->query, r->name,
                 r->value) != S3C_OK)
        {
            fail_msg("%s %s?%s: refused", r->method, r->path, r->query);
        }

        print(&needs, out, sizeof(out));

        if (strcmp(out, r->needs) != 0) {
            fail_msg("%s %s?%s: needs %s", r->method, r->path, r->query, out);
        }
    }
}


static void
reads_need_read(void **state)
{
    static const row_t  rows[] = {
        { "GET", "/bkt/a/b", "", NONE, "read key bkt/a/b" },
        { "HEAD", "/bkt/k", "", NONE, "read key bkt/k" },
        { "GET", "/bkt/a%2Fb", "", NONE, "read key bkt/a/b" },
        { "GET", "/bkt//k", "", NONE, "read key bkt//k" },
        { "GET", "/bkt/k", "versionId=v", NONE, "read key bkt/k" },
        { "GET", "/bkt/k", "partNumber=1", NONE, "read key bkt/k" },
        { "HEAD", "/bkt/k", "versionId=v&partNumber=2", NONE,
          "read key bkt/k" },
        { "GET", "/bkt/k", "x-id=GetObject&response-content-type=a/b"
          "&X-Amz-Algorithm=A&X-Amz-Credential=C&X-Amz-Date=D&X-Amz-Expires=1"
          "&X-Amz-SignedHeaders=host&X-Amz-Signature=S"
          "&X-Amz-Security-Token=T&x-amz-checksum-mode=ENABLED", NONE,
          "read key bkt/k" },
        { "GET", "/bkt/k", "AWSAccessKeyId=A&Signature=S&Expires=1", NONE,
          "read key bkt/k" },
        { "GET", "/bkt/k", "response-content-type=a;b"
          "&X-Amz-SignedHeaders=host;range", NONE, "read key bkt/k" },
        { "GET", "/bkt/k", "tagging", NONE, "read key bkt/k" },
        { "GET", "/bkt/k", "tagging=&versionId=v", NONE, "read key bkt/k" },
        { "GET", "/bkt/k", "%74agging", NONE, "read key bkt/k" },
        { "GET", "/bkt/k", "attributes&max-parts=1&part-number-marker=2",
          NONE, "read key bkt/k" },
        { "GET", "/bkt/k", "torrent", NONE, "read key bkt/k" },
        { "GET", "/bkt/k", "retention", NONE, "read key bkt/k" },
        { "GET", "/bkt/k", "legal-hold", NONE, "read key bkt/k" },
        { "POST", "/bkt/k", "select&select-type=2", NONE, "read key bkt/k" },
    };

    (void) state;

    check(rows, LEN(rows));
}


static void
lists_need_list_of_their_prefix(void **state)
{
    static const row_t  rows[] = {
        { "GET", "/bkt", "", NONE, "list prefix bkt/" },
        { "GET", "/bkt/", "list-type=2", NONE, "list prefix bkt/" },
        { "GET", "/bkt", "prefix=a%2Fb+c%2B&delimiter=%2F&max-keys=5&marker=m"
          "&encoding-type=url&fetch-owner=true&start-after=s"
          "&continuation-token=t&allow-unordered=true", NONE,
          "list prefix bkt/a/b c+" },
        { "GET", "/bkt", "pre%66ix=a", NONE, "list prefix bkt/a" },
        { "GET", "/bkt", "prefix=a%3Bb", NONE, "list prefix bkt/a;b" },
        { "GET", "/bkt", "versions&prefix=a&key-marker=k"
          "&version-id-marker=v", NONE, "list prefix bkt/a" },
        { "GET", "/bkt", "uploads&prefix=a&upload-id-marker=u&max-uploads=1",
          NONE, "list prefix bkt/a" },
        /* nobody knows which one, or what it is: all */
        { "GET", "/bkt", "prefix=a&prefix=b", NONE, "list prefix bkt/" },
        { "GET", "/bkt", "prefix=a&prefix", NONE, "list prefix bkt/" },
        { "GET", "/bkt", "prefix=a%2", NONE, "list prefix bkt/" },
        { "GET", "/bkt", "prefix=", NONE, "list prefix bkt/" },
        { "HEAD", "/bkt", "", NONE, "list bucket bkt/" },
        { "HEAD", "/bkt/", "X-Amz-Signature=S", NONE, "list bucket bkt/" },
        { "GET", "/bkt", "location", NONE, "list bucket bkt/" },
        { "GET", "/", "", NONE, "list bucket /" },
        { "GET", "/", "x-id=ListBuckets&max-buckets=1&prefix=a"
          "&bucket-region=r&continuation-token=t", NONE, "list bucket /" },
    };

    (void) state;

    check(rows, LEN(rows));
}


static void
writes_need_write(void **state)
{
    static const row_t  rows[] = {
        { "PUT", "/bkt/k", "", NONE, "write key bkt/k" },
        { "PUT", "/bkt/k", "x-id=PutObject&x-amz-meta-a=b", NONE,
          "write key bkt/k" },
        { "PUT", "/bkt/k", "", "Content-Type", "multipart/form-data",
          "write key bkt/k" },
        { "DELETE", "/bkt/k", "", NONE, "write key bkt/k" },
        { "DELETE", "/bkt/k", "versionId=v", NONE, "write key bkt/k" },
        { "PUT", "/bkt/k", "tagging", NONE, "write key bkt/k" },
        { "DELETE", "/bkt/k", "tagging&versionId=v", NONE,
          "write key bkt/k" },
        { "POST", "/bkt/k", "uploads", NONE, "write key bkt/k" },
        { "POST", "/bkt/k", "uploads=", NONE, "write key bkt/k" },
        { "PUT", "/bkt/k", "partNumber=1&uploadId=u&x-id=UploadPart", NONE,
          "write key bkt/k" },
        { "POST", "/bkt/k", "uploadId=u", NONE, "write key bkt/k" },
        { "DELETE", "/bkt/k", "uploadId=u", NONE, "write key bkt/k" },
        { "GET", "/bkt/k", "uploadId=u&max-parts=1", NONE,
          "write key bkt/k" },
        { "POST", "/bkt", "delete", NONE, "write prefix bkt/" },
    };
    s3c_needs_t       needs;
    s3c_s3_address_t  addr;

    (void) state;

    check(rows, LEN(rows));

    assert_int_equal(plan(&needs, &addr, "POST", "/bkt", "delete", NONE),
                     S3C_OK);
    assert_true(needs.keys_in_body);
    assert_int_equal(plan(&needs, &addr, "PUT", "/bkt/k", "", NONE), S3C_OK);
    assert_false(needs.keys_in_body);
    assert_int_equal(plan(&needs, &addr, "POST", "/bkt", "", NONE), S3C_OK);
    assert_false(needs.keys_in_body);
}


static void
all_the_rest_needs_admin(void **state)
{
    static const row_t  rows[] = {
        { "GET", "/bkt/k", "acl", NONE, "admin key bkt/k" },
        { "PUT", "/bkt/k", "acl", NONE, "admin key bkt/k" },
        { "PUT", "/bkt/k", "retention", NONE, "admin key bkt/k" },
        /* its body can name a bucket that a query's result is put into */
        { "POST", "/bkt/k", "restore", NONE, "admin key bkt/k" },
        { "PUT", "/bkt/k", "legal-hold", NONE, "admin key bkt/k" },
        { "PUT", "/bkt", "", NONE, "admin bucket bkt/" },
        { "DELETE", "/bkt", "", NONE, "admin bucket bkt/" },
        { "GET", "/bkt", "acl", NONE, "admin bucket bkt/" },
        { "GET", "/bkt", "policy", NONE, "admin bucket bkt/" },
        { "PUT", "/bkt", "policy", NONE, "admin bucket bkt/" },
        { "PUT", "/bkt", "lifecycle", NONE, "admin bucket bkt/" },
        { "PUT", "/bkt", "versioning", NONE, "admin bucket bkt/" },
        { "GET", "/bkt", "cors", NONE, "admin bucket bkt/" },
        { "PUT", "/bkt", "replication", NONE, "admin bucket bkt/" },
        { "DELETE", "/bkt", "tagging", NONE, "admin bucket bkt/" },
        { "GET", "/bkt", "session", NONE, "admin bucket bkt/" },
        { "POST", "/", "", NONE, "admin bucket /" },
        { "GET", "/", "usage", NONE, "admin bucket /" },
        { "PATCH", "/bkt/k", "", NONE, "admin key bkt/k" },
        /* for some origins two parameters, or none */
        { "GET", "/bkt", "prefix=a;b", NONE, "admin bucket bkt/" },
        { "GET", "/bkt/k", "versionId=v;acl", NONE, "admin key bkt/k" },
        { "GET", "/bkt/k", "partNumber=1&x;acl", NONE, "admin key bkt/k" },
        { "get", "/bkt/k", "", NONE, "admin key bkt/k" },
        /* what is not known, or not plainly one thing */
        { "GET", "/bkt/k", "unheard-of", NONE, "admin key bkt/k" },
        { "GET", "/bkt", "unheard-of", NONE, "admin bucket bkt/" },
        { "GET", "/bkt/k", "rgwx-uid=x", NONE, "admin key bkt/k" },
        { "GET", "/bkt/k", "Tagging", NONE, "admin key bkt/k" },
        { "GET", "/bkt/k", "tagging%00", NONE, "admin key bkt/k" },
        { "GET", "/bkt/k", "tagging%", NONE, "admin key bkt/k" },
        { "GET", "/bkt/k", "tagging&acl", NONE, "admin key bkt/k" },
        { "GET", "/bkt/k", "tagging&attributes", NONE, "admin key bkt/k" },
        { "GET", "/bkt/k", "attributes&torrent", NONE, "admin key bkt/k" },
        { "GET", "/bkt/k", "tagging&uploadId=u", NONE, "admin key bkt/k" },
        { "GET", "/bkt/k", "versionId=a&versionId=b", NONE,
          "admin key bkt/k" },
        { "HEAD", "/bkt/k", "tagging", NONE, "admin key bkt/k" },
        { "GET", "/bkt/k", "prefix=a", NONE, "admin key bkt/k" },
        { "GET", "/bkt", "location&prefix=a", NONE, "admin bucket bkt/" },
        { "GET", "/bkt", "versionId=v", NONE, "admin bucket bkt/" },
        { "GET", "/bkt", "versions&uploads", NONE, "admin bucket bkt/" },
        { "HEAD", "/bkt", "prefix=a", NONE, "admin bucket bkt/" },
        { "PUT", "/bkt/k", "uploadId=u", NONE, "admin key bkt/k" },
        { "PUT", "/bkt/k", "partNumber=1", NONE, "admin key bkt/k" },
        { "PUT", "/bkt/k", "versionId=v", NONE, "admin key bkt/k" },
        { "PUT", "/bkt/k", "renameObject", NONE, "admin key bkt/k" },
        { "POST", "/bkt", "delete&unheard-of", NONE, "admin bucket bkt/" },
        { "POST", "/bkt/k", "select", NONE, "admin key bkt/k" },
        /* an RGW does not see this id: it would read, or delete */
        { "GET", "/bkt/k", "uploadId", NONE, "admin key bkt/k" },
        { "GET", "/bkt/k", "uploadId=", NONE, "admin key bkt/k" },
        { "GET", "/bkt/k", "uploadId=&uploadId=u", NONE, "admin key bkt/k" },
        { "GET", "/bkt/k", "uploadId=u&uploadId=", NONE, "admin key bkt/k" },
        /* an origin that does not know these takes the form */
        { "POST", "/bkt/k", "select&select-type=2", "content-type",
          "Multipart/form-data; boundary=x", "admin key bkt/k" },
        { "POST", "/bkt", "delete", "Content-Type", "multipart/form-data",
          "admin bucket bkt/" },
    };

    (void) state;

    check(rows, LEN(rows));
}


static void
headers_can_make_it_more(void **state)
{
    static const row_t  rows[] = {
        { "PUT", "/bkt/k", "", "x-amz-acl", "private", "write key bkt/k" },
        { "PUT", "/bkt/k", "", "x-amz-acl", " private ", "write key bkt/k" },
        { "PUT", "/bkt/k", "", "X-Amz-Acl", "public-read",
          "write key bkt/k, admin key bkt/k" },
        { "PUT", "/bkt/k", "", "x-amz-acl", "private,public-read",
          "write key bkt/k, admin key bkt/k" },
        { "PUT", "/bkt/k", "x-amz-acl=public-read", NONE,
          "write key bkt/k, admin key bkt/k" },
        { "PUT", "/bkt/k", "X-AMZ-AC%4c=public-read", NONE,
          "write key bkt/k, admin key bkt/k" },
        { "POST", "/bkt/k", "uploads", "x-amz-grant-read", "id=1",
          "write key bkt/k, admin key bkt/k" },
        { "PUT", "/bkt/k", "", "x-amz-object-lock-mode", "COMPLIANCE",
          "write key bkt/k, admin key bkt/k" },
        { "DELETE", "/bkt/k", "versionId=v",
          "x-amz-bypass-governance-retention", "true",
          "write key bkt/k, admin key bkt/k" },
        { "POST", "/bkt", "delete", "x-amz-bypass-governance-retention",
          "true", "write prefix bkt/, admin prefix bkt/" },
        { "PUT", "/bkt/k", "acl", "x-amz-acl", "public-read",
          "admin key bkt/k" },
        { "PUT", "/bkt/k", "", "x-amz-meta-snowball-auto-extract", "true",
          "write key bkt/k, write prefix bkt/" },
        { "PUT", "/bkt/k", "renameObject", "x-amz-rename-source", "/bkt/s",
          "admin key bkt/k, admin prefix bkt/" },
        /* a form says its key and its ACL within */
        { "POST", "/bkt", "", "Content-Type", "multipart/form-data",
          "write prefix bkt/, admin prefix bkt/" },
        { "POST", "/bkt/k", "", NONE,
          "write prefix bkt/, admin prefix bkt/" },
        { "PUT", "/bkt/k", "", "x-amz-storage-class", "GLACIER",
          "write key bkt/k" },
    };

    (void) state;

    check(rows, LEN(rows));
}


static void
a_copy_reads_its_source(void **state)
{
    static const row_t  rows[] = {
        { "PUT", "/bkt/k", "", "x-amz-copy-source", "/src/a%2Fb",
          "write key bkt/k, read key src/a/b" },
        { "PUT", "/bkt/k", "", "X-Amz-Copy-Source", "src/a?versionId=v",
          "write key bkt/k, read key src/a" },
        { "PUT", "/bkt/k", "partNumber=1&uploadId=u", "x-amz-copy-source",
          "src%2Fa", "write key bkt/k, read key src/a" },
        { "PUT", "/bkt/k", "x-amz-copy-source=%2Fsrc%2Fa%252Fb", NONE,
          "write key bkt/k, read key src/a/b" },
        { "PUT", "/bkt/k", "", "x-amz-copy-source", "src/a+b",
          "write key bkt/k, read key src/a+b, read key src/a b" },
        { "PUT", "/bkt/k", "", "x-amz-copy-source", "src/a%2Bb",
          "write key bkt/k, read key src/a+b" },
        { "PUT", "/bkt/k", "", "x-amz-copy-source", "src/a%23b%5Cc",
          "write key bkt/k, read key src/a#b\\c" },
        { "PUT", "/bkt/k", "", "x-amz-copy-source",
          "arn:aws:s3:r:1:accesspoint/p/object/k",
          "write key bkt/k, admin unknown /, read unknown /" },
        { "PUT", "/bkt/k", "", "x-amz-copy-source-if-match", "e",
          "write key bkt/k" },
    };
    static const char  *bad[] = {
        "", "/", "src", "/src", "src/", "src/%", "sr%2/a", "src/a b",
        "src/%00", "src/a?other=1", "//src/a",
        /* coded they are bytes of a key */
        "src/a#b", "src/a#", "src/a\\b", "src/a?versionId=v#",
    };
    s3c_needs_t       needs;
    s3c_s3_address_t  addr;

    (void) state;

    check(rows, LEN(rows));

    for (size_t i = 0; i < LEN(bad); i++) {
        if (plan(&needs, &addr, "PUT", "/bkt/k", "", "x-amz-copy-source",
                 bad[i]) != S3C_INVALID)
        {
            fail_msg("%s is taken", bad[i]);
        }
    }

    /* in one place only */
    assert_int_equal(plan(&needs, &addr, "PUT", "/bkt/k",
                          "x-amz-copy-source=src%2Fa", "x-amz-copy-source",
                          "src/a"), S3C_INVALID);
    assert_int_equal(plan(&needs, &addr, "PUT", "/bkt/k",
                          "x-amz-copy-source=src%2Fa&X-Amz-Copy-Source="
                          "src%2Fa", NONE), S3C_INVALID);
    assert_int_equal(plan(&needs, &addr, "PUT", "/bkt/k",
                          "x-amz-copy-source=src%2Fa%", NONE), S3C_INVALID);
    assert_int_equal(plan(&needs, &addr, "PUT", "/bkt/k",
                          "x-amz-copy-source=src%2Fa%23", NONE), S3C_INVALID);
}


static void
a_prefix_that_no_key_is_long_enough_for_is_that_of_all(void **state)
{
    char              query[1200] = "prefix=";
    s3c_needs_t       needs;
    s3c_s3_address_t  addr;

    (void) state;

    memset(query + 7, 'a', 1024);
    assert_int_equal(plan(&needs, &addr, "GET", "/bkt", query, NONE), S3C_OK);
    assert_int_equal(needs.all[0].key.len, 1024);

    query[7 + 1024] = 'a';
    assert_int_equal(plan(&needs, &addr, "GET", "/bkt", query, NONE), S3C_OK);
    assert_int_equal(needs.all[0].key.len, 0);
}


static void
nobody_signs_a_preflight(void **state)
{
    s3c_needs_t       needs;
    s3c_s3_address_t  addr;

    (void) state;

    assert_int_equal(plan(&needs, &addr, "OPTIONS", "/bkt/k", "acl",
                          "x-amz-copy-source", "%"), S3C_OK);
    assert_int_equal(needs.n, 0);
    assert_false(needs.keys_in_body);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(reads_need_read),
        cmocka_unit_test(lists_need_list_of_their_prefix),
        cmocka_unit_test(writes_need_write),
        cmocka_unit_test(all_the_rest_needs_admin),
        cmocka_unit_test(headers_can_make_it_more),
        cmocka_unit_test(a_copy_reads_its_source),
        cmocka_unit_test(
            a_prefix_that_no_key_is_long_enough_for_is_that_of_all),
        cmocka_unit_test(nobody_signs_a_preflight),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
