/* SPDX-License-Identifier: Apache-2.0
 *
 * Fills whose bytes another node has: who owns the object or block is asked for
 * it, then the next owner, then the origin. What comes is not this node's to
 * keep: those who wait share it, and it goes with the last of them.
 *
 * A node is believed only what can be checked: that the record is this very
 * object's, and that the bytes are those that were asked for.
 */

#include "ngx_http_s3_cache_fill.h"
#include "ngx_http_s3_cache_flash.h"
#include "ngx_http_s3_cache_peer.h"


#define PUBLISH_BYTES  (64 * 1024)
#define NO_NODE        ((ngx_uint_t) -1)


/* job->peer */
struct ngx_http_s3_cache_errand_s {
    ngx_http_s3_cache_ask_t     ask;           /* first */
    ngx_http_s3_cache_job_t    *job;
    const uint16_t             *owners;
    ngx_uint_t                  nowners;
    ngx_uint_t                  tried;         /* of them, from the first */
    unsigned                    again:1;       /* the same one, once more */
};

typedef struct ngx_http_s3_cache_errand_s  errand_t;


static ngx_msec_t errand_patience(ngx_http_s3_cache_ctx_t *ctx);
static errand_t *errand_create(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin, const uint16_t *owners);
static ngx_int_t errand_next(errand_t *errand);
static ngx_int_t errand_on_meta(ngx_http_s3_cache_ask_t *ask,
    const s3c_wire_meta_t *meta, u_char *head);
static ngx_int_t errand_object(ngx_http_s3_cache_job_t *job,
    const s3c_wire_meta_t *meta, u_char *head);
static ngx_int_t errand_block(ngx_http_s3_cache_job_t *job,
    const s3c_wire_meta_t *meta);
static ngx_int_t errand_on_data(ngx_http_s3_cache_ask_t *ask,
    const u_char *data, size_t len);
static void errand_on_idle(ngx_http_s3_cache_ask_t *ask);
static void errand_on_end(ngx_http_s3_cache_ask_t *ask, ngx_uint_t code);


/* Who has this object, or the stripe of it that begins at `off`? NULL: this
 * node, or nobody. */

static const uint16_t *
peer_owners(ngx_http_s3_cache_ctx_t *ctx, uint64_t off)
{
    uint64_t                     stripe;
    s3c_hash128_t                point;
    const uint16_t              *owners;
    ngx_http_s3_cache_peers_t   *peers;
    ngx_http_s3_cache_target_t  *target;

    peers = ctx->zone->peers;

    if (peers == NULL || ctx->served || s3c_ring_owners(peers->ring) == 0) {
        return NULL;
    }

    target = ngx_http_s3_cache_target(ctx);
    if (target == NULL) {
        return NULL;
    }

    point = s3c_hash128(peers->point_secret, target->ident.bytes,
                        target->ident.len);
    stripe = off / peers->stripe;

    if (stripe > 0) {
        point.hi ^= stripe;
        point = s3c_hash128(peers->point_secret, &point, sizeof(point));
    }

    owners = s3c_ring_find(peers->ring, point.lo);

    return owners[0] == peers->self ? NULL : owners;
}


ngx_int_t
ngx_http_s3_cache_peer_object(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin)
{
    errand_t                 *errand;
    const uint16_t           *owners;
    s3c_wire_ask_t           *ask;
    ngx_http_s3_cache_job_t  *job;

    owners = peer_owners(ctx, 0);
    if (owners == NULL) {
        return NGX_DECLINED;
    }

    errand = errand_create(ctx, pin, owners);
    if (errand == NULL) {
        return NGX_ERROR;
    }

    job = errand->job;
    ask = &errand->ask.ask;
    ask->what = ctx->head ? S3C_WIRE_HEAD : S3C_WIRE_OBJECT;
    ask->flags = ngx_http_s3_cache_wants_truth(ctx) ? S3C_WIRE_TRUTH : 0;

    job->bodyless = ctx->head;

    switch (ctx->ask.range.kind) {

    case S3C_RANGE_FROM_TO:
    case S3C_RANGE_FROM:
        job->ranged = 1;
        job->block = ctx->ask.range.first / job->conf->block_size;
        break;

    case S3C_RANGE_SUFFIX:
        /* which block is not known before the length is: none */
        job->ranged = 1;
        job->block = UINT64_MAX;
        break;

    default:
        break;
    }

    if (ask->what == S3C_WIRE_OBJECT) {
        /* a block of another stripe is another node's: not from here */
        ask->block = (job->block * job->conf->block_size
                      < (uint64_t) ctx->zone->peers->stripe)
                     ? job->block : UINT64_MAX;
    }

    job->head = ctx->head;

    return errand_next(errand);
}


ngx_int_t
ngx_http_s3_cache_peer_block(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin, uint64_t block)
{
    errand_t                 *errand;
    const uint16_t           *owners;
    s3c_wire_ask_t           *ask;
    ngx_http_s3_cache_job_t  *job;

    owners = peer_owners(ctx, block * ctx->conf->block_size);
    if (owners == NULL) {
        return NGX_DECLINED;
    }

    errand = errand_create(ctx, pin, owners);
    if (errand == NULL) {
        return NGX_ERROR;
    }

    job = errand->job;

    if (ngx_http_s3_cache_job_block(job, ctx, block) != NGX_OK) {
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
        ngx_http_s3_cache_job_destroy(job);
        return NGX_ERROR;
    }

    ask = &errand->ask.ask;
    ask->what = S3C_WIRE_BLOCK;
    ask->block = block;
    ask->generation = ctx->view.generation;
    ask->total = ctx->view.total;
    ask->last_modified = ctx->view.last_modified;

    if (job->etag.len <= S3C_WIRE_ETAG_MAX) {
        ask->etag = job->etag;
    }

    return errand_next(errand);
}


/* What an honest owner may need for its origin, and a little more. */

static ngx_msec_t
errand_patience(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_http_s3_cache_origin_conf_t  *conf;

    conf = &ctx->conf->origin_conf;

    return ctx->zone->peers->timeout + conf->connect_timeout
           + conf->send_timeout + conf->read_timeout;
}


static errand_t *
errand_create(ngx_http_s3_cache_ctx_t *ctx, const s3c_ram_pin_t *pin,
    const uint16_t *owners)
{
    errand_t                    *errand;
    ngx_http_s3_cache_job_t     *job;
    ngx_http_s3_cache_target_t  *target;

    job = ngx_http_s3_cache_job_create(ctx, pin);
    if (job == NULL) {
        return NULL;
    }

    target = ngx_http_s3_cache_target(ctx);
    errand = ngx_pcalloc(job->pool, sizeof(errand_t));

    if (errand == NULL || target == NULL) {
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
        ngx_http_s3_cache_job_destroy(job);
        return NULL;
    }

    job->errand = errand;
    job->keep = 0;

    errand->job = job;
    errand->owners = owners;
    errand->nowners = s3c_ring_owners(ctx->zone->peers->ring);

    errand->ask.pool = job->pool;
    errand->ask.patience = errand_patience(ctx);
    errand->ask.data = errand;
    errand->ask.on_meta = errand_on_meta;
    errand->ask.on_data = errand_on_data;
    errand->ask.on_idle = errand_on_idle;
    errand->ask.on_end = errand_on_end;

    errand->ask.ask.location = job->conf->location;
    errand->ask.ask.window = ngx_max(job->conf->block_size,
                                     NGX_HTTP_S3_CACHE_ERROR_BODY_MAX);

    /* job->path is "/bucket/key" */
    errand->ask.ask.bucket = s3c_slice(job->path.data + 1,
                                       target->addr.bucket.len);
    errand->ask.ask.key = s3c_slice(job->path.data + 2
                                    + target->addr.bucket.len,
                                    target->addr.key.len);

    if (target->op.version_id.len > 0) {
        errand->ask.ask.version_id.data =
            ngx_pnalloc(job->pool, target->op.version_id.len);

        if (errand->ask.ask.version_id.data == NULL) {
            ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
            ngx_http_s3_cache_job_destroy(job);
            return NULL;
        }

        ngx_memcpy((u_char *) errand->ask.ask.version_id.data,
                   target->op.version_id.data, target->op.version_id.len);
        errand->ask.ask.version_id.len = target->op.version_id.len;
    }

    return errand;
}


/* The next owner that can be asked, else the origin. */

static ngx_int_t
errand_next(errand_t *errand)
{
    ngx_uint_t                  node;
    ngx_http_s3_cache_job_t    *job;
    ngx_http_s3_cache_peers_t  *peers;

    job = errand->job;
    peers = job->zone->peers;

    while (errand->tried < errand->nowners) {
        node = errand->owners[errand->tried++];

        if (node == peers->self) {
            /* all before it are away: it is ours now */
            break;
        }

        if (ngx_http_s3_cache_ask_start(&errand->ask, peers, node) == NGX_OK) {
            s3c_stats_add(&job->zone->stats, S3C_STAT_PEER_ASKED, 1);
            return NGX_OK;
        }
    }

    job->errand = NULL;
    job->keep = 1;

    return ngx_http_s3_cache_job_origin(job);
}


/* --- the answer ------------------------------------------------------------- */

static ngx_int_t
errand_on_meta(ngx_http_s3_cache_ask_t *ask, const s3c_wire_meta_t *meta,
    u_char *head)
{
    errand_t *errand = ask->data;

    ngx_int_t                 rc;
    ngx_http_s3_cache_job_t  *job;

    job = errand->job;

    rc = job->part ? errand_block(job, meta) : errand_object(job, meta, head);

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    ngx_http_s3_cache_ask_cancel(ask);

    if (rc == NGX_DECLINED) {
        /* not what was asked: perhaps the next one knows better */
        s3c_stats_add(&job->zone->stats, S3C_STAT_PEER_LIES, 1);

        if (errand_next(errand) == NGX_OK) {
            return NGX_ERROR;
        }

        return NGX_ERROR;
    }

    ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
    ngx_http_s3_cache_job_destroy(job);

    return NGX_ERROR;
}


/* DECLINED: it lies. ERROR: no memory, or nobody wants the rest. */

static ngx_int_t
errand_object(ngx_http_s3_cache_job_t *job, const s3c_wire_meta_t *meta,
    u_char *head)
{
    size_t              body;
    uint64_t            now;
    s3c_hash128_t       key;
    s3c_ram_pin_t       next;
    s3c_record_sh_t    *rec;
    s3c_record_view_t   view;

    rec = (s3c_record_sh_t *) head;

    if (head == NULL || meta->head_bytes < sizeof(s3c_record_sh_t)) {
        return NGX_DECLINED;
    }

    body = 0;

    if ((rec->flags & S3C_RECORD_INLINE) && !job->head) {
        if (meta->first != 0 || meta->bytes != rec->total
            || rec->total > ngx_max(job->conf->block_size,
                                    NGX_HTTP_S3_CACHE_ERROR_BODY_MAX))
        {
            return NGX_DECLINED;
        }

        body = rec->total;
    }

    if (s3c_record_open(head, meta->head_bytes,
                        meta->head_bytes
                        + ((rec->flags & S3C_RECORD_INLINE) ? rec->total : 0),
                        job->ident, &view)
        != S3C_OK
        || view.head_bytes != meta->head_bytes)
    {
        return NGX_DECLINED;
    }

    now = ngx_http_s3_cache_now();

    rec->flags &= ~(S3C_RECORD_STORED | S3C_RECORD_APART);

    if (job->head) {
        rec->flags &= ~S3C_RECORD_INLINE;

        if (rec->flags & S3C_RECORD_ERROR) {
            rec->flags |= S3C_RECORD_NOBODY;
        }
    }

    s3c_record_seal(rec);
    rec->validated_ms = now - ngx_min(meta->age_ms, now);
    rec->expires_ms = (meta->left_ms == UINT64_MAX)
                      ? UINT64_MAX : now + ngx_min(meta->left_ms, now);

    if (s3c_ram_fill_alloc(job->zone->ram, &job->pin, meta->head_bytes + body,
                           meta->head_bytes, now)
        != S3C_OK)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(s3c_ram_head(job->zone->ram, &job->pin), head,
               meta->head_bytes);
    job->size = meta->head_bytes + body;
    job->off = meta->head_bytes;

    if (job->head || (view.flags & S3C_RECORD_INLINE) || meta->bytes == 0) {

        if (body == 0) {
            ngx_http_s3_cache_job_commit(job);
        }

        return NGX_OK;
    }

    /* large: its block follows, as in object_large() */

    body = job->conf->block_size;
    job->block = meta->first / body;
    key = s3c_key_block(job->zone->secret, job->object, view.generation,
                        job->block, body);

    ngx_memzero(&next, sizeof(s3c_ram_pin_t));

    if (meta->first % body == 0 && meta->first < view.total
        && meta->bytes == ngx_min(body, view.total - meta->first)
        && s3c_ram_fill_begin(job->zone->ram, key, now, &next) != S3C_OK
        && s3c_ram_pinned(&next))
    {
        s3c_ram_unpin(job->zone->ram, &next);
    }

    ngx_http_s3_cache_job_commit(job);

    if (!s3c_ram_pinned(&next)) {
        /* somebody else has it */
        job->enough = 1;
        return NGX_ERROR;
    }

    s3c_stats_add(&job->zone->stats, S3C_STAT_FILL_STARTED, 1);

    s3c_ram_unpin(job->zone->ram, &job->pin);
    job->pin = next;
    job->key = key;
    job->part = 1;
    job->generation = view.generation;
    job->total = view.total;
    job->settled = 0;
    job->size = 0;
    job->off = 0;
    job->published = 0;

    if (ngx_http_s3_cache_job_alloc(job, NULL, meta->bytes) != S3C_OK) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
errand_block(ngx_http_s3_cache_job_t *job, const s3c_wire_meta_t *meta)
{
    uint64_t  first, bytes;

    first = job->block * job->conf->block_size;
    bytes = ngx_min(job->conf->block_size, job->total - first);

    if (meta->head_bytes != 0 || meta->first != first || meta->bytes != bytes)
    {
        return NGX_DECLINED;
    }

    return ngx_http_s3_cache_job_alloc(job, NULL, bytes) == S3C_OK
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
errand_on_data(ngx_http_s3_cache_ask_t *ask, const u_char *data, size_t len)
{
    errand_t *errand = ask->data;

    int                       n;
    size_t                    part;
    struct iovec              iov;
    ngx_http_s3_cache_job_t  *job;

    job = errand->job;

    if (len > job->size - job->off || job->settled) {
        /* more than it said */
        ngx_http_s3_cache_ask_cancel(ask);
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_BROKEN);
        ngx_http_s3_cache_job_destroy(job);
        return NGX_ERROR;
    }

    s3c_stats_add(&job->zone->stats, S3C_STAT_PEER_BYTES, len);

    while (len > 0) {
        n = 1;

        if (s3c_ram_span(job->zone->ram, &job->pin, job->off,
                         job->size - job->off, &iov, &n) == 0)
        {
            ngx_http_s3_cache_ask_cancel(ask);
            ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
            ngx_http_s3_cache_job_destroy(job);
            return NGX_ERROR;
        }

        part = ngx_min(len, iov.iov_len);
        ngx_memcpy(iov.iov_base, data, part);

        data += part;
        len -= part;
        job->off += part;
    }

    if (job->off == job->size) {
        ngx_http_s3_cache_job_commit(job);

    } else if (job->off - job->published >= PUBLISH_BYTES) {
        job->published = job->off;
        s3c_ram_fill_publish(job->zone->ram, &job->pin, job->off);
    }

    return NGX_OK;
}


static void
errand_on_idle(ngx_http_s3_cache_ask_t *ask)
{
    errand_t *errand = ask->data;

    ngx_http_s3_cache_job_t  *job;

    job = errand->job;

    if (job->size > 0 && !job->settled && job->off > job->published) {
        job->published = job->off;
        s3c_ram_fill_publish(job->zone->ram, &job->pin, job->off);
    }
}


static void
errand_on_end(ngx_http_s3_cache_ask_t *ask, ngx_uint_t code)
{
    errand_t *errand = ask->data;

    uint32_t                  reason;
    ngx_http_s3_cache_job_t  *job;

    job = errand->job;

    if (job->settled) {
        ngx_http_s3_cache_job_destroy(job);
        return;
    }

    if (job->size == 0
        && (code == NGX_HTTP_S3_CACHE_ASK_AWAY
            || code == NGX_HTTP_S3_CACHE_ASK_LOST))
    {
        /* nothing has come: nobody has noticed */

        if (code == NGX_HTTP_S3_CACHE_ASK_LOST && !errand->again) {
            /* a worker of it has ended, perhaps; another is there */
            errand->again = 1;
            errand->tried--;
        }

        s3c_stats_add(&job->zone->stats, S3C_STAT_PEER_FAILED, 1);
        (void) errand_next(errand);
        return;
    }

    switch (code) {

    case NGX_HTTP_S3_CACHE_FILL_CHANGED:
        reason = NGX_HTTP_S3_CACHE_FILL_CHANGED;

        if (s3c_ram_pinned(&job->record)) {
            (void) ngx_http_s3_cache_drop(job->zone, job->object,
                                          &job->record);
        }
        break;

    case NGX_HTTP_S3_CACHE_FILL_ORIGIN_ERROR:
    case NGX_HTTP_S3_CACHE_FILL_BROKEN:
        reason = code;
        break;

    case NGX_HTTP_S3_CACHE_FILL_PASS:
    case NGX_HTTP_S3_CACHE_FILL_ROOM:
    case NGX_HTTP_S3_CACHE_FILL_TIMEOUT:
    case NGX_HTTP_S3_CACHE_FILL_UNREACHABLE:
        /* the owner cannot; the origin may answer us */
        reason = NGX_HTTP_S3_CACHE_FILL_PASS;
        break;

    default:
        /* it, or the link, ended in the middle: whoever has sent nothing yet
           looks again, the others go on from where they are */
        reason = S3C_FILL_REASON_DIED;
        break;
    }

    ngx_http_s3_cache_job_fail(job, reason);
    ngx_http_s3_cache_job_destroy(job);
}
