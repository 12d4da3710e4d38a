/* SPDX-License-Identifier: Apache-2.0
 *
 * MD5, SHA-1, SHA-256, HMAC of both SHA, AES-128-GMAC; the only file that sees
 * OpenSSL is digest.c. Works with OpenSSL 1.1.1 and 3.x, without deprecated calls.
 */
#ifndef S3C_BASE_DIGEST_H
#define S3C_BASE_DIGEST_H

#include "base/slice.h"
#include "base/status.h"

#define S3C_DIGEST_SHA256_BYTES  32
#define S3C_GMAC_KEY_BYTES       16
#define S3C_GMAC_NONCE_BYTES     12
#define S3C_GMAC_TAG_BYTES       16

s3c_status_t s3c_sha256(s3c_slice_t in, uint8_t out[S3C_DIGEST_SHA256_BYTES])
    S3C_MUST_CHECK;
s3c_status_t s3c_hmac_sha256(s3c_slice_t key, s3c_slice_t in,
    uint8_t out[S3C_DIGEST_SHA256_BYTES]) S3C_MUST_CHECK;
/* 20 bytes; of SigV2 and of nothing else. */
s3c_status_t s3c_hmac_sha1(s3c_slice_t key, s3c_slice_t in, uint8_t *out)
    S3C_MUST_CHECK;
/* A digest of what comes in parts: init allocates and fini frees. */
typedef struct {
    void  *ctx;                /* digest.c's; NULL: not inited, fini may come */
} s3c_sha_t;

#define S3C_DIGEST_MD5_BYTES     16
#define S3C_DIGEST_SHA1_BYTES    20

/* IO also where the library does not offer MD5 (FIPS). */
s3c_status_t s3c_md5_init(s3c_sha_t *md5) S3C_MUST_CHECK;
s3c_status_t s3c_sha1_init(s3c_sha_t *sha) S3C_MUST_CHECK;
s3c_status_t s3c_sha256_init(s3c_sha_t *sha) S3C_MUST_CHECK;
s3c_status_t s3c_sha_add(s3c_sha_t *sha, s3c_slice_t part) S3C_MUST_CHECK;
/* 16, 20 or 32 bytes. */
s3c_status_t s3c_sha_end(s3c_sha_t *sha, uint8_t *out) S3C_MUST_CHECK;
void s3c_sha_fini(s3c_sha_t *sha);
/* Random bytes from the library's CSPRNG. */
s3c_status_t s3c_random(void *out, size_t len) S3C_MUST_CHECK;

/* AES-128-GMAC (NIST SP 800-38D: GCM of no plaintext) under one key, for one
 * thread: init allocates and fini frees, nothing between them does either. */
typedef struct {
    void  *ctx;                /* digest.c's; NULL: not inited, fini may come */
} s3c_gmac_t;

s3c_status_t s3c_gmac_init(s3c_gmac_t *g,
    const uint8_t key[S3C_GMAC_KEY_BYTES]) S3C_MUST_CHECK;
void s3c_gmac_fini(s3c_gmac_t *g);
/* One tag: begin, then the message in any number of parts, then end. A nonce
 * must not be used for a second message, or the key can be computed. */
s3c_status_t s3c_gmac_begin(s3c_gmac_t *g,
    const uint8_t nonce[S3C_GMAC_NONCE_BYTES]) S3C_MUST_CHECK;
s3c_status_t s3c_gmac_add(s3c_gmac_t *g, s3c_slice_t part) S3C_MUST_CHECK;
s3c_status_t s3c_gmac_end(s3c_gmac_t *g, uint8_t tag[S3C_GMAC_TAG_BYTES])
    S3C_MUST_CHECK;

/* Whether they are equal, in a time that does not tell where they differ. */
bool s3c_digest_eq(const void *a, const void *b, size_t len);
/* Zeros over a secret; the compiler does not leave it out. */
void s3c_digest_wipe(void *secret, size_t len);

#endif
