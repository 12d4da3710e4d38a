/* SPDX-License-Identifier: Apache-2.0
 *
 * What is read as a date comes back from its printed form.
 */
#include <stdlib.h>

#include "http/http_date.h"


int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    int64_t  sec, back;
    uint8_t  out[S3C_HTTP_DATE_BYTES];

    if (len == sizeof(sec)) {
        memcpy(&sec, in, sizeof(sec));
        s3c_http_date_print(sec, out);

        if (s3c_http_date_parse(s3c_slice(out, sizeof(out)), &back)
            != S3C_OK)
        {
            abort();
        }
    }

    if (s3c_http_date_parse(s3c_slice(in, len), &sec) == S3C_OK) {
        s3c_http_date_print(sec, out);

        if (s3c_http_date_parse(s3c_slice(out, sizeof(out)), &back)
            != S3C_OK
            || (back != sec && sec != 253402300800))    /* 9999's leap */
        {
            abort();
        }
    }

    return 0;
}
