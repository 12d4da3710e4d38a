/* SPDX-License-Identifier: Apache-2.0
 *
 * Which piece of a store to read for some frames of a record, and the buffers
 * it is read into. The device never writes anywhere else: what a dead worker
 * left in flight may arrive seconds later.
 */
#include "ssd/ssd_read.h"

/* One frame, and 2, 4, 8, 16 of them, with a block more at both ends; below
 * that two sizes for small records. */
static const uint32_t  class_bytes[S3C_SSD_READ_CLASSES] = {
    8u << 10, 16u << 10, 40u << 10, 80u << 10, 144u << 10, 272u << 10,
    528u << 10, S3C_SSD_READ_WINDOW
};

#define FRAME_STRIDE   (S3C_SSD_HEAD_BYTES + S3C_SSD_FRAME_BYTES)
#define WINDOW_FRAMES  ((S3C_SSD_READ_WINDOW - 2 * S3C_SSD_BLOCK)             \
                        / FRAME_STRIDE)


/* --- geometry ------------------------------------------------------------ */

static inline uint64_t
place_end(s3c_ssd_place_t place)
{
    return s3c_ssd_place_off(place)
           + (uint64_t) s3c_ssd_place_units(place) * S3C_SSD_UNIT;
}


uint32_t
s3c_ssd_units_size(uint32_t units)
{
    uint64_t  bytes = (uint64_t) units * S3C_SSD_UNIT;
    uint64_t  n = bytes / FRAME_STRIDE, rest = bytes % FRAME_STRIDE;

    /* what is shorter than a head is no frame */
    return (uint32_t) (n * S3C_SSD_FRAME_BYTES
                       + (rest > S3C_SSD_HEAD_BYTES
                          ? rest - S3C_SSD_HEAD_BYTES : 0));
}


s3c_status_t
s3c_ssd_window_of(s3c_ssd_place_t place, uint32_t align, uint32_t frame,
    uint32_t end, s3c_ssd_window_t *window)
{
    uint64_t  from, to, limit = place_end(place);

    from = s3c_ssd_place_off(place) + s3c_ssd_frame_off(frame);

    if (from >= limit || limit - from < S3C_SSD_HEAD_BYTES) {
        return S3C_MISS;
    }

    window->frame = frame;
    window->end = end - frame < WINDOW_FRAMES ? end : frame + WINDOW_FRAMES;

    to = s3c_ssd_place_off(place) + s3c_ssd_frame_off(window->end);
    to = to < limit ? to : limit;
    to = (to + align - 1) & ~(uint64_t) (align - 1);

    window->off = from & ~(uint64_t) (align - 1);
    window->len = (uint32_t) (to - window->off);

    return S3C_OK;
}


uint32_t
s3c_ssd_window_need(s3c_ssd_place_t place, const s3c_ssd_window_t *window)
{
    uint64_t  end = window->off + window->len, limit = place_end(place);

    return (uint32_t) ((end < limit ? end : limit) - window->off);
}


/* --- buffers ------------------------------------------------------------- */

static void *
pool_pop(s3c_ssd_pool_t *pool, uint32_t k)
{
    void  *p = pool->free[k];

    if (p == NULL) {
        return NULL;
    }

    pool->free[k] = *(void **) p;
    pool->n_free[k]--;

    if (pool->n_free[k] < pool->n_spare[k]) {
        pool->n_spare[k] = pool->n_free[k];
    }

    return p;
}


static bool
pool_free_one(s3c_ssd_pool_t *pool, uint32_t k)
{
    void  *p = pool_pop(pool, k);

    if (p == NULL) {
        return false;
    }

    s3c_ssd_heap_give(&pool->heap, p, class_bytes[k]);
    pool->bytes -= class_bytes[k];

    return true;
}


/* What lies idle in other sizes makes room for this one; large ones first. */
static bool
pool_make_room(s3c_ssd_pool_t *pool, uint32_t bytes)
{
    uint32_t  k = S3C_SSD_READ_CLASSES;

    while (pool->bytes + bytes > S3C_SSD_READ_MEMORY) {
        while (k > 0 && pool->free[k - 1] == NULL) {
            k--;
        }

        if (k == 0) {
            return false;
        }

        (void) pool_free_one(pool, k - 1);
    }

    return true;
}


/* What is lent to a store, without what is lost. */
static void
pool_lend(s3c_ssd_pool_t *pool, uint32_t store, uint32_t bytes)
{
    pool->lent[store] += bytes;
    pool->lent_bytes += bytes;
}


static void
pool_unlend(s3c_ssd_pool_t *pool, uint32_t store, uint32_t bytes)
{
    pool->lent[store] -= bytes;
    pool->lent_bytes -= bytes;
}


s3c_status_t
s3c_ssd_pool_take(s3c_ssd_pool_t *pool, uint32_t store, uint32_t len,
    s3c_ssd_buffer_t *buffer)
{
    void      *p;
    uint32_t   k = 0;

    assert(len <= S3C_SSD_READ_WINDOW);

    while (class_bytes[k] < len) {
        k++;
    }

    if (pool->shared
        && pool->lent[store] + pool->lent_bytes >= S3C_SSD_READ_MEMORY)
    {
        return S3C_AGAIN;
    }

    p = pool_pop(pool, k);

    if (p == NULL) {
        if (!pool_make_room(pool, class_bytes[k])) {
            return S3C_BUSY;
        }

        p = s3c_ssd_heap_take(&pool->heap, class_bytes[k]);
        if (p == NULL) {
            return S3C_BUSY;
        }

        pool->bytes += class_bytes[k];
    }

    pool_lend(pool, store, class_bytes[k]);
    *buffer = (s3c_ssd_buffer_t) {
        .data = p, .size_class = (uint8_t) k, .store = (uint8_t) store
    };

    return S3C_OK;
}


void
s3c_ssd_pool_give(s3c_ssd_pool_t *pool, s3c_ssd_buffer_t *buffer)
{
    uint32_t  k = buffer->size_class;

    if (buffer->lost) {
        pool->lost_bytes -= class_bytes[k];
        s3c_ssd_heap_give(&pool->heap, buffer->data, class_bytes[k]);

    } else {
        pool_unlend(pool, buffer->store, class_bytes[k]);
        *(void **) buffer->data = pool->free[k];
        pool->free[k] = buffer->data;
        pool->n_free[k]++;
    }

    buffer->data = NULL;
}


void
s3c_ssd_pool_lose(s3c_ssd_pool_t *pool, s3c_ssd_buffer_t *buffer)
{
    uint32_t  bytes = class_bytes[buffer->size_class];

    if (!buffer->lost && pool->lost_bytes + bytes <= S3C_SSD_READ_MEMORY) {
        buffer->lost = true;
        pool_unlend(pool, buffer->store, bytes);
        pool->lost_bytes += bytes;
        pool->bytes -= bytes;
    }
}


void
s3c_ssd_pool_trim(s3c_ssd_pool_t *pool)
{
    for (uint32_t k = 0; k < S3C_SSD_READ_CLASSES; k++) {
        for (uint32_t n = (pool->n_spare[k] + 1) / 2; n > 0; n--) {
            (void) pool_free_one(pool, k);
        }

        pool->n_spare[k] = pool->n_free[k];
    }

    s3c_ssd_heap_trim(&pool->heap);
}


void
s3c_ssd_pool_fini(s3c_ssd_pool_t *pool)
{
    for (uint32_t k = 0; k < S3C_SSD_READ_CLASSES; k++) {
        while (pool_free_one(pool, k)) { /* void */ }
    }

    s3c_ssd_heap_fini(&pool->heap);
}
