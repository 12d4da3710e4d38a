/* SPDX-License-Identifier: Apache-2.0
 *
 * Origins: built from settings at configuration time, found again by the
 * registry of their cycle. Locations whose settings are equal share one
 * origin, and so its addresses and its kept connections.
 */

#include "ngx_http_s3_cache_origin_internal.h"
#include "base/hash.h"


typedef struct {
    ngx_queue_t                  queue;         /* of registries */
    ngx_queue_t                  origins;
    ngx_cycle_t                 *cycle;
} ngx_http_s3_cache_registry_t;


static ngx_http_s3_cache_registry_t *origin_registry_find(ngx_cycle_t *cycle);
static ngx_http_s3_cache_registry_t *origin_registry_get(ngx_cycle_t *cycle);
static void origin_registry_cleanup(void *data);
static ngx_uint_t origin_conf_same(ngx_http_s3_cache_origin_conf_t *a,
    ngx_http_s3_cache_origin_conf_t *b);
static ngx_int_t origin_init(ngx_conf_t *cf, ngx_http_s3_cache_upstream_t *up);


static ngx_queue_t  registries = { &registries, &registries };


static ngx_http_s3_cache_registry_t *
origin_registry_find(ngx_cycle_t *cycle)
{
    ngx_queue_t                   *q;
    ngx_http_s3_cache_registry_t  *reg;

    for (q = ngx_queue_head(&registries);
         q != ngx_queue_sentinel(&registries);
         q = ngx_queue_next(q))
    {
        reg = ngx_queue_data(q, ngx_http_s3_cache_registry_t, queue);

        if (reg->cycle == cycle) {
            return reg;
        }
    }

    return NULL;
}


/* When the cycle goes, also after a configuration that failed. */

static void
origin_registry_cleanup(void *data)
{
    ngx_http_s3_cache_registry_t  *reg = data;

    ngx_queue_t                   *q;
    ngx_http_s3_cache_upstream_t  *up;

    for (q = ngx_queue_head(&reg->origins);
         q != ngx_queue_sentinel(&reg->origins);
         q = ngx_queue_next(q))
    {
        up = ngx_queue_data(q, ngx_http_s3_cache_upstream_t, queue);

        /* a worker has no call any more, the master never had one */

        if (up->addrs) {
            ngx_http_s3_cache_origin_addrs_free(up->addrs);
            up->addrs = NULL;
        }

        ngx_explicit_memzero(&up->key_cache, sizeof(s3c_sigv4_key_cache_t));
    }

    ngx_queue_remove(&reg->queue);
}


static ngx_http_s3_cache_registry_t *
origin_registry_get(ngx_cycle_t *cycle)
{
    ngx_pool_cleanup_t            *cln;
    ngx_http_s3_cache_registry_t  *reg;

    reg = origin_registry_find(cycle);

    if (reg) {
        return reg;
    }

    reg = ngx_pcalloc(cycle->pool, sizeof(ngx_http_s3_cache_registry_t));
    if (reg == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cycle->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = origin_registry_cleanup;
    cln->data = reg;

    reg->cycle = cycle;
    ngx_queue_init(&reg->origins);
    ngx_queue_insert_tail(&registries, &reg->queue);

    return reg;
}


ngx_http_s3_cache_origin_t *
ngx_http_s3_cache_origin_build(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_conf_t *conf, ngx_resolver_t *resolver,
    ngx_msec_t resolver_timeout)
{
    ngx_queue_t                   *q;
    ngx_http_s3_cache_upstream_t  *up;
    ngx_http_s3_cache_registry_t  *reg;

    reg = origin_registry_get(cf->cycle);
    if (reg == NULL) {
        return NULL;
    }

    for (q = ngx_queue_head(&reg->origins);
         q != ngx_queue_sentinel(&reg->origins);
         q = ngx_queue_next(q))
    {
        up = ngx_queue_data(q, ngx_http_s3_cache_upstream_t, queue);

        if ((up->resolver == resolver || up->literal)
            && origin_conf_same(up->conf, conf))
        {
            return up->origin;
        }
    }

    up = ngx_pcalloc(cf->pool, sizeof(ngx_http_s3_cache_upstream_t));
    if (up == NULL) {
        return NULL;
    }

    up->origin = ngx_pcalloc(cf->pool, sizeof(ngx_http_s3_cache_origin_t));
    if (up->origin == NULL) {
        return NULL;
    }

    up->conf = conf;
    up->resolver = resolver;
    up->resolver_timeout = resolver_timeout;

    ngx_queue_init(&up->waiting);
    ngx_queue_init(&up->idle);

    /* from here on, the registry frees what it holds */
    ngx_queue_insert_tail(&reg->origins, &up->queue);

    return (origin_init(cf, up) == NGX_OK) ? up->origin : NULL;
}


static ngx_uint_t
origin_conf_same(ngx_http_s3_cache_origin_conf_t *a,
    ngx_http_s3_cache_origin_conf_t *b)
{
    ngx_uint_t  i;

#define origin_pair(field)  { &a->field, &b->field }

    ngx_str_t  *strs[][2] = {
        origin_pair(url),
        origin_pair(region),
        origin_pair(access_key),
        origin_pair(secret_key),
        origin_pair(session_token),
        origin_pair(ssl_name),
        origin_pair(ssl_trusted_certificate)
    };

#undef origin_pair

    for (i = 0; i < sizeof(strs) / sizeof(strs[0]); i++) {
        if (strs[i][0]->len != strs[i][1]->len
            || (strs[i][0]->len
                && ngx_memcmp(strs[i][0]->data, strs[i][1]->data,
                              strs[i][0]->len)
                   != 0))
        {
            return 0;
        }
    }

    return a->credentials == b->credentials
           && a->keys == b->keys
           && a->ssl_verify == b->ssl_verify
           && a->ssl_verify_depth == b->ssl_verify_depth
           && a->connect_timeout == b->connect_timeout
           && a->send_timeout == b->send_timeout
           && a->read_timeout == b->read_timeout
           && a->keepalive == b->keepalive
           && a->keepalive_timeout == b->keepalive_timeout
           && a->tries == b->tries;
}


static ngx_int_t
origin_init(ngx_conf_t *cf, ngx_http_s3_cache_upstream_t *up)
{
    u_char                           *p;
    ngx_str_t                         rest;
    ngx_url_t                         u;
    ngx_uint_t                        ssl;
    ngx_http_s3_cache_origin_t       *origin;
    ngx_http_s3_cache_origin_conf_t  *conf;

    conf = up->conf;
    origin = up->origin;

    origin->conf = conf;
    origin->priv = up;
    origin->url = conf->url;
    origin->region = conf->region;
    origin->signs = (conf->credentials == 1);

    (void) ngx_http_s3_cache_origin_url_parse(&conf->url, &rest, &ssl);

    /* names are compared, hashed and shown in lower case */

    p = ngx_pnalloc(cf->pool, rest.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_strlow(p, rest.data, rest.len);
    rest.data = p;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = rest;
    u.default_port = ssl ? 443 : 80;
    u.no_resolve = (up->resolver != NULL);

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "%s in origin \"%V\" in %V:%ui",
                      u.err ? u.err : "no memory", &conf->url, &conf->file,
                      conf->line);
        return NGX_ERROR;
    }

    origin->host = u.host;
    origin->port = u.port;

    if (origin->host.len > 2 && origin->host.data[0] == '[') {
        origin->host.data++;
        origin->host.len -= 2;
        up->literal = 1;

    } else if (ngx_inet_addr(u.host.data, u.host.len) != INADDR_NONE) {
        up->literal = 1;
    }

    /* an address is never resolved: ngx_parse_url() has answered it */

    if (up->literal || up->resolver == NULL) {
        up->resolver = NULL;

        if (ngx_http_s3_cache_origin_addrs_fixed(up, u.addrs, u.naddrs)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    origin->host_header.data = ngx_pnalloc(cf->pool,
                                           u.host.len + sizeof(":65535") - 1);
    if (origin->host_header.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(origin->host_header.data, u.host.data, u.host.len);

    if (u.port != u.default_port) {
        p = ngx_sprintf(p, ":%ui", (ngx_uint_t) u.port);
    }

    origin->host_header.len = p - origin->host_header.data;

    p = ngx_pnalloc(cf->pool, rest.len + sizeof("https 65535"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    rest.data = p;
    p = ngx_sprintf(p, "%s %V %ui", ssl ? "https" : "http", &u.host,
                    (ngx_uint_t) u.port);

    origin->id = s3c_hash64(rest.data, p - rest.data);

    return ssl ? ngx_http_s3_cache_origin_tls_init(cf, up) : NGX_OK;
}


ngx_int_t
ngx_http_s3_cache_origin_init_worker(ngx_cycle_t *cycle)
{
    ngx_queue_t                   *q;
    ngx_http_s3_cache_registry_t  *reg;
    ngx_http_s3_cache_upstream_t  *up;

    reg = origin_registry_find(cycle);

    if (reg == NULL) {
        return NGX_OK;
    }

    for (q = ngx_queue_head(&reg->origins);
         q != ngx_queue_sentinel(&reg->origins);
         q = ngx_queue_next(q))
    {
        up = ngx_queue_data(q, ngx_http_s3_cache_upstream_t, queue);

        /* workers must not all begin with the first address */
        up->next = (ngx_uint_t) ngx_random();
    }

    return NGX_OK;
}


void
ngx_http_s3_cache_origin_exit_worker(ngx_cycle_t *cycle)
{
    ngx_queue_t                   *q;
    ngx_http_s3_cache_registry_t  *reg;
    ngx_http_s3_cache_upstream_t  *up;

    ngx_http_s3_cache_call_abort_all();

    reg = origin_registry_find(cycle);

    if (reg == NULL) {
        return;
    }

    for (q = ngx_queue_head(&reg->origins);
         q != ngx_queue_sentinel(&reg->origins);
         q = ngx_queue_next(q))
    {
        up = ngx_queue_data(q, ngx_http_s3_cache_upstream_t, queue);

        ngx_http_s3_cache_conn_close_idle(up);
        ngx_http_s3_cache_origin_resolve_stop(up);
    }
}
