/* SPDX-License-Identifier: Apache-2.0
 *
 * Where an object is, for who has other plans with the answer.
 */
#ifndef S3C_CTL_CTL_EXPLAIN_H
#define S3C_CTL_CTL_EXPLAIN_H

#include "ctl/ctl_node.h"

/* With the options offset and version-id. OK: *json is the caller's. */
ctl_exit_t ctl_explain_ask(ctl_t *ctl, const ctl_target_t *target,
    json_t **json);
/* Does some node have it, or with_block the block with the offset? */
bool ctl_explain_has(const json_t *json, bool with_block);
/* Does some node have anything of it, be it that it is not there? */
bool ctl_explain_any(const json_t *json);

#endif
