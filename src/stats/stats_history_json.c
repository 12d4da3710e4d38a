/* SPDX-License-Identifier: Apache-2.0
 *
 * Samples as JSON, by columns. A histogram of one sample is 0 when it is empty,
 * else the number of its first place that is not, and the counts from there to
 * its last.
 */
#include "stats/stats_history.h"

typedef void (*value_pt)(s3c_writer_t *w, const s3c_history_sample_t *was,
    const s3c_history_sample_t *is, unsigned i);

#define X(name, kind, of)  name,
static const char  *const history_counts[] = { S3C_HISTORY_COUNTS(X) };
static const char  *const history_bytes[] = { S3C_HISTORY_BYTES(X) };
static const char  *const history_gauges[] = { S3C_HISTORY_GAUGES(X) };
#undef X

static const char  *const history_tiers[S3C_HISTORY_TIERS] = {
    "ram", "flash", "mirror", "peer", "joined", "origin", "pass"
};


static void
value_count(s3c_writer_t *w, const s3c_history_sample_t *was,
    const s3c_history_sample_t *is, unsigned i)
{
    s3c_write_u64(w, (uint32_t) (is->count[i] - was->count[i]));
}


/* Nothing is subtracted from a counter, but readers trust no shared memory. */
static void
value_bytes(s3c_writer_t *w, const s3c_history_sample_t *was,
    const s3c_history_sample_t *is, unsigned i)
{
    s3c_write_u64(w, is->bytes[i] > was->bytes[i]
                     ? is->bytes[i] - was->bytes[i] : 0);
}


static void
value_gauge(s3c_writer_t *w, const s3c_history_sample_t *was,
    const s3c_history_sample_t *is, unsigned i)
{
    s3c_write_u64(w, is->gauge[i]);
}


static void
value_places(s3c_writer_t *w, const s3c_history_sample_t *was,
    const s3c_history_sample_t *is, unsigned tier)
{
    unsigned  first = S3C_HISTORY_PLACES, last = 0;

    for (unsigned i = 0; i < S3C_HISTORY_PLACES; i++) {
        if (is->place[tier][i] != was->place[tier][i]) {
            first = i < first ? i : first;
            last = i;
        }
    }

    if (first == S3C_HISTORY_PLACES) {
        s3c_write_byte(w, '0');
        return;
    }

    s3c_write_byte(w, '[');
    s3c_write_u64(w, first);

    for (unsigned i = first; i <= last; i++) {
        s3c_write_byte(w, ',');
        s3c_write_u64(w, (uint32_t) (is->place[tier][i]
                                     - was->place[tier][i]));
    }

    s3c_write_byte(w, ']');
}


static void
history_column(s3c_writer_t *w, const s3c_history_sample_t *samples,
    uint32_t n, value_pt value, unsigned i)
{
    s3c_write_byte(w, '[');

    for (uint32_t k = 1; k < n && s3c_writer_ok(w); k++) {
        if (k > 1) {
            s3c_write_byte(w, ',');
        }

        value(w, &samples[k - 1], &samples[k], i);
    }

    s3c_write_byte(w, ']');
}


static void
history_group(s3c_writer_t *w, const char *group, const char *const *names,
    unsigned n_names, const s3c_history_sample_t *samples, uint32_t n,
    value_pt value)
{
    s3c_write_lit(w, ",\"");
    s3c_write_str(w, group);
    s3c_write_lit(w, "\":{");

    for (unsigned i = 0; i < n_names; i++) {
        s3c_write_str(w, i > 0 ? ",\"" : "\"");
        s3c_write_str(w, names[i]);
        s3c_write_lit(w, "\":");
        history_column(w, samples, n, value, i);
    }

    s3c_write_byte(w, '}');
}


void
s3c_history_print_json(s3c_writer_t *w, s3c_slice_t zone,
    const s3c_history_sample_t *samples, uint32_t n, uint64_t now_ms,
    uint64_t wall_ms)
{
    uint64_t  ago;

    s3c_write_lit(w, "{\"name\":");
    s3c_stats_write_string(w, zone);
    s3c_write_lit(w, ",\"last\":");
    s3c_write_u64(w, n > 0 ? samples[n - 1].number : 0);
    s3c_write_lit(w, ",\"time_ms\":[");

    for (uint32_t k = 1; k < n; k++) {
        ago = now_ms > samples[k].ms ? now_ms - samples[k].ms : 0;
        s3c_write_str(w, k > 1 ? "," : "");
        s3c_write_u64(w, wall_ms > ago ? wall_ms - ago : 0);
    }

    s3c_write_lit(w, "],\"took_ms\":[");

    for (uint32_t k = 1; k < n; k++) {
        s3c_write_str(w, k > 1 ? "," : "");
        s3c_write_u64(w, samples[k].ms - samples[k - 1].ms);
    }

    s3c_write_byte(w, ']');

    history_group(w, "counts", history_counts, S3C_HISTORY_COUNTS_N, samples,
                  n, value_count);
    history_group(w, "bytes", history_bytes, S3C_HISTORY_BYTES_N, samples, n,
                  value_bytes);
    history_group(w, "gauges", history_gauges, S3C_HISTORY_GAUGES_N, samples,
                  n, value_gauge);
    history_group(w, "first_byte", history_tiers, S3C_HISTORY_TIERS, samples,
                  n, value_places);
    s3c_write_byte(w, '}');
}
