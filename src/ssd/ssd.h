/* SPDX-License-Identifier: Apache-2.0
 *
 * The flash tier: payloads under 128-bit keys in logs of segments, one log
 * ("store") a file or block device, with one index for all of them in shared
 * memory. It knows neither HTTP nor S3 nor the memory tier.
 *
 * It is a cache: every call may answer MISS or BUSY, no failure of a device is
 * more than that, and what is delivered has passed its checksum and carries
 * the key that was asked for.
 *
 * READERS  find, read: no lock.
 * WRITERS  put, drop, and the keeper: one robust lock for the index, held for
 *          a few hundred instructions. A worker appends only to segments of
 *          its own.
 * KEEPER   one of the workers (whoever takes the keeper's lock) mounts the
 *          stores, recovers their index, reclaims segments, clears up after
 *          workers that died and tries failed stores again.
 * TIME     `now_ms` never goes back (monotonic). The tier looks at no clock
 *          but the environment's.
 * THREADS  a handle belongs to one thread; callbacks run in reap() or run().
 */
#ifndef S3C_SSD_SSD_H
#define S3C_SSD_SSD_H

#include <sys/uio.h>

#include "base/hash.h"
#include "base/status.h"
#include "io/io.h"

#define S3C_SSD_STORES_MAX        16
#define S3C_SSD_SLOTS_MAX         256
#define S3C_SSD_UNIT              512u           /* records begin on these */
#define S3C_SSD_FRAME_BYTES       (32u << 10)    /* payload under one CRC */
#define S3C_SSD_SEGMENT_MIN       (1u << 20)
#define S3C_SSD_SEGMENT_MAX       (64u << 20)
#define S3C_SSD_SEGMENTS_MIN      8              /* of a store */
#define S3C_SSD_SEGMENTS_MAX      65536          /* but if they are the largest */
#define S3C_SSD_STORE_BYTES_MAX   (1ull << 44)   /* 16 TiB */
#define S3C_SSD_NO_SLOT           UINT32_MAX

/* --- shared memory ----------------------------------------------------- */

typedef struct {
    uint64_t  bytes;           /* of the file that are used; multiple of
                                  segment_bytes */
    uint32_t  segment_bytes;   /* power of two */
    uint64_t  budget;          /* bytes written a second; 0: no limit */
    uint32_t  align;           /* of offset, length and memory of an I/O: power
                                  of two, 512..4096 */
    uint32_t  timeout_ms;      /* after which a read is given up */
} s3c_ssd_store_conf_t;

typedef struct {
    uint32_t              n_slots;       /* workers that share it */
    uint32_t              n_stores;
    uint64_t              n_objects;     /* that the index can hold, all
                                            stores; at most 16 bytes each */
    uint8_t               secret[S3C_HASH_SECRET_BYTES];  /* of the keys */
    s3c_ssd_store_conf_t  stores[S3C_SSD_STORES_MAX];
} s3c_ssd_conf_t;

/* Bytes of shared memory for this configuration. */
uint64_t s3c_ssd_bytes(const s3c_ssd_conf_t *conf);
/* Writes an empty tier, all stores unmounted. INVALID: impossible conf. */
s3c_status_t s3c_ssd_format(void *region, uint64_t bytes,
    const s3c_ssd_conf_t *conf) S3C_MUST_CHECK;

/* --- the superblock, for who opens the files (the master) --------------- */

#define S3C_SSD_SUPER_BYTES  8192        /* two copies, at offset 0 */

typedef struct {
    uint64_t  store_id;                  /* random, new with each format */
    uint64_t  epoch;                     /* mounts so far */
    uint64_t  bytes;
    uint32_t  segment_bytes;
    uint8_t   secret[S3C_HASH_SECRET_BYTES];
    bool      lost_copy;                 /* decode only: the other copy cannot
                                            be read, and may have been newer */
} s3c_ssd_super_t;

/* The newer valid copy of the first S3C_SSD_SUPER_BYTES of a store. MISS: all
 * zero, a fresh file. CORRUPT: ours, but neither copy is whole. UNSUPPORTED:
 * ours, of another version. INVALID: something else's file. */
s3c_status_t s3c_ssd_super_decode(const uint8_t in[S3C_SSD_SUPER_BYTES],
    s3c_ssd_super_t *super) S3C_MUST_CHECK;

/* --- a worker ----------------------------------------------------------- */

typedef struct s3c_ssd_s  s3c_ssd_t;

typedef enum {
    S3C_SSD_READ_TIME = 0,     /* from read() to on_end, usec */
    S3C_SSD_WRITE_TIME         /* of one batch, usec */
} s3c_ssd_observed_t;

typedef enum {                 /* what a log line is about */
    S3C_SSD_LOG_MOUNTED = 0,   /* n: records recovered */
    S3C_SSD_LOG_FORMATTED,     /* word: why */
    S3C_SSD_LOG_WAITING,       /* another process holds the store */
    S3C_SSD_LOG_CORRUPT,       /* a checksum failed; n: how many in all */
    S3C_SSD_LOG_ERROR,         /* an I/O failed; n: errno; word: "read"... */
    S3C_SSD_LOG_FAILED,        /* taken out of service */
    S3C_SSD_LOG_BACK           /* in service again */
} s3c_ssd_log_t;

/* What the tier needs of its process. All pointers outlive the handle. */
typedef struct {
    s3c_io_t   *io;
    int         fds[S3C_SSD_STORES_MAX];
    void       *ctx;
    uint64_t    scrub;         /* bytes a second that the keeper reads and
                                  checks; 0: none */
    uint64_t  (*usec)(void *ctx);                    /* monotonic */
    /* since 1970, roughly; NULL or 0: not known */
    uint64_t  (*wall_s)(void *ctx);
    /* flock(fd, LOCK_EX | LOCK_NB), or its simulation: true when held */
    bool      (*lock)(void *ctx, uint32_t store);
    void      (*random)(void *ctx, void *out, size_t len);
    void      (*observe)(void *ctx, s3c_ssd_observed_t what, uint64_t usec);
    /* rate-limited by the tier: at most one line of a kind and store a second */
    void      (*log)(void *ctx, s3c_ssd_log_t what, uint32_t store,
                     uint64_t n, const char *word);
} s3c_ssd_env_t;

/* Attaches the calling worker: takes a free slot. BUSY: none, do without. */
s3c_status_t s3c_ssd_join(s3c_ssd_t **ssd, void *region, uint64_t bytes,
    const s3c_ssd_env_t *env, uint64_t now_ms) S3C_MUST_CHECK;
/* This worker is about to end: gives up the keeper's role, seals its open
 * segments, takes no more puts. Call once, then run() until idle(). */
void s3c_ssd_quiesce(s3c_ssd_t *ssd, uint64_t now_ms);
/* Nothing of this worker's is staged or in flight. */
bool s3c_ssd_idle(const s3c_ssd_t *ssd);
/* Lets go of the slot. Reads in flight end with on_end(S3C_IO). Memory that
 * the kernel may still write to is leaked on purpose: the process ends. */
void s3c_ssd_leave(s3c_ssd_t *ssd);

/* For who lets go of the region last, without a handle: may a restart find what
 * was dropped? Drops have been lost, with a worker that was killed or a store
 * that failed, and nobody is left to format it: zero the first
 * S3C_SSD_SUPER_BYTES of the store. */
bool s3c_ssd_owes(void *region, uint64_t bytes, uint32_t store,
    uint64_t now_ms) S3C_MUST_CHECK;

/* The tier's clockwork: flushes what was staged a while ago, gives up what
 * hangs, does the keeper's work. Call about every S3C_SSD_RUN_MS; queues I/O,
 * which the caller submits. */
#define S3C_SSD_RUN_MS  20
void s3c_ssd_run(s3c_ssd_t *ssd, uint64_t now_ms);

/* --- reading ------------------------------------------------------------- */

/* Is it there? OK: *bytes is not less than its payload, and not more than a
 * unit above it. Notes the request, for reinsertion. */
s3c_status_t s3c_ssd_find(s3c_ssd_t *ssd, s3c_hash128_t key, uint64_t *bytes)
    S3C_MUST_CHECK;
/* The same, but nothing is noted. OK or MISS. */
s3c_status_t s3c_ssd_peek(s3c_ssd_t *ssd, s3c_hash128_t key) S3C_MUST_CHECK;

typedef struct {
    uint32_t  size;            /* of the whole payload */
    uint64_t  tag[2];          /* as they were put */
} s3c_ssd_record_t;

typedef struct s3c_ssd_read_s  s3c_ssd_read_t;

/* A read: the caller owns the struct until on_end or cancel. The tier fills
 * in the second part; `op` is the tier's private state, which outlives it. */
struct s3c_ssd_read_s {
    s3c_hash128_t   key;
    uint32_t        off;       /* first payload byte wanted */
    uint32_t        len;       /* bytes wanted; UINT32_MAX: to the end */
    /* One checked frame, in order: payload bytes [off, off + len) of the
     * record, untrimmed: off is a multiple of S3C_SSD_FRAME_BYTES. Not OK:
     * the read ends with that status, without more on_data. */
    s3c_status_t  (*on_data)(s3c_ssd_read_t *read,
                             const s3c_ssd_record_t *record, uint32_t off,
                             const uint8_t *data, uint32_t len);
    /* Once. OK: all wanted frames were delivered. MISS: it is not there (any
     * more), or has no frame at `off`. CORRUPT, IO, TIMEOUT: the entry has been
     * dropped; the next find is a MISS. BUSY: no memory or no room in the
     * queue, nor has any come free for as long as the time-out; the
     * entry stays. */
    void          (*on_end)(s3c_ssd_read_t *read, s3c_status_t st);
    void           *data;

    void           *op;
};

/* Begins; callbacks never run inside. MISS: not there. BUSY: S3C_SSD_READS_MAX
 * reads of this store are under way in this worker, or, if there are several
 * stores, as many as leave a share to the others. A range costs one I/O over
 * its frames; up to S3C_SSD_READ_WINDOW bytes at a time. */
#define S3C_SSD_READS_MAX    1024
#define S3C_SSD_READ_WINDOW  ((1u << 20) + (48u << 10))  /* heads, edges: a
                                                            MiB and its head */
s3c_status_t s3c_ssd_read(s3c_ssd_t *ssd, s3c_ssd_read_t *read,
    uint64_t now_ms) S3C_MUST_CHECK;
/* on_end will not be called. */
void s3c_ssd_read_cancel(s3c_ssd_t *ssd, s3c_ssd_read_t *read);

/* --- writing ------------------------------------------------------------- */

/* Copies the payload into the worker's staging buffers; it can be found once
 * it is on the device. What was there under this key is superseded at once.
 * BUSY: all buffers are under way. DENIED: by admission or budget. FULL: no
 * free segment now. UNSUPPORTED: larger than half a segment. All of these
 * leave no older version behind: whatever the answer, an older record of this
 * key is gone. */
s3c_status_t s3c_ssd_put(s3c_ssd_t *ssd, s3c_hash128_t key,
    const uint64_t tag[2], const struct iovec *iov, int n_iov, uint32_t size,
    uint64_t now_ms) S3C_MUST_CHECK;
/* Not findable from now on, and not after a restart either once its tombstone
 * is on the device (it is flushed at once). MISS: was not there. */
s3c_status_t s3c_ssd_drop(s3c_ssd_t *ssd, s3c_hash128_t key,
    uint64_t now_ms);

/* --- looking at it -------------------------------------------------------- */

typedef enum {
    S3C_SSD_WAITING = 0,       /* not mounted: another process has it */
    S3C_SSD_RECOVERING,        /* serves what was put since it was mounted */
    S3C_SSD_SERVING,
    S3C_SSD_FAILED             /* out of service, tried again later */
} s3c_ssd_state_t;

typedef struct {
    s3c_ssd_state_t  state;
    uint64_t         bytes;              /* configured */
    uint64_t         live_bytes;         /* of records that can be found */
    uint64_t         records;
    uint64_t         segments;
    uint64_t         segments_free;
    uint64_t         segments_open;
    uint64_t         recovered_segments; /* progress, of `segments` */
    uint64_t         recovered_records;
    uint64_t         recovery_ms;        /* took, or has taken so far */
    uint64_t         n_hit;              /* reads that were delivered */
    uint64_t         hit_bytes;          /* payload delivered */
    uint64_t         read_bytes;         /* from the device */
    uint64_t         n_put;              /* records accepted */
    uint64_t         put_bytes;          /* their payload */
    uint64_t         written_bytes;      /* to the device, all of it */
    uint64_t         n_shed;             /* puts not taken: buffers, segments */
    uint64_t         n_denied;           /* by budget or admission */
    uint64_t         n_drop;
    uint64_t         n_reclaim;          /* segments */
    uint64_t         n_reinsert;
    uint64_t         n_evict;            /* records that left with a segment */
    uint64_t         n_corrupt;          /* checks that failed */
    uint64_t         n_read_error;
    uint64_t         n_write_error;
    uint64_t         n_timeout;
    uint64_t         n_out_of_service;
    uint64_t         n_scrub;            /* records read again and whole */
    uint64_t         scrub_bytes;        /* their payload */
    uint64_t         n_scrub_bad;        /* of n_corrupt, found so */
    uint64_t         n_scrub_pass;       /* times that all was gone through */
    uint64_t         reads_in_flight;    /* I/O operations, all workers */
    uint64_t         writes_in_flight;
    uint64_t         budget;             /* bytes a second, 0: none */
    uint64_t         budget_left;        /* bytes that may be written now */
} s3c_ssd_usage_t;

uint32_t s3c_ssd_n_stores(const s3c_ssd_t *ssd);
void s3c_ssd_usage(const s3c_ssd_t *ssd, uint32_t store,
    s3c_ssd_usage_t *usage);
const char *s3c_ssd_state_name(s3c_ssd_state_t state);
/* Bytes of the index and of the whole shared part. */
void s3c_ssd_memory(const s3c_ssd_t *ssd, uint64_t *index_bytes,
    uint64_t *bytes);
/* Everything consistent? Under the lock; for tests and the admin. */
s3c_status_t s3c_ssd_audit(s3c_ssd_t *ssd, const char **what) S3C_MUST_CHECK;

#endif
