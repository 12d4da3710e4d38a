/* SPDX-License-Identifier: Apache-2.0
 *
 * Put, drop and reinsert: what a writer may ask for. All of it is decided, and
 * the index is changed, before a byte is copied; so a put that answers OK has
 * its buffers, and one that does not has changed nothing but that the older
 * record is gone.
 */
#include "ssd/ssd_write.h"

#include <string.h>


static void
now_set(s3c_ssd_t *ssd, uint64_t now_ms)
{
    if (now_ms > ssd->now_ms) {
        ssd->now_ms = now_ms;            /* ages are differences: never back */
    }
}


/* --- what goes ------------------------------------------------------------ */

s3c_status_t
s3c_ssd_forget_locked(s3c_ssd_t *ssd, s3c_hash128_t key,
    s3c_ssd_place_t same, s3c_ssd_place_t *old)
{
    uint32_t         store;
    uint64_t         slot;
    s3c_ssd_place_t  victim;

    *old = 0;

    /* before the mount, too: what it drops is not known yet */
    if (ssd->head->recovering == 0 && atomic_load(&ssd->head->epoch) != 0) {
        return s3c_ssd_index_remove_locked(ssd, key, same, old);
    }

    store = s3c_ssd_store_of(ssd, key);

    if (s3c_ssd_index_find(ssd, key, old) == S3C_OK) {
        store = s3c_ssd_place_store(*old);
    } else {
        *old = 0;
    }

    if (same != 0 && (*old == 0 || !s3c_ssd_place_same(*old, same))) {
        return S3C_MISS;
    }

    s3c_ssd_index_put_locked(ssd, key,
        s3c_ssd_place(store, ssd->stores[store].conf.segment_bytes
                             / S3C_SSD_UNIT, 1, S3C_SSD_PLACE_TOMBSTONE),
        old, &victim, &slot);

    return *old != 0 && s3c_ssd_place_kind(*old) != S3C_SSD_PLACE_TOMBSTONE
           ? S3C_OK : S3C_MISS;
}


/* May something be on flash that the index does not know (any more)? Then a
 * drop of an unknown key, or a put that is refused, needs its tombstone, too,
 * or a restart would find the record again. What left with its segment is
 * below the floor. */
static bool
may_be_hidden_locked(s3c_ssd_t *ssd, uint32_t store)
{
    s3c_ssd_store_sh_t  *st = &ssd->stores[store];

    return ssd->head->n_index_evict != 0 || ssd->head->n_dead_worker != 0
           || ssd->head->n_orphan != 0 || ssd->head->n_heal != 0
           || ssd->head->recovering != 0
           || s3c_ssd_state(ssd, store) == S3C_SSD_WAITING
           || atomic_load_explicit(&st->n_corrupt, memory_order_relaxed) != 0
           || atomic_load_explicit(&st->n_timeout, memory_order_relaxed) != 0
           || atomic_load_explicit(&st->n_read_error,
                                   memory_order_relaxed) != 0
           || atomic_load_explicit(&st->n_write_error,
                                   memory_order_relaxed) != 0;
}


/* What is refused can be all that is filled for minutes (before the mount,
 * while a device hangs): without a known older record it takes no more than
 * half of the queue. The rest is for what is dropped. */
static bool
queue_has_room(const s3c_ssd_t *ssd, bool dropped)
{
    return dropped || ssd->writer->n_tombstones < S3C_SSD_TOMBSTONES_MAX / 2;
}


/* `dropped`: the caller has said that no version of this may ever be seen. */
static s3c_status_t
forget(s3c_ssd_t *ssd, s3c_hash128_t key, bool dropped)
{
    uint32_t         store;
    s3c_status_t     st;
    s3c_ssd_place_t  old;

    if (!s3c_ssd_lock(ssd)) {
        return S3C_BUSY;
    }

    st = s3c_ssd_forget_locked(ssd, key, 0, &old);
    store = old != 0 ? s3c_ssd_place_store(old) : s3c_ssd_store_of(ssd, key);

    if (st == S3C_OK || (may_be_hidden_locked(ssd, store)
                         && queue_has_room(ssd, dropped)))
    {
        s3c_ssd_tombstone_push_locked(ssd, store, key,
            atomic_load(&ssd->head->epoch) == 0 ? 0 : s3c_ssd_seq(ssd));
    }

    s3c_ssd_unlock(ssd);
    s3c_ssd_tombstones_run(ssd);

    if (st == S3C_OK && dropped) {
        s3c_ssd_count(&ssd->stores[store].n_drop, 1);
    }

    return st;
}


s3c_status_t
s3c_ssd_drop(s3c_ssd_t *ssd, s3c_hash128_t key, uint64_t now_ms)
{
    now_set(ssd, now_ms);

    return forget(ssd, key, true);
}


/* --- records ------------------------------------------------------------- */

/* May it be written at all, and is there an appender for it? */
static s3c_status_t
put_accept(s3c_ssd_t *ssd, uint32_t store, s3c_hash128_t key, uint32_t size,
    s3c_ssd_appender_t **ap)
{
    uint64_t             bytes = s3c_ssd_record_bytes(size);
    s3c_status_t         st;
    s3c_ssd_store_sh_t  *sh = &ssd->stores[store];

    if (bytes > sh->conf.segment_bytes / 2
        || bytes > s3c_ssd_writer_limit(ssd))
    {
        return S3C_UNSUPPORTED;
    }

    if (ssd->quiescing || !s3c_ssd_in_service(ssd, store)) {
        return S3C_BUSY;
    }

    st = s3c_ssd_appender_prepare(ssd, store, bytes, S3C_SSD_PUT_RESERVE, ap);
    if (st != S3C_OK) {
        return st;
    }

    /* Last: it takes the tokens. */
    st = s3c_ssd_admit(ssd, store, key, bytes);
    if (st != S3C_OK) {
        s3c_ssd_appender_unprepare(*ap);
    }

    return st;
}


/* The index; *seq: the record's. */
static s3c_status_t
put_index(s3c_ssd_t *ssd, s3c_ssd_appender_t *ap, s3c_hash128_t key,
    uint32_t size, uint64_t *seq, bool *supersedes)
{
    uint64_t              kill_seq, slot;
    s3c_status_t          st;
    s3c_ssd_place_t       old, victim;
    s3c_ssd_footer_rec_t  e;

    if (!s3c_ssd_lock(ssd)) {
        s3c_ssd_appender_unprepare(ap);
        return S3C_BUSY;
    }

    st = s3c_ssd_appender_enter_locked(ap, S3C_SSD_PUT_RESERVE);
    if (st != S3C_OK) {
        s3c_ssd_unlock(ssd);
        s3c_ssd_appender_unprepare(ap);
        return st == S3C_CHANGED ? S3C_BUSY : st;   /* run() clears up */
    }

    /* A tombstone kills what is older than this record, which itself lasts
     * only some time after it is written, and may lie in another store. */
    kill_seq = s3c_ssd_seq(ssd);
    *seq = s3c_ssd_seq(ssd);

    e = (s3c_ssd_footer_rec_t) { .unit = ap->at / S3C_SSD_UNIT, .size = size };
    s3c_ssd_index_put_locked(ssd, key,
        s3c_ssd_entry_place(ssd, ap, &e, S3C_SSD_PLACE_PENDING),
        &old, &victim, &slot);
    *supersedes = old != 0 || may_be_hidden_locked(ssd, ap->store);

    if (old != 0 && s3c_ssd_place_kind(old) != S3C_SSD_PLACE_TOMBSTONE) {
        s3c_ssd_tombstone_push_locked(ssd, s3c_ssd_place_store(old), key,
                                      kill_seq);
    }

    s3c_ssd_unlock(ssd);

    return S3C_OK;
}


static void
put_refused(s3c_ssd_t *ssd, uint32_t store, s3c_hash128_t key,
    s3c_status_t st)
{
    if (st == S3C_DENIED) {
        s3c_ssd_count(&ssd->stores[store].n_denied, 1);

    } else if (st == S3C_BUSY || st == S3C_FULL) {
        s3c_ssd_count(&ssd->stores[store].n_shed, 1);
    }

    if (forget(ssd, key, false) != S3C_OK) {
        /* nothing was there */
    }
}


s3c_status_t
s3c_ssd_put(s3c_ssd_t *ssd, s3c_hash128_t key, const uint64_t tag[2],
    const struct iovec *iov, int n_iov, uint32_t size, uint64_t now_ms)
{
    bool                 supersedes = false;
    uint32_t             store;
    uint64_t             seq = 0;
    s3c_status_t         st;
    s3c_ssd_store_sh_t  *sh;
    s3c_ssd_appender_t  *ap;
    s3c_ssd_frame_rec_t  head;

    now_set(ssd, now_ms);
    store = s3c_ssd_store_of(ssd, key);
    sh = &ssd->stores[store];

    st = put_accept(ssd, store, key, size, &ap);
    if (st == S3C_OK) {
        st = put_index(ssd, ap, key, size, &seq, &supersedes);
    }

    if (st != S3C_OK) {
        put_refused(ssd, store, key, st);
        return st;
    }

    s3c_ssd_appender_install(ap);
    head = s3c_ssd_frame_of(ap, key, seq, S3C_SSD_KIND_RECORD, tag, size);
    s3c_ssd_stage_record(ap, &head, iov, n_iov, true, supersedes);
    s3c_ssd_count(&sh->n_put, 1);
    s3c_ssd_count(&sh->put_bytes, size);
    s3c_ssd_tombstones_run(ssd);

    return S3C_OK;
}


/* --- reinsertion --------------------------------------------------------- */

/* One request less; readers may be counting at the same time. */
static void
refs_lower(s3c_ssd_t *ssd, uint64_t slot)
{
    _Atomic uint64_t  *p;
    s3c_ssd_place_t    place;

    p = &ssd->buckets[slot / S3C_SSD_BUCKET_PLACES]
             .place[slot % S3C_SSD_BUCKET_PLACES];
    place = atomic_load_explicit(p, memory_order_relaxed);

    while (s3c_ssd_place_refs(place) > 0
           && !atomic_compare_exchange_weak(p, &place, place - (1ull << 58)))
    {
        /* again, with what it is now */
    }
}


static s3c_status_t
reinsert_index(s3c_ssd_t *ssd, s3c_ssd_appender_t *ap, s3c_hash128_t key,
    s3c_ssd_place_t old, uint32_t size, uint64_t *seq)
{
    uint64_t              slot;
    s3c_status_t          st;
    s3c_ssd_place_t       now, victim;
    s3c_ssd_footer_rec_t  e;

    if (!s3c_ssd_lock(ssd)) {
        s3c_ssd_appender_unprepare(ap);
        return S3C_BUSY;
    }

    st = s3c_ssd_index_find(ssd, key, &now);

    if (st == S3C_OK && (!s3c_ssd_place_same(now, old)
                         || s3c_ssd_place_kind(now) != S3C_SSD_PLACE_LIVE))
    {
        st = S3C_MISS;
    }

    if (st == S3C_OK) {
        st = s3c_ssd_appender_enter_locked(ap, 0);
        st = st == S3C_CHANGED ? S3C_BUSY : st;
    }

    if (st == S3C_OK) {
        *seq = s3c_ssd_seq(ssd);
        e = (s3c_ssd_footer_rec_t) { .unit = ap->at / S3C_SSD_UNIT,
                                     .size = size };
        s3c_ssd_index_put_locked(ssd, key,
            s3c_ssd_entry_place(ssd, ap, &e, S3C_SSD_PLACE_PENDING),
            &now, &victim, &slot);
        refs_lower(ssd, slot);
    }

    s3c_ssd_unlock(ssd);

    if (st != S3C_OK) {
        s3c_ssd_appender_unprepare(ap);
    }

    return st;
}


s3c_status_t
s3c_ssd_reinsert(s3c_ssd_t *ssd, s3c_hash128_t key, s3c_ssd_place_t old,
    const uint64_t tag[2], const void *payload, uint32_t size)
{
    uint32_t             store = s3c_ssd_place_store(old);
    uint64_t             seq = 0, bytes = s3c_ssd_record_bytes(size);
    s3c_status_t         st;
    struct iovec         iov = { .iov_base = (void *) payload,
                                 .iov_len = size };
    s3c_ssd_appender_t  *ap;
    s3c_ssd_frame_rec_t  head;

    if (bytes > ssd->stores[store].conf.segment_bytes / 2
        || bytes > s3c_ssd_writer_limit(ssd))
    {
        return S3C_UNSUPPORTED;
    }

    if (ssd->quiescing || !s3c_ssd_in_service(ssd, store)) {
        return S3C_BUSY;
    }

    st = s3c_ssd_appender_prepare(ssd, store, bytes, 0, &ap);
    if (st == S3C_OK) {
        st = reinsert_index(ssd, ap, key, old, size, &seq);
    }

    if (st != S3C_OK) {
        return st;
    }

    s3c_ssd_appender_install(ap);
    head = s3c_ssd_frame_of(ap, key, seq, S3C_SSD_KIND_RECORD, tag, size);
    s3c_ssd_stage_record(ap, &head, &iov, 1, false, false);
    s3c_ssd_count(&ssd->stores[store].n_reinsert, 1);

    return S3C_OK;
}
