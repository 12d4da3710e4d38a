/* SPDX-License-Identifier: Apache-2.0
 *
 * Warm-ups: jobs that an operator posts (s3_cache_admin), kept in the folder of
 * s3_cache_warmup, run by one worker of the node. ctx->warm is set of what it
 * looks for: nobody has asked for it. See ADR 0029.
 */

#ifndef NGX_HTTP_S3_CACHE_WARM_H
#define NGX_HTTP_S3_CACHE_WARM_H


#include "ngx_http_s3_cache_module.h"


/* s3_cache_warmup; http context */
char *ngx_http_s3_cache_warm_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* Is the request about warm-ups, right or wrong? */
ngx_uint_t ngx_http_s3_cache_warm_is(ngx_http_request_t *r);
/* The body has not been read. Answers how the request ends, or NGX_DONE. */
ngx_int_t ngx_http_s3_cache_warm_admin(ngx_http_request_t *r);

/* For the status endpoint: jobs of the zone that run. */
void ngx_http_s3_cache_warm_view(ngx_http_request_t *r,
    ngx_http_s3_cache_zone_t *zone, s3c_stats_zone_t *out);

void ngx_http_s3_cache_warm_init_worker(ngx_cycle_t *cycle,
    ngx_http_s3_cache_main_conf_t *mcf);
void ngx_http_s3_cache_warm_exit_worker(void);

/* Has flash, not memory, the block at ctx->pos? Then nothing is to be done, and
 * ctx->tier says so. */
ngx_uint_t ngx_http_s3_cache_warm_stored(ngx_http_s3_cache_ctx_t *ctx);


#endif /* NGX_HTTP_S3_CACHE_WARM_H */
