/* SPDX-License-Identifier: Apache-2.0
 *
 * Walking a stored block: it stays inside, and what it answered, rendered,
 * is what it walked over.
 */
#include <stdlib.h>

#include "s3/s3_meta.h"


int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    size_t             pos = 0, before;
    s3c_slice_t        block = s3c_slice(in, len);
    s3c_http_header_t  h;

    for (before = 0; s3c_s3_meta_next(block, &pos, &h); before = pos) {
        if (pos > len
            || pos != before + h.name.len + h.value.len + 4
            || h.name.data != in + before
            || h.value.data != h.name.data + h.name.len + 2
            || memcmp(in + pos - 2, "\r\n", 2) != 0
            || (h.value.len > 0
                && (memchr(h.value.data, '\r', h.value.len) != NULL
                    || memchr(h.value.data, '\n', h.value.len) != NULL)))
        {
            abort();
        }

        (void) s3c_s3_meta_in_304(h.name);
        (void) s3c_s3_meta_is_checksum(h.name);
    }

    if (pos != before) {
        abort();
    }

    return 0;
}
