/* SPDX-License-Identifier: Apache-2.0
 *
 * Percent coding as S3 and SigV4 use it. Keys are bytes: nothing is ever
 * normalised (no dots, no double slashes, '+' in a path is a plus).
 */
#ifndef S3C_S3_URI_H
#define S3C_S3_URI_H

#include "base/slice.h"
#include "base/status.h"
#include "base/writer.h"

/* Appends the decoded bytes; plus_is_space only in query strings. INVALID on
 * "%" without two hex digits. Overflow shows in the writer. */
s3c_status_t s3c_uri_decode(s3c_writer_t *w, s3c_slice_t text,
    bool plus_is_space) S3C_MUST_CHECK;
/* Unreserved A-Za-z0-9-_.~ stay, also '/' when keep_slash; others %XX with
 * upper-case hex (SigV4 UriEncode). */
void s3c_uri_encode(s3c_writer_t *w, s3c_slice_t bytes, bool keep_slash);
/* Is it just what s3c_uri_encode() makes of its decoded bytes? */
bool s3c_uri_is_encoded(s3c_slice_t text, bool keep_slash);

#endif
