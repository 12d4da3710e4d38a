/* SPDX-License-Identifier: Apache-2.0
 *
 * A write's body from the client to the origin's call, bit by bit as the call
 * asks for it: nothing is kept but what nginx has read into its one buffer of
 * client_body_buffer_size, and no file is written. It is read for the first
 * time when the origin wants it, which is also when nginx says 100 Continue.
 *
 * An aws-chunked body is decoded on the way. Its last byte is held back until
 * all that follows has been verified: of a body that is not what its client
 * announced the origin never has the whole.
 */

#include "ngx_http_s3_cache_auth.h"
#include "ngx_http_s3_cache_write.h"
#include "ngx_http_s3_cache_pass.h"
#include "ngx_http_s3_cache_through.h"


/* what may stand behind the last byte of an object in aws-chunked: one head of
   a chunk and the trailers, with room */
#define CODED_END  (16 * 1024)


static ngx_int_t ngx_http_s3_cache_write_pull(ngx_http_s3_cache_write_t *w);
static ngx_int_t ngx_http_s3_cache_write_raw(ngx_http_s3_cache_write_t *w,
    ngx_buf_t **buf);
static ngx_int_t ngx_http_s3_cache_write_read(ngx_http_s3_cache_write_t *w);
static ngx_int_t ngx_http_s3_cache_write_decode(ngx_http_s3_cache_write_t *w,
    ngx_buf_t *b);
static ngx_int_t ngx_http_s3_cache_write_take(ngx_http_s3_cache_write_t *w,
    u_char *pos, size_t len);
static ngx_int_t ngx_http_s3_cache_write_tail(ngx_http_s3_cache_write_t *w,
    u_char *pos, size_t len);
static ngx_int_t ngx_http_s3_cache_write_names(ngx_http_s3_cache_write_t *w,
    s3c_slice_t in);
static ngx_int_t ngx_http_s3_cache_write_doubt(ngx_http_s3_cache_write_t *w);
static void ngx_http_s3_cache_write_post(ngx_http_request_t *r);
static void ngx_http_s3_cache_write_empty_handler(ngx_http_request_t *r);
static void ngx_http_s3_cache_write_read_handler(ngx_http_request_t *r);


void
ngx_http_s3_cache_write_on_send(ngx_http_s3_cache_call_t *call, u_char **pos,
    size_t *len)
{
    ngx_http_s3_cache_pass_t *pass = call->data;

    ngx_http_s3_cache_write_t  *w;

    w = pass->ctx->write;

    switch (ngx_http_s3_cache_write_pull(w)) {

    case NGX_OK:
        *pos = w->pos;
        *len = w->len;
        break;

    case NGX_AGAIN:
        w->ctx->request->read_event_handler =
                                         ngx_http_s3_cache_write_read_handler;
        break;

    default:
        ngx_http_s3_cache_call_abort(call, 0);
        break;
    }
}


void
ngx_http_s3_cache_write_on_sent(ngx_http_s3_cache_call_t *call, size_t n)
{
    ngx_http_s3_cache_pass_t *pass = call->data;

    pass->ctx->write->pos += n;
    pass->ctx->write->len -= n;
}


/* NGX_OK: w->pos, w->len. NGX_ERROR: w->rc or w->err says why. */

static ngx_int_t
ngx_http_s3_cache_write_pull(ngx_http_s3_cache_write_t *w)
{
    ngx_int_t   rc;
    ngx_buf_t  *b;

    for ( ;; ) {

        if (w->err != S3C_ERR_NONE) {
            return NGX_ERROR;
        }

        if (w->len > 0) {
            return w->whole ? ngx_http_s3_cache_write_gate(w) : NGX_OK;
        }

        if (w->tail_len > 0 && w->taken == w->length) {
            w->whole = 1;
            w->pos = w->tail;
            w->len = w->tail_len;
            w->tail_len = 0;
            continue;
        }

        if (w->held && w->verified) {
            w->held = 0;
            w->whole = 1;
            w->pos = &w->last;
            w->len = 1;
            continue;
        }

        rc = ngx_http_s3_cache_write_raw(w, &b);

        if (rc == NGX_DONE) {
            /* nginx has told, if it was not all; but of the decoder's part
               only the decoder knows */
            w->err = S3C_ERR_INCOMPLETE_BODY;
            return NGX_ERROR;
        }

        if (rc != NGX_OK) {
            return rc;
        }

        if (w->decoder != NULL) {
            rc = ngx_http_s3_cache_write_decode(w, b);

        } else {
            rc = ngx_http_s3_cache_write_take(w, b->pos, b->last - b->pos);
            b->pos = b->last;
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }
}


/* The next buffer with something in it. NGX_DONE: there is no more. */

static ngx_int_t
ngx_http_s3_cache_write_raw(ngx_http_s3_cache_write_t *w, ngx_buf_t **buf)
{
    ngx_int_t            rc;
    ngx_chain_t         *cl;
    ngx_http_request_t  *r;

    r = w->ctx->request;

    for ( ;; ) {

        cl = r->request_body ? r->request_body->bufs : NULL;

        if (cl != NULL) {

            if (ngx_buf_in_memory(cl->buf) && cl->buf->pos < cl->buf->last) {
                *buf = cl->buf;
                return NGX_OK;
            }

            if (!ngx_buf_in_memory(cl->buf) && ngx_buf_size(cl->buf) != 0) {
                ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                              "s3_cache: a body is not passed from a file: "
                              "\"client_body_in_file_only\" must be off");
                w->rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
                return NGX_ERROR;
            }

            r->request_body->bufs = cl->next;
            ngx_free_chain(r->pool, cl);
            continue;
        }

        rc = ngx_http_s3_cache_write_read(w);

        if (rc == NGX_ERROR || rc == NGX_DONE) {
            return rc;
        }

        if (r->request_body->bufs == NULL) {
            return r->reading_body ? NGX_AGAIN : NGX_DONE;
        }
    }
}


static ngx_int_t
ngx_http_s3_cache_write_read(ngx_http_s3_cache_write_t *w)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = w->ctx->request;

    if (!w->reading) {
        w->reading = 1;
        r->request_body_no_buffering = 1;

        rc = ngx_http_read_client_request_body(r,
                                               ngx_http_s3_cache_write_post);

        if (rc < NGX_HTTP_SPECIAL_RESPONSE) {
            /* this request is held already */
            r->main->count--;
        }

        if (rc == NGX_AGAIN && !r->request_body_no_buffering) {
            /* of HTTP/2, and all of it is here: nginx has turned to buffering,
               and would bring it by an event of its own */
            r->request_body_no_buffering = 1;
            r->reading_body = 1;
            r->read_event_handler = ngx_http_block_reading;

            rc = ngx_http_read_unbuffered_request_body(r);
        }

        if (r->read_event_handler == ngx_http_block_reading) {
            r->read_event_handler = ngx_http_s3_cache_write_left;
        }

    } else if (r->reading_body) {
        rc = ngx_http_read_unbuffered_request_body(r);

    } else {
        return NGX_DONE;
    }

    if (rc == NGX_ERROR || rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        w->rc = rc;
        return NGX_ERROR;
    }

    if (!r->reading_body && r->connection->read->pending_eof) {
        /* the client went behind its last byte: no other event comes */
        ngx_post_event(r->connection->read, &ngx_posted_events);
    }

    if (r->request_body->bufs != NULL && r->connection->read->timer_set) {
        /* how long the origin takes for it is not the client's fault */
        ngx_del_timer(r->connection->read);
    }

    return NGX_OK;
}


static void
ngx_http_s3_cache_write_post(ngx_http_request_t *r)
{
    /* what there is is taken from r->request_body */
}


static ngx_int_t
ngx_http_s3_cache_write_decode(ngx_http_s3_cache_write_t *w, ngx_buf_t *b)
{
    size_t        used;
    s3c_slice_t   data;
    s3c_status_t  st;

    st = s3c_s3_chunked_step(w->decoder, s3c_slice(b->pos, b->last - b->pos),
                             &data, &used);
    b->pos += used;

    switch (st) {

    case S3C_OK:
        w->verified = 1;
        w->err = ngx_http_s3_cache_auth_body_end(w->ctx->auth);
        return w->err == S3C_ERR_NONE ? NGX_OK : NGX_ERROR;

    case S3C_AGAIN:
        return ngx_http_s3_cache_write_take(w, (u_char *) data.data,
                                            data.len);

    case S3C_CORRUPT:
        w->err = S3C_ERR_BAD_DIGEST;
        return NGX_ERROR;

    case S3C_CHANGED:
        w->err = S3C_ERR_INCOMPLETE_BODY;
        return NGX_ERROR;

    case S3C_DENIED:
        w->err = S3C_ERR_SIGNATURE_DOES_NOT_MATCH;
        return NGX_ERROR;

    case S3C_IO:
        w->err = S3C_ERR_INTERNAL_ERROR;
        return NGX_ERROR;

    default:
        w->err = S3C_ERR_INVALID_REQUEST;
        w->message = "The aws-chunked body is malformed.";
        return NGX_ERROR;
    }
}


static ngx_int_t
ngx_http_s3_cache_write_take(ngx_http_s3_cache_write_t *w, u_char *pos,
    size_t len)
{
    if (len == 0) {
        return NGX_OK;
    }

    w->taken += len;

    if (w->decoder == NULL) {
        w->err = ngx_http_s3_cache_auth_body_part(w->ctx->auth,
                                                  s3c_slice(pos, len));

        if (w->err == S3C_ERR_NONE && w->taken == w->length) {
            w->err = ngx_http_s3_cache_auth_body_end(w->ctx->auth);
        }

        if (w->err != S3C_ERR_NONE) {
            return NGX_ERROR;
        }
    }

    ngx_http_s3_cache_through_take(w, pos, len);

    if (w->names != NULL
        && ngx_http_s3_cache_write_names(w, s3c_slice(pos, len)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (w->coded) {
        return ngx_http_s3_cache_write_tail(w, pos, len);
    }

    if (w->taken == w->length) {

        if (w->decoder != NULL) {
            w->last = pos[--len];
            w->held = 1;

        } else {
            w->whole = 1;
        }
    }

    w->pos = pos;
    w->len = len;

    return NGX_OK;
}


/* The origin may have all that it needs before the last byte: it gets none of
 * the end before all of it is here. */

static ngx_int_t
ngx_http_s3_cache_write_tail(ngx_http_s3_cache_write_t *w, u_char *pos,
    size_t len)
{
    size_t    n;
    uint64_t  size;

    size = ngx_min(w->length, CODED_END);

    /* of these, so many are of the end */
    n = ngx_min(len, size - ngx_min(size, w->length - w->taken));

    if (n > 0 && w->tail == NULL) {
        w->tail = ngx_pnalloc(w->ctx->request->pool, size);

        if (w->tail == NULL) {
            w->err = S3C_ERR_INTERNAL_ERROR;
            return NGX_ERROR;
        }
    }

    if (n > 0) {
        ngx_memcpy(w->tail + w->tail_len, pos + len - n, n);
        w->tail_len += n;
    }

    w->pos = pos;
    w->len = len - n;

    return NGX_OK;
}


/* Each key is fenced before the bytes that name it go to the origin. */

static ngx_int_t
ngx_http_s3_cache_write_names(ngx_http_s3_cache_write_t *w, s3c_slice_t in)
{
    size_t                     used;
    s3c_status_t               st;
    ngx_http_s3_cache_name_t   name;

    ngx_memzero(&name, sizeof(ngx_http_s3_cache_name_t));
    name.bucket = w->ctx->target->addr.bucket;

    do {
        st = s3c_s3_delete_step(w->names, in, &name.key, &used);
        in = s3c_slice(in.data + used, in.len - used);
        w->nnames += (st == S3C_EXISTS);

        if (st == S3C_EXISTS
            && !ngx_http_s3_cache_auth_may_delete(w->ctx, &name.key))
        {
            w->err = S3C_ERR_ACCESS_DENIED;
            return NGX_ERROR;
        }

        if (st == S3C_EXISTS
            && ngx_http_s3_cache_fence_begin(&w->fence, &name) != NGX_OK)
        {
            return ngx_http_s3_cache_write_doubt(w);
        }

    } while (st == S3C_EXISTS);

    if (st == S3C_INVALID
        || (w->taken == w->length && !s3c_s3_delete_is_done(w->names)))
    {
        if (!ngx_http_s3_cache_auth_may_delete(w->ctx, NULL)) {
            w->err = S3C_ERR_ACCESS_DENIED;
            return NGX_ERROR;
        }

        return ngx_http_s3_cache_write_doubt(w);
    }

    return NGX_OK;
}


/* Which keys it names is not known, or they are too many: all of them. */

static ngx_int_t
ngx_http_s3_cache_write_doubt(ngx_http_s3_cache_write_t *w)
{
    ngx_http_s3_cache_name_t  name;

    ngx_memzero(&name, sizeof(ngx_http_s3_cache_name_t));
    name.bucket = w->ctx->target->addr.bucket;

    if (ngx_http_s3_cache_fence_begin(&w->fence, &name) != NGX_OK) {
        w->err = S3C_ERR_SLOW_DOWN;
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Step: nothing could be held back of an empty body, so that its framing is
 * read before the origin is asked. */

ngx_int_t
ngx_http_s3_cache_write_empty(ngx_http_s3_cache_ctx_t *ctx)
{
    ngx_int_t                   rc;
    ngx_buf_t                  *b;
    ngx_http_s3_cache_write_t  *w;

    w = ctx->write;

    while (!w->verified) {

        rc = ngx_http_s3_cache_write_raw(w, &b);

        if (rc == NGX_AGAIN) {
            rc = ngx_http_s3_cache_hold(ctx);
            ctx->request->read_event_handler =
                                        ngx_http_s3_cache_write_empty_handler;
            return rc;
        }

        if (rc == NGX_DONE) {
            w->err = S3C_ERR_INCOMPLETE_BODY;
        }

        if (rc != NGX_OK || ngx_http_s3_cache_write_decode(w, b) != NGX_OK) {
            (void) ngx_http_s3_cache_write_failed(ctx, &rc);
            return rc;
        }
    }

    return ngx_http_s3_cache_pass(ctx, "write");
}


static void
ngx_http_s3_cache_write_empty_handler(ngx_http_request_t *r)
{
    ngx_http_s3_cache_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_s3_cache_module);

    r->read_event_handler = ngx_http_s3_cache_write_left;

    ngx_http_s3_cache_run(ctx, ngx_http_s3_cache_write_empty);
}


static void
ngx_http_s3_cache_write_read_handler(ngx_http_request_t *r)
{
    ngx_http_s3_cache_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_s3_cache_module);

    r->read_event_handler = ngx_http_s3_cache_write_left;

    (void) ngx_http_s3_cache_write_feeds(ctx);
}


/*
 * A client that goes away ends its request. But not if the origin has the whole
 * of it, and is to judge it: else whoever may not write could have things
 * dropped by not waiting for the answer.
 */

void
ngx_http_s3_cache_write_left(ngx_http_request_t *r)
{
    ngx_http_s3_cache_ctx_t    *ctx;
    ngx_http_s3_cache_write_t  *w;

    ctx = ngx_http_get_module_ctx(r, ngx_http_s3_cache_module);
    w = ctx->write;

    if (w->fence.judged && w->fence.passed && !w->ended) {
        ngx_http_block_reading(r);
        return;
    }

    ngx_http_test_reading(r);
}


ngx_uint_t
ngx_http_s3_cache_write_feeds(ngx_http_s3_cache_ctx_t *ctx)
{
    if (ctx->pass == NULL || ctx->pass->call == NULL) {
        return 0;
    }

    ngx_http_s3_cache_call_feed(ctx->pass->call);

    return 1;
}


void
ngx_http_s3_cache_write_settle(ngx_http_s3_cache_write_t *w)
{
    ngx_http_request_t  *r;

    r = w->ctx->request;

    if (r->reading_body && w->taken == w->length && w->len == 0) {
        /* at most the end of a chunked coding is left of it */
        (void) ngx_http_s3_cache_write_read(w);
    }

    if (r->reading_body) {
        /* nginx is going to close it: the answer says so */
        r->keepalive = 0;
    }

    if (w->reading || w->settled) {
        return;
    }

    w->settled = 1;

    if (r->headers_in.expect != NULL && !r->expect_tested) {
        /* nor guess whether it comes all the same */
        r->expect_tested = 1;
        r->keepalive = 0;
    }

    if (ngx_http_discard_request_body(r) != NGX_OK) {
        r->keepalive = 0;
    }
}
