/* SPDX-License-Identifier: Apache-2.0
 *
 * First contact with an object: one request brings its head and, when it is
 * small, all of it; of a large one, the block that the reader wants. What is
 * asked follows the reader: HEAD for HEAD, the whole for the whole, one block
 * for a range.
 *
 * The whole of an object that turns out large goes on as its first block and
 * is then cut: the blocks after it are fetched in parallel by their readers.
 */

#include "ngx_http_s3_cache_fill.h"
#include "ngx_http_s3_cache_flash.h"
#include "ngx_http_s3_cache_peers.h"


static ngx_int_t ngx_http_s3_cache_object_ask(ngx_http_s3_cache_job_t *job,
    ngx_uint_t head);
static ngx_int_t ngx_http_s3_cache_object_head(ngx_http_s3_cache_job_t *job,
    s3c_http_head_t *head);
static ngx_int_t ngx_http_s3_cache_object_small(ngx_http_s3_cache_job_t *job,
    s3c_record_spec_t *spec);
static ngx_int_t ngx_http_s3_cache_object_large(ngx_http_s3_cache_job_t *job,
    s3c_record_spec_t *spec, const s3c_s3_meta_t *meta);


ngx_int_t
ngx_http_s3_cache_fill_object(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin)
{
    ngx_http_s3_cache_job_t  *job;

    job = ngx_http_s3_cache_job_create(ctx, pin);
    if (job == NULL) {
        return NGX_ERROR;
    }

    job->bodyless = ctx->head;
    job->head = ctx->head;

    switch (ctx->ask.range.kind) {

    case S3C_RANGE_FROM_TO:
    case S3C_RANGE_FROM:
        job->ranged = 1;
        job->block = ctx->ask.range.first / job->conf->block_size;

        if (job->zone->peers != NULL
            && ctx->ask.range.first >= (uint64_t) job->zone->peers->stripe)
        {
            /* that may be another node's to fetch */
            job->head = 1;
        }
        break;

    case S3C_RANGE_SUFFIX:
        /* where it begins is not known before its length is */
        job->head = 1;
        break;

    default:
        break;
    }

    return ngx_http_s3_cache_job_origin(job);
}


ngx_int_t
ngx_http_s3_cache_object_begin(ngx_http_s3_cache_job_t *job)
{
    job->on_head = ngx_http_s3_cache_object_head;
    job->key = job->object;
    job->store = 1;

    return ngx_http_s3_cache_object_ask(job, job->head);
}


static ngx_int_t
ngx_http_s3_cache_object_ask(ngx_http_s3_cache_job_t *job, ngx_uint_t head)
{
    uint64_t                   first;
    ngx_http_s3_cache_call_t  *call;

    call = ngx_http_s3_cache_job_call(job, head);
    if (call == NULL) {
        return NGX_ERROR;
    }

    if (!head && job->ranged) {

        if (job->block > UINT64_MAX / job->conf->block_size - 1) {
            /* beyond any object: its length will say so */
            call->head = 1;
            job->head = 1;

        } else {
            first = job->block * job->conf->block_size;
            ngx_http_s3_cache_job_range(call, first,
                                        first + job->conf->block_size - 1);
        }
    }

    if (call->head || !job->ranged) {
        /* a ranged answer never carries checksums */
        ngx_http_s3_cache_job_header(call, "x-amz-checksum-mode",
                                     (u_char *) "ENABLED", 7);
    }

    ngx_http_s3_cache_call_start(call);

    return NGX_OK;
}


static ngx_int_t
ngx_http_s3_cache_object_head(ngx_http_s3_cache_job_t *job,
    s3c_http_head_t *head)
{
    s3c_s3_meta_t      meta;
    s3c_record_spec_t  spec;

    if (head->status == 416 && job->ranged && !job->head) {
        /* shorter than the reader thinks, or empty: learn how long it is */

        if (ngx_http_s3_cache_object_ask(job, 1) != NGX_OK) {
            ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
        }

        return NGX_ERROR;
    }

    if (head->status < 500) {
        ngx_http_s3_cache_flash_superseded(job->zone, job->object);
    }

    if (head->status >= 300) {
        return ngx_http_s3_cache_object_error(job, head);
    }

    if (s3c_s3_meta_parse(head, job->head, &meta) != S3C_OK
        || meta.sse_customer)
    {
        /* an answer we cannot keep is the client's to have as it is */
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_PASS);
        return NGX_ERROR;
    }

    if (ngx_http_s3_cache_job_spec(job, head, &meta, &spec) != NGX_OK) {
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
        return NGX_ERROR;
    }

    if (job->head) {
        /* metadata alone; a body comes as blocks when somebody reads it */

        if (ngx_http_s3_cache_job_alloc(job, &spec, 0) != S3C_OK) {
            ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    if (meta.total <= job->conf->block_size && meta.first == 0
        && (meta.total == 0 || meta.last == meta.total - 1))
    {
        return ngx_http_s3_cache_object_small(job, &spec);
    }

    return ngx_http_s3_cache_object_large(job, &spec, &meta);
}


ngx_int_t
ngx_http_s3_cache_job_spec(ngx_http_s3_cache_job_t *job,
    s3c_http_head_t *head, const s3c_s3_meta_t *meta,
    s3c_record_spec_t *spec)
{
    u_char             *block;
    size_t              pos;
    s3c_writer_t        w;
    s3c_http_header_t   h;

    block = ngx_pnalloc(job->pool, head->head_bytes);
    if (block == NULL) {
        return NGX_ERROR;
    }

    s3c_writer_init(&w, block, head->head_bytes);
    s3c_s3_meta_render(&w, head);

    if (!s3c_writer_ok(&w)) {
        return NGX_ERROR;
    }

    ngx_memzero(spec, sizeof(s3c_record_spec_t));

    spec->status = 200;
    spec->flags = (job->head || head->status == 200) ? S3C_RECORD_FULL : 0;
    spec->total = meta->total;
    spec->generation = meta->generation;
    spec->last_modified = meta->last_modified;
    spec->etag = meta->etag;
    spec->headers = s3c_writer_slice(&w);
    spec->ident = job->ident;
    spec->asked_ms = job->begun_ms;
    spec->expires_ms = ngx_http_s3_cache_conf_expires(job->conf, 200,
                                                  ngx_http_s3_cache_now());

    for (pos = 0; s3c_s3_meta_next(spec->headers, &pos, &h); /* void */) {
        if (s3c_s3_meta_is_checksum(h.name)) {
            spec->flags |= S3C_RECORD_SUMS;
            break;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_s3_cache_object_small(ngx_http_s3_cache_job_t *job,
    s3c_record_spec_t *spec)
{
    spec->flags |= S3C_RECORD_INLINE;

    if (ngx_http_s3_cache_job_alloc(job, spec, spec->total) != S3C_OK) {
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * The record is complete at once. The job leads on for the block whose bytes
 * follow; that entry is there before the record is, so that a reader who
 * wakes up finds a leader.
 */

static ngx_int_t
ngx_http_s3_cache_object_large(ngx_http_s3_cache_job_t *job,
    s3c_record_spec_t *spec, const s3c_s3_meta_t *meta)
{
    size_t         block_size;
    uint64_t       block, bytes;
    s3c_hash128_t  key;
    s3c_ram_pin_t  next;

    block_size = job->conf->block_size;

    if (ngx_http_s3_cache_job_alloc(job, spec, 0) != S3C_OK) {
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
        return NGX_ERROR;
    }

    ngx_memzero(&next, sizeof(s3c_ram_pin_t));

    block = meta->first / block_size;
    bytes = ngx_min(block_size, meta->total - block * block_size);
    key = s3c_key_block(job->zone->secret, job->object, meta->generation,
                        block, block_size);

    if (meta->first % block_size == 0
        && meta->last - meta->first + 1 >= bytes)
    {
        switch (job->warm
                ? s3c_ram_fill_begin_cold(job->zone->ram, key,
                                          job->zone->ssd != NULL,
                                          ngx_http_s3_cache_now(), &next)
                : s3c_ram_fill_begin(job->zone->ram, key,
                                     ngx_http_s3_cache_now(), &next))
        {
        case S3C_OK:
            break;

        case S3C_AGAIN:
        case S3C_EXISTS:
            s3c_ram_unpin(job->zone->ram, &next);
            break;

        default:
            break;
        }
    }

    ngx_http_s3_cache_job_commit(job);

    if (!s3c_ram_pinned(&next)) {
        return NGX_ERROR;
    }

    s3c_stats_add(&job->zone->stats, S3C_STAT_FILL_STARTED, 1);

    s3c_ram_unpin(job->zone->ram, &job->pin);
    job->pin = next;
    job->key = key;
    job->part = 1;
    job->generation = meta->generation;
    job->settled = 0;
    job->size = 0;
    job->off = 0;
    job->published = 0;
    job->enough = 1;

    if (ngx_http_s3_cache_job_alloc(job, NULL, bytes) != S3C_OK) {
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * What is not the object: 404 and the like. Those who wait share it; it stays
 * only as long as s3_cache_valid says.
 */

ngx_int_t
ngx_http_s3_cache_object_error(ngx_http_s3_cache_job_t *job,
    s3c_http_head_t *head)
{
    u_char             *block;
    uint64_t            now;
    s3c_writer_t        w;
    s3c_record_spec_t  *spec;

    if (job->head && !job->bodyless) {
        /* HEAD was our own idea: its reader wants the document */
        job->ranged = 0;

        if (ngx_http_s3_cache_object_ask(job, 0) != NGX_OK) {
            ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
        }

        return NGX_ERROR;
    }

    if (head->status == 304 || head->status == 412
        || head->status == 416 || head->length
                                  >= NGX_HTTP_S3_CACHE_ERROR_BODY_MAX)
    {
        /* to a question that nobody asked */
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_PASS);
        return NGX_ERROR;
    }

    job->store = 0;

    block = ngx_pnalloc(job->pool, head->head_bytes);
    if (block == NULL) {
        return NGX_ERROR;
    }

    s3c_writer_init(&w, block, head->head_bytes);
    s3c_s3_meta_render_error(&w, head);

    if (!s3c_writer_ok(&w)) {
        return NGX_ERROR;
    }

    spec = &job->error_spec;

    spec->status = head->status;
    spec->flags = S3C_RECORD_ERROR | (job->head ? S3C_RECORD_NOBODY
                                                : S3C_RECORD_INLINE);
    spec->generation = 1;
    spec->last_modified = -1;
    spec->headers = s3c_writer_slice(&w);
    spec->ident = job->ident;
    now = ngx_http_s3_cache_now();
    spec->asked_ms = job->begun_ms;
    spec->expires_ms = ngx_http_s3_cache_conf_expires(job->conf, head->status,
                                                      now);

    job->keep = (head->status == 404 && spec->expires_ms > now);

    if (job->head) {
        spec->total = head->has_length ? head->length : 0;

        if (ngx_http_s3_cache_job_alloc(job, spec, 0) != S3C_OK) {
            ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    job->error_size = NGX_HTTP_S3_CACHE_ERROR_BODY_MAX;
    job->error = ngx_pnalloc(job->pool, job->error_size);

    return job->error != NULL ? NGX_OK : NGX_ERROR;
}
