/* SPDX-License-Identifier: Apache-2.0
 *
 * Counters and histograms in shared memory. Every worker slot has its own
 * block and only its worker writes there (relaxed stores, no contention);
 * readers sum over the slots. Every metric is one row of stats_table.h.
 * A reload or a dead worker loses nothing: the slot's next owner counts on.
 *
 * WRITERS  the worker that owns the slot. READERS anybody, any time.
 * LIMITS   S3C_STATS_BUCKETS_MAX bucket names; the rest count as "other", and
 *          so do names that are no UTF-8 or hold control bytes. Names that
 *          agree in their first S3C_STATS_BUCKET_NAME bytes count as one.
 */
#ifndef S3C_STATS_STATS_H
#define S3C_STATS_STATS_H

#include "base/slice.h"
#include "base/status.h"
#include "base/writer.h"
#include "ram/ram.h"
#include "ssd/ssd.h"
#include "stats/stats_table.h"

#define S3C_STATS_BUCKETS_MAX   64     /* index 0 is "other" */
#define S3C_STATS_BUCKET_NAME   64     /* bytes kept of a bucket's name */
#define S3C_HIST_BUCKETS        24     /* powers of two of microseconds:
                                          <=16us .. <=2^27us, +Inf */

/* Sums over the slots at one moment. */
typedef struct {
    uint64_t   count;
    uint64_t   sum_usec;
    uint64_t   place[S3C_HIST_BUCKETS + 1];   /* not cumulative; last: above */
} s3c_hist_sums_t;

/* Process-local handle; by value in its owner. All zero or with slot
 * S3C_RAM_NO_SLOT it counts nothing; all zero it reads as zero. */
typedef struct {
    void      *mem;
    uint32_t   slot;
} s3c_stats_t;

/* mem is aligned to 64 bytes; n_slots is 1..S3C_RAM_SLOTS_MAX. */
size_t s3c_stats_bytes(uint32_t n_slots);
void s3c_stats_format(void *mem, uint32_t n_slots);
/* CORRUPT when mem is not a block formatted by this layout for n_slots;
 * INVALID when there is no such slot. slot S3C_RAM_NO_SLOT: for reading only.
 * After a failure the handle is all zero. */
s3c_status_t s3c_stats_attach(s3c_stats_t *stats, void *mem, uint32_t n_slots,
    uint32_t slot) S3C_MUST_CHECK;

void s3c_stats_add(s3c_stats_t *stats, s3c_stat_t stat, uint64_t n);
void s3c_stats_observe(s3c_stats_t *stats, s3c_hist_t hist, uint64_t usec);
/* The number of a bucket's name, registering it on first sight (lock-free);
 * 0 when the table is full. Cheap enough for every request. Names are never
 * forgotten: register only what the origin has shown to exist. */
uint32_t s3c_stats_bucket(s3c_stats_t *stats, s3c_slice_t name);
void s3c_stats_bucket_add(s3c_stats_t *stats, uint32_t bucket,
    s3c_bucket_stat_t stat, uint64_t n);

uint64_t s3c_stats_sum(const s3c_stats_t *stats, s3c_stat_t stat);
uint64_t s3c_stats_bucket_sum(const s3c_stats_t *stats, uint32_t bucket,
    s3c_bucket_stat_t stat);
/* The name of a bucket's number, copied to buf; empty: not registered. */
s3c_slice_t s3c_stats_bucket_name(const s3c_stats_t *stats, uint32_t bucket,
    uint8_t buf[S3C_STATS_BUCKET_NAME]);
void s3c_stats_hist_sum(const s3c_stats_t *stats, s3c_hist_t hist,
    s3c_hist_sums_t *sums);

/* Which place an observation falls in, and a place's upper bound. */
uint32_t s3c_hist_place(uint64_t usec);
uint64_t s3c_hist_bound_usec(uint32_t place);
/* An estimate, linear within a place; 0 without observations, and never more
 * than the last bound. */
uint64_t s3c_hist_quantile_usec(const s3c_hist_sums_t *sums,
    uint32_t percent);

typedef struct {
    s3c_slice_t      path;
    s3c_ssd_usage_t  usage;
} s3c_stats_store_t;

typedef struct {
    uint64_t  index_bytes;
    uint64_t  memory_bytes;
} s3c_stats_flash_t;

/* What has been counted of another node, at one moment; see stats_node.h. */
typedef struct {
    uint64_t         counter[S3C_NODE_STAT_N];
    s3c_hist_sums_t  first_byte;   /* from a question to the answer's head */
    uint32_t         links;        /* of all workers */
    bool             rests;        /* failed, and has not answered since */
} s3c_stats_node_counts_t;

/* A member of the ring. Of this node itself nothing is counted. */
typedef struct {
    s3c_slice_t              name;
    s3c_slice_t              address;
    s3c_slice_t              zone;
    s3c_slice_t              state;      /* "joining", "ready", "leaving" */
    uint32_t                 weight;
    bool                     self;
    double                   share;      /* of what is owned, 0..1 */
    s3c_stats_node_counts_t  counts;
} s3c_stats_member_t;

typedef struct {
    uint64_t                   epoch;
    uint64_t                   digest;
    const s3c_stats_member_t  *members;
    unsigned                   n_members;
    bool                       vouched;  /* all others answer for writes */
} s3c_stats_ring_t;

/* Where keys for the origin come from that change in the course of time. */
typedef struct {
    s3c_slice_t  source;
    uint64_t     refreshed;
    uint64_t     failed;
    bool         valid;                  /* there are keys to sign with */
    bool         expires;                /* and they will not be, in: */
    uint64_t     seconds;
} s3c_stats_keys_t;

/* An alert that is judged, see stats_alert.h. */
typedef struct {
    s3c_slice_t  name;
    s3c_slice_t  severity;
    s3c_slice_t  text;
    s3c_slice_t  advice;
    bool         raised;
    uint64_t     since_ms;               /* since 1970 */
    uint64_t     value;                  /* thousandths */
    uint64_t     threshold;              /* thousandths */
} s3c_stats_alert_t;

/* What the printers print of one zone. They take all zones at once, since a
 * Prometheus family must stand together. `stats` may be NULL: zeros. */
typedef struct {
    s3c_slice_t             name;      /* zone */
    const s3c_stats_t      *stats;
    s3c_ram_usage_t         usage;
    s3c_slice_t             policy;    /* "s3fifo", "lru" */
    s3c_slice_t             io;        /* "io_uring", "threads", "none" */
    s3c_stats_flash_t       flash;
    const s3c_stats_store_t  *stores;
    unsigned                n_stores;
    const s3c_stats_ring_t *ring;      /* NULL: the node is alone */
    const s3c_stats_keys_t *keys;
    unsigned                n_keys;
    const s3c_stats_alert_t *alerts;
    unsigned                n_alerts;
    s3c_slice_t             warmups;   /* JSON of jobs that run, one behind the
                                          other; may be empty */
} s3c_stats_zone_t;

/* A JSON string, valid whatever the bytes are: what is no UTF-8 is U+FFFD. */
void s3c_stats_write_string(s3c_writer_t *w, s3c_slice_t s);
void s3c_stats_print_json(s3c_writer_t *w, const s3c_stats_zone_t *zones,
    unsigned n_zones);
void s3c_stats_print_prometheus(s3c_writer_t *w,
    const s3c_stats_zone_t *zones, unsigned n_zones);

#endif
