/* SPDX-License-Identifier: Apache-2.0
 *
 * Sending a request: its head, and its body as the user has it and the origin
 * takes it. The origin may answer at any time: then it gets no more.
 *
 *   head sent, no body          step HEAD
 *   head sent, `expect`         waits for 100, for a final answer, or a second
 *   body: the user has none     hungry, until feed()
 *   body: the socket is full    until it is writable
 *   body: the origin closes     broken: an answer may still be there to read
 *   body sent                   step HEAD
 */

#include "ngx_http_s3_cache_origin_internal.h"


static ngx_int_t send_head(ngx_http_s3_cache_call_priv_t *cp);
static ngx_int_t send_body(ngx_http_s3_cache_call_priv_t *cp);
static ngx_int_t send_some(ngx_http_s3_cache_call_priv_t *cp, u_char *pos,
    size_t len, size_t *n);
static void send_continue(ngx_http_s3_cache_call_priv_t *cp);
static void send_done(ngx_http_s3_cache_call_priv_t *cp);


void
ngx_http_s3_cache_call_send_start(ngx_http_s3_cache_call_priv_t *cp)
{
    cp->step = NGX_HTTP_S3_CACHE_CALL_SEND;
    cp->call->log->action = "sending request to origin";

    ngx_http_s3_cache_call_count(cp, S3C_STAT_ORIGIN_REQUESTS, 1);

    cp->request.pos = cp->request.start;

    if (cp->call->has_body && cp->body_left > 0) {
        /* not from here: the user may be in call_start() */
        ngx_post_event(cp->conn->connection->write, &ngx_posted_events);
        return;
    }

    ngx_http_s3_cache_call_send(cp);
}


void
ngx_http_s3_cache_call_send(ngx_http_s3_cache_call_priv_t *cp)
{
    if (send_head(cp) != NGX_OK) {
        return;
    }

    if (cp->body_left > 0 && !cp->broken) {

        if (cp->expects) {

            if (!cp->conn->connection->write->timer_set) {
                ngx_add_timer(cp->conn->connection->write,
                              NGX_HTTP_S3_CACHE_CALL_EXPECT_TIME);
            }

            return;
        }

        if (send_body(cp) != NGX_OK) {
            return;
        }
    }

    send_done(cp);
}


static ngx_int_t
send_head(ngx_http_s3_cache_call_priv_t *cp)
{
    size_t      n;
    ngx_int_t   rc;
    ngx_buf_t  *b;

    b = &cp->request;

    while (b->pos < b->last) {

        rc = send_some(cp, b->pos, b->last - b->pos, &n);

        if (rc != NGX_OK) {
            return rc;
        }

        b->pos += n;

        if (b->pos == b->last && cp->conn->connection->write->timer_set) {
            ngx_del_timer(cp->conn->connection->write);
        }
    }

    return NGX_OK;
}


/* NGX_OK: all is sent, or the origin takes no more; else some event comes. */

static ngx_int_t
send_body(ngx_http_s3_cache_call_priv_t *cp)
{
    size_t             n, len, batch;
    u_char            *pos;
    ngx_int_t          rc;
    ngx_connection_t  *c;

    c = cp->conn->connection;
    cp->call->log->action = "sending request body to origin";

    for (batch = 0; cp->body_left > 0; batch += n) {

        if (batch >= NGX_HTTP_S3_CACHE_CALL_BATCH_BYTES) {
            ngx_post_event(c->write, &ngx_posted_next_events);
            return NGX_AGAIN;
        }

        pos = NULL;
        len = 0;

        ngx_http_s3_cache_call_enter_callback(cp);

        cp->call->on_send(cp->call, &pos, &len);

        if (ngx_http_s3_cache_call_leave_callback(cp) != NGX_OK) {
            return NGX_ERROR;
        }

        cp->hungry = (len == 0);

        if (cp->hungry) {
            /* how long that may take is for the user to say */

            if (c->write->timer_set) {
                ngx_del_timer(c->write);
            }

            return NGX_AGAIN;
        }

        len = ngx_min(len, cp->body_left);
        len = ngx_min(len, NGX_HTTP_S3_CACHE_CALL_BATCH_BYTES);

        rc = send_some(cp, pos, len, &n);

        if (rc == NGX_DONE) {
            return NGX_OK;
        }

        if (rc != NGX_OK) {
            return rc;
        }

        cp->body_left -= n;
        ngx_http_s3_cache_call_count(cp, S3C_STAT_ORIGIN_SENT, n);

        ngx_http_s3_cache_call_enter_callback(cp);

        cp->call->on_sent(cp->call, n);

        if (ngx_http_s3_cache_call_leave_callback(cp) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* NGX_DONE: a body is not wanted any more. */

static ngx_int_t
send_some(ngx_http_s3_cache_call_priv_t *cp, u_char *pos, size_t len,
    size_t *n)
{
    ssize_t            rc;
    ngx_err_t          err;
    ngx_connection_t  *c;

    c = cp->conn->connection;

    rc = c->send(c, pos, len);

    if (rc > 0) {
        cp->sent = 1;
        *n = rc;
        return NGX_OK;
    }

    if (rc == NGX_ERROR) {

        if (cp->request.pos == cp->request.last) {
            /* it may have said why, before it closed */
            cp->broken = 1;
            return NGX_DONE;
        }

        err = (c->ssl == NULL) ? ngx_socket_errno : 0;

        ngx_http_s3_cache_call_fail(cp, NGX_HTTP_S3_CACHE_CALL_CUT, err,
                                    "send() to origin failed", "");
        return NGX_ERROR;
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        ngx_http_s3_cache_call_end(cp, NGX_HTTP_S3_CACHE_CALL_INTERNAL);
        return NGX_ERROR;
    }

    ngx_add_timer(c->write, cp->upstream->conf->send_timeout);

    return NGX_AGAIN;
}


static void
send_done(ngx_http_s3_cache_call_priv_t *cp)
{
    ngx_connection_t  *c;

    c = cp->conn->connection;

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    cp->step = NGX_HTTP_S3_CACHE_CALL_HEAD;
    cp->call->log->action = "reading response head from origin";
    cp->sent_usec = ngx_http_s3_cache_call_usec();

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        ngx_http_s3_cache_call_end(cp, NGX_HTTP_S3_CACHE_CALL_INTERNAL);
        return;
    }

    ngx_add_timer(c->read, cp->upstream->conf->read_timeout);

    if (c->read->ready || cp->broken) {
        /* not from here: the user may be in call_start() */
        ngx_post_event(c->read, &ngx_posted_events);
    }
}


void
ngx_http_s3_cache_call_feed(ngx_http_s3_cache_call_t *call)
{
    ngx_http_s3_cache_call_priv_t  *cp = call->priv;

    if (cp->step == NGX_HTTP_S3_CACHE_CALL_SEND && cp->hungry) {
        cp->hungry = 0;
        ngx_post_event(cp->conn->connection->write, &ngx_posted_events);
    }
}


/* The body is wanted, or nobody knows. */

static void
send_continue(ngx_http_s3_cache_call_priv_t *cp)
{
    ngx_connection_t  *c;

    c = cp->conn->connection;
    cp->expects = 0;

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    ngx_post_event(c->write, &ngx_posted_events);
}


/* An origin that knows no Expect says nothing: RFC 9110, 10.1.1. */

void
ngx_http_s3_cache_call_send_timeout(ngx_http_s3_cache_call_priv_t *cp)
{
    send_continue(cp);
}


void
ngx_http_s3_cache_call_send_interim(ngx_http_s3_cache_call_priv_t *cp,
    ngx_uint_t status)
{
    if (status == 100 && cp->expects
        && cp->step == NGX_HTTP_S3_CACHE_CALL_SEND)
    {
        send_continue(cp);
    }
}
