/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to history.c, history_reply.c, history_ring.c and alert.c.
 */

#ifndef NGX_HTTP_S3_CACHE_HISTORY_INTERNAL_H
#define NGX_HTTP_S3_CACHE_HISTORY_INTERNAL_H


#include "ngx_http_s3_cache_history.h"

#include "stats/stats_alert.h"
#include "stats/stats_history.h"
#include "stats/stats_hot.h"
#include "stats/stats_summary.h"


/* NULL: there is none, or none that this build can read. */
s3c_history_sh_t *ngx_http_s3_cache_history_of(ngx_http_s3_cache_zone_t *zone);
s3c_stats_hot_sh_t *ngx_http_s3_cache_history_hot(
    ngx_http_s3_cache_zone_t *zone);
s3c_alert_sh_t *ngx_http_s3_cache_history_alerts(
    ngx_http_s3_cache_zone_t *zone);
void ngx_http_s3_cache_history_made(ngx_http_s3_cache_zone_t *zone,
    s3c_summary_t *summary);

/* history_reply: 400 with why, a constant sentence. */
ngx_int_t ngx_http_s3_cache_history_refuse(ngx_http_request_t *r,
    const char *why);

/* history_ring: what each node of the zone's ring says of itself. NGX_DONE: it
 * will be answered. */
ngx_int_t ngx_http_s3_cache_history_ring(ngx_http_request_t *r,
    ngx_http_s3_cache_zone_t *zone);


#endif /* NGX_HTTP_S3_CACHE_HISTORY_INTERNAL_H */
