/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of an inventory, and lines of nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/ctl_inventory.h"


static void
becomes(const char *line, const char *expected)
{
    char          text[8192];
    s3c_writer_t  w;

    s3c_writer_init(&w, text, sizeof(text) - 1);
    assert_int_equal(ctl_inventory_line(s3c_slice(line, strlen(line)), &w),
                     S3C_OK);
    *w.pos = '\0';
    assert_string_equal(text, expected);
}


static void
bucket_and_key_become_a_line(void **state)
{
    (void) state;
    becomes("b,k", "b/k\n");
    becomes("\"b\",\"k\"", "b/k\n");
    becomes("\"b\",\"a+b%2Fc%0a\",\"12\",\"x,y\"\r", "b/a%20b/c%0A\n");
    becomes("b,%E4%2B,", "b/%E4%2B\n");
    becomes("b,a#b", "b/a%23b\n");
}


static void
other_lines_are_refused(void **state)
{
    char          text[8192];
    s3c_writer_t  w;
    static const char *const  wrong[] = {
        "b", "b,", ",k", "\"b,k", "\"b\"x,k", "b\"c,k", "b,\"k", "b,%",
        "b,%zz", "b c,k", "b/c,k", "b%20,k", "#b,k", "\x1b,k", "\"\",k",
        "b,\"k\"\"l\""
    };

    (void) state;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        s3c_writer_init(&w, text, sizeof(text));

        if (ctl_inventory_line(s3c_slice(wrong[i], strlen(wrong[i])), &w)
            != S3C_INVALID)
        {
            fail_msg("%s was taken", wrong[i]);
        }
    }

    s3c_writer_init(&w, text, sizeof(text));
    assert_int_equal(ctl_inventory_line(S3C_SLICE_NONE, &w), S3C_MISS);
    assert_int_equal(ctl_inventory_line(S3C_SLICE("\r"), &w), S3C_MISS);

    memset(text, 'k', 1027);
    memcpy(text, "b,", 2);

    for (size_t len = 1026; len <= 1027; len++) {
        char  out[8192];

        s3c_writer_init(&w, out, sizeof(out));
        assert_int_equal(ctl_inventory_line(s3c_slice(text, len), &w),
                         len == 1026 ? S3C_OK : S3C_INVALID);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(bucket_and_key_become_a_line),
        cmocka_unit_test(other_lines_are_refused)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
