/* SPDX-License-Identifier: Apache-2.0
 *
 * The checksums that S3 knows, over bytes that come in parts.
 */
#ifndef S3C_BASE_SUM_H
#define S3C_BASE_SUM_H

#include "base/digest.h"
#include "base/slice.h"
#include "base/status.h"

#define S3C_SUM_BYTES_MAX  32

typedef enum {
    S3C_SUM_NONE = 0,
    S3C_SUM_CRC32,
    S3C_SUM_CRC32C,
    S3C_SUM_CRC64NVME,
    S3C_SUM_SHA1,
    S3C_SUM_SHA256
} s3c_sum_kind_t;

typedef struct {
    s3c_sum_kind_t  kind;
    uint64_t        crc;
    s3c_sha_t       sha;
} s3c_sum_t;

/* IO: the library has no memory. After it fini() frees, whatever it said. */
s3c_status_t s3c_sum_init(s3c_sum_t *sum, s3c_sum_kind_t kind) S3C_MUST_CHECK;
s3c_status_t s3c_sum_add(s3c_sum_t *sum, s3c_slice_t part) S3C_MUST_CHECK;
/* Big-endian; answers how many bytes, 0 on a failure of the library. */
size_t s3c_sum_end(s3c_sum_t *sum, uint8_t out[S3C_SUM_BYTES_MAX]);
void s3c_sum_fini(s3c_sum_t *sum);

uint32_t s3c_crc32(uint32_t crc, const void *data, size_t len);
uint64_t s3c_crc64nvme(uint64_t crc, const void *data, size_t len);

#endif
