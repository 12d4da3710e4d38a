/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files behind sigv4_verify.h share.
 */
#ifndef S3C_AUTH_SIGV4_PARSE_H
#define S3C_AUTH_SIGV4_PARSE_H

#include "auth/sigv4_verify.h"

/* Headers that are read here and may be there once. */
typedef enum {
    S3C_SIGV4_H_AUTHORIZATION,
    S3C_SIGV4_H_HOST,
    S3C_SIGV4_H_DATE,
    S3C_SIGV4_H_AMZ_DATE,
    S3C_SIGV4_H_CONTENT_SHA256,
    S3C_SIGV4_H_TOKEN,
    S3C_SIGV4_H_N
} s3c_sigv4_h_t;

/* "host;x-amz-date", cut. */
typedef struct {
    unsigned     n;
    s3c_slice_t  names[S3C_SIGV4_HEADERS_MAX];
} s3c_sigv4_list_t;

/* Query parameters that are credentials. */
typedef enum {
    S3C_SIGV4_P_ALGORITHM,               /* these six: all or none */
    S3C_SIGV4_P_CREDENTIAL,
    S3C_SIGV4_P_DATE,
    S3C_SIGV4_P_EXPIRES,
    S3C_SIGV4_P_SIGNED_HEADERS,
    S3C_SIGV4_P_SIGNATURE,
    S3C_SIGV4_P_TOKEN,                   /* of both versions, any case */
    S3C_SIGV4_P_CONTENT_SHA256,
    S3C_SIGV4_P_V2_ACCESS_KEY,           /* these three: all or none */
    S3C_SIGV4_P_V2_EXPIRES,
    S3C_SIGV4_P_V2_SIGNATURE,
    S3C_SIGV4_P_N
} s3c_sigv4_p_t;

#define S3C_SIGV4_BIT(i)  (1u << (i))
#define S3C_SIGV4_P_SIX   0x3fu

typedef struct {
    const s3c_sigv4_wire_t   *wire;
    const s3c_sigv4_rules_t  *rules;
    s3c_sigv4_claim_t        *claim;
    unsigned                  headers_seen;      /* bits */
    unsigned                  params_seen;
    bool                      misspelt;          /* one of the six */
    s3c_slice_t               headers[S3C_SIGV4_H_N];
    s3c_slice_t               params[S3C_SIGV4_P_N];   /* values, coded */
} s3c_sigv4_parse_t;

/* Fills claim->refusal; answers DENIED. */
s3c_status_t s3c_sigv4_refuse(s3c_sigv4_claim_t *claim, s3c_s3_error_t err,
    const char *message) S3C_MUST_CHECK;
/* "AWS4-ECDSA-P256-SHA256", in a header or in the query. */
bool s3c_sigv4_is_v4a(s3c_slice_t algorithm);
s3c_status_t s3c_sigv4_refuse_v4a(s3c_sigv4_claim_t *claim) S3C_MUST_CHECK;
/* One more element of the answer; the value is not copied. */
void s3c_sigv4_refuse_extra(s3c_sigv4_claim_t *claim, const char *name,
    s3c_slice_t value);
/* ... as 2013-05-24T00:00:00Z */
void s3c_sigv4_refuse_time(s3c_sigv4_claim_t *claim, const char *name,
    int64_t sec);

/* Of a presigned request: DENIED from claim->end_sec on. */
s3c_status_t s3c_sigv4_check_expiry(s3c_sigv4_parse_t *p) S3C_MUST_CHECK;

/* The query: params. */
s3c_status_t s3c_sigv4_parse_query(s3c_sigv4_parse_t *p) S3C_MUST_CHECK;
s3c_status_t s3c_sigv4_parse_presigned(s3c_sigv4_parse_t *p) S3C_MUST_CHECK;
s3c_status_t s3c_sigv4_parse_presigned_v2(s3c_sigv4_parse_t *p)
    S3C_MUST_CHECK;
/* What both forms of SigV4 have; claim->date is known. */
s3c_status_t s3c_sigv4_parse_credential(s3c_sigv4_parse_t *p, s3c_slice_t text)
    S3C_MUST_CHECK;
s3c_status_t s3c_sigv4_parse_signature(s3c_sigv4_parse_t *p, s3c_slice_t text)
    S3C_MUST_CHECK;
s3c_status_t s3c_sigv4_parse_signed_headers(s3c_sigv4_parse_t *p,
    s3c_slice_t text) S3C_MUST_CHECK;
s3c_status_t s3c_sigv4_parse_payload(s3c_sigv4_parse_t *p, s3c_slice_t value)
    S3C_MUST_CHECK;
s3c_status_t s3c_sigv4_check_v2(const s3c_sigv4_wire_t *wire,
    s3c_sigv4_claim_t *claim, s3c_slice_t secret) S3C_MUST_CHECK;

/* Decodes into claim->text; false: there is no room for it. */
bool s3c_sigv4_decode(s3c_sigv4_claim_t *claim, s3c_slice_t coded,
    s3c_slice_t *out);
/* Would an origin take it for an x-amz-* header? Some read '_' as '-'. */
bool s3c_sigv4_is_amz(s3c_slice_t name);
/* Graphic ASCII: it goes into logs. */
bool s3c_sigv4_access_key_is_valid(s3c_slice_t key);
/* false: too many. */
bool s3c_sigv4_list_cut(s3c_slice_t signed_headers, s3c_sigv4_list_t *list);
/* Which of them has this name, in any case; list->n: none. */
unsigned s3c_sigv4_list_find(const s3c_sigv4_list_t *list, s3c_slice_t name);
/* 64 lower-case hex digits. */
bool s3c_sigv4_unhex(s3c_slice_t hex, uint8_t out[S3C_SHA256_BYTES]);
/* HMAC of "algorithm LF date LF scope LF line LF line ..." */
s3c_status_t s3c_sigv4_mac(const uint8_t key[S3C_SHA256_BYTES],
    s3c_slice_t algorithm, s3c_slice_t date, s3c_slice_t scope,
    const s3c_slice_t *lines, unsigned n_lines, uint8_t mac[S3C_SHA256_BYTES])
    S3C_MUST_CHECK;
/* After a good signature. */
void s3c_sigv4_keys_put(s3c_sigv4_keys_t *keys, const s3c_sigv4_claim_t *claim,
    s3c_slice_t secret, const uint8_t key[S3C_SHA256_BYTES]);

#endif
