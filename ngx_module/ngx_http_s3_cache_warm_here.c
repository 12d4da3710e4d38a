/* SPDX-License-Identifier: Apache-2.0
 *
 * A part of a warm-up that is this node's: looked for as a client's request is,
 * by a front that sends nothing and waits until it is whole.
 */

#include "ngx_http_s3_cache_warm_internal.h"


static ngx_int_t here_wait(ngx_http_s3_cache_ctx_t *ctx);
static warm_end_e here_had(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t here_hold(ngx_http_s3_cache_ctx_t *ctx);
static void here_run(ngx_http_s3_cache_ctx_t *ctx,
    ngx_int_t (*step)(ngx_http_s3_cache_ctx_t *));
static ngx_int_t here_reply(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t here_pass(ngx_http_s3_cache_ctx_t *ctx, const char *reason);
static ngx_int_t here_error(ngx_http_s3_cache_ctx_t *ctx,
    s3c_s3_error_t error, const char *message);


static const ngx_http_s3_cache_front_t  here_front = {
    here_hold,
    here_run,
    here_reply,
    here_pass,
    here_error
};


static ngx_inline warm_part_t *
here_of(ngx_http_s3_cache_ctx_t *ctx)
{
    return (warm_part_t *) ((u_char *) ctx - offsetof(warm_part_t, ctx));
}


void
ngx_http_s3_cache_warm_part_here(warm_part_t *part)
{
    ngx_int_t                 rc;
    warm_object_t            *object;
    ngx_http_s3_cache_ctx_t  *ctx;

    ctx = &part->ctx;
    object = part->object;
    ctx->front = &here_front;

    if (part->record) {

        if (part->block == UINT64_MAX) {
            ctx->ask.range.kind = S3C_RANGE_SUFFIX;
            ctx->ask.range.suffix = 1;

        } else if (part->block > 0) {
            ctx->ask.range.kind = S3C_RANGE_FROM_TO;
            ctx->ask.range.first = part->block * ctx->conf->block_size;
            ctx->ask.range.last = ctx->ask.range.first
                                  + ctx->conf->block_size - 1;
        }

        rc = ngx_http_s3_cache_lookup(ctx);

    } else {
        ctx->view.generation = object->generation;
        ctx->view.total = object->total;
        ctx->view.last_modified = object->last_modified;
        ctx->view.etag = object->etag;

        ctx->pos = part->block * ctx->conf->block_size;
        ctx->reply.last = ctx->pos + part->bytes - 1;

        rc = here_wait(ctx);
    }

    if (rc != NGX_DONE) {
        ngx_http_s3_cache_warm_part_over(part, WARM_FAILED);
    }
}


/* --- the front ------------------------------------------------------------ */

static ngx_int_t
here_hold(ngx_http_s3_cache_ctx_t *ctx)
{
    return NGX_DONE;
}


static void
here_run(ngx_http_s3_cache_ctx_t *ctx,
    ngx_int_t (*step)(ngx_http_s3_cache_ctx_t *))
{
    if (step(ctx) != NGX_DONE) {
        ngx_http_s3_cache_warm_part_over(here_of(ctx), WARM_FAILED);
    }
}


static ngx_int_t
here_reply(ngx_http_s3_cache_ctx_t *ctx)
{
    warm_part_t *part = here_of(ctx);

    ngx_http_s3_cache_warm_part_learn(part, &ctx->view);

    if (part->end != WARM_CACHED) {
        ngx_http_s3_cache_warm_part_over(part, part->end);
        return NGX_DONE;
    }

    if (part->bytes == 0) {
        ngx_http_s3_cache_warm_part_over(part, here_had(ctx));
        return NGX_DONE;
    }

    ctx->pos = (ctx->view.flags & S3C_RECORD_INLINE)
               ? 0 : part->block * ctx->conf->block_size;
    ctx->reply.last = ctx->pos + part->bytes - 1;

    return here_wait(ctx);
}


static ngx_int_t
here_pass(ngx_http_s3_cache_ctx_t *ctx, const char *reason)
{
    warm_part_t *part = here_of(ctx);

    ngx_http_s3_cache_warm_part_over(part,
                                     ctx->kept ? WARM_MISSING
                                     : ngx_strcmp(reason, "no_room") == 0
                                     ? WARM_NO_ROOM : WARM_FAILED);

    return NGX_DONE;
}


static ngx_int_t
here_error(ngx_http_s3_cache_ctx_t *ctx, s3c_s3_error_t error,
    const char *message)
{
    ngx_http_s3_cache_warm_part_over(here_of(ctx), WARM_FAILED);

    return NGX_DONE;
}


/* --- until it is whole ---------------------------------------------------- */

/* Step. */

static ngx_int_t
here_wait(ngx_http_s3_cache_ctx_t *ctx)
{
    warm_part_t *part = here_of(ctx);

    uint64_t          off, end;
    s3c_ram_pin_t    *pin;
    s3c_fill_view_t   fill;

    for ( ;; ) {

        if (ngx_http_s3_cache_warm_stored(ctx)) {
            ngx_http_s3_cache_warm_part_over(part, here_had(ctx));
            return NGX_DONE;
        }

        if (ngx_http_s3_cache_source(ctx, &pin, &off, &end) != NGX_OK) {
            ngx_http_s3_cache_warm_part_over(part, ctx->kept ? WARM_MISSING
                                                             : WARM_NO_ROOM);
            return NGX_DONE;
        }

        s3c_ram_view(ctx->zone->ram, pin, &fill);

        if (fill.phase == S3C_FILL_FAILED) {

            if (ngx_http_s3_cache_block_again(ctx, fill.reason)) {
                continue;
            }

            ngx_http_s3_cache_warm_part_over(part,
                          fill.reason == NGX_HTTP_S3_CACHE_FILL_ROOM
                          ? WARM_NO_ROOM
                          : fill.reason == NGX_HTTP_S3_CACHE_FILL_CHANGED
                          ? WARM_CHANGED : WARM_FAILED);
            return NGX_DONE;
        }

        if (fill.phase == S3C_FILL_DONE) {
            ngx_http_s3_cache_warm_part_over(part, here_had(ctx));
            return NGX_DONE;
        }

        if (ngx_http_s3_cache_wait(ctx, pin, &fill, here_wait) != S3C_EXISTS)
        {
            return NGX_DONE;
        }
    }
}


static warm_end_e
here_had(ngx_http_s3_cache_ctx_t *ctx)
{
    /* what was only validated had been here */

    return (ctx->led || (ctx->followed && !ctx->revalidated
                         && ctx->tier != NGX_HTTP_S3_CACHE_TIER_FLASH))
           ? WARM_FETCHED : WARM_CACHED;
}
