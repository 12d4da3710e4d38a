/* SPDX-License-Identifier: Apache-2.0
 *
 * Alerts (src/stats/stats_alert.h): judged now and then by one of the workers,
 * told in the error log, shown by the status. The state lies behind the
 * history of the zone.
 */

#ifndef NGX_HTTP_S3_CACHE_ALERT_H
#define NGX_HTTP_S3_CACHE_ALERT_H


#include "ngx_http_s3_cache_module.h"


/* s3_cache_alerts on|off [window=time] [name=number|off ...]; */
char *ngx_http_s3_cache_alert_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_s3_cache_alert_init_conf(ngx_conf_t *cf,
    ngx_http_s3_cache_main_conf_t *mcf);

/* Now and then, by every worker: judges, if it is due. */
void ngx_http_s3_cache_alert_beat(ngx_http_s3_cache_zone_t *zone,
    ngx_log_t *log);
/* For the status endpoint; what it points at is the pool's. */
void ngx_http_s3_cache_alert_view(ngx_pool_t *pool,
    ngx_http_s3_cache_zone_t *zone, s3c_stats_zone_t *out);


#endif /* NGX_HTTP_S3_CACHE_ALERT_H */
