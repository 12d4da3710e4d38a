/* SPDX-License-Identifier: Apache-2.0
 *
 * A lane of a recovery: one segment at a time, first its header, later its
 * footer or, if it has none, all of it, window by window; and its records into
 * the index, in the order of the segments' use, under the lock in slices.
 */
#include "ssd/ssd_recover.h"

#include <stdlib.h>
#include <string.h>

#define READ_TRIES  3


/* --- one read ---------------------------------------------------------- */

/* True: these bytes of the segment are in the job's buffer. An error is tried
 * again at once; one that stays takes the store out of service: what cannot be
 * read may be the tombstone of what can. */
static bool
lane_read(s3c_ssd_lane_t *l, s3c_ssd_job_t *job, uint32_t off, uint32_t len)
{
    s3c_ssd_t  *ssd = l->r->ssd;
    uint64_t    at = s3c_ssd_segment_off(s3c_ssd_recover_store(l->r),
                                         l->segment) + off;

    if (l->begun && !job->busy) {
        s3c_ssd_store_result(ssd, l->r->store, S3C_IO_READ, job->err);

        if (job->err == 0) {
            l->begun = false;
            l->tries = 0;
            return true;
        }

        if (++l->tries == READ_TRIES) {
            s3c_ssd_store_fail(ssd, l->r->store);
            return false;
        }

        l->begun = false;
    }

    if (!l->begun) {
        l->begun = s3c_ssd_job_begin(job, S3C_IO_READ, at, len) == S3C_OK;
    }

    return false;
}


static bool
lane_body(s3c_ssd_lane_t *l, uint32_t cap)
{
    if (l->body == NULL) {
        l->body = s3c_ssd_job_create(l->r->ssd, l->r->store, cap);

        if (l->body == NULL) {
            return false;
        }

        l->body->done = s3c_ssd_lane_done;
        l->body->data = l;
        l->r->body_bytes += cap;
    }

    return true;
}


static void
lane_body_free(s3c_ssd_lane_t *l)
{
    if (l->body != NULL) {
        l->r->body_bytes -= l->body->cap;
        s3c_ssd_job_destroy(l->body);
        l->body = NULL;
    }

    free(l->found);
    l->found = NULL;
}


/* --- records into the index -------------------------------------------- */

static s3c_ssd_place_t
entry_place(s3c_ssd_lane_t *l, const s3c_ssd_footer_rec_t *e)
{
    uint64_t  off = s3c_ssd_segment_off(s3c_ssd_recover_store(l->r),
                                        l->segment);
    uint32_t  units = s3c_ssd_record_units(e->size);

    if (e->kind == S3C_SSD_KIND_TOMBSTONE) {
        return s3c_ssd_place(l->r->store, 0, S3C_SSD_RECOVERED_UNITS,
                             S3C_SSD_PLACE_TOMBSTONE);
    }

    return units > S3C_SSD_RECOVERED_UNITS ? 0
           : s3c_ssd_place(l->r->store, off / S3C_SSD_UNIT + e->unit, units,
                           S3C_SSD_PLACE_PENDING);
}


/* A key that is not in the index. */
static void
entry_insert_locked(s3c_ssd_recover_t *r, s3c_hash128_t key,
    s3c_ssd_place_t place, uint64_t seq)
{
    uint64_t           slot;
    s3c_ssd_t         *ssd = r->ssd;
    s3c_ssd_place_t    old, victim;
    s3c_ssd_keeper_t  *k = ssd->keeper;

    /* A key of this run may have had to leave the index: whose, nobody knows.
     * So none that is not there can be taken for one that is not newer. */
    if (seq <= k->evicted || ssd->head->n_evict_new != 0) {
        return;
    }

    s3c_ssd_index_put_locked(ssd, key, place, &old, &victim, &slot);
    k->n_index_evict = ssd->head->n_index_evict;

    if (victim != 0 && s3c_ssd_place_recovered(ssd, victim)
        && k->seqs[slot] > k->evicted)
    {
        k->evicted = k->seqs[slot];
    }

    k->seqs[slot] = seq;
}


static void
entry_apply_locked(s3c_ssd_lane_t *l, const s3c_ssd_footer_rec_t *e)
{
    uint64_t            slot;
    s3c_ssd_t          *ssd = l->r->ssd;
    s3c_hash128_t       key = { .lo = e->key_lo, .hi = e->key_hi };
    s3c_ssd_place_t     place, old, victim;
    s3c_ssd_keeper_t   *k = ssd->keeper;

    if (e->record_seq >= s3c_ssd_run_seq(ssd)) {
        return;
    }

    if (e->record_seq > l->last_seq) {
        l->last_seq = e->record_seq;
    }

    place = entry_place(l, e);

    if (e->record_seq < s3c_ssd_recover_store(l->r)->floor
        || !s3c_ssd_place_possible(ssd, place))
    {
        return;
    }

    if (e->record_seq > k->highest) {
        k->highest = e->record_seq;
    }

    if (s3c_ssd_index_find(ssd, key, &old) != S3C_OK) {
        entry_insert_locked(l->r, key, place, e->record_seq);
        s3c_ssd_count(&s3c_ssd_recover_store(l->r)->recovered_records, 1);
        return;
    }

    if (!s3c_ssd_place_recovered(ssd, old)) {
        return;
    }

    /* Which of two is newer can be told once the slot is known. */
    s3c_ssd_index_put_locked(ssd, key, place, &old, &victim, &slot);

    if (e->record_seq > k->seqs[slot]) {
        k->seqs[slot] = e->record_seq;
    } else {
        s3c_ssd_index_put_locked(ssd, key, old, &place, &victim, &slot);
    }
}


/* True: all entries of the lane are in the index. */
static bool
lane_entries(s3c_ssd_lane_t *l)
{
    uint32_t               n;
    s3c_ssd_t             *ssd = l->r->ssd;
    s3c_ssd_keeper_t      *k = ssd->keeper;
    s3c_ssd_footer_rec_t   e;

    while (l->i < l->n && s3c_ssd_recover_time_left(l->r)) {

        if (!s3c_ssd_lock(ssd)) {
            return false;
        }

        if (ssd->head->n_index_evict != k->n_index_evict) {
            k->n_index_evict = ssd->head->n_index_evict;
            k->evicted = k->highest;     /* by others: any of these */
        }

        for (n = 0; n < S3C_SSD_SLICE_ENTRIES && l->i < l->n; n++) {
            e = s3c_ssd_footer_entry(l->entries, l->i++);
            entry_apply_locked(l, &e);
        }

        s3c_ssd_unlock(ssd);
        l->r->n_turn += n;
    }

    return l->i == l->n;
}


/* --- steps of a lane; true: it has got on ------------------------------ */

static void
lane_go(s3c_ssd_lane_t *l, s3c_ssd_lane_step_t step)
{
    l->step = step;
    l->begun = false;
    l->tries = 0;
}


static bool
lane_idle(s3c_ssd_lane_t *l)
{
    s3c_ssd_recover_t   *r = l->r;
    s3c_ssd_store_sh_t  *st = s3c_ssd_recover_store(r);

    if (r->phase == HEADERS) {

        while (r->next < st->n_segments
               && r->ssd->segments[st->first_segment + r->next].state
                  != S3C_SSD_SEGMENT_UNKNOWN)
        {
            r->next++;                   /* of this run */
        }

        if (r->next < st->n_segments) {
            l->segment = st->first_segment + r->next++;
            lane_go(l, LANE_HEADER);
            return true;
        }

    } else if (r->phase == RECORDS && r->next < r->n_order) {
        l->order = r->next++;
        l->segment = r->order[l->order].segment;
        l->last_seq = r->order[l->order].seq;
        lane_go(l, LANE_TAIL);
        return true;
    }

    return false;
}


/* A header with a wrong checksum: is it this store's, or was it before the
 * store was formatted? The record behind it tells, too. A write that was torn
 * does not look so: a header fits a sector. */
static bool
header_is_ours(s3c_ssd_lane_t *l, const s3c_ssd_segment_rec_t *rec)
{
    s3c_ssd_expect_t      expect = {
        .any_key = true,
        .store_id = s3c_ssd_recover_store(l->r)->store_id
    };
    s3c_ssd_frame_rec_t   head;

    return rec->store_id == expect.store_id
           || s3c_ssd_frame_decode(l->tail->buf + S3C_SSD_BLOCK,
                                   S3C_SSD_BLOCK, &expect, false, &head)
              == S3C_OK;
}


/* It may have had the highest floor, and tombstones follow: as with what
 * cannot be read, nobody can say what of this store still counts. */
static void
header_damaged(s3c_ssd_lane_t *l)
{
    s3c_ssd_t           *ssd = l->r->ssd;
    s3c_ssd_store_sh_t  *st = s3c_ssd_recover_store(l->r);

    s3c_ssd_count(&st->n_corrupt, 1);
    s3c_ssd_say(ssd, S3C_SSD_LOG_CORRUPT, l->r->store,
                atomic_load_explicit(&st->n_corrupt, memory_order_relaxed),
                "header");
    s3c_ssd_store_fail(ssd, l->r->store);
}


static void
header_take_locked(s3c_ssd_lane_t *l, const s3c_ssd_segment_rec_t *rec)
{
    s3c_ssd_store_sh_t    *st = s3c_ssd_recover_store(l->r);
    s3c_ssd_segment_sh_t  *g = &l->r->ssd->segments[l->segment];

    if (rec != NULL) {
        st->floor = rec->floor > st->floor ? rec->floor : st->floor;
    }

    if (rec != NULL && rec->segment_seq != S3C_SSD_SEQ_FREE) {
        g->seq = rec->segment_seq;
        g->last_seq = rec->segment_seq;
        l->r->order[l->r->n_order++] = (s3c_ssd_order_t) { g->seq, l->segment };

    } else {
        g->seq = 0;
        g->last_seq = 0;
        g->state = S3C_SSD_SEGMENT_FREE;
        st->n_free++;
        s3c_ssd_count(&st->recovered_segments, 1);
    }
}


static bool
lane_header(s3c_ssd_lane_t *l)
{
    s3c_ssd_t              *ssd = l->r->ssd;
    s3c_status_t            how;
    s3c_ssd_store_sh_t     *st = s3c_ssd_recover_store(l->r);
    s3c_ssd_segment_rec_t   rec;

    /* with the first frame behind it */
    if (!lane_read(l, l->tail, 0, 2 * S3C_SSD_BLOCK)) {
        return false;
    }

    how = s3c_ssd_segment_decode(l->tail->buf, st->store_id,
                                 l->segment - st->first_segment, &rec);

    if (how == S3C_CORRUPT && header_is_ours(l, &rec)) {
        header_damaged(l);
        return false;
    }

    if (!s3c_ssd_lock(ssd)) {
        return false;
    }

    header_take_locked(l, how == S3C_OK
                          && rec.segment_seq < s3c_ssd_run_seq(ssd)
                          ? &rec : NULL);
    s3c_ssd_unlock(ssd);
    lane_go(l, LANE_IDLE);

    return true;
}


static bool
lane_scan(s3c_ssd_lane_t *l)
{
    s3c_ssd_store_sh_t  *st = s3c_ssd_recover_store(l->r);

    s3c_ssd_scan_init(&l->scan, st->store_id,
                      l->r->ssd->segments[l->segment].seq,
                      st->conf.segment_bytes);
    l->sealed = false;
    lane_body_free(l);
    lane_go(l, LANE_WINDOW);

    return true;
}


/* Its entries, in one piece. */
static bool
lane_footer(s3c_ssd_lane_t *l, const uint8_t *entries)
{
    uint32_t  segment_bytes = s3c_ssd_recover_store(l->r)->conf.segment_bytes;

    if (s3c_ssd_footer_decode(entries, &l->trailer, segment_bytes)
        != S3C_OK)
    {
        return lane_scan(l);
    }

    l->entries = entries;
    l->n = l->trailer.n_records;
    l->i = 0;
    l->last_seq = l->trailer.last_seq < s3c_ssd_run_seq(l->r->ssd)
                  ? l->trailer.last_seq : l->last_seq;
    l->sealed = true;
    lane_go(l, LANE_APPLY);

    return true;
}


static bool
lane_tail(s3c_ssd_lane_t *l)
{
    uint32_t              off;
    s3c_ssd_store_sh_t   *st = s3c_ssd_recover_store(l->r);

    off = st->conf.segment_bytes - S3C_SSD_TAIL_BYTES;

    if (!lane_read(l, l->tail, off, S3C_SSD_TAIL_BYTES)) {
        return false;
    }

    if (s3c_ssd_trailer_decode(l->tail->buf + S3C_SSD_TAIL_BYTES
                               - S3C_SSD_BLOCK, st->store_id,
                               l->r->ssd->segments[l->segment].seq,
                               st->conf.segment_bytes, &l->trailer) != S3C_OK)
    {
        return lane_scan(l);
    }

    if (l->trailer.footer_off >= off) {
        return lane_footer(l, l->tail->buf + (l->trailer.footer_off - off));
    }

    lane_go(l, LANE_BODY);

    return true;
}


/* The part of the footer before the tail, the tail copied behind it. */
static bool
lane_long(s3c_ssd_lane_t *l)
{
    uint32_t  len, end = s3c_ssd_recover_store(l->r)->conf.segment_bytes;

    len = end - l->trailer.footer_off;

    if (l->body == NULL && l->order != l->r->turn
        && l->r->body_bytes + len > S3C_SSD_FOOTERS_MAX)
    {
        return false;                    /* others are before */
    }

    if (!lane_body(l, len)
        || !lane_read(l, l->body, l->trailer.footer_off,
                      len - S3C_SSD_TAIL_BYTES))
    {
        return false;
    }

    memcpy(l->body->buf + len - S3C_SSD_TAIL_BYTES, l->tail->buf,
           S3C_SSD_TAIL_BYTES);

    return lane_footer(l, l->body->buf);
}


static bool
lane_window(s3c_ssd_lane_t *l)
{
    uint32_t  off, len, end = s3c_ssd_recover_store(l->r)->conf.segment_bytes;

    if (l->found == NULL) {
        l->found = malloc(S3C_SSD_SCAN_MAX * sizeof(*l->found));
    }

    if (l->found == NULL || !lane_body(l, S3C_SSD_WINDOW_BYTES)) {
        return false;
    }

    off = s3c_ssd_scan_next(&l->scan);
    len = end - off < S3C_SSD_WINDOW_BYTES ? end - off : S3C_SSD_WINDOW_BYTES;

    if (off < end) {
        if (!lane_read(l, l->body, off, len)) {
            return false;
        }

        l->n = s3c_ssd_scan_step(&l->scan, l->body->buf, len, l->found);

    } else {
        l->n = 0;
    }

    l->entries = (const uint8_t *) l->found;
    l->i = 0;
    lane_go(l, off < end ? LANE_FOUND : LANE_APPLY);

    return true;
}


/* In turns, so that of records of unlike age the older come first: if the
 * index is too small, it is they who leave. */
static bool
lane_found(s3c_ssd_lane_t *l)
{
    if (l->order != l->r->turn || !lane_entries(l)) {
        return false;
    }

    lane_go(l, LANE_WINDOW);

    return true;
}


static bool
lane_apply(s3c_ssd_lane_t *l)
{
    s3c_ssd_recover_t   *r = l->r;
    s3c_ssd_store_sh_t  *st = s3c_ssd_recover_store(r);

    if (l->order != r->turn || !lane_entries(l)) {
        return false;
    }

    r->ssd->segments[l->segment].last_seq = l->last_seq;
    r->sealed[l->segment - st->first_segment] = l->sealed;
    s3c_ssd_count(&st->recovered_segments, 1);
    r->turn++;
    lane_body_free(l);
    lane_go(l, LANE_IDLE);

    return true;
}


static bool (*const lane_steps[])(s3c_ssd_lane_t *l) = {
    [LANE_IDLE]   = lane_idle,                /* HEADER, TAIL */
    [LANE_HEADER] = lane_header,              /* IDLE */
    [LANE_TAIL]   = lane_tail,                /* BODY, WINDOW, APPLY */
    [LANE_BODY]   = lane_long,                /* WINDOW, APPLY */
    [LANE_WINDOW] = lane_window,              /* FOUND, APPLY */
    [LANE_FOUND]  = lane_found,               /* WINDOW */
    [LANE_APPLY]  = lane_apply                /* IDLE */
};


bool
s3c_ssd_lane_run(s3c_ssd_lane_t *l)
{
    return lane_steps[l->step](l);
}
