/* SPDX-License-Identifier: Apache-2.0
 *
 * Shadow verification (s3_cache_verify): of the answers that came from this
 * node's own copies a share is compared with the origin after it was sent.
 * verify.c draws and keeps the queue, verify_find.c knows where the bytes are,
 * verify_call.c asks the origin, verify_drop.c drops what is wrong.
 */

#ifndef NGX_HTTP_S3_CACHE_VERIFY_H
#define NGX_HTTP_S3_CACHE_VERIFY_H


#include "ngx_http_s3_cache_write.h"


/* of one verification; more of an answer is not looked at */
#define NGX_HTTP_S3_CACHE_VERIFY_WINDOW  (1024 * 1024)


typedef struct ngx_http_s3_cache_verify_s  ngx_http_s3_cache_verify_t;

/* One answer that was drawn: what it was, and the call that compares it. It
 * lives in its own pool, and belongs to no request. */
struct ngx_http_s3_cache_verify_s {
    ngx_queue_t                    queue;      /* once it was sent */
    ngx_pool_t                    *pool;
    ngx_http_s3_cache_zone_t      *zone;
    ngx_http_s3_cache_loc_conf_t  *conf;

    s3c_slice_t                    bucket;
    s3c_slice_t                    key;
    s3c_slice_t                    version;    /* that was asked for, or "" */
    s3c_slice_t                    etag;
    uint64_t                       identity;
    s3c_hash128_t                  object;
    uint64_t                       generation;
    uint64_t                       total;
    uint64_t                       first;      /* of the body, what was sent */
    uint64_t                       last;
    size_t                         head_bytes; /* of an APART record */
    ngx_uint_t                     tier;
    unsigned                       is_inline:1;
    unsigned                       apart:1;

    /* verify_find.c: what is compared, [from, to] of the body, in this entry
       from `off` on */
    s3c_ram_pin_t                  pin;
    s3c_hash128_t                  entry;
    uint64_t                       from;
    uint64_t                       to;
    uint64_t                       off;
    uint64_t                       block;

    /* verify_call.c */
    u_char                        *buf;
    uint64_t                       compared;
    s3c_stat_t                     outcome;

    /* verify_drop.c */
    ngx_http_s3_cache_ctx_t       *ctx;        /* of no request */
    ngx_http_s3_cache_fence_t      fence;
};


/* The answer to a client, if it is such a one. */
void ngx_http_s3_cache_verify_reply(ngx_http_s3_cache_ctx_t *ctx);
/* The answer in ctx->view is being given: [first, last] of its body, nothing if
 * first > last. `sent`: the pool that goes when it has been sent, or NULL. */
void ngx_http_s3_cache_verify_draw(ngx_http_s3_cache_ctx_t *ctx,
    uint64_t first, uint64_t last, ngx_pool_t *sent);
/* Counts the outcome and lets go of it; the next one may begin. */
void ngx_http_s3_cache_verify_end(ngx_http_s3_cache_verify_t *v);
/* A number below n. */
uint64_t ngx_http_s3_cache_verify_random(uint64_t n);

/* NGX_DECLINED: it is not in memory any more. */
ngx_int_t ngx_http_s3_cache_verify_find(ngx_http_s3_cache_verify_t *v);
/* verify_end() comes, also before this returns. */
void ngx_http_s3_cache_verify_call(ngx_http_s3_cache_verify_t *v);
/* The same, when the mismatch is gone everywhere. */
void ngx_http_s3_cache_verify_drop(ngx_http_s3_cache_verify_t *v);


#endif /* NGX_HTTP_S3_CACHE_VERIFY_H */
