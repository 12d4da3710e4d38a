/* SPDX-License-Identifier: Apache-2.0
 *
 * The UTF-8 reader, on every code point and every pair of bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "s3/s3_utf8.h"


static size_t
encode(uint32_t cp, uint8_t out[4])
{
    if (cp < 0x80) {
        out[0] = (uint8_t) cp;
        return 1;
    }

    if (cp < 0x800) {
        out[0] = (uint8_t) (0xc0 | cp >> 6);
        out[1] = (uint8_t) (0x80 | (cp & 0x3f));
        return 2;
    }

    if (cp < 0x10000) {
        out[0] = (uint8_t) (0xe0 | cp >> 12);
        out[1] = (uint8_t) (0x80 | (cp >> 6 & 0x3f));
        out[2] = (uint8_t) (0x80 | (cp & 0x3f));
        return 3;
    }

    out[0] = (uint8_t) (0xf0 | cp >> 18);
    out[1] = (uint8_t) (0x80 | (cp >> 12 & 0x3f));
    out[2] = (uint8_t) (0x80 | (cp >> 6 & 0x3f));
    out[3] = (uint8_t) (0x80 | (cp & 0x3f));

    return 4;
}


static void
every_code_point_but_surrogates_is_read(void **state)
{
    (void) state;

    for (uint32_t cp = 0; cp < 0x120000; cp++) {
        bool      valid = cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff);
        size_t    len;
        uint8_t   bytes[4];
        uint32_t  back = 0;

        len = encode(cp, bytes);
        assert_int_equal(s3c_s3_utf8_step(s3c_slice(bytes, len), 0, &back),
                         valid ? len : 0);

        if (valid) {
            assert_int_equal(back, cp);
        }

        if (len > 1) {
            assert_int_equal(s3c_s3_utf8_step(s3c_slice(bytes, len - 1), 0,
                                              &back), 0);
        }
    }
}


static void
two_bytes_are_a_character_in_one_form_only(void **state)
{
    unsigned  n = 0;

    (void) state;

    for (unsigned v = 0; v < 0x10000; v++) {
        uint8_t   bytes[2] = { (uint8_t) (v >> 8), (uint8_t) v };
        uint32_t  cp;

        n += s3c_s3_utf8_step(s3c_slice(bytes, 2), 0, &cp) == 2;
    }

    assert_int_equal(n, 0x800 - 0x80);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(every_code_point_but_surrogates_is_read),
        cmocka_unit_test(two_bytes_are_a_character_in_one_form_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
