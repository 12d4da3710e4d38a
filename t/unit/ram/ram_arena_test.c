/* SPDX-License-Identifier: Apache-2.0 */
#include "ram_test.h"


static void
blocks_are_aligned_and_merge_again(void **state)
{
    zone_t    z;
    uint32_t  i, n, units[4096], order;
    uint64_t  rng = 1, before;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);
    before = z.ram->s->free_units;

    for (int round = 0; round < 20; round++) {
        for (n = 0; n < 4096; n++) {
            order = (uint32_t) (rng_next(&rng) % 6);
            units[n] = s3c_ram_arena_take_locked(z.ram, order);

            if (units[n] == S3C_RAM_NIL) {
                break;
            }

            assert_int_equal(units[n] & ((1u << order) - 1), 0);
            assert_int_equal(s3c_ram_block_order(z.ram, units[n]), order);
        }

        for (i = n; i > 1; i--) {        /* in any order */
            uint32_t  j = (uint32_t) (rng_next(&rng) % i), t = units[j];

            units[j] = units[i - 1];
            units[i - 1] = t;
        }

        for (i = 0; i < n; i++) {
            s3c_ram_arena_give_locked(z.ram, units[i]);
        }

        assert_int_equal(z.ram->s->free_units, before);
        zone_audit(&z);                  /* no two free buddies */
    }

    assert_false(z.ram->broken);
    zone_close(&z);
}


static void
links_that_lie_are_not_followed(void **state)
{
    zone_t     z;
    uint32_t   a, b, *link;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);

    a = s3c_ram_arena_take_locked(z.ram, 0);
    b = s3c_ram_arena_take_locked(z.ram, 0);
    assert_int_not_equal(a, b);
    s3c_ram_arena_give_locked(z.ram, a);

    link = (uint32_t *) s3c_ram_unit_at(z.ram, a);
    link[1] = 0x12345678;                /* a late write of a dead worker */
    assert_int_equal(s3c_ram_arena_take_locked(z.ram, 0), S3C_RAM_NIL);
    assert_true(z.ram->broken);

    s3c_ram_heal_locked(z.ram, true);
    assert_false(z.ram->broken);
    zone_close(&z);
}


static void
what_was_not_taken_is_not_given(void **state)
{
    zone_t  z;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);
    s3c_ram_arena_give_locked(z.ram, z.ram->c.n_units - 1);
    assert_true(z.ram->broken);
    z.ram->broken = false;
    s3c_ram_arena_give_locked(z.ram, UINT32_MAX);
    assert_true(z.ram->broken);
    z.ram->broken = false;
    zone_close(&z);
}

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(blocks_are_aligned_and_merge_again),
        cmocka_unit_test(links_that_lie_are_not_followed),
        cmocka_unit_test(what_was_not_taken_is_not_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
