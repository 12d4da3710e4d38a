/* SPDX-License-Identifier: Apache-2.0
 *
 * What is kept of an origin's answer: the header block, rendered once as
 * "Name: value\r\n" lines in the origin's order and spelling, and the facts
 * that decide about it. Rules: which headers are stored, which are shown.
 */
#ifndef S3C_S3_META_H
#define S3C_S3_META_H

#include "base/slice.h"
#include "base/status.h"
#include "base/writer.h"
#include "http/http_head.h"

/* Facts of one version of an object, from the head of a 200/206 or of HEAD.
 * Slices point into the head's buffer. */
typedef struct {
    uint64_t     total;              /* bytes of the whole object */
    uint64_t     first, last;        /* of the body that comes (200: all) */
    int64_t      last_modified;      /* seconds; -1 unknown */
    s3c_slice_t  etag;               /* with quotes; may be empty */
    s3c_slice_t  last_modified_text;
    s3c_slice_t  version_id;
    uint64_t     generation;         /* of (etag, last-modified text, total,
                                        version id); never 0 */
    bool         sse_customer;       /* SSE-C: must not be kept */
    bool         parts_count;        /* x-amz-mp-parts-count was there */
} s3c_s3_meta_t;

/* INVALID: no usable length, 206 without or with a wrong Content-Range,
 * Content-Length that contradicts Content-Range, a status other than 200
 * and 206. is_head: the answer to a HEAD (no body follows). */
s3c_status_t s3c_s3_meta_parse(const s3c_http_head_t *head, bool is_head,
    s3c_s3_meta_t *meta) S3C_MUST_CHECK;

/* Appends the lines that are stored of a 2xx head. Left out: hop-by-hop,
 * Content-Length, Content-Range, Date, Server, Age, Via, X-Cache*,
 * x-amz-request-id, x-amz-id-2, x-amz-cf-*, x-amz-request-charged,
 * x-amz-mp-parts-count, Set-Cookie, Access-Control-*, Vary, Alt-Svc,
 * Strict-Transport-Security. */
void s3c_s3_meta_render(s3c_writer_t *w, const s3c_http_head_t *head);
/* The same for an error answer (404...), which keeps x-amz-request-id and
 * x-amz-id-2 since its body names them. */
void s3c_s3_meta_render_error(s3c_writer_t *w, const s3c_http_head_t *head);

/* Walks a stored block: answers false at its end or at the first byte that
 * is not a line (a corrupt block ends early, never overruns). Start with
 * *pos = 0. */
bool s3c_s3_meta_next(s3c_slice_t block, size_t *pos,
    s3c_http_header_t *header);
bool s3c_s3_meta_is_checksum(s3c_slice_t name);  /* x-amz-checksum-* */
/* Is this header part of a 304 (RFC 9110 15.4.5, S3: also version id)? */
bool s3c_s3_meta_in_304(s3c_slice_t name);

#endif
