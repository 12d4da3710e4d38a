/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS on a connection to Redis or a sentinel: nginx's own, so it does not
 * depend on how hiredis was built. Chain and name are verified unless
 * "ssl_verify off".
 */

#include "ngx_http_s3_cache_redis_internal.h"


#if (NGX_HTTP_SSL)


static void handshake_done(ngx_connection_t *c);


void
ngx_http_s3_cache_redis_handshake(ngx_http_s3_cache_redis_conn_t *conn)
{
    ngx_int_t          rc;
    ngx_str_t         *name;
    ngx_connection_t  *c;

    c = conn->connection;

    if (ngx_ssl_create_connection(conn->redis->ssl, c,
                                  NGX_SSL_BUFFER|NGX_SSL_CLIENT)
        != NGX_OK)
    {
        ngx_http_s3_cache_redis_fail(conn, NGX_HTTP_S3_CACHE_REDIS_TLS, 0);
        return;
    }

    name = conn->redis->ssl_name.len ? &conn->redis->ssl_name : &conn->host;

    /* an address is no name that SNI may carry, RFC 6066, 3; both texts end
       with a NUL */

    if (name->len && ngx_inet_addr(name->data, name->len) == INADDR_NONE
        && ngx_strlchr(name->data, name->data + name->len, ':') == NULL
        && SSL_set_tlsext_host_name(c->ssl->connection, (char *) name->data)
           == 0)
    {
        ngx_http_s3_cache_redis_fail(conn, NGX_HTTP_S3_CACHE_REDIS_TLS, 0);
        return;
    }

    /* the timer of connecting goes on */

    rc = ngx_ssl_handshake(c);

    if (rc == NGX_AGAIN) {
        c->ssl->handler = handshake_done;
        return;
    }

    handshake_done(c);
}


static void
handshake_done(ngx_connection_t *c)
{
    ngx_str_t                       *name;
    ngx_http_s3_cache_redis_conn_t  *conn;

    X509  *cert;
    int    is_address;

    conn = c->data;

    if (c->write->timedout) {
        ngx_http_s3_cache_redis_fail(conn,
                             NGX_HTTP_S3_CACHE_REDIS_CONNECT_TIMEOUT, 0);
        return;
    }

    if (!c->ssl->handshaked) {
        goto failed;
    }

    if (conn->redis->ssl_verify) {

        name = conn->redis->ssl_name.len ? &conn->redis->ssl_name
                                         : &conn->host;

        if (SSL_get_verify_result(c->ssl->connection) != X509_V_OK) {
            goto failed;
        }

        cert = SSL_get_peer_certificate(c->ssl->connection);
        if (cert == NULL) {
            goto failed;
        }

        is_address = (X509_check_ip_asc(cert, (char *) name->data, 0) == 1);

        X509_free(cert);

        if (!is_address && ngx_ssl_check_host(c, name) != NGX_OK) {
            goto failed;
        }
    }

    ngx_http_s3_cache_redis_up(conn);

    return;

failed:

    ngx_http_s3_cache_redis_fail(conn, NGX_HTTP_S3_CACHE_REDIS_TLS, 0);
}


#endif
