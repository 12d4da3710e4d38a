/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of an answer, sent from the cache's memory without a copy: a
 * window at a time, each gone to the socket before the next is looked up, so
 * that a slow client holds one pinned block and no more. Bytes that are still
 * on their way from the origin are sent as they arrive.
 */

#include "ngx_http_s3_cache_module.h"


#define SPANS  64      /* iovecs of one window: what one writev() takes */
#define TURN   4       /* windows in one go, then others have their turn */


static ngx_int_t ngx_http_s3_cache_source_failed(ngx_http_s3_cache_ctx_t *ctx,
    uint32_t reason);
static ngx_int_t ngx_http_s3_cache_window(ngx_http_s3_cache_ctx_t *ctx,
    s3c_ram_pin_t *pin, uint64_t off, uint64_t len, size_t *covered);
static void ngx_http_s3_cache_write_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_s3_cache_yield(ngx_http_s3_cache_ctx_t *ctx);
static void ngx_http_s3_cache_sent(ngx_http_s3_cache_ctx_t *ctx,
    size_t bytes);


/* Step. */

ngx_int_t
ngx_http_s3_cache_send_body(ngx_http_s3_cache_ctx_t *ctx)
{
    size_t               covered;
    uint64_t             off, end, len;
    ngx_int_t            rc;
    ngx_uint_t           windows;
    s3c_ram_pin_t       *pin;
    s3c_fill_view_t      fill;
    ngx_http_request_t  *r;

    r = ctx->request;
    windows = 0;

    for ( ;; ) {

        if (ngx_http_s3_cache_source(ctx, &pin, &off, &end) != NGX_OK) {
            return ngx_http_s3_cache_source_failed(ctx,
                                               NGX_HTTP_S3_CACHE_FILL_ROOM);
        }

        s3c_ram_view(ctx->zone->ram, pin, &fill);

        if (fill.phase == S3C_FILL_FAILED) {
            return ngx_http_s3_cache_source_failed(ctx, fill.reason);
        }

        if (fill.phase == S3C_FILL_ASKING || fill.filled <= off) {

            if (ngx_http_s3_cache_wait(ctx, pin, &fill,
                                       ngx_http_s3_cache_send_body)
                == S3C_EXISTS)
            {
                continue;
            }

            return ngx_http_s3_cache_hold(ctx);
        }

        if (!ctx->sending) {
            rc = ngx_http_s3_cache_send_head(ctx);

            if (rc != NGX_OK || r->header_only) {
                ngx_http_s3_cache_release(ctx);
                return rc;
            }
        }

        len = ngx_min(fill.filled, end) - off;

        if (ngx_http_s3_cache_window(ctx, pin, off, len, &covered) != NGX_OK) {
            return NGX_ERROR;
        }

        rc = ngx_http_output_filter(r, &ctx->links[0].chain);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        ngx_http_s3_cache_sent(ctx, covered);

        if (ctx->pos > ctx->reply.last) {

            if (rc == NGX_OK && !r->buffered && !r->connection->buffered
                && ngx_http_s3_cache_drained(&ctx->links[0].chain))
            {
                ngx_http_s3_cache_release(ctx);
            }

            return rc;
        }

        if (!ngx_http_s3_cache_drained(&ctx->links[0].chain)) {
            return ngx_http_s3_cache_await_write(ctx,
                                            ngx_http_s3_cache_write_handler);
        }

        if (++windows == TURN) {
            return ngx_http_s3_cache_yield(ctx);
        }
    }
}


static ngx_int_t
ngx_http_s3_cache_source_failed(ngx_http_s3_cache_ctx_t *ctx,
    uint32_t reason)
{
    if (!ctx->sending) {
        return ngx_http_s3_cache_fill_ended(ctx, reason);
    }

    if (reason == NGX_HTTP_S3_CACHE_FILL_CHANGED) {
        /* bytes of two versions never meet: the client sees a cut body */
        ngx_log_error(NGX_LOG_WARN, ctx->request->connection->log, 0,
                      "s3_cache: the object changed while it was being sent");
        return NGX_ERROR;
    }

    if (reason == NGX_HTTP_S3_CACHE_FILL_FLASH && !ctx->flash_off) {
        /* the same bytes from the origin */
        ctx->flash_off = 1;
        s3c_ram_unpin(ctx->zone->ram, &ctx->block_pin);
        return ngx_http_s3_cache_send_body(ctx);
    }

    if (!(ctx->view.flags & S3C_RECORD_INLINE) && !ctx->retried
        && reason != NGX_HTTP_S3_CACHE_FILL_ROOM
        && reason != NGX_HTTP_S3_CACHE_FILL_PASS)
    {
        ctx->retried = 1;
        s3c_ram_unpin(ctx->zone->ram, &ctx->block_pin);
        return ngx_http_s3_cache_send_body(ctx);
    }

    return ngx_http_s3_cache_pass_rest(ctx);
}


/* ctx->links: buffers over at most a window of [off, off + len) of an entry. */

static ngx_int_t
ngx_http_s3_cache_window(ngx_http_s3_cache_ctx_t *ctx, s3c_ram_pin_t *pin,
    uint64_t off, uint64_t len, size_t *covered)
{
    int                  i, n;
    ngx_buf_t           *b;
    struct iovec         iov[SPANS];
    ngx_http_request_t  *r;

    r = ctx->request;
    n = SPANS;

    *covered = s3c_ram_span(ctx->zone->ram, pin, off,
                            ngx_min(len, NGX_HTTP_S3_CACHE_WINDOW), iov, &n);

    if (*covered == 0) {
        return NGX_ERROR;
    }

    /* the window before has gone to the socket: its buffers are free */

    if (ctx->links == NULL || ctx->nlinks < (ngx_uint_t) n) {
        ctx->nlinks = (ctx->pos + *covered > ctx->reply.last) ? n : SPANS;
        ctx->links = ngx_palloc(r->pool,
                             ctx->nlinks * sizeof(ngx_http_s3_cache_span_t));
        if (ctx->links == NULL) {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < n; i++) {

        b = &ctx->links[i].buf;
        ngx_memzero(b, sizeof(ngx_buf_t));

        b->memory = 1;
        b->start = iov[i].iov_base;
        b->pos = b->start;
        b->end = b->start + iov[i].iov_len;
        b->last = b->end;
        b->tag = (ngx_buf_tag_t) &ngx_http_s3_cache_module;

        ctx->links[i].chain.buf = b;
        ctx->links[i].chain.next = &ctx->links[i + 1].chain;
    }

    b = &ctx->links[n - 1].buf;
    b->flush = 1;

    if (ctx->pos + *covered > ctx->reply.last) {
        b->last_buf = (r == r->main) ? 1 : 0;
        b->last_in_chain = 1;
    }

    ctx->links[n - 1].chain.next = NULL;

    return NGX_OK;
}


static void
ngx_http_s3_cache_sent(ngx_http_s3_cache_ctx_t *ctx, size_t bytes)
{
    s3c_stats_t  *stats;

    stats = &ctx->zone->stats;

    ctx->pos += bytes;

    s3c_stats_add(stats,
                  ctx->peered ? S3C_STAT_SENT_PEER
                  : ctx->led ? S3C_STAT_SENT_ORIGIN
                  : ctx->tier == NGX_HTTP_S3_CACHE_TIER_FLASH
                    ? S3C_STAT_SENT_FLASH
                  : ctx->tier == NGX_HTTP_S3_CACHE_TIER_MIRROR
                    ? S3C_STAT_SENT_MIRROR
                  : S3C_STAT_SENT_RAM,
                  bytes);
    s3c_stats_bucket_add(stats, ctx->bucket,
                         ctx->led ? S3C_BSTAT_MISS_BYTES : S3C_BSTAT_HIT_BYTES,
                         bytes);
}


/* The socket would take more: go on in the next turn of the event loop. */

static ngx_int_t
ngx_http_s3_cache_yield(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_event_t               *wev;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = ctx->request;
    wev = r->connection->write;

    if (ngx_http_s3_cache_hold(ctx) != NGX_DONE) {
        return NGX_ERROR;
    }

    r->write_event_handler = ngx_http_s3_cache_write_handler;

    /* a worker that leaves waits for timers, not for posted events */

    if (!wev->timer_set) {
        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
        ngx_add_timer(wev, clcf->send_timeout);
    }

    ngx_post_event(wev, &ngx_posted_next_events);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_s3_cache_send_more(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = ngx_http_s3_cache_flush(ctx, &ctx->links[0].chain,
                                 ngx_http_s3_cache_write_handler);

    return (rc == NGX_OK) ? ngx_http_s3_cache_send_body(ctx) : rc;
}


static void
ngx_http_s3_cache_write_handler(ngx_http_request_t *r)
{
    ngx_http_s3_cache_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_s3_cache_module);

    ngx_http_s3_cache_run(ctx, ngx_http_s3_cache_send_more);
}
