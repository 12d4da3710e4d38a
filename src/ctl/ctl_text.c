/* SPDX-License-Identifier: Apache-2.0
 *
 * Foreign text, character by character.
 */
#define _GNU_SOURCE
#include "ctl/ctl_text.h"

#include <wchar.h>

static bool  text_utf8;

/* of characters that no name needs and that deceive who reads it */
static const struct {
    uint32_t  first, last;
} text_hidden[] = {
    { 0x0000, 0x001f },
    { 0x007f, 0x009f },                /* C1: some terminals act upon them */
    { 0x00ad, 0x00ad },
    { 0x061c, 0x061c },
    { 0x115f, 0x1160 },
    { 0x180e, 0x180e },
    { 0x200b, 0x200f },                /* of no width; directions */
    { 0x2028, 0x202e },
    { 0x2060, 0x206f },
    { 0x3164, 0x3164 },
    { 0xd800, 0xdfff },
    { 0xe000, 0xf8ff },                /* private: icons of fonts */
    { 0xfe00, 0xfe0f },
    { 0xfeff, 0xfeff },
    { 0xfff0, 0xffff },
    { 0xe0000, 0x10ffff }
};


void
ctl_text_utf8(bool may)
{
    text_utf8 = may;
}


static bool
text_is_hidden(uint32_t c)
{
    for (size_t i = 0; i < sizeof(text_hidden) / sizeof(text_hidden[0]); i++) {
        if (c >= text_hidden[i].first && c <= text_hidden[i].last) {
            return true;
        }
    }

    return false;
}


/* How many bytes of UTF-8 (RFC 3629) are a character that may be shown; 0:
 * none is. */
static size_t
text_char(s3c_slice_t text)
{
    size_t    n;
    uint8_t   c = text.data[0];
    uint32_t  code, least;

    if (c < 0x80) {
        return text_is_hidden(c) ? 0 : 1;
    }

    if (c >= 0xc2 && c <= 0xdf) {
        n = 2, code = c & 0x1f, least = 0x80;

    } else if (c >= 0xe0 && c <= 0xef) {
        n = 3, code = c & 0x0f, least = 0x800;

    } else if (c >= 0xf0 && c <= 0xf4) {
        n = 4, code = c & 0x07, least = 0x10000;

    } else {
        return 0;
    }

    if (!text_utf8 || text.len < n) {
        return 0;
    }

    for (size_t i = 1; i < n; i++) {
        if ((text.data[i] & 0xc0) != 0x80) {
            return 0;
        }

        code = code << 6 | (text.data[i] & 0x3f);
    }

    return code < least || code > 0x10ffff || text_is_hidden(code) ? 0 : n;
}


size_t
ctl_text_next(s3c_slice_t *text, char out[CTL_TEXT_CHAR_MAX])
{
    size_t             n = text_char(*text), used = n;
    static const char  digits[] = "0123456789abcdef";

    if (n == 0) {
        out[0] = '\\';
        out[1] = 'x';
        out[2] = digits[text->data[0] >> 4];
        out[3] = digits[text->data[0] & 15];
        used = 1;
        n = 4;

    } else {
        memcpy(out, text->data, n);

        if (out[0] == '\\') {
            out[n++] = '\\';
        }
    }

    text->data += used;
    text->len -= used;

    return n;
}


void
ctl_text_put(FILE *out, s3c_slice_t text)
{
    char  shown[CTL_TEXT_CHAR_MAX];

    while (text.len > 0) {
        size_t  n = ctl_text_next(&text, shown);

        (void) fwrite(shown, 1, n, out);
    }
}


/* One character: its bytes, and *columns. */
static size_t
text_step(const char *shown, unsigned *columns)
{
    int        width;
    size_t     n;
    wchar_t    c;
    mbstate_t  state;

    *columns = 1;

    if (!((unsigned char) shown[0] & 0x80)) {
        return 1;
    }

    memset(&state, 0, sizeof(state));
    n = mbrtowc(&c, shown, strlen(shown), &state);

    if (n == (size_t) -1 || n == (size_t) -2 || n == 0) {
        return 1;
    }

    width = wcwidth(c);
    *columns = width < 0 ? 1 : (unsigned) width;

    return n;
}


unsigned
ctl_text_width(const char *shown)
{
    unsigned  width = 0, columns;

    while (*shown != '\0') {
        shown += text_step(shown, &columns);
        width += columns;
    }

    return width;
}


size_t
ctl_text_fit(const char *shown, unsigned columns)
{
    unsigned     width = 0, more;
    const char  *p = shown;

    while (*p != '\0') {
        size_t  n = text_step(p, &more);

        if (width + more > columns) {
            break;
        }

        width += more;
        p += n;
    }

    return (size_t) (p - shown);
}
