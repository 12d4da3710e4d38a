/* SPDX-License-Identifier: Apache-2.0
 *
 * A job's file: its sum is made right, so that what lies behind it is tried;
 * what is taken is within its limits, and is taken again when printed.
 */
#include <stdlib.h>

#include "base/crc32c.h"
#include "serve/warm_job.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static s3c_warm_job_t  job, again;
static uint8_t         file[S3C_WARM_FILE_MAX + 16], out[S3C_WARM_FILE_MAX];


static size_t
sum_add(size_t size)
{
    uint32_t      sum = s3c_crc32c(0, file, size);
    uint8_t       bytes[4] = { (uint8_t) (sum >> 24), (uint8_t) (sum >> 16),
                               (uint8_t) (sum >> 8), (uint8_t) sum };
    s3c_writer_t  w;

    s3c_writer_init(&w, file + size, 16);
    s3c_write_lit(&w, "sum ");
    s3c_write_hex(&w, bytes, sizeof(bytes));
    s3c_write_byte(&w, '\n');

    return size + s3c_writer_slice(&w).len;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char    *what;
    s3c_writer_t   w;

    if (size > S3C_WARM_FILE_MAX - 16) {
        return 0;
    }

    if (s3c_warm_job_parse(&job, s3c_slice(data, size), &what) == S3C_OK) {
        size -= 13;
    }

    if (size > 0) {
        memcpy(file, data, size);
    }

    if (s3c_warm_job_parse(&job, s3c_slice(file, sum_add(size)), &what)
        != S3C_OK)
    {
        return 0;
    }

    if (job.n_nodes > S3C_WARM_NODES_MAX || job.zone.len > S3C_WARM_NAME_MAX
        || job.after.len > S3C_WARM_KEY_MAX || job.concurrency == 0
        || job.concurrency > S3C_WARM_CONC_MAX
        || job.mode >= S3C_WARM_MODES || job.state >= S3C_WARM_STATES)
    {
        abort();
    }

    s3c_writer_init(&w, out, sizeof(out));
    s3c_warm_job_print(&w, &job);

    if (!s3c_writer_ok(&w)
        || s3c_warm_job_parse(&again, s3c_writer_slice(&w), &what) != S3C_OK
        || memcmp(&job, &again, sizeof(job)) != 0)
    {
        abort();
    }

    return 0;
}
