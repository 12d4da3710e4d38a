/* SPDX-License-Identifier: Apache-2.0
 *
 * What can be told about the flash tier: how its stores are, what they hold and
 * do, and what may still be written. It looks without a lock: each number is
 * right for some moment.
 */
#include "ssd/ssd_internal.h"

#include <string.h>

#define BUDGET_SECONDS 10                /* that a budget can save up */
#define BUDGET_MAX     (1ull << 44)      /* no device is as fast */


uint32_t
s3c_ssd_n_stores(const s3c_ssd_t *ssd)
{
    return ssd->n_stores;
}


const char *
s3c_ssd_state_name(s3c_ssd_state_t state)
{
    switch (state) {
    case S3C_SSD_WAITING:
        return "waiting";
    case S3C_SSD_RECOVERING:
        return "recovering";
    case S3C_SSD_SERVING:
        return "serving";
    case S3C_SSD_FAILED:
        return "failed";
    }

    return "unknown";
}


void
s3c_ssd_memory(const s3c_ssd_t *ssd, uint64_t *index_bytes, uint64_t *bytes)
{
    *index_bytes = ssd->n_buckets * (sizeof(s3c_ssd_bucket_sh_t)
                                     + sizeof(uint16_t));
    *bytes = ssd->head->bytes;
}


int64_t
s3c_ssd_tokens_max(const s3c_ssd_store_conf_t *c)
{
    return (int64_t) ((c->budget < BUDGET_MAX ? c->budget : BUDGET_MAX)
                      * BUDGET_SECONDS);
}


/* What may be written now: tokens are added only when somebody asks for some,
 * so what has come in since is added here. */
static uint64_t
budget_left(const s3c_ssd_t *ssd, const s3c_ssd_store_sh_t *st)
{
    int64_t   tokens = atomic_load(&st->tokens);
    int64_t   most = s3c_ssd_tokens_max(&st->conf);
    uint64_t  at = atomic_load(&st->tokens_ms), gone;

    gone = ssd->now_ms > at ? ssd->now_ms - at : 0;
    gone = gone > BUDGET_SECONDS * 1000 ? BUDGET_SECONDS * 1000 : gone;
    tokens += most / (BUDGET_SECONDS * 1000) * (int64_t) gone
              + most % (BUDGET_SECONDS * 1000) * (int64_t) gone
                / (BUDGET_SECONDS * 1000);
    tokens = tokens > most ? most : tokens;

    return tokens < 0 ? 0 : (uint64_t) tokens;
}


#define PEEK(word)  __atomic_load_n(&(word), __ATOMIC_RELAXED)

void
s3c_ssd_usage(const s3c_ssd_t *ssd, uint32_t store, s3c_ssd_usage_t *u)
{
    int64_t                    reads = 0, writes = 0;
    uint32_t                   i;
    const s3c_ssd_store_sh_t  *st = &ssd->stores[store];
    uint64_t                   begun = PEEK(st->recovery_begun_ms);
    const s3c_ssd_flight_sh_t *f;

    memset(u, 0, sizeof(*u));

#define X(name)                                                               \
    u->name = atomic_load_explicit(&st->name, memory_order_relaxed);
    S3C_SSD_COUNTERS(X)
#undef X

    u->state = s3c_ssd_state(ssd, store);
    u->bytes = st->conf.bytes;
    u->live_bytes = PEEK(st->live_units) * S3C_SSD_UNIT;
    u->records = PEEK(st->live_records);
    u->segments = st->n_segments;
    u->segments_free = PEEK(st->n_free);
    u->segments_open = PEEK(st->n_open);
    u->recovery_ms = PEEK(st->recovery_ms);

    if (u->state == S3C_SSD_RECOVERING && ssd->now_ms > begun) {
        u->recovery_ms = ssd->now_ms - begun;
    }

    for (i = 0; i < ssd->n_slots; i++) {
        f = s3c_ssd_flight(ssd, i, store);
        reads += atomic_load_explicit(&f->reads, memory_order_relaxed);
        writes += atomic_load_explicit(&f->writes, memory_order_relaxed);
    }

    u->reads_in_flight = reads > 0 ? (uint64_t) reads : 0;
    u->writes_in_flight = writes > 0 ? (uint64_t) writes : 0;
    u->budget = st->conf.budget;
    u->budget_left = budget_left(ssd, st);
}
