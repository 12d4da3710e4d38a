/* SPDX-License-Identifier: Apache-2.0
 *
 * A line of a list: what is taken is within its limits and its own memory, and
 * says the same when it is printed.
 */
#include <stdlib.h>

#include "serve/warm_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static s3c_warm_line_t  line, again;


static void
within(s3c_slice_t s, size_t max, bool needed)
{
    if (s.len > max || (needed && s.len == 0)
        || (s.len > 0 && (s.data < line.buf
                          || s.data + s.len > line.buf + sizeof(line.buf))))
    {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t  out[4 * S3C_WARM_LINE_MAX];
    s3c_writer_t    w;

    if (s3c_warm_line_parse(&line, s3c_slice(data, size)) != S3C_OK) {
        return 0;
    }

    within(line.bucket, S3C_WARM_BUCKET_MAX, true);
    within(line.key, 1024, true);
    within(line.version, S3C_WARM_VERSION_MAX, false);

    s3c_writer_init(&w, out, sizeof(out));
    s3c_warm_line_print(&w, line.bucket, line.key, line.version, line.first,
                        line.last);

    if (!s3c_writer_ok(&w)
        || s3c_warm_line_parse(&again,
                               s3c_slice(out, s3c_writer_slice(&w).len - 1))
           != S3C_OK
        || !s3c_slice_eq(line.bucket, again.bucket)
        || !s3c_slice_eq(line.key, again.key)
        || !s3c_slice_eq(line.version, again.version)
        || line.first != again.first || line.last != again.last)
    {
        abort();
    }

    return 0;
}
