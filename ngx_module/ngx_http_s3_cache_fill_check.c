/* SPDX-License-Identifier: Apache-2.0
 *
 * Revalidation: HEAD, and a comparison of everything it says with what is
 * kept. Not If-None-Match: a copy of an object onto itself with new metadata
 * keeps its ETag, and an RGW's 304 carries no header to compare.
 *
 * The entry that this job leads has no bytes: how it ends is the answer.
 */

#include "ngx_http_s3_cache_fill.h"
#include "ngx_http_s3_cache_fence.h"
#include "ngx_http_s3_cache_flash.h"


static ngx_int_t ngx_http_s3_cache_check_head(ngx_http_s3_cache_job_t *job,
    s3c_http_head_t *head);
static ngx_int_t ngx_http_s3_cache_check_answer(ngx_http_s3_cache_job_t *job,
    uint32_t reason);
static void ngx_http_s3_cache_check_rewrite(ngx_http_s3_cache_job_t *job,
    s3c_record_spec_t *spec, const s3c_record_view_t *old);


ngx_int_t
ngx_http_s3_cache_fill_check(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin)
{
    ngx_http_s3_cache_job_t   *job;
    ngx_http_s3_cache_call_t  *call;

    job = ngx_http_s3_cache_job_create(ctx, pin);
    if (job == NULL) {
        return NGX_ERROR;
    }

    job->on_head = ngx_http_s3_cache_check_head;

    if (s3c_ram_pin_again(job->zone->ram, &ctx->pin, &job->record) != S3C_OK) {
        goto failed;
    }

    call = ngx_http_s3_cache_job_call(job, 1);
    if (call == NULL) {
        goto failed;
    }

    ngx_http_s3_cache_job_header(call, "x-amz-checksum-mode",
                                 (u_char *) "ENABLED", 7);
    ngx_http_s3_cache_call_start(call);

    return NGX_OK;

failed:

    ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
    ngx_http_s3_cache_job_destroy(job);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_s3_cache_check_head(ngx_http_s3_cache_job_t *job,
    s3c_http_head_t *head)
{
    int                n;
    size_t             size;
    struct iovec       iov;
    s3c_s3_meta_t      meta;
    s3c_record_spec_t  spec;
    s3c_record_view_t  old;

    if (head->status >= 500) {
        return ngx_http_s3_cache_check_answer(job,
                                        NGX_HTTP_S3_CACHE_FILL_ORIGIN_ERROR);
    }

    n = 1;
    size = s3c_ram_size(job->zone->ram, &job->record);

    if (head->status != 200
        || s3c_s3_meta_parse(head, true, &meta) != S3C_OK
        || s3c_ram_span(job->zone->ram, &job->record, 0, size, &iov, &n) == 0
        || s3c_record_open(iov.iov_base, iov.iov_len, size, job->ident, &old)
           != S3C_OK
        || meta.generation != old.generation)
    {
        /* gone, forbidden, another version: whoever reads next will see */
        (void) ngx_http_s3_cache_drop(job->zone, job->object, &job->record);

        return ngx_http_s3_cache_check_answer(job,
                                              NGX_HTTP_S3_CACHE_FILL_CHANGED);
    }

    if (ngx_http_s3_cache_job_spec(job, head, &meta, &spec) != NGX_OK) {
        return ngx_http_s3_cache_check_answer(job,
                                              NGX_HTTP_S3_CACHE_FILL_ROOM);
    }

    if ((old.flags & S3C_RECORD_FULL)
        && s3c_slice_eq(old.headers, spec.headers))
    {
        atomic_store_explicit(&old.rec->validated_ms, spec.asked_ms,
                              memory_order_relaxed);
        atomic_store_explicit(&old.rec->expires_ms, spec.expires_ms,
                              memory_order_relaxed);

        ngx_http_s3_cache_flash_vouch(job->zone, job->object, &old);

        return ngx_http_s3_cache_check_answer(job,
                                              NGX_HTTP_S3_CACHE_FILL_FRESH);
    }

    ngx_http_s3_cache_check_rewrite(job, &spec, &old);

    return ngx_http_s3_cache_check_answer(job, NGX_HTTP_S3_CACHE_FILL_AGAIN);
}


static ngx_int_t
ngx_http_s3_cache_check_answer(ngx_http_s3_cache_job_t *job, uint32_t reason)
{
    ngx_http_s3_cache_job_fail(job, reason);

    /* a HEAD has no body: the call ends by itself and keeps its connection */
    return NGX_OK;
}


/*
 * The same bytes under new headers: a new record takes the place of the old.
 * Who still reads the old one may finish with it.
 */

static void
ngx_http_s3_cache_check_rewrite(ngx_http_s3_cache_job_t *job,
    s3c_record_spec_t *spec, const s3c_record_view_t *old)
{
    int            n, m;
    size_t         head_bytes, from, to, body, part;
    s3c_ram_t     *ram;
    struct iovec   src, dst;
    s3c_ram_pin_t  pin;

    ram = job->zone->ram;
    ngx_memzero(&pin, sizeof(s3c_ram_pin_t));

    if (ngx_http_s3_cache_drop(job->zone, job->object, &job->record) != S3C_OK
        || s3c_ram_fill_begin(ram, job->object, ngx_http_s3_cache_now(), &pin)
           != S3C_OK)
    {
        /* somebody else was quicker: look at what is there now */
        if (s3c_ram_pinned(&pin)) {
            s3c_ram_unpin(ram, &pin);
        }

        return;
    }

    if (ngx_http_s3_cache_fenced_object(job->zone, job->conf,
                   s3c_slice(job->path.data + 1, job->bucket_len),
                   s3c_slice(job->path.data + 2 + job->bucket_len,
                             job->path.len - 2 - job->bucket_len)))
    {
        s3c_ram_fill_fail(ram, &pin, NGX_HTTP_S3_CACHE_FILL_AGAIN);
        s3c_ram_unpin(ram, &pin);
        return;
    }

    spec->flags |= old->flags & S3C_RECORD_INLINE;

    head_bytes = s3c_record_head_bytes(spec);
    body = (old->flags & S3C_RECORD_INLINE) ? old->total : 0;

    if (s3c_ram_fill_alloc(ram, &pin, head_bytes + body, head_bytes,
                           ngx_http_s3_cache_now())
        != S3C_OK)
    {
        s3c_ram_fill_fail(ram, &pin, NGX_HTTP_S3_CACHE_FILL_AGAIN);
        s3c_ram_unpin(ram, &pin);
        return;
    }

    s3c_record_write(s3c_ram_head(ram, &pin), spec);

    from = old->head_bytes;
    to = head_bytes;

    while (body > 0) {
        n = 1;
        m = 1;

        if (s3c_ram_span(ram, &job->record, from, body, &src, &n) == 0
            || s3c_ram_span(ram, &pin, to, body, &dst, &m) == 0)
        {
            s3c_ram_fill_fail(ram, &pin, NGX_HTTP_S3_CACHE_FILL_AGAIN);
            s3c_ram_unpin(ram, &pin);
            return;
        }

        part = ngx_min(src.iov_len, dst.iov_len);
        ngx_memcpy(dst.iov_base, src.iov_base, part);

        from += part;
        to += part;
        body -= part;
    }

    (void) ngx_http_s3_cache_flash_put(job->zone, job->object, &pin, 1, 0);

    if (s3c_ram_fill_commit(ram, &pin, ngx_http_s3_cache_now()) != S3C_OK) {
        ngx_http_s3_cache_flash_drop(job->zone, job->object);
    }

    s3c_ram_unpin(ram, &pin);
}
