/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway's own credentials for an origin, read from a file in the AWS
 * shared-credentials format ([profile] aws_access_key_id = ...). Secrets are
 * never logged: errors name a line number, not its text.
 */
#ifndef S3C_AUTH_CREDENTIALS_H
#define S3C_AUTH_CREDENTIALS_H

#include "base/slice.h"
#include "base/status.h"

typedef struct {
    s3c_slice_t  access_key;         /* point into the text */
    s3c_slice_t  secret_key;
    s3c_slice_t  session_token;      /* may be empty */
    unsigned     error_line;         /* of INVALID, 0 when none applies */
} s3c_credentials_t;

/* MISS: no such profile; INVALID: a broken line, a key without its secret. */
s3c_status_t s3c_credentials_parse(s3c_slice_t text, s3c_slice_t profile,
    s3c_credentials_t *out) S3C_MUST_CHECK;

#endif
