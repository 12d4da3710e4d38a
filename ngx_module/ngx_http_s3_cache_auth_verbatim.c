/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's own request, for the origin to judge: method, path and query as
 * they came, Host and all headers that are not of this connection. Or the
 * same request as a question, without what is not signed and says nothing
 * about who asks: of an object a byte is enough.
 *
 * What is left out of either is never part of a signature, or the origin
 * refuses it: nothing that it would not have taken is made acceptable here.
 */

#include "ngx_http_s3_cache_auth_origin.h"
#include "ngx_http_s3_cache_pass.h"

#include "http/http_text.h"


#define HASHED_MAX     (48 * 1024)


/* Which headers of a request the client has signed. */
typedef struct {
    ngx_http_s3_cache_walk_t  walk;
    ngx_http_request_t       *request;
    s3c_slice_t               list;            /* "host;x-amz-date" */
    unsigned                  all:1;           /* nobody knows: any */
    unsigned                  question:1;
    unsigned                  range:1;         /* one was sent */
    unsigned                  encoding:1;      /* Accept-Encoding was */
} ngx_http_s3_cache_signed_t;


static ngx_int_t ngx_http_s3_cache_verbatim_add(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_call_t *call, ngx_http_s3_cache_signed_t *sg);
static s3c_status_t ngx_http_s3_cache_verbatim_claim(
    ngx_http_s3_cache_ctx_t *ctx, ngx_http_s3_cache_signed_t *sg);
static ngx_table_elt_t *ngx_http_s3_cache_verbatim_next(
    ngx_http_s3_cache_signed_t *sg);
static ngx_uint_t ngx_http_s3_cache_verbatim_sends(
    ngx_http_s3_cache_signed_t *sg, s3c_slice_t name);
static ngx_uint_t ngx_http_s3_cache_verbatim_is_signed(
    ngx_http_s3_cache_signed_t *sg, s3c_slice_t name);
static ngx_uint_t ngx_http_s3_cache_verbatim_is_named(ngx_http_request_t *r,
    s3c_slice_t name);
static ngx_uint_t ngx_http_s3_cache_verbatim_plain(s3c_slice_t name);
static ngx_uint_t ngx_http_s3_cache_verbatim_is_address(ngx_str_t *host);


/* of this connection, or of who is behind the next hop, which is this gateway;
   or they make another request of it than the one that was read here */
static const char  *ngx_http_s3_cache_verbatim_dropped[] = {
    "Connection",
    "Keep-Alive",
    "Proxy-*",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "HTTP2-Settings",
    "Content-Length",
    "Expect",
    "Forwarded",
    "X-Forwarded-*",
    "X-Real-IP",
    "X-HTTP-Method*",
    "X-Method-Override",
    "X-Auth-Token",
    NULL
};


/* of no weight for whether the client may, if they are not signed */
static const char  *ngx_http_s3_cache_verbatim_idle[] = {
    "Range",
    "If-*",
    "Accept",
    "Accept-Language",
    "Cache-Control",
    "Pragma",
    "amz-sdk-*",
    "x-amzn-trace-id",
    "traceparent",
    "tracestate",
    "Priority",
    NULL
};


/* Of the request that is being looked at: large. */
static s3c_sigv4_claim_t   ngx_http_s3_cache_verbatim_scratch;
static s3c_http_header_t   ngx_http_s3_cache_verbatim_headers[
                                              NGX_HTTP_S3_CACHE_HEADERS_MAX];


ngx_int_t
ngx_http_s3_cache_verbatim(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_call_t *call)
{
    u_char                      *p;
    ngx_table_elt_t             *h;
    ngx_http_request_t          *r;
    ngx_http_s3_cache_signed_t   sg;

    r = ctx->request;

    (void) ngx_http_s3_cache_verbatim_claim(ctx, &sg);
    sg.question = (ctx->auth != NULL && ctx->auth->asked != NULL
                   && ctx->auth->asked->asking);

    call->verbatim = 1;
    call->bare = 1;

    if (ngx_http_s3_cache_call_more_headers(call) != NGX_OK) {
        return NGX_ERROR;
    }

    /* the call may outlive the request by its log */

    p = ngx_pnalloc(call->pool, ctx->uri.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, ctx->uri.data, ctx->uri.len);
    call->path.data = p;
    call->path.len = ctx->uri.len;

    p = ngx_strlchr(p, p + ctx->uri.len, '?');

    if (p != NULL && p + 1 < call->path.data + ctx->uri.len) {
        call->path.len = p - call->path.data;
        call->query.data = p + 1;
        call->query.len = ctx->uri.len - call->path.len - 1;
    }

    if (ctx->write == NULL && r->headers_in.content_length_n == 0) {
        /* some sign it */
        call->has_body = 1;
    }

    while ((h = ngx_http_s3_cache_verbatim_next(&sg)) != NULL) {

        if (ngx_http_s3_cache_pass_header(call,
                                          ngx_http_s3_cache_slice(&h->key),
                                          ngx_http_s3_cache_slice(&h->value))
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_s3_cache_verbatim_add(ctx, call, &sg);
}


/* What is signed and was left away is not put in: that would be another
 * request, which the origin may well have allowed. */

static ngx_int_t
ngx_http_s3_cache_verbatim_add(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_call_t *call, ngx_http_s3_cache_signed_t *sg)
{
    if (!sg->encoding
        && !ngx_http_s3_cache_verbatim_is_signed(sg,
                                                 S3C_SLICE("Accept-Encoding"))
        && ngx_http_s3_cache_pass_header(call, S3C_SLICE("Accept-Encoding"),
                                         S3C_SLICE("identity"))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!sg->question || sg->range || ctx->head
        || ngx_http_s3_cache_verbatim_is_signed(sg, S3C_SLICE("Range")))
    {
        return NGX_OK;
    }

    ctx->auth->asked->ranged = 1;

    return ngx_http_s3_cache_pass_header(call, S3C_SLICE("Range"),
                                         S3C_SLICE("bytes=0-0"));
}


/* All of the question, one line each: nothing in them is a line feed. */

ngx_int_t
ngx_http_s3_cache_verbatim_hash(ngx_http_s3_cache_ctx_t *ctx,
    u_char hash[S3C_SHA256_BYTES], int64_t *end_sec)
{
    s3c_writer_t                 w;
    ngx_table_elt_t             *h;
    ngx_http_s3_cache_signed_t   sg;
    static u_char                text[HASHED_MAX];

    if (ngx_http_s3_cache_verbatim_claim(ctx, &sg) != S3C_OK) {
        return NGX_DECLINED;
    }

    sg.question = 1;
    *end_sec = ngx_http_s3_cache_verbatim_scratch.kind == S3C_SIGNED_NOT
               ? INT64_MAX : ngx_http_s3_cache_verbatim_scratch.end_sec;

    s3c_writer_init(&w, text, HASHED_MAX);

    s3c_write_bytes(&w, &ctx->conf->origin->id, sizeof(uint64_t));
    s3c_write_bytes(&w, ctx->request->method_name.data,
                    ctx->request->method_name.len);
    s3c_write_byte(&w, '\n');
    /* as it names the bucket here; "Host" may say something else */
    s3c_write_bytes(&w, ctx->host.data, ctx->host.len);
    s3c_write_byte(&w, '\n');
    s3c_write_bytes(&w, ctx->uri.data, ctx->uri.len);
    s3c_write_byte(&w, '\n');

    while ((h = ngx_http_s3_cache_verbatim_next(&sg)) != NULL) {
        s3c_write_bytes(&w, h->key.data, h->key.len);
        s3c_write_byte(&w, ':');
        s3c_write_bytes(&w, h->value.data, h->value.len);
        s3c_write_byte(&w, '\n');
    }

    if (!s3c_writer_ok(&w)
        || s3c_sha256(s3c_writer_slice(&w), hash) != S3C_OK)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* Also of what is not OK something is known. SigV2 signs none of the headers
 * that matter here. */

static s3c_status_t
ngx_http_s3_cache_verbatim_claim(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_signed_t *sg)
{
    ngx_uint_t                 n;
    ngx_str_t                 *authorization;
    s3c_status_t               st;
    ngx_http_request_t        *r;
    s3c_sigv4_wire_t           wire;
    s3c_sigv4_rules_t          rules = S3C_SIGV4_RULES_DEFAULT;
    s3c_sigv4_claim_t         *claim;

    r = ctx->request;
    claim = &ngx_http_s3_cache_verbatim_scratch;
    rules.allow_v2_presigned = true;

    ngx_memzero(sg, sizeof(ngx_http_s3_cache_signed_t));
    sg->request = r;
    ngx_http_s3_cache_walk(&sg->walk, &r->headers_in.headers);

    ngx_memzero(&wire, sizeof(s3c_sigv4_wire_t));
    wire.method = ngx_http_s3_cache_slice(&r->method_name);
    ngx_http_s3_cache_split(&ctx->uri, &wire.path, &wire.query);
    wire.may_stream = true;
    wire.now_sec = ngx_time();
    wire.headers = ngx_http_s3_cache_verbatim_headers;

    n = ngx_http_s3_cache_headers(r, ngx_http_s3_cache_verbatim_headers);
    wire.n_headers = ngx_min(n, NGX_HTTP_S3_CACHE_HEADERS_MAX);

    st = s3c_sigv4_parse(&wire, &rules, claim);

    if (claim->kind == S3C_SIGNED_HEADER || claim->kind == S3C_SIGNED_QUERY) {
        sg->list = claim->signed_headers;
    }

    if (st != S3C_OK && sg->list.len == 0
        && claim->kind != S3C_SIGNED_QUERY_V2)
    {
        authorization = r->headers_in.authorization
                        ? &r->headers_in.authorization->value : NULL;

        sg->all = (authorization == NULL || authorization->len < 4
                   || ngx_strncmp(authorization->data, "AWS ", 4) != 0);
    }

    return st;
}


/* The next header that the origin is to have. */

static ngx_table_elt_t *
ngx_http_s3_cache_verbatim_next(ngx_http_s3_cache_signed_t *sg)
{
    s3c_slice_t       name;
    ngx_table_elt_t  *h;

    while ((h = ngx_http_s3_cache_next(&sg->walk)) != NULL) {

        name = ngx_http_s3_cache_slice(&h->key);

        if (!ngx_http_s3_cache_verbatim_sends(sg, name)) {
            continue;
        }

        if (s3c_slice_eq_nocase(name, S3C_SLICE("Range"))) {
            sg->range = 1;

        } else if (s3c_slice_eq_nocase(name, S3C_SLICE("Accept-Encoding"))) {
            sg->encoding = 1;
        }

        return h;
    }

    return NULL;
}


static ngx_uint_t
ngx_http_s3_cache_verbatim_sends(ngx_http_s3_cache_signed_t *sg,
    s3c_slice_t name)
{
    if (!ngx_http_s3_cache_verbatim_plain(name)
        || ngx_http_s3_cache_pass_listed(ngx_http_s3_cache_verbatim_dropped,
                                         name)
        || ngx_http_s3_cache_verbatim_is_named(sg->request, name))
    {
        return 0;
    }

    /* If-Range is not S3's: without a Range the whole is always right */

    if (s3c_slice_eq_nocase(name, S3C_SLICE("Accept-Encoding"))
        || (sg->request->headers_in.if_range != NULL
            && s3c_slice_eq_nocase(name, S3C_SLICE("Range")))
        || (sg->question
            && ngx_http_s3_cache_pass_listed(ngx_http_s3_cache_verbatim_idle,
                                             name)))
    {
        return ngx_http_s3_cache_verbatim_is_signed(sg, name);
    }

    return 1;
}


static ngx_uint_t
ngx_http_s3_cache_verbatim_is_signed(ngx_http_s3_cache_signed_t *sg,
    s3c_slice_t name)
{
    size_t       n;
    u_char      *p;
    s3c_slice_t  rest;

    if (sg->all) {
        return 1;
    }

    for (rest = sg->list; rest.len > 0;
         rest = s3c_slice(rest.data + n, rest.len - n))
    {
        p = memchr(rest.data, ';', rest.len);
        n = p ? (size_t) (p - rest.data) : rest.len;

        if (s3c_slice_eq_nocase(s3c_slice(rest.data, n), name)) {
            return 1;
        }

        n += p ? 1 : 0;
    }

    return 0;
}


/* Connection: what it names is of this connection, too. */

static ngx_uint_t
ngx_http_s3_cache_verbatim_is_named(ngx_http_request_t *r, s3c_slice_t name)
{
    s3c_slice_t                list, word;
    ngx_table_elt_t           *h;
    ngx_http_s3_cache_walk_t   walk;

    if (s3c_slice_eq_nocase(name, S3C_SLICE("Host"))) {
        return 0;
    }

    ngx_http_s3_cache_walk(&walk, &r->headers_in.headers);

    while ((h = ngx_http_s3_cache_next(&walk)) != NULL) {

        if (!s3c_slice_eq_nocase(ngx_http_s3_cache_slice(&h->key),
                                 S3C_SLICE("Connection")))
        {
            continue;
        }

        list = ngx_http_s3_cache_slice(&h->value);

        while (s3c_http_list_next(&list, &word)) {
            if (s3c_slice_eq_nocase(word, name)) {
                return 1;
            }
        }
    }

    return 0;
}


/* A '_' is for some origins the same as a '-': as the name of a user's own
 * metadata it does no harm, elsewhere it would say what was not read here. */

static ngx_uint_t
ngx_http_s3_cache_verbatim_plain(s3c_slice_t name)
{
    size_t  i;
    u_char  ch;

    for (i = 0; i < name.len; i++) {
        ch = name.data[i];

        if (ch == '_'
            && s3c_slice_starts_nocase(name, S3C_SLICE("x-amz-meta-")))
        {
            continue;
        }

        if ((ch < 'a' || ch > 'z') && (ch < 'A' || ch > 'Z')
            && (ch < '0' || ch > '9') && ch != '-')
        {
            return 0;
        }
    }

    return 1;
}


/*
 * The bucket of a write must be the same for both sides. An origin may read one
 * from any Host that it does not know; but it knows its own name, all of
 * s3_cache_domain and of s3_cache_auth_hosts, as whoever configured them says,
 * and an address is no bucket.
 */

ngx_uint_t
ngx_http_s3_cache_verbatim_host(ngx_http_s3_cache_ctx_t *ctx)
{
    size_t                         n;
    ngx_uint_t                     i;
    s3c_slice_t                    host, name, *domains;
    ngx_http_request_t            *r;
    ngx_http_s3_cache_target_t    *target;
    ngx_http_s3_cache_loc_conf_t  *lcf;

    r = ctx->request;
    lcf = ctx->conf;
    target = ngx_http_s3_cache_target(ctx);

    if (target == NULL || r->headers_in.host == NULL || ctx->host.len == 0) {
        return 0;
    }

    /* of a request line with a host in it, Host may say something else; two of
       them nginx refuses */

    host = ngx_http_s3_cache_slice(&r->headers_in.host->value);
    name = ngx_http_s3_cache_slice(&ctx->host);

    if (!s3c_slice_starts_nocase(host, name)
        || (host.len > name.len && host.data[name.len] != ':'))
    {
        return 0;
    }

    for (n = name.len + 1; n < host.len; n++) {
        if (host.data[n] < '0' || host.data[n] > '9') {
            return 0;
        }
    }

    if (target->addr.vhost
        || s3c_slice_eq_nocase(name,
                               ngx_http_s3_cache_slice(&lcf->origin->host))
        || ngx_http_s3_cache_verbatim_is_address(&ctx->host))
    {
        return 1;
    }

    domains = lcf->domains ? lcf->domains->elts : NULL;

    for (i = 0; domains != NULL && i < lcf->domains->nelts; i++) {
        if (s3c_slice_eq_nocase(name, domains[i])) {
            return 1;
        }
    }

    for (i = 0; i < lcf->signing.n_hosts; i++) {
        if (s3c_slice_eq_nocase(host, lcf->signing.hosts[i])
            || s3c_slice_eq_nocase(name, lcf->signing.hosts[i]))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_s3_cache_verbatim_is_address(ngx_str_t *host)
{
#if (NGX_HAVE_INET6)
    u_char  addr[16];

    if (host->len > 2 && host->data[0] == '['
        && host->data[host->len - 1] == ']')
    {
        return ngx_inet6_addr(host->data + 1, host->len - 2, addr) == NGX_OK;
    }
#endif

    return ngx_inet_addr(host->data, host->len) != INADDR_NONE;
}


/* Where a path ends and what a plus is has been read in more than one way. */

ngx_uint_t
ngx_http_s3_cache_verbatim_key(ngx_http_s3_cache_ctx_t *ctx)
{
    size_t  i;

    for (i = 0; i < ctx->uri.len && ctx->uri.data[i] != '?'; i++) {

        if (ctx->uri.data[i] == '+' || ctx->uri.data[i] == '#'
            || ctx->uri.data[i] == ';' || ctx->uri.data[i] == '\\')
        {
            return 0;
        }
    }

    return 1;
}
