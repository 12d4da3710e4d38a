/* SPDX-License-Identifier: Apache-2.0
 *
 * What an operator may ask to be purged, and every way to ask it wrongly.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "serve/purge_ask.h"

static s3c_purge_ask_t  ask;
static const char      *why;


static void
taken(const char *query, s3c_purge_kind_t kind, const char *bucket,
    const char *key, const char *version, const char *zone)
{
    /* a copy of just its size: a read past its end is seen */
    size_t    len = strlen(query);
    uint8_t  *copy = malloc(len);

    memcpy(copy, query, len);
    assert_int_equal(s3c_purge_ask_parse(&ask, s3c_slice(copy, len), &why),
                     S3C_OK);
    free(copy);
    assert_null(why);
    assert_int_equal(ask.kind, kind);
    assert_true(s3c_slice_eq(ask.bucket, s3c_slice(bucket, strlen(bucket))));
    assert_true(s3c_slice_eq(ask.key, s3c_slice(key, strlen(key))));
    assert_true(s3c_slice_eq(ask.version, s3c_slice(version,
                                                    strlen(version))));
    assert_true(s3c_slice_eq(ask.zone, s3c_slice(zone, strlen(zone))));
}


static void
refused(const char *query, const char *words)
{
    assert_int_equal(s3c_purge_ask_parse(&ask, s3c_slice(query,
                                                         strlen(query)),
                                         &why), S3C_INVALID);
    assert_non_null(why);

    if (strstr(why, words) == NULL) {
        fail_msg("%s: \"%s\", not \"%s\"", query, why, words);
    }
}


static void
each_kind_is_taken(void **state)
{
    (void) state;
    taken("purge=key&bucket=b&key=k", S3C_PURGE_KEY, "b", "k", "", "");
    taken("purge=key&bucket=b&key=k&versionId=v1&zone=hot", S3C_PURGE_KEY, "b",
          "k", "v1", "hot");
    taken("purge=prefix&bucket=b&prefix=p/", S3C_PURGE_PREFIX, "b", "p/", "",
          "");
    taken("prefix=&zone=z&bucket=b&purge=prefix", S3C_PURGE_PREFIX, "b", "", "",
          "z");
    taken("purge=prefix&bucket=b&prefix", S3C_PURGE_PREFIX, "b", "", "", "");
    taken("purge=bucket&bucket=b", S3C_PURGE_BUCKET, "b", "", "", "");
    taken("purge=all", S3C_PURGE_ALL, "", "", "", "");
    taken("purge=all&zone=a%20b", S3C_PURGE_ALL, "", "", "", "a b");
    assert_string_equal(s3c_purge_kind_name(S3C_PURGE_KEY), "key");
    assert_string_equal(s3c_purge_kind_name(S3C_PURGE_ALL), "all");
}


static void
values_are_decoded_once(void **state)
{
    (void) state;
    taken("purge=key&bucket=b&key=a%2Fb%20c%2525%26%3D%2B%C3%A4",
          S3C_PURGE_KEY, "b", "a/b c%25&=+\xc3\xa4", "", "");
    taken("purge=key&bucket=b&key=a=b/=", S3C_PURGE_KEY, "b", "a=b/=", "", "");
    taken("purge=%61ll", S3C_PURGE_ALL, "", "", "", "");
    refused("purge=key&bucket=b&key=a+b", "plus");
    refused("purge=key&bucket=b&key=%", "percent");
    refused("purge=key&bucket=b&key=%4", "percent");
    refused("purge=key&bucket=b&key=a%4g", "percent");
    refused("purge=key&bucket=b&key=%%20", "percent");
}


static void
what_is_missing_or_too_much_is_said(void **state)
{
    (void) state;
    refused("", "purge is missing");
    refused("bucket=b", "purge is missing");
    refused("zone=b", "purge is missing");
    refused("purge", "purge is empty");
    refused("purge=", "purge is empty");
    refused("purge=everything", "is needed");
    refused("purge=All", "is needed");
    refused("purge=none", "is needed");
    refused("purge=12345678901234567", "too long");
    refused("purge=key&bucket=b", "key is missing");
    refused("purge=key&key=b", "bucket is missing");
    refused("purge=prefix&bucket=b", "prefix is missing");
    refused("purge=bucket", "bucket is missing");
    refused("purge=key&bucket=&key=k", "bucket is empty");
    refused("purge=key&bucket=b&key=", "key is empty");
    refused("purge=key&bucket=b&key=k&versionId=", "versionId is empty");
    refused("purge=all&zone=", "zone is empty");
    refused("purge=all&bucket=b", "bucket does not go");
    refused("purge=all&key=k", "key does not go");
    refused("purge=bucket&bucket=b&key=k", "key does not go");
    refused("purge=bucket&bucket=b&prefix=k", "prefix does not go");
    refused("purge=bucket&bucket=b&versionId=k", "versionId does not go");
    refused("purge=prefix&bucket=b&prefix=p&key=k", "key does not go");
    refused("purge=prefix&bucket=b&prefix=p&versionId=k", "versionId does not");
    refused("purge=key&bucket=b&key=k&prefix=p", "prefix does not go");
    refused("purge=all&purge=all", "twice");
    refused("purge=bucket&bucket=a&bucket=b", "twice");
    refused("purge=all&drain=on", "not known");
    refused("purge=all&Zone=z", "not known");
    refused("purge=all&zon%65=z", "not known");
    refused("purge=all&=", "not known");
}


static void
what_is_as_long_as_it_may_be_and_longer(void **state)
{
    static const struct {
        const char  *before;
        size_t       max;
        const char  *words;
    } cases[] = {
        { "purge=bucket&bucket=", S3C_PURGE_BUCKET_MAX, "bucket is too long" },
        { "purge=all&zone=", S3C_PURGE_ZONE_MAX, "zone is too long" },
        { "purge=key&bucket=b&key=", S3C_PURGE_KEY_MAX, "key is too long" },
        { "purge=prefix&bucket=b&prefix=", S3C_PURGE_KEY_MAX,
          "prefix is too long" },
        { "purge=key&bucket=b&key=k&versionId=", S3C_PURGE_VERSION_MAX,
          "versionId is too long" }
    };

    char    query[8192];
    size_t  n;

    (void) state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t more = 0; more < 2; more++) {
            strcpy(query, cases[i].before);
            n = strlen(query);

            for (size_t k = 0; k < cases[i].max + more; k++) {
                memcpy(query + n, "%C3", 4);
                n += 3;
            }

            if (more) {
                refused(query, cases[i].words);

            } else {
                assert_int_equal(s3c_purge_ask_parse(
                                     &ask, s3c_slice(query, n), &why), S3C_OK);
            }
        }
    }

    /* all that may be long, at once */
    strcpy(query, "zone=");
    n = 5;
    memset(query + n, 'z', S3C_PURGE_ZONE_MAX);
    n += S3C_PURGE_ZONE_MAX;
    n += (size_t) sprintf(query + n, "&purge=key&bucket=");
    memset(query + n, 'b', S3C_PURGE_BUCKET_MAX);
    n += S3C_PURGE_BUCKET_MAX;
    n += (size_t) sprintf(query + n, "&key=");
    memset(query + n, 'k', S3C_PURGE_KEY_MAX);
    n += S3C_PURGE_KEY_MAX;
    n += (size_t) sprintf(query + n, "&versionId=");
    memset(query + n, 'v', S3C_PURGE_VERSION_MAX);
    n += S3C_PURGE_VERSION_MAX;
    assert_int_equal(s3c_purge_ask_parse(&ask, s3c_slice(query, n), &why),
                     S3C_OK);
    assert_int_equal(ask.version.len, S3C_PURGE_VERSION_MAX);
    assert_int_equal(ask.version.data[S3C_PURGE_VERSION_MAX - 1], 'v');
    n += (size_t) sprintf(query + n, "&prefix=");
    memset(query + n, 'p', S3C_PURGE_KEY_MAX);
    n += S3C_PURGE_KEY_MAX;
    query[n] = '\0';
    refused(query, "prefix does not go");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(each_kind_is_taken),
        cmocka_unit_test(values_are_decoded_once),
        cmocka_unit_test(what_is_missing_or_too_much_is_said),
        cmocka_unit_test(what_is_as_long_as_it_may_be_and_longer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
