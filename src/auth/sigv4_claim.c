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


static bool
claim_day_is(unsigned year, unsigned month, unsigned day)
{
    static const uint8_t  days[12] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };
    bool                  leap = year % 4 == 0
                                 && (year % 100 != 0 || year % 400 == 0);

    return month >= 1 && month <= 12 && day >= 1
           && day <= days[month - 1] + (month == 2 && leap ? 1u : 0u);
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
    unsigned        year, month, day, hour, minute, second;
    const uint8_t  *d = text.data;

    if (text.len != S3C_SIGV4_DATE_BYTES || d[8] != 'T' || d[15] != 'Z') {
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
    hour = claim_digits(d + 9, 2);
    minute = claim_digits(d + 11, 2);
    second = claim_digits(d + 13, 2);

    if (year < 1970 || !claim_day_is(year, month, day)
        || hour > 23 || minute > 59 || second > 59)
    {
        return S3C_INVALID;
    }

    *sec = claim_days(year, month, day) * 86400
           + (int64_t) (hour * 3600 + minute * 60 + second);

    return S3C_OK;
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
    uint8_t  digit[2 * S3C_SHA256_BYTES], wrong = 0;

    if (hex.len != sizeof(digit)) {
        return false;
    }

    /* without a branch or a table: a compiler does many at once */
    for (size_t i = 0; i < sizeof(digit); i++) {
        uint8_t  c = hex.data[i];
        uint8_t  from_0 = (uint8_t) (c - '0'), from_a = (uint8_t) (c - 'a');
        uint8_t  is_digit = from_0 < 10 ? 0xff : 0;
        uint8_t  is_letter = from_a < 6 ? 0xff : 0;

        wrong |= (uint8_t) ~(is_digit | is_letter);
        digit[i] = (uint8_t) ((from_0 & is_digit)
                              | ((from_a + 10) & is_letter));
    }

    for (size_t i = 0; i < S3C_SHA256_BYTES; i++) {
        out[i] = (uint8_t) (digit[2 * i] << 4 | digit[2 * i + 1]);
    }

    return wrong == 0;
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

bool
s3c_sigv4_list_cut(s3c_slice_t text, s3c_sigv4_list_t *list)
{
    size_t          n;
    const uint8_t  *cut;

    for (list->n = 0; text.data != NULL; list->n++) {
        if (list->n == S3C_SIGV4_HEADERS_MAX) {
            return false;
        }

        cut = text.len > 0 ? memchr(text.data, ';', text.len) : NULL;
        n = cut ? (size_t) (cut - text.data) : text.len;
        list->names[list->n] = s3c_slice(text.data, n);
        text = cut ? s3c_slice(cut + 1, text.len - n - 1) : S3C_SLICE_NONE;
    }

    return true;
}


unsigned
s3c_sigv4_list_find(const s3c_sigv4_list_t *list, s3c_slice_t name)
{
    unsigned  i;

    for (i = 0; i < list->n; i++) {
        if (s3c_slice_eq_nocase(list->names[i], name)) {
            break;
        }
    }

    return i;
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
claim_list_is_valid(const s3c_sigv4_list_t *list, const bool *is_there)
{
    for (unsigned n = 0; n < list->n; n++) {
        s3c_slice_t  name = list->names[n];

        /* of one that is there twice, the second is not found */
        if (name.len == 0 || !is_there[n]) {
            return false;
        }

        for (size_t i = 0; i < name.len; i++) {
            if (!s3c_http_is_token(name.data[i])
                || (name.data[i] >= 'A' && name.data[i] <= 'Z'))
            {
                return false;
            }
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


static s3c_status_t
claim_bad_list(s3c_sigv4_claim_t *claim)
{
    return claim_malformed(claim,
        "The authorization header is malformed; SignedHeaders names "
        "headers in lower case, once each, that are in the request.",
        "X-Amz-SignedHeaders names headers in lower case, once each, that "
        "are in the request.");
}


s3c_status_t
s3c_sigv4_parse_signed_headers(s3c_sigv4_parse_t *p, s3c_slice_t text)
{
    bool                all = true;
    bool                is_there[S3C_SIGV4_HEADERS_MAX];
    s3c_status_t        st;
    s3c_writer_t        w;
    s3c_sigv4_list_t    list;
    s3c_sigv4_claim_t  *claim = p->claim;

    s3c_writer_init(&w, claim->refusal.text, sizeof(claim->refusal.text));
    claim->signed_headers = text;

    if (!s3c_sigv4_list_cut(text, &list)) {
        return claim_bad_list(claim);
    }

    memset(is_there, 0, list.n);

    if (s3c_sigv4_list_find(&list, S3C_SLICE("host")) == list.n) {
        all = false;
        claim_add_unsigned(&w, S3C_SLICE("host"));
    }

    for (unsigned i = 0; i < p->wire->n_headers; i++) {
        s3c_slice_t  name = p->wire->headers[i].name;
        unsigned     n = s3c_sigv4_list_find(&list, name);

        if (n < list.n) {
            is_there[n] = true;
            continue;
        }

        /* its value is what is signed of the body: the last line */
        if (s3c_sigv4_is_amz(name)
            && !s3c_slice_eq_nocase(name, S3C_SLICE("x-amz-content-sha256")))
        {
            all = false;
            claim_add_unsigned(&w, name);
        }
    }

    if (!all) {
        st = s3c_sigv4_refuse(claim, S3C_ERR_ACCESS_DENIED,
            "There were headers present in the request which were not signed");
        s3c_sigv4_refuse_extra(claim, "HeadersNotSigned",
                               s3c_writer_slice(&w));
        return st;
    }

    return claim_list_is_valid(&list, is_there) ? S3C_OK
                                                : claim_bad_list(claim);
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
