/* SPDX-License-Identifier: Apache-2.0
 *
 * The ways to compute CRC32C, for crc32c*.c and their tests only. A way works
 * on the bare register: the value that callers see is its complement, before
 * and after.
 */
#ifndef S3C_BASE_CRC32C_WAY_H
#define S3C_BASE_CRC32C_WAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define S3C_CRC32C_POLY  0x82f63b78u     /* bit 31 is x^0 */

typedef struct {
    const char  *name;
    bool       (*offered)(void);         /* by this processor */
    void       (*init)(void);            /* once, only if offered */
    uint32_t   (*update)(uint32_t reg, const uint8_t *p, size_t len);
} s3c_crc32c_way_t;

/* The best first, the table last, then NULL. */
extern const s3c_crc32c_way_t *const  s3c_crc32c_ways[];

#if defined(__x86_64__)
extern const s3c_crc32c_way_t  s3c_crc32c_avx512;
extern const s3c_crc32c_way_t  s3c_crc32c_sse42;
#elif defined(__aarch64__)
extern const s3c_crc32c_way_t  s3c_crc32c_armv8;
#endif

/* a * b and x^n modulo the polynomial. */
uint32_t s3c_crc32c_mul(uint32_t a, uint32_t b);
uint32_t s3c_crc32c_xpow(uint64_t n);

#endif
