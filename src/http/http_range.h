/* SPDX-License-Identifier: Apache-2.0
 *
 * The Range header as S3 understands it: one byte range; what is malformed,
 * of another unit or has several ranges counts as absent (200, whole).
 * Source: RFC 9110 14.2 and the AWS result tables (GetObject, "Range").
 */
#ifndef S3C_HTTP_RANGE_H
#define S3C_HTTP_RANGE_H

#include "base/slice.h"
#include "base/status.h"

typedef enum {
    S3C_RANGE_NONE = 0,      /* absent or to be ignored: the whole */
    S3C_RANGE_FROM_TO,       /* a-b; numbers clamp at UINT64_MAX */
    S3C_RANGE_FROM,          /* a- */
    S3C_RANGE_SUFFIX         /* -n */
} s3c_range_kind_t;

typedef struct {
    s3c_range_kind_t  kind;
    uint64_t          first;     /* FROM_TO, FROM */
    uint64_t          last;      /* FROM_TO, inclusive */
    uint64_t          suffix;    /* SUFFIX */
} s3c_range_spec_t;

typedef enum {
    S3C_RANGE_WHOLE,         /* 200 */
    S3C_RANGE_PART,          /* 206, first..last */
    S3C_RANGE_UNSATISFIABLE  /* 416 */
} s3c_range_result_t;

/* The value of a Range header; never fails. */
s3c_range_spec_t s3c_http_range_parse(s3c_slice_t value);
/* Against a body of `total` bytes; sets *first and *last (inclusive) for
 * PART, and for WHOLE when total > 0. An empty body: suffix is WHOLE, other
 * well-formed ranges are UNSATISFIABLE (AWS). "-0" is UNSATISFIABLE. */
s3c_range_result_t s3c_http_range_resolve(const s3c_range_spec_t *spec,
    uint64_t total, uint64_t *first, uint64_t *last);
/* "bytes a-b/total" of an origin's 206, or "bytes *" "/total" of a 416 (then
 * *first > *last). INVALID when malformed or contradictory. */
s3c_status_t s3c_http_content_range_parse(s3c_slice_t value, uint64_t *first,
    uint64_t *last, uint64_t *total) S3C_MUST_CHECK;

#endif
