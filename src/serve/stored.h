/* SPDX-License-Identifier: Apache-2.0
 *
 * What is special about a record that lies on flash or came from there: its
 * times are those of the wall clock there, and only a part of it may be read.
 * Pure; foreign bytes are checked.
 */
#ifndef S3C_SERVE_STORED_H
#define S3C_SERVE_STORED_H

#include "serve/record.h"

/* Read whole what is not larger, or when at least half of it is wanted. */
#define S3C_STORED_WHOLE_BYTES  (64u << 10)

/* When an object was vouched for and how long that holds: seconds since 1970,
 * packed into 64 bits to lie on flash. */
typedef struct {
    uint32_t  validated_s;
    uint32_t  expires_s;         /* UINT32_MAX: never */
} s3c_stored_times_t;

/* The moment, by both clocks. `ms`: the monotonic one of records. */
typedef struct {
    uint64_t  ms;
    uint64_t  wall_s;
} s3c_stored_now_t;

/* Which version a record on flash is of, and where its body begins (0 for a
 * block): what a reader of a part compares, who does not see the head. */
uint64_t s3c_stored_version(uint64_t generation, size_t head_bytes);

s3c_stored_times_t s3c_stored_times(const s3c_record_sh_t *rec,
    s3c_stored_now_t now);
uint64_t s3c_stored_pack(s3c_stored_times_t times);
s3c_stored_times_t s3c_stored_unpack(uint64_t packed);

/* Payload of the record under s3c_key_times: of which version, and times. */
typedef struct {
    uint64_t  version;
    uint64_t  times;
} s3c_stored_vouch_rec_t;

/* What a record's first bytes say, before it has memory of its own: head_bytes,
 * size of the whole payload given. CORRUPT: not an object's record. */
s3c_status_t s3c_stored_peek(const void *head, size_t avail, uint32_t size,
    size_t *head_bytes, uint64_t *version, bool *is_inline) S3C_MUST_CHECK;
/* The head that was copied to its place in memory: sets its times and flags.
 * apart: the body stays on flash. A clock that was set back makes it expired.
 * The head must have been peeked at. */
void s3c_stored_adopt(void *head, s3c_stored_times_t times,
    s3c_stored_now_t now, bool apart);

/* Of `bytes` that lie together, `wanted` are asked for: read them all? */
static inline bool
s3c_stored_whole(uint64_t wanted, uint64_t bytes)
{
    return bytes <= S3C_STORED_WHOLE_BYTES || wanted >= bytes / 2;
}

#endif
