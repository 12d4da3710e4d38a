/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that the master makes once, before its first workers, and that all
 * workers of all its configurations have. Only atomics, so nothing has to be
 * healed.
 *
 * Why the end of a write is early enough: new workers begin after the number of
 * their configuration is here. If it is not when a write has its answer, what
 * they will ever ask the origin for is of after the write. If it is, all that
 * they asked for before is under a generation that is not looked for any more
 * when the client sees that answer.
 */

#include "ngx_http_s3_cache_reload.h"
#include "ngx_http_s3_cache_fence.h"
#include "ngx_http_s3_cache_peers.h"

#include <sys/mman.h>


#define RELOAD_PLACE(view)                                                    \
    (((view) >> 1) & (NGX_HTTP_S3_CACHE_RELOAD_VIEWS - 1))


typedef struct {
    _Atomic uint64_t  config;                  /* in force */
    _Atomic uint32_t  rings;                   /* of that */
    _Atomic uint32_t  moved;                   /* any of the generations */
    _Atomic uint64_t  strays;
    _Atomic uint64_t  held_until;              /* the last of `until` */
    _Atomic uint64_t  until[NGX_HTTP_S3_CACHE_RELOAD_BUCKETS];
    /* of buckets, then of views */
    _Atomic uint64_t  generations[NGX_HTTP_S3_CACHE_RELOAD_PLACES];
} reload_sh_t;


static uint64_t reload_peers(ngx_http_s3_cache_peers_t *peers);
static uint64_t reload_config(ngx_http_s3_cache_main_conf_t *mcf);
static uint64_t reload_view(ngx_http_s3_cache_zone_t *zone,
    uint64_t identity);
static void reload_views(ngx_http_s3_cache_main_conf_t *mcf);
static void reload_count_up(ngx_uint_t place);


static reload_sh_t  *reload_sh;

/* of the master, and as of their start of the workers */
static uint64_t      reload_mine;
static uint32_t      reload_rings;

/* of the master: which views there were, by place: sums of them */
static uint64_t      reload_there[NGX_HTTP_S3_CACHE_RELOAD_VIEWS];
static u_char        reload_ever[NGX_HTTP_S3_CACHE_RELOAD_VIEWS];


ngx_int_t
ngx_http_s3_cache_reload_init_module(ngx_cycle_t *cycle)
{
    void                           *p;
    ngx_http_s3_cache_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_s3_cache_module);

    if (mcf == NULL || ngx_test_config) {
        return NGX_OK;
    }

    if (reload_sh == NULL) {
        p = mmap(NULL, sizeof(reload_sh_t), PROT_READ|PROT_WRITE,
                 MAP_ANON|MAP_SHARED, -1, 0);

        if (p == MAP_FAILED) {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                          "mmap() for reloads of s3_cache failed");
            return NGX_ERROR;
        }

        reload_sh = p;
    }

    reload_views(mcf);

    reload_mine = reload_config(mcf);
    reload_rings = (uint32_t) mcf->peers.nelts;

    atomic_store(&reload_sh->rings, reload_rings);
    atomic_store(&reload_sh->config, reload_mine);

    return NGX_OK;
}


/* Who would have to be told. */

static uint64_t
reload_peers(ngx_http_s3_cache_peers_t *peers)
{
    uint64_t                   in[3];
    ngx_uint_t                 i;
    ngx_http_s3_cache_node_t  *nodes;

    nodes = peers->nodes.elts;
    in[0] = 1 + peers->self;

    for (i = 0; i < peers->nodes.nelts; i++) {
        in[1] = s3c_hash64(nodes[i].name.data, nodes[i].name.len);
        in[2] = s3c_hash64(nodes[i].url.url.data, nodes[i].url.url.len);
        in[0] = s3c_hash64(in, sizeof(in));
    }

    in[1] = (peers->redis != NULL);

    return s3c_hash64(in, 2 * sizeof(uint64_t));
}


/* What a write has to reach. */

static uint64_t
reload_config(ngx_http_s3_cache_main_conf_t *mcf)
{
    uint64_t                    in[5];
    ngx_uint_t                  i;
    ngx_http_s3_cache_zone_t  **zones;

    zones = mcf->zones.elts;
    in[0] = 1;

    for (i = 0; i < mcf->zones.nelts; i++) {

        if (zones[i]->shared == NULL || zones[i]->shared->fence == NULL) {
            continue;
        }

        in[1] = s3c_hash64(zones[i]->name.data, zones[i]->name.len);
        in[2] = zones[i]->shared->number;
        in[3] = s3c_fence_config(zones[i]->shared->fence);
        in[4] = zones[i]->peers ? reload_peers(zones[i]->peers) : 0;
        in[0] = s3c_hash64(in, sizeof(in));
    }

    return in[0];
}


static uint64_t
reload_view(ngx_http_s3_cache_zone_t *zone, uint64_t identity)
{
    uint64_t  in[2];

    in[0] = s3c_hash64(zone->name.data, zone->name.len);
    in[1] = identity;

    return s3c_hash64(in, sizeof(in)) | 1;
}


/* What a zone kept of a view that was not configured for a while may have been
 * written since; and until its workers have ended they keep more. So both when
 * one goes and when it comes back. Those that share a place are dropped
 * together. */

static void
reload_views(ngx_http_s3_cache_main_conf_t *mcf)
{
    uint64_t                          name;
    uint64_t                          here[NGX_HTTP_S3_CACHE_RELOAD_VIEWS];
    ngx_uint_t                        i;
    ngx_http_s3_cache_origin_view_t  *view;

    view = mcf->views.elts;
    ngx_memzero(here, sizeof(here));

    for (i = 0; i < mcf->views.nelts; i++) {
        name = reload_view(view[i].zone, view[i].identity);
        here[RELOAD_PLACE(name)] += name;
    }

    for (i = 0; i < NGX_HTTP_S3_CACHE_RELOAD_VIEWS; i++) {

        if (reload_there[i] != here[i] && reload_ever[i]) {
            reload_count_up(NGX_HTTP_S3_CACHE_RELOAD_BUCKETS + i);
        }

        reload_there[i] = here[i];
        reload_ever[i] |= (here[i] != 0);
    }
}


/* From a number that no earlier life has used: flash may have what was kept
 * under that. */

static void
reload_count_up(ngx_uint_t place)
{
    uint64_t  none;

    none = 0;
    (void) atomic_compare_exchange_strong(&reload_sh->generations[place],
                                          &none,
                                          ngx_http_s3_cache_fence_never_used());
    atomic_fetch_add(&reload_sh->generations[place], 1);
    atomic_store(&reload_sh->moved, 1);
}


ngx_uint_t
ngx_http_s3_cache_reload_bucket(uint64_t origin, s3c_slice_t bucket)
{
    uint64_t  in[2];

    in[0] = origin;
    in[1] = s3c_hash64(bucket.data, bucket.len);

    return s3c_hash64(in, sizeof(in)) & (NGX_HTTP_S3_CACHE_RELOAD_BUCKETS - 1);
}


void
ngx_http_s3_cache_reload_written(ngx_uint_t bucket, ngx_msec_t linger)
{
    uint64_t  until;

    if (reload_sh == NULL
        || atomic_load(&reload_sh->config) == reload_mine)
    {
        return;
    }

    if (linger > 0) {
        until = ngx_http_s3_cache_now_exact() + linger;
        atomic_store(&reload_sh->until[bucket], until);
        atomic_store(&reload_sh->held_until, until);
    }

    reload_count_up(bucket);
    atomic_fetch_add(&reload_sh->strays, 1);
}


ngx_uint_t
ngx_http_s3_cache_reload_joined(void)
{
    return reload_sh != NULL && reload_rings == 0
           && atomic_load(&reload_sh->rings) != 0;
}


ngx_uint_t
ngx_http_s3_cache_reload_holds(uint64_t origin, s3c_slice_t bucket)
{
    uint64_t    now;
    ngx_uint_t  n;

    now = ngx_http_s3_cache_now();

    if (reload_sh == NULL || now >= atomic_load(&reload_sh->held_until)) {
        return 0;
    }

    n = ngx_http_s3_cache_reload_bucket(origin, bucket);

    return now < atomic_load(&reload_sh->until[n]);
}


uint64_t
ngx_http_s3_cache_reload_generation(ngx_http_s3_cache_zone_t *zone,
    uint64_t identity, uint64_t origin, s3c_slice_t bucket)
{
    uint64_t    in[2];
    ngx_uint_t  n, v;

    if (reload_sh == NULL || atomic_load(&reload_sh->moved) == 0) {
        return 0;
    }

    n = ngx_http_s3_cache_reload_bucket(origin, bucket);
    v = RELOAD_PLACE(reload_view(zone, identity));

    v += NGX_HTTP_S3_CACHE_RELOAD_BUCKETS;

    in[0] = atomic_load(&reload_sh->generations[n]);
    in[1] = atomic_load(&reload_sh->generations[v]);

    return (in[0] | in[1]) ? s3c_hash64(in, sizeof(in)) | 1 : 0;
}


uint64_t
ngx_http_s3_cache_reload_strays(void)
{
    return reload_sh != NULL ? atomic_load(&reload_sh->strays) : 0;
}


ngx_uint_t
ngx_http_s3_cache_reload_is_marked(ngx_uint_t place)
{
    return reload_sh != NULL && atomic_load(&reload_sh->moved) != 0
           && atomic_load(&reload_sh->generations[place]) != 0;
}


void
ngx_http_s3_cache_reload_forget(ngx_uint_t place)
{
    if (reload_sh != NULL
        && atomic_load(&reload_sh->generations[place]) == 0)
    {
        reload_count_up(place);
    }
}
