/* SPDX-License-Identifier: Apache-2.0
 *
 * Percent coding, both ways. Nothing else happens to the bytes.
 */
#include "s3/s3_uri.h"

#include "http/http_text.h"


s3c_status_t
s3c_uri_decode(s3c_writer_t *w, s3c_slice_t text, bool plus_is_space)
{
    if (text.len == 0) {
        return S3C_OK;
    }

    /* nearly no key holds an escape: then it is one copy */
    if (memchr(text.data, '%', text.len) == NULL
        && (!plus_is_space || memchr(text.data, '+', text.len) == NULL))
    {
        s3c_write_slice(w, text);
        return S3C_OK;
    }

    for (size_t i = 0; i < text.len; i++) {
        uint8_t  c = text.data[i];

        if (c == '%') {
            int  high, low;

            if (text.len - i < 3) {
                return S3C_INVALID;
            }

            high = s3c_http_hex(text.data[i + 1]);
            low = s3c_http_hex(text.data[i + 2]);

            if (high < 0 || low < 0) {
                return S3C_INVALID;
            }

            c = (uint8_t) (high << 4 | low);
            i += 2;

        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }

        s3c_write_byte(w, c);
    }

    return S3C_OK;
}


static bool
uri_is_unreserved(uint8_t c)
{
    static const bool  unreserved[256] = {
        ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true,
        ['-'] = true, ['_'] = true, ['.'] = true, ['~'] = true,
    };

    return unreserved[c];
}


void
s3c_uri_encode(s3c_writer_t *w, s3c_slice_t bytes, bool keep_slash)
{
    static const char  digits[] = "0123456789ABCDEF";
    size_t             plain = 0;            /* where those before i begin */

    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t  c = bytes.data[i], escape[3];

        if (uri_is_unreserved(c) || (c == '/' && keep_slash)) {
            continue;
        }

        escape[0] = '%';
        escape[1] = (uint8_t) digits[c >> 4];
        escape[2] = (uint8_t) digits[c & 15];
        s3c_write_bytes(w, bytes.data + plain, i - plain);
        s3c_write_bytes(w, escape, 3);
        plain = i + 1;
    }

    if (bytes.len > plain) {
        s3c_write_bytes(w, bytes.data + plain, bytes.len - plain);
    }
}


bool
s3c_uri_is_encoded(s3c_slice_t text, bool keep_slash)
{
    for (size_t i = 0; i < text.len; i++) {
        bool     escaped = text.data[i] == '%';
        uint8_t  c = text.data[i];

        if (escaped) {
            int  high, low;

            if (text.len - i < 3) {
                return false;
            }

            high = s3c_http_hex(text.data[i + 1]);
            low = s3c_http_hex(text.data[i + 2]);

            if (high < 0 || low < 0 || text.data[i + 1] >= 'a'
                || text.data[i + 2] >= 'a')
            {
                return false;
            }

            c = (uint8_t) (high << 4 | low);
            i += 2;
        }

        if (escaped == (uri_is_unreserved(c) || (c == '/' && keep_slash))) {
            return false;
        }
    }

    return true;
}
