/* SPDX-License-Identifier: Apache-2.0
 *
 * One step of a strict UTF-8 reader (RFC 3629), for this room only: keys
 * must be UTF-8, error bodies must be XML characters.
 */
#ifndef S3C_S3_UTF8_H
#define S3C_S3_UTF8_H

#include "base/slice.h"


/* Bytes of the character at s[pos], pos < s.len, and the character in *cp;
 * 0 when there is none: a stray or missing continuation byte, an overlong
 * form, a surrogate, or more than U+10FFFF. */
static inline size_t
s3c_s3_utf8_step(s3c_slice_t s, size_t pos, uint32_t *cp)
{
    static const uint32_t   least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t                  n;
    const uint8_t          *p = s.data + pos;

    if (p[0] < 0x80) {
        *cp = p[0];
        return 1;
    }

    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        n = 2;
        *cp = p[0] & 0x1f;

    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        n = 3;
        *cp = p[0] & 0x0f;

    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        n = 4;
        *cp = p[0] & 0x07;

    } else {
        return 0;
    }

    if (s.len - pos < n) {
        return 0;
    }

    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }

        *cp = *cp << 6 | (p[i] & 0x3f);
    }

    if (*cp < least[n] || *cp > 0x10ffff || (*cp >= 0xd800 && *cp <= 0xdfff)) {
        return 0;
    }

    return n;
}

#endif
