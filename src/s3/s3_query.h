/* SPDX-License-Identifier: Apache-2.0
 *
 * The query string of an S3 request: its segments, and the names that a read
 * of an object may hold (everything else makes it another operation).
 */
#ifndef S3C_S3_QUERY_H
#define S3C_S3_QUERY_H

#include "base/slice.h"
#include "base/status.h"

#define S3C_S3_QUERY_NAME_BYTES_MAX  64

typedef enum {
    S3C_PARAM_CACHE_CONTROL,            /* in the order of s3c_s3_override_t */
    S3C_PARAM_CONTENT_DISPOSITION,
    S3C_PARAM_CONTENT_ENCODING,
    S3C_PARAM_CONTENT_LANGUAGE,
    S3C_PARAM_CONTENT_TYPE,
    S3C_PARAM_EXPIRES,
    S3C_PARAM_VERSION_ID,
    S3C_PARAM_PART_NUMBER,
    S3C_PARAM_CHECKSUM_MODE,            /* hoisted from a header */
    S3C_PARAM_X_ID,                     /* "GetObject", from some SDKs */
    S3C_PARAM_V4_ALGORITHM,             /* from here on: credentials */
    S3C_PARAM_V4_CREDENTIAL,
    S3C_PARAM_V4_DATE,
    S3C_PARAM_V4_EXPIRES,
    S3C_PARAM_V4_SIGNED_HEADERS,
    S3C_PARAM_V4_SIGNATURE,
    S3C_PARAM_V4_SECURITY_TOKEN,
    S3C_PARAM_V4_CONTENT_SHA256,
    S3C_PARAM_V2_ACCESS_KEY,
    S3C_PARAM_V2_SIGNATURE,
    S3C_PARAM_V2_EXPIRES,
    S3C_PARAM_V2_SECURITY_TOKEN,
    S3C_PARAM_N                         /* none of them */
} s3c_s3_param_t;

/* Takes the next segment that is not empty off the query and cuts it at its
 * first '='; both parts are still coded. False at the end. */
bool s3c_s3_query_next(s3c_slice_t *query, s3c_slice_t *name,
    s3c_slice_t *value);
/* Is each '%' followed by two hex digits? */
bool s3c_s3_query_is_valid(s3c_slice_t text);
/* By the coded name, exact spelling; S3C_PARAM_N: unknown. INVALID on a bad
 * escape. *decoded lives in buf; of a name longer than buf it is only the
 * beginning. */
s3c_status_t s3c_s3_query_param(s3c_slice_t coded,
    uint8_t buf[S3C_S3_QUERY_NAME_BYTES_MAX], s3c_slice_t *decoded,
    s3c_s3_param_t *param) S3C_MUST_CHECK;

#endif
