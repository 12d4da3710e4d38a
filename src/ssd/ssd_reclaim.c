/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes the oldest segment of a store free again. Its footer tells what was
 * written there; what still lies there and was asked for moves to the log's
 * end (up to a quarter of the segment, what was asked for most first), the
 * rest leaves. A torn segment has no footer: what points into it is looked for
 * in the index, and leaves.
 *
 *   IDLE -> TRAILER -> FOOTER -> LOOK -> MOVE <-> READ
 *                                        MOVE -> MARK -> EVICT -> IDLE
 *   no footer, or it tells not all:      ... -> MARK -> SWEEP -> IDLE
 *   the store is out of service, or
 *   MARK fails:                          any  -> IDLE, it stays as it is
 *
 * MARK writes over the segment's header that it is free, with the raised
 * floor. Only when that lasts does anything leave the index: a key that is not
 * there has nothing on flash that a restart could find, and needs no tombstone
 * when it is dropped. And after a restart free segments are known as such.
 *
 * Only the keeper runs it, a slice at a time; nothing here waits.
 */
#include "ssd/ssd_reclaim.h"

#include <errno.h>
#include <stdlib.h>

#define READ_PIECE     (1u << 20)      /* one I/O */
#define SLICES         8               /* of these, in one run: */
#define FREE_SHARE     16              /* of all segments shall be free.. */
#define FREE_MARGIN    2               /* ..these, one more than open */

static void reclaim_step(s3c_ssd_reclaim_t *r);


/* --- reading ------------------------------------------------------------- */

void
s3c_ssd_reclaim_io_free(s3c_ssd_reclaim_io_t *l)
{
    if (l != NULL) {
        free(l->buf);
        free(l);
    }
}


static void
flight_add(s3c_ssd_reclaim_t *r, int32_t n)
{
    if (r->look->kind == S3C_IO_READ) {
        s3c_ssd_reads_add(r->ssd, r->store, n);
    } else {
        s3c_ssd_writes_add(r->ssd, r->store, n);
    }
}


static void look_done(s3c_io_op_t *op);


void
s3c_ssd_reclaim_send(s3c_ssd_reclaim_t *r)
{
    uint32_t               len = r->look->len - r->look->got;
    s3c_ssd_reclaim_io_t  *l = r->look;

    l->op = (s3c_io_op_t) {
        .kind = l->kind,
        .fd = r->ssd->env.fds[r->store],
        .buf = l->buf + l->got,
        .len = len < READ_PIECE ? len : READ_PIECE,
        .off = l->off + l->got,
        .done = look_done,
        .data = l,
    };

    r->unsent = s3c_io_queue(r->ssd->env.io, &l->op) != S3C_OK;
    if (r->unsent) {
        return;
    }

    r->look_ms = r->ssd->now_ms;
    flight_add(r, 1);

    if (l->kind != S3C_IO_READ) {
        s3c_ssd_charge(r->ssd, r->store, l->op.len);
        s3c_ssd_count(&store_of(r)->written_bytes, l->op.len);
    }
}


s3c_ssd_reclaim_io_t *
s3c_ssd_reclaim_io(s3c_ssd_reclaim_t *r, s3c_io_kind_t kind, uint32_t from,
    uint32_t len)
{
    void                  *p;
    s3c_ssd_reclaim_io_t  *l = calloc(1, sizeof(s3c_ssd_reclaim_io_t));

    if (l == NULL || posix_memalign(&p, S3C_SSD_BLOCK, len) != 0) {
        free(l);
        return NULL;
    }

    l->kind = kind;
    l->owner = r;
    l->buf = p;
    l->len = len;
    l->off = r->off + from;

    return l;
}


bool
s3c_ssd_reclaim_read(s3c_ssd_reclaim_t *r, uint32_t from, uint32_t len)
{
    r->look = s3c_ssd_reclaim_io(r, S3C_IO_READ, from, len);

    if (r->look == NULL) {
        return false;
    }

    s3c_ssd_reclaim_send(r);

    return true;
}


void
s3c_ssd_reclaim_clear(s3c_ssd_reclaim_t *r)
{
    if (r->look != NULL) {
        if (r->unsent) {
            s3c_ssd_reclaim_io_free(r->look);

        } else {
            flight_add(r, -1);
            r->look->owner = NULL;       /* the kernel's; freed when it ends */
        }
    }

    free(r->footer);
    free(r->refs);
    free(r->hot);
    *r = (s3c_ssd_reclaim_t) { .ssd = r->ssd, .store = r->store };
}


void
s3c_ssd_reclaim_give_up(s3c_ssd_reclaim_t *r)
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

    s3c_ssd_reclaim_clear(r);
}


/* --- what was read ------------------------------------------------------- */

static void
trailer_take(s3c_ssd_reclaim_t *r, s3c_ssd_reclaim_io_t *l)
{
    if (s3c_ssd_trailer_decode(l->buf, r->store_id, r->seq, r->bytes,
                               &r->trailer) != S3C_OK)
    {
        s3c_ssd_reclaim_sweep_begin(r);
        return;
    }

    if (r->trailer.n_records == 0) {
        s3c_ssd_reclaim_sweep_begin(r);
        return;
    }

    r->state = S3C_SSD_RECLAIM_FOOTER;
    if (!s3c_ssd_reclaim_read(r, r->trailer.footer_off,
                    r->bytes - S3C_SSD_BLOCK - r->trailer.footer_off))
    {
        s3c_ssd_reclaim_sweep_begin(r);
    }
}


static void
footer_take(s3c_ssd_reclaim_t *r, s3c_ssd_reclaim_io_t *l)
{
    if (s3c_ssd_footer_decode(l->buf, &r->trailer, r->bytes) != S3C_OK) {
        s3c_ssd_reclaim_sweep_begin(r);
        return;
    }

    r->refs = calloc(r->trailer.n_records, 1);
    if (r->refs == NULL) {
        s3c_ssd_reclaim_sweep_begin(r);
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


/* It has failed, or a read hangs: without what it was for. */
static void
look_failed(s3c_ssd_reclaim_t *r)
{
    if (r->state == S3C_SSD_RECLAIM_MARK) {
        s3c_ssd_reclaim_give_up(r);

    } else if (r->state == S3C_SSD_RECLAIM_READ) {
        r->at = r->hot_n;
        r->hot_n = 0;
        r->state = S3C_SSD_RECLAIM_MOVE;

    } else {
        s3c_ssd_reclaim_sweep_begin(r);
    }
}


/* True: a part of a read, the next is on its way. *err: else, how it ended. */
static bool
look_goes_on(s3c_ssd_reclaim_t *r, int *err)
{
    uint32_t               n;
    s3c_ssd_reclaim_io_t  *l = r->look;
    s3c_ssd_store_sh_t    *st = store_of(r);

    n = l->op.result > 0
        ? (uint32_t) l->op.result / S3C_SSD_UNIT * S3C_SSD_UNIT : 0;
    l->got += n;
    *err = l->got == l->len ? 0 : l->op.result < 0 ? -l->op.result : EIO;

    if (l->kind == S3C_IO_READ) {
        s3c_ssd_count(&st->read_bytes,
                      l->op.result > 0 ? (uint64_t) l->op.result : 0);

        if (n != 0 && *err != 0) {
            s3c_ssd_reclaim_send(r);
            return true;
        }
    }

    if (*err != 0) {
        s3c_ssd_count(l->kind == S3C_IO_READ ? &st->n_read_error
                                             : &st->n_write_error, 1);
        s3c_ssd_say(r->ssd, S3C_SSD_LOG_ERROR, r->store, (uint64_t) *err,
                    "reclaim");
    }

    return false;
}


static void
look_take(s3c_ssd_reclaim_t *r, s3c_ssd_reclaim_io_t *l)
{
    switch (r->state) {

    case S3C_SSD_RECLAIM_TRAILER:
        trailer_take(r, l);
        break;

    case S3C_SSD_RECLAIM_FOOTER:
        footer_take(r, l);
        break;

    case S3C_SSD_RECLAIM_MARK:
        s3c_ssd_reclaim_marked(r);
        break;

    default:
        hot_take(r, l);
        break;
    }
}


static void
look_done(s3c_io_op_t *op)
{
    int                    err;
    s3c_ssd_reclaim_io_t  *l = op->data;
    s3c_ssd_reclaim_t     *r = l->owner;
    s3c_ssd_t             *ssd;
    uint32_t               store;
    s3c_io_kind_t          kind = l->kind;

    if (r == NULL) {
        s3c_ssd_reclaim_io_free(l);
        return;
    }

    ssd = r->ssd;
    store = r->store;
    flight_add(r, -1);

    if (look_goes_on(r, &err)) {
        return;
    }

    r->look = NULL;

    if (err != 0) {
        look_failed(r);
    } else {
        look_take(r, l);
    }

    s3c_ssd_reclaim_io_free(l);
    reclaim_step(r);

    /* Last: the store may be out of service after it. */
    s3c_ssd_store_result(ssd, store, kind, err);
}


/* --- the machine --------------------------------------------------------- */

/* A small store has no more than a quarter of its segments kept free, but what
 * a put needs besides the reserve. */
static bool
is_needed(const s3c_ssd_reclaim_t *r)
{
    uint32_t                   want, most;
    const s3c_ssd_store_sh_t  *st = store_of(r);

    /* more than put leaves to us, even if nothing is open: or neither moves */
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
        s3c_ssd_reclaim_sweep_begin(r);
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

        case S3C_SSD_RECLAIM_MARK:
            s3c_ssd_reclaim_mark(r);
            return;                      /* its end goes on */

        case S3C_SSD_RECLAIM_EVICT:
            more = s3c_ssd_reclaim_evict(r);
            break;

        case S3C_SSD_RECLAIM_SWEEP:
            more = s3c_ssd_reclaim_sweep(r);
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


/* What is in flight for too long. True: it is to be counted as an error. */
static bool
look_hangs(s3c_ssd_reclaim_t *r)
{
    if (r->look->kind != S3C_IO_READ) {
        return s3c_ssd_reclaim_mark_hangs(r);
    }

    if (r->ssd->now_ms - r->look_ms <= store_of(r)->conf.timeout_ms) {
        return false;
    }

    flight_add(r, -1);
    r->look->owner = NULL;
    r->look = NULL;
    look_failed(r);

    return true;
}


void
s3c_ssd_reclaim_run(s3c_ssd_t *ssd, s3c_ssd_reclaim_t *r)
{
    bool           hangs = false;
    s3c_io_kind_t  kind = S3C_IO_READ;

    if (r->state != S3C_SSD_RECLAIM_IDLE
        && (ssd->quiescing || !s3c_ssd_in_service(ssd, r->store)))
    {
        s3c_ssd_reclaim_give_up(r);
        return;
    }

    if (r->look != NULL) {
        kind = r->look->kind;

        if (r->unsent) {
            s3c_ssd_reclaim_send(r);
        } else {
            hangs = look_hangs(r);
        }
    }

    if (r->state == S3C_SSD_RECLAIM_IDLE) {
        reclaim_begin(r);
    } else {
        reclaim_step(r);
    }

    if (hangs) {
        s3c_ssd_count(&store_of(r)->n_timeout, 1);
        s3c_ssd_store_result(ssd, r->store, kind, ETIME);
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
        s3c_ssd_reclaim_give_up(r);
    }

    free(r);
}
