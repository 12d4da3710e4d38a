/* SPDX-License-Identifier: Apache-2.0
 *
 * Error bodies made of foreign bytes: no byte of theirs opens an element.
 */
#include <stdlib.h>

#include "s3/s3_error.h"


int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    static uint8_t              plain[1024], buf[1 << 16];
    s3c_slice_t                 text = s3c_slice(in, len), out;
    s3c_writer_t                w;
    const s3c_s3_error_extra_t  extra = { "Key", text };
    unsigned                    n_open = 0, n_plain = 0;

    s3c_writer_init(&w, plain, sizeof(plain));
    s3c_s3_error_print(&w, S3C_ERR_NO_SUCH_KEY, NULL,
                       &(s3c_s3_error_extra_t) { "Key", S3C_SLICE("k") }, 1,
                       S3C_SLICE("k"), S3C_SLICE("k"), S3C_SLICE("k"));
    out = s3c_writer_slice(&w);

    for (size_t i = 0; i < out.len; i++) {
        n_plain += out.data[i] == '<';
    }

    if (len > sizeof(buf) / 64) {
        return 0;
    }

    s3c_writer_init(&w, buf, sizeof(buf));
    s3c_s3_error_print(&w, S3C_ERR_NO_SUCH_KEY, NULL, &extra, 1,
                       len > 0 ? text : S3C_SLICE("k"), text, text);
    out = s3c_writer_slice(&w);

    for (size_t i = 0; i < out.len; i++) {
        n_open += out.data[i] == '<';

        if (out.data[i] < 0x20 && out.data[i] != '\n'
            && out.data[i] != '\t')
        {
            abort();
        }
    }

    if (!s3c_writer_ok(&w) || n_open != n_plain) {
        abort();
    }

    return 0;
}
