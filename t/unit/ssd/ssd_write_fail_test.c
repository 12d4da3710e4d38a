/* SPDX-License-Identifier: Apache-2.0
 *
 * The writer over a simulated disk that fails, hangs, is full, or is not known
 * as a whole yet: what was there before does not come back.
 */
#include "ssd_write_test.h"


/* An error at the k-th write, for every k: all else goes on. */
static void
test_errors(void **state)
{
    static const sim_what_t  whats[] = { SIM_EIO, SIM_ENOSPC };

    (void) state;

    for (uint32_t k = 0; k < 24; k++) {
        rig_t     r;
        uint32_t  n_live = 0, n_ok = 0;

        rig_open(&r, 1, 16);
        r.disk.delay_min_us = 100;
        r.disk.delay_max_us = 30000;
        sim_disk_fault(&r.disk, (sim_fault_t) {
            .what = whats[k % 2], .file = SIM_ANY, .kind = SIM_WRITES,
            .skip = k / 2, .times = 1 });

        for (uint32_t i = 0; i < 40; i++) {
            /* An older one, which must not come back. */
            n_ok += put(&r, i, 1, 70000) == S3C_OK;
            run_for(&r, 10);
        }

        run_for(&r, 300);
        zone_audit(r.ssd);

        for (uint32_t i = 0; i < 40; i++) {
            if (live(&r, i)) {
                check_medium(&r, i, 1, 70000);
                n_live++;
            } else {
                assert_int_equal(place_of(&r, i), 0);
            }
        }

        assert_int_equal(r.ssd->stores[0].n_write_error, 1);
        assert_true(n_live >= 20 && n_live <= n_ok);
        seal_all(&r, 1);
        rig_close(&r);
    }
}


/* A second version that is lost on its way kills the first for good. */
static void
test_error_tombstone(void **state)
{
    rig_t     r;
    seen_t    seen;

    (void) state;
    rig_open(&r, 1, 8);
    assert_int_equal(put(&r, 1, 1, 3000), S3C_OK);
    run_for(&r, 100);
    check_medium(&r, 1, 1, 3000);

    sim_disk_fault(&r.disk, (sim_fault_t) {
        .what = SIM_EIO, .file = SIM_ANY, .kind = SIM_WRITES, .times = 1 });
    assert_int_equal(put(&r, 1, 2, 3000), S3C_OK);
    assert_int_equal(put(&r, 2, 1, 3000), S3C_OK);
    run_for(&r, 100);
    assert_int_equal(place_of(&r, 1), 0);
    assert_int_equal(place_of(&r, 2), 0);
    seal_all(&r, 1);
    check_sealed(&r, 0, 1, &seen);
    assert_int_equal(seen.n_records, 0);
    assert_int_equal(seen.n_tombstones, 2);     /* of the first, of both */
    rig_close(&r);
}


/* A tombstone whose write fails is written again elsewhere. */
static void
test_tombstone_again(void **state)
{
    rig_t   r;
    seen_t  seen;

    (void) state;
    rig_open(&r, 1, 8);
    assert_int_equal(put(&r, 1, 1, 3000), S3C_OK);
    run_for(&r, 100);
    sim_disk_fault(&r.disk, (sim_fault_t) {
        .what = SIM_EIO, .file = SIM_ANY, .kind = SIM_WRITES, .times = 2 });
    assert_int_equal(s3c_ssd_drop(r.ssd, key_of(1), sim_now_ms(&r.disk)),
                     S3C_OK);
    run_for(&r, 100);
    seal_all(&r, 2);
    check_sealed(&r, 0, 2, &seen);
    assert_int_equal(seen.n_tombstones, 1);
    assert_int_equal(r.ssd->stores[0].lost_tombstones, 0);
    rig_close(&r);
}


static void
test_short(void **state)
{
    rig_t  r;

    (void) state;
    rig_open(&r, 1, 8);
    sim_disk_fault(&r.disk, (sim_fault_t) {
        .what = SIM_SHORT, .file = SIM_ANY, .kind = SIM_WRITES, .times = 1 });
    assert_int_equal(put(&r, 1, 1, 100000), S3C_OK);
    run_for(&r, 100);
    check_medium(&r, 1, 1, 100000);
    assert_int_equal(r.ssd->stores[0].n_write_error, 0);

    sim_disk_no_faults(&r.disk);
    sim_disk_fault(&r.disk, (sim_fault_t) {
        .what = SIM_SHORT, .file = SIM_ANY, .kind = SIM_WRITES, .times = 2 });
    assert_int_equal(put(&r, 2, 1, 100000), S3C_OK);
    run_for(&r, 100);
    assert_int_equal(place_of(&r, 2), 0);
    check_medium(&r, 1, 1, 100000);
    assert_int_equal(r.ssd->stores[0].n_write_error, 1);
    seal_all(&r, 1);
    rig_close(&r);
}


static void
test_full(void **state)
{
    rig_t         r;
    uint32_t      n = 0;
    s3c_status_t  st;

    (void) state;
    rig_open(&r, 1, 8);

    while ((st = put(&r, n, 1, 120000)) == S3C_OK) {
        run_for(&r, 10);
        n++;
    }

    assert_int_equal(st, S3C_FULL);
    assert_int_equal(r.ssd->stores[0].n_free, S3C_SSD_PUT_RESERVE);
    assert_true(r.ssd->stores[0].n_shed > 0);
    run_for(&r, 100);

    /* A small one still fits; a tombstone may use the reserve. */
    assert_int_equal(put(&r, 5000, 1, 10), S3C_OK);
    assert_int_equal(s3c_ssd_drop(r.ssd, key_of(0), sim_now_ms(&r.disk)),
                     S3C_OK);
    run_for(&r, 100);
    check_medium(&r, 5000, 1, 10);
    seal_all(&r, 0);
    rig_close(&r);
}


static void
test_other_store(void **state)
{
    rig_t            r;
    uint32_t         store, other;
    uint64_t         slot;
    seen_t           seen;
    s3c_ssd_place_t  p, old, victim;

    (void) state;
    rig_open(&r, 2, 8);
    store = s3c_ssd_store_of(r.ssd, key_of(1));
    other = !store;

    /* An older record lies in the other store, as after a change of the
     * configuration: in a segment of nobody. */
    p = s3c_ssd_place(other, 2 * SEGMENT / S3C_SSD_UNIT + 8, 4,
                      S3C_SSD_PLACE_LIVE);
    assert_true(s3c_ssd_lock(r.ssd));
    r.ssd->segments[s3c_ssd_place_segment(r.ssd, p)].state =
        S3C_SSD_SEGMENT_TORN;
    r.ssd->stores[other].n_free--;
    s3c_ssd_index_put_locked(r.ssd, key_of(1), p, &old, &victim, &slot);
    s3c_ssd_unlock(r.ssd);

    assert_int_equal(put(&r, 1, 1, 9000), S3C_OK);
    run_for(&r, 100);
    check_medium(&r, 1, 1, 9000);
    assert_int_equal(r.ssd->stores[other].live_records, 0);
    assert_int_equal(r.ssd->stores[store].live_records, 1);
    seal_all(&r, 1);
    check_sealed(&r, other, 0, &seen);
    assert_int_equal(seen.n_tombstones, 1);
    check_sealed(&r, store, 0, &seen);
    assert_int_equal(seen.n_records, 1);
    assert_true(seen.trailer.last_seq
                > r.ssd->segments[r.ssd->stores[other].first_segment]
                      .last_seq - 2);
    rig_close(&r);
}


/* A store that hangs: told once, its batch stays; the other store goes on. */
static void
test_hang(void **state)
{
    rig_t     r;
    uint32_t  n[2] = { 0, 0 }, store;

    (void) state;
    rig_open(&r, 2, 16);
    sim_disk_fault(&r.disk, (sim_fault_t) {
        .what = SIM_HANG, .file = 0, .kind = SIM_WRITES });

    for (uint32_t i = 0; i < 200; i++) {
        store = s3c_ssd_store_of(r.ssd, key_of(i));
        if (put(&r, i, 1, 100000) == S3C_OK) {
            n[store]++;
        }
        run_for(&r, 20);
    }

    assert_true(n[1] > 50);
    assert_true(n[0] < 40);
    zone_audit(r.ssd);

    run_for(&r, S3C_SSD_WRITE_TIMEOUT_MS + 1000);
    assert_true(r.ssd->stores[0].n_timeout > 0);
    assert_int_equal(r.ssd->stores[0].live_records, 0);
    assert_false(s3c_ssd_writer_idle(r.ssd));
    assert_int_equal(n_in_state(&r, S3C_SSD_SEGMENT_TORN), 0);
    zone_audit(r.ssd);

    sim_disk_no_faults(&r.disk);
    sim_disk_release(&r.disk, 0);
    run_for(&r, 100);
    assert_true(s3c_ssd_writer_idle(r.ssd));
    assert_true(n_in_state(&r, S3C_SSD_SEGMENT_TORN) > 0);
    rig_close(&r);
}


static void
test_abandon(void **state)
{
    rig_t     r;
    uint32_t  taken;

    (void) state;
    rig_open(&r, 1, 8);
    r.disk.delay_min_us = r.disk.delay_max_us = 100000;

    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(put(&r, i, 1, 100000), S3C_OK);
    }

    reap(&r);
    assert_int_equal(s3c_ssd_drop(r.ssd, key_of(0), sim_now_ms(&r.disk)),
                     S3C_OK);
    atomic_store(&r.ssd->stores[0].state, S3C_SSD_FAILED);
    s3c_ssd_writer_abandon(r.ssd, 0);
    assert_int_equal(r.ssd->stores[0].live_records, 0);
    assert_int_equal(r.ssd->stores[0].lost_tombstones, 1);
    taken = S3C_SSD_BATCHES - r.ssd->writer->n_free;
    assert_true(taken > 0);
    zone_audit(r.ssd);
    assert_int_equal(put(&r, 50, 1, 10), S3C_BUSY);
    run_for(&r, 200);
    assert_true(s3c_ssd_writer_idle(r.ssd));

    /* Formatted meanwhile: another use of the same segments. */
    atomic_store(&r.ssd->stores[0].state, S3C_SSD_SERVING);
    assert_int_equal(put(&r, 60, 1, 1000), S3C_OK);
    assert_true(s3c_ssd_lock(r.ssd));
    s3c_ssd_store_empty_locked(r.ssd, 0);
    s3c_ssd_unlock(r.ssd);
    run_for(&r, 200);
    assert_true(s3c_ssd_writer_idle(r.ssd));
    assert_int_equal(place_of(&r, 60), 0);
    assert_int_equal(put(&r, 61, 1, 1000), S3C_OK);
    run_for(&r, 200);
    check_medium(&r, 61, 1, 1000);
    rig_close(&r);
}


/* While a store is read, a drop of what nobody knows yet leaves a mark. */
static void
test_recovering(void **state)
{
    rig_t  r;

    (void) state;
    rig_open(&r, 1, 8);
    atomic_store(&r.ssd->stores[0].state, S3C_SSD_RECOVERING);
    r.ssd->head->recovering = 1;
    assert_int_equal(s3c_ssd_drop(r.ssd, key_of(1), sim_now_ms(&r.disk)),
                     S3C_MISS);
    assert_int_equal(s3c_ssd_place_kind(place_of(&r, 1)),
                     S3C_SSD_PLACE_TOMBSTONE);
    assert_int_equal(put(&r, 2, 1, 1000), S3C_OK);
    assert_int_equal(s3c_ssd_drop(r.ssd, key_of(2), sim_now_ms(&r.disk)),
                     S3C_OK);
    assert_int_equal(s3c_ssd_place_kind(place_of(&r, 2)),
                     S3C_SSD_PLACE_TOMBSTONE);
    run_for(&r, 100);
    assert_int_equal(put(&r, 1, 2, 1000), S3C_OK);
    run_for(&r, 100);
    check_medium(&r, 1, 2, 1000);
    r.ssd->head->recovering = 0;
    atomic_store(&r.ssd->stores[0].state, S3C_SSD_SERVING);
    rig_close(&r);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        { "an error in each position", test_errors, 0, 0, 0 },
        { "a lost newer version kills the older",
          test_error_tombstone, 0, 0, 0 },
        { "a tombstone is written again", test_tombstone_again, 0, 0, 0 },
        { "a short write goes on once", test_short, 0, 0, 0 },
        { "no segment is left", test_full, 0, 0, 0 },
        { "an older record in another store", test_other_store, 0, 0, 0 },
        { "a store that hangs", test_hang, 0, 0, 0 },
        { "a store that fails, and one that is formatted",
          test_abandon, 0, 0, 0 },
        { "drops while recovering", test_recovering, 0, 0, 0 },
    };

    return cmocka_run_group_tests_name("ssd_write_fail", tests, NULL, NULL);
}
