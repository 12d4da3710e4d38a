/* SPDX-License-Identifier: Apache-2.0
 *
 * The shared part as a whole: how large it is and how it is laid out, who has
 * joined it, its lock and what happens after a death inside it. A handle's
 * clockwork only passes on to its parts.
 *
 * A slot's lock is a sign of life: taken at join by the worker's thread, held
 * until it leaves. Order of locks: a slot's or the keeper's (tried, never
 * waited for), then the writers'.
 */
#include "ssd/ssd_internal.h"

#include <stdlib.h>
#include <string.h>

#define LOCK_BYTES     64u               /* one a cache line */
#define LOCK_WRITERS   0u
#define LOCK_KEEPER    1u
#define LOCK_SLOTS     2u

#define OBJECTS_MIN    64u
#define OBJECTS_MAX    (1ull << 34)      /* buckets have 32-bit numbers */
#define SAY_MS         1000

static_assert(sizeof(s3c_robust_lock_sh_t) <= LOCK_BYTES, "lock");


/* --- layout -------------------------------------------------------------- */

static bool
store_conf_ok(const s3c_ssd_store_conf_t *c)
{
    return c->segment_bytes >= S3C_SSD_SEGMENT_MIN
           && c->segment_bytes <= S3C_SSD_SEGMENT_MAX
           && (c->segment_bytes & (c->segment_bytes - 1)) == 0
           && c->bytes % c->segment_bytes == 0
           && c->bytes <= S3C_SSD_STORE_BYTES_MAX
           && c->bytes / c->segment_bytes >= S3C_SSD_SEGMENTS_MIN + 1
           && (c->bytes / c->segment_bytes <= S3C_SSD_SEGMENTS_MAX
               || c->segment_bytes == S3C_SSD_SEGMENT_MAX)
           && c->align >= 512 && c->align <= 4096
           && (c->align & (c->align - 1)) == 0;
}


static uint64_t
round_up(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}


/* Where everything lies; false: an impossible configuration. */
static bool
head_plan(s3c_ssd_head_sh_t *h, const s3c_ssd_conf_t *conf)
{
    uint32_t  i;
    uint64_t  at, segments = 0;

    memset(h, 0, sizeof(*h));

    if (conf->n_stores < 1 || conf->n_stores > S3C_SSD_STORES_MAX
        || conf->n_slots < 1 || conf->n_slots > S3C_SSD_SLOTS_MAX
        || conf->n_objects < OBJECTS_MIN || conf->n_objects > OBJECTS_MAX)
    {
        return false;
    }

    for (i = 0; i < conf->n_stores; i++) {
        if (!store_conf_ok(&conf->stores[i])) {
            return false;
        }

        segments += conf->stores[i].bytes / conf->stores[i].segment_bytes - 1;
    }

    h->magic = S3C_SSD_SH_MAGIC;
    h->n_slots = conf->n_slots;
    h->n_stores = conf->n_stores;
    h->n_segments = (uint32_t) segments;

    /* Of five places, 4.25 are to be used: see ssd_index.c. */
    h->n_buckets = (conf->n_objects * 4 + 16) / 17;

    h->locks_off = round_up(sizeof(*h), 64);
    at = h->locks_off + (uint64_t) (LOCK_SLOTS + h->n_slots) * LOCK_BYTES;
    h->stores_off = at;
    at += (uint64_t) h->n_stores * sizeof(s3c_ssd_store_sh_t);
    h->flights_off = at = round_up(at, 64);
    at += (uint64_t) h->n_slots * h->n_stores * sizeof(s3c_ssd_flight_sh_t);
    h->segments_off = at = round_up(at, 64);
    at += (uint64_t) h->n_segments * sizeof(s3c_ssd_segment_sh_t);
    h->ghost_off = at = round_up(at, 64);
    at += h->n_buckets * sizeof(uint16_t);
    h->buckets_off = at = round_up(at, 64);
    h->bytes = at + h->n_buckets * sizeof(s3c_ssd_bucket_sh_t);

    memcpy(h->secret, conf->secret, sizeof(h->secret));

    return true;
}


/* Of what never changes. */
static uint64_t
head_check(const s3c_ssd_head_sh_t *h, const s3c_ssd_store_sh_t *stores)
{
    uint32_t  i;
    uint64_t  sum[2];

    sum[0] = s3c_hash64(&h->n_slots, offsetof(s3c_ssd_head_sh_t, seq)
                                     - offsetof(s3c_ssd_head_sh_t, n_slots));

    for (i = 0; i < h->n_stores; i++) {
        sum[1] = s3c_hash64(&stores[i], offsetof(s3c_ssd_store_sh_t, state));
        sum[0] = s3c_hash64(sum, sizeof(sum));
    }

    return sum[0];
}


uint64_t
s3c_ssd_bytes(const s3c_ssd_conf_t *conf)
{
    s3c_ssd_head_sh_t  h;

    return head_plan(&h, conf) ? h.bytes : 0;
}


static void
store_format(s3c_ssd_store_sh_t *st, const s3c_ssd_store_conf_t *conf,
    uint32_t first_segment)
{
    st->conf = *conf;
    st->first_segment = first_segment;
    st->n_segments = (uint32_t) (conf->bytes / conf->segment_bytes) - 1;
    atomic_init(&st->state, S3C_SSD_WAITING);
    atomic_init(&st->tokens, s3c_ssd_tokens_max(conf));
}


s3c_status_t
s3c_ssd_format(void *region, uint64_t bytes, const s3c_ssd_conf_t *conf)
{
    uint8_t               *base = region;
    uint32_t               i, segment = 0;
    s3c_ssd_head_sh_t      plan, *h = region;
    s3c_ssd_store_sh_t    *stores;
    s3c_ssd_segment_sh_t  *segments;

    if (!head_plan(&plan, conf) || plan.bytes > bytes) {
        return S3C_INVALID;
    }

    memset(base, 0, plan.bytes);

    stores = (s3c_ssd_store_sh_t *) (void *) (base + plan.stores_off);
    segments = (s3c_ssd_segment_sh_t *) (void *) (base + plan.segments_off);

    for (i = 0; i < plan.n_stores; i++) {
        store_format(&stores[i], &conf->stores[i], segment);
        segment += stores[i].n_segments;
    }

    for (i = 0; i < plan.n_segments; i++) {
        segments[i].owner = S3C_SSD_NO_SLOT;
    }

    for (i = 0; i < LOCK_SLOTS + plan.n_slots; i++) {
        if (s3c_robust_lock_init((s3c_robust_lock_sh_t *) (void *)
                                 (base + plan.locks_off + i * LOCK_BYTES))
            != S3C_OK)
        {
            return S3C_IO;
        }
    }

    *h = plan;
    h->check = head_check(h, stores);

    return S3C_OK;
}


/* --- locks --------------------------------------------------------------- */

static s3c_robust_lock_sh_t *
lock_at(s3c_ssd_t *ssd, uint32_t i)
{
    return (s3c_robust_lock_sh_t *) (void *)
           (ssd->base + ssd->head->locks_off + i * LOCK_BYTES);
}


s3c_robust_lock_sh_t *
s3c_ssd_keeper_lock(s3c_ssd_t *ssd)
{
    return lock_at(ssd, LOCK_KEEPER);
}


s3c_robust_lock_sh_t *
s3c_ssd_slot_lock(s3c_ssd_t *ssd, uint32_t slot)
{
    assert(slot < ssd->n_slots);

    return lock_at(ssd, LOCK_SLOTS + slot);
}


bool
s3c_ssd_lock(s3c_ssd_t *ssd)
{
    s3c_status_t  st = s3c_robust_lock_take(lock_at(ssd, LOCK_WRITERS));

    if (st != S3C_OK && st != S3C_CORRUPT) {
        return false;
    }

    if (st == S3C_CORRUPT || ssd->head->dirty) {
        ssd->head->dirty = 1;
        ssd->head->n_heal++;
        s3c_ssd_recount_locked(ssd);

        if (st == S3C_CORRUPT) {
            s3c_robust_lock_mended(lock_at(ssd, LOCK_WRITERS));
        }
    }

    ssd->head->dirty = 1;
    atomic_signal_fence(memory_order_seq_cst);

    return true;
}


void
s3c_ssd_unlock(s3c_ssd_t *ssd)
{
    atomic_signal_fence(memory_order_seq_cst);
    ssd->head->dirty = 0;
    s3c_robust_lock_drop(lock_at(ssd, LOCK_WRITERS));
}


/* --- a worker ------------------------------------------------------------ */

/* The first slot that nobody living holds, its lock taken. */
static uint32_t
slot_take(s3c_ssd_t *ssd, bool *died)
{
    uint32_t      slot;
    s3c_status_t  st;

    for (slot = 0; slot < ssd->n_slots; slot++) {
        st = s3c_robust_lock_try(s3c_ssd_slot_lock(ssd, slot));

        if (st == S3C_OK || st == S3C_CORRUPT) {
            *died = st == S3C_CORRUPT;
            return slot;
        }
    }

    return S3C_SSD_NO_SLOT;
}


static bool
region_ok(const void *region, uint64_t bytes)
{
    const uint8_t            *base = region;
    const s3c_ssd_head_sh_t  *h = region;

    return bytes >= sizeof(*h) && h->magic == S3C_SSD_SH_MAGIC
           && h->bytes <= bytes && h->n_stores <= S3C_SSD_STORES_MAX
           && h->stores_off + h->n_stores * sizeof(s3c_ssd_store_sh_t)
              <= h->bytes
           && h->check == head_check(h, (const s3c_ssd_store_sh_t *)
                                     (const void *) (base + h->stores_off));
}


static void
region_bind(s3c_ssd_t *ssd, void *region)
{
    ssd->base = region;
    ssd->head = region;
    ssd->stores = (void *) (ssd->base + ssd->head->stores_off);
    ssd->segments = (void *) (ssd->base + ssd->head->segments_off);
    ssd->ghost = (void *) (ssd->base + ssd->head->ghost_off);
    ssd->buckets = (void *) (ssd->base + ssd->head->buckets_off);
    ssd->n_buckets = ssd->head->n_buckets;
    ssd->n_stores = ssd->head->n_stores;
    ssd->n_slots = ssd->head->n_slots;
}


/* The writer last, which registers its memory: the queue never lets go of it,
 * and somebody else's would lie at the same address. */
static s3c_status_t
parts_create(s3c_ssd_t *ssd)
{
    s3c_status_t  st = s3c_ssd_reader_create(ssd);

    if (st != S3C_OK) {
        return st;
    }

    st = s3c_ssd_writer_create(ssd);

    if (st != S3C_OK) {
        s3c_ssd_reader_destroy(ssd);
    }

    return st;
}


/* Sits down on a slot whose lock is held, and clears up after who had it. */
static bool
slot_settle(s3c_ssd_t *ssd, bool died)
{
    if (!s3c_ssd_lock(ssd)) {
        return false;
    }

    s3c_ssd_segment_orphan_locked(ssd, ssd->slot);
    ssd->head->n_dead_worker += died;
    s3c_ssd_unlock(ssd);

    if (died) {
        s3c_robust_lock_mended(s3c_ssd_slot_lock(ssd, ssd->slot));
    }

    return true;
}


s3c_status_t
s3c_ssd_join(s3c_ssd_t **out, void *region, uint64_t bytes,
    const s3c_ssd_env_t *env, uint64_t now_ms)
{
    bool        died = false;
    s3c_ssd_t  *ssd;

    *out = NULL;

    if (!region_ok(region, bytes)) {
        return S3C_CORRUPT;
    }

    ssd = calloc(1, sizeof(*ssd));
    if (ssd == NULL) {
        return S3C_BUSY;
    }

    region_bind(ssd, region);
    ssd->env = *env;
    ssd->now_ms = now_ms;
    ssd->slot = slot_take(ssd, &died);

    if (ssd->slot == S3C_SSD_NO_SLOT) {
        free(ssd);
        return S3C_BUSY;
    }

    s3c_ssd_flights_clear(ssd, ssd->slot);

    if (!slot_settle(ssd, died) || parts_create(ssd) != S3C_OK) {
        s3c_robust_lock_drop(s3c_ssd_slot_lock(ssd, ssd->slot));
        free(ssd);
        return S3C_BUSY;
    }

    /* With the writer: it writes what they left. */
    if (s3c_ssd_lock(ssd)) {
        s3c_ssd_tombstones_inherit_locked(ssd, ssd->slot);
        s3c_ssd_unlock(ssd);
    }

    *out = ssd;

    return S3C_OK;
}


static void
now_set(s3c_ssd_t *ssd, uint64_t now_ms)
{
    ssd->now_ms = now_ms > ssd->now_ms ? now_ms : ssd->now_ms;
}


void
s3c_ssd_quiesce(s3c_ssd_t *ssd, uint64_t now_ms)
{
    now_set(ssd, now_ms);
    ssd->quiescing = true;

    if (ssd->is_keeper) {
        s3c_ssd_keeper_quit(ssd);
    }

    s3c_ssd_writer_seal(ssd);
}


bool
s3c_ssd_idle(const s3c_ssd_t *ssd)
{
    return s3c_ssd_writer_idle(ssd) && s3c_ssd_reader_idle(ssd)
           && (ssd->keeper == NULL || s3c_ssd_keeper_idle(ssd));
}


/* No device writes to them any more, so they need no rest. */
static void
segments_close(s3c_ssd_t *ssd)
{
    uint32_t  i;

    if (!s3c_ssd_lock(ssd)) {
        return;                          /* nobody else will have it, either */
    }

    for (i = 0; i < ssd->head->n_segments; i++) {
        if (ssd->segments[i].state == S3C_SSD_SEGMENT_OPEN
            && ssd->segments[i].owner == ssd->slot)
        {
            s3c_ssd_segment_close_locked(ssd, i, false,
                                         atomic_load(&ssd->head->seq));
        }
    }

    s3c_ssd_unlock(ssd);
}


void
s3c_ssd_leave(s3c_ssd_t *ssd)
{
    if (ssd == NULL) {
        return;
    }

    if (ssd->is_keeper) {
        s3c_ssd_keeper_quit(ssd);
    }

    /* The writer, when it ends, gives a rest to what is still open: only if
     * it has nothing under way there is no need. */
    if (s3c_ssd_writer_idle(ssd)) {
        segments_close(ssd);
    }

    s3c_ssd_writer_destroy(ssd);
    s3c_ssd_reader_destroy(ssd);

    if (s3c_ssd_lock(ssd)) {
        s3c_ssd_segment_orphan_locked(ssd, ssd->slot);
        s3c_ssd_unlock(ssd);
    }

    s3c_robust_lock_drop(s3c_ssd_slot_lock(ssd, ssd->slot));
    free(ssd);
}


bool
s3c_ssd_owes(void *region, uint64_t bytes, uint32_t store, uint64_t now_ms)
{
    uint32_t   slot;
    s3c_ssd_t  ssd = { .now_ms = now_ms, .slot = S3C_SSD_NO_SLOT };

    if (!region_ok(region, bytes)) {
        return true;                     /* nobody knows */
    }

    region_bind(&ssd, region);

    for (slot = 0; slot < ssd.n_slots; slot++) {
        if (s3c_ssd_slot_owes(&ssd, slot)) {
            s3c_ssd_slot_clear_up(&ssd, slot);
        }
    }

    return ssd.stores[store].lost_tombstones != 0;
}


void
s3c_ssd_run(s3c_ssd_t *ssd, uint64_t now_ms)
{
    now_set(ssd, now_ms);
    s3c_ssd_writer_run(ssd);
    s3c_ssd_reader_run(ssd);

    if (!ssd->quiescing || ssd->keeper != NULL) {
        s3c_ssd_keeper_run(ssd);
    }
}


void
s3c_ssd_say(s3c_ssd_t *ssd, s3c_ssd_log_t what, uint32_t store, uint64_t n,
    const char *word)
{
    uint64_t  *last = &ssd->logged_ms[store][what];

    /* One more than the time, so that 0 is never. */
    if (ssd->env.log == NULL
        || (*last != 0 && ssd->now_ms - (*last - 1) < SAY_MS))
    {
        return;
    }

    *last = ssd->now_ms + 1;
    ssd->env.log(ssd->env.ctx, what, store, n, word);
}
