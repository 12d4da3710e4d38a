/* SPDX-License-Identifier: Apache-2.0
 *
 * Entries of the memory tier filled from flash. Such a fill is a leader like
 * any job's: its readers, in all workers, watch it and share its one read. It
 * belongs to its worker; no client can end it. If flash fails, it fails with a
 * reason that makes its readers look again, and the origin answers them.
 */

#include "ngx_http_s3_cache_flash.h"


#define SPANS          8
#define PUBLISH_BYTES  (256 * 1024)


/* What fills one entry: payload [base, base + size) of one record. */

typedef struct ngx_http_s3_cache_flash_s  ngx_http_s3_cache_flash_t;

struct ngx_http_s3_cache_flash_s {
    s3c_ssd_read_t                 read;
    ngx_http_s3_cache_flash_t     *next;       /* when free */
    ngx_http_s3_cache_zone_t      *zone;
    s3c_ram_pin_t                  pin;
    uint64_t                       version;    /* a block's */
    uint64_t                       base;
    uint32_t                       size;       /* of the entry */
    uint32_t                       off;        /* written so far */
    uint32_t                       published;
    uint32_t                       head_bytes; /* an object's */
    s3c_hash128_t                  key;
    s3c_stored_times_t             times;
    s3c_stored_vouch_rec_t         vouch;
    unsigned                       object:1;
    unsigned                       part:1;     /* its head is all we want */
    unsigned                       apart:1;
    unsigned                       allocated:1;
};


static ngx_http_s3_cache_flash_t *ngx_http_s3_cache_flash_create(
    ngx_http_s3_cache_zone_t *zone, const s3c_ram_pin_t *pin,
    s3c_hash128_t key);
static void ngx_http_s3_cache_flash_destroy(ngx_http_s3_cache_flash_t *f);
static ngx_int_t ngx_http_s3_cache_flash_start(ngx_http_s3_cache_flash_t *f);
static s3c_status_t ngx_http_s3_cache_flash_on_vouch(s3c_ssd_read_t *read,
    const s3c_ssd_record_t *record, uint32_t off, const uint8_t *data,
    uint32_t len);
static void ngx_http_s3_cache_flash_vouch_end(s3c_ssd_read_t *read,
    s3c_status_t st);
static s3c_status_t ngx_http_s3_cache_flash_on_data(s3c_ssd_read_t *read,
    const s3c_ssd_record_t *record, uint32_t off, const uint8_t *data,
    uint32_t len);
static s3c_status_t ngx_http_s3_cache_flash_begin(
    ngx_http_s3_cache_flash_t *f, const s3c_ssd_record_t *record,
    const uint8_t *data, uint32_t len);
static void ngx_http_s3_cache_flash_on_end(s3c_ssd_read_t *read,
    s3c_status_t st);
static void ngx_http_s3_cache_flash_fail(ngx_http_s3_cache_flash_t *f,
    s3c_status_t st);


static ngx_http_s3_cache_flash_t  *ngx_http_s3_cache_flash_free;


ngx_int_t
ngx_http_s3_cache_flash_object(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin)
{
    uint64_t                    bytes, wanted;
    s3c_hash128_t               key;
    ngx_http_s3_cache_flash_t  *f;

    if (ctx->zone->ssd == NULL || ctx->flash_off
        || s3c_ssd_find(ctx->zone->ssd, ctx->object, &bytes) != S3C_OK)
    {
        return NGX_DECLINED;
    }

    f = ngx_http_s3_cache_flash_create(ctx->zone, pin, ctx->object);
    if (f == NULL) {
        return NGX_DECLINED;
    }

    f->object = 1;

    wanted = bytes;

    if (ctx->head) {
        wanted = 0;

    } else if (ctx->ask.range.kind == S3C_RANGE_FROM_TO) {
        wanted = ngx_min(ctx->ask.range.last - ctx->ask.range.first, bytes);

    } else if (ctx->ask.range.kind == S3C_RANGE_SUFFIX) {
        wanted = ctx->ask.range.suffix;
    }

    f->part = !s3c_stored_whole(wanted, bytes);

    key = s3c_key_times(ctx->zone->secret, ctx->object);

    if (s3c_ssd_find(ctx->zone->ssd, key, &bytes) == S3C_OK) {
        /* vouched for after it was written: that comes first */
        f->read.key = key;
        f->read.len = UINT32_MAX;
        f->read.on_data = ngx_http_s3_cache_flash_on_vouch;
        f->read.on_end = ngx_http_s3_cache_flash_vouch_end;

        if (s3c_ssd_read(ctx->zone->ssd, &f->read, ngx_http_s3_cache_now())
            == S3C_OK)
        {
            ngx_http_s3_cache_store_kick(ctx->zone);
            return NGX_OK;
        }
    }

    if (ngx_http_s3_cache_flash_start(f) != NGX_OK) {
        ngx_http_s3_cache_flash_destroy(f);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_s3_cache_flash_find(ngx_http_s3_cache_ctx_t *ctx, uint64_t block,
    ngx_http_s3_cache_flash_block_t *src)
{
    size_t    block_size;
    uint64_t  bytes, first;

    if (ctx->zone->ssd == NULL || ctx->flash_off) {
        return NGX_DECLINED;
    }

    block_size = ctx->conf->block_size;
    first = block * block_size;

    src->key = s3c_key_block(ctx->zone->secret, ctx->object,
                             ctx->view.generation, block, block_size);
    src->version = s3c_stored_version(ctx->view.generation, 0);
    src->base = 0;
    src->bytes = ngx_min(block_size, ctx->view.total - first);

    if (s3c_ssd_find(ctx->zone->ssd, src->key, &bytes) == S3C_OK) {
        return NGX_OK;
    }

    if (!(ctx->view.flags & S3C_RECORD_APART)) {
        return NGX_DECLINED;
    }

    src->key = ctx->object;
    src->version = s3c_stored_version(ctx->view.generation,
                                      ctx->view.head_bytes);
    src->base = ctx->view.head_bytes + first;

    return s3c_ssd_find(ctx->zone->ssd, src->key, &bytes) == S3C_OK
           ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_s3_cache_flash_fill(ngx_http_s3_cache_ctx_t *ctx,
    const s3c_ram_pin_t *pin, const ngx_http_s3_cache_flash_block_t *src,
    size_t off, size_t len)
{
    ngx_http_s3_cache_flash_t  *f;

    f = ngx_http_s3_cache_flash_create(ctx->zone, pin, src->key);
    if (f == NULL) {
        return NGX_DECLINED;
    }

    f->version = src->version;
    f->base = src->base + off;
    f->size = len;

    if (ngx_http_s3_cache_flash_start(f) != NGX_OK) {
        ngx_http_s3_cache_flash_destroy(f);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_http_s3_cache_flash_t *
ngx_http_s3_cache_flash_create(ngx_http_s3_cache_zone_t *zone,
    const s3c_ram_pin_t *pin, s3c_hash128_t key)
{
    ngx_http_s3_cache_flash_t  *f;

    f = ngx_http_s3_cache_flash_free;

    if (f != NULL) {
        ngx_http_s3_cache_flash_free = f->next;

    } else {
        f = ngx_alloc(sizeof(ngx_http_s3_cache_flash_t), ngx_cycle->log);
        if (f == NULL) {
            return NULL;
        }
    }

    ngx_memzero(f, sizeof(ngx_http_s3_cache_flash_t));

    f->zone = zone;
    f->key = key;
    f->read.data = f;

    if (s3c_ram_pin_again(zone->ram, pin, &f->pin) != S3C_OK) {
        ngx_http_s3_cache_flash_destroy(f);
        return NULL;
    }

    return f;
}


static void
ngx_http_s3_cache_flash_destroy(ngx_http_s3_cache_flash_t *f)
{
    if (s3c_ram_pinned(&f->pin)) {
        s3c_ram_unpin(f->zone->ram, &f->pin);
    }

    f->next = ngx_http_s3_cache_flash_free;
    ngx_http_s3_cache_flash_free = f;
}


/* The worker ends, and has let go of the tier: nothing is under way. */

void
ngx_http_s3_cache_flash_exit(void)
{
    ngx_http_s3_cache_flash_t  *f;

    while (ngx_http_s3_cache_flash_free != NULL) {
        f = ngx_http_s3_cache_flash_free;
        ngx_http_s3_cache_flash_free = f->next;
        ngx_free(f);
    }
}


static ngx_int_t
ngx_http_s3_cache_flash_start(ngx_http_s3_cache_flash_t *f)
{
    f->read.key = f->key;
    f->read.on_data = ngx_http_s3_cache_flash_on_data;
    f->read.on_end = ngx_http_s3_cache_flash_on_end;

    if (f->object) {
        f->read.off = 0;
        f->read.len = f->part ? 1 : UINT32_MAX;

    } else {
        if (f->base + f->size > UINT32_MAX) {
            return NGX_ERROR;
        }

        f->read.off = f->base;
        f->read.len = f->size;
    }

    /* a worker that ends has let go of the tier already */

    if (f->zone->ssd == NULL
        || s3c_ssd_read(f->zone->ssd, &f->read, ngx_http_s3_cache_now())
           != S3C_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_s3_cache_store_kick(f->zone);

    return NGX_OK;
}


/* When an object was vouched for last: a record of its own. */

static s3c_status_t
ngx_http_s3_cache_flash_on_vouch(s3c_ssd_read_t *read,
    const s3c_ssd_record_t *record, uint32_t off, const uint8_t *data,
    uint32_t len)
{
    ngx_http_s3_cache_flash_t *f = read->data;

    if (off == 0 && len == sizeof(s3c_stored_vouch_rec_t)) {
        ngx_memcpy(&f->vouch, data, len);
    }

    return S3C_OK;
}


/* However that ended: it only makes the record look younger. */

static void
ngx_http_s3_cache_flash_vouch_end(s3c_ssd_read_t *read, s3c_status_t st)
{
    ngx_http_s3_cache_flash_t *f = read->data;

    if (ngx_http_s3_cache_flash_start(f) != NGX_OK) {
        ngx_http_s3_cache_flash_fail(f, S3C_IO);
    }
}


static s3c_status_t
ngx_http_s3_cache_flash_on_data(s3c_ssd_read_t *read,
    const s3c_ssd_record_t *record, uint32_t off, const uint8_t *data,
    uint32_t len)
{
    ngx_http_s3_cache_flash_t *f = read->data;

    int           i, n;
    uint32_t      skip;
    s3c_status_t  st;
    struct iovec  iov[SPANS];

    if (!f->allocated) {
        st = ngx_http_s3_cache_flash_begin(f, record, data, len);
        if (st != S3C_OK) {
            return st;
        }
    }

    /* frames come whole and in order: the first may begin before our part */

    skip = (uint32_t) (f->base + f->off - off);

    if (off > f->base + f->off || skip > len) {
        return S3C_CORRUPT;
    }

    data += skip;
    len = ngx_min(len - skip, f->size - f->off);

    while (len > 0) {
        n = SPANS;

        if (s3c_ram_span(f->zone->ram, &f->pin, f->off, len, iov, &n) == 0) {
            return S3C_FULL;
        }

        for (i = 0; i < n; i++) {
            ngx_memcpy(iov[i].iov_base, data, iov[i].iov_len);
            data += iov[i].iov_len;
            len -= iov[i].iov_len;
            f->off += iov[i].iov_len;
        }
    }

    if (f->off < f->size && f->off - f->published >= PUBLISH_BYTES
        && !f->object)
    {
        f->published = f->off;
        s3c_ram_fill_publish(f->zone->ram, &f->pin, f->off);
    }

    return S3C_OK;
}


/* The first frame: what it is, and memory for it. */

static s3c_status_t
ngx_http_s3_cache_flash_begin(ngx_http_s3_cache_flash_t *f,
    const s3c_ssd_record_t *record, const uint8_t *data, uint32_t len)
{
    bool                is_inline;
    size_t              head_bytes;
    uint64_t            version;
    s3c_status_t        st;
    s3c_stored_times_t  vouched;

    head_bytes = 0;

    if (f->object) {
        if (s3c_stored_peek(data, len, record->size, &head_bytes, &version,
                            &is_inline)
            != S3C_OK
            || version != record->tag[0])
        {
            return S3C_CORRUPT;
        }

        if (f->part && is_inline && head_bytes > len) {
            /* a head of more than a frame: come again for all of it */
            return S3C_AGAIN;
        }

        f->apart = f->part && is_inline;
        f->size = f->apart ? head_bytes : record->size;
        f->head_bytes = head_bytes;
        f->times = s3c_stored_unpack(record->tag[1]);

        if (f->part && f->size > len) {
            return S3C_AGAIN;
        }

        if (f->vouch.version == version) {
            vouched = s3c_stored_unpack(f->vouch.times);

            if (vouched.validated_s > f->times.validated_s) {
                f->times = vouched;
            }
        }

    } else if (record->tag[0] != f->version
               || record->size < f->base + f->size)
    {
        /* another version under this key */
        return S3C_MISS;
    }

    st = s3c_ram_fill_alloc(f->zone->ram, &f->pin, f->size, head_bytes,
                            ngx_http_s3_cache_now());
    if (st != S3C_OK) {
        return S3C_FULL;
    }

    f->allocated = 1;

    return S3C_OK;
}


static void
ngx_http_s3_cache_flash_on_end(s3c_ssd_read_t *read, s3c_status_t st)
{
    ngx_http_s3_cache_flash_t *f = read->data;

    s3c_stored_now_t  now;

    if (st == S3C_AGAIN && f->part) {
        f->part = 0;

        if (ngx_http_s3_cache_flash_start(f) == NGX_OK) {
            return;
        }
    }

    if (st != S3C_OK || !f->allocated || f->off != f->size) {
        ngx_http_s3_cache_flash_fail(f, st);
        return;
    }

    if (f->object) {
        ngx_http_s3_cache_flash_clock(&now);
        s3c_stored_adopt(s3c_ram_head(f->zone->ram, &f->pin), f->times, now,
                         f->apart);
    }

    (void) s3c_ram_fill_commit(f->zone->ram, &f->pin,
                               ngx_http_s3_cache_now());
    ngx_http_s3_cache_flash_destroy(f);
}


static void
ngx_http_s3_cache_flash_fail(ngx_http_s3_cache_flash_t *f, s3c_status_t st)
{
    uint32_t  reason;

    s3c_stats_add(&f->zone->stats, S3C_STAT_FLASH_FALLBACK, 1);

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        reason = S3C_FILL_REASON_DIED;

    } else if (st == S3C_FULL) {
        reason = NGX_HTTP_S3_CACHE_FILL_ROOM;

    } else {
        reason = NGX_HTTP_S3_CACHE_FILL_FLASH;

        if (st == S3C_CORRUPT || st == S3C_OK) {
            /* whole on flash, but not what should be there */
            ngx_http_s3_cache_flash_drop(f->zone, f->key);
        }
    }

    s3c_ram_fill_fail(f->zone->ram, &f->pin, reason);
    ngx_http_s3_cache_flash_destroy(f);
}
