/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of the bounded writer that are worth a call.
 */
#include "base/writer.h"


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

    for (size_t i = 0; i < len; i++) {
        uint8_t  two[2] = { (uint8_t) digits[p[i] >> 4],
                            (uint8_t) digits[p[i] & 15] };

        s3c_write_bytes(w, two, 2);
    }
}


void
s3c_write_str(s3c_writer_t *w, const char *s)
{
    s3c_write_bytes(w, s, strlen(s));
}
