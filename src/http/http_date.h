/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP dates (RFC 9110 5.6.7): IMF-fixdate is written; IMF-fixdate, RFC 850
 * and asctime forms are read.
 */
#ifndef S3C_HTTP_DATE_H
#define S3C_HTTP_DATE_H

#include "base/slice.h"
#include "base/status.h"

#define S3C_HTTP_DATE_BYTES  29      /* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* Seconds since 1970, UTC. INVALID when it is no date. */
s3c_status_t s3c_http_date_parse(s3c_slice_t text, int64_t *sec)
    S3C_MUST_CHECK;
void s3c_http_date_print(int64_t sec, uint8_t out[S3C_HTTP_DATE_BYTES]);

#endif
