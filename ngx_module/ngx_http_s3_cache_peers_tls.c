/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS of the links that this node makes: TLS 1.2 or later, its own certificate
 * shown, the other's chain verified within the handshake. What the endpoint
 * shows and asks for is said by nginx's own ssl_* directives there.
 */

#include "ngx_http_s3_cache_peers.h"


#if (NGX_HTTP_SSL)


#define VERIFY_DEPTH  5


char *
ngx_http_s3_cache_peers_tls(ngx_conf_t *cf, ngx_http_s3_cache_peers_t *peers)
{
    ngx_ssl_t           *ssl;
    ngx_str_t            cert, key, trusted;
    ngx_pool_cleanup_t  *cln;

    if (!peers->ssl_enable) {
        return NGX_CONF_OK;
    }

    ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    if (ssl == NULL) {
        return NGX_CONF_ERROR;
    }

    ssl->log = cf->log;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_ssl_create(ssl, NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3, NULL)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = ssl;

    /* the files' names are completed in place: keep the settings */

    cert = peers->ssl_certificate;
    key = peers->ssl_certificate_key;
    trusted = peers->ssl_trusted_certificate;

    if (ngx_ssl_certificate(cf, ssl, &cert, &key, NULL) != NGX_OK) {
        return ngx_http_s3_cache_peers_error(cf, peers, &peers->place,
                        "has a certificate or key that cannot be loaded");
    }

    if (ngx_ssl_trusted_certificate(cf, ssl, &trusted, VERIFY_DEPTH)
        != NGX_OK)
    {
        return ngx_http_s3_cache_peers_error(cf, peers, &peers->place,
                        "has trusted certificates that cannot be loaded");
    }

    /* nginx's callback would let the handshake go on */

    SSL_CTX_set_verify(ssl->ctx, SSL_VERIFY_PEER, NULL);

    peers->ssl = ssl;

    return NGX_CONF_OK;
}


#else


char *
ngx_http_s3_cache_peers_tls(ngx_conf_t *cf, ngx_http_s3_cache_peers_t *peers)
{
    if (!peers->ssl_enable) {
        return NGX_CONF_OK;
    }

    return ngx_http_s3_cache_peers_error(cf, peers, &peers->place,
                                  "has \"ssl on\": it needs nginx with SSL");
}


#endif
