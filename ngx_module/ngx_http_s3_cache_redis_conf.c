/* SPDX-License-Identifier: Apache-2.0
 *
 * s3_cache_redis: the block as a whole, what has to be there at its end, and
 * whether it fits the s3_cache_peers of its zone.
 */

#include "ngx_http_s3_cache_redis.h"


static char *ngx_http_s3_cache_redis_complete(ngx_conf_t *cf,
    ngx_http_s3_cache_redis_t *redis);
static char *ngx_http_s3_cache_redis_tls(ngx_conf_t *cf,
    ngx_http_s3_cache_redis_t *redis);
static char *ngx_http_s3_cache_redis_error(ngx_conf_t *cf,
    ngx_http_s3_cache_redis_t *redis, const char *why);
static ngx_http_s3_cache_redis_t *ngx_http_s3_cache_redis_create(
    ngx_conf_t *cf, ngx_str_t *zone);
static ngx_uint_t ngx_http_s3_cache_redis_is_unix(
    ngx_http_s3_cache_redis_t *redis);


char *
ngx_http_s3_cache_redis_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_main_conf_t *mcf = conf;

    char                       *rv;
    ngx_str_t                  *value;
    ngx_http_s3_cache_redis_t  *redis;

    value = cf->args->elts;

    redis = ngx_http_s3_cache_redis_find_conf(mcf, &value[1]);

    if (redis) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "s3_cache_redis \"%V\" is given twice, see %V:%ui",
                           &redis->name, &redis->place.file,
                           redis->place.line);
        return NGX_CONF_ERROR;
    }

    redis = ngx_http_s3_cache_redis_create(cf, &value[1]);
    if (redis == NULL) {
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_s3_cache_conf_block(cf, &ngx_http_s3_cache_redis_params,
                                      redis);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_s3_cache_redis_complete(cf, redis);
}


static ngx_http_s3_cache_redis_t *
ngx_http_s3_cache_redis_create(ngx_conf_t *cf, ngx_str_t *zone)
{
    ngx_http_s3_cache_redis_t      *redis, **rp;
    ngx_http_s3_cache_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_s3_cache_module);

    redis = ngx_pcalloc(cf->pool, sizeof(ngx_http_s3_cache_redis_t));
    if (redis == NULL) {
        return NULL;
    }

    if (ngx_array_init(&redis->servers, cf->pool, 4,
                       sizeof(ngx_http_s3_cache_redis_server_t))
        != NGX_OK
        || ngx_array_init(&redis->sentinels, cf->pool, 4,
                          sizeof(ngx_http_s3_cache_redis_server_t))
           != NGX_OK)
    {
        return NULL;
    }

    redis->name = *zone;
    redis->place.file = cf->conf_file->file.name;
    redis->place.line = cf->conf_file->line;
    redis->database = NGX_CONF_UNSET_UINT;
    redis->lease = NGX_CONF_UNSET_MSEC;
    redis->connect_timeout = NGX_CONF_UNSET_MSEC;
    redis->timeout = NGX_CONF_UNSET_MSEC;
    redis->ssl_enable = NGX_CONF_UNSET;
    redis->ssl_verify = NGX_CONF_UNSET;

    rp = ngx_array_push(&mcf->redis);
    if (rp == NULL) {
        return NULL;
    }

    *rp = redis;

    return redis;
}


ngx_http_s3_cache_redis_t *
ngx_http_s3_cache_redis_find_conf(ngx_http_s3_cache_main_conf_t *mcf,
    ngx_str_t *zone)
{
    ngx_uint_t                   i;
    ngx_http_s3_cache_redis_t  **rp;

    rp = mcf->redis.elts;

    for (i = 0; i < mcf->redis.nelts; i++) {
        if (rp[i]->name.len == zone->len
            && ngx_memcmp(rp[i]->name.data, zone->data, zone->len) == 0)
        {
            return rp[i];
        }
    }

    return NULL;
}


static char *
ngx_http_s3_cache_redis_error(ngx_conf_t *cf,
    ngx_http_s3_cache_redis_t *redis, const char *why)
{
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "s3_cache_redis \"%V\" %s in %V:%ui",
                  &redis->name, why, &redis->place.file, redis->place.line);

    return NGX_CONF_ERROR;
}


/* At the end of the block: what has to be there, and fits together. */

static char *
ngx_http_s3_cache_redis_complete(ngx_conf_t *cf,
    ngx_http_s3_cache_redis_t *redis)
{
    if (redis->servers.nelts == 0 && redis->sentinels.nelts == 0) {
        return ngx_http_s3_cache_redis_error(cf, redis,
                            "has no \"server\" and no \"sentinel\"");
    }

    if (redis->servers.nelts && redis->sentinels.nelts) {
        return ngx_http_s3_cache_redis_error(cf, redis,
                            "has both \"server\" and \"sentinel\": sentinels "
                            "say which the server is");
    }

    if (redis->sentinels.nelts && redis->master.len == 0) {
        return ngx_http_s3_cache_redis_error(cf, redis,
                            "has a \"sentinel\": it needs \"master\", too");
    }

    if (redis->sentinels.nelts == 0
        && (redis->master.len || redis->sentinel_password.len))
    {
        return ngx_http_s3_cache_redis_error(cf, redis,
                            "has a \"master\" or a \"sentinel_password\", "
                            "but no \"sentinel\"");
    }

    if (redis->username.len && redis->password.len == 0) {
        return ngx_http_s3_cache_redis_error(cf, redis,
                            "has a \"username\", but no \"password\"");
    }

    if ((redis->ssl_certificate.len == 0)
        != (redis->ssl_certificate_key.len == 0))
    {
        return ngx_http_s3_cache_redis_error(cf, redis,
                            "needs both \"ssl_certificate\" and "
                            "\"ssl_certificate_key\", or none");
    }

    if (redis->ssl_enable != 1
        && (redis->ssl_certificate.len || redis->ssl_name.len
            || redis->ssl_trusted_certificate.len || redis->ssl_verify == 1))
    {
        return ngx_http_s3_cache_redis_error(cf, redis,
                            "has parameters of TLS, but no \"ssl on\"");
    }

    ngx_conf_init_value(redis->ssl_enable, 0);
    ngx_conf_init_value(redis->ssl_verify, 1);
    ngx_conf_init_uint_value(redis->database, 0);
    ngx_conf_init_msec_value(redis->lease, 3000);
    ngx_conf_init_msec_value(redis->connect_timeout, 500);
    ngx_conf_init_msec_value(redis->timeout, 1000);

    if (redis->prefix.len == 0) {
        ngx_str_set(&redis->prefix, "s3_cache");
    }

    return ngx_http_s3_cache_redis_tls(cf, redis);
}


/* By nginx, so it does not depend on how hiredis was built. */

static char *
ngx_http_s3_cache_redis_tls(ngx_conf_t *cf, ngx_http_s3_cache_redis_t *redis)
{
    char  *rv;

    if (!redis->ssl_enable) {
        return NGX_CONF_OK;
    }

    rv = ngx_http_s3_cache_conf_tls(cf, &redis->ssl_certificate,
                                    &redis->ssl_certificate_key,
                                    &redis->ssl_trusted_certificate,
                                    redis->ssl_verify, &redis->ssl);

    return (rv == NGX_CONF_OK || rv == NGX_CONF_ERROR)
           ? rv : ngx_http_s3_cache_redis_error(cf, redis, rv);
}


char *
ngx_http_s3_cache_redis_init(ngx_conf_t *cf,
    ngx_http_s3_cache_main_conf_t *mcf)
{
    ngx_uint_t                   i;
    ngx_http_s3_cache_node_t    *self;
    ngx_http_s3_cache_redis_t   *redis, **rp;

    rp = mcf->redis.elts;

    for (i = 0; i < mcf->redis.nelts; i++) {
        redis = rp[i];

        if (redis->peers == NULL) {
            return ngx_http_s3_cache_redis_error(cf, redis,
                            "is of no use: no \"s3_cache_peers\" of this "
                            "zone has a \"member\"");
        }

        self = redis->peers->nodes.elts;

        if (self->url.naddrs == 0 && ngx_http_s3_cache_redis_is_unix(redis)) {
            return ngx_http_s3_cache_redis_error(cf, redis,
                            "is reached by a socket of this machine, so "
                            "\"member\" of s3_cache_peers needs an address "
                            "before its port:");
        }
    }

    return NGX_CONF_OK;
}


static ngx_uint_t
ngx_http_s3_cache_redis_is_unix(ngx_http_s3_cache_redis_t *redis)
{
    ngx_uint_t                         i;
    ngx_http_s3_cache_redis_server_t  *servers;

    servers = redis->servers.elts;

    for (i = 0; i < redis->servers.nelts; i++) {
        if (servers[i].sockaddr->sa_family == AF_UNIX) {
            return 1;
        }
    }

    return 0;
}
