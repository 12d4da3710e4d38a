/* SPDX-License-Identifier: Apache-2.0
 *
 * Credential files: what is answered lies in the file and fits into a header.
 */
#include <stdlib.h>

#include "auth/credentials.h"


static void
check_value(const uint8_t *in, size_t len, s3c_slice_t s)
{
    if (s.len == 0) {
        return;
    }

    if (s.data < in || s.data + s.len > in + len) {
        abort();
    }

    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] <= 0x20 || s.data[i] >= 0x7f) {
            abort();
        }
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    s3c_status_t       st;
    s3c_credentials_t  c;

    st = s3c_credentials_parse(s3c_slice(in, len), S3C_SLICE("a"), &c);

    if ((st == S3C_OK) != (c.access_key.len > 0 && c.secret_key.len > 0)
        || (st == S3C_INVALID) != (c.error_line > 0)
        || c.error_line > len)
    {
        abort();
    }

    check_value(in, len, c.access_key);
    check_value(in, len, c.secret_key);
    check_value(in, len, c.session_token);

    return 0;
}
