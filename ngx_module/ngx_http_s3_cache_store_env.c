/* SPDX-License-Identifier: Apache-2.0
 *
 * What the flash tier needs of its process: the clock, the files' locks,
 * random bytes, histograms, and lines in the error log.
 */

#include "ngx_http_s3_cache_store.h"

#include <sys/file.h>

#include "base/digest.h"


static uint64_t ngx_http_s3_cache_env_usec(void *ctx);
static uint64_t ngx_http_s3_cache_env_wall_s(void *ctx);
static bool ngx_http_s3_cache_env_lock(void *ctx, uint32_t store);
static void ngx_http_s3_cache_env_random(void *ctx, void *out, size_t len);
static void ngx_http_s3_cache_env_observe(void *ctx,
    s3c_ssd_observed_t what, uint64_t usec);
static void ngx_http_s3_cache_env_log(void *ctx, s3c_ssd_log_t what,
    uint32_t store, uint64_t n, const char *word);


void
ngx_http_s3_cache_store_env(ngx_http_s3_cache_zone_t *zone,
    s3c_ssd_env_t *env)
{
    ngx_memzero(env, sizeof(s3c_ssd_env_t));

    ngx_memcpy(env->fds, zone->shared->fds, sizeof(env->fds));
    env->ctx = zone;
    env->scrub = (uint64_t) zone->scrub;
    env->usec = ngx_http_s3_cache_env_usec;
    env->wall_s = ngx_http_s3_cache_env_wall_s;
    env->lock = ngx_http_s3_cache_env_lock;
    env->random = ngx_http_s3_cache_env_random;
    env->observe = ngx_http_s3_cache_env_observe;
    env->log = ngx_http_s3_cache_env_log;
}


static uint64_t
ngx_http_s3_cache_env_usec(void *ctx)
{
    return ngx_http_s3_cache_usec();
}


static uint64_t
ngx_http_s3_cache_env_wall_s(void *ctx)
{
    return (uint64_t) ngx_time();
}


/* The lock belongs to the open file, which all processes of this generation
 * share: another generation, or another nginx, has opened it by itself. */

static bool
ngx_http_s3_cache_env_lock(void *ctx, uint32_t store)
{
    ngx_http_s3_cache_zone_t *zone = ctx;

    int  rc;

    if (zone->shared->fds[store] == -1) {
        /* nobody's: the others need not wait for it */
        return true;
    }

    do {
        rc = flock(zone->shared->fds[store], LOCK_EX|LOCK_NB);
    } while (rc == -1 && ngx_errno == NGX_EINTR);

    return rc == 0;
}


static void
ngx_http_s3_cache_env_random(void *ctx, void *out, size_t len)
{
    u_char  *p;

    if (s3c_random(out, len) == S3C_OK) {
        return;
    }

    /* it must only differ from what was there before */

    for (p = out; len > 0; len--) {
        *p++ = (u_char) (ngx_random() >> 8);
    }
}


static void
ngx_http_s3_cache_env_observe(void *ctx, s3c_ssd_observed_t what,
    uint64_t usec)
{
    ngx_http_s3_cache_zone_t *zone = ctx;

    s3c_stats_observe(&zone->stats,
                      what == S3C_SSD_READ_TIME ? S3C_HIST_FLASH_READ
                                                : S3C_HIST_FLASH_WRITE,
                      usec);
}


static void
ngx_http_s3_cache_env_log(void *ctx, s3c_ssd_log_t what, uint32_t store,
    uint64_t n, const char *word)
{
    ngx_http_s3_cache_zone_t *zone = ctx;

    ngx_log_t   *log;
    ngx_str_t   *path;
    ngx_uint_t   level;

    log = ngx_cycle->log;
    path = &((ngx_http_s3_cache_store_t **) zone->stores->elts)[store]->path;
    word = word ? word : "";

    switch (what) {

    case S3C_SSD_LOG_MOUNTED:
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "s3_cache_store \"%V\": mounted, %uL records", path, n);
        break;

    case S3C_SSD_LOG_FORMATTED:
        level = ngx_strcmp(word, "new") == 0 ? NGX_LOG_NOTICE : NGX_LOG_WARN;

        ngx_log_error(level, log, 0,
                      "s3_cache_store \"%V\": formatted: %s", path, word);
        break;

    case S3C_SSD_LOG_WAITING:
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "s3_cache_store \"%V\": waits for another process that "
                      "has it", path);
        break;

    case S3C_SSD_LOG_CORRUPT:
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "s3_cache_store \"%V\": a checksum failed, %uL in all",
                      path, n);
        break;

    case S3C_SSD_LOG_ERROR:
        ngx_log_error(NGX_LOG_ERR, log, (ngx_err_t) n,
                      "s3_cache_store \"%V\": %s failed", path, word);
        break;

    case S3C_SSD_LOG_FAILED:
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "s3_cache_store \"%V\": taken out of service", path);
        break;

    case S3C_SSD_LOG_BACK:
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "s3_cache_store \"%V\": in service again", path);
        break;
    }
}
