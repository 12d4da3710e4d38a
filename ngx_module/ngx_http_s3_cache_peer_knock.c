/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection to another node on its way to be a link: connect, TLS, an
 * Upgrade in which both ends prove that they know the secret.
 */

#include "ngx_http_s3_cache_peer.h"


#define ANSWER_BYTES   4096       /* to the Upgrade */


typedef enum {
    KNOCK_CONNECT = 0,
    KNOCK_HANDSHAKE,
    KNOCK_SEND,
    KNOCK_ANSWER
} knock_step_e;


struct ngx_http_s3_cache_knock_s {
    ngx_http_s3_cache_near_t   *near;
    ngx_connection_t           *connection;
    knock_step_e                step;
    s3c_wire_hello_t            hello;
    u_char                     *pos;           /* of the request */
    u_char                     *last;
    u_char                     *got;           /* of the answer */
    u_char                     *end;
    u_char                      answer[ANSWER_BYTES];
};

typedef ngx_http_s3_cache_knock_t  knock_t;


static void knock_handler(ngx_event_t *ev);
static void knock_run(knock_t *k);
#if (NGX_SSL)
static void knock_handshaked(ngx_connection_t *c);
#endif
static ngx_int_t knock_print(knock_t *k);
static void knock_read(knock_t *k);
static ngx_int_t knock_answer(knock_t *k, s3c_slice_t head, const char **why);


ngx_int_t
ngx_http_s3_cache_knock(ngx_http_s3_cache_near_t *near)
{
    ngx_int_t               rc;
    ngx_log_t              *log;
    ngx_pool_t             *pool;
    knock_t                *k;
    ngx_connection_t       *c;
    ngx_peer_connection_t   pc;

    log = ngx_cycle->log;

    pool = ngx_create_pool(1024, log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    k = ngx_pcalloc(pool, sizeof(knock_t));
    if (k == NULL) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    ngx_memzero(&pc, sizeof(ngx_peer_connection_t));

    pc.sockaddr = &near->sockaddr.sockaddr;
    pc.socklen = near->socklen;
    pc.name = &near->address;
    pc.get = ngx_event_get_peer;
    pc.log = log;
    pc.log_error = NGX_ERROR_INFO;

    rc = ngx_event_connect_peer(&pc);

    c = pc.connection;
    k->near = near;
    k->connection = c;
    near->knock = k;

    if (rc != NGX_OK && rc != NGX_AGAIN) {

        if (c != NULL) {
            ngx_close_connection(c);
            k->connection = NULL;
        }

        ngx_http_s3_cache_knock_end(k, "no connection");
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    c->data = k;
    c->pool = pool;
    c->log = log;
    c->read->log = log;
    c->write->log = log;
    c->read->handler = knock_handler;
    c->write->handler = knock_handler;

    ngx_add_timer(c->write, near->peers->connect_timeout);

    if (rc == NGX_OK) {
        ngx_post_event(c->write, &ngx_posted_events);
    }

    return NGX_OK;
}


static void
knock_handler(ngx_event_t *ev)
{
    knock_t           *k;
    ngx_connection_t  *c;

    c = ev->data;
    k = c->data;

    if (ev->timedout) {
        ngx_http_s3_cache_knock_end(k, "timed out");
        return;
    }

    knock_run(k);
}


static void
knock_run(knock_t *k)
{
    int                err;
    ssize_t            n;
    socklen_t          len;
    ngx_connection_t  *c;

    c = k->connection;

    if (k->step == KNOCK_CONNECT) {

        if (!c->write->ready) {
            return;
        }

        err = 0;
        len = sizeof(int);

        if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len)
            == -1)
        {
            err = ngx_socket_errno;
        }

        if (err) {
            ngx_http_s3_cache_knock_end(k, "refused");
            return;
        }

        (void) ngx_tcp_nodelay(c);

#if (NGX_SSL)
        if (k->near->peers->ssl != NULL) {

            k->step = KNOCK_HANDSHAKE;

            if (ngx_ssl_create_connection(k->near->peers->ssl, c,
                                          NGX_SSL_CLIENT)
                != NGX_OK)
            {
                ngx_http_s3_cache_knock_end(k, "no TLS");
                return;
            }

            if (ngx_ssl_handshake(c) == NGX_AGAIN) {
                c->ssl->handler = knock_handshaked;
                return;
            }

            knock_handshaked(c);
            return;
        }
#endif

        k->step = KNOCK_SEND;
    }

    if (k->step == KNOCK_SEND) {

        if (k->pos == NULL && knock_print(k) != NGX_OK) {
            ngx_http_s3_cache_knock_end(k, "no memory");
            return;
        }

        while (k->pos < k->last) {

            n = c->send(c, k->pos, k->last - k->pos);

            if (n == NGX_ERROR) {
                ngx_http_s3_cache_knock_end(k, "closed");
                return;
            }

            if (n == NGX_AGAIN) {

                if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
                    ngx_http_s3_cache_knock_end(k, "no event");
                }

                return;
            }

            k->pos += n;
        }

        k->step = KNOCK_ANSWER;
        k->got = k->answer;
        k->end = k->answer + ANSWER_BYTES;
    }

    if (k->step == KNOCK_ANSWER) {
        knock_read(k);
    }
}


#if (NGX_SSL)

static void
knock_handshaked(ngx_connection_t *c)
{
    X509           *cert;
    ngx_int_t       rc;
    knock_t   *k;

    k = c->data;

    if (!c->ssl->handshaked) {
        ngx_http_s3_cache_knock_end(k, "TLS handshake failed");
        return;
    }

    if (SSL_get_verify_result(c->ssl->connection) != X509_V_OK) {
        ngx_http_s3_cache_knock_end(k, "TLS certificate verify error");
        return;
    }

    cert = SSL_get_peer_certificate(c->ssl->connection);
    if (cert == NULL) {
        ngx_http_s3_cache_knock_end(k, "TLS certificate is missing");
        return;
    }

    X509_free(cert);

    rc = ngx_ssl_check_host(c, &k->near->name);

    if (rc != NGX_OK) {
        ngx_http_s3_cache_knock_end(k, "TLS certificate of another node");
        return;
    }

    c->read->handler = knock_handler;
    c->write->handler = knock_handler;
    k->step = KNOCK_SEND;

    knock_run(k);
}

#endif


static ngx_int_t
knock_print(knock_t *k)
{
    size_t                      len;
    u_char                     *p;
    ngx_str_t                  *self, *peer;
    s3c_writer_t                w;
    ngx_http_s3_cache_peers_t  *peers;

    peers = k->near->peers;
    self = ngx_http_s3_cache_peer_self(peers);
    peer = &k->near->name;

    len = 256 + peer->len + S3C_WIRE_HELLO_TEXT_MAX;

    p = ngx_pnalloc(k->connection->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    s3c_writer_init(&w, p, len);
    s3c_write_lit(&w, "GET " NGX_HTTP_S3_CACHE_PEER_URI " HTTP/1.1\r\nHost: ");
    s3c_write_slice(&w, ngx_http_s3_cache_slice(peer));
    s3c_write_lit(&w, "\r\nConnection: Upgrade\r\nUpgrade: "
                      NGX_HTTP_S3_CACHE_PEER_UPGRADE "\r\n"
                      NGX_HTTP_S3_CACHE_PEER_HELLO ": ");

    if (s3c_wire_hello_client_make(&k->hello,
                                   ngx_http_s3_cache_slice(&peers->secret),
                                   ngx_http_s3_cache_slice(self),
                                   ngx_http_s3_cache_slice(peer),
                                   (uint64_t) ngx_cached_time->sec * 1000
                                   + ngx_cached_time->msec,
                                   &w)
        != S3C_OK)
    {
        return NGX_ERROR;
    }

    s3c_write_lit(&w, "\r\n\r\n");

    if (!s3c_writer_ok(&w)) {
        return NGX_ERROR;
    }

    k->pos = p;
    k->last = p + s3c_writer_slice(&w).len;

    return NGX_OK;
}


static void
knock_read(knock_t *k)
{
    ssize_t            n;
    u_char            *p;
    const char        *why;
    ngx_connection_t  *c;

    c = k->connection;

    for ( ;; ) {

        if (k->got == k->end) {
            ngx_http_s3_cache_knock_end(k, "its answer is too long");
            return;
        }

        n = c->recv(c, k->got, k->end - k->got);

        if (n == NGX_AGAIN) {

            if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
                ngx_http_s3_cache_knock_end(k, "no event");
            }

            return;
        }

        if (n == 0 || n == NGX_ERROR) {
            ngx_http_s3_cache_knock_end(k, "closed");
            return;
        }

        k->got += n;

        p = ngx_strlcasestrn(k->answer, k->got, (u_char *) "\r\n\r\n", 4 - 1);

        if (p != NULL) {
            break;
        }
    }

    if (knock_answer(k, s3c_slice(k->answer, p + 2 - k->answer), &why)
        != NGX_OK)
    {
        ngx_http_s3_cache_knock_end(k, why);
        return;
    }

    k->near->knock = NULL;

    ngx_http_s3_cache_near_up(k->near, c, &k->hello, p + 4,
                              k->got - (p + 4));
}


/* "HTTP/1.1 101 ..." and lines, each with its end. */

static ngx_int_t
knock_answer(knock_t *k, s3c_slice_t head, const char **why)
{
    size_t       n;
    u_char      *p, *last, *eol;
    s3c_slice_t  hello;

    p = (u_char *) head.data;
    last = p + head.len;

    if (head.len < 12 || ngx_strncmp(p, "HTTP/1.1 ", 9) != 0) {
        *why = "it does not speak HTTP";
        return NGX_ERROR;
    }

    if (ngx_strncmp(p + 9, "101", 3) != 0) {
        *why = "it refused the link";
        return NGX_ERROR;
    }

    n = sizeof(NGX_HTTP_S3_CACHE_PEER_HELLO) - 1;

    while (p < last) {
        eol = ngx_strlchr(p, last, CR);
        if (eol == NULL) {
            break;
        }

        if ((size_t) (eol - p) > n + 2
            && ngx_strncasecmp(p, (u_char *) NGX_HTTP_S3_CACHE_PEER_HELLO, n)
               == 0
            && p[n] == ':')
        {
            hello = s3c_slice(p + n + 2, eol - (p + n + 2));

            if (s3c_wire_hello_server_check(&k->hello,
                    ngx_http_s3_cache_slice(&k->near->peers->secret), hello)
                != S3C_OK)
            {
                *why = k->hello.why != NULL ? k->hello.why : "a bad hello";
                return NGX_ERROR;
            }

            return NGX_OK;
        }

        p = eol + 2;
    }

    *why = "no hello";

    return NGX_ERROR;
}


/* It came to nothing; connection may be NULL. */

void
ngx_http_s3_cache_knock_end(ngx_http_s3_cache_knock_t *k, const char *why)
{
    ngx_connection_t          *c;
    ngx_http_s3_cache_near_t  *near;

    near = k->near;
    c = k->connection;
    near->knock = NULL;

    if (c != NULL) {
        ngx_http_s3_cache_near_close_connection(c);
    }

    ngx_http_s3_cache_near_down(near, why);
}
