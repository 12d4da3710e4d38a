/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of what is fenced; whether it is, and the identity under which it is
 * kept, which generations of what was written are mixed into.
 */

#include "ngx_http_s3_cache_fence_internal.h"
#include "ngx_http_s3_cache_list.h"
#include "ngx_http_s3_cache_reload.h"

#include "serve/purge.h"


uint64_t
ngx_http_s3_cache_fence_name(ngx_http_s3_cache_zone_t *zone, uint64_t origin,
    const ngx_http_s3_cache_name_t *name)
{
    ngx_http_s3_cache_fence_names_t  names;

    ngx_http_s3_cache_fence_names(zone->secret, origin, name->bucket,
                                  name->key, &names);

    return name->key.len > 0 && !name->prefix ? names.key : names.bucket;
}


uint64_t
ngx_http_s3_cache_fence_hash(ngx_http_s3_cache_zone_t *zone, uint64_t origin,
    s3c_slice_t bucket, s3c_slice_t key)
{
    ngx_http_s3_cache_fence_names_t  names;

    ngx_http_s3_cache_fence_names(zone->secret, origin, bucket, key, &names);

    return names.key;
}


void
ngx_http_s3_cache_fence_names(const uint8_t *secret, uint64_t origin,
    s3c_slice_t bucket, s3c_slice_t key,
    ngx_http_s3_cache_fence_names_t *names)
{
    s3c_ident_t  ident;

    names->bucket = 0;
    names->key = 0;

    if (s3c_ident_make(&ident, origin, bucket, S3C_SLICE_NONE, S3C_SLICE_NONE)
        == S3C_OK)
    {
        names->bucket = s3c_key_object(secret, &ident).lo;
    }

    if (key.len > 0
        && s3c_ident_make(&ident, origin, bucket, key, S3C_SLICE_NONE)
           == S3C_OK)
    {
        names->key = s3c_key_object(secret, &ident).lo | 1ull << 63;
    }
}


ngx_uint_t
ngx_http_s3_cache_fenced(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_http_s3_cache_target_t  *target;

    target = ngx_http_s3_cache_target(ctx);

    if (ctx->page) {
        return target == NULL || ngx_http_s3_cache_list_fenced(ctx, target);
    }

    return target == NULL
           || ngx_http_s3_cache_fenced_object(ctx->zone, ctx->conf,
                                              target->addr.bucket,
                                              target->addr.key);
}


ngx_uint_t
ngx_http_s3_cache_fenced_object(ngx_http_s3_cache_zone_t *zone,
    ngx_http_s3_cache_loc_conf_t *lcf, s3c_slice_t bucket, s3c_slice_t key)
{
    s3c_fence_sh_t                   *f;
    ngx_http_s3_cache_fence_names_t   names, all;

    f = zone->shared->fence;

    if (ngx_http_s3_cache_reload_holds(lcf->origin->id, bucket)) {
        return 1;
    }

    if (f == NULL || s3c_fence_held(f) == 0) {
        return 0;
    }

    ngx_http_s3_cache_fence_names(zone->secret, lcf->origin->id, bucket, key,
                                  &names);

    if (!s3c_fence_holds(f, names.key) && !s3c_fence_holds(f, names.bucket)) {
        ngx_http_s3_cache_fence_names(zone->secret, lcf->origin->id,
                                      S3C_SLICE_NONE, S3C_SLICE_NONE, &all);

        if (!s3c_fence_holds(f, all.bucket)) {
            return 0;
        }
    }

    s3c_stats_add(&zone->stats, S3C_STAT_WRITE_FENCED, 1);

    return 1;
}


uint64_t
ngx_http_s3_cache_fence_mix(ngx_http_s3_cache_zone_t *zone, uint64_t identity,
    uint64_t origin, s3c_slice_t bucket, s3c_slice_t key, s3c_slice_t version)
{
    uint64_t                          in[6], reloaded;
    ngx_uint_t                        keyed;
    s3c_fence_sh_t                   *f;
    ngx_http_s3_cache_fence_names_t   names;

    f = zone->shared->fence;
    reloaded = ngx_http_s3_cache_reload_generation(zone, identity, origin,
                                                   bucket);

    if (reloaded != 0) {
        in[0] = identity;
        in[1] = reloaded;
        identity = s3c_hash64(in, 2 * sizeof(uint64_t));
    }

    if (f == NULL || (!s3c_fence_moved(f) && version.len == 0)) {
        return identity;
    }

    keyed = s3c_purge_keyed(f);

    ngx_http_s3_cache_fence_names(zone->secret, origin, bucket,
                                  (version.len || keyed) ? key
                                                         : S3C_SLICE_NONE,
                                  &names);

    in[0] = identity;
    in[1] = s3c_purge_number(f, names.bucket, key);    /* first: purge.h */
    in[2] = s3c_fence_bucket_generation(f, names.bucket);
    in[3] = version.len ? s3c_fence_versions_generation(f, names.key) : 0;
    in[4] = s3c_purge_origin_generation(f, origin);
    in[5] = keyed ? s3c_purge_key_generation(f, names.key) : 0;

    return (in[1] | in[2] | in[3] | in[4] | in[5]) == 0
           ? identity : s3c_hash64(in, sizeof(in));
}


uint64_t
ngx_http_s3_cache_fence_identity(ngx_http_s3_cache_ctx_t *ctx,
    s3c_slice_t bucket, s3c_slice_t key, s3c_slice_t version)
{
    ngx_http_s3_cache_zone_t  *zone;

    zone = ctx->zone;

    /* Before it is looked for: the write may be over when it is found, and this
       reader have begun after another one who has read what is new. */
    ctx->due = (zone->shared->fence != NULL
                && s3c_fence_dues(zone->shared->fence) != 0
                && ngx_http_s3_cache_fenced_object(zone, ctx->conf, bucket,
                                                   key));

    if (zone->ssd != NULL && !s3c_fence_is_loaded(zone->shared->fence)) {
        ngx_http_s3_cache_fence_load(zone);

        /* it was not known which generation is on flash when the identity was
           made: this request does without */
        ctx->flash_off = !s3c_fence_is_loaded(zone->shared->fence);
    }

    return ngx_http_s3_cache_fence_mix(zone, ctx->conf->identity,
                                       ctx->conf->origin->id, bucket, key,
                                       version);
}
