/* SPDX-License-Identifier: Apache-2.0
 *
 * Fences and generations in shared memory. The places are the truth; the
 * counts, by which readers look, say for each hash how many places there are
 * that have it. Everything is sequentially consistent: a reader's "begin,
 * then look" against a writer's "fence, then drop" is Dekker's game.
 */
#include "serve/fence.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "base/robust_lock.h"
#include "serve/purge.h"

#define FENCE_NONE  UINT32_MAX

typedef struct {
    uint64_t  name;
    uint64_t  tag;             /* not 0: another node's, and in a chain */
    uint64_t  until_ms;        /* not 0: without an owner */
    uint32_t  owner;           /* 0 and until_ms 0: free */
    uint32_t  seq;
    uint32_t  next;            /* of the free ones, or of the chain */
    uint32_t  stranger;        /* of before the configuration in force */
} fence_place_sh_t;

struct s3c_fence_sh_s {
    s3c_robust_lock_sh_t  lock;
    uint32_t              free;
    _Atomic uint32_t      held;
    uint32_t              high;    /* places from here on were never used */
    _Atomic uint32_t      moved;
    _Atomic uint32_t      loaded;
    _Atomic uint64_t      config;
    _Atomic uint64_t      epoch;
    _Atomic uint32_t      strangers;
    _Atomic uint32_t      counts[S3C_FENCE_COUNTS];
    uint32_t              chains[S3C_FENCE_COUNTS];  /* + 1; 0: empty */
    _Atomic uint64_t      buckets[S3C_FENCE_BUCKETS];
    _Atomic uint64_t      versions[S3C_FENCE_VERSIONS];
    _Atomic uint32_t      lists[S3C_FENCE_LISTS];
    fence_place_sh_t      places[S3C_FENCE_PLACES];
    s3c_purge_sh_t        purge;
};

static_assert(sizeof(fence_place_sh_t) == 40, "a place");


size_t
s3c_fence_bytes(void)
{
    return sizeof(s3c_fence_sh_t);
}


s3c_status_t
s3c_fence_format(s3c_fence_sh_t *f)
{
    memset(f, 0, sizeof(*f));
    f->free = FENCE_NONE;

    return s3c_purge_format(&f->purge) == S3C_OK
           ? s3c_robust_lock_init(&f->lock) : S3C_IO;
}


s3c_purge_sh_t *
s3c_fence_purge(const s3c_fence_sh_t *f)
{
    return &((s3c_fence_sh_t *) f)->purge;
}


static inline _Atomic uint32_t *
fence_count(const s3c_fence_sh_t *f, uint64_t name)
{
    return (_Atomic uint32_t *) &f->counts[name & (S3C_FENCE_COUNTS - 1)];
}


static bool
fence_is_taken(const fence_place_sh_t *p)
{
    return p->owner != 0 || p->until_ms != 0;
}


static inline uint32_t *
fence_chain(s3c_fence_sh_t *f, uint64_t name)
{
    return &f->chains[name & (S3C_FENCE_COUNTS - 1)];
}


static void
fence_link_locked(s3c_fence_sh_t *f, uint32_t i)
{
    uint32_t  *chain = fence_chain(f, f->places[i].name);

    f->places[i].next = *chain;
    *chain = i + 1;
}


/* A worker died in the lock: counts, chains and free list are made of the
 * places. A count may be too high for a moment, never too low. */
static void
fence_heal(s3c_fence_sh_t *f)
{
    uint32_t           n = 0, strangers = 0;
    fence_place_sh_t  *p;
    static uint32_t    right[S3C_FENCE_COUNTS];

    memset(right, 0, sizeof(right));
    f->high = S3C_FENCE_PLACES;
    f->free = FENCE_NONE;
    memset(f->chains, 0, sizeof(f->chains));

    for (uint32_t i = S3C_FENCE_PLACES; i-- > 0; /* void */) {
        p = &f->places[i];

        if (fence_is_taken(p)) {
            n++;
            strangers += p->stranger;
            right[p->name & (S3C_FENCE_COUNTS - 1)]++;

            if (p->tag != 0) {
                fence_link_locked(f, i);
            }

        } else {
            p->next = f->free;
            f->free = i;
        }
    }

    for (uint32_t c = 0; c < S3C_FENCE_COUNTS; c++) {
        atomic_store(&f->counts[c], right[c]);
    }

    atomic_store(&f->held, n);
    atomic_store(&f->strangers, strangers);
}


static bool
fence_lock(s3c_fence_sh_t *f)
{
    switch (s3c_robust_lock_take(&f->lock)) {

    case S3C_OK:
        return true;

    case S3C_CORRUPT:
        fence_heal(f);
        s3c_robust_lock_mended(&f->lock);
        return true;

    default:
        return false;
    }
}


bool
s3c_fence_holds(const s3c_fence_sh_t *f, uint64_t name)
{
    return atomic_load(fence_count(f, name)) != 0;
}


uint32_t
s3c_fence_held(const s3c_fence_sh_t *f)
{
    return atomic_load(&((s3c_fence_sh_t *) f)->held);
}


/* A place for the name, counted; FENCE_NONE: there is none. Whoever dies before
 * it has an owner or a time leaves it free. */
static uint32_t
fence_take_locked(s3c_fence_sh_t *f, uint64_t name, uint64_t tag)
{
    uint32_t           i = f->free;
    fence_place_sh_t  *p;

    if (i == FENCE_NONE && f->high < S3C_FENCE_PLACES) {
        i = f->high++;
        f->places[i].next = FENCE_NONE;
    }

    if (i == FENCE_NONE) {
        return FENCE_NONE;
    }

    p = &f->places[i];
    f->free = p->next;

    atomic_fetch_add(fence_count(f, name), 1);

    p->name = name;
    p->tag = tag;
    p->stranger = 0;
    p->seq++;

    return i;
}


s3c_status_t
s3c_fence_begin(s3c_fence_sh_t *f, uint64_t name, uint32_t owner,
    s3c_fence_id_t *id)
{
    uint32_t           i;
    fence_place_sh_t  *p;

    assert(owner != 0);
    *id = 0;

    if (!fence_lock(f)) {
        return S3C_BUSY;
    }

    i = fence_take_locked(f, name, 0);

    if (i != FENCE_NONE) {
        p = &f->places[i];
        p->owner = owner;
        atomic_fetch_add(&f->held, 1);
        *id = ((uint64_t) p->seq << 32) | (i + 1);
    }

    s3c_robust_lock_drop(&f->lock);

    return i != FENCE_NONE ? S3C_OK : S3C_FULL;
}


static fence_place_sh_t *
fence_tagged_locked(s3c_fence_sh_t *f, uint64_t name, uint64_t tag)
{
    fence_place_sh_t  *p;

    for (uint32_t i = *fence_chain(f, name); i != 0; i = p->next) {
        p = &f->places[i - 1];

        if (p->name == name && p->tag == tag) {
            return p;
        }
    }

    return NULL;
}


static void
fence_unlink_locked(s3c_fence_sh_t *f, uint32_t i)
{
    uint32_t  *link = fence_chain(f, f->places[i].name);

    while (*link != 0 && *link != i + 1) {
        link = &f->places[*link - 1].next;
    }

    if (*link != 0) {
        *link = f->places[i].next;
    }
}


s3c_status_t
s3c_fence_keep(s3c_fence_sh_t *f, uint64_t name, uint64_t tag,
    uint64_t until_ms)
{
    uint32_t           i;
    s3c_status_t       st = S3C_OK;
    fence_place_sh_t  *p;

    assert(tag != 0 && until_ms != 0);

    if (!fence_lock(f)) {
        return S3C_BUSY;
    }

    p = fence_tagged_locked(f, name, tag);

    if (p != NULL) {
        p->until_ms = until_ms;
        st = S3C_EXISTS;

    } else if ((i = fence_take_locked(f, name, tag)) != FENCE_NONE) {
        f->places[i].until_ms = until_ms;
        atomic_fetch_add(&f->held, 1);
        fence_link_locked(f, i);

    } else {
        st = S3C_FULL;
    }

    s3c_robust_lock_drop(&f->lock);

    return st;
}


static void
fence_free_locked(s3c_fence_sh_t *f, uint32_t i)
{
    fence_place_sh_t  *p = &f->places[i];

    if (p->tag != 0) {
        fence_unlink_locked(f, i);
        p->tag = 0;
    }

    p->owner = 0;
    p->until_ms = 0;
    p->next = f->free;
    f->free = i;

    atomic_fetch_sub(fence_count(f, p->name), 1);
    atomic_fetch_sub(&f->held, 1);
    atomic_fetch_sub(&f->strangers, p->stranger);
    p->stranger = 0;
}


s3c_status_t
s3c_fence_lift(s3c_fence_sh_t *f, uint64_t name, uint64_t tag,
    uint64_t until_ms)
{
    fence_place_sh_t  *p;

    assert(tag != 0);

    if (!fence_lock(f)) {
        return S3C_BUSY;
    }

    p = fence_tagged_locked(f, name, tag);

    if (p != NULL && until_ms == 0) {
        fence_free_locked(f, (uint32_t) (p - f->places));

    } else if (p != NULL) {
        p->until_ms = until_ms;
    }

    s3c_robust_lock_drop(&f->lock);

    return p != NULL ? S3C_OK : S3C_MISS;
}


void
s3c_fence_end(s3c_fence_sh_t *f, s3c_fence_id_t id, uint64_t until_ms)
{
    uint32_t           i = (uint32_t) id - 1;
    fence_place_sh_t  *p;

    if (id == 0 || i >= S3C_FENCE_PLACES || !fence_lock(f)) {
        return;
    }

    p = &f->places[i];

    if (p->seq == (uint32_t) (id >> 32) && p->owner != 0) {

        if (until_ms == 0) {
            fence_free_locked(f, i);

        } else {
            p->until_ms = until_ms;
            p->owner = 0;
        }
    }

    s3c_robust_lock_drop(&f->lock);
}


uint32_t
s3c_fence_sweep(s3c_fence_sh_t *f, uint64_t now_ms, uint64_t until_ms,
    bool (*is_alive)(uint32_t owner))
{
    uint32_t           last = 0, n = 0;
    fence_place_sh_t  *p;

    assert(until_ms != 0);

    if (s3c_fence_held(f) == 0 || !fence_lock(f)) {
        return 0;
    }

    for (uint32_t i = 0; i < f->high; i++) {
        p = &f->places[i];

        if (p->owner == 0) {

            if (p->until_ms != 0 && p->until_ms <= now_ms) {
                fence_free_locked(f, i);
            }

        } else if (p->owner != last) {

            if (is_alive(p->owner)) {
                last = p->owner;           /* of many by one worker */
                continue;
            }

            p->until_ms = until_ms;
            p->owner = 0;
            n++;
        }
    }

    s3c_robust_lock_drop(&f->lock);

    return n;
}


uint64_t
s3c_fence_config(const s3c_fence_sh_t *f)
{
    return atomic_load(&((s3c_fence_sh_t *) f)->config);
}


/* In this order, in the lock: who takes a fence and then still sees the older
 * one has taken it before, and it is marked. */
static void
fence_turn_locked(s3c_fence_sh_t *f, uint64_t config)
{
    fence_place_sh_t  *p;

    for (uint32_t i = 0; i < f->high; i++) {
        p = &f->places[i];

        if (fence_is_taken(p) && !p->stranger) {
            atomic_fetch_add(&f->strangers, 1);
            p->stranger = 1;
        }
    }

    atomic_fetch_add(&f->epoch, 1);
    atomic_store(&f->config, config);
}


void
s3c_fence_set_config(s3c_fence_sh_t *f, uint64_t config)
{
    if (config == s3c_fence_config(f)) {
        return;
    }

    if (config == S3C_FENCE_RETIRED) {
        atomic_store(&f->config, config);   /* nobody waits for a lock of old */
        return;
    }

    if (!fence_lock(f)) {
        /* nor does anybody fence any more */
        atomic_fetch_add(&f->strangers, 1);
        atomic_fetch_add(&f->epoch, 1);
        atomic_store(&f->config, config);
        return;
    }

    fence_turn_locked(f, config);
    s3c_robust_lock_drop(&f->lock);
}


uint64_t
s3c_fence_epoch(const s3c_fence_sh_t *f)
{
    return atomic_load(&((s3c_fence_sh_t *) f)->epoch);
}


uint32_t
s3c_fence_strangers(const s3c_fence_sh_t *f)
{
    return atomic_load(&((s3c_fence_sh_t *) f)->strangers);
}


bool
s3c_fence_moved(const s3c_fence_sh_t *f)
{
    return atomic_load(&((s3c_fence_sh_t *) f)->moved) != 0;
}


void
s3c_fence_move(s3c_fence_sh_t *f)
{
    atomic_store(&f->moved, 1);
}


uint64_t
s3c_fence_bucket_generation(const s3c_fence_sh_t *f, uint64_t name)
{
    return atomic_load(&((s3c_fence_sh_t *) f)
                       ->buckets[name & (S3C_FENCE_BUCKETS - 1)]);
}


void
s3c_fence_bucket_drop(s3c_fence_sh_t *f, uint64_t name)
{
    s3c_purge_count_up(&f->purge, &f->buckets[name & (S3C_FENCE_BUCKETS - 1)]);
    atomic_store(&f->moved, 1);
}


void
s3c_fence_bucket_forget(s3c_fence_sh_t *f, uint32_t place,
    uint64_t generation)
{
    assert(place < S3C_FENCE_BUCKETS);

    /* also what was counted since the start: that may be a number of old */
    atomic_fetch_add(&f->buckets[place], generation);
    atomic_store(&f->moved, 1);
}


bool
s3c_fence_is_loaded(const s3c_fence_sh_t *f)
{
    return atomic_load(&((s3c_fence_sh_t *) f)->loaded) != 0;
}


void
s3c_fence_loaded(s3c_fence_sh_t *f)
{
    atomic_store(&f->loaded, 1);
}


uint64_t
s3c_fence_versions_generation(const s3c_fence_sh_t *f, uint64_t name)
{
    uint64_t  n = atomic_load(&((s3c_fence_sh_t *) f)
                              ->versions[name & (S3C_FENCE_VERSIONS - 1)]);

    return n != 0 ? n : atomic_load(&((s3c_fence_sh_t *) f)->purge.first);
}


void
s3c_fence_versions_drop(s3c_fence_sh_t *f, uint64_t name)
{
    s3c_purge_count_up(&f->purge,
                       &f->versions[name & (S3C_FENCE_VERSIONS - 1)]);
    atomic_store(&f->moved, 1);
}


uint64_t
s3c_fence_lists_generation(const s3c_fence_sh_t *f, uint64_t name)
{
    return atomic_load(&((s3c_fence_sh_t *) f)
                       ->lists[name & (S3C_FENCE_LISTS - 1)]);
}


void
s3c_fence_lists_drop(s3c_fence_sh_t *f, uint64_t name)
{
    atomic_fetch_add(&f->lists[name & (S3C_FENCE_LISTS - 1)], 1);
}
