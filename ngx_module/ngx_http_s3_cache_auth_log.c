/* SPDX-License-Identifier: Apache-2.0
 *
 * What a log may know of who asked: names and decisions, never a signature or
 * a token, with which others could ask the same.
 */

#include "ngx_http_s3_cache_auth_origin.h"
#include "ngx_http_s3_cache_pass.h"

#include "s3/s3_uri.h"


#define MASK      "***"
#define LOG_NAME_MAX  64


static u_char *log_param(u_char *out, s3c_slice_t param);
static ngx_uint_t log_is_secret(s3c_slice_t name);


static const char  *log_secrets[] = {
    "X-Amz-Signature",
    "X-Amz-Security-Token",
    "X-Amz-S3session-Token",
    "Signature",
    "token",
    NULL
};


s3c_slice_t
ngx_http_s3_cache_auth_decision(ngx_http_s3_cache_ctx_t *ctx)
{
    const char  *code;

    if (ctx->conf->auth == NGX_HTTP_S3_CACHE_AUTH_OFF) {
        return S3C_SLICE("off");
    }

    /* a 404, a 400 about a token, no answer at all: no yes, and no S3 error of
       this gateway's */

    if (ctx->conf->auth == NGX_HTTP_S3_CACHE_AUTH_ORIGIN
        && (ctx->auth == NULL || ctx->auth->asked == NULL
            || (!ctx->auth->asked->shown && ctx->auth->err == S3C_ERR_NONE)))
    {
        return S3C_SLICE("origin");
    }

    if (ctx->auth == NULL) {
        /* it was malformed, and nobody asked who had sent it */
        return S3C_SLICE_NONE;
    }

    if (ctx->auth->err == S3C_ERR_NONE) {
        return S3C_SLICE("allowed");
    }

    code = s3c_s3_error_code(ctx->auth->err);

    return s3c_slice(code, ngx_strlen(code));
}


/* The URI as it was sent, without what could be used again. */

ngx_int_t
ngx_http_s3_cache_auth_uri(ngx_http_request_t *r, s3c_slice_t *uri)
{
    size_t       n;
    u_char      *p, *last, *end, *out;
    ngx_uint_t   params;

    p = r->unparsed_uri.data;
    last = p + r->unparsed_uri.len;
    params = 1;

    for (n = 0; n < r->unparsed_uri.len; n++) {
        params += (p[n] == '&');
    }

    out = ngx_pnalloc(r->pool, r->unparsed_uri.len
                               + params * (sizeof(MASK) - 1));
    if (out == NULL) {
        return NGX_ERROR;
    }

    uri->data = out;

    end = ngx_strlchr(p, last, '?');
    end = end ? end + 1 : last;
    out = ngx_cpymem(out, p, end - p);

    for (p = end; p < last; p = end) {

        end = ngx_strlchr(p, last, '&');
        end = end ? end : last;

        out = log_param(out, s3c_slice(p, end - p));

        if (end < last) {
            *out++ = *end++;
        }
    }

    uri->len = out - uri->data;

    return NGX_OK;
}


static u_char *
log_param(u_char *out, s3c_slice_t param)
{
    u_char  *eq;

    eq = param.len ? memchr(param.data, '=', param.len) : NULL;

    if (eq == NULL) {
        return param.len ? ngx_cpymem(out, param.data, param.len) : out;
    }

    eq++;

    if (!log_is_secret(s3c_slice(param.data, eq - 1 - param.data))) {
        return ngx_cpymem(out, param.data, param.len);
    }

    out = ngx_cpymem(out, param.data, eq - param.data);

    return ngx_cpymem(out, MASK, sizeof(MASK) - 1);
}


/* A name that cannot be read may be any. */

static ngx_uint_t
log_is_secret(s3c_slice_t name)
{
    u_char        buf[LOG_NAME_MAX];
    s3c_writer_t  w;

    s3c_writer_init(&w, buf, sizeof(buf));

    if (s3c_uri_decode(&w, name, true) != S3C_OK) {
        return 1;
    }

    /* none of those that matter is that long */

    return s3c_writer_ok(&w)
           && ngx_http_s3_cache_pass_listed(log_secrets, s3c_writer_slice(&w));
}
