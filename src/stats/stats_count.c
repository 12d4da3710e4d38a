/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting: the block in shared memory, the counters of one's own slot, the
 * names of the buckets, and the sums over all slots.
 *
 * A counter has one writer, so that a load and a store are enough: no locked
 * instruction, no line that two workers write.
 */
#include "stats/stats.h"

#include <assert.h>

#include "base/hash.h"
#include "stats/stats_rows.h"
#include "stats/stats_sh.h"

static const char  count_row_names[] =
#define X(word, name, path, help)  name ";"
    S3C_STATS_COUNTERS(X) S3C_STATS_HISTS(X) S3C_STATS_BUCKET_COUNTERS(X);
#undef X


size_t
s3c_stats_bytes(uint32_t n_slots)
{
    assert(n_slots > 0 && n_slots <= S3C_RAM_SLOTS_MAX);

    return sizeof(s3c_stats_sh_t) + n_slots * sizeof(s3c_stats_slot_sh_t);
}


static s3c_stats_head_sh_t
count_head(uint32_t n_slots)
{
    return (s3c_stats_head_sh_t) {
        .magic = S3C_STATS_MAGIC,
        .version = S3C_STATS_VERSION,
        .n_slots = n_slots,
        .bytes = s3c_stats_bytes(n_slots),
        .rows = s3c_hash64(count_row_names, sizeof(count_row_names) - 1)
    };
}


void
s3c_stats_format(void *mem, uint32_t n_slots)
{
    s3c_stats_sh_t  *sh = mem;

    assert((uintptr_t) mem % S3C_STATS_LINE == 0);

    memset(mem, 0, s3c_stats_bytes(n_slots));
    sh->head = count_head(n_slots);
}


s3c_status_t
s3c_stats_attach(s3c_stats_t *stats, void *mem, uint32_t n_slots,
    uint32_t slot)
{
    s3c_stats_head_sh_t  head;

    *stats = (s3c_stats_t) { NULL, 0 };

    if (n_slots == 0 || n_slots > S3C_RAM_SLOTS_MAX
        || (slot >= n_slots && slot != S3C_RAM_NO_SLOT))
    {
        return S3C_INVALID;
    }

    if (mem == NULL || (uintptr_t) mem % S3C_STATS_LINE != 0) {
        return S3C_CORRUPT;
    }

    head = count_head(n_slots);

    if (memcmp(mem, &head, sizeof(head)) != 0) {
        return S3C_CORRUPT;
    }

    *stats = (s3c_stats_t) { mem, slot };

    return S3C_OK;
}


/* NULL when this handle counts nothing. */
static inline s3c_stats_slot_sh_t *
count_own(s3c_stats_t *stats)
{
    s3c_stats_sh_t  *sh = stats->mem;

    if (sh == NULL || stats->slot == S3C_RAM_NO_SLOT) {
        return NULL;
    }

    return &sh->slot[stats->slot];
}


static inline void
count_add(_Atomic uint64_t *counter, uint64_t n)
{
    uint64_t  v = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, v + n, memory_order_relaxed);
}


static inline uint64_t
count_read(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}


void
s3c_stats_add(s3c_stats_t *stats, s3c_stat_t stat, uint64_t n)
{
    s3c_stats_slot_sh_t  *own = count_own(stats);

    assert(stat < S3C_STAT_N);

    if (own != NULL) {
        count_add(&own->counter[stat], n);
    }
}


void
s3c_stats_observe(s3c_stats_t *stats, s3c_hist_t hist, uint64_t usec)
{
    s3c_stats_slot_sh_t  *own = count_own(stats);

    assert(hist < S3C_HIST_N);

    if (own != NULL) {
        count_add(&own->hist[hist].sum_usec, usec);
        count_add(&own->hist[hist].place[s3c_hist_place(usec)], 1);
    }
}


void
s3c_stats_bucket_add(s3c_stats_t *stats, uint32_t bucket,
    s3c_bucket_stat_t stat, uint64_t n)
{
    s3c_stats_slot_sh_t  *own = count_own(stats);

    assert(bucket < S3C_STATS_BUCKETS_MAX && stat < S3C_BSTAT_N);

    if (own != NULL) {
        count_add(&own->bucket[bucket][stat], n);
    }
}


/* Cut to what is kept, at the start of a UTF-8 character. */
static s3c_slice_t
bucket_cut(s3c_slice_t name)
{
    if (name.len > S3C_STATS_BUCKET_NAME) {
        name.len = S3C_STATS_BUCKET_NAME;

        while (name.len > 0 && (name.data[name.len] & 0xc0) == 0x80) {
            name.len--;
        }
    }

    return name;
}


/* May the name be a label as it is? Then no two names ever print alike. */
static bool
bucket_printable(s3c_slice_t name)
{
    if (s3c_slice_eq(name, S3C_SLICE("other"))) {
        return false;
    }

    while (name.len > 0) {
        const uint8_t  *at = name.data;
        s3c_slice_t     c = s3c_stats_text_next(&name);

        if (c.data != at || c.data[0] < 0x20 || c.data[0] == 0x7f) {
            return false;
        }
    }

    return true;
}


static bool
bucket_same(const s3c_stats_names_sh_t *names, uint32_t i,
    const uint64_t key[S3C_STATS_NAME_WORDS])
{
    for (uint32_t k = 0; k < S3C_STATS_NAME_WORDS; k++) {
        if (count_read(&names->name[i][k]) != key[k]) {
            return false;
        }
    }

    return true;
}


/* By the one who took the tag, or by anybody who finds it BUSY. */
static void
bucket_publish(s3c_stats_names_sh_t *names, uint32_t i, uint64_t hash,
    const uint64_t key[S3C_STATS_NAME_WORDS])
{
    for (uint32_t k = 0; k < S3C_STATS_NAME_WORDS; k++) {
        atomic_store_explicit(&names->name[i][k], key[k],
                              memory_order_relaxed);
    }

    atomic_store_explicit(&names->tag[i], hash | S3C_STATS_TAG_READY,
                          memory_order_release);
}


uint32_t
s3c_stats_bucket(s3c_stats_t *stats, s3c_slice_t name)
{
    uint64_t               key[S3C_STATS_NAME_WORDS] = { 0 };
    uint64_t               hash, tag;
    s3c_stats_names_sh_t  *names;

    name = bucket_cut(name);

    if (count_own(stats) == NULL || name.len == 0) {
        return 0;
    }

    names = &((s3c_stats_sh_t *) stats->mem)->names;
    memcpy(key, name.data, name.len);
    hash = s3c_hash64(name.data, name.len) & ~S3C_STATS_TAG_STATE;

    /* Bounded: every place but 0 is looked at once. */
    for (uint32_t n = 0; n < S3C_STATS_BUCKETS_MAX - 1; n++) {
        uint32_t  i = 1 + (uint32_t) (((hash >> 32) + n)
                                      % (S3C_STATS_BUCKETS_MAX - 1));

        tag = atomic_load_explicit(&names->tag[i], memory_order_acquire);

        if (tag == S3C_STATS_TAG_EMPTY) {
            if (!bucket_printable(name)) {
                return 0;
            }

            if (atomic_compare_exchange_strong_explicit(&names->tag[i], &tag,
                    hash | S3C_STATS_TAG_BUSY, memory_order_acq_rel,
                    memory_order_acquire))
            {
                tag = hash | S3C_STATS_TAG_BUSY;
            }
        }

        if (tag == (hash | S3C_STATS_TAG_BUSY)) {
            bucket_publish(names, i, hash, key);
            return i;
        }

        if (tag == (hash | S3C_STATS_TAG_READY)
            && bucket_same(names, i, key))
        {
            return i;
        }
    }

    return 0;
}


s3c_slice_t
s3c_stats_bucket_name(const s3c_stats_t *stats, uint32_t bucket,
    uint8_t buf[S3C_STATS_BUCKET_NAME])
{
    uint64_t               tag, word;
    const uint8_t         *nul;
    const s3c_stats_sh_t  *sh = stats->mem;

    assert(bucket < S3C_STATS_BUCKETS_MAX);

    if (bucket == 0) {
        return S3C_SLICE("other");
    }

    if (sh == NULL) {
        return S3C_SLICE_NONE;
    }

    tag = atomic_load_explicit(&sh->names.tag[bucket], memory_order_acquire);

    if ((tag & S3C_STATS_TAG_STATE) != S3C_STATS_TAG_READY) {
        return S3C_SLICE_NONE;
    }

    for (size_t k = 0; k < S3C_STATS_NAME_WORDS; k++) {
        word = count_read(&sh->names.name[bucket][k]);
        memcpy(buf + 8 * k, &word, 8);
    }

    nul = memchr(buf, '\0', S3C_STATS_BUCKET_NAME);

    return s3c_slice(buf, nul ? (size_t) (nul - buf) : S3C_STATS_BUCKET_NAME);
}


uint64_t
s3c_stats_sum(const s3c_stats_t *stats, s3c_stat_t stat)
{
    uint64_t               sum = 0;
    const s3c_stats_sh_t  *sh = stats->mem;

    assert(stat < S3C_STAT_N);

    for (uint32_t i = 0; sh != NULL && i < sh->head.n_slots; i++) {
        sum += count_read(&sh->slot[i].counter[stat]);
    }

    return sum;
}


uint64_t
s3c_stats_bucket_sum(const s3c_stats_t *stats, uint32_t bucket,
    s3c_bucket_stat_t stat)
{
    uint64_t               sum = 0;
    const s3c_stats_sh_t  *sh = stats->mem;

    assert(bucket < S3C_STATS_BUCKETS_MAX && stat < S3C_BSTAT_N);

    for (uint32_t i = 0; sh != NULL && i < sh->head.n_slots; i++) {
        sum += count_read(&sh->slot[i].bucket[bucket][stat]);
    }

    return sum;
}


void
s3c_stats_hist_sum(const s3c_stats_t *stats, s3c_hist_t hist,
    s3c_hist_sums_t *sums)
{
    const s3c_stats_sh_t  *sh = stats->mem;

    assert(hist < S3C_HIST_N);

    memset(sums, 0, sizeof(*sums));

    for (uint32_t i = 0; sh != NULL && i < sh->head.n_slots; i++) {
        const s3c_hist_sh_t  *h = &sh->slot[i].hist[hist];

        sums->sum_usec += count_read(&h->sum_usec);

        for (uint32_t k = 0; k <= S3C_HIST_BUCKETS; k++) {
            uint64_t  n = count_read(&h->place[k]);

            /* counted here and nowhere else: +Inf and _count are equal */
            sums->place[k] += n;
            sums->count += n;
        }
    }
}
