/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker's view of the nodes, shared by the files that make it:
 *
 *   peer_view         begin and end; what others look at
 *   peer_view_roster  which nodes there are
 *   peer_view_ring    which of them own a key
 *
 * How a ring comes and goes:
 *
 *   poll      a newer roster? -> read
 *   read      its members are known by name; same owners: done, else build
 *   build     (the ring of the others, if this is the first roster) the ring
 *   swap      what this node owns now, and who owned that before
 */

#ifndef NGX_HTTP_S3_CACHE_PEER_VIEW_INTERNAL_H
#define NGX_HTTP_S3_CACHE_PEER_VIEW_INTERNAL_H


#include "ngx_http_s3_cache_peer.h"
#include "ngx_http_s3_cache_roster.h"


#define NGX_HTTP_S3_CACHE_VIEW_NOBODY  UINT16_MAX


/* A ring, and who its members are. */
typedef struct {
    s3c_ring_t                 *ring;
    ngx_http_s3_cache_near_t  **nears;         /* by member; NULL: this node */
} view_ring_t;


typedef struct ngx_http_s3_cache_view_s {
    ngx_http_s3_cache_peers_t  *peers;

    ngx_http_s3_cache_near_t  **nears;         /* all that are known */
    ngx_uint_t                  nnears;

    view_ring_t                 now;
    unsigned                    configured:1;  /* it is that of the conf */
    unsigned                    over:1;        /* the worker ends */
    uint64_t                    inputs;        /* hash of what made it */
    ngx_atomic_uint_t           version;       /* of the roster seen last */
    unsigned                    read:1;        /* there was one */
    uint64_t                    epoch;

    /* by slot of the ring: the number of a near, or VIEW_NOBODY */
    uint16_t                   *former;        /* NULL: never was one */
    uint32_t                    since;         /* when the ring changed last */
    ngx_msec_t                  former_until;
    unsigned                    formers:1;     /* it is not over */

    /* under way */
    view_ring_t                 next;
    view_ring_t                 others;        /* without this node */
    s3c_ring_builder_t         *builder;
    s3c_ring_member_t          *members;       /* of what is built */
    ngx_uint_t                  nmembers;
    u_char                     *text;
    uint64_t                    next_inputs;
    uint64_t                    next_epoch;
    ngx_event_t                 step;
    ngx_event_t                 poll;
} view_t;


/* view */

/* Has anything been learnt there since? */
ngx_uint_t ngx_http_s3_cache_view_learnt(view_t *v, ngx_uint_t slot,
    uint32_t since);

/* view_roster */

/* The node of this name, known from now on; NULL: no memory, or too many. */
ngx_http_s3_cache_near_t *ngx_http_s3_cache_view_near(view_t *v,
    s3c_slice_t name, const struct sockaddr *sockaddr, socklen_t socklen);
/* A timer, every now and then. */
void ngx_http_s3_cache_view_poll(ngx_event_t *ev);

/* view_ring */

/* Of v->members, a step in each turn of the event loop. `to`: v->next, which
 * takes the place of v->now when it is complete, or v->others before it. */
ngx_int_t ngx_http_s3_cache_view_build(view_t *v, view_ring_t *to);
void ngx_http_s3_cache_view_step(ngx_event_t *ev);
/* What was needed to build is given back. */
void ngx_http_s3_cache_view_done(view_t *v);
void ngx_http_s3_cache_view_ring_free(view_ring_t *r);


#endif /* NGX_HTTP_S3_CACHE_PEER_VIEW_INTERNAL_H */
