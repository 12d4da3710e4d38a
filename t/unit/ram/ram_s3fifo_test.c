/* SPDX-License-Identifier: Apache-2.0 */
#include "ram_test.h"


static void
small_queue_is_left_by_who_was_hit(void **state)
{
    zone_t         z;
    s3c_ram_pin_t  pin;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);

    for (uint64_t i = 0; i < 3000; i++) {
        assert_int_equal(object_put(z.ram, i, 4000, i, false), S3C_OK);

        if (i < 100) {
            assert_int_equal(s3c_ram_find(z.ram, key_of(i), i, &pin), S3C_OK);
            s3c_ram_unpin(z.ram, &pin);
        }
    }

    /* Scanned past by thousands that were asked for once. */
    for (uint64_t i = 0; i < 100; i++) {
        assert_true(object_there(z.ram, i));
    }

    assert_false(object_there(z.ram, 100));
    assert_int_equal(z.ram->s->n_main, 100);
    zone_close(&z);
}


static void
what_the_ghost_remembers_goes_to_main(void **state)
{
    zone_t           z;
    uint64_t         i, n;
    s3c_ram_pin_t    pin;
    s3c_ram_usage_t  u;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);

    for (i = 0; i < 3000; i++) {         /* a main queue of some 500 */
        assert_int_equal(object_put(z.ram, i, 4000, i, false), S3C_OK);

        if (i < 500) {
            assert_int_equal(s3c_ram_find(z.ram, key_of(i), i, &pin), S3C_OK);
            s3c_ram_unpin(z.ram, &pin);
        }
    }

    n = z.ram->s->n_main;
    assert_int_equal(n, 500);

    for (i = 2999; object_there(z.ram, i); i--) { /* the youngest gone */ }

    assert_int_equal(object_put(z.ram, i, 4000, 1, false), S3C_OK);
    s3c_ram_usage(z.ram, &u);
    assert_int_equal(u.n_ghost_hit, 1);
    assert_int_equal(z.ram->s->n_main, n + 1);

    /* More insertions ago than main has, or would have of all there are: none;
       less: all but those whose bucket has had others since. */
    n = z.ram->s->n_entries * 4 / 5;
    assert_true(n > 700);

    for (uint64_t k = 0; k < 20; k++) {
        assert_int_equal(object_put(z.ram, i - n - 100 + k, 4000, 1, false),
                         S3C_OK);
    }

    s3c_ram_usage(z.ram, &u);
    assert_int_equal(u.n_ghost_hit, 1);

    for (uint64_t k = 0; k < 20; k++) {
        assert_int_equal(object_put(z.ram, i - n + 100 + k, 4000, 1, false),
                         S3C_OK);
    }

    s3c_ram_usage(z.ram, &u);
    assert_true(u.n_ghost_hit > 5);
    zone_close(&z);
}


/* All is read in a circle that is a little larger than the zone: who comes back
 * finds it remembered, though nothing was ever hit, and most of it stays. */
static void
what_is_read_in_a_circle_is_hit(void **state)
{
    zone_t         z;
    uint64_t       found = 0;
    s3c_ram_pin_t  pin;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);

    for (uint64_t i = 0; i < 20 * 1200; i++) {
        if (s3c_ram_find(z.ram, key_of(i % 1200), i, &pin) == S3C_OK) {
            s3c_ram_unpin(z.ram, &pin);
            found += i >= 10 * 1200;

        } else {
            assert_int_equal(object_put(z.ram, i % 1200, 4000, i, false),
                             S3C_OK);
        }
    }

    printf("hits of a circle: %.1f %%\n", (double) found / 120);
    assert_true(found > 10 * 1200 / 4);
    zone_close(&z);
}


static void
small_queue_is_a_fifth(void **state)
{
    zone_t         z;
    double         share;
    uint64_t       rng = 1, n;
    s3c_ram_pin_t  pin;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);

    for (uint64_t i = 0; i < 60000; i++) {
        n = rng_next(&rng) % (i % 2 ? 200 : 5000);

        if (s3c_ram_find(z.ram, key_of(n), i, &pin) != S3C_OK) {
            assert_int_equal(object_put(z.ram, n, 4000, i, false), S3C_OK);
        }

        s3c_ram_unpin(z.ram, &pin);
    }

    share = (double) z.ram->s->small_bytes
            / (double) (z.ram->s->small_bytes + z.ram->s->main_bytes);
    print_message("small queue %.1f %%\n", 100 * share);
    assert_true(share > 0.18 && share < 0.22);
    zone_close(&z);
}

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(small_queue_is_left_by_who_was_hit),
        cmocka_unit_test(what_the_ghost_remembers_goes_to_main),
        cmocka_unit_test(what_is_read_in_a_circle_is_hit),
        cmocka_unit_test(small_queue_is_a_fifth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
