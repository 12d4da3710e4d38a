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


/* ASCII case only, as HTTP field names are (RFC 9110 5.1). */
static inline bool
s3c_slice_eq_nocase(s3c_slice_t a, s3c_slice_t b)
{
    if (a.len != b.len) {
        return false;
    }

    for (size_t i = 0; i < a.len; i++) {
        uint8_t  x = a.data[i], y = b.data[i];

        if (x == y) {
            continue;
        }

        x = (x >= 'A' && x <= 'Z') ? x | 0x20 : x;
        y = (y >= 'A' && y <= 'Z') ? y | 0x20 : y;

        if (x != y) {
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
