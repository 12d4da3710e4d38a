/* SPDX-License-Identifier: Apache-2.0
 */
#include "ctl/ctl_json.h"

#include <stdlib.h>

#define JSON_NAME_MAX  64


s3c_status_t
ctl_json_parse(json_t **json, s3c_slice_t text)
{
    json_error_t  error;

    *json = text.len > 0
            ? json_loadb((const char *) text.data, text.len,
                         JSON_REJECT_DUPLICATES, &error)
            : NULL;

    if (*json != NULL && !json_is_object(*json)) {
        json_decref(*json);
        *json = NULL;
    }

    return *json != NULL ? S3C_OK : S3C_INVALID;
}


const json_t *
ctl_json_at(const json_t *json, const char *path)
{
    char  name[JSON_NAME_MAX];

    while (json != NULL && *path != '\0') {
        size_t  n = strcspn(path, ".");

        if (n >= sizeof(name)) {
            return NULL;
        }

        memcpy(name, path, n);
        name[n] = '\0';
        json = json_object_get(json, name);
        path += n + (path[n] == '.');
    }

    return json;
}


uint64_t
ctl_json_u64(const json_t *json, const char *path)
{
    const json_t  *v = ctl_json_at(json, path);
    json_int_t     n = json_is_integer(v) ? json_integer_value(v) : 0;

    return n > 0 ? (uint64_t) n : 0;
}


double
ctl_json_real(const json_t *json, const char *path, double none)
{
    const json_t  *v = ctl_json_at(json, path);

    return json_is_number(v) ? json_number_value(v) : none;
}


bool
ctl_json_is(const json_t *json, const char *path)
{
    return json_is_true(ctl_json_at(json, path));
}


s3c_slice_t
ctl_json_text(const json_t *json, const char *path)
{
    const json_t  *v = ctl_json_at(json, path);

    return json_is_string(v)
           ? s3c_slice(json_string_value(v), json_string_length(v))
           : S3C_SLICE_NONE;
}


bool
ctl_json_says(const json_t *json, const char *path, const char *word)
{
    return s3c_slice_eq(ctl_json_text(json, path),
                        s3c_slice(word, strlen(word)));
}


/* JSON has one control character that it lets stand: DEL. */
void
ctl_json_print(FILE *out, const json_t *json)
{
    char  *text = json_dumps(json, JSON_ENSURE_ASCII | JSON_COMPACT
                                   | JSON_ENCODE_ANY);

    for (const char *p = text; p != NULL && *p != '\0'; p++) {
        if (*p == 0x7f) {
            (void) fputs("\\u007f", out);

        } else {
            (void) fputc(*p, out);
        }
    }

    (void) fputc('\n', out);
    free(text);
}
