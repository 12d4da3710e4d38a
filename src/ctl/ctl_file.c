/* SPDX-License-Identifier: Apache-2.0
 *
 * Line by line.
 */
#include "ctl/ctl_file.h"


static s3c_slice_t
file_line(s3c_slice_t *rest)
{
    s3c_slice_t     line = *rest;
    const uint8_t  *end = memchr(rest->data, '\n', rest->len);

    if (end == NULL) {
        *rest = S3C_SLICE_NONE;
        return line;
    }

    line.len = (size_t) (end - rest->data);
    rest->data += line.len + 1;
    rest->len -= line.len + 1;

    if (line.len > 0 && line.data[line.len - 1] == '\r') {
        line.len--;
    }

    return line;
}


static bool
file_is_plain(s3c_slice_t text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((text.data[i] < ' ' && text.data[i] != '\t')
            || text.data[i] == 0x7f)
        {
            return false;
        }
    }

    return true;
}


s3c_status_t
ctl_file_next(s3c_slice_t *rest, unsigned *line, s3c_slice_t *name,
    s3c_slice_t *value)
{
    while (rest->len > 0) {
        s3c_slice_t     text = s3c_slice_trim(file_line(rest));
        const uint8_t  *mark;

        (*line)++;

        if (text.len == 0 || text.data[0] == '#') {
            continue;
        }

        mark = memchr(text.data, '=', text.len);

        if (mark == NULL || !file_is_plain(text)) {
            return S3C_INVALID;
        }

        *name = s3c_slice_trim(s3c_slice(text.data,
                                         (size_t) (mark - text.data)));
        *value = s3c_slice_trim(s3c_slice(mark + 1,
                                          (size_t) (text.data + text.len
                                                    - mark - 1)));

        return name->len > 0 && value->len > 0 ? S3C_OK : S3C_INVALID;
    }

    return S3C_MISS;
}
