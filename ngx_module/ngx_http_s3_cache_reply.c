/* SPDX-License-Identifier: Apache-2.0
 *
 * The head of an answer: from a record (200, 206, 304, stored errors) or an
 * error document of our own. Also the two headers that tell what the cache
 * did, and the count of it.
 */

#include "ngx_http_s3_cache_module.h"
#include "ngx_http_s3_cache_auth.h"
#include "ngx_http_s3_cache_profile.h"
#include "ngx_http_s3_cache_verify.h"


static ngx_int_t ngx_http_s3_cache_reply_head(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t ngx_http_s3_cache_reply_headers(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t ngx_http_s3_cache_push(ngx_http_request_t *r,
    const char *name, size_t name_len, u_char *value, size_t len,
    ngx_table_elt_t **elt);


#define push(r, lit, value, len)                                              \
    ngx_http_s3_cache_push(r, lit, sizeof(lit) - 1, value, len, NULL)


static ngx_str_t  ngx_http_s3_cache_result_names[] = {
    ngx_string("HIT"),
    ngx_string("MISS"),
    ngx_string("SHARED"),
    ngx_string("STALE"),
    ngx_string("REVALIDATED"),
    ngx_string("BYPASS"),
    ngx_string("REFUSED"),
    ngx_string("ERROR")
};


ngx_str_t *
ngx_http_s3_cache_result_name(ngx_http_s3_cache_result_e result)
{
    return &ngx_http_s3_cache_result_names[result];
}


/* Step: ctx->view is a checked record; its bytes may still be arriving. */

ngx_int_t
ngx_http_s3_cache_reply(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ctx->conf->auth == NGX_HTTP_S3_CACHE_AUTH_ORIGIN
        && !ngx_http_s3_cache_auth_origin_shows(ctx))
    {
        return ngx_http_s3_cache_auth_origin_differs(ctx);
    }

    s3c_plan_reply(&ctx->ask, &ctx->view, &ctx->reply);

    if (ctx->conf->auth == NGX_HTTP_S3_CACHE_AUTH_ORIGIN
        && !ngx_http_s3_cache_auth_origin_spans(ctx))
    {
        return ngx_http_s3_cache_pass(ctx, "auth");
    }

    ctx->result = ctx->stale ? NGX_HTTP_S3_CACHE_STALE
                  : (ctx->peered && (ctx->view.flags & S3C_RECORD_FOUND))
                    ? NGX_HTTP_S3_CACHE_HIT
                  : ctx->led ? NGX_HTTP_S3_CACHE_MISS
                  : (ctx->followed && !(ctx->view.flags & S3C_RECORD_STORED))
                    ? NGX_HTTP_S3_CACHE_SHARED
                  : ctx->revalidated ? NGX_HTTP_S3_CACHE_REVALIDATED
                  : NGX_HTTP_S3_CACHE_HIT;

    if (ctx->reply.error != S3C_ERR_NONE) {
        return ngx_http_s3_cache_send_error(ctx, ctx->reply.error, NULL);
    }

    ctx->tier = ctx->peered ? NGX_HTTP_S3_CACHE_TIER_PEER
                : ctx->led ? NGX_HTTP_S3_CACHE_TIER_ORIGIN
                : (ctx->tier == NGX_HTTP_S3_CACHE_TIER_FLASH
                   || ctx->tier == NGX_HTTP_S3_CACHE_TIER_MIRROR)
                  ? ctx->tier
                : NGX_HTTP_S3_CACHE_TIER_RAM;

    ctx->pos = ctx->reply.first;
    ctx->ahead_to = 0;

    if (ctx->head || ctx->reply.first > ctx->reply.last) {
        rc = ngx_http_s3_cache_reply_head(ctx);

        if (rc == NGX_OK && !r->header_only) {
            rc = ngx_http_send_special(r, NGX_HTTP_LAST);
        }

        ngx_http_s3_cache_release(ctx);

        return rc;
    }

    if (ngx_http_s3_cache_direct_can(ctx)) {
        return ngx_http_s3_cache_direct_send(ctx);
    }

    /* the head goes out with the first bytes: until then all can be undone */

    return ngx_http_s3_cache_send_body(ctx);
}


ngx_int_t
ngx_http_s3_cache_send_head(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = ngx_http_s3_cache_reply_head(ctx);

    if (rc == NGX_OK) {
        ctx->sending = 1;
    }

    return rc;
}


static ngx_int_t
ngx_http_s3_cache_reply_head(ngx_http_s3_cache_ctx_t *ctx)
{
    u_char              *p;
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;

    r->headers_out.status = ctx->reply.status;

    if (ctx->reply.status == 304) {
        r->headers_out.content_length_n = -1;

    } else if (ctx->reply.first > ctx->reply.last) {
        r->headers_out.content_length_n =
                (ctx->view.flags & S3C_RECORD_NOBODY) ? -1 : 0;

    } else {
        r->headers_out.content_length_n = ctx->reply.last - ctx->reply.first
                                          + 1;
    }

    if (ngx_http_s3_cache_reply_headers(ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->reply.status == 206) {
        p = ngx_pnalloc(r->pool, sizeof("bytes -/") + 3 * NGX_INT64_LEN);
        if (p == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (push(r, "Content-Range", p,
                 ngx_sprintf(p, "bytes %uL-%uL/%uL", ctx->reply.first,
                             ctx->reply.last, ctx->view.total) - p)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if ((ctx->reply.status == 200 || ctx->reply.status == 206)
        && ngx_http_s3_cache_set_overrides(ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_s3_cache_set_cache_headers(ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* conditions and ranges are ours to decide, and have been */
    r->disable_not_modified = 1;
    r->allow_ranges = 0;

    ngx_http_s3_cache_count(ctx);

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    return NGX_OK;
}


/* The stored block, copied: the log may look at it after the pin is gone. */

static ngx_int_t
ngx_http_s3_cache_reply_headers(ngx_http_s3_cache_ctx_t *ctx)
{
    u_char              *p;
    size_t               pos;
    ngx_uint_t           hide;
    s3c_slice_t          block;
    s3c_http_header_t    h;
    ngx_http_request_t  *r;

    r = ctx->request;
    hide = !ctx->reply.checksums && (ctx->view.flags & S3C_RECORD_SUMS);

    p = ngx_pnalloc(r->pool, ctx->view.headers.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, ctx->view.headers.data, ctx->view.headers.len);
    block = s3c_slice(p, ctx->view.headers.len);

    for (pos = 0; s3c_s3_meta_next(block, &pos, &h); /* void */) {

        if (ctx->reply.status == 304 && !s3c_s3_meta_in_304(h.name)) {
            continue;
        }

        if (hide && s3c_s3_meta_is_checksum(h.name)) {
            continue;
        }

        if (ngx_http_s3_cache_set_header(r, &h, 0) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if ((ctx->view.flags & (S3C_RECORD_ERROR|S3C_RECORD_PAGE))
        == S3C_RECORD_ERROR)
    {
        return NGX_OK;     /* its document names the origin's request id */
    }

    return push(r, "x-amz-request-id", ctx->request_id,
                NGX_HTTP_S3_CACHE_REQUEST_ID);
}


ngx_int_t
ngx_http_s3_cache_set_header(ngx_http_request_t *r,
    const s3c_http_header_t *h, ngx_uint_t copy)
{
    u_char           *name, *value;
    ngx_table_elt_t  *elt, **slot;

    name = (u_char *) h->name.data;
    value = (u_char *) h->value.data;

    if (copy) {
        name = ngx_pnalloc(r->pool, h->name.len + h->value.len);
        if (name == NULL) {
            return NGX_ERROR;
        }

        value = ngx_cpymem(name, h->name.data, h->name.len);
        ngx_memcpy(value, h->value.data, h->value.len);
    }

    slot = &elt;

#define name_is(lit)                                                          \
    (s3c_slice_eq_nocase(h->name, S3C_SLICE(lit)))

    switch (h->name.len) {          /* what nginx's own filters look for */

    case 4:
        slot = name_is("ETag") ? &r->headers_out.etag : slot;
        break;

    case 7:
        slot = name_is("Expires") ? &r->headers_out.expires : slot;
        break;

    case 12:
        /* nginx leaves out an empty one; RGW keeps and shows it */

        if (h->value.len > 0 && name_is("Content-Type")) {
            r->headers_out.content_type.data = value;
            r->headers_out.content_type.len = h->value.len;
            r->headers_out.content_type_len = h->value.len;
            return NGX_OK;
        }
        break;

    case 13:
        slot = name_is("Last-Modified") ? &r->headers_out.last_modified
               : name_is("Accept-Ranges") ? &r->headers_out.accept_ranges
               : slot;
        break;

    case 16:
        slot = name_is("Content-Encoding") ? &r->headers_out.content_encoding
                                           : slot;
        break;
    }

#undef name_is

    return ngx_http_s3_cache_push(r, (char *) name, h->name.len, value,
                                  h->value.len, slot);
}


static ngx_int_t
ngx_http_s3_cache_push(ngx_http_request_t *r, const char *name,
    size_t name_len, u_char *value, size_t len, ngx_table_elt_t **elt)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif
    h->key.data = (u_char *) name;
    h->key.len = name_len;
    h->value.data = value;
    h->value.len = len;
    h->lowcase_key = NULL;

    if (elt != NULL) {
        *elt = h;
    }

    return NGX_OK;
}


/* response-content-type and its five siblings take a header's place. */

ngx_int_t
ngx_http_s3_cache_set_overrides(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_uint_t                   n;
    s3c_slice_t                  name;
    ngx_table_elt_t             *h;
    s3c_http_header_t            header;
    ngx_http_request_t          *r;
    ngx_http_s3_cache_walk_t     walk;
    ngx_http_s3_cache_target_t  *target;

    r = ctx->request;
    target = ngx_http_s3_cache_target(ctx);

    if (target == NULL) {
        return NGX_ERROR;
    }

    if (!target->op.has_overrides) {
        return NGX_OK;
    }

    for (n = 0; n < S3C_S3_OVERRIDES; n++) {

        if (target->op.overrides[n].data == NULL) {
            continue;
        }

        name = s3c_s3_override_header(n);

        ngx_http_s3_cache_walk(&walk, &r->headers_out.headers);

        while ((h = ngx_http_s3_cache_next(&walk)) != NULL) {

            if (s3c_slice_eq_nocase(name, ngx_http_s3_cache_slice(&h->key)))
            {
                h->hash = 0;
            }
        }

        header.name = name;
        header.value = target->op.overrides[n];

        if (ngx_http_s3_cache_set_header(r, &header, 1) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_s3_cache_set_cache_headers(ngx_http_s3_cache_ctx_t *ctx)
{
    u_char              *p;
    ngx_str_t           *name;
    ngx_http_request_t  *r;

    if (!ctx->conf->headers) {
        return NGX_OK;
    }

    r = ctx->request;
    name = ngx_http_s3_cache_result_name(ctx->result);

    if (push(r, "X-Cache", name->data, name->len) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->view.rec == NULL) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    return push(r, "Age", p,
                ngx_http_s3_cache_print(p,
                                   s3c_plan_age(&ctx->view,
                                                ngx_http_s3_cache_now()))
                - p);
}


ngx_int_t
ngx_http_s3_cache_send_error(ngx_http_s3_cache_ctx_t *ctx,
    s3c_s3_error_t error, const char *message)
{
    u_char                       range[64], total[NGX_INT64_LEN];
    size_t                       size;
    unsigned                     n;
    ngx_int_t                    rc;
    ngx_buf_t                   *b;
    ngx_chain_t                  out;
    s3c_slice_t                  resource;
    s3c_writer_t                 w;
    ngx_http_request_t          *r;
    s3c_s3_error_extra_t         extra[2];

    r = ctx->request;
    n = 0;

    if (ctx->sending) {
        return NGX_ERROR;     /* too late for a status: cut */
    }

    if (error == S3C_ERR_PRECONDITION_FAILED && ctx->reply.condition) {
        extra[n].name = "Condition";
        extra[n++].value = s3c_slice(ctx->reply.condition,
                                     ngx_strlen(ctx->reply.condition));

    } else if (ctx->auth != NULL && ctx->auth->refusal != NULL) {

        for ( /* void */ ; n < ctx->auth->refusal->n_extra; n++) {
            extra[n] = ctx->auth->refusal->extra[n];
        }

    } else if (error == S3C_ERR_INVALID_RANGE && ctx->view.rec != NULL) {
        extra[n].name = "RangeRequested";
        extra[n++].value = r->headers_in.range
                           ? ngx_http_s3_cache_slice(
                                                  &r->headers_in.range->value)
                           : s3c_slice(range, 0);
        extra[n].name = "ActualObjectSize";
        extra[n++].value = s3c_slice(total,
                              ngx_sprintf(total, "%uL", ctx->view.total)
                              - total);
    }

    resource = ngx_http_s3_cache_slice(&ctx->uri);

    if (resource.len > 2048) {
        resource.len = 2048;
    }

    size = 2048 + 6 * (resource.len + (n ? extra[0].value.len : 0)
                       + (n > 1 ? extra[1].value.len : 0));

    b = ngx_create_temp_buf(r->pool, size);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s3c_writer_init(&w, b->pos, size);
    s3c_s3_error_print(&w, error, message, extra, n, resource,
                       s3c_slice(ctx->request_id,
                                 NGX_HTTP_S3_CACHE_REQUEST_ID),
                       S3C_SLICE_NONE);

    if (!s3c_writer_ok(&w)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->last = b->pos + s3c_writer_slice(&w).len;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    r->headers_out.status = s3c_s3_error_status(error);
    r->headers_out.content_length_n = b->last - b->pos;
    ngx_str_set(&r->headers_out.content_type, "application/xml");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->disable_not_modified = 1;

    if (push(r, "x-amz-request-id", ctx->request_id,
             NGX_HTTP_S3_CACHE_REQUEST_ID)
        != NGX_OK
        || ngx_http_s3_cache_set_cache_headers(ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_s3_cache_count(ctx);
    ngx_http_s3_cache_release(ctx);
    ctx->view.rec = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


/* Once a request: client requests are counted, not what they cause. */

void
ngx_http_s3_cache_count(ngx_http_s3_cache_ctx_t *ctx)
{
    s3c_stats_t                 *stats;
    ngx_http_s3_cache_target_t  *target;

    stats = &ctx->zone->stats;

    if (ctx->counted || stats->mem == NULL) {
        return;
    }

    ctx->counted = 1;

    /* only names that the origin knows: strangers cannot fill the table */

    if (ctx->request->headers_out.status < 300) {
        target = ngx_http_s3_cache_target(ctx);

        if (target != NULL) {
            ctx->bucket = s3c_stats_bucket(stats, target->addr.bucket);

            if (ctx->conf->profile != NULL) {
                ngx_http_s3_cache_profile_note(ctx, target);
            }
        }
    }

    s3c_stats_add(stats, S3C_STAT_REQ_HIT + ctx->result, 1);

    if (ctx->page && (ctx->result == NGX_HTTP_S3_CACHE_HIT
                      || ctx->result == NGX_HTTP_S3_CACHE_SHARED))
    {
        s3c_stats_add(stats, S3C_STAT_LIST_HIT, 1);
    }

    switch (ctx->result) {

    case NGX_HTTP_S3_CACHE_HIT:
    case NGX_HTTP_S3_CACHE_SHARED:
    case NGX_HTTP_S3_CACHE_STALE:
    case NGX_HTTP_S3_CACHE_REVALIDATED:
        s3c_stats_bucket_add(stats, ctx->bucket, S3C_BSTAT_HITS, 1);
        break;

    case NGX_HTTP_S3_CACHE_MISS:
        s3c_stats_bucket_add(stats, ctx->bucket, S3C_BSTAT_MISSES, 1);
        break;

    case NGX_HTTP_S3_CACHE_BYPASS:
        s3c_stats_bucket_add(stats, ctx->bucket, S3C_BSTAT_PASSES, 1);
        break;

    default:
        break;
    }

    ngx_http_s3_cache_count_tier(ctx);

    if (ctx->conf->verify != 0) {
        ngx_http_s3_cache_verify_reply(ctx);
    }
}
