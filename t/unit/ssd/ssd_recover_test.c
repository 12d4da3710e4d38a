/* SPDX-License-Identifier: Apache-2.0
 *
 * Recovery of media that are written here by hand: with footers, without, with
 * duplicates in any order, tombstones, floors, wrong bytes. What is found is
 * compared with what a plain table says should be.
 */
#include "ssd_recover_test.h"


static void
sealed_segments_come_back(void **state)
{
    bed_t                   b;
    seg_t                  *s;
    s3c_ssd_usage_t         u;
    s3c_ssd_segment_sh_t   *g;

    (void) state;
    bed_open(&b, 1, 1);
    s = seg_begin(&b, 0, 2, 0);
    put(&b, s, 1, b.seq++, 100);
    put(&b, s, 2, b.seq++, 100000);
    put(&b, s, 3, b.seq++, 0);
    seg_end(&b, s, true);
    serve(&b);
    truth_is(&b);

    g = &b.w[0].ssd->segments[2];
    assert_int_equal(g->state, S3C_SSD_SEGMENT_SEALED);
    assert_int_equal(g->live_records, 3);
    assert_int_equal(g->last_seq, b.seq - 1);
    assert_int_equal(state_of(&b, 0), S3C_SSD_SEGMENT_FREE);
    s3c_ssd_usage(b.w[0].ssd, 0, &u);
    assert_int_equal(u.recovered_segments, SEGMENTS);
    assert_int_equal(u.recovered_records, 3);
    assert_int_equal(u.segments_free, SEGMENTS - 1);
    assert_int_equal(b.zone.n_log[S3C_SSD_LOG_MOUNTED], 1);
    assert_int_equal(b.zone.n_log[S3C_SSD_LOG_FORMATTED], 0);
    bed_close(&b);
}


/* Random segments of a few workers at a time: duplicates in any order,
 * tombstones, some torn, some with a broken footer; delays at random. */
static void
any_media_give_the_newest(void **state)
{
    (void) state;

    for (uint64_t seed = 1; seed <= 60; seed++) {
        bed_t     b;
        uint64_t  off;
        uint32_t  i, n_stores = 1 + (uint32_t) (seed % 2);
        seg_t    *s[4];

        bed_open(&b, seed, n_stores);
        b.disk.delay_max_us = seed % 3 == 0 ? 0 : 3000;

        for (uint32_t round = 0; round < 3; round++) {
            uint64_t  n, n_torn = 0;

            for (i = 0; i < 4; i++) {
                s[i] = seg_begin(&b, i % n_stores, round * 4 + i,
                                 seed % 4 == 0 ? b.seq - 300 : 0);
            }

            for (n = 0; n < 300; n++) {
                uint32_t  key = (uint32_t) sim_below(&b.rng, KEYS);
                uint32_t  size = sim_below(&b.rng, 20) == 0
                                 ? (uint32_t) sim_below(&b.rng, 90000)
                                 : (uint32_t) sim_below(&b.rng, 3000);
                bool      dead = sim_below(&b.rng, 5) == 0;
                seg_t    *to = s[key % n_stores
                                 + n_stores * sim_below(&b.rng, 4 / n_stores)];

                if (seg_record(to, key, b.seq, dead ? 0 : size, dead)) {
                    truth_note(&b, to, key, b.seq, dead);
                }

                b.seq++;
            }

            for (i = 0; i < 4; i++) {
                bool  torn = sim_below(&b.rng, 4) == 0;

                off = (uint64_t) (round * 4 + i + 2) * SEG
                      - S3C_SSD_BLOCK - 1 - sim_below(&b.rng, 40);
                n_torn += torn;
                seg_end(&b, s[i], !torn);

                if (!torn && sim_below(&b.rng, 3) == 0) {
                    /* in the entries' padding or the trailer */
                    sim_disk_flip(&b.disk, i % n_stores,
                                  off + sim_below(&b.rng, 2) * 41, 3);
                }
            }
        }

        serve(&b);
        truth_is(&b);
        bed_close(&b);
    }
}


static void
broken_frame_costs_its_record_only(void **state)
{
    bed_t   b;
    seg_t  *s;

    (void) state;
    bed_open(&b, 3, 1);
    s = seg_begin(&b, 0, 0, 0);
    put(&b, s, 1, b.seq++, 500000);
    put(&b, s, 2, b.seq++, 200000);
    put(&b, s, 3, b.seq++, 100);
    put(&b, s, 4, b.seq++, 4000);
    put(&b, s, 5, b.seq++, 100000);
    sim_check(!b.keys[5].tombstone);
    seg_end(&b, s, false);
    sim_disk_flip(&b.disk, 0, SEG + b.keys[2].unit * S3C_SSD_UNIT + 70000, 1);
    sim_disk_flip(&b.disk, 0, SEG + b.keys[4].unit * S3C_SSD_UNIT + 9, 1);
    serve(&b);
    key_is(&b, 1, true);
    key_is(&b, 2, false);
    key_is(&b, 3, true);
    key_is(&b, 4, false);
    key_is(&b, 5, true);
    assert_int_equal(state_of(&b, 0), S3C_SSD_SEGMENT_TORN);
    assert_int_equal(b.w[0].ssd->segments[0].last_seq, b.seq - 1);
    audit(&b, 0);
    bed_close(&b);
}


static void
flipped_footer_is_scanned(void **state)
{
    (void) state;

    for (uint32_t at = 0; at < 60; at++) {
        bed_t     b;
        seg_t    *s;
        uint32_t  i, off;

        bed_open(&b, 4 + at, 1);
        s = seg_begin(&b, 0, 1, 0);

        for (i = 0; i < 200; i++) {
            put(&b, s, i, b.seq++, i * 9);
        }

        kill_key(&b, s, 7, b.seq++);
        off = SEG - s3c_ssd_footer_bytes(s->n);
        seg_end(&b, s, true);

        off = at % 2 == 0 ? SEG - S3C_SSD_BLOCK + at % 48
                          : off + (uint32_t) sim_below(&b.rng, 8000);
        sim_disk_flip(&b.disk, 0, 2 * SEG + off, at % 8);
        serve(&b);
        truth_is(&b);
        assert_int_equal(state_of(&b, 1), S3C_SSD_SEGMENT_TORN);
        bed_close(&b);
    }
}


static void
long_footer_takes_two_reads(void **state)
{
    bed_t     b;
    seg_t    *s;

    (void) state;
    bed_open(&b, 5, 1);
    s = seg_begin(&b, 0, 0, 0);

    for (uint32_t n = 0; n < 1850; n++) {
        put(&b, s, n % KEYS, b.seq++, 100);
    }

    assert_true(s3c_ssd_footer_bytes(s->n) > S3C_SSD_TAIL_BYTES);
    seg_end(&b, s, true);
    serve(&b);
    truth_is(&b);
    assert_int_equal(state_of(&b, 0), S3C_SSD_SEGMENT_SEALED);
    bed_close(&b);
}


static void
header_version(uint8_t *header, uint32_t version)
{
    s3c_ssd_segment_rec_t  rec;

    memcpy(&rec, header, sizeof(rec));
    rec.version = version;
    rec.crc = s3c_crc32c(0, (uint8_t *) &rec + 8, sizeof(rec) - 8);
    memcpy(header, &rec, sizeof(rec));
}


static void
foreign_segments_are_free(void **state)
{
    bed_t     b;
    seg_t    *s;

    (void) state;
    bed_open(&b, 6, 1);

    s = seg_begin(&b, 0, 0, 0);              /* of another version */
    assert_true(seg_record(s, 1, b.seq++, 100, false));
    header_version(s->bytes, S3C_SSD_VERSION + 1);
    seg_end(&b, s, true);

    s = seg_begin(&b, 0, 1, 0);              /* of another store */
    assert_true(seg_record(s, 2, b.seq++, 100, false));
    s3c_ssd_segment_encode(s->bytes, ID + 99, 1, s->seq, 0);
    seg_end(&b, s, true);

    s = seg_begin(&b, 0, 2, 0);              /* at another place */
    assert_true(seg_record(s, 3, b.seq++, 100, false));
    s->segment = 3;
    seg_end(&b, s, true);

    b.seq = 9ull << S3C_SSD_EPOCH_SHIFT;     /* of the future */
    s = seg_begin(&b, 0, 4, 0);
    assert_true(seg_record(s, 4, b.seq++, 100, false));
    seg_end(&b, s, true);

    serve(&b);
    truth_is(&b);
    assert_int_equal(b.w[0].ssd->stores[0].n_free, SEGMENTS);
    bed_close(&b);
}


/* What was reclaimed: its segment can be written to at once, and nothing as
 * old as it comes back. */
static void
freed_segments_have_the_floor(void **state)
{
    bed_t     b;
    seg_t    *s;
    uint64_t  floor;
    uint8_t   block[S3C_SSD_BLOCK] = { 0 };

    (void) state;
    bed_open(&b, 9, 1);
    s = seg_begin(&b, 0, 0, 0);
    put(&b, s, 1, b.seq++, 100);
    seg_end(&b, s, true);
    s = seg_begin(&b, 0, 1, 0);              /* reclaimed with its tombstone */
    put(&b, s, 2, b.seq++, 100);
    kill_key(&b, s, 1, b.seq++);
    floor = s->last_seq + 1;
    seg_end(&b, s, true);
    s = seg_begin(&b, 0, 2, 0);
    put(&b, s, 3, b.seq++, 100);
    seg_end(&b, s, true);
    s3c_ssd_segment_encode(block, ID, 1, S3C_SSD_SEQ_FREE, floor);
    sim_disk_write(&b.disk, 0, 2 * SEG, block, sizeof(block));
    b.floor = floor;

    serve(&b);
    key_is(&b, 1, false);
    key_is(&b, 2, false);
    truth_is(&b);
    assert_int_equal(state_of(&b, 1), S3C_SSD_SEGMENT_FREE);
    assert_int_equal(b.w[0].ssd->stores[0].n_free, SEGMENTS - 2);
    assert_true(b.w[0].ssd->stores[0].floor >= floor);
    bed_close(&b);
}


/* It may have had the floor, and tombstones follow: the store is formatted.
 * But one of before a format stays where it is, and costs nothing. */
static void
damaged_headers_cost_the_store(void **state)
{
    (void) state;

    for (int what = 0; what < 3; what++) {
        bed_t   b;
        seg_t  *s;

        bed_open(&b, 10, 1);
        s = seg_begin(&b, 0, 0, 0);
        put(&b, s, 1, b.seq++, 100);
        seg_end(&b, s, true);
        s = seg_begin(&b, 0, 1, 0);

        if (what < 2) {
            assert_true(seg_record(s, 1, b.seq++, 0, true));
        }

        if (what > 0) {                      /* not even the store's id */
            s3c_ssd_segment_encode(s->bytes, ID + 99, 1, s->seq, 0);
        }

        s->bytes[offsetof(s3c_ssd_segment_rec_t, floor) + 1] ^= 4;
        seg_end(&b, s, true);

        assert_int_equal(sim_worker_join(&b.w[0], &b.zone, false), S3C_OK);
        sim_run_for(&b.disk, b.w, 1, 20000);
        assert_int_equal(s3c_ssd_state(b.w[0].ssd, 0), S3C_SSD_SERVING);
        assert_int_equal(b.zone.n_log[S3C_SSD_LOG_FORMATTED], what < 2);
        assert_int_equal(b.w[0].ssd->stores[0].n_corrupt, what < 2);
        key_is(&b, 1, what == 2);
        audit(&b, 0);
        bed_close(&b);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        { "sealed segments come back", sealed_segments_come_back, NULL, NULL,
          NULL },
        { "of any media the newest counts", any_media_give_the_newest, NULL,
          NULL, NULL },
        { "a broken frame costs its record only",
          broken_frame_costs_its_record_only, NULL, NULL, NULL },
        { "a segment whose footer is broken is searched",
          flipped_footer_is_scanned, NULL, NULL, NULL },
        { "a long footer takes two reads", long_footer_takes_two_reads, NULL,
          NULL, NULL },
        { "freed segments have the floor", freed_segments_have_the_floor,
          NULL, NULL, NULL },
        { "damaged headers cost the store", damaged_headers_cost_the_store,
          NULL, NULL, NULL },
        { "segments of others are free", foreign_segments_are_free, NULL,
          NULL, NULL }
    };

    return cmocka_run_group_tests_name("ssd_recover", tests, NULL, NULL);
}
