/* SPDX-License-Identifier: Apache-2.0 */
#include "ram_test.h"


static uint32_t
n_extents(zone_t *z, uint32_t size, uint32_t head, uint32_t *units)
{
    uint32_t            flags;
    uint64_t            before = z->ram->s->free_units;
    s3c_ram_extents_t   x;
    s3c_ram_entry_sh_t  e = { .size = 0 };

    assert_int_equal(s3c_ram_extents_take_locked(z->ram, size, head, e.ext,
                                                 &flags), S3C_OK);
    e.size = size | flags;
    x = s3c_ram_extents(z->ram, &e);
    *units = s3c_ram_extents_units(z->ram, &e);

    assert_true(s3c_ram_block_order(z->ram, x.ext[0]) >= 0);
    assert_true(512u << s3c_ram_block_order(z->ram, x.ext[0])
                >= (head < size ? head : size));

    s3c_ram_extents_give_locked(z->ram, e.ext, e.size);
    assert_int_equal(z->ram->s->free_units, before);

    return x.n;
}


static void
sizes_are_cut_greedily(void **state)
{
    zone_t    z;
    uint32_t  units;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 16 * MIB);

    assert_int_equal(n_extents(&z, 1, 1, &units), 1);
    assert_int_equal(units, 1);
    assert_int_equal(n_extents(&z, 512, 512, &units), 1);
    assert_int_equal(units, 1);
    assert_int_equal(n_extents(&z, 41267, 700, &units), 3);   /* 32K+8K+512 */
    assert_int_equal(units, 81);
    assert_int_equal(n_extents(&z, 65536, 700, &units), 1);
    assert_int_equal(units, 128);
    assert_int_equal(n_extents(&z, 6000, 5000, &units), 1);   /* head: 8K */
    assert_int_equal(units, 16);
    assert_int_equal(n_extents(&z, 127 * 512, 100, &units), 4);
    assert_int_equal(units, 128);        /* 64+32+16+16, one unit wasted */

    /* 0b1111001: 64+32+16+16 would waste 7, a list of 5 costs 1. */
    assert_int_equal(n_extents(&z, 121 * 512, 100, &units), 5);
    assert_int_equal(units, 122);
    zone_close(&z);
}


static void
waste_is_small_for_all_sizes(void **state)
{
    zone_t    z;
    uint32_t  size, units;
    uint64_t  asked = 0, got = 0;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 16 * MIB);

    for (size = 1024; size <= 65536; size += 101) {
        (void) n_extents(&z, size, 600, &units);
        asked += size;
        got += units * 512ull;
        assert_true(units <= (size + 511) / 512 + 2);
    }

    assert_true((double) asked / (double) got > 0.97);
    zone_close(&z);
}


static void
crumbs_are_used_before_more_is_evicted(void **state)
{
    zone_t           z;
    uint32_t         i, n, flags, ext[4], *units;
    uint64_t         free_units;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);
    units = malloc(z.ram->c.n_units * sizeof(*units));
    assert_non_null(units);

    for (n = 0; (units[n] = s3c_ram_arena_take_locked(z.ram, 0))
                != S3C_RAM_NIL; n++) { /* void */ }

    for (i = 0; i < n && i < 200; i++) {     /* single units, none adjoining */
        if (units[i] % 2 == 0) {
            s3c_ram_arena_give_locked(z.ram, units[i]);
        }
    }

    free_units = z.ram->s->free_units;
    assert_in_range(free_units, 80, 110);

    assert_int_equal(s3c_ram_extents_take_locked(z.ram, 60 * 512, 512, ext,
                                                 &flags), S3C_OK);
    assert_true(flags & S3C_RAM_F_INDIRECT);
    assert_int_equal(z.ram->s->free_units, free_units - 61);
    s3c_ram_extents_give_locked(z.ram, ext, flags);
    assert_int_equal(z.ram->s->free_units, free_units);

    /* No two units lie together. */
    assert_int_equal(s3c_ram_extents_take_locked(z.ram, 4096, 1024, ext,
                                                 &flags), S3C_MISS);
    assert_int_equal(z.ram->s->free_units, free_units);

    for (i = 0; i < n; i++) {
        if (i >= 200 || units[i] % 2 != 0) {
            s3c_ram_arena_give_locked(z.ram, units[i]);
        }
    }

    free(units);
    zone_close(&z);
}


static void
broken_lists_are_empty(void **state)
{
    zone_t                  z;
    uint32_t                unit;
    s3c_ram_entry_sh_t      e = { .size = 4096 | S3C_RAM_F_MEM
                                          | S3C_RAM_F_INDIRECT };
    s3c_ram_indirect_sh_t  *list;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);

    e.ext[0] = UINT32_MAX;
    assert_int_equal(s3c_ram_extents(z.ram, &e).n, 0);

    unit = s3c_ram_arena_take_locked(z.ram, 0);
    list = (s3c_ram_indirect_sh_t *) s3c_ram_unit_at(z.ram, unit);
    list->n = 128;
    e.ext[0] = unit;
    assert_int_equal(s3c_ram_extents(z.ram, &e).n, 0);
    s3c_ram_extents_give_locked(z.ram, e.ext, e.size);
    assert_true(z.ram->broken);

    z.ram->broken = false;
    s3c_ram_arena_give_locked(z.ram, unit);
    zone_close(&z);
}

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(sizes_are_cut_greedily),
        cmocka_unit_test(waste_is_small_for_all_sizes),
        cmocka_unit_test(crumbs_are_used_before_more_is_evicted),
        cmocka_unit_test(broken_lists_are_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
