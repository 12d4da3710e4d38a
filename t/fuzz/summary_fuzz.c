/* SPDX-License-Identifier: Apache-2.0
 *
 * Arbitrary bytes as what another node says of itself: refused, or printed as
 * numbers; what this version can say is read again as it was.
 */
#include <stdlib.h>

#include "stats/stats_summary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
summary_try(s3c_slice_t in)
{
    uint8_t        text[2048], bytes[S3C_SUMMARY_BYTES];
    s3c_writer_t   w;
    s3c_summary_t  s, again;

    if (s3c_summary_decode(&s, in) != S3C_OK) {
        return;
    }

    s3c_writer_init(&w, text, sizeof(text));
    s3c_summary_print_json(&w, &s);
    s3c_summary_encode(&s, bytes);

    if (!s3c_writer_ok(&w)
        || s3c_summary_decode(&again, s3c_slice(bytes, sizeof(bytes)))
           != S3C_OK
        || memcmp(&s, &again, sizeof(s)) != 0)
    {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t   headed[S3C_SUMMARY_BYTES_MAX];
    uint32_t  head[2] = { 1, (uint32_t) (size / 8) };

    summary_try(s3c_slice(data, size));

    /* and behind a head that is right */

    if (size <= sizeof(headed) - sizeof(head)) {
        memcpy(headed, head, sizeof(head));
        memcpy(headed + sizeof(head), data, size);
        summary_try(s3c_slice(headed, sizeof(head) + size / 8 * 8));
    }

    return 0;
}
