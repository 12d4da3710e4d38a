/* SPDX-License-Identifier: Apache-2.0
 *
 * One I/O of the keeper's, whole: short results are gone on with, errors are
 * counted and told. Its memory is its own, so that a keeper may end at any
 * moment: what is still under way then frees itself when it ends, or never.
 */
#include "ssd/ssd_keeper.h"

#include <errno.h>
#include <stdlib.h>


s3c_ssd_job_t *
s3c_ssd_job_create(s3c_ssd_t *ssd, uint32_t store, uint32_t cap)
{
    void           *buf = NULL;
    s3c_ssd_job_t  *job = calloc(1, sizeof(*job));

    if (job == NULL || posix_memalign(&buf, S3C_SSD_BLOCK, cap) != 0) {
        free(job);
        return NULL;
    }

    job->ssd = ssd;
    job->store = store;
    job->buf = buf;
    job->cap = cap;

    return job;
}


static void
job_free(s3c_ssd_job_t *job)
{
    free(job->buf);
    free(job);
}


void
s3c_ssd_job_destroy(s3c_ssd_job_t *job)
{
    if (job == NULL) {
        return;
    }

    if (job->busy) {
        job->orphan = true;
        return;
    }

    job_free(job);
}


static void
job_count(s3c_ssd_job_t *job)
{
    bool                 read = job->op.kind == S3C_IO_READ;
    s3c_ssd_store_sh_t  *st = &job->ssd->stores[job->store];

    s3c_ssd_count(read ? &st->read_bytes : &st->written_bytes, job->got);

    if (job->err != 0) {
        s3c_ssd_count(read ? &st->n_read_error : &st->n_write_error, 1);
        s3c_ssd_say(job->ssd, S3C_SSD_LOG_ERROR, job->store,
                    (uint64_t) job->err, read ? "read" : "write");
    }
}


static void
job_done(s3c_io_op_t *op)
{
    s3c_ssd_job_t  *job = op->data;

    if (job->orphan) {
        job_free(job);
        return;
    }

    if (op->result > 0) {
        job->got += (uint32_t) op->result;
    }

    /* Short: on from the last whole block. */
    if (op->result > 0 && job->got < job->len
        && job->n_short++ < S3C_SSD_SHORT_MAX)
    {
        job->got &= ~(S3C_SSD_BLOCK - 1);
        op->buf = job->buf + job->got;
        op->off = job->off + job->got;
        op->len = job->len - job->got;

        if (s3c_io_queue(job->ssd->env.io, op) == S3C_OK) {
            return;
        }
    }

    job->err = op->result < 0 ? -op->result
               : job->got < job->len ? EIO : 0;
    job->busy = false;
    job_count(job);

    if (job->done != NULL) {
        job->done(job);
    }
}


s3c_status_t
s3c_ssd_job_begin(s3c_ssd_job_t *job, s3c_io_kind_t kind, uint64_t off,
    uint32_t len)
{
    s3c_status_t  st;

    assert(!job->busy && len <= job->cap && len % S3C_SSD_BLOCK == 0);

    job->op = (s3c_io_op_t) {
        .kind = kind, .fd = job->ssd->env.fds[job->store], .buf = job->buf,
        .len = len, .off = off, .done = job_done, .data = job
    };
    job->off = off;
    job->len = len;
    job->got = 0;
    job->n_short = 0;
    job->err = 0;
    job->begun_ms = job->ssd->now_ms;

    st = s3c_io_queue(job->ssd->env.io, &job->op);
    job->busy = st == S3C_OK;

    return st;
}
