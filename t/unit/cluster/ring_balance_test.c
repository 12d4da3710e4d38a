/* SPDX-License-Identifier: Apache-2.0
 *
 * What the ring is for, over many memberships of drawn names and exact shares:
 * an even load, few moves, and a dead member's load on all the others.
 */
#include "ring_cases.h"


/* The bounds of design.md; a slot more, since slots are whole. */
static double
load_max(uint32_t n)
{
    return n <= 100 ? 1.03 : 1.06;
}


static double
moves_max(uint32_t n)
{
    return n <= 100 ? 1.25 : 1.35;
}


static void
check_balance(const s3c_ring_t *ring)
{
    double    fair;
    uint32_t  n = s3c_ring_members(ring), sum[S3C_RING_OWNERS] = { 0 };

    for (uint16_t i = 0; i < n; i++) {
        fair = (double) S3C_RING_SLOTS * s3c_ring_weight(ring, i)
               / ring->weight;
        assert_true(s3c_ring_share(ring, i, 0) <= fair * load_max(n) + 1);
        assert_true(s3c_ring_share(ring, i, 0) >= fair * (n > 100 ? .7 : .9));

        for (uint32_t k = 0; k < S3C_RING_OWNERS; k++) {
            sum[k] += s3c_ring_share(ring, i, k);
        }
    }

    for (uint32_t k = 0; k < s3c_ring_owners(ring); k++) {
        assert_int_equal(sum[k], S3C_RING_SLOTS);
    }
}


/* Slots that changed hands / those that this member got or lost. */
static double
moves(const s3c_ring_t *a, const s3c_ring_t *b, s3c_slice_t member)
{
    uint32_t     own = 0, moved = 0;
    s3c_slice_t  x, y;

    for (uint32_t slot = 0; slot < S3C_RING_SLOTS; slot++) {
        x = s3c_ring_name(a, a->owners[slot][0]);
        y = s3c_ring_name(b, b->owners[slot][0]);

        if (!s3c_slice_eq(x, y)) {
            moved++;
            own += s3c_slice_eq(x, member) || s3c_slice_eq(y, member);
        }
    }

    return own > 0 ? (double) moved / own : 9;
}


static double
moves_when_one_is_added(uint64_t seed, uint32_t n, bool weighted)
{
    double       m;
    cast_t      *cast = draw_cast(seed, n + 1, weighted);
    s3c_ring_t  *with = build_ring(cast), *without;

    check_balance(with);
    cast->n = n;
    without = build_ring(cast);
    check_balance(without);
    m = moves(with, without, cast->members[n].name);
    free(without);
    free(with);

    return m;
}


static void
loads_are_even_and_moves_few(void **state)
{
    double    m, sum = 0;
    uint64_t  seed = 42;
    uint32_t  n, runs = 24;

    (void) state;

    for (uint32_t run = 0; run < runs; run++) {
        n = run < 8 ? run + 1 : run < 12 ? 100 - run : 8 + draw(&seed) % 93;
        m = moves_when_one_is_added(draw(&seed), n, run % 2);
        assert_true(m <= moves_max(n));
        sum += m;
    }

    print_message("up to 100 members: moves %.3f\n", sum / runs);
}


static void
loads_are_even_and_moves_few_among_a_thousand(void **state)
{
    double    m, sum = 0;
    uint64_t  seed = 43;
    uint32_t  runs = 4;

    (void) state;

    for (uint32_t run = 0; run < runs; run++) {
        m = moves_when_one_is_added(draw(&seed), 999, run % 2);
        assert_true(m <= moves_max(1000));
        sum += m;
    }

    print_message("1000 members: moves %.3f\n", sum / runs);
}


static void
another_weight_moves_what_it_must(void **state)
{
    cast_t      *cast;
    s3c_ring_t  *before, *after;

    (void) state;

    for (uint32_t n = 10; n <= 100; n += 45) {
        cast = draw_cast(n, n, true);
        before = build_ring(cast);
        cast->members[4].weight = 3;
        after = build_ring(cast);
        assert_true(moves(before, after, cast->members[4].name) <= 1.25);
        free(after);
        free(before);
    }
}


static void
one_who_owns_nothing_moves_nothing(void **state)
{
    cast_t      *cast = draw_cast(8, 40, true);
    uint16_t     i, owner;
    s3c_ring_t  *with, *without;

    (void) state;
    cast->members[39].weight = 0;
    with = build_ring(cast);
    cast->n = 39;
    without = build_ring(cast);
    assert_true(moves(with, without, cast->members[39].name) > 8);

    i = s3c_ring_member(with, cast->members[39].name);

    for (uint32_t slot = 0; slot < S3C_RING_SLOTS; slot++) {
        for (uint32_t k = 0; k < S3C_RING_OWNERS; k++) {
            owner = with->owners[slot][k];
            assert_true(owner != i);
            assert_int_equal(owner - (owner > i), without->owners[slot][k]);
        }
    }

    free(with);
    free(without);
}


/* And when the ring is built without it, the heirs are mostly the same. */
static void
a_dead_member_is_inherited_by_all(void **state)
{
    cast_t         *cast = draw_cast(6, 21, false);
    uint16_t        dead;
    uint32_t        n = 0, same = 0, heirs[21] = { 0 };
    s3c_slice_t     name = cast->members[20].name;
    s3c_ring_t     *ring = build_ring(cast), *without;

    (void) state;
    cast->n = 20;
    without = build_ring(cast);
    dead = s3c_ring_member(ring, name);

    for (uint32_t slot = 0; slot < S3C_RING_SLOTS; slot++) {
        if (ring->owners[slot][0] == dead) {
            n++;
            heirs[ring->owners[slot][1]]++;
            same += s3c_slice_eq(s3c_ring_name(ring, ring->owners[slot][1]),
                                 s3c_ring_name(without,
                                               without->owners[slot][0]));
        }
    }

    assert_int_equal(n, s3c_ring_share(ring, dead, 0));
    assert_true(same > n * .97);

    for (uint32_t i = 0; i < 21; i++) {
        assert_true(i == dead || heirs[i] > n / 20 * .7);
        assert_true(heirs[i] < n / 20 * 1.3);
    }

    free(ring);
    free(without);
}


static void
owners_are_in_zones_apart(void **state)
{
    bool             ab, ac, bc;
    cast_t          *cast;
    s3c_ring_t      *ring;
    const uint16_t  *o;

    (void) state;

    for (uint32_t n_zones = 2; n_zones <= 4; n_zones++) {
        cast = draw_cast(n_zones, 40, true);
        set_zones(cast, n_zones);
        ring = build_ring(cast);
        check_balance(ring);

        for (uint32_t slot = 0; slot < S3C_RING_SLOTS; slot++) {
            o = ring->owners[slot];
            ab = s3c_slice_eq(s3c_ring_zone(ring, o[0]),
                              s3c_ring_zone(ring, o[1]));
            ac = s3c_slice_eq(s3c_ring_zone(ring, o[0]),
                              s3c_ring_zone(ring, o[2]));
            bc = s3c_slice_eq(s3c_ring_zone(ring, o[1]),
                              s3c_ring_zone(ring, o[2]));
            assert_false(ab || (n_zones > 2 && (ac || bc)));
        }

        free(ring);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(loads_are_even_and_moves_few),
        cmocka_unit_test(loads_are_even_and_moves_few_among_a_thousand),
        cmocka_unit_test(another_weight_moves_what_it_must),
        cmocka_unit_test(one_who_owns_nothing_moves_nothing),
        cmocka_unit_test(a_dead_member_is_inherited_by_all),
        cmocka_unit_test(owners_are_in_zones_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
