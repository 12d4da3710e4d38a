/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS to origins: TLS 1.2 or later, SNI, verification of the chain and of
 * the name (on by default), sessions reused per address. No request is sent
 * before the peer has been verified.
 */

#include "ngx_http_s3_cache_origin_internal.h"


#if (NGX_HTTP_SSL)


static void tls_session_save(ngx_connection_t *c);


ngx_int_t
ngx_http_s3_cache_origin_tls_init(ngx_conf_t *cf,
    ngx_http_s3_cache_upstream_t *up)
{
    ngx_ssl_t                        *ssl;
    ngx_str_t                         name;
    ngx_pool_cleanup_t               *cln;
    ngx_http_s3_cache_origin_conf_t  *conf;

    conf = up->conf;

    ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    if (ssl == NULL) {
        return NGX_ERROR;
    }

    ssl->log = cf->log;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    if (ngx_ssl_create(ssl, NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3, NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = ssl;

    if (conf->ssl_verify) {

        if (conf->ssl_trusted_certificate.len) {

            /* the file's name is completed in place: keep the setting */
            name = conf->ssl_trusted_certificate;

            if (ngx_ssl_trusted_certificate(cf, ssl, &name,
                                            conf->ssl_verify_depth)
                != NGX_OK)
            {
                ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                              "trusted certificates of the origin in %V:%ui "
                              "cannot be loaded", &conf->file, conf->line);
                return NGX_ERROR;
            }

        } else {
            if (SSL_CTX_set_default_verify_paths(ssl->ctx) == 0) {
                ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0,
                              "SSL_CTX_set_default_verify_paths() failed");
                return NGX_ERROR;
            }

            SSL_CTX_set_verify_depth(ssl->ctx, conf->ssl_verify_depth);
        }
    }

    if (ngx_ssl_client_session_cache(cf, ssl, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    name = up->origin->host;

    if (conf->ssl_name.len) {
        name = conf->ssl_name;
        up->literal_name = (ngx_inet_addr(name.data, name.len)
                            != INADDR_NONE);

    } else {
        up->literal_name = up->literal;
    }

    up->ssl_name.data = ngx_pnalloc(cf->pool, name.len + 1);
    if (up->ssl_name.data == NULL) {
        return NGX_ERROR;
    }

    up->ssl_name.len = name.len;
    ngx_cpystrn(up->ssl_name.data, name.data, name.len + 1);

    up->ssl = ssl;

    return NGX_OK;
}


ngx_int_t
ngx_http_s3_cache_origin_tls_start(ngx_http_s3_cache_conn_t *conn,
    ngx_connection_handler_pt done)
{
    ngx_int_t                      rc;
    ngx_connection_t              *c;
    ngx_http_s3_cache_addr_t      *addr;
    ngx_http_s3_cache_upstream_t  *up;

    c = conn->connection;
    up = conn->upstream;

    if (ngx_ssl_create_connection(up->ssl, c, NGX_SSL_BUFFER|NGX_SSL_CLIENT)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    c->sendfile = 0;

    /* an address is no name that SNI may carry, RFC 6066, 3 */

    if (!up->literal_name
        && SSL_set_tlsext_host_name(c->ssl->connection,
                                    (char *) up->ssl_name.data)
           == 0)
    {
        ngx_ssl_error(NGX_LOG_ERR, c->log, 0,
                      "SSL_set_tlsext_host_name() failed");
        return NGX_ERROR;
    }

    c->ssl->save_session = tls_session_save;

    addr = ngx_http_s3_cache_origin_addr_find(up, &conn->sockaddr.sockaddr,
                                              conn->socklen);

    if (addr && addr->session
        && ngx_ssl_set_session(c, addr->session) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_ssl_handshake(c);

    if (rc == NGX_AGAIN) {
        c->ssl->handler = done;
    }

    return rc;
}


const char *
ngx_http_s3_cache_origin_tls_verify(ngx_http_s3_cache_conn_t *conn,
    const char **detail)
{
    int                            ok;
    long                           rc;
    X509                          *cert;
    ngx_connection_t              *c;
    ngx_http_s3_cache_upstream_t  *up;

    c = conn->connection;
    up = conn->upstream;
    *detail = "";

    if (c->ssl == NULL || !c->ssl->handshaked) {
        return "TLS handshake failed";
    }

    if (!up->conf->ssl_verify) {
        return NULL;
    }

    rc = SSL_get_verify_result(c->ssl->connection);

    if (rc != X509_V_OK) {
        *detail = X509_verify_cert_error_string(rc);
        return "TLS certificate verify error";
    }

    cert = SSL_get_peer_certificate(c->ssl->connection);

    if (cert == NULL) {
        return "TLS certificate is missing";
    }

    /* ngx_ssl_check_host() knows names only */

    ok = up->literal_name ? (X509_check_ip_asc(cert,
                                               (char *) up->ssl_name.data, 0)
                             == 1)
                          : (ngx_ssl_check_host(c, &up->ssl_name) == NGX_OK);

    X509_free(cert);

    if (!ok) {
        *detail = (char *) up->ssl_name.data;
        return "TLS certificate does not match";
    }

    return NULL;
}


/* From within SSL_read() or the handshake, also on idle connections. */

static void
tls_session_save(ngx_connection_t *c)
{
    ngx_ssl_session_t         *session;
    ngx_http_s3_cache_conn_t  *conn;
    ngx_http_s3_cache_addr_t  *addr;

    conn = c->data;

    addr = ngx_http_s3_cache_origin_addr_find(conn->upstream,
                                              &conn->sockaddr.sockaddr,
                                              conn->socklen);
    if (addr == NULL) {
        return;
    }

    session = ngx_ssl_get_session(c);

    if (session == NULL) {
        return;
    }

    ngx_http_s3_cache_origin_tls_session_free(addr->session);
    addr->session = session;
}


void
ngx_http_s3_cache_origin_tls_close(ngx_http_s3_cache_conn_t *conn,
    ngx_uint_t clean)
{
    ngx_connection_t  *c;

    c = conn->connection;

    if (c->ssl == NULL) {
        return;
    }

    c->ssl->no_wait_shutdown = 1;
    c->ssl->no_send_shutdown = !clean;

    if (ngx_ssl_shutdown(c) == NGX_AGAIN) {

        /* the socket takes no more: without a close notify, then */

        c->ssl->no_send_shutdown = 1;

        (void) ngx_ssl_shutdown(c);
    }
}


void
ngx_http_s3_cache_origin_tls_session_free(void *session)
{
    if (session) {
        ngx_ssl_free_session(session);
    }
}


#else


ngx_int_t
ngx_http_s3_cache_origin_tls_init(ngx_conf_t *cf,
    ngx_http_s3_cache_upstream_t *up)
{
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "https origin in %V:%ui requires nginx with SSL",
                  &up->conf->file, up->conf->line);

    return NGX_ERROR;
}


ngx_int_t
ngx_http_s3_cache_origin_tls_start(ngx_http_s3_cache_conn_t *conn,
    ngx_connection_handler_pt done)
{
    return NGX_ERROR;
}


const char *
ngx_http_s3_cache_origin_tls_verify(ngx_http_s3_cache_conn_t *conn,
    const char **detail)
{
    *detail = "";

    return "no TLS";
}


void
ngx_http_s3_cache_origin_tls_close(ngx_http_s3_cache_conn_t *conn,
    ngx_uint_t clean)
{
}


void
ngx_http_s3_cache_origin_tls_session_free(void *session)
{
}


#endif
