/* SPDX-License-Identifier: Apache-2.0
 *
 * Fills whose bytes another node has: who owns the object or block is asked for
 * it, then the next owner, then the origin. What comes is not this node's to
 * keep: those who wait share it, and it goes with the last of them, unless it
 * is read so often that it becomes a mirror (mirror.c).
 */

#include "ngx_http_s3_cache_mirror.h"
#include "ngx_http_s3_cache_peer_errand.h"


static ngx_int_t peer_object(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin, ngx_http_s3_cache_near_t **owners,
    ngx_uint_t n, ngx_uint_t former);
static ngx_int_t peer_block(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin, uint64_t block,
    ngx_http_s3_cache_near_t **owners, ngx_uint_t n, ngx_uint_t former);


/* Where an object lies on the ring, or the stripe of it that begins at `off`.
 * ERROR: nowhere. */

static ngx_int_t
peer_point(ngx_http_s3_cache_ctx_t *ctx, uint64_t off, uint64_t *where)
{
    ngx_http_s3_cache_target_t  *target;

    target = ngx_http_s3_cache_target(ctx);
    if (target == NULL) {
        return NGX_ERROR;
    }

    *where = ngx_http_s3_cache_view_point(ctx->zone->peers,
                                          ctx->conf->identity, &target->ident,
                                          off);

    return NGX_OK;
}


/* Who has it? 0: this node, or nobody. */

static ngx_uint_t
peer_owners(ngx_http_s3_cache_ctx_t *ctx, uint64_t off,
    ngx_http_s3_cache_near_t **owners)
{
    uint64_t    point;
    ngx_uint_t  n;

    if (ctx->zone->peers == NULL || ctx->served
        || peer_point(ctx, off, &point) != NGX_OK)
    {
        return 0;
    }

    n = ngx_http_s3_cache_view_owners(ctx->zone->peers, point, owners);

    return (n > 0 && owners[0] != NULL) ? n : 0;
}


void
ngx_http_s3_cache_peer_truth(ngx_http_s3_cache_ctx_t *ctx)
{
    uint64_t                     point;
    ngx_http_s3_cache_target_t  *target;

    target = ngx_http_s3_cache_target(ctx);

    if (ctx->zone->peers != NULL && target != NULL) {
        ngx_http_s3_cache_peer_unhold(ctx->zone, ctx->conf,
                                      target->addr.bucket,
                                      target->addr.key);
    }

    if (ctx->zone->peers != NULL && ctx->zone->peers->redis != NULL
        && peer_point(ctx, 0, &point) == NGX_OK)
    {
        ngx_http_s3_cache_view_truth(ctx->zone->peers, point);
    }
}


ngx_uint_t
ngx_http_s3_cache_peer_foreign(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_http_s3_cache_near_t  *owners[S3C_RING_OWNERS];

    return peer_owners(ctx, 0, owners) != 0;
}


/* Through whom was it written, not long ago? NULL: nobody has said so. */

static ngx_http_s3_cache_near_t *
peer_holder(ngx_http_s3_cache_ctx_t *ctx)
{
    uint64_t                     node;
    ngx_uint_t                   i;
    ngx_http_s3_cache_near_t    *near;
    ngx_http_s3_cache_target_t  *target;

    target = ngx_http_s3_cache_target(ctx);

    if (target == NULL || target->op.version_id.len > 0) {
        return NULL;
    }

    node = s3c_holder_find(&ctx->zone->peers->shared->holders,
                           ngx_http_s3_cache_fence_hash(ctx->zone,
                                                   ctx->conf->origin->id,
                                                   target->addr.bucket,
                                                   target->addr.key),
                           ngx_http_s3_cache_now());
    i = 0;

    while (node != 0
           && (near = ngx_http_s3_cache_view_member(ctx->zone->peers, &i))
              != NULL)
    {
        if (s3c_hash64(near->name.data, near->name.len) == node) {
            return near;
        }
    }

    return NULL;
}


void
ngx_http_s3_cache_peer_unhold(ngx_http_s3_cache_zone_t *zone,
    ngx_http_s3_cache_loc_conf_t *lcf, s3c_slice_t bucket, s3c_slice_t key)
{
    s3c_holder_drop(&zone->peers->shared->holders,
                    ngx_http_s3_cache_fence_hash(zone, lcf->origin->id, bucket,
                                                 key));
}


/* Who had it? 0: nobody that would know more than the origin. Where the rings
 * of two nodes differ because one is late, it may be the owner by this ring. */

static ngx_uint_t
peer_former(ngx_http_s3_cache_ctx_t *ctx, uint64_t off,
    ngx_http_s3_cache_near_t **owner)
{
    uint64_t                   point;
    ngx_uint_t                 n;
    ngx_http_s3_cache_near_t  *owners[S3C_RING_OWNERS];

    if (ctx->zone->peers == NULL || ctx->kept
        || ngx_http_s3_cache_wants_truth(ctx)
        || peer_point(ctx, off, &point) != NGX_OK)
    {
        return 0;
    }

    *owner = peer_holder(ctx);

    if (*owner == NULL && ctx->first) {
        n = ngx_http_s3_cache_view_owners(ctx->zone->peers, point, owners);
        *owner = (n > 0) ? owners[0] : NULL;
    }

    if (*owner == NULL) {
        *owner = ngx_http_s3_cache_view_former(ctx->zone->peers, point);
    }

    return *owner != NULL;
}


ngx_int_t
ngx_http_s3_cache_peer_object(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin)
{
    ngx_uint_t                 n;
    ngx_http_s3_cache_near_t  *owners[S3C_RING_OWNERS];

    n = peer_owners(ctx, 0, owners);

    return n ? peer_object(ctx, pin, owners, n, 0) : NGX_DECLINED;
}


ngx_int_t
ngx_http_s3_cache_former_object(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin)
{
    ngx_uint_t                 n;
    ngx_http_s3_cache_near_t  *owner;

    n = peer_former(ctx, 0, &owner);

    return n ? peer_object(ctx, pin, &owner, n, 1) : NGX_DECLINED;
}


static ngx_int_t
peer_object(ngx_http_s3_cache_ctx_t *ctx, const s3c_ram_pin_t *pin,
    ngx_http_s3_cache_near_t **owners, ngx_uint_t n, ngx_uint_t former)
{
    errand_t                 *errand;
    s3c_wire_ask_t           *ask;
    ngx_http_s3_cache_job_t  *job;

    errand = ngx_http_s3_cache_errand_create(ctx, pin, owners, n, former);
    if (errand == NULL) {
        return NGX_ERROR;
    }

    job = errand->job;
    ask = &errand->asks[0].ask;
    ask->what = ctx->head ? S3C_WIRE_HEAD : S3C_WIRE_OBJECT;

    if (ngx_http_s3_cache_wants_truth(ctx)) {
        ask->flags |= S3C_WIRE_TRUTH;
    }

    if (ctx->ask.checksum_mode && ctx->ask.range.kind == S3C_RANGE_NONE) {
        ask->flags |= S3C_WIRE_FULL;
    }

    job->bodyless = ctx->head;
    if (!former) {
        job->heat = ngx_http_s3_cache_mirror_heat(ctx, ctx->object);
    }


    switch (ctx->ask.range.kind) {

    case S3C_RANGE_FROM_TO:
    case S3C_RANGE_FROM:
        job->ranged = 1;
        job->block = ctx->ask.range.first / job->conf->block_size;
        break;

    case S3C_RANGE_SUFFIX:
        /* which block is not known before the length is: none */
        job->ranged = 1;
        job->block = UINT64_MAX;
        break;

    default:
        break;
    }

    if (ask->what == S3C_WIRE_OBJECT) {
        /* a block of another stripe is another node's: not from here */
        ask->block = (job->block * job->conf->block_size
                      < (uint64_t) ctx->zone->peers->stripe)
                     ? job->block : UINT64_MAX;
    }

    job->head = ctx->head;

    if (ctx->request != NULL) {
        errand->lead = ctx;
        ctx->errand = errand;
    }

    return ngx_http_s3_cache_errand_next(errand);
}


ngx_int_t
ngx_http_s3_cache_peer_block(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin, uint64_t block)
{
    ngx_uint_t                 n;
    ngx_http_s3_cache_near_t  *owners[S3C_RING_OWNERS];

    n = peer_owners(ctx, block * ctx->conf->block_size, owners);

    return n ? peer_block(ctx, pin, block, owners, n, 0) : NGX_DECLINED;
}


ngx_int_t
ngx_http_s3_cache_former_block(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin, uint64_t block)
{
    ngx_uint_t                 n;
    ngx_http_s3_cache_near_t  *owner;

    n = peer_former(ctx, block * ctx->conf->block_size, &owner);

    return n ? peer_block(ctx, pin, block, &owner, n, 1) : NGX_DECLINED;
}


static ngx_int_t
peer_block(ngx_http_s3_cache_ctx_t *ctx, const s3c_ram_pin_t *pin,
    uint64_t block, ngx_http_s3_cache_near_t **owners, ngx_uint_t n,
    ngx_uint_t former)
{
    errand_t                 *errand;
    s3c_wire_ask_t           *ask;
    ngx_http_s3_cache_job_t  *job;

    errand = ngx_http_s3_cache_errand_create(ctx, pin, owners, n, former);
    if (errand == NULL) {
        return NGX_ERROR;
    }

    job = errand->job;

    if (ngx_http_s3_cache_job_block(job, ctx, block) != NGX_OK) {
        ngx_http_s3_cache_errand_fail(errand, NGX_HTTP_S3_CACHE_FILL_ROOM);
        return NGX_ERROR;
    }

    job->key = s3c_key_block(job->zone->secret, job->object, job->generation,
                             block, job->conf->block_size);

    if (!former) {
        job->heat = ngx_http_s3_cache_mirror_heat(ctx, job->key);
    }

    ask = &errand->asks[0].ask;
    ask->what = S3C_WIRE_BLOCK;
    ask->block = block;
    ask->generation = ctx->view.generation;
    ask->total = ctx->view.total;
    ask->last_modified = ctx->view.last_modified;

    if (job->etag.len <= S3C_WIRE_ETAG_MAX) {
        ask->etag = job->etag;
    }

    return ngx_http_s3_cache_errand_next(errand);
}
