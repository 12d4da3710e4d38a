/* SPDX-License-Identifier: Apache-2.0
 *
 * What the cache has no part in: listings, sub-resources, requests that must
 * not be cached, and whatever the memory tier has no room for. Asked anew of
 * the origin, from an allow-list (pass_request.c), and relayed through one
 * buffer: the origin is read no faster than the client reads.
 */

#include "ngx_http_s3_cache_pass.h"


#define PASS_BUFFER  (64 * 1024)


static ngx_int_t ngx_http_s3_cache_pass_start(ngx_http_s3_cache_ctx_t *ctx,
    ngx_uint_t rest);
static ngx_int_t ngx_http_s3_cache_pass_on_head(
    ngx_http_s3_cache_call_t *call, s3c_http_head_t *head);
static ngx_int_t ngx_http_s3_cache_pass_check(ngx_http_s3_cache_ctx_t *ctx,
    s3c_http_head_t *head);
static ngx_int_t ngx_http_s3_cache_pass_headers(ngx_http_s3_cache_ctx_t *ctx,
    s3c_http_head_t *head);
static ngx_int_t ngx_http_s3_cache_pass_rest_head(
    ngx_http_s3_cache_ctx_t *ctx, s3c_http_head_t *head);
static void ngx_http_s3_cache_pass_on_space(ngx_http_s3_cache_call_t *call,
    u_char **pos, size_t *len);
static ngx_int_t ngx_http_s3_cache_pass_on_body(
    ngx_http_s3_cache_call_t *call, size_t n);
static void ngx_http_s3_cache_pass_on_end(ngx_http_s3_cache_call_t *call,
    ngx_http_s3_cache_call_end_e end);
static ngx_int_t ngx_http_s3_cache_pass_send_head(
    ngx_http_s3_cache_ctx_t *ctx, s3c_http_head_t *head);
static ngx_int_t ngx_http_s3_cache_pass_rest_body(
    ngx_http_s3_cache_pass_t *pass, size_t n);
static ngx_int_t ngx_http_s3_cache_pass_send(ngx_http_s3_cache_ctx_t *ctx,
    size_t off, size_t n);
static ngx_int_t ngx_http_s3_cache_pass_refused(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t ngx_http_s3_cache_pass_ended(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t ngx_http_s3_cache_pass_flush(ngx_http_s3_cache_ctx_t *ctx);
static void ngx_http_s3_cache_pass_write_handler(ngx_http_request_t *r);


ngx_int_t
ngx_http_s3_cache_pass(ngx_http_s3_cache_ctx_t *ctx, const char *reason)
{
    ctx->bypass = reason;
    ctx->result = NGX_HTTP_S3_CACHE_BYPASS;
    ctx->tier = NGX_HTTP_S3_CACHE_TIER_ORIGIN;

    return ngx_http_s3_cache_pass_start(ctx, 0);
}


ngx_int_t
ngx_http_s3_cache_pass_rest(ngx_http_s3_cache_ctx_t *ctx)
{
    if (ctx->view.flags & S3C_RECORD_ERROR) {
        return NGX_ERROR;
    }

    return ngx_http_s3_cache_pass_start(ctx, 1);
}


static ngx_int_t
ngx_http_s3_cache_pass_start(ngx_http_s3_cache_ctx_t *ctx, ngx_uint_t rest)
{
    ngx_int_t                  rc;
    ngx_http_request_t        *r;
    ngx_http_s3_cache_call_t  *call;
    ngx_http_s3_cache_pass_t  *pass;

    r = ctx->request;

    if (ngx_http_s3_cache_keep(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    pass = ngx_pcalloc(r->pool, sizeof(ngx_http_s3_cache_pass_t));
    if (pass == NULL) {
        return NGX_ERROR;
    }

    pass->ctx = ctx;
    pass->rest = rest ? 1 : 0;
    ctx->pass = pass;

    call = ngx_http_s3_cache_call_create(ctx->conf->origin, ngx_cycle->log);
    if (call == NULL) {
        return NGX_ERROR;
    }

    pass->call = call;

    call->data = pass;
    call->stats = ctx->zone->stats.mem ? &ctx->zone->stats : NULL;
    call->on_head = ngx_http_s3_cache_pass_on_head;
    call->on_space = ngx_http_s3_cache_pass_on_space;
    call->on_body = ngx_http_s3_cache_pass_on_body;
    call->on_end = ngx_http_s3_cache_pass_on_end;

    rc = rest ? ngx_http_s3_cache_pass_ask_rest(ctx, call)
              : ngx_http_s3_cache_pass_ask(ctx, call);

    if (rc != NGX_OK) {
        ngx_http_s3_cache_pass_abort(ctx);

        return rest ? NGX_ERROR
                    : ngx_http_s3_cache_send_error(ctx,
                                            S3C_ERR_INVALID_REQUEST, NULL);
    }

    /* pins are not needed any more; the view of the rest has been used */
    pass->generation = rest ? ctx->view.generation : 0;
    pass->total = rest ? ctx->view.total : 0;
    ngx_http_s3_cache_release(ctx);
    ctx->view.rec = NULL;

    ngx_http_s3_cache_call_start(call);

    return ngx_http_s3_cache_hold(ctx);
}


/* The client left, or nothing was begun: no callback comes any more. */

void
ngx_http_s3_cache_pass_abort(ngx_http_s3_cache_ctx_t *ctx)
{
    if (ctx->pass != NULL && ctx->pass->call != NULL) {
        ngx_http_s3_cache_call_abort(ctx->pass->call, 1);
        ctx->pass->call = NULL;
    }
}


static ngx_int_t
ngx_http_s3_cache_pass_on_head(ngx_http_s3_cache_call_t *call,
    s3c_http_head_t *head)
{
    ngx_http_s3_cache_pass_t *pass = call->data;

    ngx_http_request_t       *r;
    ngx_http_s3_cache_ctx_t  *ctx;

    ctx = pass->ctx;
    r = ctx->request;

    if (pass->rest) {
        return ngx_http_s3_cache_pass_rest_head(ctx, head);
    }

    if (call->origin->signs && !call->head
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


static ngx_int_t
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

    if ((head->status == 200 || head->status == 206)
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


static void
ngx_http_s3_cache_pass_on_space(ngx_http_s3_cache_call_t *call, u_char **pos,
    size_t *len)
{
    ngx_http_s3_cache_pass_t *pass = call->data;

    *len = 0;

    if (pass->busy) {
        return;
    }

    if (pass->buf == NULL) {
        pass->buf = ngx_palloc(pass->ctx->request->pool, PASS_BUFFER);
        if (pass->buf == NULL) {
            ngx_http_s3_cache_call_abort(call, 0);
            return;
        }
    }

    *pos = pass->buf + pass->refusal_len;
    *len = PASS_BUFFER - pass->refusal_len;
}


static ngx_int_t
ngx_http_s3_cache_pass_on_body(ngx_http_s3_cache_call_t *call, size_t n)
{
    ngx_http_s3_cache_pass_t *pass = call->data;

    if (pass->ctx->request->header_only) {
        /* a body in answer to HEAD: the call drops such a connection */
        return NGX_ERROR;
    }

    if (pass->refusal != NULL) {
        pass->refusal_len += n;

        /* no error document of S3 is that long */
        return pass->refusal_len < PASS_BUFFER ? NGX_OK : NGX_ERROR;
    }

    if (pass->rest) {
        return ngx_http_s3_cache_pass_rest_body(pass, n);
    }

    return ngx_http_s3_cache_pass_send(pass->ctx, 0, n);
}


static ngx_int_t
ngx_http_s3_cache_pass_rest_body(ngx_http_s3_cache_pass_t *pass, size_t n)
{
    size_t     skip;
    ngx_int_t  rc;

    skip = ngx_min(n, pass->skip);
    n = ngx_min(n - skip, pass->left);

    pass->skip -= skip;
    pass->left -= n;

    rc = (n > 0) ? ngx_http_s3_cache_pass_send(pass->ctx, skip, n) : NGX_OK;

    if (rc == NGX_OK && pass->whole && pass->left == 0) {
        pass->complete = 1;
        return NGX_ERROR;
    }

    return rc;
}


static ngx_int_t
ngx_http_s3_cache_pass_send(ngx_http_s3_cache_ctx_t *ctx, size_t off,
    size_t n)
{
    ngx_int_t                  rc;
    ngx_buf_t                 *b;
    ngx_http_request_t        *r;
    ngx_http_s3_cache_pass_t  *pass;

    pass = ctx->pass;
    r = ctx->request;

    b = &pass->link.buf;
    ngx_memzero(b, sizeof(ngx_buf_t));

    b->temporary = 1;
    b->start = pass->buf;
    b->pos = pass->buf + off;
    b->last = b->pos + n;
    b->end = pass->buf + PASS_BUFFER;
    b->flush = 1;
    b->tag = (ngx_buf_tag_t) &ngx_http_s3_cache_module;

    pass->link.chain.buf = b;
    pass->link.chain.next = NULL;

    ctx->pos += n;

    if (ctx->zone->stats.mem != NULL) {
        s3c_stats_add(&ctx->zone->stats, S3C_STAT_SENT_PASS, n);
    }

    rc = ngx_http_output_filter(r, &pass->link.chain);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (!ngx_http_s3_cache_drained(&pass->link.chain)) {
        pass->busy = 1;

        if (ngx_http_s3_cache_await_write(ctx,
                                       ngx_http_s3_cache_pass_write_handler)
            != NGX_DONE)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_s3_cache_pass_on_end(ngx_http_s3_cache_call_t *call,
    ngx_http_s3_cache_call_end_e end)
{
    ngx_http_s3_cache_pass_t *pass = call->data;

    if (pass->complete) {
        end = NGX_HTTP_S3_CACHE_CALL_DONE;
    }

    pass->call = NULL;
    pass->end = end;

    if (pass->refusal != NULL && end == NGX_HTTP_S3_CACHE_CALL_DONE) {
        ngx_http_s3_cache_run(pass->ctx, ngx_http_s3_cache_pass_refused);
        return;
    }

    if (pass->busy && end == NGX_HTTP_S3_CACHE_CALL_DONE) {
        /* the write handler comes to the end by itself */
        return;
    }

    ngx_http_s3_cache_run(pass->ctx, ngx_http_s3_cache_pass_ended);
}


/* Step: the document of a 400 or 403 is complete. */

static ngx_int_t
ngx_http_s3_cache_pass_refused(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_http_s3_cache_pass_t  *pass;

    pass = ctx->pass;

    if (s3c_s3_error_is_about_keys(s3c_slice(pass->buf, pass->refusal_len))) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "s3_cache: origin %V refuses the gateway's credentials "
                      "or signature", &ctx->conf->origin->url);

        ctx->result = NGX_HTTP_S3_CACHE_ERROR;

        return ngx_http_s3_cache_send_error(ctx, S3C_ERR_BAD_GATEWAY, NULL);
    }

    if (ngx_http_s3_cache_pass_send_head(ctx, pass->refusal) != NGX_OK) {
        return NGX_ERROR;
    }

    if (pass->refusal_len > 0
        && ngx_http_s3_cache_pass_send(ctx, 0, pass->refusal_len) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* while the client is slow the write handler comes to the end */

    return pass->busy ? NGX_DONE : ngx_http_s3_cache_pass_ended(ctx);
}


static ngx_int_t
ngx_http_s3_cache_pass_ended(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ctx->pass->end == NGX_HTTP_S3_CACHE_CALL_DONE
        || (r->header_only && ctx->sending))
    {
        return r->header_only ? NGX_OK
                              : ngx_http_send_special(r, NGX_HTTP_LAST);
    }

    if (ctx->sending || r->header_sent) {
        return NGX_ERROR;
    }

    ctx->result = NGX_HTTP_S3_CACHE_ERROR;

    switch (ctx->pass->end) {

    case NGX_HTTP_S3_CACHE_CALL_TIMEOUT:
        return ngx_http_s3_cache_send_error(ctx, S3C_ERR_GATEWAY_TIMEOUT,
                                            NULL);

    case NGX_HTTP_S3_CACHE_CALL_INTERNAL:
        return ngx_http_s3_cache_send_error(ctx, S3C_ERR_INTERNAL_ERROR,
                                            NULL);

    default:
        return ngx_http_s3_cache_send_error(ctx, S3C_ERR_BAD_GATEWAY, NULL);
    }
}


static ngx_int_t
ngx_http_s3_cache_pass_flush(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_int_t                  rc;
    ngx_http_s3_cache_pass_t  *pass;

    pass = ctx->pass;

    rc = ngx_http_s3_cache_flush(ctx, &pass->link.chain,
                                 ngx_http_s3_cache_pass_write_handler);

    if (rc != NGX_OK) {
        return rc;
    }

    pass->busy = 0;

    if (pass->call == NULL) {
        return ngx_http_s3_cache_pass_ended(ctx);
    }

    ngx_http_s3_cache_call_resume(pass->call);

    return NGX_DONE;
}


static void
ngx_http_s3_cache_pass_write_handler(ngx_http_request_t *r)
{
    ngx_http_s3_cache_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_s3_cache_module);

    ngx_http_s3_cache_run(ctx, ngx_http_s3_cache_pass_flush);
}
