/* SPDX-License-Identifier: Apache-2.0
 *
 * What a job asks of nodes, and what the files of it share: peer_fill.c begins
 * one, peer_errand.c goes from node to node, peer_answer.c hears them.
 */

#ifndef NGX_HTTP_S3_CACHE_PEER_ERRAND_H
#define NGX_HTTP_S3_CACHE_PEER_ERRAND_H


#include "ngx_http_s3_cache_fence.h"
#include "ngx_http_s3_cache_fill.h"
#include "ngx_http_s3_cache_peer.h"
#include "ngx_http_s3_cache_roster.h"


/* One node after the other, two at a time when the first is silent. The first to
 * answer is the one that is heard. Lives in its job's pool. */
typedef struct {
    ngx_http_s3_cache_ask_t     asks[2];
    ngx_http_s3_cache_ask_t    *answers;       /* of these; NULL: none yet */
    ngx_http_s3_cache_job_t    *job;
    ngx_http_s3_cache_near_t   *owners[S3C_RING_OWNERS];
    ngx_uint_t                  nowners;
    ngx_uint_t                  tried;         /* of them, from the first */
    unsigned                    active:2;      /* which asks are under way */
    unsigned                    again:2;       /* how often the same one was */
    unsigned                    former:1;      /* this node is the owner */
    ngx_http_s3_cache_ctx_t    *lead;          /* whose request this is; NULL:
                                                  another node's, or gone */
} errand_t;


/* fill: nobody is asked any more because it said that it has this. */
void ngx_http_s3_cache_peer_unhold(ngx_http_s3_cache_zone_t *zone,
    ngx_http_s3_cache_loc_conf_t *lcf, s3c_slice_t bucket, s3c_slice_t key);

/* errand: with a job on this entry; NULL: it was failed. */
errand_t *ngx_http_s3_cache_errand_create(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin, ngx_http_s3_cache_near_t **owners,
    ngx_uint_t nowners, ngx_uint_t former);
/* The next owner that can be asked. DECLINED: there is none, or it is this
 * node's turn. */
ngx_int_t ngx_http_s3_cache_errand_ask(errand_t *errand, ngx_uint_t slot);
/* The next owner, else the origin. */
ngx_int_t ngx_http_s3_cache_errand_next(errand_t *errand);
/* Nobody hears what is still under way. */
void ngx_http_s3_cache_errand_drop(errand_t *errand);
/* The job goes, and who leads it is told; fail: it has failed, too. */
void ngx_http_s3_cache_errand_end(errand_t *errand);
void ngx_http_s3_cache_errand_fail(errand_t *errand, uint32_t reason);

/* answer: what this question brings is the errand's, ask->data. */
void ngx_http_s3_cache_errand_listen(ngx_http_s3_cache_ask_t *ask);


#endif /* NGX_HTTP_S3_CACHE_PEER_ERRAND_H */
