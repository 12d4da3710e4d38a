/* SPDX-License-Identifier: Apache-2.0
 *
 * A DeleteObjects body names the same keys whole and in pieces; the first byte
 * says of what size. What the reader takes for a body it takes to its end.
 */
#include <stdlib.h>

#include "s3/s3_delete.h"

#define BODY_MAX  65536


static bool
read_keys(s3c_slice_t in, size_t piece, uint8_t *out, size_t *out_len)
{
    size_t           used, left;
    s3c_slice_t      key;
    s3c_status_t     st;
    s3c_s3_delete_t  d = { 0 };

    *out_len = 0;

    while (in.len > 0) {
        left = in.len < piece ? in.len : piece;
        st = s3c_s3_delete_step(&d, s3c_slice(in.data, left), &key, &used);

        if (used > left || (st == S3C_AGAIN && used != left)
            || (st == S3C_EXISTS
                && (key.len == 0 || key.len > S3C_S3_KEY_BYTES_MAX)))
        {
            abort();
        }

        if (st == S3C_INVALID) {
            return false;
        }

        if (st == S3C_EXISTS) {
            memcpy(out + *out_len, key.data, key.len);
            *out_len += key.len;
            out[(*out_len)++] = '|';
        }

        in = s3c_slice(in.data + used, in.len - used);
    }

    return s3c_s3_delete_is_done(&d);
}


int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    static uint8_t  whole[2 * BODY_MAX], pieces[2 * BODY_MAX];
    bool            done;
    size_t          whole_len, pieces_len;
    s3c_slice_t     text;

    if (len < 2 || len > BODY_MAX) {
        return 0;
    }

    text = s3c_slice(in + 1, len - 1);
    done = read_keys(text, BODY_MAX, whole, &whole_len);

    if (done != read_keys(text, in[0] % 16 + 1, pieces, &pieces_len)
        || whole_len != pieces_len
        || memcmp(whole, pieces, whole_len) != 0)
    {
        abort();
    }

    return 0;
}
