/* SPDX-License-Identifier: Apache-2.0
 *
 * Who the nodes are at the moment, in memory that all workers of this node
 * share and that lives on when nginx is reloaded: written by one of them, the
 * keeper, when membership comes from outside of the configuration.
 */

#ifndef NGX_HTTP_S3_CACHE_ROSTER_H
#define NGX_HTTP_S3_CACHE_ROSTER_H


#include "ngx_http_s3_cache_peers.h"
#include "cluster/holder.h"
#include "cluster/member.h"
#include "cluster/vouch.h"
#include "stats/stats_node.h"


#define NGX_HTTP_S3_CACHE_ROSTER_BYTES  (S3C_RING_MEMBERS_MAX                 \
                                         * S3C_MEMBER_LINE_MAX)


#define NGX_HTTP_S3_CACHE_TOLD          4096   /* power of two */


typedef struct {
    uint64_t                    epoch;
    size_t                      len;
    u_char                      text[NGX_HTTP_S3_CACHE_ROSTER_BYTES];
} ngx_http_s3_cache_roster_text_t;


/* Zeroed when it is made. Text and its length under the slab pool's mutex, and
 * so are rows of nodes found and made; the rest by atomics; what is hot is
 * mirror.c's. */
typedef struct ngx_http_s3_cache_roster_sh_s {
    ngx_atomic_t                version;       /* of the text; 0: none yet */
    ngx_atomic_t                epoch;         /* of that text */
    ngx_atomic_t                draining;      /* the operator's wish */
    ngx_atomic_t                published;     /* ngx_current_msec, then */
    /* By slot of the ring: when this node last learnt that an object there is
     * not what it was; as `published`, 32 bits. 0: never. */
    uint32_t                    truth[S3C_RING_SLOTS];
    ngx_msec_t                  born;          /* when this was made */
    ngx_atomic_t                generation;    /* of the newest cycle that has
                                                  a keeper */
    ngx_atomic_t                keeper;        /* pid of the worker that last
                                                  renewed the lease; 0: none */
    u_char                      id[S3C_MEMBER_ID_MAX];  /* of this run of
                                                  nginx, all its reloads; a
                                                  later run's is greater */
    ngx_http_s3_cache_roster_text_t  texts[2]; /* by version & 1 */
    s3c_hot_sh_t                hot;
    s3c_hot_budget_sh_t         budget;
    s3c_hot_due_sh_t            due;
    s3c_stats_nodes_sh_t        nodes;         /* what is counted of them */
    ngx_atomic_t                leased_until;  /* ngx_current_msec: others see
                                                  this node in Redis till then;
                                                  0: they never did */
    s3c_vouch_sh_t              vouch;
    s3c_holder_sh_t             holders;       /* by names of fences */

    /* when this node last learnt of a write, by name of its fence, and of a
       whole bucket: by ngx_http_s3_cache_now(), and not early */
    _Atomic uint64_t            told[NGX_HTTP_S3_CACHE_TOLD];
    _Atomic uint64_t            told_many;
} ngx_http_s3_cache_roster_sh_t;


/* conf: the shared memory of these peers. */
char *ngx_http_s3_cache_roster_add(ngx_conf_t *cf,
    ngx_http_s3_cache_peers_t *peers);

/* By the keeper: lines "name value\n" sorted by name, see cluster/member.h.
 * Does nothing if it is what is there, epoch and all. ERROR: too long. */
ngx_int_t ngx_http_s3_cache_roster_publish(ngx_http_s3_cache_peers_t *peers,
    uint64_t epoch, s3c_slice_t text);
/* A copy into `buf` of NGX_HTTP_S3_CACHE_ROSTER_BYTES; its length. */
size_t ngx_http_s3_cache_roster_read(ngx_http_s3_cache_peers_t *peers,
    u_char *buf, ngx_atomic_uint_t *version, uint64_t *epoch);

/* This node has not been here for longer than a handover. */
ngx_uint_t ngx_http_s3_cache_roster_fresh(ngx_http_s3_cache_peers_t *peers);

/* What this node has to say of itself now: JOINING until its zone serves,
 * LEAVING when it is drained. */
s3c_member_state_t ngx_http_s3_cache_roster_state(
    ngx_http_s3_cache_peers_t *peers);


#endif /* NGX_HTTP_S3_CACHE_ROSTER_H */
