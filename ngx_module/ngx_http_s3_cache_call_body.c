/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of an answer, received straight into the place that the user
 * names. One call takes a bounded number of bytes in one turn of the event
 * loop, and nothing while the user has no space.
 *
 * After each callback the call may be over: NGX_ERROR then, and nothing of
 * it is touched any more.
 */

#include "ngx_http_s3_cache_origin_internal.h"


static ngx_int_t body_identity(ngx_http_s3_cache_call_priv_t *cp, size_t *n);
static ngx_int_t body_chunked(ngx_http_s3_cache_call_priv_t *cp, size_t *n);
static ngx_int_t body_raw_read(ngx_http_s3_cache_call_priv_t *cp);
static ngx_int_t body_space(ngx_http_s3_cache_call_priv_t *cp, u_char **pos,
    size_t *len);
static ngx_int_t body_give(ngx_http_s3_cache_call_priv_t *cp, size_t n);
static void body_idle(ngx_http_s3_cache_call_priv_t *cp);


/*
 * A step answers NGX_OK: n bytes of progress; NGX_DONE: the body is
 * complete; NGX_AGAIN: the socket is drained; NGX_DECLINED: the user has no
 * space; NGX_ERROR: the call is over.
 */

void
ngx_http_s3_cache_call_receive_body(ngx_http_s3_cache_call_priv_t *cp)
{
    size_t             n, batch;
    ngx_int_t          rc;
    ngx_connection_t  *c;

    c = cp->conn->connection;
    batch = 0;

    for ( ;; ) {

        if (batch >= NGX_HTTP_S3_CACHE_CALL_BATCH_BYTES) {
            /* it may be long since the socket was drained */
            ngx_add_timer(c->read, cp->upstream->conf->read_timeout);
            ngx_post_event(c->read, &ngx_posted_next_events);

            body_idle(cp);
            return;
        }

        n = 0;

        rc = (cp->framing == NGX_HTTP_S3_CACHE_BODY_CHUNKED)
             ? body_chunked(cp, &n) : body_identity(cp, &n);

        batch += n;

        switch (rc) {

        case NGX_OK:
            continue;

        case NGX_AGAIN:
            if (ngx_http_s3_cache_call_wait(cp) == NGX_OK) {
                body_idle(cp);
            }

            return;

        case NGX_DECLINED:
            if (cp->resumed) {
                ngx_post_event(c->read, &ngx_posted_next_events);

            } else {
                cp->paused = 1;

                if (c->read->timer_set) {
                    ngx_del_timer(c->read);
                }

                /* where events are level-triggered */

                if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
                    ngx_http_s3_cache_call_end(cp,
                                           NGX_HTTP_S3_CACHE_CALL_INTERNAL);
                    return;
                }
            }

            body_idle(cp);
            return;

        case NGX_DONE:
            /* what follows the answer is nobody's: HEAD answered by a body */

            if (cp->framing == NGX_HTTP_S3_CACHE_BODY_CHUNKED
                ? cp->raw.pos != cp->raw.last : cp->in.pos != cp->in.last)
            {
                cp->keep = 0;
            }

            cp->complete = 1;

            ngx_http_s3_cache_call_end(cp, NGX_HTTP_S3_CACHE_CALL_DONE);
            return;

        default: /* NGX_ERROR */
            return;
        }
    }
}


static ngx_int_t
body_identity(ngx_http_s3_cache_call_priv_t *cp, size_t *n)
{
    size_t      len;
    u_char     *pos;
    ngx_int_t   rc;
    ngx_buf_t  *in;

    in = &cp->in;

    if (cp->framing == NGX_HTTP_S3_CACHE_BODY_NONE
        || (cp->framing == NGX_HTTP_S3_CACHE_BODY_LENGTH && cp->left == 0))
    {
        return NGX_DONE;
    }

    if (in->pos == in->last && !cp->conn->connection->read->ready) {
        return NGX_AGAIN;
    }

    rc = body_space(cp, &pos, &len);

    if (rc != NGX_OK) {
        return rc;
    }

    if (cp->framing == NGX_HTTP_S3_CACHE_BODY_LENGTH && len > cp->left) {
        len = cp->left;
    }

    if (in->pos != in->last) {
        len = ngx_min(len, (size_t) (in->last - in->pos));

        ngx_memcpy(pos, in->pos, len);
        in->pos += len;

    } else {
        len = ngx_min(len, NGX_HTTP_S3_CACHE_CALL_BATCH_BYTES);

        rc = ngx_http_s3_cache_call_recv(cp, pos, len, &len);

        if (rc == NGX_DONE
            && cp->framing != NGX_HTTP_S3_CACHE_BODY_CLOSE)
        {
            ngx_http_s3_cache_call_fail(cp, NGX_HTTP_S3_CACHE_CALL_CUT, 0,
                                        "origin closed the connection before "
                                        "the end of the body", "");
            return NGX_ERROR;
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (cp->framing == NGX_HTTP_S3_CACHE_BODY_LENGTH) {
        cp->left -= len;
    }

    *n = len;

    return body_give(cp, len);
}


static ngx_int_t
body_chunked(ngx_http_s3_cache_call_priv_t *cp, size_t *n)
{
    size_t         len, used;
    u_char        *pos;
    ngx_int_t      rc;
    ngx_buf_t     *raw;
    s3c_status_t   st;

    raw = &cp->raw;

    if (cp->payload.len) {

        rc = body_space(cp, &pos, &len);

        if (rc != NGX_OK) {
            return rc;
        }

        len = ngx_min(len, cp->payload.len);

        ngx_memcpy(pos, cp->payload.data, len);

        cp->payload.data += len;
        cp->payload.len -= len;
        *n = len;

        return body_give(cp, len);
    }

    if (cp->chunked_end) {
        return NGX_DONE;
    }

    if (raw->pos == raw->last) {

        rc = body_raw_read(cp);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    st = s3c_http_chunked_step(&cp->chunked,
                               s3c_slice(raw->pos, raw->last - raw->pos),
                               &cp->payload, &used);
    raw->pos += used;

    if (st == S3C_OK) {
        cp->chunked_end = 1;
        return NGX_OK;
    }

    if (st != S3C_AGAIN || used == 0) {
        ngx_http_s3_cache_call_fail(cp, NGX_HTTP_S3_CACHE_CALL_MALFORMED, 0,
                                    "origin sent an invalid chunked body",
                                    "");
        return NGX_ERROR;
    }

    /* framing counts as well: chunks may be of one byte */
    *n = used - cp->payload.len;

    return NGX_OK;
}


static ngx_int_t
body_raw_read(ngx_http_s3_cache_call_priv_t *cp)
{
    size_t      n;
    ngx_int_t   rc;
    ngx_buf_t  *raw;

    raw = &cp->raw;

    if (!cp->conn->connection->read->ready) {
        return NGX_AGAIN;
    }

    if (raw->start == NULL) {
        /* not the head's buffer: its slices stay valid */

        raw->start = ngx_palloc(cp->call->pool,
                                NGX_HTTP_S3_CACHE_CALL_RAW_BYTES);
        if (raw->start == NULL) {
            ngx_http_s3_cache_call_end(cp, NGX_HTTP_S3_CACHE_CALL_INTERNAL);
            return NGX_ERROR;
        }
    }

    raw->pos = raw->start;
    raw->last = raw->start;

    rc = ngx_http_s3_cache_call_recv(cp, raw->start,
                                     NGX_HTTP_S3_CACHE_CALL_RAW_BYTES, &n);

    if (rc == NGX_DONE) {
        ngx_http_s3_cache_call_fail(cp, NGX_HTTP_S3_CACHE_CALL_CUT, 0,
                                    "origin closed the connection before "
                                    "the end of the body", "");
        return NGX_ERROR;
    }

    if (rc == NGX_OK) {
        raw->last += n;
    }

    return rc;
}


static ngx_int_t
body_space(ngx_http_s3_cache_call_priv_t *cp, u_char **pos, size_t *len)
{
    *pos = NULL;
    *len = 0;
    cp->resumed = 0;

    ngx_http_s3_cache_call_enter_callback(cp);

    cp->call->on_space(cp->call, pos, len);

    if (ngx_http_s3_cache_call_leave_callback(cp) != NGX_OK) {
        return NGX_ERROR;
    }

    return *len ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
body_give(ngx_http_s3_cache_call_priv_t *cp, size_t n)
{
    ngx_int_t  rc;

    cp->uncounted += n;

    ngx_http_s3_cache_call_enter_callback(cp);

    rc = cp->call->on_body(cp->call, n);

    if (ngx_http_s3_cache_call_leave_callback(cp) != NGX_OK) {
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        ngx_http_s3_cache_call_end(cp, NGX_HTTP_S3_CACHE_CALL_ABORTED);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Always the last thing that is done with a call in a turn. */

static void
body_idle(ngx_http_s3_cache_call_priv_t *cp)
{
    ngx_http_s3_cache_call_count(cp, S3C_STAT_ORIGIN_BYTES, cp->uncounted);
    cp->uncounted = 0;

    if (cp->call->on_idle) {
        ngx_http_s3_cache_call_enter_callback(cp);

        cp->call->on_idle(cp->call);

        (void) ngx_http_s3_cache_call_leave_callback(cp);
    }
}
