/* SPDX-License-Identifier: Apache-2.0
 *
 * The two sides of a list that is kept: under what a reader finds it, and what
 * a write counts up and fences. What a page is made of is fill_list.c's.
 *
 * Why a page is never older than a write that has succeeded: its reader takes
 * the generations, begins the fill, looks for fences, and then asks the origin.
 * A write fences, counts up, and is then passed. So if the origin was asked
 * before it took the write, either the fence was seen, or the generations are
 * those of before: nobody who comes after the write looks under them.
 */

#include "ngx_http_s3_cache_list.h"
#include "ngx_http_s3_cache_auth.h"
#include "ngx_http_s3_cache_reload.h"

#include "s3/s3_list.h"
#include "serve/purge.h"


typedef enum {
    LIST_PAGE = 'L',               /* a directory's, and pages under it */
    LIST_ALL = 'A'                 /* of a bucket */
} list_name_e;


/* From one directory of a written name to the next, zone by zone. */
typedef struct {
    ngx_http_s3_cache_main_conf_t   *mcf;
    uint64_t                         origin;
    const ngx_http_s3_cache_name_t  *name;
    s3c_slice_t                      dirs[S3C_S3_LIST_DIRS];
    unsigned                         ndirs;
    unsigned                         dir;      /* the next */
    ngx_uint_t                       view;     /* the next */
    ngx_http_s3_cache_zone_t        *zone;
} list_walk_t;


static uint64_t list_name(ngx_http_s3_cache_zone_t *zone, uint64_t origin,
    s3c_slice_t bucket, s3c_slice_t dir, list_name_e what);
static s3c_slice_t list_dir(s3c_slice_t prefix);
static ngx_http_s3_cache_zone_t *list_zone(list_walk_t *walk);
static void list_walk(list_walk_t *walk, ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, const ngx_http_s3_cache_name_t *name);
static ngx_uint_t list_next(list_walk_t *walk, uint64_t *dir);
static ngx_uint_t list_lift(ngx_http_s3_cache_zone_t *zone, uint64_t dir,
    uint64_t tag, uint64_t until_ms, ngx_uint_t refused);
static uint64_t list_all(list_walk_t *walk);
static ngx_uint_t list_is_crowded(ngx_http_s3_cache_zone_t *zone);
static ngx_uint_t list_has(ngx_http_s3_cache_lists_t *lists, uint64_t name);
static void list_count_up(ngx_http_s3_cache_zone_t *zone, uint64_t name);


/* Apart from the names of keys and of buckets. 0: too long for any. */

static uint64_t
list_name(ngx_http_s3_cache_zone_t *zone, uint64_t origin, s3c_slice_t bucket,
    s3c_slice_t dir, list_name_e what)
{
    uint64_t     in[2];
    s3c_ident_t  ident;

    in[0] = origin;
    in[1] = what;

    if (s3c_ident_make(&ident, s3c_hash64(in, sizeof(in)), bucket, dir,
                       S3C_SLICE_NONE)
        != S3C_OK)
    {
        return 0;
    }

    return s3c_key_object(zone->secret, &ident).lo;
}


/* --- readers --------------------------------------------------------------- */

static s3c_slice_t
list_dir(s3c_slice_t prefix)
{
    unsigned     n;
    s3c_slice_t  dirs[S3C_S3_LIST_DIRS];

    n = s3c_s3_list_dirs(prefix, dirs);

    return dirs[n - 1];
}


/*
 * A reload can begin to keep lists, cease, and begin again. What was kept before
 * is of another epoch; and a worker of an older configuration, whose neighbours
 * may not fence for it, keeps none. The epoch is read first: if the configuration
 * changes after that, what is kept under it is lost.
 */

ngx_uint_t
ngx_http_s3_cache_list_wants(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_target_t *target)
{
    uint64_t                   in[9], all, dir, hash;
    s3c_slice_t                bucket;
    s3c_fence_sh_t            *f;
    ngx_http_s3_cache_name_t   name;
    ngx_http_s3_cache_zone_t  *zone;

    zone = ctx->zone;

    if (!target->op.is_list || ctx->conf->list == 0 || zone->ram == NULL
        || ctx->conf->auth == NGX_HTTP_S3_CACHE_AUTH_ORIGIN
        || zone->apart || zone->shared->fence == NULL)
    {
        return 0;
    }

    f = zone->shared->fence;
    bucket = target->addr.bucket;

    all = list_name(zone, ctx->conf->origin->id, bucket, S3C_SLICE_NONE,
                    LIST_ALL);
    dir = list_name(zone, ctx->conf->origin->id, bucket,
                    list_dir(target->op.prefix), LIST_PAGE);

    if (all == 0 || dir == 0) {
        return 0;
    }

    ctx->due = (s3c_fence_dues(f) != 0
                && ngx_http_s3_cache_list_fenced(ctx, target));

    in[1] = s3c_fence_epoch(f);

    if (!ngx_http_s3_cache_fence_is_current(ngx_http_s3_cache_main_conf(ctx),
                                            zone))
    {
        return 0;
    }

    ngx_memzero(&name, sizeof(ngx_http_s3_cache_name_t));
    name.bucket = bucket;
    hash = ngx_http_s3_cache_fence_name(zone, ctx->conf->origin->id, &name);

    /* first: purge.h */
    in[7] = s3c_purge_number_below(f, hash, target->op.prefix);
    in[8] = s3c_purge_origin_generation(f, ctx->conf->origin->id);

    in[0] = ctx->conf->identity;
    in[2] = LIST_PAGE;
    in[3] = s3c_fence_bucket_generation(f, hash);
    in[4] = s3c_fence_lists_generation(f, all);
    in[5] = s3c_fence_lists_generation(f, dir);
    in[6] = ngx_http_s3_cache_reload_generation(zone, ctx->conf->identity,
                                                ctx->conf->origin->id, bucket);

    ctx->identity = s3c_hash64(in, sizeof(in));

    return 1;
}


ngx_uint_t
ngx_http_s3_cache_list_fenced(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_target_t *target)
{
    uint64_t                   origin;
    s3c_slice_t                bucket;
    s3c_fence_sh_t            *f;
    ngx_http_s3_cache_name_t   name;
    ngx_http_s3_cache_zone_t  *zone;

    zone = ctx->zone;
    f = zone->shared->fence;

    origin = ctx->conf->origin->id;
    bucket = target->addr.bucket;

    if (ngx_http_s3_cache_reload_holds(origin, bucket)) {
        return 1;
    }

    if (s3c_fence_held(f) == 0) {
        return 0;
    }

    ngx_memzero(&name, sizeof(ngx_http_s3_cache_name_t));
    name.bucket = bucket;

    if (s3c_fence_strangers(f) == 0
        && !s3c_fence_holds(f, ngx_http_s3_cache_fence_name(zone, origin,
                                                            &name))
        && !s3c_fence_holds(f, list_name(zone, origin, bucket, S3C_SLICE_NONE,
                                         LIST_ALL))
        && !s3c_fence_holds(f, list_name(zone, origin, bucket,
                                         list_dir(target->op.prefix),
                                         LIST_PAGE)))
    {
        return 0;
    }

    s3c_stats_add(&zone->stats, S3C_STAT_WRITE_FENCED, 1);

    return 1;
}


/* --- writers --------------------------------------------------------------- */

/* The next zone that keeps lists of this origin. */

static ngx_http_s3_cache_zone_t *
list_zone(list_walk_t *walk)
{
    ngx_uint_t                        i, k;
    ngx_http_s3_cache_origin_view_t  *view;

    view = walk->mcf->views.elts;

    while (walk->view < walk->mcf->views.nelts) {
        i = walk->view++;

        if (walk->name->zone != NULL && walk->name->zone != view[i].zone) {
            continue;
        }

        for (k = 0; k <= i; k++) {
            if (view[k].lists && view[k].zone == view[i].zone
                && view[k].origin == walk->origin)
            {
                break;
            }
        }

        if (k == i) {
            return view[i].zone;
        }
    }

    return NULL;
}


static void
list_walk(list_walk_t *walk, ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, const ngx_http_s3_cache_name_t *name)
{
    walk->mcf = mcf;
    walk->origin = origin;
    walk->name = name;
    walk->view = 0;
    walk->ndirs = 0;
    walk->dir = 0;

    /* a purge of more than a key has a number of its own: list_wants() */
    walk->zone = (name->key.len > 0 && !name->prefix) ? list_zone(walk)
                                                      : NULL;

    if (walk->zone != NULL) {
        walk->ndirs = s3c_s3_list_dirs(name->key, walk->dirs);
    }
}


static ngx_uint_t
list_next(list_walk_t *walk, uint64_t *dir)
{
    while (walk->zone != NULL) {

        if (walk->dir == walk->ndirs) {
            walk->dir = 0;
            walk->zone = list_zone(walk);
            continue;
        }

        *dir = list_name(walk->zone, walk->origin, walk->name->bucket,
                         walk->dirs[walk->dir++], LIST_PAGE);

        if (*dir != 0) {
            return 1;
        }
    }

    return 0;
}


static uint64_t
list_all(list_walk_t *walk)
{
    return list_name(walk->zone, walk->origin, walk->name->bucket,
                     S3C_SLICE_NONE, LIST_ALL);
}


/* DeleteObjects of a thousand keys, each in a path of its own, would take nine
 * thousand places: keys must not run out of them. */

static ngx_uint_t
list_is_crowded(ngx_http_s3_cache_zone_t *zone)
{
    return s3c_fence_held(zone->shared->fence) > S3C_FENCE_PLACES / 2;
}


static ngx_uint_t
list_has(ngx_http_s3_cache_lists_t *lists, uint64_t name)
{
    ngx_uint_t  i;

    for (i = 0; i < lists->n; i++) {
        if (lists->names[i] == name) {
            return 1;
        }
    }

    return 0;
}


static void
list_count_up(ngx_http_s3_cache_zone_t *zone, uint64_t name)
{
    s3c_fence_lists_drop(zone->shared->fence, name);
    s3c_stats_add(&zone->stats, S3C_STAT_LIST_DROPS, 1);
}


/* What is held since before need not be counted up again: under a fence nothing
 * is kept. */

ngx_int_t
ngx_http_s3_cache_list_hold(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, const ngx_http_s3_cache_name_t *name,
    ngx_http_s3_cache_lists_t *lists, ngx_array_t *holds)
{
    uint64_t     dir;
    ngx_int_t    rc;
    list_walk_t  walk;

    list_walk(&walk, mcf, origin, name);

    while (list_next(&walk, &dir)) {

        if (list_has(lists, dir)) {
            continue;
        }

        if (lists->n >= NGX_HTTP_S3_CACHE_LIST_DIRS
            || list_is_crowded(walk.zone))
        {
            dir = list_all(&walk);

            if (list_has(lists, dir)) {
                continue;
            }
        }

        rc = ngx_http_s3_cache_fence_take(walk.zone, dir,
                                          name->later ? S3C_FENCE_DUE_LIST
                                                      : S3C_FENCE_DUE_NONE,
                                          holds);
        if (rc != NGX_OK) {
            return rc;
        }

        if (!name->later) {
            list_count_up(walk.zone, dir);
        }

        if (lists->n < NGX_HTTP_S3_CACHE_LIST_HELD) {
            lists->names[lists->n++] = dir;
        }
    }

    return NGX_OK;
}


/* The keys of one write have one tag: what EXISTS is held by one of them. */

ngx_int_t
ngx_http_s3_cache_list_keep(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, const ngx_http_s3_cache_name_t *name, uint64_t tag,
    uint64_t until_ms)
{
    uint64_t      dir;
    list_walk_t   walk;
    s3c_status_t  st;

    list_walk(&walk, mcf, origin, name);

    while (list_next(&walk, &dir)) {

        if (list_is_crowded(walk.zone)) {
            dir = list_all(&walk);
        }

        st = s3c_fence_keep(walk.zone->shared->fence, dir, tag,
                            S3C_FENCE_DUE_LIST, until_ms);

        if (st == S3C_OK && !name->later) {
            list_count_up(walk.zone, dir);
            s3c_fence_settle(walk.zone->shared->fence, dir, tag);

        } else if (st != S3C_OK && st != S3C_EXISTS) {
            s3c_stats_add(&walk.zone->stats, S3C_STAT_WRITE_BUSY, 1);
            return NGX_BUSY;
        }
    }

    return NGX_OK;
}


/* Of what was held by the whole of the bucket, nothing was kept. Of what was
 * not held (or was lifted for another key of the write) there may be. */

void
ngx_http_s3_cache_list_lift(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, const ngx_http_s3_cache_name_t *name, uint64_t tag,
    uint64_t until_ms, ngx_uint_t refused)
{
    uint64_t                   dir;
    ngx_uint_t                 all;
    list_walk_t                walk;
    ngx_http_s3_cache_zone_t  *zone;

    list_walk(&walk, mcf, origin, name);
    zone = NULL;
    all = 0;

    while (list_next(&walk, &dir)) {

        if (walk.zone != zone) {
            zone = walk.zone;
            all = list_lift(zone, list_all(&walk), tag, until_ms, refused);
        }

        if (!list_lift(zone, dir, tag, until_ms, refused) && !all && !refused) {
            list_count_up(zone, dir);
        }
    }
}


/* Was it held? */

static ngx_uint_t
list_lift(ngx_http_s3_cache_zone_t *zone, uint64_t dir, uint64_t tag,
    uint64_t until_ms, ngx_uint_t refused)
{
    s3c_fence_sh_t  *f;

    f = zone->shared->fence;

    if (!refused && s3c_fence_ask(f, dir, tag) == S3C_AGAIN) {
        list_count_up(zone, dir);
    }

    return s3c_fence_lift(f, dir, tag, until_ms) == S3C_OK;
}


void
ngx_http_s3_cache_list_drop(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, const ngx_http_s3_cache_name_t *name)
{
    uint64_t     dir;
    list_walk_t  walk;

    list_walk(&walk, mcf, origin, name);

    while (list_next(&walk, &dir)) {
        list_count_up(walk.zone, dir);
    }
}
