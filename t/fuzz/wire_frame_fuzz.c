/* SPDX-License-Identifier: Apache-2.0
 *
 * A payload of arbitrary bytes: frames that lie in it, are within the limits,
 * and are encoded to the bytes that they were decoded from; or INVALID.
 */
#include <stdlib.h>

#include "cluster/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
within(s3c_slice_t s, const uint8_t *from, const uint8_t *to)
{
    if (s.data < from || s.data > to || s.len > (size_t) (to - s.data)) {
        abort();
    }
}


/* `from`, `to`: the bytes of it, behind what may have been skipped. */
static void
frame_try(const s3c_wire_frame_t *f, const uint8_t *from, const uint8_t *to)
{
    size_t          n;
    uint8_t        *out;
    s3c_slice_t     tail = s3c_wire_frame_tail(f);
    s3c_writer_t    w;

    if (f->type == S3C_WIRE_ASK) {
        within(f->ask.etag, from, to);
        within(f->ask.bucket, from, to);
        within(f->ask.key, from, to);
        within(f->ask.version_id, from, to);
    }

    if (tail.len > 0) {
        within(tail, from, to);
    }

    out = malloc(S3C_WIRE_FRAME_WRITES_MAX);
    s3c_writer_init(&w, out, S3C_WIRE_FRAME_WRITES_MAX);

    if (s3c_wire_frame_encode(&w, f) != S3C_OK) {
        abort();
    }

    n = s3c_writer_slice(&w).len;

    if (n + tail.len > (size_t) (to - from)
        || (tail.len > 0 && tail.data + tail.len != to)
        || memcmp(out, to - tail.len - n, n) != 0)
    {
        abort();
    }

    if (f->type == S3C_WIRE_META
        && s3c_wire_meta_follows(&f->meta, f->meta.head_off, &f->meta)
           != S3C_OK)
    {
        abort();
    }

    free(out);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t           *in = malloc(size + 1);
    s3c_slice_t        rest = s3c_slice(in + 1, size);
    s3c_status_t       st;
    const uint8_t     *from;
    s3c_wire_frame_t   f;

    memcpy(in + 1, data, size);

    do {
        from = rest.data;
        st = s3c_wire_frame_decode(&rest, &f);

        if (st == S3C_OK) {
            frame_try(&f, from, rest.data);
        }
    } while (st == S3C_OK);

    if (st == S3C_MISS ? rest.len != 0 : st != S3C_INVALID) {
        abort();
    }

    free(in);

    return 0;
}
