/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists: one name for one page, directories, documents.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "s3/s3_list.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))

static uint8_t      buf[4096];
static s3c_slice_t  page, prefix;


static s3c_slice_t
text(const char *s)
{
    return s3c_slice(s, strlen(s));
}


static s3c_status_t
parse(const char *query)
{
    s3c_writer_t  w;

    s3c_writer_init(&w, buf, sizeof(buf));

    return s3c_s3_list_parse(&w, text(query), &page, &prefix);
}


static void
assert_slice(s3c_slice_t s, const char *expected)
{
    assert_int_equal(s.len, strlen(expected));
    assert_memory_equal(s.data ? s.data : (const uint8_t *) "", expected,
                        s.len);
}


static void
a_page_has_one_name_however_it_is_asked_for(void **state)
{
    static const struct {
        const char  *query, *page, *prefix;
    } rows[] = {
        { "", "", "" },
        { "&&", "", "" },
        { "list-type=2", "list-type=2", "" },
        { "prefix=a/b&list-type=2", "list-type=2&prefix=a%2Fb", "a/b" },
        { "list-type=2&prefix=a%2fb", "list-type=2&prefix=a%2Fb", "a/b" },
        { "%6cist-type=%32&&prefix=%61%2Fb", "list-type=2&prefix=a%2Fb",
          "a/b" },
        { "prefix=a+b%20c%2B", "prefix=a%20b%20c%2B", "a b c+" },
        { "prefix", "prefix=", "" },
        { "prefix=", "prefix=", "" },
        { "prefix=a=b", "prefix=a%3Db", "a=b" },
        { "x-id=ListObjectsV2&max-keys=5", "max-keys=5", "" },
        { "max-keys=5&X-Amz-Signature=x&X-Amz-Credential=y&Expires=1",
          "max-keys=5", "" },
        { "start-after=a&prefix=p&max-keys=1&marker=m&list-type=2&"
          "fetch-owner=true&encoding-type=url&delimiter=/&"
          "continuation-token=t",
          "continuation-token=t&delimiter=%2F&encoding-type=url&"
          "fetch-owner=true&list-type=2&marker=m&max-keys=1&prefix=p&"
          "start-after=a", "p" },
        { "prefix=%00%FF%0a", "prefix=%00%FF%0A", NULL },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        assert_int_equal(parse(rows[i].query), S3C_OK);
        assert_slice(page, rows[i].page);

        if (rows[i].prefix != NULL) {
            assert_slice(prefix, rows[i].prefix);
        }
    }
}


static void
what_is_no_plain_list_has_none(void **state)
{
    static const char *const  rows[] = {
        "versions", "uploads", "location", "list-type=1", "list-type=",
        "list-type=2&list-type=2", "prefix=a&prefix=a", "prefix=a&pref%69x=b",
        "x-id=a&x-id=b", "Prefix=a", "prefix=%", "prefix=%4", "%zz=1",
        "list-type=2&versionId=1", "response-content-type=a", "partNumber=1",
        "x-amz-checksum-mode=ENABLED", "allow-unordered=true", "metadata",
        "session", "max-keys=1&unheard-of",
        "prefix=a&a-name-that-is-longer-than-all-that-could-be-known-to-s3-"
        "or-to-anybody=1",
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        assert_int_equal(parse(rows[i]), S3C_MISS);
    }
}


static void
what_is_too_long_has_none(void **state)
{
    char  query[4096];

    (void) state;

    memset(query, 'a', sizeof(query));
    memcpy(query, "prefix=", 7);
    query[1500] = '\0';
    assert_int_equal(parse(query), S3C_OK);
    query[1500] = 'a';
    query[4000] = '\0';
    assert_int_equal(parse(query), S3C_MISS);
}


static void
assert_dirs(const char *key, const char *last, unsigned n)
{
    s3c_slice_t  dirs[S3C_S3_LIST_DIRS];

    assert_int_equal(s3c_s3_list_dirs(text(key), dirs), n);
    assert_int_equal(dirs[0].len, 0);
    assert_slice(dirs[n - 1], last);
}


static void
a_key_lies_in_all_directories_above_it(void **state)
{
    s3c_slice_t  dirs[S3C_S3_LIST_DIRS];

    (void) state;

    assert_dirs("", "", 1);
    assert_dirs("a", "", 1);
    assert_dirs("a/", "a/", 2);
    assert_dirs("a/b", "a/", 2);
    assert_dirs("/", "/", 2);
    assert_dirs("a//b", "a//", 3);
    assert_dirs("1/2/3/4/5/6/7/8/x", "1/2/3/4/5/6/7/8/", 9);
    assert_dirs("1/2/3/4/5/6/7/8/9/x", "1/2/3/4/5/6/7/8/", 9);

    assert_int_equal(s3c_s3_list_dirs(text("a/b/c"), dirs), 3);
    assert_slice(dirs[1], "a/");
    assert_slice(dirs[2], "a/b/");
}


static void
names_that_no_key_can_have_are_no_directories(void **state)
{
    char  key[S3C_S3_LIST_DIR_BYTES + 10];

    (void) state;

    memset(key, 'a', sizeof(key));
    key[sizeof(key) - 1] = '\0';
    key[S3C_S3_LIST_DIR_BYTES] = '/';
    assert_dirs(key, "", 1);
    key[S3C_S3_LIST_DIR_BYTES - 1] = '/';
    key[S3C_S3_LIST_DIR_BYTES] = '\0';
    assert_dirs(key, key, 2);
}


static void
only_a_whole_document_is_one(void **state)
{
    static const struct {
        const char  *document;
        bool         is_whole;
    } rows[] = {
        { "<ListBucketResult><Name>b</Name></ListBucketResult>", true },
        { "<ListBucketResult xmlns=\"u\"></ListBucketResult>\n", true },
        { "<?xml version=\"1.0\"?>\n<ListBucketResult\n>"
          "</ListBucketResult>", true },
        { "\xef\xbb\xbf<?xml version=\"1.0\"?><ListBucketResult>"
          "</ListBucketResult> \r\n\t", true },
        { "", false },
        { "\xef\xbb\xbf", false },
        { "<ListBucketResult", false },
        { "<ListBucketResult/>", false },
        { "</ListBucketResult>", false },
        { "<ListBucketResult></ListBucketResult", false },
        { "<ListBucketResult><Name>b</Name>", false },
        { "<ListBucketResults></ListBucketResult>", false },
        { "<?xml version=\"1.0\"", false },
        { "<?xml version=\"1.0\"?>", false },
        { "<Error><Code>InternalError</Code></Error>", false },
        { "<ListVersionsResult></ListVersionsResult>", false },
        { "x<ListBucketResult></ListBucketResult>", false },
        { "<ListBucketResult></ListBucketResult>x", false },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        assert_int_equal(s3c_s3_list_is_whole(text(rows[i].document)),
                         rows[i].is_whole);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_page_has_one_name_however_it_is_asked_for),
        cmocka_unit_test(what_is_no_plain_list_has_none),
        cmocka_unit_test(what_is_too_long_has_none),
        cmocka_unit_test(a_key_lies_in_all_directories_above_it),
        cmocka_unit_test(names_that_no_key_can_have_are_no_directories),
        cmocka_unit_test(only_a_whole_document_is_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
