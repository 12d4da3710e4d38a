/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads over a simulated disk: what comes, and what is made of it.
 */
#include "ssd_read_test.h"


/* --- exact bytes --------------------------------------------------------- */

static void
test_sizes(void **state)
{
    static const uint32_t  aligns[] = { 512, 1024, 4096 };
    static const uint32_t  sizes[] = {
        0, 1, 79, 80, 431, 432, 433, 4095, 4096, 4097, FRAME - 1, FRAME,
        FRAME + 1, FRAME + 351, FRAME + 352, FRAME + 353, 2 * FRAME - 1,
        2 * FRAME, 2 * FRAME + 1, 3 * FRAME + 77, 30 * FRAME + 1, 31 * FRAME,
        31 * FRAME + 1, 64 * FRAME, 64 * FRAME + 1, MIB - 1, MIB, MIB + 1,
        2 * MIB + 4711, 3 * MIB - 1, 3 * MIB
    };
    bed_t     b;
    uint32_t  size, n = 1;

    (void) state;

    for (uint32_t a = 0; a < 3; a++) {
        bed_open(&b, aligns[a], 1);

        for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            uint32_t  n_units = sizes[i] <= 4 * FRAME ? 9 : 2;

            for (uint32_t unit = 8; unit < 8 + n_units; unit++, n++) {
                lay_at(&b, n, sizes[i], 0, unit);
                assert_int_equal(read_whole(&b, n, &size), S3C_OK);
                assert_int_equal(size, sizes[i]);
            }
        }

        assert_int_equal(usage_of(&b).n_corrupt, 0);
        bed_close(&b);
    }
}


static void
test_find_bytes(void **state)
{
    bed_t  b;

    (void) state;
    bed_open(&b, 512, 1);

    for (uint32_t size = 1; size < 200000; size += 1 + size % 97) {
        uint32_t  most = s3c_ssd_units_size(s3c_ssd_record_units(size));

        assert_true(most >= size && most <= size + S3C_SSD_UNIT);
        assert_true(s3c_ssd_record_units(most) <= s3c_ssd_record_units(size));
    }

    lay(&b, 1, 5000);

    uint64_t         bytes;
    s3c_ssd_place_t  before, after;

    /* who only looks is not noted */
    assert_int_equal(s3c_ssd_peek(b.w.ssd, key_of(2)), S3C_MISS);
    assert_int_equal(s3c_ssd_index_find(b.w.ssd, key_of(1), &before), S3C_OK);
    assert_int_equal(s3c_ssd_peek(b.w.ssd, key_of(1)), S3C_OK);
    assert_int_equal(s3c_ssd_index_find(b.w.ssd, key_of(1), &after), S3C_OK);
    assert_true(before == after);

    assert_int_equal(s3c_ssd_find(b.w.ssd, key_of(2), &bytes), S3C_MISS);
    assert_int_equal(s3c_ssd_find(b.w.ssd, key_of(1), &bytes), S3C_OK);
    assert_true(bytes >= 5000 && bytes <= 5512);
    assert_int_equal(s3c_ssd_index_find(b.w.ssd, key_of(1), &after), S3C_OK);
    assert_true(before != after);

    atomic_store(&b.w.ssd->stores[0].state, S3C_SSD_FAILED);
    assert_int_equal(s3c_ssd_peek(b.w.ssd, key_of(1)), S3C_MISS);
    assert_int_equal(s3c_ssd_find(b.w.ssd, key_of(1), &bytes), S3C_MISS);
    atomic_store(&b.w.ssd->stores[0].state, S3C_SSD_SERVING);

    index_put(&b, 1, s3c_ssd_place(0, 16400, 3, S3C_SSD_PLACE_PENDING));
    assert_int_equal(s3c_ssd_find(b.w.ssd, key_of(1), &bytes), S3C_MISS);

    bed_close(&b);
}


/* --- ranges -------------------------------------------------------------- */

static void
range_check(bed_t *b, s3c_ssd_place_t place, uint32_t off, uint32_t len,
    uint32_t align)
{
    uint32_t      first = off / FRAME, end = (off + len - 1) / FRAME + 1;
    uint64_t      n_reads, from, to, bytes;
    reader_t      r = reader_of(b, 1, off, len);
    sim_file_t   *f = &b->disk.files[0];

    n_reads = f->n_reads;
    bytes = f->read_bytes;
    assert_int_equal(read_now(&r), S3C_OK);
    end = end < s3c_ssd_n_frames(r.size) ? end : s3c_ssd_n_frames(r.size);

    assert_int_equal(r.n_data, end - first);
    assert_int_equal(f->n_reads - n_reads, (end - first + 32) / 33);

    from = s3c_ssd_place_off(place) + s3c_ssd_frame_off(first);
    to = s3c_ssd_place_off(place) + s3c_ssd_frame_off(end);
    assert_true(f->read_bytes - bytes
                <= to - from + (end - first + 32) / 33 * 2 * align);

    if (end - first <= 33) {
        assert_true(f->last_read_off <= from
                    && f->last_read_off + align > from);
        assert_true(f->last_read_off + f->last_read_len < to + align);
    }
}


static void
test_ranges(void **state)
{
    bed_t              b;
    uint32_t           size = 45 * FRAME + 12345;
    uint64_t           rng = 3;
    s3c_ssd_place_t    place;

    (void) state;

    for (uint32_t align = 512; align <= 4096; align *= 8) {
        bed_open(&b, align, 1);
        place = lay_at(&b, 1, size, 0, 13);

        range_check(&b, place, 0, 1, align);
        range_check(&b, place, FRAME - 1, 2, align);
        range_check(&b, place, FRAME, FRAME, align);
        range_check(&b, place, size - 1, 1, align);
        range_check(&b, place, size - 1, 100, align);
        range_check(&b, place, 0, size, align);
        range_check(&b, place, 5 * FRAME, 32 * FRAME, align);

        for (int i = 0; i < 300; i++) {
            uint32_t  off = (uint32_t) sim_below(&rng, size);

            range_check(&b, place, off,
                        1 + (uint32_t) sim_below(&rng, size - off), align);
        }

        assert_true(found(&b, 1));
        bed_close(&b);
    }
}


/* Past the end: of frames that never were nothing is believed, and the record
 * is none the worse for it. */
static void
test_range_past_end(void **state)
{
    static const uint32_t  sizes[] = {
        100, FRAME - 300, FRAME, 2 * FRAME, 2 * FRAME - 200
    };
    bed_t  b;

    (void) state;
    bed_open(&b, 512, 1);

    for (uint32_t i = 0; i < 5; i++) {
        lay(&b, i, sizes[i]);

        for (uint32_t k = 0; k < 3; k++) {
            reader_t  r = reader_of(&b, i, s3c_ssd_n_frames(sizes[i]) * FRAME
                                           + k * 5 * FRAME, 10);

            assert_int_equal(read_now(&r), S3C_MISS);
            assert_int_equal(r.n_data, 0);
            assert_true(found(&b, i));
        }
    }

    bed_close(&b);
}


/* --- bytes that are wrong ------------------------------------------------ */

static void
test_every_bit(void **state)
{
    bed_t             b;
    uint32_t          size, bytes, n_corrupt = 0;
    s3c_status_t      st;
    s3c_ssd_place_t   place;

    (void) state;
    bed_open(&b, 512, 1);
    place = lay(&b, 1, 301);
    bytes = S3C_SSD_HEAD_BYTES + 301;

    for (uint32_t i = 0; i < bytes * 8; i++) {
        sim_disk_flip(&b.disk, 0, s3c_ssd_place_off(place) + i / 8, i % 8);

        st = read_whole(&b, 1, &size);
        assert_int_equal(st, S3C_CORRUPT);
        n_corrupt += st == S3C_CORRUPT;
        assert_false(found(&b, 1));

        sim_disk_flip(&b.disk, 0, s3c_ssd_place_off(place) + i / 8, i % 8);
        index_put(&b, 1, place);
    }

    assert_int_equal(read_whole(&b, 1, &size), S3C_OK);
    assert_int_equal(usage_of(&b).n_corrupt, n_corrupt);
    assert_true(n_corrupt > bytes * 7);
    assert_true(b.zone.n_log[S3C_SSD_LOG_CORRUPT] > 0);
    bed_close(&b);
}


/* A bit anywhere in a long one: what was delivered before it is right. */
static void
test_bits_of_long(void **state)
{
    bed_t             b;
    uint64_t          rng = 5, at, end;
    uint32_t          size = 40 * FRAME + 99, got, bytes;
    s3c_status_t      st;
    s3c_ssd_place_t   place;

    (void) state;
    bed_open(&b, 512, 1);
    place = lay(&b, 1, size);
    bytes = (uint32_t) s3c_ssd_record_bytes(size);

    for (uint32_t i = 0; i < 120; i++) {
        /* every other one in a head */
        at = i % 2 == 0 ? sim_below(&rng, bytes)
             : s3c_ssd_frame_off((uint32_t) sim_below(&rng, 41))
               + sim_below(&rng, S3C_SSD_HEAD_BYTES);
        end = s3c_ssd_place_off(place) + at;
        sim_disk_flip(&b.disk, 0, end, i % 8);

        st = read_whole(&b, 1, &got);
        assert_int_equal(st, S3C_CORRUPT);
        assert_false(found(&b, 1));

        sim_disk_flip(&b.disk, 0, end, i % 8);
        index_put(&b, 1, place);
    }

    bed_close(&b);
}


/* Each frame is sound, but they are not of one record. */
static void
test_mixed_frames(void **state)
{
    bed_t             b;
    uint8_t          *other;
    uint32_t          size = 3 * FRAME, got;
    s3c_ssd_place_t   place;

    (void) state;
    bed_open(&b, 512, 1);
    place = lay(&b, 1, size);

    for (int i = 0; i < 4; i++) {
        /* another record_seq, segment_seq, store, size */
        other = record_make(1, i == 3 ? size - 1 : size, i == 2,
                            100 + (i == 1), 1001 + (i == 0));
        sim_disk_write(&b.disk, 0,
                       s3c_ssd_place_off(place) + s3c_ssd_frame_off(1),
                       other + s3c_ssd_frame_off(1), s3c_ssd_frame_off(1));
        free(other);

        assert_int_not_equal(read_whole(&b, 1, &got), S3C_OK);
        assert_false(found(&b, 1));
        index_put(&b, 1, place);
    }

    bed_close(&b);
}


/* The last frame's composed value is wrong although each frame's is right. */
static void
test_whole_crc(void **state)
{
    bed_t                 b;
    uint64_t              at;
    uint32_t              got;
    reader_t              r;
    s3c_ssd_place_t       place;
    s3c_ssd_frame_rec_t   head;

    (void) state;
    bed_open(&b, 512, 1);
    place = lay(&b, 1, 3 * FRAME);
    at = s3c_ssd_place_off(place) + s3c_ssd_frame_off(2);
    sim_disk_read(&b.disk, 0, at, &head, sizeof(head));
    head.whole_crc ^= 1;
    s3c_ssd_frame_encode(&head);
    sim_disk_write(&b.disk, 0, at, &head, sizeof(head));

    r = reader_of(&b, 1, FRAME, FRAME);  /* a range does not see it */
    assert_int_equal(read_now(&r), S3C_OK);
    assert_int_equal(read_whole(&b, 1, &got), S3C_CORRUPT);
    assert_int_equal(usage_of(&b).n_corrupt, 1);
    bed_close(&b);
}


/* Of another key: two keys may be one to the index, nothing is wrong. Of an
 * older use, which the index does not say: the device has lost a write. */
static void
test_other_record(void **state)
{
    bed_t             b;
    uint32_t          got;
    uint8_t          *other;
    s3c_ssd_place_t   place;

    (void) state;
    bed_open(&b, 512, 1);
    place = lay(&b, 1, 5000);

    other = record_make(2, 5000, 0, 100, 50);
    sim_disk_write(&b.disk, 0, s3c_ssd_place_off(place), other, 5080);
    free(other);
    assert_int_equal(read_whole(&b, 1, &got), S3C_MISS);
    assert_true(found(&b, 1));
    assert_int_equal(usage_of(&b).n_corrupt, 0);

    other = record_make(1, 5000, 0, 99, 50);
    sim_disk_write(&b.disk, 0, s3c_ssd_place_off(place), other, 5080);
    free(other);
    assert_int_equal(read_whole(&b, 1, &got), S3C_CORRUPT);
    assert_false(found(&b, 1));
    assert_int_equal(usage_of(&b).n_corrupt, 1);
    assert_int_equal(usage_of(&b).n_read_error, 0);
    bed_close(&b);
}


/* --- what goes on meanwhile ---------------------------------------------- */

/* The segment is written over while its record is read: nobody's fault. */
static void
test_reuse_under_reader(void **state)
{
    bed_t             b;
    reader_t          r;
    uint8_t           junk[4096];
    s3c_ssd_place_t   place, old;

    (void) state;
    bed_open(&b, 512, 1);
    place = lay(&b, 1, 5000);
    memset(junk, 0x77, sizeof(junk));

    /* dropped, and the bytes flipped: MISS, not CORRUPT */
    r = reader_of(&b, 1, 0, UINT32_MAX);
    reader_begin(&r);
    sim_disk_flip(&b.disk, 0, s3c_ssd_place_off(place) + 300, 1);
    assert_true(s3c_ssd_lock(b.w.ssd));
    assert_int_equal(s3c_ssd_index_remove_locked(b.w.ssd, key_of(1), 0, &old),
                     S3C_OK);
    s3c_ssd_unlock(b.w.ssd);
    pump(&b);
    assert_int_equal(r.n_end, 1);
    assert_int_equal(r.end, S3C_MISS);

    /* superseded elsewhere: the newer one stays */
    lay(&b, 1, 5000);
    sim_disk_flip(&b.disk, 0, s3c_ssd_place_off(place) + 300, 1);
    reader_begin(&r);
    lay_at(&b, 1, 7000, 0, 4000);
    pump(&b);
    assert_int_equal(r.end, S3C_MISS);
    assert_true(found(&b, 1));

    /* the same place in another use of the segment stays, too */
    lay(&b, 1, 5000);
    reader_begin(&r);
    sim_disk_write(&b.disk, 0, s3c_ssd_place_off(place), junk, sizeof(junk));
    b.w.ssd->segments[0].seq = 200;
    pump(&b);
    assert_int_equal(r.end, S3C_MISS);
    assert_true(found(&b, 1));

    assert_int_equal(usage_of(&b).n_corrupt, 0);
    bed_close(&b);
}


/* --- a device that fails ------------------------------------------------- */

static void
test_errors(void **state)
{
    bed_t             b;
    uint32_t          got, size = 40 * FRAME;
    s3c_ssd_place_t   place;

    (void) state;
    bed_open(&b, 4096, 1);
    place = lay(&b, 1, size);

    for (uint32_t skip = 0; skip < 2; skip++) {
        sim_disk_fault(&b.disk, (sim_fault_t) {
            .what = SIM_EIO, .file = 0, .kind = SIM_READS, .skip = skip,
            .times = 1
        });
        assert_int_equal(read_whole(&b, 1, &got), S3C_IO);
        assert_false(found(&b, 1));
        index_put(&b, 1, place);
        assert_int_equal(read_whole(&b, 1, &got), S3C_OK);
    }

    assert_int_equal(usage_of(&b).n_read_error, 2);
    assert_int_equal(b.zone.n_log[S3C_SSD_LOG_ERROR], 1);

    /* short reads are gone on with, if they are not empty */
    for (int i = 0; i < 60; i++) {
        sim_disk_fault(&b.disk, (sim_fault_t) {
            .what = SIM_SHORT, .file = 0, .kind = SIM_READS, .times = 1
        });
        switch (read_whole(&b, 1, &got)) {
        case S3C_OK:  break;
        case S3C_IO:  index_put(&b, 1, place); break;
        default:      fail();
        }
    }

    /* the file has become shorter */
    for (int i = 0; i < 5; i++) {
        sim_disk_truncate(&b.disk, 0, s3c_ssd_place_off(place)
                                      + (uint64_t) i * 60 * 4096);
        assert_int_equal(read_whole(&b, 1, &got), S3C_IO);
        assert_false(found(&b, 1));
        index_put(&b, 1, place);
    }

    bed_close(&b);
}


static void
test_hang(void **state)
{
    bed_t              b;
    reader_t           r;
    uint64_t           bytes;
    s3c_ssd_place_t    place;

    (void) state;

    for (int i = 0; i < 3; i++) {
        bed_open(&b, 512, 1);
        place = lay(&b, 1, 5000);
        lay_at(&b, 2, 5000, 0, 1000);
        r = reader_of(&b, 1, 0, UINT32_MAX);

        sim_disk_fault(&b.disk, (sim_fault_t) {
            .what = SIM_HANG, .file = 0, .kind = SIM_READS, .times = 1
        });
        reader_begin(&r);
        run_for(&b, 900);
        assert_int_equal(r.n_end, 0);
        run_for(&b, 200);
        assert_int_equal(r.n_end, 1);
        assert_int_equal(r.end, S3C_TIMEOUT);
        assert_int_equal(s3c_ssd_find(b.w.ssd, key_of(1), &bytes), S3C_MISS);
        assert_int_equal(usage_of(&b).n_timeout, 1);
        assert_int_equal(usage_of(&b).reads_in_flight, 1);
        assert_false(s3c_ssd_reader_idle(b.w.ssd));

        /* it comes back, late, well or not; or never in this life */
        index_put(&b, 1, place);

        if (i < 2) {
            sim_disk_release(&b.disk, i == 0 ? 0 : 5);
            pump(&b);
            assert_int_equal(r.n_end, 1);
            assert_int_equal(usage_of(&b).reads_in_flight, 0);
            assert_int_equal(read_now(&r), S3C_OK);
            bed_close(&b);

        } else {
            b.w.io->backend->close(b.w.io);
            s3c_ssd_leave(b.w.ssd);
            sim_disk_release(&b.disk, 0);
            sim_disk_step(&b.disk, 10);
            sim_zone_fini(&b.zone);
            sim_disk_fini(&b.disk);
        }
    }
}


/* --- cancel -------------------------------------------------------------- */

static void
test_cancel(void **state)
{
    bed_t      b;
    reader_t   r, other;
    uint32_t   size = 70 * FRAME;        /* three windows */

    (void) state;
    bed_open(&b, 512, 1);
    lay(&b, 1, size);
    b.disk.delay_min_us = 10;
    b.disk.delay_max_us = 500;

    /* before it was sent, and in flight */
    for (int i = 0; i < 3; i++) {
        r = reader_of(&b, 1, 0, UINT32_MAX);
        reader_begin(&r);

        if (i > 0) {
            s3c_io_submit(b.w.io);
        }

        if (i > 1) {
            (void) s3c_io_reap(b.w.io);
        }

        s3c_ssd_read_cancel(b.w.ssd, &r.read);
        s3c_ssd_read_cancel(b.w.ssd, &r.read);
        memset(&r.read, 0xee, sizeof(r.read));
        run_for(&b, 40);
        assert_int_equal(r.n_data + (uint32_t) r.n_end, 0);
        assert_true(s3c_ssd_reader_idle(b.w.ssd));
    }

    /* by itself, and by its own status, after each frame */
    for (uint32_t i = 1; i <= 70; i++) {
        r = reader_of(&b, 1, 0, UINT32_MAX);
        r.cancel_after = i;
        reader_begin(&r);
        run_for(&b, 120);
        assert_int_equal(r.n_data, i);
        assert_int_equal(r.n_end, 0);

        r.cancel_after = 0;
        r.stop_after = i;
        reader_begin(&r);
        run_for(&b, 120);
        assert_int_equal(r.n_data, i);
        assert_int_equal(r.end, S3C_CHANGED);
        assert_true(s3c_ssd_reader_idle(b.w.ssd));
    }

    /* by another's on_data */
    for (int i = 0; i < 20; i++) {
        r = reader_of(&b, 1, 0, UINT32_MAX);
        other = reader_of(&b, 1, 0, UINT32_MAX);
        r.cancel_other = &other;
        reader_begin(&r);
        reader_begin(&other);
        run_for(&b, 120);
        assert_int_equal(r.end, S3C_OK);
        assert_int_equal(r.n_end, 1);
        assert_true(s3c_ssd_reader_idle(b.w.ssd));
    }

    /* one that hangs and was cancelled: still the store's fault */
    sim_disk_fault(&b.disk, (sim_fault_t) {
        .what = SIM_HANG, .file = 0, .kind = SIM_READS, .times = 1
    });
    r = reader_of(&b, 1, 0, UINT32_MAX);
    reader_begin(&r);
    s3c_io_submit(b.w.io);
    s3c_ssd_read_cancel(b.w.ssd, &r.read);
    run_for(&b, 1200);
    assert_int_equal(usage_of(&b).n_timeout, 1);
    assert_int_equal(r.n_end, 0);

    bed_close(&b);
}


/* on_end begins the next, also while the tier is being left. */
static void
test_again(void **state)
{
    bed_t      b;
    reader_t   r;

    (void) state;
    bed_open(&b, 512, 1);
    lay(&b, 1, 5000);
    r = reader_of(&b, 1, 0, UINT32_MAX);
    r.again = true;
    assert_int_equal(read_now(&r), S3C_OK);

    r.again = true;
    reader_begin(&r);
    b.w.io->backend->close(b.w.io);
    s3c_ssd_leave(b.w.ssd);
    assert_int_equal(r.n_end, 1);
    assert_int_equal(r.end, S3C_MISS);
    assert_false(r.again);
    sim_zone_fini(&b.zone);
    sim_disk_fini(&b.disk);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_find_bytes),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_range_past_end),
        cmocka_unit_test(test_every_bit),
        cmocka_unit_test(test_bits_of_long),
        cmocka_unit_test(test_mixed_frames),
        cmocka_unit_test(test_whole_crc),
        cmocka_unit_test(test_other_record),
        cmocka_unit_test(test_reuse_under_reader),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_hang),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_again)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
