/* SPDX-License-Identifier: Apache-2.0
 *
 * What nobody has asked for: room is made for it of nothing that anybody did.
 */
#include "ram_test.h"


static s3c_status_t
cold_put(s3c_ram_t *ram, uint64_t n, uint32_t size, uint64_t now_ms,
    bool replaces)
{
    s3c_status_t   st;
    s3c_ram_pin_t  pin;

    st = s3c_ram_fill_begin_cold(ram, key_of(n), replaces, now_ms, &pin);

    if (st != S3C_OK) {
        s3c_ram_unpin(ram, &pin);
        return st;
    }

    st = s3c_ram_fill_alloc(ram, &pin, size, 512, now_ms);

    if (st == S3C_OK) {
        s3c_ram_fill_publish(ram, &pin, size);
        st = s3c_ram_fill_commit(ram, &pin, now_ms);

    } else {
        s3c_ram_fill_fail(ram, &pin, 1);
    }

    s3c_ram_unpin(ram, &pin);

    return st;
}


static void
find(s3c_ram_t *ram, uint64_t n, uint64_t now_ms)
{
    s3c_ram_pin_t  pin;

    assert_int_equal(s3c_ram_find(ram, key_of(n), now_ms, &pin), S3C_OK);
    s3c_ram_unpin(ram, &pin);
}


/* `n` objects, each asked for after it came. */
static uint64_t
fill_hot(zone_t *z, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        assert_int_equal(object_put(z->ram, i, 4000, i * 4, false), S3C_OK);
        find(z->ram, i, i * 4 + 1);
    }

    return n * 4 + 8;
}


/* FULL, or BUSY: there is not even room to begin. */
static uint64_t
fill_cold(zone_t *z, uint64_t from, uint64_t most, uint64_t now,
    bool replaces)
{
    uint64_t  n = 0;

    for (uint64_t i = 0; i < most; i++) {
        n += cold_put(z->ram, from + i, 4000, now, replaces) == S3C_OK;
    }

    return n;
}


static void
hot_ones_stay(s3c_ram_policy_t policy)
{
    zone_t           z;
    uint64_t         now, n;
    s3c_ram_usage_t  u;

    zone_open(&z, policy, 4 * MIB);
    now = fill_hot(&z, 500);

    n = fill_cold(&z, 10000, 2000, now, false);
    assert_true(n > 100 && n < 1000);
    s3c_ram_usage(z.ram, &u);
    assert_int_equal(u.n_evict, 0);

    for (uint64_t i = 0; i < 500; i++) {
        assert_true(object_there(z.ram, i));
    }

    for (uint64_t i = 0; i < n; i++) {
        assert_true(object_there(z.ram, 10000 + i));
    }

    zone_close(&z);
}


static void
nothing_that_was_asked_for_leaves(void **state)
{
    (void) state;
    hot_ones_stay(S3C_RAM_S3FIFO);
    hot_ones_stay(S3C_RAM_LRU);
}


static void
what_was_asked_for_once_leaves_in_s3fifo(void **state)
{
    zone_t    z;
    uint64_t  n;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);

    for (uint64_t i = 0; i < 2000; i++) {
        assert_int_equal(object_put(z.ram, i, 4000, i, false), S3C_OK);
    }

    n = fill_cold(&z, 10000, 200, 9000, false);
    assert_int_equal(n, 200);
    assert_true(object_there(z.ram, 1999));

    /* but not its like, however many there are */
    n = fill_cold(&z, 20000, 3000, 9000, false);
    assert_true(n < 1000);
    assert_true(object_there(z.ram, 10000));
    zone_close(&z);
}


static void
what_flash_has_too_is_replaced(void **state)
{
    zone_t    z;
    uint64_t  now;

    (void) state;

    for (int policy = S3C_RAM_S3FIFO; policy <= S3C_RAM_LRU; policy++) {
        zone_open(&z, (s3c_ram_policy_t) policy, 4 * MIB);
        now = fill_hot(&z, 300);
        assert_int_equal(fill_cold(&z, 10000, 3000, now, true), 3000);
        assert_true(object_there(z.ram, 12999));
        assert_false(object_there(z.ram, 10000));

        for (uint64_t i = 0; i < 300; i++) {
            assert_true(object_there(z.ram, i));
        }

        zone_close(&z);
    }
}


static void
it_leaves_before_all_others(void **state)
{
    zone_t    z;
    uint64_t  now, n;

    (void) state;

    for (int policy = S3C_RAM_S3FIFO; policy <= S3C_RAM_LRU; policy++) {
        zone_open(&z, (s3c_ram_policy_t) policy, 4 * MIB);
        now = fill_hot(&z, 500);
        n = fill_cold(&z, 10000, 2000, now, false);

        for (uint64_t i = 0; i < 100; i++) {
            assert_int_equal(object_put(z.ram, 50000 + i, 4000, now + i,
                                        false), S3C_OK);
        }

        for (uint64_t i = 0; i < 500; i++) {
            assert_true(object_there(z.ram, i));
        }

        assert_false(object_there(z.ram, 10000));
        assert_true(n > 100);
        zone_close(&z);
    }
}


static void
a_request_ends_it(void **state)
{
    zone_t    z;
    uint64_t  now;

    (void) state;

    for (int policy = S3C_RAM_S3FIFO; policy <= S3C_RAM_LRU; policy++) {
        zone_open(&z, (s3c_ram_policy_t) policy, 4 * MIB);
        now = 100;
        assert_int_equal(cold_put(z.ram, 1, 4000, now, true), S3C_OK);
        find(z.ram, 1, now + 1000);
        (void) fill_cold(&z, 10000, 3000, now + 1000, true);
        assert_true(object_there(z.ram, 1));
        zone_close(&z);
    }
}


static void
it_is_no_request_itself(void **state)
{
    zone_t         z;
    s3c_ram_pin_t  pin;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);
    assert_int_equal(object_put(z.ram, 1, 4000, 1, false), S3C_OK);

    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(cold_put(z.ram, 1, 4000, 2, false), S3C_EXISTS);
        assert_int_equal(s3c_ram_peek(z.ram, key_of(1), &pin), S3C_OK);
        s3c_ram_unpin(z.ram, &pin);
    }

    for (uint64_t i = 0; i < 3000; i++) {
        assert_int_equal(object_put(z.ram, 100 + i, 4000, 3, false), S3C_OK);
    }

    assert_false(object_there(z.ram, 1));
    zone_close(&z);
}


static s3c_ram_pin_t
cold_hold(s3c_ram_t *ram, uint64_t n, uint32_t size, uint64_t now_ms,
    bool replaces)
{
    s3c_ram_pin_t  pin;

    assert_int_equal(s3c_ram_fill_begin_cold(ram, key_of(n), replaces, now_ms,
                                             &pin), S3C_OK);
    assert_int_equal(s3c_ram_fill_alloc(ram, &pin, size, 512, now_ms), S3C_OK);
    s3c_ram_fill_publish(ram, &pin, size);
    assert_int_equal(s3c_ram_fill_commit(ram, &pin, now_ms), S3C_OK);

    return pin;                /* whoever followed it reads it still */
}


static void
what_is_in_use_is_passed_by(void **state)
{
    zone_t         z;
    uint64_t       now;
    s3c_ram_pin_t  pin;

    (void) state;

    for (int policy = S3C_RAM_S3FIFO; policy <= S3C_RAM_LRU; policy++) {
        zone_open(&z, (s3c_ram_policy_t) policy, 4 * MIB);
        now = fill_hot(&z, 300);
        pin = cold_hold(z.ram, 10000, 200000, now, false);

        for (uint64_t i = 0; i < 2000; i++) {
            assert_int_equal(object_put(z.ram, 50000 + i, 4000, now + i / 2,
                                        false), S3C_OK);
        }

        s3c_ram_unpin(z.ram, &pin);
        zone_close(&z);
    }
}


/* Longer than the ring of lru spans at its finest. */
static void
flash_lets_it_go_on_beside_what_is_old(void **state)
{
    zone_t    z;
    uint64_t  now;

    (void) state;

    for (int policy = S3C_RAM_S3FIFO; policy <= S3C_RAM_LRU; policy++) {
        zone_open(&z, (s3c_ram_policy_t) policy, 4 * MIB);
        now = fill_hot(&z, 300) + z.now_ms + 100000;
        assert_int_equal(object_put(z.ram, 300, 4000, now, false), S3C_OK);
        find(z.ram, 300, now + 8);

        assert_int_equal(fill_cold(&z, 10000, 3000, now + 8, true), 3000);

        for (uint64_t i = 0; i <= 300; i++) {
            assert_true(object_there(z.ram, i));
        }

        /* one of them is read: it stays, and is in nobody's way */
        find(z.ram, 12990, now + 1000);
        assert_int_equal(fill_cold(&z, 20000, 3000, now + 1000, true), 3000);
        assert_true(object_there(z.ram, 12990));
        zone_close(&z);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(nothing_that_was_asked_for_leaves),
        cmocka_unit_test(what_was_asked_for_once_leaves_in_s3fifo),
        cmocka_unit_test(what_flash_has_too_is_replaced),
        cmocka_unit_test(it_leaves_before_all_others),
        cmocka_unit_test(a_request_ends_it),
        cmocka_unit_test(it_is_no_request_itself),
        cmocka_unit_test(what_is_in_use_is_passed_by),
        cmocka_unit_test(flash_lets_it_go_on_beside_what_is_old),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
