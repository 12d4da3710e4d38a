/* SPDX-License-Identifier: Apache-2.0
 *
 * Mirrors of what other nodes own: whether one is made, whether it may be used,
 * and its end. What is hot is decided by src/cluster/hot.h.
 */

#include "ngx_http_s3_cache_mirror.h"
#include "ngx_http_s3_cache_roster.h"
#include "ngx_http_s3_cache_vouch.h"


#define TAIL_MAGIC  0x524f5252494d6373ull      /* "scMIRROR" */
#define SWEEP_MAX   1024                       /* of one turn */
#define UNIT        512                        /* memory is given in these */


/* Behind the bytes of a block, at the next multiple of 8. */
typedef struct {
    uint64_t                    magic;
    uint64_t                    expires_ms;
} tail_sh_t;


static s3c_hot_rule_t mirror_rule(ngx_http_s3_cache_peers_t *peers);
static ngx_uint_t mirror_begin(ngx_http_s3_cache_job_t *job,
    s3c_hash128_t key, uint64_t bytes);
static tail_sh_t *mirror_tail(ngx_http_s3_cache_zone_t *zone,
    const s3c_ram_pin_t *pin, uint32_t bytes);
static uint64_t mirror_expires(ngx_http_s3_cache_zone_t *zone,
    const s3c_ram_pin_t *pin);


static ngx_inline ngx_uint_t
mirror_on(ngx_http_s3_cache_peers_t *peers)
{
    return peers != NULL && peers->mirror_share != 0 && peers->shared != NULL
           && peers->ring != NULL;
}


/* Of the ring as it is: reckoned anew when that changes. */

static s3c_hot_rule_t
mirror_rule(ngx_http_s3_cache_peers_t *peers)
{
    uint16_t  i;
    uint32_t  n;

    if (peers->hot_rule.share == 0
        || peers->hot_digest != s3c_ring_digest(peers->ring))
    {
        n = 0;

        for (i = 0; i < s3c_ring_members(peers->ring); i++) {
            n += s3c_ring_weight(peers->ring, i) > 0;
        }

        peers->hot_rule = s3c_hot_rule(n);
        peers->hot_digest = s3c_ring_digest(peers->ring);
    }

    return peers->hot_rule;
}


ngx_uint_t
ngx_http_s3_cache_mirror_heat(ngx_http_s3_cache_ctx_t *ctx, s3c_hash128_t key)
{
    ngx_http_s3_cache_peers_t  *peers;

    peers = ctx->zone->peers;

    if (!mirror_on(peers) || ctx->conf->rules.mode == S3C_FRESHNESS_STRICT) {
        /* strict: whoever reads it asks the origin */
        return 0;
    }

    return s3c_hot_read(&peers->shared->hot, mirror_rule(peers), key,
                        ngx_http_s3_cache_now());
}


/* May so many bytes be kept? */

static ngx_uint_t
mirror_begin(ngx_http_s3_cache_job_t *job, s3c_hash128_t key, uint64_t bytes)
{
    uint64_t                    now;
    ngx_http_s3_cache_peers_t  *peers;

    peers = job->zone->peers;
    now = ngx_http_s3_cache_now();
    bytes = ngx_align(bytes, UNIT);

    if (!s3c_hot_spend(&peers->shared->budget, bytes,
                       (uint64_t) job->zone->size / 100 * peers->mirror_share,
                       (uint32_t) job->heat, (uint32_t) peers->mirror_time,
                       now))
    {
        s3c_stats_add(&job->zone->stats, S3C_STAT_MIRROR_REFUSED, 1);
        return 0;
    }

    s3c_hot_due_put(&peers->shared->due, key, now + peers->mirror_time);

    s3c_stats_add(&job->zone->stats, S3C_STAT_MIRROR_KEPT, 1);
    s3c_stats_add(&job->zone->stats, S3C_STAT_MIRROR_BYTES, bytes);

    return 1;
}


void
ngx_http_s3_cache_mirror_record(ngx_http_s3_cache_job_t *job,
    s3c_record_sh_t *rec, const s3c_record_view_t *was, size_t bytes)
{
    uint64_t  now, left, expires;

    if (job->heat == 0) {
        return;
    }

    now = ngx_http_s3_cache_now();
    left = job->zone->peers->mirror_time;

    if (job->conf->rules.mode != S3C_FRESHNESS_IMMUTABLE) {
        expires = atomic_load_explicit(&rec->expires_ms, memory_order_relaxed);
        left = ngx_min(left, expires - ngx_min(expires, now));
    }

    if (left == 0 || !mirror_begin(job, job->object, bytes)) {
        return;
    }

    rec->flags |= S3C_RECORD_MIRROR;

    if (job->head && (was->flags & S3C_RECORD_INLINE) && was->total > 0) {
        /* its owner has no block of it: for HEAD alone */
        rec->flags |= S3C_RECORD_NOBODY;
    }

    atomic_store_explicit(&rec->expires_ms, now + left, memory_order_relaxed);
    job->keep = 1;
}


s3c_status_t
ngx_http_s3_cache_mirror_alloc(ngx_http_s3_cache_job_t *job, uint64_t bytes)
{
    tail_sh_t     *tail;
    uint64_t       size;
    s3c_status_t   st;
    s3c_hash128_t  key;

    size = ngx_align(bytes, sizeof(uint64_t)) + sizeof(tail_sh_t);

    key = s3c_key_block(job->zone->secret, job->object, job->generation,
                        job->block, job->conf->block_size);

    if (job->heat == 0) {
        return ngx_http_s3_cache_job_alloc(job, NULL, bytes);
    }

    job->keep = 0;                       /* its record may be a mirror */

    if (size > S3C_RAM_ENTRY_MAX || !mirror_begin(job, key, size)) {
        return ngx_http_s3_cache_job_alloc(job, NULL, bytes);
    }

    st = ngx_http_s3_cache_job_alloc(job, NULL, size);
    if (st != S3C_OK) {
        return st;
    }

    job->size = (uint32_t) bytes;
    tail = mirror_tail(job->zone, &job->pin, job->size);

    if (tail != NULL) {
        tail->magic = TAIL_MAGIC;
        tail->expires_ms = ngx_http_s3_cache_now()
                           + job->zone->peers->mirror_time;
        job->keep = 1;
    }

    return S3C_OK;
}


/* The tail's place in an entry with so many bytes of a block. NULL: none. */

static tail_sh_t *
mirror_tail(ngx_http_s3_cache_zone_t *zone, const s3c_ram_pin_t *pin,
    uint32_t bytes)
{
    int           n;
    size_t        off;
    struct iovec  iov;

    off = ngx_align(bytes, sizeof(uint64_t));
    n = 1;

    if (s3c_ram_size(zone->ram, pin) != off + sizeof(tail_sh_t)
        || s3c_ram_span(zone->ram, pin, off, sizeof(tail_sh_t), &iov, &n)
           != sizeof(tail_sh_t))
    {
        return NULL;
    }

    return iov.iov_base;
}


ngx_uint_t
ngx_http_s3_cache_mirror_hit(ngx_http_s3_cache_ctx_t *ctx)
{
    uint64_t  expires;

    expires = atomic_load_explicit(&ctx->view.rec->expires_ms,
                                   memory_order_relaxed);

    if (ngx_http_s3_cache_now() >= expires
        || ctx->served
        || ngx_http_s3_cache_wants_truth(ctx)
        || !ngx_http_s3_cache_vouched(ctx)
        || !mirror_on(ctx->zone->peers))
    {
        return 0;
    }

    if ((ctx->view.flags & S3C_RECORD_NOBODY) && !ctx->head) {
        return 0;
    }

    if (ctx->ask.checksum_mode && ctx->ask.range.kind == S3C_RANGE_NONE
        && !(ctx->view.flags & (S3C_RECORD_FULL|S3C_RECORD_ERROR)))
    {
        return 0;
    }

    (void) ngx_http_s3_cache_mirror_heat(ctx, ctx->object);
    s3c_stats_add(&ctx->zone->stats, S3C_STAT_MIRROR_HITS, 1);
    ctx->tier = NGX_HTTP_S3_CACHE_TIER_MIRROR;

    return 1;
}


ngx_int_t
ngx_http_s3_cache_mirror_leave(ngx_http_s3_cache_ctx_t *ctx)
{
    (void) s3c_ram_drop_pinned(ctx->zone->ram, &ctx->pin);

    return ngx_http_s3_cache_restart(ctx);
}


ngx_int_t
ngx_http_s3_cache_mirror_block(ngx_http_s3_cache_ctx_t *ctx, s3c_hash128_t key)
{
    uint64_t    first;
    tail_sh_t  *tail;

    if (ctx->zone->peers == NULL) {
        return NGX_OK;
    }

    first = ctx->block * ctx->conf->block_size;
    tail = mirror_tail(ctx->zone, &ctx->block_pin,
                       (uint32_t) ngx_min(ctx->conf->block_size,
                                          ctx->view.total - first));

    if (tail == NULL || tail->magic != TAIL_MAGIC) {
        return NGX_OK;
    }

    if (ngx_http_s3_cache_now() >= tail->expires_ms
        || !mirror_on(ctx->zone->peers))
    {
        (void) s3c_ram_drop_pinned(ctx->zone->ram, &ctx->block_pin);
        s3c_ram_unpin(ctx->zone->ram, &ctx->block_pin);
        return NGX_DECLINED;
    }

    if (!ctx->served) {
        (void) ngx_http_s3_cache_mirror_heat(ctx, key);
        s3c_stats_add(&ctx->zone->stats, S3C_STAT_MIRROR_HITS, 1);
    }

    if (ctx->tier == NGX_HTTP_S3_CACHE_TIER_RAM) {
        ctx->tier = NGX_HTTP_S3_CACHE_TIER_MIRROR;
    }

    return NGX_OK;
}


void
ngx_http_s3_cache_mirror_sweep(ngx_http_s3_cache_zone_t *zone)
{
    uint64_t       now;
    ngx_uint_t     i;
    s3c_hash128_t  key;
    s3c_ram_pin_t  pin;

    if (zone->peers == NULL || zone->peers->shared == NULL) {
        return;
    }

    now = ngx_http_s3_cache_now();

    for (i = 0; i < SWEEP_MAX; i++) {

        if (!s3c_hot_due_take(&zone->peers->shared->due, now, &key)) {
            return;
        }

        ngx_memzero(&pin, sizeof(s3c_ram_pin_t));

        if (s3c_ram_find(zone->ram, key, now, &pin) == S3C_OK
            && mirror_expires(zone, &pin) <= now)
        {
            (void) s3c_ram_drop_pinned(zone->ram, &pin);
        }

        if (s3c_ram_pinned(&pin)) {
            s3c_ram_unpin(zone->ram, &pin);
        }
    }
}


/* Of any live entry: UINT64_MAX if it is no mirror. What looks like one and is
 * none is dropped for nothing. */

static uint64_t
mirror_expires(ngx_http_s3_cache_zone_t *zone, const s3c_ram_pin_t *pin)
{
    int               n;
    size_t            size;
    tail_sh_t        *tail;
    struct iovec      iov;
    s3c_record_sh_t  *rec;

    n = 1;
    size = s3c_ram_size(zone->ram, pin);

    if (s3c_ram_span(zone->ram, pin, 0, sizeof(s3c_record_sh_t), &iov, &n)
        == sizeof(s3c_record_sh_t)
        && s3c_record_check(iov.iov_base) == S3C_OK)
    {
        rec = iov.iov_base;

        return (rec->flags & S3C_RECORD_MIRROR)
               ? atomic_load_explicit(&rec->expires_ms, memory_order_relaxed)
               : UINT64_MAX;
    }

    n = 1;

    if (size % sizeof(uint64_t) == 0 && size > sizeof(tail_sh_t)
        && s3c_ram_span(zone->ram, pin, size - sizeof(tail_sh_t),
                        sizeof(tail_sh_t), &iov, &n) == sizeof(tail_sh_t))
    {
        tail = iov.iov_base;

        if (tail->magic == TAIL_MAGIC) {
            return tail->expires_ms;
        }
    }

    return UINT64_MAX;
}


s3c_status_t
ngx_http_s3_cache_mirror_drop(ngx_http_s3_cache_zone_t *zone,
    s3c_hash128_t object)
{
    return s3c_ram_drop(zone->ram, object);
}
