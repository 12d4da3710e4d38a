/* SPDX-License-Identifier: Apache-2.0
 *
 * A range lies inside its object; a Content-Range inside its total.
 */
#include <stdlib.h>

#include "http/http_range.h"


int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    uint64_t            total, first, last;
    s3c_slice_t         value;
    s3c_range_spec_t    spec;

    if (len < sizeof(total)) {
        return 0;
    }

    memcpy(&total, in, sizeof(total));
    value = s3c_slice(in + sizeof(total), len - sizeof(total));

    for (unsigned shift = 0; shift < 64; shift += 21) {
        spec = s3c_http_range_parse(value);

        if (s3c_http_range_resolve(&spec, total >> shift, &first, &last)
            == S3C_RANGE_PART
            && (first > last || last >= total >> shift))
        {
            abort();
        }
    }

    if (s3c_http_content_range_parse(value, &first, &last, &total) == S3C_OK
        && first <= last && last >= total)
    {
        abort();
    }

    return 0;
}
