/* SPDX-License-Identifier: Apache-2.0
 *
 * What goes on while media are recovered: objects are dropped, put and asked
 * for, and the keeper dies.
 */
#include "ssd_recover_test.h"


static void
media_of_all(bed_t *b)
{
    seg_t  *s;

    for (uint32_t i = 0; i < 6; i++) {
        s = seg_begin(b, 0, i, 0);

        for (uint32_t k = 0; k < 200; k++) {
            put(b, s, (uint32_t) sim_below(&b->rng, KEYS), b->seq++, 1500);
        }

        seg_end(b, s, i % 3 != 2);
    }
}


/* Drops and puts at any moment of it; nothing dropped is ever seen again. */
static void
drops_while_recovering_last(void **state)
{
    uint64_t  bytes;

    (void) state;

    for (uint64_t seed = 1; seed <= 30; seed++) {
        bed_t     b;
        uint32_t  i, n = 0;
        uint8_t   data[1500] = { 0 };
        bool      ours[KEYS] = { false };

        bed_open(&b, seed, 1);
        b.disk.delay_max_us = 40000;
        media_of_all(&b);
        assert_int_equal(sim_worker_join(&b.w[0], &b.zone, false), S3C_OK);

        while (s3c_ssd_state(b.w[0].ssd, 0) != S3C_SSD_SERVING) {
            sim_run_for(&b.disk, b.w, 1, 3);

            if (s3c_ssd_state(b.w[0].ssd, 0) != S3C_SSD_RECOVERING) {
                continue;
            }

            for (i = 0; i < 3; i++) {
                uint32_t      key = (uint32_t) sim_below(&b.rng, KEYS);
                uint64_t      tag[2] = { 0, 0 };
                struct iovec  iov = { data, sizeof(data) };

                if (sim_below(&b.rng, 3) == 0) {
                    ours[key] = s3c_ssd_put(b.w[0].ssd, key_of(key), tag,
                                    &iov, 1, sizeof(data),
                                    sim_now_ms(&b.disk)) == S3C_OK;
                } else {
                    (void) !s3c_ssd_drop(b.w[0].ssd, key_of(key),
                                         sim_now_ms(&b.disk));
                    ours[key] = false;
                }

                b.keys[key] = (truth_t) { .seq = 1, .tombstone = true };
                n++;
            }

            for (i = 0; i < KEYS; i++) {
                if (b.keys[i].tombstone && !ours[i]) {
                    assert_int_equal(s3c_ssd_find(b.w[0].ssd, key_of(i),
                                                  &bytes), S3C_MISS);
                }
            }
        }

        assert_true(n > 0);
        sim_run_for(&b.disk, b.w, 1, 1000);

        for (i = 0; i < KEYS; i++) {
            if (ours[i]) {
                assert_int_equal(s3c_ssd_find(b.w[0].ssd, key_of(i), &bytes),
                                 S3C_OK);
            } else {
                key_is(&b, i, b.keys[i].seq != 0 && !b.keys[i].tombstone);
            }
        }

        audit(&b, 0);
        bed_close(&b);
    }
}


/* Its tombstone is read long after it. */
static void
nothing_is_shown_too_early(void **state)
{
    bed_t     b;
    seg_t    *s;
    uint64_t  bytes;

    (void) state;
    bed_open(&b, 8, 1);
    s = seg_begin(&b, 0, 0, 0);
    put(&b, s, 1, b.seq++, 100);
    put(&b, s, 2, b.seq++, 100);
    seg_end(&b, s, true);
    s = seg_begin(&b, 0, 1, 0);
    kill_key(&b, s, 1, b.seq++);
    seg_end(&b, s, true);
    sim_disk_fault(&b.disk, (sim_fault_t) {
        .what = SIM_LATE, .file = 0, .kind = SIM_READS, .off = 2 * SEG,
        .len = SEG, .late_us = 500000 });
    assert_int_equal(sim_worker_join(&b.w[0], &b.zone, false), S3C_OK);

    while (s3c_ssd_state(b.w[0].ssd, 0) != S3C_SSD_SERVING) {
        sim_run_for(&b.disk, b.w, 1, 5);
        assert_int_equal(s3c_ssd_find(b.w[0].ssd, key_of(1), &bytes),
                         S3C_MISS);
    }

    truth_is(&b);
    bed_close(&b);
}


/* The keeper's thread ends, at each moment of mount and recovery; another
 * worker goes on, what this run has put is there. */
static void
keeper_dies_at_any_moment(void **state)
{
    uint64_t  bytes;

    (void) state;

    for (uint32_t ms = 1; ms < 400; ms += 7) {
        bed_t         b;
        uint8_t       data[1500] = { 0 };
        uint64_t      tag[2] = { 0, 0 };
        bool          had = false;
        seg_t        *s;
        struct iovec  iov = { data, sizeof(data) };

        bed_open(&b, ms, 1 + ms % 2);
        b.disk.delay_max_us = 20000;
        media_of_all(&b);

        if (ms % 2 == 1) {                   /* small: it serves before */
            s = seg_begin(&b, 1, 3, 0);
            put(&b, s, 9, b.seq++, 100);
            kill_key(&b, s, 10, b.seq++);
            seg_end(&b, s, true);
            sim_disk_fault(&b.disk, (sim_fault_t) {
                .what = SIM_LATE, .file = 0, .kind = SIM_READS, .off = SEG,
                .len = SEG, .late_us = 200000 });
        }

        assert_int_equal(sim_worker_join(&b.w[1], &b.zone, true), S3C_OK);
        sim_run_for(&b.disk, &b.w[1], 1, 60);
        assert_int_equal(sim_worker_join(&b.w[0], &b.zone, false), S3C_OK);
        sim_run_for(&b.disk, b.w, 2, ms);

        if (s3c_ssd_in_service(b.w[0].ssd, 0)
            && s3c_ssd_in_service(b.w[0].ssd, b.conf.n_stores - 1))
        {
            (void) !s3c_ssd_drop(b.w[0].ssd, key_of(5), sim_now_ms(&b.disk));
            b.keys[5].tombstone = true;
            had = s3c_ssd_put(b.w[0].ssd, key_of(6), tag, &iov, 1,
                              sizeof(data), sim_now_ms(&b.disk)) == S3C_OK;
        }

        sim_worker_kill(&b.w[1]);
        assert_true(sim_run_until_serving(&b.disk, b.w, 1, 20000));
        sim_run_for(&b.disk, b.w, 1, 500);

        for (uint32_t i = 0; i < KEYS; i++) {
            if (i != 6) {
                key_is(&b, i, b.keys[i].seq != 0 && !b.keys[i].tombstone);

            } else if (had) {
                assert_int_equal(s3c_ssd_find(b.w[0].ssd, key_of(i), &bytes),
                                 S3C_OK);
            }
        }

        audit(&b, 0);
        bed_close(&b);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        { "what is dropped while recovering never comes back",
          drops_while_recovering_last, NULL, NULL, NULL },
        { "nothing is shown before all is known", nothing_is_shown_too_early,
          NULL, NULL, NULL },
        { "a keeper may die at any moment", keeper_dies_at_any_moment, NULL,
          NULL, NULL }
    };

    return cmocka_run_group_tests_name("ssd_recover_live", tests, NULL, NULL);
}
