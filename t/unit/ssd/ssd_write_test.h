/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of writing and reclaiming share: a worker over the simulated
 * disk, its stores mounted by hand, and only the writer's clockwork running,
 * so that nothing else writes; records whose bytes tell key and version.
 */
#ifndef T_UNIT_SSD_SSD_WRITE_TEST_H
#define T_UNIT_SSD_SSD_WRITE_TEST_H

#include "ssd_test.h"

#include "base/crc32c.h"
#include "ssd/ssd_write.h"
#include "sim_disk.h"

#define SEGMENT  MIB
#define FIRST_ID 0x7700

typedef struct {
    sim_disk_t    disk;
    sim_zone_t    zone;
    sim_worker_t  w;
    s3c_ssd_t    *ssd;
} rig_t;

typedef struct {
    s3c_ssd_segment_rec_t  header;
    s3c_ssd_trailer_rec_t  trailer;
    uint32_t               n_records, n_tombstones;
} seen_t;

static uint8_t  big[8 * MIB], segment[SEGMENT];


static inline void
rig_open_of(rig_t *r, uint32_t n_stores, uint32_t segment_bytes,
    uint32_t n_segments)
{
    s3c_ssd_conf_t  conf;

    memset(r, 0, sizeof(*r));
    sim_disk_init(&r->disk, 42, n_stores,
                  (uint64_t) segment_bytes * (n_segments + 1));
    r->disk.usec = 1000000;
    sim_conf(&conf, &r->disk, n_stores, segment_bytes, n_segments);
    sim_zone_format(&r->zone, &r->disk, &conf);
    sim_worker_init(&r->w, &r->zone);
    assert_int_equal(s3c_ssd_join(&r->ssd, r->zone.region, r->zone.bytes,
                                  &r->w.env, sim_now_ms(&r->disk)), S3C_OK);
    r->w.ssd = r->ssd;
    zone_mount(r->ssd);

    for (uint32_t i = 0; i < n_stores; i++) {
        r->ssd->stores[i].store_id = FIRST_ID + i;
    }
}


static inline void
rig_open(rig_t *r, uint32_t n_stores, uint32_t n_segments)
{
    rig_open_of(r, n_stores, SEGMENT, n_segments);
}


static inline void
reap(rig_t *r)
{
    do {
        s3c_io_submit(r->w.io);
    } while (s3c_io_reap(r->w.io) > 0);
}


static inline void
run_for(rig_t *r, uint64_t ms)
{
    for (uint64_t t = 0; t < ms; t += 10) {
        sim_disk_step(&r->disk, 10000);
        reap(r);
        r->ssd->now_ms = sim_now_ms(&r->disk);
        s3c_ssd_writer_run(r->ssd);
        reap(r);
    }
}


static inline void
rig_close(rig_t *r)
{
    sim_disk_no_faults(&r->disk);
    sim_disk_release(&r->disk, 0);
    run_for(r, 300);
    zone_audit(r->ssd);
    s3c_ssd_leave(r->ssd);
    s3c_io_close(r->w.io);
    sim_zone_fini(&r->zone);
    sim_disk_fini(&r->disk);
}


static inline void
pattern(uint8_t *to, uint64_t n, uint32_t size)
{
    uint64_t  v, s = n;

    for (uint32_t i = 0; i < size; i += 8) {
        v = rng_next(&s);
        memcpy(to + i, &v, size - i < 8 ? size - i : 8);
    }
}


static inline s3c_status_t
put(rig_t *r, uint64_t n, uint64_t version, uint32_t size)
{
    uint32_t      a = size / 3, b = size / 2;
    uint64_t      tag[2] = { n, version };
    struct iovec  iov[4];

    pattern(big, n * 1000 + version, size);
    iov[0] = (struct iovec) { big, a };
    iov[1] = (struct iovec) { big + a, 0 };
    iov[2] = (struct iovec) { big + a, b - a };
    iov[3] = (struct iovec) { big + b, size - b };

    return s3c_ssd_put(r->ssd, key_of(n), tag, iov, 4, size,
                       sim_now_ms(&r->disk));
}


static inline s3c_ssd_place_t
place_of(rig_t *r, uint64_t n)
{
    s3c_ssd_place_t  p;

    return s3c_ssd_index_find(r->ssd, key_of(n), &p) == S3C_OK ? p : 0;
}


static inline bool
live(rig_t *r, uint64_t n)
{
    return s3c_ssd_place_kind(place_of(r, n)) == S3C_SSD_PLACE_LIVE;
}


/* The record of a LIVE place is on the medium, frame by frame. */
static inline void
check_medium(rig_t *r, uint64_t n, uint64_t version, uint32_t size)
{
    uint32_t             bytes, at = 0;
    uint8_t             *in;
    s3c_ssd_place_t      p = place_of(r, n);
    s3c_ssd_expect_t     expect = { .key = key_of(n) };
    s3c_ssd_frame_rec_t  head;

    assert_int_equal(s3c_ssd_place_kind(p), S3C_SSD_PLACE_LIVE);
    assert_int_equal(s3c_ssd_place_units(p), s3c_ssd_record_units(size));

    bytes = s3c_ssd_place_units(p) * S3C_SSD_UNIT;
    in = malloc(bytes);
    assert_non_null(in);
    sim_disk_read(&r->disk, s3c_ssd_place_store(p), s3c_ssd_place_off(p), in,
                  bytes);
    pattern(big, n * 1000 + version, size);

    for (uint32_t i = 0; i < s3c_ssd_n_frames(size); i++) {
        expect.store_id = FIRST_ID + s3c_ssd_place_store(p);
        expect.segment_seq = r->ssd->segments[
                                 s3c_ssd_place_segment(r->ssd, p)].seq;
        expect.frame = i;
        assert_int_equal(s3c_ssd_frame_decode(in + at, bytes - at, &expect,
                                              true, &head), S3C_OK);
        expect.record_seq = head.record_seq;
        assert_int_equal(head.size, size);
        assert_int_equal(head.kind, S3C_SSD_KIND_RECORD);
        assert_true(head.tag[0] == n && head.tag[1] == version);
        assert_memory_equal(in + at + S3C_SSD_HEAD_BYTES,
                            big + i * S3C_SSD_FRAME_BYTES,
                            s3c_ssd_frame_len(size, i));
        at += S3C_SSD_HEAD_BYTES + s3c_ssd_frame_len(size, i);
    }

    assert_int_equal(head.whole_crc, s3c_crc32c(0, big, size));

    for ( /* void */ ; at < bytes; at++) {
        assert_int_equal(in[at], 0);
    }

    free(in);
}


static inline uint32_t
n_in_state(rig_t *r, s3c_ssd_segment_state_t state)
{
    uint32_t  n = 0;

    for (uint32_t i = 0; i < r->ssd->head->n_segments; i++) {
        n += r->ssd->segments[i].state == state;
    }

    return n;
}


/* A sealed segment: header, every entry's first frame, footer. */
static inline void
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
static inline void
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

#endif
