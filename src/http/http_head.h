/* SPDX-License-Identifier: Apache-2.0
 *
 * Strict reader of an HTTP/1.x response head, over one contiguous buffer.
 * Slices point into that buffer. What RFC 9112 calls malformed is INVALID:
 * the caller must then drop the connection (no request smuggling by an
 * origin: two status lines, two different Content-Length, CL with TE, bare
 * CR, NUL, obs-fold, field names that are no tokens...).
 */
#ifndef S3C_HTTP_HEAD_H
#define S3C_HTTP_HEAD_H

#include "base/slice.h"
#include "base/status.h"

#define S3C_HTTP_HEADERS_MAX     128
#define S3C_HTTP_HEAD_BYTES_MAX  (64u << 10)

typedef struct {
    s3c_slice_t  name;       /* as sent */
    s3c_slice_t  value;      /* trimmed; no control bytes but tab */
} s3c_http_header_t;

typedef struct {
    unsigned           status;             /* 100..599 */
    unsigned           minor_version;      /* 0 or 1 */
    bool               has_length;         /* Content-Length was there */
    uint64_t           length;
    bool               chunked;            /* Transfer-Encoding: chunked */
    bool               keepalive;          /* after version and Connection */
    size_t             head_bytes;         /* with the empty line */
    unsigned           n_headers;
    s3c_http_header_t  headers[S3C_HTTP_HEADERS_MAX];
} s3c_http_head_t;

/* OK: the head is complete. AGAIN: more bytes are needed (call again with
 * the longer buffer). INVALID. Interim 1xx heads are answered like others
 * (the caller skips them); 101 is INVALID. */
s3c_status_t s3c_http_head_parse(s3c_slice_t buf, s3c_http_head_t *head)
    S3C_MUST_CHECK;
/* First header of that name (any case), or NULL. */
const s3c_http_header_t *s3c_http_head_find(const s3c_http_head_t *head,
    s3c_slice_t name);

#endif
