/* SPDX-License-Identifier: Apache-2.0
 *
 * What a metadata service answers: one object with AccessKeyId,
 * SecretAccessKey, Token and Expiration; that of an instance also has a Code.
 * Members that are not known are skipped, but none that matters may come
 * twice, be null or be anything but a string. Keys without an end are not
 * what such a service is for: they are refused, for nobody would ever ask for
 * the next ones.
 */
#include "auth/origin_keys.h"

#include "base/digest.h"
#include "s3/s3_json.h"

enum {
    KEYS_ACCESS = 0,
    KEYS_SECRET,
    KEYS_TOKEN,
    KEYS_EXPIRATION,
    KEYS_CODE,
    KEYS_N
};

static const s3c_slice_t  keys_names[KEYS_N] = {
    [KEYS_ACCESS] = S3C_SLICE("AccessKeyId"),
    [KEYS_SECRET] = S3C_SLICE("SecretAccessKey"),
    [KEYS_TOKEN] = S3C_SLICE("Token"),
    [KEYS_EXPIRATION] = S3C_SLICE("Expiration"),
    [KEYS_CODE] = S3C_SLICE("Code"),
};


/* A string that matters: it is unescaped where it stands. */
static s3c_status_t
keys_take(s3c_s3_json_t *j, uint8_t *text, const s3c_json_token_t *t,
    s3c_slice_t *value)
{
    uint8_t       *start;
    s3c_writer_t   w;

    if (t->kind != S3C_JSON_STRING || value->data != NULL) {
        return S3C_INVALID;
    }

    start = text + (t->text.data - j->text.data);
    s3c_writer_init(&w, start, t->text.len);

    if (s3c_s3_json_unescape(&w, t->text) != S3C_OK || !s3c_writer_ok(&w)) {
        return S3C_INVALID;
    }

    *value = s3c_writer_slice(&w);

    return S3C_OK;
}


static s3c_status_t
keys_member(s3c_s3_json_t *j, uint8_t *text, s3c_slice_t name,
    s3c_slice_t values[KEYS_N])
{
    s3c_json_token_t  t;

    if (s3c_s3_json_next(j, &t) != S3C_OK) {
        return S3C_INVALID;
    }

    for (unsigned i = 0; i < KEYS_N; i++) {
        if (s3c_slice_eq(name, keys_names[i])) {
            return keys_take(j, text, &t, &values[i]);
        }
    }

    return s3c_s3_json_skip(j, &t);
}


static s3c_status_t
keys_read(uint8_t *text, size_t len, s3c_slice_t values[KEYS_N])
{
    s3c_s3_json_t     j;
    s3c_json_token_t  t;

    s3c_s3_json_init(&j, s3c_slice(text, len));

    if (s3c_s3_json_next(&j, &t) != S3C_OK || t.kind != S3C_JSON_OBJECT) {
        return S3C_INVALID;
    }

    for ( ;; ) {
        if (s3c_s3_json_next(&j, &t) != S3C_OK) {
            return S3C_INVALID;
        }

        if (t.kind == S3C_JSON_OBJECT_END) {
            break;
        }

        if (keys_member(&j, text, t.text, values) != S3C_OK) {
            return S3C_INVALID;
        }
    }

    return s3c_s3_json_next(&j, &t) == S3C_OK && t.kind == S3C_JSON_END
           ? S3C_OK : S3C_INVALID;
}


s3c_status_t
s3c_origin_keys_parse_json(uint8_t *text, size_t len, s3c_origin_keys_t *keys)
{
    int64_t      expires;
    s3c_slice_t  values[KEYS_N] = { { NULL, 0 } };

    s3c_digest_wipe(keys, sizeof(*keys));

    if (keys_read(text, len, values) != S3C_OK) {
        return S3C_INVALID;
    }

    if (values[KEYS_CODE].data != NULL
        && !s3c_slice_eq(values[KEYS_CODE], S3C_SLICE("Success")))
    {
        return S3C_DENIED;
    }

    if (s3c_origin_keys_time(values[KEYS_EXPIRATION], &expires) != S3C_OK) {
        return S3C_INVALID;
    }

    return s3c_origin_keys_set(keys, values[KEYS_ACCESS], values[KEYS_SECRET],
                               values[KEYS_TOKEN], expires);
}
