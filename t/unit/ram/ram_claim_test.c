/* SPDX-License-Identifier: Apache-2.0 */
#include "ram_test.h"


static void
a_block_is_claimed_once(void **state)
{
    zone_t    z;
    uint32_t  u;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);
    u = s3c_ram_arena_take_locked(z.ram, 3);

    assert_true(s3c_ram_claim_block_locked(z.ram, u, 3));
    assert_false(s3c_ram_claim_block_locked(z.ram, u, 3));
    assert_false(s3c_ram_claim_block_locked(z.ram, u + 5, 0));
    assert_int_equal(s3c_ram_block_order(z.ram, u), 3);   /* for readers */
    s3c_ram_claim_wipe_locked(z.ram);
    assert_true(s3c_ram_claim_block_locked(z.ram, u, 3));
    s3c_ram_claim_wipe_locked(z.ram);
    s3c_ram_arena_give_locked(z.ram, u);
    zone_close(&z);
}


static void
extents_are_claimed_all_or_none(void **state)
{
    zone_t              z;
    uint32_t            flags, again;
    s3c_ram_entry_sh_t  e = { .size = 0 };

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);

    for (uint32_t size = 41267; size < 65000; size += 20000) {
        assert_int_equal(s3c_ram_extents_take_locked(z.ram, size, 512, e.ext,
                                                     &flags), S3C_OK);
        e.size = size | flags;

        assert_int_equal(s3c_ram_claim_extents_locked(z.ram, &e),
                         s3c_ram_extents_units(z.ram, &e));
        assert_int_equal(s3c_ram_claim_extents_locked(z.ram, &e), 0);
        s3c_ram_claim_wipe_locked(z.ram);

        e.size = (size + 4096) | flags;          /* more than it holds */
        assert_int_equal(s3c_ram_claim_extents_locked(z.ram, &e), 0);
        e.size = size | flags;
        again = s3c_ram_claim_extents_locked(z.ram, &e);
        assert_int_equal(again, s3c_ram_extents_units(z.ram, &e));

        s3c_ram_claim_wipe_locked(z.ram);
        s3c_ram_extents_give_locked(z.ram, e.ext, e.size);
    }

    zone_close(&z);
}

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_block_is_claimed_once),
        cmocka_unit_test(extents_are_claimed_all_or_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
