/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a job: it leads one entry from ASKING to its end. The body goes
 * from the socket into the entry's memory with no buffer between. The job
 * belongs to its worker; no client can end it, slow it down or hold it.
 */

#include "ngx_http_s3_cache_fill.h"
#include "ngx_http_s3_cache_flash.h"
#include "ngx_http_s3_cache_origin_keys.h"

#include "s3/s3_uri.h"


/* a reader is told when the socket is drained, or after so many bytes */
#define PUBLISH_BYTES  (64 * 1024)


static ngx_int_t ngx_http_s3_cache_job_on_head(ngx_http_s3_cache_call_t *call,
    s3c_http_head_t *head);
static void ngx_http_s3_cache_job_on_space(ngx_http_s3_cache_call_t *call,
    u_char **pos, size_t *len);
static ngx_int_t ngx_http_s3_cache_job_on_body(ngx_http_s3_cache_call_t *call,
    size_t n);
static void ngx_http_s3_cache_job_on_idle(ngx_http_s3_cache_call_t *call);
static void ngx_http_s3_cache_job_on_end(ngx_http_s3_cache_call_t *call,
    ngx_http_s3_cache_call_end_e end);
static void ngx_http_s3_cache_job_publish(ngx_http_s3_cache_job_t *job);
static void ngx_http_s3_cache_job_finish_error(ngx_http_s3_cache_job_t *job);
static void ngx_http_s3_cache_job_unpin(ngx_http_s3_cache_job_t *job);


ngx_http_s3_cache_job_t *
ngx_http_s3_cache_job_create(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin)
{
    u_char                      *p;
    ngx_pool_t                  *pool;
    s3c_writer_t                 w;
    ngx_http_s3_cache_job_t     *job;
    ngx_http_s3_cache_target_t  *target;

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        goto failed;
    }

    target = ngx_http_s3_cache_target(ctx);
    job = ngx_pcalloc(pool, sizeof(ngx_http_s3_cache_job_t));

    if (target == NULL || job == NULL) {
        goto failed;
    }

    job->pool = pool;
    job->zone = ctx->zone;
    job->conf = ctx->conf;
    job->object = ctx->object;
    job->keep = 1;
    job->warm = ctx->warm;
    job->begun_us = ngx_http_s3_cache_usec();
    job->begun_ms = ngx_http_s3_cache_now();

    job->ident = ngx_palloc(pool, sizeof(s3c_ident_t));
    if (job->ident == NULL) {
        goto failed;
    }

    job->ident->len = target->ident.len;
    ngx_memcpy(job->ident->bytes, target->ident.bytes, target->ident.len);

    job->path.len = 2 + target->addr.bucket.len + target->addr.key.len;
    job->path.data = ngx_pnalloc(pool, job->path.len);
    if (job->path.data == NULL) {
        goto failed;
    }

    job->bucket_len = target->addr.bucket.len;

    p = job->path.data;
    *p++ = '/';
    p = ngx_cpymem(p, target->addr.bucket.data, target->addr.bucket.len);
    *p++ = '/';
    ngx_memcpy(p, target->addr.key.data, target->addr.key.len);

    if (ctx->page && target->op.page.len > 0) {
        job->query.len = target->op.page.len;
        job->query.data = ngx_pnalloc(pool, job->query.len);
        if (job->query.data == NULL) {
            goto failed;
        }

        ngx_memcpy(job->query.data, target->op.page.data, job->query.len);

    } else if (target->op.version_id.len > 0) {
        job->query.len = sizeof("versionId=") - 1
                         + 3 * target->op.version_id.len;
        job->query.data = ngx_pnalloc(pool, job->query.len);
        if (job->query.data == NULL) {
            goto failed;
        }

        s3c_writer_init(&w, job->query.data, job->query.len);
        s3c_write_lit(&w, "versionId=");
        s3c_uri_encode(&w, target->op.version_id, false);
        job->query.len = s3c_writer_slice(&w).len;
    }

    if (s3c_ram_pin_again(job->zone->ram, pin, &job->pin) != S3C_OK) {
        goto failed;
    }

    s3c_stats_add(&job->zone->stats, S3C_STAT_FILL_STARTED, 1);

    return job;

failed:

    s3c_ram_fill_fail(ctx->zone->ram, pin, NGX_HTTP_S3_CACHE_FILL_ROOM);

    if (pool != NULL) {
        ngx_destroy_pool(pool);
    }

    return NULL;
}


ngx_int_t
ngx_http_s3_cache_job_origin(ngx_http_s3_cache_job_t *job)
{
    ngx_int_t  rc;

    rc = job->part ? ngx_http_s3_cache_block_begin(job)
                   : ngx_http_s3_cache_object_begin(job);

    if (rc != NGX_OK) {
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
        ngx_http_s3_cache_job_destroy(job);
    }

    return rc;
}


void
ngx_http_s3_cache_job_destroy(ngx_http_s3_cache_job_t *job)
{
    ngx_http_s3_cache_job_unpin(job);

    if (s3c_ram_pinned(&job->record)) {
        s3c_ram_unpin(job->zone->ram, &job->record);
    }

    ngx_destroy_pool(job->pool);
}


static void
ngx_http_s3_cache_job_unpin(ngx_http_s3_cache_job_t *job)
{
    if (s3c_ram_pinned(&job->pin)) {
        s3c_ram_unpin(job->zone->ram, &job->pin);
    }
}


ngx_http_s3_cache_call_t *
ngx_http_s3_cache_job_call(ngx_http_s3_cache_job_t *job, ngx_uint_t head)
{
    ngx_http_s3_cache_call_t  *call;

    call = ngx_http_s3_cache_call_create(job->conf->origin, ngx_cycle->log);
    if (call == NULL) {
        return NULL;
    }

    call->head = head ? 1 : 0;
    call->path = job->path;
    call->query = job->query;
    call->data = job;
    call->stats = &job->zone->stats;

    call->on_head = ngx_http_s3_cache_job_on_head;
    call->on_space = ngx_http_s3_cache_job_on_space;
    call->on_body = ngx_http_s3_cache_job_on_body;
    call->on_idle = ngx_http_s3_cache_job_on_idle;
    call->on_end = ngx_http_s3_cache_job_on_end;

    job->call = call;
    job->head = head ? 1 : 0;

    return call;
}


void
ngx_http_s3_cache_job_header(ngx_http_s3_cache_call_t *call, const char *name,
    u_char *value, size_t len)
{
    ngx_http_s3_cache_call_header_t  *h;

    if (call->nheaders == call->headers_max) {
        return;
    }

    h = &call->headers[call->nheaders++];

    h->name.data = (u_char *) name;
    h->name.len = ngx_strlen(name);
    h->value.data = value;
    h->value.len = len;
}


void
ngx_http_s3_cache_job_range(ngx_http_s3_cache_call_t *call, uint64_t first,
    uint64_t last)
{
    u_char  *p;

    p = ngx_pnalloc(call->pool, sizeof("bytes=-") + 2 * NGX_INT64_LEN);
    if (p == NULL) {
        return;
    }

    ngx_http_s3_cache_job_header(call, "Range", p,
                     ngx_sprintf(p, "bytes=%uL-%uL", first, last) - p);
}


s3c_status_t
ngx_http_s3_cache_job_alloc(ngx_http_s3_cache_job_t *job,
    const s3c_record_spec_t *spec, uint64_t body_bytes)
{
    size_t        head_bytes;
    uint64_t      size;
    s3c_status_t  st;

    head_bytes = spec ? s3c_record_head_bytes(spec) : 0;
    size = head_bytes + body_bytes;

    if (size > S3C_RAM_ENTRY_MAX) {
        return S3C_FULL;
    }

    st = s3c_ram_fill_alloc(job->zone->ram, &job->pin, size, head_bytes,
                            ngx_http_s3_cache_now());
    if (st != S3C_OK) {
        return st;
    }

    job->size = size;
    job->off = 0;

    if (spec != NULL) {
        s3c_record_write(s3c_ram_head(job->zone->ram, &job->pin), spec);
        job->off = head_bytes;
    }

    return S3C_OK;
}


void
ngx_http_s3_cache_job_commit(ngx_http_s3_cache_job_t *job)
{
    ngx_int_t  stored;

    job->settled = 1;
    stored = NGX_DECLINED;

    if (job->store && job->keep && job->zone->ssd != NULL) {
        /* before it is live: whoever drops it from then on drops both */
        stored = ngx_http_s3_cache_flash_put(job->zone, job->key, &job->pin,
                                             !job->part, job->generation);
    }

    if (s3c_ram_fill_commit(job->zone->ram, &job->pin,
                            ngx_http_s3_cache_now())
        != S3C_OK
        && stored == NGX_OK)
    {
        /* dropped while it was on its way */
        ngx_http_s3_cache_flash_drop(job->zone, job->key);
    }

    if (!job->keep) {
        /* those who waited hold it; nobody else is to find it */
        (void) s3c_ram_drop_pinned(job->zone->ram, &job->pin);
    }

    s3c_stats_add(&job->zone->stats, S3C_STAT_FILL_DONE, 1);
    s3c_stats_observe(&job->zone->stats, S3C_HIST_FILL_TIME,
                      ngx_http_s3_cache_usec() - job->begun_us);
}


void
ngx_http_s3_cache_job_fail(ngx_http_s3_cache_job_t *job, uint32_t reason)
{
    if (job->settled) {
        return;
    }

    job->settled = 1;

    s3c_ram_fill_fail(job->zone->ram, &job->pin, reason);

    if (reason == NGX_HTTP_S3_CACHE_FILL_FRESH) {
        s3c_stats_add(&job->zone->stats, S3C_STAT_FILL_DONE, 1);

    } else {
        s3c_stats_add(&job->zone->stats, S3C_STAT_FILL_FAILED, 1);
    }

    if (reason == NGX_HTTP_S3_CACHE_FILL_CHANGED) {
        s3c_stats_add(&job->zone->stats, S3C_STAT_FILL_CHANGED, 1);
    }
}


static ngx_int_t
ngx_http_s3_cache_job_on_head(ngx_http_s3_cache_call_t *call,
    s3c_http_head_t *head)
{
    ngx_http_s3_cache_job_t *job = call->data;

    ngx_int_t  rc;

    rc = job->on_head(job, head);

    if (rc == NGX_OK && job->size > 0 && !job->settled) {
        ngx_http_s3_cache_job_publish(job);
    }

    return rc;
}


static void
ngx_http_s3_cache_job_on_space(ngx_http_s3_cache_call_t *call, u_char **pos,
    size_t *len)
{
    ngx_http_s3_cache_job_t *job = call->data;

    int           n;
    struct iovec  iov;

    if (job->error != NULL) {
        *pos = job->error + job->error_len;
        *len = job->error_size - job->error_len;
        return;
    }

    n = 1;
    *len = 0;

    if (job->off < job->size
        && s3c_ram_span(job->zone->ram, &job->pin, job->off,
                        job->size - job->off, &iov, &n) > 0)
    {
        *pos = iov.iov_base;
        *len = iov.iov_len;
    }
}


static ngx_int_t
ngx_http_s3_cache_job_on_body(ngx_http_s3_cache_call_t *call, size_t n)
{
    ngx_http_s3_cache_job_t *job = call->data;

    if (job->error != NULL) {
        job->error_len += n;

        if (job->error_len < job->error_size) {
            return NGX_OK;
        }

        /* no error document of S3 is that long: it is none */
        return (job->error_spec.flags & S3C_RECORD_PAGE)
               ? ngx_http_s3_cache_job_grow(job) : NGX_ERROR;
    }

    job->off += n;

    if (job->off == job->size) {
        /* at once: who has got the last byte finds the entry complete */
        ngx_http_s3_cache_job_commit(job);

    } else if (job->off - job->published >= PUBLISH_BYTES) {
        ngx_http_s3_cache_job_publish(job);
    }

    return (job->off == job->size && job->enough) ? NGX_ERROR : NGX_OK;
}


static void
ngx_http_s3_cache_job_on_idle(ngx_http_s3_cache_call_t *call)
{
    ngx_http_s3_cache_job_t *job = call->data;

    if (job->size > 0 && !job->settled && job->off > job->published) {
        ngx_http_s3_cache_job_publish(job);
    }
}


static void
ngx_http_s3_cache_job_publish(ngx_http_s3_cache_job_t *job)
{
    job->published = job->off;
    s3c_ram_fill_publish(job->zone->ram, &job->pin, job->off);
}


static void
ngx_http_s3_cache_job_on_end(ngx_http_s3_cache_call_t *call,
    ngx_http_s3_cache_call_end_e end)
{
    ngx_http_s3_cache_job_t *job = call->data;

    if (job->call != call) {
        /* the job went on with another question (on_head of an object) */
        return;
    }

    job->call = NULL;

    if (!job->settled && job->error != NULL
        && end == NGX_HTTP_S3_CACHE_CALL_DONE)
    {
        ngx_http_s3_cache_job_finish_error(job);
    }

    if (!job->settled && job->size > 0 && job->off == job->size
        && (end == NGX_HTTP_S3_CACHE_CALL_DONE || job->enough))
    {
        ngx_http_s3_cache_job_commit(job);
    }

    if (!job->settled) {

        if (ngx_exiting || ngx_terminate || ngx_quit) {
            /* cut by this worker's end: another one will do better. Not
               AGAIN, which is a check's good news. */
            ngx_http_s3_cache_job_fail(job, S3C_FILL_REASON_DIED);
            ngx_http_s3_cache_job_destroy(job);
            return;
        }

        switch (end) {

        case NGX_HTTP_S3_CACHE_CALL_UNREACHABLE:
            ngx_http_s3_cache_job_fail(job,
                                       NGX_HTTP_S3_CACHE_FILL_UNREACHABLE);
            break;

        case NGX_HTTP_S3_CACHE_CALL_TIMEOUT:
            ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_TIMEOUT);
            break;

        case NGX_HTTP_S3_CACHE_CALL_INTERNAL:
            ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
            break;

        case NGX_HTTP_S3_CACHE_CALL_UNSIGNED:
            ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_UNSIGNED);
            break;

        default:
            ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_BROKEN);
            break;
        }
    }

    ngx_http_s3_cache_job_destroy(job);
}


/* An error's document is complete: it becomes a record of its own. */

static void
ngx_http_s3_cache_job_finish_error(ngx_http_s3_cache_job_t *job)
{
    int           n;
    size_t        copied;
    struct iovec  iov;

    if (job->error_spec.flags & S3C_RECORD_PAGE) {
        if (!ngx_http_s3_cache_job_is_page(job)) {
            return;
        }

    } else if (s3c_s3_error_is_about_keys(s3c_slice(job->error,
                                                    job->error_len)))
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "s3_cache: origin %V refuses the gateway's credentials "
                      "or signature", &job->conf->origin->url);
        ngx_http_s3_cache_origin_keys_refused(job->conf->origin_conf.keys);
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_BROKEN);
        return;
    }

    job->error_spec.total = job->error_len;

    if (ngx_http_s3_cache_job_alloc(job, &job->error_spec, job->error_len)
        != S3C_OK)
    {
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
        return;
    }

    for (copied = 0; copied < job->error_len; copied += iov.iov_len) {
        n = 1;

        if (s3c_ram_span(job->zone->ram, &job->pin, job->off,
                         job->size - job->off, &iov, &n) == 0)
        {
            ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
            return;
        }

        ngx_memcpy(iov.iov_base, job->error + copied, iov.iov_len);
        job->off += iov.iov_len;
    }

    ngx_http_s3_cache_job_commit(job);
}
