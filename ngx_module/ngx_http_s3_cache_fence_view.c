/* SPDX-License-Identifier: Apache-2.0
 *
 * Who keeps what of which origin: zones, by whatever location and credentials.
 * A write through one of them is a write for all.
 */

#include "ngx_http_s3_cache_fence_internal.h"


static uint64_t ngx_http_s3_cache_fence_views(
    ngx_http_s3_cache_main_conf_t *mcf, ngx_http_s3_cache_zone_t *zone);


ngx_int_t
ngx_http_s3_cache_fence_add_view(ngx_conf_t *cf,
    ngx_http_s3_cache_loc_conf_t *lcf)
{
    ngx_uint_t                        i;
    ngx_http_s3_cache_main_conf_t    *mcf;
    ngx_http_s3_cache_origin_view_t  *view;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_s3_cache_module);

    if (mcf->views.elts == NULL
        && ngx_array_init(&mcf->views, cf->pool, 4,
                          sizeof(ngx_http_s3_cache_origin_view_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    view = mcf->views.elts;

    for (i = 0; i < mcf->views.nelts; i++) {
        if (view[i].zone == lcf->zone && view[i].identity == lcf->identity) {
            view[i].lists |= (lcf->list > 0);
            return NGX_OK;
        }
    }

    view = ngx_array_push(&mcf->views);
    if (view == NULL) {
        return NGX_ERROR;
    }

    view->zone = lcf->zone;
    view->origin = lcf->origin->id;
    view->identity = lcf->identity;
    view->lists = (lcf->list > 0);

    return NGX_OK;
}


/* Of what is kept in this zone: who asks which origin. */

static uint64_t
ngx_http_s3_cache_fence_views(ngx_http_s3_cache_main_conf_t *mcf,
    ngx_http_s3_cache_zone_t *zone)
{
    uint64_t                          in[4];
    ngx_uint_t                        i;
    ngx_http_s3_cache_origin_view_t  *view;

    view = mcf->views.elts;
    in[0] = 1;

    for (i = 0; i < mcf->views.nelts; i++) {
        if (view[i].zone == zone) {
            in[1] = view[i].origin;
            in[2] = view[i].identity;
            in[3] = view[i].lists;
            in[0] = s3c_hash64(in, sizeof(in)) >> 1;
        }
    }

    return in[0];
}


void
ngx_http_s3_cache_fence_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t                       i;
    ngx_http_s3_cache_zone_t       **zones;
    ngx_http_s3_cache_main_conf_t   *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_s3_cache_module);

    if (mcf == NULL || ngx_test_config) {
        return;
    }

    zones = mcf->zones.elts;

    for (i = 0; i < mcf->zones.nelts; i++) {
        if (zones[i]->shared != NULL && zones[i]->shared->fence != NULL) {
            s3c_fence_set_config(zones[i]->shared->fence,
                                 ngx_http_s3_cache_fence_views(mcf, zones[i]));
        }
    }
}


ngx_uint_t
ngx_http_s3_cache_fence_is_current(ngx_http_s3_cache_main_conf_t *mcf,
    ngx_http_s3_cache_zone_t *zone)
{
    return s3c_fence_config(zone->shared->fence)
           == ngx_http_s3_cache_fence_views(mcf, zone);
}


ngx_int_t
ngx_http_s3_cache_fence_config(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin)
{
    uint64_t                   config;
    ngx_int_t                  rc;
    ngx_uint_t                 i;
    ngx_http_s3_cache_zone_t  *zone;

    rc = NGX_OK;
    i = 0;

    while ((zone = ngx_http_s3_cache_fence_zone(mcf, origin, &i)) != NULL) {
        config = s3c_fence_config(zone->shared->fence);

        if (config == S3C_FENCE_RETIRED) {
            return NGX_BUSY;
        }

        if (config != ngx_http_s3_cache_fence_views(mcf, zone)) {
            rc = NGX_DECLINED;
        }
    }

    return rc;
}


/* Is this the first view of its zone that is of this origin? */

ngx_uint_t
ngx_http_s3_cache_fence_is_first(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, ngx_uint_t i)
{
    ngx_uint_t                        k;
    ngx_http_s3_cache_origin_view_t  *view;

    view = mcf->views.elts;

    if (view[i].origin != origin) {
        return 0;
    }

    for (k = 0; k < i; k++) {
        if (view[k].zone == view[i].zone && view[k].origin == origin) {
            return 0;
        }
    }

    return 1;
}


/* The same, if the name means this zone. */

ngx_uint_t
ngx_http_s3_cache_fence_is_meant(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, const ngx_http_s3_cache_name_t *name, ngx_uint_t i)
{
    ngx_http_s3_cache_origin_view_t  *view;

    view = mcf->views.elts;

    return (name->zone == NULL || name->zone == view[i].zone)
           && ngx_http_s3_cache_fence_is_first(mcf, origin, i);
}


ngx_http_s3_cache_zone_t *
ngx_http_s3_cache_fence_zone(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, ngx_uint_t *i)
{
    ngx_http_s3_cache_origin_view_t  *view;

    view = mcf->views.elts;

    while (*i < mcf->views.nelts) {
        if (ngx_http_s3_cache_fence_is_first(mcf, origin, (*i)++)) {
            return view[*i - 1].zone;
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_s3_cache_fence_can(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin)
{
    ngx_uint_t                        i;
    ngx_http_s3_cache_origin_view_t  *view;

    view = mcf->views.elts;

    for (i = 0; i < mcf->views.nelts; i++) {

        if (view[i].origin == origin
            && (view[i].zone->ram == NULL || view[i].zone->apart
                || view[i].zone->shared->fence == NULL))
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}
