/* SPDX-License-Identifier: Apache-2.0
 *
 * A CompleteMultipartUpload body names the same parts whole and in pieces; the
 * first byte says of what size. Numbers ascend.
 */
#include <stdlib.h>

#include "s3/s3_complete.h"

#define BODY_MAX  65536


static bool
read_parts(s3c_slice_t in, size_t piece, s3c_s3_part_t *out, size_t *n)
{
    size_t             used, left;
    unsigned           last = 0;
    s3c_status_t       st;
    s3c_s3_part_t      part;
    s3c_s3_complete_t  c = { 0 };

    *n = 0;

    while (in.len > 0) {
        left = in.len < piece ? in.len : piece;
        st = s3c_s3_complete_step(&c, s3c_slice(in.data, left), &part, &used);

        if (used > left || (st == S3C_AGAIN && used != left)
            || (st == S3C_EXISTS
                && (part.number <= last || part.number > S3C_S3_PARTS_MAX)))
        {
            abort();
        }

        if (st == S3C_INVALID) {
            return false;
        }

        if (st == S3C_EXISTS) {
            last = part.number;
            out[(*n)++] = part;
        }

        in = s3c_slice(in.data + used, in.len - used);
    }

    return s3c_s3_complete_is_done(&c);
}


int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    static s3c_s3_part_t  whole[S3C_S3_PARTS_MAX], pieces[S3C_S3_PARTS_MAX];
    bool                  done;
    size_t                n_whole, n_pieces;
    s3c_slice_t           text;

    if (len < 2 || len > BODY_MAX) {
        return 0;
    }

    text = s3c_slice(in + 1, len - 1);
    done = read_parts(text, BODY_MAX, whole, &n_whole);

    if (done != read_parts(text, in[0] % 16 + 1, pieces, &n_pieces)
        || n_whole != n_pieces)
    {
        abort();
    }

    for (size_t i = 0; i < n_whole; i++) {
        if (whole[i].number != pieces[i].number
            || memcmp(whole[i].md5, pieces[i].md5, sizeof(whole[i].md5)) != 0)
        {
            abort();
        }
    }

    return 0;
}
