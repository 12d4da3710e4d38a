/* SPDX-License-Identifier: Apache-2.0
 *
 * The comparison: a GET of the same bytes with If-Match, signed as a fill's is,
 * and each byte of the answer against that in memory. An empty object is asked
 * for by HEAD: there is only its version.
 *
 *   same        the version that is kept, the bytes that are kept
 *   mismatch    the version that is kept, other bytes
 *   changed     another version, or none: this is for the freshness of what is
 *               kept to find out (s3_cache_valid), nothing is done
 *   error       the origin did not say
 */

#include "ngx_http_s3_cache_verify.h"
#include "ngx_http_s3_cache_fill.h"

#include "s3/s3_uri.h"


#define BUF_BYTES  (32 * 1024)


static ngx_http_s3_cache_call_t *ngx_http_s3_cache_verify_make(
    ngx_http_s3_cache_verify_t *v);
static ngx_int_t ngx_http_s3_cache_verify_path(ngx_http_s3_cache_verify_t *v,
    ngx_str_t *path, ngx_str_t *query);
static ngx_uint_t ngx_http_s3_cache_verify_all(ngx_http_s3_cache_verify_t *v);
static ngx_int_t ngx_http_s3_cache_verify_on_head(
    ngx_http_s3_cache_call_t *call, s3c_http_head_t *head);
static void ngx_http_s3_cache_verify_on_space(ngx_http_s3_cache_call_t *call,
    u_char **pos, size_t *len);
static ngx_int_t ngx_http_s3_cache_verify_on_body(
    ngx_http_s3_cache_call_t *call, size_t n);
static void ngx_http_s3_cache_verify_on_end(ngx_http_s3_cache_call_t *call,
    ngx_http_s3_cache_call_end_e end);


void
ngx_http_s3_cache_verify_call(ngx_http_s3_cache_verify_t *v)
{
    ngx_http_s3_cache_call_t  *call;

    v->buf = ngx_palloc(v->pool, BUF_BYTES);
    call = v->buf ? ngx_http_s3_cache_verify_make(v) : NULL;

    if (call == NULL) {
        ngx_http_s3_cache_verify_end(v);
        return;
    }

    ngx_http_s3_cache_call_start(call);
}


static ngx_http_s3_cache_call_t *
ngx_http_s3_cache_verify_make(ngx_http_s3_cache_verify_t *v)
{
    ngx_str_t                  path, query;
    ngx_http_s3_cache_call_t  *call;

    if (ngx_http_s3_cache_verify_path(v, &path, &query) != NGX_OK) {
        return NULL;
    }

    call = ngx_http_s3_cache_call_create(v->conf->origin, ngx_cycle->log);
    if (call == NULL) {
        return NULL;
    }

    call->path = path;
    call->query = query;
    call->head = (v->total == 0);
    call->data = v;
    call->stats = &v->zone->stats;

    call->on_head = ngx_http_s3_cache_verify_on_head;
    call->on_space = ngx_http_s3_cache_verify_on_space;
    call->on_body = ngx_http_s3_cache_verify_on_body;
    call->on_end = ngx_http_s3_cache_verify_on_end;

    if (!ngx_http_s3_cache_verify_all(v)) {
        ngx_http_s3_cache_job_range(call, v->from, v->to);
    }

    if (v->etag.len > 0) {
        ngx_http_s3_cache_job_header(call, "If-Match",
                                     (u_char *) v->etag.data, v->etag.len);
    }

    return call;
}


static ngx_int_t
ngx_http_s3_cache_verify_path(ngx_http_s3_cache_verify_t *v, ngx_str_t *path,
    ngx_str_t *query)
{
    u_char        *p;
    size_t         size;
    s3c_writer_t   w;

    ngx_str_null(query);

    path->len = 2 + v->bucket.len + v->key.len;
    path->data = ngx_pnalloc(v->pool, path->len);
    if (path->data == NULL) {
        return NGX_ERROR;
    }

    p = path->data;
    *p++ = '/';
    p = ngx_cpymem(p, v->bucket.data, v->bucket.len);
    *p++ = '/';
    ngx_memcpy(p, v->key.data, v->key.len);

    if (v->version.len == 0) {
        return NGX_OK;
    }

    size = sizeof("versionId=") - 1 + 3 * v->version.len;

    query->data = ngx_pnalloc(v->pool, size);
    if (query->data == NULL) {
        return NGX_ERROR;
    }

    s3c_writer_init(&w, query->data, size);
    s3c_write_lit(&w, "versionId=");
    s3c_uri_encode(&w, v->version, false);
    query->len = s3c_writer_slice(&w).len;

    return NGX_OK;
}


/* Then it is asked for without a range, which not all origins know. */

static ngx_uint_t
ngx_http_s3_cache_verify_all(ngx_http_s3_cache_verify_t *v)
{
    return v->total == 0 || (v->from == 0 && v->to == v->total - 1);
}


static ngx_int_t
ngx_http_s3_cache_verify_on_head(ngx_http_s3_cache_call_t *call,
    s3c_http_head_t *head)
{
    ngx_http_s3_cache_verify_t *v = call->data;

    s3c_s3_meta_t  meta;

    switch (head->status) {

    case 200:
    case 206:
        break;

    case 404:
    case 410:
    case 412:
    case 416:
        v->outcome = S3C_STAT_VERIFY_CHANGED;
        return NGX_ERROR;

    default:
        return NGX_ERROR;
    }

    if (s3c_s3_meta_parse(head, v->total == 0, &meta) != S3C_OK) {
        return NGX_ERROR;
    }

    if (meta.generation != v->generation || meta.total != v->total) {
        v->outcome = S3C_STAT_VERIFY_CHANGED;
        return NGX_ERROR;
    }

    if (v->total == 0) {
        v->outcome = S3C_STAT_VERIFY_SAME;
        return NGX_OK;
    }

    return (head->status == 200) == ngx_http_s3_cache_verify_all(v)
           && meta.first == v->from && meta.last == v->to
           ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_s3_cache_verify_on_space(ngx_http_s3_cache_call_t *call,
    u_char **pos, size_t *len)
{
    ngx_http_s3_cache_verify_t *v = call->data;

    *pos = v->buf;
    *len = BUF_BYTES;
}


static ngx_int_t
ngx_http_s3_cache_verify_on_body(ngx_http_s3_cache_call_t *call, size_t n)
{
    ngx_http_s3_cache_verify_t *v = call->data;

    int            k;
    size_t         done, part;
    struct iovec   iov;

    for (done = 0; done < n; done += part) {
        k = 1;

        if (v->compared > v->to - v->from
            || s3c_ram_span(v->zone->ram, &v->pin, v->off + v->compared,
                            n - done, &iov, &k) == 0)
        {
            return NGX_ERROR;
        }

        part = iov.iov_len;

        if (ngx_memcmp(v->buf + done, iov.iov_base, part) != 0) {
            v->outcome = S3C_STAT_VERIFY_MISMATCH;
            return NGX_ERROR;
        }

        v->compared += part;
    }

    s3c_stats_add(&v->zone->stats, S3C_STAT_VERIFY_BYTES, n);

    if (v->compared == v->to - v->from + 1) {
        v->outcome = S3C_STAT_VERIFY_SAME;
    }

    return NGX_OK;
}


static void
ngx_http_s3_cache_verify_on_end(ngx_http_s3_cache_call_t *call,
    ngx_http_s3_cache_call_end_e end)
{
    ngx_http_s3_cache_verify_t *v = call->data;

    if (v->outcome == S3C_STAT_VERIFY_SAME
        && end != NGX_HTTP_S3_CACHE_CALL_DONE)
    {
        v->outcome = S3C_STAT_VERIFY_ERROR;
    }

    if (v->outcome == S3C_STAT_VERIFY_MISMATCH) {
        ngx_http_s3_cache_verify_drop(v);
        return;
    }

    ngx_http_s3_cache_verify_end(v);
}
