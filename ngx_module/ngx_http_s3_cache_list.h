/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists that are kept: page by page, each a record of its own, under the
 * generation of the directory that it looks into. A write counts up those of
 * all directories that its key lies in, and fences them for as long as the key.
 * See src/s3/s3_list.h for what a directory is, docs/adr/0021 for why it is
 * enough. Where nobody keeps lists of an origin nothing of this is done.
 */

#ifndef NGX_HTTP_S3_CACHE_LIST_H
#define NGX_HTTP_S3_CACHE_LIST_H


#include "ngx_http_s3_cache_fence.h"


/* What a write holds; above that, the lists of its bucket as a whole. */
#define NGX_HTTP_S3_CACHE_LIST_DIRS   64
#define NGX_HTTP_S3_CACHE_LIST_HELD   (NGX_HTTP_S3_CACHE_LIST_DIRS + 8)


/* Of one write, zeroed: a directory is held once, however many of its keys are
 * written. */
typedef struct {
    uint64_t                       names[NGX_HTTP_S3_CACHE_LIST_HELD];
    ngx_uint_t                     n;
} ngx_http_s3_cache_lists_t;


/* Readers. Is this request for a page that is kept here? Then ctx->identity is
 * that of its directory, as of now. */
ngx_uint_t ngx_http_s3_cache_list_wants(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_target_t *target);
/* After fill_begin(): nothing may be kept of it now. */
ngx_uint_t ngx_http_s3_cache_list_fenced(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_target_t *target);
/* fill_list.c; as fill_object() */
ngx_int_t ngx_http_s3_cache_fill_list(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin);

/* Writers: for the lists what fence_hold(), keep(), lift() and drop() are for
 * the key; they go before those. A bucket needs none of it. What is held `later`
 * is dropped by drop(). */
ngx_int_t ngx_http_s3_cache_list_hold(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, const ngx_http_s3_cache_name_t *name,
    ngx_http_s3_cache_lists_t *lists, ngx_array_t *holds);
ngx_int_t ngx_http_s3_cache_list_keep(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, const ngx_http_s3_cache_name_t *name, uint64_t tag,
    uint64_t until_ms);
void ngx_http_s3_cache_list_lift(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, const ngx_http_s3_cache_name_t *name, uint64_t tag,
    uint64_t until_ms, ngx_uint_t refused);
void ngx_http_s3_cache_list_drop(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, const ngx_http_s3_cache_name_t *name);


#endif /* NGX_HTTP_S3_CACHE_LIST_H */
