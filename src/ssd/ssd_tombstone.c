/* SPDX-License-Identifier: Apache-2.0
 *
 * Tombstones on their way. They go through a queue of this worker. Usually it
 * is empty again at once; if no batch or segment is to be had, or enough
 * tombstones are on their way already, they gather there and share a write.
 *
 * Until it is on the device, each is told in shared memory, too (due): what a
 * killed worker had handed to the kernel, the kernel may throw away. Who finds
 * the worker dead writes them again, with their seqs. One that found no room
 * there is only counted; it, or one that cannot be written, makes its store one
 * to be formatted.
 */
#include "ssd/ssd_write.h"

#include <string.h>

#define UNTOLD  UINT16_MAX


/* --- what others have to know -------------------------------------------- */

static void
untold_add(s3c_ssd_t *ssd, uint32_t store, int n)
{
    s3c_ssd_lane_t  *lane = &ssd->writer->lanes[store];

    lane->n_untold += (uint32_t) n;
    atomic_store_explicit(&s3c_ssd_flight(ssd, ssd->slot, store)->untold,
                          lane->n_untold, memory_order_relaxed);
}


static uint16_t
due_take(s3c_ssd_t *ssd, uint32_t store, s3c_hash128_t key, uint64_t seq)
{
    uint16_t           i;
    s3c_ssd_lane_t    *lane = &ssd->writer->lanes[store];
    s3c_ssd_due_sh_t  *due;

    if (lane->n_due_free == 0) {
        untold_add(ssd, store, 1);
        return UNTOLD;
    }

    i = lane->due_free[--lane->n_due_free];
    due = &s3c_ssd_flight(ssd, ssd->slot, store)->due[i];
    due->key = key;
    due->seq = seq;
    atomic_store_explicit(&due->used, 1, memory_order_release);

    return i + 1;
}


void
s3c_ssd_due_done(s3c_ssd_t *ssd, uint32_t store, uint16_t due)
{
    s3c_ssd_lane_t       *lane = &ssd->writer->lanes[store];
    s3c_ssd_flight_sh_t  *f = s3c_ssd_flight(ssd, ssd->slot, store);

    if (due == UNTOLD) {
        untold_add(ssd, store, -1);

    } else if (due != 0) {
        atomic_store_explicit(&f->due[due - 1].used, 0, memory_order_release);
        lane->due_free[lane->n_due_free++] = due - 1;
    }
}


static bool
due_is_used(const s3c_ssd_flight_sh_t *f, uint32_t i)
{
    return atomic_load_explicit(&f->due[i].used, memory_order_acquire) != 0;
}


void
s3c_ssd_dues_init(s3c_ssd_t *ssd)
{
    uint32_t         i, k;
    s3c_ssd_lane_t  *lane;

    for (i = 0; i < ssd->n_stores; i++) {
        lane = &ssd->writer->lanes[i];

        /* what is used is a dead worker's: see inherit */
        for (k = S3C_SSD_DUE_MAX; k-- > 0; /* void */) {
            if (!due_is_used(s3c_ssd_flight(ssd, ssd->slot, i), k)) {
                lane->due_free[lane->n_due_free++] = (uint16_t) k;
            }
        }
    }
}


void
s3c_ssd_dues_clear(s3c_ssd_t *ssd)
{
    uint32_t              i, k;
    s3c_ssd_flight_sh_t  *f;

    for (i = 0; i < ssd->n_stores; i++) {
        f = s3c_ssd_flight(ssd, ssd->slot, i);
        atomic_store(&f->untold, 0);

        for (k = 0; k < S3C_SSD_DUE_MAX; k++) {
            atomic_store(&f->due[k].used, 0);
        }
    }
}


bool
s3c_ssd_slot_owes(const s3c_ssd_t *ssd, uint32_t slot)
{
    uint32_t                    i, k;
    const s3c_ssd_flight_sh_t  *f;

    for (i = 0; i < ssd->n_stores; i++) {
        f = s3c_ssd_flight(ssd, slot, i);

        if (atomic_load(&f->untold) != 0) {
            return true;
        }

        for (k = 0; k < S3C_SSD_DUE_MAX; k++) {
            if (due_is_used(f, k)) {
                return true;
            }
        }
    }

    return false;
}


/* --- the queue ------------------------------------------------------------ */

/* Once more, if `due` is not 0. */
static void
push_locked(s3c_ssd_t *ssd, uint32_t store, s3c_hash128_t key, uint64_t seq,
    uint16_t due)
{
    s3c_ssd_writer_t  *wr = ssd->writer;

    if (wr->n_tombstones == S3C_SSD_TOMBSTONES_MAX
        || s3c_ssd_state(ssd, store) == S3C_SSD_FAILED)
    {
        ssd->stores[store].lost_tombstones++;
        s3c_ssd_due_done(ssd, store, due);
        return;
    }

    wr->tombstones[wr->n_tombstones++] = (s3c_ssd_tombstone_t) {
        .key = key,
        .seq = seq,
        .store = (uint16_t) store,
        .due = due != 0 ? due : due_take(ssd, store, key, seq),
    };
    wr->lanes[store].n_tombstones++;
}


void
s3c_ssd_tombstone_push_locked(s3c_ssd_t *ssd, uint32_t store,
    s3c_hash128_t key, uint64_t seq)
{
    push_locked(ssd, store, key, seq, 0);
}


void
s3c_ssd_tombstone_again_locked(s3c_ssd_t *ssd, uint32_t store,
    const s3c_ssd_footer_rec_t *e)
{
    push_locked(ssd, store,
                (s3c_hash128_t) { .lo = e->key_lo, .hi = e->key_hi },
                e->record_seq, s3c_ssd_entry_due(e));
}


void
s3c_ssd_tombstones_lost(s3c_ssd_t *ssd, uint32_t store, uint32_t n)
{
    if (s3c_ssd_lock(ssd)) {
        ssd->stores[store].lost_tombstones += n;
        s3c_ssd_unlock(ssd);
    }
}


void
s3c_ssd_tombstones_forget(s3c_ssd_t *ssd, uint32_t store)
{
    uint32_t           i, n = 0;
    s3c_ssd_writer_t  *wr = ssd->writer;
    s3c_ssd_lane_t    *lane = &wr->lanes[store];

    if (lane->n_tombstones == 0) {
        return;
    }

    /* In service: it has just been formatted, and holds nothing to kill. */
    if (!s3c_ssd_in_service(ssd, store) || ssd->quiescing) {
        s3c_ssd_tombstones_lost(ssd, store, lane->n_tombstones);
    }

    for (i = 0; i < wr->n_tombstones; i++) {
        if (wr->tombstones[i].store == store) {
            s3c_ssd_due_done(ssd, store, wr->tombstones[i].due);
        } else {
            wr->tombstones[n++] = wr->tombstones[i];
        }
    }

    wr->n_tombstones = n;
    lane->n_tombstones = 0;
}


/* --- of who died ----------------------------------------------------------- */

/* Another's becomes mine first: who dies in between leaves it twice, which does
 * no harm. */
static void
inherit_store_locked(s3c_ssd_t *ssd, uint32_t slot, uint32_t store)
{
    uint32_t              k;
    s3c_ssd_due_sh_t     *due;
    s3c_ssd_flight_sh_t  *f = s3c_ssd_flight(ssd, slot, store);

    ssd->stores[store].lost_tombstones += atomic_exchange(&f->untold, 0);

    for (k = 0; k < S3C_SSD_DUE_MAX; k++) {
        due = &f->due[k];

        if (!due_is_used(f, k)) {
            continue;
        }

        if (slot == ssd->slot) {
            push_locked(ssd, store, due->key, due->seq, (uint16_t) (k + 1));
            continue;
        }

        if (ssd->writer != NULL) {
            push_locked(ssd, store, due->key, due->seq, 0);
        } else {
            ssd->stores[store].lost_tombstones++;
        }

        atomic_store_explicit(&due->used, 0, memory_order_release);
    }
}


void
s3c_ssd_tombstones_inherit_locked(s3c_ssd_t *ssd, uint32_t slot)
{
    for (uint32_t i = 0; i < ssd->n_stores; i++) {
        inherit_store_locked(ssd, slot, i);
    }
}


/* --- writing -------------------------------------------------------------- */

static bool
tombstone_write(s3c_ssd_t *ssd, const s3c_ssd_tombstone_t *t)
{
    s3c_status_t          st;
    s3c_ssd_frame_rec_t   head;
    s3c_ssd_appender_t   *ap;
    static const uint64_t no_tag[2];

    if (ssd->writer->lanes[t->store].n_syncs >= S3C_SSD_SYNCS_MAX
        || s3c_ssd_appender_prepare(ssd, t->store, S3C_SSD_HEAD_BYTES, 0, &ap)
           != S3C_OK)
    {
        return false;
    }

    if (ap->seq == 0) {
        st = S3C_BUSY;

        if (s3c_ssd_lock(ssd)) {
            st = s3c_ssd_appender_enter_locked(ap, 0);
            s3c_ssd_unlock(ssd);
        }

        if (st != S3C_OK) {
            s3c_ssd_appender_unprepare(ap);
            return false;
        }
    }

    s3c_ssd_appender_install(ap);
    head = s3c_ssd_frame_of(ap, t->key, t->seq != 0 ? t->seq : s3c_ssd_seq(ssd),
                    S3C_SSD_KIND_TOMBSTONE, no_tag, 0);
    s3c_ssd_stage_record(ap, &head, NULL, 0, false, false);
    s3c_ssd_entry_set_due(&ap->entries[ap->n_entries - 1], t->due);

    return true;
}


void
s3c_ssd_tombstones_run(s3c_ssd_t *ssd)
{
    bool                 any = false;
    bool                 stay[S3C_SSD_STORES_MAX] = { false };
    bool                 flush[S3C_SSD_STORES_MAX] = { false };
    uint32_t             i, n = 0, store;
    s3c_ssd_state_t      state;
    s3c_ssd_writer_t    *wr = ssd->writer;
    s3c_ssd_tombstone_t  t;

    if (wr->n_tombstones == 0) {
        return;
    }

    for (i = 0; i < ssd->n_stores; i++) {
        state = s3c_ssd_state(ssd, i);
        stay[i] = state == S3C_SSD_WAITING;

        if (wr->lanes[i].n_tombstones > 0
            && (state == S3C_SSD_FAILED || (stay[i] && ssd->quiescing)))
        {
            s3c_ssd_tombstones_forget(ssd, i);
        }
    }

    for (i = 0; i < wr->n_tombstones; i++) {
        t = wr->tombstones[i];
        store = t.store;

        if (!stay[store] && tombstone_write(ssd, &t)) {
            flush[store] = true;
            wr->lanes[store].n_tombstones--;
            continue;
        }

        stay[store] = true;
        wr->tombstones[n++] = t;
    }

    wr->n_tombstones = n;

    for (i = 0; i < ssd->n_stores; i++) {
        if (flush[i] && wr->lanes[i].current != NULL) {
            s3c_ssd_flush(wr->lanes[i].current);
            any = true;
        }
    }

    if (any) {
        s3c_io_submit(ssd->env.io);
    }
}
