/* SPDX-License-Identifier: Apache-2.0
 *
 * Files with secrets in them.
 */

#ifndef NGX_HTTP_S3_CACHE_SECRET_H
#define NGX_HTTP_S3_CACHE_SECRET_H


#include <ngx_config.h>
#include <ngx_core.h>


/* All of a file, by its full name; the caller wipes the text and frees it by
 * ngx_free(). What is wrong is logged; that all may read it, as a warning. */
ngx_int_t ngx_http_s3_cache_secret_load(ngx_conf_t *cf, ngx_str_t *file,
    ngx_str_t *text);

/* "text" or "file=path", of which the first line counts: copied to `line`,
 * from cf->pool. What is wrong is logged. */
ngx_int_t ngx_http_s3_cache_secret_line(ngx_conf_t *cf, ngx_str_t *value,
    ngx_str_t *line);


#endif /* NGX_HTTP_S3_CACHE_SECRET_H */
