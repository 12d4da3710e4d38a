/* SPDX-License-Identifier: Apache-2.0
 *
 * s3_cache_auth keys: who signed the request, by the file of identities, and
 * may that one do it? The signature is of what the client sent; the policy is
 * asked about what is accessed, which a rewrite or a subrequest may have made
 * another.
 *
 * A claim and the plan of what is needed are large, and wanted for a moment:
 * there is one of each in a worker.
 */

#include "ngx_http_s3_cache_auth.h"


static ngx_http_s3_cache_auth_t *keys_auth(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t keys_identify(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t keys_wire(ngx_http_s3_cache_ctx_t *ctx,
    s3c_sigv4_wire_t *wire);
static ngx_int_t keys_claim(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_sigv4_wire_t *wire);
static ngx_int_t keys_token(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_identity_key_t *key);
static ngx_int_t keys_signed(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_identity_key_t *key);
static ngx_int_t keys_body(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_identity_key_t *key);
static ngx_int_t keys_host(ngx_http_s3_cache_ctx_t *ctx, s3c_slice_t host);
static ngx_int_t keys_allowed(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t keys_refuse_claim(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t keys_refuse(ngx_http_s3_cache_ctx_t *ctx,
    s3c_s3_error_t err);
static void keys_count(ngx_http_s3_cache_ctx_t *ctx, s3c_stat_t stat);


static s3c_sigv4_claim_t  keys_scratch_claim;
static s3c_needs_t        keys_scratch_needs;
static s3c_http_header_t  keys_headers[NGX_HTTP_S3_CACHE_HEADERS_MAX];
static s3c_sigv4_keys_t   keys_cache;


ngx_int_t
ngx_http_s3_cache_auth_keys(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_int_t                  rc;
    ngx_http_s3_cache_auth_t  *auth;

    auth = keys_auth(ctx);
    if (auth == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (auth->keys == NULL) {
        return ngx_http_s3_cache_refuse(ctx, S3C_ERR_SERVICE_UNAVAILABLE,
                                        NULL);
    }

    if (!auth->identified && keys_identify(ctx) != NGX_OK) {
        keys_count(ctx, S3C_STAT_AUTH_REFUSED);
        rc = ngx_http_s3_cache_refuse(ctx, auth->err, auth->message);
        auth->refusal = NULL;
        return rc;
    }

    if (keys_allowed(ctx) != NGX_OK) {
        keys_count(ctx, S3C_STAT_AUTH_DENIED);
        return ngx_http_s3_cache_refuse(ctx, auth->err, auth->message);
    }

    auth->err = S3C_ERR_NONE;
    keys_count(ctx, S3C_STAT_AUTH_ALLOWED);

    return NGX_DECLINED;
}


static void
keys_count(ngx_http_s3_cache_ctx_t *ctx, s3c_stat_t stat)
{
    if (ctx->zone->stats.mem != NULL) {
        s3c_stats_add(&ctx->zone->stats, stat, 1);
    }
}


/* Of a refusal nothing is kept but its name: it is found anew when it is
 * answered. */

void
ngx_http_s3_cache_identify(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_http_s3_cache_auth_t  *auth;

    if (ctx->conf->auth != NGX_HTTP_S3_CACHE_AUTH_KEYS || ctx->auth != NULL
        || ctx->err != S3C_ERR_NONE)
    {
        return;
    }

    auth = keys_auth(ctx);

    if (auth == NULL || auth->keys == NULL) {
        return;
    }

    if (keys_identify(ctx) == NGX_OK) {
        (void) keys_allowed(ctx);
    }

    auth->refusal = NULL;
}


static ngx_http_s3_cache_auth_t *
keys_auth(ngx_http_s3_cache_ctx_t *ctx)
{
    if (ctx->auth == NULL) {
        ctx->auth = ngx_pcalloc(ctx->request->pool,
                                sizeof(ngx_http_s3_cache_auth_t));
        if (ctx->auth == NULL) {
            return NULL;
        }

        ctx->auth->keys = ngx_http_s3_cache_keyring_hold(ctx->conf->keyring);
    }

    return ctx->auth;
}


static ngx_int_t
keys_identify(ngx_http_s3_cache_ctx_t *ctx)
{
    s3c_sigv4_wire_t  wire;

    ctx->auth->refusal = NULL;
    ctx->auth->message = NULL;

    if (keys_wire(ctx, &wire) != NGX_OK) {
        return keys_refuse(ctx, S3C_ERR_INTERNAL_ERROR);
    }

    if (s3c_sigv4_parse(&wire, &ctx->conf->signing, &keys_scratch_claim)
        != S3C_OK)
    {
        return keys_refuse_claim(ctx);
    }

    if (keys_claim(ctx, &wire) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->auth->identified = 1;

    return NGX_OK;
}


/* What the client sent: a subrequest has its client's headers, and no other
 * signature than that of the main request. */

static ngx_int_t
keys_wire(ngx_http_s3_cache_ctx_t *ctx, s3c_sigv4_wire_t *wire)
{
    ngx_http_request_t           *r;
    ngx_http_s3_cache_target_t   *target;

    r = ctx->request->main;
    target = ngx_http_s3_cache_target(ctx);

    if (target == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(wire, sizeof(s3c_sigv4_wire_t));

    wire->method = ngx_http_s3_cache_slice(&r->method_name);
    ngx_http_s3_cache_split(&r->unparsed_uri, &wire->path, &wire->query);

    wire->headers = keys_headers;
    wire->n_headers = ngx_http_s3_cache_headers(r, keys_headers);

    if (wire->n_headers > NGX_HTTP_S3_CACHE_HEADERS_MAX) {
        return NGX_ERROR;
    }

    wire->vhost_bucket = target->addr.vhost ? target->addr.bucket
                                            : S3C_SLICE_NONE;
    wire->may_stream = (r->method == NGX_HTTP_PUT && target->addr.key.len > 0);
    wire->now_sec = ngx_time();

    return NGX_OK;
}


static ngx_int_t
keys_claim(ngx_http_s3_cache_ctx_t *ctx, const s3c_sigv4_wire_t *wire)
{
    s3c_slice_t                secret;
    s3c_sigv4_claim_t         *claim;
    const s3c_identity_key_t  *key;
    ngx_http_s3_cache_auth_t  *auth;

    auth = ctx->auth;
    claim = &keys_scratch_claim;
    auth->kind = claim->kind;

    if (claim->kind == S3C_SIGNED_NOT) {
        auth->identity = s3c_identities_anonymous(auth->keys->set);
        return NGX_OK;
    }

    key = s3c_identities_find(auth->keys->set, claim->access_key);
    secret = key ? key->secret_key : S3C_SLICE_NONE;

    if (s3c_sigv4_check(wire, &ctx->conf->signing, claim, secret, &keys_cache)
        != S3C_OK)
    {
        return keys_refuse_claim(ctx);
    }

    if (keys_token(ctx, key) != NGX_OK) {
        return NGX_ERROR;
    }

    return keys_signed(ctx, key);
}


/* A session token belongs to its access key, and is there if that has one. */

static ngx_int_t
keys_token(ngx_http_s3_cache_ctx_t *ctx, const s3c_identity_key_t *key)
{
    s3c_slice_t  token;

    token = keys_scratch_claim.session_token;

    if (token.len == key->session_token.len
        && s3c_digest_eq(token.data, key->session_token.data, token.len))
    {
        return NGX_OK;
    }

    return keys_refuse(ctx, S3C_ERR_INVALID_TOKEN);
}


static ngx_int_t
keys_signed(ngx_http_s3_cache_ctx_t *ctx, const s3c_identity_key_t *key)
{
    s3c_sigv4_claim_t         *claim;
    ngx_http_s3_cache_auth_t  *auth;

    auth = ctx->auth;
    claim = &keys_scratch_claim;

    auth->identity = key->identity;
    auth->access_key.data = (u_char *) key->access_key.data;
    auth->access_key.len = key->access_key.len;
    auth->payload = claim->payload;

    /* SigV2 signs the bucket, and no host: it is that of what was verified */

    switch (claim->kind == S3C_SIGNED_QUERY_V2 ? NGX_OK
                                             : keys_host(ctx, claim->host))
    {
    case NGX_OK:
        break;

    case NGX_DECLINED:
        auth->message = ctx->message;
        return keys_refuse(ctx, ctx->err);

    default:
        return keys_refuse(ctx, S3C_ERR_INTERNAL_ERROR);
    }

    return keys_body(ctx, key) == NGX_OK
           ? NGX_OK : keys_refuse(ctx, S3C_ERR_INTERNAL_ERROR);
}


/* What of the signature is about the body, which comes later. */

static ngx_int_t
keys_body(ngx_http_s3_cache_ctx_t *ctx, const s3c_identity_key_t *key)
{
    ngx_http_s3_cache_auth_t  *auth;

    auth = ctx->auth;

    if (ctx->request != ctx->request->main) {
        return NGX_OK;
    }

    switch (auth->payload) {

    case S3C_PAYLOAD_HASH:
        ngx_memcpy(auth->body_sha256, keys_scratch_claim.body_sha256,
                   S3C_SHA256_BYTES);
        return NGX_OK;

    case S3C_PAYLOAD_SIGNED_CHUNKS:
    case S3C_PAYLOAD_SIGNED_TRAILER:
        break;

    default:
        return NGX_OK;
    }

    auth->chunks = ngx_pcalloc(ctx->request->pool,
                               sizeof(s3c_sigv4_chunks_t));
    if (auth->chunks == NULL) {
        return NGX_ERROR;
    }

    return s3c_sigv4_chunks_init(auth->chunks, &keys_scratch_claim,
                                 key->secret_key, &keys_cache)
           == S3C_OK ? NGX_OK : NGX_ERROR;
}


/*
 * The bucket is that of the host that was signed. nginx takes the name of a
 * request line that holds one, and a load balancer sends its own.
 */

static ngx_int_t
keys_host(ngx_http_s3_cache_ctx_t *ctx, s3c_slice_t host)
{
    u_char  *p;

    if (host.len >= ctx->host.len
        && s3c_slice_starts_nocase(host, ngx_http_s3_cache_slice(&ctx->host))
        && (host.len == ctx->host.len || host.data[ctx->host.len] == ':'))
    {
        return NGX_OK;
    }

    p = ngx_pnalloc(ctx->request->pool, host.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, host.data, host.len);

    ctx->host.data = p;
    ctx->host.len = host.len;

    return ngx_http_s3_cache_reparse(ctx);
}


static ngx_int_t
keys_allowed(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_uint_t                   i, n;
    s3c_slice_t                  path, query;
    ngx_http_request_t          *r;
    ngx_http_s3_cache_auth_t    *auth;
    ngx_http_s3_cache_target_t  *target;

    r = ctx->request;
    auth = ctx->auth;
    target = ngx_http_s3_cache_target(ctx);

    if (target == NULL) {
        return keys_refuse(ctx, S3C_ERR_INTERNAL_ERROR);
    }

    n = ngx_http_s3_cache_headers(r, keys_headers);

    if (n > NGX_HTTP_S3_CACHE_HEADERS_MAX) {
        return keys_refuse(ctx, S3C_ERR_INVALID_REQUEST);
    }

    ngx_http_s3_cache_split(&ctx->uri, &path, &query);

    if (s3c_access_plan(&keys_scratch_needs,
                        ngx_http_s3_cache_slice(&r->method_name),
                        &target->addr, query, keys_headers, n)
        != S3C_OK)
    {
        auth->message = "The x-amz-copy-source header is not valid.";
        return keys_refuse(ctx, S3C_ERR_INVALID_ARGUMENT);
    }

    auth->action = keys_scratch_needs.n > 0 ? keys_scratch_needs.all[0].action
                                            : S3C_ACTIONS;

    if (auth->kind == S3C_SIGNED_NOT && target->op.has_overrides) {
        auth->message = "Request specific response headers cannot be used "
                        "for anonymous GET requests.";
        return keys_refuse(ctx, S3C_ERR_INVALID_REQUEST);
    }

    if (s3c_identity_may_all(auth->identity, &keys_scratch_needs)) {
        return NGX_OK;
    }

    if (!keys_scratch_needs.keys_in_body || auth->identity == NULL
        || !s3c_policy_may_some(&auth->identity->policy, S3C_ACTION_WRITE,
                                target->addr.bucket))
    {
        return keys_refuse(ctx, S3C_ERR_ACCESS_DENIED);
    }

    /* the rest of what it needs is decided now, its keys as they come */

    for (i = 1; i < keys_scratch_needs.n; i++) {
        if (!s3c_identity_may(auth->identity, &keys_scratch_needs.all[i])) {
            return keys_refuse(ctx, S3C_ERR_ACCESS_DENIED);
        }
    }

    auth->keys_in_body = 1;

    return NGX_OK;
}


ngx_uint_t
ngx_http_s3_cache_auth_may_delete(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_slice_t *key)
{
    s3c_access_t  access;

    if (ctx->auth == NULL || !ctx->auth->keys_in_body) {
        return 1;
    }

    if (key == NULL) {
        return 0;
    }

    access.action = S3C_ACTION_WRITE;
    access.scope = S3C_SCOPE_KEY;
    access.bucket = ctx->target->addr.bucket;
    access.key = *key;

    return s3c_identity_may(ctx->auth->identity, &access);
}


static ngx_int_t
keys_refuse_claim(ngx_http_s3_cache_ctx_t *ctx)
{
    ctx->auth->refusal = &keys_scratch_claim.refusal;
    ctx->auth->message = keys_scratch_claim.refusal.message;

    return keys_refuse(ctx, keys_scratch_claim.refusal.err);
}


static ngx_int_t
keys_refuse(ngx_http_s3_cache_ctx_t *ctx, s3c_s3_error_t err)
{
    ctx->auth->err = err;

    return NGX_ERROR;
}


void
ngx_http_s3_cache_auth_forget(void)
{
    s3c_sigv4_keys_wipe(&keys_cache);
}


void
ngx_http_s3_cache_auth_cleanup(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_http_s3_cache_auth_t  *auth;

    auth = ctx->auth;

    if (auth == NULL) {
        return;
    }

    if (auth->sha.ctx != NULL) {
        s3c_sha_fini(&auth->sha);
    }

    if (auth->chunks != NULL) {
        s3c_sigv4_chunks_fini(auth->chunks);
    }

    ngx_http_s3_cache_keyring_release(auth->keys);
    auth->keys = NULL;
}
