/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 and HMAC-SHA-256; the only file that sees OpenSSL is digest.c.
 * Works with OpenSSL 1.1.1 and 3.x, without deprecated calls.
 */
#ifndef S3C_BASE_DIGEST_H
#define S3C_BASE_DIGEST_H

#include "base/slice.h"
#include "base/status.h"

#define S3C_DIGEST_SHA256_BYTES  32

s3c_status_t s3c_sha256(s3c_slice_t in, uint8_t out[S3C_DIGEST_SHA256_BYTES])
    S3C_MUST_CHECK;
s3c_status_t s3c_hmac_sha256(s3c_slice_t key, s3c_slice_t in,
    uint8_t out[S3C_DIGEST_SHA256_BYTES]) S3C_MUST_CHECK;
/* Random bytes from the library's CSPRNG. */
s3c_status_t s3c_random(void *out, size_t len) S3C_MUST_CHECK;

#endif
