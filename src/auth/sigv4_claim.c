/* SPDX-License-Identifier: Apache-2.0
 *
 * What a claim is made of, signed by header or by query: date, credential,
 * signature, list of signed headers, payload hash. All of it is foreign text
 * that goes into logs and into the string to sign: nothing with a control byte
 * passes.
 */
#include "auth/sigv4_parse.h"

#include "http/http_text.h"
#include "s3/s3_uri.h"

#define CLAIM_SCOPE_PARTS  5
#define CLAIM_TIME_BYTES   20            /* 2013-05-24T00:00:00Z */


static unsigned
claim_digits(const uint8_t *p, unsigned n)
{
    unsigned  v = 0;

    for (unsigned i = 0; i < n; i++) {
        v = v * 10 + (unsigned) (p[i] - '0');
    }

    return v;
}


/* Days since 1970 of a date of the Gregorian calendar, month 1..12. */
static int64_t
claim_days(unsigned year, unsigned month, unsigned day)
{
    unsigned  y = month > 2 ? year : year - 1;
    unsigned  of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5
                        + day - 1;

    /* a year from March on; 719468 days from 0000-03-01 to 1970 */
    return (int64_t) y * 365 + y / 4 - y / 100 + y / 400 + of_year - 719468;
}


s3c_status_t
s3c_sigv4_date_parse(s3c_slice_t text, int64_t *sec)
{
    uint8_t         printed[S3C_SIGV4_DATE_BYTES];
    unsigned        year, month, day;
    const uint8_t  *d = text.data;

    if (text.len != S3C_SIGV4_DATE_BYTES) {
        return S3C_INVALID;
    }

    for (unsigned i = 0; i < S3C_SIGV4_DATE_BYTES; i++) {
        if (i != 8 && i != 15 && (d[i] < '0' || d[i] > '9')) {
            return S3C_INVALID;
        }
    }

    year = claim_digits(d, 4);
    month = claim_digits(d + 4, 2);
    day = claim_digits(d + 6, 2);

    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31) {
        return S3C_INVALID;
    }

    *sec = claim_days(year, month, day) * 86400
           + (int64_t) claim_digits(d + 9, 2) * 3600
           + (int64_t) claim_digits(d + 11, 2) * 60
           + (int64_t) claim_digits(d + 13, 2);

    /* 31 February, 25 o'clock and a letter in the wrong place */
    s3c_sigv4_date_print(*sec, printed);

    return memcmp(printed, d, sizeof(printed)) == 0 ? S3C_OK : S3C_INVALID;
}


void
s3c_sigv4_refuse_time(s3c_sigv4_claim_t *claim, const char *name, int64_t sec)
{
    uint8_t       date[S3C_SIGV4_DATE_BYTES];
    s3c_writer_t  w;
    unsigned      at = claim->refusal.n_extra * CLAIM_TIME_BYTES;

    s3c_sigv4_date_print(sec, date);
    s3c_writer_init(&w, claim->refusal.text + at, CLAIM_TIME_BYTES);

    for (unsigned i = 0; i < sizeof(date); i++) {
        if (i == 4 || i == 6) {
            s3c_write_byte(&w, '-');

        } else if (i == 11 || i == 13) {
            s3c_write_byte(&w, ':');
        }

        s3c_write_byte(&w, date[i]);
    }

    s3c_sigv4_refuse_extra(claim, name, s3c_writer_slice(&w));
}


s3c_status_t
s3c_sigv4_check_expiry(s3c_sigv4_parse_t *p)
{
    s3c_status_t        st;
    s3c_sigv4_claim_t  *claim = p->claim;

    if (p->wire->now_sec < claim->end_sec) {
        return S3C_OK;
    }

    st = s3c_sigv4_refuse(claim, S3C_ERR_ACCESS_DENIED, "Request has expired");
    s3c_sigv4_refuse_time(claim, "Expires", claim->end_sec);
    s3c_sigv4_refuse_time(claim, "ServerTime", p->wire->now_sec);

    return st;
}


bool
s3c_sigv4_decode(s3c_sigv4_claim_t *claim, s3c_slice_t coded, s3c_slice_t *out)
{
    uint8_t  *start = claim->room.pos;

    if (s3c_uri_decode(&claim->room, coded, true) != S3C_OK
        || !s3c_writer_ok(&claim->room))
    {
        return false;
    }

    *out = s3c_slice(start, (size_t) (claim->room.pos - start));

    return true;
}


bool
s3c_sigv4_unhex(s3c_slice_t hex, uint8_t out[S3C_SHA256_BYTES])
{
    int      signs = 0;                  /* less than 0: one was no digit */
    uint8_t  bits = 0x20;                /* which digits and a-f have, A-F not */

    if (hex.len != 2 * S3C_SHA256_BYTES) {
        return false;
    }

    for (size_t i = 0; i < S3C_SHA256_BYTES; i++) {
        uint8_t  first = hex.data[2 * i], second = hex.data[2 * i + 1];
        int      high = s3c_http_hex(first), low = s3c_http_hex(second);

        signs |= high | low;
        bits &= first & second;
        out[i] = (uint8_t) ((unsigned) high << 4 | (unsigned) low);
    }

    return signs >= 0 && bits != 0;
}

/* --- credential ---------------------------------------------------------- */

static s3c_status_t
claim_malformed(s3c_sigv4_claim_t *claim, const char *in_header,
    const char *in_query)
{
    if (claim->kind == S3C_SIGNED_HEADER) {
        return s3c_sigv4_refuse(claim, S3C_ERR_AUTH_HEADER_MALFORMED,
                                in_header);
    }

    return s3c_sigv4_refuse(claim, S3C_ERR_AUTH_QUERY_PARAMETERS, in_query);
}

#define claim_bad_credential(claim, what)                                     \
    claim_malformed(claim,                                                    \
                    "The authorization header is malformed; " what,           \
                    "Error parsing the X-Amz-Credential parameter; " what)


static bool
claim_cut(s3c_slice_t text, s3c_slice_t parts[CLAIM_SCOPE_PARTS])
{
    for (unsigned i = 0; i < CLAIM_SCOPE_PARTS; i++) {
        const uint8_t  *slash = text.len > 0
                                ? memchr(text.data, '/', text.len) : NULL;
        size_t          n = slash ? (size_t) (slash - text.data) : text.len;

        if ((slash == NULL) != (i == CLAIM_SCOPE_PARTS - 1)) {
            return false;
        }

        parts[i] = s3c_slice(text.data, n);
        n += slash ? 1 : 0;
        text = s3c_slice(text.data + n, text.len - n);
    }

    return true;
}


bool
s3c_sigv4_access_key_is_valid(s3c_slice_t key)
{
    for (size_t i = 0; i < key.len; i++) {
        if (key.data[i] <= ' ' || key.data[i] >= 0x7f) {
            return false;
        }
    }

    return key.len > 0 && key.len <= S3C_SIGV4_ACCESS_KEY_MAX;
}


static bool
claim_region_is_name(s3c_slice_t region)
{
    for (size_t i = 0; i < region.len; i++) {
        uint8_t  c = region.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
        {
            return false;
        }
    }

    return region.len <= S3C_SIGV4_REGION_MAX;
}


static s3c_status_t
claim_region(s3c_sigv4_parse_t *p)
{
    s3c_status_t              st;
    const s3c_sigv4_rules_t  *rules = p->rules;

    for (unsigned i = 0; i < rules->n_regions; i++) {
        if (s3c_slice_eq(p->claim->region, rules->regions[i])) {
            return S3C_OK;
        }
    }

    if (rules->n_regions == 0) {
        return S3C_OK;
    }

    st = claim_bad_credential(p->claim, "the region is wrong");
    s3c_sigv4_refuse_extra(p->claim, "Region", rules->regions[0]);

    return st;
}


s3c_status_t
s3c_sigv4_parse_credential(s3c_sigv4_parse_t *p, s3c_slice_t text)
{
    s3c_slice_t         parts[CLAIM_SCOPE_PARTS];
    s3c_sigv4_claim_t  *claim = p->claim;

    if (!claim_cut(text, parts)
        || !s3c_sigv4_access_key_is_valid(parts[0])
        || !claim_region_is_name(parts[2]))
    {
        return claim_bad_credential(claim,
            "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/"
            "REGION/SERVICE/aws4_request\".");
    }

    claim->access_key = parts[0];
    claim->region = parts[2];
    claim->scope = s3c_slice(parts[1].data,
                             text.len - parts[0].len - 1);

    if (!s3c_slice_eq(parts[1], s3c_slice(claim->date, 8))) {
        return claim_bad_credential(claim,
            "Invalid credential date. This date is not the same as "
            "X-Amz-Date.");
    }

    if (!s3c_slice_eq(parts[3], S3C_SLICE("s3"))) {
        return claim_bad_credential(claim,
            "incorrect service. This endpoint belongs to \"s3\".");
    }

    if (!s3c_slice_eq(parts[4], S3C_SLICE("aws4_request"))) {
        return claim_bad_credential(claim,
            "incorrect terminal. This endpoint uses \"aws4_request\".");
    }

    return claim_region(p);
}


s3c_status_t
s3c_sigv4_parse_signature(s3c_sigv4_parse_t *p, s3c_slice_t text)
{
    if (!s3c_sigv4_unhex(text, p->claim->signature)) {
        return s3c_sigv4_refuse(p->claim, S3C_ERR_SIGNATURE_DOES_NOT_MATCH,
                                NULL);
    }

    return S3C_OK;
}

/* --- signed headers ------------------------------------------------------ */

static bool
claim_next_name(s3c_slice_t *list, s3c_slice_t *name)
{
    size_t          n;
    const uint8_t  *cut;

    if (list->data == NULL) {
        return false;
    }

    cut = list->len > 0 ? memchr(list->data, ';', list->len) : NULL;
    n = cut ? (size_t) (cut - list->data) : list->len;
    *name = s3c_slice(list->data, n);
    *list = cut ? s3c_slice(cut + 1, list->len - n - 1) : S3C_SLICE_NONE;

    return true;
}


bool
s3c_sigv4_list_has(s3c_slice_t list, s3c_slice_t name)
{
    s3c_slice_t  one;

    while (claim_next_name(&list, &one)) {
        if (s3c_slice_eq_nocase(one, name)) {
            return true;
        }
    }

    return false;
}


bool
s3c_sigv4_is_amz(s3c_slice_t name)
{
    static const char  prefix[] = "x-amz-";

    if (name.len < sizeof(prefix) - 1) {
        return false;
    }

    for (size_t i = 0; i < sizeof(prefix) - 1; i++) {
        uint8_t  c = name.data[i];

        c = c == '_' ? '-' : c >= 'A' && c <= 'Z' ? c | 0x20 : c;

        if (c != prefix[i]) {
            return false;
        }
    }

    return true;
}


/* Lower-case tokens, none of them twice, each of a header that is there. The
 * order does not matter: it is the set that is signed. */
static bool
claim_list_is_valid(const s3c_sigv4_parse_t *p, s3c_slice_t list)
{
    unsigned     count = 0;
    s3c_slice_t  name;

    while (claim_next_name(&list, &name)) {
        bool  is_there = false;

        if (name.len == 0 || ++count > S3C_SIGV4_HEADERS_MAX
            || s3c_sigv4_list_has(list, name))
        {
            return false;
        }

        for (size_t i = 0; i < name.len; i++) {
            if (!s3c_http_is_token(name.data[i])
                || (name.data[i] >= 'A' && name.data[i] <= 'Z'))
            {
                return false;
            }
        }

        for (unsigned i = 0; i < p->wire->n_headers && !is_there; i++) {
            is_there = s3c_slice_eq_nocase(p->wire->headers[i].name, name);
        }

        if (!is_there) {
            return false;
        }
    }

    return true;
}


/* What is missing goes into the answer, as far as there is room. */
static void
claim_add_unsigned(s3c_writer_t *w, s3c_slice_t name)
{
    s3c_writer_t  longer = *w;

    if (s3c_writer_slice(w).len > 0) {
        s3c_write_lit(&longer, ", ");
    }

    for (size_t i = 0; i < name.len; i++) {
        uint8_t  c = name.data[i];

        s3c_write_byte(&longer, c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }

    if (s3c_writer_ok(&longer)) {
        *w = longer;
    }
}


s3c_status_t
s3c_sigv4_parse_signed_headers(s3c_sigv4_parse_t *p, s3c_slice_t text)
{
    bool                all = true;
    s3c_status_t        st;
    s3c_writer_t        w;
    s3c_sigv4_claim_t  *claim = p->claim;

    s3c_writer_init(&w, claim->refusal.text, sizeof(claim->refusal.text));
    claim->signed_headers = text;

    if (!s3c_sigv4_list_has(text, S3C_SLICE("host"))) {
        all = false;
        claim_add_unsigned(&w, S3C_SLICE("host"));
    }

    for (unsigned i = 0; i < p->wire->n_headers; i++) {
        s3c_slice_t  name = p->wire->headers[i].name;

        /* its value is what is signed of the body: the last line */
        if (!s3c_sigv4_is_amz(name)
            || s3c_slice_eq_nocase(name, S3C_SLICE("x-amz-content-sha256"))
            || s3c_sigv4_list_has(text, name))
        {
            continue;
        }

        all = false;
        claim_add_unsigned(&w, name);
    }

    if (!all) {
        st = s3c_sigv4_refuse(claim, S3C_ERR_ACCESS_DENIED,
            "There were headers present in the request which were not signed");
        s3c_sigv4_refuse_extra(claim, "HeadersNotSigned",
                               s3c_writer_slice(&w));
        return st;
    }

    if (!claim_list_is_valid(p, text)) {
        return claim_malformed(claim,
            "The authorization header is malformed; SignedHeaders names "
            "headers in lower case, once each, that are in the request.",
            "X-Amz-SignedHeaders names headers in lower case, once each, that "
            "are in the request.");
    }

    return S3C_OK;
}

/* --- payload ------------------------------------------------------------- */

s3c_status_t
s3c_sigv4_parse_payload(s3c_sigv4_parse_t *p, s3c_slice_t value)
{
    uint8_t             lower[2 * S3C_SHA256_BYTES];
    s3c_sigv4_claim_t  *claim = p->claim;

    claim->payload = s3c_s3_payload(value);
    claim->payload_hash = value;

    switch (claim->payload) {

    case S3C_PAYLOAD_INVALID:
        return s3c_sigv4_refuse(claim, S3C_ERR_INVALID_ARGUMENT,
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, "
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 "
            "value.");

    case S3C_PAYLOAD_UNSUPPORTED:
        return s3c_sigv4_refuse(claim, S3C_ERR_NOT_IMPLEMENTED, NULL);

    case S3C_PAYLOAD_HASH:
        for (size_t i = 0; i < sizeof(lower); i++) {
            lower[i] = value.data[i] | 0x20;     /* digits have that bit */
        }

        return s3c_sigv4_unhex(s3c_slice(lower, sizeof(lower)),
                               claim->body_sha256)
               ? S3C_OK
               : s3c_sigv4_refuse(claim, S3C_ERR_INVALID_ARGUMENT, NULL);

    default:
        break;
    }

    if (s3c_s3_payload_is_chunked(claim->payload) && !p->wire->may_stream) {
        return s3c_sigv4_refuse(claim, S3C_ERR_INVALID_REQUEST,
            "A STREAMING payload is for PutObject and UploadPart only.");
    }

    return S3C_OK;
}
