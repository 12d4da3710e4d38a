/* SPDX-License-Identifier: Apache-2.0
 *
 * Which writes are captured, and what becomes of that: an object is kept as
 * soon as the fence of its write has ended, a part waits for its upload.
 */

#include "ngx_http_s3_cache_through.h"
#include "ngx_http_s3_cache_auth.h"


static ngx_uint_t ngx_http_s3_cache_through_fits(
    ngx_http_s3_cache_write_t *w, ngx_http_s3_cache_through_t *t);
static void ngx_http_s3_cache_through_names(ngx_http_s3_cache_write_t *w,
    const u_char *pos, size_t len);
static ngx_int_t ngx_http_s3_cache_through_copy(ngx_pool_t *pool,
    ngx_str_t *to, s3c_slice_t from);
static void ngx_http_s3_cache_through_object(ngx_http_s3_cache_write_t *w);
static void ngx_http_s3_cache_through_upload(ngx_http_s3_cache_write_t *w);


void
ngx_http_s3_cache_through_begin(ngx_http_s3_cache_write_t *w,
    s3c_slice_t query)
{
    size_t                        chunk;
    ngx_http_request_t           *r;
    ngx_http_s3_cache_ctx_t      *ctx;
    ngx_http_s3_cache_through_t  *t;

    ctx = w->ctx;
    r = ctx->request;

    if (!ctx->conf->write_through || w->has_copy_source || w->wide
        || w->form || ctx->conf->auth == NGX_HTTP_S3_CACHE_AUTH_ORIGIN)
    {
        return;
    }

    t = ngx_pcalloc(r->pool, sizeof(ngx_http_s3_cache_through_t));
    if (t == NULL) {
        return;
    }

    t->body = s3c_s3_write_body(ngx_http_s3_cache_slice(&r->method_name),
                                &ctx->target->addr, query, t->upload_id,
                                &t->upload, &t->part);

    switch (t->body) {

    case S3C_BODY_OBJECT:
    case S3C_BODY_PART:

        if (!ngx_http_s3_cache_through_fits(w, t)) {
            s3c_stats_add(&ctx->zone->stats, S3C_STAT_THROUGH_LARGE, 1);
            return;
        }

        chunk = ngx_min(ctx->conf->block_size,
                        NGX_HTTP_S3_CACHE_THROUGH_CHUNK);

        if (ngx_http_s3_cache_capture_begin(&t->capture, ctx->zone, chunk,
                                            w->length)
            != NGX_OK)
        {
            s3c_stats_add(&ctx->zone->stats, S3C_STAT_THROUGH_ROOM, 1);
            return;
        }

        break;

    case S3C_BODY_COMPLETE:

        t->names = ngx_pcalloc(r->pool, sizeof(s3c_s3_complete_t));

        if (t->names == NULL
            || ngx_array_init(&t->parts, r->pool, 16, sizeof(s3c_s3_part_t))
               != NGX_OK)
        {
            return;
        }

        break;

    case S3C_BODY_ABORT:
        break;

    default:
        return;
    }

    w->through = t;
}


/* Of an upload only its parts are known so far. All but the last are of one
 * length, so that it has at least the bytes in front of this one, and its. */

static ngx_uint_t
ngx_http_s3_cache_through_fits(ngx_http_s3_cache_write_t *w,
    ngx_http_s3_cache_through_t *t)
{
    uint64_t  max;

    max = ngx_http_s3_cache_through_max(w->ctx->conf);

    return w->length <= max / ngx_max(t->part, 1);
}


void
ngx_http_s3_cache_through_take(ngx_http_s3_cache_write_t *w,
    const u_char *pos, size_t len)
{
    ngx_http_s3_cache_through_t  *t;

    t = w->through;

    if (t == NULL) {
        return;
    }

    if (t->names != NULL) {
        ngx_http_s3_cache_through_names(w, pos, len);
        return;
    }

    if (ngx_http_s3_cache_capture_take(&t->capture, pos, len) != NGX_OK) {
        s3c_stats_add(&w->ctx->zone->stats, S3C_STAT_THROUGH_ROOM, 1);
    }
}


/* In doubt nothing is kept. */

static void
ngx_http_s3_cache_through_names(ngx_http_s3_cache_write_t *w,
    const u_char *pos, size_t len)
{
    size_t                        used;
    s3c_slice_t                   in;
    s3c_status_t                  st;
    s3c_s3_part_t                *slot, part;
    ngx_http_s3_cache_through_t  *t;

    t = w->through;
    in = s3c_slice(pos, len);

    do {
        st = s3c_s3_complete_step(t->names, in, &part, &used);
        in = s3c_slice(in.data + used, in.len - used);

        if (st == S3C_EXISTS) {
            slot = ngx_array_push(&t->parts);

            if (slot == NULL) {
                t->names = NULL;
                return;
            }

            *slot = part;
        }

    } while (st == S3C_EXISTS);

    if (st == S3C_INVALID) {
        t->names = NULL;
    }
}


void
ngx_http_s3_cache_through_answered(ngx_http_s3_cache_write_t *w,
    s3c_http_head_t *head)
{
    unsigned                      i;
    ngx_pool_t                   *pool;
    s3c_http_header_t            *h;
    ngx_http_s3_cache_through_t  *t;

    t = w->through;

    if (t == NULL || head->status != 200) {
        return;
    }

    pool = w->ctx->request->pool;

    for (i = 0; i < head->n_headers; i++) {
        h = &head->headers[i];

        if (s3c_slice_eq_nocase(h->name, S3C_SLICE("ETag"))) {
            (void) ngx_http_s3_cache_through_copy(pool, &t->etag, h->value);

        } else if (s3c_slice_eq_nocase(h->name,
                                       S3C_SLICE("x-amz-version-id")))
        {
            (void) ngx_http_s3_cache_through_copy(pool, &t->version,
                                                  h->value);
        }
    }
}


static ngx_int_t
ngx_http_s3_cache_through_copy(ngx_pool_t *pool, ngx_str_t *to,
    s3c_slice_t from)
{
    to->len = 0;
    to->data = ngx_pnalloc(pool, from.len + 1);

    if (to->data == NULL) {
        return NGX_ERROR;
    }

    if (from.len > 0) {
        ngx_memcpy(to->data, from.data, from.len);
        to->len = from.len;
    }

    return NGX_OK;
}


void
ngx_http_s3_cache_through_end(ngx_http_s3_cache_write_t *w, ngx_uint_t done)
{
    s3c_stats_t                  *stats;
    ngx_http_s3_cache_through_t  *t;

    t = w->through;

    if (t == NULL || t->over) {
        return;
    }

    t->over = 1;
    stats = &w->ctx->zone->stats;

    switch (t->body) {

    case S3C_BODY_COMPLETE:

        if (done && w->status == 200) {
            ngx_http_s3_cache_through_upload(w);
        }

        return;

    case S3C_BODY_ABORT:

        if (done) {
            ngx_http_s3_cache_through_abort(w);
        }

        return;

    default:
        break;
    }

    if (!t->capture.active) {
        return;                        /* it was given up */
    }

    if (!done || w->status != 200 || t->etag.len == 0) {
        ngx_http_s3_cache_capture_drop(&t->capture);
        s3c_stats_add(stats, S3C_STAT_THROUGH_FAILED, 1);
        return;
    }

    if (ngx_http_s3_cache_capture_end(&t->capture) != NGX_OK) {
        s3c_stats_add(stats, S3C_STAT_THROUGH_ROOM, 1);
        return;
    }

    s3c_stats_add(stats, S3C_STAT_THROUGH_CAPTURED, 1);

    if (t->body == S3C_BODY_PART) {
        ngx_http_s3_cache_through_part(w);

    } else {
        ngx_http_s3_cache_through_object(w);
    }
}


static void
ngx_http_s3_cache_through_object(ngx_http_s3_cache_write_t *w)
{
    ngx_pool_t                   *pool;
    s3c_written_t                *body;
    ngx_http_s3_cache_keep_t      keep;
    ngx_http_s3_cache_through_t  *t;

    t = w->through;
    body = &t->capture.body;

    ngx_memzero(&keep, sizeof(ngx_http_s3_cache_keep_t));

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        goto failed;
    }

    keep.nbodies = 1;
    keep.bodies = ngx_pcalloc(pool, sizeof(s3c_written_part_t));

    if (keep.bodies == NULL
        || ngx_http_s3_cache_through_copy(pool, &keep.etag,
                                       ngx_http_s3_cache_slice(&t->etag))
           != NGX_OK
        || ngx_http_s3_cache_through_copy(pool, &keep.version,
                                       ngx_http_s3_cache_slice(&t->version))
           != NGX_OK)
    {
        goto failed;
    }

    keep.bodies[0].known = true;
    keep.bodies[0].body = *body;
    ngx_memcpy(keep.md5, body->md5, S3C_DIGEST_MD5_BYTES);

    ngx_http_s3_cache_through_keep(w, pool, &keep);

    return;

failed:

    ngx_http_s3_cache_capture_forget(t->capture.zone, body, 0,
                                     s3c_written_chunks(body));

    if (pool != NULL) {
        ngx_destroy_pool(pool);
    }
}


static void
ngx_http_s3_cache_through_upload(ngx_http_s3_cache_write_t *w)
{
    ngx_pool_t                *pool;
    ngx_http_s3_cache_keep_t   keep;

    ngx_memzero(&keep, sizeof(ngx_http_s3_cache_keep_t));

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return;
    }

    if (ngx_http_s3_cache_through_complete(w, pool, &keep) != NGX_OK
        || ngx_http_s3_cache_through_copy(pool, &keep.version,
                             ngx_http_s3_cache_slice(&w->through->version))
           != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return;
    }

    ngx_http_s3_cache_through_keep(w, pool, &keep);
}
