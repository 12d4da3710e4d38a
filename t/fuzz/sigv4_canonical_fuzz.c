/* SPDX-License-Identifier: Apache-2.0
 *
 * A canonical query is its own canonical form.
 */
#include <stdlib.h>

#include "auth/sigv4.h"

#define QUERY_MAX  2048


static s3c_status_t
canonical(s3c_slice_t query, uint8_t *buf, size_t size, s3c_slice_t *out)
{
    s3c_status_t               st;
    s3c_writer_t               w;
    const s3c_sigv4_request_t  req = {
        .method = S3C_SLICE("G"),
        .path = S3C_SLICE("/"),
        .query = query,
        .payload_hash = S3C_SLICE("h"),
    };

    s3c_writer_init(&w, buf, size);
    st = s3c_sigv4_canonical(&req, &w);
    *out = s3c_writer_slice(&w);

    /* "G" LF "/" LF query LF LF LF LF "h", without headers */
    if (st == S3C_OK) {
        if (out->len < 9 || memcmp(out->data, "G\n/\n", 4) != 0
            || memcmp(out->data + out->len - 5, "\n\n\n\nh", 5) != 0)
        {
            abort();
        }

        *out = s3c_slice(out->data + 4, out->len - 9);
    }

    return st;
}


int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    static uint8_t  one[4 * QUERY_MAX], two[4 * QUERY_MAX];
    s3c_slice_t     first, second;

    if (len > QUERY_MAX
        || canonical(s3c_slice(in, len), one, sizeof(one), &first) != S3C_OK)
    {
        return 0;
    }

    if (canonical(first, two, sizeof(two), &second) != S3C_OK
        || !s3c_slice_eq(first, second))
    {
        abort();
    }

    return 0;
}
