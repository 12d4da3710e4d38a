/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of segments: FREE, OPEN by one worker, closed as SEALED or TORN,
 * RECLAIMING by the keeper, FREE again. Keeps their counts and the stores',
 * and gives out the seqs. Does no I/O.
 *
 * All under the lock but s3c_ssd_seq. A segment's state is the truth after a
 * death inside the lock; what else a state promises (seq, owner, rest, floor)
 * is written before it.
 */
#include "ssd/ssd_internal.h"

/* What was written above stays above, also for who comes after a SIGKILL: the
 * compiler may not reorder, and the processor's stores all arrive. */
#define ORDER()  atomic_thread_fence(memory_order_release)


uint64_t
s3c_ssd_seq(s3c_ssd_t *ssd)
{
    return atomic_fetch_add(&ssd->head->seq, 1) + 1;
}


/* No record of a segment that is closed now can have a higher one. */
static uint64_t
seq_now(s3c_ssd_t *ssd)
{
    return atomic_load(&ssd->head->seq);
}


static s3c_ssd_store_sh_t *
store_at(s3c_ssd_t *ssd, uint32_t segment)
{
    uint32_t  i = 0;

    assert(segment < ssd->head->n_segments);

    while (segment - ssd->stores[i].first_segment
           >= ssd->stores[i].n_segments)
    {
        i++;
    }

    return &ssd->stores[i];
}


void
s3c_ssd_segment_count_locked(s3c_ssd_t *ssd, s3c_ssd_place_t place, int n)
{
    uint32_t               units;
    s3c_ssd_store_sh_t    *st;
    s3c_ssd_segment_sh_t  *g;

    if (s3c_ssd_place_kind(place) == S3C_SSD_PLACE_TOMBSTONE) {
        return;
    }

    st = &ssd->stores[s3c_ssd_place_store(place)];
    g = &ssd->segments[s3c_ssd_place_segment(ssd, place)];
    units = s3c_ssd_place_units(place);

    if (n > 0) {
        g->live_records++;
        g->live_units += units;
        st->live_records++;
        st->live_units += units;

    } else {
        g->live_records--;
        g->live_units -= units;
        st->live_records--;
        st->live_units -= units;
    }
}


s3c_status_t
s3c_ssd_segment_open_locked(s3c_ssd_t *ssd, uint32_t store, uint32_t reserve,
    uint32_t *segment)
{
    uint32_t               i, at;
    s3c_ssd_store_sh_t    *st = &ssd->stores[store];
    s3c_ssd_segment_sh_t  *g;

    if (st->n_free <= reserve) {
        return S3C_FULL;
    }

    /* In turns, so that what was freed first is written to first. */
    for (i = 0; i < st->n_segments; i++) {
        at = (st->cursor + i) % st->n_segments;
        g = &ssd->segments[st->first_segment + at];

        if (g->state != S3C_SSD_SEGMENT_FREE
            || g->rest_until_ms > ssd->now_ms)
        {
            continue;
        }

        g->seq = s3c_ssd_seq(ssd);
        g->last_seq = g->seq;
        g->rest_until_ms = 0;
        g->owner = ssd->slot;
        ORDER();
        g->state = S3C_SSD_SEGMENT_OPEN;
        st->n_free--;
        st->n_open++;
        st->cursor = (at + 1) % st->n_segments;
        *segment = st->first_segment + at;

        return S3C_OK;
    }

    return S3C_FULL;
}


static void
segment_close(s3c_ssd_t *ssd, uint32_t segment,
    s3c_ssd_segment_state_t state, uint64_t last_seq, uint64_t rest_until_ms)
{
    s3c_ssd_store_sh_t    *st = store_at(ssd, segment);
    s3c_ssd_segment_sh_t  *g = &ssd->segments[segment];

    g->last_seq = last_seq > g->last_seq ? last_seq : g->last_seq;
    g->rest_until_ms = rest_until_ms;
    ORDER();

    if (g->state == S3C_SSD_SEGMENT_OPEN) {
        st->n_open--;
    }

    g->state = state;
    g->owner = S3C_SSD_NO_SLOT;
}


void
s3c_ssd_segment_close_locked(s3c_ssd_t *ssd, uint32_t segment, bool sealed,
    uint64_t last_seq)
{
    const s3c_ssd_segment_sh_t  *g = &ssd->segments[segment];

    /* Or it is not the caller's any more: its store was emptied. */
    if (g->state == S3C_SSD_SEGMENT_OPEN && g->owner == ssd->slot) {
        segment_close(ssd, segment, sealed ? S3C_SSD_SEGMENT_SEALED
                                           : S3C_SSD_SEGMENT_TORN,
                      last_seq, 0);
    }
}


s3c_status_t
s3c_ssd_segment_oldest_locked(s3c_ssd_t *ssd, uint32_t store,
    uint32_t *segment)
{
    uint32_t                     i, end;
    s3c_ssd_segment_sh_t        *g, *oldest = NULL;
    const s3c_ssd_store_sh_t    *st = &ssd->stores[store];

    end = st->first_segment + st->n_segments;

    for (i = st->first_segment; i < end; i++) {
        g = &ssd->segments[i];

        if ((g->state == S3C_SSD_SEGMENT_SEALED
             || g->state == S3C_SSD_SEGMENT_TORN)
            && g->rest_until_ms <= ssd->now_ms
            && (oldest == NULL || g->seq < oldest->seq))
        {
            oldest = g;
            *segment = i;
        }
    }

    if (oldest == NULL) {
        return S3C_MISS;
    }

    oldest->owner = ssd->slot;           /* for who clears up after it */
    ORDER();
    oldest->state = S3C_SSD_SEGMENT_RECLAIMING;

    return S3C_OK;
}


/* --- sweeps: they look at the whole index -------------------------------- */

static bool
take_of_segment(void *ctx, s3c_ssd_place_t p, uint64_t slot)
{
    s3c_ssd_t  *ssd = ((void **) ctx)[0];
    uint32_t    segment = *(uint32_t *) ((void **) ctx)[1];

    (void) slot;

    return s3c_ssd_place_kind(p) != S3C_SSD_PLACE_TOMBSTONE
           && s3c_ssd_place_segment(ssd, p) == segment;
}


/* Marks of what was dropped stay: whoever sweeps them knows when. */
bool
s3c_ssd_take_records(void *ctx, s3c_ssd_place_t p, uint64_t slot)
{
    (void) slot;

    return s3c_ssd_place_store(p) == *(uint32_t *) ctx
           && s3c_ssd_place_kind(p) != S3C_SSD_PLACE_TOMBSTONE;
}


void
s3c_ssd_segment_free_locked(s3c_ssd_t *ssd, uint32_t segment)
{
    void                  *ctx[2] = { ssd, &segment };
    s3c_ssd_store_sh_t    *st = store_at(ssd, segment);
    s3c_ssd_segment_sh_t  *g = &ssd->segments[segment];

    assert(g->state == S3C_SSD_SEGMENT_RECLAIMING);

    /* Rare: a sweep in slices misses what is moved behind its back. */
    if (g->live_records != 0) {
        s3c_ssd_count(&st->n_evict, g->live_records);
        (void) s3c_ssd_index_scan_locked(ssd, 0, ssd->n_buckets,
                                         take_of_segment, ctx);
    }

    /* Its header on flash has this floor already. */
    st->floor = g->last_seq + 1 > st->floor ? g->last_seq + 1 : st->floor;
    g->owner = S3C_SSD_NO_SLOT;
    ORDER();
    g->state = S3C_SSD_SEGMENT_FREE;
    st->n_free++;
}


void
s3c_ssd_flights_clear(s3c_ssd_t *ssd, uint32_t slot)
{
    uint32_t              i;
    s3c_ssd_flight_sh_t  *f;

    for (i = 0; i < ssd->n_stores; i++) {
        f = s3c_ssd_flight(ssd, slot, i);
        atomic_store_explicit(&f->reads, 0, memory_order_relaxed);
        atomic_store_explicit(&f->writes, 0, memory_order_relaxed);
    }
}


void
s3c_ssd_segment_orphan_locked(s3c_ssd_t *ssd, uint32_t slot)
{
    uint32_t               i;
    s3c_ssd_segment_sh_t  *g;

    if (slot != ssd->slot) {
        s3c_ssd_flights_clear(ssd, slot);
    }

    for (i = 0; i < ssd->head->n_segments; i++) {
        g = &ssd->segments[i];

        if (g->owner != slot) {
            continue;
        }

        if (g->state == S3C_SSD_SEGMENT_OPEN) {
            ssd->head->n_orphan++;
            segment_close(ssd, i, S3C_SSD_SEGMENT_TORN, seq_now(ssd),
                          ssd->now_ms + S3C_SSD_REST_MS);

        } else if (g->state == S3C_SSD_SEGMENT_RECLAIMING) {
            /* A keeper's: it rests if its header may be written still. */
            segment_close(ssd, i, S3C_SSD_SEGMENT_TORN, 0, g->rest_until_ms);
        }
    }
}


/* What no writer can have left becomes TORN: it keeps what points into it, and
 * is reclaimed some day. */
static void
segment_mend(s3c_ssd_t *ssd, s3c_ssd_segment_sh_t *g)
{
    if (g->state > S3C_SSD_SEGMENT_RECLAIMING
        || (g->state == S3C_SSD_SEGMENT_OPEN && g->owner >= ssd->n_slots))
    {
        g->last_seq = seq_now(ssd);
        g->rest_until_ms = ssd->now_ms + S3C_SSD_REST_MS;
        ORDER();
        g->state = S3C_SSD_SEGMENT_TORN;
    }

    if (g->state != S3C_SSD_SEGMENT_OPEN
        && g->state != S3C_SSD_SEGMENT_RECLAIMING)
    {
        g->owner = S3C_SSD_NO_SLOT;
    }

    g->live_records = 0;
    g->live_units = 0;
}


void
s3c_ssd_recount_locked(s3c_ssd_t *ssd)
{
    uint32_t               i, k;
    s3c_ssd_store_sh_t    *st;
    s3c_ssd_segment_sh_t  *g;

    for (i = 0; i < ssd->n_stores; i++) {
        st = &ssd->stores[i];
        st->live_records = 0;
        st->live_units = 0;
        st->n_free = 0;
        st->n_open = 0;

        for (k = 0; k < st->n_segments; k++) {
            g = &ssd->segments[st->first_segment + k];
            segment_mend(ssd, g);
            st->n_free += g->state == S3C_SSD_SEGMENT_FREE;
            st->n_open += g->state == S3C_SSD_SEGMENT_OPEN;
        }
    }

    s3c_ssd_index_recount_locked(ssd);
}


void
s3c_ssd_store_empty_locked(s3c_ssd_t *ssd, uint32_t store)
{
    uint32_t               i;
    s3c_ssd_store_sh_t    *st = &ssd->stores[store];
    s3c_ssd_segment_sh_t  *g;

    /* Rare: who calls has swept, and nothing is put to a store that is out of
     * service but what was on its way there. */
    if (st->live_records != 0) {
        (void) s3c_ssd_index_scan_locked(ssd, 0, ssd->n_buckets,
                                         s3c_ssd_take_records, &store);
    }

    for (i = 0; i < st->n_segments; i++) {
        g = &ssd->segments[st->first_segment + i];

        if (g->state == S3C_SSD_SEGMENT_OPEN) {
            /* Its owner's writes may be under way. */
            g->rest_until_ms = ssd->now_ms + S3C_SSD_REST_MS;
        }

        ORDER();
        g->state = S3C_SSD_SEGMENT_FREE;
        g->owner = S3C_SSD_NO_SLOT;
        g->seq = 0;
        g->last_seq = 0;
    }

    st->n_free = st->n_segments;
    st->n_open = 0;
    st->cursor = 0;
}
