/* SPDX-License-Identifier: Apache-2.0
 *
 * Links from this worker to other nodes: made when somebody asks, one more when
 * those that are there have much to do, given up after a minute without work.
 *
 * A node that cannot be reached, is not who it should be, or falls silent is
 * left alone for a while: who asks is told at once, and asks elsewhere. The
 * first question after that is the probe.
 */

#include "ngx_http_s3_cache_peer.h"


#define LINKS_MAX      16
#define STREAMS_GOOD   32         /* on a link; with more, another is made */
#define ANSWER_BYTES   4096       /* to the Upgrade */
#define IDLE_MSEC      60000


typedef enum {
    NEAR_CONNECT = 0,
    NEAR_HANDSHAKE,
    NEAR_SEND,
    NEAR_ANSWER
} near_step_e;


/* A connection on its way to be a link. */
typedef struct {
    ngx_http_s3_cache_near_t   *near;
    ngx_connection_t           *connection;
    near_step_e                 step;
    s3c_wire_hello_t            hello;
    u_char                     *pos;           /* of the request */
    u_char                     *last;
    u_char                     *got;           /* of the answer */
    u_char                     *end;
    u_char                      answer[ANSWER_BYTES];
} near_knock_t;


/* A node as this worker sees it. */
struct ngx_http_s3_cache_near_s {
    ngx_http_s3_cache_peers_t  *peers;
    ngx_http_s3_cache_node_t   *node;
    ngx_http_s3_cache_link_t   *links[LINKS_MAX];
    ngx_uint_t                  nlinks;
    near_knock_t               *knock;         /* one at a time, or NULL */
    ngx_queue_t                 waiting;       /* asks, for a link */
    ngx_msec_t                  rest_until;
    unsigned                    rests:1;
};


static ngx_http_s3_cache_link_t *near_best(ngx_http_s3_cache_near_t *near);
static ngx_int_t near_knock(ngx_http_s3_cache_near_t *near);
static void near_knock_handler(ngx_event_t *ev);
static void near_knock_run(near_knock_t *k);
static ngx_int_t near_knock_print(near_knock_t *k);
static void near_knock_read(near_knock_t *k);
static void near_knock_end(near_knock_t *k, const char *why);
static ngx_int_t near_answer(near_knock_t *k, s3c_slice_t head,
    const char **why);
static void near_up(near_knock_t *k, u_char *rest, size_t len);
static void near_close(ngx_connection_t *c);
static void near_link_read(ngx_event_t *ev);
static void near_link_write(ngx_event_t *ev);
#if (NGX_SSL)
static void near_handshaked(ngx_connection_t *c);
#endif


ngx_int_t
ngx_http_s3_cache_near_init_worker(ngx_cycle_t *cycle,
    ngx_http_s3_cache_main_conf_t *mcf)
{
    ngx_uint_t                  i, k;
    ngx_http_s3_cache_near_t   *near;
    ngx_http_s3_cache_node_t   *nodes;
    ngx_http_s3_cache_zone_t  **zones;
    ngx_http_s3_cache_peers_t  *peers;

    zones = mcf->zones.elts;

    for (i = 0; i < mcf->zones.nelts; i++) {
        peers = zones[i]->peers;

        if (peers == NULL) {
            continue;
        }

        near = ngx_pcalloc(cycle->pool, peers->nodes.nelts
                                        * sizeof(ngx_http_s3_cache_near_t));
        if (near == NULL) {
            return NGX_ERROR;
        }

        nodes = peers->nodes.elts;

        for (k = 0; k < peers->nodes.nelts; k++) {
            near[k].peers = peers;
            near[k].node = &nodes[k];
            ngx_queue_init(&near[k].waiting);
        }

        peers->near = near;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_s3_cache_near_ask(ngx_http_s3_cache_peers_t *peers, ngx_uint_t node,
    ngx_http_s3_cache_ask_t *ask)
{
    ngx_http_s3_cache_link_t  *link;
    ngx_http_s3_cache_near_t  *near;

    near = &peers->near[node];

    if (near->rests) {

        if ((ngx_msec_int_t) (near->rest_until - ngx_current_msec) > 0) {
            return NGX_DECLINED;
        }

        near->rests = 0;
    }

    link = near_best(near);

    if ((link == NULL || link->nstreams >= STREAMS_GOOD)
        && near->nlinks < ngx_min(peers->links, LINKS_MAX)
        && near->knock == NULL && !ngx_exiting && !ngx_terminate)
    {
        (void) near_knock(near);
    }

    if (link != NULL) {
        ngx_http_s3_cache_ask_up(ask, link);
        return NGX_OK;
    }

    if (near->knock == NULL) {
        return NGX_DECLINED;
    }

    ask->waiting = 1;
    ngx_queue_insert_tail(&near->waiting, &ask->queue);

    return NGX_OK;
}


/* The one with the least to do. */

static ngx_http_s3_cache_link_t *
near_best(ngx_http_s3_cache_near_t *near)
{
    ngx_uint_t                 i;
    ngx_http_s3_cache_link_t  *link, *best;

    best = NULL;

    for (i = 0; i < near->nlinks; i++) {
        link = near->links[i];

        if (!link->leaving && !link->dead
            && link->nstreams < NGX_HTTP_S3_CACHE_LINK_STREAMS_MAX
            && (best == NULL || link->nstreams < best->nstreams))
        {
            best = link;
        }
    }

    return best;
}


/* --- the handshake ----------------------------------------------------------- */

static ngx_int_t
near_knock(ngx_http_s3_cache_near_t *near)
{
    ngx_int_t               rc;
    ngx_log_t              *log;
    ngx_pool_t             *pool;
    ngx_addr_t             *addr;
    near_knock_t           *k;
    ngx_connection_t       *c;
    ngx_peer_connection_t   pc;

    log = ngx_cycle->log;

    pool = ngx_create_pool(1024, log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    k = ngx_pcalloc(pool, sizeof(near_knock_t));
    if (k == NULL) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    addr = &near->node->url.addrs[0];

    ngx_memzero(&pc, sizeof(ngx_peer_connection_t));

    pc.sockaddr = addr->sockaddr;
    pc.socklen = addr->socklen;
    pc.name = &addr->name;
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

        near_knock_end(k, "no connection");
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    c->data = k;
    c->pool = pool;
    c->log = log;
    c->read->log = log;
    c->write->log = log;
    c->read->handler = near_knock_handler;
    c->write->handler = near_knock_handler;

    ngx_add_timer(c->write, near->peers->connect_timeout);

    if (rc == NGX_OK) {
        ngx_post_event(c->write, &ngx_posted_events);
    }

    return NGX_OK;
}


static void
near_knock_handler(ngx_event_t *ev)
{
    near_knock_t      *k;
    ngx_connection_t  *c;

    c = ev->data;
    k = c->data;

    if (ev->timedout) {
        near_knock_end(k, "timed out");
        return;
    }

    near_knock_run(k);
}


static void
near_knock_run(near_knock_t *k)
{
    int                err;
    ssize_t            n;
    socklen_t          len;
    ngx_connection_t  *c;

    c = k->connection;

    if (k->step == NEAR_CONNECT) {

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
            near_knock_end(k, "refused");
            return;
        }

        (void) ngx_tcp_nodelay(c);

#if (NGX_SSL)
        if (k->near->peers->ssl != NULL) {

            k->step = NEAR_HANDSHAKE;

            if (ngx_ssl_create_connection(k->near->peers->ssl, c,
                                          NGX_SSL_CLIENT)
                != NGX_OK)
            {
                near_knock_end(k, "no TLS");
                return;
            }

            if (ngx_ssl_handshake(c) == NGX_AGAIN) {
                c->ssl->handler = near_handshaked;
                return;
            }

            near_handshaked(c);
            return;
        }
#endif

        k->step = NEAR_SEND;
    }

    if (k->step == NEAR_SEND) {

        if (k->pos == NULL && near_knock_print(k) != NGX_OK) {
            near_knock_end(k, "no memory");
            return;
        }

        while (k->pos < k->last) {

            n = c->send(c, k->pos, k->last - k->pos);

            if (n == NGX_ERROR) {
                near_knock_end(k, "closed");
                return;
            }

            if (n == NGX_AGAIN) {

                if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
                    near_knock_end(k, "no event");
                }

                return;
            }

            k->pos += n;
        }

        k->step = NEAR_ANSWER;
        k->got = k->answer;
        k->end = k->answer + ANSWER_BYTES;
    }

    if (k->step == NEAR_ANSWER) {
        near_knock_read(k);
    }
}


#if (NGX_SSL)

static void
near_handshaked(ngx_connection_t *c)
{
    X509           *cert;
    ngx_int_t       rc;
    near_knock_t   *k;

    k = c->data;

    if (!c->ssl->handshaked) {
        near_knock_end(k, "TLS handshake failed");
        return;
    }

    if (SSL_get_verify_result(c->ssl->connection) != X509_V_OK) {
        near_knock_end(k, "TLS certificate verify error");
        return;
    }

    cert = SSL_get_peer_certificate(c->ssl->connection);
    if (cert == NULL) {
        near_knock_end(k, "TLS certificate is missing");
        return;
    }

    X509_free(cert);

    rc = ngx_ssl_check_host(c, &k->near->node->name);

    if (rc != NGX_OK) {
        near_knock_end(k, "TLS certificate of another node");
        return;
    }

    c->read->handler = near_knock_handler;
    c->write->handler = near_knock_handler;
    k->step = NEAR_SEND;

    near_knock_run(k);
}

#endif


static ngx_int_t
near_knock_print(near_knock_t *k)
{
    size_t                      len;
    u_char                     *p;
    ngx_str_t                  *self, *peer;
    s3c_writer_t                w;
    ngx_http_s3_cache_node_t   *nodes;
    ngx_http_s3_cache_peers_t  *peers;

    peers = k->near->peers;
    nodes = peers->nodes.elts;
    self = &nodes[peers->self].name;
    peer = &k->near->node->name;

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
near_knock_read(near_knock_t *k)
{
    ssize_t            n;
    u_char            *p;
    const char        *why;
    ngx_connection_t  *c;

    c = k->connection;

    for ( ;; ) {

        if (k->got == k->end) {
            near_knock_end(k, "its answer is too long");
            return;
        }

        n = c->recv(c, k->got, k->end - k->got);

        if (n == NGX_AGAIN) {

            if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
                near_knock_end(k, "no event");
            }

            return;
        }

        if (n == 0 || n == NGX_ERROR) {
            near_knock_end(k, "closed");
            return;
        }

        k->got += n;

        p = ngx_strlcasestrn(k->answer, k->got, (u_char *) "\r\n\r\n", 4 - 1);

        if (p != NULL) {
            break;
        }
    }

    if (near_answer(k, s3c_slice(k->answer, p + 2 - k->answer), &why)
        != NGX_OK)
    {
        near_knock_end(k, why);
        return;
    }

    near_up(k, p + 4, k->got - (p + 4));
}


/* "HTTP/1.1 101 ..." and lines, each with its end. */

static ngx_int_t
near_answer(near_knock_t *k, s3c_slice_t head, const char **why)
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


/* The knock came to nothing; connection may be NULL. */

static void
near_knock_end(near_knock_t *k, const char *why)
{
    ngx_queue_t                *q;
    ngx_connection_t           *c;
    ngx_http_s3_cache_ask_t    *ask;
    ngx_http_s3_cache_near_t   *near;

    near = k->near;
    c = k->connection;
    near->knock = NULL;

    if (near->nlinks == 0) {
        near->rests = 1;
        near->rest_until = ngx_current_msec + near->peers->retry;

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "s3_cache_peers: no link to node \"%V\" (%V): %s",
                      &near->node->name, &near->node->url.addrs[0].name, why);
    }

    if (c != NULL) {
        near_close(c);
    }

    while (!ngx_queue_empty(&near->waiting)) {
        q = ngx_queue_head(&near->waiting);
        ask = ngx_queue_data(q, ngx_http_s3_cache_ask_t, queue);

        ngx_http_s3_cache_ask_away(ask);
    }
}


static void
near_up(near_knock_t *k, u_char *rest, size_t len)
{
    ngx_http_s3_cache_near_link_t  *end;
    ngx_queue_t                *q;
    s3c_wire_keys_t             keys;
    ngx_connection_t           *c;
    ngx_http_s3_cache_ask_t    *ask;
    ngx_http_s3_cache_link_t   *link;
    ngx_http_s3_cache_near_t   *near;

    near = k->near;
    c = k->connection;

    end = ngx_pcalloc(c->pool, sizeof(ngx_http_s3_cache_near_link_t));

    if (end == NULL
        || s3c_wire_hello_keys(&k->hello,
                               ngx_http_s3_cache_slice(&near->peers->secret),
                               &keys)
           != S3C_OK)
    {
        near_knock_end(k, "no memory");
        return;
    }

    end->near = near;
    end->stream = UINT32_MAX;            /* the first is 1 */
    ngx_queue_init(&end->fed);

    link = ngx_http_s3_cache_link_create(c, &ngx_http_s3_cache_asker, end,
                                         near->peers->timeout, &keys, 1);
    if (link == NULL) {
        near_knock_end(k, "no memory");
        return;
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    c->data = link;
    c->read->handler = near_link_read;
    c->write->handler = near_link_write;
    c->idle = 1;

    near->knock = NULL;
    near->links[near->nlinks++] = link;

    ngx_log_error(NGX_LOG_INFO, c->log, 0,
                  "s3_cache_peers: link to node \"%V\"", &near->node->name);

    while (!ngx_queue_empty(&near->waiting)) {
        q = ngx_queue_head(&near->waiting);
        ask = ngx_queue_data(q, ngx_http_s3_cache_ask_t, queue);

        ngx_http_s3_cache_ask_up(ask, link);
    }

    if (len > 0) {
        ngx_http_s3_cache_link_feed(link, rest, len);
        return;
    }

    ngx_post_event(c->read, &ngx_posted_events);
}


static void
near_close(ngx_connection_t *c)
{
    ngx_pool_t  *pool;

    pool = c->pool;

#if (NGX_SSL)
    if (c->ssl != NULL) {
        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = 1;
        (void) ngx_ssl_shutdown(c);
    }
#endif

    ngx_close_connection(c);
    ngx_destroy_pool(pool);
}


/* --- a link ------------------------------------------------------------------ */

static void
near_link_read(ngx_event_t *ev)
{
    ngx_connection_t          *c;
    ngx_http_s3_cache_link_t  *link;

    c = ev->data;
    link = c->data;

    if (c->close) {
        /* this worker ends, or nginx is short of connections */
        ngx_http_s3_cache_link_close(link, NULL);
        return;
    }

    if (ev->timedout) {
        ev->timedout = 0;
        ngx_http_s3_cache_link_timer(link);
        return;
    }

    ngx_http_s3_cache_link_read(link);
}


static void
near_link_write(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    ngx_http_s3_cache_link_write(c->data);
}


void
ngx_http_s3_cache_near_closed(ngx_http_s3_cache_link_t *link, const char *why)
{
    ngx_uint_t                 i;
    ngx_http_s3_cache_near_link_t  *end;
    ngx_http_s3_cache_near_t  *near;

    end = link->data;
    near = end->near;

    for (i = 0; i < near->nlinks; i++) {
        if (near->links[i] == link) {
            near->links[i] = near->links[--near->nlinks];
            break;
        }
    }

    if (why != NULL) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "s3_cache_peers: link to node \"%V\" lost: %s",
                      &near->node->name, why);

        if (link->silent) {
            /* it hangs: the other links would only find out as slowly */
            near->rests = 1;
            near->rest_until = ngx_current_msec + near->peers->retry;
        }
    }

    near_close(link->connection);
}



void
ngx_http_s3_cache_near_exit_worker(ngx_http_s3_cache_main_conf_t *mcf)
{
    ngx_uint_t                  i, k;
    ngx_http_s3_cache_near_t   *near;
    ngx_http_s3_cache_peers_t **peers;

    peers = mcf->peers.elts;

    for (i = 0; i < mcf->peers.nelts; i++) {

        if (peers[i]->near == NULL) {
            continue;
        }

        for (k = 0; k < peers[i]->nodes.nelts; k++) {
            near = &peers[i]->near[k];

            if (near->knock != NULL) {
                near_knock_end(near->knock, "this worker ends");
            }

            while (near->nlinks > 0) {
                ngx_http_s3_cache_link_close(near->links[0], NULL);
            }
        }
    }
}
