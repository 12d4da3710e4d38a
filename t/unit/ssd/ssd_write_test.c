/* SPDX-License-Identifier: Apache-2.0
 *
 * The writer over the simulated disk: what lies on the medium is decoded with
 * the medium's own functions.
 */
#include "ssd_write_test.h"


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
        { "no batch is left: busy, then well again",
          test_exhaustion, 0, 0, 0 },
        { "many tombstones share a write", test_tombstones_gather, 0, 0, 0 },
        { "a segment is filled to the last unit", test_exactly_full, 0, 0, 0 },
        { "a record is moved", test_reinsert, 0, 0, 0 },
        { "the budget is exact", test_budget, 0, 0, 0 },
        { "a shallow I/O queue", test_shallow_queue, 0, 0, 0 },
        { "a footer of many pieces", test_long_footer, 0, 0, 0 },
    };

    return cmocka_run_group_tests_name("ssd_write", tests, NULL, NULL);
}
