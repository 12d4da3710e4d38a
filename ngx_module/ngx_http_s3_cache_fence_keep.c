/* SPDX-License-Identifier: Apache-2.0
 *
 * Fences of writes through other nodes; and what is due for writes that nobody
 * will end any more.
 */

#include "ngx_http_s3_cache_fence_internal.h"
#include "ngx_http_s3_cache_list.h"
#include "ngx_http_s3_cache_roster.h"

#include "serve/purge.h"


static s3c_fence_due_t fence_keep_due(const ngx_http_s3_cache_name_t *name);
static ngx_uint_t fence_is_due(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, const ngx_http_s3_cache_name_t *name, uint64_t tag);
static void fence_settle(ngx_http_s3_cache_main_conf_t *mcf, uint64_t origin,
    const ngx_http_s3_cache_name_t *name, uint64_t tag);
static void fence_drop_lost(ngx_http_s3_cache_zone_t *zone,
    const s3c_fence_lost_t *lost);


/* What is dropped at once is due until it has been: a worker may die in between,
 * and be told again. */

static s3c_fence_due_t
fence_keep_due(const ngx_http_s3_cache_name_t *name)
{
    if (name->all) {
        return S3C_FENCE_DUE_NONE;
    }

    return name->key.len > 0 && !name->prefix ? S3C_FENCE_DUE_KEY
                                              : S3C_FENCE_DUE_BUCKET;
}


ngx_int_t
ngx_http_s3_cache_fence_keep(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, const ngx_http_s3_cache_name_t *name, uint64_t tag,
    ngx_msec_t msec)
{
    uint64_t                          hash;
    ngx_uint_t                        i, due;
    s3c_status_t                      st;
    ngx_http_s3_cache_origin_view_t  *view;

    view = mcf->views.elts;
    due = 0;

    if (ngx_http_s3_cache_list_keep(mcf, origin, name, tag,
                                    ngx_http_s3_cache_now() + msec)
        != NGX_OK)
    {
        return NGX_BUSY;
    }

    for (i = 0; i < mcf->views.nelts; i++) {

        if (!ngx_http_s3_cache_fence_is_meant(mcf, origin, name, i)) {
            continue;
        }

        hash = ngx_http_s3_cache_fence_name(view[i].zone, origin, name);

        if (hash == 0) {
            return NGX_OK;
        }

        st = s3c_fence_keep(view[i].zone->shared->fence, hash, tag,
                            fence_keep_due(name),
                            ngx_http_s3_cache_now() + msec);

        if (st != S3C_OK && st != S3C_EXISTS) {
            s3c_stats_add(&view[i].zone->stats, S3C_STAT_WRITE_BUSY, 1);
            return NGX_BUSY;
        }

        due |= (st == S3C_OK);
    }

    if (due && !name->later) {
        ngx_http_s3_cache_fence_drop(mcf, origin, name);
        fence_settle(mcf, origin, name, tag);
    }

    return NGX_OK;
}


void
ngx_http_s3_cache_fence_lift(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, const ngx_http_s3_cache_name_t *name, uint64_t tag,
    ngx_msec_t msec, ngx_uint_t refused)
{
    uint64_t                          hash;
    ngx_uint_t                        i;
    ngx_http_s3_cache_origin_view_t  *view;

    view = mcf->views.elts;

    ngx_http_s3_cache_list_lift(mcf, origin, name, tag,
                                msec ? ngx_http_s3_cache_now() + msec : 0,
                                refused);

    if (!refused && fence_is_due(mcf, origin, name, tag)) {
        ngx_http_s3_cache_fence_drop(mcf, origin, name);
    }

    for (i = 0; i < mcf->views.nelts; i++) {

        if (!ngx_http_s3_cache_fence_is_meant(mcf, origin, name, i)) {
            continue;
        }

        hash = ngx_http_s3_cache_fence_name(view[i].zone, origin, name);

        if (!refused) {
            ngx_http_s3_cache_fence_learn(view[i].zone, hash, name);
        }

        if (hash != 0) {
            (void) s3c_fence_lift(view[i].zone->shared->fence, hash, tag,
                                  msec ? ngx_http_s3_cache_now() + msec : 0);
        }
    }
}


/* Somewhere it was to be dropped later, or it was not held. */

static ngx_uint_t
fence_is_due(ngx_http_s3_cache_main_conf_t *mcf, uint64_t origin,
    const ngx_http_s3_cache_name_t *name, uint64_t tag)
{
    uint64_t                          hash;
    ngx_uint_t                        i;
    ngx_http_s3_cache_origin_view_t  *view;

    view = mcf->views.elts;

    for (i = 0; i < mcf->views.nelts; i++) {

        if (!ngx_http_s3_cache_fence_is_meant(mcf, origin, name, i)) {
            continue;
        }

        hash = ngx_http_s3_cache_fence_name(view[i].zone, origin, name);

        if (hash != 0
            && s3c_fence_ask(view[i].zone->shared->fence, hash, tag) != S3C_OK)
        {
            return 1;
        }
    }

    return 0;
}


static void
fence_settle(ngx_http_s3_cache_main_conf_t *mcf, uint64_t origin,
    const ngx_http_s3_cache_name_t *name, uint64_t tag)
{
    ngx_uint_t                        i;
    ngx_http_s3_cache_origin_view_t  *view;

    view = mcf->views.elts;

    for (i = 0; i < mcf->views.nelts; i++) {

        if (ngx_http_s3_cache_fence_is_meant(mcf, origin, name, i)) {
            s3c_fence_settle(view[i].zone->shared->fence,
                             ngx_http_s3_cache_fence_name(view[i].zone, origin,
                                                          name),
                             tag);
        }
    }
}


void
ngx_http_s3_cache_fence_pay(ngx_http_s3_cache_zone_t *zone)
{
    s3c_fence_sh_t    *f;
    s3c_fence_lost_t   lost;

    f = zone->shared->fence;
    ngx_memzero(&lost, sizeof(s3c_fence_lost_t));

    while (s3c_fence_lost(f, ngx_http_s3_cache_now(),
                          ngx_http_s3_cache_fence_is_alive, &lost))
    {
        fence_drop_lost(zone, &lost);
        s3c_fence_settle_lost(f, &lost);
    }
}


/* Of the name there is but its hash: as if it was purged. */

static void
fence_drop_lost(ngx_http_s3_cache_zone_t *zone, const s3c_fence_lost_t *lost)
{
    s3c_fence_sh_t                 *f;
    ngx_http_s3_cache_roster_sh_t  *sh;

    f = zone->shared->fence;
    sh = zone->peers != NULL ? zone->peers->shared : NULL;

    switch (lost->due) {

    case S3C_FENCE_DUE_KEY:

        if (sh != NULL) {
            atomic_store(&sh->told[lost->name & (NGX_HTTP_S3_CACHE_TOLD - 1)],
                         ngx_http_s3_cache_now_exact() + 1);
            s3c_holder_drop(&sh->holders, lost->name);
        }

        s3c_purge_key(f, lost->name);
        ngx_http_s3_cache_fence_save(zone, s3c_purge_key_place(lost->name));
        break;

    case S3C_FENCE_DUE_BUCKET:

        if (sh != NULL) {
            atomic_store(&sh->told_many, ngx_http_s3_cache_now_exact() + 1);
            s3c_holder_clear(&sh->holders);
        }

        s3c_fence_bucket_drop(f, lost->name);
        ngx_http_s3_cache_fence_save(zone,
                                     lost->name & (S3C_FENCE_BUCKETS - 1));
        break;

    case S3C_FENCE_DUE_LIST:
        s3c_fence_lists_drop(f, lost->name);
        break;

    case S3C_FENCE_DUE_NONE:
        break;
    }
}
