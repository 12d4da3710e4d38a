/* SPDX-License-Identifier: Apache-2.0
 *
 * Where an object is: s3_cache_status with the argument "explain".
 */

#ifndef NGX_HTTP_S3_CACHE_EXPLAIN_H
#define NGX_HTTP_S3_CACHE_EXPLAIN_H


#include "ngx_http_s3_cache_module.h"


/* conf: a location of a zone, complete. */
ngx_int_t ngx_http_s3_cache_explain_location(ngx_conf_t *cf,
    ngx_http_s3_cache_loc_conf_t *conf);

/* Answers a request whose method has been checked and whose body is discarded;
 * `path`: "/bucket/key", as it came. */
ngx_int_t ngx_http_s3_cache_explain(ngx_http_request_t *r, ngx_str_t *path);


#endif /* NGX_HTTP_S3_CACHE_EXPLAIN_H */
