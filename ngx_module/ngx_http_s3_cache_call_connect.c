/* SPDX-License-Identifier: Apache-2.0
 *
 * From a call to a request that is sent: a kept connection or an address, a
 * connection, TLS, the bytes. It owns the event handlers of an active
 * connection and the decision what follows a failure.
 *
 *   step       event                 goes to
 *   RESOLVE    addresses             CONNECT
 *   CONNECT    writable              HANDSHAKE (https) | SEND
 *   HANDSHAKE  done and verified     SEND
 *   SEND       all sent              HEAD     (call_send)
 *              an answer already     BODY     (call_response)
 *   HEAD       head is complete      BODY     (call_response)
 *   BODY       body is complete      OVER     (call_response)
 *   any        failure, no byte of   RESOLVE | CONNECT of the next address
 *              an answer yet         while there are tries, else OVER
 */

#include "ngx_http_s3_cache_origin_internal.h"


static void call_try(ngx_http_s3_cache_call_priv_t *cp,
    ngx_http_s3_cache_addr_t *addr);
static void call_attach(ngx_http_s3_cache_call_priv_t *cp,
    ngx_http_s3_cache_conn_t *conn);
static ngx_err_t call_test_connect(ngx_connection_t *c);
static void call_connected(ngx_http_s3_cache_call_priv_t *cp);
static void call_handshaked(ngx_connection_t *c);
static void call_read_handler(ngx_event_t *ev);
static void call_write_handler(ngx_event_t *ev);
static ngx_uint_t call_is_stale(ngx_http_s3_cache_call_priv_t *cp,
    ngx_http_s3_cache_call_end_e end);
static void call_mark_failed(ngx_http_s3_cache_call_priv_t *cp);


void
ngx_http_s3_cache_call_connect(ngx_http_s3_cache_call_priv_t *cp)
{
    ngx_int_t                  rc;
    ngx_http_s3_cache_addr_t  *addr;
    ngx_http_s3_cache_conn_t  *conn;

    /* what is not safe cannot be sent again when a kept one proves closed */

    if (!cp->fresh && cp->safe) {

        conn = ngx_http_s3_cache_conn_take(cp);

        if (conn) {
            call_attach(cp, conn);
            ngx_http_s3_cache_call_count(cp, S3C_STAT_ORIGIN_REUSED, 1);
            ngx_http_s3_cache_call_send_start(cp);
            return;
        }
    }

    if (cp->addrs == NULL) {

        cp->step = NGX_HTTP_S3_CACHE_CALL_RESOLVE;
        cp->call->log->action = "resolving origin host";

        rc = ngx_http_s3_cache_origin_addrs_get(cp);

        if (rc == NGX_AGAIN) {
            return;
        }

        if (rc != NGX_OK) {
            ngx_http_s3_cache_call_fail(cp,
                                        NGX_HTTP_S3_CACHE_CALL_UNREACHABLE, 0,
                                        "origin host could not be resolved",
                                        "");
            return;
        }
    }

    addr = ngx_http_s3_cache_origin_addr_next(cp);

    if (addr == NULL) {
        ngx_http_s3_cache_call_fail(cp, NGX_HTTP_S3_CACHE_CALL_UNREACHABLE, 0,
                                    "origin has no address left", "");
        return;
    }

    call_try(cp, addr);
}


static void
call_try(ngx_http_s3_cache_call_priv_t *cp, ngx_http_s3_cache_addr_t *addr)
{
    ngx_int_t                  rc;
    ngx_http_s3_cache_conn_t  *conn;

    cp->step = NGX_HTTP_S3_CACHE_CALL_CONNECT;
    cp->call->log->action = "connecting to origin";
    cp->addr = addr;

    rc = ngx_http_s3_cache_conn_open(cp, addr, &conn);

    if (rc == NGX_DECLINED) {
        ngx_http_s3_cache_call_fail(cp, NGX_HTTP_S3_CACHE_CALL_UNREACHABLE, 0,
                                    "connect() to origin failed", "");
        return;
    }

    if (rc == NGX_ERROR) {
        ngx_http_s3_cache_call_end(cp, NGX_HTTP_S3_CACHE_CALL_INTERNAL);
        return;
    }

    call_attach(cp, conn);

    if (rc == NGX_AGAIN) {
        ngx_add_timer(conn->connection->write,
                      cp->upstream->conf->connect_timeout);
        return;
    }

    call_connected(cp);
}


static void
call_attach(ngx_http_s3_cache_call_priv_t *cp, ngx_http_s3_cache_conn_t *conn)
{
    cp->conn = conn;

    conn->connection->read->handler = call_read_handler;
    conn->connection->write->handler = call_write_handler;
}


static ngx_err_t
call_test_connect(ngx_connection_t *c)
{
    int        err;
    socklen_t  len;

    err = 0;
    len = sizeof(int);

    /* Solaris answers an error as that of getsockopt() itself */

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    return err;
}


static void
call_connected(ngx_http_s3_cache_call_priv_t *cp)
{
    ngx_int_t                  rc;
    ngx_connection_t          *c;
    ngx_http_s3_cache_conn_t  *conn;

    conn = cp->conn;
    c = conn->connection;

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    ngx_http_s3_cache_call_count(cp, S3C_STAT_ORIGIN_CONNECTS, 1);

    if (ngx_tcp_nodelay(c) != NGX_OK) {
        /* logged; slower, not wrong */
    }

    if (cp->upstream->ssl == NULL) {
        ngx_http_s3_cache_call_send_start(cp);
        return;
    }

    cp->step = NGX_HTTP_S3_CACHE_CALL_HANDSHAKE;
    cp->call->log->action = "TLS handshaking with origin";

    rc = ngx_http_s3_cache_origin_tls_start(conn, call_handshaked);

    if (rc == NGX_AGAIN) {
        ngx_add_timer(c->write, cp->upstream->conf->connect_timeout);
        return;
    }

    call_handshaked(c);
}


static void
call_handshaked(ngx_connection_t *c)
{
    const char                     *what, *detail;
    ngx_http_s3_cache_conn_t       *conn;
    ngx_http_s3_cache_call_priv_t  *cp;

    conn = c->data;
    cp = conn->call;

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    call_attach(cp, conn);

    if (c->write->timedout) {
        ngx_http_s3_cache_call_fail(cp, NGX_HTTP_S3_CACHE_CALL_TIMEOUT,
                                    NGX_ETIMEDOUT, "origin timed out", "");
        return;
    }

    what = ngx_http_s3_cache_origin_tls_verify(conn, &detail);

    if (what) {
        ngx_http_s3_cache_call_fail(cp, NGX_HTTP_S3_CACHE_CALL_UNREACHABLE, 0,
                                    what, detail);
        return;
    }

    ngx_http_s3_cache_call_send_start(cp);
}


static void
call_read_handler(ngx_event_t *ev)
{
    ngx_connection_t               *c;
    ngx_http_s3_cache_conn_t       *conn;
    ngx_http_s3_cache_call_priv_t  *cp;

    c = ev->data;
    conn = c->data;
    cp = conn->call;

    if (c->close) {
        /* worker_shutdown_timeout */
        ngx_log_error(NGX_LOG_INFO, c->log, 0, "s3_cache: worker is leaving");
        ngx_http_s3_cache_call_end(cp, NGX_HTTP_S3_CACHE_CALL_CUT);
        return;
    }

    if (ev->timedout) {
        ngx_http_s3_cache_call_fail(cp, NGX_HTTP_S3_CACHE_CALL_TIMEOUT,
                                    NGX_ETIMEDOUT, "origin timed out", "");
        return;
    }

    /* it may answer before it has got all of a body */

    if (cp->step >= NGX_HTTP_S3_CACHE_CALL_HEAD
        || (cp->step == NGX_HTTP_S3_CACHE_CALL_SEND && cp->sent
            && cp->body_left > 0))
    {
        ngx_http_s3_cache_call_receive(cp);
    }
}


static void
call_write_handler(ngx_event_t *ev)
{
    ngx_err_t                       err;
    ngx_connection_t               *c;
    ngx_http_s3_cache_conn_t       *conn;
    ngx_http_s3_cache_call_priv_t  *cp;

    c = ev->data;
    conn = c->data;
    cp = conn->call;

    if (ev->timedout) {

        if (cp->step == NGX_HTTP_S3_CACHE_CALL_SEND && cp->expects) {
            ev->timedout = 0;
            ngx_http_s3_cache_call_send_timeout(cp);
            return;
        }

        ngx_http_s3_cache_call_fail(cp, NGX_HTTP_S3_CACHE_CALL_TIMEOUT,
                                    NGX_ETIMEDOUT, "origin timed out", "");
        return;
    }

    if (cp->step == NGX_HTTP_S3_CACHE_CALL_CONNECT) {

        err = call_test_connect(c);

        if (err) {
            ngx_http_s3_cache_call_fail(cp,
                                        NGX_HTTP_S3_CACHE_CALL_UNREACHABLE,
                                        err, "connect() to origin failed",
                                        "");
            return;
        }

        call_connected(cp);
        return;
    }

    if (cp->step == NGX_HTTP_S3_CACHE_CALL_SEND) {
        ngx_http_s3_cache_call_send(cp);
    }
}


void
ngx_http_s3_cache_call_fail(ngx_http_s3_cache_call_priv_t *cp,
    ngx_http_s3_cache_call_end_e end, ngx_err_t err, const char *what,
    const char *detail)
{
    ngx_uint_t                 again, level;
    ngx_http_s3_cache_addr_t  *addr;

    if (call_is_stale(cp, end)) {

        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, cp->call->log, err,
                       "s3 origin kept connection was of no use");

        cp->fresh = 1;
        cp->answered = 0;
        cp->n_interim = 0;
        cp->in.pos = cp->in.start;
        cp->in.last = cp->in.start;

        ngx_http_s3_cache_call_disconnect(cp);
        ngx_http_s3_cache_call_connect(cp);
        return;
    }

    again = !cp->answered
            && (cp->safe || cp->step < NGX_HTTP_S3_CACHE_CALL_SEND)
            && cp->step >= NGX_HTTP_S3_CACHE_CALL_CONNECT
            && --cp->tries > 0;

    if (!cp->answered) {
        call_mark_failed(cp);
    }

    addr = (again && cp->addrs) ? ngx_http_s3_cache_origin_addr_next(cp)
                                : NULL;

    if (cp->addrs && addr == NULL) {
        again = 0;
    }

    level = again ? NGX_LOG_WARN : NGX_LOG_ERR;

    ngx_log_error(level, cp->call->log, err,
                  "s3_cache: %s%s%s%s", what, *detail ? ": " : "", detail,
                  again ? ", trying again" : "");

    if (!again) {
        ngx_http_s3_cache_call_end(cp, end);
        return;
    }

    cp->fresh = 1;

    ngx_http_s3_cache_call_disconnect(cp);

    if (addr) {
        call_try(cp, addr);

    } else {
        ngx_http_s3_cache_call_connect(cp);
    }
}


/*
 * The origin closed a connection while it was kept, or sent a body after an
 * answer that has none (HEAD), which came too late to be seen there. Neither
 * is a failure of this call, nor a try.
 */

static ngx_uint_t
call_is_stale(ngx_http_s3_cache_call_priv_t *cp,
    ngx_http_s3_cache_call_end_e end)
{
    if (cp->conn == NULL || !cp->conn->reused || !cp->safe) {
        return 0;
    }

    if (!cp->answered) {
        return end == NGX_HTTP_S3_CACHE_CALL_CUT;
    }

    return end == NGX_HTTP_S3_CACHE_CALL_MALFORMED
           && cp->step == NGX_HTTP_S3_CACHE_CALL_HEAD
           && cp->conn->bodiless;
}


/* It is avoided for a while, by all calls of this worker. */

static void
call_mark_failed(ngx_http_s3_cache_call_priv_t *cp)
{
    ngx_http_s3_cache_addr_t  *addr;

    if (cp->conn) {
        addr = ngx_http_s3_cache_origin_addr_find(cp->upstream,
                                              &cp->conn->sockaddr.sockaddr,
                                              cp->conn->socklen);

    } else if (cp->addr) {
        addr = ngx_http_s3_cache_origin_addr_find(cp->upstream,
                                              &cp->addr->sockaddr.sockaddr,
                                              cp->addr->socklen);

    } else {
        return;
    }

    if (addr) {
        addr->failed = 1;
        addr->failed_until = ngx_current_msec
                             + NGX_HTTP_S3_CACHE_ADDR_FAIL_TIME;
    }
}
