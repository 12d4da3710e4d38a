/* SPDX-License-Identifier: Apache-2.0
 *
 * The way of a GET or HEAD from the memory tier to its answer: found, being
 * filled, to be validated, or missing. Each step decides one thing and either
 * goes on to the next or waits for a fill to move. Who asks, and what becomes
 * of the answer, is the front's: ctx->front.
 *
 *   lookup    -> found | follow | begin
 *   begin     -> follow (leading or not) | found | pass
 *   found     -> reply | check | begin
 *   check     -> reply | lookup | error
 *   follow    -> reply | lookup | pass | error
 */

#include "ngx_http_s3_cache_module.h"
#include "ngx_http_s3_cache_fence.h"
#include "ngx_http_s3_cache_flash.h"
#include "ngx_http_s3_cache_list.h"
#include "ngx_http_s3_cache_lookup.h"
#include "ngx_http_s3_cache_mirror.h"
#include "ngx_http_s3_cache_peer.h"
#include "ngx_http_s3_cache_vouch.h"


static ngx_int_t ngx_http_s3_cache_begin(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t ngx_http_s3_cache_no_room(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t ngx_http_s3_cache_join(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t ngx_http_s3_cache_written(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t ngx_http_s3_cache_found(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t ngx_http_s3_cache_elsewhere(ngx_http_s3_cache_ctx_t *ctx);
static ngx_uint_t ngx_http_s3_cache_lost(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t ngx_http_s3_cache_refetch(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t ngx_http_s3_cache_follow(ngx_http_s3_cache_ctx_t *ctx);
static s3c_status_t ngx_http_s3_cache_open(ngx_http_s3_cache_ctx_t *ctx);
static void ngx_http_s3_cache_wake(ngx_http_s3_cache_watch_t *watch);


ngx_int_t
ngx_http_s3_cache_lookup(ngx_http_s3_cache_ctx_t *ctx)
{
    switch (ngx_http_s3_cache_find(ctx, ctx->object, &ctx->pin)) {

    case S3C_OK:
        return ngx_http_s3_cache_found(ctx);

    case S3C_AGAIN:
        return ngx_http_s3_cache_join(ctx);

    case S3C_MISS:
        return ngx_http_s3_cache_begin(ctx);

    default:
        return ctx->front->pass(ctx, "no_room");
    }
}


ngx_int_t
ngx_http_s3_cache_restart(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_http_s3_cache_release(ctx);

    if (++ctx->restarts > NGX_HTTP_S3_CACHE_RESTARTS_MAX) {
        return ctx->front->pass(ctx, "restless");
    }

    return ngx_http_s3_cache_lookup(ctx);
}


/* It is not there: lead its fill, or join the one who was quicker. */

static ngx_int_t
ngx_http_s3_cache_begin(ngx_http_s3_cache_ctx_t *ctx)
{
    switch (ngx_http_s3_cache_lead(ctx, ctx->object, &ctx->pin)) {

    case S3C_OK:
        ngx_http_s3_cache_clock(ctx);

        if (ngx_http_s3_cache_fenced(ctx)) {
            /* it is being written: who followed looks again, and passes */
            s3c_ram_fill_fail(ctx->zone->ram, &ctx->pin,
                              NGX_HTTP_S3_CACHE_FILL_AGAIN);
            return ngx_http_s3_cache_written(ctx);
        }

        if (ctx->page) {
            /* each node keeps its own, in memory alone */
            ctx->led = 1;
            (void) ngx_http_s3_cache_fill_list(ctx, &ctx->pin);
            return ngx_http_s3_cache_follow(ctx);
        }

        ctx->peered = ngx_http_s3_cache_peer_object(ctx, &ctx->pin)
                      != NGX_DECLINED;

        if (!ctx->peered
            && ngx_http_s3_cache_flash_object(ctx, &ctx->pin) == NGX_OK)
        {
            return ngx_http_s3_cache_follow(ctx);
        }

        if (ctx->kept) {
            s3c_ram_fill_fail(ctx->zone->ram, &ctx->pin,
                              NGX_HTTP_S3_CACHE_FILL_AGAIN);
            return ngx_http_s3_cache_elsewhere(ctx);
        }

        ctx->led = 1;

        if (ngx_http_s3_cache_wants_truth(ctx)) {
            ngx_http_s3_cache_peer_truth(ctx);
        }

        if (!ctx->peered) {
            ctx->peered = ngx_http_s3_cache_former_object(ctx, &ctx->pin)
                          != NGX_DECLINED;
        }

        if (!ctx->peered) {
            (void) ngx_http_s3_cache_fill_object(ctx, &ctx->pin);
        }

        return ngx_http_s3_cache_follow(ctx);

    case S3C_AGAIN:
        return ngx_http_s3_cache_join(ctx);

    case S3C_EXISTS:
        return ngx_http_s3_cache_found(ctx);

    default:
        return ngx_http_s3_cache_no_room(ctx);
    }
}


/* Of what nobody has asked for, nothing is served uncached. */

static ngx_int_t
ngx_http_s3_cache_no_room(ngx_http_s3_cache_ctx_t *ctx)
{
    if (!ctx->warm) {
        s3c_stats_add(&ctx->zone->stats, S3C_STAT_FILL_REFUSED, 1);
    }

    return ctx->front->pass(ctx, "no_room");
}


static ngx_int_t
ngx_http_s3_cache_join(ngx_http_s3_cache_ctx_t *ctx)
{
    if (ctx->kept) {
        return ngx_http_s3_cache_elsewhere(ctx);
    }

    if (ngx_http_s3_cache_due(ctx)) {
        return ngx_http_s3_cache_written(ctx);
    }

    ctx->followed = 1;
    ngx_http_s3_cache_clock(ctx);
    s3c_stats_add(&ctx->zone->stats, S3C_STAT_FILL_FOLLOWED, 1);

    return ngx_http_s3_cache_follow(ctx);
}


void
ngx_http_s3_cache_clock(ngx_http_s3_cache_ctx_t *ctx)
{
    if (ctx->begun_us == 0) {
        ctx->begun_us = ngx_http_s3_cache_usec();
    }
}


/* It is being written, and what there is may be older by now. */

static ngx_int_t
ngx_http_s3_cache_written(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_http_s3_cache_release(ctx);

    return ctx->front->pass(ctx, "written");
}


/*
 * One who wants the truth as of now (strict, no-cache) must not take the
 * answer to a question that was asked before it came.
 */

ngx_uint_t
ngx_http_s3_cache_wants_truth(ngx_http_s3_cache_ctx_t *ctx)
{
    return ctx->truth || ctx->conf->rules.mode == S3C_FRESHNESS_STRICT
           || (ctx->no_cache && ctx->conf->rules.client_revalidates);
}


/* Another node asks, and this one has it not: it was asked only for what is
 * here and fresh, or what it waits for may be that very node. */

static ngx_int_t
ngx_http_s3_cache_elsewhere(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_http_s3_cache_release(ctx);
    ctx->elsewhere = 1;

    return ctx->front->pass(ctx, NULL);
}


/* The pinned entry is complete. */

static ngx_int_t
ngx_http_s3_cache_found(ngx_http_s3_cache_ctx_t *ctx)
{
    s3c_use_t  use;

    if (ngx_http_s3_cache_due(ctx)) {
        return ngx_http_s3_cache_written(ctx);
    }

    switch (ngx_http_s3_cache_open(ctx)) {

    case S3C_OK:
        break;

    case S3C_CORRUPT:
        s3c_stats_add(&ctx->zone->stats, S3C_STAT_RECORD_CORRUPT, 1);
        ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                      "s3_cache: a damaged record was dropped");
        (void) ngx_http_s3_cache_drop(ctx->zone, ctx->object, &ctx->pin);
        return ngx_http_s3_cache_restart(ctx);

    default:
        /* another object under the same 128 bits */
        ngx_http_s3_cache_release(ctx);
        return ctx->front->pass(ctx, "collision");
    }

    if (ctx->kept) {
        return (((ctx->view.flags & S3C_RECORD_NOBODY) && !ctx->head)
                || (ctx->view.flags & S3C_RECORD_MIRROR)
                || !ngx_http_s3_cache_vouched(ctx)
                || s3c_plan_use(&ctx->conf->rules, &ctx->view,
                                ngx_http_s3_cache_now(), 0, 0)
                   != S3C_USE_FRESH)
               ? ngx_http_s3_cache_elsewhere(ctx)
               : ctx->front->reply(ctx);
    }

    if (ctx->view.flags & S3C_RECORD_MIRROR) {
        return ngx_http_s3_cache_mirror_hit(ctx)
               ? ctx->front->reply(ctx) : ngx_http_s3_cache_mirror_leave(ctx);
    }

    if ((ctx->view.flags & S3C_RECORD_NOBODY) && !ctx->head) {
        return ngx_http_s3_cache_refetch(ctx);
    }

    if (ngx_http_s3_cache_lost(ctx)) {
        return ngx_http_s3_cache_refetch(ctx);
    }

    /* what came by a fill that this very request waited for is fresh, and so
       is what it has just had validated; but not what came from flash */

    if (ctx->checked
        || ((ctx->led || ctx->followed)
            && !(ctx->view.flags & S3C_RECORD_STORED)))
    {
        return ctx->front->reply(ctx);
    }

    if (!ngx_http_s3_cache_vouched(ctx)) {
        /* a node may have written it, and could not tell this one */
        s3c_stats_add(&ctx->zone->stats, S3C_STAT_WRITE_UNSURE, 1);

        return (ctx->view.flags & S3C_RECORD_ERROR)
               ? ngx_http_s3_cache_refetch(ctx)
               : ngx_http_s3_cache_check(ctx);
    }

    if (ctx->truth) {
        return ngx_http_s3_cache_check(ctx);
    }

    use = s3c_plan_use(&ctx->conf->rules, &ctx->view, ngx_http_s3_cache_now(),
                       ctx->no_cache,
                       ctx->ask.checksum_mode
                       && ctx->ask.range.kind == S3C_RANGE_NONE);

    switch (use) {

    case S3C_USE_FRESH:
        return ctx->front->reply(ctx);

    case S3C_USE_AND_REVALIDATE:
        ngx_http_s3_cache_check_aside(ctx);
        ctx->stale = 1;
        return ctx->front->reply(ctx);

    case S3C_REVALIDATE_FIRST:
        return ngx_http_s3_cache_check(ctx);

    case S3C_REFETCH:
        break;
    }

    return ngx_http_s3_cache_refetch(ctx);
}


/* It is of the time when this node owned the object; what its owner has learnt
 * since nobody has told. While the ring is young the owner may need it. Not
 * so what was written through this node, while it is fresh: of the next write
 * all nodes are told. */

static ngx_uint_t
ngx_http_s3_cache_lost(ngx_http_s3_cache_ctx_t *ctx)
{
    return ctx->zone->peers != NULL && ctx->zone->peers->redis != NULL
           && !ctx->page && !ctx->served && !ctx->led && !ctx->followed
           && !ctx->checked
           && !((ctx->view.flags & S3C_RECORD_WRITTEN)
                && ngx_http_s3_cache_now()
                   < atomic_load_explicit(&ctx->view.rec->expires_ms,
                                          memory_order_relaxed))
           && ngx_http_s3_cache_view_settled(ctx->zone->peers)
           && ngx_http_s3_cache_peer_foreign(ctx);
}


static ngx_int_t
ngx_http_s3_cache_refetch(ngx_http_s3_cache_ctx_t *ctx)
{
    (void) ngx_http_s3_cache_drop(ctx->zone, ctx->object, &ctx->pin);

    return ngx_http_s3_cache_restart(ctx);
}


/* The pinned entry is or was being filled. */

static ngx_int_t
ngx_http_s3_cache_follow(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_uint_t       truth;
    s3c_status_t     st;
    s3c_fill_view_t  fill;

    for ( ;; ) {

        s3c_ram_view(ctx->zone->ram, &ctx->pin, &fill);

        if (ctx->served && fill.mark == NGX_HTTP_S3_CACHE_MARK_PEER
            && ngx_http_s3_cache_serve_late(ctx))
        {
            return ngx_http_s3_cache_elsewhere(ctx);
        }

        switch (fill.phase) {

        case S3C_FILL_ASKING:
            st = ngx_http_s3_cache_wait(ctx, &ctx->pin, &fill,
                                        ngx_http_s3_cache_follow);
            if (st == S3C_EXISTS) {
                continue;
            }

            return ctx->front->hold(ctx);

        case S3C_FILL_BODY:
        case S3C_FILL_DONE:

            if (ngx_http_s3_cache_open(ctx) != S3C_OK) {
                ngx_http_s3_cache_release(ctx);
                return ctx->front->pass(ctx, "collision");
            }

            if (ctx->view.flags & S3C_RECORD_STORED) {
                /* complete: flash shows nothing of an object before that */
                ctx->tier = NGX_HTTP_S3_CACHE_TIER_FLASH;
                return ngx_http_s3_cache_found(ctx);
            }

            /* may the answer to a question of before this request be used? */
            truth = !ctx->led && (ngx_http_s3_cache_wants_truth(ctx)
                                  || !ngx_http_s3_cache_vouched(ctx));

            if (((ctx->view.flags & S3C_RECORD_NOBODY) && !ctx->head)
                || ((ctx->view.flags & S3C_RECORD_ERROR) && truth))
            {
                /* an error that a HEAD brought has no document for us; one
                   that was asked for earlier may be over */
                return ngx_http_s3_cache_refetch(ctx);
            }

            if (!(ctx->view.flags & S3C_RECORD_ERROR) && !ctx->checked
                && ((ctx->ask.checksum_mode
                     && ctx->ask.range.kind == S3C_RANGE_NONE
                     && !(ctx->view.flags & S3C_RECORD_FULL))
                    || truth))
            {
                /* led by a ranged read, it does not know the checksums; or
                   it may be older than this request */
                if (fill.phase == S3C_FILL_DONE) {

                    if (ctx->led) {
                        return ngx_http_s3_cache_check(ctx);
                    }

                    if (ctx->view.flags & S3C_RECORD_MIRROR) {
                        return ngx_http_s3_cache_mirror_leave(ctx);
                    }

                    /* who asks for another node's may ask for all of it */
                    return (ngx_http_s3_cache_peer_foreign(ctx) && !truth)
                           ? ngx_http_s3_cache_restart(ctx)
                           : ngx_http_s3_cache_check(ctx);
                }

                st = ngx_http_s3_cache_wait(ctx, &ctx->pin, &fill,
                                            ngx_http_s3_cache_follow);
                if (st == S3C_EXISTS) {
                    continue;
                }

                return ctx->front->hold(ctx);
            }

            return ctx->front->reply(ctx);

        case S3C_FILL_FAILED:
            return ngx_http_s3_cache_fill_ended(ctx, fill.reason);
        }
    }
}


ngx_int_t
ngx_http_s3_cache_fill_ended(ngx_http_s3_cache_ctx_t *ctx, uint32_t reason)
{
    ngx_http_s3_cache_release(ctx);

    switch (reason) {

    case NGX_HTTP_S3_CACHE_FILL_ROOM:
        return ngx_http_s3_cache_no_room(ctx);

    case NGX_HTTP_S3_CACHE_FILL_PASS:
        return ctx->front->pass(ctx, "answer");

    case NGX_HTTP_S3_CACHE_FILL_ORIGIN_ERROR:
        /* the origin's own words are better than ours */
        return ctx->front->pass(ctx, "origin_error");

    case NGX_HTTP_S3_CACHE_FILL_TIMEOUT:
        ctx->result = NGX_HTTP_S3_CACHE_ERROR;
        return ctx->front->error(ctx, S3C_ERR_GATEWAY_TIMEOUT, NULL);

    case NGX_HTTP_S3_CACHE_FILL_UNREACHABLE:
    case NGX_HTTP_S3_CACHE_FILL_BROKEN:
        ctx->result = NGX_HTTP_S3_CACHE_ERROR;
        return ctx->front->error(ctx, S3C_ERR_BAD_GATEWAY, NULL);

    case NGX_HTTP_S3_CACHE_FILL_UNSIGNED:
        ctx->result = NGX_HTTP_S3_CACHE_ERROR;
        return ctx->front->error(ctx, S3C_ERR_SERVICE_UNAVAILABLE, NULL);

    case NGX_HTTP_S3_CACHE_FILL_CHANGED:
        /* who has the record may not know it yet */
        ctx->truth = 1;
        return ngx_http_s3_cache_restart(ctx);

    case NGX_HTTP_S3_CACHE_FILL_FLASH:
        ctx->flash_off = 1;
        /* fall through */

    default:  /* AGAIN, S3C_FILL_REASON_DIED */
        return ngx_http_s3_cache_restart(ctx);
    }
}


/* Checks the record of the pinned entry into ctx->view. */

static s3c_status_t
ngx_http_s3_cache_open(ngx_http_s3_cache_ctx_t *ctx)
{
    int                          n;
    size_t                       size;
    struct iovec                 iov;
    ngx_http_s3_cache_target_t  *target;

    target = ngx_http_s3_cache_target(ctx);
    if (target == NULL) {
        return S3C_MISS;
    }

    n = 1;
    size = s3c_ram_size(ctx->zone->ram, &ctx->pin);

    if (s3c_ram_span(ctx->zone->ram, &ctx->pin, 0, size, &iov, &n) == 0) {
        return S3C_CORRUPT;
    }

    return s3c_record_open(iov.iov_base, iov.iov_len, size, &target->ident,
                           &ctx->view);
}


s3c_status_t
ngx_http_s3_cache_wait(ngx_http_s3_cache_ctx_t *ctx, const s3c_ram_pin_t *pin,
    const s3c_fill_view_t *seen,
    ngx_int_t (*resume)(ngx_http_s3_cache_ctx_t *))
{
    s3c_status_t     st;
    s3c_fill_view_t  now;

    ctx->watch.wake = ngx_http_s3_cache_wake;
    ctx->watch.data = ctx;
    ctx->resume = resume;

    st = ngx_http_s3_cache_watch(ctx->zone, pin, &ctx->watch);

    if (st != S3C_OK) {
        return st;
    }

    /* what moved before the watch wakes nobody */

    s3c_ram_view(ctx->zone->ram, pin, &now);

    if (now.phase != seen->phase || now.filled != seen->filled
        || now.mark != seen->mark)
    {
        ngx_http_s3_cache_unwatch(&ctx->watch);
        return S3C_EXISTS;
    }

    return S3C_OK;
}


static void
ngx_http_s3_cache_wake(ngx_http_s3_cache_watch_t *watch)
{
    ngx_http_s3_cache_ctx_t *ctx = watch->data;

    ctx->front->run(ctx, ctx->resume);
}
