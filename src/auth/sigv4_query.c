/* SPDX-License-Identifier: Apache-2.0
 *
 * The presigned form (AWS "Authenticating Requests: Using Query Parameters").
 * Names are compared after decoding: "X%2DAmz-Date" is X-Amz-Date to origins.
 *
 * LIMITS: QUERY_NAME_MAX bytes of a decoded name.
 */
#include "auth/sigv4_parse.h"

#include "s3/s3_query.h"
#include "s3/s3_uri.h"

#define QUERY_NAME_MAX  512


typedef enum {
    QUERY_EXACT,             /* another case is another name */
    QUERY_STRICT,            /* another case is refused */
    QUERY_ANY_CASE
} query_case_t;

static const struct {
    s3c_slice_t   name;
    query_case_t  spelling;
} query_names[S3C_SIGV4_P_N] = {
    [S3C_SIGV4_P_ALGORITHM] = { S3C_SLICE("X-Amz-Algorithm"), QUERY_STRICT },
    [S3C_SIGV4_P_CREDENTIAL] = { S3C_SLICE("X-Amz-Credential"), QUERY_STRICT },
    [S3C_SIGV4_P_DATE] = { S3C_SLICE("X-Amz-Date"), QUERY_STRICT },
    [S3C_SIGV4_P_EXPIRES] = { S3C_SLICE("X-Amz-Expires"), QUERY_STRICT },
    [S3C_SIGV4_P_SIGNED_HEADERS] = { S3C_SLICE("X-Amz-SignedHeaders"),
                                     QUERY_STRICT },
    [S3C_SIGV4_P_SIGNATURE] = { S3C_SLICE("X-Amz-Signature"), QUERY_STRICT },
    [S3C_SIGV4_P_TOKEN] = { S3C_SLICE("X-Amz-Security-Token"),
                            QUERY_ANY_CASE },
    [S3C_SIGV4_P_CONTENT_SHA256] = { S3C_SLICE("X-Amz-Content-Sha256"),
                                     QUERY_ANY_CASE },
    [S3C_SIGV4_P_V2_ACCESS_KEY] = { S3C_SLICE("AWSAccessKeyId"),
                                    QUERY_STRICT },
    [S3C_SIGV4_P_V2_EXPIRES] = { S3C_SLICE("Expires"), QUERY_EXACT },
    [S3C_SIGV4_P_V2_SIGNATURE] = { S3C_SLICE("Signature"), QUERY_EXACT },
};


static s3c_status_t
query_invalid(s3c_sigv4_claim_t *claim)
{
    return s3c_sigv4_refuse(claim, S3C_ERR_INVALID_URI, NULL);
}


static s3c_status_t
query_twice(s3c_sigv4_claim_t *claim)
{
    return s3c_sigv4_refuse(claim, S3C_ERR_AUTH_QUERY_PARAMETERS,
        "A query parameter that may be there once is there twice.");
}


/* Does an x-amz-* name come up before `end`? Without regard to case, as some
 * origins look for them. */
static bool
query_came_before(s3c_slice_t query, const uint8_t *end, s3c_slice_t name)
{
    uint8_t       buf[QUERY_NAME_MAX];
    s3c_slice_t   coded, value;
    s3c_writer_t  w;

    while (s3c_s3_query_next(&query, &coded, &value) && coded.data < end) {
        s3c_writer_init(&w, buf, sizeof(buf));

        if (s3c_uri_decode(&w, coded, true) == S3C_OK && s3c_writer_ok(&w)
            && s3c_slice_eq_nocase(s3c_writer_slice(&w), name))
        {
            return true;
        }
    }

    return false;
}


static s3c_status_t
query_credential(s3c_sigv4_parse_t *p, unsigned i, s3c_slice_t name,
    s3c_slice_t value)
{
    if (!s3c_slice_eq(name, query_names[i].name)) {
        if (query_names[i].spelling == QUERY_EXACT) {
            return S3C_OK;
        }

        if (query_names[i].spelling == QUERY_STRICT) {
            p->misspelt = true;
            return S3C_OK;
        }
    }

    if (p->params_seen & S3C_SIGV4_BIT(i)) {
        return query_twice(p->claim);
    }

    p->params_seen |= S3C_SIGV4_BIT(i);
    p->params[i] = value;

    return S3C_OK;
}


static s3c_status_t
query_param(s3c_sigv4_parse_t *p, s3c_slice_t coded, s3c_slice_t value)
{
    uint8_t       buf[QUERY_NAME_MAX];
    s3c_slice_t   name;
    s3c_writer_t  w;

    s3c_writer_init(&w, buf, sizeof(buf));

    if (s3c_uri_decode(&w, coded, true) != S3C_OK || !s3c_writer_ok(&w)
        || !s3c_s3_query_is_valid(value))
    {
        return query_invalid(p->claim);
    }

    name = s3c_writer_slice(&w);

    for (unsigned i = 0; i < S3C_SIGV4_P_N; i++) {
        if (s3c_slice_eq_nocase(name, query_names[i].name)) {
            return query_credential(p, i, name, value);
        }
    }

    /* an x-amz-* header that was moved into the query */
    if (s3c_sigv4_is_amz(name)
        && query_came_before(p->wire->query, coded.data, name))
    {
        return query_twice(p->claim);
    }

    return S3C_OK;
}


s3c_status_t
s3c_sigv4_parse_query(s3c_sigv4_parse_t *p)
{
    unsigned      count = 0;
    s3c_slice_t   rest = p->wire->query, name, value;
    s3c_status_t  st;

    while (s3c_s3_query_next(&rest, &name, &value)) {
        if (++count > S3C_SIGV4_PARAMS_MAX) {
            return s3c_sigv4_refuse(p->claim, S3C_ERR_INVALID_REQUEST,
                                    "There are too many query parameters.");
        }

        st = query_param(p, name, value);

        if (st != S3C_OK) {
            return st;
        }
    }

    return S3C_OK;
}


/* 1..604800, in digits. */
static s3c_status_t
query_expires(s3c_sigv4_parse_t *p, s3c_slice_t text, int64_t *sec)
{
    int64_t             v = 0, max = p->rules->presigned_max_sec;
    const char         *message = NULL;
    s3c_sigv4_claim_t  *claim = p->claim;

    max = max < S3C_SIGV4_PRESIGNED_MAX_SEC ? max
                                            : S3C_SIGV4_PRESIGNED_MAX_SEC;

    for (size_t i = 0; i < text.len && message == NULL; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            message = i == 0 && text.data[i] == '-'
                      ? "X-Amz-Expires must be non-negative"
                      : "X-Amz-Expires should be a number";

        } else if (v <= max) {
            v = v * 10 + (text.data[i] - '0');
        }
    }

    if (message == NULL && (text.len == 0 || v == 0)) {
        message = "X-Amz-Expires must be a number greater than 0";
    }

    if (message == NULL && v > max) {
        message = max == S3C_SIGV4_PRESIGNED_MAX_SEC
                  ? "X-Amz-Expires must be less than a week (in seconds); "
                    "that is, the given X-Amz-Expires must be less than "
                    "604800 seconds"
                  : "X-Amz-Expires is greater than this endpoint allows";
    }

    *sec = v;

    return message == NULL
           ? S3C_OK
           : s3c_sigv4_refuse(claim, S3C_ERR_AUTH_QUERY_PARAMETERS, message);
}


static s3c_status_t
query_time(s3c_sigv4_parse_t *p, s3c_slice_t date, s3c_slice_t expires)
{
    int64_t             lives_sec, now = p->wire->now_sec;
    s3c_status_t        st;
    s3c_sigv4_claim_t  *claim = p->claim;

    if (s3c_sigv4_date_parse(date, &claim->date_sec) != S3C_OK) {
        return s3c_sigv4_refuse(claim, S3C_ERR_AUTH_QUERY_PARAMETERS,
            "X-Amz-Date must be in the ISO8601 Long Format "
            "\"yyyyMMdd'T'HHmmss'Z'\"");
    }

    memcpy(claim->date, date.data, sizeof(claim->date));
    st = query_expires(p, expires, &lives_sec);

    if (st != S3C_OK) {
        return st;
    }

    claim->end_sec = claim->date_sec + lives_sec;

    if (claim->date_sec > now + p->rules->skew_sec) {
        return s3c_sigv4_refuse(claim, S3C_ERR_ACCESS_DENIED,
                                "Request is not valid yet");
    }

    return s3c_sigv4_check_expiry(p);
}


static s3c_status_t
query_algorithm(s3c_sigv4_claim_t *claim, s3c_slice_t algorithm)
{
    if (s3c_slice_eq(algorithm, S3C_SLICE("AWS4-HMAC-SHA256"))) {
        return S3C_OK;
    }

    if (s3c_sigv4_is_v4a(algorithm)) {
        return s3c_sigv4_refuse_v4a(claim);
    }

    return s3c_sigv4_refuse(claim, S3C_ERR_AUTH_QUERY_PARAMETERS,
                            "X-Amz-Algorithm only supports "
                            "\"AWS4-HMAC-SHA256\"");
}


/* Whatever is said of the body is signed, in a header that is not listed, too:
 * it is the last line of the canonical request. */
static s3c_status_t
query_payload(s3c_sigv4_parse_t *p)
{
    bool         in_query, in_header;
    s3c_slice_t  value = S3C_SLICE("UNSIGNED-PAYLOAD");
    s3c_slice_t  header = p->headers[S3C_SIGV4_H_CONTENT_SHA256];

    in_query = p->params_seen & S3C_SIGV4_BIT(S3C_SIGV4_P_CONTENT_SHA256);
    in_header = p->headers_seen & S3C_SIGV4_BIT(S3C_SIGV4_H_CONTENT_SHA256);

    if (in_query) {
        if (!s3c_sigv4_decode(p->claim, p->params[S3C_SIGV4_P_CONTENT_SHA256],
                              &value))
        {
            return query_invalid(p->claim);
        }

    } else if (in_header) {
        value = header;
    }

    if (value.len == 0 || (in_header && !s3c_slice_eq(value, header))) {
        return s3c_sigv4_refuse(p->claim, S3C_ERR_INVALID_ARGUMENT,
            "x-amz-content-sha256 is empty, or has two values.");
    }

    return s3c_sigv4_parse_payload(p, value);
}


s3c_status_t
s3c_sigv4_parse_presigned(s3c_sigv4_parse_t *p)
{
    s3c_slice_t         six[S3C_SIGV4_P_SIGNATURE + 1];
    s3c_status_t        st;
    s3c_sigv4_claim_t  *claim = p->claim;

    claim->kind = S3C_SIGNED_QUERY;
    memset(six, 0, sizeof(six));

    for (unsigned i = 0; i <= S3C_SIGV4_P_SIGNATURE; i++) {
        if (!s3c_sigv4_decode(claim, p->params[i], &six[i])) {
            return s3c_sigv4_refuse(claim, S3C_ERR_AUTH_QUERY_PARAMETERS,
                                    NULL);
        }
    }

    /* an unknown algorithm may well have other parameters */
    if (p->params_seen & S3C_SIGV4_BIT(S3C_SIGV4_P_ALGORITHM)) {
        st = query_algorithm(claim, six[S3C_SIGV4_P_ALGORITHM]);

        if (st != S3C_OK) {
            return st;
        }
    }

    if (p->misspelt
        || (p->params_seen & S3C_SIGV4_P_SIX) != S3C_SIGV4_P_SIX)
    {
        return s3c_sigv4_refuse(claim, S3C_ERR_AUTH_QUERY_PARAMETERS,
            "Query-string authentication version 4 requires the "
            "X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, "
            "X-Amz-SignedHeaders, and X-Amz-Expires parameters.");
    }

    st = query_time(p, six[S3C_SIGV4_P_DATE], six[S3C_SIGV4_P_EXPIRES]);

    if (st == S3C_OK) {
        st = s3c_sigv4_parse_credential(p, six[S3C_SIGV4_P_CREDENTIAL]);
    }

    if (st == S3C_OK) {
        st = s3c_sigv4_parse_signature(p, six[S3C_SIGV4_P_SIGNATURE]);
    }

    if (st == S3C_OK) {
        st = query_payload(p);
    }

    return st == S3C_OK
           ? s3c_sigv4_parse_signed_headers(p, six[S3C_SIGV4_P_SIGNED_HEADERS])
           : st;
}
