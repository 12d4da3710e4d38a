/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding, beginning and cancelling reads, and the reader's clockwork: what
 * hangs is given up, what waits too long is told so.
 */
#include <errno.h>
#include <stdlib.h>

#include "ssd/ssd_read.h"


/* --- finding and beginning ----------------------------------------------- */

static s3c_status_t
place_find(s3c_ssd_t *ssd, s3c_hash128_t key, s3c_ssd_place_t *place)
{
    s3c_status_t  st = s3c_ssd_index_find(ssd, key, place);

    if (st != S3C_OK || s3c_ssd_place_kind(*place) != S3C_SSD_PLACE_LIVE
        || !s3c_ssd_in_service(ssd, s3c_ssd_place_store(*place)))
    {
        return S3C_MISS;
    }

    return S3C_OK;
}


s3c_status_t
s3c_ssd_find(s3c_ssd_t *ssd, s3c_hash128_t key, uint64_t *bytes)
{
    s3c_ssd_place_t  place;

    if (place_find(ssd, key, &place) != S3C_OK) {
        return S3C_MISS;
    }

    *bytes = s3c_ssd_units_size(s3c_ssd_place_units(place));
    s3c_ssd_index_touch(ssd, key, place);

    return S3C_OK;
}


s3c_status_t
s3c_ssd_peek(s3c_ssd_t *ssd, s3c_hash128_t key)
{
    s3c_ssd_place_t  place;

    return place_find(ssd, key, &place);
}


static uint32_t
frame_end(const s3c_ssd_read_t *read)
{
    uint64_t  last;

    if (read->len == UINT32_MAX) {
        return UINT32_MAX;
    }

    last = (uint64_t) read->off + (read->len == 0 ? 0 : read->len - 1);

    return (uint32_t) (last / S3C_SSD_FRAME_BYTES) + 1;
}


s3c_status_t
s3c_ssd_read(s3c_ssd_t *ssd, s3c_ssd_read_t *read, uint64_t now_ms)
{
    s3c_ssd_op_t       *op;
    uint32_t            store, frame, end;
    uint64_t            seq;
    s3c_ssd_place_t     place;
    s3c_ssd_window_t    window;
    s3c_ssd_reader_t   *r = ssd->reader;

    ssd->now_ms = now_ms;
    read->op = NULL;

    if (r->closing || place_find(ssd, read->key, &place) != S3C_OK) {
        return S3C_MISS;
    }

    store = s3c_ssd_place_store(place);
    seq = s3c_ssd_place_seq(ssd, place);
    frame = read->off / S3C_SSD_FRAME_BYTES;
    end = frame_end(read);

    if (s3c_ssd_window_of(place, ssd->stores[store].conf.align, frame, end,
                          &window)
        != S3C_OK)
    {
        return S3C_MISS;
    }

    op = s3c_ssd_op_take(ssd, store);

    if (op == NULL) {
        return S3C_BUSY;
    }

    *op = (s3c_ssd_op_t) {
        .ssd = ssd, .read = read, .key = read->key, .place = place,
        .store = store, .segment_seq = seq, .window = window, .end = end,
        .whole = frame == 0, .begun_us = ssd->env.usec(ssd->env.ctx)
    };

    op->expect.key = read->key;
    op->expect.store_id = ssd->stores[store].store_id;
    op->expect.segment_seq = seq;

    r->queues[store].n_reads++;
    read->op = op;
    s3c_ssd_op_go(op);

    return S3C_OK;
}


void
s3c_ssd_read_cancel(s3c_ssd_t *ssd, s3c_ssd_read_t *read)
{
    s3c_ssd_op_t     *op = read->op;
    s3c_ssd_queue_t  *q;

    if (op == NULL) {
        return;                          /* has ended */
    }

    read->op = NULL;
    op->read = NULL;
    q = &ssd->reader->queues[op->store];
    q->n_reads--;

    if (op->state == S3C_SSD_OP_WAITING) {
        s3c_ssd_op_list_remove(&q->waiting, op);
        s3c_ssd_op_free(op);
    }
}


/* --- the reader ---------------------------------------------------------- */

s3c_status_t
s3c_ssd_reader_create(s3c_ssd_t *ssd)
{
    s3c_ssd_reader_t  *r = calloc(1, sizeof(*r));

    if (r == NULL) {
        return S3C_FULL;
    }

    r->ops = calloc(S3C_SSD_READ_OPS, sizeof(s3c_ssd_op_t));

    if (r->ops == NULL) {
        free(r);
        return S3C_FULL;
    }

    r->pool.shared = ssd->n_stores > 1;
    ssd->reader = r;

    return S3C_OK;
}


/* What flies stays where it is: the kernel may still write to it. */
void
s3c_ssd_reader_destroy(s3c_ssd_t *ssd)
{
    s3c_ssd_op_t       *op;
    bool               flying = false;
    s3c_ssd_reader_t  *r = ssd->reader;

    if (r == NULL) {
        return;
    }

    r->closing = true;

    for (uint32_t i = 0; i < r->n_used; i++) {
        s3c_ssd_op_tell(&r->ops[i], S3C_IO);
    }

    for (uint32_t i = 0; i < ssd->n_stores; i++) {
        while ((op = r->queues[i].waiting.first) != NULL) {
            s3c_ssd_op_list_remove(&r->queues[i].waiting, op);
            s3c_ssd_op_free(op);
        }
    }

    for (uint32_t i = 0; i < r->n_used; i++) {
        op = &r->ops[i];

        if (op->state == S3C_SSD_OP_FLYING) {
            flying = true;
            op->ssd = NULL;
            s3c_ssd_reads_add(ssd, op->store, -1);
        }
    }

    s3c_ssd_pool_fini(&r->pool);

    if (!flying) {
        free(r->ops);
    }

    free(r);
    ssd->reader = NULL;
}


/* It stays in the kernel; its read is told, and the store. */
static void
op_hangs(s3c_ssd_op_t *op)
{
    s3c_ssd_t         *ssd = op->ssd;
    s3c_ssd_reader_t  *r = ssd->reader;

    s3c_ssd_op_list_remove(&r->queues[op->store].flying, op);
    op->hung = true;
    s3c_ssd_pool_lose(&r->pool, &op->buffer);

    s3c_ssd_count(&ssd->stores[op->store].n_timeout, 1);
    s3c_ssd_say(ssd, S3C_SSD_LOG_ERROR, op->store, ETIME, "read");
    s3c_ssd_store_result(ssd, op->store, S3C_IO_READ, ETIME);

    s3c_ssd_op_tell(op, s3c_ssd_op_drop_place(op, NULL) ? S3C_TIMEOUT
                                                     : S3C_MISS);
}


/* Too long without a buffer: not the record's fault, it stays. But as long as
 * what they wait for comes free, be it slowly, their turn comes. */
static void
waiting_run(s3c_ssd_t *ssd, uint32_t store, uint64_t now_us)
{
    s3c_ssd_op_t      *op, *next;
    s3c_ssd_reader_t  *r = ssd->reader;
    s3c_ssd_queue_t   *q = &r->queues[store];

    if ((q->has_share ? q->ended_us : r->ended_us)
        + (uint64_t) ssd->stores[store].conf.timeout_ms * 1000 > now_us)
    {
        return;
    }

    for (op = q->waiting.first; op != NULL; op = next) {
        next = op->next;

        if (op->deadline_us <= now_us) {
            s3c_ssd_op_list_remove(&q->waiting, op);
            s3c_ssd_op_end(op, s3c_ssd_in_service(ssd, store) ? S3C_BUSY
                                                              : S3C_MISS);

            next = q->waiting.first;     /* on_end may have changed it all */
        }
    }
}


void
s3c_ssd_reader_run(s3c_ssd_t *ssd)
{
    s3c_ssd_op_t       *op;
    uint64_t           now_us = ssd->env.usec(ssd->env.ctx);
    s3c_ssd_reader_t  *r = ssd->reader;

    for (uint32_t i = 0; i < ssd->n_stores; i++) {
        while ((op = r->queues[i].flying.first) != NULL
               && op->deadline_us <= now_us)
        {
            op_hangs(op);
        }
    }

    for (uint32_t i = 0; i < ssd->n_stores; i++) {
        waiting_run(ssd, i, now_us);
    }

    s3c_ssd_op_pump(ssd);

    if (now_us >= r->trim_us) {
        r->trim_us = now_us + S3C_SSD_TRIM_US;
        s3c_ssd_pool_trim(&r->pool);
    }
}


bool
s3c_ssd_reader_idle(const s3c_ssd_t *ssd)
{
    return ssd->reader->n_ops == 0;
}
