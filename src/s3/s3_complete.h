/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts that a CompleteMultipartUpload body names, read as it streams by.
 * Only those whose ETag is an MD5 are of use; whatever is not plain
 * <CompleteMultipartUpload><Part>... makes it doubt. Nothing is believed of it
 * that the ETag of the object does not prove later.
 */
#ifndef S3C_S3_COMPLETE_H
#define S3C_S3_COMPLETE_H

#include "base/digest.h"
#include "base/slice.h"
#include "base/status.h"

#define S3C_S3_COMPLETE_TEXT_MAX  64
#define S3C_S3_PARTS_MAX          10000

typedef struct {
    unsigned  number;                       /* 1..S3C_S3_PARTS_MAX */
    uint8_t   md5[S3C_DIGEST_MD5_BYTES];
} s3c_s3_part_t;

typedef struct {
    unsigned       state;    /* zero-initialise */
    unsigned       depth;    /* of open elements */
    unsigned       leaf;     /* which one of a part is open */
    unsigned       last;     /* number of the part before */
    bool           closing;  /* the tag is an end tag */
    bool           empty;    /* ... or both in one */
    bool           has_md5;
    bool           done;     /* the end of the document has come */
    uint8_t        quote;
    unsigned       word_len; /* of a tag's name */
    unsigned       text_len; /* of a leaf */
    uint8_t        word[S3C_S3_COMPLETE_TEXT_MAX];
    uint8_t        text[S3C_S3_COMPLETE_TEXT_MAX];
    s3c_s3_part_t  part;
} s3c_s3_complete_t;

/* Takes from `in`; *used: how much. EXISTS: one more part, in order; call again
 * for the rest. AGAIN: all taken. INVALID: doubt; it stays so. At the end of
 * the body ask _is_done(). */
s3c_status_t s3c_s3_complete_step(s3c_s3_complete_t *c, s3c_slice_t in,
    s3c_s3_part_t *part, size_t *used) S3C_MUST_CHECK;

static inline bool
s3c_s3_complete_is_done(const s3c_s3_complete_t *c)
{
    return c->done;
}

/* 32 hex digits of lower case, in quotes or not: an MD5. INVALID: something
 * else. */
s3c_status_t s3c_s3_etag_md5(s3c_slice_t etag,
    uint8_t md5[S3C_DIGEST_MD5_BYTES]) S3C_MUST_CHECK;

#endif
