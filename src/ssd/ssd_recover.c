/* SPDX-License-Identifier: Apache-2.0
 *
 * The index of a store from its segments. First all headers: which segments
 * are used, and the floor. Then, in the order of their use, the footers; a
 * segment without one is searched. Of a key's records the one of the highest
 * seq counts; what this run has put or dropped is newer than all.
 *
 * What is recovered stays PENDING, and its segment UNKNOWN, until all stores
 * are known: before that nobody can say that a record was not dropped.
 * Driven by the ends of its I/O and by run(), a few milliseconds at a stretch.
 */
#include "ssd/ssd_recover.h"

#include <errno.h>
#include <stdlib.h>


/* --- phases ------------------------------------------------------------ */

static int
order_cmp(const void *a, const void *b)
{
    uint64_t  x = ((const s3c_ssd_order_t *) a)->seq;
    uint64_t  y = ((const s3c_ssd_order_t *) b)->seq;

    return (x > y) - (x < y);
}


/* Nothing of it is hidden any more: what is left has not been dropped. */
static void
show_locked(s3c_ssd_recover_t *r, uint64_t end)
{
    uint32_t              i;
    s3c_ssd_t            *ssd = r->ssd;
    _Atomic uint64_t     *at;
    s3c_ssd_place_t       p;

    for ( ; r->show_at < end; r->show_at++) {
        for (i = 0; i < S3C_SSD_BUCKET_PLACES; i++) {
            at = &ssd->buckets[r->show_at].place[i];
            p = atomic_load_explicit(at, memory_order_relaxed);

            if (s3c_ssd_place_kind(p) != S3C_SSD_PLACE_PENDING
                || s3c_ssd_place_store(p) != r->store
                || !s3c_ssd_place_recovered(ssd, p))
            {
                continue;
            }

            /* Only these bits, as in settle. */
            atomic_fetch_xor_explicit(at,
                (uint64_t) (S3C_SSD_PLACE_PENDING ^ S3C_SSD_PLACE_LIVE) << 56,
                memory_order_release);
            r->n_shown++;
        }
    }
}


static void
recover_finish_locked(s3c_ssd_recover_t *r)
{
    uint32_t               i;
    s3c_ssd_store_sh_t    *st = s3c_ssd_recover_store(r);
    s3c_ssd_segment_sh_t  *g;
    uint32_t               state = S3C_SSD_RECOVERING;

    for (i = 0; i < st->n_segments; i++) {
        g = &r->ssd->segments[st->first_segment + i];

        if (g->state == S3C_SSD_SEGMENT_UNKNOWN) {
            g->state = r->sealed[i] ? S3C_SSD_SEGMENT_SEALED
                                    : S3C_SSD_SEGMENT_TORN;
        }
    }

    atomic_store(&st->recovered_records, r->n_shown);
    st->recovery_ms = r->ssd->now_ms - st->recovery_begun_ms;

    /* Others may have taken it out of service this very moment. The number
     * last: as long as a store is in recovery, drops must know. */
    (void) atomic_compare_exchange_strong(&st->state, &state,
                                          S3C_SSD_SERVING);
    r->ssd->head->recovering--;
}


static void
recover_show(s3c_ssd_recover_t *r)
{
    uint64_t    end;
    s3c_ssd_t  *ssd = r->ssd;

    while (r->show_at < ssd->n_buckets && s3c_ssd_recover_time_left(r)) {

        if (!s3c_ssd_lock(ssd)) {
            return;
        }

        end = r->show_at + S3C_SSD_SLICE_ENTRIES;
        show_locked(r, end < ssd->n_buckets ? end : ssd->n_buckets);
        s3c_ssd_unlock(ssd);
        r->n_turn += S3C_SSD_SLICE_ENTRIES;
    }

    if (r->show_at < ssd->n_buckets || !s3c_ssd_lock(ssd)) {
        return;
    }

    recover_finish_locked(r);
    s3c_ssd_unlock(ssd);
    s3c_ssd_say(ssd, S3C_SSD_LOG_MOUNTED, r->store, r->n_shown, NULL);
    r->phase = DONE;
}


static bool
recover_idle(const s3c_ssd_recover_t *r)
{
    uint32_t  i;

    for (i = 0; i < S3C_SSD_RECOVER_DEPTH; i++) {
        if (r->lanes[i].step != LANE_IDLE) {
            return false;
        }
    }

    return true;
}


/* Has every store been read, as far as it can be? What hides a record of this
 * one may lie in another. */
static bool
all_read(const s3c_ssd_recover_t *r)
{
    uint32_t                  i;
    const s3c_ssd_recover_t  *o;

    for (i = 0; i < r->ssd->n_stores; i++) {
        o = r->ssd->keeper->recover[i];

        if (s3c_ssd_state(r->ssd, i) == S3C_SSD_RECOVERING
            && (o == NULL || o->phase == HEADERS || o->turn != o->n_order))
        {
            return false;
        }
    }

    return true;
}


static void
recover_phase(s3c_ssd_recover_t *r)
{
    if (r->phase == HEADERS && recover_idle(r)) {
        qsort(r->order, r->n_order, sizeof(*r->order), order_cmp);
        r->phase = RECORDS;
        r->next = 0;
    }

    if (r->phase == RECORDS && r->turn == r->n_order && all_read(r)) {
        r->phase = SHOW;
    }

    if (r->phase == SHOW) {
        recover_show(r);
    }
}


static void
recover_go(s3c_ssd_recover_t *r)
{
    bool      on;
    uint32_t  i, phase;
    uint64_t  begun = s3c_ssd_recover_usec(r);

    r->running = true;
    r->n_turn = 0;
    r->until_usec = begun + S3C_SSD_SLICE_USEC;

    do {
        on = false;
        phase = r->phase;

        for (i = 0; i < S3C_SSD_RECOVER_DEPTH && r->phase < SHOW; i++) {
            on |= s3c_ssd_lane_run(&r->lanes[i]);
        }

        if (!on) {
            recover_phase(r);
        }

    } while (r->phase != DONE && (on || r->phase != phase)
             && s3c_ssd_recover_time_left(r));

    r->running = false;
    /* As long for the others as it took. */
    r->rest_usec = 2 * s3c_ssd_recover_usec(r) - begun;
}


/* --- from outside ------------------------------------------------------ */

void
s3c_ssd_lane_done(s3c_ssd_job_t *job)
{
    s3c_ssd_recover_t  *r = ((s3c_ssd_lane_t *) job->data)->r;

    if (!r->running && r->phase < SHOW
        && s3c_ssd_recover_usec(r) >= r->rest_usec
        && s3c_ssd_state(r->ssd, r->store) == S3C_SSD_RECOVERING)
    {
        recover_go(r);
    }
}


s3c_status_t
s3c_ssd_recover_begin(s3c_ssd_t *ssd, uint32_t store,
    s3c_ssd_recover_t **recover)
{
    uint32_t             i, n_known = 0;
    s3c_ssd_lane_t              *l;
    s3c_ssd_store_sh_t  *st = &ssd->stores[store];
    s3c_ssd_recover_t   *r = calloc(1, sizeof(*r));

    *recover = NULL;

    if (r == NULL) {
        return S3C_FULL;
    }

    r->ssd = ssd;
    r->store = store;
    r->order = malloc(st->n_segments * sizeof(*r->order));
    r->sealed = calloc(st->n_segments, sizeof(*r->sealed));

    if (r->order == NULL || r->sealed == NULL) {
        s3c_ssd_recover_destroy(ssd, r);
        return S3C_FULL;
    }

    for (i = 0; i < S3C_SSD_RECOVER_DEPTH; i++) {
        l = &r->lanes[i];
        l->r = r;
        l->tail = s3c_ssd_job_create(ssd, store, S3C_SSD_TAIL_BYTES);

        if (l->tail == NULL) {
            s3c_ssd_recover_destroy(ssd, r);
            return S3C_FULL;
        }

        l->tail->done = s3c_ssd_lane_done;
        l->tail->data = l;
    }

    for (i = 0; i < st->n_segments; i++) {
        n_known += ssd->segments[st->first_segment + i].state
                   != S3C_SSD_SEGMENT_UNKNOWN;
    }

    atomic_store(&st->recovered_segments, n_known);
    atomic_store(&st->recovered_records, 0);
    *recover = r;

    return S3C_OK;
}


bool
s3c_ssd_recover_done(const s3c_ssd_recover_t *r)
{
    return r->phase == DONE;
}


static bool
lane_hangs(const s3c_ssd_lane_t *l)
{
    return s3c_ssd_job_hangs(l->tail, S3C_SSD_WRITE_TIMEOUT_MS)
           || (l->body != NULL
               && s3c_ssd_job_hangs(l->body, S3C_SSD_WRITE_TIMEOUT_MS));
}


void
s3c_ssd_recover_run(s3c_ssd_t *ssd, s3c_ssd_recover_t *r)
{
    uint32_t  i;

    for (i = 0; i < S3C_SSD_RECOVER_DEPTH; i++) {
        if (lane_hangs(&r->lanes[i])) {
            s3c_ssd_store_result(ssd, r->store, S3C_IO_READ, ETIME);
            s3c_ssd_store_fail(ssd, r->store);
            break;
        }
    }

    if (r->phase != DONE
        && s3c_ssd_state(ssd, r->store) == S3C_SSD_RECOVERING)
    {
        recover_go(r);
    }

    /* Failed: the keeper sees to what follows. */
    if (s3c_ssd_state(ssd, r->store) != S3C_SSD_RECOVERING) {
        r->phase = DONE;
    }
}


void
s3c_ssd_recover_destroy(s3c_ssd_t *ssd, s3c_ssd_recover_t *r)
{
    uint32_t  i;

    (void) ssd;

    for (i = 0; i < S3C_SSD_RECOVER_DEPTH; i++) {
        s3c_ssd_job_destroy(r->lanes[i].tail);
        s3c_ssd_job_destroy(r->lanes[i].body);
        free(r->lanes[i].found);
    }

    free(r->order);
    free(r->sealed);
    free(r);
}
