/* SPDX-License-Identifier: Apache-2.0
 *
 * How fast a zone answers now: of its history (?history=seconds), the last ten
 * samples. What its status says of latencies is of all its time.
 */
#ifndef S3C_CTL_CTL_RECENT_H
#define S3C_CTL_CTL_RECENT_H

#include "ctl/ctl_json.h"

#define CTL_RECENT_SAMPLES  10u

/* Seconds in which 99 of 100 hits (of memory, flash, mirrors and other nodes)
 * had their first byte, by the history of one zone. Of what memory and mirrors
 * answered one in `sampled` is in there. Negative: there was none. */
double ctl_recent_p99(const json_t *zone, uint64_t sampled);

#endif
