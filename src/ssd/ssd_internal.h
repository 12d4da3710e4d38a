/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this room share: the handle, and who does what. Nobody
 * outside src/ssd and its tests includes it.
 *
 *   ssd_region   format, join/leave, lock, heal
 *   ssd_usage    what can be told about it
 *   ssd_index    buckets: find, put, remove, settle; scan
 *   ssd_segment  life of segments and their counts; seqs; tokens
 *   ssd_admit    budget, ghost: may this be written?
 *   ssd_write    appender: staging, batches, footers; put, drop
 *   ssd_read     reads; ssd_fetch: their I/O and checks; ssd_window: buffers
 *   ssd_keeper   whose turn it is; ssd_health: who is well, or dead
 *   ssd_mount    superblocks of all; ssd_retry: of one that failed;
 *                ssd_epoch: of those that it left behind
 *   ssd_recover  the index from footers
 *   ssd_reclaim  the oldest segment becomes free; ssd_move: what is hot is
 *                kept; ssd_release: the rest leaves
 *   ssd_scrub    sealed segments are read; ssd_judge: and compared
 */
#ifndef S3C_SSD_SSD_INTERNAL_H
#define S3C_SSD_SSD_INTERNAL_H

#include "ssd/ssd_layout.h"
#include "ssd/ssd_media.h"

#define S3C_SSD_BATCH_BYTES     (256u << 10)   /* one write */
#define S3C_SSD_BATCHES         72             /* of a worker, all stores: 18 MiB,
                                                  touched as they are needed */
#define S3C_SSD_LINGER_MS       50             /* staged bytes wait at most */
#define S3C_SSD_ERRORS_MAX      8              /* in a row: out of service */
#define S3C_SSD_RETRY_MS        5000           /* first; doubles.. */
#define S3C_SSD_RETRY_MAX_MS    300000         /* ..up to this */
#define S3C_SSD_WRITE_TIMEOUT_MS 30000         /* then it counts as hung */
#define S3C_SSD_REST_MS         60000          /* segment of a dead worker */
#define S3C_SSD_EPOCH_SHIFT     40
#define S3C_SSD_RECOVER_DEPTH   16             /* segments read at a time */
#define S3C_SSD_REINSERT_SHARE  4              /* at most 1/4 of a segment */

typedef struct s3c_ssd_appender_s  s3c_ssd_appender_t;   /* ssd_write.c */
typedef struct s3c_ssd_writer_s    s3c_ssd_writer_t;     /* ssd_write.c */
typedef struct s3c_ssd_reader_s    s3c_ssd_reader_t;     /* ssd_read.c */
typedef struct s3c_ssd_keeper_s    s3c_ssd_keeper_t;     /* ssd_keeper.c */
typedef struct s3c_ssd_recover_s   s3c_ssd_recover_t;    /* ssd_recover.c */
typedef struct s3c_ssd_reclaim_s   s3c_ssd_reclaim_t;    /* ssd_reclaim.c */
typedef struct s3c_ssd_scrub_s     s3c_ssd_scrub_t;      /* ssd_scrub.c */

struct s3c_ssd_s {
    s3c_ssd_env_t         env;
    uint8_t              *base;
    s3c_ssd_head_sh_t    *head;
    s3c_ssd_store_sh_t   *stores;
    s3c_ssd_segment_sh_t *segments;
    s3c_ssd_bucket_sh_t  *buckets;
    _Atomic uint16_t     *ghost;
    uint64_t              n_buckets;       /* copies of the constants */
    uint32_t              n_stores, n_slots;
    uint32_t              slot;
    uint64_t              now_ms;          /* of the last call that had it */
    bool                  quiescing;
    bool                  is_keeper;
    uint64_t              logged_ms[S3C_SSD_STORES_MAX][8];

    s3c_ssd_writer_t     *writer;
    s3c_ssd_reader_t     *reader;
    s3c_ssd_keeper_t     *keeper;          /* NULL: not the keeper */
};

/* --- ssd_region ------------------------------------------------------------ */

/* The writers' lock. After a death inside it the counts are made anew from the
 * index before it answers. False: never to be had; do without. */
bool s3c_ssd_lock(s3c_ssd_t *ssd) S3C_MUST_CHECK;
void s3c_ssd_unlock(s3c_ssd_t *ssd);
s3c_robust_lock_sh_t *s3c_ssd_keeper_lock(s3c_ssd_t *ssd);
s3c_robust_lock_sh_t *s3c_ssd_slot_lock(s3c_ssd_t *ssd, uint32_t slot);
/* Through env->log, one line of a kind and store a second. */
void s3c_ssd_say(s3c_ssd_t *ssd, s3c_ssd_log_t what, uint32_t store,
    uint64_t n, const char *word);

static inline void
s3c_ssd_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline s3c_ssd_state_t
s3c_ssd_state(const s3c_ssd_t *ssd, uint32_t store)
{
    return (s3c_ssd_state_t) atomic_load_explicit(&ssd->stores[store].state,
                                                  memory_order_acquire);
}

static inline s3c_ssd_flight_sh_t *
s3c_ssd_flight(const s3c_ssd_t *ssd, uint32_t slot, uint32_t store)
{
    s3c_ssd_flight_sh_t  *flights = (s3c_ssd_flight_sh_t *)
                                    (ssd->base + ssd->head->flights_off);

    return &flights[slot * ssd->n_stores + store];
}

static inline void
s3c_ssd_reads_add(const s3c_ssd_t *ssd, uint32_t store, int32_t n)
{
    (void) atomic_fetch_add_explicit(
               &s3c_ssd_flight(ssd, ssd->slot, store)->reads, n,
               memory_order_relaxed);
}

static inline void
s3c_ssd_writes_add(const s3c_ssd_t *ssd, uint32_t store, int32_t n)
{
    (void) atomic_fetch_add_explicit(
               &s3c_ssd_flight(ssd, ssd->slot, store)->writes, n,
               memory_order_relaxed);
}

/* Readable and writable: SERVING or RECOVERING. */
static inline bool
s3c_ssd_in_service(const s3c_ssd_t *ssd, uint32_t store)
{
    s3c_ssd_state_t  s = s3c_ssd_state(ssd, store);

    return s == S3C_SSD_SERVING || s == S3C_SSD_RECOVERING;
}

/* --- ssd_usage ----------------------------------------------------------- */

/* Tokens that a budget can save up; see ssd_admit.c. */
int64_t s3c_ssd_tokens_max(const s3c_ssd_store_conf_t *c);

/* --- places ----------------------------------------------------------------- */

static inline s3c_ssd_place_t
s3c_ssd_place(uint32_t store, uint64_t unit, uint32_t units,
    s3c_ssd_place_kind_t kind)
{
    return unit | (uint64_t) units << 35 | (uint64_t) store << 52
           | (uint64_t) kind << 56;
}

static inline uint64_t
s3c_ssd_place_off(s3c_ssd_place_t p)           /* bytes in the store */
{
    return (p & ((1ull << 35) - 1)) * S3C_SSD_UNIT;
}

static inline uint32_t
s3c_ssd_place_units(s3c_ssd_place_t p)
{
    return (uint32_t) (p >> 35) & 0x1ffff;
}

static inline uint32_t
s3c_ssd_place_store(s3c_ssd_place_t p)
{
    return (uint32_t) (p >> 52) & 15;
}

static inline s3c_ssd_place_kind_t
s3c_ssd_place_kind(s3c_ssd_place_t p)
{
    return (s3c_ssd_place_kind_t) (p >> 56 & 3);
}

static inline uint32_t
s3c_ssd_place_refs(s3c_ssd_place_t p)
{
    return (uint32_t) (p >> 58) & 3;
}

/* The same record: everything but kind and refs. */
static inline bool
s3c_ssd_place_same(s3c_ssd_place_t a, s3c_ssd_place_t b)
{
    return ((a ^ b) & ((1ull << 56) - 1)) == 0;
}

/* Number of its segment in the table of all, from its store and offset. */
static inline uint32_t
s3c_ssd_place_segment(const s3c_ssd_t *ssd, s3c_ssd_place_t p)
{
    const s3c_ssd_store_sh_t  *st = &ssd->stores[s3c_ssd_place_store(p)];

    return st->first_segment
           + (uint32_t) (s3c_ssd_place_off(p) / st->conf.segment_bytes) - 1;
}

/* Byte offset in its store of segment `seg` (number in the table of all). */
static inline uint64_t
s3c_ssd_segment_off(const s3c_ssd_store_sh_t *st, uint32_t seg)
{
    return (uint64_t) (seg - st->first_segment + 1) * st->conf.segment_bytes;
}

/* --- ssd_index; *_locked under the lock -------------------------------------- */

/* Any kind of place; MISS. No lock. */
s3c_status_t s3c_ssd_index_find(const s3c_ssd_t *ssd, s3c_hash128_t key,
    s3c_ssd_place_t *place) S3C_MUST_CHECK;
/* One more request for it. No lock; may be lost. */
void s3c_ssd_index_touch(s3c_ssd_t *ssd, s3c_hash128_t key,
    s3c_ssd_place_t place);
/* Sets the key's place; *old is what it was (0: none), *victim what had to go
 * because both buckets were full (0: none; the oldest segment's). Keeps the
 * segments' and stores' counts. *slot: where it lies, bucket * 5 + i. */
void s3c_ssd_index_put_locked(s3c_ssd_t *ssd, s3c_hash128_t key,
    s3c_ssd_place_t place, s3c_ssd_place_t *old, s3c_ssd_place_t *victim,
    uint64_t *slot);
/* MISS if it is not there; `same` not 0: only if it is this record. */
s3c_status_t s3c_ssd_index_remove_locked(s3c_ssd_t *ssd, s3c_hash128_t key,
    s3c_ssd_place_t same, s3c_ssd_place_t *old) S3C_MUST_CHECK;
/* PENDING becomes LIVE; MISS: dropped or superseded meanwhile. */
s3c_status_t s3c_ssd_index_settle_locked(s3c_ssd_t *ssd, s3c_hash128_t key,
    s3c_ssd_place_t place) S3C_MUST_CHECK;
/* Calls `take` for every place of buckets [from, from + n); true: remove it.
 * Answers the next bucket, or n_buckets at the end. */
uint64_t s3c_ssd_index_scan_locked(s3c_ssd_t *ssd, uint64_t from, uint64_t n,
    bool (*take)(void *ctx, s3c_ssd_place_t place, uint64_t slot), void *ctx);
/* Could a writer have put this there? For heal, audit and asserts. */
bool s3c_ssd_place_possible(const s3c_ssd_t *ssd, s3c_ssd_place_t place);
/* Is this slot's key in another slot, too? For the audit. */
bool s3c_ssd_index_twin_locked(const s3c_ssd_t *ssd, uint64_t slot);
/* Removes what is impossible or half moved and counts the rest, from counts
 * that are zero. For recount. */
void s3c_ssd_index_recount_locked(s3c_ssd_t *ssd);

/* --- ssd_segment --------------------------------------------------------------- */

/* A new seq, higher than all before. Any time after a mount. */
uint64_t s3c_ssd_seq(s3c_ssd_t *ssd);
/* A free segment of the store becomes OPEN and this slot's, with a new seq.
 * FULL: none; `reserve` are left for the keeper. */
s3c_status_t s3c_ssd_segment_open_locked(s3c_ssd_t *ssd, uint32_t store,
    uint32_t reserve, uint32_t *segment) S3C_MUST_CHECK;
/* OPEN becomes SEALED or TORN. */
void s3c_ssd_segment_close_locked(s3c_ssd_t *ssd, uint32_t segment,
    bool sealed, uint64_t last_seq);
/* SEALED or TORN with the lowest seq, past its rest: becomes RECLAIMING. */
s3c_status_t s3c_ssd_segment_oldest_locked(s3c_ssd_t *ssd, uint32_t store,
    uint32_t *segment) S3C_MUST_CHECK;
/* RECLAIMING becomes FREE (the caller has emptied it), raises the floor. */
void s3c_ssd_segment_free_locked(s3c_ssd_t *ssd, uint32_t segment);
/* A slot has nothing under way: it is new, or its worker has died. */
void s3c_ssd_flights_clear(s3c_ssd_t *ssd, uint32_t slot);
/* What is open for this slot becomes TORN with a rest, for its worker has died.
 * Its PENDING places stay, never to be found, until the keeper sweeps them. */
void s3c_ssd_segment_orphan_locked(s3c_ssd_t *ssd, uint32_t slot);
/* A place comes into (n is 1) or leaves (-1) the index. */
void s3c_ssd_segment_count_locked(s3c_ssd_t *ssd, s3c_ssd_place_t place,
    int n);
/* Every count from the index anew. */
void s3c_ssd_recount_locked(s3c_ssd_t *ssd);
/* All records of a store go, all its segments become FREE. Sweep it before,
 * in slices, with the second one (ctx: &store). */
void s3c_ssd_store_empty_locked(s3c_ssd_t *ssd, uint32_t store);
bool s3c_ssd_take_records(void *ctx, s3c_ssd_place_t place, uint64_t slot);

/* --- ssd_admit ------------------------------------------------------------------- */

/* May a record of this many bytes be written now? Takes the tokens when OK.
 * While more than half of the bucket (10 s of budget) is there, or no budget
 * is set, everything; below, only keys that the ghost knows; DENIED ones are
 * entered in the ghost. */
s3c_status_t s3c_ssd_admit(s3c_ssd_t *ssd, uint32_t store, s3c_hash128_t key,
    uint64_t bytes) S3C_MUST_CHECK;
/* What is written anyway (reinsertion, footers): may go below zero. */
void s3c_ssd_charge(s3c_ssd_t *ssd, uint32_t store, uint64_t bytes);
void s3c_ssd_ghost_add(s3c_ssd_t *ssd, s3c_hash128_t key);
/* Which store a new record of this key goes to: by hash, weighted by bytes,
 * the same for as long as the configuration is. */
uint32_t s3c_ssd_store_of(const s3c_ssd_t *ssd, s3c_hash128_t key);

/* --- ssd_write ---------------------------------------------------------------------- */

s3c_status_t s3c_ssd_writer_create(s3c_ssd_t *ssd) S3C_MUST_CHECK;
void s3c_ssd_writer_destroy(s3c_ssd_t *ssd);
/* Lingering batches, hung writes, footers of full segments. */
void s3c_ssd_writer_run(s3c_ssd_t *ssd);
bool s3c_ssd_writer_idle(const s3c_ssd_t *ssd);
/* Seals what is open (quiesce). */
void s3c_ssd_writer_seal(s3c_ssd_t *ssd);
/* Forgets what is staged for this store: it failed, or was formatted. */
void s3c_ssd_writer_abandon(s3c_ssd_t *ssd, uint32_t store);
/* A record read from `old`, moved: replaces that place only, keeps its refs
 * lowered, takes from the reserve. Like put otherwise. */
s3c_status_t s3c_ssd_reinsert(s3c_ssd_t *ssd, s3c_hash128_t key,
    s3c_ssd_place_t old, const uint64_t tag[2], const void *payload,
    uint32_t size) S3C_MUST_CHECK;
/* Takes the key's place out of the index; `same` not 0: only this one. While
 * stores are read, a mark stays, so that recovery does not bring it back. */
s3c_status_t s3c_ssd_forget_locked(s3c_ssd_t *ssd, s3c_hash128_t key,
    s3c_ssd_place_t same, s3c_ssd_place_t *old) S3C_MUST_CHECK;
/* Free staging for a record of this size, now? */
bool s3c_ssd_writer_has_room(const s3c_ssd_t *ssd, uint32_t store,
    uint32_t size);

/* --- ssd_read ------------------------------------------------------------------------- */

s3c_status_t s3c_ssd_reader_create(s3c_ssd_t *ssd) S3C_MUST_CHECK;
void s3c_ssd_reader_destroy(s3c_ssd_t *ssd);
void s3c_ssd_reader_run(s3c_ssd_t *ssd);       /* time-outs, queued reads */
bool s3c_ssd_reader_idle(const s3c_ssd_t *ssd);

/* --- ssd_keeper ------------------------------------------------------------------------- */

/* An I/O of this store ended: 0 or errno (ETIME: hung). Counts errors in a
 * row, of reads and of writes apart (a device may have become read-only); at
 * S3C_SSD_ERRORS_MAX the store is FAILED. Any worker. */
void s3c_ssd_store_result(s3c_ssd_t *ssd, uint32_t store, s3c_io_kind_t kind,
    int err);
void s3c_ssd_store_fail(s3c_ssd_t *ssd, uint32_t store);
/* What a worker that has died, or left, had on its way becomes this one's to
 * write; lost, if it writes nothing itself. */
void s3c_ssd_tombstones_inherit_locked(s3c_ssd_t *ssd, uint32_t slot);
/* If its worker has died, or left. */
void s3c_ssd_slot_clear_up(s3c_ssd_t *ssd, uint32_t slot);
/* Has it any on its way? */
bool s3c_ssd_slot_owes(const s3c_ssd_t *ssd, uint32_t slot);
void s3c_ssd_keeper_run(s3c_ssd_t *ssd);       /* takes the role if free */
bool s3c_ssd_keeper_idle(const s3c_ssd_t *ssd);
void s3c_ssd_keeper_quit(s3c_ssd_t *ssd);      /* gives the role up */

/* --- ssd_recover, ssd_reclaim, ssd_scrub: the keeper's ----------------------------------------------- */

/* Begins; ends by itself with the store SERVING (or FAILED). */
s3c_status_t s3c_ssd_recover_begin(s3c_ssd_t *ssd, uint32_t store,
    s3c_ssd_recover_t **recover) S3C_MUST_CHECK;
bool s3c_ssd_recover_done(const s3c_ssd_recover_t *recover);
void s3c_ssd_recover_run(s3c_ssd_t *ssd, s3c_ssd_recover_t *recover);
void s3c_ssd_recover_destroy(s3c_ssd_t *ssd, s3c_ssd_recover_t *recover);

/* One segment at a time, when few are free. run() begins what is needed. */
s3c_status_t s3c_ssd_reclaim_create(s3c_ssd_t *ssd, uint32_t store,
    s3c_ssd_reclaim_t **reclaim) S3C_MUST_CHECK;
void s3c_ssd_reclaim_run(s3c_ssd_t *ssd, s3c_ssd_reclaim_t *reclaim);
bool s3c_ssd_reclaim_idle(const s3c_ssd_reclaim_t *reclaim);
void s3c_ssd_reclaim_destroy(s3c_ssd_t *ssd, s3c_ssd_reclaim_t *reclaim);

/* All stores, one sealed segment after the other, at env->scrub bytes a second.
 * FULL: no memory. */
s3c_status_t s3c_ssd_scrub_create(s3c_ssd_t *ssd, s3c_ssd_scrub_t **scrub)
    S3C_MUST_CHECK;
void s3c_ssd_scrub_run(s3c_ssd_t *ssd, s3c_ssd_scrub_t *scrub);
void s3c_ssd_scrub_destroy(s3c_ssd_scrub_t *scrub);

#endif
