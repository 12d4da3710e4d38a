/* SPDX-License-Identifier: Apache-2.0 */
#include "ram_test.h"


static void
order_is_kept(void **state)
{
    zone_t    z;
    uint32_t  e[6];

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);

    for (int i = 0; i < 6; i++) {
        e[i] = s3c_ram_entry_take_locked(z.ram);
    }

    assert_int_equal(s3c_ram_list_first_locked(z.ram, 0), 0);

    for (int i = 0; i < 4; i++) {
        s3c_ram_list_push_tail_locked(z.ram, 0, e[i]);
    }

    s3c_ram_list_push_tail_locked(z.ram, 1, e[4]);
    s3c_ram_list_push_tail_locked(z.ram, 1, e[5]);

    s3c_ram_list_remove_locked(z.ram, e[0]);
    s3c_ram_list_remove_locked(z.ram, e[2]);
    s3c_ram_list_append_locked(z.ram, 1, 0);
    assert_int_equal(s3c_ram_list_first_locked(z.ram, 0), 0);
    s3c_ram_list_append_locked(z.ram, 1, 0);         /* empty: nothing */

    uint32_t  want[] = { e[4], e[5], e[1], e[3] };

    for (int i = 0; i < 4; i++) {
        assert_int_equal(s3c_ram_list_first_locked(z.ram, 1), want[i]);
        s3c_ram_list_remove_locked(z.ram, want[i]);
    }

    assert_int_equal(s3c_ram_list_first_locked(z.ram, 1), 0);
    assert_false(z.ram->broken);

    for (int i = 6; i-- > 0; ) {
        s3c_ram_entry_give_locked(z.ram, e[i]);
    }

    zone_close(&z);
}


static void
links_that_lie_break(void **state)
{
    zone_t    z;
    uint32_t  e, bad[] = { 0, 999999, S3C_RAM_LIST | 2, 5 };

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);
    e = s3c_ram_entry_take_locked(z.ram);

    for (int i = 0; i < 4; i++) {
        s3c_ram_list_push_tail_locked(z.ram, 0, e);
        s3c_ram_entry_at(z.ram, e)->next = bad[i];
        s3c_ram_list_remove_locked(z.ram, e);
        assert_true(z.ram->broken);
        z.ram->broken = false;

        z.ram->at.lists[0].next = bad[i];
        assert_int_equal(s3c_ram_list_first_locked(z.ram, 0), 0);
        assert_true(z.ram->broken);
        z.ram->broken = false;
        s3c_ram_list_reset_locked(z.ram, 0);
    }

    s3c_ram_entry_give_locked(z.ram, e);
    zone_close(&z);
}

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(order_is_kept),
        cmocka_unit_test(links_that_lie_break),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
