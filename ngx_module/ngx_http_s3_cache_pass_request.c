/* SPDX-License-Identifier: Apache-2.0
 *
 * The origin's request of a pass-through, built from nothing by allow-lists:
 * what a client sends beside them (x-rgw-auth, x-minio-*, Authorization of
 * its own...) never reaches the origin under the gateway's signature.
 */

#include "ngx_http_s3_cache_pass.h"
#include "ngx_http_s3_cache_auth_origin.h"
#include "ngx_http_s3_cache_write.h"

#include "s3/s3_uri.h"


#define QUERY_NAME_MAX  128


static ngx_int_t ngx_http_s3_cache_pass_param(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_call_t *call, s3c_slice_t param, ngx_uint_t *keep);


/* a name that ends in '*' stands for all that begin so */
static const char  *ngx_http_s3_cache_pass_headers_allowed[] = {
    "Range",
    "If-Match",
    "If-None-Match",
    "If-Modified-Since",
    "If-Unmodified-Since",
    "Origin",
    "Access-Control-Request-Method",
    "Access-Control-Request-Headers",
    "x-amz-checksum-mode",
    "x-amz-expected-bucket-owner",
    "x-amz-request-payer",
    "x-amz-server-side-encryption*",
    "x-amz-object-attributes",
    "x-amz-optional-object-attributes",
    "x-amz-max-parts",
    "x-amz-part-number-marker",
    NULL
};


/* how the client signed is between it and us */
static const char  *ngx_http_s3_cache_pass_query_dropped[] = {
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
    "AWSAccessKeyId",
    "Signature",
    "Expires",
    "x-id",
    NULL
};


ngx_uint_t
ngx_http_s3_cache_pass_listed(const char **list, s3c_slice_t name)
{
    size_t  len;

    for ( /* void */ ; *list != NULL; list++) {

        len = ngx_strlen(*list);

        if ((*list)[len - 1] == '*') {
            if (s3c_slice_starts_nocase(name, s3c_slice(*list, len - 1))) {
                return 1;
            }

        } else if (s3c_slice_eq_nocase(name, s3c_slice(*list, len))) {
            return 1;
        }
    }

    return 0;
}


/*
 * If-Range is not S3's, and a Range without it might bring a part of another
 * version: the whole is always right. And what a client wants to have of a
 * page is not meant for what is included in it.
 */

static ngx_uint_t
ngx_http_s3_cache_pass_hides(ngx_http_request_t *r, s3c_slice_t name)
{
    if (r != r->main && s3c_slice_starts_nocase(name, S3C_SLICE("If-"))) {
        return 1;
    }

    return (r != r->main || r->headers_in.if_range != NULL)
           && s3c_slice_eq_nocase(name, S3C_SLICE("Range"));
}


ngx_int_t
ngx_http_s3_cache_pass_ask(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_call_t *call)
{
    s3c_slice_t                name;
    ngx_table_elt_t           *h;
    ngx_http_request_t        *r;
    ngx_http_s3_cache_walk_t   walk;

    r = ctx->request;

    call->head = (r->method == NGX_HTTP_HEAD);
    call->method = r->method_name;

    /* an RGW sends a body in answer to HEAD of a sub-resource, also of a
       bucket's */
    call->close = (call->head
                   && (ctx->target->op.pass == S3C_PASS_SUBRESOURCE
                       || ctx->target->op.pass == S3C_PASS_LIST));

    if (ctx->conf->auth == NGX_HTTP_S3_CACHE_AUTH_ORIGIN) {
        return ngx_http_s3_cache_verbatim(ctx, call);
    }

    if (ngx_http_s3_cache_pass_path(ctx, call) != NGX_OK
        || ngx_http_s3_cache_pass_query(ctx, call) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_s3_cache_walk(&walk, &r->headers_in.headers);

    while ((h = ngx_http_s3_cache_next(&walk)) != NULL) {

        name = ngx_http_s3_cache_slice(&h->key);

        if (ngx_http_s3_cache_pass_listed(
                                    ngx_http_s3_cache_pass_headers_allowed,
                                    name)
            && !ngx_http_s3_cache_pass_hides(r, name)
            && ngx_http_s3_cache_pass_header(call, name,
                                  ngx_http_s3_cache_slice(&h->value))
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_s3_cache_pass_ask_rest(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_call_t *call)
{
    u_char       *p;
    s3c_slice_t   version;
    s3c_writer_t  w;

    if (ngx_http_s3_cache_pass_path(ctx, call) != NGX_OK) {
        return NGX_ERROR;
    }

    version = ctx->target->op.version_id;

    if (version.len > 0) {
        call->query.len = sizeof("versionId=") - 1 + 3 * version.len;
        call->query.data = ngx_pnalloc(call->pool, call->query.len);
        if (call->query.data == NULL) {
            return NGX_ERROR;
        }

        s3c_writer_init(&w, call->query.data, call->query.len);
        s3c_write_lit(&w, "versionId=");
        s3c_uri_encode(&w, version, false);
        call->query.len = s3c_writer_slice(&w).len;
    }

    p = ngx_pnalloc(call->pool, sizeof("bytes=-") + 2 * NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_s3_cache_pass_header(call, S3C_SLICE("Range"),
                  s3c_slice(p, ngx_sprintf(p, "bytes=%uL-%uL", ctx->pos,
                                           ctx->reply.last) - p))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->view.etag.len > 0) {
        return ngx_http_s3_cache_pass_header(call, S3C_SLICE("If-Match"),
                                             ctx->view.etag);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_s3_cache_pass_path(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_call_t *call)
{
    u_char       *p;
    s3c_slice_t   bucket, key;

    bucket = ctx->target->addr.bucket;
    key = ctx->target->addr.key;

    p = ngx_pnalloc(call->pool, 2 + bucket.len + key.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    call->path.data = p;

    *p++ = '/';

    if (bucket.len > 0) {
        p = ngx_cpymem(p, bucket.data, bucket.len);
        *p++ = '/';
        p = ngx_cpymem(p, key.data, key.len);
    }

    call->path.len = p - call->path.data;

    return NGX_OK;
}


ngx_int_t
ngx_http_s3_cache_pass_query(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_call_t *call)
{
    u_char       *p, *q, *last, *out;
    ngx_str_t     uri;
    ngx_uint_t    keep;

    uri = ctx->uri;
    last = uri.data + uri.len;

    p = ngx_strlchr(uri.data, last, '?');

    if (p == NULL) {
        return NGX_OK;
    }

    p++;

    out = ngx_pnalloc(call->pool, last - p + 1);
    if (out == NULL) {
        return NGX_ERROR;
    }

    call->query.data = out;

    while (p < last) {

        q = ngx_strlchr(p, last, '&');

        if (q == NULL) {
            q = last;
        }

        keep = 0;

        if (q > p
            && ngx_http_s3_cache_pass_param(ctx, call, s3c_slice(p, q - p),
                                            &keep)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (keep) {
            if (out > call->query.data) {
                *out++ = '&';
            }

            out = ngx_cpymem(out, p, q - p);
        }

        p = q + 1;
    }

    call->query.len = out - call->query.data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_s3_cache_pass_param(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_call_t *call, s3c_slice_t param, ngx_uint_t *keep)
{
    u_char          buf[QUERY_NAME_MAX], *eq;
    size_t          len;
    s3c_slice_t     name, value;
    s3c_s3_pass_t   pass;
    s3c_writer_t    w;

    eq = ngx_strlchr((u_char *) param.data,
                     (u_char *) param.data + param.len, '=');
    len = eq ? (size_t) (eq - param.data) : param.len;
    value = eq ? s3c_slice(eq + 1, param.len - len - 1) : S3C_SLICE_NONE;

    s3c_writer_init(&w, buf, sizeof(buf));

    if (s3c_uri_decode(&w, s3c_slice(param.data, len), true) != S3C_OK
        || !s3c_writer_ok(&w))
    {
        return NGX_ERROR;
    }

    name = s3c_writer_slice(&w);

    if (ngx_http_s3_cache_pass_listed(ngx_http_s3_cache_pass_query_dropped,
                                      name))
    {
        return NGX_OK;
    }

    pass = ctx->target->op.pass;

    if (s3c_slice_starts_nocase(name, S3C_SLICE("response-"))
        && ctx->write == NULL
        && pass != S3C_PASS_SUBRESOURCE && pass != S3C_PASS_LIST)
    {
        return NGX_OK;     /* applied here, to what comes back */
    }

    if (!s3c_slice_starts_nocase(name, S3C_SLICE("x-amz-"))) {
        *keep = 1;
        return NGX_OK;
    }

    /* a header that a presigner hoisted into the query: a header again */

    if (ctx->write != NULL
        ? !ngx_http_s3_cache_write_allows(ctx->write, name)
        : !ngx_http_s3_cache_pass_listed(
                                    ngx_http_s3_cache_pass_headers_allowed,
                                    name))
    {
        return NGX_OK;
    }

    len = value.len;
    eq = ngx_pnalloc(call->pool, len + 1);
    if (eq == NULL) {
        return NGX_ERROR;
    }

    s3c_writer_init(&w, eq, len);

    if (s3c_uri_decode(&w, value, true) != S3C_OK || !s3c_writer_ok(&w)) {
        return NGX_ERROR;
    }

    return ngx_http_s3_cache_pass_header(call, name, s3c_writer_slice(&w));
}


ngx_int_t
ngx_http_s3_cache_pass_header(ngx_http_s3_cache_call_t *call,
    s3c_slice_t name, s3c_slice_t value)
{
    size_t                            i;
    u_char                           *p;
    ngx_http_s3_cache_call_header_t  *h;

    if (call->nheaders == call->headers_max) {
        return NGX_ERROR;
    }

    for (i = 0; i < value.len; i++) {
        if (value.data[i] < 0x20 || value.data[i] == 0x7f) {
            return NGX_ERROR;
        }
    }

    p = ngx_pnalloc(call->pool, name.len + value.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    h = &call->headers[call->nheaders++];

    h->name.data = p;
    h->name.len = name.len;
    h->value.data = p + name.len;
    h->value.len = value.len;

    ngx_memcpy(p, name.data, name.len);

    if (value.len > 0) {
        ngx_memcpy(p + name.len, value.data, value.len);
    }

    return NGX_OK;
}
