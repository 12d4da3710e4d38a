/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules in shared memory, and how the number of an object is made of them.
 * Everything is sequentially consistent, the bytes of a prefix, too: words,
 * since somebody may write them while they are compared. What that reader makes
 * of them he throws away.
 */
#include "serve/purge.h"

#include <assert.h>
#include <string.h>

#include "base/hash.h"

#define ROUND(state)  ((uint32_t) ((state) >> 32))
#define RULES(state)  ((uint32_t) (state))

#define FIRST_ORIGIN  S3C_FENCE_BUCKETS
#define FIRST_KEY     (S3C_FENCE_BUCKETS + S3C_PURGE_ORIGINS)

static_assert(sizeof(s3c_purge_rule_sh_t) == 32
              && sizeof(s3c_purge_prefix_sh_t) == S3C_PURGE_PREFIX_MAX,
              "a rule");
static_assert((S3C_PURGE_ORIGINS & (S3C_PURGE_ORIGINS - 1)) == 0
              && (S3C_PURGE_KEYS & (S3C_PURGE_KEYS - 1)) == 0,
              "powers of two");


s3c_status_t
s3c_purge_format(s3c_purge_sh_t *p)
{
    return s3c_robust_lock_init(&p->lock);
}


void
s3c_purge_begin(s3c_fence_sh_t *f, uint64_t never_used)
{
    s3c_purge_sh_t  *p = s3c_fence_purge(f);

    atomic_store(&p->first, never_used);
    atomic_store(&p->last, never_used);
}

/* --- readers -------------------------------------------------------------- */

/* The 8 bytes before `end`, which lie in the name. */
static uint64_t
tail_of(s3c_slice_t name, size_t end)
{
    uint64_t  tail;

    memcpy(&tail, name.data + end - sizeof(tail), sizeof(tail));

    return tail;
}


/* Does the name begin with the prefix; or, below it, the other way round? */
static bool
rule_meets(s3c_purge_sh_t *p, uint32_t i, s3c_slice_t name, bool below)
{
    size_t    n, bytes = atomic_load(&p->rules[i].bytes);
    uint64_t  word;

    if (bytes > name.len) {
        if (!below) {
            return false;
        }

        bytes = name.len;

    } else if (bytes >= sizeof(word)
               && tail_of(name, bytes) != atomic_load(&p->rules[i].tail))
    {
        return false;
    }

    for (size_t off = 0; off < bytes; off += n) {
        n = bytes - off < sizeof(word) ? bytes - off : sizeof(word);
        word = atomic_load(&p->prefixes[i].words[off / sizeof(word)]);

        if (memcmp(&word, name.data + off, n) != 0) {
            return false;
        }
    }

    return true;
}


static uint64_t
purge_number(const s3c_fence_sh_t *f, uint64_t bucket, s3c_slice_t name,
    bool below)
{
    uint64_t         in[2], state;
    s3c_purge_sh_t  *p = s3c_fence_purge(f);

    do {
        state = atomic_load(&p->state);
        in[0] = 0;

        for (uint32_t i = 0; i < RULES(state); i++) {

            if (atomic_load(&p->rules[i].bucket) == bucket
                && rule_meets(p, i, name, below))
            {
                in[1] = atomic_load(&p->rules[i].number);
                in[0] = s3c_hash64(in, sizeof(in));
            }
        }

    } while (RULES(state) != 0
             && ROUND(atomic_load(&p->state)) != ROUND(state));

    return in[0];
}


uint64_t
s3c_purge_number(const s3c_fence_sh_t *f, uint64_t bucket, s3c_slice_t key)
{
    return purge_number(f, bucket, key, false);
}


uint64_t
s3c_purge_number_below(const s3c_fence_sh_t *f, uint64_t bucket,
    s3c_slice_t prefix)
{
    return purge_number(f, bucket, prefix, true);
}


bool
s3c_purge_keyed(const s3c_fence_sh_t *f)
{
    return atomic_load(&s3c_fence_purge(f)->keyed) != 0;
}


uint64_t
s3c_purge_key_generation(const s3c_fence_sh_t *f, uint64_t name)
{
    return atomic_load(&s3c_fence_purge(f)->keys[name & (S3C_PURGE_KEYS - 1)]);
}


uint64_t
s3c_purge_origin_generation(const s3c_fence_sh_t *f, uint64_t origin)
{
    return atomic_load(&s3c_fence_purge(f)
                       ->origins[origin & (S3C_PURGE_ORIGINS - 1)]);
}

/* --- writers -------------------------------------------------------------- */

static bool
purge_lock(s3c_purge_sh_t *p)
{
    switch (s3c_robust_lock_take(&p->lock)) {

    case S3C_OK:
        return true;

    case S3C_CORRUPT:
        s3c_robust_lock_mended(&p->lock);
        return true;

    default:
        return false;
    }
}


/* The rule of this prefix, or where the next one goes. */
static uint32_t
purge_find_locked(s3c_purge_sh_t *p, uint64_t bucket, s3c_slice_t prefix)
{
    uint32_t  i, n = RULES(atomic_load(&p->state));

    for (i = 0; i < n; i++) {
        if (atomic_load(&p->rules[i].bucket) == bucket
            && atomic_load(&p->rules[i].bytes) == prefix.len
            && rule_meets(p, i, prefix, false))
        {
            break;
        }
    }

    return i;
}


static void
purge_write_locked(s3c_purge_sh_t *p, uint32_t i, uint64_t bucket,
    s3c_slice_t prefix)
{
    size_t                n;
    uint64_t              word;
    s3c_purge_rule_sh_t  *rule = &p->rules[i];

    for (size_t off = 0; off < prefix.len; off += n) {
        n = prefix.len - off < sizeof(word) ? prefix.len - off : sizeof(word);
        word = 0;
        memcpy(&word, prefix.data + off, n);
        atomic_store(&p->prefixes[i].words[off / sizeof(word)], word);
    }

    if (prefix.len >= sizeof(word)) {
        atomic_store(&rule->tail, tail_of(prefix, prefix.len));
    }

    atomic_store(&rule->bytes, (uint32_t) prefix.len);
    atomic_store(&rule->bucket, bucket);
}


/* The buckets first: who sees no rules sees that. */
static void
purge_empty_locked(s3c_fence_sh_t *f, s3c_purge_sh_t *p)
{
    uint64_t  state = atomic_load(&p->state);

    for (uint32_t i = 0; i < RULES(state); i++) {
        s3c_fence_bucket_drop(f, atomic_load(&p->rules[i].bucket));
    }

    atomic_store(&p->state, (uint64_t) (ROUND(state) + 1) << 32);
}


s3c_status_t
s3c_purge_prefix(s3c_fence_sh_t *f, uint64_t bucket, s3c_slice_t prefix)
{
    uint32_t         i;
    s3c_status_t     st = S3C_OK;
    s3c_purge_sh_t  *p = s3c_fence_purge(f);

    if (prefix.len > S3C_PURGE_PREFIX_MAX || !purge_lock(p)) {
        s3c_fence_bucket_drop(f, bucket);
        return S3C_FULL;
    }

    s3c_fence_move(f);
    atomic_store(&p->marked[bucket & (S3C_FENCE_BUCKETS - 1)], 1);

    i = purge_find_locked(p, bucket, prefix);

    if (i == S3C_PURGE_RULES) {
        purge_empty_locked(f, p);
        i = 0;
        st = S3C_FULL;
    }

    if (i == RULES(atomic_load(&p->state))) {
        purge_write_locked(p, i, bucket, prefix);
    }

    atomic_store(&p->rules[i].number, atomic_fetch_add(&p->last, 1) + 1);

    if (i == RULES(atomic_load(&p->state))) {
        atomic_fetch_add(&p->state, 1);
    }

    s3c_robust_lock_drop(&p->lock);

    return st;
}


void
s3c_purge_key(s3c_fence_sh_t *f, uint64_t name)
{
    s3c_purge_sh_t  *p = s3c_fence_purge(f);

    s3c_fence_move(f);
    atomic_store(&p->keyed, 1);
    s3c_purge_count_up(p, &p->keys[name & (S3C_PURGE_KEYS - 1)]);
}


void
s3c_purge_origin(s3c_fence_sh_t *f, uint64_t origin)
{
    s3c_purge_sh_t  *p = s3c_fence_purge(f);

    s3c_fence_move(f);
    s3c_purge_count_up(p, &p->origins[origin & (S3C_PURGE_ORIGINS - 1)]);
}

/* --- what flash must know ------------------------------------------------- */

uint32_t
s3c_purge_bucket_place(uint64_t bucket)
{
    return (uint32_t) (bucket & (S3C_FENCE_BUCKETS - 1));
}


uint32_t
s3c_purge_origin_place(uint64_t origin)
{
    return FIRST_ORIGIN + (uint32_t) (origin & (S3C_PURGE_ORIGINS - 1));
}


uint32_t
s3c_purge_key_place(uint64_t name)
{
    return FIRST_KEY + (uint32_t) (name & (S3C_PURGE_KEYS - 1));
}


bool
s3c_purge_is_marked(const s3c_fence_sh_t *f, uint32_t place)
{
    assert(place < S3C_PURGE_PLACES);

    if (place >= FIRST_KEY) {
        return s3c_purge_key_generation(f, place - FIRST_KEY) != 0;
    }

    if (place >= FIRST_ORIGIN) {
        return s3c_purge_origin_generation(f, place - FIRST_ORIGIN) != 0;
    }

    return s3c_fence_bucket_generation(f, place) != 0
           || atomic_load(&s3c_fence_purge(f)->marked[place]) != 0;
}


bool
s3c_purge_next_mark(const s3c_fence_sh_t *f, uint32_t turn, uint32_t *place)
{
    uint32_t  end = s3c_purge_keyed(f) ? S3C_PURGE_PLACES : FIRST_KEY;

    for (uint32_t i = *place; i < end; i++) {

        if (i >= FIRST_KEY
            && (i - FIRST_KEY) % S3C_PURGE_TURNS != turn % S3C_PURGE_TURNS)
        {
            continue;
        }

        if (s3c_purge_is_marked(f, i)) {
            *place = i + 1;
            return true;
        }
    }

    return false;
}


void
s3c_purge_forget(s3c_fence_sh_t *f, uint32_t place, uint64_t generation)
{
    s3c_purge_sh_t  *p = s3c_fence_purge(f);

    assert(place < S3C_PURGE_PLACES);

    if (place < FIRST_ORIGIN) {
        s3c_fence_bucket_forget(f, place, generation);

    } else if (place < FIRST_KEY) {
        atomic_fetch_add(&p->origins[place - FIRST_ORIGIN], generation);

    } else {
        atomic_fetch_add(&p->keys[place - FIRST_KEY], generation);
        atomic_store(&p->keyed, 1);
    }

    s3c_fence_move(f);
}
