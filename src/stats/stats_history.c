/* SPDX-License-Identifier: Apache-2.0
 *
 * Samples of a zone's numbers: who takes them, where they lie, how they are
 * read while others write. See stats_history.h.
 */
#include "stats/stats_history.h"

#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"

#define HISTORY_MAGIC       0x7374736968633373ull    /* "s3chists" */
#define HISTORY_VERSION     2   /* 2: alerts lie behind it */
#define HISTORY_WORDS       (sizeof(s3c_history_sample_t) / 8)
#define HISTORY_WAITING_MS  2000
#define HISTORY_AT(field)   (offsetof(s3c_history_sample_t, field) / 8)
#define HISTORY_WAITING     20                       /* bits of the number */

typedef struct {
    _Atomic uint64_t  word[HISTORY_WORDS];
} history_place_sh_t;

typedef struct {
    _Atomic uint64_t  due_ms;          /* 0: at once */
    _Atomic uint64_t  next;            /* number of the next sample */
} history_series_sh_t;

struct s3c_history_sh_s {
    uint64_t             magic;
    uint32_t             version;
    uint32_t             unused;
    uint64_t             columns;      /* hash of their names */
    history_series_sh_t  series[S3C_HISTORY_SERIES];
    _Atomic uint64_t     waiting[S3C_RAM_SLOTS_MAX];

    /* one more of each: what the oldest is reckoned from */
    history_place_sh_t   second[S3C_HISTORY_SECONDS + 1];
    history_place_sh_t   minute[S3C_HISTORY_MINUTES + 1];
};

static_assert(sizeof(s3c_history_sample_t) % 8 == 0, "of whole words");
static_assert(sizeof(s3c_history_sh_t) <= S3C_HISTORY_BYTES_MAX, "small");
static_assert(S3C_HISTORY_PLACES <= S3C_HIST_BUCKETS, "the last holds more");

static const char  history_columns[] =
#define X(name, kind, of)  name ";"
    S3C_HISTORY_COUNTS(X) S3C_HISTORY_BYTES(X) S3C_HISTORY_GAUGES(X);
#undef X


size_t
s3c_history_bytes(void)
{
    return sizeof(s3c_history_sh_t);
}


static uint64_t
history_hash(void)
{
    return s3c_hash64(history_columns, sizeof(history_columns) - 1);
}


void
s3c_history_format(void *mem, uint64_t now_ms)
{
    s3c_history_sh_t  *h = mem;

    h->magic = HISTORY_MAGIC;
    h->version = HISTORY_VERSION;
    h->columns = history_hash();

    for (int i = 0; i < S3C_HISTORY_SERIES; i++) {
        atomic_store_explicit(&h->series[i].next, now_ms / 1000 + 1,
                              memory_order_relaxed);
    }
}


s3c_history_sh_t *
s3c_history_attach(void *mem)
{
    s3c_history_sh_t  *h = mem;

    if (h == NULL || h->magic != HISTORY_MAGIC
        || h->version != HISTORY_VERSION || h->columns != history_hash())
    {
        return NULL;
    }

    return h;
}


uint32_t
s3c_history_max(s3c_history_series_t series)
{
    return series == S3C_HISTORY_BY_SECOND ? S3C_HISTORY_SECONDS + 1
                                           : S3C_HISTORY_MINUTES + 1;
}


uint64_t
s3c_history_period_ms(s3c_history_series_t series)
{
    return series == S3C_HISTORY_BY_SECOND ? 1000 : 60000;
}


static history_place_sh_t *
history_place(const s3c_history_sh_t *h, s3c_history_series_t series,
    uint64_t number)
{
    uint64_t            i = number % s3c_history_max(series);
    s3c_history_sh_t   *sh = (s3c_history_sh_t *) h;

    return series == S3C_HISTORY_BY_SECOND ? &sh->second[i] : &sh->minute[i];
}


/* A time further off than a period was written by nobody who is sane. */
static bool
history_is_due(const s3c_history_sh_t *h, s3c_history_series_t series,
    uint64_t now_ms)
{
    uint64_t  due = atomic_load_explicit(&h->series[series].due_ms,
                                         memory_order_relaxed);

    return now_ms >= due || due - now_ms > s3c_history_period_ms(series);
}


bool
s3c_history_due(const s3c_history_sh_t *h, uint64_t now_ms)
{
    return history_is_due(h, S3C_HISTORY_BY_SECOND, now_ms)
           || history_is_due(h, S3C_HISTORY_BY_MINUTE, now_ms);
}


/* The one who answers true takes the sample. After a pause the beat begins
 * anew, so that nothing is made up for what was missed. */
static bool
history_claim(s3c_history_sh_t *h, s3c_history_series_t series,
    uint64_t now_ms)
{
    uint64_t           period = s3c_history_period_ms(series);
    uint64_t           due, next;
    _Atomic uint64_t  *at = &h->series[series].due_ms;

    due = atomic_load_explicit(at, memory_order_relaxed);

    if (now_ms < due && due - now_ms <= period) {
        return false;
    }

    next = now_ms >= due && now_ms - due < period ? due + period
                                                  : now_ms + period;

    return atomic_compare_exchange_strong_explicit(at, &due, next,
               memory_order_acq_rel, memory_order_relaxed);
}


static uint64_t
history_waiting(const s3c_history_sh_t *h, uint64_t now_ms)
{
    uint64_t  n = 0;

    for (uint32_t i = 0; i < S3C_RAM_SLOTS_MAX; i++) {
        uint64_t  w = atomic_load_explicit(&h->waiting[i],
                                           memory_order_relaxed);

        if ((w >> HISTORY_WAITING) + HISTORY_WAITING_MS > now_ms) {
            n += w & ((1u << HISTORY_WAITING) - 1);
        }
    }

    return n;
}


void
s3c_history_waiting(s3c_history_sh_t *h, uint32_t slot, uint32_t n,
    uint64_t now_ms)
{
    uint32_t  max = (1u << HISTORY_WAITING) - 1;

    if (slot < S3C_RAM_SLOTS_MAX) {
        atomic_store_explicit(&h->waiting[slot],
                              now_ms << HISTORY_WAITING | (n < max ? n : max),
                              memory_order_relaxed);
    }
}


static uint64_t
history_stores(const s3c_stats_zone_t *zone, size_t at)
{
    uint64_t  v, sum = 0;

    for (unsigned i = 0; i < zone->n_stores; i++) {
        memcpy(&v, (const uint8_t *) &zone->stores[i].usage + at, sizeof(v));
        sum += v;
    }

    return sum;
}


static void
history_hists(const s3c_stats_zone_t *zone, s3c_history_sample_t *s)
{
    uint32_t         at;
    s3c_hist_sums_t  sums;

    for (int t = 0; t < S3C_HISTORY_TIERS; t++) {
        s3c_stats_hist_sum(zone->stats, (s3c_hist_t) (S3C_HIST_TIER_RAM + t),
                           &sums);

        for (uint32_t i = 0; i <= S3C_HIST_BUCKETS; i++) {
            at = i < S3C_HISTORY_PLACES ? i : S3C_HISTORY_PLACES - 1;
            s->place[t][at] += (uint32_t) sums.place[i];
        }
    }
}

#define FROM_STAT(of)     s3c_stats_sum(zone->stats, S3C_STAT_##of)
#define FROM_USAGE(of)    zone->usage.of
#define FROM_STORE(of)    history_stores(zone, offsetof(s3c_ssd_usage_t, of))
#define FROM_WAITING(of)  history_waiting(h, s->ms)


static void
history_take(const s3c_history_sh_t *h, const s3c_stats_zone_t *zone,
    s3c_history_sample_t *s)
{
    uint64_t  *v;
    uint32_t  *n;

    n = s->count;
#define X(name, kind, of)  *n++ = (uint32_t) FROM_##kind(of);
    S3C_HISTORY_COUNTS(X)
#undef X

    v = s->bytes;
#define X(name, kind, of)  *v++ = FROM_##kind(of);
    S3C_HISTORY_BYTES(X)
#undef X

    v = s->gauge;
#define X(name, kind, of)  *v++ = FROM_##kind(of);
    S3C_HISTORY_GAUGES(X)
#undef X

    history_hists(zone, s);
}


static uint64_t
history_check(const s3c_history_sample_t *s)
{
    return s3c_hash64(&s->number, sizeof(*s) - sizeof(s->check));
}


static void
history_write(s3c_history_sh_t *h, s3c_history_series_t series,
    s3c_history_sample_t *s)
{
    uint64_t             words[HISTORY_WORDS];
    history_place_sh_t  *place;

    s->number = atomic_fetch_add_explicit(&h->series[series].next, 1,
                                          memory_order_relaxed);
    s->check = history_check(s);
    memcpy(words, s, sizeof(words));
    place = history_place(h, series, s->number);

    for (size_t i = 0; i < HISTORY_WORDS; i++) {
        atomic_store_explicit(&place->word[i], words[i],
                              memory_order_relaxed);
    }
}


bool
s3c_history_sample(s3c_history_sh_t *h, const s3c_stats_zone_t *zone,
    uint64_t now_ms)
{
    bool                  second, minute;
    s3c_history_sample_t  s;

    second = history_claim(h, S3C_HISTORY_BY_SECOND, now_ms);
    minute = history_claim(h, S3C_HISTORY_BY_MINUTE, now_ms);

    if (zone->stats == NULL || (!second && !minute)) {
        return false;
    }

    memset(&s, 0, sizeof(s));
    s.ms = now_ms;
    history_take(h, zone, &s);

    if (second) {
        history_write(h, S3C_HISTORY_BY_SECOND, &s);
    }

    if (minute) {
        history_write(h, S3C_HISTORY_BY_MINUTE, &s);
    }

    return minute;
}


static bool
history_get(const s3c_history_sh_t *h, s3c_history_series_t series,
    uint64_t number, s3c_history_sample_t *s)
{
    uint64_t                   words[HISTORY_WORDS];
    const history_place_sh_t  *place = history_place(h, series, number);

    for (size_t i = 0; i < HISTORY_WORDS; i++) {
        words[i] = atomic_load_explicit(&place->word[i],
                                        memory_order_relaxed);
    }

    memcpy(s, words, sizeof(words));

    return s->number == number && s->check == history_check(s);
}


/* Two workers that claim one after the other may write in the other order of
 * their clocks' beats: the later number has the later time, or is left out. */
uint32_t
s3c_history_read(const s3c_history_sh_t *h, s3c_history_series_t series,
    uint64_t since, s3c_history_sample_t *out, uint32_t max)
{
    uint64_t  next, first, number;
    uint32_t  n = 0, all = s3c_history_max(series);

    next = atomic_load_explicit(&h->series[series].next,
                                memory_order_relaxed);
    first = next > all ? next - all : 0;

    if (since >= next) {
        since = 0;
    }

    /* back to a sample that stands, to reckon from */

    number = since > first ? since : first;

    while (number > first && !history_get(h, series, number, &out[0])) {
        number--;
    }

    if (next - number > max) {
        number = next - max;
    }

    for ( /* void */ ; number < next && n < max; number++) {
        if (history_get(h, series, number, &out[n])
            && (n == 0 || out[n].ms > out[n - 1].ms))
        {
            n++;
        }
    }

    return n;
}


/* Its time, by one look: 0 if it is not there. What it holds is looked at when
 * it is the one. */
static uint64_t
history_ms(const s3c_history_sh_t *h, s3c_history_series_t series,
    uint64_t number)
{
    const history_place_sh_t  *place = history_place(h, series, number);

    if (atomic_load_explicit(&place->word[HISTORY_AT(number)],
                             memory_order_relaxed) != number)
    {
        return 0;
    }

    return atomic_load_explicit(&place->word[HISTORY_AT(ms)],
                                memory_order_relaxed);
}


bool
s3c_history_until(const s3c_history_sh_t *h, s3c_history_series_t series,
    uint64_t ms, s3c_history_sample_t *out)
{
    uint64_t  at, number, all = s3c_history_max(series);

    number = atomic_load_explicit(&h->series[series].next,
                                  memory_order_relaxed);

    for ( /* void */ ; all > 0 && number > 0; all--) {
        at = history_ms(h, series, --number);

        if (at > 0 && at <= ms && history_get(h, series, number, out)
            && out->ms <= ms)
        {
            return true;
        }
    }

    return false;
}


bool
s3c_history_since(const s3c_history_sh_t *h, s3c_history_series_t series,
    uint64_t ms, s3c_history_sample_t *out)
{
    uint64_t  at, number, next, all = s3c_history_max(series);

    next = atomic_load_explicit(&h->series[series].next,
                                memory_order_relaxed);

    for (number = next > all ? next - all : 0; number < next; number++) {
        at = history_ms(h, series, number);

        if (at > 0 && at >= ms && history_get(h, series, number, out)
            && out->ms >= ms)
        {
            return true;
        }
    }

    return false;
}
