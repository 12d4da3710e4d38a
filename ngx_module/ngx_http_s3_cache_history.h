/* SPDX-License-Identifier: Apache-2.0
 *
 * What lies in memory beside a zone for who looks at it later: samples of its
 * numbers (src/stats/stats_history.h), the names of what is read most
 * (src/stats/stats_hot.h) and the alerts (stats_alert.h). One mapping of fixed size, made with the zone and
 * given back with it, so it lives over reloads and workers.
 */

#ifndef NGX_HTTP_S3_CACHE_HISTORY_H
#define NGX_HTTP_S3_CACHE_HISTORY_H


#include "ngx_http_s3_cache_module.h"


/* Of the requests that are read, the names of so many are noted: one in
 * SAMPLE, those of which are timed. */
#define NGX_HTTP_S3_CACHE_HISTORY_SAMPLE  16


/* In the master. */
ngx_int_t ngx_http_s3_cache_history_create(ngx_http_s3_cache_shared_t *sh,
    ngx_log_t *log);
void ngx_http_s3_cache_history_destroy(ngx_http_s3_cache_shared_t *sh);

/* Now and then, by every worker: a sample, if one is due. */
void ngx_http_s3_cache_history_beat(ngx_http_s3_cache_zone_t *zone);
/* A read of ctx->object, of those that are noted. */
void ngx_http_s3_cache_history_read(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_target_t *target);

/* How the zone is, for another node. */
void ngx_http_s3_cache_history_summary(ngx_http_s3_cache_zone_t *zone,
    uint8_t *out);

/* Answers to ?history=...; NGX_DECLINED: there is no such argument. */
ngx_int_t ngx_http_s3_cache_history_reply(ngx_http_request_t *r);


#endif /* NGX_HTTP_S3_CACHE_HISTORY_H */
