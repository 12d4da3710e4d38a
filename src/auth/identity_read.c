/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON as a configuration is read: a member that is not known or is given twice
 * is an error, for a misspelt "deny" must not vanish.
 */
#include "auth/identity_parse.h"


s3c_status_t
s3c_identity_fail_at(s3c_identity_parse_t *p, size_t pos, const char *message)
{
    p->error->line = 1;
    p->error->message = message;

    for (size_t i = 0; i < pos; i++) {
        p->error->line += p->json.text.data[i] == '\n';
    }

    return S3C_INVALID;
}


s3c_status_t
s3c_identity_fail(s3c_identity_parse_t *p, const char *message)
{
    size_t  pos = p->json.pos;

    if (p->token.text.data != NULL) {
        pos = (size_t) (p->token.text.data - p->json.text.data);
    }

    return s3c_identity_fail_at(p, pos, message);
}


s3c_status_t
s3c_identity_next(s3c_identity_parse_t *p)
{
    return s3c_s3_json_next(&p->json, &p->token) == S3C_OK
           ? S3C_OK : s3c_identity_fail_at(p, p->json.pos, "this is not JSON");
}


/* Names and words are compared as they stand: one that is spelt with escapes
 * is not known. */
static s3c_status_t
identity_take_member(s3c_identity_parse_t *p,
    const s3c_identity_member_t *members, size_t n, unsigned *seen)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (s3c_slice_eq(p->token.text, members[i].name)) {
            break;
        }
    }

    if (i == n) {
        return s3c_identity_fail(p, "unknown member");
    }

    if (*seen & 1u << i) {
        return s3c_identity_fail(p, "a member is given twice");
    }

    *seen |= 1u << i;

    if (s3c_identity_next(p) != S3C_OK) {
        return S3C_INVALID;
    }

    return members[i].take(p);
}


s3c_status_t
s3c_identity_take_object(s3c_identity_parse_t *p,
    const s3c_identity_member_t *members, size_t n)
{
    size_t    start = p->json.pos;
    unsigned  seen = 0;

    if (p->token.kind != S3C_JSON_OBJECT) {
        return s3c_identity_fail(p, "an object is expected here");
    }

    for ( ;; ) {
        if (s3c_identity_next(p) != S3C_OK) {
            return S3C_INVALID;
        }

        if (p->token.kind == S3C_JSON_OBJECT_END) {
            break;
        }

        if (identity_take_member(p, members, n, &seen) != S3C_OK) {
            return S3C_INVALID;
        }
    }

    for (size_t i = 0; i < n; i++) {
        if (members[i].missing != NULL && !(seen & 1u << i)) {
            return s3c_identity_fail_at(p, start, members[i].missing);
        }
    }

    return S3C_OK;
}


s3c_status_t
s3c_identity_take_array(s3c_identity_parse_t *p, s3c_identity_take_t take,
    const char *empty)
{
    size_t  n = 0;

    if (p->token.kind != S3C_JSON_ARRAY) {
        return s3c_identity_fail(p, "an array is expected here");
    }

    for ( ;; n++) {
        if (s3c_identity_next(p) != S3C_OK) {
            return S3C_INVALID;
        }

        if (p->token.kind == S3C_JSON_ARRAY_END) {
            return n == 0 && empty != NULL
                   ? s3c_identity_fail(p, empty) : S3C_OK;
        }

        if (take(p) != S3C_OK) {
            return S3C_INVALID;
        }
    }
}


s3c_status_t
s3c_identity_take_string(s3c_identity_parse_t *p, s3c_slice_t *out)
{
    const uint8_t  *start = p->text.pos;

    if (p->token.kind != S3C_JSON_STRING) {
        return s3c_identity_fail(p, "a string is expected here");
    }

    if (s3c_s3_json_unescape(&p->text, p->token.text) != S3C_OK
        || !s3c_writer_ok(&p->text))
    {
        return s3c_identity_fail(p, "a string is not UTF-8, or holds a NUL");
    }

    *out = s3c_slice(start, (size_t) (p->text.pos - start));

    return S3C_OK;
}
