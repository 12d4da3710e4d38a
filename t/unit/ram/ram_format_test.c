/* SPDX-License-Identifier: Apache-2.0 */
#include "ram_test.h"


static void
a_region_is_known_again(void **state)
{
    zone_t          z;
    s3c_ram_t      *ram;
    s3c_ram_conf_t  conf;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);
    conf = z.conf;
    assert_int_equal(s3c_ram_check(z.region, z.bytes, &conf), S3C_OK);
    memset(conf.secret, 9, sizeof(conf.secret));
    assert_int_equal(s3c_ram_check(z.region, z.bytes, &conf), S3C_OK);

    conf.policy = S3C_RAM_LRU;
    assert_int_equal(s3c_ram_check(z.region, z.bytes, &conf), S3C_CORRUPT);
    conf = z.conf;
    conf.n_slots++;
    assert_int_equal(s3c_ram_check(z.region, z.bytes, &conf), S3C_CORRUPT);
    conf = z.conf;
    conf.n_fills *= 2;
    assert_int_equal(s3c_ram_check(z.region, z.bytes, &conf), S3C_CORRUPT);
    conf = z.conf;
    assert_int_equal(s3c_ram_check(z.region, z.bytes - 4096, &conf),
                     S3C_CORRUPT);

    /* Objects outlive the workers, at any address. */
    assert_int_equal(object_put(z.ram, 1, 41267, 1, true), S3C_OK);
    s3c_ram_leave(z.ram);

    void           *moved = region_map(z.bytes);
    s3c_ram_pin_t   pin;

    memcpy(moved, z.region, z.bytes);
    munmap(z.region, z.bytes);
    z.region = moved;
    assert_int_equal(s3c_ram_join(&z.ram, moved, z.bytes, zone_wake, &z, 2),
                     S3C_OK);
    assert_int_equal(s3c_ram_find(z.ram, key_of(1), 2, &pin), S3C_OK);
    assert_true(payload_is(z.ram, &pin, 1));
    s3c_ram_unpin(z.ram, &pin);

    ((uint8_t *) moved)[100] ^= 1;       /* in the constants */
    assert_int_equal(s3c_ram_check(moved, z.bytes, &conf), S3C_CORRUPT);
    assert_int_equal(s3c_ram_join(&ram, moved, z.bytes, zone_wake, &z, 2),
                     S3C_CORRUPT);
    assert_null(ram);
    zone_close(&z);
}


static void
noise_is_no_region(void **state)
{
    zone_t          z;
    uint64_t        rng = 1, *p;
    s3c_ram_conf_t  conf;

    (void) state;
    zone_open(&z, S3C_RAM_LRU, 4 * MIB);
    s3c_ram_leave(z.ram);
    z.ram = NULL;
    conf = z.conf;

    for (p = z.region; (uint8_t *) p < (uint8_t *) z.region + z.bytes; p++) {
        *p = rng_next(&rng);
    }

    assert_int_equal(s3c_ram_check(z.region, z.bytes, &conf), S3C_CORRUPT);
    assert_int_equal(s3c_ram_format(z.region, z.bytes, &conf), S3C_OK);
    assert_int_equal(s3c_ram_check(z.region, z.bytes, &conf), S3C_OK);
    assert_int_equal(s3c_ram_join(&z.ram, z.region, z.bytes, zone_wake, &z, 1),
                     S3C_OK);
    assert_int_equal(object_put(z.ram, 1, 5000, 1, true), S3C_OK);
    zone_close(&z);
}


static void
impossible_confs_are_refused(void **state)
{
    void            *region = region_map(4 * MIB);
    s3c_ram_conf_t   conf, good = {
        .policy = S3C_RAM_LRU, .n_slots = 4, .n_fills = 64,
        .fill_bytes_max = 1
    };

    (void) state;
    assert_int_equal(s3c_ram_format(region, 4 * MIB, &good), S3C_OK);
    assert_int_equal(s3c_ram_format(region, 4 * MIB - 1, &good), S3C_INVALID);
    assert_int_equal(s3c_ram_format((uint8_t *) region + 64, 4 * MIB, &good),
                     S3C_INVALID);
    conf = good;
    conf.n_slots = 0;
    assert_int_equal(s3c_ram_format(region, 4 * MIB, &conf), S3C_INVALID);
    conf.n_slots = 257;
    assert_int_equal(s3c_ram_format(region, 4 * MIB, &conf), S3C_INVALID);
    conf = good;
    conf.n_fills = 48;
    assert_int_equal(s3c_ram_format(region, 4 * MIB, &conf), S3C_INVALID);
    conf.n_fills = 65536;                /* and their slots: no room */
    conf.n_slots = 256;
    assert_int_equal(s3c_ram_format(region, 4 * MIB, &conf), S3C_INVALID);
    conf = good;
    conf.fill_bytes_max = 0;
    assert_int_equal(s3c_ram_format(region, 4 * MIB, &conf), S3C_INVALID);
    conf = good;
    conf.policy = 7;
    assert_int_equal(s3c_ram_format(region, 4 * MIB, &conf), S3C_INVALID);
    munmap(region, 4 * MIB);
}


static void
any_size_has_its_parts_in_place(void **state)
{
    size_t           bytes;
    zone_t           z;
    s3c_ram_usage_t  u;

    (void) state;

    for (bytes = 4 * MIB; bytes < 20 * MIB; bytes += 613 * 1024) {
        zone_open(&z, bytes / 1024 % 2, bytes);
        s3c_ram_usage(z.ram, &u);
        assert_true(z.ram->c.arena_off % 4096 == 0);
        assert_true(z.ram->c.map_off + z.ram->c.n_units <= z.ram->c.arena_off);
        assert_true(z.ram->c.arena_off + u.arena_bytes <= bytes);
        assert_true(z.ram->c.arena_off + u.arena_bytes + 8192 > bytes);
        assert_true(u.arena_bytes > bytes / 100 * 94);
        zone_close(&z);
    }
}

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_region_is_known_again),
        cmocka_unit_test(noise_is_no_region),
        cmocka_unit_test(impossible_confs_are_refused),
        cmocka_unit_test(any_size_has_its_parts_in_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
