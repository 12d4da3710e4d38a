/* SPDX-License-Identifier: Apache-2.0
 *
 * A strict reader of Prometheus' text format 0.0.4 (one HELP and TYPE per
 * family, families together, names, labels, escapes), for tests: the text of
 * zones becomes a flat list of samples.
 */
#ifndef T_UNIT_STATS_PROMETHEUS_READER_H
#define T_UNIT_STATS_PROMETHEUS_READER_H

#include "stats/stats_rows.h"

#define SERIES_MAX   4096

typedef struct {
    s3c_slice_t  series;       /* name{labels} as it stands */
    s3c_slice_t  value;
} sample_t;

/* of what was printed last */
extern char      text[];
extern sample_t  sample[SERIES_MAX];
extern size_t    n_samples;

bool starts(s3c_slice_t s, s3c_slice_t with);
void print(const s3c_stats_zone_t *zones, unsigned n);
void assert_sample(const char *series, const char *want);
void assert_no_series_twice(void);

#endif /* T_UNIT_STATS_PROMETHEUS_READER_H */
