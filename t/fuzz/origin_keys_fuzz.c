/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers with keys, of a metadata service and of an STS, each text read as
 * both: what is taken fits into headers, what is not leaves nothing.
 */
#include <stdlib.h>

#include "auth/origin_keys.h"


static void
check_value(s3c_slice_t s, size_t max)
{
    if (s.len > max) {
        abort();
    }

    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] <= 0x20 || s.data[i] >= 0x7f) {
            abort();
        }
    }
}


static void
check(const uint8_t *in, size_t len,
    s3c_status_t (*parse)(uint8_t *text, size_t len, s3c_origin_keys_t *keys))
{
    uint8_t                   *copy = malloc(len > 0 ? len : 1);
    s3c_status_t               st;
    static s3c_origin_keys_t   k, zero;

    if (copy == NULL) {
        return;
    }

    if (len > 0) {
        memcpy(copy, in, len);
    }

    memset(&k, 0x55, sizeof(k));
    st = parse(copy, len, &k);
    free(copy);

    if (st != S3C_OK) {
        if (memcmp(&k, &zero, sizeof(k)) != 0) {
            abort();
        }

        return;
    }

    check_value(s3c_origin_keys_access(&k), S3C_ORIGIN_KEYS_ACCESS_MAX);
    check_value(s3c_origin_keys_secret(&k), S3C_ORIGIN_KEYS_SECRET_MAX);
    check_value(s3c_origin_keys_token(&k), S3C_ORIGIN_KEYS_TOKEN_MAX);

    if (k.access_key_len == 0 || k.secret_key_len == 0 || k.expires < 0) {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    check(in, len, s3c_origin_keys_parse_json);
    check(in, len, s3c_origin_keys_parse_sts);

    return 0;
}
