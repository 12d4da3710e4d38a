/* SPDX-License-Identifier: Apache-2.0
 *
 * The directive, and the worker that runs the jobs of a node: the one that has
 * the lock of their folder. Its death gives the lock back, and another one goes
 * on from what was saved; a worker that leaves gives it back itself.
 */

#include "ngx_http_s3_cache_warm_internal.h"
#include "ngx_http_s3_cache_flash.h"

#include <sys/file.h>


#define TICK_MSEC      250
#define LIST_MAX       (64 * 1024 * 1024)
#define SAVE_MSEC      2000


static ngx_uint_t warm_usable(ngx_http_s3_cache_main_conf_t *mcf);
static void warm_tick(ngx_event_t *ev);
static void warm_lead(void);
static void warm_leave(void);
static void warm_look(void);
static void warm_begin(const u_char *id);
static ngx_uint_t warm_is_seen(const u_char *id);


static ngx_http_s3_cache_main_conf_t  *warm_mcf;
static ngx_http_s3_cache_warm_conf_t  *warm_conf;
static ngx_event_t                     warm_event;
static ngx_queue_t                     warm_runs;
static ngx_uint_t                      warm_nruns;
static ngx_fd_t                        warm_lock = NGX_INVALID_FILE;

/* those that were looked at, by the worker that leads; the latest */
static u_char      warm_seen[4 * NGX_HTTP_S3_CACHE_WARM_KEPT_MAX]
                            [S3C_WARM_ID_BYTES];
static ngx_uint_t  warm_nseen;


char *
ngx_http_s3_cache_warm_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_main_conf_t *mcf = conf;

    ngx_str_t                      *value, size;
    ngx_path_t                     *path;
    ngx_uint_t                      i;
    ngx_http_s3_cache_warm_conf_t  *wcf;

    if (mcf->warm != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;
    wcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_s3_cache_warm_conf_t));
    path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));

    if (wcf == NULL || path == NULL) {
        return NGX_CONF_ERROR;
    }

    wcf->list_max = LIST_MAX;
    wcf->path = path;

    path->name = value[1];

    if (path->name.len > 1 && path->name.data[path->name.len - 1] == '/') {
        path->name.data[--path->name.len] = '\0';
    }

    if (path->name.len == 0 || ngx_strcmp(path->name.data, "/") == 0
        || ngx_conf_full_name(cf->cycle, &path->name, 0) != NGX_OK
        || path->name.len > NGX_MAX_PATH / 2)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid folder \"%V\" in \"%V\" directive",
                           &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    path->conf_file = cf->conf_file->file.name.data;
    path->line = cf->conf_file->line;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "list=", 5) != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"%V\" directive",
                               &value[i], &cmd->name);
            return NGX_CONF_ERROR;
        }

        size.data = value[i].data + 5;
        size.len = value[i].len - 5;
        wcf->list_max = ngx_parse_offset(&size);

        if (wcf->list_max <= 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid size in \"%V\" of \"%V\" directive",
                               &value[i], &cmd->name);
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_add_path(cf, &wcf->path) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    mcf->warm = wcf;

    return NGX_CONF_OK;
}


ngx_http_s3_cache_loc_conf_t *
ngx_http_s3_cache_warm_location(ngx_http_s3_cache_main_conf_t *mcf,
    s3c_slice_t zone, s3c_slice_t origin, const char **why)
{
    ngx_uint_t                      i, k, several;
    ngx_http_s3_cache_zone_t      **zones;
    ngx_http_s3_cache_loc_conf_t   *found, **confs;

    found = NULL;
    several = 0;
    zones = mcf->zones.elts;
    *why = zone.len > 0 ? "no such zone, or nothing is kept in it"
                        : "no zone keeps anything";

    for (i = 0; i < mcf->zones.nelts; i++) {

        if (zones[i]->locations == NULL
            || (zone.len > 0
                && !s3c_slice_eq(zone,
                             ngx_http_s3_cache_slice(&zones[i]->name))))
        {
            continue;
        }

        confs = zones[i]->locations->elts;

        for (k = 0; k < zones[i]->locations->nelts; k++) {

            if (origin.len > 0
                && !s3c_slice_eq(origin,
                              ngx_http_s3_cache_slice(&confs[k]->origin->url)))
            {
                *why = "no such origin in this zone";
                continue;
            }

            if (found == NULL) {
                found = confs[k];
                continue;
            }

            if (found->zone != zones[i]) {
                *why = "there are several zones: say which by zone=";
                return NULL;
            }

            several |= (found->identity != confs[k]->identity);
        }
    }

    if (several) {
        *why = "the zone keeps several origins: say which by origin=";
        return NULL;
    }

    return found;
}


ngx_uint_t
ngx_http_s3_cache_warm_stored(ngx_http_s3_cache_ctx_t *ctx)
{
    uint64_t                         block;
    s3c_status_t                     st;
    s3c_hash128_t                    key;
    s3c_ram_pin_t                    pin;
    ngx_http_s3_cache_flash_block_t  src;

    if (ctx->zone->ssd == NULL || s3c_ram_pinned(&ctx->block_pin)
        || (ctx->view.flags & S3C_RECORD_INLINE))
    {
        return 0;
    }

    block = ctx->pos / ctx->conf->block_size;
    key = s3c_key_block(ctx->zone->secret, ctx->object, ctx->view.generation,
                        block, (uint32_t) ctx->conf->block_size);

    ngx_memzero(&pin, sizeof(s3c_ram_pin_t));
    st = s3c_ram_peek(ctx->zone->ram, key, &pin);

    if (s3c_ram_pinned(&pin)) {
        s3c_ram_unpin(ctx->zone->ram, &pin);
    }

    if (st != S3C_MISS
        || ngx_http_s3_cache_flash_find(ctx, block, &src) != NGX_OK)
    {
        return 0;
    }

    ctx->tier = NGX_HTTP_S3_CACHE_TIER_FLASH;

    return 1;
}


/* --- the worker that leads ------------------------------------------------ */

void
ngx_http_s3_cache_warm_init_worker(ngx_cycle_t *cycle,
    ngx_http_s3_cache_main_conf_t *mcf)
{
    if (mcf->warm == NULL) {
        return;
    }

    warm_mcf = mcf;
    warm_conf = mcf->warm;
    ngx_queue_init(&warm_runs);

    warm_event.handler = warm_tick;
    warm_event.log = cycle->log;
    warm_event.cancelable = 1;
    ngx_add_timer(&warm_event, TICK_MSEC);
}


void
ngx_http_s3_cache_warm_exit_worker(void)
{
    if (warm_conf == NULL) {
        return;
    }

    if (warm_event.timer_set) {
        ngx_del_timer(&warm_event);
    }

    warm_leave();
}


static void
warm_tick(ngx_event_t *ev)
{
    if (ngx_exiting || ngx_terminate || ngx_quit) {
        warm_leave();
        return;
    }

    if (warm_lock == NGX_INVALID_FILE) {
        warm_lead();
    }

    if (warm_lock != NGX_INVALID_FILE) {
        warm_look();
    }

    ngx_add_timer(ev, TICK_MSEC);
}


/* A worker that does without a zone is no good for it. */

static ngx_uint_t
warm_usable(ngx_http_s3_cache_main_conf_t *mcf)
{
    ngx_uint_t                  i;
    ngx_http_s3_cache_zone_t  **zones;

    zones = mcf->zones.elts;

    for (i = 0; i < mcf->zones.nelts; i++) {
        if (zones[i]->ram == NULL || zones[i]->apart) {
            return 0;
        }
    }

    return 1;
}


static void
warm_lead(void)
{
    u_char    name[NGX_MAX_PATH];
    ngx_fd_t  fd;

    if (!warm_usable(warm_mcf)) {
        return;
    }

    ngx_snprintf(name, sizeof(name), "%V/lock%Z", &warm_conf->path->name);

    fd = open((char *) name, O_RDWR|O_CREAT|O_CLOEXEC|O_NOFOLLOW, 0600);

    if (fd == NGX_INVALID_FILE && ngx_errno == NGX_EACCES
        && ngx_delete_file(name) != NGX_FILE_ERROR)
    {
        /* of workers of another "user", when the folder was theirs */
        fd = open((char *) name, O_RDWR|O_CREAT|O_CLOEXEC|O_NOFOLLOW, 0600);
    }

    if (fd == NGX_INVALID_FILE) {
        static ngx_uint_t  said;

        if (!said++) {
            ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, ngx_errno,
                          "s3_cache_warmup: \"%s\" cannot be opened", name);
        }

        return;
    }

    if (flock(fd, LOCK_EX|LOCK_NB) == -1) {
        (void) ngx_close_file(fd);
        return;
    }

    warm_lock = fd;
    warm_nseen = 0;
    ngx_http_s3_cache_warm_tidy(warm_conf);
}


static void
warm_leave(void)
{
    warm_run_t   *run;
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&warm_runs)) {
        q = ngx_queue_head(&warm_runs);
        run = ngx_queue_data(q, warm_run_t, queue);

        ngx_queue_remove(q);
        ngx_http_s3_cache_warm_run_save(run);
        ngx_http_s3_cache_warm_run_free(run);
    }

    warm_nruns = 0;

    if (warm_lock != NGX_INVALID_FILE) {
        (void) ngx_close_file(warm_lock);
        warm_lock = NGX_INVALID_FILE;
    }
}


static void
warm_look(void)
{
    u_char           *id;
    ngx_uint_t        i;
    ngx_pool_t       *pool;
    warm_run_t       *run;
    ngx_queue_t      *q;
    ngx_array_t       ids;
    ngx_file_info_t   fi;

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return;
    }

    if (ngx_http_s3_cache_warm_ids(warm_conf, pool, &ids) == NGX_OK) {
        id = ids.elts;
        id += ids.nelts * S3C_WARM_ID_BYTES;

        /* the oldest first */

        for (i = 0; i < ids.nelts; i++) {
            id -= S3C_WARM_ID_BYTES;

            if (warm_nruns == NGX_HTTP_S3_CACHE_WARM_RUN_MAX) {
                break;
            }

            if (!warm_is_seen(id)) {
                warm_begin(id);
            }
        }
    }

    ngx_destroy_pool(pool);

    for (q = ngx_queue_head(&warm_runs);
         q != ngx_queue_sentinel(&warm_runs);
         /* void */)
    {
        run = ngx_queue_data(q, warm_run_t, queue);
        q = ngx_queue_next(q);

        if (!run->over
            && ngx_file_info(ngx_http_s3_cache_warm_file(warm_conf,
                                                         run->job.id, ".stop"),
                             &fi)
               != NGX_FILE_ERROR)
        {
            ngx_http_s3_cache_warm_run_end(run, S3C_WARM_STOPPED, NULL);
        }

        if (run->dirty && ngx_current_msec - run->saved_at >= SAVE_MSEC) {
            ngx_http_s3_cache_warm_run_save(run);
        }

        if (run->over && !run->dirty) {
            /* not before that is known: else it would go on without a list */
            (void) ngx_delete_file(ngx_http_s3_cache_warm_file(warm_conf,
                                                     run->job.id, ".stop"));
            (void) ngx_delete_file(ngx_http_s3_cache_warm_file(warm_conf,
                                                     run->job.id, ".list"));
            ngx_queue_remove(&run->queue);
            ngx_http_s3_cache_warm_run_free(run);
            warm_nruns--;
            continue;
        }

        ngx_http_s3_cache_warm_run_kick(run);
    }
}


static ngx_uint_t
warm_is_seen(const u_char *id)
{
    ngx_uint_t    i, n;
    warm_run_t   *run;
    ngx_queue_t  *q;

    for (q = ngx_queue_head(&warm_runs);
         q != ngx_queue_sentinel(&warm_runs);
         q = ngx_queue_next(q))
    {
        run = ngx_queue_data(q, warm_run_t, queue);

        if (ngx_memcmp(run->job.id, id, S3C_WARM_ID_BYTES) == 0) {
            return 1;
        }
    }

    n = ngx_min(warm_nseen, sizeof(warm_seen) / sizeof(warm_seen[0]));

    for (i = 0; i < n; i++) {
        if (ngx_memcmp(warm_seen[i], id, S3C_WARM_ID_BYTES) == 0) {
            return 1;
        }
    }

    return 0;
}


static void
warm_begin(const u_char *id)
{
    warm_run_t             *run;
    static s3c_warm_job_t   job;

    ngx_memcpy(warm_seen[warm_nseen++ % (sizeof(warm_seen)
                                         / sizeof(warm_seen[0]))],
               id, S3C_WARM_ID_BYTES);

    if (ngx_http_s3_cache_warm_load(warm_conf, id, &job, ngx_cycle->log)
        != NGX_OK
        || job.state != S3C_WARM_RUNNING)
    {
        return;
    }

    run = ngx_http_s3_cache_warm_run(warm_conf, warm_mcf, &job);

    if (run != NULL) {
        ngx_queue_insert_tail(&warm_runs, &run->queue);
        warm_nruns++;
    }
}
