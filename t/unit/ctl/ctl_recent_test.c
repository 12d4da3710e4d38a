/* SPDX-License-Identifier: Apache-2.0
 *
 * The latency of now: of which samples and tiers, and of what a node says that
 * is no history.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/ctl_recent.h"

#define MS(n)  ((n) / 1e3)


/* Seconds, of a zone's "first_byte". */
static double
p99(const char *first_byte, uint64_t sampled)
{
    char     text[8192];
    double   s;
    json_t  *zone;

    (void) snprintf(text, sizeof(text), "{\"first_byte\": %s}", first_byte);
    assert_int_equal(ctl_json_parse(&zone, s3c_slice(text, strlen(text))),
                     S3C_OK);
    s = ctl_recent_p99(zone, sampled);
    json_decref(zone);

    return s;
}


static void
is_within(double s, double low, double high)
{
    assert_true(s > low);
    assert_true(s <= high);
}


static void
places_are_powers_of_two_from_16_usec(void **state)
{
    (void) state;
    is_within(p99("{\"ram\": [[0, 5]]}", 16), 0, 16e-6);
    is_within(p99("{\"ram\": [[6, 5]]}", 16), 512e-6, 1024e-6);
    is_within(p99("{\"ram\": [[0, 5, 0, 7]]}", 16), 32e-6, 64e-6);
    is_within(p99("{\"flash\": [0, [7, 5], 0]}", 16), MS(1.024), MS(2.048));
}


static void
what_memory_answered_counts_as_often_as_it_was(void **state)
{
    (void) state;
    /* 1 of 100 of flash is slow: but 1 of 1600 of all is */
    is_within(p99("{\"ram\": [[0, 99]], \"flash\": [[10, 2]]}", 1),
              MS(8), MS(16.4));
    is_within(p99("{\"ram\": [[0, 99]], \"flash\": [[10, 2]]}", 16), 0, 16e-6);
    is_within(p99("{\"mirror\": [[0, 99]], \"peer\": [[10, 2]]}", 16),
              0, 16e-6);
    /* a node that says nonsense is taken to time all */
    is_within(p99("{\"ram\": [[0, 99]], \"flash\": [[10, 2]]}", 0),
              MS(8), MS(16.4));
    is_within(p99("{\"ram\": [[0, 99]], \"flash\": [[10, 2]]}", UINT64_MAX),
              MS(8), MS(16.4));
}


static void
only_ten_samples_count_and_only_hits(void **state)
{
    (void) state;
    is_within(p99("{\"ram\": [[12, 999], 0, 0, 0, 0, 0, 0, 0, 0, 0, [0, 1]]}",
                  16), 0, 16e-6);
    is_within(p99("{\"ram\": [[12, 999], 0, 0, 0, 0, 0, 0, 0, 0, [0, 1]]}",
                  16), MS(32), MS(65.6));
    is_within(p99("{\"origin\": [[12, 9]], \"pass\": [[12, 9]], "
                  "\"joined\": [[12, 9]], \"ram\": [[0, 1]]}", 16), 0, 16e-6);
}


static void
without_a_hit_it_is_not_known(void **state)
{
    static const char *const  none[] = {
        "0", "null", "[]", "{}", "{\"ram\": 0}", "{\"ram\": []}",
        "{\"ram\": [0, 0]}", "{\"ram\": [[]]}", "{\"ram\": [[3]]}",
        "{\"ram\": [[3, 0]]}", "{\"ram\": [{\"a\": 1}]}",
        "{\"ram\": [[3, -1, \"9\", 1.5, null]]}", "{\"ram\": [[-1, 9]]}",
        "{\"ram\": [[25, 9]]}", "{\"ram\": [[9223372036854775807, 9]]}",
        "{\"ram\": [[0, 9223372036854775807]]}",
    };

    (void) state;
    assert_true(ctl_recent_p99(NULL, 16) < 0);

    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        assert_true(p99(none[i], 16) < 0);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(places_are_powers_of_two_from_16_usec),
        cmocka_unit_test(what_memory_answered_counts_as_often_as_it_was),
        cmocka_unit_test(only_ten_samples_count_and_only_hits),
        cmocka_unit_test(without_a_hit_it_is_not_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
