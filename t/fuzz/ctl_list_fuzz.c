/* SPDX-License-Identifier: Apache-2.0
 *
 * A page of a list: what is found lies within it and its limits, and the way
 * through it ends.
 */
#include <stdlib.h>

#include "ctl/ctl_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t             n = 0;
    s3c_slice_t        key;
    s3c_status_t       st;
    static ctl_list_t  list;

    if (ctl_list_open(&list, s3c_slice(data, size)) != S3C_OK) {
        return 0;
    }

    while ((st = ctl_list_next(&list, &key)) == S3C_OK) {
        if (key.len == 0 || key.len > CTL_KEY_MAX || key.data != list.key
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
