/* SPDX-License-Identifier: Apache-2.0
 *
 * What was captured of a body on its way to the origin: chunks of it, entries
 * of the memory tier under keys that only its writer knows; what of an object
 * they cover; and whether they are what the origin has.
 *
 * Pure, but for the layout of a part's entry, which all workers read.
 */
#ifndef S3C_SERVE_WRITTEN_H
#define S3C_SERVE_WRITTEN_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/hash.h"
#include "base/slice.h"
#include "base/status.h"
#include "http/http_head.h"
#include "serve/record.h"

#define S3C_WRITTEN_MAGIC  0x57433353u       /* "S3CW" */

/* A body that was captured whole. */
typedef struct {
    s3c_hash128_t  name;         /* of its chunks */
    uint64_t       length;
    uint32_t       chunk_bytes;  /* of each but the last */
    uint8_t        md5[S3C_DIGEST_MD5_BYTES];
} s3c_written_t;

/* The same, of a part of an upload, as an entry of its own. */
typedef struct {
    uint32_t       magic;
    uint32_t       chunk_bytes;
    uint64_t       length;
    s3c_hash128_t  name;
    uint8_t        md5[S3C_DIGEST_MD5_BYTES];
} s3c_written_sh_t;

static_assert(sizeof(s3c_written_sh_t) == 48, "layout of a part");

/* Where it lies in the object. */
typedef struct {
    s3c_written_t  body;
    uint64_t       first;        /* byte of the object; ascending */
} s3c_written_piece_t;

/* Part of a chunk. */
typedef struct {
    s3c_hash128_t  name;
    uint64_t       chunk;
    size_t         off;          /* in it */
    size_t         len;
} s3c_written_span_t;

/* A name that no other body has: `nonce` is the caller's to keep unique. */
s3c_hash128_t s3c_written_name(const uint8_t *secret, uint64_t worker,
    uint64_t nonce, uint64_t time);
s3c_hash128_t s3c_key_chunk(const uint8_t *secret, s3c_hash128_t name,
    uint64_t chunk);
/* Under which a part is found; ident: of the upload. */
s3c_hash128_t s3c_key_part(const uint8_t *secret, const s3c_ident_t *ident,
    uint32_t part);

uint64_t s3c_written_chunks(const s3c_written_t *body);
/* Bytes of this chunk. */
size_t s3c_written_chunk_size(const s3c_written_t *body, uint64_t chunk);

void s3c_written_seal(s3c_written_sh_t *sh, const s3c_written_t *body);
/* `size`: of the entry. CORRUPT: it is none. */
s3c_status_t s3c_written_open(const void *entry, size_t size,
    s3c_written_t *body) S3C_MUST_CHECK;

/* What is captured of the object from `off` on, up to `end` or the end of a
 * chunk. *piece: where to begin to look, and where it was found: 0 for the
 * first `off`, which must not go back. MISS: this byte is not. */
s3c_status_t s3c_written_find(const s3c_written_piece_t *pieces, size_t n,
    uint64_t off, uint64_t end, size_t *piece, s3c_written_span_t *span)
    S3C_MUST_CHECK;
/* Is all of it captured? *piece as above. */
bool s3c_written_covers(const s3c_written_piece_t *pieces, size_t n,
    uint64_t off, uint64_t end, size_t piece);

/* What the parts of an upload say of the object. */
typedef struct {
    s3c_written_t  body;         /* length 0 and !known: not captured */
    bool           known;
} s3c_written_part_t;

/* Lays the parts out. `pieces` has room for `n`. Behind the first part that is
 * not known, and in front of the last one, nobody knows where a part begins.
 * INVALID: they are longer than the object, or not all of it. */
s3c_status_t s3c_written_lay(const s3c_written_part_t *parts, size_t n,
    uint64_t total, s3c_written_piece_t *pieces, size_t *n_pieces)
    S3C_MUST_CHECK;

/*
 * Is the object that has this ETag and this x-amz-server-side-encryption
 * (empty: none) the one with these bytes? `answered`: the ETag that the origin
 * gave to the write. An ETag that has the form of an MD5 is one, but under
 * SSE-KMS; what is not is only as good as the origin's word that it names one
 * version.
 */
bool s3c_written_is_object(s3c_slice_t etag, s3c_slice_t answered,
    s3c_slice_t encryption, const uint8_t md5[S3C_DIGEST_MD5_BYTES]);
/* The same of an upload: the MD5 of the MD5s of its parts, "-", their number.
 * `md5`: that of all of them one after the other. */
bool s3c_written_is_upload(s3c_slice_t etag,
    const uint8_t md5[S3C_DIGEST_MD5_BYTES], size_t n);

/* The value of x-amz-server-side-encryption; empty: none. */
s3c_slice_t s3c_written_encryption(const s3c_http_head_t *head);
/* A GET of it is refused until somebody restores it. */
bool s3c_written_is_archived(const s3c_http_head_t *head);

#endif
