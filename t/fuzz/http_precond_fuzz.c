/* SPDX-License-Identifier: Apache-2.0
 *
 * Conditions: the input is cut at NUL into the fields, the ETag and a date.
 */
#include <stdlib.h>

#include "http/http_precond.h"

#define PARTS  6


int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    s3c_slice_t           parts[PARTS], rest = s3c_slice(in, len);
    s3c_precond_t         cond;
    s3c_precond_result_t  result;

    for (unsigned i = 0; i < PARTS; i++) {
        const uint8_t  *nul = rest.len ? memchr(rest.data, 0, rest.len)
                                       : NULL;
        size_t          n = nul ? (size_t) (nul - rest.data) : rest.len;

        parts[i] = n > 0 ? s3c_slice(rest.data, n) : S3C_SLICE_NONE;
        n += nul ? 1 : 0;
        rest = s3c_slice(rest.data + n, rest.len - n);
    }

    cond = (s3c_precond_t) { parts[0], parts[1], parts[2], parts[3],
                             parts[4] };
    result = s3c_http_precond_check(&cond, parts[5], 784111777);
    (void) s3c_http_if_range_passes(parts[4], parts[5], 784111777);

    if ((result == S3C_PRECOND_FAILED_MATCH && parts[0].len == 0)
        || (result == S3C_PRECOND_NOT_MODIFIED
            && parts[1].len == 0 && parts[2].len == 0)
        || (result == S3C_PRECOND_FAILED_UNMODIFIED_SINCE
            && parts[3].len == 0))
    {
        abort();
    }

    return 0;
}
