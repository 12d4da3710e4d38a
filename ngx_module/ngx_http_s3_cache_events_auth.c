/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may send events: who knows a token. Each kind of store can show it in
 * another way, and all of them are taken:
 *
 *   Authorization: Bearer TOKEN    MinIO, RustFS, EventBridge
 *   Authorization: TOKEN           what was configured without "Bearer"
 *   Authorization: Basic ...       the password of a URL: SNS, Ceph
 *   ?token=TOKEN                   who only has a URL
 */

#include "ngx_http_s3_cache_events.h"

#include "s3/s3_uri.h"


static ngx_int_t ngx_http_s3_cache_events_header(ngx_http_request_t *r,
    ngx_str_t *text);
static ngx_int_t ngx_http_s3_cache_events_arg(ngx_http_request_t *r,
    ngx_str_t *text);
static ngx_uint_t ngx_http_s3_cache_events_known(
    ngx_http_s3_cache_events_conf_t *ecf,
    ngx_http_s3_cache_events_token_t *token);


ngx_int_t
ngx_http_s3_cache_events_token(ngx_http_s3_cache_events_token_t *token,
    ngx_str_t *text)
{
    return s3c_sha256(ngx_http_s3_cache_slice(text), token->sha256) == S3C_OK
           ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_s3_cache_events_auth(ngx_http_request_t *r,
    ngx_http_s3_cache_events_conf_t *ecf)
{
    ngx_str_t                         text;
    ngx_int_t                         rc;
    ngx_uint_t                        i;
    ngx_http_s3_cache_events_token_t  token;

    ngx_int_t  (*ways[])(ngx_http_request_t *, ngx_str_t *) = {
        ngx_http_s3_cache_events_header, ngx_http_s3_cache_events_arg
    };

    rc = NGX_DECLINED;

    for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {

        switch (ways[i](r, &text)) {

        case NGX_OK:
            break;

        case NGX_DECLINED:
            continue;

        default:
            return NGX_ERROR;
        }

        if (ngx_http_s3_cache_events_token(&token, &text) != NGX_OK) {
            return NGX_ERROR;
        }

        if (ngx_http_s3_cache_events_known(ecf, &token)) {
            return NGX_OK;
        }

        rc = NGX_ABORT;
    }

    return rc;
}


static ngx_int_t
ngx_http_s3_cache_events_header(ngx_http_request_t *r, ngx_str_t *text)
{
    size_t      n;
    ngx_int_t   rc;
    ngx_str_t  *value;

    if (r->headers_in.authorization == NULL) {
        return NGX_DECLINED;
    }

    value = &r->headers_in.authorization->value;

    if (value->len >= 6 && ngx_strncasecmp(value->data, (u_char *) "Basic ", 6)
                           == 0)
    {
        rc = ngx_http_auth_basic_user(r);

        if (rc == NGX_OK) {
            *text = r->headers_in.passwd;
            return NGX_OK;
        }

        ngx_str_set(text, "");
        return rc == NGX_DECLINED ? NGX_OK : NGX_ERROR;
    }

    *text = *value;

    if (value->len >= 7
        && ngx_strncasecmp(value->data, (u_char *) "Bearer ", 7) == 0)
    {
        for (n = 7; n < value->len && value->data[n] == ' '; n++) { /* void */ }

        text->data += n;
        text->len -= n;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_s3_cache_events_arg(ngx_http_request_t *r, ngx_str_t *text)
{
    ngx_str_t     raw;
    s3c_slice_t   decoded;
    s3c_writer_t  w;

    if (ngx_http_arg(r, (u_char *) "token", 5, &raw) != NGX_OK) {
        return NGX_DECLINED;
    }

    text->data = ngx_pnalloc(r->pool, raw.len + 1);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    s3c_writer_init(&w, text->data, raw.len);
    text->len = 0;

    /* no token has a space: '+' is what it was made with */

    if (s3c_uri_decode(&w, ngx_http_s3_cache_slice(&raw), false) == S3C_OK) {
        decoded = s3c_writer_slice(&w);
        text->len = decoded.len;
    }

    return NGX_OK;
}


/* All are compared, and each to its end: the time says nothing. */

static ngx_uint_t
ngx_http_s3_cache_events_known(ngx_http_s3_cache_events_conf_t *ecf,
    ngx_http_s3_cache_events_token_t *token)
{
    ngx_uint_t                         i, found;
    ngx_http_s3_cache_events_token_t  *tokens;

    tokens = ecf->tokens.elts;
    found = 0;

    for (i = 0; i < ecf->tokens.nelts; i++) {
        found |= s3c_digest_eq(tokens[i].sha256, token->sha256,
                               S3C_DIGEST_SHA256_BYTES);
    }

    return found;
}
