/* SPDX-License-Identifier: Apache-2.0
 *
 * A page of a list: what is found lies within it and its limits, and the way
 * through it ends.
 */
#include <stdlib.h>

#include "s3/s3_list_page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t             n = 0;
    s3c_slice_t        key;
    s3c_status_t       st;
    static s3c_s3_page_t  list;

    if (s3c_s3_page_open(&list, s3c_slice(data, size)) != S3C_OK) {
        return 0;
    }

    while ((st = s3c_s3_page_next(&list, &key)) == S3C_OK) {
        if (key.len == 0 || key.len > S3C_S3_PAGE_KEY_MAX || key.data != list.key
            || ++n > size)
        {
            abort();
        }
    }

    if (st != S3C_MISS && st != S3C_INVALID) {
        abort();
    }

    return 0;
}
