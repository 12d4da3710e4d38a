/* SPDX-License-Identifier: Apache-2.0
 *
 * A byte machine over the part of XML that such bodies are written in: a
 * declaration, elements with attributes, text, and quotes as entities. No
 * comment, CDATA or DOCTYPE.
 *
 * LIMITS: a tag's name and a text of interest S3C_S3_COMPLETE_TEXT_MAX, three
 * elements deep.
 */
#include "s3/s3_complete.h"

/*  state     takes                      goes to
 *  TEXT      text | <                   TEXT | OPEN
 *  OPEN      / | ? | name               NAME | DECL | NAME
 *  DECL      ... >                      TEXT
 *  NAME      name | blank | / | >       NAME | ATTR | SLASH | TEXT
 *  ATTR      ... " ' | / | >            ATTR | QUOTED | SLASH | TEXT
 *  QUOTED    ... the same quote         ATTR
 *  SLASH     >                          TEXT
 */
enum {
    COMPLETE_TEXT = 0,
    COMPLETE_OPEN,
    COMPLETE_DECL,
    COMPLETE_NAME,
    COMPLETE_ATTR,
    COMPLETE_QUOTED,
    COMPLETE_SLASH,
    COMPLETE_DOUBT
};

/* of a part */
enum {
    LEAF_NONE = 0,
    LEAF_NUMBER,
    LEAF_ETAG,
    LEAF_OTHER                             /* a checksum */
};


static bool
complete_is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}


static int
complete_hex(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}


s3c_status_t
s3c_s3_etag_md5(s3c_slice_t etag, uint8_t md5[S3C_DIGEST_MD5_BYTES])
{
    if (etag.len == 2 * S3C_DIGEST_MD5_BYTES + 2 && etag.data[0] == '"'
        && etag.data[etag.len - 1] == '"')
    {
        etag = s3c_slice(etag.data + 1, etag.len - 2);
    }

    if (etag.len != 2 * S3C_DIGEST_MD5_BYTES) {
        return S3C_INVALID;
    }

    for (size_t i = 0; i < S3C_DIGEST_MD5_BYTES; i++) {
        int  hi = complete_hex(etag.data[2 * i]);
        int  lo = complete_hex(etag.data[2 * i + 1]);

        if (hi < 0 || lo < 0) {
            return S3C_INVALID;
        }

        md5[i] = (uint8_t) (hi << 4 | lo);
    }

    return S3C_OK;
}


static bool
complete_number(s3c_s3_complete_t *c, s3c_slice_t text)
{
    unsigned  n = 0;

    if (text.len == 0 || text.len > 5) {
        return false;
    }

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }

        n = 10 * n + (unsigned) (text.data[i] - '0');
    }

    c->part.number = n;

    return n > c->last && n <= S3C_S3_PARTS_MAX;
}


/* The quotes of an ETag are often written as entities. */
static bool
complete_etag(s3c_s3_complete_t *c, s3c_slice_t text)
{
    static const s3c_slice_t  quotes[] = { S3C_SLICE("&quot;"),
                                           S3C_SLICE("&#34;"),
                                           S3C_SLICE("&#x22;") };

    for (size_t i = 0; i < sizeof(quotes) / sizeof(quotes[0]); i++) {
        s3c_slice_t  q = quotes[i];

        if (text.len > 2 * q.len && memcmp(text.data, q.data, q.len) == 0
            && memcmp(text.data + text.len - q.len, q.data, q.len) == 0)
        {
            text = s3c_slice(text.data + q.len, text.len - 2 * q.len);
            break;
        }
    }

    c->has_md5 = s3c_s3_etag_md5(text, c->part.md5) == S3C_OK;

    return c->has_md5;
}


static void
complete_start(s3c_s3_complete_t *c)
{
    s3c_slice_t  name = s3c_slice(c->word, c->word_len);

    switch (c->depth) {

    case 0:
        if (c->empty || c->done
            || !s3c_slice_eq(name, S3C_SLICE("CompleteMultipartUpload")))
        {
            c->state = COMPLETE_DOUBT;
        }
        break;

    case 1:
        if (c->empty || !s3c_slice_eq(name, S3C_SLICE("Part"))) {
            c->state = COMPLETE_DOUBT;
        }

        c->part.number = 0;
        c->has_md5 = false;
        break;

    case 2:
        c->leaf = s3c_slice_eq(name, S3C_SLICE("PartNumber")) ? LEAF_NUMBER
                  : s3c_slice_eq(name, S3C_SLICE("ETag")) ? LEAF_ETAG
                  : LEAF_OTHER;
        c->text_len = 0;

        if ((c->leaf == LEAF_NUMBER && c->part.number != 0)
            || (c->leaf == LEAF_ETAG && c->has_md5)
            || (c->empty && c->leaf != LEAF_OTHER))
        {
            c->state = COMPLETE_DOUBT;
        }

        if (c->empty) {
            c->leaf = LEAF_NONE;
        }
        break;

    default:
        c->state = COMPLETE_DOUBT;
        break;
    }

    if (!c->empty) {
        c->depth++;
    }
}


/* True: a part is complete. */
static bool
complete_end(s3c_s3_complete_t *c)
{
    bool         good = true;
    s3c_slice_t  text = s3c_slice_trim(s3c_slice(c->text, c->text_len));

    switch (c->depth) {

    case 3:
        good = c->leaf == LEAF_NUMBER ? complete_number(c, text)
               : c->leaf == LEAF_ETAG ? complete_etag(c, text) : true;
        c->leaf = LEAF_NONE;
        break;

    case 2:
        good = c->part.number != 0 && c->has_md5;
        c->last = c->part.number;
        break;

    case 1:
        c->done = true;
        break;

    default:
        good = false;
        break;
    }

    if (!good || c->empty) {
        c->state = COMPLETE_DOUBT;
        return false;
    }

    return c->depth-- == 2;
}


static bool
complete_tag(s3c_s3_complete_t *c)
{
    c->state = COMPLETE_TEXT;

    if (c->closing) {
        return complete_end(c);
    }

    complete_start(c);

    return false;
}


static void
complete_text(s3c_s3_complete_t *c, uint8_t b)
{
    if (b == '<') {
        c->state = COMPLETE_OPEN;
        return;
    }

    if (c->leaf == LEAF_OTHER) {
        return;
    }

    if (c->leaf == LEAF_NONE) {
        if (!complete_is_blank(b)) {
            c->state = COMPLETE_DOUBT;
        }
        return;
    }

    if (c->text_len == sizeof(c->text)) {
        c->state = COMPLETE_DOUBT;
        return;
    }

    c->text[c->text_len++] = b;
}


static void
complete_word(s3c_s3_complete_t *c, uint8_t b)
{
    if (c->word_len == sizeof(c->word)) {
        c->state = COMPLETE_DOUBT;
        return;
    }

    c->word[c->word_len++] = b;
}


/* The state after '<'. */
static void
complete_open(s3c_s3_complete_t *c, uint8_t b)
{
    c->word_len = 0;
    c->closing = b == '/';
    c->empty = false;
    c->state = COMPLETE_NAME;

    if (b == '?') {
        c->state = c->depth == 0 ? COMPLETE_DECL : COMPLETE_DOUBT;

    } else if (b == '!' || b == '>' || complete_is_blank(b)) {
        c->state = COMPLETE_DOUBT;

    } else if (!c->closing) {
        complete_word(c, b);
    }
}


static bool
complete_take(s3c_s3_complete_t *c, uint8_t b)
{
    switch (c->state) {

    case COMPLETE_TEXT:
        complete_text(c, b);
        return false;

    case COMPLETE_OPEN:
        complete_open(c, b);
        return false;

    case COMPLETE_DECL:
        c->state = b == '>' ? COMPLETE_TEXT : COMPLETE_DECL;
        return false;

    case COMPLETE_QUOTED:
        c->state = b == c->quote ? COMPLETE_ATTR : COMPLETE_QUOTED;
        return false;

    case COMPLETE_SLASH:
        if (b != '>') {
            c->state = COMPLETE_DOUBT;
            return false;
        }

        c->empty = true;
        return complete_tag(c);

    default: /* COMPLETE_NAME, COMPLETE_ATTR */
        if (b == '>') {
            return complete_tag(c);
        }

        if (b == '/') {
            c->state = COMPLETE_SLASH;

        } else if (b == '<') {
            c->state = COMPLETE_DOUBT;

        } else if (c->state == COMPLETE_ATTR && (b == '"' || b == '\'')) {
            c->quote = b;
            c->state = COMPLETE_QUOTED;

        } else if (complete_is_blank(b)) {
            c->state = COMPLETE_ATTR;

        } else if (c->state == COMPLETE_NAME) {
            complete_word(c, b);
        }
        return false;
    }
}


s3c_status_t
s3c_s3_complete_step(s3c_s3_complete_t *c, s3c_slice_t in,
    s3c_s3_part_t *part, size_t *used)
{
    for (*used = 0; *used < in.len && c->state != COMPLETE_DOUBT; /* void */) {
        if (complete_take(c, in.data[(*used)++])) {
            *part = c->part;
            return S3C_EXISTS;
        }
    }

    return c->state == COMPLETE_DOUBT ? S3C_INVALID : S3C_AGAIN;
}
