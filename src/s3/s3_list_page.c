/* SPDX-License-Identifier: Apache-2.0
 *
 * As much of XML as stores write into a list: elements, text, entities. A page
 * is asked for by the last key of the one before: a token can be forgotten.
 */
#include "s3/s3_list_page.h"

#include "s3/s3_list.h"
#include "s3/s3_uri.h"

#define LIST_TEXT_MAX  (6u * S3C_S3_PAGE_KEY_MAX)   /* of one, coded twice */

typedef enum {
    LIST_START,
    LIST_END,
    LIST_EMPTY,
    LIST_TEXT
} list_kind_t;

typedef struct {
    list_kind_t  kind;
    s3c_slice_t  text;                         /* or the element's name */
} list_token_t;


static bool
list_is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}


static void
list_skip(s3c_slice_t *s, size_t n)
{
    s->data += n;
    s->len -= n;
}


/* Behind a '<': where its '>' is, or s.len. */
static size_t
list_tag_end(s3c_slice_t s)
{
    size_t   i;
    uint8_t  quote = 0;

    for (i = 0; i < s.len; i++) {
        uint8_t  c = s.data[i];

        if (quote != 0) {
            quote = c == quote ? 0 : quote;

        } else if (c == '"' || c == '\'') {
            quote = c;

        } else if (c == '>' || c == '<') {
            break;
        }
    }

    return i < s.len && s.data[i] == '>' ? i : s.len;
}


/* MISS: the document is over. */
static s3c_status_t
list_token(s3c_slice_t *rest, list_token_t *token)
{
    size_t  n = 0;

    if (rest->len == 0) {
        return S3C_MISS;
    }

    if (rest->data[0] != '<') {
        const uint8_t  *tag = memchr(rest->data, '<', rest->len);

        n = tag == NULL ? rest->len : (size_t) (tag - rest->data);
        token->kind = LIST_TEXT;
        token->text = s3c_slice(rest->data, n);
        list_skip(rest, n);

        return S3C_OK;
    }

    list_skip(rest, 1);
    n = list_tag_end(*rest);

    if (n == rest->len || n == 0 || rest->data[0] == '!') {
        return S3C_INVALID;                    /* no comment, no CDATA */
    }

    token->text = s3c_slice(rest->data, n);
    list_skip(rest, n + 1);

    if (token->text.data[0] == '?') {
        token->kind = LIST_EMPTY;              /* <?xml ...?> */
        return S3C_OK;
    }

    token->kind = LIST_START;

    if (token->text.data[0] == '/') {
        token->kind = LIST_END;
        list_skip(&token->text, 1);

    } else if (token->text.data[n - 1] == '/') {
        token->kind = LIST_EMPTY;
        token->text.len--;
    }

    for (n = 0; n < token->text.len && !list_is_space(token->text.data[n]);
         n++)
    {
        /* void */
    }

    token->text.len = n;

    return n > 0 ? S3C_OK : S3C_INVALID;
}


/* Takes a token off the page; its depth is that of what is open after it. */
static s3c_status_t
list_step(s3c_s3_page_t *list, list_token_t *token)
{
    s3c_status_t  st = list_token(&list->rest, token);

    if (st != S3C_OK) {
        return st;
    }

    if (token->kind == LIST_START) {
        list->depth++;

    } else if (token->kind == LIST_END) {
        if (list->depth == 0) {
            return S3C_INVALID;
        }

        list->depth--;
    }

    return S3C_OK;
}


/* The text of an element whose start was just taken; nothing is within it. */
static s3c_status_t
list_text(s3c_s3_page_t *list, s3c_slice_t *text)
{
    list_token_t  token;
    s3c_status_t  st = list_step(list, &token);

    *text = S3C_SLICE_NONE;

    if (st == S3C_OK && token.kind == LIST_TEXT) {
        *text = token.text;
        st = list_step(list, &token);
    }

    return st == S3C_OK && token.kind == LIST_END ? S3C_OK : S3C_INVALID;
}


/* --- entities ------------------------------------------------------------- */

static void
list_write_code(s3c_writer_t *w, uint32_t code)
{
    if (code < 0x80) {
        s3c_write_byte(w, (uint8_t) code);

    } else if (code < 0x800) {
        s3c_write_byte(w, (uint8_t) (0xc0 | code >> 6));
        s3c_write_byte(w, (uint8_t) (0x80 | (code & 0x3f)));

    } else if (code < 0x10000) {
        s3c_write_byte(w, (uint8_t) (0xe0 | code >> 12));
        s3c_write_byte(w, (uint8_t) (0x80 | (code >> 6 & 0x3f)));
        s3c_write_byte(w, (uint8_t) (0x80 | (code & 0x3f)));

    } else {
        s3c_write_byte(w, (uint8_t) (0xf0 | code >> 18));
        s3c_write_byte(w, (uint8_t) (0x80 | (code >> 12 & 0x3f)));
        s3c_write_byte(w, (uint8_t) (0x80 | (code >> 6 & 0x3f)));
        s3c_write_byte(w, (uint8_t) (0x80 | (code & 0x3f)));
    }
}


/* "#10" or "#xA" */
static s3c_status_t
list_number(s3c_writer_t *w, s3c_slice_t name)
{
    size_t    i = 1;
    uint32_t  code = 0, base = 10;

    if (name.len > 1 && name.data[1] == 'x') {
        base = 16;
        i = 2;
    }

    if (i == name.len || name.len > 9) {
        return S3C_INVALID;
    }

    for (; i < name.len; i++) {
        uint8_t   c = name.data[i];
        uint32_t  digit = c >= '0' && c <= '9' ? c - (uint32_t) '0'
                          : (c | 0x20) >= 'a' && (c | 0x20) <= 'f'
                          ? (c | 0x20) - 'a' + 10u : 16;

        if (digit >= base) {
            return S3C_INVALID;
        }

        code = code * base + digit;
    }

    if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
        return S3C_INVALID;
    }

    list_write_code(w, code);

    return S3C_OK;
}


static s3c_status_t
list_entity(s3c_writer_t *w, s3c_slice_t name)
{
    static const struct {
        s3c_slice_t  name;
        char         c;
    } known[] = {
        { S3C_SLICE("amp"), '&' }, { S3C_SLICE("lt"), '<' },
        { S3C_SLICE("gt"), '>' }, { S3C_SLICE("quot"), '"' },
        { S3C_SLICE("apos"), '\'' }
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (s3c_slice_eq(name, known[i].name)) {
            s3c_write_byte(w, (uint8_t) known[i].c);
            return S3C_OK;
        }
    }

    return name.len > 1 && name.data[0] == '#' ? list_number(w, name)
                                               : S3C_INVALID;
}


static s3c_status_t
list_unescape(s3c_writer_t *w, s3c_slice_t text)
{
    while (text.len > 0) {
        const uint8_t  *end;

        if (text.data[0] != '&') {
            s3c_write_byte(w, text.data[0]);
            list_skip(&text, 1);
            continue;
        }

        end = memchr(text.data, ';', text.len);

        if (end == NULL
            || list_entity(w, s3c_slice(text.data + 1, (size_t)
                                        (end - text.data - 1)))
               != S3C_OK)
        {
            return S3C_INVALID;
        }

        list_skip(&text, (size_t) (end + 1 - text.data));
    }

    return s3c_writer_ok(w) ? S3C_OK : S3C_INVALID;
}


/* --- the page ------------------------------------------------------------- */

/* All of it is looked at once, so that what comes later is well-formed. */
s3c_status_t
s3c_s3_page_open(s3c_s3_page_t *list, s3c_slice_t document)
{
    s3c_slice_t   text;
    list_token_t  token;
    s3c_status_t  st;

    list->rest = document;
    list->depth = 0;
    list->coded = false;
    list->truncated = false;

    if (!s3c_s3_list_is_whole(document)) {
        return S3C_INVALID;
    }

    if (list->rest.len > 3 && memcmp(document.data, "\xef\xbb\xbf", 3) == 0) {
        list_skip(&list->rest, 3);
    }

    document = list->rest;

    while ((st = list_step(list, &token)) == S3C_OK) {

        if (token.kind != LIST_START || list->depth != 2) {
            continue;
        }

        if (s3c_slice_eq(token.text, S3C_SLICE("IsTruncated"))) {
            if (list_text(list, &text) != S3C_OK) {
                return S3C_INVALID;
            }

            list->truncated = s3c_slice_eq(text, S3C_SLICE("true"));

        } else if (s3c_slice_eq(token.text, S3C_SLICE("EncodingType"))) {
            if (list_text(list, &text) != S3C_OK) {
                return S3C_INVALID;
            }

            list->coded = s3c_slice_eq(text, S3C_SLICE("url"));
        }
    }

    if (st != S3C_MISS || list->depth != 0) {
        return S3C_INVALID;
    }

    list->rest = document;

    return S3C_OK;
}


static s3c_status_t
list_key(s3c_s3_page_t *list, s3c_slice_t text, s3c_slice_t *key)
{
    uint8_t       buf[LIST_TEXT_MAX];
    s3c_writer_t  once, twice;

    s3c_writer_init(&once, buf, sizeof(buf));
    s3c_writer_init(&twice, list->key, sizeof(list->key));

    if (list_unescape(&once, text) != S3C_OK) {
        return S3C_INVALID;
    }

    if (!list->coded) {
        s3c_write_slice(&twice, s3c_writer_slice(&once));

    } else if (s3c_uri_decode(&twice, s3c_writer_slice(&once), true)
               != S3C_OK)
    {
        return S3C_INVALID;
    }

    *key = s3c_writer_slice(&twice);

    return s3c_writer_ok(&twice) && key->len > 0 ? S3C_OK : S3C_INVALID;
}


s3c_status_t
s3c_s3_page_next(s3c_s3_page_t *list, s3c_slice_t *key)
{
    bool          within = false;
    s3c_slice_t   text;
    list_token_t  token;
    s3c_status_t  st;

    while ((st = list_step(list, &token)) == S3C_OK) {

        if (token.kind == LIST_START && list->depth == 2) {
            within = s3c_slice_eq(token.text, S3C_SLICE("Contents"));

        } else if (token.kind == LIST_START && list->depth == 3 && within
                   && s3c_slice_eq(token.text, S3C_SLICE("Key")))
        {
            return list_text(list, &text) == S3C_OK
                   ? list_key(list, text, key) : S3C_INVALID;
        }
    }

    return st;
}


void
s3c_s3_page_query(s3c_writer_t *w, s3c_slice_t prefix, s3c_slice_t after)
{
    s3c_write_lit(w, "list-type=2&encoding-type=url&prefix=");
    s3c_uri_encode(w, prefix, false);

    if (after.len > 0) {
        s3c_write_lit(w, "&start-after=");
        s3c_uri_encode(w, after, false);
    }
}
