/* SPDX-License-Identifier: Apache-2.0
 *
 * What of an answer is verified: all that was sent of it, or, if that is large,
 * a part at a random place, of one entry of the memory tier: the object's own,
 * a block's, or a piece's (what flash answers is in memory, too). It is looked
 * up by its key again, and pinned until it has been compared.
 */

#include "ngx_http_s3_cache_verify.h"


static ngx_int_t ngx_http_s3_cache_verify_object(
    ngx_http_s3_cache_verify_t *v);
static ngx_int_t ngx_http_s3_cache_verify_block(
    ngx_http_s3_cache_verify_t *v);
static ngx_int_t ngx_http_s3_cache_verify_piece(ngx_http_s3_cache_verify_t *v,
    s3c_hash128_t block, size_t skew);
static ngx_int_t ngx_http_s3_cache_verify_peek(ngx_http_s3_cache_verify_t *v,
    s3c_hash128_t key);
static void ngx_http_s3_cache_verify_window(ngx_http_s3_cache_verify_t *v,
    uint64_t first, uint64_t last);


ngx_int_t
ngx_http_s3_cache_verify_find(ngx_http_s3_cache_verify_t *v)
{
    ngx_int_t  rc;

    if (v->total == 0) {
        return NGX_OK;
    }

    rc = v->is_inline ? ngx_http_s3_cache_verify_object(v)
                      : ngx_http_s3_cache_verify_block(v);

    if (rc == NGX_OK
        && s3c_ram_size(v->zone->ram, &v->pin) < v->off + v->to - v->from + 1)
    {
        return NGX_DECLINED;
    }

    return rc;
}


static ngx_int_t
ngx_http_s3_cache_verify_object(ngx_http_s3_cache_verify_t *v)
{
    int                 n;
    size_t              size;
    s3c_ident_t         ident;
    struct iovec        iov;
    s3c_record_view_t   view;

    if (ngx_http_s3_cache_verify_peek(v, v->object) != NGX_OK) {
        return NGX_DECLINED;
    }

    n = 1;
    size = s3c_ram_size(v->zone->ram, &v->pin);

    if (s3c_ident_make(&ident, v->identity, v->bucket, v->key, v->version)
        != S3C_OK
        || s3c_ram_span(v->zone->ram, &v->pin, 0, size, &iov, &n) == 0
        || s3c_record_open(iov.iov_base, iov.iov_len, size, &ident, &view)
           != S3C_OK
        || view.generation != v->generation
        || !(view.flags & S3C_RECORD_INLINE))
    {
        return NGX_DECLINED;
    }

    ngx_http_s3_cache_verify_window(v, v->first, v->last);
    v->off = view.head_bytes + v->from;

    return NGX_OK;
}


static ngx_int_t
ngx_http_s3_cache_verify_block(ngx_http_s3_cache_verify_t *v)
{
    size_t         size;
    uint64_t       pos, first;
    s3c_hash128_t  key;

    size = v->conf->block_size;
    pos = v->first + ngx_http_s3_cache_verify_random(v->last - v->first + 1);
    v->block = pos / size;
    first = v->block * size;

    ngx_http_s3_cache_verify_window(v, ngx_max(v->first, first),
                                    ngx_min(v->last, first + size - 1));
    v->off = v->from - first;

    key = s3c_key_block(v->zone->secret, v->object, v->generation, v->block,
                        size);

    if (ngx_http_s3_cache_verify_peek(v, key) == NGX_OK) {
        return NGX_OK;
    }

    if (v->zone->ssd == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_http_s3_cache_verify_piece(v, key, 0) == NGX_OK) {
        return NGX_OK;
    }

    return v->apart ? ngx_http_s3_cache_verify_piece(v, key,
                                           (v->head_bytes + first)
                                           % NGX_HTTP_S3_CACHE_PIECE)
                    : NGX_DECLINED;
}


/* See block.c: which bytes of its block a piece has. */

static ngx_int_t
ngx_http_s3_cache_verify_piece(ngx_http_s3_cache_verify_t *v,
    s3c_hash128_t block, size_t skew)
{
    uint64_t  off, piece, start, end;

    off = v->from % v->conf->block_size;
    piece = (off + skew) / NGX_HTTP_S3_CACHE_PIECE;
    start = piece * NGX_HTTP_S3_CACHE_PIECE - (piece > 0 ? skew : 0);
    end = (piece + 1) * NGX_HTTP_S3_CACHE_PIECE - skew;

    if (ngx_http_s3_cache_verify_peek(v, s3c_key_piece(v->zone->secret, block,
                                                       skew, piece))
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    v->to = ngx_min(v->to, v->from + (end - off) - 1);
    v->off = off - start;

    return NGX_OK;
}


static ngx_int_t
ngx_http_s3_cache_verify_peek(ngx_http_s3_cache_verify_t *v, s3c_hash128_t key)
{
    s3c_status_t  st;

    st = s3c_ram_peek(v->zone->ram, key, &v->pin);

    if (st == S3C_OK) {
        v->entry = key;
        return NGX_OK;
    }

    if (s3c_ram_pinned(&v->pin)) {
        s3c_ram_unpin(v->zone->ram, &v->pin);
    }

    return NGX_DECLINED;
}


static void
ngx_http_s3_cache_verify_window(ngx_http_s3_cache_verify_t *v, uint64_t first,
    uint64_t last)
{
    uint64_t  spare;

    v->from = first;
    v->to = last;

    if (last - first >= NGX_HTTP_S3_CACHE_VERIFY_WINDOW) {
        spare = last - first + 1 - NGX_HTTP_S3_CACHE_VERIFY_WINDOW;
        v->from += ngx_http_s3_cache_verify_random(spare + 1);
        v->to = v->from + NGX_HTTP_S3_CACHE_VERIFY_WINDOW - 1;
    }
}
