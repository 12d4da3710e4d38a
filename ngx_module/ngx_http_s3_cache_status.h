/* SPDX-License-Identifier: Apache-2.0
 *
 * The status endpoint: the numbers of every zone, as JSON or as Prometheus
 * text. It needs no location configuration of its own: the directive chooses
 * the content handler, and the handler is the default format.
 *
 *     { ngx_string("s3_cache_status"),
 *       NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
 *       ngx_http_s3_cache_status_set, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL },
 */

#ifndef NGX_HTTP_S3_CACHE_STATUS_H
#define NGX_HTTP_S3_CACHE_STATUS_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "stats/stats.h"


/* s3_cache_status [json|prometheus]; */
char *ngx_http_s3_cache_status_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* The content handler; answers JSON unless the request says otherwise. With
 * the argument "explain": where an object is, explain.c; with "history": what
 * was, history_reply.c. */
ngx_int_t ngx_http_s3_cache_status_handler(ngx_http_request_t *r);

/* Sends what has been written, as JSON. */
ngx_int_t ngx_http_s3_cache_status_send(ngx_http_request_t *r,
    ngx_uint_t status, const s3c_writer_t *w);


/*
 * Supplied by the module: fills in the zones of the main configuration, `max`
 * at most, and answers how many there are, or how many it filled in when that
 * is max: then it is asked again with a larger max. What `stats` points at
 * must live as long as the request; `stats` may be NULL.
 */

ngx_uint_t ngx_http_s3_cache_zones_view(ngx_http_request_t *r,
    s3c_stats_zone_t *zones, ngx_uint_t max);


#endif /* NGX_HTTP_S3_CACHE_STATUS_H */
