/* SPDX-License-Identifier: Apache-2.0
 *
 * What a write's request says of its body and of what it changes, and the
 * request that the origin gets instead. Its headers are those that S3 knows
 * (x-amz-*, content-*, conditions), but for what is between the client and
 * this gateway: how it signed, and how it coded the body.
 */

#include "ngx_http_s3_cache_auth.h"
#include "ngx_http_s3_cache_write.h"
#include "ngx_http_s3_cache_auth_origin.h"
#include "ngx_http_s3_cache_pass.h"
#include "ngx_http_s3_cache_through.h"

#include "s3/s3_query.h"
#include "s3/s3_uri.h"


static ngx_int_t ngx_http_s3_cache_write_fail(ngx_http_s3_cache_write_t *w,
    s3c_s3_error_t err, const char *message);
static ngx_int_t ngx_http_s3_cache_write_parse_query(
    ngx_http_s3_cache_write_t *w, s3c_slice_t query);
static ngx_int_t ngx_http_s3_cache_write_parse_body(
    ngx_http_s3_cache_write_t *w, s3c_slice_t query, s3c_slice_t decoded);
static ngx_int_t ngx_http_s3_cache_write_parse_signed(
    ngx_http_s3_cache_write_t *w);
static ngx_int_t ngx_http_s3_cache_write_decoder(ngx_http_s3_cache_write_t *w,
    s3c_slice_t decoded);
static s3c_slice_t ngx_http_s3_cache_write_coding(
    ngx_http_s3_cache_write_t *w, ngx_pool_t *pool, s3c_slice_t value);


/* a name that ends in '*' stands for all that begin so */
static const char  *ngx_http_s3_cache_write_allowed[] = {
    "x-amz-*",
    "Content-Type",
    "Content-MD5",
    "Content-Encoding",
    "Content-Language",
    "Content-Disposition",
    "Cache-Control",
    "Expires",
    "If-Match",
    "If-None-Match",
    "If-Modified-Since",
    "If-Unmodified-Since",
    "Origin",
    "Access-Control-Request-Method",
    "Access-Control-Request-Headers",
    NULL
};


static const char  *ngx_http_s3_cache_write_dropped[] = {
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-signature",
    "x-amz-signedheaders",
    "x-amz-expires",
    "x-amz-date",
    "x-amz-content-sha256",
    "x-amz-security-token",
    "x-amz-trailer",
    "x-amz-decoded-content-length",
    "x-amz-user-agent",
    "x-amz-cache",
    "x-amz-cf-*",
    NULL
};


static ngx_int_t
ngx_http_s3_cache_write_fail(ngx_http_s3_cache_write_t *w, s3c_s3_error_t err,
    const char *message)
{
    w->err = err;
    w->message = message;

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_s3_cache_write_parse(ngx_http_s3_cache_write_t *w)
{
    ngx_int_t                  rc;
    s3c_slice_t                name, value, path, query, type, decoded;
    ngx_table_elt_t           *h;
    ngx_http_request_t        *r;
    ngx_http_s3_cache_walk_t   walk;

    r = w->ctx->request;
    type = S3C_SLICE_NONE;
    decoded = S3C_SLICE_NONE;

    ngx_http_s3_cache_walk(&walk, &r->headers_in.headers);

    while ((h = ngx_http_s3_cache_next(&walk)) != NULL) {

        name = ngx_http_s3_cache_slice(&h->key);
        value = s3c_slice_trim(ngx_http_s3_cache_slice(&h->value));

        if (s3c_slice_eq_nocase(name, S3C_SLICE("x-amz-content-sha256"))) {
            w->payload = s3c_s3_payload(value);
            w->hash = h->value;

        } else if (s3c_slice_eq_nocase(name,
                                 S3C_SLICE("x-amz-decoded-content-length")))
        {
            decoded = value;

        } else if (s3c_slice_eq_nocase(name, S3C_SLICE("x-amz-trailer"))) {
            w->trailer = h->value;

        } else if (s3c_slice_eq_nocase(name, S3C_SLICE("x-amz-copy-source")))
        {
            w->has_copy_source = 1;

            if (!s3c_s3_copy_source_is_valid(value)) {
                return ngx_http_s3_cache_write_fail(w,
                                S3C_ERR_INVALID_ARGUMENT,
                                "The x-amz-copy-source header is not valid.");
            }

        } else if (s3c_s3_write_is_wide(name)) {
            w->wide = 1;

        } else if (s3c_slice_eq_nocase(name, S3C_SLICE("Content-Type"))) {
            type = value;
        }
    }

    ngx_http_s3_cache_split(&w->ctx->uri, &path, &query);

    rc = ngx_http_s3_cache_write_parse_query(w, query);

    if (rc != NGX_OK) {
        return rc;
    }

    w->touches = s3c_s3_write_touches(ngx_http_s3_cache_slice(&r->method_name),
                                      &w->ctx->target->addr, query, w->wide);

    if (w->ctx->conf->auth == NGX_HTTP_S3_CACHE_AUTH_ORIGIN
        && w->touches == S3C_TOUCHES_KEY
        && !ngx_http_s3_cache_verbatim_key(w->ctx))
    {
        w->touches = S3C_TOUCHES_BUCKET;
    }

    if (r->method == NGX_HTTP_POST
        && s3c_slice_starts_nocase(type, S3C_SLICE("multipart/form-data")))
    {
        if (w->ctx->target->addr.key.len > 0) {
            /* as S3; an RGW writes the key that the form names, and by the
               gateway's signature, without a policy */
            w->err = S3C_ERR_METHOD_NOT_ALLOWED;
            return NGX_DECLINED;
        }

        w->form = 1;
    }

    rc = ngx_http_s3_cache_write_parse_body(w, query, decoded);

    if (rc == NGX_OK) {
        rc = ngx_http_s3_cache_write_parse_signed(w);
    }

    if (rc == NGX_OK) {
        ngx_http_s3_cache_through_begin(w, query);
    }

    return rc;
}


/* The version that is written to; and headers that a presigner hoisted. */

static ngx_int_t
ngx_http_s3_cache_write_parse_query(ngx_http_s3_cache_write_t *w,
    s3c_slice_t query)
{
    u_char           *p;
    uint8_t           buf[S3C_S3_QUERY_NAME_BYTES_MAX];
    s3c_slice_t       coded, name, value;
    s3c_writer_t      out;
    s3c_s3_param_t    param;

    while (s3c_s3_query_next(&query, &coded, &value)) {

        if (s3c_s3_query_param(coded, buf, &name, &param) != S3C_OK
            || !s3c_s3_query_is_valid(value))
        {
            return ngx_http_s3_cache_write_fail(w, S3C_ERR_INVALID_URI, NULL);
        }

        if (s3c_s3_write_is_wide(name)) {
            w->wide = 1;
        }

        if (param != S3C_PARAM_VERSION_ID
            && !s3c_slice_eq_nocase(name, S3C_SLICE("x-amz-copy-source")))
        {
            continue;
        }

        p = ngx_pnalloc(w->ctx->request->pool, value.len + 1);
        if (p == NULL) {
            return ngx_http_s3_cache_write_fail(w, S3C_ERR_INTERNAL_ERROR,
                                                NULL);
        }

        s3c_writer_init(&out, p, value.len);

        if (s3c_uri_decode(&out, value, true) != S3C_OK
            || !s3c_writer_ok(&out))
        {
            return ngx_http_s3_cache_write_fail(w, S3C_ERR_INVALID_URI, NULL);
        }

        if (param == S3C_PARAM_VERSION_ID) {
            w->ctx->target->op.version_id = s3c_writer_slice(&out);
            continue;
        }

        w->has_copy_source = 1;

        if (!s3c_s3_copy_source_is_valid(s3c_writer_slice(&out))) {
            return ngx_http_s3_cache_write_fail(w, S3C_ERR_INVALID_ARGUMENT,
                                "The x-amz-copy-source header is not valid.");
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_s3_cache_write_parse_body(ngx_http_s3_cache_write_t *w,
    s3c_slice_t query, s3c_slice_t decoded)
{
    ngx_uint_t           comes;
    ngx_http_request_t  *r;

    r = w->ctx->request;

    if (w->ctx->conf->auth == NGX_HTTP_S3_CACHE_AUTH_ORIGIN
        && w->payload > S3C_PAYLOAD_HASH)
    {
        /* it is the origin that looks into it */
        w->coded = 1;

        if (w->touches == S3C_TOUCHES_KEYS) {
            w->touches = S3C_TOUCHES_BUCKET;
        }
    }

    if (w->payload == S3C_PAYLOAD_UNSUPPORTED && !w->coded) {
        return ngx_http_s3_cache_write_fail(w, S3C_ERR_NOT_IMPLEMENTED,
                                            "SigV4A is not offered.");
    }

    if (w->payload == S3C_PAYLOAD_INVALID && !w->coded) {
        return ngx_http_s3_cache_write_fail(w, S3C_ERR_INVALID_ARGUMENT,
                   "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, one of "
                   "STREAMING-..., or a valid sha256 value.");
    }

    comes = r->headers_in.chunked || r->headers_in.content_length_n > 0;
    w->expect = comes && r->headers_in.expect != NULL;

    if (s3c_s3_payload_is_chunked(w->payload) && !w->coded) {
        return ngx_http_s3_cache_write_decoder(w, decoded);
    }

    if (r->headers_in.chunked) {
        return ngx_http_s3_cache_write_fail(w, S3C_ERR_MISSING_CONTENT_LENGTH,
                                            NULL);
    }

    if (r->headers_in.content_length_n < 0) {

        /* nobody knows whether the client meant an empty object */

        if (r->method == NGX_HTTP_PUT && w->ctx->target->addr.key.len > 0
            && !w->has_copy_source
            && (query.len == 0 || w->touches == S3C_TOUCHES_NOTHING))
        {
            return ngx_http_s3_cache_write_fail(w,
                                   S3C_ERR_MISSING_CONTENT_LENGTH, NULL);
        }

        return NGX_OK;
    }

    w->length = r->headers_in.content_length_n;
    w->has_body = 1;

    if (w->touches == S3C_TOUCHES_KEYS) {
        w->names = ngx_pcalloc(r->pool, sizeof(s3c_s3_delete_t));
        if (w->names == NULL) {
            return ngx_http_s3_cache_write_fail(w, S3C_ERR_INTERNAL_ERROR,
                                                NULL);
        }
    }

    return NGX_OK;
}


/* Of an empty body it is known now; but for the framing of a coded one. */

static ngx_int_t
ngx_http_s3_cache_write_parse_signed(ngx_http_s3_cache_write_t *w)
{
    s3c_s3_error_t  err;

    if ((w->names == NULL || w->length == 0)
        && !ngx_http_s3_cache_auth_may_delete(w->ctx, NULL))
    {
        /* its keys would not be looked at */
        return ngx_http_s3_cache_write_fail(w, S3C_ERR_ACCESS_DENIED, NULL);
    }

    err = ngx_http_s3_cache_auth_body_begin(w->ctx->auth, w->decoder);

    if (err == S3C_ERR_NONE && w->length == 0 && w->decoder == NULL) {
        err = ngx_http_s3_cache_auth_body_end(w->ctx->auth);
    }

    return err == S3C_ERR_NONE ? NGX_OK
                               : ngx_http_s3_cache_write_fail(w, err, NULL);
}


static ngx_int_t
ngx_http_s3_cache_write_decoder(ngx_http_s3_cache_write_t *w,
    s3c_slice_t decoded)
{
    off_t                n;
    ngx_http_request_t  *r;

    r = w->ctx->request;

    if (decoded.len == 0
        || (r->headers_in.content_length_n < 0 && !r->headers_in.chunked))
    {
        return ngx_http_s3_cache_write_fail(w, S3C_ERR_MISSING_CONTENT_LENGTH,
                                            NULL);
    }

    n = ngx_atoof((u_char *) decoded.data, decoded.len);

    if (n == NGX_ERROR) {
        return ngx_http_s3_cache_write_fail(w, S3C_ERR_INVALID_ARGUMENT,
                          "x-amz-decoded-content-length is not a number.");
    }

    w->length = n;
    w->has_body = 1;

    w->decoder = ngx_palloc(r->pool, sizeof(s3c_s3_chunked_t));
    if (w->decoder == NULL) {
        return ngx_http_s3_cache_write_fail(w, S3C_ERR_INTERNAL_ERROR, NULL);
    }

    switch (s3c_s3_chunked_init(w->decoder, w->payload, w->length,
                                ngx_http_s3_cache_slice(&w->trailer)))
    {
    case S3C_OK:
        break;

    case S3C_IO:
        return ngx_http_s3_cache_write_fail(w, S3C_ERR_INTERNAL_ERROR, NULL);

    default:
        return ngx_http_s3_cache_write_fail(w, S3C_ERR_INVALID_REQUEST,
                          "The value specified in the x-amz-trailer header is "
                          "not supported");
    }

    if (w->touches == S3C_TOUCHES_KEYS) {
        w->names = ngx_pcalloc(r->pool, sizeof(s3c_s3_delete_t));
        if (w->names == NULL) {
            return ngx_http_s3_cache_write_fail(w, S3C_ERR_INTERNAL_ERROR,
                                                NULL);
        }
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_s3_cache_write_allows(ngx_http_s3_cache_write_t *w, s3c_slice_t name)
{
    if (ngx_http_s3_cache_pass_listed(ngx_http_s3_cache_write_dropped, name)) {
        return 0;
    }

    if (w->decoder != NULL
        && s3c_slice_eq_nocase(name, S3C_SLICE("x-amz-sdk-checksum-algorithm")))
    {
        /* without the trailer that it is about it would be refused */
        return 0;
    }

    return ngx_http_s3_cache_pass_listed(ngx_http_s3_cache_write_allowed,
                                         name);
}


ngx_int_t
ngx_http_s3_cache_write_ask(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_call_t *call)
{
    s3c_slice_t                 name, value;
    ngx_table_elt_t            *h;
    ngx_http_request_t         *r;
    ngx_http_s3_cache_walk_t    walk;
    ngx_http_s3_cache_write_t  *w;

    r = ctx->request;
    w = ctx->write;

    call->method = r->method_name;
    call->bare = w->form;
    call->has_body = w->has_body;
    call->body_bytes = w->length;
    call->expect = w->expect;
    call->on_send = ngx_http_s3_cache_write_on_send;
    call->on_sent = ngx_http_s3_cache_write_on_sent;

    if (ctx->conf->auth == NGX_HTTP_S3_CACHE_AUTH_ORIGIN) {
        return ngx_http_s3_cache_verbatim(ctx, call);
    }

    if (w->payload == S3C_PAYLOAD_HASH) {
        call->payload_hash = w->hash;
    }

    if (ngx_http_s3_cache_call_more_headers(call) != NGX_OK
        || ngx_http_s3_cache_pass_path(ctx, call) != NGX_OK
        || ngx_http_s3_cache_pass_query(ctx, call) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_s3_cache_walk(&walk, &r->headers_in.headers);

    while ((h = ngx_http_s3_cache_next(&walk)) != NULL) {

        name = ngx_http_s3_cache_slice(&h->key);
        value = ngx_http_s3_cache_slice(&h->value);

        if (!ngx_http_s3_cache_write_allows(w, name)) {
            continue;
        }

        if (w->decoder != NULL
            && s3c_slice_eq_nocase(name, S3C_SLICE("Content-Encoding")))
        {
            value = ngx_http_s3_cache_write_coding(w, call->pool, value);

            if (value.len == 0) {
                continue;
            }
        }

        if (ngx_http_s3_cache_pass_header(call, name, value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* Without "aws-chunked", which has been taken off; what cannot be written
 * down is kept as it is. */

static s3c_slice_t
ngx_http_s3_cache_write_coding(ngx_http_s3_cache_write_t *w, ngx_pool_t *pool,
    s3c_slice_t value)
{
    u_char       *p, *comma, *out;
    s3c_slice_t   rest, word;

    out = ngx_pnalloc(pool, value.len + 1);
    if (out == NULL) {
        return value;
    }

    p = out;
    rest = value;

    while (rest.len > 0) {
        comma = memchr(rest.data, ',', rest.len);
        word = s3c_slice(rest.data, comma ? (size_t) (comma - rest.data)
                                          : rest.len);
        rest = s3c_slice(rest.data + word.len + (comma ? 1 : 0),
                         rest.len - word.len - (comma ? 1 : 0));
        word = s3c_slice_trim(word);

        if (word.len == 0
            || s3c_slice_eq_nocase(word, S3C_SLICE("aws-chunked")))
        {
            continue;
        }

        if (p > out) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, word.data, word.len);
    }

    return s3c_slice(out, p - out);
}
