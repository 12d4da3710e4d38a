/* SPDX-License-Identifier: Apache-2.0
 *
 * A page of a list. How long its document is nobody says before it has ended,
 * so it is collected first, by the worker, and becomes a record when it is
 * whole. That is one like an error's: when its time is over it is asked for
 * again, there is nothing to compare.
 */

#include "ngx_http_s3_cache_fill.h"
#include "ngx_http_s3_cache_list.h"

#include "s3/s3_list.h"


#define LIST_BYTES_FIRST   (64 * 1024)

/* of all pages that a worker is collecting */
#define LIST_BYTES_MAX     (64 * 1024 * 1024)


static ngx_int_t ngx_http_s3_cache_list_head(ngx_http_s3_cache_job_t *job,
    s3c_http_head_t *head);
static ngx_int_t ngx_http_s3_cache_list_room(ngx_http_s3_cache_job_t *job,
    size_t size);
static void ngx_http_s3_cache_list_free(void *data);


static size_t  ngx_http_s3_cache_list_bytes;


ngx_int_t
ngx_http_s3_cache_fill_list(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin)
{
    ngx_pool_cleanup_t        *cln;
    ngx_http_s3_cache_job_t   *job;
    ngx_http_s3_cache_call_t  *call;

    job = ngx_http_s3_cache_job_create(ctx, pin);
    if (job == NULL) {
        return NGX_ERROR;
    }

    job->on_head = ngx_http_s3_cache_list_head;
    job->key = job->object;
    job->page = 1;

    cln = ngx_pool_cleanup_add(job->pool, 0);
    call = (cln != NULL) ? ngx_http_s3_cache_job_call(job, 0) : NULL;

    if (call == NULL) {
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
        ngx_http_s3_cache_job_destroy(job);
        return NGX_ERROR;
    }

    cln->handler = ngx_http_s3_cache_list_free;
    cln->data = job;

    ngx_http_s3_cache_call_start(call);

    return NGX_OK;
}


static ngx_int_t
ngx_http_s3_cache_list_head(ngx_http_s3_cache_job_t *job,
    s3c_http_head_t *head)
{
    u_char             *block;
    ngx_int_t           rc;
    s3c_writer_t        w;
    s3c_record_spec_t  *spec;

    if (head->status >= 300) {
        rc = ngx_http_s3_cache_object_error(job, head);
        job->keep = 0;

        return rc;
    }

    if (head->status != 200
        || (head->has_length && head->length > job->conf->block_size))
    {
        s3c_stats_add(&job->zone->stats, S3C_STAT_LIST_REFUSED, 1);
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_PASS);
        return NGX_ERROR;
    }

    block = ngx_pnalloc(job->pool, head->head_bytes);
    if (block == NULL) {
        return NGX_ERROR;
    }

    s3c_writer_init(&w, block, head->head_bytes);
    s3c_s3_meta_render(&w, head);

    if (!s3c_writer_ok(&w)) {
        return NGX_ERROR;
    }

    spec = &job->error_spec;

    spec->status = 200;
    spec->flags = S3C_RECORD_ERROR | S3C_RECORD_PAGE | S3C_RECORD_INLINE;
    spec->generation = 1;
    spec->last_modified = -1;
    spec->headers = s3c_writer_slice(&w);
    spec->ident = job->ident;
    spec->asked_ms = job->begun_ms;
    spec->expires_ms = job->begun_ms + (uint64_t) job->conf->list * 1000;

    /* one byte more than it has: what is full grows */

    return ngx_http_s3_cache_list_room(job, head->has_length
                                            ? head->length + 1
                                            : LIST_BYTES_FIRST);
}


/* What has been collected is full. */

ngx_int_t
ngx_http_s3_cache_job_grow(ngx_http_s3_cache_job_t *job)
{
    if (job->error_len > job->conf->block_size) {
        s3c_stats_add(&job->zone->stats, S3C_STAT_LIST_REFUSED, 1);
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_PASS);
        return NGX_ERROR;
    }

    return ngx_http_s3_cache_list_room(job,
                              ngx_min(2 * job->error_size,
                                      job->conf->block_size + 1));
}


static ngx_int_t
ngx_http_s3_cache_list_room(ngx_http_s3_cache_job_t *job, size_t size)
{
    u_char  *p;

    if (ngx_http_s3_cache_list_bytes - job->error_size + size
        > LIST_BYTES_MAX)
    {
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
        return NGX_ERROR;
    }

    p = ngx_palloc(job->pool, size);
    if (p == NULL) {
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_ROOM);
        return NGX_ERROR;
    }

    if (job->error != NULL) {
        ngx_memcpy(p, job->error, job->error_len);
        (void) ngx_pfree(job->pool, job->error);
    }

    ngx_http_s3_cache_list_bytes += size - job->error_size;
    job->error = p;
    job->error_size = size;

    return NGX_OK;
}


static void
ngx_http_s3_cache_list_free(void *data)
{
    ngx_http_s3_cache_job_t *job = data;

    /* an error's document is no page */

    if (job->error_spec.flags & S3C_RECORD_PAGE) {
        ngx_http_s3_cache_list_bytes -= job->error_size;
    }
}


ngx_uint_t
ngx_http_s3_cache_job_is_page(ngx_http_s3_cache_job_t *job)
{
    if (!s3c_s3_list_is_whole(s3c_slice(job->error, job->error_len))) {
        /* whatever it is, the client may have it */
        s3c_stats_add(&job->zone->stats, S3C_STAT_LIST_REFUSED, 1);
        ngx_http_s3_cache_job_fail(job, NGX_HTTP_S3_CACHE_FILL_PASS);
        return 0;
    }

    s3c_stats_add(&job->zone->stats, S3C_STAT_LIST_KEPT, 1);

    return 1;
}
