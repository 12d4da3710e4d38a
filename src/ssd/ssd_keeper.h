/* SPDX-License-Identifier: Apache-2.0
 *
 * What the keeper's files share (ssd_keeper, ssd_mount, ssd_retry, ssd_epoch,
 * ssd_recover, ssd_scan): an I/O whose memory outlives who asked for it, the
 * mount of all stores, the retry of one, a new epoch for the others, the
 * search of a torn segment. Nobody else includes it, but for tests.
 */
#ifndef S3C_SSD_SSD_KEEPER_H
#define S3C_SSD_SSD_KEEPER_H

#include "ssd/ssd_internal.h"

#define S3C_SSD_LOCK_RETRY_MS   1000           /* another process has a store */
#define S3C_SSD_SUPER_WAIT_MS   5000           /* for a superblock, at most */
#define S3C_SSD_DEAD_LOOK_MS    300            /* after workers that died */
#define S3C_SSD_SLICE_ENTRIES   512            /* in one hold of the lock */
#define S3C_SSD_SLICE_USEC      6000           /* at a stretch, of the worker's
                                                  time, while recovering */
#define S3C_SSD_SLICE_MAX       (64u << 10)    /* entries in that time */
#define S3C_SSD_SHORT_MAX       8              /* short results of one I/O */
#define S3C_SSD_TAIL_BYTES      (64u << 10)    /* first look at a footer */
#define S3C_SSD_WINDOW_BYTES    (256u << 10)   /* of a torn segment at a time */
#define S3C_SSD_FOOTERS_MAX     (32u << 20)    /* memory for long footers, but
                                                  one may be longer */
#define S3C_SSD_EPOCH_MAX       ((1ull << (64 - S3C_SSD_EPOCH_SHIFT)) - 1)

/* --- an I/O and its memory --------------------------------------------- */

typedef struct s3c_ssd_job_s  s3c_ssd_job_t;

/* Reads or writes all of its bytes, short results are gone on with. */
struct s3c_ssd_job_s {
    s3c_io_op_t   op;
    s3c_ssd_t    *ssd;
    uint32_t      store;
    uint8_t      *buf;                   /* aligned to a block */
    uint32_t      cap;
    uint64_t      off;
    uint32_t      len, got;
    uint32_t      n_short;
    int           err;                   /* of what ended: 0 or errno */
    bool          busy;
    bool          orphan;                /* nobody waits: free when it ends */
    uint64_t      begun_ms;
    void        (*done)(s3c_ssd_job_t *job);   /* NULL: `busy` is looked at */
    void         *data;
};

/* NULL: no memory. */
s3c_ssd_job_t *s3c_ssd_job_create(s3c_ssd_t *ssd, uint32_t store,
    uint32_t cap);
/* What is in flight keeps its memory until it ends, or for ever. */
void s3c_ssd_job_destroy(s3c_ssd_job_t *job);
/* BUSY: no room in the queue, again later. len is a multiple of a block. */
s3c_status_t s3c_ssd_job_begin(s3c_ssd_job_t *job, s3c_io_kind_t kind,
    uint64_t off, uint32_t len) S3C_MUST_CHECK;

static inline bool
s3c_ssd_job_hangs(const s3c_ssd_job_t *job, uint64_t limit_ms)
{
    return job->busy && job->ssd->now_ms >= job->begun_ms + limit_ms;
}

/* --- ssd_mount, ssd_retry, ssd_epoch ------------------------------------ */

typedef struct s3c_ssd_mount_s  s3c_ssd_mount_t;
typedef struct s3c_ssd_retry_s  s3c_ssd_retry_t;
typedef struct s3c_ssd_raise_s  s3c_ssd_raise_t;

/* All stores together; after it head->epoch is not 0. NULL: no memory. */
s3c_ssd_mount_t *s3c_ssd_mount_create(s3c_ssd_t *ssd);
/* True: done, each store is RECOVERING, SERVING or FAILED. */
bool s3c_ssd_mount_run(s3c_ssd_t *ssd, s3c_ssd_mount_t *mount);
void s3c_ssd_mount_destroy(s3c_ssd_mount_t *mount);
/* After it: a superblock's I/O hangs still. The retry that waits for its end,
 * or a late write would undo what is formatted meanwhile; NULL: none. */
s3c_ssd_retry_t *s3c_ssd_mount_rest(s3c_ssd_mount_t *mount, uint32_t store);

/* A FAILED store: is it well again? Waits for its time itself. */
s3c_ssd_retry_t *s3c_ssd_retry_create(s3c_ssd_t *ssd, uint32_t store);
/* True: it is in service again. */
bool s3c_ssd_retry_run(s3c_ssd_t *ssd, s3c_ssd_retry_t *retry);
/* Its superblock is under way: what it may have is judged after that. */
bool s3c_ssd_retry_busy(const s3c_ssd_retry_t *retry);
void s3c_ssd_retry_destroy(s3c_ssd_retry_t *retry);

/* A store has failed and the others have no higher epoch yet: until they do, a
 * restart would trust it, whatever it has missed. */
bool s3c_ssd_raise_due(const s3c_ssd_t *ssd);
/* NULL: no memory. */
s3c_ssd_raise_t *s3c_ssd_raise_create(s3c_ssd_t *ssd);
/* True: done. Stores whose superblock could not be written have failed. */
bool s3c_ssd_raise_run(s3c_ssd_t *ssd, s3c_ssd_raise_t *raise);
void s3c_ssd_raise_destroy(s3c_ssd_raise_t *raise);
/* As s3c_ssd_mount_rest. */
s3c_ssd_retry_t *s3c_ssd_raise_rest(s3c_ssd_raise_t *raise, uint32_t store);

/* --- ssd_scan ---------------------------------------------------------- */

/* The search for whole records in a torn segment, window by window. */
typedef struct {
    uint64_t             store_id;
    uint64_t             segment_seq;
    uint32_t             segment_bytes;
    uint32_t             at;             /* next byte of the segment to look
                                            at */
    bool                 in_record;
    s3c_ssd_frame_rec_t  first;          /* of the record under way */
    uint32_t             start;          /* where it begins */
    uint32_t             frame;          /* of it, expected at `at` */
    uint32_t             crc;            /* of the payload before that */
} s3c_ssd_scan_t;

/* What can be found in one window: a record a unit, one from before. */
#define S3C_SSD_SCAN_MAX  (S3C_SSD_WINDOW_BYTES / S3C_SSD_UNIT + 1)

void s3c_ssd_scan_init(s3c_ssd_scan_t *scan, uint64_t store_id,
    uint64_t segment_seq, uint32_t segment_bytes);
/* Where the next window has to begin (in the segment, a whole block);
 * segment_bytes at the end. */
uint32_t s3c_ssd_scan_next(const s3c_ssd_scan_t *scan);
/* The window, `len` bytes of the segment from s3c_ssd_scan_next() on, not more
 * than S3C_SSD_WINDOW_BYTES and, but for the segment's end, not less than two
 * frames. Answers how many records it has written to `found`. */
uint32_t s3c_ssd_scan_step(s3c_ssd_scan_t *scan, const uint8_t *window,
    uint32_t len, s3c_ssd_footer_rec_t found[S3C_SSD_SCAN_MAX]);

/* --- ssd_health, ssd_keeper --------------------------------------------- */

/* The keeper's look for workers that have died. */
void s3c_ssd_bury(s3c_ssd_t *ssd);
/* What they have left in the index, for a scan (ctx: ssd). */
bool s3c_ssd_take_orphan(void *ctx, s3c_ssd_place_t place, uint64_t slot);
/* The whole index from bucket *at on, in slices, as far as this turn's time
 * goes; n_buckets: done. */
void s3c_ssd_keeper_scan(s3c_ssd_t *ssd, uint64_t *at,
    bool (*take)(void *ctx, s3c_ssd_place_t place, uint64_t slot), void *ctx);

/* ssd_scrub: some more of it, if it is wanted. */
void s3c_ssd_keeper_scrub(s3c_ssd_t *ssd);

struct s3c_ssd_keeper_s {
    bool                looked;          /* at what the one before left */
    s3c_ssd_mount_t    *mount;
    s3c_ssd_raise_t    *raise;
    uint64_t            epoch_seen;      /* on a store that came back: the
                                            epoch must be higher */
    s3c_ssd_recover_t  *recover[S3C_SSD_STORES_MAX];
    s3c_ssd_retry_t    *retry[S3C_SSD_STORES_MAX];
    s3c_ssd_reclaim_t  *reclaim[S3C_SSD_STORES_MAX];
    s3c_ssd_scrub_t    *scrub;           /* NULL: it is not wanted */
    uint64_t            purge_at;        /* bucket; n_buckets: not needed */
    uint64_t            sweep_at;        /* the same */
    uint64_t            orphan_at;       /* the same */
    uint64_t            n_orphan;        /* of the head, as last seen */
    uint64_t            dead_ms;         /* looked for dead workers */
    uint64_t           *seqs;            /* record_seq by index slot, of what
                                            was recovered; NULL: none is */
    uint64_t            highest;         /* record_seq recovered so far */
    uint64_t            evicted;         /* the same, of what had to leave the
                                            index: an older one of its key may
                                            still come, so none below counts */
    uint64_t            n_index_evict;   /* of the head, as last seen */
};

/* A tombstone that recovery has put: lies nowhere. Those of drop() look
 * otherwise, and are newer than all that is recovered. */
#define S3C_SSD_RECOVERED_UNITS  0x1ffffu

/* Records and segments from here on are of this mount. */
static inline uint64_t
s3c_ssd_run_seq(const s3c_ssd_t *ssd)
{
    return atomic_load(&ssd->head->run_seq);
}

/* Put by recovery: it lies in a segment of a mount before this one. */
static inline bool
s3c_ssd_place_recovered(const s3c_ssd_t *ssd, s3c_ssd_place_t p)
{
    if (s3c_ssd_place_kind(p) == S3C_SSD_PLACE_TOMBSTONE) {
        return s3c_ssd_place_off(p) == 0
               && s3c_ssd_place_units(p) == S3C_SSD_RECOVERED_UNITS;
    }

    return ssd->segments[s3c_ssd_place_segment(ssd, p)].seq
           < s3c_ssd_run_seq(ssd);
}

#endif
