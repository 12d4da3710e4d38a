/* SPDX-License-Identifier: Apache-2.0
 *
 * The names of the statuses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/status.h"

#include <string.h>


static void
every_status_has_a_name_of_its_own(void **state)
{
    (void) state;

    for (int i = S3C_OK; i <= S3C_TIMEOUT; i++) {
        const char  *name = s3c_status_name((s3c_status_t) i);

        assert_true(strlen(name) > 0);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz"),
                         strlen(name));
        assert_string_not_equal(name, "unknown");

        for (int k = S3C_OK; k < i; k++) {
            assert_string_not_equal(name, s3c_status_name((s3c_status_t) k));
        }
    }
}


static void
a_value_that_is_none_is_unknown(void **state)
{
    (void) state;
    assert_string_equal(s3c_status_name((s3c_status_t) 999), "unknown");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(every_status_has_a_name_of_its_own),
        cmocka_unit_test(a_value_that_is_none_is_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
