/* SPDX-License-Identifier: Apache-2.0
 *
 * The arithmetic of the histograms.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stats/stats.h"


static void
observe(s3c_hist_sums_t *sums, uint64_t usec, uint64_t n)
{
    sums->place[s3c_hist_place(usec)] += n;
    sums->count += n;
}


static void
a_bound_belongs_to_its_own_place(void **state)
{
    (void) state;

    assert_int_equal(s3c_hist_bound_usec(0), 16);
    assert_int_equal(s3c_hist_bound_usec(S3C_HIST_BUCKETS - 1), 1u << 27);

    for (uint32_t i = 0; i < S3C_HIST_BUCKETS; i++) {
        assert_int_equal(s3c_hist_place(s3c_hist_bound_usec(i)), i);
        assert_int_equal(s3c_hist_place(s3c_hist_bound_usec(i) + 1), i + 1);
    }
}


static void
the_ends_of_the_range_have_a_place(void **state)
{
    (void) state;

    assert_int_equal(s3c_hist_place(0), 0);
    assert_int_equal(s3c_hist_place(1), 0);
    assert_int_equal(s3c_hist_place(UINT64_MAX), S3C_HIST_BUCKETS);
}


static void
a_quantile_of_nothing_is_zero(void **state)
{
    s3c_hist_sums_t  sums = { 0 };

    (void) state;

    assert_int_equal(s3c_hist_quantile_usec(&sums, 50), 0);
}


static void
a_quantile_lies_within_the_place_of_its_rank(void **state)
{
    s3c_hist_sums_t  sums = { 0 };

    (void) state;

    observe(&sums, 100, 90);       /* 64..128 */
    observe(&sums, 1000, 9);       /* 512..1024 */
    observe(&sums, 50000, 1);      /* 32768..65536 */

    assert_in_range(s3c_hist_quantile_usec(&sums, 1), 64, 66);
    assert_int_equal(s3c_hist_quantile_usec(&sums, 45), 96);
    assert_int_equal(s3c_hist_quantile_usec(&sums, 90), 128);
    assert_in_range(s3c_hist_quantile_usec(&sums, 91), 513, 1024);
    assert_int_equal(s3c_hist_quantile_usec(&sums, 99), 1024);
    assert_int_equal(s3c_hist_quantile_usec(&sums, 100), 65536);
}


static void
quantiles_never_fall_as_the_percentage_rises(void **state)
{
    uint64_t         last = 0;
    s3c_hist_sums_t  sums = { 0 };

    (void) state;

    for (uint32_t i = 0; i <= S3C_HIST_BUCKETS; i += 3) {
        observe(&sums, UINT64_C(16) << i, i * i + 1);
    }

    for (uint32_t percent = 0; percent <= 100; percent++) {
        uint64_t  usec = s3c_hist_quantile_usec(&sums, percent);

        assert_true(usec >= last);
        last = usec;
    }
}


static void
a_quantile_never_passes_the_last_bound(void **state)
{
    s3c_hist_sums_t  sums = { 0 };

    (void) state;

    observe(&sums, UINT64_MAX, 1000);
    assert_int_equal(s3c_hist_quantile_usec(&sums, 50), 1u << 27);
    assert_int_equal(s3c_hist_quantile_usec(&sums, 100), 1u << 27);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_bound_belongs_to_its_own_place),
        cmocka_unit_test(the_ends_of_the_range_have_a_place),
        cmocka_unit_test(a_quantile_of_nothing_is_zero),
        cmocka_unit_test(a_quantile_lies_within_the_place_of_its_rank),
        cmocka_unit_test(quantiles_never_fall_as_the_percentage_rises),
        cmocka_unit_test(a_quantile_never_passes_the_last_bound)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
