/* SPDX-License-Identifier: Apache-2.0
 *
 * Telling all other nodes of a ring what is being written, and when it is over.
 * Each that could not be told is counted as missed in the ring's s3c_vouch, by
 * which it learns of it as soon as it can be reached.
 */

#ifndef NGX_HTTP_S3_CACHE_TELL_H
#define NGX_HTTP_S3_CACHE_TELL_H


#include "ngx_http_s3_cache_fence.h"
#include "ngx_http_s3_cache_peer.h"


typedef struct ngx_http_s3_cache_tell_s  ngx_http_s3_cache_tell_t;

struct ngx_http_s3_cache_tell_s {
    ngx_http_s3_cache_peers_t     *peers;
    uint8_t                        what;       /* S3C_WIRE_FENCE, LIFT or
                                                  HAVE, which may be missed */
    uint64_t                       origin;
    uint64_t                       tag;
    ngx_msec_t                     msec;
    ngx_http_s3_cache_name_t      *names;      /* stay until done() */
    ngx_uint_t                     nnames;
    /* From the event loop, when all have answered or cannot be told; what it
     * is called with may be gone after it. */
    void                         (*done)(ngx_http_s3_cache_tell_t *tell);
    /* or NULL: this node has not done what it should */
    void                         (*on_missed)(ngx_http_s3_cache_tell_t *tell,
                                              ngx_http_s3_cache_near_t *near);
    void                          *data;
    unsigned                       denied:1;   /* LIFT: nothing was written */
    unsigned                       sure:1;     /* FENCE: what was to be dropped
                                                  later is dropped now */
    /* ------------------------------------------------------------------ */
    ngx_uint_t                     next;       /* name */
    ngx_uint_t                     out;        /* questions on their way */
    ngx_queue_t                    words;
    unsigned                       pumping:1;
    unsigned                       missed:1;   /* some node does not know */
    unsigned                       refused:1;  /* some node has no room */
};


/* NGX_OK: nobody has to be told, or all is over; done() will not come. */
ngx_int_t ngx_http_s3_cache_tell(ngx_http_s3_cache_tell_t *tell);
/* Nobody waits for it any more; done() will not come. */
void ngx_http_s3_cache_tell_cancel(ngx_http_s3_cache_tell_t *tell);

/* Another node tells: FENCE, LIFT or HAVE. Answers how the question ends. */
ngx_uint_t ngx_http_s3_cache_told(ngx_http_s3_cache_peers_t *peers,
    ngx_str_t *node, const s3c_wire_ask_t *ask);

/* Others may have left this node out of the ring, and would not ask it what it
 * could not tell them. */
ngx_uint_t ngx_http_s3_cache_tell_apart(ngx_http_s3_cache_peers_t *peers);
/* A number that no other write of any node has. */
uint64_t ngx_http_s3_cache_tell_tag(void);


#endif /* NGX_HTTP_S3_CACHE_TELL_H */
