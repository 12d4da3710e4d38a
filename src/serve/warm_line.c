/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of lists.
 */
#include "serve/warm_line.h"

#include "s3/s3_uri.h"

#define KEY_MAX  1024u


static s3c_slice_t
cut(s3c_slice_t *rest, uint8_t end)
{
    s3c_slice_t     word = *rest;
    const uint8_t  *p = rest->len > 0 ? memchr(rest->data, end, rest->len)
                                      : NULL;

    if (p == NULL) {
        rest->data += rest->len;
        rest->len = 0;

    } else {
        word.len = (size_t) (p - rest->data);
        rest->data += word.len + 1;
        rest->len -= word.len + 1;
    }

    return word;
}


/* Into the buffer behind what is there. */
static bool
decode(uint8_t **pos, size_t max, s3c_slice_t coded, s3c_slice_t *out)
{
    s3c_writer_t  w;

    s3c_writer_init(&w, *pos, max);

    if (s3c_uri_decode(&w, coded, false) != S3C_OK || !s3c_writer_ok(&w)) {
        return false;
    }

    *out = s3c_writer_slice(&w);
    *pos = w.pos;

    return out->len > 0;
}


static bool
number(s3c_slice_t text, uint64_t *n)
{
    uint64_t  v = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9'
            || v > (INT64_MAX - 9) / 10)
        {
            return false;
        }

        v = v * 10 + (uint64_t) (text.data[i] - '0');
    }

    *n = v;

    return text.len > 0;
}


static bool
range(s3c_warm_line_t *line, s3c_slice_t text)
{
    s3c_slice_t  first = cut(&text, '-');

    return number(first, &line->first) && number(text, &line->last)
           && line->first <= line->last;
}


bool
s3c_warm_bucket_is_name(s3c_slice_t bucket)
{
    return bucket.len > 0 && memchr(bucket.data, '/', bucket.len) == NULL
           && !s3c_slice_eq(bucket, S3C_SLICE("."))
           && !s3c_slice_eq(bucket, S3C_SLICE(".."));
}


s3c_status_t
s3c_warm_line_parse(s3c_warm_line_t *line, s3c_slice_t text)
{
    bool         ranged = false;
    uint8_t     *pos = line->buf;
    s3c_slice_t  name, bucket, word;

    if (text.len > 0 && text.data[text.len - 1] == '\r') {
        text.len--;
    }

    if (text.len == 0 || text.data[0] == '#') {
        return S3C_MISS;
    }

    line->version = S3C_SLICE_NONE;
    line->first = 0;
    line->last = UINT64_MAX;

    name = cut(&text, '\t');
    bucket = cut(&name, '/');

    if (!decode(&pos, S3C_WARM_BUCKET_MAX, bucket, &line->bucket)
        || !decode(&pos, KEY_MAX, name, &line->key)
        || !s3c_warm_bucket_is_name(line->bucket))
    {
        return S3C_INVALID;
    }

    while (text.len > 0) {
        word = cut(&text, '\t');

        if (word.len > 10 && memcmp(word.data, "versionId=", 10) == 0) {

            if (line->version.len > 0
                || !decode(&pos, S3C_WARM_VERSION_MAX,
                           s3c_slice(word.data + 10, word.len - 10),
                           &line->version))
            {
                return S3C_INVALID;
            }

        } else if (ranged || !range(line, word)) {
            return S3C_INVALID;

        } else {
            ranged = true;
        }
    }

    return S3C_OK;
}


void
s3c_warm_line_print(s3c_writer_t *w, s3c_slice_t bucket, s3c_slice_t key,
    s3c_slice_t version, uint64_t first, uint64_t last)
{
    s3c_uri_encode(w, bucket, false);
    s3c_write_byte(w, '/');
    s3c_uri_encode(w, key, true);

    if (first != 0 || last != UINT64_MAX) {
        s3c_write_byte(w, '\t');
        s3c_write_u64(w, first);
        s3c_write_byte(w, '-');
        s3c_write_u64(w, last);
    }

    if (version.len > 0) {
        s3c_write_lit(w, "\tversionId=");
        s3c_uri_encode(w, version, false);
    }

    s3c_write_byte(w, '\n');
}
