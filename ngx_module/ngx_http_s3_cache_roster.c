/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory in which the keeper leaves the roster for the other workers. A
 * shared memory zone of nginx: it lives on over a reload, and its mutex is
 * freed by the master when a worker dies with it.
 */

#include "ngx_http_s3_cache_roster.h"


#define SHM_PREFIX  "s3_cache_peers:"


static ngx_int_t ngx_http_s3_cache_roster_init(ngx_shm_zone_t *shm_zone,
    void *data);
static void ngx_http_s3_cache_roster_name(ngx_http_s3_cache_roster_sh_t *sh);


static ngx_inline ngx_slab_pool_t *
ngx_http_s3_cache_roster_pool(ngx_http_s3_cache_peers_t *peers)
{
    return (ngx_slab_pool_t *) peers->shm_zone->shm.addr;
}


char *
ngx_http_s3_cache_roster_add(ngx_conf_t *cf, ngx_http_s3_cache_peers_t *peers)
{
    size_t     size;
    u_char    *p;
    ngx_str_t  name;

    name.len = sizeof(SHM_PREFIX) - 1 + peers->name.len;

    name.data = ngx_pnalloc(cf->pool, name.len);
    if (name.data == NULL) {
        return NGX_CONF_ERROR;
    }

    p = ngx_cpymem(name.data, SHM_PREFIX, sizeof(SHM_PREFIX) - 1);
    ngx_memcpy(p, peers->name.data, peers->name.len);

    /* and what the slab pool needs for itself */

    size = ngx_align(sizeof(ngx_http_s3_cache_roster_sh_t), ngx_pagesize)
           + 16 * ngx_pagesize;

    peers->shm_zone = ngx_shared_memory_add(cf, &name, size,
                                            &ngx_http_s3_cache_module);
    if (peers->shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    peers->shm_zone->init = ngx_http_s3_cache_roster_init;
    peers->shm_zone->data = peers;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_s3_cache_roster_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_slab_pool_t            *pool;
    ngx_http_s3_cache_peers_t  *peers, *old;

    old = data;
    peers = shm_zone->data;
    pool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (old != NULL || shm_zone->shm.exists) {
        peers->shared = pool->data;
        return NGX_OK;
    }

    peers->shared = ngx_slab_calloc(pool,
                                    sizeof(ngx_http_s3_cache_roster_sh_t));
    if (peers->shared == NULL) {
        return NGX_ERROR;
    }

    if (s3c_vouch_format(&peers->shared->vouch) != S3C_OK) {
        return NGX_ERROR;
    }

    peers->shared->born = ngx_current_msec;
    ngx_http_s3_cache_roster_name(peers->shared);

    pool->data = peers->shared;

    return NGX_OK;
}


/* Milliseconds and chance, in hexadecimal. */

static void
ngx_http_s3_cache_roster_name(ngx_http_s3_cache_roster_sh_t *sh)
{
    u_char        *p, text[S3C_MEMBER_ID_MAX + 1];
    ngx_time_t    *tp;
    ngx_uint_t     i;

    tp = ngx_timeofday();

    p = ngx_sprintf(text, "%016xL", (uint64_t) tp->sec * 1000 + tp->msec);

    for (i = 0; i < 2; i++) {
        p = ngx_sprintf(p, "%08xD", (uint32_t) ngx_random());
    }

    ngx_memcpy(sh->id, text, S3C_MEMBER_ID_MAX);
}


ngx_int_t
ngx_http_s3_cache_roster_publish(ngx_http_s3_cache_peers_t *peers,
    uint64_t epoch, s3c_slice_t text)
{
    ngx_slab_pool_t                  *pool;
    ngx_http_s3_cache_roster_sh_t    *sh;
    ngx_http_s3_cache_roster_text_t  *now, *next;

    if (text.len > NGX_HTTP_S3_CACHE_ROSTER_BYTES) {
        return NGX_ERROR;
    }

    sh = peers->shared;
    pool = ngx_http_s3_cache_roster_pool(peers);

    ngx_shmtx_lock(&pool->mutex);

    /* a worker that dies here leaves the text in use as it is */

    now = &sh->texts[sh->version & 1];
    next = &sh->texts[(sh->version + 1) & 1];

    if (sh->version == 0 || now->epoch != epoch || now->len != text.len
        || ngx_memcmp(now->text, text.data, text.len) != 0)
    {
        if (text.len > 0) {
            ngx_memcpy(next->text, text.data, text.len);
        }

        next->len = text.len;
        next->epoch = epoch;

        sh->epoch = epoch;
        sh->published = ngx_current_msec;
        sh->version++;
    }

    ngx_shmtx_unlock(&pool->mutex);

    return NGX_OK;
}


size_t
ngx_http_s3_cache_roster_read(ngx_http_s3_cache_peers_t *peers, u_char *buf,
    ngx_atomic_uint_t *version, uint64_t *epoch)
{
    size_t                            len;
    ngx_slab_pool_t                  *pool;
    ngx_http_s3_cache_roster_sh_t    *sh;
    ngx_http_s3_cache_roster_text_t  *now;

    sh = peers->shared;
    pool = ngx_http_s3_cache_roster_pool(peers);

    ngx_shmtx_lock(&pool->mutex);

    now = &sh->texts[sh->version & 1];
    len = now->len;
    *version = sh->version;
    *epoch = now->epoch;
    ngx_memcpy(buf, now->text, len);

    ngx_shmtx_unlock(&pool->mutex);

    return len;
}


ngx_uint_t
ngx_http_s3_cache_roster_fresh(ngx_http_s3_cache_peers_t *peers)
{
    return ngx_current_msec - peers->shared->born < peers->handover;
}


s3c_member_state_t
ngx_http_s3_cache_roster_state(ngx_http_s3_cache_peers_t *peers)
{
    uint32_t                   i;
    s3c_ssd_usage_t            usage;
    ngx_http_s3_cache_zone_t  *zone;

    if (peers->shared->draining) {
        return S3C_MEMBER_LEAVING;
    }

    zone = peers->zone;

    if (zone->ram == NULL) {
        return S3C_MEMBER_JOINING;
    }

    if (zone->ssd == NULL) {
        return S3C_MEMBER_READY;
    }

    /* what is on flash would be asked of the origin once more */

    for (i = 0; i < s3c_ssd_n_stores(zone->ssd); i++) {
        s3c_ssd_usage(zone->ssd, i, &usage);

        if (usage.state == S3C_SSD_WAITING
            || usage.state == S3C_SSD_RECOVERING)
        {
            return S3C_MEMBER_JOINING;
        }
    }

    return S3C_MEMBER_READY;
}
