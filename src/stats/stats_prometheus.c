/* SPDX-License-Identifier: Apache-2.0
 *
 * The numbers in the Prometheus text format 0.0.4. A family stands together:
 * its HELP and TYPE once, then its rows of all zones.
 */
#include "stats/stats_rows.h"

/* What a sample needs besides its value. */
typedef struct {
    s3c_slice_t  family;
    s3c_slice_t  labels;       /* those of the row */
    s3c_slice_t  zone;
    s3c_slice_t  bucket;       /* data is NULL: no such label */
    s3c_slice_t  store;        /* the same */
    s3c_slice_t  node;         /* the same */
    s3c_slice_t  source;       /* the same */
    s3c_slice_t  alert;        /* the same */
} prom_sample_t;


static void
prom_label_value(s3c_writer_t *w, s3c_slice_t s)
{
    s3c_write_byte(w, '"');

    while (s.len > 0) {
        s3c_slice_t  c = s3c_stats_text_next(&s);

        switch (c.data[0]) {

        case '\n':
            s3c_write_lit(w, "\\n");
            break;

        case '"':
        case '\\':
            s3c_write_byte(w, '\\');
            s3c_write_slice(w, c);
            break;

        case '\0':
            s3c_write_lit(w, "\xef\xbf\xbd");    /* ends the text for some */
            break;

        default:
            s3c_write_slice(w, c);
        }
    }

    s3c_write_byte(w, '"');
}


/* Everything up to the value; `suffix` goes to the family's name, and `le`,
 * unless it is NULL, is the bound in microseconds, UINT64_MAX for +Inf. */
static void
prom_sample(s3c_writer_t *w, const prom_sample_t *s, const char *suffix,
    const uint64_t *le)
{
    s3c_write_slice(w, s->family);
    s3c_write_str(w, suffix);
    s3c_write_lit(w, "{zone=");
    prom_label_value(w, s->zone);

    if (s->bucket.data != NULL) {
        s3c_write_lit(w, ",bucket=");
        prom_label_value(w, s->bucket);
    }

    if (s->store.data != NULL) {
        s3c_write_lit(w, ",store=");
        prom_label_value(w, s->store);
    }

    if (s->node.data != NULL) {
        s3c_write_lit(w, ",node=");
        prom_label_value(w, s->node);
    }

    if (s->source.data != NULL) {
        s3c_write_lit(w, ",source=");
        prom_label_value(w, s->source);
    }

    if (s->alert.data != NULL) {
        s3c_write_lit(w, ",alert=");
        prom_label_value(w, s->alert);
    }

    if (s->labels.len > 0) {
        s3c_write_byte(w, ',');
        s3c_write_slice(w, s->labels);
    }

    if (le != NULL) {
        s3c_write_lit(w, ",le=\"");

        if (*le == UINT64_MAX) {
            s3c_write_lit(w, "+Inf");

        } else {
            s3c_stats_write_seconds(w, *le);
        }

        s3c_write_byte(w, '"');
    }

    s3c_write_lit(w, "} ");
}


static void
prom_value(s3c_writer_t *w, const prom_sample_t *s, const char *suffix,
    const uint64_t *le, uint64_t value)
{
    prom_sample(w, s, suffix, le);
    s3c_write_u64(w, value);
    s3c_write_byte(w, '\n');
}


static void
prom_histogram(s3c_writer_t *w, const prom_sample_t *s,
    const s3c_hist_sums_t *sums)
{
    uint64_t  le, below = 0;

    for (uint32_t i = 0; i <= S3C_HIST_BUCKETS; i++) {
        le = i < S3C_HIST_BUCKETS ? s3c_hist_bound_usec(i) : UINT64_MAX;
        below += sums->place[i];
        prom_value(w, s, "_bucket", &le, below);
    }

    prom_sample(w, s, "_sum", NULL);
    s3c_stats_write_seconds(w, sums->sum_usec);
    s3c_write_byte(w, '\n');

    prom_value(w, s, "_count", NULL, sums->count);
}


/* One row of one zone. */
static void
prom_row(s3c_writer_t *w, const s3c_stats_rows_t *rows,
    const s3c_stats_row_t *row, const s3c_stats_zone_t *zone)
{
    uint8_t          buf[S3C_STATS_BUCKET_NAME];
    uint32_t         i, n;
    prom_sample_t    s;
    s3c_hist_sums_t  sums;

    s = (prom_sample_t) {
        .family = s3c_stats_row_family(row),
        .labels = s3c_stats_row_labels(row),
        .zone = zone->name
    };

    if (rows->value == NULL) {
        s3c_stats_zone_hist(zone, row, &sums);
        prom_histogram(w, &s, &sums);
        return;
    }

    n = rows->per == S3C_STATS_PER_BUCKET ? S3C_STATS_BUCKETS_MAX
        : rows->per == S3C_STATS_PER_STORE ? zone->n_stores
        : rows->per == S3C_STATS_PER_NODE
          ? (zone->ring ? zone->ring->n_members : 0) : 1;

    for (i = 0; i < n && s3c_writer_ok(w); i++) {
        if (rows->per == S3C_STATS_PER_STORE) {
            s.store = zone->stores[i].path;

        } else if (rows->per == S3C_STATS_PER_NODE) {
            if (zone->ring->members[i].self) {
                continue;
            }

            s.node = zone->ring->members[i].name;

        } else if (rows->per == S3C_STATS_PER_BUCKET) {
            s.bucket = s3c_stats_zone_bucket(zone, i, buf);

            if (s.bucket.len == 0) {
                continue;
            }
        }

        if (rows->per == S3C_STATS_PER_STORE
            && row->at == offsetof(s3c_ssd_usage_t, recovery_ms))
        {
            prom_sample(w, &s, "", NULL);
            s3c_stats_write_seconds(w,
                                    rows->value(zone, i, row->at) * 1000);
            s3c_write_byte(w, '\n');
            continue;
        }

        prom_value(w, &s, "", NULL, rows->value(zone, i, row->at));
    }
}


/* _total is a counter's suffix, and only a counter's. */
static const char *
prom_type(const s3c_stats_rows_t *rows, s3c_slice_t family)
{
    static const char  total[] = "_total";
    size_t             n = sizeof(total) - 1;

    if (rows->value == NULL) {
        return "histogram";
    }

    if (family.len > n && memcmp(family.data + family.len - n, total, n) == 0)
    {
        return "counter";
    }

    return "gauge";
}


static void
prom_head(s3c_writer_t *w, const s3c_stats_rows_t *rows, size_t first,
    size_t n)
{
    s3c_slice_t  family = s3c_stats_row_family(&rows->rows[first]);
    const char  *help = "";

    for (size_t i = first; i < first + n && help[0] == '\0'; i++) {
        help = rows->rows[i].help;
    }

    s3c_write_lit(w, "# HELP ");
    s3c_write_slice(w, family);
    s3c_write_byte(w, ' ');
    s3c_write_str(w, help);
    s3c_write_lit(w, "\n# TYPE ");
    s3c_write_slice(w, family);
    s3c_write_byte(w, ' ');
    s3c_write_str(w, prom_type(rows, family));
    s3c_write_byte(w, '\n');
}


static void
prom_rows(s3c_writer_t *w, const s3c_stats_rows_t *rows,
    const s3c_stats_zone_t *zones, unsigned n_zones)
{
    size_t  n;

    for (size_t first = 0; first < rows->n; first += n) {
        n = s3c_stats_rows_family(rows, first);
        prom_head(w, rows, first, n);

        for (unsigned z = 0; z < n_zones; z++) {
            for (size_t i = first; i < first + n; i++) {
                prom_row(w, rows, &rows->rows[i], &zones[z]);
            }
        }
    }
}


static void
prom_computed_head(s3c_writer_t *w, const char *family, const char *help,
    const char *type)
{
    s3c_write_lit(w, "# HELP ");
    s3c_write_str(w, family);
    s3c_write_byte(w, ' ');
    s3c_write_str(w, help);
    s3c_write_lit(w, "\n# TYPE ");
    s3c_write_str(w, family);
    s3c_write_byte(w, ' ');
    s3c_write_str(w, type);
    s3c_write_byte(w, '\n');
}


/* What is no number of s3c_ssd_usage_t; the families of s3c_stats_computed. */
static void
prom_stores(s3c_writer_t *w, const s3c_stats_zone_t *zones, unsigned n_zones)
{
    static const s3c_slice_t  states[] = {
        [S3C_SSD_WAITING] = S3C_SLICE("state=\"waiting\""),
        [S3C_SSD_RECOVERING] = S3C_SLICE("state=\"recovering\""),
        [S3C_SSD_SERVING] = S3C_SLICE("state=\"serving\""),
        [S3C_SSD_FAILED] = S3C_SLICE("state=\"failed\"")
    };

    for (size_t f = 0; s3c_stats_computed[f].family != NULL; f++) {
        const char  *family = s3c_stats_computed[f].family;

        prom_computed_head(w, family, s3c_stats_computed[f].help, "gauge");

        for (unsigned z = 0; z < n_zones; z++) {
            for (unsigned i = 0; i < zones[z].n_stores; i++) {
                const s3c_ssd_usage_t  *u = &zones[z].stores[i].usage;
                prom_sample_t           s = {
                    .family = s3c_slice(family, strlen(family)),
                    .zone = zones[z].name,
                    .store = zones[z].stores[i].path
                };

                switch (s3c_stats_computed[f].what) {

                case S3C_STATS_UP:
                    prom_value(w, &s, "", NULL,
                               u->state == S3C_SSD_SERVING
                               || u->state == S3C_SSD_RECOVERING);
                    break;

                case S3C_STATS_STATE:
                    for (size_t k = 0; k < sizeof(states) / sizeof(states[0]);
                         k++)
                    {
                        s.labels = states[k];
                        prom_value(w, &s, "", NULL, u->state == k);
                    }
                    break;

                case S3C_STATS_AMPLIFICATION:
                    prom_sample(w, &s, "", NULL);
                    s3c_stats_write_amplification(w, u);
                    s3c_write_byte(w, '\n');
                    break;
                }
            }
        }
    }
}


/* One of several words is the case: a sample for each. */
static void
prom_words(s3c_writer_t *w, prom_sample_t *s, const char *label,
    const char *const *words, s3c_slice_t is)
{
    uint8_t  buf[64];

    for ( ; *words != NULL; words++) {
        s3c_writer_t  l;

        s3c_writer_init(&l, buf, sizeof(buf));
        s3c_write_str(&l, label);
        s3c_write_lit(&l, "=\"");
        s3c_write_str(&l, *words);
        s3c_write_byte(&l, '"');

        s->labels = s3c_writer_slice(&l);
        prom_value(w, s, "", NULL,
                   s3c_slice_eq(is, s3c_slice(*words, strlen(*words))));
    }

    s->labels = S3C_SLICE_NONE;
}


static void
prom_member(s3c_writer_t *w, prom_sample_t *s, s3c_stats_ring_what_t what,
    const s3c_stats_member_t *m)
{
    static const char *const  states[] = {
        "joining", "ready", "leaving", NULL
    };
    static const char *const  reaches[] = {
        "up", "resting", "unasked", NULL
    };

    switch (what) {

    case S3C_STATS_RING_SHARE:
        prom_sample(w, s, "", NULL);
        s3c_stats_write_share(w, m->share);
        s3c_write_byte(w, '\n');
        break;

    case S3C_STATS_NODE_WEIGHT:
        prom_value(w, s, "", NULL, m->weight);
        break;

    case S3C_STATS_NODE_STATE:
        prom_words(w, s, "state", states, m->state);
        break;

    case S3C_STATS_NODE_REACH:
        prom_words(w, s, "reach", reaches, s3c_stats_member_reach(m));
        break;

    case S3C_STATS_NODE_LINKS:
        prom_value(w, s, "", NULL, m->counts.links);
        break;

    case S3C_STATS_NODE_FIRST_BYTE:
        prom_histogram(w, s, &m->counts.first_byte);
        break;

    default:
        break;
    }
}


static void
prom_rings(s3c_writer_t *w, const s3c_stats_zone_t *zones, unsigned n_zones)
{
    for (size_t f = 0; s3c_stats_ring_families[f].family != NULL; f++) {
        const s3c_stats_ring_family_t  *family = &s3c_stats_ring_families[f];

        prom_computed_head(w, family->family, family->help,
                           family->what == S3C_STATS_NODE_FIRST_BYTE
                           ? "histogram" : "gauge");

        for (unsigned z = 0; z < n_zones; z++) {
            const s3c_stats_ring_t  *ring = zones[z].ring;
            prom_sample_t            s = {
                .family = s3c_slice(family->family, strlen(family->family)),
                .zone = zones[z].name
            };

            if (ring == NULL) {
                continue;
            }

            if (family->what < S3C_STATS_RING_SHARE) {
                prom_value(w, &s, "", NULL,
                           family->what == S3C_STATS_RING_EPOCH ? ring->epoch
                           : family->what == S3C_STATS_RING_VOUCHED
                             ? ring->vouched : ring->n_members);
                continue;
            }

            for (unsigned i = 0; i < ring->n_members && s3c_writer_ok(w); i++)
            {
                if (ring->members[i].self
                    && family->what >= S3C_STATS_NODE_REACH)
                {
                    continue;
                }

                s.node = ring->members[i].name;
                prom_member(w, &s, family->what, &ring->members[i]);
            }
        }
    }
}


static void
prom_keys_one(s3c_writer_t *w, prom_sample_t *s, s3c_stats_keys_what_t what,
    const s3c_stats_keys_t *k)
{
    switch (what) {

    case S3C_STATS_KEYS_REFRESHES:
        s->labels = S3C_SLICE("result=\"ok\"");
        prom_value(w, s, "", NULL, k->refreshed);
        s->labels = S3C_SLICE("result=\"failed\"");
        prom_value(w, s, "", NULL, k->failed);
        break;

    case S3C_STATS_KEYS_VALID:
        prom_value(w, s, "", NULL, k->valid);
        break;

    case S3C_STATS_KEYS_EXPIRY:
        if (k->expires) {
            prom_value(w, s, "", NULL, k->seconds);
        }
        break;
    }
}


static void
prom_keys(s3c_writer_t *w, const s3c_stats_zone_t *zones, unsigned n_zones)
{
    for (size_t f = 0; s3c_stats_keys_families[f].family != NULL; f++) {
        const s3c_stats_keys_family_t  *family = &s3c_stats_keys_families[f];

        prom_computed_head(w, family->family, family->help,
                           family->what == S3C_STATS_KEYS_REFRESHES
                           ? "counter" : "gauge");

        for (unsigned z = 0; z < n_zones; z++) {
            for (unsigned i = 0; i < zones[z].n_keys; i++) {
                prom_sample_t  s = {
                    .family = s3c_slice(family->family,
                                        strlen(family->family)),
                    .zone = zones[z].name,
                    .source = zones[z].keys[i].source
                };

                prom_keys_one(w, &s, family->what, &zones[z].keys[i]);
            }
        }
    }
}


/* Those that are judged. */
static void
prom_alerts(s3c_writer_t *w, const s3c_stats_zone_t *zones, unsigned n_zones)
{
    prom_sample_t  s = { .family = S3C_SLICE(S3C_STATS_ALERT_FAMILY) };

    prom_computed_head(w, S3C_STATS_ALERT_FAMILY,
                       "1 while the alert is raised", "gauge");

    for (unsigned z = 0; z < n_zones; z++) {
        s.zone = zones[z].name;

        for (unsigned i = 0; i < zones[z].n_alerts; i++) {
            s.alert = zones[z].alerts[i].name;
            prom_value(w, &s, "", NULL, zones[z].alerts[i].raised);
        }
    }
}


void
s3c_stats_print_prometheus(s3c_writer_t *w, const s3c_stats_zone_t *zones,
    unsigned n_zones)
{
    prom_rows(w, &s3c_stats_counter_rows, zones, n_zones);
    prom_rows(w, &s3c_stats_usage_rows, zones, n_zones);
    prom_rows(w, &s3c_stats_flash_rows, zones, n_zones);
    prom_rows(w, &s3c_stats_store_rows, zones, n_zones);
    prom_stores(w, zones, n_zones);
    prom_rings(w, zones, n_zones);
    prom_keys(w, zones, n_zones);
    prom_alerts(w, zones, n_zones);
    prom_rows(w, &s3c_stats_node_rows, zones, n_zones);
    prom_rows(w, &s3c_stats_bucket_rows, zones, n_zones);
    prom_rows(w, &s3c_stats_hist_rows, zones, n_zones);
}
