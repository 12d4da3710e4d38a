/* SPDX-License-Identifier: Apache-2.0
 *
 * Mirrors: what another node owns and this one reads so often that it keeps a
 * copy in memory, for a short while and within a small share of the zone, so
 * that the owner of a hot key does not do the work of all nodes.
 *
 *   a record    has S3C_RECORD_MIRROR; it is over when its expires_ms is
 *   a block     is longer than its block: behind the bytes stands a tail that
 *               says when it is over. Its bytes are those of its generation,
 *               so what it may be used for is decided by the object's record.
 *
 * What is over is used by nobody and never revalidated: it is dropped, and the
 * owner is asked. Mirrors are not written to flash.
 */

#ifndef NGX_HTTP_S3_CACHE_MIRROR_H
#define NGX_HTTP_S3_CACHE_MIRROR_H


#include "ngx_http_s3_cache_fill.h"
#include "ngx_http_s3_cache_peers.h"


/* Asking: a node will be asked for this object or block. job->heat, which says
 * whether a mirror may be made of the answer; 0: no. */
ngx_uint_t ngx_http_s3_cache_mirror_heat(ngx_http_s3_cache_ctx_t *ctx,
    s3c_hash128_t key);

/* The answer. Of an object: its record as it came, its times set and not sealed
 * yet, of `bytes` with its body; `was` is what its owner has. Made a mirror, if
 * that may be, and kept. */
void ngx_http_s3_cache_mirror_record(ngx_http_s3_cache_job_t *job,
    s3c_record_sh_t *rec, const s3c_record_view_t *was, size_t bytes);
/* ngx_http_s3_cache_job_alloc() for a block, with a tail if it is kept. */
s3c_status_t ngx_http_s3_cache_mirror_alloc(ngx_http_s3_cache_job_t *job,
    uint64_t bytes);

/* Reading. The record that was found, ctx->view, is a mirror: may this request
 * use it? If so it is noted as a hit. */
ngx_uint_t ngx_http_s3_cache_mirror_hit(ngx_http_s3_cache_ctx_t *ctx);
/* Step: it may not. Dropped from memory, then looked for anew. */
ngx_int_t ngx_http_s3_cache_mirror_leave(ngx_http_s3_cache_ctx_t *ctx);
/* The block that was found, ctx->block_pin, under this key. DECLINED: it was a
 * mirror that is over; it has been dropped and unpinned. */
ngx_int_t ngx_http_s3_cache_mirror_block(ngx_http_s3_cache_ctx_t *ctx,
    s3c_hash128_t key);

/* Leaving. Now and then, by every worker: drops what is over. */
void ngx_http_s3_cache_mirror_sweep(ngx_http_s3_cache_zone_t *zone);
/* The object has changed: what is found of it here is dropped, be it a mirror
 * or one that is just coming. Its blocks are of an older version from then on
 * and found by nobody. MISS: there is nothing. */
s3c_status_t ngx_http_s3_cache_mirror_drop(ngx_http_s3_cache_zone_t *zone,
    s3c_hash128_t object);


#endif /* NGX_HTTP_S3_CACHE_MIRROR_H */
