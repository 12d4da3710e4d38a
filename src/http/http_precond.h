/* SPDX-License-Identifier: Apache-2.0
 *
 * Conditional requests: the order of RFC 9110 13.2.2 with S3's latitude
 * (ETags with or without quotes; unparsable dates are ignored).
 */
#ifndef S3C_HTTP_PRECOND_H
#define S3C_HTTP_PRECOND_H

#include "base/slice.h"
#include "base/status.h"

/* Header values as received; len 0 with data NULL means absent. Repeated
 * headers arrive joined by ", ". */
typedef struct {
    s3c_slice_t  if_match;
    s3c_slice_t  if_none_match;
    s3c_slice_t  if_modified_since;
    s3c_slice_t  if_unmodified_since;
    s3c_slice_t  if_range;
} s3c_precond_t;

typedef enum {
    S3C_PRECOND_PASS,
    S3C_PRECOND_NOT_MODIFIED,             /* 304 */
    S3C_PRECOND_FAILED_MATCH,             /* 412, Condition If-Match */
    S3C_PRECOND_FAILED_UNMODIFIED_SINCE   /* 412, If-Unmodified-Since */
} s3c_precond_result_t;

/* etag as stored, with its quotes; last_modified in seconds, < 0 unknown. */
s3c_precond_result_t s3c_http_precond_check(const s3c_precond_t *cond,
    s3c_slice_t etag, int64_t last_modified);
/* May the Range header be used (RFC 9110 13.1.5)? Strong comparison; a date
 * must be equal to last_modified. Absent: yes. */
bool s3c_http_if_range_passes(s3c_slice_t if_range, s3c_slice_t etag,
    int64_t last_modified);

#endif
