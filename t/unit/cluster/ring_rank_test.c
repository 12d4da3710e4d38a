/* SPDX-License-Identifier: Apache-2.0
 *
 * The rank: permutations, logarithm, keys.
 */
#include <math.h>

#include "ring_cases.h"

#include "cluster/ring_rank.h"

#define BATCH  1024u

static s3c_ring_log_t  table;


static int
init(void **state)
{
    (void) state;
    s3c_ring_log_init(table);

    return 0;
}


static void
turns_are_a_permutation_of_the_slots(void **state)
{
    cast_t           *cast = draw_cast(11, 4, false);
    uint8_t          *seen;
    uint32_t          slots[BATCH];
    uint64_t          keys[BATCH];
    s3c_ring_rank_t   r;

    (void) state;

    for (uint32_t i = 0; i < cast->n; i++) {
        seen = calloc(1, S3C_RING_SLOTS);
        s3c_ring_rank_init(&r, i, cast->members[i].name, 1);

        for (uint32_t turn = 0; turn < S3C_RING_SLOTS; turn += BATCH) {
            s3c_ring_rank_turns(&r, table, turn, BATCH, slots, keys);

            for (uint32_t k = 0; k < BATCH; k++) {
                assert_int_equal(seen[slots[k]]++, 0);
                assert_int_equal(s3c_ring_rank_turn(&r, slots[k]), turn + k);
            }
        }

        free(seen);
    }
}


static void
keys_rise_with_the_turns_and_tell_the_member(void **state)
{
    uint64_t         key, last;
    s3c_ring_rank_t  r;

    (void) state;

    for (uint32_t weight = 1; weight <= 1000; weight += 333) {
        s3c_ring_rank_init(&r, 1023, S3C_SLICE("a"), weight);
        last = 0;

        for (uint32_t turn = 0; turn < S3C_RING_SLOTS; turn++) {
            key = s3c_ring_rank_key(&r, table, turn);
            assert_true(key > last && key < S3C_RING_KEY_NONE);
            assert_int_equal(key & S3C_RING_MEMBER_MASK, 1023);
            last = key;
        }
    }
}


static void
the_logarithm_is_one(void **state)
{
    double    truth;
    uint64_t  x, y, seed = 5, last = UINT64_MAX;

    (void) state;
    assert_int_equal(s3c_ring_log_of(table, 1ull << 32), 0);
    assert_int_equal(s3c_ring_log_of(table, 1), 32ull << 32);

    for (uint32_t i = 0; i < 100000; i++) {
        x = (draw(&seed) >> 32 >> i % 32) + 1;
        truth = (32 - log2((double) x)) * 4294967296.0;
        assert_true(fabs((double) s3c_ring_log_of(table, x) - truth) < 1024);
    }

    for (x = 1; x <= 1ull << 32; x += x / 7001 + 1) {
        y = s3c_ring_log_of(table, x);
        assert_true(y < last || x > 7001);
        assert_true(y <= last);
        last = y;
    }
}


/* Of another program's making, by the words of ring_rank.h. */
static void
keys_are_those_of_the_description(void **state)
{
    s3c_ring_rank_t  r;

    (void) state;
    s3c_ring_rank_init(&r, 0, S3C_SLICE("a"), 3);
    assert_int_equal(r.mul[0], 0xdbac1e87);
    assert_int_equal(r.mul[1], 0x9e8d7fa9);
    assert_int_equal(r.mul[2], 0x3695e41);
    assert_int_equal(r.add, 0x6560a91d);
    assert_int_equal(r.dither, 0x545d);
    assert_true(r.jitter == 0x92a2007b4ab5363dull);
    assert_int_equal(s3c_ring_rank_turn(&r, 77), 21780);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(turns_are_a_permutation_of_the_slots),
        cmocka_unit_test(keys_rise_with_the_turns_and_tell_the_member),
        cmocka_unit_test(the_logarithm_is_one),
        cmocka_unit_test(keys_are_those_of_the_description),
    };

    return cmocka_run_group_tests(tests, init, NULL);
}
