/* SPDX-License-Identifier: Apache-2.0
 *
 * CRC-32 (of zlib) and CRC-64/NVME by eight tables, made at the first use;
 * CRC-32C and the digests are those of crc32c.h and digest.h.
 */
#include "base/sum.h"

#include <string.h>

#include "base/crc32c.h"

#define SUM_POLY32  0xedb88320u
#define SUM_POLY64  0x9a6c9329ac4bc9b5u

static uint64_t  sum_table32[8][256];
static uint64_t  sum_table64[8][256];


static void
sum_table_make(uint64_t table[8][256], uint64_t poly)
{
    for (unsigned i = 0; i < 256; i++) {
        uint64_t  v = i;

        for (unsigned bit = 0; bit < 8; bit++) {
            v = v >> 1 ^ (poly & (0 - (v & 1)));
        }

        table[0][i] = v;
    }

    for (unsigned n = 1; n < 8; n++) {
        for (unsigned i = 0; i < 256; i++) {
            table[n][i] = table[n - 1][i] >> 8
                          ^ table[0][table[n - 1][i] & 0xff];
        }
    }
}


static uint64_t
sum_crc(uint64_t table[8][256], uint64_t poly, uint64_t crc,
    const uint8_t *p, size_t len)
{
    if (table[0][1] == 0) {
        sum_table_make(table, poly);
    }

    while (len >= 8) {
        uint64_t  v = crc;

        for (unsigned i = 0; i < 8; i++) {
            v ^= (uint64_t) p[i] << (8 * i);
        }

        crc = table[7][v & 0xff] ^ table[6][v >> 8 & 0xff]
              ^ table[5][v >> 16 & 0xff] ^ table[4][v >> 24 & 0xff]
              ^ table[3][v >> 32 & 0xff] ^ table[2][v >> 40 & 0xff]
              ^ table[1][v >> 48 & 0xff] ^ table[0][v >> 56];
        p += 8;
        len -= 8;
    }

    while (len-- > 0) {
        crc = crc >> 8 ^ table[0][(crc ^ *p++) & 0xff];
    }

    return crc;
}


uint32_t
s3c_crc32(uint32_t crc, const void *data, size_t len)
{
    return ~(uint32_t) sum_crc(sum_table32, SUM_POLY32, (uint32_t) ~crc,
                               data, len);
}


uint64_t
s3c_crc64nvme(uint64_t crc, const void *data, size_t len)
{
    return ~sum_crc(sum_table64, SUM_POLY64, ~crc, data, len);
}


s3c_status_t
s3c_sum_init(s3c_sum_t *sum, s3c_sum_kind_t kind)
{
    *sum = (s3c_sum_t) { .kind = kind };

    switch (kind) {
    case S3C_SUM_SHA1:    return s3c_sha1_init(&sum->sha);
    case S3C_SUM_SHA256:  return s3c_sha256_init(&sum->sha);
    default:              return S3C_OK;
    }
}


s3c_status_t
s3c_sum_add(s3c_sum_t *sum, s3c_slice_t part)
{
    switch (sum->kind) {

    case S3C_SUM_CRC32:
        sum->crc = s3c_crc32((uint32_t) sum->crc, part.data, part.len);
        return S3C_OK;

    case S3C_SUM_CRC32C:
        sum->crc = s3c_crc32c((uint32_t) sum->crc, part.data, part.len);
        return S3C_OK;

    case S3C_SUM_CRC64NVME:
        sum->crc = s3c_crc64nvme(sum->crc, part.data, part.len);
        return S3C_OK;

    case S3C_SUM_SHA1:
    case S3C_SUM_SHA256:
        return s3c_sha_add(&sum->sha, part);

    default:
        return S3C_OK;
    }
}


size_t
s3c_sum_end(s3c_sum_t *sum, uint8_t out[S3C_SUM_BYTES_MAX])
{
    size_t  n = 0;

    switch (sum->kind) {

    case S3C_SUM_CRC32:
    case S3C_SUM_CRC32C:
        n = 4;
        break;

    case S3C_SUM_CRC64NVME:
        n = 8;
        break;

    case S3C_SUM_SHA1:
        return s3c_sha_end(&sum->sha, out) == S3C_OK ? S3C_DIGEST_SHA1_BYTES
                                                     : 0;

    case S3C_SUM_SHA256:
        return s3c_sha_end(&sum->sha, out) == S3C_OK
               ? S3C_DIGEST_SHA256_BYTES : 0;

    default:
        break;
    }

    for (size_t i = 0; i < n; i++) {
        out[i] = (uint8_t) (sum->crc >> (8 * (n - 1 - i)));
    }

    return n;
}


void
s3c_sum_fini(s3c_sum_t *sum)
{
    s3c_sha_fini(&sum->sha);
}
