/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings: a table says of each what it is called on the command line, in the
 * environment and in the file. The command line wins, then the environment.
 */
#ifndef S3C_CTL_CTL_CONF_H
#define S3C_CTL_CTL_CONF_H

#include "ctl/ctl.h"

/* "--name" with its value. MISS: there is no such setting, or it is a secret
 * and not for a command line. */
s3c_status_t ctl_conf_set(ctl_t *ctl, const char *name, const char *value)
    S3C_MUST_CHECK;
/* After all flags: the environment, the file (NULL: the usual one, if it is
 * there), defaults; then endpoints are made of them. */
ctl_exit_t ctl_conf_read(ctl_t *ctl, const char *file);
/* The i-th setting for who completes or checks; NULL: there are no more. */
const char *ctl_conf_name(unsigned i, bool *flag);

#endif
