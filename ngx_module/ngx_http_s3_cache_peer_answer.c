/* SPDX-License-Identifier: Apache-2.0
 *
 * What a node answers to an errand. It is believed only what can be checked: that
 * the record is this very object's, and that the bytes are those that were asked
 * for.
 */

#include "ngx_http_s3_cache_flash.h"
#include "ngx_http_s3_cache_mirror.h"
#include "ngx_http_s3_cache_peer_errand.h"


#define PUBLISH_BYTES  (64 * 1024)
#define AGAIN_MAX      3       /* a node is reloaded: links end one by one */


static ngx_int_t errand_on_meta(ngx_http_s3_cache_ask_t *ask,
    const s3c_wire_meta_t *meta, u_char *head);
static ngx_uint_t errand_is_late(ngx_http_s3_cache_job_t *job,
    ngx_http_s3_cache_near_t *near, uint64_t validated_ms);
static ngx_uint_t errand_may_be_late(ngx_http_s3_cache_job_t *job,
    uint64_t validated_ms);
static uint64_t errand_hash(ngx_http_s3_cache_job_t *job);
static ngx_int_t errand_object(errand_t *errand,
    ngx_http_s3_cache_ask_t *ask, const s3c_wire_meta_t *meta, u_char *head);
static ngx_int_t errand_block(ngx_http_s3_cache_job_t *job,
    const s3c_wire_meta_t *meta);
static ngx_int_t errand_on_data(ngx_http_s3_cache_ask_t *ask,
    const u_char *data, size_t len);
static void errand_on_idle(ngx_http_s3_cache_ask_t *ask);
static void errand_on_slow(ngx_http_s3_cache_ask_t *ask);
static ngx_uint_t errand_may_ask(ngx_uint_t code);
static void errand_on_end(ngx_http_s3_cache_ask_t *ask, ngx_uint_t code);


void
ngx_http_s3_cache_errand_listen(ngx_http_s3_cache_ask_t *ask)
{
    ask->on_meta = errand_on_meta;
    ask->on_data = errand_on_data;
    ask->on_idle = errand_on_idle;
    ask->on_end = errand_on_end;
    ask->on_slow = errand_on_slow;
}


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

        if (ngx_http_s3_cache_errand_ask(errand, other) == NGX_OK) {
            return;
        }
    }

    /* all are silent: this node is the next, or the origin */

    ngx_http_s3_cache_errand_drop(errand);
    (void) ngx_http_s3_cache_errand_next(errand);
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

    rc = job->part ? errand_block(job, meta)
                   : errand_object(errand, ask, meta, head);

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

    if (rc == NGX_DECLINED || rc == NGX_BUSY) {

        if (rc == NGX_DECLINED) {
            /* not what was asked: perhaps the next one knows better */
            s3c_stats_add(&job->zone->stats, S3C_STAT_PEER_LIES, 1);
            s3c_stats_node_add(&ask->near->counts, S3C_NODE_STAT_WRONG, 1);
        }

        ngx_http_s3_cache_ask_cancel(ask);
        errand->active &= ~(1 << !other);

        if (errand->active == 0) {
            (void) ngx_http_s3_cache_errand_next(errand);
        }

        return NGX_ERROR;
    }

    ngx_http_s3_cache_errand_fail(errand, NGX_HTTP_S3_CACHE_FILL_ROOM);

    return NGX_ERROR;
}


/* A former owner may not have been told of a write that this node knows of, and
 * what it says would be kept. Who said that it has what was written last is of
 * after that. */

static ngx_uint_t
errand_is_late(ngx_http_s3_cache_job_t *job, ngx_http_s3_cache_near_t *near,
    uint64_t validated_ms)
{
    uint64_t  hash = errand_hash(job);

    return validated_ms < ngx_http_s3_cache_fence_learnt(job->zone, hash)
           && s3c_holder_find(&job->zone->peers->shared->holders, hash,
                              ngx_http_s3_cache_now())
              != s3c_hash64(near->name.data, near->name.len);
}


/*
 * A node that could not be told of a write is late by `staleness` at most, and
 * so is what it answers meanwhile; but not what is mirrored of that.
 */

static ngx_uint_t
errand_may_be_late(ngx_http_s3_cache_job_t *job, uint64_t validated_ms)
{
    uint64_t  learnt;

    learnt = ngx_http_s3_cache_fence_learnt(job->zone, errand_hash(job));

    return validated_ms < learnt
           && ngx_http_s3_cache_now_exact()
              < learnt + 2 * job->zone->peers->staleness;
}


static uint64_t
errand_hash(ngx_http_s3_cache_job_t *job)
{
    s3c_slice_t  bucket, key;

    bucket = s3c_slice(job->path.data + 1, job->bucket_len);
    key = s3c_slice(job->path.data + 2 + job->bucket_len,
                    job->path.len - 2 - job->bucket_len);

    return ngx_http_s3_cache_fence_hash(job->zone, job->conf->origin->id,
                                        bucket, key);
}


/* DECLINED: it lies. BUSY: it may be older than a write. ERROR: no memory, or
 * nobody wants the rest. */

static ngx_int_t
errand_object(errand_t *errand, ngx_http_s3_cache_ask_t *ask,
    const s3c_wire_meta_t *meta, u_char *head)
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

    if (meta->head_bytes >= sizeof(s3c_record_sh_t) + sizeof(uint64_t)) {
        /* the settings are the same at both ends, and what each of them makes
           of those is its own: generations of what was written */
        ngx_memcpy(head + sizeof(s3c_record_sh_t), job->ident->bytes,
                   sizeof(uint64_t));
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
                    | S3C_RECORD_MIRROR | S3C_RECORD_WRITTEN);

    if (meta->flags) {
        rec->flags |= S3C_RECORD_FOUND;
    }

    if (job->head) {
        rec->flags &= ~S3C_RECORD_INLINE;

        if (rec->flags & S3C_RECORD_ERROR) {
            rec->flags |= S3C_RECORD_NOBODY;
        }
    }

    rec->validated_ms = ask->sent_ms - ngx_min(meta->age_ms, ask->sent_ms);

    if (errand->former && errand_is_late(job, ask->near, rec->validated_ms)) {
        return NGX_BUSY;
    }

    rec->expires_ms = (meta->left_ms == UINT64_MAX)
                      ? UINT64_MAX : now + ngx_min(meta->left_ms, now);

    if (!errand_may_be_late(job, rec->validated_ms)) {
        ngx_http_s3_cache_mirror_record(job, rec, &view,
                                        meta->head_bytes + body);
    }

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
        ngx_http_s3_cache_errand_fail(errand, NGX_HTTP_S3_CACHE_FILL_BROKEN);
        return NGX_ERROR;
    }

    s3c_stats_add(&job->zone->stats, S3C_STAT_PEER_BYTES, len);

    while (len > 0) {
        n = 1;

        if (s3c_ram_span(job->zone->ram, &job->pin, job->off,
                         job->size - job->off, &iov, &n) == 0)
        {
            ngx_http_s3_cache_errand_fail(errand, NGX_HTTP_S3_CACHE_FILL_ROOM);
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
        ngx_http_s3_cache_errand_drop(errand);
        ngx_http_s3_cache_errand_end(errand);
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

        (void) ngx_http_s3_cache_errand_next(errand);
        return;
    }

    ngx_http_s3_cache_errand_drop(errand);

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

    ngx_http_s3_cache_errand_fail(errand, reason);
}
