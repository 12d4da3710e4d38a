/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to the way of a GET or HEAD through the memory tier: lookup.c,
 * lookup_check.c, block.c.
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


/* As those of ram.h, of whom nobody has asked for when ctx->warm. */

static ngx_inline s3c_status_t
ngx_http_s3_cache_find(ngx_http_s3_cache_ctx_t *ctx, s3c_hash128_t key,
    s3c_ram_pin_t *pin)
{
    return ctx->warm ? s3c_ram_peek(ctx->zone->ram, key, pin)
                     : s3c_ram_find(ctx->zone->ram, key,
                                    ngx_http_s3_cache_now(), pin);
}


static ngx_inline s3c_status_t
ngx_http_s3_cache_lead(ngx_http_s3_cache_ctx_t *ctx, s3c_hash128_t key,
    s3c_ram_pin_t *pin)
{
    return ctx->warm ? s3c_ram_fill_begin_cold(ctx->zone->ram, key,
                                               ctx->zone->ssd != NULL,
                                               ngx_http_s3_cache_now(), pin)
                     : s3c_ram_fill_begin(ctx->zone->ram, key,
                                          ngx_http_s3_cache_now(), pin);
}


#endif /* NGX_HTTP_S3_CACHE_LOOKUP_H */
