/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections to origins and the idle ones among them: a queue per worker
 * and origin, the last used one is taken first. A kept connection is closed
 * by anything that comes on it, by its timer, by a younger one when there
 * are too many, and when the worker goes.
 *
 * LIMITS  s3_cache_origin_keepalive idle ones, an hour of age.
 */

#include "ngx_http_s3_cache_origin_internal.h"


static ngx_int_t conn_is_silent(ngx_http_s3_cache_conn_t *conn);
static void conn_set_log(ngx_connection_t *c, ngx_log_t *log);
static void conn_idle_handler(ngx_event_t *ev);
static void conn_empty_handler(ngx_event_t *ev);


ngx_int_t
ngx_http_s3_cache_conn_open(ngx_http_s3_cache_call_priv_t *cp,
    ngx_http_s3_cache_addr_t *addr, ngx_http_s3_cache_conn_t **connp)
{
    ngx_int_t                  rc;
    ngx_pool_t                *pool;
    ngx_peer_connection_t      pc;
    ngx_http_s3_cache_conn_t  *conn;

    pool = ngx_create_pool(1024, cp->call->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    conn = ngx_pcalloc(pool, sizeof(ngx_http_s3_cache_conn_t)
                             + NGX_SOCKADDR_STRLEN);
    if (conn == NULL) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    ngx_memcpy(&conn->sockaddr, &addr->sockaddr, addr->socklen);
    conn->socklen = addr->socklen;

    conn->name.data = (u_char *) &conn[1];
    conn->name.len = addr->name_len;
    ngx_memcpy(conn->name.data, addr->name, addr->name_len);

    conn->upstream = cp->upstream;
    conn->since = ngx_time();

    ngx_memzero(&pc, sizeof(ngx_peer_connection_t));

    pc.sockaddr = &conn->sockaddr.sockaddr;
    pc.socklen = conn->socklen;
    pc.name = &conn->name;
    pc.get = ngx_event_get_peer;
    pc.log = cp->call->log;
    pc.log_error = NGX_ERROR_INFO;      /* the call logs its failure itself */

    rc = ngx_event_connect_peer(&pc);

    if (rc != NGX_OK && rc != NGX_AGAIN) {

        if (pc.connection) {
            ngx_close_connection(pc.connection);
        }

        ngx_destroy_pool(pool);

        return (rc == NGX_DECLINED) ? NGX_DECLINED : NGX_ERROR;
    }

    conn->connection = pc.connection;
    conn->call = cp;

    pc.connection->data = conn;
    pc.connection->pool = pool;
    conn_set_log(pc.connection, cp->call->log);

    *connp = conn;

    return rc;
}


static void
conn_set_log(ngx_connection_t *c, ngx_log_t *log)
{
    c->log = log;
    c->pool->log = log;
    c->read->log = log;
    c->write->log = log;
}


void
ngx_http_s3_cache_conn_close(ngx_http_s3_cache_conn_t *conn, ngx_uint_t clean)
{
    ngx_pool_t        *pool;
    ngx_connection_t  *c;

    c = conn->connection;
    pool = c->pool;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "s3 origin close connection: %d", c->fd);

    ngx_http_s3_cache_origin_tls_close(conn, clean);

    ngx_close_connection(c);
    ngx_destroy_pool(pool);
}


/*
 * NGX_OK: nothing has come and it is open. TLS records without payload (new
 * session tickets) are read and are no reason to close.
 */

static ngx_int_t
conn_is_silent(ngx_http_s3_cache_conn_t *conn)
{
    u_char             ch[1];
    ssize_t            n;
    ngx_connection_t  *c;

    c = conn->connection;

    if (c->close || c->error || c->read->eof || c->read->error) {
        return NGX_ERROR;
    }

    n = recv(c->fd, (char *) ch, 1, MSG_PEEK);

    if (n == -1 && ngx_socket_errno == NGX_EAGAIN) {
        c->read->ready = 0;

    } else if (n <= 0) {
        return NGX_ERROR;
    }

#if (NGX_HTTP_SSL)
    if (c->ssl) {
        /* also what the library has read ahead */
        c->read->ready = 1;

        return (c->recv(c, ch, 1) == NGX_AGAIN) ? NGX_OK : NGX_ERROR;
    }
#endif

    return (n == -1) ? NGX_OK : NGX_ERROR;
}


void
ngx_http_s3_cache_conn_keep(ngx_http_s3_cache_conn_t *conn)
{
    ngx_queue_t                   *q;
    ngx_connection_t              *c;
    ngx_http_s3_cache_upstream_t  *up;

    c = conn->connection;
    up = conn->upstream;

    conn->call = NULL;
    conn_set_log(c, ngx_cycle->log);

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    if (ngx_exiting || ngx_terminate || ngx_quit
        || up->conf->keepalive == 0
        || ngx_time() - conn->since >= NGX_HTTP_S3_CACHE_CONN_AGE_MAX
        || ngx_handle_read_event(c->read, 0) != NGX_OK
        || conn_is_silent(conn) != NGX_OK)
    {
        ngx_http_s3_cache_conn_close(conn, 1);
        return;
    }

    if (up->n_idle >= up->conf->keepalive) {
        q = ngx_queue_last(&up->idle);
        ngx_queue_remove(q);
        up->n_idle--;

        ngx_http_s3_cache_conn_close(
                     ngx_queue_data(q, ngx_http_s3_cache_conn_t, queue), 1);
    }

    c->read->handler = conn_idle_handler;
    c->write->handler = conn_empty_handler;

    /* neither it nor its timer may keep a leaving worker */
    c->idle = 1;
    c->read->cancelable = 1;

    ngx_add_timer(c->read, up->conf->keepalive_timeout);

    ngx_queue_insert_head(&up->idle, &conn->queue);
    up->n_idle++;
}


ngx_http_s3_cache_conn_t *
ngx_http_s3_cache_conn_take(ngx_http_s3_cache_call_priv_t *cp)
{
    ngx_queue_t                   *q;
    ngx_connection_t              *c;
    ngx_http_s3_cache_conn_t      *conn;
    ngx_http_s3_cache_upstream_t  *up;

    up = cp->upstream;

    while (!ngx_queue_empty(&up->idle)) {
        q = ngx_queue_head(&up->idle);
        conn = ngx_queue_data(q, ngx_http_s3_cache_conn_t, queue);
        c = conn->connection;

        ngx_queue_remove(q);
        up->n_idle--;

        c->idle = 0;
        c->read->cancelable = 0;
        ngx_del_timer(c->read);

        /*
         * The event that tells of data or of its end may still be on its
         * way: what has come here unasked must not be taken for an answer.
         */

        if (conn_is_silent(conn) != NGX_OK) {
            ngx_http_s3_cache_conn_close(conn, 1);
            continue;
        }

        conn->call = cp;
        conn->reused = 1;
        conn_set_log(c, cp->call->log);

        return conn;
    }

    return NULL;
}


static void
conn_idle_handler(ngx_event_t *ev)
{
    ngx_connection_t          *c;
    ngx_http_s3_cache_conn_t  *conn;

    c = ev->data;
    conn = c->data;

    if (!c->close && !ev->timedout
        && conn_is_silent(conn) == NGX_OK
        && ngx_handle_read_event(ev, 0) == NGX_OK)
    {
        return;
    }

    ngx_queue_remove(&conn->queue);
    conn->upstream->n_idle--;

    ngx_http_s3_cache_conn_close(conn, 1);
}


static void
conn_empty_handler(ngx_event_t *ev)
{
    /* void */
}


void
ngx_http_s3_cache_conn_close_idle(ngx_http_s3_cache_upstream_t *up)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&up->idle)) {
        q = ngx_queue_head(&up->idle);
        ngx_queue_remove(q);
        up->n_idle--;

        ngx_http_s3_cache_conn_close(
                     ngx_queue_data(q, ngx_http_s3_cache_conn_t, queue), 1);
    }
}
