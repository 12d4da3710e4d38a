/* SPDX-License-Identifier: Apache-2.0
 *
 * May this client read that? The origin is asked by the client's own signed
 * request, of which at most a byte comes back. A no is the client's answer as
 * the origin gave it. A yes names the version that the origin showed, and only
 * that version is then sent from the cache: whatever two sides may understand
 * by a name, nobody is sent what the origin would not have sent him.
 *
 *   auth_origin   reads of objects are asked for, or remembered; what passes is
 *                 decided by the origin all the same
 *   head, told    the answer -> go | the client
 *   shows         before an answer from the cache: is it that version?
 *   differs       it is not -> ask again | look again | pass
 *   spans         and no byte of it beyond a Range that is signed?
 */

#include "ngx_http_s3_cache_auth_origin.h"
#include "ngx_http_s3_cache_flash.h"

#include "http/http_date.h"


/* of an answer that nobody wants, so that its connection can be kept */
#define DRAIN_MAX  (64 * 1024)


static ngx_int_t ngx_http_s3_cache_auth_origin_ask(
    ngx_http_s3_cache_ctx_t *ctx);
static void ngx_http_s3_cache_auth_origin_clock(
    ngx_http_s3_cache_asked_t *asked, s3c_http_head_t *head);


ngx_int_t
ngx_http_s3_cache_auth_origin(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_int_t                    rc;
    ngx_http_request_t          *r;
    ngx_http_s3_cache_asked_t   *asked;
    ngx_http_s3_cache_target_t  *target;

    r = ctx->request;

    if (r != r->main || !r->valid_unparsed_uri) {
        /* nobody has signed what nginx made */
        return ngx_http_s3_cache_refuse(ctx, S3C_ERR_NOT_IMPLEMENTED,
                                  "Requests are only taken as they came.");
    }

    target = ngx_http_s3_cache_target(ctx);
    if (target == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (target->op.kind == S3C_OP_WRITE) {
        return ngx_http_s3_cache_verbatim_host(ctx)
               ? NGX_DECLINED
               : ngx_http_s3_cache_refuse(ctx, S3C_ERR_INVALID_REQUEST,
                           "The Host is not known to name the origin.");
    }

    if (target->op.kind != S3C_OP_GET_OBJECT || target->op.part_number != 0
        || ctx->zone->ram == NULL || ctx->zone->apart)
    {
        return NGX_DECLINED;     /* passes */
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->auth == NULL) {
        ctx->auth = ngx_pcalloc(r->pool, sizeof(ngx_http_s3_cache_auth_t));
    }

    asked = ngx_pcalloc(r->pool, sizeof(ngx_http_s3_cache_asked_t));

    if (ctx->auth == NULL || asked == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->auth->asked = asked;

    if (ctx->conf->auth_valid > 0
        && ngx_http_s3_cache_verbatim_hash(ctx, asked->hash, &asked->end_sec)
           == NGX_OK)
    {
        asked->hashed = 1;

        if (ngx_http_s3_cache_seen_find(asked, ctx->conf->auth_valid)
            == NGX_OK)
        {
            asked->shown = 1;
            asked->remembered = 1;
            s3c_stats_add(&ctx->zone->stats, S3C_STAT_ORIGIN_REMEMBERED, 1);
            return NGX_DECLINED;
        }
    }

    return ngx_http_s3_cache_auth_origin_ask(ctx);
}


static ngx_int_t
ngx_http_s3_cache_auth_origin_ask(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_http_s3_cache_asked_t  *asked;

    asked = ctx->auth->asked;

    asked->asking = 1;
    asked->shown = 0;
    asked->remembered = 0;
    asked->unsure = 0;

    s3c_stats_add(&ctx->zone->stats, S3C_STAT_ORIGIN_ASKED, 1);

    /* never late: what is remembered is as of before the origin heard of it */
    asked->asked_ms = ngx_http_s3_cache_now();

    return ngx_http_s3_cache_pass(ctx, "auth");
}


ngx_int_t
ngx_http_s3_cache_auth_origin_head(ngx_http_s3_cache_ctx_t *ctx,
    s3c_http_head_t *head)
{
    s3c_s3_meta_t               meta;
    ngx_http_s3_cache_asked_t  *asked;

    asked = ctx->auth->asked;
    asked->asking = 0;

    if (head->status == 416 && asked->ranged) {
        /* it is empty; but that is not what the client asked */
        asked->unsure = 1;
        return NGX_ERROR;
    }

    if (head->status != 200 && head->status != 206) {

        if (asked->hashed) {
            ngx_http_s3_cache_seen_forget(asked);
        }

        if (head->status == 401 || head->status == 403) {
            ctx->auth->err = S3C_ERR_ACCESS_DENIED;
        }

        return NGX_DECLINED;
    }

    if (s3c_s3_meta_parse(head, ctx->head, &meta) != S3C_OK
        || meta.etag.len == 0
        || meta.etag.len > NGX_HTTP_S3_CACHE_ASKED_ETAG)
    {
        asked->unsure = 1;
        return NGX_ERROR;
    }

    s3c_stats_add(&ctx->zone->stats, S3C_STAT_ORIGIN_ALLOWED, 1);

    asked->shown = 1;
    asked->generation = meta.generation;
    asked->bounded = (head->status == 206 && !asked->ranged);
    asked->first = meta.first;
    asked->last = meta.last;
    asked->etag_len = meta.etag.len;
    ngx_memcpy(asked->etag, meta.etag.data, meta.etag.len);

    if (asked->hashed) {
        ngx_http_s3_cache_auth_origin_clock(asked, head);
        ngx_http_s3_cache_seen_put(asked);
    }

    return (ctx->head || (head->has_length && head->length <= DRAIN_MAX))
           ? NGX_OK : NGX_ERROR;
}


/* A signature that is over where it is judged is not good here for longer,
 * however far this clock is behind that one. Dates are whole seconds. */

static void
ngx_http_s3_cache_auth_origin_clock(ngx_http_s3_cache_asked_t *asked,
    s3c_http_head_t *head)
{
    int64_t                   date_sec;
    const s3c_http_header_t  *date;

    if (asked->end_sec == INT64_MAX) {
        return;
    }

    date = s3c_http_head_find(head, S3C_SLICE("date"));

    if (date != NULL
        && s3c_http_date_parse(date->value, &date_sec) == S3C_OK
        && date_sec > ngx_time())
    {
        asked->end_sec -= date_sec - ngx_time() + 1;
    }
}


/* Step: as if nothing had been asked. */

ngx_int_t
ngx_http_s3_cache_auth_origin_told(ngx_http_s3_cache_ctx_t *ctx)
{
    ctx->pass = NULL;
    ctx->bypass = NULL;
    ctx->result = NGX_HTTP_S3_CACHE_MISS;
    ctx->tier = NGX_HTTP_S3_CACHE_TIER_NONE;

    if (ctx->auth->asked->unsure) {
        return ngx_http_s3_cache_pass(ctx, "auth");
    }

    return ngx_http_s3_cache_go(ctx);
}


ngx_uint_t
ngx_http_s3_cache_auth_origin_shows(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_http_s3_cache_asked_t  *asked;

    asked = ctx->auth ? ctx->auth->asked : NULL;

    return asked != NULL && asked->shown
           && !(ctx->view.flags & S3C_RECORD_ERROR)
           && asked->generation == ctx->view.generation
           && s3c_slice_eq(s3c_slice(asked->etag, asked->etag_len),
                           ctx->view.etag);
}


/* ctx->reply is planned. What the client may have of it is what the origin sent
 * for the Range that is signed; others weigh an If-Range or a second Range. */

ngx_uint_t
ngx_http_s3_cache_auth_origin_spans(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_http_s3_cache_asked_t  *asked;

    asked = ctx->auth->asked;

    return !asked->bounded || ctx->head
           || ctx->reply.error != S3C_ERR_NONE
           || ctx->reply.first > ctx->reply.last
           || (ctx->reply.first >= asked->first
               && ctx->reply.last <= asked->last);
}


/*
 * Step. Which of the two is the newer nobody can tell. What was remembered, or
 * asked before the end of a fill, may be the older: the client's request asks
 * again, once. Else the record is: it is asked for once more, as of now.
 * If they still are not one, they are not of one thing, and the client has its
 * own from the origin.
 */

ngx_int_t
ngx_http_s3_cache_auth_origin_differs(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_http_s3_cache_asked_t  *asked;

    asked = ctx->auth ? ctx->auth->asked : NULL;
    ctx->stale = 0;

    if (asked == NULL || !asked->shown) {
        return ngx_http_s3_cache_pass(ctx, "auth");
    }

    s3c_stats_add(&ctx->zone->stats, S3C_STAT_ORIGIN_OTHER, 1);

    if (ctx->view.flags & S3C_RECORD_ERROR) {

        if (ctx->led || ctx->truth) {
            /* the gateway itself may not read it */
            return ngx_http_s3_cache_pass(ctx, "auth");
        }

        (void) ngx_http_s3_cache_drop(ctx->zone, ctx->object, &ctx->pin);
        ctx->truth = 1;

        return ngx_http_s3_cache_restart(ctx);
    }

    if (!asked->again && (asked->remembered || ctx->led || ctx->followed)) {
        asked->again = 1;
        return ngx_http_s3_cache_auth_origin_ask(ctx);
    }

    if (!ctx->led && !ctx->truth) {
        ctx->truth = 1;
        return ngx_http_s3_cache_restart(ctx);
    }

    return ngx_http_s3_cache_pass(ctx, "auth");
}


char *
ngx_http_s3_cache_auth_origin_check(ngx_conf_t *cf,
    ngx_http_s3_cache_loc_conf_t *conf)
{
    if (conf->auth != NGX_HTTP_S3_CACHE_AUTH_ORIGIN
        || conf->origin_conf.said == NGX_HTTP_S3_CACHE_CREDENTIALS_SAID)
    {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"s3_cache_auth origin\" needs "
                       "\"s3_cache_origin_credentials\", by which what "
                       "clients may read is fetched; \"none\" if it is "
                       "public");

    return NGX_CONF_ERROR;
}
