/* SPDX-License-Identifier: Apache-2.0 */
#include "ram_test.h"


static void
fill_is_followed_and_found(void **state)
{
    zone_t           z;
    s3c_ram_pin_t    lead, follow, third;
    s3c_fill_view_t  v;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 16 * MIB);

    assert_int_equal(s3c_ram_find(z.ram, key_of(1), 1, &lead), S3C_MISS);
    assert_false(s3c_ram_pinned(&lead));
    assert_int_equal(s3c_ram_fill_begin(z.ram, key_of(1), 1, &lead), S3C_OK);
    assert_int_equal(s3c_ram_find(z.ram, key_of(1), 1, &follow), S3C_AGAIN);
    assert_int_equal(s3c_ram_fill_begin(z.ram, key_of(1), 1, &third),
                     S3C_AGAIN);
    s3c_ram_unpin(z.ram, &third);

    s3c_ram_view(z.ram, &follow, &v);
    assert_int_equal(v.phase, S3C_FILL_ASKING);
    assert_int_equal(v.size, 0);
    assert_null(s3c_ram_head(z.ram, &follow));

    assert_int_equal(s3c_ram_fill_alloc(z.ram, &lead, 41267, 700, 1), S3C_OK);
    s3c_ram_view(z.ram, &follow, &v);
    assert_int_equal(v.phase, S3C_FILL_ASKING);

    payload_put(z.ram, &lead, 1);
    s3c_ram_fill_publish(z.ram, &lead, 100);
    s3c_ram_view(z.ram, &follow, &v);
    assert_int_equal(v.phase, S3C_FILL_BODY);
    assert_int_equal(v.filled, 100);
    assert_int_equal(v.size, 41267);
    zone_audit(&z);

    assert_int_equal(s3c_ram_fill_commit(z.ram, &lead, 1), S3C_OK);
    s3c_ram_view(z.ram, &follow, &v);
    assert_int_equal(v.phase, S3C_FILL_DONE);
    assert_int_equal(v.filled, 41267);
    assert_true(payload_is(z.ram, &follow, 1));

    assert_int_equal(s3c_ram_fill_begin(z.ram, key_of(1), 1, &third),
                     S3C_EXISTS);
    s3c_ram_unpin(z.ram, &third);
    assert_int_equal(s3c_ram_find(z.ram, key_of(1), 1, &third), S3C_OK);
    s3c_ram_unpin(z.ram, &third);
    s3c_ram_unpin(z.ram, &follow);
    s3c_ram_unpin(z.ram, &lead);
    assert_false(s3c_ram_pinned(&lead));

    zone_close(&z);
}


static void
failed_fill_keeps_its_reason_for_who_holds_it(void **state)
{
    zone_t           z;
    s3c_ram_pin_t    lead, follow, other;
    s3c_ram_usage_t  u;
    s3c_fill_view_t  v;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 16 * MIB);

    assert_int_equal(s3c_ram_fill_begin(z.ram, key_of(1), 1, &lead), S3C_OK);
    assert_int_equal(s3c_ram_fill_alloc(z.ram, &lead, 5000, 0, 1), S3C_OK);
    assert_int_equal(s3c_ram_find(z.ram, key_of(1), 1, &follow), S3C_AGAIN);
    s3c_ram_fill_fail(z.ram, &lead, 404);
    s3c_ram_unpin(z.ram, &lead);

    /* The number is used again by another fill. */
    assert_int_equal(s3c_ram_fill_begin(z.ram, key_of(2), 1, &other), S3C_OK);
    s3c_ram_view(z.ram, &follow, &v);
    assert_int_equal(v.phase, S3C_FILL_FAILED);
    assert_int_equal(v.reason, 404);
    assert_int_equal(s3c_ram_find(z.ram, key_of(1), 1, &lead), S3C_MISS);
    assert_int_equal(s3c_ram_watch(z.ram, &follow), UINT32_MAX);

    s3c_ram_sweep(z.ram, 2);
    s3c_ram_usage(z.ram, &u);
    assert_int_equal(u.limbo, 1);
    s3c_ram_unpin(z.ram, &follow);
    s3c_ram_sweep(z.ram, 3);
    s3c_ram_usage(z.ram, &u);
    assert_int_equal(u.limbo, 0);
    assert_int_equal(u.fill_bytes, 0);
    assert_int_equal(u.payload_bytes, 0);
    assert_int_equal(u.allocated_bytes, 0);

    s3c_ram_fill_fail(z.ram, &other, 1);
    s3c_ram_unpin(z.ram, &other);
    zone_close(&z);
}


static void
dropped_fill_serves_its_holders_only(void **state)
{
    zone_t           z;
    s3c_ram_pin_t    lead, follow, again;
    s3c_fill_view_t  v;

    (void) state;
    zone_open(&z, S3C_RAM_LRU, 16 * MIB);

    assert_int_equal(s3c_ram_fill_begin(z.ram, key_of(1), 1, &lead), S3C_OK);
    assert_int_equal(s3c_ram_fill_alloc(z.ram, &lead, 5000, 0, 1), S3C_OK);
    assert_int_equal(s3c_ram_find(z.ram, key_of(1), 1, &follow), S3C_AGAIN);
    assert_int_equal(s3c_ram_drop(z.ram, key_of(1)), S3C_OK);
    assert_int_equal(s3c_ram_drop(z.ram, key_of(1)), S3C_MISS);
    assert_int_equal(s3c_ram_drop_pinned(z.ram, &follow), S3C_MISS);

    /* A new fill of the key begins beside it. */
    assert_int_equal(s3c_ram_fill_begin(z.ram, key_of(1), 1, &again), S3C_OK);
    assert_int_not_equal(again.entry, lead.entry);

    payload_put(z.ram, &lead, 1);
    s3c_ram_fill_publish(z.ram, &lead, 4000);
    s3c_ram_view(z.ram, &follow, &v);
    assert_int_equal(v.phase, S3C_FILL_BODY);
    assert_int_equal(v.filled, 4000);
    assert_int_equal(s3c_ram_fill_commit(z.ram, &lead, 1), S3C_CHANGED);
    s3c_ram_unpin(z.ram, &lead);
    s3c_ram_view(z.ram, &follow, &v);
    assert_int_equal(v.phase, S3C_FILL_DONE);
    s3c_ram_sweep(z.ram, 2);
    assert_true(payload_is(z.ram, &follow, 1));
    s3c_ram_unpin(z.ram, &follow);

    s3c_ram_fill_fail(z.ram, &again, 7);
    s3c_ram_unpin(z.ram, &again);
    s3c_ram_sweep(z.ram, 2);
    zone_close(&z);
}


static void
limits_answer_busy_and_full(void **state)
{
    zone_t           z;
    s3c_ram_pin_t    pins[1025], pin;
    s3c_ram_usage_t  u;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 16 * MIB);

    for (int i = 0; i < 1024; i++) {
        assert_int_equal(s3c_ram_fill_begin(z.ram, key_of(i), 1, &pins[i]),
                         i < 1024 ? S3C_OK : S3C_BUSY);
    }

    /* Both the fills and my pins are all in use. */
    assert_int_equal(s3c_ram_fill_begin(z.ram, key_of(5000), 1, &pin),
                     S3C_BUSY);
    assert_false(s3c_ram_pinned(&pin));
    assert_int_equal(s3c_ram_find(z.ram, key_of(0), 1, &pin), S3C_BUSY);
    assert_int_equal(s3c_ram_pin_again(z.ram, &pins[0], &pin), S3C_BUSY);

    for (int i = 10; i < 1024; i++) {
        s3c_ram_fill_fail(z.ram, &pins[i], 1);
        s3c_ram_unpin(z.ram, &pins[i]);
    }

    assert_int_equal(s3c_ram_fill_alloc(z.ram, &pins[0], 65 * MIB, 0, 1),
                     S3C_BUSY);
    assert_int_equal(s3c_ram_fill_alloc(z.ram, &pins[0], 9 * MIB, 0, 1),
                     S3C_BUSY);
    assert_int_equal(s3c_ram_fill_alloc(z.ram, &pins[0], 7 * MIB, 0, 1),
                     S3C_OK);
    assert_int_equal(s3c_ram_fill_alloc(z.ram, &pins[1], 2 * MIB, 0, 1),
                     S3C_BUSY);
    assert_int_equal(s3c_ram_fill_alloc(z.ram, &pins[1], MIB / 2, 0, 1),
                     S3C_OK);
    assert_int_equal(s3c_ram_fill_commit(z.ram, &pins[0], 1), S3C_OK);
    assert_int_equal(s3c_ram_fill_alloc(z.ram, &pins[2], 6 * MIB, 0, 1),
                     S3C_OK);
    assert_int_equal(s3c_ram_fill_commit(z.ram, &pins[2], 1), S3C_OK);

    /* 13.5 of 16 MiB are held: nothing to evict. */
    assert_int_equal(s3c_ram_fill_alloc(z.ram, &pins[3], 4 * MIB, 0, 1),
                     S3C_FULL);
    s3c_ram_unpin(z.ram, &pins[0]);
    assert_int_equal(s3c_ram_fill_alloc(z.ram, &pins[3], 4 * MIB, 0, 1),
                     S3C_OK);

    s3c_ram_usage(z.ram, &u);
    assert_int_equal(u.n_full, 1);
    assert_true(u.n_busy >= 5);
    assert_int_equal(u.n_evict, 1);

    for (int i = 1; i < 10; i++) {
        s3c_ram_fill_fail(z.ram, &pins[i], 1);
        s3c_ram_unpin(z.ram, &pins[i]);
    }

    zone_close(&z);
}


static void
zero_bytes_are_an_object(void **state)
{
    int            n = 4;
    zone_t         z;
    struct iovec   iov[4];
    s3c_ram_pin_t  pin;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);
    assert_int_equal(object_put(z.ram, 1, 0, 1, true), S3C_OK);
    assert_int_equal(s3c_ram_find(z.ram, key_of(1), 1, &pin), S3C_OK);
    assert_int_equal(s3c_ram_size(z.ram, &pin), 0);
    assert_non_null(s3c_ram_head(z.ram, &pin));
    assert_int_equal(s3c_ram_span(z.ram, &pin, 0, 10, iov, &n), 0);
    assert_int_equal(n, 0);
    s3c_ram_unpin(z.ram, &pin);
    zone_close(&z);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(fill_is_followed_and_found),
        cmocka_unit_test(failed_fill_keeps_its_reason_for_who_holds_it),
        cmocka_unit_test(dropped_fill_serves_its_holders_only),
        cmocka_unit_test(limits_answer_busy_and_full),
        cmocka_unit_test(zero_bytes_are_an_object),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
