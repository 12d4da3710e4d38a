/* SPDX-License-Identifier: Apache-2.0
 *
 * Strict reader of a response head (RFC 9112 4, 5, 6). It may be called
 * again and again while a buffer grows: only when the end of the head is
 * there is a line looked at; before that it searches, and refuses early
 * what can never become a head.
 *
 * Framing of the body is answered as sent. That 1xx, 204 and 304, and any
 * answer to HEAD, have no body whatever their fields say (RFC 9112 6.3) is
 * for the caller, who knows the request.
 *
 * LIMITS: S3C_HTTP_HEADERS_MAX, S3C_HTTP_HEAD_BYTES_MAX; past them INVALID.
 */
#include "http/http_head.h"

#include "http/http_text.h"

#define HEAD_VERSION        "HTTP/1."
#define HEAD_VERSION_BYTES  (sizeof(HEAD_VERSION) - 1)


static bool
head_is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}


/* The next line, without its CRLF. There is one: the end of the head has
 * been found, and every LF before it has its CR. */
static s3c_slice_t
head_next_line(s3c_slice_t head, size_t *pos)
{
    const uint8_t  *start = head.data + *pos, *lf;

    lf = memchr(start, '\n', head.len - *pos);
    *pos = (size_t) (lf + 1 - head.data);

    return s3c_slice(start, (size_t) (lf - 1 - start));
}


/* HTTP/1.x SP 3DIGIT [ SP reason ]: servers that leave the last SP out are
 * many, and nothing can be hidden in its absence. */
static s3c_status_t
head_parse_status_line(s3c_slice_t line, s3c_http_head_t *head)
{
    const uint8_t  *p = line.data + HEAD_VERSION_BYTES;

    if (line.len < HEAD_VERSION_BYTES + 5
        || memcmp(line.data, HEAD_VERSION, HEAD_VERSION_BYTES) != 0
        || (p[0] != '0' && p[0] != '1')
        || p[1] != ' '
        || !head_is_digit(p[2])
        || !head_is_digit(p[3])
        || !head_is_digit(p[4])
        || (line.len > HEAD_VERSION_BYTES + 5 && p[5] != ' ')
        || !s3c_http_text_is_valid(line))
    {
        return S3C_INVALID;
    }

    head->minor_version = (unsigned) (p[0] - '0');
    head->status = (unsigned) ((p[2] - '0') * 100 + (p[3] - '0') * 10
                               + (p[4] - '0'));

    /* 101 was never asked for */
    if (head->status < 100 || head->status > 599 || head->status == 101) {
        return S3C_INVALID;
    }

    return S3C_OK;
}


static s3c_status_t
head_parse_field(s3c_slice_t line, s3c_http_header_t *header)
{
    size_t  n = 0;

    while (n < line.len && s3c_http_is_token(line.data[n])) {
        n++;
    }

    /* obs-fold and a blank before the colon end here too */
    if (n == 0 || n == line.len || line.data[n] != ':') {
        return S3C_INVALID;
    }

    header->name = s3c_slice(line.data, n);
    header->value = s3c_slice_trim(s3c_slice(line.data + n + 1,
                                             line.len - n - 1));

    return s3c_http_text_is_valid(header->value) ? S3C_OK : S3C_INVALID;
}


/* One or more digits and nothing else; INT64_MAX is the largest, since file
 * offsets are signed. */
static s3c_status_t
head_parse_length(s3c_slice_t value, uint64_t *length)
{
    uint64_t  v = 0;

    if (value.len == 0) {
        return S3C_INVALID;
    }

    for (size_t i = 0; i < value.len; i++) {
        unsigned  digit;

        if (!head_is_digit(value.data[i])) {
            return S3C_INVALID;
        }

        digit = (unsigned) (value.data[i] - '0');

        if (v > ((uint64_t) INT64_MAX - digit) / 10) {
            return S3C_INVALID;
        }

        v = v * 10 + digit;
    }

    *length = v;
    return S3C_OK;
}


/* How the body is framed, and whether the connection lives on. */
static s3c_status_t
head_parse_framing(s3c_http_head_t *head)
{
    bool         close = false, keep_alive = false;
    s3c_slice_t  option;

    for (unsigned i = 0; i < head->n_headers; i++) {
        s3c_slice_t  name = head->headers[i].name;
        s3c_slice_t  value = head->headers[i].value;

        if (s3c_slice_eq_nocase(name, S3C_SLICE("content-length"))) {
            /* RFC 9112 6.3 lets equal ones pass; we need not */
            if (head->has_length
                || head_parse_length(value, &head->length) != S3C_OK)
            {
                return S3C_INVALID;
            }

            head->has_length = true;

        } else if (s3c_slice_eq_nocase(name,
                                       S3C_SLICE("transfer-encoding")))
        {
            if (head->chunked
                || !s3c_slice_eq_nocase(value, S3C_SLICE("chunked")))
            {
                return S3C_INVALID;
            }

            head->chunked = true;

        } else if (s3c_slice_eq_nocase(name, S3C_SLICE("connection"))) {
            while (s3c_http_list_next(&value, &option)) {
                close |= s3c_slice_eq_nocase(option, S3C_SLICE("close"));
                keep_alive |= s3c_slice_eq_nocase(option,
                                                  S3C_SLICE("keep-alive"));
            }
        }
    }

    /* RFC 9112 6.1: HTTP/1.0 knows no Transfer-Encoding */
    if (head->chunked && (head->has_length || head->minor_version == 0)) {
        return S3C_INVALID;
    }

    head->keepalive = !close && (head->minor_version == 1 || keep_alive);

    return S3C_OK;
}


/* Where the head ends: behind the first empty line. INVALID as soon as it
 * is certain that no head can come of it. */
static s3c_status_t
head_find_end(s3c_slice_t buf, size_t *end)
{
    size_t          n, limit;
    const uint8_t  *line = buf.data, *last, *lf;

    n = buf.len < HEAD_VERSION_BYTES ? buf.len : HEAD_VERSION_BYTES;

    if (n == 0) {
        return S3C_AGAIN;
    }

    if (memcmp(buf.data, HEAD_VERSION, n) != 0) {
        return S3C_INVALID;
    }

    limit = buf.len < S3C_HTTP_HEAD_BYTES_MAX ? buf.len
                                              : S3C_HTTP_HEAD_BYTES_MAX;
    last = buf.data + limit;

    while ((lf = memchr(line, '\n', (size_t) (last - line))) != NULL) {
        if (lf == line || lf[-1] != '\r') {
            return S3C_INVALID;            /* a bare LF */
        }

        if (lf == line + 1) {
            *end = (size_t) (lf + 1 - buf.data);
            return S3C_OK;
        }

        line = lf + 1;
    }

    return limit < S3C_HTTP_HEAD_BYTES_MAX ? S3C_AGAIN : S3C_INVALID;
}


s3c_status_t
s3c_http_head_parse(s3c_slice_t buf, s3c_http_head_t *head)
{
    size_t        pos = 0, end = 0;
    s3c_slice_t   line;
    s3c_status_t  st;

    st = head_find_end(buf, &end);

    if (st != S3C_OK) {
        return st;
    }

    buf.len = end;

    head->has_length = false;
    head->length = 0;
    head->chunked = false;
    head->keepalive = false;
    head->head_bytes = end;
    head->n_headers = 0;

    line = head_next_line(buf, &pos);
    st = head_parse_status_line(line, head);

    while (st == S3C_OK) {
        line = head_next_line(buf, &pos);

        if (line.len == 0) {
            return head_parse_framing(head);
        }

        if (head->n_headers == S3C_HTTP_HEADERS_MAX) {
            return S3C_INVALID;
        }

        st = head_parse_field(line, &head->headers[head->n_headers]);
        head->n_headers++;
    }

    return st;
}


const s3c_http_header_t *
s3c_http_head_find(const s3c_http_head_t *head, s3c_slice_t name)
{
    for (unsigned i = 0; i < head->n_headers; i++) {
        if (s3c_slice_eq_nocase(head->headers[i].name, name)) {
            return &head->headers[i];
        }
    }

    return NULL;
}
