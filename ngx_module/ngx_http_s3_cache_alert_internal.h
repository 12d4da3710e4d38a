/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to alert.c and alert_conf.c.
 */

#ifndef NGX_HTTP_S3_CACHE_ALERT_INTERNAL_H
#define NGX_HTTP_S3_CACHE_ALERT_INTERNAL_H


#include "stats/stats_alert.h"
#include "stats/stats_alert_view.h"


/* Of all zones. */
struct ngx_http_s3_cache_alerts_s {
    s3c_alert_conf_t  conf;
    unsigned          off:1;
};

typedef struct ngx_http_s3_cache_alerts_s  ngx_http_s3_cache_alerts_t;


#endif /* NGX_HTTP_S3_CACHE_ALERT_INTERNAL_H */
