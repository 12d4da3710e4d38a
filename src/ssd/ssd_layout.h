/* SPDX-License-Identifier: Apache-2.0
 *
 * The tier's shared memory. Offsets and numbers only.
 *
 *   [head | locks | stores | flights | segments of all stores | ghost | buckets]
 *
 * INDEX    buckets of one cache line: five objects in 12 bytes each. A key has
 *          two buckets and lies in either. `tag` and bucket are 32 + ~32 bits
 *          of the key; the frame on flash has all 128 and is compared.
 * READERS  of buckets take no lock: a place is one atomic word. A torn look
 *          (the tag of one, the place of another) reads a record whose key
 *          differs: a MISS.
 * WRITERS  of buckets, segments and stores hold the lock, but for: ref bits
 *          (compare-and-swap by readers), counters (relaxed adds).
 */
#ifndef S3C_SSD_SSD_LAYOUT_H
#define S3C_SSD_SSD_LAYOUT_H

#include <assert.h>
#include <stdatomic.h>

#include "base/robust_lock.h"
#include "ssd/ssd.h"

#define S3C_SSD_SH_MAGIC        0x4453533353ull
#define S3C_SSD_BUCKET_PLACES   5

/* A place: where a record lies. 0: empty.
 *   bits  0..34  unit in the store (offset / 512)
 *   bits 35..51  units of the record
 *   bits 52..55  store
 *   bits 56..57  s3c_ssd_place_kind_t
 *   bits 58..59  how often it was asked for (saturates at 3)
 *   bit  60      it is being moved to its other bucket: ssd_index.c only */
typedef uint64_t  s3c_ssd_place_t;

typedef enum {
    S3C_SSD_PLACE_EMPTY = 0,
    S3C_SSD_PLACE_LIVE,
    S3C_SSD_PLACE_PENDING,     /* staged, not yet on the device */
    S3C_SSD_PLACE_TOMBSTONE    /* while recovering: it was dropped */
} s3c_ssd_place_kind_t;

typedef struct {
    _Atomic uint64_t  place[S3C_SSD_BUCKET_PLACES];
    _Atomic uint32_t  tag[S3C_SSD_BUCKET_PLACES];
    uint32_t          zero;
} s3c_ssd_bucket_sh_t;
static_assert(sizeof(s3c_ssd_bucket_sh_t) == 64, "a bucket is a cache line");

typedef enum {
    S3C_SSD_SEGMENT_UNKNOWN = 0,   /* not yet read by recovery */
    S3C_SSD_SEGMENT_FREE,
    S3C_SSD_SEGMENT_OPEN,          /* its owner appends */
    S3C_SSD_SEGMENT_SEALED,        /* with a footer */
    S3C_SSD_SEGMENT_TORN,          /* complete, but without a footer */
    S3C_SSD_SEGMENT_RECLAIMING
} s3c_ssd_segment_state_t;

typedef struct {
    uint64_t  seq;             /* segment_seq of this use */
    uint64_t  last_seq;        /* highest record_seq in it */
    uint64_t  rest_until_ms;   /* a dead worker may still write into it: not to
                                  be opened before */
    uint32_t  state;
    uint32_t  owner;           /* slot, while OPEN or RECLAIMING */
    uint32_t  live_records;    /* LIVE and PENDING places that point into it */
    uint32_t  live_units;
} s3c_ssd_segment_sh_t;
static_assert(sizeof(s3c_ssd_segment_sh_t) == 40, "segment");

/* Counters of s3c_ssd_usage_t, relaxed. */
#define S3C_SSD_COUNTERS(X)                                                    \
    X(n_hit) X(hit_bytes) X(read_bytes) X(n_put) X(put_bytes)                  \
    X(written_bytes) X(n_shed) X(n_denied) X(n_drop) X(n_reclaim)              \
    X(n_reinsert) X(n_evict) X(n_corrupt) X(n_read_error) X(n_write_error)     \
    X(n_timeout) X(n_out_of_service) X(recovered_records)                      \
    X(recovered_segments) X(n_scrub) X(scrub_bytes) X(n_scrub_bad)             \
    X(n_scrub_pass)

typedef struct {
    s3c_ssd_store_conf_t  conf;
    uint32_t              first_segment;   /* in the table of all */
    uint32_t              n_segments;
    _Atomic uint32_t      state;           /* s3c_ssd_state_t */
    uint32_t              cursor;          /* where to look for a free one */
    uint32_t              n_free, n_open;
    uint64_t              store_id;        /* of the mounted superblock */
    uint64_t              floor;           /* see ssd_media.h; a header there
                                              has it */
    uint64_t              live_records;
    uint64_t              live_units;
    uint64_t              recovery_begun_ms, recovery_ms;
    uint64_t              epoch;           /* that its superblock may have */
    uint64_t              retry_ms;        /* FAILED: not before */
    uint32_t              n_failures;      /* times it failed, for back-off */
    uint32_t              lost_tombstones; /* it must be formatted before it
                                              serves (again) */
    _Atomic uint32_t      errors[2];       /* in a row: of reads, of writes */
    _Atomic int64_t       tokens;          /* of the budget, bytes */
    _Atomic uint64_t      tokens_ms;       /* when they were last added */
    _Atomic uint32_t      scrub_at;        /* segment of it, to be read next */
    uint32_t              zero;
#define X(name)  _Atomic uint64_t  name;
    S3C_SSD_COUNTERS(X)
#undef X
} s3c_ssd_store_sh_t;

/* A tombstone that is not on the device yet. Should its worker die, another
 * one writes it. */
typedef struct {
    _Atomic uint32_t      used;            /* set last, cleared first */
    uint32_t              zero;
    uint64_t              seq;             /* 0: dropped before the mount */
    s3c_hash128_t         key;
} s3c_ssd_due_sh_t;
static_assert(sizeof(s3c_ssd_due_sh_t) == 32, "due");

#define S3C_SSD_DUE_MAX   128

/* Under way, by slot and store: I/O, which goes with a worker that dies, and
 * tombstones. */
typedef struct {
    _Atomic int32_t       reads;
    _Atomic int32_t       writes;
    _Atomic uint32_t      untold;          /* tombstones that found no room in
                                              due[]: lost with the worker */
    uint32_t              zero;
    s3c_ssd_due_sh_t      due[S3C_SSD_DUE_MAX];
} s3c_ssd_flight_sh_t;

typedef struct {
    uint64_t              magic;
    uint64_t              bytes;
    uint64_t              check;           /* hash of the constants below */
    uint32_t              n_slots;
    uint32_t              n_stores;
    uint64_t              n_buckets;
    uint32_t              n_segments;      /* of all stores */
    uint32_t              zero;
    uint64_t              locks_off, stores_off, flights_off, segments_off,
                          ghost_off, buckets_off;
    uint8_t               secret[S3C_HASH_SECRET_BYTES];
    /* changing */
    _Atomic uint64_t      seq;             /* last record or segment seq given
                                              out; epoch << 40 at a mount */
    _Atomic uint64_t      epoch;           /* of the stores in service; 0:
                                              not mounted */
    _Atomic uint64_t      run_seq;         /* seqs of this mount are higher */
    uint32_t              dirty;           /* a writer is at work: who finds
                                              it set after a death recounts */
    uint32_t              recovering;      /* stores in recovery: drops of
                                              unknown keys leave tombstones */
    uint64_t              n_heal, n_dead_worker, n_index_evict;
    uint64_t              n_evict_new;     /* of what this run has put or
                                              dropped, while recovering */
    uint64_t              n_orphan;        /* segments whose writes may have
                                              ended unseen */
} s3c_ssd_head_sh_t;

/* locks: [writers][keeper][slot 0]...[slot n - 1], 64-byte aligned each
 * ghost: uint16_t of n_buckets, fingerprints of keys that were refused or
 *        reclaimed (S3C_SSD_GHOST by bucket) */

#endif
