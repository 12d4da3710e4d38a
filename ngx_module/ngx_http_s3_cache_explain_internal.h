/* SPDX-License-Identifier: Apache-2.0
 *
 * What is found out about an object; in the pool of the request.
 *
 *   explain_args   which object
 *   explain        who has it
 *   explain_look   what this node has
 *   explain_ask    what another node has
 *   explain_print  the answer
 */

#ifndef NGX_HTTP_S3_CACHE_EXPLAIN_INTERNAL_H
#define NGX_HTTP_S3_CACHE_EXPLAIN_INTERNAL_H


#include "ngx_http_s3_cache_peer.h"


/* origins of one zone that are looked at, and nodes of each */
#define NGX_HTTP_S3_CACHE_EXPLAIN_OBJECTS  16
#define NGX_HTTP_S3_CACHE_EXPLAIN_NODES    (1 + 2 * (S3C_RING_OWNERS + 1))


typedef struct explain_s         explain_t;
typedef struct explain_object_s  explain_object_t;


typedef struct {
    ngx_http_s3_cache_near_t   *nears[S3C_RING_OWNERS];  /* NULL: this node */
    ngx_uint_t                  n;
    ngx_http_s3_cache_near_t   *former;        /* NULL: there is none */
} explain_owners_t;


/* What one node has of an object. */
typedef struct {
    ngx_http_s3_cache_ask_t     ask;
    explain_object_t           *object;
    ngx_http_s3_cache_near_t   *near;          /* NULL: this node */
    const char                 *tier;          /* constant words, or NULL */
    const char                 *block;
    const char                 *error;
    unsigned                    active:1;
    unsigned                    again:1;
    unsigned                    filling:1;
    unsigned                    known:1;       /* the following is: */
    unsigned                    status;
    uint64_t                    size;
    uint64_t                    age_ms;
    uint64_t                    left_ms;
    s3c_slice_t                 etag;
} explain_node_t;


struct explain_object_s {
    explain_t                  *explain;
    ngx_http_s3_cache_loc_conf_t  *conf;
    s3c_ident_t                 ident;
    s3c_hash128_t               key;
    explain_owners_t            record;
    explain_owners_t            stripe;        /* the same for stripe 0 */
    explain_node_t              nodes[NGX_HTTP_S3_CACHE_EXPLAIN_NODES];
    ngx_uint_t                  nnodes;
    ngx_uint_t                  pending;
    unsigned                    blocks:1;      /* they are what is asked for */

    unsigned                    known:1;       /* of some node: */
    uint64_t                    generation;
    uint64_t                    total;
    int64_t                     last_modified;
    s3c_slice_t                 etag;
};


struct explain_s {
    ngx_http_request_t         *request;
    ngx_http_s3_cache_zone_t   *zone;
    s3c_s3_address_t            addr;
    s3c_slice_t                 version_id;
    uint64_t                    offset;
    unsigned                    with_offset:1;
    unsigned                    starting:1;
    ngx_uint_t                  pending;
    explain_object_t           *objects[NGX_HTTP_S3_CACHE_EXPLAIN_OBJECTS];
    ngx_uint_t                  nobjects;
};


/* Of the request into `e`. NULL, or what is wrong with them: a constant
 * sentence. */
const char *ngx_http_s3_cache_explain_arguments(explain_t *e,
    ngx_str_t *path);

/* explain: nothing more comes of this node for now. */
void ngx_http_s3_cache_explain_over(explain_node_t *n);

/* look */

/* Into this node's own tiers. */
void ngx_http_s3_cache_explain_look(explain_node_t *n);
/* The same for the block: where it is, or NULL. */
const char *ngx_http_s3_cache_explain_look_block(explain_object_t *o);
/* That the node has this record, whose bytes may go then. */
void ngx_http_s3_cache_explain_learn(explain_node_t *n,
    const s3c_record_view_t *view, uint64_t age_ms, uint64_t left_ms);

/* ask: for its record, or, with o->blocks, for its block. Ends by over(),
 * unless n->error is set at once. */
void ngx_http_s3_cache_explain_ask(explain_node_t *n);

/* As JSON, of so many bytes at most. */
size_t ngx_http_s3_cache_explain_bytes(const explain_t *e);
void ngx_http_s3_cache_explain_print(s3c_writer_t *w, explain_t *e);


#endif /* NGX_HTTP_S3_CACHE_EXPLAIN_INTERNAL_H */
