/* SPDX-License-Identifier: Apache-2.0
 *
 * What the glue's files share: configurations, the zone as a worker sees it,
 * and the context of a client's request. The core (src/) knows none of it.
 */

#ifndef NGX_HTTP_S3_CACHE_MODULE_H
#define NGX_HTTP_S3_CACHE_MODULE_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "auth/sigv4_verify.h"
#include "base/region.h"
#include "ram/ram.h"
#include "s3/s3_address.h"
#include "s3/s3_meta.h"
#include "s3/s3_operation.h"
#include "serve/fence.h"
#include "serve/plan.h"
#include "serve/record.h"
#include "ssd/ssd.h"
#include "stats/stats.h"

#include "ngx_http_s3_cache_origin.h"


#define NGX_HTTP_S3_CACHE_HEADERS_MAX    100
#define NGX_HTTP_S3_CACHE_RESTARTS_MAX   4
#define NGX_HTTP_S3_CACHE_AHEAD_MAX      32
#define NGX_HTTP_S3_CACHE_PIECE          S3C_SSD_FRAME_BYTES
#define NGX_HTTP_S3_CACHE_PIECE_NONE     ((ngx_uint_t) -1)
#define NGX_HTTP_S3_CACHE_PIECES_AHEAD   16
#define NGX_HTTP_S3_CACHE_WINDOW         (512 * 1024)
#define NGX_HTTP_S3_CACHE_ERROR_BODY_MAX (64 * 1024)
#define NGX_HTTP_S3_CACHE_VALID_FOREVER  ((time_t) -1)
#define NGX_HTTP_S3_CACHE_REQUEST_ID     16     /* hex digits */

/* why a fill ended without a result; see S3C_FILL_REASON_DIED as well */
#define NGX_HTTP_S3_CACHE_FILL_PASS         1    /* not to be kept */
#define NGX_HTTP_S3_CACHE_FILL_ROOM         2    /* no memory for it */
#define NGX_HTTP_S3_CACHE_FILL_CHANGED      3    /* another version */
#define NGX_HTTP_S3_CACHE_FILL_FRESH        4    /* revalidated: unchanged */
#define NGX_HTTP_S3_CACHE_FILL_AGAIN        5    /* look once more */
#define NGX_HTTP_S3_CACHE_FILL_UNREACHABLE  6
#define NGX_HTTP_S3_CACHE_FILL_TIMEOUT      7
#define NGX_HTTP_S3_CACHE_FILL_BROKEN       8    /* cut or malformed */
#define NGX_HTTP_S3_CACHE_FILL_ORIGIN_ERROR 9    /* 5xx to a block */
#define NGX_HTTP_S3_CACHE_FILL_FLASH        10   /* not to be had there */
#define NGX_HTTP_S3_CACHE_FILL_ELSEWHERE    11   /* ask somebody else */
#define NGX_HTTP_S3_CACHE_FILL_UNSIGNED     12   /* no keys for the origin */

/* mark of a fill: its bytes come from another node */
#define NGX_HTTP_S3_CACHE_MARK_PEER         1


typedef struct ngx_http_s3_cache_zone_s   ngx_http_s3_cache_zone_t;
typedef struct ngx_http_s3_cache_ctx_s    ngx_http_s3_cache_ctx_t;
typedef struct ngx_http_s3_cache_pass_s   ngx_http_s3_cache_pass_t;
typedef struct ngx_http_s3_cache_write_s  ngx_http_s3_cache_write_t;
typedef struct ngx_http_s3_cache_peers_s  ngx_http_s3_cache_peers_t;
typedef struct ngx_http_s3_cache_auth_s   ngx_http_s3_cache_auth_t;
typedef struct ngx_http_s3_cache_keyring_s  ngx_http_s3_cache_keyring_t;
typedef struct ngx_http_s3_cache_events_conf_s
    ngx_http_s3_cache_events_conf_t;


typedef enum {
    NGX_HTTP_S3_CACHE_HIT = 0,       /* order of the REQ_* counters */
    NGX_HTTP_S3_CACHE_MISS,
    NGX_HTTP_S3_CACHE_SHARED,
    NGX_HTTP_S3_CACHE_STALE,
    NGX_HTTP_S3_CACHE_REVALIDATED,
    NGX_HTTP_S3_CACHE_BYPASS,
    NGX_HTTP_S3_CACHE_REFUSED,
    NGX_HTTP_S3_CACHE_ERROR
} ngx_http_s3_cache_result_e;


/* Where the answer's body came from. */
typedef enum {
    NGX_HTTP_S3_CACHE_TIER_NONE = 0,
    NGX_HTTP_S3_CACHE_TIER_RAM,
    NGX_HTTP_S3_CACHE_TIER_FLASH,
    NGX_HTTP_S3_CACHE_TIER_MIRROR,
    NGX_HTTP_S3_CACHE_TIER_PEER,
    NGX_HTTP_S3_CACHE_TIER_ORIGIN
} ngx_http_s3_cache_tier_e;


/* The shared memory of a zone: outlives cycles, counted by them. */
typedef struct {
    ngx_uint_t                  refs;
    uint64_t                    number;        /* another one each time */
    s3c_region_t                region;
    void                       *stats;
    void                       *ram;
    size_t                      ram_bytes;
    uint32_t                    n_slots;
    s3c_ram_policy_t            policy;
    int                        *efds;          /* n_slots eventfds */

    /* the flash tier; no stores: none of it */
    ngx_uint_t                  nstores;
    int                         fds[S3C_SSD_STORES_MAX];
    s3c_region_t                ssd_region;

    s3c_fence_sh_t             *fence;
    void                       *history;       /* see history.h */
} ngx_http_s3_cache_shared_t;


/* A block of another node that this reader will come to: it is in memory only
 * as long as somebody holds it. */
typedef struct {
    uint64_t                    block;
    s3c_ram_pin_t               pin;
} ngx_http_s3_cache_ahead_t;


struct ngx_http_s3_cache_zone_s {
    ngx_str_t                   name;
    off_t                       size;
    s3c_ram_policy_t            policy;
    ngx_uint_t                  fills;         /* at most, in flight */
    off_t                       fill_memory;
    off_t                       scrub;         /* bytes a second; 0: none are */
    ngx_shm_zone_t             *shm_zone;
    ngx_pool_t                 *pool;          /* of the cycle */
    ngx_http_s3_cache_shared_t *shared;
    ngx_array_t                *stores;        /* ngx_http_s3_cache_store_t *,
                                                  or NULL */
    ngx_http_s3_cache_peers_t  *peers;         /* NULL: alone */
    ngx_array_t                *locations;     /* loc_conf *, of its different
                                                  origins; NULL: none */

    /* of this worker */
    s3c_ram_t                  *ram;           /* NULL: does without */
    s3c_ssd_t                  *ssd;           /* NULL: does without */
    const uint8_t              *secret;
    s3c_stats_t                 stats;
    ngx_connection_t           *wake_connection;
    ngx_event_t                 wake_event;    /* posted */
    ngx_event_t                 sweep_event;
    ngx_event_t                 scrub_event;   /* see scrub.c */
    time_t                      scrub_minute;  /* that lines are counted in */
    ngx_uint_t                  scrub_lines;
    struct s3c_history_sh_s    *history;       /* see history.h; or NULL */
    ngx_queue_t                *watchers;      /* by fill number */
    ngx_uint_t                  nwatches;      /* in all of them */
    uint64_t                    nonce;
    uint32_t                    mark_turn;     /* see purge.h */
    unsigned                    apart:1;       /* it could not drop what other
                                                  workers have on flash */
};


typedef struct {
    ngx_array_t                 zones;         /* ngx_http_s3_cache_zone_t * */
    ngx_array_t                 stores;        /* ngx_http_s3_cache_store_t *,
                                                  of all zones */
    ngx_array_t                 peers;         /* ngx_http_s3_cache_peers_t * */
    ngx_array_t                 redis;         /* ..redis_t * */
    ngx_array_t                 views;         /* of origins: fence_view.c */
    ngx_array_t                 keyrings;      /* ..keyring_t * */
    ngx_array_t                *open;          /* to all: auth_off.c */
    ngx_array_t                *keys;          /* ..origin_keys_t *, or NULL */
    struct ngx_http_s3_cache_alerts_s  *alerts;
    void                       *warm;          /* see warm_internal.h; or NULL */
    ngx_uint_t                  io;            /* ngx_http_s3_cache_io_e */
} ngx_http_s3_cache_main_conf_t;


typedef struct {
    ngx_uint_t                  status;        /* 0: any */
    time_t                      valid;         /* seconds, or FOREVER */
} ngx_http_s3_cache_valid_t;


typedef struct {
    ngx_http_s3_cache_zone_t   *zone;          /* NULL after merge: off */
    ngx_flag_t                  enable;
    ngx_http_s3_cache_origin_conf_t  origin_conf;
    ngx_http_s3_cache_origin_t *origin;
    uint64_t                    identity;      /* of origin and credentials */
    ngx_array_t                *domains;       /* s3c_slice_t */
    size_t                      block_size;
    ngx_array_t                *valid;         /* ngx_http_s3_cache_valid_t */
    ngx_uint_t                  freshness;     /* s3c_freshness_t */
    time_t                      stale_while_revalidate;
    time_t                      stale_if_error;
    ngx_flag_t                  client_no_cache;
    time_t                      list;          /* seconds that a page of a list
                                                  is kept; 0: none is */
    ngx_uint_t                  read_ahead;    /* blocks */
    ngx_flag_t                  headers;       /* X-Cache and Age */
    ngx_flag_t                  direct_send;
    ngx_uint_t                  verify;        /* of 2^32 answers from the
                                                  cache; 0: none */
    ngx_flag_t                  write_through; /* what is written is kept */
    time_t                      write_through_valid;  /* or FOREVER */
    off_t                       write_through_max;    /* of one object */
    ngx_uint_t                  auth;          /* ngx_http_s3_cache_auth_e */
    time_t                      auth_valid;    /* of origin */
    ngx_http_s3_cache_keyring_t  *keyring;     /* of auth keys */
    ngx_array_t                *auth_hosts;    /* s3c_slice_t */
    ngx_array_t                *auth_regions;  /* s3c_slice_t */
    time_t                      auth_skew;
    time_t                      auth_presigned_max;
    ngx_flag_t                  auth_v2;
    s3c_sigv4_rules_t           signing;       /* made of them */
    ngx_uint_t                  guarded;       /* asked by auth_guard.c */
    ngx_http_s3_cache_peers_t  *endpoint;      /* NULL: it is none */
    ngx_http_s3_cache_events_conf_t  *events;  /* NULL: it takes none */
    struct ngx_http_s3_cache_dashboard_s  *dashboard;  /* or NULL */
    void                       *profile;       /* see profile.h; or NULL */
    uint64_t                    location;      /* hash of what nodes must
                                                  agree about */
    s3c_fresh_rules_t           rules;         /* made of the above */
    u_char                     *file;          /* where its block begins */
    ngx_uint_t                  line;
} ngx_http_s3_cache_loc_conf_t;


/* One who waits for a fill to move. */
typedef struct ngx_http_s3_cache_watch_s  ngx_http_s3_cache_watch_t;

struct ngx_http_s3_cache_watch_s {
    ngx_queue_t                 queue;
    void                      (*wake)(ngx_http_s3_cache_watch_t *watch);
    void                       *data;
    ngx_http_s3_cache_zone_t   *zone;          /* while linked */
    unsigned                    linked:1;
};


typedef struct {
    ngx_chain_t                 chain;
    ngx_buf_t                   buf;
} ngx_http_s3_cache_span_t;


/* What the request names and wants. Large: see ngx_http_s3_cache_target(). */
typedef struct {
    s3c_s3_address_t            addr;
    s3c_s3_operation_t          op;
    s3c_ident_t                 ident;
} ngx_http_s3_cache_target_t;


/* Who wants an object, and what becomes of the answer. */
typedef struct {
    /* An event will run a later step: answers NGX_DONE. */
    ngx_int_t                 (*hold)(ngx_http_s3_cache_ctx_t *ctx);
    /* Runs a step from an event of ours and ends by what it answers. */
    void                      (*run)(ngx_http_s3_cache_ctx_t *ctx,
                                     ngx_int_t (*step)(
                                              ngx_http_s3_cache_ctx_t *ctx));
    /* Steps: ctx->view may be used; not from the cache; not at all. */
    ngx_int_t                 (*reply)(ngx_http_s3_cache_ctx_t *ctx);
    ngx_int_t                 (*pass)(ngx_http_s3_cache_ctx_t *ctx,
                                      const char *reason);
    ngx_int_t                 (*error)(ngx_http_s3_cache_ctx_t *ctx,
                                       s3c_s3_error_t error,
                                       const char *message);
} ngx_http_s3_cache_front_t;


struct ngx_http_s3_cache_ctx_s {
    const ngx_http_s3_cache_front_t  *front;
    ngx_http_request_t         *request;       /* of a client, or NULL */
    ngx_log_t                  *log;
    ngx_http_s3_cache_loc_conf_t  *conf;
    ngx_http_s3_cache_zone_t   *zone;
    ngx_http_s3_cache_target_t *target;        /* kept, or NULL */
    ngx_str_t                   uri;           /* encoded, with its query */
    ngx_str_t                   host;          /* that names the bucket */
    s3c_s3_error_t              err;           /* of enter(), or NONE */
    const char                 *message;
    ngx_http_s3_cache_auth_t   *auth;          /* NULL: not asked, or off */
    uint64_t                    identity;      /* the location's, as of now */

    s3c_hash128_t               object;
    s3c_ask_t                   ask;

    s3c_ram_pin_t               pin;           /* the object's entry */
    s3c_record_view_t           view;          /* of it, once opened */
    s3c_ram_pin_t               check;         /* a revalidation's entry */
    ngx_http_s3_cache_watch_t   watch;
    ngx_int_t                 (*resume)(ngx_http_s3_cache_ctx_t *ctx);

    s3c_reply_t                 reply;
    uint64_t                    pos;           /* next body byte to send */
    s3c_ram_pin_t               block_pin;     /* of the block being sent */
    uint64_t                    block;
    ngx_uint_t                  piece;         /* of it, or PIECE_NONE */
    ngx_uint_t                  skew;          /* the first is shorter by it */
    uint64_t                    ahead_to;      /* blocks below were asked for */
    ngx_http_s3_cache_ahead_t  *aheads;        /* conf->read_ahead of them, or
                                                  NULL */
    void                       *errand;        /* for its object, under way */
    ngx_http_s3_cache_span_t   *links;         /* of the window being sent */
    ngx_uint_t                  nlinks;

    ngx_http_s3_cache_pass_t   *pass;          /* a pass-through's state */
    ngx_http_s3_cache_write_t  *write;         /* that is a write */
    const char                 *bypass;        /* and why; a constant word */
    uint64_t                    begun_us;
    ngx_http_s3_cache_result_e  result;
    ngx_uint_t                  tier;          /* ngx_http_s3_cache_tier_e */
    ngx_uint_t                  restarts;
    uint32_t                    bucket;        /* of the stats */
    u_char                      request_id[NGX_HTTP_S3_CACHE_REQUEST_ID];

    unsigned                    waiting:1;     /* holds r->main->count */
    unsigned                    head:1;
    unsigned                    led:1;         /* this request began a fill */
    unsigned                    followed:1;    /* it joined another's */
    unsigned                    revalidated:1;
    unsigned                    stale:1;
    unsigned                    no_cache:1;    /* the client said so */
    unsigned                    checked:1;     /* strict: has been validated */
    unsigned                    sending:1;     /* the head has been sent */
    unsigned                    retried:1;     /* a block failed once */
    unsigned                    flash_off:1;   /* it failed this request */
    unsigned                    due:1;         /* it was being written when this
                                                  began: see fence.h */
    unsigned                    served:1;      /* to another node: it is not
                                                  asked of a third */
    unsigned                    kept:1;        /* only what is here will do */
    unsigned                    first:1;       /* served, as its first owner */
    unsigned                    elsewhere:1;   /* served: another may know */
    unsigned                    peered:1;      /* another node was asked */
    unsigned                    truth:1;       /* nothing older than this */
    unsigned                    page:1;        /* of a list: see list.h */
    unsigned                    counted:1;
    unsigned                    warm:1;        /* nobody has asked for it: see
                                                  warm.h */
};


extern ngx_module_t  ngx_http_s3_cache_module;


/* conf */
char *ngx_http_s3_cache_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_http_s3_cache_zone_t *ngx_http_s3_cache_conf_zone_find(
    ngx_http_s3_cache_main_conf_t *mcf, ngx_str_t *name);
char *ngx_http_s3_cache_conf_cache(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_s3_cache_conf_domain(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_s3_cache_conf_valid(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_s3_cache_conf_verify(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_s3_cache_conf_list(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_s3_cache_conf_write_through(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
/* How long an answer of this status is fresh from now on: the deadline. */
uint64_t ngx_http_s3_cache_conf_expires(ngx_http_s3_cache_loc_conf_t *lcf,
    ngx_uint_t status, uint64_t now_ms);

/* zone */
ngx_int_t ngx_http_s3_cache_zone_init(ngx_shm_zone_t *shm_zone, void *data);
uint32_t ngx_http_s3_cache_zone_slots(void);

/* worker */
ngx_int_t ngx_http_s3_cache_worker_init(ngx_cycle_t *cycle);
void ngx_http_s3_cache_worker_exit(ngx_cycle_t *cycle);
/* Wakes `watch` once, when this fill moves. S3C_EXISTS: it has already
 * ended, look again at once. */
s3c_status_t ngx_http_s3_cache_watch(ngx_http_s3_cache_zone_t *zone,
    const s3c_ram_pin_t *pin, ngx_http_s3_cache_watch_t *watch);
void ngx_http_s3_cache_unwatch(ngx_http_s3_cache_watch_t *watch);

/* Monotonic; begins high, so that what was before this boot has a time, too. */
#define ngx_http_s3_cache_now()                                               \
    ((1ull << 40) + (uint64_t) ngx_current_msec)
uint64_t ngx_http_s3_cache_usec(void);
/* The above is of the beginning of this turn of the event loop, so it is never
 * late; where it must not be early, this. */
#define ngx_http_s3_cache_now_exact()                                         \
    ((1ull << 40) + ngx_http_s3_cache_usec() / 1000)

/* store: after s3c_ssd_read(), put() or drop() of zone->ssd, in this turn of
 * the event loop; what they queued is sent at its end. NULL ssd: no-op. */
void ngx_http_s3_cache_store_kick(ngx_http_s3_cache_zone_t *zone);

/* conf_merge */
char *ngx_http_s3_cache_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);

/* request */
ngx_int_t ngx_http_s3_cache_handler(ngx_http_request_t *r);
/* The context of a request in this location, made if there is none; its err
 * says what is malformed. NULL on no memory. */
ngx_http_s3_cache_ctx_t *ngx_http_s3_cache_enter(ngx_http_request_t *r);
/* Step: it may do what it wants. */
ngx_int_t ngx_http_s3_cache_go(ngx_http_s3_cache_ctx_t *ctx);
/* What the request names, valid until the next request is handled; keep()
 * makes it valid as long as the request is. NULL on no memory. */
ngx_http_s3_cache_target_t *ngx_http_s3_cache_target(
    ngx_http_s3_cache_ctx_t *ctx);
ngx_int_t ngx_http_s3_cache_keep(ngx_http_s3_cache_ctx_t *ctx);
/* Its host has changed. NGX_DECLINED: ctx->err. */
ngx_int_t ngx_http_s3_cache_reparse(ngx_http_s3_cache_ctx_t *ctx);
/* All of its headers: how many, or HEADERS_MAX + 1. */
ngx_uint_t ngx_http_s3_cache_headers(ngx_http_request_t *r,
    s3c_http_header_t headers[NGX_HTTP_S3_CACHE_HEADERS_MAX]);
/* "path" or "path?query" */
void ngx_http_s3_cache_split(ngx_str_t *uri, s3c_slice_t *path,
    s3c_slice_t *query);
/* Gives the request its id. */
void ngx_http_s3_cache_name(ngx_http_s3_cache_ctx_t *ctx);
/* Leaves the handler while the request goes on: answers NGX_DONE. */
ngx_int_t ngx_http_s3_cache_hold(ngx_http_s3_cache_ctx_t *ctx);
/* An error of ours before anything of a body was read, or wanted. */
ngx_int_t ngx_http_s3_cache_refuse(ngx_http_s3_cache_ctx_t *ctx,
    s3c_s3_error_t err, const char *message);
/* Runs a step from an event of ours and finalizes by what it answers. */
void ngx_http_s3_cache_run(ngx_http_s3_cache_ctx_t *ctx,
    ngx_int_t (*step)(ngx_http_s3_cache_ctx_t *ctx));
/* What its headers say of the answer that it wants, into ctx->ask. */
ngx_int_t ngx_http_s3_cache_read_conditions(ngx_http_s3_cache_ctx_t *ctx);
/* Lets go of all pins and watches. */
void ngx_http_s3_cache_release(ngx_http_s3_cache_ctx_t *ctx);

/*
 * Steps. They answer what ngx_http_finalize_request() takes, or NGX_DONE when
 * the request is held and an event will run a later step.
 */

/* lookup */
ngx_int_t ngx_http_s3_cache_lookup(ngx_http_s3_cache_ctx_t *ctx);
/* Forgets what was found and looks again, a bounded number of times. */
ngx_int_t ngx_http_s3_cache_restart(ngx_http_s3_cache_ctx_t *ctx);
/* Only what was true after it came will do for this request. */
ngx_uint_t ngx_http_s3_cache_wants_truth(ngx_http_s3_cache_ctx_t *ctx);
/* A fill that the request needs ended without a result. */
ngx_int_t ngx_http_s3_cache_fill_ended(ngx_http_s3_cache_ctx_t *ctx,
    uint32_t reason);
/* Waits until the fill behind `pin` has moved on from what was `seen`, then
 * runs `resume`. EXISTS: it has already, look again at once. */
s3c_status_t ngx_http_s3_cache_wait(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin, const s3c_fill_view_t *seen,
    ngx_int_t (*resume)(ngx_http_s3_cache_ctx_t *));

/* reply */
ngx_int_t ngx_http_s3_cache_reply(ngx_http_s3_cache_ctx_t *ctx);
ngx_int_t ngx_http_s3_cache_send_error(ngx_http_s3_cache_ctx_t *ctx,
    s3c_s3_error_t error, const char *message);
/* Sets one response header where nginx wants it. copy: the bytes may go. */
ngx_int_t ngx_http_s3_cache_set_header(ngx_http_request_t *r,
    const s3c_http_header_t *h, ngx_uint_t copy);
ngx_int_t ngx_http_s3_cache_set_overrides(ngx_http_s3_cache_ctx_t *ctx);
ngx_int_t ngx_http_s3_cache_set_cache_headers(ngx_http_s3_cache_ctx_t *ctx);
ngx_str_t *ngx_http_s3_cache_result_name(ngx_http_s3_cache_result_e result);
void ngx_http_s3_cache_count(ngx_http_s3_cache_ctx_t *ctx);
/* Of it: where the answer came from and how long that took. */
void ngx_http_s3_cache_count_tier(ngx_http_s3_cache_ctx_t *ctx);

ngx_int_t ngx_http_s3_cache_send_head(ngx_http_s3_cache_ctx_t *ctx);

/* output */
ngx_uint_t ngx_http_s3_cache_drained(ngx_chain_t *chain);
ngx_int_t ngx_http_s3_cache_await_write(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_event_handler_pt handler);
ngx_int_t ngx_http_s3_cache_flush(ngx_http_s3_cache_ctx_t *ctx,
    ngx_chain_t *chain, ngx_http_event_handler_pt handler);

/* block: which entry holds the byte at ctx->pos: `off` in it, up to `end`.
 * DECLINED: there is no memory for it. */
ngx_int_t ngx_http_s3_cache_source(ngx_http_s3_cache_ctx_t *ctx,
    s3c_ram_pin_t **pin, uint64_t *off, uint64_t *end);

/* Its fill failed: may another one bring the block? The next source() asks. */
ngx_uint_t ngx_http_s3_cache_block_again(ngx_http_s3_cache_ctx_t *ctx,
    uint32_t reason);

/* Pins this block, which is on its way, for a reader that will come to it. */
void ngx_http_s3_cache_ahead_lend(ngx_http_s3_cache_ctx_t *ctx,
    uint64_t block, const s3c_ram_pin_t *pin);

/* send */
ngx_int_t ngx_http_s3_cache_send_body(ngx_http_s3_cache_ctx_t *ctx);
ngx_uint_t ngx_http_s3_cache_direct_can(ngx_http_s3_cache_ctx_t *ctx);
ngx_int_t ngx_http_s3_cache_direct_send(ngx_http_s3_cache_ctx_t *ctx);

/* fill: begins what leads an entry in S3C_FILL_ASKING; detached from any
 * request. NGX_ERROR: the entry has been failed. */
ngx_int_t ngx_http_s3_cache_fill_object(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin);
ngx_int_t ngx_http_s3_cache_fill_block(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin, uint64_t block);
ngx_int_t ngx_http_s3_cache_fill_check(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin);

/* pass: straight from the origin, kept by nobody. rest: the head has been
 * sent; go on at ctx->pos with the same version. */
ngx_int_t ngx_http_s3_cache_pass(ngx_http_s3_cache_ctx_t *ctx,
    const char *reason);
ngx_int_t ngx_http_s3_cache_pass_rest(ngx_http_s3_cache_ctx_t *ctx);
void ngx_http_s3_cache_pass_abort(ngx_http_s3_cache_ctx_t *ctx);

#define ngx_http_s3_cache_main_conf(ctx)                                      \
    ((ngx_http_s3_cache_main_conf_t *)                                        \
     ((ctx)->request                                                          \
      ? ngx_http_get_module_main_conf((ctx)->request,                         \
                                      ngx_http_s3_cache_module)               \
      : ngx_http_cycle_get_module_main_conf(ngx_cycle,                        \
                                            ngx_http_s3_cache_module)))

/* write: fenced, and passed with its body */
ngx_int_t ngx_http_s3_cache_write(ngx_http_s3_cache_ctx_t *ctx);

/* scrub: the worker joins and leaves a zone that is to be gone through */
void ngx_http_s3_cache_scrub_init(ngx_cycle_t *cycle,
    ngx_http_s3_cache_zone_t *zone);
void ngx_http_s3_cache_scrub_exit(ngx_http_s3_cache_zone_t *zone);

/* variables */
ngx_int_t ngx_http_s3_cache_add_variables(ngx_conf_t *cf);


/* Decimal: what ngx_sprintf() says of "%uL", in a fifth of the time. */

static ngx_inline u_char *
ngx_http_s3_cache_print(u_char *p, uint64_t n)
{
    size_t  len;
    u_char  buf[NGX_INT64_LEN], *digit;

    digit = buf + NGX_INT64_LEN;

    do {
        *--digit = (u_char) ('0' + n % 10);
        n /= 10;
    } while (n != 0);

    len = buf + NGX_INT64_LEN - digit;

    return ngx_cpymem(p, digit, len);
}


/* One header after the other of an nginx list of them; NULL at its end. */

typedef struct {
    ngx_list_part_t            *part;
    ngx_uint_t                  i;
} ngx_http_s3_cache_walk_t;


static ngx_inline void
ngx_http_s3_cache_walk(ngx_http_s3_cache_walk_t *walk, ngx_list_t *list)
{
    walk->part = &list->part;
    walk->i = 0;
}


static ngx_inline ngx_table_elt_t *
ngx_http_s3_cache_next(ngx_http_s3_cache_walk_t *walk)
{
    while (walk->i >= walk->part->nelts) {
        if (walk->part->next == NULL) {
            return NULL;
        }

        walk->part = walk->part->next;
        walk->i = 0;
    }

    return (ngx_table_elt_t *) walk->part->elts + walk->i++;
}


static ngx_inline s3c_slice_t
ngx_http_s3_cache_slice(ngx_str_t *s)
{
    return s3c_slice(s->data, s->len);
}


#endif /* NGX_HTTP_S3_CACHE_MODULE_H */
