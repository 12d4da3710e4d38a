/* SPDX-License-Identifier: Apache-2.0
 *
 * Range against AWS's answers for objects of 100 and of 0 bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/http_range.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))
#define WHOLE   S3C_RANGE_WHOLE
#define PART    S3C_RANGE_PART
#define UNSAT   S3C_RANGE_UNSATISFIABLE


typedef struct {
    const char          *value;
    s3c_range_result_t   result;
    uint64_t             first, last;
} row_t;


static void
check_rows(const row_t *rows, size_t n, uint64_t total)
{
    for (size_t i = 0; i < n; i++) {
        const char          *value = rows[i].value;
        uint64_t             first = 77, last = 77;
        s3c_range_spec_t     spec;
        s3c_range_result_t   result;

        spec = s3c_http_range_parse(s3c_slice(value, strlen(value)));
        result = s3c_http_range_resolve(&spec, total, &first, &last);

        if (result != rows[i].result
            || (result == PART
                && (first != rows[i].first || last != rows[i].last)))
        {
            fail_msg("'%s' of %llu: %d, %llu-%llu", value,
                     (unsigned long long) total, result,
                     (unsigned long long) first, (unsigned long long) last);
        }

        if (result == WHOLE && total > 0
            && (first != 0 || last != total - 1))
        {
            fail_msg("'%s': whole, but %llu-%llu", value,
                     (unsigned long long) first, (unsigned long long) last);
        }
    }
}


static void
one_range_of_100_bytes_is_answered_as_aws_does(void **state)
{
    static const row_t  rows[] = {
        { "bytes=0-3", PART, 0, 3 },
        { "bytes=50-", PART, 50, 99 },
        { "bytes=0-", PART, 0, 99 },
        { "bytes=-5", PART, 95, 99 },
        { "bytes=0-999999", PART, 0, 99 },
        { "bytes=0-100", PART, 0, 99 },
        { "bytes=-1000", PART, 0, 99 },
        { "bytes=-100", PART, 0, 99 },
        { "bytes=00-01", PART, 0, 1 },
        { "bytes=99-99", PART, 99, 99 },
        { "Bytes=1-2", PART, 1, 2 },           /* RFC 9110 14.1 */
        { "  bytes=1-2\t", PART, 1, 2 },
        { "bytes=100-", UNSAT, 0, 0 },
        { "bytes=100-110", UNSAT, 0, 0 },
        { "bytes=100-100", UNSAT, 0, 0 },
        { "bytes=-0", UNSAT, 0, 0 },
        { "bytes=-000", UNSAT, 0, 0 },
    };

    (void) state;
    check_rows(rows, LEN(rows), 100);
}


static void
what_aws_ignores_gives_the_whole(void **state)
{
    static const row_t  rows[] = {
        { "", WHOLE, 0, 0 },
        { "bytes", WHOLE, 0, 0 },
        { "bytes=", WHOLE, 0, 0 },
        { "bytes=-", WHOLE, 0, 0 },
        { "bytes=5-2", WHOLE, 0, 0 },
        { "bytes=abc", WHOLE, 0, 0 },
        { "bytes=a-z", WHOLE, 0, 0 },
        { "bytes=,", WHOLE, 0, 0 },
        { "bytes=--1", WHOLE, 0, 0 },
        { "bytes=0--1", WHOLE, 0, 0 },
        { "bytes= -1", WHOLE, 0, 0 },
        { "bytes=0 -1", WHOLE, 0, 0 },
        { "bytes=0-1 ,", WHOLE, 0, 0 },
        { "bytes=+1-2", WHOLE, 0, 0 },
        { "bytes=0x0-0x1", WHOLE, 0, 0 },
        { "bytes =0-1", WHOLE, 0, 0 },
        { "items=0-3", WHOLE, 0, 0 },
        { "bytes=0-0,5-6", WHOLE, 0, 0 },
        { "bytes=0-0,", WHOLE, 0, 0 },
        { "bytes=0", WHOLE, 0, 0 },
        { "bytes=1-2-3", WHOLE, 0, 0 },
    };

    (void) state;
    check_rows(rows, LEN(rows), 100);
    check_rows(rows, LEN(rows), 0);
}


static void
an_empty_object_has_no_part(void **state)
{
    static const row_t  rows[] = {
        { "bytes=0-", UNSAT, 0, 0 },
        { "bytes=0-0", UNSAT, 0, 0 },
        { "bytes=00-01", UNSAT, 0, 0 },
        { "bytes=-0", UNSAT, 0, 0 },
        { "bytes=-1", WHOLE, 0, 0 },
        { "bytes=-18446744073709551616", WHOLE, 0, 0 },
    };

    (void) state;
    check_rows(rows, LEN(rows), 0);
}


static void
numbers_past_64_bits_clamp(void **state)
{
    static const row_t  rows[] = {
        { "bytes=0-18446744073709551615", PART, 0, 99 },
        { "bytes=0-18446744073709551616", PART, 0, 99 },
        { "bytes=0-99999999999999999999999999999999", PART, 0, 99 },
        { "bytes=-18446744073709551616", PART, 0, 99 },
        { "bytes=000000000000000000000000000000098-", PART, 98, 99 },
        { "bytes=18446744073709551616-", UNSAT, 0, 0 },
        { "bytes=18446744073709551616-18446744073709551617", UNSAT, 0, 0 },
        { "bytes=18446744073709551616-1", WHOLE, 0, 0 },
    };

    (void) state;
    check_rows(rows, LEN(rows), 100);
}


static void
the_largest_object_has_a_last_byte(void **state)
{
    static const row_t  rows[] = {
        { "bytes=-1", PART, UINT64_MAX - 1, UINT64_MAX - 1 },
        { "bytes=18446744073709551614-", PART, UINT64_MAX - 1,
          UINT64_MAX - 1 },
        { "bytes=18446744073709551615-", UNSAT, 0, 0 },
    };

    (void) state;
    check_rows(rows, LEN(rows), UINT64_MAX);
}


static void
a_content_range_is_read_strictly(void **state)
{
    static const struct {
        const char    *value;
        s3c_status_t   st;
        uint64_t       first, last, total;
    } rows[] = {
        { "bytes 0-3/100", S3C_OK, 0, 3, 100 },
        { "bytes 99-99/100", S3C_OK, 99, 99, 100 },
        { "Bytes 0-0/1", S3C_OK, 0, 0, 1 },
        { "bytes */100", S3C_OK, 1, 0, 100 },
        { "bytes */0", S3C_OK, 1, 0, 0 },
        { "bytes 0-18446744073709551614/18446744073709551615", S3C_OK,
          0, UINT64_MAX - 1, UINT64_MAX },
        { "bytes 0-3/*", S3C_INVALID, 0, 0, 0 },
        { "bytes */*", S3C_INVALID, 0, 0, 0 },
        { "bytes 0-100/100", S3C_INVALID, 0, 0, 0 },
        { "bytes 0-0/0", S3C_INVALID, 0, 0, 0 },
        { "bytes 3-0/100", S3C_INVALID, 0, 0, 0 },
        { "bytes 0-3", S3C_INVALID, 0, 0, 0 },
        { "bytes 0-3/", S3C_INVALID, 0, 0, 0 },
        { "bytes 0-3/100 ,", S3C_INVALID, 0, 0, 0 },
        { "bytes 0-3/100, bytes 0-3/100", S3C_INVALID, 0, 0, 0 },
        { "bytes  0-3/100", S3C_INVALID, 0, 0, 0 },
        { "bytes 0 -3/100", S3C_INVALID, 0, 0, 0 },
        { "bytes=0-3/100", S3C_INVALID, 0, 0, 0 },
        { "bytes -3/100", S3C_INVALID, 0, 0, 0 },
        { "bytes 3-/100", S3C_INVALID, 0, 0, 0 },
        { "0-3/100", S3C_INVALID, 0, 0, 0 },
        { "items 0-3/100", S3C_INVALID, 0, 0, 0 },
        { "bytes *", S3C_INVALID, 0, 0, 0 },
        { "bytes ", S3C_INVALID, 0, 0, 0 },
        { "", S3C_INVALID, 0, 0, 0 },
        { "bytes 0-3/18446744073709551616", S3C_INVALID, 0, 0, 0 },
        { "bytes 0-18446744073709551616/18446744073709551617", S3C_INVALID,
          0, 0, 0 },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        const char    *v = rows[i].value;
        uint64_t       first = 0, last = 0, total = 0;
        s3c_status_t   st;

        st = s3c_http_content_range_parse(s3c_slice(v, strlen(v)), &first,
                                          &last, &total);

        if (st != rows[i].st || first != rows[i].first
            || last != rows[i].last || total != rows[i].total)
        {
            fail_msg("'%s': %s", v, s3c_status_name(st));
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(one_range_of_100_bytes_is_answered_as_aws_does),
        cmocka_unit_test(what_aws_ignores_gives_the_whole),
        cmocka_unit_test(an_empty_object_has_no_part),
        cmocka_unit_test(numbers_past_64_bits_clamp),
        cmocka_unit_test(the_largest_object_has_a_last_byte),
        cmocka_unit_test(a_content_range_is_read_strictly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
