/* SPDX-License-Identifier: Apache-2.0
 *
 * The way of a write: parsed as far as it must be understood, fenced, and
 * passed. From the moment that the origin may have heard of it until its
 * answer is here, what it names is not read from the cache; if there is no
 * answer, for a while after that.
 */

#include "ngx_http_s3_cache_auth.h"
#include "ngx_http_s3_cache_reload.h"
#include "ngx_http_s3_cache_through.h"


static ngx_int_t ngx_http_s3_cache_write_fence(ngx_http_s3_cache_write_t *w);
static void ngx_http_s3_cache_write_early(ngx_http_s3_cache_write_t *w);
static void ngx_http_s3_cache_write_over(ngx_http_s3_cache_write_t *w,
    ngx_uint_t answered);
static ngx_uint_t ngx_http_s3_cache_write_is_refused(
    ngx_http_s3_cache_write_t *w);


ngx_int_t
ngx_http_s3_cache_write(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_http_request_t         *r;
    ngx_http_s3_cache_write_t  *w;

    r = ctx->request;

    if (r != r->main) {
        /* its body is another request's */
        return ngx_http_s3_cache_refuse(ctx, S3C_ERR_NOT_IMPLEMENTED,
                                        "Subrequests only read.");
    }

    if (ngx_http_s3_cache_fence_can(ngx_http_s3_cache_main_conf(ctx),
                                    ctx->conf->origin->id)
        != NGX_OK)
    {
        return ngx_http_s3_cache_refuse(ctx, S3C_ERR_SLOW_DOWN, NULL);
    }

    w = ngx_pcalloc(r->pool, sizeof(ngx_http_s3_cache_write_t));
    if (w == NULL || ngx_http_s3_cache_keep(ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    w->ctx = ctx;
    w->fence.ctx = ctx;
    w->fence.judged = (ctx->conf->auth == NGX_HTTP_S3_CACHE_AUTH_ORIGIN);
    ctx->write = w;

    if (ngx_http_s3_cache_write_parse(w) != NGX_OK) {
        return ngx_http_s3_cache_refuse(ctx, w->err, w->message);
    }

    if (w->has_body && w->length > 0) {

        if (ctx->request->method != NGX_HTTP_DELETE && !w->has_copy_source) {
            /* the last of it is held back instead; but those are done without
               it */
            return ngx_http_s3_cache_pass(ctx, "write");
        }

        if (w->fence.judged) {
            /* nor would the origin judge one whose client leaves within it */
            return ngx_http_s3_cache_refuse(ctx, S3C_ERR_INVALID_REQUEST,
                                      "This request is taken without a body.");
        }
    }

    if (ngx_http_s3_cache_write_gate(w) == NGX_AGAIN) {
        return ngx_http_s3_cache_hold(ctx);
    }

    return ngx_http_s3_cache_write_go(ctx);
}


ngx_int_t
ngx_http_s3_cache_write_go(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_http_s3_cache_write_t  *w;

    w = ctx->write;

    if (w->err != S3C_ERR_NONE || w->fence.refused) {
        return ngx_http_s3_cache_refuse(ctx, w->err ? w->err
                                                    : S3C_ERR_SLOW_DOWN,
                                        w->message);
    }

    if (w->decoder != NULL && w->length == 0) {
        return ngx_http_s3_cache_write_empty(ctx);
    }

    return ngx_http_s3_cache_pass(ctx, "write");
}


/*
 * An origin takes a write when it has the whole of it, not before. So the time
 * in which readers are held back is that of its answer, and not that of the
 * upload.
 */

ngx_int_t
ngx_http_s3_cache_write_gate(ngx_http_s3_cache_write_t *w)
{
    ngx_int_t  rc;

    rc = NGX_OK;

    if (!w->fenced) {
        w->fenced = 1;
        rc = ngx_http_s3_cache_write_fence(w);
    }

    if (rc == NGX_OK) {
        rc = w->fence.refused ? NGX_BUSY
                              : ngx_http_s3_cache_fence_gate(&w->fence);
    }

    switch (rc) {

    case NGX_OK:
    case NGX_AGAIN:
        return rc;

    case NGX_BUSY:
        w->err = S3C_ERR_SLOW_DOWN;
        return NGX_ERROR;

    default:
        w->err = S3C_ERR_INTERNAL_ERROR;
        return NGX_ERROR;
    }
}


/* Keys that the body names are fenced as it comes: see write_body.c. */

static ngx_int_t
ngx_http_s3_cache_write_fence(ngx_http_s3_cache_write_t *w)
{
    ngx_http_s3_cache_name_t     name;
    ngx_http_s3_cache_target_t  *target;

    target = w->ctx->target;

    ngx_memzero(&name, sizeof(ngx_http_s3_cache_name_t));
    name.bucket = target->addr.bucket;

    switch (w->touches) {

    case S3C_TOUCHES_KEY:
        name.key = target->addr.key;
        name.version = target->op.version_id;
        break;

    case S3C_TOUCHES_BUCKET:
        break;

    default:
        return NGX_OK;
    }

    return ngx_http_s3_cache_fence_begin(&w->fence, &name);
}


/* A 2xx with a document may have come before the write is done (Complete,
 * Copy): only its end says that it is. */

ngx_int_t
ngx_http_s3_cache_write_answered(ngx_http_s3_cache_write_t *w,
    s3c_http_head_t *head)
{
    w->status = head->status;

    if (head->status < 300 && !w->ended
        && ((!w->fence.passed && ngx_http_s3_cache_write_gate(w) != NGX_OK)
            || ngx_http_s3_cache_reload_joined()))
    {
        ngx_http_s3_cache_write_early(w);
        return NGX_ERROR;
    }

    w->left = head->has_length ? head->length : UINT64_MAX;

    ngx_http_s3_cache_through_answered(w, head);

    if (head->status >= 300 || head->status == 204 || w->left == 0) {
        ngx_http_s3_cache_write_over(w, 1);
    }

    ngx_http_s3_cache_write_settle(w);

    return NGX_OK;
}


/* The origin did it without the rest of the body, or there are nodes by now of
 * which nobody knew, and not all have been told: its client must not hear that
 * it is done. */

static void
ngx_http_s3_cache_write_early(ngx_http_s3_cache_write_t *w)
{
    w->ended = 1;
    w->fence.passed = 1;

    s3c_stats_add(&w->ctx->zone->stats, S3C_STAT_WRITE_UNKNOWN, 1);

    ngx_http_s3_cache_fence_end(&w->fence, NGX_HTTP_S3_CACHE_FENCE_UNKNOWN);
}


/* Before the client sees these bytes. */

void
ngx_http_s3_cache_write_received(ngx_http_s3_cache_write_t *w,
    s3c_slice_t part)
{
    w->left -= ngx_min(part.len, w->left);

    if (w->names != NULL) {
        s3c_s3_delete_result_take(&w->result, part);
    }

    if (w->left == 0) {
        ngx_http_s3_cache_write_over(w, 1);
    }
}


/*
 * The whole answer is here, or none will come. A client that has had all of
 * the answer before this runs is not early: readers ask the origin until then.
 */

void
ngx_http_s3_cache_write_ended(ngx_http_s3_cache_write_t *w,
    ngx_http_s3_cache_call_t *call, ngx_http_s3_cache_call_end_e end)
{
    if (!ngx_http_s3_cache_call_sent(call)) {
        w->status = 0;                 /* the origin has heard nothing of it */
        ngx_http_s3_cache_write_over(w, 1);
        return;
    }

    ngx_http_s3_cache_write_over(w, end == NGX_HTTP_S3_CACHE_CALL_DONE);
}


static void
ngx_http_s3_cache_write_over(ngx_http_s3_cache_write_t *w,
    ngx_uint_t answered)
{
    s3c_stat_t                     stat;
    ngx_http_s3_cache_fence_end_e  end;

    if (w->ended) {
        return;
    }

    w->ended = 1;

    if (!w->fence.passed || (answered && w->status == 0)) {
        /* the origin never had the whole of it, or nothing */
        end = NGX_HTTP_S3_CACHE_FENCE_REFUSED;
        stat = S3C_STAT_WRITE_FAILED;

    } else if (answered && w->fence.judged
               && ngx_http_s3_cache_write_is_refused(w))
    {
        end = NGX_HTTP_S3_CACHE_FENCE_REFUSED;
        stat = S3C_STAT_WRITE_FAILED;

    } else if (answered && (w->status < 500 || w->status == 503)) {
        end = NGX_HTTP_S3_CACHE_FENCE_KNOWN;
        stat = (w->status >= 200 && w->status < 300) ? S3C_STAT_WRITE_DONE
                                                     : S3C_STAT_WRITE_FAILED;

    } else {
        end = NGX_HTTP_S3_CACHE_FENCE_UNKNOWN;
        stat = S3C_STAT_WRITE_UNKNOWN;
    }

    s3c_stats_add(&w->ctx->zone->stats, stat, 1);

    ngx_http_s3_cache_fence_end(&w->fence, end);
    ngx_http_s3_cache_through_end(w, stat == S3C_STAT_WRITE_DONE);
}


/*
 * Of these an origin has done nothing: who asks may not, or what he asks for is
 * none. Not so 404, 409 and 412, which may be about what an earlier try of the
 * same write has done, by somebody between here and the origin who tries again.
 * But without a key a 404 is of a bucket that there is not, and a 409 of one that
 * is another's: S3 says so to anybody, and buckets share places.
 */

static ngx_uint_t
ngx_http_s3_cache_write_is_refused(ngx_http_s3_cache_write_t *w)
{
    switch (w->status) {

    case NGX_HTTP_OK:
        /* a DeleteObjects, none of whose keys may be deleted */
        return w->names != NULL && !w->fence.bucket
               && s3c_s3_delete_result_is_denied(&w->result, w->nnames);

    case NGX_HTTP_NOT_FOUND:
    case NGX_HTTP_CONFLICT:
        return w->ctx->target->addr.key.len == 0;

    case NGX_HTTP_BAD_REQUEST:
    case NGX_HTTP_UNAUTHORIZED:
    case NGX_HTTP_FORBIDDEN:
    case NGX_HTTP_NOT_ALLOWED:
    case NGX_HTTP_LENGTH_REQUIRED:
    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
    case NGX_HTTP_REQUEST_URI_TOO_LARGE:
    case 431:                          /* Request Header Fields Too Large */
    case NGX_HTTP_NOT_IMPLEMENTED:
        return 1;

    default:
        return 0;
    }
}


ngx_uint_t
ngx_http_s3_cache_write_is_blamed(ngx_http_s3_cache_write_t *w,
    s3c_slice_t document)
{
    return w->payload == S3C_PAYLOAD_HASH
           && ngx_strnstr((u_char *) document.data,
                          "<Code>XAmzContentSHA256Mismatch</Code>",
                          document.len)
              != NULL;
}


ngx_uint_t
ngx_http_s3_cache_write_failed(ngx_http_s3_cache_ctx_t *ctx, ngx_int_t *rc)
{
    ngx_http_s3_cache_write_t  *w;

    w = ctx->write;

    ngx_http_s3_cache_write_settle(w);

    if (w->rc != NGX_OK) {
        *rc = w->rc;
        return 1;
    }

    if (w->err != S3C_ERR_NONE) {
        ctx->result = NGX_HTTP_S3_CACHE_REFUSED;
        *rc = ngx_http_s3_cache_send_error(ctx, w->err, w->message);
        return 1;
    }

    return 0;
}


void
ngx_http_s3_cache_write_cleanup(ngx_http_s3_cache_ctx_t *ctx)
{
    if (ctx->write == NULL) {
        return;
    }

    if (ctx->write->decoder != NULL) {
        s3c_s3_chunked_fini(ctx->write->decoder);
    }

    if (!ctx->write->ended) {
        /* no call was ever made of it */
        ngx_http_s3_cache_fence_end(&ctx->write->fence,
                                    NGX_HTTP_S3_CACHE_FENCE_REFUSED);
    }

    ngx_http_s3_cache_through_end(ctx->write, 0);
}
