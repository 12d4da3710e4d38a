/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper's role: one worker has it, whoever took its lock. It mounts,
 * recovers, reclaims, tries failed stores again and clears up after workers
 * that died. A keeper may die at any moment; what it did so far is judged by
 * the states of stores and segments alone, and its successor goes on. Never
 * blocks.
 */
#include "ssd/ssd_keeper.h"

#include <stdlib.h>
#include <sys/mman.h>


/* --- what the keeper before has left ----------------------------------- */

/* Everything of mounts before this one is recovered again: what it has put in
 * the index has no seq any more that could be compared. */
static void
store_again_locked(s3c_ssd_t *ssd, uint32_t store)
{
    uint32_t               i;
    s3c_ssd_store_sh_t    *st = &ssd->stores[store];
    s3c_ssd_segment_sh_t  *g;

    for (i = 0; i < st->n_segments; i++) {
        g = &ssd->segments[st->first_segment + i];

        if (g->seq < s3c_ssd_run_seq(ssd)
            && (g->state == S3C_SSD_SEGMENT_SEALED
                || g->state == S3C_SSD_SEGMENT_TORN))
        {
            g->state = S3C_SSD_SEGMENT_UNKNOWN;
        }
    }

    st->recovery_begun_ms = ssd->now_ms;
    atomic_store(&st->state, S3C_SSD_RECOVERING);
}


static bool
store_partial(s3c_ssd_t *ssd, uint32_t store)
{
    uint32_t             i;
    s3c_ssd_store_sh_t  *st = &ssd->stores[store];

    for (i = 0; i < st->n_segments; i++) {
        if (ssd->segments[st->first_segment + i].state
            == S3C_SSD_SEGMENT_UNKNOWN)
        {
            return true;
        }
    }

    return false;
}


/* A mount that ended in the middle, a failure in recovery: what is on such a
 * store is not known, so neither what was dropped of it. */
static void
store_spoilt_locked(s3c_ssd_t *ssd, uint32_t store)
{
    s3c_ssd_store_sh_t  *st = &ssd->stores[store];

    if (s3c_ssd_state(ssd, store) == S3C_SSD_WAITING) {
        atomic_store(&st->state, S3C_SSD_FAILED);
        st->retry_ms = ssd->now_ms;
        st->lost_tombstones++;

    } else if (s3c_ssd_state(ssd, store) == S3C_SSD_FAILED
               && st->lost_tombstones == 0 && store_partial(ssd, store))
    {
        st->lost_tombstones++;
    }
}


static bool
keeper_look(s3c_ssd_t *ssd)
{
    bool               again = false;
    uint32_t           i, n = 0;
    s3c_ssd_keeper_t  *k = ssd->keeper;

    if (!s3c_ssd_lock(ssd)) {
        return false;
    }

    k->looked = true;

    if (atomic_load(&ssd->head->epoch) == 0) {
        s3c_ssd_unlock(ssd);
        return true;
    }

    for (i = 0; i < ssd->head->n_segments; i++) {
        if (ssd->segments[i].state == S3C_SSD_SEGMENT_RECLAIMING) {
            ssd->segments[i].state = S3C_SSD_SEGMENT_TORN;
            ssd->segments[i].owner = S3C_SSD_NO_SLOT;
        }
    }

    for (i = 0; i < ssd->n_stores; i++) {
        store_spoilt_locked(ssd, i);
        again |= s3c_ssd_state(ssd, i) == S3C_SSD_RECOVERING;
    }

    for (i = 0; again && i < ssd->n_stores; i++) {
        n += s3c_ssd_in_service(ssd, i);
    }

    /* Once, and before the states: drops must leave their marks. */
    ssd->head->recovering = n;

    for (i = 0; again && i < ssd->n_stores; i++) {
        if (s3c_ssd_in_service(ssd, i)) {
            store_again_locked(ssd, i);
        }
    }

    s3c_ssd_unlock(ssd);

    /* It may have died before it had swept, too. */
    k->purge_at = again ? 0 : ssd->n_buckets;
    k->sweep_at = again ? ssd->n_buckets : 0;

    return true;
}


static bool
take_recovered(void *ctx, s3c_ssd_place_t p, uint64_t slot)
{
    s3c_ssd_t  *ssd = ctx;

    (void) slot;

    return s3c_ssd_state(ssd, s3c_ssd_place_store(p)) == S3C_SSD_RECOVERING
           && s3c_ssd_place_recovered(ssd, p);
}


static bool
take_tombstone(void *ctx, s3c_ssd_place_t p, uint64_t slot)
{
    (void) ctx;
    (void) slot;

    return s3c_ssd_place_kind(p) == S3C_SSD_PLACE_TOMBSTONE;
}


void
s3c_ssd_keeper_scan(s3c_ssd_t *ssd, uint64_t *at,
    bool (*take)(void *ctx, s3c_ssd_place_t place, uint64_t slot), void *ctx)
{
    uint64_t  n = 0, until = ssd->env.usec(ssd->env.ctx) + S3C_SSD_SLICE_USEC;

    while (*at < ssd->n_buckets && n < S3C_SSD_SLICE_MAX
           && ssd->env.usec(ssd->env.ctx) < until)
    {
        if (!s3c_ssd_lock(ssd)) {
            return;
        }

        *at = s3c_ssd_index_scan_locked(ssd, *at, S3C_SSD_SLICE_ENTRIES, take,
                                        ctx);
        s3c_ssd_unlock(ssd);
        n += S3C_SSD_SLICE_ENTRIES;
    }
}


/* What the dead have left in the index: a new keeper looks anyway. */
static void
keeper_orphans(s3c_ssd_t *ssd)
{
    s3c_ssd_keeper_t  *k = ssd->keeper;
    uint64_t           n = __atomic_load_n(&ssd->head->n_orphan,
                                           __ATOMIC_RELAXED);

    if (k->orphan_at == ssd->n_buckets && k->n_orphan != n) {
        k->n_orphan = n;
        k->orphan_at = 0;
    }

    s3c_ssd_keeper_scan(ssd, &k->orphan_at, s3c_ssd_take_orphan, ssd);
}


/* --- stores ------------------------------------------------------------ */

static size_t
seqs_bytes(const s3c_ssd_t *ssd)
{
    return ssd->n_buckets * S3C_SSD_BUCKET_PLACES * sizeof(uint64_t);
}


static bool
seqs_map(s3c_ssd_t *ssd)
{
    void  *p;

    if (ssd->keeper->seqs != NULL) {
        return true;
    }

    p = mmap(NULL, seqs_bytes(ssd), PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED) {
        return false;
    }

    ssd->keeper->seqs = p;

    return true;
}


static void
seqs_unmap(s3c_ssd_t *ssd)
{
    if (ssd->keeper->seqs != NULL) {
        munmap(ssd->keeper->seqs, seqs_bytes(ssd));
        ssd->keeper->seqs = NULL;
    }
}


static void
store_recover(s3c_ssd_t *ssd, uint32_t store)
{
    s3c_ssd_keeper_t  *k = ssd->keeper;

    if (k->recover[store] == NULL) {
        if (s3c_ssd_state(ssd, store) != S3C_SSD_RECOVERING || !seqs_map(ssd)
            || s3c_ssd_recover_begin(ssd, store, &k->recover[store]) != S3C_OK)
        {
            return;                      /* no memory: the next turn */
        }
    }

    s3c_ssd_recover_run(ssd, k->recover[store]);

    if (!s3c_ssd_recover_done(k->recover[store])) {
        return;
    }

    s3c_ssd_recover_destroy(ssd, k->recover[store]);
    k->recover[store] = NULL;
}


/* It has failed: if while recovering, nobody waits for it any more. */
static void
store_give_up(s3c_ssd_t *ssd, uint32_t store)
{
    uint32_t  i, n = 0;

    if (!s3c_ssd_lock(ssd)) {
        return;
    }

    store_spoilt_locked(ssd, store);

    for (i = 0; i < ssd->n_stores; i++) {
        n += s3c_ssd_state(ssd, i) == S3C_SSD_RECOVERING
             || ssd->keeper->recover[i] != NULL;
    }

    ssd->head->recovering = n;
    s3c_ssd_unlock(ssd);
}


static void
store_retry(s3c_ssd_t *ssd, uint32_t store)
{
    s3c_ssd_keeper_t  *k = ssd->keeper;

    if (k->retry[store] == NULL) {
        store_give_up(ssd, store);
        k->retry[store] = s3c_ssd_retry_create(ssd, store);
    }

    if (k->retry[store] != NULL && s3c_ssd_retry_run(ssd, k->retry[store])) {
        s3c_ssd_retry_destroy(k->retry[store]);
        k->retry[store] = NULL;
    }
}


static void
store_reclaim(s3c_ssd_t *ssd, uint32_t store)
{
    s3c_ssd_keeper_t    *k = ssd->keeper;
    s3c_ssd_store_sh_t  *st = &ssd->stores[store];

    /* Well for so long: the next failure is a new one. */
    if (st->n_failures != 0
        && ssd->now_ms > st->retry_ms + S3C_SSD_RETRY_MAX_MS)
    {
        st->n_failures = 0;
    }

    /* What is moved gets a new seq: not before all older ones are known. */
    if (ssd->head->recovering != 0
        || (k->reclaim[store] == NULL
            && s3c_ssd_reclaim_create(ssd, store, &k->reclaim[store])
               != S3C_OK))
    {
        return;
    }

    s3c_ssd_reclaim_run(ssd, k->reclaim[store]);
}


/* What a drop has left behind on it may come back at a restart. */
static void
store_check(s3c_ssd_t *ssd, uint32_t store)
{
    s3c_ssd_store_sh_t  *st = &ssd->stores[store];

    if (st->lost_tombstones != 0 && s3c_ssd_in_service(ssd, store)) {
        s3c_ssd_store_fail(ssd, store);
        st->retry_ms = ssd->now_ms;
    }
}


static void
store_run(s3c_ssd_t *ssd, uint32_t store)
{
    s3c_ssd_keeper_t  *k = ssd->keeper;

    /* Before all else: it may have to notice that the store has failed. */
    if (k->recover[store] != NULL
        || s3c_ssd_state(ssd, store) == S3C_SSD_RECOVERING)
    {
        store_recover(ssd, store);
        return;
    }

    if (s3c_ssd_state(ssd, store) == S3C_SSD_FAILED) {
        if (k->reclaim[store] != NULL) {
            s3c_ssd_reclaim_destroy(ssd, k->reclaim[store]);
            k->reclaim[store] = NULL;
        }

        /* It would be written with an epoch that is none any more. */
        if (k->raise == NULL) {
            store_retry(ssd, store);
        }

    } else if (s3c_ssd_state(ssd, store) == S3C_SSD_SERVING) {
        store_reclaim(ssd, store);
    }
}


/* The others' epoch, when one has failed. */
static void
keeper_raise(s3c_ssd_t *ssd)
{
    uint32_t           i;
    s3c_ssd_retry_t   *rest;
    s3c_ssd_keeper_t  *k = ssd->keeper;

    if (k->raise == NULL && s3c_ssd_raise_due(ssd)) {
        k->raise = s3c_ssd_raise_create(ssd);
    }

    if (k->raise == NULL || !s3c_ssd_raise_run(ssd, k->raise)) {
        return;
    }

    for (i = 0; i < ssd->n_stores; i++) {
        rest = k->retry[i] == NULL ? s3c_ssd_raise_rest(k->raise, i) : NULL;

        if (rest != NULL) {
            store_give_up(ssd, i);
            k->retry[i] = rest;
        }
    }

    s3c_ssd_raise_destroy(k->raise);
    k->raise = NULL;
}


/* --- the role ---------------------------------------------------------- */

static bool
keeper_take(s3c_ssd_t *ssd)
{
    s3c_status_t           st;
    s3c_robust_lock_sh_t  *lock = s3c_ssd_keeper_lock(ssd);

    st = s3c_robust_lock_try(lock);

    if (st == S3C_CORRUPT) {
        s3c_robust_lock_mended(lock);    /* keeper_look mends the rest */

    } else if (st != S3C_OK) {
        return false;
    }

    ssd->keeper = calloc(1, sizeof(*ssd->keeper));

    if (ssd->keeper == NULL) {
        s3c_robust_lock_drop(lock);
        return false;
    }

    ssd->keeper->purge_at = ssd->n_buckets;
    ssd->keeper->sweep_at = ssd->n_buckets;
    ssd->keeper->orphan_at = ssd->n_buckets;
    ssd->is_keeper = true;

    return true;
}


/* True: mounted. */
static bool
keeper_mount(s3c_ssd_t *ssd)
{
    uint32_t           i;
    s3c_ssd_keeper_t  *k = ssd->keeper;

    if (k->mount == NULL) {
        if (atomic_load(&ssd->head->epoch) != 0) {
            return true;
        }

        k->mount = s3c_ssd_mount_create(ssd);
    }

    if (k->mount == NULL || !s3c_ssd_mount_run(ssd, k->mount)) {
        return false;
    }

    for (i = 0; i < ssd->n_stores; i++) {
        k->retry[i] = s3c_ssd_mount_rest(k->mount, i);
    }

    s3c_ssd_mount_destroy(k->mount);
    k->mount = NULL;
    k->sweep_at = 0;                     /* marks of drops before the mount */

    return true;
}


/* A look costs one instruction on a shared word, so no timer of its own. */
void
s3c_ssd_keeper_run(s3c_ssd_t *ssd)
{
    uint32_t           i;
    s3c_ssd_keeper_t  *k;

    if (ssd->keeper == NULL && (ssd->quiescing || !keeper_take(ssd))) {
        return;
    }

    k = ssd->keeper;

    if (!k->looked && !keeper_look(ssd)) {
        return;
    }

    s3c_ssd_bury(ssd);

    if (!keeper_mount(ssd)) {
        return;
    }

    if (k->purge_at < ssd->n_buckets) {
        s3c_ssd_keeper_scan(ssd, &k->purge_at, take_recovered, ssd);

        if (k->purge_at < ssd->n_buckets) {
            return;
        }
    }

    keeper_orphans(ssd);

    for (i = 0; i < ssd->n_stores; i++) {
        store_check(ssd, i);
    }

    keeper_raise(ssd);

    for (i = 0; i < ssd->n_stores; i++) {
        store_run(ssd, i);
    }

    if (ssd->head->recovering == 0) {
        if (k->seqs != NULL) {
            seqs_unmap(ssd);
            k->sweep_at = 0;             /* no tombstone counts any more */
        }

        s3c_ssd_keeper_scan(ssd, &k->sweep_at, take_tombstone, ssd);
        s3c_ssd_keeper_scrub(ssd);
    }
}


static bool
writes_under_way(const s3c_ssd_t *ssd, uint32_t store)
{
    for (uint32_t i = 0; i < ssd->n_slots; i++) {
        if (atomic_load_explicit(&s3c_ssd_flight(ssd, i, store)->writes,
                                 memory_order_relaxed) > 0)
        {
            return true;
        }
    }

    return false;
}


/* No machine at work: what only waits for its time (a retry, the next look at
 * the dead) does not count. */
bool
s3c_ssd_keeper_idle(const s3c_ssd_t *ssd)
{
    uint32_t                 i;
    const s3c_ssd_keeper_t  *k = ssd->keeper;

    if (k == NULL) {
        return true;
    }

    if (!k->looked || k->mount != NULL || k->raise != NULL
        || k->purge_at < ssd->n_buckets || k->sweep_at < ssd->n_buckets
        || k->orphan_at < ssd->n_buckets)
    {
        return false;
    }

    for (i = 0; i < ssd->n_stores; i++) {
        /* what others write, this one will have to make room for */

        if (k->recover[i] != NULL || writes_under_way(ssd, i)
            || (k->reclaim[i] != NULL
                && !s3c_ssd_reclaim_idle(k->reclaim[i])))
        {
            return false;
        }
    }

    return true;
}


void
s3c_ssd_keeper_quit(s3c_ssd_t *ssd)
{
    uint32_t           i;
    s3c_ssd_keeper_t  *k = ssd->keeper;

    if (k == NULL) {
        return;
    }

    for (i = 0; i < ssd->n_stores; i++) {
        if (k->recover[i] != NULL) {
            s3c_ssd_recover_destroy(ssd, k->recover[i]);
        }

        if (k->reclaim[i] != NULL) {
            s3c_ssd_reclaim_destroy(ssd, k->reclaim[i]);
        }

        s3c_ssd_retry_destroy(k->retry[i]);
    }

    s3c_ssd_scrub_destroy(k->scrub);
    s3c_ssd_mount_destroy(k->mount);
    s3c_ssd_raise_destroy(k->raise);
    seqs_unmap(ssd);
    free(k);
    ssd->keeper = NULL;
    ssd->is_keeper = false;
    s3c_robust_lock_drop(s3c_ssd_keeper_lock(ssd));
}
