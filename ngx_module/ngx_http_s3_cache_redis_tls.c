/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS of connections to Redis and its sentinels: nginx's own, so it does not
 * depend on how hiredis was built. TLS 1.2 or later; chain and name verified
 * unless "ssl_verify off".
 */

#include "ngx_http_s3_cache_redis.h"


#if (NGX_HTTP_SSL)


#define VERIFY_DEPTH  5


static char *
ngx_http_s3_cache_redis_tls_error(ngx_conf_t *cf,
    ngx_http_s3_cache_redis_t *redis, const char *why)
{
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "s3_cache_redis \"%V\" %s in %V:%ui",
                  &redis->name, why, &redis->place.file, redis->place.line);

    return NGX_CONF_ERROR;
}


char *
ngx_http_s3_cache_redis_tls(ngx_conf_t *cf, ngx_http_s3_cache_redis_t *redis)
{
    ngx_ssl_t           *ssl;
    ngx_str_t            cert, key, trusted;
    ngx_pool_cleanup_t  *cln;

    if (!redis->ssl_enable) {
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

    cert = redis->ssl_certificate;
    key = redis->ssl_certificate_key;
    trusted = redis->ssl_trusted_certificate;

    if (cert.len
        && ngx_ssl_certificate(cf, ssl, &cert, &key, NULL) != NGX_OK)
    {
        return ngx_http_s3_cache_redis_tls_error(cf, redis,
                        "has a certificate or key that cannot be loaded");
    }

    if (trusted.len) {
        if (ngx_ssl_trusted_certificate(cf, ssl, &trusted, VERIFY_DEPTH)
            != NGX_OK)
        {
            return ngx_http_s3_cache_redis_tls_error(cf, redis,
                        "has trusted certificates that cannot be loaded");
        }

    } else if (redis->ssl_verify
               && SSL_CTX_set_default_verify_paths(ssl->ctx) == 0)
    {
        return ngx_http_s3_cache_redis_tls_error(cf, redis,
                        "cannot use the authorities of the system");
    }

    /* nginx's callback would let the handshake go on */

    SSL_CTX_set_verify(ssl->ctx, redis->ssl_verify ? SSL_VERIFY_PEER
                                                   : SSL_VERIFY_NONE, NULL);

    redis->ssl = ssl;

    return NGX_CONF_OK;
}


#else


char *
ngx_http_s3_cache_redis_tls(ngx_conf_t *cf, ngx_http_s3_cache_redis_t *redis)
{
    if (!redis->ssl_enable) {
        return NGX_CONF_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "s3_cache_redis \"%V\" has \"ssl on\": it needs nginx with "
                  "SSL in %V:%ui", &redis->name, &redis->place.file,
                  redis->place.line);

    return NGX_CONF_ERROR;
}


#endif
