/* SPDX-License-Identifier: Apache-2.0
 *
 * Recovery of media that are written here by hand: with footers, without, with
 * duplicates in any order, tombstones, floors, wrong bytes. What is found is
 * compared with what a plain table says should be.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "sim_disk.h"
#include "ssd/ssd_keeper.h"

#define SEG       (1u << 20)
#define SEGMENTS  20
#define ID        0x1122334455667788ull
#define KEYS      400
#define ENTRIES   4096

typedef struct {
    uint64_t  seq;                       /* the newest */
    bool      tombstone;
    uint32_t  size;
    uint32_t  store, segment, unit;
} truth_t;

typedef struct {
    sim_disk_t    disk;
    s3c_ssd_conf_t  conf;
    sim_zone_t    zone;
    sim_worker_t  w[2];
    uint64_t      rng;
    truth_t       keys[KEYS];
    uint64_t      floor;
    uint64_t      seq;                   /* of the media */
} bed_t;

typedef struct {
    uint8_t               *bytes;
    uint32_t               at;
    uint32_t               n;
    uint64_t               seq, last_seq;
    uint32_t               store, segment;
    s3c_ssd_footer_rec_t   e[ENTRIES];
} seg_t;


static s3c_hash128_t
key_of(uint32_t i)
{
    uint64_t       s = i * 2 + 1;
    s3c_hash128_t  k;

    k.lo = sim_rng(&s);
    k.hi = sim_rng(&s);

    return k;
}


static void
super_put(bed_t *b, uint32_t store, uint64_t epoch)
{
    uint8_t          block[2 * S3C_SSD_BLOCK] = { 0 };
    s3c_ssd_super_t  super = {
        .store_id = ID + store, .epoch = epoch,
        .bytes = b->conf.stores[store].bytes,
        .segment_bytes = b->conf.stores[store].segment_bytes
    };

    memcpy(super.secret, b->conf.secret, sizeof(super.secret));
    s3c_ssd_super_encode(block + epoch % 2 * S3C_SSD_BLOCK, &super);
    sim_disk_write(&b->disk, store, 0, block, sizeof(block));
}


static void
bed_open(bed_t *b, uint64_t seed, uint32_t n_stores)
{
    memset(b, 0, sizeof(*b));
    b->rng = seed;
    b->seq = (3ull << S3C_SSD_EPOCH_SHIFT) + 1;
    sim_disk_init(&b->disk, seed, n_stores, (SEGMENTS + 1) * SEG);
    sim_conf(&b->conf, &b->disk, n_stores, SEG, SEGMENTS);
    sim_zone_format(&b->zone, &b->disk, &b->conf);

    for (uint32_t i = 0; i < n_stores; i++) {
        super_put(b, i, 3);
    }
}


static void
bed_close(bed_t *b)
{
    for (uint32_t i = 0; i < 2; i++) {
        if (b->w[i].ssd != NULL) {
            sim_worker_leave(&b->w[i]);
        }
    }

    sim_zone_fini(&b->zone);
    sim_disk_fini(&b->disk);
}


/* --- media by hand ----------------------------------------------------- */

static seg_t *
seg_begin(bed_t *b, uint32_t store, uint32_t segment, uint64_t floor)
{
    seg_t  *s = calloc(1, sizeof(*s));

    s->bytes = calloc(1, SEG);
    s->store = store;
    s->segment = segment;
    s->seq = b->seq++;
    s->last_seq = s->seq;
    s->at = S3C_SSD_BLOCK;
    s3c_ssd_segment_encode(s->bytes, ID + store, segment, s->seq, floor);
    b->floor = floor > b->floor ? floor : b->floor;

    return s;
}


static bool
seg_record(seg_t *s, uint32_t key, uint64_t seq, uint32_t size, bool tombstone)
{
    uint8_t              *p = s->bytes + s->at;
    uint32_t              i, k, len, crc = 0, n = s3c_ssd_n_frames(size);
    s3c_hash128_t         h = key_of(key);
    s3c_ssd_frame_rec_t   f;

    if (s->at + s3c_ssd_record_units(size) * S3C_SSD_UNIT
        + s3c_ssd_footer_bytes(s->n + 1) > SEG)
    {
        return false;
    }

    for (i = 0; i < n; i++) {
        len = s3c_ssd_frame_len(size, i);

        for (k = 0; k < len; k++) {
            p[S3C_SSD_HEAD_BYTES + k] = (uint8_t) (key + i + k * 7);
        }

        f = (s3c_ssd_frame_rec_t) {
            .key_lo = h.lo, .key_hi = h.hi, .store_id = ID + s->store,
            .segment_seq = s->seq, .record_seq = seq, .size = size,
            .frame = (uint16_t) i,
            .kind = tombstone ? S3C_SSD_KIND_TOMBSTONE : S3C_SSD_KIND_RECORD
        };
        f.payload_crc = s3c_crc32c(0, p + S3C_SSD_HEAD_BYTES, len);
        crc = s3c_crc32c(crc, p + S3C_SSD_HEAD_BYTES, len);
        f.whole_crc = i + 1 == n ? crc : 0;
        s3c_ssd_frame_encode(&f);
        memcpy(p, &f, sizeof(f));
        p += S3C_SSD_HEAD_BYTES + len;
    }

    s->e[s->n++] = (s3c_ssd_footer_rec_t) {
        .key_lo = h.lo, .key_hi = h.hi, .record_seq = seq,
        .unit = s->at / S3C_SSD_UNIT, .size = size, .kind = f.kind
    };
    s->last_seq = seq > s->last_seq ? seq : s->last_seq;
    s->at += s3c_ssd_record_units(size) * S3C_SSD_UNIT;

    return true;
}


static void
seg_end(bed_t *b, seg_t *s, bool sealed)
{
    uint32_t  len = s3c_ssd_footer_bytes(s->n);

    if (sealed) {
        s3c_ssd_footer_encode(s->bytes + SEG - len, ID + s->store, s->seq,
                              s->last_seq, s->e, s->n, SEG);
    }

    sim_disk_write(&b->disk, s->store, (uint64_t) (s->segment + 1) * SEG,
                   s->bytes, SEG);
    free(s->bytes);
    free(s);
}


static void
truth_note(bed_t *b, const seg_t *s, uint32_t key, uint64_t seq, bool tombstone)
{
    truth_t  *t = &b->keys[key];

    if (seq > t->seq) {
        *t = (truth_t) {
            .seq = seq, .tombstone = tombstone, .store = s->store,
            .segment = s->segment, .unit = s->e[s->n - 1].unit,
            .size = s->e[s->n - 1].size
        };
    }
}


static void
put(bed_t *b, seg_t *s, uint32_t key, uint64_t seq, uint32_t size)
{
    assert_true(seg_record(s, key, seq, size, false));
    truth_note(b, s, key, seq, false);
}


static void
kill_key(bed_t *b, seg_t *s, uint32_t key, uint64_t seq)
{
    assert_true(seg_record(s, key, seq, 0, true));
    truth_note(b, s, key, seq, true);
}


/* --- what should be ---------------------------------------------------- */

static void
audit(bed_t *b, uint32_t w)
{
    const char  *what;

    if (s3c_ssd_audit(b->w[w].ssd, &what) != S3C_OK) {
        fail_msg("audit: %s", what);
    }
}


static void
key_is(bed_t *b, uint32_t key, bool there)
{
    uint64_t         bytes;
    truth_t         *t = &b->keys[key];
    s3c_ssd_t       *ssd = b->w[0].ssd;
    s3c_ssd_place_t  p;

    if (!there) {
        assert_int_equal(s3c_ssd_find(ssd, key_of(key), &bytes), S3C_MISS);
        return;
    }

    assert_int_equal(s3c_ssd_find(ssd, key_of(key), &bytes), S3C_OK);
    assert_int_equal(s3c_ssd_index_find(ssd, key_of(key), &p), S3C_OK);
    assert_int_equal(s3c_ssd_place_store(p), t->store);
    assert_int_equal(s3c_ssd_place_off(p),
                     (uint64_t) (t->segment + 1) * SEG
                     + (uint64_t) t->unit * S3C_SSD_UNIT);
    assert_int_equal(s3c_ssd_place_units(p), s3c_ssd_record_units(t->size));
}


static void
truth_is(bed_t *b)
{
    uint64_t  n = 0;

    for (uint32_t i = 0; i < KEYS; i++) {
        bool  there = b->keys[i].seq != 0 && !b->keys[i].tombstone
                      && b->keys[i].seq >= b->floor;

        key_is(b, i, there);
        n += there;
    }

    for (uint32_t i = 0; i < b->conf.n_stores; i++) {
        n -= b->w[0].ssd->stores[i].live_records;
    }

    assert_int_equal(n, 0);
    audit(b, 0);
}


static void
serve(bed_t *b)
{
    assert_int_equal(sim_worker_join(&b->w[0], &b->zone, false), S3C_OK);
    assert_true(sim_run_until_serving(&b->disk, b->w, 1, 20000));
    sim_run_for(&b->disk, b->w, 1, 200);      /* the sweep */
}


static uint32_t
state_of(bed_t *b, uint32_t segment)
{
    return b->w[0].ssd->segments[segment].state;
}


/* --- tests ------------------------------------------------------------- */

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


/* --- live while recovering --------------------------------------------- */

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
          NULL, NULL },
        { "what is dropped while recovering never comes back",
          drops_while_recovering_last, NULL, NULL, NULL },
        { "nothing is shown before all is known", nothing_is_shown_too_early,
          NULL, NULL, NULL },
        { "a keeper may die at any moment", keeper_dies_at_any_moment, NULL,
          NULL, NULL }
    };

    return cmocka_run_group_tests_name("ssd_recover", tests, NULL, NULL);
}
