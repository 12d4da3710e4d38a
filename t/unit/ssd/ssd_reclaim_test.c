/* SPDX-License-Identifier: Apache-2.0
 *
 * Reclaiming over the simulated disk: what is hot moves, the rest leaves, the
 * segment is free and the counts are exact, whatever fails on the way.
 */
#include "ssd_write_test.h"

#define RECORD  20000


static void
turn_for(rig_t *r, s3c_ssd_reclaim_t *rc, uint64_t ms)
{
    for (uint64_t t = 0; t < ms; t += 10) {
        run_for(r, 10);
        s3c_ssd_reclaim_run(r->ssd, rc);
        reap(r);
    }
}


/* Puts records until so few segments are free; answers how many. */
static uint32_t
fill(rig_t *r, uint32_t n_free)
{
    uint32_t  n = 0;

    while (r->ssd->stores[0].n_free > n_free) {
        assert_int_equal(put(r, n, 1, RECORD), S3C_OK);
        n++;
        run_for(r, 10);
    }

    run_for(r, 200);

    return n;
}


static uint32_t
in_segment(rig_t *r, uint32_t n, uint32_t segment_no)
{
    uint32_t  count = 0;

    for (uint32_t i = 0; i < n; i++) {
        count += live(r, i)
                 && s3c_ssd_place_segment(r->ssd, place_of(r, i))
                    == segment_no;
    }

    return count;
}


static void
touch(rig_t *r, uint64_t n, uint32_t times)
{
    while (times-- > 0) {
        s3c_ssd_index_touch(r->ssd, key_of(n), place_of(r, n));
    }
}


static bool
segment_is(rig_t *r, uint32_t no, s3c_ssd_segment_state_t state)
{
    return r->ssd->segments[no].state == state;
}


static void
test_mix(void **state)
{
    rig_t               r;
    uint32_t            n, first, hot = 0, dropped = 0;
    uint64_t            last_seq, begun;
    s3c_ssd_place_t     before[100];
    s3c_ssd_reclaim_t  *rc;

    (void) state;
    rig_open(&r, 1, 16);
    assert_int_equal(s3c_ssd_reclaim_create(r.ssd, 0, &rc), S3C_OK);
    n = fill(&r, 6);
    s3c_ssd_reclaim_run(r.ssd, rc);
    assert_true(s3c_ssd_reclaim_idle(rc));      /* enough are free */

    while (r.ssd->stores[0].n_free > 3) {
        if (put(&r, n++, 1, RECORD) != S3C_OK) {
            n--;
            break;
        }
        run_for(&r, 10);
    }

    run_for(&r, 200);
    first = in_segment(&r, n, 0);
    assert_true(first > 30 && first < 100);

    for (uint32_t i = 0; i < first; i++) {
        before[i] = place_of(&r, i);
        if (i % 9 == 4) {
            assert_int_equal(s3c_ssd_drop(r.ssd, key_of(i),
                                          sim_now_ms(&r.disk)), S3C_OK);
            dropped++;
        } else if (i % 6 == 0) {
            touch(&r, i, 1 + i % 3);
            hot++;
        }
    }

    last_seq = r.ssd->segments[0].last_seq;
    begun = r.ssd->stores[0].n_reclaim;
    r.disk.delay_max_us = 5000;

    for (uint32_t i = 0; i < 200 && r.ssd->stores[0].n_reclaim == begun; i++) {
        turn_for(&r, rc, 10);
        zone_audit(r.ssd);
    }

    assert_int_equal(r.ssd->stores[0].n_reclaim, 1);
    assert_true(segment_is(&r, 0, S3C_SSD_SEGMENT_FREE));
    assert_true(r.ssd->stores[0].floor > last_seq);
    run_for(&r, 200);

    for (uint32_t i = 0; i < first; i++) {
        if (i % 9 != 4 && i % 6 == 0) {
            check_medium(&r, i, 1, RECORD);
            assert_false(s3c_ssd_place_same(before[i], place_of(&r, i)));
        } else {
            assert_int_equal(place_of(&r, i), 0);
        }
    }

    assert_int_equal(r.ssd->stores[0].n_reinsert, hot);
    assert_int_equal(r.ssd->stores[0].n_evict, first - hot - dropped);
    assert_true(live(&r, n - 1));
    assert_int_equal(s3c_ssd_flight(r.ssd, r.ssd->slot, 0)->reads, 0);
    s3c_ssd_reclaim_destroy(r.ssd, rc);
    rig_close(&r);
}


/* All is hot: a quarter moves, and what was asked for most goes first. */
static void
test_share(void **state)
{
    rig_t               r;
    uint32_t            n, first, thrice = 0;
    s3c_ssd_reclaim_t  *rc;

    (void) state;
    rig_open(&r, 1, 16);
    assert_int_equal(s3c_ssd_reclaim_create(r.ssd, 0, &rc), S3C_OK);
    n = fill(&r, 2);
    first = in_segment(&r, n, 0);

    for (uint32_t i = 0; i < first; i++) {
        touch(&r, i, i >= first - 5 ? 3 : 1);
    }

    while (r.ssd->stores[0].n_reclaim == 0) {
        turn_for(&r, rc, 10);
    }

    run_for(&r, 200);

    for (uint32_t i = first - 5; i < first; i++) {
        check_medium(&r, i, 1, RECORD);
        thrice++;
    }

    assert_int_equal(thrice, 5);
    assert_true(r.ssd->stores[0].n_reinsert * RECORD <= SEGMENT / 4);
    assert_true(r.ssd->stores[0].n_reinsert * RECORD
                > SEGMENT / 4 - 2 * RECORD);
    s3c_ssd_reclaim_destroy(r.ssd, rc);
    rig_close(&r);
}


/* A damaged hot record, a read that fails, a footer that is gone. */
static void
test_damage(void **state)
{
    (void) state;

    for (int what = 0; what < 5; what++) {
        rig_t               r;
        uint32_t            n, first;
        s3c_ssd_reclaim_t  *rc;

        rig_open(&r, 1, 16);
        assert_int_equal(s3c_ssd_reclaim_create(r.ssd, 0, &rc), S3C_OK);
        n = fill(&r, 2);
        first = in_segment(&r, n, 0);
        touch(&r, 3, 2);
        touch(&r, 7, 2);

        switch (what) {
        case 0:
            sim_disk_flip(&r.disk, 0, s3c_ssd_place_off(place_of(&r, 3))
                                      + 5000, 3);
            break;
        case 1:                          /* both are in one read */
            sim_disk_fault(&r.disk, (sim_fault_t) {
                .what = SIM_EIO, .file = 0, .kind = SIM_READS, .skip = 2,
                .times = 1 });
            break;
        case 2:
            sim_disk_flip(&r.disk, 0, 2 * SEGMENT - S3C_SSD_BLOCK + 9, 1);
            break;
        case 3:
            sim_disk_fault(&r.disk, (sim_fault_t) {
                .what = SIM_EIO, .file = 0, .kind = SIM_READS, .skip = 1,
                .times = 1 });
            break;
        default:
            sim_disk_fault(&r.disk, (sim_fault_t) {
                .what = SIM_HANG, .file = 0, .kind = SIM_READS, .times = 1 });
            break;
        }

        for (int i = 0; i < 300 && r.ssd->stores[0].n_reclaim == 0; i++) {
            turn_for(&r, rc, 10);
            zone_audit(r.ssd);
        }

        assert_true(segment_is(&r, 0, S3C_SSD_SEGMENT_FREE));
        run_for(&r, 200);
        assert_int_equal(live(&r, 3), 0);
        assert_int_equal(live(&r, 7), what == 0);
        assert_int_equal(r.ssd->stores[0].n_evict,
                         first - (what == 0));
        assert_int_equal(r.ssd->stores[0].n_corrupt, what == 0);
        assert_int_equal(r.ssd->stores[0].n_read_error,
                         what == 1 || what == 3);
        assert_int_equal(r.ssd->stores[0].n_timeout, what == 4);
        assert_int_equal(s3c_ssd_flight(r.ssd, r.ssd->slot, 0)->reads, 0);
        s3c_ssd_reclaim_destroy(r.ssd, rc);
        rig_close(&r);
    }
}


/* The store fails at any moment: the segment is as it was before. */
static void
test_give_up(void **state)
{
    (void) state;

    for (int k = 0; k < 8; k++) {
        rig_t               r;
        uint32_t            n;
        s3c_ssd_reclaim_t  *rc;

        rig_open(&r, 1, 16);
        assert_int_equal(s3c_ssd_reclaim_create(r.ssd, 0, &rc), S3C_OK);
        n = fill(&r, 2);
        assert_true(n > 0);
        touch(&r, 1, 1);
        touch(&r, 40, 1);
        r.disk.delay_min_us = r.disk.delay_max_us = 10000;

        for (int i = 0; i < k; i++) {
            turn_for(&r, rc, 10);
        }

        if (r.ssd->stores[0].n_reclaim == 0) {
            atomic_store(&r.ssd->stores[0].state, S3C_SSD_FAILED);
            s3c_ssd_reclaim_run(r.ssd, rc);
            assert_true(s3c_ssd_reclaim_idle(rc));
            assert_true(segment_is(&r, 0, S3C_SSD_SEGMENT_SEALED)
                        || segment_is(&r, 0, S3C_SSD_SEGMENT_TORN));
            zone_audit(r.ssd);
            atomic_store(&r.ssd->stores[0].state, S3C_SSD_SERVING);
        }

        turn_for(&r, rc, 300);
        assert_true(r.ssd->stores[0].n_reclaim >= 1);
        s3c_ssd_reclaim_destroy(r.ssd, rc);
        rig_close(&r);
    }
}


static void
header_of(rig_t *r, uint32_t segment, s3c_ssd_segment_rec_t *rec)
{
    uint8_t  block[S3C_SSD_BLOCK];

    sim_disk_read(&r->disk, 0, (segment + 1ull) * SEGMENT, block,
                  sizeof(block));
    assert_int_equal(s3c_ssd_segment_decode(block, FIRST_ID, segment, rec),
                     S3C_OK);
}


/* Nothing leaves the index before the header on flash says that the segment is
 * free; what is dropped then needs no tombstone. */
static void
test_mark(void **state)
{
    rig_t                   r;
    uint32_t                n, first;
    uint64_t                last_seq;
    s3c_ssd_reclaim_t      *rc;
    s3c_ssd_segment_rec_t   rec;

    (void) state;
    rig_open(&r, 1, 16);
    assert_int_equal(s3c_ssd_reclaim_create(r.ssd, 0, &rc), S3C_OK);
    n = fill(&r, 2);
    first = in_segment(&r, n, 0);
    last_seq = r.ssd->segments[0].last_seq;
    sim_disk_fault(&r.disk, (sim_fault_t) {
        .what = SIM_HANG, .file = 0, .kind = SIM_WRITES, .off = SEGMENT,
        .len = SEGMENT, .times = 1 });

    turn_for(&r, rc, S3C_SSD_WRITE_TIMEOUT_MS - 1000);
    assert_true(segment_is(&r, 0, S3C_SSD_SEGMENT_RECLAIMING));
    assert_int_equal(in_segment(&r, n, 0), first);
    assert_int_equal(r.ssd->stores[0].n_timeout, 0);
    assert_int_equal(r.ssd->stores[0].floor, 0);
    header_of(&r, 0, &rec);
    assert_true(rec.segment_seq == r.ssd->segments[0].seq);

    /* It hangs for very long: told once. */
    turn_for(&r, rc, 3000);
    assert_int_equal(r.ssd->stores[0].n_timeout, 1);
    assert_true(segment_is(&r, 0, S3C_SSD_SEGMENT_RECLAIMING));
    assert_int_equal(s3c_ssd_flight(r.ssd, r.ssd->slot, 0)->writes, 1);
    sim_disk_no_faults(&r.disk);
    sim_disk_release(&r.disk, 0);
    turn_for(&r, rc, 100);
    assert_true(segment_is(&r, 0, S3C_SSD_SEGMENT_FREE));
    assert_int_equal(in_segment(&r, n, 0), 0);
    header_of(&r, 0, &rec);
    assert_int_equal(rec.segment_seq, S3C_SSD_SEQ_FREE);
    assert_true(rec.floor > last_seq);
    assert_true(r.ssd->stores[0].floor >= rec.floor);
    assert_int_equal(s3c_ssd_flight(r.ssd, r.ssd->slot, 0)->writes, 0);
    s3c_ssd_reclaim_destroy(r.ssd, rc);
    rig_close(&r);
}


/* The header cannot be written: the segment stays, another one is freed. The
 * same if the machine is stopped while it is under way. */
static void
test_mark_fails(void **state)
{
    (void) state;

    for (int what = 0; what < 2; what++) {
        rig_t               r;
        uint32_t            n, first;
        s3c_ssd_reclaim_t  *rc;

        rig_open(&r, 1, 16);
        assert_int_equal(s3c_ssd_reclaim_create(r.ssd, 0, &rc), S3C_OK);
        n = fill(&r, 2);
        first = in_segment(&r, n, 0);
        sim_disk_fault(&r.disk, (sim_fault_t) {
            .what = what == 0 ? SIM_EIO : SIM_HANG, .file = 0,
            .kind = SIM_WRITES, .off = SEGMENT, .len = SEGMENT,
            .times = 1 });

        if (what == 1) {
            turn_for(&r, rc, 100);
            s3c_ssd_reclaim_destroy(r.ssd, rc);
            assert_int_equal(s3c_ssd_reclaim_create(r.ssd, 0, &rc), S3C_OK);
        }

        turn_for(&r, rc, 300);
        assert_true(segment_is(&r, 0, S3C_SSD_SEGMENT_SEALED));
        assert_int_equal(in_segment(&r, n, 0), first);
        assert_true(segment_is(&r, 1, S3C_SSD_SEGMENT_FREE));
        assert_int_equal(r.ssd->stores[0].n_write_error, what == 0);
        zone_audit(r.ssd);
        sim_disk_release(&r.disk, 0);

        while (r.ssd->stores[0].n_free > 2) {
            assert_int_equal(put(&r, n++, 1, RECORD), S3C_OK);
            run_for(&r, 10);
        }

        turn_for(&r, rc, S3C_SSD_REST_MS);
        run_for(&r, 10);

        while (r.ssd->stores[0].n_free > 2) {
            assert_int_equal(put(&r, n++, 1, RECORD), S3C_OK);
            run_for(&r, 10);
        }

        turn_for(&r, rc, 300);
        assert_true(segment_is(&r, 0, S3C_SSD_SEGMENT_FREE));
        s3c_ssd_reclaim_destroy(r.ssd, rc);
        rig_close(&r);
    }
}


/* The writer has no room: it waits, then goes without. */
static void
test_no_room(void **state)
{
    rig_t               r;
    uint32_t            n;
    s3c_ssd_reclaim_t  *rc;

    (void) state;
    rig_open(&r, 1, 16);
    assert_int_equal(s3c_ssd_reclaim_create(r.ssd, 0, &rc), S3C_OK);
    n = fill(&r, 2);
    assert_true(n > 0);
    touch(&r, 1, 1);
    sim_disk_fault(&r.disk, (sim_fault_t) {
        .what = SIM_HANG, .file = 0, .kind = SIM_WRITES,
        .off = 2 * SEGMENT, .len = 15 * SEGMENT });

    while (put(&r, 10000 + n, 1, 10000) == S3C_OK) {
        n++;
        run_for(&r, 60);
    }

    turn_for(&r, rc, 1000);
    assert_true(segment_is(&r, 0, S3C_SSD_SEGMENT_RECLAIMING));
    turn_for(&r, rc, 2000);
    assert_true(r.ssd->stores[0].n_reclaim > 0);
    assert_int_equal(place_of(&r, 1), 0);
    s3c_ssd_reclaim_destroy(r.ssd, rc);
    rig_close(&r);
}


/* Put, drop and read at random for many times the store's size. */
static void
test_long(void **state)
{
    rig_t               r;
    uint64_t            rng = 11;
    static uint32_t     size_of[400];
    static uint32_t     version[400];
    uint32_t            n_live = 0;
    s3c_ssd_reclaim_t  *rc;

    (void) state;
    memset(size_of, 0, sizeof(size_of));
    rig_open(&r, 1, 12);
    r.disk.delay_min_us = 100;
    r.disk.delay_max_us = 20000;
    assert_int_equal(s3c_ssd_reclaim_create(r.ssd, 0, &rc), S3C_OK);

    for (uint32_t i = 0; i < 2500; i++) {
        uint32_t  k = (uint32_t) (rng_next(&rng) % 400);

        switch (rng_next(&rng) % 8) {
        case 0:
            (void) (s3c_ssd_drop(r.ssd, key_of(k), sim_now_ms(&r.disk))
                    == S3C_OK);
            assert_int_equal(place_of(&r, k), 0);
            break;
        case 1:
        case 2:
            if (live(&r, k)) {
                touch(&r, k, 1);
            }
            break;
        default:
            size_of[k] = (uint32_t) (rng_next(&rng)
                                     % (rng_next(&rng) % 8 ? 40000 : 400000));
            version[k] = i;
            (void) (put(&r, k, i, size_of[k]) == S3C_OK);
            break;
        }

        if (i % 2 == 0) {
            turn_for(&r, rc, 10);
        }

        if (i % 100 == 0) {
            zone_audit(r.ssd);
        }
    }

    turn_for(&r, rc, 500);
    zone_audit(r.ssd);

    for (uint32_t k = 0; k < 400; k++) {
        if (place_of(&r, k) != 0) {
            check_medium(&r, k, version[k], size_of[k]);
            n_live++;
        }
    }

    assert_true(n_live > 30);
    assert_true(r.ssd->stores[0].n_reclaim > 20);
    assert_true(r.ssd->stores[0].n_reinsert > 0);
    assert_int_equal(r.ssd->stores[0].n_corrupt, 0);
    assert_int_equal(r.ssd->stores[0].written_bytes,
                     r.disk.files[0].written_bytes);
    assert_int_equal(r.ssd->stores[0].read_bytes,
                     r.disk.files[0].read_bytes);
    s3c_ssd_reclaim_destroy(r.ssd, rc);
    rig_close(&r);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        { "hot and cold records", test_mix, 0, 0, 0 },
        { "no more than a quarter moves", test_share, 0, 0, 0 },
        { "damage of all kinds", test_damage, 0, 0, 0 },
        { "the store fails meanwhile", test_give_up, 0, 0, 0 },
        { "free on flash before anything leaves", test_mark, 0, 0, 0 },
        { "it cannot be marked as free", test_mark_fails, 0, 0, 0 },
        { "the writer has no room", test_no_room, 0, 0, 0 },
        { "a long random run", test_long, 0, 0, 0 },
    };

    return cmocka_run_group_tests_name("ssd_reclaim", tests, NULL, NULL);
}
