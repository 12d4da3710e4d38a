/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of what is read most: found among many others, forgotten when it is
 * over, never shown half-written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "stats/stats_hot.h"

static s3c_stats_hot_sh_t  hot;
static s3c_stats_hot_t     top[S3C_STATS_HOT_PLACES];


static int
setup(void **state)
{
    (void) state;
    memset(&hot, 0, sizeof(hot));

    return 0;
}


static void
read_key(unsigned number)
{
    char           name[32];
    uint8_t        secret[S3C_HASH_SECRET_BYTES] = { 7 };
    s3c_hash128_t  key;

    for (size_t i = 0; i < sizeof(secret); i++) {
        secret[i] = (uint8_t) (i * 37 + 11);
    }

    snprintf(name, sizeof(name), "key%u", number);
    key = s3c_hash128(secret, name, strlen(name));
    s3c_stats_hot_read(&hot, key, S3C_SLICE("bkt"),
                       s3c_slice(name, strlen(name)));
}


static uint32_t
shown(uint32_t max)
{
    uint64_t  ms;

    return s3c_stats_hot_top(&hot, 1000, top, max, &ms);
}


static void
assert_name(const s3c_stats_hot_t *one, const char *name)
{
    assert_true(s3c_slice_eq(s3c_slice(one->name, one->name_len),
                             s3c_slice(name, strlen(name))));
}


static void
hot_names_stand_out_of_a_hundred_thousand(void **state)
{
    (void) state;

    for (unsigned i = 0; i < 200000; i++) {
        read_key(1000 + i % 100000);

        if (i % 10 == 0) {
            read_key(1);
        }

        if (i % 40 == 0) {
            read_key(2);
        }
    }

    assert_int_equal(shown(2), 2);
    assert_name(&top[0], "bkt/key1");
    assert_name(&top[1], "bkt/key2");
    assert_in_range(top[0].reads, 15000, 20000);
    assert_in_range(top[1].reads, 1500, 5000);
}


static void
what_is_read_once_has_the_count_of_one(void **state)
{
    (void) state;

    for (unsigned i = 0; i < 20000; i++) {
        read_key(i);
    }

    assert_int_equal(shown(1), 1);
    assert_int_equal(top[0].reads, 1);
}


static void
what_becomes_hot_displaces_what_is_not(void **state)
{
    (void) state;

    for (unsigned i = 0; i < 12000; i++) {
        read_key(10 + i % 3000);
    }

    for (unsigned i = 0; i < 100; i++) {
        read_key(1);
    }

    assert_int_equal(shown(1), 1);
    assert_name(&top[0], "bkt/key1");
    assert_in_range(top[0].reads, 70, 100);
}


static void
counts_are_of_two_minutes(void **state)
{
    uint64_t  ms;

    (void) state;

    for (unsigned i = 0; i < 5; i++) {
        read_key(1);
    }

    s3c_stats_hot_turn(&hot, 500);
    read_key(1);
    assert_int_equal(shown(10), 1);
    assert_int_equal(top[0].reads, 6);
    assert_int_equal(s3c_stats_hot_top(&hot, 2500, top, 1, &ms), 1);
    assert_int_equal(ms, 2000);
    s3c_stats_hot_turn(&hot, 60500);
    assert_int_equal(s3c_stats_hot_top(&hot, 61500, top, 1, &ms), 1);
    assert_int_equal(ms, 61000);
    assert_int_equal(shown(10), 1);
    assert_int_equal(top[0].reads, 1);
    s3c_stats_hot_turn(&hot, 120500);
    assert_int_equal(shown(10), 0);
}


static void
they_come_hottest_first(void **state)
{
    (void) state;

    for (unsigned key = 1; key <= 20; key++) {
        for (unsigned i = 0; i < key; i++) {
            read_key(key);
        }
    }

    assert_int_equal(shown(7), 7);

    for (unsigned i = 0; i < 7; i++) {
        assert_int_equal(top[i].reads, 20 - i);
    }

    assert_int_equal(shown(0), 0);
}


static void
a_long_name_is_cut(void **state)
{
    char           name[1024];
    s3c_hash128_t  key = { 5, 6 };

    (void) state;
    memset(name, 'x', sizeof(name));
    s3c_stats_hot_read(&hot, key, S3C_SLICE("bkt"),
                       s3c_slice(name, sizeof(name)));
    assert_int_equal(shown(1), 1);
    assert_int_equal(top[0].name_len, S3C_STATS_HOT_NAME);
    assert_memory_equal(top[0].name, "bkt/xxx", 7);
}


static void
a_torn_name_is_not_shown(void **state)
{
    (void) state;
    read_key(1);
    assert_int_equal(shown(1), 1);

    for (size_t i = 0; i < S3C_STATS_HOT_PLACES; i++) {
        if (atomic_load(&hot.place[i].key) != 0) {
            atomic_fetch_xor(&hot.place[i].name[0], 1);
        }
    }

    assert_int_equal(shown(1), 0);
}


int
main(void)
{
#define T(f)  cmocka_unit_test_setup(f, setup)
    const struct CMUnitTest  tests[] = {
        T(hot_names_stand_out_of_a_hundred_thousand),
        T(what_is_read_once_has_the_count_of_one),
        T(what_becomes_hot_displaces_what_is_not),
        T(counts_are_of_two_minutes),
        T(they_come_hottest_first),
        T(a_long_name_is_cut),
        T(a_torn_name_is_not_shown)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
