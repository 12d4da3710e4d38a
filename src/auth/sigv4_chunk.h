/* SPDX-License-Identifier: Apache-2.0
 *
 * The signatures inside an aws-chunked body (AWS "Signature Calculations for
 * the Authorization Header: Transferring Payload in Multiple Chunks", and the
 * page on trailing headers): each chunk signs its data and the signature
 * before it, from that of the request on. For what s3_chunked.h decodes.
 */
#ifndef S3C_AUTH_SIGV4_CHUNK_H
#define S3C_AUTH_SIGV4_CHUNK_H

#include "auth/sigv4_verify.h"
#include "base/digest.h"

#define S3C_SIGV4_SCOPE_MAX  (8 + 1 + S3C_SIGV4_REGION_MAX + 16)

typedef struct {
    unsigned   state;
    bool       is_empty;                 /* the open chunk, so far */
    s3c_sha_t  sha;                      /* of it */
    uint8_t    key[S3C_SHA256_BYTES];
    uint8_t    expected[S3C_SHA256_BYTES];
    uint8_t    last[2 * S3C_SHA256_BYTES];   /* the signature before, hex */
    uint8_t    date[S3C_SIGV4_DATE_BYTES];
    uint8_t    scope[S3C_SIGV4_SCOPE_MAX];
    size_t     scope_len;
} s3c_sigv4_chunks_t;

/* Of a claim that s3c_sigv4_check() found good, which need not outlive this.
 * INVALID: it has no signed chunks; IO. Always fini. */
s3c_status_t s3c_sigv4_chunks_init(s3c_sigv4_chunks_t *c,
    const s3c_sigv4_claim_t *claim, s3c_slice_t secret,
    s3c_sigv4_keys_t *keys) S3C_MUST_CHECK;
/* Wipes the key. */
void s3c_sigv4_chunks_fini(s3c_sigv4_chunks_t *c);

/* A chunk: begin with its chunk-signature, add its data in any parts, end: OK
 * or CORRUPT. INVALID: out of turn, no 64 lower-case hex digits, or one that
 * comes after an empty chunk, which is the last. After any error nothing is
 * ever OK again. The data of a chunk must not be believed before its end. */
s3c_status_t s3c_sigv4_chunk_begin(s3c_sigv4_chunks_t *c,
    s3c_slice_t signature) S3C_MUST_CHECK;
s3c_status_t s3c_sigv4_chunk_add(s3c_sigv4_chunks_t *c, s3c_slice_t data)
    S3C_MUST_CHECK;
s3c_status_t s3c_sigv4_chunk_end(s3c_sigv4_chunks_t *c) S3C_MUST_CHECK;
/* After the last chunk, of S3C_PAYLOAD_SIGNED_TRAILER: the trailer's lines
 * without x-amz-trailer-signature, and that. */
s3c_status_t s3c_sigv4_chunk_trailer(s3c_sigv4_chunks_t *c,
    const s3c_http_header_t *lines, unsigned n, s3c_slice_t signature)
    S3C_MUST_CHECK;
/* The last chunk, and the trailer if there is to be one, came and are good. A
 * body that ends without is not what was signed. */
bool s3c_sigv4_chunks_complete(const s3c_sigv4_chunks_t *c);

#endif
