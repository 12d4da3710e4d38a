/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection to Redis: nginx's socket, timers and TLS, hiredis's protocol.
 * One command at a time. hiredis's own asynchronous connections are not used:
 * they resolve names with a blocking call, and an answer that nobody asked for
 * aborts the process there.
 */

#include "ngx_http_s3_cache_redis_internal.h"


/* The longest answer is 1024 names and values, 0.8 MB. */
#define RECEIVED_MAX   (2 * 1024 * 1024)
#define ELEMENTS_MAX   (4 * S3C_RING_MEMBERS_MAX)
#define BUFFER_BYTES   (16 * 1024)
#define POOL_BYTES     1024


static ngx_int_t ngx_http_s3_cache_redis_reader(
    ngx_http_s3_cache_redis_conn_t *conn);
static void ngx_http_s3_cache_redis_connected(ngx_event_t *ev);
static void ngx_http_s3_cache_redis_write(ngx_event_t *ev);
static void ngx_http_s3_cache_redis_read(ngx_event_t *ev);
static ngx_int_t ngx_http_s3_cache_redis_receive(
    ngx_http_s3_cache_redis_conn_t *conn, redisReply **reply, ssize_t *n,
    ngx_uint_t *reason);
static void ngx_http_s3_cache_redis_silence(ngx_event_t *ev);
static ngx_int_t ngx_http_s3_cache_redis_format(ngx_uint_t argc,
    ngx_str_t *argv, char **out, size_t *len);


void
ngx_http_s3_cache_redis_open(ngx_http_s3_cache_redis_conn_t *conn,
    struct sockaddr *sockaddr, socklen_t socklen, ngx_str_t *name,
    ngx_str_t *host, void (*done)(void *data, redisReply *reply))
{
    ngx_int_t          rc;
    ngx_err_t          err;
    ngx_connection_t  *c;

    ngx_http_s3_cache_redis_close(conn);

    conn->log = *ngx_cycle->log;

    /* what goes wrong is said once by us, and not at each attempt by nginx */

    if (conn->log.log_level <= NGX_LOG_DEBUG) {
        conn->log.log_level = ngx_min(conn->log.log_level, NGX_LOG_ALERT);
        conn->log.next = NULL;
    }

    conn->host = *host;
    conn->done = done;

    ngx_memzero(&conn->peer, sizeof(ngx_peer_connection_t));

    conn->peer.sockaddr = sockaddr;
    conn->peer.socklen = socklen;
    conn->peer.name = name;
    conn->peer.get = ngx_event_get_peer;
    conn->peer.log = &conn->log;
    conn->peer.log_error = NGX_ERROR_INFO;

    if (ngx_http_s3_cache_redis_reader(conn) != NGX_OK) {
        ngx_http_s3_cache_redis_fail(conn, NGX_HTTP_S3_CACHE_REDIS_MEMORY, 0);
        return;
    }

    rc = ngx_event_connect_peer(&conn->peer);
    err = ngx_socket_errno;
    c = conn->peer.connection;

    if (rc == NGX_ERROR || rc == NGX_BUSY || rc == NGX_DECLINED) {

        if (c) {
            ngx_close_connection(c);
            conn->peer.connection = NULL;
        }

        ngx_http_s3_cache_redis_fail(conn, NGX_HTTP_S3_CACHE_REDIS_CONNECT,
                                     err);
        return;
    }

    conn->connection = c;
    c->data = conn;

    c->pool = ngx_create_pool(POOL_BYTES, &conn->log);
    if (c->pool == NULL) {
        ngx_http_s3_cache_redis_fail(conn, NGX_HTTP_S3_CACHE_REDIS_MEMORY, 0);
        return;
    }

    /* no worker stays for Redis */

    c->read->cancelable = 1;
    c->write->cancelable = 1;

    c->read->handler = ngx_http_s3_cache_redis_connected;
    c->write->handler = ngx_http_s3_cache_redis_connected;

    ngx_add_timer(c->write, conn->redis->connect_timeout);

    if (rc == NGX_OK) {
        ngx_post_event(c->write, &ngx_posted_events);
    }
}


void
ngx_http_s3_cache_redis_close(ngx_http_s3_cache_redis_conn_t *conn)
{
    ngx_pool_t        *pool;
    ngx_connection_t  *c;

    c = conn->connection;

    conn->connection = NULL;
    conn->done = NULL;
    conn->received = 0;

    if (conn->reader) {
        redisReaderFree(conn->reader);
        conn->reader = NULL;
    }

    if (conn->out) {
        redisFreeCommand(conn->out);
        conn->out = NULL;
    }

    if (c == NULL) {
        return;
    }

#if (NGX_HTTP_SSL)

    if (c->ssl) {
        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = 1;
        (void) ngx_ssl_shutdown(c);
    }

#endif

    pool = c->pool;

    ngx_close_connection(c);

    if (pool) {
        ngx_destroy_pool(pool);
    }
}


void
ngx_http_s3_cache_redis_fail(ngx_http_s3_cache_redis_conn_t *conn,
    ngx_uint_t reason, ngx_err_t err)
{
    ngx_http_s3_cache_redis_close(conn);

    conn->failed(conn->data, reason, err);
}


/* A lying server must not make us allocate an array of a billion. */

#if (HIREDIS_MAJOR >= 1)
typedef size_t  ngx_http_s3_cache_redis_count_t;
#else
typedef int     ngx_http_s3_cache_redis_count_t;
#endif

static void  *(*ngx_http_s3_cache_redis_array_hiredis)(const redisReadTask *,
    ngx_http_s3_cache_redis_count_t);


static void *
ngx_http_s3_cache_redis_array(const redisReadTask *task,
    ngx_http_s3_cache_redis_count_t n)
{
    if ((size_t) n > ELEMENTS_MAX) {
        return NULL;
    }

    return ngx_http_s3_cache_redis_array_hiredis(task, n);
}


static ngx_int_t
ngx_http_s3_cache_redis_reader(ngx_http_s3_cache_redis_conn_t *conn)
{
    static redisReplyObjectFunctions  functions;

    conn->reader = redisReaderCreate();
    if (conn->reader == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_s3_cache_redis_array_hiredis == NULL) {
        functions = *conn->reader->fn;
        ngx_http_s3_cache_redis_array_hiredis = functions.createArray;
        functions.createArray = ngx_http_s3_cache_redis_array;
    }

    conn->reader->fn = &functions;

    return NGX_OK;
}


static void
ngx_http_s3_cache_redis_connected(ngx_event_t *ev)
{
    int                              err;
    socklen_t                        len;
    ngx_connection_t                *c;
    ngx_http_s3_cache_redis_conn_t  *conn;

    c = ev->data;
    conn = c->data;

    if (ev->timedout) {
        ngx_http_s3_cache_redis_fail(conn,
                             NGX_HTTP_S3_CACHE_REDIS_CONNECT_TIMEOUT, 0);
        return;
    }

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err) {
        ngx_http_s3_cache_redis_fail(conn, NGX_HTTP_S3_CACHE_REDIS_CONNECT,
                                     err);
        return;
    }

    if (ev != c->write && !c->write->ready) {
        return;
    }

#if (NGX_HTTP_SSL)

    if (conn->redis->ssl) {
        ngx_http_s3_cache_redis_handshake(conn);
        return;
    }

#endif

    ngx_http_s3_cache_redis_up(conn);
}


void
ngx_http_s3_cache_redis_up(ngx_http_s3_cache_redis_conn_t *conn)
{
    ngx_connection_t  *c;

    void  (*done)(void *data, redisReply *reply);

    c = conn->connection;

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    c->read->handler = ngx_http_s3_cache_redis_read;
    c->write->handler = ngx_http_s3_cache_redis_write;

    done = conn->done;
    conn->done = NULL;

    done(conn->data, NULL);
}


static ngx_int_t
ngx_http_s3_cache_redis_format(ngx_uint_t argc, ngx_str_t *argv, char **out,
    size_t *len)
{
    long long    n;
    size_t       lens[NGX_HTTP_S3_CACHE_REDIS_ARGS_MAX];
    ngx_uint_t   i;
    const char  *args[NGX_HTTP_S3_CACHE_REDIS_ARGS_MAX];

    for (i = 0; i < argc; i++) {
        args[i] = (const char *) argv[i].data;
        lens[i] = argv[i].len;
    }

    n = redisFormatCommandArgv(out, (int) argc, args, lens);

    if (n < 0) {
        return NGX_ERROR;
    }

    *len = (size_t) n;

    return NGX_OK;
}


void
ngx_http_s3_cache_redis_ask(ngx_http_s3_cache_redis_conn_t *conn,
    ngx_uint_t argc, ngx_str_t *argv,
    void (*done)(void *data, redisReply *reply))
{
    ngx_connection_t  *c;

    c = conn->connection;

    if (ngx_http_s3_cache_redis_format(argc, argv, &conn->out,
                                       &conn->out_len)
        != NGX_OK)
    {
        conn->out = NULL;
        ngx_http_s3_cache_redis_fail(conn, NGX_HTTP_S3_CACHE_REDIS_MEMORY, 0);
        return;
    }

    conn->out_sent = 0;
    conn->received = 0;
    conn->done = done;

    ngx_add_timer(c->read, conn->redis->timeout);

    /* what has come since then, an end of the connection, too */

    if (c->read->ready) {
        ngx_post_event(c->read, &ngx_posted_events);
    }

    ngx_http_s3_cache_redis_write(c->write);
}


void
ngx_http_s3_cache_redis_tell(ngx_http_s3_cache_redis_conn_t *conn,
    ngx_uint_t argc, ngx_str_t *argv)
{
    char    *out;
    size_t   len;

    if (conn->connection == NULL || conn->out
        || ngx_http_s3_cache_redis_format(argc, argv, &out, &len) != NGX_OK)
    {
        return;
    }

    (void) conn->connection->send(conn->connection, (u_char *) out, len);

    redisFreeCommand(out);
}


static void
ngx_http_s3_cache_redis_write(ngx_event_t *ev)
{
    ssize_t                          n;
    ngx_connection_t                *c;
    ngx_http_s3_cache_redis_conn_t  *conn;

    c = ev->data;
    conn = c->data;

    while (conn->out) {
        n = c->send(c, (u_char *) conn->out + conn->out_sent,
                    conn->out_len - conn->out_sent);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR) {
            ngx_http_s3_cache_redis_fail(conn, NGX_HTTP_S3_CACHE_REDIS_CLOSED,
                                         0);
            return;
        }

        conn->out_sent += n;

        if (conn->out_sent == conn->out_len) {
            redisFreeCommand(conn->out);
            conn->out = NULL;
        }
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        ngx_http_s3_cache_redis_fail(conn, NGX_HTTP_S3_CACHE_REDIS_CLOSED, 0);
    }
}


static void
ngx_http_s3_cache_redis_read(ngx_event_t *ev)
{
    ssize_t                          n;
    ngx_uint_t                       reason;
    redisReply                      *reply;
    ngx_connection_t                *c;
    ngx_http_s3_cache_redis_conn_t  *conn;

    void  (*done)(void *data, redisReply *reply);

    c = ev->data;
    conn = c->data;

    if (ev->timedout) {
        ngx_http_s3_cache_redis_silence(ev);
        return;
    }

    reply = NULL;

    if (ngx_http_s3_cache_redis_receive(conn, &reply, &n, &reason)
        != NGX_OK)
    {
        goto failed;
    }

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        reason = NGX_HTTP_S3_CACHE_REDIS_CLOSED;
        goto failed;
    }

    if (reply == NULL) {
        return;
    }

    /* the whole command was not needed for an answer: then it is none */

    if (conn->out) {
        reason = NGX_HTTP_S3_CACHE_REDIS_UNASKED;
        goto failed;
    }

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    done = conn->done;
    conn->done = NULL;

    done(conn->data, reply);

    freeReplyObject(reply);

    return;

failed:

    if (reply) {
        freeReplyObject(reply);
    }

    ngx_http_s3_cache_redis_fail(conn, reason, (n == -1) ? ngx_socket_errno
                                                         : 0);
}


/* All that is there for now, and the answer, if it is complete by that. `n`: of
 * the last recv(). */

static ngx_int_t
ngx_http_s3_cache_redis_receive(ngx_http_s3_cache_redis_conn_t *conn,
    redisReply **reply, ssize_t *n, ngx_uint_t *reason)
{
    ngx_connection_t  *c;

    static u_char  buf[BUFFER_BYTES];

    c = conn->connection;

    for ( ;; ) {
        *n = c->recv(c, buf, BUFFER_BYTES);

        if (*n == NGX_AGAIN) {
            return NGX_OK;
        }

        if (*n == NGX_ERROR || *n == 0) {

            /* "-ERR max number of clients reached", and it is closed */

            if (*reply) {
                return NGX_OK;
            }

            *reason = NGX_HTTP_S3_CACHE_REDIS_CLOSED;
            return NGX_ERROR;
        }

        if (conn->done == NULL || *reply) {
            *reason = NGX_HTTP_S3_CACHE_REDIS_UNASKED;
            return NGX_ERROR;
        }

        conn->received += *n;

        if (conn->received > RECEIVED_MAX) {
            *reason = NGX_HTTP_S3_CACHE_REDIS_TOO_LONG;
            return NGX_ERROR;
        }

        if (redisReaderFeed(conn->reader, (char *) buf, *n) != REDIS_OK
            || redisReaderGetReply(conn->reader, (void **) reply) != REDIS_OK)
        {
            *reason = NGX_HTTP_S3_CACHE_REDIS_GARBLED;
            return NGX_ERROR;
        }

        if (*reply && conn->reader->pos < conn->reader->len) {
            *reason = NGX_HTTP_S3_CACHE_REDIS_UNASKED;
            return NGX_ERROR;
        }
    }
}


static void
ngx_http_s3_cache_redis_silence(ngx_event_t *ev)
{
    ngx_connection_t                *c;
    ngx_http_s3_cache_redis_conn_t  *conn;

    c = ev->data;
    conn = c->data;

    ngx_http_s3_cache_redis_fail(conn, NGX_HTTP_S3_CACHE_REDIS_SILENT, 0);
}
