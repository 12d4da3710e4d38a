/* SPDX-License-Identifier: Apache-2.0
 *
 * Fills whose bytes another node has: who owns the object or block is asked for
 * it, then the next owner, then the origin. What comes is not this node's to
 * keep: those who wait share it, and it goes with the last of them, unless it
 * is read so often that it becomes a mirror (mirror.c).
 *
 * A node is believed only what can be checked: that the record is this very
 * object's, and that the bytes are those that were asked for.
 */

#include "ngx_http_s3_cache_fill.h"
#include "ngx_http_s3_cache_flash.h"
#include "ngx_http_s3_cache_mirror.h"
#include "ngx_http_s3_cache_peer.h"


#define PUBLISH_BYTES  (64 * 1024)
#define AGAIN_MAX      3       /* a node is reloaded: links end one by one */


/* What a job asks of nodes: one after the other, two at a time when the first
 * is silent. The first to answer is the one that is heard. */
typedef struct {
    ngx_http_s3_cache_ask_t     asks[2];
    ngx_http_s3_cache_ask_t    *answers;       /* of these; NULL: none yet */
    ngx_http_s3_cache_job_t    *job;
    ngx_http_s3_cache_near_t   *owners[S3C_RING_OWNERS];
    ngx_uint_t                  nowners;
    ngx_uint_t                  tried;         /* of them, from the first */
    unsigned                    active:2;      /* which asks are under way */
    unsigned                    again:2;       /* how often the same one was */
    unsigned                    former:1;      /* this node is the owner */
    ngx_http_s3_cache_ctx_t    *lead;          /* whose request this is; NULL:
                                                  another node's, or gone */
} errand_t;


static ngx_int_t peer_object(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin, ngx_http_s3_cache_near_t **owners,
    ngx_uint_t n, ngx_uint_t former);
static ngx_int_t peer_block(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin, uint64_t block,
    ngx_http_s3_cache_near_t **owners, ngx_uint_t n, ngx_uint_t former);
static ngx_msec_t errand_patience(ngx_http_s3_cache_ctx_t *ctx);
static errand_t *errand_create(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin, ngx_http_s3_cache_near_t **owners,
    ngx_uint_t nowners, ngx_uint_t former);
static ngx_int_t errand_ask(errand_t *errand, ngx_uint_t slot);
static ngx_int_t errand_next(errand_t *errand);
static void errand_drop(errand_t *errand);
static void errand_fail(errand_t *errand, uint32_t reason);
static ngx_int_t errand_on_meta(ngx_http_s3_cache_ask_t *ask,
    const s3c_wire_meta_t *meta, u_char *head);
static ngx_int_t errand_object(errand_t *errand,
    const s3c_wire_meta_t *meta, u_char *head);
static ngx_int_t errand_block(ngx_http_s3_cache_job_t *job,
    const s3c_wire_meta_t *meta);
static ngx_int_t errand_on_data(ngx_http_s3_cache_ask_t *ask,
    const u_char *data, size_t len);
static void errand_on_idle(ngx_http_s3_cache_ask_t *ask);
static void errand_on_slow(ngx_http_s3_cache_ask_t *ask);
static ngx_uint_t errand_may_ask(ngx_uint_t code);
static void errand_end(errand_t *errand);
static void errand_on_end(ngx_http_s3_cache_ask_t *ask, ngx_uint_t code);


/* Where an object lies on the ring, or the stripe of it that begins at `off`.
 * ERROR: nowhere. */

static ngx_int_t
peer_point(ngx_http_s3_cache_ctx_t *ctx, uint64_t off, uint64_t *where)
{
    ngx_http_s3_cache_target_t  *target;

    target = ngx_http_s3_cache_target(ctx);
    if (target == NULL) {
        return NGX_ERROR;
    }

    *where = ngx_http_s3_cache_view_point(ctx->zone->peers, &target->ident,
                                          off);

    return NGX_OK;
}


/* Who has it? 0: this node, or nobody. */

static ngx_uint_t
peer_owners(ngx_http_s3_cache_ctx_t *ctx, uint64_t off,
    ngx_http_s3_cache_near_t **owners)
{
    uint64_t    point;
    ngx_uint_t  n;

    if (ctx->zone->peers == NULL || ctx->served
        || peer_point(ctx, off, &point) != NGX_OK)
    {
        return 0;
    }

    n = ngx_http_s3_cache_view_owners(ctx->zone->peers, point, owners);

    return (n > 0 && owners[0] != NULL) ? n : 0;
}


void
ngx_http_s3_cache_peer_truth(ngx_http_s3_cache_ctx_t *ctx)
{
    uint64_t  point;

    if (ctx->zone->peers != NULL && ctx->zone->peers->redis != NULL
        && peer_point(ctx, 0, &point) == NGX_OK)
    {
        ngx_http_s3_cache_view_truth(ctx->zone->peers, point);
    }
}


ngx_uint_t
ngx_http_s3_cache_peer_foreign(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_http_s3_cache_near_t  *owners[S3C_RING_OWNERS];

    return peer_owners(ctx, 0, owners) != 0;
}


/* Who had it? 0: nobody that would know more than the origin. Where the rings
 * of two nodes differ because one is late, it may be the owner by this ring. */

static ngx_uint_t
peer_former(ngx_http_s3_cache_ctx_t *ctx, uint64_t off,
    ngx_http_s3_cache_near_t **owner)
{
    uint64_t                   point;
    ngx_uint_t                 n;
    ngx_http_s3_cache_near_t  *owners[S3C_RING_OWNERS];

    if (ctx->zone->peers == NULL || ctx->kept
        || ngx_http_s3_cache_wants_truth(ctx)
        || peer_point(ctx, off, &point) != NGX_OK)
    {
        return 0;
    }

    *owner = NULL;

    if (ctx->first) {
        n = ngx_http_s3_cache_view_owners(ctx->zone->peers, point, owners);
        *owner = (n > 0) ? owners[0] : NULL;
    }

    if (*owner == NULL) {
        *owner = ngx_http_s3_cache_view_former(ctx->zone->peers, point);
    }

    return *owner != NULL;
}


ngx_int_t
ngx_http_s3_cache_peer_object(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin)
{
    ngx_uint_t                 n;
    ngx_http_s3_cache_near_t  *owners[S3C_RING_OWNERS];

    n = peer_owners(ctx, 0, owners);

    return n ? peer_object(ctx, pin, owners, n, 0) : NGX_DECLINED;
}


ngx_int_t
ngx_http_s3_cache_former_object(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin)
{
    ngx_uint_t                 n;
    ngx_http_s3_cache_near_t  *owner;

    n = peer_former(ctx, 0, &owner);

    return n ? peer_object(ctx, pin, &owner, n, 1) : NGX_DECLINED;
}


static ngx_int_t
peer_object(ngx_http_s3_cache_ctx_t *ctx, const s3c_ram_pin_t *pin,
    ngx_http_s3_cache_near_t **owners, ngx_uint_t n, ngx_uint_t former)
{
    errand_t                 *errand;
    s3c_wire_ask_t           *ask;
    ngx_http_s3_cache_job_t  *job;

    errand = errand_create(ctx, pin, owners, n, former);
    if (errand == NULL) {
        return NGX_ERROR;
    }

    job = errand->job;
    ask = &errand->asks[0].ask;
    ask->what = ctx->head ? S3C_WIRE_HEAD : S3C_WIRE_OBJECT;

    if (ngx_http_s3_cache_wants_truth(ctx)) {
        ask->flags |= S3C_WIRE_TRUTH;
    }

    if (ctx->ask.checksum_mode && ctx->ask.range.kind == S3C_RANGE_NONE) {
        ask->flags |= S3C_WIRE_FULL;
    }

    job->bodyless = ctx->head;
    if (!former) {
        job->heat = ngx_http_s3_cache_mirror_heat(ctx, ctx->object);
    }


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

    if (ctx->request != NULL) {
        errand->lead = ctx;
        ctx->errand = errand;
    }

    return errand_next(errand);
}


ngx_int_t
ngx_http_s3_cache_peer_block(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin, uint64_t block)
{
    ngx_uint_t                 n;
    ngx_http_s3_cache_near_t  *owners[S3C_RING_OWNERS];

    n = peer_owners(ctx, block * ctx->conf->block_size, owners);

    return n ? peer_block(ctx, pin, block, owners, n, 0) : NGX_DECLINED;
}


ngx_int_t
ngx_http_s3_cache_former_block(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin, uint64_t block)
{
    ngx_uint_t                 n;
    ngx_http_s3_cache_near_t  *owner;

    n = peer_former(ctx, block * ctx->conf->block_size, &owner);

    return n ? peer_block(ctx, pin, block, &owner, n, 1) : NGX_DECLINED;
}


static ngx_int_t
peer_block(ngx_http_s3_cache_ctx_t *ctx, const s3c_ram_pin_t *pin,
    uint64_t block, ngx_http_s3_cache_near_t **owners, ngx_uint_t n,
    ngx_uint_t former)
{
    errand_t                 *errand;
    s3c_wire_ask_t           *ask;
    ngx_http_s3_cache_job_t  *job;

    errand = errand_create(ctx, pin, owners, n, former);
    if (errand == NULL) {
        return NGX_ERROR;
    }

    job = errand->job;

    if (ngx_http_s3_cache_job_block(job, ctx, block) != NGX_OK) {
        errand_fail(errand, NGX_HTTP_S3_CACHE_FILL_ROOM);
        return NGX_ERROR;
    }

    job->key = s3c_key_block(job->zone->secret, job->object, job->generation,
                             block, job->conf->block_size);

    if (!former) {
        job->heat = ngx_http_s3_cache_mirror_heat(ctx, job->key);
    }

    ask = &errand->asks[0].ask;
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
    ngx_http_s3_cache_near_t **owners, ngx_uint_t nowners, ngx_uint_t former)
{
    u_char                      *version;
    errand_t                    *errand;
    s3c_wire_ask_t              *ask;
    ngx_http_s3_cache_job_t     *job;
    ngx_http_s3_cache_ask_t     *first;
    ngx_http_s3_cache_target_t  *target;

    job = ngx_http_s3_cache_job_create(ctx, pin);
    if (job == NULL) {
        return NULL;
    }

    target = ngx_http_s3_cache_target(ctx);
    version = NULL;
    errand = ngx_pcalloc(job->pool, sizeof(errand_t));

    if (target != NULL && target->op.version_id.len > 0) {
        version = ngx_pnalloc(job->pool, target->op.version_id.len);
    }

    if (errand == NULL || target == NULL
        || (target->op.version_id.len > 0 && version == NULL))
    {
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
        ngx_http_s3_cache_job_destroy(job);
        return NULL;
    }

    job->errand = errand;

    /* what is another node's is not kept here; and who asks from there must
       not wait for it */
    job->keep = former;
    job->store = former && !ctx->head;
    job->key = ctx->object;              /* a block has its own */

    if (!former) {
        s3c_ram_fill_mark(job->zone->ram, &job->pin,
                          NGX_HTTP_S3_CACHE_MARK_PEER);
    }

    errand->job = job;
    errand->former = former;
    errand->nowners = nowners;
    ngx_memcpy(errand->owners, owners, nowners * sizeof(void *));

    first = &errand->asks[0];
    first->pool = job->pool;
    first->patience = errand_patience(ctx);
    first->data = errand;
    first->on_meta = errand_on_meta;
    first->on_data = errand_on_data;
    first->on_idle = errand_on_idle;
    first->on_end = errand_on_end;
    first->on_slow = errand_on_slow;

    ask = &first->ask;
    ask->location = job->conf->location;
    ask->flags = former ? S3C_WIRE_KEPT : 0;
    ask->window = ngx_max(job->conf->block_size,
                          NGX_HTTP_S3_CACHE_ERROR_BODY_MAX);

    /* job->path is "/bucket/key" */
    ask->bucket = s3c_slice(job->path.data + 1, target->addr.bucket.len);
    ask->key = s3c_slice(job->path.data + 2 + target->addr.bucket.len,
                         target->addr.key.len);

    if (version != NULL) {
        ngx_memcpy(version, target->op.version_id.data,
                   target->op.version_id.len);
        ask->version_id = s3c_slice(version, target->op.version_id.len);
    }

    return errand;
}


/* The next owner that can be asked. DECLINED: there is none, or it is this
 * node's turn. */

static ngx_int_t
errand_ask(errand_t *errand, ngx_uint_t slot)
{
    s3c_wire_ask_t            *ask;
    ngx_http_s3_cache_job_t   *job;
    ngx_http_s3_cache_near_t  *near;

    job = errand->job;

    ask = &errand->asks[slot].ask;

    while (errand->tried < errand->nowners) {
        near = errand->owners[errand->tried];

        if (near == NULL) {
            break;
        }

        if (errand->tried++ == 0 && !errand->former) {
            ask->flags |= S3C_WIRE_FIRST;

        } else {
            ask->flags &= ~S3C_WIRE_FIRST;
        }

        if (ngx_http_s3_cache_ask_start(&errand->asks[slot], near) == NGX_OK)
        {
            errand->active |= 1 << slot;

            s3c_stats_add(&job->zone->stats,
                          errand->former ? S3C_STAT_PEER_FORMER
                                         : S3C_STAT_PEER_ASKED, 1);
            s3c_stats_node_add(&near->counts, S3C_NODE_STAT_FORMER,
                               errand->former);
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* The next owner, else the origin. */

static ngx_int_t
errand_next(errand_t *errand)
{
    ngx_http_s3_cache_job_t  *job;

    job = errand->job;

    if (ngx_http_s3_cache_view_over(job->zone->peers)) {
        errand_fail(errand, S3C_FILL_REASON_DIED);
        return NGX_ERROR;
    }

    if (errand_ask(errand, 0) == NGX_OK) {
        return NGX_OK;
    }

    if (errand->lead != NULL) {
        errand->lead->errand = NULL;
    }

    job->errand = NULL;
    job->keep = 1;
    s3c_ram_fill_mark(job->zone->ram, &job->pin, 0);

    return ngx_http_s3_cache_job_origin(job);
}


/* The job goes, and who leads it is told. */

static void
errand_end(errand_t *errand)
{
    if (errand->lead != NULL) {
        errand->lead->errand = NULL;
    }

    ngx_http_s3_cache_job_destroy(errand->job);
}


/* The request goes, the errand goes on. */

void
ngx_http_s3_cache_errand_leave(ngx_http_s3_cache_ctx_t *ctx)
{
    errand_t *errand = ctx->errand;

    if (errand != NULL) {
        errand->lead = NULL;
        ctx->errand = NULL;
    }
}


/* Nobody hears what is still under way. */

static void
errand_drop(errand_t *errand)
{
    ngx_uint_t  i;

    for (i = 0; i < 2; i++) {
        if (errand->active & (1 << i)) {
            ngx_http_s3_cache_ask_cancel(&errand->asks[i]);
        }
    }

    errand->active = 0;
}


static void
errand_fail(errand_t *errand, uint32_t reason)
{
    errand_drop(errand);

    if (!errand->job->settled) {
        ngx_http_s3_cache_job_fail(errand->job, reason);
    }

    errand_end(errand);
}


/* --- the answer ------------------------------------------------------------- */

/* Nothing is heard of it: the next one is asked, too. */

static void
errand_on_slow(ngx_http_s3_cache_ask_t *ask)
{
    errand_t *errand = ask->data;

    ngx_uint_t  other;

    other = (ask == &errand->asks[0]);
    s3c_stats_add(&errand->job->zone->stats, S3C_STAT_PEER_HEDGED, 1);

    if (!(errand->active & (1 << other))) {

        errand->asks[other] = *ask;
        ngx_memzero(&errand->asks[other].stream,
                    sizeof(ngx_http_s3_cache_stream_t));

        if (errand_ask(errand, other) == NGX_OK) {
            return;
        }
    }

    /* all are silent: this node is the next, or the origin */

    errand_drop(errand);
    (void) errand_next(errand);
}


static ngx_int_t
errand_on_meta(ngx_http_s3_cache_ask_t *ask, const s3c_wire_meta_t *meta,
    u_char *head)
{
    errand_t *errand = ask->data;

    ngx_int_t                 rc;
    ngx_uint_t                other;
    ngx_http_s3_cache_job_t  *job;

    job = errand->job;
    other = (ask == &errand->asks[0]);

    rc = job->part ? errand_block(job, meta) : errand_object(errand, meta, head);

    if (rc == NGX_OK) {
        errand->answers = ask;

        if (errand->former) {
            s3c_stats_add(&job->zone->stats, S3C_STAT_PEER_FORMER_HIT, 1);
        }

        if (errand->active & (1 << other)) {
            ngx_http_s3_cache_ask_cancel(&errand->asks[other]);
            errand->active &= ~(1 << other);
        }

        return NGX_OK;
    }

    if (rc == NGX_DECLINED) {
        /* not what was asked: perhaps the next one knows better */
        s3c_stats_add(&job->zone->stats, S3C_STAT_PEER_LIES, 1);
        s3c_stats_node_add(&ask->near->counts, S3C_NODE_STAT_WRONG, 1);

        ngx_http_s3_cache_ask_cancel(ask);
        errand->active &= ~(1 << !other);

        if (errand->active == 0) {
            (void) errand_next(errand);
        }

        return NGX_ERROR;
    }

    errand_fail(errand, NGX_HTTP_S3_CACHE_FILL_ROOM);

    return NGX_ERROR;
}


/* DECLINED: it lies. ERROR: no memory, or nobody wants the rest. */

static ngx_int_t
errand_object(errand_t *errand, const s3c_wire_meta_t *meta, u_char *head)
{
    size_t                    body;
    uint64_t                  now;
    s3c_hash128_t             key;
    s3c_ram_pin_t             next;
    s3c_record_sh_t          *rec;
    s3c_record_view_t         view;
    ngx_http_s3_cache_job_t  *job;

    job = errand->job;
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

    rec->flags &= ~(S3C_RECORD_STORED | S3C_RECORD_APART | S3C_RECORD_FOUND
                    | S3C_RECORD_MIRROR);

    if (meta->flags) {
        rec->flags |= S3C_RECORD_FOUND;
    }

    if (job->head) {
        rec->flags &= ~S3C_RECORD_INLINE;

        if (rec->flags & S3C_RECORD_ERROR) {
            rec->flags |= S3C_RECORD_NOBODY;
        }
    }

    rec->validated_ms = now - ngx_min(meta->age_ms, now);
    rec->expires_ms = (meta->left_ms == UINT64_MAX)
                      ? UINT64_MAX : now + ngx_min(meta->left_ms, now);

    ngx_http_s3_cache_mirror_record(job, rec, &view, meta->head_bytes + body);
    s3c_record_seal(rec);

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

    if (!job->keep) {
        s3c_ram_fill_mark(job->zone->ram, &job->pin,
                          NGX_HTTP_S3_CACHE_MARK_PEER);
    }

    if (errand->lead != NULL) {
        /* nobody has seen the record yet, so nobody else holds this */
        ngx_http_s3_cache_ahead_lend(errand->lead, job->block, &job->pin);
    }

    job->generation = view.generation;
    job->total = view.total;
    job->settled = 0;
    job->size = 0;
    job->off = 0;
    job->published = 0;

    if (ngx_http_s3_cache_mirror_alloc(job, meta->bytes) != S3C_OK) {
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

    return ngx_http_s3_cache_mirror_alloc(job, bytes) == S3C_OK
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
        errand_fail(errand, NGX_HTTP_S3_CACHE_FILL_BROKEN);
        return NGX_ERROR;
    }

    s3c_stats_add(&job->zone->stats, S3C_STAT_PEER_BYTES, len);

    while (len > 0) {
        n = 1;

        if (s3c_ram_span(job->zone->ram, &job->pin, job->off,
                         job->size - job->off, &iov, &n) == 0)
        {
            errand_fail(errand, NGX_HTTP_S3_CACHE_FILL_ROOM);
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


/* The node cannot, but another one may. */

static ngx_uint_t
errand_may_ask(ngx_uint_t code)
{
    return code == NGX_HTTP_S3_CACHE_FILL_ELSEWHERE
           || code == NGX_HTTP_S3_CACHE_FILL_ROOM
           || code == NGX_HTTP_S3_CACHE_FILL_TIMEOUT
           || code == NGX_HTTP_S3_CACHE_FILL_UNREACHABLE;
}


static void
errand_on_end(ngx_http_s3_cache_ask_t *ask, ngx_uint_t code)
{
    errand_t *errand = ask->data;

    uint32_t                  reason;
    ngx_uint_t                lost;
    ngx_http_s3_cache_job_t  *job;

    job = errand->job;
    errand->active &= ~(ask == &errand->asks[0] ? 1 : 2);

    if (job->settled) {
        errand_drop(errand);
        errand_end(errand);
        return;
    }

    lost = (code == NGX_HTTP_S3_CACHE_ASK_AWAY
            || code == NGX_HTTP_S3_CACHE_ASK_LOST);

    if (lost) {
        s3c_stats_add(&job->zone->stats, S3C_STAT_PEER_FAILED, 1);
    }

    if (errand->answers == NULL
        && (lost || errand->former || errand_may_ask(code)))
    {
        if (code == NGX_HTTP_S3_CACHE_FILL_TIMEOUT) {
            /* the next one would wait for the same origin */
            errand->tried = errand->nowners;
        }

        /* nothing has come: nobody has noticed */

        if (errand->active) {
            return;
        }

        if (code == NGX_HTTP_S3_CACHE_ASK_LOST && errand->again < AGAIN_MAX) {
            /* a worker of it has ended, perhaps; others are there */
            errand->again++;
            errand->tried--;
        }

        (void) errand_next(errand);
        return;
    }

    errand_drop(errand);

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

    errand_fail(errand, reason);
}
