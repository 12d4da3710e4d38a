/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing and checked reading of object records, and the keys under which
 * objects, blocks and revalidations are kept.
 */
#define _GNU_SOURCE      /* memmem */

#include "serve/record.h"

#include <stddef.h>
#include <string.h>

#include "base/writer.h"

#define RECORD_CHECKED_BYTES  offsetof(s3c_record_sh_t, check)


s3c_status_t
s3c_ident_make(s3c_ident_t *ident, uint64_t origin_id, s3c_slice_t bucket,
    s3c_slice_t key, s3c_slice_t version_id)
{
    s3c_writer_t  w;
    uint16_t      lens[2] = { (uint16_t) bucket.len, (uint16_t) key.len };

    /* lengths before bytes: no two objects share an identity (what lies in
       this memory is never moved to another machine: any byte order does) */
    s3c_writer_init(&w, ident->bytes, sizeof(ident->bytes));
    s3c_write_bytes(&w, &origin_id, sizeof(origin_id));
    s3c_write_bytes(&w, lens, sizeof(lens));
    s3c_write_slice(&w, bucket);
    s3c_write_slice(&w, key);
    s3c_write_slice(&w, version_id);

    ident->len = s3c_writer_slice(&w).len;

    return s3c_writer_ok(&w) ? S3C_OK : S3C_INVALID;
}


s3c_status_t
s3c_ident_names(s3c_slice_t ident, s3c_slice_t *bucket, s3c_slice_t *key)
{
    size_t    fixed;
    uint16_t  lens[2];

    fixed = sizeof(uint64_t) + sizeof(lens);

    if (ident.len < fixed) {
        return S3C_INVALID;
    }

    memcpy(lens, ident.data + sizeof(uint64_t), sizeof(lens));

    if ((size_t) lens[0] + lens[1] > ident.len - fixed) {
        return S3C_INVALID;
    }

    *bucket = s3c_slice(ident.data + fixed, lens[0]);
    *key = s3c_slice(ident.data + fixed + lens[0], lens[1]);

    return S3C_OK;
}


s3c_hash128_t
s3c_key_object(const uint8_t *secret, const s3c_ident_t *ident)
{
    return s3c_hash128(secret, ident->bytes, ident->len);
}


s3c_hash128_t
s3c_key_block(const uint8_t *secret, s3c_hash128_t object,
    uint64_t generation, uint64_t block, uint32_t block_bytes)
{
    uint64_t  in[6] = { 'B', object.lo, object.hi, generation, block,
                        block_bytes };

    return s3c_hash128(secret, in, sizeof(in));
}


s3c_hash128_t
s3c_key_revalidate(const uint8_t *secret, s3c_hash128_t object,
    uint64_t nonce)
{
    uint64_t  in[4] = { 'R', object.lo, object.hi, nonce };

    return s3c_hash128(secret, in, sizeof(in));
}


s3c_hash128_t
s3c_key_piece(const uint8_t *secret, s3c_hash128_t block, uint32_t skew,
    uint32_t piece)
{
    uint64_t  in[5] = { 'P', block.lo, block.hi, skew, piece };

    return s3c_hash128(secret, in, sizeof(in));
}


s3c_hash128_t
s3c_key_times(const uint8_t *secret, s3c_hash128_t object)
{
    uint64_t  in[3] = { 'T', object.lo, object.hi };

    return s3c_hash128(secret, in, sizeof(in));
}


size_t
s3c_record_head_bytes(const s3c_record_spec_t *spec)
{
    return sizeof(s3c_record_sh_t) + spec->ident->len + spec->headers.len;
}


void
s3c_record_write(void *head, const s3c_record_spec_t *spec)
{
    uint8_t          *p;
    const uint8_t    *e;
    s3c_record_sh_t  *rec = head;

    memset(rec, 0, sizeof(*rec));

    rec->magic = S3C_RECORD_MAGIC;
    rec->status = (uint16_t) spec->status;
    rec->flags = (uint16_t) spec->flags;
    rec->ident_bytes = (uint32_t) spec->ident->len;
    rec->headers_bytes = (uint32_t) spec->headers.len;
    rec->total = spec->total;
    rec->generation = spec->generation;
    rec->last_modified = spec->last_modified;

    if (spec->etag.len > 0 && spec->headers.len >= spec->etag.len) {
        e = memmem(spec->headers.data, spec->headers.len, spec->etag.data,
                   spec->etag.len);
        if (e != NULL) {
            rec->etag_off = (uint32_t) (e - spec->headers.data);
            rec->etag_bytes = (uint32_t) spec->etag.len;
        }
    }

    s3c_record_seal(rec);
    atomic_store_explicit(&rec->validated_ms, spec->asked_ms,
                          memory_order_relaxed);
    atomic_store_explicit(&rec->expires_ms, spec->expires_ms,
                          memory_order_relaxed);

    p = (uint8_t *) head + sizeof(*rec);
    memcpy(p, spec->ident->bytes, spec->ident->len);
    p += spec->ident->len;

    if (spec->headers.len > 0) {
        memcpy(p, spec->headers.data, spec->headers.len);
    }
}


void
s3c_record_seal(s3c_record_sh_t *rec)
{
    rec->check = s3c_hash64(rec, RECORD_CHECKED_BYTES);
}


s3c_status_t
s3c_record_check(const s3c_record_sh_t *rec)
{
    if (rec->magic != S3C_RECORD_MAGIC
        || rec->check != s3c_hash64(rec, RECORD_CHECKED_BYTES)
        || rec->ident_bytes > S3C_IDENT_BYTES_MAX
        || rec->headers_bytes > S3C_RECORD_HEADERS_MAX
        || (uint64_t) rec->etag_off + rec->etag_bytes > rec->headers_bytes)
    {
        return S3C_CORRUPT;
    }

    return S3C_OK;
}


uint32_t
s3c_record_skip(const void *head, size_t avail)
{
    return avail >= sizeof(s3c_record_sh_t) && s3c_record_check(head) == S3C_OK
           ? sizeof(s3c_record_sh_t) : 0;
}


s3c_status_t
s3c_record_open(void *head, size_t avail, size_t size,
    const s3c_ident_t *ident, s3c_record_view_t *view)
{
    const uint8_t    *p = head;
    s3c_record_sh_t  *rec = head;

    if (avail < sizeof(*rec) || s3c_record_check(rec) != S3C_OK) {
        return S3C_CORRUPT;
    }

    view->head_bytes = sizeof(*rec) + rec->ident_bytes + rec->headers_bytes;

    if (view->head_bytes > avail || view->head_bytes > size) {
        return S3C_CORRUPT;
    }

    if ((rec->flags & S3C_RECORD_INLINE)
        && rec->total != size - view->head_bytes)
    {
        return S3C_CORRUPT;
    }

    if (rec->ident_bytes != ident->len
        || memcmp(p + sizeof(*rec), ident->bytes, ident->len) != 0)
    {
        return S3C_MISS;
    }

    view->rec = rec;
    view->status = rec->status;
    view->flags = rec->flags;
    view->total = rec->total;
    view->generation = rec->generation;
    view->last_modified = rec->last_modified;
    view->headers = s3c_slice(p + sizeof(*rec) + rec->ident_bytes,
                              rec->headers_bytes);
    view->etag = s3c_slice(view->headers.data + rec->etag_off,
                           rec->etag_bytes);

    return S3C_OK;
}
