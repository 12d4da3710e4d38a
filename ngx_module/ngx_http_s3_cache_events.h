/* SPDX-License-Identifier: Apache-2.0
 *
 * s3_cache_events: where an origin says what has changed in it.
 */

#ifndef NGX_HTTP_S3_CACHE_EVENTS_H
#define NGX_HTTP_S3_CACHE_EVENTS_H


#include "ngx_http_s3_cache_module.h"

#include "base/digest.h"
#include "s3/s3_event.h"


typedef struct {
    u_char                           sha256[S3C_DIGEST_SHA256_BYTES];
} ngx_http_s3_cache_events_token_t;


/* Of a location; never inherited. */
struct ngx_http_s3_cache_events_conf_s {
    ngx_array_t                      tokens;   /* ..events_token_t */
    ngx_str_t                        topic;    /* of SNS, or empty */
    ngx_str_t                        confirm;  /* where; empty: by the topic */
    ngx_http_s3_cache_origin_conf_t  sns_conf;
    ngx_http_s3_cache_origin_t      *sns;      /* NULL: nothing is confirmed */
    ngx_str_t                        file;     /* where it was configured */
    ngx_uint_t                       line;
    unsigned                         confirms:1;
    unsigned                         refresh:1;
};


/* events_conf.c: s3_cache_events; location context */
char *ngx_http_s3_cache_events_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
/* After that of the origin, before a handler is chosen. */
char *ngx_http_s3_cache_events_merge(ngx_conf_t *cf,
    ngx_http_s3_cache_loc_conf_t *prev, ngx_http_s3_cache_loc_conf_t *conf);

/* events_auth.c: NGX_OK, NGX_DECLINED: it brought nothing to show, NGX_ABORT:
 * it is wrong; NGX_ERROR. */
ngx_int_t ngx_http_s3_cache_events_token(
    ngx_http_s3_cache_events_token_t *token, ngx_str_t *text);
ngx_int_t ngx_http_s3_cache_events_auth(ngx_http_request_t *r,
    ngx_http_s3_cache_events_conf_t *ecf);

/* events_sns.c: tells SNS that this subscription is wanted; what comes of it
 * is logged. */
void ngx_http_s3_cache_events_confirm(ngx_http_s3_cache_events_conf_t *ecf,
    s3c_slice_t token, ngx_log_t *log);

/* events.c */
ngx_int_t ngx_http_s3_cache_events_handler(ngx_http_request_t *r);


#endif /* NGX_HTTP_S3_CACHE_EVENTS_H */
