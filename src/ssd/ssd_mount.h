/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to the files that read and write superblocks: ssd_mount (of all
 * stores), ssd_retry (of one), ssd_epoch (a higher epoch for those in
 * service). An item is one store's superblock on its way.
 */
#ifndef S3C_SSD_SSD_MOUNT_H
#define S3C_SSD_SSD_MOUNT_H

#include "ssd/ssd_keeper.h"

typedef struct {
    s3c_ssd_job_t    *job;
    s3c_ssd_super_t   super;             /* read, then as it is written */
    bool              ours;              /* of this zone: its epoch counts */
    bool              unsure;            /* damaged, or a copy of it is: it may
                                            have had a higher epoch */
    bool              failed;
    bool              begun;             /* the I/O of this step */
    bool              written;           /* may be, in part */
    bool              cleared;           /* format: the second write's turn */
    const char       *format;            /* why; NULL: kept */
} s3c_ssd_item_t;

typedef enum {
    S3C_SSD_STEP_LOCK = 0, S3C_SSD_STEP_READ, S3C_SSD_STEP_WRITE,
    S3C_SSD_STEP_COMMIT, S3C_SSD_STEP_DONE
} s3c_ssd_step_t;

/* Begins what there is to begin. True: the read is over, well or not. */
bool s3c_ssd_item_read(s3c_ssd_item_t *it);
/* What was read, judged by itself. */
void s3c_ssd_item_judge(s3c_ssd_t *ssd, s3c_ssd_item_t *it, uint32_t store);
/* The same for writing. What is kept gets one new copy. What is formatted gets
 * one with a new id, and after that the other copy is cleared: at any moment
 * the new one wins, or the old one is as it was. */
bool s3c_ssd_item_write(s3c_ssd_t *ssd, s3c_ssd_item_t *it, uint32_t store,
    uint64_t epoch);
/* Nothing is under way; the next step can begin. */
void s3c_ssd_item_next(s3c_ssd_item_t *it);

/* A retry that begins with waiting for the end of this I/O; NULL: none is
 * under way. */
s3c_ssd_retry_t *s3c_ssd_retry_adopt(uint32_t store, s3c_ssd_job_t **job);

/* It is formatted, and serves. `fresh`: the index knows nothing of it. */
void s3c_ssd_store_format_locked(s3c_ssd_t *ssd, uint32_t store,
    uint64_t store_id, bool fresh);
/* All seqs given out from here on are higher than those of lower epochs. */
void s3c_ssd_seq_raise(s3c_ssd_t *ssd, uint64_t epoch);

#endif
