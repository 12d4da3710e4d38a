/* SPDX-License-Identifier: Apache-2.0
 *
 * The index: buckets of five places. A key's first bucket comes from key.lo,
 * its tag from key.hi, and its second bucket from the first and the tag alone,
 * so that a place can be moved to its other bucket without its key. Two keys
 * with the same tag and buckets are one to the index; the frame on flash has
 * the whole key and decides.
 *
 * READERS  take no lock: they load the place, compare the tag, load the place
 *          again. What is being moved, or changes under them, may be missed.
 * WRITERS  hold the lock. A slot is cleared before its tag is changed, and its
 *          place is written after the tag.
 * HEAL     places are the truth, all counts follow from them. A place that is
 *          being moved carries MOVING in its old slot until it is gone there,
 *          so a death in between leaves no second copy behind.
 * MOVES    make room when both buckets are full; without them 1.3 % of the
 *          records would find none when n_objects are in. None are made while
 *          a store is in recovery, which keeps notes by slot.
 */
#include "ssd/ssd_internal.h"

#define PLACES   S3C_SSD_BUCKET_PLACES
#define NOWHERE  UINT64_MAX
#define LOOKS    4                       /* at a slot that keeps changing */

#define KIND     (3ull << 56)
#define REF      (1ull << 58)
#define REFS     (3ull << 58)
#define MOVING   (1ull << 60)

typedef struct {
    uint64_t  bucket[2];                 /* may be the same */
    uint32_t  tag;
} spot_t;


static inline uint64_t
range_reduce(uint32_t hash, uint64_t n)
{
    return (uint64_t) hash * n >> 32;
}


/* Its own inverse. */
static inline uint64_t
bucket_other(const s3c_ssd_t *ssd, uint64_t bucket, uint32_t tag)
{
    uint64_t  sum = range_reduce(tag, ssd->n_buckets);

    return sum >= bucket ? sum - bucket : sum + ssd->n_buckets - bucket;
}


static inline spot_t
spot_of(const s3c_ssd_t *ssd, s3c_hash128_t key)
{
    spot_t  s;

    s.tag = (uint32_t) key.hi;
    s.bucket[0] = range_reduce((uint32_t) (key.lo >> 32), ssd->n_buckets);
    s.bucket[1] = bucket_other(ssd, s.bucket[0], s.tag);

    __builtin_prefetch(&ssd->buckets[s.bucket[0]]);
    __builtin_prefetch(&ssd->buckets[s.bucket[1]]);

    return s;
}


static inline _Atomic uint64_t *
place_at(const s3c_ssd_t *ssd, uint64_t slot)
{
    return &ssd->buckets[slot / PLACES].place[slot % PLACES];
}


static inline _Atomic uint32_t *
tag_at(const s3c_ssd_t *ssd, uint64_t slot)
{
    return &ssd->buckets[slot / PLACES].tag[slot % PLACES];
}


/* --- without the lock ---------------------------------------------------- */

/* The place in a slot whose tag looked right; 0 if it is not this key's. */
static s3c_ssd_place_t
slot_look(const s3c_ssd_bucket_sh_t *b, uint32_t i, uint32_t tag)
{
    int              n;
    uint32_t         t;
    s3c_ssd_place_t  before, after;

    for (n = 0; n < LOOKS; n++) {
        before = atomic_load_explicit(&b->place[i], memory_order_acquire);
        t = atomic_load_explicit(&b->tag[i], memory_order_acquire);
        after = atomic_load_explicit(&b->place[i], memory_order_acquire);

        if (after == 0 || t != tag) {
            return 0;
        }

        if (before != 0 && s3c_ssd_place_same(before, after)) {
            return after & ~MOVING;
        }
    }

    return 0;
}


static uint64_t
slot_find(const s3c_ssd_t *ssd, const spot_t *s, s3c_ssd_place_t *place)
{
    uint32_t                    i, k;
    const s3c_ssd_bucket_sh_t  *b;

    for (k = 0; k < 2; k++) {
        b = &ssd->buckets[s->bucket[k]];

        for (i = 0; i < PLACES; i++) {
            if (atomic_load_explicit(&b->tag[i], memory_order_relaxed)
                == s->tag)
            {
                *place = slot_look(b, i, s->tag);

                if (*place != 0) {
                    return s->bucket[k] * PLACES + i;
                }
            }
        }
    }

    return NOWHERE;
}


s3c_status_t
s3c_ssd_index_find(const s3c_ssd_t *ssd, s3c_hash128_t key,
    s3c_ssd_place_t *place)
{
    spot_t  s = spot_of(ssd, key);

    return slot_find(ssd, &s, place) == NOWHERE ? S3C_MISS : S3C_OK;
}


void
s3c_ssd_index_touch(s3c_ssd_t *ssd, s3c_hash128_t key, s3c_ssd_place_t place)
{
    spot_t            s = spot_of(ssd, key);
    uint64_t          slot;
    s3c_ssd_place_t   p;

    slot = slot_find(ssd, &s, &p);

    /* Fails, as it should, when the place was removed or moved meanwhile. */
    if (slot != NOWHERE && s3c_ssd_place_same(p, place) && (p & REFS) != REFS) {
        (void) atomic_compare_exchange_strong_explicit(place_at(ssd, slot),
                   &p, p + REF, memory_order_relaxed, memory_order_relaxed);
    }
}


/* --- room for one more -------------------------------------------------- */

static inline s3c_ssd_place_t
slot_load(const s3c_ssd_t *ssd, uint64_t slot)
{
    return atomic_load_explicit(place_at(ssd, slot), memory_order_relaxed);
}


/* A free slot of a bucket, and how many it has. */
static uint64_t
bucket_free(const s3c_ssd_t *ssd, uint64_t bucket, uint32_t *n)
{
    uint64_t  slot, found = NOWHERE;

    *n = 0;

    for (slot = bucket * PLACES; slot < (bucket + 1) * PLACES; slot++) {
        if (slot_load(ssd, slot) == 0) {
            found = found == NOWHERE ? slot : found;
            (*n)++;
        }
    }

    return found;
}


static uint64_t
slot_free(const s3c_ssd_t *ssd, const spot_t *s)
{
    uint32_t  n[2];
    uint64_t  slot[2];

    slot[0] = bucket_free(ssd, s->bucket[0], &n[0]);
    slot[1] = bucket_free(ssd, s->bucket[1], &n[1]);

    return n[0] >= n[1] ? slot[0] : slot[1];
}


static void
slot_fill(s3c_ssd_t *ssd, uint64_t slot, uint32_t tag, s3c_ssd_place_t place)
{
    atomic_store_explicit(tag_at(ssd, slot), tag, memory_order_release);
    atomic_store_explicit(place_at(ssd, slot), place, memory_order_release);
}


/* Where else a place could lie and has room. A tombstone stays: those who
 * sweep them in slices must not miss one. */
static uint64_t
slot_elsewhere(const s3c_ssd_t *ssd, const spot_t *s, uint64_t slot)
{
    uint32_t  n, tag = atomic_load_explicit(tag_at(ssd, slot),
                                            memory_order_relaxed);
    uint64_t  other = bucket_other(ssd, slot / PLACES, tag);

    if (other == s->bucket[0] || other == s->bucket[1]
        || s3c_ssd_place_kind(slot_load(ssd, slot))
           == S3C_SSD_PLACE_TOMBSTONE)
    {
        return NOWHERE;
    }

    return bucket_free(ssd, other, &n);
}


/* Both buckets are full: one of the ten goes to its other bucket, if that has
 * room. Answers its slot, now free. */
static uint64_t
slot_make(s3c_ssd_t *ssd, const spot_t *s)
{
    uint32_t         i;
    uint64_t         from, to;
    s3c_ssd_place_t  p;

    for (i = 0; i < 2 * PLACES; i++) {
        from = s->bucket[i / PLACES] * PLACES + i % PLACES;
        to = slot_elsewhere(ssd, s, from);

        if (to != NOWHERE) {
            p = atomic_fetch_or(place_at(ssd, from), MOVING);
            slot_fill(ssd, to, atomic_load(tag_at(ssd, from)), p);
            (void) atomic_exchange(place_at(ssd, from), 0);

            return from;
        }
    }

    return NOWHERE;
}


/* Its record is on its way, by a worker. PENDING in an UNKNOWN segment is of
 * recovery, which shows it when it ends. */
static bool
place_staged(const s3c_ssd_t *ssd, s3c_ssd_place_t p)
{
    return s3c_ssd_place_kind(p) == S3C_SSD_PLACE_PENDING
           && ssd->segments[s3c_ssd_place_segment(ssd, p)].state
              != S3C_SSD_SEGMENT_UNKNOWN;
}


/* Who goes first: what is on the device, then by age. */
static uint64_t
victim_rank(const s3c_ssd_t *ssd, s3c_ssd_place_t p)
{
    if (s3c_ssd_place_kind(p) == S3C_SSD_PLACE_TOMBSTONE) {
        return UINT64_MAX;
    }

    return place_staged(ssd, p) ? UINT64_MAX - 1
           : ssd->segments[s3c_ssd_place_segment(ssd, p)].seq;
}


/* Of this run, while recovery may still find what is older. What recovery has
 * put itself is staged nowhere, and its tombstones lie nowhere. */
static bool
victim_is_new(const s3c_ssd_t *ssd, s3c_ssd_place_t p)
{
    return ssd->head->recovering != 0
           && (s3c_ssd_place_kind(p) == S3C_SSD_PLACE_TOMBSTONE
               ? s3c_ssd_place_off(p) != 0
               : ssd->segments[s3c_ssd_place_segment(ssd, p)].state
                 != S3C_SSD_SEGMENT_UNKNOWN);
}


static uint64_t
slot_victim(const s3c_ssd_t *ssd, const spot_t *s)
{
    uint32_t  i, k;
    uint64_t  slot, rank, best = NOWHERE, lowest = UINT64_MAX;

    for (k = 0; k < 2; k++) {
        for (i = 0; i < PLACES; i++) {
            slot = s->bucket[k] * PLACES + i;
            rank = victim_rank(ssd, slot_load(ssd, slot));

            if (best == NOWHERE || rank < lowest) {
                best = slot;
                lowest = rank;
            }
        }
    }

    return best;
}


/* --- under the lock ------------------------------------------------------ */

static s3c_ssd_place_t
slot_clear(s3c_ssd_t *ssd, uint64_t slot)
{
    s3c_ssd_place_t  p = atomic_exchange(place_at(ssd, slot), 0) & ~MOVING;

    s3c_ssd_segment_count_locked(ssd, p, -1);

    return p;
}


void
s3c_ssd_index_put_locked(s3c_ssd_t *ssd, s3c_hash128_t key,
    s3c_ssd_place_t place, s3c_ssd_place_t *old, s3c_ssd_place_t *victim,
    uint64_t *slot)
{
    spot_t           s = spot_of(ssd, key);
    uint64_t         at;
    s3c_ssd_place_t  p;

    *old = 0;
    *victim = 0;
    place &= ~REFS;

    assert(s3c_ssd_place_possible(ssd, place));

    at = slot_find(ssd, &s, &p);

    if (at != NOWHERE) {
        /* In one step; a reader has the one or the other. */
        *old = atomic_exchange(place_at(ssd, at), place | (p & REFS));
        s3c_ssd_segment_count_locked(ssd, *old, -1);

    } else {
        at = slot_free(ssd, &s);

        if (at == NOWHERE && ssd->head->recovering == 0) {
            at = slot_make(ssd, &s);
        }

        if (at == NOWHERE) {
            at = slot_victim(ssd, &s);
            *victim = slot_clear(ssd, at);
            ssd->head->n_index_evict++;
            ssd->head->n_evict_new += victim_is_new(ssd, *victim);
        }

        slot_fill(ssd, at, s.tag, place);
    }

    s3c_ssd_segment_count_locked(ssd, place, 1);
    *slot = at;
}


s3c_status_t
s3c_ssd_index_remove_locked(s3c_ssd_t *ssd, s3c_hash128_t key,
    s3c_ssd_place_t same, s3c_ssd_place_t *old)
{
    spot_t           s = spot_of(ssd, key);
    uint64_t         at;
    s3c_ssd_place_t  p;

    at = slot_find(ssd, &s, &p);

    if (at == NOWHERE || (same != 0 && !s3c_ssd_place_same(p, same))) {
        *old = 0;
        return S3C_MISS;
    }

    *old = slot_clear(ssd, at);

    return S3C_OK;
}


s3c_status_t
s3c_ssd_index_settle_locked(s3c_ssd_t *ssd, s3c_hash128_t key,
    s3c_ssd_place_t place)
{
    spot_t           s = spot_of(ssd, key);
    uint64_t         at;
    s3c_ssd_place_t  p;

    at = slot_find(ssd, &s, &p);

    if (at == NOWHERE || !s3c_ssd_place_same(p, place)
        || s3c_ssd_place_kind(p) != S3C_SSD_PLACE_PENDING)
    {
        return S3C_MISS;
    }

    /* Only these bits: a reader may be counting refs. */
    (void) atomic_fetch_xor_explicit(place_at(ssd, at),
               (uint64_t) (S3C_SSD_PLACE_PENDING ^ S3C_SSD_PLACE_LIVE) << 56,
               memory_order_release);

    return S3C_OK;
}


uint64_t
s3c_ssd_index_scan_locked(s3c_ssd_t *ssd, uint64_t from, uint64_t n,
    bool (*take)(void *ctx, s3c_ssd_place_t place, uint64_t slot), void *ctx)
{
    uint64_t         slot, end;
    s3c_ssd_place_t  p;

    if (from >= ssd->n_buckets) {
        return ssd->n_buckets;
    }

    end = n < ssd->n_buckets - from ? from + n : ssd->n_buckets;

    for (slot = from * PLACES; slot < end * PLACES; slot++) {
        p = slot_load(ssd, slot);

        if (p != 0 && take(ctx, p, slot)) {
            (void) slot_clear(ssd, slot);
        }
    }

    return end;
}


/* --- heal and audit ------------------------------------------------------ */

bool
s3c_ssd_place_possible(const s3c_ssd_t *ssd, s3c_ssd_place_t place)
{
    uint64_t                   off, end;
    const s3c_ssd_store_sh_t  *st;

    if (s3c_ssd_place_store(place) >= ssd->n_stores
        || place >= MOVING
        || s3c_ssd_place_kind(place) == S3C_SSD_PLACE_EMPTY)
    {
        return false;
    }

    if (s3c_ssd_place_kind(place) == S3C_SSD_PLACE_TOMBSTONE) {
        return true;                     /* need not lie anywhere */
    }

    st = &ssd->stores[s3c_ssd_place_store(place)];
    off = s3c_ssd_place_off(place);
    end = off + (uint64_t) s3c_ssd_place_units(place) * S3C_SSD_UNIT;

    return end > off
           && off >= st->conf.segment_bytes && end <= st->conf.bytes
           && off / st->conf.segment_bytes
              == (end - 1) / st->conf.segment_bytes;
}


/* The slot among a bucket's that has this tag and is not `but`. */
static uint64_t
tag_find(const s3c_ssd_t *ssd, uint64_t bucket, uint32_t tag, uint64_t but)
{
    uint64_t  slot;

    for (slot = bucket * PLACES; slot < (bucket + 1) * PLACES; slot++) {
        if (slot != but && slot_load(ssd, slot) != 0
            && atomic_load_explicit(tag_at(ssd, slot), memory_order_relaxed)
               == tag)
        {
            return slot;
        }
    }

    return NOWHERE;
}


bool
s3c_ssd_index_twin_locked(const s3c_ssd_t *ssd, uint64_t slot)
{
    uint32_t  tag = atomic_load_explicit(tag_at(ssd, slot),
                                         memory_order_relaxed);
    uint64_t  bucket = slot / PLACES;

    return tag_find(ssd, bucket, tag, slot) != NOWHERE
           || tag_find(ssd, bucket_other(ssd, bucket, tag), tag, slot)
              != NOWHERE;
}


/* Where it lies must hold records, and what is staged must have an owner to
 * settle it, or nobody ever does. */
static bool
place_stays(const s3c_ssd_t *ssd, s3c_ssd_place_t p)
{
    uint32_t  state;

    if (!s3c_ssd_place_possible(ssd, p)) {
        return false;
    }

    if (s3c_ssd_place_kind(p) == S3C_SSD_PLACE_TOMBSTONE) {
        return true;
    }

    state = ssd->segments[s3c_ssd_place_segment(ssd, p)].state;

    return place_staged(ssd, p) ? state == S3C_SSD_SEGMENT_OPEN
                                : state != S3C_SSD_SEGMENT_FREE;
}


void
s3c_ssd_index_recount_locked(s3c_ssd_t *ssd)
{
    uint64_t         slot;
    s3c_ssd_place_t  p;

    for (slot = 0; slot < ssd->n_buckets * PLACES; slot++) {
        p = slot_load(ssd, slot);

        if (p == 0) {
            continue;
        }

        if ((p & MOVING) != 0) {
            if (s3c_ssd_index_twin_locked(ssd, slot)) {
                p = 0;                   /* it had arrived */
            } else {
                p = atomic_fetch_and(place_at(ssd, slot), ~MOVING) & ~MOVING;
            }
        }

        if (p == 0 || !place_stays(ssd, p)) {
            (void) atomic_exchange(place_at(ssd, slot), 0);
        } else {
            s3c_ssd_segment_count_locked(ssd, p, 1);
        }
    }
}
