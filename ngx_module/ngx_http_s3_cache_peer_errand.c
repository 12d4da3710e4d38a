/* SPDX-License-Identifier: Apache-2.0
 *
 * From one node to the next, and to the origin in the end.
 */

#include "ngx_http_s3_cache_peer_errand.h"


static ngx_msec_t errand_patience(ngx_http_s3_cache_ctx_t *ctx);


/* What an honest owner may need for its origin, and a little more. */

static ngx_msec_t
errand_patience(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_http_s3_cache_origin_conf_t  *conf;

    conf = &ctx->conf->origin_conf;

    return ctx->zone->peers->timeout + conf->connect_timeout
           + conf->send_timeout + conf->read_timeout;
}


errand_t *
ngx_http_s3_cache_errand_create(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin, ngx_http_s3_cache_near_t **owners,
    ngx_uint_t nowners, ngx_uint_t former)
{
    u_char                      *version;
    errand_t                    *errand;
    s3c_wire_ask_t              *ask;
    ngx_http_s3_cache_job_t     *job;
    ngx_http_s3_cache_ask_t     *first;
    ngx_http_s3_cache_target_t  *target;

    job = ngx_http_s3_cache_job_create(ctx, pin);
    if (job == NULL) {
        return NULL;
    }

    target = ngx_http_s3_cache_target(ctx);
    version = NULL;
    errand = ngx_pcalloc(job->pool, sizeof(errand_t));

    if (target != NULL && target->op.version_id.len > 0) {
        version = ngx_pnalloc(job->pool, target->op.version_id.len);
    }

    if (errand == NULL || target == NULL
        || (target->op.version_id.len > 0 && version == NULL))
    {
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
        ngx_http_s3_cache_job_destroy(job);
        return NULL;
    }

    job->errand = errand;

    /* what is another node's is not kept here; and who asks from there must
       not wait for it */
    job->keep = former;
    job->store = former && !ctx->head;
    job->key = ctx->object;              /* a block has its own */

    if (!former) {
        s3c_ram_fill_mark(job->zone->ram, &job->pin,
                          NGX_HTTP_S3_CACHE_MARK_PEER);
    }

    errand->job = job;
    errand->former = former;
    errand->nowners = nowners;
    ngx_memcpy(errand->owners, owners, nowners * sizeof(void *));

    first = &errand->asks[0];
    first->pool = job->pool;
    first->patience = errand_patience(ctx);
    first->data = errand;
    ngx_http_s3_cache_errand_listen(first);

    ask = &first->ask;
    ask->location = job->conf->location;
    ask->flags = former ? S3C_WIRE_KEPT : 0;
    ask->window = ngx_max(job->conf->block_size,
                          NGX_HTTP_S3_CACHE_ERROR_BODY_MAX);

    /* job->path is "/bucket/key" */
    ask->bucket = s3c_slice(job->path.data + 1, target->addr.bucket.len);
    ask->key = s3c_slice(job->path.data + 2 + target->addr.bucket.len,
                         target->addr.key.len);

    if (version != NULL) {
        ngx_memcpy(version, target->op.version_id.data,
                   target->op.version_id.len);
        ask->version_id = s3c_slice(version, target->op.version_id.len);
    }

    return errand;
}


/* The next owner that can be asked. DECLINED: there is none, or it is this
 * node's turn. */

ngx_int_t
ngx_http_s3_cache_errand_ask(errand_t *errand, ngx_uint_t slot)
{
    s3c_wire_ask_t            *ask;
    ngx_http_s3_cache_job_t   *job;
    ngx_http_s3_cache_near_t  *near;

    job = errand->job;

    ask = &errand->asks[slot].ask;

    while (errand->tried < errand->nowners) {
        near = errand->owners[errand->tried];

        if (near == NULL) {
            break;
        }

        if (errand->tried++ == 0 && !errand->former) {
            ask->flags |= S3C_WIRE_FIRST;

        } else {
            ask->flags &= ~S3C_WIRE_FIRST;
        }

        if (ngx_http_s3_cache_ask_start(&errand->asks[slot], near) == NGX_OK)
        {
            errand->active |= 1 << slot;

            s3c_stats_add(&job->zone->stats,
                          errand->former ? S3C_STAT_PEER_FORMER
                                         : S3C_STAT_PEER_ASKED, 1);
            s3c_stats_node_add(&near->counts, S3C_NODE_STAT_FORMER,
                               errand->former);
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* The next owner, else the origin. */

ngx_int_t
ngx_http_s3_cache_errand_next(errand_t *errand)
{
    ngx_http_s3_cache_job_t  *job;

    job = errand->job;

    if (ngx_http_s3_cache_view_over(job->zone->peers)) {
        ngx_http_s3_cache_errand_fail(errand, S3C_FILL_REASON_DIED);
        return NGX_ERROR;
    }

    if (ngx_http_s3_cache_errand_ask(errand, 0) == NGX_OK) {
        return NGX_OK;
    }

    if (errand->lead != NULL) {
        errand->lead->errand = NULL;
    }

    job->errand = NULL;
    job->keep = 1;

    if (errand->former && !job->part) {
        /* it has it no more; and from now on the origin may know better */
        ngx_http_s3_cache_peer_unhold(job->zone, job->conf,
                    s3c_slice(job->path.data + 1, job->bucket_len),
                    s3c_slice(job->path.data + 2 + job->bucket_len,
                              job->path.len - 2 - job->bucket_len));
    }

    s3c_ram_fill_mark(job->zone->ram, &job->pin, 0);

    return ngx_http_s3_cache_job_origin(job);
}


/* The job goes, and who leads it is told. */

void
ngx_http_s3_cache_errand_end(errand_t *errand)
{
    if (errand->lead != NULL) {
        errand->lead->errand = NULL;
    }

    ngx_http_s3_cache_job_destroy(errand->job);
}


/* The request goes, the errand goes on. */

void
ngx_http_s3_cache_errand_leave(ngx_http_s3_cache_ctx_t *ctx)
{
    errand_t *errand = ctx->errand;

    if (errand != NULL) {
        errand->lead = NULL;
        ctx->errand = NULL;
    }
}


/* Nobody hears what is still under way. */

void
ngx_http_s3_cache_errand_drop(errand_t *errand)
{
    ngx_uint_t  i;

    for (i = 0; i < 2; i++) {
        if (errand->active & (1 << i)) {
            ngx_http_s3_cache_ask_cancel(&errand->asks[i]);
        }
    }

    errand->active = 0;
}


void
ngx_http_s3_cache_errand_fail(errand_t *errand, uint32_t reason)
{
    ngx_http_s3_cache_errand_drop(errand);

    if (!errand->job->settled) {
        ngx_http_s3_cache_job_fail(errand->job, reason);
    }

    ngx_http_s3_cache_errand_end(errand);
}
