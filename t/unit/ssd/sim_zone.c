/* SPDX-License-Identifier: Apache-2.0
 *
 * Zones and workers over the simulated disk. See sim_disk.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_disk.h"
#include "ssd/ssd_layout.h"

#define SIM_DEPTH          1024
#define SIM_LEAVE_MS       10000
#define SIM_LEAVE_STEP_MS  5
#define SIM_LONG_MS        400

/* sim_disk.c */
void sim_bury(void *p);
void sim_queue_orphan(s3c_io_t *io);
uint64_t sim_disk_next_due(const sim_disk_t *disk);


/* --- the environment ----------------------------------------------------- */

static uint64_t
env_usec(void *ctx)
{
    return ((sim_zone_t *) ctx)->disk->usec;
}


static uint64_t
env_wall_s(void *ctx)
{
    const sim_disk_t  *disk = ((sim_zone_t *) ctx)->disk;

    return disk->no_wall ? 0 : SIM_WALL_S + disk->usec / 1000000;
}


static bool
env_lock(void *ctx, uint32_t store)
{
    return !((sim_zone_t *) ctx)->disk->files[store].lock_refused;
}


static void
env_random(void *ctx, void *out, size_t len)
{
    sim_zone_t  *zone = ctx;

    for (size_t i = 0; i < len; i++) {
        ((uint8_t *) out)[i] = (uint8_t) sim_rng(&zone->disk->rng);
    }
}


static void
env_observe(void *ctx, s3c_ssd_observed_t what, uint64_t usec)
{
    (void) usec;
    ((sim_zone_t *) ctx)->n_observed[what]++;
}


static void
env_log(void *ctx, s3c_ssd_log_t what, uint32_t store, uint64_t n,
    const char *word)
{
    sim_zone_t  *zone = ctx;

    zone->n_log[what]++;
    zone->last_log_n = n;
    zone->last_log_word = word;

    if (zone->loud) {
        fprintf(stderr, "%10.3f log %d store %u n %llu %s\n",
                (double) zone->disk->usec / 1e6, what, store,
                (unsigned long long) n, word == NULL ? "" : word);
    }
}


/* --- zone ---------------------------------------------------------------- */

void
sim_conf(s3c_ssd_conf_t *conf, sim_disk_t *disk, uint32_t n_stores,
    uint32_t segment_bytes, uint32_t n_segments)
{
    uint64_t  bytes = (uint64_t) segment_bytes * (n_segments + 1);
    uint64_t  secret = disk->n_files;

    *conf = (s3c_ssd_conf_t) {
        .n_slots = 4, .n_stores = n_stores,
        .n_objects = n_stores * bytes / 16384
    };

    /* of the files, not of the moment: a restart has the same */
    for (uint32_t i = 0; i < sizeof(conf->secret); i++) {
        conf->secret[i] = (uint8_t) sim_rng(&secret);
    }

    for (uint32_t i = 0; i < n_stores; i++) {
        conf->stores[i] = (s3c_ssd_store_conf_t) {
            .bytes = bytes, .segment_bytes = segment_bytes,
            .align = disk->align, .timeout_ms = 1000
        };
    }
}


void
sim_zone_format(sim_zone_t *zone, sim_disk_t *disk,
    const s3c_ssd_conf_t *conf)
{
    *zone = (sim_zone_t) {
        .disk = disk, .conf = *conf, .bytes = s3c_ssd_bytes(conf)
    };

    zone->region = aligned_alloc(64, (zone->bytes + 63) / 64 * 64);
    sim_check(zone->region != NULL);
    memset(zone->region, 0xa5, zone->bytes);
    sim_check(s3c_ssd_format(zone->region, zone->bytes, conf) == S3C_OK);
}


void
sim_zone_fini(sim_zone_t *zone)
{
    free(zone->region);
    zone->region = NULL;
}


/* --- workers ------------------------------------------------------------- */

void
sim_worker_init(sim_worker_t *worker, sim_zone_t *zone)
{
    *worker = (sim_worker_t) { .zone = zone };

    worker->io = sim_disk_queue(zone->disk, SIM_DEPTH);
    worker->env = (s3c_ssd_env_t) {
        .io = worker->io, .ctx = zone, .usec = env_usec,
        .wall_s = env_wall_s, .lock = env_lock,
        .random = env_random, .observe = env_observe, .log = env_log
    };

    for (int i = 0; i < S3C_SSD_STORES_MAX; i++) {
        worker->env.fds[i] = i;
    }
}


static void *
worker_main(void *data)
{
    sim_worker_t  *w = data;

    for ( ;; ) {
        while (sem_wait(&w->go) != 0) { /* void */ }

        if (w->fn == NULL) {
            return NULL;
        }

        w->fn(w->arg);
        sem_post(&w->did);
    }
}


void
sim_worker_call(sim_worker_t *worker, void (*fn)(void *arg), void *arg)
{
    if (!worker->threaded) {
        fn(arg);
        return;
    }

    worker->fn = fn;
    worker->arg = arg;
    sem_post(&worker->go);

    while (sem_wait(&worker->did) != 0) { /* void */ }
}


static void
zone_note(sim_zone_t *zone, sim_worker_t *from, sim_worker_t *to)
{
    for (uint32_t i = 0; i < SIM_WORKERS_MAX; i++) {
        if (zone->workers[i] == from) {
            zone->workers[i] = to;
            return;
        }
    }
}


static void
worker_end(sim_worker_t *worker)
{
    if (worker->threaded) {
        worker->fn = NULL;
        sem_post(&worker->go);
        sim_check(pthread_join(worker->thread, NULL) == 0);
        sem_destroy(&worker->go);
        sem_destroy(&worker->did);
        worker->threaded = false;
    }

    zone_note(worker->zone, worker, NULL);
    worker->ssd = NULL;
}


static void
call_join(void *arg)
{
    sim_worker_t  *w = arg;

    if (s3c_ssd_join(&w->ssd, w->zone->region, w->zone->bytes, &w->env,
                     sim_now_ms(w->zone->disk))
        != S3C_OK)
    {
        w->ssd = NULL;
    }
}


s3c_status_t
sim_worker_join(sim_worker_t *worker, sim_zone_t *zone, bool threaded)
{
    sim_worker_init(worker, zone);

    if (threaded) {
        sim_check(sem_init(&worker->go, 0, 0) == 0);
        sim_check(sem_init(&worker->did, 0, 0) == 0);
        sim_check(pthread_create(&worker->thread, NULL, worker_main, worker)
                  == 0);
        worker->threaded = true;
    }

    sim_worker_call(worker, call_join, worker);

    if (worker->ssd == NULL) {
        sim_queue_orphan(worker->io);
        worker_end(worker);
        return S3C_BUSY;
    }

    zone_note(zone, NULL, worker);

    return S3C_OK;
}


static void
call_turn(void *arg)
{
    sim_worker_t  *w = arg;

    if (w->zone->disk->usec - w->run_us >= S3C_SSD_RUN_MS * 1000) {
        w->run_us = w->zone->disk->usec;
        s3c_ssd_run(w->ssd, sim_now_ms(w->zone->disk));
    }

    do {
        s3c_io_submit(w->io);
    } while (s3c_io_reap(w->io) > 0);
}


void
sim_worker_turn(sim_worker_t *worker)
{
    sim_worker_call(worker, call_turn, worker);
}


static void
zone_turn(sim_zone_t *zone)
{
    for (uint32_t i = 0; i < SIM_WORKERS_MAX; i++) {
        if (zone->workers[i] != NULL) {
            sim_worker_turn(zone->workers[i]);
        }
    }
}


static void
call_quiesce(void *arg)
{
    sim_worker_t  *w = arg;

    s3c_ssd_quiesce(w->ssd, sim_now_ms(w->zone->disk));
}


static void
call_leave(void *arg)
{
    sim_worker_t  *w = arg;

    /* a queue that is closed keeps what is in flight reachable */
    sim_queue_orphan(w->io);
    s3c_ssd_leave(w->ssd);
}


void
sim_worker_leave(sim_worker_t *worker)
{
    sim_worker_call(worker, call_quiesce, worker);

    for (uint32_t ms = 0; ms < SIM_LEAVE_MS && !s3c_ssd_idle(worker->ssd);
         ms += SIM_LEAVE_STEP_MS)
    {
        zone_turn(worker->zone);
        sim_disk_step(worker->zone->disk, SIM_LEAVE_STEP_MS * 1000);
    }

    sim_worker_call(worker, call_leave, worker);
    worker_end(worker);
}


void
sim_worker_kill(sim_worker_t *worker)
{
    sim_check(worker->threaded);

    sim_queue_orphan(worker->io);
    sim_bury(worker->ssd);
    worker_end(worker);
}


/* --- time ---------------------------------------------------------------- */

bool
sim_run_until(sim_disk_t *disk, sim_worker_t *workers, uint32_t n,
    bool (*cond)(void *ctx), void *ctx, uint64_t limit_ms)
{
    uint64_t  end = disk->usec + limit_ms * 1000;

    for ( ;; ) {
        uint64_t  next = disk->usec + S3C_SSD_RUN_MS * 1000, due;

        for (uint32_t i = 0; i < n; i++) {
            if (workers[i].ssd != NULL) {
                sim_worker_turn(&workers[i]);
            }
        }

        if (cond != NULL && cond(ctx)) {
            return true;
        }

        if (disk->usec >= end || disk->off) {
            return cond == NULL;
        }

        due = sim_disk_next_due(disk);
        next = due < next ? due : next;
        next = next > end ? end : next;
        sim_disk_step(disk, next > disk->usec ? next - disk->usec : 0);
    }
}


void
sim_run_for(sim_disk_t *disk, sim_worker_t *workers, uint32_t n, uint64_t ms)
{
    (void) sim_run_until(disk, workers, n, NULL, NULL, ms);
}


void
sim_run_long(sim_disk_t *disk, sim_worker_t *workers, uint32_t n, uint64_t ms)
{
    for (uint64_t t = 0; t < ms; t += SIM_LONG_MS) {
        sim_disk_step(disk, (SIM_LONG_MS - S3C_SSD_RUN_MS) * 1000);
        sim_run_for(disk, workers, n, S3C_SSD_RUN_MS);
    }
}


typedef struct {
    sim_worker_t  *workers;
    uint32_t       n;
} sim_some_t;


static bool
all_serving(void *ctx)
{
    sim_some_t       *some = ctx;
    s3c_ssd_usage_t   usage;

    for (uint32_t i = 0; i < some->n; i++) {
        const s3c_ssd_t  *ssd = some->workers[i].ssd;

        if (ssd == NULL) {
            continue;
        }

        for (uint32_t j = 0; j < s3c_ssd_n_stores(ssd); j++) {
            s3c_ssd_usage(ssd, j, &usage);

            if (usage.state != S3C_SSD_SERVING) {
                return false;
            }
        }

        return true;
    }

    return false;
}


bool
sim_run_until_serving(sim_disk_t *disk, sim_worker_t *workers, uint32_t n,
    uint64_t limit_ms)
{
    sim_some_t  some = { workers, n };

    return sim_run_until(disk, workers, n, all_serving, &some, limit_ms);
}
