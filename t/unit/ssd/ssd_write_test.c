/* SPDX-License-Identifier: Apache-2.0
 *
 * The writer over the simulated disk: what lies on the medium is decoded with
 * the medium's own functions.
 */
#include "ssd_write_test.h"


typedef struct {
    s3c_ssd_segment_rec_t  header;
    s3c_ssd_trailer_rec_t  trailer;
    uint32_t               n_records, n_tombstones;
} seen_t;

static uint8_t  segment[SEGMENT];


/* A sealed segment: header, every entry's first frame, footer. */
static void
check_sealed(rig_t *r, uint32_t store, uint32_t number, seen_t *seen)
{
    s3c_ssd_expect_t      expect = { .store_id = FIRST_ID + store };
    s3c_ssd_frame_rec_t   head;
    s3c_ssd_footer_rec_t  e;

    memset(seen, 0, sizeof(*seen));
    sim_disk_read(&r->disk, store, (uint64_t) (number + 1) * SEGMENT, segment,
                  SEGMENT);
    assert_int_equal(s3c_ssd_segment_decode(segment, FIRST_ID + store, number,
                                            &seen->header), S3C_OK);
    assert_int_equal(s3c_ssd_trailer_decode(segment + SEGMENT - S3C_SSD_BLOCK,
                                            FIRST_ID + store,
                                            seen->header.segment_seq, SEGMENT,
                                            &seen->trailer), S3C_OK);
    assert_int_equal(s3c_ssd_footer_decode(segment + seen->trailer.footer_off,
                                           &seen->trailer, SEGMENT), S3C_OK);

    for (uint32_t i = 0; i < seen->trailer.n_records; i++) {
        e = s3c_ssd_footer_entry(segment + seen->trailer.footer_off, i);
        expect.key = (s3c_hash128_t) { .lo = e.key_lo, .hi = e.key_hi };
        expect.record_seq = e.record_seq;
        expect.segment_seq = seen->header.segment_seq;
        assert_int_equal(s3c_ssd_frame_decode(segment + e.unit * S3C_SSD_UNIT,
                             seen->trailer.footer_off - e.unit * S3C_SSD_UNIT,
                             &expect, true, &head), S3C_OK);
        assert_int_equal(head.kind, e.kind);
        assert_int_equal(head.size, e.size);
        assert_int_equal(e.zero[0], 0);
        assert_true(e.record_seq <= seen->trailer.last_seq);
        seen->n_records += e.kind == S3C_SSD_KIND_RECORD;
        seen->n_tombstones += e.kind == S3C_SSD_KIND_TOMBSTONE;
    }
}


/* Quiesces; every segment must then be sealed or free (or torn: n_torn). */
static void
seal_all(rig_t *r, uint32_t n_torn)
{
    r->ssd->quiescing = true;
    s3c_ssd_writer_seal(r->ssd);
    run_for(r, 300);
    assert_true(s3c_ssd_writer_idle(r->ssd));
    assert_int_equal(n_in_state(r, S3C_SSD_SEGMENT_OPEN), 0);
    assert_int_equal(n_in_state(r, S3C_SSD_SEGMENT_TORN), n_torn);
    assert_int_equal(s3c_ssd_flight(r->ssd, r->ssd->slot, 0)->writes, 0);
}


static void
test_sizes(void **state)
{
    static const uint32_t  sizes[] = {
        0, 1, 7, 431, 432, 433, 4000, 32767, 32768, 32769, 65536, 100000,
        256 * 1024 - 80, 256 * 1024, 300000, 500000
    };
    rig_t           r;
    const uint32_t  n = sizeof(sizes) / sizeof(sizes[0]);

    (void) state;
    rig_open(&r, 1, 16);

    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(put(&r, i, 1, sizes[i]), S3C_OK);
        assert_false(live(&r, i) && sizes[i] < 1000);
    }

    run_for(&r, 100);

    for (uint32_t i = 0; i < n; i++) {
        check_medium(&r, i, 1, sizes[i]);
    }

    assert_int_equal(r.ssd->stores[0].n_put, n);
    assert_int_equal(r.ssd->stores[0].written_bytes,
                     r.disk.files[0].written_bytes);
    assert_true(r.zone.n_observed[S3C_SSD_WRITE_TIME] > 0);
    assert_int_equal(put(&r, 99, 1, SEGMENT / 2), S3C_UNSUPPORTED);
    zone_audit(r.ssd);
    seal_all(&r, 0);
    rig_close(&r);
}


static void
test_linger(void **state)
{
    rig_t  r;

    (void) state;
    rig_open(&r, 1, 8);
    assert_int_equal(put(&r, 1, 1, 5000), S3C_OK);
    assert_false(s3c_ssd_writer_idle(r.ssd));
    run_for(&r, S3C_SSD_LINGER_MS - 10);
    assert_false(live(&r, 1));
    assert_int_equal(s3c_ssd_place_kind(place_of(&r, 1)),
                     S3C_SSD_PLACE_PENDING);
    run_for(&r, 20);
    check_medium(&r, 1, 1, 5000);
    assert_true(s3c_ssd_writer_idle(r.ssd));

    /* The next one begins at the next block. */
    assert_int_equal(put(&r, 2, 1, 5000), S3C_OK);
    run_for(&r, 100);
    check_medium(&r, 2, 1, 5000);
    assert_int_equal(s3c_ssd_place_off(place_of(&r, 2)) % S3C_SSD_BLOCK, 0);
    rig_close(&r);
}


static void
test_supersede_and_drop(void **state)
{
    rig_t   r;
    seen_t  seen;

    (void) state;
    rig_open(&r, 1, 8);

    assert_int_equal(put(&r, 1, 1, 3000), S3C_OK);
    assert_int_equal(put(&r, 1, 2, 4000), S3C_OK);
    assert_int_equal(put(&r, 2, 1, 3000), S3C_OK);
    assert_int_equal(s3c_ssd_drop(r.ssd, key_of(2), sim_now_ms(&r.disk)),
                     S3C_OK);
    assert_int_equal(s3c_ssd_drop(r.ssd, key_of(2), sim_now_ms(&r.disk)),
                     S3C_MISS);
    assert_int_equal(s3c_ssd_drop(r.ssd, key_of(3), sim_now_ms(&r.disk)),
                     S3C_MISS);
    reap(&r);                            /* the tombstone is flushed at once */
    check_medium(&r, 1, 2, 4000);
    assert_int_equal(place_of(&r, 2), 0);
    assert_int_equal(r.ssd->stores[0].n_drop, 1);
    assert_int_equal(r.ssd->stores[0].live_records, 1);
    assert_true(r.disk.files[0].n_dsync > 0);

    seal_all(&r, 0);
    check_sealed(&r, 0, 0, &seen);
    assert_int_equal(seen.n_records, 3);
    assert_int_equal(seen.n_tombstones, 2);     /* of the first of 1, of 2 */
    rig_close(&r);
}


/* Batches end in any order; what was dropped meanwhile stays away. */
static void
test_order(void **state)
{
    rig_t     r;
    bool      dropped[600] = { false };
    uint64_t  rng = 7;
    uint32_t  n = 0;

    (void) state;
    rig_open(&r, 1, 32);
    r.disk.delay_min_us = 100;
    r.disk.delay_max_us = 40000;

    for (uint32_t i = 0; n < 600 && i < 100000; i++) {
        if (put(&r, n, 1, (uint32_t) (n * 7919 % 90000)) == S3C_OK) {
            n++;
        }

        if (rng_next(&rng) % 4 == 0 && n > 0) {
            uint64_t  k = n - 1 - rng_next(&rng) % (n < 20 ? n : 20);

            if (s3c_ssd_drop(r.ssd, key_of(k), sim_now_ms(&r.disk))
                == S3C_OK)
            {
                assert_false(dropped[k]);
                dropped[k] = true;
            }
        }

        if (i % 4 == 0) {
            run_for(&r, 10);
        }

        /* LIVE: all of it is there, whatever has ended before what. */
        for (uint32_t k = n < 16 ? 0 : n - 16; k < n; k++) {
            if (live(&r, k)) {
                check_medium(&r, k, 1, k * 7919 % 90000);
            }
        }

        if (i % 64 == 0) {
            zone_audit(r.ssd);
        }
    }

    assert_int_equal(n, 600);
    run_for(&r, 300);

    for (uint32_t i = 0; i < n; i++) {
        if (dropped[i]) {
            assert_int_equal(place_of(&r, i), 0);
        } else {
            check_medium(&r, i, 1, (uint32_t) (i * 7919 % 90000));
        }
    }

    seal_all(&r, 0);

    for (uint32_t i = 0; i < 32; i++) {
        seen_t  seen;

        if (r.ssd->segments[i].state == S3C_SSD_SEGMENT_SEALED) {
            check_sealed(&r, 0, i, &seen);
            assert_int_equal(seen.trailer.last_seq,
                             r.ssd->segments[i].last_seq);
        }
    }

    rig_close(&r);
}


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
test_exhaustion(void **state)
{
    rig_t         r;
    uint32_t      n = 0;
    s3c_status_t  st;

    (void) state;
    rig_open(&r, 1, 16);
    assert_int_equal(put(&r, 900, 1, 5000), S3C_OK);
    run_for(&r, 100);
    r.disk.delay_min_us = r.disk.delay_max_us = 500000;

    while ((st = put(&r, n, 1, 200000)) == S3C_OK) {
        reap(&r);
        n++;
        assert_true(n < 100);
    }

    assert_int_equal(st, S3C_BUSY);
    assert_true(n >= 14);
    assert_true(r.ssd->stores[0].n_shed > 0);

    /* What is refused leaves no older version, and its tombstone waits. */
    assert_true(live(&r, 900));
    assert_int_equal(put(&r, 900, 2, 200000), S3C_BUSY);
    assert_int_equal(place_of(&r, 900), 0);

    r.disk.delay_min_us = r.disk.delay_max_us = 0;
    run_for(&r, 1000);
    assert_int_equal(r.ssd->writer->n_tombstones, 0);
    assert_int_equal(put(&r, 901, 1, 200000), S3C_OK);
    run_for(&r, 100);
    check_medium(&r, 901, 1, 200000);

    for (uint32_t i = 0; i < n; i++) {
        check_medium(&r, i, 1, 200000);
    }

    seal_all(&r, 0);
    rig_close(&r);
}


/* Many drops share writes; more than the queue holds are counted as lost. */
static void
test_tombstones_gather(void **state)
{
    rig_t     r;
    seen_t    seen;
    uint64_t  before;

    (void) state;
    rig_open(&r, 1, 16);

    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(put(&r, i, 1, 100), S3C_OK);
        if (i % 100 == 99) {
            run_for(&r, 60);
        }
    }

    before = r.disk.n_writes;
    r.disk.delay_min_us = r.disk.delay_max_us = 5000;

    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(s3c_ssd_drop(r.ssd, key_of(i), sim_now_ms(&r.disk)),
                         S3C_OK);
    }

    run_for(&r, 300);
    assert_true(r.disk.n_writes - before < 12);
    seal_all(&r, 0);

    for (uint32_t i = 0, sum = 0; i < 3; i++) {
        if (r.ssd->segments[i].state == S3C_SSD_SEGMENT_SEALED) {
            check_sealed(&r, 0, i, &seen);
            sum += seen.n_tombstones;
        }
        assert_true(i < 2 || sum == 1000);
    }

    rig_close(&r);
}


/* Records to the last byte that footer and trailer leave free. */
static void
test_exactly_full(void **state)
{
    rig_t     r;
    uint32_t  room, n = 0, at = S3C_SSD_BLOCK, units;
    seen_t    seen;

    (void) state;
    rig_open(&r, 1, 8);
    room = SEGMENT - s3c_ssd_footer_bytes(100);

    while (at < room) {
        units = (room - at) / S3C_SSD_UNIT;
        units = units > 62 ? 62 : units;
        assert_int_equal(put(&r, n, 1, units * S3C_SSD_UNIT
                                       - S3C_SSD_HEAD_BYTES), S3C_OK);
        at += units * S3C_SSD_UNIT;
        n++;
        assert_true(n <= 100);
    }

    assert_int_equal(n_in_state(&r, S3C_SSD_SEGMENT_OPEN), 1);
    reap(&r);
    assert_int_equal(put(&r, 200, 1, 1), S3C_OK);
    assert_int_equal(place_of(&r, 200) != 0, 1);
    run_for(&r, 100);
    assert_int_equal(r.ssd->segments[0].state, S3C_SSD_SEGMENT_SEALED);
    check_sealed(&r, 0, 0, &seen);
    assert_int_equal(seen.n_records, n);
    assert_int_equal(seen.trailer.footer_off, room);
    assert_int_equal(r.ssd->segments[1].state, S3C_SSD_SEGMENT_OPEN);

    for (uint32_t i = 0; i < n; i++) {
        assert_true(live(&r, i));
    }

    seal_all(&r, 0);
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


static void
test_reinsert(void **state)
{
    rig_t            r;
    uint64_t         tag[2] = { 1, 1 };
    s3c_ssd_place_t  p, q;

    (void) state;
    rig_open(&r, 1, 8);
    assert_int_equal(put(&r, 1, 1, 40000), S3C_OK);
    run_for(&r, 100);
    s3c_ssd_index_touch(r.ssd, key_of(1), place_of(&r, 1));
    s3c_ssd_index_touch(r.ssd, key_of(1), place_of(&r, 1));
    p = place_of(&r, 1);
    assert_int_equal(s3c_ssd_place_refs(p), 2);
    pattern(big, 1001, 40000);
    assert_true(s3c_ssd_writer_has_room(r.ssd, 0, 40000));
    assert_int_equal(s3c_ssd_reinsert(r.ssd, key_of(1), p, tag, big, 40000),
                     S3C_OK);
    assert_int_equal(s3c_ssd_reinsert(r.ssd, key_of(1), p, tag, big, 40000),
                     S3C_MISS);
    run_for(&r, 100);
    q = place_of(&r, 1);
    assert_false(s3c_ssd_place_same(p, q));
    assert_int_equal(s3c_ssd_place_refs(q), 1);
    check_medium(&r, 1, 1, 40000);
    assert_int_equal(r.ssd->stores[0].n_reinsert, 1);
    assert_int_equal(r.ssd->stores[0].live_records, 1);
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


/* Each byte to the device is taken from the budget, once. */
static void
test_budget(void **state)
{
    rig_t                r;
    const int64_t        most = 10ll << 30;
    s3c_ssd_store_sh_t  *st;

    (void) state;
    rig_open(&r, 1, 8);
    st = &r.ssd->stores[0];
    st->conf.budget = 1u << 30;
    atomic_store(&st->tokens, most);
    atomic_store(&st->tokens_ms, sim_now_ms(&r.disk));

    for (uint32_t i = 0; i < 20; i++) {
        assert_int_equal(put(&r, i, 1, 90001), S3C_OK);
    }

    assert_int_equal(s3c_ssd_drop(r.ssd, key_of(3), sim_now_ms(&r.disk)),
                     S3C_OK);
    reap(&r);
    assert_int_equal(r.ssd->segments[0].state, S3C_SSD_SEGMENT_SEALED);
    assert_int_equal(most - st->tokens, st->written_bytes);

    atomic_store(&st->tokens, most / 4);
    assert_int_equal(put(&r, 5, 2, 100), S3C_DENIED);
    assert_int_equal(place_of(&r, 5), 0);
    assert_int_equal(st->n_denied, 1);
    assert_int_equal(put(&r, 5, 2, 100), S3C_OK);
    st->conf.budget = 0;
    rig_close(&r);
}


/* The I/O queue takes two at a time: the others wait for their turn. */
static void
test_shallow_queue(void **state)
{
    rig_t  r;

    (void) state;
    rig_open(&r, 1, 16);
    r.w.io->depth = 2;
    r.disk.delay_min_us = 100;
    r.disk.delay_max_us = 3000;

    for (uint32_t i = 0; i < 60; i++) {
        assert_int_equal(put(&r, i, 1, 100000), S3C_OK);
        if (i % 8 == 7) {
            run_for(&r, 100);
        }
    }

    run_for(&r, 300);

    for (uint32_t i = 0; i < 60; i++) {
        check_medium(&r, i, 1, 100000);
    }

    /* One of those that wait fails with the first. */
    sim_disk_fault(&r.disk, (sim_fault_t) {
        .what = SIM_EIO, .file = SIM_ANY, .kind = SIM_WRITES, .times = 1 });
    assert_int_equal(put(&r, 100, 1, 400000), S3C_OK);
    assert_int_equal(put(&r, 101, 1, 400000), S3C_OK);
    assert_int_equal(put(&r, 102, 1, 400000), S3C_OK);
    run_for(&r, 300);
    zone_audit(r.ssd);
    assert_true(s3c_ssd_writer_idle(r.ssd));
    assert_null(r.ssd->writer->waiting);
    seal_all(&r, 1);
    rig_close(&r);
}


/* Many small records: the footer is larger than a batch. */
static void
test_long_footer(void **state)
{
    rig_t                   r;
    uint32_t                n = 0;
    uint8_t                *in, header[S3C_SSD_BLOCK];
    uint64_t                off = 4 * SEGMENT;
    s3c_ssd_trailer_rec_t   trailer;
    s3c_ssd_segment_rec_t   rec;

    (void) state;
    rig_open_of(&r, 1, 4 * SEGMENT, 8);
    r.disk.delay_min_us = 100;
    r.disk.delay_max_us = 300;

    while (r.ssd->segments[1].state == S3C_SSD_SEGMENT_FREE) {
        assert_int_equal(put(&r, n, 1, 300), S3C_OK);
        n++;
        if (n % 1024 == 0) {
            run_for(&r, 10);
        }
    }

    seal_all(&r, 0);
    sim_disk_read(&r.disk, 0, off, header, sizeof(header));
    assert_int_equal(s3c_ssd_segment_decode(header, FIRST_ID, 0, &rec),
                     S3C_OK);
    sim_disk_read(&r.disk, 0, off + 4 * SEGMENT - S3C_SSD_BLOCK, header,
                  sizeof(header));
    assert_int_equal(s3c_ssd_trailer_decode(header, FIRST_ID, rec.segment_seq,
                                            4 * SEGMENT, &trailer), S3C_OK);
    assert_int_equal(trailer.n_records, n - 1);
    in = malloc(4 * SEGMENT);
    assert_non_null(in);
    sim_disk_read(&r.disk, 0, off, in, 4 * SEGMENT);
    assert_int_equal(s3c_ssd_footer_decode(in + trailer.footer_off, &trailer,
                                           4 * SEGMENT), S3C_OK);
    assert_true(s3c_ssd_footer_bytes(trailer.n_records)
                > S3C_SSD_BATCH_BYTES);
    free(in);
    rig_close(&r);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        { "records of all sizes are on the medium", test_sizes, 0, 0, 0 },
        { "what is staged waits 50 ms", test_linger, 0, 0, 0 },
        { "superseded and dropped while pending",
          test_supersede_and_drop, 0, 0, 0 },
        { "batches end in any order", test_order, 0, 0, 0 },
        { "an error in each position", test_errors, 0, 0, 0 },
        { "a lost newer version kills the older",
          test_error_tombstone, 0, 0, 0 },
        { "a tombstone is written again", test_tombstone_again, 0, 0, 0 },
        { "a short write goes on once", test_short, 0, 0, 0 },
        { "no batch is left: busy, then well again",
          test_exhaustion, 0, 0, 0 },
        { "many tombstones share a write", test_tombstones_gather, 0, 0, 0 },
        { "a segment is filled to the last unit", test_exactly_full, 0, 0, 0 },
        { "no segment is left", test_full, 0, 0, 0 },
        { "an older record in another store", test_other_store, 0, 0, 0 },
        { "a store that hangs", test_hang, 0, 0, 0 },
        { "a store that fails, and one that is formatted",
          test_abandon, 0, 0, 0 },
        { "a record is moved", test_reinsert, 0, 0, 0 },
        { "drops while recovering", test_recovering, 0, 0, 0 },
        { "the budget is exact", test_budget, 0, 0, 0 },
        { "a shallow I/O queue", test_shallow_queue, 0, 0, 0 },
        { "a footer of many pieces", test_long_footer, 0, 0, 0 },
    };

    return cmocka_run_group_tests_name("ssd_write", tests, NULL, NULL);
}
