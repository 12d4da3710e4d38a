/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of a link share:
 *
 *   link        it begins and ends; its streams
 *   link_read   what comes
 *   link_write  what goes
 *
 * Nothing is closed while one of its callbacks runs (link->busy): it is marked,
 * and closed when the callback has returned.
 */

#ifndef NGX_HTTP_S3_CACHE_LINK_INTERNAL_H
#define NGX_HTTP_S3_CACHE_LINK_INTERNAL_H


#include "ngx_http_s3_cache_link.h"


/* link */

/* A callback has returned. True: the link is gone, or soon will be. */
ngx_uint_t ngx_http_s3_cache_link_over(ngx_http_s3_cache_link_t *link);
/* Nothing is under way. */
void ngx_http_s3_cache_link_rest(ngx_http_s3_cache_link_t *link);
ngx_http_s3_cache_stream_t *ngx_http_s3_cache_link_find(
    ngx_http_s3_cache_link_t *link, uint32_t id);

/* link_write */

/* flush() comes at the end of this turn of the event loop. */
void ngx_http_s3_cache_link_post(ngx_http_s3_cache_link_t *link);
void ngx_http_s3_cache_link_flush(ngx_event_t *ev);


#endif /* NGX_HTTP_S3_CACHE_LINK_INTERNAL_H */
