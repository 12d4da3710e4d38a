/* SPDX-License-Identifier: Apache-2.0
 *
 * A question of another node is made what a request of a client would be, and
 * is looked for in the same way; a word of the nodes among themselves is
 * answered here.
 */

#include "ngx_http_s3_cache_peer_serve_internal.h"
#include "ngx_http_s3_cache_fence.h"
#include "ngx_http_s3_cache_tell.h"
#include "ngx_http_s3_cache_vouch.h"


static ngx_int_t serve_look(serve_t *s, const s3c_wire_ask_t *ask);
static ngx_int_t serve_word(serve_t *s, const s3c_wire_ask_t *ask);
static ngx_int_t serve_object(serve_t *s, const s3c_wire_ask_t *ask);
static ngx_int_t serve_block(serve_t *s, const s3c_wire_ask_t *ask);
static ngx_int_t serve_keep(serve_t *s);
static void serve_copy(u_char **p, s3c_slice_t *slice);


static ngx_http_s3_cache_target_t  scratch;    /* of the question at hand */


ngx_int_t
ngx_http_s3_cache_serve_ask(ngx_http_s3_cache_link_t *link, uint32_t id,
    const s3c_wire_ask_t *ask)
{
    serve_t                        *s;
    ngx_http_s3_cache_ctx_t        *ctx;
    ngx_http_s3_cache_peer_conn_t  *end;

    end = link->data;

    s = ngx_http_s3_cache_serve_create(link->connection->log);
    if (s == NULL) {
        return NGX_ERROR;
    }

    ngx_http_s3_cache_link_add(link, &s->stream, id);

    s->what = ask->what;
    s->window = ask->window;
    s->came_ms = ngx_http_s3_cache_now_exact();

    ctx = &s->ctx;
    ctx->front = &ngx_http_s3_cache_serve_front;
    ctx->log = link->connection->log;
    ctx->zone = end->peers->zone;

    return (ask->what >= S3C_WIRE_FENCE) ? serve_word(s, ask)
                                         : serve_look(s, ask);
}


static ngx_int_t
serve_look(serve_t *s, const s3c_wire_ask_t *ask)
{
    ngx_int_t                       rc;
    ngx_http_s3_cache_ctx_t        *ctx;
    ngx_http_s3_cache_peer_conn_t  *end;

    end = s->stream.link->data;
    ctx = &s->ctx;

    ctx->conf = ngx_http_s3_cache_peer_location(end->peers, ask->location);
    ctx->served = 1;
    ctx->truth = (ask->flags & S3C_WIRE_TRUTH) ? 1 : 0;
    ctx->kept = (ask->flags & S3C_WIRE_KEPT) ? 1 : 0;
    ctx->first = (ask->flags & S3C_WIRE_FIRST) ? 1 : 0;
    ctx->head = (ask->what == S3C_WIRE_HEAD);
    ctx->warm = (ask->flags & S3C_WIRE_WARM) ? 1 : 0;

    if (ctx->conf == NULL || ctx->zone->ram == NULL || ctx->zone->apart
        || !ngx_http_s3_cache_view_ready(end->peers))
    {
        /* other settings, no memory, or too early */
        ngx_http_s3_cache_serve_end(s, NGX_HTTP_S3_CACHE_FILL_ELSEWHERE);
        return NGX_OK;
    }

    ctx->ask.checksum_mode = (ask->flags & S3C_WIRE_FULL) != 0;

    ngx_memzero(&scratch.op, sizeof(s3c_s3_operation_t));
    scratch.op.kind = S3C_OP_GET_OBJECT;
    scratch.op.head = ctx->head;
    scratch.op.version_id = ask->version_id;
    scratch.addr.bucket = ask->bucket;
    scratch.addr.key = ask->key;

    ctx->identity = ngx_http_s3_cache_fence_identity(ctx, ask->bucket,
                                                     ask->key,
                                                     ask->version_id);

    if (s3c_ident_make(&scratch.ident, ctx->identity, ask->bucket, ask->key,
                       ask->version_id)
        != S3C_OK)
    {
        ngx_http_s3_cache_serve_end(s, NGX_HTTP_S3_CACHE_FILL_PASS);
        return NGX_OK;
    }

    s3c_stats_add(&ctx->zone->stats, S3C_STAT_PEER_SERVED, 1);
    s3c_stats_node_add(ngx_http_s3_cache_node_counts(end->peers, &end->node,
                                                     &end->counts),
                       S3C_NODE_STAT_SERVED, 1);

    ctx->target = &scratch;
    ctx->object = s3c_key_object(ctx->zone->secret, &scratch.ident);

    rc = (ask->what == S3C_WIRE_BLOCK) ? serve_block(s, ask)
                                       : serve_object(s, ask);

    if (rc != NGX_DONE) {
        ngx_http_s3_cache_serve_end(s, NGX_HTTP_S3_CACHE_FILL_ROOM);
    }

    if (ctx->target == &scratch && serve_keep(s) != NGX_OK) {
        ngx_http_s3_cache_serve_end(s, NGX_HTTP_S3_CACHE_FILL_ROOM);
    }

    return NGX_OK;
}


/* Of a write through the node that asks, or whether it missed some of ours. */

static ngx_int_t
serve_word(serve_t *s, const s3c_wire_ask_t *ask)
{
    ngx_http_s3_cache_peer_conn_t  *end;

    end = s->stream.link->data;

    if (ask->what == S3C_WIRE_SUMMARY) {
        s->state = SERVE_META;
        ngx_http_s3_cache_link_ready(&s->stream);
        return NGX_OK;
    }

    if (ask->what != S3C_WIRE_VOUCH) {
        ngx_http_s3_cache_serve_end(s, ngx_http_s3_cache_told(end->peers,
                                                              &end->node,
                                                              ask));
        return NGX_OK;
    }

    s->left_ms = ngx_http_s3_cache_vouch_life(end->peers, &end->node,
                                              &s->age_ms);
    if (s->left_ms == 0) {
        ngx_http_s3_cache_serve_end(s, NGX_HTTP_S3_CACHE_FILL_ELSEWHERE);
        return NGX_OK;
    }

    s->state = SERVE_META;
    ngx_http_s3_cache_link_ready(&s->stream);

    return NGX_OK;
}


static ngx_int_t
serve_object(serve_t *s, const s3c_wire_ask_t *ask)
{
    ngx_http_s3_cache_ctx_t  *ctx;

    ctx = &s->ctx;
    s->first = UINT64_MAX;

    if (ask->block == UINT64_MAX) {
        /* a record is wanted, and the body if it has it */
        ctx->ask.range.kind = S3C_RANGE_SUFFIX;
        ctx->ask.range.suffix = 1;

    } else if (ask->block < UINT64_MAX / ctx->conf->block_size - 1) {
        s->first = ask->block * ctx->conf->block_size;

        if (ask->block > 0) {
            ctx->ask.range.kind = S3C_RANGE_FROM_TO;
            ctx->ask.range.first = s->first;
            ctx->ask.range.last = s->first + ctx->conf->block_size - 1;
        }
    }

    return ngx_http_s3_cache_lookup(ctx);
}


/* Of an object whose record another node has: what is needed of that, it says.
 * Whether it is still so the origin will tell, if it has to be asked. */

static ngx_int_t
serve_block(serve_t *s, const s3c_wire_ask_t *ask)
{
    uint64_t                  block_size;
    ngx_http_s3_cache_ctx_t  *ctx;

    ctx = &s->ctx;
    block_size = ctx->conf->block_size;

    if (ask->total == 0 || ask->block > (ask->total - 1) / block_size) {
        return NGX_ERROR;
    }

    ctx->view.generation = ask->generation;
    ctx->view.total = ask->total;
    ctx->view.last_modified = ask->last_modified;
    ctx->view.etag = ask->etag;

    s->first = ask->block * block_size;
    s->bytes = ngx_min(block_size, ask->total - s->first);

    if (ask->total <= block_size) {
        /* it may be here in one piece, with its record */
        s->generation = ask->generation;
        return ngx_http_s3_cache_lookup(ctx);
    }

    ctx->pos = s->first;
    ctx->reply.last = s->first + s->bytes - 1;

    s->state = SERVE_META;
    ngx_http_s3_cache_link_ready(&s->stream);

    return NGX_DONE;
}


/* The question's bytes go with the link's buffer: what is still needed of them
 * when this turn is over is copied. */

static ngx_int_t
serve_keep(serve_t *s)
{
    size_t                       len;
    u_char                      *p;
    ngx_http_s3_cache_ctx_t     *ctx;
    ngx_http_s3_cache_target_t  *target;

    ctx = &s->ctx;

    if (s->state == SERVE_END
        || (s->state == SERVE_META && (ctx->view.flags & S3C_RECORD_INLINE)))
    {
        /* all that it needs is pinned */
        ctx->target = NULL;
        return NGX_OK;
    }

    len = sizeof(ngx_http_s3_cache_target_t) + scratch.addr.bucket.len
          + scratch.addr.key.len + scratch.op.version_id.len
          + ctx->view.etag.len;

    s->pool = ngx_create_pool(len + 256, ctx->log);
    if (s->pool == NULL) {
        return NGX_ERROR;
    }

    target = ngx_palloc(s->pool, len);
    if (target == NULL) {
        return NGX_ERROR;
    }

    *target = scratch;
    p = (u_char *) &target[1];

    serve_copy(&p, &target->addr.bucket);
    serve_copy(&p, &target->addr.key);
    serve_copy(&p, &target->op.version_id);

    if (s->what == S3C_WIRE_BLOCK) {
        serve_copy(&p, &ctx->view.etag);
    }

    ctx->target = target;

    return NGX_OK;
}


static void
serve_copy(u_char **p, s3c_slice_t *slice)
{
    u_char  *to;

    to = *p;
    *p = ngx_cpymem(to, slice->data, slice->len);
    slice->data = to;
}
