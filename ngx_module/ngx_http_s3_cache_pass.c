/* SPDX-License-Identifier: Apache-2.0
 *
 * What the cache has no part in: listings, sub-resources, requests that must
 * not be cached, and whatever the memory tier has no room for. Asked anew of
 * the origin, from an allow-list (pass_request.c), and relayed through one
 * buffer: the origin is read no faster than the client reads. Heads are in
 * pass_head.c.
 */

#include "ngx_http_s3_cache_origin_keys.h"
#include "ngx_http_s3_cache_pass.h"
#include "ngx_http_s3_cache_auth_origin.h"
#include "ngx_http_s3_cache_write.h"


#define PASS_BUFFER  (64 * 1024)


static ngx_int_t ngx_http_s3_cache_pass_start(ngx_http_s3_cache_ctx_t *ctx,
    ngx_uint_t rest);
static void ngx_http_s3_cache_pass_on_space(ngx_http_s3_cache_call_t *call,
    u_char **pos, size_t *len);
static ngx_int_t ngx_http_s3_cache_pass_on_body(
    ngx_http_s3_cache_call_t *call, size_t n);
static void ngx_http_s3_cache_pass_on_end(ngx_http_s3_cache_call_t *call,
    ngx_http_s3_cache_call_end_e end);
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

    if (ctx->begun_us == 0) {
        ctx->begun_us = ngx_http_s3_cache_usec();
    }

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
    pass->asks = (ctx->auth != NULL && ctx->auth->asked != NULL
                  && ctx->auth->asked->asking);
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
         : ctx->write ? ngx_http_s3_cache_write_ask(ctx, call)
         : ngx_http_s3_cache_pass_ask(ctx, call);

    if (rc != NGX_OK) {
        ngx_http_s3_cache_pass_abort(ctx);

        if (ctx->write) {
            return ngx_http_s3_cache_refuse(ctx, S3C_ERR_INVALID_REQUEST,
                                            NULL);
        }

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

        if (ctx->write != NULL) {
            ngx_http_s3_cache_write_ended(ctx->write, ctx->pass->call,
                                          NGX_HTTP_S3_CACHE_CALL_ABORTED);
        }

        ngx_http_s3_cache_call_abort(ctx->pass->call, 1);
        ctx->pass->call = NULL;
    }
}


static void
ngx_http_s3_cache_pass_on_space(ngx_http_s3_cache_call_t *call, u_char **pos,
    size_t *len)
{
    ngx_http_s3_cache_pass_t *pass = call->data;

    static u_char             sink[4096];

    *len = 0;

    if (pass->told) {
        *pos = sink;
        *len = sizeof(sink);
        return;
    }

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

    if (pass->told) {
        return NGX_OK;
    }

    if (pass->ctx->write != NULL) {
        ngx_http_s3_cache_write_received(pass->ctx->write,
                                s3c_slice(pass->buf + pass->refusal_len, n));
    }

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

    if (pass->ctx->write != NULL) {
        ngx_http_s3_cache_write_ended(pass->ctx->write, call, end);
    }

    pass->call = NULL;
    pass->end = end;

    if (pass->told) {
        ngx_http_s3_cache_run(pass->ctx, ngx_http_s3_cache_auth_origin_told);
        return;
    }

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

    if (s3c_s3_error_is_about_keys(s3c_slice(pass->buf, pass->refusal_len))
        && (ctx->write == NULL
            || !ngx_http_s3_cache_write_is_blamed(ctx->write,
                              s3c_slice(pass->buf, pass->refusal_len))))
    {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "s3_cache: origin %V refuses the gateway's credentials "
                      "or signature", &ctx->conf->origin->url);
        ngx_http_s3_cache_origin_keys_refused(ctx->conf->origin_conf.keys);

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
    ngx_int_t            rc;
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

    if (ctx->write != NULL && ngx_http_s3_cache_write_failed(ctx, &rc)) {
        return rc;
    }

    ctx->result = NGX_HTTP_S3_CACHE_ERROR;

    switch (ctx->pass->end) {

    case NGX_HTTP_S3_CACHE_CALL_TIMEOUT:
        return ngx_http_s3_cache_send_error(ctx, S3C_ERR_GATEWAY_TIMEOUT,
                                            NULL);

    case NGX_HTTP_S3_CACHE_CALL_INTERNAL:
        return ngx_http_s3_cache_send_error(ctx, S3C_ERR_INTERNAL_ERROR,
                                            NULL);

    case NGX_HTTP_S3_CACHE_CALL_UNSIGNED:
        return ngx_http_s3_cache_send_error(ctx, S3C_ERR_SERVICE_UNAVAILABLE,
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
