/* SPDX-License-Identifier: Apache-2.0
 *
 * Life of a call: created, started, ended once, freed after on_end. Every
 * end goes through a posted event, so that on_end never comes from within a
 * function that the user called. A callback may abort its own call: what
 * runs beneath it learns that from call_leave_callback().
 */

#include "ngx_http_s3_cache_origin_internal.h"
#include "ngx_http_s3_cache_origin_keys.h"


static u_char *call_log_error(ngx_log_t *log, u_char *buf, size_t len);
static ngx_uint_t call_awaits_keys(ngx_http_s3_cache_call_priv_t *cp);
static void call_keys_handler(ngx_event_t *ev);
static void call_begin(ngx_http_s3_cache_call_priv_t *cp);
static void call_end_handler(ngx_event_t *ev);
static void call_free(ngx_http_s3_cache_call_priv_t *cp);


static const char  *call_end_names[] = {
    "done",
    "unreachable",
    "timeout",
    "cut",
    "malformed",
    "aborted",
    "internal",
    "unsigned"
};


/* the calls of this worker */
static ngx_queue_t  calls = { &calls, &calls };


ngx_http_s3_cache_call_t *
ngx_http_s3_cache_call_create(ngx_http_s3_cache_origin_t *origin,
    ngx_log_t *log)
{
    ngx_pool_t                     *pool;
    ngx_http_s3_cache_call_t       *call;
    ngx_http_s3_cache_call_priv_t  *cp;

    pool = ngx_create_pool(NGX_HTTP_S3_CACHE_CALL_POOL_SIZE, log);
    if (pool == NULL) {
        return NULL;
    }

    call = ngx_pcalloc(pool, sizeof(ngx_http_s3_cache_call_t));
    cp = ngx_pcalloc(pool, sizeof(ngx_http_s3_cache_call_priv_t));

    if (call == NULL || cp == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    /* the log that it was made with may be of a request, and go with it */

    call->log = &cp->log;
    cp->log = *log;
    cp->log.handler = call_log_error;
    cp->log.data = cp;
    cp->log.action = "starting a call to origin";
    pool->log = &cp->log;

    call->pool = pool;
    call->origin = origin;
    call->headers = call->few;
    call->headers_max = NGX_HTTP_S3_CACHE_CALL_HEADERS_MAX;
    call->priv = cp;

    cp->call = call;
    cp->upstream = origin->priv;
    cp->fd = (ngx_socket_t) -1;

    cp->event.handler = call_end_handler;
    cp->event.data = cp;
    cp->event.log = call->log;

    ngx_queue_insert_tail(&calls, &cp->queue);

    return call;
}


void
ngx_http_s3_cache_call_start(ngx_http_s3_cache_call_t *call)
{
    ngx_http_s3_cache_call_priv_t  *cp = call->priv;

    if (cp->step != NGX_HTTP_S3_CACHE_CALL_NEW) {
        return;
    }

    cp->tries = cp->upstream->conf->tries;
    cp->keys_until = ngx_current_msec + NGX_HTTP_S3_CACHE_CALL_KEYS_TIME;

    if (!call_awaits_keys(cp)) {
        call_begin(cp);
    }
}


/* In the first moments after a start: the service has been asked, and has not
 * answered yet. */

static ngx_uint_t
call_awaits_keys(ngx_http_s3_cache_call_priv_t *cp)
{
    if (cp->upstream->conf->keys == NULL
        || !ngx_http_s3_cache_origin_keys_awaited(cp->upstream->conf->keys)
        || (ngx_msec_int_t) (cp->keys_until - ngx_current_msec) <= 0)
    {
        return 0;
    }

    if (cp->step == NGX_HTTP_S3_CACHE_CALL_NEW) {
        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, cp->call->log, 0,
                       "s3 origin call waits for credentials");
    }

    cp->step = NGX_HTTP_S3_CACHE_CALL_KEYS;
    cp->call->log->action = "waiting for credentials";

    cp->timer.handler = call_keys_handler;
    cp->timer.data = cp;
    cp->timer.log = cp->call->log;

    ngx_add_timer(&cp->timer, NGX_HTTP_S3_CACHE_CALL_KEYS_LOOK);

    return 1;
}


static void
call_keys_handler(ngx_event_t *ev)
{
    ngx_http_s3_cache_call_priv_t  *cp = ev->data;

    if (!call_awaits_keys(cp)) {
        call_begin(cp);
    }
}


static void
call_begin(ngx_http_s3_cache_call_priv_t *cp)
{
    ngx_int_t  rc;

    rc = ngx_http_s3_cache_call_render(cp);

    if (rc != NGX_OK) {
        ngx_http_s3_cache_call_end(cp, rc == NGX_DECLINED
                                       ? NGX_HTTP_S3_CACHE_CALL_UNSIGNED
                                       : NGX_HTTP_S3_CACHE_CALL_INTERNAL);
        return;
    }

    ngx_http_s3_cache_call_connect(cp);
}


void
ngx_http_s3_cache_call_resume(ngx_http_s3_cache_call_t *call)
{
    ngx_http_s3_cache_call_priv_t  *cp = call->priv;

    if (cp->step != NGX_HTTP_S3_CACHE_CALL_BODY) {
        return;
    }

    if (!cp->paused) {
        cp->resumed = 1;
        return;
    }

    cp->paused = 0;

    /* in the next turn: who has much to take must not starve the others */

    ngx_post_event(cp->conn->connection->read, &ngx_posted_next_events);
}


ngx_int_t
ngx_http_s3_cache_call_more_headers(ngx_http_s3_cache_call_t *call)
{
    ngx_http_s3_cache_call_header_t  *more;

    more = ngx_palloc(call->pool,
                      NGX_HTTP_S3_CACHE_CALL_HEADERS_MORE
                      * sizeof(ngx_http_s3_cache_call_header_t));
    if (more == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(more, call->headers,
               call->nheaders * sizeof(ngx_http_s3_cache_call_header_t));

    call->headers = more;
    call->headers_max = NGX_HTTP_S3_CACHE_CALL_HEADERS_MORE;

    return NGX_OK;
}


ngx_uint_t
ngx_http_s3_cache_call_sent(ngx_http_s3_cache_call_t *call)
{
    ngx_http_s3_cache_call_priv_t  *cp = call->priv;

    return cp->sent;
}


void
ngx_http_s3_cache_call_abort(ngx_http_s3_cache_call_t *call,
    ngx_uint_t silent)
{
    ngx_http_s3_cache_call_priv_t  *cp = call->priv;

    if (silent) {
        cp->silent = 1;
    }

    if (cp->step == NGX_HTTP_S3_CACHE_CALL_OVER) {
        cp->end = NGX_HTTP_S3_CACHE_CALL_ABORTED;

    } else {
        ngx_http_s3_cache_call_end(cp, NGX_HTTP_S3_CACHE_CALL_ABORTED);
    }

    if (silent && cp->busy == 0) {
        call_free(cp);
    }
}


void
ngx_http_s3_cache_call_end(ngx_http_s3_cache_call_priv_t *cp,
    ngx_http_s3_cache_call_end_e end)
{
    if (cp->step == NGX_HTTP_S3_CACHE_CALL_OVER) {
        return;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, cp->call->log, 0,
                   "s3 origin call ends: %s", call_end_names[end]);

    cp->step = NGX_HTTP_S3_CACHE_CALL_OVER;
    cp->end = end;

    ngx_http_s3_cache_call_count(cp, S3C_STAT_ORIGIN_BYTES, cp->uncounted);

    switch (end) {

    case NGX_HTTP_S3_CACHE_CALL_UNREACHABLE:
        ngx_http_s3_cache_call_count(cp, S3C_STAT_ORIGIN_UNREACHABLE, 1);
        break;

    case NGX_HTTP_S3_CACHE_CALL_TIMEOUT:
        ngx_http_s3_cache_call_count(cp, S3C_STAT_ORIGIN_TIMEOUT, 1);
        break;

    case NGX_HTTP_S3_CACHE_CALL_CUT:
        ngx_http_s3_cache_call_count(cp, S3C_STAT_ORIGIN_CUT, 1);
        break;

    case NGX_HTTP_S3_CACHE_CALL_MALFORMED:
        ngx_http_s3_cache_call_count(cp, S3C_STAT_ORIGIN_MALFORMED, 1);
        break;

    default:
        break;
    }

    ngx_http_s3_cache_call_disconnect(cp);
    ngx_http_s3_cache_origin_addrs_put(cp);

    ngx_post_event(&cp->event, &ngx_posted_events);
}


void
ngx_http_s3_cache_call_disconnect(ngx_http_s3_cache_call_priv_t *cp)
{
    ngx_http_s3_cache_conn_t  *conn;

    conn = cp->conn;

    if (conn == NULL) {
        return;
    }

    cp->conn = NULL;

    if (cp->keep && cp->complete) {
        conn->bodiless = (cp->framing == NGX_HTTP_S3_CACHE_BODY_NONE);
        ngx_http_s3_cache_conn_keep(conn);

    } else {
        ngx_http_s3_cache_conn_close(conn, cp->complete);
    }
}


static void
call_end_handler(ngx_event_t *ev)
{
    ngx_http_s3_cache_call_t       *call;
    ngx_http_s3_cache_call_priv_t  *cp = ev->data;

    call = cp->call;

    if (!cp->silent) {
        cp->busy++;
        call->on_end(call, cp->end);
        cp->busy--;
    }

    call_free(cp);
}


static void
call_free(ngx_http_s3_cache_call_priv_t *cp)
{
    if (cp->event.posted) {
        ngx_delete_posted_event(&cp->event);
    }

    ngx_queue_remove(&cp->queue);

    ngx_destroy_pool(cp->call->pool);
}


void
ngx_http_s3_cache_call_enter_callback(ngx_http_s3_cache_call_priv_t *cp)
{
    cp->busy++;
}


ngx_int_t
ngx_http_s3_cache_call_leave_callback(ngx_http_s3_cache_call_priv_t *cp)
{
    cp->busy--;

    if (cp->step != NGX_HTTP_S3_CACHE_CALL_OVER) {
        return NGX_OK;
    }

    if (cp->silent && cp->busy == 0) {
        call_free(cp);
    }

    return NGX_ERROR;
}


void
ngx_http_s3_cache_call_abort_all(void)
{
    ngx_queue_t                    *q;
    ngx_http_s3_cache_call_priv_t  *cp;

    while (!ngx_queue_empty(&calls)) {
        q = ngx_queue_head(&calls);
        cp = ngx_queue_data(q, ngx_http_s3_cache_call_priv_t, queue);

        if (cp->step == NGX_HTTP_S3_CACHE_CALL_NEW) {
            /* never started: its user expects nothing */
            cp->silent = 1;
        }

        ngx_http_s3_cache_call_end(cp, NGX_HTTP_S3_CACHE_CALL_ABORTED);

        /* no event loop will run any more */

        ngx_delete_posted_event(&cp->event);
        call_end_handler(&cp->event);
    }
}


const char *
ngx_http_s3_cache_call_end_name(ngx_http_s3_cache_call_end_e end)
{
    return call_end_names[end];
}


uint64_t
ngx_http_s3_cache_call_usec(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


void
ngx_http_s3_cache_call_count(ngx_http_s3_cache_call_priv_t *cp,
    s3c_stat_t stat, uint64_t n)
{
    if (cp->call->stats && n) {
        s3c_stats_add(cp->call->stats, stat, n);
    }
}


/* Never a query (it may hold a signature), never a header's value. */

static u_char *
call_log_error(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char                         *p;
    ngx_http_s3_cache_call_priv_t  *cp = log->data;

    p = ngx_snprintf(buf, len, " while %s, origin: \"%V\"",
                     log->action, &cp->call->origin->url);
    len -= p - buf;
    buf = p;

    if (cp->conn) {
        p = ngx_snprintf(buf, len, ", address: %V", &cp->conn->name);
        len -= p - buf;
        buf = p;

    } else if (cp->addr) {
        p = ngx_snprintf(buf, len, ", address: %*s",
                         cp->addr->name_len, cp->addr->name);
        len -= p - buf;
        buf = p;
    }

    if (cp->target.len && !cp->call->secret) {
        p = ngx_snprintf(buf, len, ", request: \"%V %V\"",
                         &cp->method, &cp->target);
    }

    return p;
}
