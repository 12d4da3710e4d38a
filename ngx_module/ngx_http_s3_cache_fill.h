/* SPDX-License-Identifier: Apache-2.0
 *
 * A job: what a leader does to fill one entry, apart from any client's
 * request. Shared by the files that know what is asked of the origin
 * (fill_object, fill_block, fill_check) and the one that runs it (fill).
 */

#ifndef NGX_HTTP_S3_CACHE_FILL_H
#define NGX_HTTP_S3_CACHE_FILL_H


#include "ngx_http_s3_cache_module.h"


typedef struct ngx_http_s3_cache_job_s  ngx_http_s3_cache_job_t;

struct ngx_http_s3_cache_job_s {
    ngx_pool_t                    *pool;
    ngx_http_s3_cache_zone_t      *zone;
    ngx_http_s3_cache_loc_conf_t  *conf;
    ngx_http_s3_cache_call_t      *call;       /* under way, or NULL */
    void                          *errand;     /* to a node, or NULL */
    void                          *written;    /* its bytes, or NULL: see
                                                  through_keep.c */

    /* what the head of the answer means for this kind of job */
    ngx_int_t                    (*on_head)(ngx_http_s3_cache_job_t *job,
                                            s3c_http_head_t *head);

    s3c_ident_t                   *ident;
    s3c_hash128_t                  object;
    ngx_str_t                      path;       /* decoded */
    ngx_str_t                      query;      /* for the origin */

    s3c_ram_pin_t                  pin;        /* what is being filled */
    s3c_hash128_t                  key;        /* its, for flash */
    uint32_t                       size;       /* its payload; 0: no memory */
    uint32_t                       off;        /* written so far */
    uint32_t                       published;
    unsigned                       settled:1;  /* committed or failed */
    unsigned                       enough:1;   /* the rest is not wanted */
    unsigned                       keep:1;     /* commit leaves it findable */
    unsigned                       store:1;    /* and writes it to flash */
    unsigned                       part:1;     /* it is a block */
    unsigned                       ranged:1;   /* a Range was asked for */
    unsigned                       head:1;     /* HEAD was sent */
    unsigned                       bodyless:1; /* for a reader's own HEAD */
    unsigned                       warm:1;     /* of a warm-up */
    unsigned                       page:1;     /* of a list: collected like an
                                                  error's document */
    ngx_uint_t                     heat;       /* of another node's, asked for:
                                                  see mirror.h */

    uint64_t                       block;      /* asked for, when ranged */
    uint64_t                       generation; /* expected of a block */
    uint64_t                       total;
    s3c_slice_t                    etag;       /* to be matched, of a block */

    s3c_ram_pin_t                  record;     /* check: the one in question */
    size_t                         bucket_len; /* of the path */

    /* an error's document, of unknown length, until it is complete */
    u_char                        *error;
    size_t                         error_len;
    size_t                         error_size;     /* memory of it */
    s3c_record_spec_t              error_spec;

    uint64_t                       begun_us;
    uint64_t                       begun_ms;   /* by ngx_http_s3_cache_now() */
};


/* fill.c */

/* A job on this entry, with a pin of its own; NULL: the entry was failed. */
ngx_http_s3_cache_job_t *ngx_http_s3_cache_job_create(
    ngx_http_s3_cache_ctx_t *ctx, const s3c_ram_pin_t *pin);
void ngx_http_s3_cache_job_destroy(ngx_http_s3_cache_job_t *job);
/* Sends the request: HEAD or GET, with the headers given so far. */
ngx_http_s3_cache_call_t *ngx_http_s3_cache_job_call(
    ngx_http_s3_cache_job_t *job, ngx_uint_t head);
void ngx_http_s3_cache_job_header(ngx_http_s3_cache_call_t *call,
    const char *name, u_char *value, size_t len);
void ngx_http_s3_cache_job_range(ngx_http_s3_cache_call_t *call,
    uint64_t first, uint64_t last);
void ngx_http_s3_cache_job_commit(ngx_http_s3_cache_job_t *job);
void ngx_http_s3_cache_job_fail(ngx_http_s3_cache_job_t *job,
    uint32_t reason);
/* Asks the origin: what a job on an object or block was made for. ERROR: it
 * has been failed and destroyed. */
ngx_int_t ngx_http_s3_cache_job_origin(ngx_http_s3_cache_job_t *job);
/* Memory for the entry and, when spec is given, its record's head. */
s3c_status_t ngx_http_s3_cache_job_alloc(ngx_http_s3_cache_job_t *job,
    const s3c_record_spec_t *spec, uint64_t body_bytes);

/* fill_object.c, fill_block.c */

ngx_int_t ngx_http_s3_cache_object_begin(ngx_http_s3_cache_job_t *job);
ngx_int_t ngx_http_s3_cache_block_begin(ngx_http_s3_cache_job_t *job);
/* What of the request's record a job on its block needs to know. */
ngx_int_t ngx_http_s3_cache_job_block(ngx_http_s3_cache_job_t *job,
    ngx_http_s3_cache_ctx_t *ctx, uint64_t block);

/* An answer that is an error: it is collected. */
ngx_int_t ngx_http_s3_cache_object_error(ngx_http_s3_cache_job_t *job,
    s3c_http_head_t *head);

/* fill_list.c: more memory for what is collected of a page. ERROR: failed. */
ngx_int_t ngx_http_s3_cache_job_grow(ngx_http_s3_cache_job_t *job);
/* What was collected is a whole page, to be kept; else it has been failed. */
ngx_uint_t ngx_http_s3_cache_job_is_page(ngx_http_s3_cache_job_t *job);

/* What the record of this answer (2xx) is made of; its header block is
 * rendered into the job's pool. */
ngx_int_t ngx_http_s3_cache_job_spec(ngx_http_s3_cache_job_t *job,
    s3c_http_head_t *head, const s3c_s3_meta_t *meta,
    s3c_record_spec_t *spec);


#endif /* NGX_HTTP_S3_CACHE_FILL_H */
