/* SPDX-License-Identifier: Apache-2.0
 *
 * Write-through: the body of a write that succeeded becomes an entry of the
 * cache without a read from the origin (docs/adr/0023).
 *
 *   through        what of a write is captured, and what then becomes of it
 *   through_parts  the parts of an upload, until it is complete
 *   through_keep   the record and the blocks that are made of what was captured
 *   through_tell   ... and that other nodes may ask for
 */

#ifndef NGX_HTTP_S3_CACHE_THROUGH_H
#define NGX_HTTP_S3_CACHE_THROUGH_H


#include "ngx_http_s3_cache_capture.h"
#include "ngx_http_s3_cache_fill.h"
#include "ngx_http_s3_cache_write.h"

#include "s3/s3_complete.h"


#define NGX_HTTP_S3_CACHE_THROUGH_CHUNK  (1024 * 1024)


/* Of one write; in the request's pool. */
struct ngx_http_s3_cache_through_s {
    s3c_body_t                    body;
    ngx_http_s3_cache_capture_t   capture;    /* of an object or a part */

    ngx_str_t                     etag;       /* that the origin answered */
    ngx_str_t                     version;

    /* of a part, a completion, an abortion */
    unsigned                      part;
    s3c_slice_t                   upload;
    u_char                        upload_id[S3C_S3_UPLOAD_ID_MAX];

    /* of a completion: what its body names */
    s3c_s3_complete_t            *names;      /* NULL: doubt, or none */
    ngx_array_t                   parts;      /* s3c_s3_part_t */

    unsigned                      over:1;
};


/* What an object is made of, and how that is proved. */
typedef struct {
    ngx_uint_t                    parts;      /* 0: it was one write */
    uint8_t                       md5[S3C_DIGEST_MD5_BYTES];  /* of it, or of
                                                 those of its parts */
    ngx_str_t                     etag;
    ngx_str_t                     version;    /* "": none was answered */
    s3c_written_part_t           *bodies;
    ngx_uint_t                    nbodies;
    uint32_t                     *numbers;    /* of parts; NULL: no upload */
    s3c_ident_t                  *upload;     /* that they are of */
    uint64_t                      tag;        /* of the write, by which other
                                                 nodes know it; 0: none does */
} ngx_http_s3_cache_keep_t;


/* through: from write.c, in this order. Each is for any write, and none fails
 * it. */
void ngx_http_s3_cache_through_begin(ngx_http_s3_cache_write_t *w,
    s3c_slice_t query);
void ngx_http_s3_cache_through_take(ngx_http_s3_cache_write_t *w,
    const u_char *pos, size_t len);
void ngx_http_s3_cache_through_answered(ngx_http_s3_cache_write_t *w,
    s3c_http_head_t *head);
/* It has succeeded, and its fence has ended; or it has not. */
void ngx_http_s3_cache_through_end(ngx_http_s3_cache_write_t *w,
    ngx_uint_t done);

/* through_parts */

/* The part is there for whoever completes the upload. */
void ngx_http_s3_cache_through_part(ngx_http_s3_cache_write_t *w);
void ngx_http_s3_cache_through_abort(ngx_http_s3_cache_write_t *w);
/* What the parts that were named are made of, in this pool. DECLINED: none of
 * them is here. */
ngx_int_t ngx_http_s3_cache_through_complete(ngx_http_s3_cache_write_t *w,
    ngx_pool_t *pool, ngx_http_s3_cache_keep_t *keep);
/* They are not needed any more. */
void ngx_http_s3_cache_through_forget(ngx_http_s3_cache_zone_t *zone,
    const ngx_http_s3_cache_keep_t *keep);

/* through_keep: an object of the write `w`, which is over. `pool` and what
 * `keep` points at are its own from now on. */
void ngx_http_s3_cache_through_keep(ngx_http_s3_cache_write_t *w,
    ngx_pool_t *pool, const ngx_http_s3_cache_keep_t *keep);


/* through_tell: the job has kept it; `foreign`: another node owns it. */
void ngx_http_s3_cache_through_tell(ngx_http_s3_cache_job_t *job,
    uint64_t tag, ngx_uint_t foreign, const s3c_record_spec_t *spec);


static ngx_inline uint64_t
ngx_http_s3_cache_through_max(ngx_http_s3_cache_loc_conf_t *lcf)
{
    return lcf->write_through_max ? (uint64_t) lcf->write_through_max
                                  : (uint64_t) lcf->zone->size / 8;
}


#endif /* NGX_HTTP_S3_CACHE_THROUGH_H */
