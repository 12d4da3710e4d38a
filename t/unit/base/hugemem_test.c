/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/hugemem.h"


static void
a_mapping_is_aligned_zero_and_can_be_written(void **state)
{
    const size_t   bytes = 5u << 20;     /* rounded up to 6 MiB */
    uint8_t       *p = s3c_hugemem_map(bytes);

    (void) state;
    assert_non_null(p);
    assert_int_equal((uintptr_t) p % S3C_HUGEMEM_ALIGN, 0);

    for (size_t i = 0; i < 6u << 20; i += 4096) {
        assert_int_equal(p[i], 0);
        p[i] = 1;
    }

    s3c_hugemem_unmap(p, bytes);
    s3c_hugemem_unmap(NULL, bytes);
}


static void
what_rests_is_zero_again(void **state)
{
    uint8_t  *p = s3c_hugemem_map(2 * S3C_HUGEMEM_ALIGN);

    (void) state;
    assert_non_null(p);
    memset(p, 7, 2 * S3C_HUGEMEM_ALIGN);
    s3c_hugemem_rest(p, S3C_HUGEMEM_ALIGN);
    assert_int_equal(p[0], 0);
    assert_int_equal(p[S3C_HUGEMEM_ALIGN - 1], 0);
    assert_int_equal(p[S3C_HUGEMEM_ALIGN], 7);
    s3c_hugemem_unmap(p, 2 * S3C_HUGEMEM_ALIGN);
}


static void
what_cannot_be_had_is_null(void **state)
{
    (void) state;
    assert_null(s3c_hugemem_map((size_t) 1 << 62));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_mapping_is_aligned_zero_and_can_be_written),
        cmocka_unit_test(what_rests_is_zero_again),
        cmocka_unit_test(what_cannot_be_had_is_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
