/* SPDX-License-Identifier: Apache-2.0 */
#include "ram_test.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <time.h>


static void
one_wake_until_it_is_answered(void **state)
{
    zone_t           z;
    uint32_t         fill, got[8];
    s3c_ram_t       *two;
    s3c_ram_pin_t    lead, follow;
    s3c_fill_view_t  v;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);
    assert_int_equal(s3c_ram_join(&two, z.region, z.bytes, zone_wake, &z, 1),
                     S3C_OK);
    assert_int_equal(s3c_ram_slot(two), 1);

    assert_int_equal(s3c_ram_fill_begin(z.ram, key_of(1), 1, &lead), S3C_OK);
    assert_int_equal(s3c_ram_find(two, key_of(1), 1, &follow), S3C_AGAIN);
    fill = s3c_ram_watch(two, &follow);
    assert_true(fill < 1024);
    assert_int_equal(s3c_ram_fill_alloc(z.ram, &lead, 9000, 0, 1), S3C_OK);
    assert_int_equal(z.n_wakes[1], 0);

    for (uint32_t i = 1; i < 9; i++) {
        s3c_ram_fill_publish(z.ram, &lead, i * 1000);
    }

    assert_int_equal(z.n_wakes[1], 1);
    assert_int_equal(z.n_wakes[0], 0);
    assert_int_equal(s3c_ram_woken(two, got, 8), 1);
    assert_int_equal(got[0], fill);
    assert_int_equal(s3c_ram_woken(two, got, 8), 0);
    s3c_ram_view(two, &follow, &v);
    assert_int_equal(v.filled, 8000);

    /* The leader's own slot may watch, too. */
    assert_int_equal(s3c_ram_watch(z.ram, &lead), fill);
    assert_int_equal(s3c_ram_fill_commit(z.ram, &lead, 1), S3C_OK);
    assert_int_equal(z.n_wakes[1], 2);
    assert_int_equal(z.n_wakes[0], 1);
    assert_int_equal(s3c_ram_woken(two, got, 8), 1);
    assert_int_equal(s3c_ram_woken(z.ram, got, 8), 1);
    assert_int_equal(s3c_ram_watch(two, &follow), UINT32_MAX);

    s3c_ram_unpin(z.ram, &lead);
    s3c_ram_unpin(two, &follow);
    s3c_ram_leave(two);
    zone_close(&z);
}


static void
many_moved_fills_come_in_portions(void **state)
{
    bool           seen[1024] = { false };
    zone_t         z;
    uint32_t       got[7], n, sum = 0;
    s3c_ram_pin_t  pins[300];

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);

    for (int i = 0; i < 300; i++) {
        assert_int_equal(s3c_ram_fill_begin(z.ram, key_of(i), 1, &pins[i]),
                         S3C_OK);
        assert_true(s3c_ram_watch(z.ram, &pins[i]) < 1024);
    }

    for (int i = 0; i < 300; i++) {
        s3c_ram_fill_fail(z.ram, &pins[i], 1);
        s3c_ram_unpin(z.ram, &pins[i]);
    }

    assert_int_equal(z.n_wakes[0], 1);

    while ((n = s3c_ram_woken(z.ram, got, 7)) > 0) {
        sum += n;

        for (uint32_t i = 0; i < n; i++) {
            assert_false(seen[got[i]]);
            seen[got[i]] = true;
        }
    }

    assert_int_equal(sum, 300);
    zone_close(&z);
}


static void
a_word_from_a_used_again_number_is_not_believed(void **state)
{
    zone_t           z;
    s3c_ram_pin_t    old, lead;
    s3c_fill_view_t  v;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);
    assert_int_equal(object_put(z.ram, 1, 5000, 1, true), S3C_OK);
    assert_int_equal(s3c_ram_find(z.ram, key_of(1), 1, &old), S3C_OK);

    /* The same number fills another entry, and has 10 bytes. */
    assert_int_equal(s3c_ram_fill_begin(z.ram, key_of(2), 1, &lead), S3C_OK);
    assert_int_equal(s3c_ram_entry_at(z.ram, old.entry)->fill,
                     s3c_ram_entry_at(z.ram, lead.entry)->fill);
    assert_int_equal(s3c_ram_fill_alloc(z.ram, &lead, 700, 0, 1), S3C_OK);
    s3c_ram_fill_publish(z.ram, &lead, 10);

    s3c_ram_view(z.ram, &old, &v);
    assert_int_equal(v.phase, S3C_FILL_DONE);
    assert_int_equal(v.filled, 5000);

    s3c_ram_fill_fail(z.ram, &lead, 9);
    s3c_ram_unpin(z.ram, &lead);
    s3c_ram_unpin(z.ram, &old);
    zone_close(&z);
}

/* A leader and a follower, each a thread with a slot of its own. The follower
 * sleeps until it is woken; one lost wake and it sleeps for good. */
#define FILLS  3000
#define AHEAD  4

typedef struct {
    zone_t             *z;
    sem_t               sem[2];
    _Atomic uint64_t    at;              /* the follower's key */
    uint64_t            n_slept;
    uint64_t            n_wrong;
} pair_t;


static void
pair_wake(void *ctx, uint32_t slot)
{
    sem_post(&((pair_t *) ctx)->sem[slot]);
}


/* Only for a test that fails: so that it ends. */
static bool
pair_sleep(pair_t *p, uint32_t slot)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    ts.tv_sec += 60;

    return sem_timedwait(&p->sem[slot], &ts) == 0;
}


static void
follow_one(pair_t *p, s3c_ram_t *ram, uint64_t n)
{
    uint32_t         fills[4], last = 0;
    s3c_status_t     st;
    s3c_ram_pin_t    pin;
    s3c_fill_view_t  v;

    while ((st = s3c_ram_find(ram, key_of(n), n, &pin)) == S3C_MISS) {
        sched_yield();
    }

    (void) s3c_ram_watch(ram, &pin);

    for ( ;; ) {
        s3c_ram_view(ram, &pin, &v);
        p->n_wrong += v.filled < last && v.phase != S3C_FILL_FAILED;
        last = (uint32_t) v.filled;

        if (v.phase == S3C_FILL_DONE || v.phase == S3C_FILL_FAILED) {
            p->n_wrong += v.phase == S3C_FILL_FAILED && v.reason != 77;
            p->n_wrong += v.phase == S3C_FILL_DONE
                          && !payload_is(ram, &pin, n);
            break;
        }

        p->n_slept++;

        if (!pair_sleep(p, s3c_ram_slot(ram))) {
            p->n_wrong++;
            break;
        }

        while (s3c_ram_woken(ram, fills, 4) > 0) { /* void */ }
    }

    s3c_ram_unpin(ram, &pin);
}


static void *
follower_run(void *ctx)
{
    pair_t     *p = ctx;
    s3c_ram_t  *ram;

    if (s3c_ram_join(&ram, p->z->region, p->z->bytes, pair_wake, p, 1)
        != S3C_OK)
    {
        p->n_wrong++;
        p->at = FILLS;
        return NULL;
    }

    while (p->at < FILLS) {
        if (p->at % 8 != 7) {            /* those fail, and may be gone */
            follow_one(p, ram, p->at);
        }

        p->at++;
    }

    s3c_ram_leave(ram);

    return NULL;
}


static void
no_wake_is_lost(void **state)
{
    zone_t         z;
    pair_t         p = { .z = &z };
    uint32_t       size = 7000;
    pthread_t      thread;
    s3c_ram_pin_t  pin;

    (void) state;
    zone_open(&z, S3C_RAM_LRU, 16 * MIB);
    z.ram->wake = pair_wake;
    z.ram->wake_ctx = &p;
    assert_int_equal(sem_init(&p.sem[0], 0, 0), 0);
    assert_int_equal(sem_init(&p.sem[1], 0, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, follower_run, &p), 0);

    for (uint64_t n = 0; n < FILLS; n++) {
        while (n > p.at + AHEAD) {
            sched_yield();
        }

        assert_int_equal(s3c_ram_fill_begin(z.ram, key_of(n), n, &pin),
                         S3C_OK);
        assert_int_equal(s3c_ram_fill_alloc(z.ram, &pin, size, 512, n),
                         S3C_OK);
        payload_put(z.ram, &pin, n);

        for (uint32_t i = 1; i < 8; i++) {
            s3c_ram_fill_publish(z.ram, &pin, i * 1000);
        }

        if (n % 8 == 7) {
            s3c_ram_fill_fail(z.ram, &pin, 77);

        } else {
            if (n % 8 == 3) {
                while (p.at < n) {       /* so that it is found at all */
                    sched_yield();
                }
            }

            assert_int_equal(s3c_ram_fill_commit(z.ram, &pin, n), S3C_OK);
        }

        s3c_ram_unpin(z.ram, &pin);
    }

    assert_int_equal(pthread_join(thread, NULL), 0);
    print_message("slept %llu times\n", (unsigned long long) p.n_slept);
    assert_int_equal(p.n_wrong, 0);
    sem_destroy(&p.sem[0]);
    sem_destroy(&p.sem[1]);
    z.ram->wake = zone_wake;
    z.ram->wake_ctx = &z;
    zone_close(&z);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(one_wake_until_it_is_answered),
        cmocka_unit_test(many_moved_fills_come_in_portions),
        cmocka_unit_test(a_word_from_a_used_again_number_is_not_believed),
        cmocka_unit_test(no_wake_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
