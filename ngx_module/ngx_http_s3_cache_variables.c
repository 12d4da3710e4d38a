/* SPDX-License-Identifier: Apache-2.0
 *
 * Variables for log formats and maps.
 */

#include "ngx_http_s3_cache_auth.h"
#include "ngx_http_s3_cache_peer.h"


typedef enum {
    VAR_STATUS = 0,
    VAR_TIER,
    VAR_BUCKET,
    VAR_KEY,
    VAR_BYPASS,
    VAR_OWNER,
    VAR_AUTH,
    VAR_IDENTITY,
    VAR_ACCESS_KEY,
    VAR_ACTION,
    VAR_URI
} ngx_http_s3_cache_var_e;


static s3c_slice_t ngx_http_s3_cache_tier_name(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t ngx_http_s3_cache_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_http_variable_t  ngx_http_s3_cache_vars[] = {

    { ngx_string("s3_cache_status"), NULL, ngx_http_s3_cache_variable,
      VAR_STATUS, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("s3_cache_tier"), NULL, ngx_http_s3_cache_variable,
      VAR_TIER, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("s3_cache_bucket"), NULL, ngx_http_s3_cache_variable,
      VAR_BUCKET, 0, 0 },

    { ngx_string("s3_cache_key"), NULL, ngx_http_s3_cache_variable,
      VAR_KEY, 0, 0 },

    { ngx_string("s3_cache_bypass"), NULL, ngx_http_s3_cache_variable,
      VAR_BYPASS, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("s3_cache_owner"), NULL, ngx_http_s3_cache_variable,
      VAR_OWNER, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("s3_cache_auth"), NULL, ngx_http_s3_cache_variable,
      VAR_AUTH, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("s3_cache_identity"), NULL, ngx_http_s3_cache_variable,
      VAR_IDENTITY, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("s3_cache_access_key"), NULL, ngx_http_s3_cache_variable,
      VAR_ACCESS_KEY, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("s3_cache_action"), NULL, ngx_http_s3_cache_variable,
      VAR_ACTION, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("s3_cache_uri"), NULL, ngx_http_s3_cache_variable,
      VAR_URI, 0, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_s3_cache_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_s3_cache_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


/* Where the answer came from, or the first of it that was not in memory. */

static s3c_slice_t
ngx_http_s3_cache_tier_name(ngx_http_s3_cache_ctx_t *ctx)
{
    if (ctx->pass != NULL) {
        return S3C_SLICE("pass");
    }

    if (ctx->result >= NGX_HTTP_S3_CACHE_BYPASS) {
        return S3C_SLICE_NONE;
    }

    switch (ctx->tier) {

    case NGX_HTTP_S3_CACHE_TIER_RAM:
        return S3C_SLICE("ram");

    case NGX_HTTP_S3_CACHE_TIER_FLASH:
        return S3C_SLICE("flash");

    case NGX_HTTP_S3_CACHE_TIER_MIRROR:
        return S3C_SLICE("mirror");

    case NGX_HTTP_S3_CACHE_TIER_PEER:
        return S3C_SLICE("peer");

    case NGX_HTTP_S3_CACHE_TIER_ORIGIN:
        return S3C_SLICE("origin");

    default:
        return ctx->result == NGX_HTTP_S3_CACHE_MISS ? S3C_SLICE("origin")
                                                     : S3C_SLICE("ram");
    }
}


/* The node that owns the object: of its first stripe. */

static s3c_slice_t
ngx_http_s3_cache_owner_name(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_target_t *target)
{
    s3c_ident_t                 ident;
    ngx_http_s3_cache_peers_t  *peers;

    peers = ctx->zone->peers;

    /* made anew: what is not read from the cache has none */

    if (peers == NULL || target == NULL
        || target->op.kind != S3C_OP_GET_OBJECT
        || s3c_ident_make(&ident, ctx->conf->identity, target->addr.bucket,
                          target->addr.key, target->op.version_id)
           != S3C_OK)
    {
        return S3C_SLICE_NONE;
    }

    return ngx_http_s3_cache_slice(ngx_http_s3_cache_peer_owner(peers,
                        ngx_http_s3_cache_view_point(peers,
                                                     ctx->conf->identity,
                                                     &ident, 0)));
}


/* Of who asks nothing is said that is not proved. */

static s3c_slice_t
ngx_http_s3_cache_who(ngx_http_s3_cache_auth_t *auth, uintptr_t data)
{
    if (auth == NULL || !auth->identified) {
        return S3C_SLICE_NONE;
    }

    switch (data) {

    case VAR_IDENTITY:
        return auth->identity ? auth->identity->name : S3C_SLICE_NONE;

    case VAR_ACCESS_KEY:
        return ngx_http_s3_cache_slice(&auth->access_key);

    default: /* VAR_ACTION */
        return auth->action < S3C_ACTIONS ? s3c_action_name(auth->action)
                                          : S3C_SLICE_NONE;
    }
}


/*
 * Who limits requests asks before they are handled: then it is found out who
 * signed. The context of a link's request is another.
 */

static ngx_http_s3_cache_ctx_t *
ngx_http_s3_cache_variable_ctx(ngx_http_request_t *r, uintptr_t data)
{
    ngx_http_s3_cache_ctx_t       *ctx;
    ngx_http_core_loc_conf_t      *clcf;
    ngx_http_s3_cache_loc_conf_t  *lcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_s3_cache_module);
    lcf = ngx_http_get_module_loc_conf(r, ngx_http_s3_cache_module);

    if (lcf->endpoint) {
        return NULL;
    }

    if (data == VAR_STATUS || data == VAR_TIER || data == VAR_BYPASS) {
        return ctx;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    /* nor is there any of a request that nginx could not read */

    if (clcf->handler == ngx_http_s3_cache_handler && r->unparsed_uri.len > 0
        && (ctx == NULL || ctx->conf != lcf))
    {
        ctx = ngx_http_s3_cache_enter(r);
    }

    if (ctx != NULL && data >= VAR_AUTH) {
        ngx_http_s3_cache_identify(ctx);
    }

    return ctx;
}


static ngx_int_t
ngx_http_s3_cache_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    s3c_slice_t                    s;
    ngx_str_t                     *name;
    ngx_http_s3_cache_ctx_t       *ctx;
    ngx_http_s3_cache_target_t    *target;

    ctx = ngx_http_s3_cache_variable_ctx(r, data);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    s = S3C_SLICE_NONE;
    target = NULL;

    if ((data == VAR_BUCKET || data == VAR_KEY || data == VAR_OWNER)
        && ctx->err == S3C_ERR_NONE)
    {
        target = ngx_http_s3_cache_target(ctx);
    }

    switch (data) {

    case VAR_STATUS:
        name = ngx_http_s3_cache_result_name(ctx->result);
        s = ngx_http_s3_cache_slice(name);
        break;

    case VAR_TIER:
        s = ngx_http_s3_cache_tier_name(ctx);
        break;

    case VAR_BUCKET:
        s = target ? target->addr.bucket : S3C_SLICE_NONE;
        break;

    case VAR_KEY:
        s = target ? target->addr.key : S3C_SLICE_NONE;
        break;

    case VAR_BYPASS:
        if (ctx->bypass != NULL) {
            s = s3c_slice(ctx->bypass, ngx_strlen(ctx->bypass));
        }
        break;

    case VAR_OWNER:
        s = ngx_http_s3_cache_owner_name(ctx, target);
        break;

    case VAR_AUTH:
        s = ngx_http_s3_cache_auth_decision(ctx);
        break;

    case VAR_URI:
        if (ngx_http_s3_cache_auth_uri(r, &s) != NGX_OK) {
            return NGX_ERROR;
        }
        break;

    default:
        s = ngx_http_s3_cache_who(ctx->auth, data);
        break;
    }

    if (s.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = (u_char *) s.data;

    if (target != NULL) {
        /* nginx keeps the value until the log, the target may be gone */

        v->data = ngx_pnalloc(r->pool, s.len);
        if (v->data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(v->data, s.data, s.len);
    }

    v->len = s.len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
