/* SPDX-License-Identifier: Apache-2.0
 *
 * Fences of all zones that hold objects of the written origin; and their memory.
 * What is dropped is fence_drop.c's, by what names fence_name.c's; writes of
 * other nodes are fence_keep.c's.
 */

#include "ngx_http_s3_cache_fence_internal.h"
#include "ngx_http_s3_cache_flash.h"
#include "ngx_http_s3_cache_reload.h"

#include "serve/purge.h"

#include <sys/mman.h>


static s3c_fence_due_t ngx_http_s3_cache_fence_due(
    const ngx_http_s3_cache_name_t *name);


/*
 * Fence, then drop, in memory before flash: a fill that is under way either is
 * dropped with its entry (and takes back from flash what it wrote there), or
 * begins after the fence and sees it. Generations last: what is dropped one by
 * one stays dropped when a restart has forgotten them.
 */

ngx_int_t
ngx_http_s3_cache_fence_hold(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, const ngx_http_s3_cache_name_t *name,
    ngx_array_t *holds)
{
    uint64_t                          hash;
    ngx_int_t                         rc;
    ngx_uint_t                        i;
    ngx_http_s3_cache_origin_view_t  *view;

    view = mcf->views.elts;

    for (i = 0; i < mcf->views.nelts; i++) {

        if (!ngx_http_s3_cache_fence_is_meant(mcf, origin, name, i)) {
            continue;
        }

        hash = ngx_http_s3_cache_fence_name(view[i].zone, origin, name);

        if (hash == 0) {
            return NGX_OK;            /* too long: it is never kept */
        }

        rc = ngx_http_s3_cache_fence_take(view[i].zone, hash,
                                          ngx_http_s3_cache_fence_due(name),
                                          holds);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (!name->later) {
        ngx_http_s3_cache_fence_drop(mcf, origin, name);
    }

    return NGX_OK;
}


static s3c_fence_due_t
ngx_http_s3_cache_fence_due(const ngx_http_s3_cache_name_t *name)
{
    if (!name->later) {
        return S3C_FENCE_DUE_NONE;
    }

    return name->key.len > 0 ? S3C_FENCE_DUE_KEY : S3C_FENCE_DUE_BUCKET;
}


ngx_int_t
ngx_http_s3_cache_fence_take(ngx_http_s3_cache_zone_t *zone, uint64_t name,
    s3c_fence_due_t due, ngx_array_t *holds)
{
    s3c_fence_id_t                   id;
    ngx_http_s3_cache_fence_hold_t  *hold;

    hold = ngx_array_push(holds);
    if (hold == NULL) {
        return NGX_ERROR;
    }

    hold->zone = zone;
    hold->id = 0;

    if (s3c_fence_begin(zone->shared->fence, name, due, ngx_pid, &id)
        != S3C_OK)
    {
        s3c_stats_add(&zone->stats, S3C_STAT_WRITE_BUSY, 1);
        return NGX_BUSY;
    }

    hold->id = id;

    return NGX_OK;
}


/* No entry of what was fenced can have come since: only the fence goes. */

void
ngx_http_s3_cache_fence_release(ngx_array_t *holds, ngx_uint_t known)
{
    ngx_uint_t                       i;
    ngx_http_s3_cache_fence_hold_t  *hold;

    hold = holds->elts;

    for (i = 0; i < holds->nelts; i++) {
        s3c_fence_end(hold[i].zone->shared->fence, hold[i].id,
                      known ? 0
                            : ngx_http_s3_cache_now()
                              + NGX_HTTP_S3_CACHE_FENCE_LINGER);
    }

    holds->nelts = 0;
}


ngx_int_t
ngx_http_s3_cache_fence_create(ngx_http_s3_cache_shared_t *sh, ngx_log_t *log)
{
    void  *p;

    /* zeroed by the kernel as it is touched: most of it never is */

    p = mmap(NULL, s3c_fence_bytes(), PROT_READ|PROT_WRITE,
             MAP_ANON|MAP_SHARED, -1, 0);

    if (p == MAP_FAILED) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "mmap() of the fences of a s3_cache_zone failed");
        return NGX_ERROR;
    }

    sh->fence = p;

    if (s3c_fence_format(sh->fence) != S3C_OK) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "the fences of a s3_cache_zone cannot be formatted");
        return NGX_ERROR;
    }

    s3c_purge_begin(sh->fence, ngx_http_s3_cache_fence_never_used());

    return NGX_OK;
}


void
ngx_http_s3_cache_fence_destroy(ngx_http_s3_cache_shared_t *sh)
{
    if (sh->fence != NULL) {

        if (ngx_process == NGX_PROCESS_MASTER) {
            /* workers of the older configuration have it still */
            s3c_fence_set_config(sh->fence, S3C_FENCE_RETIRED);
        }

        (void) munmap(sh->fence, s3c_fence_bytes());
        sh->fence = NULL;
    }
}


bool
ngx_http_s3_cache_fence_is_alive(uint32_t owner)
{
    return kill((pid_t) owner, 0) == 0 || ngx_errno != NGX_ESRCH;
}


void
ngx_http_s3_cache_fence_sweep(ngx_http_s3_cache_zone_t *zone, ngx_log_t *log)
{
    uint32_t  n;
    uint64_t  now;

    now = ngx_http_s3_cache_now();

    if (zone->ssd != NULL && s3c_fence_moved(zone->shared->fence)
        && s3c_fence_is_loaded(zone->shared->fence))
    {
        n = 0;
        zone->mark_turn++;

        while (s3c_purge_next_mark(zone->shared->fence, zone->mark_turn, &n)) {
            ngx_http_s3_cache_fence_save(zone, n - 1);
        }
    }

    for (n = 0;
         zone->ssd != NULL && s3c_fence_is_loaded(zone->shared->fence)
         && n < NGX_HTTP_S3_CACHE_RELOAD_PLACES;
         n++)
    {
        if (ngx_http_s3_cache_reload_is_marked(n)) {
            ngx_http_s3_cache_fence_save(zone, S3C_PURGE_PLACES + n);
        }
    }

    ngx_http_s3_cache_fence_pay(zone);

    n = s3c_fence_sweep(zone->shared->fence, now,
                        now + NGX_HTTP_S3_CACHE_FENCE_LINGER,
                        ngx_http_s3_cache_fence_is_alive);

    if (n > 0) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "s3_cache_zone \"%V\": writes of dead workers: %uD",
                      &zone->name, n);

        s3c_stats_add(&zone->stats, S3C_STAT_WRITE_UNKNOWN, n);
    }
}
