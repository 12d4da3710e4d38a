/* SPDX-License-Identifier: Apache-2.0
 *
 * Conditions against RFC 9110 13 and AWS's table of answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/http_precond.h"

#define LEN(a)     (sizeof(a) / sizeof((a)[0]))
#define PASS       S3C_PRECOND_PASS
#define NOT_MOD    S3C_PRECOND_NOT_MODIFIED
#define FAIL_IM    S3C_PRECOND_FAILED_MATCH
#define FAIL_IUS   S3C_PRECOND_FAILED_UNMODIFIED_SINCE

/* the object: "abc", modified at NOW */
#define BEFORE     "Sun, 06 Nov 1994 08:49:36 GMT"
#define NOW        "Sun, 06 Nov 1994 08:49:37 GMT"
#define AFTER      "Sun, 06 Nov 1994 08:49:38 GMT"
#define NOW_SEC    784111777


typedef struct {
    const char            *im, *inm, *ims, *ius;
    s3c_precond_result_t   result;
} row_t;


static s3c_slice_t
text(const char *s)
{
    return s ? s3c_slice(s, strlen(s)) : S3C_SLICE_NONE;
}


static void
check_rows(const row_t *rows, size_t n, const char *etag, int64_t modified)
{
    for (size_t i = 0; i < n; i++) {
        s3c_precond_t         cond = {
            .if_match = text(rows[i].im),
            .if_none_match = text(rows[i].inm),
            .if_modified_since = text(rows[i].ims),
            .if_unmodified_since = text(rows[i].ius),
        };
        s3c_precond_result_t  result;

        result = s3c_http_precond_check(&cond, text(etag), modified);

        if (result != rows[i].result) {
            fail_msg("row %zu: %d instead of %d", i, result, rows[i].result);
        }
    }
}


static void
one_condition_decides_alone(void **state)
{
    static const row_t  rows[] = {
        { NULL, NULL, NULL, NULL, PASS },
        { "\"abc\"", NULL, NULL, NULL, PASS },
        { "\"xyz\"", NULL, NULL, NULL, FAIL_IM },
        { NULL, "\"abc\"", NULL, NULL, NOT_MOD },
        { NULL, "\"xyz\"", NULL, NULL, PASS },
        { NULL, NULL, BEFORE, NULL, PASS },
        { NULL, NULL, NOW, NULL, NOT_MOD },
        { NULL, NULL, AFTER, NULL, NOT_MOD },
        { NULL, NULL, NULL, BEFORE, FAIL_IUS },
        { NULL, NULL, NULL, NOW, PASS },
        { NULL, NULL, NULL, AFTER, PASS },
    };

    (void) state;
    check_rows(rows, LEN(rows), "\"abc\"", NOW_SEC);
}


static void
the_order_is_that_of_the_rfc(void **state)
{
    static const row_t  rows[] = {
        /* a true If-Match: If-Unmodified-Since is not looked at */
        { "\"abc\"", NULL, NULL, BEFORE, PASS },
        { "\"abc\"", NULL, NULL, AFTER, PASS },
        /* a false one fails whatever the date */
        { "\"xyz\"", NULL, NULL, AFTER, FAIL_IM },
        { "\"xyz\"", NULL, NULL, BEFORE, FAIL_IM },
        /* If-None-Match without match: If-Modified-Since is not looked at */
        { NULL, "\"xyz\"", NOW, NULL, PASS },
        { NULL, "\"xyz\"", BEFORE, NULL, PASS },
        { NULL, "\"abc\"", BEFORE, NULL, NOT_MOD },
        { NULL, "\"abc\"", AFTER, NULL, NOT_MOD },
        /* 412 before 304 */
        { "\"xyz\"", "\"abc\"", NULL, NULL, FAIL_IM },
        { "\"xyz\"", NULL, NOW, NULL, FAIL_IM },
        { NULL, "\"abc\"", NULL, BEFORE, FAIL_IUS },
        { NULL, NULL, NOW, BEFORE, FAIL_IUS },
        /* both may be true */
        { "\"abc\"", "\"abc\"", NULL, NULL, NOT_MOD },
        { "\"abc\"", "\"xyz\"", NULL, NULL, PASS },
        { "\"abc\"", NULL, NOW, NULL, NOT_MOD },
        { "\"abc\"", NULL, BEFORE, BEFORE, PASS },
        { NULL, NULL, NOW, NOW, NOT_MOD },
        { NULL, NULL, BEFORE, NOW, PASS },
        { "\"abc\"", "\"xyz\"", NOW, BEFORE, PASS },
        { "\"abc\"", "\"abc\"", BEFORE, BEFORE, NOT_MOD },
    };

    (void) state;
    check_rows(rows, LEN(rows), "\"abc\"", NOW_SEC);
}


static void
etags_come_in_lists_weak_bare_and_as_a_star(void **state)
{
    static const row_t  rows[] = {
        { "*", NULL, NULL, NULL, PASS },
        { NULL, "*", NULL, NULL, NOT_MOD },
        { " * ", NULL, NULL, NULL, PASS },
        { "\"*\"", NULL, NULL, NULL, FAIL_IM },
        /* S3: with or without quotes */
        { "abc", NULL, NULL, NULL, PASS },
        { "xyz", NULL, NULL, NULL, FAIL_IM },
        { "ABC", NULL, NULL, NULL, FAIL_IM },
        { "ab", NULL, NULL, NULL, FAIL_IM },
        { "abcd", NULL, NULL, NULL, FAIL_IM },
        { NULL, "abc", NULL, NULL, NOT_MOD },
        /* If-Match is strong, If-None-Match weak */
        { "W/\"abc\"", NULL, NULL, NULL, FAIL_IM },
        { NULL, "W/\"abc\"", NULL, NULL, NOT_MOD },
        { NULL, "w/\"abc\"", NULL, NULL, PASS },
        /* lists */
        { "\"x\", \"abc\"", NULL, NULL, NULL, PASS },
        { "\"x\",\"abc\",\"y\"", NULL, NULL, NULL, PASS },
        { "\"x\"\t, abc", NULL, NULL, NULL, PASS },
        { ",, \"abc\" ,", NULL, NULL, NULL, PASS },
        { "\"x\", \"y\"", NULL, NULL, NULL, FAIL_IM },
        { NULL, "\"x\", W/\"abc\"", NULL, NULL, NOT_MOD },
        { "W/\"abc\", \"abc\"", NULL, NULL, NULL, PASS },
        /* a comma inside quotes parts nothing */
        { "\"x,abc\"", NULL, NULL, NULL, FAIL_IM },
        { "\"x,\"abc\"", NULL, NULL, NULL, FAIL_IM },
        /* nothing in it: absent */
        { "", "", "", "", PASS },
        { "  ", NULL, NULL, NULL, PASS },
        { "", NULL, NULL, BEFORE, FAIL_IUS },
        { NULL, "", NOW, NULL, NOT_MOD },
        { ",", NULL, NULL, NULL, FAIL_IM },
        { "\"\"", NULL, NULL, NULL, FAIL_IM },
    };

    (void) state;
    check_rows(rows, LEN(rows), "\"abc\"", NOW_SEC);
}


static void
an_etag_may_hold_a_comma(void **state)
{
    static const row_t  rows[] = {
        { "\"a,b\"", NULL, NULL, NULL, PASS },
        { "\"x\", \"a,b\"", NULL, NULL, NULL, PASS },
        { "a,b", NULL, NULL, NULL, FAIL_IM },
    };

    (void) state;
    check_rows(rows, LEN(rows), "\"a,b\"", NOW_SEC);
}


static void
a_weak_etag_never_matches_strongly(void **state)
{
    static const row_t  rows[] = {
        { "W/\"abc\"", NULL, NULL, NULL, FAIL_IM },
        { "\"abc\"", NULL, NULL, NULL, FAIL_IM },
        { "*", NULL, NULL, NULL, PASS },
        { NULL, "\"abc\"", NULL, NULL, NOT_MOD },
        { NULL, "W/\"abc\"", NULL, NULL, NOT_MOD },
    };

    (void) state;
    check_rows(rows, LEN(rows), "W/\"abc\"", NOW_SEC);
}


static void
without_etag_or_date_there_is_nothing_to_compare(void **state)
{
    static const row_t  rows[] = {
        { "\"abc\"", NULL, NULL, NULL, FAIL_IM },
        { "\"\"", NULL, NULL, NULL, FAIL_IM },
        { "*", NULL, NULL, NULL, PASS },
        { NULL, "\"abc\"", NULL, NULL, PASS },
        { NULL, "\"\"", NULL, NULL, PASS },
        { NULL, NULL, AFTER, NULL, PASS },
        { NULL, NULL, NULL, BEFORE, PASS },
    };

    (void) state;
    check_rows(rows, LEN(rows), "", -1);
}


static void
a_date_that_cannot_be_read_is_ignored(void **state)
{
    static const row_t  rows[] = {
        { NULL, NULL, "yesterday", NULL, PASS },
        { NULL, NULL, NULL, "0", PASS },
        { NULL, NULL, "Sun, 31 Feb 1994 08:49:37 GMT", NULL, PASS },
        { NULL, NULL, NOW, "yesterday", NOT_MOD },
        { NULL, NULL, "Sunday, 06-Nov-94 08:49:37 GMT", NULL, NOT_MOD },
        { NULL, NULL, "Sun Nov  6 08:49:37 1994", NULL, NOT_MOD },
        { NULL, NULL, "Fri, 31 Dec 9999 23:59:59 GMT", NULL, NOT_MOD },
    };

    (void) state;
    check_rows(rows, LEN(rows), "\"abc\"", NOW_SEC);
}


static void
if_range_compares_strongly_and_exactly(void **state)
{
    static const struct {
        const char  *value;
        const char  *etag;
        int64_t      modified;
        bool         passes;
    } rows[] = {
        { NULL, "\"abc\"", NOW_SEC, true },
        { "", "\"abc\"", NOW_SEC, true },
        { "\"abc\"", "\"abc\"", NOW_SEC, true },
        { "abc", "\"abc\"", NOW_SEC, true },
        { "\"xyz\"", "\"abc\"", NOW_SEC, false },
        { "W/\"abc\"", "\"abc\"", NOW_SEC, false },
        { "W/\"abc\"", "W/\"abc\"", NOW_SEC, false },
        { "\"abc\"", "W/\"abc\"", NOW_SEC, false },
        { "*", "\"abc\"", NOW_SEC, false },
        { NOW, "\"abc\"", NOW_SEC, true },
        { BEFORE, "\"abc\"", NOW_SEC, false },
        { AFTER, "\"abc\"", NOW_SEC, false },
        { NOW, "\"abc\"", -1, false },
        { "Wed, 31 Dec 1969 23:59:59 GMT", "\"abc\"", -1, false },
        { "garbage", "\"abc\"", NOW_SEC, false },
        { "\"\"", "", NOW_SEC, false },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        if (s3c_http_if_range_passes(text(rows[i].value), text(rows[i].etag),
                                     rows[i].modified) != rows[i].passes)
        {
            fail_msg("row %zu: %s", i, rows[i].value);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(one_condition_decides_alone),
        cmocka_unit_test(the_order_is_that_of_the_rfc),
        cmocka_unit_test(etags_come_in_lists_weak_bare_and_as_a_star),
        cmocka_unit_test(an_etag_may_hold_a_comma),
        cmocka_unit_test(a_weak_etag_never_matches_strongly),
        cmocka_unit_test(without_etag_or_date_there_is_nothing_to_compare),
        cmocka_unit_test(a_date_that_cannot_be_read_is_ignored),
        cmocka_unit_test(if_range_compares_strongly_and_exactly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
