/* SPDX-License-Identifier: Apache-2.0
 *
 * A segment is let go. First its header on flash says that it is free, with
 * the raised floor; only when that lasts do its places leave the index, and
 * last it becomes FREE. Called by ssd_reclaim's machine, in slices.
 */
#include "ssd/ssd_reclaim.h"

#include <string.h>

#define EVICT_SLICE    512             /* entries */
#define SWEEP_SLICE    4096            /* buckets */


/* --- the header that says it is free ------------------------------------- */

static bool
is_reclaiming(const s3c_ssd_reclaim_t *r)
{
    const s3c_ssd_segment_sh_t  *g = &r->ssd->segments[r->segment];

    return g->state == S3C_SSD_SEGMENT_RECLAIMING && g->seq == r->seq;
}


/* Whoever gives the segment another state: the write may be under way, so it
 * is not to be opened for a while, nor tried again if the write has failed. */
static void
rest_locked(s3c_ssd_reclaim_t *r)
{
    if (is_reclaiming(r)) {
        r->ssd->segments[r->segment].rest_until_ms = r->ssd->now_ms
                                                     + S3C_SSD_REST_MS;
    }
}


void
s3c_ssd_reclaim_mark(s3c_ssd_reclaim_t *r)
{
    s3c_ssd_t             *ssd = r->ssd;
    s3c_ssd_store_sh_t    *st = store_of(r);
    s3c_ssd_reclaim_io_t  *l;

    if (r->look != NULL) {
        return;
    }

    l = s3c_ssd_reclaim_io(r, S3C_IO_WRITE_DSYNC, 0, S3C_SSD_BLOCK);
    if (l == NULL || !s3c_ssd_lock(ssd)) {
        s3c_ssd_reclaim_io_free(l);
        return;                          /* in the next run */
    }

    rest_locked(r);
    r->floor = ssd->segments[r->segment].last_seq + 1;
    r->floor = r->floor > st->floor ? r->floor : st->floor;
    s3c_ssd_unlock(ssd);

    memset(l->buf, 0, S3C_SSD_BLOCK);
    s3c_ssd_segment_encode(l->buf, r->store_id, r->segment - st->first_segment,
                           S3C_SSD_SEQ_FREE, r->floor);
    r->look = l;
    s3c_ssd_reclaim_send(r);
}


void
s3c_ssd_reclaim_marked(s3c_ssd_reclaim_t *r)
{
    s3c_ssd_t           *ssd = r->ssd;
    s3c_ssd_store_sh_t  *st = store_of(r);

    if (!s3c_ssd_lock(ssd)) {
        s3c_ssd_reclaim_give_up(r);
        return;
    }

    if (is_reclaiming(r)) {
        ssd->segments[r->segment].rest_until_ms = 0;
        st->floor = r->floor > st->floor ? r->floor : st->floor;
    }

    s3c_ssd_unlock(ssd);
    r->marked = true;
    r->state = r->then;
}


/* The rest begins anew: whoever comes after this process does not know. */
bool
s3c_ssd_reclaim_mark_hangs(s3c_ssd_reclaim_t *r)
{
    s3c_ssd_t  *ssd = r->ssd;

    if (s3c_ssd_lock(ssd)) {
        rest_locked(r);
        s3c_ssd_unlock(ssd);
    }

    if (r->hung || ssd->now_ms - r->look_ms < S3C_SSD_WRITE_TIMEOUT_MS) {
        return false;
    }

    r->hung = true;

    return true;
}


void
s3c_ssd_reclaim_empty(s3c_ssd_reclaim_t *r, s3c_ssd_reclaim_state_t how)
{
    r->then = how;
    r->state = r->marked ? how : S3C_SSD_RECLAIM_MARK;
}


void
s3c_ssd_reclaim_sweep_begin(s3c_ssd_reclaim_t *r)
{
    r->bucket = 0;
    s3c_ssd_reclaim_empty(r, S3C_SSD_RECLAIM_SWEEP);
}


/* --- emptying ------------------------------------------------------------ */

static void
free_locked(s3c_ssd_reclaim_t *r)
{
    if (is_reclaiming(r)) {
        s3c_ssd_segment_free_locked(r->ssd, r->segment);
        s3c_ssd_count(&store_of(r)->n_reclaim, 1);
    }
}


bool
s3c_ssd_reclaim_evict(s3c_ssd_reclaim_t *r)
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
        s3c_ssd_reclaim_sweep_begin(r);  /* the footer has not told all */
        s3c_ssd_unlock(ssd);
        return true;
    }

    free_locked(r);
    s3c_ssd_unlock(ssd);
    s3c_ssd_reclaim_clear(r);

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


bool
s3c_ssd_reclaim_sweep(s3c_ssd_reclaim_t *r)
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
    s3c_ssd_reclaim_clear(r);

    return false;
}
