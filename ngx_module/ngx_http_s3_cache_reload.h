/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes that outlive their configuration. A worker that goes on after a reload
 * fences what it knows of: it does not reach a zone that is new, nor memory of
 * another size, nor a ring that it is no member of. So it leaves word where all
 * configurations of this nginx look.
 */

#ifndef NGX_HTTP_S3_CACHE_RELOAD_H
#define NGX_HTTP_S3_CACHE_RELOAD_H


#include "ngx_http_s3_cache_module.h"


#define NGX_HTTP_S3_CACHE_RELOAD_BUCKETS  4096     /* power of two */
#define NGX_HTTP_S3_CACHE_RELOAD_VIEWS    1024     /* power of two */
#define NGX_HTTP_S3_CACHE_RELOAD_PLACES                                       \
    (NGX_HTTP_S3_CACHE_RELOAD_BUCKETS + NGX_HTTP_S3_CACHE_RELOAD_VIEWS)


/* In the master: the configuration is in force from here on. After those of
 * the zones have been set (fence.h). */
ngx_int_t ngx_http_s3_cache_reload_init_module(ngx_cycle_t *cycle);

/* A bucket of an origin, for the functions below. */
ngx_uint_t ngx_http_s3_cache_reload_bucket(uint64_t origin,
    s3c_slice_t bucket);

/* A write to this bucket is over, or nobody knows (linger > 0, ms). If another
 * configuration is in force by now, whatever that keeps of the bucket is found
 * no more, and other nodes are told that they may have missed something. */
void ngx_http_s3_cache_reload_written(ngx_uint_t bucket, ngx_msec_t linger);

/* This nginx is a node of a ring by now, and this worker knows nobody whom it
 * could tell. */
ngx_uint_t ngx_http_s3_cache_reload_joined(void);

/* Readers. Nothing of the bucket may be kept at the moment. */
ngx_uint_t ngx_http_s3_cache_reload_holds(uint64_t origin,
    s3c_slice_t bucket);
/* Mixed into what is kept of it; 0: it never was written under another
 * configuration, and this one always knew of this view. */
uint64_t ngx_http_s3_cache_reload_generation(ngx_http_s3_cache_zone_t *zone,
    uint64_t identity, uint64_t origin, s3c_slice_t bucket);
/* Places, of RELOAD_PLACES, whose generations flash must know of, and those that
 * it knew of at a start. */
ngx_uint_t ngx_http_s3_cache_reload_is_marked(ngx_uint_t place);
void ngx_http_s3_cache_reload_forget(ngx_uint_t place);
/* How often others may have missed something, ever. */
uint64_t ngx_http_s3_cache_reload_strays(void);


#endif /* NGX_HTTP_S3_CACHE_RELOAD_H */
