/* SPDX-License-Identifier: Apache-2.0
 */
#include "ctl/ctl_recent.h"

#include "stats/stats.h"

#define RECENT_SAMPLED_MAX  65536u


/* One sample of a tier, "[first place, count, ...]", or 0. */
static void
recent_add(s3c_hist_sums_t *sums, const json_t *sample, uint64_t times)
{
    json_int_t  n, place = json_integer_value(json_array_get(sample, 0));

    for (size_t i = 1;
         i < json_array_size(sample) && place >= 0
         && place <= S3C_HIST_BUCKETS;
         i++, place++)
    {
        n = json_integer_value(json_array_get(sample, i));

        /* a node may lie, but not make it overflow */

        if (n > 0 && n <= UINT32_MAX) {
            sums->place[place] += (uint64_t) n * times;
            sums->count += (uint64_t) n * times;
        }
    }
}


double
ctl_recent_p99(const json_t *zone, uint64_t sampled)
{
    s3c_hist_sums_t  sums = { 0 };
    static const struct {
        const char  *path;
        bool         sampled;
    } hits[] = {
        { "first_byte.ram", true },
        { "first_byte.flash", false },
        { "first_byte.mirror", true },
        { "first_byte.peer", false }
    };

    if (sampled == 0 || sampled > RECENT_SAMPLED_MAX) {
        sampled = 1;
    }

    for (size_t i = 0; i < sizeof(hits) / sizeof(hits[0]); i++) {
        const json_t  *samples = ctl_json_at(zone, hits[i].path);
        size_t         n = json_array_size(samples);

        for (size_t k = n > CTL_RECENT_SAMPLES ? n - CTL_RECENT_SAMPLES : 0;
             k < n;
             k++)
        {
            recent_add(&sums, json_array_get(samples, k),
                       hits[i].sampled ? sampled : 1);
        }
    }

    return sums.count == 0 ? -1
           : (double) s3c_hist_quantile_usec(&sums, 99) / 1e6;
}
