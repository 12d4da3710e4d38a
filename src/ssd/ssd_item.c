/* SPDX-License-Identifier: Apache-2.0
 *
 * One store's superblock on its way: read and judged, or written. A store that
 * cannot be trusted is formatted: a new store_id makes everything that lies on
 * it foreign. Whoever owns the item looks at it from run().
 */
#include "ssd/ssd_mount.h"

#include <string.h>


void
s3c_ssd_item_next(s3c_ssd_item_t *it)
{
    it->begun = false;
    it->cleared = false;
}


/* True: the I/O of this step is over, well or not. */
static bool
item_over(s3c_ssd_item_t *it)
{
    if (it->failed) {
        return true;
    }

    if (!it->begun) {
        return false;
    }

    if (it->job->busy) {
        it->failed = s3c_ssd_job_hangs(it->job, S3C_SSD_SUPER_WAIT_MS);

        if (it->failed) {
            s3c_ssd_count(&it->job->ssd->stores[it->job->store].n_timeout, 1);
        }

        return it->failed;
    }

    it->failed = it->job->err != 0;

    return true;
}


bool
s3c_ssd_item_read(s3c_ssd_item_t *it)
{
    if (!it->begun && !it->failed) {
        it->begun = s3c_ssd_job_begin(it->job, S3C_IO_READ, 0,
                                      S3C_SSD_SUPER_BYTES) == S3C_OK;
    }

    return item_over(it);
}


void
s3c_ssd_item_judge(s3c_ssd_t *ssd, s3c_ssd_item_t *it, uint32_t store)
{
    const s3c_ssd_store_conf_t  *conf = &ssd->stores[store].conf;

    it->ours = false;
    it->unsure = false;

    switch (s3c_ssd_super_decode(it->job->buf, &it->super)) {

    case S3C_OK:
        break;

    case S3C_MISS:
        it->format = "new";
        return;

    default:                             /* the master let it pass: "take" */
        it->format = "damaged";
        it->unsure = true;
        return;
    }

    if (memcmp(it->super.secret, ssd->head->secret, sizeof(it->super.secret))
        != 0)
    {
        it->format = "secret";

    } else if (it->super.epoch >= S3C_SSD_EPOCH_MAX) {
        it->format = "damaged";

    } else {
        it->ours = true;
        it->unsure = it->super.lost_copy;
        it->format = it->super.lost_copy ? "damaged"
                     : it->super.bytes == conf->bytes
                       && it->super.segment_bytes == conf->segment_bytes
                       ? NULL : "geometry";
    }
}


static s3c_status_t
item_begin_write(s3c_ssd_t *ssd, s3c_ssd_item_t *it, uint32_t store,
    uint64_t epoch)
{
    uint64_t                     copy = epoch & 1;
    const s3c_ssd_store_conf_t  *conf = &ssd->stores[store].conf;

    memset(it->job->buf, 0, S3C_SSD_BLOCK);

    if (it->cleared) {
        return s3c_ssd_job_begin(it->job, S3C_IO_WRITE_DSYNC,
                                 (1 - copy) * S3C_SSD_BLOCK, S3C_SSD_BLOCK);
    }

    if (it->format != NULL) {
        ssd->env.random(ssd->env.ctx, &it->super.store_id,
                        sizeof(it->super.store_id));
        it->super.store_id |= it->super.store_id == 0;
    }

    it->super.epoch = epoch;
    it->super.bytes = conf->bytes;
    it->super.segment_bytes = conf->segment_bytes;
    memcpy(it->super.secret, ssd->head->secret, sizeof(it->super.secret));
    s3c_ssd_super_encode(it->job->buf, &it->super);

    return s3c_ssd_job_begin(it->job, S3C_IO_WRITE_DSYNC,
                             copy * S3C_SSD_BLOCK, S3C_SSD_BLOCK);
}


bool
s3c_ssd_item_write(s3c_ssd_t *ssd, s3c_ssd_item_t *it, uint32_t store,
    uint64_t epoch)
{
    if (!it->begun && !it->failed) {
        it->begun = item_begin_write(ssd, it, store, epoch) == S3C_OK;
        it->written |= it->begun;
    }

    if (!item_over(it)) {
        return false;
    }

    if (!it->failed && it->format != NULL && !it->cleared) {
        it->cleared = true;
        it->begun = item_begin_write(ssd, it, store, epoch) == S3C_OK;
        return item_over(it);
    }

    return true;
}
