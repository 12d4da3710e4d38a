/* SPDX-License-Identifier: Apache-2.0
 *
 * What was written, or is purged, is dropped from all tiers of this node, and what
 * it knew of other nodes about it.
 */

#include "ngx_http_s3_cache_fence_internal.h"
#include "ngx_http_s3_cache_flash.h"
#include "ngx_http_s3_cache_roster.h"

#include "serve/purge.h"


static void ngx_http_s3_cache_fence_drop_many(
    ngx_http_s3_cache_origin_view_t *view,
    const ngx_http_s3_cache_name_t *name, uint64_t hash);
static void ngx_http_s3_cache_fence_drop_one(
    ngx_http_s3_cache_origin_view_t *view, s3c_slice_t bucket,
    s3c_slice_t key, s3c_slice_t version);
static void ngx_http_s3_cache_fence_unhold(ngx_http_s3_cache_zone_t *zone,
    uint64_t hash, const ngx_http_s3_cache_name_t *name);


void
ngx_http_s3_cache_fence_drop(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, const ngx_http_s3_cache_name_t *name)
{
    uint64_t                          hash;
    ngx_uint_t                        i, n;
    s3c_fence_sh_t                   *f;
    ngx_http_s3_cache_origin_view_t  *view;

    view = mcf->views.elts;
    n = mcf->views.nelts;

    for (i = 0; name->key.len > 0 && !name->prefix && i < n; i++) {

        if (view[i].origin != origin
            || (name->zone != NULL && name->zone != view[i].zone))
        {
            continue;
        }

        ngx_http_s3_cache_fence_drop_one(&view[i], name->bucket, name->key,
                                         S3C_SLICE_NONE);
        ngx_http_s3_cache_fence_drop_one(&view[i], name->bucket, name->key,
                                         S3C_SLICE("null"));

        if (name->version.len > 0) {
            ngx_http_s3_cache_fence_drop_one(&view[i], name->bucket,
                                             name->key, name->version);
        }
    }

    for (i = 0; i < n; i++) {

        if (!ngx_http_s3_cache_fence_is_meant(mcf, origin, name, i)) {
            continue;
        }

        f = view[i].zone->shared->fence;
        hash = ngx_http_s3_cache_fence_name(view[i].zone, origin, name);

        if (hash == 0) {
            return;
        }

        ngx_http_s3_cache_fence_unhold(view[i].zone, hash, name);

        if (name->prefix || name->all || name->whole) {
            ngx_http_s3_cache_fence_drop_many(&view[i], name, hash);

        } else if (name->key.len > 0) {
            s3c_fence_versions_drop(f, hash);

        } else {
            s3c_fence_bucket_drop(f, hash);
            ngx_http_s3_cache_fence_save(view[i].zone,
                                         hash & (S3C_FENCE_BUCKETS - 1));
            s3c_stats_add(&view[i].zone->stats, S3C_STAT_WRITE_BUCKETS, 1);
        }
    }
}


/* What only a purge names. `hash` as of fence_name(). */

static void
ngx_http_s3_cache_fence_drop_many(ngx_http_s3_cache_origin_view_t *view,
    const ngx_http_s3_cache_name_t *name, uint64_t hash)
{
    s3c_fence_sh_t            *f;
    ngx_http_s3_cache_zone_t  *zone;

    zone = view->zone;
    f = zone->shared->fence;

    if (name->all) {
        s3c_purge_origin(f, view->origin);
        ngx_http_s3_cache_fence_save(zone,
                                     s3c_purge_origin_place(view->origin));
        return;
    }

    if (name->whole) {
        s3c_purge_key(f, hash);
        ngx_http_s3_cache_fence_save(zone, s3c_purge_key_place(hash));
        return;
    }

    if (s3c_purge_prefix(f, hash, name->key) != S3C_OK) {
        s3c_stats_add(&zone->stats, S3C_STAT_PURGE_FULL, 1);
    }

    ngx_http_s3_cache_fence_save(zone, s3c_purge_bucket_place(hash));
}


static void
ngx_http_s3_cache_fence_drop_one(
    ngx_http_s3_cache_origin_view_t *view, s3c_slice_t bucket, s3c_slice_t key,
    s3c_slice_t version)
{
    uint64_t       identity;
    s3c_ident_t    ident;
    s3c_hash128_t  object;

    identity = ngx_http_s3_cache_fence_mix(view->zone, view->identity,
                                           view->origin, bucket, key, version);

    if (s3c_ident_make(&ident, identity, bucket, key, version) != S3C_OK) {
        return;
    }

    object = s3c_key_object(view->zone->secret, &ident);

    (void) s3c_ram_drop(view->zone->ram, object);
    ngx_http_s3_cache_flash_drop(view->zone, object);

    /* what flash has of before any generation was counted up is found again
       if a restart forgets them; but versions begin with a new one */

    if (version.len == 0
        && identity != view->identity && view->zone->ssd != NULL
        && s3c_ident_make(&ident, view->identity, bucket, key, version)
           == S3C_OK)
    {
        ngx_http_s3_cache_flash_drop(view->zone,
                                     s3c_key_object(view->zone->secret,
                                                    &ident));
    }
}


void
ngx_http_s3_cache_fence_learn(ngx_http_s3_cache_zone_t *zone, uint64_t hash,
    const ngx_http_s3_cache_name_t *name)
{
    uint64_t                           now;
    ngx_http_s3_cache_roster_sh_t     *sh;

    if (zone->peers == NULL) {
        return;
    }

    sh = zone->peers->shared;
    now = ngx_http_s3_cache_now_exact() + 1;

    if (name->key.len > 0 && !name->prefix) {
        atomic_store(&sh->told[hash & (NGX_HTTP_S3_CACHE_TOLD - 1)], now);

    } else {
        atomic_store(&sh->told_many, now);
    }
}


uint64_t
ngx_http_s3_cache_fence_learnt(ngx_http_s3_cache_zone_t *zone,
    uint64_t hash)
{
    uint64_t                        one, many;
    ngx_http_s3_cache_roster_sh_t  *sh;

    sh = zone->peers->shared;

    one = atomic_load(&sh->told[hash & (NGX_HTTP_S3_CACHE_TOLD - 1)]);
    many = atomic_load(&sh->told_many);

    return ngx_max(one, many);
}


/* Nobody is believed to have it that said so before. */

static void
ngx_http_s3_cache_fence_unhold(ngx_http_s3_cache_zone_t *zone, uint64_t hash,
    const ngx_http_s3_cache_name_t *name)
{
    if (zone->peers == NULL) {
        return;
    }

    ngx_http_s3_cache_fence_learn(zone, hash, name);

    if (name->key.len > 0 && !name->prefix) {
        s3c_holder_drop(&zone->peers->shared->holders, hash);

    } else {
        s3c_holder_clear(&zone->peers->shared->holders);
    }
}


void
ngx_http_s3_cache_fence_doubt(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, const ngx_http_s3_cache_name_t *name)
{
    ngx_uint_t                 i;
    ngx_http_s3_cache_zone_t  *zone;

    i = 0;

    while ((zone = ngx_http_s3_cache_fence_zone(mcf, origin, &i)) != NULL) {
        ngx_http_s3_cache_fence_unhold(zone,
                       ngx_http_s3_cache_fence_name(zone, origin, name), name);
    }
}
