/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of the bounded writer that are worth a call.
 */
#include "base/writer.h"


void
s3c_write_lower(s3c_writer_t *w, s3c_slice_t s)
{
    size_t   i;
    uint8_t  *to = w->pos;

    if (w->overflow || s3c_writer_room(w) < s.len) {
        w->overflow = true;
        return;
    }

    for (i = 0; i + 8 <= s.len; i += 8) {
        uint64_t  lower = s3c_slice_lower8(s.data + i);

        memcpy(to + i, &lower, sizeof(lower));
    }

    for ( /* the rest */ ; i < s.len; i++) {
        to[i] = s3c_slice_lower1(s.data[i]);
    }

    w->pos = to + s.len;
}


void
s3c_write_u64(s3c_writer_t *w, uint64_t v)
{
    uint8_t  buf[20], *p;

    p = buf + sizeof(buf);

    do {
        *--p = (uint8_t) ('0' + v % 10);
        v /= 10;
    } while (v != 0);

    s3c_write_bytes(w, p, (size_t) (buf + sizeof(buf) - p));
}


void
s3c_write_hex(s3c_writer_t *w, const void *data, size_t len)
{
    static const char   digits[] = "0123456789abcdef";
    const uint8_t      *p = data;
    uint8_t            *to = w->pos;

    if (w->overflow || s3c_writer_room(w) / 2 < len) {
        w->overflow = true;
        return;
    }

    for (size_t i = 0; i < len; i++) {
        *to++ = (uint8_t) digits[p[i] >> 4];
        *to++ = (uint8_t) digits[p[i] & 15];
    }

    w->pos = to;
}


void
s3c_write_str(s3c_writer_t *w, const char *s)
{
    s3c_write_bytes(w, s, strlen(s));
}
