/* SPDX-License-Identifier: Apache-2.0
 *
 * A record of arbitrary bytes: opened or refused, never read past its end.
 * The check value is put right half of the time, so that what lies behind it
 * is reached.
 */
#include <stdlib.h>

#include "s3/s3_meta.h"
#include "serve/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t             pos = 0;
    s3c_ask_t          ask = { .checksum_mode = true };
    s3c_ident_t        ident;
    s3c_reply_t        reply;
    s3c_slice_t        bucket, key;
    s3c_record_sh_t   *rec;
    s3c_http_header_t  h;
    s3c_record_view_t  view;

    rec = malloc(size + 1);
    memcpy(rec, data, size);

    if (size >= sizeof(*rec) && (data[size - 1] & 1)) {
        rec->magic = S3C_RECORD_MAGIC;
        rec->check = s3c_hash64(rec, offsetof(s3c_record_sh_t, check));
    }

    ident.len = 4;
    memcpy(ident.bytes, "abcd", 4);

    if (size >= sizeof(*rec) + 4 && rec->ident_bytes == 4) {
        memcpy(ident.bytes, (uint8_t *) rec + sizeof(*rec), 4);
    }

    if (s3c_record_skip(rec, size) > size) {
        abort();
    }

    if (s3c_ident_names(s3c_slice(rec, size), &bucket, &key) == S3C_OK
        && (bucket.len > size || key.len > size - bucket.len
            || key.data + key.len > (uint8_t *) rec + size))
    {
        abort();
    }

    if (s3c_record_open(rec, size, size, &ident, &view) == S3C_OK) {
        while (s3c_s3_meta_next(view.headers, &pos, &h)) {
            if (h.value.len > 0 && h.value.data[h.value.len - 1] == 0) {
                abort();
            }
        }

        s3c_plan_reply(&ask, &view, &reply);
    }

    free(rec);

    return 0;
}
