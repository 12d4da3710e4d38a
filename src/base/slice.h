/* SPDX-License-Identifier: Apache-2.0
 *
 * A borrowed run of bytes: never owned, never NUL-terminated, may hold NUL.
 */
#ifndef S3C_BASE_SLICE_H
#define S3C_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const uint8_t  *data;      /* NULL only when len is 0 */
    size_t          len;
} s3c_slice_t;

#define S3C_SLICE(lit)                                                        \
    ((s3c_slice_t) { (const uint8_t *) (lit), sizeof(lit) - 1 })
#define S3C_SLICE_NONE  ((s3c_slice_t) { NULL, 0 })


static inline s3c_slice_t
s3c_slice(const void *data, size_t len)
{
    return (s3c_slice_t) { data, len };
}


static inline bool
s3c_slice_eq(s3c_slice_t a, s3c_slice_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}


/* Eight bytes with A-Z as a-z; nothing carries from one to the next. */
static inline uint64_t
s3c_slice_lower8(const uint8_t *p)
{
    uint64_t  v, low7, from_a, behind_z;

    memcpy(&v, p, sizeof(v));
    low7 = v & 0x7f7f7f7f7f7f7f7full;
    from_a = low7 + (0x80 - 'A') * 0x0101010101010101ull;
    behind_z = low7 + (0x80 - 'Z' - 1) * 0x0101010101010101ull;

    return v | (((from_a & ~behind_z & ~v) & 0x8080808080808080ull) >> 2);
}


static inline uint8_t
s3c_slice_lower1(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}


/* ASCII case only, as HTTP field names are (RFC 9110 5.1). */
static inline bool
s3c_slice_eq_nocase(s3c_slice_t a, s3c_slice_t b)
{
    size_t          n = a.len;
    const uint8_t  *x = a.data, *y = b.data;

    /* most are seen to differ by their length or first byte */
    if (a.len != b.len
        || (n > 0 && ((x[0] ^ y[0]) & ~0x20) != 0))
    {
        return false;
    }

    for ( /* whole words */ ; n >= 8; n -= 8, x += 8, y += 8) {
        if (memcmp(x, y, 8) != 0 && s3c_slice_lower8(x) != s3c_slice_lower8(y))
        {
            return false;
        }
    }

    for ( /* the rest */ ; n > 0; n--, x++, y++) {
        if (s3c_slice_lower1(*x) != s3c_slice_lower1(*y)) {
            return false;
        }
    }

    return true;
}


static inline bool
s3c_slice_starts_nocase(s3c_slice_t s, s3c_slice_t prefix)
{
    return s.len >= prefix.len
           && s3c_slice_eq_nocase(s3c_slice(s.data, prefix.len), prefix);
}


/* Without the spaces and tabs at both ends (RFC 9110 5.5 OWS). */
static inline s3c_slice_t
s3c_slice_trim(s3c_slice_t s)
{
    while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s.data++;
        s.len--;
    }

    while (s.len > 0
           && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
    {
        s.len--;
    }

    return s;
}

#endif
