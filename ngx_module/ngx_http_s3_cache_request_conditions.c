/* SPDX-License-Identifier: Apache-2.0
 *
 * What a request's headers say of the answer that it wants: conditions, range,
 * Cache-Control.
 */

#include "ngx_http_s3_cache_module.h"


static ngx_int_t
ngx_http_s3_cache_join_header(ngx_http_request_t *r, s3c_slice_t *slot,
    ngx_table_elt_t *h)
{
    u_char  *p;

    if (slot->data == NULL) {
        *slot = ngx_http_s3_cache_slice(&h->value);
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, slot->len + 2 + h->value.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, slot->data, slot->len);
    ngx_memcpy(p + slot->len, ", ", 2);
    ngx_memcpy(p + slot->len + 2, h->value.data, h->value.len);

    *slot = s3c_slice(p, slot->len + 2 + h->value.len);

    return NGX_OK;
}


ngx_int_t
ngx_http_s3_cache_read_conditions(ngx_http_s3_cache_ctx_t *ctx)
{
    size_t                     n;
    s3c_slice_t               *slot, range;
    ngx_table_elt_t           *h;
    ngx_http_request_t        *r;
    ngx_http_s3_cache_walk_t   walk;

    r = ctx->request;
    range = S3C_SLICE_NONE;

    if (r != r->main) {
        /* the client's conditions are about the page, not what it includes */
        return NGX_OK;
    }

    ngx_http_s3_cache_walk(&walk, &r->headers_in.headers);

    while ((h = ngx_http_s3_cache_next(&walk)) != NULL) {

        slot = NULL;
        n = h->key.len;

#define name_is(lit)  (n == sizeof(lit) - 1                                   \
                       && ngx_strncmp(h->lowcase_key, lit, n) == 0)

        switch (n) {

        case 5:
            slot = name_is("range") ? &range : NULL;
            break;

        case 6:
            if (name_is("pragma")
                && ngx_strcasestrn(h->value.data, "no-cache", 8 - 1))
            {
                ctx->no_cache = 1;
            }
            break;

        case 8:
            slot = name_is("if-match") ? &ctx->ask.cond.if_match
                   : name_is("if-range") ? &ctx->ask.cond.if_range : NULL;
            break;

        case 13:
            slot = name_is("if-none-match") ? &ctx->ask.cond.if_none_match
                                            : NULL;

            if (name_is("cache-control")
                && (ngx_strcasestrn(h->value.data, "no-cache", 8 - 1)
                    || ngx_strcasestrn(h->value.data, "max-age=0", 9 - 1)))
            {
                ctx->no_cache = 1;
            }
            break;

        case 17:
            slot = name_is("if-modified-since")
                   ? &ctx->ask.cond.if_modified_since : NULL;
            break;

        case 19:
            slot = name_is("if-unmodified-since")
                   ? &ctx->ask.cond.if_unmodified_since : NULL;
            break;
        }

#undef name_is

        if (slot != NULL
            && ngx_http_s3_cache_join_header(r, slot, h) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ctx->ask.range = s3c_http_range_parse(range);

    return NGX_OK;
}
