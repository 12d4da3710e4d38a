/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that become the list of a warm-up.
 */
#ifndef S3C_CTL_CTL_UPLOAD_H
#define S3C_CTL_CTL_UPLOAD_H

#include "ctl/ctl_node.h"

/* path: "-" is standard input. OK: body->file is the caller's, at its begin. */
ctl_exit_t ctl_upload_list(ctl_t *ctl, const char *path, ctl_body_t *body);
/* The same of an S3 Inventory as CSV; lines that are none are told of, and
 * *bad is how many. */
ctl_exit_t ctl_upload_inventory(ctl_t *ctl, const char *path,
    ctl_body_t *body, uint64_t *bad);

#endif
