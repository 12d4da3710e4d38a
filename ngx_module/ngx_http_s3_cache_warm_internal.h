/* SPDX-License-Identifier: Apache-2.0
 *
 * A job while it runs, shared by the files that run it:
 *
 *   warm          the worker that runs them: begun, gone on with, given up
 *   warm_store    their files
 *   warm_run      one job: which objects are under way, what became of them
 *   warm_source   which objects: lines of a list, keys of a prefix
 *   warm_object   one object: its record, then its blocks
 *   warm_part     one of these: here, or asked of the node that owns it
 *
 * Objects end in any order, but are counted in that of the source: what the
 * file says is true of all that is before its place, and of nothing else.
 */

#ifndef NGX_HTTP_S3_CACHE_WARM_INTERNAL_H
#define NGX_HTTP_S3_CACHE_WARM_INTERNAL_H


#include "ngx_http_s3_cache_warm.h"
#include "ngx_http_s3_cache_peer.h"
#include "ngx_http_s3_cache_write.h"

#include "s3/s3_list_page.h"
#include "serve/warm_job.h"
#include "serve/warm_line.h"


#define NGX_HTTP_S3_CACHE_WARM_RUN_MAX   8     /* jobs at once */
#define NGX_HTTP_S3_CACHE_WARM_KEPT_MAX  64    /* with those that are over */


typedef struct {
    ngx_path_t                     *path;
    off_t                           list_max;
} ngx_http_s3_cache_warm_conf_t;

typedef struct warm_run_s     warm_run_t;
typedef struct warm_object_s  warm_object_t;
typedef struct warm_part_s    warm_part_t;


/* How a part ended; of an object's parts the highest counts. */
typedef enum {
    WARM_CACHED = 0,
    WARM_FETCHED,
    WARM_EVICTED,
    WARM_MISSING,
    WARM_DENIED,
    WARM_NO_ROOM,
    WARM_FAILED,
    WARM_CHANGED                               /* from its record, anew */
} warm_end_e;


struct warm_part_s {
    ngx_queue_t                     queue;     /* of the run's ended */
    ngx_queue_t                     link;      /* of its object's */
    warm_object_t                  *object;
    ngx_pool_t                     *pool;
    ngx_http_s3_cache_target_t     *target;
    ngx_http_s3_cache_ctx_t         ctx;
    ngx_http_s3_cache_near_t       *owners[S3C_RING_OWNERS];
    ngx_uint_t                      nowners;
    ngx_uint_t                      tried;
    ngx_http_s3_cache_ask_t         ask;
    ngx_http_s3_cache_fence_t       fence;
    uint64_t                        block;     /* UINT64_MAX: none of it */
    uint64_t                        bytes;     /* that it brought, or has */
    warm_end_e                      end;
    unsigned                        record:1;
    unsigned                        asking:1;  /* another node */
    unsigned                        fencing:1;
    unsigned                        again:1;   /* the node's link was lost */
    unsigned                        known:1;   /* META has come */
    unsigned                        over:1;
};


typedef enum {
    WARM_NEW = 0,
    WARM_RECORD,                               /* under way */
    WARM_BLOCKS,
    WARM_OVER
} warm_object_e;


struct warm_object_s {
    ngx_queue_t                     queue;     /* in the order of the source */
    ngx_queue_t                     todo;
    warm_run_t                     *run;
    ngx_pool_t                     *pool;
    s3c_slice_t                     bucket;
    s3c_slice_t                     key;
    s3c_slice_t                     version;
    s3c_slice_t                     etag;
    uint64_t                        first;
    uint64_t                        last;
    uint64_t                        offset;    /* of the list, behind it */
    uint64_t                        total;
    uint64_t                        generation;
    int64_t                         last_modified;
    uint64_t                        block;     /* the next */
    uint64_t                        end_block; /* one behind the last */
    uint64_t                        bytes;
    uint64_t                        cached_bytes;
    uint64_t                        fetched_bytes;
    ngx_uint_t                      bad_lines; /* before it */
    ngx_queue_t                     parts;     /* under way */
    ngx_uint_t                      tries;
    ngx_event_t                     retry;
    warm_object_e                   state;
    warm_end_e                      end;
    unsigned                        listed:1;  /* in run->todo */
    unsigned                        fetched:1; /* any part of it */
    unsigned                        truth:1;   /* its record was too old */
};


typedef struct {
    ngx_fd_t                        fd;        /* of a list */
    uint64_t                        offset;    /* of buf */
    size_t                          pos;
    size_t                          len;
    u_char                         *buf;
    ngx_uint_t                      bad_lines; /* since the last object */

    ngx_http_s3_cache_call_t       *call;      /* a page under way */
    ngx_uint_t                      status;
    ngx_uint_t                      tries;
    ngx_event_t                     retry;
    s3c_slice_t                     document;
    s3c_s3_page_t                   page;
    unsigned                        paged:1;   /* page is open */
    unsigned                        moved:1;   /* it had a key */
    unsigned                        last:1;    /* there is none behind it */
    unsigned                        done:1;    /* it has been given out */
    s3c_warm_text_t                 after;     /* given out up to here */
} warm_source_t;


struct warm_run_s {
    ngx_queue_t                     queue;
    ngx_http_s3_cache_warm_conf_t  *conf;
    ngx_http_s3_cache_zone_t       *zone;
    ngx_http_s3_cache_loc_conf_t   *location;
    s3c_warm_job_t                  job;       /* as it is saved */
    warm_source_t                   source;
    ngx_queue_t                     objects;
    ngx_queue_t                     todo;
    ngx_queue_t                     ended;     /* parts */
    ngx_uint_t                      nobjects;
    ngx_uint_t                      nparts;
    int64_t                         budget;    /* bytes; below 0: wait */
    ngx_msec_t                      budget_at;
    ngx_msec_t                      saved_at;
    ngx_event_t                     pump;      /* a timer */
    ngx_event_t                     post;
    const char                     *waiting;
    unsigned                        pumping:1;
    unsigned                        dirty:1;
    unsigned                        over:1;    /* ended; to be taken away */
};


/* warm_store */

ngx_int_t ngx_http_s3_cache_warm_save(ngx_http_s3_cache_warm_conf_t *conf,
    const s3c_warm_job_t *job);
/* DECLINED: there is none. ERROR: what is there is none; `log` if not NULL. */
ngx_int_t ngx_http_s3_cache_warm_load(ngx_http_s3_cache_warm_conf_t *conf,
    const u_char *id, s3c_warm_job_t *job, ngx_log_t *log);
/* All ids, the newest first. */
ngx_int_t ngx_http_s3_cache_warm_ids(ngx_http_s3_cache_warm_conf_t *conf,
    ngx_pool_t *pool, ngx_array_t *ids);
/* The path of its file, in memory that the next call uses again. */
u_char *ngx_http_s3_cache_warm_file(ngx_http_s3_cache_warm_conf_t *conf,
    const u_char *id, const char *suffix);
void ngx_http_s3_cache_warm_remove(ngx_http_s3_cache_warm_conf_t *conf,
    const u_char *id);
/* What was begun and never became a job goes when it is an hour old. */
void ngx_http_s3_cache_warm_tidy(ngx_http_s3_cache_warm_conf_t *conf);
/* The oldest that are over go. DECLINED: too many run. */
ngx_int_t ngx_http_s3_cache_warm_room(ngx_http_s3_cache_warm_conf_t *conf,
    ngx_pool_t *pool);

/* warm */

/* The location of the zone that a job of this origin is of. NULL: *why. */
ngx_http_s3_cache_loc_conf_t *ngx_http_s3_cache_warm_location(
    ngx_http_s3_cache_main_conf_t *mcf, s3c_slice_t zone, s3c_slice_t origin,
    const char **why);

/* warm_run */
warm_run_t *ngx_http_s3_cache_warm_run(ngx_http_s3_cache_warm_conf_t *conf,
    ngx_http_s3_cache_main_conf_t *mcf, const s3c_warm_job_t *job);
void ngx_http_s3_cache_warm_run_end(warm_run_t *run, s3c_warm_state_t state,
    const char *why);
/* Its memory, with all that is under way; the file is as it was saved last. */
void ngx_http_s3_cache_warm_run_free(warm_run_t *run);
void ngx_http_s3_cache_warm_run_save(warm_run_t *run);
/* Something has changed: it is looked at soon. */
void ngx_http_s3_cache_warm_run_kick(warm_run_t *run);

/* warm_source */
ngx_int_t ngx_http_s3_cache_warm_source_open(warm_run_t *run);
void ngx_http_s3_cache_warm_source_close(warm_run_t *run);
/* OK: the next one is in *line, and behind it the list's *offset. AGAIN: a page
 * comes. DONE: no more. ERROR: the run has been ended. */
ngx_int_t ngx_http_s3_cache_warm_source_next(warm_run_t *run,
    s3c_warm_line_t *line, uint64_t *offset);

/* warm_object */
warm_object_t *ngx_http_s3_cache_warm_object(warm_run_t *run,
    const s3c_warm_line_t *line);
void ngx_http_s3_cache_warm_object_free(warm_object_t *object);
void ngx_http_s3_cache_warm_object_todo(warm_object_t *object);
/* Begins one part of it. */
void ngx_http_s3_cache_warm_object_step(warm_object_t *object);
/* A part has ended, and is freed. */
void ngx_http_s3_cache_warm_object_ended(warm_part_t *part);

/* warm_part */
void ngx_http_s3_cache_warm_part(warm_object_t *object, ngx_uint_t record,
    uint64_t block);
void ngx_http_s3_cache_warm_part_free(warm_part_t *part);
void ngx_http_s3_cache_warm_part_over(warm_part_t *part, warm_end_e end);
/* What the record says of its object. */
void ngx_http_s3_cache_warm_part_learn(warm_part_t *part,
    const s3c_record_view_t *view);
/* warm_here: the part is looked for in this node. */
void ngx_http_s3_cache_warm_part_here(warm_part_t *part);
/* warm_evict */
void ngx_http_s3_cache_warm_part_evict(warm_part_t *part);

/* warm_print */
void ngx_http_s3_cache_warm_print(s3c_writer_t *w, const s3c_warm_job_t *job,
    ngx_http_s3_cache_zone_t *zone);
#define NGX_HTTP_S3_CACHE_WARM_JSON  (64 * 1024)


#endif /* NGX_HTTP_S3_CACHE_WARM_INTERNAL_H */
