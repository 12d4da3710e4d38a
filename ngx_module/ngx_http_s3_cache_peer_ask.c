/* SPDX-License-Identifier: Apache-2.0
 *
 * A question to another node: sent when there is a link, its answer handed on
 * as it comes. The asking end of links.
 *
 *   start -> WAITING for a link, or on one
 *   on a link: ASK is sent; META parts, DATA, END come
 *   gone: the link was lost, on_end(LOST); it fell silent: on_end(AWAY)
 */

#include "ngx_http_s3_cache_peer.h"


static void ask_say(ngx_http_s3_cache_link_t *link, s3c_writer_t *w);
static ngx_int_t ask_pull(ngx_http_s3_cache_stream_t *stream, s3c_writer_t *w);
static ngx_int_t ask_frame(ngx_http_s3_cache_link_t *link,
    ngx_http_s3_cache_stream_t *stream, const s3c_wire_frame_t *f);
static ngx_int_t ask_meta(ngx_http_s3_cache_ask_t *ask,
    const s3c_wire_meta_t *meta);
static void ask_idle(ngx_http_s3_cache_link_t *link);
static void ask_gone(ngx_http_s3_cache_link_t *link,
    ngx_http_s3_cache_stream_t *stream);
static void ask_clock(ngx_http_s3_cache_ask_t *ask);
static void ask_timer(ngx_event_t *ev);
static void ask_slow(ngx_http_s3_cache_ask_t *ask);
static void ask_unqueue(ngx_http_s3_cache_ask_t *ask);
static void ask_end(ngx_http_s3_cache_ask_t *ask, ngx_uint_t code);


const ngx_http_s3_cache_link_role_t  ngx_http_s3_cache_asker = {
    ask_say,
    ask_pull,
    ask_frame,
    ask_idle,
    NULL,
    ask_gone,
    ngx_http_s3_cache_near_closed
};


ngx_int_t
ngx_http_s3_cache_ask_start(ngx_http_s3_cache_ask_t *ask,
    ngx_http_s3_cache_near_t *near)
{
    const s3c_stats_node_t  *counts;

    ask->near = near;
    ask->sent = 0;
    ask->known = 0;
    ask->fed = 0;
    ask->waiting = 0;
    ask->head_got = 0;
    ask->head = NULL;
    ask->stream.link = NULL;
    ask->hedge = (ask->on_slow != NULL && near->peers->hedge > 0);

    ngx_memzero(&ask->timer, sizeof(ngx_event_t));
    ask->timer.handler = ask_timer;
    ask->timer.data = ask;
    ask->timer.log = ngx_cycle->log;

    counts = ngx_http_s3_cache_near_counts(near);

    if (ngx_http_s3_cache_near_ask(near, ask) != NGX_OK) {
        return NGX_DECLINED;
    }

    ask->begun_us = ngx_http_s3_cache_usec();
    s3c_stats_node_use(counts, ngx_current_msec);

    if (!ask->probe) {
        s3c_stats_node_add(counts, S3C_NODE_STAT_ASKED, 1);
    }

    return NGX_OK;
}


/* For a link; the handshake has a time of its own. */

void
ngx_http_s3_cache_ask_wait(ngx_http_s3_cache_ask_t *ask)
{
    ask->waiting = 1;

    if (ask->hedge) {
        ngx_add_timer(&ask->timer, ask->near->peers->hedge);
    }
}


void
ngx_http_s3_cache_ask_up(ngx_http_s3_cache_ask_t *ask,
    ngx_http_s3_cache_link_t *link)
{
    ngx_http_s3_cache_near_link_t  *end;

    ask_unqueue(ask);

    end = link->data;
    end->stream += 2;

    if (end->stream > UINT32_MAX - 4) {
        /* the numbers are used up: the next link begins anew */
        ngx_http_s3_cache_link_leave(link);
    }

    ngx_http_s3_cache_link_add(link, &ask->stream, end->stream);
    ngx_http_s3_cache_link_ready(&ask->stream);

    ask->heard = link->n_heard;
    ask->silent = 0;
    ask->until = ngx_current_msec + ask->patience;
    ask_clock(ask);
}


/* When must it be looked at again? */

static void
ask_clock(ngx_http_s3_cache_ask_t *ask)
{
    ngx_msec_int_t  left;

    left = (ngx_msec_int_t) (ask->until - ngx_current_msec);
    left = ngx_max(left, 0);

    if (ask->hedge) {
        left = ngx_min(left,
                       (ngx_msec_int_t) (ask->near->peers->hedge / 2 + 1));
    }

    ngx_add_timer(&ask->timer, (ngx_msec_t) left);
}


void
ngx_http_s3_cache_ask_away(ngx_http_s3_cache_ask_t *ask)
{
    ask_end(ask, NGX_HTTP_S3_CACHE_ASK_AWAY);
}


void
ngx_http_s3_cache_ask_cancel(ngx_http_s3_cache_ask_t *ask)
{
    uint32_t                        id;
    ngx_http_s3_cache_link_t       *link;
    ngx_http_s3_cache_near_link_t  *end;

    ask_unqueue(ask);

    link = ask->stream.link;

    if (link == NULL) {
        return;
    }

    end = link->data;
    id = (uint32_t) ask->stream.node.key;

    ngx_http_s3_cache_link_remove(&ask->stream);

    if (!ask->sent) {
        return;
    }

    /* without a CANCEL the answer comes all the same, and is not heard */

    if (end->ncancels < NGX_HTTP_S3_CACHE_CANCELS_MAX) {
        end->cancels[end->ncancels++] = id;
        ngx_http_s3_cache_link_say(link);
    }
}


static void
ask_unqueue(ngx_http_s3_cache_ask_t *ask)
{
    if (ask->waiting || ask->fed) {
        ngx_queue_remove(&ask->queue);
        ask->waiting = 0;
        ask->fed = 0;
    }

    if (ask->timer.timer_set) {
        ngx_del_timer(&ask->timer);
    }
}


/* Half of the time for a hedge is over, or all of the patience with a node that
 * answers pings, but not this. */

static void
ask_timer(ngx_event_t *ev)
{
    ngx_http_s3_cache_ask_t *ask = ev->data;

    ngx_http_s3_cache_link_t  *link;

    link = ask->stream.link;

    if (link == NULL) {
        /* the handshake goes on */
        ask_slow(ask);
        return;
    }

    if ((ngx_msec_int_t) (ask->until - ngx_current_msec) <= 0) {
        ngx_http_s3_cache_ask_cancel(ask);
        ask_end(ask, NGX_HTTP_S3_CACHE_ASK_AWAY);
        return;
    }

    if (!ask->hedge) {
        ask_clock(ask);
        return;
    }

    if (ask->heard != link->n_heard) {
        /* it lives: who does is not asked twice */
        ask->heard = link->n_heard;
        ask->silent = 0;

    } else if (!ask->silent) {
        ask->silent = 1;
        ngx_http_s3_cache_link_ping(link);

    } else {
        ask->hedge = 0;
        ask_clock(ask);
        ask_slow(ask);
        return;
    }

    ask_clock(ask);
}


static void
ask_slow(ngx_http_s3_cache_ask_t *ask)
{
    ask->hedge = 0;
    s3c_stats_node_add(&ask->near->counts, S3C_NODE_STAT_HEDGED, 1);
    ask->on_slow(ask);
}


static void
ask_end(ngx_http_s3_cache_ask_t *ask, ngx_uint_t code)
{
    ask_unqueue(ask);
    ngx_http_s3_cache_link_remove(&ask->stream);

    if (!ask->probe && (code == NGX_HTTP_S3_CACHE_ASK_AWAY
                        || code == NGX_HTTP_S3_CACHE_ASK_LOST))
    {
        s3c_stats_node_add(&ask->near->counts, S3C_NODE_STAT_AWAY, 1);
    }

    ask->on_end(ask, code);
}


/* --- as the link calls it ------------------------------------------------- */

static void
ask_say(ngx_http_s3_cache_link_t *link, s3c_writer_t *w)
{
    s3c_wire_frame_t                f;
    ngx_http_s3_cache_near_link_t  *end;

    end = link->data;

    ngx_memzero(&f, sizeof(s3c_wire_frame_t));
    f.type = S3C_WIRE_CANCEL;

    while (end->ncancels > 0) {
        f.stream = end->cancels[end->ncancels - 1];

        if (s3c_wire_frame_encode(w, &f) != S3C_OK) {
            return;
        }

        end->ncancels--;
    }
}


static ngx_int_t
ask_pull(ngx_http_s3_cache_stream_t *stream, s3c_writer_t *w)
{
    ngx_http_s3_cache_ask_t *ask = (ngx_http_s3_cache_ask_t *) stream;

    s3c_wire_frame_t  f;

    ngx_memzero(&f, sizeof(s3c_wire_frame_t));
    f.type = S3C_WIRE_ASK;
    f.stream = (uint32_t) stream->node.key;
    f.ask = ask->ask;

    switch (s3c_wire_frame_encode(w, &f)) {

    case S3C_OK:
        ask->sent = 1;
        ask->sent_ms = ngx_http_s3_cache_now();
        return NGX_DONE;

    case S3C_FULL:
        return NGX_DECLINED;

    default:
        /* it breaks a limit of the wire: not a question for nodes */
        ask_end(ask, NGX_HTTP_S3_CACHE_ASK_AWAY);
        return NGX_ABORT;
    }
}


static ngx_int_t
ask_frame(ngx_http_s3_cache_link_t *link, ngx_http_s3_cache_stream_t *stream,
    const s3c_wire_frame_t *f)
{
    ngx_http_s3_cache_ask_t *ask = (ngx_http_s3_cache_ask_t *) stream;

    ngx_int_t                       rc;
    ngx_http_s3_cache_near_link_t  *end;

    end = link->data;

    if (stream == NULL) {
        /* of one that was cancelled, or nobody's */
        return ((f->stream & 1) && (int32_t) (end->stream - f->stream) >= 0)
               ? NGX_OK : NGX_ERROR;
    }

    if (!ask->sent) {
        return NGX_ERROR;
    }

    switch (f->type) {

    case S3C_WIRE_META:
        rc = ask_meta(ask, &f->meta);
        break;

    case S3C_WIRE_DATA:
        if (!ask->known) {
            return NGX_ERROR;
        }

        s3c_stats_node_add(&ask->near->counts, S3C_NODE_STAT_BYTES,
                           f->data.len);

        rc = ask->on_data(ask, f->data.data, f->data.len);
        break;

    case S3C_WIRE_END:
        ask_end(ask, f->code);
        return NGX_OK;

    default:
        return NGX_ERROR;
    }

    if (rc == NGX_OK) {

        ask->until = ngx_current_msec + ask->patience;

        if (!ask->fed) {
            ask->fed = 1;
            ngx_queue_insert_tail(&end->fed, &ask->queue);
        }

        return NGX_OK;
    }

    return (rc == NGX_ABORT) ? NGX_ERROR : NGX_OK;
}


/* The head is collected, then handed on. ABORT: it is no answer. ERROR: its
 * user has cancelled. */

static ngx_int_t
ask_meta(ngx_http_s3_cache_ask_t *ask, const s3c_wire_meta_t *meta)
{
    if (ask->known) {
        return NGX_ABORT;
    }

    if (ask->head_got == 0) {
        ask->meta = *meta;
        ask->meta.head_part = S3C_SLICE_NONE;
    }

    if (s3c_wire_meta_follows(&ask->meta, ask->head_got, meta) != S3C_OK) {
        return NGX_ABORT;
    }

    if (meta->head_bytes > 0 && ask->pool == NULL) {
        return NGX_ABORT;                /* no record was asked for */
    }

    if (ask->head == NULL && meta->head_bytes > 0) {
        ask->head = ngx_palloc(ask->pool, meta->head_bytes);

        if (ask->head == NULL) {
            ngx_http_s3_cache_ask_cancel(ask);
            ask->on_end(ask, NGX_HTTP_S3_CACHE_FILL_ROOM);
            return NGX_ERROR;
        }
    }

    if (meta->head_part.len > 0) {
        ngx_memcpy(ask->head + meta->head_off, meta->head_part.data,
                   meta->head_part.len);
    }

    ask->head_got += meta->head_part.len;

    if (!s3c_wire_meta_last(meta)) {
        return NGX_OK;
    }

    ask->known = 1;
    ask->hedge = 0;

    if (!ask->probe) {
        s3c_stats_node_answered(&ask->near->counts,
                                ngx_http_s3_cache_usec() - ask->begun_us);
    }

    return ask->on_meta(ask, meta, ask->head);
}


static void
ask_idle(ngx_http_s3_cache_link_t *link)
{
    ngx_queue_t                    *q;
    ngx_http_s3_cache_ask_t        *ask;
    ngx_http_s3_cache_near_link_t  *end;

    end = link->data;

    while (!ngx_queue_empty(&end->fed)) {
        q = ngx_queue_head(&end->fed);
        ask = ngx_queue_data(q, ngx_http_s3_cache_ask_t, queue);

        ngx_queue_remove(q);
        ask->fed = 0;
        ask->on_idle(ask);
    }
}


static void
ask_gone(ngx_http_s3_cache_link_t *link, ngx_http_s3_cache_stream_t *stream)
{
    ask_end((ngx_http_s3_cache_ask_t *) stream,
            link->silent ? NGX_HTTP_S3_CACHE_ASK_AWAY
                         : NGX_HTTP_S3_CACHE_ASK_LOST);
}
