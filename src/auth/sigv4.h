/* SPDX-License-Identifier: Apache-2.0
 *
 * AWS Signature Version 4, the S3 variant (AWS "Authenticating Requests:
 * Using the Authorization Header"): path encoded once, not normalised. One
 * stage a file: canonical request, signing key, signature.
 */
#ifndef S3C_AUTH_SIGV4_H
#define S3C_AUTH_SIGV4_H

#include "base/slice.h"
#include "base/status.h"
#include "base/writer.h"
#include "http/http_head.h"

#define S3C_SIGV4_DATE_BYTES     16     /* 20130524T000000Z */
#define S3C_SIGV4_HEADERS_MAX    128
#define S3C_SHA256_BYTES         32

typedef struct {
    s3c_slice_t               method;
    s3c_slice_t               path;      /* decoded bytes, begins with '/' */
    bool                      path_is_coded;  /* path goes in as it is */
    s3c_slice_t               query;     /* raw, without '?' */
    const s3c_http_header_t  *headers;   /* all of them are signed; must hold
                                            host, x-amz-date,
                                            x-amz-content-sha256 */
    unsigned                  n_headers;
    s3c_slice_t               payload_hash;  /* 64 hex or UNSIGNED-PAYLOAD */
} s3c_sigv4_request_t;

/* The canonical request. FULL: out is too small; INVALID: bad escape in the
 * query, too many headers. */
s3c_status_t s3c_sigv4_canonical(const s3c_sigv4_request_t *req,
    s3c_writer_t *out) S3C_MUST_CHECK;

/* HMAC chain of secret, date (first 8 bytes), region, "s3". */
s3c_status_t s3c_sigv4_key(s3c_slice_t secret, s3c_slice_t date8,
    s3c_slice_t region, uint8_t key[S3C_SHA256_BYTES]) S3C_MUST_CHECK;

/* Signing keys change once a day: a small process-local cache of one. */
typedef struct {
    uint8_t  key[S3C_SHA256_BYTES];
    uint8_t  date8[8];
    bool     valid;
} s3c_sigv4_key_cache_t;

typedef struct {
    s3c_slice_t             access_key;
    s3c_slice_t             secret_key;
    s3c_slice_t             region;
    s3c_sigv4_key_cache_t  *cache;     /* may be NULL */
} s3c_sigv4_identity_t;

/* Writes the value of the Authorization header. */
s3c_status_t s3c_sigv4_sign(const s3c_sigv4_identity_t *id,
    const s3c_sigv4_request_t *req,
    const uint8_t amz_date[S3C_SIGV4_DATE_BYTES], s3c_writer_t *authorization)
    S3C_MUST_CHECK;

void s3c_sigv4_date_print(int64_t sec, uint8_t out[S3C_SIGV4_DATE_BYTES]);

#endif
