/* SPDX-License-Identifier: Apache-2.0
 *
 * Membership by Redis: s3_cache_redis. Each node holds a lease there; one of
 * its workers, the keeper, renews it and publishes who else holds one to the
 * other workers, see ngx_http_s3_cache_roster.h. No request waits for it.
 *
 *   redis_conf    the block; redis_params: what its lines say
 *   redis_conn    a connection that asks one command after the other;
 *                 redis_handshake: TLS on it
 *   redis_find    which server to ask: the next one, or the one that a
 *                 Sentinel or a Redis Cluster names; and to log in there
 *   redis_script  the one command, and how its answer is read
 *   redis_keeper  the beat: when to ask, what to say, when to leave;
 *                 redis_keeper_heard: what an answer means, what is published
 */

#ifndef NGX_HTTP_S3_CACHE_REDIS_H
#define NGX_HTTP_S3_CACHE_REDIS_H


#include "ngx_http_s3_cache_peers.h"


typedef struct {
    struct sockaddr            *sockaddr;
    socklen_t                   socklen;
    ngx_str_t                   name;          /* for logs: address and port */
    ngx_str_t                   host;          /* as configured; NUL behind */
} ngx_http_s3_cache_redis_server_t;


typedef struct ngx_http_s3_cache_redis_s {
    ngx_str_t                   name;          /* of the zone */
    ngx_http_s3_cache_place_t   place;         /* of the block */
    ngx_http_s3_cache_peers_t  *peers;

    ngx_array_t                 servers;       /* ..redis_server_t */
    ngx_array_t                 sentinels;     /* ..redis_server_t; none: the
                                                  servers are asked */
    ngx_str_t                   master;        /* its name at the sentinels */
    ngx_str_t                   username;
    ngx_str_t                   password;
    ngx_str_t                   sentinel_password;
    ngx_str_t                   prefix;
    ngx_uint_t                  database;
    ngx_msec_t                  lease;
    ngx_msec_t                  connect_timeout;
    ngx_msec_t                  timeout;       /* of an answer */

    ngx_flag_t                  ssl_enable;
    ngx_flag_t                  ssl_verify;
    ngx_str_t                   ssl_name;
    ngx_str_t                   ssl_certificate;
    ngx_str_t                   ssl_certificate_key;
    ngx_str_t                   ssl_trusted_certificate;
    ngx_ssl_t                  *ssl;           /* NULL: plain */

    ngx_str_t                   keys[3];       /* leases, members, epoch */
    ngx_atomic_uint_t           generation;    /* of the cycle; see roster */
} ngx_http_s3_cache_redis_t;


/* conf: "s3_cache_redis <zone> { ... }"; main context. */
char *ngx_http_s3_cache_redis_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
/* Of this zone, or NULL. */
ngx_http_s3_cache_redis_t *ngx_http_s3_cache_redis_find_conf(
    ngx_http_s3_cache_main_conf_t *mcf, ngx_str_t *zone);
/* When all peers are complete: does each block belong to one? */
char *ngx_http_s3_cache_redis_init(ngx_conf_t *cf,
    ngx_http_s3_cache_main_conf_t *mcf);

/* params */
extern const ngx_http_s3_cache_conf_block_t  ngx_http_s3_cache_redis_params;

/* keeper: in the master, when a cycle is complete, before it has workers. */
ngx_int_t ngx_http_s3_cache_redis_init_module(ngx_cycle_t *cycle);
ngx_int_t ngx_http_s3_cache_redis_init_worker(ngx_cycle_t *cycle,
    ngx_http_s3_cache_main_conf_t *mcf);
void ngx_http_s3_cache_redis_exit_worker(void);


#endif /* NGX_HTTP_S3_CACHE_REDIS_H */
