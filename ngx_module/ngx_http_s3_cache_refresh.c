/* SPDX-License-Identifier: Apache-2.0
 *
 * The beginning of a miss (see lookup.c) for an object that nobody has asked
 * for yet: a plain GET, of which a large object keeps its head and its first
 * block. Nobody waits; what becomes of it the next reader sees.
 */

#include "ngx_http_s3_cache_refresh.h"
#include "ngx_http_s3_cache_fence.h"
#include "ngx_http_s3_cache_peer.h"


/* of other nodes' words, between FENCE and LIFT; the oldest go */
#define REFRESH_NOTED  64


typedef struct {
    uint64_t                    tag;           /* of the word; 0: none */
    uint64_t                    object;
    uint64_t                    location;
} ngx_http_s3_cache_refresh_noted_t;


static ngx_uint_t ngx_http_s3_cache_refresh_is_mine(
    ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t ngx_http_s3_cache_refresh_name(ngx_http_s3_cache_ctx_t *ctx,
    s3c_slice_t bucket, s3c_slice_t key);


/* used within one call, and large */
static ngx_http_s3_cache_target_t  ngx_http_s3_cache_refresh_target;
static ngx_http_s3_cache_ctx_t     ngx_http_s3_cache_refresh_ctx;

static ngx_http_s3_cache_refresh_noted_t
                            ngx_http_s3_cache_refresh_list[REFRESH_NOTED];
static ngx_uint_t           ngx_http_s3_cache_refresh_next;


ngx_uint_t
ngx_http_s3_cache_refresh_can(ngx_http_s3_cache_ctx_t *ctx,
    s3c_slice_t bucket, s3c_slice_t key)
{
    s3c_status_t    st;
    s3c_ram_pin_t   pin;

    if (ngx_http_s3_cache_refresh_name(ctx, bucket, key) != NGX_OK
        || !ngx_http_s3_cache_refresh_is_mine(ctx))
    {
        return 0;
    }

    ngx_memzero(&pin, sizeof(s3c_ram_pin_t));

    st = s3c_ram_find(ctx->zone->ram, ctx->object, ngx_http_s3_cache_now(),
                      &pin);

    if (st != S3C_OK && st != S3C_AGAIN) {
        return 0;
    }

    s3c_ram_unpin(ctx->zone->ram, &pin);

    return 1;
}


ngx_int_t
ngx_http_s3_cache_refresh(ngx_http_s3_cache_ctx_t *ctx, s3c_slice_t bucket,
    s3c_slice_t key)
{
    ngx_int_t       rc;
    s3c_ram_t      *ram;
    s3c_ram_pin_t   pin;

    ram = ctx->zone->ram;

    if (ngx_http_s3_cache_refresh_name(ctx, bucket, key) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_memzero(&pin, sizeof(s3c_ram_pin_t));

    if (s3c_ram_fill_begin(ram, ctx->object, ngx_http_s3_cache_now(), &pin)
        != S3C_OK)
    {
        /* somebody was quicker, or there is no room */

        if (s3c_ram_pinned(&pin)) {
            s3c_ram_unpin(ram, &pin);
        }

        return NGX_DECLINED;
    }

    if (ngx_http_s3_cache_fenced_object(ctx->zone, ctx->conf, bucket, key)) {
        s3c_ram_fill_fail(ram, &pin, NGX_HTTP_S3_CACHE_FILL_AGAIN);
        rc = NGX_DECLINED;

    } else {
        ctx->target = &ngx_http_s3_cache_refresh_target;
        rc = ngx_http_s3_cache_fill_object(ctx, &pin);
        ctx->target = NULL;
    }

    s3c_ram_unpin(ram, &pin);

    return rc;
}


/* There may be several locations of that origin. */

void
ngx_http_s3_cache_refresh_note(ngx_http_s3_cache_peers_t *peers,
    const s3c_wire_ask_t *ask)
{
    ngx_uint_t                           i;
    ngx_http_s3_cache_ctx_t             *ctx;
    ngx_http_s3_cache_loc_conf_t       **locations;
    ngx_http_s3_cache_refresh_noted_t   *noted;

    ctx = &ngx_http_s3_cache_refresh_ctx;
    locations = peers->locations.elts;

    for (i = 0; i < peers->locations.nelts; i++) {
        ngx_memzero(ctx, sizeof(ngx_http_s3_cache_ctx_t));
        ctx->log = ngx_cycle->log;
        ctx->conf = locations[i];
        ctx->zone = peers->zone;

        if (locations[i]->origin->id != ask->location
            || !ngx_http_s3_cache_refresh_can(ctx, ask->bucket, ask->key))
        {
            continue;
        }

        noted = &ngx_http_s3_cache_refresh_list[
                          ngx_http_s3_cache_refresh_next++ % REFRESH_NOTED];
        noted->tag = ask->generation;
        noted->object = ngx_http_s3_cache_fence_hash(peers->zone,
                                                     ask->location,
                                                     ask->bucket, ask->key);
        noted->location = locations[i]->location;
    }
}


void
ngx_http_s3_cache_refresh_noted(ngx_http_s3_cache_peers_t *peers,
    const s3c_wire_ask_t *ask)
{
    uint64_t                            object;
    ngx_uint_t                          i;
    ngx_http_s3_cache_ctx_t            *ctx;
    ngx_http_s3_cache_refresh_noted_t  *noted;

    ctx = &ngx_http_s3_cache_refresh_ctx;
    object = 0;

    for (i = 0; i < REFRESH_NOTED; i++) {
        noted = &ngx_http_s3_cache_refresh_list[i];

        if (noted->tag != ask->generation) {
            continue;
        }

        if (object == 0) {
            object = ngx_http_s3_cache_fence_hash(peers->zone, ask->location,
                                                  ask->bucket, ask->key);
        }

        if (noted->object != object) {
            continue;
        }

        noted->tag = 0;

        ngx_memzero(ctx, sizeof(ngx_http_s3_cache_ctx_t));
        ctx->log = ngx_cycle->log;
        ctx->zone = peers->zone;
        ctx->conf = ngx_http_s3_cache_peer_location(peers, noted->location);

        if (ctx->conf != NULL
            && ngx_http_s3_cache_refresh(ctx, ask->bucket, ask->key) == NGX_OK)
        {
            s3c_stats_add(&peers->zone->stats, S3C_STAT_EVENT_REFRESHED, 1);
        }
    }
}


/* Otherwise its owner has to. */

static ngx_uint_t
ngx_http_s3_cache_refresh_is_mine(ngx_http_s3_cache_ctx_t *ctx)
{
    uint64_t                     point;
    ngx_http_s3_cache_near_t    *owners[S3C_RING_OWNERS];
    ngx_http_s3_cache_target_t  *target;

    if (ctx->zone->peers == NULL) {
        return 1;
    }

    target = &ngx_http_s3_cache_refresh_target;

    point = ngx_http_s3_cache_view_point(ctx->zone->peers, ctx->conf->identity,
                                         &target->ident, 0);

    return ngx_http_s3_cache_view_owners(ctx->zone->peers, point, owners) > 0
           && owners[0] == NULL;
}


/* Under which key the object is, or will be, kept now. */

static ngx_int_t
ngx_http_s3_cache_refresh_name(ngx_http_s3_cache_ctx_t *ctx,
    s3c_slice_t bucket, s3c_slice_t key)
{
    ngx_http_s3_cache_target_t  *target;

    target = &ngx_http_s3_cache_refresh_target;
    target->addr.bucket = bucket;
    target->addr.key = key;

    ctx->identity = ngx_http_s3_cache_fence_identity(ctx, bucket, key,
                                                     S3C_SLICE_NONE);

    if (s3c_ident_make(&target->ident, ctx->identity, bucket, key,
                       S3C_SLICE_NONE)
        != S3C_OK)
    {
        return NGX_DECLINED;
    }

    ctx->object = s3c_key_object(ctx->zone->secret, &target->ident);

    return NGX_OK;
}
