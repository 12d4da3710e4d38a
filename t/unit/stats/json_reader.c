/* SPDX-License-Identifier: Apache-2.0
 *
 * See json_reader.h.
 */
#include "json_reader.h"

#include <stdio.h>

#define DEPTH_MAX   8


static bool read_value(json_reader_t *r, const char *path);


static bool
read_char(json_reader_t *r, uint8_t c)
{
    if (r->pos == r->end || *r->pos != c) {
        return false;
    }

    r->pos++;

    return true;
}


static bool
read_string(json_reader_t *r)
{
    if (!read_char(r, '"')) {
        return false;
    }

    while (r->pos < r->end && *r->pos != '"') {
        s3c_slice_t  rest = s3c_slice(r->pos, (size_t) (r->end - r->pos));

        if (*r->pos < 0x20) {
            return false;
        }

        if (s3c_stats_text_next(&rest).data != r->pos) {
            return false;                              /* no UTF-8 */
        }

        if (*r->pos != '\\') {
            r->pos = rest.data;
            continue;
        }

        r->pos++;

        if (r->pos == r->end || strchr("\"\\/bfnrtu", *r->pos) == NULL) {
            return false;
        }

        if (*r->pos++ == 'u') {
            for (int i = 0; i < 4; i++, r->pos++) {
                if (r->pos == r->end || *r->pos == '\0'
                    || strchr("0123456789abcdefABCDEF", *r->pos) == NULL)
                {
                    return false;
                }
            }
        }
    }

    return read_char(r, '"');
}


static bool
read_digits(json_reader_t *r)
{
    const uint8_t  *start = r->pos;

    while (r->pos < r->end && *r->pos >= '0' && *r->pos <= '9') {
        r->pos++;
    }

    return r->pos > start;
}


static bool
read_number(json_reader_t *r)
{
    if (read_char(r, '0')) {
        if (r->pos < r->end && *r->pos >= '0' && *r->pos <= '9') {
            return false;
        }

    } else if (!read_digits(r)) {
        return false;
    }

    return !read_char(r, '.') || read_digits(r);
}


static bool
read_leaf(json_reader_t *r, const char *path)
{
    bool            ok;
    json_leaf_t         *leaf;
    const uint8_t  *start = r->pos;

    if (r->n == JSON_LEAVES_MAX) {
        return false;
    }

    if (r->end - r->pos >= 4 && memcmp(r->pos, "null", 4) == 0) {
        r->pos += 4;
        ok = true;

    } else if (r->end - r->pos >= 5 && (memcmp(r->pos, "true", 4) == 0
                                        || memcmp(r->pos, "false", 5) == 0))
    {
        r->pos += *r->pos == 't' ? 4 : 5;
        ok = true;

    } else {
        ok = *r->pos == '"' ? read_string(r) : read_number(r);
    }

    for (size_t i = 0; i < r->n; i++) {
        ok = ok && strcmp(r->leaf[i].path, path) != 0;     /* key twice */
    }

    leaf = &r->leaf[r->n++];
    snprintf(leaf->path, sizeof(leaf->path), "%s", path);
    leaf->value = s3c_slice(start, (size_t) (r->pos - start));

    return ok;
}


static bool
read_members(json_reader_t *r, const char *path, bool object)
{
    char     child[256], key[128];
    uint8_t  close = object ? '}' : ']';

    if (read_char(r, close)) {
        return true;
    }

    for (int i = 0; ; i++) {
        const uint8_t  *start = r->pos;

        if (object) {
            if (!read_string(r)) {
                return false;
            }

            snprintf(key, sizeof(key), "%.*s", (int) (r->pos - start) - 2,
                     (const char *) start + 1);

            if (!read_char(r, ':')) {
                return false;
            }

        } else {
            snprintf(key, sizeof(key), "%d", i);
        }

        snprintf(child, sizeof(child), "%s%s%s", path, *path ? "." : "", key);

        if (!read_value(r, child)) {
            return false;
        }

        if (read_char(r, close)) {
            return true;
        }

        if (!read_char(r, ',')) {
            return false;
        }
    }
}


static bool
read_value(json_reader_t *r, const char *path)
{
    bool  ok, object;

    if (r->pos == r->end || r->depth == DEPTH_MAX) {
        return false;
    }

    if (*r->pos != '{' && *r->pos != '[') {
        return read_leaf(r, path);
    }

    object = *r->pos++ == '{';
    r->depth++;
    ok = read_members(r, path, object);
    r->depth--;

    return ok;
}


bool
json_read(json_reader_t *r, s3c_slice_t text)
{
    r->pos = text.data;
    r->end = text.data + text.len;
    r->n = 0;
    r->depth = 0;

    return read_value(r, "") && read_char(r, '\n') && r->pos == r->end;
}
