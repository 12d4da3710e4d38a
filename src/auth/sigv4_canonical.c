/* SPDX-License-Identifier: Apache-2.0
 *
 * First stage of SigV4: the canonical request, S3 variant. The path is
 * encoded once from its decoded bytes and never normalised; query names and
 * values are decoded ('+' is a space) and encoded, then sorted by name and
 * value; repeated headers are joined by ','. Pure, no allocation.
 *
 * LIMITS: S3C_SIGV4_HEADERS_MAX headers, CANONICAL_PARAMS_MAX parameters.
 */
#include "auth/sigv4.h"

#include "http/http_text.h"
#include "s3/s3_query.h"
#include "s3/s3_uri.h"

#define CANONICAL_PARAMS_MAX  128


/* Both still percent-coded, as in the request. */
typedef struct {
    s3c_slice_t  name;
    s3c_slice_t  value;
} canonical_param_t;


/* One decoded byte of text whose escapes were found valid. */
static uint8_t
canonical_next_byte(s3c_slice_t *text)
{
    uint8_t  c = text->data[0];
    size_t   n = 1;

    if (c == '%') {
        c = (uint8_t) (s3c_http_hex(text->data[1]) << 4
                       | s3c_http_hex(text->data[2]));
        n = 3;

    } else if (c == '+') {
        c = ' ';
    }

    text->data += n;
    text->len -= n;

    return c;
}


/* Orders bytes as their encoded forms are ordered: every escape begins with
 * '%', which is less than any unreserved character. */
static unsigned
canonical_rank(uint8_t c)
{
    if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
        || (c >= '0' && c <= '9')
        || c == '-' || c == '_' || c == '.' || c == '~')
    {
        return 0x100u | c;
    }

    return c;
}


/* As memcmp() of the encoded forms would answer. */
static int
canonical_text_cmp(s3c_slice_t a, s3c_slice_t b)
{
    while (a.len > 0 && b.len > 0) {
        unsigned  x = canonical_rank(canonical_next_byte(&a));
        unsigned  y = canonical_rank(canonical_next_byte(&b));

        if (x != y) {
            return x < y ? -1 : 1;
        }
    }

    return (a.len > 0) - (b.len > 0);
}


static int
canonical_param_cmp(const canonical_param_t *a, const canonical_param_t *b)
{
    int  rc = canonical_text_cmp(a->name, b->name);

    return rc != 0 ? rc : canonical_text_cmp(a->value, b->value);
}


/* Cuts the query into params[], sorted. The signature itself is no part of
 * what is signed. */
static s3c_status_t
canonical_split_query(s3c_slice_t query, canonical_param_t *params,
    unsigned *n_params)
{
    unsigned           i;
    canonical_param_t  param;

    *n_params = 0;

    while (s3c_s3_query_next(&query, &param.name, &param.value)) {
        if (!s3c_s3_query_is_valid(param.name)
            || !s3c_s3_query_is_valid(param.value)
            || *n_params == CANONICAL_PARAMS_MAX)
        {
            return S3C_INVALID;
        }

        if (canonical_text_cmp(param.name, S3C_SLICE("X-Amz-Signature")) == 0) {
            continue;
        }

        for (i = (*n_params)++;
             i > 0 && canonical_param_cmp(&params[i - 1], &param) > 0;
             i--)
        {
            params[i] = params[i - 1];
        }

        params[i] = param;
    }

    return S3C_OK;
}


static void
canonical_write_param_text(s3c_writer_t *out, s3c_slice_t text)
{
    if (text.len > 0 && memchr(text.data, '%', text.len) == NULL
        && memchr(text.data, '+', text.len) == NULL)
    {
        s3c_uri_encode(out, text, false);
        return;
    }

    while (text.len > 0) {
        uint8_t  c = canonical_next_byte(&text);

        s3c_uri_encode(out, s3c_slice(&c, 1), false);
    }
}


static s3c_status_t
canonical_write_query(s3c_writer_t *out, s3c_slice_t query)
{
    unsigned           n_params;
    s3c_status_t       st;
    canonical_param_t  params[CANONICAL_PARAMS_MAX];

    st = canonical_split_query(query, params, &n_params);

    if (st != S3C_OK) {
        return st;
    }

    for (unsigned i = 0; i < n_params; i++) {
        if (i > 0) {
            s3c_write_byte(out, '&');
        }

        canonical_write_param_text(out, params[i].name);
        s3c_write_byte(out, '=');
        canonical_write_param_text(out, params[i].value);
    }

    return S3C_OK;
}


static int
canonical_name_cmp(s3c_slice_t a, s3c_slice_t b)
{
    for (size_t i = 0; i < a.len && i < b.len; i++) {
        int  diff;

        if (a.data[i] == b.data[i]) {
            continue;
        }

        diff = s3c_slice_lower1(a.data[i]) - s3c_slice_lower1(b.data[i]);

        if (diff != 0) {
            return diff;
        }
    }

    return (a.len > b.len) - (a.len < b.len);
}


/* Sorts by name; headers of one name keep their order. INVALID: too many, or
 * bytes that would let a header look like two lines. */
static s3c_status_t
canonical_sort_headers(const s3c_sigv4_request_t *req,
    const s3c_http_header_t **sorted)
{
    unsigned  i, n;

    if (req->n_headers > S3C_SIGV4_HEADERS_MAX) {
        return S3C_INVALID;
    }

    for (n = 0; n < req->n_headers; n++) {
        const s3c_http_header_t  *h = &req->headers[n];

        if (h->name.len == 0
            || memchr(h->name.data, '\n', h->name.len) != NULL
            || (h->value.len > 0
                && memchr(h->value.data, '\n', h->value.len) != NULL))
        {
            return S3C_INVALID;
        }

        for (i = n;
             i > 0 && canonical_name_cmp(sorted[i - 1]->name, h->name) > 0;
             i--)
        {
            sorted[i] = sorted[i - 1];
        }

        sorted[i] = h;
    }

    return S3C_OK;
}


static bool
canonical_is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}


/* Trimmed, each inner run of blanks as one space. */
static void
canonical_write_value(s3c_writer_t *out, s3c_slice_t value)
{
    size_t  n;

    value = s3c_slice_trim(value);

    while (value.len > 0) {
        for (n = 0; n < value.len && !canonical_is_blank(value.data[n]); n++) {
            /* a word */
        }

        s3c_write_bytes(out, value.data, n);

        if (n < value.len) {
            s3c_write_byte(out, ' ');
        }

        while (n < value.len && canonical_is_blank(value.data[n])) {
            n++;
        }

        value = s3c_slice(value.data + n, value.len - n);
    }
}


/* "name:value\n" of each, an empty line, then "name;name" */
static void
canonical_write_headers(s3c_writer_t *out,
    const s3c_http_header_t **sorted, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (i > 0
            && s3c_slice_eq_nocase(sorted[i - 1]->name, sorted[i]->name))
        {
            s3c_write_byte(out, ',');

        } else {
            if (i > 0) {
                s3c_write_byte(out, '\n');
            }

            s3c_write_lower(out, sorted[i]->name);
            s3c_write_byte(out, ':');
        }

        canonical_write_value(out, sorted[i]->value);
    }

    s3c_write_lit(out, "\n\n");

    for (unsigned i = 0; i < n; i++) {
        if (i > 0) {
            if (s3c_slice_eq_nocase(sorted[i - 1]->name, sorted[i]->name)) {
                continue;
            }

            s3c_write_byte(out, ';');
        }

        s3c_write_lower(out, sorted[i]->name);
    }
}


s3c_status_t
s3c_sigv4_canonical(const s3c_sigv4_request_t *req, s3c_writer_t *out)
{
    s3c_status_t               st;
    const s3c_http_header_t   *sorted[S3C_SIGV4_HEADERS_MAX];

    st = canonical_sort_headers(req, sorted);

    if (st != S3C_OK) {
        return st;
    }

    s3c_write_slice(out, req->method);
    s3c_write_byte(out, '\n');

    if (req->path_is_coded) {
        s3c_write_slice(out, req->path);

    } else {
        s3c_uri_encode(out, req->path, true);
    }

    s3c_write_byte(out, '\n');

    st = canonical_write_query(out, req->query);

    if (st != S3C_OK) {
        return st;
    }

    s3c_write_byte(out, '\n');
    canonical_write_headers(out, sorted, req->n_headers);
    s3c_write_byte(out, '\n');
    s3c_write_slice(out, req->payload_hash);

    return s3c_writer_ok(out) ? S3C_OK : S3C_FULL;
}
