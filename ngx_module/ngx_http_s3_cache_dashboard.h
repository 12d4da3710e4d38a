/* SPDX-License-Identifier: Apache-2.0
 *
 * s3_cache_dashboard: one page that shows what the status location tells.
 */

#ifndef NGX_HTTP_S3_CACHE_DASHBOARD_H
#define NGX_HTTP_S3_CACHE_DASHBOARD_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* s3_cache_dashboard [price_requests=N] [price_gb=N] [currency=EUR]; */
char *ngx_http_s3_cache_dashboard_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* NGX_HTTP_S3_CACHE_DASHBOARD_H */
