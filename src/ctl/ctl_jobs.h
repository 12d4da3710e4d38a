/* SPDX-License-Identifier: Apache-2.0
 *
 * Jobs of warm-ups, as a node's JSON.
 */
#ifndef S3C_CTL_CTL_JOBS_H
#define S3C_CTL_CTL_JOBS_H

#include "ctl/ctl_node.h"

/* Of a job that is over: its numbers in words; how the program ends by it. */
void ctl_jobs_summary(const json_t *job);
ctl_exit_t ctl_jobs_end(const json_t *job);

/* warmup --jobs, warmup --stop */
ctl_exit_t ctl_jobs_list(ctl_t *ctl);
ctl_exit_t ctl_jobs_stop(ctl_t *ctl);

#endif
