/* SPDX-License-Identifier: Apache-2.0
 *
 * Who signed this request? In two steps, so that the secret can be looked up
 * between them: parse() finds out what the request claims and refuses what no
 * secret could make good; check() says whether the claim is true. Pure, no
 * allocation, no clock.
 *
 * Sources: AWS "Authenticating Requests (AWS Signature Version 4)" with its
 * pages on the Authorization header, on query parameters and on S3's common
 * errors; for SigV2 "Signing and Authenticating REST Requests". Stricter than
 * AWS where leniency has been a hole elsewhere: `host` and each x-amz-* header
 * must be signed, and what must be there once may not be there twice.
 */
#ifndef S3C_AUTH_SIGV4_VERIFY_H
#define S3C_AUTH_SIGV4_VERIFY_H

#include "auth/sigv4.h"
#include "s3/s3_error.h"
#include "s3/s3_write.h"

#define S3C_SIGV4_SKEW_SEC           900
#define S3C_SIGV4_PRESIGNED_MAX_SEC  604800
#define S3C_SIGV4_HOSTS_MAX          16
#define S3C_SIGV4_PARAMS_MAX         128
#define S3C_SIGV4_ACCESS_KEY_MAX     128
#define S3C_SIGV4_REGION_MAX         64
#define S3C_SIGV4_TEXT_MAX           8192
#define S3C_SIGV4_REFUSAL_MAX        256

/* A request as it came. Nothing of it is normalised. */
typedef struct {
    s3c_slice_t               method;    /* HEAD is not GET */
    s3c_slice_t               path;      /* raw, begins with '/' */
    s3c_slice_t               query;     /* raw, without '?' */
    const s3c_http_header_t  *headers;   /* all, with Host, in their order */
    unsigned                  n_headers;
    s3c_slice_t               vhost_bucket;  /* that Host names, or empty */
    bool                      may_stream;    /* PutObject or UploadPart */
    int64_t                   now_sec;
} s3c_sigv4_wire_t;

typedef struct {
    const s3c_slice_t  *regions;         /* none: any */
    unsigned            n_regions;
    /* Names that a client may have signed instead of the Host that came: a
     * load balancer put in another one. At most S3C_SIGV4_HOSTS_MAX count. */
    const s3c_slice_t  *hosts;
    unsigned            n_hosts;
    int64_t             skew_sec;
    int64_t             presigned_max_sec;   /* SigV4: at most a week */
    bool                allow_v2_presigned;  /* GET and HEAD only */
} s3c_sigv4_rules_t;

#define S3C_SIGV4_RULES_DEFAULT                                               \
    { .skew_sec = S3C_SIGV4_SKEW_SEC,                                         \
      .presigned_max_sec = S3C_SIGV4_PRESIGNED_MAX_SEC }

typedef enum {
    S3C_SIGNED_NOT,          /* anonymous; a form upload may yet be signed */
    S3C_SIGNED_HEADER,       /* Authorization */
    S3C_SIGNED_QUERY,        /* presigned */
    S3C_SIGNED_QUERY_V2      /* presigned, SigV2 */
} s3c_signed_t;

/* The S3 error to answer, without a secret. message NULL: the table's. */
typedef struct {
    s3c_s3_error_t        err;
    const char           *message;
    s3c_s3_error_extra_t  extra[2];
    unsigned              n_extra;
    uint8_t               text[S3C_SIGV4_REFUSAL_MAX];
} s3c_sigv4_refusal_t;

/* Slices point into the request or into text[]: not to be copied. */
typedef struct {
    s3c_signed_t         kind;
    s3c_slice_t          access_key;
    s3c_slice_t          region;
    s3c_slice_t          scope;          /* day/region/s3/aws4_request */
    uint8_t              date[S3C_SIGV4_DATE_BYTES];
    int64_t              date_sec;       /* not of SigV2 */
    int64_t              end_sec;        /* from then on it is not valid */
    s3c_slice_t          signed_headers; /* "host;x-amz-date" */
    s3c_slice_t          session_token;  /* signed; whether it belongs to the
                                            access key is the caller's care */
    s3c_payload_t        payload;
    s3c_slice_t          payload_hash;   /* as signed */
    uint8_t              body_sha256[S3C_SHA256_BYTES];  /* of PAYLOAD_HASH */
    uint8_t              signature[S3C_SHA256_BYTES];    /* not of SigV2 */
    s3c_slice_t          signature_v2;   /* base64 */
    s3c_slice_t          expires_v2;     /* as signed */
    s3c_slice_t          host;           /* after check(): the one signed; of
                                            SigV2 the one that came */
    s3c_sigv4_refusal_t  refusal;
    s3c_writer_t         room;           /* of text[] */
    uint8_t              text[S3C_SIGV4_TEXT_MAX];
} s3c_sigv4_claim_t;

/* OK or DENIED, of which claim->refusal says why. A request with anything that
 * looks like credentials is never anonymous. */
s3c_status_t s3c_sigv4_parse(const s3c_sigv4_wire_t *wire,
    const s3c_sigv4_rules_t *rules, s3c_sigv4_claim_t *claim) S3C_MUST_CHECK;

/* Signing keys by access key, secret, day and region; of one process. Only the
 * keys of good signatures get in, so that nobody else can push one out. */
#define S3C_SIGV4_KEYS        64
#define S3C_SIGV4_SECRET_MAX  256

typedef struct {
    bool      valid;
    uint8_t   date8[8];
    uint16_t  access_key_len, secret_len, region_len;
    uint8_t   access_key[S3C_SIGV4_ACCESS_KEY_MAX];
    uint8_t   secret[S3C_SIGV4_SECRET_MAX];
    uint8_t   region[S3C_SIGV4_REGION_MAX];
    uint8_t   key[S3C_SHA256_BYTES];
} s3c_sigv4_key_slot_t;

typedef struct {
    s3c_sigv4_key_slot_t  slots[S3C_SIGV4_KEYS];   /* zeros: empty */
} s3c_sigv4_keys_t;

void s3c_sigv4_keys_wipe(s3c_sigv4_keys_t *keys);
/* Of a claim that parse() found well-formed and not SigV2; keys may be NULL.
 * INVALID: a secret that is too long; IO. The caller wipes key. */
s3c_status_t s3c_sigv4_claim_key(const s3c_sigv4_claim_t *claim,
    s3c_slice_t secret, s3c_sigv4_keys_t *keys, uint8_t key[S3C_SHA256_BYTES])
    S3C_MUST_CHECK;

/* After parse() said OK: OK or DENIED, and an anonymous request is DENIED.
 * secret empty: the access key is not known, which takes the same time and is
 * refused. claim->host is the host that was signed: the bucket and key must be
 * read from that one and not from the Host that came, or a signature for
 * /bucket/key would be good for key /bucket/key of a virtual host. */
s3c_status_t s3c_sigv4_check(const s3c_sigv4_wire_t *wire,
    const s3c_sigv4_rules_t *rules, s3c_sigv4_claim_t *claim,
    s3c_slice_t secret, s3c_sigv4_keys_t *keys) S3C_MUST_CHECK;

/* "20130524T000000Z". INVALID when it is no date since 1970. */
s3c_status_t s3c_sigv4_date_parse(s3c_slice_t text, int64_t *sec)
    S3C_MUST_CHECK;

#endif
