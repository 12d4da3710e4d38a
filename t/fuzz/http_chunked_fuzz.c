/* SPDX-License-Identifier: Apache-2.0
 *
 * A chunked body gives the same payload, status and length, whole and in
 * pieces (the first byte says of what size).
 */
#include <stdlib.h>

#include "http/http_chunked.h"

#define BODY_MAX  65536


static s3c_status_t
decode(s3c_slice_t in, size_t piece, uint8_t *out, size_t *out_len,
    size_t *used)
{
    size_t              n;
    s3c_slice_t         data;
    s3c_status_t        st = S3C_AGAIN;
    s3c_http_chunked_t  c = { 0 };

    *used = 0;
    *out_len = 0;

    while (*used < in.len && st == S3C_AGAIN) {
        size_t  left = in.len - *used;

        left = left < piece ? left : piece;
        st = s3c_http_chunked_step(&c, s3c_slice(in.data + *used, left),
                                   &data, &n);

        if (n == 0 || n > left || data.len > n
            || (data.len > 0
                && (data.data < in.data + *used
                    || data.data + data.len > in.data + *used + n)))
        {
            abort();
        }

        if (data.len > 0) {
            memcpy(out + *out_len, data.data, data.len);
        }

        *out_len += data.len;
        *used += n;
    }

    return st;
}


int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    static uint8_t  whole[BODY_MAX], pieces[BODY_MAX];
    size_t          whole_len, pieces_len, whole_used, pieces_used;
    s3c_slice_t     text;
    s3c_status_t    st;

    if (len < 2 || len > BODY_MAX) {
        return 0;
    }

    text = s3c_slice(in + 1, len - 1);
    st = decode(text, text.len, whole, &whole_len, &whole_used);

    if (st != decode(text, in[0] % 16 + 1, pieces, &pieces_len, &pieces_used)
        || whole_len != pieces_len || whole_used != pieces_used
        || memcmp(whole, pieces, whole_len) != 0)
    {
        abort();
    }

    return 0;
}
