/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to the way of a GET or HEAD through the memory tier: lookup.c and
 * lookup_check.c.
 */

#ifndef NGX_HTTP_S3_CACHE_LOOKUP_H
#define NGX_HTTP_S3_CACHE_LOOKUP_H


#include "ngx_http_s3_cache_module.h"


/* Asks whether the pinned record still holds; then goes on. */
ngx_int_t ngx_http_s3_cache_check(ngx_http_s3_cache_ctx_t *ctx);
/* In the background: this request is served meanwhile. */
void ngx_http_s3_cache_check_aside(ngx_http_s3_cache_ctx_t *ctx);
/* From here on the request waits: how long is always measured. */
void ngx_http_s3_cache_clock(ngx_http_s3_cache_ctx_t *ctx);


#endif /* NGX_HTTP_S3_CACHE_LOOKUP_H */
