/* SPDX-License-Identifier: Apache-2.0
 *
 * One part of an object: its record with a block, or a block. Its owner brings
 * it: this node, or another one that is asked for it with WARM, and says what
 * it has without sending it.
 */

#include "ngx_http_s3_cache_warm_internal.h"
#include "ngx_http_s3_cache_fence.h"


#define PATIENCE  600000       /* a large block of a slow origin; the link's
                                  silence is known sooner */


static ngx_int_t part_name(warm_part_t *part);
static void part_next(warm_part_t *part);
static ngx_int_t part_ask(warm_part_t *part, ngx_http_s3_cache_near_t *near);
static void part_away(warm_part_t *part, ngx_http_s3_cache_near_t *near);
static ngx_int_t part_on_meta(ngx_http_s3_cache_ask_t *ask,
    const s3c_wire_meta_t *meta, u_char *head);
static ngx_int_t part_on_data(ngx_http_s3_cache_ask_t *ask,
    const u_char *data, size_t len);
static void part_on_idle(ngx_http_s3_cache_ask_t *ask);
static void part_on_end(ngx_http_s3_cache_ask_t *ask, ngx_uint_t code);


void
ngx_http_s3_cache_warm_part(warm_object_t *object, ngx_uint_t record,
    uint64_t block)
{
    uint64_t       point, first;
    ngx_pool_t    *pool;
    warm_run_t    *run;
    warm_part_t   *part;

    run = object->run;
    pool = ngx_create_pool(1024, ngx_cycle->log);
    part = (pool != NULL) ? ngx_pcalloc(pool, sizeof(warm_part_t)) : NULL;

    if (part == NULL) {

        if (pool != NULL) {
            ngx_destroy_pool(pool);
        }

        ngx_http_s3_cache_warm_run_end(run, S3C_WARM_FAILED, "no memory");
        return;
    }

    part->pool = pool;
    part->object = object;
    part->record = record ? 1 : 0;
    part->block = block;

    ngx_queue_insert_tail(&object->parts, &part->link);
    run->nparts++;

    part->ctx.log = ngx_cycle->log;
    part->ctx.zone = run->zone;
    part->ctx.conf = run->location;
    part->ctx.warm = 1;
    part->ctx.kept = (run->job.mode == S3C_WARM_CHECK);
    part->ctx.truth = (record && object->truth);

    if (part_name(part) != NGX_OK) {
        ngx_http_s3_cache_warm_part_over(part, WARM_FAILED);
        return;
    }

    if (run->job.mode == S3C_WARM_EVICT) {
        ngx_http_s3_cache_warm_part_evict(part);
        return;
    }

    if (!record) {
        first = block * run->location->block_size;
        part->bytes = ngx_min(run->location->block_size,
                              object->total - first);
    }

    if (run->zone->peers != NULL) {
        point = ngx_http_s3_cache_view_point(run->zone->peers,
                                   run->location->identity,
                                   &part->target->ident,
                                   record ? 0 : block
                                                * run->location->block_size);
        part->nowners = ngx_http_s3_cache_view_owners(run->zone->peers, point,
                                                      part->owners);
    }

    part_next(part);
}


static ngx_int_t
part_name(warm_part_t *part)
{
    warm_object_t               *object;
    ngx_http_s3_cache_ctx_t     *ctx;
    ngx_http_s3_cache_target_t  *target;

    object = part->object;
    ctx = &part->ctx;

    target = ngx_pcalloc(part->pool, sizeof(ngx_http_s3_cache_target_t));
    if (target == NULL) {
        return NGX_ERROR;
    }

    target->op.kind = S3C_OP_GET_OBJECT;
    target->op.version_id = object->version;
    target->addr.bucket = object->bucket;
    target->addr.key = object->key;

    ctx->identity = ngx_http_s3_cache_fence_identity(ctx, object->bucket,
                                                     object->key,
                                                     object->version);

    if (s3c_ident_make(&target->ident, ctx->identity, object->bucket,
                       object->key, object->version)
        != S3C_OK)
    {
        return NGX_ERROR;
    }

    ctx->target = target;
    ctx->object = s3c_key_object(ctx->zone->secret, &target->ident);
    part->target = target;

    return NGX_OK;
}


void
ngx_http_s3_cache_warm_part_free(warm_part_t *part)
{
    if (part->asking) {
        ngx_http_s3_cache_ask_cancel(&part->ask);
    }

    if (part->fencing) {
        ngx_http_s3_cache_fence_end(&part->fence, 1);
    }

    ngx_http_s3_cache_release(&part->ctx);

    ngx_queue_remove(&part->link);
    part->object->run->nparts--;
    ngx_destroy_pool(part->pool);
}


/* It is not freed yet: those who called may still look at it. */

void
ngx_http_s3_cache_warm_part_over(warm_part_t *part, warm_end_e end)
{
    ngx_str_t   *self;
    warm_run_t  *run;

    if (part->over) {
        return;
    }

    run = part->object->run;

    part->over = 1;
    part->end = end;
    ngx_http_s3_cache_release(&part->ctx);

    if (end == WARM_FETCHED) {
        self = run->zone->peers
               ? ngx_http_s3_cache_peer_self(run->zone->peers) : NULL;

        s3c_warm_job_node(&run->job,
                          part->known
                          ? ngx_http_s3_cache_slice(&part->ask.near->name)
                          : self ? ngx_http_s3_cache_slice(self)
                          : S3C_SLICE_NONE, 1, part->bytes, 0);
    }

    ngx_queue_insert_tail(&run->ended, &part->queue);
    ngx_http_s3_cache_warm_run_kick(run);
}


void
ngx_http_s3_cache_warm_part_learn(warm_part_t *part,
    const s3c_record_view_t *view)
{
    u_char         *p;
    uint64_t        size, first;
    warm_object_t  *object;

    object = part->object;
    object->end_block = 0;
    part->end = WARM_CACHED;

    if (view->flags & S3C_RECORD_ERROR) {
        part->end = (view->status == 404) ? WARM_MISSING
                    : (view->status == 401 || view->status == 403)
                    ? WARM_DENIED : WARM_FAILED;

        if (part->ctx.kept) {
            part->end = WARM_MISSING;
        }

        return;
    }

    if ((view->flags & S3C_RECORD_INLINE) || view->total == 0) {
        part->bytes = view->total;
        return;
    }

    size = object->run->location->block_size;

    object->total = view->total;
    object->generation = view->generation;
    object->last_modified = view->last_modified;
    object->etag = S3C_SLICE_NONE;

    p = ngx_pnalloc(object->pool, view->etag.len + 1);

    if (p == NULL || view->etag.len > S3C_WIRE_ETAG_MAX) {
        part->end = WARM_FAILED;
        return;
    }

    if (view->etag.len > 0) {
        ngx_memcpy(p, view->etag.data, view->etag.len);
        object->etag = s3c_slice(p, view->etag.len);
    }

    if (object->first < view->total) {
        object->end_block = ngx_min(object->last, view->total - 1) / size + 1;
    }

    if (part->block < object->end_block) {
        first = part->block * size;
        part->bytes = ngx_min(size, view->total - first);
    }
}


/* --- who brings it -------------------------------------------------------- */

static void
part_next(warm_part_t *part)
{
    ngx_http_s3_cache_near_t  *near;

    if (part->nowners == 0) {
        ngx_http_s3_cache_warm_part_here(part);
        return;
    }

    while (part->tried < part->nowners) {
        near = part->owners[part->tried++];

        if (near == NULL) {
            ngx_http_s3_cache_warm_part_here(part);
            return;
        }

        part->again = 0;

        if (part_ask(part, near) == NGX_OK) {
            return;
        }

        part_away(part, near);
    }

    ngx_http_s3_cache_warm_part_over(part, WARM_FAILED);
}


static ngx_int_t
part_ask(warm_part_t *part, ngx_http_s3_cache_near_t *near)
{
    warm_object_t            *object;
    s3c_wire_ask_t           *ask;
    ngx_http_s3_cache_ask_t  *a;

    object = part->object;
    a = &part->ask;

    ngx_memzero(a, sizeof(ngx_http_s3_cache_ask_t));

    a->pool = part->pool;
    a->patience = PATIENCE;
    a->data = part;
    a->on_meta = part_on_meta;
    a->on_data = part_on_data;
    a->on_idle = part_on_idle;
    a->on_end = part_on_end;

    ask = &a->ask;
    ask->location = object->run->location->location;
    ask->bucket = object->bucket;
    ask->key = object->key;
    ask->version_id = object->version;
    ask->block = part->block;
    ask->what = part->record ? S3C_WIRE_OBJECT : S3C_WIRE_BLOCK;
    ask->flags = S3C_WIRE_WARM | (part->ctx.kept ? S3C_WIRE_KEPT : 0)
                 | (part->ctx.truth ? S3C_WIRE_TRUTH : 0)
                 | (part->tried == 1 ? S3C_WIRE_FIRST : 0);

    if (!part->record) {
        ask->generation = object->generation;
        ask->total = object->total;
        ask->last_modified = object->last_modified;
        ask->etag = object->etag;
    }

    part->known = 0;

    if (ngx_http_s3_cache_ask_start(a, near) != NGX_OK) {
        return NGX_DECLINED;
    }

    part->asking = 1;

    return NGX_OK;
}


static void
part_away(warm_part_t *part, ngx_http_s3_cache_near_t *near)
{
    s3c_warm_job_node(&part->object->run->job,
                      ngx_http_s3_cache_slice(&near->name), 0, 0, 1);
}


/* --- what it says --------------------------------------------------------- */

static ngx_int_t
part_on_meta(ngx_http_s3_cache_ask_t *ask, const s3c_wire_meta_t *meta,
    u_char *head)
{
    warm_part_t *part = ask->data;

    s3c_record_sh_t    *rec;
    s3c_record_view_t   view;

    if (meta->bytes > 0) {
        return NGX_ABORT;
    }

    part->known = 1;
    part->end = WARM_CACHED;

    if (part->record) {
        rec = (s3c_record_sh_t *) head;

        if (head != NULL && meta->head_bytes >= sizeof(s3c_record_sh_t)
                                                + sizeof(uint64_t))
        {
            /* that node's generations are its own */
            ngx_memcpy(head + sizeof(s3c_record_sh_t),
                       part->target->ident.bytes, sizeof(uint64_t));
        }

        if (head == NULL || meta->head_bytes < sizeof(s3c_record_sh_t)
            || s3c_record_open(head, meta->head_bytes,
                               meta->head_bytes
                               + ((rec->flags & S3C_RECORD_INLINE)
                                  ? rec->total : 0),
                               &part->target->ident, &view)
               != S3C_OK)
        {
            s3c_stats_node_add(&ask->near->counts, S3C_NODE_STAT_WRONG, 1);
            part->end = WARM_FAILED;
            return NGX_OK;
        }

        ngx_http_s3_cache_warm_part_learn(part, &view);
    }

    if (part->end == WARM_CACHED
        && !(meta->flags & (S3C_WIRE_RAM | S3C_WIRE_FLASH)))
    {
        part->end = WARM_FETCHED;
    }

    return NGX_OK;
}


static ngx_int_t
part_on_data(ngx_http_s3_cache_ask_t *ask, const u_char *data, size_t len)
{
    return NGX_ABORT;
}


static void
part_on_idle(ngx_http_s3_cache_ask_t *ask)
{
}


static void
part_on_end(ngx_http_s3_cache_ask_t *ask, ngx_uint_t code)
{
    warm_part_t *part = ask->data;

    part->asking = 0;

    switch (code) {

    case NGX_HTTP_S3_CACHE_ASK_COMPLETE:
        ngx_http_s3_cache_warm_part_over(part, part->known ? part->end
                                                           : WARM_FAILED);
        return;

    case NGX_HTTP_S3_CACHE_ASK_LOST:

        if (!part->again) {
            /* a worker of it has ended, perhaps; another is there */
            part->again = 1;

            if (part_ask(part, ask->near) == NGX_OK) {
                return;
            }
        }

        /* fall through */

    case NGX_HTTP_S3_CACHE_ASK_AWAY:
        part_away(part, ask->near);
        part_next(part);
        return;

    case NGX_HTTP_S3_CACHE_FILL_ELSEWHERE:
    case NGX_HTTP_S3_CACHE_FILL_PASS:
        ngx_http_s3_cache_warm_part_over(part, part->ctx.kept ? WARM_MISSING
                                                              : WARM_FAILED);
        return;

    case NGX_HTTP_S3_CACHE_FILL_ROOM:
        ngx_http_s3_cache_warm_part_over(part, part->ctx.kept ? WARM_MISSING
                                                              : WARM_NO_ROOM);
        return;

    case NGX_HTTP_S3_CACHE_FILL_CHANGED:
        ngx_http_s3_cache_warm_part_over(part, WARM_CHANGED);
        return;

    default:
        ngx_http_s3_cache_warm_part_over(part, WARM_FAILED);
    }
}
