/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS of the connections that a block is about: links that this node makes,
 * and those to Redis and its sentinels. nginx's own, TLS 1.2 or later; chains
 * are verified within the handshake. See ngx_http_s3_cache_conf_block.h.
 */

#include "ngx_http_s3_cache_conf_block.h"


#if (NGX_HTTP_SSL)


#define VERIFY_DEPTH  5


static ngx_ssl_t *conf_tls_create(ngx_conf_t *cf);


char *
ngx_http_s3_cache_conf_tls(ngx_conf_t *cf, ngx_str_t *certificate,
    ngx_str_t *key, ngx_str_t *trusted, ngx_uint_t verify, ngx_ssl_t **out)
{
    ngx_ssl_t  *ssl;
    ngx_str_t   c, k, t;

    ssl = conf_tls_create(cf);
    if (ssl == NULL) {
        return NGX_CONF_ERROR;
    }

    /* the files' names are completed in place: keep the settings */

    c = *certificate;
    k = *key;
    t = *trusted;

    if (c.len && ngx_ssl_certificate(cf, ssl, &c, &k, NULL) != NGX_OK) {
        return "has a certificate or key that cannot be loaded";
    }

    if (t.len) {
        if (ngx_ssl_trusted_certificate(cf, ssl, &t, VERIFY_DEPTH) != NGX_OK) {
            return "has trusted certificates that cannot be loaded";
        }

    } else if (verify && SSL_CTX_set_default_verify_paths(ssl->ctx) == 0) {
        return "cannot use the authorities of the system";
    }

    /* nginx's callback would let the handshake go on */

    SSL_CTX_set_verify(ssl->ctx, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                       NULL);

    *out = ssl;

    return NGX_CONF_OK;
}


static ngx_ssl_t *
conf_tls_create(ngx_conf_t *cf)
{
    ngx_ssl_t           *ssl;
    ngx_pool_cleanup_t  *cln;

    ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    if (ssl == NULL) {
        return NULL;
    }

    ssl->log = cf->log;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    if (ngx_ssl_create(ssl, NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3, NULL)
        != NGX_OK)
    {
        return NULL;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = ssl;

    return ssl;
}


#else


char *
ngx_http_s3_cache_conf_tls(ngx_conf_t *cf, ngx_str_t *certificate,
    ngx_str_t *key, ngx_str_t *trusted, ngx_uint_t verify, ngx_ssl_t **ssl)
{
    return "has \"ssl on\": it needs nginx with SSL";
}


#endif
