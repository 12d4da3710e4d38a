/* SPDX-License-Identifier: Apache-2.0
 *
 * Who asks, and may they? Asked of each request of a client before anything
 * is looked up, waited for or read of a body: what the cache has is never a
 * part of the answer. See docs/adr/0025-keys-are-checked-first.md.
 */

#ifndef NGX_HTTP_S3_CACHE_AUTH_H
#define NGX_HTTP_S3_CACHE_AUTH_H


#include "ngx_http_s3_cache_module.h"

#include "auth/access.h"
#include "auth/identity.h"
#include "auth/sigv4_chunk.h"
#include "auth/sigv4_verify.h"
#include "s3/s3_chunked.h"


typedef enum {
    NGX_HTTP_S3_CACHE_AUTH_OFF = 0,
    NGX_HTTP_S3_CACHE_AUTH_KEYS,
    NGX_HTTP_S3_CACHE_AUTH_ORIGIN
} ngx_http_s3_cache_auth_e;


/* What the file of identities held at one time; lives as long as anybody uses
 * it. */
typedef struct {
    s3c_identities_t            *set;
    ngx_uint_t                   refs;
} ngx_http_s3_cache_keys_t;


typedef struct ngx_http_s3_cache_asked_s  ngx_http_s3_cache_asked_t;


/* What is known of who asks. Lives in the request's pool. */
struct ngx_http_s3_cache_auth_s {
    ngx_http_s3_cache_keys_t    *keys;          /* held */
    const s3c_identity_t        *identity;      /* NULL: nobody */
    ngx_str_t                    access_key;    /* whose signature is good */
    s3c_s3_error_t               err;           /* NONE: it may */
    const char                  *message;       /* NULL: that of err */
    const s3c_sigv4_refusal_t   *refusal;       /* of err, for this moment */
    s3c_action_t                 action;        /* that it needs, the first */
    s3c_signed_t                 kind;
    s3c_payload_t                payload;
    uint8_t                      body_sha256[S3C_SHA256_BYTES];
    s3c_sha_t                    sha;           /* of the body */
    s3c_sigv4_chunks_t          *chunks;        /* of the body, or NULL */
    ngx_http_s3_cache_asked_t   *asked;         /* of origin, or NULL */

    unsigned                     identified:1;
    unsigned                     keys_in_body:1;  /* each must be allowed */
};


/* Step: NGX_DECLINED: it may. Else that is what ends the request, or holds it:
 * then ngx_http_s3_cache_go() runs if it may. */
ngx_int_t ngx_http_s3_cache_authorize(ngx_http_s3_cache_ctx_t *ctx);

/* auth_keys.c: as authorize() */
ngx_int_t ngx_http_s3_cache_auth_keys(ngx_http_s3_cache_ctx_t *ctx);
/* Who signed, and what for: what variables ask before it is handled. */
void ngx_http_s3_cache_identify(ngx_http_s3_cache_ctx_t *ctx);
/* A key that the body of DeleteObjects names; NULL: nobody knows which. */
ngx_uint_t ngx_http_s3_cache_auth_may_delete(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_slice_t *key);
/* What is remembered of keys, some of which may be gone. */
void ngx_http_s3_cache_auth_forget(void);
void ngx_http_s3_cache_auth_cleanup(ngx_http_s3_cache_ctx_t *ctx);

/* auth_body.c: is the body the one that was signed? begin() before any of it,
 * part() of all that is in it, end() before the last byte goes to the origin:
 * NONE, or the S3 error to answer. */
s3c_s3_error_t ngx_http_s3_cache_auth_body_begin(
    ngx_http_s3_cache_auth_t *auth, s3c_s3_chunked_t *decoder);
s3c_s3_error_t ngx_http_s3_cache_auth_body_part(
    ngx_http_s3_cache_auth_t *auth, s3c_slice_t part);
s3c_s3_error_t ngx_http_s3_cache_auth_body_end(
    ngx_http_s3_cache_auth_t *auth);

/* auth_log.c */

/* "off", "allowed", "origin" of what that decides without a word here, or the
 * code of the S3 error. */
s3c_slice_t ngx_http_s3_cache_auth_decision(ngx_http_s3_cache_ctx_t *ctx);
ngx_int_t ngx_http_s3_cache_auth_uri(ngx_http_request_t *r, s3c_slice_t *uri);

/* auth_conf.c */
char *ngx_http_s3_cache_auth_hosts_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_s3_cache_auth_regions_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_s3_cache_auth_merge(ngx_conf_t *cf,
    ngx_http_s3_cache_loc_conf_t *prev, ngx_http_s3_cache_loc_conf_t *conf);
/* Of a location that answers clients. */
char *ngx_http_s3_cache_auth_check(ngx_conf_t *cf,
    ngx_http_s3_cache_loc_conf_t *conf);

/* auth_origin.c */
ngx_int_t ngx_http_s3_cache_auth_origin(ngx_http_s3_cache_ctx_t *ctx);
/* Is ctx->view what the origin has shown to this client? Else the step. */
ngx_uint_t ngx_http_s3_cache_auth_origin_shows(ngx_http_s3_cache_ctx_t *ctx);
ngx_int_t ngx_http_s3_cache_auth_origin_differs(ngx_http_s3_cache_ctx_t *ctx);
/* It is: may the client have all of ctx->reply? Else it passes. */
ngx_uint_t ngx_http_s3_cache_auth_origin_spans(ngx_http_s3_cache_ctx_t *ctx);
char *ngx_http_s3_cache_auth_origin_check(ngx_conf_t *cf,
    ngx_http_s3_cache_loc_conf_t *conf);

/* auth_guard.c: where an operator speaks. NGX_DECLINED: the request may, by
 * an identity that may do this to everything, or nobody has to sign here. Else
 * that is what ends it; its body is discarded then, and was not read before. */
ngx_int_t ngx_http_s3_cache_guard(ngx_http_request_t *r, s3c_action_t action);
/* Of a location whose handler asks it (conf->guarded). */
char *ngx_http_s3_cache_guard_check(ngx_conf_t *cf,
    ngx_http_s3_cache_loc_conf_t *conf);

/* keyring.c: configuration, and its file as it is now */
char *ngx_http_s3_cache_keyring_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
void ngx_http_s3_cache_keyring_init_worker(ngx_cycle_t *cycle,
    ngx_http_s3_cache_main_conf_t *mcf);
/* NULL: nobody knows. */
ngx_http_s3_cache_keys_t *ngx_http_s3_cache_keyring_hold(
    ngx_http_s3_cache_keyring_t *ring);
void ngx_http_s3_cache_keyring_release(ngx_http_s3_cache_keys_t *keys);


#endif /* NGX_HTTP_S3_CACHE_AUTH_H */
