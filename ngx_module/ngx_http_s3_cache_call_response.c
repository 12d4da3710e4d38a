/* SPDX-License-Identifier: Apache-2.0
 *
 * The head of an answer, read strictly into a buffer that grows; interim
 * answers are skipped, how the body ends is decided. And the two ways to the
 * socket that head and body share.
 *
 * LIMITS  S3C_HTTP_HEAD_BYTES_MAX, NGX_HTTP_S3_CACHE_CALL_INTERIM_MAX.
 */

#include "ngx_http_s3_cache_origin_internal.h"


static ngx_int_t response_head(ngx_http_s3_cache_call_priv_t *cp);
static ngx_int_t response_head_read(ngx_http_s3_cache_call_priv_t *cp);
static ngx_int_t response_head_grow(ngx_http_s3_cache_call_priv_t *cp);
static ngx_int_t response_head_done(ngx_http_s3_cache_call_priv_t *cp);


void
ngx_http_s3_cache_call_receive(ngx_http_s3_cache_call_priv_t *cp)
{
    if ((cp->step == NGX_HTTP_S3_CACHE_CALL_HEAD
         || cp->step == NGX_HTTP_S3_CACHE_CALL_SEND)
        && response_head(cp) != NGX_OK)
    {
        return;
    }

    if (cp->step == NGX_HTTP_S3_CACHE_CALL_BODY && !cp->paused) {
        ngx_http_s3_cache_call_receive_body(cp);
    }
}


/* NGX_OK: the head is there, the body may be read. */

static ngx_int_t
response_head(ngx_http_s3_cache_call_priv_t *cp)
{
    ngx_buf_t     *in;
    s3c_status_t   st;

    in = &cp->in;

    if (cp->head == NULL) {
        cp->head = ngx_palloc(cp->call->pool, sizeof(s3c_http_head_t));
        if (cp->head == NULL) {
            ngx_http_s3_cache_call_end(cp, NGX_HTTP_S3_CACHE_CALL_INTERNAL);
            return NGX_ERROR;
        }
    }

    for ( ;; ) {

        if (response_head_read(cp) != NGX_OK) {
            return NGX_ERROR;
        }

        for ( ;; ) {

            st = s3c_http_head_parse(s3c_slice(in->pos, in->last - in->pos),
                                     cp->head);

            if (st == S3C_AGAIN) {
                break;
            }

            if (st != S3C_OK) {
                goto malformed;
            }

            if (cp->head->status >= 200) {
                in->pos += cp->head->head_bytes;
                return response_head_done(cp);
            }

            if (++cp->n_interim > NGX_HTTP_S3_CACHE_CALL_INTERIM_MAX) {
                goto malformed;
            }

            ngx_http_s3_cache_call_send_interim(cp, cp->head->status);

            /* the next head begins where this one did */

            in->last = ngx_movemem(in->start, in->pos + cp->head->head_bytes,
                                   in->last - in->pos
                                   - cp->head->head_bytes);
            in->pos = in->start;

            if (in->last == in->pos) {
                break;
            }
        }
    }

malformed:

    ngx_http_s3_cache_call_fail(cp, NGX_HTTP_S3_CACHE_CALL_MALFORMED, 0,
                                "origin sent an invalid response head", "");
    return NGX_ERROR;
}


/* NGX_OK: at least one more line is there. */

static ngx_int_t
response_head_read(ngx_http_s3_cache_call_priv_t *cp)
{
    size_t      n;
    u_char     *p;
    ngx_int_t   rc;
    ngx_buf_t  *in;

    in = &cp->in;

    for ( ;; ) {

        if (in->last == in->end) {

            rc = response_head_grow(cp);

            if (rc != NGX_OK) {
                return rc;
            }
        }

        rc = ngx_http_s3_cache_call_recv(cp, in->last, in->end - in->last,
                                         &n);

        if (rc == NGX_AGAIN) {
            return (ngx_http_s3_cache_call_wait(cp) == NGX_OK) ? NGX_AGAIN
                                                               : NGX_ERROR;
        }

        if (rc == NGX_DONE) {
            ngx_http_s3_cache_call_fail(cp, NGX_HTTP_S3_CACHE_CALL_CUT, 0,
                                        "origin closed the connection", "");
            return NGX_ERROR;
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }

        cp->answered = 1;

        p = in->last;
        in->last += n;

        /* one byte a packet must not make a parse a byte */

        if (memchr(p, '\n', n)) {
            return NGX_OK;
        }
    }
}


static ngx_int_t
response_head_grow(ngx_http_s3_cache_call_priv_t *cp)
{
    size_t      size, len;
    u_char     *p;
    ngx_buf_t  *in;

    in = &cp->in;

    len = in->last - in->start;
    size = in->end - in->start;

    if (size >= S3C_HTTP_HEAD_BYTES_MAX) {
        ngx_http_s3_cache_call_fail(cp, NGX_HTTP_S3_CACHE_CALL_MALFORMED, 0,
                                    "origin sent a too large head", "");
        return NGX_ERROR;
    }

    size = size ? ngx_min(size * 2, S3C_HTTP_HEAD_BYTES_MAX)
                : NGX_HTTP_S3_CACHE_CALL_HEAD_START;

    p = ngx_pnalloc(cp->call->pool, size);
    if (p == NULL) {
        ngx_http_s3_cache_call_end(cp, NGX_HTTP_S3_CACHE_CALL_INTERNAL);
        return NGX_ERROR;
    }

    if (len) {
        ngx_memcpy(p, in->start, len);
        (void) ngx_pfree(cp->call->pool, in->start);
    }

    in->start = p;
    in->pos = p;
    in->last = p + len;
    in->end = p + size;

    return NGX_OK;
}


static ngx_int_t
response_head_done(ngx_http_s3_cache_call_priv_t *cp)
{
    ngx_int_t                  rc;
    s3c_http_head_t           *head;
    ngx_http_s3_cache_call_t  *call;

    call = cp->call;
    head = cp->head;

    if (cp->step == NGX_HTTP_S3_CACHE_CALL_SEND) {
        /* before it got all of the body: it wants no more of it */

        cp->sent_usec = ngx_http_s3_cache_call_usec();

        if (cp->conn->connection->write->timer_set) {
            ngx_del_timer(cp->conn->connection->write);
        }
    }

    cp->step = NGX_HTTP_S3_CACHE_CALL_BODY;
    call->log->action = "reading response body from origin";

    if (call->stats) {
        s3c_stats_observe(call->stats, S3C_HIST_ORIGIN_FIRST_BYTE,
                          ngx_http_s3_cache_call_usec() - cp->sent_usec);
    }

    if (head->status >= 500) {
        ngx_http_s3_cache_call_count(cp, S3C_STAT_ORIGIN_5XX, 1);
    }

    /* RFC 9112, 6.3 */

    if (cp->head_only || head->status == 204 || head->status == 304) {
        cp->framing = NGX_HTTP_S3_CACHE_BODY_NONE;

    } else if (head->chunked) {
        cp->framing = NGX_HTTP_S3_CACHE_BODY_CHUNKED;
        cp->raw.pos = cp->in.pos;
        cp->raw.last = cp->in.last;

    } else if (head->has_length) {
        cp->framing = NGX_HTTP_S3_CACHE_BODY_LENGTH;
        cp->left = head->length;

    } else {
        cp->framing = NGX_HTTP_S3_CACHE_BODY_CLOSE;
    }

    /* what is left of a request's body would be taken for the next one */

    cp->keep = head->keepalive && !call->close
               && cp->framing != NGX_HTTP_S3_CACHE_BODY_CLOSE
               && cp->body_left == 0 && !cp->broken;

    /* a user that needs the head only may end it and keep the connection */

    cp->complete = (cp->framing == NGX_HTTP_S3_CACHE_BODY_NONE
                    || (cp->framing == NGX_HTTP_S3_CACHE_BODY_LENGTH
                        && cp->left == 0))
                   && cp->in.pos == cp->in.last;

    ngx_http_s3_cache_call_enter_callback(cp);

    rc = call->on_head(call, head);

    if (ngx_http_s3_cache_call_leave_callback(cp) != NGX_OK) {
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        ngx_http_s3_cache_call_end(cp, NGX_HTTP_S3_CACHE_CALL_ABORTED);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_s3_cache_call_recv(ngx_http_s3_cache_call_priv_t *cp, u_char *pos,
    size_t size, size_t *n)
{
    ssize_t            rc;
    ngx_err_t          err;
    ngx_connection_t  *c;

    c = cp->conn->connection;

    rc = c->recv(c, pos, size);

    if (rc > 0) {
        *n = rc;
        return NGX_OK;
    }

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc == 0) {
        return NGX_DONE;
    }

    err = (c->ssl == NULL) ? ngx_socket_errno : 0;

    ngx_http_s3_cache_call_fail(cp, NGX_HTTP_S3_CACHE_CALL_CUT, err,
                                "recv() from origin failed", "");

    return NGX_ERROR;
}


ngx_int_t
ngx_http_s3_cache_call_wait(ngx_http_s3_cache_call_priv_t *cp)
{
    ngx_event_t  *rev;

    rev = cp->conn->connection->read;

    if (cp->step != NGX_HTTP_S3_CACHE_CALL_SEND) {
        ngx_add_timer(rev, cp->upstream->conf->read_timeout);
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_s3_cache_call_end(cp, NGX_HTTP_S3_CACHE_CALL_INTERNAL);
        return NGX_ERROR;
    }

    return NGX_OK;
}
