/* SPDX-License-Identifier: Apache-2.0
 *
 * The arithmetic of the histograms: place i holds what took at most
 * 2^(4 + i) microseconds, the last place what took longer than all of them.
 */
#include "stats/stats.h"

#include <assert.h>

#define HIST_SHIFT  4


uint32_t
s3c_hist_place(uint64_t usec)
{
    uint32_t  bits;

    if (usec <= 1u << HIST_SHIFT) {
        return 0;
    }

    bits = 64 - (uint32_t) __builtin_clzll(usec - 1);

    return bits - HIST_SHIFT < S3C_HIST_BUCKETS ? bits - HIST_SHIFT
                                                : S3C_HIST_BUCKETS;
}


uint64_t
s3c_hist_bound_usec(uint32_t place)
{
    assert(place < S3C_HIST_BUCKETS);

    return 1ull << (HIST_SHIFT + place);
}


uint64_t
s3c_hist_quantile_usec(const s3c_hist_sums_t *sums, uint32_t percent)
{
    double    rank, below = 0;
    uint64_t  low = 0;

    assert(percent <= 100);

    if (sums->count == 0) {
        return 0;
    }

    rank = (double) sums->count * percent / 100;

    for (uint32_t i = 0; i < S3C_HIST_BUCKETS; i++) {
        double    here = (double) sums->place[i];
        uint64_t  high = s3c_hist_bound_usec(i);

        if (here > 0 && below + here >= rank) {
            return low + (uint64_t) ((double) (high - low)
                                     * ((rank - below) / here));
        }

        below += here;
        low = high;
    }

    return low;
}
