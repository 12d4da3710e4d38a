/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to the writing files of this room. An appender is one open segment
 * of one store: it begins with a record that fits no other, is staged into
 * batches, and ends with its footer (SEALED) or with an error (TORN). A lane
 * is all that this worker writes to one store: the appender that takes records
 * and those that are closing.
 *
 *   ssd_batch   a write and its completion; batches; settling
 *   ssd_append  is there room? appenders, footers
 *   ssd_write   the writer's life and clockwork
 *   ssd_put     put, drop, reinsert
 *   ssd_tombstone  tombstones that wait or are on their way
 *
 * LIMITS   16 batches a worker, and one footer for each closing appender.
 */
#ifndef S3C_SSD_SSD_WRITE_H
#define S3C_SSD_SSD_WRITE_H

#include "ssd/ssd_internal.h"

#define S3C_SSD_TOMBSTONES_MAX  4096   /* waiting, of a worker */
#define S3C_SSD_CLOSING_MAX     4      /* appenders of a lane */
#define S3C_SSD_SYNCS_MAX       2      /* batches with tombstones of a lane in
                                          flight: the others gather meanwhile */
#define S3C_SSD_LANE_BATCHES    68     /* of the 72, if there are more stores:
                                          one that hangs leaves some to them */
#define S3C_SSD_STALL_MS        1000   /* a write that long in flight: no more
                                          records for this store now */
#define S3C_SSD_LOCKED_MAX      512    /* entries under one hold of the lock */
#define S3C_SSD_PUT_RESERVE     2      /* free segments left for reinsertion */

typedef struct s3c_ssd_write_s  s3c_ssd_write_t;
typedef struct s3c_ssd_batch_s  s3c_ssd_batch_t;

typedef enum {
    S3C_SSD_WRITE_NONE = 0,            /* a free batch, a footer not begun */
    S3C_SSD_WRITE_FILLING,
    S3C_SSD_WRITE_WAITING,             /* the I/O queue was full */
    S3C_SSD_WRITE_IN_FLIGHT,
    S3C_SSD_WRITE_DONE                 /* those before it are not, yet */
} s3c_ssd_write_state_t;

struct s3c_ssd_write_s {
    s3c_io_op_t            op;
    s3c_ssd_t             *ssd;
    s3c_ssd_appender_t    *appender;
    void                 (*end)(s3c_ssd_write_t *write, int err);
    s3c_ssd_write_t       *next;       /* of the waiting ones */
    s3c_ssd_write_state_t  state;
    uint64_t               sent_ms;
    uint64_t               begun_usec;
    bool                   again;      /* it was short once */
    bool                   hung;       /* has been counted */
};

struct s3c_ssd_batch_s {
    s3c_ssd_write_t   write;           /* first: cast back */
    uint8_t          *buf;
    s3c_ssd_batch_t  *next;            /* free, or in the appender's order */
    uint32_t          off;             /* in the segment */
    uint32_t          fill;
    uint32_t          paid;            /* bytes that admission has charged */
    uint64_t          born_ms;
    bool              sync;            /* has tombstones: DSYNC */
    bool              counted;         /* in n_syncs */
};

struct s3c_ssd_appender_s {
    s3c_ssd_appender_t    *next;       /* of the closing ones */
    s3c_ssd_t             *ssd;
    uint32_t               store;
    uint32_t               segment;    /* in the table of all */
    uint64_t               seq;        /* 0: not opened yet */
    uint64_t               store_id;
    uint64_t               floor;
    uint64_t               last_seq;
    uint32_t               segment_bytes;
    uint32_t               at;         /* where the next record goes */
    s3c_ssd_batch_t       *first;      /* not settled, by offset; only the */
    s3c_ssd_batch_t       *last;       /* last ones can be FILLING */
    s3c_ssd_footer_rec_t  *entries;    /* till settled, zero[0]: SUPERSEDES;
                                          [1], [2]: entry_due() */
    uint32_t               n_entries;
    uint32_t               n_settled;
    uint32_t               n_room;     /* of entries */
    uint32_t               n_in_flight;
    bool                   closing;
    bool                   broken;
    s3c_ssd_write_t        footer;
    uint8_t               *footer_buf;
    uint32_t               footer_len;
    uint32_t               footer_done;
};

#define S3C_SSD_SUPERSEDES  1          /* there was an older record: should
                                          this one fail, a tombstone is due */

typedef struct {
    s3c_ssd_appender_t  *current;
    s3c_ssd_appender_t  *closing;
    uint32_t             n_closing;
    uint32_t             n_batches;    /* taken */
    uint32_t             n_syncs;      /* in flight */
    uint32_t             n_tombstones; /* waiting */
    uint32_t             n_untold;     /* on their way, see ssd_tombstone.c */
    uint32_t             n_due_free;
    uint16_t             due_free[S3C_SSD_DUE_MAX];
} s3c_ssd_lane_t;

typedef struct {
    s3c_hash128_t  key;
    uint64_t       seq;                /* 0: dropped before the mount */
    uint16_t       store;
    uint16_t       due;                /* as s3c_ssd_entry_due() */
} s3c_ssd_tombstone_t;

struct s3c_ssd_writer_s {
    uint8_t              *staging;
    s3c_ssd_batch_t      *batches;
    s3c_ssd_batch_t      *free;
    uint32_t              n_free;
    s3c_ssd_write_t      *waiting;
    s3c_ssd_lane_t        lanes[S3C_SSD_STORES_MAX];
    uint32_t              n_tombstones;
    s3c_ssd_tombstone_t   tombstones[S3C_SSD_TOMBSTONES_MAX];
};

/* --- ssd_batch ----------------------------------------------------------- */

void s3c_ssd_batches_init(s3c_ssd_t *ssd);
/* Queues it, or notes that it waits. */
void s3c_ssd_write_send(s3c_ssd_write_t *write);
void s3c_ssd_write_unwait(s3c_ssd_write_t *write);
/* Those that wait, as long as the queue takes them. */
void s3c_ssd_write_resend(s3c_ssd_t *ssd);
void s3c_ssd_write_done(s3c_io_op_t *op);
/* Bytes behind what is staged; NULL: zeros. The batches must be there. */
void s3c_ssd_stage(s3c_ssd_appender_t *ap, const void *data, uint32_t len);
/* One whole record at ap->at, and its entry. paid: admission has charged it. */
void s3c_ssd_stage_record(s3c_ssd_appender_t *ap,
    const s3c_ssd_frame_rec_t *head, const struct iovec *iov, int n_iov,
    bool paid, bool supersedes);
/* Sends what is staged, padded. */
void s3c_ssd_flush(s3c_ssd_appender_t *ap);
/* Lets go of all batches that the kernel does not hold. */
void s3c_ssd_batches_drop(s3c_ssd_appender_t *ap);

/* --- ssd_append ---------------------------------------------------------- */

/* Where can this many bytes of record go now? *ap: the current appender, or a
 * new one, not opened yet. BUSY, FULL. Has no effect that can be seen. */
s3c_status_t s3c_ssd_appender_prepare(s3c_ssd_t *ssd, uint32_t store,
    uint64_t bytes, uint32_t reserve, s3c_ssd_appender_t **ap) S3C_MUST_CHECK;
/* Opens a new one; FULL. CHANGED: the store was formatted meanwhile. */
s3c_status_t s3c_ssd_appender_enter_locked(s3c_ssd_appender_t *ap,
    uint32_t reserve) S3C_MUST_CHECK;
/* After the lock: a new one takes the place of the one before, which seals. */
void s3c_ssd_appender_install(s3c_ssd_appender_t *ap);
/* It was prepared and is not used. */
void s3c_ssd_appender_unprepare(s3c_ssd_appender_t *ap);
void s3c_ssd_appender_seal(s3c_ssd_appender_t *ap);
/* From current to closing. */
void s3c_ssd_appender_retire(s3c_ssd_appender_t *ap);
void s3c_ssd_appender_free(s3c_ssd_appender_t *ap);
/* An error: what is not settled leaves the index. Then step(). */
void s3c_ssd_appender_fail(s3c_ssd_appender_t *ap);
/* Footer and end, if it is time for them. May free it. */
void s3c_ssd_appender_step(s3c_ssd_appender_t *ap);
bool s3c_ssd_appender_is_mine(const s3c_ssd_appender_t *ap);
/* More than this can never be staged. */
uint64_t s3c_ssd_writer_limit(const s3c_ssd_t *ssd);

/* --- ssd_tombstone ------------------------------------------------------- */

void s3c_ssd_tombstone_push_locked(s3c_ssd_t *ssd, uint32_t store,
    s3c_hash128_t key, uint64_t seq);
/* One that was staged, and not written. */
void s3c_ssd_tombstone_again_locked(s3c_ssd_t *ssd, uint32_t store,
    const s3c_ssd_footer_rec_t *entry);
/* It will not be written, and a restart would find what it kills. */
void s3c_ssd_tombstones_lost(s3c_ssd_t *ssd, uint32_t store, uint32_t n);
/* Writes those that can be. */
void s3c_ssd_tombstones_run(s3c_ssd_t *ssd);
/* Those of this store are not to be written any more. */
void s3c_ssd_tombstones_forget(s3c_ssd_t *ssd, uint32_t store);
/* It is on the device, or nobody needs it any more. */
void s3c_ssd_due_done(s3c_ssd_t *ssd, uint32_t store, uint16_t due);
/* A new writer: which of the slot's are free. */
void s3c_ssd_dues_init(s3c_ssd_t *ssd);
/* The end of a writer; what was lost has been counted. */
void s3c_ssd_dues_clear(s3c_ssd_t *ssd);

/* Where shared memory tells of a staged tombstone; 0: of none. */
static inline uint16_t
s3c_ssd_entry_due(const s3c_ssd_footer_rec_t *e)
{
    return (uint16_t) (e->zero[1] | e->zero[2] << 8);
}

static inline void
s3c_ssd_entry_set_due(s3c_ssd_footer_rec_t *e, uint16_t due)
{
    e->zero[1] = (uint8_t) due;
    e->zero[2] = (uint8_t) (due >> 8);
}

static inline s3c_ssd_frame_rec_t
s3c_ssd_frame_of(const s3c_ssd_appender_t *ap, s3c_hash128_t key,
    uint64_t seq, s3c_ssd_kind_t kind, const uint64_t tag[2], uint32_t size)
{
    return (s3c_ssd_frame_rec_t) {
        .key_lo = key.lo,
        .key_hi = key.hi,
        .store_id = ap->store_id,
        .segment_seq = ap->seq,
        .record_seq = seq,
        .tag = { tag[0], tag[1] },
        .size = size,
        .kind = (uint8_t) kind,
    };
}

static inline s3c_ssd_place_t
s3c_ssd_entry_place(const s3c_ssd_t *ssd, const s3c_ssd_appender_t *ap,
    const s3c_ssd_footer_rec_t *e, s3c_ssd_place_kind_t kind)
{
    uint64_t  unit = s3c_ssd_segment_off(&ssd->stores[ap->store], ap->segment)
                     / S3C_SSD_UNIT;

    return s3c_ssd_place(ap->store, unit + e->unit,
                         s3c_ssd_record_units(e->size), kind);
}

#endif
