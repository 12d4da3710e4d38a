/* SPDX-License-Identifier: Apache-2.0
 *
 * The head of an answer that is passed through: may it be relayed, and which of
 * its headers are.
 */

#include "ngx_http_s3_cache_pass.h"
#include "ngx_http_s3_cache_auth_origin.h"
#include "ngx_http_s3_cache_write.h"


static ngx_int_t ngx_http_s3_cache_pass_check(ngx_http_s3_cache_ctx_t *ctx,
    s3c_http_head_t *head);
static ngx_int_t ngx_http_s3_cache_pass_headers(ngx_http_s3_cache_ctx_t *ctx,
    s3c_http_head_t *head);
static ngx_int_t ngx_http_s3_cache_pass_rest_head(
    ngx_http_s3_cache_ctx_t *ctx, s3c_http_head_t *head);


ngx_int_t
ngx_http_s3_cache_pass_on_head(ngx_http_s3_cache_call_t *call,
    s3c_http_head_t *head)
{
    ngx_http_s3_cache_pass_t *pass = call->data;

    ngx_int_t                 rc;
    ngx_http_request_t       *r;
    ngx_http_s3_cache_ctx_t  *ctx;

    ctx = pass->ctx;
    r = ctx->request;

    if (pass->rest) {
        return ngx_http_s3_cache_pass_rest_head(ctx, head);
    }

    if (pass->asks) {
        rc = ngx_http_s3_cache_auth_origin_head(ctx, head);

        if (rc != NGX_DECLINED) {
            pass->told = 1;
            return rc;
        }
    }

    if (ctx->write != NULL
        && ngx_http_s3_cache_write_answered(ctx->write, head) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (call->origin->signs && !call->head && !call->bare
        && (head->status == 400 || head->status == 401
            || head->status == 403))
    {
        /* about the object, or about how the gateway signed? */

        pass->refusal = ngx_palloc(r->pool, sizeof(s3c_http_head_t));
        if (pass->refusal == NULL) {
            return NGX_ERROR;
        }

        *pass->refusal = *head;

        return NGX_OK;
    }

    if (ngx_http_s3_cache_pass_check(ctx, head) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "s3_cache: origin sent another range than it says "
                      "or was asked for");
        return NGX_ERROR;
    }

    return ngx_http_s3_cache_pass_send_head(ctx, head);
}


ngx_int_t
ngx_http_s3_cache_pass_send_head(ngx_http_s3_cache_ctx_t *ctx,
    s3c_http_head_t *head)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;

    r->headers_out.status = head->status;
    r->headers_out.content_length_n = head->has_length
                                      ? (off_t) head->length : -1;
    r->disable_not_modified = 1;

    if (ngx_http_s3_cache_pass_headers(ctx, head) != NGX_OK
        || ngx_http_s3_cache_set_cache_headers(ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* of a client's own request the origin has them */

    if ((head->status == 200 || head->status == 206)
        && ctx->conf->auth != NGX_HTTP_S3_CACHE_AUTH_ORIGIN
        && ngx_http_s3_cache_set_overrides(ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_s3_cache_count(ctx);

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return NGX_ERROR;
    }

    ctx->sending = 1;

    return NGX_OK;
}


/*
 * What is not kept is not looked into, but for one thing: a part of an object
 * whose Content-Range contradicts its length or the question would be taken
 * by a client for what it asked for.
 */

static ngx_int_t
ngx_http_s3_cache_pass_check(ngx_http_s3_cache_ctx_t *ctx,
    s3c_http_head_t *head)
{
    uint64_t                     first, last, total, from, to;
    unsigned                     i;
    s3c_slice_t                  range;
    s3c_http_header_t           *h;
    ngx_http_s3_cache_target_t  *target;

    target = ngx_http_s3_cache_target(ctx);

    if (target == NULL) {
        return NGX_ERROR;
    }

    if (head->status != 206 || target->op.kind != S3C_OP_GET_OBJECT) {
        return NGX_OK;
    }

    range = S3C_SLICE_NONE;

    for (i = 0; i < head->n_headers; i++) {
        h = &head->headers[i];

        if (s3c_slice_eq_nocase(h->name, S3C_SLICE("Content-Range"))) {
            if (range.data != NULL) {
                return NGX_ERROR;
            }

            range = h->value;

        } else if (s3c_slice_eq_nocase(h->name, S3C_SLICE("Content-Type"))
                   && s3c_slice_starts_nocase(h->value,
                                         S3C_SLICE("multipart/byteranges")))
        {
            /* several ranges, that S3 does not know, but others may */
            return NGX_OK;
        }
    }

    if (s3c_http_content_range_parse(range, &first, &last, &total) != S3C_OK
        || first > last
        || (head->has_length && head->length != last - first + 1))
    {
        return NGX_ERROR;
    }

    if (ctx->ask.range.kind != S3C_RANGE_NONE
        && (s3c_http_range_resolve(&ctx->ask.range, total, &from, &to)
            != S3C_RANGE_PART
            || from != first || to != last))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_s3_cache_pass_headers(ngx_http_s3_cache_ctx_t *ctx,
    s3c_http_head_t *head)
{
    unsigned            i, n;
    s3c_http_header_t  *h;

    /* about this connection or this server, not about the answer */
    static const s3c_slice_t  skip[] = {
        { (const uint8_t *) "Connection", 10 },
        { (const uint8_t *) "Keep-Alive", 10 },
        { (const uint8_t *) "Proxy-Connection", 16 },
        { (const uint8_t *) "Proxy-Authenticate", 18 },
        { (const uint8_t *) "Transfer-Encoding", 17 },
        { (const uint8_t *) "Content-Length", 14 },
        { (const uint8_t *) "Trailer", 7 },
        { (const uint8_t *) "Upgrade", 7 },
        { (const uint8_t *) "Date", 4 },
        { (const uint8_t *) "Server", 6 },
        { (const uint8_t *) "Age", 3 },
        { (const uint8_t *) "X-Cache", 7 },
        { (const uint8_t *) "X-Accel-Redirect", 16 },
    };

    for (i = 0; i < head->n_headers; i++) {
        h = &head->headers[i];

        for (n = 0; n < sizeof(skip) / sizeof(skip[0]); n++) {
            if (s3c_slice_eq_nocase(h->name, skip[n])) {
                break;
            }
        }

        if (n == sizeof(skip) / sizeof(skip[0])
            && ngx_http_s3_cache_set_header(ctx->request, h, 1) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* The same version, from the very next byte on, or nothing. */

static ngx_int_t
ngx_http_s3_cache_pass_rest_head(ngx_http_s3_cache_ctx_t *ctx,
    s3c_http_head_t *head)
{
    s3c_s3_meta_t              meta;
    ngx_http_s3_cache_pass_t  *pass;

    pass = ctx->pass;

    if (s3c_s3_meta_parse(head, false, &meta) != S3C_OK
        || meta.generation != pass->generation
        || meta.total != pass->total)
    {
        return NGX_ERROR;
    }

    pass->left = ctx->reply.last - ctx->pos + 1;

    if (head->status == 200) {
        /* an origin that knows no ranges: read over what is not wanted */
        pass->whole = 1;
        pass->skip = ctx->pos;
        return NGX_OK;
    }

    return (meta.first == ctx->pos && meta.last == ctx->reply.last)
           ? NGX_OK : NGX_ERROR;
}
