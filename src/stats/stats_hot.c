/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of stats_hot.h.
 */
#include "stats/stats_hot.h"

#include <string.h>

#define HOT_WORDS  (S3C_STATS_HOT_NAME / 8)


static inline uint32_t
hot_count(const s3c_stats_hot_place_sh_t *p)
{
    return atomic_load_explicit(&p->now, memory_order_relaxed)
           + atomic_load_explicit(&p->before, memory_order_relaxed);
}


static inline void
hot_set(_Atomic uint32_t *n, uint32_t v)
{
    atomic_store_explicit(n, v, memory_order_relaxed);
}


/* One read of something else. */
static void
hot_wear(s3c_stats_hot_place_sh_t *p)
{
    uint32_t  now, before;

    before = atomic_load_explicit(&p->before, memory_order_relaxed);

    if (before > 0) {
        hot_set(&p->before, before - 1);
        return;
    }

    now = atomic_load_explicit(&p->now, memory_order_relaxed);

    if (now > 0) {
        hot_set(&p->now, now - 1);
    }
}


static size_t
hot_append(uint8_t *to, size_t at, s3c_slice_t part)
{
    size_t  n = S3C_STATS_HOT_NAME - at < part.len ? S3C_STATS_HOT_NAME - at
                                                   : part.len;

    if (n > 0) {
        memcpy(to + at, part.data, n);
    }

    return at + n;
}


/* Whoever comes between leaves a name whose check is wrong: it is not shown
 * until the place is taken anew. */
static void
hot_name(s3c_stats_hot_place_sh_t *p, s3c_slice_t bucket, s3c_slice_t name)
{
    size_t    at;
    uint64_t  words[HOT_WORDS] = { 0 };

    at = hot_append((uint8_t *) words, 0, bucket);
    at = hot_append((uint8_t *) words, at, S3C_SLICE("/"));
    (void) hot_append((uint8_t *) words, at, name);

    for (size_t i = 0; i < HOT_WORDS; i++) {
        atomic_store_explicit(&p->name[i], words[i], memory_order_relaxed);
    }

    atomic_store_explicit(&p->check, s3c_hash64(words, sizeof(words)),
                          memory_order_relaxed);
}


void
s3c_stats_hot_read(s3c_stats_hot_sh_t *hot, s3c_hash128_t key,
    s3c_slice_t bucket, s3c_slice_t name)
{
    uint64_t                   is, mine = key.lo | 1;
    s3c_stats_hot_place_sh_t  *p, *q;

    p = &hot->place[key.hi & (S3C_STATS_HOT_PLACES - 1)];
    q = &hot->place[(key.hi >> 32) & (S3C_STATS_HOT_PLACES - 1)];

    if (atomic_load_explicit(&q->key, memory_order_relaxed) == mine
        || (atomic_load_explicit(&p->key, memory_order_relaxed) != mine
            && hot_count(q) < hot_count(p)))
    {
        p = q;
    }

    is = atomic_load_explicit(&p->key, memory_order_relaxed);

    if (is != mine) {

        if (hot_count(p) > 0) {
            hot_wear(p);
            return;
        }

        if (!atomic_compare_exchange_strong_explicit(&p->key, &is, mine,
                memory_order_relaxed, memory_order_relaxed))
        {
            return;
        }

        hot_name(p, bucket, name);
    }

    atomic_fetch_add_explicit(&p->now, 1, memory_order_relaxed);
}


void
s3c_stats_hot_turn(s3c_stats_hot_sh_t *hot, uint64_t now_ms)
{
    uint64_t  began = atomic_load_explicit(&hot->began_ms,
                                           memory_order_relaxed);

    for (uint32_t i = 0; i < S3C_STATS_HOT_PLACES; i++) {
        s3c_stats_hot_place_sh_t  *p = &hot->place[i];

        hot_set(&p->before, atomic_exchange_explicit(&p->now, 0,
                                                     memory_order_relaxed));
    }

    atomic_store_explicit(&hot->lasted_ms,
                          began != 0 && now_ms > began ? now_ms - began : 0,
                          memory_order_relaxed);
    atomic_store_explicit(&hot->began_ms, now_ms, memory_order_relaxed);
}


static bool
hot_get(const s3c_stats_hot_place_sh_t *p, s3c_stats_hot_t *one)
{
    uint64_t       words[HOT_WORDS];
    const uint8_t  *end;

    for (size_t i = 0; i < HOT_WORDS; i++) {
        words[i] = atomic_load_explicit(&p->name[i], memory_order_relaxed);
    }

    if (atomic_load_explicit(&p->check, memory_order_relaxed)
        != s3c_hash64(words, sizeof(words)))
    {
        return false;
    }

    memcpy(one->name, words, sizeof(words));
    end = memchr(one->name, '\0', sizeof(one->name));
    one->name_len = (uint8_t) (end ? (size_t) (end - one->name)
                                   : sizeof(one->name));

    return one->name_len > 0;
}


uint32_t
s3c_stats_hot_top(const s3c_stats_hot_sh_t *hot, uint64_t now_ms,
    s3c_stats_hot_t *top, uint32_t max, uint64_t *ms)
{
    uint32_t  n = 0, at;
    uint64_t  began = atomic_load_explicit(&hot->began_ms,
                                           memory_order_relaxed);

    *ms = atomic_load_explicit(&hot->lasted_ms, memory_order_relaxed)
          + (now_ms > began ? now_ms - began : 0);

    for (uint32_t i = 0; i < S3C_STATS_HOT_PLACES; i++) {
        s3c_stats_hot_t  one;

        one.reads = hot_count(&hot->place[i]);

        if (one.reads == 0
            || (n == max && (max == 0 || one.reads <= top[n - 1].reads))
            || !hot_get(&hot->place[i], &one))
        {
            continue;
        }

        at = n < max ? n++ : n - 1;

        for ( /* void */ ; at > 0 && top[at - 1].reads < one.reads; at--) {
            top[at] = top[at - 1];
        }

        top[at] = one;
    }

    return n;
}
