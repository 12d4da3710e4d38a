/* SPDX-License-Identifier: Apache-2.0
 *
 * What an STS answers AssumeRoleWithWebIdentity with:
 *
 *     <AssumeRoleWithWebIdentityResponse xmlns="...">
 *       <AssumeRoleWithWebIdentityResult>
 *         <Credentials>
 *           <AccessKeyId/> <SecretAccessKey/> <SessionToken/> <Expiration/>
 *
 * The part of XML that such answers are written in: a declaration, elements
 * with attributes, text, the five named entities and references to ASCII. A
 * comment, CDATA, a DOCTYPE, an element that is not closed, one that matters
 * given twice: INVALID. Only what stands at that very place counts.
 *
 * LIMITS: STS_DEPTH_MAX elements deep.
 */
#include "auth/origin_keys.h"

#include "base/digest.h"
#include "base/writer.h"

#define STS_DEPTH_MAX  8

enum {
    STS_ACCESS = 0,
    STS_SECRET,
    STS_TOKEN,
    STS_EXPIRATION,
    STS_N
};

static const s3c_slice_t  sts_names[STS_N] = {
    [STS_ACCESS] = S3C_SLICE("AccessKeyId"),
    [STS_SECRET] = S3C_SLICE("SecretAccessKey"),
    [STS_TOKEN] = S3C_SLICE("SessionToken"),
    [STS_EXPIRATION] = S3C_SLICE("Expiration"),
};

static const s3c_slice_t  sts_path[] = {
    S3C_SLICE("AssumeRoleWithWebIdentityResponse"),
    S3C_SLICE("AssumeRoleWithWebIdentityResult"),
    S3C_SLICE("Credentials"),
};

#define STS_PATH  (sizeof(sts_path) / sizeof(sts_path[0]))

typedef struct {
    uint8_t      *text;
    size_t        len;
    size_t        pos;
    s3c_slice_t   path[STS_DEPTH_MAX];
    unsigned      depth;
    int           leaf;              /* which value is open, or -1 */
    size_t        start;             /* of its text */
    s3c_slice_t   values[STS_N];
} sts_t;

typedef struct {
    s3c_slice_t  name;
    bool         closing;
    bool         empty;
} sts_tag_t;


static bool
sts_is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}


static bool
sts_is_name(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'
           || c == ':';
}


/* The declaration, if there is one. */
static s3c_status_t
sts_declaration(sts_t *s)
{
    while (s->pos < s->len && sts_is_blank(s->text[s->pos])) {
        s->pos++;
    }

    if (s->len - s->pos < 2 || s->text[s->pos] != '<'
        || s->text[s->pos + 1] != '?')
    {
        return S3C_OK;
    }

    for (s->pos += 2; s->pos + 1 < s->len; s->pos++) {
        if (s->text[s->pos] == '?' && s->text[s->pos + 1] == '>') {
            s->pos += 2;
            return S3C_OK;
        }

        if (s->text[s->pos] == '<') {
            break;
        }
    }

    return S3C_INVALID;
}


/* s->pos is behind a name: over attributes, to behind the '>'. */
static s3c_status_t
sts_attributes(sts_t *s, sts_tag_t *tag)
{
    uint8_t  c, quote = 0;

    for ( /* void */ ; s->pos < s->len; s->pos++) {
        c = s->text[s->pos];

        if (quote != 0) {
            quote = c == quote ? 0 : quote;

        } else if (c == '"' || c == '\'') {
            quote = c;

        } else if (c == '<') {
            return S3C_INVALID;

        } else if (c == '>') {
            tag->empty = s->text[s->pos - 1] == '/';
            s->pos++;
            return tag->closing && tag->empty ? S3C_INVALID : S3C_OK;
        }
    }

    return S3C_INVALID;
}


/* s->pos is behind a '<'. */
static s3c_status_t
sts_tag(sts_t *s, sts_tag_t *tag)
{
    size_t  start;

    *tag = (sts_tag_t) { .closing = s->pos < s->len
                                    && s->text[s->pos] == '/' };

    s->pos += tag->closing ? 1 : 0;
    start = s->pos;

    while (s->pos < s->len && sts_is_name(s->text[s->pos])) {
        s->pos++;
    }

    tag->name = s3c_slice(s->text + start, s->pos - start);

    if (tag->name.len == 0 || s->pos == s->len
        || (!sts_is_blank(s->text[s->pos]) && s->text[s->pos] != '/'
            && s->text[s->pos] != '>'))
    {
        return S3C_INVALID;
    }

    return sts_attributes(s, tag);
}


/* "#43", "#x2b", "amp"; 0: none that may stand here. */
static uint8_t
sts_entity(s3c_slice_t word)
{
    static const struct {
        s3c_slice_t  name;
        uint8_t      c;
    } entities[] = {
        { S3C_SLICE("amp"), '&' }, { S3C_SLICE("lt"), '<' },
        { S3C_SLICE("gt"), '>' }, { S3C_SLICE("quot"), '"' },
        { S3C_SLICE("apos"), '\'' },
    };

    size_t    i = 1;
    unsigned  base = 10, v = 0, d;

    for (size_t k = 0; k < sizeof(entities) / sizeof(entities[0]); k++) {
        if (s3c_slice_eq(word, entities[k].name)) {
            return entities[k].c;
        }
    }

    if (word.len < 2 || word.data[0] != '#') {
        return 0;
    }

    if (word.data[1] == 'x') {
        base = 16;
        i = 2;
    }

    for ( /* void */ ; i < word.len; i++) {
        uint8_t  c = word.data[i];

        d = c >= '0' && c <= '9' ? c - (unsigned) '0'
            : c >= 'a' && c <= 'f' ? c - 'a' + 10u
            : c >= 'A' && c <= 'F' ? c - 'A' + 10u : 99;

        if (d >= base || v > 0x7f) {
            return 0;
        }

        v = v * base + d;
    }

    return v < 0x80 ? (uint8_t) v : 0;
}


/* The text of a value, up to `end`: unescaped where it stands, and without
 * the blanks around it. */
static s3c_status_t
sts_value(sts_t *s, size_t end, s3c_slice_t *out)
{
    size_t         i = s->start, n;
    uint8_t        c;
    s3c_writer_t   w;
    const uint8_t *semicolon;

    while (i < end && sts_is_blank(s->text[i])) {
        i++;
    }

    while (end > i && sts_is_blank(s->text[end - 1])) {
        end--;
    }

    s3c_writer_init(&w, s->text + i, end - i);

    for ( /* void */ ; i < end; i += n) {
        n = 1;
        c = s->text[i];

        if (c == '&') {
            semicolon = memchr(s->text + i, ';', end - i);

            if (semicolon == NULL) {
                return S3C_INVALID;
            }

            n = (size_t) (semicolon - (s->text + i)) + 1;
            c = sts_entity(s3c_slice(s->text + i + 1, n - 2));

            if (c == 0) {
                return S3C_INVALID;
            }
        }

        s3c_write_byte(&w, c);
    }

    *out = s3c_writer_slice(&w);

    return S3C_OK;
}


static s3c_status_t
sts_open(sts_t *s, const sts_tag_t *tag)
{
    unsigned  i;

    /* an element within a value */
    if (s->leaf >= 0 || s->depth == STS_DEPTH_MAX) {
        return S3C_INVALID;
    }

    if (s->depth == 0 && !s3c_slice_eq(tag->name, sts_path[0])) {
        return S3C_INVALID;
    }

    if (tag->empty) {
        return s->depth > 0 ? S3C_OK : S3C_INVALID;
    }

    s->path[s->depth++] = tag->name;

    if (s->depth != STS_PATH + 1) {
        return S3C_OK;
    }

    for (i = 0; i < STS_PATH; i++) {
        if (!s3c_slice_eq(s->path[i], sts_path[i])) {
            return S3C_OK;
        }
    }

    for (i = 0; i < STS_N; i++) {
        if (s3c_slice_eq(tag->name, sts_names[i])) {
            s->leaf = (int) i;
            s->start = s->pos;
            return s->values[i].data == NULL ? S3C_OK : S3C_INVALID;
        }
    }

    return S3C_OK;
}


/* `end`: of the text before it. */
static s3c_status_t
sts_close(sts_t *s, const sts_tag_t *tag, size_t end)
{
    if (s->depth == 0 || !s3c_slice_eq(tag->name, s->path[s->depth - 1])) {
        return S3C_INVALID;
    }

    s->depth--;

    if (s->leaf >= 0) {
        if (sts_value(s, end, &s->values[s->leaf]) != S3C_OK) {
            return S3C_INVALID;
        }

        s->leaf = -1;
    }

    return S3C_OK;
}


static s3c_status_t
sts_read(sts_t *s)
{
    bool       begun = false;
    size_t     end;
    sts_tag_t  tag;

    if (sts_declaration(s) != S3C_OK) {
        return S3C_INVALID;
    }

    while (s->pos < s->len) {

        if (s->text[s->pos] != '<') {
            /* text beside the root */
            if (s->depth == 0 && !sts_is_blank(s->text[s->pos])) {
                return S3C_INVALID;
            }

            s->pos++;
            continue;
        }

        end = s->pos++;

        if ((begun && s->depth == 0) || sts_tag(s, &tag) != S3C_OK) {
            return S3C_INVALID;
        }

        begun = true;

        if ((tag.closing ? sts_close(s, &tag, end) : sts_open(s, &tag))
            != S3C_OK)
        {
            return S3C_INVALID;
        }
    }

    return begun && s->depth == 0 ? S3C_OK : S3C_INVALID;
}


s3c_status_t
s3c_origin_keys_parse_sts(uint8_t *text, size_t len, s3c_origin_keys_t *keys)
{
    sts_t    s = { .text = text, .len = len, .leaf = -1 };
    int64_t  expires;

    s3c_digest_wipe(keys, sizeof(*keys));

    if (sts_read(&s) != S3C_OK
        || s3c_origin_keys_time(s.values[STS_EXPIRATION], &expires) != S3C_OK)
    {
        return S3C_INVALID;
    }

    return s3c_origin_keys_set(keys, s.values[STS_ACCESS],
                               s.values[STS_SECRET], s.values[STS_TOKEN],
                               expires);
}
