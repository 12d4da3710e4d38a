/* SPDX-License-Identifier: Apache-2.0
 *
 * A pass-through under way; shared by the files that relay the answer (pass.c,
 * pass_head.c) and the one that builds the request.
 */

#ifndef NGX_HTTP_S3_CACHE_PASS_H
#define NGX_HTTP_S3_CACHE_PASS_H


#include "ngx_http_s3_cache_module.h"


struct ngx_http_s3_cache_pass_s {
    ngx_http_s3_cache_ctx_t       *ctx;
    ngx_http_s3_cache_call_t      *call;       /* NULL: over */
    ngx_http_s3_cache_call_end_e   end;
    u_char                        *buf;
    ngx_http_s3_cache_span_t       link;
    uint64_t                       generation; /* of the rest */
    uint64_t                       total;
    uint64_t                       skip;       /* bytes the client has had */
    uint64_t                       left;       /* bytes it still wants */
    unsigned                       rest:1;     /* goes on within a body */
    unsigned                       busy:1;     /* buf is on its way out */
    unsigned                       whole:1;    /* 200 to the rest's Range */
    unsigned                       complete:1; /* nothing is left of it */
    unsigned                       asks:1;     /* whether the client may */
    unsigned                       told:1;     /* it may, or nobody knows */
    s3c_http_head_t               *refusal;    /* held back until its document
                                                  has been looked at */
    size_t                         refusal_len;
};


/* The origin's request made of the client's: NGX_ERROR when it cannot be. */
ngx_int_t ngx_http_s3_cache_pass_ask(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_call_t *call);
/* Parts of it, for writes. */
ngx_int_t ngx_http_s3_cache_pass_path(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_call_t *call);
ngx_int_t ngx_http_s3_cache_pass_query(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_call_t *call);
ngx_int_t ngx_http_s3_cache_pass_header(ngx_http_s3_cache_call_t *call,
    s3c_slice_t name, s3c_slice_t value);
ngx_uint_t ngx_http_s3_cache_pass_listed(const char **list, s3c_slice_t name);
/* The bytes from ctx->pos to ctx->reply.last of the version in ctx->view. */
ngx_int_t ngx_http_s3_cache_pass_ask_rest(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_call_t *call);

/* head: of a call; of an answer that has been weighed. */
ngx_int_t ngx_http_s3_cache_pass_on_head(ngx_http_s3_cache_call_t *call,
    s3c_http_head_t *head);
ngx_int_t ngx_http_s3_cache_pass_send_head(ngx_http_s3_cache_ctx_t *ctx,
    s3c_http_head_t *head);


#endif /* NGX_HTTP_S3_CACHE_PASS_H */
