/* SPDX-License-Identifier: Apache-2.0 */
#include "ram_test.h"


static void
numbers_add_up(void **state)
{
    zone_t           z;
    s3c_ram_usage_t  u;
    s3c_ram_pin_t    pin;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);
    s3c_ram_usage(z.ram, &u);
    assert_int_equal(u.region_bytes, 4 * MIB);
    assert_true(u.arena_bytes > 4 * MIB * 95ull / 100);
    assert_int_equal(u.slots, 1);
    assert_int_equal(u.payload_bytes + u.entries + u.fills + u.n_insert, 0);

    assert_int_equal(object_put(z.ram, 1, 1000, 1, true), S3C_OK);
    assert_int_equal(s3c_ram_fill_begin(z.ram, key_of(2), 1, &pin), S3C_OK);
    assert_int_equal(s3c_ram_fill_alloc(z.ram, &pin, 3000, 0, 1), S3C_OK);
    s3c_ram_usage(z.ram, &u);
    assert_int_equal(u.payload_bytes, 4000);
    assert_int_equal(u.allocated_bytes, 1024 + 3072);
    assert_int_equal(u.fill_bytes, 3000);
    assert_int_equal(u.entries, 1);
    assert_int_equal(u.fills, 1);
    assert_int_equal(u.pins, 1);
    assert_int_equal(u.n_insert, 1);

    s3c_ram_fill_fail(z.ram, &pin, 1);
    s3c_ram_usage(z.ram, &u);
    assert_int_equal(u.payload_bytes, 1000);
    assert_int_equal(u.allocated_bytes, 1024);
    assert_int_equal(u.limbo, 1);
    s3c_ram_unpin(z.ram, &pin);
    zone_close(&z);
}

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(numbers_add_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
