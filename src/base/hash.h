/* SPDX-License-Identifier: Apache-2.0
 *
 * XXH3 behind two calls; the only file that sees libxxhash is hash.c.
 * Keyed by a random secret, so that no client can aim at one bucket chain.
 */
#ifndef S3C_BASE_HASH_H
#define S3C_BASE_HASH_H

#include "base/slice.h"

#define S3C_HASH_SECRET_BYTES  192      /* XXH3_SECRET_DEFAULT_SIZE */

typedef struct {
    uint64_t  lo;
    uint64_t  hi;
} s3c_hash128_t;

s3c_hash128_t s3c_hash128(const uint8_t secret[S3C_HASH_SECRET_BYTES],
    const void *data, size_t len);
/* Unkeyed: for generations and checks of our own bytes. */
uint64_t s3c_hash64(const void *data, size_t len);


static inline bool
s3c_hash128_eq(s3c_hash128_t a, s3c_hash128_t b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

#endif
