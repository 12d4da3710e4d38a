/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys of mirrors in the order in which they are over: a list that may lose
 * some. One that is lost is dropped by who finds it, or evicted.
 */
#include "cluster/hot.h"

#define GET(a)     atomic_load_explicit(&(a), memory_order_acquire)
#define SET(a, v)  atomic_store_explicit(&(a), v, memory_order_release)


void
s3c_hot_due_put(s3c_hot_due_sh_t *due, s3c_hash128_t key, uint64_t due_ms)
{
    uint64_t  at;

    at = atomic_fetch_add_explicit(&due->head, 1, memory_order_relaxed)
         % S3C_HOT_DUE_MAX;

    SET(due->slot[at].lo, key.lo);
    SET(due->slot[at].hi, key.hi);
    SET(due->slot[at].due_ms, due_ms);
}


bool
s3c_hot_due_take(s3c_hot_due_sh_t *due, uint64_t now_ms, s3c_hash128_t *key)
{
    uint64_t  at, head, tail = GET(due->tail);

    for ( ;; ) {
        head = GET(due->head);

        if (tail >= head) {
            return false;
        }

        if (head - tail > S3C_HOT_DUE_MAX) {
            /* those were written over */
            if (atomic_compare_exchange_strong(&due->tail, &tail,
                                               head - S3C_HOT_DUE_MAX))
            {
                tail = head - S3C_HOT_DUE_MAX;
            }

            continue;
        }

        at = tail % S3C_HOT_DUE_MAX;

        if (GET(due->slot[at].due_ms) > now_ms) {
            return false;
        }

        key->lo = GET(due->slot[at].lo);
        key->hi = GET(due->slot[at].hi);

        if (atomic_compare_exchange_strong(&due->tail, &tail, tail + 1)) {
            return true;
        }
    }
}
