/* SPDX-License-Identifier: Apache-2.0
 *
 * A query string: what is taken says all that its kind needs, within its limits
 * and its own memory, and is taken again when it is written anew.
 */
#include <stdlib.h>

#include "base/writer.h"
#include "s3/s3_uri.h"
#include "serve/purge_ask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
check_slice(const s3c_purge_ask_t *ask, s3c_slice_t s, size_t max, bool given)
{
    if (s.len > max || (given && s.len == 0)
        || (s.len > 0
            && (s.data < ask->buf
                || s.data + s.len > ask->buf + sizeof(ask->buf))))
    {
        abort();
    }
}


static void
write_arg(s3c_writer_t *w, const char *name, s3c_slice_t value)
{
    s3c_write_str(w, name);
    s3c_uri_encode(w, value, false);
}


static void
parse_again(const s3c_purge_ask_t *ask)
{
    const char              *why;
    s3c_writer_t             w;
    static uint8_t           text[16384];
    static s3c_purge_ask_t   again;

    s3c_writer_init(&w, text, sizeof(text));
    s3c_write_lit(&w, "purge=");
    s3c_write_str(&w, s3c_purge_kind_name(ask->kind));

    if (ask->zone.len > 0) {
        write_arg(&w, "&zone=", ask->zone);
    }

    if (ask->kind != S3C_PURGE_ALL) {
        write_arg(&w, "&bucket=", ask->bucket);
    }

    if (ask->kind == S3C_PURGE_KEY) {
        write_arg(&w, "&key=", ask->key);
    }

    if (ask->kind == S3C_PURGE_PREFIX) {
        write_arg(&w, "&prefix=", ask->key);
    }

    if (ask->version.len > 0) {
        write_arg(&w, "&versionId=", ask->version);
    }

    if (!s3c_writer_ok(&w)
        || s3c_purge_ask_parse(&again, s3c_writer_slice(&w), &why) != S3C_OK
        || again.kind != ask->kind
        || !s3c_slice_eq(again.zone, ask->zone)
        || !s3c_slice_eq(again.bucket, ask->bucket)
        || !s3c_slice_eq(again.key, ask->key)
        || !s3c_slice_eq(again.version, ask->version))
    {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char              *why = NULL;
    s3c_status_t             st;
    static s3c_purge_ask_t   ask;

    st = s3c_purge_ask_parse(&ask, s3c_slice(data, size), &why);

    if ((st == S3C_OK) != (why == NULL)) {
        abort();
    }

    if (st != S3C_OK) {
        return 0;
    }

    if (ask.kind <= S3C_PURGE_NONE || ask.kind >= S3C_PURGE_KINDS) {
        abort();
    }

    check_slice(&ask, ask.zone, S3C_PURGE_ZONE_MAX, false);
    check_slice(&ask, ask.bucket, S3C_PURGE_BUCKET_MAX,
                ask.kind != S3C_PURGE_ALL);
    check_slice(&ask, ask.key, S3C_PURGE_KEY_MAX, ask.kind == S3C_PURGE_KEY);
    check_slice(&ask, ask.version, S3C_PURGE_VERSION_MAX, false);

    if ((ask.kind >= S3C_PURGE_BUCKET && ask.key.len > 0)
        || (ask.kind != S3C_PURGE_KEY && ask.version.len > 0)
        || (ask.kind == S3C_PURGE_ALL && ask.bucket.len > 0))
    {
        abort();
    }

    parse_again(&ask);

    return 0;
}
