/* SPDX-License-Identifier: Apache-2.0
 *
 * Dates against values of date(1).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/http_date.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))


static s3c_status_t
parse(const char *text, int64_t *sec)
{
    return s3c_http_date_parse(s3c_slice(text, strlen(text)), sec);
}


static void
the_three_forms_are_read(void **state)
{
    static const struct {
        const char  *text;
        int64_t      sec;
    } rows[] = {
        { "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 },
        { "Sunday, 06-Nov-94 08:49:37 GMT", 784111777 },
        { "Sun Nov  6 08:49:37 1994", 784111777 },
        { "Sun Nov 16 08:49:37 1994", 784975777 },
        { "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
        { "Wed, 31 Dec 1969 23:59:59 GMT", -1 },
        { "Tue, 19 Jan 2038 03:14:08 GMT", 2147483648 },
        { "Fri, 31 Dec 9999 23:59:59 GMT", 253402300799 },
        { "Mon, 01 Jan 0001 00:00:00 GMT", -62135596800 },
        /* leap years, 2000 among them */
        { "Thu, 29 Feb 1996 12:00:00 GMT", 825595200 },
        { "Tue, 29 Feb 2000 00:00:00 GMT", 951782400 },
        { "Wed, 01 Mar 2000 00:00:00 GMT", 951868800 },
        { "Thu, 29 Feb 2024 23:59:59 GMT", 1709251199 },
        { "Sun, 28 Feb 2100 00:00:00 GMT", 4107456000 },
        { "Mon, 01 Mar 2100 00:00:00 GMT", 4107542400 },
        /* two-digit years: 70 is 1970, 69 is 2069 */
        { "Thursday, 01-Jan-70 00:00:00 GMT", 0 },
        { "Tuesday, 31-Dec-69 00:00:00 GMT", 3155673600 },
        { "Saturday, 01-Jan-00 00:00:00 GMT", 946684800 },
        /* a leap second is the next second */
        { "Sat, 31 Dec 2016 23:59:60 GMT", 1483228800 },
        /* the name of the day is not believed */
        { "Mon, 06 Nov 1994 08:49:37 GMT", 784111777 },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        int64_t  sec = -7;

        if (parse(rows[i].text, &sec) != S3C_OK || sec != rows[i].sec) {
            fail_msg("%s: %lld", rows[i].text, (long long) sec);
        }
    }
}


static void
what_is_no_date_is_invalid(void **state)
{
    static const char *const  rows[] = {
        "", " ", "0", "garbage", "784111777", "Sun", "Sun,", "Sunday",
        "1994-11-06T08:49:37Z",
        "Sun, 06 Nov 1994 08:49:37",          /* no zone */
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMTx",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun,  6 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Xxx, 06 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 32 Dec 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 29 Feb 2100 08:49:37 GMT",
        "Sun, 29 Feb 2023 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 08:49:3: GMT",
        "Sun, -6 Nov 1994 08:49:37 GMT",
        "Sun Nov 06 08:49:37 1994 GMT",
        "Sun Nov   6 08:49:37 1994",
        "Sun Nov 6 08:49:37 1994",
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        int64_t  sec;

        if (parse(rows[i], &sec) != S3C_INVALID) {
            fail_msg("'%s' was taken for a date", rows[i]);
        }
    }

    {
        int64_t  sec;

        assert_int_equal(s3c_http_date_parse(S3C_SLICE_NONE, &sec),
                         S3C_INVALID);
    }
}


static void
a_date_is_printed_in_the_fixed_form(void **state)
{
    static const struct {
        int64_t      sec;
        const char  *text;
    } rows[] = {
        { 784111777, "Sun, 06 Nov 1994 08:49:37 GMT" },
        { 0, "Thu, 01 Jan 1970 00:00:00 GMT" },
        { -1, "Wed, 31 Dec 1969 23:59:59 GMT" },
        { 951782400, "Tue, 29 Feb 2000 00:00:00 GMT" },
        { 4107542400, "Mon, 01 Mar 2100 00:00:00 GMT" },
        { 253402300799, "Fri, 31 Dec 9999 23:59:59 GMT" },
        { INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT" },
        { -62135596800, "Mon, 01 Jan 0001 00:00:00 GMT" },
        { INT64_MIN, "Mon, 01 Jan 0001 00:00:00 GMT" },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        uint8_t  out[S3C_HTTP_DATE_BYTES];

        s3c_http_date_print(rows[i].sec, out);

        if (memcmp(out, rows[i].text, sizeof(out)) != 0) {
            fail_msg("%.29s is not %s", (char *) out, rows[i].text);
        }
    }
}


static void
every_day_of_four_centuries_comes_back(void **state)
{
    (void) state;

    for (int64_t sec = -6857222400; sec < 5765126400; sec += 86400 + 61) {
        uint8_t  out[S3C_HTTP_DATE_BYTES];
        int64_t  back;

        s3c_http_date_print(sec, out);
        assert_int_equal(s3c_http_date_parse(s3c_slice(out, sizeof(out)),
                                             &back), S3C_OK);
        assert_true(back == sec);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(the_three_forms_are_read),
        cmocka_unit_test(what_is_no_date_is_invalid),
        cmocka_unit_test(a_date_is_printed_in_the_fixed_form),
        cmocka_unit_test(every_day_of_four_centuries_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
