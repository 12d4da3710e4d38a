/* SPDX-License-Identifier: Apache-2.0
 *
 * Foreign text as it is shown, and how wide it is.
 */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/ctl_text.h"


static void
shows(const char *text, const char *expected)
{
    char         all[1024];
    size_t       len = 0;
    s3c_slice_t  rest = s3c_slice(text, strlen(text));

    while (rest.len > 0) {
        len += ctl_text_next(&rest, all + len);
    }

    all[len] = '\0';
    assert_string_equal(all, expected);
}


static void
controls_are_never_shown_as_they_are(void **state)
{
    s3c_slice_t  nul = S3C_SLICE("\0");
    char         shown[CTL_TEXT_CHAR_MAX];

    (void) state;

    for (int utf8 = 0; utf8 < 2; utf8++) {
        ctl_text_utf8(utf8);
        shows("a b~", "a b~");
        shows("\x1b[2J\x07\r\n\t\x7f", "\\x1b[2J\\x07\\x0d\\x0a\\x09\\x7f");
        shows("a\\x1b", "a\\\\x1b");
        /* C1 as a byte and in UTF-8, directions, no width, a mark of bytes */
        shows("\x9b" "2J", "\\x9b2J");
        shows("\xc2\x9b" "2J", "\\xc2\\x9b2J");
        shows("\xe2\x80\xae", "\\xe2\\x80\\xae");
        shows("\xe2\x81\xa6", "\\xe2\\x81\\xa6");
        shows("\xe2\x80\x8b", "\\xe2\\x80\\x8b");
        shows("\xef\xbb\xbf", "\\xef\\xbb\\xbf");
        shows("\xf3\xa0\x80\x81", "\\xf3\\xa0\\x80\\x81");
        /* no UTF-8: overlong, a surrogate, beyond the end, cut */
        shows("\xc0\x80", "\\xc0\\x80");
        shows("\xe0\x80\x9b", "\\xe0\\x80\\x9b");
        shows("\xed\xa0\x80", "\\xed\\xa0\\x80");
        shows("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
        shows("\xf5", "\\xf5");
        shows("\xe2\x82", "\\xe2\\x82");
        shows("\xc3" "A", "\\xc3A");
        assert_int_equal(ctl_text_next(&nul, shown), 4);
        assert_memory_equal(shown, "\\x00", 4);
        nul = S3C_SLICE("\0");
    }

    ctl_text_utf8(true);
    shows("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
          "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    ctl_text_utf8(false);
    shows("\xc3\xa4", "\\xc3\\xa4");
}


static void
width_is_that_of_a_terminal(void **state)
{
    (void) state;
    assert_non_null(setlocale(LC_ALL, "C.UTF-8"));
    assert_int_equal(ctl_text_width(""), 0);
    assert_int_equal(ctl_text_width("abc"), 3);
    assert_int_equal(ctl_text_width("\xc3\xa4" "b"), 2);
    assert_int_equal(ctl_text_width("\xe6\x97\xa5"), 2);
    assert_int_equal(ctl_text_fit("abc", 2), 2);
    assert_int_equal(ctl_text_fit("abc", 9), 3);
    assert_int_equal(ctl_text_fit("\xe6\x97\xa5" "b", 1), 0);
    assert_int_equal(ctl_text_fit("\xe6\x97\xa5" "b", 2), 3);
    assert_int_equal(ctl_text_fit("\xe6\x97\xa5" "b", 0), 0);
}


static void
numbers_have_units(void **state)
{
    (void) state;
    assert_string_equal(ctl_count(0), "0");
    assert_string_equal(ctl_count(999), "999");
    assert_string_equal(ctl_count(1000), "1,000");
    assert_string_equal(ctl_count(UINT64_MAX), "18,446,744,073,709,551,615");
    assert_string_equal(ctl_bytes(0), "0 B");
    assert_string_equal(ctl_bytes(1023), "1023 B");
    assert_string_equal(ctl_bytes(1024), "1.00 KiB");
    assert_string_equal(ctl_bytes(1536 << 20), "1.50 GiB");
    assert_string_equal(ctl_bytes(1023 << 10), "1.00 MiB");
    assert_string_equal(ctl_bytes(UINT64_MAX), "16.0 EiB");
    assert_string_equal(ctl_rate(0), "0");
    assert_string_equal(ctl_rate(0.25), "0.2");
    assert_string_equal(ctl_rate(12345), "12.3k");
    assert_string_equal(ctl_byte_rate(2048), "2.00 KiB/s");
    assert_string_equal(ctl_share(1, 3), "33.3 %");
    assert_string_equal(ctl_share(9999, 10000), "99.9 %");
    assert_string_equal(ctl_share(1, 1), "100.0 %");
    assert_string_equal(ctl_share(0, 0), "-");
    assert_string_equal(ctl_seconds(-1), "-");
    assert_string_equal(ctl_seconds(0.00005), "50 us");
    assert_string_equal(ctl_seconds(0.0125), "12.5 ms");
    assert_string_equal(ctl_seconds(2.5), "2.5 s");
    assert_string_equal(ctl_span(59), "59s");
    assert_string_equal(ctl_span(61), "1m 01s");
    assert_string_equal(ctl_span(7500), "2h 05m");
    assert_string_equal(ctl_span(90000), "1d 01h");
}


static void
numbers_are_read_strictly(void **state)
{
    double    s;
    uint64_t  n;
    static const char *const  sizes[] = {
        "", "-1", " 1", "1 k", "k", "1x", "1kk", "0x10", "inf", "nan", "1e99",
        "1ib", "1ki", "99999e"
    };
    static const char *const  times[] = {
        "", "-1", "1y", "0x1", "inf", "1 s", "400d", "1e9"
    };

    (void) state;
    assert_true(ctl_size_parse("7", &n) && n == 7);
    assert_true(ctl_size_parse("500k", &n) && n == 500 * 1024);
    assert_true(ctl_size_parse("1.5GiB", &n) && n == 1536ull << 20);
    assert_true(ctl_size_parse("2MB", &n) && n == 2 << 20);
    assert_true(ctl_size_parse("9b", &n) && n == 9);
    assert_true(ctl_time_parse("1.5", &s) && s == 1.5);
    assert_true(ctl_time_parse("2m", &s) && s == 120);
    assert_true(ctl_time_parse("500ms", &s) && s == 0.5);
    assert_true(ctl_number_parse("18446744073709551615", &n)
                && n == UINT64_MAX);
    assert_false(ctl_number_parse("18446744073709551616", &n));
    assert_false(ctl_number_parse("-1", &n));
    assert_false(ctl_number_parse("1.5", &n));
    assert_false(ctl_number_parse("", &n));

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (ctl_size_parse(sizes[i], &n)) {
            fail_msg("size \"%s\" was taken", sizes[i]);
        }
    }

    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        if (ctl_time_parse(times[i], &s)) {
            fail_msg("time \"%s\" was taken", times[i]);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(controls_are_never_shown_as_they_are),
        cmocka_unit_test(width_is_that_of_a_terminal),
        cmocka_unit_test(numbers_have_units),
        cmocka_unit_test(numbers_are_read_strictly)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
