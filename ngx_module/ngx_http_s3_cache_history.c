/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory for the history of a zone, and its samples. What is asked of it is
 * answered in history_reply.c.
 */

#include "ngx_http_s3_cache_history.h"
#include "ngx_http_s3_cache_history_internal.h"


static size_t
history_alerts_at(void)
{
    return ngx_align(s3c_history_bytes(), 64)
           + ngx_align(sizeof(s3c_stats_hot_sh_t), 64);
}


static size_t
history_size(void)
{
    return history_alerts_at() + s3c_alert_bytes();
}


ngx_int_t
ngx_http_s3_cache_history_create(ngx_http_s3_cache_shared_t *sh,
    ngx_log_t *log)
{
    void  *p;

    /* zeroed by the kernel as it is touched: a day has to pass until all is */

    p = mmap(NULL, history_size(), PROT_READ|PROT_WRITE, MAP_ANON|MAP_SHARED,
             -1, 0);

    if (p == MAP_FAILED) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "mmap() of the history of a s3_cache_zone failed");
        return NGX_ERROR;
    }

    s3c_history_format(p, ngx_http_s3_cache_now_exact());
    s3c_alert_format((u_char *) p + history_alerts_at());
    sh->history = p;

    return NGX_OK;
}


void
ngx_http_s3_cache_history_destroy(ngx_http_s3_cache_shared_t *sh)
{
    if (sh->history != NULL) {
        (void) munmap(sh->history, history_size());
        sh->history = NULL;
    }
}


s3c_history_sh_t *
ngx_http_s3_cache_history_of(ngx_http_s3_cache_zone_t *zone)
{
    if (zone->history == NULL && zone->shared != NULL) {
        /* once a worker: it hashes the names of all columns */
        zone->history = s3c_history_attach(zone->shared->history);
    }

    return zone->history;
}


s3c_stats_hot_sh_t *
ngx_http_s3_cache_history_hot(ngx_http_s3_cache_zone_t *zone)
{
    if (ngx_http_s3_cache_history_of(zone) == NULL) {
        return NULL;
    }

    return (s3c_stats_hot_sh_t *) ((u_char *) zone->shared->history
                                   + ngx_align(s3c_history_bytes(), 64));
}


s3c_alert_sh_t *
ngx_http_s3_cache_history_alerts(ngx_http_s3_cache_zone_t *zone)
{
    if (ngx_http_s3_cache_history_of(zone) == NULL) {
        return NULL;
    }

    return s3c_alert_attach((u_char *) zone->shared->history
                            + history_alerts_at());
}


/* What the counting rooms need to know of a zone; without what is only named.
 * stores: of S3C_SSD_STORES_MAX. */

static void
history_view(ngx_http_s3_cache_zone_t *zone, s3c_stats_zone_t *view,
    s3c_stats_store_t *stores)
{
    ngx_uint_t  i;

    ngx_memzero(view, sizeof(s3c_stats_zone_t));

    if (zone->ram != NULL) {
        view->stats = &zone->stats;
        s3c_ram_usage(zone->ram, &view->usage);
    }

    if (zone->ssd == NULL) {
        return;
    }

    view->stores = stores;
    view->n_stores = s3c_ssd_n_stores(zone->ssd);

    for (i = 0; i < view->n_stores; i++) {
        s3c_ssd_usage(zone->ssd, (uint32_t) i, &stores[i].usage);
    }
}


/*
 * By the timer that every worker has: whoever finds it due does it, so there is
 * none whose end or hanging would stop it.
 */

void
ngx_http_s3_cache_history_beat(ngx_http_s3_cache_zone_t *zone)
{
    uint64_t           now;
    s3c_stats_zone_t   view;
    s3c_history_sh_t  *h;
    s3c_stats_store_t  stores[S3C_SSD_STORES_MAX];

    h = ngx_http_s3_cache_history_of(zone);

    if (h == NULL || zone->ram == NULL) {
        return;
    }

    now = ngx_http_s3_cache_now_exact();

    s3c_history_waiting(h, s3c_ram_slot(zone->ram), (uint32_t) zone->nwatches,
                        now);

    if (!s3c_history_due(h, now)) {
        return;
    }

    history_view(zone, &view, stores);

    if (s3c_history_sample(h, &view, now)) {
        s3c_stats_hot_turn(ngx_http_s3_cache_history_hot(zone), now);
    }
}


void
ngx_http_s3_cache_history_read(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_target_t *target)
{
    s3c_stats_hot_sh_t  *hot;

    hot = ngx_http_s3_cache_history_hot(ctx->zone);

    if (hot != NULL && target->addr.key.len > 0) {
        s3c_stats_hot_read(hot, ctx->object, target->addr.bucket,
                           target->addr.key);
    }
}


void
ngx_http_s3_cache_history_made(ngx_http_s3_cache_zone_t *zone,
    s3c_summary_t *summary)
{
    s3c_stats_zone_t   view;
    s3c_stats_store_t  stores[S3C_SSD_STORES_MAX];

    history_view(zone, &view, stores);
    s3c_summary_make(summary, ngx_http_s3_cache_history_of(zone), &view);
}


void
ngx_http_s3_cache_history_summary(ngx_http_s3_cache_zone_t *zone, uint8_t *out)
{
    s3c_summary_t  summary;

    ngx_http_s3_cache_history_made(zone, &summary);
    s3c_summary_encode(&summary, out);
}
