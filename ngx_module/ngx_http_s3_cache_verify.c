/* SPDX-License-Identifier: Apache-2.0
 *
 * Which answers are verified, and when: a share of them, drawn at random; after
 * they were sent; one at a time in each worker, within a number of bytes a
 * second. What is too much is shed and counted: nobody waits for it.
 */

#include "ngx_http_s3_cache_verify.h"


#define WAITING_MAX  32                     /* sent, not yet verified */
#define BYTES_S      (4 * 1024 * 1024)      /* from the origin, a worker */
#define BYTES_SAVED  (8 * 1024 * 1024)
#define SAVED_MSEC   2000                   /* that takes */


static ngx_int_t ngx_http_s3_cache_verify_copy(ngx_http_s3_cache_verify_t *v,
    s3c_slice_t *to, s3c_slice_t from);
static void ngx_http_s3_cache_verify_sent(void *data);
static void ngx_http_s3_cache_verify_post(void);
static void ngx_http_s3_cache_verify_next(ngx_event_t *ev);
static ngx_uint_t ngx_http_s3_cache_verify_affords(void);


typedef struct {
    ngx_queue_t   queue;             /* those that were sent */
    ngx_event_t   event;             /* posted */
    ngx_uint_t    waiting;           /* of them, and who is under way */
    uint64_t      random;            /* 0: nothing of this is set up */
    int64_t       tokens;            /* bytes */
    ngx_msec_t    tokens_msec;
    unsigned      busy:1;            /* one is under way */
} ngx_http_s3_cache_verify_queue_t;


static ngx_http_s3_cache_verify_queue_t  verify;


/* xorshift64*: it only has to be cheap, and the same for nobody */

uint64_t
ngx_http_s3_cache_verify_random(uint64_t n)
{
    uint64_t  x;

    if (verify.random == 0) {
        verify.random = ((uint64_t) ngx_pid << 32 ^ ngx_http_s3_cache_usec())
                        | 1;
        verify.tokens = BYTES_SAVED;
        verify.tokens_msec = ngx_current_msec;
        verify.event.handler = ngx_http_s3_cache_verify_next;
        verify.event.log = ngx_cycle->log;
        ngx_queue_init(&verify.queue);
    }

    x = verify.random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    verify.random = x;

    return (x * 0x2545f4914f6cdd1dull >> 16) % n;
}


/* Bytes that this node has itself: those of another node it verifies. */

void
ngx_http_s3_cache_verify_reply(ngx_http_s3_cache_ctx_t *ctx)
{
    if ((ctx->result != NGX_HTTP_S3_CACHE_HIT
         && ctx->result != NGX_HTTP_S3_CACHE_REVALIDATED)
        || (ctx->tier != NGX_HTTP_S3_CACHE_TIER_RAM
            && ctx->tier != NGX_HTTP_S3_CACHE_TIER_FLASH
            && ctx->tier != NGX_HTTP_S3_CACHE_TIER_MIRROR)
        || (ctx->reply.status != 200 && ctx->reply.status != 206)
        || ctx->view.rec == NULL || ctx->head)
    {
        return;
    }

    ngx_http_s3_cache_verify_draw(ctx, ctx->reply.first, ctx->reply.last,
                                  ctx->request->pool);
}


void
ngx_http_s3_cache_verify_draw(ngx_http_s3_cache_ctx_t *ctx, uint64_t first,
    uint64_t last, ngx_pool_t *sent)
{
    ngx_pool_t                  *pool;
    ngx_pool_cleanup_t          *cln;
    ngx_http_s3_cache_target_t  *target;
    ngx_http_s3_cache_verify_t  *v;

    if (ngx_http_s3_cache_verify_random(1ull << 32) >= ctx->conf->verify
        || (ctx->view.flags & (S3C_RECORD_ERROR|S3C_RECORD_PAGE))
        || (first > last && ctx->view.total > 0))
    {
        return;
    }

    if (verify.waiting >= WAITING_MAX || !ngx_http_s3_cache_verify_affords()) {
        s3c_stats_add(&ctx->zone->stats, S3C_STAT_VERIFY_SHED, 1);
        return;
    }

    target = ngx_http_s3_cache_target(ctx);
    pool = target ? ngx_create_pool(4096, ngx_cycle->log) : NULL;

    if (pool == NULL) {
        return;
    }

    v = ngx_pcalloc(pool, sizeof(ngx_http_s3_cache_verify_t));
    if (v == NULL) {
        goto failed;
    }

    v->pool = pool;
    v->zone = ctx->zone;
    v->conf = ctx->conf;
    v->identity = ctx->identity;
    v->object = ctx->object;
    v->generation = ctx->view.generation;
    v->total = ctx->view.total;
    v->first = first;
    v->last = last;
    v->head_bytes = ctx->view.head_bytes;
    v->tier = ctx->tier;
    v->is_inline = (ctx->view.flags & S3C_RECORD_INLINE) ? 1 : 0;
    v->apart = (ctx->view.flags & S3C_RECORD_APART) ? 1 : 0;
    v->outcome = S3C_STAT_VERIFY_ERROR;

    if (ngx_http_s3_cache_verify_copy(v, &v->bucket, target->addr.bucket)
        != NGX_OK
        || ngx_http_s3_cache_verify_copy(v, &v->key, target->addr.key)
           != NGX_OK
        || ngx_http_s3_cache_verify_copy(v, &v->version,
                                         target->op.version_id)
           != NGX_OK
        || ngx_http_s3_cache_verify_copy(v, &v->etag, ctx->view.etag)
           != NGX_OK)
    {
        goto failed;
    }

    if (sent == NULL) {
        ngx_http_s3_cache_verify_sent(v);
        return;
    }

    cln = ngx_pool_cleanup_add(sent, 0);

    if (cln == NULL) {
        goto failed;
    }

    cln->handler = ngx_http_s3_cache_verify_sent;
    cln->data = v;

    return;

failed:

    ngx_destroy_pool(pool);
}


static ngx_int_t
ngx_http_s3_cache_verify_copy(ngx_http_s3_cache_verify_t *v, s3c_slice_t *to,
    s3c_slice_t from)
{
    u_char  *p;

    p = ngx_pnalloc(v->pool, from.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (from.len > 0) {
        ngx_memcpy(p, from.data, from.len);
    }

    *to = s3c_slice(p, from.len);

    return NGX_OK;
}


static void
ngx_http_s3_cache_verify_sent(void *data)
{
    ngx_http_s3_cache_verify_t *v = data;

    /* only here: who is slow to read its answer keeps nobody from it */

    if (verify.waiting >= WAITING_MAX) {
        s3c_stats_add(&v->zone->stats, S3C_STAT_VERIFY_SHED, 1);
        ngx_destroy_pool(v->pool);
        return;
    }

    verify.waiting++;
    ngx_queue_insert_tail(&verify.queue, &v->queue);
    ngx_http_s3_cache_verify_post();
}


static void
ngx_http_s3_cache_verify_post(void)
{
    if (!verify.busy && !verify.event.posted
        && !ngx_queue_empty(&verify.queue))
    {
        ngx_post_event(&verify.event, &ngx_posted_events);
    }
}


static void
ngx_http_s3_cache_verify_next(ngx_event_t *ev)
{
    ngx_queue_t                 *q;
    ngx_http_s3_cache_verify_t  *v;

    if (verify.busy || ngx_queue_empty(&verify.queue)) {
        return;
    }

    q = ngx_queue_head(&verify.queue);
    ngx_queue_remove(q);
    v = ngx_queue_data(q, ngx_http_s3_cache_verify_t, queue);
    verify.busy = 1;

    if (ngx_exiting || ngx_quit || ngx_terminate || v->zone->ram == NULL) {
        /* a worker that leaves begins nothing */
        v->outcome = S3C_STAT_VERIFY_SHED;
        ngx_http_s3_cache_verify_end(v);
        return;
    }

    if (ngx_http_s3_cache_verify_find(v) != NGX_OK) {
        v->outcome = S3C_STAT_VERIFY_GONE;
        ngx_http_s3_cache_verify_end(v);
        return;
    }

    if (v->total > 0) {
        verify.tokens -= v->to - v->from + 1;
    }

    ngx_http_s3_cache_verify_call(v);
}


void
ngx_http_s3_cache_verify_end(ngx_http_s3_cache_verify_t *v)
{
    s3c_stats_add(&v->zone->stats, v->outcome, 1);

    if (s3c_ram_pinned(&v->pin) && v->zone->ram != NULL) {
        s3c_ram_unpin(v->zone->ram, &v->pin);
    }

    ngx_destroy_pool(v->pool);

    verify.waiting--;
    verify.busy = 0;
    ngx_http_s3_cache_verify_post();
}


static ngx_uint_t
ngx_http_s3_cache_verify_affords(void)
{
    ngx_msec_t  gone;

    gone = ngx_min(ngx_current_msec - verify.tokens_msec, SAVED_MSEC);
    verify.tokens_msec = ngx_current_msec;
    verify.tokens = ngx_min(verify.tokens + (int64_t) gone * BYTES_S / 1000,
                            BYTES_SAVED);

    return verify.tokens > 0;
}
