/* SPDX-License-Identifier: Apache-2.0
 *
 * Records between memory and flash: times between the two clocks, versions,
 * and heads on their way back.
 */
#include "serve/stored.h"

#include <stddef.h>
#include <string.h>

#define NEVER_S   UINT32_MAX
#define NEVER_MS  UINT64_MAX


uint64_t
s3c_stored_version(uint64_t generation, size_t head_bytes)
{
    return generation ^ (head_bytes * 0x9e3779b97f4a7c15ull);
}


static uint32_t
clamp_s(uint64_t s)
{
    return s < NEVER_S ? (uint32_t) s : NEVER_S - 1;
}


/* What lies in the future of `now` is rounded down, too: earlier is safe. */
static uint32_t
wall_s(uint64_t at_ms, s3c_stored_now_t now)
{
    uint64_t  ago;

    if (at_ms >= now.ms) {
        return clamp_s(now.wall_s + (at_ms - now.ms) / 1000);
    }

    ago = (now.ms - at_ms + 999) / 1000;

    return ago < now.wall_s ? clamp_s(now.wall_s - ago) : 0;
}


s3c_stored_times_t
s3c_stored_times(const s3c_record_sh_t *rec, s3c_stored_now_t now)
{
    uint64_t            expires;
    s3c_stored_times_t  times;

    expires = atomic_load_explicit(&rec->expires_ms, memory_order_relaxed);

    times.validated_s = wall_s(atomic_load_explicit(&rec->validated_ms,
                                                    memory_order_relaxed),
                               now);
    times.expires_s = expires == NEVER_MS ? NEVER_S : wall_s(expires, now);

    return times;
}


uint64_t
s3c_stored_pack(s3c_stored_times_t times)
{
    return (uint64_t) times.validated_s << 32 | times.expires_s;
}


s3c_stored_times_t
s3c_stored_unpack(uint64_t packed)
{
    s3c_stored_times_t  times = { (uint32_t) (packed >> 32),
                                  (uint32_t) packed };

    return times;
}


s3c_status_t
s3c_stored_peek(const void *head, size_t avail, uint32_t size,
    size_t *head_bytes, uint64_t *version, bool *is_inline)
{
    s3c_record_sh_t  rec;

    if (avail < sizeof(rec)) {
        return S3C_CORRUPT;
    }

    memcpy(&rec, head, sizeof(rec));

    if (s3c_record_check(&rec) != S3C_OK || (rec.flags & S3C_RECORD_ERROR)) {
        return S3C_CORRUPT;
    }

    *head_bytes = sizeof(rec) + rec.ident_bytes + rec.headers_bytes;
    *is_inline = (rec.flags & S3C_RECORD_INLINE) != 0;

    if (*head_bytes > size
        || (*is_inline ? rec.total != size - *head_bytes
                       : *head_bytes != size))
    {
        return S3C_CORRUPT;
    }

    *version = s3c_stored_version(rec.generation, *head_bytes);

    return S3C_OK;
}


/* A moment of the wall clock on the monotonic one. */
static uint64_t
mono_ms(uint32_t at_s, s3c_stored_now_t now)
{
    uint64_t  ago_ms;

    if (at_s >= now.wall_s) {
        return now.ms + (at_s - now.wall_s) * 1000;
    }

    ago_ms = (now.wall_s - at_s) * 1000;

    return ago_ms < now.ms ? now.ms - ago_ms : 0;
}


void
s3c_stored_adopt(void *head, s3c_stored_times_t times, s3c_stored_now_t now,
    bool apart)
{
    uint64_t          validated, expires;
    s3c_record_sh_t  *rec = head;

    if (times.validated_s > now.wall_s) {
        /* the clock went back: nobody knows how old this is */
        validated = 0;
        expires = 0;

    } else {
        validated = mono_ms(times.validated_s, now);
        expires = times.expires_s == NEVER_S ? NEVER_MS
                                             : mono_ms(times.expires_s, now);
    }

    rec->flags |= S3C_RECORD_STORED;

    if (apart && (rec->flags & S3C_RECORD_INLINE)) {
        rec->flags = (uint16_t) ((rec->flags & ~S3C_RECORD_INLINE)
                                 | S3C_RECORD_APART);
    }

    s3c_record_seal(rec);

    atomic_store_explicit(&rec->validated_ms, validated,
                          memory_order_relaxed);
    atomic_store_explicit(&rec->expires_ms, expires, memory_order_relaxed);
}
