/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to ssd_reclaim (the machine and its I/O), ssd_move (which records
 * are kept, and their way to the log's end) and ssd_release (the rest leaves,
 * and the segment is free).
 */
#ifndef S3C_SSD_SSD_RECLAIM_H
#define S3C_SSD_SSD_RECLAIM_H

#include "ssd/ssd_internal.h"

typedef enum {
    S3C_SSD_RECLAIM_IDLE = 0,
    S3C_SSD_RECLAIM_TRAILER,
    S3C_SSD_RECLAIM_FOOTER,
    S3C_SSD_RECLAIM_LOOK,
    S3C_SSD_RECLAIM_MOVE,
    S3C_SSD_RECLAIM_READ,
    S3C_SSD_RECLAIM_MARK,
    S3C_SSD_RECLAIM_EVICT,
    S3C_SSD_RECLAIM_SWEEP
} s3c_ssd_reclaim_state_t;

/* A read, or the write of MARK, and its memory; both outlive the machine if
 * the device hangs. */
typedef struct {
    s3c_io_op_t         op;
    s3c_io_kind_t       kind;
    s3c_ssd_reclaim_t  *owner;         /* NULL: nobody waits any more */
    uint8_t            *buf;
    uint64_t            off;           /* in the store */
    uint32_t            len, got;
} s3c_ssd_reclaim_io_t;

struct s3c_ssd_reclaim_s {
    s3c_ssd_t              *ssd;
    uint32_t                store;
    s3c_ssd_reclaim_state_t state;
    uint32_t                segment;
    uint64_t                seq;
    uint64_t                store_id;
    uint64_t                off;       /* of the segment, in the store */
    uint32_t                bytes;     /* of the segment */
    bool                    sealed;    /* its footer is good */

    s3c_ssd_reclaim_io_t   *look;      /* in flight */
    bool                    unsent;    /* the I/O queue was full */
    uint64_t                look_ms;
    bool                    hung;      /* the write; it has been counted */

    s3c_ssd_reclaim_state_t then;      /* after MARK */
    bool                    marked;    /* MARK is done */
    uint64_t                floor;     /* that it writes */

    s3c_ssd_trailer_rec_t   trailer;
    uint8_t                *footer;
    uint8_t                *refs;      /* by entry; after LOOK: 1, move it */
    uint64_t                bytes_by_refs[4];
    uint32_t                at;        /* entry */
    uint64_t                bucket;

    uint8_t                *hot;       /* what was read, [hot_from, hot_end) */
    uint32_t                hot_from, hot_end;
    uint32_t                hot_n;     /* entries before this are in it */
    bool                    checked;   /* entry `at` is, and its payload */
    uint64_t                tag[2];
    uint64_t                wait_ms;   /* since when the writer has no room */
};

/* --- ssd_reclaim --- */

/* For [from, from + len) of the segment, whole blocks; NULL: no memory. */
s3c_ssd_reclaim_io_t *s3c_ssd_reclaim_io(s3c_ssd_reclaim_t *r,
    s3c_io_kind_t kind, uint32_t from, uint32_t len);
void s3c_ssd_reclaim_io_free(s3c_ssd_reclaim_io_t *io);
/* r->look, or what is left of it. */
void s3c_ssd_reclaim_send(s3c_ssd_reclaim_t *r);
/* False: no memory. */
bool s3c_ssd_reclaim_read(s3c_ssd_reclaim_t *r, uint32_t from, uint32_t len);
/* Back to what it was, unless the store was emptied meanwhile. */
void s3c_ssd_reclaim_give_up(s3c_ssd_reclaim_t *r);
/* IDLE again; the segment is somebody else's. */
void s3c_ssd_reclaim_clear(s3c_ssd_reclaim_t *r);

/* --- ssd_release --- */

/* To EVICT or SWEEP, by way of MARK if that has not been done. */
void s3c_ssd_reclaim_empty(s3c_ssd_reclaim_t *r,
    s3c_ssd_reclaim_state_t how);
void s3c_ssd_reclaim_sweep_begin(s3c_ssd_reclaim_t *r);
/* The write of MARK begins, if it can; its good end. */
void s3c_ssd_reclaim_mark(s3c_ssd_reclaim_t *r);
void s3c_ssd_reclaim_marked(s3c_ssd_reclaim_t *r);
/* It is in flight. True, once, when that has lasted too long; the segment
 * stays the kernel's until it ends. */
bool s3c_ssd_reclaim_mark_hangs(s3c_ssd_reclaim_t *r);
/* Slices of EVICT and SWEEP. True: go on at once. */
bool s3c_ssd_reclaim_evict(s3c_ssd_reclaim_t *r);
bool s3c_ssd_reclaim_sweep(s3c_ssd_reclaim_t *r);

/* --- ssd_move --- */

/* A slice of LOOK: what has been asked for, how often. */
void s3c_ssd_reclaim_look(s3c_ssd_reclaim_t *r);
/* A slice of MOVE. True: go on at once. */
bool s3c_ssd_reclaim_move(s3c_ssd_reclaim_t *r);

static inline s3c_ssd_store_sh_t *
store_of(const s3c_ssd_reclaim_t *r)
{
    return &r->ssd->stores[r->store];
}

static inline s3c_ssd_place_t
entry_place(const s3c_ssd_reclaim_t *r, const s3c_ssd_footer_rec_t *e)
{
    return s3c_ssd_place(r->store, r->off / S3C_SSD_UNIT + e->unit,
                         s3c_ssd_record_units(e->size), S3C_SSD_PLACE_LIVE);
}

static inline s3c_hash128_t
entry_key(const s3c_ssd_footer_rec_t *e)
{
    return (s3c_hash128_t) { .lo = e->key_lo, .hi = e->key_hi };
}

static inline uint64_t
entry_bytes(const s3c_ssd_footer_rec_t *e)
{
    return (uint64_t) s3c_ssd_record_units(e->size) * S3C_SSD_UNIT;
}

#endif
