/* SPDX-License-Identifier: Apache-2.0
 *
 * The only file that sees libxxhash.
 */
#include "base/hash.h"

#include <xxhash.h>


s3c_hash128_t
s3c_hash128(const uint8_t secret[S3C_HASH_SECRET_BYTES], const void *data,
    size_t len)
{
    XXH128_hash_t  h;

    h = XXH3_128bits_withSecret(data, len, secret, S3C_HASH_SECRET_BYTES);

    return (s3c_hash128_t) { h.low64, h.high64 };
}


uint64_t
s3c_hash64(const void *data, size_t len)
{
    return XXH3_64bits(data, len);
}
