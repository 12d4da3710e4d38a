/* SPDX-License-Identifier: Apache-2.0
 *
 * A pass-through under way; shared by the file that relays the answer and
 * the one that builds the request.
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
    s3c_http_head_t               *refusal;    /* held back until its document
                                                  has been looked at */
    size_t                         refusal_len;
};


/* The origin's request made of the client's: NGX_ERROR when it cannot be. */
ngx_int_t ngx_http_s3_cache_pass_ask(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_call_t *call);
/* The bytes from ctx->pos to ctx->reply.last of the version in ctx->view. */
ngx_int_t ngx_http_s3_cache_pass_ask_rest(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_call_t *call);


#endif /* NGX_HTTP_S3_CACHE_PASS_H */
