/* SPDX-License-Identifier: Apache-2.0
 *
 * The AWS shared-credentials format, read as botocore reads it (Python's
 * RawConfigParser): a profile or a key that is given twice is an error, not
 * "the last wins"; '#' and ';' begin a comment only at the start of a line;
 * '=' or ':' parts key and value; keys have no case; an indented line goes
 * on with the value before it. CRLF is accepted.
 *
 * Where botocore would take a strange value, we refuse: blanks or control
 * bytes inside a key, a secret or a token; a continued one.
 */
#include "auth/credentials.h"


typedef enum {
    CREDENTIALS_ACCESS_KEY,
    CREDENTIALS_SECRET_KEY,
    CREDENTIALS_SESSION_TOKEN,
    CREDENTIALS_KEYS,
    CREDENTIALS_OTHER = CREDENTIALS_KEYS
} credentials_key_t;

static const s3c_slice_t  credentials_names[CREDENTIALS_KEYS] = {
    [CREDENTIALS_ACCESS_KEY] = S3C_SLICE("aws_access_key_id"),
    [CREDENTIALS_SECRET_KEY] = S3C_SLICE("aws_secret_access_key"),
    [CREDENTIALS_SESSION_TOKEN] = S3C_SLICE("aws_session_token"),
};


typedef struct {
    s3c_slice_t        profile;
    s3c_slice_t        values[CREDENTIALS_KEYS];
    unsigned           line;
    unsigned           profile_line;     /* 0: not seen yet */
    bool               in_section;
    bool               in_profile;
    bool               has_key;          /* a line could be continued */
    credentials_key_t  key;
    size_t             indent;           /* of the last key line */
} credentials_parse_t;


static bool
credentials_next_line(s3c_slice_t *text, s3c_slice_t *line)
{
    size_t          n;
    const uint8_t  *lf;

    if (text->len == 0) {
        return false;
    }

    lf = memchr(text->data, '\n', text->len);
    n = lf ? (size_t) (lf - text->data) : text->len;
    *line = s3c_slice(text->data, n);

    if (n > 0 && line->data[n - 1] == '\r') {
        line->len--;
    }

    n += lf ? 1 : 0;
    text->data += n;
    text->len -= n;

    return true;
}


/* No control byte but tab anywhere. */
static bool
credentials_line_is_text(s3c_slice_t line)
{
    for (size_t i = 0; i < line.len; i++) {
        uint8_t  c = line.data[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }

    return true;
}


/* Goes into a header: visible ASCII only, at least one character. */
static bool
credentials_value_is_valid(s3c_slice_t value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] <= 0x20 || value.data[i] >= 0x7f) {
            return false;
        }
    }

    return value.len > 0;
}


/* "[name]", with nothing but a comment after it */
static s3c_status_t
credentials_take_section(credentials_parse_t *parse, s3c_slice_t line)
{
    s3c_slice_t     name, rest;
    const uint8_t  *end = memchr(line.data, ']', line.len);

    if (end == NULL) {
        return S3C_INVALID;
    }

    name = s3c_slice_trim(s3c_slice(line.data + 1,
                                    (size_t) (end - line.data - 1)));
    rest = s3c_slice_trim(s3c_slice(end + 1,
                                    (size_t) (line.data + line.len
                                              - (end + 1))));

    if (name.len == 0
        || (rest.len > 0 && rest.data[0] != '#' && rest.data[0] != ';'))
    {
        return S3C_INVALID;
    }

    parse->in_section = true;
    parse->has_key = false;
    parse->in_profile = s3c_slice_eq(name, parse->profile);

    if (parse->in_profile) {
        if (parse->profile_line != 0) {
            return S3C_INVALID;
        }

        parse->profile_line = parse->line;
    }

    return S3C_OK;
}


static credentials_key_t
credentials_key(s3c_slice_t name)
{
    unsigned  i;

    for (i = 0; i < CREDENTIALS_KEYS; i++) {
        if (s3c_slice_eq_nocase(name, credentials_names[i])) {
            break;
        }
    }

    return (credentials_key_t) i;
}


static s3c_status_t
credentials_take_pair(credentials_parse_t *parse, s3c_slice_t line)
{
    size_t       n = 0;
    s3c_slice_t  value;

    while (n < line.len && line.data[n] != '=' && line.data[n] != ':') {
        n++;
    }

    if (n == line.len || n == 0 || !parse->in_section) {
        return S3C_INVALID;
    }

    parse->key = credentials_key(s3c_slice_trim(s3c_slice(line.data, n)));
    parse->has_key = true;

    if (!parse->in_profile || parse->key == CREDENTIALS_OTHER) {
        return S3C_OK;
    }

    value = s3c_slice_trim(s3c_slice(line.data + n + 1, line.len - n - 1));

    if (parse->key == CREDENTIALS_SESSION_TOKEN && value.len == 0) {
        return S3C_OK;
    }

    if (parse->values[parse->key].len > 0
        || !credentials_value_is_valid(value))
    {
        return S3C_INVALID;
    }

    parse->values[parse->key] = value;

    return S3C_OK;
}


static s3c_status_t
credentials_take_line(credentials_parse_t *parse, s3c_slice_t raw)
{
    size_t       indent;
    s3c_slice_t  line = s3c_slice_trim(raw);

    if (!credentials_line_is_text(raw)) {
        return S3C_INVALID;
    }

    if (line.len == 0 || line.data[0] == '#' || line.data[0] == ';') {
        return S3C_OK;
    }

    indent = (size_t) (line.data - raw.data);

    if (parse->has_key && indent > parse->indent) {
        /* part of the value before it */
        return parse->in_profile && parse->key != CREDENTIALS_OTHER
               ? S3C_INVALID : S3C_OK;
    }

    parse->indent = indent;

    if (line.data[0] == '[') {
        return credentials_take_section(parse, line);
    }

    return credentials_take_pair(parse, line);
}


s3c_status_t
s3c_credentials_parse(s3c_slice_t text, s3c_slice_t profile,
    s3c_credentials_t *out)
{
    s3c_slice_t          line;
    credentials_parse_t  parse = { .profile = profile };

    memset(out, 0, sizeof(*out));

    while (credentials_next_line(&text, &line)) {
        parse.line++;

        if (credentials_take_line(&parse, line) != S3C_OK) {
            out->error_line = parse.line;
            return S3C_INVALID;
        }
    }

    if (parse.profile_line == 0) {
        return S3C_MISS;
    }

    if (parse.values[CREDENTIALS_ACCESS_KEY].len == 0
        || parse.values[CREDENTIALS_SECRET_KEY].len == 0)
    {
        out->error_line = parse.profile_line;
        return S3C_INVALID;
    }

    out->access_key = parse.values[CREDENTIALS_ACCESS_KEY];
    out->secret_key = parse.values[CREDENTIALS_SECRET_KEY];
    out->session_token = parse.values[CREDENTIALS_SESSION_TOKEN];

    return S3C_OK;
}
