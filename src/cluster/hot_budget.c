/* SPDX-License-Identifier: Apache-2.0
 *
 * The budget of mirrors. Nothing tells when one of them is evicted or dropped,
 * so each counts for its whole life: bytes by the window in which they were
 * admitted, over the windows that may still live. Bytes are added before they
 * are summed up, so that two who come at once cannot both have the last.
 */
#include "cluster/hot.h"

#define BYTES_BITS  40
#define BYTES_MAX   ((1ull << BYTES_BITS) - 1)
#define NUMBERS     (1ull << 24)

#define GET(a)      atomic_load_explicit(&(a), memory_order_relaxed)


static uint64_t
window_of(uint32_t life_ms, uint64_t now_ms)
{
    uint32_t  window_ms = (life_ms + S3C_HOT_WINDOWS - 1) / S3C_HOT_WINDOWS;

    return now_ms / (window_ms > 0 ? window_ms : 1);
}


static uint64_t
spent_at(const s3c_hot_budget_sh_t *budget, uint64_t window)
{
    uint64_t  i, word, sum = 0;

    for (i = 0; i < S3C_HOT_SLOTS; i++) {
        word = GET(budget->slot[i]);

        if (((window - (word >> BYTES_BITS)) & (NUMBERS - 1))
            <= S3C_HOT_WINDOWS)
        {
            sum += word & BYTES_MAX;
        }
    }

    return sum;
}


/* back: they were not used after all. */
static void
slot_add(s3c_hot_budget_sh_t *budget, uint64_t window, uint64_t bytes,
    bool back)
{
    uint64_t          word, next, number = window & (NUMBERS - 1);
    _Atomic uint64_t  *slot = &budget->slot[window % S3C_HOT_SLOTS];

    word = GET(*slot);

    do {
        next = word >> BYTES_BITS == number ? word & BYTES_MAX : 0;

        if (back) {
            next -= next < bytes ? next : bytes;

        } else {
            next = next + bytes > BYTES_MAX ? BYTES_MAX : next + bytes;
        }

        next |= number << BYTES_BITS;

    } while (!atomic_compare_exchange_weak_explicit(slot, &word, next,
                                                    memory_order_relaxed,
                                                    memory_order_relaxed));
}


bool
s3c_hot_spend(s3c_hot_budget_sh_t *budget, uint64_t bytes, uint64_t limit,
    uint32_t heat, uint32_t life_ms, uint64_t now_ms)
{
    uint64_t  window = window_of(life_ms, now_ms);

    limit = heat < 2 ? limit / 2 : heat < 4 ? limit / 4 * 3 : limit;

    if (bytes > limit || spent_at(budget, window) > limit - bytes) {
        return false;
    }

    slot_add(budget, window, bytes, false);

    if (spent_at(budget, window) > limit) {
        slot_add(budget, window, bytes, true);
        return false;
    }

    return true;
}


uint64_t
s3c_hot_spent(const s3c_hot_budget_sh_t *budget, uint32_t life_ms,
    uint64_t now_ms)
{
    return spent_at(budget, window_of(life_ms, now_ms));
}
