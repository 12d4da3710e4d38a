/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the next bytes of an answer are: in the object's own entry, in that of
 * a block, or in that of a piece of one. What is not in memory is brought by a
 * fill, from flash or from the origin; what will be wanted next is begun.
 */

#include "ngx_http_s3_cache_flash.h"
#include "ngx_http_s3_cache_lookup.h"
#include "ngx_http_s3_cache_mirror.h"


static ngx_int_t ngx_http_s3_cache_block_pin(ngx_http_s3_cache_ctx_t *ctx,
    uint64_t block);
static s3c_status_t ngx_http_s3_cache_block_miss(
    ngx_http_s3_cache_ctx_t *ctx, s3c_hash128_t key);
static s3c_status_t ngx_http_s3_cache_pieces(ngx_http_s3_cache_ctx_t *ctx,
    s3c_hash128_t block, const ngx_http_s3_cache_flash_block_t *src);
static ngx_uint_t ngx_http_s3_cache_piece(ngx_http_s3_cache_ctx_t *ctx);
static void ngx_http_s3_cache_piece_range(ngx_http_s3_cache_ctx_t *ctx,
    ngx_uint_t piece, size_t *off, size_t *len);
static uint64_t ngx_http_s3_cache_wanted(ngx_http_s3_cache_ctx_t *ctx,
    uint64_t block);
static void ngx_http_s3_cache_from_flash(ngx_http_s3_cache_ctx_t *ctx);
static ngx_int_t ngx_http_s3_cache_ahead_hold(ngx_http_s3_cache_ctx_t *ctx,
    uint64_t block, const s3c_ram_pin_t *pin);
static s3c_status_t ngx_http_s3_cache_ahead_take(ngx_http_s3_cache_ctx_t *ctx,
    uint64_t block);
static void ngx_http_s3_cache_ahead(ngx_http_s3_cache_ctx_t *ctx);


ngx_int_t
ngx_http_s3_cache_source(ngx_http_s3_cache_ctx_t *ctx, s3c_ram_pin_t **pin,
    uint64_t *off, uint64_t *end)
{
    size_t     block_size, start, len;
    uint64_t   block, first, bytes;
    ngx_int_t  rc;

    if (ctx->view.flags & S3C_RECORD_INLINE) {
        *pin = &ctx->pin;
        *off = ctx->view.head_bytes + ctx->pos;
        *end = ctx->view.head_bytes + ctx->reply.last + 1;
        return NGX_OK;
    }

    block_size = ctx->conf->block_size;
    block = ctx->pos / block_size;

    if (!s3c_ram_pinned(&ctx->block_pin) || ctx->block != block
        || (ctx->piece != NGX_HTTP_S3_CACHE_PIECE_NONE
            && ctx->piece != ngx_http_s3_cache_piece(ctx)))
    {
        rc = ngx_http_s3_cache_block_pin(ctx, block);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    first = block * block_size;
    bytes = block_size;

    if (ctx->piece != NGX_HTTP_S3_CACHE_PIECE_NONE) {
        ngx_http_s3_cache_piece_range(ctx, ctx->piece, &start, &len);
        first += start;
        bytes = len;
    }

    *pin = &ctx->block_pin;
    *off = ctx->pos - first;
    *end = ngx_min(bytes, ctx->reply.last + 1 - first);

    return NGX_OK;
}


ngx_uint_t
ngx_http_s3_cache_block_again(ngx_http_s3_cache_ctx_t *ctx, uint32_t reason)
{
    if (!s3c_ram_pinned(&ctx->block_pin)) {
        return 0;
    }

    if (reason == NGX_HTTP_S3_CACHE_FILL_FLASH && !ctx->flash_off) {
        ctx->flash_off = 1;

    } else if (reason == S3C_FILL_REASON_DIED && !ctx->retried) {
        ctx->retried = 1;

    } else {
        return 0;
    }

    s3c_ram_unpin(ctx->zone->ram, &ctx->block_pin);

    return 1;
}


static ngx_int_t
ngx_http_s3_cache_block_pin(ngx_http_s3_cache_ctx_t *ctx, uint64_t block)
{
    s3c_ram_t      *ram;
    s3c_status_t    st;
    s3c_hash128_t   key;

    ram = ctx->zone->ram;

    if (s3c_ram_pinned(&ctx->block_pin)) {
        s3c_ram_unpin(ram, &ctx->block_pin);
    }

    ctx->block = block;
    ctx->piece = NGX_HTTP_S3_CACHE_PIECE_NONE;

    key = s3c_key_block(ctx->zone->secret, ctx->object, ctx->view.generation,
                        block, ctx->conf->block_size);

    st = ngx_http_s3_cache_ahead_take(ctx, block);

    if (st == S3C_MISS) {
        st = ngx_http_s3_cache_find(ctx, key, &ctx->block_pin);

        if (st == S3C_OK
            && ngx_http_s3_cache_mirror_block(ctx, key) != NGX_OK)
        {
            st = S3C_MISS;
        }
    }

    if (st == S3C_MISS) {
        st = ngx_http_s3_cache_block_miss(ctx, key);
    }

    if (st == S3C_AGAIN && ctx->kept && s3c_ram_pinned(&ctx->block_pin)) {
        /* it may be the asking node that is waited for */
        s3c_ram_unpin(ram, &ctx->block_pin);
        return NGX_DECLINED;
    }

    if (st == S3C_AGAIN && !ctx->led) {
        ctx->followed = 1;

        if (!ctx->sending && ctx->result == NGX_HTTP_S3_CACHE_HIT) {
            ctx->result = NGX_HTTP_S3_CACHE_SHARED;
        }
    }

    if (!s3c_ram_pinned(&ctx->block_pin)) {
        return NGX_DECLINED;
    }

    if (ctx->piece == NGX_HTTP_S3_CACHE_PIECE_NONE) {
        ngx_http_s3_cache_ahead(ctx);
    }

    return NGX_OK;
}


/*
 * A block that is not in memory: from flash, the whole of it or the pieces
 * that are wanted, else from the origin.
 */

static s3c_status_t
ngx_http_s3_cache_block_miss(ngx_http_s3_cache_ctx_t *ctx, s3c_hash128_t key)
{
    s3c_ram_t                        *ram;
    ngx_int_t                         flash;
    s3c_status_t                      st;
    ngx_http_s3_cache_flash_block_t   src;

    ram = ctx->zone->ram;
    flash = ngx_http_s3_cache_flash_find(ctx, ctx->block, &src);

    if (flash == NGX_OK
        && !s3c_stored_whole(ngx_http_s3_cache_wanted(ctx, ctx->block),
                             src.bytes))
    {
        st = ngx_http_s3_cache_pieces(ctx, key, &src);
        if (st != S3C_MISS) {
            return st;
        }
    }

    if (ctx->kept && flash != NGX_OK) {
        return S3C_MISS;
    }

    st = ngx_http_s3_cache_lead(ctx, key, &ctx->block_pin);

    if (st != S3C_OK) {
        return st;
    }

    if (flash == NGX_OK
        && ngx_http_s3_cache_flash_fill(ctx, &ctx->block_pin, &src, 0,
                                        src.bytes)
           == NGX_OK)
    {
        ngx_http_s3_cache_from_flash(ctx);
        return S3C_OK;
    }

    if (ctx->kept) {
        s3c_ram_fill_fail(ram, &ctx->block_pin, NGX_HTTP_S3_CACHE_FILL_AGAIN);
        s3c_ram_unpin(ram, &ctx->block_pin);
        return S3C_MISS;
    }

    (void) ngx_http_s3_cache_fill_block(ctx, &ctx->block_pin, ctx->block);

    ctx->led = 1;
    ctx->tier = ctx->peered ? NGX_HTTP_S3_CACHE_TIER_PEER
                            : NGX_HTTP_S3_CACHE_TIER_ORIGIN;

    if (!ctx->sending) {
        ctx->result = NGX_HTTP_S3_CACHE_MISS;
    }

    return S3C_OK;
}


/*
 * Pieces of a block have entries of their own; they are cut as the frames on
 * flash are. That of ctx->pos is pinned, of those behind it as many are begun
 * as this request will want. MISS: flash would not do it after all.
 */

static s3c_status_t
ngx_http_s3_cache_pieces(ngx_http_s3_cache_ctx_t *ctx, s3c_hash128_t block,
    const ngx_http_s3_cache_flash_block_t *src)
{
    size_t          off, len;
    uint64_t        first, last;
    s3c_ram_t      *ram;
    ngx_uint_t      i, n, piece;
    s3c_status_t    st, result;
    s3c_hash128_t   key;
    s3c_ram_pin_t   pin;

    ram = ctx->zone->ram;
    first = ctx->block * ctx->conf->block_size;
    last = ngx_min(ctx->reply.last - first, src->bytes - 1);
    ctx->skew = src->base % NGX_HTTP_S3_CACHE_PIECE;
    piece = ngx_http_s3_cache_piece(ctx);
    result = S3C_MISS;

    n = ngx_min((last + ctx->skew) / NGX_HTTP_S3_CACHE_PIECE - piece + 1,
                NGX_HTTP_S3_CACHE_PIECES_AHEAD);

    for (i = 0; i < n; i++) {
        ngx_memzero(&pin, sizeof(s3c_ram_pin_t));

        key = s3c_key_piece(ctx->zone->secret, block, ctx->skew, piece + i);
        st = s3c_ram_find(ram, key, ngx_http_s3_cache_now(), &pin);

        if (st == S3C_MISS) {
            st = s3c_ram_fill_begin(ram, key, ngx_http_s3_cache_now(), &pin);

            if (st == S3C_OK) {
                ngx_http_s3_cache_piece_range(ctx, piece + i, &off, &len);
                len = ngx_min(len, src->bytes - off);

                if (ngx_http_s3_cache_flash_fill(ctx, &pin, src, off, len)
                    != NGX_OK)
                {
                    s3c_ram_fill_fail(ram, &pin,
                                      NGX_HTTP_S3_CACHE_FILL_FLASH);
                    s3c_ram_unpin(ram, &pin);
                    break;
                }

                if (i == 0) {
                    ngx_http_s3_cache_from_flash(ctx);
                }
            }
        }

        if (!s3c_ram_pinned(&pin)) {
            break;
        }

        if (i == 0) {
            ctx->block_pin = pin;
            ctx->piece = piece;
            result = (st == S3C_AGAIN) ? S3C_AGAIN : S3C_OK;

        } else {
            s3c_ram_unpin(ram, &pin);
        }
    }

    return result;
}


static ngx_uint_t
ngx_http_s3_cache_piece(ngx_http_s3_cache_ctx_t *ctx)
{
    return (ctx->pos % ctx->conf->block_size + ctx->skew)
           / NGX_HTTP_S3_CACHE_PIECE;
}


/* Which bytes of the block a piece has, were the block longer than it. */

static void
ngx_http_s3_cache_piece_range(ngx_http_s3_cache_ctx_t *ctx, ngx_uint_t piece,
    size_t *off, size_t *len)
{
    *off = piece * NGX_HTTP_S3_CACHE_PIECE;
    *len = NGX_HTTP_S3_CACHE_PIECE;

    if (piece > 0) {
        *off -= ctx->skew;

    } else {
        *len -= ctx->skew;
    }
}


/* How many bytes of a block this request wants, from ctx->pos on. */

static uint64_t
ngx_http_s3_cache_wanted(ngx_http_s3_cache_ctx_t *ctx, uint64_t block)
{
    uint64_t  first, from, last;

    first = block * ctx->conf->block_size;
    from = ngx_max(first, ctx->pos);
    last = ngx_min(ctx->reply.last, first + ctx->conf->block_size - 1);

    return last - from + 1;
}


static void
ngx_http_s3_cache_from_flash(ngx_http_s3_cache_ctx_t *ctx)
{
    if (ctx->begun_us == 0) {
        ctx->begun_us = ngx_http_s3_cache_usec();
    }

    if (ctx->tier != NGX_HTTP_S3_CACHE_TIER_ORIGIN
        && ctx->tier != NGX_HTTP_S3_CACHE_TIER_PEER)
    {
        ctx->tier = NGX_HTTP_S3_CACHE_TIER_FLASH;
    }
}


/* Blocks that this reader will want are asked for while it reads. */

static void
ngx_http_s3_cache_ahead(ngx_http_s3_cache_ctx_t *ctx)
{
    uint64_t                         block, last;
    s3c_ram_t                       *ram;
    ngx_int_t                        flash;
    s3c_hash128_t                    key;
    s3c_ram_pin_t                    pin;
    ngx_http_s3_cache_flash_block_t  src;

    ram = ctx->zone->ram;

    last = ngx_min(ctx->reply.last / ctx->conf->block_size,
                   ctx->block + ctx->conf->read_ahead - 1);

    for (block = ngx_max(ctx->block + 1, ctx->ahead_to);
         block <= last;
         block++)
    {
        ngx_memzero(&pin, sizeof(s3c_ram_pin_t));

        key = s3c_key_block(ctx->zone->secret, ctx->object,
                            ctx->view.generation, block,
                            ctx->conf->block_size);

        switch (s3c_ram_find(ram, key, ngx_http_s3_cache_now(), &pin)) {

        case S3C_MISS:
            flash = ngx_http_s3_cache_flash_find(ctx, block, &src);

            if (flash == NGX_OK
                && !s3c_stored_whole(ngx_http_s3_cache_wanted(ctx, block),
                                     src.bytes))
            {
                /* its pieces come when it is reached */
                ctx->ahead_to = block + 1;
                continue;
            }

            switch (s3c_ram_fill_begin(ram, key, ngx_http_s3_cache_now(),
                                       &pin))
            {
            case S3C_OK:
                if (flash != NGX_OK
                    || ngx_http_s3_cache_flash_fill(ctx, &pin, &src, 0,
                                                    src.bytes)
                       != NGX_OK)
                {
                    (void) ngx_http_s3_cache_fill_block(ctx, &pin, block);
                }
                break;

            case S3C_AGAIN:
            case S3C_EXISTS:
                break;

            default:
                return;      /* enough is under way */
            }
            break;

        case S3C_OK:
        case S3C_AGAIN:
            break;

        default:
            return;
        }

        if (!ctx->peered || ngx_http_s3_cache_ahead_hold(ctx, block, &pin)
                            != NGX_OK)
        {
            s3c_ram_unpin(ram, &pin);
        }

        ctx->ahead_to = block + 1;
    }
}


/* What another node sends ahead is nobody's if this reader does not hold it. */

static ngx_int_t
ngx_http_s3_cache_ahead_hold(ngx_http_s3_cache_ctx_t *ctx, uint64_t block,
    const s3c_ram_pin_t *pin)
{
    ngx_uint_t                  i;
    ngx_http_s3_cache_ahead_t  *ahead;

    if (ctx->aheads == NULL) {
        ctx->aheads = ngx_pcalloc(ctx->request->pool, ctx->conf->read_ahead
                                  * sizeof(ngx_http_s3_cache_ahead_t));
        if (ctx->aheads == NULL) {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < ctx->conf->read_ahead; i++) {
        ahead = &ctx->aheads[i];

        if (!s3c_ram_pinned(&ahead->pin)) {
            ahead->block = block;
            ahead->pin = *pin;
            return NGX_OK;
        }
    }

    return NGX_ERROR;
}


void
ngx_http_s3_cache_ahead_lend(ngx_http_s3_cache_ctx_t *ctx, uint64_t block,
    const s3c_ram_pin_t *pin)
{
    s3c_ram_pin_t  mine;

    if (s3c_ram_pin_again(ctx->zone->ram, pin, &mine) == S3C_OK
        && ngx_http_s3_cache_ahead_hold(ctx, block, &mine) != NGX_OK)
    {
        s3c_ram_unpin(ctx->zone->ram, &mine);
    }
}


/* The pin of this block moves to ctx->block_pin, if there is one; those behind
 * it are not needed any more. What it is the reader finds out by a look at it:
 * OK or MISS. */

static s3c_status_t
ngx_http_s3_cache_ahead_take(ngx_http_s3_cache_ctx_t *ctx, uint64_t block)
{
    ngx_uint_t                  i;
    s3c_status_t                st;
    s3c_fill_view_t             fill;
    ngx_http_s3_cache_ahead_t  *ahead;

    if (ctx->aheads == NULL) {
        return S3C_MISS;
    }

    st = S3C_MISS;

    for (i = 0; i < ctx->conf->read_ahead; i++) {
        ahead = &ctx->aheads[i];

        if (!s3c_ram_pinned(&ahead->pin) || ahead->block > block) {
            continue;
        }

        if (ahead->block < block || st == S3C_OK) {
            s3c_ram_unpin(ctx->zone->ram, &ahead->pin);
            continue;
        }

        s3c_ram_view(ctx->zone->ram, &ahead->pin, &fill);

        if (fill.phase == S3C_FILL_FAILED) {
            s3c_ram_unpin(ctx->zone->ram, &ahead->pin);
            continue;
        }

        ctx->block_pin = ahead->pin;
        ngx_memzero(&ahead->pin, sizeof(s3c_ram_pin_t));
        st = S3C_OK;
    }

    return st;
}
