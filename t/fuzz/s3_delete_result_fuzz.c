/* SPDX-License-Identifier: Apache-2.0
 *
 * The answer to a DeleteObjects says the same whole and in pieces; the first
 * byte says of what size. Each denied key takes its place in the text.
 */
#include <stdlib.h>

#include "s3/s3_delete_result.h"


int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    size_t                  piece, n;
    s3c_s3_delete_result_t  whole = { 0 }, pieces = { 0 };

    if (len < 1) {
        return 0;
    }

    piece = (size_t) in[0] + 1;
    in++;
    len--;

    s3c_s3_delete_result_take(&whole, s3c_slice(in, len));

    for (size_t at = 0; at < len; at += piece) {
        n = len - at < piece ? len - at : piece;
        s3c_s3_delete_result_take(&pieces, s3c_slice(in + at, n));
    }

    if (whole.denied != pieces.denied || whole.others != pieces.others
        || whole.denied > len / (sizeof("<Code>AccessDenied") - 1))
    {
        abort();
    }

    return 0;
}
