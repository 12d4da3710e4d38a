/* SPDX-License-Identifier: Apache-2.0 */
#include "ram_test.h"


static void
dropped_objects_stay_with_who_holds_them(void **state)
{
    zone_t           z;
    s3c_ram_pin_t    pin, other;
    s3c_ram_usage_t  u;
    s3c_fill_view_t  v;

    (void) state;

    for (int policy = 0; policy < 2; policy++) {
        zone_open(&z, policy, 4 * MIB);
        assert_int_equal(object_put(z.ram, 1, 50000, 1, true), S3C_OK);
        assert_int_equal(s3c_ram_find(z.ram, key_of(1), 1, &pin), S3C_OK);
        assert_int_equal(s3c_ram_drop_pinned(z.ram, &pin), S3C_OK);
        assert_int_equal(s3c_ram_drop_pinned(z.ram, &pin), S3C_MISS);
        assert_int_equal(s3c_ram_find(z.ram, key_of(1), 1, &other), S3C_MISS);
        assert_int_equal(object_put(z.ram, 1, 50000, 1, true), S3C_OK);

        s3c_ram_view(z.ram, &pin, &v);
        assert_int_equal(v.phase, S3C_FILL_DONE);

        for (uint64_t i = 2; i < 500; i++) {     /* the zone turns over */
            assert_int_equal(object_put(z.ram, i, 50000, 1 + i, true), S3C_OK);
        }

        assert_true(payload_is(z.ram, &pin, 1));
        zone_audit(&z);
        s3c_ram_usage(z.ram, &u);
        assert_int_equal(u.limbo, 1);
        s3c_ram_unpin(z.ram, &pin);
        (void) s3c_ram_sweep(z.ram, 1000);
        s3c_ram_usage(z.ram, &u);
        assert_int_equal(u.limbo, 0);
        zone_close(&z);
    }
}


static void
drop_all_leaves_what_is_held(void **state)
{
    zone_t           z;
    s3c_ram_pin_t    pin, lead;
    s3c_ram_usage_t  u;

    (void) state;

    for (int policy = 0; policy < 2; policy++) {
        zone_open(&z, policy, 4 * MIB);

        for (uint64_t i = 0; i < 100; i++) {
            assert_int_equal(object_put(z.ram, i, 9000, i, true), S3C_OK);
        }

        assert_int_equal(s3c_ram_find(z.ram, key_of(7), 1, &pin), S3C_OK);
        assert_int_equal(s3c_ram_fill_begin(z.ram, key_of(1000), 1, &lead),
                         S3C_OK);
        s3c_ram_drop_all(z.ram);
        s3c_ram_usage(z.ram, &u);
        assert_int_equal(u.entries, 0);
        assert_int_equal(u.fills, 1);
        assert_int_equal(u.limbo, 1);
        assert_int_equal(u.n_drop, 101);
        assert_true(payload_is(z.ram, &pin, 7));
        assert_int_equal(s3c_ram_fill_alloc(z.ram, &lead, 100, 0, 1), S3C_OK);
        assert_int_equal(s3c_ram_fill_commit(z.ram, &lead, 1), S3C_CHANGED);

        s3c_ram_unpin(z.ram, &pin);
        s3c_ram_unpin(z.ram, &lead);
        (void) s3c_ram_sweep(z.ram, 2);
        s3c_ram_usage(z.ram, &u);
        assert_int_equal(u.allocated_bytes + u.limbo + u.payload_bytes, 0);
        zone_close(&z);
    }
}

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(dropped_objects_stay_with_who_holds_them),
        cmocka_unit_test(drop_all_leaves_what_is_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
