/* SPDX-License-Identifier: Apache-2.0
 *
 * Which bucket and key a request names: path style, or virtual-host style
 * under one of the configured domains. Key bytes are decoded exactly once
 * and are otherwise untouched.
 */
#ifndef S3C_S3_ADDRESS_H
#define S3C_S3_ADDRESS_H

#include "base/slice.h"
#include "base/status.h"
#include "s3/s3_error.h"

#define S3C_S3_KEY_BYTES_MAX     1024
#define S3C_S3_BUCKET_BYTES_MAX  255

typedef struct {
    bool         vhost;          /* the bucket came from the Host header */
    s3c_slice_t  bucket;         /* empty: the service itself (ListBuckets) */
    s3c_slice_t  key;            /* empty: the bucket itself */
    uint8_t      buf[S3C_S3_BUCKET_BYTES_MAX + 1 + S3C_S3_KEY_BYTES_MAX + 16];
} s3c_s3_address_t;

/* host: as in the request (may carry a port, upper case, trailing dot; may
 * be empty). path: the raw path of the request line, without '?', beginning
 * with '/'. domains: suffixes such as "s3.example.com"; the longest match
 * wins; a host equal to a domain is path style. The bucket must be
 * [A-Za-z0-9._-]{3,255} after decoding, never contain '/'; '/' from %2F in
 * the bucket segment is refused. NUL in a key and invalid UTF-8 are refused
 * (S3 keys are UTF-8). INVALID sets *err to the S3 error to answer. */
s3c_status_t s3c_s3_address_parse(s3c_s3_address_t *addr, s3c_slice_t host,
    s3c_slice_t path, const s3c_slice_t *domains, unsigned n_domains,
    s3c_s3_error_t *err) S3C_MUST_CHECK;

#endif
