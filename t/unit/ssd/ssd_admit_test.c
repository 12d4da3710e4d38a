/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of src/ssd/ssd_admit.c, with a handle made by hand and a clock that
 * is a number.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ssd/ssd_internal.h"

#define BUDGET   (1000u * 1000)          /* a second */
#define BUCKET   (10 * (int64_t) BUDGET)
#define BUCKETS  4096                    /* of the index: size of the ghost */

typedef struct {
    s3c_ssd_t            ssd;
    uint64_t             seed;
} tier_t;


static uint64_t
rng_next(uint64_t *state)
{
    uint64_t  z = *state += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;

    return z ^ z >> 31;
}


static s3c_hash128_t
key_next(tier_t *t)
{
    return (s3c_hash128_t) { .lo = rng_next(&t->seed),
                             .hi = rng_next(&t->seed) };
}


static void
tier_open(tier_t *t, uint32_t n_stores, uint64_t budget)
{
    memset(t, 0, sizeof(*t));
    t->ssd.n_stores = n_stores;
    t->ssd.n_buckets = BUCKETS;
    t->ssd.stores = calloc(n_stores, sizeof(*t->ssd.stores));
    t->ssd.ghost = calloc(BUCKETS, sizeof(*t->ssd.ghost));
    t->ssd.now_ms = 5000000;
    assert_non_null(t->ssd.stores);
    assert_non_null(t->ssd.ghost);

    for (uint32_t i = 0; i < n_stores; i++) {
        t->ssd.stores[i].conf.bytes = 64u << 20;
        t->ssd.stores[i].conf.budget = budget;
        t->ssd.stores[i].tokens = (int64_t) (10 * budget);
        t->ssd.stores[i].tokens_ms = t->ssd.now_ms;
    }
}


static void
tier_close(tier_t *t)
{
    free(t->ssd.stores);
    free((void *) t->ssd.ghost);
}


static void
without_a_budget_everything_is_taken(void **state)
{
    tier_t  t;

    (void) state;
    tier_open(&t, 1, 0);

    for (int i = 0; i < 10000; i++) {
        assert_int_equal(s3c_ssd_admit(&t.ssd, 0, key_next(&t), 1u << 20),
                         S3C_OK);
        s3c_ssd_charge(&t.ssd, 0, 1u << 20);
    }

    tier_close(&t);
}


static void
below_half_a_key_has_to_come_twice(void **state)
{
    tier_t         t;
    s3c_hash128_t  a, b, zero = { 0, 0 };

    (void) state;
    tier_open(&t, 2, BUDGET);
    a = key_next(&t);
    b = key_next(&t);

    for (int i = 0; i < 5; i++) {
        assert_int_equal(s3c_ssd_admit(&t.ssd, 0, key_next(&t), BUDGET),
                         S3C_OK);
    }

    assert_int_equal(t.ssd.stores[0].tokens, BUCKET / 2);
    assert_int_equal(s3c_ssd_admit(&t.ssd, 0, a, 100), S3C_DENIED);
    assert_int_equal(s3c_ssd_admit(&t.ssd, 0, b, 100), S3C_DENIED);
    assert_int_equal(s3c_ssd_admit(&t.ssd, 0, a, 100), S3C_OK);
    assert_int_equal(s3c_ssd_admit(&t.ssd, 0, b, 100), S3C_OK);
    assert_int_equal(t.ssd.stores[0].tokens, BUCKET / 2 - 200);

    /* The print 0 is nobody's: an empty ghost does not know it. */
    assert_int_equal(s3c_ssd_admit(&t.ssd, 0, zero, 100), S3C_DENIED);
    assert_int_equal(s3c_ssd_admit(&t.ssd, 0, zero, 100), S3C_OK);

    /* A reclaimed record's key is known at once; another store is not short. */
    a = key_next(&t);
    s3c_ssd_ghost_add(&t.ssd, a);
    assert_int_equal(s3c_ssd_admit(&t.ssd, 0, a, 100), S3C_OK);
    assert_int_equal(s3c_ssd_admit(&t.ssd, 1, key_next(&t), 100), S3C_OK);

    /* More than half again: everything. */
    t.ssd.now_ms += 1000;
    assert_int_equal(s3c_ssd_admit(&t.ssd, 0, key_next(&t), 100), S3C_OK);
    tier_close(&t);
}


static void
with_no_token_left_nothing_is_taken(void **state)
{
    tier_t         t;
    s3c_hash128_t  a;

    (void) state;
    tier_open(&t, 1, BUDGET);
    a = key_next(&t);
    s3c_ssd_ghost_add(&t.ssd, a);
    s3c_ssd_charge(&t.ssd, 0, BUCKET);
    assert_int_equal(t.ssd.stores[0].tokens, 0);
    assert_int_equal(s3c_ssd_admit(&t.ssd, 0, a, 1), S3C_DENIED);

    s3c_ssd_charge(&t.ssd, 0, 15 * BUDGET);
    assert_int_equal(s3c_ssd_admit(&t.ssd, 0, a, 1), S3C_DENIED);
    t.ssd.now_ms += 15000;
    assert_int_equal(s3c_ssd_admit(&t.ssd, 0, a, 1), S3C_DENIED);
    t.ssd.now_ms += 1;
    assert_int_equal(s3c_ssd_admit(&t.ssd, 0, a, 1u << 20), S3C_OK);
    assert_true(t.ssd.stores[0].tokens < 0);
    assert_int_equal(s3c_ssd_admit(&t.ssd, 0, a, 1), S3C_DENIED);

    /* A clock that stands or lags adds nothing; a long silence one bucket. */
    t.ssd.now_ms -= 100;
    assert_int_equal(s3c_ssd_admit(&t.ssd, 0, a, 1), S3C_DENIED);
    t.ssd.now_ms += 1ull << 40;
    s3c_ssd_charge(&t.ssd, 0, 0);
    assert_int_equal(t.ssd.stores[0].tokens, BUCKET);
    tier_close(&t);
}


/* Whatever the steps of the clock: not more than the budget, and, with enough
 * to write, not noticeably less. */
static void
run_long(uint64_t budget, uint32_t step_ms, uint64_t size)
{
    tier_t         t;
    uint64_t       begun, written = 0, may;
    s3c_hash128_t  key;

    tier_open(&t, 1, budget);
    begun = t.ssd.now_ms;
    key = key_next(&t);
    s3c_ssd_ghost_add(&t.ssd, key);

    for (uint32_t i = 0; i < 200000; i++) {
        t.ssd.now_ms += rng_next(&t.seed) % (2 * step_ms + 1);

        for (int n = 0; n < 4
             && s3c_ssd_admit(&t.ssd, 0, key, size) == S3C_OK; n++)
        {
            written += size;
        }

        may = (t.ssd.now_ms - begun) * budget / 1000 + 10 * budget;
        assert_true(written <= may + size);
    }

    assert_true(written + 10 * budget >= may - may / 1000);
    tier_close(&t);
}


static void
in_the_long_run_no_more_is_written_than_the_budget(void **state)
{
    (void) state;
    run_long(BUDGET, 20, 64 << 10);
    run_long(BUDGET, 1, 4096);
    run_long(1234567, 3, 2345678);
    run_long(1500, 1, 512);              /* fractions of a byte a tick */
    run_long(999, 1, 512);
    run_long(1ull << 33, 7, 32 << 20);
}


static void
a_store_gets_keys_by_its_size(void **state)
{
    tier_t                 t;
    uint32_t               n[5] = { 0 }, first, keys = 100000;
    uint64_t               sum = 0;
    double                 want;
    s3c_hash128_t          key;
    static const uint64_t  gib[] = { 100, 200, 16384, 100, 3000 };

    (void) state;
    tier_open(&t, 5, 0);

    for (int i = 0; i < 5; i++) {
        t.ssd.stores[i].conf.bytes = gib[i] << 30;
        sum += gib[i];
    }

    for (uint32_t i = 0; i < keys; i++) {
        key = key_next(&t);
        first = s3c_ssd_store_of(&t.ssd, key);
        assert_true(first < 5);
        assert_int_equal(s3c_ssd_store_of(&t.ssd, key), first);
        n[first]++;
    }

    for (int i = 0; i < 5; i++) {        /* within 2 % of all keys.. */
        want = (double) keys * (double) gib[i] / (double) sum;
        assert_true(n[i] > want - 0.02 * keys && n[i] < want + 0.02 * keys);
        /* ..and five times what chance explains */
        assert_true((n[i] - want) * (n[i] - want) < 25 * want);
    }

    for (int i = 0; i < 5; i++) {        /* 2 % of its own share, if equal */
        t.ssd.stores[i].conf.bytes = 1ull << 40;
        n[i] = 0;
    }

    for (uint32_t i = 0; i < keys; i++) {
        n[s3c_ssd_store_of(&t.ssd, key_next(&t))]++;
    }

    for (int i = 0; i < 5; i++) {
        assert_in_range(n[i], keys / 5 * 98 / 100, keys / 5 * 102 / 100);
    }

    key = (s3c_hash128_t) { UINT64_MAX, UINT64_MAX };
    assert_int_equal(s3c_ssd_store_of(&t.ssd, key), 4);
    t.ssd.n_stores = 1;
    assert_int_equal(s3c_ssd_store_of(&t.ssd, key), 0);
    tier_close(&t);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(without_a_budget_everything_is_taken),
        cmocka_unit_test(below_half_a_key_has_to_come_twice),
        cmocka_unit_test(with_no_token_left_nothing_is_taken),
        cmocka_unit_test(in_the_long_run_no_more_is_written_than_the_budget),
        cmocka_unit_test(a_store_gets_keys_by_its_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
