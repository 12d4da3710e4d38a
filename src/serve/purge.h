/* SPDX-License-Identifier: Apache-2.0
 *
 * What was dropped at once: a key with all its versions and blocks, what
 * begins with a prefix, all of an origin. Nothing is looked for in the tiers:
 * as with a bucket (fence.h), the keys of the cache are made with numbers that
 * a purge changes, and what was kept before it is not found any more.
 *
 * Keys and origins have generations, by hash: those that share a place go
 * together.
 *
 * A purged prefix is a rule: its bucket, its bytes, and a number that nothing
 * else ever had. The number of an object is made of those of all rules that its
 * key begins with. A rule stays; a prefix that is purged again gets a new
 * number. When all rules are in use, the generations of their buckets are
 * counted up, and then they all go.
 *
 * What a reader gets is the number of a time since it began, or, of two purges
 * in the meantime, one that is of no time and never will be; never that of
 * before a purge that was over when it began:
 *
 *   - a rule is written where nobody looks, and then published by one store, as
 *     is a new number: who dies before has done nothing;
 *   - rules go by one store, too, after their buckets were counted up. So the
 *     number of an object is read before its generations: who sees no rule any
 *     more sees what took its place;
 *   - a rule is written over only in a new round, and who read in another round
 *     reads again.
 *
 * It lies in the memory of the fences.
 *
 * READERS  no lock; while there are no rules, one load.
 * WRITERS  one robust lock. It guards nothing that would have to be mended.
 * LIMITS   S3C_PURGE_RULES prefixes of S3C_PURGE_PREFIX_MAX bytes.
 */
#ifndef S3C_SERVE_PURGE_H
#define S3C_SERVE_PURGE_H

#include <stdatomic.h>

#include "base/robust_lock.h"
#include "base/slice.h"
#include "serve/fence.h"

#define S3C_PURGE_RULES       256u
#define S3C_PURGE_PREFIX_MAX  1024u
#define S3C_PURGE_ORIGINS     64u         /* power of two */
#define S3C_PURGE_KEYS        131072u     /* power of two */
/* Of buckets, then of origins, then of keys. */
#define S3C_PURGE_PLACES      (S3C_FENCE_BUCKETS + S3C_PURGE_ORIGINS          \
                               + S3C_PURGE_KEYS)

/* What nearly always tells that a rule is not meant lies close together. */
typedef struct {
    _Atomic uint64_t  bucket;
    _Atomic uint64_t  number;
    _Atomic uint64_t  tail;           /* of 8 bytes or more, the last 8 */
    _Atomic uint32_t  bytes;
    uint32_t          unused;
} s3c_purge_rule_sh_t;

typedef struct {
    _Atomic uint64_t  words[S3C_PURGE_PREFIX_MAX / sizeof(uint64_t)];
} s3c_purge_prefix_sh_t;

typedef struct {
    s3c_robust_lock_sh_t  lock;
    _Atomic uint64_t      state;      /* round << 32 | rules */
    _Atomic uint64_t      last;       /* number given to a rule */
    _Atomic uint64_t      first;      /* generation */
    _Atomic uint32_t      keyed;      /* some key has a generation */
    _Atomic uint64_t      origins[S3C_PURGE_ORIGINS];
    _Atomic uint64_t      keys[S3C_PURGE_KEYS];
    _Atomic uint8_t       marked[S3C_FENCE_BUCKETS];
    s3c_purge_rule_sh_t   rules[S3C_PURGE_RULES];
    s3c_purge_prefix_sh_t prefixes[S3C_PURGE_RULES];
} s3c_purge_sh_t;

/* From fence.c: where it lies. */
s3c_purge_sh_t *s3c_fence_purge(const s3c_fence_sh_t *f);

/* Over zeroed memory: from s3c_fence_format(). */
s3c_status_t s3c_purge_format(s3c_purge_sh_t *p) S3C_MUST_CHECK;
/* Flash outlives this memory: what is counted begins here, at a number that
 * no earlier life has used. Before anybody reads. */
void s3c_purge_begin(s3c_fence_sh_t *f, uint64_t never_used);

/* Of an object; before its generations are read. 0: no rule is for it.
 * `bucket` as of s3c_fence_bucket_generation(). */
uint64_t s3c_purge_number(const s3c_fence_sh_t *f, uint64_t bucket,
    s3c_slice_t key);
/* The same of all objects that begin with a prefix: it changes when any of
 * them is purged. For what shows several of them (a page of a list). */
uint64_t s3c_purge_number_below(const s3c_fence_sh_t *f, uint64_t bucket,
    s3c_slice_t prefix);
/* FULL: whole buckets were dropped, this one or all that had rules. Either way
 * it is done. */
s3c_status_t s3c_purge_prefix(s3c_fence_sh_t *f, uint64_t bucket,
    s3c_slice_t prefix);

/* A key; `name` is its hash. Before any was purged all are 0. */
bool s3c_purge_keyed(const s3c_fence_sh_t *f);
uint64_t s3c_purge_key_generation(const s3c_fence_sh_t *f, uint64_t name);
void s3c_purge_key(s3c_fence_sh_t *f, uint64_t name);
/* All of an origin; `origin` is its id, a hash. */
uint64_t s3c_purge_origin_generation(const s3c_fence_sh_t *f,
    uint64_t origin);
void s3c_purge_origin(s3c_fence_sh_t *f, uint64_t origin);

/* Places, of S3C_PURGE_PLACES, that flash must know of once anything of them
 * was dropped: see s3c_fence_bucket_forget(). */
uint32_t s3c_purge_bucket_place(uint64_t bucket);
uint32_t s3c_purge_origin_place(uint64_t origin);
uint32_t s3c_purge_key_place(uint64_t name);
bool s3c_purge_is_marked(const s3c_fence_sh_t *f, uint32_t place);
/* The next one from *place on, which goes behind it; false: no more. `turn`: in
 * each of S3C_PURGE_TURNS another part of those of keys, which are many. */
#define S3C_PURGE_TURNS  16u
bool s3c_purge_next_mark(const s3c_fence_sh_t *f, uint32_t turn,
    uint32_t *place);
void s3c_purge_forget(s3c_fence_sh_t *f, uint32_t place,
    uint64_t generation);


/* One more, from the first one on. */
static inline void
s3c_purge_count_up(const s3c_purge_sh_t *p, _Atomic uint64_t *generation)
{
    uint64_t  was = atomic_load(generation), now;

    do {
        now = (was == 0 ? atomic_load(&((s3c_purge_sh_t *) p)->first) : was)
              + 1;
    } while (!atomic_compare_exchange_weak(generation, &was, now));
}

#endif
