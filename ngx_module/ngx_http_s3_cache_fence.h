/* SPDX-License-Identifier: Apache-2.0
 *
 * The fence around a write: what it names is held back from all tiers of this
 * node from before the origin may hear of the write until after its answer.
 * See src/serve/fence.h for the rule, docs/adr/0018 for why it is enough. How
 * other nodes learn of it is tell.h's.
 */

#ifndef NGX_HTTP_S3_CACHE_FENCE_H
#define NGX_HTTP_S3_CACHE_FENCE_H


#include "ngx_http_s3_cache_module.h"


/* an outcome that nobody knows may still come true: for so long */
#define NGX_HTTP_S3_CACHE_FENCE_LINGER  60000


/* What is written: an object, or with an empty key a whole bucket. Zeroed: what
 * a purge may name beside that is below. */
typedef struct {
    s3c_slice_t                    bucket;
    s3c_slice_t                    key;
    s3c_slice_t                    version;    /* "": none is named */

    ngx_http_s3_cache_zone_t      *zone;       /* NULL: in all */
    unsigned                       prefix:1;   /* all keys that begin so */
    unsigned                       all:1;      /* of the origin: no bucket */
    unsigned                       whole:1;    /* with versions and blocks */
    unsigned                       refresh:1;  /* its owner shall read it anew */
    unsigned                       later:1;    /* the origin may refuse: nothing
                                                  is dropped before it is over */
} ngx_http_s3_cache_name_t;


/* A zone, an origin, and who asks it: under this, objects are kept. */
typedef struct {
    ngx_http_s3_cache_zone_t      *zone;
    uint64_t                       origin;
    uint64_t                       identity;
    ngx_uint_t                     lists;      /* are kept, too: see list.h */
} ngx_http_s3_cache_origin_view_t;


/* An object's name, as this zone fences it; 0: it is never kept. */
uint64_t ngx_http_s3_cache_fence_hash(ngx_http_s3_cache_zone_t *zone,
    uint64_t origin, s3c_slice_t bucket, s3c_slice_t key);
/* Other nodes' words that they have it do not count (cluster/holder.h). */
void ngx_http_s3_cache_fence_doubt(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, const ngx_http_s3_cache_name_t *name);

/* One place in one zone. */
typedef struct {
    ngx_http_s3_cache_zone_t      *zone;
    s3c_fence_id_t                 id;
} ngx_http_s3_cache_fence_hold_t;


/* Configuration: one more way by which objects of an origin are cached. */
ngx_int_t ngx_http_s3_cache_fence_add_view(ngx_conf_t *cf,
    ngx_http_s3_cache_loc_conf_t *lcf);

/* The configuration is in force from here on. */
void ngx_http_s3_cache_fence_init_module(ngx_cycle_t *cycle);
/* Is this worker's still the one in force, for what is kept of this origin?
 * NGX_DECLINED: others keep it by names that it does not know; NGX_BUSY: in
 * memory that it does not reach. */
ngx_int_t ngx_http_s3_cache_fence_config(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin);

/* The same for all that is kept in this zone. */
ngx_uint_t ngx_http_s3_cache_fence_is_current(
    ngx_http_s3_cache_main_conf_t *mcf, ngx_http_s3_cache_zone_t *zone);

/* The next zone that keeps objects of this origin, from view *i on; NULL: no
 * more. */
ngx_http_s3_cache_zone_t *ngx_http_s3_cache_fence_zone(
    ngx_http_s3_cache_main_conf_t *mcf, uint64_t origin, ngx_uint_t *i);

/* NGX_DECLINED: this worker cannot fence (others may have what it does not
 * reach). */
ngx_int_t ngx_http_s3_cache_fence_can(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin);

/*
 * Of a write through this node, in every zone that keeps objects of this
 * origin: holds and drops what is named. What it takes is added to `holds` (of
 * hold_t), whatever the answer. NGX_BUSY: no more can be fenced; NGX_ERROR.
 */
ngx_int_t ngx_http_s3_cache_fence_hold(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, const ngx_http_s3_cache_name_t *name,
    ngx_array_t *holds);
/* What hold() does to one name. */
ngx_int_t ngx_http_s3_cache_fence_take(ngx_http_s3_cache_zone_t *zone,
    uint64_t name, s3c_fence_due_t due, ngx_array_t *holds);
/* In this zone; 0: it is never kept. */
uint64_t ngx_http_s3_cache_fence_name(ngx_http_s3_cache_zone_t *zone,
    uint64_t origin, const ngx_http_s3_cache_name_t *name);
/* known 0: the write may still take effect. What is dropped `later` has been, or
 * need not be. */
void ngx_http_s3_cache_fence_release(ngx_array_t *holds, ngx_uint_t known);

/*
 * Of a write through another node, which tells of it under this tag: the same
 * until lift() comes, at most `msec`. Again: goes on for as long from now.
 * NGX_BUSY: no more can be fenced.
 */
ngx_int_t ngx_http_s3_cache_fence_keep(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, const ngx_http_s3_cache_name_t *name, uint64_t tag,
    ngx_msec_t msec);
/* It is over, in `msec` from now. Where it was not held, what there is may be
 * older than the write, and is dropped; so is what was to be dropped later. Not
 * if the origin has refused: then there is nothing that could be older. */
void ngx_http_s3_cache_fence_lift(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, const ngx_http_s3_cache_name_t *name, uint64_t tag,
    ngx_msec_t msec, ngx_uint_t refused);
/* It has changed at the origin: what is kept of it is dropped, what is under
 * way is not kept. */
void ngx_http_s3_cache_fence_drop(ngx_http_s3_cache_main_conf_t *mcf,
    uint64_t origin, const ngx_http_s3_cache_name_t *name);

/* When this node, of a ring, last learnt of a write to what has this name, by
 * now(): what another one knows of before that may be older. */
uint64_t ngx_http_s3_cache_fence_learnt(ngx_http_s3_cache_zone_t *zone,
    uint64_t hash);

/* Readers: of what is fenced, nothing may be filled. After fill_begin(). */
ngx_uint_t ngx_http_s3_cache_fenced(ngx_http_s3_cache_ctx_t *ctx);
/* Nor may what is found be used if it is to be dropped later. After find(). */
static ngx_inline ngx_uint_t
ngx_http_s3_cache_due(ngx_http_s3_cache_ctx_t *ctx)
{
    return ctx->due
           || (s3c_fence_dues(ctx->zone->shared->fence) != 0
               && ngx_http_s3_cache_fenced(ctx));
}
ngx_uint_t ngx_http_s3_cache_fenced_object(ngx_http_s3_cache_zone_t *zone,
    ngx_http_s3_cache_loc_conf_t *lcf, s3c_slice_t bucket, s3c_slice_t key);
/* The location's identity, in the generations of this bucket and key. */
uint64_t ngx_http_s3_cache_fence_identity(ngx_http_s3_cache_ctx_t *ctx,
    s3c_slice_t bucket, s3c_slice_t key, s3c_slice_t version);
uint64_t ngx_http_s3_cache_fence_mix(ngx_http_s3_cache_zone_t *zone,
    uint64_t identity, uint64_t origin, s3c_slice_t bucket, s3c_slice_t key,
    s3c_slice_t version);

/* mark: what flash must know of a bucket, or an origin, that was dropped */
uint64_t ngx_http_s3_cache_fence_never_used(void);
void ngx_http_s3_cache_fence_save(ngx_http_s3_cache_zone_t *zone,
    uint32_t place);
void ngx_http_s3_cache_fence_load(ngx_http_s3_cache_zone_t *zone);

/* Shared memory of a zone: in the master. */
ngx_int_t ngx_http_s3_cache_fence_create(ngx_http_s3_cache_shared_t *sh,
    ngx_log_t *log);
void ngx_http_s3_cache_fence_destroy(ngx_http_s3_cache_shared_t *sh);
/* Every now and then, in each worker. */
void ngx_http_s3_cache_fence_sweep(ngx_http_s3_cache_zone_t *zone,
    ngx_log_t *log);


#endif /* NGX_HTTP_S3_CACHE_FENCE_H */
