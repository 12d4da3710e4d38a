/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker's queue of file I/O in nginx's event loop, one for all zones, and
 * the flash tier's clockwork.
 *
 * SUBMIT  what handlers queue during a turn of the loop is sent together, by
 *         a posted event at the turn's end.
 * REAP    the queue's eventfd is in epoll, edge-triggered and never read.
 * CLOCK   a timer, quick while this worker has something on its way, else
 *         slow. In a worker that leaves it holds the process until all is
 *         written, for a bounded time.
 */

#include "ngx_http_s3_cache_store.h"


#define DEPTH          S3C_IO_DEPTH_MAX  /* of all zones; above what the reads
                                            of one may have in flight */
#define THREADS        32       /* of several files, one may have half */
#define TURNS_MAX      4        /* that a submit waits for other handlers */
#define SLOW_MSEC      200
#define LEAVE_MSEC     10000    /* of a worker that shuts down, at most */
#define EXIT_MSEC      1000     /* ...and again at its very end */


typedef struct {
    s3c_io_t                       *io;      /* NULL: no zone has stores */
    ngx_http_s3_cache_main_conf_t  *conf;
    ngx_event_t                     submit;  /* posted */
    ngx_event_t                     clock;
    ngx_uint_t                      turns;
    ngx_msec_t                      leaving; /* since when; 0: it is not */
    unsigned                        quick:1;
} ngx_http_s3_cache_ring_t;


static ngx_int_t ngx_http_s3_cache_ring_open(ngx_cycle_t *cycle,
    ngx_uint_t how);
static ngx_int_t ngx_http_s3_cache_ring_listen(ngx_cycle_t *cycle);
static void ngx_http_s3_cache_ring_join(ngx_cycle_t *cycle,
    ngx_http_s3_cache_zone_t *zone);
static void ngx_http_s3_cache_ring_read(ngx_event_t *ev);
static void ngx_http_s3_cache_ring_submit(ngx_event_t *ev);
static void ngx_http_s3_cache_ring_tick(ngx_event_t *ev);
static void ngx_http_s3_cache_ring_post(void);
static void ngx_http_s3_cache_ring_run(void);
static void ngx_http_s3_cache_ring_quiesce(void);
static void ngx_http_s3_cache_ring_pace(void);
static ngx_uint_t ngx_http_s3_cache_ring_idle(void);


static ngx_http_s3_cache_ring_t  ring;


ngx_int_t
ngx_http_s3_cache_ring_init(ngx_cycle_t *cycle)
{
    ngx_int_t                       rc;
    ngx_uint_t                      i, wanted;
    ngx_http_s3_cache_zone_t      **zones;
    ngx_http_s3_cache_main_conf_t  *mcf;

    ngx_memzero(&ring, sizeof(ngx_http_s3_cache_ring_t));

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_s3_cache_module);
    zones = mcf->zones.elts;
    wanted = 0;

    for (i = 0; i < mcf->zones.nelts; i++) {
        wanted |= zones[i]->ram != NULL && zones[i]->stores != NULL;
    }

    if (!wanted) {
        return NGX_OK;
    }

    rc = ngx_http_s3_cache_ring_open(cycle, mcf->io);

    if (rc == NGX_DECLINED) {
        return NGX_OK;
    }

    if (rc != NGX_OK) {
        for (i = 0; i < mcf->zones.nelts; i++) {
            zones[i]->apart = zones[i]->stores != NULL;
        }

        return NGX_OK;
    }

    ring.conf = mcf;

    if (ngx_http_s3_cache_ring_listen(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < mcf->zones.nelts; i++) {
        if (zones[i]->ram != NULL && zones[i]->stores != NULL) {
            ngx_http_s3_cache_ring_join(cycle, zones[i]);
        }
    }

    ring.quick = 1;
    ngx_add_timer(&ring.clock, S3C_SSD_RUN_MS);

    return NGX_OK;
}


/* DECLINED: no worker has a way to the stores, and memory serves alone.
 * ERROR: this one has none. */

static ngx_int_t
ngx_http_s3_cache_ring_open(ngx_cycle_t *cycle, ngx_uint_t how)
{
    ngx_err_t     err;
    ngx_uint_t    level, loud;
    s3c_status_t  st;

    /* all workers meet the same kernel: one of them says it aloud */
    level = ngx_worker == 0 ? NGX_LOG_NOTICE : NGX_LOG_INFO;

    if (how != NGX_HTTP_S3_CACHE_IO_THREADS) {

        st = s3c_io_uring_open(&ring.io, DEPTH);
        err = ngx_errno;

        if (st == S3C_OK) {
            ngx_log_error(level, cycle->log, 0,
                          "s3_cache_io: files are read and written by "
                          "io_uring");
            return NGX_OK;
        }

        ring.io = NULL;

        if (how == NGX_HTTP_S3_CACHE_IO_URING) {
            ngx_log_error(NGX_LOG_ERR, cycle->log, err,
                          "s3_cache_io: no io_uring here, stores are not "
                          "used");
            return err == ENOSYS || err == NGX_EPERM || err == NGX_EACCES
                   ? NGX_DECLINED : NGX_ERROR;
        }

        loud = ngx_worker == 0 ? NGX_LOG_WARN : NGX_LOG_INFO;

        ngx_log_error(loud, cycle->log, err,
                      "s3_cache_io: no io_uring here, threads are used");
    }

    st = s3c_io_threads_open(&ring.io, DEPTH, THREADS);

    if (st != S3C_OK) {
        ngx_log_error(NGX_LOG_ERR, cycle->log, ngx_errno,
                      "s3_cache_io: no threads, this worker does without "
                      "zones that have stores");
        ring.io = NULL;
        return NGX_ERROR;
    }

    ngx_log_error(level, cycle->log, 0,
                  "s3_cache_io: files are read and written by %d threads",
                  THREADS);

    return NGX_OK;
}


static ngx_int_t
ngx_http_s3_cache_ring_listen(ngx_cycle_t *cycle)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(ring.io->event_fd, cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->data = &ring;
    c->log = cycle->log;
    c->read->handler = ngx_http_s3_cache_ring_read;
    c->read->log = cycle->log;

    /* nginx must neither close it nor call it an open socket at the end */
    c->read->channel = 1;

    if (ngx_add_event(c->read, NGX_READ_EVENT, NGX_CLEAR_EVENT) != NGX_OK) {
        return NGX_ERROR;
    }

    ring.submit.handler = ngx_http_s3_cache_ring_submit;
    ring.submit.data = &ring;
    ring.submit.log = cycle->log;

    ring.clock.handler = ngx_http_s3_cache_ring_tick;
    ring.clock.data = &ring;
    ring.clock.log = cycle->log;
    ring.clock.cancelable = 1;

    return NGX_OK;
}


static void
ngx_http_s3_cache_ring_join(ngx_cycle_t *cycle,
    ngx_http_s3_cache_zone_t *zone)
{
    s3c_status_t                 st;
    s3c_ssd_env_t                env;
    ngx_http_s3_cache_shared_t  *sh;

    sh = zone->shared;

    ngx_http_s3_cache_store_env(zone, &env);
    env.io = ring.io;

    st = s3c_ssd_join(&zone->ssd, sh->ssd_region.addr, sh->ssd_region.bytes,
                      &env, ngx_http_s3_cache_now());

    if (st != S3C_OK) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "s3_cache_zone \"%V\": this worker does without it, it "
                      "cannot reach its stores: %s",
                      &zone->name, s3c_status_name(st));
        zone->ssd = NULL;
        zone->apart = 1;
    }
}


/* What is staged is written out if the worker leaves in peace; whoever still
 * reads is told that it failed. */

void
ngx_http_s3_cache_ring_exit(ngx_cycle_t *cycle)
{
    s3c_ssd_t                  *ssd;
    ngx_msec_t                  end;
    ngx_uint_t                  i;
    ngx_http_s3_cache_zone_t  **zones;

    if (ring.conf == NULL) {
        return;
    }

    if (!ngx_terminate) {
        ngx_time_update();
        ngx_http_s3_cache_ring_quiesce();

        end = ngx_current_msec + EXIT_MSEC;

        for ( ;; ) {
            ngx_http_s3_cache_ring_run();
            s3c_io_submit(ring.io);

            while (s3c_io_reap(ring.io) > 0) {
                s3c_io_submit(ring.io);
            }

            if (ngx_http_s3_cache_ring_idle()
                || (ngx_msec_int_t) (end - ngx_current_msec) <= 0)
            {
                break;
            }

            /* there is nothing to wait on: an eventfd that is never read is
               always readable */

            ngx_msleep(1);
            ngx_time_update();
        }
    }

    zones = ring.conf->zones.elts;

    for (i = 0; i < ring.conf->zones.nelts; i++) {
        ssd = zones[i]->ssd;

        if (ssd != NULL) {
            zones[i]->ssd = NULL;
            s3c_ssd_leave(ssd);

            /* the master has let go of it already, at a reload */

            if (s3c_fence_config(zones[i]->shared->fence)
                == S3C_FENCE_RETIRED)
            {
                ngx_http_s3_cache_store_settle(zones[i]->shared, cycle->log);
            }
        }
    }

    if (ring.submit.posted) {
        ngx_delete_posted_event(&ring.submit);
    }

    if (ring.clock.timer_set) {
        ngx_del_timer(&ring.clock);
    }

    s3c_io_close(ring.io);
    ngx_memzero(&ring, sizeof(ngx_http_s3_cache_ring_t));
}


void
ngx_http_s3_cache_store_kick(ngx_http_s3_cache_zone_t *zone)
{
    if (zone->ssd != NULL) {
        ngx_http_s3_cache_ring_post();
    }
}


static void
ngx_http_s3_cache_ring_post(void)
{
    if (ring.io != NULL && !ring.submit.posted) {
        ngx_post_event(&ring.submit, &ngx_posted_events);
    }
}


static void
ngx_http_s3_cache_ring_submit(ngx_event_t *ev)
{
    /* handlers that were posted behind this one may have more to send */

    if (!ngx_queue_empty(&ngx_posted_events) && ring.turns < TURNS_MAX) {
        ring.turns++;
        ngx_post_event(ev, &ngx_posted_events);
        return;
    }

    ring.turns = 0;
    s3c_io_submit(ring.io);
    ngx_http_s3_cache_ring_pace();
}


static void
ngx_http_s3_cache_ring_read(ngx_event_t *ev)
{
    /* until there is nothing: the next edge comes with the next end. What the
       handlers queue is sent behind them. */

    while (s3c_io_reap(ring.io) > 0) {
        ngx_http_s3_cache_ring_post();
    }
}


static void
ngx_http_s3_cache_ring_tick(ngx_event_t *ev)
{
    if (ngx_exiting || ngx_quit) {
        ngx_http_s3_cache_ring_quiesce();
    }

    ngx_http_s3_cache_ring_run();
    ngx_http_s3_cache_ring_post();

    ring.quick = 0;
    ngx_add_timer(ev, SLOW_MSEC);
    ngx_http_s3_cache_ring_pace();
}


static void
ngx_http_s3_cache_ring_run(void)
{
    ngx_uint_t                  i;
    ngx_http_s3_cache_zone_t  **zones;

    zones = ring.conf->zones.elts;

    for (i = 0; i < ring.conf->zones.nelts; i++) {
        if (zones[i]->ssd != NULL) {
            s3c_ssd_run(zones[i]->ssd, ngx_http_s3_cache_now());
        }
    }
}


/* Once. Requests that are still served read on, but nothing new is kept. */

static void
ngx_http_s3_cache_ring_quiesce(void)
{
    ngx_uint_t                  i;
    ngx_http_s3_cache_zone_t  **zones;

    if (ring.leaving != 0) {
        return;
    }

    ring.leaving = ngx_current_msec ? ngx_current_msec : 1;
    zones = ring.conf->zones.elts;

    for (i = 0; i < ring.conf->zones.nelts; i++) {
        if (zones[i]->ssd != NULL) {
            s3c_ssd_quiesce(zones[i]->ssd, ngx_http_s3_cache_now());
        }
    }
}


static ngx_uint_t
ngx_http_s3_cache_ring_idle(void)
{
    ngx_uint_t                  i;
    ngx_http_s3_cache_zone_t  **zones;

    zones = ring.conf->zones.elts;

    for (i = 0; i < ring.conf->zones.nelts; i++) {
        if (zones[i]->ssd != NULL && !s3c_ssd_idle(zones[i]->ssd)) {
            return 0;
        }
    }

    return 1;
}


/* How soon the clock ticks next, and whether a worker that leaves waits. */

static void
ngx_http_s3_cache_ring_pace(void)
{
    ngx_uint_t  idle;

    idle = ngx_http_s3_cache_ring_idle();

    ring.clock.cancelable = idle
                            || (ring.leaving != 0
                                && ngx_current_msec - ring.leaving
                                   > LEAVE_MSEC);

    if (!idle && !ring.quick) {

        /* nginx takes a small change of a timer for none at all */

        if (ring.clock.timer_set) {
            ngx_del_timer(&ring.clock);
        }

        ring.quick = 1;
        ngx_add_timer(&ring.clock, S3C_SSD_RUN_MS);
    }
}


void
ngx_http_s3_cache_ring_view(ngx_pool_t *pool, ngx_http_s3_cache_zone_t *zone,
    s3c_stats_zone_t *view)
{
    ngx_uint_t                   i, n;
    s3c_stats_store_t           *stores;
    ngx_http_s3_cache_store_t  **conf;

    view->io = S3C_SLICE("none");

    if (zone->stores == NULL) {
        return;
    }

    n = zone->stores->nelts;
    conf = zone->stores->elts;

    stores = ngx_pcalloc(pool, n * sizeof(s3c_stats_store_t));
    if (stores == NULL) {
        return;
    }

    for (i = 0; i < n; i++) {
        stores[i].path = ngx_http_s3_cache_slice(&conf[i]->path);
        stores[i].usage.state = S3C_SSD_FAILED;

        if (zone->ssd != NULL) {
            s3c_ssd_usage(zone->ssd, (uint32_t) i, &stores[i].usage);
        }
    }

    view->stores = stores;
    view->n_stores = (unsigned) n;

    if (zone->ssd != NULL) {
        view->io = s3c_slice(ring.io->backend->name,
                             ngx_strlen(ring.io->backend->name));
        s3c_ssd_memory(zone->ssd, &view->flash.index_bytes,
                       &view->flash.memory_bytes);
    }
}
