/* SPDX-License-Identifier: Apache-2.0
 *
 * Staging: records are copied into batches, with their checksums on the way,
 * and batches are written. What a record needs of the device is known when all
 * batches up to its end are done, in the segment's order; then its place in
 * the index becomes LIVE. A batch stays taken until those before it are done.
 *
 * No batch of a record is sent before the whole record is staged: a frame's
 * head, which comes first, holds the checksum of what comes after.
 */
#include "ssd/ssd_write.h"

#include <errno.h>
#include <string.h>

#include "base/crc32c.h"

typedef struct {               /* where something was staged */
    s3c_ssd_batch_t  *batch;
    uint32_t          at;
} spot_t;


static s3c_ssd_lane_t *
lane_of(const s3c_ssd_appender_t *ap)
{
    return &ap->ssd->writer->lanes[ap->store];
}


/* --- one write ----------------------------------------------------------- */

static bool
send_try(s3c_ssd_write_t *w)
{
    s3c_ssd_t           *ssd = w->ssd;
    s3c_ssd_store_sh_t  *st = &ssd->stores[w->appender->store];

    if (s3c_io_queue(ssd->env.io, &w->op) != S3C_OK) {
        return false;
    }

    w->state = S3C_SSD_WRITE_IN_FLIGHT;
    w->sent_ms = ssd->now_ms;
    w->appender->n_in_flight++;
    s3c_ssd_writes_add(ssd, w->appender->store, 1);
    s3c_ssd_count(&st->written_bytes, w->op.len);

    return true;
}


void
s3c_ssd_write_send(s3c_ssd_write_t *w)
{
    s3c_ssd_write_t  **p;

    if (send_try(w)) {
        return;
    }

    w->state = S3C_SSD_WRITE_WAITING;
    w->next = NULL;

    for (p = &w->ssd->writer->waiting; *p != NULL; p = &(*p)->next) {
        /* to the end */
    }

    *p = w;
}


void
s3c_ssd_write_unwait(s3c_ssd_write_t *w)
{
    s3c_ssd_write_t  **p;

    for (p = &w->ssd->writer->waiting; *p != NULL; p = &(*p)->next) {
        if (*p == w) {
            *p = w->next;
            w->state = S3C_SSD_WRITE_NONE;
            return;
        }
    }
}


void
s3c_ssd_write_resend(s3c_ssd_t *ssd)
{
    bool               any = false;
    s3c_ssd_writer_t  *wr = ssd->writer;

    while (wr->waiting != NULL && send_try(wr->waiting)) {
        wr->waiting = wr->waiting->next;
        any = true;
    }

    if (any) {
        s3c_io_submit(ssd->env.io);
    }
}


/* The rest of a short write, from its last whole block on. */
static void
send_rest(s3c_ssd_write_t *w)
{
    uint32_t  n = (uint32_t) w->op.result / S3C_SSD_BLOCK * S3C_SSD_BLOCK;

    w->again = true;
    w->op.buf = (uint8_t *) w->op.buf + n;
    w->op.off += n;
    w->op.len -= n;
    s3c_ssd_charge(w->ssd, w->appender->store, w->op.len);
    s3c_ssd_write_send(w);
}


void
s3c_ssd_write_done(s3c_io_op_t *op)
{
    int                  err = 0;
    uint32_t             store;
    s3c_ssd_write_t     *w = op->data;
    s3c_ssd_t           *ssd = w->ssd;
    s3c_ssd_store_sh_t  *st;
    s3c_ssd_appender_t  *ap = w->appender;

    store = ap->store;
    st = &ssd->stores[store];

    ap->n_in_flight--;
    s3c_ssd_writes_add(ssd, store, -1);
    w->state = S3C_SSD_WRITE_DONE;

    if (op->result < 0) {
        err = -op->result;

    } else if ((uint32_t) op->result < op->len) {
        if (!w->again && !ap->broken) {
            send_rest(w);
            return;
        }

        err = EIO;
    }

    if (err != 0) {
        s3c_ssd_count(&st->n_write_error, 1);
        s3c_ssd_say(ssd, S3C_SSD_LOG_ERROR, store, (uint64_t) err, "write");
    }

    w->end(w, err);
    s3c_ssd_appender_step(ap);
    s3c_ssd_write_resend(ssd);
    s3c_ssd_tombstones_run(ssd);

    /* Last: it may abandon all that is written to this store. */
    s3c_ssd_store_result(ssd, store, S3C_IO_WRITE, err);
}


/* --- batches ------------------------------------------------------------- */

static void
batch_release(s3c_ssd_batch_t *b)
{
    s3c_ssd_writer_t  *wr = b->write.ssd->writer;
    s3c_ssd_lane_t    *lane = lane_of(b->write.appender);

    if (b->counted) {
        lane->n_syncs--;
    }

    lane->n_batches--;
    b->write.state = S3C_SSD_WRITE_NONE;
    b->write.appender = NULL;
    b->next = wr->free;
    wr->free = b;
    wr->n_free++;
}


static uint64_t
entry_end(const s3c_ssd_footer_rec_t *e)
{
    return ((uint64_t) e->unit + s3c_ssd_record_units(e->size)) * S3C_SSD_UNIT;
}


static void
settle(s3c_ssd_appender_t *ap, uint32_t durable)
{
    bool                   mine;
    uint32_t               n;
    s3c_ssd_t             *ssd = ap->ssd;
    s3c_ssd_footer_rec_t  *e;

    while (ap->n_settled < ap->n_entries
           && entry_end(&ap->entries[ap->n_settled]) <= durable)
    {
        if (!s3c_ssd_lock(ssd)) {
            return;
        }

        mine = s3c_ssd_appender_is_mine(ap);

        for (n = 0; n < S3C_SSD_LOCKED_MAX && ap->n_settled < ap->n_entries;
             n++)
        {
            e = &ap->entries[ap->n_settled];
            if (entry_end(e) > durable) {
                break;
            }

            /* MISS: it was dropped or superseded while it was under way. */
            if (mine && e->kind == S3C_SSD_KIND_RECORD
                && s3c_ssd_index_settle_locked(ssd,
                       (s3c_hash128_t) { .lo = e->key_lo, .hi = e->key_hi },
                       s3c_ssd_entry_place(ssd, ap, e, S3C_SSD_PLACE_PENDING))
                   != S3C_OK)
            {
                /* its bytes are dead from the start */
            }

            s3c_ssd_due_done(ssd, ap->store, s3c_ssd_entry_due(e));
            memset(e->zero, 0, sizeof(e->zero));
            ap->n_settled++;
        }

        s3c_ssd_unlock(ssd);
    }
}


static void
batch_end(s3c_ssd_write_t *w, int err)
{
    uint32_t             durable = 0;
    s3c_ssd_t           *ssd = w->ssd;
    s3c_ssd_batch_t     *b = (s3c_ssd_batch_t *) w;
    s3c_ssd_appender_t  *ap = w->appender;

    ssd->env.observe(ssd->env.ctx, S3C_SSD_WRITE_TIME,
                     ssd->env.usec(ssd->env.ctx) - w->begun_usec);

    if (ap->broken) {
        batch_release(b);                /* it was no longer in the list */
        return;
    }

    if (err != 0) {
        s3c_ssd_appender_fail(ap);
        return;
    }

    while ((b = ap->first) != NULL && b->write.state == S3C_SSD_WRITE_DONE) {
        durable = b->off + b->fill;
        ap->first = b->next;
        if (ap->first == NULL) {
            ap->last = NULL;
        }
        batch_release(b);
    }

    if (durable != 0) {
        settle(ap, durable);
    }
}


void
s3c_ssd_batches_init(s3c_ssd_t *ssd)
{
    uint32_t           i;
    s3c_ssd_batch_t   *b;
    s3c_ssd_writer_t  *wr = ssd->writer;

    for (i = S3C_SSD_BATCHES; i-- > 0; /* void */) {
        b = &wr->batches[i];
        b->buf = wr->staging + (size_t) i * S3C_SSD_BATCH_BYTES;
        b->write.ssd = ssd;
        b->write.end = batch_end;
        b->next = wr->free;
        wr->free = b;
        wr->n_free++;
    }
}


static s3c_ssd_batch_t *
batch_take(s3c_ssd_appender_t *ap)
{
    s3c_ssd_writer_t  *wr = ap->ssd->writer;
    s3c_ssd_batch_t   *b = wr->free;

    assert(b != NULL && ap->at % S3C_SSD_BLOCK == 0);

    wr->free = b->next;
    wr->n_free--;
    lane_of(ap)->n_batches++;

    b->write.appender = ap;
    b->write.state = S3C_SSD_WRITE_FILLING;
    b->write.again = false;
    b->write.hung = false;
    b->sync = false;
    b->counted = false;
    b->next = NULL;
    b->off = ap->at;
    b->fill = 0;
    b->paid = 0;
    b->born_ms = ap->ssd->now_ms;

    if (ap->last != NULL) {
        ap->last->next = b;
    } else {
        ap->first = b;
    }
    ap->last = b;

    return b;
}


static void
batch_send(s3c_ssd_batch_t *b)
{
    uint32_t             pad = -b->fill & (S3C_SSD_BLOCK - 1);
    s3c_ssd_t           *ssd = b->write.ssd;
    s3c_ssd_appender_t  *ap = b->write.appender;

    memset(b->buf + b->fill, 0, pad);
    b->fill += pad;
    if (b == ap->last) {
        ap->at = b->off + b->fill;
    }

    if (b->sync) {
        b->counted = true;
        lane_of(ap)->n_syncs++;
    }

    /* The header, too, or a tombstone that lasts is in a segment that is not
     * recognised after a power failure. */
    b->write.op = (s3c_io_op_t) {
        .kind = b->sync || b->off == 0 ? S3C_IO_WRITE_DSYNC : S3C_IO_WRITE,
        .fd = ssd->env.fds[ap->store],
        .buf = b->buf,
        .len = b->fill,
        .off = s3c_ssd_segment_off(&ssd->stores[ap->store], ap->segment)
               + b->off,
        .done = s3c_ssd_write_done,
        .data = &b->write,
    };
    b->write.begun_usec = ssd->env.usec(ssd->env.ctx);

    s3c_ssd_charge(ssd, ap->store, b->fill - b->paid);
    s3c_ssd_write_send(&b->write);
}


void
s3c_ssd_flush(s3c_ssd_appender_t *ap)
{
    s3c_ssd_batch_t  *b;

    for (b = ap->first; b != NULL; b = b->next) {
        if (b->write.state == S3C_SSD_WRITE_FILLING) {
            batch_send(b);
        }
    }
}


void
s3c_ssd_batches_drop(s3c_ssd_appender_t *ap)
{
    s3c_ssd_batch_t  *b;

    while ((b = ap->first) != NULL) {
        ap->first = b->next;

        if (b->write.state == S3C_SSD_WRITE_WAITING) {
            s3c_ssd_write_unwait(&b->write);
        }

        if (b->write.state != S3C_SSD_WRITE_IN_FLIGHT) {
            batch_release(b);
        }
    }

    ap->last = NULL;
}


/* --- staging ------------------------------------------------------------- */

/* The room behind what is staged, in a batch that has some. */
static s3c_ssd_batch_t *
batch_open(s3c_ssd_appender_t *ap)
{
    s3c_ssd_batch_t  *b = ap->last;

    return b != NULL && b->write.state == S3C_SSD_WRITE_FILLING
           && b->fill < S3C_SSD_BATCH_BYTES ? b : batch_take(ap);
}


static uint32_t
stage_piece(s3c_ssd_appender_t *ap, const uint8_t *data, uint32_t len,
    uint32_t *crc)
{
    uint8_t          *to;
    s3c_ssd_batch_t  *b = batch_open(ap);

    to = b->buf + b->fill;

    if (len > S3C_SSD_BATCH_BYTES - b->fill) {
        len = S3C_SSD_BATCH_BYTES - b->fill;
    }

    if (data == NULL) {
        memset(to, 0, len);
    } else if (crc != NULL) {
        *crc = s3c_crc32c_copy(*crc, to, data, len);
    } else {
        memcpy(to, data, len);
    }

    b->fill += len;
    ap->at += len;

    return len;
}


void
s3c_ssd_stage(s3c_ssd_appender_t *ap, const void *data, uint32_t len)
{
    uint32_t        n;
    const uint8_t  *p = data;

    while (len > 0) {
        n = stage_piece(ap, p, len, NULL);
        p = p == NULL ? NULL : p + n;
        len -= n;
    }
}


static uint32_t
stage_payload(s3c_ssd_appender_t *ap, const struct iovec **iov, size_t *done,
    uint32_t len)
{
    size_t    part;
    uint32_t  n, crc = 0;

    while (len > 0) {
        part = (*iov)->iov_len - *done;
        if (part == 0) {
            (*iov)++;
            *done = 0;
            continue;
        }

        n = stage_piece(ap, (const uint8_t *) (*iov)->iov_base + *done,
                        part < len ? (uint32_t) part : len, &crc);
        *done += n;
        len -= n;
    }

    return crc;
}


/* What was left free at `spot`; it may go on in the next batch. */
static void
stage_at(spot_t spot, const void *data, uint32_t len)
{
    uint32_t  n = S3C_SSD_BATCH_BYTES - spot.at;

    n = n < len ? n : len;
    memcpy(spot.batch->buf + spot.at, data, n);

    if (n < len) {
        memcpy(spot.batch->next->buf, (const uint8_t *) data + n, len - n);
    }
}


static void
pay(s3c_ssd_batch_t *from, uint32_t fill_before)
{
    from->paid += from->fill - fill_before;

    for (from = from->next; from != NULL; from = from->next) {
        from->paid += from->fill;
    }
}


static void
stage_frames(s3c_ssd_appender_t *ap, s3c_ssd_frame_rec_t head,
    const struct iovec *iov)
{
    size_t    done = 0;
    spot_t    spot;
    uint32_t  i, len, whole = 0, n = s3c_ssd_n_frames(head.size);

    for (i = 0; i < n; i++) {
        spot.batch = batch_open(ap);
        spot.at = spot.batch->fill;
        s3c_ssd_stage(ap, NULL, S3C_SSD_HEAD_BYTES);

        len = s3c_ssd_frame_len(head.size, i);
        head.frame = (uint16_t) i;
        head.payload_crc = stage_payload(ap, &iov, &done, len);
        whole = s3c_crc32c_combine(whole, head.payload_crc, len);
        head.whole_crc = i + 1 == n ? whole : 0;
        s3c_ssd_frame_encode(&head);
        stage_at(spot, &head, sizeof(head));
    }
}


/* A tombstone lasts whoever sends it: a flush, a full batch, the footer. */
static void
sync_from(s3c_ssd_batch_t *b)
{
    for ( /* void */ ; b != NULL; b = b->next) {
        b->sync = true;
    }
}


void
s3c_ssd_stage_record(s3c_ssd_appender_t *ap, const s3c_ssd_frame_rec_t *head,
    const struct iovec *iov, int n_iov, bool paid, bool supersedes)
{
    size_t                 sum = 0;
    uint32_t               begin = ap->at, fill;
    s3c_ssd_batch_t       *b = batch_open(ap);
    s3c_ssd_footer_rec_t  *e;

    for (int i = 0; i < n_iov; i++) {
        sum += iov[i].iov_len;
    }
    assert(sum >= head->size && begin % S3C_SSD_UNIT == 0);

    fill = b->fill;
    stage_frames(ap, *head, iov);

    if (paid) {
        pay(b, fill);                    /* the rounding is charged later */
    }

    s3c_ssd_stage(ap, NULL, -ap->at & (S3C_SSD_UNIT - 1));

    if (head->kind == S3C_SSD_KIND_TOMBSTONE) {
        sync_from(b);
    }

    e = &ap->entries[ap->n_entries++];
    *e = (s3c_ssd_footer_rec_t) {
        .key_lo = head->key_lo,
        .key_hi = head->key_hi,
        .record_seq = head->record_seq,
        .unit = begin / S3C_SSD_UNIT,
        .size = head->size,
        .kind = head->kind,
    };
    e->zero[0] = supersedes ? S3C_SSD_SUPERSEDES : 0;

    if (head->record_seq > ap->last_seq) {
        ap->last_seq = head->record_seq;
    }

    for (b = ap->first; b != NULL; b = b->next) {
        if (b->write.state == S3C_SSD_WRITE_FILLING
            && b->fill == S3C_SSD_BATCH_BYTES
            && head->kind == S3C_SSD_KIND_RECORD)
        {
            batch_send(b);
        }
    }
}
