/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of a request: origin-form, the caller's headers, ours, and the
 * signature when the origin has credentials. Rendered once; a second try
 * sends the same bytes.
 *
 * A caller that passes Authorization (a client's own signed request) is not
 * signed for, and may give the Host that was signed.
 */

#include "ngx_http_s3_cache_origin_internal.h"
#include "ngx_http_s3_cache_origin_keys.h"
#include "s3/s3_uri.h"


#define REQUEST_AGENT        "nginx-s3-cache"
/* no body: SHA-256 of nothing */
#define REQUEST_EMPTY_HASH                                                    \
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
/* fixed header lines, with room */
#define REQUEST_FIXED_BYTES  1024


typedef struct {
    s3c_http_header_t  *signed_headers;
    s3c_slice_t         payload_hash;
    s3c_slice_t         access_key;
    s3c_slice_t         secret_key;
    s3c_slice_t         session_token;
    ngx_uint_t          signs;
    ngx_uint_t          has_host;
    s3c_slice_t         host;
    uint8_t             date[S3C_SIGV4_DATE_BYTES];
} request_t;


static ngx_int_t request_method(ngx_http_s3_cache_call_priv_t *cp);
static ngx_int_t request_check(ngx_http_s3_cache_call_t *call,
    request_t *req);
static ngx_int_t request_check_header(ngx_http_s3_cache_call_t *call,
    ngx_http_s3_cache_call_header_t *h);
static ngx_uint_t request_is(ngx_str_t *name, const char *what);
static ngx_int_t request_target(ngx_http_s3_cache_call_priv_t *cp);
static ngx_int_t request_keys(ngx_http_s3_cache_call_priv_t *cp,
    request_t *req);
static ngx_int_t request_sign(ngx_http_s3_cache_call_priv_t *cp,
    request_t *req, s3c_slice_t *authorization);
static ngx_int_t request_write(ngx_http_s3_cache_call_priv_t *cp,
    request_t *req, s3c_slice_t authorization);
static void request_write_header(s3c_writer_t *w, const char *name,
    s3c_slice_t value);


ngx_int_t
ngx_http_s3_cache_call_render(ngx_http_s3_cache_call_priv_t *cp)
{
    request_t                 *req;
    s3c_slice_t                authorization;
    ngx_http_s3_cache_call_t  *call;

    call = cp->call;
    call->log->action = "preparing a request to origin";

    if (request_method(cp) != NGX_OK) {
        return NGX_ERROR;
    }

    req = ngx_pcalloc(call->pool, sizeof(request_t));
    if (req == NULL) {
        return NGX_ERROR;
    }

    req->signed_headers = ngx_palloc(call->pool, (call->nheaders + 4)
                                                 * sizeof(s3c_http_header_t));
    if (req->signed_headers == NULL) {
        return NGX_ERROR;
    }

    req->payload_hash = call->payload_hash.len > 0
                        ? s3c_slice(call->payload_hash.data,
                                    call->payload_hash.len)
                        : call->has_body ? S3C_SLICE("UNSIGNED-PAYLOAD")
                        : S3C_SLICE(REQUEST_EMPTY_HASH);

    cp->body_left = call->has_body ? call->body_bytes : 0;
    cp->expects = call->expect && cp->body_left > 0;

    if (request_check(call, req) != NGX_OK || request_target(cp) != NGX_OK) {
        return NGX_ERROR;
    }

    authorization = S3C_SLICE_NONE;

    if (req->signs && request_keys(cp, req) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (req->signs && request_sign(cp, req, &authorization) != NGX_OK) {
        return NGX_ERROR;
    }

    return request_write(cp, req, authorization);
}


static ngx_int_t
request_method(ngx_http_s3_cache_call_priv_t *cp)
{
    size_t                     i;
    ngx_str_t                 *method;
    ngx_http_s3_cache_call_t  *call;

    call = cp->call;
    method = &call->method;

    cp->head_only = method->len ? (method->len == 4
                                   && ngx_strncmp(method->data, "HEAD", 4)
                                      == 0)
                                : call->head;

    cp->safe = cp->head_only
               || method->len == 0
               || (method->len == 3
                   && ngx_strncmp(method->data, "GET", 3) == 0);

    if (cp->head_only) {
        ngx_str_set(&cp->method, "HEAD");
        return NGX_OK;
    }

    if (cp->safe) {
        ngx_str_set(&cp->method, "GET");
        return NGX_OK;
    }

    for (i = 0; i < method->len; i++) {
        if (method->data[i] < 'A' || method->data[i] > 'Z') {
            ngx_log_error(NGX_LOG_ERR, call->log, 0,
                          "s3_cache: invalid method of a call");
            return NGX_ERROR;
        }
    }

    /* the log shows it for as long as the call lives */

    cp->method.data = ngx_pstrdup(call->pool, method);
    if (cp->method.data == NULL) {
        return NGX_ERROR;
    }

    cp->method.len = method->len;

    return NGX_OK;
}


/* What a user passes has been a client's: nothing of it may end a line. */

static ngx_int_t
request_check(ngx_http_s3_cache_call_t *call, request_t *req)
{
    size_t                            i;
    ngx_uint_t                        n;
    ngx_http_s3_cache_call_header_t  *h;

    if (call->path.len == 0 || call->path.data[0] != '/') {
        ngx_log_error(NGX_LOG_ERR, call->log, 0,
                      "s3_cache: path of a call does not begin with \"/\"");
        return NGX_ERROR;
    }

    for (i = 0; i < call->query.len; i++) {
        if (call->query.data[i] <= ' ' || call->query.data[i] == 0x7f) {
            ngx_log_error(NGX_LOG_ERR, call->log, 0,
                          "s3_cache: invalid byte in the query of a call");
            return NGX_ERROR;
        }
    }

    if (call->nheaders > call->headers_max) {
        return NGX_ERROR;
    }

    for (i = 0; call->verbatim && i < call->path.len; i++) {
        if (call->path.data[i] <= ' ' || call->path.data[i] == 0x7f) {
            ngx_log_error(NGX_LOG_ERR, call->log, 0,
                          "s3_cache: invalid byte in the path of a call");
            return NGX_ERROR;
        }
    }

    req->signs = call->origin->signs && !call->bare;
    req->host = s3c_slice(call->origin->host_header.data,
                          call->origin->host_header.len);

    for (n = 0; n < call->nheaders; n++) {
        h = &call->headers[n];

        if (request_check_header(call, h) != NGX_OK) {
            ngx_log_error(NGX_LOG_ERR, call->log, 0,
                          "s3_cache: invalid header number %ui of a call", n);
            return NGX_ERROR;
        }

        if (request_is(&h->name, "authorization")) {
            req->signs = 0;
        }

        if (request_is(&h->name, "host")) {
            req->has_host = 1;
            req->host = s3c_slice(h->value.data, h->value.len);
        }
    }

    return NGX_OK;
}


static ngx_int_t
request_check_header(ngx_http_s3_cache_call_t *call,
    ngx_http_s3_cache_call_header_t *h)
{
    u_char      ch;
    size_t      i;
    ngx_uint_t  n;

    /* connection and framing are ours */
    static const char  *refused[] = {
        "connection", "content-length", "expect", "keep-alive", "te",
        "trailer", "transfer-encoding", "upgrade", "accept-encoding"
    };

    if (h->name.len == 0) {
        return NGX_ERROR;
    }

    for (i = 0; i < h->name.len; i++) {
        ch = h->name.data[i];

        if ((ch < 'a' || ch > 'z') && (ch < 'A' || ch > 'Z')
            && (ch < '0' || ch > '9') && ch != '-' && ch != '_')
        {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < h->value.len; i++) {
        ch = h->value.data[i];

        if ((ch < ' ' && ch != '\t') || ch == 0x7f) {
            return NGX_ERROR;
        }
    }

    /* a client may have signed the last one */
    for (n = 0; n < sizeof(refused) / sizeof(refused[0]) - call->verbatim;
         n++)
    {
        if (request_is(&h->name, refused[n])) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
request_is(ngx_str_t *name, const char *what)
{
    return name->len == ngx_strlen(what)
           && ngx_strncasecmp(name->data, (u_char *) what, name->len) == 0;
}


static ngx_int_t
request_target(ngx_http_s3_cache_call_priv_t *cp)
{
    u_char        *p;
    ngx_str_t     *path;
    s3c_writer_t   w;

    path = &cp->call->path;

    if (cp->call->verbatim) {
        cp->target = *path;
        return NGX_OK;
    }

    p = ngx_pnalloc(cp->call->pool, path->len * 3);
    if (p == NULL) {
        return NGX_ERROR;
    }

    s3c_writer_init(&w, p, path->len * 3);
    s3c_uri_encode(&w, s3c_slice(path->data, path->len), true);

    if (!s3c_writer_ok(&w)) {
        return NGX_ERROR;
    }

    cp->target.data = p;
    cp->target.len = w.pos - w.start;

    return NGX_OK;
}


/* What is signed with: nothing of it may be kept, they may be others soon. */

static ngx_int_t
request_keys(ngx_http_s3_cache_call_priv_t *cp, request_t *req)
{
    const char                       *why;
    const s3c_origin_keys_t          *now;
    ngx_http_s3_cache_upstream_t     *up;
    ngx_http_s3_cache_origin_conf_t  *conf;

    up = cp->upstream;
    conf = up->conf;

    if (conf->keys == NULL) {
        req->access_key = s3c_slice(conf->access_key.data,
                                    conf->access_key.len);
        req->secret_key = s3c_slice(conf->secret_key.data,
                                    conf->secret_key.len);
        req->session_token = s3c_slice(conf->session_token.data,
                                       conf->session_token.len);
        return NGX_OK;
    }

    now = ngx_http_s3_cache_origin_keys_get(conf->keys, &why);

    if (now == NULL) {
        ngx_log_error(NGX_LOG_ERR, cp->call->log, 0,
                      "s3_cache: request cannot be signed by the "
                      "credentials of \"%V\": %s", &conf->keys->name, why);
        return NGX_DECLINED;
    }

    if (up->key_version != conf->keys->version) {
        /* made of a secret that is not in use any more */
        ngx_explicit_memzero(&up->key_cache, sizeof(s3c_sigv4_key_cache_t));
        up->key_version = conf->keys->version;
    }

    req->access_key = s3c_origin_keys_access(now);
    req->secret_key = s3c_origin_keys_secret(now);
    req->session_token = s3c_origin_keys_token(now);

    return NGX_OK;
}


/* Signed: Host, x-amz-* and content-*; what a hop may change is not. */

static ngx_int_t
request_sign(ngx_http_s3_cache_call_priv_t *cp, request_t *req,
    s3c_slice_t *authorization)
{
    size_t                            size;
    u_char                           *p;
    ngx_uint_t                        n, k;
    s3c_status_t                      st;
    s3c_writer_t                      w;
    s3c_sigv4_request_t               sr;
    s3c_sigv4_identity_t              id;
    ngx_http_s3_cache_call_t         *call;
    ngx_http_s3_cache_call_header_t  *h;
    ngx_http_s3_cache_origin_conf_t  *conf;

    call = cp->call;
    conf = cp->upstream->conf;

    s3c_sigv4_date_print(ngx_time(), req->date);

    k = 0;

#define sign_header(n, v)                                                     \
    req->signed_headers[k].name = n;                                          \
    req->signed_headers[k++].value = v

    sign_header(S3C_SLICE("host"), req->host);
    sign_header(S3C_SLICE("x-amz-date"),
                s3c_slice(req->date, S3C_SIGV4_DATE_BYTES));
    sign_header(S3C_SLICE("x-amz-content-sha256"), req->payload_hash);

    if (req->session_token.len) {
        sign_header(S3C_SLICE("x-amz-security-token"), req->session_token);
    }

    size = sizeof("AWS4-HMAC-SHA256 Credential=/20130524//s3/aws4_request,"
                  "SignedHeaders=,Signature=") + 64 + 64
           + sizeof("host;x-amz-date;x-amz-content-sha256;"
                    "x-amz-security-token;")
           + req->access_key.len + conf->region.len;

    for (n = 0; n < call->nheaders; n++) {
        h = &call->headers[n];

        if (request_is(&h->name, "x-amz-date")
            || request_is(&h->name, "x-amz-content-sha256")
            || request_is(&h->name, "x-amz-security-token"))
        {
            ngx_log_error(NGX_LOG_ERR, call->log, 0,
                          "s3_cache: invalid header number %ui of a call", n);
            return NGX_ERROR;
        }

        if (ngx_strncasecmp(h->name.data, (u_char *) "x-amz-", 6) != 0
            && ngx_strncasecmp(h->name.data, (u_char *) "content-", 8) != 0)
        {
            continue;
        }

        sign_header(s3c_slice(h->name.data, h->name.len),
                    s3c_slice(h->value.data, h->value.len));
        size += h->name.len + 1;
    }

#undef sign_header

    ngx_memzero(&sr, sizeof(s3c_sigv4_request_t));

    sr.method = s3c_slice(cp->method.data, cp->method.len);
    sr.path = s3c_slice(call->path.data, call->path.len);
    sr.query = s3c_slice(call->query.data, call->query.len);
    sr.headers = req->signed_headers;
    sr.n_headers = k;
    sr.payload_hash = req->payload_hash;

    id.access_key = req->access_key;
    id.secret_key = req->secret_key;
    id.region = s3c_slice(conf->region.data, conf->region.len);
    id.cache = &cp->upstream->key_cache;

    p = ngx_pnalloc(call->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    s3c_writer_init(&w, p, size);

    st = s3c_sigv4_sign(&id, &sr, req->date, &w);

    if (st != S3C_OK || !s3c_writer_ok(&w)) {
        ngx_log_error(NGX_LOG_ERR, call->log, 0,
                      "s3_cache: request could not be signed: %s",
                      s3c_status_name(st));
        return NGX_ERROR;
    }

    *authorization = s3c_writer_slice(&w);

    return NGX_OK;
}


static ngx_int_t
request_write(ngx_http_s3_cache_call_priv_t *cp, request_t *req,
    s3c_slice_t authorization)
{
    size_t                            size;
    u_char                           *p;
    ngx_uint_t                        n;
    s3c_writer_t                      w;
    ngx_http_s3_cache_call_t         *call;
    ngx_http_s3_cache_call_header_t  *h;

    call = cp->call;

    size = REQUEST_FIXED_BYTES + cp->method.len + cp->target.len
           + call->query.len + req->host.len + authorization.len
           + req->session_token.len;

    for (n = 0; n < call->nheaders; n++) {
        h = &call->headers[n];
        size += h->name.len + h->value.len + sizeof(": \r\n") - 1;
    }

    p = ngx_pnalloc(call->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    s3c_writer_init(&w, p, size);

    s3c_write_bytes(&w, cp->method.data, cp->method.len);
    s3c_write_byte(&w, ' ');
    s3c_write_bytes(&w, cp->target.data, cp->target.len);

    if (call->query.len) {
        s3c_write_byte(&w, '?');
        s3c_write_bytes(&w, call->query.data, call->query.len);
    }

    s3c_write_lit(&w, " HTTP/1.1\r\n");

    if (!req->has_host) {
        request_write_header(&w, "Host", req->host);
    }

    if (!call->verbatim) {
        request_write_header(&w, "User-Agent", S3C_SLICE(REQUEST_AGENT));
        request_write_header(&w, "Accept-Encoding", S3C_SLICE("identity"));
    }

    if (call->close) {
        request_write_header(&w, "Connection", S3C_SLICE("close"));
    }

    if (call->has_body
        || (cp->method.len > 1 && cp->method.data[0] == 'P'))
    {
        /* POST, PUT: also without a body */
        s3c_write_lit(&w, "Content-Length: ");
        s3c_write_u64(&w, call->has_body ? call->body_bytes : 0);
        s3c_write_lit(&w, "\r\n");
    }

    if (cp->expects) {
        request_write_header(&w, "Expect", S3C_SLICE("100-continue"));
    }

    for (n = 0; n < call->nheaders; n++) {
        h = &call->headers[n];

        s3c_write_bytes(&w, h->name.data, h->name.len);
        s3c_write_lit(&w, ": ");
        s3c_write_bytes(&w, h->value.data, h->value.len);
        s3c_write_lit(&w, "\r\n");
    }

    if (req->signs) {
        request_write_header(&w, "x-amz-date",
                             s3c_slice(req->date, S3C_SIGV4_DATE_BYTES));
        request_write_header(&w, "x-amz-content-sha256", req->payload_hash);

        if (req->session_token.len) {
            request_write_header(&w, "x-amz-security-token",
                                 req->session_token);
        }

        request_write_header(&w, "Authorization", authorization);
    }

    s3c_write_lit(&w, "\r\n");

    if (!s3c_writer_ok(&w)) {
        return NGX_ERROR;
    }

    cp->request.start = p;
    cp->request.pos = p;
    cp->request.last = w.pos;
    cp->request.end = p + size;

    return NGX_OK;
}


static void
request_write_header(s3c_writer_t *w, const char *name, s3c_slice_t value)
{
    s3c_write_str(w, name);
    s3c_write_lit(w, ": ");
    s3c_write_slice(w, value);
    s3c_write_lit(w, "\r\n");
}
