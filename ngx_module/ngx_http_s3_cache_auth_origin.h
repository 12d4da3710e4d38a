/* SPDX-License-Identifier: Apache-2.0
 *
 * s3_cache_auth origin: this gateway has no secret of any client, so the
 * origin is asked with the client's own signed request, byte for byte. See
 * docs/adr/0027-the-origin-decides.md.
 */

#ifndef NGX_HTTP_S3_CACHE_AUTH_ORIGIN_H
#define NGX_HTTP_S3_CACHE_AUTH_ORIGIN_H


#include "ngx_http_s3_cache_auth.h"


#define NGX_HTTP_S3_CACHE_ASKED_ETAG  72


/* What the origin has said to one client's read. Lives in its pool. */
struct ngx_http_s3_cache_asked_s {
    u_char          hash[S3C_SHA256_BYTES];  /* of what it was asked */
    uint64_t        asked_ms;
    int64_t         end_sec;       /* of the signature */
    uint64_t        generation;    /* of the version that it showed */
    uint64_t        first;         /* of it, if bounded: no other byte */
    uint64_t        last;
    size_t          etag_len;
    u_char          etag[NGX_HTTP_S3_CACHE_ASKED_ETAG];

    unsigned        hashed:1;      /* what it says may be remembered */
    unsigned        ranged:1;      /* the Range was ours */
    unsigned        asking:1;
    unsigned        shown:1;       /* this client may see that version */
    unsigned        remembered:1;  /* as it said to an earlier request */
    unsigned        unsure:1;      /* yes, but which version? */
    unsigned        again:1;       /* it was asked twice */
    unsigned        bounded:1;     /* the Range was one that is signed */
};


/* From pass.c: the head of the answer. NGX_DECLINED: it is for the client;
 * else the request goes on by told(), at the end of the call: NGX_ERROR: at
 * once. */
ngx_int_t ngx_http_s3_cache_auth_origin_head(ngx_http_s3_cache_ctx_t *ctx,
    s3c_http_head_t *head);
ngx_int_t ngx_http_s3_cache_auth_origin_told(ngx_http_s3_cache_ctx_t *ctx);

/* auth_verbatim.c */

/* The call is to be the client's own request. */
ngx_int_t ngx_http_s3_cache_verbatim(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_call_t *call);
/* The hash of what asks whether it may, and until when that may be
 * remembered. NGX_DECLINED: it may not be. */
ngx_int_t ngx_http_s3_cache_verbatim_hash(ngx_http_s3_cache_ctx_t *ctx,
    u_char hash[S3C_SHA256_BYTES], int64_t *end_sec);
/* Does the origin read the same bucket from it? And the same key? */
ngx_uint_t ngx_http_s3_cache_verbatim_host(ngx_http_s3_cache_ctx_t *ctx);
ngx_uint_t ngx_http_s3_cache_verbatim_key(ngx_http_s3_cache_ctx_t *ctx);

/* auth_seen.c: what this worker remembers */

/* NGX_OK: into `asked`. NGX_DECLINED. */
ngx_int_t ngx_http_s3_cache_seen_find(ngx_http_s3_cache_asked_t *asked,
    time_t valid);
void ngx_http_s3_cache_seen_put(const ngx_http_s3_cache_asked_t *asked);
void ngx_http_s3_cache_seen_forget(const ngx_http_s3_cache_asked_t *asked);


#endif /* NGX_HTTP_S3_CACHE_AUTH_ORIGIN_H */
