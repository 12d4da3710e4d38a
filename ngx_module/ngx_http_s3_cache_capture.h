/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of a write, copied into the memory tier as it goes by: chunks, under
 * keys that nobody else knows. Each is filled and complete like any entry, may
 * be evicted like any, and is nobody's when its worker dies. A capture that is
 * refused memory is given up; the write never notices.
 */

#ifndef NGX_HTTP_S3_CACHE_CAPTURE_H
#define NGX_HTTP_S3_CACHE_CAPTURE_H


#include "ngx_http_s3_cache_module.h"

#include "base/digest.h"
#include "serve/written.h"


/* Zeroed: captures nothing. */
typedef struct {
    ngx_http_s3_cache_zone_t   *zone;
    s3c_written_t               body;
    uint64_t                    taken;     /* of it */
    s3c_ram_pin_t               pin;       /* of the chunk being filled */
    size_t                      off;       /* in it */
    size_t                      size;      /* of it */
    s3c_sha_t                   md5;
    unsigned                    active:1;
} ngx_http_s3_cache_capture_t;


/* DECLINED: it captures nothing. */
ngx_int_t ngx_http_s3_cache_capture_begin(ngx_http_s3_cache_capture_t *cap,
    ngx_http_s3_cache_zone_t *zone, size_t chunk_bytes, uint64_t length);
/* The next bytes of the body. DECLINED: it has just been given up. */
ngx_int_t ngx_http_s3_cache_capture_take(ngx_http_s3_cache_capture_t *cap,
    const u_char *pos, size_t len);
/* All of it went by: cap->body is whole, and the caller's. DECLINED: it is not,
 * and what there was is dropped. */
ngx_int_t ngx_http_s3_cache_capture_end(ngx_http_s3_cache_capture_t *cap);
/* Drops what there is, if anything. */
void ngx_http_s3_cache_capture_drop(ngx_http_s3_cache_capture_t *cap);

/* Chunks of a body that was captured, from `first` on, `n` of them. */
void ngx_http_s3_cache_capture_forget(ngx_http_s3_cache_zone_t *zone,
    const s3c_written_t *body, uint64_t first, uint64_t n);


#endif /* NGX_HTTP_S3_CACHE_CAPTURE_H */
