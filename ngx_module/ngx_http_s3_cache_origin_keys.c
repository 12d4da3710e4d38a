/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys in shared memory, and the one worker that keeps them fresh. A shared
 * memory zone of nginx: it lives on over a reload, and with it the keys.
 *
 * Who holds the keeper's lock is the keeper. All workers try it a few times a
 * second: when its owner dies, one of them gets it. A worker that leaves lets
 * go of it as soon as a newer configuration has the source, whose workers then
 * find keys that are still good, and ask nobody. All timers are cancelable: no
 * worker stays for this.
 */

#include "ngx_http_s3_cache_origin_keys.h"


#define SHM_NAME    "s3_cache_keys:"
#define LOOK_MSEC   250
#define EARLY_MSEC  30000               /* between questions because of refused
                                           keys */


static ngx_int_t keys_shm_init(ngx_shm_zone_t *shm_zone, void *data);
static void keys_look(ngx_event_t *ev);
static ngx_uint_t keys_elect(ngx_http_s3_cache_origin_keys_t *keys,
    ngx_log_t *log);
static ngx_uint_t keys_is_due(ngx_http_s3_cache_origin_keys_t *keys);
static void keys_plan(ngx_http_s3_cache_origin_keys_t *keys);
static void keys_stop(ngx_http_s3_cache_origin_keys_t *keys);
static s3c_status_t keys_lock(ngx_http_s3_cache_origin_keys_t *keys);
static s3c_status_t keys_copy(ngx_http_s3_cache_origin_keys_t *keys);
static uint32_t keys_chance(void);


ngx_int_t
ngx_http_s3_cache_origin_keys_add(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_keys_t *keys)
{
    size_t      size;
    uint64_t    in[6];
    ngx_str_t   name, *strs[6];
    ngx_uint_t  i;

    /* the same over a reload, if it asks the same of the same */

    strs[0] = &keys->name;
    strs[1] = &keys->url;
    strs[2] = &keys->path;
    strs[3] = &keys->query;
    strs[4] = &keys->token_file;
    strs[5] = &keys->session_name;

    for (i = 0; i < 6; i++) {
        in[i] = s3c_hash64(strs[i]->data, strs[i]->len);
    }

    name.data = ngx_pnalloc(cf->pool, sizeof(SHM_NAME) + 16);
    if (name.data == NULL) {
        return NGX_ERROR;
    }

    name.len = ngx_sprintf(name.data, SHM_NAME "%016xL",
                           s3c_hash64(in, sizeof(in)))
               - name.data;

    /* and what the slab pool needs for itself */

    size = ngx_align(sizeof(ngx_http_s3_cache_origin_keys_sh_t), ngx_pagesize)
           + 8 * ngx_pagesize;

    keys->shm_zone = ngx_shared_memory_add(cf, &name, size,
                                           &ngx_http_s3_cache_module);
    if (keys->shm_zone == NULL) {
        return NGX_ERROR;
    }

    keys->shm_zone->init = keys_shm_init;
    keys->shm_zone->data = keys;

    return NGX_OK;
}


static ngx_int_t
keys_shm_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_slab_pool_t                     *pool;
    ngx_http_s3_cache_origin_keys_t     *keys;
    ngx_http_s3_cache_origin_keys_sh_t  *sh;

    keys = shm_zone->data;
    pool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (data != NULL || shm_zone->shm.exists) {
        keys->sh = pool->data;
        return NGX_OK;
    }

    sh = ngx_slab_calloc(pool, sizeof(ngx_http_s3_cache_origin_keys_sh_t));
    if (sh == NULL) {
        return NGX_ERROR;
    }

    if (s3c_robust_lock_init(&sh->keeper) != S3C_OK
        || s3c_robust_lock_init(&sh->lock) != S3C_OK)
    {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "s3_cache_origin_credentials: no lock in shared memory");
        return NGX_ERROR;
    }

    pool->data = sh;
    keys->sh = sh;

    return NGX_OK;
}


ngx_int_t
ngx_http_s3_cache_origin_keys_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t                         i;
    ngx_http_s3_cache_origin_keys_t  **kp;
    ngx_http_s3_cache_main_conf_t     *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_s3_cache_module);

    if (mcf == NULL || mcf->keys == NULL) {
        return NGX_OK;
    }

    kp = mcf->keys->elts;

    for (i = 0; i < mcf->keys->nelts; i++) {
        ngx_http_s3_cache_origin_keys_file_warn(kp[i], cycle);

        if (ngx_test_config) {
            continue;
        }

        kp[i]->generation = atomic_fetch_add(&kp[i]->sh->generation, 1) + 1;

        if (kp[i]->read != NULL) {
            ngx_http_s3_cache_origin_keys_publish(kp[i], kp[i]->read);
            ngx_explicit_memzero(kp[i]->read, sizeof(s3c_origin_keys_t));
            kp[i]->read = NULL;
        }
    }

    return NGX_OK;
}


void
ngx_http_s3_cache_origin_keys_init_worker(ngx_cycle_t *cycle)
{
    ngx_uint_t                         i;
    ngx_http_s3_cache_origin_keys_t  **kp;
    ngx_http_s3_cache_main_conf_t     *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_s3_cache_module);

    if (mcf->keys == NULL) {
        return;
    }

    kp = mcf->keys->elts;

    for (i = 0; i < mcf->keys->nelts; i++) {

        if (kp[i]->origin == NULL
            && kp[i]->kind != NGX_HTTP_S3_CACHE_ORIGIN_KEYS_FILE)
        {
            /* no location with an origin inherits it */
            continue;
        }

        kp[i]->look.handler = keys_look;
        kp[i]->look.data = kp[i];
        kp[i]->look.log = cycle->log;
        kp[i]->look.cancelable = 1;

        ngx_add_timer(&kp[i]->look, 1);
    }
}


void
ngx_http_s3_cache_origin_keys_exit_worker(ngx_cycle_t *cycle)
{
    ngx_uint_t                         i;
    ngx_http_s3_cache_origin_keys_t  **kp;
    ngx_http_s3_cache_main_conf_t     *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_s3_cache_module);

    if (mcf->keys == NULL) {
        return;
    }

    kp = mcf->keys->elts;

    for (i = 0; i < mcf->keys->nelts; i++) {
        keys_stop(kp[i]);
    }
}


static void
keys_look(ngx_event_t *ev)
{
    ngx_http_s3_cache_origin_keys_t *keys = ev->data;

    if (ngx_exiting && atomic_load(&keys->sh->generation) != keys->generation)
    {
        /* newer workers have the source as well: one of them goes on */
        keys_stop(keys);
        return;
    }

    ngx_add_timer(ev, LOOK_MSEC);

    if (!keys->keeper && !keys_elect(keys, ev->log)) {
        return;
    }

    if (keys->kind == NGX_HTTP_S3_CACHE_ORIGIN_KEYS_FILE) {
        ngx_http_s3_cache_origin_keys_file_look(keys);
        return;
    }

    if (keys->fetch) {
        ngx_http_s3_cache_origin_keys_fetch_look(keys);

    } else if (keys_is_due(keys)) {
        ngx_http_s3_cache_origin_keys_fetch(keys);
    }
}


static ngx_uint_t
keys_elect(ngx_http_s3_cache_origin_keys_t *keys, ngx_log_t *log)
{
    s3c_status_t  st;

    st = s3c_robust_lock_try(&keys->sh->keeper);

    if (st == S3C_CORRUPT) {
        s3c_robust_lock_mended(&keys->sh->keeper);

        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "s3_cache_origin_credentials \"%V\": the worker that "
                      "kept them died, this one goes on", &keys->name);

    } else if (st != S3C_OK) {
        return 0;
    }

    keys->keeper = 1;
    keys->early = ngx_current_msec - EARLY_MSEC;
    keys_plan(keys);

    return 1;
}


static ngx_uint_t
keys_is_due(ngx_http_s3_cache_origin_keys_t *keys)
{
    uint64_t  refused;

    if ((ngx_msec_int_t) (ngx_current_msec - keys->next) >= 0) {
        return 1;
    }

    if (keys->nfailed == 0 && keys->now.expires <= ngx_time()) {
        /* the clock was set, or the machine slept */
        return 1;
    }

    refused = atomic_load(&keys->sh->refused);

    if (refused == 0
        || refused != atomic_load(&keys->sh->version)
        || ngx_current_msec - keys->early < EARLY_MSEC)
    {
        return 0;
    }

    keys->early = ngx_current_msec;

    return 1;
}


/* When to ask, as what is in force says. */

static void
keys_plan(ngx_http_s3_cache_origin_keys_t *keys)
{
    uint64_t  msec;

    if (keys_copy(keys) != S3C_OK || keys->now.expires <= ngx_time()) {
        keys->next = ngx_current_msec;
        return;
    }

    msec = s3c_origin_keys_refresh_ms(ngx_time(), keys->now.expires,
                                      keys_chance());

    keys->next = ngx_current_msec + (ngx_msec_t) msec;
}


static uint32_t
keys_chance(void)
{
    return (uint32_t) ngx_random() << 1;      /* it has 31 bits */
}


static void
keys_stop(ngx_http_s3_cache_origin_keys_t *keys)
{
    if (keys->look.timer_set) {
        ngx_del_timer(&keys->look);
    }

    ngx_http_s3_cache_origin_keys_fetch_stop(keys);

    if (keys->keeper) {
        keys->keeper = 0;
        s3c_robust_lock_drop(&keys->sh->keeper);
    }
}


static s3c_status_t
keys_lock(ngx_http_s3_cache_origin_keys_t *keys)
{
    s3c_status_t  st;

    st = s3c_robust_lock_take(&keys->sh->lock);

    if (st == S3C_CORRUPT) {
        /* the half in use was not written to: nothing to mend */
        s3c_robust_lock_mended(&keys->sh->lock);
        return S3C_OK;
    }

    return st;
}


/* Makes this worker's copy that of the version in force. MISS: there is none
 * yet. */

static s3c_status_t
keys_copy(ngx_http_s3_cache_origin_keys_t *keys)
{
    uint64_t                             version;
    s3c_status_t                         st;
    ngx_http_s3_cache_origin_keys_sh_t  *sh;

    sh = keys->sh;

    if (atomic_load(&sh->version) == keys->version) {
        return keys->version ? S3C_OK : S3C_MISS;
    }

    st = keys_lock(keys);

    if (st != S3C_OK) {
        return st;
    }

    version = atomic_load(&sh->version);
    keys->now = sh->half[version & 1];
    keys->version = version;

    s3c_robust_lock_drop(&sh->lock);

    return S3C_OK;
}


const s3c_origin_keys_t *
ngx_http_s3_cache_origin_keys_get(ngx_http_s3_cache_origin_keys_t *keys,
    const char **why)
{
    if (keys_copy(keys) != S3C_OK) {
        *why = "there are none yet";
        return NULL;
    }

    if (keys->now.expires != 0 && keys->now.expires <= ngx_time()) {
        *why = "they have expired";
        return NULL;
    }

    return &keys->now;
}


ngx_uint_t
ngx_http_s3_cache_origin_keys_awaited(ngx_http_s3_cache_origin_keys_t *keys)
{
    return atomic_load(&keys->sh->version) == 0
           && atomic_load(&keys->sh->failed) == 0;
}


void
ngx_http_s3_cache_origin_keys_refused(ngx_http_s3_cache_origin_keys_t *keys)
{
    /* a newer version is not meant: the next question is signed by it */

    if (keys != NULL && keys->version != 0) {
        atomic_store(&keys->sh->refused, keys->version);
    }
}


void
ngx_http_s3_cache_origin_keys_publish(ngx_http_s3_cache_origin_keys_t *keys,
    const s3c_origin_keys_t *now)
{
    uint64_t                             version;
    ngx_http_s3_cache_origin_keys_sh_t  *sh;

    sh = keys->sh;

    if (keys_lock(keys) != S3C_OK) {
        ngx_http_s3_cache_origin_keys_failed(keys,
                                             "the lock is not to be had", 0,
                                             0);
        return;
    }

    version = atomic_load(&sh->version);

    if (version == 0 || !s3c_origin_keys_eq(&sh->half[version & 1], now)) {
        sh->half[(version + 1) & 1] = *now;
        atomic_store(&sh->version, version + 1);

        /* nobody reads it: whoever copies holds the lock */
        ngx_explicit_memzero(&sh->half[version & 1],
                             sizeof(s3c_origin_keys_t));
    }

    s3c_robust_lock_drop(&sh->lock);

    keys->nfailed = 0;
    atomic_store(&sh->refused, 0);
    atomic_fetch_add(&sh->refreshed, 1);

    if (keys->keeper) {
        keys_plan(keys);
    }
}


void
ngx_http_s3_cache_origin_keys_failed(ngx_http_s3_cache_origin_keys_t *keys,
    const char *why, ngx_err_t err, ngx_uint_t status)
{
    uint64_t    msec;
    ngx_uint_t  usable;

    atomic_fetch_add(&keys->sh->failed, 1);
    keys->nfailed++;

    msec = s3c_origin_keys_retry_ms((unsigned) keys->nfailed, keys_chance());
    keys->next = ngx_current_msec + (ngx_msec_t) msec;

    usable = keys_copy(keys) == S3C_OK
             && (keys->now.expires == 0 || keys->now.expires > ngx_time());

    if (status) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, err,
                      "s3_cache_origin_credentials \"%V\": %s, status %ui; %s",
                      &keys->name, why, status,
                      usable ? "the former ones stay" : "there are none");
        return;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, err,
                  "s3_cache_origin_credentials \"%V\": %s; %s",
                  &keys->name, why,
                  usable ? "the former ones stay" : "there are none");
}
