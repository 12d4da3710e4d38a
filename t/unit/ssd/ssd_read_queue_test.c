/* SPDX-License-Identifier: Apache-2.0
 *
 * Many reads over a simulated disk: who waits, for how long, and what stores
 * leave to each other.
 */
#include "ssd_read_test.h"


/* A store that hangs takes the buffers; the other's reads go on. */
static void
test_hang_beside_sound(void **state)
{
    bed_t       b;
    uint32_t    i, n_ok = 0;
    reader_t   *r = calloc(N_MANY, sizeof(*r));

    (void) state;
    bed_open(&b, 512, 2);
    sim_disk_fault(&b.disk, (sim_fault_t) {
        .what = SIM_HANG, .file = 0, .kind = SIM_READS
    });

    for (i = 0; i < 100; i++) {
        lay_at(&b, i, 20 * FRAME, i < 50 ? 0 : 1, 8 + 700 * (i % 11));
        r[i] = reader_of(&b, i, 0, UINT32_MAX);
        reader_begin(&r[i]);
        assert_int_equal(r[i].end, S3C_OK);

        /* the last of those at one place counts */
        if (i % 50 < 50 - 11) {
            s3c_ssd_read_cancel(b.w.ssd, &r[i].read);
        }
    }

    run_for(&b, 3000);

    for (i = 0; i < 100; i++) {
        if (i % 50 >= 50 - 11) {
            assert_int_equal(r[i].n_end, 1);
            n_ok += r[i].end == S3C_OK;
            assert_true(i >= 50 || r[i].end == S3C_TIMEOUT
                        || r[i].end == S3C_MISS);
        }
    }

    assert_true(n_ok > 0);
    r[0] = reader_of(&b, 99, 0, 100);
    assert_int_equal(read_now(&r[0]), S3C_OK);

    bed_close(&b);
    free(r);
}


/* One store hangs, again and again, more than there is memory for: what was
 * never sent ends soon and keeps its place, and the other store's reads find
 * buffers at all times. */
static void
test_hang_leaves_a_share(void **state)
{
    bed_t       b;
    uint32_t    i, round, n_hung, n_timeout = 0, n_miss = 0;
    reader_t    sound, *r = calloc(N_MANY, sizeof(*r));

    (void) state;
    bed_open(&b, 512, 2);
    lay_at(&b, 999, 30 * FRAME, 1, 8);
    sim_disk_fault(&b.disk, (sim_fault_t) {
        .what = SIM_HANG, .file = 0, .kind = SIM_READS
    });

    for (round = 0; round < 8; round++) {
        atomic_store(&b.w.ssd->stores[0].state, S3C_SSD_SERVING);
        atomic_store(&b.w.ssd->stores[0].errors[0], 0);

        for (i = 0; i < 100; i++) {
            lay_at(&b, i, 30 * FRAME, 0, 8 + 2000 * (i % 6));
            r[i] = reader_of(&b, i, 0, UINT32_MAX);
            reader_begin(&r[i]);
            assert_int_equal(r[i].end, S3C_OK);
        }

        for (i = 0; i < 10; i++) {
            sound = reader_of(&b, 999, 0, UINT32_MAX);
            assert_int_equal(read_now(&sound), S3C_OK);
            run_for(&b, 200);
        }

        for (i = 0; i < 100; i++) {
            assert_int_equal(r[i].n_end, round < 4 ? 1 : r[i].n_end);

            if (r[i].n_end == 0) {
                s3c_ssd_read_cancel(b.w.ssd, &r[i].read);
                continue;
            }

            n_timeout += r[i].end == S3C_TIMEOUT;

            if (r[i].end == S3C_MISS && i >= 94) {
                atomic_store(&b.w.ssd->stores[0].state, S3C_SSD_SERVING);
                assert_true(found(&b, i));
                n_miss++;
            }
        }

        (void) sim_disk_in_flight(&b.disk, &n_hung);
        assert_true(n_hung <= 64);
    }

    assert_true(n_timeout >= 16 && n_miss > 0);
    bed_close(&b);
    free(r);
}


/* So many reads of one store that there are no more for it: the other's have
 * theirs. */
static void
test_many_of_one_store(void **state)
{
    bed_t       b;
    uint32_t    i, n_busy = 0;
    reader_t    sound, *r = calloc(N_MANY, sizeof(*r));

    (void) state;
    bed_open(&b, 512, 2);
    b.w.io->depth = 64;
    lay_at(&b, 1, 5000, 0, 8);
    lay_at(&b, 2, 5000, 1, 8);
    sim_disk_fault(&b.disk, (sim_fault_t) {
        .what = SIM_LATE, .file = 0, .kind = SIM_READS, .late_us = 1000
    });

    for (i = 0; i < N_MANY; i++) {
        r[i] = reader_of(&b, 1, 0, UINT32_MAX);
        reader_begin(&r[i]);
        n_busy += r[i].end == S3C_BUSY;
    }

    assert_int_equal(n_busy, N_MANY - S3C_SSD_READS_MAX);
    sound = reader_of(&b, 2, 0, UINT32_MAX);
    reader_begin(&sound);
    assert_int_equal(sound.end, S3C_OK);
    run_for(&b, 2000);
    assert_int_equal(sound.n_end, 1);
    assert_int_equal(sound.end, S3C_OK);

    for (i = 0; i < N_MANY; i++) {
        assert_int_equal(r[i].end, i < S3C_SSD_READS_MAX ? S3C_OK : S3C_BUSY);
    }

    bed_close(&b);
    free(r);
}


/* Small ones behind large ones, on a slow device: all have their turn, in
 * much more than the time-out, since something comes free all the time. */
static void
test_slow_but_on(void **state)
{
    bed_t       b;
    uint32_t    i, n = 400;
    reader_t   *r = calloc(N_MANY, sizeof(*r));

    (void) state;

    for (uint32_t n_stores = 1; n_stores <= 2; n_stores++) {
        bed_open(&b, 512, n_stores);
        b.disk.lax = true;
        lay_at(&b, 1, 30 * FRAME, 0, 8);
        lay_at(&b, 2, 5000, n_stores - 1, 3000);
        b.disk.delay_min_us = b.disk.delay_max_us = 400000;

        for (i = 0; i < n; i++) {
            r[i] = reader_of(&b, i % 8 == 0 ? 2 : 1, 0, UINT32_MAX);
            reader_begin(&r[i]);
            assert_int_equal(r[i].end, S3C_OK);
        }

        for (i = 0; i < 1000 && !s3c_ssd_reader_idle(b.w.ssd); i++) {
            run_for(&b, 20);
        }

        assert_true(i > 100);            /* it did take longer */

        for (i = 0; i < n; i++) {
            assert_int_equal(r[i].n_end, 1);
            assert_int_equal(r[i].end, S3C_OK);
        }

        bed_close(&b);
    }

    free(r);
}


/* --- many ---------------------------------------------------------------- */

static void
many(uint32_t size, uint32_t depth)
{
    bed_t       b;
    uint32_t    i, n_busy = 0;
    reader_t   *r = calloc(N_MANY, sizeof(*r));

    bed_open(&b, 4096, 1);
    b.w.io->depth = depth;
    b.disk.delay_min_us = 100;
    b.disk.delay_max_us = 900;
    lay(&b, 1, size);

    for (i = 0; i < N_MANY; i++) {
        r[i] = reader_of(&b, 1, 0, UINT32_MAX);
        reader_begin(&r[i]);

        if (r[i].end == S3C_BUSY) {
            n_busy++;
        }
    }

    assert_int_equal(n_busy, N_MANY - S3C_SSD_READS_MAX);
    assert_true(sim_disk_in_flight(&b.disk, NULL) <= depth);

    for (i = 0; i < 900 && !s3c_ssd_reader_idle(b.w.ssd); i++) {
        sim_disk_step(&b.disk, 1000);
        pump(&b);
    }

    for (i = 0; i < N_MANY; i++) {
        assert_int_equal(r[i].n_end, 1);
        assert_int_equal(r[i].end, i < S3C_SSD_READS_MAX ? S3C_OK : S3C_BUSY);
    }

    assert_int_equal(usage_of(&b).n_hit, S3C_SSD_READS_MAX);
    assert_int_equal(usage_of(&b).hit_bytes,
                     (uint64_t) S3C_SSD_READS_MAX * size);
    assert_int_equal(b.zone.n_observed[S3C_SSD_READ_TIME], S3C_SSD_READS_MAX);

    /* idle buffers go in time */
    run_for(&b, 20000);
    bed_close(&b);
    free(r);
}


static void
test_many(void **state)
{
    (void) state;

    many(4096, 1024);
    many(4096, 3);
    many(2 * FRAME + 5, 64);
}


/* Of three windows each, and more than there is memory for: those that hold a
 * buffer are not made to wait for those that do not. */
static void
test_many_long(void **state)
{
    bed_t       b;
    uint32_t    i, n = 100, n_ok = 0;
    reader_t   *r = calloc(n, sizeof(*r));

    (void) state;
    bed_open(&b, 512, 1);
    b.w.io->depth = 20;
    b.disk.delay_min_us = 100;
    b.disk.delay_max_us = 900;
    lay(&b, 1, 64 * FRAME);

    for (i = 0; i < n; i++) {
        r[i] = reader_of(&b, 1, 0, UINT32_MAX);
        reader_begin(&r[i]);
    }

    for (i = 0; i < 200; i++) {
        sim_disk_step(&b.disk, 1000);
        pump(&b);
    }

    for (i = 0; i < n; i++) {
        n_ok += r[i].end == S3C_OK && r[i].n_end == 1;
    }

    assert_int_equal(n_ok, n);
    bed_close(&b);
    free(r);
}


/* Reads that wait are ended in time, and their records stay. */
static void
test_wait_ends(void **state)
{
    bed_t      b;
    reader_t   r, s;

    (void) state;
    bed_open(&b, 512, 1);
    lay(&b, 1, 5000);
    r = reader_of(&b, 1, 0, UINT32_MAX);
    s = reader_of(&b, 1, 0, UINT32_MAX);
    b.w.io->depth = 0;
    reader_begin(&r);
    reader_begin(&s);
    run_for(&b, 500);
    s3c_ssd_read_cancel(b.w.ssd, &s.read);
    run_for(&b, 600);
    assert_int_equal(r.n_end, 1);
    assert_int_equal(r.end, S3C_BUSY);
    assert_int_equal(s.n_end, 0);
    assert_true(found(&b, 1));
    b.w.io->depth = 10;
    assert_int_equal(read_now(&r), S3C_OK);
    bed_close(&b);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_hang_beside_sound),
        cmocka_unit_test(test_hang_leaves_a_share),
        cmocka_unit_test(test_many_of_one_store),
        cmocka_unit_test(test_slow_but_on),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_many_long),
        cmocka_unit_test(test_wait_ends)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
