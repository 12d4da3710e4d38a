/* SPDX-License-Identifier: Apache-2.0
 *
 * Building: by steps of any size, and against the rule, looked up for every
 * slot and member without turns, horizons or repairs.
 */
#include "ring_cases.h"

#include "cluster/ring_rank.h"

static s3c_ring_log_t  table;


static int
init(void **state)
{
    (void) state;
    s3c_ring_log_init(table);

    return 0;
}


static void
steps_of_any_size_build_the_same(void **state)
{
    void                   *mem;
    cast_t                 *cast = draw_cast(2, 150, true);
    uint32_t                n_steps;
    s3c_ring_t             *ring;
    s3c_status_t            st;
    s3c_ring_builder_t     *b;
    static const uint32_t   budgets[] = { 501, 65536, UINT32_MAX };

    (void) state;
    set_zones(cast, 3);
    ring = build_ring(cast);
    mem = malloc(ring->bytes);

    for (size_t i = 0; i < sizeof(budgets) / sizeof(budgets[0]); i++) {
        memset(mem, 0xa5, ring->bytes);
        assert_int_equal(s3c_ring_builder_create(&b, mem, ring->bytes,
                                                 cast->members, cast->n),
                         S3C_OK);
        assert_int_equal(s3c_ring_build_step(b, 0), S3C_AGAIN);
        n_steps = 0;

        do {
            assert_int_equal(s3c_ring_check(mem, ring->bytes), S3C_CORRUPT);
            st = s3c_ring_build_step(b, budgets[i]);
            n_steps++;
        } while (st == S3C_AGAIN);

        assert_int_equal(st, S3C_OK);
        assert_int_equal(s3c_ring_build_step(b, 1), S3C_OK);
        assert_true(n_steps >= 4000000 / budgets[i]);
        assert_memory_equal(mem, ring, ring->bytes);
        s3c_ring_builder_destroy(b);
    }

    free(mem);
    free(ring);
}


static void
a_build_may_be_given_up(void **state)
{
    size_t               bytes = s3c_ring_bytes(10, 1000);
    s3c_ring_t          *ring = malloc(bytes);
    s3c_ring_builder_t  *b;
    const cast_t        *cast = plain_cast(10, false);

    (void) state;
    assert_int_equal(s3c_ring_builder_create(&b, ring, bytes, cast->members,
                                             cast->n), S3C_OK);
    assert_int_equal(s3c_ring_build_step(b, S3C_RING_STEP), S3C_AGAIN);
    s3c_ring_builder_destroy(b);
    assert_int_equal(s3c_ring_check(ring, bytes), S3C_CORRUPT);
    free(ring);
}


static bool
zones_differ(const s3c_ring_t *ring, uint16_t a, uint16_t b)
{
    return !s3c_slice_eq(s3c_ring_zone(ring, a), s3c_ring_zone(ring, b));
}


/* The lowest key among those that are none of the n owners and, if `apart`,
 * in none of their zones. */
static uint16_t
next_by_rule(const s3c_ring_t *ring, const uint64_t *keys,
    const uint16_t *owners, uint32_t n, bool apart)
{
    bool      fit;
    uint64_t  best = S3C_RING_KEY_NONE;

    for (uint16_t i = 0; i < s3c_ring_members(ring); i++) {
        fit = keys[i] < best;

        for (uint32_t k = 0; k < n; k++) {
            fit = fit && i != owners[k]
                  && (!apart || zones_differ(ring, i, owners[k]));
        }

        best = fit ? keys[i] : best;
    }

    return best == S3C_RING_KEY_NONE ? S3C_RING_NONE
                                     : best & S3C_RING_MEMBER_MASK;
}


/* First owners: whoever has a lower key at a slot than its owner has all that
 * it may, by earlier turns. Others: by the rule. */
static void
check_by_rule(const s3c_ring_t *ring)
{
    double            fair;
    uint16_t          next;
    uint32_t          n = s3c_ring_members(ring), turn, n_passed = 0;
    uint64_t          keys[64];
    uint32_t          last[64] = { 0 };
    const uint16_t   *o;
    s3c_ring_rank_t   ranks[64];

    assert_true(n <= 64);

    for (uint16_t i = 0; i < n; i++) {
        if (s3c_ring_weight(ring, i) > 0) {
            s3c_ring_rank_init(&ranks[i], i, s3c_ring_name(ring, i),
                               s3c_ring_weight(ring, i));
        }
    }

    for (uint32_t slot = 0; slot < S3C_RING_SLOTS; slot++) {
        o = ring->owners[slot];
        turn = s3c_ring_rank_turn(&ranks[o[0]], slot);
        last[o[0]] = turn > last[o[0]] ? turn : last[o[0]];
    }

    for (uint32_t slot = 0; slot < S3C_RING_SLOTS; slot++) {
        o = ring->owners[slot];

        for (uint16_t i = 0; i < n; i++) {
            keys[i] = S3C_RING_KEY_NONE;

            if (s3c_ring_weight(ring, i) > 0) {
                turn = s3c_ring_rank_turn(&ranks[i], slot);
                keys[i] = s3c_ring_rank_key(&ranks[i], table, turn);
            }
        }

        for (uint16_t i = 0; i < n; i++) {
            if (keys[i] < keys[o[0]]) {
                n_passed++;
                fair = (double) S3C_RING_SLOTS * s3c_ring_weight(ring, i)
                       / ring->weight;
                assert_true(s3c_ring_share(ring, i, 0) + 1 > fair * 1.0156);
                assert_true(s3c_ring_rank_turn(&ranks[i], slot) > last[i]);
            }
        }

        if (slot % 4 != 0) {
            continue;     /* time */
        }

        for (uint32_t k = 1; k < s3c_ring_owners(ring); k++) {
            next = next_by_rule(ring, keys, o, k, true);

            if (next == S3C_RING_NONE) {
                next = next_by_rule(ring, keys, o, k, false);
            }

            assert_int_equal(o[k], next);
        }
    }

    print_message("%u members: %u times passed over\n", n, n_passed);
}


static void
owners_are_those_of_the_rule(void **state)
{
    cast_t      *cast;
    s3c_ring_t  *ring;

    (void) state;

    for (uint32_t n_zones = 1; n_zones <= 4; n_zones++) {
        cast = draw_cast(n_zones, n_zones == 1 ? 60 : 12, true);
        set_zones(cast, n_zones);
        cast->members[3].weight = 0;
        ring = build_ring(cast);
        check_by_rule(ring);
        free(ring);
    }
}


static void
owners_are_those_of_the_rule_in_rare_zones(void **state)
{
    cast_t      *cast;
    s3c_ring_t  *ring;

    (void) state;

    for (uint32_t rare = 1; rare <= 2; rare++) {
        cast = draw_cast(rare, 12, true);
        set_zones(cast, 1);

        for (uint32_t i = 0; i < cast->n; i++) {
            cast->members[i].weight *= 200;
        }

        for (uint32_t i = 0; i < rare; i++) {
            cast->members[i].zone = i == 0 ? S3C_SLICE("r") : S3C_SLICE_NONE;
            cast->members[i].weight = 1;
        }

        ring = build_ring(cast);
        check_by_rule(ring);
        free(ring);
    }
}


static void
one_zone_is_no_zone(void **state)
{
    cast_t      *cast = draw_cast(9, 12, true);
    s3c_ring_t  *ring, *zoned;

    (void) state;
    ring = build_ring(cast);
    set_zones(cast, 1);
    cast->members[5].weight = 0;
    zoned = build_ring(cast);
    cast->members[5].zone = S3C_SLICE("of one who owns nothing");
    free(ring);
    ring = build_ring(cast);
    assert_memory_equal(ring->owners, zoned->owners, sizeof(ring->owners));
    free(ring);
    free(zoned);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(steps_of_any_size_build_the_same),
        cmocka_unit_test(a_build_may_be_given_up),
        cmocka_unit_test(owners_are_those_of_the_rule),
        cmocka_unit_test(owners_are_those_of_the_rule_in_rare_zones),
        cmocka_unit_test(one_zone_is_no_zone),
    };

    return cmocka_run_group_tests(tests, init, NULL);
}
