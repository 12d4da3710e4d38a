/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the buffers of reads lie: one mapping in huge pages, given out by
 * first fit in granules. Buffers are kept by their pool, so this is seldom
 * asked. Pages of 2 MiB that nobody uses go back when the pool is trimmed.
 */
#include "base/hugemem.h"
#include "ssd/ssd_read.h"

#define GRANULES_OF(bytes)   ((uint32_t) ((bytes) / S3C_SSD_HEAP_GRANULE))
#define PAGE_GRANULES        GRANULES_OF(S3C_HUGEMEM_ALIGN)


static inline bool
is_used(const s3c_ssd_heap_t *heap, uint32_t i)
{
    return heap->used[i / 64] >> (i % 64) & 1;
}


static void
mark(s3c_ssd_heap_t *heap, uint32_t from, uint32_t n, bool used)
{
    for (uint32_t i = from; i < from + n; i++) {
        if (used) {
            heap->used[i / 64] |= 1ull << (i % 64);
        } else {
            heap->used[i / 64] &= ~(1ull << (i % 64));
        }
    }
}


void *
s3c_ssd_heap_take(s3c_ssd_heap_t *heap, size_t bytes)
{
    uint32_t  i, run = 0, n = GRANULES_OF(bytes);

    assert(bytes % S3C_SSD_HEAP_GRANULE == 0);

    if (heap->base == NULL) {
        heap->base = s3c_hugemem_map(S3C_SSD_HEAP_BYTES);
        if (heap->base == NULL) {
            return NULL;
        }
    }

    for (i = 0; i < S3C_SSD_HEAP_GRANULES; i++) {
        if (i % 64 == 0 && heap->used[i / 64] == UINT64_MAX) {
            run = 0;
            i += 63;
            continue;
        }

        run = is_used(heap, i) ? 0 : run + 1;

        if (run == n) {
            i -= n - 1;
            mark(heap, i, n, true);
            heap->n_used += n;
            return heap->base + (size_t) i * S3C_SSD_HEAP_GRANULE;
        }
    }

    return NULL;
}


void
s3c_ssd_heap_give(s3c_ssd_heap_t *heap, void *p, size_t bytes)
{
    uint32_t  from, n = GRANULES_OF(bytes);

    from = GRANULES_OF((size_t) ((uint8_t *) p - heap->base));

    mark(heap, from, n, false);
    heap->n_used -= n;

    for (uint32_t i = from / PAGE_GRANULES;
         i <= (from + n - 1) / PAGE_GRANULES;
         i++)
    {
        heap->touched |= 1ull << i;
    }
}


void
s3c_ssd_heap_trim(s3c_ssd_heap_t *heap)
{
    for (uint32_t i = 0; i < S3C_SSD_HEAP_PAGES; i++) {
        bool  used = false;

        if (!(heap->touched >> i & 1)) {
            continue;
        }

        for (uint32_t k = 0; k < PAGE_GRANULES / 64; k++) {
            used |= heap->used[i * (PAGE_GRANULES / 64) + k] != 0;
        }

        if (!used) {
            s3c_hugemem_rest(heap->base + (size_t) i * S3C_HUGEMEM_ALIGN,
                             S3C_HUGEMEM_ALIGN);
            heap->touched &= ~(1ull << i);
        }
    }
}


void
s3c_ssd_heap_fini(s3c_ssd_heap_t *heap)
{
    if (heap->n_used == 0) {
        s3c_hugemem_unmap(heap->base, S3C_SSD_HEAP_BYTES);
        heap->base = NULL;
    }
}
