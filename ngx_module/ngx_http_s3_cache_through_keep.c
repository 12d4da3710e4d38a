/* SPDX-License-Identifier: Apache-2.0
 *
 * An object that was captured becomes an entry of the cache. It is a fill like
 * any other, begun when the fence of its write has ended, with a HEAD instead
 * of a GET: what is said of the object the origin says, and only the bytes are
 * ours. They are used if the ETag proves that they are the object's.
 *
 *   begin    leads the record's entry: readers follow; asks
 *   head     is it what was written?
 *   run      blocks, some in a turn of the event loop; then the record
 *
 * A write that comes meanwhile, here or at another node, drops the record's
 * entry as it does that of any fill. The blocks are found by the version alone.
 * It lives in its worker; the client does not matter to it.
 */

#include "ngx_http_s3_cache_fill.h"
#include "ngx_http_s3_cache_flash.h"
#include "ngx_http_s3_cache_peer.h"
#include "ngx_http_s3_cache_through.h"


#define TURN_BYTES  (4 * 1024 * 1024)
#define TURN_MSEC   1


typedef struct {
    ngx_http_s3_cache_job_t      *job;
    ngx_http_s3_cache_keep_t      keep;
    ngx_pool_t                   *pool;       /* of `keep` */
    s3c_written_piece_t          *pieces;
    size_t                        npieces;
    size_t                        piece;      /* where `off` is */
    uint64_t                      off;        /* what is before it is done */
    uint64_t                      kept;       /* bytes */
    s3c_record_spec_t             spec;
    s3c_stat_t                    lost;       /* why, if it is */
    ngx_event_t                   event;
    unsigned                      proved:1;
    unsigned                      foreign:1;  /* another node's */
} through_t;


static ngx_http_s3_cache_job_t *keep_lead(ngx_http_s3_cache_write_t *w,
    ngx_uint_t *foreign);
static ngx_int_t keep_ask(through_t *t);
static ngx_int_t keep_on_head(ngx_http_s3_cache_call_t *call,
    s3c_http_head_t *head);
static ngx_int_t keep_head(through_t *t, s3c_http_head_t *head);
static ngx_uint_t keep_is_proved(through_t *t, s3c_http_head_t *head,
    const s3c_s3_meta_t *meta);
static void keep_on_end(ngx_http_s3_cache_call_t *call,
    ngx_http_s3_cache_call_end_e end);
static void keep_run(ngx_event_t *ev);
static ngx_int_t keep_inline(through_t *t);
static void keep_block(through_t *t, uint64_t block);
static ngx_int_t keep_copy(through_t *t, const s3c_ram_pin_t *to, size_t at,
    uint64_t end);
static ngx_int_t keep_record(through_t *t);
static void keep_end(through_t *t, ngx_int_t rc);


/* used within one call, and large */
static ngx_http_s3_cache_target_t  keep_target;


void
ngx_http_s3_cache_through_keep(ngx_http_s3_cache_write_t *w, ngx_pool_t *pool,
    const ngx_http_s3_cache_keep_t *keep)
{
    through_t                 *t;
    ngx_uint_t                 foreign;
    ngx_http_s3_cache_job_t   *job;
    ngx_http_s3_cache_zone_t  *zone;

    zone = w->ctx->zone;
    job = keep_lead(w, &foreign);

    if (job == NULL) {
        s3c_stats_add(&zone->stats, S3C_STAT_THROUGH_OVERTAKEN, 1);
        ngx_http_s3_cache_through_forget(zone, keep);
        ngx_destroy_pool(pool);
        return;
    }

    t = ngx_pcalloc(job->pool, sizeof(through_t));

    if (t == NULL) {
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_AGAIN);
        ngx_http_s3_cache_job_destroy(job);
        ngx_http_s3_cache_through_forget(zone, keep);
        ngx_destroy_pool(pool);
        return;
    }

    t->job = job;
    t->keep = *keep;
    t->keep.tag = w->fence.tag;
    t->pool = pool;
    t->lost = S3C_STAT_THROUGH_ORIGIN;
    t->foreign = foreign ? 1 : 0;
    job->written = t;

    if (keep_ask(t) != NGX_OK) {
        keep_end(t, NGX_ERROR);
    }
}


/* NULL: it is being written or read again. */

static ngx_http_s3_cache_job_t *
keep_lead(ngx_http_s3_cache_write_t *w, ngx_uint_t *foreign)
{
    s3c_ram_pin_t                   pin;
    ngx_http_s3_cache_ctx_t         ctx;
    ngx_http_s3_cache_job_t        *job;
    ngx_http_s3_cache_target_t     *target;
    ngx_http_s3_cache_main_conf_t  *mcf;

    mcf = ngx_http_s3_cache_main_conf(w->ctx);

    if (ngx_http_s3_cache_fence_config(mcf, w->ctx->conf->origin->id)
        != NGX_OK)
    {
        return NULL;                   /* nginx was reloaded under it */
    }

    target = &keep_target;
    target->addr = w->ctx->target->addr;

    ngx_memzero(&ctx, sizeof(ngx_http_s3_cache_ctx_t));

    ctx.conf = w->ctx->conf;
    ctx.zone = w->ctx->zone;
    ctx.log = ngx_cycle->log;
    ctx.target = target;
    ctx.identity = ngx_http_s3_cache_fence_identity(&ctx, target->addr.bucket,
                                                    target->addr.key,
                                                    S3C_SLICE_NONE);

    if (s3c_ident_make(&target->ident, ctx.identity, target->addr.bucket,
                       target->addr.key, S3C_SLICE_NONE)
        != S3C_OK)
    {
        return NULL;
    }

    ctx.object = s3c_key_object(ctx.zone->secret, &target->ident);

    ngx_memzero(&pin, sizeof(s3c_ram_pin_t));

    if (s3c_ram_fill_begin(ctx.zone->ram, ctx.object, ngx_http_s3_cache_now(),
                           &pin)
        != S3C_OK)
    {
        if (s3c_ram_pinned(&pin)) {
            s3c_ram_unpin(ctx.zone->ram, &pin);
        }

        return NULL;
    }

    job = NULL;

    if (ngx_http_s3_cache_fenced_object(ctx.zone, ctx.conf,
                                        target->addr.bucket,
                                        target->addr.key))
    {
        s3c_ram_fill_fail(ctx.zone->ram, &pin, NGX_HTTP_S3_CACHE_FILL_AGAIN);

    } else {
        job = ngx_http_s3_cache_job_create(&ctx, &pin);
    }

    s3c_ram_unpin(ctx.zone->ram, &pin);

    if (job != NULL) {
        *foreign = ngx_http_s3_cache_peer_foreign(&ctx);

        job->key = ctx.object;
        /* what is another node's is looked for there, not on this flash */
        job->store = !ctx.flash_off && !*foreign;
    }

    return job;
}


static ngx_int_t
keep_ask(through_t *t)
{
    ngx_http_s3_cache_call_t  *call;

    call = ngx_http_s3_cache_job_call(t->job, 1);
    if (call == NULL) {
        return NGX_ERROR;
    }

    call->on_head = keep_on_head;
    call->on_end = keep_on_end;

    ngx_http_s3_cache_job_header(call, "x-amz-checksum-mode",
                                 (u_char *) "ENABLED", 7);
    ngx_http_s3_cache_call_start(call);

    return NGX_OK;
}


/* A HEAD has no body: the call ends by itself and keeps its connection. */

static ngx_int_t
keep_on_head(ngx_http_s3_cache_call_t *call, s3c_http_head_t *head)
{
    ngx_http_s3_cache_job_t *job = call->data;

    through_t *t = job->written;

    t->proved = (keep_head(t, head) == NGX_OK);

    return NGX_OK;
}


static ngx_int_t
keep_head(through_t *t, s3c_http_head_t *head)
{
    u_char                        *etag;
    time_t                         valid;
    s3c_s3_meta_t                  meta;
    ngx_http_s3_cache_job_t       *job;
    ngx_http_s3_cache_loc_conf_t  *lcf;

    job = t->job;
    lcf = job->conf;

    if (head->status != 200 || s3c_s3_meta_parse(head, true, &meta) != S3C_OK
        || meta.sse_customer || s3c_written_is_archived(head))
    {
        return NGX_ERROR;
    }

    ngx_http_s3_cache_flash_superseded(job->zone, job->object);

    t->lost = S3C_STAT_THROUGH_CHANGED;

    if (!keep_is_proved(t, head, &meta)) {
        return NGX_ERROR;
    }

    t->lost = S3C_STAT_THROUGH_LARGE;

    if (meta.total > ngx_http_s3_cache_through_max(lcf)) {
        return NGX_ERROR;
    }

    t->lost = S3C_STAT_THROUGH_CHANGED;
    t->pieces = ngx_palloc(t->pool,
                           t->keep.nbodies * sizeof(s3c_written_piece_t));

    if (t->pieces == NULL
        || s3c_written_lay(t->keep.bodies, t->keep.nbodies, meta.total,
                           t->pieces, &t->npieces)
           != S3C_OK)
    {
        return NGX_ERROR;
    }

    t->lost = S3C_STAT_THROUGH_ROOM;
    etag = ngx_pnalloc(job->pool, meta.etag.len);

    if (etag == NULL
        || ngx_http_s3_cache_job_spec(job, head, &meta, &t->spec) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* the head goes with the call */
    ngx_memcpy(etag, meta.etag.data, meta.etag.len);
    t->spec.etag = s3c_slice(etag, meta.etag.len);

    if (t->foreign) {
        t->spec.flags |= S3C_RECORD_WRITTEN;
    }

    valid = lcf->write_through_valid;
    t->spec.expires_ms = (valid == NGX_HTTP_S3_CACHE_VALID_FOREVER)
                         ? UINT64_MAX
                         : ngx_http_s3_cache_now() + (uint64_t) valid * 1000;

    return NGX_OK;
}


static ngx_uint_t
keep_is_proved(through_t *t, s3c_http_head_t *head, const s3c_s3_meta_t *meta)
{
    ngx_http_s3_cache_keep_t  *keep;

    keep = &t->keep;

    if (keep->version.len > 0
        && !s3c_slice_eq(ngx_http_s3_cache_slice(&keep->version),
                         meta->version_id))
    {
        return 0;
    }

    if (keep->parts > 0) {
        return s3c_written_is_upload(meta->etag, keep->md5, keep->parts);
    }

    return meta->total == keep->bodies[0].body.length
           && s3c_written_is_object(meta->etag,
                                    ngx_http_s3_cache_slice(&keep->etag),
                                    s3c_written_encryption(head), keep->md5);
}


static void
keep_on_end(ngx_http_s3_cache_call_t *call, ngx_http_s3_cache_call_end_e end)
{
    ngx_http_s3_cache_job_t *job = call->data;

    through_t *t = job->written;

    job->call = NULL;

    if (!t->proved) {
        keep_end(t, NGX_ERROR);
        return;
    }

    t->event.handler = keep_run;
    t->event.data = t;
    t->event.log = ngx_cycle->log;

    keep_run(&t->event);
}


static void
keep_run(ngx_event_t *ev)
{
    through_t *t = ev->data;

    size_t    block_size;
    uint64_t  from;

    block_size = t->job->conf->block_size;

    if (t->spec.total <= block_size) {
        keep_end(t, keep_inline(t));
        return;
    }

    /* readers wait for the record: what they find then has its blocks */

    for (from = t->off; t->off < t->spec.total; /* void */) {

        if (t->off - from >= TURN_BYTES) {
            ngx_add_timer(ev, TURN_MSEC);
            return;
        }

        keep_block(t, t->off / block_size);
    }

    keep_end(t, t->kept > 0 ? keep_record(t) : NGX_ERROR);
}


static ngx_int_t
keep_inline(through_t *t)
{
    s3c_ram_t                *ram;
    ngx_http_s3_cache_job_t  *job;

    job = t->job;
    ram = job->zone->ram;

    t->spec.flags |= S3C_RECORD_INLINE;

    if (ngx_http_s3_cache_job_alloc(job, &t->spec, t->spec.total) != S3C_OK
        || keep_copy(t, &job->pin, s3c_ram_size(ram, &job->pin)
                                   - t->spec.total, t->spec.total)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    t->kept = t->spec.total;
    ngx_http_s3_cache_job_commit(job);

    return NGX_OK;
}


/* One that cannot be made is read from the origin when somebody wants it. */

static void
keep_block(through_t *t, uint64_t block)
{
    size_t                     size;
    uint64_t                   end;
    ngx_int_t                  stored;
    s3c_ram_t                 *ram;
    s3c_hash128_t              key;
    s3c_ram_pin_t              pin;
    ngx_http_s3_cache_job_t   *job;
    ngx_http_s3_cache_zone_t  *zone;

    job = t->job;
    zone = job->zone;
    ram = zone->ram;

    end = ngx_min(t->off + job->conf->block_size, t->spec.total);
    size = end - t->off;

    key = s3c_key_block(zone->secret, job->object, t->spec.generation, block,
                        job->conf->block_size);
    ngx_memzero(&pin, sizeof(s3c_ram_pin_t));

    if (!s3c_written_covers(t->pieces, t->npieces, t->off, end, t->piece)) {
        t->off = end;
        return;
    }

    if (s3c_ram_fill_begin(ram, key, ngx_http_s3_cache_now(), &pin) != S3C_OK)
    {
        if (s3c_ram_pinned(&pin)) {
            /* the same bytes, of the same second, were written before */
            s3c_ram_unpin(ram, &pin);
            t->kept += size;
        }

        t->off = end;
        return;
    }

    s3c_stats_add(&zone->stats, S3C_STAT_FILL_STARTED, 1);

    if (s3c_ram_fill_alloc(ram, &pin, size, 0, ngx_http_s3_cache_now())
        != S3C_OK
        || keep_copy(t, &pin, 0, end) != NGX_OK)
    {
        s3c_ram_fill_fail(ram, &pin, NGX_HTTP_S3_CACHE_FILL_AGAIN);
        s3c_stats_add(&zone->stats, S3C_STAT_FILL_FAILED, 1);
        s3c_ram_unpin(ram, &pin);
        t->off = end;
        return;
    }

    stored = NGX_DECLINED;

    if (job->store) {
        stored = ngx_http_s3_cache_flash_put(zone, key, &pin, 0,
                                             t->spec.generation);
    }

    if (s3c_ram_fill_commit(ram, &pin, ngx_http_s3_cache_now()) != S3C_OK
        && stored == NGX_OK)
    {
        ngx_http_s3_cache_flash_drop(zone, key);
    }

    s3c_stats_add(&zone->stats, S3C_STAT_FILL_DONE, 1);
    s3c_ram_unpin(ram, &pin);
    t->kept += size;
}


/* From t->off up to `end`; what of the chunks is not needed any more goes. */

static ngx_int_t
keep_copy(through_t *t, const s3c_ram_pin_t *to, size_t at, uint64_t end)
{
    int                        n, m;
    size_t                     done, part;
    s3c_ram_t                 *ram;
    ngx_int_t                  rc;
    struct iovec               src, dst;
    s3c_ram_pin_t              pin;
    s3c_hash128_t              key;
    s3c_written_span_t         span;
    ngx_http_s3_cache_zone_t  *zone;

    zone = t->job->zone;
    ram = zone->ram;

    while (t->off < end) {

        if (s3c_written_find(t->pieces, t->npieces, t->off, end, &t->piece,
                             &span)
            != S3C_OK)
        {
            return NGX_DECLINED;
        }

        key = s3c_key_chunk(zone->secret, span.name, span.chunk);
        ngx_memzero(&pin, sizeof(s3c_ram_pin_t));

        rc = (s3c_ram_peek(ram, key, &pin) == S3C_OK) ? NGX_OK : NGX_DECLINED;

        for (done = 0; rc == NGX_OK && done < span.len; done += part) {
            n = 1;
            m = 1;

            if (s3c_ram_span(ram, &pin, span.off + done, span.len - done,
                             &src, &n) == 0
                || s3c_ram_span(ram, to, at, span.len - done, &dst, &m) == 0)
            {
                rc = NGX_DECLINED;
                break;
            }

            part = ngx_min(src.iov_len, dst.iov_len);
            ngx_memcpy(dst.iov_base, src.iov_base, part);
            at += part;
        }

        if (s3c_ram_pinned(&pin)) {

            if (span.off + span.len == s3c_ram_size(ram, &pin)) {
                (void) s3c_ram_drop_pinned(ram, &pin);
            }

            s3c_ram_unpin(ram, &pin);
        }

        if (rc != NGX_OK) {
            return rc;                 /* evicted */
        }

        t->off += span.len;
    }

    return NGX_OK;
}


static ngx_int_t
keep_record(through_t *t)
{
    if (ngx_http_s3_cache_job_alloc(t->job, &t->spec, 0) != S3C_OK) {
        return NGX_ERROR;
    }

    ngx_http_s3_cache_job_commit(t->job);

    return NGX_OK;
}


/* What is left of the chunks is nobody's. Who followed looks again, and asks
 * the origin. */

static void
keep_end(through_t *t, ngx_int_t rc)
{
    ngx_pool_t                *pool;
    ngx_http_s3_cache_job_t   *job;
    ngx_http_s3_cache_zone_t  *zone;

    job = t->job;
    zone = job->zone;
    pool = t->pool;

    if (rc == NGX_OK) {
        s3c_stats_add(&zone->stats, S3C_STAT_THROUGH_KEPT, 1);
        s3c_stats_add(&zone->stats, S3C_STAT_THROUGH_BYTES, t->kept);

        if (t->keep.tag != 0) {
            ngx_http_s3_cache_through_tell(job, t->keep.tag, t->foreign,
                                           &t->spec);
        }

    } else {
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_AGAIN);
        s3c_stats_add(&zone->stats, t->lost, 1);
    }

    ngx_http_s3_cache_through_forget(zone, &t->keep);

    ngx_http_s3_cache_job_destroy(job);
    ngx_destroy_pool(pool);
}
