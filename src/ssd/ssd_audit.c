/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks every invariant of the shared part under the lock: that each place
 * lies where a record can lie, that no key has two, and that all counts are
 * what the index says. Changes nothing, names the first broken thing. A look
 * at every place: for tests and the admin, not for every minute.
 */
#include "ssd/ssd_internal.h"

#include <stdlib.h>

typedef struct {
    uint64_t  records;
    uint64_t  units;
} sum_t;

typedef struct {
    s3c_ssd_t   *ssd;
    sum_t       *segments;
    sum_t        stores[S3C_SSD_STORES_MAX];
    const char  *what;
} audit_t;


static const char *
audit_place(audit_t *a, s3c_ssd_place_t p, uint64_t slot)
{
    uint32_t    segment, units = s3c_ssd_place_units(p);
    uint32_t    store = s3c_ssd_place_store(p);
    s3c_ssd_t  *ssd = a->ssd;

    if (!s3c_ssd_place_possible(ssd, p)) {
        return "a place lies where no record can lie";
    }

    if (s3c_ssd_index_twin_locked(ssd, slot)) {
        return "a key has two places";
    }

    if (s3c_ssd_place_kind(p) == S3C_SSD_PLACE_TOMBSTONE) {
        return NULL;
    }

    segment = s3c_ssd_place_segment(ssd, p);

    if (ssd->segments[segment].state == S3C_SSD_SEGMENT_FREE) {
        return "a place lies in a free segment";
    }

    a->segments[segment].records++;
    a->segments[segment].units += units;
    a->stores[store].records++;
    a->stores[store].units += units;

    return NULL;
}


static bool
audit_take(void *ctx, s3c_ssd_place_t place, uint64_t slot)
{
    audit_t  *a = ctx;

    if (a->what == NULL) {
        a->what = audit_place(a, place, slot);
    }

    return false;
}


static const char *
audit_segment(const audit_t *a, uint32_t segment)
{
    const s3c_ssd_segment_sh_t  *g = &a->ssd->segments[segment];

    if (g->state > S3C_SSD_SEGMENT_RECLAIMING) {
        return "a segment is in no state";
    }

    if (g->state == S3C_SSD_SEGMENT_OPEN && g->owner >= a->ssd->n_slots) {
        return "an open segment has no owner";
    }

    if (g->live_records != a->segments[segment].records
        || g->live_units != a->segments[segment].units)
    {
        return "a segment's count is not what the index says";
    }

    return NULL;
}


static const char *
audit_store(const audit_t *a, uint32_t store)
{
    uint32_t                   i, n_free = 0, n_open = 0;
    const char                *what;
    const s3c_ssd_store_sh_t  *st = &a->ssd->stores[store];

    if (s3c_ssd_state(a->ssd, store) > S3C_SSD_FAILED) {
        return "a store is in no state";
    }

    for (i = st->first_segment; i < st->first_segment + st->n_segments; i++) {
        what = audit_segment(a, i);

        if (what != NULL) {
            return what;
        }

        n_free += a->ssd->segments[i].state == S3C_SSD_SEGMENT_FREE;
        n_open += a->ssd->segments[i].state == S3C_SSD_SEGMENT_OPEN;
    }

    if (st->n_free != n_free || st->n_open != n_open) {
        return "a store's count of segments is wrong";
    }

    if (st->live_records != a->stores[store].records
        || st->live_units != a->stores[store].units)
    {
        return "a store's count is not what the index says";
    }

    return NULL;
}


s3c_status_t
s3c_ssd_audit(s3c_ssd_t *ssd, const char **what)
{
    uint32_t  i;
    audit_t   a = { .ssd = ssd };

    *what = NULL;
    a.segments = calloc(ssd->head->n_segments, sizeof(sum_t));

    if (a.segments == NULL) {
        return S3C_BUSY;
    }

    if (!s3c_ssd_lock(ssd)) {
        free(a.segments);
        *what = "the lock is not to be had";
        return S3C_CORRUPT;
    }

    (void) s3c_ssd_index_scan_locked(ssd, 0, ssd->n_buckets, audit_take, &a);

    for (i = 0; i < ssd->n_stores && a.what == NULL; i++) {
        a.what = audit_store(&a, i);
    }

    s3c_ssd_unlock(ssd);
    free(a.segments);
    *what = a.what;

    return a.what == NULL ? S3C_OK : S3C_CORRUPT;
}
