/* SPDX-License-Identifier: Apache-2.0
 *
 * First step of a verification: what a request claims. Here: which way it is
 * signed, and the Authorization header. sigv4_query.c has the presigned form,
 * sigv4_claim.c what both have.
 */
#include "auth/sigv4_parse.h"

#include "http/http_date.h"
#include "http/http_text.h"

#define PARSE_ALGORITHM  S3C_SLICE("AWS4-HMAC-SHA256")


static const s3c_slice_t  parse_names[S3C_SIGV4_H_N] = {
    [S3C_SIGV4_H_AUTHORIZATION] = S3C_SLICE("authorization"),
    [S3C_SIGV4_H_HOST] = S3C_SLICE("host"),
    [S3C_SIGV4_H_DATE] = S3C_SLICE("date"),
    [S3C_SIGV4_H_AMZ_DATE] = S3C_SLICE("x-amz-date"),
    [S3C_SIGV4_H_CONTENT_SHA256] = S3C_SLICE("x-amz-content-sha256"),
    [S3C_SIGV4_H_TOKEN] = S3C_SLICE("x-amz-security-token"),
};


s3c_status_t
s3c_sigv4_refuse(s3c_sigv4_claim_t *claim, s3c_s3_error_t err,
    const char *message)
{
    claim->refusal.err = err;
    claim->refusal.message = message;
    claim->refusal.n_extra = 0;

    return S3C_DENIED;
}


void
s3c_sigv4_refuse_extra(s3c_sigv4_claim_t *claim, const char *name,
    s3c_slice_t value)
{
    s3c_sigv4_refusal_t  *refusal = &claim->refusal;

    if (refusal->n_extra
        < sizeof(refusal->extra) / sizeof(refusal->extra[0]))
    {
        refusal->extra[refusal->n_extra].name = name;
        refusal->extra[refusal->n_extra].value = value;
        refusal->n_extra++;
    }
}


bool
s3c_sigv4_is_v4a(s3c_slice_t algorithm)
{
    return s3c_slice_eq(algorithm, S3C_SLICE("AWS4-ECDSA-P256-SHA256"));
}


s3c_status_t
s3c_sigv4_refuse_v4a(s3c_sigv4_claim_t *claim)
{
    return s3c_sigv4_refuse(claim, S3C_ERR_NOT_IMPLEMENTED,
        "AWS4-ECDSA-P256-SHA256 (SigV4A) is not implemented. Please use "
        "AWS4-HMAC-SHA256.");
}


static s3c_status_t
parse_headers(s3c_sigv4_parse_t *p)
{
    for (unsigned n = 0; n < p->wire->n_headers; n++) {
        const s3c_http_header_t  *h = &p->wire->headers[n];

        for (unsigned i = 0; i < S3C_SIGV4_H_N; i++) {
            if (!s3c_slice_eq_nocase(h->name, parse_names[i])) {
                continue;
            }

            if (p->headers_seen & S3C_SIGV4_BIT(i)) {
                return s3c_sigv4_refuse(p->claim, S3C_ERR_INVALID_REQUEST,
                    "A header that may be there once is there twice.");
            }

            p->headers_seen |= S3C_SIGV4_BIT(i);
            p->headers[i] = s3c_slice_trim(h->value);
            break;
        }
    }

    return S3C_OK;
}


/* To the word and the blanks behind it. */
static s3c_slice_t
parse_scheme(s3c_slice_t *rest)
{
    size_t       n = 0;
    s3c_slice_t  scheme;

    while (n < rest->len && rest->data[n] != ' ' && rest->data[n] != '\t') {
        n++;
    }

    scheme = s3c_slice(rest->data, n);
    *rest = s3c_slice_trim(s3c_slice(rest->data + n, rest->len - n));

    return scheme;
}


static s3c_status_t
parse_algorithm(s3c_sigv4_parse_t *p, s3c_slice_t *rest)
{
    s3c_slice_t  scheme;

    if (rest->len == 0) {
        return s3c_sigv4_refuse(p->claim, S3C_ERR_INVALID_ARGUMENT,
                                "Unsupported Authorization Type");
    }

    scheme = parse_scheme(rest);

    if (s3c_slice_eq(scheme, PARSE_ALGORITHM)) {
        return S3C_OK;
    }

    if (s3c_sigv4_is_v4a(scheme)) {
        return s3c_sigv4_refuse_v4a(p->claim);
    }

    if (s3c_slice_eq(scheme, S3C_SLICE("AWS"))) {
        return s3c_sigv4_refuse(p->claim, S3C_ERR_INVALID_REQUEST,
            "The authorization mechanism you have provided is not supported. "
            "Please use AWS4-HMAC-SHA256.");
    }

    return s3c_sigv4_refuse(p->claim, S3C_ERR_INVALID_ARGUMENT,
                            "Unsupported Authorization Type");
}


/* "Credential=a, SignedHeaders=b, Signature=c", each once, in any order. */
static bool
parse_components(s3c_slice_t list, s3c_slice_t values[3])
{
    unsigned                  i, seen = 0;
    s3c_slice_t               element;
    static const s3c_slice_t  names[3] = {
        S3C_SLICE("Credential="), S3C_SLICE("SignedHeaders="),
        S3C_SLICE("Signature=")
    };

    while (s3c_http_list_next(&list, &element)) {
        for (i = 0; i < 3; i++) {
            if (element.len >= names[i].len
                && memcmp(element.data, names[i].data, names[i].len) == 0)
            {
                break;
            }
        }

        if (i == 3 || (seen & S3C_SIGV4_BIT(i))) {
            return false;
        }

        seen |= S3C_SIGV4_BIT(i);
        values[i] = s3c_slice(element.data + names[i].len,
                              element.len - names[i].len);
    }

    return seen == 7;
}


/* x-amz-date goes before Date. Either is part of what is signed, listed among
 * the signed headers or not. */
static s3c_status_t
parse_header_date(s3c_sigv4_parse_t *p)
{
    s3c_status_t        st = S3C_INVALID;
    s3c_slice_t         text;
    s3c_sigv4_claim_t  *claim = p->claim;

    if (p->headers_seen & S3C_SIGV4_BIT(S3C_SIGV4_H_AMZ_DATE)) {
        text = p->headers[S3C_SIGV4_H_AMZ_DATE];
        st = s3c_sigv4_date_parse(text, &claim->date_sec);

        if (st == S3C_OK) {
            memcpy(claim->date, text.data, sizeof(claim->date));
            return S3C_OK;
        }

    } else if (p->headers_seen & S3C_SIGV4_BIT(S3C_SIGV4_H_DATE)) {
        text = p->headers[S3C_SIGV4_H_DATE];
        st = s3c_sigv4_date_parse(text, &claim->date_sec);

        if (st != S3C_OK) {
            st = s3c_http_date_parse(text, &claim->date_sec);
        }
    }

    if (st != S3C_OK || claim->date_sec < 0) {
        return s3c_sigv4_refuse(claim, S3C_ERR_ACCESS_DENIED,
            "AWS authentication requires a valid Date or x-amz-date header");
    }

    s3c_sigv4_date_print(claim->date_sec, claim->date);

    return S3C_OK;
}


static s3c_status_t
parse_skew(s3c_sigv4_parse_t *p)
{
    int64_t             ahead = p->claim->date_sec - p->wire->now_sec;
    s3c_status_t        st;
    s3c_sigv4_claim_t  *claim = p->claim;

    if (ahead > p->rules->skew_sec || -ahead > p->rules->skew_sec) {
        st = s3c_sigv4_refuse(claim, S3C_ERR_REQUEST_TIME_TOO_SKEWED, NULL);
        s3c_sigv4_refuse_time(claim, "RequestTime", claim->date_sec);
        s3c_sigv4_refuse_time(claim, "ServerTime", p->wire->now_sec);

        return st;
    }

    /* date + skew is still good, as AWS counts */
    claim->end_sec = claim->date_sec + p->rules->skew_sec + 1;

    return S3C_OK;
}


static s3c_status_t
parse_authorization(s3c_sigv4_parse_t *p)
{
    s3c_slice_t         rest = p->headers[S3C_SIGV4_H_AUTHORIZATION];
    s3c_slice_t         values[3] = { S3C_SLICE_NONE };
    s3c_status_t        st;
    s3c_sigv4_claim_t  *claim = p->claim;

    claim->kind = S3C_SIGNED_HEADER;
    st = parse_algorithm(p, &rest);

    if (st == S3C_OK && !parse_components(rest, values)) {
        st = s3c_sigv4_refuse(claim, S3C_ERR_AUTH_HEADER_MALFORMED, NULL);
    }

    if (st == S3C_OK) {
        st = parse_header_date(p);
    }

    if (st == S3C_OK) {
        st = s3c_sigv4_parse_credential(p, values[0]);
    }

    if (st == S3C_OK) {
        st = s3c_sigv4_parse_signature(p, values[2]);
    }

    if (st == S3C_OK && p->headers[S3C_SIGV4_H_CONTENT_SHA256].len == 0) {
        st = s3c_sigv4_refuse(claim, S3C_ERR_INVALID_REQUEST,
            "Missing required header for this request: x-amz-content-sha256");
    }

    if (st == S3C_OK) {
        st = s3c_sigv4_parse_payload(p, p->headers[S3C_SIGV4_H_CONTENT_SHA256]);
    }

    if (st == S3C_OK) {
        st = s3c_sigv4_parse_signed_headers(p, values[1]);
    }

    return st == S3C_OK ? parse_skew(p) : st;
}


/* Of a header or of a query, never of both. */
static s3c_status_t
parse_token(s3c_sigv4_parse_t *p)
{
    bool                in_header, in_query;
    s3c_sigv4_claim_t  *claim = p->claim;

    in_header = p->headers_seen & S3C_SIGV4_BIT(S3C_SIGV4_H_TOKEN);
    in_query = p->params_seen & S3C_SIGV4_BIT(S3C_SIGV4_P_TOKEN);

    if (in_header) {
        claim->session_token = p->headers[S3C_SIGV4_H_TOKEN];

    } else if (in_query
               && !s3c_sigv4_decode(claim, p->params[S3C_SIGV4_P_TOKEN],
                                    &claim->session_token))
    {
        return s3c_sigv4_refuse(claim, S3C_ERR_INVALID_TOKEN, NULL);
    }

    if ((in_header && in_query)
        || ((in_header || in_query) && claim->session_token.len == 0))
    {
        return s3c_sigv4_refuse(claim, S3C_ERR_INVALID_TOKEN, NULL);
    }

    return S3C_OK;
}


s3c_status_t
s3c_sigv4_parse(const s3c_sigv4_wire_t *wire, const s3c_sigv4_rules_t *rules,
    s3c_sigv4_claim_t *claim)
{
    bool               header, query, query_v2;
    s3c_status_t       st;
    s3c_sigv4_parse_t  p = { .wire = wire, .rules = rules, .claim = claim };

    memset(claim, 0, offsetof(s3c_sigv4_claim_t, text));
    s3c_writer_init(&claim->room, claim->text, sizeof(claim->text));

    st = parse_headers(&p);

    if (st == S3C_OK) {
        st = s3c_sigv4_parse_query(&p);
    }

    if (st != S3C_OK) {
        return st;
    }

    header = p.headers_seen & S3C_SIGV4_BIT(S3C_SIGV4_H_AUTHORIZATION);
    query_v2 = p.params_seen & (S3C_SIGV4_BIT(S3C_SIGV4_P_V2_ACCESS_KEY)
                                | S3C_SIGV4_BIT(S3C_SIGV4_P_V2_SIGNATURE));
    query = p.misspelt
            || (p.params_seen
                & (S3C_SIGV4_P_SIX
                   | S3C_SIGV4_BIT(S3C_SIGV4_P_CONTENT_SHA256)))
            || (!query_v2
                && (p.params_seen & S3C_SIGV4_BIT(S3C_SIGV4_P_TOKEN)));

    if (header + query + query_v2 > 1) {
        return s3c_sigv4_refuse(claim, S3C_ERR_INVALID_ARGUMENT,
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query "
            "parameter, Signature query string parameter or the Authorization "
            "header should be specified");
    }

    if (!header && !query && !query_v2) {
        if (p.headers_seen & S3C_SIGV4_BIT(S3C_SIGV4_H_TOKEN)) {
            /* half of credentials: it is nobody who is anonymous */
            return s3c_sigv4_refuse(claim, S3C_ERR_ACCESS_DENIED, NULL);
        }

        claim->kind = S3C_SIGNED_NOT;
        return S3C_OK;
    }

    st = header ? parse_authorization(&p)
         : query ? s3c_sigv4_parse_presigned(&p)
         : s3c_sigv4_parse_presigned_v2(&p);

    return st == S3C_OK ? parse_token(&p) : st;
}
