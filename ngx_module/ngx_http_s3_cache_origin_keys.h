/* SPDX-License-Identifier: Apache-2.0
 *
 * Sources of keys for the origin that give others in the course of time: a
 * file, a metadata service, an STS. One worker of all asks (the keeper); what
 * it got lies in shared memory, from which all workers sign.
 *
 *   origin_credentials  directive -> keys, or a source
 *   origin_keys_conf    parameters -> a source, who shares it
 *   origin_keys_env     parameters and environment -> what a service is asked
 *   origin_keys         shared memory, the keeper, what others may ask
 *   origin_keys_file    files that are read again
 *   origin_keys_fetch   questions to a service
 *   origin_keys_view    metrics
 *
 * READERS  any worker: keys_get(). It has a copy of its own, and takes a new
 *          one under the lock when the version has moved: never half of one.
 * WRITERS  the keeper, and the master when a configuration comes into force:
 *          they write the half that is not in use, then move the version,
 *          then wipe the other half.
 * CRASH    Both locks survive their owner. Who dies while it writes leaves the
 *          half in use as it was; the next one writes over the other.
 */

#ifndef NGX_HTTP_S3_CACHE_ORIGIN_KEYS_H
#define NGX_HTTP_S3_CACHE_ORIGIN_KEYS_H


#include <stdatomic.h>

#include "ngx_http_s3_cache_module.h"
#include "auth/origin_keys.h"
#include "base/robust_lock.h"


#define NGX_HTTP_S3_CACHE_ORIGIN_KEYS_FILE_MAX  65536   /* bytes of any */


typedef enum {
    NGX_HTTP_S3_CACHE_ORIGIN_KEYS_FILE = 0,
    NGX_HTTP_S3_CACHE_ORIGIN_KEYS_CONTAINER,
    NGX_HTTP_S3_CACHE_ORIGIN_KEYS_INSTANCE,
    NGX_HTTP_S3_CACHE_ORIGIN_KEYS_WEB_IDENTITY
} ngx_http_s3_cache_origin_keys_kind_e;


typedef struct {
    s3c_robust_lock_sh_t         keeper;        /* held by it as long as it is
                                                   the keeper */
    s3c_robust_lock_sh_t         lock;          /* guards the halves */
    _Atomic uint64_t             version;       /* which is in use: by its last
                                                   bit; 0: none yet */
    _Atomic uint64_t             generation;    /* of configurations */
    _Atomic uint64_t             refused;       /* version; 0: none */
    _Atomic uint64_t             refreshed;
    _Atomic uint64_t             failed;
    s3c_origin_keys_t            half[2];
} ngx_http_s3_cache_origin_keys_sh_t;


/* What one can tell that a file has changed by. */
typedef struct {
    dev_t                        dev;
    ino_t                        ino;
    off_t                        size;
    struct timespec              mtime;
    struct timespec              ctime;
} ngx_http_s3_cache_origin_keys_mark_t;


/* One for each that is named, however many locations name it. */
struct ngx_http_s3_cache_origin_keys_s {
    ngx_http_s3_cache_origin_keys_kind_e  kind;
    ngx_str_t                    name;          /* what it is, for the cache's
                                                   identity, logs, metrics */
    ngx_str_t                    conf_file;     /* where it was configured */
    ngx_uint_t                   conf_line;

    ngx_str_t                    path;          /* of a file, NUL-terminated;
                                                   or of the question */
    ngx_str_t                    profile;
    s3c_origin_keys_t           *read;          /* by the master, until it is
                                                   in force */

    ngx_str_t                    url;           /* "http[s]://host[:port]" */
    ngx_str_t                    query;
    ngx_str_t                    authorization;
    ngx_str_t                    token_file;    /* NUL-terminated */
    ngx_str_t                    role;          /* its name, or ARN */
    ngx_str_t                    session_name;
    ngx_http_s3_cache_origin_conf_t  origin_conf;
    ngx_http_s3_cache_origin_t  *origin;        /* of the questions */
    unsigned                     amazon:1;      /* nobody named the service */

    ngx_array_t                  zones;         /* that sign by it */
    ngx_shm_zone_t              *shm_zone;
    ngx_http_s3_cache_origin_keys_sh_t *sh;
    uint64_t                     generation;

    /* of this worker */
    s3c_origin_keys_t            now;
    uint64_t                     version;       /* of it; 0: none */
    ngx_event_t                  look;
    ngx_msec_t                   next;          /* question is due */
    ngx_msec_t                   early;         /* when it last was because of
                                                   refused keys */
    ngx_uint_t                   nfailed;       /* since one was answered */
    void                        *fetch;         /* under way, or NULL */
    ngx_http_s3_cache_origin_keys_mark_t  mark; /* of the file, when read */
    unsigned                     marked:1;
    unsigned                     settled:1;     /* a later change shows */
    unsigned                     keeper:1;
};


/* origin_keys */

ngx_int_t ngx_http_s3_cache_origin_keys_add(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_keys_t *keys);
/* The configuration is in force from here on. */
ngx_int_t ngx_http_s3_cache_origin_keys_init_module(ngx_cycle_t *cycle);
void ngx_http_s3_cache_origin_keys_init_worker(ngx_cycle_t *cycle);
void ngx_http_s3_cache_origin_keys_exit_worker(ngx_cycle_t *cycle);
/* To sign with, until the next call of it. NULL: there are none, and *why. */
const s3c_origin_keys_t *ngx_http_s3_cache_origin_keys_get(
    ngx_http_s3_cache_origin_keys_t *keys, const char **why);
/* Are there none, and has no question failed yet? */
ngx_uint_t ngx_http_s3_cache_origin_keys_awaited(
    ngx_http_s3_cache_origin_keys_t *keys);
/* The origin said that it does not know them: the keeper asks early. NULL is
 * no source. */
void ngx_http_s3_cache_origin_keys_refused(
    ngx_http_s3_cache_origin_keys_t *keys);
/* Of the keeper: what it has got is in force from here on; and when not. */
void ngx_http_s3_cache_origin_keys_publish(
    ngx_http_s3_cache_origin_keys_t *keys, const s3c_origin_keys_t *now);
void ngx_http_s3_cache_origin_keys_failed(
    ngx_http_s3_cache_origin_keys_t *keys, const char *why, ngx_err_t err,
    ngx_uint_t status);

/* origin_keys_conf */

typedef struct {
    ngx_str_t                    endpoint;
    ngx_str_t                    role;
    ngx_str_t                    role_arn;
    ngx_str_t                    token_file;
    ngx_str_t                    session_name;
} ngx_http_s3_cache_origin_keys_params_t;

/* "container", "instance", "web_identity": *keys is the source. */
char *ngx_http_s3_cache_origin_keys_conf(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_keys_t **keys);
char *ngx_http_s3_cache_origin_keys_conf_file(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *profile, const s3c_origin_keys_t *read,
    ngx_http_s3_cache_origin_keys_t **keys);
/* When all of a location is known, by which it asks if it is the first. */
char *ngx_http_s3_cache_origin_keys_merge(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_conf_t *conf);
ngx_int_t ngx_http_s3_cache_origin_keys_zone(
    ngx_http_s3_cache_origin_keys_t *keys, ngx_http_s3_cache_zone_t *zone);
/* A new one, and the one that it is then: there may be its like already. */
ngx_http_s3_cache_origin_keys_t *ngx_http_s3_cache_origin_keys_create(
    ngx_conf_t *cf, ngx_http_s3_cache_origin_keys_kind_e kind,
    ngx_str_t *name);
char *ngx_http_s3_cache_origin_keys_register(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_keys_t **keys);

/* origin_keys_env: one each. */
char *ngx_http_s3_cache_origin_keys_container(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_keys_t **keys);
char *ngx_http_s3_cache_origin_keys_instance(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_keys_params_t *params,
    ngx_http_s3_cache_origin_keys_t **keys);
char *ngx_http_s3_cache_origin_keys_web_identity(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_keys_params_t *params,
    ngx_http_s3_cache_origin_keys_t **keys);

/* origin_keys_file */

/* All of a small file, for the caller to wipe and ngx_free(); NULL, with an
 * error number or 0. */
u_char *ngx_http_s3_cache_origin_keys_read(ngx_str_t *path, size_t *len,
    ngx_err_t *err, ngx_log_t *log);
/* Keeper: has it changed? */
void ngx_http_s3_cache_origin_keys_file_look(
    ngx_http_s3_cache_origin_keys_t *keys);
/* Master: warns of files that workers cannot read. */
void ngx_http_s3_cache_origin_keys_file_warn(
    ngx_http_s3_cache_origin_keys_t *keys, ngx_cycle_t *cycle);

/* origin_keys_fetch: publish() or failed() follows, from the event loop. */
void ngx_http_s3_cache_origin_keys_fetch(
    ngx_http_s3_cache_origin_keys_t *keys);
/* failed() is called if it takes too long. */
void ngx_http_s3_cache_origin_keys_fetch_look(
    ngx_http_s3_cache_origin_keys_t *keys);
void ngx_http_s3_cache_origin_keys_fetch_stop(
    ngx_http_s3_cache_origin_keys_t *keys);

/* origin_keys_view */
void ngx_http_s3_cache_origin_keys_view(ngx_http_request_t *r,
    ngx_http_s3_cache_zone_t *zone, s3c_stats_zone_t *view);


#endif /* NGX_HTTP_S3_CACHE_ORIGIN_KEYS_H */
