/* SPDX-License-Identifier: Apache-2.0
 *
 * A bounded writer: appends to a caller's buffer and remembers an overflow
 * instead of writing past the end. Check s3c_writer_ok() once, at the end.
 */
#ifndef S3C_BASE_WRITER_H
#define S3C_BASE_WRITER_H

#include "base/slice.h"
#include "base/status.h"

typedef struct {
    uint8_t  *start;
    uint8_t  *pos;
    uint8_t  *end;
    bool      overflow;
} s3c_writer_t;


static inline void
s3c_writer_init(s3c_writer_t *w, void *buf, size_t size)
{
    w->start = buf;
    w->pos = buf;
    w->end = (uint8_t *) buf + size;
    w->overflow = false;
}


static inline void
s3c_write_bytes(s3c_writer_t *w, const void *data, size_t len)
{
    if (w->overflow || (size_t) (w->end - w->pos) < len) {
        w->overflow = true;
        return;
    }

    if (len > 0) {
        memcpy(w->pos, data, len);
        w->pos += len;
    }
}


static inline void
s3c_write_slice(s3c_writer_t *w, s3c_slice_t s)
{
    s3c_write_bytes(w, s.data, s.len);
}


static inline void
s3c_write_byte(s3c_writer_t *w, uint8_t c)
{
    s3c_write_bytes(w, &c, 1);
}

#define s3c_write_lit(w, lit)  s3c_write_bytes(w, lit, sizeof(lit) - 1)


/* How many bytes more it takes. */
static inline size_t
s3c_writer_room(const s3c_writer_t *w)
{
    return (size_t) (w->end - w->pos);
}


static inline bool
s3c_writer_ok(const s3c_writer_t *w)
{
    return !w->overflow;
}


static inline s3c_slice_t
s3c_writer_slice(const s3c_writer_t *w)
{
    return s3c_slice(w->start, (size_t) (w->pos - w->start));
}

/* With A-Z as a-z. */
void s3c_write_lower(s3c_writer_t *w, s3c_slice_t s);
/* Decimal, no sign, no leading zeros. */
void s3c_write_u64(s3c_writer_t *w, uint64_t v);
/* Lower-case hex, two digits a byte. */
void s3c_write_hex(s3c_writer_t *w, const void *data, size_t len);
/* A NUL-terminated string, without its NUL. */
void s3c_write_str(s3c_writer_t *w, const char *s);

#endif
