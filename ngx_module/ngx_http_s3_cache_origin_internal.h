/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the origin client share and nobody else may include: the
 * private halves of an origin, a connection and a call. All of it belongs to
 * one worker process; nothing here lies in shared memory.
 *
 *   origin_conf         directives, defaults, inheritance
 *   origin              settings -> origin; the origins of a cycle
 *   origin_credentials  directive -> keys, or a source of them (origin_keys)
 *   origin_resolve      name -> addresses, round robin, what failed
 *   origin_tls          context, handshake, verification, session reuse
 *   origin_keepalive    connections: open, close, keep, take
 *   call                life of a call: create, start, resume, abort, end
 *   call_connect        address -> connection -> handshake -> sent; retries
 *   call_request        the bytes of the request
 *   call_send           head and body of the request, while answers may come
 *   call_response       head
 *   call_body           body
 */

#ifndef NGX_HTTP_S3_CACHE_ORIGIN_INTERNAL_H
#define NGX_HTTP_S3_CACHE_ORIGIN_INTERNAL_H


#include "ngx_http_s3_cache_origin.h"
#include "http/http_chunked.h"


#define NGX_HTTP_S3_CACHE_ADDRS_MAX         64      /* bits of `tried` */
#define NGX_HTTP_S3_CACHE_ADDR_FAIL_TIME    10000   /* ms an address rests */
#define NGX_HTTP_S3_CACHE_ADDRS_GRACE       30      /* s used while refreshed */
#define NGX_HTTP_S3_CACHE_TRIES_MAX         16
#define NGX_HTTP_S3_CACHE_CONN_AGE_MAX      3600    /* s, then not kept */
#define NGX_HTTP_S3_CACHE_CALL_INTERIM_MAX  8       /* 1xx heads skipped */
#define NGX_HTTP_S3_CACHE_CALL_POOL_SIZE    4096
#define NGX_HTTP_S3_CACHE_CALL_HEAD_START   8192    /* and a small body */
#define NGX_HTTP_S3_CACHE_CALL_RAW_BYTES    16384   /* chunked input */
#define NGX_HTTP_S3_CACHE_CALL_BATCH_BYTES  (1024 * 1024)
#define NGX_HTTP_S3_CACHE_CALL_KEYS_TIME    2000    /* ms: the first keys */
#define NGX_HTTP_S3_CACHE_CALL_KEYS_LOOK    20      /* ms */
#define NGX_HTTP_S3_CACHE_CALL_EXPECT_TIME  1000    /* ms: RFC 9110, 10.1.1 */


typedef struct ngx_http_s3_cache_upstream_s   ngx_http_s3_cache_upstream_t;
typedef struct ngx_http_s3_cache_conn_s       ngx_http_s3_cache_conn_t;
typedef struct ngx_http_s3_cache_call_priv_s  ngx_http_s3_cache_call_priv_t;


typedef struct {
    ngx_sockaddr_t               sockaddr;
    socklen_t                    socklen;
    size_t                       name_len;
    u_char                       name[NGX_SOCKADDR_STRLEN];
    ngx_msec_t                   failed_until;
    void                        *session;       /* SSL_SESSION or NULL */
    unsigned                     failed:1;
} ngx_http_s3_cache_addr_t;


/* Replaced as a whole by each resolution; calls hold references. */
typedef struct {
    ngx_uint_t                   refs;
    ngx_uint_t                   n;
    ngx_http_s3_cache_addr_t     addr[1];
} ngx_http_s3_cache_addrs_t;


/* origin->priv */
struct ngx_http_s3_cache_upstream_s {
    ngx_http_s3_cache_origin_t  *origin;
    ngx_http_s3_cache_origin_conf_t  *conf;
    ngx_queue_t                  queue;         /* of the cycle's origins */

    ngx_http_s3_cache_addrs_t   *addrs;         /* NULL: none known yet */
    ngx_uint_t                   next;          /* round robin */
    time_t                       valid;         /* of addrs, by their TTL */
    time_t                       retry_at;      /* after a failed resolve */
    ngx_resolver_t              *resolver;      /* NULL: addrs are fixed */
    ngx_msec_t                   resolver_timeout;
    ngx_resolver_ctx_t          *ctx;           /* resolve under way */
    ngx_queue_t                  waiting;       /* calls */

    void                        *ssl;           /* ngx_ssl_t, NULL for http */
    ngx_str_t                    ssl_name;      /* NUL-terminated */
    unsigned                     literal_name:1;  /* it is an address */
    unsigned                     literal:1;     /* host is an address */

    ngx_queue_t                  idle;          /* kept, last used first */
    ngx_uint_t                   n_idle;

    s3c_sigv4_key_cache_t        key_cache;
    uint64_t                     key_version;   /* of conf->keys, that it is
                                                   made of */
};


/* c->data of every connection to an origin; lives in c->pool. */
struct ngx_http_s3_cache_conn_s {
    ngx_connection_t            *connection;
    ngx_http_s3_cache_upstream_t  *upstream;
    ngx_http_s3_cache_call_priv_t  *call;       /* NULL: idle */
    ngx_queue_t                  queue;         /* of upstream->idle */
    ngx_sockaddr_t               sockaddr;
    socklen_t                    socklen;
    ngx_str_t                    name;          /* address as text */
    time_t                       since;
    unsigned                     reused:1;      /* taken from the idle ones */
    unsigned                     bodiless:1;    /* was its last answer */
};


typedef enum {
    NGX_HTTP_S3_CACHE_CALL_NEW = 0,
    NGX_HTTP_S3_CACHE_CALL_KEYS,
    NGX_HTTP_S3_CACHE_CALL_RESOLVE,
    NGX_HTTP_S3_CACHE_CALL_CONNECT,
    NGX_HTTP_S3_CACHE_CALL_HANDSHAKE,
    NGX_HTTP_S3_CACHE_CALL_SEND,
    NGX_HTTP_S3_CACHE_CALL_HEAD,
    NGX_HTTP_S3_CACHE_CALL_BODY,
    NGX_HTTP_S3_CACHE_CALL_OVER                 /* on_end is posted */
} ngx_http_s3_cache_call_step_e;


/* How the end of a body is known (RFC 9112 6.3). */
typedef enum {
    NGX_HTTP_S3_CACHE_BODY_NONE = 0,
    NGX_HTTP_S3_CACHE_BODY_LENGTH,
    NGX_HTTP_S3_CACHE_BODY_CHUNKED,
    NGX_HTTP_S3_CACHE_BODY_CLOSE
} ngx_http_s3_cache_body_e;


/* call->priv; event ident must be after 3 pointers as in ngx_connection_t */
struct ngx_http_s3_cache_call_priv_s {
    ngx_http_s3_cache_call_t    *call;
    ngx_http_s3_cache_upstream_t  *upstream;
    ngx_http_s3_cache_conn_t    *conn;
    ngx_socket_t                 fd;

    ngx_queue_t                  queue;         /* of the worker's calls */
    ngx_queue_t                  waiting;       /* of upstream->waiting */
    ngx_event_t                  event;         /* on_end */
    ngx_event_t                  timer;         /* of keys and resolving */
    ngx_msec_t                   keys_until;    /* they are waited for */

    ngx_http_s3_cache_call_step_e  step;
    ngx_http_s3_cache_call_end_e   end;

    ngx_http_s3_cache_addrs_t   *addrs;
    ngx_http_s3_cache_addr_t    *addr;          /* of addrs, being tried */
    uint64_t                     tried;         /* by index in addrs */
    ngx_uint_t                   start;         /* round robin */
    ngx_uint_t                   tries;         /* left, this one included */

    ngx_str_t                    method;
    ngx_str_t                    target;        /* encoded, without query */
    ngx_buf_t                    request;
    uint64_t                     sent_usec;

    ngx_buf_t                    in;            /* head, and more of it */
    ngx_buf_t                    raw;           /* chunked input */
    s3c_http_head_t             *head;
    ngx_uint_t                   n_interim;
    ngx_http_s3_cache_body_e     framing;
    uint64_t                     left;          /* of a body with length */
    s3c_http_chunked_t           chunked;
    s3c_slice_t                  payload;       /* decoded, not yet taken */
    uint64_t                     uncounted;     /* bytes not yet in stats */

    ngx_uint_t                   busy;          /* callbacks on the stack */
    ngx_log_t                    log;

    unsigned                     head_only:1;
    unsigned                     safe:1;        /* GET or HEAD */
    unsigned                     fresh:1;       /* no kept connection */
    unsigned                     answered:1;    /* a byte came */
    unsigned                     chunked_end:1;
    unsigned                     complete:1;    /* the whole answer came */
    unsigned                     keep:1;        /* conn may be kept then */
    unsigned                     paused:1;
    unsigned                     resumed:1;     /* while asking for space */
    unsigned                     silent:1;
    unsigned                     waits:1;       /* in upstream->waiting */

    /* of a request with a body */
    uint64_t                     body_left;     /* to be sent */
    unsigned                     sent:1;        /* a byte of it, ever */
    unsigned                     expects:1;     /* 100 has not come */
    unsigned                     hungry:1;      /* the user has none now */
    unsigned                     broken:1;      /* the origin takes no more */
};


/* origin_conf: NULL, or what is wrong; *rest is host[:port]. */
char *ngx_http_s3_cache_origin_url_parse(ngx_str_t *url, ngx_str_t *rest,
    ngx_uint_t *ssl);

/* origin: a new one, or one with equal settings; NULL after logging. */
ngx_http_s3_cache_origin_t *ngx_http_s3_cache_origin_build(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_conf_t *conf, ngx_resolver_t *resolver,
    ngx_msec_t resolver_timeout);

/* origin_resolve */

/* Addresses known at configuration time. */
ngx_int_t ngx_http_s3_cache_origin_addrs_fixed(
    ngx_http_s3_cache_upstream_t *up, ngx_addr_t *addrs, ngx_uint_t n);
/* NGX_OK: cp->addrs is held. NGX_AGAIN: cp waits, call_connect() or
 * call_fail() is called later. NGX_DECLINED: no address is known. */
ngx_int_t ngx_http_s3_cache_origin_addrs_get(
    ngx_http_s3_cache_call_priv_t *cp);
/* Stops waiting and gives the reference back. */
void ngx_http_s3_cache_origin_addrs_put(ngx_http_s3_cache_call_priv_t *cp);
/* The next address that this call has not tried, or NULL. */
ngx_http_s3_cache_addr_t *ngx_http_s3_cache_origin_addr_next(
    ngx_http_s3_cache_call_priv_t *cp);
ngx_http_s3_cache_addr_t *ngx_http_s3_cache_origin_addr_find(
    ngx_http_s3_cache_upstream_t *up, struct sockaddr *sockaddr,
    socklen_t socklen);
void ngx_http_s3_cache_origin_resolve_stop(ngx_http_s3_cache_upstream_t *up);
void ngx_http_s3_cache_origin_addrs_free(ngx_http_s3_cache_addrs_t *addrs);

/* origin_tls */
ngx_int_t ngx_http_s3_cache_origin_tls_init(ngx_conf_t *cf,
    ngx_http_s3_cache_upstream_t *up);
/* NGX_OK, NGX_AGAIN (`done` is called later), NGX_ERROR. */
ngx_int_t ngx_http_s3_cache_origin_tls_start(ngx_http_s3_cache_conn_t *conn,
    ngx_connection_handler_pt done);
/* After the handshake: NULL, or what is wrong with it. */
const char *ngx_http_s3_cache_origin_tls_verify(
    ngx_http_s3_cache_conn_t *conn, const char **detail);
void ngx_http_s3_cache_origin_tls_close(ngx_http_s3_cache_conn_t *conn,
    ngx_uint_t clean);
void ngx_http_s3_cache_origin_tls_session_free(void *session);

/* origin_keepalive */

/* NGX_OK and NGX_AGAIN: *conn is there; NGX_DECLINED: the address refused;
 * NGX_ERROR: no memory, no descriptor. */
ngx_int_t ngx_http_s3_cache_conn_open(ngx_http_s3_cache_call_priv_t *cp,
    ngx_http_s3_cache_addr_t *addr, ngx_http_s3_cache_conn_t **conn);
/* A kept connection that is still silent, or NULL. */
ngx_http_s3_cache_conn_t *ngx_http_s3_cache_conn_take(
    ngx_http_s3_cache_call_priv_t *cp);
/* Keeps it for the next call, or closes it. */
void ngx_http_s3_cache_conn_keep(ngx_http_s3_cache_conn_t *conn);
void ngx_http_s3_cache_conn_close(ngx_http_s3_cache_conn_t *conn,
    ngx_uint_t clean);
void ngx_http_s3_cache_conn_close_idle(ngx_http_s3_cache_upstream_t *up);

/* call */

/* Ends the call: gives back what it holds and posts on_end. */
void ngx_http_s3_cache_call_end(ngx_http_s3_cache_call_priv_t *cp,
    ngx_http_s3_cache_call_end_e end);
/* Keeps or closes its connection. */
void ngx_http_s3_cache_call_disconnect(ngx_http_s3_cache_call_priv_t *cp);
/* Around a callback: leave answers NGX_ERROR when the call was aborted in
 * it; then nothing of it may be touched any more. */
void ngx_http_s3_cache_call_enter_callback(ngx_http_s3_cache_call_priv_t *cp);
ngx_int_t ngx_http_s3_cache_call_leave_callback(
    ngx_http_s3_cache_call_priv_t *cp);
/* Every call of this worker ends now as ABORTED. */
void ngx_http_s3_cache_call_abort_all(void);
uint64_t ngx_http_s3_cache_call_usec(void);
void ngx_http_s3_cache_call_count(ngx_http_s3_cache_call_priv_t *cp,
    s3c_stat_t stat, uint64_t n);

/* call_connect */
void ngx_http_s3_cache_call_connect(ngx_http_s3_cache_call_priv_t *cp);
/* One try failed: the next one, or the end. Both texts are for the log. */
void ngx_http_s3_cache_call_fail(ngx_http_s3_cache_call_priv_t *cp,
    ngx_http_s3_cache_call_end_e end, ngx_err_t err, const char *what,
    const char *detail);

/* call_send */
void ngx_http_s3_cache_call_send_start(ngx_http_s3_cache_call_priv_t *cp);
/* In step SEND: the socket is writable; an answer may be there. */
void ngx_http_s3_cache_call_send(ngx_http_s3_cache_call_priv_t *cp);
void ngx_http_s3_cache_call_send_timeout(ngx_http_s3_cache_call_priv_t *cp);
/* An interim answer (1xx) has come. */
void ngx_http_s3_cache_call_send_interim(ngx_http_s3_cache_call_priv_t *cp,
    ngx_uint_t status);

/* call_request: renders cp->request; NGX_ERROR after logging; NGX_DECLINED:
 * there are no keys to sign with, logged. */
ngx_int_t ngx_http_s3_cache_call_render(ngx_http_s3_cache_call_priv_t *cp);

/* call_response: reads what has come. */
void ngx_http_s3_cache_call_receive(ngx_http_s3_cache_call_priv_t *cp);
/* NGX_OK: n > 0 bytes; NGX_AGAIN; NGX_DONE: end of the stream; NGX_ERROR:
 * the call has failed. */
ngx_int_t ngx_http_s3_cache_call_recv(ngx_http_s3_cache_call_priv_t *cp,
    u_char *pos, size_t size, size_t *n);
/* For the next bytes, until the read time-out. */
ngx_int_t ngx_http_s3_cache_call_wait(ngx_http_s3_cache_call_priv_t *cp);

/* call_body */
void ngx_http_s3_cache_call_receive_body(ngx_http_s3_cache_call_priv_t *cp);


#endif /* NGX_HTTP_S3_CACHE_ORIGIN_INTERNAL_H */
