/* SPDX-License-Identifier: Apache-2.0
 *
 * A line of the list of a warm-up, and of a profile of what was read:
 *
 *   bucket/key[ TAB first-last][ TAB versionId=V]
 *
 * Names and versions are percent-coded. Empty lines, and those that begin with
 * '#', say nothing. Foreign bytes. Pure.
 */
#ifndef S3C_SERVE_WARM_LINE_H
#define S3C_SERVE_WARM_LINE_H

#include "base/slice.h"
#include "base/status.h"
#include "base/writer.h"

#define S3C_WARM_LINE_MAX     8192u
#define S3C_WARM_BUCKET_MAX   255u
#define S3C_WARM_VERSION_MAX  1024u

typedef struct {
    s3c_slice_t  bucket;
    s3c_slice_t  key;
    s3c_slice_t  version;                  /* empty: the newest */
    uint64_t     first;
    uint64_t     last;                     /* UINT64_MAX: to the end */
    uint8_t      buf[S3C_WARM_BUCKET_MAX + 1024u + S3C_WARM_VERSION_MAX];
} s3c_warm_line_t;

/* May it be one? No path that leads out of the origin's. */
bool s3c_warm_bucket_is_name(s3c_slice_t bucket);

/* text: without its end of line. OK: slices lie in *line. MISS: it says
 * nothing. INVALID. */
s3c_status_t s3c_warm_line_parse(s3c_warm_line_t *line, s3c_slice_t text)
    S3C_MUST_CHECK;
/* With its end of line; last UINT64_MAX and first 0: no range. */
void s3c_warm_line_print(s3c_writer_t *w, s3c_slice_t bucket,
    s3c_slice_t key, s3c_slice_t version, uint64_t first, uint64_t last);

#endif
