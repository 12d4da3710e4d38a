/* SPDX-License-Identifier: Apache-2.0
 *
 * CRC32C by the crc32 extension of ARMv8, 8 bytes an instruction.
 */
#include "base/crc32c_way.h"

#if defined(__aarch64__)

#include <string.h>
#include <sys/auxv.h>

#ifndef HWCAP_CRC32
#define HWCAP_CRC32  (1 << 7)
#endif


/* The instructions by name: <arm_acle.h> offers the intrinsics under a target
 * attribute in some compilers only. */
static inline uint32_t
crc_8_bytes(uint32_t reg, uint64_t w)
{
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1"
            : "+r" (reg) : "r" (w));

    return reg;
}


static inline uint32_t
crc_byte(uint32_t reg, uint32_t w)
{
    __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1"
            : "+r" (reg) : "r" (w));

    return reg;
}


static bool
armv8_offered(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}


static void
armv8_init(void)
{
}


static uint32_t
armv8_update(uint32_t reg, const uint8_t *p, size_t len)
{
    uint64_t  w;

    for ( /* void */ ; len >= 8; len -= 8, p += 8) {
        memcpy(&w, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        w = __builtin_bswap64(w);
#endif
        reg = crc_8_bytes(reg, w);
    }

    for ( /* void */ ; len > 0; len--) {
        reg = crc_byte(reg, *p++);
    }

    return reg;
}


const s3c_crc32c_way_t  s3c_crc32c_armv8 = {
    .name = "armv8",
    .offered = armv8_offered,
    .init = armv8_init,
    .update = armv8_update,
};

#endif
