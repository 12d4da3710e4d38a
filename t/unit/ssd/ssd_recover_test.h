/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of recovery share: media that are written by hand, and a plain
 * table that says what should be found on them.
 */
#ifndef T_UNIT_SSD_SSD_RECOVER_TEST_H
#define T_UNIT_SSD_SSD_RECOVER_TEST_H

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


static inline s3c_hash128_t
key_of(uint32_t i)
{
    uint64_t       s = i * 2 + 1;
    s3c_hash128_t  k;

    k.lo = sim_rng(&s);
    k.hi = sim_rng(&s);

    return k;
}


static inline void
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


static inline void
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


static inline void
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

static inline seg_t *
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


static inline bool
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


static inline void
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


static inline void
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


static inline void
put(bed_t *b, seg_t *s, uint32_t key, uint64_t seq, uint32_t size)
{
    assert_true(seg_record(s, key, seq, size, false));
    truth_note(b, s, key, seq, false);
}


static inline void
kill_key(bed_t *b, seg_t *s, uint32_t key, uint64_t seq)
{
    assert_true(seg_record(s, key, seq, 0, true));
    truth_note(b, s, key, seq, true);
}


/* --- what should be ---------------------------------------------------- */

static inline void
audit(bed_t *b, uint32_t w)
{
    const char  *what;

    if (s3c_ssd_audit(b->w[w].ssd, &what) != S3C_OK) {
        fail_msg("audit: %s", what);
    }
}


static inline void
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


static inline void
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


static inline void
serve(bed_t *b)
{
    assert_int_equal(sim_worker_join(&b->w[0], &b->zone, false), S3C_OK);
    assert_true(sim_run_until_serving(&b->disk, b->w, 1, 20000));
    sim_run_for(&b->disk, b->w, 1, 200);      /* the sweep */
}


static inline uint32_t
state_of(bed_t *b, uint32_t segment)
{
    return b->w[0].ssd->segments[segment].state;
}


#endif /* T_UNIT_SSD_SSD_RECOVER_TEST_H */
