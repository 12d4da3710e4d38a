/* SPDX-License-Identifier: Apache-2.0
 *
 * A question of another node while it is answered, shared by the files that do
 * so:
 *
 *   peer_serve         as the link calls it; begin and end
 *   peer_serve_ask     what is asked, until it is looked for
 *   peer_serve_answer  what is found, until it is sent
 */

#ifndef NGX_HTTP_S3_CACHE_PEER_SERVE_INTERNAL_H
#define NGX_HTTP_S3_CACHE_PEER_SERVE_INTERNAL_H


#include "ngx_http_s3_cache_peer.h"


typedef enum {
    SERVE_LOOK = 0,
    SERVE_META,
    SERVE_BODY,
    SERVE_END
} serve_state_e;


typedef struct serve_s  serve_t;

struct serve_s {
    ngx_http_s3_cache_stream_t  stream;        /* first */
    ngx_http_s3_cache_ctx_t     ctx;
    serve_t                    *next;          /* of those kept */
    ngx_pool_t                 *pool;          /* NULL: nothing was kept */
    serve_state_e               state;
    uint8_t                     what;          /* s3c_wire_what_t */
    uint16_t                    code;
    uint32_t                    flags;         /* of META */
    uint32_t                    window;
    uint32_t                    head_off;      /* of META, sent so far */
    uint64_t                    age_ms;        /* in META, the same in all */
    uint64_t                    left_ms;       /* of its parts */
    uint64_t                    first;
    uint64_t                    bytes;         /* 0: no body */
    uint64_t                    generation;    /* of a BLOCK */
    uint64_t                    came_ms;       /* the question */
    ngx_msec_t                  since;
    unsigned                    starved:1;     /* without a window, since then */
    unsigned                    late:1;        /* it has waited long enough */
    ngx_event_t                 wait;          /* for what another node sends */
};


/* serve */

/* NULL: no memory. */
serve_t *ngx_http_s3_cache_serve_create(ngx_log_t *log);
/* END is said next, with this code. */
void ngx_http_s3_cache_serve_end(serve_t *s, ngx_uint_t code);

/* serve_ask: ERROR: nobody who keeps to the rules asks that, or no memory. */
ngx_int_t ngx_http_s3_cache_serve_ask(ngx_http_s3_cache_link_t *link,
    uint32_t id, const s3c_wire_ask_t *ask);

/* serve_answer: the front of ctx; the frames of META and BODY, as pull() of a
 * link's role answers. */
extern const ngx_http_s3_cache_front_t  ngx_http_s3_cache_serve_front;
ngx_int_t ngx_http_s3_cache_serve_meta(serve_t *s, s3c_writer_t *w);
ngx_int_t ngx_http_s3_cache_serve_body(serve_t *s, s3c_writer_t *w);


static ngx_inline serve_t *
serve_of(ngx_http_s3_cache_ctx_t *ctx)
{
    return (serve_t *) ((u_char *) ctx - offsetof(serve_t, ctx));
}


#endif /* NGX_HTTP_S3_CACHE_PEER_SERVE_INTERNAL_H */
