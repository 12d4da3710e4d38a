/* SPDX-License-Identifier: Apache-2.0
 *
 * CRC32C (Castagnoli, the polynomial of iSCSI and of S3's own checksum): the
 * fastest that this processor offers, chosen once, and composition of two
 * parts' values into that of the whole.
 */
#ifndef S3C_BASE_CRC32C_H
#define S3C_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from `crc`, the value of the bytes before (0 at the start). */
uint32_t s3c_crc32c(uint32_t crc, const void *data, size_t len);
/* The same while copying to `to`; the two may not overlap. */
uint32_t s3c_crc32c_copy(uint32_t crc, void *to, const void *data,
    size_t len);
/* The value of A then B, from those of A and B; b_len: bytes of B. */
uint32_t s3c_crc32c_combine(uint32_t a, uint32_t b, uint64_t b_len);
/* A constant word for logs: "avx512", "sse4.2", "armv8", "table". */
const char *s3c_crc32c_name(void);

#endif
