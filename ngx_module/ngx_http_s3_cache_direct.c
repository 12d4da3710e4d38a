/* SPDX-License-Identifier: Apache-2.0
 *
 * The short way out (s3_cache_direct_send): the head is written in one piece
 * and goes to the socket with the body in one call, past nginx's header and
 * body filters. For whole objects over HTTP/1.1, complete in memory;
 * everything else takes the long way. add_header, gzip, sub_filter and the
 * like do not see these answers: so it is a directive.
 */

#include "ngx_http_s3_cache_module.h"


#define SPANS      62
#define HEAD_MAX   4096
#define OWN_MAX    512      /* status line and what is not the record's */
#define COPY_MAX   8192     /* of a body that goes by one send() */


static u_char *ngx_http_s3_cache_direct_head(ngx_http_s3_cache_ctx_t *ctx,
    u_char *p);
static ngx_inline ngx_uint_t ngx_http_s3_cache_direct_tls(
    ngx_connection_t *c);
static ngx_int_t ngx_http_s3_cache_direct_copy(ngx_http_s3_cache_ctx_t *ctx,
    u_char *last, struct iovec *iov, int n);
static ngx_int_t ngx_http_s3_cache_direct_chain(ngx_http_s3_cache_ctx_t *ctx,
    u_char *last, struct iovec *iov, int n);
static ngx_int_t ngx_http_s3_cache_direct_rest(ngx_http_s3_cache_ctx_t *ctx,
    ngx_chain_t *rest);


/* of the answer being sent; what does not go at once is copied */
static u_char  ngx_http_s3_cache_direct_buf[HEAD_MAX + COPY_MAX];


ngx_uint_t
ngx_http_s3_cache_direct_can(ngx_http_s3_cache_ctx_t *ctx)
{
    s3c_fill_view_t              fill;
    ngx_http_request_t          *r;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_s3_cache_target_t  *target;

    r = ctx->request;

    if (!ctx->conf->direct_send
        || ctx->reply.status != 200
        || (ctx->view.flags & (S3C_RECORD_INLINE|S3C_RECORD_ERROR))
           != S3C_RECORD_INLINE
        || ctx->view.headers.len > HEAD_MAX - OWN_MAX
        || ctx->waiting
        || r != r->main
        || r->err_status
        || r->http_version != NGX_HTTP_VERSION_11
        || r->limit_rate_set
        || r->out != NULL
        || r->connection->buffered)
    {
        return 0;
    }

#if (NGX_HTTP_V2)
    if (r->stream != NULL) {
        return 0;
    }
#endif

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->limit_rate != NULL) {
        return 0;
    }

    target = ngx_http_s3_cache_target(ctx);

    if (target == NULL || target->op.has_overrides) {
        return 0;
    }

    s3c_ram_view(ctx->zone->ram, &ctx->pin, &fill);

    return fill.phase == S3C_FILL_DONE;
}


ngx_int_t
ngx_http_s3_cache_direct_send(ngx_http_s3_cache_ctx_t *ctx)
{
    int                  n;
    size_t               body;
    u_char              *head, *last;
    ngx_int_t            rc;
    struct iovec         iov[SPANS];
    ngx_http_request_t  *r;

    r = ctx->request;
    body = ctx->view.total;
    n = SPANS;

    if (s3c_ram_span(ctx->zone->ram, &ctx->pin, ctx->view.head_bytes, body,
                     iov, &n)
        != body)
    {
        return ngx_http_s3_cache_send_body(ctx);
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = body;
    r->header_sent = 1;
    ctx->sending = 1;

    ngx_http_s3_cache_count(ctx);

    head = ngx_http_s3_cache_direct_buf;
    last = ngx_http_s3_cache_direct_head(ctx, head);
    r->header_size = last - head;

    if (body <= COPY_MAX && !ngx_http_s3_cache_direct_tls(r->connection)) {
        rc = ngx_http_s3_cache_direct_copy(ctx, last, iov, n);

    } else {
        rc = ngx_http_s3_cache_direct_chain(ctx, last, iov, n);
    }

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    ctx->pos += body;

    s3c_stats_add(&ctx->zone->stats,
                  ctx->tier == NGX_HTTP_S3_CACHE_TIER_MIRROR
                  ? S3C_STAT_SENT_MIRROR : S3C_STAT_SENT_RAM, body);
    s3c_stats_bucket_add(&ctx->zone->stats, ctx->bucket, S3C_BSTAT_HIT_BYTES,
                         body);

    return rc;
}


/* OpenSSL wants what it could not write given again at the same address: the
 * chain goes through nginx's own buffer. */

static ngx_inline ngx_uint_t
ngx_http_s3_cache_direct_tls(ngx_connection_t *c)
{
#if (NGX_SSL || NGX_COMPAT)
    return c->ssl != NULL;
#else
    return 0;
#endif
}


/*
 * A small body is cheaper copied behind its head than named by buffers, a
 * chain and an iovec a piece; and then its memory needs no pin any more.
 */

static ngx_int_t
ngx_http_s3_cache_direct_copy(ngx_http_s3_cache_ctx_t *ctx, u_char *last,
    struct iovec *iov, int n)
{
    int                i;
    ssize_t            sent;
    ngx_buf_t          b;
    ngx_chain_t        rest;
    ngx_connection_t  *c;

    c = ctx->request->connection;

    for (i = 0; i < n; i++) {
        last = ngx_cpymem(last, iov[i].iov_base, iov[i].iov_len);
    }

    ngx_http_s3_cache_release(ctx);

    sent = c->send(c, ngx_http_s3_cache_direct_buf,
                   last - ngx_http_s3_cache_direct_buf);

    if (sent == NGX_ERROR) {
        c->error = 1;
        return NGX_ERROR;
    }

    if (sent == NGX_AGAIN) {
        sent = 0;
    }

    if (ngx_http_s3_cache_direct_buf + sent == last && !c->buffered) {
        return NGX_OK;
    }

    ngx_memzero(&b, sizeof(ngx_buf_t));

    b.pos = ngx_http_s3_cache_direct_buf + sent;
    b.last = last;
    b.memory = 1;
    b.flush = 1;
    b.last_buf = 1;
    b.last_in_chain = 1;

    rest.buf = &b;
    rest.next = NULL;

    return ngx_http_s3_cache_direct_rest(ctx, &rest);
}


static ngx_int_t
ngx_http_s3_cache_direct_chain(ngx_http_s3_cache_ctx_t *ctx, u_char *last,
    struct iovec *iov, int n)
{
    int                i;
    ngx_buf_t          bufs[SPANS + 1];
    ngx_chain_t        links[SPANS + 1], *rest;
    ngx_connection_t  *c;

    c = ctx->request->connection;

    ngx_memzero(bufs, (n + 1) * sizeof(ngx_buf_t));

    for (i = 0; i <= n; i++) {
        links[i].buf = &bufs[i];
        links[i].next = &links[i + 1];

        bufs[i].memory = 1;

        if (i > 0) {
            bufs[i].pos = iov[i - 1].iov_base;
            bufs[i].last = bufs[i].pos + iov[i - 1].iov_len;
        }
    }

    bufs[0].pos = ngx_http_s3_cache_direct_buf;
    bufs[0].last = last;

    bufs[n].last_buf = 1;
    bufs[n].last_in_chain = 1;
    bufs[n].flush = 1;
    links[n].next = NULL;

    rest = c->send_chain(c, links, 0);

    if (rest == NGX_CHAIN_ERROR) {
        c->error = 1;
        return NGX_ERROR;
    }

    if (rest == NULL && !c->buffered) {
        ngx_http_s3_cache_release(ctx);
        return NGX_OK;
    }

    return ngx_http_s3_cache_direct_rest(ctx, rest);
}


/* What the socket did not take outlives this call: nginx sends it. */

static ngx_int_t
ngx_http_s3_cache_direct_rest(ngx_http_s3_cache_ctx_t *ctx,
    ngx_chain_t *rest)
{
    size_t               len;
    ngx_buf_t           *b;
    ngx_chain_t         *out, **ll, *cl;
    ngx_http_request_t  *r;

    r = ctx->request;
    ll = &out;
    out = NULL;

    for ( /* void */ ; rest; rest = rest->next) {

        cl = ngx_alloc_chain_link(r->pool);
        b = ngx_palloc(r->pool, sizeof(ngx_buf_t));

        if (cl == NULL || b == NULL) {
            return NGX_ERROR;
        }

        *b = *rest->buf;

        if (b->pos >= ngx_http_s3_cache_direct_buf
            && b->pos < ngx_http_s3_cache_direct_buf + sizeof(
                                                 ngx_http_s3_cache_direct_buf))
        {
            len = b->last - b->pos;
            b->pos = ngx_pnalloc(r->pool, len);
            if (b->pos == NULL) {
                return NGX_ERROR;
            }

            ngx_memcpy(b->pos, rest->buf->pos, len);
            b->last = b->pos + len;
        }

        b->start = b->pos;
        b->end = b->last;

        cl->buf = b;
        cl->next = NULL;
        *ll = cl;
        ll = &cl->next;
    }

    return ngx_http_write_filter(r, out);
}


static u_char *
ngx_http_s3_cache_direct_head(ngx_http_s3_cache_ctx_t *ctx, u_char *p)
{
    size_t                     pos, before;
    ngx_str_t                 *name;
    s3c_slice_t                block;
    s3c_http_header_t          h;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

#define put(lit)  p = ngx_cpymem(p, lit, sizeof(lit) - 1)

    r = ctx->request;
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    put("HTTP/1.1 200 OK" CRLF);

    if (clcf->server_tokens == NGX_HTTP_SERVER_TOKENS_ON) {
        put("Server: " NGINX_VER CRLF);

    } else if (clcf->server_tokens == NGX_HTTP_SERVER_TOKENS_BUILD) {
        put("Server: " NGINX_VER_BUILD CRLF);

    } else {
        put("Server: nginx" CRLF);
    }

    put("Date: ");
    p = ngx_cpymem(p, ngx_cached_http_time.data, ngx_cached_http_time.len);

    put(CRLF "Content-Length: ");
    p = ngx_http_s3_cache_print(p, ctx->view.total);

    if (r->keepalive) {
        put(CRLF "Connection: keep-alive");

        if (clcf->keepalive_header) {
            put(CRLF "Keep-Alive: timeout=");
            p = ngx_http_s3_cache_print(p, clcf->keepalive_header);
        }

    } else {
        put(CRLF "Connection: close");
    }

    put(CRLF "x-amz-request-id: ");
    p = ngx_cpymem(p, ctx->request_id, NGX_HTTP_S3_CACHE_REQUEST_ID);

    if (ctx->conf->headers) {
        name = ngx_http_s3_cache_result_name(ctx->result);
        put(CRLF "X-Cache: ");
        p = ngx_cpymem(p, name->data, name->len);
        put(CRLF "Age: ");
        p = ngx_http_s3_cache_print(p, s3c_plan_age(&ctx->view,
                                                    ngx_http_s3_cache_now()));
    }

    put(CRLF);

    block = ctx->view.headers;

    if (ctx->reply.checksums || !(ctx->view.flags & S3C_RECORD_SUMS)) {
        p = ngx_cpymem(p, block.data, block.len);

    } else {
        before = 0;

        for (pos = 0; s3c_s3_meta_next(block, &pos, &h); before = pos) {
            if (!s3c_s3_meta_is_checksum(h.name)) {
                p = ngx_cpymem(p, block.data + before, pos - before);
            }
        }
    }

    put(CRLF);

#undef put

    return p;
}
