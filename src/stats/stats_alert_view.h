/* SPDX-License-Identifier: Apache-2.0
 *
 * Alerts in words: what is said of one in the error log, in the JSON and on the
 * dashboard. Plain sentences, of which only names are foreign.
 */
#ifndef S3C_STATS_STATS_ALERT_VIEW_H
#define S3C_STATS_STATS_ALERT_VIEW_H

#include "stats/stats_alert.h"

#define S3C_ALERT_TEXT_MAX  384         /* of a text, at most */

const char *s3c_alert_name(s3c_alert_which_t which);
/* "warning" or "critical" */
const char *s3c_alert_severity(s3c_alert_which_t which);
/* What to do about it. */
const char *s3c_alert_advice(s3c_alert_which_t which);
/* The alert of this name; S3C_ALERT_N: there is none. */
s3c_alert_which_t s3c_alert_find(s3c_slice_t name);
/* What was measured last. */
void s3c_alert_write_text(s3c_writer_t *w, s3c_alert_which_t which,
    const s3c_alert_measure_t *m, uint64_t window_ms);

#endif
