/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader of JSON. Recursion has a bit for each level, no stack.
 */
#include "s3/s3_json.h"

#include "http/http_text.h"
#include "s3/s3_utf8.h"

/*  state   takes                         goes to
 *  VALUE   a value                       NEXT, DONE; of { [: FIELD, ITEM
 *  ITEM    a value | ]                   as VALUE | NEXT, DONE
 *  FIELD   a name | }                    VALUE | NEXT, DONE
 *  NAME    a name                        VALUE
 *  NEXT    , | } | ]                     VALUE, NAME | NEXT, DONE
 *  DONE    the end
 */
enum {
    JSON_VALUE = 0,
    JSON_ITEM,
    JSON_FIELD,
    JSON_NAME,
    JSON_NEXT,
    JSON_DONE
};


void
s3c_s3_json_init(s3c_s3_json_t *j, s3c_slice_t text)
{
    *j = (s3c_s3_json_t) { .text = text };
}


/* The next byte that is not blank, or 0: no token begins with that. */
static uint8_t
json_peek(s3c_s3_json_t *j)
{
    uint8_t  c;

    for ( /* void */ ; j->pos < j->text.len; j->pos++) {
        c = j->text.data[j->pos];

        if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
            return c;
        }
    }

    return 0;
}


static void
json_after_value(s3c_s3_json_t *j)
{
    j->state = j->depth == 0 ? JSON_DONE : JSON_NEXT;
}


static s3c_status_t
json_open(s3c_s3_json_t *j, s3c_json_token_t *t, bool array)
{
    uint32_t  bit;

    if (j->depth == S3C_S3_JSON_DEPTH_MAX) {
        return S3C_INVALID;
    }

    bit = 1u << j->depth++;
    j->arrays = array ? j->arrays | bit : j->arrays & ~bit;
    j->state = array ? JSON_ITEM : JSON_FIELD;
    j->pos++;
    t->kind = array ? S3C_JSON_ARRAY : S3C_JSON_OBJECT;

    return S3C_OK;
}


static bool
json_in_array(const s3c_s3_json_t *j)
{
    return (j->arrays >> (j->depth - 1)) & 1;
}


static s3c_status_t
json_close(s3c_s3_json_t *j, s3c_json_token_t *t, uint8_t c)
{
    if (c != (json_in_array(j) ? ']' : '}')) {
        return S3C_INVALID;
    }

    t->kind = json_in_array(j) ? S3C_JSON_ARRAY_END : S3C_JSON_OBJECT_END;
    j->pos++;
    j->depth--;
    json_after_value(j);

    return S3C_OK;
}


/* j->pos is at the backslash. */
static s3c_status_t
json_escape(s3c_s3_json_t *j)
{
    const uint8_t  *p = j->text.data + j->pos;
    size_t          left = j->text.len - j->pos;

    if (left < 2 || p[1] == '\0' || strchr("\"\\/bfnrtu", p[1]) == NULL) {
        return S3C_INVALID;
    }

    j->pos += 2;

    if (p[1] != 'u') {
        return S3C_OK;
    }

    if (left < 6) {
        return S3C_INVALID;
    }

    for (int i = 2; i < 6; i++) {
        if (s3c_http_hex(p[i]) < 0) {
            return S3C_INVALID;
        }
    }

    j->pos += 4;

    return S3C_OK;
}


/* A string, or the name of a member; j->pos is at its quote. */
static s3c_status_t
json_quoted(s3c_s3_json_t *j, s3c_json_token_t *t)
{
    size_t   start = ++j->pos;
    uint8_t  c;

    while (j->pos < j->text.len) {
        c = j->text.data[j->pos];

        if (c == '"') {
            t->text = s3c_slice(j->text.data + start, j->pos - start);
            j->pos++;
            return S3C_OK;
        }

        if (c < 0x20) {
            return S3C_INVALID;
        }

        if (c != '\\') {
            j->pos++;

        } else if (json_escape(j) != S3C_OK) {
            return S3C_INVALID;
        }
    }

    return S3C_INVALID;
}


static s3c_status_t
json_name(s3c_s3_json_t *j, s3c_json_token_t *t, uint8_t c)
{
    if (c != '"' || json_quoted(j, t) != S3C_OK || json_peek(j) != ':') {
        return S3C_INVALID;
    }

    j->pos++;
    j->state = JSON_VALUE;
    t->kind = S3C_JSON_NAME;

    return S3C_OK;
}


static size_t
json_digits(s3c_s3_json_t *j)
{
    size_t  start = j->pos;

    while (j->pos < j->text.len && j->text.data[j->pos] >= '0'
           && j->text.data[j->pos] <= '9')
    {
        j->pos++;
    }

    return j->pos - start;
}


static bool
json_take(s3c_s3_json_t *j, const char *any)
{
    if (j->pos == j->text.len || j->text.data[j->pos] == '\0'
        || strchr(any, j->text.data[j->pos]) == NULL)
    {
        return false;
    }

    j->pos++;

    return true;
}


static s3c_status_t
json_number(s3c_s3_json_t *j, s3c_json_token_t *t)
{
    size_t  start = j->pos;

    (void) json_take(j, "-");

    if (!json_take(j, "0") && json_digits(j) == 0) {
        return S3C_INVALID;
    }

    if (json_take(j, ".") && json_digits(j) == 0) {
        return S3C_INVALID;
    }

    if (json_take(j, "eE")) {
        (void) json_take(j, "+-");

        if (json_digits(j) == 0) {
            return S3C_INVALID;
        }
    }

    /* what else stands here (01, 1x) is no comma and no end */
    t->kind = S3C_JSON_NUMBER;
    t->text = s3c_slice(j->text.data + start, j->pos - start);
    json_after_value(j);

    return S3C_OK;
}


static s3c_status_t
json_word(s3c_s3_json_t *j, s3c_json_token_t *t)
{
    static const s3c_slice_t  words[] = {
        S3C_SLICE("true"), S3C_SLICE("false"), S3C_SLICE("null"),
    };

    const uint8_t  *p = j->text.data + j->pos;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (j->text.len - j->pos >= words[i].len
            && memcmp(p, words[i].data, words[i].len) == 0)
        {
            t->kind = S3C_JSON_WORD;
            t->text = s3c_slice(p, words[i].len);
            j->pos += words[i].len;
            json_after_value(j);
            return S3C_OK;
        }
    }

    return S3C_INVALID;
}


static s3c_status_t
json_value(s3c_s3_json_t *j, s3c_json_token_t *t, uint8_t c)
{
    switch (c) {

    case '{':
        return json_open(j, t, false);

    case '[':
        return json_open(j, t, true);

    case '"':
        if (json_quoted(j, t) != S3C_OK) {
            return S3C_INVALID;
        }

        t->kind = S3C_JSON_STRING;
        json_after_value(j);
        return S3C_OK;

    case 't':
    case 'f':
    case 'n':
        return json_word(j, t);

    default:
        return json_number(j, t);
    }
}


s3c_status_t
s3c_s3_json_next(s3c_s3_json_t *j, s3c_json_token_t *t)
{
    uint8_t  c = json_peek(j);

    *t = (s3c_json_token_t) { .kind = S3C_JSON_END };

    if (j->state == JSON_NEXT && c == ',') {
        j->pos++;
        j->state = json_in_array(j) ? JSON_VALUE : JSON_NAME;
        c = json_peek(j);
    }

    switch (j->state) {

    case JSON_VALUE:
        return json_value(j, t, c);

    case JSON_ITEM:
        return c == ']' ? json_close(j, t, c) : json_value(j, t, c);

    case JSON_FIELD:
        return c == '}' ? json_close(j, t, c) : json_name(j, t, c);

    case JSON_NAME:
        return json_name(j, t, c);

    case JSON_NEXT:
        return json_close(j, t, c);

    default: /* JSON_DONE */
        return j->pos == j->text.len ? S3C_OK : S3C_INVALID;
    }
}


s3c_status_t
s3c_s3_json_skip(s3c_s3_json_t *j, const s3c_json_token_t *t)
{
    unsigned          depth;
    s3c_json_token_t  inner;

    if (t->kind != S3C_JSON_OBJECT && t->kind != S3C_JSON_ARRAY) {
        return S3C_OK;
    }

    for (depth = j->depth - 1; j->depth > depth; /* void */) {
        if (s3c_s3_json_next(j, &inner) != S3C_OK) {
            return S3C_INVALID;
        }
    }

    return S3C_OK;
}


/* --- what a string means ------------------------------------------------- */

static uint32_t
json_hex4(const uint8_t *p)
{
    uint32_t  v = 0;

    for (int i = 0; i < 4; i++) {
        v = v << 4 | (uint32_t) s3c_http_hex(p[i]);
    }

    return v;
}


static void
json_write_char(s3c_writer_t *w, uint32_t cp)
{
    if (cp < 0x80) {
        s3c_write_byte(w, (uint8_t) cp);
        return;
    }

    if (cp < 0x800) {
        s3c_write_byte(w, (uint8_t) (0xc0 | cp >> 6));

    } else {

        if (cp < 0x10000) {
            s3c_write_byte(w, (uint8_t) (0xe0 | cp >> 12));

        } else {
            s3c_write_byte(w, (uint8_t) (0xf0 | cp >> 18));
            s3c_write_byte(w, (uint8_t) (0x80 | (cp >> 12 & 0x3f)));
        }

        s3c_write_byte(w, (uint8_t) (0x80 | (cp >> 6 & 0x3f)));
    }

    s3c_write_byte(w, (uint8_t) (0x80 | (cp & 0x3f)));
}


/* raw.data[*pos] is the backslash of an escape that the reader has checked. */
static s3c_status_t
json_escaped(s3c_slice_t raw, size_t *pos, uint32_t *cp)
{
    static const char  from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const uint8_t     *p = raw.data + *pos;
    const char        *at;
    uint32_t           low;

    if (p[1] != 'u') {
        at = strchr(from, p[1]);
        *cp = at != NULL ? (uint32_t) to[at - from] : p[1];
        *pos += 2;
        return S3C_OK;
    }

    *cp = json_hex4(p + 2);
    *pos += 6;

    if (*cp < 0xd800 || *cp > 0xdfff) {
        return S3C_OK;
    }

    if (*cp > 0xdbff || raw.len - *pos < 6 || p[6] != '\\' || p[7] != 'u') {
        return S3C_INVALID;
    }

    low = json_hex4(p + 8);
    *pos += 6;

    if (low < 0xdc00 || low > 0xdfff) {
        return S3C_INVALID;
    }

    *cp = 0x10000 + ((*cp & 0x3ff) << 10 | (low & 0x3ff));

    return S3C_OK;
}


s3c_status_t
s3c_s3_json_unescape(s3c_writer_t *w, s3c_slice_t raw)
{
    size_t    n;
    uint32_t  cp;

    for (size_t pos = 0; pos < raw.len; /* void */) {

        if (raw.data[pos] == '\\') {
            if (json_escaped(raw, &pos, &cp) != S3C_OK) {
                return S3C_INVALID;
            }

        } else {
            n = s3c_s3_utf8_step(raw, pos, &cp);
            pos += n;

            if (n == 0) {
                return S3C_INVALID;
            }
        }

        if (cp == 0) {
            return S3C_INVALID;
        }

        json_write_char(w, cp);
    }

    return S3C_OK;
}
