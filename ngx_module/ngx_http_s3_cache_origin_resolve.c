/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses of an origin, one list per worker: found at configuration time,
 * or at run time by nginx's resolver, for as long as their TTL says. A list
 * that has just expired is still used while a new one is asked for, and an
 * old one rather than none when no answer comes.
 */

#include "ngx_http_s3_cache_origin_internal.h"


static ngx_http_s3_cache_addrs_t *addrs_create(ngx_uint_t n);
static void addrs_set(ngx_http_s3_cache_addr_t *addr,
    struct sockaddr *sockaddr, socklen_t socklen, in_port_t port);
static void addrs_replace(ngx_http_s3_cache_upstream_t *up,
    ngx_http_s3_cache_addrs_t *addrs);
static void addrs_unref(ngx_http_s3_cache_addrs_t *addrs);
static void addrs_hold(ngx_http_s3_cache_call_priv_t *cp);
static void resolve_start(ngx_http_s3_cache_upstream_t *up);
static void resolve_handler(ngx_resolver_ctx_t *ctx);
static void resolve_timer(ngx_event_t *ev);
static void resolve_wake(ngx_http_s3_cache_call_priv_t *cp);


static ngx_http_s3_cache_addrs_t *
addrs_create(ngx_uint_t n)
{
    ngx_http_s3_cache_addrs_t  *addrs;

    addrs = ngx_calloc(sizeof(ngx_http_s3_cache_addrs_t)
                       + (n - 1) * sizeof(ngx_http_s3_cache_addr_t),
                       ngx_cycle->log);
    if (addrs) {
        addrs->refs = 1;
        addrs->n = n;
    }

    return addrs;
}


void
ngx_http_s3_cache_origin_addrs_free(ngx_http_s3_cache_addrs_t *addrs)
{
    ngx_uint_t  i;

    for (i = 0; i < addrs->n; i++) {
        ngx_http_s3_cache_origin_tls_session_free(addrs->addr[i].session);
    }

    ngx_free(addrs);
}


static void
addrs_unref(ngx_http_s3_cache_addrs_t *addrs)
{
    if (--addrs->refs == 0) {
        ngx_http_s3_cache_origin_addrs_free(addrs);
    }
}


static void
addrs_set(ngx_http_s3_cache_addr_t *addr, struct sockaddr *sockaddr,
    socklen_t socklen, in_port_t port)
{
    ngx_memcpy(&addr->sockaddr, sockaddr, socklen);
    addr->socklen = socklen;

    ngx_inet_set_port(&addr->sockaddr.sockaddr, port);

    addr->name_len = ngx_sock_ntop(&addr->sockaddr.sockaddr, socklen,
                                   addr->name, NGX_SOCKADDR_STRLEN, 1);
}


/* What is known about an address outlives the list that it came with. */

static void
addrs_replace(ngx_http_s3_cache_upstream_t *up,
    ngx_http_s3_cache_addrs_t *addrs)
{
    ngx_uint_t                 i;
    ngx_http_s3_cache_addr_t  *addr, *old;

    if (up->addrs) {

        for (i = 0; i < addrs->n; i++) {
            addr = &addrs->addr[i];

            old = ngx_http_s3_cache_origin_addr_find(up,
                                                     &addr->sockaddr.sockaddr,
                                                     addr->socklen);
            if (old) {
                addr->failed = old->failed;
                addr->failed_until = old->failed_until;
                addr->session = old->session;
                old->session = NULL;
            }
        }

        addrs_unref(up->addrs);
    }

    up->addrs = addrs;
}


ngx_int_t
ngx_http_s3_cache_origin_addrs_fixed(ngx_http_s3_cache_upstream_t *up,
    ngx_addr_t *addrs, ngx_uint_t n)
{
    ngx_uint_t  i;

    if (n == 0) {
        return NGX_ERROR;
    }

    n = ngx_min(n, NGX_HTTP_S3_CACHE_ADDRS_MAX);

    up->addrs = addrs_create(n);
    if (up->addrs == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        addrs_set(&up->addrs->addr[i], addrs[i].sockaddr, addrs[i].socklen,
                  up->origin->port);
    }

    return NGX_OK;
}


ngx_http_s3_cache_addr_t *
ngx_http_s3_cache_origin_addr_find(ngx_http_s3_cache_upstream_t *up,
    struct sockaddr *sockaddr, socklen_t socklen)
{
    ngx_uint_t                 i;
    ngx_http_s3_cache_addr_t  *addr;

    if (up->addrs == NULL) {
        return NULL;
    }

    for (i = 0; i < up->addrs->n; i++) {
        addr = &up->addrs->addr[i];

        if (ngx_cmp_sockaddr(&addr->sockaddr.sockaddr, addr->socklen,
                             sockaddr, socklen, 1)
            == NGX_OK)
        {
            return addr;
        }
    }

    return NULL;
}


static void
addrs_hold(ngx_http_s3_cache_call_priv_t *cp)
{
    cp->addrs = cp->upstream->addrs;
    cp->addrs->refs++;
    cp->tried = 0;
    cp->start = cp->upstream->next++;
}


ngx_int_t
ngx_http_s3_cache_origin_addrs_get(ngx_http_s3_cache_call_priv_t *cp)
{
    time_t                         now;
    ngx_http_s3_cache_upstream_t  *up;

    up = cp->upstream;
    now = ngx_time();

    if (up->resolver == NULL || (up->addrs && now <= up->valid)) {
        addrs_hold(cp);
        return NGX_OK;
    }

    if (up->ctx == NULL && now >= up->retry_at) {
        /* may be answered at once, from the resolver's own cache */
        resolve_start(up);
    }

    if (up->addrs
        && (up->ctx == NULL
            || now <= up->valid + NGX_HTTP_S3_CACHE_ADDRS_GRACE))
    {
        addrs_hold(cp);
        return NGX_OK;
    }

    if (up->ctx == NULL) {
        return NGX_DECLINED;
    }

    ngx_queue_insert_tail(&up->waiting, &cp->waiting);
    cp->waits = 1;

    /*
     * The resolver has its own time-out, cancelable: this timer makes
     * a draining worker wait.
     */

    cp->timer.handler = resolve_timer;
    cp->timer.data = cp;
    cp->timer.log = cp->call->log;

    ngx_add_timer(&cp->timer, up->resolver_timeout + 1000);

    return NGX_AGAIN;
}


void
ngx_http_s3_cache_origin_addrs_put(ngx_http_s3_cache_call_priv_t *cp)
{
    if (cp->waits) {
        ngx_queue_remove(&cp->waiting);
        cp->waits = 0;
    }

    if (cp->timer.timer_set) {
        ngx_del_timer(&cp->timer);
    }

    if (cp->addrs) {
        addrs_unref(cp->addrs);
        cp->addrs = NULL;
        cp->addr = NULL;
    }
}


ngx_http_s3_cache_addr_t *
ngx_http_s3_cache_origin_addr_next(ngx_http_s3_cache_call_priv_t *cp)
{
    ngx_uint_t                 i, k, best;
    ngx_http_s3_cache_addr_t  *addr;

    best = cp->addrs->n;

    for (i = 0; i < cp->addrs->n; i++) {

        k = (cp->start + i) % cp->addrs->n;
        addr = &cp->addrs->addr[k];

        if (cp->tried & ((uint64_t) 1 << k)) {
            continue;
        }

        if (addr->failed
            && (ngx_msec_int_t) (addr->failed_until - ngx_current_msec) > 0)
        {
            /* it rests: only when there is nothing better */

            if (best == cp->addrs->n) {
                best = k;
            }

            continue;
        }

        best = k;
        break;
    }

    if (best == cp->addrs->n) {
        return NULL;
    }

    cp->tried |= (uint64_t) 1 << best;

    return &cp->addrs->addr[best];
}


static void
resolve_start(ngx_http_s3_cache_upstream_t *up)
{
    ngx_resolver_ctx_t  *ctx;

    ctx = ngx_resolve_start(up->resolver, NULL);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        up->retry_at = ngx_time() + 1;
        return;
    }

    ctx->name = up->origin->host;
    ctx->handler = resolve_handler;
    ctx->data = up;
    ctx->timeout = up->resolver_timeout;
    ctx->cancelable = 1;

    up->ctx = ctx;

    if (ngx_resolve_name(ctx) != NGX_OK) {
        up->ctx = NULL;
        up->retry_at = ngx_time() + 1;
    }
}


static void
resolve_handler(ngx_resolver_ctx_t *ctx)
{
    ngx_http_s3_cache_upstream_t  *up = ctx->data;

    ngx_uint_t                      i, n, level;
    ngx_queue_t                    *q;
    ngx_http_s3_cache_addrs_t      *addrs;
    ngx_http_s3_cache_call_priv_t  *cp;

    up->ctx = NULL;

    if (ctx->state || ctx->naddrs == 0) {
        level = up->addrs ? NGX_LOG_WARN : NGX_LOG_ERR;

        ngx_log_error(level, ngx_cycle->log, 0,
                      "s3_cache: origin host \"%V\" could not be resolved "
                      "(%i: %s)%s", &ctx->name, ctx->state,
                      ngx_resolver_strerror(ctx->state),
                      up->addrs ? ", its last addresses stay in use" : "");

        up->retry_at = ngx_time() + 1;

    } else {
        n = ngx_min(ctx->naddrs, NGX_HTTP_S3_CACHE_ADDRS_MAX);

        addrs = addrs_create(n);

        if (addrs) {
            for (i = 0; i < n; i++) {
                addrs_set(&addrs->addr[i], ctx->addrs[i].sockaddr,
                          ctx->addrs[i].socklen, up->origin->port);
            }

            addrs_replace(up, addrs);

            /* a TTL of 0 is not a query per request */
            up->valid = ngx_max(ctx->valid, ngx_time() + 1);

        } else {
            up->retry_at = ngx_time() + 1;
        }
    }

    ngx_resolve_name_done(ctx);

    while (!ngx_queue_empty(&up->waiting)) {
        q = ngx_queue_head(&up->waiting);
        cp = ngx_queue_data(q, ngx_http_s3_cache_call_priv_t, waiting);

        resolve_wake(cp);
    }
}


static void
resolve_wake(ngx_http_s3_cache_call_priv_t *cp)
{
    ngx_http_s3_cache_origin_addrs_put(cp);

    if (cp->upstream->addrs) {
        addrs_hold(cp);
        ngx_http_s3_cache_call_connect(cp);
        return;
    }

    ngx_http_s3_cache_call_fail(cp, NGX_HTTP_S3_CACHE_CALL_UNREACHABLE, 0,
                                "origin host could not be resolved", "");
}


static void
resolve_timer(ngx_event_t *ev)
{
    ngx_http_s3_cache_call_priv_t  *cp = ev->data;

    resolve_wake(cp);
}


void
ngx_http_s3_cache_origin_resolve_stop(ngx_http_s3_cache_upstream_t *up)
{
    if (up->ctx) {
        ngx_resolve_name_done(up->ctx);
        up->ctx = NULL;
    }
}
