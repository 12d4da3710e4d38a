/* SPDX-License-Identifier: Apache-2.0
 *
 * A client's request from its first moment to its last: what it names and
 * wants, whether the cache may answer it, and how it is held open while an
 * event is awaited. Decides nothing about cached bytes.
 */

#include "ngx_http_s3_cache_module.h"
#include "ngx_http_s3_cache_auth.h"
#include "ngx_http_s3_cache_peer.h"
#include "ngx_http_s3_cache_fence.h"
#include "ngx_http_s3_cache_history.h"
#include "ngx_http_s3_cache_list.h"
#include "ngx_http_s3_cache_write.h"


/* of the hits, so many are timed; of what waits, all is */
#define SAMPLE  NGX_HTTP_S3_CACHE_HISTORY_SAMPLE


static ngx_int_t ngx_http_s3_cache_uri(ngx_http_s3_cache_ctx_t *ctx);
static s3c_status_t ngx_http_s3_cache_parse(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_target_t *target, s3c_s3_error_t *err,
    const char **message);
static s3c_status_t ngx_http_s3_cache_ident(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_target_t *target);
static void ngx_http_s3_cache_cleanup(void *data);


static const ngx_http_s3_cache_front_t  ngx_http_s3_cache_client = {
    ngx_http_s3_cache_hold,
    ngx_http_s3_cache_run,
    ngx_http_s3_cache_reply,
    ngx_http_s3_cache_pass,
    ngx_http_s3_cache_send_error
};

/* of the request that is being handled: see ngx_http_s3_cache_target() */
static ngx_http_s3_cache_target_t   ngx_http_s3_cache_scratch;
static ngx_http_s3_cache_ctx_t     *ngx_http_s3_cache_scratch_owner;
static ngx_uint_t                   ngx_http_s3_cache_sample;


ngx_int_t
ngx_http_s3_cache_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_http_s3_cache_ctx_t  *ctx;

    ctx = ngx_http_s3_cache_enter(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->err != S3C_ERR_NONE) {
        return ngx_http_s3_cache_refuse(ctx, ctx->err, ctx->message);
    }

    rc = ngx_http_s3_cache_authorize(ctx);

    return (rc == NGX_DECLINED) ? ngx_http_s3_cache_go(ctx) : rc;
}


/*
 * What is known of a request before it may do anything. A variable may be the
 * first to ask for it, in an earlier phase; what was made for another location
 * or before a rewrite is not used.
 */

ngx_http_s3_cache_ctx_t *
ngx_http_s3_cache_enter(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t            *cln;
    ngx_http_s3_cache_ctx_t       *ctx;
    ngx_http_s3_cache_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_s3_cache_module);
    ctx = ngx_http_get_module_ctx(r, ngx_http_s3_cache_module);

    if (ctx != NULL && ctx->conf == lcf && r->valid_unparsed_uri
        && ctx->uri.data == r->unparsed_uri.data)
    {
        return ctx;
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_s3_cache_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_s3_cache_cleanup;
    cln->data = ctx;

    ctx->front = &ngx_http_s3_cache_client;
    ctx->request = r;
    ctx->log = r->connection->log;
    ctx->conf = lcf;
    ctx->zone = lcf->zone;
    ctx->result = NGX_HTTP_S3_CACHE_MISS;
    ctx->identity = lcf->identity;
    ctx->host = r->headers_in.server;

    ngx_http_set_ctx(r, ctx, ngx_http_s3_cache_module);

    ngx_http_s3_cache_name(ctx);

    if (ngx_http_s3_cache_uri(ctx) != NGX_OK) {
        return NULL;
    }

    return ngx_http_s3_cache_reparse(ctx) == NGX_ERROR ? NULL : ctx;
}


ngx_int_t
ngx_http_s3_cache_reparse(ngx_http_s3_cache_ctx_t *ctx)
{
    ctx->target = NULL;
    ngx_http_s3_cache_scratch_owner = ctx;

    if (ngx_http_s3_cache_parse(ctx, &ngx_http_s3_cache_scratch, &ctx->err,
                                &ctx->message)
        != S3C_OK)
    {
        return NGX_DECLINED;
    }

    ctx->err = S3C_ERR_NONE;
    ctx->head = ngx_http_s3_cache_scratch.op.head;

    return NGX_OK;
}


ngx_int_t
ngx_http_s3_cache_go(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_int_t                    rc;
    ngx_http_s3_cache_target_t  *target;

    target = ngx_http_s3_cache_target(ctx);
    if (target == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (target->op.kind == S3C_OP_WRITE) {
        return ngx_http_s3_cache_write(ctx);
    }

    if (target->op.kind == S3C_OP_UNKNOWN_METHOD) {
        return ngx_http_s3_cache_refuse(ctx, S3C_ERR_METHOD_NOT_ALLOWED,
                                        NULL);
    }

    rc = ngx_http_discard_request_body(ctx->request);

    if (rc != NGX_OK) {
        return rc;
    }

    if (target->op.kind == S3C_OP_OPTIONS) {
        return ngx_http_s3_cache_pass(ctx, "options");
    }

    ctx->page = ngx_http_s3_cache_list_wants(ctx, target);

    if (target->op.kind != S3C_OP_GET_OBJECT && !ctx->page) {
        return ngx_http_s3_cache_pass(ctx, s3c_s3_pass_name(target->op.pass));
    }

    if (target->op.part_number != 0) {
        return ngx_http_s3_cache_pass(ctx, "part_number");
    }

    if (ctx->zone->ram == NULL || ctx->zone->apart) {
        return ngx_http_s3_cache_pass(ctx, "no_slot");
    }

    ctx->ask.checksum_mode = target->op.checksum_mode;

    if (ngx_http_s3_cache_read_conditions(ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->page) {
        /* S3 knows neither ranges nor conditions of a list */
        ngx_memzero(&ctx->ask, sizeof(s3c_ask_t));

    } else {
        ctx->identity = ngx_http_s3_cache_fence_identity(ctx,
                                                     target->addr.bucket,
                                                     target->addr.key,
                                                     target->op.version_id);
    }

    if (ngx_http_s3_cache_ident(ctx, target) != S3C_OK) {
        return ngx_http_s3_cache_pass(ctx, "too_long");
    }

    ctx->object = s3c_key_object(ctx->zone->secret, &target->ident);

    if ((ngx_http_s3_cache_sample++ & (SAMPLE - 1)) == 0) {
        ctx->begun_us = ngx_http_s3_cache_usec();
        ngx_http_s3_cache_history_read(ctx, target);
    }

    return ngx_http_s3_cache_lookup(ctx);
}


/* The request's id: splitmix64 from a start that is the worker's own. */

void
ngx_http_s3_cache_name(ngx_http_s3_cache_ctx_t *ctx)
{
    uint64_t         id;
    ngx_uint_t       i;
    static uint64_t  state;
    static u_char    hex[] = "0123456789abcdef";

    if (state == 0) {
        state = (uint64_t) ngx_random() << 33 ^ (uint64_t) ngx_random() << 16
                ^ (uint64_t) ngx_pid;
    }

    id = state += 0x9e3779b97f4a7c15;
    id = (id ^ (id >> 30)) * 0xbf58476d1ce4e5b9;
    id = (id ^ (id >> 27)) * 0x94d049bb133111eb;
    id = id ^ (id >> 31);

    for (i = 0; i < NGX_HTTP_S3_CACHE_REQUEST_ID; i++) {
        ctx->request_id[i] = hex[id & 0xf];
        id >>= 4;
    }
}


/*
 * As it was sent: nginx's own r->uri is decoded and normalized. But that is
 * all there is where nginx has made the URI: of a subrequest (SSI, mirror,
 * auth_request...), after a rewrite or an error_page.
 */

static ngx_int_t
ngx_http_s3_cache_uri(ngx_http_s3_cache_ctx_t *ctx)
{
    size_t               escape;
    u_char              *p;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (r->valid_unparsed_uri) {
        ctx->uri = r->unparsed_uri;
        return NGX_OK;
    }

    escape = 2 * ngx_escape_uri(NULL, r->uri.data, r->uri.len,
                                NGX_ESCAPE_URI);

    p = ngx_pnalloc(r->pool, r->uri.len + escape + 1 + r->args.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx->uri.data = p;

    if (escape) {
        p = (u_char *) ngx_escape_uri(p, r->uri.data, r->uri.len,
                                      NGX_ESCAPE_URI);
    } else {
        p = ngx_cpymem(p, r->uri.data, r->uri.len);
    }

    if (r->args.len > 0) {
        *p++ = '?';
        p = ngx_cpymem(p, r->args.data, r->args.len);
    }

    ctx->uri.len = p - ctx->uri.data;

    return NGX_OK;
}


ngx_int_t
ngx_http_s3_cache_refuse(ngx_http_s3_cache_ctx_t *ctx, s3c_s3_error_t err,
    const char *message)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (r->headers_in.expect != NULL && !r->expect_tested) {
        /* never invite a body that nobody wants; nor guess whether it comes
           all the same: this connection has no next request */
        r->expect_tested = 1;
        r->keepalive = 0;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    ctx->result = NGX_HTTP_S3_CACHE_REFUSED;

    return ngx_http_s3_cache_send_error(ctx, err, message);
}


static s3c_status_t
ngx_http_s3_cache_parse(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_target_t *target, s3c_s3_error_t *err,
    const char **message)
{
    ngx_uint_t                     n, ndomains;
    s3c_slice_t                    path, query, host, *domains;
    s3c_status_t                   st;
    s3c_http_header_t              headers[NGX_HTTP_S3_CACHE_HEADERS_MAX];
    ngx_http_request_t            *r;
    ngx_http_s3_cache_loc_conf_t  *lcf;

    r = ctx->request;
    lcf = ctx->conf;

    ngx_http_s3_cache_split(&ctx->uri, &path, &query);

    host = ngx_http_s3_cache_slice(&ctx->host);

    domains = lcf->domains ? lcf->domains->elts : NULL;
    ndomains = lcf->domains ? lcf->domains->nelts : 0;

    st = s3c_s3_address_parse(&target->addr, host, path, domains, ndomains,
                              err);
    if (st != S3C_OK) {
        return st;
    }

    n = ngx_http_s3_cache_headers(r, headers);

    if (n > NGX_HTTP_S3_CACHE_HEADERS_MAX) {
        *err = S3C_ERR_INVALID_REQUEST;
        *message = "Too many request headers.";
        return S3C_INVALID;
    }

    return s3c_s3_operation_parse(&target->op,
                                  ngx_http_s3_cache_slice(&r->method_name),
                                  query, &target->addr, headers, n, err,
                                  message);
}


ngx_uint_t
ngx_http_s3_cache_headers(ngx_http_request_t *r,
    s3c_http_header_t headers[NGX_HTTP_S3_CACHE_HEADERS_MAX])
{
    ngx_uint_t                 n;
    ngx_table_elt_t           *h;
    ngx_http_s3_cache_walk_t   walk;

    ngx_http_s3_cache_walk(&walk, &r->headers_in.headers);

    for (n = 0; (h = ngx_http_s3_cache_next(&walk)) != NULL; n++) {

        if (n == NGX_HTTP_S3_CACHE_HEADERS_MAX) {
            return n + 1;
        }

        headers[n].name = ngx_http_s3_cache_slice(&h->key);
        headers[n].value = ngx_http_s3_cache_slice(&h->value);
    }

    return n;
}


void
ngx_http_s3_cache_split(ngx_str_t *uri, s3c_slice_t *path,
    s3c_slice_t *query)
{
    u_char  *p;

    p = ngx_strlchr(uri->data, uri->data + uri->len, '?');

    *path = s3c_slice(uri->data, p ? (size_t) (p - uri->data) : uri->len);
    *query = p ? s3c_slice(p + 1, uri->data + uri->len - (p + 1))
               : S3C_SLICE_NONE;
}


ngx_http_s3_cache_target_t *
ngx_http_s3_cache_target(ngx_http_s3_cache_ctx_t *ctx)
{
    if (ctx->target != NULL) {
        return ctx->target;
    }

    if (ngx_http_s3_cache_scratch_owner == ctx) {
        return &ngx_http_s3_cache_scratch;
    }

    return ngx_http_s3_cache_keep(ctx) == NGX_OK ? ctx->target : NULL;
}


/* A page has the name of its query, under an identity that no object has. */

static s3c_status_t
ngx_http_s3_cache_ident(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_target_t *target)
{
    return s3c_ident_make(&target->ident, ctx->identity, target->addr.bucket,
                          ctx->page ? target->op.page : target->addr.key,
                          target->op.version_id);
}


/* Parsing again is cheaper than keeping 9 KB for every hit. */

ngx_int_t
ngx_http_s3_cache_keep(ngx_http_s3_cache_ctx_t *ctx)
{
    const char                  *message;
    s3c_s3_error_t               err;
    ngx_http_s3_cache_target_t  *target;

    if (ctx->target != NULL) {
        return NGX_OK;
    }

    target = ngx_palloc(ctx->request->pool,
                        sizeof(ngx_http_s3_cache_target_t));
    if (target == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_s3_cache_parse(ctx, target, &err, &message) != S3C_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_s3_cache_ident(ctx, target) != S3C_OK) {
        /* too long to be cached; what passes has no use for it */
        target->ident.len = 0;
    }

    ctx->target = target;

    return NGX_OK;
}


ngx_int_t
ngx_http_s3_cache_hold(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    if (!ctx->waiting) {

        if (ngx_http_s3_cache_keep(ctx) != NGX_OK) {
            /* nobody may go on with a request that is being ended */
            ngx_http_s3_cache_unwatch(&ctx->watch);
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ctx->waiting = 1;
        r->main->count++;

        /* a client that goes away ends its request, never a fill */
        r->read_event_handler = ctx->write ? ngx_http_s3_cache_write_left
                                           : ngx_http_test_reading;
        r->write_event_handler = ngx_http_request_empty_handler;

        if (r->connection->read->ready) {
            /* it went before this: no other event comes */
            ngx_post_event(r->connection->read, &ngx_posted_events);
        }
    }

    return NGX_DONE;
}


void
ngx_http_s3_cache_run(ngx_http_s3_cache_ctx_t *ctx,
    ngx_int_t (*step)(ngx_http_s3_cache_ctx_t *ctx))
{
    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = step(ctx);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);
}


void
ngx_http_s3_cache_release(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_uint_t  i;

    ngx_http_s3_cache_unwatch(&ctx->watch);
    ngx_http_s3_cache_errand_leave(ctx);
    ctx->view.rec = NULL;

    if (ctx->zone->ram == NULL) {
        return;
    }

    for (i = 0; ctx->aheads != NULL && i < ctx->conf->read_ahead; i++) {
        if (s3c_ram_pinned(&ctx->aheads[i].pin)) {
            s3c_ram_unpin(ctx->zone->ram, &ctx->aheads[i].pin);
        }
    }

    if (s3c_ram_pinned(&ctx->block_pin)) {
        s3c_ram_unpin(ctx->zone->ram, &ctx->block_pin);
    }

    if (s3c_ram_pinned(&ctx->pin)) {
        s3c_ram_unpin(ctx->zone->ram, &ctx->pin);
    }

    if (s3c_ram_pinned(&ctx->check)) {
        s3c_ram_unpin(ctx->zone->ram, &ctx->check);
    }
}


/* The pool's cleanup: nginx may send from our memory until it runs. */

static void
ngx_http_s3_cache_cleanup(void *data)
{
    ngx_http_s3_cache_ctx_t *ctx = data;

    if (ctx->watch.linked) {
        s3c_stats_add(&ctx->zone->stats, S3C_STAT_WAITERS_LEFT, 1);
    }

    ngx_http_s3_cache_pass_abort(ctx);
    ngx_http_s3_cache_write_cleanup(ctx);
    ngx_http_s3_cache_auth_cleanup(ctx);
    ngx_http_s3_cache_release(ctx);

    if (ngx_http_s3_cache_scratch_owner == ctx) {
        ngx_http_s3_cache_scratch_owner = NULL;
    }
}
