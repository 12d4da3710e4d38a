/* SPDX-License-Identifier: Apache-2.0
 *
 * The flash tier's glue: what a configuration says of a store (_store_conf)
 * and may know of its file (_store_check), that file in the master (_store),
 * and a worker's queue of file I/O with the tier's clockwork (_ring,
 * _store_env). What a request needs of it is in the module's own header.
 */

#ifndef NGX_HTTP_S3_CACHE_STORE_H
#define NGX_HTTP_S3_CACHE_STORE_H


#include "ngx_http_s3_cache_module.h"

#include <sys/stat.h>


typedef enum {
    NGX_HTTP_S3_CACHE_IO_AUTO = 0,
    NGX_HTTP_S3_CACHE_IO_URING,
    NGX_HTTP_S3_CACHE_IO_THREADS
} ngx_http_s3_cache_io_e;


typedef struct {
    ngx_str_t      path;           /* absolute */
    ngx_str_t      zone;           /* empty: the only one */
    off_t          size;           /* as it was given */
    off_t          bytes;          /* of it that are used */
    off_t          segment;
    off_t          budget;         /* bytes a second; 0: no limit */
    off_t          objects;
    ngx_msec_t     timeout;
    ngx_uint_t     take;           /* whatever is in the file */

    u_char        *conf_file;      /* where the directive stands */
    ngx_uint_t     conf_line;

    /* as found by the configuration, and again when it was opened */
    ngx_uint_t     exists;
    dev_t          dev;            /* of the file, or of its folder */
    ino_t          ino;
    dev_t          rdev;           /* of a block device; else 0 */
    off_t          lacks;          /* bytes that its file system must give */
    ngx_uint_t     dead;           /* could not be read: not used */
} ngx_http_s3_cache_store_t;


/* store_conf */
char *ngx_http_s3_cache_store_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
/* Gives every store to its zone, which may be defined below it. */
char *ngx_http_s3_cache_store_init_conf(ngx_conf_t *cf,
    ngx_http_s3_cache_main_conf_t *mcf);
/* Blocks that no segment takes would never be kept: a warning. */
void ngx_http_s3_cache_store_check_block(ngx_conf_t *cf,
    ngx_http_s3_cache_zone_t *zone, size_t block_size);

/* store_check: is there such a file, is it ours, is there room, and is it none
 * of the others? */
char *ngx_http_s3_cache_store_check(ngx_conf_t *cf,
    ngx_http_s3_cache_store_t *store, ngx_array_t *stores);

/* store: in the master, before any fork */
/* Opens and preallocates the stores of a zone; answers the secret under which
 * their keys were made, a new one if none has any. */
ngx_int_t ngx_http_s3_cache_store_open(ngx_http_s3_cache_zone_t *zone,
    ngx_http_s3_cache_shared_t *sh, uint8_t secret[S3C_HASH_SECRET_BYTES],
    ngx_log_t *log);
/* What lost drops that nobody has mended yet is not there after a restart. */
void ngx_http_s3_cache_store_settle(ngx_http_s3_cache_shared_t *sh,
    ngx_log_t *log);
/* The last of them lets go of the files' locks. */
void ngx_http_s3_cache_store_close(ngx_http_s3_cache_shared_t *sh);
/* Are these the very stores of the other one? */
ngx_uint_t ngx_http_s3_cache_store_same(ngx_http_s3_cache_zone_t *zone,
    ngx_http_s3_cache_zone_t *old);
/* What the first bytes of a store are; see s3c_ssd_super_decode(). IO with
 * errno. `fd` may be one for direct I/O. */
ngx_uint_t ngx_http_s3_cache_store_is_dead(ngx_err_t err);
s3c_status_t ngx_http_s3_cache_store_read_super(int fd,
    s3c_ssd_super_t *super);

/* store_env: all but the queue of I/O */
void ngx_http_s3_cache_store_env(ngx_http_s3_cache_zone_t *zone,
    s3c_ssd_env_t *env);

/* ring: in a worker */
ngx_int_t ngx_http_s3_cache_ring_init(ngx_cycle_t *cycle);
void ngx_http_s3_cache_ring_exit(ngx_cycle_t *cycle);
/* For the status endpoint: the flash part of a zone. */
void ngx_http_s3_cache_ring_view(ngx_pool_t *pool,
    ngx_http_s3_cache_zone_t *zone, s3c_stats_zone_t *view);


#endif /* NGX_HTTP_S3_CACHE_STORE_H */
