/* SPDX-License-Identifier: Apache-2.0
 *
 * A byte machine over the part of XML that such bodies are written in: a
 * declaration, elements with attributes, text, the five named entities and
 * character references. No comment, CDATA, DOCTYPE or processing instruction
 * but the first: those are doubt.
 *
 * LIMITS: a tag's name and an entity S3C_S3_DELETE_TAG_MAX, a key
 * S3C_S3_KEY_BYTES_MAX, four elements deep.
 */
#include "s3/s3_delete.h"

/*  state     takes                      goes to
 *  START     blank | <                  START | FIRST
 *  FIRST     ? | name                   DECL | NAME
 *  DECL      ... ?                      DECL_END
 *  DECL_END  >                          TEXT
 *  TEXT      text | < | & (in a key)    TEXT | OPEN | ENTITY
 *  OPEN      / | name                   NAME
 *  NAME      name | blank | / | >       NAME | ATTR | SLASH | TEXT
 *  ATTR      ... " ' | / | >            ATTR | QUOTED | SLASH | TEXT
 *  QUOTED    ... the same quote         ATTR
 *  SLASH     >                          TEXT
 *  ENTITY    ... ;                      TEXT
 */
enum {
    DELETE_START = 0,
    DELETE_FIRST,
    DELETE_DECL,
    DELETE_DECL_END,
    DELETE_TEXT,
    DELETE_OPEN,
    DELETE_NAME,
    DELETE_ATTR,
    DELETE_QUOTED,
    DELETE_SLASH,
    DELETE_ENTITY,
    DELETE_DOUBT
};

/* kinds of elements */
enum {
    ELEMENT_OTHER = 1,
    ELEMENT_DELETE,
    ELEMENT_OBJECT,
    ELEMENT_KEY
};


static bool
delete_is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}


static uint8_t
delete_kind(const s3c_s3_delete_t *d)
{
    s3c_slice_t    name = s3c_slice(d->word, d->word_len);
    const uint8_t *colon = memchr(name.data, ':', name.len);

    if (colon != NULL) {
        name = s3c_slice(colon + 1,
                         (size_t) (name.data + name.len - colon - 1));
    }

    return s3c_slice_eq(name, S3C_SLICE("Delete")) ? ELEMENT_DELETE
           : s3c_slice_eq(name, S3C_SLICE("Object")) ? ELEMENT_OBJECT
           : s3c_slice_eq(name, S3C_SLICE("Key")) ? ELEMENT_KEY
           : ELEMENT_OTHER;
}


static void
delete_add(s3c_s3_delete_t *d, uint8_t c)
{
    if (d->key_len == sizeof(d->key)) {
        d->state = DELETE_DOUBT;
        return;
    }

    d->key[d->key_len++] = c;
}


static void
delete_add_char(s3c_s3_delete_t *d, uint32_t cp)
{
    if (cp < 0x20 || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000)) {
        d->state = DELETE_DOUBT;     /* readers differ in what it is */

    } else if (cp < 0x80) {
        delete_add(d, (uint8_t) cp);

    } else if (cp < 0x800) {
        delete_add(d, (uint8_t) (0xc0 | cp >> 6));
        delete_add(d, (uint8_t) (0x80 | (cp & 0x3f)));

    } else if (cp < 0x10000) {
        delete_add(d, (uint8_t) (0xe0 | cp >> 12));
        delete_add(d, (uint8_t) (0x80 | (cp >> 6 & 0x3f)));
        delete_add(d, (uint8_t) (0x80 | (cp & 0x3f)));

    } else {
        delete_add(d, (uint8_t) (0xf0 | cp >> 18));
        delete_add(d, (uint8_t) (0x80 | (cp >> 12 & 0x3f)));
        delete_add(d, (uint8_t) (0x80 | (cp >> 6 & 0x3f)));
        delete_add(d, (uint8_t) (0x80 | (cp & 0x3f)));
    }
}


static void
delete_number(s3c_s3_delete_t *d)
{
    unsigned  base = 10, i = 1;
    uint32_t  cp = 0;

    if (d->word_len > 1 && d->word[1] == 'x') {
        base = 16;
        i = 2;
    }

    if (i == d->word_len) {
        d->state = DELETE_DOUBT;
        return;
    }

    for ( /* void */ ; i < d->word_len; i++) {
        uint8_t   c = d->word[i];
        unsigned  v = c >= '0' && c <= '9' ? c - (unsigned) '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10u
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10u : 99;

        if (v >= base || cp > 0x10ffff) {
            d->state = DELETE_DOUBT;
            return;
        }

        cp = cp * base + v;
    }

    delete_add_char(d, cp);
}


static void
delete_entity(s3c_s3_delete_t *d)
{
    static const struct {
        s3c_slice_t  name;
        uint8_t      c;
    } entities[] = {
        { S3C_SLICE("amp"), '&' }, { S3C_SLICE("lt"), '<' },
        { S3C_SLICE("gt"), '>' }, { S3C_SLICE("quot"), '"' },
        { S3C_SLICE("apos"), '\'' },
    };

    s3c_slice_t  word = s3c_slice(d->word, d->word_len);

    d->state = DELETE_TEXT;

    if (word.len > 0 && word.data[0] == '#') {
        delete_number(d);
        return;
    }

    for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++) {
        if (s3c_slice_eq(word, entities[i].name)) {
            delete_add(d, entities[i].c);
            return;
        }
    }

    d->state = DELETE_DOUBT;
}


/* A tag is complete. True: it has ended a key. */
static bool
delete_tag(s3c_s3_delete_t *d)
{
    uint8_t  kind = delete_kind(d);

    d->state = DELETE_TEXT;

    if (d->done || (d->closing && d->empty)) {
        d->state = DELETE_DOUBT;
        return false;
    }

    if (!d->closing) {
        static const uint8_t  path[] = { ELEMENT_DELETE, ELEMENT_OBJECT,
                                         ELEMENT_KEY };

        if (d->depth == sizeof(d->path)
            || (d->depth == 0 && kind != ELEMENT_DELETE)
            || d->in_key                          /* an element in a key */
            || (kind == ELEMENT_KEY
                && (d->depth != 2 || d->path[1] != ELEMENT_OBJECT)))
        {
            d->state = DELETE_DOUBT;
            return false;
        }

        if (!d->empty) {
            d->path[d->depth++] = kind;
            d->in_key = d->depth == sizeof(path)
                        && memcmp(d->path, path, sizeof(path)) == 0;
            d->key_len = 0;

        } else if (d->depth == 0 || kind == ELEMENT_KEY) {
            d->state = DELETE_DOUBT;
        }

        return false;
    }

    if (d->depth == 0 || d->path[d->depth - 1] != kind) {
        d->state = DELETE_DOUBT;
        return false;
    }

    d->depth--;
    d->done = d->depth == 0;

    if (!d->in_key) {
        return false;
    }

    d->in_key = false;

    /* some readers trim, and some do not */
    if (d->key_len == 0 || d->key[0] == ' ' || d->key[d->key_len - 1] == ' ') {
        d->state = DELETE_DOUBT;
        return false;
    }

    return true;
}


static void
delete_word(s3c_s3_delete_t *d, uint8_t c)
{
    if (d->word_len == sizeof(d->word)) {
        d->state = DELETE_DOUBT;
        return;
    }

    d->word[d->word_len++] = c;
}


static void
delete_text(s3c_s3_delete_t *d, uint8_t c)
{
    if (c == '<') {
        d->state = DELETE_OPEN;
        return;
    }

    if (d->in_key) {
        if (c == '&') {
            d->word_len = 0;
            d->state = DELETE_ENTITY;

        } else if (c < 0x20 || c == 0x7f) {
            d->state = DELETE_DOUBT;

        } else {
            delete_add(d, c);
        }

        return;
    }

    /* between elements, or in one that does not matter */
    if (c == '&' || (d->depth == 0 && !delete_is_blank(c))) {
        d->state = DELETE_DOUBT;
    }
}


/* The state after '<'. */
static void
delete_open(s3c_s3_delete_t *d, uint8_t c)
{
    d->word_len = 0;
    d->closing = c == '/';
    d->empty = false;
    d->state = DELETE_NAME;

    if (c == '!' || c == '?' || c == '>' || delete_is_blank(c)) {
        d->state = DELETE_DOUBT;

    } else if (!d->closing) {
        delete_word(d, c);
    }
}


static bool
delete_take(s3c_s3_delete_t *d, uint8_t c)
{
    switch (d->state) {

    case DELETE_START:
        if (c == '<') {
            d->state = DELETE_FIRST;

        } else if (!delete_is_blank(c)) {
            d->state = DELETE_DOUBT;
        }
        return false;

    case DELETE_FIRST:
        if (c == '?') {
            d->state = DELETE_DECL;
            d->word_len = 0;

        } else {
            delete_open(d, c);
        }
        return false;

    case DELETE_DECL:
        if (c == '?') {
            s3c_slice_t  word = s3c_slice(d->word, d->word_len);

            /* any other coding would be read as something else */
            d->state = DELETE_DECL_END;

            if (!s3c_slice_starts_nocase(word, S3C_SLICE("xml "))) {
                d->state = DELETE_DOUBT;
            }

            for (size_t i = 0; i + 8 < word.len; i++) {
                s3c_slice_t  rest = s3c_slice(word.data + i, word.len - i);

                if (s3c_slice_starts_nocase(rest, S3C_SLICE("encoding"))
                    && !s3c_slice_starts_nocase(rest,
                                         S3C_SLICE("encoding=\"utf-8\""))
                    && !s3c_slice_starts_nocase(rest,
                                         S3C_SLICE("encoding='utf-8'")))
                {
                    d->state = DELETE_DOUBT;
                }
            }

        } else {
            delete_word(d, c);
        }
        return false;

    case DELETE_DECL_END:
    case DELETE_SLASH:
        if (c != '>') {
            d->state = DELETE_DOUBT;
            return false;
        }

        if (d->state == DELETE_SLASH) {
            d->empty = true;
            return delete_tag(d);
        }

        d->state = DELETE_TEXT;
        return false;

    case DELETE_TEXT:
        delete_text(d, c);
        return false;

    case DELETE_OPEN:
        delete_open(d, c);
        return false;

    case DELETE_NAME:
    case DELETE_ATTR:
        if (c == '>') {
            return delete_tag(d);
        }

        if (c == '/') {
            d->state = DELETE_SLASH;

        } else if (d->state == DELETE_ATTR && (c == '"' || c == '\'')) {
            d->quote = c;
            d->state = DELETE_QUOTED;

        } else if (c == '<') {
            d->state = DELETE_DOUBT;

        } else if (delete_is_blank(c)) {
            d->state = DELETE_ATTR;

        } else if (d->state == DELETE_NAME) {
            delete_word(d, c);
        }
        return false;

    case DELETE_QUOTED:
        if (c == d->quote) {
            d->state = DELETE_ATTR;
        }
        return false;

    default: /* DELETE_ENTITY */
        if (c == ';') {
            delete_entity(d);

        } else {
            delete_word(d, c);
        }
        return false;
    }
}


s3c_status_t
s3c_s3_delete_step(s3c_s3_delete_t *d, s3c_slice_t in, s3c_slice_t *key,
    size_t *used)
{
    *key = S3C_SLICE_NONE;

    for (*used = 0; *used < in.len && d->state != DELETE_DOUBT; /* void */) {
        if (delete_take(d, in.data[(*used)++]) && d->state != DELETE_DOUBT) {
            *key = s3c_slice(d->key, d->key_len);
            return S3C_EXISTS;
        }
    }

    return d->state == DELETE_DOUBT ? S3C_INVALID : S3C_AGAIN;
}
