/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway's own keys for an origin as a service hands them out for a
 * while: by value, so that they can be copied into shared memory and wiped.
 * The answers of metadata services (JSON) and of an STS (XML) are read here,
 * and when to ask again is decided. Nothing is logged, nothing is allocated.
 *
 * LIMITS: what does not fit below is INVALID.
 */
#ifndef S3C_AUTH_ORIGIN_KEYS_H
#define S3C_AUTH_ORIGIN_KEYS_H

#include "base/slice.h"
#include "base/status.h"

#define S3C_ORIGIN_KEYS_ACCESS_MAX   128
#define S3C_ORIGIN_KEYS_SECRET_MAX   256
#define S3C_ORIGIN_KEYS_TOKEN_MAX    8192

/* Seconds before the end of keys at which new ones are asked for. */
#define S3C_ORIGIN_KEYS_AHEAD        300

typedef struct {
    int64_t   expires;               /* Unix time; 0: never */
    uint32_t  access_key_len;
    uint32_t  secret_key_len;
    uint32_t  session_token_len;     /* 0: has none */
    uint8_t   access_key[S3C_ORIGIN_KEYS_ACCESS_MAX];
    uint8_t   secret_key[S3C_ORIGIN_KEYS_SECRET_MAX];
    uint8_t   session_token[S3C_ORIGIN_KEYS_TOKEN_MAX];
} s3c_origin_keys_t;


static inline s3c_slice_t
s3c_origin_keys_access(const s3c_origin_keys_t *keys)
{
    return s3c_slice(keys->access_key, keys->access_key_len);
}


static inline s3c_slice_t
s3c_origin_keys_secret(const s3c_origin_keys_t *keys)
{
    return s3c_slice(keys->secret_key, keys->secret_key_len);
}


static inline s3c_slice_t
s3c_origin_keys_token(const s3c_origin_keys_t *keys)
{
    return s3c_slice(keys->session_token, keys->session_token_len);
}

/* INVALID: too long, empty (a token may be), or bytes that no header may
 * hold; then *keys is wiped. */
s3c_status_t s3c_origin_keys_set(s3c_origin_keys_t *keys,
    s3c_slice_t access_key, s3c_slice_t secret_key, s3c_slice_t session_token,
    int64_t expires) S3C_MUST_CHECK;
bool s3c_origin_keys_eq(const s3c_origin_keys_t *a,
    const s3c_origin_keys_t *b);
/* "2026-01-31T23:59:59Z", also with a fraction of a second, which is cut. */
s3c_status_t s3c_origin_keys_time(s3c_slice_t text, int64_t *sec)
    S3C_MUST_CHECK;

/* The JSON of a container or an instance metadata service; the text is
 * overwritten. INVALID: not that; DENIED: its "Code" is another than
 * "Success". Whatever is not OK leaves *keys wiped. */
s3c_status_t s3c_origin_keys_parse_json(uint8_t *text, size_t len,
    s3c_origin_keys_t *keys) S3C_MUST_CHECK;
/* The XML that AssumeRoleWithWebIdentity is answered with; the same. */
s3c_status_t s3c_origin_keys_parse_sts(uint8_t *text, size_t len,
    s3c_origin_keys_t *keys) S3C_MUST_CHECK;

/* Milliseconds until keys that expire then are to be asked for again: five
 * minutes ahead, or after half of what is left if that is later; somewhat
 * earlier by `chance`, any 32 bits, so that many nodes do not ask at once. At
 * least a second. */
uint64_t s3c_origin_keys_refresh_ms(int64_t now, int64_t expires,
    uint32_t chance);
/* Milliseconds until the next attempt after so many that failed in a row:
 * 1, 2, 4 ... 30 seconds, up to a quarter less by `chance`. */
uint64_t s3c_origin_keys_retry_ms(unsigned failed, uint32_t chance);

#endif
