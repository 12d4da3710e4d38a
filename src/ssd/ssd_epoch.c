/* SPDX-License-Identifier: Apache-2.0
 *
 * A higher epoch for the stores in service, because one has failed: what is
 * dropped from now on, it does not hear of. If it is back at the next mount,
 * its lower epoch says so, whoever remembers; shared memory would not.
 *
 * The superblocks first, then shared memory. Who dies between leaves stores of
 * different epochs: its successor does it again, a restart keeps the highest.
 */
#include "ssd/ssd_mount.h"

#include <stdlib.h>

struct s3c_ssd_raise_s {
    uint64_t        epoch;
    s3c_ssd_item_t  items[S3C_SSD_STORES_MAX];   /* job NULL: not in service */
};


void
s3c_ssd_seq_raise(s3c_ssd_t *ssd, uint64_t epoch)
{
    uint64_t  to = epoch << S3C_SSD_EPOCH_SHIFT;
    uint64_t  seq = atomic_load(&ssd->head->seq);

    while (seq < to
           && !atomic_compare_exchange_weak(&ssd->head->seq, &seq, to))
    {
        /* again, with what it is now */
    }
}


static uint64_t
raise_epoch(const s3c_ssd_t *ssd)
{
    uint64_t  epoch = atomic_load(&ssd->head->epoch);

    return (ssd->keeper->epoch_seen > epoch ? ssd->keeper->epoch_seen : epoch)
           + 1;
}


bool
s3c_ssd_raise_due(const s3c_ssd_t *ssd)
{
    bool      behind = false, serves = false;
    uint32_t  i;
    uint64_t  epoch = atomic_load(&ssd->head->epoch);

    if (raise_epoch(ssd) > S3C_SSD_EPOCH_MAX) {
        return false;
    }

    for (i = 0; i < ssd->n_stores; i++) {
        serves |= s3c_ssd_in_service(ssd, i);
        behind |= s3c_ssd_state(ssd, i) == S3C_SSD_FAILED
                  && ssd->stores[i].epoch >= epoch
                  && !s3c_ssd_retry_busy(ssd->keeper->retry[i]);
    }

    return (serves && behind) || ssd->keeper->epoch_seen > epoch;
}


s3c_ssd_raise_t *
s3c_ssd_raise_create(s3c_ssd_t *ssd)
{
    uint32_t          i;
    s3c_ssd_item_t   *it;
    s3c_ssd_raise_t  *r = calloc(1, sizeof(*r));

    for (i = 0; r != NULL && i < ssd->n_stores; i++) {
        if (!s3c_ssd_in_service(ssd, i)) {
            continue;
        }

        it = &r->items[i];
        it->super.store_id = ssd->stores[i].store_id;
        it->job = s3c_ssd_job_create(ssd, i, S3C_SSD_SUPER_BYTES);

        if (it->job == NULL) {
            s3c_ssd_raise_destroy(r);
            return NULL;
        }
    }

    if (r != NULL) {
        r->epoch = raise_epoch(ssd);
    }

    return r;
}


void
s3c_ssd_raise_destroy(s3c_ssd_raise_t *r)
{
    uint32_t  i;

    if (r == NULL) {
        return;
    }

    for (i = 0; i < S3C_SSD_STORES_MAX; i++) {
        s3c_ssd_job_destroy(r->items[i].job);
    }

    free(r);
}


s3c_ssd_retry_t *
s3c_ssd_raise_rest(s3c_ssd_raise_t *r, uint32_t store)
{
    return s3c_ssd_retry_adopt(store, &r->items[store].job);
}


bool
s3c_ssd_raise_run(s3c_ssd_t *ssd, s3c_ssd_raise_t *r)
{
    bool      over = true;
    uint32_t  i;

    for (i = 0; i < ssd->n_stores; i++) {
        if (r->items[i].job != NULL) {
            over &= s3c_ssd_item_write(ssd, &r->items[i], i, r->epoch);
        }
    }

    if (!over || !s3c_ssd_lock(ssd)) {
        return false;
    }

    s3c_ssd_seq_raise(ssd, r->epoch);

    for (i = 0; i < ssd->n_stores; i++) {
        if (r->items[i].job != NULL) {
            ssd->stores[i].epoch = r->epoch;   /* an error may come late */
        }
    }

    atomic_store(&ssd->head->epoch, r->epoch);
    s3c_ssd_unlock(ssd);

    for (i = 0; i < ssd->n_stores; i++) {
        if (r->items[i].failed) {
            s3c_ssd_store_fail(ssd, i);
        }
    }

    return true;
}
