/* SPDX-License-Identifier: Apache-2.0
 *
 * A question of another node, answered from memory, flash, or the fill that
 * this node leads: never from a third node, so that no question goes in
 * circles. The answering end of links.
 *
 *   LOOK   in lookup.c or block.c; the front of its ctx is here
 *   META   the record's head is sent
 *   BODY   the bytes, as they come
 *   END    how it went
 */

#include "ngx_http_s3_cache_flash.h"
#include "ngx_http_s3_cache_peer.h"


#define HELD_MAX    256        /* structures kept for the next questions */
#define SPANS_MAX   16
#define LATE_MSEC   200
#define FRAME_HEAD  sizeof(s3c_wire_frame_rec_t)


typedef enum {
    SERVE_LOOK = 0,
    SERVE_META,
    SERVE_BODY,
    SERVE_END
} serve_state_e;


typedef struct serve_s  serve_t;

struct serve_s {
    ngx_http_s3_cache_stream_t  stream;        /* first */
    ngx_http_s3_cache_ctx_t     ctx;
    serve_t                    *next;          /* of those kept */
    ngx_pool_t                 *pool;          /* NULL: nothing was kept */
    serve_state_e               state;
    uint8_t                     what;          /* s3c_wire_what_t */
    uint16_t                    code;
    uint32_t                    flags;         /* of META */
    uint32_t                    window;
    uint32_t                    head_off;      /* of META, sent so far */
    uint64_t                    age_ms;        /* in META, the same in all */
    uint64_t                    left_ms;       /* of its parts */
    uint64_t                    first;
    uint64_t                    bytes;         /* 0: no body */
    uint64_t                    generation;    /* of a BLOCK */
    ngx_msec_t                  since;
    unsigned                    starved:1;     /* without a window, since then */
    unsigned                    late:1;        /* it has waited long enough */
    ngx_event_t                 wait;          /* for what another node sends */
};


static ngx_int_t serve_pull(ngx_http_s3_cache_stream_t *stream,
    s3c_writer_t *w);
static ngx_int_t serve_frame(ngx_http_s3_cache_link_t *link,
    ngx_http_s3_cache_stream_t *stream, const s3c_wire_frame_t *f);
static void serve_idle(ngx_http_s3_cache_link_t *link);
static void serve_tick(ngx_http_s3_cache_link_t *link);
static void serve_gone(ngx_http_s3_cache_link_t *link,
    ngx_http_s3_cache_stream_t *stream);
static ngx_int_t serve_begin(ngx_http_s3_cache_link_t *link, uint32_t id,
    const s3c_wire_ask_t *ask);
static ngx_int_t serve_object(serve_t *s, const s3c_wire_ask_t *ask);
static ngx_int_t serve_block(serve_t *s, const s3c_wire_ask_t *ask);
static ngx_int_t serve_keep(serve_t *s);
static void serve_copy(u_char **p, s3c_slice_t *slice);
static void serve_is_late(ngx_event_t *ev);
static void serve_end(serve_t *s, ngx_uint_t code);
static void serve_free(serve_t *s);
static ngx_uint_t serve_again(serve_t *s, uint32_t reason);
static uint32_t serve_had(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t serve_wait(serve_t *s);
static ngx_int_t serve_meta(serve_t *s, s3c_writer_t *w);
static ngx_int_t serve_body(serve_t *s, s3c_writer_t *w);
static ngx_int_t serve_more(ngx_http_s3_cache_ctx_t *ctx);

static ngx_int_t serve_hold(ngx_http_s3_cache_ctx_t *ctx);
static void serve_run(ngx_http_s3_cache_ctx_t *ctx,
    ngx_int_t (*step)(ngx_http_s3_cache_ctx_t *));
static ngx_int_t serve_reply(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t serve_pass(ngx_http_s3_cache_ctx_t *ctx, const char *reason);
static ngx_int_t serve_error(ngx_http_s3_cache_ctx_t *ctx,
    s3c_s3_error_t error, const char *message);


const ngx_http_s3_cache_link_role_t  ngx_http_s3_cache_answerer = {
    NULL,
    serve_pull,
    serve_frame,
    serve_idle,
    serve_tick,
    serve_gone,
    ngx_http_s3_cache_peer_closed
};

static const ngx_http_s3_cache_front_t  serve_front = {
    serve_hold,
    serve_run,
    serve_reply,
    serve_pass,
    serve_error
};

static ngx_http_s3_cache_target_t  scratch;    /* of the question at hand */
static serve_t                    *held;
static ngx_uint_t                  nheld;


static ngx_inline serve_t *
serve_of(ngx_http_s3_cache_ctx_t *ctx)
{
    return (serve_t *) ((u_char *) ctx - offsetof(serve_t, ctx));
}


/* --- as the link calls it ---------------------------------------------------- */

static ngx_int_t
serve_frame(ngx_http_s3_cache_link_t *link, ngx_http_s3_cache_stream_t *stream,
    const s3c_wire_frame_t *f)
{
    serve_t                         *s;
    ngx_http_s3_cache_peer_conn_t   *end;

    s = (serve_t *) stream;
    end = link->data;

    switch (f->type) {

    case S3C_WIRE_ASK:
        /* ever new numbers, so that nobody's CANCEL can mean another's */

        if (!(f->stream & 1) || f->stream <= end->stream) {
            return NGX_ERROR;
        }

        end->stream = f->stream;

        if (link->nstreams >= NGX_HTTP_S3_CACHE_LINK_STREAMS_MAX) {
            return NGX_ERROR;
        }

        return serve_begin(link, f->stream, &f->ask);

    case S3C_WIRE_CANCEL:
        if (s != NULL) {
            ngx_http_s3_cache_link_remove(stream);
            serve_free(s);
        }

        return NGX_OK;

    case S3C_WIRE_WINDOW:
        if (s != NULL) {

            if (f->window > UINT32_MAX - s->window) {
                return NGX_ERROR;
            }

            s->window += f->window;
            s->starved = 0;
            ngx_http_s3_cache_link_ready(stream);
        }

        return NGX_OK;

    default:
        return NGX_ERROR;
    }
}


static void
serve_idle(ngx_http_s3_cache_link_t *link)
{
}


/* Who asks and takes nothing would hold memory as long as it likes. */

static void
serve_tick(ngx_http_s3_cache_link_t *link)
{
    serve_t            *s;
    ngx_rbtree_node_t  *node, *next;

    if (link->nstreams == 0) {
        return;
    }

    for (node = ngx_rbtree_min(link->streams.root, &link->sentinel);
         node != NULL;
         node = next)
    {
        next = ngx_rbtree_next(&link->streams, node);
        s = (serve_t *) ngx_rbtree_data(node, ngx_http_s3_cache_stream_t,
                                        node);

        if (s->starved && s->state == SERVE_BODY
            && ngx_current_msec - s->since >= link->timeout)
        {
            serve_end(s, NGX_HTTP_S3_CACHE_FILL_ELSEWHERE);
        }
    }
}


static void
serve_gone(ngx_http_s3_cache_link_t *link, ngx_http_s3_cache_stream_t *stream)
{
    serve_free((serve_t *) stream);
}


static ngx_int_t
serve_pull(ngx_http_s3_cache_stream_t *stream, s3c_writer_t *w)
{
    serve_t *s = (serve_t *) stream;

    ngx_int_t         rc;
    s3c_wire_frame_t  f;

    rc = NGX_DONE;

    if (s->state == SERVE_META) {
        rc = serve_meta(s, w);

    } else if (s->state == SERVE_BODY) {
        rc = serve_body(s, w);
    }

    if (s->state != SERVE_END || rc == NGX_DECLINED) {
        return rc;
    }

    ngx_memzero(&f, sizeof(s3c_wire_frame_t));
    f.type = S3C_WIRE_END;
    f.stream = (uint32_t) stream->node.key;
    f.code = s->code;

    if (s3c_wire_frame_encode(w, &f) != S3C_OK) {
        return NGX_DECLINED;
    }

    ngx_http_s3_cache_link_remove(stream);
    serve_free(s);

    return NGX_ABORT;
}


/* --- a question ---------------------------------------------------------------- */

static ngx_int_t
serve_begin(ngx_http_s3_cache_link_t *link, uint32_t id,
    const s3c_wire_ask_t *ask)
{
    serve_t                         *s;
    ngx_int_t                        rc;
    ngx_http_s3_cache_ctx_t         *ctx;
    ngx_http_s3_cache_peer_conn_t   *end;

    end = link->data;
    s = held;

    if (s != NULL) {
        held = s->next;
        nheld--;

    } else {
        s = ngx_alloc(sizeof(serve_t), link->connection->log);
        if (s == NULL) {
            return NGX_ERROR;
        }
    }

    ngx_memzero(s, sizeof(serve_t));
    ngx_http_s3_cache_link_add(link, &s->stream, id);

    s->what = ask->what;
    s->window = ask->window;

    ctx = &s->ctx;
    ctx->front = &serve_front;
    ctx->log = link->connection->log;
    ctx->zone = end->peers->zone;
    ctx->conf = ngx_http_s3_cache_peer_location(end->peers, ask->location);
    ctx->served = 1;
    ctx->truth = (ask->flags & S3C_WIRE_TRUTH) ? 1 : 0;
    ctx->kept = (ask->flags & S3C_WIRE_KEPT) ? 1 : 0;
    ctx->first = (ask->flags & S3C_WIRE_FIRST) ? 1 : 0;
    ctx->head = (ask->what == S3C_WIRE_HEAD);

    if (ctx->conf == NULL || ctx->zone->ram == NULL || ctx->zone->apart
        || !ngx_http_s3_cache_view_ready(end->peers))
    {
        /* other settings, no memory, or too early */
        serve_end(s, NGX_HTTP_S3_CACHE_FILL_ELSEWHERE);
        return NGX_OK;
    }

    ctx->ask.checksum_mode = (ask->flags & S3C_WIRE_FULL) != 0;

    ngx_memzero(&scratch.op, sizeof(s3c_s3_operation_t));
    scratch.op.kind = S3C_OP_GET_OBJECT;
    scratch.op.head = ctx->head;
    scratch.op.version_id = ask->version_id;
    scratch.addr.bucket = ask->bucket;
    scratch.addr.key = ask->key;

    if (s3c_ident_make(&scratch.ident, ctx->conf->identity, ask->bucket,
                       ask->key, ask->version_id)
        != S3C_OK)
    {
        serve_end(s, NGX_HTTP_S3_CACHE_FILL_PASS);
        return NGX_OK;
    }

    s3c_stats_add(&ctx->zone->stats, S3C_STAT_PEER_SERVED, 1);
    s3c_stats_node_add(ngx_http_s3_cache_node_counts(end->peers, &end->node,
                                                     &end->counts),
                       S3C_NODE_STAT_SERVED, 1);

    ctx->target = &scratch;
    ctx->object = s3c_key_object(ctx->zone->secret, &scratch.ident);

    rc = (ask->what == S3C_WIRE_BLOCK) ? serve_block(s, ask)
                                       : serve_object(s, ask);

    if (rc != NGX_DONE) {
        serve_end(s, NGX_HTTP_S3_CACHE_FILL_ROOM);
    }

    if (ctx->target == &scratch && serve_keep(s) != NGX_OK) {
        serve_end(s, NGX_HTTP_S3_CACHE_FILL_ROOM);
    }

    return NGX_OK;
}


static ngx_int_t
serve_object(serve_t *s, const s3c_wire_ask_t *ask)
{
    ngx_http_s3_cache_ctx_t  *ctx;

    ctx = &s->ctx;
    s->first = UINT64_MAX;

    if (ask->block == UINT64_MAX) {
        /* a record is wanted, and the body if it has it */
        ctx->ask.range.kind = S3C_RANGE_SUFFIX;
        ctx->ask.range.suffix = 1;

    } else if (ask->block < UINT64_MAX / ctx->conf->block_size - 1) {
        s->first = ask->block * ctx->conf->block_size;

        if (ask->block > 0) {
            ctx->ask.range.kind = S3C_RANGE_FROM_TO;
            ctx->ask.range.first = s->first;
            ctx->ask.range.last = s->first + ctx->conf->block_size - 1;
        }
    }

    return ngx_http_s3_cache_lookup(ctx);
}


/* Of an object whose record another node has: what is needed of that, it says.
 * Whether it is still so the origin will tell, if it has to be asked. */

static ngx_int_t
serve_block(serve_t *s, const s3c_wire_ask_t *ask)
{
    uint64_t                  block_size;
    ngx_http_s3_cache_ctx_t  *ctx;

    ctx = &s->ctx;
    block_size = ctx->conf->block_size;

    if (ask->total == 0 || ask->block > (ask->total - 1) / block_size) {
        return NGX_ERROR;
    }

    ctx->view.generation = ask->generation;
    ctx->view.total = ask->total;
    ctx->view.last_modified = ask->last_modified;
    ctx->view.etag = ask->etag;

    s->first = ask->block * block_size;
    s->bytes = ngx_min(block_size, ask->total - s->first);

    if (ask->total <= block_size) {
        /* it may be here in one piece, with its record */
        s->generation = ask->generation;
        return ngx_http_s3_cache_lookup(ctx);
    }

    ctx->pos = s->first;
    ctx->reply.last = s->first + s->bytes - 1;

    s->state = SERVE_META;
    ngx_http_s3_cache_link_ready(&s->stream);

    return NGX_DONE;
}


/* The question's bytes go with the link's buffer: what is still needed of them
 * when this turn is over is copied. */

static ngx_int_t
serve_keep(serve_t *s)
{
    size_t                       len;
    u_char                      *p;
    ngx_http_s3_cache_ctx_t     *ctx;
    ngx_http_s3_cache_target_t  *target;

    ctx = &s->ctx;

    if (s->state == SERVE_END
        || (s->state == SERVE_META && (ctx->view.flags & S3C_RECORD_INLINE)))
    {
        /* all that it needs is pinned */
        ctx->target = NULL;
        return NGX_OK;
    }

    len = sizeof(ngx_http_s3_cache_target_t) + scratch.addr.bucket.len
          + scratch.addr.key.len + scratch.op.version_id.len
          + ctx->view.etag.len;

    s->pool = ngx_create_pool(len + 256, ctx->log);
    if (s->pool == NULL) {
        return NGX_ERROR;
    }

    target = ngx_palloc(s->pool, len);
    if (target == NULL) {
        return NGX_ERROR;
    }

    *target = scratch;
    p = (u_char *) &target[1];

    serve_copy(&p, &target->addr.bucket);
    serve_copy(&p, &target->addr.key);
    serve_copy(&p, &target->op.version_id);

    if (s->what == S3C_WIRE_BLOCK) {
        serve_copy(&p, &ctx->view.etag);
    }

    ctx->target = target;

    return NGX_OK;
}


static void
serve_copy(u_char **p, s3c_slice_t *slice)
{
    u_char  *to;

    to = *p;
    *p = ngx_cpymem(to, slice->data, slice->len);
    slice->data = to;
}


/* Two nodes may wait for each other here, so none does for long. */

ngx_uint_t
ngx_http_s3_cache_serve_late(ngx_http_s3_cache_ctx_t *ctx)
{
    serve_t *s = serve_of(ctx);

    if (!s->late && !s->wait.timer_set) {
        s->wait.handler = serve_is_late;
        s->wait.data = s;
        s->wait.log = ctx->log;
        ngx_add_timer(&s->wait, LATE_MSEC);
    }

    return s->late;
}


static void
serve_is_late(ngx_event_t *ev)
{
    serve_t *s = ev->data;

    ngx_http_s3_cache_ctx_t  *ctx;

    ctx = &s->ctx;
    s->late = 1;

    if (s->state == SERVE_END) {
        return;
    }

    /* it looks again, and sees that it is late; or it has moved on */

    ngx_http_s3_cache_unwatch(&ctx->watch);

    if (s->state == SERVE_LOOK) {
        ctx->front->run(ctx, ctx->resume);
        return;
    }

    ngx_http_s3_cache_link_ready(&s->stream);
}


static void
serve_end(serve_t *s, ngx_uint_t code)
{
    if (s->wait.timer_set) {
        ngx_del_timer(&s->wait);
    }

    s->state = SERVE_END;
    s->code = code;
    ngx_http_s3_cache_release(&s->ctx);
    ngx_http_s3_cache_link_ready(&s->stream);
}


static void
serve_free(serve_t *s)
{
    if (s->wait.timer_set) {
        ngx_del_timer(&s->wait);
    }

    ngx_http_s3_cache_release(&s->ctx);

    if (s->pool != NULL) {
        ngx_destroy_pool(s->pool);
    }

    if (nheld == HELD_MAX) {
        ngx_free(s);
        return;
    }

    s->next = held;
    held = s;
    nheld++;
}


void
ngx_http_s3_cache_serve_exit(void)
{
    serve_t  *s;

    while (held != NULL) {
        s = held;
        held = s->next;
        ngx_free(s);
    }

    nheld = 0;
}


/* --- the front ----------------------------------------------------------------- */

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
        serve_end(serve_of(ctx), NGX_HTTP_S3_CACHE_FILL_ROOM);
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
        serve_end(s, NGX_HTTP_S3_CACHE_FILL_CHANGED);
        return NGX_DONE;
    }

    if (s->what != S3C_WIRE_BLOCK) {
        s->bytes = 0;
    }

    if (s->what == S3C_WIRE_OBJECT) {

        if (ctx->view.flags & S3C_RECORD_INLINE) {
            s->first = 0;
            s->bytes = total;

        } else if (s->first < total && !ctx->kept
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
    ngx_http_s3_cache_link_ready(&s->stream);

    return NGX_DONE;
}


/* Was it here, and where? */

static uint32_t
serve_had(ngx_http_s3_cache_ctx_t *ctx)
{
    return ctx->led || ctx->revalidated ? 0
           : ctx->tier == NGX_HTTP_S3_CACHE_TIER_FLASH ? S3C_WIRE_FLASH
           : ctx->followed ? 0 : S3C_WIRE_RAM;
}


static ngx_int_t
serve_pass(ngx_http_s3_cache_ctx_t *ctx, const char *reason)
{
    serve_end(serve_of(ctx), ctx->elsewhere
                             ? NGX_HTTP_S3_CACHE_FILL_ELSEWHERE
                             : NGX_HTTP_S3_CACHE_FILL_PASS);

    return NGX_DONE;
}


static ngx_int_t
serve_error(ngx_http_s3_cache_ctx_t *ctx, s3c_s3_error_t error,
    const char *message)
{
    serve_end(serve_of(ctx), error == S3C_ERR_GATEWAY_TIMEOUT
                             ? NGX_HTTP_S3_CACHE_FILL_TIMEOUT
                             : NGX_HTTP_S3_CACHE_FILL_UNREACHABLE);

    return NGX_DONE;
}


/* --- the answer ----------------------------------------------------------------- */

/* A fill failed: may another one bring the block? */

static ngx_uint_t
serve_again(serve_t *s, uint32_t reason)
{
    ngx_http_s3_cache_ctx_t  *ctx;

    ctx = &s->ctx;

    if (!s3c_ram_pinned(&ctx->block_pin)) {
        return 0;
    }

    if (reason == NGX_HTTP_S3_CACHE_FILL_FLASH && !ctx->flash_off) {
        ctx->flash_off = 1;

    } else if (reason == S3C_FILL_REASON_DIED && !ctx->retried) {
        ctx->retried = 1;

    } else {
        return 0;
    }

    s3c_ram_unpin(ctx->zone->ram, &ctx->block_pin);

    return 1;
}


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

        if (ngx_http_s3_cache_source(ctx, &pin, &off, &end) != NGX_OK) {
            serve_end(s, ctx->kept ? NGX_HTTP_S3_CACHE_FILL_ELSEWHERE
                                   : NGX_HTTP_S3_CACHE_FILL_ROOM);
            return NGX_OK;
        }

        s3c_ram_view(ctx->zone->ram, pin, &fill);

        if (fill.phase == S3C_FILL_FAILED) {

            if (serve_again(s, fill.reason)) {
                continue;
            }

            serve_end(s, fill.reason & 0xff);
            return NGX_OK;
        }

        if (fill.mark == NGX_HTTP_S3_CACHE_MARK_PEER
            && ngx_http_s3_cache_serve_late(ctx))
        {
            serve_end(s, NGX_HTTP_S3_CACHE_FILL_ELSEWHERE);
            return NGX_OK;
        }

        if (fill.phase != S3C_FILL_ASKING) {
            return NGX_OK;
        }

        if (ngx_http_s3_cache_wait(ctx, pin, &fill, serve_more)
            != S3C_EXISTS)
        {
            return NGX_DONE;
        }
    }
}


static ngx_int_t
serve_meta(serve_t *s, s3c_writer_t *w)
{
    ngx_int_t                 rc;
    uint64_t                  now, validated, expires;
    s3c_wire_frame_t          f;
    ngx_http_s3_cache_ctx_t  *ctx;

    ctx = &s->ctx;

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

        f.meta.flags = serve_had(ctx);

    } else {
        now = ngx_http_s3_cache_now();
        validated = atomic_load_explicit(&ctx->view.rec->validated_ms,
                                         memory_order_relaxed);
        expires = atomic_load_explicit(&ctx->view.rec->expires_ms,
                                       memory_order_relaxed);

        if (s->head_off == 0) {
            s->age_ms = now - ngx_min(now, validated);
            s->left_ms = (expires == UINT64_MAX) ? UINT64_MAX
                         : expires - ngx_min(now, expires);
        }

        f.meta.age_ms = s->age_ms;
        f.meta.left_ms = s->left_ms;

        f.meta.head_bytes = ctx->view.head_bytes;
        f.meta.head_off = s->head_off;
        f.meta.head_part = s3c_slice((u_char *) ctx->view.rec + s->head_off,
                                     ngx_min(ctx->view.head_bytes
                                             - s->head_off,
                                             S3C_WIRE_DATA_MAX));
    }

    if (s3c_writer_room(w) < FRAME_HEAD + sizeof(s3c_wire_meta_rec_t)
                             + f.meta.head_part.len)
    {
        return NGX_DECLINED;
    }

    if (s3c_wire_frame_encode(w, &f) != S3C_OK) {
        serve_end(s, NGX_HTTP_S3_CACHE_FILL_PASS);
        return NGX_OK;
    }

    s3c_write_slice(w, s3c_wire_frame_tail(&f));
    s->head_off += f.meta.head_part.len;

    if (s3c_wire_meta_last(&f.meta)) {
        s->state = SERVE_BODY;

        if (s->bytes == 0) {
            serve_end(s, NGX_HTTP_S3_CACHE_ASK_COMPLETE);
        }
    }

    return NGX_OK;
}


static ngx_int_t
serve_body(serve_t *s, s3c_writer_t *w)
{
    int                       i, n;
    size_t                    room, left;
    uint64_t                  off, end;
    struct iovec              spans[SPANS_MAX];
    s3c_ram_pin_t            *pin;
    s3c_fill_view_t           fill;
    s3c_wire_frame_t          f;
    ngx_http_s3_cache_ctx_t  *ctx;
    ngx_http_s3_cache_peer_conn_t  *conn;

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
            serve_end(s, NGX_HTTP_S3_CACHE_FILL_ROOM);
            return NGX_OK;
        }

        s3c_ram_view(ctx->zone->ram, pin, &fill);

        if (fill.phase == S3C_FILL_FAILED) {

            if (serve_again(s, fill.reason)) {
                continue;
            }

            serve_end(s, fill.reason & 0xff);
            return NGX_OK;
        }

        if (fill.phase != S3C_FILL_ASKING && fill.filled > off) {
            break;
        }

        if (fill.mark == NGX_HTTP_S3_CACHE_MARK_PEER
            && ngx_http_s3_cache_serve_late(ctx))
        {
            serve_end(s, NGX_HTTP_S3_CACHE_FILL_ELSEWHERE);
            return NGX_OK;
        }

        if (ngx_http_s3_cache_wait(ctx, pin, &fill, serve_more)
            != S3C_EXISTS)
        {
            return NGX_DONE;
        }
    }

    left = ngx_min(ngx_min(fill.filled, end) - off,
                   ngx_min(ngx_min(room, S3C_WIRE_DATA_MAX), s->window));

    n = SPANS_MAX;
    left = s3c_ram_span(ctx->zone->ram, pin, off, left, spans, &n);

    if (left == 0) {
        serve_end(s, NGX_HTTP_S3_CACHE_FILL_BROKEN);
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
        serve_end(s, NGX_HTTP_S3_CACHE_ASK_COMPLETE);
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
