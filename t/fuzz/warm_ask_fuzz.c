/* SPDX-License-Identifier: Apache-2.0
 *
 * Arguments of a warm-up: what is taken lies in its own memory and within its
 * limits.
 */
#include <stdlib.h>

#include "serve/warm_ask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static s3c_warm_ask_t  ask;


static void
within(s3c_slice_t s, size_t max)
{
    if (s.len > max
        || (s.len > 0 && (s.data < ask.buf
                          || s.data + s.len > ask.buf + sizeof(ask.buf))))
    {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char  *why;

    if (s3c_warm_ask_parse(&ask, s3c_slice(data, size), &why) != S3C_OK) {
        if (why == NULL) {
            abort();
        }

        return 0;
    }

    within(ask.id, S3C_WARM_ID_BYTES);
    within(ask.zone, S3C_WARM_NAME_MAX);
    within(ask.bucket, S3C_WARM_NAME_MAX);
    within(ask.prefix, S3C_WARM_KEY_MAX);
    within(ask.origin, S3C_WARM_KEY_MAX);

    if (ask.kind == S3C_WARM_ASK_PREFIX || ask.kind == S3C_WARM_ASK_LIST) {
        if (ask.concurrency == 0 || ask.concurrency > S3C_WARM_CONC_MAX
            || ask.mode >= S3C_WARM_MODES)
        {
            abort();
        }
    }

    return 0;
}
