/* SPDX-License-Identifier: Apache-2.0
 *
 * What a worker says to other nodes, and they to it.
 *
 *   peer_view*     which nodes there are, and which of them own a key
 *   peer_near      links to a node: chosen, given up
 *   peer_knock     a connection to a node on its way to be a link
 *   peer_ask       one question to a node, and its answer
 *   peer_fill      fills whose bytes come from a node
 *   peer_errand    from one node to the next
 *   peer_answer    what they say
 *   peer_endpoint  a connection of another node
 *   peer_serve*    a question of another node, and its answer
 *   peer_status    what is counted of other nodes, and shown of the ring
 */

#ifndef NGX_HTTP_S3_CACHE_PEER_H
#define NGX_HTTP_S3_CACHE_PEER_H


#include "ngx_http_s3_cache_peers.h"
#include "ngx_http_s3_cache_link.h"
#include "cluster/member.h"
#include "stats/stats_node.h"


#define NGX_HTTP_S3_CACHE_LINKS_MAX   16       /* to a node, of a worker */
#define NGX_HTTP_S3_CACHE_NEARS_MAX   (2 * S3C_RING_MEMBERS_MAX)

#define NGX_HTTP_S3_CACHE_PEER_URI    "/s3-cache-peer"
#define NGX_HTTP_S3_CACHE_PEER_HELLO  "X-S3-Cache-Hello"
#define NGX_HTTP_S3_CACHE_PEER_UPGRADE  "s3-cache-peer"


/* How a question to a node ended, beside the reasons of fills. */
#define NGX_HTTP_S3_CACHE_ASK_COMPLETE  0
#define NGX_HTTP_S3_CACHE_ASK_AWAY      0x100   /* no way to the node */
#define NGX_HTTP_S3_CACHE_ASK_LOST      0x101   /* its link was closed */


typedef struct ngx_http_s3_cache_ask_s   ngx_http_s3_cache_ask_t;
typedef struct ngx_http_s3_cache_near_s  ngx_http_s3_cache_near_t;
typedef struct ngx_http_s3_cache_knock_s  ngx_http_s3_cache_knock_t;


/* Another node, as this worker sees it; stays as long as the worker does. */
struct ngx_http_s3_cache_near_s {
    ngx_http_s3_cache_peers_t  *peers;
    ngx_str_t                   name;
    ngx_sockaddr_t              sockaddr;
    socklen_t                   socklen;
    ngx_str_t                   address;       /* as text */
    u_char                      text[S3C_RING_NAME_MAX + NGX_SOCKADDR_STRLEN];

    s3c_member_state_t          state;
    uint32_t                    weight;
    unsigned                    listed:1;      /* a member at the moment */
    unsigned                    stays:1;       /* of the ring that goes */
    unsigned                    left:1;        /* it was, until left_at */
    ngx_msec_t                  left_at;
    ngx_msec_t                  listed_since;  /* 0: from the beginning */
    s3c_stats_node_t            counts;        /* see near_counts() */
    struct ngx_http_s3_cache_word_s  *word;    /* see vouch.c; or NULL */

    ngx_http_s3_cache_link_t   *links[NGX_HTTP_S3_CACHE_LINKS_MAX];
    ngx_uint_t                  nlinks;
    ngx_http_s3_cache_knock_t  *knock;         /* one at a time, or NULL */
    ngx_queue_t                 waiting;       /* asks, for a link */
    ngx_msec_t                  rest_until;
    unsigned                    rests:1;
};


/* Lives as long as its user lets it, but not less than until on_end. */
struct ngx_http_s3_cache_ask_s {
    ngx_http_s3_cache_stream_t  stream;        /* first */
    ngx_queue_t                 queue;
    ngx_http_s3_cache_near_t   *near;          /* who is asked */
    unsigned                    waiting:1;     /* in `queue`, for a link */
    unsigned                    fed:1;         /* in `queue`, of link->data */
    unsigned                    sent:1;
    unsigned                    known:1;       /* all of META has come */
    uint32_t                    head_got;
    s3c_wire_meta_t             meta;          /* of the first part */
    u_char                     *head;          /* of the record, collected */
    unsigned                    hedge:1;       /* on_slow() may come */
    unsigned                    silent:1;      /* half of the time is over */
    uint64_t                    heard;         /* link->n_heard, then */
    ngx_msec_t                  until;         /* patience ends */
    uint64_t                    begun_us;
    uint64_t                    sent_ms;       /* by ngx_http_s3_cache_now() */
    ngx_event_t                 timer;
    /* ------------------------------------------------------------------ */
    s3c_wire_ask_t              ask;           /* its slices stay until then */
    ngx_pool_t                 *pool;          /* for the head; NULL: none is
                                                  wanted */
    ngx_msec_t                  patience;      /* with a node that lives */
    unsigned                    insists:1;     /* asks also one that is left
                                                  alone */
    unsigned                    probe:1;       /* is not counted, and leaves
                                                  nobody alone */
    void                       *data;
    /* ERROR: nobody wants the rest; on_end will not come. */
    ngx_int_t                 (*on_meta)(ngx_http_s3_cache_ask_t *ask,
                                         const s3c_wire_meta_t *meta,
                                         u_char *head);
    ngx_int_t                 (*on_data)(ngx_http_s3_cache_ask_t *ask,
                                         const u_char *data, size_t len);
    void                      (*on_idle)(ngx_http_s3_cache_ask_t *ask);
    void                      (*on_end)(ngx_http_s3_cache_ask_t *ask,
                                        ngx_uint_t code);
    /* Nothing has been heard of the node since `hedge`; once. NULL allowed. */
    void                      (*on_slow)(ngx_http_s3_cache_ask_t *ask);
};


/* view */

/* All known when the worker begins: the static nodes, or this one alone. */
ngx_int_t ngx_http_s3_cache_view_init_worker(ngx_cycle_t *cycle,
    ngx_http_s3_cache_main_conf_t *mcf);
void ngx_http_s3_cache_view_exit_worker(ngx_http_s3_cache_main_conf_t *mcf);
/* Who owns what lies at this point: the first owner first, NULL is this node.
 * Answers how many there are, S3C_RING_OWNERS at most; 0: nobody. */
ngx_uint_t ngx_http_s3_cache_view_owners(ngx_http_s3_cache_peers_t *peers,
    uint64_t point, ngx_http_s3_cache_near_t **owners);
/* What anybody had at this point before now is not to be believed. */
void ngx_http_s3_cache_view_truth(ngx_http_s3_cache_peers_t *peers,
    uint64_t point);
/* The ring has not changed for a handover, and may: what this node has of others'
 * is what it had when it owned it. */
ngx_uint_t ngx_http_s3_cache_view_settled(ngx_http_s3_cache_peers_t *peers);
/* It knows the ring; before it does, it owns nothing. */
ngx_uint_t ngx_http_s3_cache_view_ready(ngx_http_s3_cache_peers_t *peers);
/* This worker ends: nobody is to be asked any more. */
ngx_uint_t ngx_http_s3_cache_view_over(ngx_http_s3_cache_peers_t *peers);
/* Who owned it before this node did, not long ago; or NULL. */
ngx_http_s3_cache_near_t *ngx_http_s3_cache_view_former(
    ngx_http_s3_cache_peers_t *peers, uint64_t point);
/* Where the stripe lies that has this byte of an object; `identity`: its
 * location's, as configured, whatever `ident` was made with. */
uint64_t ngx_http_s3_cache_view_point(ngx_http_s3_cache_peers_t *peers,
    uint64_t identity, const s3c_ident_t *ident, uint64_t off);
/* The i-th node that is a member of the ring now, beside this one; NULL: no
 * more. Until the event loop goes on. */
ngx_http_s3_cache_near_t *ngx_http_s3_cache_view_member(
    ngx_http_s3_cache_peers_t *peers, ngx_uint_t *i);
/* The same, and those who were within the last `msec`. */
ngx_http_s3_cache_near_t *ngx_http_s3_cache_view_lately(
    ngx_http_s3_cache_peers_t *peers, ngx_msec_t msec, ngx_uint_t *i);
/* The ring that this worker goes by, and who its members are, NULL is this
 * node: until the event loop goes on. NULL: no worker. */
const s3c_ring_t *ngx_http_s3_cache_view_ring(ngx_http_s3_cache_peers_t *peers,
    ngx_http_s3_cache_near_t ***nears, uint64_t *epoch);


/* near */

/* A link now, or ask_up() or ask_away() later, from the event loop. DECLINED:
 * neither, it is left alone. */
ngx_int_t ngx_http_s3_cache_near_ask(ngx_http_s3_cache_near_t *near,
    ngx_http_s3_cache_ask_t *ask);
/* It is left alone for a while. */
void ngx_http_s3_cache_near_rest(ngx_http_s3_cache_near_t *near);
/* Out of a handshake; `rest`: what came behind it. */
void ngx_http_s3_cache_near_up(ngx_http_s3_cache_near_t *near,
    ngx_connection_t *c, s3c_wire_hello_t *hello, u_char *rest, size_t len);
void ngx_http_s3_cache_near_down(ngx_http_s3_cache_near_t *near,
    const char *why);
void ngx_http_s3_cache_near_closed(ngx_http_s3_cache_link_t *link,
    const char *why);
/* All links are closed. */
void ngx_http_s3_cache_near_close(ngx_http_s3_cache_near_t *near);
/* With its pool. */
void ngx_http_s3_cache_near_close_connection(ngx_connection_t *c);


/* knock: ends in near_up() or near_down() from the event loop, unless it
 * answers ERROR: then near_down() has been called. */
ngx_int_t ngx_http_s3_cache_knock(ngx_http_s3_cache_near_t *near);
void ngx_http_s3_cache_knock_end(ngx_http_s3_cache_knock_t *k,
    const char *why);


/* ask */

/* Callbacks come from the event loop, never from here. DECLINED: this node is
 * left alone for the time being. */
ngx_int_t ngx_http_s3_cache_ask_start(ngx_http_s3_cache_ask_t *ask,
    ngx_http_s3_cache_near_t *near);
/* No callback comes any more. */
void ngx_http_s3_cache_ask_cancel(ngx_http_s3_cache_ask_t *ask);
void ngx_http_s3_cache_ask_wait(ngx_http_s3_cache_ask_t *ask);
void ngx_http_s3_cache_ask_up(ngx_http_s3_cache_ask_t *ask,
    ngx_http_s3_cache_link_t *link);
void ngx_http_s3_cache_ask_away(ngx_http_s3_cache_ask_t *ask);
extern const ngx_http_s3_cache_link_role_t  ngx_http_s3_cache_asker;

#define NGX_HTTP_S3_CACHE_CANCELS_MAX  64      /* of a link, to be sent */

/* link->data of the asking end */
typedef struct {
    ngx_http_s3_cache_near_t   *near;
    uint32_t                    stream;        /* the last one */
    ngx_uint_t                  ncancels;
    uint32_t                    cancels[NGX_HTTP_S3_CACHE_CANCELS_MAX];
    ngx_queue_t                 fed;           /* asks that got bytes since
                                                  the last idle() */
} ngx_http_s3_cache_near_link_t;


/* link->data of the answering end; in the pool of its request */
typedef struct {
    ngx_http_request_t         *request;
    ngx_http_s3_cache_peers_t  *peers;
    ngx_http_s3_cache_link_t   *link;          /* NULL: it is gone */
    ngx_str_t                   node;          /* who that is */
    uint32_t                    stream;        /* the last one */
    s3c_stats_node_t            counts;
    unsigned                    ending:1;
} ngx_http_s3_cache_peer_conn_t;

extern const ngx_http_s3_cache_link_role_t  ngx_http_s3_cache_answerer;
void ngx_http_s3_cache_serve_exit(void);
/* The question waits for a fill that is one itself: has it done so for long
 * enough? If not, it is woken when it has. */
ngx_uint_t ngx_http_s3_cache_serve_late(ngx_http_s3_cache_ctx_t *ctx);

/* endpoint */
void ngx_http_s3_cache_peer_closed(ngx_http_s3_cache_link_t *link,
    const char *why);


/* status */

/* What is counted of a node: `counts`, made valid if it is not. */
const s3c_stats_node_t *ngx_http_s3_cache_node_counts(
    ngx_http_s3_cache_peers_t *peers, ngx_str_t *name,
    s3c_stats_node_t *counts);
/* The number of links has changed. */
void ngx_http_s3_cache_near_counts_links(ngx_http_s3_cache_near_t *near);
/* This worker begins: it has no links. */
void ngx_http_s3_cache_counts_init_worker(ngx_http_s3_cache_main_conf_t *mcf);
/* For the status endpoint; what it points at is the pool's. */
void ngx_http_s3_cache_peer_status(ngx_pool_t *pool,
    ngx_http_s3_cache_zone_t *zone, s3c_stats_zone_t *out);
/* The first owner of what lies at this point; len 0: nobody. */
ngx_str_t *ngx_http_s3_cache_peer_owner(ngx_http_s3_cache_peers_t *peers,
    uint64_t point);


static ngx_inline const s3c_stats_node_t *
ngx_http_s3_cache_near_counts(ngx_http_s3_cache_near_t *near)
{
    return s3c_stats_node_valid(&near->counts)
           ? &near->counts
           : ngx_http_s3_cache_node_counts(near->peers, &near->name,
                                           &near->counts);
}


/* The location whose settings have this number, or NULL. */
ngx_http_s3_cache_loc_conf_t *ngx_http_s3_cache_peer_location(
    ngx_http_s3_cache_peers_t *peers, uint64_t number);

/* fill: begins what leads an entry, as those of fill_object.c do. DECLINED: it
 * is this node's own. */
ngx_int_t ngx_http_s3_cache_peer_object(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin);
ngx_int_t ngx_http_s3_cache_peer_block(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin, uint64_t block);
/* The request does not wait for its errand any more. */
void ngx_http_s3_cache_errand_leave(ngx_http_s3_cache_ctx_t *ctx);
/* The origin is asked, or has said, what this object is now: nobody who owned it
 * before is to be heard on it. */
void ngx_http_s3_cache_peer_truth(ngx_http_s3_cache_ctx_t *ctx);
/* Another node owns what this request asks for. */
ngx_uint_t ngx_http_s3_cache_peer_foreign(ngx_http_s3_cache_ctx_t *ctx);
/* The same, of the node that owned it before this one does. */
ngx_int_t ngx_http_s3_cache_former_object(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin);
ngx_int_t ngx_http_s3_cache_former_block(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin, uint64_t block);


static ngx_inline ngx_str_t *
ngx_http_s3_cache_peer_self(ngx_http_s3_cache_peers_t *peers)
{
    return &((ngx_http_s3_cache_node_t *) peers->nodes.elts)[peers->self].name;
}


#endif /* NGX_HTTP_S3_CACHE_PEER_H */
