/* SPDX-License-Identifier: Apache-2.0
 *
 * s3_cache_auth keys where an operator speaks: s3_cache_admin, s3_cache_status.
 * A request there names no object, so it is no request of S3's to auth_keys.c;
 * but it is signed by the same SigV4 with the same keys, and the policy is
 * asked about everything at once.
 *
 * With `off` and `origin` nothing is asked here: no store knows what these
 * endpoints are.
 */

#include "ngx_http_s3_cache_auth.h"
#include "ngx_http_s3_cache_status.h"


#define GUARD_ANSWER_BYTES  1024


static ngx_int_t guard_claim(ngx_http_request_t *r,
    ngx_http_s3_cache_loc_conf_t *lcf, ngx_http_s3_cache_keys_t *keys,
    const s3c_identity_t **identity, s3c_s3_error_t *err, const char **why);
static ngx_int_t guard_refuse(ngx_http_request_t *r, s3c_s3_error_t err,
    const char *why);


static s3c_sigv4_claim_t  guard_scratch_claim;
static s3c_http_header_t  guard_headers[NGX_HTTP_S3_CACHE_HEADERS_MAX];


char *
ngx_http_s3_cache_guard_check(ngx_conf_t *cf,
    ngx_http_s3_cache_loc_conf_t *conf)
{
    if (conf->guarded && conf->auth == NGX_HTTP_S3_CACHE_AUTH_KEYS
        && conf->keyring == NULL)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"s3_cache_auth keys\" needs "
                           "\"s3_cache_credentials\"");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_s3_cache_guard(ngx_http_request_t *r, s3c_action_t action)
{
    ngx_int_t                      rc;
    const char                    *why;
    s3c_access_t                   access;
    s3c_s3_error_t                 err;
    const s3c_identity_t          *identity;
    ngx_http_s3_cache_keys_t      *keys;
    ngx_http_s3_cache_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_s3_cache_module);

    if (lcf->auth != NGX_HTTP_S3_CACHE_AUTH_KEYS) {
        return NGX_DECLINED;
    }

    keys = ngx_http_s3_cache_keyring_hold(lcf->keyring);

    if (keys == NULL) {
        return guard_refuse(r, S3C_ERR_SERVICE_UNAVAILABLE, NULL);
    }

    rc = guard_claim(r, lcf, keys, &identity, &err, &why);

    if (rc == NGX_OK) {
        /* any key of any bucket: a statement for "*" allows it, and one that
           denies any part of it denies all */
        ngx_memzero(&access, sizeof(s3c_access_t));
        access.action = action;
        access.scope = S3C_SCOPE_UNKNOWN;

        if (!s3c_identity_may(identity, &access)) {
            err = S3C_ERR_ACCESS_DENIED;
            why = NULL;
            rc = NGX_ERROR;
        }
    }

    if (rc == NGX_OK) {

        if (r->method == NGX_HTTP_POST) {
            ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                          "s3_cache_auth: an operator, identity \"%*s\"",
                          identity->name.len, identity->name.data);
        }

        rc = NGX_DECLINED;

    } else {
        rc = guard_refuse(r, err, why);
    }

    ngx_http_s3_cache_keyring_release(keys);

    return rc;
}


/* Who signed what the client sent: not what a page of somebody else's has
 * nginx ask for on the way. */

static ngx_int_t
guard_claim(ngx_http_request_t *r, ngx_http_s3_cache_loc_conf_t *lcf,
    ngx_http_s3_cache_keys_t *keys, const s3c_identity_t **identity,
    s3c_s3_error_t *err, const char **why)
{
    ngx_uint_t                 n;
    s3c_slice_t                token;
    s3c_sigv4_wire_t           wire;
    s3c_sigv4_claim_t         *claim;
    const s3c_identity_key_t  *key;

    claim = &guard_scratch_claim;
    *why = NULL;

    if (r != r->main) {
        *err = S3C_ERR_ACCESS_DENIED;
        return NGX_ERROR;
    }

    n = ngx_http_s3_cache_headers(r, guard_headers);

    if (n > NGX_HTTP_S3_CACHE_HEADERS_MAX) {
        *err = S3C_ERR_INVALID_REQUEST;
        *why = "Too many request headers.";
        return NGX_ERROR;
    }

    ngx_memzero(&wire, sizeof(s3c_sigv4_wire_t));

    wire.method = ngx_http_s3_cache_slice(&r->method_name);
    ngx_http_s3_cache_split(&r->unparsed_uri, &wire.path, &wire.query);
    wire.headers = guard_headers;
    wire.n_headers = n;
    wire.now_sec = ngx_time();

    if (s3c_sigv4_parse(&wire, &lcf->signing, claim) != S3C_OK) {
        *err = claim->refusal.err;
        *why = claim->refusal.message;
        return NGX_ERROR;
    }

    if (claim->kind == S3C_SIGNED_NOT) {
        /* the anonymous identity is no operator, whatever its policy says */
        *err = S3C_ERR_ACCESS_DENIED;
        *why = "The request is not signed.";
        return NGX_ERROR;
    }

    if (claim->kind == S3C_SIGNED_QUERY_V2) {
        *err = S3C_ERR_ACCESS_DENIED;
        *why = "SigV4 is needed.";
        return NGX_ERROR;
    }

    key = s3c_identities_find(keys->set, claim->access_key);

    if (s3c_sigv4_check(&wire, &lcf->signing, claim,
                        key ? key->secret_key : S3C_SLICE_NONE, NULL)
        != S3C_OK)
    {
        *err = claim->refusal.err;
        *why = claim->refusal.message;
        return NGX_ERROR;
    }

    token = claim->session_token;

    if (token.len != key->session_token.len
        || !s3c_digest_eq(token.data, key->session_token.data, token.len))
    {
        *err = S3C_ERR_INVALID_TOKEN;
        return NGX_ERROR;
    }

    *identity = key->identity;

    return NGX_OK;
}


/* Neither says anything of what is there: it is the same for all of it. */

static ngx_int_t
guard_refuse(ngx_http_request_t *r, s3c_s3_error_t err, const char *why)
{
    u_char        *data;
    ngx_int_t      rc;
    const char    *code;
    s3c_writer_t   w;

    code = s3c_s3_error_code(err);
    why = why ? why : s3c_s3_error_message(err);

    ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                  "s3_cache_auth: an operator is refused: %s", code);

    if (r->headers_in.expect != NULL && !r->expect_tested) {
        /* never invite a body that nobody wants */
        r->expect_tested = 1;
        r->keepalive = 0;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    data = ngx_pnalloc(r->pool, GUARD_ANSWER_BYTES);
    if (data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s3c_writer_init(&w, data, GUARD_ANSWER_BYTES);
    s3c_write_lit(&w, "{\"error\":");
    s3c_stats_write_string(&w, s3c_slice(why, ngx_strlen(why)));
    s3c_write_lit(&w, ",\"code\":\"");
    s3c_write_str(&w, code);
    s3c_write_lit(&w, "\"}\n");

    return ngx_http_s3_cache_status_send(r, s3c_s3_error_status(err), &w);
}
