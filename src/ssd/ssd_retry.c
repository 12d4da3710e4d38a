/* SPDX-License-Identifier: Apache-2.0
 *
 * One store that has failed: it is in service again when its superblock can be
 * read and written, with what the index says, or formatted if it has missed a
 * tombstone. Waits for its time itself, longer and longer.
 *
 * If no other store is in service, nothing but its own superblock can tell a
 * restart that it has missed something: it is spoilt at once, if the device
 * takes that write.
 */
#include "ssd/ssd_mount.h"

#include <stdlib.h>

struct s3c_ssd_retry_s {
    uint32_t        store;
    s3c_ssd_step_t  step;                /* LOCK: waits for its time */
    uint64_t        epoch;               /* that is written */
    bool            spoilt;              /* tried, since the last retry */
    bool            spoiling;            /* this turn is for that only */
    uint64_t        bucket;              /* format: swept so far */
    s3c_ssd_item_t  item;
};


s3c_ssd_retry_t *
s3c_ssd_retry_create(s3c_ssd_t *ssd, uint32_t store)
{
    s3c_ssd_retry_t  *r = calloc(1, sizeof(*r));

    if (r == NULL) {
        return NULL;
    }

    r->store = store;
    r->item.job = s3c_ssd_job_create(ssd, store, S3C_SSD_SUPER_BYTES);

    if (r->item.job == NULL) {
        free(r);
        return NULL;
    }

    return r;
}


s3c_ssd_retry_t *
s3c_ssd_retry_adopt(uint32_t store, s3c_ssd_job_t **job)
{
    s3c_ssd_retry_t  *r;

    if (*job == NULL || !(*job)->busy) {
        return NULL;
    }

    r = calloc(1, sizeof(*r));

    if (r != NULL) {
        r->store = store;
        r->item.job = *job;
        *job = NULL;
    }

    return r;
}


void
s3c_ssd_retry_destroy(s3c_ssd_retry_t *r)
{
    if (r != NULL) {
        s3c_ssd_job_destroy(r->item.job);
        free(r);
    }
}


bool
s3c_ssd_retry_busy(const s3c_ssd_retry_t *r)
{
    return r != NULL && r->step != S3C_SSD_STEP_LOCK;
}


static bool
is_alone(const s3c_ssd_t *ssd)
{
    for (uint32_t i = 0; i < ssd->n_stores; i++) {
        if (s3c_ssd_in_service(ssd, i)) {
            return false;
        }
    }

    return true;
}


/* Not while an old write may still arrive: it would undo the new one. */
static s3c_ssd_step_t
retry_wait(s3c_ssd_t *ssd, s3c_ssd_retry_t *r)
{
    s3c_ssd_item_t      *it = &r->item;
    s3c_ssd_store_sh_t  *st = &ssd->stores[r->store];

    if (it->job->busy) {
        return S3C_SSD_STEP_LOCK;
    }

    s3c_ssd_item_next(it);
    it->failed = false;
    it->format = NULL;
    r->spoiling = false;
    r->bucket = 0;

    if (ssd->now_ms >= st->retry_ms) {
        return S3C_SSD_STEP_READ;
    }

    if (r->spoilt || st->lost_tombstones == 0 || !is_alone(ssd)) {
        return S3C_SSD_STEP_LOCK;
    }

    r->spoilt = true;
    r->spoiling = true;
    it->format = "lost tombstones";
    r->epoch = atomic_load(&ssd->head->epoch);

    return S3C_SSD_STEP_WRITE;
}


static s3c_ssd_step_t
retry_failed(s3c_ssd_t *ssd, s3c_ssd_retry_t *r)
{
    s3c_ssd_store_sh_t  *st = &ssd->stores[r->store];
    uint32_t             n = st->n_failures < 16 ? st->n_failures : 16;
    uint64_t             wait = (uint64_t) S3C_SSD_RETRY_MS << n;

    if (!r->spoiling) {
        st->retry_ms = ssd->now_ms + (wait < S3C_SSD_RETRY_MAX_MS
                                      ? wait : S3C_SSD_RETRY_MAX_MS);
        st->n_failures++;
        r->spoilt = false;               /* it may take writes, if no reads */
    }

    return S3C_SSD_STEP_LOCK;
}


static s3c_ssd_step_t
retry_read(s3c_ssd_t *ssd, s3c_ssd_retry_t *r)
{
    uint64_t             epoch = atomic_load(&ssd->head->epoch);
    s3c_ssd_item_t      *it = &r->item;
    s3c_ssd_store_sh_t  *st = &ssd->stores[r->store];

    if (!s3c_ssd_item_read(it)) {
        return S3C_SSD_STEP_READ;
    }

    if (it->failed) {
        return retry_failed(ssd, r);
    }

    s3c_ssd_item_next(it);
    s3c_ssd_item_judge(ssd, it, r->store);

    /* A format could lose against the copy of the higher epoch: that of the
     * zone has to be above it first. */
    if (it->ours && it->super.epoch > epoch) {
        ssd->keeper->epoch_seen = it->super.epoch;
        return S3C_SSD_STEP_LOCK;
    }

    if (st->lost_tombstones != 0) {
        it->format = "lost tombstones";

    } else if (it->format == NULL
               && (it->super.store_id != st->store_id
                   || it->super.epoch << S3C_SSD_EPOCH_SHIFT
                      < s3c_ssd_run_seq(ssd)))
    {
        it->format = "damaged";
    }

    r->epoch = epoch;

    return S3C_SSD_STEP_WRITE;
}


static s3c_ssd_step_t
retry_write(s3c_ssd_t *ssd, s3c_ssd_retry_t *r)
{
    s3c_ssd_item_t  *it = &r->item;

    ssd->stores[r->store].epoch = r->epoch;

    if (!s3c_ssd_item_write(ssd, it, r->store, r->epoch)) {
        return S3C_SSD_STEP_WRITE;
    }

    if (it->failed) {
        return retry_failed(ssd, r);
    }

    return r->spoiling ? S3C_SSD_STEP_LOCK : S3C_SSD_STEP_COMMIT;
}


static s3c_ssd_step_t
retry_commit(s3c_ssd_t *ssd, s3c_ssd_retry_t *r)
{
    s3c_ssd_store_sh_t  *st = &ssd->stores[r->store];

    /* Before it can be written to again. */
    if (ssd->writer != NULL) {
        s3c_ssd_writer_abandon(ssd, r->store);
    }

    /* Gone from the device already, and not found while it is out. */
    if (r->item.format != NULL && r->bucket < ssd->n_buckets) {
        s3c_ssd_keeper_scan(ssd, &r->bucket, s3c_ssd_take_records, &r->store);
    }

    if ((r->item.format != NULL && r->bucket < ssd->n_buckets)
        || !s3c_ssd_lock(ssd))
    {
        return S3C_SSD_STEP_COMMIT;
    }

    if (r->epoch != atomic_load(&ssd->head->epoch)
        || (r->item.format == NULL && st->lost_tombstones != 0))
    {
        s3c_ssd_unlock(ssd);             /* meanwhile: from the start */
        return S3C_SSD_STEP_LOCK;
    }

    if (r->item.format != NULL) {
        s3c_ssd_store_format_locked(ssd, r->store, r->item.super.store_id,
                                    false);

    } else {
        atomic_store(&st->errors[0], 0);
        atomic_store(&st->errors[1], 0);
        atomic_store(&st->state, S3C_SSD_SERVING);
    }

    st->retry_ms = ssd->now_ms;          /* since when it is well */
    s3c_ssd_unlock(ssd);

    if (r->item.format != NULL) {
        s3c_ssd_say(ssd, S3C_SSD_LOG_FORMATTED, r->store, 0, r->item.format);
    }

    s3c_ssd_say(ssd, S3C_SSD_LOG_BACK, r->store, 0, NULL);

    return S3C_SSD_STEP_DONE;
}


static s3c_ssd_step_t (*const retry_steps[])(s3c_ssd_t *ssd,
    s3c_ssd_retry_t *r) =
{
    [S3C_SSD_STEP_LOCK]   = retry_wait,      /* READ, WRITE */
    [S3C_SSD_STEP_READ]   = retry_read,      /* WRITE, LOCK */
    [S3C_SSD_STEP_WRITE]  = retry_write,     /* COMMIT, LOCK */
    [S3C_SSD_STEP_COMMIT] = retry_commit     /* DONE, LOCK */
};


bool
s3c_ssd_retry_run(s3c_ssd_t *ssd, s3c_ssd_retry_t *r)
{
    s3c_ssd_step_t  before;

    do {
        before = r->step;
        r->step = retry_steps[before](ssd, r);
    } while (r->step > before && r->step != S3C_SSD_STEP_DONE);

    return r->step == S3C_SSD_STEP_DONE;
}
