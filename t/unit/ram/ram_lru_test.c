/* SPDX-License-Identifier: Apache-2.0
 *
 * Victims leave in the order of their last request: replayed against a list
 * that moves what is requested to its end.
 */
#include "ram_test.h"

#define KEYS  4000

typedef struct {
    int  prev[KEYS + 1];                 /* KEYS is the sentinel */
    int  next[KEYS + 1];
    int  last[KEYS];                     /* when requested, in steps */
    int  in[KEYS];
} model_t;

static model_t  m;


static void
model_remove(int k)
{
    m.next[m.prev[k]] = m.next[k];
    m.prev[m.next[k]] = m.prev[k];
    m.in[k] = 0;
}


static void
model_touch(int k, int step)
{
    if (m.in[k]) {
        model_remove(k);
    }

    m.prev[k] = m.prev[KEYS];
    m.next[k] = KEYS;
    m.next[m.prev[KEYS]] = k;
    m.prev[KEYS] = k;
    m.in[k] = 1;
    m.last[k] = step;
}


/* What is gone from the cache must be what stood first in the list: nobody
 * left who was requested more than `slack` steps after one who stayed. */
static void
model_follow(zone_t *z, uint64_t n_evicted, int slack)
{
    int  k, next, stayed = -1;

    for (k = m.next[KEYS]; n_evicted > 0 && k != KEYS; k = next) {
        next = m.next[k];

        if (object_there(z->ram, k)) {
            stayed = stayed < 0 ? m.last[k] : stayed;
            continue;
        }

        assert_true(stayed < 0 || m.last[k] - stayed <= slack);
        model_remove(k);
        n_evicted--;
    }

    assert_int_equal(n_evicted, 0);
}


/* `step_ms` between requests; `slack` in requests. */
static void
replay(uint32_t step_ms, int steps, uint32_t size_most, int slack)
{
    int            k;
    zone_t         z;
    uint32_t       size;
    uint64_t       rng = 3, evicted = 0;
    s3c_ram_pin_t  pin;
    s3c_status_t   st;

    zone_open(&z, S3C_RAM_LRU, 4 * MIB);
    memset(&m, 0, sizeof(m));
    m.prev[KEYS] = m.next[KEYS] = KEYS;

    for (int i = 0; i < steps; i++) {
        z.now_ms += step_ms;

        /* A third on a few hot keys, the rest anywhere. */
        k = (int) (rng_next(&rng) % (rng_next(&rng) % 3 == 0 ? 100 : KEYS));
        st = s3c_ram_find(z.ram, key_of(k), z.now_ms, &pin);
        s3c_ram_unpin(z.ram, &pin);
        assert_int_equal(st, m.in[k] ? S3C_OK : S3C_MISS);

        if (st == S3C_MISS) {
            size = 512 + (uint32_t) (rng_next(&rng) % size_most);
            assert_int_equal(object_put(z.ram, k, size, z.now_ms, false),
                             S3C_OK);
            model_follow(&z, z.ram->s->n_evict - evicted, slack);
            evicted = z.ram->s->n_evict;
        }

        model_touch(k, i);
    }

    assert_true(evicted > 1000);
    zone_close(&z);
}


static void
victims_are_those_of_a_list(void **state)
{
    (void) state;

    /* About 200 objects: the oldest is some 400 steps old, within the ring's
     * 1024 lists of one tick, so the order is exact. */
    replay(4, 30000, 40000, 0);
}


static void
order_holds_up_to_the_bucket_when_time_is_long(void **state)
{
    (void) state;

    /* A request every 10 s, 10 minutes: hours of age, spans of minutes. Some
     * 1500 steps from the oldest to the newest: 1/256 of it are 6. */
    replay(4, 20000, 9000, 6);
    replay(10 * 1000, 20000, 9000, 6);
    replay(600 * 1000, 8000, 9000, 6);
}


static void
span_shrinks_again_after_a_quiet_night(void **state)
{
    zone_t  z;

    (void) state;
    zone_open(&z, S3C_RAM_LRU, 4 * MIB);

    for (uint64_t i = 0; i < 500; i++) {
        z.now_ms += 100 * 1000;          /* 14 hours */
        assert_int_equal(object_put(z.ram, i, 4000, z.now_ms, false), S3C_OK);
    }

    assert_true(z.ram->s->ring_shift >= 13);

    for (uint64_t i = 500; i < 4000; i++) {
        z.now_ms += 4;
        assert_int_equal(object_put(z.ram, i, 4000, z.now_ms, false), S3C_OK);
    }

    assert_true(z.ram->s->ring_shift <= 4);
    zone_audit(&z);

    for (uint64_t i = 4000; i < 6000; i++) {
        z.now_ms += 4;
        assert_int_equal(object_put(z.ram, i, 4000, z.now_ms, false), S3C_OK);
        assert_false(object_there(z.ram, z.ram->s->n_evict - 1));
        assert_true(object_there(z.ram, z.ram->s->n_evict));
    }

    zone_close(&z);
}


static void
held_entries_are_passed_over(void **state)
{
    zone_t         z;
    s3c_ram_pin_t  pins[20];

    (void) state;
    zone_open(&z, S3C_RAM_LRU, 4 * MIB);

    for (uint64_t i = 0; i < 3000; i++) {
        z.now_ms += 4;
        assert_int_equal(object_put(z.ram, i, 4000, z.now_ms, true), S3C_OK);

        if (i < 20) {
            assert_int_equal(s3c_ram_find(z.ram, key_of(i), z.now_ms,
                                          &pins[i]), S3C_OK);
        }
    }

    for (uint64_t i = 0; i < 20; i++) {
        assert_true(object_there(z.ram, i));
        assert_true(payload_is(z.ram, &pins[i], i));
        s3c_ram_unpin(z.ram, &pins[i]);
    }

    assert_false(object_there(z.ram, 20));
    zone_close(&z);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(victims_are_those_of_a_list),
        cmocka_unit_test(order_holds_up_to_the_bucket_when_time_is_long),
        cmocka_unit_test(span_shrinks_again_after_a_quiet_night),
        cmocka_unit_test(held_entries_are_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
