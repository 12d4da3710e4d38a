/* SPDX-License-Identifier: Apache-2.0
 *
 * The only file that sees OpenSSL. One-shot calls that are not deprecated in
 * 1.1.1 nor in 3.x: EVP_Digest(), HMAC(), RAND_bytes(). Owns nothing; any
 * room may call it. A failure of the library is IO.
 */
#include "base/digest.h"

#include <limits.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>


s3c_status_t
s3c_sha256(s3c_slice_t in, uint8_t out[S3C_DIGEST_SHA256_BYTES])
{
    const void  *data = in.len > 0 ? (const void *) in.data : "";

    if (EVP_Digest(data, in.len, out, NULL, EVP_sha256(), NULL) != 1) {
        return S3C_IO;
    }

    return S3C_OK;
}


s3c_status_t
s3c_hmac_sha256(s3c_slice_t key, s3c_slice_t in,
    uint8_t out[S3C_DIGEST_SHA256_BYTES])
{
    const void  *k = key.len > 0 ? (const void *) key.data : "";
    const void  *data = in.len > 0 ? in.data : (const uint8_t *) "";

    if (key.len > INT_MAX) {
        return S3C_INVALID;
    }

    if (HMAC(EVP_sha256(), k, (int) key.len, data, in.len, out, NULL)
        == NULL)
    {
        return S3C_IO;
    }

    return S3C_OK;
}


s3c_status_t
s3c_random(void *out, size_t len)
{
    uint8_t  *p = out;

    while (len > 0) {
        int  n = len > INT_MAX ? INT_MAX : (int) len;

        if (RAND_bytes(p, n) != 1) {
            return S3C_IO;
        }

        p += n;
        len -= (size_t) n;
    }

    return S3C_OK;
}
