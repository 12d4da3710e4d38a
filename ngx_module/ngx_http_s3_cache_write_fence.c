/* SPDX-License-Identifier: Apache-2.0
 *
 * What a write holds back, here and at all other nodes. Here it is fenced as it
 * becomes known; the others are told when the origin could take the write with
 * the next bytes that it gets (the last of the body, or all of a request without
 * one), and those wait until every node has answered or is known not to.
 *
 *   begin      each name, here. If the origin may refuse it, and nobody here
 *              can tell, it is dropped at the end: until then no reader uses it
 *   gate       told -> waits -> passed; or refused
 *   renew      as long as it takes, so that no node forgets it
 *   end        here at once; the others learn of it by themselves. If nobody
 *              knows what became of the write, those that were not told are
 *              told again, until it cannot come true any more
 */

#include "ngx_http_s3_cache_reload.h"
#include "ngx_http_s3_cache_roster.h"
#include "ngx_http_s3_cache_tell.h"
#include "ngx_http_s3_cache_write.h"


#define RENEW_MSEC  (NGX_HTTP_S3_CACHE_FENCE_LINGER / 3)


static ngx_http_s3_cache_main_conf_t *fence_conf(
    ngx_http_s3_cache_fence_t *fence);
static ngx_int_t fence_later(ngx_http_s3_cache_fence_t *fence,
    const ngx_http_s3_cache_name_t *name);
static void fence_drop_later(ngx_http_s3_cache_fence_t *fence);
static ngx_int_t fence_name(ngx_http_s3_cache_fence_t *fence,
    const ngx_http_s3_cache_name_t *name);
static ngx_int_t fence_push(ngx_pool_t *pool, ngx_array_t *names,
    const ngx_http_s3_cache_name_t *name);
static void fence_copy(u_char **p, s3c_slice_t *to, s3c_slice_t from);
static ngx_http_s3_cache_zone_t *fence_ring(ngx_http_s3_cache_fence_t *fence,
    ngx_uint_t *i);
static ngx_int_t fence_tell(ngx_http_s3_cache_fence_t *fence);
static void fence_answered(ngx_http_s3_cache_tell_t *tell);
static void fence_missed(ngx_http_s3_cache_tell_t *tell,
    ngx_http_s3_cache_near_t *near);
static ngx_int_t fence_passed(ngx_http_s3_cache_fence_t *fence);
static void fence_stray(ngx_http_s3_cache_fence_t *fence);
static void fence_resume(ngx_http_s3_cache_fence_t *fence);
static void fence_forgotten(ngx_http_s3_cache_fence_t *fence);
static void fence_renew(ngx_event_t *ev);


ngx_int_t
ngx_http_s3_cache_fence_begin(ngx_http_s3_cache_fence_t *fence,
    const ngx_http_s3_cache_name_t *name)
{
    ngx_int_t                       rc;
    ngx_http_s3_cache_ctx_t        *ctx;
    ngx_http_s3_cache_name_t        later, bucket;
    ngx_http_s3_cache_main_conf_t  *mcf;

    if (fence->bucket) {
        return NGX_OK;
    }

    if (fence->judged) {
        later = *name;
        later.later = 1;
        name = &later;
    }

    ctx = fence->ctx;
    mcf = fence_conf(fence);
    fence->place = ngx_http_s3_cache_reload_bucket(ctx->conf->origin->id,
                                                   name->bucket);

    switch (ngx_http_s3_cache_fence_config(mcf, ctx->conf->origin->id)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        /* nginx was reloaded under the write */
        bucket = *name;
        bucket.key = S3C_SLICE_NONE;
        bucket.version = S3C_SLICE_NONE;
        bucket.prefix = 0;
        bucket.whole = 0;
        bucket.refresh = 0;
        name = &bucket;
        break;

    default:
        return NGX_BUSY;
    }

    if (fence_later(fence, name) != NGX_OK) {
        return NGX_ERROR;
    }

    if (fence->holds == NULL) {
        fence->holds = ngx_array_create(fence->owner ? fence->owner
                                                     : ctx->request->pool, 2,
                                  sizeof(ngx_http_s3_cache_fence_hold_t));
        if (fence->holds == NULL) {
            return NGX_ERROR;
        }
    }

    rc = ngx_http_s3_cache_list_hold(mcf, ctx->conf->origin->id, name,
                                     &fence->lists, fence->holds);

    if (rc == NGX_OK) {
        rc = ngx_http_s3_cache_fence_hold(mcf, ctx->conf->origin->id, name,
                                          fence->holds);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (name->key.len == 0) {
        fence->bucket = 1;

    } else if (ngx_http_s3_cache_fence_config(mcf, ctx->conf->origin->id)
               != NGX_OK)
    {
        /* only now: what those who are new keep was not dropped */
        return ngx_http_s3_cache_fence_begin(fence, name);
    }

    return fence_name(fence, name);
}


/* What is dropped if the write is not refused: before any of it is held. */

static ngx_int_t
fence_later(ngx_http_s3_cache_fence_t *fence,
    const ngx_http_s3_cache_name_t *name)
{
    ngx_pool_t  *pool;

    if (!name->later) {
        return NGX_OK;
    }

    pool = fence->ctx->request->pool;

    if (fence->later == NULL) {
        fence->later = ngx_array_create(pool, 2,
                                        sizeof(ngx_http_s3_cache_name_t));
        if (fence->later == NULL) {
            return NGX_ERROR;
        }
    }

    return fence_push(pool, fence->later, name);
}


/* While it is fenced. */

static void
fence_drop_later(ngx_http_s3_cache_fence_t *fence)
{
    uint64_t                        origin;
    ngx_uint_t                      i;
    ngx_http_s3_cache_name_t       *name;
    ngx_http_s3_cache_main_conf_t  *mcf;

    mcf = fence_conf(fence);
    origin = fence->ctx->conf->origin->id;
    name = fence->later->elts;

    for (i = 0; i < fence->later->nelts; i++) {
        ngx_http_s3_cache_list_drop(mcf, origin, &name[i]);
        ngx_http_s3_cache_fence_drop(mcf, origin, &name[i]);
    }
}


static ngx_http_s3_cache_main_conf_t *
fence_conf(ngx_http_s3_cache_fence_t *fence)
{
    return fence->conf ? fence->conf
                       : ngx_http_s3_cache_main_conf(fence->ctx);
}


/* Kept until the last node has been told that it is over. */

static ngx_int_t
fence_name(ngx_http_s3_cache_fence_t *fence,
    const ngx_http_s3_cache_name_t *name)
{
    ngx_uint_t  i;

    i = 0;

    if (fence_ring(fence, &i) == NULL) {
        return NGX_OK;
    }

    if (fence->pool == NULL) {
        fence->pool = ngx_create_pool(4096, ngx_cycle->log);

        if (fence->pool == NULL
            || ngx_array_init(&fence->names, fence->pool, 2,
                              sizeof(ngx_http_s3_cache_name_t))
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        fence->tag = ngx_http_s3_cache_tell_tag();
    }

    return fence_push(fence->pool, &fence->names, name);
}


static ngx_int_t
fence_push(ngx_pool_t *pool, ngx_array_t *names,
    const ngx_http_s3_cache_name_t *name)
{
    u_char                    *p;
    ngx_http_s3_cache_name_t  *copy;

    copy = ngx_array_push(names);
    if (copy == NULL) {
        return NGX_ERROR;
    }

    *copy = *name;

    p = ngx_pnalloc(pool, name->bucket.len + name->key.len + name->version.len
                          + 1);
    if (p == NULL) {
        names->nelts--;
        return NGX_ERROR;
    }

    fence_copy(&p, &copy->bucket, name->bucket);
    fence_copy(&p, &copy->key, name->key);
    fence_copy(&p, &copy->version, name->version);

    return NGX_OK;
}


static void
fence_copy(u_char **p, s3c_slice_t *to, s3c_slice_t from)
{
    *to = s3c_slice(*p, from.len);

    if (from.len > 0) {
        *p = ngx_cpymem(*p, from.data, from.len);
    }
}


/* The next zone that keeps objects of the written origin and shares them with
 * other nodes. */

static ngx_http_s3_cache_zone_t *
fence_ring(ngx_http_s3_cache_fence_t *fence, ngx_uint_t *i)
{
    uint64_t                        origin;
    ngx_http_s3_cache_zone_t       *zone;
    ngx_http_s3_cache_main_conf_t  *mcf;

    origin = fence->ctx->conf->origin->id;
    mcf = fence_conf(fence);

    while ((zone = ngx_http_s3_cache_fence_zone(mcf, origin, i)) != NULL) {

        if (zone->peers != NULL
            && (fence->zone == NULL || fence->zone == zone))
        {
            return zone;
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_s3_cache_fence_gate(ngx_http_s3_cache_fence_t *fence)
{
    if (fence->passed) {
        return NGX_OK;
    }

    if (fence->out > 0) {
        return NGX_AGAIN;
    }

    if (fence->pool == NULL) {
        fence->passed = 1;
        return NGX_OK;
    }

    switch (fence_tell(fence)) {

    case NGX_OK:
        return fence_passed(fence);

    case NGX_AGAIN:
        return NGX_AGAIN;

    default:
        return NGX_ERROR;
    }
}


static ngx_int_t
fence_tell(ngx_http_s3_cache_fence_t *fence)
{
    ngx_uint_t                 i, n;
    ngx_http_s3_cache_tell_t  *tell;
    ngx_http_s3_cache_zone_t  *zone;

    if (fence->tells == NULL) {

        for (i = 0, n = 0; fence_ring(fence, &i) != NULL; n++) {
            /* void */
        }

        fence->tells = ngx_pcalloc(fence->pool,
                                   n * sizeof(ngx_http_s3_cache_tell_t));
        if (fence->tells == NULL) {
            return NGX_ERROR;
        }
    }

    i = 0;

    for (n = 0; (zone = fence_ring(fence, &i)) != NULL; n++) {
        tell = &fence->tells[n];

        tell->peers = zone->peers;
        tell->what = S3C_WIRE_FENCE;
        tell->origin = fence->ctx->conf->origin->id;
        tell->tag = fence->tag;
        tell->msec = NGX_HTTP_S3_CACHE_FENCE_LINGER;
        tell->names = fence->names.elts;
        tell->nnames = fence->names.nelts;
        tell->done = fence_answered;
        tell->on_missed = fence->on_missed ? fence_missed : NULL;
        tell->data = fence;

        if (ngx_http_s3_cache_tell(tell) == NGX_AGAIN) {
            fence->out++;
        }
    }

    fence->ntells = n;

    return fence->out > 0 ? NGX_AGAIN : NGX_OK;
}


static void
fence_answered(ngx_http_s3_cache_tell_t *tell)
{
    ngx_http_s3_cache_fence_t *fence = tell->data;

    if (--fence->out > 0 || fence->passed) {
        return;
    }

    fence->refused = (fence_passed(fence) != NGX_OK);
    fence_resume(fence);
}


static void
fence_missed(ngx_http_s3_cache_tell_t *tell, ngx_http_s3_cache_near_t *near)
{
    ngx_http_s3_cache_fence_t *fence = tell->data;

    fence->on_missed(fence->data, near);
}


/*
 * A node that was not told finds that out when it next asks, and that it cannot
 * ask is enough, too. But one that has this node no more for a member of the
 * ring does not ask: then the write must not be.
 */

static ngx_int_t
fence_passed(ngx_http_s3_cache_fence_t *fence)
{
    ngx_uint_t                 i;
    ngx_http_s3_cache_tell_t  *tell;

    for (i = 0; i < fence->ntells; i++) {
        tell = &fence->tells[i];

        if (tell->refused
            || (tell->missed && ngx_http_s3_cache_tell_apart(tell->peers)))
        {
            s3c_stats_add(&tell->peers->zone->stats, S3C_STAT_WRITE_BUSY, 1);
            return NGX_BUSY;
        }
    }

    for (i = 0; i < fence->ntells; i++) {
        if (!ngx_http_s3_cache_view_ready(fence->tells[i].peers)) {
            /* who the others are is not known yet */
            return NGX_BUSY;
        }
    }

    fence_stray(fence);
    fence->passed = 1;

    fence->renew.handler = fence_renew;
    fence->renew.data = fence;
    fence->renew.log = ngx_cycle->log;
    ngx_add_timer(&fence->renew, RENEW_MSEC);

    return NGX_OK;
}


/* An old worker knows the nodes of its own configuration, and no others. */

static void
fence_stray(ngx_http_s3_cache_fence_t *fence)
{
    ngx_uint_t                 i;
    ngx_http_s3_cache_peers_t *peers;

    for (i = 0; ngx_exiting && i < fence->ntells; i++) {
        peers = fence->tells[i].peers;

        if (peers->redis == NULL) {
            s3c_vouch_missed_all(&peers->shared->vouch);
        }
    }
}


static void
fence_resume(ngx_http_s3_cache_fence_t *fence)
{
    ngx_uint_t                refused;
    ngx_connection_t         *c;
    ngx_http_s3_cache_ctx_t  *ctx;

    ctx = fence->ctx;

    if (fence->resume != NULL) {
        refused = fence->refused;
        fence_forgotten(fence);
        fence->resume(fence->data, refused ? NGX_BUSY : NGX_OK);
        return;
    }

    if (ngx_http_s3_cache_write_feeds(ctx)) {
        return;
    }

    c = ctx->request->connection;

    if (c->destroyed || !ctx->waiting) {
        return;
    }

    ngx_http_s3_cache_run(ctx, ngx_http_s3_cache_write_go);
}


static void
fence_renew(ngx_event_t *ev)
{
    ngx_http_s3_cache_fence_t *fence = ev->data;

    if (fence->out == 0) {
        (void) fence_tell(fence);
    }

    ngx_add_timer(ev, RENEW_MSEC);
}


void
ngx_http_s3_cache_fence_end(ngx_http_s3_cache_fence_t *fence,
    ngx_http_s3_cache_fence_end_e end)
{
    ngx_msec_t                 linger;
    ngx_uint_t                 i, refused;
    ngx_http_s3_cache_name_t  *name;

    linger = end == NGX_HTTP_S3_CACHE_FENCE_UNKNOWN
             ? NGX_HTTP_S3_CACHE_FENCE_LINGER : 0;

    /* of others, all that is named has been dropped when it was fenced */
    refused = fence->judged && end == NGX_HTTP_S3_CACHE_FENCE_REFUSED;

    if (fence->renew.timer_set) {
        ngx_del_timer(&fence->renew);
    }

    if (fence->passed) {
        if (!refused) {
            ngx_http_s3_cache_reload_written(fence->place, linger);
        }

        fence->passed = 0;
    }

    if (fence->later != NULL) {
        if (!refused) {
            fence_drop_later(fence);
        }

        fence->later->nelts = 0;
    }

    name = fence->names.elts;

    for (i = 0; fence->pool != NULL && !refused && i < fence->names.nelts; i++)
    {
        /* of a write of another node that began under this one */
        ngx_http_s3_cache_fence_doubt(fence_conf(fence),
                                      fence->ctx->conf->origin->id, &name[i]);
    }

    if (fence->holds != NULL) {
        ngx_http_s3_cache_fence_release(fence->holds, linger == 0);
        fence->lists.n = 0;
    }

    for (i = 0; i < fence->ntells; i++) {
        if (fence->tells[i].out > 0) {
            ngx_http_s3_cache_tell_cancel(&fence->tells[i]);
        }
    }

    fence_stray(fence);

    if (fence->ntells > 0) {
        ngx_http_s3_cache_fence_lift_all(fence, linger, refused);

    } else if (fence->pool != NULL) {
        ngx_destroy_pool(fence->pool);
    }

    fence->out = 0;
    fence->ntells = 0;
    fence->tells = NULL;               /* they went with the pool */
    fence->pool = NULL;
}


ngx_int_t
ngx_http_s3_cache_forget(ngx_http_s3_cache_fence_t *fence,
    const ngx_http_s3_cache_name_t *name)
{
    ngx_int_t  rc;

    rc = ngx_http_s3_cache_fence_begin(fence, name);

    if (rc == NGX_OK) {
        rc = ngx_http_s3_cache_fence_gate(fence);
    }

    if (rc != NGX_AGAIN) {
        fence_forgotten(fence);
    }

    return rc;
}


static void
fence_forgotten(ngx_http_s3_cache_fence_t *fence)
{
    ngx_http_s3_cache_fence_end(fence, NGX_HTTP_S3_CACHE_FENCE_KNOWN);

    fence->bucket = 0;
    fence->passed = 0;
    fence->refused = 0;
}
