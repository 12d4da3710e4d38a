/* SPDX-License-Identifier: Apache-2.0
 *
 * Choice of the way, the table that works everywhere, and the algebra of
 * composition: the value of A then B is A's, multiplied by x to the number of
 * B's bits, plus B's. What has an instruction for it is in crc32c_x86.c and
 * crc32c_arm.c.
 */
#include "base/crc32c.h"
#include "base/crc32c_way.h"

#include <string.h>

#define X0           0x80000000u         /* the polynomial 1 */
#define FRAME_BYTES  (32u << 10)         /* what flash composes all the time */
/* Copied by memcpy(), then read again from the L1 cache: 28 GB/s where the
 * crc32 instruction, and so a loop that does both, has 28 at most. */
#define COPY_BYTES   (4u << 10)

static const s3c_crc32c_way_t  *way;
static uint32_t                 table[8][256];
static uint32_t                 x_2k[64];       /* x^(2^k) */
static uint32_t                 x_frame;        /* x^(8 * FRAME_BYTES) */


static bool
table_offered(void)
{
    return true;
}


static void
table_init(void)
{
    uint32_t  c;

    for (uint32_t n = 0; n < 256; n++) {
        c = n;

        for (int bit = 0; bit < 8; bit++) {
            c = c >> 1 ^ (S3C_CRC32C_POLY & -(c & 1));
        }

        table[0][n] = c;
    }

    for (uint32_t n = 0; n < 256; n++) {
        for (int k = 1; k < 8; k++) {
            c = table[k - 1][n];
            table[k][n] = c >> 8 ^ table[0][c & 0xff];
        }
    }
}


/* 8 bytes a step; any byte order, any alignment. */
static uint32_t
table_update(uint32_t reg, const uint8_t *p, size_t len)
{
    for ( /* void */ ; len >= 8; len -= 8, p += 8) {
        reg ^= (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16
               | (uint32_t) p[3] << 24;
        reg = table[7][reg & 0xff] ^ table[6][reg >> 8 & 0xff]
              ^ table[5][reg >> 16 & 0xff] ^ table[4][reg >> 24]
              ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]]
              ^ table[0][p[7]];
    }

    for ( /* void */ ; len > 0; len--) {
        reg = reg >> 8 ^ table[0][(reg ^ *p++) & 0xff];
    }

    return reg;
}


static const s3c_crc32c_way_t  s3c_crc32c_table = {
    .name = "table",
    .offered = table_offered,
    .init = table_init,
    .update = table_update,
};

const s3c_crc32c_way_t *const  s3c_crc32c_ways[] = {
#if defined(__x86_64__)
    &s3c_crc32c_avx512,
    &s3c_crc32c_sse42,
#elif defined(__aarch64__)
    &s3c_crc32c_armv8,
#endif
    &s3c_crc32c_table,
    NULL
};


uint32_t
s3c_crc32c_mul(uint32_t a, uint32_t b)
{
    uint32_t  product = 0;

    for (int bit = 0; bit < 32; bit++) {
        product ^= b & -(a >> 31);
        a <<= 1;
        b = b >> 1 ^ (S3C_CRC32C_POLY & -(b & 1));
    }

    return product;
}


uint32_t
s3c_crc32c_xpow(uint64_t n)
{
    uint32_t  power = X0;

    for (int k = 0; n > 0; k++, n >>= 1) {
        if (n & 1) {
            power = s3c_crc32c_mul(power, x_2k[k]);
        }
    }

    return power;
}


/* Before main() or dlopen() returns: later there may be threads. */
__attribute__((constructor)) static void
crc32c_init(void)
{
    x_2k[0] = X0 >> 1;

    for (int k = 1; k < 64; k++) {
        x_2k[k] = s3c_crc32c_mul(x_2k[k - 1], x_2k[k - 1]);
    }

    x_frame = s3c_crc32c_xpow(8ull * FRAME_BYTES);

    for (int i = 0; s3c_crc32c_ways[i] != NULL; i++) {
        if (!s3c_crc32c_ways[i]->offered()) {
            continue;
        }

        s3c_crc32c_ways[i]->init();

        if (way == NULL) {
            way = s3c_crc32c_ways[i];
        }
    }
}


uint32_t
s3c_crc32c(uint32_t crc, const void *data, size_t len)
{
    return ~way->update(~crc, data, len);
}


uint32_t
s3c_crc32c_copy(uint32_t crc, void *to, const void *data, size_t len)
{
    size_t          n;
    uint8_t        *q = to;
    uint32_t        reg = ~crc;
    const uint8_t  *p = data;

    for ( /* void */ ; len > 0; len -= n, p += n, q += n) {
        n = len < COPY_BYTES ? len : COPY_BYTES;
        memcpy(q, p, n);
        reg = way->update(reg, q, n);
    }

    return ~reg;
}


uint32_t
s3c_crc32c_combine(uint32_t a, uint32_t b, uint64_t b_len)
{
    uint32_t  shift;

    if (b_len == FRAME_BYTES) {
        shift = x_frame;

    } else {
        /* x^(2^61) to x^(2^63) are wanted for impossible lengths only, but
         * then, too, n * 8 bits must not wrap: x^8n = (x^n)^8. */
        shift = s3c_crc32c_xpow(b_len);

        for (int i = 0; i < 3; i++) {
            shift = s3c_crc32c_mul(shift, shift);
        }
    }

    return s3c_crc32c_mul(a, shift) ^ b;
}


const char *
s3c_crc32c_name(void)
{
    return way->name;
}
