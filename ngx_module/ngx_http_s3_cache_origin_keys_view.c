/* SPDX-License-Identifier: Apache-2.0
 *
 * For the status endpoint: the sources of keys that a zone's locations sign
 * by.
 */

#include "ngx_http_s3_cache_origin_keys.h"
#include "ngx_http_s3_cache_status.h"


static ngx_uint_t keys_view_has(ngx_http_s3_cache_origin_keys_t *keys,
    ngx_http_s3_cache_zone_t *zone);
static void keys_view_one(ngx_http_s3_cache_origin_keys_t *keys,
    s3c_stats_keys_t *view);


void
ngx_http_s3_cache_origin_keys_view(ngx_http_request_t *r,
    ngx_http_s3_cache_zone_t *zone, s3c_stats_zone_t *view)
{
    ngx_uint_t                         i;
    s3c_stats_keys_t                  *list;
    ngx_http_s3_cache_origin_keys_t  **kp;
    ngx_http_s3_cache_main_conf_t     *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_s3_cache_module);

    if (mcf->keys == NULL) {
        return;
    }

    list = ngx_pcalloc(r->pool, mcf->keys->nelts * sizeof(s3c_stats_keys_t));
    if (list == NULL) {
        return;
    }

    kp = mcf->keys->elts;
    view->keys = list;

    for (i = 0; i < mcf->keys->nelts; i++) {
        if (keys_view_has(kp[i], zone)) {
            keys_view_one(kp[i], &list[view->n_keys++]);
        }
    }
}


static ngx_uint_t
keys_view_has(ngx_http_s3_cache_origin_keys_t *keys,
    ngx_http_s3_cache_zone_t *zone)
{
    ngx_uint_t                  i;
    ngx_http_s3_cache_zone_t  **zp;

    zp = keys->zones.elts;

    for (i = 0; i < keys->zones.nelts; i++) {
        if (zp[i] == zone) {
            return 1;
        }
    }

    return 0;
}


static void
keys_view_one(ngx_http_s3_cache_origin_keys_t *keys, s3c_stats_keys_t *view)
{
    const char               *why;
    const s3c_origin_keys_t  *now;

    view->source = ngx_http_s3_cache_slice(&keys->name);
    view->refreshed = atomic_load(&keys->sh->refreshed);
    view->failed = atomic_load(&keys->sh->failed);

    now = ngx_http_s3_cache_origin_keys_get(keys, &why);

    view->valid = (now != NULL);

    if (now != NULL && now->expires != 0) {
        view->expires = true;
        view->seconds = (uint64_t) (now->expires - ngx_time());
    }
}
