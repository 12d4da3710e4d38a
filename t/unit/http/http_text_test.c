/* SPDX-License-Identifier: Apache-2.0
 *
 * Character classes and comma lists.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/http_text.h"


static void
the_classes_have_their_members(void **state)
{
    unsigned  n_token = 0, n_text = 0, n_hex = 0;

    (void) state;

    for (unsigned c = 0; c < 256; c++) {
        n_token += s3c_http_is_token((uint8_t) c);
        n_text += s3c_http_is_text((uint8_t) c);
        n_hex += s3c_http_hex((uint8_t) c) >= 0;
    }

    assert_int_equal(n_token, 26 + 26 + 10 + 15);
    assert_int_equal(n_text, 256 - 32 - 1 + 1);
    assert_int_equal(n_hex, 10 + 6 + 6);

    assert_false(s3c_http_is_token('\0'));
    assert_false(s3c_http_is_token(':'));
    assert_false(s3c_http_is_token(0x80));
    assert_true(s3c_http_is_text('\t'));
    assert_true(s3c_http_is_text(0x80));
    for (int v = 0; v < 16; v++) {
        assert_int_equal(s3c_http_hex((uint8_t) "0123456789abcdef"[v]), v);
        assert_int_equal(s3c_http_hex((uint8_t) "0123456789ABCDEF"[v]), v);
    }

    assert_int_equal(s3c_http_hex('0' | 0x80), -1);
    assert_int_equal(s3c_http_hex(0x10), -1);
    assert_int_equal(s3c_http_hex('@'), -1);
    assert_int_equal(s3c_http_hex('`'), -1);
}


static void
a_list_is_taken_apart_at_its_commas(void **state)
{
    s3c_slice_t  list = S3C_SLICE(" a ,,b\t, c d "), element;

    (void) state;

    assert_true(s3c_http_list_next(&list, &element));
    assert_true(s3c_slice_eq(element, S3C_SLICE("a")));
    assert_true(s3c_http_list_next(&list, &element));
    assert_int_equal(element.len, 0);
    assert_true(s3c_http_list_next(&list, &element));
    assert_true(s3c_slice_eq(element, S3C_SLICE("b")));
    assert_true(s3c_http_list_next(&list, &element));
    assert_true(s3c_slice_eq(element, S3C_SLICE("c d")));
    assert_false(s3c_http_list_next(&list, &element));

    list = S3C_SLICE_NONE;
    assert_false(s3c_http_list_next(&list, &element));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(the_classes_have_their_members),
        cmocka_unit_test(a_list_is_taken_apart_at_its_commas),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
