/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the fences share.
 */

#ifndef NGX_HTTP_S3_CACHE_FENCE_INTERNAL_H
#define NGX_HTTP_S3_CACHE_FENCE_INTERNAL_H


#include "ngx_http_s3_cache_fence.h"


typedef struct {
    uint64_t                       bucket;
    uint64_t                       key;      /* 0: no key, or too long */
} ngx_http_s3_cache_fence_names_t;


/* view: is this the first view of its zone that is of this origin? */
ngx_uint_t ngx_http_s3_cache_fence_is_first(
    ngx_http_s3_cache_main_conf_t *mcf, uint64_t origin, ngx_uint_t i);
/* The same, if the name means this zone. */
ngx_uint_t ngx_http_s3_cache_fence_is_meant(
    ngx_http_s3_cache_main_conf_t *mcf, uint64_t origin,
    const ngx_http_s3_cache_name_t *name, ngx_uint_t i);

/* name */
void ngx_http_s3_cache_fence_names(const uint8_t *secret, uint64_t origin,
    s3c_slice_t bucket, s3c_slice_t key,
    ngx_http_s3_cache_fence_names_t *names);

/* A pid that was used again makes a fence hold too long, never too short. */
bool ngx_http_s3_cache_fence_is_alive(uint32_t owner);

/* keep: drops what is due for those who died, or were never told the end. */
void ngx_http_s3_cache_fence_pay(ngx_http_s3_cache_zone_t *zone);

/* drop: this node has learnt of a write, just now. */
void ngx_http_s3_cache_fence_learn(ngx_http_s3_cache_zone_t *zone,
    uint64_t hash, const ngx_http_s3_cache_name_t *name);


#endif /* NGX_HTTP_S3_CACHE_FENCE_INTERNAL_H */
