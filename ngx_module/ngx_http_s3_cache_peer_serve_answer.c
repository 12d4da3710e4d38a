/* SPDX-License-Identifier: Apache-2.0
 *
 * The answer to a question of another node: the front of its ctx, which is told
 * what has been found, and the frames that say it.
 */

#include "ngx_http_s3_cache_peer_serve_internal.h"
#include "ngx_http_s3_cache_history.h"
#include "stats/stats_summary.h"
#include "ngx_http_s3_cache_flash.h"
#include "ngx_http_s3_cache_verify.h"
#include "ngx_http_s3_cache_warm.h"


#define SPANS_MAX   16
#define FRAME_HEAD  sizeof(s3c_wire_frame_rec_t)


static uint32_t serve_had(ngx_http_s3_cache_ctx_t *ctx);
static void serve_verify(serve_t *s, uint32_t had);
static ngx_int_t serve_wait(serve_t *s);
static void serve_meta_record(serve_t *s, s3c_wire_meta_t *meta);
static ngx_int_t serve_data(serve_t *s, s3c_writer_t *w, s3c_ram_pin_t *pin,
    uint64_t off, size_t left);
static ngx_int_t serve_more(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t serve_hold(ngx_http_s3_cache_ctx_t *ctx);
static void serve_run(ngx_http_s3_cache_ctx_t *ctx,
    ngx_int_t (*step)(ngx_http_s3_cache_ctx_t *));
static ngx_int_t serve_reply(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t serve_pass(ngx_http_s3_cache_ctx_t *ctx, const char *reason);
static ngx_int_t serve_error(ngx_http_s3_cache_ctx_t *ctx,
    s3c_s3_error_t error, const char *message);


const ngx_http_s3_cache_front_t  ngx_http_s3_cache_serve_front = {
    serve_hold,
    serve_run,
    serve_reply,
    serve_pass,
    serve_error
};


/* --- the front ----------------------------------------------------------- */

static ngx_int_t
serve_hold(ngx_http_s3_cache_ctx_t *ctx)
{
    return NGX_DONE;
}


static void
serve_run(ngx_http_s3_cache_ctx_t *ctx,
    ngx_int_t (*step)(ngx_http_s3_cache_ctx_t *))
{
    if (step(ctx) != NGX_DONE) {
        ngx_http_s3_cache_serve_end(serve_of(ctx), NGX_HTTP_S3_CACHE_FILL_ROOM);
    }
}


/* The record may be used: its head goes out, and what of its body was asked
 * for. */

static ngx_int_t
serve_reply(ngx_http_s3_cache_ctx_t *ctx)
{
    serve_t *s = serve_of(ctx);

    uint64_t  total;

    total = ctx->view.total;

    if (s->what == S3C_WIRE_BLOCK
        && ((ctx->view.flags & (S3C_RECORD_ERROR | S3C_RECORD_NOBODY))
            || ctx->view.generation != s->generation || total != s->bytes))
    {
        ngx_http_s3_cache_serve_end(s, NGX_HTTP_S3_CACHE_FILL_CHANGED);
        return NGX_DONE;
    }

    if (s->what != S3C_WIRE_BLOCK) {
        s->bytes = 0;
    }

    if (s->what == S3C_WIRE_OBJECT) {

        if (ctx->view.flags & S3C_RECORD_INLINE) {
            s->first = 0;
            s->bytes = total;

        } else if (s->first < total && (!ctx->kept || ctx->warm)
                   && !(ctx->view.flags & S3C_RECORD_NOBODY))
        {
            s->bytes = ngx_min(ctx->conf->block_size, total - s->first);
        }
    }

    if (s->bytes == 0) {
        s->first = 0;

    } else {
        ctx->pos = s->first;
        ctx->reply.last = s->first + s->bytes - 1;
    }

    s->state = SERVE_META;
    s->flags = serve_had(ctx);
    serve_verify(s, s->flags);
    ngx_http_s3_cache_link_ready(&s->stream);

    return NGX_DONE;
}


/* Was it here, and where? Who warms up asks what was fetched for it. */

static uint32_t
serve_had(ngx_http_s3_cache_ctx_t *ctx)
{
    return ctx->led || (ctx->revalidated && !ctx->warm) ? 0
           : ctx->tier == NGX_HTTP_S3_CACHE_TIER_FLASH ? S3C_WIRE_FLASH
           : ctx->followed && !(ctx->revalidated && ctx->warm) ? 0
           : S3C_WIRE_RAM;
}


/* What another node gets of it is verified here. */

static void
serve_verify(serve_t *s, uint32_t had)
{
    if (s->ctx.conf->verify != 0 && had != 0 && s->bytes > 0
        && s->ctx.target != NULL)
    {
        s->ctx.tier = (had & S3C_WIRE_FLASH) ? NGX_HTTP_S3_CACHE_TIER_FLASH
                                             : NGX_HTTP_S3_CACHE_TIER_RAM;
        ngx_http_s3_cache_verify_draw(&s->ctx, s->first,
                                      s->first + s->bytes - 1, NULL);
    }
}


static ngx_int_t
serve_pass(ngx_http_s3_cache_ctx_t *ctx, const char *reason)
{
    ngx_http_s3_cache_serve_end(serve_of(ctx),
                                ctx->elsewhere
                                ? NGX_HTTP_S3_CACHE_FILL_ELSEWHERE
                                : ctx->warm
                                  && ngx_strcmp(reason, "no_room") == 0
                                ? NGX_HTTP_S3_CACHE_FILL_ROOM
                                : NGX_HTTP_S3_CACHE_FILL_PASS);

    return NGX_DONE;
}


static ngx_int_t
serve_error(ngx_http_s3_cache_ctx_t *ctx, s3c_s3_error_t error,
    const char *message)
{
    ngx_http_s3_cache_serve_end(serve_of(ctx),
                                error == S3C_ERR_GATEWAY_TIMEOUT
                                ? NGX_HTTP_S3_CACHE_FILL_TIMEOUT
                                : NGX_HTTP_S3_CACHE_FILL_UNREACHABLE);

    return NGX_DONE;
}


/* --- the answer ---------------------------------------------------------- */

/* Of a block that is asked for by itself nothing is said before it is known
 * that it comes. */

static ngx_int_t
serve_wait(serve_t *s)
{
    uint64_t                  off, end;
    s3c_ram_pin_t            *pin;
    s3c_fill_view_t           fill;
    ngx_http_s3_cache_ctx_t  *ctx;

    ctx = &s->ctx;

    for ( ;; ) {

        if (ctx->warm && ngx_http_s3_cache_warm_stored(ctx)) {
            return NGX_OK;
        }

        if (ngx_http_s3_cache_source(ctx, &pin, &off, &end) != NGX_OK) {
            ngx_http_s3_cache_serve_end(s,
                                        ctx->kept
                                        ? NGX_HTTP_S3_CACHE_FILL_ELSEWHERE
                                        : NGX_HTTP_S3_CACHE_FILL_ROOM);
            return NGX_OK;
        }

        s3c_ram_view(ctx->zone->ram, pin, &fill);

        if (fill.phase == S3C_FILL_FAILED) {

            if (ngx_http_s3_cache_block_again(ctx, fill.reason)) {
                continue;
            }

            ngx_http_s3_cache_serve_end(s, fill.reason & 0xff);
            return NGX_OK;
        }

        if (fill.mark == NGX_HTTP_S3_CACHE_MARK_PEER
            && ngx_http_s3_cache_serve_late(ctx))
        {
            ngx_http_s3_cache_serve_end(s, NGX_HTTP_S3_CACHE_FILL_ELSEWHERE);
            return NGX_OK;
        }

        if (fill.phase == S3C_FILL_DONE
            || (fill.phase != S3C_FILL_ASKING && !ctx->warm))
        {
            return NGX_OK;
        }

        if (ngx_http_s3_cache_wait(ctx, pin, &fill, serve_more)
            != S3C_EXISTS)
        {
            return NGX_DONE;
        }
    }
}


ngx_int_t
ngx_http_s3_cache_serve_meta(serve_t *s, s3c_writer_t *w)
{
    uint8_t           summary[S3C_SUMMARY_BYTES];
    ngx_int_t         rc;
    s3c_wire_frame_t  f;

    ngx_memzero(&f, sizeof(s3c_wire_frame_t));
    f.type = S3C_WIRE_META;
    f.stream = (uint32_t) s->stream.node.key;
    f.meta.first = s->first;
    f.meta.bytes = s->bytes;
    f.meta.flags = s->flags;

    if (s->what == S3C_WIRE_BLOCK) {
        rc = serve_wait(s);

        if (rc != NGX_OK || s->state == SERVE_END) {
            return rc;
        }

        f.meta.flags = serve_had(&s->ctx);

    } else if (s->what == S3C_WIRE_VOUCH) {
        f.meta.age_ms = s->age_ms;
        f.meta.left_ms = s->left_ms;

    } else if (s->what == S3C_WIRE_SUMMARY) {
        ngx_http_s3_cache_history_summary(s->ctx.zone, summary);
        f.meta.head_bytes = sizeof(summary);
        f.meta.head_part = s3c_slice(summary, sizeof(summary));

    } else {

        if (s->ctx.warm && s->bytes > 0 && s->head_off == 0) {
            /* whole, before anything is said of it */
            rc = serve_wait(s);

            if (rc != NGX_OK || s->state == SERVE_END) {
                return rc;
            }

            s->flags = serve_had(&s->ctx);
            f.meta.flags = s->flags;
        }

        serve_meta_record(s, &f.meta);
    }

    if (s->ctx.warm) {
        f.meta.first = 0;
        f.meta.bytes = 0;
    }

    if (s3c_writer_room(w) < FRAME_HEAD + sizeof(s3c_wire_meta_rec_t)
                             + f.meta.head_part.len)
    {
        return NGX_DECLINED;
    }

    if (s3c_wire_frame_encode(w, &f) != S3C_OK) {
        ngx_http_s3_cache_serve_end(s, NGX_HTTP_S3_CACHE_FILL_PASS);
        return NGX_OK;
    }

    s3c_write_slice(w, s3c_wire_frame_tail(&f));
    s->head_off += f.meta.head_part.len;

    if (s3c_wire_meta_last(&f.meta)) {
        s->state = SERVE_BODY;

        if (s->what == S3C_WIRE_BLOCK && s->ctx.view.rec == NULL) {
            /* once: before there was room this comes again and again */
            serve_verify(s, f.meta.flags);
        }

        if (s->bytes == 0 || s->ctx.warm) {
            ngx_http_s3_cache_serve_end(s, NGX_HTTP_S3_CACHE_ASK_COMPLETE);
        }
    }

    return NGX_OK;
}


/* The next part of the record's head; its times are those of the first. */

static void
serve_meta_record(serve_t *s, s3c_wire_meta_t *meta)
{
    uint64_t                  now, validated, expires;
    ngx_http_s3_cache_ctx_t  *ctx;

    ctx = &s->ctx;

    now = ngx_http_s3_cache_now();
    validated = atomic_load_explicit(&ctx->view.rec->validated_ms,
                                     memory_order_relaxed);
    expires = atomic_load_explicit(&ctx->view.rec->expires_ms,
                                   memory_order_relaxed);

    if (s->head_off == 0) {
        /* as of the question: who asks counts from when he did, too */
        s->age_ms = s->came_ms - ngx_min(s->came_ms, validated);
        s->left_ms = (expires == UINT64_MAX) ? UINT64_MAX
                     : expires - ngx_min(now, expires);
    }

    meta->age_ms = s->age_ms;
    meta->left_ms = s->left_ms;

    meta->head_bytes = ctx->view.head_bytes;
    meta->head_off = s->head_off;
    meta->head_part = s3c_slice((u_char *) ctx->view.rec + s->head_off,
                                ngx_min(ctx->view.head_bytes - s->head_off,
                                        S3C_WIRE_DATA_MAX));
}


ngx_int_t
ngx_http_s3_cache_serve_body(serve_t *s, s3c_writer_t *w)
{
    size_t                    room;
    uint64_t                  off, end;
    s3c_ram_pin_t            *pin;
    s3c_fill_view_t           fill;
    ngx_http_s3_cache_ctx_t  *ctx;

    ctx = &s->ctx;

    if (s->window == 0) {

        if (!s->starved) {
            s->starved = 1;
            s->since = ngx_current_msec;
        }

        return NGX_DONE;
    }

    room = s3c_writer_room(w);

    if (room < FRAME_HEAD + 1024) {
        return NGX_DECLINED;
    }

    room -= FRAME_HEAD;

    for ( ;; ) {

        if (ngx_http_s3_cache_source(ctx, &pin, &off, &end) != NGX_OK) {
            ngx_http_s3_cache_serve_end(s, NGX_HTTP_S3_CACHE_FILL_ROOM);
            return NGX_OK;
        }

        s3c_ram_view(ctx->zone->ram, pin, &fill);

        if (fill.phase == S3C_FILL_FAILED) {

            if (ngx_http_s3_cache_block_again(ctx, fill.reason)) {
                continue;
            }

            ngx_http_s3_cache_serve_end(s, fill.reason & 0xff);
            return NGX_OK;
        }

        if (fill.phase != S3C_FILL_ASKING && fill.filled > off) {
            break;
        }

        if (fill.mark == NGX_HTTP_S3_CACHE_MARK_PEER
            && ngx_http_s3_cache_serve_late(ctx))
        {
            ngx_http_s3_cache_serve_end(s, NGX_HTTP_S3_CACHE_FILL_ELSEWHERE);
            return NGX_OK;
        }

        if (ngx_http_s3_cache_wait(ctx, pin, &fill, serve_more)
            != S3C_EXISTS)
        {
            return NGX_DONE;
        }
    }

    return serve_data(s, w, pin, off,
                      ngx_min(ngx_min(fill.filled, end) - off,
                              ngx_min(ngx_min(room, S3C_WIRE_DATA_MAX),
                                      s->window)));
}


/* So many bytes that are in memory, or fewer. */

static ngx_int_t
serve_data(serve_t *s, s3c_writer_t *w, s3c_ram_pin_t *pin, uint64_t off,
    size_t left)
{
    int                             i, n;
    struct iovec                    spans[SPANS_MAX];
    s3c_wire_frame_t                f;
    ngx_http_s3_cache_ctx_t        *ctx;
    ngx_http_s3_cache_peer_conn_t  *conn;

    ctx = &s->ctx;

    n = SPANS_MAX;
    left = s3c_ram_span(ctx->zone->ram, pin, off, left, spans, &n);

    if (left == 0) {
        ngx_http_s3_cache_serve_end(s, NGX_HTTP_S3_CACHE_FILL_BROKEN);
        return NGX_OK;
    }

    ngx_memzero(&f, sizeof(s3c_wire_frame_t));
    f.type = S3C_WIRE_DATA;
    f.stream = (uint32_t) s->stream.node.key;
    f.data = s3c_slice(ctx, left);             /* its length counts */

    if (s3c_wire_frame_encode(w, &f) != S3C_OK) {
        return NGX_DECLINED;
    }

    s3c_stats_add(&ctx->zone->stats, S3C_STAT_PEER_SENT, left);
    conn = s->stream.link->data;
    s3c_stats_node_add(&conn->counts, S3C_NODE_STAT_SENT, left);

    ctx->pos += left;
    s->window -= left;

    for (i = 0; i < n; i++) {
        s3c_write_bytes(w, spans[i].iov_base, spans[i].iov_len);
    }

    if (ctx->pos > ctx->reply.last) {
        ngx_http_s3_cache_serve_end(s, NGX_HTTP_S3_CACHE_ASK_COMPLETE);
    }

    return NGX_OK;
}


/* Step. */

static ngx_int_t
serve_more(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_http_s3_cache_link_ready(&serve_of(ctx)->stream);

    return NGX_DONE;
}
