/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the reader share: records that are laid on a simulated
 * disk by hand, so that every byte a reader meets is known, and that reader
 * and writer can not be wrong together.
 */
#ifndef T_UNIT_SSD_SSD_READ_TEST_H
#define T_UNIT_SSD_SSD_READ_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "sim_disk.h"
#include "ssd/ssd_read.h"

#define SEGMENT   (8u << 20)
#define STORE_ID  0x1234567890abcdefull
#define FRAME     S3C_SSD_FRAME_BYTES
#define MIB       (1u << 20)
#define N_MANY    1200

typedef struct {
    sim_disk_t     disk;
    sim_zone_t     zone;
    sim_worker_t   w;
} bed_t;

typedef struct reader_s  reader_t;

struct reader_s {
    s3c_ssd_read_t   read;               /* first */
    bed_t           *bed;
    uint64_t         n;                  /* which payload is expected */
    uint32_t         next;               /* offset of the next frame */
    uint32_t         size;
    uint32_t         n_data;
    uint32_t         stop_after;         /* frames; 0: never */
    uint32_t         cancel_after;
    reader_t        *cancel_other;
    int              n_end;
    s3c_status_t     end;
    bool             again;              /* on_end begins the next */
};


static inline uint8_t
payload_at(uint64_t n, uint32_t i)
{
    uint64_t  x = (n * 0x9e3779b97f4a7c15ull) ^ (i / 8);

    x *= 0xbf58476d1ce4e5b9ull;
    x ^= x >> 29;

    return (uint8_t) (x >> i % 8 * 5);
}


static inline s3c_hash128_t
key_of(uint64_t n)
{
    uint64_t  s = n * 2 + 1;

    return (s3c_hash128_t) { .lo = sim_rng(&s), .hi = sim_rng(&s) };
}


static inline void
bed_open(bed_t *b, uint32_t align, uint32_t n_stores)
{
    s3c_ssd_conf_t  conf;

    sim_disk_init(&b->disk, 7, n_stores, 9ull * SEGMENT);
    b->disk.align = align;
    sim_conf(&conf, &b->disk, n_stores, SEGMENT, 8);
    sim_zone_format(&b->zone, &b->disk, &conf);
    assert_int_equal(sim_worker_join(&b->w, &b->zone, false), S3C_OK);

    /* as if the keeper had mounted it */
    for (uint32_t i = 0; i < n_stores; i++) {
        s3c_ssd_store_sh_t  *st = &b->w.ssd->stores[i];

        st->store_id = STORE_ID + i;
        atomic_store(&st->state, S3C_SSD_SERVING);

        for (uint32_t k = 0; k < st->n_segments; k++) {
            b->w.ssd->segments[st->first_segment + k].seq = 100 + k;
            b->w.ssd->segments[st->first_segment + k].state
                = S3C_SSD_SEGMENT_TORN;
        }
    }
}


/* Ends are told in time, or by leave. */
static inline void
bed_close(bed_t *b)
{
    sim_disk_release(&b->disk, 0);
    (void) s3c_io_reap(b->w.io);
    sim_disk_no_faults(&b->disk);

    for (uint32_t i = 0; i < s3c_ssd_n_stores(b->w.ssd); i++) {
        assert_int_equal(s3c_ssd_flight(b->w.ssd, b->w.ssd->slot, i)->reads,
                         0);
    }

    assert_true(s3c_ssd_reader_idle(b->w.ssd));
    b->w.io->backend->close(b->w.io);
    s3c_ssd_leave(b->w.ssd);
    sim_zone_fini(&b->zone);
    sim_disk_fini(&b->disk);
}


/* The bytes of a record, rounded to units; free it. */
static inline uint8_t *
record_make(uint64_t n, uint32_t size, uint32_t store, uint64_t segment_seq,
    uint64_t record_seq)
{
    uint32_t   crc = 0;
    uint8_t   *out = calloc(s3c_ssd_record_units(size), S3C_SSD_UNIT);

    for (uint32_t f = 0; f < s3c_ssd_n_frames(size); f++) {
        uint8_t              *at = out + s3c_ssd_frame_off(f);
        uint32_t              len = s3c_ssd_frame_len(size, f);
        s3c_ssd_frame_rec_t   head = {
            .key_lo = key_of(n).lo, .key_hi = key_of(n).hi,
            .store_id = STORE_ID + store, .segment_seq = segment_seq,
            .record_seq = record_seq, .tag = { n, ~n }, .size = size,
            .frame = (uint16_t) f, .kind = S3C_SSD_KIND_RECORD
        };

        for (uint32_t i = 0; i < len; i++) {
            at[S3C_SSD_HEAD_BYTES + i] = payload_at(n, f * FRAME + i);
        }

        head.payload_crc = s3c_crc32c(0, at + S3C_SSD_HEAD_BYTES, len);
        crc = s3c_crc32c_combine(crc, head.payload_crc, len);
        head.whole_crc = f + 1 == s3c_ssd_n_frames(size) ? crc : 0;
        s3c_ssd_frame_encode(&head);
        memcpy(at, &head, sizeof(head));
    }

    return out;
}


static inline s3c_ssd_place_t
index_put(bed_t *b, uint64_t n, s3c_ssd_place_t place)
{
    uint64_t          slot;
    s3c_ssd_place_t   old, victim;

    assert_true(s3c_ssd_lock(b->w.ssd));
    s3c_ssd_index_put_locked(b->w.ssd, key_of(n), place, &old, &victim, &slot);
    s3c_ssd_unlock(b->w.ssd);

    return place;
}


/* Record number n at a unit of segment 0 of a store; found from now on. */
static inline s3c_ssd_place_t
lay_at(bed_t *b, uint64_t n, uint32_t size, uint32_t store, uint32_t unit)
{
    uint64_t   off = SEGMENT + (uint64_t) unit * S3C_SSD_UNIT;
    uint32_t   units = s3c_ssd_record_units(size);
    uint8_t   *bytes = record_make(n, size, store, 100, 1000 + n);

    sim_disk_write(&b->disk, store, off, bytes,
                   (size_t) units * S3C_SSD_UNIT);
    free(bytes);

    return index_put(b, n, s3c_ssd_place(store, off / S3C_SSD_UNIT, units,
                                         S3C_SSD_PLACE_LIVE));
}


static inline s3c_ssd_place_t
lay(bed_t *b, uint64_t n, uint32_t size)
{
    return lay_at(b, n, size, 0, 8);
}


/* --- a reader that believes nothing -------------------------------------- */

static inline void reader_begin(reader_t *r);


static inline s3c_status_t
on_data(s3c_ssd_read_t *read, const s3c_ssd_record_t *record, uint32_t off,
    const uint8_t *data, uint32_t len)
{
    reader_t  *r = (reader_t *) read;

    sim_check(r->n_end == 0 && off == r->next && off % FRAME == 0);
    sim_check(record->tag[0] == r->n && record->tag[1] == ~r->n);
    sim_check(r->n_data == 0 || record->size == r->size);
    sim_check(len == s3c_ssd_frame_len(record->size, off / FRAME));

    for (uint32_t i = 0; i < len; i++) {
        sim_check(data[i] == payload_at(r->n, off + i));
    }

    r->size = record->size;
    r->next += FRAME;
    r->n_data++;

    if (r->cancel_other != NULL) {
        s3c_ssd_read_cancel(r->bed->w.ssd, &r->cancel_other->read);
    }

    if (r->cancel_after != 0 && r->n_data == r->cancel_after) {
        s3c_ssd_read_cancel(r->bed->w.ssd, read);
        return S3C_IO;                   /* of no interest any more */
    }

    return r->stop_after != 0 && r->n_data == r->stop_after ? S3C_CHANGED
                                                            : S3C_OK;
}


static inline void
on_end(s3c_ssd_read_t *read, s3c_status_t st)
{
    reader_t  *r = (reader_t *) read;

    sim_check(r->n_end++ == 0);
    r->end = st;

    if (r->again) {
        r->again = false;
        reader_begin(r);
    }
}


static inline void
reader_begin(reader_t *r)
{
    r->n_end = 0;
    r->n_data = 0;
    r->next = r->read.off / FRAME * FRAME;
    r->end = s3c_ssd_read(r->bed->w.ssd, &r->read,
                          sim_now_ms(&r->bed->disk));

    if (r->end != S3C_OK) {
        r->n_end = 1;
    }
}


static inline reader_t
reader_of(bed_t *b, uint64_t n, uint32_t off, uint32_t len)
{
    return (reader_t) {
        .read = { .key = key_of(n), .off = off, .len = len,
                  .on_data = on_data, .on_end = on_end },
        .bed = b, .n = n
    };
}


static inline void
pump(bed_t *b)
{
    do {
        s3c_io_submit(b->w.io);
    } while (s3c_io_reap(b->w.io) > 0);
}


static inline void
run_for(bed_t *b, uint32_t ms)
{
    for (uint32_t t = 0; t < ms; t += S3C_SSD_RUN_MS) {
        sim_disk_step(&b->disk, S3C_SSD_RUN_MS * 1000);
        pump(b);
        s3c_ssd_reader_run(b->w.ssd);
    }

    pump(b);
}


static inline s3c_status_t
read_now(reader_t *r)
{
    reader_begin(r);
    pump(r->bed);
    assert_int_equal(r->n_end, 1);

    return r->end;
}


static inline s3c_status_t
read_whole(bed_t *b, uint64_t n, uint32_t *size)
{
    reader_t  r = reader_of(b, n, 0, UINT32_MAX);

    if (read_now(&r) == S3C_OK) {
        assert_int_equal(r.n_data, s3c_ssd_n_frames(r.size));
        *size = r.size;
    }

    return r.end;
}


static inline bool
found(bed_t *b, uint64_t n)
{
    uint64_t  bytes;

    return s3c_ssd_find(b->w.ssd, key_of(n), &bytes) == S3C_OK;
}


static inline s3c_ssd_usage_t
usage_of(bed_t *b)
{
    s3c_ssd_usage_t  u;

    s3c_ssd_usage(b->w.ssd, 0, &u);

    return u;
}

#endif
