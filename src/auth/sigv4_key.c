/* SPDX-License-Identifier: Apache-2.0
 *
 * Second stage of SigV4: the signing key of one day, one region, service
 * "s3". The secret is copied to the stack once and wiped.
 */
#include "auth/sigv4.h"

#include "base/digest.h"

#define KEY_SECRET_BYTES_MAX  256


/* A memset() that the compiler may not leave out. */
static void
key_wipe(void *data, size_t len)
{
    volatile uint8_t  *p = data;

    while (len-- > 0) {
        *p++ = 0;
    }
}


s3c_status_t
s3c_sigv4_key(s3c_slice_t secret, s3c_slice_t date8, s3c_slice_t region,
    uint8_t key[S3C_SHA256_BYTES])
{
    uint8_t            start[4 + KEY_SECRET_BYTES_MAX];
    s3c_writer_t       w;
    s3c_status_t       st;
    const s3c_slice_t  steps[] = {
        date8, region, S3C_SLICE("s3"), S3C_SLICE("aws4_request")
    };

    s3c_writer_init(&w, start, sizeof(start));
    s3c_write_lit(&w, "AWS4");
    s3c_write_slice(&w, secret);

    if (!s3c_writer_ok(&w) || date8.len != 8) {
        key_wipe(start, sizeof(start));
        return S3C_INVALID;
    }

    st = s3c_hmac_sha256(s3c_writer_slice(&w), steps[0], key);

    for (size_t i = 1; i < sizeof(steps) / sizeof(steps[0]); i++) {
        uint8_t  next[S3C_SHA256_BYTES];

        if (st != S3C_OK) {
            break;
        }

        st = s3c_hmac_sha256(s3c_slice(key, S3C_SHA256_BYTES), steps[i],
                             next);
        memcpy(key, next, sizeof(next));
        key_wipe(next, sizeof(next));
    }

    key_wipe(start, sizeof(start));

    return st;
}
