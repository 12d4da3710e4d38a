/* SPDX-License-Identifier: Apache-2.0
 *
 * RFC 4180, of which a line break within quotes is not taken: keys are coded.
 */
#include "ctl/ctl_inventory.h"

#include "ctl/ctl_target.h"
#include "s3/s3_uri.h"


/* The next field, without its quotes; it may hold none within. */
static s3c_status_t
inventory_field(s3c_slice_t *line, s3c_slice_t *field)
{
    size_t   skip = 0, n;
    uint8_t  end = ',';

    if (line->len > 0 && line->data[0] == '"') {
        skip = 1;
        end = '"';
    }

    for (n = skip; n < line->len && line->data[n] != end; n++) {
        if (line->data[n] == '"') {
            return S3C_INVALID;
        }
    }

    *field = s3c_slice(line->data + skip, n - skip);

    if (skip == 1) {
        if (n == line->len) {
            return S3C_INVALID;
        }

        n++;
    }

    if (n < line->len && line->data[n] != ',') {
        return S3C_INVALID;
    }

    n += n < line->len;
    line->data += n;
    line->len -= n;

    return S3C_OK;
}


s3c_status_t
ctl_inventory_line(s3c_slice_t line, s3c_writer_t *w)
{
    uint8_t       key[CTL_KEY_MAX];
    s3c_slice_t   bucket, coded;
    s3c_writer_t  decoded;

    if (line.len > 0 && line.data[line.len - 1] == '\r') {
        line.len--;
    }

    if (line.len == 0) {
        return S3C_MISS;
    }

    if (inventory_field(&line, &bucket) != S3C_OK
        || inventory_field(&line, &coded) != S3C_OK
        || bucket.len == 0 || bucket.len > CTL_BUCKET_MAX)
    {
        return S3C_INVALID;
    }

    for (size_t i = 0; i < bucket.len; i++) {
        if (bucket.data[i] <= ' ' || bucket.data[i] >= 0x7f
            || bucket.data[i] == '/' || bucket.data[i] == '%'
            || bucket.data[i] == '#')
        {
            return S3C_INVALID;
        }
    }

    s3c_writer_init(&decoded, key, sizeof(key));

    if (s3c_uri_decode(&decoded, coded, true) != S3C_OK
        || !s3c_writer_ok(&decoded) || decoded.pos == decoded.start)
    {
        return S3C_INVALID;
    }

    s3c_write_slice(w, bucket);
    s3c_write_byte(w, '/');
    s3c_uri_encode(w, s3c_writer_slice(&decoded), true);
    s3c_write_byte(w, '\n');

    return s3c_writer_ok(w) ? S3C_OK : S3C_INVALID;
}
