/* SPDX-License-Identifier: Apache-2.0
 *
 * Incremental decoder of the chunked transfer coding (RFC 9112 7.1), strict:
 * CRLF only, no obs-fold in trailers, bounded extensions and trailers.
 */
#ifndef S3C_HTTP_CHUNKED_H
#define S3C_HTTP_CHUNKED_H

#include "base/slice.h"
#include "base/status.h"

#define S3C_HTTP_CHUNK_LINE_MAX     4096
#define S3C_HTTP_CHUNK_TRAILER_MAX  (16u << 10)

typedef struct {
    unsigned  state;         /* zero-initialise */
    uint64_t  chunk_left;
    uint32_t  line_bytes;
    uint32_t  trailer_bytes;
} s3c_http_chunked_t;

/* Looks at in[0, in_len): answers in *data the next run of payload inside
 * `in` (may be empty) and in *used how many bytes of `in` are consumed,
 * payload included. AGAIN: go on with the rest of the input, or with more.
 * OK: the last chunk and the trailer are complete. INVALID. */
s3c_status_t s3c_http_chunked_step(s3c_http_chunked_t *c, s3c_slice_t in,
    s3c_slice_t *data, size_t *used) S3C_MUST_CHECK;

#endif
