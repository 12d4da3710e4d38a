/* SPDX-License-Identifier: Apache-2.0
 *
 * The sketch: four counters of a byte for each key, of which the least is
 * believed and only the least are raised. A line is halved when it is next
 * touched after the age has changed, so that no read pays for all of them.
 */
#include "cluster/hot.h"

#define GET(a)     atomic_load_explicit(&(a), memory_order_relaxed)
#define SET(a, v)  atomic_store_explicit(&(a), v, memory_order_relaxed)

#define LN2_16     45426u                /* ln 2 * 2^16 */
#define CERTAINTY  16u                   /* reads of the least hot key in a
                                            window: its count is right by a
                                            quarter, mostly */


s3c_hot_rule_t
s3c_hot_rule(uint32_t n_owners)
{
    uint32_t        bits;
    uint64_t        n = n_owners < 2 ? 2 : n_owners, log2_16, share;
    s3c_hot_rule_t  rule;

    /* between powers of 2 the logarithm is taken for a straight line */

    bits = 63 - (uint32_t) __builtin_clzll(n);
    log2_16 = ((uint64_t) bits << 16) + (((n << 16) >> bits) - (1u << 16));
    share = (S3C_HOT_SPREAD * n * log2_16 * LN2_16) >> 32;

    rule.share = share > UINT32_MAX ? UINT32_MAX : (uint32_t) share;
    rule.window = share > S3C_HOT_WINDOW_MAX / CERTAINTY
                  ? S3C_HOT_WINDOW_MAX : (uint32_t) share * CERTAINTY;

    return rule;
}


/* The next age, by whoever moves its beginning. */
static void
sketch_age(s3c_hot_sh_t *hot, uint64_t began, uint64_t now_ms)
{
    uint64_t  recent;

    if (!atomic_compare_exchange_strong_explicit(&hot->began_ms, &began,
                                                 now_ms + 1,
                                                 memory_order_relaxed,
                                                 memory_order_relaxed))
    {
        return;
    }

    recent = atomic_exchange_explicit(&hot->recent, 0, memory_order_relaxed);
    SET(hot->older, (GET(hot->older) + recent) / 2);
    atomic_fetch_add_explicit(&hot->age, 1, memory_order_relaxed);
}


static void
line_age(s3c_hot_line_sh_t *line, uint64_t age)
{
    unsigned  i, by;
    uint64_t  was = GET(line->word[0]), mask;

    if (was == age) {
        return;
    }

    SET(line->word[0], age);
    by = age - was < 8 ? (unsigned) (age - was) : 8;
    mask = (0xffu >> by) * 0x0101010101010101ull;

    for (i = 1; i < 8; i++) {
        SET(line->word[i], (GET(line->word[i]) >> by) & mask);
    }
}


/* One more read of the key; answers how many there were. */
static uint32_t
line_count(s3c_hot_line_sh_t *line, uint64_t bits)
{
    unsigned  row, place;
    uint32_t  n, least = S3C_HOT_COUNT_MAX;
    uint64_t  word;
    uint8_t   at[S3C_HOT_ROWS];

    for (row = 0; row < S3C_HOT_ROWS; row++) {
        at[row] = (uint8_t) (8 + row * S3C_HOT_COLUMNS
                             + (((bits >> (row * 12)) & 0xfff)
                                * S3C_HOT_COLUMNS >> 12));
        n = (uint32_t) (GET(line->word[at[row] / 8])
                        >> at[row] % 8 * 8) & 0xff;
        least = n < least ? n : least;
    }

    if (least == S3C_HOT_COUNT_MAX) {
        return least;
    }

    for (row = 0; row < S3C_HOT_ROWS; row++) {
        place = at[row] % 8 * 8;
        word = GET(line->word[at[row] / 8]);

        if (((word >> place) & 0xff) == least) {
            SET(line->word[at[row] / 8], word + (1ull << place));
        }
    }

    return least + 1;
}


uint32_t
s3c_hot_read(s3c_hot_sh_t *hot, s3c_hot_rule_t rule, s3c_hash128_t key,
    uint64_t now_ms)
{
    uint32_t            count;
    uint64_t            began = GET(hot->began_ms), recent, reads, heat;
    s3c_hot_line_sh_t  *line;

    recent = atomic_fetch_add_explicit(&hot->recent, 1, memory_order_relaxed)
             + 1;

    if (recent > rule.window || now_ms > began + S3C_HOT_PERIOD_MS) {
        sketch_age(hot, began, now_ms);
        recent = GET(hot->recent);
    }

    line = &hot->line[key.lo & (S3C_HOT_LINES - 1)];
    line_age(line, GET(hot->age));
    count = line_count(line, key.hi);
    reads = GET(hot->older) + recent;

    if (count < S3C_HOT_READS_MIN) {
        return 0;
    }

    heat = (uint64_t) count * rule.share / (reads > 0 ? reads : 1);

    return heat > S3C_HOT_HEAT_MAX ? S3C_HOT_HEAT_MAX : (uint32_t) heat;
}
