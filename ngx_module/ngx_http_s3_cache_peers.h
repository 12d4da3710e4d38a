/* SPDX-License-Identifier: Apache-2.0
 *
 * The nodes that share a zone: s3_cache_peers. What the configuration says of
 * them; nothing here changes after it has been read.
 *
 *   peers_conf    the block
 *   peers_params  what its lines say
 *   peers_node    one of its nodes
 *   peers_self    which of the nodes this one is
 *   peers         when all is read: the ring, endpoints, warnings
 */

#ifndef NGX_HTTP_S3_CACHE_PEERS_H
#define NGX_HTTP_S3_CACHE_PEERS_H


#include "ngx_http_s3_cache_module.h"
#include "ngx_http_s3_cache_conf_block.h"
#include "cluster/hot.h"
#include "cluster/ring.h"


/* A place in a configuration file; line 0: nowhere. */
typedef struct {
    ngx_str_t                   file;
    ngx_uint_t                  line;
} ngx_http_s3_cache_place_t;


/* One node; in the order of the ring's members. */
typedef struct {
    ngx_str_t                   name;
    ngx_str_t                   rack;          /* its failure domain, or "" */
    ngx_uint_t                  weight;
    ngx_url_t                   url;           /* its first address counts */
} ngx_http_s3_cache_node_t;


struct ngx_http_s3_cache_peers_s {
    ngx_str_t                   name;          /* of the zone */
    ngx_http_s3_cache_zone_t   *zone;
    ngx_http_s3_cache_place_t   place;         /* of the block */
    ngx_http_s3_cache_place_t   endpoint;      /* of the first one, if any */

    ngx_array_t                 nodes;         /* ngx_http_s3_cache_node_t */
    ngx_http_s3_cache_place_t   member;        /* line 0: "node" it is */
    in_port_t                   member_port;   /* if it has no address */
    ngx_uint_t                  self;          /* which of them this one is */
    ngx_str_t                   self_name;     /* as configured, or "" */
    ngx_http_s3_cache_place_t   self_place;
    ngx_str_t                   secret;        /* "": mutual TLS does it */

    off_t                       stripe;        /* bytes of an object that lie
                                                  on one owner */
    ngx_msec_t                  connect_timeout;
    ngx_msec_t                  timeout;       /* without a byte */
    ngx_msec_t                  retry;         /* a node that failed is left
                                                  alone for so long */
    ngx_msec_t                  hedge;         /* of silence, then the next
                                                  owner is asked as well; 0:
                                                  it is not */
    ngx_msec_t                  handover;      /* so long a new owner asks the
                                                  former one before the origin */
    ngx_msec_t                  staleness;     /* what is kept is believed for so
                                                  long while a node cannot tell
                                                  this one of its writes */
    ngx_uint_t                  links;         /* to a node, of a worker; at
                                                  most */
    ngx_uint_t                  mirror_share;  /* of the zone, %; 0: off */
    ngx_msec_t                  mirror_time;   /* lifetime of a mirror */

    ngx_flag_t                  ssl_enable;
    ngx_str_t                   ssl_certificate;       /* this node's */
    ngx_str_t                   ssl_certificate_key;
    ngx_str_t                   ssl_trusted_certificate;
    ngx_ssl_t                  *ssl;           /* NULL: plain. A handshake
                                                  fails unless the chain is
                                                  right; the name is left */

    ngx_array_t                 locations;     /* loc_conf *, of this zone */
    struct ngx_http_s3_cache_view_s  *view;    /* of this worker */

    /* Members by Redis: `nodes` has this one alone, and its address may be a
     * port alone. NULL: the nodes above are all there ever are. */
    struct ngx_http_s3_cache_redis_s  *redis;
    ngx_shm_zone_t             *shm_zone;
    struct ngx_http_s3_cache_roster_sh_s  *shared;  /* of all workers */

    const s3c_ring_t           *ring;          /* NULL under nginx -t, -s */
    s3c_hot_rule_t              hot_rule;      /* for a ring of this digest */
    uint64_t                    hot_digest;
    uint8_t                     point_secret[S3C_HASH_SECRET_BYTES];
};


/* conf: "s3_cache_peers <zone> { ... }"; main context. */
char *ngx_http_s3_cache_peers_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
/* The peers of this zone, made if there are none yet; NULL on no memory. */
ngx_http_s3_cache_peers_t *ngx_http_s3_cache_peers_get(ngx_conf_t *cf,
    ngx_str_t *zone);
/* Logs `why` with the zone and a place; answers NGX_CONF_ERROR. */
char *ngx_http_s3_cache_peers_error(ngx_conf_t *cf,
    ngx_http_s3_cache_peers_t *peers, ngx_http_s3_cache_place_t *place,
    const char *why);

/* node: "node name address [weight=number] [zone=label]", of the block. */
char *ngx_http_s3_cache_peers_node(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* node: "member [address:]port [weight=number] [zone=label]", instead. */
char *ngx_http_s3_cache_peers_member(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* peers: "s3_cache_peer_endpoint <zone>"; location context. */
char *ngx_http_s3_cache_peers_endpoint(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
/* When all of the http block has been read and nothing is merged yet: is it
 * complete, who is self; the ring is built. */
char *ngx_http_s3_cache_peers_init(ngx_conf_t *cf,
    ngx_http_s3_cache_main_conf_t *mcf);
char *ngx_http_s3_cache_peers_merge(ngx_conf_t *cf,
    ngx_http_s3_cache_loc_conf_t *prev, ngx_http_s3_cache_loc_conf_t *conf);
/* A location of the zone, complete. */
ngx_int_t ngx_http_s3_cache_peers_location(
    ngx_http_s3_cache_loc_conf_t *conf);
/* Do blocks of this size fit into stripes? */
char *ngx_http_s3_cache_peers_check_block(ngx_conf_t *cf,
    ngx_http_s3_cache_zone_t *zone, size_t block_size);

/* node: 1 to max printable ASCII characters without spaces? */
ngx_uint_t ngx_http_s3_cache_peers_printable(ngx_str_t *s, size_t max);

/* self */
char *ngx_http_s3_cache_peers_find_self(ngx_conf_t *cf,
    ngx_http_s3_cache_peers_t *peers);

/* params */
extern const ngx_http_s3_cache_conf_block_t  ngx_http_s3_cache_peers_params;

/* peer_endpoint: the content handler; its peers are those of the location,
 * loc_conf->endpoint. */
ngx_int_t ngx_http_s3_cache_peer_handler(ngx_http_request_t *r);


#endif /* NGX_HTTP_S3_CACHE_PEERS_H */
