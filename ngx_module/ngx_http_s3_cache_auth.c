/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of the ways to ask who may is that of the location.
 */

#include "ngx_http_s3_cache_auth.h"


ngx_int_t
ngx_http_s3_cache_authorize(ngx_http_s3_cache_ctx_t *ctx)
{
    switch (ctx->conf->auth) {

    case NGX_HTTP_S3_CACHE_AUTH_OFF:
        return NGX_DECLINED;

    case NGX_HTTP_S3_CACHE_AUTH_KEYS:
        return ngx_http_s3_cache_auth_keys(ctx);

    default:
        return ngx_http_s3_cache_auth_origin(ctx);
    }
}
