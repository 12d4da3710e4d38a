/* SPDX-License-Identifier: Apache-2.0
 *
 * A question of another node, answered from memory, flash, or the fill that
 * this node leads: never from a third node, so that no question goes in
 * circles. The answering end of links.
 *
 *   LOOK   in lookup.c or block.c; begun in peer_serve_ask.c
 *   META   the record's head is sent; this and the next in peer_serve_answer.c
 *   BODY   the bytes, as they come
 *   END    how it went
 */

#include "ngx_http_s3_cache_peer_serve_internal.h"


#define HELD_MAX    256        /* structures kept for the next questions */
#define LATE_MSEC   200


static ngx_int_t serve_pull(ngx_http_s3_cache_stream_t *stream,
    s3c_writer_t *w);
static ngx_int_t serve_frame(ngx_http_s3_cache_link_t *link,
    ngx_http_s3_cache_stream_t *stream, const s3c_wire_frame_t *f);
static void serve_idle(ngx_http_s3_cache_link_t *link);
static void serve_tick(ngx_http_s3_cache_link_t *link);
static void serve_gone(ngx_http_s3_cache_link_t *link,
    ngx_http_s3_cache_stream_t *stream);
static void serve_is_late(ngx_event_t *ev);
static void serve_free(serve_t *s);


const ngx_http_s3_cache_link_role_t  ngx_http_s3_cache_answerer = {
    NULL,
    serve_pull,
    serve_frame,
    serve_idle,
    serve_tick,
    serve_gone,
    ngx_http_s3_cache_peer_closed
};

static serve_t                    *held;
static ngx_uint_t                  nheld;


/* --- as the link calls it ------------------------------------------------ */

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

        return ngx_http_s3_cache_serve_ask(link, f->stream, &f->ask);

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
            ngx_http_s3_cache_serve_end(s, NGX_HTTP_S3_CACHE_FILL_ELSEWHERE);
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
        rc = ngx_http_s3_cache_serve_meta(s, w);

    } else if (s->state == SERVE_BODY) {
        rc = ngx_http_s3_cache_serve_body(s, w);
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


/* --- its life ------------------------------------------------------------ */

serve_t *
ngx_http_s3_cache_serve_create(ngx_log_t *log)
{
    serve_t  *s;

    s = held;

    if (s != NULL) {
        held = s->next;
        nheld--;

    } else {
        s = ngx_alloc(sizeof(serve_t), log);
        if (s == NULL) {
            return NULL;
        }
    }

    ngx_memzero(s, sizeof(serve_t));

    return s;
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


void
ngx_http_s3_cache_serve_end(serve_t *s, ngx_uint_t code)
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
