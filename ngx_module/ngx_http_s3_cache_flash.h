/* SPDX-License-Identifier: Apache-2.0
 *
 * The flash tier as requests and jobs use it: entries of the memory tier are
 * filled from it, what came from the origin is written to it, and what is
 * dropped is dropped there too. Every function works (and declines) where a
 * zone has no store.
 */

#ifndef NGX_HTTP_S3_CACHE_FLASH_H
#define NGX_HTTP_S3_CACHE_FLASH_H


#include "ngx_http_s3_cache_module.h"

#include "serve/stored.h"


/* Where on flash the bytes of a block are. */
typedef struct {
    s3c_hash128_t               key;       /* of the record */
    uint64_t                    version;   /* that it must be of */
    uint64_t                    base;      /* of the block, in its payload */
    size_t                      bytes;     /* of the block */
} ngx_http_s3_cache_flash_block_t;


/* Fills the object's entry, which the caller leads, from flash. DECLINED: it
 * is not there (or this request does without flash); the caller still leads. */
ngx_int_t ngx_http_s3_cache_flash_object(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin);
/* Is this block of the object in ctx->view there? OK or DECLINED. */
ngx_int_t ngx_http_s3_cache_flash_find(ngx_http_s3_cache_ctx_t *ctx,
    uint64_t block, ngx_http_s3_cache_flash_block_t *src);
/* Fills an entry, which the caller leads, with `len` bytes of the block from
 * `off` on. DECLINED as above. */
ngx_int_t ngx_http_s3_cache_flash_fill(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin, const ngx_http_s3_cache_flash_block_t *src,
    size_t off, size_t len);

/* Writes a complete entry to flash, if it is taken. An object's record when
 * `object`, else a block of this generation. NGX_OK: taken. */
ngx_int_t ngx_http_s3_cache_flash_put(ngx_http_s3_cache_zone_t *zone,
    s3c_hash128_t key, const s3c_ram_pin_t *pin, ngx_uint_t object,
    uint64_t generation);
/* The object's record in memory has been vouched for: so is that on flash. */
void ngx_http_s3_cache_flash_vouch(ngx_http_s3_cache_zone_t *zone,
    s3c_hash128_t object, const s3c_record_view_t *view);
void ngx_http_s3_cache_flash_drop(ngx_http_s3_cache_zone_t *zone,
    s3c_hash128_t key);
void ngx_http_s3_cache_flash_exit(void);
/* This moment, by both clocks. */
void ngx_http_s3_cache_flash_clock(s3c_stored_now_t *now);
/* The origin has answered for an object that flash has, too: what lies there is
 * not the newest any more, whether or not the answer will be kept. */
void ngx_http_s3_cache_flash_superseded(ngx_http_s3_cache_zone_t *zone,
    s3c_hash128_t object);
/* From both tiers, if `pin` is still what is found under this key. */
s3c_status_t ngx_http_s3_cache_drop(ngx_http_s3_cache_zone_t *zone,
    s3c_hash128_t key, const s3c_ram_pin_t *pin);


#endif /* NGX_HTTP_S3_CACHE_FLASH_H */
