/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a zone's shared memory in the master: mapped when a zone is
 * new, carried over a reload, given back with the last cycle that used it.
 *
 * It is not in the ngx_shm_zone_t itself: nginx would write a slab header
 * into every page of it (629 MB for 100 GiB), in `nginx -t` as well, and
 * could not use huge pages. The shm zone is the peg it hangs on.
 */

#include "ngx_http_s3_cache_module.h"
#include "ngx_http_s3_cache_alert.h"
#include "ngx_http_s3_cache_peer.h"
#include "ngx_http_s3_cache_fence.h"
#include "ngx_http_s3_cache_history.h"
#include "ngx_http_s3_cache_origin_keys.h"
#include "ngx_http_s3_cache_status.h"
#include "ngx_http_s3_cache_store.h"
#include "ngx_http_s3_cache_warm.h"

#include <sys/eventfd.h>


#define SLOTS_MIN  16


static ngx_http_s3_cache_shared_t *ngx_http_s3_cache_zone_create(
    ngx_http_s3_cache_zone_t *zone, ngx_log_t *log);
static ngx_int_t ngx_http_s3_cache_zone_format(ngx_http_s3_cache_zone_t *zone,
    ngx_http_s3_cache_shared_t *sh,
    const uint8_t secret[S3C_HASH_SECRET_BYTES], ngx_log_t *log);
static ngx_int_t ngx_http_s3_cache_zone_hold(
    ngx_http_s3_cache_zone_t *zone, ngx_http_s3_cache_shared_t *sh);
static void ngx_http_s3_cache_zone_unref(void *data);
static void ngx_http_s3_cache_zone_destroy(ngx_http_s3_cache_shared_t *sh);


/*
 * Workers of two generations and those that are being replaced share the
 * slots. A function of the machine alone: a reload must not change it.
 */

uint32_t
ngx_http_s3_cache_zone_slots(void)
{
    ngx_int_t  n;

    n = ngx_ncpu * 4;

    return ngx_min(ngx_max(n, SLOTS_MIN), S3C_RAM_SLOTS_MAX);
}


ngx_int_t
ngx_http_s3_cache_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_s3_cache_zone_t  *old = data;

    ngx_log_t                   *log;
    ngx_http_s3_cache_zone_t    *zone;
    ngx_http_s3_cache_shared_t  *sh;

    zone = shm_zone->data;
    log = shm_zone->shm.log;

    if (ngx_test_config) {
        return NGX_OK;
    }

    if (old != NULL && old->shared != NULL
        && old->size == zone->size && old->policy == zone->policy
        && old->fills == zone->fills
        && old->fill_memory == zone->fill_memory
        && ngx_http_s3_cache_store_same(zone, old))
    {
        return ngx_http_s3_cache_zone_hold(zone, old->shared);
    }

    if (old != NULL && old->shared != NULL) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "s3_cache_zone \"%V\" has other settings now: "
                      "it begins empty", &zone->name);
    }

    sh = ngx_http_s3_cache_zone_create(zone, log);
    if (sh == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_s3_cache_zone_hold(zone, sh) != NGX_OK) {
        ngx_http_s3_cache_zone_destroy(sh);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_s3_cache_zone_hold(ngx_http_s3_cache_zone_t *zone,
    ngx_http_s3_cache_shared_t *sh)
{
    ngx_pool_cleanup_t  *cln;

    /* the pool of the cycle being made: zones are allocated from it */
    cln = ngx_pool_cleanup_add(zone->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_s3_cache_zone_unref;
    cln->data = sh;

    sh->refs++;
    zone->shared = sh;

    return NGX_OK;
}


static void
ngx_http_s3_cache_zone_unref(void *data)
{
    ngx_http_s3_cache_shared_t  *sh = data;

    if (--sh->refs == 0) {
        ngx_http_s3_cache_zone_destroy(sh);
    }
}


static void
ngx_http_s3_cache_zone_destroy(ngx_http_s3_cache_shared_t *sh)
{
    uint32_t  i;

    if (sh->efds != NULL) {
        for (i = 0; i < sh->n_slots; i++) {
            if (sh->efds[i] != -1) {
                (void) close(sh->efds[i]);
            }
        }

        ngx_free(sh->efds);
    }

    ngx_http_s3_cache_store_close(sh);
    ngx_http_s3_cache_fence_destroy(sh);
    ngx_http_s3_cache_history_destroy(sh);

    if (sh->region.addr != NULL) {
        s3c_region_unmap(&sh->region);
    }

    ngx_free(sh);
}


static ngx_http_s3_cache_shared_t *
ngx_http_s3_cache_zone_create(ngx_http_s3_cache_zone_t *zone, ngx_log_t *log)
{
    uint8_t                      secret[S3C_HASH_SECRET_BYTES];
    uint32_t                     i;
    ngx_http_s3_cache_shared_t  *sh;

    static uint64_t  number;

    sh = ngx_calloc(sizeof(ngx_http_s3_cache_shared_t), log);
    if (sh == NULL) {
        return NULL;
    }

    sh->number = ++number;
    sh->n_slots = ngx_http_s3_cache_zone_slots();

    /* made before any fork, so that all workers of all later cycles have
       them under the same numbers */

    sh->efds = ngx_alloc(sh->n_slots * sizeof(int), log);
    if (sh->efds == NULL) {
        goto failed;
    }

    for (i = 0; i < sh->n_slots; i++) {
        sh->efds[i] = -1;
    }

    for (i = 0; i < sh->n_slots; i++) {
        sh->efds[i] = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

        if (sh->efds[i] == -1) {
            ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                          "eventfd() of s3_cache_zone \"%V\" failed",
                          &zone->name);
            goto failed;
        }
    }

    if (s3c_region_map(&sh->region, zone->size) != S3C_OK) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "mapping %O bytes for s3_cache_zone \"%V\" failed",
                      zone->size, &zone->name);
        goto failed;
    }

    /* both tiers know an object by one key, so what is on flash decides */

    if (ngx_http_s3_cache_fence_create(sh, log) != NGX_OK
        || ngx_http_s3_cache_history_create(sh, log) != NGX_OK
        || ngx_http_s3_cache_store_open(zone, sh, secret, log) != NGX_OK
        || ngx_http_s3_cache_zone_format(zone, sh, secret, log) != NGX_OK)
    {
        goto failed;
    }

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "s3_cache_zone \"%V\": %O bytes, %s pages, %uD slots",
                  &zone->name, zone->size, sh->region.pages, sh->n_slots);

    return sh;

failed:

    ngx_http_s3_cache_zone_destroy(sh);

    return NULL;
}


/* [stats, rounded up to pages][memory tier]: the configured size is all */

static ngx_int_t
ngx_http_s3_cache_zone_format(ngx_http_s3_cache_zone_t *zone,
    ngx_http_s3_cache_shared_t *sh,
    const uint8_t secret[S3C_HASH_SECRET_BYTES], ngx_log_t *log)
{
    size_t          stats_bytes;
    s3c_status_t    st;
    s3c_ram_conf_t  conf;

    stats_bytes = ngx_align(s3c_stats_bytes(sh->n_slots), ngx_pagesize);

    sh->stats = sh->region.addr;
    sh->ram = (u_char *) sh->region.addr + stats_bytes;
    sh->ram_bytes = (sh->region.bytes - stats_bytes)
                    & ~((size_t) ngx_pagesize - 1);
    sh->policy = zone->policy;

    ngx_memzero(&conf, sizeof(s3c_ram_conf_t));

    conf.policy = zone->policy;
    conf.n_slots = sh->n_slots;
    conf.fill_bytes_max = zone->fill_memory;
    conf.n_fills = zone->fills;

    if (conf.n_fills == 0) {
        /* a fill costs about 100 bytes: 1 a 64 KiB is 0.2 % of the zone */
        conf.n_fills = 64;

        while (conf.n_fills < 8192
               && (uint64_t) conf.n_fills * 128 * 1024 < sh->ram_bytes)
        {
            conf.n_fills *= 2;
        }
    }

    ngx_memcpy(conf.secret, secret, sizeof(conf.secret));

    s3c_stats_format(sh->stats, sh->n_slots);

    st = s3c_ram_format(sh->ram, sh->ram_bytes, &conf);

    if (st != S3C_OK) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "s3_cache_zone \"%V\" cannot be formatted: %s",
                      &zone->name, s3c_status_name(st));
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* For the status endpoint. */

ngx_uint_t
ngx_http_s3_cache_zones_view(ngx_http_request_t *r, s3c_stats_zone_t *zones,
    ngx_uint_t max)
{
    ngx_uint_t                      i;
    ngx_http_s3_cache_zone_t       *zone, **list;
    ngx_http_s3_cache_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_s3_cache_module);
    list = mcf->zones.elts;

    for (i = 0; i < mcf->zones.nelts && i < max; i++) {
        zone = list[i];

        ngx_memzero(&zones[i], sizeof(s3c_stats_zone_t));

        zones[i].name = ngx_http_s3_cache_slice(&zone->name);
        zones[i].policy = zone->policy == S3C_RAM_LRU ? S3C_SLICE("lru")
                                                      : S3C_SLICE("s3fifo");

        if (zone->ram != NULL) {
            zones[i].stats = &zone->stats;
            s3c_ram_usage(zone->ram, &zones[i].usage);
        }

        ngx_http_s3_cache_ring_view(r->pool, zone, &zones[i]);
        ngx_http_s3_cache_peer_status(r->pool, zone, &zones[i]);
        ngx_http_s3_cache_origin_keys_view(r, zone, &zones[i]);
        ngx_http_s3_cache_alert_view(r->pool, zone, &zones[i]);
        ngx_http_s3_cache_warm_view(r, zone, &zones[i]);
    }

    return i;
}
