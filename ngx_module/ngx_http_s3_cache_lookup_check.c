/* SPDX-License-Identifier: Apache-2.0
 *
 * Is a record still so? One question to the origin, or to who owns the object,
 * for all that want to know it at the same time.
 */

#include "ngx_http_s3_cache_lookup.h"
#include "ngx_http_s3_cache_peer.h"
#include "ngx_http_s3_cache_vouch.h"


static ngx_int_t ngx_http_s3_cache_check_moved(ngx_http_s3_cache_ctx_t *ctx);


ngx_int_t
ngx_http_s3_cache_check(ngx_http_s3_cache_ctx_t *ctx)
{
    uint64_t       nonce;
    s3c_hash128_t  key;

    /* an expired record may be vouched for by anybody's question */

    nonce = ngx_http_s3_cache_wants_truth(ctx) ? ++ctx->zone->nonce : 0;
    ngx_http_s3_cache_clock(ctx);

    if (ctx->view.flags & S3C_RECORD_MIRROR) {
        /* what the origin says of it is not for this node to keep */
        (void) s3c_ram_drop_pinned(ctx->zone->ram, &ctx->pin);
    }

    key = s3c_key_revalidate(ctx->zone->secret, ctx->object, nonce);

    switch (s3c_ram_fill_begin(ctx->zone->ram, key, ngx_http_s3_cache_now(),
                               &ctx->check))
    {
    case S3C_OK:
        (void) ngx_http_s3_cache_fill_check(ctx, &ctx->check);
        return ngx_http_s3_cache_check_moved(ctx);

    case S3C_AGAIN:
        return ngx_http_s3_cache_check_moved(ctx);

    case S3C_EXISTS:
        return ngx_http_s3_cache_restart(ctx);

    default:
        ngx_http_s3_cache_release(ctx);
        return ctx->front->pass(ctx, "no_room");
    }
}


static ngx_int_t
ngx_http_s3_cache_check_moved(ngx_http_s3_cache_ctx_t *ctx)
{
    s3c_fill_view_t  fill;

    for ( ;; ) {
        s3c_ram_view(ctx->zone->ram, &ctx->check, &fill);

        if (fill.phase == S3C_FILL_FAILED || fill.phase == S3C_FILL_DONE) {
            break;
        }

        if (ngx_http_s3_cache_wait(ctx, &ctx->check, &fill,
                                   ngx_http_s3_cache_check_moved)
            != S3C_EXISTS)
        {
            return ctx->front->hold(ctx);
        }
    }

    s3c_ram_unpin(ctx->zone->ram, &ctx->check);

    switch (fill.reason) {

    case NGX_HTTP_S3_CACHE_FILL_FRESH:

        if (!ngx_http_s3_cache_wants_truth(ctx)
            && !ngx_http_s3_cache_vouched(ctx))
        {
            /* somebody's question of before what is vouched for */
            ctx->truth = 1;
            return ngx_http_s3_cache_check(ctx);
        }

        ctx->checked = 1;
        ctx->revalidated = 1;
        return ctx->front->reply(ctx);

    case NGX_HTTP_S3_CACHE_FILL_AGAIN:
        /* the same bytes under new headers */
        ctx->revalidated = 1;

        if (ctx->zone->peers != NULL && !ngx_http_s3_cache_wants_truth(ctx)) {
            /* as of somebody's question: is it vouched for? */
            return ngx_http_s3_cache_restart(ctx);
        }

        /* fall through */

    case NGX_HTTP_S3_CACHE_FILL_CHANGED:
        ctx->checked = 1;
        ngx_http_s3_cache_peer_truth(ctx);
        return ngx_http_s3_cache_restart(ctx);

    case NGX_HTTP_S3_CACHE_FILL_UNREACHABLE:
    case NGX_HTTP_S3_CACHE_FILL_TIMEOUT:
    case NGX_HTTP_S3_CACHE_FILL_BROKEN:
    case NGX_HTTP_S3_CACHE_FILL_ORIGIN_ERROR:
    case NGX_HTTP_S3_CACHE_FILL_UNSIGNED:

        if (s3c_plan_stale_on_error(&ctx->conf->rules, &ctx->view,
                                    ngx_http_s3_cache_now()))
        {
            ctx->stale = 1;
            return ctx->front->reply(ctx);
        }

        /* fall through */

    default:
        return ngx_http_s3_cache_fill_ended(ctx, fill.reason);
    }
}


void
ngx_http_s3_cache_check_aside(ngx_http_s3_cache_ctx_t *ctx)
{
    s3c_hash128_t  key;

    key = s3c_key_revalidate(ctx->zone->secret, ctx->object, 0);

    switch (s3c_ram_fill_begin(ctx->zone->ram, key, ngx_http_s3_cache_now(),
                               &ctx->check))
    {
    case S3C_OK:
        (void) ngx_http_s3_cache_fill_check(ctx, &ctx->check);
        s3c_ram_unpin(ctx->zone->ram, &ctx->check);
        break;

    case S3C_AGAIN:
    case S3C_EXISTS:
        s3c_ram_unpin(ctx->zone->ram, &ctx->check);
        break;

    default:
        break;
    }
}
