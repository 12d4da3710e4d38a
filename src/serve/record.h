/* SPDX-License-Identifier: Apache-2.0
 *
 * The record of an object in memory: a fixed part, the identity it answers
 * to, the header block of its answer, and, when it is small, its body. A
 * large object's body lies in blocks of its own, found by their keys.
 *
 * READERS  anybody who holds a pin; foreign bytes are checked, never trusted.
 * WRITERS  the leader of the fill; later only `expires_ms`, `validated_ms`
 *          (relaxed, whoever revalidated it).
 */
#ifndef S3C_SERVE_RECORD_H
#define S3C_SERVE_RECORD_H

#include <assert.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "base/slice.h"
#include "base/status.h"

#define S3C_RECORD_MAGIC       0x4f433353u      /* "S3CO" */
#define S3C_IDENT_BYTES_MAX    3072
#define S3C_RECORD_HEADERS_MAX (64u << 10)

enum {
    S3C_RECORD_INLINE = 1,     /* the body follows the head */
    S3C_RECORD_FULL   = 2,     /* headers came with checksum mode, whole */
    S3C_RECORD_ERROR  = 4,     /* not 2xx: body is an S3 error document */
    S3C_RECORD_NOBODY = 8,     /* learnt by HEAD: an ERROR without a document,
                                  a MIRROR of what is INLINE elsewhere */
    S3C_RECORD_SUMS   = 16,    /* x-amz-checksum-* among the headers */
    S3C_RECORD_STORED = 32,    /* came from flash: as old as its times say */
    S3C_RECORD_FOUND  = 256,   /* the node that it came from had it */
    S3C_RECORD_APART  = 64,    /* was INLINE: its body is on flash, behind the
                                  record's head, and comes as block 0 */
    S3C_RECORD_WRITTEN = 1024, /* of an object that another node owns, but was
                                  written through this one */
    S3C_RECORD_MIRROR = 128,   /* of an object that another node owns: over
                                  when it expires, and never revalidated */
    S3C_RECORD_PAGE = 512      /* with ERROR, whose ways it goes: the document
                                  of a list, asked for again, not revalidated */
};

typedef struct {
    uint32_t          magic;
    uint16_t          status;           /* of the answer: 200, 404... */
    uint16_t          flags;
    uint32_t          ident_bytes;
    uint32_t          headers_bytes;
    uint64_t          total;            /* bytes of the whole body */
    uint64_t          generation;
    int64_t           last_modified;    /* seconds, -1 unknown */
    uint32_t          etag_off;         /* into the header block */
    uint32_t          etag_bytes;
    uint64_t          check;            /* hash of all the fields above */
    _Atomic uint64_t  validated_ms;
    _Atomic uint64_t  expires_ms;       /* UINT64_MAX: never */
} s3c_record_sh_t;

static_assert(sizeof(s3c_record_sh_t) == 72, "layout of a record");

/* The identity of an object: what its key is the hash of. */
typedef struct {
    size_t   len;
    uint8_t  bytes[S3C_IDENT_BYTES_MAX];
} s3c_ident_t;

/* INVALID when the parts do not fit. */
s3c_status_t s3c_ident_make(s3c_ident_t *ident, uint64_t origin_id,
    s3c_slice_t bucket, s3c_slice_t key, s3c_slice_t version_id)
    S3C_MUST_CHECK;
/* What it was made of, for people to read. INVALID: it is none. */
s3c_status_t s3c_ident_names(s3c_slice_t ident, s3c_slice_t *bucket,
    s3c_slice_t *key) S3C_MUST_CHECK;
s3c_hash128_t s3c_key_object(const uint8_t *secret, const s3c_ident_t *ident);
s3c_hash128_t s3c_key_block(const uint8_t *secret, s3c_hash128_t object,
    uint64_t generation, uint64_t block, uint32_t block_bytes);
/* A piece of a block, when only that is read from flash. `skew`: by how much
 * the first one is shorter than the others. */
s3c_hash128_t s3c_key_piece(const uint8_t *secret, s3c_hash128_t block,
    uint32_t skew, uint32_t piece);
/* Under which flash keeps when an object was last vouched for. */
s3c_hash128_t s3c_key_times(const uint8_t *secret, s3c_hash128_t object);
/* Under which the revalidation of an object is a fill of its own; `nonce` 0
 * is the shared one. */
s3c_hash128_t s3c_key_revalidate(const uint8_t *secret, s3c_hash128_t object,
    uint64_t nonce);

/* What a new record is made of. */
typedef struct {
    unsigned            status;
    unsigned            flags;
    uint64_t            total;
    uint64_t            generation;
    int64_t             last_modified;
    s3c_slice_t         etag;          /* looked up in headers, or empty */
    s3c_slice_t         headers;       /* rendered block */
    const s3c_ident_t  *ident;
    uint64_t            asked_ms;         /* the origin; it is as of then */
    uint64_t            expires_ms;
} s3c_record_spec_t;

size_t s3c_record_head_bytes(const s3c_record_spec_t *spec);
/* Writes the head (fixed part, identity, headers) into `head`, which has
 * s3c_record_head_bytes() bytes. */
void s3c_record_write(void *head, const s3c_record_spec_t *spec);

/* The fixed part by itself: its check and its bounds. CORRUPT. */
s3c_status_t s3c_record_check(const s3c_record_sh_t *rec) S3C_MUST_CHECK;
/* How many bytes at the front of a payload change while it is kept: the fixed
 * part of a record, none of a block. */
uint32_t s3c_record_skip(const void *head, size_t avail);
/* Makes the check anew, after a change of the fixed part. */
void s3c_record_seal(s3c_record_sh_t *rec);

/* A checked look at a record; slices point into it. */
typedef struct {
    s3c_record_sh_t  *rec;
    unsigned          status;
    unsigned          flags;
    uint64_t          total;
    uint64_t          generation;
    int64_t           last_modified;
    s3c_slice_t       etag;
    s3c_slice_t       headers;
    size_t            head_bytes;
} s3c_record_view_t;

/* head: `avail` contiguous readable bytes of an entry of `size` bytes.
 * CORRUPT: no record; MISS: a record of another identity. */
s3c_status_t s3c_record_open(void *head, size_t avail, size_t size,
    const s3c_ident_t *ident, s3c_record_view_t *view) S3C_MUST_CHECK;

#endif
