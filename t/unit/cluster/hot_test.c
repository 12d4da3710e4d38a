/* SPDX-License-Identifier: Apache-2.0
 *
 * Which keys are called hot, what they may take, and when they are over.
 */
#include "ring_cases.h"
#include "cluster/hot.h"

#include <pthread.h>

#define MIB  (1ull << 20)


static s3c_hash128_t
key_of(uint64_t n)
{
    uint64_t  seed = n;

    return (s3c_hash128_t) { draw(&seed), draw(&seed) };
}


static s3c_hot_sh_t *
new_hot(void)
{
    s3c_hot_sh_t  *hot = aligned_alloc(64, sizeof(*hot));

    assert_non_null(hot);
    memset(hot, 0, sizeof(*hot));

    return hot;
}


static void
the_rule_follows_the_number_of_owners(void **state)
{
    uint32_t  last = 0;

    (void) state;

    /* 32 N ln N */
    assert_in_range(s3c_hot_rule(2).share, 42, 46);
    assert_in_range(s3c_hot_rule(3).share, 95, 107);
    assert_in_range(s3c_hot_rule(100).share, 14000, 15000);
    assert_in_range(s3c_hot_rule(1024).share, 225000, 230000);
    assert_int_equal(s3c_hot_rule(0).share, s3c_hot_rule(2).share);

    for (uint32_t n = 2; n <= S3C_RING_MEMBERS_MAX; n++) {
        assert_true(s3c_hot_rule(n).share > last);
        last = s3c_hot_rule(n).share;
        assert_true(s3c_hot_rule(n).window <= S3C_HOT_WINDOW_MAX);
        /* a key that is just hot must not be beyond what a counter holds */
        assert_true(2 * s3c_hot_rule(n).window / last <= 32);
    }

    assert_in_range(s3c_hot_rule(UINT32_MAX).share, 1, UINT32_MAX);
}


static void
a_key_with_a_large_share_is_hot_and_others_are_not(void **state)
{
    uint32_t        i, heat, wrong = 0;
    uint64_t        seed = 1;
    s3c_hot_sh_t   *hot = new_hot();
    s3c_hot_rule_t  rule = s3c_hot_rule(10);

    (void) state;

    /* 10 % are of one key, the rest are of 100,000 */
    for (i = 0; i < 20 * rule.window; i++) {
        if (i % 10 == 0) {
            heat = s3c_hot_read(hot, rule, key_of(7), 1000);
            assert_true(heat >= 4 || i < 100);
        } else {
            heat = s3c_hot_read(hot, rule, key_of(1000 + draw(&seed) % 100000),
                                1000);
            wrong += heat > 0;
        }
    }

    assert_true(wrong < i / 1000);
    free(hot);
}


static void
what_was_hot_is_forgotten(void **state)
{
    uint32_t        i;
    uint64_t        seed = 2;
    s3c_hot_sh_t   *hot = new_hot();
    s3c_hot_rule_t  rule = s3c_hot_rule(10);

    (void) state;

    for (i = 0; i < 1000; i++) {
        (void) s3c_hot_read(hot, rule, key_of(7), 1000);
    }

    assert_true(s3c_hot_read(hot, rule, key_of(7), 1000) > 0);

    /* by other reads */
    for (i = 0; i < 12 * rule.window; i++) {
        (void) s3c_hot_read(hot, rule, key_of(draw(&seed)), 1000);
    }

    assert_int_equal(s3c_hot_read(hot, rule, key_of(7), 1000), 0);

    /* and by time */
    for (i = 0; i < 100; i++) {
        (void) s3c_hot_read(hot, rule, key_of(8), 1000);
    }

    assert_true(s3c_hot_read(hot, rule, key_of(8), 1000) > 0);

    for (i = 1; i < 12; i++) {
        (void) s3c_hot_read(hot, rule, key_of(9 + i),
                            1000 + i * (S3C_HOT_PERIOD_MS + 2ull));
    }

    assert_int_equal(s3c_hot_read(hot, rule, key_of(8),
                                  1000 + i * (S3C_HOT_PERIOD_MS + 2ull)), 0);
    free(hot);
}


static void
few_reads_say_nothing(void **state)
{
    s3c_hot_sh_t  *hot = new_hot();

    (void) state;

    for (uint32_t i = 1; i < S3C_HOT_READS_MIN; i++) {
        assert_int_equal(s3c_hot_read(hot, s3c_hot_rule(3), key_of(1), 5), 0);
    }

    assert_true(s3c_hot_read(hot, s3c_hot_rule(3), key_of(1), 5) > 0);
    free(hot);
}


static void *
read_all_day(void *arg)
{
    s3c_hot_sh_t  *hot = arg;

    for (uint32_t i = 0; i < 100000; i++) {
        (void) s3c_hot_read(hot, s3c_hot_rule(3), key_of(i % 50 ? i : 0),
                            1000 + i / 10);
    }

    return NULL;
}


static void
many_may_count_at_once_in_any_state(void **state)
{
    uint64_t        seed = 3;
    pthread_t       thread[4];
    s3c_hot_sh_t   *hot = new_hot();

    (void) state;

    /* whatever a worker that died has left there */
    for (size_t i = 0; i < sizeof(*hot) / 8; i++) {
        ((uint64_t *) hot)[i] = draw(&seed);
    }

    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, read_all_day, hot),
                         0);
    }

    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    }

    memset(hot, 0, sizeof(*hot));
    (void) read_all_day(hot);
    assert_true(s3c_hot_read(hot, s3c_hot_rule(3), key_of(0), 11000) > 0);
    free(hot);
}


/* --- the budget --------------------------------------------------------- */

static void
what_lives_is_never_more_than_the_limit(void **state)
{
    uint64_t              seed = 4, now = 1ull << 40, live, limit = 10 * MIB,
                          most = 0, bytes;
    uint32_t              n = 0, life = 10000, heat;
    s3c_hot_budget_sh_t   budget;
    static struct { uint64_t bytes, until; }  all[20000];

    (void) state;
    memset(&budget, 0, sizeof(budget));

    for (uint32_t i = 0; i < 20000; i++) {
        now += draw(&seed) % 20;
        bytes = draw(&seed) % MIB;
        heat = 1 + draw(&seed) % 8;

        if (s3c_hot_spend(&budget, bytes, limit, heat, life, now)) {
            all[n].bytes = bytes;
            all[n++].until = now + life;
        }

        live = 0;

        for (uint32_t k = n; k-- > 0 && all[k].until > now; /* void */) {
            live += all[k].bytes;
        }

        assert_true(live <= limit);
        assert_true(live <= s3c_hot_spent(&budget, life, now));
        most = live > most ? live : most;
    }

    assert_true(most > limit / 10 * 9);
    assert_true(n > 200);
}


static void
the_hottest_may_use_all_of_it(void **state)
{
    s3c_hot_budget_sh_t  budget;

    (void) state;
    memset(&budget, 0, sizeof(budget));

    assert_false(s3c_hot_spend(&budget, 11, 10, 8, 1000, 5));
    assert_false(s3c_hot_spend(&budget, 51, 100, 1, 1000, 5));
    assert_true(s3c_hot_spend(&budget, 50, 100, 1, 1000, 5));
    assert_false(s3c_hot_spend(&budget, 1, 100, 1, 1000, 5));
    assert_true(s3c_hot_spend(&budget, 25, 100, 3, 1000, 5));
    assert_false(s3c_hot_spend(&budget, 1, 100, 3, 1000, 5));
    assert_true(s3c_hot_spend(&budget, 25, 100, 4, 1000, 5));
    assert_false(s3c_hot_spend(&budget, 1, 100, 15, 1000, 5));
    assert_int_equal(s3c_hot_spent(&budget, 1000, 1005), 100);
    assert_false(s3c_hot_spend(&budget, 1, 100, 15, 1000, 1005));
    /* an eighth of a lifetime later */
    assert_int_equal(s3c_hot_spent(&budget, 1000, 1005 + 125), 0);
    assert_true(s3c_hot_spend(&budget, 50, 100, 1, 1000, 1005 + 125));
}


static void
lifetimes_may_be_short_or_long(void **state)
{
    s3c_hot_budget_sh_t  budget;

    (void) state;

    for (uint32_t life = 1; life <= 3600000; life = life * 3 + 1) {
        memset(&budget, 0, sizeof(budget));
        assert_true(s3c_hot_spend(&budget, 100, 100, 4, life, 1ull << 40));
        assert_false(s3c_hot_spend(&budget, 1, 100, 4, life,
                                   (1ull << 40) + life - 1));
        assert_true(s3c_hot_spend(&budget, 100, 100, 4, life,
                                  (1ull << 40) + life + life / 8 + 9));
    }
}


/* --- when they are over ------------------------------------------------- */

static void
what_is_due_is_taken_once_and_in_order(void **state)
{
    s3c_hash128_t      key;
    s3c_hot_due_sh_t  *due = calloc(1, sizeof(*due));

    (void) state;

    assert_false(s3c_hot_due_take(due, UINT64_MAX, &key));

    for (uint64_t i = 0; i < 100; i++) {
        s3c_hot_due_put(due, key_of(i), 1000 + i);
    }

    for (uint64_t i = 0; i < 100; i++) {
        assert_false(s3c_hot_due_take(due, 999 + i, &key));
        assert_true(s3c_hot_due_take(due, 1000 + i, &key));
        assert_true(s3c_hash128_eq(key, key_of(i)));
    }

    assert_false(s3c_hot_due_take(due, UINT64_MAX, &key));

    /* the oldest are lost */
    for (uint64_t i = 0; i < S3C_HOT_DUE_MAX + 5; i++) {
        s3c_hot_due_put(due, key_of(i), 5000);
    }

    for (uint64_t i = 5; i < S3C_HOT_DUE_MAX + 5; i++) {
        assert_true(s3c_hot_due_take(due, 5000, &key));
        assert_true(s3c_hash128_eq(key, key_of(i)));
    }

    assert_false(s3c_hot_due_take(due, 5000, &key));
    free(due);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(the_rule_follows_the_number_of_owners),
        cmocka_unit_test(a_key_with_a_large_share_is_hot_and_others_are_not),
        cmocka_unit_test(what_was_hot_is_forgotten),
        cmocka_unit_test(few_reads_say_nothing),
        cmocka_unit_test(many_may_count_at_once_in_any_state),
        cmocka_unit_test(what_lives_is_never_more_than_the_limit),
        cmocka_unit_test(the_hottest_may_use_all_of_it),
        cmocka_unit_test(lifetimes_may_be_short_or_long),
        cmocka_unit_test(what_is_due_is_taken_once_and_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
