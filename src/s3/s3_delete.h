/* SPDX-License-Identifier: Apache-2.0
 *
 * The keys that a DeleteObjects body names, read as it streams by. Whatever is
 * not plain <Delete><Object><Key>... makes it doubt, and then nothing is known
 * about what the body names: an origin's XML reader may see more in it.
 */
#ifndef S3C_S3_DELETE_H
#define S3C_S3_DELETE_H

#include "base/slice.h"
#include "base/status.h"
#include "s3/s3_address.h"

#define S3C_S3_DELETE_TAG_MAX  64

typedef struct {
    unsigned  state;         /* zero-initialise */
    unsigned  depth;         /* of open elements */
    bool      in_key;        /* within Delete, Object, Key */
    bool      done;          /* </Delete> has come */
    unsigned  key_len;
    unsigned  word_len;      /* of a tag's name, or an entity */
    bool      closing;       /* the tag is an end tag */
    bool      empty;         /* ... or both in one */
    uint8_t   quote;
    uint8_t   path[4];       /* of the open elements, by kind */
    uint8_t   word[S3C_S3_DELETE_TAG_MAX];
    uint8_t   key[S3C_S3_KEY_BYTES_MAX];
} s3c_s3_delete_t;

/* Takes from `in`; *used: how much. EXISTS: one more key, *key, which lives in
 * `d` until the next call; call again for the rest. AGAIN: all taken.
 * INVALID: doubt; it stays so. At the end of the body ask _is_done(). */
s3c_status_t s3c_s3_delete_step(s3c_s3_delete_t *d, s3c_slice_t in,
    s3c_slice_t *key, size_t *used) S3C_MUST_CHECK;

static inline bool
s3c_s3_delete_is_done(const s3c_s3_delete_t *d)
{
    return d->done;
}

#endif
