/* SPDX-License-Identifier: Apache-2.0
 *
 * A write under way: what it changes, how its body comes, and what became of
 * it. Its answer is relayed by pass.c.
 */

#ifndef NGX_HTTP_S3_CACHE_WRITE_H
#define NGX_HTTP_S3_CACHE_WRITE_H


#include "ngx_http_s3_cache_list.h"
#include "ngx_http_s3_cache_tell.h"

#include "s3/s3_chunked.h"
#include "s3/s3_delete.h"
#include "s3/s3_delete_result.h"
#include "s3/s3_write.h"


typedef struct ngx_http_s3_cache_through_s  ngx_http_s3_cache_through_t;


/* Of one write; zeroed. Lives in the request's pool. */
typedef struct {
    ngx_http_s3_cache_ctx_t       *ctx;
    ngx_array_t                   *holds;      /* here */
    ngx_array_t                   *later;      /* of name_t: dropped at the end;
                                                  NULL: none */
    ngx_http_s3_cache_lists_t      lists;      /* of them */

    ngx_pool_t                    *pool;       /* NULL: no node is to be told */
    ngx_array_t                    names;      /* of name_t */
    ngx_http_s3_cache_tell_t      *tells;      /* one for each ring */
    ngx_uint_t                     ntells;
    ngx_uint_t                     out;        /* of them */
    uint64_t                       tag;
    ngx_event_t                    renew;

    /* forget(): its end, from the event loop */
    void                         (*resume)(void *data, ngx_int_t rc);
    /* or NULL: before that, of each node that could not be told */
    void                         (*on_missed)(void *data,
                                              ngx_http_s3_cache_near_t *near);
    void                          *data;
    ngx_http_s3_cache_zone_t      *zone;       /* only of its ring; NULL: all */

    /* of forget(), when ctx has no request; else NULL */
    ngx_http_s3_cache_main_conf_t *conf;
    ngx_pool_t                    *owner;      /* outlives the fence */

    ngx_uint_t                     place;      /* of its bucket: reload.h */

    unsigned                       judged:1;   /* by the origin alone: nothing
                                                  is dropped before it has */
    unsigned                       bucket:1;   /* all of it has been fenced */
    unsigned                       passed:1;   /* the origin may have all of it */
    unsigned                       refused:1;  /* it must not */
} ngx_http_s3_cache_fence_t;


struct ngx_http_s3_cache_write_s {
    ngx_http_s3_cache_ctx_t       *ctx;
    ngx_http_s3_cache_fence_t      fence;
    s3c_touches_t                  touches;
    s3c_payload_t                  payload;
    ngx_str_t                      hash;       /* of the payload, in hex */
    ngx_str_t                      trailer;    /* x-amz-trailer */
    uint64_t                       length;     /* of the body, decoded */
    uint64_t                       taken;      /* of it, from the client */
    s3c_s3_chunked_t              *decoder;    /* NULL: it comes plain */
    s3c_s3_delete_t               *names;      /* NULL: no DeleteObjects */
    uint64_t                       nnames;     /* that it had */
    s3c_s3_delete_result_t         result;     /* of them */
    ngx_http_s3_cache_through_t   *through;    /* NULL: it is not kept */

    u_char                        *pos;        /* for the origin, not yet */
    size_t                         len;        /* taken by it */
    u_char                         last;       /* byte, until the rest of the
                                                  framing has been verified */
    u_char                        *tail;       /* of a coded one: its end, until */
    size_t                         tail_len;   /* all of it is here */

    ngx_uint_t                     status;     /* of the origin's answer */
    uint64_t                       left;       /* of its body */
    ngx_int_t                      rc;         /* nginx could not read it */
    s3c_s3_error_t                 err;        /* or it is not as announced */
    const char                    *message;

    unsigned                       has_body:1;
    unsigned                       coded:1;    /* and goes on as it is */
    unsigned                       has_copy_source:1;
    unsigned                       wide:1;     /* of more keys than its own */
    unsigned                       form:1;     /* an upload from a browser */
    unsigned                       expect:1;
    unsigned                       reading:1;  /* nginx has begun to */
    unsigned                       verified:1; /* the decoder saw its end */
    unsigned                       held:1;     /* `last` is to be sent */
    unsigned                       fenced:1;
    unsigned                       whole:1;    /* `pos` has the last byte */
    unsigned                       settled:1;  /* the client's body, unread */
    unsigned                       ended:1;
};


/* write_fence.c: one name after the other, then the gate. NGX_BUSY: no more can
 * be fenced; NGX_ERROR. Whatever the answer, end() must come. */
ngx_int_t ngx_http_s3_cache_fence_begin(ngx_http_s3_cache_fence_t *fence,
    const ngx_http_s3_cache_name_t *name);
/* The origin may have the rest of the write. NGX_AGAIN: not before the other
 * nodes know; then write_feeds() or write_go() is called. NGX_BUSY: never. */
ngx_int_t ngx_http_s3_cache_fence_gate(ngx_http_s3_cache_fence_t *fence);

typedef enum {
    NGX_HTTP_S3_CACHE_FENCE_UNKNOWN = 0,       /* it may still take effect */
    NGX_HTTP_S3_CACHE_FENCE_KNOWN,
    NGX_HTTP_S3_CACHE_FENCE_REFUSED            /* it has none, nor will have */
} ngx_http_s3_cache_fence_end_e;

void ngx_http_s3_cache_fence_end(ngx_http_s3_cache_fence_t *fence,
    ngx_http_s3_cache_fence_end_e end);

/* write_lift.c: the other nodes learn that it is over, in `msec`, of which 0 is
 * now. Takes fence->pool. */
void ngx_http_s3_cache_fence_lift_all(ngx_http_s3_cache_fence_t *fence,
    ngx_msec_t msec, ngx_uint_t refused);

/*
 * What has changed at the origin without us: dropped here and at all nodes, as
 * by a write that has its answer. `fence` may be used again for the next one.
 * NGX_OK; NGX_BUSY: not everywhere; NGX_ERROR; NGX_AGAIN: fence->resume(data,
 * rc) comes once.
 */
ngx_int_t ngx_http_s3_cache_forget(ngx_http_s3_cache_fence_t *fence,
    const ngx_http_s3_cache_name_t *name);

/* write_request.c: what the request says of itself; NGX_DECLINED: w->err. */
ngx_int_t ngx_http_s3_cache_write_parse(ngx_http_s3_cache_write_t *w);
ngx_int_t ngx_http_s3_cache_write_ask(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_call_t *call);
ngx_uint_t ngx_http_s3_cache_write_allows(ngx_http_s3_cache_write_t *w,
    s3c_slice_t name);

/* write_body.c: from the client to the origin's call. */
void ngx_http_s3_cache_write_on_send(ngx_http_s3_cache_call_t *call,
    u_char **pos, size_t *len);
void ngx_http_s3_cache_write_on_sent(ngx_http_s3_cache_call_t *call,
    size_t n);
ngx_int_t ngx_http_s3_cache_write_empty(ngx_http_s3_cache_ctx_t *ctx);
/* The call, if there is one, asks for more. */
ngx_uint_t ngx_http_s3_cache_write_feeds(ngx_http_s3_cache_ctx_t *ctx);
/* What has not come of the client's body will not be read. */
void ngx_http_s3_cache_write_settle(ngx_http_s3_cache_write_t *w);
/* read_event_handler of a write that reads nothing now: of a client that goes
 * away. */
void ngx_http_s3_cache_write_left(ngx_http_request_t *r);

/* write.c */

/* Fences what the request names and passes the gate: NGX_OK, NGX_AGAIN;
 * NGX_ERROR: w->err. */
ngx_int_t ngx_http_s3_cache_write_gate(ngx_http_s3_cache_write_t *w);
/* Step: the origin is asked. */
ngx_int_t ngx_http_s3_cache_write_go(ngx_http_s3_cache_ctx_t *ctx);

/* from pass.c. answered(): NGX_ERROR: not for the client to hear. */
ngx_int_t ngx_http_s3_cache_write_answered(ngx_http_s3_cache_write_t *w,
    s3c_http_head_t *head);
void ngx_http_s3_cache_write_received(ngx_http_s3_cache_write_t *w,
    s3c_slice_t part);
void ngx_http_s3_cache_write_ended(ngx_http_s3_cache_write_t *w,
    ngx_http_s3_cache_call_t *call, ngx_http_s3_cache_call_end_e end);
/* Is a document about the hash that the client gave? */
ngx_uint_t ngx_http_s3_cache_write_is_blamed(ngx_http_s3_cache_write_t *w,
    s3c_slice_t document);
/* Was it the client's body that made it fail? Then *rc ends the request. */
ngx_uint_t ngx_http_s3_cache_write_failed(ngx_http_s3_cache_ctx_t *ctx,
    ngx_int_t *rc);
void ngx_http_s3_cache_write_cleanup(ngx_http_s3_cache_ctx_t *ctx);


#endif /* NGX_HTTP_S3_CACHE_WRITE_H */
