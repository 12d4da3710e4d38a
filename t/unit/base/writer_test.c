/* SPDX-License-Identifier: Apache-2.0
 *
 * The bounded writer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/writer.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))


static void
what_is_written_is_appended(void **state)
{
    uint8_t       buf[64];
    s3c_writer_t  w;

    (void) state;

    s3c_writer_init(&w, buf, sizeof(buf));
    assert_int_equal(s3c_writer_slice(&w).len, 0);

    s3c_write_lit(&w, "a");
    s3c_write_slice(&w, S3C_SLICE("bc"));
    s3c_write_slice(&w, S3C_SLICE_NONE);
    s3c_write_bytes(&w, NULL, 0);
    s3c_write_byte(&w, 'd');
    s3c_write_str(&w, "ef");
    s3c_write_str(&w, "");
    s3c_write_hex(&w, "\x00\x7f\xff", 3);
    s3c_write_lower(&w, S3C_SLICE("AZ@[`az{\xc3"));
    s3c_write_lower(&w, S3C_SLICE_NONE);

    assert_true(s3c_writer_ok(&w));
    assert_true(s3c_slice_eq(s3c_writer_slice(&w),
                             S3C_SLICE("abcdef007fffaz@[`az{\xc3")));
}


static void
numbers_are_decimal(void **state)
{
    static const struct {
        uint64_t     v;
        const char  *text;
    } rows[] = {
        { 0, "0" }, { 9, "9" }, { 10, "10" }, { 1000000, "1000000" },
        { UINT64_MAX, "18446744073709551615" },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        uint8_t       buf[20];
        s3c_slice_t   want = s3c_slice(rows[i].text, strlen(rows[i].text));
        s3c_writer_t  w;

        s3c_writer_init(&w, buf, want.len);
        s3c_write_u64(&w, rows[i].v);
        assert_true(s3c_writer_ok(&w));
        assert_true(s3c_slice_eq(s3c_writer_slice(&w), want));
    }
}


static void
an_overflow_sticks_and_nothing_is_cut_in_two(void **state)
{
    uint8_t       buf[5] = { 0, 0, 0, 0, 0x55 };
    s3c_writer_t  w;

    (void) state;

    s3c_writer_init(&w, buf, 4);
    s3c_write_lit(&w, "abc");
    s3c_write_lit(&w, "de");
    assert_false(s3c_writer_ok(&w));
    assert_int_equal(s3c_writer_slice(&w).len, 3);

    /* room for one byte, but it would no longer be the next one */
    s3c_write_byte(&w, 'f');
    assert_false(s3c_writer_ok(&w));
    assert_int_equal(s3c_writer_slice(&w).len, 3);
    assert_int_equal(buf[4], 0x55);

    s3c_writer_init(&w, buf, 3);
    s3c_write_hex(&w, "ab", 2);
    assert_false(s3c_writer_ok(&w));
    assert_int_equal(s3c_writer_slice(&w).len, 0);

    s3c_writer_init(&w, buf, 3);
    s3c_write_lower(&w, S3C_SLICE("ABCD"));
    assert_false(s3c_writer_ok(&w));
    assert_int_equal(s3c_writer_slice(&w).len, 0);
    assert_memory_equal(buf, "abc", 3);
}


static void
a_full_writer_takes_nothing_more_without_complaint(void **state)
{
    uint8_t       buf[1];
    s3c_writer_t  w;

    (void) state;

    s3c_writer_init(&w, buf, 0);
    s3c_write_lit(&w, "");
    assert_true(s3c_writer_ok(&w));
    s3c_write_byte(&w, 'a');
    assert_false(s3c_writer_ok(&w));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(what_is_written_is_appended),
        cmocka_unit_test(numbers_are_decimal),
        cmocka_unit_test(an_overflow_sticks_and_nothing_is_cut_in_two),
        cmocka_unit_test(a_full_writer_takes_nothing_more_without_complaint),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
