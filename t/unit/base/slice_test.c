/* SPDX-License-Identifier: Apache-2.0
 *
 * Borrowed slices.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/slice.h"


static void
slices_are_equal_by_their_bytes(void **state)
{
    (void) state;

    assert_true(s3c_slice_eq(S3C_SLICE("a\0b"), S3C_SLICE("a\0b")));
    assert_false(s3c_slice_eq(S3C_SLICE("a\0b"), S3C_SLICE("a\0c")));
    assert_false(s3c_slice_eq(S3C_SLICE("a"), S3C_SLICE("ab")));
    assert_false(s3c_slice_eq(S3C_SLICE("a"), S3C_SLICE("A")));
    assert_true(s3c_slice_eq(S3C_SLICE_NONE, S3C_SLICE("")));
    assert_true(s3c_slice_eq(S3C_SLICE_NONE, S3C_SLICE_NONE));
}


static void
only_ascii_letters_lose_their_case(void **state)
{
    (void) state;

    assert_true(s3c_slice_eq_nocase(S3C_SLICE("ETag-Z"),
                                    S3C_SLICE("eTAG-z")));
    assert_true(s3c_slice_eq_nocase(S3C_SLICE_NONE, S3C_SLICE("")));
    assert_false(s3c_slice_eq_nocase(S3C_SLICE("a"), S3C_SLICE("ab")));
    assert_false(s3c_slice_eq_nocase(S3C_SLICE("@"), S3C_SLICE("`")));
    assert_false(s3c_slice_eq_nocase(S3C_SLICE("["), S3C_SLICE("{")));
    assert_false(s3c_slice_eq_nocase(S3C_SLICE("-"), S3C_SLICE("\r")));
    assert_false(s3c_slice_eq_nocase(S3C_SLICE("\xc4"), S3C_SLICE("\xe4")));
}


static void
a_prefix_has_no_case_either(void **state)
{
    (void) state;

    assert_true(s3c_slice_starts_nocase(S3C_SLICE("X-Amz-Meta-a"),
                                        S3C_SLICE("x-amz-meta-")));
    assert_true(s3c_slice_starts_nocase(S3C_SLICE("a"), S3C_SLICE("A")));
    assert_true(s3c_slice_starts_nocase(S3C_SLICE("a"), S3C_SLICE_NONE));
    assert_false(s3c_slice_starts_nocase(S3C_SLICE("a"), S3C_SLICE("ab")));
}


static void
blanks_at_both_ends_are_trimmed(void **state)
{
    (void) state;

    assert_true(s3c_slice_eq(s3c_slice_trim(S3C_SLICE(" \ta b\t ")),
                             S3C_SLICE("a b")));
    assert_true(s3c_slice_eq(s3c_slice_trim(S3C_SLICE("\na\r")),
                             S3C_SLICE("\na\r")));
    assert_int_equal(s3c_slice_trim(S3C_SLICE(" \t ")).len, 0);
    assert_int_equal(s3c_slice_trim(S3C_SLICE_NONE).len, 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(slices_are_equal_by_their_bytes),
        cmocka_unit_test(only_ascii_letters_lose_their_case),
        cmocka_unit_test(a_prefix_has_no_case_either),
        cmocka_unit_test(blanks_at_both_ends_are_trimmed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
