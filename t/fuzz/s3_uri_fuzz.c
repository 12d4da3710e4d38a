/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoded bytes survive being encoded and decoded again.
 */
#include <stdlib.h>

#include "s3/s3_uri.h"

#define TEXT_MAX  4096


int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    static uint8_t  plain[TEXT_MAX], coded[3 * TEXT_MAX], back[TEXT_MAX];
    s3c_writer_t    p, c, b;

    if (len < 1 || len > TEXT_MAX) {
        return 0;
    }

    s3c_writer_init(&p, plain, sizeof(plain));

    if (s3c_uri_decode(&p, s3c_slice(in + 1, len - 1), in[0] & 1)
        != S3C_OK)
    {
        return 0;
    }

    s3c_writer_init(&c, coded, sizeof(coded));
    s3c_uri_encode(&c, s3c_writer_slice(&p), in[0] & 2);
    s3c_writer_init(&b, back, sizeof(back));

    if (!s3c_writer_ok(&p) || !s3c_writer_ok(&c)
        || s3c_uri_decode(&b, s3c_writer_slice(&c), in[0] & 1) != S3C_OK
        || !s3c_slice_eq(s3c_writer_slice(&p), s3c_writer_slice(&b))
        || !s3c_uri_is_encoded(s3c_writer_slice(&c), in[0] & 2))
    {
        abort();
    }

    return 0;
}
