/* SPDX-License-Identifier: Apache-2.0
 *
 * Fences in shared memory. The places are the truth; the
 * counts, by which readers look, say for each hash how many places there are
 * that have it. Everything is sequentially consistent: a reader's "begin,
 * then look" against a writer's "fence, then drop" is Dekker's game.
 */
#include "serve/fence_internal.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#define FENCE_NONE  UINT32_MAX

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
    uint32_t           n = 0, strangers = 0, dues = 0;
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
            dues += (p->due != S3C_FENCE_DUE_NONE);
            right[p->name & (S3C_FENCE_COUNTS - 1)]++;

            if (p->tag != 0) {
                fence_link_locked(f, i);
            }

        } else {
            p->due = S3C_FENCE_DUE_NONE;
            p->next = f->free;
            f->free = i;
        }
    }

    for (uint32_t c = 0; c < S3C_FENCE_COUNTS; c++) {
        atomic_store(&f->counts[c], right[c]);
    }

    atomic_store(&f->held, n);
    atomic_store(&f->strangers, strangers);
    atomic_store(&f->dues, dues);
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


uint32_t
s3c_fence_dues(const s3c_fence_sh_t *f)
{
    return atomic_load(&((s3c_fence_sh_t *) f)->dues);
}


/* A reader that sees no dues looks no further: they are counted first. */
static void
fence_owe_locked(s3c_fence_sh_t *f, fence_place_sh_t *p, s3c_fence_due_t due)
{
    if (due != S3C_FENCE_DUE_NONE) {
        atomic_fetch_add(&f->dues, 1);
    }

    p->due = (uint16_t) due;
}


static void
fence_settle_locked(s3c_fence_sh_t *f, fence_place_sh_t *p)
{
    if (p->due != S3C_FENCE_DUE_NONE) {
        p->due = S3C_FENCE_DUE_NONE;
        atomic_fetch_sub(&f->dues, 1);
    }
}


/* A place for the name, counted; FENCE_NONE: there is none. Whoever dies before
 * it has an owner or a time leaves it free. */
static uint32_t
fence_take_locked(s3c_fence_sh_t *f, uint64_t name, uint64_t tag,
    s3c_fence_due_t due)
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

    fence_owe_locked(f, p, due);
    atomic_fetch_add(fence_count(f, name), 1);

    p->name = name;
    p->tag = tag;
    p->stranger = 0;
    p->seq++;

    return i;
}


s3c_status_t
s3c_fence_begin(s3c_fence_sh_t *f, uint64_t name, s3c_fence_due_t due,
    uint32_t owner, s3c_fence_id_t *id)
{
    uint32_t           i;
    fence_place_sh_t  *p;

    assert(owner != 0);
    *id = 0;

    if (!fence_lock(f)) {
        return S3C_BUSY;
    }

    i = fence_take_locked(f, name, 0, due);

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
    s3c_fence_due_t due, uint64_t until_ms)
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
        st = p->due == S3C_FENCE_DUE_NONE ? S3C_EXISTS : S3C_OK;

    } else if ((i = fence_take_locked(f, name, tag, due)) != FENCE_NONE) {
        f->places[i].until_ms = until_ms;
        atomic_fetch_add(&f->held, 1);
        fence_link_locked(f, i);

    } else {
        st = S3C_FULL;
    }

    s3c_robust_lock_drop(&f->lock);

    return st;
}


s3c_status_t
s3c_fence_ask(s3c_fence_sh_t *f, uint64_t name, uint64_t tag)
{
    s3c_status_t       st;
    fence_place_sh_t  *p;

    if (!fence_lock(f)) {
        return S3C_MISS;
    }

    p = fence_tagged_locked(f, name, tag);
    st = p == NULL ? S3C_MISS
                   : p->due == S3C_FENCE_DUE_NONE ? S3C_OK : S3C_AGAIN;

    s3c_robust_lock_drop(&f->lock);

    return st;
}


void
s3c_fence_settle(s3c_fence_sh_t *f, uint64_t name, uint64_t tag)
{
    fence_place_sh_t  *p;

    if (!fence_lock(f)) {
        return;
    }

    p = fence_tagged_locked(f, name, tag);

    if (p != NULL) {
        fence_settle_locked(f, p);
    }

    s3c_robust_lock_drop(&f->lock);
}


static void
fence_free_locked(s3c_fence_sh_t *f, uint32_t i)
{
    fence_place_sh_t  *p = &f->places[i];

    fence_settle_locked(f, p);

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
        fence_settle_locked(f, p);
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
            fence_settle_locked(f, p);
        }
    }

    s3c_robust_lock_drop(&f->lock);
}


bool
s3c_fence_lost(s3c_fence_sh_t *f, uint64_t now_ms,
    bool (*is_alive)(uint32_t owner), s3c_fence_lost_t *lost)
{
    bool               found = false;
    uint32_t           alive = 0;
    fence_place_sh_t  *p;

    if (s3c_fence_dues(f) == 0 || !fence_lock(f)) {
        return false;
    }

    for (uint32_t i = (uint32_t) lost->id; i < f->high && !found; i++) {
        p = &f->places[i];

        if (!fence_is_taken(p) || p->due == S3C_FENCE_DUE_NONE
            || (p->owner != 0 && p->owner == alive))
        {
            continue;                      /* many are of one worker */
        }

        found = p->owner != 0 ? !is_alive(p->owner) : p->until_ms <= now_ms;
        alive = found ? alive : p->owner;

        if (found) {
            lost->id = ((uint64_t) p->seq << 32) | (i + 1);
            lost->name = p->name;
            lost->due = (s3c_fence_due_t) p->due;
        }
    }

    s3c_robust_lock_drop(&f->lock);

    return found;
}


void
s3c_fence_settle_lost(s3c_fence_sh_t *f, const s3c_fence_lost_t *lost)
{
    uint32_t           i = (uint32_t) lost->id - 1;
    fence_place_sh_t  *p;

    if (i >= S3C_FENCE_PLACES || !fence_lock(f)) {
        return;
    }

    p = &f->places[i];

    if (p->seq == (uint32_t) (lost->id >> 32) && fence_is_taken(p)) {
        fence_settle_locked(f, p);
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

            if (p->until_ms != 0 && p->until_ms <= now_ms
                && p->due == S3C_FENCE_DUE_NONE)
            {
                fence_free_locked(f, i);
            }

        } else if (p->owner != last) {

            if (is_alive(p->owner)) {
                last = p->owner;           /* of many by one worker */
                continue;
            }

            if (p->due != S3C_FENCE_DUE_NONE) {
                continue;                  /* lost() is about it */
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
