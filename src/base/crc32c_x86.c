/* SPDX-License-Identifier: Apache-2.0
 *
 * CRC32C by the instructions of x86-64. crc32 takes 8 bytes a cycle, but its
 * result comes 3 cycles later, so three streams run beside each other and are
 * put together by a carry-less multiplication. Where there are 512-bit
 * carry-less multiplications these fold 256 bytes a step and the crc32
 * instruction does the rest. Functions have targets of their own: the rest of
 * the program runs on any x86-64.
 */
#include "base/crc32c_way.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#define SSE42        __attribute__((target("sse4.2,pclmul")))
#define AVX512       __attribute__((target("sse4.2,pclmul,avx512f,avx512vl," \
                                           "vpclmulqdq")))
#define LONG_BYTES   2048u               /* of one of three streams.. */
#define SHORT_BYTES  128u                /* ..of what is left, then */
#define FOLD_BYTES   256u                /* four registers a step */
#define FOLD_MIN     512u                /* below: the three streams */

/* Factors that move a register over this many bytes: see move(). */
static uint64_t  move_long, move_2long, move_short, move_2short;
/* Factors that move the halves of 128 bits over as many bytes: a step, and
 * then three registers into the last. */
static uint64_t  fold_256[2], fold_192[2], fold_128[2], fold_64[2];


/* A product of two reflected values of 32 bits has one bit of x more than it
 * shows, and crc32 of 8 bytes multiplies by x^32: 33 in all. */
static uint64_t
move_factor(uint32_t bytes)
{
    return s3c_crc32c_xpow(8ull * bytes - 33);
}


static bool
sse42_offered(void)
{
    __builtin_cpu_init();

    return __builtin_cpu_supports("sse4.2")
           && __builtin_cpu_supports("pclmul");
}


static void
sse42_init(void)
{
    move_long = move_factor(LONG_BYTES);
    move_2long = move_factor(2 * LONG_BYTES);
    move_short = move_factor(SHORT_BYTES);
    move_2short = move_factor(2 * SHORT_BYTES);
}


static inline uint64_t
word(const uint8_t *p)
{
    uint64_t  w;

    memcpy(&w, p, sizeof(w));

    return w;
}


/* The register after as many zeros as the factor stands for; before the last
 * step, which the caller shares between two of them. */
SSE42 static inline uint64_t
move(uint64_t reg, uint64_t factor)
{
    return (uint64_t) _mm_cvtsi128_si64(
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long) reg),
                             _mm_cvtsi64_si128((long long) factor), 0));
}


SSE42 static inline uint64_t
three_streams(uint64_t a, const uint8_t *p, size_t bytes, uint64_t by_one,
    uint64_t by_two)
{
    uint64_t        b = 0, c = 0;
    const uint8_t  *end = p + bytes;

    for ( /* void */ ; p < end; p += 16) {
        a = _mm_crc32_u64(a, word(p));
        b = _mm_crc32_u64(b, word(p + bytes));
        c = _mm_crc32_u64(c, word(p + 2 * bytes));
        a = _mm_crc32_u64(a, word(p + 8));
        b = _mm_crc32_u64(b, word(p + bytes + 8));
        c = _mm_crc32_u64(c, word(p + 2 * bytes + 8));
    }

    return c ^ _mm_crc32_u64(0, move(a, by_two) ^ move(b, by_one));
}


SSE42 static uint32_t
sse42_update(uint32_t reg, const uint8_t *p, size_t len)
{
    uint64_t  a = reg;

    for ( /* void */ ; len >= 3 * LONG_BYTES; len -= 3 * LONG_BYTES) {
        a = three_streams(a, p, LONG_BYTES, move_long, move_2long);
        p += 3 * LONG_BYTES;
    }

    for ( /* void */ ; len >= 3 * SHORT_BYTES; len -= 3 * SHORT_BYTES) {
        a = three_streams(a, p, SHORT_BYTES, move_short, move_2short);
        p += 3 * SHORT_BYTES;
    }

    for ( /* void */ ; len >= 8; len -= 8, p += 8) {
        a = _mm_crc32_u64(a, word(p));
    }

    for ( /* void */ ; len > 0; len--) {
        a = _mm_crc32_u8((uint32_t) a, *p++);
    }

    return (uint32_t) a;
}


const s3c_crc32c_way_t  s3c_crc32c_sse42 = {
    .name = "sse4.2",
    .offered = sse42_offered,
    .init = sse42_init,
    .update = sse42_update,
};


static bool
avx512_offered(void)
{
    return sse42_offered()
           && __builtin_cpu_supports("avx512f")
           && __builtin_cpu_supports("avx512vl")
           && __builtin_cpu_supports("vpclmulqdq");
}


/* The low half of 128 bits is the higher power: it moves 64 bits further. A
 * factor lies in the low half of its word, 32 powers higher than it means, and
 * a product has the one bit of x more. */
static void
fold_factor(uint64_t k[2], uint32_t bytes)
{
    k[0] = s3c_crc32c_xpow(8ull * bytes + 64 - 33);
    k[1] = s3c_crc32c_xpow(8ull * bytes - 33);
}


static void
avx512_init(void)
{
    sse42_init();
    fold_factor(fold_256, 256);
    fold_factor(fold_192, 192);
    fold_factor(fold_128, 128);
    fold_factor(fold_64, 64);
}


AVX512 static inline __m512i
factors(const uint64_t k[2])
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *) k));
}


/* `v` moved by the factors `k`, plus `more`. */
AVX512 static inline __m512i
fold(__m512i v, __m512i k, __m512i more)
{
    return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(v, k, 0x00),
                                     _mm512_clmulepi64_epi128(v, k, 0x11),
                                     more, 0x96);          /* a ^ b ^ c */
}


AVX512 static uint32_t
avx512_update(uint32_t reg, const uint8_t *p, size_t len)
{
    __m512i   v0, v1, v2, v3, k;
    uint8_t   last[64];
    uint64_t  a = 0;

    if (len < FOLD_MIN) {
        return sse42_update(reg, p, len);
    }

    v0 = _mm512_xor_si512(_mm512_loadu_si512(p),
                          _mm512_zextsi128_si512(_mm_cvtsi32_si128((int) reg)));
    v1 = _mm512_loadu_si512(p + 64);
    v2 = _mm512_loadu_si512(p + 128);
    v3 = _mm512_loadu_si512(p + 192);
    k = factors(fold_256);
    p += FOLD_BYTES;
    len -= FOLD_BYTES;

    for ( /* void */ ; len >= FOLD_BYTES; len -= FOLD_BYTES, p += FOLD_BYTES) {
        v0 = fold(v0, k, _mm512_loadu_si512(p));
        v1 = fold(v1, k, _mm512_loadu_si512(p + 64));
        v2 = fold(v2, k, _mm512_loadu_si512(p + 128));
        v3 = fold(v3, k, _mm512_loadu_si512(p + 192));
    }

    v3 = fold(v0, factors(fold_192), v3);
    v3 = fold(v1, factors(fold_128), v3);
    v3 = fold(v2, factors(fold_64), v3);
    _mm512_storeu_si512(last, v3);
    _mm256_zeroupper();

    for (size_t i = 0; i < sizeof(last); i += 8) {
        a = _mm_crc32_u64(a, word(last + i));
    }

    return sse42_update((uint32_t) a, p, len);
}


const s3c_crc32c_way_t  s3c_crc32c_avx512 = {
    .name = "avx512",
    .offered = avx512_offered,
    .init = avx512_init,
    .update = avx512_update,
};

#endif
