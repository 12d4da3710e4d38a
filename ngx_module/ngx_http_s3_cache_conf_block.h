/* SPDX-License-Identifier: Apache-2.0
 *
 * A block of the configuration whose lines are parameters of one thing, as that
 * of s3_cache_peers; and what such blocks have in common: TLS of connections
 * that this node makes.
 */

#ifndef NGX_HTTP_S3_CACHE_CONF_BLOCK_H
#define NGX_HTTP_S3_CACHE_CONF_BLOCK_H


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    const char                 *name;          /* of the directive */
    ngx_command_t              *params;        /* NGX_CONF_TAKE1 is checked,
                                                  `conf` and `post` are their
                                                  own */
    const char                 *known;         /* their names, for people */
} ngx_http_s3_cache_conf_block_t;


/* The lines of `block` are read into `conf`. What is wrong is logged, but no
 * byte of a value that may be a secret. */
char *ngx_http_s3_cache_conf_block(ngx_conf_t *cf,
    const ngx_http_s3_cache_conf_block_t *block, void *conf);

/* What connections show of this node ("": nothing), and whom they trust ("":
 * the authorities of the system). Without `verify` a handshake does not fail
 * for the other's chain. Answers, if not CONF_OK, CONF_ERROR, which has been
 * logged, or what is wrong: a part of a sentence. */
char *ngx_http_s3_cache_conf_tls(ngx_conf_t *cf, ngx_str_t *certificate,
    ngx_str_t *key, ngx_str_t *trusted, ngx_uint_t verify, ngx_ssl_t **ssl);


#endif /* NGX_HTTP_S3_CACHE_CONF_BLOCK_H */
