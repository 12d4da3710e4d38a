/* SPDX-License-Identifier: Apache-2.0
 *
 * What an operator asks to be purged, by the arguments of a request: foreign
 * bytes, of which nothing is guessed.
 *
 *   purge=key&bucket=B&key=K[&versionId=V]
 *   purge=prefix&bucket=B&prefix=P         an empty prefix: all of the bucket
 *   purge=bucket&bucket=B
 *   purge=all
 *
 * Each with zone=Z, if wanted. Names stand as they are, values are
 * percent-encoded. A '+' is refused: it is a space to some, a plus to others.
 */
#ifndef S3C_SERVE_PURGE_ASK_H
#define S3C_SERVE_PURGE_ASK_H

#include "base/slice.h"
#include "base/status.h"

#define S3C_PURGE_WORD_MAX     16u
#define S3C_PURGE_ZONE_MAX     255u
#define S3C_PURGE_BUCKET_MAX   255u
#define S3C_PURGE_KEY_MAX      1024u       /* a prefix, too */
#define S3C_PURGE_VERSION_MAX  1024u

typedef enum {
    S3C_PURGE_NONE = 0,
    S3C_PURGE_KEY,
    S3C_PURGE_PREFIX,
    S3C_PURGE_BUCKET,
    S3C_PURGE_ALL,
    S3C_PURGE_KINDS
} s3c_purge_kind_t;

typedef struct {
    s3c_purge_kind_t  kind;
    s3c_slice_t       zone;            /* empty: not given */
    s3c_slice_t       bucket;
    s3c_slice_t       key;             /* or the prefix */
    s3c_slice_t       version;         /* empty: not given */
    uint8_t           buf[S3C_PURGE_WORD_MAX + S3C_PURGE_ZONE_MAX
                          + S3C_PURGE_BUCKET_MAX + 2 * S3C_PURGE_KEY_MAX
                          + S3C_PURGE_VERSION_MAX];
} s3c_purge_ask_t;

/* Slices lie in *ask. INVALID: *why says it, in words that need no escapes. */
s3c_status_t s3c_purge_ask_parse(s3c_purge_ask_t *ask, s3c_slice_t query,
    const char **why) S3C_MUST_CHECK;
const char *s3c_purge_kind_name(s3c_purge_kind_t kind);

#endif
