/* SPDX-License-Identifier: Apache-2.0 */
#include "ram_test.h"


#include <pthread.h>


static void
a_table_grows_and_shrinks(void **state)
{
    zone_t           z;
    s3c_ram_pin_t   *pins;
    s3c_ram_usage_t  u;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 128 * MIB);        /* 4096 places */
    assert_int_equal(object_put(z.ram, 1, 100, 1, true), S3C_OK);
    pins = calloc(5000, sizeof(*pins));
    assert_non_null(pins);
    assert_int_equal(z.ram->n_pins, 1024);

    for (int i = 0; i < 4096; i++) {
        assert_int_equal(s3c_ram_find(z.ram, key_of(1), 1, &pins[i]), S3C_OK);
        assert_int_equal(pins[i].place, i);
    }

    assert_int_equal(s3c_ram_find(z.ram, key_of(1), 1, &pins[4096]), S3C_BUSY);
    assert_false(s3c_ram_pinned(&pins[4096]));
    s3c_ram_usage(z.ram, &u);
    assert_int_equal(u.pins, 4096);
    assert_int_equal(u.n_busy, 1);

    s3c_ram_unpin(z.ram, &pins[2000]);
    assert_int_equal(s3c_ram_pin_again(z.ram, &pins[0], &pins[2000]), S3C_OK);
    assert_int_equal(pins[2000].place, 2000);

    for (int i = 4095; i >= 70; i--) {
        s3c_ram_unpin(z.ram, &pins[i]);
    }

    assert_int_equal(s3c_ram_slot_at(z.ram, 0)->high, 128);

    for (int i = 0; i < 70; i++) {
        s3c_ram_unpin(z.ram, &pins[i]);
    }

    assert_int_equal(s3c_ram_slot_at(z.ram, 0)->high, 64);
    assert_int_equal(s3c_ram_pins_count(z.ram), 0);
    free(pins);
    zone_close(&z);
}


static void
the_holder_is_found_among_many(void **state)
{
    zone_t         z;
    uint32_t       cand[64];
    uint64_t       want = 0;
    s3c_ram_t     *two;
    s3c_ram_pin_t  pins[64];

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);
    assert_int_equal(s3c_ram_join(&two, z.region, z.bytes, zone_wake, &z, 1),
                     S3C_OK);

    for (int i = 0; i < 64; i++) {
        assert_int_equal(object_put(z.ram, i, 100, 1, true), S3C_OK);
        assert_int_equal(s3c_ram_find(i % 2 ? two : z.ram, key_of(i), 1,
                                      &pins[i]), S3C_OK);
        cand[i] = pins[i].entry;
        want |= 1ull << i;
    }

    assert_true(s3c_ram_pins_hold_locked(z.ram, cand, 64) == want);

    for (int i = 0; i < 64; i++) {
        if (i % 3 == 0) {
            s3c_ram_unpin(i % 2 ? two : z.ram, &pins[i]);
            want &= ~(1ull << i);
        }
    }

    assert_true(s3c_ram_pins_hold_locked(z.ram, cand, 64) == want);
    s3c_ram_leave(two);

    for (int i = 0; i < 64; i += 2) {
        s3c_ram_unpin(z.ram, &pins[i]);
    }

    zone_close(&z);
}


/* Two threads as two workers: one puts and drops without end, the other reads
 * what it holds and must never see another object's bytes. */
typedef struct {
    zone_t         *z;
    volatile bool   stop;
    uint64_t        n_hits;
    uint64_t        n_wrong;
} reader_t;


static void *
reader_run(void *ctx)
{
    uint64_t        n, rng = 4, word;
    reader_t       *rd = ctx;
    s3c_ram_t      *ram;
    s3c_ram_pin_t   pin, two;

    if (s3c_ram_join(&ram, rd->z->region, rd->z->bytes, zone_wake, rd->z, 1)
        != S3C_OK)
    {
        rd->n_wrong++;
        return NULL;
    }

    while (!__atomic_load_n(&rd->stop, __ATOMIC_RELAXED)) {
        n = rng_next(&rng) % 300;

        if (s3c_ram_find(ram, key_of(n), 1, &pin) == S3C_OK) {
            rd->n_hits++;
            memcpy(&word, s3c_ram_head(ram, &pin), 8);
            rd->n_wrong += word != n;

            if (s3c_ram_pin_again(ram, &pin, &two) == S3C_OK) {
                s3c_ram_unpin(ram, &pin);
                pin = two;
            }

            rd->n_wrong += !payload_is(ram, &pin, n);
        }

        s3c_ram_unpin(ram, &pin);
    }

    s3c_ram_leave(ram);

    return NULL;
}


static void
a_reader_never_sees_what_it_did_not_pin(void **state)
{
    zone_t     z;
    uint64_t   n, rng = 5;
    pthread_t  thread;

    (void) state;

    for (int policy = 0; policy < 2; policy++) {
        reader_t  rd = { &z, false, 0, 0 };

        zone_open(&z, policy, 4 * MIB);
        assert_int_equal(pthread_create(&thread, NULL, reader_run, &rd), 0);

        for (int i = 0; i < 20000; i++) {
            n = rng_next(&rng) % 300;

            if (i % 5 == 0) {
                (void) s3c_ram_drop(z.ram, key_of(n));

            } else if (i % 5001 == 1) {          /* in the midst of it all */
                assert_int_equal(s3c_ram_lock(z.ram), S3C_OK);
                s3c_ram_heal_locked(z.ram, i % 2);
                s3c_ram_unlock(z.ram);

            } else {
                (void) object_put(z.ram, n, 100 + (uint32_t)
                                  (rng_next(&rng) % 40000), 1 + i, true);
            }
        }

        __atomic_store_n(&rd.stop, true, __ATOMIC_RELAXED);
        assert_int_equal(pthread_join(thread, NULL), 0);
        print_message("%llu hits\n", (unsigned long long) rd.n_hits);
        assert_int_equal(rd.n_wrong, 0);
        zone_close(&z);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_table_grows_and_shrinks),
        cmocka_unit_test(the_holder_is_found_among_many),
        cmocka_unit_test(a_reader_never_sees_what_it_did_not_pin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
