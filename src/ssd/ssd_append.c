/* SPDX-License-Identifier: Apache-2.0
 *
 * Appenders: the open segments of this worker, from the header to the footer;
 * and whether there is room for a record. A segment is closed only when no
 * write of it is in flight any more: nobody else may get it while the kernel
 * could still write there.
 *
 *   current -> closing -> (all batches done) footer -> SEALED
 *           -> broken  -> (nothing in flight)       -> TORN
 */
#include "ssd/ssd_write.h"

#include <stdlib.h>
#include <string.h>

#define ENTRIES_FIRST  64


static s3c_ssd_lane_t *
lane_of(const s3c_ssd_appender_t *ap)
{
    return &ap->ssd->writer->lanes[ap->store];
}


/* --- room ---------------------------------------------------------------- */

static uint32_t
lane_batches_max(const s3c_ssd_t *ssd)
{
    return ssd->n_stores > 1 ? S3C_SSD_LANE_BATCHES : S3C_SSD_BATCHES;
}


uint64_t
s3c_ssd_writer_limit(const s3c_ssd_t *ssd)
{
    return (uint64_t) lane_batches_max(ssd) * S3C_SSD_BATCH_BYTES
           - S3C_SSD_BLOCK;
}


static uint32_t
batches_for(uint64_t bytes)
{
    return (uint32_t) ((bytes + S3C_SSD_BATCH_BYTES - 1)
                       / S3C_SSD_BATCH_BYTES);
}


static uint32_t
filling_room(const s3c_ssd_appender_t *ap)
{
    return ap->last != NULL && ap->last->write.state == S3C_SSD_WRITE_FILLING
           ? S3C_SSD_BATCH_BYTES - ap->last->fill : 0;
}


static bool
fits(const s3c_ssd_appender_t *ap, uint64_t bytes)
{
    return ap->at + bytes + s3c_ssd_footer_bytes(ap->n_entries + 1)
           <= ap->segment_bytes;
}


static bool
stalled(const s3c_ssd_t *ssd, uint32_t store)
{
    const s3c_ssd_batch_t  *b;

    for (uint32_t i = 0; i < S3C_SSD_BATCHES; i++) {
        b = &ssd->writer->batches[i];
        if (b->write.state == S3C_SSD_WRITE_IN_FLIGHT
            && b->write.appender->store == store
            && ssd->now_ms - b->write.sent_ms > S3C_SSD_STALL_MS)
        {
            return true;
        }
    }

    return false;
}


/* OK, BUSY or FULL; *fresh: in a new segment. */
static s3c_status_t
room_for(const s3c_ssd_t *ssd, uint32_t store, uint64_t bytes,
    uint32_t reserve, bool *fresh)
{
    uint64_t                   n;
    s3c_ssd_writer_t          *wr = ssd->writer;
    const s3c_ssd_lane_t      *lane = &wr->lanes[store];
    const s3c_ssd_appender_t  *ap = lane->current;

    bytes = (bytes + S3C_SSD_UNIT - 1) / S3C_SSD_UNIT * S3C_SSD_UNIT;
    *fresh = ap == NULL || !fits(ap, bytes);

    if (*fresh) {
        n = batches_for(S3C_SSD_BLOCK + bytes);
    } else {
        n = filling_room(ap);
        n = bytes <= n ? 0 : batches_for(bytes - n);
    }

    if (n > wr->n_free || lane->n_batches + n > lane_batches_max(ssd)
        || stalled(ssd, store))
    {
        return S3C_BUSY;
    }

    if (!*fresh) {
        return S3C_OK;
    }

    if (lane->n_closing >= S3C_SSD_CLOSING_MAX) {
        return S3C_BUSY;
    }

    /* A look without the lock: who opens it looks again. */
    return __atomic_load_n(&ssd->stores[store].n_free, __ATOMIC_RELAXED)
           > reserve ? S3C_OK : S3C_FULL;
}


bool
s3c_ssd_writer_has_room(const s3c_ssd_t *ssd, uint32_t store, uint32_t size)
{
    bool  fresh;

    return !ssd->quiescing && s3c_ssd_in_service(ssd, store)
           && room_for(ssd, store, s3c_ssd_record_bytes(size), 0, &fresh)
              == S3C_OK;
}


/* --- appenders ----------------------------------------------------------- */

void
s3c_ssd_appender_free(s3c_ssd_appender_t *ap)
{
    free(ap->footer_buf);
    free(ap->entries);
    free(ap);
}


static bool
entries_grow(s3c_ssd_appender_t *ap)
{
    void      *p;
    uint32_t   n = ap->n_room == 0 ? ENTRIES_FIRST : 2 * ap->n_room;

    if (ap->n_entries < ap->n_room) {
        return true;
    }

    p = realloc(ap->entries, (size_t) n * sizeof(s3c_ssd_footer_rec_t));
    if (p == NULL) {
        return false;
    }

    ap->entries = p;
    ap->n_room = n;

    return true;
}


s3c_status_t
s3c_ssd_appender_prepare(s3c_ssd_t *ssd, uint32_t store, uint64_t bytes,
    uint32_t reserve, s3c_ssd_appender_t **out)
{
    bool                 fresh;
    s3c_status_t         st;
    s3c_ssd_appender_t  *ap;

    st = room_for(ssd, store, bytes, reserve, &fresh);
    if (st != S3C_OK) {
        return st;
    }

    if (!fresh) {
        *out = ssd->writer->lanes[store].current;
        return entries_grow(*out) ? S3C_OK : S3C_BUSY;
    }

    ap = calloc(1, sizeof(s3c_ssd_appender_t));
    if (ap == NULL) {
        return S3C_BUSY;
    }

    ap->ssd = ssd;
    ap->store = store;
    ap->segment_bytes = ssd->stores[store].conf.segment_bytes;
    ap->at = S3C_SSD_BLOCK;              /* behind the header */

    if (!entries_grow(ap)) {
        free(ap);
        return S3C_BUSY;
    }

    *out = ap;

    return S3C_OK;
}


/* Exact under the lock, a hint without it. */
bool
s3c_ssd_appender_is_mine(const s3c_ssd_appender_t *ap)
{
    const s3c_ssd_segment_sh_t  *s = &ap->ssd->segments[ap->segment];

    return s->seq == ap->seq && s->state == S3C_SSD_SEGMENT_OPEN
           && s->owner == ap->ssd->slot;
}


s3c_status_t
s3c_ssd_appender_enter_locked(s3c_ssd_appender_t *ap, uint32_t reserve)
{
    s3c_status_t  st;
    s3c_ssd_t    *ssd = ap->ssd;

    if (ap->seq != 0) {
        return s3c_ssd_appender_is_mine(ap) ? S3C_OK : S3C_CHANGED;
    }

    st = s3c_ssd_segment_open_locked(ssd, ap->store, reserve, &ap->segment);
    if (st != S3C_OK) {
        return st;
    }

    ap->seq = ssd->segments[ap->segment].seq;
    ap->store_id = ssd->stores[ap->store].store_id;
    ap->floor = ssd->stores[ap->store].floor;

    return S3C_OK;
}


void
s3c_ssd_appender_unprepare(s3c_ssd_appender_t *ap)
{
    if (ap->seq == 0) {
        s3c_ssd_appender_free(ap);
    }
}


void
s3c_ssd_appender_retire(s3c_ssd_appender_t *ap)
{
    s3c_ssd_lane_t  *lane = lane_of(ap);

    if (lane->current == ap) {
        lane->current = NULL;
        ap->next = lane->closing;
        lane->closing = ap;
        lane->n_closing++;
    }
}


void
s3c_ssd_appender_install(s3c_ssd_appender_t *ap)
{
    uint8_t          header[S3C_SSD_BLOCK] = { 0 };
    s3c_ssd_t       *ssd = ap->ssd;
    s3c_ssd_lane_t  *lane = lane_of(ap);

    if (lane->current == ap) {
        return;
    }

    if (lane->current != NULL) {
        s3c_ssd_appender_seal(lane->current);
    }

    lane->current = ap;
    s3c_ssd_segment_encode(header, ap->store_id,
                           ap->segment - ssd->stores[ap->store].first_segment,
                           ap->seq, ap->floor);
    ap->at = 0;
    s3c_ssd_stage(ap, header, S3C_SSD_BLOCK);
}


void
s3c_ssd_appender_seal(s3c_ssd_appender_t *ap)
{
    s3c_ssd_flush(ap);
    s3c_ssd_appender_retire(ap);
    ap->closing = true;
    s3c_ssd_appender_step(ap);
}


static void
appender_close(s3c_ssd_appender_t *ap, bool sealed)
{
    s3c_ssd_t            *ssd = ap->ssd;
    s3c_ssd_lane_t       *lane = lane_of(ap);
    s3c_ssd_appender_t  **p;

    if (s3c_ssd_lock(ssd)) {
        if (s3c_ssd_appender_is_mine(ap)) {
            s3c_ssd_segment_close_locked(ssd, ap->segment, sealed,
                                         ap->last_seq);
        }
        s3c_ssd_unlock(ssd);
    }

    for (p = &lane->closing; *p != ap; p = &(*p)->next) {
        /* it is there */
    }

    *p = ap->next;
    lane->n_closing--;
    s3c_ssd_appender_free(ap);
}


/* The entries that are not settled: out of the index with the records, and
 * tombstones shall be written elsewhere. */
static void
entries_forget(s3c_ssd_appender_t *ap)
{
    bool                   mine;
    uint32_t               n;
    s3c_hash128_t          key;
    s3c_ssd_t             *ssd = ap->ssd;
    s3c_ssd_place_t        old;
    s3c_ssd_footer_rec_t  *e;

    while (ap->n_settled < ap->n_entries) {
        if (!s3c_ssd_lock(ssd)) {
            return;
        }

        mine = s3c_ssd_appender_is_mine(ap);

        for (n = 0; n < S3C_SSD_LOCKED_MAX && ap->n_settled < ap->n_entries;
             n++)
        {
            e = &ap->entries[ap->n_settled++];
            key = (s3c_hash128_t) { .lo = e->key_lo, .hi = e->key_hi };

            if (!mine) {                 /* the store was formatted */
                s3c_ssd_due_done(ssd, ap->store, s3c_ssd_entry_due(e));
                continue;
            }

            if (e->kind == S3C_SSD_KIND_TOMBSTONE) {
                s3c_ssd_tombstone_again_locked(ssd, ap->store, e);

            } else if (s3c_ssd_forget_locked(ssd, key,
                           s3c_ssd_entry_place(ssd, ap, e,
                                               S3C_SSD_PLACE_PENDING), &old)
                           == S3C_OK
                       && e->zero[0] == S3C_SSD_SUPERSEDES)
            {
                s3c_ssd_tombstone_push_locked(ssd, ap->store, key,
                                              s3c_ssd_seq(ssd));
            }
        }

        s3c_ssd_unlock(ssd);
    }
}


void
s3c_ssd_appender_fail(s3c_ssd_appender_t *ap)
{
    if (ap->broken) {
        return;
    }

    ap->broken = true;
    s3c_ssd_appender_retire(ap);
    s3c_ssd_batches_drop(ap);

    if (ap->footer.state == S3C_SSD_WRITE_WAITING) {
        s3c_ssd_write_unwait(&ap->footer);
    }

    entries_forget(ap);
}


/* --- the footer ---------------------------------------------------------- */

static void
footer_send(s3c_ssd_appender_t *ap)
{
    uint32_t             len = ap->footer_len - ap->footer_done;
    s3c_ssd_t           *ssd = ap->ssd;
    s3c_ssd_store_sh_t  *st = &ssd->stores[ap->store];

    ap->footer.again = false;
    ap->footer.op = (s3c_io_op_t) {
        .kind = S3C_IO_WRITE,
        .fd = ssd->env.fds[ap->store],
        .buf = ap->footer_buf + ap->footer_done,
        .len = len < S3C_SSD_BATCH_BYTES ? len : S3C_SSD_BATCH_BYTES,
        .off = s3c_ssd_segment_off(st, ap->segment) + ap->segment_bytes - len,
        .done = s3c_ssd_write_done,
        .data = &ap->footer,
    };
    ap->footer_done += ap->footer.op.len;
    s3c_ssd_charge(ssd, ap->store, ap->footer.op.len);
    s3c_ssd_write_send(&ap->footer);
}


/* step() goes on: the next piece, or the end. */
static void
footer_end(s3c_ssd_write_t *w, int err)
{
    if (err != 0) {
        s3c_ssd_appender_fail(w->appender);
    }
}


static bool
footer_begin(s3c_ssd_appender_t *ap)
{
    void  *p;

    ap->footer_len = s3c_ssd_footer_bytes(ap->n_entries);
    if (posix_memalign(&p, S3C_SSD_BLOCK, ap->footer_len) != 0) {
        return false;
    }

    ap->footer_buf = p;
    ap->footer.ssd = ap->ssd;
    ap->footer.appender = ap;
    ap->footer.end = footer_end;
    s3c_ssd_footer_encode(p, ap->store_id, ap->seq, ap->last_seq, ap->entries,
                          ap->n_entries, ap->segment_bytes);

    return true;
}


void
s3c_ssd_appender_step(s3c_ssd_appender_t *ap)
{
    if (ap->broken) {
        if (ap->n_in_flight == 0) {
            appender_close(ap, false);
        }
        return;
    }

    if (!ap->closing || ap->first != NULL
        || ap->footer.state == S3C_SSD_WRITE_IN_FLIGHT
        || ap->footer.state == S3C_SSD_WRITE_WAITING)
    {
        return;
    }

    if (ap->n_settled < ap->n_entries
        || (ap->footer_buf == NULL && !footer_begin(ap)))
    {
        s3c_ssd_appender_fail(ap);       /* no lock, no memory: without one */
        appender_close(ap, false);
        return;
    }

    if (ap->footer_done < ap->footer_len) {
        footer_send(ap);
    } else {
        appender_close(ap, true);
    }
}
