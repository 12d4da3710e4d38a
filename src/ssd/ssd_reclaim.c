/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes the oldest segment of a store free again. Its footer tells what was
 * written there; what still lies there and was asked for moves to the log's
 * end (up to a quarter of the segment, what was asked for most first), the
 * rest leaves. A torn segment has no footer: what points into it is looked for
 * in the index, and leaves.
 *
 *   IDLE -> TRAILER -> FOOTER -> LOOK -> MOVE <-> READ
 *                                        MOVE -> EVICT -> IDLE
 *   no footer, or it tells not all:      ... -> SWEEP  -> IDLE
 *   the store is out of service:         any  -> IDLE, it stays as it is
 *
 * Only the keeper runs it, a slice at a time; nothing here waits.
 */
#include "ssd/ssd_reclaim.h"

#include <errno.h>
#include <stdlib.h>

#define READ_PIECE     (1u << 20)      /* one I/O */
#define SLICES         8               /* of these, in one run: */
#define EVICT_SLICE    512             /* entries */
#define SWEEP_SLICE    4096            /* buckets */
#define FREE_SHARE     16              /* of all segments shall be free.. */
#define FREE_MARGIN    2               /* ..these, one more than open */

static void reclaim_step(s3c_ssd_reclaim_t *r);


/* --- reading ------------------------------------------------------------- */

static void
look_free(s3c_ssd_reclaim_io_t *l)
{
    if (l != NULL) {
        free(l->buf);
        free(l);
    }
}


static void
reads_add(s3c_ssd_reclaim_t *r, int32_t n)
{
    s3c_ssd_reads_add(r->ssd, r->store, n);
}


static void look_done(s3c_io_op_t *op);


static void
look_send(s3c_ssd_reclaim_t *r)
{
    uint32_t               len = r->look->len - r->look->got;
    s3c_ssd_reclaim_io_t  *l = r->look;

    l->op = (s3c_io_op_t) {
        .kind = S3C_IO_READ,
        .fd = r->ssd->env.fds[r->store],
        .buf = l->buf + l->got,
        .len = len < READ_PIECE ? len : READ_PIECE,
        .off = l->off + l->got,
        .done = look_done,
        .data = l,
    };

    r->unsent = s3c_io_queue(r->ssd->env.io, &l->op) != S3C_OK;
    if (!r->unsent) {
        r->look_ms = r->ssd->now_ms;
        reads_add(r, 1);
    }
}


bool
s3c_ssd_reclaim_read(s3c_ssd_reclaim_t *r, uint32_t from, uint32_t len)
{
    void                  *p;
    s3c_ssd_reclaim_io_t  *l = calloc(1, sizeof(s3c_ssd_reclaim_io_t));

    if (l == NULL || posix_memalign(&p, S3C_SSD_BLOCK, len) != 0) {
        free(l);
        return false;
    }

    l->owner = r;
    l->buf = p;
    l->len = len;
    l->off = r->off + from;
    r->look = l;
    look_send(r);

    return true;
}


static void
reclaim_clear(s3c_ssd_reclaim_t *r)
{
    if (r->look != NULL) {
        if (r->unsent) {
            look_free(r->look);

        } else {
            r->look->owner = NULL;       /* the kernel's; freed when it ends */
            reads_add(r, -1);
        }
    }

    free(r->footer);
    free(r->refs);
    free(r->hot);
    *r = (s3c_ssd_reclaim_t) { .ssd = r->ssd, .store = r->store };
}


/* Back to what it was, unless the store was emptied meanwhile. */
static void
give_up(s3c_ssd_reclaim_t *r)
{
    s3c_ssd_t             *ssd = r->ssd;
    s3c_ssd_segment_sh_t  *g = &ssd->segments[r->segment];

    if (s3c_ssd_lock(ssd)) {
        if (g->state == S3C_SSD_SEGMENT_RECLAIMING && g->seq == r->seq) {
            g->owner = S3C_SSD_NO_SLOT;
            g->state = r->sealed ? S3C_SSD_SEGMENT_SEALED
                                 : S3C_SSD_SEGMENT_TORN;
        }
        s3c_ssd_unlock(ssd);
    }

    reclaim_clear(r);
}


static void
sweep_begin(s3c_ssd_reclaim_t *r)
{
    r->bucket = 0;
    r->state = S3C_SSD_RECLAIM_SWEEP;
}


/* --- what was read ------------------------------------------------------- */

static void
trailer_take(s3c_ssd_reclaim_t *r, s3c_ssd_reclaim_io_t *l)
{
    if (s3c_ssd_trailer_decode(l->buf, r->store_id, r->seq, r->bytes,
                               &r->trailer) != S3C_OK)
    {
        sweep_begin(r);
        return;
    }

    if (r->trailer.n_records == 0) {
        sweep_begin(r);
        return;
    }

    r->state = S3C_SSD_RECLAIM_FOOTER;
    if (!s3c_ssd_reclaim_read(r, r->trailer.footer_off,
                    r->bytes - S3C_SSD_BLOCK - r->trailer.footer_off))
    {
        sweep_begin(r);
    }
}


static void
footer_take(s3c_ssd_reclaim_t *r, s3c_ssd_reclaim_io_t *l)
{
    if (s3c_ssd_footer_decode(l->buf, &r->trailer, r->bytes) != S3C_OK) {
        sweep_begin(r);
        return;
    }

    r->refs = calloc(r->trailer.n_records, 1);
    if (r->refs == NULL) {
        sweep_begin(r);
        return;
    }

    r->footer = l->buf;
    l->buf = NULL;
    r->sealed = true;
    r->at = 0;
    r->state = S3C_SSD_RECLAIM_LOOK;
}


static void
hot_take(s3c_ssd_reclaim_t *r, s3c_ssd_reclaim_io_t *l)
{
    r->hot = l->buf;
    l->buf = NULL;
    r->state = S3C_SSD_RECLAIM_MOVE;
}


/* The read has failed or hangs: without what it was for. */
static void
look_failed(s3c_ssd_reclaim_t *r)
{
    if (r->state == S3C_SSD_RECLAIM_READ) {
        r->at = r->hot_n;
        r->hot_n = 0;
        r->state = S3C_SSD_RECLAIM_MOVE;

    } else {
        sweep_begin(r);
    }
}


static void
look_done(s3c_io_op_t *op)
{
    int                    err = 0;
    s3c_ssd_reclaim_io_t  *l = op->data;
    s3c_ssd_reclaim_t     *r = l->owner;
    s3c_ssd_t             *ssd;
    uint32_t               store;
    s3c_ssd_store_sh_t    *st;

    if (r == NULL) {
        look_free(l);
        return;
    }

    ssd = r->ssd;
    store = r->store;
    st = store_of(r);
    reads_add(r, -1);

    if (op->result > 0) {
        s3c_ssd_count(&st->read_bytes, (uint64_t) op->result);
        l->got += (uint32_t) op->result / S3C_SSD_UNIT * S3C_SSD_UNIT;

        if (l->got < l->len
            && (uint32_t) op->result >= S3C_SSD_UNIT)
        {
            look_send(r);
            return;
        }
    }

    if (l->got < l->len) {
        err = op->result < 0 ? -op->result : EIO;
        s3c_ssd_count(&st->n_read_error, 1);
        s3c_ssd_say(ssd, S3C_SSD_LOG_ERROR, store, (uint64_t) err, "reclaim");
    }

    r->look = NULL;

    if (err != 0) {
        look_failed(r);
    } else if (r->state == S3C_SSD_RECLAIM_TRAILER) {
        trailer_take(r, l);
    } else if (r->state == S3C_SSD_RECLAIM_FOOTER) {
        footer_take(r, l);
    } else {
        hot_take(r, l);
    }

    look_free(l);
    reclaim_step(r);

    /* Last: the store may be out of service after it. */
    s3c_ssd_store_result(ssd, store, S3C_IO_READ, err);
}


/* --- emptying ------------------------------------------------------------ */

static void
free_locked(s3c_ssd_reclaim_t *r)
{
    s3c_ssd_segment_sh_t  *g = &r->ssd->segments[r->segment];

    if (g->state == S3C_SSD_SEGMENT_RECLAIMING && g->seq == r->seq) {
        s3c_ssd_segment_free_locked(r->ssd, r->segment);
        s3c_ssd_count(&store_of(r)->n_reclaim, 1);
    }
}


static bool
evict_slice(s3c_ssd_reclaim_t *r)
{
    uint32_t              n;
    s3c_ssd_t            *ssd = r->ssd;
    s3c_ssd_place_t       old;
    s3c_ssd_footer_rec_t  e;

    if (!s3c_ssd_lock(ssd)) {
        return false;
    }

    if (ssd->segments[r->segment].seq != r->seq) {
        r->at = r->trailer.n_records;    /* the store was emptied */
    }

    for (n = 0; n < EVICT_SLICE && r->at < r->trailer.n_records;
         n++, r->at++)
    {
        e = s3c_ssd_footer_entry(r->footer, r->at);

        if (e.kind == S3C_SSD_KIND_RECORD
            && s3c_ssd_index_remove_locked(ssd, entry_key(&e),
                                           entry_place(r, &e), &old)
               == S3C_OK)
        {
            s3c_ssd_count(&store_of(r)->n_evict, 1);
            s3c_ssd_ghost_add(ssd, entry_key(&e));
        }
    }

    if (r->at < r->trailer.n_records) {
        s3c_ssd_unlock(ssd);
        return true;
    }

    if (ssd->segments[r->segment].seq == r->seq
        && ssd->segments[r->segment].live_records > 0)
    {
        sweep_begin(r);                  /* the footer has not told all */
        s3c_ssd_unlock(ssd);
        return true;
    }

    free_locked(r);
    s3c_ssd_unlock(ssd);
    reclaim_clear(r);

    return false;
}


static bool
sweep_take(void *ctx, s3c_ssd_place_t place, uint64_t slot)
{
    s3c_ssd_reclaim_t  *r = ctx;

    (void) slot;

    if (s3c_ssd_place_kind(place) == S3C_SSD_PLACE_TOMBSTONE
        || s3c_ssd_place_store(place) != r->store
        || s3c_ssd_place_segment(r->ssd, place) != r->segment)
    {
        return false;
    }

    s3c_ssd_count(&store_of(r)->n_evict, 1);

    return true;
}


static bool
sweep_slice(s3c_ssd_reclaim_t *r)
{
    s3c_ssd_t                   *ssd = r->ssd;
    const s3c_ssd_segment_sh_t  *g = &ssd->segments[r->segment];

    if (!s3c_ssd_lock(ssd)) {
        return false;
    }

    if (g->seq == r->seq && g->live_records > 0) {
        r->bucket = s3c_ssd_index_scan_locked(ssd, r->bucket, SWEEP_SLICE,
                                              sweep_take, r);
        if (r->bucket < ssd->n_buckets) {
            s3c_ssd_unlock(ssd);
            return true;
        }
    }

    free_locked(r);
    s3c_ssd_unlock(ssd);
    reclaim_clear(r);

    return false;
}


/* --- the machine --------------------------------------------------------- */

/* A small store has no more than a quarter of its segments kept free, but what
 * a put needs besides the reserve. */
static bool
is_needed(const s3c_ssd_reclaim_t *r)
{
    uint32_t                   want, most;
    const s3c_ssd_store_sh_t  *st = store_of(r);

    /* more than put leaves to us, even if nothing is open: else neither moves */
    want = FREE_MARGIN + 1 + st->n_open;
    want = want > st->n_segments / FREE_SHARE ? want
                                              : st->n_segments / FREE_SHARE;
    most = st->n_segments / 4 > FREE_MARGIN + 1 ? st->n_segments / 4
                                                : FREE_MARGIN + 1;

    return st->n_free < (want < most ? want : most);
}


static void
reclaim_begin(s3c_ssd_reclaim_t *r)
{
    s3c_status_t         st = S3C_MISS;
    s3c_ssd_t           *ssd = r->ssd;
    s3c_ssd_store_sh_t  *sh = store_of(r);

    if (ssd->quiescing || s3c_ssd_state(ssd, r->store) != S3C_SSD_SERVING
        || !is_needed(r) || !s3c_ssd_lock(ssd))
    {
        return;
    }

    if (is_needed(r)) {
        st = s3c_ssd_segment_oldest_locked(ssd, r->store, &r->segment);
    }

    r->seq = ssd->segments[r->segment].seq;
    r->store_id = sh->store_id;
    s3c_ssd_unlock(ssd);

    if (st != S3C_OK) {
        return;
    }

    r->off = s3c_ssd_segment_off(sh, r->segment);
    r->bytes = sh->conf.segment_bytes;
    r->state = S3C_SSD_RECLAIM_TRAILER;

    if (!s3c_ssd_reclaim_read(r, r->bytes - S3C_SSD_BLOCK, S3C_SSD_BLOCK)) {
        sweep_begin(r);
    }
}


static void
reclaim_step(s3c_ssd_reclaim_t *r)
{
    bool  more = true;

    for (uint32_t i = 0; i < SLICES && more; i++) {
        switch (r->state) {

        case S3C_SSD_RECLAIM_LOOK:
            s3c_ssd_reclaim_look(r);
            break;

        case S3C_SSD_RECLAIM_MOVE:
            more = s3c_ssd_reclaim_move(r);
            break;

        case S3C_SSD_RECLAIM_EVICT:
            more = evict_slice(r);
            break;

        case S3C_SSD_RECLAIM_SWEEP:
            more = sweep_slice(r);
            break;

        default:                         /* nothing to do before a read ends */
            return;
        }
    }
}


s3c_status_t
s3c_ssd_reclaim_create(s3c_ssd_t *ssd, uint32_t store,
    s3c_ssd_reclaim_t **reclaim)
{
    s3c_ssd_reclaim_t  *r = calloc(1, sizeof(s3c_ssd_reclaim_t));

    if (r == NULL) {
        return S3C_FULL;
    }

    r->ssd = ssd;
    r->store = store;
    *reclaim = r;

    return S3C_OK;
}


void
s3c_ssd_reclaim_run(s3c_ssd_t *ssd, s3c_ssd_reclaim_t *r)
{
    bool  hangs = false;

    if (r->state != S3C_SSD_RECLAIM_IDLE
        && (ssd->quiescing || !s3c_ssd_in_service(ssd, r->store)))
    {
        give_up(r);
        return;
    }

    if (r->look != NULL) {
        if (r->unsent) {
            look_send(r);

        } else if (ssd->now_ms - r->look_ms > store_of(r)->conf.timeout_ms) {
            hangs = true;
            s3c_ssd_count(&store_of(r)->n_timeout, 1);
            r->look->owner = NULL;
            r->look = NULL;
            reads_add(r, -1);
            look_failed(r);
        }
    }

    if (r->state == S3C_SSD_RECLAIM_IDLE) {
        reclaim_begin(r);
    } else {
        reclaim_step(r);
    }

    if (hangs) {
        s3c_ssd_store_result(ssd, r->store, S3C_IO_READ, ETIME);
    }
}


bool
s3c_ssd_reclaim_idle(const s3c_ssd_reclaim_t *r)
{
    return r->state == S3C_SSD_RECLAIM_IDLE;
}


void
s3c_ssd_reclaim_destroy(s3c_ssd_t *ssd, s3c_ssd_reclaim_t *r)
{
    (void) ssd;

    if (r == NULL) {
        return;
    }

    if (r->state != S3C_SSD_RECLAIM_IDLE) {
        give_up(r);
    }

    free(r);
}
