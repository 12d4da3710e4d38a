/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the keeper share. hiredis is used for its protocol alone,
 * to print commands and to read replies: sockets, time and TLS are nginx's.
 */

#ifndef NGX_HTTP_S3_CACHE_REDIS_INTERNAL_H
#define NGX_HTTP_S3_CACHE_REDIS_INTERNAL_H


#include "ngx_http_s3_cache_redis.h"
#include "ngx_http_s3_cache_roster.h"
#include "cluster/roster.h"

#include <hiredis/hiredis.h>


#define NGX_HTTP_S3_CACHE_REDIS_ARGS_MAX  16
#define NGX_HTTP_S3_CACHE_REDIS_EPOCH_MAX (1ull << 52)   /* Lua has doubles */


/* Why there is no answer, or none that can be used; each has a text. */
typedef enum {
    NGX_HTTP_S3_CACHE_REDIS_CONNECT = 0,
    NGX_HTTP_S3_CACHE_REDIS_CONNECT_TIMEOUT,
    NGX_HTTP_S3_CACHE_REDIS_TLS,
    NGX_HTTP_S3_CACHE_REDIS_CLOSED,
    NGX_HTTP_S3_CACHE_REDIS_SILENT,
    NGX_HTTP_S3_CACHE_REDIS_MEMORY,
    NGX_HTTP_S3_CACHE_REDIS_GARBLED,       /* no Redis, or not what was asked */
    NGX_HTTP_S3_CACHE_REDIS_TOO_LONG,
    NGX_HTTP_S3_CACHE_REDIS_UNASKED,
    NGX_HTTP_S3_CACHE_REDIS_TOO_MANY,
    NGX_HTTP_S3_CACHE_REDIS_ALL_WRONG,
    NGX_HTTP_S3_CACHE_REDIS_NO_MASTER,
    NGX_HTTP_S3_CACHE_REDIS_NO_ADDRESS,
    NGX_HTTP_S3_CACHE_REDIS_SELF,
    NGX_HTTP_S3_CACHE_REDIS_TAKEN,
    NGX_HTTP_S3_CACHE_REDIS_ERRORS         /* the first of error replies */
} ngx_http_s3_cache_redis_reason_e;


/* A connection: connects, then asks one command after the other. */
typedef struct {
    ngx_http_s3_cache_redis_t  *redis;
    ngx_log_t                   log;           /* nginx's own words on it are
                                                  for debugging only */
    ngx_peer_connection_t       peer;
    ngx_connection_t           *connection;    /* NULL: there is none */
    ngx_str_t                   host;          /* for TLS; NUL behind */

    redisReader                *reader;
    char                       *out;           /* hiredis's */
    size_t                      out_len;
    size_t                      out_sent;
    size_t                      received;      /* of this answer */

    /* Connected: no reply; or the answer, which is freed behind it. It may
     * ask the next, or close. NULL: nothing was asked. */
    void                      (*done)(void *data, redisReply *reply);
    /* Has been closed. The last thing that a call of this file does. */
    void                      (*failed)(void *data, ngx_uint_t reason,
                                        ngx_err_t err);
    void                       *data;
} ngx_http_s3_cache_redis_conn_t;


/* A server's address that is not from the configuration. */
typedef struct {
    ngx_sockaddr_t              sockaddr;
    socklen_t                   socklen;
    ngx_str_t                   name;          /* in text */
    ngx_str_t                   host;          /* without port; NUL behind */
    u_char                      text[NGX_SOCKADDR_STRLEN];
    u_char                      host_text[NGX_SOCKADDR_STRLEN + 1];
} ngx_http_s3_cache_redis_target_t;


/* What an answer of the script says. */
typedef struct {
    enum {
        NGX_HTTP_S3_CACHE_REDIS_NEW = 0,       /* there was no lease of it */
        NGX_HTTP_S3_CACHE_REDIS_KEPT,
        NGX_HTTP_S3_CACHE_REDIS_OLDER,         /* a later run of it has one */
        NGX_HTTP_S3_CACHE_REDIS_OTHER          /* its name is elsewhere */
    }                           word;
    uint64_t                    epoch;
    uint64_t                    now_ms;        /* by Redis's clock */
    uint64_t                    members;       /* how many there are */
    unsigned                    listed:1;      /* and they are in `items` */
    size_t                      n;
    ngx_str_t                   holder;        /* the lease's value before */
} ngx_http_s3_cache_redis_answer_t;


typedef struct ngx_http_s3_cache_keeper_s {
    ngx_http_s3_cache_redis_t  *redis;
    ngx_http_s3_cache_peers_t  *peers;
    ngx_http_s3_cache_redis_conn_t  conn;

    ngx_event_t                 beat;          /* the next one, or attempt */
    ngx_event_t                 look;          /* has the state changed? */

    /* find */
    ngx_uint_t                  next;          /* server or sentinel */
    ngx_str_t                   server;        /* the one asked; for logs */
    ngx_http_s3_cache_redis_target_t  target;
    unsigned                    moved:1;       /* `target` is to be asked */

    /* what this node says */
    u_char                      address[NGX_SOCKADDR_STRLEN];
    size_t                      address_len;
    u_char                      value[S3C_MEMBER_VALUE_MAX];
    size_t                      value_len;
    s3c_member_state_t          state;         /* said last */

    /* what it has heard */
    ngx_msec_t                  contact;       /* since when without a gap */
    uint64_t                    epoch;
    uint32_t                    held;          /* in the roster, but unheard */
    s3c_roster_item_t          *items;
    u_char                     *before;        /* rosters */
    u_char                     *after;

    ngx_msec_t                  backoff;
    ngx_msec_t                  taken;         /* when that was logged */
    uint64_t                    told;          /* reasons, since a beat */

    unsigned                    ready:1;       /* logged in */
    unsigned                    asked:1;       /* an answer is owed */
    unsigned                    in_contact:1;
    unsigned                    whole:1;       /* the script's text is sent */
    ngx_msec_t                  asked_msec;    /* for the lease, last */
    unsigned                    claimed:1;     /* has renewed the lease */
    unsigned                    older:1;       /* see the answer's word */
    unsigned                    far:1;         /* warned of its address */
    unsigned                    stopped:1;
} ngx_http_s3_cache_keeper_t;


/* conn. open() and ask() never block; what goes wrong comes by failed(), even
 * before they return: touch nothing behind them. */
void ngx_http_s3_cache_redis_open(ngx_http_s3_cache_redis_conn_t *conn,
    struct sockaddr *sockaddr, socklen_t socklen, ngx_str_t *name,
    ngx_str_t *host, void (*done)(void *data, redisReply *reply));
void ngx_http_s3_cache_redis_ask(ngx_http_s3_cache_redis_conn_t *conn,
    ngx_uint_t argc, ngx_str_t *argv,
    void (*done)(void *data, redisReply *reply));
/* Hands a command to the kernel if that is possible now; no answer. */
void ngx_http_s3_cache_redis_tell(ngx_http_s3_cache_redis_conn_t *conn,
    ngx_uint_t argc, ngx_str_t *argv);
void ngx_http_s3_cache_redis_close(ngx_http_s3_cache_redis_conn_t *conn);
/* It is closed, then failed() is called. */
void ngx_http_s3_cache_redis_fail(ngx_http_s3_cache_redis_conn_t *conn,
    ngx_uint_t reason, ngx_err_t err);
/* Commands may be asked. */
void ngx_http_s3_cache_redis_up(ngx_http_s3_cache_redis_conn_t *conn);

/* handshake: it is connected; ends by up() or fail(). */
void ngx_http_s3_cache_redis_handshake(ngx_http_s3_cache_redis_conn_t *conn);

/* find: connects to the server whose turn it is, and logs in; ends by
 * keeper_found() or keeper_failed(). */
void ngx_http_s3_cache_redis_find(ngx_http_s3_cache_keeper_t *k);
/* By an error "MOVED slot host:port": the next find() asks there. */
ngx_int_t ngx_http_s3_cache_redis_follow(ngx_http_s3_cache_keeper_t *k,
    ngx_str_t *text);

/* script: arguments of its call; the values must outlive it. */
ngx_uint_t ngx_http_s3_cache_redis_script(ngx_http_s3_cache_keeper_t *k,
    ngx_uint_t leave, ngx_uint_t all, ngx_str_t *argv);
ngx_int_t ngx_http_s3_cache_redis_script_init(ngx_http_s3_cache_redis_t *redis,
    ngx_pool_t *pool);
/* ERROR: it is no answer of the script. */
ngx_int_t ngx_http_s3_cache_redis_answer(ngx_http_s3_cache_keeper_t *k,
    redisReply *reply, ngx_http_s3_cache_redis_answer_t *answer);

/* reason: of an error reply; its text for people; NULL on reasons that are
 * none. */
ngx_uint_t ngx_http_s3_cache_redis_reason(redisReply *reply);
const char *ngx_http_s3_cache_redis_reason_text(ngx_uint_t reason);
s3c_stat_t ngx_http_s3_cache_redis_reason_stat(ngx_uint_t reason);

/* keeper */

/* The lease is asked for; the answer comes to keeper_answered(). */
void ngx_http_s3_cache_keeper_ask(ngx_http_s3_cache_keeper_t *k);
/* Of this node, as it is to be said now. */
s3c_member_state_t ngx_http_s3_cache_keeper_state(
    ngx_http_s3_cache_keeper_t *k);
void ngx_http_s3_cache_keeper_count(ngx_http_s3_cache_keeper_t *k,
    s3c_stat_t stat, uint64_t n);
void ngx_http_s3_cache_keeper_found(ngx_http_s3_cache_keeper_t *k);
/* `said`: what the server has, for the log, or NULL. */
void ngx_http_s3_cache_keeper_failed(ngx_http_s3_cache_keeper_t *k,
    ngx_uint_t reason, ngx_err_t err, ngx_str_t *said);

/* keeper_heard: `done` of a conn. The next beat is set, or it has failed. */
void ngx_http_s3_cache_keeper_answered(void *data, redisReply *reply);


#endif /* NGX_HTTP_S3_CACHE_REDIS_INTERNAL_H */
