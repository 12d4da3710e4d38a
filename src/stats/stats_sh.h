/* SPDX-License-Identifier: Apache-2.0
 *
 * What the counters look like in shared memory: a head, the table of bucket
 * names, and one block per worker slot. Only the files of this room read it.
 *
 * WRITERS  a slot block: the worker that owns the slot, by relaxed stores.
 *          The names: anybody, by the protocol below.
 * READERS  anybody; a number may be some events old, never torn.
 *
 * A name's tag goes EMPTY -> BUSY -> READY and never back. The upper bits of
 * the tag are the name's hash, so whoever meets a BUSY tag of his own name
 * writes the same bytes once more and makes it READY himself: a worker that
 * died in between blocks nobody, and nobody waits.
 */
#ifndef S3C_STATS_STATS_SH_H
#define S3C_STATS_STATS_SH_H

#include <assert.h>
#include <stdatomic.h>

#include "stats/stats.h"

#define S3C_STATS_MAGIC    0x7374617473633373ull     /* "s3cstats" */
#define S3C_STATS_VERSION  1
#define S3C_STATS_LINE     64

#define S3C_STATS_NAME_WORDS  (S3C_STATS_BUCKET_NAME / 8)

#define S3C_STATS_TAG_EMPTY  0ull
#define S3C_STATS_TAG_BUSY   1ull
#define S3C_STATS_TAG_READY  2ull
#define S3C_STATS_TAG_STATE  3ull

typedef struct {
    uint64_t          magic;
    uint32_t          version;
    uint32_t          n_slots;
    uint64_t          bytes;
    uint64_t          rows;        /* hash of all metric names, in order */
    uint8_t           pad[32];
} s3c_stats_head_sh_t;

/* Number 0 is never used: it stands for "other". */
typedef struct {
    _Atomic uint64_t  tag[S3C_STATS_BUCKETS_MAX];
    _Atomic uint64_t  name[S3C_STATS_BUCKETS_MAX][S3C_STATS_NAME_WORDS];
} s3c_stats_names_sh_t;

typedef struct {
    _Atomic uint64_t  sum_usec;
    _Atomic uint64_t  place[S3C_HIST_BUCKETS + 1];
} s3c_hist_sh_t;

typedef struct {
    _Alignas(S3C_STATS_LINE)
    _Atomic uint64_t  counter[S3C_STAT_N];
    s3c_hist_sh_t     hist[S3C_HIST_N];
    _Atomic uint64_t  bucket[S3C_STATS_BUCKETS_MAX][S3C_BSTAT_N];
} s3c_stats_slot_sh_t;

typedef struct {
    s3c_stats_head_sh_t   head;
    s3c_stats_names_sh_t  names;
    s3c_stats_slot_sh_t   slot[];
} s3c_stats_sh_t;

static_assert(sizeof(_Atomic uint64_t) == 8, "a counter is one word");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "no locks in shared memory");
static_assert(sizeof(s3c_stats_head_sh_t) == S3C_STATS_LINE, "one line");
static_assert(sizeof(s3c_stats_names_sh_t) == 4608, "layout of version 1");
static_assert(sizeof(s3c_hist_sh_t) == 8 * (S3C_HIST_BUCKETS + 2), "layout");
static_assert(offsetof(s3c_stats_sh_t, slot) % S3C_STATS_LINE == 0, "aligned");
static_assert(sizeof(s3c_stats_slot_sh_t) % S3C_STATS_LINE == 0,
              "no line belongs to two slots");
static_assert(sizeof(s3c_stats_slot_sh_t) <= 8192, "modest");

#endif
