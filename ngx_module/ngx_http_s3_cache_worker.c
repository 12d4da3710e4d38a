/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker's part of every zone: its slot, the events by which other workers
 * wake it, the timer that looks for workers that died, and the lists of those
 * who wait for a fill.
 */

#include "ngx_http_s3_cache_alert.h"
#include "ngx_http_s3_cache_auth.h"
#include "ngx_http_s3_cache_fence.h"
#include "ngx_http_s3_cache_flash.h"
#include "ngx_http_s3_cache_history.h"
#include "ngx_http_s3_cache_mirror.h"
#include "ngx_http_s3_cache_origin_keys.h"
#include "ngx_http_s3_cache_peer.h"
#include "ngx_http_s3_cache_profile.h"
#include "ngx_http_s3_cache_vouch.h"
#include "ngx_http_s3_cache_redis.h"
#include "ngx_http_s3_cache_store.h"
#include "ngx_http_s3_cache_warm.h"


#define SWEEP_MSEC   300
#define WOKEN_BATCH  64


static ngx_int_t ngx_http_s3_cache_worker_join(ngx_cycle_t *cycle,
    ngx_http_s3_cache_zone_t *zone);
static ngx_int_t ngx_http_s3_cache_worker_listen(ngx_cycle_t *cycle,
    ngx_http_s3_cache_zone_t *zone);
static void ngx_http_s3_cache_worker_wake(void *ctx, uint32_t slot);
static void ngx_http_s3_cache_worker_read(ngx_event_t *ev);
static void ngx_http_s3_cache_worker_dispatch(ngx_event_t *ev);
static void ngx_http_s3_cache_worker_sweep(ngx_event_t *ev);
static void ngx_http_s3_cache_watch_unlinked(
    ngx_http_s3_cache_watch_t *watch);


ngx_int_t
ngx_http_s3_cache_worker_init(ngx_cycle_t *cycle)
{
    ngx_uint_t                       i;
    ngx_http_s3_cache_zone_t       **zones;
    ngx_http_s3_cache_main_conf_t   *mcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_s3_cache_module);

    if (mcf == NULL) {
        return NGX_OK;
    }

    zones = mcf->zones.elts;

    for (i = 0; i < mcf->zones.nelts; i++) {
        if (ngx_http_s3_cache_worker_join(cycle, zones[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_s3_cache_ring_init(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_s3_cache_view_init_worker(cycle, mcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_s3_cache_redis_init_worker(cycle, mcf) != NGX_OK) {
        return NGX_ERROR;
    }
    if (ngx_http_s3_cache_vouch_init_worker(cycle, mcf) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_s3_cache_counts_init_worker(mcf);
    ngx_http_s3_cache_keyring_init_worker(cycle, mcf);
    ngx_http_s3_cache_origin_keys_init_worker(cycle);
    ngx_http_s3_cache_warm_init_worker(cycle, mcf);

    return ngx_http_s3_cache_origin_init_worker(cycle);
}


static ngx_int_t
ngx_http_s3_cache_worker_join(ngx_cycle_t *cycle,
    ngx_http_s3_cache_zone_t *zone)
{
    ngx_uint_t                   i, n;
    s3c_status_t                 st;
    ngx_http_s3_cache_shared_t  *sh;

    sh = zone->shared;

    if (sh == NULL) {
        return NGX_OK;
    }

    st = s3c_ram_join(&zone->ram, sh->ram, sh->ram_bytes,
                      ngx_http_s3_cache_worker_wake, zone,
                      ngx_http_s3_cache_now());

    if (st != S3C_OK) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "s3_cache_zone \"%V\": this worker does without it: %s",
                      &zone->name, s3c_status_name(st));
        zone->ram = NULL;
        return NGX_OK;
    }

    zone->secret = s3c_ram_secret(zone->ram);

    if (s3c_stats_attach(&zone->stats, sh->stats, sh->n_slots,
                         s3c_ram_slot(zone->ram))
        != S3C_OK)
    {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "s3_cache_zone \"%V\": its statistics are damaged",
                      &zone->name);
        return NGX_ERROR;
    }

    n = s3c_ram_fills_max(zone->ram);

    zone->watchers = ngx_palloc(cycle->pool, n * sizeof(ngx_queue_t));
    if (zone->watchers == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        ngx_queue_init(&zone->watchers[i]);
    }

    zone->nonce = ((uint64_t) s3c_ram_slot(zone->ram) << 48)
                  + ngx_http_s3_cache_now() + 1;

    ngx_http_s3_cache_scrub_init(cycle, zone);

    return ngx_http_s3_cache_worker_listen(cycle, zone);
}


static ngx_int_t
ngx_http_s3_cache_worker_listen(ngx_cycle_t *cycle,
    ngx_http_s3_cache_zone_t *zone)
{
    ngx_connection_t  *c;

    zone->wake_event.handler = ngx_http_s3_cache_worker_dispatch;
    zone->wake_event.data = zone;
    zone->wake_event.log = cycle->log;

    c = ngx_get_connection(zone->shared->efds[s3c_ram_slot(zone->ram)],
                           cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->data = zone;
    c->read->handler = ngx_http_s3_cache_worker_read;
    c->read->log = cycle->log;
    c->log = cycle->log;

    /* nginx must neither close it nor call it an open socket at the end */
    c->read->channel = 1;

    if (ngx_add_event(c->read, NGX_READ_EVENT, NGX_CLEAR_EVENT) != NGX_OK) {
        return NGX_ERROR;
    }

    zone->wake_connection = c;

    zone->sweep_event.handler = ngx_http_s3_cache_worker_sweep;
    zone->sweep_event.data = zone;
    zone->sweep_event.log = cycle->log;
    zone->sweep_event.cancelable = 1;

    ngx_add_timer(&zone->sweep_event, SWEEP_MSEC);

    return NGX_OK;
}


void
ngx_http_s3_cache_worker_exit(ngx_cycle_t *cycle)
{
    ngx_uint_t                       i;
    ngx_http_s3_cache_zone_t        *zone, **zones;
    ngx_http_s3_cache_main_conf_t   *mcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_s3_cache_module);

    if (mcf == NULL) {
        return;
    }

    ngx_http_s3_cache_warm_exit_worker();
    ngx_http_s3_cache_profile_exit_worker();
    ngx_http_s3_cache_redis_exit_worker();
    ngx_http_s3_cache_ring_exit(cycle);
    ngx_http_s3_cache_flash_exit();
    ngx_http_s3_cache_view_exit_worker(mcf);
    ngx_http_s3_cache_serve_exit();
    ngx_http_s3_cache_origin_keys_exit_worker(cycle);
    ngx_http_s3_cache_origin_exit_worker(cycle);

    zones = mcf->zones.elts;

    for (i = 0; i < mcf->zones.nelts; i++) {
        zone = zones[i];

        if (zone->ram == NULL) {
            continue;
        }

        if (zone->sweep_event.timer_set) {
            ngx_del_timer(&zone->sweep_event);
        }

        ngx_http_s3_cache_scrub_exit(zone);
        s3c_ram_leave(zone->ram);
        zone->ram = NULL;
    }
}


/* From inside the memory tier: a fill moved that this slot watches. */

static void
ngx_http_s3_cache_worker_wake(void *ctx, uint32_t slot)
{
    ngx_http_s3_cache_zone_t *zone = ctx;

    ssize_t   n;
    uint64_t  one = 1;

    /* while this worker joins it may already wake others, and itself: the
       write is then seen as soon as the eventfd is in epoll */

    if (zone->ram != NULL && slot == s3c_ram_slot(zone->ram)) {
        ngx_post_event(&zone->wake_event, &ngx_posted_events);
        return;
    }

    if (slot >= zone->shared->n_slots) {
        return;
    }

    /* never read by the other side: EPOLLET tells of every write (a write
       can fail only after 2^64 of them) */

    do {
        n = write(zone->shared->efds[slot], &one, sizeof(one));
    } while (n == -1 && ngx_errno == NGX_EINTR);
}


static void
ngx_http_s3_cache_worker_read(ngx_event_t *ev)
{
    ngx_connection_t  *c = ev->data;

    ngx_http_s3_cache_zone_t  *zone = c->data;

    ngx_http_s3_cache_worker_dispatch(&zone->wake_event);
}


static void
ngx_http_s3_cache_worker_dispatch(ngx_event_t *ev)
{
    ngx_http_s3_cache_zone_t *zone = ev->data;

    uint32_t                    i, n, fills[WOKEN_BATCH];
    ngx_queue_t                *q, run;
    ngx_http_s3_cache_watch_t  *watch;

    ngx_queue_init(&run);

    while ((n = s3c_ram_woken(zone->ram, fills, WOKEN_BATCH)) > 0) {

        for (i = 0; i < n; i++) {
            q = &zone->watchers[fills[i]];

            if (!ngx_queue_empty(q)) {
                ngx_queue_add(&run, q);
                ngx_queue_init(q);
            }
        }
    }

    /* a watcher that runs may end others: they unlink themselves from here */

    while (!ngx_queue_empty(&run)) {
        q = ngx_queue_head(&run);
        ngx_queue_remove(q);

        watch = ngx_queue_data(q, ngx_http_s3_cache_watch_t, queue);
        ngx_http_s3_cache_watch_unlinked(watch);
        watch->wake(watch);
    }
}


static void
ngx_http_s3_cache_worker_sweep(ngx_event_t *ev)
{
    ngx_http_s3_cache_zone_t *zone = ev->data;

    uint32_t  n;

    ngx_http_s3_cache_mirror_sweep(zone);

    n = s3c_ram_sweep(zone->ram, ngx_http_s3_cache_now());

    if (n > 0) {
        ngx_log_error(NGX_LOG_WARN, ev->log, 0,
                      "s3_cache_zone \"%V\": dead workers cleared: %uD",
                      &zone->name, n);
    }

    ngx_http_s3_cache_fence_sweep(zone, ev->log);
    ngx_http_s3_cache_history_beat(zone);
    ngx_http_s3_cache_alert_beat(zone, ev->log);

    ngx_add_timer(ev, SWEEP_MSEC);
}


s3c_status_t
ngx_http_s3_cache_watch(ngx_http_s3_cache_zone_t *zone,
    const s3c_ram_pin_t *pin, ngx_http_s3_cache_watch_t *watch)
{
    uint32_t  fill;

    fill = s3c_ram_watch(zone->ram, pin);

    if (fill == UINT32_MAX) {
        return S3C_EXISTS;
    }

    ngx_http_s3_cache_unwatch(watch);

    ngx_queue_insert_tail(&zone->watchers[fill], &watch->queue);
    watch->linked = 1;
    watch->zone = zone;

    /* a worker that leaves must wait for those who wait: they have no timer
       of their own, and the fill may be another worker's */
    zone->nwatches++;
    zone->sweep_event.cancelable = 0;

    return S3C_OK;
}


void
ngx_http_s3_cache_unwatch(ngx_http_s3_cache_watch_t *watch)
{
    if (watch->linked) {
        ngx_queue_remove(&watch->queue);
        ngx_http_s3_cache_watch_unlinked(watch);
    }
}


static void
ngx_http_s3_cache_watch_unlinked(ngx_http_s3_cache_watch_t *watch)
{
    watch->linked = 0;
    watch->zone->sweep_event.cancelable = (--watch->zone->nwatches == 0);
}


uint64_t
ngx_http_s3_cache_usec(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
