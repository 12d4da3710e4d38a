/* SPDX-License-Identifier: Apache-2.0
 *
 * S3 Inventory as CSV: bucket and key are the first two fields of each line,
 * the key percent-coded, with '+' for a space. Foreign bytes. Pure.
 */
#ifndef S3C_CTL_CTL_INVENTORY_H
#define S3C_CTL_CTL_INVENTORY_H

#include "base/slice.h"
#include "base/status.h"
#include "base/writer.h"

#define CTL_INVENTORY_LINE_MAX  (64u << 10)

/* One line (without its end) as a line of a warm-up's list. MISS: it is empty.
 * INVALID: it is no such line. */
s3c_status_t ctl_inventory_line(s3c_slice_t line, s3c_writer_t *w)
    S3C_MUST_CHECK;

#endif
