/* SPDX-License-Identifier: Apache-2.0
 *
 * What alerts go by: how counters grew within a window, against what is usual,
 * and how stores and other nodes are. A counter that has gone back, a gap in the
 * samples or too little traffic: nothing is known.
 */
#include "stats/stats_alert.h"

#define MEASURE_LATE_MS  5000u     /* nobody has sampled for so long */
#define MEASURE_GAP      3u        /* windows */

#define COUNT(of)   S3C_HISTORY_COUNT_STAT_##of
#define USAGE(of)   S3C_HISTORY_COUNT_USAGE_##of
#define STORE(of)   S3C_HISTORY_COUNT_STORE_##of
#define TIER(of)    (S3C_STAT_FROM_##of - S3C_STAT_FROM_RAM)


/* --- the samples ----------------------------------------------------------- */

void
s3c_alert_look(s3c_alert_seen_t *seen, const s3c_history_sh_t *h,
    uint64_t window_ms, uint64_t now_ms, s3c_history_sample_t place[4])
{
    uint64_t               from;
    s3c_history_sample_t  *is = &place[0], *was = &place[1];
    s3c_history_sample_t  *usual = &place[2], *lately = &place[3];

    seen->now_ms = now_ms;
    seen->is = seen->was = seen->usual = seen->lately = NULL;

    if (!s3c_history_until(h, S3C_HISTORY_BY_SECOND, now_ms, is)
        || now_ms - is->ms > MEASURE_LATE_MS)
    {
        return;
    }

    seen->is = is;

    if (is->ms < window_ms
        || !s3c_history_until(h, S3C_HISTORY_BY_SECOND, is->ms - window_ms,
                              was)
        || is->ms - was->ms > MEASURE_GAP * window_ms)
    {
        return;
    }

    seen->was = was;

    if (!s3c_history_since(h, S3C_HISTORY_BY_SECOND, 0, lately)) {
        return;
    }

    seen->lately = lately;
    from = was->ms > S3C_ALERT_USUAL_MS ? was->ms - S3C_ALERT_USUAL_MS : 0;

    if (!s3c_history_since(h, S3C_HISTORY_BY_MINUTE, from, usual)
        || (lately->ms >= from && lately->ms < usual->ms))
    {
        *usual = *lately;
    }

    /* shorter than that nothing is usual yet */

    if (usual->ms < was->ms
        && was->ms - usual->ms >= S3C_ALERT_STEPS * window_ms)
    {
        seen->usual = usual;
    }
}


/* Counters are modulo 2^32: what grew by more than half of that went back. */
static bool
measure_grown(const s3c_history_sample_t *from, const s3c_history_sample_t *to,
    unsigned first, unsigned last, uint64_t *n)
{
    *n = 0;

    for (unsigned i = first; i <= last; i++) {
        uint32_t  d = to->count[i] - from->count[i];

        if (d > INT32_MAX) {
            return false;
        }

        *n += d;
    }

    return true;
}


static void
measure_subject(s3c_alert_measure_t *m, s3c_slice_t name)
{
    size_t  n = name.len < S3C_ALERT_SUBJECT ? name.len : S3C_ALERT_SUBJECT;

    if (n > 0) {
        memcpy(m->subject, name.data, n);
    }

    m->subject_len = (uint8_t) n;
}


/* --- one each ---------------------------------------------------------------- */

/* Thousandths, and of how many reads. */
static bool
measure_ratio(const s3c_history_sample_t *from, const s3c_history_sample_t *to,
    uint64_t *ratio, uint64_t *reads)
{
    uint64_t  hit, miss, more;

    if (from == NULL || to == NULL
        || !measure_grown(from, to, COUNT(REQ_HIT), COUNT(REQ_HIT), &hit)
        || !measure_grown(from, to, COUNT(REQ_MISS), COUNT(REQ_MISS), &miss)
        || !measure_grown(from, to, COUNT(REQ_SHARED), COUNT(REQ_REVALIDATED),
                          &more))
    {
        return false;
    }

    *reads = hit + miss + more;
    *ratio = *reads > 0 ? (hit + more) * 1000 / *reads : 0;

    return *reads >= S3C_ALERT_READS_MIN;
}


/* number: ratio, usual ratio, reads */
static void
measure_hit_ratio(const s3c_alert_seen_t *seen, s3c_alert_measure_t *m)
{
    uint64_t  ratio, usual, reads, before;

    if (!measure_ratio(seen->was, seen->is, &ratio, &reads)
        || !measure_ratio(seen->usual, seen->was, &usual, &before)
        || usual == 0)
    {
        return;
    }

    m->known = 1;
    m->value = ratio < usual ? (usual - ratio) * 1000 / usual : 0;
    m->number[0] = ratio;
    m->number[1] = usual;
    m->number[2] = reads;
}


/* number: failed, all; subject: how most of them did */
static void
measure_origin_errors(const s3c_alert_seen_t *seen, s3c_alert_measure_t *m)
{
    uint64_t  n, most, failed, unsent, all;

    static const char *const  kinds[] = {
        "unreachable", "timeout", "cut", "malformed", "5xx"
    };

    if (seen->was == NULL
        || !measure_grown(seen->was, seen->is, COUNT(ORIGIN_REQUESTS),
                          COUNT(ORIGIN_REQUESTS), &all)
        || !measure_grown(seen->was, seen->is, COUNT(ORIGIN_UNREACHABLE),
                          COUNT(ORIGIN_UNREACHABLE), &unsent)
        || !measure_grown(seen->was, seen->is, COUNT(ORIGIN_UNREACHABLE),
                          COUNT(ORIGIN_5XX), &failed))
    {
        return;
    }

    /* one that reached nobody is no request */

    all += unsent;

    if (all < S3C_ALERT_CALLS_MIN) {
        return;
    }

    most = 0;

    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (measure_grown(seen->was, seen->is, COUNT(ORIGIN_UNREACHABLE) + i,
                          COUNT(ORIGIN_UNREACHABLE) + i, &n) && n > most)
        {
            most = n;
            measure_subject(m, s3c_slice(kinds[i], strlen(kinds[i])));
        }
    }

    m->known = 1;
    m->value = failed < all ? failed * 1000 / all : 1000;
    m->number[0] = failed;
    m->number[1] = all;
}


/* Below which nine tenths of the origin's answers are. */
static bool
measure_p90(const s3c_history_sample_t *from, const s3c_history_sample_t *to,
    uint64_t *usec, uint64_t *answers)
{
    s3c_hist_sums_t  sums = { 0 };

    if (from == NULL || to == NULL) {
        return false;
    }

    for (unsigned i = 0; i < S3C_HISTORY_PLACES; i++) {
        uint32_t  d = to->place[TIER(ORIGIN)][i] - from->place[TIER(ORIGIN)][i];

        if (d > INT32_MAX) {
            return false;
        }

        sums.place[i] = d;
        sums.count += d;
    }

    *usec = s3c_hist_quantile_usec(&sums, 90);
    *answers = sums.count;

    return sums.count >= S3C_ALERT_CALLS_MIN;
}


/* number: nine tenths, usually, both in usec; answers */
static void
measure_origin_latency(const s3c_alert_seen_t *seen, s3c_alert_measure_t *m)
{
    uint64_t  usec, usual, answers, before;

    if (!measure_p90(seen->was, seen->is, &usec, &answers)
        || !measure_p90(seen->usual, seen->was, &usual, &before)
        || usual == 0)
    {
        return;
    }

    m->known = 1;
    m->value = usec < S3C_ALERT_FAST_USEC ? 1000 : usec * 1000 / usual;
    m->number[0] = usec;
    m->number[1] = usual;
    m->number[2] = answers;
}


/* number: down, all others; subject: the first of them */
static void
measure_peer_down(const s3c_alert_seen_t *seen, s3c_alert_measure_t *m)
{
    if (seen->n_nodes == 0) {
        return;
    }

    m->known = 1;
    m->value = seen->n_down * 1000ull;
    m->number[0] = seen->n_down;
    m->number[1] = seen->n_nodes;
    measure_subject(m, seen->node);
}


/* number: out of service, all stores, errors; subject: the first of them */
static void
measure_flash_failing(const s3c_alert_seen_t *seen, s3c_alert_measure_t *m)
{
    uint64_t  n = 0;

    if (seen->n_stores == 0) {
        return;
    }

    /* without samples it is the state alone that tells */

    if (seen->was != NULL
        && !measure_grown(seen->was, seen->is, STORE(n_read_error),
                          STORE(n_write_error), &n))
    {
        n = 0;
    }

    m->known = 1;
    m->value = (seen->n_failed + n) * 1000;
    m->number[0] = seen->n_failed;
    m->number[1] = seen->n_stores;
    m->number[2] = n;
    measure_subject(m, seen->n_failed ? seen->failed : S3C_SLICE_NONE);
}


/* What those that came back would have taken, of the last minutes: not more
 * than the ghost remembers, which is as many as the main queue holds. */
static uint64_t
measure_missing(const s3c_alert_seen_t *seen)
{
    uint64_t                     ghosts, evicted, bytes, most;
    const s3c_history_sample_t  *from, *is = seen->is;

    from = seen->lately != NULL ? seen->lately : seen->was;

    if (!measure_grown(from, is, USAGE(n_ghost_hit), USAGE(n_ghost_hit),
                       &ghosts)
        || !measure_grown(from, is, USAGE(n_evict), USAGE(n_evict), &evicted)
        || evicted == 0)
    {
        return 0;
    }

    bytes = is->bytes[S3C_HISTORY_BYTES_USAGE_evict_bytes]
            - from->bytes[S3C_HISTORY_BYTES_USAGE_evict_bytes];
    bytes = (uint64_t) ((double) bytes / (double) evicted * (double) ghosts);
    most = seen->arena_bytes / 5 * 4;

    return bytes < most ? bytes : most;
}


/* number: came back, new entries, bytes that they would have taken, arena */
static void
measure_zone_small(const s3c_alert_seen_t *seen, s3c_alert_measure_t *m)
{
    uint64_t  ghosts, inserts;

    if (seen->was == NULL
        || !measure_grown(seen->was, seen->is, USAGE(n_ghost_hit),
                          USAGE(n_ghost_hit), &ghosts)
        || !measure_grown(seen->was, seen->is, USAGE(n_insert),
                          USAGE(n_insert), &inserts)
        || inserts < S3C_ALERT_READS_MIN)
    {
        return;
    }

    m->known = 1;
    m->value = ghosts < inserts ? ghosts * 1000 / inserts : 1000;
    m->number[0] = ghosts;
    m->number[1] = inserts;
    m->number[2] = measure_missing(seen);
    m->number[3] = seen->arena_bytes;
}


/* number: stores, seconds, segments read, all segments; subject: a store */
static void
measure_recovery_slow(const s3c_alert_seen_t *seen, uint64_t unready_ms,
    s3c_alert_measure_t *m)
{
    if (seen->n_stores == 0) {
        return;
    }

    m->known = 1;

    if (unready_ms != 0 && seen->now_ms > unready_ms) {
        m->value = seen->now_ms - unready_ms;
    }

    m->number[0] = seen->n_unready;
    m->number[1] = m->value / 1000;
    m->number[2] = seen->recovered;
    m->number[3] = seen->segments;
    measure_subject(m, seen->n_unready ? seen->unready : S3C_SLICE_NONE);
}


void
s3c_alert_measure(s3c_alert_which_t which, const s3c_alert_seen_t *seen,
    uint64_t unready_ms, s3c_alert_measure_t *m)
{
    memset(m, 0, sizeof(*m));

    switch (which) {

    case S3C_ALERT_HIT_RATIO:
        measure_hit_ratio(seen, m);
        break;

    case S3C_ALERT_ORIGIN_ERRORS:
        measure_origin_errors(seen, m);
        break;

    case S3C_ALERT_ORIGIN_LATENCY:
        measure_origin_latency(seen, m);
        break;

    case S3C_ALERT_PEER_DOWN:
        measure_peer_down(seen, m);
        break;

    case S3C_ALERT_FLASH_FAILING:
        measure_flash_failing(seen, m);
        break;

    case S3C_ALERT_ZONE_SMALL:
        measure_zone_small(seen, m);
        break;

    case S3C_ALERT_RECOVERY_SLOW:
        measure_recovery_slow(seen, unready_ms, m);
        break;

    case S3C_ALERT_N:
        break;
    }
}
