/* SPDX-License-Identifier: Apache-2.0
 *
 * Where other nodes connect: a location of nginx, so that TLS, client
 * certificates, limits and logs are nginx's own. The request asks for an
 * Upgrade and proves that its sender knows the secret; then the connection is a
 * link, and the request lives as long as that.
 *
 * Whoever does not is refused, counted, and told nothing.
 */

#include "ngx_http_s3_cache_peer.h"


#define ANSWER_MAX  (256 + S3C_WIRE_HELLO_TEXT_MAX)


static ngx_int_t peer_answer(ngx_http_request_t *r,
    ngx_http_s3_cache_peers_t *peers, s3c_wire_hello_t *hello, u_char *buf,
    s3c_wire_keys_t *keys);
static ngx_int_t peer_link(ngx_http_request_t *r,
    ngx_http_s3_cache_peer_conn_t *conn, s3c_slice_t *client,
    s3c_wire_keys_t *keys);
static ngx_int_t peer_hello(ngx_http_request_t *r,
    ngx_http_s3_cache_peers_t *peers, s3c_wire_hello_t *hello,
    s3c_slice_t *client, const char **why);
static ngx_int_t peer_is(ngx_http_request_t *r,
    ngx_http_s3_cache_peers_t *peers, s3c_slice_t *client, const char **why);
#if (NGX_HTTP_SSL)
static ngx_uint_t peer_has_certificate(ngx_connection_t *c);
#endif
static ngx_table_elt_t *peer_header(ngx_http_request_t *r, const char *name);
static void peer_read(ngx_http_request_t *r);
static void peer_write(ngx_http_request_t *r);
static void peer_cleanup(void *data);


ngx_int_t
ngx_http_s3_cache_peer_handler(ngx_http_request_t *r)
{
    u_char                          *p;
    ngx_int_t                        rc;
    const char                      *why;
    s3c_slice_t                      client;
    s3c_wire_keys_t                  keys;
    s3c_wire_hello_t                *hello;
    ngx_http_s3_cache_peers_t       *peers;
    ngx_http_s3_cache_loc_conf_t    *lcf;
    ngx_http_s3_cache_peer_conn_t   *conn;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_s3_cache_module);
    peers = lcf->endpoint;

    hello = ngx_palloc(r->pool, sizeof(s3c_wire_hello_t));
    conn = ngx_pcalloc(r->pool, sizeof(ngx_http_s3_cache_peer_conn_t));
    p = ngx_pnalloc(r->pool, ANSWER_MAX);

    if (hello == NULL || conn == NULL || p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (peer_hello(r, peers, hello, &client, &why) != NGX_OK) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "s3_cache_peers: a stranger was refused: %s", why);

        if (peers->zone->ram != NULL) {
            s3c_stats_add(&peers->zone->stats, S3C_STAT_PEER_STRANGERS, 1);
        }

        r->keepalive = 0;
        return NGX_HTTP_FORBIDDEN;
    }

    rc = peer_answer(r, peers, hello, p, &keys);

    if (rc != NGX_OK) {
        return rc;
    }

    conn->request = r;
    conn->peers = peers;

    return peer_link(r, conn, &client, &keys);
}


static ngx_int_t
peer_answer(ngx_http_request_t *r, ngx_http_s3_cache_peers_t *peers,
    s3c_wire_hello_t *hello, u_char *buf, s3c_wire_keys_t *keys)
{
    ssize_t            n;
    s3c_slice_t        text;
    s3c_writer_t       w;
    ngx_connection_t  *c;

    c = r->connection;

    s3c_writer_init(&w, buf, ANSWER_MAX);
    s3c_write_lit(&w, "HTTP/1.1 101 Switching Protocols\r\n"
                      "Connection: Upgrade\r\n"
                      "Upgrade: " NGX_HTTP_S3_CACHE_PEER_UPGRADE "\r\n"
                      NGX_HTTP_S3_CACHE_PEER_HELLO ": ");

    if (s3c_wire_hello_server_make(hello,
            ngx_http_s3_cache_slice(&peers->secret),
            ngx_http_s3_cache_slice(ngx_http_s3_cache_peer_self(peers)), &w)
        != S3C_OK
        || s3c_wire_hello_keys(hello, ngx_http_s3_cache_slice(&peers->secret),
                               keys)
           != S3C_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s3c_write_lit(&w, "\r\n\r\n");
    text = s3c_writer_slice(&w);

    /* the first bytes of a connection: they fit into its buffer */

    n = s3c_writer_ok(&w) ? c->send(c, buf, text.len) : NGX_ERROR;

    if (n != (ssize_t) text.len) {
        s3c_digest_wipe(keys, sizeof(s3c_wire_keys_t));
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* From here on the request is a link of this node. */

static ngx_int_t
peer_link(ngx_http_request_t *r, ngx_http_s3_cache_peer_conn_t *conn,
    s3c_slice_t *client, s3c_wire_keys_t *keys)
{
    ngx_connection_t    *c;
    ngx_pool_cleanup_t  *cln;

    c = r->connection;

    conn->node.len = client->len;
    conn->node.data = ngx_pnalloc(r->pool, client->len);

    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (cln == NULL || conn->node.data == NULL) {
        s3c_digest_wipe(keys, sizeof(s3c_wire_keys_t));
        return NGX_ERROR;
    }

    ngx_memcpy(conn->node.data, client->data, client->len);

    conn->link = ngx_http_s3_cache_link_create(c, &ngx_http_s3_cache_answerer,
                                               conn, conn->peers->timeout,
                                               keys, 0);
    if (conn->link == NULL) {
        return NGX_ERROR;
    }

    cln->handler = peer_cleanup;
    cln->data = conn;
    ngx_http_set_ctx(r, conn, ngx_http_s3_cache_module);

    r->header_sent = 1;
    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    r->keepalive = 0;
    r->main->count++;
    r->read_event_handler = peer_read;
    r->write_event_handler = peer_write;
    c->idle = 1;

    (void) ngx_tcp_nodelay(c);

    if (r->header_in->pos < r->header_in->last) {
        /* a client may not speak before it has been answered */
        return NGX_ERROR;
    }

    ngx_post_event(c->read, &ngx_posted_events);

    return NGX_DONE;
}


static ngx_int_t
peer_hello(ngx_http_request_t *r, ngx_http_s3_cache_peers_t *peers,
    s3c_wire_hello_t *hello, s3c_slice_t *client, const char **why)
{
    ngx_table_elt_t  *h;
    s3c_status_t      st;

    *why = "it asks for no link";

    if (r->method != NGX_HTTP_GET || r->http_version != NGX_HTTP_VERSION_11
        || r != r->main)
    {
        return NGX_ERROR;
    }

#if (NGX_HTTP_V2)
    if (r->stream != NULL) {
        return NGX_ERROR;
    }
#endif

    h = peer_header(r, "upgrade");

    if (h == NULL
        || h->value.len != sizeof(NGX_HTTP_S3_CACHE_PEER_UPGRADE) - 1
        || ngx_strncmp(h->value.data, NGX_HTTP_S3_CACHE_PEER_UPGRADE,
                       h->value.len)
           != 0)
    {
        return NGX_ERROR;
    }

#if (NGX_HTTP_SSL)
    if (peers->secret.len == 0
        && (r->connection->ssl == NULL
            || SSL_get_verify_result(r->connection->ssl->connection)
               != X509_V_OK
            || !peer_has_certificate(r->connection)))
    {
        *why = "neither secret nor client certificate";
        return NGX_ERROR;
    }
#else
    if (peers->secret.len == 0) {
        return NGX_ERROR;
    }
#endif

    h = peer_header(r, "x-s3-cache-hello");
    if (h == NULL) {
        return NGX_ERROR;
    }

    st = s3c_wire_hello_client_check(hello,
                                     ngx_http_s3_cache_slice(&peers->secret),
                                     ngx_http_s3_cache_slice(
                                         ngx_http_s3_cache_peer_self(peers)),
                                     (uint64_t) ngx_cached_time->sec * 1000
                                     + ngx_cached_time->msec,
                                     ngx_http_s3_cache_slice(&h->value),
                                     client);

    if (st == S3C_OK) {
        return peer_is(r, peers, client, why);
    }

    *why = (st == S3C_DENIED) ? hello->why : "a malformed hello";

    return NGX_ERROR;
}


/* Is it who it says? With a secret the hello has shown it. */

static ngx_int_t
peer_is(ngx_http_request_t *r, ngx_http_s3_cache_peers_t *peers,
    s3c_slice_t *client, const char **why)
{
    ngx_str_t  name, *self;

    name.len = client->len;
    name.data = (u_char *) client->data;

    self = ngx_http_s3_cache_peer_self(peers);

    if (name.len == self->len
        && ngx_memcmp(name.data, self->data, self->len) == 0)
    {
        *why = "it has the name of this node";
        return NGX_ERROR;
    }

#if (NGX_HTTP_SSL)
    if (peers->secret.len == 0
        && ngx_ssl_check_host(r->connection, &name) != NGX_OK)
    {
        *why = "its certificate is another's";
        return NGX_ERROR;
    }
#endif

    return NGX_OK;
}


#if (NGX_HTTP_SSL)

/* Without one the verification has nothing to find fault with. */

static ngx_uint_t
peer_has_certificate(ngx_connection_t *c)
{
    X509  *cert;

    cert = SSL_get_peer_certificate(c->ssl->connection);

    if (cert == NULL) {
        return 0;
    }

    X509_free(cert);

    return 1;
}

#endif


static ngx_table_elt_t *
peer_header(ngx_http_request_t *r, const char *name)
{
    size_t                     len;
    ngx_table_elt_t           *h;
    ngx_http_s3_cache_walk_t   walk;

    len = ngx_strlen(name);
    ngx_http_s3_cache_walk(&walk, &r->headers_in.headers);

    while ((h = ngx_http_s3_cache_next(&walk)) != NULL) {
        if (h->key.len == len
            && ngx_strncmp(h->lowcase_key, name, len) == 0)
        {
            return h;
        }
    }

    return NULL;
}


static void
peer_read(ngx_http_request_t *r)
{
    ngx_http_s3_cache_peer_conn_t  *conn;

    conn = ngx_http_get_module_ctx(r, ngx_http_s3_cache_module);

    ngx_http_s3_cache_link_read(conn->link);
}


static void
peer_write(ngx_http_request_t *r)
{
    ngx_http_s3_cache_peer_conn_t  *conn;

    conn = ngx_http_get_module_ctx(r, ngx_http_s3_cache_module);

    ngx_http_s3_cache_link_write(conn->link);
}


/* By the link, in its last moment. */

void
ngx_http_s3_cache_peer_closed(ngx_http_s3_cache_link_t *link, const char *why)
{
    ngx_connection_t                *c;
    ngx_http_request_t              *r;
    ngx_http_s3_cache_peer_conn_t   *conn;

    conn = link->data;
    r = conn->request;
    conn->link = NULL;

    if (why != NULL) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "s3_cache_peers: link of node \"%V\" lost: %s",
                      &conn->node, why);
    }

    if (!conn->ending) {
        conn->ending = 1;
        c = r->connection;

        ngx_http_finalize_request(r, NGX_ERROR);
        ngx_http_run_posted_requests(c);
    }
}


/* nginx ends the request: a worker that leaves, a connection that is reset. */

static void
peer_cleanup(void *data)
{
    ngx_http_s3_cache_peer_conn_t *conn = data;

    conn->ending = 1;

    if (conn->link != NULL) {
        ngx_http_s3_cache_link_close(conn->link, NULL);
    }
}
