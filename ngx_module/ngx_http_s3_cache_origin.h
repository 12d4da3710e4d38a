/* SPDX-License-Identifier: Apache-2.0
 *
 * The origin: where objects come from, and one call (HTTP request) to it.
 *
 * A call is detached: it belongs to no client request, has its own pool and
 * survives the client. It resolves, connects (keep-alive pool per worker),
 * speaks TLS (SNI, verified), signs by SigV4, retries on another address
 * while no response byte has come, reads the head strictly, decodes chunked,
 * and hands the body straight to where its user wants it. A request body is
 * asked of the user bit by bit, as the origin takes it; once any of it may
 * have arrived, nothing is tried again.
 */

#ifndef NGX_HTTP_S3_CACHE_ORIGIN_H
#define NGX_HTTP_S3_CACHE_ORIGIN_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "auth/sigv4.h"
#include "http/http_head.h"
#include "stats/stats.h"


#define NGX_HTTP_S3_CACHE_CALL_HEADERS_MAX  24
/* of a write, which may have metadata; with what is added they can be signed */
#define NGX_HTTP_S3_CACHE_CALL_HEADERS_MORE 120

#define NGX_HTTP_S3_CACHE_CREDENTIALS_SAID    1
#define NGX_HTTP_S3_CACHE_CREDENTIALS_UNSAID  2


typedef struct ngx_http_s3_cache_origin_s  ngx_http_s3_cache_origin_t;
typedef struct ngx_http_s3_cache_call_s    ngx_http_s3_cache_call_t;
typedef struct ngx_http_s3_cache_origin_keys_s
    ngx_http_s3_cache_origin_keys_t;
typedef struct ngx_http_s3_cache_origin_conf_s
    ngx_http_s3_cache_origin_conf_t;


typedef enum {
    NGX_HTTP_S3_CACHE_CALL_DONE = 0,    /* head and the whole body came */
    NGX_HTTP_S3_CACHE_CALL_UNREACHABLE, /* no address could be connected,
                                           resolved or TLS-verified */
    NGX_HTTP_S3_CACHE_CALL_TIMEOUT,
    NGX_HTTP_S3_CACHE_CALL_CUT,         /* closed before the end */
    NGX_HTTP_S3_CACHE_CALL_MALFORMED,   /* no valid HTTP: connection dropped */
    NGX_HTTP_S3_CACHE_CALL_ABORTED,     /* by its user */
    NGX_HTTP_S3_CACHE_CALL_INTERNAL,    /* out of memory and the like */
    NGX_HTTP_S3_CACHE_CALL_UNSIGNED     /* not sent: there are no keys now */
} ngx_http_s3_cache_call_end_e;


/*
 * The raw settings, one directive each, inherited like proxy_*; embedded in
 * the location configuration as `origin_conf`.
 */

struct ngx_http_s3_cache_origin_conf_s {
    ngx_str_t                    url;           /* "http[s]://host[:port]" */
    ngx_str_t                    file;          /* where it was configured */
    ngx_uint_t                   line;
    ngx_str_t                    region;
    ngx_str_t                    access_key;
    ngx_str_t                    secret_key;
    ngx_str_t                    session_token;
    ngx_http_s3_cache_origin_keys_t  *keys;     /* instead of these; or NULL */
    ngx_flag_t                   credentials;   /* UNSET, 0 none, 1 set */
    ngx_uint_t                   said;          /* was it configured? 0: see
                                                   credentials */
    ngx_str_t                    ssl_name;
    ngx_flag_t                   ssl_verify;    /* default on */
    ngx_int_t                    ssl_verify_depth;
    ngx_str_t                    ssl_trusted_certificate;  /* "" system CA */
    ngx_msec_t                   connect_timeout;
    ngx_msec_t                   send_timeout;
    ngx_msec_t                   read_timeout;
    ngx_uint_t                   keepalive;     /* idle connections/worker */
    ngx_msec_t                   keepalive_timeout;
    ngx_uint_t                   tries;
    ngx_uint_t                   local;         /* "localhost": the resolver is
                                                   not asked */
};


/* Built by the merge from the settings; lives as long as the cycle. */
struct ngx_http_s3_cache_origin_s {
    ngx_str_t                    url;
    ngx_str_t                    host;          /* name alone */
    ngx_str_t                    host_header;   /* with a non-default port */
    in_port_t                    port;
    ngx_str_t                    region;
    ngx_uint_t                   signs;         /* has credentials */
    uint64_t                     id;            /* hash of scheme,host,port */
    ngx_http_s3_cache_origin_conf_t  *conf;
    void                        *priv;          /* addresses, TLS context,
                                                   keep-alive queues, cached
                                                   signing key */
};


typedef struct {
    ngx_str_t                    name;
    ngx_str_t                    value;
} ngx_http_s3_cache_call_header_t;


/*
 * Create, fill the fields below the line, start. After on_end the call and
 * its pool are gone. Callbacks may abort the call; nothing of it may be
 * touched after that. on_end is called exactly once for a started call,
 * never from within start or abort.
 */

struct ngx_http_s3_cache_call_s {
    ngx_pool_t                  *pool;
    ngx_log_t                   *log;           /* the cycle's, with action */
    ngx_http_s3_cache_origin_t  *origin;
    /* ------------------------------------------------------------------ */
    unsigned                     head:1;        /* HEAD instead of GET... */
    unsigned                     close:1;       /* never keep the connection */
    unsigned                     bare:1;        /* not signed for: its body
                                                   says who asks */
    unsigned                     verbatim:1;    /* a client's own: path is as
                                                   it came, no header is added;
                                                   with `bare` */
    unsigned                     secret:1;      /* its path is for no log */
    unsigned                     has_body:1;
    unsigned                     expect:1;      /* the body only after the
                                                   origin said 100 */
    ngx_str_t                    method;        /* empty: by `head` */
    ngx_str_t                    path;          /* decoded bytes, from '/' */
    ngx_str_t                    query;         /* raw, without '?' */
    ngx_http_s3_cache_call_header_t
        few[NGX_HTTP_S3_CACHE_CALL_HEADERS_MAX];
    ngx_http_s3_cache_call_header_t  *headers;  /* few, or more of them */
    ngx_uint_t                   headers_max;
    ngx_uint_t                   nheaders;      /* allow-listed by the user;
                                                   Host, date, hash, token,
                                                   Authorization are added */
    uint64_t                     body_bytes;    /* of the request, exactly */
    ngx_str_t                    payload_hash;  /* to be signed; empty: that of
                                                   nothing, or UNSIGNED-PAYLOAD
                                                   when there is a body */
    void                        *data;

    /* Request body: the next bytes to send, which stay where they are until
     * on_sent() says that n of them are gone. *len 0: none now, until feed().
     * With `expect` the first one comes when the origin has said that it wants
     * the body, or nothing for a second. */
    void                       (*on_send)(ngx_http_s3_cache_call_t *call,
                                          u_char **pos, size_t *len);
    void                       (*on_sent)(ngx_http_s3_cache_call_t *call,
                                          size_t n);
    /* The head of the final answer (1xx are skipped). NGX_OK: go on;
     * NGX_ERROR: this answer is useless, end as ABORTED. */
    ngx_int_t                  (*on_head)(ngx_http_s3_cache_call_t *call,
                                          s3c_http_head_t *head);
    /* Where the next body bytes go. *len 0: pause until resume(). */
    void                       (*on_space)(ngx_http_s3_cache_call_t *call,
                                           u_char **pos, size_t *len);
    /* n bytes were written at that place. NGX_OK, or NGX_ERROR to abort
     * (e.g. enough has come). */
    ngx_int_t                  (*on_body)(ngx_http_s3_cache_call_t *call,
                                          size_t n);
    /* nothing more can be read for now (the socket is drained): a good
     * moment to publish. May be NULL. */
    void                       (*on_idle)(ngx_http_s3_cache_call_t *call);
    void                       (*on_end)(ngx_http_s3_cache_call_t *call,
                                         ngx_http_s3_cache_call_end_e end);
    void                        *priv;
    s3c_stats_t                 *stats;         /* may be NULL */
};


/* NULL on no memory. */
ngx_http_s3_cache_call_t *ngx_http_s3_cache_call_create(
    ngx_http_s3_cache_origin_t *origin, ngx_log_t *log);
/* Failures arrive by on_end from the event loop, never from here. */
void ngx_http_s3_cache_call_start(ngx_http_s3_cache_call_t *call);
void ngx_http_s3_cache_call_resume(ngx_http_s3_cache_call_t *call);
/* There is more of the request body. */
void ngx_http_s3_cache_call_feed(ngx_http_s3_cache_call_t *call);
/* May the origin know of it? Until the call is gone. */
ngx_uint_t ngx_http_s3_cache_call_sent(ngx_http_s3_cache_call_t *call);
/* Room for NGX_HTTP_S3_CACHE_CALL_HEADERS_MORE headers. */
ngx_int_t ngx_http_s3_cache_call_more_headers(ngx_http_s3_cache_call_t *call);
/* Ends it soon as ABORTED (on_end still comes, from the event loop, unless
 * `silent`: then no callback comes any more). */
void ngx_http_s3_cache_call_abort(ngx_http_s3_cache_call_t *call,
    ngx_uint_t silent);

const char *ngx_http_s3_cache_call_end_name(ngx_http_s3_cache_call_end_e end);


/* Configuration: create sets UNSET values; merge inherits, checks and, when
 * a URL is set, builds *origin (NULL otherwise). Errors are logged with the
 * configuration's file and line. */
void ngx_http_s3_cache_origin_conf_init(ngx_http_s3_cache_origin_conf_t *conf);
char *ngx_http_s3_cache_origin_conf_merge(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_conf_t *prev,
    ngx_http_s3_cache_origin_conf_t *conf, ngx_http_s3_cache_origin_t **origin);
/* Directive setters; cmd->offset is that of the embedded origin_conf. */
char *ngx_http_s3_cache_origin_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_s3_cache_origin_credentials_set(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
/* Per worker: keep-alive queues etc.; and at its end. */
ngx_int_t ngx_http_s3_cache_origin_init_worker(ngx_cycle_t *cycle);
void ngx_http_s3_cache_origin_exit_worker(ngx_cycle_t *cycle);


#endif /* NGX_HTTP_S3_CACHE_ORIGIN_H */
