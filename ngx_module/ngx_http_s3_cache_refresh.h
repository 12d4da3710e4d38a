/* SPDX-License-Identifier: Apache-2.0
 *
 * What was in memory and is over: read anew by a fill without a client. In a
 * ring its owner does so.
 */

#ifndef NGX_HTTP_S3_CACHE_REFRESH_H
#define NGX_HTTP_S3_CACHE_REFRESH_H


#include "ngx_http_s3_cache_peers.h"

#include "cluster/wire.h"


/* Of ctx only conf and zone are used. can(): it is there now, and this node's,
 * so ask before it is dropped. refresh() answers NGX_OK when a fill has begun. */
ngx_uint_t ngx_http_s3_cache_refresh_can(ngx_http_s3_cache_ctx_t *ctx,
    s3c_slice_t bucket, s3c_slice_t key);
ngx_int_t ngx_http_s3_cache_refresh(ngx_http_s3_cache_ctx_t *ctx,
    s3c_slice_t bucket, s3c_slice_t key);

/* Another node tells of a change at the origin: note() before it is dropped,
 * noted() when the fence of that is gone. */
void ngx_http_s3_cache_refresh_note(ngx_http_s3_cache_peers_t *peers,
    const s3c_wire_ask_t *ask);
void ngx_http_s3_cache_refresh_noted(ngx_http_s3_cache_peers_t *peers,
    const s3c_wire_ask_t *ask);


#endif /* NGX_HTTP_S3_CACHE_REFRESH_H */
