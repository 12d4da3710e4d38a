/* SPDX-License-Identifier: Apache-2.0
 *
 * May this be written? A bucket of tokens a store, bytes of its budget, shared
 * by all workers without a lock; and the ghost, which knows keys that were
 * asked for before but are not there.
 *
 * While there is plenty everything is taken: refusing what is asked for once
 * costs hits wherever popularity moves (measured on churning traces: 7 % of all
 * bytes). Only when the budget gets short does a key have to come twice.
 *
 * A record is taken while any token is left, whatever its size, and the debt
 * is paid before the next: so large ones are not starved by small ones, and
 * over any time no more is written than budget * time, one bucket, and one
 * record.
 */
#include "ssd/ssd_internal.h"

#define BUCKET_MS     10000
#define BUDGET_MAX    (1ull << 44)       /* no device is as fast */


static inline uint64_t
budget_of(const s3c_ssd_store_sh_t *st)
{
    return st->conf.budget < BUDGET_MAX ? st->conf.budget : BUDGET_MAX;
}


static inline int64_t
bucket_bytes(uint64_t budget)
{
    return (int64_t) (budget * (BUCKET_MS / 1000));
}


/* Tokens that have come from time 0 until then, modulo 2^64. Differences of
   this number lose no fraction, however often tokens are added. */
static inline uint64_t
tokens_until(uint64_t budget, uint64_t ms)
{
    return ms / 1000 * budget + ms % 1000 * budget / 1000;
}


/* Whoever moves tokens_ms forward adds what came in between; who dies in
   between has given them away. */
static void
tokens_add(s3c_ssd_store_sh_t *st, uint64_t budget, uint64_t now_ms)
{
    int64_t   most = bucket_bytes(budget), add, tokens, sum;
    uint64_t  since;

    since = atomic_load_explicit(&st->tokens_ms, memory_order_relaxed);

    do {
        if (now_ms <= since) {
            return;
        }
    } while (!atomic_compare_exchange_weak_explicit(&st->tokens_ms, &since,
                                                    now_ms,
                                                    memory_order_relaxed,
                                                    memory_order_relaxed));

    /* Not cut at 10 s: debt may be several buckets deep. */
    tokens = atomic_load_explicit(&st->tokens, memory_order_relaxed);

    if (now_ms - since < (1u << 20)) {
        add = (int64_t) (tokens_until(budget, now_ms)
                         - tokens_until(budget, since));
    } else {
        add = (int64_t) tokens_until(budget, 1u << 20);
    }

    do {
        sum = tokens >= most - add ? most : tokens + add;
    } while (!atomic_compare_exchange_weak_explicit(&st->tokens, &tokens, sum,
                                                    memory_order_relaxed,
                                                    memory_order_relaxed));
}


/* The ghost's place and print, and the store, are made of bits of the key that
   the index does not use for its buckets and tags: what collides in one does
   not in the other. */
static inline _Atomic uint16_t *
ghost_at(const s3c_ssd_t *ssd, s3c_hash128_t key)
{
    return &ssd->ghost[(key.hi >> 32) * ssd->n_buckets >> 32];
}


static inline uint16_t
ghost_print(s3c_hash128_t key)
{
    uint16_t  print = (uint16_t) key.lo;

    return print != 0 ? print : 1;       /* 0: nobody */
}


void
s3c_ssd_ghost_add(s3c_ssd_t *ssd, s3c_hash128_t key)
{
    atomic_store_explicit(ghost_at(ssd, key), ghost_print(key),
                          memory_order_relaxed);
}


static bool
ghost_knows(const s3c_ssd_t *ssd, s3c_hash128_t key)
{
    return atomic_load_explicit(ghost_at(ssd, key), memory_order_relaxed)
           == ghost_print(key);
}


s3c_status_t
s3c_ssd_admit(s3c_ssd_t *ssd, uint32_t store, s3c_hash128_t key,
    uint64_t bytes)
{
    bool                 known;
    int64_t              tokens, least;
    uint64_t             budget;
    s3c_ssd_store_sh_t  *st = &ssd->stores[store];

    budget = budget_of(st);

    if (budget == 0) {
        return S3C_OK;
    }

    tokens_add(st, budget, ssd->now_ms);

    known = ghost_knows(ssd, key);
    least = known ? 0 : bucket_bytes(budget) / 2;
    tokens = atomic_load_explicit(&st->tokens, memory_order_relaxed);

    do {
        if (tokens <= least) {
            s3c_ssd_ghost_add(ssd, key);
            return S3C_DENIED;
        }
    } while (!atomic_compare_exchange_weak_explicit(&st->tokens, &tokens,
                                                    tokens - (int64_t) bytes,
                                                    memory_order_relaxed,
                                                    memory_order_relaxed));

    return S3C_OK;
}


void
s3c_ssd_charge(s3c_ssd_t *ssd, uint32_t store, uint64_t bytes)
{
    uint64_t             budget;
    s3c_ssd_store_sh_t  *st = &ssd->stores[store];

    budget = budget_of(st);

    if (budget == 0) {
        return;
    }

    /* First what came in: or the clamp would forgive a part of the charge. */
    tokens_add(st, budget, ssd->now_ms);
    atomic_fetch_sub_explicit(&st->tokens, (int64_t) bytes,
                              memory_order_relaxed);
}


/* In MiB, of which every store is a multiple: so no product overflows. */
uint32_t
s3c_ssd_store_of(const s3c_ssd_t *ssd, s3c_hash128_t key)
{
    uint32_t  i;
    uint64_t  mib = 0, at;

    for (i = 0; i < ssd->n_stores; i++) {
        mib += ssd->stores[i].conf.bytes >> 20;
    }

    at = (uint32_t) key.lo * mib >> 32;

    for (i = 0; i + 1 < ssd->n_stores; i++) {
        mib = ssd->stores[i].conf.bytes >> 20;

        if (at < mib) {
            break;
        }

        at -= mib;
    }

    return i;
}
