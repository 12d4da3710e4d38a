/* SPDX-License-Identifier: Apache-2.0
 *
 * One read's I/O: sends it, checks what comes, believes nothing that a frame
 * does not prove, hands it on in order, window after window.
 *
 * DROPS    what cannot be read leaves the index, but only if the place is the
 *          same, in the same use of its segment, as when the read began. A
 *          read whose place went meanwhile is a MISS whatever it saw.
 */
#include <errno.h>

#include "base/crc32c.h"
#include "ssd/ssd_read.h"

static void op_done(s3c_io_op_t *io);


/* --- ops ----------------------------------------------------------------- */

/* The table's pages are touched as they are needed. */
s3c_ssd_op_t *
s3c_ssd_op_take(s3c_ssd_t *ssd, uint32_t store)
{
    s3c_ssd_op_t      *op;
    s3c_ssd_reader_t  *r = ssd->reader;
    s3c_ssd_queue_t   *q = &r->queues[store];

    if (q->n_reads >= S3C_SSD_READS_MAX || r->n_ops >= S3C_SSD_READ_OPS
        || (ssd->n_stores > 1 && q->n_ops + r->n_ops >= S3C_SSD_READ_OPS))
    {
        return NULL;
    }

    op = r->free;

    if (op != NULL) {
        r->free = op->next;
    } else {
        op = &r->ops[r->n_used++];
    }

    q->n_ops++;
    r->n_ops++;

    return op;
}


void
s3c_ssd_op_free(s3c_ssd_op_t *op)
{
    s3c_ssd_reader_t  *r = op->ssd->reader;

    if (op->buffer.data != NULL) {
        s3c_ssd_pool_give(&r->pool, &op->buffer);
    }

    op->state = S3C_SSD_OP_FREE;
    op->next = r->free;
    r->free = op;
    r->queues[op->store].n_ops--;
    r->n_ops--;
}


/* Its read is told; what is left is the op. */
void
s3c_ssd_op_tell(s3c_ssd_op_t *op, s3c_status_t st)
{
    s3c_ssd_t           *ssd = op->ssd;
    s3c_ssd_read_t      *read = op->read;
    s3c_ssd_store_sh_t  *store = &ssd->stores[op->store];

    if (read == NULL) {
        return;
    }

    op->read = NULL;
    read->op = NULL;
    ssd->reader->queues[op->store].n_reads--;

    if (st == S3C_OK) {
        s3c_ssd_count(&store->n_hit, 1);
        s3c_ssd_count(&store->hit_bytes, op->delivered);
    }

    ssd->env.observe(ssd->env.ctx, S3C_SSD_READ_TIME,
                     ssd->env.usec(ssd->env.ctx) - op->begun_us);
    read->on_end(read, st);
}


void
s3c_ssd_op_end(s3c_ssd_op_t *op, s3c_status_t st)
{
    /* on_end may begin another read: let it have the buffer */
    if (op->buffer.data != NULL) {
        s3c_ssd_pool_give(&op->ssd->reader->pool, &op->buffer);
    }

    s3c_ssd_op_tell(op, st);
    s3c_ssd_op_free(op);
}


/* --- what went wrong ----------------------------------------------------- */

/* True if the record was still there: then it was the device's fault. Counted
 * under the lock: a drop must know that something has left unseen. */
bool
s3c_ssd_op_drop_place(s3c_ssd_op_t *op, _Atomic uint64_t *counter)
{
    bool              there = false;
    s3c_ssd_t        *ssd = op->ssd;
    s3c_ssd_place_t   old;

    if (!s3c_ssd_lock(ssd)) {
        return false;
    }

    if (s3c_ssd_place_seq(ssd, op->place) == op->segment_seq) {
        there = s3c_ssd_forget_locked(ssd, op->key, op->place, &old)
                == S3C_OK;
    }

    if (there && counter != NULL) {
        s3c_ssd_count(counter, 1);
    }

    s3c_ssd_unlock(ssd);

    return there;
}


static s3c_status_t
op_corrupt(s3c_ssd_op_t *op)
{
    s3c_ssd_t           *ssd = op->ssd;
    s3c_ssd_store_sh_t  *store = &ssd->stores[op->store];

    if (!s3c_ssd_op_drop_place(op, &store->n_corrupt)) {
        return S3C_MISS;
    }

    s3c_ssd_say(ssd, S3C_SSD_LOG_CORRUPT, op->store,
                atomic_load_explicit(&store->n_corrupt, memory_order_relaxed),
                NULL);

    return S3C_CORRUPT;
}


static s3c_status_t
op_io_error(s3c_ssd_op_t *op, int err)
{
    s3c_ssd_t  *ssd = op->ssd;

    s3c_ssd_count(&ssd->stores[op->store].n_read_error, 1);
    s3c_ssd_say(ssd, S3C_SSD_LOG_ERROR, op->store, (uint64_t) err, "read");

    return s3c_ssd_op_drop_place(op, NULL) ? S3C_IO : S3C_MISS;
}


/* --- sending ------------------------------------------------------------- */

/* BUSY: no room in the queue. */
static s3c_status_t
op_send(s3c_ssd_op_t *op)
{
    s3c_ssd_t                  *ssd = op->ssd;
    s3c_ssd_store_sh_t         *store = &ssd->stores[op->store];
    const s3c_ssd_window_t     *w = &op->window;

    op->io.kind = S3C_IO_READ;
    op->io.fd = ssd->env.fds[op->store];
    op->io.buf = op->buffer.data + op->got;
    op->io.len = w->len - op->got;
    op->io.off = w->off + op->got;
    op->io.done = op_done;

    if (s3c_io_queue(ssd->env.io, &op->io) != S3C_OK) {
        return S3C_BUSY;
    }

    op->state = S3C_SSD_OP_FLYING;
    op->deadline_us = ssd->env.usec(ssd->env.ctx)
                      + (uint64_t) store->conf.timeout_ms * 1000;
    s3c_ssd_op_list_add(&ssd->reader->queues[op->store].flying, op);
    s3c_ssd_reads_add(ssd, op->store, 1);

    return S3C_OK;
}


/* MISS: its store is out of service. BUSY: no memory, or no room in the queue;
 * AGAIN: its store has its share. */
static s3c_status_t
op_try(s3c_ssd_op_t *op)
{
    s3c_ssd_t     *ssd = op->ssd;
    s3c_status_t   st;

    if (!s3c_ssd_in_service(ssd, op->store)) {
        return S3C_MISS;
    }

    if (op->buffer.data == NULL) {
        st = s3c_ssd_pool_take(&ssd->reader->pool, op->store, op->window.len,
                               &op->buffer);
        if (st != S3C_OK) {
            return st;
        }
    }

    return op_send(op);
}


/* Who has a buffer already goes before all others: they may be waiting for
 * just that buffer. */
void
s3c_ssd_op_go(s3c_ssd_op_t *op)
{
    bool               begun = op->buffer.data != NULL;
    s3c_ssd_t         *ssd = op->ssd;
    s3c_status_t       st;
    s3c_ssd_reader_t  *r = ssd->reader;
    s3c_ssd_queue_t   *q = &r->queues[op->store];

    if (begun || (q->waiting.first == NULL && !r->is_full)) {
        st = op_try(op);

        if (st == S3C_OK) {
            return;
        }

        r->is_full = r->is_full || st == S3C_BUSY;
    }

    op->state = S3C_SSD_OP_WAITING;
    op->deadline_us = ssd->env.usec(ssd->env.ctx)
                      + (uint64_t) ssd->stores[op->store].conf.timeout_ms
                        * 1000;

    if (begun) {
        op->ticket = 0;
        s3c_ssd_op_list_first(&q->waiting, op);
    } else {
        op->ticket = ++r->ticket;
        s3c_ssd_op_list_add(&q->waiting, op);
    }
}


/* Of those that may go on, the one that has waited longest. */
static s3c_ssd_op_t *
op_next(const s3c_ssd_t *ssd)
{
    s3c_ssd_op_t           *op, *found = NULL;
    const s3c_ssd_queue_t  *q = ssd->reader->queues;

    for (uint32_t i = 0; i < ssd->n_stores; i++) {
        op = q[i].waiting.first;

        if (op != NULL && !q[i].has_share
            && (found == NULL || op->ticket < found->ticket))
        {
            found = op;
        }
    }

    return found;
}


void
s3c_ssd_op_pump(s3c_ssd_t *ssd)
{
    s3c_ssd_op_t      *op;
    s3c_ssd_queue_t   *q;
    s3c_ssd_reader_t  *r = ssd->reader;

    r->is_full = false;

    for (uint32_t i = 0; i < ssd->n_stores; i++) {
        r->queues[i].has_share = false;
    }

    while ((op = op_next(ssd)) != NULL) {
        q = &r->queues[op->store];
        s3c_ssd_op_list_remove(&q->waiting, op);

        switch (op_try(op)) {
        case S3C_OK:
            break;

        case S3C_MISS:
            s3c_ssd_op_end(op, S3C_MISS);
            break;

        case S3C_AGAIN:
            s3c_ssd_op_list_first(&q->waiting, op);
            q->has_share = true;         /* the other stores go on */
            break;

        default:
            s3c_ssd_op_list_first(&q->waiting, op);
            r->is_full = true;
            return;
        }
    }
}


/* --- what has come ------------------------------------------------------- */

static const uint8_t *
frame_at(const s3c_ssd_op_t *op, uint32_t frame)
{
    return op->buffer.data + (s3c_ssd_place_off(op->place)
                              + s3c_ssd_frame_off(frame) - op->window.off);
}


/* One frame of the window: checked, and its record known after the first. */
static s3c_status_t
frame_check(s3c_ssd_op_t *op, uint32_t frame, const uint8_t **payload,
    uint32_t *len)
{
    uint64_t              at;
    uint32_t              need;
    s3c_status_t          st;
    const uint8_t        *in;
    s3c_ssd_frame_rec_t   head;

    at = s3c_ssd_place_off(op->place) + s3c_ssd_frame_off(frame)
         - op->window.off;
    need = s3c_ssd_window_need(op->place, &op->window);

    if (at > need) {
        return S3C_MISS;                 /* longer than its place */
    }

    in = frame_at(op, frame);
    op->expect.frame = frame;
    st = s3c_ssd_frame_decode(in, need - at, &op->expect, true, &head);

    if (st != S3C_OK) {
        return st == S3C_AGAIN ? S3C_MISS : st;
    }

    if (!op->known) {
        if (head.kind != S3C_SSD_KIND_RECORD
            || s3c_ssd_record_units(head.size)
               != s3c_ssd_place_units(op->place))
        {
            return S3C_MISS;
        }

        op->known = true;
        op->expect.segment_seq = head.segment_seq;
        op->expect.record_seq = head.record_seq;
        op->record = (s3c_ssd_record_t) {
            .size = head.size, .tag = { head.tag[0], head.tag[1] }
        };

        if (op->end > s3c_ssd_n_frames(head.size)) {
            op->end = s3c_ssd_n_frames(head.size);
        }

    } else if (head.size != op->record.size || head.tag[0] != op->record.tag[0]
               || head.tag[1] != op->record.tag[1])
    {
        return S3C_CORRUPT;
    }

    *payload = in + S3C_SSD_HEAD_BYTES;
    *len = s3c_ssd_frame_len(head.size, frame);

    if (op->whole) {
        op->crc = frame == 0 ? head.payload_crc
                  : s3c_crc32c_combine(op->crc, head.payload_crc, *len);

        if (frame + 1 == s3c_ssd_n_frames(head.size)
            && op->crc != head.whole_crc)
        {
            return S3C_CORRUPT;
        }
    }

    return S3C_OK;
}


/* No such frame: is it nevertheless no proof against the record? A caller that
 * is wrong about the size may ask for what would lie in the slack of the last
 * unit, and two keys may be one to the index. */
static bool
frame_may_not_be(const s3c_ssd_op_t *op)
{
    uint64_t               bytes;
    s3c_ssd_expect_t       expect = op->expect;
    s3c_ssd_frame_rec_t    head;

    if (op->known) {
        return false;
    }

    bytes = (uint64_t) s3c_ssd_place_units(op->place) * S3C_SSD_UNIT
            - s3c_ssd_frame_off(op->window.frame);
    expect.any_key = true;

    return (op->window.frame > 0 && bytes < S3C_SSD_UNIT)
           || s3c_ssd_frame_decode(frame_at(op, op->window.frame),
                                   S3C_SSD_HEAD_BYTES, &expect, false, &head)
              == S3C_OK;
}


/* All frames of the window, then the next window or the end. */
static void
op_deliver(s3c_ssd_op_t *op)
{
    uint32_t         frame, len;
    s3c_status_t     st = S3C_OK;
    const uint8_t   *payload;

    op->state = S3C_SSD_OP_DELIVERING;

    for (frame = op->window.frame;
         frame < op->window.end && (!op->known || frame < op->end);
         frame++)
    {
        st = frame_check(op, frame, &payload, &len);

        if (st != S3C_OK) {
            st = st == S3C_MISS && frame_may_not_be(op) ? S3C_MISS
                                                        : op_corrupt(op);
            break;
        }

        op->delivered += len;
        st = op->read->on_data(op->read, &op->record,
                               frame * S3C_SSD_FRAME_BYTES, payload, len);

        if (op->read == NULL) {          /* cancelled by itself */
            s3c_ssd_op_free(op);
            return;
        }

        if (st != S3C_OK) {
            break;
        }
    }

    if (st != S3C_OK || frame >= op->end) {
        s3c_ssd_op_end(op, st);
        return;
    }

    st = s3c_ssd_window_of(op->place,
                           op->ssd->stores[op->store].conf.align, frame,
                           op->end, &op->window);
    if (st != S3C_OK) {             /* the units are too few: cannot be */
        s3c_ssd_op_end(op, st);
        return;
    }

    op->got = 0;
    s3c_ssd_op_go(op);
}


/* Bytes have come. False: not all of them, the rest is on its way, or the read
 * has ended. */
static bool
op_complete(s3c_ssd_op_t *op, int32_t n)
{
    uint32_t  align = op->ssd->stores[op->store].conf.align;

    if (n > 0) {
        op->got += (uint32_t) n;
    }

    if (op->got >= s3c_ssd_window_need(op->place, &op->window)) {
        return true;
    }

    /* a short read is tried again where it ended, as long as it gets on */
    if (n >= (int32_t) align && op->read != NULL) {
        op->got &= ~(align - 1);
        s3c_ssd_op_go(op);
        return false;
    }

    s3c_ssd_op_end(op, op_io_error(op, EIO));

    return false;
}


static void
op_done(s3c_io_op_t *io)
{
    s3c_ssd_op_t        *op = (s3c_ssd_op_t *) io;
    int32_t              n = io->result;
    s3c_ssd_t           *ssd = op->ssd;
    s3c_ssd_queue_t     *q;
    s3c_ssd_reader_t    *r;
    s3c_ssd_store_sh_t  *store;

    if (ssd == NULL) {
        return;                          /* after s3c_ssd_leave */
    }

    r = ssd->reader;
    q = &r->queues[op->store];
    store = &ssd->stores[op->store];

    s3c_ssd_reads_add(ssd, op->store, -1);

    if (n > 0) {
        s3c_ssd_count(&store->read_bytes, (uint64_t) n);
    }

    if (op->hung) {                      /* was told, and is in no list */
        s3c_ssd_op_free(op);
        s3c_ssd_op_pump(ssd);
        return;
    }

    s3c_ssd_op_list_remove(&q->flying, op);
    q->ended_us = r->ended_us = ssd->env.usec(ssd->env.ctx);

    /* a file that ends early is an error as well */
    s3c_ssd_store_result(ssd, op->store, S3C_IO_READ,
                         n < 0 ? -n : n == 0 ? EIO : 0);

    if (n < 0) {
        s3c_ssd_op_end(op, op_io_error(op, -n));

    } else if (op->read == NULL) {
        s3c_ssd_op_free(op);

    } else if (op_complete(op, n)) {
        op_deliver(op);
    }

    s3c_ssd_op_pump(ssd);
}
