/* SPDX-License-Identifier: Apache-2.0
 *
 * The grammar of ~/.config/s3cachectl: lines of "name = value", empty ones and
 * those that begin with '#'. Spaces around name and value are nothing; a value
 * goes to the end of its line and has no quotes. Pure.
 */
#ifndef S3C_CTL_CTL_FILE_H
#define S3C_CTL_CTL_FILE_H

#include "base/slice.h"
#include "base/status.h"

#define CTL_FILE_MAX  (64u << 10)

/* Takes the next line that says something from *rest and counts *line up to
 * it. MISS: there is none. INVALID: it is no "name = value", or holds a control
 * character. */
s3c_status_t ctl_file_next(s3c_slice_t *rest, unsigned *line,
    s3c_slice_t *name, s3c_slice_t *value) S3C_MUST_CHECK;

#endif
