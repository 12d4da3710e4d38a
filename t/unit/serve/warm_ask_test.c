/* SPDX-License-Identifier: Apache-2.0
 *
 * What an operator may ask of warm-ups, and ways to ask it wrongly.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "serve/warm_ask.h"

static s3c_warm_ask_t  ask;
static const char     *why;


static s3c_status_t
parse(const char *query)
{
    s3c_status_t  st;
    size_t        len = strlen(query);
    uint8_t      *copy = malloc(len + 1);

    memcpy(copy, query, len);
    st = s3c_warm_ask_parse(&ask, s3c_slice(copy, len), &why);
    free(copy);

    return st;
}


static void
taken(const char *query, s3c_warm_ask_kind_t kind)
{
    assert_int_equal(parse(query), S3C_OK);
    assert_int_equal(ask.kind, kind);
    assert_null(why);
}


static void
refused(const char *query, const char *words)
{
    assert_int_equal(parse(query), S3C_INVALID);

    if (strstr(why, words) == NULL) {
        fail_msg("%s: \"%s\", not \"%s\"", query, why, words);
    }
}


static void
each_kind_is_taken(void **state)
{
    (void) state;
    taken("warmup=", S3C_WARM_ASK_ALL);
    taken("warmup", S3C_WARM_ASK_ALL);
    taken("warmup=0123456789abcdef&zone=z", S3C_WARM_ASK_ONE);
    assert_true(s3c_slice_eq(ask.id, S3C_SLICE("0123456789abcdef")));
    assert_true(s3c_slice_eq(ask.zone, S3C_SLICE("z")));
    taken("id=0123456789abcdef&warmup=stop", S3C_WARM_ASK_STOP);
    assert_true(s3c_slice_eq(ask.id, S3C_SLICE("0123456789abcdef")));
    taken("warmup=list&mode=evict", S3C_WARM_ASK_LIST);
    assert_int_equal(ask.mode, S3C_WARM_EVICT);
    assert_int_equal(ask.concurrency, S3C_WARM_CONC);
    assert_int_equal(ask.rate, 0);
    taken("warmup=prefix&bucket=b%20c&prefix=&mode=warm&concurrency=256"
          "&rate=999999999999999999&origin=http%3a//x", S3C_WARM_ASK_PREFIX);
    assert_true(s3c_slice_eq(ask.bucket, S3C_SLICE("b c")));
    assert_true(s3c_slice_eq(ask.origin, S3C_SLICE("http://x")));
    assert_int_equal(ask.prefix.len, 0);
    assert_int_equal(ask.concurrency, 256);
    assert_int_equal(ask.rate, 999999999999999999);
}


static void
the_rest_is_refused(void **state)
{
    (void) state;
    refused("", "warmup:");
    refused("zone=z", "warmup:");
    refused("warmup=all", "warmup:");
    refused("warmup=0123456789ABCDEF", "warmup:");
    refused("warmup=0123456789abcdef0", "warmup:");
    refused("warmup=list&bucket=b", "go with");
    refused("warmup=&mode=warm", "go with");
    refused("warmup=prefix", "bucket is missing");
    refused("warmup=prefix&bucket=b&id=0123456789abcdef", "go with");
    refused("warmup=stop", "id");
    refused("warmup=stop&id=x", "id");
    refused("warmup=list&mode=Warm", "mode");
    refused("warmup=list&concurrency=0", "concurrency");
    refused("warmup=list&concurrency=0257", "concurrency");
    refused("warmup=list&concurrency=1x", "concurrency");
    refused("warmup=list&rate=1m", "rate");
    refused("warmup=list&rate=9999999999999999999", "rate");
    refused("warmup=list&x=y", "not known");
    refused("warmup=list&warmup=list", "twice");
    refused("warmup=prefix&bucket=a+b", "plus");
    refused("warmup=prefix&bucket=%4", "bucket");
    refused("warmup=prefix&bucket=..", "bucket");
    refused("warmup=prefix&bucket=%2e", "bucket");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(each_kind_is_taken),
        cmocka_unit_test(the_rest_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
