/* SPDX-License-Identifier: Apache-2.0
 *
 * Captured bodies: names, layout, proof.
 */
#include "serve/written.h"

#include <string.h>

#include "base/writer.h"
#include "s3/s3_complete.h"


s3c_hash128_t
s3c_written_name(const uint8_t *secret, uint64_t worker, uint64_t nonce,
    uint64_t time)
{
    uint64_t  in[4] = { 'N', worker, nonce, time };

    return s3c_hash128(secret, in, sizeof(in));
}


s3c_hash128_t
s3c_key_chunk(const uint8_t *secret, s3c_hash128_t name, uint64_t chunk)
{
    uint64_t  in[4] = { 'C', name.lo, name.hi, chunk };

    return s3c_hash128(secret, in, sizeof(in));
}


s3c_hash128_t
s3c_key_part(const uint8_t *secret, const s3c_ident_t *ident, uint32_t part)
{
    s3c_hash128_t  object = s3c_key_object(secret, ident);
    uint64_t       in[4] = { 'W', object.lo, object.hi, part };

    return s3c_hash128(secret, in, sizeof(in));
}


uint64_t
s3c_written_chunks(const s3c_written_t *body)
{
    return body->length == 0 ? 0 : (body->length - 1) / body->chunk_bytes + 1;
}


size_t
s3c_written_chunk_size(const s3c_written_t *body, uint64_t chunk)
{
    uint64_t  left = body->length - chunk * body->chunk_bytes;

    return left < body->chunk_bytes ? (size_t) left : body->chunk_bytes;
}


void
s3c_written_seal(s3c_written_sh_t *sh, const s3c_written_t *body)
{
    sh->magic = S3C_WRITTEN_MAGIC;
    sh->chunk_bytes = body->chunk_bytes;
    sh->length = body->length;
    sh->name = body->name;
    memcpy(sh->md5, body->md5, sizeof(sh->md5));
}


s3c_status_t
s3c_written_open(const void *entry, size_t size, s3c_written_t *body)
{
    const s3c_written_sh_t  *sh = entry;

    if (size != sizeof(*sh) || sh->magic != S3C_WRITTEN_MAGIC
        || sh->chunk_bytes == 0)
    {
        return S3C_CORRUPT;
    }

    body->chunk_bytes = sh->chunk_bytes;
    body->length = sh->length;
    body->name = sh->name;
    memcpy(body->md5, sh->md5, sizeof(body->md5));

    return S3C_OK;
}


s3c_status_t
s3c_written_find(const s3c_written_piece_t *pieces, size_t n, uint64_t off,
    uint64_t end, size_t *piece, s3c_written_span_t *span)
{
    size_t                      size;
    uint64_t                    at;
    const s3c_written_piece_t  *p;

    while (*piece < n
           && off >= pieces[*piece].first + pieces[*piece].body.length)
    {
        (*piece)++;
    }

    if (*piece == n || off < pieces[*piece].first || off >= end) {
        return S3C_MISS;
    }

    p = &pieces[*piece];
    at = off - p->first;

    span->name = p->body.name;
    span->chunk = at / p->body.chunk_bytes;
    span->off = (size_t) (at % p->body.chunk_bytes);

    size = s3c_written_chunk_size(&p->body, span->chunk) - span->off;
    span->len = size < end - off ? size : (size_t) (end - off);

    return S3C_OK;
}


bool
s3c_written_covers(const s3c_written_piece_t *pieces, size_t n, uint64_t off,
    uint64_t end, size_t piece)
{
    while (piece < n && off >= pieces[piece].first && off < end) {
        uint64_t  last = pieces[piece].first + pieces[piece].body.length;

        off = off < last ? last : off;
        piece++;
    }

    return off >= end;
}


s3c_status_t
s3c_written_lay(const s3c_written_part_t *parts, size_t n, uint64_t total,
    s3c_written_piece_t *pieces, size_t *n_pieces)
{
    size_t    i, k;
    uint64_t  left = total, off = 0;

    *n_pieces = 0;

    for (i = 0, k = 0; i < n; i++) {
        if (!parts[i].known) {
            k++;

        } else if (parts[i].body.length > left) {
            return S3C_INVALID;

        } else {
            left -= parts[i].body.length;
        }
    }

    if (k == 0 && left != 0) {
        return S3C_INVALID;
    }

    for (i = 0; i < n && parts[i].known; i++) {
        pieces[(*n_pieces)++] = (s3c_written_piece_t) { parts[i].body, off };
        off += parts[i].body.length;
    }

    for (k = n, off = total; k > i && parts[k - 1].known; k--) {
        off -= parts[k - 1].body.length;
    }

    for ( /* void */ ; k < n; k++) {
        pieces[(*n_pieces)++] = (s3c_written_piece_t) { parts[k].body, off };
        off += parts[k].body.length;
    }

    return S3C_OK;
}


static s3c_slice_t
written_header(const s3c_http_head_t *head, s3c_slice_t name)
{
    for (unsigned i = 0; i < head->n_headers; i++) {
        if (s3c_slice_eq_nocase(head->headers[i].name, name)) {
            return head->headers[i].value;
        }
    }

    return S3C_SLICE_NONE;
}


s3c_slice_t
s3c_written_encryption(const s3c_http_head_t *head)
{
    return written_header(head, S3C_SLICE("x-amz-server-side-encryption"));
}


bool
s3c_written_is_archived(const s3c_http_head_t *head)
{
    s3c_slice_t  value = written_header(head, S3C_SLICE("x-amz-storage-class"));

    return s3c_slice_eq(value, S3C_SLICE("GLACIER"))
           || s3c_slice_eq(value, S3C_SLICE("DEEP_ARCHIVE"))
           || written_header(head, S3C_SLICE("x-amz-archive-status")).len > 0;
}


bool
s3c_written_is_object(s3c_slice_t etag, s3c_slice_t answered,
    s3c_slice_t encryption, const uint8_t md5[S3C_DIGEST_MD5_BYTES])
{
    uint8_t  named[S3C_DIGEST_MD5_BYTES];

    /* a weak one names no bytes */
    if (etag.len < 3 || etag.data[0] != '"' || !s3c_slice_eq(etag, answered)) {
        return false;
    }

    if (s3c_slice_starts_nocase(encryption, S3C_SLICE("aws:kms"))
        || s3c_s3_etag_md5(etag, named) != S3C_OK)
    {
        return true;
    }

    return memcmp(named, md5, sizeof(named)) == 0;
}


bool
s3c_written_is_upload(s3c_slice_t etag,
    const uint8_t md5[S3C_DIGEST_MD5_BYTES], size_t n)
{
    uint8_t       text[2 * S3C_DIGEST_MD5_BYTES + 24];
    s3c_writer_t  w;

    s3c_writer_init(&w, text, sizeof(text));
    s3c_write_byte(&w, '"');
    s3c_write_hex(&w, md5, S3C_DIGEST_MD5_BYTES);
    s3c_write_byte(&w, '-');
    s3c_write_u64(&w, n);
    s3c_write_byte(&w, '"');

    return s3c_writer_ok(&w) && s3c_slice_eq(etag, s3c_writer_slice(&w));
}
