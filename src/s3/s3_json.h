/* SPDX-License-Identifier: Apache-2.0
 *
 * A strict reader of JSON (RFC 8259) that is whole in memory: one token after
 * the other, no allocation. Names and strings come as they stand between their
 * quotes; only what matters to the caller is unescaped.
 *
 * What a string holds is looked at when it is unescaped: a stray byte in a
 * value that nobody wants (Ceph sends metadata as it got them) is no reason to
 * refuse a document.
 */
#ifndef S3C_S3_JSON_H
#define S3C_S3_JSON_H

#include "base/slice.h"
#include "base/status.h"
#include "base/writer.h"

#define S3C_S3_JSON_DEPTH_MAX  32

typedef enum {
    S3C_JSON_END = 0,          /* of the text; and nothing came after it */
    S3C_JSON_OBJECT,
    S3C_JSON_OBJECT_END,
    S3C_JSON_ARRAY,
    S3C_JSON_ARRAY_END,
    S3C_JSON_NAME,             /* of the member whose value comes next */
    S3C_JSON_STRING,
    S3C_JSON_NUMBER,
    S3C_JSON_WORD              /* true, false, null */
} s3c_json_kind_t;

typedef struct {
    s3c_json_kind_t  kind;
    s3c_slice_t      text;     /* NAME, STRING: without the quotes, escaped */
} s3c_json_token_t;

typedef struct {
    s3c_slice_t  text;
    size_t       pos;
    unsigned     state;
    unsigned     depth;        /* of open objects and arrays */
    uint32_t     arrays;       /* bit n: that at depth n + 1 is one */
} s3c_s3_json_t;

void s3c_s3_json_init(s3c_s3_json_t *j, s3c_slice_t text);
/* INVALID: no JSON, or nested too deeply; it must not be called again. */
s3c_status_t s3c_s3_json_next(s3c_s3_json_t *j, s3c_json_token_t *t)
    S3C_MUST_CHECK;
/* The rest of the value that `t` began; nothing for a string or number. */
s3c_status_t s3c_s3_json_skip(s3c_s3_json_t *j, const s3c_json_token_t *t)
    S3C_MUST_CHECK;
/* Appends what a string means: never longer than it was, so that w may begin
 * where `raw` does. INVALID: not UTF-8, half a surrogate pair, or NUL.
 * Overflow shows in the writer. */
s3c_status_t s3c_s3_json_unescape(s3c_writer_t *w, s3c_slice_t raw)
    S3C_MUST_CHECK;

#endif
