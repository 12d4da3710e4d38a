/* SPDX-License-Identifier: Apache-2.0
 *
 * An object that a job is to evict: dropped at all nodes, as by a write to it.
 * Not as by a purge of its key: that takes one of 131072 others with it, and a
 * job may name a million.
 */

#include "ngx_http_s3_cache_warm_internal.h"
#include "ngx_http_s3_cache_fence.h"


static void evict_on_missed(void *data, ngx_http_s3_cache_near_t *near);
static void evict_resume(void *data, ngx_int_t rc);


void
ngx_http_s3_cache_warm_part_evict(warm_part_t *part)
{
    ngx_int_t                       rc;
    warm_object_t                  *object;
    ngx_http_s3_cache_ctx_t        *ctx;
    ngx_http_s3_cache_name_t        name;
    ngx_http_s3_cache_fence_t      *fence;
    ngx_http_s3_cache_main_conf_t  *mcf;

    ctx = &part->ctx;
    fence = &part->fence;
    object = part->object;
    mcf = ngx_http_s3_cache_main_conf(ctx);

    fence->ctx = ctx;
    fence->zone = ctx->zone;
    fence->resume = evict_resume;
    fence->on_missed = evict_on_missed;
    fence->data = part;

    /* there is no request whose pool could hold them */
    fence->holds = ngx_array_create(part->pool, 2,
                                    sizeof(ngx_http_s3_cache_fence_hold_t));

    if (fence->holds == NULL
        || ngx_http_s3_cache_fence_can(mcf, ctx->conf->origin->id) != NGX_OK
        || ngx_http_s3_cache_fence_config(mcf, ctx->conf->origin->id)
           != NGX_OK)
    {
        ngx_http_s3_cache_warm_part_over(part, WARM_FAILED);
        return;
    }

    ngx_memzero(&name, sizeof(ngx_http_s3_cache_name_t));
    name.bucket = object->bucket;
    name.key = object->key;
    name.version = object->version;
    name.zone = ctx->zone;

    part->fencing = 1;
    rc = ngx_http_s3_cache_forget(fence, &name);

    if (rc == NGX_AGAIN) {
        return;
    }

    part->fencing = 0;

    ngx_http_s3_cache_warm_part_over(part, rc == NGX_OK ? WARM_EVICTED
                                                        : WARM_FAILED);
}


static void
evict_on_missed(void *data, ngx_http_s3_cache_near_t *near)
{
    warm_part_t *part = data;

    s3c_warm_job_node(&part->object->run->job,
                      ngx_http_s3_cache_slice(&near->name), 0, 0, 1);
}


static void
evict_resume(void *data, ngx_int_t rc)
{
    warm_part_t *part = data;

    part->fencing = 0;

    ngx_http_s3_cache_warm_part_over(part, rc == NGX_OK ? WARM_EVICTED
                                                        : WARM_FAILED);
}
