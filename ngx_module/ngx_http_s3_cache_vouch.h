/* SPDX-License-Identifier: Apache-2.0
 *
 * May what this node keeps be believed? See src/cluster/vouch.h. Worker 0 asks
 * all other nodes five times in `staleness`, and judges more often; everybody
 * looks. While it lapses, what was validated longer than `staleness` ago is
 * validated anew.
 */

#ifndef NGX_HTTP_S3_CACHE_VOUCH_H
#define NGX_HTTP_S3_CACHE_VOUCH_H


#include "ngx_http_s3_cache_peer.h"


ngx_int_t ngx_http_s3_cache_vouch_init_worker(ngx_cycle_t *cycle,
    ngx_http_s3_cache_main_conf_t *mcf);
/* It will not be asked any more. */
void ngx_http_s3_cache_vouch_forget(ngx_http_s3_cache_near_t *near);

/* The record in ctx->view: is it so sure that no write was missed that it may
 * be used for as long as its rules say? */
ngx_uint_t ngx_http_s3_cache_vouched(ngx_http_s3_cache_ctx_t *ctx);

/* Another node asks: what could this one not tell it, and in which life? 0: it
 * is no member of the ring. */
uint64_t ngx_http_s3_cache_vouch_life(ngx_http_s3_cache_peers_t *peers,
    ngx_str_t *node, uint64_t *owed);


#endif /* NGX_HTTP_S3_CACHE_VOUCH_H */
