/* SPDX-License-Identifier: Apache-2.0
 *
 * The writer of a worker: the staging memory, its clockwork (batches that have
 * lingered, writes that hang, tombstones that wait), and its end.
 */
#include "base/hugemem.h"
#include "ssd/ssd_write.h"

#include <errno.h>
#include <stdlib.h>

#define STAGING_BYTES  ((size_t) S3C_SSD_BATCHES * S3C_SSD_BATCH_BYTES)


s3c_status_t
s3c_ssd_writer_create(s3c_ssd_t *ssd)
{
    void              *p;
    s3c_ssd_writer_t  *wr;

    wr = calloc(1, sizeof(s3c_ssd_writer_t));
    if (wr == NULL) {
        return S3C_FULL;
    }

    wr->batches = calloc(S3C_SSD_BATCHES, sizeof(s3c_ssd_batch_t));

    p = s3c_hugemem_map(STAGING_BYTES);

    if (wr->batches == NULL || p == NULL) {
        s3c_hugemem_unmap(p, STAGING_BYTES);
        free(wr->batches);
        free(wr);
        return S3C_FULL;
    }

    wr->staging = p;
    ssd->writer = wr;
    s3c_ssd_batches_init(ssd);
    s3c_ssd_dues_init(ssd);

    if (s3c_io_register_buffer(ssd->env.io, p, STAGING_BYTES) != S3C_OK) {
        /* everything works as before */
    }

    return S3C_OK;
}


static void
late_done(s3c_io_op_t *op)
{
    (void) op;                           /* nobody is left to care */
}


/* Written, perhaps: nobody will see the end of it. */
static void
unsettled_lost(s3c_ssd_t *ssd, const s3c_ssd_appender_t *ap)
{
    uint32_t  i, n = 0;

    for (i = ap->n_settled; i < ap->n_entries; i++) {
        n += ap->entries[i].kind == S3C_SSD_KIND_TOMBSTONE;
    }

    if (n > 0 && s3c_ssd_appender_is_mine(ap)) {
        s3c_ssd_tombstones_lost(ssd, ap->store, n);
    }
}


/* Frees the appenders; true: the kernel still holds a batch. */
static bool
lane_destroy(s3c_ssd_t *ssd, uint32_t store)
{
    bool                 held = false;
    s3c_ssd_lane_t      *lane = &ssd->writer->lanes[store];
    s3c_ssd_appender_t  *ap;

    if (lane->current != NULL) {
        s3c_ssd_appender_retire(lane->current);
    }

    while ((ap = lane->closing) != NULL) {
        lane->closing = ap->next;
        unsettled_lost(ssd, ap);
        s3c_ssd_writes_add(ssd, store, -(int32_t) ap->n_in_flight);
        held |= ap->n_in_flight
                > (ap->footer.state == S3C_SSD_WRITE_IN_FLIGHT);

        if (ap->footer.state == S3C_SSD_WRITE_IN_FLIGHT) {
            ap->footer.op.done = late_done;
            continue;                    /* leaked: see s3c_ssd_leave */
        }

        s3c_ssd_appender_free(ap);
    }

    return held;
}


void
s3c_ssd_writer_destroy(s3c_ssd_t *ssd)
{
    bool               held = false;
    s3c_ssd_writer_t  *wr = ssd->writer;

    if (wr == NULL) {
        return;
    }

    if (!s3c_ssd_writer_idle(ssd) || wr->n_tombstones > 0) {
        ssd->quiescing = true;
    }

    wr->waiting = NULL;                  /* what of it is lost, is counted */

    for (uint32_t i = 0; i < ssd->n_stores; i++) {
        s3c_ssd_tombstones_forget(ssd, i);
        held |= lane_destroy(ssd, i);
    }

    s3c_ssd_dues_clear(ssd);

    /* What was open: torn, and at rest, if the kernel still writes. */
    if (s3c_ssd_lock(ssd)) {
        s3c_ssd_segment_orphan_locked(ssd, ssd->slot);
        s3c_ssd_unlock(ssd);
    }

    for (uint32_t i = 0; i < S3C_SSD_BATCHES; i++) {
        wr->batches[i].write.op.done = late_done;
    }

    if (!held) {
        s3c_hugemem_unmap(wr->staging, STAGING_BYTES);
        free(wr->batches);
    }

    free(wr);
    ssd->writer = NULL;
}


void
s3c_ssd_writer_seal(s3c_ssd_t *ssd)
{
    for (uint32_t i = 0; i < ssd->n_stores; i++) {
        if (ssd->writer->lanes[i].current != NULL) {
            s3c_ssd_appender_seal(ssd->writer->lanes[i].current);
        }
    }
}


bool
s3c_ssd_writer_idle(const s3c_ssd_t *ssd)
{
    const s3c_ssd_lane_t    *lane;
    const s3c_ssd_writer_t  *wr = ssd->writer;

    if (wr->n_free < S3C_SSD_BATCHES || wr->n_tombstones > 0) {
        return false;
    }

    for (uint32_t i = 0; i < ssd->n_stores; i++) {
        lane = &wr->lanes[i];
        if (lane->closing != NULL
            || (ssd->quiescing && lane->current != NULL))
        {
            return false;
        }
    }

    return true;
}


void
s3c_ssd_writer_abandon(s3c_ssd_t *ssd, uint32_t store)
{
    s3c_ssd_lane_t      *lane = &ssd->writer->lanes[store];
    s3c_ssd_appender_t  *ap, *next;

    if (lane->current != NULL) {
        s3c_ssd_appender_fail(lane->current);
    }

    for (ap = lane->closing; ap != NULL; ap = next) {
        next = ap->next;
        s3c_ssd_appender_fail(ap);
        s3c_ssd_appender_step(ap);
    }

    s3c_ssd_tombstones_forget(ssd, store);
}


/* True, once, when it has been in flight for too long. */
static bool
write_hangs(s3c_ssd_t *ssd, s3c_ssd_write_t *w)
{
    if (w->state != S3C_SSD_WRITE_IN_FLIGHT || w->hung
        || ssd->now_ms - w->sent_ms < S3C_SSD_WRITE_TIMEOUT_MS)
    {
        return false;
    }

    w->hung = true;

    return true;
}


/* Its batch and its segment are the kernel's until the completion comes. */
static void
write_give_up(s3c_ssd_t *ssd, s3c_ssd_write_t *w)
{
    uint32_t  store = w->appender->store;

    s3c_ssd_count(&ssd->stores[store].n_timeout, 1);
    s3c_ssd_say(ssd, S3C_SSD_LOG_ERROR, store, ETIME, "write");
    s3c_ssd_appender_fail(w->appender);
    s3c_ssd_store_result(ssd, store, S3C_IO_WRITE, ETIME);
}


static void
lane_run(s3c_ssd_t *ssd, uint32_t store)
{
    s3c_ssd_lane_t      *lane = &ssd->writer->lanes[store];
    s3c_ssd_appender_t  *ap;

    ap = lane->closing;
    while (ap != NULL) {
        if (write_hangs(ssd, &ap->footer)) {
            write_give_up(ssd, &ap->footer);
            ap = lane->closing;          /* the list may be another now */
            continue;
        }
        ap = ap->next;
    }

    ap = lane->current;
    if (ap == NULL) {
        return;
    }

    if (!s3c_ssd_appender_is_mine(ap)) {
        s3c_ssd_appender_fail(ap);       /* formatted by the keeper */
        s3c_ssd_appender_step(ap);

    } else if (ssd->quiescing && lane->n_tombstones == 0) {
        s3c_ssd_appender_seal(ap);

    } else if (ap->last != NULL
               && ap->last->write.state == S3C_SSD_WRITE_FILLING
               && ssd->now_ms - ap->last->born_ms >= S3C_SSD_LINGER_MS)
    {
        s3c_ssd_flush(ap);
    }
}


void
s3c_ssd_writer_run(s3c_ssd_t *ssd)
{
    s3c_ssd_write_t   *w;
    s3c_ssd_writer_t  *wr = ssd->writer;

    for (uint32_t i = 0; i < S3C_SSD_BATCHES; i++) {
        w = &wr->batches[i].write;
        if (write_hangs(ssd, w)) {
            write_give_up(ssd, w);
        }
    }

    for (uint32_t i = 0; i < ssd->n_stores; i++) {
        if (!s3c_ssd_in_service(ssd, i)
            && (wr->lanes[i].current != NULL || wr->lanes[i].closing != NULL))
        {
            s3c_ssd_writer_abandon(ssd, i);
        }

        lane_run(ssd, i);
    }

    s3c_ssd_write_resend(ssd);
    s3c_ssd_tombstones_run(ssd);
}
