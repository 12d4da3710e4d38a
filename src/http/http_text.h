/* SPDX-License-Identifier: Apache-2.0
 *
 * The character classes of RFC 9110 5.6 and its comma list, for the readers
 * of this room and of s3.
 */
#ifndef S3C_HTTP_TEXT_H
#define S3C_HTTP_TEXT_H

#include "base/slice.h"


/* tchar: what a field name is made of. */
static inline bool
s3c_http_is_token(uint8_t c)
{
    static const bool  token[256] = {
        ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true,
        ['!'] = true, ['#'] = true, ['$'] = true, ['%'] = true, ['&'] = true,
        ['\''] = true, ['*'] = true, ['+'] = true, ['-'] = true, ['.'] = true,
        ['^'] = true, ['_'] = true, ['`'] = true, ['|'] = true, ['~'] = true,
    };

    return token[c];
}


/* VCHAR, obs-text, SP and HTAB: what a field value is made of. */
static inline bool
s3c_http_is_text(uint8_t c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}


static inline bool
s3c_http_text_is_valid(s3c_slice_t s)
{
    const uint64_t  ones = 0x0101010101010101;
    size_t          i = 0;
    uint64_t        v, low, del;

    while (i < s.len) {
        if (s.len - i >= sizeof(v)) {

            /* eight at a time, unless one of them is < 0x20 or 0x7f */
            memcpy(&v, s.data + i, sizeof(v));
            low = (v - 0x20 * ones) & ~v;
            del = ((v ^ 0x7f * ones) - ones) & ~(v ^ 0x7f * ones);

            if (((low | del) & 0x80 * ones) == 0) {
                i += sizeof(v);
                continue;
            }
        }

        if (!s3c_http_is_text(s.data[i++])) {
            return false;
        }
    }

    return true;
}


/* The value of a hex digit, -1 when it is none. */
static inline int
s3c_http_hex(uint8_t c)
{
    static const uint8_t  above[256] = {         /* by one, and 0: none */
        ['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6,
        ['6'] = 7, ['7'] = 8, ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12,
        ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11,
        ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
    };

    return above[c] - 1;
}


/* Takes the next element, trimmed and perhaps empty, off a comma list of
 * tokens; false when the list is used up. */
static inline bool
s3c_http_list_next(s3c_slice_t *list, s3c_slice_t *element)
{
    size_t          n;
    const uint8_t  *comma;

    if (list->len == 0) {
        return false;
    }

    comma = memchr(list->data, ',', list->len);
    n = comma ? (size_t) (comma - list->data) : list->len;
    *element = s3c_slice_trim(s3c_slice(list->data, n));

    n += comma ? 1 : 0;
    list->data += n;
    list->len -= n;

    return true;
}

#endif
