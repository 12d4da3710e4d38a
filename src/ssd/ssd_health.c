/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is well: stores, whose errors every worker reports here, and workers, of
 * whom the keeper looks for the dead and clears up after them.
 */
#include "ssd/ssd_keeper.h"


/* --- stores ------------------------------------------------------------ */

void
s3c_ssd_store_result(s3c_ssd_t *ssd, uint32_t store, s3c_io_kind_t kind,
    int err)
{
    _Atomic uint32_t  *errors;

    errors = &ssd->stores[store].errors[kind == S3C_IO_READ ? 0 : 1];

    if (err == 0) {
        /* Written only when it changes: all workers share the line. */
        if (atomic_load_explicit(errors, memory_order_relaxed) != 0) {
            atomic_store_explicit(errors, 0, memory_order_relaxed);
        }

        return;
    }

    if (atomic_fetch_add(errors, 1) + 1 >= S3C_SSD_ERRORS_MAX) {
        s3c_ssd_store_fail(ssd, store);
    }
}


/* Without the lock: its callers may hold it. Who changes the state, alone,
 * writes the rest. */
void
s3c_ssd_store_fail(s3c_ssd_t *ssd, uint32_t store)
{
    uint32_t             state, n;
    uint64_t             wait;
    s3c_ssd_store_sh_t  *st = &ssd->stores[store];

    state = atomic_load(&st->state);

    do {
        if (state != S3C_SSD_SERVING && state != S3C_SSD_RECOVERING) {
            return;
        }

        n = st->n_failures < 16 ? st->n_failures : 16;
        wait = (uint64_t) S3C_SSD_RETRY_MS << n;
        st->retry_ms = ssd->now_ms + (wait < S3C_SSD_RETRY_MAX_MS
                                      ? wait : S3C_SSD_RETRY_MAX_MS);

    } while (!atomic_compare_exchange_weak(&st->state, &state,
                                           S3C_SSD_FAILED));

    st->n_failures++;
    s3c_ssd_count(&st->n_out_of_service, 1);
    s3c_ssd_say(ssd, S3C_SSD_LOG_FAILED, store,
                atomic_load(&st->errors[0]) + atomic_load(&st->errors[1]), NULL);

    if (ssd->writer != NULL) {
        s3c_ssd_writer_abandon(ssd, store);
    }
}


/* --- workers ----------------------------------------------------------- */

void
s3c_ssd_slot_clear_up(s3c_ssd_t *ssd, uint32_t slot)
{
    s3c_status_t           st;
    s3c_robust_lock_sh_t  *lock = s3c_ssd_slot_lock(ssd, slot);

    st = s3c_robust_lock_try(lock);

    if (st != S3C_OK && st != S3C_CORRUPT) {
        return;                          /* it lives */
    }

    if (s3c_ssd_lock(ssd)) {
        s3c_ssd_tombstones_inherit_locked(ssd, slot);
        s3c_ssd_segment_orphan_locked(ssd, slot);
        ssd->head->n_dead_worker += st == S3C_CORRUPT;
        s3c_ssd_unlock(ssd);
    }

    if (st == S3C_CORRUPT) {
        s3c_robust_lock_mended(lock);
    }

    s3c_robust_lock_drop(lock);
}


/* PENDING where nobody settles it: in UNKNOWN segments, recovery does. */
bool
s3c_ssd_take_orphan(void *ctx, s3c_ssd_place_t p, uint64_t slot)
{
    uint32_t    state;
    s3c_ssd_t  *ssd = ctx;

    if (s3c_ssd_place_kind(p) != S3C_SSD_PLACE_PENDING) {
        return false;
    }

    state = ssd->segments[s3c_ssd_place_segment(ssd, p)].state;

    if (state == S3C_SSD_SEGMENT_OPEN || state == S3C_SSD_SEGMENT_UNKNOWN) {
        return false;
    }

    if (ssd->head->recovering == 0) {
        return true;
    }

    /* It had superseded what recovery may still find: a mark stays. */
    s3c_ssd_segment_count_locked(ssd, p, -1);
    (void) atomic_fetch_xor(
        &ssd->buckets[slot / S3C_SSD_BUCKET_PLACES]
             .place[slot % S3C_SSD_BUCKET_PLACES],
        (uint64_t) (S3C_SSD_PLACE_PENDING ^ S3C_SSD_PLACE_TOMBSTONE) << 56);

    return false;
}


/* Only who has something open or queued leaves something to clear up; the next
 * one on any other slot finds out itself. */
void
s3c_ssd_bury(s3c_ssd_t *ssd)
{
    bool      open[S3C_SSD_SLOTS_MAX] = { false };
    uint32_t  i, owner;

    if (ssd->now_ms < ssd->keeper->dead_ms + S3C_SSD_DEAD_LOOK_MS) {
        return;
    }

    ssd->keeper->dead_ms = ssd->now_ms;

    for (i = 0; i < ssd->head->n_segments; i++) {
        owner = ssd->segments[i].owner;

        if (ssd->segments[i].state == S3C_SSD_SEGMENT_OPEN
            && owner < ssd->n_slots)
        {
            open[owner] = true;
        }
    }

    for (i = 0; i < ssd->n_slots; i++) {
        if (i != ssd->slot && (open[i] || s3c_ssd_slot_owes(ssd, i))) {
            s3c_ssd_slot_clear_up(ssd, i);
        }
    }
}
