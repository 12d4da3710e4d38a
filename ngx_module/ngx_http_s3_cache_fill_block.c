/* SPDX-License-Identifier: Apache-2.0
 *
 * One block of an object whose record is known: a ranged GET that names the
 * version (If-Match) and is believed only when its answer names the same one.
 */

#include "ngx_http_s3_cache_fill.h"
#include "ngx_http_s3_cache_flash.h"
#include "ngx_http_s3_cache_peer.h"


static ngx_int_t ngx_http_s3_cache_block_head(ngx_http_s3_cache_job_t *job,
    s3c_http_head_t *head);
static void ngx_http_s3_cache_block_changed(ngx_http_s3_cache_job_t *job);


ngx_int_t
ngx_http_s3_cache_fill_block(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin, uint64_t block)
{
    ngx_int_t                 rc;
    ngx_http_s3_cache_job_t  *job;

    rc = ngx_http_s3_cache_peer_block(ctx, pin, block);

    if (rc == NGX_DECLINED) {
        rc = ngx_http_s3_cache_former_block(ctx, pin, block);
    }

    if (rc != NGX_DECLINED) {
        ctx->peered = 1;
        return rc;
    }

    ctx->peered = 0;

    job = ngx_http_s3_cache_job_create(ctx, pin);
    if (job == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_s3_cache_job_block(job, ctx, block) != NGX_OK) {
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
        ngx_http_s3_cache_job_destroy(job);
        return NGX_ERROR;
    }

    return ngx_http_s3_cache_job_origin(job);
}


ngx_int_t
ngx_http_s3_cache_job_block(ngx_http_s3_cache_job_t *job,
    ngx_http_s3_cache_ctx_t *ctx, uint64_t block)
{
    u_char  *etag;

    job->part = 1;
    job->block = block;
    job->generation = ctx->view.generation;
    job->total = ctx->view.total;

    /* so that a block found changed can drop the record it belongs to; another
       node has that if it asks for the block alone */

    if (s3c_ram_pinned(&ctx->pin)
        && s3c_ram_pin_again(job->zone->ram, &ctx->pin, &job->record)
           != S3C_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->view.etag.len > 0) {
        etag = ngx_pnalloc(job->pool, ctx->view.etag.len);

        if (etag == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(etag, ctx->view.etag.data, ctx->view.etag.len);
        job->etag = s3c_slice(etag, ctx->view.etag.len);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_s3_cache_block_begin(ngx_http_s3_cache_job_t *job)
{
    uint64_t                   first, last;
    ngx_http_s3_cache_call_t  *call;

    job->on_head = ngx_http_s3_cache_block_head;
    job->ranged = 1;
    job->store = 1;
    job->key = s3c_key_block(job->zone->secret, job->object, job->generation,
                             job->block, job->conf->block_size);

    call = ngx_http_s3_cache_job_call(job, 0);
    if (call == NULL) {
        return NGX_ERROR;
    }

    first = job->block * job->conf->block_size;
    last = ngx_min(first + job->conf->block_size, job->total) - 1;

    ngx_http_s3_cache_job_range(call, first, last);

    if (job->etag.len > 0) {
        ngx_http_s3_cache_job_header(call, "If-Match",
                                     (u_char *) job->etag.data,
                                     job->etag.len);
    }

    ngx_http_s3_cache_call_start(call);

    return NGX_OK;
}


static ngx_int_t
ngx_http_s3_cache_block_head(ngx_http_s3_cache_job_t *job,
    s3c_http_head_t *head)
{
    uint64_t       first, last;
    s3c_s3_meta_t  meta;

    switch (head->status) {

    case 206:
        break;

    case 200:
        /* an origin that knows no ranges: the client may have it as it is */
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_PASS);
        return NGX_ERROR;

    case 404:
    case 412:
    case 416:
        ngx_http_s3_cache_block_changed(job);
        return NGX_ERROR;

    default:
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ORIGIN_ERROR);
        return NGX_ERROR;
    }

    if (s3c_s3_meta_parse(head, false, &meta) != S3C_OK) {
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_BROKEN);
        return NGX_ERROR;
    }

    first = job->block * job->conf->block_size;
    last = ngx_min(first + job->conf->block_size, job->total) - 1;

    if (meta.generation != job->generation || meta.total != job->total) {
        ngx_http_s3_cache_block_changed(job);
        return NGX_ERROR;
    }

    if (meta.first != first || meta.last != last) {
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_BROKEN);
        return NGX_ERROR;
    }

    if (ngx_http_s3_cache_job_alloc(job, NULL, last - first + 1) != S3C_OK) {
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_s3_cache_block_changed(ngx_http_s3_cache_job_t *job)
{
    if (s3c_ram_pinned(&job->record)) {
        (void) ngx_http_s3_cache_drop(job->zone, job->object, &job->record);
    }

    ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_CHANGED);
}
