/* SPDX-License-Identifier: Apache-2.0
 *
 * What an operator wants dropped: s3_cache_admin with the argument "purge".
 */

#ifndef NGX_HTTP_S3_CACHE_PURGE_H
#define NGX_HTTP_S3_CACHE_PURGE_H


#include "ngx_http_s3_cache_module.h"


/* Is the request for a purge, right or wrong? */
ngx_uint_t ngx_http_s3_cache_purge_is(ngx_http_request_t *r);
/* The body has been discarded. Answers how the request ends, or NGX_DONE. */
ngx_int_t ngx_http_s3_cache_purge(ngx_http_request_t *r);


#endif /* NGX_HTTP_S3_CACHE_PURGE_H */
